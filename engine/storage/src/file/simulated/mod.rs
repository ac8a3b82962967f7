//! A file system in memory that fails as a disk may, repeatably, from a seed.
//!
//! It keeps two states: what a running process sees, and what is certain to be there after a crash. What
//! lies between (unsynced writes, unsynced names) survives a crash by chance: of a file's unsynced sectors
//! none, all or some; of the unsynced names a prefix in the order of their making, or a subset.
//!
//! Every write, sync and change of a name is one numbered operation. [`SimulatedFileSystem::crash_at`]
//! stops the disk at one of them: a write is torn at a sector, and nothing works any more. What survived
//! is a new file system ([`SimulatedFileSystem::crash`]). Contents are shared until written, so copies are
//! cheap and thousands of crash points can be tried from one prepared directory, or from one run:
//! [`SimulatedFileSystem::keep_moments`] keeps the disk as it would have stopped, and goes on.

mod content;
mod names;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::Inode;
use names::{Entry, NameChange, Names};

use super::{Create, DirectoryEntry, File, FileKind, FileSystem, Metadata, OpenOptions, parent};

/// What goes wrong, and when. Operations are numbered from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The disk stops in the middle of this operation.
    pub crash_at: Option<u64>,
    /// This operation, if it is a sync, fails with EIO, and what it should have made durable is lost.
    pub sync_error_at: Option<u64>,
    /// Writes beyond this many bytes in all files together fail with ENOSPC.
    pub capacity_bytes: Option<u64>,
    /// Reads may return less than asked for.
    pub short_reads: bool,
}

/// SplitMix64: small, and good enough to choose what a crash spares.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Clone)]
struct World {
    seed: u64,
    random: Random,
    inodes: Vec<Inode>,
    names: Names,
    operations: u64,
    fault: Fault,
    stopped: bool,
    /// Operations at which a copy is to be kept, and the copies.
    moments: BTreeSet<u64>,
    kept: Vec<World>,
    before_truncation: Option<Hook>,
}

/// What a test wants to happen in the middle of an operation.
type Hook = Arc<dyn Fn() + Send + Sync>;

/// What an operation is to do.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    /// This is the operation in which the disk stops.
    Crash,
    SyncError,
}

fn stopped() -> io::Error {
    io::Error::other("the simulated disk has stopped")
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(2)
}

fn exists() -> io::Error {
    io::Error::from_raw_os_error(17)
}

impl World {
    fn alive(&self) -> io::Result<()> {
        if self.stopped { Err(stopped()) } else { Ok(()) }
    }

    /// Counts one operation and tells what is to become of it.
    fn operation(&mut self, is_sync: bool) -> io::Result<Go> {
        self.alive()?;
        self.operations += 1;
        if self.moments.remove(&self.operations) {
            let mut moment = self.alone();
            moment.stopped = true;
            self.kept.push(moment);
        }
        if self.fault.crash_at == Some(self.operations) {
            self.stopped = true;
            return Ok(Go::Crash);
        }
        if is_sync && self.fault.sync_error_at == Some(self.operations) {
            return Ok(Go::SyncError);
        }
        Ok(Go::On)
    }

    /// A copy without what is kept of other moments.
    fn alone(&mut self) -> Self {
        let (moments, kept) = (std::mem::take(&mut self.moments), std::mem::take(&mut self.kept));
        let copy = self.clone();
        (self.moments, self.kept) = (moments, kept);
        copy
    }

