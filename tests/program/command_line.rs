//! The command line: help, completions and manual pages, and what is printed where.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::common::nix::PROGRAM;
use crate::common::program::Attributes;
use crate::common::{command, scratch, stdout};

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands, from the list in the help.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let list = list.lines().take_while(|line| !line.is_empty());
    // A continued description is indented further.
    let names = list.filter_map(|line| {
        let rest = line.strip_prefix("  ")?;
        let name = rest.split_whitespace().next()?;
        (!rest.starts_with(' ')).then(|| name.to_owned())
    });
    let names: Vec<String> = names.filter(|name| name != "help").collect();
    assert!(names.len() >= 5, "{help}");
    names
}

/// The long options in the help of a command.
fn options(command: &str) -> Vec<String> {
    let help = printed(&[command, "--help"]);
    let words = help.split_whitespace();
    let options = words.filter(|word| word.starts_with("--"));
    options
        .map(|word| {
            word.trim_end_matches(|c: char| !c.is_alphanumeric())
                .to_owned()
        })
        .collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let directory = scratch();
    let file = directory.path().join("completions");
    fs::write(&file, printed(&["completions", "bash"])).unwrap();
    let complete = |words: &str| {
        let script = r#"
            . "$1"; shift
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            name=$(complete -p make-disk-image | grep -o -- '-F [^ ]*')
            "${name#-F }" make-disk-image "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = command("bash");
        bash.args(["-c", script, "bash"]).arg(&file);
        stdout(bash.args(words.split(' ')))
    };
    let first = complete("make-disk-image ");
    for name in commands() {
        assert!(
            first.lines().any(|line| line == name),
            "no {name} in {first}"
        );
    }
    assert_eq!(complete("make-disk-image pl").trim_end(), "plan");
    assert!(complete("make-disk-image plan --").contains("--json"));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for name in commands() {
            assert!(script.contains(&name), "{shell}: no {name}");
        }
    }
}

#[test]
fn manual_pages_describe_every_command_and_option() {
    let directory = scratch();
    let output = run(&["man", directory.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let page = |name: &str| {
        let path = directory.path().join(format!("{name}.1"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        text.replace("\\-", "-")
    };
    let main = page("make-disk-image");
    for section in [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "SUBCOMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
    ] {
        assert!(main.contains(section), "no {section} in {main}");
    }
    assert!(!main.contains("EXTRA"), "{main}");
    for command in commands() {
        assert!(main.contains(&command), "{command}");
        let text = page(&format!("make-disk-image-{command}"));
        for option in options(&command) {
            assert!(text.contains(&option), "{command}: no {option} in {text}");
        }
    }
    let missing = run(&["man", "/nonexistent"]);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(
        said.contains("writing manual pages to /nonexistent: "),
        "{said}"
    );
}

/// As with `| head`: what is not read is not missed.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let directory = scratch();
    let image = directory.path().join("image");
    let filesystem = r#"truncate -s 4M "$1"; mkfs.ext4 -q "$1""#;
    stdout(command("bash").args(["-c", filesystem, "bash"]).arg(&image));
    let attributes = directory.path().join("attributes");
    let job = Attributes::of("copyChannel = false;").job();
    fs::write(&attributes, job.json.to_string()).unwrap();
    let (image, attributes) = (image.to_str().unwrap(), attributes.to_str().unwrap());
    for arguments in [
        &["inspect", image][..],
        &["inspect", "-r", image, "0"],
        &["diff", image, image],
        &["plan", attributes],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM)
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{arguments:?}: {said}"
        );
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut inspect = Command::new(PROGRAM);
    let output = inspect
        .args(["inspect", image])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("writing to standard output: No space left"),
        "{said}"
    );
}

#[test]
fn quiet_and_verbose_choose_what_is_logged() {
    let attributes = Attributes::of(r#"copyChannel = false; additionalSpace = "0M";"#);
    let said = |flag: &str| {
        let mut job = attributes.job();
        job.environment.insert("RUST_BACKTRACE", "0".into());
        job.post_vm("echo from postVM");
        job.arguments.push(flag.into());
        let ended = job.run();
        ended.image("nixos.img");
        ended.said()
    };
    assert_eq!(said("--quiet"), "");
    let verbose = said("--verbose");
    assert!(verbose.contains("writing the disk\n"), "{verbose}");
    assert!(verbose.contains("running /nix/store/"), "{verbose}");
    let wrong = run(&["build", "--quiet", "--verbose"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
