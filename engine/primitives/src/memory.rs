//! Memory budgets: what a backend may hold.
//!
//! An operator that builds something as large as its input (a hash table, a sort, a materialised result)
//! takes a [`Reservation`] for it and grows it before it grows. Beyond work_mem it spills; beyond the
//! backend's limit the statement ends with 53200. The server itself never dies of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// What one backend holds, bytes, and the most it may.
#[derive(Clone, Debug, Default)]
pub struct MemoryBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicUsize,
    peak: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for Account {
    fn default() -> Self {
        Self { used: AtomicUsize::new(0), peak: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX) }
    }
}

impl MemoryBudget {
    pub fn set_limit(&self, bytes: usize) {
        self.0.limit.store(bytes, Ordering::Relaxed);
    }

    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// An empty reservation, to be grown as its owner grows.
    pub fn reserve(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

/// Memory that an operator holds. Gives it back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the size of the reservation, growing or shrinking.
    ///
    /// # Errors
    /// 53200 if the backend would hold more than its limit; the reservation is then unchanged.
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        let account = &self.budget.0;
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let used = account.used.fetch_add(more, Ordering::Relaxed) + more;
            if used > account.limit.load(Ordering::Relaxed) {
                account.used.fetch_sub(more, Ordering::Relaxed);
                return Err(Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
                    .detail(format!("Failed on request of size {more}.")));
            }
            account.peak.fetch_max(used, Ordering::Relaxed);
        } else {
            account.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_over_the_limit_is_an_error_and_changes_nothing() {
        let budget = MemoryBudget::default();
        budget.set_limit(100);
        let mut first = budget.reserve();
        first.resize(80).expect("fits");
        let mut second = budget.reserve();
        assert_eq!(second.resize(30).expect_err("too much").sqlstate(), SqlState::OUT_OF_MEMORY);
        assert_eq!(budget.used(), 80);
        drop(first);
        second.resize(30).expect("fits now");
        assert_eq!((budget.used(), budget.peak()), (30, 80));
    }
}
