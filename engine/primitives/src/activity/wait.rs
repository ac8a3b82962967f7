//! Waiting, and giving the worker thread to others.
//!
//! Everything deep in the engine that must wait comes through [`wait`] (for a condition that somebody
//! else makes true and then sets this backend's latch) or [`blocking`] (for a system call). Both show a
//! wait event in pg_stat_activity and hand the runtime's worker over first, so that ten sleeping
//! statements never keep an eleventh from running.
//!
//! A computation that goes on for more than [`TIME_SLICE_TICKS`] gives its worker away: from then on it
//! runs on a thread of its own beside the runtime's workers.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
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

/// Ticks since [`start_ticker`], advanced by its thread: reading the clock would cost more than the check
/// is worth.
static TICKS: AtomicU64 = AtomicU64::new(0);
const TICK: Duration = Duration::from_millis(2);
/// How long a backend may keep a worker thread to itself, in ticks, and at most between two attempts to
/// give it away.
const TIME_SLICE_TICKS: u64 = 2;
const SLICE_TICKS_MAX: u64 = 32;
/// After so many ticks in which no time slice began the ticker rests: an idle server has no timer running.
/// All slices that had begun are over by then.
const RESTS_AFTER_TICKS: u32 = 40;
const _: () = assert!(RESTS_AFTER_TICKS as u64 > SLICE_TICKS_MAX);

/// A time slice has begun since the ticker last looked.
static SLICE_BEGAN: AtomicBool = AtomicBool::new(false);
/// The ticker rests, or is about to and will look at [`SLICE_BEGAN`] once more.
static RESTING: AtomicBool = AtomicBool::new(false);
static TICKER: OnceLock<Thread> = OnceLock::new();

thread_local! {
    /// Tick at which the running time slice began on this thread; `u64::MAX` without one.
    static ENTERED_AT_TICK: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Length of the running time slice.
    static SLICE_TICKS: Cell<u64> = const { Cell::new(TIME_SLICE_TICKS) };
}

/// Starts the thread that advances the tick. Without it time slices never end. Idempotent.
pub fn start_ticker() {
    TICKER.get_or_init(|| {
        let ticker = std::thread::Builder::new().name("ticker".into());
        let started = ticker.spawn(run_ticker).expect("a server that can't start a thread can't serve");
        started.thread().clone()
    });
}

fn run_ticker() -> ! {
    let mut quiet = 0;
    loop {
        std::thread::sleep(TICK);
        TICKS.fetch_add(1, Ordering::Relaxed);
        quiet = if SLICE_BEGAN.swap(false, Ordering::Relaxed) { 0 } else { quiet + 1 };
        if quiet < RESTS_AFTER_TICKS {
            continue;
        }
        // Whoever begins a slice sets SLICE_BEGAN and then looks at RESTING; here it is the other way
        // round. Both are sequentially consistent, so one of the two sees the other.
        RESTING.store(true, Ordering::SeqCst);
        while !SLICE_BEGAN.load(Ordering::SeqCst) {
            std::thread::park();
        }
        RESTING.store(false, Ordering::Relaxed);
        quiet = 0;
    }
}

pub(super) fn start_time_slice() {
    ENTERED_AT_TICK.set(TICKS.load(Ordering::Relaxed));
    SLICE_TICKS.set(TIME_SLICE_TICKS);
    if !SLICE_BEGAN.load(Ordering::Relaxed) {
        SLICE_BEGAN.store(true, Ordering::SeqCst);
        if RESTING.load(Ordering::SeqCst)
            && let Some(ticker) = TICKER.get()
        {
            ticker.unpark();
        }
    }
}

pub(super) fn end_time_slice() {
    ENTERED_AT_TICK.set(u64::MAX);
}

#[inline]
pub(super) fn give_worker_away_if_due() {
    let entered = ENTERED_AT_TICK.get();
    if entered != u64::MAX && TICKS.load(Ordering::Relaxed).saturating_sub(entered) >= SLICE_TICKS.get() {
        give_worker_away();
    }
}

/// The runtime takes the worker back if it is still there when the closure ends, so this stays away long
/// enough for another thread to pick it up. On a busy machine that may not have come to run: nobody says
/// whether it has, so the next attempt follows, later and longer, as long as the computation lasts. A worker
/// that stayed would keep the task it was to run next from ever running, be it a timeout or an accept.
#[cold]
fn give_worker_away() {
    let slice = SLICE_TICKS.get();
    let away = Duration::from_micros(25 * slice);
    tokio::task::block_in_place(|| std::thread::sleep(away));
    start_time_slice();
    SLICE_TICKS.set((slice * 2).min(SLICE_TICKS_MAX));
    with_current(|backend| {
        if let Some(backend) = backend {
            backend.worker_given_away();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it never happened");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn the_ticker_rests_until_a_slice_begins() {
        start_ticker();
        until(|| RESTING.load(Ordering::SeqCst));
        let before = TICKS.load(Ordering::Relaxed);
        start_time_slice();
        until(|| TICKS.load(Ordering::Relaxed) >= before + TIME_SLICE_TICKS);
        end_time_slice();
    }
}
