//! Temporary files: where operators put rows beyond work_mem.
//!
//! Realises: `buffile.c` over base/pgsql_tmp. A file holds rows one after the other, each with its length
//! in front; it is written once and read once or several times from its start, and removed when dropped.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kokkiri_primitives::activity::{TemporarySpace, with_current};
use kokkiri_primitives::{BLOCK_SIZE, Error, ItemPointer, Result};
use kokkiri_storage::{File, FileSystem, OpenOptions};
use kokkiri_transaction::Cluster;
use kokkiri_types::{Column, ValueRef};

const DIRECTORY: &str = "base/pgsql_tmp";
/// Bytes gathered before a write.
const BUFFER: usize = 8 * BLOCK_SIZE;
/// Bytes that a reader reads at once, and so holds.
pub const READ_AHEAD: usize = BUFFER;

pub struct SpillFile {
    fs: Arc<dyn FileSystem>,
    path: String,
    file: Arc<dyn File>,
    /// Written to the file.
    length: u64,
    buffer: Vec<u8>,
    rows: u64,
    space: TemporarySpace,
}

/// Reads a file from its start, or a part of it.
pub struct SpillReader {
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    position: usize,
}

impl Default for SpillReader {
    fn default() -> Self {
        Self::of(0..u64::MAX)
    }
}

impl SpillReader {
    /// A reader of the rows between two places that [`SpillFile::end`] told.
    pub fn of(part: Range<u64>) -> Self {
        Self { offset: part.start, end: part.end, buffer: Vec::new(), position: 0 }
    }

    /// A reader that finds nothing more.
    pub fn at_end() -> Self {
        Self::of(u64::MAX..u64::MAX)
    }
}

impl SpillFile {
    pub fn create(cluster: &Cluster) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let pid = with_current(|backend| backend.map_or(0, |backend| backend.pid));
        let path = format!("{DIRECTORY}/pgsql_tmp{pid}.{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let fs = Arc::clone(&cluster.fs);
        let open = || fs.open(&path, OpenOptions::CREATE);
        let file = match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs.create_directories(DIRECTORY)
                    .map_err(|error| Error::file_access("create temporary directory", DIRECTORY, &error))?;
                open()
            }
            other => other,
        };
        let file = file.map_err(|error| Error::file_access("create temporary file", &path, &error))?;
        Ok(Self { fs, path, file, length: 0, buffer: Vec::new(), rows: 0, space: TemporarySpace::default() })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn kilobytes(&self) -> u64 {
        (self.length + self.buffer.len() as u64).div_ceil(1024)
    }

    /// Where the next row will be.
    pub fn end(&self) -> u64 {
        self.length + self.buffer.len() as u64
    }

    /// Appends one row of some columns.
    pub fn write(&mut self, columns: &[Column], row: usize) -> Result<()> {
        let start = self.buffer.len();
        self.buffer.extend([0; 4]);
        for column in columns {
            encode(column.get(row), &mut self.buffer);
        }
        let length = (self.buffer.len() - start - 4) as u32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.rows += 1;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes out what is buffered; to be called before reading.
    pub fn flush(&mut self) -> Result<()> {
        self.space.grow(self.buffer.len() as u64)?;
        let mut done = 0;
        while done < self.buffer.len() {
            let written = self
                .file
                .write_at(&self.buffer[done..], self.length)
                .map_err(|error| Error::file_access("write to file", &self.path, &error))?;
            done += written;
            self.length += written as u64;
        }
        let blocks = self.buffer.len().div_ceil(BLOCK_SIZE) as u64;
        with_current(|backend| {
            if let Some(backend) = backend {
                backend.usage.temp_written.add(blocks);
            }
        });
        self.buffer.clear();
        Ok(())
    }

    /// Appends the next row to columns being filled; false at the end.
    pub fn read(&self, reader: &mut SpillReader, out: &mut [Column]) -> Result<bool> {
        let Some(length) = self.bytes(reader, 4)? else { return Ok(false) };
        let mut four = [0; 4];
        four.copy_from_slice(&reader.buffer[length..length + 4]);
        let length = u32::from_le_bytes(four) as usize;
        let start = self.bytes(reader, length)?.ok_or_else(|| self.broken())?;
        let mut row = &reader.buffer[start..start + length];
        for column in out {
            decode(&mut row, column).ok_or_else(|| self.broken())?;
        }
        Ok(true)
    }

    fn broken(&self) -> Error {
        Error::data_corrupted(format!("temporary file \"{}\" ends early", self.path))
    }

    /// Makes `length` bytes available; where they are in the reader's buffer.
    fn bytes(&self, reader: &mut SpillReader, length: usize) -> Result<Option<usize>> {
        while reader.buffer.len() - reader.position < length {
            reader.buffer.drain(..reader.position);
            reader.position = 0;
            let have = reader.buffer.len();
            let left = reader.end.saturating_sub(reader.offset);
            let wanted = READ_AHEAD.max(length).min(usize::try_from(left).unwrap_or(usize::MAX));
            reader.buffer.resize(have + wanted, 0);
            let read = if wanted == 0 {
                0
            } else {
                self.file
                    .read_at(&mut reader.buffer[have..], reader.offset)
                    .map_err(|error| Error::file_access("read from file", &self.path, &error))?
            };
            reader.buffer.truncate(have + read);
            reader.offset += read as u64;
            with_current(|backend| {
                if let Some(backend) = backend {
                    backend.usage.temp_read.add(read.div_ceil(BLOCK_SIZE) as u64);
                }
            });
            if read == 0 {
                return if have == 0 { Ok(None) } else { Err(self.broken()) };
            }
        }
        let start = reader.position;
        reader.position += length;
        Ok(Some(start))
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // A file left behind is removed at the next start.
        let _removed = self.fs.remove(&self.path);
    }
}

