//! The WAL writer: writes completed pages and flushes what asynchronous commits wait for.
//!
//! Realises: walwriter.c. After a while without work it sleeps longer, and an asynchronous commit wakes
//! it.

use std::sync::Arc;
use std::time::Duration;

use kokkiri_primitives::activity::{Backend, WaitEvent, WaitEventGuard};
use kokkiri_primitives::settings::parameters;

use crate::Context;
use crate::worker::{is_ending, report};

static WAL_WRITER_MAIN: WaitEvent = WaitEvent::new("Activity", "WalWriterMain");

/// Rounds without work before it hibernates.
const LOOPS_UNTIL_HIBERNATE: u32 = 50;
/// How much longer it sleeps then.
const HIBERNATE_FACTOR: u32 = 25;

pub(crate) fn run(context: &Context, backend: &Arc<Backend>) {
    let wal = &context.cluster.wal;
    wal.set_wal_writer(Some(Arc::clone(backend)));
    let mut left_until_hibernate = LOOPS_UNTIL_HIBERNATE;
    while !is_ending(backend) {
        // Said before the flush, so that a commit that comes just after it wakes this worker.
        wal.set_wal_writer_sleeping(left_until_hibernate <= 1);
        backend.latch.reset();
        match wal.background_flush() {
            Ok(true) => left_until_hibernate = LOOPS_UNTIL_HIBERNATE,
            Ok(false) => left_until_hibernate = left_until_hibernate.saturating_sub(1),
            Err(error) => report(&error),
        }
        let delay = context.settings.load().get(parameters::WAL_WRITER_DELAY).max(1) as u64;
        let delay = Duration::from_millis(delay);
        let delay = if left_until_hibernate == 0 { delay * HIBERNATE_FACTOR } else { delay };
        // Whoever sets the latch has an asynchronous commit to be flushed, or wants the end.
        let _shown = WaitEventGuard::show(&WAL_WRITER_MAIN);
        backend.latch.park(Some(delay));
    }
    wal.set_wal_writer(None);
}
