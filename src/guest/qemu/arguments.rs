//! QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;

use time::OffsetDateTime;

use super::accelerate::Accelerator;
use super::nbd::EXPORT;
use crate::cores;
use crate::spec::{Architecture, Machine};

/// The most processors a guest gets, as in nixpkgs.
const MAX_PROCESSORS: usize = 255;

/// The files of one run.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The initrd.
    pub initrd: &'a Path,
    /// Where the report goes, raw: `/dev/vdb`.
    pub report: &'a Path,
    /// The firmware's variables, which it changes.
    pub efi_variables: Option<&'a Path>,
    /// The directory for what the guest writes to its disk.
    pub temporary: &'a Path,
    /// The number of the descriptor that QEMU inherits for its monitor.
    pub monitor: RawFd,
    /// What the guest's clock chip shows when it starts, in seconds since 1970.
    pub time: i64,
}

/// The arguments of `qemu` for a `machine` with nothing but its two disks and a serial console, which
/// is on the standard output. Its standard input is to be a socket from which it gets its disk,
/// `/dev/vda`, by NBD.
pub fn arguments(
    qemu: &mut Command,
    machine: &Machine,
    files: &Files<'_>,
    accelerator: Accelerator,
) {
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none"])
        .args([
            "-chardev",
            &format!("socket,id=monitor,fd={}", files.monitor),
        ])
        .args(["-mon", "chardev=monitor,mode=control"])
        // The backend `stdio` would read from the standard input.
        .args(["-chardev", "file,id=console,path=/proc/self/fd/1"])
        .args(["-serial", "chardev:console"])
        .args(["-machine", &board(machine, accelerator)])
        .args(["-cpu", processor(machine.architecture, accelerator)])
        .args(["-m", &format!("{}M", machine.memory)])
        .args(["-smp", &cores::count().min(MAX_PROCESSORS).to_string()])
        // Not the host's time, which the guest's kernel would have until init sets it.
        .args(["-rtc", &format!("base={}", date(files.time))])
        // Perl, Python and the kernel itself wait for random numbers; none gets into the image.
        .args(["-object", "rng-builtin,id=random"])
        .args(["-device", "virtio-rng-pci,rng=random"]);
    disk(qemu, "disk", served().as_ref());
    disk(qemu, "report", &raw(files.report));
    // Where `snapshot=on` puts its overlay; in Nix's sandbox there is no /var/tmp.
    qemu.env("TMPDIR", files.temporary);
    if let (Some(firmware), Some(variables)) = (&machine.qemu.firmware, files.efi_variables) {
        if firmware.system_management_mode {
            qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        qemu.arg("-drive")
            .arg(join("if=pflash,unit=0,readonly=on,", &raw(&firmware.code)))
            .arg("-drive")
            .arg(join("if=pflash,unit=1,", &raw(variables)));
    }
    qemu.arg("-kernel")
        .arg(&machine.qemu.kernel)
        .arg("-initrd")
        .arg(files.initrd)
        .args(["-append", &parameters(machine.architecture)]);
}

/// QEMU's `-machine`.
fn board(machine: &Machine, accelerator: Accelerator) -> String {
    let accelerator = match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    };
    let firmware = machine.qemu.firmware.as_ref();
    match machine.architecture {
        Architecture::X86_64 if firmware.is_some_and(|f| f.system_management_mode) => {
            format!("q35,smm=on,accel={accelerator}")
        }
        Architecture::X86_64 => format!("q35,accel={accelerator}"),
        Architecture::Aarch64 => format!("virt,gic-version=max,accel={accelerator}"),
    }
}

fn processor(architecture: Architecture, accelerator: Accelerator) -> &'static str {
    match (architecture, accelerator) {
        // Emulated, the usual algorithm of pointer authentication slows everything down.
        (Architecture::Aarch64, Accelerator::Tcg) => "max,pauth-impdef=on",
        _ => "max",
    }
}

/// Words for the kernel: its console, and a panic that ends QEMU.
fn parameters(architecture: Architecture) -> String {
    let machine = match architecture {
        // An emulated timer is late on a busy machine, and a kernel that tests it panics (Linux,
        // Documentation/admin-guide/kernel-parameters.txt). Under KVM none tests it.
        Architecture::X86_64 => "console=ttyS0 no_timer_check",
        Architecture::Aarch64 => "console=ttyAMA0",
    };
    format!("{machine} panic=-1 loglevel=4 random.trust_cpu=on")
}

