//! Function and VALUES scans, and scans of subqueries.

use kokkiri_functions::{SetFunction, SetRows};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value, ValueRef};

use super::output::Output;
use super::{Details, Node, Operator};
use crate::context::Context;
use crate::expression::Program;
use crate::row_store::prepare;

/// A function of FROM: one that returns a set, or a plain one, whose value is the only row.
pub enum Source {
    Set { function: &'static SetFunction, args: Vec<Program>, argument_types: Vec<Oid>, result_type: Oid },
    Plain(Program),
}

pub struct FunctionScan {
    pub source: Source,
    /// Columns of the function's result, then the ordinal number if asked for.
    pub types: Vec<PhysicalType>,
    pub with_ordinality: bool,
    pub output: Output,
    pub batch: Batch,
    pub running: Option<Box<dyn SetRows>>,
    pub started: bool,
    pub ended: bool,
    pub ordinal: i64,
}

impl FunctionScan {
    fn start(&mut self, context: &mut Context<'_>) -> Result<()> {
        if let Source::Set { function, args, argument_types, result_type } = &mut self.source {
            let values = args.iter_mut().map(|arg| arg.evaluate_one(context)).collect::<Result<Vec<_>>>()?;
            let refs: Vec<ValueRef<'_>> = values.iter().map(Value::as_ref).collect();
            let mut call = context.call;
            call.argument_types = argument_types;
            call.result_type = *result_type;
            self.running = Some(function.start(&mut call, &refs)?);
        }
        Ok(())
    }

    fn fill(&mut self, context: &mut Context<'_>, demand: usize) -> Result<usize> {
        prepare(&mut self.batch, &self.types);
        let columns = self.types.len() - usize::from(self.with_ordinality);
        let rows = match (&mut self.source, &mut self.running) {
            (Source::Set { argument_types, result_type, .. }, Some(running)) => {
                let mut call = context.call;
                call.argument_types = argument_types;
                call.result_type = *result_type;
                running.next(&mut call, demand, &mut self.batch.columns[..columns])?
            }
            (Source::Plain(program), _) => {
                let value = program.evaluate_one(context)?;
                self.batch.columns[0].push(value.as_ref());
                self.ended = true;
                1
            }
            (Source::Set { .. }, None) => 0,
        };
        if self.with_ordinality {
            for _ in 0..rows {
                self.ordinal += 1;
                self.batch.columns[columns].push_element(self.ordinal);
            }
        }
        self.batch.seal(rows);
        Ok(rows)
    }
}

impl Operator for FunctionScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if !self.started {
            self.started = true;
            self.start(context)?;
        }
        while !self.ended {
            check_for_interrupts()?;
            if self.fill(context, demand)? == 0 {
                self.ended = true;
                return Ok(());
            }
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.started = false;
        self.ended = false;
        self.running = None;
        self.ordinal = 0;
        Ok(())
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}

pub struct ValuesScan {
    pub rows: Vec<Vec<Program>>,
    pub types: Vec<PhysicalType>,
    pub output: Output,
    pub batch: Batch,
    pub next: usize,
}

impl Operator for ValuesScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        while self.next < self.rows.len() {
            prepare(&mut self.batch, &self.types);
            let mut count = 0;
            while self.next < self.rows.len() && count < demand.min(BATCH_ROWS) {
                for (program, column) in self.rows[self.next].iter_mut().zip(&mut self.batch.columns) {
                    column.push(program.evaluate_one(context)?.as_ref());
                }
                self.next += 1;
                count += 1;
            }
            self.batch.seal(count);
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.next = 0;
        Ok(())
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}

/// Rows of a subquery under further conditions.
pub struct SubqueryScan {
    pub input: Node,
    pub output: Output,
    pub batch: Batch,
}

impl Operator for SubqueryScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        loop {
            self.input.next(context, demand, &mut self.batch)?;
            if self.batch.is_empty() {
                return Ok(());
            }
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
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

    fn details(&self) -> Details {
        self.output.details()
    }
}
