//! QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::accelerate::Accelerator;
use crate::spec::{Architecture, Guest};

/// The most processors a guest gets, as in nixpkgs.
const MAX_PROCESSORS: usize = 255;

/// The files of one run.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The initrd.
    pub initrd: &'a Path,
    /// The disk, raw: `/dev/vda`.
    pub disk: &'a Path,
    /// Where the report goes, raw: `/dev/vdb`.
    pub report: &'a Path,
    /// The firmware's variables, which it changes.
    pub efi_variables: Option<&'a Path>,
}

/// The command that runs `guest` with nothing but its two disks and a serial console, which is on
/// the standard output.
pub fn command(guest: &Guest, files: &Files<'_>, accelerator: Accelerator) -> Command {
    let mut qemu = Command::new(&guest.qemu);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
        .args(["-machine", &machine(guest, accelerator), "-cpu", "max"])
        .args(["-m", &format!("{}M", guest.memory)])
        .args(["-smp", &processors().to_string()])
        // Perl, Python and the kernel itself wait for random numbers; none gets into the image.
        .args(["-object", "rng-builtin,id=random"])
        .args(["-device", "virtio-rng-pci,rng=random"]);
    disk(&mut qemu, "disk", files.disk);
    disk(&mut qemu, "report", files.report);
    if let (Some(firmware), Some(variables)) = (&guest.firmware, files.efi_variables) {
        if guest.system_management_mode {
            qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        qemu.arg("-drive")
            .arg(drive("if=pflash,unit=0,readonly=on", firmware))
            .arg("-drive")
            .arg(drive("if=pflash,unit=1", variables));
    }
    qemu.arg("-kernel")
        .arg(&guest.kernel)
        .arg("-initrd")
        .arg(files.initrd)
        .args(["-append", &parameters(guest.architecture)]);
    qemu
}

fn machine(guest: &Guest, accelerator: Accelerator) -> String {
    let accelerator = match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    };
    match guest.architecture {
        Architecture::X86_64 if guest.system_management_mode => {
            format!("q35,smm=on,accel={accelerator}")
        }
        Architecture::X86_64 => format!("q35,accel={accelerator}"),
        Architecture::Aarch64 => format!("virt,gic-version=max,accel={accelerator}"),
    }
}

/// Words for the kernel: its console, and a panic that ends QEMU.
fn parameters(architecture: Architecture) -> String {
    let console = match architecture {
        Architecture::X86_64 => "ttyS0",
        Architecture::Aarch64 => "ttyAMA0",
    };
    format!("console={console} panic=-1 loglevel=4 random.trust_cpu=on")
}

fn disk(qemu: &mut Command, name: &str, file: &Path) {
    // The files are thrown away: nobody waits for them to be on a disk.
    let options = format!("if=none,id={name},cache=unsafe,discard=unmap,werror=report");
    qemu.arg("-drive").arg(drive(&options, file)).args([
        "-device",
        &format!("virtio-blk-pci,drive={name},serial={name}"),
    ]);
}

/// A `-drive` of a raw file; QEMU wants commas in names doubled.
fn drive(options: &str, file: &Path) -> OsString {
    let mut value = OsString::from(options);
    value.push(",format=raw,file=");
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

fn os(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// As many as Nix gives the build (`NIX_BUILD_CORES`; 0 is all), but no more than there are.
fn processors() -> usize {
    let there = thread::available_parallelism().map_or(1, NonZero::get);
    let given = std::env::var("NIX_BUILD_CORES").ok();
    let given = given.and_then(|text| text.parse().ok()).filter(|&n| n > 0);
    given.unwrap_or(there).min(there).min(MAX_PROCESSORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_names_are_doubled() {
        assert_eq!(
            drive("if=none", Path::new("/a,b/c")),
            "if=none,format=raw,file=/a,,b/c"
        );
    }

    #[test]
    fn each_architecture_has_its_machine() {
        let mut guest = crate::guest::tests::guest();
        let line = |guest: &Guest, accelerator| {
            let files = Files {
                initrd: Path::new("/i"),
                disk: Path::new("/d"),
                report: Path::new("/r"),
                efi_variables: Some(Path::new("/v")),
            };
            let command = command(guest, &files, accelerator);
            let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
            words.join(" ")
        };
        let text = line(&guest, Accelerator::Tcg);
        for part in [
            "-machine q35,accel=tcg -cpu max",
            "-m 1024M",
            "console=ttyS0 ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("pflash"), "{text}");
        guest.architecture = Architecture::Aarch64;
        guest.firmware = Some("/f".into());
        let text = line(&guest, Accelerator::Kvm);
        for part in [
            "-machine virt,gic-version=max,accel=kvm",
            "if=pflash,unit=0,readonly=on,format=raw,file=/f",
            "if=pflash,unit=1,format=raw,file=/v",
            "console=ttyAMA0 ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        guest.system_management_mode = true;
        guest.architecture = Architecture::X86_64;
        let text = line(&guest, Accelerator::Tcg);
        for part in ["q35,smm=on,", "cfi.pflash01,property=secure,value=on"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
