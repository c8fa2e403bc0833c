//! Booting images in QEMU, emulated (TCG), and reading the serial console.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::command;

/// What the fixture's init writes before its facts (tests/fixtures/system/init.sh).
pub const MARKER: &str = "FIXTURE-BOOTED";

/// What a machine says that will not boot any more: waiting on is pointless.
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
    /// Kernel and initrd of this system (a NixOS toplevel), given to QEMU, with more words for the
    /// kernel's command line.
    Kernel(&'a Path, &'a str),
    /// SeaBIOS, from the disk.
    Bios,
    /// OVMF, from the disk, with these EFI variables or fresh ones.
    Efi(Option<&'a Path>),
}

/// What was seen on the console.
pub struct Booted {
    /// The line with the marker, from the marker on.
    pub line: String,
    /// All of the console up to there.
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

/// Boots `disk` (never written to) until the marker stands on the serial console.
///
/// # Panics
/// If the machine ends, gets lost, or takes longer than `limit`: with the end of the console.
pub fn boot(disk: &Path, format: &str, boot: &Boot<'_>, limit: Duration) -> Booted {
    boot_with(disk, format, boot, limit, None)
}

/// As [`boot`], with a second disk, raw, that the machine may write to.
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
    let scratch = super::scratch();
    // QEMU dies with the test, however that ends.
    let mut qemu = command("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args(["-accel", "tcg", "-machine", "q35", "-m", "768"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio"])
        .args([
            "-drive",
            &drive(disk, format, "if=none,id=root,snapshot=on"),
        ])
        .args(["-device", "virtio-blk-pci,drive=root,bootindex=1"]);
    if let Some(second) = second {
        qemu.args(["-drive", &drive(second, "raw", "if=none,id=second")])
            .args(["-device", "virtio-blk-pci,drive=second"]);
    }
    match boot {
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
            let own = scratch.path().join("vars.fd");
            let from = variables.unwrap_or_else(|| Path::new("/usr/share/OVMF/OVMF_VARS_4M.fd"));
            std::fs::copy(from, &own)
                .unwrap_or_else(|error| panic!("copying {}: {error}", from.display()));
            let code = Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd");
            qemu.args(["-drive", &drive(code, "raw", "if=pflash,readonly=on")])
                .args(["-drive", &drive(&own, "raw", "if=pflash")]);
        }
    }
    let start = Instant::now();
    let mut child = Killed(
        qemu.stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {qemu:?}: {error}")),
    );
    let pieces = read_both(&mut child.0);
    let mut console = Vec::new();
    loop {
        let left = limit.saturating_sub(start.elapsed());
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
            Err(RecvTimeoutError::Timeout) => format!("no {MARKER} after {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => format!("QEMU ended without {MARKER}"),
        };
        let tail: Vec<_> = text.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        panic!("{}: {why}\n{}", disk.display(), tail.join("\n"));
    }
}

/// The whole line of the marker, from the marker on, once its end is there.
fn marker_line(text: &str) -> Option<&str> {
    let rest = &text[text.find(MARKER)?..];
    rest.split_once('\n').map(|(line, _)| line)
}

/// A `-drive` value; QEMU wants commas in names doubled.
fn drive(file: &Path, format: &str, options: &str) -> String {
    let file = file.to_str().expect("image paths of tests are UTF-8");
    format!("file={},format={format},{options}", file.replace(',', ",,"))
}

/// What comes out of the child's streams, as it comes, until both are closed.
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

/// A child that is killed and waited for when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
