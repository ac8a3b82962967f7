//! Checkpoints: everything up to a point of the WAL is in the data files, so redo can start there.
//!
//! Realises: `CreateCheckPoint`, `CheckPointGuts`, `RemoveOldXlogFiles`' callers.
//!
//! Steps of an online checkpoint:
//!  1. Insert CHECKPOINT_REDO with nobody else inserting: its start is the redo pointer. From here on
//!     pages are imaged anew.
//!  2. Take the counters; wait for commits that have logged their record but not marked the commit log,
//!     and for files whose cut is logged but not done: their effect would otherwise be on neither side.
//!  3. Write SLRUs and dirty pages, then sync all files written since the last checkpoint.
//!  4. Log the running transactions and the checkpoint's record, flush, and point the control file to it.
//!  5. Remove dropped files; recycle or remove segments that nobody needs any more.
//!
//! A shutdown checkpoint is alone: its redo pointer is its own record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::ids::{Lsn, TimelineId};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_storage::CriticalSection;
use kokkiri_transaction::Cluster;
use kokkiri_transaction::proc_array::CheckpointStage;
use kokkiri_wal::position::SegmentNumber;
use kokkiri_wal::segment::RemovedSegments;
use kokkiri_wal::xlog::{self, CheckPoint, WalLevel};
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use crate::control_file::{ClusterState, ControlFileStore};
use crate::transactions::wait_for_delays;

/// What kind of checkpoint, and why: PostgreSQL's `CHECKPOINT_*` flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointRequest {
    pub shutdown: bool,
    pub end_of_recovery: bool,
    /// As fast as possible, not spread over time.
    pub immediate: bool,
    /// Even if nothing happened since the last one.
    pub force: bool,
    /// Somebody waits for it.
    pub wait: bool,
    /// Because so much WAL was written.
    pub cause_wal: bool,
    /// Because of the time.
    pub cause_time: bool,
    /// Pages of unlogged relations too.
    pub flush_all: bool,
}

impl CheckpointRequest {
    /// The one at shutdown.
    pub const SHUTDOWN: Self = Self { shutdown: true, immediate: true, ..Self::NONE };
    /// The one after crash recovery.
    pub const END_OF_RECOVERY: Self =
        Self { end_of_recovery: true, immediate: true, force: true, wait: true, ..Self::NONE };
    /// SQL's CHECKPOINT.
    pub const COMMAND: Self = Self { immediate: true, force: true, wait: true, ..Self::NONE };
    const NONE: Self = Self {
        shutdown: false,
        end_of_recovery: false,
        immediate: false,
        force: false,
        wait: false,
        cause_wal: false,
        cause_time: false,
        flush_all: false,
    };

    /// One checkpoint that serves both requests.
    pub fn union(self, other: Self) -> Self {
        Self {
            shutdown: self.shutdown || other.shutdown,
            end_of_recovery: self.end_of_recovery || other.end_of_recovery,
            immediate: self.immediate || other.immediate,
            force: self.force || other.force,
            wait: self.wait || other.wait,
            cause_wal: self.cause_wal || other.cause_wal,
            cause_time: self.cause_time || other.cause_time,
            flush_all: self.flush_all || other.flush_all,
        }
    }

    /// Its words in the log line, each with a space before.
    fn words(self) -> String {
        [
            (self.shutdown, " shutdown"),
            (self.end_of_recovery, " end-of-recovery"),
            (self.immediate, " immediate"),
            (self.force, " force"),
            (self.wait, " wait"),
            (self.cause_wal, " wal"),
            (self.cause_time, " time"),
            (self.flush_all, " flush-all"),
        ]
        .iter()
        .filter_map(|(set, word)| set.then_some(*word))
        .collect()
    }
}

/// Settings of checkpoints. Sizes in megabytes, as the settings have them.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSettings {
    pub max_wal_size_mb: u64,
    pub min_wal_size_mb: u64,
    pub wal_keep_size_mb: u64,
    pub completion_target: f64,
    pub log_checkpoints: bool,
    pub wal_level: WalLevel,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            max_wal_size_mb: 1024,
            min_wal_size_mb: 80,
            wal_keep_size_mb: 0,
            completion_target: 0.9,
            log_checkpoints: true,
            wal_level: WalLevel::Replica,
        }
    }
}

