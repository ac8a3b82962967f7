//! Unique: the first of each run of equal rows of sorted input.

use std::cmp::Ordering;

use kokkiri_primitives::Result;
use kokkiri_types::compare::Comparator;
use kokkiri_types::{Batch, Value};

use super::{Node, Operator};
use crate::context::Context;

pub struct Unique {
    pub input: Node,
    /// Columns compared, from zero.
    pub columns: Vec<(usize, Comparator)>,
    pub last: Option<Vec<Value>>,
}

impl Operator for Unique {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        loop {
            self.input.next(context, demand, out)?;
            if out.is_empty() {
                return Ok(());
            }
            let (columns, last) = (&self.columns, &mut self.last);
            let batch = &out.columns;
            out.selection.retain(|row| {
                let same = last.as_ref().is_some_and(|last| {
                    columns.iter().zip(last).all(|((column, compare), value)| {
                        let new = batch[*column].get(row);
                        match (new.is_null(), value.is_null()) {
                            (false, false) => compare(new, value.as_ref()) == Ordering::Equal,
                            (one, other) => one == other,
                        }
                    })
                });
                if !same {
                    *last =
                        Some(columns.iter().map(|(column, _)| batch[*column].get(row).to_value()).collect());
                }
                !same
            });
            if !out.is_empty() {
                return Ok(());
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.last = None;
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}
