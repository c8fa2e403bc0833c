//! Calls that nixpkgs rejects, and their messages.

use super::nix::Nix;

#[test]
fn rejected_calls_name_the_value_and_the_remedy() {
    let nix = Nix::new();
    let table: &[(&str, &[&str])] = &[
        (
            r#"partitionTableType = "gpt";"#,
            &[
                "partitionTableType must be one of",
                "\"legacy+boot\"",
                "but is: \"gpt\"",
            ],
        ),
        (
            "rootFSUID = null;",
            &[
                "rootFSUID is null",
                "deterministic = true",
                "Leave rootFSUID out",
                "set deterministic = false",
            ],
        ),
        (
            r#"partitionTableType = "efi"; rootGPUID = null; rootFSUID = "F222513B-DED1-49FA-B591-20CE86A2FE7F";"#,
            &[
                "rootGPUID is null",
                "deterministic = true",
                "Leave rootGPUID out",
            ],
        ),
        (
            r#"fsType = "reiserfs";"#,
            &["fsType must be one of", "\"squashfs\""],
        ),
        (
            r#"fsType = "squashfs"; rootFSUID = "F222513B-DED1-49FA-B591-20CE86A2FE7F";"#,
            &[
                "rootFSUID = \"F222513B-DED1-49FA-B591-20CE86A2FE7F\" with fsType = \"squashfs\"",
                "Leave rootFSUID out",
            ],
        ),
        (
            r#"fsType = "erofs"; config = withLoader "/boot" { grub = { enable = true; devices = [ "/dev/sda" ]; }; };"#,
            &[
                "GRUB on \"/dev/sda\" with fsType = \"erofs\" and partitionTableType = \"legacy\"",
                "set partitionTableType = \"hybrid\", or another fsType",
            ],
        ),
        (
            "touchEFIVars = true;",
            &[
                "touchEFIVars = true with partitionTableType = \"legacy\"",
                "\"efixbootldr\"",
                "or touchEFIVars = false",
            ],
        ),
        (
            r#"touchEFIVars = true; partitionTableType = "legacy+boot";"#,
            &["touchEFIVars = true with partitionTableType = \"legacy+boot\""],
        ),
        (
            r#"touchEFIVars = true; partitionTableType = "none";"#,
            &["touchEFIVars = true with partitionTableType = \"none\""],
        ),
        (
            "onlyNixStore = true;",
            &[
                "onlyNixStore = true",
                "installBootLoader is true (its default)",
                "installBootLoader = false, or onlyNixStore = false",
            ],
        ),
        (
            r#"onlyNixStore = true; installBootLoader = false; contents = [ { source = file; target = "/x"; } ];"#,
            &["contents is not empty (1)", "Set contents = [ ]"],
        ),
        (
            "onlyNixStore = true; installBootLoader = false; configFile = file;",
            &["but configFile is set."],
        ),
        (
            r#"contents = [ { source = file; target = "/x"; } { source = file; target = "/y"; user = "root"; } ];"#,
            &[
                "target \"/y\" has a user but no group",
                "Set both user and group, or neither",
            ],
        ),
        (
            r#"contents = [ { source = file; target = "/y"; user = null; group = "root"; } ];"#,
            &["target \"/y\" has a group but no user"],
        ),
        (
            r#"partitionTableType = "efi"; config = withLoader "/boot/efi" { systemd-boot.enable = true; };"#,
            &[
                "expects the ESP at \"/boot/efi\"",
                "with partitionTableType = \"efi\" it is mounted at \"/boot\"",
                "Set boot.loader.efi.efiSysMountPoint = \"/boot\" in the configuration",
            ],
        ),
        (
            r#"partitionTableType = "efixbootldr"; config = withLoader "/boot" { systemd-boot.enable = true; };"#,
            &["expects the ESP at \"/boot\"", "it is mounted at \"/efi\""],
        ),
        (
            r#"partitionTableType = "hybrid"; config = withLoader "/boot" {
              grub = { enable = true; efiSupport = true; mirroredBoots = [ { efiSysMountPoint = null; } { efiSysMountPoint = "/efi"; } ]; }; };"#,
            &["expects the ESP at \"/efi\"", "it is mounted at \"/boot\""],
        ),
        (
            r#"partitionTableType = "efi"; config = withLoader "/esp" { limine = { enable = true; efiSupport = true; }; };"#,
            &["expects the ESP at \"/esp\""],
        ),
        (
            "config = { };",
            &[
                "config has no system.build.toplevel",
                "(lib.nixosSystem { ... }).config",
                "onlyNixStore = true",
            ],
        ),
        (
            "config = { system.build.toplevel = pkgs.hello; }; copyChannel = false;",
            &[
                "config has no system.build.nixos-install, and pkgs has no nixos-install",
                "system.disableInstallerTools",
                "nix.enable",
            ],
        ),
        (
            "config = config // { system = config.system // { switch.enable = false; }; };",
            &[
                "system.switch.enable is false",
                "Set system.switch.enable = true, or installBootLoader = false",
            ],
        ),
        (
            r#"format = "qcow2-compressed"; compression = "gzip";"#,
            &[
                "compression must be one of [\"zlib\",\"zstd\"]",
                "but is: \"gzip\"",
            ],
        ),
        (
            "compressImage = true;",
            &[
                "compressImage must be one of [null,\"gzip\",\"xz\",\"zstd\"]",
                "but is: true",
            ],
        ),
        (
            r#"compressImage = "zstd"; format = "qcow2";"#,
            &[
                "compressImage = \"zstd\" with format = \"qcow2\"",
                "set format = \"raw\" or compressImage = null",
                "set format = \"qcow2-compressed\"",
            ],
        ),
        (
            r#"guestMachine = "xen";"#,
            &[
                "guestMachine must be one of [null,\"kvm\",\"uml\",\"tcg\"]",
                "but is: \"xen\"",
            ],
        ),
        (
            r#"guestMachine = "uml"; umlKernel = pkgs.hello; partitionTableType = "efi"; touchEFIVars = true;"#,
            &[
                "guestMachine = \"uml\" with touchEFIVars = true",
                "User-Mode Linux has no EFI firmware",
                "set guestMachine = null, \"kvm\" or \"tcg\", or touchEFIVars = false",
            ],
        ),
        (
            r#"guestMachine = "uml"; umlKernel = pkgs.hello; pkgs = aarch64;"#,
            &[
                "guestMachine = \"uml\" with a system for aarch64-linux",
                "set guestMachine = null, \"kvm\" or \"tcg\"",
            ],
        ),
        (
            r#"guestMachine = "uml"; umlKernel = null;"#,
            &[
                "guestMachine = \"uml\", but umlKernel is null",
                "Set umlKernel to a package with bin/linux",
            ],
        ),
    ];
    for (arguments, wanted) in table {
        let message = nix.error(&format!("(make {{ {arguments} }}).drvPath"));
        assert!(message.contains("make-disk-image["), "no code in {message}");
        for part in *wanted {
            assert!(
                message.contains(part),
                "{arguments}: no {part:?} in {message}"
            );
        }
    }
}

