//! Set-returning functions in the target list.
//!
//! Realises: `split_pathtarget_at_srfs` and `adjust_paths_for_srfs`. A ProjectSet computes set-returning
//! calls that stand alone in its target list; a call within another, or within an ordinary expression, has
//! a ProjectSet of its own below.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_primitives::Result;

use crate::cost::{self, Cost};
use crate::expression::{clause_target, returns_set};
use crate::path::{Path, PathKind, Target};
use crate::root::Root;

impl Root<'_, '_> {
    /// What must be there before set-returning functions are called: every other column, and what their
    /// arguments look at.
    pub fn target_below_sets(&self, targets: &[TargetEntry]) -> Result<Rc<Target>> {
        let grouped: Vec<Expression> = self
            .query
            .group_clause
            .iter()
            .filter_map(|clause| clause_target(clause, targets))
            .map(|entry| entry.expr.clone())
            .collect();
        let mut target = Target::default();
        for entry in targets.iter().filter(|entry| !returns_set(&entry.expr)) {
            target.exprs.push(entry.expr.clone());
            target.references.push(entry.ressortgroupref);
        }
        for entry in targets.iter().filter(|entry| returns_set(&entry.expr)) {
            needed_by(&entry.expr, &grouped, &mut target);
        }
        self.with_cost(target)
    }

    fn with_cost(&self, mut target: Target) -> Result<Rc<Target>> {
        let mut width = 0;
        for expr in &target.exprs {
            width += i64::from(self.width_of(expr)?);
            target.cost = target.cost + self.expression_cost(expr)?;
        }
        target.width = cost::clamp_width(width);
        Ok(Rc::new(target))
    }

    /// Puts as many ProjectSets on each path as its target needs.
    pub fn project_sets(&self, paths: Vec<Rc<Path>>, target: &Rc<Target>) -> Result<Vec<Rc<Path>>> {
        paths.into_iter().map(|path| self.project_set(path, target)).collect()
    }

    fn project_set(&self, mut path: Rc<Path>, target: &Rc<Target>) -> Result<Rc<Path>> {
        loop {
            let done = path.target.exprs.clone();
            let mut calls: Vec<Expression> = Vec::new();
            target.exprs.iter().for_each(|expr| innermost_calls(expr, &done, &mut calls));
            if calls.is_empty() {
                return self.project(path, target);
            }
            let alone = |expr: &Expression| calls.contains(expr) || !returns_set_beyond(expr, &done);
            if target.exprs.iter().all(alone) {
                return self.project_set_step(path, target);
            }
            // These calls first, beside all that the rest still looks at.
            let mut step = Target {
                exprs: done.clone(),
                references: path.target.references.clone(),
                ..Target::default()
            };
            for call in calls {
                step.exprs.push(call);
                step.references.push(0);
            }
            let step = self.with_cost(step)?;
            path = self.project_set_step(path, &step)?;
        }
    }

    fn project_set_step(&self, path: Rc<Path>, target: &Rc<Target>) -> Result<Rc<Path>> {
        let mut rows_each: f64 = 1.0;
        for expr in target.exprs.iter().filter(|expr| returns_set_beyond(expr, &path.target.exprs)) {
            rows_each = rows_each.max(self.global.lookup.function_rows(expr)?);
        }
        let p = &self.global.cost;
        let rows = path.rows * rows_each;
        let startup = path.cost.startup + target.cost.startup;
        let total = path.cost.total
            + target.cost.startup
            + (p.cpu_tuple_cost + target.cost.per_tuple) * path.rows
            + (rows - path.rows) * p.cpu_tuple_cost / 2.0;
        Ok(Rc::new(Path {
            kind: PathKind::ProjectSet { input: Rc::clone(&path) },
            target: Rc::clone(target),
            rows,
            cost: Cost { startup, total },
            ..(*path).clone()
        }))
    }
}

fn is_call(expr: &Expression) -> bool {
    match expr {
        Expression::FuncExpr(function) => function.returns_set,
        Expression::OpExpr(operator) => operator.returns_set,
        _ => false,
    }
}

/// A set-returning call stands in the expression that is not among those computed.
fn returns_set_beyond(expr: &Expression, done: &[Expression]) -> bool {
    let mut found = false;
    expr.walk(&mut |node| {
        if done.contains(node) {
            return false;
        }
        found |= is_call(node);
        !found
    });
    found
}

/// Set-returning calls whose arguments have none.
fn innermost_calls(expr: &Expression, done: &[Expression], calls: &mut Vec<Expression>) {
    expr.walk(&mut |node| {
        if done.contains(node) {
            return false;
        }
        if is_call(node) && !calls.contains(node) {
            let mut within = false;
            node.for_each_child(&mut |child| within |= returns_set_beyond(child, done));
            if !within {
                calls.push(node.clone());
                return false;
            }
        }
        true
    });
}

/// Columns, aggregates and grouped expressions that an expression is made of.
fn needed_by(expr: &Expression, grouped: &[Expression], target: &mut Target) {
    expr.walk(&mut |node| {
        let whole = grouped.contains(node) || matches!(node, Expression::Var(_) | Expression::Aggref(_));
        if whole && !target.exprs.contains(node) {
            target.exprs.push(node.clone());
            target.references.push(0);
        }
        !whole
    });
}
