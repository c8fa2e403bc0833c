//! The fixture's boot loaders, without our guest: the real installers run in a separate machine on
//! an image without a boot loader, and the result boots from firmware.

use std::time::Duration;

use crate::common::nix::{self, Build};
use crate::common::qemu::{self, Boot, Machine, ROOT_UUID};
use crate::common::{oracles, scratch};

const LIMIT: Duration = Duration::from_secs(180);

/// A table, a boot loader, and where it is installed.
struct Row<'a> {
    table: &'static str,
    options: &'static str,
    /// Kernel parameters for the installer (tests/fixtures/system/installer.sh).
    mounts: &'a str,
    efi: bool,
}

/// Installs a boot loader on an image and boots it from firmware.
fn installs_and_boots(row: &Row<'_>) {
    let Row { table, options, .. } = row;
    let arguments = format!(
        r#"partitionTableType = "{table}"; installBootLoader = false; copyChannel = false;
           additionalSpace = "64M"; bootSize = "128M"; {options}"#
    );
    let built = Build::image(&arguments).run();
    let scratch = scratch();
    let disk = scratch.path().join("disk.img");
    std::fs::copy(built.out.join("nixos.img"), &disk).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&disk, mode).unwrap();

    let installer = Build::expression("fixture.installer").run();
    let variables = scratch.path().join("efi-vars.fd");
    qemu::fresh_variables(&variables);
    let installed = Machine {
        disk: &disk,
        format: "raw",
        boot: &Boot::Kernel(&installer.out, row.mounts),
        limit: LIMIT,
        second: None,
        keep: true,
        variables: row.efi.then_some(&variables),
    }
    .run();
    assert_eq!(installed.fact("installed"), "yes");

    oracles::check(&disk, "raw", table);
    let from = if row.efi {
        Boot::Efi(Some(&variables))
    } else {
        Boot::Bios
    };
    let booted = qemu::boot(&disk, "raw", &from, LIMIT);
    let firmware = if row.efi { "efi" } else { "bios" };
    assert_eq!(booted.fact("firmware"), firmware, "{table} {options}");
    assert_eq!(booted.fact("uuid"), ROOT_UUID, "{table} {options}");
    let system = nix::evaluate(&format!(
        "toString (fixture.makeDiskImage {{ {arguments} }}).config.system.build.toplevel"
    ));
    assert_eq!(booted.fact("system"), system);
    println!(
        "{table} {options}: installed in {:.1} s, booted in {:.1} s",
        installed.time.as_secs_f64(),
        booted.time.as_secs_f64()
    );
}

#[test]
fn grub_for_bios_installs_and_boots() {
    for (table, root) in [("legacy", "/dev/vda1"), ("legacy+gpt", "/dev/vda2")] {
        installs_and_boots(&Row {
            table,
            options: r#"loader = "grub-bios";"#,
            mounts: &format!("fixture.root={root}"),
            efi: false,
        });
    }
}

#[test]
fn grub_for_both_installs_and_boots_either_way() {
    for efi in [false, true] {
        installs_and_boots(&Row {
            table: "hybrid",
            options: r#"loader = "grub-hybrid";"#,
            mounts: "fixture.root=/dev/vda3 fixture.boot=/dev/vda1,/boot",
            efi,
        });
    }
}

#[test]
fn grub_for_efi_boots_by_its_variable() {
    installs_and_boots(&Row {
        table: "efi",
        options: r#"loader = "grub-efi"; canTouchEfiVariables = true;"#,
        mounts: "fixture.root=/dev/vda2 fixture.boot=/dev/vda1,/boot",
        efi: true,
    });
}

#[test]
fn systemd_boot_installs_and_boots() {
    let mounts = "fixture.root=/dev/vda3 fixture.boot=/dev/vda2,/boot fixture.boot=/dev/vda1,/efi";
    installs_and_boots(&Row {
        table: "efixbootldr",
        options: r#"loader = "systemd-boot"; efiSysMountPoint = "/efi";"#,
        mounts,
        efi: true,
    });
}

#[test]
fn systemd_boot_boots_by_its_variable() {
    installs_and_boots(&Row {
        table: "efi",
        options: r#"loader = "systemd-boot"; canTouchEfiVariables = true;
                    extraInstallCommands = "rm -r /boot/EFI/BOOT";"#,
        mounts: "fixture.root=/dev/vda2 fixture.boot=/dev/vda1,/boot",
        efi: true,
    });
}
