//! Builds an image and measures the build.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;

use crate::common;
use crate::fixture::oracles;
use crate::fixture::program::Job;
use crate::system::System;

/// The hash of every path of the tree. The program does not check it, so it need not be computed.
const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

/// The resources that a build takes.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of CPU time of all its processes, those of the guest included.
    pub cpu: f64,
}

/// Builds the image of `system` with its guest on `machine`, or without a guest. Output goes to `scratch`.
/// Returns the resource usage and the program's log. If `check` is true, other programs check the image.
pub fn build(
    system: &System,
    machine: Option<&str>,
    scratch: &Path,
    check: bool,
) -> (Usage, String) {
    let mut job = match machine {
        Some(_) => system.guest.job(),
        None => system.without.job(),
    };
    if let Some(machine) = machine {
        job.on(machine);
    }
    let mut lower = String::from("/nix/store");
    if let Some(store) = &system.store {
        add(&mut job, store);
        lower = format!("{}:{lower}", store.display());
    }
    let layers = ["upper", "work"].map(|name| scratch.join(name));
    for layer in &layers {
        fs::create_dir(layer).unwrap();
    }
    // The program sees both stores as one, and leaves nothing in them.
    let script = format!(
        "mount -t overlay overlay /nix/store -o lowerdir={lower},upperdir={},workdir={}\n\
         exec \"$@\"",
        layers[0].display(),
        layers[1].display()
    );
    job.wrapped(&["unshare", "--mount", "sh", "-ec", &script, "sh"]);
    let out = layers[0].join(job.out.file_name().unwrap());
    let (begin, before) = (Instant::now(), cpu());
    let ended = job.run();
    let usage = Usage {
        seconds: begin.elapsed().as_secs_f64(),
        cpu: cpu() - before,
    };
    let said = ended.said();
    assert!(ended.output.status.success(), "{said}");
    if check {
        let (name, format, table) = system.image;
        oracles::check(&out.join(name), format, table).unwrap();
    }
    for layer in &layers {
        fs::remove_dir_all(layer).unwrap();
    }
    (usage, said)
}

/// Returns the CPU time of all children that have ended. The program waits for all processes of a guest,
/// so they count as well (getrusage(2)).
fn cpu() -> f64 {
    common::cpu(&getrusage(UsageWho::RUSAGE_CHILDREN).unwrap())
}

fn add(job: &mut Job, store: &Path) {
    let closure = job.json["closure"].as_array_mut().unwrap();
    for entry in fs::read_dir(store).unwrap() {
        let name = entry.unwrap().file_name();
        closure.push(json!({
            "path": Path::new("/nix/store").join(name),
            "narHash": HASH,
            "narSize": 1,
            "closureSize": 1,
            "references": [],
        }));
    }
}
