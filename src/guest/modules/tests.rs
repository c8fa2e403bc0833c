//! Tests of the lists, and of damaged or oversized modules.

use std::process::Command;

use super::*;

const DEPENDENCIES: &str = "k/virtio_pci.ko.xz: k/legacy.ko k/virtio_ring.ko k/virtio.ko\n\
                            k/virtio.ko:\nk/virtio_ring.ko: k/virtio.ko\nk/legacy.ko:\n\
                            k/nls_iso8859-1.ko:\nk/ext4.ko: k/jbd2.ko\nk/jbd2.ko:\n\
                            k/crc32c-intel.ko:\nk/crc32c_generic.ko:\nk/loop.ko:\n";
const ALIASES: &str = "# Aliases\nalias fs-ext4 ext4\nalias crypto-crc32c crc32c_intel\n\
                       alias crypto-crc32c crc32c_generic\nalias block-major-7-* loop\n\
                       alias fs-none none\nalias of:N*T*Ca, b c\n";
const SOFT: &str =
    "# Soft dependencies\nsoftdep ext4 pre: crypto-crc32c none post: loop\nweakdep a b\n";
const NODES: &str = "# Device nodes\nloop loop-control c10:237\ndm-mod mapper/control b1:2\n";

fn parsed() -> Modules {
    Modules::parse(DEPENDENCIES, ALIASES, SOFT, NODES).unwrap()
}

fn order(modules: &Modules, requests: &[&str]) -> Vec<String> {
    let order = modules.order(requests).into_iter();
    order
        .map(|index| modules.modules[index].name.clone())
        .collect()
}

#[test]
fn dependencies_come_before_a_module() {
    let modules = parsed();
    for (requests, expected) in [
        (
            &["virtio_pci"][..],
            &["virtio", "virtio_ring", "legacy", "virtio_pci"][..],
        ),
        (
            &["virtio-pci", "virtio"],
            &["virtio", "virtio_ring", "legacy", "virtio_pci"],
        ),
        (&["nls_iso8859-1"], &["nls_iso8859_1"]),
        (
            &["fs-ext4"],
            &["crc32c_intel", "crc32c_generic", "jbd2", "ext4", "loop"],
        ),
        (&["block-major-7-3"], &["loop"]),
        (&["crypto-crc32c"], &["crc32c_intel", "crc32c_generic"]),
        (&["fs-none", "none", "", "block-major-8-3"], &[]),
    ] {
        assert_eq!(order(&modules, requests), expected, "{requests:?}");
    }
    let node = |path: &str, character, major, minor| Node {
        path: path.into(),
        character,
        major,
        minor,
    };
    assert_eq!(
        modules.nodes,
        [
            node("loop-control", true, 10, 237),
            node("mapper/control", false, 1, 2)
        ]
    );
}

#[test]
fn cycles_of_dependencies_terminate() {
    let soft = "softdep a pre: b a post: c\nsoftdep b pre: a c\n";
    let modules = Modules::parse("a.ko: b.ko a.ko\nb.ko: a.ko\nc.ko:\n", "", soft, "").unwrap();
    let mut all = order(&modules, &["a", "b", "c"]);
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
}

