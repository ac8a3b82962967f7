//! Aggregation: plain, of sorted groups, and hashed.
//!
//! Realises: `nodeAgg.c`. States of all groups lie in the function library's [`AggregateStates`]; a hashed
//! Agg numbers the groups with a table from hashes to group numbers and keeps their keys in a
//! [`RowStore`]. When the table outgrows its memory, rows of groups not yet in it go to partitions on
//! disk by their hash and are aggregated partition by partition afterwards.

use std::cmp::Ordering;
use std::collections::HashMap;

use kokkiri_functions::AggregateStates;
use kokkiri_plan::plan::AggStrategy;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Oid, Result, sort};
use kokkiri_types::compare::Comparator;
use kokkiri_types::hash::hash_column;
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, Selection};

use super::output::Output;
use super::{BatchDetails, Details, Node, Operator};
use crate::context::Context;
use crate::explain::memory;
use crate::expression::Program;
use crate::node::sort::Key as SortKey;
use crate::row_store::{RowStore, prepare};
use crate::spill::{SpillFile, SpillReader};

/// One aggregate call.
pub struct Call {
    pub states: Box<dyn AggregateStates>,
    pub args: Vec<Program>,
    pub filter: Option<Program>,
    pub collation: Oid,
    pub argument_types: Vec<Oid>,
    pub result_type: Oid,
    pub physical: PhysicalType,
    /// DISTINCT or ORDER BY within the call: its rows are gathered and sorted first.
    pub ordered: Option<OrderedInput>,
}

/// Rows of an aggregate with DISTINCT or ORDER BY, one store for the current group.
pub struct OrderedInput {
    /// Over the arguments, then further sort columns.
    pub keys: Vec<SortKey>,
    pub extra: Vec<Program>,
    pub distinct: bool,
    pub argument_types: Vec<PhysicalType>,
    pub store: RowStore,
}

/// A grouping column, from zero.
#[derive(Clone, Debug)]
pub struct GroupKey {
    pub column: usize,
    pub type_oid: Oid,
    pub compare: Comparator,
    pub physical: PhysicalType,
}

const PARTITIONS: usize = 32;

pub struct Aggregate {
    pub input: Node,
    pub input_types: Vec<PhysicalType>,
    pub strategy: AggStrategy,
    pub keys: Vec<GroupKey>,
    pub calls: Vec<Call>,
    /// HAVING and the target list.
    pub output: Output,
    /// Of the groups' representative rows.
    pub groups: RowStore,
    pub table: HashMap<u64, Vec<u32>>,
    pub input_batch: Batch,
    pub position: usize,
    pub batch: Batch,
    pub next_group: usize,
    pub aggregated: bool,
    pub ended: bool,
    pub partitions: Vec<SpillFile>,
    pub pending: Vec<SpillFile>,
    pub hashes: Vec<u64>,
    pub numbers: Vec<u32>,
    pub peak: usize,
    pub batches: u64,
    pub disk: u64,
}

fn same_group(keys: &[GroupKey], store: &RowStore, group: usize, columns: &[Column], row: usize) -> bool {
    keys.iter().all(|key| {
        let (known, new) = (store.value(group, key.column), columns[key.column].get(row));
        match (known.is_null(), new.is_null()) {
            (false, false) => (key.compare)(known, new) == Ordering::Equal,
            (one, other) => one == other,
        }
    })
}

impl Aggregate {
    fn memory(&self) -> usize {
        self.groups.bytes()
            + self.table.len() * 48
            + self.calls.iter().map(|call| call.states.memory()).sum::<usize>()
    }

    fn clear_groups(&mut self) {
        self.groups.clear();
        self.table.clear();
        self.calls.iter_mut().for_each(|call| call.states.clear());
        self.next_group = 0;
    }