fn encode(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.push(0),
        ValueRef::Bool(value) => out.extend([1, u8::from(value)]),
        ValueRef::Char(value) => out.extend([2, value]),
        ValueRef::Int16(value) => tagged(3, &value.to_le_bytes(), out),
        ValueRef::Int32(value) => tagged(4, &value.to_le_bytes(), out),
        ValueRef::Int64(value) => tagged(5, &value.to_le_bytes(), out),
        ValueRef::Float32(value) => tagged(6, &value.to_le_bytes(), out),
        ValueRef::Float64(value) => tagged(7, &value.to_le_bytes(), out),
        ValueRef::Fixed16(value) => tagged(8, &value, out),
        ValueRef::Tid(value) => tagged(9, &value.to_u64().to_le_bytes(), out),
        ValueRef::Bytes(bytes) => {
            tagged(10, &(bytes.len() as u32).to_le_bytes(), out);
            out.extend_from_slice(bytes);
        }
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn take<'a>(row: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = row.split_at_checked(length)?;
    *row = rest;
    Some(head)
}

fn array<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    take(row, N)?.try_into().ok()
}

fn decode(row: &mut &[u8], column: &mut Column) -> Option<()> {
    let tag = take(row, 1)?[0];
    match tag {
        0 => column.push_null(),
        1 => column.push(ValueRef::Bool(take(row, 1)?[0] != 0)),
        2 => column.push(ValueRef::Char(take(row, 1)?[0])),
        3 => column.push(ValueRef::Int16(i16::from_le_bytes(array(row)?))),
        4 => column.push(ValueRef::Int32(i32::from_le_bytes(array(row)?))),
        5 => column.push(ValueRef::Int64(i64::from_le_bytes(array(row)?))),
        6 => column.push(ValueRef::Float32(f32::from_le_bytes(array(row)?))),
        7 => column.push(ValueRef::Float64(f64::from_le_bytes(array(row)?))),
        8 => column.push(ValueRef::Fixed16(array(row)?)),
        9 => column.push(ValueRef::Tid(ItemPointer::from_u64(u64::from_le_bytes(array(row)?)))),
        10 => {
            let length = u32::from_le_bytes(array(row)?) as usize;
            column.push(ValueRef::Bytes(take(row, length)?));
        }
        _ => return None,
    }
    Some(())
}
