//! The answer to a request.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use zerocopy::IntoBytes;

use super::handshake::Agreed;
use super::wire::{self, Request};
use super::{Connection, lock};
use crate::image::Reader;

/// The most bytes that are read at once. `qemu-img convert` wants 2 MiB.
pub const MAXIMUM: u32 = 2 << 20;

/// The length of the offset in front of the bytes of a chunk.
const OFFSET: u32 = 8;

/// The length of a [`wire::Status`].
const STATUS: u32 = 12;

/// The length of a [`wire::Failure`].
const FAILURE: u32 = 6;

/// The state of a thread that answers requests.
pub struct Worker<'c, 'a> {
    connection: &'c Connection<'a>,
    reader: Reader<'a>,
    reply: Reply,
}

impl<'c, 'a> Worker<'c, 'a> {
    /// Creates the state of a thread.
    pub fn new(connection: &'c Connection<'a>) -> Worker<'c, 'a> {
        Worker {
            connection,
            reader: connection.disk.reader(),
            reply: Reply::default(),
        }
    }

    /// Answers `request`, which has the right magic number.
    ///
    /// # Errors
    /// If the reply cannot be sent.
    pub fn answer(&mut self, request: &Request, agreed: Agreed) -> io::Result<()> {
        let answered = match request.command.get() {
            wire::READ => self.read(request, agreed.structured),
            wire::BLOCK_STATUS if agreed.allocation => self.status(request),
            wire::WRITE | wire::TRIM | wire::WRITE_ZEROES => Err(wire::PERMISSION),
            _ => Err(wire::INVALID),
        };
        if let Err(error) = answered {
            self.fail(request, error, agreed.structured);
        }
        lock(&self.connection.output).write_all(self.reply.bytes())
    }

    /// Makes the reply to a request to read.
    fn read(&mut self, request: &Request, structured: bool) -> Result<(), u32> {
        self.check(request, 0)?;
        let (offset, length) = (request.offset, request.length.get());
        if length > MAXIMUM {
            return Err(wire::INVALID);
        }
        if structured {
            let data = length.saturating_add(OFFSET);
            let header = chunk(request, wire::DATA, data);
            self.reply.begin(&[header.as_bytes(), offset.as_bytes()]);
        } else {
            self.reply.begin(&[simple(request, 0).as_bytes()]);
        }
        let bytes = self
            .reply
            .extend(usize::try_from(length).map_err(|_| wire::INVALID)?);
        if let Err(error) = self.reader.read_at(bytes, offset.get()) {
            lock(&self.connection.unreadable).get_or_insert(error);
            return Err(wire::INPUT_OUTPUT);
        }
        let length = u64::from(length);
        let before = self.connection.read.fetch_add(length, Ordering::Relaxed);
        (self.connection.progress)(before.saturating_add(length));
        Ok(())
    }

    /// Makes the reply to a request for the state of a range: the first run, although the client may
    /// have asked for more.
    fn status(&mut self, request: &Request) -> Result<(), u32> {
        self.check(request, wire::REQUEST_ONE)?;
        let offset = request.offset.get();
        let run = self.connection.allocation.run(offset);
        let length = u32::try_from(run.end.saturating_sub(offset)).unwrap_or(u32::MAX);
        let status = wire::Status {
            context: wire::CONTEXT.into(),
            length: length.min(request.length.get()).into(),
            flags: if run.is_data { 0 } else { wire::HOLE }.into(),
        };
        let header = chunk(request, wire::STATUS, STATUS);
        self.reply.begin(&[header.as_bytes(), status.as_bytes()]);
        Ok(())
    }

    /// Checks that a request is for a range of the disk, with no flags but `flags`.
    fn check(&self, request: &Request, flags: u16) -> Result<(), u32> {
        let end = request
            .offset
            .get()
            .checked_add(request.length.get().into());
        let is_valid = request.length != 0
            && end.is_some_and(|end| end <= self.connection.disk.length())
            && request.flags & !flags == 0;
        is_valid.then_some(()).ok_or(wire::INVALID)
    }

    /// Makes the reply to a request that failed.
    fn fail(&mut self, request: &Request, error: u32, structured: bool) {
        if structured {
            let failure = wire::Failure {
                error: error.into(),
                message: 0.into(),
            };
            let header = chunk(request, wire::ERROR, FAILURE);
            self.reply.begin(&[header.as_bytes(), failure.as_bytes()]);
        } else {
            self.reply.begin(&[simple(request, error).as_bytes()]);
        }
    }
}

/// Returns the header of the only chunk of a reply, which has `length` more bytes.
fn chunk(request: &Request, kind: u16, length: u32) -> wire::Chunk {
    wire::Chunk {
        magic: wire::CHUNK.into(),
        flags: wire::DONE.into(),
        kind: kind.into(),
        cookie: request.cookie,
        length: length.into(),
    }
}

fn simple(request: &Request, error: u32) -> wire::SimpleReply {
    wire::SimpleReply {
        magic: wire::SIMPLE_REPLY.into(),
        error: error.into(),
        cookie: request.cookie,
    }
}

/// A reply in memory that is used again for the next one.
#[derive(Default)]
struct Reply {
    buffer: Vec<u8>,
    length: usize,
}

impl Reply {
    /// Begins a new reply with `pieces`.
    fn begin(&mut self, pieces: &[&[u8]]) {
        self.length = 0;
        for piece in pieces {
            self.extend(piece.len()).copy_from_slice(piece);
        }
    }

    /// Adds `length` bytes, and returns them, with any contents.
    fn extend(&mut self, length: usize) -> &mut [u8] {
        let start = self.length;
        self.length += length;
        if self.buffer.len() < self.length {
            self.buffer.resize(self.length, 0);
        }
        &mut self.buffer[start..self.length]
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}
