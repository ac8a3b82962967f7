//! One lockable object's state: who holds it, who waits, and in which order.
//!
//! Realises: `LOCK`, `PROCLOCK`, `LockCheckConflicts`, `JoinWaitQueue` and `ProcLockWakeup`.
//!
//! Pure bookkeeping: nothing here blocks or wakes anybody. Everything is protected by the mutex of the
//! partition the lock lives in. The queue is in PostgreSQL's order: arrival, except that a waiter who
//! already holds a mode that somebody in the queue waits for goes in front of that somebody, because
//! behind him it would deadlock.

use std::collections::VecDeque;

use kokkiri_primitives::ProcNumber;
use kokkiri_primitives::clock::TimestampTz;

use super::mode::{LOCK_MODE_COUNT, LockMask, LockMode};

/// One backend's granted modes on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub proc: ProcNumber,
    pub modes: LockMask,
}

/// One backend waiting for one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub proc: ProcNumber,
    pub mode: LockMode,
    pub since: TimestampTz,
}

/// The state of one locked object.
#[derive(Debug, Default)]
pub(super) struct Lock {
    holders: Vec<Holder>,
    queue: VecDeque<Waiter>,
    /// How many backends hold each mode.
    granted: [u32; LOCK_MODE_COUNT],
    grant_mask: LockMask,
    wait_mask: LockMask,
}

/// What happened to a request that could not be granted at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Granted after all: only waiters that would wait for us stood before us.
    Granted,
    Queued,
    /// Waiting would deadlock with this waiter, each holding what the other wants.
    Deadlock(Waiter),
}

impl Lock {
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    pub fn queue(&self) -> &VecDeque<Waiter> {
        &self.queue
    }

    /// Nobody holds it and nobody waits.
    pub fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    /// The modes that `proc` holds.
    pub fn held_by(&self, proc: ProcNumber) -> LockMask {
        self.holders.iter().find(|holder| holder.proc == proc).map_or(LockMask::EMPTY, |holder| holder.modes)
    }

    /// True if somebody other than `proc` holds a mode that excludes `mode`.
    pub fn conflicts(&self, proc: ProcNumber, mode: LockMode) -> bool {
        let conflicting = mode.conflicts();
        if !conflicting.intersects(self.grant_mask) {
            return false;
        }
        let own = self.held_by(proc);
        let others = |held: LockMode| self.granted[held.index()] - u32::from(own.contains(held));
        conflicting.modes().any(|held| others(held) > 0)
    }

    /// Grants `mode` if nothing held and nobody waiting stands against it.
    pub fn try_grant(&mut self, proc: ProcNumber, mode: LockMode) -> bool {
        let free = !mode.conflicts().intersects(self.wait_mask) && !self.conflicts(proc, mode);
        if free {
            self.grant(proc, mode);
        }
        free
    }

    /// Records that `proc` holds `mode`.
    pub fn grant(&mut self, proc: ProcNumber, mode: LockMode) {
        let holder = match self.holders.iter_mut().find(|holder| holder.proc == proc) {
            Some(holder) => holder,
            None => {
                self.holders.push(Holder { proc, modes: LockMask::EMPTY });
                self.holders.last_mut().expect("just pushed")
            }
        };
        if !holder.modes.contains(mode) {
            holder.modes.insert(mode);
            self.granted[mode.index()] += 1;
            self.grant_mask.insert(mode);
        }
    }

    /// Takes `mode` from `proc`; tells whether a waiter may now have become grantable.
    pub fn release(&mut self, proc: ProcNumber, mode: LockMode) -> bool {
        let Some(at) = self.holders.iter().position(|holder| holder.proc == proc) else { return false };
        let holder = &mut self.holders[at];
        if !holder.modes.contains(mode) {
            return false;
        }
        holder.modes.remove(mode);
        if holder.modes.is_empty() {
            self.holders.swap_remove(at);
        }
        self.granted[mode.index()] -= 1;
        if self.granted[mode.index()] == 0 {
            self.grant_mask.remove(mode);
        }
        mode.conflicts().intersects(self.wait_mask)
    }

    /// Finds the request its place in the queue, or finds that it needs none. With `wait` false nothing
    /// is queued, but an immediate grant still happens.
    pub fn join_queue(&mut self, proc: ProcNumber, mode: LockMode, wait: bool) -> Joined {
        let held = self.held_by(proc);
        let mut place = self.queue.len();
        if !held.is_empty() {
            let mut ahead = LockMask::EMPTY;
            for (i, waiter) in self.queue.iter().enumerate() {
                // Does he wait for me? Then I must stand before him.
                if waiter.mode.conflicts().intersects(held) {
                    if mode.conflicts().intersects(self.held_by(waiter.proc)) {
                        return Joined::Deadlock(*waiter);
                    }
                    if !mode.conflicts().intersects(ahead) && !self.conflicts(proc, mode) {
                        self.grant(proc, mode);
                        return Joined::Granted;
                    }
                    place = i;
                    break;
                }
                ahead.insert(waiter.mode);
            }
        }
        if wait {
            self.queue.insert(place, Waiter { proc, mode, since: TimestampTz::now() });
            self.wait_mask.insert(mode);
        }
        Joined::Queued
    }

