//! Damaged file systems.

use std::path::Path;

use super::damage::{Damage, are_refused, file};
use super::limited;
use crate::common::scratch;
use crate::inspect::script;

const DAMAGES: [Damage; 6] = [
    // Inode 2, the top directory, is the second one of the inode table.
    file(
        "ext",
        &[(1024 + 24, &[40])],
        "0",
        "the superblock declares blocks of 2^50 bytes",
    ),
    file(
        "ext",
        &[(1024 + 4, &[0xff; 4])],
        "0",
        "the superblock declares 4294967295 blocks of 1024 bytes",
    ),
    file(
        "ext",
        &[(2048 + 8, &[0xff; 4])],
        "0",
        "the inode table of group 0 is at block 4294967295",
    ),
    file(
        "fat",
        &[(13, &[3])],
        "0",
        "it declares clusters of 3 sectors",
    ),
    file(
        "fat",
        &[(22, &[0xff; 2])],
        "0",
        "it declares fewer sectors than the allocation tables have",
    ),
    file(
        "fat",
        &[(512 + 3, &[0x02, 0x20, 0x00])],
        "0:/d",
        "its chain of clusters is a circle: the file system is damaged",
    ),
];

/// Makes an ext4 and a FAT file system.
fn bases(directory: &Path) {
    script(
        r#"cd "$1"
        mkdir tree tree/d; seq 1000 >tree/d/file
        mkfs.ext4 -q -b 1024 -O ^metadata_csum,^resize_inode -d tree ext 4M
        mkfs.fat -F 12 -S 512 -s 1 -r 16 -C fat 512 >&2
        mcopy -s -i fat tree/d ::"#,
        &[directory],
    );
}

#[test]
fn damaged_file_systems_are_refused_with_the_reason() {
    let directory = scratch();
    bases(directory.path());
    are_refused(directory.path(), &DAMAGES);
}

#[test]
fn a_tree_of_directories_that_is_a_circle_is_listed_once() {
    let directory = scratch();
    bases(directory.path());
    let image = directory.path().join("ext");
    // The entry `file` of the directory `d` becomes `d` itself.
    script(
        r#"debugfs -w -f /dev/stdin "$1" >&2 <<END
rm d/file
link d d/circle
set_inode_field lost+found block[0] 0
END"#,
        &[&image],
    );
    let (code, text) = limited("inspect", ["-r".as_ref(), image.as_path(), "0".as_ref()]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(
            "/d/circle: the directory is also somewhere else: the file system is damaged"
        ),
        "{text}"
    );
}

#[test]
fn a_journal_with_changes_is_reported() {
    let directory = scratch();
    bases(directory.path());
    let image = directory.path().join("ext");
    script(
        r#"debugfs -w -R 'feature needs_recovery' "$1" >&2"#,
        &[&image],
    );
    let (code, text) = limited("inspect", [&image]);
    let problem = "problem: the file system: the journal has changes that are not applied yet";
    assert!(code == 0 && text.contains(problem), "{text}");
}

#[test]
fn a_file_cannot_be_longer_than_the_format_allows() {
    let directory = scratch();
    bases(directory.path());
    let image = directory.path().join("ext");
    for (flags, most) in [("0x80000", 4_398_046_511_104_u64), ("0", 17_247_252_480)] {
        let change = format!(
            "set_inode_field d/file size 9000000000000000000\nset_inode_field d/file flags {flags}\n"
        );
        let commands = directory.path().join("commands");
        std::fs::write(&commands, change).unwrap();
        script(r#"debugfs -w -f "$2" "$1" >&2"#, &[&image, &commands]);
        let place = [image.as_os_str(), "0:/d/file".as_ref()];
        let (code, text) = limited("inspect", place);
        let message = format!(
            "its length is 9000000000000000000 bytes, but it can have at most {most}: the file system is \
             damaged"
        );
        assert!(code == 1 && text.contains(&message), "{text}");
    }
}
