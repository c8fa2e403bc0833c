//! Clients that violate the protocol, and old ones.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;
use crate::output::tests::disk::cases;

const GREETING: &[u8] = b"NBDMAGICIHAVEOPT\0\x03";

/// A client in the handshake.
struct Client(UnixStream);

impl Client {
    /// Receives the greeting, and answers with `flags`.
    fn new(mut stream: UnixStream, flags: u32) -> Client {
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, GREETING);
        stream.write_all(&flags.to_be_bytes()).unwrap();
        Client(stream)
    }

    fn send(&mut self, bytes: &[&[u8]]) {
        // The server may have ended the connection.
        let _ = self.0.write_all(&bytes.concat());
    }

    fn option(&mut self, option: u32, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        self.send(&[
            b"IHAVEOPT",
            &option.to_be_bytes(),
            &length.to_be_bytes(),
            data,
        ]);
    }

    /// Receives the answer to an option: its kind and data.
    fn option_reply(&mut self, option: u32) -> (u32, Vec<u8>) {
        assert_eq!(self.number::<8>(), 0x3_e889_0455_65a9);
        assert_eq!(self.number::<4>(), u64::from(option));
        let kind = u32::try_from(self.number::<4>()).unwrap();
        let length = self.number::<4>();
        (kind, self.bytes(length))
    }

    fn request(&mut self, flags: u16, command: u16, cookie: u64, offset: u64, length: u32) {
        self.send(&[
            &0x2560_9513_u32.to_be_bytes(),
            &flags.to_be_bytes(),
            &command.to_be_bytes(),
            &cookie.to_be_bytes(),
            &offset.to_be_bytes(),
            &length.to_be_bytes(),
        ]);
    }

    /// Receives a reply of one chunk: its cookie, kind and payload.
    fn chunk(&mut self) -> (u64, u64, Vec<u8>) {
        assert_eq!(self.number::<4>(), 0x668e_33ef);
        assert_eq!(self.number::<2>(), 1);
        let kind = self.number::<2>();
        let cookie = self.number::<8>();
        let length = self.number::<4>();
        (cookie, kind, self.bytes(length))
    }

    /// Receives a simple reply, whose cookie has to be 7, and returns its error.
    fn simple(&mut self) -> u64 {
        assert_eq!(self.number::<4>(), 0x6744_6698);
        let error = self.number::<4>();
        assert_eq!(self.number::<8>(), 7);
        error
    }

    fn number<const N: usize>(&mut self) -> u64 {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Starts the transmission, as QEMU does.
    fn go(mut self) -> Client {
        self.option(8, b"");
        assert_eq!(self.option_reply(8).0, 1);
        self.option(10, &context("base:allocation"));
        assert_eq!(
            self.option_reply(10),
            (4, b"\0\0\0\x01base:allocation".to_vec())
        );
        assert_eq!(self.option_reply(10).0, 1);
        self.option(7, &[0; 6]);
        let mut export = [&[0; 2][..], &LENGTH.to_be_bytes(), &[0, 3]].concat();
        assert_eq!(self.option_reply(7), (3, export.clone()));
        export = [
            &[0, 3, 0, 0, 0, 1, 0, 0, 0x10, 0][..],
            &(2_u32 << 20).to_be_bytes(),
        ]
        .concat();
        assert_eq!(self.option_reply(7), (3, export));
        assert_eq!(self.option_reply(7).0, 1);
        self
    }

    /// Waits until the server ends the connection.
    fn end(mut self) {
        // Data that the server has not received makes this fail.
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}

/// The data of the option that selects contexts: one query.
fn context(name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap();
    [
        &[0, 0, 0, 0, 0, 0, 0, 1][..],
        &length.to_be_bytes(),
        name.as_bytes(),
    ]
    .concat()
}

#[test]
fn malformed_requests_are_refused_and_the_next_one_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let mebibyte = 1 << 20;
    // flags, command, offset, length, error
    let cases = [
        (0, 0, LENGTH, 1, 22),
        (0, 0, LENGTH - 1, 2, 22),
        (0, 0, u64::MAX, u32::MAX, 22),
        (0, 0, 0, 0, 22),
        (0, 0, 0, (2 << 20) + 1, 22),
        (1, 0, 0, 512, 22),
        (4, 0, 0, 512, 22),
        (8, 0, 0, 512, 22),
        (0, 1, 0, mebibyte, 1),
        (0, 4, 0, 512, 1),
        (0, 6, 0, 512, 1),
        (0, 3, 0, 0, 22),
        (0, 5, 0, 512, 22),
        (0, 7, LENGTH, 1, 22),
        (0, 7, 0, 0, 22),
        (1, 7, 0, 512, 22),
        (0, 8, 0, 512, 22),
        (0, u16::MAX, 0, 512, 22),
    ];
    let ((), served) = serve_to(&disk, |stream| {
        let mut client = Client::new(stream, 3).go();
        for (flags, command, offset, length, error) in cases {
            client.request(flags, command, 7, offset, length);
            if command == 1 {
                client.send(&[&vec![1; length as usize]]);
            }
            let expected = [&[0, 0, 0, error][..], &[0; 2]].concat();
            let found = client.chunk();
            assert_eq!(
                found,
                (7, 0x8001, expected),
                "{flags} {command} {offset} {length}"
            );
        }
        client.request(0, 0, 9, 512, 512);
        let expected = [&512_u64.to_be_bytes()[..], &[byte(512); 512]].concat();
        assert_eq!(client.chunk(), (9, 1, expected));
        client.request(0, 2, 0, 0, 0);
        client.end();
    });
    assert!(served.connected && served.violation.is_none(), "{served:?}");
}

