//! UNION, INTERSECT and EXCEPT.
//!
//! Realises: `prepunion.c`. Each branch is planned as a subquery of its own. UNION appends its branches,
//! nested ones of the same kind with them, and makes the rows distinct by hashing or sorting; INTERSECT and
//! EXCEPT are a SetOp over two inputs. The columns of an operation go by those of its leftmost branch.

use std::rc::Rc;

use kokkiri_analyze::tree::{
    Expression, RteKind, SetOp, SetOperationStmt, SetOperationTree, SortGroupClause,
};
use kokkiri_primitives::{Error, Result, stack};

use crate::cost::{self, AggregateCost, AggregateInput, Cost, Grouping, clamp_rows};
use crate::path::{
    GroupTarget, Path, PathKey, PathKind, Target, add_path, cheapest_fractional, cheapest_total,
    order_satisfies,
};
use crate::plan::{AggStrategy, SetOpCommand, SetOpStrategy};
use crate::query::PlannedQuery;
use crate::relation::BaseKind;
use crate::root::Root;

/// Ways to get an operation's or a branch's rows, and how many of them differ.
struct Branch {
    paths: Vec<Rc<Path>>,
    groups: f64,
}

impl Branch {
    fn cheapest(&self) -> Result<Rc<Path>> {
        cheapest_total(&self.paths).ok_or_else(|| Error::internal("a set operation's branch has no path"))
    }
}

impl Root<'_, '_> {
    /// Plans a query that is a set operation, with its ORDER BY and LIMIT.
    pub fn plan_set_operations(mut self) -> Result<PlannedQuery> {
        let (offset, count) = self.preprocess_limit();
        let targets = self.query.target_list.clone();
        let Some(SetOperationTree::Operation(top)) = self.query.set_operations.take().map(|tree| *tree)
        else {
            return Err(Error::internal("a set operation without operands"));
        };
        let fraction = if top.op == SetOp::Union && top.all { self.tuple_fraction } else { 0.0 };
        let order = self.query.sort_clause.clone();
        let sort_order = self.order_of(&order, &targets)?.unwrap_or_default();
        let columns: Vec<Expression> = targets.iter().map(|target| target.expr.clone()).collect();
        let result = self.operation(&top, &columns, fraction)?;
        let target = self.final_target(&targets)?;
        let mut paths =
            result.paths.into_iter().map(|path| self.project(path, &target)).collect::<Result<Vec<_>>>()?;
        if !sort_order.is_empty() {
            paths = self.order_paths(paths, &sort_order)?;
        }
        if self.query.limit_count.is_some() || self.query.limit_offset.is_some() {
            paths = self.limit_paths(paths, offset, count);
        }
        let fraction = self.fraction_of(&paths);
        let best = cheapest_fractional(paths.iter(), fraction)
            .ok_or_else(|| Error::internal("could not devise a query plan"))?;
        self.finish(best, targets)
    }

    /// A branch's rows as `brought`, its columns in the types of the operation above.
    fn branch(&mut self, tree: &SetOperationTree, brought: &[Expression], fraction: f64) -> Result<Branch> {
        stack::check_depth()?;
        match tree {
            SetOperationTree::RangeTblRef(relid) => self.leaf(*relid, brought, fraction),
            SetOperationTree::Operation(operation) => {
                let own = Self::own_columns(brought, operation);
                let nested = self.operation(operation, &own, 0.0)?;
                let target = self.columns_target(brought)?;
                let paths = nested.paths.into_iter().map(|path| self.project(path, &target));
                Ok(Branch { paths: paths.collect::<Result<_>>()?, groups: nested.groups })
            }
        }
    }

    /// What a nested operation's columns are called: the variables that `brought` is made of.
    fn own_columns(brought: &[Expression], operation: &SetOperationStmt) -> Vec<Expression> {
        let columns = brought.iter().zip(&operation.columns).map(|(expr, info)| {
            let mut own = crate::expression::variables(expr).first().map(|var| (*var).clone());
            if let Some(var) = &mut own {
                (var.vartype, var.vartypmod, var.varcollid) = (info.type_oid, info.typmod, info.collation);
            }
            own.map_or_else(|| expr.clone(), Expression::Var)
        });
        columns.collect()
    }

    fn columns_target(&self, exprs: &[Expression]) -> Result<Rc<Target>> {
        let mut target = Target::default();
        let mut width = 0;
        for expr in exprs {
            width += i64::from(self.width_of(expr)?);
            target.cost = target.cost + self.expression_cost(expr)?;
            target.exprs.push(expr.clone());
            target.references.push(0);
        }
        target.width = cost::clamp_width(width);
        Ok(Rc::new(target))
    }

