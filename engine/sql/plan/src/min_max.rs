//! `min` and `max` as the first row of an index.
//!
//! Realises: `preprocess_minmax_aggregates` (planagg.c). Where every aggregate of an ungrouped query on one
//! table is the first value in some order, each becomes a subquery `SELECT x FROM t WHERE x IS NOT NULL ORDER
//! BY x LIMIT 1` that runs once. It is taken if the rows come in that order without a sort and all of them
//! together cost less than reading the table.

use std::rc::Rc;

use kokkiri_analyze::tree::{
    Expression, JoinTreeNode, NullTest, Query, RteKind, SortGroupClause, TargetEntry,
};
use kokkiri_parse::Location;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;

use crate::cost::Cost;
use crate::expression::{conjunction, conjuncts, constant, exec_param};
use crate::path::{Path, PathKind, Target};
use crate::plan::{InitPlan, Plan, PlanNode};
use crate::query::plan_query;
use crate::root::{Root, SubplanEntry};
use crate::tree::visit_vars;

const INT8: Oid = Oid(20);

/// An aggregate with the operator that sorts its value to the front.
struct Extreme {
    /// As the level's targets have it.
    aggregate: Expression,
    /// Over the range table of the query as it was before planning began.
    argument: Expression,
    operator: Oid,
}

impl Root<'_, '_> {
    /// The path that asks an index for each aggregate, if there is one and it costs less than `cheapest`.
    /// `source` is the query as it was before planning began.
    pub fn min_max_path(
        &mut self,
        source: &Query,
        target: &Rc<Target>,
        cheapest: f64,
    ) -> Result<Option<Rc<Path>>> {
        let Some(extremes) = self.extremes(source)? else { return Ok(None) };
        let (tables, plans) = (self.global.range_table.len(), self.global.subplans.len());
        let (parameters, relations) = (self.global.parameter_count, self.global.relations.len());
        let mut found: Vec<(Expression, Plan)> = Vec::new();
        for extreme in &extremes {
            match self.first_row_plan(source, extreme)? {
                Some(plan) => found.push((extreme.aggregate.clone(), plan)),
                None => break,
            }
        }
        let rows: f64 = found.iter().map(|(_, plan)| plan.cost.total).sum();
        let having: Vec<Expression> = self.query.having_qual.clone().map(conjuncts).unwrap_or_default();
        let mut cost = Cost { startup: rows + target.cost.startup, total: 0.0 };
        for condition in &having {
            let qual = self.expression_cost(condition)?;
            cost.startup += qual.startup + qual.per_tuple;
        }
        cost.total = cost.startup + target.cost.per_tuple + self.global.cost.cpu_tuple_cost;
        if found.len() < extremes.len() || cost.total >= cheapest {
            self.global.range_table.truncate(tables);
            self.global.subplans.truncate(plans);
            self.global.relations.truncate(relations);
            self.global.parameter_count = parameters;
            return Ok(None);
        }
        let mut values = Vec::new();
        for (aggregate, plan) in found {
            let plan_id = self.global.subplans.len();
            let (cost, rows) = (plan.cost, plan.rows);
            self.global.subplans.push(SubplanEntry { plan, cost, rows });
            let id = self.global.new_parameter();
            self.init_plans.push(InitPlan {
                plan_id,
                name: format!("InitPlan {}", plan_id + 1),
                exists: false,
                array_of: None,
                set_parameters: vec![id],
            });
            self.paid_init_plans.push(plan_id);
            values.push((aggregate.clone(), exec_param(id, &aggregate)));
        }
        Ok(Some(Rc::new(Path {
            kind: PathKind::MinMax { values, having },
            relids: Default::default(),
            required_outer: Default::default(),
            target: Rc::clone(target),
            rows: 1.0,
            cost,
            disabled_nodes: 0,
            pathkeys: Vec::new(),
        })))
    }

