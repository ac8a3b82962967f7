//! Planning one query level: from its tree to the plan, and the steps above scans and joins.
//!
//! Realises: `subquery_planner` and `grouping_planner` of planner.c.

use std::rc::Rc;

use kokkiri_analyze::tree::{
    CommandType, Expression, GroupingSet, LimitOption, LockStrength, LockWait, ParamKind, Query, Relids,
    RteKind, SortGroupClause, TargetEntry, Var,
};
use kokkiri_parse::Location;
use kokkiri_primitives::{Error, Oid, Result, stack};
use kokkiri_types::Value;

use crate::cost::{self, AggregateCost, AggregateInput, Cost, EvaluationCost, Grouping};
use crate::expression::{clause_target, conjuncts, returns_set, variables};
use crate::path::{
    GroupTarget, Path, PathKey, PathKind, Target, add_path, cheapest_fractional, cheapest_total,
    order_satisfies,
};
use crate::plan::{AggStrategy, LockWaitPolicy, Plan, PlanRowMark, RowMarkType};
use crate::pull_up::inline_ctes;
use crate::relation::PlannedSubquery;
use crate::root::{Global, Root};
use crate::simplify::simplify;
use crate::tree::{JoinTree, shift_query};

/// A planned query level.
pub struct PlannedQuery {
    pub plan: Plan,
    /// For each column of the result the order it comes in.
    pub order: Vec<(i16, Oid, bool, bool)>,
    pub distinct_columns: Vec<i16>,
    /// Distinct rows, if they were asked for.
    pub groups: Option<f64>,
    /// The query after preprocessing, for what stands above the plan.
    pub query: Box<Query>,
}

/// Plans a query level. `tuple_fraction`: 0 all rows, below 1 a fraction, else a number.
pub fn plan_query(
    global: &mut Global<'_>,
    mut query: Box<Query>,
    tuple_fraction: f64,
) -> Result<PlannedQuery> {
    stack::check_depth()?;
    let count_groups = std::mem::take(&mut global.count_groups);
    inline_ctes(&mut query)?;
    // GROUP BY () is one group of all rows.
    if query.grouping_sets == [GroupingSet::Empty] {
        query.grouping_sets.clear();
        query.has_aggs = true;
    }
    check_supported(&query)?;
    let may_be_min_max = query.has_aggs
        && query.command_type == CommandType::Select
        && query.group_clause.is_empty()
        && query.set_operations.is_none()
        && query.cte_list.is_empty()
        && !depends_on_outer_row(&query);
    let min_max_source = may_be_min_max.then(|| query.clone());
    let mut tree = JoinTree::from_query(std::mem::take(&mut query.jointree));
    let has_having = query.having_qual.is_some();
    let offset = global.range_table.len() as u32;
    shift_query(&mut query, &mut tree, offset);
    // From here on the entries live in the flat range table alone.
    global.range_table.append(&mut query.rtable);
    let mut root = Root {
        global,
        query,
        tree,
        base: Default::default(),
        rels: Default::default(),
        special_joins: Vec::new(),
        classes: Vec::new(),
        outer_join_classes: Vec::new(),
        query_order: Vec::new(),
        init_plans: Vec::new(),
        paid_init_plans: Vec::new(),
        min_max_source,
        first_relation: offset,
        count_groups,
        constant_quals: Vec::new(),
        has_having,
        total_table_pages: 0.0,
        limit_tuples: -1.0,
        tuple_fraction,
        all_base: Relids::new(),
        loop_parameters: Vec::new(),
        substitutions: Vec::new(),
    };
    root.preprocess()?;
    root.plan()
}

/// True if the query must run again for each row of one around it: its parameters tell, and a subquery may.
fn depends_on_outer_row(query: &Query) -> bool {
    let mut depends = false;
    query.for_each_expression(&mut |expression| {
        depends |= expression.contains(|node| match node {
            Expression::Param(param) => param.kind != ParamKind::Extern,
            Expression::SubLink(_) => true,
            _ => false,
        });
    });
    depends
}

fn check_supported(query: &Query) -> Result<()> {
    let missing = if query.has_window_funcs {
        "a window function"
    } else if !query.grouping_sets.is_empty() {
        "GROUPING SETS"
    } else if query.command_type == CommandType::Merge {
        "MERGE"
    } else if query.has_distinct_on && query.distinct_clause.is_empty() {
        "DISTINCT ON"
    } else {
        return Ok(());
    };
    Err(Error::not_supported(missing))
}

