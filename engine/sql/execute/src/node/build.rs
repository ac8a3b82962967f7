//! From the plan to operators.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use kokkiri_access::btree::scan_key::{Direction, Strategy};
use kokkiri_access::heap::RowLockMode;
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_analyze::tree::{CommandType, Expression, RteKind, TargetEntry};
use kokkiri_catalog::entries::{IndexEntry, RelationEntry};
use kokkiri_functions::{aggregate as find_aggregate, not_built};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_plan::null_of;
use kokkiri_plan::plan::*;
use kokkiri_primitives::{Error, Oid, Result, stack};
use kokkiri_types::builtin::oid::RECORD;
use kokkiri_types::compare::comparator;
use kokkiri_types::{Batch, PhysicalType};

use super::aggregate::{Aggregate, Call, GroupKey, OrderedInput};
use super::append::Append;
use super::bitmap::{
    BitmapAnd, BitmapHeapScan as BitmapHeapScanOperator, BitmapIndexScan as BitmapIndexScanOperator,
};
use super::function_scan::{FunctionScan, Source, SubqueryScan, ValuesScan};
use super::hash_join::{Hash as HashOperator, HashJoin as HashJoinOperator, Key as HashKey};
use super::index_scan::{IndexScan as IndexScanOperator, Key as IndexKey, KeyTest};
use super::join_output::JoinOutput;
use super::limit::Limit;
use super::lock_rows::{LockRows, Mark};
use super::material::Material;
use super::merge_join::{Key as MergeKey, MergeJoin as MergeJoinOperator};
use super::modify_table::ModifyTable as ModifyOperator;
use super::nest_loop::NestLoop as NestLoopOperator;
use super::result::{ProjectSet, ResultNode as ResultOperator, SetItem, set_function};
use super::scan::{Fetched, Growth, SeqScan, TidScan};
use super::set_op::SetOp as SetOpOperator;
use super::sort::{Key as SortKeyOf, Sort};
use super::target::{checks, foreign_keys, target_indexes};
use super::unique::Unique;
use super::{Node, Operator, RECHECK_PARAMETER};
use crate::context::Context;
use crate::cross_type::cross_type;
use crate::expression::compile::{FunctionNames, physical_of};
use crate::expression::{Compiler, Filter, Projection, Scope};
use crate::row_store::RowStore;

const INDEX_COLUMNS: u32 = INDEX_VAR;

