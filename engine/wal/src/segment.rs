//! Files of the WAL: creating, recycling and removing segments.
//!
//! Realises: `XLogFileInit`, `InstallXLogFileSegment`, `RemoveOldXlogFiles`, `PreallocXlogFiles`.
//!
//! A segment appears under its name only when it is complete (zero-filled and synced, or an old segment
//! renamed), so whoever opens one finds all of it. An old segment's pages carry old addresses, which is
//! how a reader tells the end of the WAL in a recycled file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kokkiri_primitives::activity::{WaitEvent, blocking};
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::{Lsn, TimelineId};
use kokkiri_storage::Poison;
use kokkiri_storage::file::{File, FileSystem, OpenOptions};
use parking_lot::Mutex;

use crate::log::WalOptions;
use crate::position::{Geometry, SegmentNumber, WAL_DIRECTORY};

static WAL_INIT_WRITE: WaitEvent = WaitEvent::new("IO", "WalInitWrite");
static WAL_INIT_SYNC: WaitEvent = WaitEvent::new("IO", "WalInitSync");

/// A segment on its way to its name. There is one process, and creation is serialised.
const TEMPORARY_PATH: &str = "pg_wal/xlogtemp.new";
const ZERO_FILL_CHUNK: usize = 256 * 1024;

/// What one call of [`SegmentFiles::remove_old`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedSegments {
    pub removed: u64,
    pub recycled: u64,
}

/// The files of the log.
pub struct SegmentFiles {
    fs: Arc<dyn FileSystem>,
    geometry: Geometry,
    fsync: AtomicBool,
    poison: &'static Poison,
    init_zero: bool,
    recycle: bool,
    /// Held while a segment gets its name.
    installing: Mutex<()>,
    /// Number of the newest segment that was removed, plus one.
    last_removed: AtomicU64,
}

impl SegmentFiles {
    pub fn new(
        fs: Arc<dyn FileSystem>,
        geometry: Geometry,
        poison: &'static Poison,
        options: &WalOptions,
    ) -> Self {
        Self {
            fs,
            poison,
            geometry,
            fsync: AtomicBool::new(options.fsync),
            init_zero: options.init_zero,
            recycle: options.recycle,
            installing: Mutex::new(()),
            last_removed: AtomicU64::new(0),
        }
    }

    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub(crate) fn fsync(&self) -> bool {
        self.fsync.load(Ordering::Relaxed)
    }

    pub(crate) fn set_fsync(&self, fsync: bool) {
        self.fsync.store(fsync, Ordering::Relaxed);
    }

    /// Opens the segment for writing, creating it if it isn't there; tells whether it was created.
    pub fn open_or_create(
        &self,
        timeline: TimelineId,
        segment: SegmentNumber,
    ) -> Result<(Arc<dyn File>, bool)> {
        let path = self.geometry.file_path(timeline, segment);
        match self.fs.open(&path, OpenOptions::EXISTING) {
            Ok(file) => return Ok((file, false)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::file_access("open file", &path, &cause)),
        }
        let installing = self.installing.lock();
        let created = !self.exists(&path)?;
        if created {
            self.create(&path)?;
        }
        drop(installing);
        let file = self
            .fs
            .open(&path, OpenOptions::EXISTING)
            .map_err(|cause| Error::file_access("open file", &path, &cause))?;
        Ok((file, created))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        self.fs.exists(path).map_err(|cause| Error::file_access("stat file", path, &cause))
    }