impl Root<'_, '_> {
    fn preprocess(&mut self) -> Result<()> {
        self.flatten_join_variables();
        self.pull_up_sublinks()?;
        self.pull_up_subqueries()?;
        if !self.substitutions.is_empty() {
            let mut query = std::mem::take(&mut self.query);
            self.substitute_in_query(&mut query, 0);
            self.query = query;
            self.substitute_in_range_table();
        }
        self.simplify_tree()?;
        if !self.tree.postpone_lateral_quals().is_empty() {
            return Err(Error::internal("a condition looks at relations that no join brings"));
        }
        self.reduce_outer_joins()?;
        self.preprocess_targets()?;
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        tree.for_each_quals_mut(&mut |quals: &mut Vec<Expression>| -> Result<()> {
            for qual in quals.iter_mut() {
                let taken = std::mem::replace(qual, crate::expression::boolean(None));
                *qual = self.plan_sublinks(taken)?;
            }
            Ok(())
        })?;
        self.tree = tree;
        self.preprocess_range_table()?;
        self.split_having()?;
        self.remove_self_joins()
    }

    /// LATERAL items may mention columns of subqueries that are no more.
    fn substitute_in_range_table(&mut self) {
        for relid in self.tree.relids(false).iter() {
            let mut entry = self.global.rte(relid).clone();
            match &mut entry.kind {
                RteKind::Function { functions, .. } => {
                    functions.iter_mut().for_each(|function| self.substitute_in(&mut function.expr, 0));
                }
                RteKind::Values { lists, .. } => {
                    lists.iter_mut().flatten().for_each(|value| self.substitute_in(value, 0));
                }
                RteKind::Subquery { query, .. } => self.substitute_in_query(query, 1),
                _ => continue,
            }
            self.global.range_table[relid as usize - 1] = entry;
        }
    }

    fn prepare(&mut self, expression: Expression) -> Result<Expression> {
        let simplified = simplify(&self.global.lookup, expression)?;
        self.plan_sublinks(simplified)
    }

    fn preprocess_range_table(&mut self) -> Result<()> {
        for relid in self.tree.relids(false).iter() {
            let mut entry = self.global.rte(relid).clone();
            match &mut entry.kind {
                RteKind::Function { functions, .. } => {
                    for function in functions {
                        function.expr = self.prepare(function.expr.clone())?;
                    }
                }
                RteKind::Values { lists, .. } => {
                    for value in lists.iter_mut().flatten() {
                        *value = self.prepare(value.clone())?;
                    }
                }
                _ => continue,
            }
            self.global.range_table[relid as usize - 1] = entry;
        }
        Ok(())
    }

    fn preprocess_targets(&mut self) -> Result<()> {
        let mut targets = std::mem::take(&mut self.query.target_list);
        let mut returning = std::mem::take(&mut self.query.returning_list);
        for target in targets.iter_mut().chain(&mut returning) {
            target.expr =
                self.prepare(std::mem::replace(&mut target.expr, crate::expression::boolean(None)))?;
        }
        self.query.target_list = targets;
        self.query.returning_list = returning;
        let places: [fn(&mut Query) -> &mut Option<Expression>; 3] =
            [|query| &mut query.having_qual, |query| &mut query.limit_offset, |query| &mut query.limit_count];
        for place in places {
            if let Some(expression) = place(&mut self.query).take() {
                *place(&mut self.query) = Some(self.prepare(expression)?);
            }
        }
        let mut conflict = self.query.on_conflict.take();
        if let Some(conflict) = &mut conflict {
            for target in &mut conflict.set {
                target.expr = self.prepare(target.expr.clone())?;
            }
            if let Some(condition) = &mut conflict.where_clause {
                *condition = self.prepare(condition.clone())?;
            }
        }
        self.query.on_conflict = conflict;
        Ok(())
    }

    /// Conditions of HAVING without aggregates filter before grouping.
    fn split_having(&mut self) -> Result<()> {
        let Some(having) = self.query.having_qual.take() else { return Ok(()) };
        let mut kept = Vec::new();
        for condition in conjuncts(having) {
            let movable = !self.query.group_clause.is_empty()
                && !crate::expression::has_aggregates(&condition)
                && !crate::expression::has_subplans(&condition)
                && !self.global.lookup.is_volatile(&condition)?;
            match &mut self.tree {
                JoinTree::From { quals, .. } if movable => quals.push(condition),
                _ => kept.push(condition),
            }
        }
        self.query.having_qual = crate::expression::conjunction(kept);
        Ok(())
    }

