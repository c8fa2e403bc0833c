//! The derivation: what Nix and the program receive.

use std::path::Path;

use serde_json::{Value, json};

use super::nix::{Nix, repository};

/// A call that gives every argument the program reads.
const FULL: &str = r#"make {
  additionalPaths = [ pkgs.hello config.system.build.toplevel ];
  additionalSpace = "1G";
  baseName = "disk";
  bootSize = "300M";
  compression = "zstd";
  compressionLevel = 5;
  configFile = "${pkgs.hello}/configuration.nix";
  contents = [
    { source = "${pkgs.hello}/share/*"; target = "/srv"; mode = "u+rwX,go-w"; user = "1000"; group = "100"; }
  ];
  diskSize = 4096;
  format = "qcow2-compressed";
  installBootLoader = false;
  label = "root";
  memSize = 2048;
  name = "full";
  partitionTableType = "hybrid";
  postVM = "hello $diskImage";
  touchEFIVars = true;
}"#;

/// A value with its store paths' hashes removed.
fn without_hashes(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hide_hashes(text)),
        Value::Array(items) => items.iter().map(without_hashes).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), without_hashes(member)))
            .collect(),
        other => other.clone(),
    }
}

fn hide_hashes(text: &str) -> String {
    let mut pieces = text.split("/nix/store/");
    let mut hidden = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        hidden.push_str("/nix/store/");
        hidden.push_str(
            piece
                .get(32..)
                .map_or(piece, |rest| rest.trim_start_matches('-')),
        );
    }
    hidden
}

/// `UPDATE_GOLDENS=1` writes the current value.
fn check_golden(name: &str, value: &Value) {
    let file = repository().join(Path::new("tests/goldens/eval").join(name));
    let have = format!(
        "{}\n",
        serde_json::to_string_pretty(&without_hashes(value)).unwrap()
    );
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&file, &have).unwrap();
    }
    let want = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(have, want, "{} differs", file.display());
}

#[test]
fn attributes_of_a_system() {
    check_golden("system.json", &Nix::new().attributes(FULL));
}

