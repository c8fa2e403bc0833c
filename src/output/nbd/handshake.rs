//! The first phase of a connection: client and server agree on how to transmit the disk.
//!
//! "Fixed newstyle negotiation" in the specification. There is one disk, whose name is empty.

use std::io::{Read, Write};

use anyhow::{Result, bail, ensure};
use zerocopy::IntoBytes;

use super::wire::{self, Export, ExportInfo, OptionHeader};

/// The most data that an option may have, in bytes. Names are shorter than 4 KiB.
const OPTION_LENGTH: usize = 16 << 10;

/// How the disk is transmitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Whether replies consist of chunks.
    pub structured: bool,
    /// Whether the client may ask which bytes are data.
    pub allocation: bool,
}

/// Offers a disk of `length` bytes, of which at most `maximum` are read at once. Returns `None` if the
/// client does not want it.
///
/// # Errors
/// If the client violates the protocol, and those of the streams.
pub fn handshake(
    from: &mut impl Read,
    to: &mut impl Write,
    length: u64,
    maximum: u32,
) -> Result<Option<Agreed>> {
    let greeting = wire::Greeting {
        magic: wire::GREETING,
        options: wire::OPTION,
        flags: (wire::FIXED_NEWSTYLE | wire::NO_ZEROES).into(),
    };
    to.write_all(greeting.as_bytes())?;
    let flags: zerocopy::big_endian::U32 = wire::receive(from)?;
    let known = u32::from(wire::FIXED_NEWSTYLE | wire::NO_ZEROES);
    ensure!(flags & !known == 0, "unknown flags: {flags:#x}");
    let export = || Export {
        length: length.into(),
        flags: wire::EXPORT_FLAGS.into(),
    };
    let mut agreed = Agreed {
        structured: false,
        allocation: false,
    };
    loop {
        let (option, data) = receive(from)?;
        let mut reply = |kind, data: &[u8]| reply(to, option, kind, data);
        match option {
            wire::EXPORT_NAME => {
                ensure!(data.is_empty(), "a disk was requested by a name");
                to.write_all(export().as_bytes())?;
                if flags & u32::from(wire::NO_ZEROES) == 0 {
                    to.write_all(&[0; 124])?;
                }
                return Ok(Some(agreed));
            }
            wire::ABORT => {
                // The client may already be gone.
                let _ = reply(wire::ACK, &[]);
                return Ok(None);
            }
            wire::INFO | wire::GO => match named(&data) {
                // The rest is a list of what the client wants to know. It gets everything.
                Some((b"", _)) => {
                    let kind = 0.into();
                    let export = export();
                    reply(wire::REP_INFO, ExportInfo { kind, export }.as_bytes())?;
                    let sizes = wire::BlockSizeInfo {
                        kind: 3.into(),
                        minimum: 1.into(),
                        preferred: 4096.into(),
                        maximum: maximum.into(),
                    };
                    reply(wire::REP_INFO, sizes.as_bytes())?;
                    reply(wire::ACK, &[])?;
                    if option == wire::GO {
                        return Ok(Some(agreed));
                    }
                }
                Some(_) => reply(wire::ERR_UNKNOWN, &[])?,
                None => reply(wire::ERR_INVALID, &[])?,
            },
            wire::STRUCTURED_REPLY if data.is_empty() => {
                agreed.structured = true;
                reply(wire::ACK, &[])?;
            }
            wire::STRUCTURED_REPLY => reply(wire::ERR_INVALID, &[])?,
            wire::SET_META_CONTEXT => match queries(&data).filter(|_| agreed.structured) {
                Some(queries) => {
                    agreed.allocation = queries.contains(&wire::ALLOCATION);
                    if agreed.allocation {
                        let number = wire::CONTEXT.to_be_bytes();
                        let context = [&number[..], wire::ALLOCATION].concat();
                        reply(wire::META_CONTEXT, &context)?;
                    }
                    reply(wire::ACK, &[])?;
                }
                None => reply(wire::ERR_INVALID, &[])?,
            },
            _ => reply(wire::ERR_UNSUPPORTED, &[])?,
        }
    }
}

/// Receives an option and its data.
fn receive(from: &mut impl Read) -> Result<(u32, Vec<u8>)> {
    let header: OptionHeader = wire::receive(from)?;
    let option = header.option.get();
    if header.magic != wire::OPTION {
        bail!("an option begins with {:x?}", header.magic);
    }
    let length = usize::try_from(header.length.get()).unwrap_or(usize::MAX);
    ensure!(
        length <= OPTION_LENGTH,
        "the option {option} has {length} bytes of data; the limit is {OPTION_LENGTH}"
    );
    let mut data = vec![0; length];
    from.read_exact(&mut data)?;
    Ok((option, data))
}

fn reply(to: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> Result<()> {
    let header = wire::OptionReply {
        magic: wire::OPTION_REPLY.into(),
        option: option.into(),
        kind: kind.into(),
        length: u32::try_from(data.len())?.into(),
    };
    to.write_all(&[header.as_bytes(), data].concat())?;
    Ok(())
}

/// Splits `data` into a string, whose length is in front of it, and the rest.
fn named(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(data)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn number(data: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = data.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Returns the names of contexts in the data of [`wire::SET_META_CONTEXT`], which begins with the name
/// of the disk.
fn queries(data: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, rest) = named(data)?;
    let (count, mut rest) = number(rest)?;
    let mut queries = Vec::new();
    for _ in 0..count {
        let (query, after) = named(rest)?;
        queries.push(query);
        rest = after;
    }
    rest.is_empty().then_some(queries)
}
