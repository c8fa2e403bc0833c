//! What the tests of formats have in common.

pub mod disk;
pub mod dump;
