//! The lock on a page's bytes: many readers or one writer, in one word.
//!
//! Realises: the content `LWLock` of a buffer. A reader that is alone may turn writer for a moment, which
//! is how hint bits are set without a data race. Waiters sleep in a row of parking places shared by all
//! frames; a wakeup wakes everybody in the place, who look again.

use std::sync::atomic::{AtomicU32, Ordering};

use kokkiri_primitives::activity::blocking;
use parking_lot::{Condvar, Mutex};

use crate::wait_events;

const EXCLUSIVE: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;
/// New readers stand behind a waiting writer.
const WRITER_WAITS: u32 = 1 << 29;
const READERS: u32 = WRITER_WAITS - 1;
/// Attempts before going to sleep: most locks are held for less than a microsecond.
const SPINS: u32 = 40;

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
            let new = state | EXCLUSIVE;
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
            self.wait(place, EXCLUSIVE | WRITER_WAITS, WAITERS, Self::try_lock_shared);
        }
    }

    #[inline]
    pub fn lock_exclusive(&self, place: &ParkingPlace) {
        if !self.try_lock_exclusive() {
            self.wait(place, EXCLUSIVE | READERS, WAITERS | WRITER_WAITS, Self::try_lock_exclusive);
        }
    }

    /// Sleeps while any of the `blocking_bits` is set, announcing itself by `announcement`.
    #[cold]
    fn wait(
        &self,
        place: &ParkingPlace,
        blocking_bits: u32,
        announcement: u32,
        try_lock: impl Fn(&Self) -> bool,
    ) {
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if try_lock(self) {
                return;
            }
        }
        blocking(&wait_events::BUFFER_CONTENT, || {
            while !try_lock(self) {
                let mut held = place.mutex.lock();
                // Announced under the place's mutex and only while somebody holds the lock, so that its
                // release, which takes the mutex to wake us, can't come in between.
                let state = self.0.load(Ordering::Relaxed);
                let announced = state & (EXCLUSIVE | READERS) != 0
                    && state & blocking_bits != 0
                    && self
                        .0
                        .compare_exchange(state, state | announcement, Ordering::AcqRel, Ordering::Relaxed)
                        .is_ok();
                if announced {
                    place.condition.wait(&mut held);
                } else if state & (EXCLUSIVE | READERS) == 0 {
                    // Free, but a writer that was woken hasn't come yet: forget its announcement.
                    self.0.fetch_and(!WRITER_WAITS, Ordering::Relaxed);
                }
            }
        });
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
        let old = self.0.fetch_and(!EXCLUSIVE, Ordering::Release);
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
            let new = (state - 1) | EXCLUSIVE;
            match self.0.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Turns the writer into a reader.
    pub fn downgrade(&self, place: &ParkingPlace) {
        let old = self.0.fetch_sub(EXCLUSIVE - 1, Ordering::Release);
        debug_assert!(old & EXCLUSIVE != 0, "locked exclusively");
        if old & WAITERS != 0 {
            self.wake(place);
        }
    }
}
