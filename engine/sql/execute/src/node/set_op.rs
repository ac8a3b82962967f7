//! SetOp: INTERSECT and EXCEPT.
//!
//! Realises: `nodeSetOp.c`. Rows of the left input are put together in groups of equal ones, by hash or as
//! they come sorted; the right input's rows only count in the groups they equal. How often a group goes
//! out follows from the two counts. Nulls are equal to each other here.
//!
//! Differs: nothing is written to disk, which PostgreSQL's node doesn't do either: the planner hashes only
//! what it expects to fit.

use std::cmp::Ordering;
use std::collections::HashMap;

use kokkiri_plan::plan::{SetOpCommand, SetOpStrategy};
use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_types::hash::hash_column;
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType};

use super::sort::Key;
use super::{Input, Node, Operator};
use crate::context::Context;
use crate::row_store::{RowStore, prepare};

/// Rows of a group on each side.
#[derive(Clone, Copy, Default)]
struct Counts {
    left: u64,
    right: u64,
}

impl Counts {
    /// How often the group's row goes out.
    fn copies(self, command: SetOpCommand) -> u64 {
        match command {
            SetOpCommand::Intersect => u64::from(self.left > 0 && self.right > 0),
            SetOpCommand::IntersectAll => self.left.min(self.right),
            SetOpCommand::Except => u64::from(self.left > 0 && self.right == 0),
            SetOpCommand::ExceptAll => self.left.saturating_sub(self.right),
        }
    }
}

pub struct SetOp {
    pub left: Node,
    pub right: Node,
    pub command: SetOpCommand,
    pub strategy: SetOpStrategy,
    /// All columns, in the order that sorted inputs come in.
    pub keys: Vec<Key>,
    types: Vec<PhysicalType>,
    /// The groups' rows: all of them hashed, the current one sorted.
    groups: RowStore,
    counts: Vec<Counts>,
    table: HashMap<u64, Vec<u32>>,
    built: bool,
    /// The group going out, and how often it still has to.
    next_group: usize,
    copies: u64,
    left_rows: Input,
    right_rows: Input,
}

impl SetOp {
    pub fn new(
        inputs: (Node, Node),
        command: SetOpCommand,
        strategy: SetOpStrategy,
        keys: Vec<Key>,
        types: Vec<PhysicalType>,
    ) -> Self {
        Self {
            left: inputs.0,
            right: inputs.1,
            command,
            strategy,
            keys,
            groups: RowStore::new(types.iter().copied()),
            types,
            counts: Vec::new(),
            table: HashMap::new(),
            built: false,
            next_group: 0,
            copies: 0,
            left_rows: Input::default(),
            right_rows: Input::default(),
        }
    }

    fn compare(keys: &[Key], groups: &RowStore, group: usize, columns: &[Column], row: usize) -> Ordering {
        keys.iter()
            .map(|key| key.compare(groups.value(group, key.column), columns[key.column].get(row)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Reads both inputs into the hash table.
    fn build(&mut self, context: &mut Context<'_>) -> Result<()> {
        let mut batch = Batch::default();
        let mut hashes = Vec::new();
        for from_left in [true, false] {
            loop {
                let node = if from_left { &mut self.left } else { &mut self.right };
                node.next(context, BATCH_ROWS, &mut batch)?;
                if batch.is_empty() {
                    break;
                }
                hashes.clear();
                hashes.resize(batch.rows(), 0);
                for (at, key) in self.keys.iter().enumerate() {
                    let column = &batch.columns[key.column];
                    hash_column(key.type_oid, column, &batch.selection, at == 0, &mut hashes);
                }
                for row in batch.selection.iter() {
                    self.count(&batch.columns, row, hashes[row], from_left);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, columns: &[Column], row: usize, hash: u64, from_left: bool) {
        let (keys, groups) = (&self.keys, &self.groups);
        let equals = |group: &u32| Self::compare(keys, groups, *group as usize, columns, row).is_eq();
        let known = self.table.get(&hash).and_then(|groups| groups.iter().copied().find(equals));
        match known {
            Some(group) if from_left => self.counts[group as usize].left += 1,
            Some(group) => self.counts[group as usize].right += 1,
            None if from_left => {
                let group = self.groups.push(columns, row) as u32;
                self.counts.push(Counts { left: 1, right: 0 });
                self.table.entry(hash).or_default().push(group);
            }
            None => {}
        }
    }

    /// Reads the next group of the sorted left input and counts its rows on both sides; false at the end.
    fn next_sorted_group(&mut self, context: &mut Context<'_>) -> Result<bool> {
        self.groups.clear();
        let mut counts = Counts::default();
        while self.left_rows.fill(&mut self.left, context, BATCH_ROWS)? {
            let row = self.left_rows.row();
            let columns = &self.left_rows.batch.columns;
            if counts.left == 0 {
                self.groups.push(columns, row);
            } else if Self::compare(&self.keys, &self.groups, 0, columns, row).is_ne() {
                break;
            }
            counts.left += 1;
            self.left_rows.position += 1;
        }
        if counts.left == 0 {
            return Ok(false);
        }
        while self.right_rows.fill(&mut self.right, context, BATCH_ROWS)? {
            let row = self.right_rows.row();
            match Self::compare(&self.keys, &self.groups, 0, &self.right_rows.batch.columns, row) {
                Ordering::Less => break,
                Ordering::Equal => counts.right += 1,
                Ordering::Greater => {}
            }
            self.right_rows.position += 1;
        }
        self.counts.clear();
        self.counts.push(counts);
        Ok(true)
    }

    /// Makes sure that a group is going out; false at the end.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<bool> {
        loop {
            if self.copies > 0 {
                return Ok(true);
            }
            check_for_interrupts()?;
            match self.strategy {
                SetOpStrategy::Hashed => {
                    if !std::mem::replace(&mut self.built, true) {
                        self.build(context)?;
                        self.next_group = 0;
                    } else {
                        self.next_group += 1;
                    }
                    let Some(counts) = self.counts.get(self.next_group) else { return Ok(false) };
                    self.copies = counts.copies(self.command);
                }
                SetOpStrategy::Sorted => {
                    if !self.next_sorted_group(context)? {
                        return Ok(false);
                    }
                    self.copies = self.counts[0].copies(self.command);
                }
            }
        }
    }
}

impl Operator for SetOp {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        prepare(out, &self.types);
        let mut rows = 0;
        while rows < demand && self.advance(context)? {
            let group = if self.strategy == SetOpStrategy::Hashed { self.next_group } else { 0 };
            self.groups.copy_to(group, &mut out.columns);
            self.copies -= 1;
            rows += 1;
        }
        out.seal(rows);
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.groups.clear();
        self.counts.clear();
        self.table.clear();
        self.built = false;
        self.copies = 0;
        self.left_rows.reset();
        self.right_rows.reset();
        self.left.rescan(context, changed)?;
        self.right.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.left, &self.right]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.left, &mut self.right]
    }
}
