//! Which arguments are evaluated with which layout. As in nixpkgs, an unused argument may have any
//! value.

use super::nix::{Nix, in_scope};
use crate::common::tables;

/// Whether `argument` is evaluated in a call with `arguments`: it throws when it is evaluated.
fn is_read(nix: &Nix, arguments: &str, argument: &str) -> bool {
    let with = |value: &str| format!("(make {{ {arguments} {value} }}).drvPath");
    let call = with(&format!("{argument} = throw \"it was read\";"));
    let output = nix.run("nix-instantiate", &["--eval", "--expr", &in_scope(&call)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.contains("it was read"),
        !output.status.success(),
        "{arguments} {argument}: {said}"
    );
    !output.status.success()
}

#[test]
fn arguments_are_read_with_their_layout_only() {
    let nix = Nix::new();
    let boot = ["legacy+boot", "efi", "efixbootldr", "hybrid"];
    let gpt = ["legacy+gpt", "efi", "efixbootldr", "hybrid"];
    for table in tables() {
        let fsuid = r#"rootFSUID = "F222513B-DED1-49FA-B591-20CE86A2FE7F";"#;
        for (arguments, argument, read) in [
            ("", "bootSize", boot.contains(&table)),
            (fsuid, "rootGPUID", gpt.contains(&table)),
            (
                "deterministic = false; rootFSUID = null;",
                "rootGPUID",
                false,
            ),
            ("", "efiVariables", false),
            ("", "efiFirmware", false),
            ("", "OVMF", false),
        ] {
            let arguments = format!("partitionTableType = \"{table}\"; {arguments}");
            assert_eq!(
                is_read(&nix, &arguments, argument),
                read,
                "{arguments} {argument}"
            );
        }
    }
}

#[test]
fn arguments_are_read_with_what_needs_them_only() {
    let nix = Nix::new();
    let plain = "installBootLoader = false;";
    let named = r#"installBootLoader = false; contents = [ { source = "/s"; target = "/t"; user = "alice"; group = "users"; } ];"#;
    let store = r#"onlyNixStore = true; installBootLoader = false; copyChannel = false;"#;
    let touched = r#"partitionTableType = "efi"; touchEFIVars = true;"#;
    for (arguments, argument, read) in [
        ("", "memSize", true),
        (named, "memSize", true),
        (plain, "memSize", false),
        (store, "memSize", false),
        ("", "guestTimeout", true),
        (plain, "guestTimeout", false),
        ("", "guestMachine", true),
        (plain, "guestMachine", false),
        ("", "umlKernel", true),
        (r#"guestMachine = "uml";"#, "umlKernel", true),
        (r#"guestMachine = "kvm";"#, "umlKernel", false),
        (r#"guestMachine = "tcg";"#, "umlKernel", false),
        ("pkgs = aarch64;", "umlKernel", false),
        (touched, "umlKernel", false),
        (plain, "umlKernel", false),
        ("", "additionalSpace", true),
        ("diskSize = 2048;", "additionalSpace", false),
        ("", "compressImage", true),
        ("", "compression", false),
        ("", "compressionLevel", false),
        (r#"compressImage = "xz";"#, "compression", false),
        (r#"compressImage = "xz";"#, "compressionLevel", true),
        (r#"format = "qcow2-compressed";"#, "compression", true),
        (r#"format = "qcow2-compressed";"#, "compressionLevel", true),
        (r#"format = "qcow2";"#, "compression", false),
        (r#"format = "qcow2";"#, "compressionLevel", false),
        (r#"format = "vmdk-stream-optimized";"#, "compression", false),
        (
            r#"format = "vmdk-stream-optimized";"#,
            "compressionLevel",
            true,
        ),
        ("deterministic = false;", "rootFSUID", false),
        ("", "rootFSUID", true),
        (
            r#"fsType = "xfs"; partitionTableType = "none";"#,
            "rootFSUID",
            true,
        ),
        (touched, "efiVariables", true),
        (touched, "efiFirmware", true),
        (
            "installBootLoader = false; partitionTableType = \"efi\"; touchEFIVars = true;",
            "efiFirmware",
            false,
        ),
        ("", "label", true),
        ("", "contents", true),
        ("", "configFile", true),
        ("", "postVM", true),
    ] {
        assert_eq!(
            is_read(&nix, arguments, argument),
            read,
            "{arguments} {argument}"
        );
    }
}

/// The boot loader is installed to devices.
#[test]
fn the_boot_loaders_options_are_read_only_to_install_it() {
    let nix = Nix::new();
    let config = r#"config = config // { boot.loader.grub = { enable = true; devices = throw "it was read"; }; };"#;
    let named = r#"installBootLoader = false; contents = [ { source = "/s"; target = "/t"; user = "alice"; group = "users"; } ];"#;
    nix.eval(&format!("(make {{ {config} {named} }}).drvPath"));
    let message = nix.error(&format!("(make {{ {config} }}).drvPath"));
    assert!(message.contains("it was read"), "{message}");
}

/// `system.disableInstallerTools` and `nix.enable = false` remove it from the configuration.
#[test]
fn nixos_install_comes_from_pkgs_if_the_configuration_has_none() {
    let nix = Nix::new();
    let value = nix.eval(
        r#"(make {
             config = config // {
               system = config.system // {
                 build = removeAttrs config.system.build [ "nixos-install" "nixos-enter" ];
               };
             };
             pkgs = pkgs // { buildPackages = pkgs // { nixos-install = pkgs.package "nixos-install-of-pkgs"; }; };
           }).tools"#,
    );
    let program = value["nixosInstall"].as_str().unwrap();
    assert!(
        program.ends_with("-nixos-install-of-pkgs/bin/nixos-install"),
        "{program}"
    );
    let directory = program.trim_end_matches("/nixos-install");
    let path = value["path"].as_array().unwrap();
    assert!(path.iter().any(|entry| entry == directory), "{path:?}");

    let own = nix.eval("(make { pkgs = pkgs // { buildPackages = pkgs // { nixos-install = throw \"not asked for\"; }; }; }).tools.nixosInstall");
    assert!(
        own.as_str()
            .unwrap()
            .ends_with("-nixos-install/bin/nixos-install")
    );
}
