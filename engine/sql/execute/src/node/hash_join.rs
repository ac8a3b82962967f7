//! Hash joins: a table of the inner rows, probed by the outer ones.
//!
//! Realises: `nodeHashjoin.c` and `nodeHash.c`. The table keeps 64-bit hashes beside the rows' numbers.
//! When the inner side outgrows its memory both sides are split by hash into partitions on disk, which
//! are joined one after the other.

use std::cmp::Ordering;
use std::collections::HashMap;

use kokkiri_plan::plan::JoinType;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::compare::Comparator;
use kokkiri_types::hash::hash_column;
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, Selection};

use super::join_output::JoinOutput;
use super::{Details, HashDetails, Input, Node, Operator};
use crate::context::Context;
use crate::explain::memory;
use crate::expression::Program;
use crate::row_store::{RowStore, prepare};
use crate::spill::{SpillFile, SpillReader};

/// An equality of the join.
pub struct Key {
    pub outer: Program,
    pub inner: Program,
    pub outer_type: Oid,
    pub inner_type: Oid,
    /// Outer value against inner value.
    pub compare: Comparator,
    pub physical: PhysicalType,
}

const PARTITIONS: usize = 16;

pub struct HashJoin {
    pub outer: Node,
    /// The Hash node.
    pub inner: Node,
    pub keys: Vec<Key>,
    pub output: JoinOutput,
    /// Inner rows, their keys behind them.
    store: RowStore,
    table: HashMap<u64, Vec<u32>>,
    matched_inner: Vec<bool>,
    built: bool,
    source: Input,
    /// Keys of the outer batch, and their hashes.
    outer_keys: Vec<Column>,
    hashes: Vec<u64>,
    null_keys: Vec<bool>,
    /// Candidates of the current outer row not looked at yet, newest first.
    candidates: Vec<u32>,
    in_row: bool,
    matched: bool,
    unmatched_position: Option<usize>,
    inner_files: Vec<SpillFile>,
    outer_files: Vec<SpillFile>,
    partition: Option<(usize, SpillReader)>,
    peak: usize,
    partitions_made: u64,
}

impl HashJoin {
    pub fn new(outer: Node, inner: Node, keys: Vec<Key>, output: JoinOutput) -> Self {
        let types: Vec<PhysicalType> =
            output.inner_types.iter().copied().chain(keys.iter().map(|key| key.physical)).collect();
        Self {
            outer,
            inner,
            keys,
            output,
            store: RowStore::new(types),
            table: HashMap::new(),
            matched_inner: Vec::new(),
            built: false,
            source: Input::default(),
            outer_keys: Vec::new(),
            hashes: Vec::new(),
            null_keys: Vec::new(),
            candidates: Vec::new(),
            in_row: false,
            matched: false,
            unmatched_position: None,
            inner_files: Vec::new(),
            outer_files: Vec::new(),
            partition: None,
            peak: 0,
            partitions_made: 1,
        }
    }

    /// Evaluates the keys of one side of a batch; hashes, and which rows have a null among them.
    fn hash_side(&mut self, context: &mut Context<'_>, batch: &Batch, outer: bool) -> Result<Vec<Column>> {
        self.hashes.resize(batch.rows().max(self.hashes.len()), 0);
        self.null_keys.clear();
        self.null_keys.resize(batch.rows(), false);
        let mut made = Vec::with_capacity(self.keys.len());
        for (at, key) in self.keys.iter_mut().enumerate() {
            let (program, type_oid) =
                if outer { (&mut key.outer, key.outer_type) } else { (&mut key.inner, key.inner_type) };
            let column = program.evaluate(context, &batch.columns, &batch.selection)?;
            hash_column(type_oid, column, &batch.selection, at == 0, &mut self.hashes);
            batch.selection.for_each(|row| self.null_keys[row] |= column.is_null(row));
            made.push(column.clone());
        }
        Ok(made)
    }

