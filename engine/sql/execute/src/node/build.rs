//! From the plan to operators.
//!
//! Realises: `ExecInitNode` and what each node's `ExecInit` compiles. [`Builder::build`] makes the operator of
//! a plan node and of those below it; the families of nodes have a file each. A plan can be built a second
//! time for rows to be evaluated again (EvalPlanQual): its scans then return just the version at hand.

mod aggregate;
mod join;
mod modify;
mod scan;

use std::borrow::Cow;
use std::sync::Arc;

use kokkiri_analyze::tree::{Expression, RteKind};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_plan::null_of;
use kokkiri_plan::plan::*;
use kokkiri_primitives::{Error, Result, stack};
use kokkiri_types::builtin::oid::RECORD;
use kokkiri_types::compare::comparator;
use kokkiri_types::{Batch, PhysicalType, Value};

use super::append::Append;
use super::bitmap::BitmapAnd;
use super::function_scan::{SubqueryScan, ValuesScan};
use super::hash_join::Hash as HashOperator;
use super::limit::Limit;
use super::material::Material;
use super::output::Output;
use super::result::{ProjectSet, ResultNode as ResultOperator, SetItem, set_function};
use super::set_op::SetOp as SetOpOperator;
use super::sort::{Key as SortKeyOf, Sort};
use super::unique::Unique;
use super::{Node, Operator, RECHECK_PARAMETER};
use crate::expression::compile::{FunctionNames, physical_of};
use crate::expression::{Compiler, Filter, Scope};
use crate::parameters::Outside;

pub struct Builder<'a> {
    pub facts: &'a dyn CatalogFacts,
    pub statement: &'a PlannedStatement,
    pub names: Arc<dyn FunctionNames>,
    pub outside: &'a Outside,
    /// Tables for which rows are evaluated again: their scans return just the version at hand.
    pub recheck: &'a [u32],
}

/// Types of a plan's columns.
fn types_of(plan: &Plan) -> Vec<PhysicalType> {
    plan.target_list.iter().map(|target| physical_of(target.expr.result_type())).collect()
}

