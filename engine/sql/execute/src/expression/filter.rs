//! Conditions and target lists over batches.

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_primitives::Result;
use kokkiri_types::{Batch, PhysicalType};

use super::compile::{Compiler, Scope, physical_of};
use super::evaluate::Program;
use crate::context::Context;

/// Conditions that must all be true.
#[derive(Debug, Default)]
pub struct Filter(Vec<Program>);

impl Filter {
    pub fn compile(scope: &Scope, conditions: &[Expression]) -> Result<Self> {
        conditions
            .iter()
            .map(|condition| Compiler::compile(scope, condition))
            .collect::<Result<_>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Narrows the batch to the rows that pass; how many it removed.
    pub fn apply(&mut self, context: &mut Context<'_>, batch: &mut Batch) -> Result<usize> {
        let before = batch.len();
        for program in &mut self.0 {
            if batch.selection.is_empty() {
                break;
            }
            let condition = program.evaluate(context, &batch.columns, &batch.selection)?;
            batch.selection.retain_true(condition);
        }
        Ok(before - batch.len())
    }
}

#[derive(Debug)]
enum Item {
    /// The only use of an input column: it is handed on.
    Move(usize),
    Copy(usize),
    Program(Program),
}

/// A target list. Identity is noticed and costs nothing. Columns change hands by swaps between vectors of
/// one type, so that input, registers and output all keep their memory.
#[derive(Debug)]
pub struct Projection {
    items: Vec<(Item, PhysicalType)>,
    identity: bool,
}

impl Projection {
    pub fn compile(scope: &Scope, targets: &[TargetEntry], input_columns: usize) -> Result<Self> {
        let exprs: Vec<&Expression> = targets.iter().map(|target| &target.expr).collect();
        Self::compile_expressions(scope, &exprs, input_columns)
    }

    pub fn compile_expressions(scope: &Scope, exprs: &[&Expression], input_columns: usize) -> Result<Self> {
        let mut items = Vec::new();
        for expr in exprs {
            let program = Compiler::compile(scope, expr)?;
            let physical = physical_of(expr.result_type());
            let item = match program.input_column() {
                Some(at) => Item::Copy(at),
                None => Item::Program(program),
            };
            items.push((item, physical));
        }
        // The last use of each column may take it.
        let mut taken = vec![false; input_columns];
        for (item, _) in items.iter_mut().rev() {
            if let Item::Copy(at) = *item
                && let Some(taken) = taken.get_mut(at)
                && !*taken
            {
                *taken = true;
                *item = Item::Move(at);
            }
        }
        let identity = items.len() == input_columns
            && items
                .iter()
                .enumerate()
                .all(|(at, (item, _))| matches!(item, Item::Move(from) if *from == at));
        Ok(Self { items, identity })
    }

    pub fn is_identity(&self) -> bool {
        self.identity
    }

    pub fn types(&self) -> impl Iterator<Item = PhysicalType> + '_ {
        self.items.iter().map(|(_, physical)| *physical)
    }

    /// Makes the target list of the selected rows of `input`, whose columns may be taken.
    pub fn apply(&mut self, context: &mut Context<'_>, input: &mut Batch, out: &mut Batch) -> Result<()> {
        if self.identity {
            std::mem::swap(input, out);
            return Ok(());
        }
        if out.columns.len() != self.items.len() {
            *out = Batch::new(self.items.iter().map(|(_, physical)| *physical));
        }
        for ((item, physical), column) in self.items.iter_mut().zip(&mut out.columns) {
            match item {
                Item::Program(program) => {
                    let result = program.evaluate(context, &input.columns, &input.selection)?;
                    if result.is_constant() {
                        column.set_constant(*physical, result.get(0));
                    } else {
                        program.take_result(column);
                    }
                }
                Item::Copy(at) => {
                    let from = &input.columns[*at];
                    if from.is_constant() {
                        column.set_constant(*physical, from.get(0));
                    } else {
                        column.reset(*physical, input.selection.rows());
                        input.selection.for_each(|row| column.copy(row, from, row));
                    }
                }
                Item::Move(_) => {}
            }
        }
        for ((item, _), column) in self.items.iter().zip(&mut out.columns) {
            if let Item::Move(at) = item {
                std::mem::swap(column, &mut input.columns[*at]);
            }
        }
        std::mem::swap(&mut out.selection, &mut input.selection);
        Ok(())
    }
}