    fn add_inner(&mut self, batch: &Batch, keys: &[Column]) {
        // Rows are kept with their keys, so that a probe compares without evaluating anything.
        let width = self.output.inner_types.len();
        let mut row_columns: Vec<Column> =
            self.store.types().iter().map(|physical| Column::new(*physical)).collect();
        for row in batch.selection.iter() {
            let keeps = self.output.keeps_inner();
            if self.null_keys[row] && !keeps {
                continue;
            }
            for (column, from) in row_columns.iter_mut().zip(batch.columns[..width].iter().chain(keys)) {
                column.clear();
                column.push_from(from, row);
            }
            let number = self.store.push(&row_columns, 0) as u32;
            if !self.null_keys[row] {
                self.table.entry(self.hashes[row]).or_default().push(number);
            }
        }
    }

    fn memory(&self) -> usize {
        self.store.bytes() + self.table.len() * 48
    }

    fn build(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.built = true;
        let limit = context.hash_mem();
        let mut batch = Batch::default();
        loop {
            self.inner.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            let keys = self.hash_side(context, &batch, false)?;
            if self.inner_files.is_empty() {
                self.add_inner(&batch, &keys);
                self.peak = self.peak.max(self.memory());
                if self.memory() > limit {
                    self.split_table(context)?;
                }
            } else {
                self.spill_batch(&batch, true)?;
            }
        }
        if !self.inner_files.is_empty() {
            self.partition_outer(context)?;
        }
        self.matched_inner.clear();
        self.matched_inner.resize(self.store.len(), false);
        Ok(())
    }

    /// Moves what is in the table to partitions on disk.
    fn split_table(&mut self, context: &Context<'_>) -> Result<()> {
        let cluster = context.transaction.cluster();
        for _ in 0..PARTITIONS {
            self.inner_files.push(SpillFile::create(cluster)?);
            self.outer_files.push(SpillFile::create(cluster)?);
        }
        self.partitions_made = PARTITIONS as u64;
        let width = self.output.inner_types.len();
        let mut with_hash: Vec<(u32, u64)> =
            self.table.iter().flat_map(|(hash, rows)| rows.iter().map(|row| (*row, *hash))).collect();
        with_hash.sort_unstable();
        let mut next = with_hash.into_iter().peekable();
        for number in 0..self.store.len() {
            let hash = match next.peek() {
                Some((row, hash)) if *row as usize == number => {
                    let hash = *hash;
                    next.next();
                    hash
                }
                // A null key: kept for its own sake.
                _ => 0,
            };
            let (columns, row) = self.store.row(number);
            self.inner_files[hash as usize % PARTITIONS].write(&columns[..width], row)?;
        }
        self.store.clear();
        self.table.clear();
        Ok(())
    }

    fn spill_batch(&mut self, batch: &Batch, inner: bool) -> Result<()> {
        let keeps = if inner { self.output.keeps_inner() } else { self.output.keeps_outer() };
        let files = if inner { &mut self.inner_files } else { &mut self.outer_files };
        for row in batch.selection.iter() {
            let null = self.null_keys[row];
            if null && !keeps {
                continue;
            }
            let partition = if null { 0 } else { self.hashes[row] as usize % PARTITIONS };
            files[partition].write(&batch.columns, row)?;
        }
        Ok(())
    }

    fn partition_outer(&mut self, context: &mut Context<'_>) -> Result<()> {
        let mut batch = Batch::default();
        loop {
            self.outer.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            self.hash_side(context, &batch, true)?;
            self.spill_batch(&batch, false)?;
        }
        for file in self.inner_files.iter_mut().chain(&mut self.outer_files) {
            file.flush()?;
        }
        self.load_partition(context, 0)
    }

    /// Builds the table of one partition.
    fn load_partition(&mut self, context: &mut Context<'_>, number: usize) -> Result<()> {
        self.store.clear();
        self.table.clear();
        let mut reader = SpillReader::default();
        let types = self.output.inner_types.clone();
        let mut batch = Batch::default();
        loop {
            prepare(&mut batch, &types);
            let mut rows = 0;
            while rows < BATCH_ROWS && self.inner_files[number].read(&mut reader, &mut batch.columns)? {
                rows += 1;
            }
            if rows == 0 {
                break;
            }
            batch.seal(rows);
            let keys = self.hash_side(context, &batch, false)?;
            self.add_inner(&batch, &keys);
        }
        self.matched_inner.clear();
        self.matched_inner.resize(self.store.len(), false);
        self.partition = Some((number, SpillReader::default()));
        self.source.reset();
        Ok(())
    }

