//! QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use time::OffsetDateTime;

use super::accelerate::Accelerator;
use crate::cores;
use crate::guest::machine::{DISK, REPORT};
use crate::spec::{Architecture, Machine};

/// The most processors of a guest, as in nixpkgs.
const MAX_PROCESSORS: usize = 255;

/// The files of one run.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The initrd.
    pub initrd: &'a Path,
    /// The firmware's variables, which the firmware may change.
    pub efi_variables: Option<&'a Path>,
    /// The initial time of the guest's clock chip, in seconds since 1970.
    pub time: i64,
}

/// Adds the arguments for a `machine` with only two disks, `/dev/vda` and `/dev/vdb`, and a serial
/// console, which is on standard output. The sockets of the disks are in QEMU's working directory.
pub fn arguments(
    qemu: &mut Command,
    machine: &Machine,
    files: &Files<'_>,
    accelerator: Accelerator,
) {
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none"])
        // The backend `stdio` would read from the standard input.
        .args(["-chardev", "file,id=console,path=/proc/self/fd/1"])
        .args(["-serial", "chardev:console"])
        .args(["-machine", &board(machine, accelerator)])
        .args(["-cpu", processor(machine.architecture, accelerator)])
        .args(["-m", &format!("{}M", machine.memory)])
        // Shared with the process that serves the disks.
        .args([
            "-object",
            &format!(
                "memory-backend-memfd,id=memory,size={}M,share=on",
                machine.memory
            ),
        ])
        .args(["-smp", &cores::count().min(MAX_PROCESSORS).to_string()])
        // Otherwise the guest's kernel would use the host's time until init sets the clock.
        .args(["-rtc", &format!("base={}", date(files.time))])
        // Perl, Python and the kernel wait for random numbers. They do not get into the image.
        .args(["-object", "rng-builtin,id=random"])
        .args(["-device", "virtio-rng-pci,rng=random"]);
    disk(qemu, "disk", DISK);
    disk(qemu, "report", REPORT);
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

/// Returns the value of `-machine`.
fn board(machine: &Machine, accelerator: Accelerator) -> String {
    let accelerator = match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    };
    let firmware = machine.qemu.firmware.as_ref();
    match machine.architecture {
        Architecture::X86_64 if firmware.is_some_and(|f| f.system_management_mode) => {
            format!("q35,smm=on,accel={accelerator},memory-backend=memory")
        }
        Architecture::X86_64 => format!("q35,accel={accelerator},memory-backend=memory"),
        Architecture::Aarch64 => {
            format!("virt,gic-version=max,accel={accelerator},memory-backend=memory")
        }
    }
}

fn processor(architecture: Architecture, accelerator: Accelerator) -> &'static str {
    match (architecture, accelerator) {
        // Emulating the default algorithm of pointer authentication is slow.
        (Architecture::Aarch64, Accelerator::Tcg) => "max,pauth-impdef=on",
        _ => "max",
    }
}

/// Returns the kernel's parameters: its console, and a reboot on panic, which ends QEMU.
fn parameters(architecture: Architecture) -> String {
    let machine = match architecture {
        // On a busy builder, an emulated timer is late, so that the kernel's timer check panics (Linux,
        // Documentation/admin-guide/kernel-parameters.txt). Under KVM, the kernel skips the check.
        Architecture::X86_64 => "console=ttyS0 no_timer_check",
        Architecture::Aarch64 => "console=ttyAMA0",
    };
    format!("{machine} panic=-1 loglevel=4 random.trust_cpu=on")
}

/// Adds a disk that is served at `socket`. The order of the disks is that of their names in the guest.
fn disk(qemu: &mut Command, name: &str, socket: &str) {
    qemu.args(["-chardev", &format!("socket,id={name},path={socket}")])
        .args([
            "-device",
            &format!("vhost-user-blk-pci,chardev={name},num-queues=1"),
        ]);
}

/// Formats a time in seconds since 1970 as UTC for QEMU. A time that is out of range becomes the start of
/// 1970.
fn date(time: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(time).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}", at.date())
}

/// Returns the source of a `-drive`: a raw file. QEMU expects commas in names to be doubled.
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
    fn formats_times() {
        // From `date -u -d @TIME +%FT%T`.
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
    fn selects_the_machine_by_architecture() {
        let mut machine = crate::guest::tests::machine();
        let firmware = |system_management_mode| Firmware {
            code: "/f".into(),
            variables: "/v".into(),
            system_management_mode,
        };
        let line = |machine: &Machine, accelerator| {
            let files = Files {
                initrd: Path::new("/i"),
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
            "-machine q35,accel=tcg,memory-backend=memory -cpu max",
            "-m 1024M",
            "-chardev socket,id=disk,path=disk.socket -device vhost-user-blk-pci,chardev=disk,",
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
            "-machine virt,gic-version=max,accel=kvm,memory-backend=memory -cpu max ",
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
