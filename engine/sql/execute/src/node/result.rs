//! Result and ProjectSet.

use kokkiri_functions::{SetRows, set_returning};
use kokkiri_primitives::{Error, Result};
use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, Value, ValueRef};

use super::output::Output;
use super::{Details, Input, Node, Operator};
use crate::context::Context;
use crate::expression::{Filter, Program};

/// One row of expressions, or an input's rows under a condition that is the same for all.
pub struct ResultNode {
    pub input: Option<Node>,
    pub constant_qual: Filter,
    pub output: Output,
    pub batch: Batch,
    pub checked: bool,
    pub done: bool,
}

impl Operator for ResultNode {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if self.done {
            return Ok(());
        }
        if !self.checked {
            self.checked = true;
            let mut one = Batch::default();
            one.selection.set_all(1);
            self.constant_qual.apply(context, &mut one)?;
            if one.is_empty() {
                self.done = true;
                return Ok(());
            }
        }
        loop {
            match &mut self.input {
                Some(input) => input.next(context, demand, &mut self.batch)?,
                None => self.batch.selection.set_all(1),
            }
            if self.batch.is_empty() {
                self.done = true;
                return Ok(());
            }
            self.done |= self.input.is_none();
            if self.output.emit(context, &mut self.batch, out)? || self.done {
                return Ok(());
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.checked = false;
        self.done = false;
        match &mut self.input {
            Some(input) => input.rescan(context, changed),
            None => Ok(()),
        }
    }

    fn children(&self) -> Vec<&Node> {
        self.input.iter().collect()
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        self.input.iter_mut().collect()
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}

/// A column of a ProjectSet.
pub enum SetItem {
    Plain(Program, PhysicalType),
    Set {
        function: &'static kokkiri_functions::SetFunction,
        args: Vec<Program>,
        physical: PhysicalType,
        argument_types: Vec<kokkiri_primitives::Oid>,
        result_type: kokkiri_primitives::Oid,
    },
}

/// Target lists with set-returning functions: all advance in step, the shorter ones padded with nulls.
pub struct ProjectSet {
    pub input: Node,
    pub items: Vec<SetItem>,
    pub source: Input,
    pub running: Option<Vec<Running>>,
}

pub enum Running {
    Plain(Value),
    Set(Option<Box<dyn SetRows>>),
}

impl ProjectSet {
    fn start_row(&mut self, context: &mut Context<'_>) -> Result<()> {
        let row = self.source.row();
        let mut selection = kokkiri_types::Selection::default();
        selection.set_none(self.source.batch.rows());
        selection.push(row);
        let mut running = Vec::new();
        for item in &mut self.items {
            match item {
                SetItem::Plain(program, _) => {
                    let value = program.evaluate(context, &self.source.batch.columns, &selection)?;
                    running.push(Running::Plain(value.get(row).to_value()));
                }
                SetItem::Set { function, args, argument_types, result_type, .. } => {
                    let mut values = Vec::new();
                    for arg in args {
                        let value = arg.evaluate(context, &self.source.batch.columns, &selection)?;
                        values.push(value.get(row).to_value());
                    }
                    let refs: Vec<ValueRef<'_>> = values.iter().map(Value::as_ref).collect();
                    let mut call = context.call;
                    call.argument_types = argument_types;
                    call.result_type = *result_type;
                    running.push(Running::Set(Some(function.start(&mut call, &refs)?)));
                }
            }
        }
        self.running = Some(running);
        Ok(())
    }

    /// Appends one row; false when every set has ended.
    fn step(&mut self, context: &mut Context<'_>, out: &mut [Column]) -> Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        let mut any = false;
        let mut values: Vec<Value> = Vec::with_capacity(running.len());
        for (item, run) in self.items.iter().zip(running.iter_mut()) {
            match (item, run) {
                (SetItem::Set { physical, argument_types, result_type, .. }, Running::Set(set)) => {
                    let mut one = [Column::new(*physical)];
                    let mut call = context.call;
                    call.argument_types = argument_types;
                    call.result_type = *result_type;
                    let got = match set {
                        Some(rows) => rows.next(&mut call, 1, &mut one)?,
                        None => 0,
                    };
                    if got == 0 {
                        *set = None;
                        values.push(Value::Null);
                    } else {
                        any = true;
                        values.push(one[0].get(0).to_value());
                    }
                }
                (_, Running::Plain(value)) => values.push(value.clone()),
                (SetItem::Plain(..), Running::Set(_)) => {
                    return Err(Error::internal("a plain column runs as a set"));
                }
            }
        }
        if any {
            for (column, value) in out.iter_mut().zip(&values) {
                column.push(value.as_ref());
            }
        }
        Ok(any)
    }
}

impl Operator for ProjectSet {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        let types: Vec<PhysicalType> = self
            .items
            .iter()
            .map(|item| match item {
                SetItem::Plain(_, physical) | SetItem::Set { physical, .. } => *physical,
            })
            .collect();
        crate::row_store::prepare(out, &types);
        let mut rows = 0;
        while rows < demand.min(BATCH_ROWS) {
            if self.running.is_none() {
                if !self.source.fill(&mut self.input, context, 1)? {
                    break;
                }
                self.start_row(context)?;
            }
            if self.step(context, &mut out.columns)? {
                rows += 1;
            } else {
                self.running = None;
                self.source.position += 1;
            }
        }
        out.seal(rows);
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.source.reset();
        self.running = None;
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}

/// Finds the implementation of a set-returning function.
pub fn set_function(
    oid: kokkiri_primitives::Oid,
    names: &dyn crate::expression::compile::FunctionNames,
) -> Result<&'static kokkiri_functions::SetFunction> {
    let found = set_returning(names.implementation(oid));
    found.ok_or_else(|| kokkiri_functions::not_built(&names.function_name(oid)))
}
