//! Rows from outside into a table: what COPY FROM does with the rows it has read.
//!
//! Realises: the second half of copyfrom.c. Rows go through the same checks, indexes and foreign keys as
//! those of an INSERT, but reach the heap a page at a time.

use std::sync::Arc;

use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions};
use kokkiri_access::relation::Relation;
use kokkiri_analyze::tree::{CommandType, Expression};
use kokkiri_catalog::entries::Volatility;
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_storage::BufferPool;
use kokkiri_types::{Batch, PhysicalType, Selection, Value, ValueRef};

use crate::constraint::Checks;
use crate::context::{Context, Environment, State};
use crate::execution::KnownFunctions;
use crate::expression::compile::FunctionNames;
use crate::expression::{Compiler, Program, Scope};
use crate::foreign_key::ForeignKeys;
use crate::node::modify_table::{TargetIndex, fill_scratch};
use crate::node::target::{WrittenRow, checks, enter_row, foreign_keys, target_indexes};

/// A table that rows are copied into.
pub struct CopyTarget {
    relation: Arc<Relation>,
    indexes: Vec<TargetIndex>,
    checks: Checks,
    foreign_keys: ForeignKeys,
    types: Vec<PhysicalType>,
    scratch: Batch,
    /// Defaults of the columns that have one.
    defaults: Vec<(usize, Program)>,
    /// Columns that values are given for.
    given: Vec<usize>,
    condition: Option<Program>,
    one_by_one: bool,
    bulk: BulkInsert,
}

impl CopyTarget {
    /// Prepares copying into a relation, values being given for these columns (0-based), of the rows that
    /// the condition is true for; `defaults` are those of the columns that have one.
    pub fn new(
        facts: &dyn CatalogFacts,
        buffers: &BufferPool,
        relation: Oid,
        given: &[usize],
        defaults: &[(usize, Expression)],
        condition: Option<&Expression>,
    ) -> Result<Self> {
        let entry = facts.relation(relation)?;
        let names: Arc<dyn FunctionNames> = Arc::new(KnownFunctions::default());
        let types: Vec<_> = entry.relation.tuple_desc.iter().map(|attribute| attribute.physical).collect();
        let scope = Scope::of_scan(1, (1..=types.len() as i16).collect(), &names);
        let mut compiled = Vec::with_capacity(defaults.len());
        // A volatile expression may look at the table: it must see the rows before.
        let mut one_by_one = condition.map_or(Ok(false), |condition| is_volatile(facts, condition, false))?;
        for (at, expr) in defaults {
            one_by_one |= !given.contains(at) && is_volatile(facts, expr, true)?;
            compiled.push((*at, Compiler::compile(&scope, expr)?));
        }
        Ok(Self {
            indexes: target_indexes(&entry, &scope)?,
            checks: checks(&entry, &scope, &types)?,
            foreign_keys: foreign_keys(facts, &entry, CommandType::Insert)?,
            relation: Arc::clone(&entry.relation),
            types,
            scratch: Batch::default(),
            defaults: compiled,
            given: given.to_vec(),
            condition: condition.map(|condition| Compiler::compile(&scope, condition)).transpose()?,
            one_by_one,
            bulk: BulkInsert::new(buffers),
        })
    }

    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// True if each row must be in the table before the next is read.
    pub fn one_by_one(&self) -> bool {
        self.one_by_one
    }

    /// Fills in the defaults of a row whose given columns are set.
    pub fn fill_defaults(&mut self, environment: &Environment<'_>, row: &mut [Value]) -> Result<()> {
        let mut context = Context::new(environment, State::default());
        let all = Selection::all(1);
        for (at, program) in self.defaults.iter_mut().filter(|(at, _)| !self.given.contains(at)) {
            row[*at] = program.evaluate(&mut context, &[], &all)?.get(0).to_value();
        }
        Ok(())
    }

