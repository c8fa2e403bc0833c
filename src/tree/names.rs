//! Names stored contiguously in memory: a million small allocations would take more memory than the
//! names themselves.

use std::mem;
use std::sync::Arc;

/// Up to how many bytes of names are copied instead of moved.
const COPIED: usize = 64 << 10;

/// The bytes of a set of names; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    bytes: Arc<Vec<u8>>,
}

/// The position of a name in its [`Names`]: the offsets of its first byte and of its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Name {
    start: u32,
    end: u32,
}

impl Name {
    /// Appends `name` to `bytes`; returns `None` if the result would exceed 4 GiB.
    pub fn add(name: &[u8], bytes: &mut Vec<u8>) -> Option<Name> {
        let start = u32::try_from(bytes.len()).ok()?;
        let end = u32::try_from(bytes.len().checked_add(name.len())?).ok()?;
        bytes.extend_from_slice(name);
        Some(Name { start, end })
    }

    /// Returns the name, which must be one of `bytes`.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        // u32 to usize: lossless on every target with 32-bit pointers or wider.
        &bytes[self.start as usize..self.end as usize]
    }
}

impl Names {
    /// Takes the names in `bytes`; their positions stay valid. Leaves `bytes` empty, for further
    /// names.
    pub fn take(bytes: &mut Vec<u8>) -> Names {
        // A few names are copied, so that the buffer can be reused. Many names are moved, to avoid
        // having them in memory twice.
        let mut names = match bytes.len() > COPIED {
            true => mem::take(bytes),
            false => bytes.clone(),
        };
        bytes.clear();
        names.shrink_to_fit();
        Names {
            bytes: Arc::new(names),
        }
    }

    /// Returns one of the names.
    pub fn get(&self, name: Name) -> &[u8] {
        name.of(&self.bytes)
    }

    /// Adds `name`, without changing clones; returns `None` if the names would exceed 4 GiB.
    pub fn add(&mut self, name: &[u8]) -> Option<Name> {
        Name::add(name, Arc::make_mut(&mut self.bytes))
    }
}
