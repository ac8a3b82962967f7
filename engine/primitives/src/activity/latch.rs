//! Latches: one per backend, set by whoever has news for it.
//!
//! A latch can be waited for by a parked thread (deep waits in the engine) and by a task (a session
//! between statements). Setting an already set latch costs one uncontended lock.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Latch {
    set: Mutex<bool>,
    parked: Condvar,
    tasks: Notify,
}

impl Latch {
    /// Wakes the owner, now or the next time it waits.
    pub fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.parked.notify_all();
        self.tasks.notify_one();
    }

    /// Forgets earlier news. The owner resets, looks at its conditions, and only then waits.
    pub fn reset(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Parks the thread until the latch is set or `timeout` has passed; tells whether it is set.
    pub fn park(&self, timeout: Option<Duration>) -> bool {
        let guard = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        match timeout {
            None => *self.parked.wait_while(guard, |set| !*set).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                *self
                    .parked
                    .wait_timeout_while(guard, timeout, |set| !*set)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    /// Waits, as a task, until the latch is set. May return early; the caller looks again.
    pub async fn notified(&self) {
        self.tasks.notified().await;
    }
}