/// Numbers behind pg_stat_checkpointer, since the start.
#[derive(Debug, Default)]
pub struct CheckpointCounters {
    pub timed: AtomicU64,
    pub requested: AtomicU64,
    pub done: AtomicU64,
    pub write_ms: AtomicU64,
    pub sync_ms: AtomicU64,
    pub buffers_written: AtomicU64,
    pub slru_written: AtomicU64,
}

/// What one checkpoint did: the numbers of its log line.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckpointReport {
    pub buffers_written: u64,
    pub slru_written: u64,
    pub segments_added: u64,
    pub segments: RemovedSegments,
    pub write: Duration,
    pub sync: Duration,
    pub total: Duration,
    pub files_synced: u64,
    pub longest_sync: Duration,
    pub total_sync: Duration,
    pub checkpoint: Lsn,
    pub redo: Lsn,
}

/// How much WAL there is between checkpoints: PostgreSQL's `CheckPointDistanceEstimate`.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    previous: f64,
    estimate: f64,
}

impl Distance {
    /// A longer distance counts at once, a shorter one is approached slowly.
    fn update(&mut self, bytes: f64) {
        self.previous = bytes;
        self.estimate = if self.estimate < bytes { bytes } else { 0.90 * self.estimate + 0.10 * bytes };
    }
}

/// Makes checkpoints. One at a time: the checkpointer's, or the startup's before it.
pub struct CheckpointMaker {
    cluster: Arc<Cluster>,
    control: Arc<ControlFileStore>,
    settings: Mutex<CheckpointSettings>,
    distance: Mutex<Distance>,
    /// Held while a checkpoint is being made.
    making: Mutex<()>,
    pub counters: CheckpointCounters,
}

/// The next multiple-of-a-segment count of a size in megabytes, rounding down.
fn segments_of(megabytes: u64, segment_size: u64) -> u64 {
    megabytes / (segment_size >> 20).max(1)
}

impl CheckpointMaker {
    pub fn new(cluster: Arc<Cluster>, control: Arc<ControlFileStore>, settings: CheckpointSettings) -> Self {
        let maker = Self {
            cluster,
            control,
            settings: Mutex::new(settings),
            distance: Mutex::default(),
            making: Mutex::new(()),
            counters: CheckpointCounters::default(),
        };
        maker.set_settings(settings);
        maker
    }

    pub fn settings(&self) -> CheckpointSettings {
        *self.settings.lock()
    }

    /// Takes settings over, and with them after how much WAL a checkpoint is asked for.
    pub fn set_settings(&self, settings: CheckpointSettings) {
        *self.settings.lock() = settings;
        let segment_size = self.cluster.wal.geometry().segment_size();
        let target =
            segments_of(settings.max_wal_size_mb, segment_size) as f64 / (1.0 + settings.completion_target);
        self.cluster.wal.set_checkpoint_segments((target as u64).max(1));
    }