    fn plan(mut self) -> Result<PlannedQuery> {
        if self.query.set_operations.is_some() {
            return self.plan_set_operations();
        }
        self.add_base_relations()?;
        self.add_junk_columns()?;
        let (offset, count) = self.preprocess_limit();
        let targets = self.query.target_list.clone();
        let order = self.query.sort_clause.clone();
        let group = self.query.group_clause.clone();
        let distinct = self.query.distinct_clause.clone();
        let top = Relids::single(0);
        for target in &targets {
            self.need_columns(&target.expr, &top);
        }
        if let Some(having) = self.query.having_qual.clone() {
            self.need_columns(&having, &top);
        }
        for target in self.query.returning_list.clone() {
            if self.query.command_type != CommandType::Insert {
                self.need_other_columns(&target.expr, &top);
            }
        }
        self.distribute_quals()?;
        self.reduce_unique_semi_joins()?;

        let group_order = self.order_of(&group, &targets)?;
        let group_order = self.with_aggregate_order(group_order, &targets)?;
        let distinct_order = self.order_of(&distinct, &targets)?;
        let sort_order = self.order_of(&order, &targets)?.unwrap_or_default();
        let is_grouped = !group.is_empty() || self.query.has_aggs || self.has_having;
        self.query_order = if is_grouped {
            group_order.clone().unwrap_or_default()
        } else if distinct_order.as_ref().is_some_and(|keys| keys.len() > sort_order.len()) {
            distinct_order.clone().unwrap_or_default()
        } else {
            sort_order.clone()
        };

        let mut paths = self.scan_and_join()?;
        let final_target = self.final_target(&targets)?;
        // Set-returning functions that nothing sorts or compares come last.
        let has_sets = targets.iter().any(|entry| returns_set(&entry.expr));
        let sets_last = has_sets
            && !sort_order.is_empty()
            && !targets.iter().any(|entry| entry.ressortgroupref != 0 && returns_set(&entry.expr));
        let before_sets = if has_sets { self.target_below_sets(&targets)? } else { Rc::clone(&final_target) };
        if is_grouped {
            let input = self.group_input_target(&targets)?;
            paths = if input.exprs.iter().any(returns_set) {
                self.project_sets(paths, &input)?
            } else {
                paths.into_iter().map(|path| self.project(path, &input)).collect::<Result<_>>()?
            };
            paths = if group.is_empty() && !self.query.has_aggs {
                vec![self.lone_group_path(&before_sets)?]
            } else {
                self.group_paths(paths, &group, group_order, &before_sets)?
            };
        } else if sets_last || !has_sets {
            paths = paths.into_iter().map(|path| self.project(path, &before_sets)).collect::<Result<_>>()?;
        }
        if has_sets && !sets_last {
            paths = self.project_sets(paths, &final_target)?;
        }
        if !distinct.is_empty() {
            paths = self.distinct_paths(paths, &distinct, distinct_order, &sort_order)?;
        }
        if !sort_order.is_empty() {
            paths = self.order_paths(paths, &sort_order)?;
        }
        if sets_last {
            paths = self.project_sets(paths, &final_target)?;
        }
        if !self.query.row_marks.is_empty() {
            paths = self.lock_paths(paths)?;
        }
        if self.query.limit_count.is_some() || self.query.limit_offset.is_some() {
            paths = self.limit_paths(paths, offset, count);
        }
        let fraction = self.fraction_of(&paths);
        let best = cheapest_fractional(paths.iter(), fraction)
            .ok_or_else(|| Error::internal("could not devise a query plan"))?;
        self.finish(best, targets)
    }

    pub fn fraction_of(&self, paths: &[Rc<Path>]) -> f64 {
        if self.tuple_fraction >= 1.0 {
            let rows = cheapest_total(paths).map_or(1.0, |path| path.rows);
            self.tuple_fraction / rows
        } else {
            self.tuple_fraction
        }
    }

    /// Turns the winning path into the plan of this level.
    pub fn finish(mut self, best: Rc<Path>, targets: Vec<TargetEntry>) -> Result<PlannedQuery> {
        let made = self.create_plan(&best)?;
        let mut plan = made.plan;
        for (entry, target) in plan.target_list.iter_mut().zip(&targets) {
            entry.resname = target.resname.clone();
            entry.resjunk = target.resjunk;
            entry.ressortgroupref = target.ressortgroupref;
            entry.resorigtbl = target.resorigtbl;
            entry.resorigcol = target.resorigcol;
        }
        // A subquery's plan that has taken the place of its scan brings its own.
        let below = std::mem::replace(&mut plan.init_plans, std::mem::take(&mut self.init_plans));
        let unpaid = plan.init_plans.iter().filter(|init| !self.paid_init_plans.contains(&init.plan_id));
        let startup: f64 = unpaid.map(|init| self.global.subplans[init.plan_id].cost.total).sum();
        plan.cost.startup += startup;
        plan.cost.total += startup;
        plan.init_plans.extend(below);
        let order = self.visible_order(&best.pathkeys, &targets);
        let distinct_columns = self.distinct_columns(&targets);
        let groups = if self.count_groups { Some(self.distinct_rows(&targets, plan.rows)?) } else { None };
        Ok(PlannedQuery { plan, order, distinct_columns, groups, query: self.query })
    }

    /// Distinct rows of the result: all of them, where something has grouped them.
    fn distinct_rows(&self, targets: &[TargetEntry], rows: f64) -> Result<f64> {
        let query = &self.query;
        let grouped = !query.group_clause.is_empty()
            || !query.distinct_clause.is_empty()
            || query.has_aggs
            || self.has_having
            || self.base.is_empty();
        if grouped {
            return Ok(rows);
        }
        let exprs: Vec<Expression> =
            targets.iter().filter(|target| !target.resjunk).map(|target| target.expr.clone()).collect();
        self.group_count(&exprs, rows)
    }