#[test]
fn long_lists_are_read_quickly() {
    let begin = std::time::Instant::now();
    let lines = |make: &dyn Fn(usize) -> String| (0..20_000).map(make).collect::<String>();
    let dependencies = lines(&|n| format!("m{n}.ko: m{}.ko\n", n + 1));
    let aliases = lines(&|n| format!("alias x m{n}\n"));
    let soft = lines(&|n| format!("softdep m{n} pre: x m{} post: x\n", n + 1));
    let modules = Modules::parse(&dependencies, &aliases, &soft, "").unwrap();
    assert_eq!(modules.order(&["m0"]).len(), 20_001);
    assert_eq!(modules.order(&["x"]).len(), 20_001);
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn rejects_malformed_lists() {
    for (dependencies, aliases, nodes, expected) in [
        (
            "/etc/a.ko:\n",
            "",
            "",
            "modules.dep: /etc/a.ko is not a path below the directory of the list",
        ),
        (
            "a.ko: ../a.ko\n",
            "",
            "",
            "modules.dep: ../a.ko is not a path below the directory of the list",
        ),
        (
            "a.txt:\n",
            "",
            "",
            "modules.dep: a.txt is not a kernel module: expected a name that ends with one of .ko, .ko.xz, .ko.zst, .ko.gz",
        ),
        (
            "a\u{1b}.ko\n",
            "",
            "",
            "modules.dep: the line a\\u{1b}.ko has no colon",
        ),
        (
            "",
            "alias x\n",
            "",
            "modules.alias: the line alias x is not an alias",
        ),
        (
            "",
            "",
            "a b c1\n",
            "modules.devname: the line a b c1 is not a device node",
        ),
        (
            "",
            "",
            "a ../b c1:1\n",
            "modules.devname: the line a ../b c1:1 is not a device node",
        ),
        (
            "",
            "",
            "a b c1:4294967296\n",
            "modules.devname: the line a b c1:4294967296 is not a device node",
        ),
        (
            "",
            "",
            "a b \u{e9}1:1\n",
            "modules.devname: the line a b \u{e9}1:1 is not a device node",
        ),
    ] {
        let error = Modules::parse(dependencies, aliases, "", nodes).unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
    }
}

#[test]
fn a_closure_has_at_most_one_kernel() {
    let closure = tempfile::tempdir().unwrap();
    let error = Modules::of(&closure.path().join("none")).unwrap_err();
    assert!(
        format!("{error:#}").ends_with("lib/modules: No such file or directory (os error 2)"),
        "{error:#}"
    );
    assert_eq!(Modules::of(closure.path()).unwrap().0, Modules::default());
    let modules = closure.path().join("lib/modules");
    fs::create_dir_all(&modules).unwrap();
    let message = || format!("{:#}", Modules::of(closure.path()).unwrap_err());
    assert!(
        message().ends_with("lib/modules does not contain the modules of exactly one kernel"),
        "{}",
        message()
    );
    fs::create_dir(modules.join("6.1")).unwrap();
    assert!(
        message().ends_with("lib/modules/6.1 has no modules.dep: depmod was not run there"),
        "{}",
        message()
    );
    fs::write(modules.join("6.1/modules.dep"), vec![b'\n'; 17 << 20]).unwrap();
    assert!(
        message()
            .ends_with("modules.dep is longer than 16 MiB, too long for a list of kernel modules"),
        "{}",
        message()
    );
    fs::create_dir(modules.join("6.2")).unwrap();
    assert!(
        message().ends_with("lib/modules does not contain the modules of exactly one kernel"),
        "{}",
        message()
    );
}

/// Compresses `file` with `program` and keeps it, as Linux's scripts/Makefile.modinst does.
fn compress(program: &str, file: &Path) {
    let options: &[&str] = match program {
        "xz" => &["--check=crc32", "--lzma2=dict=1MiB"],
        _ => &["-q"],
    };
    let mut command = Command::new(program);
    command.arg("-k").args(options).arg(file);
    assert!(command.status().unwrap().success(), "{command:?}");
}

const COMPRESSORS: [(&str, &str); 3] =
    [("xz", "m.ko.xz"), ("zstd", "m.ko.zst"), ("gzip", "m.ko.gz")];

#[test]
fn modules_are_decompressed() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("m.ko");
    let bytes: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&plain, &bytes).unwrap();
    assert!(load(&plain).unwrap() == bytes);
    for (program, name) in COMPRESSORS {
        compress(program, &plain);
        let path = directory.path().join(name);
        assert!(load(&path).unwrap() == bytes, "{name}");
        let raw = fs::read(&path).unwrap();
        assert!(read(&path).unwrap() == raw, "{name}");
        fs::write(&path, &raw[..raw.len() / 2]).unwrap();
        assert!(load(&path).is_err(), "{name}");
    }
}

#[test]
fn rejects_decompression_bombs() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("m.ko");
    File::create(&plain).unwrap().set_len(2 << 20).unwrap();
    for (program, name) in COMPRESSORS.into_iter().chain([("", "m.ko")]) {
        if !program.is_empty() {
            compress(program, &plain);
        }
        let path = directory.path().join(name);
        let end = name.rsplit('.').next().unwrap();
        let begin = std::time::Instant::now();
        let error = decompress::bytes(&path, end, 1 << 20)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(&format!(
                "/{name} is larger than 1 MiB: strip the debugging information of the kernel's \
                 modules (INSTALL_MOD_STRIP=1)"
            )),
            "{error}"
        );
        assert!(
            begin.elapsed().as_secs() < 30,
            "{name}: {:?}",
            begin.elapsed()
        );
    }
    let fifo = directory.path().join("f.ko");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = load(&fifo).unwrap_err().to_string();
    assert!(error.ends_with("/f.ko is not a regular file"), "{error}");
}
