//! Failing guests and what they leave behind: the program run directly, with real guests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::oracles;
use crate::common::program::{Attributes, Job, MACHINES};
use serde_json::json;

/// Runs `script` instead of QEMU; the real QEMU is `$qemu`.
fn instead_of_qemu(job: &mut Job, script: &str) {
    job.on("tcg");
    let qemu = job.json["guest"]["qemu"].as_str().unwrap().to_owned();
    let path = job.place().join("qemu");
    fs::write(&path, format!("#!/bin/bash\nqemu={qemu}\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    job.json["guest"]["qemu"] = json!(path);
}

/// Returns the errors with `script` as the installer on each machine, after `change`.
fn errors(script: &str, change: impl Fn(&mut Job)) -> [String; 2] {
    let attributes = Attributes::with_installer(script);
    let jobs = MACHINES.map(|machine| {
        let mut job = attributes.job();
        job.on(machine);
        change(&mut job);
        job
    });
    // Both at once: many of these guests only wait.
    thread::scope(|scope| {
        let runs = jobs.map(|job| scope.spawn(move || job.run().error()));
        runs.map(|run| run.join().unwrap())
    })
}

#[test]
fn a_failing_installer_is_reported_with_its_output() {
    for error in errors("echo the disk is odd; exit 3", |_| ()) {
        assert!(
            error.starts_with(
                "the guest failed: installing the boot loader: \
                 /nix/var/nix/profiles/system/bin/switch-to-configuration boot failed (exit status: 3)\n\
                 last console output:\n"
            ) && error.ends_with("\n  the disk is odd"),
            "{error}"
        );
    }
}

/// `system.switch.enable = false` is noticed without a guest.
#[test]
fn a_system_without_switch_to_configuration_is_rejected_before_anything_runs() {
    for error in errors("", |job| {
        let other = job.json["closure"].as_array().unwrap().iter();
        let mut other = other.map(|entry| entry["path"].clone());
        let other = other.find(|path| *path != job.json["image"]["toplevel"]);
        job.json["image"]["toplevel"] = other.unwrap();
        job.tool("nixosInstall", "echo nixos-install runs; exit 1");
        instead_of_qemu(job, "echo a guest runs; exit 1");
    }) {
        assert!(
            error.starts_with("installBootLoader = true (its default) needs /nix/store/")
                && error.ends_with(
                    "/bin/switch-to-configuration, which the system does not contain; set \
                     system.switch.enable = true in its configuration, or installBootLoader = false"
                ),
            "{error}"
        );
    }
}

#[test]
fn a_missing_kernel_of_user_mode_linux_is_rejected_before_anything_runs() {
    for error in errors("", |job| {
        job.json["guest"]["uml"] = json!("/missing/bin/linux");
        job.tool("nixosInstall", "echo nixos-install runs; exit 1");
    }) {
        assert_eq!(
            error,
            "umlKernel: /missing/bin/linux does not exist; set umlKernel to a package with a kernel \
             of User-Mode Linux at bin/linux, or to null"
        );
    }
}

#[test]
fn only_the_machine_that_the_caller_wants_is_tried() {
    let mut job = Attributes::with_installer("").job();
    job.json["guest"]["machine"] = json!("tcg");
    let starts = job.place().join("starts");
    let script = format!("echo \"$*\" >>{}; exit 1", starts.display());
    instead_of_qemu(&mut job, &script);
    let ended = job.run();
    ended.error();
    let line = "the guest is emulated (guestMachine = \"tcg\")\n";
    assert!(ended.said().contains(line), "{}", ended.said());
    let starts = fs::read_to_string(starts).unwrap();
    assert_eq!(starts.matches("accel=tcg").count(), 1, "{starts}");
    assert!(!starts.contains("accel=kvm"), "{starts}");
}

/// User-Mode Linux has no such file; its kernel panics in
/// `too_little_guest_memory_is_reported_with_advice`.
#[test]
fn a_kernel_panic_is_reported() {
    let mut job = Attributes::with_installer("echo c >/proc/sysrq-trigger").job();
    job.on("tcg");
    let error = job.run().error();
    let expected = "the guest's kernel panicked (not syncing: sysrq triggered crash)\n\
                    last console output:\n";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_machine_that_powers_off_early_is_reported() {
    for error in errors("@busybox@/bin/busybox poweroff -f", |_| ()) {
        assert!(
            error.contains("without finishing\nlast console output:\n"),
            "{error}"
        );
    }
}

#[test]
fn a_hanging_installer_is_killed() {
    let begin = Instant::now();
    for error in errors("echo waiting; while :; do sleep 1; done", |job| {
        job.json["guest"]["timeout"] = json!(25);
    }) {
        assert!(begin.elapsed() < Duration::from_secs(150));
        assert!(
            error.starts_with(
                "the guest did not finish within 25 s and was stopped: if the machine is just slow, set a \
                 larger guestTimeout (in seconds)\nlast console output:\n"
            ) && error.ends_with("\n  waiting"),
            "{error}"
        );
    }
}

#[test]
fn too_little_guest_memory_is_reported_with_advice() {
    let attributes = Attributes::with_installer("");
    for (machine, memory) in [("uml", 32), ("tcg", 64)] {
        let mut job = attributes.job();
        job.on(machine);
        job.json["memSize"] = json!(memory);
        job.json["guest"]["timeout"] = json!(60);
        let (code, error) = job.run().error_with_code();
        assert_eq!(code, "guest-memory", "{error}");
        let advice =
            format!("{memory} MiB of memory is not enough: set memSize to at least 1024\n");
        assert!(error.contains(&advice), "{error}");
    }
}

#[test]
fn a_full_file_system_is_reported() {
    for error in errors("head -c 1G /dev/zero >/filler || exit 1", |job| {
        job.image("diskSize", 600);
    }) {
        assert!(
            error.contains(
                ": a file system is full: if it is the image's, set a larger diskSize (root file system) \
                 or bootSize (boot partitions); if it is the guest's ($HOME, /run), set a larger memSize\n"
            ) && error.contains("No space left on device"),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_owner_is_reported() {
    // There are a user and a group "app": chown(1) reads "app.app" as both.
    for error in errors("", |job| {
        job.image(
            "contents",
            json!([{ "source": "/etc/hostname", "target": "/x", "user": "app.app", "group": "users" }]),
        );
    }) {
        assert!(
            error.starts_with(
                "the guest failed: contents: after activation, the image has no user app.app; declare it \
                 in the configuration, or use a numeric ID\n"
            ),
            "{error}"
        );
    }
}

#[test]
fn a_system_for_another_processor_needs_another_builder() {
    let mut job = Attributes::with_installer("").job();
    job.json["guest"]["architecture"] = json!("aarch64");
    job.json["guest"]["uml"] = json!(null);
    let error = job.run().error();
    assert!(
        error.starts_with(
            "the image's system is for aarch64, and its guest needs a builder of that architecture"
        ),
        "{error}"
    );
}

#[test]
fn a_missing_or_killed_qemu_is_reported() {
    // This guest never ends by itself before it is killed, however fast the machine is.
    let attributes = Attributes::with_installer("while :; do sleep 1; done");
    let mut job = attributes.job();
    job.on("tcg");
    job.json["guest"]["qemu"] = json!("/nonexistent/qemu");
    let error = job.run().error();
    assert!(
        error.starts_with("starting the guest: starting /nonexistent/qemu "),
        "{error}"
    );

    let mut job = attributes.job();
    instead_of_qemu(&mut job, "$qemu \"$@\" <&0 &\n/bin/sleep 3\nkill -9 $!");
    let error = job.run().error();
    assert!(error.contains("without finishing"), "{error}");
}

/// The image's programs are root in the guest. One that breaks out of it into QEMU still cannot start
/// programs or change its user.
#[test]
fn a_guest_that_breaks_out_into_qemu_is_confined() {
    let mut job = Attributes::with_installer("").job();
    let facts = job.place().join("filters");
    // The builder may have a filter for the whole build, so the number of filters counts.
    instead_of_qemu(
        &mut job,
        &format!(
            r#"filters() {{ while read -r key value; do
                 [ "$key" != Seccomp_filters: ] || echo "$value"; done </proc/$1/status; }}
               "$qemu" "$@" <&0 &
               for ((i = 0; i < 100; i++)); do
                 if (($(filters $!) > $(filters self))); then echo confined >{}; break; fi
                 /bin/sleep 0.1
               done
               wait $!"#,
            facts.display()
        ),
    );
    let ended = job.run();
    ended.image("nixos.img");
    let facts = fs::read_to_string(&facts).unwrap_or_default();
    assert_eq!(facts, "confined\n", "{}", ended.said());
}

/// The guest reads source files in place. A file it cannot read is a build error, not a guest
/// error.
#[test]
fn a_file_that_the_guest_cannot_read_is_reported() {
    let attributes = Attributes::with_installer("cat /data >/dev/null || echo never mind");
    for (change, reason) in [
        (
            "rm",
            "opening SOURCE to copy it: it existed when it was listed, but does not now",
        ),
        (
            "echo changed >",
            "SOURCE has 8 bytes but had 100000 when it was listed",
        ),
    ] {
        let mut job = attributes.job();
        let source = job.place().join("source");
        fs::write(&source, vec![1; 100_000]).unwrap();
        let source = source.to_str().unwrap();
        job.image("contents", json!([{ "source": source, "target": "/data" }]));
        instead_of_qemu(&mut job, &format!("{change} {source}\nexec $qemu \"$@\""));
        let (code, error) = job.run().error_with_code();
        assert_eq!(code, "changed-file", "{error}");
        let expected = format!(
            "{}: it was changed during the build; build again when nothing writes to it\n\
             the guest cannot continue and was stopped\nlast console output:\n",
            reason.replace("SOURCE", source)
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn a_signal_also_stops_the_guest() {
    let attributes = Attributes::with_installer("echo waiting; while :; do sleep 1; done");
    let cases = MACHINES.map(|machine| ["TERM", "INT", "KILL"].map(|signal| (machine, signal)));
    for (machine, signal) in cases.into_iter().flatten() {
        let mut job = attributes.job();
        job.on(machine);
        let mut running = job.start();
        running.wait_for(|running| {
            let entries = fs::read_dir(running.build()).unwrap();
            entries
                .flatten()
                .any(|entry| entry.path().join("guest/report").exists())
        });
        std::thread::sleep(Duration::from_secs(1));
        let ended = running.end_by(signal);
        match signal {
            // Nothing is left to delete the files.
            "KILL" => ended.assert_alone(Duration::from_secs(5)),
            _ => ended.assert_nothing_left(Duration::from_secs(5)),
        }
    }
}

/// With `--force`, GRUB uses blocklists, which would refer to blocks of the guest's file system.
#[test]
fn boot_code_on_a_disk_without_a_table_is_rejected() {
    for error in errors("printf code >/dev/vda", |job| {
        job.image("partitionTableType", "none");
    }) {
        assert_eq!(
            error,
            "the boot loader's installer wrote boot code to the first 1024 bytes of a disk without a \
             partition table; this code depends on blocks of the root file system, which are moved: set \
             partitionTableType to \"legacy\", which has room for boot code, or installBootLoader = \
             false"
        );
    }
}

/// Changes by activation and the installer are kept, except seeds and deleted files.
#[test]
fn an_image_holds_the_changes_of_the_guest_and_no_seeds() {
    let script = "mkdir -p /var/lib/systemd /var/kept; echo seed >/var/lib/systemd/random-seed; \
                  echo id >/etc/machine-id; rm /etc/NIXOS-not-there /gone; \
                  echo x >/var/kept/file; ln /var/kept/file /var/kept/twin; chmod 2750 /var/kept; \
                  chown 417:418 /var/kept/file; mkfifo /var/kept/pipe || true; \
                  PATH=${fixture.pkgs.e2fsprogs}/bin:$PATH; \
                  chattr +ad /var/kept/file; chattr +i /var/kept /flagged";
    let attributes = Attributes::with_installer(&script.replace("/etc/NIXOS-not-there ", ""));
    let images = [("1", "uml"), ("16", "uml"), ("2", "tcg")].map(|(cores, machine)| {
        let mut job = attributes.job();
        job.on(machine);
        job.environment.insert("NIX_BUILD_CORES", cores.into());
        job.image(
            "contents",
            json!([
                { "source": "/etc/hostname", "target": "/gone" },
                { "source": "/etc/hostname", "target": "/flagged" },
                { "source": "/etc/hostname", "target": "/owned", "user": "app", "group": "app" },
            ]),
        );
        job.run()
    });
    let [a, b, c] = images.each_ref().map(|ended| ended.image("nixos.img"));
    oracles::check(&a, "raw", "legacy").unwrap();
    let hash = crate::common::program::hash(&a);
    for other in [b, c] {
        assert_eq!(crate::common::program::hash(&other), hash);
    }
    let said = images[0].said();
    for start in [
        "  the guest's init started after ",
        "guest: the image's own programs took ",
    ] {
        let mut lines = said.lines();
        let seconds = lines.find_map(|line| line.strip_prefix(start)?.strip_suffix(" s"));
        let seconds = seconds.and_then(|seconds| seconds.parse::<f64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0.0), "{said}");
    }
    let stat = |path: &str| {
        let file = format!("{}?offset=1048576", a.display());
        let output = crate::common::run(crate::common::command("debugfs").args([
            "-R",
            &format!("stat {path}"),
            &file,
        ]));
        crate::common::said(&output)
    };
    for (path, expected) in [
        ("/owned", "User:   417   Group:   418"),
        ("/var/kept", "Mode:  02750"),
        ("/var/kept", "Flags: 0x80010"),
        ("/var/kept/file", "Links: 2"),
        ("/var/kept/file", "Flags: 0x80060"),
        ("/flagged", "Flags: 0x80010"),
        ("/var/kept/twin", "User:   417   Group:   418"),
        ("/etc/passwd", "mtime: 0x00000001:00000000"),
        ("/dev", "Mode:  0755"),
        ("/sys", "Mode:  0755"),
        ("/etc/machine-id", "File not found"),
        ("/var/lib/systemd/random-seed", "File not found"),
        ("/gone", "File not found"),
    ] {
        let text = stat(path);
        assert!(text.contains(expected), "{path}: {text}");
    }
}

#[test]
fn a_guest_kernel_without_the_root_file_system_is_reported() {
    let mut job = Attributes::with_installer("true").job();
    job.on("tcg");
    // Debian's kernel for clouds does not have it.
    job.json["image"]["fsType"] = json!("f2fs");
    let error = job.run().error();
    assert!(
        error.contains("the guest's kernel does not support f2fs: use pkgs whose kernel"),
        "{error}"
    );
}
