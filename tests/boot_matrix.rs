//! Every partition table with every boot loader it supports. Each row is built twice, raw and
//! compressed, running the installer in a guest each time; the two are compared, and the image is
//! booted from firmware to the line that init writes from the root file system. The guests run in
//! User-Mode Linux; for a row of each firmware, the second is emulated. Prints one line for each row,
//! and the count last.
//!
//! `cargo test --test boot_matrix -- hybrid` runs the rows whose name contains the word.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::nix::{self, Build, Built};
use common::qemu::{self, Boot, ROOT_UUID};
use common::{command, oracles, stdout};

/// A boot from firmware takes 6 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Firmware {
    SeaBios,
    Ovmf,
}
use Firmware::{Ovmf, SeaBios};

struct Row {
    table: &'static str,
    loader: &'static str,
    /// More arguments of the function, and options of the fixture's configuration.
    more: &'static str,
    firmware: &'static [Firmware],
}

const fn row(
    table: &'static str,
    loader: &'static str,
    more: &'static str,
    firmware: &'static [Firmware],
) -> Row {
    Row {
        table,
        loader,
        more,
        firmware,
    }
}

/// Only the variables name the boot loader: firmware finds none by itself.
const VARIABLES: &str = "touchEFIVars = true; canTouchEfiVariables = true;";

const ROWS: [Row; 11] = [
    row("legacy", "grub-bios", "", &[SeaBios]),
    row("legacy+boot", "grub-bios", "", &[SeaBios]),
    row("legacy+gpt", "grub-bios", "", &[SeaBios]),
    row("hybrid", "grub-hybrid", "", &[SeaBios, Ovmf]),
    row("hybrid", "systemd-boot", "", &[Ovmf]),
    row("efi", "grub-efi", "", &[Ovmf]),
    row("efi", "systemd-boot", "", &[Ovmf]),
    row(
        "efixbootldr",
        "grub-efi",
        r#"efiSysMountPoint = "/efi";"#,
        &[Ovmf],
    ),
    row(
        "efixbootldr",
        "systemd-boot",
        r#"efiSysMountPoint = "/efi";"#,
        &[Ovmf],
    ),
    row("efi", "grub-efi", VARIABLES, &[Ovmf]),
    row(
        "efi",
        "systemd-boot",
        r#"touchEFIVars = true; canTouchEfiVariables = true;
           extraInstallCommands = "rm -r /boot/EFI/BOOT";"#,
        &[Ovmf],
    ),
];

/// `format`, the file's name, and its format for QEMU.
const FORMATS: [(&str, &str, &str); 2] = [
    ("raw", "nixos.img", "raw"),
    ("qcow2-compressed", "nixos.qcow2", "qcow2"),
];

impl Row {
    fn has_variables(&self) -> bool {
        self.more.contains("touchEFIVars")
    }

    /// Whether the compressed image boots, too. Its disk is the same as the raw one, so one row shows
    /// all: that with both firmwares.
    fn boots_compressed(&self) -> bool {
        self.firmware.len() > 1
    }

