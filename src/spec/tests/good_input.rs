//! Valid attributes and the results.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{
    Architecture, DiskSize, Format, Guest, Ids, MachineKind, Names, Owner, Spec, System,
};
use crate::codec::Codec;
use crate::scheme::{PartitionGuid, PartitionTable};

use super::{BASH, CHANNEL, TOPLEVEL, attributes, changed, parse_value};

fn spec(changes: &[(&str, Value)]) -> Spec {
    parse_value(&changed(changes)).unwrap_or_else(|problems| panic!("{changes:?}: {problems}"))
}

#[test]
fn reads_the_defaults() {
    let spec = parse_value(&attributes()).unwrap();
    let out = "/nix/store/44444444444444444444444444444444-nixos-disk-image";
    assert_eq!(spec.out, Path::new(out));
    assert_eq!(spec.output.file_name(), "nixos.img");
    assert_eq!(spec.output.efi_variables, None);
    assert_eq!(spec.table, PartitionTable::Legacy);
    assert_eq!(spec.boot_end, 0);
    let additional_space = 512 << 20;
    assert_eq!(spec.size, DiskSize::Auto { additional_space });
    assert_eq!(spec.root.label, "nixos");
    let System::Installed(installation) = &spec.system else {
        panic!("{:?}", spec.system);
    };
    assert_eq!(installation.toplevel.as_str(), TOPLEVEL);
    assert_eq!(installation.channel.as_ref().unwrap().as_str(), CHANNEL);
    assert_eq!(installation.config_file, None);
    assert!(installation.contents.is_empty());
    let environment: Vec<(&str, &str)> = spec
        .tools
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        environment,
        [
            ("GREETING", "a b"),
            ("NO", ""),
            ("NUMBER", "3"),
            ("YES", "1")
        ]
    );
}

