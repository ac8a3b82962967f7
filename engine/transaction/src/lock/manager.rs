//! Acquiring and releasing.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::{Oid, ProcNumber, Result};
use parking_lot::{Mutex, MutexGuard};

use super::fast_path::{FastPath, StrongLocks, is_strong, is_weak};
use super::local::{LocalTable, LockOwner, Released, TagHash};
use super::mode::LockMode;
use super::table::{Joined, Lock};
use super::tag::LockTag;

/// What to do when a lock can't be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    Block,
    /// Answer [`LockOutcome::NotAvailable`]; the caller raises NOWAIT's error.
    NoWait,
    /// Answer [`LockOutcome::NotAvailable`]; the caller skips the row.
    Skip,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    Granted,
    /// The backend held the mode already; it holds it once more now.
    AlreadyHeld,
    NotAvailable,
}

const PARTITIONS: usize = 16;

pub(super) type Partition = HashMap<LockTag, Lock, TagHash>;

/// What the lock manager keeps for each backend slot.
#[derive(Default)]
pub(super) struct BackendLocks {
    pub fast: Mutex<FastPath>,
    /// Number of entries in `fast`; others skip a backend that has none without taking its mutex.
    pub fast_count: AtomicU32,
    pub local: Mutex<LocalTable>,
    /// What the backend waits for; changed under the tag's partition.
    pub waiting: Mutex<Option<(LockTag, LockMode)>>,
    /// A `WaitState`.
    pub wait_state: AtomicU8,
    /// Local part of the backend's virtual transaction id, zero outside a transaction.
    pub virtual_transaction: AtomicU32,
    /// The last local part given out in this slot.
    pub last_virtual: AtomicU32,
    /// Milliseconds; zero means PostgreSQL's default of one second.
    pub deadlock_timeout_ms: AtomicU64,
    /// Milliseconds; zero means none.
    pub lock_timeout_ms: AtomicU64,
    /// An autovacuum worker that must not be cancelled for others' locks: it prevents wraparound.
    pub prevents_wraparound: AtomicBool,
}

/// The table of heavyweight locks of one server.
pub struct LockManager {
    partitions: [Mutex<Partition>; PARTITIONS],
    pub(super) backends: Box<[BackendLocks]>,
    strong: StrongLocks,
    pub(super) processes: Arc<ProcessArray>,
    hash: TagHash,
}

impl LockManager {
    pub fn new(processes: Arc<ProcessArray>) -> Self {
        let capacity = processes.capacity();
        Self {
            partitions: std::array::from_fn(|_| Mutex::new(Partition::default())),
            backends: (0..capacity).map(|_| BackendLocks::default()).collect(),
            strong: StrongLocks::new(),
            processes,
            hash: TagHash::default(),
        }
    }

    /// Acquires `mode` of `tag` for the backend, on behalf of `owner`. PostgreSQL's `LockAcquire`.
    ///
    /// # Errors
    /// 40P01 for a deadlock, 55P03 for lock_timeout, and interrupts, while waiting.
    pub fn acquire(
        &self,
        proc: ProcNumber,
        owner: LockOwner,
        tag: LockTag,
        mode: LockMode,
        policy: WaitPolicy,
    ) -> Result<LockOutcome> {
        let backend = self.backend(proc);
        if backend.local.lock().hold_again(tag, mode, owner) {
            return Ok(LockOutcome::AlreadyHeld);
        }
        let granted = match tag.fast_path_relation() {
            Some((database, relation)) if is_weak(mode) => {
                self.try_fast_path(backend, database, relation, mode)
                    || self.acquire_in_table(proc, tag, mode, policy)?
            }
            Some((database, relation)) if is_strong(mode) => {
                self.close_fast_path(database, relation);
                match self.acquire_in_table(proc, tag, mode, policy) {
                    Ok(true) => true,
                    failed => {
                        self.strong.end(relation);
                        failed?
                    }
                }
            }
            _ => self.acquire_in_table(proc, tag, mode, policy)?,
        };
        if !granted {
            return Ok(LockOutcome::NotAvailable);
        }
        backend.local.lock().hold(tag, mode, owner);
        Ok(LockOutcome::Granted)
    }

