//! Insertion locks: who is copying into WAL buffers, and how far everybody has got.
//!
//! Realises: `WALInsertLocks` and `LWLockWaitForVar`.
//!
//! An inserter takes one of eight locks before it reserves space and keeps it until its record is
//! copied. Who wants to write the WAL up to some position waits until each lock is free or its holder
//! says that it has nothing left to copy before that position. A holder says so before it waits for the
//! writer itself, or the two would wait for each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kokkiri_primitives::ids::Lsn;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// How many inserters can copy at the same time: `NUM_XLOGINSERT_LOCKS`.
pub(crate) const INSERTION_LOCKS: usize = 8;

/// The lock is free.
const FREE: u64 = u64::MAX;
/// The holder has not said where it is; it may be before any position.
const UNKNOWN: u64 = 0;

/// How often a waiter looks before it parks.
const SPINS: u32 = 200;

#[repr(align(128))]
struct InsertionLock {
    held: Mutex<()>,
    /// Everything before it is copied, as far as the holder is concerned.
    position: AtomicU64,
    /// A holder panicked: what it had reserved may never be filled.
    broken: AtomicBool,
    /// Start of the last record inserted under this lock that matters for checkpoint timing.
    last_important: AtomicU64,
    waiters: AtomicU32,
    waiting: Mutex<()>,
    moved: Condvar,
}

impl InsertionLock {
    fn new() -> Self {
        Self {
            held: Mutex::new(()),
            position: AtomicU64::new(FREE),
            broken: AtomicBool::new(false),
            last_important: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            waiting: Mutex::new(()),
            moved: Condvar::new(),
        }
    }

    fn publish(&self, position: u64) {
        self.position.store(position, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) > 0 {
            let _waiting = self.waiting.lock();
            self.moved.notify_all();
        }
    }

    /// Waits until the lock is free or its holder is at `target` or beyond; returns where it is.
    fn wait_for(&self, target: Lsn) -> u64 {
        let arrived = || {
            let position = self.position.load(Ordering::SeqCst);
            (position != UNKNOWN && position >= target.0).then_some(position)
        };
        for spin in 0..SPINS {
            if let Some(position) = arrived() {
                return position;
            }
            if spin % 16 == 15 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut waiting = self.waiting.lock();
        let position = loop {
            match arrived() {
                Some(position) => break position,
                None => self.moved.wait(&mut waiting),
            }
        };
        drop(waiting);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        position
    }
}

pub(crate) struct InsertionLocks([InsertionLock; INSERTION_LOCKS]);

thread_local! {
    /// The lock this thread tried last; another one after it was found taken.
    static PREFERRED: Cell<usize> = const { Cell::new(usize::MAX) };
}

static NEXT_PREFERRED: AtomicU32 = AtomicU32::new(0);

/// One insertion lock, held.
pub(crate) struct HeldLock<'a> {
    lock: &'a InsertionLock,
    _held: MutexGuard<'a, ()>,
}

/// All insertion locks, held: nobody inserts.
pub(crate) struct AllHeld<'a>(Vec<HeldLock<'a>>);

impl InsertionLocks {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| InsertionLock::new()))
    }

    /// Takes one of the locks: the one this thread had last, unless somebody else has it.
    pub fn acquire(&self) -> HeldLock<'_> {
        let mut number = PREFERRED.get();
        if number == usize::MAX {
            number = NEXT_PREFERRED.fetch_add(1, Ordering::Relaxed) as usize % INSERTION_LOCKS;
            PREFERRED.set(number);
        }
        let lock = &self.0[number];
        let held = lock.held.try_lock().unwrap_or_else(|| {
            PREFERRED.set((number + 1) % INSERTION_LOCKS);
            lock.held.lock()
        });
        HeldLock::new(lock, held)
    }

    pub fn acquire_all(&self) -> AllHeld<'_> {
        let all: Vec<_> = self.0.iter().map(|lock| HeldLock::new(lock, lock.held.lock())).collect();
        // The last one stands for all: the others have nothing to copy.
        for held in &all[..INSERTION_LOCKS - 1] {
            held.lock.publish(FREE - 1);
        }
        AllHeld(all)
    }

    /// Waits for everybody who may still copy something before `target`; returns how far everything is
    /// copied, at most `reserved`. PostgreSQL's `WaitXLogInsertionsToFinish`.
    ///
    /// `reserved` was read before the call, so an inserter that isn't seen here has reserved after it.
    pub fn wait_for_all(&self, target: Lsn, reserved: Lsn) -> Lsn {
        let slowest = self.0.iter().map(|lock| lock.wait_for(target)).min().unwrap_or(FREE);
        reserved.min(Lsn(slowest))
    }

    /// True if an insertion was cut off by a panic. Asked after waiting: nothing behind may be written.
    pub fn are_broken(&self) -> bool {
        self.0.iter().any(|lock| lock.broken.load(Ordering::SeqCst))
    }

    /// Start of the latest record that matters for checkpoint timing: `GetLastImportantRecPtr`.
    pub fn last_important(&self) -> Lsn {
        let latest = self.0.iter().map(|lock| lock.last_important.load(Ordering::Acquire)).max();
        Lsn(latest.unwrap_or(0))
    }
}

impl<'a> HeldLock<'a> {
    fn new(lock: &'a InsertionLock, held: MutexGuard<'a, ()>) -> Self {
        lock.position.store(UNKNOWN, Ordering::SeqCst);
        Self { lock, _held: held }
    }

    /// Says that everything before `position` is copied. Not before position zero, which means unknown.
    pub fn advance(&self, position: Lsn) {
        self.lock.publish(position.0);
    }

    pub fn mark_important(&self, start: Lsn) {
        self.lock.last_important.store(start.0, Ordering::Release);
    }
}

impl Drop for HeldLock<'_> {
    fn drop(&mut self) {
        // Said before waiters go on: they must not take the hole for a record.
        if std::thread::panicking() {
            self.lock.broken.store(true, Ordering::SeqCst);
        }
        self.lock.publish(FREE);
    }
}

impl<'a> AllHeld<'a> {
    /// The lock that says how far the one inserter has got.
    pub fn representative(&self) -> &HeldLock<'a> {
        self.0.last().expect("all locks are held, and there are some")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_goes_on_when_the_holder_has_passed_it() {
        let locks = InsertionLocks::new();
        let reserved = Lsn(500);
        assert_eq!(locks.wait_for_all(Lsn(400), reserved), reserved);
        std::thread::scope(|scope| {
            let held = locks.acquire();
            let waiter = scope.spawn(|| locks.wait_for_all(Lsn(100), reserved));
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(!waiter.is_finished());
            held.advance(Lsn(300));
            assert_eq!(waiter.join().expect("no panic"), Lsn(300));
        });
        assert_eq!(locks.wait_for_all(Lsn(400), reserved), reserved);
        assert!(!locks.are_broken());
        drop(locks.acquire_all());
        assert_eq!(locks.wait_for_all(Lsn(400), reserved), reserved);
    }
}
