//! How a transaction ends.
//!
//! Realises: `CommitTransaction`, `RecordTransactionCommit`, `AbortTransaction`,
//! `RecordTransactionAbort`.
//!
//! A commit has two phases, so that nobody holds a thread while the disk works:
//!
//! ```text
//!  prepare_commit   pin commit log pages | commit record into the WAL        (from here on it happens)
//!  the caller       waits until the record is durable, if the ticket says so
//!  finish           commit log | leave the process array | invalidations | locks | delete files
//! ```
//!
//! The order of `finish` matters: whoever sees the transaction gone from the process array finds it in
//! the commit log, and whoever gets one of its locks finds caches that know of its changes.

use std::sync::atomic::Ordering;

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Error, Lsn, Result, TransactionId};
use kokkiri_storage::{CriticalSection, RelationFile};
use kokkiri_wal::record::{RecordBuilder, SPECIAL_REL_UPDATE};
use kokkiri_wal::rmgr::RmgrId;

use crate::clog::{ClogPins, XidStatus};
use crate::invalidation::Invalidation;
use crate::proc_array::CheckpointStage;

use super::pending::logged;
use super::records::{DroppedStatistics, TransactionRecord, XACT_ABORT, XACT_COMMIT};
use super::{Level, SynchronousCommit, Transaction};

/// A transaction whose commit is decided. Dropped without [`CommitTicket::finish`] it waits for the disk
/// itself and finishes.
#[must_use = "the transaction's locks are held until it is finished"]
pub struct CommitTicket {
    transaction: Box<Transaction>,
    logged: Option<LoggedCommit>,
    invalidations: Vec<Invalidation>,
    files: Vec<RelationFile>,
    dropped_statistics: Vec<DroppedStatistics>,
    finished: bool,
}

/// What a commit with an xid still has to do.
struct LoggedCommit {
    pins: ClogPins,
    /// End of the commit record.
    lsn: Lsn,
    /// The commit is not acknowledged before its record is durable.
    synchronous: bool,
}

/// What remains after a commit, for whoever keeps statistics and talks to the client.
#[derive(Debug, Default)]
pub struct Committed {
    /// End of the commit record; `None` for a transaction that wrote nothing.
    pub lsn: Option<Lsn>,
    pub notices: Vec<Error>,
    /// Statistics to drop now.
    pub dropped_statistics: Vec<DroppedStatistics>,
    pub invalidations: Vec<Invalidation>,
}

impl Transaction {
    /// Decides the commit: inserts the commit record if the transaction has an xid. On an error the
    /// transaction has been aborted.
    ///
    /// # Errors
    /// I/O on the commit log.
    pub fn prepare_commit(self: Box<Self>) -> Result<CommitTicket> {
        while self.nesting_level() > 1 {
            self.commit_sub();
        }
        let files = self.state.lock().files.at_commit();
        // Only a commit record can tell replay which files to delete.
        if !logged(&files).is_empty() {
            self.assign_xid()?;
        }
        let mut level = std::mem::take(&mut self.state.lock().levels[0]);
        let invalidations = std::mem::take(&mut level.invalidations);
        let dropped_statistics = std::mem::take(&mut level.drop_at_commit);
        let logged = match level.xid {
            None => {
                if !invalidations.is_empty() && self.cluster.transactions.standby_info() {
                    let database = self.backend.database().zip(self.tablespace).unwrap_or_default();
                    let cache_file = self.state.lock().relation_cache_file;
                    self.cluster.log_invalidations(database, cache_file, &invalidations);
                }
                None
            }
            Some(xid) => {
                let pins = match self.cluster.transactions.clog.prepare(xid, &level.children) {
                    Ok(pins) => pins,
                    Err(error) => {
                        // The abort needs to know what there is to abort.
                        self.state.lock().levels[0] = level;
                        self.abort();
                        return Err(error);
                    }
                };
                let record = self.commit_record(&level, &files, &invalidations, &dropped_statistics);
                Some(self.insert_commit(xid, pins, &record))
            }
        };
        let transaction = self;
        Ok(CommitTicket { transaction, logged, invalidations, files, dropped_statistics, finished: false })
    }

