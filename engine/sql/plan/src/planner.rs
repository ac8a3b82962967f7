//! The planner's entry.

use kokkiri_analyze::tree::{CommandType, Expression, Query, TargetEntry};
use kokkiri_primitives::settings::Settings;
use kokkiri_primitives::{Error, Result};
use kokkiri_types::Value;

use crate::cost::{Cost, CostParameters};
use crate::create::{finish, fix};
use crate::lookup::{CatalogFacts, Lookup};
use crate::plan::{ModifyTable, Plan, PlanNode, PlannedStatement};
use crate::query::plan_query;
use crate::root::Global;
pub use crate::stored_form::compressed_name;

/// How the plan is going to be used.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions<'a> {
    /// Values of `$1`, `$2`, ...: a plan for just these. Empty for a plan good for all.
    pub bound: &'a [Value],
    /// Rows are fetched through a cursor.
    pub is_cursor: bool,
    /// Rows go into a table: it wants columns besides, by [`compressed_name`], for how values are compressed.
    pub keeps_compression: bool,
}

/// Plans an analyzed and rewritten statement (`standard_planner`).
pub fn plan(
    facts: &dyn CatalogFacts,
    settings: &Settings,
    query: Box<Query>,
    options: PlanOptions<'_>,
) -> Result<PlannedStatement> {
    plan_with(facts, CostParameters::from_settings(settings), query, options)
}

/// [`plan`] with the cost parameters given.
pub fn plan_with(
    facts: &dyn CatalogFacts,
    cost: CostParameters,
    query: Box<Query>,
    options: PlanOptions<'_>,
) -> Result<PlannedStatement> {
    if query.command_type == CommandType::Utility {
        return Err(Error::internal("a utility statement has no plan"));
    }
    let tuple_fraction = if options.is_cursor { cost.cursor_tuple_fraction } else { 0.0 };
    let tuple_fraction = if tuple_fraction >= 1.0 { 0.0 } else { tuple_fraction };
    let mut global = Global {
        lookup: Lookup::new(facts, options.bound, &cost),
        cost,
        range_table: Vec::new(),
        subplans: Vec::new(),
        parameter_count: 0,
        count_groups: false,
        relations: Vec::new(),
        keeps_compression: options.keeps_compression,
    };
    let command_type = query.command_type;
    let planned = plan_query(&mut global, query, tuple_fraction)?;
    let query = planned.query;
    let has_returning = !query.returning_list.is_empty();
    let mut plan = match command_type {
        CommandType::Insert | CommandType::Update | CommandType::Delete => {
            modify_table(&mut global, planned.plan, &query)?
        }
        _ => planned.plan,
    };
    let mut next_id = 0;
    finish(&mut plan, &mut next_id);
    let mut subplans: Vec<Plan> = global.subplans.into_iter().map(|entry| entry.plan).collect();
    for subplan in &mut subplans {
        finish(subplan, &mut next_id);
    }
    let mut relations = global.relations;
    relations.sort_by_key(|oid| oid.0);
    relations.dedup();
    Ok(PlannedStatement {
        command_type,
        result_columns: match &plan.node {
            PlanNode::ModifyTable(modify) => modify.returning.len(),
            _ => plan.target_list.iter().filter(|target| !target.resjunk).count(),
        },
        plan,
        range_table: global.range_table,
        subplans,
        parameter_count: global.parameter_count as usize,
        has_returning,
        relations,
        transient: false,
        node_count: next_id,
    })
}

/// Puts a ModifyTable on top of the plan that finds the rows.
fn modify_table(global: &mut Global<'_>, mut input: Plan, query: &Query) -> Result<Plan> {
    let relid = query.result_relation;
    let kokkiri_analyze::tree::RteKind::Relation { relid: relation, .. } = global.rte(relid).kind.clone()
    else {
        return Err(Error::internal("the target of a modification is a table"));
    };
    let table = global.lookup.relation(relation)?;
    global.relations.push(relation);
    let mut new_columns = vec![None; table.relation.tuple_desc.len()];
    // For INSERT and UPDATE the target list's numbers are those of the table's columns.
    if query.command_type != CommandType::Delete {
        for (at, target) in query.target_list.iter().enumerate().filter(|(_, target)| !target.resjunk) {
            let slot = new_columns
                .get_mut(target.resno as usize - 1)
                .ok_or_else(|| Error::internal("a target column is not one of the table's"))?;
            *slot = Some(at + 1);
        }
    }
    let ctid_column = query.target_list.iter().position(|target| {
        target.resjunk
            && matches!(&target.expr, Expression::Var(var) if var.varno == relid && var.varattno == -1)
    });
    let named = |name: &str| {
        let mut targets = query.target_list.iter();
        targets.position(|target| target.resjunk && target.resname.as_deref() == Some(name))
    };
    let compressed_columns = (0..new_columns.len())
        .filter_map(|at| Some((at, named(&compressed_name(at as i16 + 1))? + 1)))
        .collect();
    let exprs: Vec<Expression> = query.target_list.iter().map(|target| target.expr.clone()).collect();
    let returning: Vec<TargetEntry> = query
        .returning_list
        .iter()
        .map(|target| TargetEntry { expr: resolve_returning(&target.expr, relid, &exprs), ..target.clone() })
        .collect();
    for (at, target) in input.target_list.iter_mut().enumerate() {
        target.resno = at as i16 + 1;
    }
    let has_returning = !returning.is_empty();
    let init_plans = std::mem::take(&mut input.init_plans);
    Ok(Plan {
        id: 0,
        cost: Cost { startup: input.cost.startup, total: input.cost.total },
        rows: if has_returning { input.rows } else { 0.0 },
        width: if has_returning { input.width } else { 0 },
        disabled_nodes: input.disabled_nodes,
        target_list: returning.clone(),
        qual: Vec::new(),
        init_plans,
        parameters: Vec::new(),
        node: PlanNode::ModifyTable(Box::new(ModifyTable {
            operation: query.command_type,
            result_relation: relid,
            relation,
            input,
            new_columns,
            compressed_columns,
            ctid_column: ctid_column.map(|at| at + 1),
            returning,
            on_conflict: query.on_conflict.as_deref().cloned(),
            row_marks: crate::query::reference_marks(&query.target_list, |other| other == relid),
        })),
    })
}

/// RETURNING looks at the new row by the table's own variables, at others by the input's columns.
fn resolve_returning(expr: &Expression, relid: u32, exprs: &[Expression]) -> Expression {
    let is_own = |expr: &Expression| matches!(expr, Expression::Var(var) if var.varno == relid);
    let mut fixed = expr.clone();
    crate::expression::substitute(&mut fixed, &mut |node| match node {
        Expression::Var(_) if !is_own(node) => Some(fix(node, exprs, None)),
        _ => None,
    });
    fixed
}