    /// Takes the selected rows of a batch in, all into one group or each into its own.
    fn update(
        calls: &mut [Call],
        context: &mut Context<'_>,
        columns: &[Column],
        selection: &Selection,
        groups: Option<&[u32]>,
        one: usize,
    ) -> Result<()> {
        for call in calls {
            let mut narrowed = Selection::default();
            narrowed.copy_from(selection);
            if let Some(filter) = &mut call.filter {
                let condition = filter.evaluate(context, columns, selection)?;
                narrowed.retain_true(condition);
            }
            if let Some(ordered) = &mut call.ordered {
                ordered.keep(&mut call.args, context, columns, &narrowed)?;
                continue;
            }
            let mut made = Vec::with_capacity(call.args.len());
            for arg in &mut call.args {
                made.push(arg.evaluate(context, columns, &narrowed)?);
            }
            let mut with = context.call;
            with.collation = call.collation;
            with.argument_types = &call.argument_types;
            with.result_type = call.result_type;
            match groups {
                Some(groups) => call.states.update(&mut with, &made, &narrowed, groups)?,
                None => call.states.update_one(&mut with, &made, &narrowed, one)?,
            }
        }
        Ok(())
    }

    fn finish_ordered(&mut self, context: &mut Context<'_>, group: usize) -> Result<()> {
        for call in &mut self.calls {
            let Some(ordered) = &mut call.ordered else { continue };
            let mut with = context.call;
            with.collation = call.collation;
            with.argument_types = &call.argument_types;
            with.result_type = call.result_type;
            ordered.feed(&mut *call.states, &mut with, group)?;
        }
        Ok(())
    }

    fn new_group(&mut self, columns: &[Column], row: usize) -> usize {
        let group = self.groups.push(columns, row);
        for call in &mut self.calls {
            call.states.resize(group + 1);
        }
        group
    }

    /// One group: everything there is.
    fn aggregate_plain(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.calls.iter_mut().for_each(|call| call.states.resize(1));
        let mut batch = std::mem::take(&mut self.input_batch);
        loop {
            self.input.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            Self::update(&mut self.calls, context, &batch.columns, &batch.selection, None, 0)?;
        }
        self.input_batch = batch;
        self.finish_ordered(context, 0)
    }

    /// Adds rows to the hash table; those of new groups go to disk once it is full.
    fn add_hashed(&mut self, context: &mut Context<'_>, batch: &Batch, limit: usize) -> Result<()> {
        self.hashes.resize(batch.rows(), 0);
        self.numbers.resize(batch.rows(), 0);
        for (at, key) in self.keys.iter().enumerate() {
            let column = &batch.columns[key.column];
            hash_column(key.type_oid, column, &batch.selection, at == 0, &mut self.hashes);
        }
        let full = self.memory() > limit;
        let mut taken = Selection::default();
        taken.set_none(batch.rows());
        for row in batch.selection.iter() {
            let hash = self.hashes[row];
            let known = self.table.get(&hash).and_then(|groups| {
                groups
                    .iter()
                    .copied()
                    .find(|group| same_group(&self.keys, &self.groups, *group as usize, &batch.columns, row))
            });
            let group = match known {
                Some(group) => group,
                None if full && !self.groups.is_empty() => {
                    self.spill_row(context, &batch.columns, row, hash)?;
                    continue;
                }
                None => {
                    let group = self.new_group(&batch.columns, row) as u32;
                    self.table.entry(hash).or_default().push(group);
                    group
                }
            };
            self.numbers[row] = group;
            taken.push(row);
        }
        self.peak = self.peak.max(self.memory());
        let numbers = std::mem::take(&mut self.numbers);
        let result = Self::update(&mut self.calls, context, &batch.columns, &taken, Some(&numbers), 0);
        self.numbers = numbers;
        result
    }

    fn spill_row(&mut self, context: &Context<'_>, columns: &[Column], row: usize, hash: u64) -> Result<()> {
        if self.partitions.is_empty() {
            for _ in 0..PARTITIONS {
                self.partitions.push(SpillFile::create(context.transaction.cluster())?);
            }
        }
        // Each level of partitioning looks at other bits than the one before.
        let shift = 5 * (self.batches % 12);
        let partition = (hash >> shift) as usize % PARTITIONS;
        self.partitions[partition].write(columns, row)
    }

