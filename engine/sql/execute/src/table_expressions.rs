//! Expressions over the rows of one table, for commands that look through a table or rewrite it.
//!
//! Realises: what tablecmds.c and index.c make of `ExecPrepareExpr` and an `ExprContext`. Stored
//! expressions are over relation number one.

use std::sync::Arc;

use kokkiri_analyze::tree::Expression;
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::Result;
use kokkiri_types::{Column, Selection, Value};

use crate::context::{Context, Environment, State};
use crate::execution::KnownFunctions;
use crate::expression::compile::FunctionNames;
use crate::expression::{Compiler, Program, Scope};

/// Compiled expressions.
pub struct TableExpressions(Vec<Program>);

impl TableExpressions {
    /// Compiles expressions over batches that have these attributes (from 1) of the table as columns.
    pub fn compile(facts: &dyn CatalogFacts, attributes: Vec<i16>, exprs: &[Expression]) -> Result<Self> {
        let names: Arc<dyn FunctionNames> = Arc::new(KnownFunctions::of_expressions(exprs, facts)?);
        let scope = Scope::of_scan(1, attributes, &names);
        exprs.iter().map(|expr| Compiler::compile(&scope, expr)).collect::<Result<_>>().map(Self)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of an expression for all rows of a batch.
    pub fn evaluate<'p>(
        &'p mut self,
        environment: &Environment<'_>,
        at: usize,
        columns: &'p [Column],
        rows: usize,
    ) -> Result<&'p Column> {
        let mut context = Context::new(environment, State::default());
        self.0[at].evaluate(&mut context, columns, &Selection::all(rows))
    }

    /// The value of an expression without variables.
    pub fn evaluate_one(&mut self, environment: &Environment<'_>, at: usize) -> Result<Value> {
        let mut context = Context::new(environment, State::default());
        self.0[at].evaluate_one(&mut context)
    }
}
