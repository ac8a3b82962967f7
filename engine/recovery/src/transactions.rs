//! Checkpoint and replay of what is in no relation page: counters and the SLRUs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kokkiri_primitives::activity::{WaitEvent, blocking, check_for_interrupts, with_current};
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::ProcNumber;
use kokkiri_transaction::{Cluster, TransactionSystem};
use kokkiri_wal::xlog::CheckPoint;

static CHECKPOINT_DELAY_START: WaitEvent = WaitEvent::new("IPC", "CheckpointDelayStart");
static CHECKPOINT_DELAY_COMPLETE: WaitEvent = WaitEvent::new("IPC", "CheckpointDelayComplete");

/// At which point of a checkpoint transactions are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DelayPhase {
    /// Before anything is flushed: commits that have logged their record but not yet marked the commit
    /// log.
    Start,
    /// Before the checkpoint is complete.
    Complete,
}

/// Takes over what a checkpoint record says: at a shutdown exactly, otherwise as minima.
pub(crate) fn replay_checkpoint(system: &TransactionSystem, checkpoint: &CheckPoint, shutdown: bool) {
    let (multi, offset) = (checkpoint.next_multixact, checkpoint.next_multixact_offset);
    if shutdown {
        system.xids.set_next(checkpoint.next_xid);
        system.oids.set_next(checkpoint.next_oid);
        system.multixacts.set_next(multi, offset);
    } else {
        // The oid counter is not touched: NEXTOID records tell it, and it may be ahead.
        if system.xids.next() < checkpoint.next_xid {
            system.xids.set_next(checkpoint.next_xid);
        }
        system.multixacts.advance_next(multi.0, offset);
    }
    if system.multixacts.limits().oldest.precedes(checkpoint.oldest_multixact) {
        system.multixacts.set_oldest(checkpoint.oldest_multixact, checkpoint.oldest_multixact_database);
    }
    if shutdown || system.xids.limits().oldest.precedes(checkpoint.oldest_xid) {
        system.set_oldest_xid(checkpoint.oldest_xid, checkpoint.oldest_xid_database);
    }
}

/// Fills in the counters of a checkpoint that starts now.
pub(crate) fn fill_checkpoint(system: &TransactionSystem, checkpoint: &mut CheckPoint, shutdown: bool) {
    let limits = system.xids.limits();
    checkpoint.next_xid = system.xids.next();
    checkpoint.oldest_xid = limits.oldest;
    checkpoint.oldest_xid_database = limits.oldest_database;
    checkpoint.next_oid = system.oids.for_checkpoint(shutdown);
    (checkpoint.next_multixact, checkpoint.next_multixact_offset) = system.multixacts.next();
    let limits = system.multixacts.limits();
    checkpoint.oldest_multixact = limits.oldest;
    checkpoint.oldest_multixact_database = limits.oldest_database;
}

/// Waits for transactions that are in a stretch which the checkpoint must not cut. Those that come later
/// are on its far side altogether.
pub(crate) fn wait_for_delaying(system: &TransactionSystem, phase: DelayPhase) -> Result<()> {
    let event = match phase {
        DelayPhase::Start => &CHECKPOINT_DELAY_START,
        DelayPhase::Complete => &CHECKPOINT_DELAY_COMPLETE,
    };
    let delaying = system.proc_array.delaying_checkpoint();
    while system.proc_array.still_delaying(&delaying) {
        check_for_interrupts()?;
        blocking(event, || std::thread::sleep(Duration::from_millis(1)));
    }
    Ok(())
}

/// Writes and syncs the SLRUs; returns how many pages were written.
pub(crate) fn flush(system: &TransactionSystem) -> Result<u64> {
    let written = || -> u64 {
        system.slrus().iter().map(|slru| slru.counters.blocks_written.load(Ordering::Relaxed)).sum()
    };
    let before = written();
    system.checkpoint()?;
    Ok(written() - before)
}

/// Forgets parents of transactions that nobody may ask about any more.
pub(crate) fn truncate_old(cluster: &Cluster) -> Result<()> {
    let system = &cluster.transactions;
    if system.in_recovery() {
        return Ok(());
    }
    let own = with_current(|backend| backend.map_or(ProcNumber(0), |backend| backend.number));
    system.subtrans.truncate(system.proc_array.horizons(own).oldest_considered_running)
}
