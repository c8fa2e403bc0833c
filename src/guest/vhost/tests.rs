//! A machine as a client of the server, with the frontend of the crate `vhost`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::virtio_blk::{VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend};
use vmm_sys_util::eventfd::EventFd;

use super::*;
use crate::guest::console::{Console, End};
use crate::guest::halt::Failure;
use crate::guest::machine::Run;
use crate::guest::tests::{job, machine};
use crate::image::{Content, Image, LazyImage, Part};

const LONG: Duration = Duration::from_secs(30);
const MEMORY: usize = 1 << 20;
const LENGTH: u64 = 64 << 10;

/// Where the parts of the queue and of a request are in the guest's memory.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const HEADER: u64 = 0x3000;
const STATUS: u64 = 0x4000;
const DATA: u64 = 0x5000;

/// Serves a disk with `bytes` at its start to `client`. Returns the end of the server, and how the guest
/// would have ended.
fn served(bytes: &[u8], client: impl FnOnce(&Path) + Send) -> (Result<()>, End, Option<Failure>) {
    let directory = tempfile::tempdir().unwrap();
    let part = Part {
        name: "test".to_owned(),
        start: 0,
        length: LENGTH,
        content: Content::Bytes(bytes.to_vec()),
    };
    let image = Image {
        length: LENGTH,
        parts: vec![part],
    };
    let run = Run {
        machine: &machine(),
        job: &job("t0ken"),
        disk: &Arc::new(LazyImage::new(image, &directory.path().join("disk")).unwrap()),
        init: Path::new("/dev/null"),
        directory: directory.path(),
    };
    // A console that stays open until the client has ended.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut console = Console::new(reader, "t0ken");
    let halt = Arc::new(Halt::new(console.stop(), run.directory, 2 * LENGTH));
    let disk = run.make_disk().unwrap();
    let server = Server::new(run.directory, "socket", halt.clone()).unwrap();
    let end = thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve(disk));
        client(run.directory);
        drop(writer);
        server.stop();
        serving.join().unwrap()
    });
    (end, console.follow(LONG, LONG), halt.failure())
}

/// A machine with a queue of one request.
struct Machine {
    frontend: Frontend,
    memory: GuestMemoryMmap,
    kick: EventFd,
    call: EventFd,
    requests: u16,
}

impl Machine {
    fn connect(directory: &Path) -> Machine {
        let mut frontend = Frontend::connect(directory.join("socket"), 1).unwrap();
        frontend.set_owner().unwrap();
        let features = frontend.get_features().unwrap();
        let protocol = frontend.get_protocol_features().unwrap();
        // Without the index of events, every request is announced.
        let event_index = 1 << virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
        frontend.set_features(features & !event_index).unwrap();
        frontend.set_protocol_features(protocol).unwrap();

        let file = File::from(memfd_create("memory", MFdFlags::empty()).unwrap());
        file.set_len(MEMORY as u64).unwrap();
        let range = (GuestAddress(0), MEMORY, Some(FileOffset::new(file, 0)));
        let memory = GuestMemoryMmap::from_ranges_with_files([range]).unwrap();
        let region = memory.find_region(GuestAddress(0)).unwrap();
        let region = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        frontend.set_mem_table(&[region]).unwrap();
        let at = |offset| region.userspace_addr + offset;
        let config = VringConfigData {
            queue_max_size: 4,
            queue_size: 4,
            flags: 0,
            desc_table_addr: at(DESCRIPTORS),
            used_ring_addr: at(USED),
            avail_ring_addr: at(AVAILABLE),
            log_addr: None,
        };
        frontend.set_vring_num(0, 4).unwrap();
        frontend.set_vring_addr(0, &config).unwrap();
        frontend.set_vring_base(0, 0).unwrap();
        let (kick, call) = (EventFd::new(0).unwrap(), EventFd::new(0).unwrap());
        frontend.set_vring_call(0, &call).unwrap();
        frontend.set_vring_kick(0, &kick).unwrap();
        frontend.set_vring_enable(0, true).unwrap();
        Machine {
            frontend,
            memory,
            kick,
            call,
            requests: 0,
        }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    /// Adds a descriptor (VIRTIO 1.2, section 2.7.5).
    fn describe(&self, index: u16, at: u64, length: u32, flags: u16) {
        let bytes = [
            &at.to_le_bytes()[..],
            &length.to_le_bytes(),
            &flags.to_le_bytes(),
            &(index + 1).to_le_bytes(),
        ];
        self.put(DESCRIPTORS + u64::from(index) * 16, &bytes.concat());
    }

    /// Makes a request for 512 bytes of memory at `data`, and returns its status.
    fn request(&mut self, kind: u32, sector: u64, data: u64) -> u8 {
        const NEXT: u16 = 1;
        const WRITE: u16 = 2;
        let header = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat();
        self.put(HEADER, &header);
        self.put(STATUS, &[99]);
        self.describe(0, HEADER, 16, NEXT);
        let to_memory = if kind == VIRTIO_BLK_T_IN { WRITE } else { 0 };
        self.describe(1, data, 512, NEXT | to_memory);
        self.describe(2, STATUS, 1, WRITE);
        // The ring has only the chain that begins with descriptor 0.
        self.requests += 1;
        self.put(AVAILABLE + 2, &self.requests.to_le_bytes());
        self.kick.write(1).unwrap();
        self.call.read().unwrap();
        self.memory.read_obj(GuestAddress(STATUS)).unwrap()
    }

    fn data(&self) -> Vec<u8> {
        let mut data = vec![0; 512];
        let at = GuestAddress(DATA);
        self.memory.read_slice(&mut data, at).unwrap();
        data
    }
}

#[test]
fn a_machine_reads_and_writes_the_disk() {
    let (end, guest, failure) = served(&[7; 1024], |directory| {
        let mut machine = Machine::connect(directory);
        let flags = VhostUserConfigFlags::empty();
        let (_, capacity) = machine.frontend.get_config(0, 8, flags, &[0; 8]).unwrap();
        assert_eq!(capacity, (LENGTH / 512).to_le_bytes());
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, DATA), 0);
        assert!(machine.data() == [7; 512]);
        machine.put(DATA, &[8; 512]);
        assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 1, DATA), 0);
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 2, DATA), 0);
        assert!(machine.data() == [0; 512]);
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, DATA), 0);
        assert!(machine.data() == [8; 512]);
        // Beyond the end of the disk.
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, LENGTH / 512, DATA), 1);
    });
    end.unwrap();
    assert_eq!(guest, End::Closed);
    assert!(failure.is_none());
}

