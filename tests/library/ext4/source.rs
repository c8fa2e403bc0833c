//! A directory with one of everything that a Linux file system can hold.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, mknod};

use crate::common::{command, stdout};

/// Fills the directory `root`.
pub fn fill(root: &Path) {
    let file = |name: &str, length: usize| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let seed = u32::try_from(length).unwrap();
        let bytes: Vec<u8> = (0..length)
            .map(|i| {
                seed.wrapping_add(u32::try_from(i).unwrap())
                    .wrapping_mul(2_654_435_761)
            })
            .map(|word| word.to_be_bytes()[0])
            .collect();
        fs::write(&path, bytes).unwrap();
        path
    };
    for length in [
        0, 1, 4095, 4096, 4097, 262_143, 262_144, 1_048_577, 20_000_001,
    ] {
        file(&format!("sizes/{length}"), length);
    }
    for (index, name) in [
        "a b",
        "new\nline",
        "*",
        "\"",
        "-rf",
        "\u{202e}",
        "é",
        "\u{1b}[31m",
    ]
    .iter()
    .enumerate()
    {
        file(&format!("names/{name}"), index);
    }
    file(&format!("names/{}", "n".repeat(255)), 3);
    let name = OsStr::from_bytes(b"names/not \xff UTF-8 \x80");
    fs::write(root.join(name), "x").unwrap();
    for index in 0..5000 {
        file(
            &format!("many/{index}-{}", "x".repeat(index % 90)),
            index % 3,
        );
    }
    for mode in [0o0, 0o200, 0o444, 0o555, 0o4755, 0o2711] {
        let path = file(&format!("modes/{mode:o}"), 5);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for mode in [0o1777, 0o500, 0o2775] {
        let path = root.join(format!("modes/directory-{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let linked = file("links/first", 77);
    fs::create_dir(root.join("other")).unwrap();
    fs::hard_link(&linked, root.join("links/second")).unwrap();
    fs::hard_link(&linked, root.join("other/third")).unwrap();
    for length in [1, 59, 60, 61, 4000, 4095] {
        symlink("t".repeat(length), root.join(format!("links/to-{length}"))).unwrap();
    }
    symlink("/nonexistent/\n é", root.join("links/strange")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len((300 << 20) + 5).unwrap();
    sparse.write_all_at(b"middle", (100 << 20) + 3).unwrap();
    sparse.write_all_at(&[9; 9000], 200 << 20).unwrap();
    let holes = fs::File::create(root.join("holes")).unwrap();
    for index in 0..1500 {
        holes.write_all_at(b"data", index * 16384).unwrap();
    }
    fs::File::create(root.join("hole"))
        .unwrap()
        .set_len(123_456_789)
        .unwrap();
    for arguments in [
        ["fifo", "p", "", ""],
        ["null", "c", "1", "3"],
        ["disk", "b", "259", "300"],
    ] {
        let [name, rest @ ..] = arguments;
        let rest = rest.into_iter().filter(|word| !word.is_empty());
        stdout(command("mknod").arg(root.join(name)).args(rest));
    }
    // Not with bind(2), since test paths may be too long for it.
    mknod(&root.join("socket"), SFlag::S_IFSOCK, Mode::S_IRWXU, 0).unwrap();
    for (name, length) in [("user.small", 5), ("user.large", 3000), ("trusted.x", 10)] {
        xattr::set(root.join("links/first"), name, &vec![b'v'; length]).unwrap();
    }
    xattr::set(root.join("many"), "user.on-directory", b"").unwrap();
    let mut capability = vec![1, 0, 0, 2, 0, 4];
    capability.resize(20, 0);
    xattr::set(root.join("sizes/4096"), "security.capability", &capability).unwrap();
    for (arguments, name) in [
        (["-m", "u:1000:r,g:12:rwx,m::rx"], "sizes/1"),
        (["-dm", "u:1000:rwx,o::-"], "many"),
    ] {
        stdout(command("setfacl").args(arguments).arg(root.join(name)));
    }
    for (time, name) in [
        ("@1.000000000", "sizes/1"),
        ("1969-12-31 23:00 UTC", "sizes/0"),
        ("2100-02-03 04:05:06.789012345 UTC", "sizes/4095"),
        ("@5.5", "links/to-60"),
        ("@7", "modes"),
        ("@8", "."),
    ] {
        stdout(
            command("touch")
                .args(["-h", "-d", time])
                .arg(root.join(name)),
        );
    }
}