impl Builder<'_> {
    pub fn build(&self, plan: &Plan) -> Result<Node> {
        stack::check_depth()?;
        let operator = self.operator(plan)?;
        let mut parameters = self.outside.of_plan(plan);
        if !self.recheck.is_empty() {
            parameters.push(RECHECK_PARAMETER);
        }
        Ok(Node::new(plan.id, parameters, operator))
    }

    /// A builder of the same plan for rows to be evaluated again.
    fn for_recheck<'b>(&'b self, pinned: &'b [u32]) -> Builder<'b> {
        let names = Arc::clone(&self.names);
        Builder { names, recheck: pinned, ..*self }
    }

    fn input_scope(&self) -> Scope {
        Scope::of_input(&self.names)
    }

    fn table(&self, relid: u32) -> Result<Arc<RelationEntry>> {
        match self.statement.range_table.get(relid as usize - 1).map(|entry| &entry.kind) {
            Some(RteKind::Relation { relid, .. }) => self.facts.relation(*relid),
            _ => Err(Error::internal("a scan's range table entry is not a table")),
        }
    }

    fn operator(&self, plan: &Plan) -> Result<Box<dyn Operator>> {
        match &plan.node {
            PlanNode::Result(result) => {
                let input = result.input.as_deref().map(|input| self.build(input)).transpose()?;
                let width = result.input.as_ref().map_or(0, |input| input.target_list.len());
                let scope = self.input_scope();
                let mut targets = Cow::Borrowed(&plan.target_list);
                if result.is_empty_relation() {
                    targets.to_mut().iter_mut().for_each(|target| target.expr = null_of(&target.expr));
                }
                Ok(Box::new(ResultOperator {
                    input,
                    constant_qual: Filter::compile(&scope, &result.constant_qual)?,
                    output: Output::compile(&scope, &plan.qual, &targets, width)?,
                    batch: Batch::default(),
                    checked: false,
                    done: false,
                }))
            }
            PlanNode::ProjectSet { input } => self.project_set(plan, input),
            PlanNode::SeqScan { scan_relid } => self.seq_scan(plan, *scan_relid, &[]),
            PlanNode::TidScan { scan_relid, tid_quals } => self.tid_scan(plan, *scan_relid, tid_quals),
            PlanNode::IndexScan(scan) => self.index_scan(plan, scan),
            PlanNode::IndexOnlyScan(scan) => self.index_only_scan(plan, scan),
            PlanNode::BitmapHeapScan(scan) => self.bitmap_heap_scan(plan, scan),
            PlanNode::BitmapIndexScan(scan) => self.bitmap_index_scan(scan),
            PlanNode::BitmapAnd { inputs } => {
                let inputs = inputs.iter().map(|input| self.build(input)).collect::<Result<_>>()?;
                Ok(Box::new(BitmapAnd { inputs }))
            }
            PlanNode::SubqueryScan { scan_relid, input } => {
                let width = input.target_list.len();
                let attributes = (1..=width as i16).collect();
                let scope = Scope::of_scan(*scan_relid, attributes, &self.names);
                Ok(Box::new(SubqueryScan {
                    input: self.build(input)?,
                    output: Output::compile(&scope, &plan.qual, &plan.target_list, width)?,
                    batch: Batch::default(),
                }))
            }
            PlanNode::FunctionScan { scan_relid, functions, with_ordinality } => {
                self.function_scan(plan, *scan_relid, functions, *with_ordinality)
            }
            PlanNode::ValuesScan { scan_relid, rows } => {
                let first = rows.first().map(Vec::as_slice).unwrap_or_default();
                let types: Vec<PhysicalType> =
                    first.iter().map(|expr| physical_of(expr.result_type())).collect();
                let scope = Scope::of_scan(*scan_relid, (1..=types.len() as i16).collect(), &self.names);
                let none = self.input_scope();
                let rows = rows
                    .iter()
                    .map(|row| row.iter().map(|expr| Compiler::compile(&none, expr)).collect())
                    .collect::<Result<_>>()?;
                Ok(Box::new(ValuesScan {
                    rows,
                    output: Output::compile(&scope, &plan.qual, &plan.target_list, types.len())?,
                    types,
                    batch: Batch::default(),
                    next: 0,
                }))
            }
            PlanNode::NestLoop(nest) => self.nest_loop(plan, nest),
            PlanNode::HashJoin(hash) => self.hash_join(plan, hash),
            PlanNode::MergeJoin(merge) => self.merge_join(plan, merge),
            PlanNode::Hash { input } => Ok(Box::new(HashOperator { input: self.build(input)? })),
            PlanNode::Material { input } => Ok(Box::new(Material::new(self.build(input)?, types_of(input)))),
            PlanNode::Sort { input, keys } => Ok(Box::new(self.sort(input, keys)?)),
            PlanNode::IncrementalSort { input, keys, .. } => Ok(Box::new(self.sort(input, keys)?)),
            PlanNode::Agg(agg) => self.aggregate(plan, agg),
            PlanNode::Unique { input, columns } => {
                let columns = columns
                    .iter()
                    .map(|column| {
                        let type_oid = input.target_list[column.column - 1].expr.result_type();
                        Ok((column.column - 1, comparator(type_oid, column.collation)?))
                    })
                    .collect::<Result<_>>()?;
                Ok(Box::new(Unique { input: self.build(input)?, columns, last: None }))
            }
            PlanNode::Limit { input, offset, count, ties } => {
                let ties = ties
                    .iter()
                    .map(|column| {
                        let type_oid = input.target_list[column.column - 1].expr.result_type();
                        Ok((column.column - 1, comparator(type_oid, column.collation)?))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let scope = self.input_scope();
                let compile = |expr: &Option<Expression>| {
                    expr.as_ref().map(|expr| Compiler::compile(&scope, expr)).transpose()
                };
                let bound = constant_limit(offset, count).filter(|_| ties.is_empty());
                let input = match (&input.node, bound) {
                    // A sort below a known limit need not keep more.
                    (PlanNode::Sort { input: sorted, keys }, Some(bound)) => {
                        let mut sort = self.sort(sorted, keys)?;
                        sort.bound = Some(bound);
                        Node::new(input.id, input.parameters.clone(), Box::new(sort))
                    }
                    _ => self.build(input)?,
                };
                Ok(Box::new(Limit {
                    input,
                    offset: compile(offset)?,
                    count: compile(count)?,
                    ties,
                    last: None,
                    remaining: None,
                }))
            }
            PlanNode::LockRows { input, row_marks } => self.lock_rows(input, row_marks),
            PlanNode::ModifyTable(modify) => self.modify_table(plan, modify),
            PlanNode::Append { inputs } => {
                let inputs = inputs.iter().map(|input| self.build(input)).collect::<Result<_>>()?;
                Ok(Box::new(Append { inputs, current: 0 }))
            }
            PlanNode::SetOp(set_op) => self.set_op(set_op),
        }
    }

    fn set_op(&self, set_op: &SetOp) -> Result<Box<dyn Operator>> {
        let columns = set_op.columns.iter().enumerate().map(|(at, column)| {
            let type_oid = set_op.left.target_list[column.column - 1].expr.result_type();
            // A hashed operation has no order of its own: any total one tells equal rows from others.
            let order = set_op.sort_keys.get(at);
            Ok(SortKeyOf {
                column: column.column - 1,
                type_oid,
                compare: comparator(type_oid, column.collation)?,
                descending: order.is_some_and(|key| key.descending),
                nulls_first: order.is_some_and(|key| key.nulls_first),
            })
        });
        let keys = columns.collect::<Result<_>>()?;
        let inputs = (self.build(&set_op.left)?, self.build(&set_op.right)?);
        let types = types_of(&set_op.left);
        Ok(Box::new(SetOpOperator::new(inputs, set_op.command, set_op.strategy, keys, types)))
    }

    fn sort(&self, input: &Plan, keys: &[SortKey]) -> Result<Sort> {
        let keys = keys
            .iter()
            .map(|key| {
                let type_oid = input.target_list[key.column - 1].expr.result_type();
                Ok(SortKeyOf {
                    column: key.column - 1,
                    type_oid,
                    compare: comparator(type_oid, key.collation)?,
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Sort::new(self.build(input)?, keys, types_of(input)))
    }

    fn project_set(&self, plan: &Plan, input: &Plan) -> Result<Box<dyn Operator>> {
        let scope = self.input_scope();
        let mut items = Vec::new();
        for target in &plan.target_list {
            let physical = physical_of(target.expr.result_type());
            items.push(match &target.expr {
                Expression::FuncExpr(function) if function.returns_set && function.result_type == RECORD => {
                    return Err(Error::not_supported("a function in the target list that returns records"));
                }
                Expression::FuncExpr(function) if function.returns_set => SetItem::Set {
                    function: set_function(function.funcid, &*self.names)?,
                    args: function
                        .args
                        .iter()
                        .map(|arg| Compiler::compile(&scope, arg))
                        .collect::<Result<_>>()?,
                    physical,
                    argument_types: function.args.iter().map(Expression::result_type).collect(),
                    result_type: function.result_type,
                },
                other => SetItem::Plain(Compiler::compile(&scope, other)?, physical),
            });
        }
        Ok(Box::new(ProjectSet {
            input: self.build(input)?,
            items,
            source: Default::default(),
            running: None,
        }))
    }
}

/// Rows wanted of a Limit's input, if both numbers are constants.
fn constant_limit(offset: &Option<Expression>, count: &Option<Expression>) -> Option<usize> {
    let value = |expr: &Expression| match expr {
        Expression::Const(constant) => match constant.value {
            Value::Int64(value) if value >= 0 => usize::try_from(value).ok(),
            _ => None,
        },
        _ => None,
    };
    let skipped = match offset {
        Some(offset) => value(offset)?,
        None => 0,
    };
    value(count.as_ref()?)?.checked_add(skipped)
}
