//! Snapshots: which transactions' effects a statement sees.
//!
//! Realises: `SnapshotData` of kind MVCC, `XidInMVCCSnapshot`, and the names of the other kinds.
//!
//! A snapshot is the set of transactions that were running when it was taken: everything below `xmin`
//! had ended, everything from `xmax` on had not begun to matter, and in between the running ones are
//! listed. The list is shared between all snapshots a backend takes while no transaction ends; what
//! differs from statement to statement is the command id.
//!
//! ```text
//!        ended         |  ended unless listed  |  running or not yet begun
//!  --------------------+-----------------------+--------------------------->  xid
//!                     xmin                    xmax
//! ```

use std::sync::Arc;

use kokkiri_primitives::{CommandId, Result, TransactionId};

use crate::subtrans::SubTrans;

/// Below this many listed xids a linear search is faster than a binary one.
const LINEAR_SEARCH_MAX: usize = 32;

/// The transactions that were running at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct RunningSet {
    /// Every xid before this had ended.
    pub xmin: TransactionId,
    /// No xid from this on had ended.
    pub xmax: TransactionId,
    /// Running top-level xids in `[xmin, xmax)`, sorted by their number.
    pub(crate) xids: Box<[u32]>,
    /// Running subtransactions of those, sorted; incomplete if `overflowed`.
    pub(crate) sub_xids: Box<[u32]>,
    /// Some transaction had more subtransactions than the process array holds: pg_subtrans knows them.
    pub overflowed: bool,
    /// How many transactions had ended when it was taken.
    pub(crate) completion_count: u64,
}

impl RunningSet {
    /// Top-level xids that were running, without the taker's own.
    pub fn xids(&self) -> impl Iterator<Item = TransactionId> {
        self.xids.iter().map(|xid| TransactionId(*xid))
    }

    /// Subtransaction xids that were running; incomplete if `overflowed`.
    pub fn sub_xids(&self) -> impl Iterator<Item = TransactionId> {
        self.sub_xids.iter().map(|xid| TransactionId(*xid))
    }
}

/// What a statement sees: PostgreSQL's MVCC snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub running: Arc<RunningSet>,
    /// The own transaction's commands before this one are visible.
    pub command_id: CommandId,
}

impl Snapshot {
    pub fn xmin(&self) -> TransactionId {
        self.running.xmin
    }

    pub fn xmax(&self) -> TransactionId {
        self.running.xmax
    }

    /// The same moment, seen by another command of the transaction.
    pub fn with_command(&self, command_id: CommandId) -> Self {
        Self { running: Arc::clone(&self.running), command_id }
    }

    /// True if `xid` was running when the snapshot was taken, so that its effects are invisible whether
    /// or not it has ended since. The own transaction is never listed: ask
    /// [`crate::Transaction::is_current`] first.
    ///
    /// # Errors
    /// I/O on pg_subtrans, which is consulted only after an overflow.
    pub fn xid_in_progress(&self, subtrans: &SubTrans, xid: TransactionId) -> Result<bool> {
        let set = &*self.running;
        if xid.precedes(set.xmin) {
            return Ok(false);
        }
        if xid.follows_or_equals(set.xmax) {
            return Ok(true);
        }
        if !set.overflowed {
            return Ok(contains(&set.sub_xids, xid) || contains(&set.xids, xid));
        }
        // The list of subtransactions is incomplete, so look for the topmost parent instead.
        let top = subtrans.topmost(xid, set.xmin)?;
        if top.precedes(set.xmin) {
            return Ok(false);
        }
        Ok(contains(&set.xids, top))
    }
}

fn contains(sorted: &[u32], xid: TransactionId) -> bool {
    if sorted.len() <= LINEAR_SEARCH_MAX {
        sorted.contains(&xid.0)
    } else {
        sorted.binary_search(&xid.0).is_ok()
    }
}

/// How tuples are judged visible: PostgreSQL's `SnapshotType`.
#[derive(Clone, Debug)]
pub enum Visibility<'a> {
    /// As of a snapshot, plus the own transaction's earlier commands.
    Mvcc(&'a Snapshot),
    /// Committed by now, or by the own transaction, the current command included.
    SelfCurrent,
    /// Everything.
    Any,
    /// A chunk of TOAST: visible unless its insertion was aborted.
    Toast,
    /// Committed or in progress; the judge reports who is in progress.
    Dirty,
    /// Everything that some snapshot may still see.
    NonVacuumable(HorizonKind),
}

/// Which horizon applies to a relation: how far back somebody may still look at its tuples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HorizonKind {
    /// A shared relation: backends of all databases look at it.
    Shared,
    /// A catalog of this database, or a table treated as one by logical decoding.
    Catalog,
    /// Any other relation of this database.
    Data,
    /// A temporary relation of the own session.
    Temporary,
}
