//! The flake, with the fixture's nixpkgs instead of the real one and without network access.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::nix::{Nix, repository};
use crate::common::read_from_repository;

/// The files of the flake. With `target/`, copying it to a store would be slow.
const SOURCES: &[&str] = &[
    "flake.nix",
    "flake.lock",
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "nix",
    "src",
];

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

/// The flake in its own directory, and its reference.
pub fn flake(nix: &Nix) -> String {
    let copied: PathBuf = nix.directory().join("flake");
    std::fs::create_dir(&copied).unwrap();
    for source in SOURCES {
        copy(&repository().join(source), &copied.join(source));
    }
    format!("path:{}", copied.display())
}

/// Runs `nix <command> <flake><attribute>`.
pub fn run(nix: &Nix, command: &[&str], reference: &str) -> String {
    let nixpkgs = format!(
        "path:{}",
        repository().join("tests/fixtures/nixpkgs").display()
    );
    let mut arguments = command.to_vec();
    arguments.extend([
        reference,
        "--no-write-lock-file",
        "--override-input",
        "nixpkgs",
        &nixpkgs,
    ]);
    nix.output("nix", &arguments)
}

#[test]
fn flake_check_evaluates_everything() {
    let nix = Nix::new();
    let flake = flake(&nix);
    run(&nix, &["flake", "check", "--no-build"], &flake);
}

#[test]
fn flake_show_lists_the_outputs() {
    let nix = Nix::new();
    let flake = flake(&nix);
    let shown = run(&nix, &["flake", "show"], &flake);
    for part in [
        "package 'nixos-disk-image'",
        "package 'make-disk-image-",
        "package 'uml-kernel-",
        "derivation 'check-store-image'",
        "development environment 'nix-shell'",
        "package 'nixfmt-tree'",
        "NixOS module",
        "hydraJobs",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
}

#[test]
fn the_image_and_the_function_evaluate_for_each_system() {
    let nix = Nix::new();
    let flake = flake(&nix);
    for system in ["x86_64-linux", "aarch64-linux"] {
        let attribute = |name: &str| format!("{flake}#packages.{system}.{name}");
        let image = run(&nix, &["eval", "--raw"], &attribute("image.filePath"));
        assert_eq!(image, "nixos.qcow2");
        let path = |name: &str| run(&nix, &["eval", "--raw"], &attribute(name));
        assert_eq!(path("default.drvPath"), path("make-disk-image.drvPath"));

        // By default, the function uses the flake's own program.
        let call = format!(
            "make: (make {{ pkgs = (builtins.getFlake \"path:{}\").legacyPackages.{system}; \
             lib = import {}; config = {{ }}; onlyNixStore = true; installBootLoader = false; }}).builder",
            repository().join("tests/fixtures/nixpkgs").display(),
            repository().join("tests/fixtures/lib.nix").display(),
        );
        let builder = run(
            &nix,
            &["eval", "--raw", "--impure", "--apply", &call],
            &format!("{flake}#lib.makeDiskImage"),
        );
        assert_eq!(
            builder,
            format!("{}/bin/make-disk-image", path("default.outPath"))
        );
    }
}

/// Each file in nix/checks is a check, and Hydra builds all except nixpkgs' own tests.
#[test]
fn checks_are_the_files_of_the_directory() {
    let nix = Nix::new();
    let flake = flake(&nix);
    let mut files: Vec<String> = std::fs::read_dir(repository().join("nix/checks"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .replace(".nix", "")
        })
        .collect();
    files.sort();
    for place in [
        "checks.x86_64-linux",
        "checks.aarch64-linux",
        "hydraJobs.checks.x86_64-linux",
    ] {
        let names = run(
            &nix,
            &["eval", "--json", "--apply", "builtins.attrNames"],
            &format!("{flake}#{place}"),
        );
        let mut expected = files.clone();
        if place.starts_with("hydraJobs") {
            expected.retain(|name| name != "nixpkgs-tests");
        }
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&names).unwrap(),
            expected,
            "{place}"
        );
    }
}

