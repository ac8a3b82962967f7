//! Merge joins: both sides sorted by the join's keys, read in step.
//!
//! Realises: `nodeMergejoin.c`. Inner rows of one key are kept as a group, so that outer rows of the same
//! key can be joined with them again; where PostgreSQL marks and restores a position, the group is.

use std::cmp::Ordering;

use kokkiri_plan::plan::JoinType;
use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_types::compare::Comparator;
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, ValueRef};

use super::join_output::JoinOutput;
use super::{Details, Input, Node, Operator};
use crate::context::Context;
use crate::expression::Program;
use crate::row_store::RowStore;

pub struct Key {
    pub outer: Program,
    pub inner: Program,
    /// Outer value against inner value, and inner values among each other.
    pub compare: Comparator,
    pub compare_inner: Comparator,
    pub physical: PhysicalType,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Key {
    fn order(&self, compare: Comparator, a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
        let null = |first: bool| if first { Ordering::Less } else { Ordering::Greater };
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => null(self.nulls_first),
            (false, true) => null(!self.nulls_first),
            (false, false) => {
                let order = compare(a, b);
                if self.descending { order.reverse() } else { order }
            }
        }
    }
}

/// One side's rows with their keys.
#[derive(Default)]
struct Side {
    input: Input,
    keys: Vec<Column>,
}

pub struct MergeJoin {
    pub outer: Node,
    pub inner: Node,
    pub keys: Vec<Key>,
    pub output: JoinOutput,
    left: Side,
    right: Side,
    /// Inner rows of one key, the key's values behind them.
    group: RowStore,
    group_matched: Vec<bool>,
    in_row: bool,
    position: usize,
    matched: bool,
    /// Rows of the retired group still to be looked at for null extension.
    retiring: Option<usize>,
    inner_ended: bool,
}

impl MergeJoin {
    pub fn new(outer: Node, inner: Node, keys: Vec<Key>, output: JoinOutput) -> Self {
        let types: Vec<PhysicalType> =
            output.inner_types.iter().copied().chain(keys.iter().map(|key| key.physical)).collect();
        Self {
            outer,
            inner,
            keys,
            output,
            left: Side::default(),
            right: Side::default(),
            group: RowStore::new(types),
            group_matched: Vec::new(),
            in_row: false,
            position: 0,
            matched: false,
            retiring: None,
            inner_ended: false,
        }
    }

    fn fill(&mut self, context: &mut Context<'_>, outer: bool) -> Result<bool> {
        let (side, node) =
            if outer { (&mut self.left, &mut self.outer) } else { (&mut self.right, &mut self.inner) };
        if side.input.position < side.input.batch.len() {
            return Ok(true);
        }
        if !side.input.fill(node, context, BATCH_ROWS)? {
            return Ok(false);
        }
        let batch = &side.input.batch;
        side.keys.clear();
        for key in &mut self.keys {
            let program = if outer { &mut key.outer } else { &mut key.inner };
            side.keys.push(program.evaluate(context, &batch.columns, &batch.selection)?.clone());
        }
        Ok(true)
    }

