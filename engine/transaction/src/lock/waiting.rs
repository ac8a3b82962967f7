//! Waiting for a lock: the state of a waiter, timeouts, and what the deadlock detector's verdict means.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kokkiri_primitives::activity::{Backend, BackendType, Interrupt, WaitOutcome, wait_until};
use kokkiri_primitives::{Error, ProcNumber, Result, SqlState, error};

use super::deadlock::{self, DeadlockStep, LockView, Verdict};
use super::manager::{LockManager, WholeTable};
use super::mode::LockMode;
use super::table::{Lock, Waiter};
use super::tag::LockTag;

/// A backend's `wait_state`: not waiting, in a queue, granted but not yet noticed.
const NOT_WAITING: u8 = 0;
const QUEUED: u8 = 1;
const GRANTED: u8 = 2;

const DEADLOCK_TIMEOUT_DEFAULT_MS: u64 = 1000;

impl LockManager {
    /// Marks the backend as waiting. The caller has put it into the queue and still holds the partition.
    pub(super) fn begin_wait(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) {
        let backend = self.backend(proc);
        *backend.waiting.lock() = Some((tag, mode));
        backend.wait_state.store(QUEUED, Ordering::Release);
    }

    /// Tells granted waiters so. The caller holds the partition.
    pub(super) fn wake(&self, granted: Vec<ProcNumber>) {
        for proc in granted {
            let waiter = self.backend(proc);
            *waiter.waiting.lock() = None;
            waiter.wait_state.store(GRANTED, Ordering::Release);
            if let Some(backend) = self.processes.by_number(proc) {
                backend.latch.set();
            }
        }
    }

    /// Waits in the queue. On an error the backend has left the queue and does not hold the lock.
    pub(super) fn wait_until_granted(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) -> Result<()> {
        let backend = self.backend(proc);
        let start = Instant::now();
        let timeout = match backend.deadlock_timeout_ms.load(Ordering::Relaxed) {
            0 => DEADLOCK_TIMEOUT_DEFAULT_MS,
            timeout => timeout,
        };
        let mut look_at = Some(start + Duration::from_millis(timeout));
        let give_up_at = match backend.lock_timeout_ms.load(Ordering::Relaxed) {
            0 => None,
            timeout => Some(start + Duration::from_millis(timeout)),
        };
        loop {
            let deadline = [look_at, give_up_at].into_iter().flatten().min();
            let outcome = wait_until(tag.wait_event(), deadline, || {
                Ok((backend.wait_state.load(Ordering::Acquire) == GRANTED).then_some(()))
            });
            let error = match outcome {
                Ok(WaitOutcome::Ready(())) => {
                    backend.wait_state.store(NOT_WAITING, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(WaitOutcome::TimedOut) if deadline == give_up_at => {
                    Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
                }
                Ok(WaitOutcome::TimedOut) => {
                    look_at = None;
                    match self.look_for_deadlock(proc) {
                        None => continue,
                        Some(steps) => self.deadlock_error(&steps),
                    }
                }
                Err(error) => error,
            };
            self.give_up(proc, tag, mode);
            return Err(error);
        }
    }

    /// Leaves the queue, or gives the lock back if it was granted in the last moment.
    fn give_up(&self, proc: ProcNumber, tag: LockTag, mode: LockMode) {
        let backend = self.backend(proc);
        let mut partition = self.partition(&tag);
        if let Some(lock) = partition.get_mut(&tag) {
            if !lock.leave_queue(proc) {
                lock.release(proc, mode);
            }
            self.wake(lock.grant_waiters());
            if lock.is_unused() {
                partition.remove(&tag);
            }
        }
        *backend.waiting.lock() = None;
        backend.wait_state.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// Runs the detector. Returns the cycle if waiting on is hopeless.
    fn look_for_deadlock(&self, proc: ProcNumber) -> Option<Vec<DeadlockStep>> {
        let mut table = self.all_partitions();
        if self.backend(proc).wait_state.load(Ordering::Acquire) != QUEUED {
            return None;
        }
        match deadlock::check(&Moment { manager: self, table: &table }, proc) {
            Verdict::NoDeadlock => {
                self.cancel_blocking_autovacuum(&table, proc);
                None
            }
            Verdict::Deadlock(steps) => Some(steps),
            Verdict::Reorder(orders) => {
                for (tag, order) in orders {
                    if let Some(lock) = table.get_mut(&tag) {
                        lock.reorder(&order);
                        self.wake(lock.grant_waiters());
                    }
                }
                None
            }
        }
    }

    /// An autovacuum worker in the way is cancelled, unless it prevents wraparound.
    fn cancel_blocking_autovacuum(&self, table: &WholeTable<'_>, proc: ProcNumber) {
        let Some((tag, mode)) = *self.backend(proc).waiting.lock() else { return };
        let Some(lock) = table.get(&tag) else { return };
        for holder in lock.holders() {
            if holder.proc == proc || !mode.conflicts().intersects(holder.modes) {
                continue;
            }
            let expendable = !self.backend(holder.proc).prevents_wraparound.load(Ordering::Relaxed);
            match self.processes.by_number(holder.proc) {
                Some(backend) if backend.kind == BackendType::AutovacuumWorker && expendable => {
                    backend.interrupt(Interrupt::Cancel);
                }
                _ => {}
            }
        }
    }

    /// The deadlock of two backends that both hold and both want a lock on the same object.
    pub(super) fn early_deadlock(
        &self,
        proc: ProcNumber,
        tag: LockTag,
        mode: LockMode,
        other: Waiter,
    ) -> Error {
        let me = DeadlockStep { proc, tag, mode };
        self.deadlock_error(&[me, DeadlockStep { proc: other.proc, tag, mode: other.mode }])
    }

    fn deadlock_error(&self, steps: &[DeadlockStep]) -> Error {
        let pid =
            |proc| self.processes.by_number(proc).map_or(0, |backend: std::sync::Arc<Backend>| backend.pid);
        let lines: Vec<String> = steps
            .iter()
            .enumerate()
            .map(|(i, step)| {
                let blocker = steps[(i + 1) % steps.len()].proc;
                format!(
                    "Process {} waits for {} on {}; blocked by process {}.",
                    pid(step.proc),
                    step.mode,
                    step.tag,
                    pid(blocker)
                )
            })
            .collect();
        error!(DEADLOCK_DETECTED, "deadlock detected")
            .detail(lines.join("\n"))
            .hint("See server log for query details.")
    }
}

/// What the detector sees while the whole table is locked.
struct Moment<'a> {
    manager: &'a LockManager,
    table: &'a WholeTable<'a>,
}

impl LockView for Moment<'_> {
    fn lock(&self, tag: &LockTag) -> Option<&Lock> {
        self.table.get(tag)
    }

    fn waits_for(&self, proc: ProcNumber) -> Option<(LockTag, LockMode)> {
        *self.manager.backend(proc).waiting.lock()
    }
}
