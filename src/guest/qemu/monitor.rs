//! QEMU's monitor: it tells when what the guest writes can't be stored.
//!
//! The guest itself gets no more than an I/O error, or waits. The protocol is QMP (QEMU,
//! docs/interop/qmp-spec.rst).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde::Deserialize;

/// Events longer than this are none of ours, in bytes.
const LONGEST: u64 = 1 << 16;

/// What QEMU says by itself.
#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    data: Data,
}

/// Of `BLOCK_IO_ERROR` (QEMU, qapi/block-core.json).
#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    operation: String,
    #[serde(default)]
    reason: String,
}

/// Listens to QEMU at the other end of `socket` until that is closed; at the first write that fails
/// on this machine, `failed` is called with the reason.
pub fn watch(socket: &UnixStream, failed: impl FnOnce(String)) {
    // Events come only to who has said this. If QEMU is gone already, there are none.
    let hello = b"{\"execute\":\"qmp_capabilities\"}\n";
    if (&mut &*socket).write_all(hello).is_err() {
        return;
    }
    let mut from = BufReader::new(socket);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
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

    fn told(said: &str) -> Option<String> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let said = said.to_owned();
        let other = thread::spawn(move || {
            let _ = theirs.write_all(said.as_bytes());
            let mut hello = String::new();
            BufReader::new(&theirs).read_line(&mut hello).unwrap();
            hello
        });
        let mut reason = None;
        watch(&ours, |why| reason = Some(why));
        drop(ours);
        assert_eq!(
            other.join().unwrap(),
            "{\"execute\":\"qmp_capabilities\"}\n"
        );
        reason
    }

    #[test]
    fn only_a_write_that_failed_is_told() {
        let greeting = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}}\r\n";
        let failed = |operation: &str| {
            format!(
                "{greeting}{{\"timestamp\": {{}}, \"event\": \"BLOCK_IO_ERROR\", \"data\": \
                 {{\"device\": \"disk\", \"nospace\": true, \"operation\": \"{operation}\", \
                 \"action\": \"stop\", \"reason\": \"No space left on device\"}}}}\r\n"
            )
        };
        let reason = "No space left on device".to_owned();
        assert_eq!(told(&failed("write")), Some(reason));
        assert_eq!(told(&failed("read")), None);
        assert_eq!(told(greeting), None);
        assert_eq!(told("rubbish\n{}\n\n{\"event\": 7}\n"), None);
        assert_eq!(told(&"x".repeat(1 << 20)), None);
        assert_eq!(told(""), None);
    }
}