fn disk(qemu: &mut Command, name: &str, source: &OsStr) {
    // What is written is thrown away: nobody waits for it to be on a disk. Where it can't be written,
    // the guest waits and the monitor tells.
    let options = format!("if=none,id={name},cache=unsafe,discard=unmap,werror=stop,");
    qemu.arg("-drive").arg(join(&options, source)).args([
        "-device",
        &format!("virtio-blk-pci,drive={name},serial={name}"),
    ]);
}

/// A time, in seconds since 1970, in UTC as QEMU takes it; of one that no calendar here has, the
/// beginning of 1970.
fn date(time: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(time).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}", at.date())
}

/// What a `-drive` is of: the disk that comes over file descriptor 0, with what is written to it in
/// an overlay. (QEMU takes a decimal number as a descriptor it has, unless it does what a monitor was
/// told: its util/qemu-sockets.c.)
fn served() -> String {
    format!(
        "snapshot=on,format=raw,file.driver=nbd,file.export={EXPORT},\
         file.server.type=fd,file.server.str=0"
    )
}

/// What a `-drive` is of: a raw file. QEMU wants commas in names doubled.
fn raw(file: &Path) -> OsString {
    let mut value = OsString::from("format=raw,file=");
    let mut pieces = file
        .as_os_str()
        .as_encoded_bytes()
        .split(|&byte| byte == b',');
    if let Some(first) = pieces.next() {
        value.push(os(first));
    }
    for piece in pieces {
        value.push(",,");
        value.push(os(piece));
    }
    value
}

fn join(options: &str, source: &OsStr) -> OsString {
    let mut value = OsString::from(options);
    value.push(source);
    value
}

fn os(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Firmware;

    #[test]
    fn commas_in_names_are_doubled() {
        assert_eq!(raw(Path::new("/a,b/c")), "format=raw,file=/a,,b/c");
    }

    #[test]
    fn times_are_dates() {
        // As `date -u -d @TIME +%FT%T` has them.
        for (time, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_868_799, "2000-02-29T23:59:59"),
            (1_709_164_800, "2024-02-29T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (-1, "1969-12-31T23:59:59"),
            (i64::MAX, "1970-01-01T00:00:00"),
        ] {
            assert_eq!(date(time), expected);
        }
    }

    #[test]
    fn each_architecture_has_its_machine() {
        let mut machine = crate::guest::tests::machine();
        let firmware = |system_management_mode| Firmware {
            code: "/f".into(),
            variables: "/v".into(),
            system_management_mode,
        };
        let line = |machine: &Machine, accelerator| {
            let files = Files {
                initrd: Path::new("/i"),
                report: Path::new("/r"),
                temporary: Path::new("/t"),
                monitor: 9,
                time: 86_400,
                efi_variables: Some(Path::new("/copy")),
            };
            let mut command = Command::new(&machine.qemu.program);
            arguments(&mut command, machine, &files, accelerator);
            let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
            words.join(" ")
        };
        let text = line(&machine, Accelerator::Tcg);
        for part in [
            "-machine q35,accel=tcg -cpu max",
            "-m 1024M",
            "-chardev socket,id=monitor,fd=9 -mon chardev=monitor,mode=control ",
            "-rtc base=1970-01-02T00:00:00 ",
            "console=ttyS0 no_timer_check ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("pflash"), "{text}");
        machine.architecture = Architecture::Aarch64;
        machine.qemu.firmware = Some(firmware(false));
        let text = line(&machine, Accelerator::Kvm);
        for part in [
            "-machine virt,gic-version=max,accel=kvm -cpu max ",
            "if=pflash,unit=0,readonly=on,format=raw,file=/f",
            "if=pflash,unit=1,format=raw,file=/copy",
            "console=ttyAMA0 ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let text = line(&machine, Accelerator::Tcg);
        assert!(text.contains(" -cpu max,pauth-impdef=on "), "{text}");
        machine.qemu.firmware = Some(firmware(true));
        machine.architecture = Architecture::X86_64;
        let text = line(&machine, Accelerator::Tcg);
        for part in ["q35,smm=on,", "cfi.pflash01,property=secure,value=on"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
