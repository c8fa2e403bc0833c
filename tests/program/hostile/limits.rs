//! Limits of the process (setrlimit(2)).

use std::time::Duration;

use super::{ALONE, job};

/// A failed allocation aborts the worker; the supervisor reports it and cleans up.
#[test]
fn too_little_memory_is_reported_and_nothing_is_left() {
    let mut aborted = 0;
    let mut enough = false;
    // The point of failure depends on the program, the compiler and the number of processors.
    for mebibytes in (8..40).chain([60, 100, 400, 2000]) {
        let mut job = ALONE.job();
        let limit = format!("ulimit -v {}; exec \"$@\"", mebibytes << 10);
        job.wrapped(&["sh", "-c", &limit, "sh"]);
        let ended = job.run();
        if ended.output.status.success() {
            ended.image("nixos.img");
            enough = true;
            break;
        }
        let log = ended.said();
        println!("{mebibytes} MiB: {log}");
        ended.assert_nothing_left(Duration::from_secs(20));
        let end = format!(
            " MiB of memory, and its limit is {mebibytes}.00 MiB (ulimit -v): provide more\n"
        );
        if log.contains(
            "error[terminated]: the build could not continue (SIGABRT), probably due to a lack of memory",
        ) {
            assert!(log.ends_with(&end), "{log}");
            // The work directory exists by then.
            aborted += u32::from(log.contains("checking the paths of the closure"));
        }
    }
    assert!(enough && aborted > 0, "{aborted} aborted");
}

/// SIGXFSZ must not kill the build.
#[test]
fn exceeding_the_file_size_limit_is_a_write_error() {
    // For the boot partition, the raw image, and the final image.
    for (table, format, cores, file) in [
        ("efi", "raw", "0", "making /"),
        ("none", "qcow2", "0", "writing /"),
        ("none", "raw", "0", "writing /nix/store/"),
        ("none", "raw", "1", "writing /nix/store/"),
    ] {
        let mut job = job();
        job.environment.insert("NIX_BUILD_CORES", cores.into());
        job.image("format", format)
            .image("partitionTableType", table);
        job.wrapped(&["bash", "-c", "ulimit -f 20480; exec \"$@\"", "bash"]);
        let error = job.run().error();
        let words = "the file size limit of this process is 20971520 bytes (ulimit -f): raise the \
                     limit: ";
        assert!(error.starts_with(words), "{error}");
        assert!(error.contains(file), "{error}");
        assert!(error.ends_with("File too large (os error 27)"), "{error}");
    }
}

/// Only this program ignores the signal. It still kills tools.
#[test]
fn a_tool_that_exceeds_the_file_size_limit_gets_sigxfsz() {
    let mut job = job();
    job.image("format", "raw").post_vm("dd if=/dev/zero of=$TMPDIR/large bs=1 count=1 seek=8G || { s=$?; echo status $s; exit $s; }",
    );
    job.wrapped(&["bash", "-c", "ulimit -f $((4 << 20)); exec \"$@\"", "bash"]);
    let error = job.run().error();
    // 128 and SIGXFSZ.
    assert!(
        error.contains("exit status: 153") && error.contains("  status 153"),
        "{error}"
    );
}
