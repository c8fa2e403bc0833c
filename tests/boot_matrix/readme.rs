//! What README and docs/file-systems.md say about boots is what the matrix tests.

use std::collections::{BTreeMap, BTreeSet};

use make_disk_image::spec;

use crate::Firmware::{self, Ovmf, SeaBios};
use crate::common::markdown::{column, section, tables as tables_of};
use crate::common::{read_from_repository as read, tables};
use crate::{RAW, ROWS, types};

/// The parts of a list in a cell.
fn list(text: &str) -> BTreeSet<&str> {
    let parts = text.split(", ");
    parts.filter(|part| !part.is_empty()).collect()
}

/// The name of a boot loader in the manual.
fn named(loader: &'static str) -> &'static str {
    if loader.starts_with("grub-") {
        "GRUB"
    } else {
        loader
    }
}

/// The boot loaders that a firmware starts from a table.
fn loaders(table: &str, firmware: Firmware) -> BTreeSet<&'static str> {
    let rows = ROWS.iter();
    rows.filter(|row| row.table == table && row.firmware.contains(&firmware))
        .map(|row| named(row.loader))
        .collect()
}

/// The boot loaders that are tested with EFI variables, and those without.
fn by_variables(table: &str) -> [BTreeSet<&'static str>; 2] {
    [true, false].map(|variables| {
        let rows = ROWS.iter().filter(|row| row.table == table);
        rows.filter(|row| row.has_variables() == variables)
            .map(|row| named(row.loader))
            .collect()
    })
}

/// Compares README with the rows.
///
/// # Panics
/// If they differ.
pub fn check() -> String {
    let readme = read("README.md");
    let [bios, efi, formats] = ["BIOS", "EFI", "formats"].map(|head| tested(&readme, head));
    assert_eq!(bios.len(), tables().len());
    for table in tables() {
        let name = format!("`{table}`");
        let without_loader = types::rows()
            .iter()
            .any(|row| row.1.table == table && row.1.firmware.is_none());
        let given = "kernel and initrd given to the machine";
        assert_eq!(bios[&name] == given, without_loader, "{table}");
        if !without_loader {
            assert_eq!(list(&bios[&name]), loaders(table, SeaBios), "{table}");
        }
        let (names, variables) = efi[&name].split_once("; ").unwrap_or((&efi[&name], ""));
        assert_eq!(list(names), loaders(table, Ovmf), "{table}");
        let [with, without] = by_variables(table);
        match variables {
            "" => assert!(with.is_empty(), "{table}"),
            variables => {
                assert_eq!(variables, "with and without EFI variables");
                assert_eq!(with, without, "{table}");
            }
        }
        assert_eq!(formats[&name], "each");
    }
    every_format_boots();
    loaders_of_the_comparison(&readme);
    root_file_systems(&readme);
    format!("{} tables", tables().len())
}

/// A column of the table in "What is tested".
fn tested(readme: &str, head: &str) -> BTreeMap<String, String> {
    column(section(readme, "What is tested"), head)
}

fn every_format_boots() {
    let booted: Vec<&str> = ROWS.iter().map(|row| row.format.arguments).collect();
    for format in spec::Format::OWN {
        let argument = format!("format = \"{}\";", format.name());
        let boots = |arguments: &&str| arguments.starts_with(&argument);
        // The images of the other types are raw.
        assert!(
            booted.iter().any(boots) || boots(&RAW.arguments),
            "{argument}"
        );
    }
}

/// What README names and the matrix does not test is tested with nixpkgs, as README says.
fn loaders_of_the_comparison(readme: &str) {
    let comparison = column(readme, "this");
    let (_, names) = comparison["boot loaders"].split_once(": ").unwrap();
    let tested = ROWS.iter().map(|row| named(row.loader)).collect();
    let others: Vec<&str> = list(names).difference(&tested).copied().collect();
    assert_eq!(others, ["Limine"]);
    assert!(list(names).is_superset(&tested), "{names}");
    assert!(readme.contains("Limine is not tested without nixpkgs"));
    assert!(read("nix/checks/nixpkgs-tests.nix").contains("limine"));
}

fn root_file_systems(readme: &str) {
    let comparison = column(readme, "this");
    let names = comparison["root file systems"].to_lowercase();
    let rows = types::rows();
    let mut tested: BTreeSet<&str> = rows.iter().map(|row| row.0.kind).collect();
    // The other rows have the default.
    tested.insert("ext4");
    assert_eq!(list(&names), tested);
    for row in tables_of(&read("docs/file-systems.md"))[0].iter().skip(1) {
        for kind in list(&row[0].replace('`', "")) {
            let boots = |table: &str, loader: &str| {
                let mut rows = rows.iter().filter(|row| row.0.kind == kind);
                rows.any(|row| row.1.table == table && row.1.loader == loader)
            };
            if kind == "ext4" {
                continue;
            }
            let grub = list(&row[5]).contains("GRUB");
            assert_eq!(boots("legacy", "grub-bios"), grub, "{kind}");
            assert!(boots("none", "extlinux"), "{kind}");
            assert!(boots("efi", "systemd-boot"), "{kind}");
            assert!(boots("hybrid", "grub-hybrid"), "{kind}");
        }
    }
}
