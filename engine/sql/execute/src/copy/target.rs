//! Rows from outside into a table: what COPY FROM does with the rows it has read.
//!
//! Realises: the second half of copyfrom.c. Rows go through the same checks, indexes and foreign keys as
//! those of an INSERT, but reach the heap a page at a time.

use std::sync::Arc;

use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions};
use kokkiri_access::relation::Relation;
use kokkiri_analyze::tree::CommandType;
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_storage::BufferPool;
use kokkiri_types::{Batch, PhysicalType, Selection, Value, ValueRef};

use crate::constraint::{Checks, ForeignKeys};
use crate::context::{Context, Environment, State};
use crate::execution::KnownFunctions;
use crate::expression::compile::FunctionNames;
use crate::expression::{Compiler, Program, Scope};
use crate::node::modify_table::TargetIndex;
use crate::node::target::{WrittenRow, checks, decode_expressions, enter_row, foreign_keys, target_indexes};

/// A table that rows are copied into.
pub struct CopyTarget {
    relation: Arc<Relation>,
    indexes: Vec<TargetIndex>,
    checks: Checks,
    foreign_keys: ForeignKeys,
    types: Vec<PhysicalType>,
    scratch: Batch,
    /// Defaults of the columns that no value is given for.
    defaults: Vec<(usize, Program)>,
    bulk: BulkInsert,
}

impl CopyTarget {
    /// Prepares copying into a relation, values being given for these columns (0-based).
    pub fn new(
        facts: &dyn CatalogFacts,
        buffers: &BufferPool,
        relation: Oid,
        given: &[usize],
    ) -> Result<Self> {
        let entry = facts.relation(relation)?;
        let names: Arc<dyn FunctionNames> = Arc::new(KnownFunctions::default());
        let types: Vec<_> = entry.relation.tuple_desc.iter().map(|attribute| attribute.physical).collect();
        let scope = Scope::of_scan(1, (1..=types.len() as i16).collect(), &names);
        let mut defaults = Vec::new();
        for (at, attribute) in entry.relation.tuple_desc.iter().enumerate() {
            if given.contains(&at) || attribute.dropped {
                continue;
            }
            for expr in entry.defaults[at].as_deref().map_or(Ok(Vec::new()), decode_expressions)? {
                defaults.push((at, Compiler::compile(&scope, &expr)?));
            }
        }
        Ok(Self {
            indexes: target_indexes(&entry, &scope)?,
            checks: checks(&entry, &scope, &types)?,
            foreign_keys: foreign_keys(facts, &entry, CommandType::Insert)?,
            relation: Arc::clone(&entry.relation),
            types,
            scratch: Batch::default(),
            defaults,
            bulk: BulkInsert::new(buffers),
        })
    }

    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Fills in the defaults of a row whose given columns are set.
    pub fn fill_defaults(&mut self, environment: &Environment<'_>, row: &mut [Value]) -> Result<()> {
        let mut context = Context::new(environment, State::default());
        let all = Selection::all(1);
        for (at, program) in &mut self.defaults {
            row[*at] = program.evaluate(&mut context, &[], &all)?.get(0).to_value();
        }
        Ok(())
    }

    /// Checks and inserts rows of all the table's columns.
    ///
    /// # Errors
    /// With the row (0-based) that the error is about, if it is about one.
    pub fn insert(
        &mut self,
        environment: &Environment<'_>,
        rows: &[Vec<Value>],
        options: InsertOptions,
    ) -> Result<(), (Error, Option<usize>)> {
        let mut context = Context::new(environment, State::default());
        for (number, row) in rows.iter().enumerate() {
            self.checks
                .check(&mut context, &self.relation, row, None)
                .map_err(|error| (error, Some(number)))?;
        }
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, environment.transaction);
        let values: Vec<Vec<ValueRef<'_>>> =
            rows.iter().map(|row| row.iter().map(Value::as_ref).collect()).collect();
        let slices: Vec<&[ValueRef<'_>]> = values.iter().map(Vec::as_slice).collect();
        let tids =
            heap.multi_insert(&slices, options, Some(&mut self.bulk)).map_err(|error| (error, None))?;
        for (number, (row, tid)) in rows.iter().zip(tids).enumerate() {
            let written = WrittenRow { row, types: &self.types, tid, is_update: false };
            enter_row(&mut context, &heap, &mut self.indexes, &mut self.scratch, &written)
                .map_err(|error| (error, Some(number)))?;
            self.foreign_keys.row_added(row);
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
