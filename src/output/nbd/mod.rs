//! Serves a disk to a program that reads it over a socket, so that it does not have to be written
//! first.
//!
//! The protocol is NBD ("doc/proto.md" of the NBD project). The disk is read-only. A client that asks
//! for it gets structured replies, and learns which ranges are holes (`base:allocation`).
//!
//! Several requests are answered at a time, each by a thread that has received it, and in any order.
//! Every thread has one buffer, so the longest request limits the memory that is needed.

mod answer;
mod handshake;
#[cfg(test)]
mod tests;
mod wire;

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Error, Result, anyhow};

use self::answer::{MAXIMUM, Worker};
use self::handshake::{Agreed, handshake};
use self::wire::Request;
use crate::cores;
use crate::image::{Allocation, LazyImage};

/// The most threads; `qemu-img convert` has no more requests at a time.
const THREADS: usize = 8;

/// What happened while a disk was served.
#[derive(Debug)]
pub struct Served {
    /// Whether the client could read the disk: it finished the handshake.
    pub connected: bool,
    /// The first error of reading the disk.
    pub unreadable: Option<Error>,
    /// How the client violated the protocol.
    pub violation: Option<Error>,
}

/// Serves `disk` to the other end of `socket`, while `client` runs. `progress` is called from any thread
/// with the number of bytes that were read so far.
///
/// # Errors
/// If the disk cannot be served. Then, `client` does not run.
pub fn serve<T>(
    disk: &LazyImage,
    socket: &UnixStream,
    progress: &(dyn Fn(u64) + Sync),
    client: impl FnOnce() -> T,
) -> Result<(T, Served)> {
    let connection = Connection {
        disk,
        allocation: disk.allocation()?,
        input: Mutex::new(Input {
            stream: BufReader::new(socket),
            phase: Phase::Handshake,
        }),
        output: Mutex::new(socket),
        connected: AtomicBool::new(false),
        unreadable: Mutex::default(),
        violation: Mutex::default(),
        progress,
        read: AtomicU64::new(0),
    };
    let end = thread::scope(|scope| {
        // When the client has ended, a process that it left behind may keep its end open.
        let hang_up = HangUp(socket);
        // A client may wait for the end of the connection after its last request.
        let last_thread = Arc::new(HangUp(socket));
        for number in 0..cores::count().min(THREADS) {
            let thread = thread::Builder::new().name("nbd".to_owned());
            let hang_up = last_thread.clone();
            let connection = &connection;
            let started = thread.spawn_scoped(scope, move || {
                connection.answer_requests();
                drop(hang_up);
            });
            match started {
                Ok(_) => {}
                Err(error) if number == 0 => {
                    return Err(error).context("starting a thread that serves the disk");
                }
                // With fewer threads, it takes longer.
                Err(_) => break,
            }
        }
        drop(last_thread);
        let end = client();
        drop(hang_up);
        Ok(end)
    })?;
    let served = Served {
        connected: connection.connected.into_inner(),
        unreadable: into_inner(connection.unreadable),
        violation: into_inner(connection.violation),
    };
    Ok((end, served))
}

/// The connection to the client.
struct Connection<'a> {
    disk: &'a LazyImage,
    allocation: Allocation,
    input: Mutex<Input<'a>>,
    output: Mutex<&'a UnixStream>,
    connected: AtomicBool,
    unreadable: Mutex<Option<Error>>,
    violation: Mutex<Option<Error>>,
    progress: &'a (dyn Fn(u64) + Sync),
    read: AtomicU64,
}

/// What comes from the client.
struct Input<'a> {
    stream: BufReader<&'a UnixStream>,
    phase: Phase,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Handshake,
    Transmission(Agreed),
    Ended,
}

impl Connection<'_> {
    /// Answers one request after the other, as several threads do, until there are no more.
    fn answer_requests(&self) {
        let mut worker = Worker::new(self);
        loop {
            let mut input = lock(&self.input);
            match self.next(&mut input) {
                Ok(Some((request, agreed))) => {
                    drop(input);
                    // If it fails, the client is gone, which the next request shows.
                    let _ = worker.answer(&request, agreed);
                }
                Ok(None) => return input.phase = Phase::Ended,
                Err(error) => {
                    input.phase = Phase::Ended;
                    // A client that ends in the middle of a message was stopped.
                    if !error.is::<io::Error>() {
                        lock(&self.violation).get_or_insert(error);
                    }
                    return;
                }
            }
        }
    }

    /// Returns the next request, or `None` after the last one.
    ///
    /// # Errors
    /// If the client violates the protocol, and those of the socket.
    fn next(&self, input: &mut Input<'_>) -> Result<Option<(Request, Agreed)>> {
        let agreed = match input.phase {
            Phase::Transmission(agreed) => agreed,
            Phase::Ended => return Ok(None),
            Phase::Handshake => {
                let mut output = *lock(&self.output);
                let length = self.disk.length();
                let Some(agreed) = handshake(&mut input.stream, &mut output, length, MAXIMUM)?
                else {
                    return Ok(None);
                };
                input.phase = Phase::Transmission(agreed);
                self.connected.store(true, Ordering::Relaxed);
                agreed
            }
        };
        let request: Request = wire::receive(&mut input.stream)?;
        if request.magic != wire::REQUEST {
            return Err(anyhow!("a request begins with {:#010x}", request.magic));
        }
        if request.command == wire::WRITE {
            // It is refused, but the bytes are there.
            let bytes = io::Read::take(&mut input.stream, request.length.get().into());
            io::copy(&mut { bytes }, &mut io::sink())?;
        }
        Ok((request.command != wire::DISCONNECT).then_some((request, agreed)))
    }
}

/// Ends the connection when it is dropped, which wakes the threads that wait for the client.
struct HangUp<'a>(&'a UnixStream);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        // It fails if the client has already ended the connection.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