    /// The machine that installs the boot loader in an image of `format`. Only an emulated one has EFI
    /// variables.
    fn machine(&self, format: &str) -> &'static str {
        let both = matches!(
            (self.table, self.loader),
            ("legacy", _) | ("hybrid", "grub-hybrid") | ("efi", "systemd-boot")
        );
        match format {
            _ if self.has_variables() => "tcg",
            "raw" => "uml",
            _ if both => "tcg",
            _ => "uml",
        }
    }

    fn name(&self) -> String {
        let variables = if self.has_variables() {
            " by its variable"
        } else {
            ""
        };
        format!("{} {}{variables}", self.table, self.loader)
    }

    fn arguments(&self, format: &str) -> String {
        let Row {
            table,
            loader,
            more,
            ..
        } = self;
        let machine = self.machine(format);
        format!(
            r#"partitionTableType = "{table}"; loader = "{loader}"; format = "{format}";
               guestMachine = "{machine}";
               copyChannel = false; additionalSpace = "64M"; {more}"#
        )
    }

    /// Runs the row and returns how long each step took.
    fn run(&self) -> String {
        let mut times = Vec::new();
        let system = nix::evaluate(&format!(
            "toString (fixture.makeDiskImage {{ {} }}).config.system.build.toplevel",
            self.arguments("raw")
        ));
        let builds = FORMATS.map(|(format, ..)| Build::image(&self.arguments(format)).run());
        for ((format, ..), built) in FORMATS.iter().zip(&builds) {
            let machine = self.machine(format);
            times.push(format!(
                "{format} by {machine} {:.1} s",
                built.time.as_secs_f64()
            ));
        }
        self.same_disk(&builds);
        for ((format, file, container), built) in FORMATS.iter().zip(&builds) {
            let image = built.out.join(file);
            oracles::check(&image, container, self.table);
            if *container == "raw" && self.has_variables() {
                no_fallback(&image);
            }
            if *container != "raw" && !self.boots_compressed() {
                continue;
            }
            for firmware in self.firmware {
                let time = self.boots(*firmware, built, &image, container, &system);
                let name = match firmware {
                    SeaBios => "SeaBIOS",
                    Ovmf => "OVMF",
                };
                times.push(format!("{name} from {format} {:.1} s", time.as_secs_f64()));
            }
        }
        times.join(", ")
    }

    /// Asserts that the two builds have the same disks and EFI variables.
    fn same_disk(&self, builds: &[Built; 2]) {
        let [raw, compressed] = builds;
        stdout(
            command("qemu-img")
                .args(["compare", "-f", "raw", "-F", "qcow2"])
                .arg(raw.out.join("nixos.img"))
                .arg(compressed.out.join("nixos.qcow2")),
        );
        let variables = builds.each_ref().map(|built| built.out.join("efi-vars.fd"));
        if self.has_variables() {
            stdout(command("cmp").args(&variables));
        } else {
            assert!(variables.iter().all(|path| !path.exists()));
        }
    }

    fn boots(
        &self,
        firmware: Firmware,
        built: &Built,
        image: &Path,
        container: &str,
        system: &str,
    ) -> Duration {
        let variables = built.out.join("efi-vars.fd");
        let boot = match firmware {
            SeaBios => Boot::Bios,
            Ovmf => Boot::Efi(self.has_variables().then_some(&variables)),
        };
        let booted = qemu::boot(image, container, &boot, LIMIT);
        let expected = match firmware {
            SeaBios => "bios",
            Ovmf => "efi",
        };
        assert_eq!(booted.fact("firmware"), expected);
        assert_eq!(booted.fact("uuid"), ROOT_UUID);
        assert_eq!(booted.fact("system"), system);
        booted.time
    }
}

/// Asserts that the ESP has a boot loader, but not on the path for removable media.
fn no_fallback(image: &Path) {
    let files = oracles::loaders(image);
    assert!(!files.contains("/BOOTX64.EFI"), "{files}");
}

/// Runs rows until none is left, prints their lines, and returns how many passed.
fn work(rows: &[&Row], next: &AtomicUsize, output: &Mutex<()>) -> usize {
    let mut passed = 0;
    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| row.run()));
        let seconds = start.elapsed().as_secs_f64();
        let _whole_lines = output.lock();
        match result {
            Ok(times) => {
                passed += 1;
                println!("ok     {:<36} {seconds:6.1} s  ({times})", row.name());
            }
            Err(payload) => {
                let message = payload.downcast_ref::<String>().cloned();
                let message =
                    message.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
                println!("FAILED {:<36} {seconds:6.1} s", row.name());
                println!("{}", message.unwrap_or_default());
            }
        }
    }
    passed
}

fn main() -> ExitCode {
    // Rows print their own failures in full.
    panic::set_hook(Box::new(|_| {}));
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wanted = |row: &&Row| words.iter().all(|word| row.name().contains(word));
    let rows: Vec<_> = ROWS.iter().filter(wanted).collect();
    let (next, output) = (AtomicUsize::new(0), Mutex::new(()));
    // A guest uses one core, and 1 GiB.
    let passed: usize = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| work(&rows, &next, &output)));
        threads
            .map(|thread| thread.join().unwrap_or(0))
            .iter()
            .sum()
    });
    println!("{passed} passed, {} failed", rows.len() - passed);
    if passed == rows.len() && !rows.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
