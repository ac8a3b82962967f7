//! The file-system seam: every byte the engine reads from or writes to disk passes here.
//!
//! Two implementations: [`RealFileSystem`] on the operating system, and [`SimulatedFileSystem`], which
//! keeps everything in memory and fails in all the ways a disk may, from a seed.
//!
//! What callers may rely on, and no more:
//!  1. Bytes are durable once `sync_data` of their file has returned after the write.
//!  2. A name (created, renamed, removed) is durable once `sync_directory` of its directory has returned.
//!  3. A write that was not synced survives a crash wholly, not at all, or in any subset of its
//!     512-byte sectors.
//!  4. After a failed sync nothing is known about the unsynced bytes; it is never tried again.
//!
//! Paths are relative to the data directory, with `/` between components. A path that starts with `/` is
//! taken as it is (tablespaces).

mod real;
mod simulated;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use real::RealFileSystem;
pub use simulated::{Fault, SimulatedFileSystem};

/// How to open a file. The default opens an existing file for reading and writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    pub create: Create,
    /// Cut to zero length on opening.
    pub truncate: bool,
    pub read_only: bool,
}

/// Whether opening may or must create the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// The file must exist.
    #[default]
    Never,
    IfMissing,
    /// The file must not exist: `O_EXCL`.
    New,
}

impl OpenOptions {
    pub const EXISTING: Self = Self { create: Create::Never, truncate: false, read_only: false };
    pub const READ_ONLY: Self = Self { create: Create::Never, truncate: false, read_only: true };
    pub const CREATE: Self = Self { create: Create::IfMissing, truncate: false, read_only: false };
    pub const CREATE_NEW: Self = Self { create: Create::New, truncate: false, read_only: false };
    /// Create, or empty what is there.
    pub const OVERWRITE: Self = Self { create: Create::IfMissing, truncate: true, read_only: false };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    SymbolicLink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What the path leads to, symbolic links followed.
    pub kind: FileKind,
    pub len: u64,
    /// Seconds since the Unix epoch.
    pub modified_s: i64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    pub name: String,
    pub kind: FileKind,
}

/// A tree of files.
pub trait FileSystem: Send + Sync + Debug {
    fn open(&self, path: &str, options: OpenOptions) -> io::Result<Arc<dyn File>>;

    /// Atomically replaces `to` by `from`. Durable once the directories are synced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, path: &str) -> io::Result<()>;

    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// The names in a directory, sorted, without `.` and `..`.
    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// `None` if nothing has that name.
    fn metadata(&self, path: &str) -> io::Result<Option<Metadata>>;

    /// Makes `path` a symbolic link to `target`.
    fn create_symbolic_link(&self, target: &str, path: &str) -> io::Result<()>;

    fn read_symbolic_link(&self, path: &str) -> io::Result<String>;

    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.metadata(path)?.is_some())
    }

    /// The whole contents of a small file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::READ_ONLY)?;
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let read = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Creates all missing directories on the way to `path`, and `path` itself.
    fn create_directories(&self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/').filter(|(at, _)| *at > 0).chain([(path.len(), "")]) {
            match self.create_directory(&path[..end]) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a directory and everything in it. Symbolic links are removed, not followed.
    fn remove_tree(&self, path: &str) -> io::Result<()> {
        for entry in self.list(path)? {
            let inner = format!("{path}/{}", entry.name);
            match entry.kind {
                FileKind::Directory => self.remove_tree(&inner)?,
                FileKind::File | FileKind::SymbolicLink => self.remove(&inner)?,
            }
        }
        self.remove_directory(path)
    }

    /// Renames and makes it durable: the file first, then the directories. PostgreSQL's `durable_rename`.
    fn rename_durably(&self, from: &str, to: &str) -> io::Result<()> {
        self.open(from, OpenOptions::EXISTING)?.sync_data()?;
        self.rename(from, to)?;
        self.open(to, OpenOptions::EXISTING)?.sync_data()?;
        self.sync_directory(parent(to))?;
        if parent(from) != parent(to) {
            self.sync_directory(parent(from))?;
        }
        Ok(())
    }
}

/// The directory part of a path; `.` for a name alone.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(at) => &path[..at],
        None => ".",
    }
}

/// An open file. All positions are explicit: there is no cursor, so handles are shared freely.
pub trait File: Send + Sync + Debug {
    /// Reads up to `buffer.len()` bytes; fewer at the end of the file or by chance.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// [`File::read_at`] if the bytes are in memory; `None` if reading would wait for the device.
    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>>;

    /// Reads into several buffers in order.
    fn read_vectored_at(&self, buffers: &mut [io::IoSliceMut<'_>], offset: u64) -> io::Result<usize>;

    /// [`File::read_vectored_at`] if the first bytes are in memory.
    fn try_read_vectored_at(
        &self,
        buffers: &mut [io::IoSliceMut<'_>],
        offset: u64,
    ) -> io::Result<Option<usize>>;

    /// Writes up to `bytes.len()` bytes, extending the file as needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes several buffers in order.
    fn write_vectored_at(&self, buffers: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes everything written so far durable: `fdatasync`.
    fn sync_data(&self) -> io::Result<()>;

    /// Sets the length; a longer file reads as zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reserves space and extends the file to cover the range: `posix_fallocate`.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Says that the range will be read soon.
    fn prefetch(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Asks the system to begin writing the range to the device, without waiting.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Reads until the buffer is full or the file ends; tells how much.
    fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes everything. A write that makes no progress is a full disk.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.write_at(&bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
