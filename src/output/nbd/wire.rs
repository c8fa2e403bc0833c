//! The messages of the protocol, as far as this server uses them. All numbers are big-endian.

use std::io::{self, Read};

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The server's greeting: `NBDMAGIC`, `IHAVEOPT`, and what it supports.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Greeting {
    /// [`GREETING`].
    pub magic: [u8; 8],
    /// [`OPTION`].
    pub options: [u8; 8],
    /// [`FIXED_NEWSTYLE`] and [`NO_ZEROES`].
    pub flags: U16,
}

/// The first bytes of a connection.
pub const GREETING: [u8; 8] = *b"NBDMAGIC";

/// What the greeting ends with, and each option begins with.
pub const OPTION: [u8; 8] = *b"IHAVEOPT";

/// `NBD_FLAG_FIXED_NEWSTYLE`, and the same flag of the client: options are answered.
pub const FIXED_NEWSTYLE: u16 = 1;

/// `NBD_FLAG_NO_ZEROES`, and the same flag of the client: the answer to [`EXPORT_NAME`] is not padded.
pub const NO_ZEROES: u16 = 2;

/// The beginning of an option, which is followed by `length` bytes of data.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionHeader {
    /// [`OPTION`].
    pub magic: [u8; 8],
    /// The option: `NBD_OPT_*`.
    pub option: U32,
    /// The number of bytes that follow.
    pub length: U32,
}

/// `NBD_OPT_EXPORT_NAME`: starts the transmission, without an answer if that is not possible.
pub const EXPORT_NAME: u32 = 1;
/// `NBD_OPT_ABORT`: ends the connection.
pub const ABORT: u32 = 2;
/// `NBD_OPT_INFO`: asks what the disk is like.
pub const INFO: u32 = 6;
/// `NBD_OPT_GO`: [`INFO`], and starts the transmission.
pub const GO: u32 = 7;
/// `NBD_OPT_STRUCTURED_REPLY`: from now on, replies consist of chunks.
pub const STRUCTURED_REPLY: u32 = 8;
/// `NBD_OPT_SET_META_CONTEXT`: selects what [`BLOCK_STATUS`] returns.
pub const SET_META_CONTEXT: u32 = 10;

/// The beginning of an answer to an option, which is followed by `length` bytes of data.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct OptionReply {
    /// [`OPTION_REPLY`].
    pub magic: U64,
    /// The option.
    pub option: U32,
    /// The kind of answer: `NBD_REP_*`.
    pub kind: U32,
    /// The number of bytes that follow.
    pub length: U32,
}

/// The magic number of an [`OptionReply`].
pub const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;

/// `NBD_REP_ACK`: done.
pub const ACK: u32 = 1;
/// `NBD_REP_INFO`: an [`ExportInfo`] or a [`BlockSizeInfo`].
pub const REP_INFO: u32 = 3;
/// `NBD_REP_META_CONTEXT`: a number, and the name of the context that it stands for.
pub const META_CONTEXT: u32 = 4;
/// `NBD_REP_ERR_UNSUP`: the option is not known.
pub const ERR_UNSUPPORTED: u32 = (1 << 31) + 1;
/// `NBD_REP_ERR_INVALID`: the option's data is malformed, or the option is not possible here.
pub const ERR_INVALID: u32 = (1 << 31) + 3;
/// `NBD_REP_ERR_UNKNOWN`: there is no disk of this name.
pub const ERR_UNKNOWN: u32 = (1 << 31) + 6;

/// `NBD_INFO_EXPORT`: the disk.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct ExportInfo {
    /// 0.
    pub kind: U16,
    /// The disk.
    pub export: Export,
}

/// What a client has to know about a disk.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Export {
    /// Its length in bytes.
    pub length: U64,
    /// [`EXPORT_FLAGS`].
    pub flags: U16,
}

/// `NBD_FLAG_HAS_FLAGS` and `NBD_FLAG_READ_ONLY`.
pub const EXPORT_FLAGS: u16 = 1 | 1 << 1;

/// `NBD_INFO_BLOCK_SIZE`: the lengths of requests, in bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct BlockSizeInfo {
    /// 3.
    pub kind: U16,
    /// Offsets and lengths are multiples of this.
    pub minimum: U32,
    /// Shorter requests are slow.
    pub preferred: U32,
    /// Longer requests to read fail.
    pub maximum: U32,
}

