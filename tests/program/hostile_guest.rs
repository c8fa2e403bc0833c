//! Hostile guests: the program run directly, with real guests.
//!
//! The host's time and memory stay bounded, and the image is correct.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::oracles;
use crate::common::program::{Attributes, Ended, Job, MACHINES};
use crate::common::record::record;
use make_disk_image::guest::report::{RecordKind, Writer};
use serde_json::json;

/// The program believed that the installation had ended and kept all later output in memory.
#[test]
fn a_console_flood_that_fakes_the_end_stops_at_the_time_limit() {
    let attributes = Attributes::with_installer(
        "echo MAKE-DISK-IMAGE exit 0 >/dev/console; while :; do echo MAKE-DISK-IMAGE exit 0; \
         head -c 1M /dev/zero | tr '\\0' x; done >/dev/console",
    );
    for (machine, timeout) in [("uml", 15), ("tcg", 60)] {
        flood(&attributes, machine, timeout);
    }
}

fn flood(attributes: &Attributes, machine: &str, timeout: u64) {
    let mut job = attributes.job();
    job.on(machine);
    job.json["guest"]["timeout"] = json!(timeout);
    // A limit of the address space, which includes the guest's memory; QEMU has its own limit.
    job.json["memSize"] = json!(300);
    let qemu = job.json["guest"]["qemu"].as_str().unwrap().to_owned();
    let wrapper = job.place().join("qemu");
    let script = format!("#!/bin/sh\nulimit -S -v unlimited; exec {qemu} \"$@\"\n");
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(
        &wrapper,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    job.json["guest"]["qemu"] = json!(wrapper);
    job.wrapped(&["sh", "-c", "ulimit -S -v 2000000; exec \"$@\"", "sh"]);
    let begin = Instant::now();
    let ended = job.run();
    assert!(begin.elapsed() < Duration::from_secs(120));
    assert!(ended.said().len() < 2 << 20, "{}", ended.said().len());
    let error = ended.error();
    assert!(
        error.starts_with(&format!(
            "the guest did not finish within {timeout} s and was stopped: "
        )),
        "{error}"
    );
    assert!(
        error.contains("\n  MAKE-DISK-IMAGE exit 0") || error.contains("\n  xxxx"),
        "{error}"
    );
    assert!(error.len() < 20_000, "{}", error.len());
}

/// A report that no init would send: a link that makes a cycle, or a file in the store. Its token
/// is a placeholder.
fn forged(path: &str, kind: RecordKind) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), u64::MAX);
    writer.owners(&[]).unwrap();
    writer
        .file(&record(path, kind), 0, std::io::empty())
        .unwrap();
    writer.end(NO_TOKEN).unwrap()
}

const NO_TOKEN: &str = "no token no token no token no to";

