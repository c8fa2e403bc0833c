//! Every partition table and every format in real, sandboxed `nix-build`s, checked by every oracle.

use std::fs;

use crate::common::nix::{Build, Built, evaluate, nix, store};
use crate::common::{command, oracles, scratch, stdout, tables};

/// format, file name, qemu-img's format name
const FORMATS: [(&str, &str, &str); 10] = [
    ("qcow2", "nixos.qcow2", "qcow2"),
    ("qcow2-compressed", "nixos.qcow2", "qcow2"),
    ("vdi", "nixos.vdi", "vdi"),
    ("vpc", "nixos.vhd", "vpc"),
    ("vpc-fixed", "nixos.vhd", "vpc"),
    ("vmdk", "nixos.vmdk", "vmdk"),
    ("vmdk-stream-optimized", "nixos.vmdk", "vmdk"),
    ("vhdx", "nixos.vhdx", "vhdx"),
    // By qemu-img.
    ("qed", "nixos.qed", "qed"),
    ("parallels", "nixos.parallels", "parallels"),
];

fn table(table: &str) -> String {
    format!(
        r#"installBootLoader = false; copyChannel = false; additionalSpace = "0M";
           bootSize = "128M"; partitionTableType = "{table}";"#
    )
}

fn format(name: &str) -> String {
    format!(r#"{} format = "{name}";"#, table("efi"))
}

/// All of them in one `nix-build`, which is faster.
fn list(arguments: &[String]) -> Build {
    let images: Vec<_> = arguments
        .iter()
        .map(|arguments| format!("(fixture.makeDiskImage {{ {arguments} }})"))
        .collect();
    Build::expression(&format!("[ {} ]", images.join(" ")))
}

fn products(built: &Built) -> String {
    fs::read_to_string(built.out.join("nix-support/hydra-build-products")).unwrap()
}

fn names(built: &Built) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(&built.out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_table_is_valid_and_reproducible() {
    let all = tables().map(table);
    let roots = list(&all).run();
    for (name, arguments) in tables().iter().zip(&all) {
        let built = Build::image(arguments).run();
        assert_eq!(names(&built), ["nix-support", "nixos.img"], "{name}");
        let image = built.out.join("nixos.img");
        assert_eq!(
            products(&built),
            format!("file raw-image {}\n", image.display())
        );
        let read = oracles::check(&image, "raw", name);
        let found = read.map_or(0, |table| table.partitions.len());
        let expected = match *name {
            "none" => 0,
            "legacy" => 1,
            "legacy+boot" | "legacy+gpt" | "efi" => 2,
            _ => 3,
        };
        assert_eq!(found, expected, "{name}");
    }
    list(&all).again().run();
    list(&all).sandbox(false).again().run();
    drop(roots);
}

#[test]
fn every_format_holds_the_raw_disk_and_is_reproducible() {
    let raw = Build::image(&format("raw")).run();
    let raw = raw.out.join("nixos.img");
    let arguments = FORMATS.map(|(name, ..)| format(name));
    let roots = list(&arguments).run();
    for ((name, file, qemu), arguments) in FORMATS.iter().zip(&arguments) {
        let built = Build::image(arguments).run();
        assert_eq!(
            names(&built),
            ["nix-support", file].map(str::to_owned),
            "{name}"
        );
        let image = built.out.join(file);
        assert_eq!(
            products(&built),
            format!("file {qemu}-image {}\n", image.display())
        );
        oracles::check(&image, qemu, "efi");
        stdout(
            command("qemu-img")
                .args(["compare", "-f", "raw", "-F", qemu])
                .arg(&raw)
                .arg(&image),
        );
    }
    let (own, others) = arguments.split_at(8);
    list(own).again().run();
    // What qemu-img leaves random in these is unknown, and the log says so.
    for (name, arguments) in ["qed", "parallels"].iter().zip(others) {
        let derivation = format!("(fixture.makeDiskImage {{ {arguments} }}).drvPath");
        let log = stdout(nix("nix-store", true).args(["--read-log", &evaluate(&derivation)]));
        let warning = format!("random identifiers or the time into the {name} format");
        assert!(log.contains(&warning), "{log}");
    }
    drop(roots);
}

/// The NixOS manual's first example, verbatim except for file names.
const MANUAL: &str = r#"
    config = { };
    format = "qcow2";
    onlyNixStore = true;
    partitionTableType = "none";
    installBootLoader = false;
    touchEFIVars = false;
    diskSize = "auto";
    additionalSpace = "0M";
    copyChannel = false;"#;

#[test]
fn the_store_image_of_the_manual_builds_even_when_empty() {
    let built = Build::image(&format!("{MANUAL} additionalPaths = [ ];")).run();
    let image = built.out.join("nixos.qcow2");
    oracles::check(&image, "qcow2", "none");
    let scratch = scratch();
    let raw = oracles::raw_copy(&image, "qcow2", scratch.path());
    assert_eq!(oracles::debugfs_names(&raw, "/"), ["lost+found"]);
}

#[test]
fn the_store_image_of_the_manual_holds_the_closure_of_its_paths() {
    let built = Build::image(&format!(
        "{MANUAL} additionalPaths = [ fixture.pkgs.coreutils ];"
    ))
    .run();
    let image = built.out.join("nixos.qcow2");
    oracles::check(&image, "qcow2", "none");
    let scratch = scratch();
    let raw = oracles::raw_copy(&image, "qcow2", scratch.path());
    let coreutils = evaluate("\"${fixture.pkgs.coreutils}\"");
    let mut expected: Vec<_> = store(&["-qR", &coreutils])
        .iter()
        .map(|path| path.trim_start_matches("/nix/store/").to_owned())
        .chain(["lost+found".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(oracles::debugfs_names(&raw, "/"), expected);
}
