//! Damaged and hostile images: each is described, or refused with the reason, within 2 seconds and 200
//! MiB.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::images::{self, Gpt, SECTORS, put, sum};
use super::script;
use crate::common::nix::PROGRAM;
use crate::common::{command, run, said, scratch};

/// The longest time that a description may take. Other tests run at the same time.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs `inspect` with these arguments in 200 MiB of address space. Returns the exit status, and the
/// output or the error.
fn limited(image: &Path, arguments: &[&str]) -> (i32, String) {
    let line = r#"ulimit -v 204800; exec "$0" inspect "$@""#;
    let mut bash = command("bash");
    bash.args(["-c", line, PROGRAM]).arg(image).args(arguments);
    let begin = Instant::now();
    let output = run(&mut bash);
    let text = said(&output);
    assert!(begin.elapsed() < LIMIT, "{:?}: {text}", begin.elapsed());
    let code = output
        .status
        .code()
        .unwrap_or_else(|| panic!("{}: {text}", output.status));
    assert!(!text.contains("panicked") && text.len() < 20_000, "{text}");
    (code, text)
}

/// The output of `inspect` for the bytes, or its error.
fn describe(bytes: &[u8]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    match limited(file.path(), &[]) {
        (0, text) => Ok(text),
        (_, error) => Err(error),
    }
}

/// A GPT with a change in the header, and in the backup header unless `first` is set.
fn changed(first: bool, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut disk = Gpt::usual().disk();
    put(&mut disk, 512 + at, bytes);
    if !first {
        put(&mut disk, (SECTORS - 1) * 512 + at, bytes);
    }
    sum(&mut disk);
    disk
}

/// The output from the table of partitions on.
fn partitions(output: &str) -> String {
    output.split(" #  role").nth(1).unwrap().to_owned()
}

#[test]
fn entries_and_headers_may_be_larger_than_usual() {
    let usual = describe(&Gpt::usual().disk()).unwrap();
    assert!(
        usual.contains("GPT 07070707-0707-0707-0707-070707070707")
            && usual.contains(" 1  other            20           29  5.00 KiB")
            && usual.contains("type 01010101-0101-0101-0101-010101010101, name \"name\""),
        "{usual}"
    );
    for size in [256, 512, 1024] {
        let disk = Gpt {
            size,
            ..Gpt::usual()
        }
        .disk();
        assert_eq!(
            partitions(&describe(&disk).unwrap()),
            partitions(&usual),
            "{size}"
        );
    }
    let disk = Gpt {
        header: 512,
        ..Gpt::usual()
    }
    .disk();
    assert_eq!(partitions(&describe(&disk).unwrap()), partitions(&usual));
}

#[test]
fn a_damaged_table_is_read_from_its_backup() {
    let usual = describe(&Gpt::usual().disk()).unwrap();
    assert!(!usual.contains("backup"), "{usual}");
    for (at, byte) in [(512, b'x'), (512 + 20, 1), (512 + 90, 9), (1024, 9)] {
        let mut disk = Gpt::usual().disk();
        put(&mut disk, at, &[byte]);
        let text = describe(&disk).unwrap();
        assert!(
            partitions(&text).starts_with(&partitions(&usual)),
            "{at}: {text}"
        );
        assert!(text.contains("problem: read from its backup: "), "{text}");
    }
    let mut disk = Gpt::usual().disk();
    put(&mut disk, (SECTORS - 1) * 512, b"x");
    let text = describe(&disk).unwrap();
    assert!(
        text.contains("problem: its backup cannot be used: no header at byte 32256"),
        "{text}"
    );
}