/// The boot loader's installer runs in the guest.
#[test]
fn attributes_of_a_guest() {
    let nix = Nix::new();
    let guest = |call: &str| nix.attributes(call)["guest"].clone();
    check_golden("guest.json", &guest("make { }"));
    check_golden(
        "guest-efi.json",
        &guest(r#"make { partitionTableType = "efi"; touchEFIVars = true; guestTimeout = 60; }"#),
    );
}

#[test]
fn a_guest_is_used_only_if_something_has_to_run() {
    let nix = Nix::new();
    let entry = |owner: &str| {
        format!(
            "make {{ installBootLoader = false; contents = \
             [ {{ source = \"/s\"; target = \"/t\"; {owner} }} ]; }}"
        )
    };
    for (owner, needed) in [
        ("", false),
        (r#"user = "1000"; group = "root";"#, false),
        (r#"user = 1000; group = 100;"#, false),
        (r#"user = "alice"; group = "100";"#, true),
        (r#"user = "0"; group = "users";"#, true),
    ] {
        let guest = &nix.attributes(&entry(owner))["guest"];
        assert_eq!(!guest.is_null(), needed, "{owner}");
    }
    assert!(nix.attributes("manual.store")["guest"].is_null());
}

#[test]
fn attributes_of_a_store() {
    check_golden("store.json", &Nix::new().attributes("manual.store"));
}

#[test]
fn the_program_is_the_builder() {
    let nix = Nix::new();
    let derivation = nix.derivation("make { package = pkgs.package \"ours\"; }");
    assert!(
        derivation.contains("-ours/bin/make-disk-image\",[\"build\"],"),
        "{derivation}"
    );
}

/// Only an image that insists on KVM needs a builder that has it.
#[test]
fn a_system_feature_is_required_only_for_a_guest_under_kvm() {
    let nix = Nix::new();
    let uml = r#"make { guestMachine = "uml"; umlKernel = pkgs.hello; }"#;
    let kvm = r#"make { guestMachine = "kvm"; }"#;
    let no_guest = r#"make { guestMachine = "kvm"; installBootLoader = false; }"#;
    for call in [
        "make { }",
        uml,
        no_guest,
        FULL,
        "manual.store",
        "manual.system",
    ] {
        let features = &nix.attributes(call)["requiredSystemFeatures"];
        assert_eq!(*features, json!([]), "{call}");
    }
    assert_eq!(
        nix.attributes(kvm)["requiredSystemFeatures"],
        json!(["kvm"])
    );
}

#[test]
fn the_kernel_of_user_mode_linux_is_in_the_attributes() {
    let nix = Nix::new();
    for machine in ["null", r#""uml""#] {
        let call = format!("make {{ guestMachine = {machine}; umlKernel = pkgs.hello; }}");
        let guest = &nix.attributes(&call)["guest"];
        let kernel = guest["uml"].as_str().unwrap();
        assert_eq!(hide_hashes(kernel), "/nix/store/hello/bin/linux");
        assert_eq!(
            guest["machine"].as_str().unwrap_or("null"),
            machine.trim_matches('"')
        );
    }
    for arguments in [
        "umlKernel = null;",
        r#"guestMachine = "tcg"; umlKernel = pkgs.hello;"#,
        "pkgs = aarch64; umlKernel = pkgs.hello;",
    ] {
        let guest = &nix.attributes(&format!("make {{ {arguments} }}"))["guest"];
        assert_eq!(guest["uml"], Value::Null, "{arguments}");
    }
}

/// The builder runs that kernel, and an older one would need ptrace.
#[test]
fn the_kernel_of_user_mode_linux_is_compiled_if_it_is_new_enough_and_runs_on_the_builder() {
    let nix = Nix::new();
    for (call, kernel) in [
        ("make { }", json!("/nix/store/uml-kernel-6.18.1/bin/linux")),
        (
            "make { pkgs = pkgs // { buildPackages = aarch64; }; }",
            Value::Null,
        ),
    ] {
        let guest = &nix.attributes(call)["guest"];
        let found = guest["uml"].as_str().map(hide_hashes);
        assert_eq!(json!(found), kernel, "{call}");
    }
    for (version, used) in [("6.16", "6.16"), ("6.15.9", "7.3.4"), ("6.6", "7.3.4")] {
        let package = format!(
            r#"pkgs.callPackage uml-kernel {{ linux = pkgs.linux // {{ version = "{version}"; }}; }}"#
        );
        let name = nix.eval(&format!("({package}).name"));
        assert_eq!(name, format!("uml-kernel-{used}"));
    }
}

#[test]
fn a_path_given_twice_is_in_the_closure_once() {
    let attributes = Nix::new().attributes(FULL);
    let closure = attributes["exportReferencesGraph"]["closure"]
        .as_array()
        .unwrap();
    let names: Vec<String> = closure
        .iter()
        .map(|path| hide_hashes(path.as_str().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            "/nix/store/nixos-system",
            "/nix/store/nixos-26.05.fixture",
            "/nix/store/hello"
        ]
    );
}

/// modules/image/images.nix wraps a variant's image like this.
#[test]
fn recursive_update_of_passthru_gives_the_same_derivation() {
    let nix = Nix::new();
    let value = nix.eval(
        r#"let
             drv = make { };
             wrapped = lib.recursiveUpdate drv { passthru = { inherit config; filePath = "else/where.img"; }; };
           in {
             same = wrapped.drvPath == drv.drvPath && wrapped.outPath == drv.outPath;
             inherit (wrapped) type;
             inherit (wrapped.passthru) filePath;
             version = wrapped.passthru.config.system.nixos.version;
             path = "${wrapped}/${wrapped.passthru.filePath}" == "${drv}/else/where.img";
           }"#,
    );
    assert_eq!(value["same"], true);
    assert_eq!(value["type"], "derivation");
    assert_eq!(value["filePath"], "else/where.img");
    assert_eq!(value["version"], "26.05.fixture");
    assert_eq!(value["path"], true);
}

#[test]
fn passthru_and_meta_stay_out_of_the_derivation() {
    let nix = Nix::new();
    let value = nix.eval(
        "let drv = make { }; in { inherit (drv) meta; version = drv.passthru.config.system.nixos.version; }",
    );
    assert_eq!(value["meta"]["description"], "Disk image nixos.img");
    assert_eq!(value["version"], "26.05.fixture");
    let attributes = nix.attributes("make { }");
    assert_eq!(attributes.get("passthru"), None);
    assert_eq!(attributes.get("meta"), None);
}

/// When cross-compiling, the programs are those of the build machine.
#[test]
fn programs_come_from_build_packages() {
    let value = Nix::new().eval(
        r#"(make {
             format = "qed";
             pkgs = pkgs // { buildPackages = pkgs // { qemu-utils = pkgs.package "qemu-of-builder"; }; };
           }).tools.qemuImg"#,
    );
    assert_eq!(
        hide_hashes(value.as_str().unwrap()),
        "/nix/store/qemu-of-builder/bin/qemu-img"
    );
}