    fn commit_record(
        &self,
        level: &Level,
        files: &[RelationFile],
        invalidations: &[Invalidation],
        dropped_statistics: &[DroppedStatistics],
    ) -> TransactionRecord {
        let state = self.state.lock();
        let database = self.backend.database().zip(self.tablespace);
        TransactionRecord {
            time: TimestampTz::now(),
            database: database.filter(|_| !invalidations.is_empty()),
            sub_xids: level.children.clone(),
            dropped_files: logged(files),
            dropped_statistics: dropped_statistics.to_vec(),
            invalidations: invalidations.to_vec(),
            origin: state.origin.map(|origin| (origin.lsn, origin.time)),
            access_exclusive_locks: state.access_exclusive_locks,
            apply_feedback: self.synchronous_level() >= SynchronousCommit::RemoteApply,
            relation_cache_file: state.relation_cache_file,
            force_sync: state.force_sync,
            ..TransactionRecord::default()
        }
    }

    fn insert_commit(&self, xid: TransactionId, pins: ClogPins, record: &TransactionRecord) -> LoggedCommit {
        let synchronous = self.synchronous_level() > SynchronousCommit::Off
            || record.force_sync
            || !record.dropped_files.is_empty();
        let origin = self.state.lock().origin;
        // A checkpoint that starts between the record and the commit log must wait for the latter.
        self.cluster.transactions.proc_array.delay_checkpoint(self.proc(), CheckpointStage::Start, true);
        let lsn = {
            let critical = CriticalSection::enter();
            let mut body = Vec::with_capacity(64);
            let has_info = record.encode(&mut body);
            let special = if record.dropped_files.is_empty() { 0 } else { SPECIAL_REL_UPDATE };
            let mut builder = RecordBuilder::new(RmgrId::Transaction, XACT_COMMIT | has_info | special);
            builder.xid(Some(xid)).data(&body);
            if let Some(origin) = origin {
                builder.origin(origin.id);
            }
            self.cluster.wal.insert(&critical, builder)
        };
        if !synchronous {
            self.cluster.wal.note_async_commit(lsn);
        }
        LoggedCommit { pins, lsn, synchronous }
    }

    fn synchronous_level(&self) -> SynchronousCommit {
        match self.synchronous_commit.load(Ordering::Relaxed) {
            0 => SynchronousCommit::Off,
            1 => SynchronousCommit::Local,
            2 => SynchronousCommit::RemoteWrite,
            3 => SynchronousCommit::On,
            _ => SynchronousCommit::RemoteApply,
        }
    }

    /// Commits, waiting for the disk on this thread.
    pub fn commit(self: Box<Self>) -> Result<Committed> {
        let ticket = self.prepare_commit()?;
        if let Some(lsn) = ticket.lsn_to_flush() {
            ticket.transaction.cluster.wal.flush(lsn)?;
        }
        Ok(ticket.finish())
    }

    /// Aborts. Never fails: what can't be logged any more is an abort all the same.
    pub fn abort(self: Box<Self>) -> Vec<Error> {
        self.abort_now();
        self.take_notices()
    }

