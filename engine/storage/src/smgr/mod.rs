//! Relation files: forks, segments of 1 GB, lengths, and what must be synced at a checkpoint.
//!
//! Realises: `smgr.c`, `md.c`, `sync.c`, `relpath.c`.
//! Invariants:
//!  1. A fork is a row of full segments and one last, shorter (possibly empty) one.
//!  2. The length of a fork is known to everybody through one cache; only this module changes lengths.
//!  3. Whoever has written to a permanent file has queued a [`SyncTag`] for it before the page counts as
//!     clean, so a checkpoint that finds the page clean finds the request.
//!  4. The first segment of a dropped relation's main fork stays, empty, until after the next checkpoint:
//!     its number must not be used again while WAL that names it may be replayed.
//!
//! Lock order: a fork's extension lock, the map of forks, the cache of open files, the sync queue.

mod path;
mod sync;

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kokkiri_primitives::activity::{WaitEventGuard, blocking};
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork, Oid};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::critical::Poison;
use crate::file::{File, FileSystem, OpenOptions, parent};
use crate::page::Page;
use crate::wait_events;

pub use path::{
    CATALOG_VERSION, Persistence, RelationFile, TABLESPACE_VERSION_DIRECTORY, database_directory,
};
pub use sync::{SyncReport, SyncTag};

/// Blocks in a full segment: `RELSEG_SIZE`, 1 GB.
pub const SEGMENT_BLOCKS: u32 = 131_072;
/// Length of a fork that nobody has looked at yet.
const UNKNOWN: u32 = u32::MAX;
/// In place of the length of a fork that was looked for and isn't there.
const ABSENT: u32 = u32::MAX - 1;

/// What all who work on one fork share.
#[derive(Debug)]
pub(crate) struct ForkState {
    blocks: AtomicU32,
    extension: Mutex<()>,
}

impl Default for ForkState {
    fn default() -> Self {
        Self { blocks: AtomicU32::new(UNKNOWN), extension: Mutex::new(()) }
    }
}

type ForkKey = (RelationFile, Fork);
type SegmentKey = (RelationFile, Fork, u32);

/// Open files, the least recently used closed when there are too many.
#[derive(Debug)]
struct OpenFiles {
    /// With the tick of its last use.
    files: HashMap<SegmentKey, (Arc<dyn File>, u64)>,
    clock: u64,
    limit: usize,
}

impl OpenFiles {
    fn get(&mut self, key: SegmentKey) -> Option<Arc<dyn File>> {
        self.clock += 1;
        let (file, used) = self.files.get_mut(&key)?;
        *used = self.clock;
        Some(Arc::clone(file))
    }

    fn put(&mut self, key: SegmentKey, file: Arc<dyn File>) {
        if self.files.len() >= self.limit {
            // An eighth at once, so that the search for the oldest is rare.
            let mut ages: Vec<u64> = self.files.values().map(|(_, used)| *used).collect();
            ages.sort_unstable();
            let oldest = ages[ages.len() / 8];
            self.files.retain(|_, (_, used)| *used > oldest);
        }
        self.files.insert(key, (file, self.clock));
    }
}

/// The relation files of one data directory.
#[derive(Debug)]
pub struct StorageManager {
    fs: Arc<dyn FileSystem>,
    poison: &'static Poison,
    forks: RwLock<HashMap<ForkKey, Arc<ForkState>>>,
    open: Mutex<OpenFiles>,
    sync: sync::SyncQueue,
    segment_blocks: u32,
}

impl StorageManager {
    /// `max_open_files` bounds the descriptors kept open between uses.
    pub fn new(fs: Arc<dyn FileSystem>, poison: &'static Poison, max_open_files: usize) -> Self {
        Self::with_segment_blocks(fs, poison, max_open_files, SEGMENT_BLOCKS)
    }

