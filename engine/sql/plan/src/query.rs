//! Planning one query level: from its tree to the plan, and the steps above scans and joins.
//!
//! Realises: `subquery_planner` and `grouping_planner` of planner.c.

use std::rc::Rc;

use kokkiri_analyze::tree::{
    CommandType, Expression, GroupingSet, ParamKind, Query, Relids, RteKind, TargetEntry, Var,
};
use kokkiri_parse::Location;
use kokkiri_primitives::{Error, Oid, Result, stack};

use crate::cost::{self, Cost, EvaluationCost};
use crate::expression::{clause_target, conjuncts, returns_set, variables};
use crate::path::{Path, PathKey, PathKind, Target, cheapest_fractional, cheapest_total};
use crate::plan::{LockWaitPolicy, Plan, PlanRowMark, RowMarkType};
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
    let keeps_compression = std::mem::take(&mut global.keeps_compression);
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
        keeps_compression,
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
        self.expand_whole_rows()?;
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
        self.use_stored_forms()?;
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
