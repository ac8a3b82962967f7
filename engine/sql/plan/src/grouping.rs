//! GROUP BY, aggregates and HAVING: what each group is computed from, and how groups are made.
//!
//! Realises: `create_grouping_paths`, `make_group_input_target` and `get_agg_clause_costs`.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids, SortGroupClause, TargetEntry};
use kokkiri_primitives::Result;

use crate::cost::{self, AggregateCost, AggregateInput, Cost, Grouping};
use crate::expression::{clause_target, conjuncts, variables};
use crate::path::{GroupTarget, Path, PathKey, PathKind, Target, add_path, cheapest_total, order_satisfies};
use crate::plan::AggStrategy;
use crate::root::Root;

impl Root<'_, '_> {
    pub fn group_input_target(&self, targets: &[TargetEntry]) -> Result<Rc<Target>> {
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

    /// HAVING without GROUP BY and aggregates: one group, whatever the input, if the condition holds
    /// (`create_degenerate_grouping_paths`).
    pub fn lone_group_path(&self, target: &Rc<Target>) -> Result<Rc<Path>> {
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

    pub fn group_targets(&self, clauses: &[SortGroupClause]) -> Vec<GroupTarget> {
        clauses
            .iter()
            .filter_map(|clause| {
                let target = clause_target(clause, &self.query.target_list)?;
                Some(GroupTarget { expr: target.expr.clone(), equality: clause.eqop })
            })
            .collect()
    }

    pub fn group_paths(
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

    #[expect(clippy::too_many_arguments, reason = "what one way of grouping consists of")]
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
}
