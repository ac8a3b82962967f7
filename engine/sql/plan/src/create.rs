//! From the winning path to the plan.
//!
//! Realises: `createplan.c` and `setrefs.c` in one pass: as each node is made, its expressions are
//! rewritten to name columns of its inputs' target lists, which are at hand as the expressions they were
//! before their own rewriting.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids, RteKind, TargetEntry};
use kokkiri_primitives::{Error, Result, stack};

use crate::clause::Clause;
use crate::cost::{Cost, clamp_rows};
use crate::equivalence::Member;
use crate::expression::{exec_param, same_value, variables};
use crate::path::{BitmapPath, BitmapSource, GroupTarget, IndexPath, JoinPath, Path, PathKey, PathKind};
use crate::plan::*;
use crate::relation::BaseKind;
use crate::root::Root;

/// A plan with its target list as it was before references were resolved.
pub struct Made {
    pub plan: Plan,
    pub exprs: Vec<Expression>,
}

impl Root<'_, '_> {
    pub fn create_plan(&mut self, path: &Rc<Path>) -> Result<Made> {
        stack::check_depth()?;
        let made = self.create_node(path)?;
        let gates = self.gates(path);
        if gates.is_empty() {
            return Ok(made);
        }
        let constant_qual = gates.into_iter().map(|expr| self.loop_replace(expr, &path.relids)).collect();
        Ok(self.pass_through(path, made, |input| {
            PlanNode::Result(ResultNode { input: Some(input), constant_qual })
        }))
    }

    /// Conditions of a scan or join that are the same for all its rows: they are checked once, before it
    /// is run at all (`get_gating_quals`).
    fn gates(&self, path: &Path) -> Vec<Expression> {
        let clauses: &[Rc<Clause>] = match &path.kind {
            PathKind::SeqScan { relid, .. }
            | PathKind::BitmapHeapScan { relid, .. }
            | PathKind::TidScan { relid, .. }
            | PathKind::SubqueryScan { relid, .. }
            | PathKind::FunctionScan { relid, .. }
            | PathKind::ValuesScan { relid, .. }
            | PathKind::IndexScan(IndexPath { relid, .. }) => &self.base[relid].restrictions,
            PathKind::NestLoop(join) | PathKind::MergeJoin { join, .. } | PathKind::HashJoin { join, .. } => {
                &join.clauses
            }
            _ => &[],
        };
        in_order(clauses.iter().filter(|clause| clause.pseudoconstant).cloned().collect())
    }

