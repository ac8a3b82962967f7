//! What nodes do last with the rows that they have made: their conditions, then their target list.

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_primitives::Result;
use kokkiri_types::Batch;

use super::Details;
use crate::context::Context;
use crate::expression::{Filter, Projection, Scope};

/// Realises: `ExecQual` and `ExecProject` of a plan node, and the count of rows that the first refused.
pub struct Output {
    filter: Filter,
    projection: Projection,
    removed: u64,
}

impl Output {
    /// `width` is the number of columns that the node's own rows have.
    pub fn compile(
        scope: &Scope,
        conditions: &[Expression],
        targets: &[TargetEntry],
        width: usize,
    ) -> Result<Self> {
        let filter = Filter::compile(scope, conditions)?;
        Ok(Self { filter, projection: Projection::compile(scope, targets, width)?, removed: 0 })
    }

    pub fn has_conditions(&self) -> bool {
        !self.filter.is_empty()
    }

    /// Narrows a batch to the rows that meet the conditions; false if there are none.
    pub fn filter(&mut self, context: &mut Context<'_>, rows: &mut Batch) -> Result<bool> {
        self.removed += self.filter.apply(context, rows)? as u64;
        Ok(!rows.is_empty())
    }

    /// Makes the target list of a batch's rows, whose columns may be taken.
    pub fn project(&mut self, context: &mut Context<'_>, rows: &mut Batch, out: &mut Batch) -> Result<()> {
        self.projection.apply(context, rows, out)
    }

    /// Both; false if no row meets the conditions.
    pub fn emit(&mut self, context: &mut Context<'_>, rows: &mut Batch, out: &mut Batch) -> Result<bool> {
        if !self.filter(context, rows)? {
            return Ok(false);
        }
        self.project(context, rows, out)?;
        Ok(true)
    }

    pub fn details(&self) -> Details {
        Details { removed_by_filter: self.removed, ..Details::default() }
    }
}
