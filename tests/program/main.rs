//! The whole program: real `nix-build`s, guests and boots, and its behavior with bad input, tools
//! and machines. Oracles that this project did not write check every image.
//!
//! `cargo test --test program -- hostile` runs the tests of one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../common/mod.rs"]
mod common;

mod command_line;
mod compress_image;
mod determinism;
mod diff;
mod eval;
mod fixture;
mod formats;
mod growth;
mod guest;
mod guest_list;
mod guest_programs;
mod hostile;
mod hostile_guest;
mod image;
mod inspect;
mod loaders;
mod manual;
mod matrix;
mod memory;
mod next_nix;
mod nix_store;
mod plan;
mod post_vm;
mod root_size;
mod size;
mod stage;
mod terminal;
mod uml;
