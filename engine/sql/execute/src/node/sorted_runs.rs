//! Sorted runs on disk, and their merge.
//!
//! Realises: the tapes and merges of `tuplesort.c`. One temporary file holds the runs of a pass one after the
//! other. Where there are more than there is memory to read ahead in, they are merged into longer ones first,
//! pass by pass; the last merge happens as rows are asked for.
//!
//! Invariant: the heap holds the heads that have a row, the smallest row's first.

use std::cmp::Ordering;
use std::ops::Range;

use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_transaction::Cluster;
use kokkiri_types::{Column, PhysicalType};

use super::sort::Key;
use crate::spill::{READ_AHEAD, SpillFile, SpillReader};

/// How many runs are merged at once, at least and at most, whatever memory there is.
const ORDER_MIN: usize = 6;
const ORDER_MAX: usize = 500;
/// Rows merged between two looks at interrupts.
const MERGED: usize = 1024;

pub struct SortedRuns {
    types: Vec<PhysicalType>,
    file: SpillFile,
    /// Where each run is in the file.
    runs: Vec<Range<u64>>,
    merge: Merge,
    kilobytes: u64,
}

/// The next row of a run.
struct Head {
    reader: SpillReader,
    /// Columns of one row.
    row: Vec<Column>,
    prefix: u64,
}

/// Some runs being merged.
#[derive(Default)]
struct Merge {
    heads: Vec<Head>,
    heap: Vec<usize>,
    /// For making prefixes.
    bytes: Vec<u8>,
}

impl SortedRuns {
    pub fn create(cluster: &Cluster, types: &[PhysicalType]) -> Result<Self> {
        Ok(Self {
            types: types.to_vec(),
            file: SpillFile::create(cluster)?,
            runs: Vec::new(),
            merge: Merge::default(),
            kilobytes: 0,
        })
    }

    /// Most that the file has held.
    pub fn kilobytes(&self) -> u64 {
        self.kilobytes.max(self.file.kilobytes())
    }

    /// Writes rows that are in order as one run.
    pub fn write<'r>(&mut self, rows: impl Iterator<Item = (&'r [Column], usize)>) -> Result<()> {
        let start = self.file.end();
        for (columns, row) in rows {
            self.file.write(columns, row)?;
        }
        self.runs.push(start..self.file.end());
        Ok(())
    }

    /// All runs are written: merges them until `memory` bytes suffice for reading those that are left, and
    /// begins to read.
    pub fn finish(&mut self, cluster: &Cluster, keys: &[Key], memory: usize) -> Result<()> {
        let order = (memory / READ_AHEAD).clamp(ORDER_MIN, ORDER_MAX);
        self.file.flush()?;
        while self.runs.len() > order {
            let mut longer = Self::create(cluster, &self.types)?;
            for group in self.runs.chunks(order) {
                let start = longer.file.end();
                self.merge = Merge::begin(&self.file, &self.types, group, keys)?;
                let mut until_check = MERGED;
                while let Some(&first) = self.merge.heap.first() {
                    until_check -= 1;
                    if until_check == 0 {
                        check_for_interrupts()?;
                        until_check = MERGED;
                    }
                    longer.file.write(&self.merge.heads[first].row, 0)?;
                    self.merge.advance(&self.file, keys)?;
                }
                longer.runs.push(start..longer.file.end());
            }
            longer.file.flush()?;
            longer.kilobytes = self.kilobytes();
            *self = longer;
        }
        self.rewind(keys)
    }

    /// Begins to read again.
    pub fn rewind(&mut self, keys: &[Key]) -> Result<()> {
        self.merge = Merge::begin(&self.file, &self.types, &self.runs, keys)?;
        Ok(())
    }

    /// Appends the next row in order to columns being filled; false at the end.
    pub fn next(&mut self, keys: &[Key], out: &mut [Column]) -> Result<bool> {
        let Some(&first) = self.merge.heap.first() else { return Ok(false) };
        for (column, from) in out.iter_mut().zip(&self.merge.heads[first].row) {
            column.push_from(from, 0);
        }
        self.merge.advance(&self.file, keys)?;
        Ok(true)
    }
}

impl Merge {
    fn begin(file: &SpillFile, types: &[PhysicalType], runs: &[Range<u64>], keys: &[Key]) -> Result<Self> {
        let mut merge = Self::default();
        for run in runs {
            merge.heads.push(Head {
                reader: SpillReader::of(run.clone()),
                row: types.iter().map(|physical| Column::new(*physical)).collect(),
                prefix: 0,
            });
        }
        for at in 0..merge.heads.len() {
            if merge.read(file, at, keys)? {
                merge.heap.push(at);
            }
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at, keys);
        }
        Ok(merge)
    }

    /// Reads the next row of a run; false at its end.
    fn read(&mut self, file: &SpillFile, at: usize, keys: &[Key]) -> Result<bool> {
        let head = &mut self.heads[at];
        head.row.iter_mut().for_each(Column::clear);
        if !file.read(&mut head.reader, &mut head.row)? {
            return Ok(false);
        }
        if let Some(key) = keys.first() {
            head.prefix = key.prefix(head.row[key.column].get(0), &mut self.bytes);
        }
        Ok(true)
    }

    /// Leaves the smallest row behind.
    fn advance(&mut self, file: &SpillFile, keys: &[Key]) -> Result<()> {
        if !self.read(file, self.heap[0], keys)? {
            self.heap.swap_remove(0);
        }
        self.sift_down(0, keys);
        Ok(())
    }

    fn compare(&self, a: usize, b: usize, keys: &[Key]) -> Ordering {
        let (left, right) = (&self.heads[a], &self.heads[b]);
        let by_value = || {
            keys.iter()
                .map(|key| key.compare(left.row[key.column].get(0), right.row[key.column].get(0)))
                .find(|order| *order != Ordering::Equal)
        };
        // Equal rows come in the order of their runs.
        left.prefix.cmp(&right.prefix).then_with(|| by_value().unwrap_or_else(|| a.cmp(&b)))
    }

    fn sift_down(&mut self, mut at: usize, keys: &[Key]) {
        loop {
            let children = [2 * at + 1, 2 * at + 2].into_iter().filter(|child| *child < self.heap.len());
            let Some(smaller) = children.min_by(|a, b| self.compare(self.heap[*a], self.heap[*b], keys))
            else {
                return;
            };
            if self.compare(self.heap[at], self.heap[smaller], keys) != Ordering::Greater {
                return;
            }
            self.heap.swap(at, smaller);
            at = smaller;
        }
    }
}
