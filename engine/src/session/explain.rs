//! EXPLAIN: of queries, of EXECUTE, and of CREATE TABLE AS and SELECT INTO, whose query it shows.
//!
//! Realises: `ExplainQuery`, `ExplainOneUtility`, `ExplainExecuteQuery`, `ParseExplainOptionList`.
//! `kokkiri_execute::explain` words the plan.

use std::sync::Arc;
use std::time::Instant;

use kokkiri_analyze::Parameters;
use kokkiri_command::{CommandRows, table_of_query};
use kokkiri_execute::execution::Execution;
use kokkiri_execute::explain::{self, ExplainOptions, StatementTimes};
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DefElem, ExecuteStmt, ExplainStmt, RawStatement, Statement};
use kokkiri_plan::plan::PlannedStatement;
use kokkiri_primitives::activity::with_current;
use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::{BATCH_ROWS, Value};

use super::plan_cache::Source;
use super::portal::Portal;
use super::run::Ran;
use super::statement::{self, Prepared};
use super::{Session, create_table_as, unknown_statement};
use crate::client::RowSink;

/// A plan to be explained, with what is known of it so far.
struct Explained {
    plan: Arc<PlannedStatement>,
    parameters: Vec<Value>,
    times: StatementTimes,
}

impl Session {
    pub(super) fn explain(
        &mut self,
        explain: &ExplainStmt,
        portal: &mut Portal,
        raw: &RawStatement,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let options = explain_options(&explain.options)?;
        let select_into = create_table_as::of_select_into(&explain.query);
        let create = match &explain.query {
            Statement::CreateTableAs(create) if create.materialized => {
                return Err(Error::not_supported("EXPLAIN CREATE MATERIALIZED VIEW"));
            }
            Statement::CreateTableAs(create) => Some(&**create),
            _ => select_into.as_ref(),
        };
        if create.is_some() && options.analyze {
            return Err(Error::not_supported("EXPLAIN ANALYZE of CREATE TABLE AS"));
        }
        let statement = create.map_or(&explain.query, |create| &create.query);
        let query = match statement {
            Statement::Execute(_) => None,
            statement if statement::is_query(statement) => {
                let query =
                    RawStatement { statement: statement.clone(), location: raw.location, length: raw.length };
                let view = self.view();
                match statement::prepare(&self.facts(&view), &Arc::new(query), Parameters::none())?.0 {
                    Prepared::Query(query) => Some(query),
                    _ => return Err(Error::internal("EXPLAIN of what is no query")),
                }
            }
            other => {
                return Err(Error::not_supported(format!(
                    "EXPLAIN {}",
                    kokkiri_command::statement_name(other)
                )));
            }
        };
        if let Some(create) = create
            && self.with_command(|context| table_of_query::exists(context, create))?
        {
            return self.send_plan(Vec::new(), portal, limit, sink);
        }
        let usage =
            || with_current(|backend| backend.map(|backend| backend.usage.snapshot())).unwrap_or_default();
        let (before, started) = (usage(), Instant::now());
        let (plan, parameters) = match (statement, query) {
            (Statement::Execute(execute), _) => self.plan_execute(execute)?,
            (_, Some(query)) => {
                let view = self.view();
                (statement::plan(&self.facts(&view), query, &[])?, Vec::new())
            }
            (_, None) => return Err(Error::internal("EXPLAIN of what is no query")),
        };
        let times = StatementTimes {
            planning: started.elapsed(),
            planning_usage: usage() - before,
            ..StatementTimes::default()
        };
        self.explain_plan(options, Explained { plan, parameters, times }, portal, limit, sink)
    }

    /// The plan that EXECUTE would run, and its parameters' values.
    fn plan_execute(&mut self, execute: &ExecuteStmt) -> Result<(Arc<PlannedStatement>, Vec<Value>)> {
        let Some(mut source) = self.statements.lend(&execute.name) else {
            return Err(unknown_statement(&execute.name));
        };
        let planned = self.plan_source(&mut source, execute);
        self.statements.give_back(&execute.name, source);
        planned
    }

    fn plan_source(
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
        if options.analyze && self.block.transaction().is_read_only() {
            statement::check_read_only(&view, &plan)?;
        }
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
        self.send_plan(lines, portal, limit, sink)
    }

    fn send_plan(
        &self,
        lines: Vec<String>,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let rows = CommandRows {
            columns: vec!["QUERY PLAN".to_owned()],
            rows: lines.into_iter().map(|line| vec![Some(line)]).collect(),
        };
        self.send_text_rows(portal, rows, "EXPLAIN".to_owned(), limit, sink)
    }
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
