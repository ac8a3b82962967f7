//! The snapshots a transaction holds.
//!
//! Realises: snapmgr.c: `GetTransactionSnapshot`, `GetLatestSnapshot`, `RegisterSnapshot`,
//! `SnapshotResetXmin`. A [`SnapshotGuard`] keeps what its snapshot sees from being vacuumed away: the
//! backend's xmin is that of the oldest snapshot it holds.

use std::ops::Deref;
use std::sync::Arc;

use kokkiri_primitives::activity::Backend;
use kokkiri_primitives::{CommandId, ProcNumber, TransactionId};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::snapshot::{RunningSet, Snapshot};

/// The snapshots of one transaction; shared with its guards, which may outlive it by a little.
pub(crate) struct SnapshotRegistry {
    cluster: Arc<Cluster>,
    backend: Arc<Backend>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// xmin of every snapshot in use, oldest first taken.
    xmins: Vec<TransactionId>,
    /// The one snapshot of a repeatable read transaction.
    transaction: Option<Arc<RunningSet>>,
    /// xmin of the latest snapshot taken.
    recent_xmin: Option<TransactionId>,
    /// The transaction is over: its guards no longer touch the backend's xmin.
    ended: bool,
}

impl SnapshotRegistry {
    pub fn new(cluster: Arc<Cluster>, backend: Arc<Backend>) -> Arc<Self> {
        Arc::new(Self { cluster, backend, held: Mutex::default() })
    }

    /// Takes a new snapshot, which sets the backend's xmin if it has none.
    fn take(&self, held: &mut Held) -> Arc<RunningSet> {
        let proc_array = &self.cluster.transactions.proc_array;
        let running = proc_array.snapshot(self.backend.number);
        if held.xmins.is_empty() {
            self.backend.set_xmin(proc_array.xmin(self.backend.number));
        }
        held.recent_xmin = Some(running.xmin);
        running
    }

    /// Takes a snapshot as of now.
    pub fn latest(self: &Arc<Self>, command_id: CommandId) -> SnapshotGuard {
        let mut held = self.held.lock();
        let running = self.take(&mut held);
        self.register(&mut held, running, command_id)
    }

    /// The transaction's one snapshot, taken at the first call.
    pub fn of_transaction(self: &Arc<Self>, command_id: CommandId) -> SnapshotGuard {
        let mut held = self.held.lock();
        let running = match &held.transaction {
            Some(running) => Arc::clone(running),
            None => {
                let running = self.take(&mut held);
                held.transaction = Some(Arc::clone(&running));
                running
            }
        };
        self.register(&mut held, running, command_id)
    }

    /// Makes another transaction's snapshot this one's; false if it is too late for that.
    pub fn import(&self, running: Arc<RunningSet>, source: ProcNumber) -> bool {
        let mut held = self.held.lock();
        let xmin = running.xmin;
        let imported = self.cluster.transactions.proc_array.import_xmin(self.backend.number, source, xmin);
        if imported {
            held.recent_xmin = Some(xmin);
            held.transaction = Some(running);
        }
        imported
    }

    fn register(
        self: &Arc<Self>,
        held: &mut Held,
        running: Arc<RunningSet>,
        command_id: CommandId,
    ) -> SnapshotGuard {
        held.xmins.push(running.xmin);
        SnapshotGuard { registry: Arc::clone(self), snapshot: Snapshot { running, command_id } }
    }

    fn release(&self, xmin: TransactionId) {
        let mut held = self.held.lock();
        if let Some(at) = held.xmins.iter().rposition(|held| *held == xmin) {
            held.xmins.swap_remove(at);
        }
        if held.ended {
            return;
        }
        let own = held.transaction.as_ref().map(|running| running.xmin);
        let oldest = held.xmins.iter().copied().chain(own).reduce(TransactionId::older);
        let proc_array = &self.cluster.transactions.proc_array;
        if proc_array.xmin(self.backend.number) != oldest {
            proc_array.advance_xmin(self.backend.number, oldest);
            self.backend.set_xmin(oldest);
        }
    }

    pub fn recent_xmin(&self) -> Option<TransactionId> {
        self.held.lock().recent_xmin
    }

    /// True if the transaction has its one snapshot.
    pub fn has_transaction_snapshot(&self) -> bool {
        self.held.lock().transaction.is_some()
    }

    pub fn end(&self) {
        let mut held = self.held.lock();
        held.ended = true;
        held.transaction = None;
    }
}

/// A snapshot in use. While it lives, nothing that it may see is removed.
pub struct SnapshotGuard {
    registry: Arc<SnapshotRegistry>,
    snapshot: Snapshot,
}

impl SnapshotGuard {
    /// The same moment, seen by another command.
    pub fn with_command(&self, command_id: CommandId) -> Self {
        let running = Arc::clone(&self.snapshot.running);
        self.registry.register(&mut self.registry.held.lock(), running, command_id)
    }
}

impl Clone for SnapshotGuard {
    fn clone(&self) -> Self {
        self.with_command(self.snapshot.command_id)
    }
}

impl Deref for SnapshotGuard {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Drop for SnapshotGuard {
    fn drop(&mut self) {
        self.registry.release(self.snapshot.running.xmin);
    }
}
