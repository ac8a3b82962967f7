//! The WAL of one running data directory: state, positions and settings.
//!
//! Realises: `XLogCtl`.
//!
//! A [`Wal`] is made before recovery, because the buffer pool asks it before writing pages; while the
//! WAL is being replayed nothing can be inserted and everything counts as flushed. Once replay has ended,
//! [`Wal::start_insertion`] is told where the WAL ends and the log is open.
//!
//! Lock order: an insertion lock, the initialisation of buffers, the writer. The reservation's lock and
//! the waiters' lock are leaves. Nobody who holds the writer waits for an insertion that is not known to
//! have finished, because an inserter may need the writer to make room in the buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::{BLOCK_SIZE, Lsn, TimelineId};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_storage::Poison;
use kokkiri_storage::file::FileSystem;
use parking_lot::Mutex;

use crate::buffers::WalBuffers;
use crate::locks::InsertionLocks;
use crate::position::{DEFAULT_SEGMENT_SIZE, Geometry, SegmentNumber, WAL_PAGE_SIZE, page_start};
use crate::record::{ImageCompression, ImagePolicy};
use crate::segment::SegmentFiles;
use crate::waiters::FlushWaiters;
use crate::writer::WriteState;

/// What the log is started with, from the control file and the settings.
#[derive(Clone, Debug)]
pub struct WalOptions {
    pub system_identifier: u64,
    pub segment_size: u64,
    /// Setting `wal_buffers`, in pages.
    pub buffer_pages: usize,
    pub full_page_writes: bool,
    pub compression: ImageCompression,
    /// Setting `fsync`: off means that nothing is ever synced.
    pub fsync: bool,
    pub init_zero: bool,
    pub recycle: bool,
    /// Pages have checksums, or setting `wal_log_hints`: hint bits need images.
    pub hints_are_logged: bool,
    pub commit_delay: Duration,
    pub commit_siblings: usize,
    /// Setting `wal_writer_delay`.
    pub writer_delay: Duration,
    /// Setting `wal_writer_flush_after`, in pages.
    pub writer_flush_after: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            system_identifier: 0,
            segment_size: DEFAULT_SEGMENT_SIZE,
            buffer_pages: 512,
            full_page_writes: true,
            compression: ImageCompression::Off,
            fsync: true,
            init_zero: true,
            recycle: true,
            hints_are_logged: false,
            commit_delay: Duration::ZERO,
            commit_siblings: 5,
            writer_delay: Duration::from_millis(200),
            writer_flush_after: 128,
        }
    }
}

/// Settings that a reload may change.
#[derive(Clone, Copy, Debug)]
pub struct WriterSettings {
    pub commit_delay: Duration,
    pub commit_siblings: usize,
    pub writer_delay: Duration,
    pub writer_flush_after: u64,
    pub fsync: bool,
}

/// Where insertion starts once the WAL has been read to its end.
#[derive(Clone, Debug)]
pub struct InsertStart {
    pub timeline: TimelineId,
    /// End of the last valid record: where the next one goes.
    pub end_of_log: Lsn,
    /// Start of the last valid record, for the next one's previous link.
    pub last_record: Lsn,
    /// Redo pointer of the latest checkpoint.
    pub redo: Lsn,
    /// The page that holds `end_of_log`, unless that is the start of a page.
    pub last_page: Option<Box<[u8; BLOCK_SIZE]>>,
}

/// Positions of the next record: usable bytes, not LSNs.
pub(crate) struct Reservation {
    pub current: u64,
    pub previous: u64,
}

/// Numbers behind pg_stat_wal.
#[derive(Debug, Default)]
pub struct WalCounters {
    pub records: AtomicU64,
    pub full_page_images: AtomicU64,
    pub bytes: AtomicU64,
    pub buffers_full: AtomicU64,
    pub writes: AtomicU64,
    pub write_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub write_us: AtomicU64,
    pub sync_us: AtomicU64,
    /// Segments created and zero-filled.
    pub segments_created: AtomicU64,
}

/// The write-ahead log.
pub struct Wal {
    pub(crate) files: SegmentFiles,
    pub(crate) geometry: Geometry,
    system_identifier: u64,
    timeline: AtomicU32,
    insertion_allowed: AtomicBool,
    pub(crate) poison: &'static Poison,