    fn create_node(&mut self, path: &Rc<Path>) -> Result<Made> {
        match &path.kind {
            PathKind::SeqScan { relid, clauses } => {
                let node = PlanNode::SeqScan { scan_relid: *relid };
                self.scan_plan(path, *relid, clauses, node)
            }
            PathKind::TidScan { relid, quals, clauses } => {
                let node = PlanNode::TidScan {
                    scan_relid: *relid,
                    tid_quals: quals.iter().map(|clause| clause.expr.clone()).collect(),
                };
                let mut made = self.scan_plan(path, *relid, clauses, node)?;
                made.plan.qual.retain(|qual| !quals.iter().any(|clause| clause.expr == *qual));
                Ok(made)
            }
            PathKind::FunctionScan { relid, clauses } => {
                let RteKind::Function { functions, ordinality } = &self.global.rte(*relid).kind else {
                    return Err(Error::internal("a function scan needs a function"));
                };
                let with_ordinality = *ordinality;
                let functions: Vec<Expression> =
                    functions.iter().map(|function| function.expr.clone()).collect();
                let own = Relids::single(*relid);
                let functions = functions.into_iter().map(|expr| self.loop_replace(expr, &own)).collect();
                let node = PlanNode::FunctionScan { scan_relid: *relid, functions, with_ordinality };
                self.scan_plan(path, *relid, clauses, node)
            }
            PathKind::ValuesScan { relid, clauses } => {
                let RteKind::Values { lists, .. } = &self.global.rte(*relid).kind else {
                    return Err(Error::internal("a values scan needs a VALUES list"));
                };
                let lists = lists.clone();
                let own = Relids::single(*relid);
                let rows = lists
                    .into_iter()
                    .map(|row| row.into_iter().map(|expr| self.loop_replace(expr, &own)).collect())
                    .collect();
                self.scan_plan(path, *relid, clauses, PlanNode::ValuesScan { scan_relid: *relid, rows })
            }
            PathKind::SubqueryScan { relid, clauses } => {
                let BaseKind::Subquery(subquery) = &self.base[relid].kind else {
                    return Err(Error::internal("a subquery scan needs a subquery"));
                };
                let input = Box::new(subquery.plan.clone());
                let node = PlanNode::SubqueryScan { scan_relid: *relid, input };
                let made = self.scan_plan(path, *relid, clauses, node)?;
                Ok(without_trivial_scan(made, *relid))
            }
            PathKind::IndexScan(scan) => self.index_scan_plan(path, scan),
            PathKind::BitmapHeapScan { relid, bitmap } => self.bitmap_heap_plan(path, *relid, bitmap),
            PathKind::Result { input, constant_qual } => {
                let constant_qual = constant_qual.clone();
                match input {
                    None => {
                        let node = PlanNode::Result(ResultNode { input: None, constant_qual });
                        let restrictions =
                            match path.relids.singleton().and_then(|relid| self.base.get(&relid)) {
                                Some(base) => {
                                    base.restrictions.iter().map(|clause| clause.expr.clone()).collect()
                                }
                                None => Vec::new(),
                            };
                        let exprs = path.target.exprs.clone();
                        Ok(self.make(path, node, exprs, restrictions, &[]))
                    }
                    Some(input) => {
                        let made = self.create_plan(input)?;
                        let exprs = path.target.exprs.clone();
                        let targets = exprs.iter().map(|expr| fix(expr, &made.exprs, None)).collect();
                        let node =
                            PlanNode::Result(ResultNode { input: Some(Box::new(made.plan)), constant_qual });
                        Ok(self.make_with(path, node, targets, exprs, Vec::new()))
                    }
                }
            }
            PathKind::Dummy => {
                let constant_qual = vec![crate::expression::boolean(Some(false))];
                let node = PlanNode::Result(ResultNode { input: None, constant_qual });
                let exprs = path.target.exprs.clone();
                Ok(self.make_with(path, node, exprs.clone(), exprs, Vec::new()))
            }
            PathKind::MinMax { values, having } => {
                let found = |node: &Expression| {
                    values.iter().find(|(aggregate, _)| aggregate == node).map(|(_, value)| value.clone())
                };
                let filled = |expr: &Expression| {
                    let mut expr = expr.clone();
                    crate::expression::substitute(&mut expr, &mut |node| found(node));
                    expr
                };
                let constant_qual = having.iter().map(filled).collect();
                let node = PlanNode::Result(ResultNode { input: None, constant_qual });
                let exprs = path.target.exprs.clone();
                let targets = exprs.iter().map(filled).collect();
                Ok(self.make_with(path, node, targets, exprs, Vec::new()))
            }
            PathKind::NestLoop(join) => self.nest_loop_plan(path, join),
            PathKind::HashJoin { join, clauses, batches } => {
                self.hash_join_plan(path, join, clauses, *batches)
            }
            PathKind::MergeJoin { .. } => self.merge_join_plan(path),
            PathKind::Material { input } => {
                let made = self.create_plan(input)?;
                Ok(self.pass_through(path, made, |input| PlanNode::Material { input }))
            }
            PathKind::Sort { input } => {
                let made = self.create_plan(input)?;
                let (made, keys) = self.sort_keys(made, input, &path.pathkeys)?;
                Ok(self.pass_through(path, made, |input| PlanNode::Sort { input, keys }))
            }
            PathKind::ProjectSet { input } => {
                let made = self.create_plan(input)?;
                let exprs = path.target.exprs.clone();
                let targets = exprs.iter().map(|expr| fix(expr, &made.exprs, None)).collect();
                let node = PlanNode::ProjectSet { input: Box::new(made.plan) };
                Ok(self.make_with(path, node, targets, exprs, Vec::new()))
            }
            PathKind::Agg { input, strategy, columns, groups, having, is_group } => {
                let made = self.create_plan(input)?;
                let group_columns = group_columns(columns, &made.exprs)?;
                let exprs = path.target.exprs.clone();
                let targets = exprs.iter().map(|expr| fix(expr, &made.exprs, None)).collect();
                let qual = having.iter().map(|expr| fix(expr, &made.exprs, None)).collect();
                let node = PlanNode::Agg(Agg {
                    input: Box::new(made.plan),
                    strategy: *strategy,
                    group_columns,
                    groups: *groups,
                    is_group: *is_group,
                });
                Ok(self.make_with(path, node, targets, exprs, qual))
            }
            PathKind::Append { inputs } => {
                let mut plans = Vec::with_capacity(inputs.len());
                for input in inputs {
                    plans.push(self.create_plan(input)?.plan);
                }
                let exprs = path.target.exprs.clone();
                let targets = input_columns(&exprs);
                Ok(self.make_with(path, PlanNode::Append { inputs: plans }, targets, exprs, Vec::new()))
            }
            PathKind::SetOp { left, right, command, strategy, equalities, order, groups } => {
                let (left, right) = (self.create_plan(left)?, self.create_plan(right)?);
                let exprs = path.target.exprs.clone();
                let columns = equalities
                    .iter()
                    .zip(&exprs)
                    .enumerate()
                    .map(|(at, (equality, expr))| GroupColumn {
                        column: at + 1,
                        equality: *equality,
                        collation: expr.collation(),
                    })
                    .collect();
                let mut sort_keys = Vec::new();
                for (at, key) in order.iter().enumerate() {
                    sort_keys.push(self.sort_key(at + 1, &exprs[at], key)?);
                }
                let node = PlanNode::SetOp(SetOp {
                    command: *command,
                    strategy: *strategy,
                    left: Box::new(left.plan),
                    right: Box::new(right.plan),
                    columns,
                    sort_keys,
                    groups: *groups,
                });
                let targets = input_columns(&exprs);
                Ok(self.make_with(path, node, targets, exprs, Vec::new()))
            }
            PathKind::Unique { input, columns } => {
                let made = self.create_plan(input)?;
                let columns = group_columns(columns, &made.exprs)?;
                Ok(self.pass_through(path, made, |input| PlanNode::Unique { input, columns }))
            }
            PathKind::LockRows { input, row_marks } => {
                let made = self.create_plan(input)?;
                let row_marks = row_marks.clone();
                Ok(self.pass_through(path, made, |input| PlanNode::LockRows { input, row_marks }))
            }
            PathKind::Limit { input, offset, count, ties } => {
                let made = self.create_plan(input)?;
                let (offset, count) = (offset.clone(), count.clone());
                let ties = group_columns(ties, &made.exprs)?;
                Ok(self.pass_through(path, made, |input| PlanNode::Limit { input, offset, count, ties }))
            }
        }
    }

