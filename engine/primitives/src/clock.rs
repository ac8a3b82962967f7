//! The one place that reads the clock.
//!
//! Wall-clock time is PostgreSQL's `TimestampTz`: microseconds since 2000-01-01 00:00:00 UTC. Elapsed
//! time comes from the monotonic clock. Tests that need to control time pass a [`Clock`] of their own.

use std::time::Duration;

/// Microseconds between the Unix epoch and PostgreSQL's.
pub const POSTGRES_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

/// A point in time as PostgreSQL stores `timestamptz`: microseconds since 2000-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampTz(pub i64);

impl TimestampTz {
    /// The present, from the system's clock.
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Self(now.tv_sec * 1_000_000 + now.tv_nsec / 1000 - POSTGRES_EPOCH_UNIX_MICROS)
    }

    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000 - POSTGRES_EPOCH_UNIX_MICROS)
    }

    /// Whole seconds since the Unix epoch, as `pg_time_t` in the control file.
    pub fn unix_seconds(self) -> i64 {
        (self.0 + POSTGRES_EPOCH_UNIX_MICROS).div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

/// Milliseconds on the monotonic clock as of the kernel's last tick (1 to 10 ms apart): a few nanoseconds to
/// read, for what is looked at in every loop.
pub fn coarse_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Where a component takes the time from.
pub trait Clock: Send + Sync {
    fn now(&self) -> TimestampTz;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampTz {
        TimestampTz::now()
    }
}