/// Root in the guest can find the token in the memory of init. With it, it can do no more than a
/// report can.
#[test]
fn a_forged_report_cannot_create_a_directory_cycle() {
    let script = r#"
        heap=$(while read -r range flags rest; do
          case $rest in *heap*) echo $range; break;; esac; done </proc/1/maps)
        begin=$((0x''${heap%-*} / 4096)); end=$((0x''${heap#*-} / 4096))
        dd if=/proc/1/mem bs=4096 skip=$begin count=$((end - begin)) |
          grep -ao "[0-9a-f]\{32\}" | sort | uniq -c | sort -rn >/run/tokens
        # One of them is the token; after that, the host ends the guest.
        while read -r count token; do
          sed "s/no token no token no token no to/$token/" /forged >/run/report
          dd if=/run/report of=/dev/vdb conv=fsync
          sync
          echo "MAKE-DISK-IMAGE $token exit 0" >/dev/console
          sleep 20
        done </run/tokens
        sleep 1000
    "#;
    let attributes = Attributes::with_installer(script);
    for machine in MACHINES {
        let mut job = attributes.job();
        let source = job.place().join("forged");
        fs::write(
            &source,
            forged("etc/loop", RecordKind::Link(b"etc".to_vec())),
        )
        .unwrap();
        job.on(machine).image(
            "contents",
            json!([{ "source": source, "target": "/forged" }]),
        );
        job.json["guest"]["timeout"] = json!(300);
        assert_eq!(
            job.run().error(),
            "merging the guest's changes into the image: /etc/loop: it is a hard link to /etc, which \
             is a directory",
            "{machine}"
        );
    }
}

/// Writes the report's disk instead of a guest.
#[test]
fn a_forged_report_cannot_change_protected_paths() {
    let attributes = Attributes::with_installer("");
    let host = "a guest cannot change the store, the Nix database or lost+found, or remove or replace \
                a directory above them";
    let link = |path: &str| RecordKind::Link(path.into());
    let evil = || RecordKind::Symlink(b"/evil".to_vec());
    for (path, kind, message) in [
        ("nix/store/evil", RecordKind::File, host),
        ("nix/store", evil(), host),
        ("nix", evil(), host),
        ("nix/var/nix/db/db.sqlite", RecordKind::File, host),
        ("evil", link("nix/store/.links"), host),
        (
            "etc/loop",
            link("etc"),
            "it is a hard link to /etc, which is a directory",
        ),
    ] {
        let mut job = attributes.job();
        fs::write(job.place().join("forged"), forged(path, kind)).unwrap();
        let script = format!(
            r#"#!/bin/bash
               token=$(grep -ao '"token":"[0-9a-f]*"' initrd | cut -d '"' -f 4)
               sed "s/{NO_TOKEN}/$token/" {}/forged | dd of=report conv=notrunc
               echo "MAKE-DISK-IMAGE $token started"
               echo "MAKE-DISK-IMAGE $token exit 0""#,
            job.place().display()
        );
        instead_of_qemu(&mut job, &script);
        let error = job.run().error();
        let expected = format!("merging the guest's changes into the image: /{path}: {message}");
        assert_eq!(error, expected);
    }
}

fn instead_of_qemu(job: &mut Job, script: &str) {
    job.on("tcg");
    let path = job.place().join("qemu");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    job.json["guest"]["qemu"] = json!(path);
}

/// Writes a forged report to the report's disk and a forged end to the console, and replaces the
/// store and the database by files and symlinks as far as the guest's kernel lets root do that.
/// Also makes harmless files: some with holes, one fully preallocated.
#[test]
fn a_guest_cannot_change_the_closure_in_the_image() {
    let script = r#"
        printf 'MAKE-DISK-IMAGE exit 0\n' >/dev/console
        test ! -e /proc/1/root/job.json || exit 1
        head -c 1M /dev/urandom >/dev/vdb
        mount -o remount,bind,rw /nix/store
        echo evil >/nix/store/evil; mkdir /nix/store/evil-directory
        if umount /nix/store; then echo evil >/nix/store/evil-too; fi
        mkdir /nix/var/evil
        mv /nix/var/nix/db /nix/var/nix/db-moved; ln -s /evil /nix/var/nix/db
        mkdir /lost+found/evil; ln /etc/passwd /lost+found/evil/passwd
        mkdir -p /sparse; truncate -s 1G /sparse/empty
        truncate -s 300M /sparse/some; printf abc | dd of=/sparse/some bs=1M seek=200 conv=notrunc
        printf xyz >>/sparse/some
        fallocate -l 16M /sparse/reserved || head -c 16M /dev/zero >/sparse/reserved
        echo done >/sparse/done
        true
    "#;
    let attributes = Attributes::with_installer(&script.replace('\n', "\n  "));
    for machine in MACHINES {
        let mut job = attributes.job();
        job.on(machine);
        check_closure(&attributes, &job.run());
    }
}

/// Checks the image of `a_guest_cannot_change_the_closure_in_the_image`.
fn check_closure(attributes: &Attributes, ended: &Ended) {
    let closure = attributes.closure();
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "legacy").unwrap();

    let names = |directory: &str| -> Vec<String> {
        let listing = oracles::debugfs(&image, &format!("ls -p {directory}"));
        let names = listing.lines().filter_map(|line| line.split('/').nth(5));
        let mut names: Vec<_> = names
            .filter(|name| !name.is_empty() && *name != "." && *name != "..")
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    let mut expected: Vec<String> = closure
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    expected.push(".links".to_owned());
    expected.sort();
    assert_eq!(names("/nix/store"), expected, "{}", ended.said());
    assert_eq!(
        names("/nix/var/nix/db"),
        ["big-lock", "db.sqlite", "schema"]
    );
    assert_eq!(names("/lost+found"), [""; 0]);
    assert!(oracles::debugfs(&image, "stat /sparse/done").contains("Type: regular"));

    for (path, size, sectors) in [
        ("/sparse/empty", 1u64 << 30, 0..=0),
        ("/sparse/some", (300 << 20) + 3, 16..=32),
        ("/sparse/reserved", 16 << 20, 32768..=32776),
    ] {
        let stat = oracles::debugfs(&image, &format!("stat {path}"));
        let field = |name: &str| -> u64 {
            let (_, rest) = stat.split_once(name).unwrap();
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        assert_eq!(field("Size: "), size, "{stat}");
        assert!(sectors.contains(&field("Blockcount: ")), "{path}: {stat}");
    }
    let copy = ended.build().join("some");
    oracles::debugfs(&image, &format!("dump /sparse/some {}", copy.display()));
    let hash = crate::common::program::hash(&copy);
    let expected = ended.build().join("expected");
    let file = fs::File::create(&expected).unwrap();
    file.write_all_at(b"abc", 200 << 20).unwrap();
    file.write_all_at(b"xyz", 300 << 20).unwrap();
    assert_eq!(hash, crate::common::program::hash(&expected));
}

/// The guest got an I/O error from its disk.
#[test]
fn a_full_temporary_directory_is_reported_while_the_guest_runs() {
    let attributes = Attributes::with_installer("head -c 600M /dev/urandom >/filler; sync");
    for machine in MACHINES {
        let mut job = attributes.job();
        job.on(machine);
        report_full_directory(job);
    }
}

/// Runs `job` with a temporary directory of 300 MiB.
fn report_full_directory(mut job: Job) {
    let temporary: PathBuf = job.place().join("temporary");
    fs::create_dir(&temporary).unwrap();
    job.environment.insert("TMPDIR", temporary.clone().into());
    let script = format!(
        "mount -t tmpfs -o size=300m,mode=755 small {} && exec \"$@\"",
        temporary.display()
    );
    job.wrapped(&["unshare", "-m", "bash", "-c", &script, "bash"]);
    let ended = job.run();
    let error = ended.error();
    let expected = format!(
        "storing the guest's writes in {}/make-disk-image-",
        temporary.display()
    );
    assert!(error.starts_with(&expected), "{error}");
    let (_, rest) = error
        .split_once("/guest: No space left on device; ")
        .unwrap_or_else(|| panic!("{error}"));
    let numbers: Vec<u64> = rest
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let [before, now, needed] = numbers[..3] else {
        panic!("{error}");
    };
    assert!(before > 200 << 20 && before <= 300 << 20, "{error}");
    assert!(now < 4 << 20, "{error}");
    assert!(needed > 600 << 20, "{error}");
}
