//! Transaction ids, commit log, multixacts, snapshots, lock table, commit.
//!
//! Realises: PostgreSQL's transam (xact, varsup, clog, subtrans, multixact, slru), procarray, snapmgr,
//! the lock manager, and the records they write.
//!
//! The parts, lowest first; each uses only those before it:
//!
//!  * [`slru`]: pages of small facts about transactions, cached and written back.
//!  * [`clog`], [`subtrans`], [`multixact`]: what became of a transaction, whose child it is, who shares
//!    a tuple.
//!  * [`xid`]: handing out transaction and object ids.
//!  * [`proc_array`], [`snapshot`]: who runs, and what a statement sees.
//!  * [`lock`]: heavyweight locks, with deadlock detection.
//!  * [`system`]: these together for one data directory; [`cluster`]: with storage and WAL.
//!  * [`transaction`]: one running transaction, from begin to the two phases of its commit.
//!  * [`redo`]: replay of this layer's records.
#![forbid(unsafe_code)]

mod bytes;
pub mod clog;
pub mod cluster;
mod copy_storage;
pub mod database_files;
pub mod invalidation;
pub mod lock;
pub mod multixact;
pub mod proc_array;
pub mod redo;
pub mod slru;
pub mod snapshot;
pub mod standby;
mod startup;
pub mod storage_records;
pub mod subtrans;
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transaction;
pub mod xid;

pub use cluster::Cluster;
pub use invalidation::Invalidation;
pub use lock::{LockManager, LockMode, LockOutcome, LockOwner, LockTag, WaitPolicy};
pub use multixact::{MultiXactMember, MultiXactStatus};
pub use snapshot::{HorizonKind, Snapshot, Visibility};
pub use system::{TransactionOptions, TransactionStatus, TransactionSystem};
pub use transaction::{
    BeginOptions, CommitTicket, IsolationLevel, SnapshotGuard, SubTransactionId, SynchronousCommit,
    Transaction,
};
