//! Images of this program in every format, described as by the tools that check them.

use std::sync::LazyLock;

use make_disk_image::diff::{self, Outcome};

use super::{agreement, json};
use crate::common::oracles;
use crate::common::program::Attributes;
use crate::common::scratch;
use crate::formats::FORMATS;

static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(r#"onlyNixStore = true; additionalSpace = "0M"; bootSize = "64M";"#)
});

#[test]
fn they_agree_with_the_tools_in_every_format() {
    let mut raw = None;
    for format in FORMATS {
        let Some(qemu) = format.qemu else { continue };
        let mut job = ATTRIBUTES.job();
        job.table("hybrid").image("bootSize", "64M");
        format.select(&mut job.json["image"]);
        let ended = job.run();
        let image = ended.image(format.file);
        let ours = json(&image);
        assert_eq!(ours["table"]["scheme"], "hybrid");
        let roles: Vec<_> = ours["partitions"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
        assert_eq!(roles, ["esp", "bios-boot", "root"]);
        if qemu == "raw" {
            agreement::table(&image, &ours);
            agreement::fat(&image, "1", &ours["partitions"][0]);
            agreement::ext(&image, "3", &ours["partitions"][2]);
            raw = Some((image.clone(), ended));
            continue;
        }
        let (raw, _) = raw.as_ref().unwrap();
        let found = diff::compare(raw, &image, 10).unwrap();
        // A fixed VHD has whole MiB.
        let directory = scratch();
        let copy = oracles::raw_copy(&image, qemu, directory.path());
        let same = diff::compare(&copy, &image, 10).unwrap();
        assert_eq!(same.outcome, Outcome::Equal, "{}: {}", format.name(), same.text);
        let is_fixed = format.name().contains("fixed");
        assert!(found.outcome == Outcome::Equal || is_fixed, "{}: {}", format.name(), found.text);
    }
}

#[test]
fn two_builds_are_equal() {
    let build = || {
        let mut job = ATTRIBUTES.job();
        job.table("efi").image("bootSize", "64M");
        job.image("format", "qcow2-compressed").image("compression", "zstd");
        job.run()
    };
    let (a, b) = (build(), build());
    let found = diff::compare(&a.image("nixos.qcow2"), &b.image("nixos.qcow2"), 10).unwrap();
    assert_eq!(found.outcome, Outcome::Equal, "{}", found.text);
}
