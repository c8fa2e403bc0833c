//! The guest stage, in User-Mode Linux and on an emulated machine: its time and CPU time, and how much of
//! them is that of this program, of the machine and its kernel, and of the image's own programs.
//!
//! `cargo bench --bench stage` builds images of three systems of the fixture (see `system`) on both
//! machines and without a guest, in turn, several times. MAKE_DISK_IMAGE_BENCH_RUNS sets the number of
//! rounds (5). Needs root and 8 GiB of memory.

// A benchmark that cannot continue panics, like a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/common/mod.rs"]
mod fixture;
mod image;
mod round;
mod section;
#[path = "../image/shape.rs"]
#[allow(dead_code, reason = "only one of its shapes is used here")]
mod shape;
mod system;
mod times;
#[path = "../image/tree.rs"]
#[allow(dead_code, reason = "only one of its trees is used here")]
mod tree;

use std::path::Path;

use common::page::publish;
use common::{machine, rounds, warm};
use round::Round;
use shape::Shape;
use system::System;

/// The maximum memory usage: the tree, an image and a guest.
const ROOM: u64 = 8 << 30;

fn main() {
    // cargo bench passes --bench; cargo test does not.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this is a benchmark; run it with cargo bench");
        return;
    }
    let memory = Path::new("/dev/shm");
    let room = machine::free(memory).min(machine::memory("MemAvailable"));
    assert!(
        room >= ROOM,
        "not enough memory in /dev/shm: {} GiB needed, {} GiB available",
        ROOM >> 30,
        room >> 30
    );
    let _warm = warm::up();
    let scratch = tempfile::tempdir_in(memory).unwrap();
    let store = scratch.path().join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let systems = [
        system::large(&counts, store),
        system::example(),
        system::processes(),
    ];
    for (order, system) in (90..).zip(&systems) {
        measure(system, scratch.path(), order);
    }
}

/// Measures a system, prints the figures of each round, and publishes the section at `order` on the page.
fn measure(system: &System, scratch: &Path, order: u32) {
    println!("\n{}", system.title);
    let mut all = Vec::new();
    for number in 0..rounds() {
        let round = Round::run(system, scratch, number == 0);
        println!("{round}");
        all.push(round);
    }
    publish(section::of(system, order, &all));
}