    /// Makes sure that there is an outer row; false when the outer side (of this partition) has ended.
    fn fill_outer(&mut self, context: &mut Context<'_>, demand: usize) -> Result<bool> {
        if self.source.position < self.source.batch.len() {
            return Ok(true);
        }
        if self.source.ended {
            return Ok(false);
        }
        match &mut self.partition {
            None => {
                if !self.source.fill(&mut self.outer, context, demand)? {
                    return Ok(false);
                }
            }
            Some((number, reader)) => {
                prepare(&mut self.source.batch, &self.output.outer_types);
                let mut rows = 0;
                let file = &self.outer_files[*number];
                while rows < BATCH_ROWS && file.read(reader, &mut self.source.batch.columns)? {
                    rows += 1;
                }
                self.source.batch.seal(rows);
                self.source.position = 0;
                if rows == 0 {
                    self.source.ended = true;
                    return Ok(false);
                }
            }
        }
        let batch = std::mem::take(&mut self.source.batch);
        let keys = self.hash_side(context, &batch, true);
        self.source.batch = batch;
        self.outer_keys = keys?;
        Ok(true)
    }

    fn start_row(&mut self) {
        let row = self.source.row();
        self.candidates.clear();
        self.in_row = true;
        self.matched = false;
        if self.null_keys[row] {
            return;
        }
        let Some(numbers) = self.table.get(&self.hashes[row]) else { return };
        let width = self.output.inner_types.len();
        for &number in numbers {
            let equal = self.keys.iter().enumerate().all(|(at, key)| {
                let inner = self.store.value(number as usize, width + at);
                (key.compare)(self.outer_keys[at].get(row), inner) == Ordering::Equal
            });
            if equal {
                self.candidates.push(number);
            }
        }
    }

