//! The sizes of every type of root file system: what an error suggests is enough, one MiB less is not,
//! and users can fill `additionalSpace`.

use serde_json::json;

use crate::common::mount::Mount;
use crate::common::oracles;
use crate::common::program::{Attributes, Job};

const MIB: u64 = 1 << 20;

/// The margin for a first boot, in bytes.
const FIRST_BOOT: u64 = 24 * MIB;

/// The types that this program writes. XFS is never smaller than 300 MiB.
const TYPES: [&str; 6] = ["btrfs", "erofs", "ext2", "ext3", "f2fs", "xfs"];

fn job(attributes: &Attributes, kind: &str, size: serde_json::Value) -> Job {
    let mut job = attributes.job();
    job.image("fsType", kind).image("diskSize", size);
    job
}

#[test]
fn an_error_suggests_the_smallest_size_of_each_type() {
    let attributes = Attributes::of(r#"partitionTableType = "efi"; bootSize = "32M";"#);
    for kind in TYPES {
        let error = job(&attributes, kind, json!(64)).run().error();
        assert!(
            error.contains("but diskSize is 64 MiB, which leaves "),
            "{kind}: {error}"
        );
        let suggested = error.split("set diskSize to at least ").nth(1).unwrap();
        let suggested: u64 = suggested.split(' ').next().unwrap().parse().unwrap();
        let enough = job(&attributes, kind, json!(suggested)).run();
        oracles::check(&enough.image("nixos.img"), "raw", "efi");
        assert!(
            !enough.said().contains("warning"),
            "{kind}: {}",
            enough.said()
        );
        // It has less than the margin, or does not fit at all.
        let less = job(&attributes, kind, json!(suggested - 1)).run();
        assert!(
            less.said().contains("diskSize is"),
            "{kind}: {}",
            less.said()
        );
    }
}

#[test]
fn users_can_fill_the_additional_space_of_each_type() {
    let attributes = Attributes::of(r#"partitionTableType = "none";"#);
    for kind in TYPES {
        let lengths = ["0M", "300M"].map(|space| {
            let mut job = job(&attributes, kind, json!("auto"));
            job.image("additionalSpace", space);
            let ended = job.run();
            let image = ended.image("nixos.img");
            oracles::check(&image, "raw", "none");
            // EROFS has no free space, and this machine's kernel may not have F2FS.
            if !["erofs", "f2fs"].contains(&kind) {
                // Mounted read-only, btrfs reports no free space at all.
                let mount = Mount::with(&["-t", kind, "-o", "loop"], &image);
                let additional = if space == "0M" { 0 } else { 300 * MIB };
                let free = mount.available();
                assert!(free >= additional + FIRST_BOOT, "{kind} {space}: {free}");
                mount.unmount();
            }
            std::fs::metadata(image).unwrap().len()
        });
        assert!(lengths[1] > lengths[0], "{kind}: {lengths:?}");
    }
}
