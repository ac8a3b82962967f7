//! Which frame holds a page: a hash table of chains through the descriptors.
//!
//! Realises: `buf_table.c`, in 128 partitions. Changing a chain needs its partition's lock. Looking up
//! doesn't: a chain is walked as it is, what is found is pinned, and only then is its tag believed. A walk
//! that a change leads astray finds nothing, and the caller looks again under the lock.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::descriptor::{BufferTag, Descriptor};

const PARTITIONS: usize = 128;
/// Longest walk without the lock; a chain that seems longer is probably changing.
const MAX_STEPS: usize = 32;

pub(super) struct Mapping {
    /// First frame of each chain, plus one; zero if empty. A power of two of them.
    heads: Box<[AtomicU32]>,
    partitions: Box<[Mutex<()>]>,
}

/// A locked partition, the one that `hash` belongs to.
pub(super) struct LockedChain<'a> {
    head: &'a AtomicU32,
    _partition: MutexGuard<'a, ()>,
}

impl Mapping {
    pub fn new(frames: usize) -> Self {
        let size = (frames * 2).next_power_of_two().max(PARTITIONS);
        Self {
            heads: (0..size).map(|_| AtomicU32::new(0)).collect(),
            partitions: (0..PARTITIONS).map(|_| Mutex::new(())).collect(),
        }
    }

    fn head(&self, hash: u64) -> &AtomicU32 {
        &self.heads[hash as usize & (self.heads.len() - 1)]
    }

    /// The frame that seems to hold the page. May miss one that does.
    #[inline]
    pub fn find(&self, descriptors: &[Descriptor], tag: &BufferTag, hash: u64) -> Option<u32> {
        let mut link = self.head(hash).load(Ordering::Acquire);
        for _ in 0..MAX_STEPS {
            let frame = link.checked_sub(1)?;
            let descriptor = &descriptors[frame as usize];
            if descriptor.matches(tag) {
                return Some(frame);
            }
            link = descriptor.next.load(Ordering::Acquire);
        }
        None
    }

    pub fn lock(&self, hash: u64) -> LockedChain<'_> {
        let partition = hash as usize & (PARTITIONS - 1);
        LockedChain { head: self.head(hash), _partition: self.partitions[partition].lock() }
    }
}

impl LockedChain<'_> {
    pub fn find(&self, descriptors: &[Descriptor], tag: &BufferTag) -> Option<u32> {
        let mut link = self.head.load(Ordering::Relaxed);
        loop {
            let frame = link.checked_sub(1)?;
            let descriptor = &descriptors[frame as usize];
            if descriptor.matches(tag) {
                return Some(frame);
            }
            link = descriptor.next.load(Ordering::Relaxed);
        }
    }

    pub fn insert(&self, descriptors: &[Descriptor], frame: u32) {
        let first = self.head.load(Ordering::Relaxed);
        descriptors[frame as usize].next.store(first, Ordering::Release);
        self.head.store(frame + 1, Ordering::Release);
    }

    /// Takes a frame out of the chain it is in.
    pub fn remove(&self, descriptors: &[Descriptor], frame: u32) {
        let mut place = self.head;
        loop {
            let link = place.load(Ordering::Relaxed);
            assert!(link != 0, "a mapped frame is in its chain");
            if link == frame + 1 {
                place.store(descriptors[frame as usize].next.load(Ordering::Relaxed), Ordering::Release);
                return;
            }
            place = &descriptors[link as usize - 1].next;
        }
    }
}
