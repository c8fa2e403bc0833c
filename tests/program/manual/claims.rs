//! What README and manual claim is so. `tests/boot_matrix/readme.rs` checks what they say about boots.

use std::collections::BTreeSet;

use make_disk_image::scheme::{PartitionTable, Role, TableKind};
use make_disk_image::spec::Format;
use serde_json::json;

use crate::common::markdown::{column, section, tables};
use crate::common::{command, read_from_repository as read, repository, stdout};
use crate::eval::nix::Nix;

/// A cell of the column "this" in README's comparison.
fn this(row: &str) -> String {
    column(&read("README.md"), "this")
        .remove(row)
        .unwrap_or_else(|| panic!("no row {row:?}"))
}

/// The parts of a list in a cell, in lower case.
fn list(text: &str) -> BTreeSet<String> {
    text.split(", ").map(str::to_lowercase).collect()
}

#[test]
fn kvm_is_not_needed() {
    assert_eq!(this("KVM on the builder"), "not needed");
    let features = &Nix::new().attributes("make { }")["requiredSystemFeatures"];
    assert_eq!(*features, json!([]));
}

#[test]
fn the_partition_tables_exist() {
    let mut expected = BTreeSet::new();
    for scheme in PartitionTable::ALL.map(PartitionTable::scheme) {
        let boot = scheme.fat_partitions();
        let efi = boot
            .iter()
            .any(|(partition, _)| partition.role == Role::Esp);
        let kind = match scheme.kind {
            TableKind::None => "none",
            TableKind::Mbr => "mbr",
            TableKind::Gpt if scheme.bios && efi => "hybrid",
            TableKind::Gpt => "gpt",
        };
        expected.insert(kind.to_owned());
    }
    assert_eq!(list(&this("partition tables")), expected);
}

/// nix/file-systems.nix is compared with the program elsewhere.
#[test]
fn the_root_file_systems_exist() {
    let file = repository().join("nix/file-systems.nix");
    let kinds = Nix::new().eval(&format!("import {}", file.display()));
    let kinds = kinds.as_object().unwrap();
    let names: BTreeSet<String> = kinds.keys().cloned().collect();
    assert_eq!(list(&this("root file systems")), names);

    let page = read("docs/file-systems.md");
    let mut documented = BTreeSet::new();
    for row in tables(&page)[0].iter().skip(1) {
        for name in list(&row[0].replace('`', "")) {
            let kind = &kinds[&name];
            assert_eq!(kind["readOnly"], json!(row[1] == "read-only"), "{name}");
            let grows = row[4] == "yes" || row[4] == name;
            assert_eq!(kind["grows"], json!(grows), "{name}");
            documented.insert(name);
        }
    }
    assert_eq!(documented, names);
}

#[test]
fn the_formats_exist() {
    let cell = this("formats");
    let (containers, compressed) = cell.split_once("; ").unwrap();
    assert_eq!(compressed, "compressed");
    let own = Format::OWN;
    assert!(
        own.iter()
            .any(|format| format.name().ends_with("-compressed"))
    );
    let names = own.iter().map(|format| match format {
        Format::Raw => "raw".to_owned(),
        other => other.extension().to_owned(),
    });
    assert_eq!(list(containers), names.collect());

    let documented = tables(&read("docs/formats.md"))
        .remove(0)
        .into_iter()
        .skip(1);
    let documented: Vec<[String; 2]> = documented
        .map(|row| [0, 1].map(|at| row[at].replace('`', "")))
        .collect();
    let own = own.map(|format| [format.name().to_owned(), format.extension().to_owned()]);
    assert_eq!(documented, own);
}

#[test]
fn the_requirements_are_those_of_the_program() {
    let readme = read("README.md");
    let requirements = section(&readme, "Requirements");
    let package = read("Cargo.toml");
    let field = |name: &str| {
        let start = format!("{name} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap().trim_end_matches('"').to_owned()
    };
    let version = field("version");
    let (series, _) = version.rsplit_once('.').unwrap();
    // "nix (Nix) 2.8.0"
    let nix = stdout(command("nix").arg("--version"));
    let nix: Vec<&str> = nix.split(&[' ', '.'][..]).collect();
    for claim in [
        format!("- Nix {}.{} or later.", nix[2], nix[3]),
        format!("a nixpkgs with Rust {} or later", field("rust-version")),
        format!("The version is {series}:"),
        format!("The licence is [{}](LICENSE).", field("license")),
    ] {
        assert!(requirements.contains(&claim), "{claim}");
    }
    assert!(read("LICENSE").starts_with(&format!("{} License", field("license"))));
}