#[test]
fn the_closure_is_sorted_and_complete() {
    let spec = parse_value(&attributes()).unwrap();
    let paths: Vec<&str> = spec.closure.iter().map(|info| info.path.as_str()).collect();
    assert_eq!(paths, [TOPLEVEL, BASH, CHANNEL]);
    let toplevel = &spec.closure[0];
    assert_eq!(toplevel.nar_size, 1000);
    assert_eq!(toplevel.nar_hash[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    let references: Vec<&str> = toplevel
        .references
        .iter()
        .map(|path| path.as_str())
        .collect();
    assert_eq!(references, [TOPLEVEL, BASH]);
    let address = spec.closure[1].content_address.as_deref().unwrap();
    assert!(address.starts_with("fixed:r:sha256:"), "{address}");
}

#[test]
fn a_deterministic_identity_equals_that_of_nixpkgs() {
    let identity = spec(&[("/image/partitionTableType", json!("efi"))]).identity;
    assert!(identity.deterministic);
    let uuids = [
        identity.disk,
        identity.root_partition,
        identity.other_partitions[0],
        identity.other_partitions[1],
        identity.root_file_system,
    ];
    assert_eq!(
        uuids.map(|uuid| uuid.hyphenated().to_string().to_uppercase()),
        [
            "97FD5997-F390-0B4A-A3F8-D106C1723AEA",
            "F222513B-DED1-49FA-B591-20CE86A2FE7F",
            "1C06F03B-704E-4657-B9CD-681A087A2FDC",
            "970C694F-AFD0-4B99-B750-CDB7A329AB6F",
            "F222513B-DED1-49FA-B591-20CE86A2FE7F",
        ]
    );
    assert_eq!(identity.fat_volume(PartitionGuid::First), 0x1c06_f03b);
    assert_eq!(identity.fat_volume(PartitionGuid::Second), 0x970c_694f);
    assert_eq!(identity.time, 1);
}

#[test]
fn identities_differ_without_determinism() {
    let changes = [
        ("/image/deterministic", json!(false)),
        ("/image/rootFSUID", Value::Null),
        ("/image/rootGPUID", Value::Null),
    ];
    let [a, b] = [spec(&changes).identity, spec(&changes).identity];
    let uuids = |identity: &super::super::Identity| {
        let [first, second] = identity.other_partitions;
        let others = [identity.disk, identity.root_partition, first, second];
        [&others[..], &[identity.root_file_system]].concat()
    };
    for uuid in uuids(&a) {
        assert_eq!(uuid.get_version_num(), 4);
        assert!(!uuids(&b).contains(&uuid), "{uuid} twice");
    }
    let first = PartitionGuid::First;
    assert_ne!(a.fat_volume(first), b.fat_volume(first));
    // 2026-01-01: the clock is read.
    assert!(a.time > 1_767_225_600, "{}", a.time);
}

#[test]
fn the_case_of_uuids_does_not_matter() {
    let lower = json!("f222513b-ded1-49fa-b591-20ce86a2fe7f");
    let changes = [
        ("/image/rootFSUID", lower.clone()),
        ("/image/rootGPUID", lower),
        ("/image/partitionTableType", json!("efi")),
    ];
    let [a, b] = [&changes[..], &changes[2..]].map(|changes| spec(changes).identity);
    assert_eq!(a.root_file_system, b.root_file_system);
    assert_eq!(a.root_partition, b.root_partition);
}

#[test]
fn rounds_sizes_like_nixpkgs() {
    for (given, mebibytes) in [(json!(2048), 2048), (json!("2048"), 2048), (json!(1), 1)] {
        let size = spec(&[("/image/diskSize", given)]).size;
        assert_eq!(size, DiskSize::Fixed { mebibytes });
    }
    for (table, boot_size, boot_end) in [
        ("efi", "8M", 9),
        ("hybrid", "256M", 257),
        ("efixbootldr", "100M", 101),
        ("legacy+boot", "1M", 2),
        ("legacy+gpt", "0", 0),
        ("none", "1.5G", 0),
    ] {
        let spec = spec(&[
            ("/image/partitionTableType", json!(table)),
            ("/image/bootSize", json!(boot_size)),
        ]);
        assert_eq!(spec.table.name(), table);
        assert_eq!(spec.boot_end, boot_end << 20, "{table} {boot_size}");
    }
}

#[test]
fn ignores_additional_space_with_a_fixed_size() {
    spec(&[
        ("/image/diskSize", json!(2048)),
        ("/image/additionalSpace", json!("much")),
    ]);
}

#[test]
fn formats_have_the_file_names_of_nixpkgs() {
    for (given, format, file) in [
        ("raw", Format::Raw, "a.b.img"),
        ("qcow2", Format::Qcow2, "a.b.qcow2"),
        ("qcow2-compressed", Format::Qcow2Compressed, "a.b.qcow2"),
        ("vdi", Format::Vdi, "a.b.vdi"),
        ("vpc", Format::Vpc, "a.b.vhd"),
        ("vpc-fixed", Format::VpcFixed, "a.b.vhd"),
        ("vmdk", Format::Vmdk, "a.b.vmdk"),
        (
            "vmdk-stream-optimized",
            Format::VmdkStreamOptimized,
            "a.b.vmdk",
        ),
        ("vhdx", Format::Vhdx, "a.b.vhdx"),
        ("qed", Format::Other("qed".to_owned()), "a.b.qed"),
    ] {
        let changes = [
            ("/image/format", json!(given)),
            ("/image/compression", json!("zlib")),
            ("/image/baseName", json!("a.b")),
        ];
        let output = spec(&changes).output;
        assert_eq!(output.format, format);
        assert_eq!(output.file_name(), file);
    }
}

#[test]
fn levels_of_compression_have_defaults() {
    let deflate = |level| Codec::Deflate {
        level,
        window_bits: 12,
    };
    let zstd = |level, checksum| Codec::Zstd { level, checksum };
    for (changes, default, level, with_level) in [
        (
            &[("format", "qcow2-compressed"), ("compression", "zlib")][..],
            deflate(6),
            json!(9),
            deflate(9),
        ),
        (
            &[("format", "qcow2-compressed"), ("compression", "zstd")],
            zstd(3, false),
            json!("19"),
            zstd(19, false),
        ),
        (
            &[("format", "vmdk-stream-optimized")],
            Codec::Zlib { level: 6 },
            json!(1),
            Codec::Zlib { level: 1 },
        ),
        (
            &[("compressImage", "zstd")],
            zstd(3, true),
            json!(1),
            zstd(1, true),
        ),
        (
            &[("compressImage", "gzip")],
            Codec::Gzip { level: 6 },
            json!(9),
            Codec::Gzip { level: 9 },
        ),
        (
            &[("compressImage", "xz")],
            Codec::Xz { level: 6 },
            json!(0),
            Codec::Xz { level: 0 },
        ),
    ] {
        let mut attributes = attributes();
        for (name, value) in changes {
            attributes["image"][name] = json!(value);
        }
        for (given, codec) in [(Value::Null, default), (level, with_level)] {
            attributes["image"]["compressionLevel"] = given;
            let output = parse_value(&attributes).unwrap().output;
            assert_eq!(output.codec, Some(codec), "{changes:?}");
        }
    }
}

/// As with other arguments, what is not used may have any value.
#[test]
fn levels_and_clusters_are_read_only_if_something_is_compressed() {
    for format in ["raw", "qcow2", "vpc-fixed", "qed"] {
        let output = spec(&[
            ("/image/format", json!(format)),
            ("/image/compression", json!("none")),
            ("/image/compressionLevel", json!("none")),
        ])
        .output;
        assert_eq!(output.codec, None);
    }
}

#[test]
fn compressed_raw_images_have_another_extension() {
    for (algorithm, file) in [
        ("zstd", "nixos.img.zst"),
        ("xz", "nixos.img.xz"),
        ("gzip", "nixos.img.gz"),
    ] {
        let output = spec(&[("/image/compressImage", json!(algorithm))]).output;
        assert_eq!(output.file_name(), file);
    }
}

#[test]
fn only_a_format_that_is_not_our_own_needs_qemu_img() {
    for format in Format::OWN {
        let changes = [
            ("/image/format", json!(format.name())),
            ("/image/compression", json!("zstd")),
            ("/tools/qemuImg", Value::Null),
        ];
        assert_eq!(spec(&changes).tools.qemu_img, None);
    }
    let spec = spec(&[
        ("/image/format", json!("qed")),
        ("/tools/qemuImg", json!("/q")),
    ]);
    assert_eq!(spec.tools.qemu_img.as_deref(), Some(Path::new("/q")));
}

#[test]
fn reads_contents_as_grafts() {
    let contents = json!([
        { "source": "/nix/store/x y/*", "target": "/etc/./a b//c/", "mode": "D755,F644" },
        { "source": "/s", "target": "etc", "user": "1000", "group": 100, "mode": "" },
        { "source": "/s*", "target": "/", "user": "root", "group": "root", "mode": null },
        { "source": "/t", "target": "é", "user": null, "group": null },
        { "source": "/*", "target": "etc" },
    ]);
    let System::Installed(installation) = spec(&[("/image/contents", contents)]).system else {
        panic!("not installed");
    };
    let [a, b, c, d, e] = &installation.contents[..] else {
        panic!("{:?}", installation.contents);
    };
    assert_eq!(a.source, "/nix/store/x y/*");
    assert_eq!(a.target.names, ["etc", "a b", "c"]);
    assert_eq!(a.target.path(), Path::new("/etc/a b/c/"));
    assert_eq!(a.mode.as_ref().unwrap().apply(0o700, false), 0o644);
    assert_eq!(a.owner, None);
    assert_eq!(
        b.owner,
        Some(Owner::Ids(Ids {
            uid: 1000,
            gid: 100
        }))
    );
    assert_eq!(b.mode, None);
    assert_eq!(c.target.path(), Path::new("/"));
    assert_eq!(c.owner, Some(Owner::Ids(Ids { uid: 0, gid: 0 })));
    assert_eq!((d.target.path(), &d.owner), ("/é".into(), &None));
    assert_eq!(e.target, b.target);
    assert!(a.target.below && !b.target.below);
}

/// Four times the entries should take about four times as long. It would be sixteen times if each
/// entry were compared with all earlier ones.
#[test]
fn time_is_proportional_to_the_number_of_contents() {
    let time = |count: usize| {
        let entry = |number| json!({ "source": "/a", "target": format!("/srv/{number}") });
        let contents: Vec<Value> = (0..count).map(entry).collect();
        let attributes = changed(&[("/image/contents", Value::from(contents))]);
        let times = (0..3).map(|_| {
            let start = processor_time();
            let System::Installed(installation) = parse_value(&attributes).unwrap().system else {
                panic!("not installed");
            };
            assert_eq!(installation.contents.len(), count);
            processor_time() - start
        });
        times.min().unwrap()
    };
    let (few, many) = (time(2_000), time(8_000));
    assert!(many < few * 8, "{few:?} for 2,000, {many:?} for 8,000");
}

/// Returns the processor time of this thread, which other programs and tests do not affect.
fn processor_time() -> std::time::Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

const GUEST: &str = r#"{
    "architecture": "x86_64", "kernel": "/k/bzImage", "modules": "/m", "qemu": "/q/bin/qemu",
    "firmware": "/f/OVMF_CODE.fd", "systemManagementMode": false,
    "grubDevices": ["/dev/sda", "nodev"], "limineDevice": "/dev/sdb", "timeout": 60
}"#;

#[test]
fn a_boot_loader_or_a_named_owner_needs_a_guest() {
    let guest: Value = serde_json::from_str(GUEST).unwrap();
    let named = json!([{ "source": "/s", "target": "/t", "user": "alice", "group": 7 }]);
    let idle = spec(&[("/guest", guest.clone())]);
    assert!(idle.guest.is_none());

    let spec = spec(&[
        ("/guest", guest),
        ("/image/installBootLoader", json!(true)),
        ("/image/contents", named),
        ("/memSize", json!(2048)),
    ]);
    let Guest { tasks, machine } = spec.guest.unwrap();
    assert_eq!(machine.architecture, Architecture::X86_64);
    assert_eq!(machine.qemu.kernel, Path::new("/k/bzImage"));
    // EFI variables are not requested.
    assert!(machine.qemu.firmware.is_none());
    assert_eq!((machine.memory, machine.timeout.as_secs()), (2048, 60));
    assert_eq!(machine.only, None);
    assert!(machine.uml.is_none());
    let devices = tasks.boot_loader.unwrap().devices;
    assert_eq!(devices, ["/dev/sda", "nodev", "/dev/sdb"]);
    let names = Names {
        user: "alice".into(),
        group: "7".into(),
    };
    assert_eq!(tasks.owners, std::slice::from_ref(&names));
    let System::Installed(installation) = spec.system else {
        panic!("not installed");
    };
    assert_eq!(installation.contents[0].owner, Some(Owner::Names(names)));
}

#[test]
fn a_guest_that_keeps_efi_variables_has_firmware() {
    let mut guest: Value = serde_json::from_str(GUEST).unwrap();
    guest["systemManagementMode"] = json!(true);
    let spec = spec(&[
        ("/guest", guest),
        ("/image/installBootLoader", json!(true)),
        ("/image/partitionTableType", json!("efi")),
        ("/image/touchEFIVars", json!(true)),
        ("/image/efiVariables", json!("/f/OVMF_VARS.fd")),
        ("/memSize", json!(2048)),
    ]);
    let firmware = spec.guest.unwrap().machine.qemu.firmware.unwrap();
    assert_eq!(firmware.code, Path::new("/f/OVMF_CODE.fd"));
    assert_eq!(firmware.variables, Path::new("/f/OVMF_VARS.fd"));
    assert!(firmware.system_management_mode);
}

/// Only some guests can run on User-Mode Linux. The others may have its kernel in their attributes.
#[test]
fn user_mode_linux_runs_guests_of_x86_64_without_efi_variables() {
    for (touch, architecture, expected) in [
        (false, "x86_64", Some(Path::new("/u/bin/linux"))),
        (true, "x86_64", None),
        (false, "aarch64", None),
    ] {
        for only in MachineKind::ALL.map(Some).into_iter().chain([None]) {
            if only == Some(MachineKind::Uml) && expected.is_none() {
                continue;
            }
            let mut guest: Value = serde_json::from_str(GUEST).unwrap();
            guest["architecture"] = json!(architecture);
            guest["machine"] = json!(only.map(MachineKind::name));
            guest["uml"] = json!("/u/bin/linux");
            let spec = spec(&[
                ("/guest", guest),
                ("/image/installBootLoader", json!(true)),
                ("/image/partitionTableType", json!("efi")),
                ("/image/touchEFIVars", json!(touch)),
                ("/image/efiVariables", json!("/f/OVMF_VARS.fd")),
                ("/memSize", json!(2048)),
            ]);
            let machine = spec.guest.unwrap().machine;
            let kernel = machine.uml.map(|uml| uml.kernel);
            assert_eq!(kernel.as_deref(), expected, "{touch} {architecture}");
            assert_eq!(machine.only, only);
        }
    }
}

#[test]
fn a_store_image_needs_no_system() {
    let spec = spec(&[
        ("/image/onlyNixStore", json!(true)),
        ("/image/toplevel", Value::Null),
        ("/image/channel", Value::Null),
        ("/tools/nixosInstall", Value::Null),
    ]);
    assert!(matches!(spec.system, System::StoreOnly));
    assert_eq!(spec.tools.nixos_install, None);
    assert_eq!(spec.closure.len(), 3);
}

#[test]
fn accepts_efi_variables_with_the_tables_that_support_them() {
    for table in ["hybrid", "efi", "efixbootldr", "legacy+gpt"] {
        let spec = spec(&[
            ("/image/partitionTableType", json!(table)),
            ("/image/touchEFIVars", json!(true)),
            ("/image/efiVariables", json!("/nix/store/v/OVMF_VARS.fd")),
        ]);
        let variables = spec.output.efi_variables.unwrap();
        assert_eq!(variables, Path::new("/nix/store/v/OVMF_VARS.fd"));
    }
}

#[test]
fn accepts_another_store_directory() {
    let text = attributes().to_string().replace("/nix/store", "/gnu/s");
    let spec = super::parse(text.as_bytes()).unwrap();
    assert_eq!(
        spec.closure[0].path.as_str(),
        TOPLEVEL.replace("/nix/store", "/gnu/s")
    );
}
