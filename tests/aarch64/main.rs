//! The program on aarch64, emulated: it makes the same bytes as on this machine's processor, and its guests
//! and boots work. The programs that it starts are this machine's.
//!
//! `make aarch64` compiles the program and runs these tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

#[path = "../common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::program::{Attributes, Ended, Job, hash};
use common::qemu::{self, Boot, ROOT_UUID};
use common::{command, oracles, scratch, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Path of the program for aarch64; tests/aarch64/run sets it.
const VARIABLE: &str = "MAKE_DISK_IMAGE_AARCH64";

/// Time limit of a boot from firmware, which takes 16 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(240);

/// Runs the job with the program for aarch64.
fn on_aarch64(mut job: Job) -> Ended {
    let program = std::env::var_os(VARIABLE).unwrap();
    job.program = PathBuf::from(program);
    job.wrapped(&["timeout", "600", "qemu-aarch64-static"]);
    if !job.json["guest"].is_null() {
        job.json["guest"]["qemu"] = json!("/usr/bin/qemu-system-aarch64");
    }
    job.run()
}

/// Number of files that [`names`] creates.
const NAMES: usize = 2000;

/// A directory that is large enough for an ext4 index. Its names contain bytes that are negative on
/// architectures with signed characters.
fn names() -> TempDir {
    let directory = scratch();
    for number in 0..NAMES {
        std::fs::write(directory.path().join(format!("ä-{number}-ÿ")), "").unwrap();
    }
    directory
}

fn contents(names: &TempDir) -> Value {
    json!([
        { "source": names.path(), "target": "/srv/names", "mode": "u=rwX,go=", "user": "1", "group": "2" },
        { "source": "/etc/passwd", "target": "/srv/numbers", "user": "3", "group": "4" },
    ])
}

#[test]
fn makes_the_same_bytes_on_both_architectures() {
    let names = names();
    for (arguments, file) in [
        (
            r#"onlyNixStore = true; partitionTableType = "none";
               additionalPaths = [ fixture.aarch64.config.system.build.toplevel ];"#,
            "nixos.img",
        ),
        (r#"partitionTableType = "legacy+gpt";"#, "nixos.img"),
        (
            r#"partitionTableType = "efixbootldr"; bootSize = "128M"; format = "vpc";"#,
            "nixos.vhd",
        ),
        (
            r#"partitionTableType = "hybrid"; format = "qcow2-compressed"; additionalSpace = "0M";"#,
            "nixos.qcow2",
        ),
    ] {
        let attributes =
            Attributes::for_aarch64(&format!("installBootLoader = false; {arguments}"));
        let job = || {
            let mut job = attributes.job();
            if !arguments.contains("onlyNixStore") {
                job.image("contents", contents(&names));
            }
            job
        };
        let here = hash(job().run().image(file));
        assert_eq!(hash(on_aarch64(job()).image(file)), here, "{arguments}");
    }
}

struct Row {
    table: &'static str,
    loader: &'static str,
    /// More arguments of the function, and options of the fixture's configuration.
    more: &'static str,
    /// The name of the image and its format in QEMU.
    file: (&'static str, &'static str),
}

/// An addition to the boot loader's installer in the guest: checks that the kernel finds every name.
const LOOK_UP: &str = r#"
    count=0
    for name in /srv/names/*; do
      [ -e "$name" ] || { echo "$name: not found"; exit 9; }
      count=$((count + 1))
    done
    [ "$count" = 2000 ] || { echo "expected 2000 names, found $count"; exit 9; }
"#;

impl Row {
    /// Builds the image twice, and boots it from firmware.
    fn run(&self) {
        let Row {
            table,
            loader,
            more,
            file: (file, container),
        } = self;
        let attributes = Attributes::for_aarch64(&format!(
            "partitionTableType = \"{table}\"; loader = \"{loader}\"; copyChannel = false;
             additionalSpace = \"64M\"; extraInstallCommands = ''{LOOK_UP}''; {more}"
        ));
        let names = names();
        let [built, again] = [(); 2].map(|()| {
            let mut job = attributes.job();
            let mut contents = contents(&names);
            contents[1] = json!({ "source": "/etc/passwd", "target": "/srv/named", "user": "alice", "group": "app" });
            job.image("contents", contents);
            on_aarch64(job)
        });
        let image = built.image(file);
        assert_eq!(hash(&image), hash(again.image(file)));
        drop(again);
        oracles::check(&image, container, table);
        let scratch = scratch();
        let raw = oracles::raw_copy(&image, container, scratch.path());
        assert_eq!(owner(&raw, "/srv/named"), "1000 418");

        let variables = built.out.join("efi-vars.fd");
        let variables = more.contains("touchEFIVars").then_some(&*variables);
        // With variables, only these name the boot loader.
        assert_eq!(has_fallback(&raw), variables.is_none());
        let booted = qemu::boot(&image, container, &Boot::Aarch64(variables), LIMIT);
        assert_eq!(booted.fact("firmware"), "efi");
        assert_eq!(booted.fact("uuid"), ROOT_UUID);
    }
}

/// Returns the user and group of a file in the root file system of a raw image.
fn owner(raw: &Path, path: &str) -> String {
    let table = oracles::read_table(raw);
    let root = table.partitions.last().unwrap();
    let mut file_system = raw.as_os_str().to_owned();
    file_system.push(format!("?offset={}", root.start));
    let text = stdout(
        command("debugfs")
            .args(["-R", &format!("stat {path}")])
            .arg(file_system),
    );
    let mut words = text.split_whitespace();
    let mut after = |name| words.find(|word| *word == name).and_then(|_| words.next());
    let [user, group] = ["User:", "Group:"].map(|name| after(name).unwrap());
    format!("{user} {group}")
}

/// Returns whether the EFI system partition has a boot loader at the path for removable media.
fn has_fallback(raw: &Path) -> bool {
    let files = oracles::loaders(raw);
    files.contains("/EFI/BOOT/BOOTAA64.EFI")
}

#[test]
fn installs_and_boots_systemd_boot() {
    Row {
        table: "efi",
        loader: "systemd-boot",
        more: "",
        file: ("nixos.img", "raw"),
    }
    .run();
}

#[test]
fn installs_and_boots_grub() {
    Row {
        table: "efixbootldr",
        loader: "grub-efi",
        more: r#"efiSysMountPoint = "/efi"; format = "qcow2-compressed";"#,
        file: ("nixos.qcow2", "qcow2"),
    }
    .run();
}

#[test]
fn boots_grub_through_its_efi_variable() {
    Row {
        table: "efi",
        loader: "grub-efi",
        more: "touchEFIVars = true; canTouchEfiVariables = true;",
        file: ("nixos.img", "raw"),
    }
    .run();
}

fn error(script: &str, change: impl FnOnce(&mut Job)) -> String {
    let attributes = Attributes::for_aarch64(&format!(
        r#"loader = "none"; partitionTableType = "efi"; copyChannel = false;
           extraInstallCommands = ''{script}'';"#
    ));
    let mut job = attributes.job();
    change(&mut job);
    on_aarch64(job).error()
}

#[test]
fn reports_why_a_guest_failed() {
    let panic = error("echo c >/proc/sysrq-trigger", |_| ());
    let expected = "the guest's kernel panicked (not syncing: sysrq triggered crash)\n\
                    last console output:\n";
    assert!(panic.starts_with(expected), "{panic}");

    let memory = error("", |job| {
        job.json["memSize"] = json!(64);
        job.json["guest"]["timeout"] = json!(90);
    });
    let expected = "64 MiB of memory is not enough: set memSize to at least 1024";
    assert!(memory.contains(expected), "{memory}");

    let other = error("", |job| {
        job.json["guest"]["architecture"] = json!("x86_64");
    });
    let expected = "the image's system is for x86_64, and its guest needs a builder of that \
                    architecture; this one is aarch64";
    assert!(other.starts_with(expected), "{other}");
}
