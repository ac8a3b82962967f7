//! Sorting the entries of an index to be built.
//!
//! Realises: tuplesort.c for index tuples, as far as a build needs it.
//!
//! Entries are collected in memory up to a limit; then they are sorted and written to a temporary file, a
//! run. At the end the runs are merged. Entries are compared by key and heap tid; the first bytes of the
//! first key column's sort key are kept as a number, which decides most comparisons without looking at the
//! tuples.
//!
//! In a unique index two live rows with one key are found when they come out of the sort next to each
//! other. Dead rows, which only old snapshots see, may share a key with anything.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering as Atomic};

use kokkiri_primitives::activity::{TemporarySpace, check_for_interrupts};
use kokkiri_primitives::{Error, ItemPointer, Result, error, sort};
use kokkiri_storage::{File, FileSystem, OpenOptions};
use kokkiri_types::{Value, ValueRef, compare};

use super::shape::IndexShape;
use super::tuple::{HEADER_SIZE, TupleRef};

/// Read from a run at a time, bytes.
const READ_SIZE: usize = 64 * 1024;
/// Directory of temporary files, within the data directory.
const TEMPORARY_DIRECTORY: &str = "base/pgsql_tmp";

static NEXT_FILE: AtomicU32 = AtomicU32::new(0);

/// What a spool needs to know of the index.
#[derive(Clone)]
pub struct SortOptions {
    /// Two live rows may not have one key.
    pub unique: bool,
    pub nulls_not_distinct: bool,
    /// Memory for entries, bytes: maintenance_work_mem.
    pub memory: usize,
}

/// Entry in memory: sort prefix, place in the arena.
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    place: u32,
    size: u16,
    live: bool,
}

/// Entries being collected.
pub struct Spool {
    shape: IndexShape,
    options: SortOptions,
    fs: Arc<dyn FileSystem>,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    runs: Vec<Run>,
    /// For making prefixes.
    key_bytes: Vec<u8>,
}

/// What [`SortedStream::next`] found.
pub enum Next {
    Tuple,
    End,
    /// Two live rows with one key, in a unique index.
    Duplicate {
        key: Vec<Value>,
    },
}

impl Spool {
    pub fn new(shape: &IndexShape, fs: Arc<dyn FileSystem>, options: SortOptions) -> Self {
        let (arena, entries, runs) = (Vec::new(), Vec::new(), Vec::new());
        Self { shape: shape.clone(), options, fs, arena, entries, runs, key_bytes: Vec::new() }
    }

