//! From the winning path to the plan.
//!
//! Realises: `createplan.c` and `setrefs.c` in one pass: as each node is made, its expressions are
//! rewritten to name columns of its inputs' target lists, which are at hand as the expressions they were
//! before their own rewriting.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids, RteKind, TargetEntry};
use kokkiri_primitives::{Error, Result, stack};

use crate::clause::Clause;
use crate::expression::{exec_param, same_value, variables};
use crate::path::{GroupTarget, IndexPath, Path, PathKind};
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
                        Ok(self.make(path, node, exprs, restrictions))
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

    pub fn make_with(
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
    pub fn make(
        &mut self,
        path: &Path,
        node: PlanNode,
        exprs: Vec<Expression>,
        qual: Vec<Expression>,
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
        Ok(self.make(path, node, exprs, qual))
    }

    pub fn pass_through(&self, path: &Path, made: Made, node: impl FnOnce(Box<Plan>) -> PlanNode) -> Made {
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

    /// Replaces columns of relations outside `own` by nested-loop parameters.
    pub fn loop_replace(&mut self, mut expr: Expression, own: &Relids) -> Expression {
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
}

/// Columns of an input one after the other.
pub fn input_columns(exprs: &[Expression]) -> Vec<Expression> {
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
pub fn hash_cost(input: &Path) -> crate::cost::Cost {
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
pub fn ordered(clauses: Vec<Rc<Clause>>) -> Vec<Expression> {
    in_order(clauses.into_iter().filter(|clause| !clause.pseudoconstant).collect())
}

/// Conditions cheapest first, otherwise in the order they came (`order_qual_clauses`).
pub fn in_order(mut clauses: Vec<Rc<Clause>>) -> Vec<Expression> {
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
