//! Waiting, and giving the worker thread to others.
//!
//! Everything deep in the engine that must wait comes through [`wait`] (for a condition that somebody
//! else makes true and then sets this backend's latch) or [`blocking`] (for a system call). Both show a
//! wait event in pg_stat_activity and hand the runtime's worker over first, so that ten sleeping
//! statements never keep an eleventh from running.
//!
//! A computation that goes on for more than [`TIME_SLICE_MS`] gives its worker away: from then on it
//! runs on a thread of its own beside the runtime's workers, one of which is always left to serve others.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
pub struct WaitEventGuard(Option<Arc<Backend>>);

impl WaitEventGuard {
    pub fn show(event: &'static WaitEvent) -> Self {
        let backend = current();
        if let Some(backend) = &backend {
            backend.show_wait(Some(event));
        }
        Self(backend)
    }

    /// The same for a task, between whose polls the backend is not the thread's current one.
    pub fn of(backend: Arc<Backend>, event: &'static WaitEvent) -> Self {
        backend.show_wait(Some(event));
        Self(Some(backend))
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

/// How long a backend may keep a worker thread to itself, in milliseconds.
const TIME_SLICE_MS: u64 = 4;
/// After how long a backend that has given its worker away looks whether somebody else still serves the runtime,
/// in milliseconds.
const RECHECK_MS: u64 = 50;
/// How long it waits then at most for another thread to show itself. On a busy machine that may not have come
/// to run by then: the backend goes on, and tries again after another time slice.
const HANDOVER_MAX: Duration = Duration::from_millis(10);

thread_local! {
    /// When this thread's backend is to give its worker away; `u64::MAX` for never.
    static DUE_AT_MS: Cell<u64> = const { Cell::new(u64::MAX) };
}

pub(super) fn start_time_slice() {
    DUE_AT_MS.set(clock::coarse_ms() + TIME_SLICE_MS);
}

pub(super) fn end_time_slice() {
    DUE_AT_MS.set(u64::MAX);
}

#[inline]
pub(super) fn give_worker_away_if_due() {
    let due = DUE_AT_MS.get();
    if due != u64::MAX && clock::coarse_ms() >= due {
        give_worker_away();
    }
}

/// Lets another thread take the worker over, and makes sure that one has.
///
/// The runtime takes the worker back if it is there when `block_in_place` ends: because nobody has come for
/// it, or because who came has just left it again to block. A worker that stayed would keep the tasks it was to
/// run next from ever running, be it a timeout or an accept, and the other workers from watching the sockets. So
/// a task says that somebody runs tasks, again and again while the computation goes on.
#[cold]
fn give_worker_away() {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        // A thread of its own, which keeps nobody waiting.
        return end_time_slice();
    };
    let taken = Arc::new(AtomicBool::new(false));
    runtime.spawn({
        let (taken, waiting) = (Arc::clone(&taken), std::thread::current());
        async move {
            taken.store(true, Ordering::Release);
            waiting.unpark();
        }
    });
    tokio::task::block_in_place(|| {
        let deadline = Instant::now() + HANDOVER_MAX;
        while !taken.load(Ordering::Acquire) {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break;
            }
            std::thread::park_timeout(remaining);
        }
    });
    let next = if taken.load(Ordering::Acquire) { RECHECK_MS } else { TIME_SLICE_MS };
    DUE_AT_MS.set(clock::coarse_ms() + next);
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

    /// More endless computations than there are workers; others still get their turn.
    #[test]
    fn long_computations_leave_a_worker_to_others() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let runtime = runtime.expect("threads can be started");
        let array = ProcessArray::new(3, 1);
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            let (array, ended) = (Arc::clone(&array), Arc::clone(&ended));
            runtime.spawn(async move {
                let registration = array.register(BackendType::Client).expect("there is room");
                let _entered = registration.backend().enter();
                while !ended.load(Ordering::Relaxed) {
                    check_for_interrupts().expect("nobody interrupts");
                }
                assert!(registration.backend().take_worker_given_away());
            });
        }
        let begun = Instant::now();
        for _ in 0..20 {
            let other = runtime.spawn(async {});
            while !other.is_finished() {
                assert!(begun.elapsed() < Duration::from_secs(30), "the other task never runs");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        ended.store(true, Ordering::Relaxed);
    }

    #[test]
    fn a_thread_of_its_own_has_no_worker_to_give() {
        let array = ProcessArray::new(1, 1);
        let registration = array.register(BackendType::Client).expect("there is room");
        let _entered = registration.backend().enter();
        assert_ne!(DUE_AT_MS.get(), u64::MAX);
        give_worker_away();
        assert_eq!(DUE_AT_MS.get(), u64::MAX);
        assert!(!registration.backend().take_worker_given_away());
    }
}
