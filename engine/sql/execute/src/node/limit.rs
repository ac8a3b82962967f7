//! LIMIT and OFFSET.

use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_types::{Batch, Value};

use super::{Node, Operator};
use crate::context::Context;
use crate::expression::Program;

pub struct Limit {
    pub input: Node,
    pub offset: Option<Program>,
    pub count: Option<Program>,
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
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.remaining = None;
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}