    fn leaf(&mut self, relid: u32, brought: &[Expression], fraction: f64) -> Result<Branch> {
        let RteKind::Subquery { query, .. } = &self.global.rte(relid).kind else {
            return Err(Error::internal("a set operation's branch is a subquery"));
        };
        let query = query.clone();
        self.global.count_groups = true;
        let (subquery, _) = self.plan_from_subquery(query, fraction)?;
        let relation = self.subquery_relation(subquery);
        self.base.insert(relid, relation);
        let target = self.columns_target(brought)?;
        let BaseKind::Subquery(subquery) = &self.base[&relid].kind else {
            return Err(Error::internal("a set operation's branch is a subquery"));
        };
        let subquery = Rc::clone(subquery);
        let is_plain = |(at, expr): (usize, &Expression)| matches!(expr, Expression::Var(var) if var.varattno as usize == at + 1);
        let mut cost = subquery.plan.cost;
        if !brought.iter().enumerate().all(is_plain) {
            cost.startup += target.cost.startup;
            cost.total += target.cost.startup
                + (self.global.cost.cpu_tuple_cost + target.cost.per_tuple) * subquery.rows;
        }
        let pathkeys = self.subquery_order(relid, &subquery)?;
        let path = Path {
            kind: PathKind::SubqueryScan { relid, clauses: Vec::new() },
            relids: kokkiri_analyze::tree::Relids::single(relid),
            required_outer: Default::default(),
            target,
            rows: subquery.rows,
            cost,
            disabled_nodes: subquery.plan.disabled_nodes,
            pathkeys,
        };
        Ok(Branch { paths: vec![Rc::new(path)], groups: subquery.groups.unwrap_or(subquery.rows) })
    }

    fn operation(
        &mut self,
        operation: &SetOperationStmt,
        columns: &[Expression],
        fraction: f64,
    ) -> Result<Branch> {
        let target = self.columns_target(columns)?;
        if operation.op == SetOp::Union {
            self.union(operation, target, fraction)
        } else {
            self.intersect_or_except(operation, target)
        }
    }

    fn union(&mut self, operation: &SetOperationStmt, target: Rc<Target>, fraction: f64) -> Result<Branch> {
        let mut inputs = Vec::new();
        self.union_inputs(operation, operation, fraction, &mut inputs)?;
        let mut append_cost = Cost::default();
        let mut rows = 0.0;
        for (at, input) in inputs.iter().enumerate() {
            if at == 0 {
                append_cost.startup = input.cost.startup;
            }
            append_cost.total += input.cost.total;
            rows += input.rows;
        }
        // Half of what a scan asks for each row (`APPEND_CPU_COST_MULTIPLIER`).
        append_cost.total += self.global.cost.cpu_tuple_cost * 0.5 * rows;
        let append = Rc::new(Path {
            relids: inputs.iter().fold(Default::default(), |all, input| input.relids.union(&all)),
            required_outer: Default::default(),
            target: Rc::clone(&target),
            rows,
            cost: append_cost,
            disabled_nodes: inputs.iter().map(|input| input.disabled_nodes).sum(),
            pathkeys: Vec::new(),
            kind: PathKind::Append { inputs },
        });
        if operation.all {
            return Ok(Branch { paths: vec![append], groups: rows });
        }
        let groups = &operation.group_clauses;
        let columns: Vec<GroupTarget> = target
            .exprs
            .iter()
            .zip(groups)
            .map(|(expr, clause)| GroupTarget { expr: expr.clone(), equality: clause.eqop })
            .collect();
        let p = self.global.cost.clone();
        let mut paths = Vec::new();
        if groups.iter().all(|clause| clause.hashable) {
            let none = AggregateCost::default();
            let read = AggregateInput { cost: append.cost, rows, width: target.width };
            let cost = cost::aggregate(&p, Grouping::Hashed, &none, columns.len(), rows, read);
            let kind = PathKind::Agg {
                input: Rc::clone(&append),
                strategy: AggStrategy::Hashed,
                columns: columns.clone(),
                groups: rows,
                having: Vec::new(),
                is_group: true,
            };
            let disabled_nodes = append.disabled_nodes + usize::from(!p.enable.hashagg);
            add_path(&mut paths, Path { kind, cost, disabled_nodes, ..(*append).clone() });
        }
        if let Some(order) = self.columns_order(&target.exprs, groups)? {
            let sorted = if columns.is_empty() { append } else { self.sorted(&append, &order, None) };
            let cost = cost::unique(&p, sorted.cost, rows, columns.len());
            let kind = PathKind::Unique { input: Rc::clone(&sorted), columns };
            add_path(&mut paths, Path { kind, cost, ..(*sorted).clone() });
        }
        if paths.is_empty() {
            return Err(not_implementable("UNION"));
        }
        Ok(Branch { paths, groups: rows })
    }

    /// The branches of a UNION, those of nested ones with them where that changes nothing.
    fn union_inputs(
        &mut self,
        top: &SetOperationStmt,
        operation: &SetOperationStmt,
        fraction: f64,
        inputs: &mut Vec<Rc<Path>>,
    ) -> Result<()> {
        let sides =
            [(&operation.left, &operation.left_columns), (&operation.right, &operation.right_columns)];
        for (tree, brought) in sides {
            match tree {
                SetOperationTree::Operation(nested)
                    if nested.op == SetOp::Union
                        && (nested.all == top.all || nested.all)
                        && nested.columns == top.columns =>
                {
                    stack::check_depth()?;
                    self.union_inputs(top, nested, fraction, inputs)?;
                }
                _ => inputs.push(self.branch(tree, brought, fraction)?.cheapest()?),
            }
        }
        Ok(())
    }

