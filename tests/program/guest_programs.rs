//! What the image's own programs see and can do in a guest: the program run directly, with real
//! guests.

use crate::common::oracles;
use crate::common::program::{Attributes, Job, MACHINES};
use serde_json::{Value, json};

/// An entry of `contents` whose source holds `text`.
fn text(job: &Job, name: &str, text: &str, target: &str) -> Value {
    let source = job.place().join(name);
    std::fs::write(&source, text).unwrap();
    json!({ "source": source, "target": target })
}

/// Mounts of activation with `system.etc.overlay`. nixpkgs' guest loads any module its kernel asks
/// for, before and after activation sets the image's own modprobe. (The kernel of User-Mode Linux has no
/// modules.)
const MOUNTS: &str = r#"
    modprobe=/proc/sys/kernel/modprobe
    test ! -e $modprobe || echo /nix/store/none/bin/modprobe >$modprobe
    mkdir /facts /up /work /low /mnt /squash
    echo low >/low/file
    erofs=${fixture.pkgs.runCommand "erofs" { erofs = fixture.pkgs.erofs-utils; } "mkdir -p d/old; echo hello >d/file; echo deep >d/old/file; $erofs/bin/mkfs.erofs -T0 -U00000000-0000-0000-0000-000000000000 $out d"}
    mount -t erofs -o ro,nodev,nosuid $erofs /mnt
    cp /mnt/file /facts/erofs
    mount -t overlay -o redirect_dir=on,metacopy=on,lowerdir=/mnt:/low,upperdir=/up,workdir=/work overlay /low
    echo written >/low/by-overlay
    chmod 600 /low/file
    mv /low/old /low/new
    squashfs=${fixture.pkgs.squashfsImage (fixture.pkgs.runCommand "squashed" { } "mkdir $out; echo squashed >$out/file")}
    loop=$(losetup --show --find --read-only $squashfs)
    echo $loop >/facts/loop
    mount -t squashfs -o ro $loop /squash
    cp /squash/file /facts/squashfs
    for type in fuse iso9660 xfs; do
      mount -t $type $erofs /up 2>/dev/null || true
      grep -w $type /proc/filesystems >>/facts/types
    done
    ! mount -t imaginary /dev/vdb /up 2>/facts/unknown
"#;

/// A background process that keeps writing after its parents have exited.
const BACKGROUND: &str = r#"
    (trap "" TERM HUP; exec setsid bash -c "while :; do echo x >>/background; sleep 0.1; done") &
"#;

#[test]
fn activation_can_mount_file_systems_and_the_image_has_no_traces_of_the_guest() {
    let script = format!(
        r#"{BACKGROUND}{MOUNTS}
        nix-env --list-generations -p /nix/var/nix/profiles/system >/facts/generations
        echo mark >"$HOME/mark"
        mkdir -p /etc/ssh
        ln -s /etc/static/nixos-version /etc/machine-id
        ln -s /etc/static/only-owner /etc/ssh/ssh_host_rsa_key
        echo random >/etc/ssh/ssh_host_ed25519_key
        cat /sys/class/rtc/rtc0/since_epoch >/facts/clock-chip || true
        date +%s >/facts/clock
        test -w /dev/shm && test -e /dev/pts/ptmx"#
    );
    let attributes = Attributes::with_installer(&script);
    for machine in MACHINES {
        check_activation(&attributes, machine);
    }
}

fn check_activation(attributes: &Attributes, machine: &str) {
    let mut job = attributes.job();
    job.on(machine);
    // Without /etc/machine-id, systemd-tmpfiles cannot expand %m and continues.
    let noise = text(
        &job,
        "noise",
        "d /var/noise/%m\nd /var/quiet\n",
        "/etc/tmpfiles.d/noise.conf",
    );
    job.image("contents", json!([noise]));
    let ended = job.run();
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "legacy").unwrap();
    let said = ended.said();
    assert!(!said.contains("specifier"), "{said}");

    let content = |path: &str| oracles::debugfs(&image, &format!("cat {path}"));
    for (path, expected) in [
        ("/facts/erofs", "hello\n"),
        ("/facts/squashfs", "squashed\n"),
        ("/facts/loop", "/dev/loop"),
        ("/up/by-overlay", "written\n"),
        ("/low/file", "low\n"),
    ] {
        assert!(
            content(path).starts_with(expected),
            "{path}: {}\n{said}",
            content(path)
        );
    }
    // At boot the image mounts the same upper layer again. Without these attributes a file would
    // read as zeros and a directory would be empty.
    let marks = |path: &str| oracles::debugfs(&image, &format!("ea_list {path}"));
    let (metacopy, redirect) = (marks("/up/file"), marks("/up/new"));
    assert!(
        metacopy.contains("trusted.overlay.metacopy"),
        "{metacopy}\n{said}"
    );
    assert!(
        redirect.contains("trusted.overlay.redirect"),
        "{redirect}\n{said}"
    );
    assert!(!metacopy.contains("overlay.origin"), "{metacopy}");
    let types = content("/facts/types");
    for name in ["fuse", "iso9660", "xfs"] {
        assert!(types.contains(&format!("\t{name}\n")), "{types}\n{said}");
    }
    let unknown = content("/facts/unknown");
    assert!(
        unknown.contains("unknown filesystem type"),
        "{unknown}\n{said}"
    );
    for path in ["/facts/clock-chip", "/facts/clock"] {
        // User-Mode Linux has no clock chip.
        if machine == "uml" && path == "/facts/clock-chip" {
            continue;
        }
        let text = content(path);
        let seconds: u64 = text.lines().next().unwrap().parse().unwrap();
        assert!((86_400..86_400 + 3600).contains(&seconds), "{path}: {text}");
    }
    for (path, expected) in [
        ("/var/quiet", "Type: directory"),
        (
            "/etc/machine-id",
            "Fast link dest: \"/etc/static/nixos-version\"",
        ),
        ("/etc/ssh/ssh_host_rsa_key", "Type: symlink"),
        ("/etc/ssh/ssh_host_ed25519_key", "File not found"),
        ("/root", "Type: directory"),
        ("/root/.nix-defexpr", "File not found"),
        ("/dev/home", "File not found"),
        ("/background", "Type: regular"),
    ] {
        let text = oracles::debugfs(&image, &format!("stat {path}"));
        assert!(text.contains(expected), "{path}: {text}\n{said}");
    }
}

