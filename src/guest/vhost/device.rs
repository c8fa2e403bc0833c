//! A virtio block device for the vhost-user protocol.

use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackendMut, VringRwLock, VringT};
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SEG_MAX};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_INDIRECT_DESC;
use virtio_queue::{DescriptorChain, QueueOwnedT};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryLoadGuard, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use super::disk::{Disk, Failure};
use super::request::{Request, SECTOR, answer};
use crate::guest::halt::Halt;
use crate::image::Reader;

/// The longest queue, in descriptors; QEMU's and User-Mode Linux's are shorter.
const QUEUE: usize = 1024;

/// The most segments of a request; with a header and a status, it is within every queue.
const SEGMENTS: u32 = 126;

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;
type Chain = DescriptorChain<GuestMemoryLoadGuard<GuestMemoryMmap>>;

/// A block device with one queue.
pub struct Device {
    disk: Disk,
    halt: Arc<Halt>,
    memory: Memory,
    exit: (EventConsumer, EventNotifier),
    buffer: Vec<u8>,
}

impl Device {
    /// Returns a device for `disk`. If the disk fails, `halt` stops the guest.
    ///
    /// # Errors
    /// If no event descriptor can be created.
    pub fn new(disk: Disk, halt: Arc<Halt>) -> Result<Device> {
        let exit = new_event_consumer_and_notifier(EventFlag::NONBLOCK)
            .context("creating an event descriptor")?;
        Ok(Device {
            disk,
            halt,
            memory: Memory::new(GuestMemoryMmap::new()),
            exit,
            buffer: Vec::new(),
        })
    }

    /// Answers all requests in the queue. Returns whether there was one.
    fn answer_all(&mut self, ring: &VringRwLock) -> io::Result<bool> {
        let memory = self.memory.memory();
        let chains: Vec<Chain> = {
            let mut state = ring.get_mut();
            let queue = state.get_queue_mut();
            queue
                .iter(memory.clone())
                .map_err(io::Error::other)?
                .collect()
        };
        let base = self.disk.base();
        let mut base = base.as_deref().map(|base| base.reader());
        let any = !chains.is_empty();
        for chain in chains {
            let head = chain.head_index();
            let length = self.answer(base.as_mut(), chain, &memory);
            ring.add_used(head, length).map_err(io::Error::other)?;
        }
        if any && ring.needs_notification().map_err(io::Error::other)? {
            ring.signal_used_queue()?;
        }
        Ok(any)
    }

    /// Answers the request `chain`. Returns how many bytes were written to the guest's memory.
    fn answer(
        &mut self,
        base: Option<&mut Reader<'_>>,
        chain: Chain,
        memory: &GuestMemoryMmap,
    ) -> u32 {
        let halves = (chain.clone().reader(memory), chain.writer(memory));
        let (Ok(from), Ok(mut to)) = halves else {
            return 0;
        };
        let Some(writable) = to.available_bytes().checked_sub(1) else {
            return 0;
        };
        let Ok(mut status) = to.split_at(writable) else {
            return 0;
        };
        let request = Request {
            readable: from.available_bytes(),
            from,
            to,
            writable,
        };
        let (length, code, end) = answer(&mut self.disk, base, request, &mut self.buffer);
        match end {
            Ok(()) => {}
            Err(Failure::Read(error)) => self.halt.unreadable(error),
            Err(Failure::Write(error)) => self.halt.unwritable(&error),
        }
        match status.write_obj(code) {
            // The guest's queue limits a request to 4 GiB.
            Ok(()) => u32::try_from(length.saturating_add(1)).unwrap_or(u32::MAX),
            Err(_) => 0,
        }
    }
}

impl VhostUserBackendMut for Device {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        1
    }

    fn max_queue_size(&self) -> usize {
        QUEUE
    }

    fn features(&self) -> u64 {
        let bits = [
            VIRTIO_F_VERSION_1,
            VIRTIO_RING_F_INDIRECT_DESC,
            VIRTIO_RING_F_EVENT_IDX,
            VIRTIO_BLK_F_SEG_MAX,
            VIRTIO_BLK_F_FLUSH,
        ];
        let features = bits.iter().fold(0, |features, bit| features | 1 << bit);
        features | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::REPLY_ACK
    }

    // The queue knows it.
    fn set_event_idx(&mut self, _: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        // The fields after `seg_max` have no feature bit here and are not read.
        let capacity = (self.disk.length() / SECTOR).to_le_bytes();
        let config = [&capacity[..], &[0; 4], &SEGMENTS.to_le_bytes()].concat();
        let rest = config.into_iter().chain(std::iter::repeat(0));
        let wanted = |number| usize::try_from(number).unwrap_or(usize::MAX);
        rest.skip(wanted(offset)).take(wanted(size)).collect()
    }

    fn update_memory(&mut self, memory: Memory) -> io::Result<()> {
        self.memory = memory;
        Ok(())
    }

    fn exit_event(&self, _: usize) -> Option<(EventConsumer, EventNotifier)> {
        let (consumer, notifier) = &self.exit;
        Some((consumer.try_clone().ok()?, notifier.try_clone().ok()?))
    }

    fn handle_event(
        &mut self,
        _: u16,
        _: EventSet,
        rings: &[VringRwLock],
        _: usize,
    ) -> io::Result<()> {
        let Some(ring) = rings.first() else {
            return Ok(());
        };
        let mut answer = || -> io::Result<()> {
            loop {
                ring.disable_notification().map_err(io::Error::other)?;
                while self.answer_all(ring)? {}
                // A request may have come before notifications were enabled.
                if !ring.enable_notification().map_err(io::Error::other)? {
                    return Ok(());
                }
            }
        };
        if let Err(error) = answer() {
            // Without an answer, the guest would wait until its time limit.
            self.halt
                .unreadable(anyhow::Error::new(error).context("the queue of the guest's disk"));
        }
        Ok(())
    }
}
