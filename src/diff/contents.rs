//! Compares the contents of files.

use anyhow::Result;
use similar::TextDiff;

use super::found::{Difference, Layer};
use crate::escape;
use crate::volume::{Contents, Region};

/// Files are read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// Files up to this many bytes may be compared as text.
const LONGEST_TEXT: u64 = 256 << 10;

/// The most lines of a text diff.
const MOST_LINES: usize = 40;

/// How many bytes are shown from the first difference on.
const SHOWN: usize = 16;

/// The index of the first byte that differs.
pub fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let common = a.len().min(b.len());
    if a[..common] == b[..common] {
        return (a.len() != b.len()).then_some(common);
    }
    a.iter().zip(b).position(|(a, b)| a != b)
}

/// Lines with the bytes of both from the byte `at` of the buffers on, which are at `base` in the file.
pub fn hex(at: usize, buffers: [&[u8]; 2], base: u64) -> Vec<String> {
    let line = |name: &str, buffer: &[u8]| {
        let rest = buffer.get(at..).unwrap_or_default();
        let bytes = rest.iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
        let bytes = bytes.collect::<Vec<_>>().join(" ");
        // usize to u64: lossless on every target Rust has.
        let at = base.saturating_add(at as u64);
        let bytes = if bytes.is_empty() {
            "the end"
        } else {
            bytes.as_str()
        };
        format!("{name} byte {at}: {bytes}")
    };
    vec![line("first: ", buffers[0]), line("second:", buffers[1])]
}

/// A file in one of the images.
pub struct Side<'a> {
    pub contents: Contents,
    pub region: &'a Region<'a>,
}

impl Side<'_> {
    /// Reads at most `length` bytes from `at` on.
    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let most = self.contents.size().saturating_sub(at);
        let count = usize::try_from(most).map_or(length, |most| most.min(length));
        let mut bytes = vec![0; count];
        self.contents.read(self.region, at, &mut bytes)?;
        Ok(bytes)
    }
}

/// Compares two files, and describes the first difference.
///
/// # Errors
/// If they cannot be read.
pub fn compare(
    partition: u32,
    place: &str,
    sides: &[Side<'_>; 2],
    has_room: bool,
) -> Result<Option<Difference>> {
    let [a, b] = sides;
    let longest = a.contents.size().max(b.contents.size());
    let shortest = a.contents.size().min(b.contents.size());
    let mut at = 0;
    while at < longest {
        // Holes in both are equal.
        let data = a.contents.next_data(at).min(b.contents.next_data(at));
        at = at.max(data.min(shortest));
        if at >= longest {
            break;
        }
        let pieces = [a.read(at, PIECE)?, b.read(at, PIECE)?];
        if let Some(first) = first_difference(&pieces[0], &pieces[1]) {
            // usize to u64: lossless on every target Rust has.
            let byte = at.saturating_add(first as u64);
            let details = match has_room {
                true => match text(sides, longest)? {
                    Some(lines) => lines,
                    None => hex(first, [&pieces[0], &pieces[1]], at),
                },
                false => Vec::new(),
            };
            return Ok(Some(Difference {
                layer: Layer::Files,
                partition: Some(partition),
                place: place.to_owned(),
                property: Some(format!("contents, first difference at byte {byte}")),
                a: None,
                b: None,
                details,
            }));
        }
        // As above.
        at = at.saturating_add(PIECE as u64);
    }
    Ok(None)
}

/// The lines of a text diff, if both are texts.
fn text(sides: &[Side<'_>; 2], longest: u64) -> Result<Option<Vec<String>>> {
    if longest > LONGEST_TEXT {
        return Ok(None);
    }
    let read = |side: &Side<'_>| -> Result<Option<String>> {
        let bytes = side.read(0, usize::try_from(side.contents.size())?)?;
        let is_text = !bytes.contains(&0);
        Ok(String::from_utf8(bytes).ok().filter(|_| is_text))
    };
    let (Some(a), Some(b)) = (read(&sides[0])?, read(&sides[1])?) else {
        return Ok(None);
    };
    let diff = TextDiff::configure()
        .timeout(std::time::Duration::from_millis(200))
        .diff_lines(a.as_str(), b.as_str());
    let mut unified = diff.unified_diff();
    let text = unified
        .context_radius(2)
        .missing_newline_hint(true)
        .to_string();
    let count = text.lines().count();
    let shown = text.lines().take(MOST_LINES);
    let mut lines: Vec<String> = shown
        .map(|line| escape::beginning(line.as_bytes(), 200))
        .collect();
    if count > MOST_LINES {
        lines.push(format!("… {} more lines", count.saturating_sub(MOST_LINES)));
    }
    Ok(Some(lines))
}
