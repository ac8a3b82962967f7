//! The heap: rows in no order, in versions.
//!
//! Realises: `heapam.c`, `hio.c`, `pruneheap.c`, `vacuumlazy.c` and `heapam_xlog.c`.
//!
//! A row is a chain of versions, each a tuple with the transaction that made it (xmin) and the one that
//! replaced, deleted or locked it (xmax), and a pointer to its successor (t_ctid). Nothing is overwritten:
//! a snapshot decides which version it sees ([`visibility`]), and versions nobody can see any more are
//! pruned ([`prune`]) or vacuumed ([`vacuum`]).
//!
//! A version on the same page whose indexed values did not change is heap-only: no index entry leads to
//! it, only the chain from its root line pointer (HOT).
//!
//! Invariants:
//!  1. A page changes only through [`page`], inside a critical section that also logs the change.
//!  2. A tuple's bytes move only under a cleanup lock: whoever holds a pin may keep offsets.
//!  3. A page with PD_ALL_VISIBLE clear has its bit in the visibility map clear.
//!
//! Lock order: heap pages by rising block number, then map pages by rising block number. No page lock is
//! held while waiting for a transaction.
//!
//! Start at [`Heap`].

mod build_scan;
mod delete;
pub mod freeze;
mod indexed;
mod inplace;
mod insert;
mod lock;
pub mod locking;
mod observer;
pub mod page;
mod placement;
mod prune;
pub mod prune_plan;
pub mod prune_record;
pub mod record;
mod redo;
mod scan;
mod update;
pub mod vacuum;
pub mod visibility;
mod vm;

use std::sync::Arc;

use kokkiri_primitives::{BlockNumber, Fork, ItemPointer, Lsn, Result, TransactionId};
use kokkiri_storage::buffer::{PinnedBuffer, ReadMode};
use kokkiri_transaction::{Cluster, Transaction};
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;

use crate::relation::Relation;

pub use build_scan::{BuildReport, BuildRow, BuildVisitor};
pub use insert::{BulkInsert, InsertOptions};
pub use lock::{LockOutcome, RowLock};
pub use locking::RowLockMode;
pub use observer::Observer;
pub use redo::{Heap2Resource, HeapResource};
pub use scan::{FetchedRow, Scan, ScanOptions, TupleFetch};
pub use update::{NewValue, RowUpdate};

/// A table as one transaction works on it.
#[derive(Clone, Copy)]
pub struct Heap<'a> {
    pub relation: &'a Relation,
    pub transaction: &'a Transaction,
}

impl<'a> Heap<'a> {
    pub fn new(relation: &'a Relation, transaction: &'a Transaction) -> Self {
        Self { relation, transaction }
    }

    pub fn cluster(&self) -> &'a Arc<Cluster> {
        self.transaction.cluster()
    }

    pub fn observer(&self) -> Observer<'a> {
        Observer::new(self.transaction)
    }

    pub fn pin(&self, block: BlockNumber) -> Result<PinnedBuffer> {
        self.cluster().buffers.read(self.relation.file, Fork::Main, block, ReadMode::Normal, None)
    }

    /// Pages of the table.
    pub fn block_count(&self) -> Result<u32> {
        self.cluster().buffers.blocks(self.relation.file, Fork::Main)
    }

    /// Whether the next record that changes a page with this LSN takes its image, as far as can be known
    /// now: `XLogCheckBufferNeedsBackup`.
    pub(crate) fn needs_image(&self, lsn: Lsn) -> bool {
        let wal = &self.cluster().wal;
        wal.full_page_writes() && lsn <= wal.redo_lsn()
    }

    pub(crate) fn record<'r>(&self, rmgr: RmgrId, info: u8, xid: Option<TransactionId>) -> RecordBuilder<'r> {
        let mut record = RecordBuilder::new(rmgr, info);
        record.xid(xid);
        record
    }
}

/// What happened to a row that was to be changed, other than that it was changed: `TM_FailureData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// By our own transaction, in the command that asks (`is_current`) or a later one.
    SelfModified { is_current: bool },
    /// Replaced by a committed transaction: the chain goes on at `next`, whose xmin must be `xmax`.
    Updated { next: ItemPointer, xmax: TransactionId },
    /// Deleted, or moved to another partition.
    Deleted { moved: bool },
    /// Somebody holds it, and we were not to wait.
    WouldBlock,
    /// Not visible to the command that asks.
    Invisible,
}
