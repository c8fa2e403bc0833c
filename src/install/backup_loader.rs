//! The boot loader that firmware starts if its variables name none, as on a machine that boots the
//! image for the first time.

use crate::spec::Architecture;
use crate::tree::Tree;

/// Returns a warning if `esp`, an EFI system partition with an installed boot loader, has none in the
/// place where firmware of `architecture` looks by default (UEFI Specification 2.10, section 3.5.1.1).
/// `bios` says that a BIOS can boot the disk, too: then an ESP without any EFI program is fine.
pub fn missing(bios: bool, esp: &Tree, architecture: Architecture) -> Option<String> {
    let program = |start: &[u8]| has(esp, start, b".EFI");
    // U-Boot reads extlinux.conf and needs no EFI program.
    let extlinux = has(esp, b"EXTLINUX/EXTLINUX.CONF", b"");
    if program(b"EFI/BOOT/BOOT") || extlinux || (bios && !program(b"")) {
        return None;
    }
    let name = match architecture {
        Architecture::X86_64 => "BOOTX64.EFI",
        Architecture::Aarch64 => "BOOTAA64.EFI",
    };
    Some(format!(
        "the EFI system partition has no \\EFI\\BOOT\\{name}: a machine whose EFI variables do not \
         name another boot loader cannot boot from it; set \
         boot.loader.grub.efiInstallAsRemovable = true and boot.loader.efi.canTouchEfiVariables = \
         false, or use systemd-boot, which always installs this file, or set touchEFIVars = true \
         and give the machine the variables in efi-vars.fd"
    ))
}

/// Returns whether a file has a path that begins with `start` and ends with `end`, ignoring case. The
/// full name in `EFI/BOOT` is not compared: 32-bit firmware on a 64-bit processor uses another one.
fn has(esp: &Tree, start: &[u8], end: &[u8]) -> bool {
    let mut found = false;
    esp.walk(|path, id| {
        let path = path.to_ascii_uppercase();
        let is_file = esp.directory(id).is_none();
        found |= is_file && path.starts_with(start) && path.ends_with(end);
    });
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tree::place::make_directories;
    use crate::tree::{Content, Inode, InodeId, Kind, Metadata};

    /// Returns a boot partition with these files.
    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        for path in paths {
            let path = Path::new(path);
            let parent = path.parent().unwrap();
            make_directories(&mut tree, parent, &Metadata::new(0o755)).unwrap();
            let parent = parent.iter().fold(InodeId::ROOT, |id, name| {
                tree.lookup(id, name.as_encoded_bytes()).unwrap()
            });
            let inode = Inode {
                metadata: Metadata::new(0o644),
                kind: Kind::File(Content::bytes(Vec::new())),
            };
            let name = path.file_name().unwrap().as_encoded_bytes();
            tree.insert(parent, name, inode).unwrap();
        }
        tree
    }

    #[test]
    fn warns_about_a_missing_backup_loader() {
        let missing = |bios, paths: &[&str]| missing(bios, &tree(paths), Architecture::Aarch64);
        let grub = &["EFI/NixOS-boot-efi/grubaa64.efi"][..];
        let removable = &["EFI/systemd/systemd-bootaa64.efi", "efi/boot/bootaa64.efi"][..];
        for bios in [false, true] {
            let warning = missing(bios, grub).unwrap();
            assert!(
                warning.contains(r"has no \EFI\BOOT\BOOTAA64.EFI: "),
                "{warning}"
            );
            assert_eq!(missing(bios, removable), None);
        }
        assert!(missing(false, &["kernels/linux"]).is_some());
        assert!(missing(false, &["EFI/BOOT/BOOTX64.EFI/x", "EFI/BOOT/fonts"]).is_some());
        assert_eq!(missing(true, &["kernels/linux"]), None);
        assert_eq!(missing(false, &["extlinux/extlinux.conf"]), None);
    }
}
