//! Replay of this layer's records: Transaction, Storage, CLOG, Database, RelMap, MultiXact, Standby.
//!
//! Realises: `xact_redo` and the other resource managers' redo of the transaction layer.

use std::sync::Arc;

use kokkiri_primitives::{BlockNumber, Error, Fork, RelFileLocator, Result, TransactionId};
use kokkiri_storage::{CriticalSection, RelationFile};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;

use crate::clog::XidStatus;
use crate::cluster::Cluster;
use crate::database_files;
use crate::standby;
use crate::storage_records::StorageRecord;
use crate::transaction::records::{
    TransactionRecord, XACT_ABORT, XACT_ABORT_PREPARED, XACT_ASSIGNMENT, XACT_COMMIT, XACT_COMMIT_PREPARED,
    XACT_INVALIDATIONS, XACT_OPERATION_MASK, XACT_PREPARE,
};

/// Resource managers whose records [`redo`] replays.
pub const RESOURCE_MANAGERS: [RmgrId; 7] = [
    RmgrId::Transaction,
    RmgrId::Storage,
    RmgrId::Clog,
    RmgrId::Database,
    RmgrId::RelMap,
    RmgrId::MultiXact,
    RmgrId::Standby,
];

/// The resource manager of all of [`RESOURCE_MANAGERS`], for whoever replays the log.
pub struct TransactionRedo(pub Arc<Cluster>);

impl ResourceManager for TransactionRedo {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        redo(&self.0, context, record.rmgr, record)
    }
}

/// Replays a record of one of [`RESOURCE_MANAGERS`].
///
/// # Errors
/// XX001 for bytes that can't be what was written, XX000 for an unknown kind of record, and I/O.
pub fn redo(cluster: &Cluster, context: &ReplayContext, rmgr: RmgrId, record: &DecodedRecord) -> Result<()> {
    match rmgr {
        RmgrId::Transaction => redo_transaction(cluster, context, record),
        RmgrId::Storage => redo_storage(cluster, context, record),
        RmgrId::Clog => {
            if let Some((oldest, database)) = cluster.transactions.clog.redo(record)? {
                cluster.transactions.set_oldest_xid(oldest, database);
            }
            Ok(())
        }
        RmgrId::Database => database_files::redo_database(cluster, context, record),
        RmgrId::RelMap => database_files::redo_relation_map(cluster, record),
        RmgrId::MultiXact => {
            if let Some(latest) = cluster.transactions.multixacts.redo(record)? {
                cluster.transactions.xids.advance_past(latest);
            }
            Ok(())
        }
        RmgrId::Standby => standby::redo(record),
        other => Err(Error::internal(format!("the transaction layer has no {} records", other.name()))),
    }
}

fn redo_transaction(cluster: &Cluster, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    match record.operation() & XACT_OPERATION_MASK {
        XACT_COMMIT | XACT_COMMIT_PREPARED => redo_end(cluster, context, record, XidStatus::Committed),
        XACT_ABORT | XACT_ABORT_PREPARED => redo_end(cluster, context, record, XidStatus::Aborted),
        // Of use to readers on a standby only.
        XACT_ASSIGNMENT | XACT_INVALIDATIONS => Ok(()),
        XACT_PREPARE => Err(Error::not_supported("replay of prepared transactions")),
        other => Err(Error::internal(format!("xact_redo: unknown op code {other}"))),
    }
}

fn redo_end(
    cluster: &Cluster,
    context: &ReplayContext,
    record: &DecodedRecord,
    status: XidStatus,
) -> Result<()> {
    let body = TransactionRecord::decode(record)?;
    let xid = body.prepared.unwrap_or(record.xid);
    let latest = body.sub_xids.iter().copied().fold(xid, TransactionId::newer);
    cluster.transactions.xids.advance_past(latest);
    let pins = cluster.transactions.clog.prepare(xid, &body.sub_xids)?;
    {
        let critical = CriticalSection::enter();
        pins.set(&critical, status, None);
    }
    for locator in body.dropped_files {
        for fork in Fork::ALL {
            context.forget_invalid_pages(locator, fork, BlockNumber(0));
        }
        cluster.delete_relation_files(RelationFile::permanent(locator), true)?;
    }
    Ok(())
}

fn redo_storage(cluster: &Cluster, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    match StorageRecord::decode(record)? {
        StorageRecord::Create { locator, fork } => {
            cluster.storage.create(RelationFile::permanent(locator), fork, true)
        }
        StorageRecord::Truncate { locator, blocks, main, vm, fsm } => {
            if main {
                context.forget_invalid_pages(locator, Fork::Main, blocks);
            }
            truncate(cluster, locator, blocks, (main, vm, fsm))
        }
    }
}

fn truncate(
    cluster: &Cluster,
    locator: RelFileLocator,
    blocks: BlockNumber,
    (main, vm, fsm): (bool, bool, bool),
) -> Result<()> {
    let relation = RelationFile::permanent(locator);
    // The relation may be dropped later in the log, and its file be gone already.
    cluster.storage.create(relation, Fork::Main, true)?;
    cluster.truncate_forks(relation, blocks, (main, vm, fsm))
}
