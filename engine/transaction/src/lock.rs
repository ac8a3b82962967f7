//! Heavyweight locks: on relations, transactions, tuples, advisory keys; what pg_locks shows.
//!
//! Realises: the lock manager (lmgr/lock.c, proc.c, deadlock.c and their README), default and user lock
//! methods as one table.
//!
//! Invariants:
//!  1. A backend waits for at most one lock, and only [`LockManager`] queues and dequeues it.
//!  2. Whoever grants a waiter sets its state first and its latch afterwards.
//!  3. The shared table knows that a backend holds a mode; how often and for whom, only the backend's
//!     own [`local`] table knows.
//!
//! Lock order: a backend's fast path, partitions of the shared table (rising), a backend's wait state;
//!  the process array last. Nothing is awaited while any of these is held.
//!
//! Start at [`LockManager::acquire`].

mod deadlock;
mod fast_path;
mod listing;
mod local;
mod manager;
mod mode;
mod self_lock;
mod table;
mod tag;
mod waiting;

pub use listing::LockInfo;
pub use local::LockOwner;
pub use manager::{LockManager, LockOutcome, WaitPolicy};
pub use mode::{LOCK_MODE_COUNT, LockMask, LockMode};
pub use tag::{AdvisoryKey, LockTag, LockTagFields, VirtualTransactionId};