    /// Removes `proc` from the queue; tells whether it was there.
    pub fn leave_queue(&mut self, proc: ProcNumber) -> bool {
        let before = self.queue.len();
        self.queue.retain(|waiter| waiter.proc != proc);
        self.refresh_wait_mask();
        self.queue.len() != before
    }

    /// Grants, in queue order, every waiter whom neither a holder nor an earlier waiter excludes.
    /// Returns who was granted; the caller wakes them.
    pub fn grant_waiters(&mut self) -> Vec<ProcNumber> {
        let mut granted = Vec::new();
        let mut ahead = LockMask::EMPTY;
        let mut i = 0;
        while let Some(&waiter) = self.queue.get(i) {
            let excluded = waiter.mode.conflicts().intersects(ahead);
            if !excluded && !self.conflicts(waiter.proc, waiter.mode) {
                self.queue.remove(i);
                self.grant(waiter.proc, waiter.mode);
                granted.push(waiter.proc);
            } else {
                ahead.insert(waiter.mode);
                i += 1;
            }
        }
        self.refresh_wait_mask();
        granted
    }

    /// Puts the waiters into the order the deadlock detector found.
    pub fn reorder(&mut self, order: &[ProcNumber]) {
        let place = |waiter: &Waiter| order.iter().position(|proc| *proc == waiter.proc);
        self.queue.make_contiguous().sort_by_key(|waiter| place(waiter).unwrap_or(order.len()));
    }

    fn refresh_wait_mask(&mut self) {
        self.wait_mask = LockMask::EMPTY;
        for waiter in &self.queue {
            self.wait_mask.insert(waiter.mode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::*;
    use super::*;

    fn proc(n: u32) -> ProcNumber {
        ProcNumber(n)
    }

    #[test]
    fn a_weak_request_does_not_overtake_a_strong_waiter() {
        let mut lock = Lock::default();
        assert!(lock.try_grant(proc(1), AccessShare));
        assert!(!lock.try_grant(proc(2), AccessExclusive));
        assert_eq!(lock.join_queue(proc(2), AccessExclusive, true), Joined::Queued);
        assert!(!lock.try_grant(proc(3), AccessShare), "it would starve the exclusive waiter");
        assert_eq!(lock.join_queue(proc(3), AccessShare, true), Joined::Queued);
        assert!(lock.release(proc(1), AccessShare));
        assert_eq!(lock.grant_waiters(), [proc(2)]);
        assert!(lock.release(proc(2), AccessExclusive));
        assert_eq!(lock.grant_waiters(), [proc(3)]);
    }

    #[test]
    fn a_holder_goes_in_front_of_those_who_wait_for_it() {
        let mut lock = Lock::default();
        assert!(lock.try_grant(proc(1), AccessShare));
        assert!(lock.try_grant(proc(4), RowExclusive));
        assert_eq!(lock.join_queue(proc(2), AccessExclusive, true), Joined::Queued);
        // 1 holds AccessShare, which 2 waits for; 1 wants Share, which 4 excludes: it queues before 2.
        assert_eq!(lock.join_queue(proc(1), Share, true), Joined::Queued);
        assert_eq!(lock.queue()[0].proc, proc(1));
        // Without anything against it, it would have been granted on the spot.
        assert_eq!(lock.join_queue(proc(4), RowShare, true), Joined::Granted);
    }

    #[test]
    fn two_upgraders_are_an_immediate_deadlock() {
        let mut lock = Lock::default();
        assert!(lock.try_grant(proc(1), Share));
        assert!(lock.try_grant(proc(2), Share));
        assert_eq!(lock.join_queue(proc(1), Exclusive, true), Joined::Queued);
        assert!(
            matches!(lock.join_queue(proc(2), Exclusive, true), Joined::Deadlock(w) if w.proc == proc(1))
        );
    }

    #[test]
    fn compatible_waiters_are_granted_together() {
        let mut lock = Lock::default();
        assert!(lock.try_grant(proc(1), AccessExclusive));
        for n in 2..5 {
            lock.join_queue(proc(n), Share, true);
        }
        lock.join_queue(proc(5), Exclusive, true);
        lock.join_queue(proc(6), AccessShare, true);
        lock.release(proc(1), AccessExclusive);
        assert_eq!(lock.grant_waiters(), [proc(2), proc(3), proc(4), proc(6)]);
        assert!(lock.leave_queue(proc(5)));
        assert!(!lock.leave_queue(proc(5)));
    }
}
