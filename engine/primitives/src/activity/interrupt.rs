//! Interrupts: requests that a backend notices at its next safe place.
//!
//! Realises: `CHECK_FOR_INTERRUPTS`, `QueryCancelPending`, `ProcDiePending` and their kin. A request is
//! a bit in the backend's [`Interrupts`]; raising one also sets the backend's latch, so that a waiting
//! backend notices it as well.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

use super::backend::with_current;
use super::wait::give_worker_away_if_due;

/// One kind of request. The value is its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Interrupt {
    /// A cancel request or pg_cancel_backend.
    Cancel = 1,
    StatementTimeout = 1 << 1,
    LockTimeout = 1 << 2,
    TransactionTimeout = 1 << 3,
    /// pg_terminate_backend, or the server shuts down.
    Terminate = 1 << 4,
    /// The server is replaying WAL after a PANIC elsewhere: every session ends.
    CrashRestart = 1 << 5,
    /// Configuration files are to be read again; handled between statements.
    Reload = 1 << 6,
    /// A parked transaction or an idle session has waited too long; handled between statements.
    IdleInTransactionTimeout = 1 << 7,
    IdleSessionTimeout = 1 << 8,
    /// A recovery conflict on a standby ends the statement.
    RecoveryConflict = 1 << 9,
    /// The client has gone: there is nobody to answer.
    ConnectionLost = 1 << 10,
}

/// The requests that end a running statement; the others wait for the session's loop.
const STATEMENT_ENDING: u32 = Interrupt::Cancel as u32
    | Interrupt::StatementTimeout as u32
    | Interrupt::LockTimeout as u32
    | Interrupt::TransactionTimeout as u32
    | Interrupt::Terminate as u32
    | Interrupt::CrashRestart as u32
    | Interrupt::RecoveryConflict as u32
    | Interrupt::ConnectionLost as u32;

/// The pending requests of one backend.
#[derive(Debug, Default)]
pub struct Interrupts(AtomicU32);

impl Interrupts {
    /// Marks the request. The caller sets the backend's latch afterwards; [`super::Backend::interrupt`]
    /// does both.
    pub fn raise(&self, interrupt: Interrupt) {
        self.0.fetch_or(interrupt as u32, Ordering::SeqCst);
    }

    /// Takes the request back: it was handled, or its cause is gone.
    pub fn clear(&self, interrupt: Interrupt) {
        self.0.fetch_and(!(interrupt as u32), Ordering::SeqCst);
    }

    /// Clears the request and tells whether it was there.
    pub fn take(&self, interrupt: Interrupt) -> bool {
        self.0.fetch_and(!(interrupt as u32), Ordering::SeqCst) & interrupt as u32 != 0
    }

    pub fn is_pending(&self, interrupt: Interrupt) -> bool {
        self.0.load(Ordering::SeqCst) & interrupt as u32 != 0
    }

    fn statement_ending(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STATEMENT_ENDING != 0
    }

    /// Turns the gravest pending request into PostgreSQL's error and clears it.
    fn raise_error(&self) -> Result<()> {
        if self.is_pending(Interrupt::ConnectionLost) {
            return Err(Error::fatal(SqlState::CONNECTION_FAILURE, "connection to client lost"));
        }
        if self.is_pending(Interrupt::CrashRestart) {
            return Err(Error::fatal(
                SqlState::CRASH_SHUTDOWN,
                "terminating connection because of crash of another server process",
            ));
        }
        if self.is_pending(Interrupt::Terminate) {
            return Err(Error::fatal(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            ));
        }
        if self.take(Interrupt::TransactionTimeout) {
            return Err(Error::fatal(
                SqlState::TRANSACTION_TIMEOUT,
                "terminating connection due to transaction timeout",
            ));
        }
        let lock_timeout = self.take(Interrupt::LockTimeout);
        let statement_timeout = self.take(Interrupt::StatementTimeout);
        if lock_timeout {
            return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout"));
        }
        if statement_timeout {
            return Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"));
        }
        if self.take(Interrupt::RecoveryConflict) {
            return Err(Error::new(
                SqlState::SERIALIZATION_FAILURE,
                "canceling statement due to conflict with recovery",
            ));
        }
        if self.take(Interrupt::Cancel) {
            return Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
        }
        Ok(())
    }
}

thread_local! {
    static HOLDOFF: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, [`check_for_interrupts`] on this thread does nothing.
pub struct InterruptHoldoff(PhantomData<*const ()>);

/// Holds interrupts off until the returned guard is dropped: PostgreSQL's `HOLD_INTERRUPTS`.
pub fn hold_interrupts() -> InterruptHoldoff {
    HOLDOFF.set(HOLDOFF.get() + 1);
    InterruptHoldoff(PhantomData)
}

impl Drop for InterruptHoldoff {
    fn drop(&mut self) {
        HOLDOFF.set(HOLDOFF.get() - 1);
    }
}

/// Ends the statement if somebody has asked for it, and lets others run if this backend has held its
/// worker thread for some milliseconds. Called in every loop that can be long, holding no content lock.
///
/// # Errors
/// 57014, 55P03, 57P01 and the like, as PostgreSQL words them.
#[inline]
pub fn check_for_interrupts() -> Result<()> {
    if HOLDOFF.get() != 0 {
        return Ok(());
    }
    give_worker_away_if_due();
    with_current(|backend| match backend {
        Some(backend) if backend.interrupts.statement_ending() => backend.interrupts.raise_error(),
        _ => Ok(()),
    })
}
