//! The transaction layer as checkpoints and recovery see it.

use std::thread;
use std::time::Duration;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{Oid, TransactionId};
use kokkiri_transaction::Cluster;
use kokkiri_wal::xlog::CheckPoint;

use crate::shared_state::{DelayPhase, SharedState};

/// How often a checkpoint looks again whether commits under way are done; PostgreSQL's 10 ms.
const DELAYING_RECHECK: Duration = Duration::from_millis(10);

impl SharedState for Cluster {
    fn start(&self, checkpoint: &CheckPoint) -> Result<()> {
        self.transactions.start(checkpoint);
        Ok(())
    }

    fn note_xid(&self, xid: TransactionId) -> Result<()> {
        self.transactions.note_xid(xid);
        Ok(())
    }

    fn replay_checkpoint(&self, checkpoint: &CheckPoint, shutdown: bool) -> Result<()> {
        self.transactions.replay_checkpoint(checkpoint, shutdown);
        Ok(())
    }

    fn replay_next_oid(&self, next: Oid) {
        self.transactions.oids.set_next(next);
    }

    fn end_recovery(&self) -> Result<()> {
        self.transactions.end_recovery()
    }

    fn fill_checkpoint(&self, checkpoint: &mut CheckPoint, shutdown: bool) {
        self.transactions.fill_checkpoint(checkpoint, shutdown);
    }

    fn wait_for_delaying(&self, phase: DelayPhase) -> Result<()> {
        // Truncations hold nothing up at the end: they finish cutting before their caller goes on.
        if phase == DelayPhase::Complete {
            return Ok(());
        }
        let proc_array = &self.transactions.proc_array;
        let commits = proc_array.delaying_checkpoint();
        while proc_array.still_delaying(&commits) {
            // Whoever waits for the disk must not wait for a checkpoint that waits for him.
            self.wal.flush(self.wal.insert_lsn())?;
            check_for_interrupts()?;
            thread::sleep(DELAYING_RECHECK);
        }
        Ok(())
    }

    fn flush(&self) -> Result<u64> {
        self.transactions.checkpoint()
    }

    fn log_running_transactions(&self) -> Result<()> {
        if self.transactions.standby_info() {
            self.log_standby_snapshot();
        }
        Ok(())
    }

    fn truncate_old(&self) -> Result<()> {
        self.transactions.truncate_subtrans()
    }
}
