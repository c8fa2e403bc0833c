//! Typed access to parsed JSON that records problems and continues.
//!
//! Deserialization with serde would stop at the first wrong type. Here, each attribute is read in
//! one place, by [`Attributes::required`] or [`Attributes::optional`] with a function that checks
//! the value. The result is a [`Read`]: later checks cannot report a wrong value again, and a wrong
//! value does not prevent others from being read.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::problems::{Problems, Read};
use super::store_path::StorePath;
use crate::escape;

/// The maximum length of a path on Linux in bytes (`PATH_MAX` without the NUL).
pub(super) const MAX_PATH: usize = 4095;

/// A JSON object and its name. If the value is not an object, reading any attribute fails without
/// another problem.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    at: String,
    map: Read<&'a Map<String, Value>>,
}

impl<'a> Attributes<'a> {
    /// Wraps `value`, which is the attribute `at`. If `at` is empty, it is the whole file.
    pub(super) fn new(at: String, value: &'a Value, problems: &mut Problems) -> Self {
        let map = match value {
            Value::Object(map) => Ok(map),
            other => {
                let at = if at.is_empty() { ".attrs.json" } else { &at };
                Err(problems.add(at, wrong_type("an attribute set", other)))
            }
        };
        Attributes { at, map }
    }

    /// Returns the full name of one of its attributes.
    pub(super) fn at(&self, key: &str) -> String {
        let key = escape::short(key.as_bytes());
        match self.at.as_str() {
            "" => key,
            at => format!("{at}.{key}"),
        }
    }

    /// Returns its attributes, sorted by name.
    pub(super) fn entries(&self) -> Read<Vec<(&'a str, &'a Value)>> {
        let mut entries: Vec<_> = self
            .map?
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        Ok(entries)
    }

    /// Returns whether it has an attribute that is not null.
    pub(super) fn has(&self, key: &str) -> bool {
        matches!(self.get(key), Ok(Some(_)))
    }

    /// Reads an attribute with `read`, which gets the attribute's full name and its value. The
    /// attribute must not be missing or null.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str, &'a Value, &mut Problems) -> Read<T>,
        problems: &mut Problems,
    ) -> Read<T> {
        match self.get(key)? {
            Some(value) => read(&self.at(key), value, problems),
            None => {
                let message = match self.map?.get(key) {
                    Some(_) => "must not be null",
                    None => "is missing; set it",
                };
                Err(problems.add(self.at(key), message))
            }
        }
    }

    /// Reads an attribute that may be missing or null with `read`.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str, &'a Value, &mut Problems) -> Read<T>,
        problems: &mut Problems,
    ) -> Read<Option<T>> {
        match self.get(key)? {
            Some(value) => read(&self.at(key), value, problems).map(Some),
            None => Ok(None),
        }
    }

    /// Reads an attribute that is an attribute set.
    pub(super) fn object(&self, key: &str, problems: &mut Problems) -> Attributes<'a> {
        let object = |at: &str, value, problems: &mut Problems| {
            Ok(Attributes::new(at.to_owned(), value, problems))
        };
        self.required(key, object, problems)
            .unwrap_or_else(|noted| Attributes {
                at: self.at(key),
                map: Err(noted),
            })
    }

    fn get(&self, key: &str) -> Read<Option<&'a Value>> {
        Ok(self.map?.get(key).filter(|value| !value.is_null()))
    }
}

pub(super) fn boolean(at: &str, value: &Value, problems: &mut Problems) -> Read<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(problems.add(at, wrong_type("true or false", other))),
    }
}

pub(super) fn list<'a>(at: &str, value: &'a Value, problems: &mut Problems) -> Read<&'a [Value]> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(problems.add(at, wrong_type("a list", other))),
    }
}

/// Reads each element of a list with `read`.
pub(super) fn each<'a, T>(
    mut read: impl FnMut(&str, &'a Value, &mut Problems) -> Read<T>,
) -> impl FnOnce(&str, &'a Value, &mut Problems) -> Read<Vec<T>> {
    move |at, value, problems| {
        let elements = list(at, value, problems)?.iter().enumerate();
        let elements: Vec<Read<T>> = elements
            .map(|(index, element)| read(&format!("{at}[{index}]"), element, problems))
            .collect();
        elements.into_iter().collect()
    }
}

/// Reads a string without NUL, which paths, names and variables cannot contain.
pub(super) fn text<'a>(at: &str, value: &'a Value, problems: &mut Problems) -> Read<&'a str> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err(problems.add(at, "contains a NUL character; remove it"))
        }
        Value::String(text) => Ok(text),
        other => Err(problems.add(at, wrong_type("a string", other))),
    }
}

/// Reads a string of at most `limit` bytes, without NUL.
pub(super) fn bounded<'a>(
    at: &str,
    value: &'a Value,
    limit: usize,
    problems: &mut Problems,
) -> Read<&'a str> {
    let text = text(at, value, problems)?;
    if text.len() > limit {
        let message = format!(
            "{} is {} bytes long; the limit is {limit}",
            quoted(text),
            text.len()
        );
        return Err(problems.add(at, message));
    }
    Ok(text)
}

/// Reads an absolute path.
pub(super) fn path(at: &str, value: &Value, problems: &mut Problems) -> Read<PathBuf> {
    let text = bounded(at, value, MAX_PATH, problems)?;
    if !text.starts_with('/') {
        let message = format!(
            "{} is not an absolute path; start it with \"/\"",
            quoted(text)
        );
        return Err(problems.add(at, message));
    }
    Ok(PathBuf::from(text))
}

/// Reads a path of the store at `store_dir`.
pub(super) fn store_path(
    store_dir: Read<&str>,
) -> impl Fn(&str, &Value, &mut Problems) -> Read<StorePath> {
    move |at, value, problems| {
        let text = text(at, value, problems)?;
        let path = StorePath::new(text, store_dir?)
            .map_err(|error| format!("{} is not a store path: {error}", quoted(text)));
        problems.check(at, path)
    }
}

/// Returns a non-negative integer that is a number or a string of decimal digits.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        // parse alone would accept "+1".
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Returns `text` in quotation marks, safe to print; long text is truncated.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escape::short(text.as_bytes()))
}

/// Describes a value for a message, safe to print.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an attribute set".to_owned(),
    }
}

fn wrong_type(wanted: &str, value: &Value) -> String {
    format!("expected {wanted}, found {}", shown(value))
}