    fn visible_order(&self, keys: &[PathKey], targets: &[TargetEntry]) -> Vec<(i16, Oid, bool, bool)> {
        let mut order = Vec::new();
        for key in keys {
            let class = &self.classes[key.class];
            let found = targets.iter().find(|target| {
                !target.resjunk
                    && class
                        .members
                        .iter()
                        .any(|member| crate::expression::same_value(&member.expr, &target.expr))
            });
            match found {
                Some(target) => order.push((target.resno, key.family, key.descending, key.nulls_first)),
                None => break,
            }
        }
        order
    }

    /// Columns whose combination occurs once in the result, as far as grouping says.
    fn distinct_columns(&self, targets: &[TargetEntry]) -> Vec<i16> {
        let clauses = if !self.query.distinct_clause.is_empty() {
            &self.query.distinct_clause
        } else {
            &self.query.group_clause
        };
        let columns: Option<Vec<i16>> = clauses
            .iter()
            .map(|clause| {
                clause_target(clause, targets).filter(|target| !target.resjunk).map(|target| target.resno)
            })
            .collect();
        columns.unwrap_or_default()
    }

    /// Columns that the executor needs beyond the query's own: where the old row is.
    fn add_junk_columns(&mut self) -> Result<()> {
        let add = |query: &mut Query, relid: u32, name: String| {
            let resno = query.target_list.len() as i16 + 1;
            let expr = Expression::Var(Var {
                varno: relid,
                varattno: -1,
                vartype: Oid(27),
                vartypmod: -1,
                varcollid: Oid::INVALID,
                varnullingrels: Relids::new(),
                varlevelsup: 0,
                returning: Default::default(),
                location: Location::UNKNOWN,
            });
            query.target_list.push(TargetEntry::new(expr, resno, Some(name), true));
        };
        match self.query.command_type {
            CommandType::Update | CommandType::Delete => {
                let relid = self.query.result_relation;
                if self.query.command_type == CommandType::Delete {
                    self.query.target_list.clear();
                }
                add(&mut self.query, relid, "ctid".into());
                let result = self.query.result_relation;
                for target in self.query.returning_list.clone() {
                    for var in variables(&target.expr) {
                        let known = self
                            .query
                            .target_list
                            .iter()
                            .any(|other| matches!(&other.expr, Expression::Var(known) if known == var));
                        if var.varno != result && !known {
                            let resno = self.query.target_list.len() as i16 + 1;
                            let expr = Expression::Var(var.clone());
                            self.query.target_list.push(TargetEntry::new(expr, resno, None, true));
                        }
                    }
                }
            }
            _ => {}
        }
        for mark in self.query.row_marks.clone() {
            add(&mut self.query, mark.rti, format!("ctid{}", mark.rti));
        }
        // Rows of the other tables stay the same when the plan is evaluated again for a changed one.
        let changes = matches!(self.query.command_type, CommandType::Update | CommandType::Delete);
        if changes || !self.query.row_marks.is_empty() {
            for relid in self.tree.relids(false).iter() {
                let is_table = matches!(self.global.rte(relid).kind, RteKind::Relation { .. });
                let is_marked = relid == self.query.result_relation
                    || self.query.row_marks.iter().any(|mark| mark.rti == relid);
                if is_table && !is_marked {
                    add(&mut self.query, relid, format!("ctid{relid}"));
                }
            }
        }
        Ok(())
    }

    fn need_other_columns(&mut self, expression: &Expression, top: &Relids) {
        let result = self.query.result_relation;
        let others: Vec<Expression> = variables(expression)
            .into_iter()
            .filter(|var| var.varno != result)
            .map(|var| Expression::Var(var.clone()))
            .collect();
        others.iter().for_each(|var| self.need_columns(var, top));
    }

    /// Estimates of OFFSET and LIMIT, and what they say about how many rows are wanted.
    pub fn preprocess_limit(&mut self) -> (Option<f64>, Option<f64>) {
        let estimate = |expr: &Option<Expression>| -> Option<f64> {
            match expr {
                None => None,
                Some(Expression::Const(constant)) => match constant.value {
                    Value::Int64(count) => Some(count.max(0) as f64),
                    _ => None,
                },
                Some(_) => Some(-1.0),
            }
        };
        let (offset, count) = (estimate(&self.query.limit_offset), estimate(&self.query.limit_count));
        if let Some(count) = count.filter(|count| *count >= 0.0) {
            let wanted = match offset {
                Some(offset) if offset < 0.0 => None,
                Some(offset) => Some(offset + count),
                None => Some(count),
            };
            if let Some(wanted) = wanted {
                self.limit_tuples = wanted;
                let wanted = wanted.max(1.0);
                self.tuple_fraction =
                    if self.tuple_fraction >= 1.0 { self.tuple_fraction.min(wanted) } else { wanted };
            }
        } else if count.is_some() && self.tuple_fraction == 0.0 {
            self.tuple_fraction = 0.1;
        }
        (offset, count)
    }

