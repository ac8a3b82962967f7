//! Counters of what a backend has used: buffers, temporary files, WAL.
//!
//! Realises: `pgBufferUsage` and `pgWalUsage`. EXPLAIN takes a snapshot before and after a node and
//! prints the difference.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer and any number of readers: an increment is a load and a store.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! usage {
    ($($(#[$doc:meta])* $field:ident),+ $(,)?) => {
        /// Live counters of one backend. Blocks are pages of 8 KB, times microseconds.
        #[derive(Debug, Default)]
        pub struct Usage { $($(#[$doc])* pub $field: Counter),+ }

        /// The counters at one moment, or the difference of two moments.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct UsageSnapshot { $($(#[$doc])* pub $field: u64),+ }

        impl Usage {
            pub fn snapshot(&self) -> UsageSnapshot {
                UsageSnapshot { $($field: self.$field.get()),+ }
            }
        }

        impl std::ops::Sub for UsageSnapshot {
            type Output = Self;
            fn sub(self, earlier: Self) -> Self {
                Self { $($field: self.$field.wrapping_sub(earlier.$field)),+ }
            }
        }

        impl std::ops::AddAssign for UsageSnapshot {
            fn add_assign(&mut self, other: Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)+
            }
        }
    };
}

usage! {
    shared_hit,
    shared_read,
    shared_dirtied,
    shared_written,
    local_hit,
    local_read,
    local_dirtied,
    local_written,
    temp_read,
    temp_written,
    shared_read_us,
    shared_write_us,
    local_read_us,
    local_write_us,
    temp_read_us,
    temp_write_us,
    wal_records,
    /// Full-page images.
    wal_fpi,
    wal_bytes,
    wal_buffers_full,
}
