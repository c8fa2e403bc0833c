//! What a file, a table or a file system says about itself.

use serde::Serialize;
use serde_json::Value;

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Its name in JSON, in lower case with underscores.
    pub name: &'static str,
    /// A number, a text (not escaped), a list or a truth value.
    pub value: Value,
}

/// Named values in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts(pub Vec<Fact>);

impl Facts {
    /// Adds a value.
    pub fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(Fact {
            name,
            value: value.into(),
        });
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let fact = self.0.iter().find(|fact| fact.name == name);
        fact.map(|fact| &fact.value)
    }

    /// The text `name`; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number `name`.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }
}

impl Serialize for Facts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|fact| (fact.name, &fact.value)))
    }
}
