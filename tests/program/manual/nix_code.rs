//! The Nix code in README and manual evaluates, with the fixture's nixpkgs.

use std::fs;

use serde_json::Value;

use super::blocks_of_kind;
use crate::common::{read_from_repository, repository};
use crate::eval::flake::flake;
use crate::eval::nix::Nix;

/// Replaces the paths and addresses of examples by those of this repository.
fn here(text: &str) -> String {
    let root = repository().display().to_string();
    text.replace("./make-disk-image/nix/", &format!("{root}/nix/"))
}

fn is_derivation(value: &Value, place: &str) {
    let path = value.as_str().unwrap_or_default();
    assert!(path.ends_with(".drv"), "{place}: {value}");
}

#[test]
fn arguments_evaluate() {
    let nix = Nix::new();
    for block in blocks_of_kind("nix,arguments") {
        let call = format!("(make {{ {} }}).drvPath", block.text);
        is_derivation(&nix.eval(&call), &block.place);
    }
}

#[test]
fn expressions_evaluate() {
    let nix = Nix::new();
    for block in blocks_of_kind("nix,expression") {
        let expression = format!("({}\n).drvPath", here(&block.text));
        is_derivation(&nix.eval(&expression), &block.place);
    }
}

/// The image of each module evaluates, and its name is that of the recipe.
#[test]
fn modules_evaluate() {
    let nix = Nix::new();
    for block in blocks_of_kind("nix,module") {
        let text = here(&block.text);
        let modules = match text.contains("image.modules.") {
            true => format!("({text}).image.modules.disk"),
            false => format!("module ({text})"),
        };
        let image =
            format!("(evalConfig {{ modules = [ {modules} ]; }}).config.system.build.image");
        let value = nix.eval(&format!(
            "let image = {image}; in {{ inherit (image) drvPath filePath; }}"
        ));
        is_derivation(&value["drvPath"], &block.place);
        let name = text.split("image.baseName = \"").nth(1);
        if let Some(name) = name.and_then(|rest| rest.split('"').next()) {
            let path = value["filePath"].as_str().unwrap();
            assert!(
                path.starts_with(&format!("{name}.")),
                "{}: {path}",
                block.place
            );
        }
    }
}

/// The names of the platforms that have a recipe, and the file that it makes.
#[test]
fn every_platform_has_a_recipe() {
    let text = read_from_repository("docs/recipes.md");
    let headings: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(
        headings,
        [
            "QEMU",
            "AWS",
            "Azure",
            "Google Compute Engine",
            "Proxmox",
            "VMware",
            "VirtualBox",
            "Hyper-V",
            "OpenStack",
            "Oracle Cloud",
            "libvirt",
            "Bare metal",
            "Tests with `qemu-vm`"
        ]
    );
    for section in text.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap();
        assert!(section.contains("```nix,module"), "{name}");
    }
}

#[test]
fn flakes_evaluate() {
    let nix = Nix::new();
    let ours = flake(&nix);
    let nixpkgs = format!(
        "path:{}",
        repository().join("tests/fixtures/nixpkgs").display()
    );
    for (index, block) in blocks_of_kind("nix,flake").iter().enumerate() {
        let directory = nix.directory().join(format!("example-{index}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("flake.nix"), &block.text).unwrap();
        let reference = format!(
            "path:{}#packages.x86_64-linux.default.drvPath",
            directory.display()
        );
        let path = nix.output(
            "nix",
            &[
                "eval",
                "--raw",
                &reference,
                "--no-write-lock-file",
                "--override-input",
                "nixpkgs",
                &nixpkgs,
                "--override-input",
                "make-disk-image",
                &ours,
                "--override-input",
                "make-disk-image/nixpkgs",
                &nixpkgs,
            ],
        );
        is_derivation(&path.into(), &block.place);
    }
}

/// They need functions of nixpkgs that the fixture does not have.
#[test]
fn other_code_is_parsed() {
    let nix = Nix::new();
    for block in blocks_of_kind("nix,syntax") {
        let file = nix.directory().join("block.nix");
        fs::write(&file, format!("{{ pkgs, image }}: {}", block.text)).unwrap();
        nix.output("nix-instantiate", &["--parse", file.to_str().unwrap()]);
    }
}
