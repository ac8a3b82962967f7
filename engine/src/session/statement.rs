//! From a raw statement to something that can be run: analysis and planning.
//!
//! Realises: `pg_analyze_and_rewrite` and `pg_plan_query`.

use std::sync::Arc;

use kokkiri_analyze::tree::{CommandType, Query};
use kokkiri_analyze::{Parameters, analyze};
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_plan::plan::PlannedStatement;
use kokkiri_plan::planner::PlanOptions;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;

use super::permission;

/// What one statement turned out to be.
pub enum Prepared {
    /// SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES.
    Query(Box<Query>),
    /// Everything else, as it was parsed.
    Utility(Arc<RawStatement>),
}

/// True for the statements that are planned.
pub fn is_query(statement: &Statement) -> bool {
    match statement {
        Statement::Select(select) => select.into.is_none(),
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_) => true,
        _ => false,
    }
}

/// Analyzes a statement whose parameters have these types; zero where the client has not said. The types
/// come back as they were found out.
pub fn prepare(
    facts: &ViewFacts<'_>,
    raw: &Arc<RawStatement>,
    parameters: Parameters,
) -> Result<(Prepared, Vec<Oid>)> {
    if !is_query(&raw.statement) {
        return Ok((Prepared::Utility(Arc::clone(raw)), parameters.types));
    }
    let analyzed = analyze(facts.view, facts.call.io, raw, parameters)?;
    Ok((Prepared::Query(Box::new(analyzed.query)), analyzed.parameter_types))
}

/// Plans an analyzed query for these parameter values.
pub fn plan(facts: &ViewFacts<'_>, query: Query, parameters: &[Value]) -> Result<Arc<PlannedStatement>> {
    permission::check(facts.view, &query)?;
    let options = PlanOptions { bound: parameters, is_cursor: false };
    Ok(Arc::new(kokkiri_plan::planner::plan(facts, facts.view.settings, query, options)?))
}

/// The command tag of a finished query.
pub fn query_tag(plan: &PlannedStatement, rows: u64) -> String {
    match plan.command_type {
        CommandType::Select => format!("SELECT {rows}"),
        CommandType::Insert => format!("INSERT 0 {rows}"),
        CommandType::Update => format!("UPDATE {rows}"),
        CommandType::Delete => format!("DELETE {rows}"),
        CommandType::Merge => format!("MERGE {rows}"),
        CommandType::Utility => unreachable!("a utility statement has no plan"),
    }
}
