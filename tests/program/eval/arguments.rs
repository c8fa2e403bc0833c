//! The arguments: their names, their defaults, and how callers give them.

use make_disk_image::spec::Format;
use serde_json::{Value, json};

use super::nix::Nix;

/// nixpkgs' arguments and ours, and whether they have a default.
#[test]
fn the_arguments_are_those_of_nixpkgs_and_our_own() {
    let names = Nix::new().eval("builtins.functionArgs make-disk-image");
    assert_eq!(
        names,
        json!({
            "OVMF": true, "additionalPaths": true, "additionalSpace": true, "baseName": true,
            "bootSize": true, "compressImage": true, "compression": true,
            "compressionLevel": true, "config": false, "configFile": true, "contents": true,
            "copyChannel": true, "deterministic": true, "diskSize": true, "efiFirmware": true,
            "efiVariables": true, "format": true, "fsOptions": true, "fsType": true, "guestMachine": true,
            "guestTimeout": true, "installBootLoader": true,
            "label": true, "lib": false, "memSize": true, "name": true, "onlyNixStore": true,
            "package": true, "partitionTableType": true, "pkgs": false, "postVM": true,
            "rootFSUID": true, "rootGPUID": true, "touchEFIVars": true,
            "umlKernel": true
        })
    );
}

#[test]
fn defaults_are_those_of_nixpkgs() {
    let nix = Nix::new();
    let drv = nix.eval(
        "let drv = make { }; in { inherit (drv) memSize name postVM; inherit (drv.image) channel toplevel; }",
    );
    assert_eq!(drv["name"], "nixos-disk-image");
    assert_eq!(
        (&drv["memSize"], &drv["postVM"]),
        (&json!(1024), &json!(""))
    );
    assert!(
        drv["channel"]
            .as_str()
            .unwrap()
            .ends_with("-nixos-26.05.fixture")
    );
    assert!(drv["toplevel"].as_str().unwrap().ends_with("-nixos-system"));

    let mut image = nix.eval("(make { }).image");
    let object = image.as_object_mut().unwrap();
    object.remove("channel");
    object.remove("toplevel");
    assert_eq!(
        image,
        json!({
            "additionalSpace": "512M", "baseName": "nixos", "bootSize": null,
            "compressImage": null, "compression": null, "compressionLevel": null,
            "configFile": null, "contents": [], "deterministic": true, "diskSize": "auto", "efiVariables": null,
            "format": "raw", "fsOptions": {}, "fsType": "ext4", "installBootLoader": true, "label": "nixos",
            "onlyNixStore": false, "partitionTableType": "legacy",
            "rootFSUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F", "rootGPUID": null,
            "storeDir": "/nix/store", "touchEFIVars": false
        })
    );
}

