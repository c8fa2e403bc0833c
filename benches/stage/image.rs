//! Builds an image with a large closure.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::fixture::oracles;
use crate::fixture::program::{Attributes, Job};
use crate::times::Times;

/// The hash of every path of the tree. The program does not check it, so it need not be computed.
const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

/// Builds the image of `attributes` with the paths of `store` in its closure, and returns the times of its
/// steps. With `check`, other programs check the image.
pub fn build(attributes: &Attributes, store: &Path, scratch: &Path, check: bool) -> Times {
    let mut job = attributes.job();
    add(&mut job, store);
    let layers = ["upper", "work"].map(|name| scratch.join(name));
    for layer in &layers {
        fs::create_dir(layer).unwrap();
    }
    // The program sees both stores as one, and leaves nothing in them.
    let script = format!(
        "mount -t overlay overlay /nix/store -o lowerdir={}:/nix/store,upperdir={},workdir={}\n\
         exec \"$@\"",
        store.display(),
        layers[0].display(),
        layers[1].display()
    );
    job.wrapped(&["unshare", "--mount", "sh", "-ec", &script, "sh"]);
    let out = layers[0].join(job.out.file_name().unwrap());
    let ended = job.run();
    let said = ended.said();
    assert!(ended.output.status.success(), "{said}");
    if check {
        oracles::check(&out.join("nixos.img"), "raw", "legacy").unwrap();
    }
    for layer in &layers {
        fs::remove_dir_all(layer).unwrap();
    }
    Times::read(&said)
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
