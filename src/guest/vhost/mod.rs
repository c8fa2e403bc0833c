//! Serves the guest's disks to its machine from this process, as virtio block devices over Unix
//! sockets (vhost-user-blk). So the contents of files are read from where they are stored, and only if
//! the guest needs them.
//!
//! The protocol is vhost-user (QEMU, docs/interop/vhost-user.rst), the device is in the Virtual I/O
//! Device (VIRTIO) specification 1.2, section 5.2. The machine shares the guest's memory with this
//! process.

mod device;
mod disk;
mod request;
#[cfg(test)]
mod tests;
mod written;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::socket;
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error, ShutdownHandle, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use self::device::Device;
pub use self::disk::Disk;
use super::halt::Halt;
use crate::{absent, escape};

/// The server of one disk, for one machine.
pub struct Server {
    name: &'static str,
    listener: UnixListener,
    halt: Arc<Halt>,
    connection: Mutex<Connection>,
}

/// The state of a server's connection.
enum Connection {
    None,
    Open(ShutdownHandle),
    /// No connection is wanted any more.
    Stopped,
}

impl Server {
    /// Creates the socket `name` in `directory`, at which a disk is served to one machine.
    ///
    /// # Errors
    /// If the socket cannot be created.
    pub fn new(directory: &Path, name: &'static str, halt: Arc<Halt>) -> Result<Server> {
        let path = directory.join(name);
        let creating = || format!("creating the socket {}", escape::path(&path));
        // An earlier machine may have left one.
        absent::optional(fs::remove_file(&path)).with_context(creating)?;
        // The address of a socket is limited to 108 bytes (unix(7)).
        let directory = File::open(directory).with_context(creating)?;
        let short = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        let listener = UnixListener::bind(short).with_context(creating)?;
        Ok(Server {
            name,
            listener,
            halt,
            connection: Mutex::new(Connection::None),
        })
    }

    /// Serves `disk` until the machine closes the connection or [`Server::stop`] is called. If the
    /// disk fails, the guest gets an I/O error, and the server's [`Halt`] is used.
    ///
    /// # Errors
    /// If the machine violates the protocol, or a thread cannot be started. The guest is stopped then.
    pub fn serve(&self, disk: Disk) -> Result<()> {
        let end = self.connect(disk);
        if end.is_err() {
            self.halt.stop();
        }
        end.with_context(|| format!("serving {} to the guest's machine", self.name))
    }

    fn connect(&self, disk: Disk) -> Result<()> {
        let listener = self.listener.try_clone().context("duplicating a socket")?;
        let device = Arc::new(Mutex::new(Device::new(disk, self.halt.clone())?));
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let mut daemon = VhostUserDaemon::new(self.name.to_owned(), device, memory)
            .map_err(|error| anyhow!("{error}"))?;
        let accepted = daemon.start(&mut Listener::from(listener));
        {
            let mut connection = lock(&self.connection);
            match (&*connection, accepted, daemon.shutdown_handle()) {
                (Connection::Stopped, ..) => daemon.request_shutdown(),
                (_, Ok(()), Some(handle)) => *connection = Connection::Open(handle),
                (_, Ok(()), None) => return Err(anyhow!("there is no connection")),
                (_, Err(error), _) => return Err(anyhow!("{error}")),
            }
        }
        match daemon.wait() {
            Ok(())
            | Err(Error::HandleRequest(
                ProtocolError::Disconnected | ProtocolError::PartialMessage,
            )) => Ok(()),
            Err(error) if is_out_of_memory(&error) => Err(anyhow!(
                "the guest's memory cannot be mapped: {error}; this process needs twice memSize of \
                 address space for it: set a smaller memSize, or raise the limit (ulimit -v)"
            )),
            Err(error) => Err(anyhow!("{error}")),
        }
    }

    /// Ends the connection, and makes [`Server::serve`] return.
    pub fn stop(&self) {
        let mut connection = lock(&self.connection);
        if let Connection::Open(handle) = &*connection {
            handle.shutdown();
        }
        *connection = Connection::Stopped;
        // Wakes a server that waits for a connection: accept(2) fails. It cannot fail for an open socket.
        let _ = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
    }
}

/// Returns whether a request failed because this process may not use more memory. The crate gives the
/// reason only as text.
fn is_out_of_memory(error: &Error) -> bool {
    let reason = std::io::Error::from(Errno::ENOMEM).to_string();
    error.to_string().contains(&reason)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
