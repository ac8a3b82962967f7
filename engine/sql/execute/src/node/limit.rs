//! LIMIT and OFFSET.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_types::compare::Comparator;
use kokkiri_types::{Batch, Value};

use super::{Node, Operator};
use crate::context::Context;
use crate::expression::Program;

pub struct Limit {
    pub input: Node,
    pub offset: Option<Program>,
    pub count: Option<Program>,
    /// WITH TIES: columns (from zero) in which further rows may equal the last one.
    pub ties: Vec<(usize, Comparator)>,
    /// The last row's values of those columns, once it has gone out.
    pub last: Option<Vec<Value>>,
    /// Rows still to be skipped and returned, once computed.
    pub remaining: Option<(u64, u64)>,
}

impl Limit {
    fn compute(&mut self, context: &mut Context<'_>) -> Result<(u64, u64)> {
        if let Some(remaining) = self.remaining {
            return Ok(remaining);
        }
        let offset = match &mut self.offset {
            Some(program) => match program.evaluate_one(context)? {
                Value::Int64(offset) if offset < 0 => {
                    return Err(Error::new(
                        SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
                        "OFFSET must not be negative",
                    ));
                }
                Value::Int64(offset) => offset as u64,
                _ => 0,
            },
            None => 0,
        };
        let count = match &mut self.count {
            Some(program) => match program.evaluate_one(context)? {
                Value::Int64(count) if count < 0 => {
                    return Err(Error::new(
                        SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                        "LIMIT must not be negative",
                    ));
                }
                Value::Int64(count) => count as u64,
                _ => u64::MAX,
            },
            None => u64::MAX,
        };
        self.remaining = Some((offset, count));
        Ok((offset, count))
    }
}

impl Operator for Limit {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        let (mut skip, mut left) = self.compute(context)?;
        while left > 0 {
            let wanted = skip.saturating_add(left.min(demand as u64)).min(demand as u64) as usize;
            self.input.next(context, wanted, out)?;
            if out.is_empty() {
                left = 0;
                break;
            }
            let skipped = skip.min(out.len() as u64);
            out.selection.skip(skipped as usize);
            skip -= skipped;
            out.selection.truncate(left.min(usize::MAX as u64) as usize);
            left -= out.len() as u64;
            if !out.is_empty() {
                break;
            }
        }
        self.remaining = Some((skip, left));
        if self.ties.is_empty() || left > 0 {
            return Ok(());
        }
        if !out.is_empty() {
            let row = out.selection.nth(out.len() - 1);
            self.last = Some(self.ties.iter().map(|(at, _)| out.columns[*at].get(row).to_value()).collect());
        } else if let Some(last) = &self.last {
            self.input.next(context, 1, out)?;
            let ties = &self.ties;
            let columns = &out.columns;
            out.selection.retain(|row| {
                ties.iter().zip(last).all(|((at, compare), value)| {
                    let new = columns[*at].get(row);
                    match (new.is_null(), value.is_null()) {
                        (false, false) => compare(new, value.as_ref()) == Ordering::Equal,
                        (one, other) => one == other,
                    }
                })
            });
            if out.is_empty() {
                self.last = None;
            }
        }
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.remaining = None;
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