    fn make_with(
        &self,
        path: &Path,
        node: PlanNode,
        targets: Vec<Expression>,
        exprs: Vec<Expression>,
        qual: Vec<Expression>,
    ) -> Made {
        let target_list = targets
            .into_iter()
            .enumerate()
            .map(|(at, expr)| {
                let mut entry = TargetEntry::new(expr, at as i16 + 1, None, false);
                entry.ressortgroupref = path.target.references.get(at).copied().unwrap_or(0);
                entry
            })
            .collect();
        let plan = Plan {
            node,
            id: 0,
            cost: path.cost,
            rows: path.rows,
            width: path.target.width,
            disabled_nodes: path.disabled_nodes,
            target_list,
            qual,
            init_plans: Vec::new(),
            parameters: Vec::new(),
        };
        Made { plan, exprs }
    }

    /// A scan: its expressions keep naming the relation, others become parameters.
    fn make(
        &mut self,
        path: &Path,
        node: PlanNode,
        exprs: Vec<Expression>,
        qual: Vec<Expression>,
        _inputs: &[Expression],
    ) -> Made {
        let targets = exprs.iter().map(|expr| self.loop_replace(expr.clone(), &path.relids)).collect();
        let qual = qual.into_iter().map(|expr| self.loop_replace(expr, &path.relids)).collect();
        self.make_with(path, node, targets, exprs, qual)
    }

    fn scan_plan(&mut self, path: &Path, relid: u32, clauses: &[Rc<Clause>], node: PlanNode) -> Result<Made> {
        let restrictions: Vec<Rc<Clause>> =
            self.base[&relid].restrictions.iter().chain(clauses).cloned().collect();
        let qual = ordered(restrictions);
        let exprs = path.target.exprs.clone();
        Ok(self.make(path, node, exprs, qual, &[]))
    }

