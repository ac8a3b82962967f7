//! Pairs of rows on their way out of a join: what hash and merge joins share.

use kokkiri_plan::plan::JoinType;
use kokkiri_primitives::Result;
use kokkiri_types::{Batch, Column, PhysicalType};

use super::Details;
use super::output::Output;
use crate::context::Context;
use crate::expression::Filter;
use crate::row_store::{RowStore, prepare};

pub struct JoinOutput {
    pub join_type: JoinType,
    /// An outer row needs no more than one match.
    pub single_match: bool,
    pub join_filter: Filter,
    /// The conditions above the join, and the target list.
    output: Output,
    pub outer_types: Vec<PhysicalType>,
    pub inner_types: Vec<PhysicalType>,
    pub pairs: Batch,
    rows: usize,
    types: Vec<PhysicalType>,
    removed_by_join: u64,
}

impl JoinOutput {
    pub fn new(
        join_type: JoinType,
        single_match: bool,
        join_filter: Filter,
        output: Output,
        outer_types: Vec<PhysicalType>,
        inner_types: Vec<PhysicalType>,
    ) -> Self {
        let types = outer_types.iter().chain(&inner_types).copied().collect();
        Self {
            join_type,
            single_match,
            join_filter,
            output,
            outer_types,
            inner_types,
            pairs: Batch::default(),
            rows: 0,
            types,
            removed_by_join: 0,
        }
    }

    pub fn begin(&mut self) {
        prepare(&mut self.pairs, &self.types);
        self.rows = 0;
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a pair; a missing side is null.
    pub fn push(&mut self, outer: Option<(&[Column], usize)>, inner: Option<(&RowStore, usize)>) {
        let width = self.outer_types.len();
        let (left, right) = self.pairs.columns.split_at_mut(width);
        match outer {
            Some((columns, row)) => {
                left.iter_mut().zip(columns).for_each(|(column, from)| column.push_from(from, row));
            }
            None => left.iter_mut().for_each(Column::push_null),
        }
        match inner {
            Some((store, number)) => store.copy_to(number, right),
            None => right.iter_mut().for_each(Column::push_null),
        }
        self.rows += 1;
    }

    /// Applies the join's own conditions to the pairs gathered; answers whether some are left.
    pub fn match_pairs(&mut self, context: &mut Context<'_>) -> Result<bool> {
        self.pairs.seal(self.rows);
        self.removed_by_join += self.join_filter.apply(context, &mut self.pairs)? as u64;
        Ok(!self.pairs.is_empty())
    }

    /// Applies the conditions above the join and makes the target list; false if nothing is left.
    pub fn finish(&mut self, context: &mut Context<'_>, sealed: bool, out: &mut Batch) -> Result<bool> {
        if !sealed {
            self.pairs.seal(self.rows);
        }
        if self.pairs.is_empty() {
            return Ok(false);
        }
        self.output.emit(context, &mut self.pairs, out)
    }

    pub fn details(&self) -> Details {
        Details { removed_by_join_filter: self.removed_by_join, ..self.output.details() }
    }

    pub fn keeps_outer(&self) -> bool {
        matches!(self.join_type, JoinType::Left | JoinType::Full | JoinType::Anti)
    }

    pub fn keeps_inner(&self) -> bool {
        matches!(self.join_type, JoinType::Right | JoinType::Full | JoinType::RightAnti)
    }
}