    /// Adds the entry of a row. `live` is false for rows that are dead but still visible to someone.
    pub fn add(&mut self, values: &[ValueRef<'_>], tid: ItemPointer, live: bool) -> Result<()> {
        let tuple = self.shape.form(values, tid)?;
        let used = self.arena.len() + self.entries.len() * size_of::<Entry>();
        if used + tuple.size() > self.options.memory.max(64 * 1024) {
            self.spill()?;
        }
        let place = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        let key = &self.shape.keys()[0];
        let type_oid = self.shape.columns()[0].type_oid;
        let prefix =
            compare::sort_prefix(type_oid, values[0], key.descending, key.nulls_first, &mut self.key_bytes);
        self.entries.push(Entry { prefix, place, size: tuple.size() as u16, live });
        self.arena.extend_from_slice(tuple.bytes());
        Ok(())
    }

    /// Sorts what was added.
    pub fn finish(mut self) -> Result<SortedStream> {
        self.sort()?;
        let source = if self.runs.is_empty() {
            Source::Memory(Memory { arena: self.arena, entries: self.entries, next: 0 })
        } else {
            if !self.entries.is_empty() {
                self.write_run()?;
            }
            Source::Runs(Merge::new(&self.shape, self.runs)?)
        };
        Ok(SortedStream { shape: self.shape, options: self.options, source, last_live: None })
    }

    fn sort(&mut self) -> Result<()> {
        let Self { shape, arena, entries, .. } = self;
        // A comparison can't return an error; none is expected, as the tuples were just formed.
        let mut failure = None;
        sort::sort_by(entries, |a, b| {
            a.prefix.cmp(&b.prefix).then_with(|| {
                compare(shape, bytes_of(arena, a), bytes_of(arena, b)).unwrap_or_else(|error| {
                    failure.get_or_insert(error);
                    Ordering::Equal
                })
            })
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn spill(&mut self) -> Result<()> {
        check_for_interrupts()?;
        self.sort()?;
        self.write_run()
    }

    fn write_run(&mut self) -> Result<()> {
        let mut writer = RunWriter::create(&self.fs)?;
        for entry in &self.entries {
            writer.add(entry.live, bytes_of(&self.arena, entry))?;
        }
        self.runs.push(writer.finish()?);
        self.entries.clear();
        self.arena.clear();
        Ok(())
    }
}

fn bytes_of<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    &arena[entry.place as usize..entry.place as usize + usize::from(entry.size)]
}

/// Full order: key columns, then heap tid.
fn compare(shape: &IndexShape, a: &[u8], b: &[u8]) -> Result<Ordering> {
    let (a, b) = (parse(a)?, parse(b)?);
    Ok(shape.compare_keys(a, b)?.then_with(|| a.heap_tid().cmp(&b.heap_tid())))
}

fn parse(bytes: &[u8]) -> Result<TupleRef<'_>> {
    TupleRef::parse(bytes).ok_or_else(|| error!(DATA_CORRUPTED, "index sort run holds an invalid tuple"))
}

/// A sorted run in a temporary file, which is removed with it.
struct Run {
    fs: Arc<dyn FileSystem>,
    path: String,
    file: Arc<dyn File>,
    len: u64,
    space: TemporarySpace,
}

impl Drop for Run {
    fn drop(&mut self) {
        // A temporary file left behind is removed at the next start.
        self.fs.remove(&self.path).ok();
    }
}

struct RunWriter {
    run: Run,
    buffer: Vec<u8>,
}

impl RunWriter {
    fn create(fs: &Arc<dyn FileSystem>) -> Result<Self> {
        let number = NEXT_FILE.fetch_add(1, Atomic::Relaxed);
        let path = format!("{TEMPORARY_DIRECTORY}/pgsql_tmp{}.{number}", std::process::id());
        let file = create_temporary(fs, &path)?;
        Ok(Self {
            run: Run { fs: Arc::clone(fs), path, file, len: 0, space: TemporarySpace::default() },
            buffer: Vec::with_capacity(READ_SIZE * 2),
        })
    }

    /// An entry is a byte that says whether the row is live, then the tuple.
    fn add(&mut self, live: bool, tuple: &[u8]) -> Result<()> {
        self.buffer.push(u8::from(live));
        self.buffer.extend_from_slice(tuple);
        if self.buffer.len() >= READ_SIZE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.run.space.grow(self.buffer.len() as u64)?;
        write_temporary(&self.run, &self.buffer)?;
        self.run.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Run> {
        self.flush()?;
        Ok(self.run)
    }
}

/// Reads a run from its start.
struct RunReader {
    run: Run,
    read: u64,
    buffer: Vec<u8>,
    at: usize,
    live: bool,
    tuple: Vec<u8>,
}

impl RunReader {
    fn new(run: Run) -> Self {
        Self { run, read: 0, buffer: Vec::new(), at: 0, live: false, tuple: Vec::new() }
    }

    /// Moves to the next entry; false at the end.
    fn advance(&mut self) -> Result<bool> {
        if !self.fill(1 + HEADER_SIZE)? {
            return Ok(false);
        }
        self.live = self.buffer[self.at] != 0;
        let head = self.at + 1;
        let size = u16::from_le_bytes([self.buffer[head + 6], self.buffer[head + 7]]) & 0x1FFF;
        let size = usize::from(size);
        if !self.fill(1 + size)? {
            return Err(error!(DATA_CORRUPTED, "index sort run ends within a tuple"));
        }
        let head = self.at + 1;
        self.tuple.clear();
        self.tuple.extend_from_slice(&self.buffer[head..head + size]);
        self.at += 1 + size;
        Ok(true)
    }

    /// Makes `wanted` bytes available in the buffer.
    fn fill(&mut self, wanted: usize) -> Result<bool> {
        while self.buffer.len() - self.at < wanted {
            let rest = self.run.len - self.read;
            if rest == 0 {
                return Ok(false);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            let start = self.buffer.len();
            let size = rest.min(READ_SIZE as u64) as usize;
            self.buffer.resize(start + size, 0);
            read_temporary(&self.run, self.read, &mut self.buffer[start..])?;
            self.read += size as u64;
        }
        Ok(true)
    }
}

struct Memory {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    next: usize,
}

/// A run's head in the merge. The heap is a max-heap, so the order is reversed.
struct Head {
    shape: Arc<IndexShape>,
    reader: RunReader,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        // The tuples were compared when their runs were sorted, so they can be compared.
        compare(&self.shape, &other.reader.tuple, &self.reader.tuple).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

struct Merge {
    heads: BinaryHeap<Head>,
}

impl Merge {
    fn new(shape: &IndexShape, runs: Vec<Run>) -> Result<Self> {
        let shape = Arc::new(shape.clone());
        let mut heads = BinaryHeap::new();
        for run in runs {
            let mut reader = RunReader::new(run);
            if reader.advance()? {
                heads.push(Head { shape: Arc::clone(&shape), reader });
            }
        }
        Ok(Self { heads })
    }

    fn next(&mut self, tuple: &mut Vec<u8>) -> Result<Option<bool>> {
        let Some(mut head) = self.heads.pop() else { return Ok(None) };
        tuple.clear();
        tuple.extend_from_slice(&head.reader.tuple);
        let live = head.reader.live;
        if head.reader.advance()? {
            self.heads.push(head);
        }
        Ok(Some(live))
    }
}

enum Source {
    Memory(Memory),
    Runs(Merge),
}

/// Entries in order.
pub struct SortedStream {
    shape: IndexShape,
    options: SortOptions,
    source: Source,
    /// The last live entry of a unique index.
    last_live: Option<Vec<u8>>,
}

impl SortedStream {
    /// The next entry, into `tuple`.
    pub fn next(&mut self, tuple: &mut Vec<u8>) -> Result<Next> {
        let live = match &mut self.source {
            Source::Memory(memory) => memory.entries.get(memory.next).map(|entry| {
                memory.next += 1;
                tuple.clear();
                tuple.extend_from_slice(bytes_of(&memory.arena, entry));
                entry.live
            }),
            Source::Runs(merge) => merge.next(tuple)?,
        };
        let Some(live) = live else { return Ok(Next::End) };
        if self.options.unique && live && !self.is_exempt(tuple)? {
            if let Some(last) = &self.last_live
                && self.shape.compare_keys(parse(last)?, parse(tuple)?)?.is_eq()
            {
                let mut key = Vec::new();
                self.shape.deform(parse(tuple)?, &mut key)?;
                key.truncate(self.shape.keys().len());
                return Ok(Next::Duplicate { key });
            }
            let last = self.last_live.get_or_insert_default();
            last.clear();
            last.extend_from_slice(tuple);
        }
        Ok(Next::Tuple)
    }

    /// Keys with a null are distinct from all others unless the index says otherwise.
    fn is_exempt(&self, tuple: &[u8]) -> Result<bool> {
        let tuple = parse(tuple)?;
        Ok(!self.options.nulls_not_distinct && (0..self.shape.keys().len()).any(|index| tuple.is_null(index)))
    }
}

fn create_temporary(fs: &Arc<dyn FileSystem>, path: &str) -> Result<Arc<dyn File>> {
    fs.create_directories(TEMPORARY_DIRECTORY)
        .map_err(|cause| Error::file_access("create directory", TEMPORARY_DIRECTORY, &cause))?;
    fs.open(path, OpenOptions::OVERWRITE)
        .map_err(|cause| Error::file_access("create temporary file", path, &cause))
}

fn write_temporary(run: &Run, bytes: &[u8]) -> Result<()> {
    run.file
        .write_all_at(bytes, run.len)
        .map_err(|cause| Error::file_access("write to temporary file", &run.path, &cause))
}

fn read_temporary(run: &Run, offset: u64, bytes: &mut [u8]) -> Result<()> {
    let read = run
        .file
        .read_full_at(bytes, offset)
        .map_err(|cause| Error::file_access("read from temporary file", &run.path, &cause))?;
    if read == bytes.len() {
        return Ok(());
    }
    Err(error!(DATA_CORRUPTED, "temporary file \"{}\" is shorter than what was written to it", run.path))
}
