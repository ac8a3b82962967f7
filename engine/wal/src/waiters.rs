//! Tasks that wait until the WAL is durable up to some position.
//!
//! A commit waits at the top of its session, as a task. Whoever holds the writer flushes for all that
//! have registered before; when it is done it wakes those that are served, and one that is not: that
//! one becomes the next leader. So a thousand committers are a thousand parked tasks and one flush.

use std::task::Waker;

use kokkiri_primitives::ids::Lsn;
use parking_lot::Mutex;

struct Waiter {
    id: u64,
    lsn: Lsn,
    waker: Waker,
}

#[derive(Default)]
struct Waiting {
    next_id: u64,
    waiters: Vec<Waiter>,
}

#[derive(Default)]
pub(crate) struct FlushWaiters(Mutex<Waiting>);

impl FlushWaiters {
    /// Registers a task, or renews the waker of one that is registered as `id`.
    pub fn register(&self, id: Option<u64>, lsn: Lsn, waker: &Waker) -> u64 {
        let mut waiting = self.0.lock();
        if let Some(id) = id
            && let Some(waiter) = waiting.waiters.iter_mut().find(|waiter| waiter.id == id)
        {
            waiter.waker.clone_from(waker);
            return id;
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.waiters.push(Waiter { id, lsn, waker: waker.clone() });
        id
    }

    /// Forgets a task. True if it was still registered; if it was not, it has been woken and may have
    /// been chosen to lead.
    pub fn deregister(&self, id: u64) -> bool {
        let mut waiting = self.0.lock();
        match waiting.waiters.iter().position(|waiter| waiter.id == id) {
            Some(at) => {
                waiting.waiters.swap_remove(at);
                true
            }
            None => false,
        }
    }

    /// Wakes everybody who waited for `flushed` or less, and the one of the others that came first.
    pub fn wake(&self, flushed: Lsn) {
        let mut woken = Vec::new();
        {
            let mut waiting = self.0.lock();
            let mut at = 0;
            while at < waiting.waiters.len() {
                if waiting.waiters[at].lsn <= flushed {
                    woken.push(waiting.waiters.swap_remove(at).waker);
                } else {
                    at += 1;
                }
            }
            if let Some(first) = waiting.waiters.iter().min_by_key(|waiter| waiter.id) {
                woken.push(first.waker.clone());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody: the log is lost.
    pub fn wake_all(&self) {
        let woken = std::mem::take(&mut self.0.lock().waiters);
        woken.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    pub fn count(&self) -> usize {
        self.0.lock().waiters.len()
    }
}