    /// The current outer row's key against the group's.
    fn compare_with_group(&self) -> Ordering {
        let row = self.left.input.row();
        let width = self.output.inner_types.len();
        for (at, key) in self.keys.iter().enumerate() {
            let order = key.order(key.compare, self.left.keys[at].get(row), self.group.value(0, width + at));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    fn outer_has_null(&self) -> bool {
        let row = self.left.input.row();
        self.left.keys.iter().any(|column| column.is_null(row))
    }

    /// Reads the next group of inner rows; false at the end.
    fn next_group(&mut self, context: &mut Context<'_>) -> Result<bool> {
        self.group.clear();
        let width = self.output.inner_types.len();
        while self.fill(context, false)? {
            let row = self.right.input.row();
            let same = self.group.is_empty()
                || self.keys.iter().enumerate().all(|(at, key)| {
                    let (known, new) = (self.group.value(0, width + at), self.right.keys[at].get(row));
                    key.order(key.compare_inner, known, new) == Ordering::Equal
                });
            if !same {
                break;
            }
            let columns: Vec<Column> = {
                let mut columns: Vec<Column> =
                    self.group.types().iter().map(|physical| Column::new(*physical)).collect();
                let sources = self.right.input.batch.columns[..width].iter().chain(&self.right.keys);
                columns.iter_mut().zip(sources).for_each(|(column, from)| column.push_from(from, row));
                columns
            };
            self.group.push(&columns, 0);
            self.right.input.position += 1;
        }
        self.group_matched.clear();
        self.group_matched.resize(self.group.len(), false);
        Ok(!self.group.is_empty())
    }

    fn group_has_null(&self) -> bool {
        let width = self.output.inner_types.len();
        (0..self.keys.len()).any(|at| self.group.value(0, width + at).is_null())
    }

    /// Gives the group up: unmatched rows of a right or full join go out first. True if rows went out.
    fn retire(&mut self, context: &mut Context<'_>, out: &mut Batch) -> Result<bool> {
        let mut position = self.retiring.unwrap_or(0);
        if self.output.keeps_inner() {
            while position < self.group.len() {
                self.output.begin();
                while position < self.group.len() && self.output.rows() < BATCH_ROWS {
                    if !self.group_matched[position] {
                        self.output.push(None, Some((&self.group, position)));
                    }
                    position += 1;
                }
                self.retiring = Some(position);
                if self.output.finish(context, false, out)? {
                    return Ok(true);
                }
            }
        }
        self.retiring = None;
        self.inner_ended = !self.next_group(context)?;
        Ok(false)
    }

    /// Joins the current outer row with the group; true if rows went out.
    fn join_row(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<bool> {
        self.output.begin();
        let row = self.left.input.row();
        let from = self.position;
        while self.position < self.group.len() && self.output.rows() < demand.min(BATCH_ROWS) {
            let outer = (self.left.input.batch.columns.as_slice(), row);
            self.output.push(Some(outer), Some((&self.group, self.position)));
            self.position += 1;
        }
        let mut keep = self.output.match_pairs(context)?;
        if keep {
            self.matched = true;
            let matched = &mut self.group_matched;
            self.output.pairs.selection.for_each(|pair| matched[from + pair] = true);
            match self.output.join_type {
                JoinType::Anti => {
                    self.leave_row();
                    return Ok(false);
                }
                JoinType::RightAnti => keep = false,
                _ if self.output.single_match => {
                    self.output.pairs.selection.truncate(1);
                    self.position = self.group.len();
                }
                _ => {}
            }
        }
        let ended = self.position >= self.group.len();
        if ended {
            self.leave_row_unless_unmatched();
        }
        if keep { self.output.finish(context, true, out) } else { Ok(false) }
    }

    fn leave_row(&mut self) {
        self.in_row = false;
        self.left.input.position += 1;
    }

    /// An outer row that matched nothing stays current for its null extension.
    fn leave_row_unless_unmatched(&mut self) {
        self.in_row = false;
        if self.matched || !self.output.keeps_outer() {
            self.left.input.position += 1;
        } else {
            self.in_row = true;
            self.position = usize::MAX;
        }
    }

    fn null_extend(&mut self, context: &mut Context<'_>, out: &mut Batch) -> Result<bool> {
        self.output.begin();
        let row = self.left.input.row();
        self.output.push(Some((self.left.input.batch.columns.as_slice(), row)), None);
        let found = self.output.finish(context, false, out)?;
        self.leave_row();
        Ok(found)
    }
}

impl Operator for MergeJoin {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        loop {
            check_for_interrupts()?;
            if self.retiring.is_some() {
                if self.retire(context, out)? {
                    return Ok(());
                }
                continue;
            }
            if self.in_row {
                let found = if self.position == usize::MAX {
                    self.null_extend(context, out)?
                } else {
                    self.join_row(context, demand, out)?
                };
                if found {
                    return Ok(());
                }
                continue;
            }
            if !self.fill(context, true)? {
                // The outer side has ended: what is left of the inner one matches nothing.
                if !self.output.keeps_inner() || self.inner_ended {
                    return Ok(());
                }
                if self.retire(context, out)? {
                    return Ok(());
                }
                continue;
            }
            self.matched = false;
            self.position = 0;
            if self.outer_has_null() || self.inner_ended {
                if self.output.keeps_outer() {
                    self.in_row = true;
                    self.position = usize::MAX;
                } else if self.inner_ended {
                    return Ok(());
                } else {
                    self.leave_row();
                }
                continue;
            }
            if self.group.is_empty() {
                self.inner_ended = !self.next_group(context)?;
                continue;
            }
            match self.compare_with_group() {
                Ordering::Equal if !self.group_has_null() => self.in_row = true,
                Ordering::Less => {
                    if self.output.keeps_outer() {
                        self.in_row = true;
                        self.position = usize::MAX;
                    } else {
                        self.leave_row();
                    }
                }
                _ => {
                    if self.retire(context, out)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.left.input.reset();
        self.right.input.reset();
        self.group.clear();
        self.in_row = false;
        self.retiring = None;
        self.inner_ended = false;
        self.outer.rescan(context, changed)?;
        self.inner.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.outer, &self.inner]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.outer, &mut self.inner]
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}
