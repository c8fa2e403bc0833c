//! The commands in README and manual.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::{blocks, blocks_of_kind};
use crate::common::nix::PROGRAM;
use crate::common::program::Attributes;
use crate::common::{command, read_from_repository, repository, run, said, scratch, stdout};
use crate::eval::flake::{flake, run as run_nix};
use crate::eval::nix::Nix;

/// Runs a block in `directory`, with the program in PATH.
fn bash(directory: &Path, text: &str) -> Command {
    let program = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = command("bash");
    bash.args(["-euo", "pipefail", "-c", text])
        .env("PATH", format!("{program}:{path}:/usr/sbin:/sbin"))
        .current_dir(directory);
    bash
}

/// Each block gets the files that the pages talk about: an image and the attributes of a build.
#[test]
fn commands_run() {
    let attributes = Attributes::of(
        r#"partitionTableType = "efi"; copyChannel = false; additionalSpace = "0M"; bootSize = "40M";"#,
    );
    let job = attributes.job();
    let json = job.json.to_string();
    let ended = job.run();
    let image = ended.image("nixos.img");
    for block in blocks_of_kind("sh,run") {
        let directory = scratch();
        let copy = directory.path().join("nixos.img");
        stdout(command("cp").arg("--sparse=always").args([&image, &copy]));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(directory.path().join(".attrs.json"), &json).unwrap();
        let output = run(&mut bash(directory.path(), &block.text));
        assert!(
            output.status.success(),
            "{}: {}",
            block.place,
            said(&output)
        );
    }
}

/// The images of the comparison in README differ as it says.
#[test]
fn the_comparison_in_readme_is_real() {
    let build = |format: &str, mode: &str, motd: &str| {
        let attributes = Attributes::of(&format!(
            r#"partitionTableType = "efi"; copyChannel = false; additionalSpace = "0M"; bootSize = "40M";
               format = "{format}";
               contents = [
                 {{ source = builtins.toFile "motd" "{motd}\n"; target = "/etc/motd"; mode = "{mode}"; }}
               ];"#
        ));
        attributes.job().run()
    };
    let old = build("qcow2", "644", "Welcome.");
    let new = build("raw", "600", "Welcome to NixOS.");
    let directory = scratch();
    for (image, name) in [
        (old.image("nixos.qcow2"), "old.qcow2"),
        (new.image("nixos.img"), "new.img"),
    ] {
        symlink(image, directory.path().join(name)).unwrap();
    }
    let texts = blocks_of_kind("text");
    let mut texts = texts
        .iter()
        .filter(|block| block.place.starts_with("README.md:"));
    let shown = texts.find_map(|block| block.text.strip_prefix("$ "));
    let (line, expected) = shown.unwrap().split_once('\n').unwrap();
    let output = run(&mut bash(directory.path(), line));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
}

/// Commands that need nixpkgs or hardware are not run.
#[test]
fn other_commands_are_parsed() {
    for kind in ["sh,hardware", "sh,nixpkgs", "sh,make"] {
        for block in blocks_of_kind(kind) {
            let output = run(command("bash").args(["-n", "-c", &block.text]));
            assert!(
                output.status.success(),
                "{}: {}",
                block.place,
                said(&output)
            );
        }
    }
}

/// `make test` cannot run itself.
#[test]
fn targets_of_make_exist() {
    for block in blocks_of_kind("sh,make") {
        for line in block.text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[0], "make", "{}", block.place);
            let output = run(command("make")
                .args(["--dry-run", words[1]])
                .current_dir(repository()));
            assert!(
                output.status.success(),
                "{}: {}",
                block.place,
                said(&output)
            );
        }
    }
}

/// What README says about continuous integration.
#[test]
fn continuous_integration_runs_the_test_command_of_readme() {
    let script = read_from_repository(".ci/run");
    assert!(script.lines().any(|line| line == "make test"), "{script}");
    let readme = read_from_repository("README.md");
    let top: Vec<&str> = readme.split("\n## ").next().unwrap().lines().collect();
    for line in [
        "make image",
        "make test",
        "nix build .#image",
        "nix flake check",
    ] {
        assert!(top.iter().any(|found| found.starts_with(line)), "{line}");
    }
}

/// Packages that commands name exist in the flake: `.#image`.
#[test]
fn packages_in_commands_evaluate() {
    let nix = Nix::new();
    let flake = flake(&nix);
    let mut names: Vec<String> = Vec::new();
    for block in blocks()
        .iter()
        .filter(|block| block.kind.starts_with("sh,"))
    {
        let rest = block.text.split(".#").skip(1);
        let end = |c: char| c.is_whitespace() || c == '|';
        names.extend(rest.map(|rest| rest.split(end).next().unwrap().to_owned()));
    }
    names.sort();
    names.dedup();
    assert!(names.contains(&"image".to_owned()), "{names:?}");
    for name in names {
        let attribute = format!("{flake}#packages.x86_64-linux.{name}.drvPath");
        let path = run_nix(&nix, &["eval", "--raw"], &attribute);
        assert!(path.ends_with(".drv"), "{name}: {path}");
    }
}
