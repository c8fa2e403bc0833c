//! What the tests of formats have in common.

pub mod disk;
pub mod dump;
mod read_back;

use crate::image::Image;

/// A disk without bytes.
pub static EMPTY: Image = Image {
    length: 0,
    parts: Vec::new(),
};
