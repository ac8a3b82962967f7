//! Cost-based delay: maintenance pauses when it has cost the machine enough.
//!
//! Realises: `vacuum_delay_point` with `VacuumCostBalance`. What was used is what the backend's counters say.

use std::time::{Duration, Instant};

use kokkiri_primitives::Result;
use kokkiri_primitives::activity::{
    UsageSnapshot, WaitEvent, check_for_interrupts, wait_until, with_current,
};

static VACUUM_DELAY: WaitEvent = WaitEvent::new("Timeout", "VacuumDelay");
/// A pause is at most so many delays long, however far the balance is over the limit.
const DELAYS_MAX: f64 = 4.0;

/// What the cost settings say. A delay of zero never sleeps.
#[derive(Clone, Copy, Debug)]
pub struct CostLimits {
    pub delay_ms: f64,
    pub limit: u64,
    pub page_hit: u64,
    pub page_miss: u64,
    pub page_dirty: u64,
}

impl Default for CostLimits {
    fn default() -> Self {
        Self { delay_ms: 0.0, limit: 200, page_hit: 1, page_miss: 2, page_dirty: 20 }
    }
}

/// The account of one VACUUM or ANALYZE.
#[derive(Debug)]
pub struct CostBalance {
    limits: CostLimits,
    counted: UsageSnapshot,
    balance: u64,
}

impl CostBalance {
    pub fn new(limits: CostLimits) -> Self {
        Self { limits, counted: current_usage(), balance: 0 }
    }

    /// Heeds interrupts, and sleeps when the work since the last sleep has cost enough.
    pub fn delay_point(&mut self) -> Result<()> {
        check_for_interrupts()?;
        let limits = &self.limits;
        if limits.delay_ms <= 0.0 {
            return Ok(());
        }
        let now = current_usage();
        let used = now - self.counted;
        self.counted = now;
        self.balance += used.shared_hit * limits.page_hit
            + used.shared_read * limits.page_miss
            + used.shared_dirtied * limits.page_dirty;
        if self.balance >= limits.limit {
            let share = (self.balance as f64 / limits.limit.max(1) as f64).min(DELAYS_MAX);
            let until = Instant::now() + Duration::from_micros((limits.delay_ms * share * 1000.0) as u64);
            self.balance = 0;
            wait_until::<()>(&VACUUM_DELAY, Some(until), || Ok(None))?;
        }
        Ok(())
    }
}

fn current_usage() -> UsageSnapshot {
    with_current(|backend| backend.map_or_else(UsageSnapshot::default, |backend| backend.usage.snapshot()))
}