#[test]
fn states_of_ranges_are_within_the_request() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let ((), served) = serve_to(&disk, |stream| {
        let mut client = Client::new(stream, 3).go();
        // offset, length of the request, length of the reply, state
        for (offset, length, found, state) in [
            (0, 100, 100, 0),
            (0, 1 << 20, 4096, 0),
            (4096, 1 << 20, (1 << 20) - 4096, 3),
            (5000, 10, 10, 3),
            (2 << 20, 62 << 20, 5 << 20, 0),
            (LENGTH - 1, 1, 1, 3),
        ] {
            client.request(8, 7, 7, offset, length);
            let status = [1, found, state].map(u32::to_be_bytes).concat();
            assert_eq!(client.chunk(), (7, 5, status), "{offset} {length}");
        }
    });
    assert!(served.violation.is_none(), "{served:?}");
}

#[test]
fn an_old_client_gets_simple_replies() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    for flags in [0, 1, 3] {
        let ((), served) = serve_to(&disk, |stream| {
            let mut client = Client::new(stream, flags);
            client.option(1, b"");
            assert_eq!(client.number::<8>(), LENGTH);
            assert_eq!(client.number::<2>(), 3);
            if flags & 2 == 0 {
                assert_eq!(client.bytes(124), [0; 124]);
            }
            client.request(0, 0, 7, 1024, 512);
            assert_eq!(client.simple(), 0);
            assert_eq!(client.bytes(512), [byte(1024); 512]);
            client.request(0, 0, 7, LENGTH, 512);
            assert_eq!(client.simple(), 22);
            // Without structured replies, this cannot be answered.
            client.request(0, 7, 7, 0, 512);
            assert_eq!(client.simple(), 22);
            client.request(0, 2, 7, 0, 0);
            client.end();
        });
        assert!(served.connected && served.violation.is_none(), "{served:?}");
    }
}

#[test]
fn options_that_are_not_possible_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let unsupported = (1 << 31) + 1;
    let invalid = (1 << 31) + 3;
    let unknown = (1 << 31) + 6;
    let query = context("base:allocation");
    let cut = &query[..query.len() - 1];
    let long = [&query[..], b"x"].concat();
    let cases: [(u32, &[u8], u32); 15] = [
        (3, b"", unsupported),
        (5, b"", unsupported),
        (9, b"", unsupported),
        (11, b"", unsupported),
        (u32::MAX, b"junk", unsupported),
        (8, b"x", invalid),
        (7, b"", invalid),
        (7, b"\0\0\0", invalid),
        (7, b"\xff\xff\xff\xff\0\0", invalid),
        (7, b"\0\0\0\x01x\0\0", unknown),
        (6, b"\0\0\0\x01x\0\0", unknown),
        (10, &query, invalid),
        (10, cut, invalid),
        (10, &long, invalid),
        (10, b"\0\0\0\0\xff\xff\xff\xff", invalid),
    ];
    let ((), served) = serve_to(&disk, |stream| {
        let mut client = Client::new(stream, 3);
        for (option, data, error) in cases {
            client.option(option, data);
            assert_eq!(
                client.option_reply(option),
                (error, vec![]),
                "{option} {data:?}"
            );
        }
        client.option(8, b"");
        assert_eq!(client.option_reply(8).0, 1);
        for (option, data, error) in &cases[12..] {
            client.option(*option, data);
            assert_eq!(
                client.option_reply(*option),
                (*error, vec![]),
                "{option} {data:?}"
            );
        }
        client.option(10, &context("qemu:dirty-bitmap"));
        assert_eq!(client.option_reply(10).0, 1);
        client.option(6, &[0; 6]);
        for kind in [3, 3, 1] {
            assert_eq!(client.option_reply(6).0, kind);
        }
        client.option(2, b"");
        assert_eq!(client.option_reply(2).0, 1);
        client.end();
    });
    assert!(
        !served.connected && served.violation.is_none(),
        "{served:?}"
    );
}

