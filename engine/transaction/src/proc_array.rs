//! Who runs: the transactions in progress, and how far back anybody may still look.
//!
//! Realises: `ProcArray` with `ProcGlobal`'s dense arrays (procarray.c): `GetSnapshotData`,
//! `TransactionIdIsInProgress`, `ComputeXidHorizons`, `ProcArrayEndTransaction` with its group clearing.
//!
//! Arrays are indexed by `ProcNumber`. A bitmap names the backends that have an xid, so a snapshot costs
//! what is running, not who is connected.
//!
//! Invariants:
//!  1. A transaction's xid is in the array before the xid counter passes it, and leaves it under the
//!     exclusive lock together with the advance of `latest_completed`: so everything up to
//!     `latest_completed` that is not in the array has ended.
//!  2. A backend's xmin is set under the shared lock, and horizons are computed under the shared lock
//!     after transactions ended under the exclusive one: a horizon never passes an xmin.
//!  3. `completion_count` changes with every transaction that had an xid and ends; while it stands still,
//!     a snapshot taken before is as good as a new one.
//!
//! Lock order: xid generation, then this lock; the list of pending clearings is a leaf.

mod horizon;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;

use kokkiri_primitives::{FullTransactionId, Oid, ProcNumber, TransactionId};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::snapshot::RunningSet;

pub use horizon::{Horizons, full_relative_to};
use slot::Slot;
pub use slot::{CACHED_SUBXIDS_MAX, CheckpointStage, ProcFlags};

/// What changes when a transaction ends.
#[derive(Debug)]
pub(crate) struct Completion {
    /// Highest xid that has ended.
    pub latest_completed: FullTransactionId,
    /// How many transactions with an xid have ended since the server started, plus one.
    pub count: u64,
    /// Oldest xids that replication slots need, for data and for catalogs.
    pub slot_xmin: Option<TransactionId>,
    pub slot_catalog_xmin: Option<TransactionId>,
}

/// The transactions in progress.
pub struct ProcArray {
    lock: RwLock<Completion>,
    /// Top-level xids, zero for backends without one.
    xids: Box<[AtomicU32]>,
    /// One bit for each backend that has an xid.
    running: Box<[AtomicU64]>,
    /// Oldest xid each backend's snapshots may need to see as running; zero without snapshots.
    xmins: Box<[AtomicU32]>,
    slots: Box<[Slot]>,
    /// Slots from here on have never been used.
    used: AtomicUsize,
    /// Transactions that want to leave the array while somebody else holds the lock.
    pending: Mutex<Vec<PendingClear>>,
}

/// A transaction that waits for a leader to take it out of the array.
struct PendingClear {
    proc: ProcNumber,
    latest: TransactionId,
    thread: Thread,
}

/// All running transactions with their subtransactions, for the running-xacts record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTransactions {
    /// Top-level xids, then subtransactions.
    pub xids: Vec<TransactionId>,
    pub sub_xids: Vec<TransactionId>,
    pub overflowed: bool,
    pub oldest_running: TransactionId,
    pub latest_completed: TransactionId,
    pub next: TransactionId,
}

