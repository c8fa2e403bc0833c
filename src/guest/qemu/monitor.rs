//! QEMU's monitor, which reports if the guest's writes cannot be stored.
//!
//! The guest itself only gets an I/O error or is paused. The protocol is QMP (QEMU,
//! docs/interop/qmp-spec.rst).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde::Deserialize;

/// The longest event that is parsed, in bytes.
const MAX_EVENT: u64 = 1 << 16;

/// An event from QEMU.
#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    data: Data,
}

/// The data of `BLOCK_IO_ERROR` (QEMU, qapi/block-core.json).
#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    operation: String,
    #[serde(default)]
    reason: String,
}

/// Reads events from QEMU until `socket` is closed. At the first failed write, calls `failed` with the
/// reason and returns.
pub fn watch(socket: &UnixStream, failed: impl FnOnce(String)) {
    // QEMU sends events only after this command. If it has already ended, there are none.
    let hello = b"{\"execute\":\"qmp_capabilities\"}\n";
    if (&mut &*socket).write_all(hello).is_err() {
        return;
    }
    let mut from = BufReader::new(socket);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(MAX_EVENT).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let Ok(Event { event, data }) = serde_json::from_slice(&line) else {
            continue;
        };
        if event == "BLOCK_IO_ERROR" && data.operation == "write" {
            return failed(data.reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn reported(events: &str) -> Option<String> {
        let (own_end, mut qemu_end) = UnixStream::pair().unwrap();
        let events = events.to_owned();
        let qemu = thread::spawn(move || {
            let _ = qemu_end.write_all(events.as_bytes());
            let mut hello = String::new();
            BufReader::new(&qemu_end).read_line(&mut hello).unwrap();
            hello
        });
        let mut reported = None;
        watch(&own_end, |reason| reported = Some(reason));
        drop(own_end);
        assert_eq!(qemu.join().unwrap(), "{\"execute\":\"qmp_capabilities\"}\n");
        reported
    }

    #[test]
    fn reports_only_failed_writes() {
        let greeting = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}}\r\n";
        let failed = |operation: &str| {
            format!(
                "{greeting}{{\"timestamp\": {{}}, \"event\": \"BLOCK_IO_ERROR\", \"data\": \
                 {{\"device\": \"disk\", \"nospace\": true, \"operation\": \"{operation}\", \
                 \"action\": \"stop\", \"reason\": \"No space left on device\"}}}}\r\n"
            )
        };
        let reason = "No space left on device".to_owned();
        assert_eq!(reported(&failed("write")), Some(reason));
        assert_eq!(reported(&failed("read")), None);
        assert_eq!(reported(greeting), None);
        assert_eq!(reported("rubbish\n{}\n\n{\"event\": 7}\n"), None);
        assert_eq!(reported(&"x".repeat(1 << 20)), None);
        assert_eq!(reported(""), None);
    }
}
