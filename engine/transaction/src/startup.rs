//! The transaction system around checkpoints and recovery.
//!
//! Realises: the parts of `StartupXLOG`, `CreateCheckPoint` and `xlog_redo` that concern transactions.

use std::sync::atomic::Ordering;

use kokkiri_primitives::{Error, Oid, Result, TransactionId};
use kokkiri_wal::xlog::CheckPoint;

use crate::system::{TransactionSystem, previous};
use crate::xid::XidLimits;

impl TransactionSystem {
    /// Creates the first pages of a new data directory.
    pub fn bootstrap(&self) -> Result<()> {
        self.clog.bootstrap()?;
        self.subtrans.bootstrap()?;
        self.multixacts.bootstrap()
    }

    /// Takes the counters of the checkpoint that recovery starts from, before anything is replayed.
    pub fn start(&self, checkpoint: &CheckPoint) {
        self.set_counters(checkpoint);
        self.clog.startup(checkpoint.next_xid);
        self.multixacts.startup();
        self.proc_array.set_latest_completed(previous(checkpoint.next_xid));
    }

    fn set_counters(&self, checkpoint: &CheckPoint) {
        self.xids.set_next(checkpoint.next_xid);
        self.oids.set_next(checkpoint.next_oid);
        self.multixacts.set_next(checkpoint.next_multixact, checkpoint.next_multixact_offset);
        self.multixacts.set_oldest(checkpoint.oldest_multixact, checkpoint.oldest_multixact_database);
        self.set_oldest_xid(checkpoint.oldest_xid, checkpoint.oldest_xid_database);
    }

    /// A record of `xid` is replayed: the next xid is beyond it.
    pub fn note_xid(&self, xid: TransactionId) {
        if xid.is_normal() && !xid.precedes(self.xids.next().xid()) {
            self.xids.advance_past(xid);
        }
    }

    /// Replays what a checkpoint record says of the counters. A shutdown one is exact; beside an online
    /// one others go on, so it gives minima, and oids have records of their own.
    pub fn replay_checkpoint(&self, checkpoint: &CheckPoint, shutdown: bool) {
        if shutdown {
            self.set_counters(checkpoint);
            return;
        }
        if self.xids.next() < checkpoint.next_xid {
            self.xids.set_next(checkpoint.next_xid);
        }
        self.multixacts.advance_next(checkpoint.next_multixact.0, checkpoint.next_multixact_offset);
        if self.multixacts.limits().oldest.precedes(checkpoint.oldest_multixact) {
            self.multixacts.set_oldest(checkpoint.oldest_multixact, checkpoint.oldest_multixact_database);
        }
        if self.xids.limits().oldest.precedes(checkpoint.oldest_xid) {
            self.set_oldest_xid(checkpoint.oldest_xid, checkpoint.oldest_xid_database);
        }
    }

    /// Replay has ended (or there was nothing to replay) and WAL can be inserted: transactions may start.
    pub fn end_recovery(&self) -> Result<()> {
        let next = self.xids.next();
        self.subtrans.startup(next.xid(), next)?;
        self.clog.trim(next)?;
        self.multixacts.trim()?;
        self.proc_array.set_latest_completed(previous(next));
        self.in_recovery.store(false, Ordering::Release);
        Ok(())
    }

    /// Fills in what a checkpoint that starts now records of transactions.
    pub fn fill_checkpoint(&self, checkpoint: &mut CheckPoint, shutdown: bool) {
        checkpoint.next_xid = self.xids.next();
        let limits = self.xids.limits();
        (checkpoint.oldest_xid, checkpoint.oldest_xid_database) = (limits.oldest, limits.oldest_database);
        checkpoint.next_oid = self.oids.for_checkpoint(shutdown);
        (checkpoint.next_multixact, checkpoint.next_multixact_offset) = self.multixacts.next();
        let limits = self.multixacts.limits();
        checkpoint.oldest_multixact = limits.oldest;
        checkpoint.oldest_multixact_database = limits.oldest_database;
        checkpoint.oldest_active_xid = if !shutdown && self.standby_info() {
            self.proc_array.oldest_active(self.xids.next().xid())
        } else {
            TransactionId::INVALID
        };
    }

    /// Writes and syncs all SLRUs: their part of a checkpoint. Returns how many pages were written.
    pub fn checkpoint(&self) -> Result<u64> {
        let written = || -> u64 {
            let counters = self.slrus().into_iter().map(|slru| &slru.counters.blocks_written);
            counters.map(|counter| counter.load(Ordering::Relaxed)).sum()
        };
        let before = written();
        self.slrus().into_iter().try_for_each(|slru| slru.checkpoint())?;
        Ok(written() - before)
    }

    /// Forgets the parents of subtransactions that nobody considers running any more. After a
    /// checkpoint.
    pub fn truncate_subtrans(&self) -> Result<()> {
        let oldest = self.proc_array.oldest_considered_running();
        self.subtrans.truncate(oldest)
    }

    /// Vacuum has moved the oldest xid of all databases: the commit log is cut, and new limits hold.
    /// Returns a warning if xids run out nevertheless.
    pub fn advance_oldest_xid(&self, oldest: TransactionId, database: Oid) -> Result<Option<Error>> {
        let limits = XidLimits::new(oldest, database, self.options.autovacuum_freeze_max_age);
        self.clog.truncate(oldest, database)?;
        Ok(self.xids.set_limits(limits))
    }

    /// Sets limits that the control file or a record met during replay says.
    pub fn set_oldest_xid(&self, oldest: TransactionId, database: Oid) {
        // The warning has nobody to go to during replay.
        drop(self.xids.set_limits(XidLimits::new(oldest, database, self.options.autovacuum_freeze_max_age)));
    }
}