    /// The order by all columns, rising; `None` if one of them can't be sorted.
    fn columns_order(
        &mut self,
        exprs: &[Expression],
        clauses: &[SortGroupClause],
    ) -> Result<Option<Vec<PathKey>>> {
        let mut keys: Vec<PathKey> = Vec::new();
        for (expr, clause) in exprs.iter().zip(clauses) {
            let Some((family, descending)) = self.global.lookup.ordering(clause.sortop)? else {
                return Ok(None);
            };
            let families = self.global.lookup.merge_families(family, expr.result_type())?;
            if let Some(class) = self.class_of(expr, &families, expr.collation(), 0, true) {
                keys.push(PathKey { class, family, descending, nulls_first: false });
            }
        }
        Ok(Some(keys))
    }

    fn intersect_or_except(&mut self, operation: &SetOperationStmt, target: Rc<Target>) -> Result<Branch> {
        let mut left = self.branch(&operation.left, &operation.left_columns, 0.0)?;
        let mut right = self.branch(&operation.right, &operation.right_columns, 0.0)?;
        // The left side's rows are kept, so the one with fewer of them had better be there.
        if operation.op == SetOp::Intersect && left.groups > right.groups {
            std::mem::swap(&mut left, &mut right);
        }
        let (left_path, right_path) = (left.cheapest()?, right.cheapest()?);
        let (command, groups, rows) = match (operation.op, operation.all) {
            (SetOp::Intersect, false) => (SetOpCommand::Intersect, left.groups, left.groups),
            (SetOp::Intersect, true) => {
                (SetOpCommand::IntersectAll, left.groups, left_path.rows.min(right_path.rows))
            }
            (_, false) => (SetOpCommand::Except, left.groups, left.groups),
            (_, true) => (SetOpCommand::ExceptAll, left.groups, left_path.rows),
        };
        let clauses = &operation.group_clauses;
        let equalities: Vec<_> = clauses.iter().map(|clause| clause.eqop).collect();
        let p = self.global.cost.clone();
        let comparisons = |a: &Path, b: &Path| p.cpu_operator_cost * (a.rows + b.rows) * clauses.len() as f64;
        let relids = left_path.relids.union(&right_path.relids);
        let make = |left: Rc<Path>, right: Rc<Path>, strategy, order: Vec<PathKey>, cost, disabled| Path {
            relids: relids.clone(),
            required_outer: Default::default(),
            target: Rc::clone(&target),
            rows,
            cost,
            disabled_nodes: left.disabled_nodes + right.disabled_nodes + disabled,
            pathkeys: Vec::new(),
            kind: PathKind::SetOp {
                left,
                right,
                command,
                strategy,
                equalities: equalities.clone(),
                order,
                groups,
            },
        };
        let mut paths = Vec::new();
        if clauses.iter().all(|clause| clause.hashable) {
            let startup = left_path.cost.total + right_path.cost.total + comparisons(&left_path, &right_path);
            let cost = Cost { startup, total: startup + p.cpu_tuple_cost * rows };
            let too_large = cost::relation_bytes(clamp_rows(groups), target.width) > p.hash_memory();
            let disabled = usize::from(!p.enable.hashagg || too_large);
            let (left, right) = (Rc::clone(&left_path), Rc::clone(&right_path));
            add_path(&mut paths, make(left, right, SetOpStrategy::Hashed, Vec::new(), cost, disabled));
        }
        let left_order = self.columns_order(&left_path.target.exprs.clone(), clauses)?;
        let right_order = self.columns_order(&right_path.target.exprs.clone(), clauses)?;
        let order = self.columns_order(&target.exprs, clauses)?;
        if let (Some(left_order), Some(right_order), Some(order)) = (left_order, right_order, order) {
            let sorted = |path: &Rc<Path>, order: &[PathKey]| {
                if order_satisfies(&path.pathkeys, order) {
                    Rc::clone(path)
                } else {
                    self.sorted(path, order, None)
                }
            };
            let (left, right) = (sorted(&left_path, &left_order), sorted(&right_path, &right_order));
            let cost = Cost {
                startup: left.cost.startup + right.cost.startup,
                total: left.cost.total + right.cost.total + comparisons(&left, &right),
            };
            let mut path = make(left, right, SetOpStrategy::Sorted, order.clone(), cost, 0);
            path.pathkeys = order;
            add_path(&mut paths, path);
        }
        if paths.is_empty() {
            let name = if operation.op == SetOp::Intersect { "INTERSECT" } else { "EXCEPT" };
            return Err(not_implementable(name));
        }
        Ok(Branch { paths, groups })
    }
}

fn not_implementable(operation: &str) -> Error {
    kokkiri_primitives::error!(FEATURE_NOT_SUPPORTED, "could not implement {operation}")
        .detail("Some of the datatypes only support hashing, while others only support sorting.")
}
