//! Utility statements: those about the session's own prepared statements here, all others by the command
//! crate.

use std::sync::Arc;

use kokkiri_analyze::{ExpressionUse, analyze_expression};
use kokkiri_command::{CommandContext, CommandRows};
use kokkiri_execute::execution::Execution;
use kokkiri_execute::tuple_store::TupleStore;
use kokkiri_parse::tree::{DiscardTarget, ExecuteStmt, PrepareStmt, RawStatement, Statement};
use kokkiri_primitives::settings::SetScope;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_types::builtin::oid;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value};

use super::plan_cache::Source;
use super::portal::{Held, HeldTag, Portal, Runs};
use super::run::Ran;
use super::statement;
use super::{Session, create_table_as, plan_cache, unknown_statement};
use crate::client::{Format, ResultColumn, RowSink};

impl Session {
    /// The columns that a utility statement returns; `None` if it returns none.
    pub(super) fn utility_columns(&self, raw: &RawStatement) -> Result<Option<Arc<[ResultColumn]>>> {
        Ok(match &raw.statement {
            Statement::VariableShow(show) if show.name == "all" => {
                Some(Arc::from(["name", "setting", "description"].map(text_column)))
            }
            Statement::VariableShow(show) => {
                let name =
                    kokkiri_primitives::settings::find(&show.name).map(|(_, parameter)| parameter.name);
                Some(Arc::from([text_column(name.unwrap_or(&show.name))]))
            }
            Statement::Explain(_) => Some(Arc::from([text_column("QUERY PLAN")])),
            Statement::Execute(execute) => match self.statements.get(&execute.name) {
                Some(source) => source.columns.clone(),
                None => return Err(unknown_statement(&execute.name)),
            },
            _ => None,
        })
    }

    /// Runs a utility statement other than those about transactions.
    pub(super) fn run_command(
        &mut self,
        portal: &mut Portal,
        raw: &Arc<RawStatement>,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        match &raw.statement {
            Statement::Prepare(statement) => self.prepare_statement(statement, portal, raw),
            Statement::Execute(statement) => self.execute_statement(statement, portal, limit, sink),
            Statement::Deallocate(statement) => {
                let tag = match &statement.name {
                    Some(name) => {
                        self.statements.remove(name).ok_or_else(|| unknown_statement(name))?;
                        "DEALLOCATE"
                    }
                    None => {
                        self.statements.clear();
                        "DEALLOCATE ALL"
                    }
                };
                Ok(Ran::Complete(tag.to_owned()))
            }
            Statement::Explain(statement) => self.explain(statement, portal, raw, limit, sink),
            Statement::Copy(statement) => self.copy(statement, portal, sink),
            Statement::CreateTableAs(create) => self.create_table_as(create, raw),
            statement @ Statement::Select(_) => match create_table_as::of_select_into(statement) {
                Some(create) => self.create_table_as(&create, raw),
                None => Err(Error::internal("a query is no utility statement")),
            },
            Statement::Discard(target) => self.discard(*target),
            Statement::ConstraintsSet(statement) => {
                self.set_constraints(statement)?;
                Ok(Ran::Complete("SET CONSTRAINTS".to_owned()))
            }
            Statement::CheckPoint(_) => {
                self.instance
                    .checkpointer
                    .request(kokkiri_recovery::checkpoint::CheckpointRequest::COMMAND)?;
                Ok(Ran::Complete("CHECKPOINT".to_owned()))
            }
            statement => {
                if self.block.transaction().is_read_only() && !allowed_read_only(statement) {
                    return Err(error!(
                        READ_ONLY_SQL_TRANSACTION,
                        "cannot execute {} in a read-only transaction",
                        kokkiri_command::statement_name(statement)
                    ));
                }
                let (outcome, commits_at_once) = self.with_command(|context| {
                    let outcome = kokkiri_command::execute(context, statement)?;
                    Ok((outcome, context.commits_at_once))
                })?;
                match outcome.rows {
                    Some(rows) => self.send_text_rows(portal, rows, outcome.tag, limit, sink),
                    None if commits_at_once => Ok(Ran::Commits { tag: outcome.tag, chain: false }),
                    None => Ok(Ran::Complete(outcome.tag)),
                }
            }
        }
    }

