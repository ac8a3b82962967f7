//! Waiting, and giving the worker thread to others.
//!
//! Everything deep in the engine that must wait comes through [`wait`] (for a condition that somebody
//! else makes true and then sets this backend's latch) or [`blocking`] (for a system call). Both show a
//! wait event in pg_stat_activity and hand the runtime's worker over first, so that ten sleeping
//! statements never keep an eleventh from running.
//!
//! A computation that goes on for more than [`TIME_SLICE_MS`] gives its worker away: from then on it
//! runs on a thread of its own beside the runtime's workers.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::Result;

use super::backend::{Backend, current, with_current};
use super::interrupt::check_for_interrupts;

/// Why a backend is waiting, as `pg_wait_events` names it: type and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitEvent {
    pub kind: &'static str,
    pub name: &'static str,
}

impl WaitEvent {
    pub const fn new(kind: &'static str, name: &'static str) -> Self {
        Self { kind, name }
    }
}

/// How a bounded wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum WaitOutcome<T> {
    Ready(T),
    TimedOut,
}

/// Shows a wait event while it lives.
pub struct WaitEventGuard(Option<std::sync::Arc<Backend>>);

impl WaitEventGuard {
    pub fn show(event: &'static WaitEvent) -> Self {
        let backend = current();
        if let Some(backend) = &backend {
            backend.show_wait(Some(event));
        }
        Self(backend)
    }
}

impl Drop for WaitEventGuard {
    fn drop(&mut self) {
        if let Some(backend) = &self.0 {
            backend.show_wait(None);
        }
    }
}

/// Runs a system call that may block, with the worker given away and `event` shown.
pub fn blocking<T>(event: &'static WaitEvent, call: impl FnOnce() -> T) -> T {
    let _shown = WaitEventGuard::show(event);
    tokio::task::block_in_place(call)
}

/// Waits until `condition` answers, parked on the current backend's latch.
///
/// Whoever changes what `condition` looks at sets the latch afterwards. Interrupts end the wait with
/// their error.
pub fn wait<T>(event: &'static WaitEvent, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    match wait_until(event, None, &mut condition)? {
        WaitOutcome::Ready(value) => Ok(value),
        WaitOutcome::TimedOut => unreachable!("a wait without a deadline can't time out"),
    }
}

/// [`wait`], but not beyond `deadline`.
pub fn wait_until<T>(
    event: &'static WaitEvent,
    deadline: Option<Instant>,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<WaitOutcome<T>> {
    if let Some(value) = condition()? {
        return Ok(WaitOutcome::Ready(value));
    }
    let backend = current().expect("only a backend waits");
    let _shown = WaitEventGuard::show(event);
    tokio::task::block_in_place(|| {
        loop {
            backend.latch.reset();
            check_for_interrupts()?;
            if let Some(value) = condition()? {
                return Ok(WaitOutcome::Ready(value));
            }
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return Ok(WaitOutcome::TimedOut);
            }
            backend.latch.park(remaining);
        }
    })
}

/// How long a backend may keep a worker thread to itself, in milliseconds, and at most between two attempts
/// to give it away.
const TIME_SLICE_MS: u64 = 4;
const SLICE_MS_MAX: u64 = 64;

thread_local! {
    /// When the running time slice began on this thread; `u64::MAX` without one.
    static ENTERED_AT_MS: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Length of the running time slice.
    static SLICE_MS: Cell<u64> = const { Cell::new(TIME_SLICE_MS) };
}

pub(super) fn start_time_slice() {
    ENTERED_AT_MS.set(clock::coarse_ms());
    SLICE_MS.set(TIME_SLICE_MS);
}

pub(super) fn end_time_slice() {
    ENTERED_AT_MS.set(u64::MAX);
}

#[inline]
pub(super) fn give_worker_away_if_due() {
    let entered = ENTERED_AT_MS.get();
    if entered != u64::MAX && clock::coarse_ms().saturating_sub(entered) >= SLICE_MS.get() {
        give_worker_away();
    }
}

/// The runtime takes the worker back if it is still there when the closure ends, so this stays away long
/// enough for another thread to pick it up. On a busy machine that may not have come to run: nobody says
/// whether it has, so the next attempt follows, later and longer, as long as the computation lasts. A worker
/// that stayed would keep the task it was to run next from ever running, be it a timeout or an accept.
#[cold]
fn give_worker_away() {
    let slice = SLICE_MS.get();
    let away = Duration::from_micros(12 * slice);
    tokio::task::block_in_place(|| std::thread::sleep(away));
    start_time_slice();
    SLICE_MS.set((slice * 2).min(SLICE_MS_MAX));
    with_current(|backend| {
        if let Some(backend) = backend {
            backend.worker_given_away();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{BackendType, ProcessArray};
    use super::*;

    #[test]
    fn a_long_computation_gives_its_worker_away() {
        let array = ProcessArray::new(1, 1);
        let registration = array.register(BackendType::Client).expect("there is room");
        let backend = registration.backend();
        let _entered = backend.enter();
        let begun = Instant::now();
        while !backend.take_worker_given_away() {
            check_for_interrupts().expect("nobody interrupts");
            assert!(begun.elapsed() < Duration::from_secs(30), "it never does");
        }
        assert!(SLICE_MS.get() > TIME_SLICE_MS, "the next slice is a longer one");
    }
}
