//! Shared buffer pool: the only door to relation pages.
//!
//! Realises: PostgreSQL shared buffers (bufmgr.c, freelist.c, buf_table.c, localbuf.c, read_stream.c).
//! Invariants:
//!  1. A frame gets another page only while one backend alone has it pinned.
//!  2. A dirty page is written only after the WAL is durable up to the page's LSN ([`WalBarrier`]).
//!  3. Page bytes are reachable only through [`PageReadGuard`] and [`PageWriteGuard`]; they change only
//!     under the latter (or a reader that is alone, for hint bits), so a page that is being written to
//!     disk under a shared lock doesn't change.
//!  4. A changed page is marked dirty before its WAL record is inserted, under the same exclusive lock: a
//!     checkpoint whose redo point is later than the record finds the page dirty or already written.
//!  5. A poisoned pool writes nothing.
//!
//! Lock order: a fork's extension lock, page content (rising block number), mapping partition. Eviction
//! tries a content lock but never waits for one: its caller may hold others. Several inputs may be in
//! progress for one backend, but it finishes its own before it waits for another's.
//!
//! Differs: there is no header lock (the state word changes by compare-and-swap), no private reference
//! count (every pin is in the word), and lookups take no partition lock. Temporary relations use a private
//! pool of the same type.
//!
//! Start at [`BufferPool::read`].

mod content_lock;
mod descriptor;
mod extend;
mod flush;
pub mod frame;
mod inspect;
mod mapping;
mod pin;
mod read;
mod replacement;
mod ring;
mod stream;
mod sweep;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kokkiri_primitives::activity::{Backend, Usage, with_current};
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::{Lsn, ProcNumber};
use parking_lot::{Mutex, RwLock};

use crate::critical::Poison;
use crate::page::Page;
use crate::smgr::{Persistence, RelationFile, StorageManager};

pub use descriptor::BufferTag;
pub use extend::Extension;
pub use flush::{FlushProgress, FlushReport};
pub use frame::{PageReadGuard, PageWriteGuard, PinnedBuffer};
pub use inspect::{BufferInfo, BufferSummary, EvictOutcome, RelationEviction};
pub use read::{ReadMode, Run};
pub use replacement::AllocationStatistics;
pub use ring::{Ring, RingKind};
pub use stream::ReadStream;
pub use sweep::{BackgroundSweep, SweepReport};

use content_lock::ParkingPlace;
use descriptor::Descriptor;
use frame::{Frames, PoolHandle};
use mapping::Mapping;
use replacement::Replacement;

/// What the pool needs of the WAL; implemented there, handed in at construction.
pub trait WalBarrier: Send + Sync {
    /// Makes the WAL durable up to `lsn`.
    fn flush_to(&self, lsn: Lsn) -> Result<()>;

    /// Writing a page with this LSN would have to wait: PostgreSQL's `XLogNeedsFlush`.
    fn needs_flush(&self, lsn: Lsn) -> bool;

    /// Hint bits need the image of the page in the WAL (checksums or wal_log_hints).
    fn hints_are_logged(&self) -> bool;

    /// The WAL is being replayed: nothing may be logged.
    fn in_recovery(&self) -> bool;

    /// Logs an image of a page whose hint bits have changed, if no record since the last checkpoint's redo
    /// point has one: `XLogSaveBufferForHint`. Returns the page's new LSN. Infallible, as all insertion.
    fn log_hint_image(&self, tag: &BufferTag, page: &Page) -> Option<Lsn>;
}

/// Size and habits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// shared_buffers, in pages.
    pub frames: usize,
    /// Pages carry checksums.
    pub checksums: bool,
    pub zero_damaged_pages: bool,
    pub ignore_checksum_failure: bool,
    pub track_io_timing: bool,
    /// Most pages one backend should pin at a time: frames divided by backends.
    pub pin_limit: usize,
    /// io_combine_limit, in pages.
    pub io_combine_limit: usize,
    /// effective_io_concurrency.
    pub effective_io_concurrency: usize,
    /// temp_buffers, in pages, of a session that hasn't chosen.
    pub local_frames: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            frames: 16384,
            checksums: true,
            zero_damaged_pages: false,
            ignore_checksum_failure: false,
            track_io_timing: false,
            pin_limit: 94,
            io_combine_limit: 16,
            effective_io_concurrency: 16,
            local_frames: 1024,
        }
    }
}