    fn scan_and_join(&mut self) -> Result<Vec<Rc<Path>>> {
        let constant: Vec<Expression> =
            std::mem::take(&mut self.constant_quals).iter().map(|clause| clause.expr.clone()).collect();
        if self.base.is_empty() {
            let cost = Cost { startup: 0.0, total: self.global.cost.cpu_tuple_cost };
            let path = Path {
                kind: PathKind::Result { input: None, constant_qual: constant },
                relids: Relids::new(),
                required_outer: Relids::new(),
                target: Rc::new(Target::default()),
                rows: 1.0,
                cost,
                disabled_nodes: 0,
                pathkeys: Vec::new(),
            };
            return Ok(vec![Rc::new(path)]);
        }
        self.plan_base_relations()?;
        let last = self.search_joins()?;
        let paths = self.rels.get(&last).map(|rel| rel.paths.clone()).unwrap_or_default();
        let paths: Vec<Rc<Path>> = paths.into_iter().filter(|path| path.required_outer.is_empty()).collect();
        if constant.is_empty() {
            return Ok(paths);
        }
        Ok(paths
            .into_iter()
            .map(|path| {
                let kind =
                    PathKind::Result { input: Some(Rc::clone(&path)), constant_qual: constant.clone() };
                Rc::new(Path { kind, ..(*path).clone() })
            })
            .collect())
    }

    pub fn final_target(&self, targets: &[TargetEntry]) -> Result<Rc<Target>> {
        let mut target = Target::default();
        let mut width = 0;
        for entry in targets {
            width += i64::from(self.width_of(&entry.expr)?);
            target.cost = target.cost + self.expression_cost(&entry.expr)?;
            target.exprs.push(entry.expr.clone());
            target.references.push(entry.ressortgroupref);
        }
        target.width = cost::clamp_width(width);
        Ok(Rc::new(target))
    }

    /// Cost of an expression with its subplans.
    pub fn expression_cost(&self, expr: &Expression) -> Result<EvaluationCost> {
        let mut cost = self.global.lookup.evaluation_cost(expr)?;
        expr.walk(&mut |node| {
            if let Expression::SubPlan(subplan) = node
                && let Some(entry) = self.global.subplans.get(subplan.plan_id)
            {
                if subplan.use_hash_table {
                    cost.startup += entry.cost.total + self.global.cost.cpu_operator_cost * entry.rows;
                } else {
                    let run = entry.cost.run();
                    cost.per_tuple += match subplan.kind {
                        kokkiri_analyze::tree::SubLinkType::Exists => {
                            run / crate::cost::clamp_rows(entry.rows)
                        }
                        kokkiri_analyze::tree::SubLinkType::Any | kokkiri_analyze::tree::SubLinkType::All => {
                            0.5 * run + 0.5 * entry.rows * self.global.cost.cpu_operator_cost
                        }
                        _ => run,
                    } + entry.cost.startup;
                }
            }
            true
        });
        Ok(cost)
    }

    fn group_input_target(&self, targets: &[TargetEntry]) -> Result<Rc<Target>> {
        let mut target = Target::default();
        let mut width = 0;
        let mut add = |expr: Expression, reference: u32| -> Result<()> {
            if let Some(at) = target.exprs.iter().position(|known| *known == expr) {
                if target.references[at] == 0 {
                    target.references[at] = reference;
                }
                return Ok(());
            }
            width += i64::from(self.width_of(&expr)?);
            target.cost = target.cost + self.expression_cost(&expr)?;
            target.exprs.push(expr);
            target.references.push(reference);
            Ok(())
        };
        for entry in targets {
            let grouped = entry.ressortgroupref != 0
                && self.query.group_clause.iter().any(|c| c.tle_sort_group_ref == entry.ressortgroupref);
            if grouped {
                add(entry.expr.clone(), entry.ressortgroupref)?;
            }
        }
        let others = targets.iter().map(|entry| &entry.expr).chain(&self.query.having_qual);
        for expr in others {
            for var in variables(expr) {
                add(Expression::Var(var.clone()), 0)?;
            }
        }
        target.width = cost::clamp_width(width);
        Ok(Rc::new(target))
    }

    /// Gives a path another target list, computed by the node itself or by a Result above it.
    pub fn project(&self, path: Rc<Path>, target: &Rc<Target>) -> Result<Rc<Path>> {
        if path.target.exprs == target.exprs && path.target.references == target.references {
            return Ok(path);
        }
        let extra = target.cost - path.target.cost;
        let mut cost = path.cost;
        cost.startup += extra.startup;
        cost.total += extra.startup + extra.per_tuple * path.rows;
        let same_columns = path.target.exprs == target.exprs;
        if path.can_project() || same_columns {
            return Ok(Rc::new(Path { target: Rc::clone(target), cost, ..(*path).clone() }));
        }
        cost.total += self.global.cost.cpu_tuple_cost * path.rows;
        let kind = PathKind::Result { input: Some(Rc::clone(&path)), constant_qual: Vec::new() };
        Ok(Rc::new(Path { kind, target: Rc::clone(target), cost, ..(*path).clone() }))
    }