    /// A given column's default, which its field asked for.
    ///
    /// # Errors
    /// 22P04 if it has none.
    pub fn default_of(&mut self, environment: &Environment<'_>, column: usize) -> Result<Value> {
        let Some((_, program)) = self.defaults.iter_mut().find(|(at, _)| *at == column) else {
            let name = &self.relation.tuple_desc[column].name;
            return Err(error!(BAD_COPY_FILE_FORMAT, "unexpected default marker in COPY data")
                .detail(format!("Column \"{name}\" has no default value.")));
        };
        let mut context = Context::new(environment, State::default());
        Ok(program.evaluate(&mut context, &[], &Selection::all(1))?.get(0).to_value())
    }

    /// True if a row passes the condition.
    pub fn wants(&mut self, environment: &Environment<'_>, row: &[Value]) -> Result<bool> {
        let Some(condition) = &mut self.condition else { return Ok(true) };
        let mut context = Context::new(environment, State::default());
        fill_scratch(&mut self.scratch, &self.types, row);
        let value = condition.evaluate(&mut context, &self.scratch.columns, &Selection::all(1))?.get(0);
        Ok(value.to_value() == Value::Bool(true))
    }

    /// Checks a row's NOT NULL and CHECK constraints.
    pub fn check(&mut self, environment: &Environment<'_>, row: &[Value]) -> Result<()> {
        let mut context = Context::new(environment, State::default());
        self.checks.check(&mut context, &self.relation, row, None)
    }

    /// Inserts rows of all the table's columns, which have been checked.
    ///
    /// # Errors
    /// With the row (0-based) that the error is about, if it is about one.
    pub fn insert(
        &mut self,
        environment: &Environment<'_>,
        rows: &[Vec<Value>],
        options: InsertOptions,
    ) -> Result<(), (Error, Option<usize>)> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut context = Context::new(environment, State::default());
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, environment.transaction);
        let values: Vec<Vec<ValueRef<'_>>> =
            rows.iter().map(|row| row.iter().map(Value::as_ref).collect()).collect();
        let slices: Vec<&[ValueRef<'_>]> = values.iter().map(Vec::as_slice).collect();
        let tids = match self.one_by_one {
            true => slices.iter().map(|row| heap.insert(row, options)).collect(),
            false => heap.multi_insert(&slices, options, Some(&mut self.bulk)),
        };
        let tids = tids.map_err(|error: Error| (error, None))?;
        for (number, (row, tid)) in rows.iter().zip(tids).enumerate() {
            let written = WrittenRow { row, types: &self.types, tid, is_update: false };
            enter_row(&mut context, &heap, &mut self.indexes, &mut self.scratch, &written)
                .map_err(|error| (error, Some(number)))?;
            self.foreign_keys.row_added(row, tid);
        }
        Ok(())
    }

    /// The last row has been inserted: checks foreign keys.
    pub fn finish(&mut self, environment: &Environment<'_>) -> Result<()> {
        self.bulk.release();
        let context = Context::new(environment, State::default());
        self.foreign_keys.check(&context, &self.relation)
    }
}

/// True if an expression calls a volatile function, nextval apart if so said: it does not look at tables.
fn is_volatile(facts: &dyn CatalogFacts, expr: &Expression, except_nextval: bool) -> Result<bool> {
    const NEXTVAL: Oid = Oid(1574);
    let mut found = Ok(false);
    expr.walk(&mut |node| {
        let function = match node {
            Expression::FuncExpr(function) => function.funcid,
            Expression::OpExpr(operator)
            | Expression::DistinctExpr(operator)
            | Expression::NullIfExpr(operator) => operator.opfuncid,
            Expression::ScalarArrayOpExpr(test) => test.opfuncid,
            _ => return true,
        };
        if except_nextval && function == NEXTVAL {
            return true;
        }
        found = facts.function(function).map(|entry| entry.volatility == Volatility::Volatile);
        matches!(found, Ok(false))
    });
    found
}
