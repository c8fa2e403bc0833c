//! A listing of a real directory in the format of `make_disk_image::tree::listing`, made by find,
//! stat and getfattr.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use make_disk_image::escape;

/// Fails if the test cannot create devices and change owners.
pub fn require_root() {
    let id = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        id.stdout, b"0\n",
        "this test needs root: it makes devices and changes owners"
    );
}

/// The standard output of `command`.
pub fn output(command: &mut Command) -> Vec<u8> {
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The directory `top` and everything in it. Times later than `now`, in seconds, are listed as
/// `now`.
pub fn of_directory(top: &Path, now: u64) -> String {
    let format = r"%y\0%m\0%U:%G\0%T@\0%s\0%D:%i\0%P\0%l\0";
    let found = output(Command::new("find").arg(top).args(["-printf", format]));
    let fields: Vec<&[u8]> = found.split(|&byte| byte == 0).collect();
    let mut entries: Vec<&[&[u8]]> = fields.chunks_exact(8).collect();
    // The entries of a directory stay together, so "a/b" comes before "a-b".
    entries.sort_by_key(|entry| {
        let names = entry[6].split(|&byte| byte == b'/');
        names.map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    let mut out = String::new();
    let mut first_names = BTreeMap::new();
    for entry in entries {
        let text = |index: usize| std::str::from_utf8(entry[index]).unwrap();
        let relative = Path::new(std::ffi::OsStr::from_bytes(entry[6]));
        let real = match entry[6] {
            b"" => top.to_owned(),
            _ => top.join(relative),
        };
        let (kind, detail) = match text(0) {
            "d" => ("directory", String::new()),
            "f" => ("file", format!("{} ", text(4))),
            "l" => ("symlink", String::new()),
            "p" => ("fifo", String::new()),
            "s" => ("socket", String::new()),
            "c" => ("character-device", device(&real)),
            "b" => ("block-device", device(&real)),
            other => panic!("find says {other}"),
        };
        let (seconds, fraction) = text(3).split_once('.').unwrap();
        let time = match seconds.parse::<i64>().unwrap() {
            seconds if seconds >= i64::try_from(now).unwrap() => "now".to_owned(),
            seconds => format!("{seconds}.{}", &fraction[..9]),
        };
        let mode = u16::from_str_radix(text(1), 8).unwrap();
        let path = escape::bytes(entry[6]);
        write!(out, "{kind} {mode:04o} {} {time} {detail}/{path}", text(2)).unwrap();
        if kind == "symlink" {
            write!(out, " -> {}", escape::bytes(entry[7])).unwrap();
        }
        if kind != "directory" {
            let first = first_names
                .entry(text(5).to_owned())
                .or_insert(path.clone());
            if *first != path {
                writeln!(out, " = /{first}").unwrap();
                continue;
            }
        }
        out.push('\n');
        attributes(&mut out, &real);
    }
    out
}

fn device(path: &Path) -> String {
    let numbers = output(Command::new("stat").args(["-c", "%t %T", "--"]).arg(path));
    let numbers = String::from_utf8(numbers).unwrap();
    let (major, minor) = numbers.trim().split_once(' ').unwrap();
    let number = |text| u32::from_str_radix(text, 16).unwrap();
    format!("{},{} ", number(major), number(minor))
}

fn attributes(out: &mut String, path: &Path) {
    let arguments = ["-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--"];
    let listed = output(Command::new("getfattr").args(arguments).arg(path));
    let mut lines: Vec<&[u8]> = listed
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .collect();
    // Sorted by name alone: in whole lines, "=" would compare with the rest of a longer name.
    lines.sort_by_key(|line| line.split(|&byte| byte == b'=').next());
    for line in lines {
        // getfattr writes an empty value without "0x".
        let line = escape::bytes(line);
        let zero = if line.contains('=') { "" } else { "=0x" };
        writeln!(out, "  {line}{zero}").unwrap();
    }
}
