//! Locks that need not enter the shared table: weak relation locks, and a transaction's lock on itself.
//!
//! Realises: fast-path locking (`FastPathGrantRelationLock` and its kin) and `VirtualXactLock`.
//! Differs: the exclusive lock that a transaction holds on its own xids is kept here too, and enters the
//! shared table only when somebody waits for it; most transactions end without anybody having waited.
//!
//! AccessShare, RowShare and RowExclusive don't conflict with each other, so as long as nobody wants a
//! stronger mode of a relation, each backend may note such locks privately. Who wants a stronger mode
//! first raises the relation's counter in [`StrongLocks`], which closes the fast path for it, and then
//! moves the entries of all backends into the shared table.
//!
//! Lock order: a backend's fast path before a partition of the shared table.

use std::sync::atomic::{AtomicU32, Ordering};

use kokkiri_primitives::{Oid, TransactionId};

use super::mode::{LockMask, LockMode};

/// How many relation locks a backend may note privately: `max_locks_per_transaction`'s default.
pub(super) const FAST_PATH_SLOTS: usize = 64;

const STRONG_LOCK_PARTITIONS: usize = 1024;

/// Counts, by hash of the relation, who holds or wants a mode that excludes the fast path.
pub(super) struct StrongLocks(Box<[AtomicU32]>);

impl StrongLocks {
    pub fn new() -> Self {
        Self((0..STRONG_LOCK_PARTITIONS).map(|_| AtomicU32::new(0)).collect())
    }

    fn counter(&self, relation: Oid) -> &AtomicU32 {
        &self.0[relation.0 as usize % STRONG_LOCK_PARTITIONS]
    }

    pub fn any(&self, relation: Oid) -> bool {
        self.counter(relation).load(Ordering::SeqCst) != 0
    }

    pub fn begin(&self, relation: Oid) {
        self.counter(relation).fetch_add(1, Ordering::SeqCst);
    }

    pub fn end(&self, relation: Oid) {
        self.counter(relation).fetch_sub(1, Ordering::SeqCst);
    }
}

/// True for the modes that a backend may note privately.
pub(super) fn is_weak(mode: LockMode) -> bool {
    mode < LockMode::ShareUpdateExclusive
}

/// True for the modes that a privately noted lock may stand against.
pub(super) fn is_strong(mode: LockMode) -> bool {
    mode > LockMode::ShareUpdateExclusive
}

/// A relation lock noted privately.
#[derive(Clone, Copy, Debug)]
pub(super) struct FastRelation {
    pub database: Oid,
    pub relation: Oid,
    pub modes: LockMask,
}

/// A transaction's exclusive lock on itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelfLock<T> {
    pub id: T,
    /// Somebody waits or has waited: it stands in the shared table.
    pub in_table: bool,
}

/// One backend's private notes, under the backend's fast-path mutex.
#[derive(Debug, Default)]
pub(super) struct FastPath {
    pub relations: Vec<FastRelation>,
    pub virtual_transaction: Option<SelfLock<u32>>,
    /// The transaction's xid and those of its subtransactions, oldest first.
    pub xids: Vec<SelfLock<TransactionId>>,
}

impl FastPath {
    /// Notes a weak relation lock; false if there is no room.
    pub fn grant(&mut self, database: Oid, relation: Oid, mode: LockMode) -> bool {
        if let Some(entry) = self.find(database, relation) {
            entry.modes.insert(mode);
            return true;
        }
        if self.relations.len() >= FAST_PATH_SLOTS {
            return false;
        }
        self.relations.push(FastRelation { database, relation, modes: mode.bit() });
        true
    }

    /// Forgets a noted lock; false if it is not here, so stands in the shared table.
    pub fn release(&mut self, database: Oid, relation: Oid, mode: LockMode) -> bool {
        let here = |entry: &FastRelation| entry.database == database && entry.relation == relation;
        let Some(at) = self.relations.iter().position(here) else { return false };
        if !self.relations[at].modes.contains(mode) {
            return false;
        }
        self.relations[at].modes.remove(mode);
        if self.relations[at].modes.is_empty() {
            self.relations.swap_remove(at);
        }
        true
    }

    /// Removes and returns the modes noted for a relation, to be moved to the shared table.
    pub fn take(&mut self, database: Oid, relation: Oid) -> LockMask {
        let here = |entry: &FastRelation| entry.database == database && entry.relation == relation;
        match self.relations.iter().position(here) {
            Some(at) => self.relations.swap_remove(at).modes,
            None => LockMask::EMPTY,
        }
    }

    fn find(&mut self, database: Oid, relation: Oid) -> Option<&mut FastRelation> {
        self.relations.iter_mut().find(|entry| entry.database == database && entry.relation == relation)
    }
}
