//! The background writer: keeps clean frames ahead of the clock hand.
//!
//! Realises: bgwriter.c, with its regular record of running transactions for standbys.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kokkiri_primitives::Lsn;
use kokkiri_primitives::activity::{WaitEvent, current};
use kokkiri_primitives::settings::parameters;
use kokkiri_storage::buffer::BackgroundSweep;

use crate::worker::{is_ending, report, sleep};
use crate::{BackgroundWriterCounters, Context};

static BACKGROUND_WRITER_MAIN: WaitEvent = WaitEvent::new("Activity", "BgwriterMain");
static BACKGROUND_WRITER_HIBERNATE: WaitEvent = WaitEvent::new("Activity", "BgwriterHibernate");

/// How much longer it sleeps when nobody takes frames.
const HIBERNATE_FACTOR: u32 = 50;
/// How often the running transactions are logged, if there was anything in between.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(15);

pub(crate) fn run(context: &Context, counters: &BackgroundWriterCounters) {
    let Some(backend) = current() else { return };
    let mut sweep = BackgroundSweep::default();
    let mut snapshot = SnapshotLog { at: Instant::now(), end: Lsn::INVALID };
    let mut was_idle = false;
    while !is_ending(&backend) {
        let settings = context.settings.load();
        let delay_ms = settings.get(parameters::BGWRITER_DELAY).max(1) as u64;
        let max_pages = settings.get(parameters::BGWRITER_LRU_MAXPAGES) as usize;
        let multiplier = settings.get(parameters::BGWRITER_LRU_MULTIPLIER);
        let idle = match sweep.round(&context.cluster.buffers, max_pages, multiplier, delay_ms) {
            Ok(round) => {
                counters.buffers_clean.fetch_add(round.written as u64, Ordering::Relaxed);
                counters.maxwritten_clean.fetch_add(u64::from(round.reached_limit), Ordering::Relaxed);
                round.idle
            }
            Err(error) => {
                report(&error);
                false
            }
        };
        snapshot.log_if_due(context);
        let delay = Duration::from_millis(delay_ms);
        // The first idle round may have missed what happened just before it.
        if idle && was_idle {
            sleep(&BACKGROUND_WRITER_HIBERNATE, delay * HIBERNATE_FACTOR, || false);
        } else {
            sleep(&BACKGROUND_WRITER_MAIN, delay, || false);
        }
        was_idle = idle;
    }
}

/// When running transactions were last logged, and where that record ends.
struct SnapshotLog {
    at: Instant,
    end: Lsn,
}

impl SnapshotLog {
    fn log_if_due(&mut self, context: &Context) {
        let cluster = &context.cluster;
        if !cluster.transactions.standby_info()
            || self.at.elapsed() < SNAPSHOT_INTERVAL
            || cluster.wal.last_important_lsn() < self.end
            || cluster.poison.is_poisoned()
        {
            return;
        }
        self.end = cluster.log_standby_snapshot();
        self.at = Instant::now();
    }
}