/// Settings that may change while the pool runs.
#[derive(Debug)]
struct Switches {
    zero_damaged_pages: AtomicBool,
    ignore_checksum_failure: AtomicBool,
    track_io_timing: AtomicBool,
}

/// One set of frames: the shared one, or a session's own for temporary relations.
pub(crate) struct Pool {
    frames: Frames,
    descriptors: Box<[Descriptor]>,
    mapping: Mapping,
    replacement: Replacement,
    smgr: Arc<StorageManager>,
    /// None for temporary relations.
    wal: Option<Arc<dyn WalBarrier>>,
    /// The session whose temporary relations these are.
    owner: Option<ProcNumber>,
    poison: &'static Poison,
    parking: Box<[ParkingPlace]>,
    /// Who waits to be alone with a frame.
    pin_waiters: Mutex<HashMap<u32, Arc<Backend>>>,
    config: PoolConfig,
    switches: Switches,
}

impl Pool {
    fn new(
        frames: usize,
        smgr: Arc<StorageManager>,
        wal: Option<Arc<dyn WalBarrier>>,
        owner: Option<ProcNumber>,
        config: PoolConfig,
    ) -> Self {
        let poison = smgr.poison();
        Self {
            frames: Frames::new(frames),
            descriptors: (0..frames).map(|_| Descriptor::new()).collect(),
            mapping: Mapping::new(frames),
            replacement: Replacement::new(frames),
            smgr,
            wal,
            owner,
            poison,
            parking: (0..frames.min(128)).map(|_| ParkingPlace::default()).collect(),
            pin_waiters: Mutex::default(),
            config,
            switches: Switches {
                zero_damaged_pages: AtomicBool::new(config.zero_damaged_pages),
                ignore_checksum_failure: AtomicBool::new(config.ignore_checksum_failure),
                track_io_timing: AtomicBool::new(config.track_io_timing),
            },
        }
    }

    #[inline]
    fn descriptor(&self, frame: u32) -> &Descriptor {
        &self.descriptors[frame as usize]
    }

    #[inline]
    fn parking(&self, frame: u32) -> &ParkingPlace {
        &self.parking[frame as usize % self.parking.len()]
    }

    /// The files of the page in a pinned frame.
    fn relation_of(&self, tag: &BufferTag, permanent: bool) -> RelationFile {
        let persistence = match self.owner {
            Some(owner) => Persistence::Temporary(owner),
            None if permanent => Persistence::Permanent,
            None => Persistence::Unlogged,
        };
        RelationFile::new(tag.locator, persistence)
    }

    /// Adds to the current backend's counters: the first choice for shared pages, the second for local.
    #[inline]
    fn count(&self, shared: impl FnOnce(&Usage), local: impl FnOnce(&Usage)) {
        with_current(|backend| {
            if let Some(backend) = backend {
                if self.owner.is_none() { shared(&backend.usage) } else { local(&backend.usage) }
            }
        });
    }

    fn times_io(&self) -> bool {
        self.switches.track_io_timing.load(Ordering::Relaxed)
    }
}

/// The pool of one engine: shared frames, and those of the sessions that use temporary relations.
pub struct BufferPool {
    shared: PoolHandle,
    local: RwLock<HashMap<ProcNumber, Arc<PoolHandle>>>,
    /// temp_buffers of sessions that have chosen, in pages.
    local_sizes: Mutex<HashMap<ProcNumber, usize>>,
}

/// The pool that a relation's pages belong to.
enum Route<'a> {
    Shared(&'a Pool),
    Local(Arc<PoolHandle>),
}

impl std::ops::Deref for Route<'_> {
    type Target = Pool;

    #[inline]
    fn deref(&self) -> &Pool {
        match self {
            Route::Shared(pool) => pool,
            Route::Local(pool) => pool,
        }
    }
}

impl BufferPool {
    /// Fewest frames that work: `shared_buffers` has the same bound.
    pub const MIN_FRAMES: usize = 16;

    pub fn new(smgr: Arc<StorageManager>, wal: Arc<dyn WalBarrier>, config: PoolConfig) -> Self {
        let frames = config.frames.max(Self::MIN_FRAMES);
        Self {
            shared: PoolHandle::new(Pool::new(frames, smgr, Some(wal), None, config)),
            local: RwLock::default(),
            local_sizes: Mutex::default(),
        }
    }

