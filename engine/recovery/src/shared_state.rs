//! What checkpoints and recovery need of the state that is in no relation page: counters and SLRUs.

use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{Oid, TransactionId};
use kokkiri_wal::xlog::CheckPoint;

/// At which point of a checkpoint transactions are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayPhase {
    /// Commits that have logged their record but not yet marked the commit log: before anything is
    /// flushed. `DELAY_CHKPT_START`.
    Start,
    /// Truncations that have logged their record but not yet cut the files: before the checkpoint is
    /// complete. `DELAY_CHKPT_COMPLETE`.
    Complete,
}

/// Transaction ids, oids, multixacts, the commit log and its kin, as one.
///
/// Implemented where these are put together; named here because checkpoint and recovery drive them in a
/// fixed order.
pub trait SharedState: Send + Sync {
    /// Takes the counters of the checkpoint that recovery starts from, before anything is replayed.
    fn start(&self, checkpoint: &CheckPoint) -> Result<()>;

    /// A record of `xid` is about to be replayed: the next id is beyond it.
    fn note_xid(&self, xid: TransactionId) -> Result<()>;

    /// Replays a checkpoint record: a shutdown one tells the counters exactly, an online one their
    /// minima.
    fn replay_checkpoint(&self, checkpoint: &CheckPoint, shutdown: bool) -> Result<()>;

    /// Oids below `next` may be in use.
    fn replay_next_oid(&self, next: Oid);

    /// The WAL was replayed to its end and insertion is possible: nothing runs any more, the SLRUs can
    /// be trimmed.
    fn end_recovery(&self) -> Result<()>;

    /// Fills in counters, oldest transactions and multixacts of a checkpoint that starts now. At an
    /// online one, oids that are preallocated count as used and the oldest running transaction is told.
    fn fill_checkpoint(&self, checkpoint: &mut CheckPoint, shutdown: bool);

    /// Waits for transactions that are in a stretch which a checkpoint must not cut.
    fn wait_for_delaying(&self, phase: DelayPhase) -> Result<()>;

    /// Writes dirty SLRU pages and queues their files for syncing; returns how many pages.
    fn flush(&self) -> Result<u64>;

    /// Logs which transactions are running, for standbys.
    fn log_running_transactions(&self) -> Result<()>;

    /// Forgets what no snapshot needs any more, after the checkpoint.
    fn truncate_old(&self) -> Result<()>;
}
