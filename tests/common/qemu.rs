//! Booting images in QEMU, emulated (TCG), and reading the serial console.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::command;

/// The marker that the fixture's init writes before its facts (tests/fixtures/system/init.sh).
pub const MARKER: &str = "FIXTURE-BOOTED";

/// The default UUID of the root file system.
pub const ROOT_UUID: &str = "f222513b-ded1-49fa-b591-20ce86a2fe7f";

/// Console output of a machine that will never boot, so that there is no need to wait.
const LOST: [&str; 7] = [
    "Kernel panic",
    "grub rescue>",
    "grub>",
    "Shell>",
    "FIXTURE-INITRD-FAILED",
    "No bootable device",
    "Boot failed",
];

/// How the machine starts.
pub enum Boot<'a> {
    /// From kernel and initrd of this system (a NixOS toplevel), given to QEMU, with additional
    /// kernel parameters.
    Kernel(&'a Path, &'a str),
    /// From the disk, with SeaBIOS.
    Bios,
    /// From the disk, with OVMF and these EFI variables or fresh ones.
    Efi(Option<&'a Path>),
    /// The same on aarch64.
    Aarch64(Option<&'a Path>),
}

/// The console of a machine that has booted.
pub struct Booted {
    /// The line with the marker, starting at the marker.
    pub line: String,
    /// The console up to that line.
    pub console: String,
    /// From the start of QEMU to the marker.
    pub time: Duration,
}

impl Booted {
    /// The value of a `name=value` fact of the marker line.
    pub fn fact(&self, name: &str) -> &str {
        self.line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no fact {name} in: {}", self.line))
    }
}

/// A machine that has not started.
pub struct Machine<'a> {
    /// The first disk.
    pub disk: &'a Path,
    /// `qemu-img`'s name of its format.
    pub format: &'a str,
    /// How it starts.
    pub boot: &'a Boot<'a>,
    /// The time limit for reaching the marker.
    pub limit: Duration,
    /// A second disk, raw, that the machine may write to.
    pub second: Option<&'a Path>,
    /// Whether writes to the first disk are kept.
    pub keep: bool,
    /// With [`Boot::Kernel`]: OVMF as the firmware, with these EFI variables, which it changes.
    pub variables: Option<&'a Path>,
}

/// Boots `disk` (which is never written to) until the marker appears on the serial console.
///
/// # Panics
/// If the machine exits, cannot boot, or exceeds `limit`, with the end of the console.
pub fn boot(disk: &Path, format: &str, boot: &Boot<'_>, limit: Duration) -> Booted {
    boot_with(disk, format, boot, limit, None)
}

/// Like [`boot`], with a second, raw disk that the machine may write to.
///
/// # Panics
/// As [`boot`].
pub fn boot_with(
    disk: &Path,
    format: &str,
    boot: &Boot<'_>,
    limit: Duration,
    second: Option<&Path>,
) -> Booted {
    Machine {
        disk,
        format,
        boot,
        limit,
        second,
        keep: false,
        variables: None,
    }
    .run()
}

