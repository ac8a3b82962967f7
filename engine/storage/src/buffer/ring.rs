//! Rings: the few frames a bulk operation uses again and again, so that it doesn't push out everything.
//!
//! Realises: `BufferAccessStrategy`. A ring belongs to one operation of one backend.

use kokkiri_primitives::BLOCK_SIZE;
use parking_lot::Mutex;

use super::BufferPool;
use super::descriptor::Touch;

/// What the operation is, with pg_stat_io's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RingKind {
    BulkRead,
    BulkWrite,
    Vacuum,
}

impl RingKind {
    pub fn name(self) -> &'static str {
        match self {
            RingKind::BulkRead => "bulkread",
            RingKind::BulkWrite => "bulkwrite",
            RingKind::Vacuum => "vacuum",
        }
    }
}

#[derive(Debug)]
struct Slots {
    frames: Box<[Option<u32>]>,
    current: usize,
}

#[derive(Debug)]
pub struct Ring {
    kind: RingKind,
    slots: Mutex<Slots>,
}

const fn pages(kilobytes: usize) -> usize {
    kilobytes * 1024 / BLOCK_SIZE
}

impl Ring {
    /// For a sequential scan of a table larger than a quarter of the pool: 256 KB and what the configured
    /// input concurrency needs besides.
    pub fn bulk_read(pool: &BufferPool) -> Self {
        let config = pool.config();
        let least = pages(256);
        let wanted = least + config.io_combine_limit * config.effective_io_concurrency;
        Self::with_frames(RingKind::BulkRead, pool, wanted.min(config.pin_limit.max(least)))
    }

    /// For COPY and CREATE TABLE AS: 16 MB.
    pub fn bulk_write(pool: &BufferPool) -> Self {
        Self::with_frames(RingKind::BulkWrite, pool, pages(16 * 1024))
    }

    /// For VACUUM and ANALYZE, with vacuum_buffer_usage_limit; `None` if that is zero: no limit.
    pub fn vacuum(pool: &BufferPool, kilobytes: usize) -> Option<Self> {
        (kilobytes > 0).then(|| Self::with_frames(RingKind::Vacuum, pool, pages(kilobytes)))
    }

    /// No ring is larger than an eighth of the pool.
    fn with_frames(kind: RingKind, pool: &BufferPool, frames: usize) -> Self {
        let frames = frames.min(pool.frames() / 8).max(1);
        Self { kind, slots: Mutex::new(Slots { frames: vec![None; frames].into(), current: 0 }) }
    }

    pub fn kind(&self) -> RingKind {
        self.kind
    }

    /// How many frames it has at most.
    pub fn capacity(&self) -> usize {
        self.slots.lock().frames.len()
    }

    /// How many of its pages may be pinned ahead: who writes needs the others to be clean again first.
    /// `GetAccessStrategyPinLimit`.
    pub fn pin_limit(&self) -> usize {
        match self.kind {
            RingKind::BulkRead => self.capacity(),
            RingKind::BulkWrite | RingKind::Vacuum => (self.capacity() / 2).max(1),
        }
    }

    pub(super) fn touch(ring: Option<&Self>) -> Touch {
        if ring.is_some() { Touch::Ring } else { Touch::Normal }
    }

    /// Steps to the next slot and names its frame.
    pub(super) fn advance(&self) -> Option<u32> {
        let mut slots = self.slots.lock();
        slots.current = (slots.current + 1) % slots.frames.len();
        slots.frames[slots.current]
    }

    /// Puts a frame into the current slot.
    pub(super) fn remember(&self, frame: u32) {
        let mut slots = self.slots.lock();
        let current = slots.current;
        slots.frames[current] = Some(frame);
    }

    pub(super) fn forget(&self, frame: u32) {
        let mut slots = self.slots.lock();
        let current = slots.current;
        if slots.frames[current] == Some(frame) {
            slots.frames[current] = None;
        }
    }
}
