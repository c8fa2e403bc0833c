//! The fixture itself: its system is a graph of store paths, can be installed, and boots, without
//! any part of this project.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::nix::{self, Build};
use crate::common::qemu::{self, Boot};
use crate::common::{command, listing, oracles, scratch, stdout};

/// Copies a closure to `root` as store paths and installs a system there with the fixture's own
/// `nixos-install`.
fn install(root: &Path, toplevel: &Path) {
    let installer = Build::expression("fixture.config.system.build.nixos-install").run();
    let info = Build::expression(
        "fixture.pkgs.closureInfo { rootPaths = [ fixture.config.system.build.toplevel ]; }",
    )
    .run();
    std::fs::create_dir_all(root.join("nix/store")).unwrap();
    let paths = std::fs::read_to_string(info.out.join("store-paths")).unwrap();
    stdout(
        command("cp")
            .arg("-a")
            .args(paths.lines())
            .arg(root.join("nix/store")),
    );
    let registration = std::fs::File::open(info.out.join("registration")).unwrap();
    stdout(
        nix::nix("nix-store", true)
            .arg("--store")
            .arg(root)
            .arg("--load-db")
            .stdin(registration),
    );
    stdout(
        nix::nix(
            installer.out.join("bin/nixos-install").to_str().unwrap(),
            true,
        )
        .arg("--root")
        .arg(root)
        .args(["--no-bootloader", "--no-root-passwd", "--no-channel-copy"])
        .args(["--substituters", "", "--system"])
        .arg(toplevel),
    );
}

#[test]
fn fixture_system_boots_from_an_image_of_mkfs() {
    let toplevel = Build::expression("fixture.config.system.build.toplevel").run();
    // nixos-install requires the root and every directory above it to be accessible to others.
    let scratch = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(scratch().path().parent().unwrap())
        .unwrap();
    let root = scratch.path().join("root");
    install(&root, &toplevel.out);
    assert_eq!(
        std::fs::read_link(root.join("nix/var/nix/profiles/system-1-link")).unwrap(),
        toplevel.out
    );

    let image = scratch.path().join("disk.img");
    stdout(
        command("mkfs.ext4")
            .args(["-q", "-L", "nixos", "-d"])
            .arg(&root)
            .arg(&image)
            .arg("600M"),
    );
    oracles::check(&image, "raw", "none");
    let booted = qemu::boot(
        &image,
        "raw",
        &Boot::Kernel(&toplevel.out, "fixture.verify"),
        Duration::from_secs(120),
    );
    assert_eq!(booted.fact("label"), "nixos");
    assert_eq!(booted.fact("system"), toplevel.out.to_str().unwrap());
    assert_eq!(booted.fact("verify"), "ok");
    let closure = nix::store(&["-qR", toplevel.out.to_str().unwrap()]);
    for fact in ["closure", "database"] {
        assert_eq!(booted.fact(fact), closure.len().to_string(), "{fact}");
    }
}

