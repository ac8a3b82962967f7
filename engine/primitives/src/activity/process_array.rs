//! The process array: a slot for every backend there may be.
//!
//! Realises: `ProcArray`'s membership and `PgBackendStatus`'s array. pg_stat_activity, pg_locks, cancel
//! and terminate look backends up here; the transaction layer keeps arrays of its own, indexed by the
//! same [`ProcNumber`], for what a snapshot must read fast.
//!
//! Lock order: the array's lock is a leaf; nothing is called while it is held.

use std::sync::{Arc, PoisonError, RwLock};

use crate::ids::ProcNumber;

use super::backend::{Backend, BackendType};

pub struct ProcessArray {
    slots: RwLock<Slots>,
}

struct Slots {
    backends: Vec<Option<Arc<Backend>>>,
    /// Free slot numbers, lowest last.
    free: Vec<u32>,
    last_pid: i32,
}

/// Membership of a backend: ends when dropped.
pub struct Registration {
    array: Arc<ProcessArray>,
    backend: Arc<Backend>,
}

impl ProcessArray {
    /// An array of `capacity` slots. Pids count up from `server_pid`, the operating system's number of
    /// the server process, so that they look like its children's.
    pub fn new(capacity: usize, server_pid: i32) -> Arc<Self> {
        Arc::new(Self {
            slots: RwLock::new(Slots {
                backends: vec![None; capacity],
                free: (0..capacity as u32).rev().collect(),
                last_pid: server_pid,
            }),
        })
    }

    pub fn capacity(&self) -> usize {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).backends.len()
    }

    /// Takes a slot for a new backend; `None` when all are taken.
    pub fn register(self: &Arc<Self>, kind: BackendType) -> Option<Registration> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let number = slots.free.pop()?;
        let pid = slots.next_pid();
        let backend = Arc::new(Backend::new(ProcNumber(number), pid, kind));
        slots.backends[number as usize] = Some(Arc::clone(&backend));
        Some(Registration { array: Arc::clone(self), backend })
    }

    pub fn by_number(&self, number: ProcNumber) -> Option<Arc<Backend>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.backends.get(number.0 as usize)?.clone()
    }

    pub fn by_pid(&self, pid: i32) -> Option<Arc<Backend>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.backends.iter().flatten().find(|backend| backend.pid == pid).cloned()
    }

    /// Every backend there is, by slot.
    pub fn all(&self) -> Vec<Arc<Backend>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.backends.iter().flatten().cloned().collect()
    }

    pub fn count(&self, kind: BackendType) -> usize {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.backends.iter().flatten().filter(|backend| backend.kind == kind).count()
    }
}

impl Slots {
    fn next_pid(&mut self) -> i32 {
        loop {
            // Linux counts pids up to 2^22 and starts again at 300.
            self.last_pid = if self.last_pid >= 4_194_303 { 300 } else { self.last_pid + 1 };
            if !self.backends.iter().flatten().any(|backend| backend.pid == self.last_pid) {
                return self.last_pid;
            }
        }
    }
}

impl Registration {
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut slots = self.array.slots.write().unwrap_or_else(PoisonError::into_inner);
        let number = self.backend.number.0;
        slots.backends[number as usize] = None;
        slots.free.push(number);
    }
}