    /// HAVING without GROUP BY and aggregates: one group, whatever the input, if the condition holds
    /// (`create_degenerate_grouping_paths`).
    fn lone_group_path(&self, target: &Rc<Target>) -> Result<Rc<Path>> {
        let condition: Vec<Expression> = self.query.having_qual.clone().map(conjuncts).unwrap_or_default();
        let mut cost = Cost { startup: target.cost.startup, total: self.global.cost.cpu_tuple_cost };
        for expr in &condition {
            let qual = self.expression_cost(expr)?;
            cost.startup += qual.startup + qual.per_tuple;
        }
        cost.total += cost.startup + target.cost.per_tuple;
        Ok(Rc::new(Path {
            kind: PathKind::Result { input: None, constant_qual: condition },
            relids: Relids::new(),
            required_outer: Relids::new(),
            target: Rc::clone(target),
            rows: 1.0,
            cost,
            disabled_nodes: 0,
            pathkeys: Vec::new(),
        }))
    }

    fn group_targets(&self, clauses: &[SortGroupClause]) -> Vec<GroupTarget> {
        clauses
            .iter()
            .filter_map(|clause| {
                let target = clause_target(clause, &self.query.target_list)?;
                Some(GroupTarget { expr: target.expr.clone(), equality: clause.eqop })
            })
            .collect()
    }

    fn group_paths(
        &mut self,
        inputs: Vec<Rc<Path>>,
        group: &[SortGroupClause],
        order: Option<Vec<PathKey>>,
        target: &Rc<Target>,
    ) -> Result<Vec<Rc<Path>>> {
        let having: Vec<Expression> = self.query.having_qual.clone().map(conjuncts).unwrap_or_default();
        let exprs: Vec<Expression> = self.group_targets(group).into_iter().map(|t| t.expr).collect();
        let Some(cheapest) = cheapest_total(&inputs) else { return Ok(Vec::new()) };
        let groups = if group.is_empty() { 1.0 } else { self.group_count(&exprs, cheapest.rows)? };
        let costs = self.aggregate_costs(target, &having)?;
        let is_group = !self.query.has_aggs;
        let mut paths = Vec::new();
        if group.is_empty() {
            let order = order.unwrap_or_default();
            let presorted = inputs.iter().filter(|input| order_satisfies(&input.pathkeys, &order));
            let presorted = presorted.min_by(|a, b| a.cost.total.total_cmp(&b.cost.total)).cloned();
            let sorted = self.sorted(&cheapest, &order, None);
            let input = match presorted {
                Some(presorted) if order.is_empty() || presorted.cost.total <= sorted.cost.total => presorted,
                _ => sorted,
            };
            let path = self.aggregate_path(
                input,
                AggStrategy::Plain,
                group,
                1.0,
                &costs,
                target,
                &having,
                is_group,
            )?;
            let cost = path.cost.total;
            add_path(&mut paths, path);
            if let Some(source) = self.min_max_source.take()
                && let Some(path) = self.min_max_path(&source, target, cost)?
            {
                paths = vec![path];
            }
            return Ok(paths);
        }
        let distinct_aggregates = target.exprs.iter().chain(&having).any(|expr| {
            expr.contains(|node| {
                matches!(node, Expression::Aggref(agg)
                if !agg.aggdistinct.is_empty() || !agg.aggorder.is_empty())
            })
        });
        if let Some(order) = &order {
            for input in &inputs {
                let sorted = order_satisfies(&input.pathkeys, order);
                if !sorted && !Rc::ptr_eq(input, &cheapest) {
                    continue;
                }
                let input = if sorted { Rc::clone(input) } else { self.sorted(input, order, None) };
                let path = self.aggregate_path(
                    input,
                    AggStrategy::Sorted,
                    group,
                    groups,
                    &costs,
                    target,
                    &having,
                    is_group,
                )?;
                add_path(&mut paths, path);
            }
        }
        if group.iter().all(|clause| clause.hashable) && !distinct_aggregates {
            let path = self.aggregate_path(
                cheapest,
                AggStrategy::Hashed,
                group,
                groups,
                &costs,
                target,
                &having,
                is_group,
            )?;
            add_path(&mut paths, path);
        }
        if paths.is_empty() {
            return Err(kokkiri_primitives::error!(FEATURE_NOT_SUPPORTED, "could not implement GROUP BY")
                .detail("Some of the datatypes only support hashing, while others only support sorting."));
        }
        Ok(paths)
    }

    fn aggregate_costs(&self, target: &Target, having: &[Expression]) -> Result<AggregateCost> {
        let mut costs = AggregateCost::default();
        let mut seen: Vec<Expression> = Vec::new();
        for expr in target.exprs.iter().chain(having) {
            let mut found = Vec::new();
            expr.walk(&mut |node| {
                if let Expression::Aggref(_) = node {
                    found.push(node.clone());
                    return false;
                }
                true
            });
            for aggregate in found {
                if !seen.contains(&aggregate) {
                    self.global.lookup.add_aggregate_cost(&aggregate, &mut costs)?;
                    seen.push(aggregate);
                }
            }
        }
        Ok(costs)
    }