    /// Gives one hold back; false if `owner` does not hold the mode. PostgreSQL's `LockRelease`.
    pub fn release(&self, proc: ProcNumber, owner: LockOwner, tag: LockTag, mode: LockMode) -> bool {
        let released = self.backend(proc).local.lock().release(tag, mode, owner);
        if released == Released::Last {
            self.release_shared(proc, tag, mode);
        }
        released != Released::NotHeld
    }

    /// True if the backend holds exactly this mode.
    pub fn holds(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) -> bool {
        self.backend(proc).local.lock().holds(tag, mode)
    }

    /// Releases what the aborted subtransaction acquired.
    pub fn release_sub(&self, proc: ProcNumber, sub_transaction: u32) {
        self.release_where(proc, |_, owner| owner == LockOwner::Transaction(sub_transaction));
    }

    /// Hands what the committed subtransaction acquired to its parent.
    pub fn reassign_sub(&self, proc: ProcNumber, sub_transaction: u32, parent: u32) {
        let (from, to) = (LockOwner::Transaction(sub_transaction), LockOwner::Transaction(parent));
        self.backend(proc).local.lock().reassign(from, to);
    }

    /// Releases everything a transaction holds, its lock on itself included. Session locks stay.
    pub fn release_transaction(&self, proc: ProcNumber) {
        self.release_where(proc, |_, owner| owner != LockOwner::Session);
        self.end_self_locks(proc);
    }

    /// pg_advisory_unlock_all: releases the session's advisory locks.
    pub fn release_session_advisory(&self, proc: ProcNumber) {
        self.release_where(proc, |tag, owner| {
            owner == LockOwner::Session && matches!(tag, LockTag::Advisory { .. })
        });
    }

    /// Releases whatever the backend holds: it is going away.
    pub fn release_all(&self, proc: ProcNumber) {
        self.release_where(proc, |_, _| true);
        self.end_self_locks(proc);
    }

    /// How long the backend's requests wait before the deadlock detector runs, and at most (none if
    /// zero). The session sets both when its settings change.
    pub fn set_timeouts(&self, proc: ProcNumber, deadlock_timeout_ms: u64, lock_timeout_ms: u64) {
        let backend = self.backend(proc);
        backend.deadlock_timeout_ms.store(deadlock_timeout_ms, Ordering::Relaxed);
        backend.lock_timeout_ms.store(lock_timeout_ms, Ordering::Relaxed);
    }

    /// Says whether an autovacuum worker prevents wraparound; such a one is not cancelled for others.
    pub fn set_prevents_wraparound(&self, proc: ProcNumber, prevents: bool) {
        self.backend(proc).prevents_wraparound.store(prevents, Ordering::Relaxed);
    }

    fn release_where(&self, proc: ProcNumber, which: impl FnMut(&LockTag, LockOwner) -> bool) {
        let last = {
            let mut local = self.backend(proc).local.lock();
            if local.is_empty() {
                return;
            }
            local.release_owners(which)
        };
        for (tag, mode) in last {
            self.release_shared(proc, tag, mode);
        }
    }

    /// Takes the mode out of the fast path or the shared table.
    fn release_shared(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) {
        if let Some((database, relation)) = tag.fast_path_relation() {
            if is_weak(mode) {
                let backend = self.backend(proc);
                let mut fast = backend.fast.lock();
                if fast.release(database, relation, mode) {
                    backend.fast_count.store(fast.relations.len() as u32, Ordering::SeqCst);
                    return;
                }
            }
            self.release_in_table(proc, tag, mode);
            if is_strong(mode) {
                self.strong.end(relation);
            }
        } else {
            self.release_in_table(proc, tag, mode);
        }
    }