/// As with impermanence, userborn or an overlay `/etc`: the user database is behind a mount, an
/// absolute symlink, and a symlink that climbs above the root.
#[test]
fn owners_are_found_behind_links_and_mounts() {
    let script = "mkdir -p /persist/etc /persist/tables; cp -a /etc/. /persist/etc/; \
                  mv /persist/etc/passwd /persist/etc/group /persist/tables/; \
                  ln -s /persist/tables/passwd /persist/etc/passwd; \
                  ln -s ../../../../../persist/tables/group /persist/etc/group; \
                  rm /etc/passwd /etc/group; mount --bind /persist/etc /etc";
    let mut job = Attributes::with_installer(script).job();
    let mut entry = text(&job, "key", "x", "/var/lib/key");
    entry["user"] = json!("app");
    entry["group"] = json!("app");
    let mut numbers = text(&job, "other", "x", "/var/lib/other");
    numbers["user"] = json!("417");
    numbers["group"] = json!("users");
    job.image("contents", json!([entry, numbers]));
    let ended = job.run();
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "legacy").unwrap();
    for (path, expected) in [
        ("/var/lib/key", "User:   417   Group:   418"),
        ("/var/lib/other", "User:   417   Group:   100"),
    ] {
        let text = oracles::debugfs(&image, &format!("stat {path}"));
        assert!(text.contains(expected), "{path}: {text}\n{}", ended.said());
    }
}

#[test]
fn a_passwd_file_that_is_a_symlink_loop_is_reported() {
    let script = "rm /etc/passwd; ln -s passwd /etc/passwd";
    let mut job = Attributes::with_installer(script).job();
    let mut entry = text(&job, "key", "x", "/var/lib/key");
    entry["user"] = json!("app");
    entry["group"] = json!("app");
    // An invalid line makes systemd-tmpfiles fail; then its output is shown.
    let line = text(&job, "bad", "~~~ /var/bad\n", "/etc/tmpfiles.d/bad.conf");
    job.image("contents", json!([entry, line]));
    let ended = job.run();
    let said = ended.said();
    assert!(
        said.contains(
            "contents: after activation, the image has no user app (/etc/passwd: Too many levels of \
             symbolic links (os error 40)); declare it in the configuration, or use a numeric ID\n"
        ),
        "{said}"
    );
    assert!(said.contains("bad.conf:1: Unknown modifiers"), "{said}");
}

/// Without chown(1), passwd and group are read directly.
#[test]
fn owners_are_found_without_chown() {
    // The profile is in the store, which is read-only.
    let script = "mkdir /sw /sw/bin; cp -a /nix/var/nix/profiles/system/sw/bin/. /sw/bin/; \
                  rm /sw/bin/chown; mount --bind /sw/bin \"$(readlink -f /nix/var/nix/profiles/system/sw/bin)\"; \
                  test ! -e /nix/var/nix/profiles/system/sw/bin/chown";
    let mut job = Attributes::with_installer(script).job();
    let mut entry = text(&job, "key", "x", "/var/lib/key");
    entry["user"] = json!("app");
    entry["group"] = json!("app");
    job.image("contents", json!([entry]));
    let ended = job.run();
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "legacy").unwrap();
    let text = oracles::debugfs(&image, "stat /var/lib/key");
    assert!(
        text.contains("User:   417   Group:   418"),
        "{text}\n{}",
        ended.said()
    );
}