    /// Makes a whole segment of zeros and gives it its name.
    fn create(&self, path: &str) -> Result<()> {
        let at_temporary = |action: &'static str| {
            move |cause: std::io::Error| Error::file_access(action, TEMPORARY_PATH, &cause)
        };
        let file =
            self.fs.open(TEMPORARY_PATH, OpenOptions::OVERWRITE).map_err(at_temporary("create file"))?;
        let filled = blocking(&WAL_INIT_WRITE, || self.fill(&*file));
        if let Err(cause) = filled {
            // The space is needed: a half-made segment is of no use. What goes wrong with the removal
            // is not the error to report.
            let _ = self.fs.remove(TEMPORARY_PATH);
            return Err(Error::file_access("write to file", TEMPORARY_PATH, &cause));
        }
        if self.fsync() {
            blocking(&WAL_INIT_SYNC, || file.sync_data()).map_err(at_temporary("fsync file"))?;
        }
        drop(file);
        self.rename(TEMPORARY_PATH, path)
    }

    fn fill(&self, file: &dyn File) -> std::io::Result<()> {
        let size = self.geometry.segment_size();
        if !self.init_zero {
            return file.write_all_at(&[0], size - 1);
        }
        let zeros = vec![0; ZERO_FILL_CHUNK];
        for offset in (0..size).step_by(ZERO_FILL_CHUNK) {
            file.write_all_at(&zeros, offset)?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let renamed = if self.fsync() { self.fs.rename_durably(from, to) } else { self.fs.rename(from, to) };
        renamed.map_err(|cause| {
            let mut error = Error::file_access("rename file", from, &cause);
            let message = error.message().replace(&format!("\"{from}\""), &format!("\"{from}\" to \"{to}\""));
            error.fields_mut().message = message;
            // Named, but perhaps not for good: nobody may put records there.
            if self.exists(to).unwrap_or(true) { self.poison.panic_with(error) } else { error }
        })
    }

    /// Creates the segment after the one that ends at or holds `end`, if that one is mostly used.
    /// Returns whether a segment was created. `PreallocXlogFiles`.
    pub fn preallocate(&self, timeline: TimelineId, end: Lsn) -> Result<bool> {
        let segment = self.geometry.segment_before(end);
        let offset = self.geometry.segment_offset(Lsn(end.0 - 1));
        if offset < self.geometry.segment_size() / 4 * 3 {
            return Ok(false);
        }
        Ok(self.open_or_create(timeline, segment.next())?.1)
    }

    /// The segments there are, of all timelines, in the order of their names.
    pub fn list(&self) -> Result<Vec<(TimelineId, SegmentNumber)>> {
        let entries = self
            .fs
            .list(WAL_DIRECTORY)
            .map_err(|cause| Error::file_access("read directory", WAL_DIRECTORY, &cause))?;
        Ok(entries.iter().filter_map(|entry| self.geometry.parse_file_name(&entry.name)).collect())
    }

    /// Removes segments before `keep_from`, whatever their timeline; as long as there are fewer than up
    /// to `recycle_up_to`, renames them to be the next future ones instead. `end` is the current end of
    /// the log. `RemoveOldXlogFiles`.
    pub fn remove_old(
        &self,
        timeline: TimelineId,
        keep_from: SegmentNumber,
        recycle_up_to: SegmentNumber,
        end: Lsn,
    ) -> Result<RemovedSegments> {
        let mut done = RemovedSegments::default();
        let mut target = self.geometry.segment_of(end);
        for (old_timeline, segment) in self.list()? {
            if segment >= keep_from {
                continue;
            }
            self.last_removed.fetch_max(segment.0 + 1, Ordering::AcqRel);
            let path = self.geometry.file_path(old_timeline, segment);
            if self.recycle && self.install_old(&path, timeline, &mut target, recycle_up_to)? {
                done.recycled += 1;
            } else {
                self.fs.remove(&path).map_err(|cause| Error::file_access("remove file", &path, &cause))?;
                done.removed += 1;
            }
        }
        if done.removed > 0 && self.fsync() {
            self.fs
                .sync_directory(WAL_DIRECTORY)
                .map_err(|cause| Error::file_access("fsync file", WAL_DIRECTORY, &cause))?;
        }
        Ok(done)
    }

    /// Renames an old segment to the first free name from `target` on; false if there are enough.
    fn install_old(
        &self,
        path: &str,
        timeline: TimelineId,
        target: &mut SegmentNumber,
        recycle_up_to: SegmentNumber,
    ) -> Result<bool> {
        let _installing = self.installing.lock();
        while self.exists(&self.geometry.file_path(timeline, *target))? {
            *target = target.next();
        }
        if *target > recycle_up_to {
            return Ok(false);
        }
        self.rename(path, &self.geometry.file_path(timeline, *target))?;
        *target = target.next();
        Ok(true)
    }

    /// The newest segment that was removed since the start: `XLogGetLastRemovedSegno`.
    pub fn last_removed(&self) -> Option<SegmentNumber> {
        self.last_removed.load(Ordering::Acquire).checked_sub(1).map(SegmentNumber)
    }
}