    /// Joins outer rows until there is something to return; false when the outer side has ended.
    fn probe(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<bool> {
        let simple = self.output.join_filter.is_empty();
        self.output.begin();
        let limit = demand.min(BATCH_ROWS);
        loop {
            check_for_interrupts()?;
            if !self.in_row {
                if !self.fill_outer(context, demand)? {
                    break;
                }
                self.start_row();
            }
            if simple {
                self.emit_row(limit);
            } else if self.match_row(context, out)? {
                return Ok(true);
            } else {
                self.output.begin();
            }
            if !self.in_row {
                self.source.position += 1;
            }
            if self.output.rows() >= limit {
                if self.output.finish(context, false, out)? {
                    return Ok(true);
                }
                self.output.begin();
            }
        }
        self.output.finish(context, false, out)
    }

    /// Without further join conditions every candidate is a match.
    fn emit_row(&mut self, limit: usize) {
        let row = self.source.row();
        let outer = (self.source.batch.columns.as_slice(), row);
        let join_type = self.output.join_type;
        if self.candidates.is_empty() && !self.matched {
            if self.output.keeps_outer() {
                self.output.push(Some(outer), None);
            }
            self.in_row = false;
            return;
        }
        while self.output.rows() < limit {
            let Some(number) = self.candidates.pop() else {
                self.in_row = false;
                return;
            };
            let number = number as usize;
            self.matched = true;
            let first_time = !std::mem::replace(&mut self.matched_inner[number], true);
            match join_type {
                JoinType::Anti => {
                    self.in_row = false;
                    return;
                }
                JoinType::RightAnti => {}
                JoinType::RightSemi => {
                    if first_time {
                        self.output.push(Some(outer), Some((&self.store, number)));
                    }
                }
                _ => {
                    self.output.push(Some(outer), Some((&self.store, number)));
                    if self.output.single_match {
                        self.in_row = false;
                        return;
                    }
                }
            }
        }
        if self.candidates.is_empty() {
            self.in_row = false;
        }
    }

    /// With join conditions rows are settled one at a time; true if there is something to return.
    fn match_row(&mut self, context: &mut Context<'_>, out: &mut Batch) -> Result<bool> {
        self.output.begin();
        let row = self.source.row();
        let mut numbers = Vec::new();
        while numbers.len() < BATCH_ROWS {
            let Some(number) = self.candidates.pop() else { break };
            let outer = (self.source.batch.columns.as_slice(), row);
            self.output.push(Some(outer), Some((&self.store, number as usize)));
            numbers.push(number as usize);
        }
        let mut keep = false;
        if !numbers.is_empty() && self.output.match_pairs(context)? {
            self.matched = true;
            keep = true;
            let (matched_inner, join_type) = (&mut self.matched_inner, self.output.join_type);
            let mut fresh = Selection::default();
            fresh.set_none(numbers.len());
            self.output.pairs.selection.for_each(|pair| {
                if !std::mem::replace(&mut matched_inner[numbers[pair]], true) {
                    fresh.push(pair);
                }
            });
            match join_type {
                JoinType::Anti => {
                    self.in_row = false;
                    return Ok(false);
                }
                JoinType::RightAnti => keep = false,
                JoinType::RightSemi => {
                    self.output.pairs.selection = fresh;
                    keep = !self.output.pairs.is_empty();
                }
                _ if self.output.single_match => {
                    self.output.pairs.selection.truncate(1);
                    self.candidates.clear();
                }
                _ => {}
            }
        }
        if self.candidates.is_empty() {
            self.in_row = false;
            if !self.matched && self.output.keeps_outer() {
                self.output.begin();
                let outer = (self.source.batch.columns.as_slice(), row);
                self.output.push(Some(outer), None);
                return self.advance_and_finish(context, false, out);
            }
        }
        if keep { self.advance_and_finish(context, true, out) } else { Ok(false) }
    }

    fn advance_and_finish(
        &mut self,
        context: &mut Context<'_>,
        sealed: bool,
        out: &mut Batch,
    ) -> Result<bool> {
        let found = self.output.finish(context, sealed, out)?;
        if found && !self.in_row {
            self.source.position += 1;
        }
        Ok(found)
    }

    /// Inner rows that nothing matched, at the end of a right or full join.
    fn unmatched(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<bool> {
        let mut position = self.unmatched_position.unwrap_or(0);
        loop {
            self.output.begin();
            while position < self.store.len() && self.output.rows() < demand.min(BATCH_ROWS) {
                if !self.matched_inner[position] {
                    self.output.push(None, Some((&self.store, position)));
                }
                position += 1;
            }
            self.unmatched_position = Some(position);
            if self.output.rows() == 0 {
                return Ok(false);
            }
            if self.output.finish(context, false, out)? {
                return Ok(true);
            }
        }
    }
}

impl Operator for HashJoin {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if !self.built {
            self.build(context)?;
        }
        loop {
            if self.unmatched_position.is_none() {
                let pointless =
                    self.store.is_empty() && self.partition.is_none() && !self.output.keeps_outer();
                if !pointless && self.probe(context, demand, out)? {
                    return Ok(());
                }
            }
            if self.output.keeps_inner() && self.unmatched(context, demand, out)? {
                return Ok(());
            }
            match &self.partition {
                Some((number, _)) if number + 1 < PARTITIONS => {
                    let next = number + 1;
                    self.unmatched_position = None;
                    self.load_partition(context, next)?;
                }
                _ => {
                    self.unmatched_position.get_or_insert(0);
                    return Ok(());
                }
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.source.reset();
        self.in_row = false;
        self.unmatched_position = None;
        let keep = self.built && self.partition.is_none() && !self.inner.depends_on(changed);
        if keep {
            self.matched_inner.iter_mut().for_each(|matched| *matched = false);
        } else {
            self.store.clear();
            self.table.clear();
            self.inner_files.clear();
            self.outer_files.clear();
            self.partition = None;
            self.built = false;
            self.inner.rescan(context, changed)?;
        }
        self.outer.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.outer, &self.inner]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.outer, &mut self.inner]
    }

    fn details(&self) -> Details {
        let buckets = (self.table.len() as u64).next_power_of_two().max(1024);
        let hash = self.built.then(|| HashDetails {
            buckets,
            original_buckets: buckets,
            batches: self.partitions_made,
            original_batches: self.partitions_made,
            kilobytes: match self.partitions_made {
                1 => memory::hash_table(&self.store, self.output.inner_types.len(), buckets),
                _ => (self.peak as u64 + buckets * 8).div_ceil(1024),
            },
        });
        Details { hash, ..self.output.details() }
    }
}

/// The Hash node: it only passes its input's rows on, the join keeps them.
pub struct Hash {
    pub input: Node,
}

impl Operator for Hash {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        self.input.next(context, demand, out)
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}