    fn pass_through(&self, path: &Path, made: Made, node: impl FnOnce(Box<Plan>) -> PlanNode) -> Made {
        let targets: Vec<Expression> = made
            .plan
            .target_list
            .iter()
            .enumerate()
            .map(|(at, target)| crate::expression::var(OUTER_VAR, at as i16 + 1, &target.expr))
            .collect();
        let references: Vec<u32> =
            made.plan.target_list.iter().map(|target| target.ressortgroupref).collect();
        let junk: Vec<bool> = made.plan.target_list.iter().map(|target| target.resjunk).collect();
        let exprs = made.exprs;
        let mut result = self.make_with(path, node(Box::new(made.plan)), targets, exprs, Vec::new());
        for ((target, reference), junk) in result.plan.target_list.iter_mut().zip(references).zip(junk) {
            target.ressortgroupref = reference;
            target.resjunk = junk;
        }
        result
    }

    /// The conditions of an index scan for the index, and as they are written.
    fn index_quals(&mut self, scan: &IndexPath) -> Result<(Vec<IndexQual>, Vec<Expression>)> {
        let own = Relids::single(scan.relid);
        let index = Rc::clone(&scan.index);
        let mut index_quals = Vec::new();
        let mut original = Vec::new();
        for clause in &scan.index_clauses {
            let family = index.families[clause.column];
            let comparison = match &clause.clause.expr {
                Expression::OpExpr(operator) => {
                    let entry = self.global.lookup.operator(operator.opno)?;
                    let (opno, argument) = if clause.commuted {
                        let commutator = entry
                            .commutator
                            .ok_or_else(|| Error::internal("an index condition has no commutator"))?;
                        (commutator, operator.args[0].clone())
                    } else {
                        (operator.opno, operator.args[1].clone())
                    };
                    let function = self.global.lookup.operator(opno)?.function;
                    let strategy = self.global.lookup.strategy(opno, family)?.unwrap_or(0);
                    let argument = self.loop_replace(argument, &own);
                    let shown = if clause.commuted {
                        let mut commuted = (**operator).clone();
                        commuted.args = vec![operator.args[1].clone(), operator.args[0].clone()];
                        commuted.opno = opno;
                        commuted.opfuncid = function;
                        Expression::OpExpr(Box::new(commuted))
                    } else {
                        clause.clause.expr.clone()
                    };
                    original.push(self.loop_replace(shown, &own));
                    IndexComparison::Operator { operator: opno, function, strategy, argument }
                }
                Expression::ScalarArrayOpExpr(test) => {
                    let strategy = self.global.lookup.strategy(test.opno, family)?.unwrap_or(0);
                    let array = self.loop_replace(test.array.clone(), &own);
                    original.push(self.loop_replace(clause.clause.expr.clone(), &own));
                    IndexComparison::Any { operator: test.opno, function: test.opfuncid, strategy, array }
                }
                Expression::NullTest(test) => {
                    original.push(clause.clause.expr.clone());
                    if test.is_null { IndexComparison::IsNull } else { IndexComparison::IsNotNull }
                }
                _ => return Err(Error::internal("unsupported index condition")),
            };
            index_quals.push(IndexQual { column: clause.column, comparison });
        }
        Ok((index_quals, original))
    }

    /// Reads a table by a bitmap: what the index scans check exactly needs no other check.
    fn bitmap_heap_plan(&mut self, path: &Path, relid: u32, bitmap: &BitmapPath) -> Result<Made> {
        let restrictions = self.base[&relid].restrictions.clone();
        let others = restrictions.into_iter().chain(bitmap.joined.iter().cloned());
        let filter = ordered(others.filter(|clause| !bitmap.checks(clause)).collect());
        let mut recheck = Vec::new();
        let input = Box::new(self.bitmap_plan(relid, bitmap, &mut recheck)?);
        let node = PlanNode::BitmapHeapScan(BitmapHeapScan { scan_relid: relid, input, recheck });
        let exprs = path.target.exprs.clone();
        Ok(self.make(path, node, exprs, filter, &[]))
    }

