//! The lock on a page's bytes: many readers or one writer, in one word.
//!
//! Realises: the content `LWLock` of a buffer. A reader that is alone may turn writer for a moment, which
//! is how hint bits are set without a data race. Waiters sleep in a row of parking places shared by all
//! frames; a wakeup wakes everybody in the place, who look again.
//!
//! While a writer holds the lock, the bits that count readers name its thread. So whoever is led back to a
//! page that it holds itself, which only links of damaged pages do, can tell instead of waiting for ever.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kokkiri_primitives::Result;
use kokkiri_primitives::activity::{blocking, check_for_interrupts};
use parking_lot::{Condvar, Mutex};

use crate::wait_events;

const EXCLUSIVE: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;
/// New readers stand behind a waiting writer.
const WRITER_WAITS: u32 = 1 << 29;
/// How many readers there are, or the writer's thread.
const READERS: u32 = WRITER_WAITS - 1;
/// How often a wait that heeds interrupts looks at them.
const INTERRUPTS_INTERVAL: Duration = Duration::from_millis(100);
/// Attempts before going to sleep: most locks are held for less than a microsecond.
const SPINS: u32 = 40;

/// The number of this thread: any that no other thread is likely to have.
fn this_thread() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: u32 = LAST.fetch_add(1, Ordering::Relaxed) % READERS + 1;
    }
    NUMBER.with(|number| *number)
}

/// How a wait for a lock ended that need not end in having it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Taken,
    /// The caller holds it exclusively already.
    Circular,
}

/// Where threads sleep.
#[derive(Debug, Default)]
pub(super) struct ParkingPlace {
    pub mutex: Mutex<()>,
    pub condition: Condvar,
}

impl ParkingPlace {
    pub fn wake_all(&self) {
        let _held = self.mutex.lock();
        self.condition.notify_all();
    }
}

#[derive(Debug, Default)]
pub(super) struct ContentLock(AtomicU32);

/// A way to hold the lock.
struct Way {
    try_lock: fn(&ContentLock) -> bool,
    /// Bits of which none may be set.
    blocked_by: u32,
    /// What a waiter sets.
    announced: u32,
}

const SHARED: Way =
    Way { try_lock: ContentLock::try_lock_shared, blocked_by: EXCLUSIVE | WRITER_WAITS, announced: WAITERS };
const EXCLUSIVELY: Way = Way {
    try_lock: ContentLock::try_lock_exclusive,
    blocked_by: EXCLUSIVE | READERS,
    announced: WAITERS | WRITER_WAITS,
};

impl ContentLock {
    #[inline]
    pub fn try_lock_shared(&self) -> bool {
        let mut state = self.0.load(Ordering::Relaxed);
        while state & (EXCLUSIVE | WRITER_WAITS) == 0 {
            match self.0.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    #[inline]
    pub fn try_lock_exclusive(&self) -> bool {
        let mut state = self.0.load(Ordering::Relaxed);
        while state & (EXCLUSIVE | READERS) == 0 {
            let new = state | EXCLUSIVE | this_thread();
            match self.0.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    #[inline]
    pub fn lock_shared(&self, place: &ParkingPlace) {
        if !self.try_lock_shared() {
            self.sleep(place, &SHARED, None);
        }
    }

    #[inline]
    pub fn lock_exclusive(&self, place: &ParkingPlace) {
        if !self.try_lock_exclusive() {
            self.sleep(place, &EXCLUSIVELY, None);
        }
    }

    /// Takes the lock shared, unless the caller holds it exclusively or is interrupted.
    pub fn wait_shared(&self, place: &ParkingPlace) -> Result<Lock> {
        self.wait(place, &SHARED)
    }

    /// Takes the lock exclusively, unless the caller does hold it so or is interrupted.
    pub fn wait_exclusive(&self, place: &ParkingPlace) -> Result<Lock> {
        self.wait(place, &EXCLUSIVELY)
    }

    fn wait(&self, place: &ParkingPlace, way: &Way) -> Result<Lock> {
        while !(way.try_lock)(self) {
            let state = self.0.load(Ordering::Relaxed);
            if state & EXCLUSIVE != 0 && state & READERS == this_thread() {
                return Ok(Lock::Circular);
            }
            check_for_interrupts()?;
            if self.sleep(place, way, Some(INTERRUPTS_INTERVAL)) {
                break;
            }
        }
        Ok(Lock::Taken)
    }

    /// Sleeps until it has the lock; false if that takes longer than `limit`.
    #[cold]
    fn sleep(&self, place: &ParkingPlace, way: &Way, limit: Option<Duration>) -> bool {
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if (way.try_lock)(self) {
                return true;
            }
        }
        blocking(&wait_events::BUFFER_CONTENT, || {
            while !(way.try_lock)(self) {
                let mut held = place.mutex.lock();
                // Announced under the place's mutex and only while somebody holds the lock, so that its
                // release, which takes the mutex to wake us, can't come in between.
                let state = self.0.load(Ordering::Relaxed);
                let announced = state & (EXCLUSIVE | READERS) != 0
                    && state & way.blocked_by != 0
                    && self
                        .0
                        .compare_exchange(state, state | way.announced, Ordering::AcqRel, Ordering::Relaxed)
                        .is_ok();
                if announced {
                    match limit {
                        None => place.condition.wait(&mut held),
                        Some(limit) if place.condition.wait_for(&mut held, limit).timed_out() => {
                            return false;
                        }
                        Some(_) => {}
                    }
                } else if state & (EXCLUSIVE | READERS) == 0 {
                    // Free, but a writer that was woken hasn't come yet: forget its announcement.
                    self.0.fetch_and(!WRITER_WAITS, Ordering::Relaxed);
                }
            }
            true
        })
    }

    #[inline]
    pub fn unlock_shared(&self, place: &ParkingPlace) {
        let old = self.0.fetch_sub(1, Ordering::Release);
        debug_assert!(old & READERS > 0, "locked shared");
        if old & READERS == 1 && old & WAITERS != 0 {
            self.wake(place);
        }
    }

    #[inline]
    pub fn unlock_exclusive(&self, place: &ParkingPlace) {
        let old = self.0.fetch_and(!(EXCLUSIVE | READERS), Ordering::Release);
        debug_assert!(old & EXCLUSIVE != 0, "locked exclusively");
        if old & WAITERS != 0 {
            self.wake(place);
        }
    }

    #[cold]
    fn wake(&self, place: &ParkingPlace) {
        self.0.fetch_and(!(WAITERS | WRITER_WAITS), Ordering::Relaxed);
        place.wake_all();
    }

    /// Turns the only reader into the writer; false if there are other readers.
    pub fn try_upgrade(&self) -> bool {
        let mut state = self.0.load(Ordering::Relaxed);
        while state & (EXCLUSIVE | READERS) == 1 {
            let new = (state - 1) | EXCLUSIVE | this_thread();
            match self.0.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Turns the writer into a reader.
    pub fn downgrade(&self, place: &ParkingPlace) {
        // Only the holder changes these bits.
        let thread = self.0.load(Ordering::Relaxed) & READERS;
        let old = self.0.fetch_sub(EXCLUSIVE + thread - 1, Ordering::Release);
        debug_assert!(old & EXCLUSIVE != 0, "locked exclusively");
        if old & WAITERS != 0 {
            self.wake(place);
        }
    }
}
