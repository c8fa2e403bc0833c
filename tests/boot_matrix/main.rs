//! Every partition table with every boot loader it supports, and every format; then every type of root file
//! system (`types`). Each row of the former is built twice, raw and in another format, running the installer
//! in a guest each time. The two are compared, and what `inspect` says about them with what other tools say.
//! The second, whose disk is the same, is booted from firmware to the line that init writes from the root
//! file system. The guests run in User-Mode Linux; for a row of each firmware, the second is emulated. The
//! last row compares README with the others (`readme`). Prints one line for each row, and the count last.
//!
//! `cargo test --test boot_matrix -- hybrid` runs the rows whose name contains the word.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod readme;
mod types;

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::nix::{self, Build, Built};
use common::qemu::{self, Boot, ROOT_UUID};
use common::{command, inspect, oracles, stdout};

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
    /// The format of the second image.
    format: Format,
}

const fn row(
    table: &'static str,
    loader: &'static str,
    more: &'static str,
    firmware: &'static [Firmware],
    format: Format,
) -> Row {
    Row {
        table,
        loader,
        more,
        firmware,
        format,
    }
}

/// A format.
#[derive(Clone, Copy)]
struct Format {
    /// The arguments that select it.
    arguments: &'static str,
    /// The extension of the image file.
    extension: &'static str,
    /// QEMU's name of it.
    qemu: &'static str,
}

const fn format(arguments: &'static str, extension: &'static str, qemu: &'static str) -> Format {
    Format {
        arguments,
        extension,
        qemu,
    }
}

