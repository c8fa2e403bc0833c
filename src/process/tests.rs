use std::time::Instant;

use super::*;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn standard_input_is_the_input_or_nothing() {
    quiet(&mut sh("! read line; echo a; echo b >&2"), USUAL).unwrap();
    let mut script = sh("read line; test $line = in");
    quiet_with_input(&mut script, b"in\n", USUAL).unwrap();
}

#[test]
fn a_failure_has_command_line_status_and_tail() {
    let mut script = sh("echo gone >&2; printf '\\377\\033' >&2; echo out; exit 3");
    let error = quiet(&mut script, USUAL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh -c \"echo gone >&2; printf '\\\\\\\\377\\\\\\\\033' >&2; echo out; exit 3\" \
         failed with exit status: 3; it said last:\n  gone\n  \\xff\\u{1b}"
    );
}

#[test]
fn a_signal_of_a_limit_is_explained() {
    for (script, words) in [
        (
            "kill -9 $$",
            "signal: 9 (SIGKILL), most likely for want of memory; it",
        ),
        (
            "kill -24 $$",
            " (SIGXCPU): its processor time is used up (ulimit -t); it",
        ),
        (
            "kill -25 $$",
            " (SIGXFSZ): it may write no file as large as that (ulimit -f); it",
        ),
        ("kill -15 $$", "signal: 15 (SIGTERM); it"),
    ] {
        let error = quiet(&mut sh(script), USUAL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn ten_megabytes_of_complaint_neither_block_nor_stay() {
    let error = quiet(
        &mut sh("head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1"),
        USUAL,
    )
    .unwrap_err()
    .to_string();
    assert!(error.ends_with("x\n  end"), "{error}");
    assert!(error.len() < 3000);
}

#[test]
fn both_streams_of_a_logged_child_are_in_the_error() {
    let error = logged(&mut sh("echo one; echo two >&2; exit 1")).unwrap_err();
    assert!(error.to_string().ends_with("  one\n  two"), "{error}");
}

#[test]
fn a_missing_program_is_named() {
    let error = quiet(&mut Command::new("/nonexistent/x y"), USUAL).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "starting '/nonexistent/x y': No such file or directory (os error 2)"
    );
}

#[test]
fn a_child_that_hangs_is_killed_with_what_it_has_started() {
    let begin = Instant::now();
    let script = "echo waiting >&2; sleep 1000 & sleep 1000";
    let error = quiet(&mut sh(script), Duration::from_millis(300)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("sh -c '{script}' did not end within 0 s and was killed; it said last:\n  waiting")
    );
    // One that has closed its streams, too.
    let script = "exec >&- 2>&-; sleep 1000";
    let error = quiet(&mut sh(script), Duration::from_millis(300)).unwrap_err();
    assert!(error.to_string().ends_with("it said nothing"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// The one in the background holds the pipe; the second also leaves the group and talks on.
#[test]
fn the_end_of_a_child_is_enough() {
    let begin = Instant::now();
    logged(&mut sh("sleep 1000 & echo started")).unwrap();
    quiet(
        &mut sh("setsid sh -c 'for i in $(seq 50); do echo; sleep 0.1; done' & :"),
        USUAL,
    )
    .unwrap();
    let error = logged(&mut sh("setsid timeout 3 yes & echo gone; exit 1")).unwrap_err();
    assert!(error.to_string().contains("exit status: 1"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}