#[test]
fn a_client_that_violates_the_protocol_is_disconnected() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    type Violate = fn(UnixStream);
    let cases: [(Violate, &str); 5] = [
        (|stream| Client::new(stream, 4).end(), "unknown flags: 0x4"),
        (
            |stream| {
                let mut client = Client::new(stream, 3);
                client.send(&[b"GET / HTTP/1.1\r\n\r\n"]);
                client.end();
            },
            "an option begins with [47, 45, 54, 20, 2f, 20, 48, 54]",
        ),
        (
            |stream| {
                let mut client = Client::new(stream, 3);
                client.send(&[b"IHAVEOPT\0\0\0\x07\xff\xff\xff\xff"]);
                client.end();
            },
            "the option 7 has 4294967295 bytes of data; the limit is 16384",
        ),
        (
            |stream| {
                let mut client = Client::new(stream, 3);
                client.option(1, b"another disk");
                client.end();
            },
            "a disk was requested by a name",
        ),
        (
            |stream| {
                let mut client = Client::new(stream, 3).go();
                client.send(&[&[0x25; 28]]);
                client.end();
            },
            "a request begins with 0x25252525",
        ),
    ];
    for (violate, message) in cases {
        let ((), served) = serve_to(&disk, violate);
        assert_eq!(served.violation.unwrap().to_string(), message);
    }
}

#[test]
fn a_client_may_disappear_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let cases: [fn(UnixStream); 6] = [
        drop,
        |stream| drop(Client::new(stream, 3)),
        |stream| Client::new(stream, 3).send(&[b"IHAVEOPT\0\0\0\x07\0\0\0\x06\0"]),
        |stream| Client::new(stream, 3).go().send(&[&[0x25, 0x60]]),
        // In the middle of data that is refused.
        |stream| Client::new(stream, 3).go().request(0, 1, 7, 0, u32::MAX),
        // In the middle of replies that do not fit into the socket.
        |stream| {
            let mut client = Client::new(stream, 3).go();
            for cookie in 0..16 {
                client.request(0, 0, cookie, 1 << 20, 2 << 20);
            }
            client.bytes(100);
        },
    ];
    for (number, client) in cases.into_iter().enumerate() {
        let ((), served) = serve_to(&disk, client);
        assert!(served.violation.is_none(), "{number}: {served:?}");
        assert_eq!(served.connected, number >= 3, "{number}");
    }
}

/// A process that the client has left behind may keep its end of the connection.
#[test]
fn serving_ends_with_the_client_even_if_the_connection_stays_open() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let (stream, served) = serve_to(&disk, |stream| {
        let mut client = Client::new(stream, 3).go();
        for cookie in 0..16 {
            client.request(0, 0, cookie, 1 << 20, 2 << 20);
        }
        client
    });
    assert!(served.connected);
    stream.end();
}

#[test]
fn requests_in_flight_are_all_answered() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    serve_to(&disk, |stream| {
        let mut client = Client::new(stream, 3).go();
        let offset = |cookie: u64| (1 << 20) + cookie * 512;
        for cookie in 0..200 {
            client.request(0, 0, cookie, offset(cookie), 512);
        }
        // Those that were received before are answered.
        client.request(0, 2, 0, 0, 0);
        let mut cookies: Vec<u64> = (0..200)
            .map(|_| {
                let (cookie, kind, payload) = client.chunk();
                assert_eq!(kind, 1);
                let at = offset(cookie);
                assert_eq!(payload, [&at.to_be_bytes()[..], &[byte(at); 512]].concat());
                cookie
            })
            .collect();
        cookies.sort_unstable();
        assert!(cookies.into_iter().eq(0..200));
        client.end();
    });
}

proptest! {
    #![proptest_config(cases(64))]

    /// Any bytes, after any part of a proper beginning.
    #[test]
    fn garbage_ends_the_connection_and_nothing_else(
        beginning in 0..4_usize,
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let image = Image { length: LENGTH, parts: vec![] };
        let disk = LazyImage::new(image, &directory.path().join("made")).unwrap();
        serve_to(&disk, |mut stream| {
            let mut client = match beginning {
                0 => {
                    let _ = stream.write_all(&garbage);
                    Client(stream)
                }
                1 => Client::new(stream, 3),
                2 => {
                    let mut client = Client::new(stream, 3);
                    client.send(&[b"IHAVEOPT"]);
                    client
                }
                _ => {
                    let mut client = Client::new(stream, 3).go();
                    client.send(&[&0x2560_9513_u32.to_be_bytes()]);
                    client
                }
            };
            client.send(&[&garbage]);
            let _ = client.0.shutdown(std::net::Shutdown::Write);
            client.end();
        });
    }
}
