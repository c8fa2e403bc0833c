use super::*;
use std::io::{Cursor, pipe};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);
const TOKEN: &str = "t0ken";

fn marker(marker: Marker) -> String {
    marker.line(TOKEN)
}

fn console(text: impl Into<Vec<u8>>) -> Console {
    Console::new(Cursor::new(text.into()), TOKEN)
}

/// A console that repeats the same bytes forever.
struct Flood(&'static [u8]);

impl Read for Flood {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for (to, from) in buffer.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
        Ok(buffer.len())
    }
}

#[test]
fn reports_the_exit_status_and_the_failure_of_init() {
    let text = format!(
        "[    0.5] boot\r\n{}\r\nhello\r\nno newline\n{}\r\n{}\r\nmore",
        marker(Marker::Started),
        marker(Marker::Failed("the script: 3".to_owned())),
        marker(Marker::Exit(3)),
    );
    let mut console = console(text);
    assert_eq!(console.follow(LONG, LONG), End::Exit(3));
    assert_eq!(console.failure.as_deref(), Some("the script: 3"));
    assert_eq!(
        console.history().tail(),
        "last console output:\n  [    0.5] boot\n  hello\n  no newline"
    );
}

#[test]
fn ignores_lines_of_init_without_its_token() {
    let text = format!(
        "MAKE-DISK-IMAGE started\nMAKE-DISK-IMAGE failed: x\nMAKE-DISK-IMAGE exit 0\n\
         {}MAKE-DISK-IMAGE {TOKEN}x exit 0\nx{}\n",
        "x".repeat(3 * MAX_LINE),
        marker(Marker::Exit(0)),
    );
    let mut console = console(text);
    assert_eq!(console.follow(LONG, LONG), End::Closed);
    assert!(!console.started() && console.failure.is_none());
}

#[test]
fn detects_guests_that_end_or_hang() {
    let mut console = console(*b"Kernel panic - a\x1b");
    assert_eq!(console.follow(LONG, LONG), End::Closed);
    assert_eq!(console.history().panic.as_deref(), Some("a\\u{1b}"));
    assert!(
        console
            .history()
            .tail()
            .ends_with("Kernel panic - a\\u{1b}")
    );

    let (reader, _writer) = pipe().unwrap();
    let mut console = Console::new(reader, TOKEN);
    assert_eq!(console.follow(SHORT, LONG), End::NotStarted);
    assert_eq!(console.history().tail(), "no console output");

    let (reader, mut writer) = pipe().unwrap();
    let mut console = Console::new(reader, TOKEN);
    let started = format!("{}\n", marker(Marker::Started));
    std::io::Write::write_all(&mut writer, started.as_bytes()).unwrap();
    assert_eq!(console.follow(LONG, Duration::from_millis(300)), End::Late);
    assert!(console.started());
}

/// Output without end must take neither unlimited memory nor more time than the limit.
#[test]
fn endless_output_is_bounded_in_time_and_memory() {
    let limit = Duration::from_millis(25);
    for flood in [&b"y\n"[..], b"x", b"\xff\x1b", b"\n"] {
        let mut console = Console::new(Flood(flood), TOKEN);
        let begin = Instant::now();
        assert_eq!(console.follow(limit, limit), End::NotStarted);
        console.drain(limit);
        assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
        assert!(console.history().tail().len() < 64 << 10);
        assert!(console.line.capacity() <= 2 * MAX_LINE);
    }
}

#[test]
fn breaks_long_lines_without_losing_bytes() {
    let text = [vec![b'a'; MAX_LINE], b"b\n".to_vec()].concat();
    let mut console = console(text);
    assert_eq!(console.follow(LONG, LONG), End::Closed);
    let tail = console.history().tail();
    assert!(tail.ends_with("aaa\n  b"), "{tail}");
}

#[test]
fn stops_on_request_during_endless_output() {
    let mut console = Console::new(Flood(b"y\n"), TOKEN);
    let stop = console.stop();
    let begin = Instant::now();
    thread::spawn(move || {
        thread::sleep(SHORT);
        stop.stop();
    });
    assert_eq!(console.follow(LONG, LONG), End::Stopped);
    assert!(begin.elapsed() < LONG / 2);
    // It must not block, although the queue is full and no longer read.
    console.stop().stop();
}

#[test]
fn recognizes_kernel_messages() {
    for (line, expected) in [
        ("[    1.234567] x", true),
        ("[12.3] x", true),
        ("[x] 1", false),
        ("1.2", false),
    ] {
        assert_eq!(is_kernel_message(line), expected, "{line}");
    }
}
