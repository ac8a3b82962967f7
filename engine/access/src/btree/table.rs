//! What an index asks of the table it indexes.
//!
//! Realises: `table_index_fetch_tuple_check` and `table_index_delete_tuples`. The table's access method
//! implements [`IndexedTable`]; an index never looks into heap pages itself.

use kokkiri_primitives::{ItemPointer, OffsetNumber, Result, TransactionId};

/// The tuples an index entry leads to, judged by a dirty snapshot: as of now, running transactions'
/// changes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// One of them is live, and nobody is about to change that.
    Live,
    /// One of them is being inserted or deleted by this running transaction: wait for it.
    InProgress {
        xid: TransactionId,
        /// A speculative insertion, which may be given up without the transaction ending.
        speculative: bool,
    },
    /// None is live. `to_all`: to no snapshot, old or new, so the entry may be marked dead.
    Dead { to_all: bool },
}

/// An index entry that might be deletable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionCandidate {
    pub tid: ItemPointer,
    /// The index tuple that holds the tid.
    pub offset: OffsetNumber,
    /// Set by the table; on entry for index tuples that are marked dead.
    pub known_deletable: bool,
    /// Bottom-up only: a duplicate, likely a version of the same row.
    pub promising: bool,
    /// Bottom-up only: bytes gained by deleting it.
    pub free_space: u16,
}

/// Entries of one index page that the table is asked about: `TM_IndexDeleteOp`.
#[derive(Clone, Debug, Default)]
pub struct IndexDeletion {
    /// For a bottom-up deletion the bytes wanted; the table looks at the blocks that promise most and
    /// stops when it has found that much or it no longer pays. `None`: every candidate is to be judged.
    pub wanted_space: Option<usize>,
    /// In order of offset, then tid.
    pub candidates: Vec<DeletionCandidate>,
}

/// See the module.
pub trait IndexedTable {
    fn probe(&self, tid: ItemPointer) -> Result<Probe>;

    /// Whether the tuple just inserted by this transaction is still live: `SnapshotSelf`. It is not if the
    /// transaction has deleted it again before an index was built over it.
    fn is_live_to_self(&self, tid: ItemPointer) -> Result<bool>;

    /// Marks the candidates that no snapshot needs; returns the newest xid that a standby must have ended
    /// the snapshots of before it may delete them too.
    fn judge(&self, deletion: &mut IndexDeletion) -> Result<TransactionId>;
}