    pub(crate) buffers: WalBuffers,
    pub(crate) locks: InsertionLocks,
    pub(crate) reservation: Mutex<Reservation>,
    /// Start of the first page that has no slot yet.
    pub(crate) initialized_up_to: Mutex<Lsn>,

    redo: AtomicU64,
    full_page_writes: AtomicBool,
    compression: AtomicU8,
    running_backups: AtomicU32,
    pub(crate) hints_are_logged: bool,

    pub(crate) written: AtomicU64,
    pub(crate) flushed: AtomicU64,
    /// Completed pages up to here want to be written.
    pub(crate) write_requested: AtomicU64,
    /// End of the latest asynchronous commit.
    pub(crate) async_commit: AtomicU64,
    pub(crate) writer: Mutex<WriteState>,
    pub(crate) waiters: FlushWaiters,
    pub(crate) settings: Mutex<WriterSettings>,
    pub(crate) processes: Arc<ProcessArray>,
    pub(crate) notices: crate::writer::Notices,

    pub counters: WalCounters,
}

impl Wal {
    /// A log that is still to be replayed.
    ///
    /// # Errors
    /// 22023 if the segment size is none of PostgreSQL's.
    pub fn new(
        fs: Arc<dyn FileSystem>,
        processes: Arc<ProcessArray>,
        poison: &'static Poison,
        options: &WalOptions,
    ) -> Result<Arc<Self>> {
        let geometry = Geometry::new(options.segment_size).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid WAL segment size in control file ({} bytes)", options.segment_size),
            )
            .detail("The WAL segment size must be a power of two between 1 MB and 1 GB.")
        })?;
        Ok(Arc::new(Self {
            files: SegmentFiles::new(fs, geometry, poison, options),
            geometry,
            system_identifier: options.system_identifier,
            timeline: AtomicU32::new(0),
            insertion_allowed: AtomicBool::new(false),
            poison,
            buffers: WalBuffers::new(options.buffer_pages, geometry, options.system_identifier),
            locks: InsertionLocks::new(),
            reservation: Mutex::new(Reservation { current: 0, previous: 0 }),
            initialized_up_to: Mutex::new(Lsn::INVALID),
            redo: AtomicU64::new(0),
            full_page_writes: AtomicBool::new(options.full_page_writes),
            compression: AtomicU8::new(options.compression as u8),
            running_backups: AtomicU32::new(0),
            hints_are_logged: options.hints_are_logged,
            written: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            write_requested: AtomicU64::new(0),
            async_commit: AtomicU64::new(0),
            writer: Mutex::new(WriteState::default()),
            waiters: FlushWaiters::default(),
            settings: Mutex::new(WriterSettings {
                commit_delay: options.commit_delay,
                commit_siblings: options.commit_siblings,
                writer_delay: options.writer_delay,
                writer_flush_after: options.writer_flush_after,
                fsync: options.fsync,
            }),
            processes,
            notices: crate::writer::Notices::default(),
            counters: WalCounters::default(),
        }))
    }

    /// Opens the log for insertion behind the last valid record. Everything before counts as flushed:
    /// recovery has read it from disk.
    pub fn start_insertion(&self, start: &InsertStart) {
        assert!(!self.insertion_allowed(), "insertion starts once");
        let mut reservation = self.reservation.lock();
        reservation.current = self.geometry.usable_position(start.end_of_log);
        reservation.previous =
            if start.last_record.is_valid() { self.geometry.usable_position(start.last_record) } else { 0 };
        let page = page_start(start.end_of_log);
        *self.initialized_up_to.lock() = match &start.last_page {
            Some(bytes) => {
                self.buffers.load(page, &bytes[..], (start.end_of_log.0 - page.0) as usize);
                page + WAL_PAGE_SIZE
            }
            None => page,
        };
        for position in [&self.written, &self.flushed, &self.write_requested] {
            position.store(start.end_of_log.0, Ordering::SeqCst);
        }
        self.timeline.store(start.timeline.0, Ordering::SeqCst);
        self.redo.store(start.redo.0, Ordering::SeqCst);
        self.insertion_allowed.store(true, Ordering::SeqCst);
    }

    /// False while the WAL is being replayed.
    pub fn insertion_allowed(&self) -> bool {
        self.insertion_allowed.load(Ordering::Acquire)
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub fn system_identifier(&self) -> u64 {
        self.system_identifier
    }

    pub fn timeline(&self) -> TimelineId {
        TimelineId(self.timeline.load(Ordering::Acquire))
    }

    /// End of the last reserved record: pg_current_wal_insert_lsn(), `GetXLogInsertRecPtr`.
    pub fn insert_lsn(&self) -> Lsn {
        let current = self.reservation.lock().current;
        self.geometry.start_lsn(current)
    }

    /// As [`Wal::insert_lsn`], but the page boundary itself if the last record ends on one:
    /// `GetXLogInsertEndRecPtr`.
    pub(crate) fn reserved_end(&self) -> Lsn {
        let current = self.reservation.lock().current;
        self.geometry.end_lsn(current)
    }

    /// What is written to the operating system: pg_current_wal_lsn().
    pub fn written_lsn(&self) -> Lsn {
        Lsn(self.written.load(Ordering::Acquire))
    }

    /// What is durable: pg_current_wal_flush_lsn().
    pub fn flushed_lsn(&self) -> Lsn {
        Lsn(self.flushed.load(Ordering::Acquire))
    }

    /// Redo pointer of the latest checkpoint, or of the one that is being made.
    pub fn redo_lsn(&self) -> Lsn {
        Lsn(self.redo.load(Ordering::Acquire))
    }

    /// Set only with all insertion locks held, so that every record is assembled under one or the other.
    pub(crate) fn set_redo(&self, redo: Lsn) {
        self.redo.store(redo.0, Ordering::SeqCst);
    }

    pub(crate) fn image_policy(&self) -> ImagePolicy {
        ImagePolicy {
            redo: self.redo_lsn(),
            full_page_writes: self.full_page_writes() || self.backups_running(),
            compression: match self.compression.load(Ordering::Relaxed) {
                value if value == ImageCompression::Pglz as u8 => ImageCompression::Pglz,
                value if value == ImageCompression::Lz4 as u8 => ImageCompression::Lz4,
                _ => ImageCompression::Off,
            },
        }
    }

    /// Setting `full_page_writes`, as in force for records.
    pub fn full_page_writes(&self) -> bool {
        self.full_page_writes.load(Ordering::Acquire)
    }

    pub(crate) fn store_full_page_writes(&self, on: bool) {
        self.full_page_writes.store(on, Ordering::SeqCst);
    }

    pub fn set_compression(&self, compression: ImageCompression) {
        self.compression.store(compression as u8, Ordering::Relaxed);
    }

    pub fn set_writer_settings(&self, settings: WriterSettings) {
        *self.settings.lock() = settings;
        self.files.set_fsync(settings.fsync);
    }

    pub fn writer_settings(&self) -> WriterSettings {
        *self.settings.lock()
    }

    pub(crate) fn backups_running(&self) -> bool {
        self.running_backups.load(Ordering::Acquire) > 0
    }

    /// A base backup starts: pages are imaged whatever the settings, and images stay in archives. The
    /// caller switches to a new segment afterwards.
    pub fn backup_started(&self) {
        let _all = self.locks.acquire_all();
        self.running_backups.fetch_add(1, Ordering::SeqCst);
    }

    pub fn backup_ended(&self) {
        let _all = self.locks.acquire_all();
        self.running_backups.fetch_sub(1, Ordering::SeqCst);
    }

    /// Start of the latest record that is more than bookkeeping: when nothing was logged since, a timed
    /// checkpoint is skipped.
    pub fn last_important_lsn(&self) -> Lsn {
        self.locks.last_important()
    }

    /// How full the WAL is since the redo pointer, in segments: whoever finds it too full asks for a
    /// checkpoint.
    pub fn segments_since_redo(&self, segment: SegmentNumber) -> u64 {
        segment.0.saturating_sub(self.geometry.segment_of(self.redo_lsn()).0)
    }

    /// The files of the log, for recycling and for views.
    pub fn files(&self) -> &SegmentFiles {
        &self.files
    }
}
