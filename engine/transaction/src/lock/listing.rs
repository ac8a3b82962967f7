//! Listing locks for pg_locks, and who blocks whom for pg_blocking_pids.

use std::sync::atomic::Ordering;

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Oid, ProcNumber};

use super::manager::LockManager;
use super::mode::LockMode;
use super::table::{Lock, Waiter};
use super::tag::{LockTag, VirtualTransactionId};

/// A row of pg_locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    pub tag: LockTag,
    pub mode: LockMode,
    pub granted: bool,
    pub fast_path: bool,
    pub holder: ProcNumber,
    pub pid: Option<i32>,
    /// The holder's transaction; `None` between transactions (session locks).
    pub virtual_transaction: Option<VirtualTransactionId>,
    pub wait_start: Option<TimestampTz>,
}

impl LockManager {
    /// Every lock held or waited for.
    pub fn list(&self) -> Vec<LockInfo> {
        let mut rows = Vec::new();
        for number in 0..self.backends.len() {
            self.list_fast_path(ProcNumber(number as u32), &mut rows);
        }
        let table = self.all_partitions();
        for (tag, lock) in table.iter() {
            for holder in lock.holders() {
                for mode in holder.modes.modes() {
                    rows.push(self.row(*tag, mode, holder.proc, true, false, None));
                }
            }
            for waiter in lock.queue() {
                rows.push(self.row(*tag, waiter.mode, waiter.proc, false, false, Some(waiter.since)));
            }
        }
        rows
    }

    fn list_fast_path(&self, proc: ProcNumber, rows: &mut Vec<LockInfo>) {
        let fast = self.backend(proc).fast.lock();
        for entry in &fast.relations {
            let tag = LockTag::Relation { database: entry.database, relation: entry.relation };
            for mode in entry.modes.modes() {
                rows.push(self.row(tag, mode, proc, true, true, None));
            }
        }
        if let Some(lock) = fast.virtual_transaction.filter(|lock| !lock.in_table) {
            let tag = LockTag::VirtualTransaction(VirtualTransactionId { proc, local: lock.id });
            rows.push(self.row(tag, LockMode::Exclusive, proc, true, true, None));
        }
        for lock in fast.xids.iter().filter(|lock| !lock.in_table) {
            let tag = LockTag::Transaction(lock.id);
            rows.push(self.row(tag, LockMode::Exclusive, proc, true, false, None));
        }
    }

    fn row(
        &self,
        tag: LockTag,
        mode: LockMode,
        holder: ProcNumber,
        granted: bool,
        fast_path: bool,
        wait_start: Option<TimestampTz>,
    ) -> LockInfo {
        let local = self.backend(holder).virtual_transaction.load(Ordering::Acquire);
        LockInfo {
            tag,
            mode,
            granted,
            fast_path,
            holder,
            pid: self.processes.by_number(holder).map(|backend| backend.pid),
            virtual_transaction: (local != 0).then_some(VirtualTransactionId { proc: holder, local }),
            wait_start,
        }
    }

    /// Pids of the backends that the backend with `pid` waits for: those that hold a conflicting mode,
    /// and those in front of it that wait for one. PostgreSQL's `pg_blocking_pids`.
    pub fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        let Some(backend) = self.processes.by_pid(pid) else { return Vec::new() };
        let table = self.all_partitions();
        let Some((tag, mode)) = *self.backend(backend.number).waiting.lock() else { return Vec::new() };
        let Some(lock) = table.get(&tag) else { return Vec::new() };
        let blockers = blockers(lock, backend.number, mode);
        blockers.into_iter().filter_map(|proc| self.processes.by_number(proc)).map(|b| b.pid).collect()
    }

    /// The virtual transactions that hold `tag` in a mode excluding `mode`, other than the backend's
    /// own. PostgreSQL's `GetLockConflicts`.
    pub fn conflicting_transactions(
        &self,
        proc: ProcNumber,
        tag: LockTag,
        mode: LockMode,
    ) -> Vec<VirtualTransactionId> {
        let mut found = Vec::new();
        let mut add = |holder: ProcNumber| {
            let local = self.backend(holder).virtual_transaction.load(Ordering::Acquire);
            let vxid = VirtualTransactionId { proc: holder, local };
            if holder != proc && local != 0 && !found.contains(&vxid) {
                found.push(vxid);
            }
        };
        if let Some((database, relation)) = tag.fast_path_relation() {
            for number in 0..self.backends.len() {
                let holder = ProcNumber(number as u32);
                let fast = self.backend(holder).fast.lock();
                let noted = fast.relations.iter().find(|e| (e.database, e.relation) == (database, relation));
                if noted.is_some_and(|entry| mode.conflicts().intersects(entry.modes)) {
                    add(holder);
                }
            }
        }
        if let Some(lock) = self.partition(&tag).get(&tag) {
            for holder in lock.holders().iter().filter(|h| mode.conflicts().intersects(h.modes)) {
                add(holder.proc);
            }
        }
        found
    }

    /// True if somebody waits for a lock on the relation's extension: the next extension should be
    /// larger. PostgreSQL's `RelationExtensionLockWaiterCount`.
    pub fn extension_waiters(&self, database: Oid, relation: Oid) -> usize {
        let tag = LockTag::RelationExtend { database, relation };
        self.partition(&tag).get(&tag).map_or(0, |lock| lock.queue().len())
    }
}

fn blockers(lock: &Lock, proc: ProcNumber, mode: LockMode) -> Vec<ProcNumber> {
    let conflicts = mode.conflicts();
    let holding = lock
        .holders()
        .iter()
        .filter(|holder| holder.proc != proc && conflicts.intersects(holder.modes))
        .map(|holder| holder.proc);
    let waiting_ahead = lock
        .queue()
        .iter()
        .take_while(|waiter: &&Waiter| waiter.proc != proc)
        .filter(|waiter| conflicts.contains(waiter.mode))
        .map(|waiter| waiter.proc);
    holding.chain(waiting_ahead).collect()
}
