//! The Nix store of an image, according to the Nix of Debian 12 and 13: it is complete, its closure
//! is registered, its system is alive, and its profiles are used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::nix::{self, Build};
use crate::common::{command, next, oracles, run, said, scratch, stdout};

/// A Nix program of one version, for the store below a directory.
type Nix = fn(&str, &Path) -> Command;

fn this_debian(program: &str, root: &Path) -> Command {
    let mut command = nix::nix(program, true);
    command.arg("--store").arg(root);
    command
}

fn next_debian(program: &str, root: &Path) -> Command {
    let mut command = next::program(&format!("usr/bin/{program}"));
    for (name, value) in nix::nix(program, true).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.arg("--store").arg(root);
    command
}

const NIXES: [(&str, Nix); 2] = [(" 2.8.", this_debian), (" 2.26.", next_debian)];

/// Copies a root file system that begins at a byte of a raw image to a new directory.
fn copy_out(raw: &Path, start: u64, root: &Path) {
    std::fs::create_dir(root).unwrap();
    let mut image = raw.as_os_str().to_owned();
    image.push(format!("?offset={start}"));
    let mut debugfs = command("debugfs");
    debugfs
        .args(["-R", &format!("rdump / {}", root.display())])
        .arg(image);
    let output = run(&mut debugfs);
    // Its status is always 0. On success it prints only its version.
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaints.lines().count(), 1, "{debugfs:?}\n{complaints}");
}

fn paths(command: &mut Command) -> BTreeSet<String> {
    stdout(command).lines().map(str::to_owned).collect()
}

/// The closure of paths, as this machine's Nix knows it.
fn closure(paths: &[&str]) -> BTreeSet<String> {
    let arguments = [&["-qR"], paths].concat();
    nix::store(&arguments).into_iter().collect()
}

struct Expected {
    system: String,
    channel: Option<String>,
    /// Everything that is registered.
    registered: BTreeSet<String>,
}

fn judge(nix: Nix, version: &str, root: &Path, expected: &Expected) {
    let said_version = stdout(nix("nix-store", root).arg("--version"));
    assert!(said_version.contains(version), "{said_version}");

    let mut verify = nix("nix-store", root);
    verify.args(["--verify", "--check-contents"]);
    let output = run(&mut verify);
    let text = said(&output);
    assert!(
        output.status.success() && !text.contains("error") && !text.contains("modified"),
        "{verify:?}\n{text}"
    );

    let known = paths(nix("nix-store", root).args(["-qR", &expected.system]));
    assert_eq!(known, closure(&[&expected.system]));
    let all = paths(nix("nix", root).args(["path-info", "--all"]));
    assert_eq!(all, expected.registered);

    // Nix also treats paths as alive that running programs of this machine use.
    let profiles = root.join("nix/var/nix/profiles");
    let mut roots = BTreeSet::from([format!(
        "{}/system-1-link -> {}",
        profiles.display(),
        expected.system
    )]);
    if let Some(channel) = &expected.channel {
        roots.insert(format!(
            "{}/per-user/root/channels-1-link -> {channel}",
            profiles.display()
        ));
    }
    let found: BTreeSet<_> = paths(nix("nix-store", root).args(["--gc", "--print-roots"]))
        .into_iter()
        .filter(|line| line.starts_with(root.to_str().unwrap()))
        .collect();
    assert_eq!(found, roots);

    let alive = paths(nix("nix-store", root).args(["--gc", "--print-live"]));
    let needed: Vec<_> = [Some(&expected.system), expected.channel.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let missing: Vec<_> = closure(&needed).difference(&alive).cloned().collect();
    assert!(missing.is_empty(), "would be collected: {missing:?}");

    let channels = expected.channel.as_ref().map(|_| "per-user/root/channels");
    for profile in [Some("system"), channels].into_iter().flatten() {
        let mut list = nix("nix-env", root);
        list.arg("--profile")
            .arg(profiles.join(profile))
            .arg("--list-generations");
        let generations = stdout(&mut list);
        assert!(
            generations.lines().count() == 1 && generations.contains("(current)"),
            "{list:?}\n{generations}"
        );
    }
}

fn built_image(arguments: &str, more: &[String], channel: Option<String>) {
    let built = Build::image(&format!(
        r#"partitionTableType = "efi"; installBootLoader = false; {arguments}"#
    ))
    .run();
    let raw = built.out.join("nixos.img");
    let table = oracles::read_table(&raw);
    let start = table.partitions.last().unwrap().start;

    let system = nix::evaluate("toString fixture.config.system.build.toplevel");
    let top: Vec<_> = [Some(&system), channel.as_ref()]
        .into_iter()
        .flatten()
        .chain(more)
        .map(String::as_str)
        .collect();
    let expected = Expected {
        registered: closure(&top),
        system,
        channel,
    };
    for (version, nix) in NIXES {
        let scratch = scratch();
        let root: PathBuf = scratch.path().join("root");
        copy_out(&raw, start, &root);
        judge(nix, version, &root, &expected);
    }
}

#[test]
fn both_nixes_accept_the_store_with_a_channel() {
    let graph = "(fixture.makeDiskImage { }).drvAttrs.exportReferencesGraph.closure";
    let roots = nix::evaluate(&format!("toString {graph}"));
    let (_, channel) = roots.split_once(' ').unwrap();
    built_image("", &[], Some(channel.to_owned()));
}

#[test]
fn both_nixes_accept_the_store_with_additional_paths_and_no_channel() {
    let more = ["dosfstools", "gptfdisk"];
    let paths = more.map(|name| nix::evaluate(&format!("toString fixture.pkgs.{name}")));
    let system = nix::evaluate("toString fixture.config.system.build.toplevel");
    let list = more.map(|name| format!("fixture.pkgs.{name}")).join(" ");
    built_image(
        &format!("copyChannel = false; additionalPaths = [ {list} ];"),
        &paths,
        None,
    );
    let of_system = closure(&[&system]);
    assert!(
        paths.iter().all(|path| !of_system.contains(path)),
        "{paths:?} are in the closure of the system anyway"
    );
}

#[test]
fn verify_finds_one_wrong_byte() {
    // The oracle itself: a damaged copy must not pass.
    let built = Build::image(r#"partitionTableType = "none"; installBootLoader = false;"#).run();
    let system = nix::evaluate("toString fixture.config.system.build.toplevel");
    for (_, nix) in NIXES {
        let scratch = scratch();
        let root = scratch.path().join("root");
        copy_out(&built.out.join("nixos.img"), 0, &root);
        let victim = root
            .join(system.trim_start_matches('/'))
            .join("nixos-version");
        std::fs::write(&victim, "26.12.fixture").unwrap();
        let output = run(nix("nix-store", &root).args(["--verify", "--check-contents"]));
        let text = said(&output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(&format!("{system}' was modified")), "{text}");
    }
}