    /// Lends the session to a command.
    pub(super) fn with_command<T>(
        &mut self,
        work: impl FnOnce(&mut CommandContext<'_>) -> Result<T>,
    ) -> Result<T> {
        let checkpoint = || self.instance.checkpointer.request(CheckpointRequest::COMMAND);
        let mut context = CommandContext {
            view: self.view(),
            call: self.call_context(),
            io: &self.io,
            session_role: self.catalog.session_role(),
            in_transaction_block: self.block.is_block(),
            commits_at_once: false,
            passwords: &*self.instance.passwords,
            checkpoint: &checkpoint,
            extension: None,
            notices: Vec::new(),
        };
        let result = work(&mut context);
        let notices = std::mem::take(&mut context.notices);
        drop(context);
        self.notices.extend(notices);
        result
    }

    /// DISCARD.
    fn discard(&mut self, target: DiscardTarget) -> Result<Ran> {
        let tag = match target {
            DiscardTarget::Plans => {
                self.statements.values_mut().for_each(plan_cache::Source::forget_plan);
                "DISCARD PLANS"
            }
            DiscardTarget::Sequences => {
                self.info.sequences.lock().clear();
                "DISCARD SEQUENCES"
            }
            DiscardTarget::Temp => {
                self.with_command(kokkiri_command::remove_temporary_objects)?;
                "DISCARD TEMP"
            }
            DiscardTarget::All => {
                if self.block.is_explicit() {
                    return Err(error!(
                        ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block"
                    ));
                }
                self.close_portals();
                self.statements.clear();
                self.settings.set("session_authorization", None, SetScope::Session)?;
                self.settings.set("role", None, SetScope::Session)?;
                self.settings.reset_all();
                self.info.sequences.lock().clear();
                self.with_command(kokkiri_command::remove_temporary_objects)?;
                "DISCARD ALL"
            }
        };
        Ok(Ran::Complete(tag.to_owned()))
    }

    /// Keeps the rows of SHOW and EXPLAIN in the portal, and sends as many as are asked for.
    pub(super) fn send_text_rows(
        &self,
        portal: &mut Portal,
        rows: CommandRows,
        tag: String,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let columns: Arc<[ResultColumn]> = rows.columns.iter().map(|name| text_column(name)).collect();
        let mut held = TupleStore::default();
        for chunk in rows.rows.chunks(BATCH_ROWS) {
            let mut batch = Batch::new(columns.iter().map(|_| PhysicalType::Varlena));
            for row in chunk {
                for (column, field) in batch.columns.iter_mut().zip(row) {
                    match field {
                        Some(text) => column.push_bytes(text.as_bytes()),
                        None => column.push_null(),
                    }
                }
            }
            batch.seal(chunk.len());
            held.append(&self.instance.cluster, self.work_mem(), &batch)?;
        }
        held.finish()?;
        if portal.formats.len() != columns.len() {
            portal.formats = vec![Format::Text; columns.len()];
        }
        portal.columns = Some(columns);
        portal.runs = Runs::Held(Box::new(Held { rows: held, tag: HeldTag::Fixed(tag) }));
        self.run_held(portal, limit, sink)
    }

    /// PREPARE.
    fn prepare_statement(
        &mut self,
        statement: &PrepareStmt,
        portal: &Portal,
        raw: &RawStatement,
    ) -> Result<Ran> {
        if self.statements.contains(&statement.name) {
            return Err(error!(
                DUPLICATE_PREPARED_STATEMENT,
                "prepared statement \"{}\" already exists", statement.name
            ));
        }
        if matches!(statement.query, Statement::Transaction(_)) {
            return Err(error!(SYNTAX_ERROR, "utility statements cannot be prepared"));
        }
        let view = self.view();
        let types = statement
            .arg_types
            .iter()
            .map(|name| kokkiri_analyze::resolve_type(&view, &self.io, name).map(|(oid, _)| oid))
            .collect::<Result<Vec<_>>>()?;
        let query =
            RawStatement { statement: statement.query.clone(), location: raw.location, length: raw.length };
        let mut source = self.prepare(Arc::new(query), Arc::clone(&portal.text), types)?;
        source.from_sql = true;
        self.statements.insert(&statement.name, source);
        Ok(Ran::Complete("PREPARE".to_owned()))
    }

    /// EXECUTE: the portal goes on as one of the prepared statement.
    fn execute_statement(
        &mut self,
        statement: &ExecuteStmt,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let Some(mut source) = self.statements.lend(&statement.name) else {
            return Err(unknown_statement(&statement.name));
        };
        let bound = self.bind_execute(&mut source, statement, portal);
        self.statements.give_back(&statement.name, source);
        bound?;
        self.run_portal(portal, limit, sink)
    }

    fn bind_execute(
        &mut self,
        source: &mut Source,
        execute: &ExecuteStmt,
        portal: &mut Portal,
    ) -> Result<()> {
        let values = self.execute_values(source, execute)?;
        let view = self.view();
        let raw = source.raw.as_ref().expect("PREPARE names a statement");
        portal.statement = Some(execute.name.clone());
        portal.runs = if statement::is_query(&raw.statement) {
            let (plan, spare) = source.plan(&self.facts(&view), &values)?;
            Runs::Query { plan, parameters: values.into(), started: None, spare }
        } else {
            Runs::Utility(Arc::clone(raw))
        };
        Ok(())
    }

    /// The values of an EXECUTE's parameters.
    pub(super) fn execute_values(&self, source: &Source, execute: &ExecuteStmt) -> Result<Vec<Value>> {
        let expected = source.parameter_types.len();
        if execute.params.len() != expected {
            return Err(error!(
                SYNTAX_ERROR,
                "wrong number of parameters for prepared statement \"{}\"", execute.name
            )
            .detail(format!("Expected {expected} parameters but got {}.", execute.params.len())));
        }
        let view = self.view();
        let mut values = Vec::with_capacity(expected);
        for (at, (expr, type_oid)) in execute.params.iter().zip(&source.parameter_types).enumerate() {
            let usage = ExpressionUse::ExecuteParameter { number: at + 1, type_oid: *type_oid };
            let expr = analyze_expression(&view, &self.io, expr, None, usage)?;
            values.push(self.evaluate(expr)?);
        }
        Ok(values)
    }

    /// The value of an expression without variables.
    pub(super) fn evaluate(&self, expr: kokkiri_analyze::tree::Expression) -> Result<Value> {
        use kokkiri_analyze::tree::{CommandType, Query, TargetEntry};
        let query = Query {
            command_type: CommandType::Select,
            target_list: vec![TargetEntry::new(expr, 1, None, false)],
            ..Query::default()
        };
        let view = self.view();
        let facts = self.facts(&view);
        let plan = statement::plan(&facts, Box::new(query), &[])?;
        let mut execution = Execution::new(plan, &facts)?;
        let snapshot = self.block.transaction().snapshot();
        let batch = execution.next(&self.environment(&snapshot, &[]), 1)?;
        let value =
            batch.and_then(|batch| Some(batch.columns.first()?.get(batch.selection.nth(0)).to_value()));
        value.ok_or_else(|| Error::internal("an expression has no value"))
    }
}

/// Statements that change nothing a transaction could undo: `ClassifyUtilityCommandAsReadOnly`.
fn allowed_read_only(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::VariableSet(_)
            | Statement::VariableShow(_)
            | Statement::CheckPoint(_)
            | Statement::Vacuum(_)
            | Statement::Lock(_)
            | Statement::Discard(_)
            | Statement::Reindex(_)
            | Statement::Cluster(_)
    )
}

pub(super) fn text_column(name: &str) -> ResultColumn {
    ResultColumn {
        name: name.into(),
        table: Oid::INVALID,
        attribute: 0,
        type_oid: oid::TEXT,
        type_length: -1,
        typmod: -1,
        rendered: false,
    }
}

pub(super) fn no_copy() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "no COPY is in progress")
}