/// A request.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Request {
    /// [`REQUEST`].
    pub magic: U32,
    /// `NBD_CMD_FLAG_*`.
    pub flags: U16,
    /// The command: `NBD_CMD_*`.
    pub command: U16,
    /// Replies have the same number.
    pub cookie: U64,
    /// First byte on the disk.
    pub offset: U64,
    /// Number of bytes.
    pub length: U32,
}

/// The magic number of a [`Request`].
pub const REQUEST: u32 = 0x2560_9513;

/// `NBD_CMD_READ`: returns bytes.
pub const READ: u16 = 0;
/// `NBD_CMD_WRITE`: is followed by bytes.
pub const WRITE: u16 = 1;
/// `NBD_CMD_DISC`: there are no more requests.
pub const DISCONNECT: u16 = 2;
/// `NBD_CMD_TRIM`: drops bytes.
pub const TRIM: u16 = 4;
/// `NBD_CMD_WRITE_ZEROES`: overwrites bytes.
pub const WRITE_ZEROES: u16 = 6;
/// `NBD_CMD_BLOCK_STATUS`: returns which bytes are data.
pub const BLOCK_STATUS: u16 = 7;

/// `NBD_CMD_FLAG_REQ_ONE`: the client wants only the first range of [`BLOCK_STATUS`].
pub const REQUEST_ONE: u16 = 1 << 3;

/// A reply without chunks, which is followed by the bytes that were read.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SimpleReply {
    /// [`SIMPLE_REPLY`].
    pub magic: U32,
    /// 0 or an error: [`PERMISSION`], …
    pub error: U32,
    /// That of the request.
    pub cookie: U64,
}

/// The magic number of a [`SimpleReply`].
pub const SIMPLE_REPLY: u32 = 0x6744_6698;

/// The beginning of a chunk, which is followed by `length` bytes.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Chunk {
    /// [`CHUNK`].
    pub magic: U32,
    /// [`DONE`].
    pub flags: U16,
    /// [`DATA`], [`STATUS`] or [`ERROR`].
    pub kind: U16,
    /// That of the request.
    pub cookie: U64,
    /// The number of bytes that follow.
    pub length: U32,
}

/// The magic number of a [`Chunk`].
pub const CHUNK: u32 = 0x668e_33ef;

/// `NBD_REPLY_FLAG_DONE`: there is no further chunk for the request.
pub const DONE: u16 = 1;

/// `NBD_REPLY_TYPE_OFFSET_DATA`: an offset on the disk and the bytes there.
pub const DATA: u16 = 1;
/// `NBD_REPLY_TYPE_BLOCK_STATUS`: a [`Status`].
pub const STATUS: u16 = 5;
/// `NBD_REPLY_TYPE_ERROR`: a [`Failure`].
pub const ERROR: u16 = (1 << 15) + 1;

/// The state of a range, which begins where the request does.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Status {
    /// The number of the context: [`CONTEXT`].
    pub context: U32,
    /// The length of the range in bytes.
    pub length: U32,
    /// 0 for data, [`HOLE`] for a hole.
    pub flags: U32,
}

/// The name of the only context.
pub const ALLOCATION: &[u8] = b"base:allocation";

/// The number of the only context.
pub const CONTEXT: u32 = 1;

/// `NBD_STATE_HOLE` and `NBD_STATE_ZERO`.
pub const HOLE: u32 = 1 | 1 << 1;

/// Why a request failed, without a message.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Failure {
    /// [`PERMISSION`], …
    pub error: U32,
    /// The length of the message: 0.
    pub message: U16,
}

/// `NBD_EPERM`: the disk cannot be written to.
pub const PERMISSION: u32 = 1;
/// `NBD_EIO`: the disk cannot be read.
pub const INPUT_OUTPUT: u32 = 5;
/// `NBD_EINVAL`: the request is malformed.
pub const INVALID: u32 = 22;

/// Reads a message.
///
/// # Errors
/// Those of `from`, for example its end ([`io::ErrorKind::UnexpectedEof`]).
pub fn receive<T: FromBytes + IntoBytes>(from: &mut impl Read) -> io::Result<T> {
    let mut message = T::new_zeroed();
    from.read_exact(message.as_mut_bytes())?;
    Ok(message)
}
