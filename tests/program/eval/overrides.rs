//! Effects of `overrideAttrs` and `lib.overrideDerivation` on the derivation.

use serde_json::json;

use super::nix::Nix;

#[test]
fn override_attrs_changes_the_derivation() {
    let nix = Nix::new();
    let attributes = nix.attributes(
        r#"((make { baseName = "kept"; postVM = "first"; }).overrideAttrs (old: {
             name = "other-${old.name}";
             env = old.env // { GREETING = "hello"; };
             memSize = old.memSize * 4;
             postVM = old.postVM + "\nsecond";
           })).overrideAttrs (final: old: old // { postVM = old.postVM + "\n${final.name}"; })"#,
    );
    assert_eq!(attributes["name"], "other-nixos-disk-image");
    assert_eq!(attributes["env"]["GREETING"], "hello");
    assert_eq!(attributes["memSize"], 4096);
    assert_eq!(
        attributes["postVM"],
        "first\nsecond\nother-nixos-disk-image"
    );
    assert_eq!(attributes["image"]["baseName"], "kept");
    for name in ["memSize", "postVM"] {
        assert_eq!(
            attributes["image"].get(name),
            None,
            "{name} is in one place only"
        );
    }
}

/// Without a guest there is no memory size.
#[test]
fn memory_is_an_attribute_only_where_a_guest_runs() {
    let nix = Nix::new();
    let without = nix.eval("(make { installBootLoader = false; memSize = 2048; }).memSize");
    assert_eq!(without, json!(null));
}

#[test]
fn overrides_without_effect_are_rejected_with_advice() {
    let nix = Nix::new();
    for (change, name, instead) in [
        (
            "old: { preVM = builtins.replaceStrings [ \"a\" ] [ \"b\" ] old.preVM; }",
            "preVM",
            "or override postVM",
        ),
        (
            "old: { postVM = old.preVM; }",
            "preVM",
            "or override postVM",
        ),
        (
            "old: { buildCommand = \"x\"; }",
            "buildCommand",
            "or override postVM",
        ),
        (
            "old: old // { QEMU_OPTS = \"-smp 4\"; }",
            "QEMU_OPTS",
            "Set the arguments memSize, guestTimeout and guestMachine",
        ),
        (
            "{ QEMU_OPTS = \"-smp 4\"; }",
            "QEMU_OPTS",
            "Set the arguments memSize, guestTimeout and guestMachine",
        ),
        (
            "final: old: { QEMU_OPTS = \"-smp 4\"; }",
            "QEMU_OPTS",
            "Set the arguments memSize, guestTimeout and guestMachine",
        ),
    ] {
        // Twice, since the result of overrideAttrs can be overridden, too.
        for first in ["", ".overrideAttrs { name = \"first\"; }"] {
            let message = nix.error(&format!(
                "(((make {{ }}){first}).overrideAttrs ({change})).drvPath"
            ));
            let told = format!("make-disk-image[override]: {name} cannot be overridden");
            assert!(message.contains(&told), "{change}: {message}");
            assert!(message.contains(instead), "{change}: {message}");
        }
    }
}

/// `lib.overrideDerivation` passes the derivation to a function and uses what it returns.
#[test]
fn a_derivation_has_the_attributes_of_nixpkgs_derivation() {
    let nix = Nix::new();
    let attributes = nix.attributes(
        r#"let drv = make { postVM = "first"; }; in
           derivation (drv.drvAttrs // { postVM = drv.postVM + "\nsecond"; memSize = drv.memSize * 2; })"#,
    );
    assert_eq!(attributes["postVM"], "first\nsecond");
    assert_eq!(attributes["memSize"], 2048);
    for name in ["preVM", "buildCommand", "QEMU_OPTS"] {
        let message = nix.error(&format!("(make {{ }}).{name}"));
        assert!(
            message.contains(&format!("{name} cannot be overridden")),
            "{message}"
        );
    }
}

/// The checks of overrides do not break code that passes the derivation on.
#[test]
fn the_derivation_can_be_walked_through() {
    let nix = Nix::new();
    let value = nix.eval(
        "let drv = make { }; in {
           attributes = builtins.isAttrs (drv // { });
           text = \"${drv}\" == drv.outPath;
           json = builtins.toJSON drv == builtins.toJSON drv.outPath;
           same = (drv.overrideAttrs (_: { })).drvPath == drv.drvPath;
         }",
    );
    assert_eq!(
        value,
        json!({ "attributes": true, "text": true, "json": true, "same": true })
    );
}
