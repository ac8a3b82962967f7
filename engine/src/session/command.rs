//! Utility statements: those about the session's own prepared statements here, all others by the command
//! crate.

use std::sync::Arc;
use std::time::Instant;

use kokkiri_analyze::{ExpressionUse, Parameters, analyze_expression};
use kokkiri_command::{CommandContext, CommandRows};
use kokkiri_execute::execution::Execution;
use kokkiri_execute::explain::{self, ExplainOptions, StatementTimes};
use kokkiri_execute::tuple_store::TupleStore;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{
    DefArg, DefElem, DiscardTarget, ExecuteStmt, ExplainStmt, PrepareStmt, RawStatement, Statement,
};
use kokkiri_plan::plan::PlannedStatement;
use kokkiri_primitives::activity::with_current;
use kokkiri_primitives::settings::SetScope;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_types::builtin::oid;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value};

use super::plan_cache::Source;
use super::portal::{Held, HeldTag, Portal, Runs};
use super::run::Ran;
use super::statement::{self, Prepared};
use super::{Session, create_table_as, plan_cache, unknown_statement};
use crate::client::{Format, ResultColumn, RowSink};

/// A plan to be explained, with what is known of it so far.
struct Explained {
    plan: Arc<PlannedStatement>,
    parameters: Vec<Value>,
    times: StatementTimes,
}

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
    fn send_text_rows(
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
    fn execute_values(&self, source: &Source, execute: &ExecuteStmt) -> Result<Vec<Value>> {
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

    /// EXPLAIN.
    fn explain(
        &mut self,
        explain: &ExplainStmt,
        portal: &mut Portal,
        raw: &RawStatement,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let options = explain_options(&explain.options)?;
        let usage =
            || with_current(|backend| backend.map(|backend| backend.usage.snapshot())).unwrap_or_default();
        let inner = match &explain.query {
            Statement::Execute(execute) => {
                let Some(mut source) = self.statements.lend(&execute.name) else {
                    return Err(unknown_statement(&execute.name));
                };
                let (before, started) = (usage(), Instant::now());
                let planned = self.plan_execute(&mut source, execute);
                self.statements.give_back(&execute.name, source);
                let (plan, parameters) = planned?;
                let times = StatementTimes {
                    planning: started.elapsed(),
                    planning_usage: usage() - before,
                    ..StatementTimes::default()
                };
                let explained = Explained { plan, parameters, times };
                return self.explain_plan(options, explained, portal, limit, sink);
            }
            query if statement::is_query(query) => query.clone(),
            other => {
                return Err(Error::not_supported(format!(
                    "EXPLAIN {}",
                    kokkiri_command::statement_name(other)
                )));
            }
        };
        let query = Arc::new(RawStatement { statement: inner, location: raw.location, length: raw.length });
        let view = self.view();
        let facts = self.facts(&view);
        let Prepared::Query(query) = statement::prepare(&facts, &query, Parameters::none())?.0 else {
            return Err(Error::internal("EXPLAIN of what is no query"));
        };
        let (before, started) = (usage(), Instant::now());
        let plan = statement::plan(&facts, query, &[])?;
        let times = StatementTimes {
            planning: started.elapsed(),
            planning_usage: usage() - before,
            ..StatementTimes::default()
        };
        self.explain_plan(options, Explained { plan, parameters: Vec::new(), times }, portal, limit, sink)
    }

    /// The plan that EXECUTE would run, and its parameters' values.
    fn plan_execute(
        &self,
        source: &mut Source,
        execute: &ExecuteStmt,
    ) -> Result<(Arc<PlannedStatement>, Vec<Value>)> {
        let is_query = source.raw.as_ref().is_some_and(|raw| statement::is_query(&raw.statement));
        if !is_query {
            return Err(Error::not_supported("EXPLAIN EXECUTE of what is not planned"));
        }
        let values = self.execute_values(source, execute)?;
        let view = self.view();
        let (plan, _) = source.plan(&self.facts(&view), &values)?;
        Ok((plan, values))
    }

    /// Runs a plan if that is asked for and sends what there is to tell of it.
    fn explain_plan(
        &mut self,
        options: ExplainOptions,
        explained: Explained,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let Explained { plan, parameters, mut times } = explained;
        let view = self.view();
        let facts = self.facts(&view);
        let mut execution = Execution::new(Arc::clone(&plan), &facts)?;
        if options.analyze {
            execution.instrument(options.timing);
            let snapshot = self.block.transaction().snapshot();
            let environment = self.environment(&snapshot, &parameters);
            let started = Instant::now();
            while execution.next(&environment, BATCH_ROWS)?.is_some() {}
            times.execution = started.elapsed();
            execution.end_loops();
        }
        let settings = if options.settings { self.settings.explained() } else { Vec::new() };
        let lines = explain::explain(&plan, Some(&execution), &facts, options, times, &settings)?;
        let rows = CommandRows {
            columns: vec!["QUERY PLAN".to_owned()],
            rows: lines.into_iter().map(|line| vec![Some(line)]).collect(),
        };
        self.send_text_rows(portal, rows, "EXPLAIN".to_owned(), limit, sink)
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

/// EXPLAIN's options with their defaults: ANALYZE brings TIMING, SUMMARY and BUFFERS.
fn explain_options(given: &[DefElem]) -> Result<ExplainOptions> {
    let mut options = ExplainOptions::default();
    let (mut timing, mut summary, mut buffers, mut wal) = (None, None, None, false);
    for option in given {
        if option.name == "format" {
            explain_format(option)?;
            continue;
        }
        let on = match &option.arg {
            None => true,
            Some(DefArg::Boolean(on)) => *on,
            Some(DefArg::Integer(number)) => *number != 0,
            Some(DefArg::String(word)) => kokkiri_primitives::settings::parse_bool(word)
                .ok_or_else(|| error!(SYNTAX_ERROR, "{} requires a Boolean value", option.name))?,
            Some(_) => return Err(error!(SYNTAX_ERROR, "{} requires a Boolean value", option.name)),
        };
        match option.name.as_str() {
            "analyze" => options.analyze = on,
            "verbose" => options.verbose = on,
            "costs" => options.costs = on,
            "buffers" => buffers = Some(on),
            "timing" => timing = Some(on),
            "summary" => summary = Some(on),
            "wal" if on => wal = true,
            "settings" => options.settings = on,
            "memory" | "serialize" | "generic_plan" if on => {
                return Err(Error::not_supported(format!("EXPLAIN option {}", option.name.to_uppercase())));
            }
            "wal" | "memory" | "serialize" | "generic_plan" => {}
            other => {
                return Err(error!(SYNTAX_ERROR, "unrecognized EXPLAIN option \"{other}\"")
                    .at_location(option.location));
            }
        }
    }
    if wal && !options.analyze {
        return Err(error!(INVALID_PARAMETER_VALUE, "EXPLAIN option WAL requires ANALYZE"));
    }
    if wal {
        return Err(Error::not_supported("EXPLAIN option WAL"));
    }
    if timing == Some(true) && !options.analyze {
        return Err(error!(INVALID_PARAMETER_VALUE, "EXPLAIN option TIMING requires ANALYZE"));
    }
    options.timing = timing.unwrap_or(options.analyze);
    options.summary = summary.unwrap_or(options.analyze);
    options.buffers = buffers.unwrap_or(options.analyze);
    Ok(options)
}

/// The text format is the only one built.
fn explain_format(option: &DefElem) -> Result<()> {
    match &option.arg {
        Some(DefArg::String(word)) => match word.as_str() {
            "text" => Ok(()),
            "xml" | "json" | "yaml" => Err(Error::not_supported(format!("EXPLAIN format {word}"))),
            other => Err(error!(
                INVALID_PARAMETER_VALUE,
                "unrecognized value for EXPLAIN option \"format\": \"{other}\""
            )
            .at_location(option.location)),
        },
        _ => Err(error!(SYNTAX_ERROR, "format requires a parameter")),
    }
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
