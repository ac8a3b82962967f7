//! Plans of joins.
//!
//! Realises: `create_nestloop_plan`, `create_hashjoin_plan` and `create_mergejoin_plan`.

use std::rc::Rc;

use kokkiri_analyze::tree::Expression;
use kokkiri_primitives::{Error, Result};

use crate::clause::Clause;
use crate::create::{Made, fix, hash_cost, ordered};
use crate::path::{JoinPath, Path, PathKey, PathKind};
use crate::plan::*;
use crate::root::Root;

impl Root<'_, '_> {
    /// Splits a join's conditions into its own and those applied above it, and resolves both.
    fn join_quals(
        &self,
        path: &Path,
        join: &JoinPath,
        special: &[Rc<Clause>],
        outer: &[Expression],
        inner: &[Expression],
    ) -> (Vec<Expression>, Vec<Expression>) {
        let is_outer = !matches!(join.join_type, JoinType::Inner | JoinType::Semi | JoinType::RightSemi);
        let (mut own, mut above) = (Vec::new(), Vec::new());
        for clause in &join.clauses {
            if special.iter().any(|other| Rc::ptr_eq(other, clause)) {
                continue;
            }
            if is_outer && clause.is_pushed_down(&path.relids) {
                above.push(Rc::clone(clause));
            } else {
                own.push(Rc::clone(clause));
            }
        }
        let resolve = |clauses: Vec<Rc<Clause>>| {
            ordered(clauses).iter().map(|expr| fix(expr, outer, Some(inner))).collect()
        };
        (resolve(own), resolve(above))
    }

    fn join_made(
        &self,
        path: &Path,
        outer: &[Expression],
        inner: &[Expression],
        above: Vec<Expression>,
        node: PlanNode,
    ) -> Made {
        let exprs = path.target.exprs.clone();
        let targets = exprs.iter().map(|expr| fix(expr, outer, Some(inner))).collect();
        self.make_with(path, node, targets, exprs, above)
    }

    pub fn nest_loop_plan(&mut self, path: &Path, join: &JoinPath) -> Result<Made> {
        let outer = self.create_plan(&join.outer)?;
        let inner = self.create_plan(&join.inner)?;
        let (join_qual, above) = self.join_quals(path, join, &[], &outer.exprs, &inner.exprs);
        let outer_relids = join.outer.relids.clone();
        let mut parameters = Vec::new();
        if join.inner.required_outer.overlaps(&outer_relids) {
            let of_outer =
                |expr: &Expression| matches!(expr, Expression::Var(var) if outer_relids.contains(var.varno));
            self.loop_parameters.retain(|(expr, id)| {
                if of_outer(expr) {
                    parameters.push(NestLoopParameter { id: *id, value: fix(expr, &outer.exprs, None) });
                    return false;
                }
                true
            });
        }
        let node = PlanNode::NestLoop(NestLoop {
            join: Join {
                join_type: join.join_type,
                outer: Box::new(outer.plan),
                inner: Box::new(inner.plan),
                inner_unique: join.inner_unique,
                join_qual,
            },
            parameters,
        });
        Ok(self.join_made(path, &outer.exprs, &inner.exprs, above, node))
    }

    /// Both sides of an equality, each over its input, and the clause with the outer side on the left.
    fn join_key(
        &self,
        clause: &Clause,
        join: &JoinPath,
        outer: &[Expression],
        inner: &[Expression],
    ) -> Result<(JoinKey, Expression)> {
        let (Some((left, right)), Some(operator)) =
            (clause.sides(&join.outer.relids, &join.inner.relids), clause.operator())
        else {
            return Err(Error::internal("a join key does not join its inputs"));
        };
        let swapped = !std::ptr::eq(left, &operator.args[0]);
        let mut oriented = operator.clone();
        oriented.args = vec![left.clone(), right.clone()];
        if swapped {
            let commutator = self.global.lookup.operator(operator.opno)?.commutator;
            oriented.opno = commutator.ok_or_else(|| Error::internal("a join operator has no commutator"))?;
            oriented.opfuncid = self.global.lookup.operator(oriented.opno)?.function;
        }
        let key = JoinKey {
            outer: fix(left, outer, None),
            inner: {
                let mut expr = fix(right, inner, None);
                expr.walk_mut(&mut |node| {
                    if let Expression::Var(var) = node
                        && var.varno == OUTER_VAR
                    {
                        var.varno = INNER_VAR;
                    }
                    true
                });
                expr
            },
            equality: oriented.opno,
            collation: oriented.inputcollid,
        };
        let shown = fix(&Expression::OpExpr(Box::new(oriented)), outer, Some(inner));
        Ok((key, shown))
    }