pub struct Builder<'a> {
    pub facts: &'a dyn CatalogFacts,
    pub statement: &'a PlannedStatement,
    pub names: Arc<dyn FunctionNames>,
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
        let mut parameters = plan.parameters.clone();
        if !self.recheck.is_empty() {
            parameters.push(RECHECK_PARAMETER);
        }
        Ok(Node::new(plan.id, parameters, operator))
    }

    /// A builder of the same plan for rows to be evaluated again.
    fn for_recheck<'b>(&'b self, pinned: &'b [u32]) -> Builder<'b> {
        let names = Arc::clone(&self.names);
        Builder { facts: self.facts, statement: self.statement, names, recheck: pinned }
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
                    filter: Filter::compile(&scope, &plan.qual)?,
                    projection: Projection::compile(&scope, &targets, width)?,
                    batch: Batch::default(),
                    checked: false,
                    done: false,
                    removed: 0,
                }))
            }
            PlanNode::ProjectSet { input } => self.project_set(plan, input),
            PlanNode::SeqScan { scan_relid } => self.seq_scan(plan, *scan_relid, &[]),
            PlanNode::TidScan { scan_relid, tid_quals } => self.tid_scan(plan, *scan_relid, tid_quals),
            PlanNode::IndexScan(scan) => self.index_scan(
                plan,
                scan.scan_relid,
                scan.index,
                &scan.index_quals,
                &scan.index_qual_original,
                scan.direction,
                None,
            ),
            PlanNode::IndexOnlyScan(scan) => self.index_scan(
                plan,
                scan.scan_relid,
                scan.index,
                &scan.index_quals,
                &scan.index_qual_original,
                scan.direction,
                Some(&scan.index_target_list),
            ),
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
                    filter: Filter::compile(&scope, &plan.qual)?,
                    projection: Projection::compile(&scope, &plan.target_list, width)?,
                    batch: Batch::default(),
                    removed: 0,
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
                    filter: Filter::compile(&scope, &plan.qual)?,
                    projection: Projection::compile(&scope, &plan.target_list, types.len())?,
                    types,
                    batch: Batch::default(),
                    next: 0,
                    removed: 0,
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

    /// Attributes of a relation that some expressions look at: user columns rising, then system ones.
    fn attributes<'e>(&self, relid: u32, exprs: impl Iterator<Item = &'e Expression>) -> Vec<i16> {
        let mut user = BTreeSet::new();
        let mut system = BTreeSet::new();
        for expr in exprs {
            expr.walk(&mut |node| {
                if let Expression::Var(var) = node
                    && var.varno == relid
                {
                    if var.varattno > 0 {
                        user.insert(var.varattno)
                    } else {
                        system.insert(-var.varattno)
                    };
                }
                true
            });
        }
        user.into_iter().chain(system.into_iter().map(|attribute| -attribute)).collect()
    }

    fn seq_scan(&self, plan: &Plan, relid: u32, extra: &[Expression]) -> Result<Box<dyn Operator>> {
        let table = self.table(relid)?;
        let relation = Arc::clone(&table.relation);
        if !relation.kind.has_rows() {
            return Err(Error::not_supported(format!("scanning \"{}\"", relation.name)));
        }
        let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual).chain(extra);
        let fetched = Fetched::new(&relation, self.attributes(relid, exprs))?;
        let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
        let width = fetched.types.len();
        let quals: Vec<Expression> = extra.iter().chain(&plan.qual).cloned().collect();
        let filter = Filter::compile(&scope, &quals)?;
        let projection = Projection::compile(&scope, &plan.target_list, width)?;
        let judged = self.attributes(relid, quals.iter());
        let late = (0..fetched.columns.len()).filter(|at| !judged.contains(&fetched.attributes[*at]));
        let late = if filter.is_empty() { Vec::new() } else { late.collect() };
        if self.recheck.contains(&relid) {
            return Ok(Box::new(RecheckScan { relid, relation, fetched, filter, projection, done: false }));
        }
        Ok(Box::new(SeqScan {
            relation,
            fetched,
            late,
            filter,
            projection,
            scan: None,
            growth: Growth::default(),
            batch: Batch::default(),
            removed: 0,
        }))
    }

    fn tid_scan(&self, plan: &Plan, relid: u32, tid_quals: &[Expression]) -> Result<Box<dyn Operator>> {
        if self.recheck.contains(&relid) {
            return self.seq_scan(plan, relid, tid_quals);
        }
        let relation = Arc::clone(&self.table(relid)?.relation);
        let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual);
        let fetched = Fetched::new(&relation, self.attributes(relid, exprs))?;
        let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
        let none = self.input_scope();
        let is_ctid = |expr: &Expression| matches!(expr, Expression::Var(var) if var.varno == relid);
        let tids = tid_quals
            .iter()
            .map(|qual| match qual {
                Expression::OpExpr(operator) if operator.args.len() == 2 => {
                    let argument =
                        if is_ctid(&operator.args[0]) { &operator.args[1] } else { &operator.args[0] };
                    Compiler::compile(&none, argument)
                }
                Expression::ScalarArrayOpExpr(test) => Compiler::compile(&none, &test.array),
                _ => Err(Error::not_supported("WHERE CURRENT OF")),
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(TidScan {
            filter: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, fetched.types.len())?,
            relation,
            fetched,
            tids,
            fetch: None,
            wanted: None,
            next: 0,
            batch: Batch::default(),
            removed: 0,
        }))
    }

    /// The conditions of an index scan, compiled.
    fn index_keys(&self, descriptor: &IndexDescriptor, quals: &[IndexQual]) -> Result<Vec<IndexKey>> {
        let none = self.input_scope();
        let mut keys = Vec::new();
        for qual in quals {
            let column_type = descriptor.columns[qual.column].input_type;
            let attribute_type = descriptor.tuple_desc[qual.column].type_oid;
            let cross = |argument: &Expression| {
                let argument = kokkiri_types::array::element_type_if_array(argument.result_type())
                    .unwrap_or(argument.result_type());
                if argument == column_type { Ok(None) } else { cross_type(attribute_type, argument) }
            };
            let test = match &qual.comparison {
                IndexComparison::Operator { strategy, argument, .. } => KeyTest::Compare {
                    strategy: Strategy::from_number(*strategy as i16)
                        .ok_or_else(|| Error::internal("invalid strategy of an index condition"))?,
                    argument: Compiler::compile(&none, argument)?,
                    cross_type: cross(argument)?,
                },
                IndexComparison::Any { strategy: 3, array, .. } => {
                    KeyTest::Any { array: Compiler::compile(&none, array)?, cross_type: cross(array)? }
                }
                IndexComparison::Any { .. } => {
                    return Err(Error::not_supported("an index condition with an inequality and ANY"));
                }
                IndexComparison::IsNull => KeyTest::IsNull,
                IndexComparison::IsNotNull => KeyTest::IsNotNull,
            };
            keys.push(IndexKey { column: qual.column, test });
        }
        Ok(keys)
    }

    fn index_entry(&self, relid: u32, index: Oid) -> Result<(Arc<RelationEntry>, Arc<IndexEntry>)> {
        let table = self.table(relid)?;
        let entry = table.indexes.iter().find(|entry| entry.oid == index).cloned();
        let entry = entry.ok_or_else(|| Error::internal("the plan's index is gone"))?;
        Ok((table, entry))
    }

    fn bitmap_index_scan(&self, scan: &BitmapIndexScan) -> Result<Box<dyn Operator>> {
        let (_, entry) = self.index_entry(scan.scan_relid, scan.index)?;
        let index = Arc::clone(&entry.descriptor);
        let keys = self.index_keys(&index, &scan.index_quals)?;
        Ok(Box::new(BitmapIndexScanOperator { index, keys, scan: None }))
    }

    fn bitmap_heap_scan(&self, plan: &Plan, scan: &BitmapHeapScan) -> Result<Box<dyn Operator>> {
        let relid = scan.scan_relid;
        if self.recheck.contains(&relid) {
            return self.seq_scan(plan, relid, &scan.recheck);
        }
        let relation = Arc::clone(&self.table(relid)?.relation);
        let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual);
        let fetched = Fetched::new(&relation, self.attributes(relid, exprs.chain(&scan.recheck)))?;
        let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
        Ok(Box::new(BitmapHeapScanOperator {
            input: self.build(&scan.input)?,
            recheck: Filter::compile(&scope, &scan.recheck)?,
            filter: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, fetched.types.len())?,
            relation,
            fetched,
            fetch: None,
            pages: None,
            current: None,
            tids: Vec::new(),
            growth: Growth::default(),
            batch: Batch::default(),
            removed: 0,
            removed_by_recheck: 0,
            exact_pages: 0,
            lossy_pages: 0,
        }))
    }

    #[allow(clippy::too_many_arguments)]
    fn index_scan(
        &self,
        plan: &Plan,
        relid: u32,
        index: Oid,
        quals: &[IndexQual],
        original: &[Expression],
        direction: ScanDirection,
        only: Option<&[Expression]>,
    ) -> Result<Box<dyn Operator>> {
        if self.recheck.contains(&relid) {
            let restored = restore_index_columns(plan, only);
            return self.seq_scan(&restored, relid, original);
        }
        let (table, entry) = self.index_entry(relid, index)?;
        let descriptor = Arc::clone(&entry.descriptor);
        let keys = self.index_keys(&descriptor, quals)?;
        let relation = Arc::clone(&table.relation);
        let index_types: Vec<PhysicalType> =
            descriptor.tuple_desc.iter().map(|attribute| attribute.physical).collect();
        let (fetched, scope, width) = match only {
            Some(_) => {
                let fetched = Fetched::new(&relation, Vec::new())?;
                let attributes = (1..=index_types.len() as i16).collect();
                (fetched, Scope::of_scan(INDEX_COLUMNS, attributes, &self.names), index_types.len())
            }
            None => {
                let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual);
                let fetched = Fetched::new(&relation, self.attributes(relid, exprs))?;
                let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
                let width = fetched.types.len();
                (fetched, scope, width)
            }
        };
        Ok(Box::new(IndexScanOperator {
            filter: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, width)?,
            relation,
            index: descriptor,
            keys,
            direction: match direction {
                ScanDirection::Forward => Direction::Forward,
                ScanDirection::Backward => Direction::Backward,
            },
            fetched,
            index_only: only.is_some(),
            scan: None,
            fetch: None,
            map_pin: None,
            index_types,
            values: Vec::new(),
            tids: Vec::new(),
            growth: Growth::default(),
            started: false,
            ended: false,
            batch: Batch::default(),
            removed: 0,
            heap_fetches: 0,
        }))
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

    fn function_scan(
        &self,
        plan: &Plan,
        relid: u32,
        functions: &[Expression],
        with_ordinality: bool,
    ) -> Result<Box<dyn Operator>> {
        let [expr] = functions else { return Err(Error::not_supported("ROWS FROM with several functions")) };
        let none = self.input_scope();
        let source = match expr {
            // A function with several results and no set returns one row.
            Expression::FuncExpr(function)
                if function.returns_set
                    || kokkiri_functions::set_returning(self.names.implementation(function.funcid))
                        .is_some() =>
            {
                Source::Set {
                    function: set_function(function.funcid, &*self.names)?,
                    args: function
                        .args
                        .iter()
                        .map(|arg| Compiler::compile(&none, arg))
                        .collect::<Result<_>>()?,
                    argument_types: function.args.iter().map(Expression::result_type).collect(),
                    result_type: function.result_type,
                }
            }
            other => Source::Plain(Compiler::compile(&none, other)?),
        };
        let mut types = self.function_columns(relid, expr)?;
        if with_ordinality {
            types.push(PhysicalType::Int64);
        }
        let scope = Scope::of_scan(relid, (1..=types.len() as i16).collect(), &self.names);
        Ok(Box::new(FunctionScan {
            source,
            filter: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, types.len())?,
            types,
            with_ordinality,
            batch: Batch::default(),
            running: None,
            started: false,
            ended: false,
            ordinal: 0,
            removed: 0,
        }))
    }

    /// The columns of a function in FROM: those of its definition list, of its OUT parameters, of its row type,
    /// or its value.
    fn function_columns(&self, relid: u32, expr: &Expression) -> Result<Vec<PhysicalType>> {
        use kokkiri_catalog::entries::ArgumentMode;
        if let Some(RteKind::Function { functions, .. }) =
            self.statement.range_table.get(relid as usize - 1).map(|entry| &entry.kind)
            && let [only] = functions.as_slice()
            && !only.columns.is_empty()
        {
            return Ok(only.columns.iter().map(|(_, column)| physical_of(column.type_oid)).collect());
        }
        if let Expression::FuncExpr(function) = expr {
            let entry = self.facts.function(function.funcid)?;
            let is_out = |mode| matches!(mode, ArgumentMode::Out | ArgumentMode::InOut | ArgumentMode::Table);
            let outs = entry.declared.iter().filter(|argument| is_out(argument.mode));
            let columns: Vec<_> = outs.map(|argument| physical_of(argument.type_oid)).collect();
            if columns.len() > 1 {
                return Ok(columns);
            }
        }
        Ok(vec![physical_of(expr.result_type())])
    }

    fn nest_loop(&self, plan: &Plan, nest: &NestLoop) -> Result<Box<dyn Operator>> {
        let join = &nest.join;
        let (outer_types, inner_types) = (types_of(&join.outer), types_of(&join.inner));
        let scope = Scope::of_join(outer_types.len(), &self.names);
        let width = outer_types.len() + inner_types.len();
        Ok(Box::new(NestLoopOperator {
            join_type: join.join_type,
            outer: self.build(&join.outer)?,
            inner: self.build(&join.inner)?,
            single_match: join.inner_unique || join.join_type == JoinType::Semi,
            parameters: nest
                .parameters
                .iter()
                .map(|parameter| Ok((parameter.id, Compiler::compile(&scope, &parameter.value)?)))
                .collect::<Result<_>>()?,
            join_filter: Filter::compile(&scope, &join.join_qual)?,
            filter: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, width)?,
            outer_types,
            inner_types,
            source: Default::default(),
            inner_batch: Batch::default(),
            pairs: Batch::default(),
            in_row: false,
            matched: false,
            removed: 0,
            removed_by_join: 0,
        }))
    }

    fn join_output(&self, plan: &Plan, join: &Join) -> Result<JoinOutput> {
        let (outer_types, inner_types) = (types_of(&join.outer), types_of(&join.inner));
        let scope = Scope::of_join(outer_types.len(), &self.names);
        let width = outer_types.len() + inner_types.len();
        let filters = (Filter::compile(&scope, &join.join_qual)?, Filter::compile(&scope, &plan.qual)?);
        let projection = Projection::compile(&scope, &plan.target_list, width)?;
        let single = join.join_type == JoinType::Semi
            || (join.inner_unique && matches!(join.join_type, JoinType::Inner | JoinType::Left));
        Ok(JoinOutput::new(join.join_type, single, filters, projection, outer_types, inner_types))
    }

    fn hash_join(&self, plan: &Plan, hash: &HashJoin) -> Result<Box<dyn Operator>> {
        let scope = self.input_scope();
        let keys = hash
            .keys
            .iter()
            .map(|key| {
                let (outer_type, inner_type) = (key.outer.result_type(), key.inner.result_type());
                let compare = match cross_type(outer_type, inner_type)? {
                    Some(cross) => cross.column,
                    None => comparator(outer_type, key.collation)?,
                };
                Ok(HashKey {
                    outer: Compiler::compile(&scope, &key.outer)?,
                    inner: Compiler::compile(&scope, &key.inner)?,
                    outer_type,
                    inner_type,
                    compare,
                    physical: physical_of(inner_type),
                })
            })
            .collect::<Result<_>>()?;
        let output = self.join_output(plan, &hash.join)?;
        let (outer, inner) = (self.build(&hash.join.outer)?, self.build(&hash.join.inner)?);
        Ok(Box::new(HashJoinOperator::new(outer, inner, keys, output)))
    }

    fn merge_join(&self, plan: &Plan, merge: &MergeJoin) -> Result<Box<dyn Operator>> {
        let scope = self.input_scope();
        let mut keys = Vec::new();
        for (at, key) in merge.keys.iter().enumerate() {
            let (outer_type, inner_type) = (key.outer.result_type(), key.inner.result_type());
            let compare = match cross_type(outer_type, inner_type)? {
                Some(cross) => cross.column,
                None => comparator(outer_type, key.collation)?,
            };
            keys.push(MergeKey {
                outer: Compiler::compile(&scope, &key.outer)?,
                inner: Compiler::compile(&scope, &key.inner)?,
                compare,
                compare_inner: comparator(inner_type, key.collation)?,
                physical: physical_of(inner_type),
                descending: merge.descending[at],
                nulls_first: merge.nulls_first[at],
            });
        }
        let output = self.join_output(plan, &merge.join)?;
        let (outer, inner) = (self.build(&merge.join.outer)?, self.build(&merge.join.inner)?);
        Ok(Box::new(MergeJoinOperator::new(outer, inner, keys, output)))
    }

    fn aggregate(&self, plan: &Plan, agg: &Agg) -> Result<Box<dyn Operator>> {
        let input_types = types_of(&agg.input);
        let mut aggregates: Vec<Expression> = Vec::new();
        for expr in plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual) {
            expr.walk(&mut |node| {
                if let Expression::Aggref(_) = node {
                    if !aggregates.contains(node) {
                        aggregates.push(node.clone());
                    }
                    return false;
                }
                true
            });
        }
        let calls = aggregates.iter().map(|aggregate| self.call(aggregate)).collect::<Result<Vec<_>>>()?;
        let keys = agg
            .group_columns
            .iter()
            .map(|column| {
                let type_oid = agg.input.target_list[column.column - 1].expr.result_type();
                Ok(GroupKey {
                    column: column.column - 1,
                    type_oid,
                    compare: comparator(type_oid, column.collation)?,
                    physical: physical_of(type_oid),
                })
            })
            .collect::<Result<_>>()?;
        let width = input_types.len() + calls.len();
        let scope = Scope { aggregates, aggregates_at: input_types.len(), ..self.input_scope() };
        Ok(Box::new(Aggregate {
            input: self.build(&agg.input)?,
            strategy: agg.strategy,
            keys,
            calls,
            having: Filter::compile(&scope, &plan.qual)?,
            projection: Projection::compile(&scope, &plan.target_list, width)?,
            groups: RowStore::new(input_types.iter().copied()),
            input_types,
            table: Default::default(),
            input_batch: Batch::default(),
            position: 0,
            output: Batch::default(),
            next_group: 0,
            aggregated: false,
            ended: false,
            partitions: Vec::new(),
            pending: Vec::new(),
            hashes: Vec::new(),
            numbers: Vec::new(),
            removed: 0,
            peak: 0,
            batches: 0,
            disk: 0,
        }))
    }

    fn call(&self, aggregate: &Expression) -> Result<Call> {
        let Expression::Aggref(aggref) = aggregate else {
            return Err(Error::internal("an aggregate was expected"));
        };
        if aggref.aggkind != b'n' {
            return Err(Error::not_supported("an ordered-set aggregate"));
        }
        let found = find_aggregate(aggref.aggfnoid)
            .ok_or_else(|| not_built(&self.names.function_name(aggref.aggfnoid)))?;
        let scope = self.input_scope();
        let plain: Vec<&TargetEntry> = aggref.args.iter().filter(|target| !target.resjunk).collect();
        let junk: Vec<&TargetEntry> = aggref.args.iter().filter(|target| target.resjunk).collect();
        let args =
            plain.iter().map(|target| Compiler::compile(&scope, &target.expr)).collect::<Result<_>>()?;
        let clauses = if aggref.aggorder.is_empty() { &aggref.aggdistinct } else { &aggref.aggorder };
        let ordered = if clauses.is_empty() {
            None
        } else {
            let all: Vec<&TargetEntry> = plain.iter().chain(&junk).copied().collect();
            let mut keys = Vec::new();
            for clause in clauses {
                let column = all
                    .iter()
                    .position(|target| target.ressortgroupref == clause.tle_sort_group_ref)
                    .ok_or_else(|| Error::internal("an aggregate's sort column is missing"))?;
                let expr = &all[column].expr;
                keys.push(SortKeyOf {
                    column,
                    type_oid: expr.result_type(),
                    compare: comparator(expr.result_type(), expr.collation())?,
                    descending: clause.reverse_sort,
                    nulls_first: clause.nulls_first,
                });
            }
            let types: Vec<PhysicalType> =
                all.iter().map(|target| physical_of(target.expr.result_type())).collect();
            Some(OrderedInput {
                keys,
                extra: junk
                    .iter()
                    .map(|target| Compiler::compile(&scope, &target.expr))
                    .collect::<Result<_>>()?,
                distinct: !aggref.aggdistinct.is_empty(),
                argument_types: types[..plain.len()].to_vec(),
                store: RowStore::new(types),
            })
        };
        Ok(Call {
            states: found.states(),
            args,
            filter: aggref.aggfilter.as_ref().map(|filter| Compiler::compile(&scope, filter)).transpose()?,
            collation: aggref.inputcollid,
            argument_types: aggref.aggargtypes.clone(),
            result_type: aggref.aggtype,
            physical: physical_of(aggref.aggtype),
            ordered,
        })
    }

    fn lock_rows(&self, input: &Plan, row_marks: &[PlanRowMark]) -> Result<Box<dyn Operator>> {
        let mut marks = Vec::new();
        for mark in row_marks {
            let mode = match mark.mark_type {
                RowMarkType::Exclusive => Some(RowLockMode::Exclusive),
                RowMarkType::NoKeyExclusive => Some(RowLockMode::NoKeyExclusive),
                RowMarkType::Share => Some(RowLockMode::Share),
                RowMarkType::KeyShare => Some(RowLockMode::KeyShare),
                RowMarkType::Reference | RowMarkType::Copy => None,
            };
            marks.push(Mark {
                relid: mark.relid,
                relation: Arc::clone(&self.table(mark.relid)?.relation),
                mode,
                policy: mark.wait_policy,
                ctid_column: mark.ctid_column.ok_or_else(|| Error::internal("a row mark has no ctid"))? - 1,
            });
        }
        let pinned: Vec<u32> = row_marks.iter().map(|mark| mark.relid).collect();
        let recheck = self.for_recheck(&pinned).build(input)?;
        Ok(Box::new(LockRows { input: self.build(input)?, marks, recheck }))
    }

    fn modify_table(&self, plan: &Plan, modify: &ModifyTable) -> Result<Box<dyn Operator>> {
        if modify.on_conflict.is_some() {
            return Err(Error::not_supported("ON CONFLICT"));
        }
        let entry = self.facts.relation(modify.relation)?;
        let relation = Arc::clone(&entry.relation);
        if !relation.kind.has_heap() {
            return Err(Error::not_supported(format!("modifying \"{}\"", relation.name)));
        }
        if entry.triggers.iter().any(|trigger| !trigger.is_internal && trigger.enabled != b'D') {
            return Err(Error::not_supported("a trigger"));
        }
        let table_types: Vec<PhysicalType> =
            relation.tuple_desc.iter().map(|attribute| attribute.physical).collect();
        let all: Vec<i16> = (1..=table_types.len() as i16).collect();
        let row_scope = Scope::of_scan(1, all.clone(), &self.names);
        let input_types = types_of(&modify.input);
        let returning = if modify.returning.is_empty() {
            None
        } else {
            let mut attributes = all;
            attributes.extend([-1, -6]);
            let mut scope = Scope::of_scan(modify.result_relation, attributes, &self.names);
            scope.scan_at = input_types.len();
            let width = input_types.len() + table_types.len() + 2;
            Some(Projection::compile(&scope, &plan.target_list, width)?)
        };
        let recheck = match modify.operation {
            CommandType::Insert => None,
            _ => {
                let others = modify.row_marks.iter().map(|mark| mark.relid);
                let pinned: Vec<u32> = others.chain([modify.result_relation]).collect();
                let builder = self.for_recheck(&pinned);
                Some(builder.build(&modify.input)?)
            }
        };
        let mut partners = Vec::new();
        for mark in &modify.row_marks {
            let column = mark.ctid_column.ok_or_else(|| Error::internal("a row mark has no ctid"))?;
            partners.push((mark.relid, column - 1));
        }
        Ok(Box::new(ModifyOperator {
            operation: modify.operation,
            input: self.build(&modify.input)?,
            recheck,
            new_columns: modify.new_columns.clone(),
            ctid_column: modify.ctid_column,
            indexes: target_indexes(&entry, &row_scope)?,
            checks: checks(&entry, &row_scope, &table_types)?,
            foreign_keys: foreign_keys(self.facts, &entry, modify.operation)?,
            relation,
            relid: modify.result_relation,
            partners,
            returning,
            input_types,
            table_types,
            batch: Batch::default(),
            position: 0,
            returned: RowStore::new(types_of(plan)),
            returned_position: 0,
            done: false,
            row: Vec::new(),
            scratch: Batch::default(),
        }))
    }
}

