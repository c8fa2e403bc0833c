//! Layouts compared with what `parted` and `sgdisk` make of the same sizes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use make_disk_image::layout::{self, Error, Layout, MEBIBYTE};
use make_disk_image::scheme::{Entry, PartitionTable as T};
use make_disk_image::spec::Identity;
use uuid::{Uuid, uuid};

/// nixpkgs' argument of `sgdisk --disk-guid`, which lacks a digit.
const NIXPKGS_DISK: &str = "97FD5997-D90B-4AA3-8D16-C1723AEA73C";
const FIRST: Uuid = uuid!("1C06F03B-704E-4657-B9CD-681A087A2FDC");
const SECOND: Uuid = uuid!("970C694F-AFD0-4B99-B750-CDB7A329AB6F");
const ROOT: Uuid = uuid!("F222513B-DED1-49FA-B591-20CE86A2FE7F");

fn identity() -> Identity {
    Identity {
        deterministic: true,
        // What sgdisk makes of it.
        disk: uuid!("97FD5997-F390-0B4A-A3F8-D106C1723AEA"),
        root_partition: ROOT,
        other_partitions: [FIRST, SECOND],
        root_file_system: ROOT,
        time: 1,
    }
}

fn place(table: T, boot: u64, disk: u64) -> Result<Layout, Error> {
    layout::place(table, boot * MEBIBYTE, disk * MEBIBYTE)
}

fn bytes(layout: &Layout) -> Vec<(u64, Vec<u8>)> {
    layout::table_bytes(layout, &identity()).unwrap()
}

