//! The files of an SLRU: reading, writing, syncing, removing segments of 32 pages.

use std::io;
use std::sync::atomic::Ordering;

use kokkiri_primitives::activity::blocking;
use kokkiri_primitives::{BLOCK_SIZE, Error, Result};
use kokkiri_storage::OpenOptions;

use super::{SLRU_FLUSH_SYNC, Slru, SlruPage, Status};

/// Pages of a segment file.
pub const SEGMENT_PAGES: u64 = 32;

/// What went wrong, in the words of the error's detail.
enum Failure {
    Open,
    Read(u64),
    TooShort(u64),
    Write(u64),
    Sync,
}

impl Slru {
    /// Path of the segment, relative to the data directory.
    pub fn segment_path(&self, segment: u64) -> String {
        format!("{}/{segment:04X}", self.kind.directory)
    }

    fn place(page: u64) -> (u64, u64) {
        (page / SEGMENT_PAGES, page % SEGMENT_PAGES * BLOCK_SIZE as u64)
    }

    pub(super) fn read_from_disk(&self, page: u64, about: u32, bytes: &mut SlruPage) -> Result<()> {
        let (segment, offset) = Self::place(page);
        let path = self.segment_path(segment);
        let in_recovery = self.in_recovery.load(Ordering::Acquire);
        let file = match self.context.fs.open(&path, OpenOptions::READ_ONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && in_recovery => {
                bytes.fill(0);
                return Ok(());
            }
            Err(error) => return Err(failure(about, &path, Failure::Open, &error)),
        };
        match file.read_full_at(bytes, offset) {
            Ok(BLOCK_SIZE) => Ok(()),
            Ok(read) if in_recovery => {
                bytes[read..].fill(0);
                Ok(())
            }
            Ok(_) => {
                let cause = io::ErrorKind::UnexpectedEof.into();
                Err(failure(about, &path, Failure::TooShort(offset), &cause))
            }
            Err(error) => Err(failure(about, &path, Failure::Read(offset), &error)),
        }
    }

    pub(super) fn write_to_disk(&self, page: u64, bytes: &SlruPage) -> Result<()> {
        let (segment, offset) = Self::place(page);
        let path = self.segment_path(segment);
        // Before the write, so that a checkpoint that starts meanwhile can't miss it.
        if self.kind.durable {
            self.unsynced.lock().insert(segment);
        }
        let file = self
            .context
            .fs
            .open(&path, OpenOptions::CREATE)
            .map_err(|error| failure(0, &path, Failure::Open, &error))?;
        file.write_all_at(bytes, offset).map_err(|error| failure(0, &path, Failure::Write(offset), &error))
    }