    fn write(&mut self, inode: usize, buffers: &[io::IoSlice<'_>], offset: u64, mut left: usize) {
        let mut at = offset;
        for buffer in buffers {
            let now = buffer.len().min(left);
            self.inodes[inode].write(&buffer[..now], at);
            at += now as u64;
            left -= now;
        }
    }

    /// Sectors already on their way when power failed; which of them arrive is up to the crash.
    fn torn(&mut self, total: u64) -> usize {
        (self.random.below(total.div_ceil(content::SECTOR as u64) + 1) * content::SECTOR as u64) as usize
    }

    /// A change of a name as one operation; a crash in it leaves it unsynced, done or not by chance.
    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        match self.operation(false)? {
            Go::Crash => {
                if self.random.below(2) == 0 {
                    self.names.change(change);
                }
                Err(stopped())
            }
            Go::On | Go::SyncError => {
                self.names.change(change);
                Ok(())
            }
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.files().map(|inode| self.inodes[inode].allocated_bytes()).sum()
    }

    fn check_capacity(&self, more: u64) -> io::Result<()> {
        let Some(capacity) = self.fault.capacity_bytes else { return Ok(()) };
        if self.used_bytes() + more > capacity { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

/// A simulated disk. Clones share it.
#[derive(Clone)]
pub struct SimulatedFileSystem(Arc<Mutex<World>>);

impl SimulatedFileSystem {
    /// An empty root directory, without faults.
    pub fn new(seed: u64) -> Self {
        Self::from_world(World {
            seed,
            random: Random(seed),
            inodes: Vec::new(),
            names: Names::default(),
            operations: 0,
            fault: Fault::default(),
            stopped: false,
            moments: BTreeSet::new(),
            kept: Vec::new(),
            before_truncation: None,
        })
    }

    fn from_world(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic of a test that holds the lock leaves a state that is still good to look at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn seed(&self) -> u64 {
        self.world().seed
    }

    pub fn set_fault(&self, fault: Fault) {
        self.world().fault = fault;
    }

    /// Stops the disk in the operation with this number, counted from the file system's making.
    pub fn crash_at(&self, operation: u64) {
        self.world().fault.crash_at = Some(operation);
    }

    /// Keeps the disk as it would be if it had stopped in these operations, while it goes on.
    pub fn keep_moments(&self, operations: impl IntoIterator<Item = u64>) {
        self.world().moments = operations.into_iter().collect();
    }

    /// The moments kept so far, each with its operation: stopped disks, to be asked what survived.
    pub fn take_moments(&self) -> Vec<(u64, Self)> {
        let kept = std::mem::take(&mut self.world().kept);
        kept.into_iter().map(|world| (world.operations, Self::from_world(world))).collect()
    }

    /// Has `hook` called, with nothing locked, whenever a file is about to be cut.
    pub fn before_truncations(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.world().before_truncation = Some(Arc::new(hook));
    }

    /// Makes all that there is durable, as no operation.
    pub fn sync_everything(&self) {
        let mut world = self.world();
        world.inodes.iter_mut().for_each(Inode::sync);
        world.names.sync_everything();
    }

    /// Operations so far: the bound for [`SimulatedFileSystem::crash_at`] in a sweep.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Bytes in all files together: what [`Fault::capacity_bytes`] bounds.
    pub fn used_bytes(&self) -> u64 {
        self.world().used_bytes()
    }

    pub fn has_stopped(&self) -> bool {
        self.world().stopped
    }

    /// An independent copy in the same state, with another seed, its operations counted from zero.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let mut world = self.world().alone();
        world.seed = seed;
        world.random = Random(seed);
        world.operations = 0;
        Self::from_world(world)
    }

    /// Power fails now: this file system stops, and what survived is a new one, without faults. The same
    /// stopped disk may be asked with several seeds.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut world = self.world();
        world.stopped = true;
        let mut random = Random(seed);
        let mut names = world.names.survivors(&mut random);
        let mut inodes = Vec::new();
        names.renumber(|inode| {
            inodes.push(world.inodes[inode].survivor(&mut random));
            inodes.len() - 1
        });
        Self::from_world(World {
            seed,
            random,
            inodes,
            names,
            operations: 0,
            fault: Fault::default(),
            stopped: false,
            moments: BTreeSet::new(),
            kept: Vec::new(),
            before_truncation: None,
        })
    }
}

impl fmt::Debug for SimulatedFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_lock() {
            Ok(world) => write!(
                f,
                "simulated file system (seed {}, {} operations, {:?}{})",
                world.seed,
                world.operations,
                world.fault,
                if world.stopped { ", stopped" } else { "" }
            ),
            Err(_) => f.write_str("simulated file system (busy)"),
        }
    }
}

impl Drop for SimulatedFileSystem {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

/// Path without `.` components and doubled slashes.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let joined = parts.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}

impl World {
    /// Follows symbolic links on the way to the last component, and in it if `last`.
    fn resolve(&self, path: &str, last: bool) -> String {
        let mut at = normal(path);
        for _ in 0..8 {
            let link = at
                .match_indices('/')
                .map(|(end, _)| end)
                .filter(|end| *end > 0)
                .chain(last.then_some(at.len()))
                .find_map(|end| match self.names.get(&at[..end]) {
                    Some(Entry::Link(target)) => Some((end, target.clone())),
                    _ => None,
                });
            match link {
                Some((end, target)) => at = normal(&format!("{target}{}", &at[end..])),
                None => break,
            }
        }
        at
    }

