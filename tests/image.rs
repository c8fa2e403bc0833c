//! Whole images: our function in a real, sandboxed `nix-build`, every judge, and a boot.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::Duration;

use common::nix::Build;
use common::oracles;
use common::qemu::{self, Boot};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn efi_qcow2_image_is_sound_and_boots_to_its_root() {
    let arguments = r#"partitionTableType = "efi"; format = "qcow2"; installBootLoader = false;"#;
    let built = Build::image(arguments).run();
    let image = built.out.join("nixos.qcow2");

    let table = oracles::check(&image, "qcow2", "efi").unwrap();
    let names: Vec<_> = table.partitions.iter().map(|p| p.name.as_deref()).collect();
    assert_eq!(names, [Some("ESP"), Some("primary")]);

    let system = Build::expression("fixture.config.system.build.toplevel").run();
    let booted = qemu::boot(
        &image,
        "qcow2",
        &Boot::Kernel(&system.out, "fixture.verify"),
        LIMIT,
    );
    assert_eq!(booted.fact("label"), "nixos");
    assert_eq!(booted.fact("uuid"), "f222513b-ded1-49fa-b591-20ce86a2fe7f");
    assert_eq!(booted.fact("system"), system.out.to_str().unwrap());
    assert_eq!(booted.fact("verify"), "ok", "{}", booted.console);
    assert_eq!(
        std::fs::read_to_string(built.out.join("nix-support/hydra-build-products")).unwrap(),
        format!("file qcow2-image {}\n", image.display())
    );

    // The same derivation once more, without the sandbox: other user, other directory, same bytes.
    Build::image(arguments).sandbox(false).again().run();
}
