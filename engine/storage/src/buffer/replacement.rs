//! Which frame is used next: free ones first, then the clock sweep.
//!
//! Realises: `freelist.c`. The hand goes round the frames; one that nobody has pinned loses a point of
//! usage, and one without points is taken.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::sqlstate::SqlState;
use parking_lot::Mutex;

use super::Pool;
use super::descriptor::{DIRTY, PERMANENT, Sweep, TAG_VALID, VALID};
use super::frame::PinnedBuffer;
use super::ring::{Ring, RingKind};

pub(super) struct Replacement {
    /// Steps the hand has made since the start: position and completed rounds in one.
    hand: AtomicU64,
    /// Frames without a page, the next to be used at the end.
    free: Mutex<Vec<u32>>,
    free_count: AtomicUsize,
    /// Frames handed out since the background writer asked last.
    allocations: AtomicU64,
    total_allocations: AtomicU64,
}

/// Where the clock hand is and what was asked of it: `StrategySyncStart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationStatistics {
    pub hand: usize,
    pub rounds: u64,
    /// Frames handed out since this was asked last.
    pub recent: u64,
    /// pg_stat_bgwriter's `buffers_alloc`.
    pub total: u64,
}

impl Replacement {
    pub fn new(frames: usize) -> Self {
        Self {
            hand: AtomicU64::new(0),
            free: Mutex::new((0..frames as u32).rev().collect()),
            free_count: AtomicUsize::new(frames),
            allocations: AtomicU64::new(0),
            total_allocations: AtomicU64::new(0),
        }
    }

    fn pop_free(&self) -> Option<u32> {
        if self.free_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let frame = self.free.lock().pop()?;
        self.free_count.fetch_sub(1, Ordering::Relaxed);
        Some(frame)
    }

    pub fn push_free(&self, frame: u32) {
        self.free.lock().push(frame);
        self.free_count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_allocation(&self) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.total_allocations.fetch_add(1, Ordering::Relaxed);
    }

    pub fn statistics(&self, frames: usize, reset: bool) -> AllocationStatistics {
        let steps = self.hand.load(Ordering::Relaxed);
        let recent = match reset {
            true => self.allocations.swap(0, Ordering::Relaxed),
            false => self.allocations.load(Ordering::Relaxed),
        };
        AllocationStatistics {
            hand: (steps % frames as u64) as usize,
            rounds: steps / frames as u64,
            recent,
            total: self.total_allocations.load(Ordering::Relaxed),
        }
    }
}

impl Pool {
    /// A pinned frame without a page, written out first if it was dirty: `GetVictimBuffer`.
    pub(super) fn victim(&self, ring: Option<&Ring>) -> Result<PinnedBuffer> {
        loop {
            let (pin, from_ring) = self.candidate(ring)?;
            let state = pin.descriptor().state();
            if state.has(DIRTY) {
                // Never waits: the caller may hold content locks that the holder of this one waits for.
                let Ok(guard) = pin.clone().try_read() else { continue };
                if from_ring
                    && let Some(ring) = ring
                    && ring.kind() == RingKind::BulkRead
                    && state.has(PERMANENT)
                    && self.wal.as_ref().is_some_and(|wal| wal.needs_flush(guard.lsn()))
                {
                    // A reader shouldn't pay for a WAL flush: let the page leave the ring instead.
                    ring.forget(pin.frame());
                    continue;
                }
                self.flush_locked(&guard)?;
            }
            if self.evict_pinned(&pin) {
                self.replacement.count_allocation();
                return Ok(pin);
            }
        }
    }

    /// A pinned frame that nobody else had pinned, and whether the ring gave it.
    fn candidate(&self, ring: Option<&Ring>) -> Result<(PinnedBuffer, bool)> {
        if let Some(ring) = ring
            && let Some(frame) = ring.advance()
            && self.descriptor(frame).take(1)
        {
            return Ok((PinnedBuffer::adopt(self, frame), true));
        }
        let frame = self.next_frame()?;
        if let Some(ring) = ring {
            ring.remember(frame);
        }
        Ok((PinnedBuffer::adopt(self, frame), false))
    }

    /// Pins a free frame or the one where the clock hand stops.
    fn next_frame(&self) -> Result<u32> {
        while let Some(frame) = self.replacement.pop_free() {
            // The sweep may have been there first.
            if self.descriptor(frame).take(0) {
                return Ok(frame);
            }
        }
        let frames = self.descriptors.len() as u64;
        // As many pinned frames in a row as there are frames: all are pinned.
        let mut patience = frames;
        while patience > 0 {
            let frame = (self.replacement.hand.fetch_add(1, Ordering::Relaxed) % frames) as u32;
            match self.descriptor(frame).sweep() {
                Sweep::Taken => return Ok(frame),
                Sweep::Aged => patience = frames,
                Sweep::Pinned => patience -= 1,
            }
        }
        let message = match self.owner {
            None => "no unpinned buffers available",
            Some(_) => "no empty local buffer available",
        };
        Err(Error::new(SqlState::INSUFFICIENT_RESOURCES, message))
    }

    /// Takes the page out of a frame that the caller has pinned; false if somebody else has, too, or it is
    /// dirty again: `InvalidateVictimBuffer`.
    pub(super) fn evict_pinned(&self, pin: &PinnedBuffer) -> bool {
        self.empty_frame(pin, false)
    }

    pub(super) fn empty_frame(&self, pin: &PinnedBuffer, discard: bool) -> bool {
        let descriptor = pin.descriptor();
        if !descriptor.state().has(TAG_VALID) {
            return descriptor.state().pins() == 1;
        }
        let tag = pin.tag();
        let chain = self.mapping.lock(tag.hash());
        if !descriptor.empty(discard) {
            return false;
        }
        chain.remove(&self.descriptors, pin.frame());
        true
    }

    /// Pins the page's frame, giving it one if it has none. The page need not be valid yet:
    /// `BufferAlloc`.
    pub(super) fn allocate(
        &self,
        tag: &super::BufferTag,
        permanent: bool,
        ring: Option<&Ring>,
    ) -> Result<PinnedBuffer> {
        let (hash, touch) = (tag.hash(), Ring::touch(ring));
        {
            let chain = self.mapping.lock(hash);
            if let Some(frame) = chain.find(&self.descriptors, tag)
                && let Some((pin, _)) = self.pin_frame(frame, touch)
            {
                return Ok(pin);
            }
        }
        let victim = self.victim(ring)?;
        let chain = self.mapping.lock(hash);
        if let Some(frame) = chain.find(&self.descriptors, tag)
            && let Some((pin, _)) = self.pin_frame(frame, touch)
        {
            // Somebody was faster.
            drop(chain);
            let frame = victim.frame();
            drop(victim);
            self.replacement.push_free(frame);
            return Ok(pin);
        }
        let flags = if permanent { PERMANENT } else { 0 };
        victim.descriptor().assign(tag, flags);
        chain.insert(&self.descriptors, victim.frame());
        Ok(victim)
    }

    /// The page of a pinned frame may be used.
    pub(super) fn is_valid(&self, pin: &PinnedBuffer) -> bool {
        pin.descriptor().state().has(VALID)
    }
}