const RAW: Format = format(r#"format = "raw";"#, "img", "raw");
const QCOW2: Format = format(r#"format = "qcow2";"#, "qcow2", "qcow2");
const ZLIB: Format = format(r#"format = "qcow2-compressed";"#, "qcow2", "qcow2");
const ZSTD: Format = format(
    r#"format = "qcow2-compressed"; compression = "zstd";"#,
    "qcow2",
    "qcow2",
);
const VDI: Format = format(r#"format = "vdi";"#, "vdi", "vdi");
const VPC: Format = format(r#"format = "vpc";"#, "vhd", "vpc");
const FIXED: Format = format(r#"format = "vpc-fixed";"#, "vhd", "vpc");
const VMDK: Format = format(r#"format = "vmdk";"#, "vmdk", "vmdk");
const STREAM: Format = format(r#"format = "vmdk-stream-optimized";"#, "vmdk", "vmdk");
const VHDX: Format = format(r#"format = "vhdx";"#, "vhdx", "vhdx");

/// Only the variables name the boot loader: firmware finds none by itself.
const VARIABLES: &str = "touchEFIVars = true; canTouchEfiVariables = true;";

const ROWS: [Row; 11] = [
    row("legacy", "grub-bios", "", &[SeaBios], ZLIB),
    row("legacy+boot", "grub-bios", "", &[SeaBios], VDI),
    row("legacy+gpt", "grub-bios", "", &[SeaBios], VPC),
    row("hybrid", "grub-hybrid", "", &[SeaBios, Ovmf], ZLIB),
    row("hybrid", "systemd-boot", "", &[Ovmf], QCOW2),
    row("efi", "grub-efi", "", &[Ovmf], VMDK),
    row("efi", "systemd-boot", "", &[Ovmf], VHDX),
    row(
        "efixbootldr",
        "grub-efi",
        r#"efiSysMountPoint = "/efi";"#,
        &[Ovmf],
        FIXED,
    ),
    row(
        "efixbootldr",
        "systemd-boot",
        r#"efiSysMountPoint = "/efi";"#,
        &[Ovmf],
        STREAM,
    ),
    row("efi", "grub-efi", VARIABLES, &[Ovmf], ZSTD),
    row(
        "efi",
        "systemd-boot",
        r#"touchEFIVars = true; canTouchEfiVariables = true;
           extraInstallCommands = "rm -r /boot/EFI/BOOT";"#,
        &[Ovmf],
        ZLIB,
    ),
];

impl Row {
    fn has_variables(&self) -> bool {
        self.more.contains("touchEFIVars")
    }

    /// The machines that install the boot loader, in the raw image and in the other. Only an emulated one
    /// has EFI variables.
    fn machines(&self) -> [&'static str; 2] {
        let both = matches!(
            (self.table, self.loader),
            ("legacy", _) | ("hybrid", "grub-hybrid") | ("efi", "systemd-boot")
        );
        match both {
            _ if self.has_variables() => ["tcg"; 2],
            true => ["uml", "tcg"],
            false => ["uml"; 2],
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

    fn arguments(&self, format: Format, machine: &str) -> String {
        let Row {
            table,
            loader,
            more,
            ..
        } = self;
        let format = format.arguments;
        format!(
            r#"partitionTableType = "{table}"; loader = "{loader}"; {format}
               guestMachine = "{machine}";
               copyChannel = false; additionalSpace = "64M"; {more}"#
        )
    }

    /// Runs the row and returns how long each step took.
    fn run(&self) -> String {
        let mut times = Vec::new();
        let machines = self.machines();
        let formats = [RAW, self.format];
        let arguments = [0, 1].map(|at| self.arguments(formats[at], machines[at]));
        let system = nix::evaluate(&format!(
            "toString (fixture.makeDiskImage {{ {} }}).config.system.build.toplevel",
            arguments[0]
        ));
        let builds = arguments.map(|arguments| Build::image(&arguments).run());
        let images = [0, 1].map(|at| {
            let file = format!("nixos.{}", formats[at].extension);
            builds[at].out.join(file)
        });
        for ((format, machine), built) in formats.iter().zip(machines).zip(&builds) {
            let seconds = built.time.as_secs_f64();
            times.push(format!("{} by {machine} {seconds:.1} s", format.qemu));
        }
        self.same_variables(&builds);
        let [raw, image] = &images;
        // Compares it with a raw copy, too.
        oracles::check(image, self.format.qemu, self.table);
        stdout(
            command("qemu-img")
                .args(["compare", "-f", "raw", "-F", self.format.qemu])
                .args(&images),
        );
        let start = Instant::now();
        self.is_described(raw, image);
        times.push(format!("described {:.1} s", start.elapsed().as_secs_f64()));
        if self.has_variables() {
            no_fallback(raw);
        }
        for firmware in self.firmware {
            let time = self.boots(*firmware, &builds[1], image, self.format.qemu, &system);
            let name = match firmware {
                SeaBios => "SeaBIOS",
                Ovmf => "OVMF",
            };
            let qemu = self.format.qemu;
            times.push(format!("{name} from {qemu} {:.1} s", time.as_secs_f64()));
        }
        times.join(", ")
    }

    /// Asserts that `inspect` says about both images what the tools say, and `diff` that they are equal.
    fn is_described(&self, raw: &Path, image: &Path) {
        inspect::agrees(image, self.format.qemu, raw);
        let [first, second] = [raw, image].map(inspect::json);
        for part in ["disk", "table", "partitions"] {
            assert_eq!(first[part], second[part]);
        }
        let has_code = self.firmware.contains(&SeaBios);
        assert_eq!(first["disk"]["boot_code"] == "GRUB", has_code, "{first}");
        inspect::are_equal(raw, image);
    }

    /// Asserts that the two builds have the same EFI variables.
    fn same_variables(&self, builds: &[Built; 2]) {
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

/// A row of either matrix: its name, and what runs it and returns how long each step took.
type Test = (String, Box<dyn Fn() -> String + Sync>);

/// Returns the rows of both matrices, and the comparison of README with them.
fn tests() -> Vec<Test> {
    let rows = ROWS
        .iter()
        .map(|row| -> Test { (row.name(), Box::new(|| row.run())) });
    let types = types::rows().into_iter();
    let types = types.map(|row| -> Test { (row.name(), Box::new(move || row.run())) });
    let readme: Test = ("README".to_owned(), Box::new(readme::check));
    rows.chain(types).chain([readme]).collect()
}

/// Runs rows until none is left, prints their lines, and returns how many passed.
fn work(rows: &[Test], next: &AtomicUsize, output: &Mutex<()>) -> usize {
    let mut passed = 0;
    while let Some((name, run)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        let seconds = start.elapsed().as_secs_f64();
        let _whole_lines = output.lock();
        match result {
            Ok(times) => {
                passed += 1;
                println!("ok     {name:<36} {seconds:6.1} s  ({times})");
            }
            Err(payload) => {
                let message = payload.downcast_ref::<String>().cloned();
                let message =
                    message.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
                println!("FAILED {name:<36} {seconds:6.1} s");
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
    let mut rows = tests();
    rows.retain(|(name, _)| words.iter().all(|word| name.contains(word)));
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
