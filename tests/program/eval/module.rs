//! nix/module.nix in a system of the fixture's small module system.

use serde_json::json;

use super::nix::Nix;

#[test]
fn each_table_has_its_file_systems() {
    let nix = Nix::new();
    for (table, mounts) in [
        ("none", json!({ "/": "nixos" })),
        ("legacy", json!({ "/": "nixos" })),
        ("legacy+boot", json!({ "/": "nixos", "/boot": "BOOT" })),
        ("legacy+gpt", json!({ "/": "nixos" })),
        ("efi", json!({ "/": "nixos", "/boot": "ESP" })),
        (
            "efixbootldr",
            json!({ "/": "nixos", "/boot": "BOOT", "/efi": "ESP" }),
        ),
        ("hybrid", json!({ "/": "nixos", "/boot": "ESP" })),
    ] {
        let have = nix.eval(&format!(
            r#"builtins.mapAttrs (_: value: baseNameOf value.device) (evalConfig {{
                 modules = [ module {{ image.partitionTableType = "{table}"; }} ];
               }}).config.fileSystems"#
        ));
        assert_eq!(have, mounts, "{table}");
    }
}

#[test]
fn the_initrd_finds_the_disk_of_a_virtual_machine() {
    let nix = Nix::new();
    for (defaults, expected) in [
        (
            true,
            json!(["ahci", "virtio_blk", "virtio_pci", "virtio_scsi"]),
        ),
        (false, json!(["ahci"])),
    ] {
        let have = nix.eval(&format!(
            r#"builtins.sort builtins.lessThan (evalConfig {{
                 modules = [
                   module
                   {{
                     boot.initrd.includeDefaultModules = {defaults};
                     boot.initrd.availableKernelModules = [ "ahci" ];
                   }}
                 ];
               }}).config.boot.initrd.availableKernelModules"#
        ));
        assert_eq!(have, expected, "{defaults}");
    }
}

#[test]
fn options_reach_the_image() {
    let value = Nix::new().eval(
        r#"let
             inherit (evalConfig {
               modules = [
                 module
                 {
                   image.baseName = "machine";
                   image.format = "vpc";
                   image.bootSize = "1G";
                   virtualisation.diskSize = 8192;
                   image.extraArguments = { memSize = 4096; copyChannel = false; };
                 }
               ];
             }) config;
             image = config.system.build.image;
           in {
             inherit (config.image) extension filePath;
             inherit (image) memSize;
             inherit (image.image) bootSize channel diskSize partitionTableType;
             same = image.passthru.filePath == config.image.filePath;
             systemdBoot = config.boot.loader.systemd-boot.enable;
           }"#,
    );
    assert_eq!(
        value,
        json!({
            "extension": "vhd", "filePath": "machine.vhd", "bootSize": "1G", "channel": null,
            "diskSize": 8192, "memSize": 4096, "partitionTableType": "efi", "same": true,
            "systemdBoot": true
        })
    );
}

#[test]
fn each_format_has_its_extension() {
    let nix = Nix::new();
    for (format, extension) in [
        ("raw", "img"),
        ("qcow2-compressed", "qcow2"),
        ("vdi", "vdi"),
        ("vhdx", "vhdx"),
        ("vpc-fixed", "vhd"),
        ("vmdk-stream-optimized", "vmdk"),
    ] {
        let have = nix.eval(&format!(
            r#"(evalConfig {{ modules = [ module {{ image.format = "{format}"; }} ]; }}).config.image.extension"#
        ));
        assert_eq!(have, extension, "{format}");
    }
    let compressed = nix.eval(
        r#"{
             inherit
               ((evalConfig {
                 modules = [
                   module
                   {
                     image.baseName = "a.b";
                     image.format = "raw";
                     image.extraArguments.compressImage = "zstd";
                   }
                 ];
               }).config.image)
               extension
               filePath
               ;
           }"#,
    );
    assert_eq!(
        compressed,
        json!({ "extension": "img.zst", "filePath": "a.b.img.zst" })
    );
}

#[test]
fn each_type_of_root_file_system_is_mounted_and_grows_as_nixos_can() {
    let nix = Nix::new();
    for (kind, table, device, grows) in [
        ("ext4", "efi", "/dev/disk/by-label/nixos", true),
        ("ext3", "efi", "/dev/disk/by-label/nixos", true),
        ("btrfs", "legacy", "/dev/disk/by-label/nixos", true),
        ("xfs", "none", "/dev/disk/by-label/nixos", true),
        ("ext2", "efi", "/dev/disk/by-label/nixos", false),
        ("erofs", "efi", "/dev/disk/by-label/nixos", false),
        ("f2fs", "efi", "/dev/disk/by-label/nixos", false),
        (
            "squashfs",
            "efi",
            "/dev/disk/by-partuuid/f222513b-ded1-49fa-b591-20ce86a2fe7f",
            false,
        ),
        (
            "squashfs",
            "legacy",
            "/dev/disk/by-partuuid/97fd5997-01",
            false,
        ),
        (
            "squashfs",
            "legacy+boot",
            "/dev/disk/by-partuuid/97fd5997-02",
            false,
        ),
        ("squashfs", "none", "/dev/vda", false),
    ] {
        let value = nix.eval(&format!(
            r#"let
                 inherit (evalConfig {{
                   modules = [ module {{ image.fsType = "{kind}"; image.partitionTableType = "{table}"; }} ];
                 }}) config;
                 inherit (config.system.build) image;
               in {{
                 inherit (config.fileSystems."/") device fsType autoResize;
                 same = image.image.fsType == config.fileSystems."/".fsType;
                 f2fs = "{kind}" == "f2fs" && config.boot.initrd.systemd.services ? grow-root-f2fs;
               }}"#
        ));
        assert_eq!(
            value,
            json!({
                "device": device, "fsType": kind, "autoResize": grows, "same": true,
                "f2fs": kind == "f2fs",
            }),
            "{table}"
        );
    }
    let options = nix.eval(
        r#"(evalConfig {
             modules = [
               module
               {
                 image.fsType = "btrfs";
                 image.fsOptions = { compression = "zstd"; subvolumes = [ "nix" ]; };
                 image.extraArguments.label = "root";
               }
             ];
           }).config.system.build.image.image.fsOptions"#,
    );
    assert_eq!(
        options,
        json!({ "compression": "zstd", "subvolumes": ["nix"] })
    );
}