#[test]
fn hostile_tables_are_refused_with_the_reason() {
    let with = |partitions: &[(u64, u64)]| Gpt {
        partitions: partitions.to_vec(),
        ..Gpt::usual()
    };
    let mut mbr = images::mbr();
    put(&mut mbr, 458, &[0xff; 4]);
    let mut overlapping_mbr = images::mbr();
    put(&mut overlapping_mbr, 458, &[21]);
    let usual = Gpt::usual().disk();
    for (disk, message) in [
        (
            changed(false, 80, &[0xff; 4]),
            "a header declares 4294967295 entries of 128 bytes, but at most 4194304 bytes of entries \
             are supported",
        ),
        (
            changed(false, 80, &[0, 64, 0, 0]),
            "the table ends at byte 2098176, but the image ends at 32768",
        ),
        (
            changed(false, 84, &[0; 4]),
            "declares an invalid entry size of 0 bytes",
        ),
        (
            changed(false, 84, &[127]),
            "declares an invalid entry size of 127 bytes",
        ),
        (
            changed(false, 84, &[0, 32]),
            "declares an invalid entry size of 8192 bytes",
        ),
        (
            changed(false, 84, &[0xff; 4]),
            "declares an invalid entry size of 4294967295 bytes",
        ),
        (
            changed(false, 72, &[0xff; 8]),
            "the first sector of the table is out of range: 18446744073709551615",
        ),
        (
            changed(false, 12, &[0xff; 4]),
            "declares an invalid length of 4294967295 bytes",
        ),
        (
            changed(false, 12, &[91]),
            "declares an invalid length of 91 bytes",
        ),
        (
            changed(false, 24, &[0xff; 8]),
            "claims to be in sector 18446744073709551615",
        ),
        (
            changed(true, 32, &[200]),
            "the image is truncated: its partition table is for a disk of 102912 bytes, but it has 32768",
        ),
        (
            changed(true, 32, &[0xff; 8]),
            "a disk of more than 2^64 bytes",
        ),
        (
            with(&[(30, 20)]).disk(),
            "partition 1 has invalid sectors: 30 to 20",
        ),
        (
            with(&[(0, u64::MAX)]).disk(),
            "partition 1 has invalid sectors: 0 to 18446744073709551615",
        ),
        (
            with(&[(20, 1 << 40)]).disk(),
            "partition 1 ends at byte 562949953421824, but the image ends at 32768: it is truncated",
        ),
        (
            with(&[(20, 40), (30, 43)]).disk(),
            "partition 2 begins at byte 15360, and partition 1 ends at 20992: they overlap",
        ),
        (
            mbr,
            "partition 1 ends at byte 2199023256064, but the image ends at 32768: it is truncated",
        ),
        (overlapping_mbr, "they overlap"),
        (Vec::new(), "the file is empty"),
        (
            usual[..511].to_vec(),
            "too small for a disk image: 511 bytes",
        ),
        (
            usual[..700].to_vec(),
            "a GPT header ends at byte 1024, but the image ends at 700: it is truncated",
        ),
        (
            usual[..60 * 512].to_vec(),
            "the image is truncated: its partition table is for a disk of 32768 bytes, but it has 30720",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(0)),
            "reading the logical partitions in the extended partition 1: the record at byte 1024 is in \
             the chain of records twice: the chain is a circle",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(1000)),
            "a record is at byte 513024, but the extended partition ends at 31744",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(40)),
            "there is no record at byte 21504",
        ),
        (
            images::chain(&[(1, 2), (5, 1000)], None),
            "partition 6 ends at byte 521728, but the image ends at 32768: it is truncated",
        ),
    ] {
        let error = describe(&disk).unwrap_err();
        assert!(error.contains("inspecting /"), "{error}");
        assert!(error.contains(message), "{message}: {error}");
    }
}

/// A damaged image: the base from which it is made, what is written where, and what the error says.
struct Damage {
    base: &'static str,
    writes: &'static [(u64, &'static [u8])],
    /// The new length, if it is another one.
    length: Option<u64>,
    /// Other arguments.
    place: Option<&'static str>,
    message: &'static str,
}

const fn damage(
    base: &'static str,
    writes: &'static [(u64, &'static [u8])],
    message: &'static str,
) -> Damage {
    Damage {
        base,
        writes,
        length: None,
        place: None,
        message,
    }
}