    fn aggregate_hashed(&mut self, context: &mut Context<'_>) -> Result<()> {
        let limit = context.hash_mem();
        let mut batch = std::mem::take(&mut self.input_batch);
        loop {
            self.input.next(context, BATCH_ROWS, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            self.add_hashed(context, &batch, limit)?;
        }
        self.input_batch = batch;
        self.batches = self.batches.max(1);
        self.close_partitions()
    }

    fn close_partitions(&mut self) -> Result<()> {
        for mut file in std::mem::take(&mut self.partitions) {
            if file.rows() > 0 {
                file.flush()?;
                self.disk += file.kilobytes();
                self.pending.push(file);
            }
        }
        Ok(())
    }

    /// Aggregates the next partition on disk; false if there is none.
    fn next_partition(&mut self, context: &mut Context<'_>) -> Result<bool> {
        let Some(file) = self.pending.pop() else { return Ok(false) };
        self.clear_groups();
        self.batches += 1;
        let limit = context.hash_mem();
        let mut reader = SpillReader::default();
        let mut batch = Batch::default();
        loop {
            check_for_interrupts()?;
            prepare(&mut batch, &self.input_types);
            let mut rows = 0;
            while rows < BATCH_ROWS && file.read(&mut reader, &mut batch.columns)? {
                rows += 1;
            }
            if rows == 0 {
                break;
            }
            batch.seal(rows);
            self.add_hashed(context, &batch, limit)?;
        }
        self.close_partitions()?;
        Ok(true)
    }

    /// Reads one whole group of sorted input; false at the end.
    fn read_sorted_group(&mut self, context: &mut Context<'_>) -> Result<bool> {
        self.clear_groups();
        let mut batch = std::mem::take(&mut self.input_batch);
        let mut started = false;
        loop {
            check_for_interrupts()?;
            if self.position >= batch.len() {
                if self.ended {
                    break;
                }
                self.input.next(context, BATCH_ROWS, &mut batch)?;
                self.position = 0;
                if batch.is_empty() {
                    self.ended = true;
                    break;
                }
            }
            if !started {
                let row = batch.selection.nth(self.position);
                self.new_group(&batch.columns, row);
                started = true;
            }
            let mut selection = Selection::default();
            selection.set_none(batch.rows());
            let from = self.position;
            while self.position < batch.len() {
                let row = batch.selection.nth(self.position);
                if !same_group(&self.keys, &self.groups, 0, &batch.columns, row) {
                    break;
                }
                selection.push(row);
                self.position += 1;
            }
            if self.position > from {
                Self::update(&mut self.calls, context, &batch.columns, &selection, None, 0)?;
            }
            if self.position < batch.len() {
                break;
            }
        }
        self.input_batch = batch;
        if started {
            self.finish_ordered(context, 0)?;
        }
        Ok(started)
    }

    /// Puts finished groups into the batch: the representative row, then the aggregates.
    fn put_groups(&mut self, context: &mut Context<'_>, demand: usize, groups: usize) -> Result<usize> {
        let types: Vec<PhysicalType> =
            self.input_types.iter().copied().chain(self.calls.iter().map(|call| call.physical)).collect();
        prepare(&mut self.batch, &types);
        let columns = self.input_types.len();
        let mut rows = 0;
        while rows < demand && self.next_group < groups {
            let group = self.next_group;
            self.next_group += 1;
            if group < self.groups.len() {
                self.groups.copy_to(group, &mut self.batch.columns[..columns]);
            } else {
                self.batch.columns[..columns].iter_mut().for_each(Column::push_null);
            }
            for (call, column) in self.calls.iter().zip(&mut self.batch.columns[columns..]) {
                let mut with = context.call;
                with.collation = call.collation;
                with.argument_types = &call.argument_types;
                with.result_type = call.result_type;
                column.push(call.states.finish(&mut with, group)?.as_ref());
            }
            rows += 1;
        }
        self.batch.seal(rows);
        Ok(rows)
    }

    fn fill(&mut self, context: &mut Context<'_>, demand: usize) -> Result<usize> {
        match self.strategy {
            AggStrategy::Plain => {
                if self.aggregated {
                    return Ok(0);
                }
                self.aggregated = true;
                self.aggregate_plain(context)?;
                self.next_group = 0;
                self.put_groups(context, 1, 1)
            }
            AggStrategy::Sorted => {
                if !self.read_sorted_group(context)? {
                    return Ok(0);
                }
                self.put_groups(context, 1, 1)
            }
            AggStrategy::Hashed => {
                if !self.aggregated {
                    self.aggregated = true;
                    self.aggregate_hashed(context)?;
                }
                loop {
                    let rows = self.put_groups(context, demand, self.groups.len())?;
                    if rows > 0 || !self.next_partition(context)? {
                        return Ok(rows);
                    }
                }
            }
        }
    }
}

impl OrderedInput {
    fn keep(
        &mut self,
        args: &mut [Program],
        context: &mut Context<'_>,
        columns: &[Column],
        selection: &Selection,
    ) -> Result<()> {
        let mut made: Vec<&Column> = Vec::new();
        for program in args.iter_mut().chain(&mut self.extra) {
            made.push(program.evaluate(context, columns, selection)?);
        }
        let mut row_columns: Vec<Column> =
            self.store.types().iter().map(|physical| Column::new(*physical)).collect();
        selection.for_each(|row| {
            for (column, from) in row_columns.iter_mut().zip(&made) {
                column.clear();
                column.push_from(from, row);
            }
            self.store.push(&row_columns, 0);
        });
        Ok(())
    }