/// Calls just inside the same conditions.
#[test]
fn calls_at_the_edge_of_the_assertions_are_accepted() {
    let nix = Nix::new();
    for arguments in [
        r#"fsType = "xfs"; partitionTableType = "none"; rootFSUID = null;"#,
        "rootFSUID = null; deterministic = false;",
        r#"touchEFIVars = true; partitionTableType = "hybrid";"#,
        r#"touchEFIVars = true; partitionTableType = "legacy+gpt";"#,
        r#"touchEFIVars = true; partitionTableType = "efixbootldr";"#,
        "onlyNixStore = true; installBootLoader = false;",
        r#"partitionTableType = "legacy+boot";"#,
        r#"rootGPUID = null; rootFSUID = "F222513B-DED1-49FA-B591-20CE86A2FE7F";"#,
        r#"partitionTableType = "efi"; rootGPUID = null; deterministic = false;"#,
        "installBootLoader = false; config = config // { system = config.system // { switch.enable = false; }; };",
        r#"contents = [ { source = file; target = "/x"; user = "0"; group = "0"; } ];"#,
        // No boot loader, none that is installed, one that needs no ESP, and no ESP.
        r#"partitionTableType = "efi"; config = withLoader "/boot/efi" { };"#,
        r#"partitionTableType = "efi"; installBootLoader = false;
           config = withLoader "/boot/efi" { systemd-boot.enable = true; };"#,
        r#"partitionTableType = "hybrid"; config = withLoader "/boot/efi" { grub.enable = true; };"#,
        r#"partitionTableType = "legacy"; config = withLoader "/boot/efi" { systemd-boot.enable = true; };"#,
        r#"partitionTableType = "efi"; config = withLoader "/boot/" { systemd-boot.enable = true; };"#,
        r#"guestMachine = "uml"; umlKernel = pkgs.hello; partitionTableType = "efi";"#,
        r#"format = "qcow2-compressed"; compression = "zstd"; compressionLevel = 19;"#,
        // Not used.
        r#"compression = "gzip";"#,
        r#"compressImage = null; format = "qcow2"; compressionLevel = 99;"#,
        // No guest runs.
        r#"guestMachine = "uml"; umlKernel = null; installBootLoader = false;"#,
        r#"partitionTableType = "efixbootldr"; config = withLoader "/efi" { systemd-boot.enable = true; };"#,
    ] {
        let path = nix.eval(&format!("(make {{ {arguments} }}).drvPath"));
        assert!(path.as_str().unwrap().ends_with(".drv"), "{arguments}");
    }
}
