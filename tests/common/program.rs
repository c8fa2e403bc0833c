//! Runs the program directly, as Nix runs a builder, but in our own build directory and with a
//! `.attrs.json` that a test has changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::nix::{Build, Built, PROGRAM};
use super::{command, run, stdout};

/// The attributes of an image, as Nix writes them for a builder. The store paths in them are kept
/// while this lives.
pub struct Attributes {
    json: Value,
    _built: Built,
}

impl Attributes {
    /// The attributes that our function gives with the fixture and these arguments (see
    /// [`Build::image`]), without a guest. A build that does nothing else stores them.
    pub fn of(arguments: &str) -> Self {
        Self::with_guest(&format!("installBootLoader = false; {arguments}"))
    }

    /// As [`Attributes::of`], with a guest.
    pub fn with_guest(arguments: &str) -> Self {
        Self::from("fixture", arguments)
    }

    /// As [`Attributes::with_guest`], with a system whose boot loader installer is `script`.
    pub fn with_installer(script: &str) -> Self {
        Self::with_guest(&format!(
            r#"loader = "none"; copyChannel = false; extraInstallCommands = ''{script}'';"#
        ))
    }

    /// As [`Attributes::with_guest`], with a system for aarch64.
    pub fn for_aarch64(arguments: &str) -> Self {
        Self::from("fixture.aarch64", arguments)
    }

    fn from(fixture: &str, arguments: &str) -> Self {
        let built = Build::expression(&format!(
            r#"({fixture}.makeDiskImage {{ {arguments} }}).overrideAttrs (_: {{
                realBuilder = "${{fixture.pkgs.bash}}/bin/bash";
                args = [ "-c" ''. ./.attrs.sh; printf %s "$(<.attrs.json)" >"''${{outputs[out]}}"'' ];
            }})"#
        ))
        .run();
        let json = fs::read(&built.out).expect("reading the attributes");
        Self {
            json: serde_json::from_slice(&json).expect("Nix writes JSON"),
            _built: built,
        }
    }

    /// A run of the program with these attributes, in its own build directory.
    pub fn job(&self) -> Job {
        Job::new(self.json.clone())
    }

    /// The store paths of the closure.
    pub fn closure(&self) -> Vec<PathBuf> {
        let paths = self.json["closure"].as_array().expect("closure is a list");
        let path = |info: &Value| PathBuf::from(info["path"].as_str().expect("path is a string"));
        paths.iter().map(path).collect()
    }
}

/// The machines for a guest that work on every builder of this architecture.
pub const MACHINES: [&str; 2] = ["uml", "tcg"];

/// A run of the program that has not started.
pub struct Job {
    /// The contents of `.attrs.json`, with its own output path.
    pub json: Value,
    /// `$out`.
    pub out: PathBuf,
    /// The program's environment besides `PATH`, `NIX_BUILD_TOP` and `TMPDIR`.
    pub environment: BTreeMap<&'static str, OsString>,
    /// A command line that precedes the program's name: arguments of `env`.
    pub wrapper: Vec<String>,
    /// The program's arguments after `build`.
    pub arguments: Vec<OsString>,
    /// The program; by default, the one for this machine's architecture.
    pub program: PathBuf,
    directory: tempfile::TempDir,
}

/// A finished run. Dropping it deletes the output.
pub struct Ended {
    /// Status and output of the program.
    pub output: Output,
    /// `$out`, if it exists.
    pub out: PathBuf,
    directory: tempfile::TempDir,
}

/// A running program.
pub struct Running {
    /// The program itself, not a wrapper.
    pub child: Child,
    ended: Ended,
}

impl Job {
    fn new(mut json: Value) -> Self {
        // Not below `target`, which others may be unable to enter.
        let directory = tempfile::Builder::new()
            .prefix("image-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/var/tmp")
            .expect("making a build directory");
        let build = directory.path().join("build");
        fs::create_dir(&build).expect("making a build directory");
        let out = fresh_output();
        json["outputs"]["out"] = out.to_str().expect("store paths are ASCII").into();
        Self {
            json,
            out,
            environment: BTreeMap::new(),
            wrapper: Vec::new(),
            arguments: Vec::new(),
            program: PROGRAM.into(),
            directory,
        }
    }