    /// Hands the rows on in order, once each if DISTINCT.
    fn feed(
        &mut self,
        states: &mut dyn AggregateStates,
        context: &mut kokkiri_functions::CallContext<'_>,
        group: usize,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..self.store.len()).collect();
        let compare = |a: usize, b: usize| {
            self.keys
                .iter()
                .map(|key| key.compare(self.store.value(a, key.column), self.store.value(b, key.column)))
                .find(|order| *order != Ordering::Equal)
                .unwrap_or(Ordering::Equal)
        };
        sort::sort_by(&mut order, |a, b| compare(*a, *b))?;
        if self.distinct {
            order.dedup_by(|a, b| compare(*a, *b) == Ordering::Equal);
        }
        for chunk in order.chunks(BATCH_ROWS) {
            let mut columns: Vec<Column> =
                self.argument_types.iter().map(|physical| Column::new(*physical)).collect();
            for row in chunk {
                self.store.copy_to(*row, &mut columns);
            }
            let refs: Vec<&Column> = columns.iter().collect();
            states.update_one(context, &refs, &Selection::all(chunk.len()), group)?;
        }
        self.store.clear();
        Ok(())
    }
}

impl Operator for Aggregate {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        loop {
            if self.fill(context, demand.min(BATCH_ROWS))? == 0 {
                return Ok(());
            }
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        if self.strategy == AggStrategy::Hashed
            && self.aggregated
            && self.batches <= 1
            && !self.input.depends_on(changed)
        {
            self.next_group = 0;
            return Ok(());
        }
        self.clear_groups();
        self.pending.clear();
        self.partitions.clear();
        self.aggregated = false;
        self.ended = false;
        self.position = 0;
        self.batches = 0;
        self.input_batch.selection.set_all(0);
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }

    fn details(&self) -> Details {
        let batches = (self.strategy == AggStrategy::Hashed).then(|| BatchDetails {
            batches: self.batches.max(1),
            kilobytes: match self.disk {
                0 => {
                    let keys: Vec<usize> = self.keys.iter().map(|key| key.column).collect();
                    let states = self.calls.iter().map(|call| call.states.memory()).sum();
                    memory::hash_aggregate(&self.groups, &keys, self.calls.len(), states)
                }
                _ => (self.peak as u64).div_ceil(1024),
            },
            disk_kilobytes: self.disk,
        });
        Details { batches, ..self.output.details() }
    }
}
