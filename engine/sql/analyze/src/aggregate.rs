//! Aggregates and window functions, and where ungrouped columns may not stand: parse_agg.c.

use kokkiri_catalog::entries::AggregateKind;
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};

use crate::catalog::not_supported;
use crate::function::Resolved;
use crate::scope::{Analyzer, Clause};
use crate::tree::*;

impl Analyzer<'_> {
    /// A call that turned out to be of an aggregate.
    pub fn aggregate_call(
        &mut self,
        call: &raw::FuncCall,
        resolved: Resolved,
        filter: Option<Expression>,
    ) -> Result<Expression> {
        let location = call.location;
        let name = call.name.join(".");
        let function = &resolved.function;
        let Some(aggregate) = self.catalog.aggregate(function.oid)? else {
            return Err(error!(INTERNAL_ERROR, "cache lookup failed for aggregate {}", function.oid));
        };
        if aggregate.kind != AggregateKind::Normal {
            if !call.within_group {
                return Err(error!(
                    WRONG_OBJECT_TYPE,
                    "WITHIN GROUP is required for ordered-set aggregate {name}"
                )
                .at_location(location));
            }
            return Err(not_supported("ordered-set aggregate", location));
        }
        if call.within_group {
            let message = format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP");
            return Err(error!(WRONG_OBJECT_TYPE, "{message}").at_location(location));
        }
        if resolved.args.is_empty() && !call.star {
            return Err(error!(
                WRONG_OBJECT_TYPE,
                "{name}(*) must be used to call a parameterless aggregate function"
            )
            .at_location(location));
        }
        if call.star && !resolved.args.is_empty() {
            return Err(error!(INTERNAL_ERROR, "arguments besides a star"));
        }
        let mut set_call = None;
        for arg in &resolved.args {
            arg.walk(&mut |node| {
                if self.returns_set(node).unwrap_or(false) {
                    set_call = set_call.or(Some(node.location()));
                }
                set_call.is_none()
            });
        }
        if let Some(at) = set_call {
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "aggregate function calls cannot contain set-returning function calls"
            )
            .hint("You might be able to move the set-returning function into a LATERAL FROM item.")
            .at_location(at));
        }
        let aggargtypes = resolved.args.iter().map(Expression::result_type).collect();
        let mut args: Vec<TargetEntry> = resolved
            .args
            .into_iter()
            .enumerate()
            .map(|(index, arg)| TargetEntry::new(arg, index as i16 + 1, None, false))
            .collect();
        let count = args.len();
        let aggorder = self.sort_clause(&call.order, &mut args, Clause::Order, true)?;
        let mut aggdistinct = Vec::new();
        if call.distinct {
            for clause in &aggorder {
                let junk = sort_group_target(clause.tle_sort_group_ref, &args).is_some_and(|t| t.resjunk);
                if junk {
                    let message =
                        "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
                    return Err(error!(INVALID_COLUMN_REFERENCE, "{message}").at_location(location));
                }
            }
            for index in 0..count {
                aggdistinct.push(self.group_clause_for(&mut args, index, &aggorder, location)?);
            }
        }
        let mut aggregate = Aggref {
            aggfnoid: resolved.function.oid,
            aggtype: resolved.result_type,
            aggcollid: Oid::INVALID,
            inputcollid: Oid::INVALID,
            aggtranstype: Oid::INVALID,
            aggargtypes,
            aggdirectargs: Vec::new(),
            args,
            aggorder,
            aggdistinct,
            aggfilter: filter,
            aggstar: call.star,
            aggvariadic: resolved.variadic,
            aggkind: b'n',
            agglevelsup: 0,
            location,
        };
        aggregate.agglevelsup = self.check_aggregate(&aggregate, location)?;
        Ok(Expression::Aggref(Box::new(aggregate)))
    }

    /// The level an aggregate belongs to, and whether it may stand there: `check_agglevels_and_constraints`.
    fn check_aggregate(&mut self, aggregate: &Aggref, location: Location) -> Result<u32> {
        let mut lowest: Option<u32> = None;
        let mut nested = None;
        let mut window = None;
        let args = aggregate.args.iter().map(|target| &target.expr).chain(&aggregate.aggfilter);
        for arg in args {
            arg.walk(&mut |node| {
                let level = match node {
                    Expression::Var(var) => Some(var.varlevelsup),
                    Expression::Aggref(inner) => {
                        if inner.agglevelsup == 0 {
                            nested = nested.or(Some(inner.location));
                        }
                        Some(inner.agglevelsup)
                    }
                    Expression::WindowFunc(func) => {
                        window = window.or(Some(func.location));
                        None
                    }
                    _ => None,
                };
                if let Some(level) = level {
                    lowest = Some(lowest.map_or(level, |lowest| lowest.min(level)));
                }
                true
            });
        }
        let level = lowest.unwrap_or(0);
        if let Some(at) = window {
            return Err(error!(
                GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls"
            )
            .at_location(at));
        }
        if let Some(at) = nested.filter(|_| level == 0) {
            return Err(error!(GROUPING_ERROR, "aggregate function calls cannot be nested").at_location(at));
        }
        let depth = self.scopes.len() - 1 - level as usize;
        let clause = self.scopes[depth].clause.unwrap_or(Clause::None);
        let refusing = match clause {
            Clause::Having
            | Clause::WindowPartition
            | Clause::WindowOrder
            | Clause::SelectTarget
            | Clause::Order
            | Clause::DistinctOn
            | Clause::None => None,
            Clause::FromSubselect => Some("FROM clause of their own query level"),
            clause => Some(clause.expressions()),
        };
        if let Some(place) = refusing {
            return Err(error!(GROUPING_ERROR, "aggregate functions are not allowed in {place}")
                .at_location(location));
        }
        self.scopes[depth].has_aggs = true;
        Ok(level)
    }

    /// A call with OVER.
    pub fn window_call(
        &mut self,
        call: &raw::FuncCall,
        resolved: Resolved,
        filter: Option<Expression>,
    ) -> Result<Expression> {
        let location = call.location;
        let name = call.name.join(".");
        let function = &resolved.function;
        let winagg = function.kind == kokkiri_catalog::entries::FunctionKind::Aggregate;
        let Some(over) = &call.over else {
            return Err(error!(WRONG_OBJECT_TYPE, "window function {name} requires an OVER clause")
                .at_location(location));
        };
        if call.distinct {
            return Err(error!(FEATURE_NOT_SUPPORTED, "DISTINCT is not implemented for window functions")
                .at_location(location));
        }
        if !call.order.is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(location));
        }
        if filter.is_some() && !winagg {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(location));
        }
        if winagg && resolved.args.is_empty() && !call.star {
            return Err(error!(
                WRONG_OBJECT_TYPE,
                "{name}(*) must be used to call a parameterless aggregate function"
            )
            .at_location(location));
        }
        if !matches!(self.clause(), Clause::SelectTarget | Clause::Order | Clause::DistinctOn) {
            let clause = match self.clause() {
                clause if clause.is_of_window() => "window definitions",
                clause => clause.expressions(),
            };
            return Err(
                error!(WINDOWING_ERROR, "window functions are not allowed in {clause}").at_location(location)
            );
        }
        for arg in &resolved.args {
            if let Some(at) = find_window(arg) {
                return Err(error!(WINDOWING_ERROR, "window function calls cannot be nested").at_location(at));
            }
        }
        let winref = self.window_reference(over)?;
        self.scope_mut().has_window_funcs = true;
        Ok(Expression::WindowFunc(Box::new(WindowFunc {
            winfnoid: function.oid,
            wintype: resolved.result_type,
            wincollid: Oid::INVALID,
            inputcollid: Oid::INVALID,
            args: resolved.args,
            aggfilter: filter,
            winref,
            winstar: call.star,
            winagg,
            location,
        })))
    }

    fn window_reference(&mut self, over: &raw::WindowDef) -> Result<u32> {
        let windows = &mut self.scope_mut().windows;
        if let Some(name) = &over.name {
            return match windows.iter().position(|window| window.name.as_ref() == Some(name)) {
                Some(index) => Ok(index as u32 + 1),
                None => {
                    Err(error!(UNDEFINED_OBJECT, "window \"{name}\" does not exist")
                        .at_location(over.location))
                }
            };
        }
        if let Some(index) = windows.iter().position(|window| window.name.is_none() && window == over) {
            return Ok(index as u32 + 1);
        }
        windows.push(over.clone());
        Ok(windows.len() as u32)
    }

    pub fn grouping_function(&mut self, args: &[raw::Expr], location: Location) -> Result<Expression> {
        let args = self.expressions(args)?;
        self.scope_mut().has_aggs = true;
        Ok(Expression::GroupingFunc(Box::new(GroupingFunc {
            args,
            refs: Vec::new(),
            agglevelsup: 0,
            location,
        })))
    }

    /// PostgreSQL's `parseCheckAggregates`: columns outside aggregates must be grouped.
    pub fn check_grouping(&mut self, query: &mut Query) -> Result<()> {
        let grouped: Vec<(u32, Expression)> = query
            .group_clause
            .iter()
            .filter_map(|clause| {
                let target = query.sort_group_target(clause)?;
                Some((clause.tle_sort_group_ref, target.expr.clone()))
            })
            .collect();
        for (_, expr) in &grouped {
            if let Some(at) = find_aggregate(expr) {
                return Err(
                    error!(GROUPING_ERROR, "aggregate functions are not allowed in GROUP BY").at_location(at)
                );
            }
        }
        let mut targets = std::mem::take(&mut query.target_list);
        let mut having = query.having_qual.take();
        let mut result = Ok(());
        for expr in targets.iter_mut().map(|target| &mut target.expr).chain(&mut having) {
            result = result.and_then(|()| self.check_ungrouped(expr, &grouped, query, 0));
        }
        query.target_list = targets;
        query.having_qual = having;
        result
    }

    fn check_ungrouped(
        &self,
        expr: &mut Expression,
        grouped: &[(u32, Expression)],
        query: &Query,
        depth: u32,
    ) -> Result<()> {
        if depth == 0 && grouped.iter().any(|(_, known)| known == expr) {
            return Ok(());
        }
        match expr {
            Expression::Aggref(agg) if agg.agglevelsup == depth => return Ok(()),
            Expression::GroupingFunc(func) if func.agglevelsup == depth => {
                for arg in &func.args {
                    match grouped.iter().find(|(_, known)| known == arg) {
                        Some((reference, _)) => func.refs.push(*reference),
                        None => {
                            let message = "arguments to GROUPING must be grouping expressions of the associated query level";
                            return Err(error!(GROUPING_ERROR, "{message}").at_location(arg.location()));
                        }
                    }
                }
                return Ok(());
            }
            Expression::Var(var) if var.varlevelsup == depth => {
                let mut here = var.clone();
                here.varlevelsup = 0;
                if grouped.iter().any(|(_, known)| *known == Expression::Var(here.clone())) {
                    return Ok(());
                }
                if self.depends_on_key(var, grouped, query)? {
                    return Ok(());
                }
                return Err(self.ungrouped(var, query, depth));
            }
            Expression::SubLink(link) => {
                let mut result = Ok(());
                link.subselect.for_each_expression_mut(&mut |inner| {
                    if result.is_ok() {
                        result = self.check_ungrouped(inner, grouped, query, depth + 1);
                    }
                });
                result?;
            }
            _ => {}
        }
        let mut result = Ok(());
        expr.for_each_child_mut(&mut |child| {
            if result.is_ok() {
                result = self.check_ungrouped(child, grouped, query, depth);
            }
        });
        result
    }

    /// True if the column's table is grouped by its primary key.
    fn depends_on_key(&self, var: &Var, grouped: &[(u32, Expression)], query: &Query) -> Result<bool> {
        if !query.grouping_sets.is_empty() {
            return Ok(false);
        }
        let RteKind::Relation { relid, .. } = query.rte(var.varno).kind else { return Ok(false) };
        let Some(entry) = self.catalog.relation_by_oid(relid)? else { return Ok(false) };
        let Some(key) = entry.constraints.iter().find(|constraint| {
            constraint.kind == kokkiri_catalog::entries::ConstraintKind::Primary && !constraint.deferrable
        }) else {
            return Ok(false);
        };
        Ok(key.key.iter().all(|column| {
            grouped.iter().any(|(_, expr)| {
                matches!(expr, Expression::Var(known)
                    if known.varno == var.varno && known.varattno == *column && known.varlevelsup == 0)
            })
        }))
    }

    fn ungrouped(&self, var: &Var, query: &Query, depth: u32) -> kokkiri_primitives::Error {
        let rte = query.rte(var.varno);
        let column = match var.varattno {
            0 => None,
            number => usize::try_from(number - 1).ok().and_then(|index| rte.eref.columns.get(index)),
        };
        let name = match column {
            Some(column) => format!("{}.{column}", rte.eref.name),
            None => format!("{}.*", rte.eref.name),
        };
        let message = if depth == 0 {
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        } else {
            format!("subquery uses ungrouped column \"{name}\" from outer query")
        };
        error!(GROUPING_ERROR, "{message}").at_location(var.location)
    }
}

fn find_aggregate(expr: &Expression) -> Option<Location> {
    let mut found = None;
    expr.walk(&mut |node| {
        if let Expression::Aggref(agg) = node
            && agg.agglevelsup == 0
        {
            found = found.or(Some(agg.location));
        }
        found.is_none()
    });
    found
}

fn find_window(expr: &Expression) -> Option<Location> {
    let mut found = None;
    expr.walk(&mut |node| {
        if let Expression::WindowFunc(func) = node {
            found = found.or(Some(func.location));
        }
        found.is_none()
    });
    found
}
