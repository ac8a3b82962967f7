//! Sort: in memory while it fits, by merged runs on disk beyond, a bounded heap under a LIMIT.
//!
//! Realises: `tuplesort.c`. Keys are normalised to bytes that compare as the values do
//! (`compare::sort_key`), with the first eight as a number beside the row; types without such a form are
//! compared by value.

use std::cmp::Ordering;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Oid, Result, sort};
use kokkiri_types::compare::{self, Comparator};
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, ValueRef};

use super::{Details, Node, Operator, SortDetails};
use crate::context::Context;
use crate::row_store::{RowStore, prepare};
use crate::spill::{SpillFile, SpillReader};

/// A column to sort by, from zero.
#[derive(Clone, Debug)]
pub struct Key {
    pub column: usize,
    pub type_oid: Oid,
    pub compare: Comparator,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Key {
    pub fn compare(&self, a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
        let null = |first: bool| if first { Ordering::Less } else { Ordering::Greater };
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => null(self.nulls_first),
            (false, true) => null(!self.nulls_first),
            (false, false) => {
                let order = (self.compare)(a, b);
                if self.descending { order.reverse() } else { order }
            }
        }
    }
}

/// First bytes of a row's first key, to decide most comparisons.
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    row: u32,
}

struct Run {
    file: SpillFile,
    reader: SpillReader,
    /// The row at the head, as a batch of one.
    head: Vec<Column>,
    ended: bool,
}

pub struct Sort {
    pub input: Node,
    pub keys: Vec<Key>,
    pub types: Vec<PhysicalType>,
    /// Rows that the consumer will fetch at most.
    pub bound: Option<usize>,
    store: RowStore,
    order: Vec<Entry>,
    runs: Vec<Run>,
    position: usize,
    sorted: bool,
    details: Option<SortDetails>,
}

impl Sort {
    pub fn new(input: Node, keys: Vec<Key>, types: Vec<PhysicalType>) -> Self {
        let store = RowStore::new(types.iter().copied());
        Self {
            input,
            keys,
            types,
            bound: None,
            store,
            order: Vec::new(),
            runs: Vec::new(),
            position: 0,
            sorted: false,
            details: None,
        }
    }