    /// Makes a checkpoint. `pace` is called after each page written with the part that is done, and may
    /// sleep to spread the work. Returns `None` if nothing happened since the last one, so that none was
    /// needed.
    ///
    /// # Errors
    /// If a page can't be written. The last checkpoint stays valid then. A PANIC if a file can't be
    /// synced or the log or the control file can't be written.
    pub fn make(
        &self,
        request: CheckpointRequest,
        pace: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Option<CheckpointReport>> {
        let _making = self.making.lock();
        let begun = Instant::now();
        let settings = self.settings();
        let shutdown = request.shutdown || request.end_of_recovery;
        self.cluster.storage.begin_checkpoint();
        if shutdown {
            self.update_control(|control| control.state = ClusterState::ShuttingDown)?;
        }
        let last = self.control.read();
        if !(shutdown || request.force) && self.cluster.wal.last_important_lsn() == last.checkpoint {
            debug!("checkpoint skipped because system is idle");
            return Ok(None);
        }
        let mut checkpoint = self.begin(shutdown, &settings);
        if settings.log_checkpoints {
            info!("checkpoint starting:{}", request.words());
        }
        self.cluster.transactions.fill_checkpoint(&mut checkpoint, shutdown);
        let mut report = CheckpointReport { redo: checkpoint.redo, ..CheckpointReport::default() };
        wait_for_delays(&self.cluster, CheckpointStage::Start)?;
        self.flush_everything(request, pace, &mut report)?;
        wait_for_delays(&self.cluster, CheckpointStage::Completion)?;
        if !shutdown && settings.wal_level >= WalLevel::Replica {
            self.cluster.log_standby_snapshot();
        }
        self.complete(&checkpoint, shutdown, &mut report)?;
        self.clean_up(&checkpoint, last.checkpoint_copy.redo, shutdown, &mut report)?;
        report.total = begun.elapsed();
        self.count(request, &report);
        if settings.log_checkpoints {
            self.log_end(&report);
        }
        Ok(Some(report))
    }

    fn update_control(&self, change: impl FnOnce(&mut crate::control_file::ControlFile)) -> Result<()> {
        self.control.update(change).map_err(|error| self.cluster.poison.panic_with(error))
    }

    /// Decides the redo pointer.
    fn begin(&self, shutdown: bool, settings: &CheckpointSettings) -> CheckPoint {
        let timeline = self.cluster.wal.timeline();
        let redo = if shutdown {
            self.cluster.wal.begin_shutdown_redo()
        } else {
            let critical = CriticalSection::enter();
            let record = xlog::checkpoint_redo_record(settings.wal_level);
            self.cluster.wal.insert_checkpoint_redo(&critical, record).start
        };
        CheckPoint {
            redo,
            timeline,
            previous_timeline: timeline,
            full_page_writes: self.cluster.wal.full_page_writes(),
            wal_level: settings.wal_level,
            time: TimestampTz::now().unix_seconds(),
            ..CheckPoint::default()
        }
    }

    /// `CheckPointGuts`.
    fn flush_everything(
        &self,
        request: CheckpointRequest,
        pace: &mut dyn FnMut(f64) -> Result<()>,
        report: &mut CheckpointReport,
    ) -> Result<()> {
        let begun = Instant::now();
        report.slru_written = self.cluster.transactions.checkpoint()?;
        let everything = request.shutdown || request.end_of_recovery || request.flush_all;
        let flushed = self.cluster.buffers.flush_for_checkpoint(everything, |progress| {
            pace(progress.written as f64 / progress.total.max(1) as f64)
        })?;
        report.buffers_written = flushed.written as u64;
        report.write = begun.elapsed();
        let begun = Instant::now();
        let synced = self.cluster.storage.process_sync_requests()?;
        report.sync = begun.elapsed();
        report.files_synced = synced.files as u64;
        report.longest_sync = synced.longest;
        report.total_sync = synced.total;
        Ok(())
    }

    /// Inserts the checkpoint's record and points the control file to it.
    fn complete(&self, checkpoint: &CheckPoint, shutdown: bool, report: &mut CheckpointReport) -> Result<()> {
        let inserted = {
            let critical = CriticalSection::enter();
            self.cluster.wal.insert_record(&critical, xlog::checkpoint_record(checkpoint, shutdown))
        };
        self.cluster.wal.flush(inserted.end)?;
        if shutdown && checkpoint.redo != inserted.start {
            let message = "concurrent write-ahead log activity while database system is shutting down";
            let error = Error::report(Severity::Panic, SqlState::INTERNAL_ERROR, message);
            return Err(self.cluster.poison.panic_with(error));
        }
        self.update_control(|control| {
            if shutdown {
                control.state = ClusterState::ShutDown;
            }
            control.checkpoint = inserted.start;
            control.checkpoint_copy = *checkpoint;
            // Crash recovery always goes to the end of the WAL.
            control.minimum_recovery_point = Lsn::INVALID;
            control.minimum_recovery_timeline = TimelineId(0);
        })?;
        report.checkpoint = inserted.start;
        Ok(())
    }

    /// What the last checkpoint needed and this one doesn't.
    fn clean_up(
        &self,
        checkpoint: &CheckPoint,
        prior_redo: Lsn,
        shutdown: bool,
        report: &mut CheckpointReport,
    ) -> Result<()> {
        for error in self.cluster.storage.after_checkpoint() {
            warn!("{}", error.message());
        }
        if prior_redo.is_valid() {
            self.distance.lock().update(checkpoint.redo.distance_from(prior_redo) as f64);
        }
        let end = self.cluster.wal.flushed_lsn();
        let keep_from = self.oldest_needed(checkpoint.redo, end);
        let recycle_up_to = self.recycle_limit(checkpoint.redo);
        report.segments =
            self.cluster.wal.files().remove_old(checkpoint.timeline, keep_from, recycle_up_to, end)?;
        if !shutdown && self.cluster.wal.files().preallocate(checkpoint.timeline, end)? {
            report.segments_added = 1;
        }
        self.cluster.transactions.truncate_subtrans()
    }

    /// The oldest segment that redo, or the setting `wal_keep_size`, needs.
    fn oldest_needed(&self, redo: Lsn, end: Lsn) -> SegmentNumber {
        let geometry = self.cluster.wal.geometry();
        let kept = segments_of(self.settings().wal_keep_size_mb, geometry.segment_size());
        let current = geometry.segment_of(end);
        let oldest_kept = SegmentNumber(current.0.saturating_sub(kept).max(1));
        geometry.segment_of(redo).min(oldest_kept)
    }

    /// Up to which number old segments are worth keeping for reuse: what the next checkpoint cycle will
    /// probably need, between `min_wal_size` and `max_wal_size`. `XLOGfileslop`.
    fn recycle_limit(&self, redo: Lsn) -> SegmentNumber {
        let settings = self.settings();
        let size = self.cluster.wal.geometry().segment_size();
        let first = redo.0 / size;
        let bound = |megabytes| (first + segments_of(megabytes, size)).saturating_sub(1);
        let distance = (1.0 + settings.completion_target) * self.distance.lock().estimate * 1.10;
        let wanted = ((redo.0 as f64 + distance) / size as f64).ceil() as u64;
        SegmentNumber(wanted.max(bound(settings.min_wal_size_mb)).min(bound(settings.max_wal_size_mb)))
    }

    fn count(&self, request: CheckpointRequest, report: &CheckpointReport) {
        let counters = &self.counters;
        let cause = if request.cause_time { &counters.timed } else { &counters.requested };
        cause.fetch_add(1, Ordering::Relaxed);
        counters.done.fetch_add(1, Ordering::Relaxed);
        counters.write_ms.fetch_add(report.write.as_millis() as u64, Ordering::Relaxed);
        counters.sync_ms.fetch_add(report.sync.as_millis() as u64, Ordering::Relaxed);
        counters.buffers_written.fetch_add(report.buffers_written, Ordering::Relaxed);
        counters.slru_written.fetch_add(report.slru_written, Ordering::Relaxed);
    }

    fn log_end(&self, report: &CheckpointReport) {
        let percent = report.buffers_written as f64 * 100.0 / self.cluster.buffers.frames() as f64;
        let average = report.total_sync / u32::try_from(report.files_synced.max(1)).unwrap_or(u32::MAX);
        let distance = *self.distance.lock();
        info!(
            "checkpoint complete: wrote {} buffers ({percent:.1}%), wrote {} SLRU buffers; {} WAL file(s) added, {} removed, {} recycled; write={:.3} s, sync={:.3} s, total={:.3} s; sync files={}, longest={:.3} s, average={:.3} s; distance={} kB, estimate={} kB; lsn={}, redo lsn={}",
            report.buffers_written,
            report.slru_written,
            report.segments_added,
            report.segments.removed,
            report.segments.recycled,
            report.write.as_secs_f64(),
            report.sync.as_secs_f64(),
            report.total.as_secs_f64(),
            report.files_synced,
            report.longest_sync.as_secs_f64(),
            average.as_secs_f64(),
            (distance.previous / 1024.0) as i64,
            (distance.estimate / 1024.0) as i64,
            report.checkpoint,
            report.redo,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_rises_at_once_and_falls_slowly() {
        let mut distance = Distance::default();
        distance.update(1000.0);
        assert_eq!(distance.estimate, 1000.0);
        distance.update(0.0);
        assert_eq!((distance.estimate, distance.previous), (900.0, 0.0));
        assert_eq!(CheckpointRequest::COMMAND.words(), " immediate force wait");
    }
}
