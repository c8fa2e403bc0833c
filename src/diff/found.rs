//! Differences.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Outcome;
use crate::escape;

/// What is compared, from the outside to the inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The file and its headers.
    Container,
    /// The partition table.
    Table,
    /// Boot code in the first sector, and in partitions for it.
    BootCode,
    /// What file systems say about themselves.
    Parameters,
    /// Files and directories.
    Files,
    /// Bytes that no file owns.
    Bytes,
}

/// All layers.
pub const LAYERS: [(Layer, &str); 6] = [
    (Layer::Container, "container"),
    (Layer::Table, "partition table"),
    (Layer::BootCode, "boot code"),
    (Layer::Parameters, "parameters of file systems"),
    (Layer::Files, "files"),
    (Layer::Bytes, "bytes that no file owns"),
];

impl Layer {
    /// Its index in [`LAYERS`].
    fn index(self) -> Option<usize> {
        LAYERS.iter().position(|(layer, _)| *layer == self)
    }
}

/// A difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    pub layer: Layer,
    /// The number of the partition that it is in.
    pub partition: Option<u32>,
    /// What differs: a path, a structure. Escaped.
    pub place: String,
    /// The property that differs. Null if something is only in one image.
    pub property: Option<String>,
    /// Its value in the first image, escaped; null if it is not there.
    pub a: Option<String>,
    /// Its value in the second image.
    pub b: Option<String>,
    /// More about it, in lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Everything that was found.
#[derive(Debug)]
pub struct Findings {
    limit: usize,
    pub differences: Vec<Difference>,
    /// How many differences there are in each layer, in the order of [`LAYERS`].
    counts: [u64; LAYERS.len()],
    /// In how many files, partitions or structures these are.
    places: [u64; LAYERS.len()],
    /// The place of the last one, whose other differences follow it.
    last: Option<(Layer, Option<u32>, String)>,
    /// What does not make images different: another format of the file.
    pub notes: Vec<String>,
    /// What could not be read.
    pub troubles: Vec<String>,
}

/// The most notes and troubles.
const MOST_NOTES: usize = 100;

impl Findings {
    /// Keeps at most `limit` differences of each layer.
    pub fn new(limit: usize) -> Findings {
        Findings {
            limit,
            differences: Vec::new(),
            counts: [0; LAYERS.len()],
            places: [0; LAYERS.len()],
            last: None,
            notes: Vec::new(),
            troubles: Vec::new(),
        }
    }

    /// How many differences there are in a layer.
    pub fn count(&self, layer: Layer) -> u64 {
        layer.index().map_or(0, |index| self.counts[index])
    }

    /// In how many files, partitions or structures of a layer there are differences.
    pub fn places(&self, layer: Layer) -> u64 {
        layer.index().map_or(0, |index| self.places[index])
    }

    /// How many differences of a layer are not described.
    pub fn omitted(&self, layer: Layer) -> u64 {
        let shown = self
            .differences
            .iter()
            .filter(|it| it.layer == layer)
            .count();
        // usize to u64: lossless on every target Rust has.
        self.count(layer).saturating_sub(shown as u64)
    }

    /// Whether another difference of `layer` would be described. Others need no details.
    pub fn has_room(&self, layer: Layer) -> bool {
        // As above.
        self.count(layer) < self.limit as u64
    }

    /// Adds a difference.
    pub fn add(&mut self, difference: Difference) {
        let room = self.has_room(difference.layer);
        if let Some(index) = difference.layer.index() {
            self.counts[index] = self.counts[index].saturating_add(1);
            let is_last = self.last.as_ref().is_some_and(|(layer, partition, name)| {
                (*layer, *partition, name)
                    == (difference.layer, difference.partition, &difference.place)
            });
            if !is_last {
                self.places[index] = self.places[index].saturating_add(1);
                self.last = Some((
                    difference.layer,
                    difference.partition,
                    difference.place.clone(),
                ));
            }
        }
        if room {
            self.differences.push(difference);
        }
    }

    /// Adds a property with other values, unless they are equal.
    pub fn property(
        &mut self,
        layer: Layer,
        partition: Option<u32>,
        place: &str,
        name: &str,
        values: [&str; 2],
    ) {
        let [a, b] = values;
        if a == b {
            return;
        }
        let value = |text: &str| Some(escape::short(text.as_bytes()));
        self.add(Difference {
            layer,
            partition,
            place: place.to_owned(),
            property: Some(name.to_owned()),
            a: value(a),
            b: value(b),
            details: Vec::new(),
        });
    }

    /// Adds something that is only in one image, with a description of it.
    pub fn only(
        &mut self,
        layer: Layer,
        partition: Option<u32>,
        place: &str,
        description: String,
        in_first: bool,
    ) {
        let (a, b) = match in_first {
            true => (Some(description), None),
            false => (None, Some(description)),
        };
        self.add(Difference {
            layer,
            partition,
            place: place.to_owned(),
            property: None,
            a,
            b,
            details: Vec::new(),
        });
    }

    /// Notes what does not make the images different.
    pub fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(note);
        }
    }

    /// Notes what cannot be compared.
    pub fn trouble(&mut self, partition: Option<u32>, place: &str, error: &anyhow::Error) {
        if self.troubles.len() >= MOST_NOTES {
            return;
        }
        let partition = match partition {
            None | Some(0) => String::new(),
            Some(number) => format!("partition {number}: "),
        };
        self.troubles.push(format!("{partition}{place}: {error:#}"));
    }

    /// The result.
    pub fn outcome(&self) -> Outcome {
        match (
            self.troubles.is_empty(),
            self.counts.iter().all(|&count| count == 0),
        ) {
            (false, _) => Outcome::Trouble,
            (true, true) => Outcome::Equal,
            (true, false) => Outcome::Different,
        }
    }

    /// Everything as JSON, with a newline.
    ///
    /// # Errors
    /// If this fails.
    pub fn json(&self, [a, b]: [&str; 2]) -> Result<String> {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            a: &'a str,
            b: &'a str,
            equal: bool,
            differences: &'a [Difference],
            omitted: BTreeMap<Layer, u64>,
            notes: &'a [String],
            troubles: &'a [String],
        }
        let omitted = LAYERS
            .iter()
            .map(|(layer, _)| (*layer, self.omitted(*layer)));
        let document = Document {
            schema: 1,
            a,
            b,
            equal: self.outcome() == Outcome::Equal,
            differences: &self.differences,
            omitted: omitted.filter(|(_, count)| *count > 0).collect(),
            notes: &self.notes,
            troubles: &self.troubles,
        };
        let json = serde_json::to_string_pretty(&document).context("writing JSON")?;
        Ok(json + "\n")
    }
}