    fn abort_now(&self) {
        while self.nesting_level() > 1 {
            self.abort_sub();
        }
        let (level, files) = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            (std::mem::take(&mut state.levels[0]), state.files.at_abort())
        };
        if let Some(xid) = level.xid {
            self.record_abort(xid, &level.children, &files, &level.drop_at_abort);
        }
        let latest = level.xid.map(|xid| level.children.iter().copied().fold(xid, TransactionId::newer));
        self.leave(latest);
        self.cluster.locks.release_transaction(self.proc());
        self.delete_files(&files);
    }

    /// Logs an abort and marks the tree aborted. What fails here may: a transaction that has no status
    /// in the commit log and does not run counts as aborted.
    pub(super) fn record_abort(
        &self,
        xid: TransactionId,
        children: &[TransactionId],
        files: &[RelationFile],
        dropped_statistics: &[DroppedStatistics],
    ) {
        if self.cluster.poison.is_poisoned() || !self.cluster.wal.insertion_allowed() {
            return;
        }
        let pins = self.cluster.transactions.clog.prepare(xid, children);
        let record = TransactionRecord {
            time: TimestampTz::now(),
            sub_xids: children.to_vec(),
            dropped_files: logged(files),
            dropped_statistics: dropped_statistics.to_vec(),
            ..TransactionRecord::default()
        };
        let mut body = Vec::with_capacity(64);
        let has_info = record.encode(&mut body);
        let special = if record.dropped_files.is_empty() { 0 } else { SPECIAL_REL_UPDATE };
        let critical = CriticalSection::enter();
        let mut builder = RecordBuilder::new(RmgrId::Transaction, XACT_ABORT | has_info | special);
        builder.xid(Some(xid)).data(&body);
        let lsn = self.cluster.wal.insert(&critical, builder);
        self.cluster.wal.note_async_commit(lsn);
        match pins {
            Ok(pins) => pins.set(&critical, XidStatus::Aborted, None),
            Err(error) => {
                let warning = error.with_severity(kokkiri_primitives::Severity::Warning);
                self.state.lock().notices.push(warning);
            }
        }
    }

    /// Leaves the process array.
    fn leave(&self, latest: Option<TransactionId>) {
        self.snapshots.end();
        self.cluster.transactions.proc_array.end_transaction(self.proc(), latest);
        self.cluster.transactions.multixacts.end_transaction(self.proc());
        self.backend.set_xid(None);
        self.backend.set_xmin(None);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.abort_now();
    }
}

impl CommitTicket {
    /// Up to where the WAL must be durable before [`CommitTicket::finish`]; `None` if the commit need not
    /// wait.
    pub fn lsn_to_flush(&self) -> Option<Lsn> {
        self.logged.as_ref().filter(|commit| commit.synchronous).map(|commit| commit.lsn)
    }

    /// End of the commit record; `None` if the transaction wrote nothing.
    pub fn lsn(&self) -> Option<Lsn> {
        self.logged.as_ref().map(|commit| commit.lsn)
    }

    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Finishes the commit: everybody sees it from now on.
    pub fn finish(mut self) -> Committed {
        self.complete();
        Committed {
            lsn: self.logged.as_ref().map(|commit| commit.lsn),
            notices: self.transaction.take_notices(),
            dropped_statistics: std::mem::take(&mut self.dropped_statistics),
            invalidations: std::mem::take(&mut self.invalidations),
        }
    }

    fn complete(&mut self) {
        self.finished = true;
        let transaction = &self.transaction;
        let cluster = &transaction.cluster;
        let proc = transaction.proc();
        if let Some(commit) = &self.logged {
            let critical = CriticalSection::enter();
            let noted = (!commit.synchronous).then_some(commit.lsn);
            commit.pins.set(&critical, XidStatus::Committed, noted);
            drop(critical);
            cluster.transactions.proc_array.delay_checkpoint(proc, CheckpointStage::Start, false);
        }
        transaction.leave(self.logged.as_ref().map(|commit| commit.pins.latest()));
        cluster.deliver_invalidations(&self.invalidations);
        let actions = {
            let mut state = transaction.state.lock();
            state.ended = true;
            std::mem::take(&mut state.at_commit)
        };
        actions.into_iter().for_each(|action| action());
        cluster.locks.release_transaction(proc);
        transaction.delete_files(&self.files);
    }
}

impl Drop for CommitTicket {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Some(lsn) = self.lsn_to_flush()
            && self.transaction.cluster.wal.flush(lsn).is_err()
        {
            // The engine is restarting from its log, which decides; nothing in memory matters any more.
            self.transaction.state.lock().ended = true;
            return;
        }
        self.complete();
    }
}
