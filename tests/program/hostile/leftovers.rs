//! Leftovers of tools: processes, unexpected files, read-only directories.

use std::fs;
use std::time::{Duration, Instant};

use super::{job, qed};
use crate::common::program::Job;

/// The process holds our pipe open. Waiting for the end of the pipe would take forever.
#[test]
fn background_processes_do_not_delay_the_build() {
    let background = "sleep 1000 & setsid sleep 1000 & setsid -f sleep 1000; echo started";
    let cases: [fn(&mut Job, &str); 2] = [
        |job, script| _ = job.post_vm(script),
        |job, script| _ = job.tool("nixosInstall", &format!("{script}; $real \"$@\"")),
    ];
    for change in cases {
        let mut job = job();
        change(&mut job, background);
        let begin = Instant::now();
        let ended = job.start().wait_for_status();
        assert!(begin.elapsed() < Duration::from_secs(60));
        assert!(ended.output.status.success());
        assert!(ended.is_alone());
    }
}

/// Where it appears, and how its creator gets there.
type Change = (&'static str, fn(&mut Job, &str));

/// Directories that an ordinary user, who cannot override permissions, cannot empty.
#[test]
fn read_only_directories_are_removed() {
    let make = "mkdir -p a/b/c; echo x >a/b/file; ln -s \"$PRECIOUS\" a/b/link; \
                chmod 0 a/b/c; chmod 0111 a/b; chmod 0555 a";
    let cases: [Change; 3] = [
        ("of the output", |job, make| {
            _ = job.post_vm(format!("cd $out; {make}; chmod 0555 .; exit 3"));
        }),
        ("of the work directory", |job, make| {
            _ = job.post_vm(format!("cd $TMPDIR; {make}; chmod 0555 .; exit 3"));
        }),
        ("of the root", |job, make| {
            _ = job.tool("nixosInstall", &format!("cd root; {make}; exit 3"));
        }),
    ];
    for (place, change) in cases {
        let mut job = job();
        let precious = job.place().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "").unwrap();
        let named = format!("PRECIOUS={}; {make}", precious.display());
        change(&mut job, &named);
        // Root without capabilities.
        job.wrapped(&["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
        let ended = job.run();
        let error = ended.error();
        assert!(error.contains("exit status: 3"), "{place}: {error}");
        assert!(
            ended
                .build()
                .with_file_name("precious")
                .join("file")
                .exists()
        );
    }
}

/// tool, what it leaves (at `$target`), more changes, parts of the message
type Case = (
    &'static str,
    &'static str,
    fn(&mut Job),
    &'static [&'static str],
);

const QEMU_IMG: &str = "qemu-img should have left a regular file at /nix/store/";

const CASES: [Case; 21] = [
    (
        "qemuImg",
        "mkdir $target",
        qed,
        &[QEMU_IMG, "but left a directory"],
    ),
    (
        "qemuImg",
        "ln -s /etc/passwd $target",
        qed,
        &[QEMU_IMG, "but left a symbolic link"],
    ),
    (
        "qemuImg",
        "mkfifo $target",
        qed,
        &[QEMU_IMG, "but left a FIFO"],
    ),
    (
        "qemuImg",
        ": >$target",
        qed,
        &[
            "checking the output of qemu-img: /nix/store/",
            ": the file is empty",
        ],
    ),
    (
        "qemuImg",
        "head -c 100000 /dev/urandom >$target",
        qed,
        &[": not a qed image: no qed signature in its 100000 bytes"],
    ),
    (
        "qemuImg",
        "printf 'QED\\0' >$target",
        qed,
        &["the file ends within the header, after 4 bytes"],
    ),
    // Another disk than the given one.
    (
        "qemuImg",
        "$real create -f qed $target 1G",
        qed,
        &[": expected a disk of ", " bytes, found one of 1073741824"],
    ),
    // Another format.
    (
        "qemuImg",
        "$real create -f qcow2 $target 1G",
        qed,
        &[": not a qed image: "],
    ),
    (
        "qemuImg",
        ": >$target",
        |job| _ = job.image("format", "unheard-of"),
        &[
            "checking the output of qemu-img: /nix/store/",
            ": the file is empty",
        ],
    ),
    (
        "mkfsFat",
        "$real \"$@\"; truncate -s 1M $target",
        |_| {},
        &["mkfs.fat should have left ", "/ESP.mkfs, but left 1048576"],
    ),
    (
        "mkfsFat",
        "rm $target; mkfifo $target",
        |_| {},
        &[
            "mkfs.fat should have left a regular file at ",
            "/ESP.mkfs, but left a FIFO",
        ],
    ),
    (
        "mkfsFat",
        "mv $target $target.moved; ln -s $target.moved $target",
        |_| {},
        &[
            "mkfs.fat should have left a regular file at ",
            "/ESP.mkfs, but left a symbolic link",
        ],
    ),
    (
        "nixosInstall",
        "cd root/nix/var/nix/db; rm db.sqlite; mkfifo db.sqlite",
        |_| {},
        &["/root/nix/var/nix/db/db.sqlite, but left a FIFO"],
    ),
    (
        "nixosInstall",
        "cd root/nix/var/nix; mv db ../../../db; ln -s ../../../db db",
        |_| {},
        &[
            "nixos-install should have left a directory at ",
            "/root/nix/var/nix/db, but left a symbolic",
        ],
    ),
    // Where other files will be created.
    (
        "nixosInstall",
        "$real \"$@\"; mkfifo disk.made",
        qed,
        &[
            "creating /",
            "/disk.made: No such device or address (os error 6)",
        ],
    ),
    (
        "nixosInstall",
        "$real \"$@\"; ln -s /etc/passwd disk.made",
        qed,
        &[
            "creating /",
            "/disk.made: Too many levels of symbolic links (os error 40)",
        ],
    ),
    (
        "qemuImg",
        "cd make-disk-image-*; ln -s /etc/passwd disk.raw; exit 1",
        qed,
        &[
            "creating /",
            "/disk.raw: Too many levels of symbolic links (os error 40)",
        ],
    ),
    (
        "nixosInstall",
        "$real \"$@\"; mkfifo postVM.sh",
        |job| _ = job.post_vm("echo"),
        &["writing /", "/postVM.sh: File exists (os error 17)"],
    ),
    (
        "qemuImg",
        "$real \"$@\"; ln -s /etc ${target%/*}/nix-support",
        qed,
        &[
            "creating /nix/store/",
            "/nix-support: File exists (os error 17)",
        ],
    ),
    // Its contents would be deleted.
    (
        "nixosInstall",
        "rm -r root/nix/store; mkdir copies; ln -s ../../copies root/nix/store",
        |_| {},
        &[
            "nixos-install should have left a directory at ",
            "/root/nix/store, but left a symbolic",
        ],
    ),
    (
        "nixosInstall",
        "rm -r root/nix/var/nix/gcroots; ln -s /etc root/nix/var/nix/gcroots",
        |_| {},
        &[
            "nixos-install should have left a directory at ",
            "/root/nix/var/nix/gcroots, but left a symbolic",
        ],
    ),
];

#[test]
fn files_left_by_tools_are_checked_before_use() {
    for (tool, script, change, words) in CASES {
        let mut job = job();
        job.tool(tool, &format!("for target; do :; done\n{script}"));
        change(&mut job);
        let begin = Instant::now();
        let error = job.run().error();
        assert!(begin.elapsed() < Duration::from_secs(60), "{script}");
        for word in words {
            assert!(
                error.contains(word),
                "{tool}: {script}: no {word:?} in\n{error}"
            );
        }
    }
}

/// Neither a link's target nor whoever reads the FIFO gets the image.
#[test]
fn nothing_in_place_of_the_image_is_followed() {
    // Format, extension. Each is opened in another place, or by another writer.
    for (format, extension) in [
        ("raw", "img"),
        ("qcow2", "qcow2"),
        ("vpc", "vhd"),
        ("vpc-fixed", "vhd"),
    ] {
        for (command, message) in [
            ("ln -s \"$PRECIOUS\"", "Too many levels of symbolic links"),
            ("mkfifo", "No such device or address"),
        ] {
            let mut job = job();
            let precious = job.place().join("precious");
            fs::write(&precious, "precious").unwrap();
            let image = job.out.join(format!(".nixos.{extension}.part"));
            // The last tool before the image is written.
            let script = format!(
                "$real \"$@\"; PRECIOUS={}; {command} {}",
                precious.display(),
                image.display()
            );
            job.image("format", format).tool("mkfsFat", &script);
            let ended = job.run();
            let error = ended.error();
            let expected = format!("creating {}: {message}", image.display());
            assert!(error.starts_with(&expected), "{format}: {error}");
            let precious = ended.build().with_file_name("precious");
            assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
        }
    }
}

/// Only the end of the output may be kept in memory.
#[test]
fn tool_output_takes_bounded_memory() {
    let mut job = job();
    // The limit must not affect qemu-img itself.
    let flood = "ulimit -S -v unlimited; head -c 1000000000 /dev/zero; \
                 head -c 1000000000 /dev/zero >&2; exec $real \"$@\"";
    qed(&mut job);
    job.tool("qemuImg", flood);
    job.wrapped(&["bash", "-c", "ulimit -S -v 600000; exec \"$@\"", "bash"]);
    job.run().image("nixos.qed");
}
