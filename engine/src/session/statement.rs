//! From a raw statement to something that can be run: analysis and planning.
//!
//! Realises: `pg_analyze_and_rewrite` and `pg_plan_query`.

use std::sync::Arc;

use kokkiri_analyze::tree::{CommandType, Query, RteKind};
use kokkiri_analyze::{Parameters, analyze};
use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_plan::plan::{PlanNode, PlannedStatement, RowMarkType};
use kokkiri_plan::planner::PlanOptions;
use kokkiri_primitives::{Oid, Result, bail};
use kokkiri_types::Value;
use kokkiri_types::number::write_u64;

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
    Ok((Prepared::Query(analyzed.query), analyzed.parameter_types))
}

/// Plans an analyzed query for these parameter values.
pub fn plan(facts: &ViewFacts<'_>, query: Box<Query>, parameters: &[Value]) -> Result<Arc<PlannedStatement>> {
    plan_with(facts, query, PlanOptions { bound: parameters, ..PlanOptions::default() })
}

pub fn plan_with(
    facts: &ViewFacts<'_>,
    query: Box<Query>,
    options: PlanOptions<'_>,
) -> Result<Arc<PlannedStatement>> {
    permission::check(facts.view, &query)?;
    Ok(Arc::new(kokkiri_plan::planner::plan(facts, facts.view.settings, query, options)?))
}

/// Refuses what a read-only transaction may not do: change or lock rows of tables that others see.
///
/// Realises: `ExecCheckXactReadOnly`.
///
/// # Errors
/// 25006.
pub fn check_read_only(view: &CatalogView<'_>, plan: &PlannedStatement) -> Result<()> {
    let (command, relations) = match &plan.plan.node {
        PlanNode::ModifyTable(modify) => {
            let command = match modify.operation {
                CommandType::Insert => "INSERT",
                CommandType::Update => "UPDATE",
                CommandType::Delete => "DELETE",
                _ => "MERGE",
            };
            (command, vec![modify.relation])
        }
        _ => locked_rows(plan),
    };
    for relation in relations {
        if !view.expect_relation(relation)?.relation.is_temporary() {
            bail!(READ_ONLY_SQL_TRANSACTION, "cannot execute {command} in a read-only transaction");
        }
    }
    Ok(())
}

/// The tables whose rows a SELECT locks, and what it is called for that.
fn locked_rows(plan: &PlannedStatement) -> (&'static str, Vec<Oid>) {
    let mut top = &plan.plan;
    while let PlanNode::Limit { input, .. } = &top.node {
        top = input;
    }
    let PlanNode::LockRows { row_marks, .. } = &top.node else { return ("SELECT", Vec::new()) };
    let command = |mark: RowMarkType| match mark {
        RowMarkType::Exclusive => Some("SELECT FOR UPDATE"),
        RowMarkType::NoKeyExclusive => Some("SELECT FOR NO KEY UPDATE"),
        RowMarkType::Share => Some("SELECT FOR SHARE"),
        RowMarkType::KeyShare => Some("SELECT FOR KEY SHARE"),
        RowMarkType::Reference | RowMarkType::Copy => None,
    };
    let locking = row_marks.iter().filter(|mark| command(mark.mark_type).is_some());
    let relations = locking.filter_map(|mark| match plan.range_table.get(mark.relid as usize - 1)?.kind {
        RteKind::Relation { relid, .. } => Some(relid),
        _ => None,
    });
    let name = row_marks.iter().find_map(|mark| command(mark.mark_type));
    (name.unwrap_or("SELECT"), relations.collect())
}

/// The command tag of a finished query.
pub fn query_tag(plan: &PlannedStatement, rows: u64) -> String {
    let command = match plan.command_type {
        CommandType::Select => "SELECT ",
        CommandType::Insert => "INSERT 0 ",
        CommandType::Update => "UPDATE ",
        CommandType::Delete => "DELETE ",
        CommandType::Merge => "MERGE ",
        CommandType::Utility => unreachable!("a utility statement has no plan"),
    };
    let mut digits = Vec::new();
    write_u64(rows, &mut digits);
    String::from_utf8([command.as_bytes(), &digits].concat()).expect("digits are text")
}
