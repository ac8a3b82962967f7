//! Which files a checkpoint must make durable, and which it may then remove.
//!
//! Realises: `sync.c`. Requests for the same file collapse into one. A checkpoint first tells that it
//! starts ([`StorageManager::begin_checkpoint`]), writes the dirty pages, serves all requests there are
//! ([`StorageManager::process_sync_requests`]), and after its record is durable removes the files that
//! were dropped before it started ([`StorageManager::after_checkpoint`]).

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use kokkiri_primitives::Fork;
use kokkiri_primitives::activity::blocking;
use kokkiri_primitives::error::{Error, Result};
use parking_lot::Mutex;

use super::{RelationFile, StorageManager};
use crate::file::OpenOptions;
use crate::wait_events;

/// What is to be synced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyncTag {
    Segment {
        rel: RelationFile,
        fork: Fork,
        segment: u32,
    },
    /// A file that is no relation's: a page file of the commit log and its like.
    File(String),
    /// The names in a directory.
    Directory(String),
}

impl SyncTag {
    fn path(&self) -> String {
        match self {
            SyncTag::Segment { rel, fork, segment } => rel.segment_path(*fork, *segment),
            SyncTag::File(path) | SyncTag::Directory(path) => path.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    pending: HashSet<SyncTag>,
    /// Taken by the running checkpoint; a dropped relation's are taken out of here too.
    in_progress: HashSet<SyncTag>,
    /// Files to remove after the checkpoint that starts after the one of this number.
    unlinks: Vec<(String, u64)>,
    /// Number of checkpoints started.
    cycle: u64,
}

#[derive(Debug, Default)]
pub(super) struct SyncQueue(Mutex<State>);

impl SyncQueue {
    pub(super) fn register(&self, tag: SyncTag) {
        self.0.lock().pending.insert(tag);
    }

    pub(super) fn register_unlink(&self, path: String) {
        let mut state = self.0.lock();
        let cycle = state.cycle;
        state.unlinks.push((path, cycle));
    }

    pub(super) fn forget_segments(&self, matches: impl Fn(RelationFile, Fork) -> bool) {
        let keep = |tag: &SyncTag| !matches!(tag, SyncTag::Segment { rel, fork, .. } if matches(*rel, *fork));
        let mut state = self.0.lock();
        state.pending.retain(keep);
        state.in_progress.retain(keep);
    }

    pub(super) fn forget_paths(&self, matches: impl Fn(&str) -> bool) {
        let mut state = self.0.lock();
        let keep =
            |tag: &SyncTag| !matches!(tag, SyncTag::File(path) | SyncTag::Directory(path) if matches(path));
        state.pending.retain(keep);
        state.in_progress.retain(keep);
        state.unlinks.retain(|(path, _)| !matches(path));
    }
}

/// What one round of syncing did, for log_checkpoints and pg_stat_checkpointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    pub files: usize,
    pub longest: Duration,
    pub total: Duration,
}

impl StorageManager {
    /// Queues a file that is no relation's, written through the same file system.
    pub fn request_sync(&self, tag: SyncTag) {
        self.sync.register(tag);
    }

    /// Takes back requests for files with matching paths, which are about to be removed.
    pub fn forget_sync(&self, matches: impl Fn(&str) -> bool) {
        self.sync.forget_paths(matches);
    }

    /// Called before a checkpoint determines its redo point: `SyncPreCheckpoint`.
    pub fn begin_checkpoint(&self) {
        self.sync.0.lock().cycle += 1;
    }

    /// Makes everything requested durable: `ProcessSyncRequests`.
    ///
    /// # Errors
    /// A file that can't be synced is a PANIC: what the system has dropped can't be written again.
    pub fn process_sync_requests(&self) -> Result<SyncReport> {
        let mut work: Vec<SyncTag> = {
            let mut state = self.sync.0.lock();
            let taken = std::mem::take(&mut state.pending);
            state.in_progress.extend(taken);
            state.in_progress.iter().cloned().collect()
        };
        // A fixed order, for the device and for simulations; names last, when what they name is there.
        work.sort_by_cached_key(|tag| (matches!(tag, SyncTag::Directory(_)), tag.path()));
        let mut report = SyncReport::default();
        for tag in work {
            if !self.sync.0.lock().in_progress.contains(&tag) {
                continue;
            }
            let started = Instant::now();
            match self.sync_one(&tag) {
                Ok(()) => {}
                // Dropped meanwhile, its request taken back.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && !self.sync.0.lock().in_progress.contains(&tag) =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(self.poison.panic_with(Error::file_access("fsync file", tag.path(), &error)));
                }
            }
            self.sync.0.lock().in_progress.remove(&tag);
            let took = started.elapsed();
            report.files += 1;
            report.longest = report.longest.max(took);
            report.total += took;
        }
        Ok(report)
    }

    fn sync_one(&self, tag: &SyncTag) -> io::Result<()> {
        let path = tag.path();
        match tag {
            SyncTag::Directory(_) => blocking(&wait_events::DATA_FILE_SYNC, || self.fs.sync_directory(&path)),
            SyncTag::Segment { rel, fork, segment } => {
                let open = self.open.lock().get((*rel, *fork, *segment));
                let file = match open {
                    Some(file) => file,
                    None => self.fs.open(&path, OpenOptions::EXISTING)?,
                };
                blocking(&wait_events::DATA_FILE_SYNC, || file.sync_data())
            }
            SyncTag::File(_) => {
                let file = self.fs.open(&path, OpenOptions::EXISTING)?;
                blocking(&wait_events::DATA_FILE_SYNC, || file.sync_data())
            }
        }
    }

    /// Removes what was dropped before the finished checkpoint started: `SyncPostCheckpoint`. Returns the
    /// failures; they are worth a log line but nothing else.
    pub fn after_checkpoint(&self) -> Vec<Error> {
        let due: Vec<String> = {
            let mut state = self.sync.0.lock();
            let cycle = state.cycle;
            let (due, later) = state.unlinks.drain(..).partition::<Vec<_>, _>(|(_, at)| *at < cycle);
            state.unlinks = later;
            due.into_iter().map(|(path, _)| path).collect()
        };
        due.into_iter()
            .filter_map(|path| match self.fs.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Some(Error::file_access("remove file", &path, &error))
                }
                _ => None,
            })
            .collect()
    }
}