impl ProcArray {
    /// An array for `capacity` backends. `latest_completed` is the xid before the next one.
    pub fn new(capacity: usize, latest_completed: FullTransactionId) -> Self {
        let zeros = |n: usize| (0..n).map(|_| AtomicU32::new(0)).collect();
        Self {
            lock: RwLock::new(Completion {
                latest_completed,
                count: 1,
                slot_xmin: None,
                slot_catalog_xmin: None,
            }),
            xids: zeros(capacity),
            running: (0..capacity.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            xmins: zeros(capacity),
            slots: (0..capacity).map(|_| Slot::default()).collect(),
            used: AtomicUsize::new(0),
            pending: Mutex::default(),
        }
    }

    /// Announces a backend's slot and its database. Every transaction begins with it; nearly always
    /// there is nothing to do.
    pub fn attach(&self, proc: ProcNumber, database: Option<Oid>) {
        let n = proc.0 as usize;
        if self.used.load(Ordering::Relaxed) <= n {
            self.used.fetch_max(n + 1, Ordering::SeqCst);
        }
        if self.slots[n].database() != database {
            self.slots[n].set_database(database);
        }
    }

    /// Publishes a new top-level xid. The caller holds the xid generation lock.
    pub(crate) fn publish_xid(&self, proc: ProcNumber, xid: TransactionId) {
        let n = proc.0 as usize;
        self.xids[n].store(xid.0, Ordering::Relaxed);
        self.running[n / 64].fetch_or(1 << (n % 64), Ordering::Release);
    }

    /// Publishes a new subtransaction's xid. The caller holds the xid generation lock.
    pub(crate) fn publish_sub_xid(&self, proc: ProcNumber, xid: TransactionId) {
        self.slots[proc.0 as usize].push_sub_xid(xid);
    }

    /// The backend's own xid, if it has one.
    pub fn xid(&self, proc: ProcNumber) -> Option<TransactionId> {
        TransactionId(self.xids[proc.0 as usize].load(Ordering::Relaxed)).valid()
    }

    pub fn xmin(&self, proc: ProcNumber) -> Option<TransactionId> {
        TransactionId(self.xmins[proc.0 as usize].load(Ordering::Relaxed)).valid()
    }

    /// Sets the backend's xmin to that of its oldest remaining snapshot, or to none. It only moves
    /// forward; a new xmin enters with [`ProcArray::snapshot`].
    pub fn advance_xmin(&self, proc: ProcNumber, xmin: Option<TransactionId>) {
        self.xmins[proc.0 as usize].store(xmin.map_or(0, |xmin| xmin.0), Ordering::Release);
    }

    /// Sets or clears flags that change how others regard the backend.
    pub fn set_flags(&self, proc: ProcNumber, flags: ProcFlags) {
        let _exclusive = self.lock.write();
        self.slots[proc.0 as usize].set_flags(flags);
    }

    pub fn flags(&self, proc: ProcNumber) -> ProcFlags {
        self.slots[proc.0 as usize].flags()
    }

    /// Backends that run a transaction with an xid, in slot order.
    fn running_procs(&self) -> impl Iterator<Item = usize> {
        self.running.iter().enumerate().flat_map(|(word, bits)| {
            let mut bits = bits.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }

    /// Takes a snapshot and, if the backend has none, sets its xmin. PostgreSQL's `GetSnapshotData`.
    pub fn snapshot(&self, proc: ProcNumber) -> Arc<RunningSet> {
        let n = proc.0 as usize;
        let completion = self.lock.read();
        let mut cached = self.slots[n].snapshot_cache.lock();
        let set = match &*cached {
            Some(set) if set.completion_count == completion.count => Arc::clone(set),
            _ => {
                let set = Arc::new(self.collect(n, &completion));
                *cached = Some(Arc::clone(&set));
                set
            }
        };
        if self.xmins[n].load(Ordering::Relaxed) == 0 {
            self.xmins[n].store(set.xmin.0, Ordering::Release);
        }
        set
    }

    fn collect(&self, own: usize, completion: &Completion) -> RunningSet {
        let xmax = completion.latest_completed.next().xid();
        let mut xmin = xmax;
        let own_xid = TransactionId(self.xids[own].load(Ordering::Relaxed));
        if own_xid.is_normal() {
            xmin = xmin.older(own_xid);
        }
        let (mut xids, mut sub_xids, mut overflowed) = (Vec::new(), Vec::new(), false);
        for n in self.running_procs().filter(|n| *n != own) {
            let xid = TransactionId(self.xids[n].load(Ordering::Relaxed));
            if !xid.is_normal() || !xid.precedes(xmax) || self.slots[n].flags().ignored_by_snapshots() {
                continue;
            }
            xmin = xmin.older(xid);
            xids.push(xid.0);
            overflowed |= self.slots[n].collect_sub_xids(|sub| sub_xids.push(sub.0));
        }
        xids.sort_unstable();
        sub_xids.sort_unstable();
        RunningSet {
            xmin,
            xmax,
            xids: xids.into(),
            sub_xids: sub_xids.into(),
            overflowed,
            completion_count: completion.count,
        }
    }

    /// Takes over a snapshot that another transaction still holds, so that its xmin stays protected.
    /// False if that transaction's xmin has moved on. PostgreSQL's `ProcArrayInstallImportedXmin`.
    pub fn import_xmin(&self, proc: ProcNumber, source: ProcNumber, xmin: TransactionId) -> bool {
        let _shared = self.lock.read();
        let held = self.xmin(source).is_some_and(|held| held.precedes_or_equals(xmin));
        if held {
            self.xmins[proc.0 as usize].store(xmin.0, Ordering::Release);
        }
        held
    }

    /// Takes the transaction out of the array. `latest` is the highest xid of its tree, if it had any.
    pub fn end_transaction(&self, proc: ProcNumber, latest: Option<TransactionId>) {
        let Some(latest) = latest else {
            self.xmins[proc.0 as usize].store(0, Ordering::Release);
            let slot = &self.slots[proc.0 as usize];
            if slot.flags() != slot.flags().after_transaction() {
                let _exclusive = self.lock.write();
                slot.set_flags(slot.flags().after_transaction());
            }
            return;
        };
        match self.lock.try_write() {
            Some(mut completion) => self.clear(&mut completion, proc, latest),
            None => self.group_clear(proc, latest),
        }
    }

    fn clear(&self, completion: &mut Completion, proc: ProcNumber, latest: TransactionId) {
        let n = proc.0 as usize;
        self.xids[n].store(0, Ordering::Relaxed);
        self.xmins[n].store(0, Ordering::Relaxed);
        self.slots[n].end_transaction();
        completion.advance(latest);
        // Last, because a backend that waits for its leader goes on as soon as it sees the bit gone.
        self.running[n / 64].fetch_and(!(1 << (n % 64)), Ordering::Release);
    }

    /// Leaves the array together with others: the first to arrive takes the lock for all of them.
    fn group_clear(&self, proc: ProcNumber, latest: TransactionId) {
        let leads = {
            let mut pending = self.pending.lock();
            pending.push(PendingClear { proc, latest, thread: std::thread::current() });
            pending.len() == 1
        };
        if !leads {
            while self.is_running(proc) {
                std::thread::park();
            }
            return;
        }
        let mut completion = self.lock.write();
        let group = std::mem::take(&mut *self.pending.lock());
        for member in &group {
            self.clear(&mut completion, member.proc, member.latest);
        }
        RwLockWriteGuard::unlock_fair(completion);
        for member in group.into_iter().filter(|member| member.proc != proc) {
            member.thread.unpark();
        }
    }

    fn is_running(&self, proc: ProcNumber) -> bool {
        let n = proc.0 as usize;
        self.running[n / 64].load(Ordering::Acquire) & 1 << (n % 64) != 0
    }

    /// Takes aborted subtransactions out of the array. PostgreSQL's `XidCacheRemoveRunningXids`.
    pub fn end_sub_transactions(&self, proc: ProcNumber, xids: &[TransactionId], latest: TransactionId) {
        let mut completion = self.lock.write();
        self.slots[proc.0 as usize].remove_sub_xids(xids);
        completion.advance(latest);
    }

    /// Raises `latest_completed` as replay meets later xids.
    pub fn advance_latest_completed(&self, latest: TransactionId) {
        self.lock.write().advance(latest);
    }

    /// Sets `latest_completed` once replay has ended and nothing runs.
    pub(crate) fn set_latest_completed(&self, latest: FullTransactionId) {
        let mut completion = self.lock.write();
        completion.latest_completed = latest;
        completion.count += 1;
    }

    pub fn latest_completed(&self) -> FullTransactionId {
        self.lock.read().latest_completed
    }

    /// True if the xid is in the array as a top-level or as a listed subtransaction. `None` if it may
    /// be an unlisted subtransaction of an overflowed one; then the returned xids are the candidates.
    pub(crate) fn find(&self, xid: TransactionId) -> Found {
        let completion = self.lock.read();
        if completion.latest_completed.xid().precedes(xid) {
            return Found::Running;
        }
        let mut overflowed = Vec::new();
        for n in self.running_procs() {
            let top = TransactionId(self.xids[n].load(Ordering::Relaxed));
            if top == xid {
                return Found::Running;
            }
            // A subtransaction's xid follows its parent's.
            if !top.is_normal() || xid.precedes(top) {
                continue;
            }
            let mut found = false;
            let incomplete = self.slots[n].collect_sub_xids(|sub| found |= sub == xid);
            if found {
                return Found::Running;
            }
            if incomplete {
                overflowed.push(top);
            }
        }
        if overflowed.is_empty() { Found::Ended } else { Found::PerhapsBelow(overflowed) }
    }

    /// The backend that runs `xid`, if it is a running top-level transaction or listed subtransaction.
    pub fn backend_of(&self, xid: TransactionId) -> Option<ProcNumber> {
        let _shared = self.lock.read();
        self.running_procs()
            .find(|&n| {
                let mut found = self.xids[n].load(Ordering::Relaxed) == xid.0;
                self.slots[n].collect_sub_xids(|sub| found |= sub == xid);
                found
            })
            .map(|n| ProcNumber(n as u32))
    }

    /// Backends that run a transaction with an xid whose subtransactions are not all listed.
    pub(crate) fn overflowed_backends(&self) -> Vec<(ProcNumber, TransactionId)> {
        let _shared = self.lock.read();
        self.running_procs()
            .filter(|&n| self.slots[n].collect_sub_xids(|_| ()))
            .map(|n| (ProcNumber(n as u32), TransactionId(self.xids[n].load(Ordering::Relaxed))))
            .collect()
    }

    /// True while at least `minimum` backends other than `proc` run a transaction with an xid:
    /// commit_siblings' question.
    pub fn minimum_active(&self, proc: ProcNumber, minimum: usize) -> bool {
        minimum == 0
            || self.running_procs().filter(|n| *n != proc.0 as usize).take(minimum).count() == minimum
    }

    /// Everything that runs. PostgreSQL's `GetRunningTransactionData`; the caller holds the xid
    /// generation lock, so that `next` fits.
    pub(crate) fn running_transactions(&self, next: TransactionId) -> RunningTransactions {
        let completion = self.lock.read();
        let (mut xids, mut sub_xids, mut overflowed) = (Vec::new(), Vec::new(), false);
        let mut oldest_running = next;
        for n in self.running_procs() {
            let xid = TransactionId(self.xids[n].load(Ordering::Relaxed));
            if !xid.is_valid() {
                continue;
            }
            oldest_running = oldest_running.older(xid);
            xids.push(xid);
            overflowed |= self.slots[n].collect_sub_xids(|sub| sub_xids.push(sub));
        }
        if overflowed {
            sub_xids.clear();
        }
        let latest_completed = completion.latest_completed.xid();
        RunningTransactions { xids, sub_xids, overflowed, oldest_running, latest_completed, next }
    }

    /// Says that the backend is between a record and what the record says: the commit log, the length of
    /// a file. A checkpoint waits at this stage for those that it finds there, or it would be on neither
    /// side of them.
    pub(crate) fn delay_checkpoint(&self, proc: ProcNumber, stage: CheckpointStage, delay: bool) {
        self.slots[proc.0 as usize].delay_checkpoint(stage, delay);
    }

    /// Backends that a checkpoint must wait for at this stage, each with a number that changes when it
    /// need not any more. PostgreSQL's `GetVirtualXIDsDelayingChkpt`.
    pub fn delaying_checkpoint(&self, stage: CheckpointStage) -> Vec<(ProcNumber, u32)> {
        let used = self.used.load(Ordering::SeqCst).min(self.slots.len());
        let delaying = self.slots[..used].iter().enumerate();
        delaying.filter_map(|(n, slot)| Some((ProcNumber(n as u32), slot.delaying(stage)?))).collect()
    }

    /// True while any of those listed by [`ProcArray::delaying_checkpoint`] must be waited for.
    pub fn still_delaying(&self, stage: CheckpointStage, listed: &[(ProcNumber, u32)]) -> bool {
        listed.iter().any(|(proc, number)| self.slots[proc.0 as usize].delaying(stage) == Some(*number))
    }

    /// Oldest xids that replication slots need.
    pub fn set_replication_slot_xmin(&self, data: Option<TransactionId>, catalog: Option<TransactionId>) {
        let mut completion = self.lock.write();
        completion.slot_xmin = data;
        completion.slot_catalog_xmin = catalog;
    }

    /// The oldest xid that was running, counting what nobody in particular runs as `next`.
    /// PostgreSQL's `GetOldestActiveTransactionId`.
    pub fn oldest_active(&self, next: TransactionId) -> TransactionId {
        let _shared = self.lock.read();
        self.running_procs()
            .map(|n| TransactionId(self.xids[n].load(Ordering::Relaxed)))
            .filter(|xid| xid.is_normal())
            .fold(next, TransactionId::older)
    }
}

impl Completion {
    fn advance(&mut self, latest: TransactionId) {
        if self.latest_completed.xid().precedes(latest) {
            self.latest_completed = full_relative_to(self.latest_completed, latest);
        }
        self.count += 1;
    }
}

/// Where an xid is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Running,
    Ended,
    /// These transactions run more subtransactions than are listed; it may be one of them.
    PerhapsBelow(Vec<TransactionId>),
}
