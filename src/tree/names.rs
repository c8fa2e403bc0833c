//! Names behind each other in one piece of memory: a million small allocations take more room than
//! the names themselves.

use std::mem;
use std::sync::Arc;

/// How many bytes of names are copied rather than moved, at most.
const COPIED: usize = 64 << 10;

/// The bytes of some names; a clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    bytes: Arc<Vec<u8>>,
}

/// The place of one name in its [`Names`]: offsets of its first byte and of the one behind it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Name {
    start: u32,
    end: u32,
}

impl Name {
    /// Adds `name` to `bytes`; `None` where they would be more than 4 GiB.
    pub fn add(name: &[u8], bytes: &mut Vec<u8>) -> Option<Name> {
        let start = u32::try_from(bytes.len()).ok()?;
        let end = u32::try_from(bytes.len().checked_add(name.len())?).ok()?;
        bytes.extend_from_slice(name);
        Some(Name { start, end })
    }

    /// The name, one of `bytes`.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        // u32 to usize: lossless on every target with 32-bit pointers or wider.
        &bytes[self.start as usize..self.end as usize]
    }
}

impl Names {
    /// The names in `bytes`, whose places are kept. Leaves `bytes` empty, for further names.
    pub fn take(bytes: &mut Vec<u8>) -> Names {
        // Few names are copied, so that their room can be used again. Many are not, lest they be
        // there twice.
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

    /// One of them.
    pub fn get(&self, name: Name) -> &[u8] {
        name.of(&self.bytes)
    }

    /// Adds `name`, here only; `None` where all would be more than 4 GiB.
    pub fn add(&mut self, name: &[u8]) -> Option<Name> {
        Name::add(name, Arc::make_mut(&mut self.bytes))
    }
}