    /// A manager with segments of another size: tests of many segments need no gigabytes.
    pub fn with_segment_blocks(
        fs: Arc<dyn FileSystem>,
        poison: &'static Poison,
        max_open_files: usize,
        segment_blocks: u32,
    ) -> Self {
        let open = OpenFiles { files: HashMap::new(), clock: 0, limit: max_open_files.max(8) };
        Self {
            fs,
            poison,
            forks: RwLock::default(),
            open: Mutex::new(open),
            sync: sync::SyncQueue::default(),
            segment_blocks,
        }
    }

    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub fn poison(&self) -> &'static Poison {
        self.poison
    }

    pub(crate) fn fork_state(&self, rel: RelationFile, fork: Fork) -> Arc<ForkState> {
        if let Some(state) = self.forks.read().get(&(rel, fork)) {
            return Arc::clone(state);
        }
        Arc::clone(self.forks.write().entry((rel, fork)).or_default())
    }

    /// Creates a fork's first file: `smgrcreate`. `if_missing` is for replay, which may find it there.
    ///
    /// # Errors
    /// The system's, worded as PostgreSQL's.
    pub fn create(&self, rel: RelationFile, fork: Fork, if_missing: bool) -> Result<()> {
        let path = rel.path(fork);
        let options = if if_missing { OpenOptions::CREATE } else { OpenOptions::CREATE_NEW };
        let file = match self.fs.open(&path, options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && if_missing => {
                // Replay may come before the record that makes the database's directory durable.
                self.fs.create_directories(parent(&path)).and_then(|()| self.fs.open(&path, options))
            }
            result => result,
        }
        .map_err(|error| Error::file_access("create file", &path, &error))?;
        let state = self.fork_state(rel, fork);
        let blocks = if if_missing { UNKNOWN } else { 0 };
        state.blocks.store(blocks, Ordering::Release);
        self.open.lock().put((rel, fork, 0), file);
        if rel.temp().is_none() {
            self.sync.register(SyncTag::Directory(parent(&path).to_owned()));
            self.sync.register(SyncTag::Segment { rel, fork, segment: 0 });
        }
        Ok(())
    }

    pub fn exists(&self, rel: RelationFile, fork: Fork) -> Result<bool> {
        if self.open.lock().get((rel, fork, 0)).is_some() {
            return Ok(true);
        }
        let path = rel.path(fork);
        self.fs.exists(&path).map_err(|error| Error::file_access("stat file", &path, &error))
    }

    /// Length of a fork in blocks: `smgrnblocks`.
    ///
    /// # Errors
    /// 58P01 if the fork doesn't exist.
    pub fn blocks(&self, rel: RelationFile, fork: Fork) -> Result<u32> {
        let state = self.fork_state(rel, fork);
        let known = state.blocks.load(Ordering::Acquire);
        if known < ABSENT {
            return Ok(known);
        }
        let _extension = state.extension.lock();
        self.blocks_locked(&state, rel, fork)
    }

    /// Length of a fork that may not exist; then it has none. Absence is remembered.
    pub fn blocks_if_exists(&self, rel: RelationFile, fork: Fork) -> Result<u32> {
        let state = self.fork_state(rel, fork);
        match state.blocks.load(Ordering::Acquire) {
            ABSENT => Ok(0),
            UNKNOWN => {
                let _extension = state.extension.lock();
                match self.blocks_locked(&state, rel, fork) {
                    Err(error) if error.sqlstate() == SqlState::UNDEFINED_FILE => {
                        state.blocks.store(ABSENT, Ordering::Release);
                        Ok(0)
                    }
                    result => result,
                }
            }
            known => Ok(known),
        }
    }

    fn blocks_locked(&self, state: &ForkState, rel: RelationFile, fork: Fork) -> Result<u32> {
        let known = state.blocks.load(Ordering::Acquire);
        if known < ABSENT {
            return Ok(known);
        }
        let mut blocks = 0;
        for segment in 0.. {
            let file = match self.segment(rel, fork, segment) {
                Err(error) if segment > 0 && error.sqlstate() == SqlState::UNDEFINED_FILE => break,
                result => result?,
            };
            let path = rel.segment_path(fork, segment);
            let len = file.len().map_err(|error| Error::file_access("seek to end of file", &path, &error))?;
            let full = (len / BLOCK_SIZE as u64).min(u64::from(self.segment_blocks)) as u32;
            blocks += full;
            if full < self.segment_blocks {
                break;
            }
        }
        state.blocks.store(blocks, Ordering::Release);
        Ok(blocks)
    }

    /// Takes the fork's extension lock and tells the length under it.
    pub(crate) fn lock_extension<'a>(
        &self,
        state: &'a ForkState,
        rel: RelationFile,
        fork: Fork,
    ) -> Result<(MutexGuard<'a, ()>, u32)> {
        let guard = match state.extension.try_lock() {
            Some(guard) => guard,
            None => blocking(&wait_events::RELATION_EXTEND, || state.extension.lock()),
        };
        let blocks = self.blocks_locked(state, rel, fork)?;
        Ok((guard, blocks))
    }

    /// Appends `count` zero blocks after the `first` there are. The caller holds the extension lock.
    pub(crate) fn extend_zeroed(
        &self,
        state: &ForkState,
        rel: RelationFile,
        fork: Fork,
        first: u32,
        count: u32,
    ) -> Result<()> {
        let _shown = WaitEventGuard::show(&wait_events::DATA_FILE_EXTEND);
        static ZEROS: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];
        let mut next = first;
        while next < first + count {
            let (segment, at) = self.position(next);
            let room = (first + count - next).min(self.segment_blocks - next % self.segment_blocks);
            let file = self.segment_or_create(rel, fork, segment)?;
            let path = rel.segment_path(fork, segment);
            let len = u64::from(room) * BLOCK_SIZE as u64;
            let outcome = if room > 8 {
                file.allocate(at, len)
            } else {
                (0..u64::from(room)).try_for_each(|i| file.write_all_at(&ZEROS, at + i * BLOCK_SIZE as u64))
            };
            if let Err(error) = outcome {
                // A partly extended file is cut back, so that its length stays what the cache says.
                let _ = file.truncate(at);
                return Err(Error::file_access("extend file", &path, &error).hint("Check free disk space."));
            }
            self.queue_sync(rel, fork, segment);
            next += room;
        }
        state.blocks.store(first + count, Ordering::Release);
        Ok(())
    }

    /// Reads neighbouring blocks, one per slice. Blocks that end beyond the file are an error.
    ///
    /// # Errors
    /// XX001 on a short read, the system's otherwise.
    pub fn read(
        &self,
        rel: RelationFile,
        fork: Fork,
        first: BlockNumber,
        pages: &mut [IoSliceMut<'_>],
    ) -> Result<()> {
        let mut next = first.0;
        let mut rest = pages;
        while !rest.is_empty() {
            let (segment, at) = self.position(next);
            let room = (self.segment_blocks - next % self.segment_blocks) as usize;
            let (now, later) = rest.split_at_mut(room.min(rest.len()));
            let file = self.segment(rel, fork, segment)?;
            let count = now.len();
            let range = || {
                let last = next + count as u32 - 1;
                (format!("{next}..{last}"), rel.segment_path(fork, segment))
            };
            let read = read_slices(&*file, now, at).map_err(|error| {
                let (blocks, path) = range();
                Error::file_access(&format!("read blocks {blocks} in file"), path, &error)
            })?;
            if read < count * BLOCK_SIZE {
                let (blocks, path) = range();
                let wanted = count * BLOCK_SIZE;
                return Err(Error::data_corrupted(format!(
                    "could not read blocks {blocks} in file \"{path}\": read only {read} of {wanted} bytes"
                )));
            }
            next += count as u32;
            rest = later;
        }
        Ok(())
    }

    /// Writes one existing block.
    pub fn write(&self, rel: RelationFile, fork: Fork, block: BlockNumber, page: &Page) -> Result<()> {
        let _shown = WaitEventGuard::show(&wait_events::DATA_FILE_WRITE);
        let (segment, at) = self.position(block.0);
        let file = self.segment(rel, fork, segment)?;
        file.write_all_at(page.bytes(), at).map_err(|error| {
            let path = rel.segment_path(fork, segment);
            Error::file_access(&format!("write blocks {block}..{block} in file"), path, &error)
        })?;
        self.queue_sync(rel, fork, segment);
        Ok(())
    }

    /// Appends pages built in private memory, as index builds and relation copies do, bypassing the pool.
    /// The pages have their checksums. The caller logs and syncs them.
    pub fn append(&self, rel: RelationFile, fork: Fork, pages: &[&Page]) -> Result<BlockNumber> {
        let state = self.fork_state(rel, fork);
        let (_extension, first) = self.lock_extension(&state, rel, fork)?;
        let _shown = WaitEventGuard::show(&wait_events::DATA_FILE_EXTEND);
        let mut next = first;
        let mut rest = pages;
        while !rest.is_empty() {
            let (segment, at) = self.position(next);
            let room = (self.segment_blocks - next % self.segment_blocks) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            let file = self.segment_or_create(rel, fork, segment)?;
            let slices: Vec<IoSlice<'_>> = now.iter().map(|page| IoSlice::new(page.bytes())).collect();
            write_slices(&*file, slices, at).map_err(|error| {
                let _ = file.truncate(at);
                Error::file_access("extend file", rel.segment_path(fork, segment), &error)
            })?;
            self.queue_sync(rel, fork, segment);
            next += now.len() as u32;
            state.blocks.store(next, Ordering::Release);
            rest = later;
        }
        Ok(BlockNumber(first))
    }

    /// Says that blocks will be read soon.
    pub fn prefetch(&self, rel: RelationFile, fork: Fork, first: BlockNumber, count: u32) -> Result<()> {
        let (segment, at) = self.position(first.0);
        let room = count.min(self.segment_blocks - first.0 % self.segment_blocks);
        let file = self.segment(rel, fork, segment)?;
        // Only a hint: a system that can't take it reads later.
        let _ = file.prefetch(at, u64::from(room) * BLOCK_SIZE as u64);
        Ok(())
    }

    /// Asks the system to begin writing blocks out, without waiting.
    pub fn start_writeback(&self, rel: RelationFile, fork: Fork, first: BlockNumber, count: u32) {
        let (segment, at) = self.position(first.0);
        let room = count.min(self.segment_blocks - first.0 % self.segment_blocks);
        if let Ok(file) = self.segment(rel, fork, segment) {
            let _shown = WaitEventGuard::show(&wait_events::DATA_FILE_FLUSH);
            let _ = file.start_writeback(at, u64::from(room) * BLOCK_SIZE as u64);
        }
    }

    /// Cuts a fork to `blocks`: `smgrtruncate`. The caller has dropped the buffers behind.
    pub fn truncate(&self, rel: RelationFile, fork: Fork, blocks: u32) -> Result<()> {
        let state = self.fork_state(rel, fork);
        let (_extension, current) = self.lock_extension(&state, rel, fork)?;
        if blocks >= current {
            return Ok(());
        }
        // From the end, so that an error in between leaves full segments in front. Segments that are no
        // longer needed stay, empty: others may have them open.
        let last_segment = current.saturating_sub(1) / self.segment_blocks;
        for segment in (0..=last_segment).rev() {
            let start = segment * self.segment_blocks;
            let keep = blocks.saturating_sub(start).min(self.segment_blocks);
            if keep == self.segment_blocks {
                break;
            }
            let file = self.segment(rel, fork, segment)?;
            let path = rel.segment_path(fork, segment);
            blocking(&wait_events::DATA_FILE_TRUNCATE, || file.truncate(u64::from(keep) * BLOCK_SIZE as u64))
                .map_err(|error| Error::file_access("truncate file", &path, &error))?;
            self.queue_sync(rel, fork, segment);
        }
        state.blocks.store(blocks, Ordering::Release);
        Ok(())
    }

    /// Makes a fork durable at once: `smgrimmedsync`.
    pub fn sync_now(&self, rel: RelationFile, fork: Fork) -> Result<()> {
        let blocks = self.blocks(rel, fork)?;
        for segment in 0..=blocks.saturating_sub(1) / self.segment_blocks {
            let file = self.segment(rel, fork, segment)?;
            blocking(&wait_events::DATA_FILE_IMMEDIATE_SYNC, || file.sync_data()).map_err(|error| {
                let path = rel.segment_path(fork, segment);
                self.poison.panic_with(Error::file_access("fsync file", path, &error))
            })?;
        }
        Ok(())
    }

    /// Removes a relation's files: `smgrdounlinkall`. The caller has dropped its buffers. During replay
    /// nothing needs to stay behind for the next checkpoint.
    ///
    /// That checkpoint makes it durable: it is the last that could delete the files again after a crash.
    /// PostgreSQL leaves that to the file system.
    pub fn unlink(&self, rel: RelationFile, in_replay: bool) -> Result<()> {
        for fork in Fork::ALL {
            self.unlink_fork(rel, fork, in_replay)?;
        }
        Ok(())
    }

    fn unlink_fork(&self, rel: RelationFile, fork: Fork, in_replay: bool) -> Result<()> {
        self.forget(|tag_rel, tag_fork| tag_rel == rel && tag_fork == fork);
        let delayed = fork == Fork::Main && rel.temp().is_none() && !in_replay;
        for segment in 0.. {
            let path = rel.segment_path(fork, segment);
            // Space comes back now even if somebody holds a descriptor.
            let truncated = self.fs.open(&path, OpenOptions::EXISTING).and_then(|file| file.truncate(0));
            let outcome = match truncated {
                Ok(()) if delayed && segment == 0 => {
                    self.sync.register(SyncTag::File(path.clone()));
                    self.sync.register_unlink(path.clone());
                    Ok(())
                }
                Ok(()) => self.fs.remove(&path).inspect(|()| {
                    if rel.temp().is_none() {
                        self.sync.register(SyncTag::Directory(parent(&path).to_owned()));
                    }
                }),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(Error::file_access("remove file", &path, &error)),
            }
        }
        Ok(())
    }

    /// Removes the directory of a database in one tablespace. The caller has dropped its buffers.
    pub fn drop_database(&self, tablespace: Oid, database: Oid) -> Result<()> {
        self.forget(|rel, _| rel.locator.database == database && rel.locator.tablespace == tablespace);
        let path = database_directory(tablespace, database);
        self.sync.forget_paths(|candidate| {
            candidate.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match self.fs.remove_tree(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file_access("remove directory", &path, &error))
            }
            _ => Ok(()),
        }
    }

    /// Drops everything remembered about relations: open files, lengths, sync requests.
    fn forget(&self, matches: impl Fn(RelationFile, Fork) -> bool) {
        self.open.lock().files.retain(|(rel, fork, _), _| !matches(*rel, *fork));
        self.forks.write().retain(|(rel, fork), _| !matches(*rel, *fork));
        self.sync.forget_segments(&matches);
    }

    /// Closes all files and forgets all lengths, as when somebody else (a restore, a tool) changed them.
    pub fn release_all(&self) {
        self.open.lock().files.clear();
        self.forks.write().clear();
    }

    fn position(&self, block: u32) -> (u32, u64) {
        let (segment, within) = (block / self.segment_blocks, block % self.segment_blocks);
        (segment, u64::from(within) * BLOCK_SIZE as u64)
    }

    fn segment(&self, rel: RelationFile, fork: Fork, segment: u32) -> Result<Arc<dyn File>> {
        self.open_segment(rel, fork, segment, OpenOptions::EXISTING)
    }

    fn segment_or_create(&self, rel: RelationFile, fork: Fork, segment: u32) -> Result<Arc<dyn File>> {
        let options = if segment > 0 { OpenOptions::CREATE } else { OpenOptions::EXISTING };
        let file = self.open_segment(rel, fork, segment, options)?;
        if segment > 0 && rel.temp().is_none() {
            self.sync.register(SyncTag::Directory(parent(&rel.path(fork)).to_owned()));
        }
        Ok(file)
    }

    fn open_segment(
        &self,
        rel: RelationFile,
        fork: Fork,
        segment: u32,
        options: OpenOptions,
    ) -> Result<Arc<dyn File>> {
        let key = (rel, fork, segment);
        if let Some(file) = self.open.lock().get(key) {
            return Ok(file);
        }
        let path = rel.segment_path(fork, segment);
        let file =
            self.fs.open(&path, options).map_err(|error| Error::file_access("open file", &path, &error))?;
        self.open.lock().put(key, Arc::clone(&file));
        Ok(file)
    }

    fn queue_sync(&self, rel: RelationFile, fork: Fork, segment: u32) {
        if rel.temp().is_none() {
            self.sync.register(SyncTag::Segment { rel, fork, segment });
        }
    }
}

/// Fills the slices from `offset` on; fewer bytes only at the end of the file. Asks without waiting
/// first: most of what the pool misses is in the system's cache.
fn read_slices(file: &dyn File, slices: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    let mut rest = slices;
    let mut done = 0;
    let mut may_wait = false;
    while !rest.is_empty() {
        let at = offset + done as u64;
        let read = if may_wait {
            blocking(&wait_events::DATA_FILE_READ, || file.read_vectored_at(rest, at))
        } else {
            match file.try_read_vectored_at(rest, at) {
                Ok(Some(read)) => Ok(read),
                Ok(None) => {
                    may_wait = true;
                    continue;
                }
                Err(error) => Err(error),
            }
        };
        match read {
            // Without waiting, zero may also mean "nothing at hand".
            Ok(0) if !may_wait => may_wait = true,
            Ok(0) => break,
            Ok(read) => {
                done += read;
                IoSliceMut::advance_slices(&mut rest, read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn write_slices(file: &dyn File, mut slices: Vec<IoSlice<'_>>, offset: u64) -> io::Result<()> {
    let mut rest = &mut slices[..];
    let mut at = offset;
    while !rest.is_empty() {
        match file.write_vectored_at(rest, at) {
            Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
