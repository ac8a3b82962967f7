//! Relation files that appear and disappear with their transaction.
//!
//! Realises: storage.c's pending deletes: `RelationCreateStorage`, `RelationDropStorage`,
//! `smgrDoPendingDeletes`.
//!
//! A new relation's file exists at once and is deleted if its (sub)transaction aborts; a dropped one's
//! stays until its transaction has committed. The commit or abort record names the files, so that replay
//! deletes them too.

use kokkiri_primitives::activity::hold_interrupts;
use kokkiri_primitives::{BlockNumber, Fork, ProcNumber, RelFileLocator, Result};
use kokkiri_storage::{CriticalSection, RelationFile};

use crate::Cluster;
use crate::proc_array::CheckpointStage;
use crate::storage_records::{smgr_create_record, smgr_truncate_record};

use super::Transaction;

/// When a file is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Commit,
    Abort,
}

#[derive(Clone, Copy, Debug)]
struct PendingFile {
    relation: RelationFile,
    when: When,
    nesting: u32,
}

/// The files a transaction has created or dropped.
#[derive(Debug, Default)]
pub(super) struct PendingFiles(Vec<PendingFile>);

/// Holds off both stages of checkpoints while it lives.
struct CheckpointDelay<'a> {
    cluster: &'a Cluster,
    proc: ProcNumber,
}

impl<'a> CheckpointDelay<'a> {
    const STAGES: [CheckpointStage; 2] = [CheckpointStage::Start, CheckpointStage::Completion];

    fn begin(cluster: &'a Cluster, proc: ProcNumber) -> Self {
        let array = &cluster.transactions.proc_array;
        Self::STAGES.into_iter().for_each(|stage| array.delay_checkpoint(proc, stage, true));
        Self { cluster, proc }
    }
}

impl Drop for CheckpointDelay<'_> {
    fn drop(&mut self) {
        let array = &self.cluster.transactions.proc_array;
        Self::STAGES.into_iter().for_each(|stage| array.delay_checkpoint(self.proc, stage, false));
    }
}

impl PendingFiles {
    /// What a committed subtransaction did, its parent did.
    pub fn commit_sub(&mut self, nesting: u32) {
        for file in self.0.iter_mut().filter(|file| file.nesting >= nesting) {
            file.nesting = nesting - 1;
        }
    }

    /// Forgets what an aborted subtransaction did; returns what is to be deleted.
    pub fn abort_sub(&mut self, nesting: u32) -> Vec<RelationFile> {
        let mut delete = Vec::new();
        self.0.retain(|file| {
            if file.nesting >= nesting && file.when == When::Abort {
                delete.push(file.relation);
            }
            file.nesting < nesting
        });
        delete
    }

    pub fn at_commit(&self) -> Vec<RelationFile> {
        self.0.iter().filter(|file| file.when == When::Commit).map(|file| file.relation).collect()
    }

    pub fn at_abort(&self) -> Vec<RelationFile> {
        self.0.iter().filter(|file| file.when == When::Abort).map(|file| file.relation).collect()
    }
}

/// The locators that a record names: temporary files need no replay.
pub(super) fn logged(files: &[RelationFile]) -> Vec<RelFileLocator> {
    files.iter().filter(|file| file.temp().is_none()).map(|file| file.locator).collect()
}

impl Transaction {
    /// Creates a relation's main fork, to be deleted if the current (sub)transaction aborts.
    /// `RelationCreateStorage`; `log` is false for temporary and unlogged relations.
    pub fn create_storage(&self, relation: RelationFile, log: bool) -> Result<()> {
        let xid = if log { Some(self.current_xid()?) } else { None };
        self.cluster().storage.create(relation, Fork::Main, false)?;
        {
            let mut state = self.state.lock();
            let nesting = state.levels.len() as u32;
            state.files.0.push(PendingFile { relation, when: When::Abort, nesting });
        }
        if log {
            let critical = CriticalSection::enter();
            let mut record = smgr_create_record(relation.locator, Fork::Main);
            record.xid(xid);
            self.cluster().wal.insert(&critical, record);
        }
        Ok(())
    }

    /// Creates the init fork of an unlogged relation, which recovery resets it to. It is logged, and goes
    /// with the relation's other forks.
    pub fn create_init_fork(&self, relation: RelationFile) -> Result<()> {
        let xid = self.current_xid()?;
        self.cluster().storage.create(relation, Fork::Init, false)?;
        let critical = CriticalSection::enter();
        let mut record = smgr_create_record(relation.locator, Fork::Init);
        record.xid(Some(xid));
        self.cluster().wal.insert(&critical, record);
        Ok(())
    }

    /// Cuts a relation to `blocks`, logging it if `log`. The caller holds the relation exclusively; what
    /// lay behind is gone even if the transaction aborts. `RelationTruncate`.
    ///
    /// No checkpoint comes between the record and the cut: its redo pointer would lie behind the record,
    /// and a crash could bring the tail back. Nor does one end while pages of the tail are gone from
    /// memory unwritten.
    ///
    /// # Errors
    /// A PANIC if the file can't be cut: the log says it is, and the pages of the tail are gone.
    pub fn truncate_storage(&self, relation: RelationFile, blocks: BlockNumber, log: bool) -> Result<()> {
        let cluster = self.cluster();
        let _whole = hold_interrupts();
        let _delay = CheckpointDelay::begin(cluster, self.proc());
        if log {
            let xid = self.current_xid_if_assigned();
            let lsn = {
                let critical = CriticalSection::enter();
                let mut record = smgr_truncate_record(relation.locator, blocks);
                record.xid(xid);
                cluster.wal.insert(&critical, record)
            };
            // The file must not be shorter than the durable log says.
            cluster.wal.flush(lsn)?;
        }
        cluster
            .truncate_forks(relation, blocks, (true, true, true))
            .map_err(|error| cluster.poison.panic_with(error))
    }

    /// True if the current subtransaction has made this file: nobody else can have seen it.
    pub fn made_in_current_sub(&self, relation: RelationFile) -> bool {
        let state = self.state.lock();
        let nesting = state.levels.len() as u32;
        let made = |file: &PendingFile| {
            file.relation == relation && file.when == When::Abort && file.nesting == nesting
        };
        state.files.0.iter().any(made)
    }

    /// Deletes a relation's files once the transaction has committed. `RelationDropStorage`.
    pub fn drop_storage(&self, relation: RelationFile) {
        let mut state = self.state.lock();
        let nesting = state.levels.len() as u32;
        state.files.0.push(PendingFile { relation, when: When::Commit, nesting });
    }

    /// Forgets a pending deletion: the file is kept whatever happens. `RelationPreserveStorage`.
    pub fn preserve_storage(&self, relation: RelationFile) {
        self.state.lock().files.0.retain(|file| file.relation != relation);
    }

    /// Deletes files now. What fails is reported as a warning: the transaction has ended already, and a
    /// file left behind does no harm.
    pub(super) fn delete_files(&self, files: &[RelationFile]) {
        for file in files {
            if let Err(error) = self.cluster().delete_relation_files(*file, false) {
                let warning = error.with_severity(kokkiri_primitives::Severity::Warning);
                self.state.lock().notices.push(warning);
            }
        }
    }
}
