//! Typed access to parsed JSON that notes what is wrong and goes on.
//!
//! Deriving the shape with serde would end at the first wrong type. Here each attribute is read in
//! one place, by [`Attributes::required`] or [`Attributes::optional`] with a function that says what
//! it must be. What was read is a [`Read`]: no later check of a wrong value can report it again, and
//! a wrong value keeps nothing else from being read.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::problems::{Problems, Read};
use super::store_path::StorePath;
use crate::escape;

/// The longest path that Linux takes in bytes (`PATH_MAX` without the NUL).
pub(super) const MAX_PATH: usize = 4095;

/// A JSON object and where it is in the whole. Of a value that is no object, every attribute is
/// wrong, without a problem of its own.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    at: String,
    map: Read<&'a Map<String, Value>>,
}

impl<'a> Attributes<'a> {
    /// `value`, which is the attribute `at` (empty: the whole file).
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

    /// The whole name of one of its attributes.
    pub(super) fn at(&self, key: &str) -> String {
        let key = escape::short(key.as_bytes());
        match self.at.as_str() {
            "" => key,
            at => format!("{at}.{key}"),
        }
    }

    /// Its attributes, in the order of their names.
    pub(super) fn entries(&self) -> Read<Vec<(&'a str, &'a Value)>> {
        let mut entries: Vec<_> = self
            .map?
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        Ok(entries)
    }

    /// Whether it has an attribute that is not null.
    pub(super) fn has(&self, key: &str) -> bool {
        matches!(self.get(key), Ok(Some(_)))
    }

    /// What `read` makes of an attribute, which must not be absent or null. `read` gets the
    /// attribute's whole name and its value.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str, &'a Value, &mut Problems) -> Read<T>,
        problems: &mut Problems,
    ) -> Read<T> {
        match self.get(key)? {
            Some(value) => read(&self.at(key), value, problems),
            None => {
                let what = match self.map?.get(key) {
                    Some(_) => "is null, and needs a value",
                    None => "is missing; give it a value",
                };
                Err(problems.add(self.at(key), what))
            }
        }
    }

    /// What `read` makes of an attribute that may be absent or null.
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

    /// An attribute that is an attribute set.
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

/// What `read` makes of each element of a list.
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

/// A string without NUL, which no path, name or variable can hold.
pub(super) fn text<'a>(at: &str, value: &'a Value, problems: &mut Problems) -> Read<&'a str> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err(problems.add(at, "has a NUL character in it; take it out"))
        }
        Value::String(text) => Ok(text),
        other => Err(problems.add(at, wrong_type("a string", other))),
    }
}

/// A string of at most `most` bytes, without NUL.
pub(super) fn bounded<'a>(
    at: &str,
    value: &'a Value,
    most: usize,
    problems: &mut Problems,
) -> Read<&'a str> {
    let text = text(at, value, problems)?;
    if text.len() > most {
        let message = format!(
            "{} has {} bytes; make it {most} at most",
            quoted(text),
            text.len()
        );
        return Err(problems.add(at, message));
    }
    Ok(text)
}

/// An absolute path.
pub(super) fn path(at: &str, value: &Value, problems: &mut Problems) -> Read<PathBuf> {
    let text = bounded(at, value, MAX_PATH, problems)?;
    if !text.starts_with('/') {
        let message = format!(
            "{} is not an absolute path; begin it with \"/\"",
            quoted(text)
        );
        return Err(problems.add(at, message));
    }
    Ok(PathBuf::from(text))
}

/// A path of the store at `store_dir`.
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

/// A whole number that is not negative, written as a number or as decimal digits.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        // parse alone would take "+1".
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// `text` in quotation marks, safe to print; of a long one, the beginning.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escape::short(text.as_bytes()))
}

/// A value for a message, safe to print.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an attribute set".to_owned(),
    }
}

fn wrong_type(wanted: &str, value: &Value) -> String {
    format!("must be {wanted}, and is {}", shown(value))
}
