use std::time::Instant;

use super::*;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn standard_input_is_the_input_or_empty() {
    quiet(&mut sh("! read line; echo a; echo b >&2"), USUAL).unwrap();
    let mut script = sh("read line; test $line = in");
    quiet_with_input(&mut script, b"in\n", USUAL).unwrap();
}

#[test]
fn an_error_has_command_line_status_and_last_output() {
    let mut script = sh("echo gone >&2; printf '\\377\\033' >&2; echo out; exit 3");
    let error = quiet(&mut script, USUAL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh -c \"echo gone >&2; printf '\\\\\\\\377\\\\\\\\033' >&2; echo out; exit 3\" \
         failed with exit status: 3; last output:\n  gone\n  \\xff\\u{1b}"
    );
}

#[test]
fn a_signal_for_an_exceeded_limit_is_explained() {
    for (script, words) in [
        (
            "kill -9 $$",
            "signal: 9 (SIGKILL), probably due to a lack of memory; no output",
        ),
        (
            "kill -24 $$",
            " (SIGXCPU): it exceeded its CPU time limit (ulimit -t); no output",
        ),
        (
            "kill -25 $$",
            " (SIGXFSZ): it exceeded its file size limit (ulimit -f); no output",
        ),
        ("kill -15 $$", "signal: 15 (SIGTERM); no output"),
    ] {
        let error = quiet(&mut sh(script), USUAL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn long_output_neither_blocks_nor_is_kept() {
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
fn a_hanging_child_is_killed_with_its_children() {
    let begin = Instant::now();
    let script = "echo waiting >&2; sleep 1000 & sleep 1000";
    let error = quiet(&mut sh(script), Duration::from_millis(150)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "sh -c '{script}' did not finish within 0 s and was killed; last output:\n  waiting"
        )
    );
    // A child that has closed its streams is killed, too.
    let script = "exec >&- 2>&-; sleep 1000";
    let error = quiet(&mut sh(script), Duration::from_millis(150)).unwrap_err();
    assert!(error.to_string().ends_with("no output"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// The first background process holds the pipe open; the others also leave the group and keep
/// writing.
#[test]
fn background_processes_do_not_delay_the_end() {
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
