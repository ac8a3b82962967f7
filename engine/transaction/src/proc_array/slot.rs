//! One backend's part of the process array that is read less often than its xid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use kokkiri_primitives::{Oid, TransactionId};
use parking_lot::Mutex;

use crate::snapshot::RunningSet;

use super::horizon::VisibilityBounds;

/// How many subtransactions of one transaction are listed before pg_subtrans must be asked:
/// `PGPROC_MAX_CACHED_SUBXIDS`.
pub const CACHED_SUBXIDS_MAX: usize = 64;

const OVERFLOWED: u32 = 1 << 31;

/// How others regard a backend: PostgreSQL's `PROC_*` status flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcFlags(pub u8);

impl ProcFlags {
    pub const NONE: Self = Self(0);
    pub const IS_AUTOVACUUM: Self = Self(0x01);
    /// Running a lazy VACUUM: its snapshot and xid don't hold horizons back.
    pub const IN_VACUUM: Self = Self(0x02);
    /// Running CREATE INDEX CONCURRENTLY on a safe index.
    pub const IN_SAFE_INDEX_BUILD: Self = Self(0x04);
    pub const VACUUM_FOR_WRAPAROUND: Self = Self(0x08);
    pub const IN_LOGICAL_DECODING: Self = Self(0x10);
    /// A walsender with feedback: its xmin counts for every database.
    pub const AFFECTS_ALL_HORIZONS: Self = Self(0x20);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn ignored_by_snapshots(self) -> bool {
        self.intersects(Self::IN_VACUUM.with(Self::IN_LOGICAL_DECODING))
    }

    /// What remains when the transaction ends.
    pub(super) fn after_transaction(self) -> Self {
        let vacuum = Self::IN_VACUUM.with(Self::IN_SAFE_INDEX_BUILD).with(Self::VACUUM_FOR_WRAPAROUND);
        Self(self.0 & !vacuum.0)
    }
}

/// A point of a checkpoint that backends can hold off: PostgreSQL's `DELAY_CHKPT_*` flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStage {
    /// Writing what is to be durable, after the redo pointer is decided.
    Start,
    /// Its record, after everything has been written and synced.
    Completion,
}

pub(super) struct Slot {
    database: AtomicU32,
    flags: AtomicU8,
    /// Number of listed subtransactions, and [`OVERFLOWED`].
    sub_state: AtomicU32,
    sub_xids: [AtomicU32; CACHED_SUBXIDS_MAX],
    /// Odd while a checkpoint must not begin to write; counts on each time.
    delay_start: AtomicU32,
    /// The same for a checkpoint's completion.
    delay_completion: AtomicU32,
    /// The last snapshot the backend took; taken again as long as no transaction has ended.
    pub snapshot_cache: Mutex<Option<Arc<RunningSet>>>,
    pub visibility: Mutex<VisibilityBounds>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            database: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            sub_state: AtomicU32::new(0),
            sub_xids: std::array::from_fn(|_| AtomicU32::new(0)),
            delay_start: AtomicU32::new(0),
            delay_completion: AtomicU32::new(0),
            snapshot_cache: Mutex::default(),
            visibility: Mutex::default(),
        }
    }
}

impl Slot {
    /// A new backend uses the slot: nothing of the previous one's may remain.
    pub fn set_database(&self, database: Option<Oid>) {
        self.database.store(database.map_or(0, |oid| oid.0), Ordering::Relaxed);
        *self.visibility.lock() = VisibilityBounds::default();
        *self.snapshot_cache.lock() = None;
    }

    pub fn database(&self) -> Option<Oid> {
        Oid(self.database.load(Ordering::Relaxed)).valid()
    }

    pub fn flags(&self) -> ProcFlags {
        ProcFlags(self.flags.load(Ordering::Relaxed))
    }

    pub fn set_flags(&self, flags: ProcFlags) {
        self.flags.store(flags.0, Ordering::Relaxed);
    }

    pub fn push_sub_xid(&self, xid: TransactionId) {
        let state = self.sub_state.load(Ordering::Relaxed);
        let count = (state & !OVERFLOWED) as usize;
        match self.sub_xids.get(count) {
            Some(place) => {
                place.store(xid.0, Ordering::Relaxed);
                self.sub_state.store(state + 1, Ordering::Release);
            }
            None => self.sub_state.store(state | OVERFLOWED, Ordering::Release),
        }
    }

    /// Visits the listed subtransactions; true if there are more than are listed.
    pub fn collect_sub_xids(&self, mut visit: impl FnMut(TransactionId)) -> bool {
        let state = self.sub_state.load(Ordering::Acquire);
        let count = ((state & !OVERFLOWED) as usize).min(CACHED_SUBXIDS_MAX);
        for place in &self.sub_xids[..count] {
            visit(TransactionId(place.load(Ordering::Relaxed)));
        }
        state & OVERFLOWED != 0
    }

    /// Takes aborted subtransactions off the list. The caller holds the array exclusively.
    pub fn remove_sub_xids(&self, gone: &[TransactionId]) {
        let mut left = Vec::new();
        let overflowed = self.collect_sub_xids(|xid| {
            if !gone.contains(&xid) {
                left.push(xid);
            }
        });
        for (place, xid) in self.sub_xids.iter().zip(&left) {
            place.store(xid.0, Ordering::Relaxed);
        }
        let state = left.len() as u32 | if overflowed { OVERFLOWED } else { 0 };
        self.sub_state.store(state, Ordering::Release);
    }

    pub fn end_transaction(&self) {
        self.sub_state.store(0, Ordering::Relaxed);
        self.set_flags(self.flags().after_transaction());
    }

    pub fn delay_checkpoint(&self, stage: CheckpointStage, delay: bool) {
        let counter = self.delay_counter(stage);
        debug_assert_eq!(counter.load(Ordering::Relaxed) % 2 == 1, !delay);
        counter.fetch_add(1, Ordering::SeqCst);
    }

    pub fn delaying(&self, stage: CheckpointStage) -> Option<u32> {
        let number = self.delay_counter(stage).load(Ordering::SeqCst);
        (number % 2 == 1).then_some(number)
    }

    fn delay_counter(&self, stage: CheckpointStage) -> &AtomicU32 {
        match stage {
            CheckpointStage::Start => &self.delay_start,
            CheckpointStage::Completion => &self.delay_completion,
        }
    }
}
