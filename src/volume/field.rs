//! Numbers and texts in the first bytes of a file system.

use uuid::Uuid;

/// Bytes whose fields beyond the end are zeros.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    /// The `N` bytes at `at`.
    pub fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().unwrap_or([0; N])
    }

    /// A little-endian number of 2 bytes.
    pub fn le16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    /// A little-endian number of 4 bytes.
    pub fn le32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    /// A little-endian number of 8 bytes.
    pub fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    /// A big-endian number of 2 bytes.
    pub fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.bytes(at))
    }

    /// A big-endian number of 4 bytes.
    pub fn be32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes(at))
    }

    /// A big-endian number of 8 bytes.
    pub fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.bytes(at))
    }

    /// A UUID.
    pub fn uuid(&self, at: usize) -> String {
        Uuid::from_bytes(self.bytes(at)).to_string()
    }

    /// A text of at most `length` bytes, padded with zeros or spaces.
    pub fn text(&self, at: usize, length: usize) -> String {
        let end = at.saturating_add(length).min(self.0.len());
        text(self.0.get(at..end).unwrap_or_default())
    }

    /// A text of at most `length` little-endian UTF-16 units, padded with zeros.
    pub fn utf16(&self, at: usize, length: usize) -> String {
        let units = (0..length).map(|unit| self.le16(at.saturating_add(unit.saturating_mul(2))));
        let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
        String::from_utf16_lossy(&units)
    }
}

/// A text, padded with zeros or spaces.
pub fn text(padded: &[u8]) -> String {
    let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}