    pub fn storage_manager(&self) -> &Arc<StorageManager> {
        &self.shared.smgr
    }

    pub fn poison(&self) -> &'static Poison {
        self.shared.poison
    }

    pub fn config(&self) -> &PoolConfig {
        &self.shared.config
    }

    /// Number of shared frames.
    pub fn frames(&self) -> usize {
        self.shared.descriptors.len()
    }

    pub fn set_zero_damaged_pages(&self, on: bool) {
        self.shared.switches.zero_damaged_pages.store(on, Ordering::Relaxed);
    }

    pub fn set_ignore_checksum_failure(&self, on: bool) {
        self.shared.switches.ignore_checksum_failure.store(on, Ordering::Relaxed);
    }

    pub fn set_track_io_timing(&self, on: bool) {
        self.shared.switches.track_io_timing.store(on, Ordering::Relaxed);
    }

    /// Length of a fork in blocks.
    ///
    /// # Errors
    /// 0A000 for a temporary relation of another session: what it has is not all on disk.
    pub fn blocks(&self, rel: RelationFile, fork: kokkiri_primitives::Fork) -> Result<u32> {
        self.check_own(rel)?;
        self.shared.smgr.blocks(rel, fork)
    }

    /// Sets a session's temp_buffers, in pages.
    ///
    /// # Errors
    /// If the session has used temporary relations already.
    pub fn set_local_frames(&self, owner: ProcNumber, frames: usize) -> Result<()> {
        if self.local.read().contains_key(&owner) {
            return Err(Error::new(
                kokkiri_primitives::SqlState::INVALID_PARAMETER_VALUE,
                "\"temp_buffers\" cannot be changed after any temporary tables have been accessed in the session",
            ));
        }
        self.local_sizes.lock().insert(owner, frames);
        Ok(())
    }

    /// True once a session has used temporary relations.
    pub fn has_local(&self, owner: ProcNumber) -> bool {
        self.local.read().contains_key(&owner)
    }

    /// Frees a session's local frames. Its temporary relations have been dropped.
    pub fn discard_local(&self, owner: ProcNumber) {
        self.local.write().remove(&owner);
        self.local_sizes.lock().remove(&owner);
    }

    /// The pool of a relation whose pages are to be looked at: a temporary one's are for its session alone.
    ///
    /// # Errors
    /// 0A000 for a temporary relation of another session.
    #[inline]
    fn route_own(&self, rel: RelationFile) -> Result<Route<'_>> {
        self.check_own(rel)?;
        Ok(self.route(rel))
    }

    #[inline]
    fn check_own(&self, rel: RelationFile) -> Result<()> {
        let Some(owner) = rel.temp() else { return Ok(()) };
        if with_current(|backend| backend.is_none_or(|backend| backend.number == owner)) {
            return Ok(());
        }
        Err(Error::new(
            kokkiri_primitives::SqlState::FEATURE_NOT_SUPPORTED,
            "cannot access temporary tables of other sessions",
        ))
    }

    #[inline]
    fn route(&self, rel: RelationFile) -> Route<'_> {
        match rel.temp() {
            None => Route::Shared(&self.shared),
            Some(owner) => Route::Local(self.local_pool(owner)),
        }
    }

    fn local_pool(&self, owner: ProcNumber) -> Arc<PoolHandle> {
        if let Some(pool) = self.local.read().get(&owner) {
            return Arc::clone(pool);
        }
        let frames = self.local_sizes.lock().get(&owner).copied();
        let frames = frames.unwrap_or(self.shared.config.local_frames).max(Self::MIN_FRAMES);
        let mut local = self.local.write();
        let made = || {
            let smgr = Arc::clone(&self.shared.smgr);
            let mut config = self.shared.config;
            // The pages of a temporary relation never outlive their session.
            config.checksums = false;
            config.pin_limit = (frames / 4).max(1);
            Arc::new(PoolHandle::new(Pool::new(frames, smgr, None, Some(owner), config)))
        };
        Arc::clone(local.entry(owner).or_insert_with(made))
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool").field("frames", &self.frames()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