#[test]
fn defaults_depend_on_other_arguments_as_in_nixpkgs() {
    let nix = Nix::new();
    for (arguments, attribute, want) in [
        (
            r#"onlyNixStore = true; installBootLoader = false;"#,
            "label",
            json!("nix-store"),
        ),
        (
            r#"onlyNixStore = true; installBootLoader = false;"#,
            "channel",
            Value::Null,
        ),
        (
            r#"rootGPUID = "1C06F03B-704E-4657-B9CD-681A087A2FDC";"#,
            "rootFSUID",
            json!("1C06F03B-704E-4657-B9CD-681A087A2FDC"),
        ),
        (
            r#"fsType = "xfs"; partitionTableType = "none";"#,
            "rootFSUID",
            json!("F222513B-DED1-49FA-B591-20CE86A2FE7F"),
        ),
        (
            r#"fsType = "squashfs"; installBootLoader = false;"#,
            "rootFSUID",
            Value::Null,
        ),
        (
            r#"fsType = "squashfs"; installBootLoader = false;"#,
            "additionalSpace",
            json!("0M"),
        ),
        (r#"fsType = "btrfs";"#, "additionalSpace", json!("512M")),
        (
            r#"fsType = "btrfs"; fsOptions.compression = "zstd";"#,
            "fsOptions",
            json!({ "compression": "zstd" }),
        ),
        (r#"copyChannel = false;"#, "channel", Value::Null),
        (r#"diskSize = 2048;"#, "diskSize", json!(2048)),
        (r#"diskSize = "2048";"#, "diskSize", json!("2048")),
    ] {
        assert_eq!(
            nix.eval(&format!("(make {{ {arguments} }}).image.{attribute}")),
            want,
            "{arguments}"
        );
    }
}

#[test]
fn unknown_arguments_are_rejected() {
    let message = Nix::new().error("make { compressed = true; }");
    assert!(
        message.contains("unexpected argument 'compressed'"),
        "{message}"
    );
}

#[test]
fn file_paths_are_those_of_nixpkgs() {
    let nix = Nix::new();
    for (format, base_name, want) in [
        ("raw", "nixos", "nixos.img"),
        ("qcow2", "nixos", "nixos.qcow2"),
        ("qcow2-compressed", "nixos", "nixos.qcow2"),
        ("vdi", "nixos", "nixos.vdi"),
        ("vpc", "nixos", "nixos.vhd"),
        ("vpc-fixed", "nixos", "nixos.vhd"),
        ("vmdk", "nixos", "nixos.vmdk"),
        ("vmdk-stream-optimized", "nixos", "nixos.vmdk"),
        ("vhdx", "nixos", "nixos.vhdx"),
        ("qed", "nixos", "nixos.qed"),
        ("raw", "nixos-image-26.05", "nixos-image-26.05.img"),
        ("vpc", "a b", "a b.vhd"),
    ] {
        let call = format!("make {{ format = \"{format}\"; baseName = \"{base_name}\"; }}");
        assert_eq!(
            nix.eval(&format!("({call}).passthru.filePath")),
            want,
            "{format}"
        );
        assert_eq!(nix.eval(&format!("({call}).filePath")), want, "{format}");
    }
}

/// The program chooses the file name, too; both must agree.
#[test]
fn file_paths_are_those_of_the_program() {
    let nix = Nix::new();
    for format in formats() {
        let path = nix.eval(&format!(
            "(make {{ format = \"{}\"; }}).filePath",
            format.name()
        ));
        assert_eq!(path, format!("nixos.{}", format.extension()));
    }
}

fn formats() -> impl Iterator<Item = Format> {
    Format::OWN
        .into_iter()
        .chain([Format::Other("qed".to_owned())])
}

#[test]
fn a_compressed_raw_image_has_another_extension() {
    let nix = Nix::new();
    for (algorithm, want) in [
        ("null", "a.img"),
        (r#""zstd""#, "a.img.zst"),
        (r#""xz""#, "a.img.xz"),
        (r#""gzip""#, "a.img.gz"),
    ] {
        let call = format!("make {{ baseName = \"a\"; compressImage = {algorithm}; }}");
        assert_eq!(nix.eval(&format!("({call}).filePath")), want);
        let attribute = nix.eval(&format!("({call}).image.compressImage"));
        assert_eq!(attribute.to_string(), algorithm);
    }
}

#[test]
fn compression_is_in_the_attributes_only_where_it_is_used() {
    let nix = Nix::new();
    for (arguments, compression, level) in [
        (
            r#"format = "qcow2-compressed";"#,
            json!("zlib"),
            Value::Null,
        ),
        (
            r#"format = "qcow2-compressed"; compression = "zstd"; compressionLevel = 9;"#,
            json!("zstd"),
            json!(9),
        ),
        (
            r#"format = "vmdk-stream-optimized"; compression = "zstd"; compressionLevel = 9;"#,
            Value::Null,
            json!(9),
        ),
        (
            r#"compressImage = "xz"; compression = "zstd"; compressionLevel = "9";"#,
            Value::Null,
            json!("9"),
        ),
        (
            r#"compression = "zstd"; compressionLevel = 9;"#,
            Value::Null,
            Value::Null,
        ),
    ] {
        let image = nix.eval(&format!("(make {{ {arguments} }}).image"));
        assert_eq!(image["compression"], compression, "{arguments}");
        assert_eq!(image["compressionLevel"], level, "{arguments}");
    }
}

/// An image in any other format can be built without QEMU.
#[test]
fn qemu_img_is_an_input_only_of_formats_that_need_it() {
    let nix = Nix::new();
    for format in formats() {
        let call = format!(
            "make {{ format = \"{}\"; umlKernel = null; }}",
            format.name()
        );
        let needed = matches!(format, Format::Other(_));
        let path = nix.eval(&format!("({call}).tools.qemuImg"));
        assert_eq!(path.is_string(), needed, "{format:?}");
        let derivation = nix.derivation(&call);
        assert_eq!(derivation.contains("-qemu-utils.drv"), needed, "{format:?}");
    }
}

#[test]
fn contents_are_strings_or_null_and_become_inputs() {
    let nix = Nix::new();
    let call = r#"make {
      contents = [
        { source = file; target = "/etc/file"; }
        { source = pkgs.hello; target = "/srv/hello"; mode = "D755,F644"; user = "1000"; group = "100"; }
        { source = "${pkgs.hello}/share/*"; target = "/share"; user = 0; group = 0; mode = null; }
        { source = "/etc/hostname"; target = /etc/hostname; user = null; }
      ];
      configFile = file;
    }"#;
    let image = nix.eval(&format!("({call}).image"));
    let contents = image["contents"].as_array().unwrap();
    assert!(
        contents[0]["source"]
            .as_str()
            .unwrap()
            .ends_with("-scope.nix")
    );
    assert!(
        contents[0]["source"]
            .as_str()
            .unwrap()
            .starts_with("/nix/store/")
    );
    assert!(
        image["configFile"]
            .as_str()
            .unwrap()
            .ends_with("-scope.nix")
    );
    assert_eq!(contents[0]["mode"], Value::Null);
    assert_eq!(contents[1]["mode"], "D755,F644");
    assert_eq!(
        (&contents[1]["user"], &contents[1]["group"]),
        (&json!("1000"), &json!("100"))
    );
    assert!(
        contents[2]["source"]
            .as_str()
            .unwrap()
            .ends_with("-hello/share/*")
    );
    assert_eq!(
        (&contents[2]["user"], &contents[2]["group"]),
        (&json!("0"), &json!("0"))
    );
    assert_eq!(contents[3]["source"], "/etc/hostname");
    assert_eq!(contents[3]["target"], "/etc/hostname");

    let derivation = nix.derivation(call);
    assert!(
        derivation.contains("-hello.drv\",[\"out\"]"),
        "{derivation}"
    );
    assert!(derivation.contains("-scope.nix\""), "{derivation}");
}

#[test]
fn firmware_is_evaluated_only_with_touch_efi_vars() {
    let nix = Nix::new();
    let without = "pkgs // { OVMF = throw \"OVMF was evaluated\"; }";
    nix.eval(&format!(
        "(make {{ pkgs = {without}; partitionTableType = \"efi\"; }}).drvPath"
    ));
    let touched =
        format!("make {{ pkgs = {without}; partitionTableType = \"efi\"; touchEFIVars = true; }}");
    assert!(
        nix.error(&format!("({touched}).drvPath"))
            .contains("OVMF was evaluated")
    );

    let variables = nix
        .eval(r#"(make { partitionTableType = "efi"; touchEFIVars = true; }).image.efiVariables"#);
    assert!(variables.as_str().unwrap().ends_with("-OVMF/OVMF_VARS.fd"));
    let given = nix.eval(r#"(make { partitionTableType = "efi"; touchEFIVars = true; efiVariables = pkgs.hello; }).image.efiVariables"#);
    assert!(given.as_str().unwrap().ends_with("-hello"));
}

#[test]
fn both_examples_of_the_manual_evaluate() {
    let nix = Nix::new();
    let store = nix.attributes("manual.store");
    assert_eq!(store["exportReferencesGraph"], json!({ "closure": [] }));
    assert_eq!(store["image"]["toplevel"], Value::Null);
    assert_eq!(store["tools"]["nixosInstall"], Value::Null);
    assert_eq!(nix.eval("manual.store.filePath"), "nixos.qcow2");

    let system = nix.attributes("manual.system");
    assert_eq!(system["memSize"], 2048);
    assert!(
        system["image"]["toplevel"]
            .as_str()
            .unwrap()
            .ends_with("-nixos-system")
    );
    assert!(system["image"]["efiVariables"].is_string());
}

/// `config = { }` with every other argument at its default, except those that onlyNixStore forbids.
#[test]
fn a_store_image_needs_no_configuration() {
    let nix = Nix::new();
    let attributes = nix.attributes(
        "make { config = { }; onlyNixStore = true; installBootLoader = false; additionalPaths = [ pkgs.hello ]; }",
    );
    let closure = attributes["exportReferencesGraph"]["closure"]
        .as_array()
        .unwrap();
    assert_eq!(closure.len(), 1);
    assert!(closure[0].as_str().unwrap().ends_with("-hello"));
}

#[test]
fn every_caller_of_nixpkgs_evaluates() {
    let nix = Nix::new();
    let callers = nix.eval(
        "builtins.mapAttrs (_: arguments: let drv = make arguments; in { inherit (drv) drvPath filePath; }) callers",
    );
    let callers = callers.as_object().unwrap();
    assert_eq!(callers.len(), 12);
    assert_eq!(callers["amazon"]["filePath"], "nixos-amazon-image.vhd");
    assert_eq!(callers["incus"]["filePath"], "nixos.qcow2");
    assert_eq!(callers["google-compute"]["filePath"], "google.img");

    let derivation = nix.derivation("make callers.virtualbox");
    assert!(
        derivation.contains("-hello.drv\",[\"out\"]"),
        "what postVM names is an input: {derivation}"
    );
}