    /// A directory of this test outside the build directory.
    pub fn place(&self) -> &Path {
        self.directory.path()
    }

    /// The build directory, which is also `$TMPDIR`.
    pub fn build(&self) -> PathBuf {
        self.directory.path().join("build")
    }

    /// Sets the only machine on which a guest may run.
    pub fn on(&mut self, machine: &str) -> &mut Job {
        self.json["guest"]["machine"] = machine.into();
        self
    }

    /// Sets another partition table and the attributes that it needs.
    pub fn table(&mut self, table: &str) -> &mut Job {
        self.image("partitionTableType", table)
            .image("bootSize", "256M")
            .image("rootGPUID", "F222513B-DED1-49FA-B591-20CE86A2FE7F")
    }

    /// Sets an attribute of `image`.
    pub fn image(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.json["image"][name] = value.into();
        self
    }

    /// Sets `postVM`.
    pub fn post_vm(&mut self, script: impl Into<Value>) -> &mut Self {
        self.json["postVM"] = script.into();
        self
    }

    /// Replaces a tool by a bash script, in which `$real` is the tool.
    pub fn tool(&mut self, name: &str, script: &str) -> &mut Self {
        let real = self.json["tools"][name]
            .as_str()
            .expect("a tool is a path")
            .to_owned();
        let path = self.place().join(name);
        fs::write(
            &path,
            format!("#!/bin/bash\nPATH=/usr/bin:/bin\nreal={real}\n{script}\n"),
        )
        .expect("writing a tool");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("writing a tool");
        self.json["tools"][name] = path.to_str().expect("the path is ASCII").into();
        self
    }

    /// Runs the program through a command that runs its last arguments.
    pub fn wrapped(&mut self, words: &[&str]) -> &mut Self {
        self.wrapper
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Runs it until it exits.
    pub fn run(self) -> Ended {
        self.start().wait()
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let build = self.build();
        let json = serde_json::to_vec(&self.json).expect("JSON is written");
        fs::write(build.join(".attrs.json"), json).expect("writing .attrs.json");
        // Every descendant inherits the lock, so the lock shows whether one is left. If the tests
        // run with ignored signals, the program would inherit that.
        let mut words = ["env", "--default-signal", "flock", "-F"]
            .map(OsString::from)
            .to_vec();
        words.push(self.lock().into());
        words.extend(self.wrapper.iter().map(OsString::from));
        words.extend([self.program.into(), "build".into()]);
        words.extend(self.arguments.iter().cloned());
        let (first, rest) = words.split_first().expect("there is a program");
        let mut command = Command::new(first);
        command
            .args(rest)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("NIX_BUILD_TOP", &build)
            .env("TMPDIR", &build)
            .envs(&self.environment)
            .current_dir(&build)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("starting the program");
        Running {
            child,
            ended: Ended {
                output: Output {
                    status: std::process::ExitStatus::default(),
                    stdout: Vec::new(),
                    stderr: Vec::new(),
                },
                out: self.out,
                directory: self.directory,
            },
        }
    }

    fn lock(&self) -> PathBuf {
        self.directory.path().join("lock")
    }
}

impl Running {
    /// `$out`.
    pub fn out(&self) -> &Path {
        &self.ended.out
    }

    /// The build directory.
    pub fn build(&self) -> PathBuf {
        self.ended.build()
    }

