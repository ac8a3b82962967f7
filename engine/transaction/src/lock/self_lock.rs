//! A transaction's lock on itself, and waiting for somebody else's.
//!
//! Realises: `XactLockTableInsert`, `XactLockTableDelete`, `VirtualXactLockTableInsert`,
//! `VirtualXactLock`. The lock is noted in the owner's fast path; a waiter moves it to the shared table
//! on the owner's behalf before queueing behind it.

use std::sync::atomic::Ordering;

use kokkiri_primitives::{ProcNumber, Result, TransactionId};

use super::fast_path::SelfLock;
use super::local::LockOwner;
use super::manager::{LockManager, LockOutcome, WaitPolicy};
use super::mode::LockMode;
use super::tag::{LockTag, VirtualTransactionId};

impl LockManager {
    /// A transaction of the backend begins: it gets a virtual id, and holds it.
    pub fn begin_virtual_transaction(&self, proc: ProcNumber) -> VirtualTransactionId {
        let backend = self.backend(proc);
        // Zero means none.
        let local = backend.last_virtual.load(Ordering::Relaxed).wrapping_add(1).max(1);
        backend.last_virtual.store(local, Ordering::Relaxed);
        backend.virtual_transaction.store(local, Ordering::Release);
        backend.fast.lock().virtual_transaction = Some(SelfLock { id: local, in_table: false });
        VirtualTransactionId { proc, local }
    }

    /// The (sub)transaction has got an xid: it holds it.
    pub fn hold_xid(&self, proc: ProcNumber, xid: TransactionId) {
        self.backend(proc).fast.lock().xids.push(SelfLock { id: xid, in_table: false });
    }

    /// An aborted subtransaction lets go of its xid.
    pub fn release_xid(&self, proc: ProcNumber, xid: TransactionId) {
        let released = {
            let mut fast = self.backend(proc).fast.lock();
            let at = fast.xids.iter().rposition(|lock| lock.id == xid);
            at.map(|at| fast.xids.remove(at))
        };
        if released.is_some_and(|lock| lock.in_table) {
            self.release_in_table(proc, LockTag::Transaction(xid), LockMode::Exclusive);
        }
    }

    /// The transaction lets go of its virtual id and of its xids.
    pub(super) fn end_self_locks(&self, proc: ProcNumber) {
        let backend = self.backend(proc);
        let (vxid, xids) = {
            let mut fast = backend.fast.lock();
            let in_table = fast.xids.iter().any(|lock| lock.in_table);
            let xids = if in_table { std::mem::take(&mut fast.xids) } else { Vec::new() };
            fast.xids.clear();
            (fast.virtual_transaction.take(), xids)
        };
        for lock in xids.into_iter().filter(|lock| lock.in_table) {
            self.release_in_table(proc, LockTag::Transaction(lock.id), LockMode::Exclusive);
        }
        if let Some(lock) = vxid.filter(|lock| lock.in_table) {
            let vxid = VirtualTransactionId { proc, local: lock.id };
            self.release_in_table(proc, LockTag::VirtualTransaction(vxid), LockMode::Exclusive);
        }
        backend.virtual_transaction.store(0, Ordering::Release);
    }

    /// Waits until the backend `holder` no longer holds `xid`; at once if it doesn't.
    pub fn wait_for_xid(
        &self,
        proc: ProcNumber,
        holder: Option<ProcNumber>,
        xid: TransactionId,
        policy: WaitPolicy,
    ) -> Result<LockOutcome> {
        let tag = LockTag::Transaction(xid);
        if let Some(holder) = holder {
            let mut fast = self.backend(holder).fast.lock();
            if let Some(lock) = fast.xids.iter_mut().find(|lock| lock.id == xid && !lock.in_table) {
                self.partition(&tag).entry(tag).or_default().grant(holder, LockMode::Exclusive);
                lock.in_table = true;
            }
        }
        self.pass_through(proc, tag, policy)
    }

    /// Waits until the virtual transaction has ended; at once if it has.
    pub fn wait_for_virtual_transaction(
        &self,
        proc: ProcNumber,
        vxid: VirtualTransactionId,
        policy: WaitPolicy,
    ) -> Result<LockOutcome> {
        let tag = LockTag::VirtualTransaction(vxid);
        {
            let mut fast = self.backend(vxid.proc).fast.lock();
            match &mut fast.virtual_transaction {
                Some(lock) if lock.id == vxid.local => {
                    if !lock.in_table {
                        self.partition(&tag).entry(tag).or_default().grant(vxid.proc, LockMode::Exclusive);
                        lock.in_table = true;
                    }
                }
                _ => return Ok(LockOutcome::Granted),
            }
        }
        self.pass_through(proc, tag, policy)
    }

    /// Acquires a share lock and lets go of it: whoever held the object exclusively no longer does.
    fn pass_through(&self, proc: ProcNumber, tag: LockTag, policy: WaitPolicy) -> Result<LockOutcome> {
        let owner = LockOwner::Session;
        let outcome = self.acquire(proc, owner, tag, LockMode::Share, policy)?;
        if outcome != LockOutcome::NotAvailable {
            self.release(proc, owner, tag, LockMode::Share);
        }
        Ok(outcome)
    }
}
