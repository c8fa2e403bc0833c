//! Guests in User-Mode Linux on builders of many kinds: where it works, and what follows where it does
//! not.

use crate::common::nix::Build;
use crate::common::program::{Attributes, Ended, hash};

/// Runs a command whose system calls with the numbers of the first argument fail with EPERM, as under
/// some container engines: a filter for seccomp(2), in the form that the kernel takes.
const DENY: &str = r#"
    my @denied = split /,/, shift;
    my $filter = pack("SCCL", 0x20, 0, 0, 0);
    $filter .= pack("SCCL", 0x15, $#denied - $_ + 1, 0, $denied[$_]) for 0 .. $#denied;
    $filter .= pack("SCCL", 0x06, 0, 0, 0x7fff0000) . pack("SCCL", 0x06, 0, 0, 0x00050001);
    my $program = pack("Sx6P", length($filter) / 8, $filter);
    syscall(157, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
    syscall(157, 22, 2, $program) == 0 or die "filter: $!";
    exec @ARGV or die "exec: $!";
"#;

/// System calls on x86-64.
const PTRACE: &str = "101";
const SCHED_SETAFFINITY: &str = "203";
const SECCOMP: &str = "317";

/// A builder, and what the log says there.
struct Builder {
    wrapper: Vec<String>,
    says: &'static str,
}

/// Returns a builder where `script` has run, in a mount namespace of its own.
fn mounts(script: &str, says: &'static str) -> Builder {
    let script = format!("{script} && exec \"$@\"");
    let wrapper = ["unshare", "-m", "bash", "-ec", &script, "bash"];
    Builder {
        wrapper: wrapper.map(str::to_owned).to_vec(),
        says,
    }
}

/// Returns a builder where some system calls are denied.
fn denies(numbers: &str, says: &'static str) -> Builder {
    let wrapper = ["perl", "-e", DENY, numbers];
    Builder {
        wrapper: wrapper.map(str::to_owned).to_vec(),
        says,
    }
}

const UML: &str = "\nthe guest runs in User-Mode Linux";

/// Without seccomp, User-Mode Linux uses ptrace; without both, the guest is emulated. Memory is in
/// `TMPDIR` if `/dev/shm` does not fit. A guest that may not choose its processor runs on all.
#[test]
fn an_image_does_not_depend_on_what_the_builder_allows() {
    let attributes = Attributes::with_installer("echo here >/written; chown 7:8 /written");
    let without_shm = "mkdir dev; mount -t tmpfs none dev; \
                       for node in null zero full random urandom; do \
                         touch dev/$node; mount --bind /dev/$node dev/$node; done; \
                       ln -s /proc/self/fd dev/fd; mount --rbind dev /dev; test ! -e /dev/shm";
    let small = "mount -t tmpfs -o size=64m none /dev/shm";
    let builders = [
        mounts("true", UML),
        denies(SECCOMP, UML),
        denies(
            &format!("{SECCOMP},{PTRACE}"),
            "\nwarning: no output from the guest under User-Mode Linux after ",
        ),
        denies(SCHED_SETAFFINITY, UML),
        mounts(small, UML),
        mounts("mount -t tmpfs -o noexec none /dev/shm", UML),
        mounts(without_shm, UML),
        mounts(
            &format!("{small}; mkdir t; export TMPDIR=$PWD/t; mount -t tmpfs -o size=900m none t"),
            "; User-Mode Linux needs a directory for the guest's memory: /dev/shm has 67108864 of the \
             needed 1107296256 bytes; /",
        ),
    ];
    let runs = builders.map(|builder| {
        let mut job = attributes.job();
        let words: Vec<&str> = builder.wrapper.iter().map(String::as_str).collect();
        job.wrapped(&words);
        let ended = job.run();
        let said = ended.said();
        assert!(said.contains(builder.says), "{:?}: {said}", builder.wrapper);
        ended
    });
    let hashes = runs.map(|ended: Ended| hash(ended.image("nixos.img")));
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

/// Without the sandbox, Nix builds as one of its own users. (The other tests here run as root.)
#[test]
fn an_ordinary_user_without_the_sandbox_builds_the_same_image() {
    let build = || {
        Build::image(
            r#"partitionTableType = "efi"; loader = "systemd-boot"; copyChannel = false;
               additionalSpace = "64M"; guestMachine = "uml";"#,
        )
    };
    let first = build().run();
    assert!(first.log.contains(UML), "{}", first.log);
    // Nix compares the outputs.
    build().sandbox(false).again().run();
}

#[test]
fn a_limit_of_the_address_space_is_reported_with_advice() {
    let mut job = Attributes::with_installer("").job();
    job.on("uml");
    job.wrapped(&["sh", "-c", "ulimit -v 2000000; exec \"$@\"", "sh"]);
    let ended = job.run();
    ended.error();
    assert!(
        ended.said().contains(
            "Cannot allocate memory (os error 12); this process needs twice memSize of address space \
             for it: set a smaller memSize, or raise the limit (ulimit -v)\n"
        ),
        "{}",
        ended.said()
    );
}
