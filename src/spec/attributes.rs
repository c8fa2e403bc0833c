//! Typed access to parsed JSON that notes what is wrong and goes on.
//!
//! Deriving the shape with serde would end at the first wrong type.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::problems::Problems;
use super::store_path::StorePath;
use crate::escape;

/// The longest path that Linux takes in bytes (`PATH_MAX` without the NUL).
pub(super) const MAX_PATH: usize = 4095;

/// A JSON object and where it is in the whole.
///
/// The methods give `None` for a value that is wrong, after they noted why; the `optional_` ones
/// give it for a value that is absent or null, too.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    at: String,
    map: &'a Map<String, Value>,
}

impl<'a> Attributes<'a> {
    /// `value`, which is the attribute `at` (empty: the whole file).
    pub(super) fn new(at: String, value: &'a Value, problems: &mut Problems) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Attributes { at, map }),
            other => {
                let at = if at.is_empty() { ".attrs.json" } else { &at };
                problems.add(at, wrong_type("an attribute set", other));
                None
            }
        }
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
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let mut entries: Vec<_> = self.map.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
            .into_iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// The value that is neither absent nor null.
    pub(super) fn optional(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn required(&self, key: &str, problems: &mut Problems) -> Option<&'a Value> {
        let value = self.optional(key);
        if value.is_none() {
            let what = match self.map.get(key) {
                Some(_) => "is null, and needs a value",
                None => "is missing; give it a value",
            };
            problems.add(self.at(key), what);
        }
        value
    }

    pub(super) fn object(&self, key: &str, problems: &mut Problems) -> Option<Attributes<'a>> {
        let value = self.required(key, problems)?;
        Attributes::new(self.at(key), value, problems)
    }

    pub(super) fn list(&self, key: &str, problems: &mut Problems) -> Option<&'a [Value]> {
        match self.required(key, problems)? {
            Value::Array(list) => Some(list),
            other => {
                problems.add(self.at(key), wrong_type("a list", other));
                None
            }
        }
    }

    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        match self.required(key, problems)? {
            Value::Bool(value) => Some(*value),
            other => {
                problems.add(self.at(key), wrong_type("true or false", other));
                None
            }
        }
    }

    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'a str> {
        let value = self.required(key, problems)?;
        text(&self.at(key), value, problems)
    }

    pub(super) fn optional_text(&self, key: &str, problems: &mut Problems) -> Option<&'a str> {
        text(&self.at(key), self.optional(key)?, problems)
    }

    /// An absolute path.
    pub(super) fn path(&self, key: &str, problems: &mut Problems) -> Option<PathBuf> {
        let value = self.required(key, problems)?;
        path(&self.at(key), value, problems)
    }

    pub(super) fn optional_path(&self, key: &str, problems: &mut Problems) -> Option<PathBuf> {
        path(&self.at(key), self.optional(key)?, problems)
    }

    pub(super) fn store_path(
        &self,
        key: &str,
        store_dir: &str,
        problems: &mut Problems,
    ) -> Option<StorePath> {
        let text = self.text(key, problems)?;
        store_path(&self.at(key), text, store_dir, problems)
    }
}

/// A string without NUL, which no path, name or variable can hold.
pub(super) fn text<'a>(at: &str, value: &'a Value, problems: &mut Problems) -> Option<&'a str> {
    match value {
        Value::String(text) if text.contains('\0') => {
            problems.add(at, "has a NUL character in it; take it out");
            None
        }
        Value::String(text) => Some(text),
        other => {
            problems.add(at, wrong_type("a string", other));
            None
        }
    }
}

/// A string of at most `most` bytes, without NUL.
pub(super) fn bounded<'a>(
    at: &str,
    value: &'a Value,
    most: usize,
    problems: &mut Problems,
) -> Option<&'a str> {
    let text = text(at, value, problems)?;
    if text.len() > most {
        let message = format!(
            "{} has {} bytes; make it {most} at most",
            quoted(text),
            text.len()
        );
        problems.add(at, message);
        return None;
    }
    Some(text)
}

/// An absolute path.
pub(super) fn path(at: &str, value: &Value, problems: &mut Problems) -> Option<PathBuf> {
    let text = bounded(at, value, MAX_PATH, problems)?;
    if !text.starts_with('/') {
        problems.add(
            at,
            format!(
                "{} is not an absolute path; begin it with \"/\"",
                quoted(text)
            ),
        );
        return None;
    }
    Some(PathBuf::from(text))
}

pub(super) fn store_path(
    at: &str,
    text: &str,
    store_dir: &str,
    problems: &mut Problems,
) -> Option<StorePath> {
    let path = StorePath::new(text, store_dir)
        .map_err(|error| format!("{} is not a store path: {error}", quoted(text)));
    problems.check(at, path)
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