    pub(super) fn release_in_table(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) {
        let mut partition = self.partition(&tag);
        let Some(lock) = partition.get_mut(&tag) else { return };
        if lock.release(proc, mode) {
            self.wake(lock.grant_waiters());
        }
        if lock.is_unused() {
            partition.remove(&tag);
        }
    }

    /// Notes a weak relation lock privately, unless somebody has closed the fast path.
    fn try_fast_path(&self, backend: &BackendLocks, database: Oid, relation: Oid, mode: LockMode) -> bool {
        let mut fast = backend.fast.lock();
        // The count is published before the counter is read, and whoever raises the counter reads the
        // count afterwards: one of the two sees the other.
        backend.fast_count.store(fast.relations.len() as u32 + 1, Ordering::SeqCst);
        let granted = !self.strong.any(relation) && fast.grant(database, relation, mode);
        backend.fast_count.store(fast.relations.len() as u32, Ordering::SeqCst);
        granted
    }

    /// Closes the fast path of a relation and moves what backends have noted into the shared table.
    /// The caller reopens it with `strong.end`.
    fn close_fast_path(&self, database: Oid, relation: Oid) {
        self.strong.begin(relation);
        let tag = LockTag::Relation { database, relation };
        for (number, backend) in self.backends.iter().enumerate() {
            if backend.fast_count.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let mut fast = backend.fast.lock();
            let modes = fast.take(database, relation);
            backend.fast_count.store(fast.relations.len() as u32, Ordering::SeqCst);
            if !modes.is_empty() {
                let mut partition = self.partition(&tag);
                let lock = partition.entry(tag).or_default();
                for mode in modes.modes() {
                    lock.grant(ProcNumber(number as u32), mode);
                }
            }
        }
    }

    /// Acquires in the shared table; false if the policy forbids the wait it would take.
    fn acquire_in_table(
        &self,
        proc: ProcNumber,
        tag: LockTag,
        mode: LockMode,
        policy: WaitPolicy,
    ) -> Result<bool> {
        let mut partition = self.partition(&tag);
        let lock = partition.entry(tag).or_default();
        if lock.try_grant(proc, mode) {
            return Ok(true);
        }
        match lock.join_queue(proc, mode, policy == WaitPolicy::Block) {
            Joined::Granted => Ok(true),
            Joined::Deadlock(_) if policy != WaitPolicy::Block => Ok(false),
            Joined::Deadlock(other) => {
                drop(partition);
                Err(self.early_deadlock(proc, tag, mode, other))
            }
            Joined::Queued if policy != WaitPolicy::Block => Ok(false),
            Joined::Queued => {
                self.begin_wait(proc, tag, mode);
                drop(partition);
                self.wait_until_granted(proc, tag, mode)?;
                Ok(true)
            }
        }
    }

    pub(super) fn backend(&self, proc: ProcNumber) -> &BackendLocks {
        &self.backends[proc.0 as usize]
    }

    fn partition_index(&self, tag: &LockTag) -> usize {
        self.hash.hash_one(tag) as usize % PARTITIONS
    }

    pub(super) fn partition(&self, tag: &LockTag) -> MutexGuard<'_, Partition> {
        self.partitions[self.partition_index(tag)].lock()
    }

    /// Locks the whole table.
    pub(super) fn all_partitions(&self) -> WholeTable<'_> {
        WholeTable { manager: self, partitions: self.partitions.iter().map(|p| p.lock()).collect() }
    }
}

/// Every partition, locked.
pub(super) struct WholeTable<'a> {
    manager: &'a LockManager,
    partitions: Vec<MutexGuard<'a, Partition>>,
}

impl WholeTable<'_> {
    pub fn get(&self, tag: &LockTag) -> Option<&Lock> {
        self.partitions[self.manager.partition_index(tag)].get(tag)
    }

    pub fn get_mut(&mut self, tag: &LockTag) -> Option<&mut Lock> {
        self.partitions[self.manager.partition_index(tag)].get_mut(tag)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&LockTag, &Lock)> {
        self.partitions.iter().flat_map(|partition| partition.iter())
    }
}