    /// Makes everything written durable, names included.
    pub(super) fn sync_segments(&self) -> Result<()> {
        let segments = std::mem::take(&mut *self.unsynced.lock());
        if segments.is_empty() {
            return Ok(());
        }
        blocking(&SLRU_FLUSH_SYNC, || {
            for segment in segments {
                let path = self.segment_path(segment);
                let synced = match self.context.fs.open(&path, OpenOptions::EXISTING) {
                    Ok(file) => file.sync_data(),
                    // Truncated away meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                };
                synced.map_err(|error| {
                    self.context.poison.panic_with(failure(0, &path, Failure::Sync, &error))
                })?;
            }
            let directory = self.kind.directory;
            self.context.fs.sync_directory(directory).map_err(|error| {
                self.context.poison.panic_with(Error::file_access("fsync file", directory, &error))
            })
        })
    }

    /// True if the page is on disk. `SimpleLruDoesPhysicalPageExist`.
    pub fn page_exists(&self, page: u64) -> Result<bool> {
        self.counters.blocks_exists.fetch_add(1, Ordering::Relaxed);
        let (segment, offset) = Self::place(page);
        let path = self.segment_path(segment);
        match self.context.fs.metadata(&path) {
            Ok(metadata) => Ok(metadata.is_some_and(|m| m.len >= offset + BLOCK_SIZE as u64)),
            Err(error) => Err(Error::file_access("stat file", &path, &error)),
        }
    }

    /// Removes what lies before `cutoff_page`, whole segments at a time. `SimpleLruTruncate`.
    pub fn truncate(&self, cutoff_page: u64) -> Result<()> {
        self.counters.truncates.fetch_add(1, Ordering::Relaxed);
        let precedes = self.kind.precedes;
        if precedes(self.latest_page(), cutoff_page) {
            // The id space has wrapped: rather keep everything.
            return Ok(());
        }
        self.forget_pages(|page| precedes(page, cutoff_page));
        self.remove_segments(|first| {
            precedes(first, cutoff_page) && precedes(first + SEGMENT_PAGES - 1, cutoff_page)
        })
    }

    /// Removes one segment. `SlruDeleteSegment`.
    pub fn delete_segment(&self, segment: u64) -> Result<()> {
        self.forget_pages(|page| page / SEGMENT_PAGES == segment);
        self.remove_segments(|first| first / SEGMENT_PAGES == segment)
    }

    /// True if any segment lies wholly before `cutoff_page`: truncating would remove something.
    pub fn has_segment_before(&self, cutoff_page: u64) -> Result<bool> {
        let precedes = self.kind.precedes;
        let removable =
            |first: u64| precedes(first, cutoff_page) && precedes(first + SEGMENT_PAGES - 1, cutoff_page);
        Ok(self.segments()?.into_iter().any(|segment| removable(segment * SEGMENT_PAGES)))
    }

    /// Empties the slots of pages that are to be removed, waiting for their I/O to end.
    fn forget_pages(&self, which: impl Fn(u64) -> bool) {
        for bank in &self.banks {
            let mut state = bank.state.lock();
            let mut slot = 0;
            while slot < state.slots.len() {
                let candidate = &mut state.slots[slot];
                if candidate.status == Status::Empty || !which(candidate.page) || candidate.pins > 0 {
                    slot += 1;
                } else if candidate.status == Status::Valid {
                    candidate.status = Status::Empty;
                    candidate.dirty = false;
                    slot += 1;
                } else {
                    bank.io_done.wait(&mut state);
                }
            }
        }
    }

    fn remove_segments(&self, which: impl Fn(u64) -> bool) -> Result<()> {
        for segment in self.segments()?.into_iter().filter(|segment| which(segment * SEGMENT_PAGES)) {
            self.unsynced.lock().remove(&segment);
            let path = self.segment_path(segment);
            match self.context.fs.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file_access("remove file", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Numbers of the segments on disk.
    pub fn segments(&self) -> Result<Vec<u64>> {
        let directory = self.kind.directory;
        let entries = self
            .context
            .fs
            .list(directory)
            .map_err(|error| Error::file_access("open directory", directory, &error))?;
        let number = |name: &str| {
            let named = (4..=6).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
            if named { u64::from_str_radix(name, 16).ok() } else { None }
        };
        Ok(entries.iter().filter_map(|entry| number(&entry.name)).collect())
    }
}

/// The error for an inaccessible page, in `slru_report_io_error`'s words.
fn failure(about: u32, path: &str, failure: Failure, cause: &io::Error) -> Error {
    let system = Error::file_access("access", path, cause);
    let reason = system.message().rsplit_once("\": ").map_or("", |(_, reason)| reason).to_owned();
    let detail = match failure {
        Failure::Open => format!("Could not open file \"{path}\": {reason}."),
        Failure::Read(offset) => format!("Could not read from file \"{path}\" at offset {offset}: {reason}."),
        Failure::TooShort(offset) => {
            format!("Could not read from file \"{path}\" at offset {offset}: read too few bytes.")
        }
        Failure::Write(offset) => format!("Could not write to file \"{path}\" at offset {offset}: {reason}."),
        Failure::Sync => format!("Could not fsync file \"{path}\": {reason}."),
    };
    Error::new(system.sqlstate(), format!("could not access status of transaction {about}")).detail(detail)
}
