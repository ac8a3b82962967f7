//! Nested loops: the inner side is run again for each outer row.

use kokkiri_plan::plan::JoinType;
use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Selection};

use super::output::Output;
use super::{Details, Input, Node, Operator};
use crate::context::Context;
use crate::expression::{Filter, Program};
use crate::row_store::prepare;

pub struct NestLoop {
    pub join_type: JoinType,
    pub outer: Node,
    pub inner: Node,
    /// An outer row needs no more than one match.
    pub single_match: bool,
    /// Parameters set from the outer row.
    pub parameters: Vec<(u32, Program)>,
    pub join_filter: Filter,
    pub output: Output,
    pub outer_types: Vec<PhysicalType>,
    pub inner_types: Vec<PhysicalType>,
    pub source: Input,
    pub inner_batch: Batch,
    pub pairs: Batch,
    /// The inner side is in the middle of the current outer row.
    pub in_row: bool,
    pub matched: bool,
    pub removed_by_join: u64,
}

impl NestLoop {
    fn start_row(&mut self, context: &mut Context<'_>) -> Result<()> {
        let row = self.source.row();
        let mut changed = Vec::with_capacity(self.parameters.len());
        let mut selection = Selection::default();
        selection.set_none(self.source.batch.rows());
        selection.push(row);
        for (id, program) in &mut self.parameters {
            let value = program.evaluate(context, &self.source.batch.columns, &selection)?;
            changed.extend_from_slice(context.change_parameter(*id, value.get(row).to_value()));
        }
        self.inner.rescan(context, &changed)?;
        self.in_row = true;
        self.matched = false;
        Ok(())
    }

    /// Puts the current outer row beside rows of the inner batch, or beside nulls.
    fn pair(&mut self, with_inner: bool) {
        let outer_row = self.source.row();
        let outer = self.outer_types.len();
        let types: Vec<PhysicalType> = self.outer_types.iter().chain(&self.inner_types).copied().collect();
        prepare(&mut self.pairs, &types);
        let rows = if with_inner { self.inner_batch.len() } else { 1 };
        for (at, column) in self.pairs.columns[..outer].iter_mut().enumerate() {
            let from = &self.source.batch.columns[at];
            for _ in 0..rows {
                column.push_from(from, outer_row);
            }
        }
        for (at, column) in self.pairs.columns[outer..].iter_mut().enumerate() {
            if with_inner {
                let from = &self.inner_batch.columns[at];
                self.inner_batch.selection.for_each(|row| column.push_from(from, row));
            } else {
                column.push_null();
            }
        }
        self.pairs.seal(rows);
    }

    /// Joins a batch of inner rows with the current outer row; true if there is something to return.
    fn join_batch(&mut self, context: &mut Context<'_>) -> Result<bool> {
        self.pair(true);
        self.removed_by_join += self.join_filter.apply(context, &mut self.pairs)? as u64;
        if self.pairs.is_empty() {
            return Ok(false);
        }
        self.matched = true;
        if self.join_type == JoinType::Anti {
            self.in_row = false;
            return Ok(false);
        }
        if self.single_match {
            self.pairs.selection.truncate(1);
            self.in_row = false;
        }
        self.output.filter(context, &mut self.pairs)
    }
}

impl Operator for NestLoop {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        loop {
            check_for_interrupts()?;
            if !self.in_row {
                if !self.source.fill(&mut self.outer, context, demand)? {
                    return Ok(());
                }
                self.start_row(context)?;
            }
            let wanted = if self.single_match { 1 } else { demand.min(BATCH_ROWS) };
            self.inner.next(context, wanted, &mut self.inner_batch)?;
            let mut found = false;
            if self.inner_batch.is_empty() {
                self.in_row = false;
                let null_extend = !self.matched && matches!(self.join_type, JoinType::Left | JoinType::Anti);
                if null_extend {
                    self.pair(false);
                    found = self.output.filter(context, &mut self.pairs)?;
                }
            } else {
                found = self.join_batch(context)?;
            }
            if !self.in_row {
                self.source.position += 1;
            }
            if found {
                return self.output.project(context, &mut self.pairs, out);
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.in_row = false;
        self.source.reset();
        // The inner side is rescanned for each outer row, but it may hold what the parameters changed.
        if self.inner.depends_on(changed) {
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
        Details { removed_by_join_filter: self.removed_by_join, ..self.output.details() }
    }
}
