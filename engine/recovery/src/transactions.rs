//! Waiting for transactions that a checkpoint must not cut.

use std::time::Duration;

use kokkiri_primitives::activity::{WaitEvent, blocking, check_for_interrupts};
use kokkiri_primitives::error::Result;
use kokkiri_transaction::Cluster;

static CHECKPOINT_DELAY_START: WaitEvent = WaitEvent::new("IPC", "CheckpointDelayStart");

/// How often a checkpoint looks again whether commits under way are done.
const RECHECK: Duration = Duration::from_millis(1);

/// Waits for commits that have logged their record but not yet marked the commit log: before anything is
/// flushed, or the commit would be on neither side of the checkpoint. Those that start later are on its
/// far side altogether.
pub(crate) fn wait_for_commits(cluster: &Cluster) -> Result<()> {
    let proc_array = &cluster.transactions.proc_array;
    let commits = proc_array.delaying_checkpoint();
    while proc_array.still_delaying(&commits) {
        // Commits wait for their flush; this one serves them all.
        cluster.wal.flush(cluster.wal.insert_lsn())?;
        check_for_interrupts()?;
        blocking(&CHECKPOINT_DELAY_START, || std::thread::sleep(RECHECK));
    }
    Ok(())
}