/// Rows wanted of a Limit's input, if both numbers are constants.
fn constant_limit(offset: &Option<Expression>, count: &Option<Expression>) -> Option<usize> {
    let value = |expr: &Expression| match expr {
        Expression::Const(constant) => match constant.value {
            kokkiri_types::Value::Int64(value) if value >= 0 => usize::try_from(value).ok(),
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

/// An index-only scan's plan with its columns named as the table's again.
fn restore_index_columns(plan: &Plan, only: Option<&[Expression]>) -> Plan {
    let mut restored = plan.clone();
    let Some(columns) = only else { return restored };
    let exprs = restored.target_list.iter_mut().map(|target| &mut target.expr);
    for expr in exprs.chain(&mut restored.qual) {
        expr.walk_mut(&mut |node| {
            if let Expression::Var(var) = node
                && var.varno == INDEX_VAR
                && let Some(column) = columns.get(var.varattno as usize - 1)
            {
                *node = column.clone();
                return false;
            }
            true
        });
    }
    restored
}

/// The one version of a row that a plan is evaluated for again.
struct RecheckScan {
    relid: u32,
    relation: Arc<Relation>,
    fetched: Fetched,
    filter: Filter,
    projection: Projection,
    done: bool,
}

impl Operator for RecheckScan {
    fn next(&mut self, context: &mut Context<'_>, _demand: usize, out: &mut Batch) -> Result<()> {
        use kokkiri_access::heap::Heap;
        use kokkiri_transaction::Visibility;
        out.selection.set_all(0);
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        let versions = &context.state.recheck;
        let found = versions.iter().find(|(relid, _)| *relid == self.relid).and_then(|(_, tid)| *tid);
        let Some(tid) = found else { return Ok(()) };
        let heap = Heap::new(&self.relation, context.transaction);
        let mut batch = Batch::default();
        crate::row_store::prepare(&mut batch, &self.fetched.types);
        let mut fetch = self.fetched.fetch(&heap);
        if !fetch.fetch_version(&heap, &Visibility::Any, tid, 0, &mut batch.columns)? {
            return Ok(());
        }
        self.fetched.fill_system(self.relation.oid, &[tid], &mut batch);
        batch.seal(1);
        self.filter.apply(context, &mut batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.projection.apply(context, &mut batch, out)
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.done = false;
        Ok(())
    }
}
