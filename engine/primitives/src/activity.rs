//! What a backend is: one value that everything about it hangs on.
//!
//! Realises: `PGPROC`'s identity half, `PgBackendStatus`, latches, `CHECK_FOR_INTERRUPTS` and
//! `pgBufferUsage`.
//!
//! A connection is a task and a background worker is a task or a named thread; both own a [`Backend`].
//! The engine is synchronous code, so while a backend is inside the engine it has a thread to itself:
//! [`Backend::enter`] installs it as the thread's current backend, and [`check_for_interrupts`],
//! [`wait`] and the counters find it there without an argument on every call.
//!
//! Invariants:
//!  1. A thread has at most one current backend; entering nests only for the same backend.
//!  2. Only the current backend writes its [`Usage`] counters; everybody may read them.
//!  3. Whoever makes a condition true that a backend may be waiting for sets its latch afterwards.
//!
//! Start at [`Backend`], then [`wait`].

mod backend;
mod interrupt;
mod latch;
mod process_array;
mod temporary;
mod usage;
mod wait;

pub use backend::{Backend, BackendState, BackendType, Entered, Status, TlsStatus, current, with_current};
pub use interrupt::{Interrupt, InterruptHoldoff, Interrupts, check_for_interrupts, hold_interrupts};
pub use latch::Latch;
pub use process_array::{ProcessArray, Registration};
pub use temporary::{TemporaryFiles, TemporarySpace};
pub use usage::{Counter, Usage, UsageSnapshot};
pub use wait::{WaitEvent, WaitEventGuard, WaitOutcome, blocking, wait, wait_until};
