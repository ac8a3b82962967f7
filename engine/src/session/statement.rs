//! From a raw statement to something that can be run: analysis, planning, and what a result looks like.
//!
//! Realises: `pg_analyze_and_rewrite`, `pg_plan_query` and plancache.c. A prepared statement keeps its raw
//! tree; its plan is made at the first Bind and again whenever the catalogs, the search path or the role
//! have changed since. The tables of a kept plan are locked before it is trusted.

use std::sync::Arc;

use kokkiri_analyze::tree::{CommandType, Query, RangeTblEntry, RteKind};
use kokkiri_analyze::{Parameters, analyze};
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_execute::execution::Execution;
use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_plan::plan::{Plan, PlanNode, PlanRowMark, PlannedStatement};
use kokkiri_plan::planner::PlanOptions;
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Oid, Result};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::Value;

use crate::client::ResultColumn;

/// What one statement turned out to be.
pub enum Prepared {
    /// SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES.
    Query(Box<Query>),
    /// Everything else, as it was parsed.
    Utility(Arc<RawStatement>),
}

/// A parsed statement with what has been found out about it.
pub struct Source {
    pub text: Arc<str>,
    pub raw: Option<Arc<RawStatement>>,
    pub parameter_types: Vec<Oid>,
    /// Columns of its result, if it has one.
    pub columns: Option<Arc<[ResultColumn]>>,
    pub kept: Option<KeptPlan>,
}

/// A plan with what it was made under.
pub struct KeptPlan {
    pub plan: Arc<PlannedStatement>,
    /// An execution of the plan that nobody uses at the moment.
    pub spare: Option<Box<Execution>>,
    made_under: Circumstances,
}

/// What makes a plan of yesterday wrong today.
#[derive(Clone, PartialEq)]
struct Circumstances {
    shared: kokkiri_catalog::cache::CacheVersion,
    own: kokkiri_catalog::cache::CacheVersion,
    search_path: Arc<str>,
    role: Oid,
}

impl Circumstances {
    fn now(view: &kokkiri_catalog::view::CatalogView<'_>) -> Self {
        Self {
            shared: view.session.catalog.shared_cache().version(),
            own: view.session.database.cache().version(),
            search_path: view.settings.get(parameters::SEARCH_PATH),
            role: view.role,
        }
    }
}

impl Source {
    /// Takes back an execution of the kept plan.
    pub fn give_back(&mut self, execution: Execution) {
        if let Some(kept) = &mut self.kept
            && Arc::ptr_eq(&kept.plan, execution.statement())
        {
            kept.spare = Some(Box::new(execution));
        }
    }
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
    let options = PlanOptions { bound: parameters, is_cursor: false };
    Ok(Arc::new(kokkiri_plan::planner::plan(facts, facts.view.settings, query, options)?))
}

impl Source {
    /// The plan to run, good for all parameter values: the kept one if it is still right.
    pub fn plan(&mut self, facts: &ViewFacts<'_>) -> Result<Arc<PlannedStatement>> {
        let view = facts.view;
        let raw = self.raw.as_ref().expect("an empty statement is not planned");
        if let Some(kept) = &self.kept {
            for (relation, mode) in locks_of(&kept.plan) {
                view.lock_relation_oid(relation, mode, WaitPolicy::Block)?;
            }
            if !view.session.has_changes() && kept.made_under == Circumstances::now(view) {
                return Ok(Arc::clone(&kept.plan));
            }
        }
        let made_under = Circumstances::now(view);
        let parameters = Parameters::fixed(self.parameter_types.clone());
        let (Prepared::Query(query), _) = prepare(facts, raw, parameters)? else {
            unreachable!("only queries are planned");
        };
        let plan = plan(facts, *query, &[])?;
        let keeps = !plan.transient && !view.session.has_changes();
        self.kept = keeps.then(|| KeptPlan { plan: Arc::clone(&plan), spare: None, made_under });
        Ok(plan)
    }
}

/// The table locks that a plan needs: the target's for writing, row-locked tables' and the others' for
/// reading.
fn locks_of(plan: &PlannedStatement) -> impl Iterator<Item = (Oid, LockMode)> + '_ {
    let target = match &plan.plan.node {
        PlanNode::ModifyTable(modify) => Some(modify.relation),
        _ => None,
    };
    let marked: Vec<Oid> = row_marks(&plan.plan)
        .iter()
        .filter_map(|mark| relation_of(plan.range_table.get(mark.relid as usize - 1)?))
        .collect();
    plan.range_table.iter().filter_map(relation_of).map(move |relation| {
        let mode = if Some(relation) == target {
            LockMode::RowExclusive
        } else if marked.contains(&relation) {
            LockMode::RowShare
        } else {
            LockMode::AccessShare
        };
        (relation, mode)
    })
}

fn relation_of(entry: &RangeTblEntry) -> Option<Oid> {
    match entry.kind {
        RteKind::Relation { relid, .. } => Some(relid),
        _ => None,
    }
}

/// The row marks of FOR UPDATE and its kin at the top of a plan.
fn row_marks(plan: &Plan) -> &[PlanRowMark] {
    match &plan.node {
        PlanNode::LockRows { row_marks, .. } => row_marks,
        PlanNode::Limit { input, .. } => self::row_marks(input),
        _ => &[],
    }
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