#[test]
fn a_disk_that_cannot_be_read_stops_the_guest() {
    let (end, guest, failure) = served(&[7; 1024], |directory| {
        // As if the file of the metadata were cut.
        let made = File::options().write(true).open(directory.join("disk"));
        made.unwrap().set_len(100).unwrap();
        assert_eq!(
            Machine::connect(directory).request(VIRTIO_BLK_T_IN, 0, DATA),
            1
        );
    });
    end.unwrap();
    assert_eq!(guest, End::Stopped);
    let Some(Failure::Unreadable(error)) = failure else {
        panic!("no failure");
    };
    let expected = "/disk has at most 100 bytes but was longer when it was listed: it was changed during the \
                    build; build again when nothing writes to it";
    assert!(error.to_string().ends_with(expected), "{error}");
}

/// The queue is in memory that the guest can change at any time.
#[test]
fn a_broken_queue_stops_the_guest_or_is_ignored() {
    let (end, guest, failure) = served(&[], |directory| {
        let mut machine = Machine::connect(directory);
        machine.requests = 1000;
        machine.put(AVAILABLE + 2, &machine.requests.to_le_bytes());
        machine.kick.write(1).unwrap();
        // Gives the server time to see it.
        thread::sleep(Duration::from_millis(100));
    });
    end.unwrap();
    assert_eq!(guest, End::Stopped);
    let Some(Failure::Unreadable(error)) = failure else {
        panic!("no failure");
    };
    let error = format!("{error:#}");
    assert!(
        error.starts_with("the queue of the guest's disk: "),
        "{error}"
    );

    let (end, _, failure) = served(&[], |directory| {
        let mut machine = Machine::connect(directory);
        // Data outside of the guest's memory: the request is skipped, and its status not written.
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 0, 1 << 40), 99);
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 0, DATA), 0);
    });
    end.unwrap();
    assert!(failure.is_none());
}

#[test]
fn a_server_ends_without_a_machine_and_rejects_other_protocols() {
    let begin = Instant::now();
    let (end, guest, _) = served(&[], |_| ());
    end.unwrap();
    assert_eq!(guest, End::Closed);

    let (end, guest, _) = served(&[], |directory| {
        let mut stream = UnixStream::connect(directory.join("socket")).unwrap();
        // A request that does not exist, of version 1, without a body.
        let header = [99_u32, 1, 0].map(u32::to_ne_bytes).concat();
        stream.write_all(&header).unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        // The end of the connection is seen before that of the server.
        thread::sleep(Duration::from_millis(100));
    });
    let error = format!("{:#}", end.unwrap_err());
    assert_eq!(
        error,
        "serving socket to the guest's machine: failed to handle request: invalid message"
    );
    assert_eq!(guest, End::Stopped);
    assert!(begin.elapsed() < LONG);
}

#[test]
fn the_path_of_a_socket_may_be_long() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("d".repeat(200));
    fs::create_dir(&long).unwrap();
    UnixListener::bind(long.join("s")).unwrap_err();
    let (reader, _writer) = std::io::pipe().unwrap();
    let halt = Arc::new(Halt::new(Console::new(reader, "t0ken").stop(), &long, 512));
    drop(Server::new(&long, "socket", halt).unwrap());
    assert!(long.join("socket").exists());
}