/// nixpkgs' tests evaluate and use our function for their images: the fixture's own function
/// throws.
#[test]
fn nixpkgs_tests_use_our_function() {
    let nix = Nix::new();
    let flake = flake(&nix);
    let everywhere = [
        "grow-partition",
        "image-contents",
        "qemu-vm-external-disk-image",
        "systemd-repart-basic",
        "systemd-repart-create-root",
    ];
    let on_x86 = [
        "limine-bios",
        "systemd-boot-basicXbootldr",
        "systemd-boot-entryFilenameXbootldr",
    ];
    for (system, more) in [("x86_64-linux", &on_x86[..]), ("aarch64-linux", &[])] {
        let mut names = [&everywhere[..], more].concat();
        names.sort_unstable();
        let told = run(
            &nix,
            &[
                "eval",
                "--json",
                "--apply",
                "check: builtins.mapAttrs (name: path: { inherit path; inherit (check.${name}.image) builder; \
                 same = \"${path}\" == check.${name}.outPath; }) check.entries",
            ],
            &format!("{flake}#checks.{system}.nixpkgs-tests"),
        );
        let told: BTreeMap<String, Value> = serde_json::from_str(&told).unwrap();
        assert_eq!(told.keys().collect::<Vec<_>>(), names);
        let package = run(
            &nix,
            &["eval", "--raw"],
            &format!("{flake}#packages.{system}.make-disk-image"),
        );
        for (name, test) in told {
            assert_eq!(test["same"], true, "{name}: {test}");
            assert_eq!(
                test["builder"],
                format!("{package}/bin/make-disk-image"),
                "{name}"
            );
        }
    }
}

/// An older nixpkgs lacks some of the tests.
#[test]
fn missing_nixpkgs_tests_are_skipped_with_a_warning() {
    let (names, told) = edited_nixpkgs_tests("nixos/tests/all-tests.nix", |text: &str| {
        text.replace("limine = ", "unheard-of = ")
    });
    assert_eq!(
        names,
        [
            "grow-partition",
            "image-contents",
            "qemu-vm-external-disk-image",
            "systemd-boot-basicXbootldr",
            "systemd-boot-entryFilenameXbootldr",
            "systemd-repart-basic",
            "systemd-repart-create-root",
        ]
    );
    let warning = "this nixpkgs has no test limine";
    assert_eq!(told.matches(warning).count(), 1, "{told}");
}

/// Otherwise each machine of each test would keep its own copy of all NixOS modules in memory.
#[test]
fn nixpkgs_tests_read_a_file_once() {
    let (names, told) = edited_nixpkgs_tests("nixos/tests/test.nix", |text: &str| {
        format!("builtins.trace \"test.nix is read\" ({text})")
    });
    assert_eq!(names.len(), 8);
    assert_eq!(told.matches("test.nix is read").count(), 1, "{told}");
}

/// The names of nixpkgs' tests, all evaluated with one file of the fixture's nixpkgs changed, and
/// Nix's output.
fn edited_nixpkgs_tests(file: &str, edit: impl Fn(&str) -> String) -> (Vec<String>, String) {
    let nix = Nix::new();
    let nixpkgs = nix.directory().join("nixpkgs");
    copy(&repository().join("tests/fixtures/nixpkgs"), &nixpkgs);
    let file = nixpkgs.join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, edit(&text)).unwrap();
    let expression = format!(
        "let nixpkgs = {nixpkgs}; check = import {nix}/checks/nixpkgs-tests.nix {{ \
         pkgs = import (nixpkgs + \"/pkgs.nix\") {{ system = \"x86_64-linux\"; }}; \
         lib = import (nixpkgs + \"/lib\"); makeDiskImage = import {nix}/make-disk-image.nix; }}; \
         in builtins.mapAttrs (_: toString) check.entries",
        nixpkgs = nixpkgs.display(),
        nix = repository().join("nix").display(),
    );
    let arguments = ["--eval", "--strict", "--json", "--expr", &expression];
    let output = nix.run("nix-instantiate", &arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let entries: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    (entries.into_keys().collect(), told)
}

#[test]
fn nixpkgs_is_pinned() {
    let text = read_from_repository("flake.lock");
    let lock: Value = serde_json::from_str(&text).unwrap();
    let locked = &lock["nodes"]["nixpkgs"]["locked"];
    assert_eq!(locked["rev"], "e2587caef70cea85dd97d7daab492899902dbf5d");
    assert_eq!(
        locked["narHash"],
        "sha256-wWFrV5/Qbm+lyt5x20E/bSbfJiGKMo4RCxZV8cl/WZI="
    );
    assert_eq!(locked["lastModified"], 1_784_796_856);
}

/// The package's source has all files that build the program, and only those.
#[test]
fn the_package_is_made_of_the_sources_of_the_program() {
    let nix = Nix::new();
    nix.derivation("pkgs.callPackage package { }");
    let source = nix.eval("(pkgs.callPackage package { }).src.outPath");
    let mut names: Vec<_> = std::fs::read_dir(nix.real_path(source.as_str().unwrap()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["Cargo.lock", "Cargo.toml", "clippy.toml", "src"]);
}
