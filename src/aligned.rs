//! [`Aligned`]: a buffer that begins on a page.

use std::ops::{Deref, DerefMut};

/// The size of a page in bytes, as for most processors; nothing depends on it but speed.
const PAGE: usize = 4096;

/// Bytes that begin on a page, as the pages of files do that the kernel copies them from and to. Buffers of
/// the allocator may begin some bytes after a page: then an address that is read and one that is written just
/// before look the same to the processor (they agree in their last 12 bits), and copying can take half as
/// long again.
pub struct Aligned {
    bytes: Box<[u8]>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// Returns `length` zeros.
    pub fn zeros(length: usize) -> Aligned {
        let bytes: Box<[u8]> = vec![0; length.saturating_add(PAGE)].into();
        // In a Box, they stay where they are. Without an answer, the buffer is only slower.
        let start = bytes.as_ptr().align_offset(PAGE);
        let start = if start < PAGE { start } else { 0 };
        Aligned {
            bytes,
            start,
            length,
        }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_page_and_have_their_length() {
        for length in [0, 1, 4096, 1 << 20] {
            let mut buffer = Aligned::zeros(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr().align_offset(PAGE), 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
            buffer.fill(1);
            assert!(buffer.iter().all(|&byte| byte == 1));
        }
    }
}