    pub fn hash_join_plan(
        &mut self,
        path: &Path,
        join: &JoinPath,
        clauses: &[Rc<Clause>],
        batches: f64,
    ) -> Result<Made> {
        let outer = self.create_plan(&join.outer)?;
        let inner = self.create_plan(&join.inner)?;
        let mut keys = Vec::new();
        let mut hash_clauses = Vec::new();
        for clause in clauses {
            let (key, shown) = self.join_key(clause, join, &outer.exprs, &inner.exprs)?;
            keys.push(key);
            hash_clauses.push(shown);
        }
        let (join_qual, above) = self.join_quals(path, join, clauses, &outer.exprs, &inner.exprs);
        let inner_exprs = inner.exprs.clone();
        let hash_path = Path { cost: hash_cost(&join.inner), ..(*join.inner).clone() };
        let hash = self.pass_through(&hash_path, inner, |input| PlanNode::Hash { input });
        let node = PlanNode::HashJoin(HashJoin {
            join: Join {
                join_type: join.join_type,
                outer: Box::new(outer.plan),
                inner: Box::new(hash.plan),
                inner_unique: join.inner_unique,
                join_qual,
            },
            hash_clauses,
            keys,
            batches,
        });
        Ok(self.join_made(path, &outer.exprs, &inner_exprs, above, node))
    }

    pub fn merge_join_plan(&mut self, path: &Path) -> Result<Made> {
        let PathKind::MergeJoin {
            join,
            clauses,
            outer_sort,
            inner_sort,
            materialize,
            skip_mark_restore,
            merge_keys,
        } = &path.kind
        else {
            return Err(Error::internal("not a merge join"));
        };
        let mut outer = self.create_plan(&join.outer)?;
        let mut inner = self.create_plan(&join.inner)?;
        // Clauses in the order of the keys; a key's inner column is its clause's other side.
        let mut ordered_clauses: Vec<(Rc<Clause>, PathKey)> = Vec::new();
        for key in merge_keys {
            for clause in clauses {
                let on_left = clause.left.is_subset_of(&join.outer.relids);
                let class = if on_left { clause.left_class.get() } else { clause.right_class.get() };
                if class.map(|class| self.class(class)) == Some(key.class) {
                    ordered_clauses.push((Rc::clone(clause), key.clone()));
                }
            }
        }
        let side = |clause: &Clause, outer: bool| {
            clause
                .sides(&join.outer.relids, &join.inner.relids)
                .map(|(left, right)| if outer { left.clone() } else { right.clone() })
                .ok_or_else(|| Error::internal("a merge key does not join its inputs"))
        };
        if !outer_sort.is_empty() {
            let mut columns = Vec::new();
            for (clause, key) in &ordered_clauses {
                columns.push((side(clause, true)?, key.clone()));
            }
            outer = self.explicit_sort(&join.outer, outer, &columns)?;
        }
        if !inner_sort.is_empty() {
            let mut columns = Vec::new();
            for (clause, key) in &ordered_clauses {
                columns.push((side(clause, false)?, key.clone()));
            }
            inner = self.explicit_sort(&join.inner, inner, &columns)?;
        }
        if *materialize {
            let input = inner.plan.cost;
            let p = &self.global.cost;
            let cost = crate::cost::material(p, input, join.inner.rows, join.inner.target.width);
            let material = Path { cost, ..(*join.inner).clone() };
            inner = self.pass_through(&material, inner, |input| PlanNode::Material { input });
        }
        let mut keys = Vec::new();
        let mut merge_clauses = Vec::new();
        for (clause, _) in &ordered_clauses {
            let (key, shown) = self.join_key(clause, join, &outer.exprs, &inner.exprs)?;
            keys.push(key);
            merge_clauses.push(shown);
        }
        let (join_qual, above) = self.join_quals(path, join, clauses, &outer.exprs, &inner.exprs);
        let node = PlanNode::MergeJoin(MergeJoin {
            join: Join {
                join_type: join.join_type,
                outer: Box::new(outer.plan),
                inner: Box::new(inner.plan),
                inner_unique: join.inner_unique,
                join_qual,
            },
            merge_clauses,
            keys,
            descending: ordered_clauses.iter().map(|(_, key)| key.descending).collect(),
            nulls_first: ordered_clauses.iter().map(|(_, key)| key.nulls_first).collect(),
            skip_mark_restore: *skip_mark_restore,
        });
        Ok(self.join_made(path, &outer.exprs, &inner.exprs, above, node))
    }

    fn explicit_sort(&self, path: &Rc<Path>, made: Made, columns: &[(Expression, PathKey)]) -> Result<Made> {
        let mut made = made;
        let mut keys: Vec<SortKey> = Vec::new();
        for (expr, key) in columns {
            let column = self.column_for(&mut made, expr)?;
            if keys.iter().any(|other| other.column == column) {
                continue;
            }
            keys.push(self.sort_key(column, expr, key)?);
        }
        let p = &self.global.cost;
        let cost = crate::cost::sort(p, path.cost, path.rows, path.target.width, None);
        let disabled = path.disabled_nodes + usize::from(!p.enable.sort);
        let sorted = Path { cost, disabled_nodes: disabled, ..(**path).clone() };
        Ok(self.pass_through(&sorted, made, |input| PlanNode::Sort { input, keys }))
    }
}
