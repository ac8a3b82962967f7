//! Sort: in memory while it fits, by merged runs on disk beyond, a bounded heap under a LIMIT.
//!
//! Realises: `tuplesort.c`. Keys are normalised to bytes that compare as the values do
//! (`compare::sort_key`), with the first eight as a number beside the row; types without such a form are
//! compared by value.

use std::cmp::Ordering;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Oid, Result, sort};
use kokkiri_types::compare::{self, Comparator};
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, ValueRef};

use super::sorted_runs::SortedRuns;
use super::{Details, Node, Operator, SortDetails};
use crate::context::Context;
use crate::explain::memory;
use crate::row_store::{RowStore, prepare};

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
    /// A number that decides most comparisons (`compare::sort_prefix`).
    pub fn prefix(&self, value: ValueRef<'_>, bytes: &mut Vec<u8>) -> u64 {
        compare::sort_prefix(self.type_oid, value, self.descending, self.nulls_first, bytes)
    }

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

pub struct Sort {
    pub input: Node,
    pub keys: Vec<Key>,
    pub types: Vec<PhysicalType>,
    /// Rows that the consumer will fetch at most.
    pub bound: Option<usize>,
    store: RowStore,
    order: Vec<Entry>,
    /// What did not fit into memory.
    runs: Option<SortedRuns>,
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
            runs: None,
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

    fn sort_store(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.order.clear();
        for row in 0..self.store.len() {
            if row % BATCH_ROWS == 0 {
                check_for_interrupts()?;
            }
            let prefix =
                self.keys.first().map_or(0, |key| key.prefix(self.store.value(row, key.column), &mut bytes));
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
        let runs = match &mut self.runs {
            Some(runs) => runs,
            none => none.insert(SortedRuns::create(context.transaction.cluster(), &self.types)?),
        };
        runs.write(self.order.iter().map(|entry| self.store.row(entry.row as usize)))?;
        self.store.clear();
        self.order.clear();
        Ok(())
    }

    fn read_all(&mut self, context: &mut Context<'_>) -> Result<()> {
        let work_mem = context.work_mem();
        let mut batch = Batch::default();
        let mut discarded = false;
        loop {
            self.input.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            self.store.append(&batch);
            match self.bound {
                Some(bound) if self.store.len() > bound * 2 + BATCH_ROWS => {
                    self.keep_smallest(bound)?;
                    discarded = true;
                }
                _ if self.store.bytes() > work_mem => self.write_run(context)?,
                _ => {}
            }
        }
        if self.runs.is_some() && !self.store.is_empty() {
            self.write_run(context)?;
        }
        let (method, kilobytes) = match &mut self.runs {
            Some(runs) => {
                runs.finish(context.transaction.cluster(), &self.keys, work_mem)?;
                ("external merge", runs.kilobytes())
            }
            None => {
                self.sort_store()?;
                if let Some(bound) = self.bound {
                    discarded |= self.order.len() > bound;
                    self.order.truncate(bound);
                }
                let method = if discarded { "top-N heapsort" } else { "quicksort" };
                // What it takes in memory is counted when EXPLAIN asks.
                (method, 0)
            }
        };
        self.details = Some(SortDetails { method, on_disk: self.runs.is_some(), kilobytes });
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
}

impl Operator for Sort {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        if !self.sorted {
            self.read_all(context)?;
        }
        prepare(out, &self.types);
        let mut rows = 0;
        while rows < demand.min(BATCH_ROWS) {
            if let Some(runs) = &mut self.runs {
                if !runs.next(&self.keys, &mut out.columns)? {
                    break;
                }
            } else {
                let Some(entry) = self.order.get(self.position) else { break };
                self.store.copy_to(entry.row as usize, &mut out.columns);
                self.position += 1;
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
            self.runs = None;
            self.sorted = false;
            return self.input.rescan(context, changed);
        }
        self.position = 0;
        self.runs.as_mut().map_or(Ok(()), |runs| runs.rewind(&self.keys))
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }

    fn details(&self) -> Details {
        let mut sort = self.details.clone();
        if let Some(sort) = sort.as_mut().filter(|sort| !sort.on_disk) {
            let rows = self.order.iter().map(|entry| entry.row as usize);
            sort.kilobytes = memory::sort(&self.store, rows, self.bound.is_some());
        }
        Details { sort, ..Details::default() }
    }
}
