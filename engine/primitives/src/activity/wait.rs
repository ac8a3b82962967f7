//! Waiting, and giving the worker thread to others.
//!
//! Everything deep in the engine that must wait comes through [`wait`] (for a condition that somebody
//! else makes true and then sets this backend's latch) or [`blocking`] (for a system call). Both show a
//! wait event in pg_stat_activity and hand the runtime's worker over first, so that ten sleeping
//! statements never keep an eleventh from running.
//!
//! A computation that goes on for more than [`TIME_SLICE_TICKS`] gives its worker away once: from then
//! on it runs on a thread of its own beside the runtime's workers.

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// Milliseconds since [`start_ticker`], advanced by its thread: reading the clock would cost more than
/// the check is worth.
static TICKS_MS: AtomicU64 = AtomicU64::new(0);
/// How long a backend may keep a worker thread to itself, in ticks.
const TIME_SLICE_TICKS: u64 = 4;

thread_local! {
    /// Tick at which the current backend entered on this thread; `u64::MAX` once it has given away.
    static ENTERED_AT_TICK: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Starts the thread that advances the tick. Without it time slices never end. Idempotent.
pub fn start_ticker() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let ticker = std::thread::Builder::new().name("ticker".into());
        ticker
            .spawn(|| {
                loop {
                    std::thread::sleep(Duration::from_millis(1));
                    TICKS_MS.fetch_add(1, Ordering::Relaxed);
                }
            })
            .expect("a server that can't start a thread at all can't serve");
    });
}

pub(super) fn start_time_slice() {
    ENTERED_AT_TICK.set(TICKS_MS.load(Ordering::Relaxed));
}

pub(super) fn end_time_slice() {
    ENTERED_AT_TICK.set(u64::MAX);
}

#[inline]
pub(super) fn give_worker_away_if_due() {
    let entered = ENTERED_AT_TICK.get();
    if entered != u64::MAX && TICKS_MS.load(Ordering::Relaxed).saturating_sub(entered) >= TIME_SLICE_TICKS {
        give_worker_away();
    }
}

#[cold]
fn give_worker_away() {
    ENTERED_AT_TICK.set(u64::MAX);
    // The runtime takes the worker back if it is still there when the closure ends, so stay away long
    // enough for another thread to pick it up.
    tokio::task::block_in_place(|| std::thread::sleep(Duration::from_micros(50)));
    with_current(|backend| {
        if let Some(backend) = backend {
            backend.worker_given_away();
        }
    });
}
