//! What a person sees on a terminal, and what a pipe gets.

use crate::common::nix::PROGRAM;
use crate::common::program::{Attributes, Job};
use crate::common::{command, run, said};

/// Begins every control sequence of a terminal.
const ESCAPE: char = '\x1b';

/// Runs `job` on a terminal of its own, and returns what was written to it.
fn on_terminal(mut job: Job, environment: &[(&'static str, &str)]) -> String {
    // script(1) is in every Debian.
    job.wrapped(&["bash", "-c", r#"script -qefc "$*" /dev/null"#, "bash"]);
    job.environment.insert("TERM", "xterm".into());
    for (name, value) in environment {
        job.environment.insert(name, value.into());
    }
    let ended = job.run();
    String::from_utf8_lossy(&ended.output.stdout).into_owned()
}

fn attributes() -> Attributes {
    Attributes::of(r#"copyChannel = false; additionalSpace = "0M"; format = "qed";"#)
}

/// A build with one step of three seconds.
fn slow() -> Job {
    let mut job = attributes().job();
    job.post_vm("sleep 3");
    job
}

#[test]
fn a_long_step_shows_its_time_and_leaves_only_the_log() {
    let said = on_terminal(slow(), &[]);
    assert!(said.contains(" 2 s"), "{said:?}");
    assert!(said.contains(ESCAPE), "{said:?}");
    // The line is gone before the next one.
    let (_, end) = said.rsplit_once("running postVM").unwrap();
    let last = end.trim_end().lines().next_back().unwrap();
    assert!(last.ends_with(" s"), "{said:?}");
}

#[test]
fn a_conversion_shows_bytes_rate_and_remaining_time() {
    let mut job = attributes().job();
    job.tool(
        "qemuImg",
        r#"if [ "$1" = convert ]; then shift; set -- convert -r 40M "$@"; fi; exec $real "$@""#,
    );
    let said = on_terminal(job, &[]);
    assert!(said.contains("/s, "), "{said:?}");
    assert!(said.contains(" left"), "{said:?}");
}

#[test]
fn planning_that_reads_files_shows_bytes_rate_and_remaining_time() {
    let mut job = Attributes::of(
        r#"copyChannel = false; fsType = "squashfs"; fsOptions.compression = "zstd";"#,
    )
    .job();
    job.tool("sqfstar", "[ $# = 1 ] || sleep 2; exec $real \"$@\"");
    let said = on_terminal(job, &[]);
    let (_, planning) = said.split_once("planning the disk").unwrap();
    let (planning, _) = planning.split_once("making the boot partitions").unwrap();
    assert!(
        planning.contains(" of ") && planning.contains(" left"),
        "{said:?}"
    );
}

/// It would wait for input that nobody types.
#[test]
fn plan_does_not_read_from_a_terminal() {
    let mut script = command("script");
    script.args(["-qefc", &format!("{PROGRAM} plan"), "/dev/null"]);
    let output = run(&mut script);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard input is a terminal: "), "{said}");
}

#[test]
fn a_guest_shows_what_it_has_read_and_its_limit() {
    let mut job = Attributes::with_guest(
        r#"loader = "none"; copyChannel = false; guestTimeout = 300;
           extraInstallCommands = "sleep 3";"#,
    )
    .job();
    job.on("uml");
    let said = on_terminal(job, &[]);
    assert!(said.contains("MiB read, "), "{said:?}");
    assert!(said.contains("at most 5m"), "{said:?}");
}

#[test]
fn a_pipe_gets_no_control_sequences_and_no_progress() {
    let ended = slow().run();
    let said = ended.said();
    assert!(!said.contains(ESCAPE) && !said.contains('\r'), "{said:?}");
    assert!(said.contains("running postVM\n  3."), "{said:?}");
    let quiet = {
        let mut job = slow();
        job.arguments.push("--quiet".into());
        on_terminal(job, &[])
    };
    // The format warns, in color.
    assert!(!quiet.contains(" 2 s"), "{quiet:?}");
}

#[test]
fn messages_have_colors_unless_they_are_refused() {
    let wrong = || {
        let mut job = attributes().job();
        job.image("label", 5);
        job
    };
    let red = "\x1b[1;31merror[argument]:\x1b[0m ";
    let said = on_terminal(wrong(), &[]);
    assert!(said.contains(red), "{said:?}");
    assert!(on_terminal(wrong(), &[("NO_COLOR", "")]).contains(red));
    for refused in [("NO_COLOR", "1"), ("TERM", "dumb"), ("NIX_LOG_FD", "2")] {
        let said = on_terminal(wrong(), &[refused]);
        assert!(said.contains("error[argument]: "), "{refused:?}: {said:?}");
        assert!(!said.contains(ESCAPE), "{refused:?}: {said:?}");
    }
}