#[test]
fn lister_sees_all_metadata_of_an_image_of_mkfs() {
    let scratch = scratch();
    let root = scratch.path().join("root");
    std::fs::create_dir_all(root.join("directory")).unwrap();
    std::fs::write(root.join("a"), "some bytes").unwrap();
    std::fs::hard_link(root.join("a"), root.join("directory/same")).unwrap();
    std::os::unix::fs::symlink("a\nb", root.join("link")).unwrap();
    let odd = OsStr::from_bytes(b"new\nline \\ \xff");
    std::fs::write(root.join(odd), "").unwrap();
    stdout(
        command("setfattr")
            .args(["-n", "user.test", "-v", "value"])
            .arg(root.join(odd)),
    );
    // The mode is set last: changing the owner clears the set-ID bits.
    stdout(command("chown").arg("12:34").arg(root.join("a")));
    stdout(command("chmod").arg("6751").arg(root.join("a")));
    // mkfs.ext4 -d copies whole seconds only.
    stdout(
        command("touch")
            .args(["-h", "-d", "@5"])
            .arg(root.join("link")),
    );
    let image = scratch.path().join("disk.img");
    stdout(
        command("mkfs.ext4")
            .args(["-q", "-d"])
            .arg(&root)
            .arg(&image)
            .arg("16M"),
    );

    let listing = listing::list(&image, "raw", "/dev/vda", "ext4");
    let names: Vec<_> = listing.keys().map(|path| path.as_os_str()).collect();
    let expected = ["", "a", "directory", "directory/same", "link", "lost+found"].map(OsStr::new);
    assert_eq!(names, [&expected[..], &[odd]].concat());
    let a = &listing[Path::new("a")];
    assert_eq!((a.kind, a.mode, a.uid, a.gid), ('f', 0o6751, 12, 34));
    assert_eq!((a.links, a.size), (2, 10));
    assert_eq!(a.inode, listing[Path::new("directory/same")].inode);
    let own = listing::of_directory(&root);
    assert_eq!(a.sha256, own[Path::new("a")].sha256);
    let link = &listing[Path::new("link")];
    assert_eq!(link.target, Path::new("a\nb"));
    assert_eq!(link.mtime, "5.0000000000");
    let xattrs = &listing[Path::new(odd)].xattrs;
    assert_eq!(xattrs["user.test"], "0x76616c7565");
    assert_eq!(xattrs.len(), 1);
}

#[test]
fn fixture_closure_is_a_graph_of_store_paths() {
    let toplevel = Build::expression("fixture.config.system.build.toplevel").run();
    let paths = nix::store(&["-qR", toplevel.out.to_str().unwrap()]);
    assert!(paths.len() >= 15, "{paths:?}");

    let own = |path: &&String| nix::store(&["-q", "--references", path]).contains(*path);
    assert!(paths.iter().any(|path| own(&path)), "none refers to itself");

    let bytes: u64 = paths
        .iter()
        .map(|path| {
            nix::store(&["-q", "--size", path])[0]
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert!(bytes < 250_000_000, "{bytes} bytes");

    let links = PathBuf::from(format!("{}/sw/bin", toplevel.out.display()));
    assert!(std::fs::read_dir(links).unwrap().count() > 100);
}

#[test]
fn fixture_programs_run_in_the_sandbox_from_the_store_alone() {
    let built = Build::expression(
        r#"fixture.pkgs.runCommand "programs" { } ''
          id -u >$out
          for program in ${fixture.pkgs.nix}/bin/nix ${fixture.pkgs.qemu-utils}/bin/qemu-img \
            ${fixture.pkgs.dosfstools}/bin/mkfs.fat ${fixture.pkgs.mtools}/bin/mcopy \
            ${fixture.pkgs.util-linux}/bin/sfdisk ${fixture.pkgs.gptfdisk}/bin/sgdisk \
            ${fixture.pkgs.parted}/bin/parted ${fixture.pkgs.rsync}/bin/rsync \
            ${fixture.pkgs.systemdMinimal}/bin/systemd-tmpfiles; do
            case $program in
              */mkfs.fat) "$program" --help >>$out 2>&1 ;;
              *) "$program" --version >>$out 2>&1 ;;
            esac
          done
          ${fixture.pkgs.e2fsprogs}/bin/mkfs.ext4 -V >>$out 2>&1
        ''"#,
    )
    .run();
    let said = std::fs::read_to_string(&built.out).unwrap();
    assert!(said.starts_with("1000\n"), "{said}");
    for name in [
        "nix (Nix) 2.8",
        "qemu-img version",
        "mkfs.fat",
        "mtools",
        "sfdisk from",
        "GPT fdisk",
        "parted (GNU",
        "rsync  version",
        "systemd 252",
        "mke2fs 1.47",
    ] {
        assert!(said.contains(name), "no {name:?} in\n{said}");
    }
}