const fn cut(base: &'static str, length: u64, message: &'static str) -> Damage {
    Damage {
        length: Some(length),
        ..damage(base, &[], message)
    }
}

const fn file(
    base: &'static str,
    writes: &'static [(u64, &'static [u8])],
    place: &'static str,
    message: &'static str,
) -> Damage {
    Damage {
        place: Some(place),
        ..damage(base, writes, message)
    }
}

/// Containers: offsets are those of what `qemu-img` writes. File systems: see [`bases`].
const DAMAGES: [Damage; 45] = [
    damage(
        "qcow2",
        &[(4, b"\0\0\0\x09")],
        "version 9 of the format is not supported",
    ),
    damage(
        "qcow2",
        &[(20, b"\0\0\0\x40")],
        "clusters of 2^64 bytes, but only 2^9 to 2^21",
    ),
    damage(
        "qcow2",
        &[(24, &[0x7f; 8])],
        "a disk of 9187201950435737471 bytes, more than the format",
    ),
    damage(
        "qcow2",
        &[(36, &[0; 4])],
        "the L1 table has 0 entries, but 1 are needed",
    ),
    damage(
        "qcow2",
        &[(40, b"\0\0\0\x01")],
        "the L1 table of 8 bytes begins at byte 4295163904",
    ),
    damage(
        "qcow2",
        &[(41, b"\x01")],
        "the L1 table of 8 bytes begins at byte 281474976907264",
    ),
    damage(
        "qcow2",
        &[(72, &[0xff; 8])],
        "it has an external data file, which is not supported",
    ),
    damage(
        "qcow2",
        &[(72, b"\x01")],
        "it has features that are not known: bits 0x100000000000000",
    ),
    damage(
        "qcow2",
        &[(100, &[0xff; 4])],
        "an invalid length of 4294967295 bytes",
    ),
    damage(
        "qcow2",
        &[(0x3_0000, &[0x80, 0, 0, 0, 0, 3, 0, 0])],
        "L2 table 0 is at byte 196608 of the file, which is also in use",
    ),
    damage(
        "qcow2",
        &[(0x4_0008, &[0x80, 0, 0, 0, 0, 5, 0, 0])],
        "cluster 1 of the disk is at byte 327680 of the file, which is also in use",
    ),
    damage(
        "qcow2",
        &[(0x4_0000, &[0x80, 0, 0, 9, 0, 5, 0, 0])],
        "cluster 0 of the disk is at byte 38655033344 of the file, which has",
    ),
    damage(
        "qcow2",
        &[(0x4_0000, &[0x40, 0xff, 0, 0, 0, 5, 0, 1])],
        "the data of cluster 0 begins at byte",
    ),
    cut("qcow2", 100, "the header declares an invalid length"),
    cut(
        "qcow2",
        0x4_0000,
        "an L2 table of 65536 bytes begins at byte 262144 of the file, which ends at 262144",
    ),
    damage(
        "qcow2c",
        &[(0x5_0000, &[0xff; 64])],
        "decompressing the block of the disk from byte 0 on, at byte 327680 of the file: the compressed data is damaged",
    ),
    damage(
        "qcow2z",
        &[(0x5_0000, &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff])],
        "decompressing the block of the disk from byte 0 on",
    ),
    damage(
        "vdi",
        &[(0x44, b"\x09")],
        "version 1.9 of the format is not supported, only 1.1",
    ),
    damage(
        "vdi",
        &[(0x4c, b"\x04")],
        "it is a differencing image, which is incomplete",
    ),
    damage(
        "vdi",
        &[(0x178, &[0; 4])],
        "the header declares blocks of 0 bytes",
    ),
    damage(
        "vdi",
        &[(0x170, &[0xff; 8])],
        "the block map has 16 entries, but 17592186044416 are needed",
    ),
    damage(
        "vdi",
        &[(0x204, &[0; 4])],
        "block 1 of the disk is at byte 1024 of the file, which is also in use",
    ),
    damage(
        "vdi",
        &[(0x200, &[0xff, 0xff, 0, 0])],
        "block 0 of the disk begins at byte 68718429184",
    ),
    Damage {
        length: Some(0x20_0000),
        ..damage("vhd", &[(41, b"x")], "there is no footer")
    },
    damage(
        "vhd",
        &[(512, b"x")],
        "there is no dynamic disk header at byte 512",
    ),
    damage(
        "vhd",
        &[(512 + 33, b"x")],
        "checking the dynamic disk header: its checksum is",
    ),
    damage(
        "vhd",
        &[(1536, &[0, 1, 0, 0])],
        "block 0 of the disk begins at byte 33554944 of the file",
    ),
    damage(
        "vmdk",
        &[(4, &[9])],
        "version 9 of the format is not supported, only 1 to 3",
    ),
    damage(
        "vmdk",
        &[(12, &[0xff; 8])],
        "the header declares a disk of 18446744073709551615 sectors",
    ),
    damage(
        "vmdk",
        &[(20, &[3])],
        "the header declares grains of 3 sectors",
    ),
    damage(
        "vmdk",
        &[(44, &[0; 4])],
        "the header declares grain tables of 0 entries",
    ),
    damage(
        "vmdk",
        &[(56, &[0xff, 0xff, 0xff])],
        "the grain directory of 4 bytes begins at byte 8589934080",
    ),
    damage(
        "vmdk",
        &[(36, &[0xff; 8])],
        "the header declares a descriptor of",
    ),
    damage(
        "vmdks",
        &[(0x1_0000, &[7])],
        "claims to be that of sector 7, but grain 0 of the disk is expected",
    ),
    cut(
        "vmdks",
        9000,
        "the descriptor of 10240 bytes begins at byte 512 of the file, which ends at 9000",
    ),
    damage(
        "vhdx",
        &[(0x1_0000, b"x"), (0x2_0000, b"x")],
        "there is no header at byte 65536",
    ),
    damage(
        "vhdx",
        &[(0x3_0010, b"x"), (0x4_0010, b"x")],
        "the checksum of the region table at byte 196608 does not match",
    ),
    damage(
        "vhdx",
        &[(0x20_0000, &[5])],
        "block 0 of the disk has the invalid state 5",
    ),
    damage(
        "vhdx",
        &[(0x20_0003, &[0, 0, 1])],
        "block 0 of the disk begins at byte 1099520016384 of the file",
    ),
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

