//! A transaction's eyes: what visibility asks, answered by the transaction system.

use std::sync::Arc;

use kokkiri_primitives::{CommandId, MultiXactId, Result, TransactionId};
use kokkiri_transaction::multixact::{MultiXactMember, MultiXactStatus};
use kokkiri_transaction::{Snapshot, Transaction, TransactionSystem};

use super::visibility::{Judge, MvccSnapshot};
use crate::tuple::header::{Infomask, TupleHeader};

/// Judges tuples for one transaction.
#[derive(Clone, Copy)]
pub struct Observer<'a> {
    transaction: &'a Transaction,
}

impl<'a> Observer<'a> {
    pub fn new(transaction: &'a Transaction) -> Self {
        Self { transaction }
    }

    fn system(&self) -> &'a TransactionSystem {
        &self.transaction.cluster().transactions
    }

    /// A snapshot as the MVCC rule needs it.
    pub fn with<'s>(&self, snapshot: &'s Snapshot) -> SnapshotView<'s>
    where
        'a: 's,
    {
        SnapshotView { transaction: self.transaction, snapshot }
    }
}

impl Judge for Observer<'_> {
    fn is_current(&self, xid: TransactionId) -> bool {
        self.transaction.is_current(xid)
    }

    fn is_in_progress(&self, xid: TransactionId) -> Result<bool> {
        self.transaction.is_in_progress(xid)
    }

    fn did_commit(&self, xid: TransactionId) -> Result<bool> {
        self.transaction.cluster().transactions.did_commit(xid)
    }

    fn members(&self, multi: MultiXactId, lock_only: bool) -> Result<Arc<[MultiXactMember]>> {
        self.system().multixacts.members(self.transaction.proc(), multi, lock_only)
    }

    fn create_multi(&self, members: &[MultiXactMember]) -> Result<MultiXactId> {
        let xid = self.transaction.current_xid_if_assigned();
        self.system().multixacts.create_from_members(xid, members.to_vec())
    }

    fn expand_multi(
        &self,
        multi: MultiXactId,
        xid: TransactionId,
        status: MultiXactStatus,
    ) -> Result<MultiXactId> {
        let member = MultiXactMember { xid, status };
        self.system().multixacts.expand(self.system(), self.transaction.proc(), Some(xid), multi, member)
    }

    fn is_durable(&self, xid: TransactionId) -> bool {
        let cluster = self.transaction.cluster();
        cluster.transactions.commit_lsn(xid).is_ok_and(|lsn| lsn <= cluster.wal.flushed_lsn())
    }

    fn inserting_command(&self, header: &TupleHeader) -> CommandId {
        if !header.infomask.any(Infomask::COMBO_CID) {
            return header.cid;
        }
        self.transaction.resolve_combo(header.cid).map_or(header.cid, |(cmin, _)| cmin)
    }

    fn deleting_command(&self, header: &TupleHeader) -> CommandId {
        if !header.infomask.any(Infomask::COMBO_CID) {
            return header.cid;
        }
        self.transaction.resolve_combo(header.cid).map_or(header.cid, |(_, cmax)| cmax)
    }
}

/// A snapshot seen by its transaction.
#[derive(Clone, Copy)]
pub struct SnapshotView<'a> {
    transaction: &'a Transaction,
    snapshot: &'a Snapshot,
}

impl MvccSnapshot for SnapshotView<'_> {
    fn is_running(&self, xid: TransactionId) -> Result<bool> {
        self.snapshot.xid_in_progress(&self.transaction.cluster().transactions.subtrans, xid)
    }

    fn command_id(&self) -> CommandId {
        self.snapshot.command_id
    }
}