    /// Waits until `found` returns true, at most a minute.
    ///
    /// # Panics
    /// If that does not happen, or the program exits first.
    pub fn wait_for(&mut self, found: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !found(self) {
            if let Some(status) = self.child.try_wait().expect("waiting for the program") {
                let mut said = String::new();
                let stream = self.child.stderr.as_mut().expect("stderr is a pipe");
                let _ = std::io::Read::read_to_string(stream, &mut said);
                panic!("the program ended too early, {status}: {said}");
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it takes a minute"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal, by its kill(1) name, to the program alone, and waits for it to exit.
    pub fn end_by(self, signal: &str) -> Ended {
        send(signal, self.child.id());
        // A remaining child would keep the pipes open.
        self.wait_for_status()
    }

    /// Waits for the program to exit, but not for its streams to close.
    pub fn wait_for_status(mut self) -> Ended {
        self.ended.output.status = self.child.wait().expect("waiting for the program");
        self.ended
    }

    /// Waits for it to exit.
    pub fn wait(self) -> Ended {
        let Running { child, mut ended } = self;
        ended.output = child.wait_with_output().expect("waiting for the program");
        ended
    }
}

impl Ended {
    /// The program's standard error.
    pub fn said(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).expect("what the program says is UTF-8")
    }

    /// The build directory.
    pub fn build(&self) -> PathBuf {
        self.directory.path().join("build")
    }

    /// The image file.
    ///
    /// # Panics
    /// If the program failed.
    pub fn image(&self, name: &str) -> PathBuf {
        assert!(
            self.output.status.success(),
            "{}\n{}",
            self.output.status,
            self.said()
        );
        let image = self.out.join(name);
        assert!(
            image.exists(),
            "{} is missing\n{}",
            image.display(),
            self.said()
        );
        image
    }

    /// Returns the error message of a run that must fail with status 1 and leave nothing, without its
    /// code.
    ///
    /// # Panics
    /// If it did not, or if the error has no code.
    pub fn error(&self) -> String {
        self.error_with_code().1
    }

    /// As [`Ended::error`], with the code.
    ///
    /// # Panics
    /// As [`Ended::error`].
    pub fn error_with_code(&self) -> (String, String) {
        let said = self.said();
        assert_eq!(
            self.output.status.code(),
            Some(1),
            "{}\n{said}",
            self.output.status
        );
        self.assert_nothing_left(Duration::ZERO);
        let (_, error) = said
            .rsplit_once("error[")
            .unwrap_or_else(|| panic!("no error with a code in: {said}"));
        let (code, message) = error.split_once("]: ").expect("a code in brackets");
        (code.to_owned(), message.trim_end().to_owned())
    }

    /// Asserts that no output, no temporary files and, after `patience`, no processes are left.
    ///
    /// # Panics
    /// If something is left.
    pub fn assert_nothing_left(&self, patience: Duration) {
        self.assert_alone(patience);
        assert!(
            self.out.symlink_metadata().is_err(),
            "{} is left\n{}",
            self.out.display(),
            self.said()
        );
        let names = fs::read_dir(self.build()).expect("reading the build directory");
        let left: Vec<_> = names
            .map(|entry| entry.expect("reading the build directory").file_name())
            .filter(|name| name != ".attrs.json")
            .collect();
        assert!(
            left.is_empty(),
            "left in the build directory: {left:?}\n{}",
            self.said()
        );
    }

    /// Asserts that, after `patience`, no processes are left.
    ///
    /// # Panics
    /// If one is left.
    pub fn assert_alone(&self, patience: Duration) {
        let start = Instant::now();
        while !self.is_alone() {
            assert!(
                start.elapsed() < patience,
                "a child is left\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether no process that the program started is left.
    pub fn is_alone(&self) -> bool {
        let lock = self.directory.path().join("lock");
        run(command("flock").arg("-n").arg(lock).arg("true"))
            .status
            .success()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.out);
    }
}

/// Sends a signal, by number or kill(1) name, to a process. (The crate `nix` has no real-time
/// signals.)
pub fn send(signal: &str, process: impl std::fmt::Display) {
    let process = process.to_string();
    stdout(command("bash").args(["-c", "kill -\"$0\" \"$1\"", signal, &process]));
}

/// The SHA-256 of a file. (With the processor's instructions for it, this takes a fifth of the time of
/// sha256sum, which does not use them.)
pub fn hash(path: impl AsRef<Path>) -> String {
    let mut file = File::open(path).expect("opening a file");
    let mut buffer = vec![0; 1 << 20];
    let mut sum = Sha256::new();
    loop {
        match file.read(&mut buffer).expect("reading a file") {
            0 => return data_encoding::HEXLOWER.encode(&sum.finalize()),
            length => sum.update(&buffer[..length]),
        }
    }
}

/// The path of `qemu-img`, which the attributes have only with formats that need it.
pub fn qemu_img() -> String {
    let path = stdout(command("bash").args(["-c", "type -P qemu-img"]));
    path.trim_end().to_owned()
}

/// A store path that does not exist.
fn fresh_output() -> PathBuf {
    // Nix's base 32 has no `e`.
    let unique = uuid::Uuid::new_v4().simple().to_string().replace('e', "z");
    PathBuf::from(format!("/nix/store/{unique}-image-test"))
}