    fn bitmap_plan(
        &mut self,
        relid: u32,
        bitmap: &BitmapPath,
        recheck: &mut Vec<Expression>,
    ) -> Result<Plan> {
        let (node, cost) = match &bitmap.source {
            BitmapSource::Index { scan, cost } => {
                let (index_quals, original) = self.index_quals(scan)?;
                recheck.extend(original.iter().cloned());
                let node = PlanNode::BitmapIndexScan(BitmapIndexScan {
                    scan_relid: relid,
                    index: scan.index.entry.oid,
                    index_quals,
                    index_qual_original: original,
                });
                (node, Cost { startup: 0.0, total: *cost })
            }
            BitmapSource::And(inputs) => {
                let mut plans = Vec::with_capacity(inputs.len());
                for input in inputs {
                    plans.push(self.bitmap_plan(relid, input, recheck)?);
                }
                (PlanNode::BitmapAnd { inputs: plans }, Cost { startup: bitmap.cost, total: bitmap.cost })
            }
        };
        Ok(Plan {
            node,
            id: 0,
            cost,
            rows: clamp_rows(bitmap.selectivity * self.base[&relid].tuples),
            width: 0,
            disabled_nodes: 0,
            target_list: Vec::new(),
            qual: Vec::new(),
            init_plans: Vec::new(),
            parameters: Vec::new(),
        })
    }

    fn index_scan_plan(&mut self, path: &Path, scan: &IndexPath) -> Result<Made> {
        let index = Rc::clone(&scan.index);
        let (index_quals, original) = self.index_quals(scan)?;
        let filter = ordered(scan.filter.clone());
        let exprs = path.target.exprs.clone();
        if !scan.index_only {
            let node = PlanNode::IndexScan(IndexScan {
                scan_relid: scan.relid,
                index: index.entry.oid,
                index_quals,
                index_qual_original: original,
                direction: scan.direction,
            });
            return Ok(self.make(path, node, exprs, filter, &[]));
        }
        let node = PlanNode::IndexOnlyScan(IndexOnlyScan {
            scan_relid: scan.relid,
            index: index.entry.oid,
            index_quals,
            index_qual_original: original,
            direction: scan.direction,
            index_target_list: index.columns.clone(),
        });
        let mut made = self.make(path, node, exprs, filter, &[]);
        let targets = made.plan.target_list.iter_mut().map(|target| &mut target.expr);
        for expr in targets.chain(&mut made.plan.qual) {
            read_from_index(expr, scan.relid, &index.columns);
        }
        Ok(made)
    }

    /// Replaces columns of relations outside `own` by nested-loop parameters.
    fn loop_replace(&mut self, mut expr: Expression, own: &Relids) -> Expression {
        if variables(&expr).iter().all(|var| own.contains(var.varno)) {
            return expr;
        }
        expr.walk_mut(&mut |node| {
            let Expression::Var(var) = &*node else { return true };
            if var.varlevelsup != 0 || own.contains(var.varno) {
                return true;
            }
            let known = self.loop_parameters.iter().find(|(other, _)| other == &*node);
            let id = match known {
                Some((_, id)) => *id,
                None => {
                    let id = self.global.new_parameter();
                    self.loop_parameters.push((node.clone(), id));
                    id
                }
            };
            *node = exec_param(id, node);
            false
        });
        expr
    }

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

