//! Waiting for what a checkpoint must not cut in two.

use std::time::Duration;

use kokkiri_primitives::activity::{WaitEvent, blocking, check_for_interrupts};
use kokkiri_primitives::error::Result;
use kokkiri_transaction::Cluster;
use kokkiri_transaction::proc_array::CheckpointStage;

static CHECKPOINT_DELAY_START: WaitEvent = WaitEvent::new("IPC", "CheckpointDelayStart");
static CHECKPOINT_DELAY_COMPLETE: WaitEvent = WaitEvent::new("IPC", "CheckpointDelayComplete");

/// How often a checkpoint looks again whether those it waits for are done.
const RECHECK: Duration = Duration::from_millis(1);

/// Waits for backends that have logged something but not yet done it: at the start, before anything is
/// flushed, for commits that have not marked the commit log and for files that are being cut, or they
/// would be on neither side of the checkpoint; at the end once more for the latter. Those that come later
/// are on its far side altogether.
pub(crate) fn wait_for_delays(cluster: &Cluster, stage: CheckpointStage) -> Result<()> {
    let event = match stage {
        CheckpointStage::Start => &CHECKPOINT_DELAY_START,
        CheckpointStage::Completion => &CHECKPOINT_DELAY_COMPLETE,
    };
    let proc_array = &cluster.transactions.proc_array;
    let delaying = proc_array.delaying_checkpoint(stage);
    while proc_array.still_delaying(stage, &delaying) {
        // Commits wait for their flush; this one serves them all.
        cluster.wal.flush(cluster.wal.insert_lsn())?;
        check_for_interrupts()?;
        blocking(event, || std::thread::sleep(RECHECK));
    }
    Ok(())
}