/// Runs a tool and returns its output, and whether it succeeded.
fn run(command: &mut Command) -> (bool, String) {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// A sparse file of `mebibytes`.
fn disk(directory: &Path, name: &str, mebibytes: u64) -> (PathBuf, File) {
    let path = directory.join(name);
    let file = File::create_new(&path).unwrap();
    file.set_len(mebibytes * MEBIBYTE).unwrap();
    (path, file)
}

fn ours(directory: &Path, layout: &Layout) -> PathBuf {
    let (path, file) = disk(directory, "ours", layout.disk_length / MEBIBYTE);
    for (offset, bytes) in bytes(layout) {
        file.write_all_at(&bytes, offset).unwrap();
    }
    path
}

/// Partitions a disk with the programs and arguments of nixpkgs; `false` if parted fails.
fn theirs(directory: &Path, table: T, boot: u64, mebibytes: u64) -> (bool, PathBuf) {
    let (path, _) = disk(directory, "theirs", mebibytes);
    let boot = format!("{boot}MiB");
    let script = match table {
        T::None => return (true, path),
        T::Legacy => "mklabel msdos mkpart primary ext4 1MiB 100%",
        T::LegacyBoot => {
            "mklabel msdos mkpart primary fat32 1MiB END set 1 boot on \
             mkpart primary ext4 END 100%"
        }
        T::LegacyGpt => {
            "mklabel gpt mkpart no-fs 1MiB 2MiB set 1 bios_grub on mkpart primary ext4 2MiB 100%"
        }
        T::Efi => {
            "mklabel gpt mkpart ESP fat32 8MiB END set 1 boot on mkpart primary ext4 END 100%"
        }
        T::EfiXbootldr => {
            "mklabel gpt mkpart ESP fat32 8MiB 100MiB set 1 boot on \
             mkpart BOOT fat32 100MiB END set 2 bls_boot on mkpart ROOT ext4 END 100%"
        }
        T::Hybrid => {
            "mklabel gpt mkpart ESP fat32 8MiB END set 1 boot on \
             mkpart no-fs 0 1024KiB set 2 bios_grub on mkpart primary ext4 END 100%"
        }
    };
    let words = script
        .split_ascii_whitespace()
        .map(|word| if word == "END" { &boot } else { word });
    let (made, _) = run(Command::new("parted")
        .arg("--script")
        .arg(&path)
        .arg("--")
        .args(words));
    if made && table.is_gpt() {
        let mut sgdisk = Command::new("sgdisk");
        sgdisk.arg(format!("--disk-guid={NIXPKGS_DISK}"));
        sgdisk.arg(format!("--partition-guid=1:{FIRST}"));
        if table == T::Efi {
            sgdisk.arg(format!("--partition-guid=2:{ROOT}"));
        } else {
            sgdisk.arg(format!("--partition-guid=2:{SECOND}"));
            sgdisk.arg(format!("--partition-guid=3:{ROOT}"));
        }
        let (done, said) = run(sgdisk.arg(&path));
        assert!(done, "{said}");
    }
    (made, path)
}

/// The output of `sfdisk`, without the file name.
fn read(path: &Path) -> serde_json::Value {
    let output = Command::new("sfdisk").arg("--json").arg(path).output();
    let output = output.expect("running sfdisk");
    assert!(output.status.success(), "{output:?}");
    let mut table: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let table = table.get_mut("partitiontable").unwrap();
    table["device"].take();
    for partition in table["partitions"].as_array_mut().unwrap() {
        partition["node"].take();
    }
    table.take()
}

/// Replaces what differs on purpose in nixpkgs' table by what we write.
fn with_our_differences(table: T, theirs: &mut serde_json::Value) {
    match table {
        // parted chooses a random disk signature.
        T::Legacy | T::LegacyBoot => theirs["id"] = "0x97fd5997".into(),
        // nixpkgs sets rootGPUID on partition 3, which does not exist.
        T::LegacyGpt => {
            let root = &mut theirs["partitions"][1]["uuid"];
            assert_eq!(*root, format!("{SECOND:X}"));
            *root = format!("{ROOT:X}").into();
        }
        _ => {}
    }
}

/// Checks a table with other programs, which must not complain, except where they complain about
/// parted's own table.
fn check(table: T, ours: &Path, theirs: &Path) {
    let (content, said) = run(Command::new("sfdisk").arg("--verify").arg(ours));
    assert!(content, "{said}");
    assert!(said.contains("No errors detected."), "{said}");
    if !table.is_gpt() {
        return;
    }
    let verify = |path| run(Command::new("sgdisk").arg("--verify").arg(path));
    let (content, said) = verify(ours);
    assert!(content && said.contains("No problems found."), "{said}");
    assert_eq!(said, verify(theirs).1);
}

/// Either both or neither must be able to partition the disk, with the same result.
fn compare(table: T, boot: u64, mebibytes: u64) {
    let case = format!("{} {boot} {mebibytes}", table.name());
    let directory = tempfile::tempdir().unwrap();
    let (made, theirs) = theirs(directory.path(), table, boot, mebibytes);
    let layout = place(table, boot, mebibytes);
    assert_eq!(made, layout.is_ok(), "{case}: {layout:?}");
    let Ok(layout) = layout else { return };
    let ours = ours(directory.path(), &layout);
    let mut expected = read(&theirs);
    with_our_differences(table, &mut expected);
    assert_eq!(read(&ours), expected, "{case}");
    check(table, &ours, &theirs);
    let length = |path| fs::metadata(path).unwrap().len();
    assert_eq!(length(&ours), length(&theirs));
    assert_eq!(ends(table, &ours), ends(table, &theirs), "{case}");
}

/// The bytes of the table and its backup, without what differs on purpose: the disk signature and
/// parted's boot code in an MBR, which only prints that there is no system; and for legacy+gpt,
/// whose root has another GUID, everything except the protective MBR.
fn ends(table: T, path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap();
    let read = |start: u64, sectors: usize| {
        let mut bytes = vec![0; sectors * 512];
        file.read_exact_at(&mut bytes, start).unwrap();
        bytes
    };
    match table {
        T::Legacy | T::LegacyBoot => read(0, 1).split_off(444),
        T::LegacyGpt => read(0, 1),
        _ => {
            let length = file.metadata().unwrap().len();
            [read(0, 34), read(length - 33 * 512, 33)].concat()
        }
    }
}

/// Compares (table, end of the boot partition, length of the disk), in MiB, several at a time,
/// since sgdisk sleeps for a second after writing.
fn compare_all(cases: &[(T, u64, u64)]) {
    const AT_A_TIME: usize = 8;
    std::thread::scope(|scope| {
        for first in 0..AT_A_TIME {
            scope.spawn(move || {
                for &(table, boot, size) in cases.iter().skip(first).step_by(AT_A_TIME) {
                    compare(table, boot, size);
                }
            });
        }
    });
}

#[test]
fn parted_and_sgdisk_divide_the_disk_as_we_do() {
    let mut cases = Vec::new();
    for (boot, sizes) in [
        (257, &[257, 258, 259, 300, 2048, 2049, 3333, 70_000][..]),
        (33, &[34, 60, 200, 201, 4096]),
        (129, &[160, 200, 201, 1024]),
        (101, &[101, 102, 103, 204]),
        (1025, &[1500]),
    ] {
        for &size in sizes {
            for table in [T::LegacyBoot, T::Efi, T::EfiXbootldr, T::Hybrid] {
                if table != T::EfiXbootldr || boot > 100 {
                    cases.push((table, boot, size));
                }
            }
        }
    }
    for size in [2, 3, 4, 5, 10, 199, 200, 201, 202, 399, 2048, 100_001] {
        cases.push((T::Legacy, 257, size));
        cases.push((T::LegacyGpt, 257, size));
    }
    compare_all(&cases);
}

#[test]
fn an_mbr_ends_where_parted_says_and_a_gpt_does_not() {
    const TWO_TEBIBYTES: u64 = 1 << 21;
    compare_all(&[
        (T::Legacy, 257, TWO_TEBIBYTES),
        (T::Legacy, 257, TWO_TEBIBYTES + 1),
        (T::LegacyBoot, 257, TWO_TEBIBYTES + 256),
        (T::LegacyBoot, 257, TWO_TEBIBYTES + 257),
        (T::LegacyGpt, 257, TWO_TEBIBYTES + 1),
        (T::Efi, 257, 3 << 20),
        (T::Hybrid, 257, 5_000_000),
    ]);
    assert_eq!(
        place(T::Legacy, 0, TWO_TEBIBYTES + 1)
            .unwrap_err()
            .to_string(),
        "partitionTableType \"legacy\": a partition of 4294967296 sectors exceeds an MBR's \
         limit of 4294967295 sectors (2 TiB); use a type with a GPT (\"legacy+gpt\", \"efi\", \
         \"efixbootldr\" or \"hybrid\") or a smaller disk"
    );
}

#[test]
fn impossible_layouts_are_reported_with_numbers() {
    for (table, boot, size, message) in [
        (
            T::Efi,
            257,
            200,
            "partitionTableType \"efi\": a disk of 200 MiB has no room for a root partition after \
             the table and the other partitions; set diskSize to at least 258 or to \"auto\"",
        ),
        (
            T::LegacyGpt,
            0,
            3,
            "partitionTableType \"legacy+gpt\": a disk of 3 MiB has no room for a root partition \
             after the table and the other partitions; set diskSize to at least 4 or to \"auto\"",
        ),
        (
            T::None,
            0,
            0,
            "partitionTableType \"none\": a disk of 0 MiB has no room for a root partition after \
             the table and the other partitions; set diskSize to at least 1 or to \"auto\"",
        ),
        (
            T::EfiXbootldr,
            33,
            2048,
            "partitionTableType \"efixbootldr\": the boot partition begins at 100 MiB, but bootSize \
             makes it end at 33 MiB; set bootSize to at least \"100M\"",
        ),
        (
            T::Hybrid,
            8,
            2048,
            "partitionTableType \"hybrid\": the boot partition begins at 8 MiB, but bootSize makes \
             it end at 8 MiB; set bootSize to at least \"8M\"",
        ),
    ] {
        assert_eq!(
            place(table, boot, size).unwrap_err().to_string(),
            message,
            "{}",
            table.name()
        );
    }
    let odd = layout::place(T::Efi, 257 * MEBIBYTE, 2048 * MEBIBYTE + 512);
    assert_eq!(
        odd.unwrap_err().to_string(),
        "the size of the disk is 2147484160 bytes, which is not a whole number of MiB"
    );
    let huge = layout::place(T::Efi, u64::MAX, u64::MAX - 1);
    assert!(matches!(huge, Err(Error::TooLarge(_))));
}

/// One line for each partition: table type, bootSize, diskSize; number, role, first and last
/// sector, type, GUID, name.
fn lines(boot: u64, size: u64) -> String {
    let mut lines = String::new();
    for table in T::ALL {
        lines += &format!("{}, boot end {boot} MiB, disk {size} MiB\n", table.name());
        for p in place(table, boot, size).unwrap().partitions {
            let entry = match p.scheme.entry {
                Entry::None => "-".to_owned(),
                Entry::Mbr { system, active } => format!("{system:#04x} active={active}"),
                Entry::Gpt { kind, name } => {
                    let guid = identity().partition(p.scheme.guid);
                    format!("{kind:X} {guid:X} {name}")
                }
            };
            lines += &format!(
                "  {} {} {} {} {entry}\n",
                p.number,
                p.role().name(),
                p.first_sector,
                p.last_sector
            );
        }
    }
    lines
}

/// The tables of every type match the golden files.
///
/// `UPDATE_GOLDENS=1` writes the current value.
#[test]
fn layouts_match_the_golden_files() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/layout");
    for (name, boot, size) in [
        ("default.txt", 257, 2048),
        ("small.txt", 129, 180),
        ("large.txt", 1025, 1_048_576),
    ] {
        let path = directory.join(name);
        let now = lines(boot, size);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(&path, &now).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), now, "{name}");
    }
}

#[test]
fn a_layout_is_shown_as_a_table() {
    assert_eq!(
        place(T::Hybrid, 257, 2048)
            .unwrap()
            .describe(&identity())
            .to_string(),
        "\
disk of 2048.00 MiB (2147483648 bytes)
 #  role      first sector  last sector          MiB  type
 1  ESP              16384       526335       249.00  \
C12A7328-F81F-11D2-BA4B-00A0C93EC93B 1C06F03B-704E-4657-B9CD-681A087A2FDC ESP
 2  BIOS boot           34         2048         0.98  \
21686148-6449-6E6F-744E-656564454649 970C694F-AFD0-4B99-B750-CDB7A329AB6F no-fs
 3  root            526336      4192255      1790.00  \
0FC63DAF-8483-4772-8E79-3D69D8477DE4 F222513B-DED1-49FA-B591-20CE86A2FE7F primary
"
    );
}

#[test]
fn the_same_layout_has_the_same_bytes() {
    for table in T::ALL {
        let layout = place(table, 257, 2048).unwrap();
        assert_eq!(bytes(&layout), bytes(&layout));
    }
}