/// Makes an image of every kind, each of 16 MiB with a partition table; and file systems.
fn bases(directory: &Path) {
    script(
        r#"cd "$1"
        truncate -s 16M raw
        printf 'label: dos\nstart=2048, type=83\n' | sfdisk -q raw
        head -c 1000000 /dev/urandom | dd of=raw bs=1M seek=2 conv=notrunc status=none
        qemu-img convert -O qcow2 raw qcow2
        qemu-img convert -c -O qcow2 raw qcow2c
        qemu-img convert -c -O qcow2 -o compression_type=zstd raw qcow2z
        qemu-img convert -O vdi raw vdi
        qemu-img convert -O vpc -o force_size=on raw vhd
        qemu-img convert -O vmdk raw vmdk
        qemu-img convert -O vmdk -o subformat=streamOptimized raw vmdks
        qemu-img convert -O vhdx raw vhdx
        mkdir tree tree/d; seq 1000 >tree/d/file
        mkfs.ext4 -q -b 1024 -O ^metadata_csum,^resize_inode -d tree ext 4M
        mkfs.fat -F 12 -S 512 -s 1 -r 16 -C fat 512 >&2
        mcopy -s -i fat tree/d ::"#,
        &[directory],
    );
}

#[test]
fn damaged_containers_and_file_systems_are_refused_with_the_reason() {
    let directory = scratch();
    bases(directory.path());
    let image = directory.path().join("image");
    let mut wrong = Vec::new();
    for Damage {
        base,
        writes,
        length,
        place,
        message,
    } in DAMAGES
    {
        fs::copy(directory.path().join(base), &image).unwrap();
        let file = File::options().write(true).open(&image).unwrap();
        for (at, bytes) in writes {
            file.write_all_at(bytes, *at).unwrap();
        }
        if let Some(length) = length {
            file.set_len(length).unwrap();
        }
        let (code, text) = limited(&image, place.as_slice());
        if code != 1 || !text.contains(message) {
            wrong.push(format!("{base}, {message}: {code}\n{text}"));
        }
        // A comparison is as robust.
        let mut diff = command(PROGRAM);
        diff.arg("diff")
            .arg(&image)
            .arg(directory.path().join(base));
        let output = run(&mut diff);
        let code = output.status.code();
        assert!(code.is_some_and(|code| code <= 2), "{}", said(&output));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
    let (code, text) = limited(&image, &["-r", "0"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(
            "/d/circle: the directory is also somewhere else: the file system is damaged"
        ),
        "{text}"
    );
}

#[test]
fn absurd_lengths_take_no_time() {
    let directory = scratch();
    let image = directory.path().join("image");
    for script_text in [
        r#"truncate -s 7E "$1""#,
        r#"qemu-img create -q -f qcow2 -o cluster_size=2M "$1" 1E"#,
        r#"qemu-img create -q -f qcow2 "$1" 64T; truncate -s 1E "$1""#,
        r#"qemu-img create -q -f vhdx -o block_size=1M "$1" 64T"#,
        r#"qemu-img create -q -f vmdk "$1" 2T"#,
        r#"qemu-img create -q -f vdi "$1" 100T"#,
        r#"qemu-img create -q -f vpc -o force_size=on "$1" 2040G"#,
    ] {
        let _ = fs::remove_file(&image);
        let mut bash = command("bash");
        let made = run(bash.args(["-c", script_text, "bash"]).arg(&image));
        // The file system under the test may have a lower limit.
        if !made.status.success() {
            continue;
        }
        let (code, text) = limited(&image, &[]);
        assert!(
            code == 0 && text.contains("no partition table"),
            "{script_text}: {text}"
        );
    }
}

#[test]
fn an_empty_mbr_entry_is_skipped_and_code_is_no_table() {
    let mut disk = images::mbr();
    put(&mut disk, 462 + 12, &[0; 4]);
    let text = describe(&disk).unwrap();
    assert!(
        text.contains("FAT32 (LBA), type 0x0c, active, PARTUUID 04030201-01"),
        "{text}"
    );
    assert!(!text.contains("04030201-02"), "{text}");
    let mut disk = images::mbr();
    put(&mut disk, 446, &[0x31]);
    assert!(describe(&disk).unwrap().contains("no partition table"));
}

#[test]
fn names_are_escaped() {
    let mut disk = Gpt::usual().disk();
    for entries in [1024, (SECTORS - 17) * 512] {
        put(&mut disk, entries + 56, b"\x1b\0[\0m\0\x2e\x20");
    }
    sum(&mut disk);
    let text = describe(&disk).unwrap();
    assert!(text.contains("name \"\\u{1b}[m\\u{202e}\""), "{text}");
}

#[test]
fn paths_that_are_neither_files_nor_disks_are_rejected_immediately() {
    let directory = tempfile::tempdir().unwrap();
    let (fifo, socket) = (
        directory.path().join("fifo"),
        directory.path().join("socket"),
    );
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    let missing = directory.path().join("missing");
    for (path, message) in [
        (
            fifo.as_path(),
            "it is a FIFO: only files and block devices can be inspected",
        ),
        (directory.path(), "it is a directory: only files"),
        ("/dev/zero".as_ref(), "it is a character device: only files"),
        (socket.as_path(), "No such device or address"),
        (
            missing.as_path(),
            "opening the image: No such file or directory",
        ),
    ] {
        let (code, error) = limited(path, &[]);
        assert!(code == 1 && error.contains(message), "{error}");
    }
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
    let (code, text) = limited(&image, &[]);
    let problem = "problem: the file system: the journal has changes that are not applied yet";
    assert!(code == 0 && text.contains(problem), "{text}");
}