    /// The query's aggregates, if all are the first value of an order over one table.
    fn extremes(&self, source: &Query) -> Result<Option<Vec<Extreme>>> {
        let [JoinTreeNode::RangeTblRef(relid)] = source.jointree.from_list.as_slice() else {
            return Ok(None);
        };
        let is_table = source
            .rtable
            .get(*relid as usize - 1)
            .is_some_and(|entry| matches!(entry.kind, RteKind::Relation { tablesample: None, .. }));
        if !is_table || !source.row_marks.is_empty() {
            return Ok(None);
        }
        let mut aggregates: Vec<Expression> = Vec::new();
        let query = &self.query;
        for expr in query.target_list.iter().map(|target| &target.expr).chain(&query.having_qual) {
            expr.walk(&mut |node| {
                if let Expression::Aggref(_) = node {
                    if !aggregates.contains(node) {
                        aggregates.push(node.clone());
                    }
                    return false;
                }
                true
            });
        }
        let mut extremes = Vec::new();
        for aggregate in aggregates {
            let Expression::Aggref(aggref) = &aggregate else { continue };
            let [argument] = aggref.args.as_slice() else { return Ok(None) };
            let mut argument = argument.expr.clone();
            visit_vars(&mut argument, 0, &mut |var, depth| {
                if var.varlevelsup == depth {
                    var.varno -= self.first_relation;
                }
            });
            let is_plain = aggref.agglevelsup == 0
                && aggref.aggorder.is_empty()
                && aggref.aggfilter.is_none()
                && crate::expression::relids(&argument).contains(*relid)
                && !crate::expression::has_sublinks(&argument)
                && !self.global.lookup.is_volatile(&argument)?;
            let operator = self.global.lookup.facts.aggregate(aggref.aggfnoid)?.sort_operator;
            let Some(operator) = operator.filter(|_| is_plain) else { return Ok(None) };
            extremes.push(Extreme { argument, operator, aggregate: aggregate.clone() });
        }
        Ok((!extremes.is_empty()).then_some(extremes))
    }

    /// The plan for the first row in an aggregate's order, if no sort is needed for it.
    fn first_row_plan(&mut self, source: &Query, extreme: &Extreme) -> Result<Option<Plan>> {
        let Some((family, descending)) = self.global.lookup.ordering(extreme.operator)? else {
            return Ok(None);
        };
        let type_oid = self.global.lookup.family_type(family, extreme.argument.result_type())?;
        let Some(equality) = self.global.lookup.family_operator(family, type_oid, type_oid, 3)? else {
            return Ok(None);
        };
        // Nulls are left out: their place does not matter, so both are tried.
        for nulls_first in [descending, !descending] {
            let mut query = Box::new(source.clone());
            let mut target = TargetEntry::new(extreme.argument.clone(), 1, Some("agg_target".into()), false);
            target.ressortgroupref = 1;
            query.target_list = vec![target];
            query.has_aggs = false;
            query.having_qual = None;
            query.distinct_clause.clear();
            query.has_distinct_on = false;
            query.sort_clause = vec![SortGroupClause {
                tle_sort_group_ref: 1,
                eqop: equality,
                sortop: extreme.operator,
                reverse_sort: descending,
                nulls_first,
                hashable: false,
            }];
            query.limit_offset = None;
            query.limit_count = Some(constant(INT8, -1, Oid::INVALID, Value::Int64(1)));
            let not_null = Expression::NullTest(Box::new(NullTest {
                arg: extreme.argument.clone(),
                is_null: false,
                arg_is_row: false,
                location: Location::UNKNOWN,
            }));
            let mut conditions = query.jointree.quals.take().map(conjuncts).unwrap_or_default();
            conditions.push(not_null);
            query.jointree.quals = conjunction(conditions);
            let (tables, plans) = (self.global.range_table.len(), self.global.subplans.len());
            let (parameters, relations) = (self.global.parameter_count, self.global.relations.len());
            let planned = plan_query(self.global, query, 1.0)?;
            let comes_in_order = matches!(&planned.plan.node, PlanNode::Limit { input, .. }
                if !matches!(input.node, PlanNode::Sort { .. }));
            if comes_in_order {
                return Ok(Some(planned.plan));
            }
            self.global.range_table.truncate(tables);
            self.global.subplans.truncate(plans);
            self.global.relations.truncate(relations);
            self.global.parameter_count = parameters;
        }
        Ok(None)
    }
}