    fn compare_rows(&self, a: usize, b: usize) -> Ordering {
        for key in &self.keys {
            let order = key.compare(self.store.value(a, key.column), self.store.value(b, key.column));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    fn prefix(&self, row: usize, bytes: &mut Vec<u8>) -> u64 {
        let Some(key) = self.keys.first() else { return 0 };
        let value = self.store.value(row, key.column);
        if value.is_null() {
            return if key.nulls_first { 0 } else { u64::MAX };
        }
        bytes.clear();
        if !compare::sort_key(key.type_oid, value, bytes) {
            return 1;
        }
        let mut eight = [0; 8];
        let length = bytes.len().min(8);
        eight[..length].copy_from_slice(&bytes[..length]);
        let prefix = u64::from_be_bytes(eight);
        // Zero and all ones are the nulls'; a neighbour of equal prefix is compared by value.
        (if key.descending { !prefix } else { prefix }).clamp(1, u64::MAX - 1)
    }

    fn sort_store(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.order.clear();
        for row in 0..self.store.len() {
            if row % BATCH_ROWS == 0 {
                check_for_interrupts()?;
            }
            let prefix = self.prefix(row, &mut bytes);
            self.order.push(Entry { prefix, row: row as u32 });
        }
        let mut order = std::mem::take(&mut self.order);
        sort::sort_by(&mut order, |a, b| self.entry_order(a, b))?;
        self.order = order;
        Ok(())
    }

    fn entry_order(&self, a: &Entry, b: &Entry) -> Ordering {
        a.prefix.cmp(&b.prefix).then_with(|| self.compare_rows(a.row as usize, b.row as usize))
    }

    /// Writes what is in memory as a sorted run.
    fn write_run(&mut self, context: &Context<'_>) -> Result<()> {
        self.sort_store()?;
        let mut file = SpillFile::create(context.transaction.cluster())?;
        for entry in &self.order {
            let (columns, row) = self.store.row(entry.row as usize);
            file.write(columns, row)?;
        }
        file.flush()?;
        self.store.clear();
        self.order.clear();
        let head = self.types.iter().map(|physical| Column::new(*physical)).collect();
        self.runs.push(Run { file, reader: SpillReader::default(), head, ended: false });
        Ok(())
    }

    fn read_all(&mut self, context: &mut Context<'_>) -> Result<()> {
        let work_mem = context.work_mem();
        let mut batch = Batch::default();
        let mut peak = 0;
        let mut discarded = false;
        loop {
            self.input.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            self.store.append(&batch);
            peak = peak.max(self.store.bytes());
            match self.bound {
                Some(bound) if self.store.len() > bound * 2 + BATCH_ROWS => {
                    self.keep_smallest(bound)?;
                    discarded = true;
                }
                _ if self.store.bytes() > work_mem => self.write_run(context)?,
                _ => {}
            }
        }
        if self.runs.is_empty() {
            self.sort_store()?;
            if let Some(bound) = self.bound {
                discarded |= self.order.len() > bound;
                self.order.truncate(bound);
            }
        } else if !self.store.is_empty() {
            self.write_run(context)?;
        }
        let on_disk = !self.runs.is_empty();
        let kilobytes = if on_disk {
            self.runs.iter().map(|run| run.file.kilobytes()).sum()
        } else {
            (peak as u64).div_ceil(1024).max(25)
        };
        let method = match (on_disk, discarded) {
            (true, _) => "external merge",
            (false, true) => "top-N heapsort",
            (false, false) => "quicksort",
        };
        self.details = Some(SortDetails { method, on_disk, kilobytes });
        for at in 0..self.runs.len() {
            self.advance(at)?;
        }
        self.sorted = true;
        self.position = 0;
        Ok(())
    }

    /// Drops all but the first `bound` rows in order.
    fn keep_smallest(&mut self, bound: usize) -> Result<()> {
        self.sort_store()?;
        let mut kept = RowStore::new(self.types.iter().copied());
        for entry in self.order.iter().take(bound) {
            let (columns, row) = self.store.row(entry.row as usize);
            kept.push(columns, row);
        }
        self.store = kept;
        self.order.clear();
        Ok(())
    }

    fn advance(&mut self, at: usize) -> Result<()> {
        let run = &mut self.runs[at];
        run.head.iter_mut().for_each(Column::clear);
        run.ended = !run.file.read(&mut run.reader, &mut run.head)?;
        Ok(())
    }

    fn next_run(&self) -> Option<usize> {
        let live = self.runs.iter().enumerate().filter(|(_, run)| !run.ended);
        live.min_by(|(_, a), (_, b)| {
            self.keys
                .iter()
                .map(|key| key.compare(a.head[key.column].get(0), b.head[key.column].get(0)))
                .find(|order| *order != Ordering::Equal)
                .unwrap_or(Ordering::Equal)
        })
        .map(|(at, _)| at)
    }
}

impl Operator for Sort {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        if !self.sorted {
            self.read_all(context)?;
        }
        prepare(out, &self.types);
        let mut rows = 0;
        while rows < demand.min(BATCH_ROWS) {
            if self.runs.is_empty() {
                let Some(entry) = self.order.get(self.position) else { break };
                self.store.copy_to(entry.row as usize, &mut out.columns);
                self.position += 1;
            } else {
                let Some(at) = self.next_run() else { break };
                for (column, from) in out.columns.iter_mut().zip(&self.runs[at].head) {
                    column.push_from(from, 0);
                }
                self.advance(at)?;
            }
            rows += 1;
        }
        out.seal(rows);
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        if !self.sorted {
            return self.input.rescan(context, changed);
        }
        if self.input.depends_on(changed) || self.bound.is_some() {
            self.store.clear();
            self.order.clear();
            self.runs.clear();
            self.sorted = false;
            return self.input.rescan(context, changed);
        }
        self.position = 0;
        for at in 0..self.runs.len() {
            self.runs[at].reader = SpillReader::default();
            self.advance(at)?;
        }
        Ok(())
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }

    fn details(&self) -> Details {
        Details { sort: self.details.clone(), ..Details::default() }
    }
}
