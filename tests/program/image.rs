//! Whole images: our function in a real, sandboxed `nix-build`, every oracle, and a boot.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::common::listing::{self, Listing};
use crate::common::nix::{self, Build, Built};
use crate::common::oracles;
use crate::common::qemu::{self, Boot, ROOT_UUID};

const LIMIT: Duration = Duration::from_secs(180);

const EFI: &str = r#"partitionTableType = "efi"; format = "qcow2"; installBootLoader = false;"#;

fn toplevel() -> Built {
    Build::expression("fixture.config.system.build.toplevel").run()
}

/// The system and the channel of an image.
fn roots() -> [String; 2] {
    let graph = "(fixture.makeDiskImage { }).drvAttrs.exportReferencesGraph.closure";
    let paths = nix::evaluate(&format!("toString {graph}"));
    let mut paths = paths.split(' ').map(str::to_owned);
    let roots = [(); 2].map(|()| paths.next().unwrap());
    assert_eq!(paths.next(), None);
    roots
}

#[test]
fn efi_qcow2_image_is_valid_and_boots_to_its_root() {
    let built = Build::image(EFI).run();
    let image = built.out.join("nixos.qcow2");

    let table = oracles::check(&image, "qcow2", "efi").unwrap();
    let names: Vec<_> = table.partitions.iter().map(|p| p.name.as_deref()).collect();
    assert_eq!(names, [Some("ESP"), Some("primary")]);

    let system = toplevel();
    let booted = qemu::boot(
        &image,
        "qcow2",
        &Boot::Kernel(&system.out, "fixture.verify"),
        LIMIT,
    );
    assert_eq!(booted.fact("label"), "nixos");
    assert_eq!(booted.fact("uuid"), "f222513b-ded1-49fa-b591-20ce86a2fe7f");
    assert_eq!(booted.fact("system"), system.out.to_str().unwrap());
    assert_eq!(booted.fact("verify"), "ok", "{}", booted.console);
    let [system, channel] = roots();
    for (fact, paths) in [
        ("closure", &[&*system][..]),
        ("database", &[&*system, &*channel]),
    ] {
        let closure = nix::store(&[&["-qR"], paths].concat());
        assert_eq!(booted.fact(fact), closure.len().to_string(), "{fact}");
    }
    assert_eq!(
        std::fs::read_to_string(built.out.join("nix-support/hydra-build-products")).unwrap(),
        format!("file qcow2-image {}\n", image.display())
    );
}

#[test]
fn second_build_without_the_sandbox_gives_the_same_bytes() {
    // Another user, build directory and view of the machine. Nix itself compares the outputs.
    let first = Build::image(EFI).run();
    let log = &Build::image(EFI).sandbox(false).again().run().log;
    assert!(
        log.contains("checking outputs of"),
        "{}: nothing was compared\n{log}",
        first.out.display()
    );
}

/// Everything in the image outside the store: kind, mode, path, and symlink target.
const INSTALLED: &str = "\
d  755 /
d  755 /boot
d  755 /etc
f  644 /etc/NIXOS
d  755 /etc/nixos
d  700 /lost+found
d  755 /nix
d  755 /nix/store
d  755 /nix/store/.links
d  755 /nix/var
d  755 /nix/var/nix
d  755 /nix/var/nix/db
f  600 /nix/var/nix/db/big-lock
f  644 /nix/var/nix/db/db.sqlite
f  644 /nix/var/nix/db/schema
f  600 /nix/var/nix/gc.lock
d  755 /nix/var/nix/gcroots
d  755 /nix/var/nix/gcroots/auto
d  755 /nix/var/nix/gcroots/per-user
d  755 /nix/var/nix/profiles
d  755 /nix/var/nix/profiles/per-user
d  755 /nix/var/nix/profiles/per-user/root
l  777 /nix/var/nix/profiles/per-user/root/channels -> channels-1-link
l  777 /nix/var/nix/profiles/per-user/root/channels-1-link -> CHANNEL
l  777 /nix/var/nix/profiles/system -> system-1-link
l  777 /nix/var/nix/profiles/system-1-link -> SYSTEM
d  755 /nix/var/nix/temproots
d  755 /root
d  700 /root/.nix-defexpr
l  777 /root/.nix-defexpr/channels -> /nix/var/nix/profiles/per-user/root/channels
";

#[test]
fn guest_sees_every_file_as_its_source_is() {
    let built = Build::image(EFI).run();
    let mut found = listing::list(&built.out.join("nixos.qcow2"), "qcow2", "/dev/vda2", "ext4");

    let store = Path::new("nix/store");
    let mut installed = String::new();
    let mut in_store = Listing::new();
    for (path, entry) in std::mem::take(&mut found) {
        if path.starts_with(store) && path != store && path != store.join(".links") {
            in_store.insert(path, entry);
            continue;
        }
        assert_eq!((entry.uid, entry.gid), (0, 0), "{}", path.display());
        assert_eq!(entry.mtime, "1.0000000000", "{}", path.display());
        let target = match entry.kind {
            'l' => format!(" -> {}", entry.target.display()),
            _ => String::new(),
        };
        let (kind, mode) = (entry.kind, entry.mode);
        writeln!(installed, "{kind} {mode:4o} /{}{target}", path.display()).unwrap();
    }

    let [system, channel] = roots();
    let mut expected = Listing::new();
    for path in nix::store(&["-qR", &system, &channel]) {
        let path = Path::new(&path);
        let at = store.join(path.file_name().unwrap());
        for (name, entry) in listing::of_directory(path) {
            let name = if name.as_os_str().is_empty() {
                at.clone()
            } else {
                at.join(name)
            };
            expected.insert(name, entry);
        }
    }
    listing::assert_same(&in_store, &expected);
    let installed = installed
        .replace(&system, "SYSTEM")
        .replace(&channel, "CHANNEL");
    assert_eq!(installed, INSTALLED, "\n{installed}");
}

#[test]
fn every_layout_and_format_is_valid_and_boots() {
    // Each layout once and each format at least once. The file name depends on the format.
    let cases = [
        ("none", "raw", "nixos.img", ""),
        ("legacy", "vdi", "nixos.vdi", ""),
        ("legacy+boot", "qcow2-compressed", "nixos.qcow2", ""),
        ("legacy+gpt", "vpc", "nixos.vhd", ""),
        ("efixbootldr", "raw", "nixos.img", r#"diskSize = "1500";"#),
        (
            "hybrid",
            "qcow2",
            "nixos.qcow2",
            r#"bootSize = "70M"; label = "other";"#,
        ),
    ];
    let system = toplevel();
    for (table, format, file, more) in cases {
        let built = Build::image(&format!(
            r#"partitionTableType = "{table}"; format = "{format}"; installBootLoader = false;
               copyChannel = false; {more}"#
        ))
        .run();
        let image = built.out.join(file);
        let container = format.trim_end_matches("-compressed");
        oracles::check(&image, container, table);
        let booted = qemu::boot(
            &image,
            container,
            &Boot::Kernel(&system.out, &format!("root=UUID={ROOT_UUID}")),
            LIMIT,
        );
        assert_eq!(booted.fact("uuid"), ROOT_UUID, "{table}");
        let label = if more.contains("other") {
            "other"
        } else {
            "nixos"
        };
        assert_eq!(booted.fact("label"), label, "{table}");
    }
}
