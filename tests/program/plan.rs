//! `make-disk-image plan`: what it says is what a build then does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::nix::{self, PROGRAM};
use crate::common::program::{Attributes, Job};
use crate::common::{command, next, oracles, scratch, stdout, tables};

/// Runs `plan` with `arguments` and `input`, and checks that it leaves nothing in TMPDIR.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let temporary = scratch();
    let mut child = Command::new(PROGRAM)
        .arg("plan")
        .args(arguments)
        .env("TMPDIR", temporary.path())
        .env_remove("RUST_LOG")
        .envs(path_of_nix())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It need not read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0);
    output
}

fn path_of_nix() -> Option<(&'static str, String)> {
    let found = stdout(command("bash").args(["-c", "dirname \"$(type -P nix)\""]));
    let path = std::env::var("PATH").unwrap();
    Some(("PATH", format!("{path}:{}", found.trim_end())))
}

fn plan(attributes: &Value) -> Value {
    let output = run(&["--json"], attributes.to_string().as_bytes());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "nothing but the plan");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(attributes: &str) -> String {
    let output = run(&[], attributes.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// The line about the root file system in a text: a plan or the log of a build.
fn root_line(text: &str) -> &str {
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("root file system: "));
    line.unwrap_or_else(|| panic!("no root file system in {text}"))
}

/// Checks that the plan in words has the same line as the log of the build.
fn assert_same_root(attributes: &Value, log: &str) {
    let output = run(&[], attributes.to_string().as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(root_line(&text), root_line(log));
}

#[test]
fn a_plan_is_exact() {
    let attributes = Attributes::of("copyChannel = false;");
    for table in tables() {
        let mut job: Job = attributes.job();
        job.table(table).image("additionalSpace", "8M");
        let planned = plan(&job.json);
        assert_eq!(planned["basis"], "files", "{planned}");
        assert_eq!(planned["guest"], Value::Null);
        let attributes = job.json.clone();
        let ended = job.run();
        let image = ended.image("nixos.img");
        let length = image.metadata().unwrap().len();
        assert_eq!(planned["disk"]["bytes"], length, "{table}");
        assert_same_root(&attributes, &ended.said());
        let partitions = planned["disk"]["partitions"].as_array().unwrap();
        let read = oracles::check(&image, "raw", table).map(|read| read.partitions);
        for (planned, found) in partitions.iter().zip(read.iter().flatten()) {
            let first = planned["firstSector"].as_u64().unwrap();
            assert_eq!(first * 512, found.start, "{table}");
            assert_eq!(planned["bytes"], found.size, "{table}");
        }
        assert_eq!(partitions.len(), read.map_or(1, |read| read.len()));
    }
}

/// Planning some of them reads every file, and writes to TMPDIR.
#[test]
fn a_plan_of_another_root_file_system_is_exact() {
    for kind in ["btrfs", "erofs", "xfs"] {
        let job = Attributes::of(&format!(r#"copyChannel = false; fsType = "{kind}";"#)).job();
        let planned = plan(&job.json);
        assert_eq!(planned["root"]["fsType"], kind);
        let attributes = job.json.clone();
        assert_same_root(&attributes, &job.run().said());
    }
}

#[test]
fn a_plan_names_the_guest_and_its_machines() {
    let attributes = Attributes::with_guest(
        r#"partitionTableType = "efi"; loader = "systemd-boot"; diskSize = 2048;
           contents = [ { source = fixture.pkgs.bash; target = "/b"; user = "a"; group = "b"; } ];"#,
    );
    let planned = plan(&attributes.job().json);
    assert_eq!(planned["basis"], "filesBeforeGuest");
    assert_eq!(planned["disk"]["bytes"], 2048_u64 << 20);
    assert_eq!(planned["disk"]["automatic"], false);
    let guest = &planned["guest"];
    assert_eq!(
        guest["reasons"],
        json!([
            "it installs the boot loader (installBootLoader)",
            "it looks up the owner a:b of an entry in contents"
        ])
    );
    let machines = guest["machines"].as_array().unwrap();
    let names: Vec<&str> = machines
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["kvm", "uml", "tcg"]);
    assert_eq!(machines[2]["obstacle"], Value::Null);
    let mut job = attributes.job();
    job.on("tcg");
    let only = plan(&job.json);
    assert_eq!(
        only["guest"]["machines"],
        json!([{ "name": "tcg", "obstacle": null }])
    );
    let mut foreign = attributes.job();
    foreign.json["guest"]["architecture"] = "aarch64".into();
    let machines = &plan(&foreign.json)["guest"]["machines"];
    assert_eq!(machines[0]["obstacle"], "this machine is x86_64");
}

/// The files of the closure are on another machine.
#[test]
fn an_estimate_is_close_and_says_so() {
    let mut job = Attributes::of("copyChannel = false;").job();
    job.image("additionalSpace", "0M");
    let exact = plan(&job.json);
    let elsewhere: Value =
        serde_json::from_str(&job.json.to_string().replace("/nix/store", "/nix/other")).unwrap();
    let estimated = plan(&elsewhere);
    assert_eq!(estimated["basis"], "narSizes");
    assert_eq!(estimated["missingPaths"], exact["closure"]["paths"]);
    let bytes = |plan: &Value| plan["disk"]["bytes"].as_f64().unwrap();
    let ratio = bytes(&estimated) / bytes(&exact);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    let text = run(&[], elsewhere.to_string().as_bytes());
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("sizes: estimated, without contents\n"),
        "{text}"
    );
}

/// The text of an image that `nix-instantiate` gives, and its derivation.
fn derivation() -> (Attributes, PathBuf) {
    let arguments = r#"installBootLoader = false; copyChannel = false; format = "vdi";"#;
    let expression = nix::with_fixture(&format!("fixture.makeDiskImage {{ {arguments} }}"));
    let path = stdout(nix::nix("nix-instantiate", true).args(["-E", &expression]));
    (
        Attributes::with_guest(arguments),
        PathBuf::from(path.trim_end()),
    )
}

#[test]
fn a_derivation_has_the_same_plan_as_its_attributes() {
    let (attributes, path) = derivation();
    let expected = plan(&attributes.job().json);
    // Nix 2.8 has the earlier name of the command.
    let own = stdout(nix::nix("nix", true).arg("show-derivation").arg(&path));
    let newer = stdout(
        next::program("usr/bin/nix")
            .args(["--extra-experimental-features", "nix-command"])
            .args(["derivation", "show"])
            .arg(&path),
    );
    for shown in [own, newer] {
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(plan(&shown), expected);
        assert_eq!(plan(&as_of_nix_2_33(&shown)), expected);
    }
}

/// The same derivations in the form that Nix 2.33 gives them.
fn as_of_nix_2_33(shown: &Value) -> Value {
    let base = |path: &str| {
        let name = Path::new(path).file_name().unwrap();
        name.to_str().unwrap().to_owned()
    };
    let derivations = shown.as_object().unwrap().iter().map(|(path, derivation)| {
        let mut derivation = derivation.clone();
        let text = derivation["env"].as_object_mut().unwrap().remove("__json");
        derivation["structuredAttrs"] =
            serde_json::from_str(text.unwrap().as_str().unwrap()).unwrap();
        let out = &mut derivation["outputs"]["out"]["path"];
        *out = base(out.as_str().unwrap()).into();
        (base(path), derivation)
    });
    let derivations: serde_json::Map<String, Value> = derivations.collect();
    json!({ "version": 4, "derivations": derivations })
}

#[test]
fn wrong_input_is_explained() {
    for (input, message) in [
        ("", "standard input is not valid JSON: EOF while parsing"),
        ("{}", "no image of make-disk-image is described"),
        (
            r#"{ "image": {}, "tools": {}, "closure": [] }"#,
            "problems in the attributes of the image:",
        ),
        (
            r#"{ "image": {}, "tools": {} }"#,
            "the derivation has no exportReferencesGraph.closure",
        ),
        (
            r#"{ "image": {}, "tools": {}, "exportReferencesGraph": { "closure": "/nix/store/00000000000000000000000000000000-no" } }"#,
            "the closure of the image is not on this machine: build or download the system first",
        ),
    ] {
        let said = error(input);
        assert!(said.contains(message), "{input}: {said}");
    }
    let output = run(&["/nonexistent"], b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("reading /nonexistent: No such file"),
        "{said}"
    );
}

#[test]
fn the_smallest_disk_size_is_sufficient_and_no_smaller_one_is() {
    let attributes = Attributes::of(r#"copyChannel = false; partitionTableType = "efi";"#);
    let mut job = attributes.job();
    let smallest = plan(&job.json)["disk"]["smallestDiskSize"].as_u64();
    let smallest = smallest.unwrap();
    let text = |job: &Job| {
        let output = run(&[], job.json.to_string().as_bytes());
        String::from_utf8(output.stdout).unwrap()
    };
    let first = text(&job).lines().nth(1).unwrap().to_owned();
    let size =
        format!(" MiB (diskSize = \"auto\"); the smallest sufficient diskSize is {smallest}");
    assert!(
        first.starts_with("disk: ") && first.ends_with(&size),
        "{first}"
    );
    job.image("diskSize", smallest);
    let said = text(&job);
    let line = format!(
        "disk: {smallest} MiB (diskSize = {smallest}); the smallest sufficient diskSize is {smallest}\n"
    );
    assert!(said.contains(&line) && !said.contains("warning:"), "{said}");
    job.image("diskSize", smallest - 1);
    let said = text(&job);
    let advice = format!("set diskSize to at least {smallest} ");
    assert!(
        said.contains("warning:") && said.contains(&advice),
        "{said}"
    );
}

#[test]
fn a_disk_that_is_too_small_is_an_error() {
    let mut job = Attributes::of("copyChannel = false;").job();
    job.image("diskSize", 100);
    let said = error(&job.json.to_string());
    assert!(said.contains("set diskSize to at least "), "{said}");
}
