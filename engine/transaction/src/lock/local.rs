//! What one backend holds, and on whose behalf.
//!
//! Realises: `LOCALLOCK` with its per-owner counts. The shared table knows only that a backend holds a
//! mode; how often, and for which (sub)transaction or the session, is known here. Only the backend
//! itself changes its table.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::mode::LockMode;
use super::tag::LockTag;

/// On whose behalf a backend holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOwner {
    /// Until released explicitly or the session ends.
    Session,
    /// Until this subtransaction aborts or the transaction ends; 1 is the transaction itself.
    Transaction(u32),
}

/// A fast hash for small keys of integers; tags come from the server itself, nobody can aim collisions.
#[derive(Default)]
pub(super) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
}

pub(super) type TagHash = BuildHasherDefault<TagHasher>;

/// How often each owner holds one mode of one lock. Most have one owner.
type Counts = Vec<(LockOwner, u32)>;

#[derive(Default)]
pub(super) struct LocalTable(HashMap<(LockTag, LockMode), Counts, TagHash>);

/// What a release did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    NotHeld,
    StillHeld,
    /// It was the last reason to hold the mode: the shared table is to be told.
    Last,
}

impl LocalTable {
    /// Counts one more if the backend holds the mode already.
    pub fn hold_again(&mut self, tag: LockTag, mode: LockMode, owner: LockOwner) -> bool {
        match self.0.get_mut(&(tag, mode)) {
            Some(counts) => {
                add(counts, owner, 1);
                true
            }
            None => false,
        }
    }

    /// Records the first hold.
    pub fn hold(&mut self, tag: LockTag, mode: LockMode, owner: LockOwner) {
        add(self.0.entry((tag, mode)).or_default(), owner, 1);
    }

    pub fn holds(&self, tag: LockTag, mode: LockMode) -> bool {
        self.0.contains_key(&(tag, mode))
    }

    /// Gives one hold of `owner` back.
    pub fn release(&mut self, tag: LockTag, mode: LockMode, owner: LockOwner) -> Released {
        let Some(counts) = self.0.get_mut(&(tag, mode)) else { return Released::NotHeld };
        let Some(at) = counts.iter().position(|(of, _)| *of == owner) else { return Released::NotHeld };
        counts[at].1 -= 1;
        if counts[at].1 == 0 {
            counts.swap_remove(at);
        }
        if !counts.is_empty() {
            return Released::StillHeld;
        }
        self.0.remove(&(tag, mode));
        Released::Last
    }

    /// Gives back every hold of the owners that `which` selects; returns what nobody holds any more.
    pub fn release_owners(
        &mut self,
        mut which: impl FnMut(&LockTag, LockOwner) -> bool,
    ) -> Vec<(LockTag, LockMode)> {
        let mut last = Vec::new();
        self.0.retain(|(tag, mode), counts| {
            counts.retain(|(owner, _)| !which(tag, *owner));
            if counts.is_empty() {
                last.push((*tag, *mode));
            }
            !counts.is_empty()
        });
        last
    }

    /// Hands a committed subtransaction's holds to its parent.
    pub fn reassign(&mut self, from: LockOwner, to: LockOwner) {
        for counts in self.0.values_mut() {
            if let Some(at) = counts.iter().position(|(owner, _)| *owner == from) {
                let (_, count) = counts.swap_remove(at);
                add(counts, to, count);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn add(counts: &mut Counts, owner: LockOwner, n: u32) {
    match counts.iter_mut().find(|(of, _)| *of == owner) {
        Some((_, count)) => *count += n,
        None => counts.push((owner, n)),
    }
}