impl Machine<'_> {
    /// Starts it and waits until the marker appears on the serial console or, if writes are kept,
    /// until the machine is off.
    ///
    /// # Panics
    /// As [`boot`].
    pub fn run(&self) -> Booted {
        let scratch = super::scratch();
        let start = Instant::now();
        let mut qemu = self.command(scratch.path());
        let mut child = Killed(
            qemu.stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("starting {qemu:?}: {error}")),
        );
        let booted = self.watch(&mut child.0, start);
        if self.keep {
            let status = child.0.wait().expect("waiting for QEMU");
            assert!(status.success(), "QEMU: {status}\n{}", booted.console);
        }
        booted
    }

    fn command(&self, scratch: &Path) -> Command {
        // QEMU is killed when the test exits, however it exits.
        let mut qemu = command("setpriv");
        let snapshot = if self.keep { "off" } else { "on" };
        let options = format!("if=none,id=root,snapshot={snapshot}");
        let machine = match self.boot {
            Boot::Aarch64(_) => [
                "qemu-system-aarch64",
                "-machine",
                "virt",
                "-cpu",
                "cortex-a57",
            ],
            // Without random numbers of the processor, the kernel needs a second to collect its own.
            _ => [
                "qemu-system-x86_64",
                "-machine",
                "q35",
                "-cpu",
                "qemu64,+rdrand",
            ],
        };
        qemu.args(["--pdeathsig", "KILL"])
            .args(machine)
            .args(["-accel", "tcg", "-m", "768"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            .args(["-drive", &drive(self.disk, self.format, &options)])
            .args(["-device", "virtio-blk-pci,drive=root,bootindex=1"]);
        if let Some(second) = self.second {
            qemu.args(["-drive", &drive(second, "raw", "if=none,id=second")])
                .args(["-device", "virtio-blk-pci,drive=second"]);
        }
        if let Some(variables) = self.variables {
            firmware(&mut qemu, &ovmf("CODE"), variables);
        }
        match self.boot {
            Boot::Kernel(system, words) => {
                let parameters = std::fs::read_to_string(system.join("kernel-params"))
                    .expect("reading kernel-params of the system");
                qemu.arg("-kernel")
                    .arg(system.join("kernel"))
                    .arg("-initrd")
                    .arg(system.join("initrd"))
                    .arg("-append")
                    .arg(format!(
                        "{parameters} init={}/init {words}",
                        system.display()
                    ));
            }
            Boot::Bios => {}
            Boot::Efi(variables) => {
                let own = scratch.join("vars.fd");
                copy_variables(variables.unwrap_or(&ovmf("VARS")), &own);
                firmware(&mut qemu, &ovmf("CODE"), &own);
            }
            Boot::Aarch64(variables) => {
                let own = scratch.join("vars.fd");
                copy_variables(variables.unwrap_or(Path::new(AARCH64_VARIABLES)), &own);
                firmware(&mut qemu, Path::new(AARCH64_CODE), &own);
            }
        }
        qemu
    }

    fn watch(&self, child: &mut Child, start: Instant) -> Booted {
        let pieces = read_both(child);
        let mut console = Vec::new();
        loop {
            let left = self.limit.saturating_sub(start.elapsed());
            let piece = pieces.recv_timeout(left);
            if let Ok(bytes) = &piece {
                console.extend_from_slice(bytes);
            }
            let text = String::from_utf8_lossy(&console).replace('\r', "");
            if let Some(line) = marker_line(&text) {
                return Booted {
                    line: line.to_owned(),
                    time: start.elapsed(),
                    console: text,
                };
            }
            let why = match piece {
                Ok(_) => match LOST.iter().find(|lost| text.contains(**lost)) {
                    Some(lost) => format!("the machine said {lost:?}"),
                    None => continue,
                },
                Err(RecvTimeoutError::Timeout) => format!("no {MARKER} after {:?}", self.limit),
                Err(RecvTimeoutError::Disconnected) => format!("QEMU ended without {MARKER}"),
            };
            let tail: Vec<_> = text.lines().rev().take(40).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            panic!("{}: {why}\n{}", self.disk.display(), tail.join("\n"));
        }
    }
}

/// OVMF's code (`CODE`) or fresh variables (`VARS`), from the fixture's ovmf.
fn ovmf(part: &str) -> PathBuf {
    super::programs().join(format!("share/OVMF/OVMF_{part}_4M.fd"))
}

/// AAVMF, the OVMF for ARM, from Debian's qemu-efi-aarch64.
const AARCH64_CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
const AARCH64_VARIABLES: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";

/// Creates fresh EFI variables for a machine.
pub fn fresh_variables(to: &Path) {
    copy_variables(&ovmf("VARS"), to);
}

fn copy_variables(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("copying {}: {error}", from.display()));
    // Files in the store are read-only.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(to, mode).expect("setting the mode of a copy");
}

fn firmware(qemu: &mut Command, code: &Path, variables: &Path) {
    qemu.args(["-drive", &drive(code, "raw", "if=pflash,readonly=on")])
        .args(["-drive", &drive(variables, "raw", "if=pflash")]);
}

/// The line of the marker, starting at the marker, once it is complete.
fn marker_line(text: &str) -> Option<&str> {
    let rest = &text[text.find(MARKER)?..];
    rest.split_once('\n').map(|(line, _)| line)
}

/// A value of `-drive`; commas in names are doubled.
fn drive(file: &Path, format: &str, options: &str) -> String {
    let file = file.to_str().expect("image paths of tests are UTF-8");
    format!("file={},format={format},{options}", file.replace(',', ",,"))
}

/// Pieces of the child's output streams until both are closed.
fn read_both(child: &mut Child) -> mpsc::Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for mut stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = stream.read(&mut buffer) {
                if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    pieces
}

/// A child that is killed and reaped when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
