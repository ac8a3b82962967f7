//! Faults injected on purpose, to show that a backend's end is its own.
//!
//! A superuser names a point for the own session by the setting `kokkiri.debug_panic_at`; when the session
//! next comes to it, it panics there, once. No point is armed in a server that does its work, and then a
//! point costs a load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::activity::with_current;

/// Points armed, by the pid of the backend they are meant for.
static POINTS: Mutex<Vec<(i32, String)>> = Mutex::new(Vec::new());
/// How many there are.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// A point that is armed until this is dropped.
pub struct Armed {
    pid: i32,
}

/// Arms a point for the backend `pid`.
pub fn arm(pid: i32, point: &str) -> Armed {
    let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
    points.push((pid, point.to_owned()));
    ARMED.store(points.len(), Ordering::Relaxed);
    Armed { pid }
}

impl Drop for Armed {
    fn drop(&mut self) {
        let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
        points.retain(|(pid, _)| *pid != self.pid);
        ARMED.store(points.len(), Ordering::Relaxed);
    }
}

/// A place where a panic can be asked for.
#[inline]
pub fn point(name: &str) {
    if ARMED.load(Ordering::Relaxed) != 0 {
        panic_if_armed(name);
    }
}

#[cold]
fn panic_if_armed(name: &str) {
    let Some(current) = with_current(|backend| backend.map(|backend| backend.pid)) else { return };
    let fires = {
        let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
        let at = points.iter().position(|(pid, point)| *pid == current && point == name);
        at.map(|at| points.swap_remove(at)).is_some()
    };
    assert!(!fires, "fault injected at \"{name}\"");
}