    fn nest_loop_plan(&mut self, path: &Path, join: &JoinPath) -> Result<Made> {
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

    fn hash_join_plan(
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

    fn merge_join_plan(&mut self, path: &Path) -> Result<Made> {
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

    fn sort_key(&self, column: usize, expr: &Expression, key: &PathKey) -> Result<SortKey> {
        let strategy = if key.descending { 5 } else { 1 };
        let type_oid = self.global.lookup.family_type(key.family, expr.result_type())?;
        let operator = self
            .global
            .lookup
            .family_operator(key.family, type_oid, type_oid, strategy)?
            .ok_or_else(|| Error::internal("missing sort operator in an operator family"))?;
        Ok(SortKey {
            column,
            operator,
            collation: self.classes[key.class].collation,
            descending: key.descending,
            nulls_first: key.nulls_first,
        })
    }

    /// The column of a plan that holds an expression, added if it isn't there yet.
    fn column_for(&self, made: &mut Made, expr: &Expression) -> Result<usize> {
        if let Some(at) = made.exprs.iter().position(|known| same_value(known, expr)) {
            return Ok(at + 1);
        }
        let can_project = !matches!(
            made.plan.node,
            PlanNode::Material { .. }
                | PlanNode::Sort { .. }
                | PlanNode::Unique { .. }
                | PlanNode::Limit { .. }
                | PlanNode::LockRows { .. }
                | PlanNode::Append { .. }
                | PlanNode::SetOp(_)
                | PlanNode::Hash { .. }
        ) && made.plan.children().is_empty();
        if !can_project {
            // A Result computes the column from the others.
            let old = std::mem::take(&mut made.plan.target_list);
            let exprs = made.exprs.clone();
            let mut inner = made.plan.clone();
            inner.target_list = old;
            let mut targets: Vec<TargetEntry> = inner
                .target_list
                .iter()
                .enumerate()
                .map(|(at, target)| {
                    let mut copy = target.clone();
                    copy.expr = crate::expression::var(OUTER_VAR, at as i16 + 1, &target.expr);
                    copy
                })
                .collect();
            let resno = targets.len() as i16 + 1;
            targets.push(TargetEntry::new(fix(expr, &exprs, None), resno, None, true));
            made.plan.node =
                PlanNode::Result(ResultNode { input: Some(Box::new(inner)), constant_qual: Vec::new() });
            made.plan.qual = Vec::new();
            made.plan.target_list = targets;
        } else {
            let resno = made.plan.target_list.len() as i16 + 1;
            let mut column = expr.clone();
            if let PlanNode::IndexOnlyScan(scan) = &made.plan.node {
                read_from_index(&mut column, scan.scan_relid, &scan.index_target_list);
            }
            made.plan.target_list.push(TargetEntry::new(column, resno, None, true));
        }
        made.exprs.push(expr.clone());
        Ok(made.exprs.len())
    }

    fn sort_keys(&self, made: Made, input: &Path, pathkeys: &[PathKey]) -> Result<(Made, Vec<SortKey>)> {
        let mut made = made;
        let mut keys = Vec::new();
        for key in pathkeys {
            let class = &self.classes[key.class];
            let by_reference = made.plan.target_list.iter().position(|target| {
                class.sort_reference != 0 && target.ressortgroupref == class.sort_reference
            });
            let found = by_reference.filter(|_| class.has_volatile).or_else(|| {
                made.exprs
                    .iter()
                    .position(|expr| class.members.iter().any(|member| same_value(&member.expr, expr)))
            });
            let (column, expr) = match found {
                Some(at) => (at + 1, made.exprs[at].clone()),
                None => {
                    let member = class
                        .members
                        .iter()
                        .find(|member| is_computable(member, &made, input))
                        .map(|member| member.expr.clone())
                        .ok_or_else(|| Error::internal("could not find pathkey item to sort"))?;
                    (self.column_for(&mut made, &member)?, member)
                }
            };
            keys.push(self.sort_key(column, &expr, key)?);
        }
        Ok((made, keys))
    }
}

/// True if a plan could compute a member of an equivalence class as a further column
/// (`find_computable_ec_member`).
fn is_computable(member: &Member, made: &Made, path: &Path) -> bool {
    if made.plan.children().is_empty() {
        return member.relids.is_subset_of(&path.relids);
    }
    !fix(&member.expr, &made.exprs, None).contains(|node| match node {
        Expression::Var(var) => var.varno != OUTER_VAR,
        Expression::Aggref(_) => true,
        _ => false,
    })
}

/// Makes an index-only scan's columns columns of its index.
fn read_from_index(expr: &mut Expression, relid: u32, columns: &[Expression]) {
    expr.walk_mut(&mut |node| {
        if let Expression::Var(var) = node
            && var.varno == relid
            && let Some(at) = columns
                .iter()
                .position(|column| matches!(column, Expression::Var(other) if other.varattno == var.varattno))
        {
            var.varno = INDEX_VAR;
            var.varattno = at as i16 + 1;
        }
        true
    });
}

/// Columns of an input one after the other.
fn input_columns(exprs: &[Expression]) -> Vec<Expression> {
    exprs
        .iter()
        .enumerate()
        .map(|(at, expr)| crate::expression::var(OUTER_VAR, at as i16 + 1, expr))
        .collect()
}

/// A scan of a subquery that neither filters nor rearranges it gives way to the subquery's own plan
/// (`trivial_subqueryscan`).
fn without_trivial_scan(made: Made, relid: u32) -> Made {
    let Made { plan, exprs } = made;
    let is_trivial = match &plan.node {
        PlanNode::SubqueryScan { input, .. } => {
            plan.qual.is_empty()
                && input.target_list.len() == plan.target_list.len()
                && plan.target_list.iter().zip(&input.target_list).enumerate().all(|(at, (target, below))| {
                    !below.resjunk
                        && matches!(&target.expr, Expression::Var(var)
                            if var.varno == relid && var.varattno == at as i16 + 1)
                })
        }
        _ => false,
    };
    match plan.node {
        PlanNode::SubqueryScan { input, .. } if is_trivial => {
            let mut input = *input;
            for (below, target) in input.target_list.iter_mut().zip(&plan.target_list) {
                below.ressortgroupref = target.ressortgroupref;
            }
            Made { plan: input, exprs }
        }
        _ => Made { plan, exprs },
    }
}

/// The Hash node shows its input's total as both of its costs.
fn hash_cost(input: &Path) -> crate::cost::Cost {
    crate::cost::Cost { startup: input.cost.total, total: input.cost.total }
}

fn group_columns(columns: &[GroupTarget], exprs: &[Expression]) -> Result<Vec<GroupColumn>> {
    columns
        .iter()
        .map(|column| {
            let at = exprs.iter().position(|expr| same_value(expr, &column.expr));
            let at = at.ok_or_else(|| Error::internal("a grouping column is missing from its input"))?;
            Ok(GroupColumn { column: at + 1, equality: column.equality, collation: column.expr.collation() })
        })
        .collect()
}

/// Conditions to check of every row.
fn ordered(clauses: Vec<Rc<Clause>>) -> Vec<Expression> {
    in_order(clauses.into_iter().filter(|clause| !clause.pseudoconstant).collect())
}

/// Conditions cheapest first, otherwise in the order they came (`order_qual_clauses`).
fn in_order(mut clauses: Vec<Rc<Clause>>) -> Vec<Expression> {
    clauses.sort_by(|a, b| a.cost.per_tuple.total_cmp(&b.cost.per_tuple));
    clauses.into_iter().map(|clause| clause.expr.clone()).collect()
}

/// Rewrites an expression over columns of the inputs' target lists.
pub fn fix(expr: &Expression, outer: &[Expression], inner: Option<&[Expression]>) -> Expression {
    let mut fixed = expr.clone();
    crate::expression::substitute(&mut fixed, &mut |node| {
        if matches!(node, Expression::Const(_) | Expression::Param(_)) {
            return None;
        }
        let find = |exprs: &[Expression]| exprs.iter().position(|known| same_value(known, node));
        if let Some(at) = find(outer) {
            return Some(crate::expression::var(OUTER_VAR, at as i16 + 1, node));
        }
        let at = inner.and_then(find)?;
        Some(crate::expression::var(INNER_VAR, at as i16 + 1, node))
    });
    fixed
}

/// Numbers the nodes and notes which parameters each subtree reads from outside.
pub fn finish(plan: &mut Plan, next_id: &mut usize) -> Vec<u32> {
    plan.id = *next_id;
    *next_id += 1;
    let mut read: Vec<u32> = Vec::new();
    let mut note = |expr: &Expression| {
        expr.walk(&mut |node| {
            if let Expression::Param(param) = node
                && param.kind == kokkiri_analyze::tree::ParamKind::Exec
            {
                read.push(param.id);
            }
            true
        });
    };
    plan.target_list.iter().for_each(|target| note(&target.expr));
    plan.qual.iter().for_each(&mut note);
    visit_node_expressions(&plan.node, &mut note);
    let mut set: Vec<u32> = plan.init_plans.iter().flat_map(|init| init.set_parameters.clone()).collect();
    match &mut plan.node {
        PlanNode::Result(result) => {
            if let Some(input) = &mut result.input {
                read.extend(finish(input, next_id));
            }
        }
        PlanNode::ProjectSet { input }
        | PlanNode::SubqueryScan { input, .. }
        | PlanNode::Hash { input }
        | PlanNode::Material { input }
        | PlanNode::Sort { input, .. }
        | PlanNode::IncrementalSort { input, .. }
        | PlanNode::Unique { input, .. }
        | PlanNode::Limit { input, .. }
        | PlanNode::LockRows { input, .. } => read.extend(finish(input, next_id)),
        PlanNode::NestLoop(NestLoop { join, parameters }) => {
            read.extend(finish(&mut join.outer, next_id));
            let mut inner = finish(&mut join.inner, next_id);
            inner.retain(|id| !parameters.iter().any(|parameter| parameter.id == *id));
            read.extend(inner);
        }
        PlanNode::MergeJoin(MergeJoin { join, .. }) | PlanNode::HashJoin(HashJoin { join, .. }) => {
            read.extend(finish(&mut join.outer, next_id));
            read.extend(finish(&mut join.inner, next_id));
        }
        PlanNode::Agg(agg) => read.extend(finish(&mut agg.input, next_id)),
        PlanNode::BitmapHeapScan(scan) => {
            read.extend(finish(&mut scan.input, next_id));
        }
        PlanNode::BitmapAnd { inputs } | PlanNode::Append { inputs } => {
            for input in inputs {
                read.extend(finish(input, next_id));
            }
        }
        PlanNode::SetOp(set_op) => {
            read.extend(finish(&mut set_op.left, next_id));
            read.extend(finish(&mut set_op.right, next_id));
        }
        PlanNode::ModifyTable(modify) => read.extend(finish(&mut modify.input, next_id)),
        PlanNode::SeqScan { .. }
        | PlanNode::IndexScan(_)
        | PlanNode::IndexOnlyScan(_)
        | PlanNode::BitmapIndexScan(_)
        | PlanNode::TidScan { .. }
        | PlanNode::FunctionScan { .. }
        | PlanNode::ValuesScan { .. } => {}
    }
    read.sort_unstable();
    read.dedup();
    set.sort_unstable();
    read.retain(|id| set.binary_search(id).is_err());
    plan.parameters = read.clone();
    read
}

/// Calls `visit` on expressions of a node beyond its target list and quals.
pub fn visit_node_expressions(node: &PlanNode, visit: &mut dyn FnMut(&Expression)) {
    let index_qual = |qual: &IndexQual, visit: &mut dyn FnMut(&Expression)| match &qual.comparison {
        IndexComparison::Operator { argument, .. } => visit(argument),
        IndexComparison::Any { array, .. } => visit(array),
        IndexComparison::IsNull | IndexComparison::IsNotNull => {}
    };
    match node {
        PlanNode::Result(result) => result.constant_qual.iter().for_each(visit),
        PlanNode::IndexScan(scan) => scan.index_quals.iter().for_each(|qual| index_qual(qual, visit)),
        PlanNode::IndexOnlyScan(scan) => scan.index_quals.iter().for_each(|qual| index_qual(qual, visit)),
        PlanNode::BitmapIndexScan(scan) => scan.index_quals.iter().for_each(|qual| index_qual(qual, visit)),
        PlanNode::BitmapHeapScan(scan) => scan.recheck.iter().for_each(visit),
        PlanNode::TidScan { tid_quals, .. } => tid_quals.iter().for_each(visit),
        PlanNode::FunctionScan { functions, .. } => functions.iter().for_each(visit),
        PlanNode::ValuesScan { rows, .. } => rows.iter().flatten().for_each(visit),
        PlanNode::NestLoop(NestLoop { join, parameters }) => {
            join.join_qual.iter().for_each(&mut *visit);
            parameters.iter().for_each(|parameter| visit(&parameter.value));
        }
        PlanNode::MergeJoin(MergeJoin { join, merge_clauses, .. }) => {
            join.join_qual.iter().chain(merge_clauses).for_each(visit)
        }
        PlanNode::HashJoin(HashJoin { join, hash_clauses, .. }) => {
            join.join_qual.iter().chain(hash_clauses).for_each(visit)
        }
        PlanNode::Limit { offset, count, .. } => offset.iter().chain(count).for_each(visit),
        PlanNode::ModifyTable(modify) => {
            modify.returning.iter().for_each(|target| visit(&target.expr));
            if let Some(conflict) = &modify.on_conflict {
                conflict.set.iter().for_each(|target| visit(&target.expr));
                conflict.where_clause.iter().for_each(visit);
            }
        }
        _ => {}
    }
}