    #[allow(clippy::too_many_arguments)]
    fn aggregate_path(
        &self,
        input: Rc<Path>,
        strategy: AggStrategy,
        group: &[SortGroupClause],
        groups: f64,
        costs: &AggregateCost,
        target: &Rc<Target>,
        having: &[Expression],
        is_group: bool,
    ) -> Result<Path> {
        let p = &self.global.cost;
        let grouping = match strategy {
            AggStrategy::Plain => Grouping::Plain,
            AggStrategy::Sorted => Grouping::Sorted,
            AggStrategy::Hashed => Grouping::Hashed,
        };
        let read = AggregateInput { cost: input.cost, rows: input.rows, width: input.target.width };
        let mut cost = cost::aggregate(p, grouping, costs, group.len(), groups, read);
        let mut rows = groups;
        for condition in having {
            let qual = self.expression_cost(condition)?;
            cost.startup += qual.startup;
            cost.total += qual.startup + qual.per_tuple * groups;
            rows = cost::clamp_rows(rows * self.selectivity(condition, 0, None)?);
        }
        // Aggregates themselves are paid for; what is computed of them is not.
        cost.startup += target.cost.startup;
        cost.total += target.cost.startup + target.cost.per_tuple * rows;
        let disabled = usize::from(strategy == AggStrategy::Hashed && !p.enable.hashagg);
        Ok(Path {
            relids: input.relids.clone(),
            required_outer: Relids::new(),
            target: Rc::clone(target),
            rows,
            cost,
            disabled_nodes: input.disabled_nodes + disabled,
            // Within a group the input may have had an order of its own.
            pathkeys: match strategy {
                AggStrategy::Sorted => input.pathkeys.iter().take(group.len()).cloned().collect(),
                _ => Vec::new(),
            },
            kind: PathKind::Agg {
                input,
                strategy,
                columns: self.group_targets(group),
                groups,
                having: having.to_vec(),
                is_group: is_group && strategy != AggStrategy::Plain,
            },
        })
    }

    /// A Sort above a path.
    pub fn sorted(&self, input: &Rc<Path>, order: &[PathKey], limit: Option<f64>) -> Rc<Path> {
        let p = &self.global.cost;
        let cost = cost::sort(p, input.cost, input.rows, input.target.width, limit);
        Rc::new(Path {
            kind: PathKind::Sort { input: Rc::clone(input) },
            cost,
            disabled_nodes: input.disabled_nodes + usize::from(!p.enable.sort),
            pathkeys: order.to_vec(),
            ..(**input).clone()
        })
    }

    pub fn order_paths(&self, inputs: Vec<Rc<Path>>, order: &[PathKey]) -> Result<Vec<Rc<Path>>> {
        let cheapest = cheapest_total(&inputs);
        let mut paths = Vec::new();
        for input in &inputs {
            if order_satisfies(&input.pathkeys, order) {
                add_path(&mut paths, (**input).clone());
            } else if cheapest.as_ref().is_some_and(|cheapest| Rc::ptr_eq(cheapest, input)) {
                let limit = (self.limit_tuples > 0.0).then_some(self.limit_tuples);
                add_path(&mut paths, (*self.sorted(input, order, limit)).clone());
            }
        }
        Ok(paths)
    }

    fn distinct_paths(
        &mut self,
        inputs: Vec<Rc<Path>>,
        distinct: &[SortGroupClause],
        order: Option<Vec<PathKey>>,
        sort_order: &[PathKey],
    ) -> Result<Vec<Rc<Path>>> {
        let Some(cheapest) = cheapest_total(&inputs) else { return Ok(Vec::new()) };
        let columns = self.group_targets(distinct);
        let exprs: Vec<Expression> = columns.iter().map(|column| column.expr.clone()).collect();
        let is_grouped = !self.query.group_clause.is_empty() || self.query.has_aggs;
        let rows = if is_grouped { cheapest.rows } else { self.group_count(&exprs, cheapest.rows)? };
        let p = self.global.cost.clone();
        let mut paths = Vec::new();
        if let Some(order) = &order {
            // Sort by what ORDER BY wants first, where that covers the distinct columns.
            let wanted: Vec<PathKey> = if sort_order.len() > order.len() && self.query.has_distinct_on {
                sort_order.to_vec()
            } else {
                order.clone()
            };
            for input in &inputs {
                let sorted = order_satisfies(&input.pathkeys, &wanted);
                if !sorted && !Rc::ptr_eq(input, &cheapest) {
                    continue;
                }
                let input = if sorted { Rc::clone(input) } else { self.sorted(input, &wanted, None) };
                let cost = cost::unique(&p, input.cost, input.rows, columns.len());
                add_path(
                    &mut paths,
                    Path {
                        kind: PathKind::Unique { input: Rc::clone(&input), columns: columns.clone() },
                        cost,
                        rows,
                        ..(*input).clone()
                    },
                );
            }
        }
        if distinct.iter().all(|clause| clause.hashable) && !self.query.has_distinct_on {
            let none = AggregateCost::default();
            let read =
                AggregateInput { cost: cheapest.cost, rows: cheapest.rows, width: cheapest.target.width };
            let cost = cost::aggregate(&p, Grouping::Hashed, &none, columns.len(), rows, read);
            add_path(
                &mut paths,
                Path {
                    kind: PathKind::Agg {
                        input: Rc::clone(&cheapest),
                        strategy: AggStrategy::Hashed,
                        columns,
                        groups: rows,
                        having: Vec::new(),
                        is_group: true,
                    },
                    cost,
                    rows,
                    disabled_nodes: cheapest.disabled_nodes + usize::from(!p.enable.hashagg),
                    pathkeys: Vec::new(),
                    ..(*cheapest).clone()
                },
            );
        }
        Ok(paths)
    }

