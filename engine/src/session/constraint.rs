//! Constraints whose checks lead to statements of their own, or wait for the end of the transaction.
//!
//! Realises: the session's half of ri_triggers.c (SPI) and trigger.c's deferred triggers, SET CONSTRAINTS.

use std::collections::HashMap;
use std::sync::Arc;

use kokkiri_analyze::Parameters;
use kokkiri_catalog::entries::ConstraintEntry;
use kokkiri_catalog::rows::PgConstraint;
use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_execute::context::{Context, Environment, State, StatementHost};
use kokkiri_execute::execution::Execution;
use kokkiri_execute::foreign_key::deferred::DeferredCheck;
use kokkiri_functions::CallContext;
use kokkiri_parse::tree::{ConstraintsSetStmt, RangeVar};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_types::{BATCH_ROWS, Value, ValueRef};

use super::Session;
use super::statement::{self, Prepared};

/// Index of pg_constraint on name and schema.
const CONSTRAINT_BY_NAME: Oid = Oid(2664);

/// What SET CONSTRAINTS has said in this transaction, and the checks that wait.
#[derive(Default)]
pub struct Deferred {
    all: Option<bool>,
    each: HashMap<Oid, bool>,
    waiting: Vec<DeferredCheck>,
}

impl Deferred {
    fn is_deferred(&self, oid: Oid, initially: bool) -> bool {
        self.each.get(&oid).copied().or(self.all).unwrap_or(initially)
    }
}

impl StatementHost for Session {
    fn run(&self, text: &str, parameters: &[(Oid, Value)], role: Oid) -> Result<u64> {
        self.run_internal(text, parameters, role)
            .map_err(|error| error.context(format!("SQL statement \"{text}\"")))
    }

    fn is_deferred(&self, constraint: &ConstraintEntry) -> bool {
        constraint.deferrable && self.deferred.borrow().is_deferred(constraint.oid, constraint.deferred)
    }

    fn defer(&self, check: DeferredCheck) {
        let mut deferred = self.deferred.borrow_mut();
        // Rows with the same key often follow each other.
        if deferred.waiting.last() != Some(&check) {
            deferred.waiting.push(check);
        }
    }
}

impl Session {
    fn run_internal(&self, text: &str, parameters: &[(Oid, Value)], role: Oid) -> Result<u64> {
        self.advance_command()?;
        let view = CatalogView { role, ..self.view() };
        let call = CallContext { catalog: Some(view), ..self.call_context() };
        let facts = ViewFacts { view: &view, call };
        let Some(raw) = kokkiri_parse::parse(text)?.pop() else {
            return Err(Error::internal("a statement of the server's own is empty"));
        };
        let (types, values): (Vec<Oid>, Vec<Value>) = parameters.iter().cloned().unzip();
        let prepared = statement::prepare(&facts, &Arc::new(raw), Parameters::fixed(types))?.0;
        let Prepared::Query(query) = prepared else {
            return Err(Error::internal("a statement of the server's own is no query"));
        };
        let plan = statement::plan(&facts, query, &values)?;
        let mut execution = Execution::new(plan, &facts)?;
        let snapshot = self.block.transaction().latest_snapshot();
        let environment = Environment { call, ..self.environment(&snapshot, &values) };
        let mut rows = 0;
        while let Some(batch) = execution.next(&environment, BATCH_ROWS)? {
            rows += batch.len() as u64;
        }
        let rows = rows.max(execution.processed());
        drop(execution);
        self.advance_command()?;
        Ok(rows)
    }

    /// Makes what was done so far visible to the next command.
    fn advance_command(&self) -> Result<()> {
        if self.block.transaction().advance_command()? {
            self.catalog.command_ended();
        }
        Ok(())
    }

    /// The transaction is over.
    pub(super) fn forget_deferred(&self) {
        *self.deferred.borrow_mut() = Deferred::default();
    }

    /// Runs the checks that wait: all, at the end of the transaction, or those that wait no longer.
    pub(super) fn run_deferred(&self, at_end: bool) -> Result<()> {
        let due: Vec<DeferredCheck> = {
            let mut deferred = self.deferred.borrow_mut();
            let waiting = std::mem::take(&mut deferred.waiting);
            let (later, due) = waiting
                .into_iter()
                .partition(|check| !at_end && deferred.is_deferred(check.constraint, true));
            deferred.waiting = later;
            due
        };
        if due.is_empty() {
            return Ok(());
        }
        self.advance_command()?;
        let view = self.view();
        let facts = self.facts(&view);
        let snapshot = self.block.transaction().latest_snapshot();
        let environment = self.environment(&snapshot, &[]);
        let context = Context::new(&environment, State::default());
        due.iter().try_for_each(|check| check.run(&context, &facts))
    }

    /// SET CONSTRAINTS.
    pub(super) fn set_constraints(&mut self, statement: &ConstraintsSetStmt) -> Result<()> {
        if !self.block.is_explicit() {
            self.notices.push(Error::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            ));
        }
        if statement.constraints.is_empty() {
            let mut deferred = self.deferred.borrow_mut();
            deferred.all = Some(statement.deferred);
            deferred.each.clear();
        }
        for name in &statement.constraints {
            for oid in self.constraints_called(name)? {
                self.deferred.borrow_mut().each.insert(oid, statement.deferred);
            }
        }
        if statement.deferred { Ok(()) } else { self.run_deferred(false) }
    }

    /// The deferrable constraints of that name in the first schema that has one.
    fn constraints_called(&self, name: &RangeVar) -> Result<Vec<Oid>> {
        let view = self.view();
        let path = match &name.schema {
            Some(schema) => view.namespace_for_lookup(schema)?.into_iter().collect(),
            None => view.search_path()?,
        };
        for namespace in path.iter().copied() {
            let keys = [ValueRef::Bytes(name.name.as_bytes()), ValueRef::Int32(namespace.0 as i32)];
            let found = view.scan_rows::<PgConstraint>(CONSTRAINT_BY_NAME, &[2, 3], &keys)?;
            if found.is_empty() {
                continue;
            }
            let deferrable: Vec<Oid> =
                found.iter().filter(|found| found.row.condeferrable).map(|found| found.row.oid).collect();
            if deferrable.len() < found.len() {
                return Err(error!(WRONG_OBJECT_TYPE, "constraint \"{}\" is not deferrable", name.name));
            }
            return Ok(deferrable);
        }
        Err(error!(UNDEFINED_OBJECT, "constraint \"{}\" does not exist", name.name))
    }
}
