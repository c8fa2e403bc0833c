//! Images of this program, described as by the tools that check them. (A unit test reads back every
//! format.)

use std::sync::LazyLock;

use make_disk_image::diff::{self, Outcome};

use crate::common::inspect::{self, json};
use crate::common::program::Attributes;

static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(r#"onlyNixStore = true; additionalSpace = "0M"; bootSize = "64M";"#)
});

#[test]
fn they_agree_with_the_tools() {
    let mut job = ATTRIBUTES.job();
    job.table("hybrid").image("bootSize", "64M");
    let ended = job.run();
    let image = ended.image("nixos.img");
    let ours = json(&image);
    assert_eq!(ours["table"]["scheme"], "hybrid");
    let roles: Vec<_> = ours["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["role"])
        .collect();
    assert_eq!(roles, ["esp", "bios-boot", "root"]);
    inspect::agrees(&image, "raw", &image);
}

#[test]
fn two_builds_are_equal() {
    let build = || {
        let mut job = ATTRIBUTES.job();
        job.table("efi").image("bootSize", "64M");
        job.image("format", "qcow2-compressed")
            .image("compression", "zstd");
        job.run()
    };
    let (a, b) = (build(), build());
    let found = diff::compare(&a.image("nixos.qcow2"), &b.image("nixos.qcow2"), 10).unwrap();
    assert_eq!(found.outcome, Outcome::Equal, "{}", found.text);
}
