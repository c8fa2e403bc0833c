//! What Linux reads in our file systems, and names written by Linux that the image must keep.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::strategy::{Strategy as _, ValueTree as _};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::common::nix::Build;
use crate::common::runner::runner;
use crate::common::{listing, oracles, scratch};

#[test]
fn the_kernel_reads_every_name_that_vfat_holds() {
    let mut runner = runner("FAT_TREES", 1);
    let mut steps = names::steps(400..401)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    // Other drivers stop reading a name there.
    steps.push((0, "x\u{ffff}y".to_owned(), Some(b"end".to_vec())));
    let (tree, expected) = names::made(&steps);
    let work = scratch();
    let image = fat::make(&tools(), &volume(&tree, 64), work.path()).unwrap();
    check(&image);
    let mut listing = listing::list(&image, "raw", "/dev/vda", "vfat");
    listing.remove(Path::new(""));
    let found: BTreeMap<_, _> = listing
        .into_iter()
        .map(|(path, entry)| (path.into_os_string(), entry.sha256))
        .collect();
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(path, bytes)| {
            let hash = bytes.map(|bytes| {
                let hash = Sha256::digest(bytes);
                hash.iter().map(|byte| format!("{byte:02x}")).collect()
            });
            (OsString::from_vec(path.into_bytes()), hash)
        })
        .collect();
    assert!(expected.len() > 200);
    assert_eq!(found, expected);
}

#[test]
fn every_name_that_the_guest_s_vfat_stores_is_in_the_image() {
    let longest = ["🎉".repeat(127) + "x", "名".repeat(255)];
    let names: Vec<&str> = [
        "Größe.txt",
        "a[1].txt",
        "a b+c,d;e=f",
        "con",
        "lpt1.txt",
        "longfi~1.txt",
        "longfilename.txt",
        "\u{7f}",
        "ß",
        "ss",
        " a",
        ".hidden",
        "\u{202e}",
        "\u{fffe}",
        "{}'`#%^!@()-_~",
    ]
    .into_iter()
    .chain(longest.iter().map(String::as_str))
    .collect();
    // Each name is quoted for the shell and for a Nix string.
    let words: Vec<_> = names
        .iter()
        .map(|name| format!("'{}'", name.replace('\'', r#"'"'"'"#)).replace("''", "'''"))
        .collect();
    let built = Build::image(&format!(
        r#"loader = "systemd-boot"; partitionTableType = "efi"; copyChannel = false;
           extraInstallCommands = ''
             rm -r /boot/EFI/BOOT
             mkdir /boot/names
             for name in {}; do echo "$name" >"/boot/names/$name" || exit 1; done
           '';"#,
        words.join(" ")
    ))
    .run();
    let warning = r"the EFI system partition has no \EFI\BOOT\BOOTX64.EFI: a machine";
    assert!(built.log.contains(warning), "{}", built.log);
    let table = oracles::check(&built.out.join("nixos.img"), "raw", "efi").unwrap();
    let scratch = scratch();
    let esp = scratch.path().join("esp");
    oracles::extract(&built.out.join("nixos.img"), &table.partitions[0], &esp);
    let found = names::found(&esp);
    let found: BTreeMap<_, _> = found
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix("names/")?, bytes.clone()?)))
        .collect();
    let expected: BTreeMap<_, _> = names
        .iter()
        .map(|name| (*name, format!("{name}\n").into_bytes()))
        .collect();
    assert_eq!(found, expected);
}