    fn lock_paths(&self, inputs: Vec<Rc<Path>>) -> Result<Vec<Rc<Path>>> {
        let mut row_marks = Vec::new();
        for mark in &self.query.row_marks {
            let ctid_column = self.query.target_list.iter().position(|target| {
                matches!(&target.expr, Expression::Var(var) if var.varno == mark.rti && var.varattno == -1)
            });
            row_marks.push(PlanRowMark {
                relid: mark.rti,
                mark_type: match mark.strength {
                    LockStrength::ForKeyShare => RowMarkType::KeyShare,
                    LockStrength::ForShare => RowMarkType::Share,
                    LockStrength::ForNoKeyUpdate => RowMarkType::NoKeyExclusive,
                    LockStrength::ForUpdate => RowMarkType::Exclusive,
                },
                wait_policy: match mark.wait {
                    LockWait::Block => LockWaitPolicy::Block,
                    LockWait::Skip => LockWaitPolicy::Skip,
                    LockWait::Error => LockWaitPolicy::Error,
                },
                ctid_column: ctid_column.map(|at| at + 1),
            });
        }
        row_marks.extend(reference_marks(&self.query.target_list, |relid| {
            self.query.row_marks.iter().any(|mark| mark.rti == relid)
        }));
        let per_row = self.global.cost.cpu_tuple_cost;
        Ok(inputs
            .into_iter()
            .map(|input| {
                let mut cost = input.cost;
                cost.total += per_row * input.rows;
                let kind = PathKind::LockRows { input: Rc::clone(&input), row_marks: row_marks.clone() };
                Rc::new(Path { kind, cost, pathkeys: Vec::new(), ..(*input).clone() })
            })
            .collect())
    }

    /// The columns whose equality makes a tie with the last row, if ties count.
    fn tie_columns(&self) -> Vec<GroupTarget> {
        match self.query.limit_option {
            LimitOption::WithTies => self.group_targets(&self.query.sort_clause),
            _ => Vec::new(),
        }
    }

    pub fn limit_paths(
        &self,
        inputs: Vec<Rc<Path>>,
        offset: Option<f64>,
        count: Option<f64>,
    ) -> Vec<Rc<Path>> {
        let ties = self.tie_columns();
        inputs
            .into_iter()
            .map(|input| {
                let (rows, cost) = cost::limit(input.cost, input.rows, offset, count);
                let kind = PathKind::Limit {
                    input: Rc::clone(&input),
                    offset: self.query.limit_offset.clone(),
                    count: self.query.limit_count.clone(),
                    ties: ties.clone(),
                };
                Rc::new(Path { kind, rows, cost, ..(*input).clone() })
            })
            .collect()
    }

    /// Plans a subquery of FROM; answers what it is and which columns of siblings a LATERAL one looks at.
    pub fn plan_from_subquery(
        &mut self,
        mut query: Box<Query>,
        tuple_fraction: f64,
    ) -> Result<(PlannedSubquery, Vec<Expression>)> {
        let outer = self.outer_references(&mut query)?;
        let mut lateral = Vec::new();
        for (id, column) in outer {
            lateral.push(column.clone());
            self.loop_parameters.push((column, id));
        }
        let planned = plan_query(self.global, query, tuple_fraction)?;
        let rows = planned.plan.rows;
        let subquery = PlannedSubquery {
            groups: planned.groups,
            plan: planned.plan,
            rows,
            distinct_columns: planned.distinct_columns,
            order: planned.order,
        };
        Ok((subquery, lateral))
    }
}

/// Marks of the tables whose rows are not locked or changed but remembered, by the ctid columns that
/// stand for them in a target list.
pub fn reference_marks(targets: &[TargetEntry], is_marked: impl Fn(u32) -> bool) -> Vec<PlanRowMark> {
    let marks = targets.iter().enumerate().filter_map(|(at, target)| match &target.expr {
        Expression::Var(var) if target.resjunk && var.varattno == -1 && !is_marked(var.varno) => {
            Some(PlanRowMark {
                relid: var.varno,
                mark_type: RowMarkType::Reference,
                wait_policy: LockWaitPolicy::Block,
                ctid_column: Some(at + 1),
            })
        }
        _ => None,
    });
    marks.collect()
}
