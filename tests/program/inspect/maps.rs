//! The output for the seven partition tables that this program writes, in three widths, and in color.
//! `GOLDEN=write` writes the files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use make_disk_image::inspect;
use make_disk_image::layout::{self, MEBIBYTE};
use make_disk_image::scheme::{PartitionTable, Role};
use make_disk_image::spec::Identity;
use uuid::uuid;

use super::script;
use crate::common::inspect::inspected;
use crate::common::{command, repository, scratch, stdout};

const ROOT: uuid::Uuid = uuid!("F222513B-DED1-49FA-B591-20CE86A2FE7F");

/// A disk of 768 MiB with the table, and with file systems in its partitions.
fn disk(directory: &Path, table: PartitionTable) -> PathBuf {
    let layout = layout::place(table, 192 * MEBIBYTE, 768 * MEBIBYTE).unwrap();
    let identity = Identity {
        deterministic: true,
        disk: uuid!("97FD5997-F390-0B4A-A3F8-D106C1723AEA"),
        root_partition: ROOT,
        other_partitions: [
            uuid!("1C06F03B-704E-4657-B9CD-681A087A2FDC"),
            uuid!("970C694F-AFD0-4B99-B750-CDB7A329AB6F"),
        ],
        root_file_system: ROOT,
        time: 1,
    };
    let path = directory.join(table.name());
    let file = fs::File::create_new(&path).unwrap();
    file.set_len(layout.disk_length).unwrap();
    for partition in &layout.partitions {
        let (start, length) = (partition.start(), partition.length());
        let place = [start.to_string(), (length / 1024).to_string()];
        let [start, kibibytes] = place.each_ref().map(|text| Path::new(text.as_str()));
        match partition.role() {
            Role::Root => script(
                r#"mkdir -p "$1.d"; head -c 60000000 /dev/zero | tr '\0' x >"$1.d/file"
                mkfs.ext4 -q -F -b 4096 -m 0 -L nixos -U f222513b-ded1-49fa-b591-20ce86a2fe7f \
                  -d "$1.d" -E offset="$2",root_owner=0:0 "$1" $(($3 / 4 * 4))K; rm -r "$1.d""#,
                &[&path, start, kibibytes],
            ),
            Role::BiosBoot => String::new(),
            _ => script(
                r#"mkfs.fat --invariant -F 32 -n BOOT -C "$1.fat" "$3" >&2
                head -c 12000000 /dev/zero | mcopy -i "$1.fat" - ::/kernel
                dd if="$1.fat" of="$1" bs=1M seek="$2" oflag=seek_bytes conv=notrunc,sparse status=none
                rm "$1.fat""#,
                &[&path, start, kibibytes],
            ),
        };
    }
    for (offset, bytes) in layout::table_bytes(&layout, &identity).unwrap() {
        file.write_all_at(&bytes, offset).unwrap();
    }
    path
}

#[test]
fn seven_layouts_in_three_widths() {
    let directory = scratch();
    let disks = PartitionTable::ALL.map(|table| disk(directory.path(), table));
    for width in [60, 80, 132] {
        let mut text = String::new();
        for disk in &disks {
            let described = inspect::describe(disk, width, false).unwrap();
            let lines = described.lines().filter(|line| !line.contains(": raw, "));
            for line in lines {
                assert!(line.chars().count() <= width, "{width}: {line}");
                text.push_str(line);
                text.push('\n');
            }
            text.push('\n');
        }
        let golden = repository().join(format!("tests/goldens/inspect/{width}.txt"));
        if std::env::var("GOLDEN").is_ok_and(|it| it == "write") {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, &text).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap();
        assert!(text == expected, "{}\n{text}", golden.display());
    }
}

#[test]
fn colors_are_for_terminals_that_want_them() {
    let directory = scratch();
    let image = directory.path().join("disk");
    script(
        r#"truncate -s 10M "$1"; echo 'start=2048, type=83' | sfdisk -q "$1""#,
        &[&image],
    );
    let plain = inspected(&image, &[]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let on_terminal = |setting: &str| {
        let line = format!(
            "stty cols 70 rows 24; {setting} {} inspect {}",
            crate::common::nix::PROGRAM,
            image.display()
        );
        stdout(
            command("script")
                .args(["-qec", &line, "/dev/null"])
                .env("TERM", "xterm"),
        )
    };
    let colored = on_terminal("");
    assert!(colored.contains("\u{1b}[32m1 root"), "{colored}");
    assert!(
        colored
            .lines()
            .any(|line| line.starts_with('┌') && line.trim_end().chars().count() == 70)
    );
    let plain = on_terminal("NO_COLOR=1");
    assert!(!plain.contains("\u{1b}["), "{plain}");
}