    fn check_parent(&self, path: &str) -> io::Result<()> {
        let above = parent(path);
        match self.names.get(above) {
            _ if above == "." || above == "/" => Ok(()),
            Some(Entry::Directory) => Ok(()),
            Some(_) => Err(io::Error::from_raw_os_error(20)),
            None => Err(not_found()),
        }
    }
}

impl FileSystem for SimulatedFileSystem {
    fn open(&self, path: &str, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.alive()?;
        let path = world.resolve(path, true);
        let inode = match (world.names.get(&path).cloned(), options.create) {
            (Some(Entry::File(_)), Create::New) => return Err(exists()),
            (Some(Entry::File(inode)), _) => inode,
            (Some(Entry::Directory | Entry::Link(_)), _) => return Err(io::Error::from_raw_os_error(21)),
            (None, Create::Never) => return Err(not_found()),
            (None, Create::IfMissing | Create::New) => {
                world.check_parent(&path)?;
                let inode = world.inodes.len();
                world.inodes.push(Inode::default());
                world.change_name(NameChange::Make(path, Entry::File(inode)))?;
                inode
            }
        };
        if options.truncate {
            world.inodes[inode].truncate(0);
        }
        drop(world);
        Ok(Arc::new(SimulatedFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.alive()?;
        let (from, to) = (world.resolve(from, false), world.resolve(to, false));
        if world.names.get(&from).is_none() {
            return Err(not_found());
        }
        world.check_parent(&to)?;
        world.change_name(NameChange::Rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.alive()?;
        let path = world.resolve(path, false);
        match world.names.get(&path) {
            None => Err(not_found()),
            Some(Entry::Directory) => Err(io::Error::from_raw_os_error(21)),
            Some(_) => world.change_name(NameChange::Remove(path)),
        }
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.alive()?;
        let path = world.resolve(path, true);
        if path.is_empty() || world.names.get(&path).is_some() {
            return Err(exists());
        }
        world.check_parent(&path)?;
        world.change_name(NameChange::Make(path, Entry::Directory))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.alive()?;
        let path = world.resolve(path, false);
        match world.names.get(&path) {
            None => return Err(not_found()),
            Some(Entry::Directory) => {}
            Some(_) => return Err(io::Error::from_raw_os_error(20)),
        }
        if world.names.within(&path).next().is_some() {
            return Err(io::Error::from_raw_os_error(39));
        }
        world.change_name(NameChange::Remove(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>> {
        let world = self.world();
        world.alive()?;
        let path = world.resolve(path, true);
        if !path.is_empty() && world.names.get(&path) != Some(&Entry::Directory) {
            return Err(not_found());
        }
        let kind = |entry: &Entry| match entry {
            Entry::File(_) => FileKind::File,
            Entry::Directory => FileKind::Directory,
            Entry::Link(_) => FileKind::SymbolicLink,
        };
        Ok(world
            .names
            .within(&path)
            .map(|(name, entry)| DirectoryEntry { name: name.to_owned(), kind: kind(entry) })
            .collect())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        let go = world.operation(true)?;
        let path = world.resolve(path, true);
        if !path.is_empty() && world.names.get(&path) != Some(&Entry::Directory) {
            return Err(not_found());
        }
        match go {
            Go::Crash => Err(stopped()),
            Go::SyncError => Err(io::Error::from_raw_os_error(5)),
            Go::On => {
                world.names.sync(&path);
                Ok(())
            }
        }
    }

    fn metadata(&self, path: &str) -> io::Result<Option<Metadata>> {
        let world = self.world();
        world.alive()?;
        let path = world.resolve(path, true);
        let (kind, len) = match world.names.get(&path) {
            _ if path.is_empty() => (FileKind::Directory, 0),
            Some(Entry::File(inode)) => (FileKind::File, world.inodes[*inode].len()),
            Some(Entry::Directory) => (FileKind::Directory, 0),
            Some(Entry::Link(_)) | None => return Ok(None),
        };
        Ok(Some(Metadata { kind, len, modified_s: 0 }))
    }

    fn create_symbolic_link(&self, target: &str, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.alive()?;
        let path = world.resolve(path, false);
        if world.names.get(&path).is_some() {
            return Err(exists());
        }
        world.check_parent(&path)?;
        world.change_name(NameChange::Make(path, Entry::Link(target.to_owned())))
    }

    fn read_symbolic_link(&self, path: &str) -> io::Result<String> {
        let world = self.world();
        world.alive()?;
        match world.names.get(&world.resolve(path, false)) {
            Some(Entry::Link(target)) => Ok(target.clone()),
            Some(_) => Err(io::Error::from_raw_os_error(22)),
            None => Err(not_found()),
        }
    }
}

struct SimulatedFile {
    disk: Arc<Mutex<World>>,
    inode: usize,
}

impl SimulatedFile {
    fn world(&self) -> MutexGuard<'_, World> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated file {}", self.inode)
    }
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_vectored_at(&mut [io::IoSliceMut::new(buffer)], offset)
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.try_read_vectored_at(&mut [io::IoSliceMut::new(buffer)], offset)
    }

    fn read_vectored_at(&self, buffers: &mut [io::IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        world.alive()?;
        let wanted: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let there = world.inodes[self.inode].len().saturating_sub(offset).min(wanted);
        let mut left = match world.fault.short_reads && there > 1 {
            true => 1 + world.random.below(there),
            false => there,
        } as usize;
        let mut done = 0;
        for buffer in buffers {
            let now = buffer.len().min(left);
            world.inodes[self.inode].read(&mut buffer[..now], offset + done as u64);
            done += now;
            left -= now;
        }
        Ok(done)
    }

    fn try_read_vectored_at(
        &self,
        buffers: &mut [io::IoSliceMut<'_>],
        offset: u64,
    ) -> io::Result<Option<usize>> {
        {
            let mut world = self.world();
            if world.fault.short_reads && world.random.below(4) == 0 {
                return Ok(None);
            }
        }
        self.read_vectored_at(buffers, offset).map(Some)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.write_vectored_at(&[io::IoSlice::new(bytes)], offset)
    }

    fn write_vectored_at(&self, buffers: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        let go = world.operation(false)?;
        let total: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let end = offset + total;
        world.check_capacity(end.saturating_sub(world.inodes[self.inode].allocated_bytes()))?;
        let operation = world.operations;
        if let Some(moment) = world.kept.last_mut().filter(|moment| moment.operations == operation) {
            let length = moment.torn(total);
            moment.write(self.inode, buffers, offset, length);
        }
        let length = if go == Go::Crash { world.torn(total) } else { total as usize };
        world.write(self.inode, buffers, offset, length);
        if go == Go::Crash { Err(stopped()) } else { Ok(total as usize) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.world();
        match world.operation(true)? {
            Go::On => {
                world.inodes[self.inode].sync();
                Ok(())
            }
            Go::Crash => Err(stopped()),
            Go::SyncError => {
                world.inodes[self.inode].fail_sync();
                Err(io::Error::from_raw_os_error(5))
            }
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let hook = self.world().before_truncation.clone();
        if let Some(hook) = hook {
            hook();
        }
        let mut world = self.world();
        let go = world.operation(false)?;
        world.inodes[self.inode].truncate(len);
        if go == Go::Crash { Err(stopped()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        let world = self.world();
        world.alive()?;
        Ok(world.inodes[self.inode].len())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut world = self.world();
        let go = world.operation(false)?;
        let end = offset + len;
        world.check_capacity(end.saturating_sub(world.inodes[self.inode].allocated_bytes()))?;
        if world.inodes[self.inode].len() < end {
            world.inodes[self.inode].truncate(end);
        }
        if go == Go::Crash { Err(stopped()) } else { Ok(()) }
    }

    fn prefetch(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.world().alive()
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.world().alive()
    }
}

#[cfg(test)]
mod tests;
