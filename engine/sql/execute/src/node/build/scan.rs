//! Scans, and the range table entries that they read.

use std::collections::BTreeSet;
use std::sync::Arc;

use kokkiri_access::btree::scan_key::{Direction, Strategy};
use kokkiri_access::relation::IndexDescriptor;
use kokkiri_analyze::tree::{Expression, RteKind};
use kokkiri_catalog::entries::{ArgumentMode, IndexEntry, RelationEntry};
use kokkiri_plan::plan::*;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::{Batch, PhysicalType, array};

use super::Builder;
use crate::cross_type::cross_type;
use crate::expression::compile::physical_of;
use crate::expression::{Compiler, Filter, Scope};
use crate::node::Operator;
use crate::node::bitmap::{
    BitmapHeapScan as BitmapHeapScanOperator, BitmapIndexScan as BitmapIndexScanOperator,
};
use crate::node::function_scan::{FunctionScan, Source};
use crate::node::index_scan::{IndexScan as IndexScanOperator, Key as IndexKey, KeyTest};
use crate::node::output::Output;
use crate::node::recheck_scan::RecheckScan;
use crate::node::result::set_function;
use crate::node::scan::{Fetched, Growth, SeqScan, TidScan};

impl Builder<'_> {
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

    pub(super) fn seq_scan(
        &self,
        plan: &Plan,
        relid: u32,
        extra: &[Expression],
    ) -> Result<Box<dyn Operator>> {
        let table = self.table(relid)?;
        let relation = Arc::clone(&table.relation);
        if !relation.kind.has_rows() {
            return Err(Error::not_supported(format!("scanning \"{}\"", relation.name)));
        }
        let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual).chain(extra);
        let fetched = Fetched::new(&relation, self.attributes(relid, exprs))?;
        let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
        let quals: Vec<Expression> = extra.iter().chain(&plan.qual).cloned().collect();
        let output = Output::compile(&scope, &quals, &plan.target_list, fetched.types.len())?;
        let judged = self.attributes(relid, quals.iter());
        let late = (0..fetched.columns.len()).filter(|at| !judged.contains(&fetched.attributes[*at]));
        let late = if quals.is_empty() { Vec::new() } else { late.collect() };
        if self.recheck.contains(&relid) {
            return Ok(Box::new(RecheckScan { relid, relation, fetched, output, done: false }));
        }
        Ok(Box::new(SeqScan {
            relation,
            fetched,
            late,
            output,
            scan: None,
            growth: Growth::default(),
            batch: Batch::default(),
        }))
    }

    pub(super) fn tid_scan(
        &self,
        plan: &Plan,
        relid: u32,
        tid_quals: &[Expression],
    ) -> Result<Box<dyn Operator>> {
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
            output: Output::compile(&scope, &plan.qual, &plan.target_list, fetched.types.len())?,
            relation,
            fetched,
            tids,
            fetch: None,
            wanted: None,
            next: 0,
            batch: Batch::default(),
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
                let argument =
                    array::element_type_if_array(argument.result_type()).unwrap_or(argument.result_type());
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

    pub(super) fn bitmap_index_scan(&self, scan: &BitmapIndexScan) -> Result<Box<dyn Operator>> {
        let (_, entry) = self.index_entry(scan.scan_relid, scan.index)?;
        let index = Arc::clone(&entry.descriptor);
        let keys = self.index_keys(&index, &scan.index_quals)?;
        Ok(Box::new(BitmapIndexScanOperator { index, keys, scan: None }))
    }

    pub(super) fn bitmap_heap_scan(&self, plan: &Plan, scan: &BitmapHeapScan) -> Result<Box<dyn Operator>> {
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
            output: Output::compile(&scope, &plan.qual, &plan.target_list, fetched.types.len())?,
            relation,
            fetched,
            fetch: None,
            pages: None,
            current: None,
            tids: Vec::new(),
            growth: Growth::default(),
            batch: Batch::default(),
            removed_by_recheck: 0,
            exact_pages: 0,
            lossy_pages: 0,
        }))
    }

    pub(super) fn index_scan(&self, plan: &Plan, scan: &IndexScan) -> Result<Box<dyn Operator>> {
        let relid = scan.scan_relid;
        if self.recheck.contains(&relid) {
            return self.seq_scan(plan, relid, &scan.index_qual_original);
        }
        let (table, entry) = self.index_entry(relid, scan.index)?;
        let exprs = plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual);
        let fetched = Fetched::new(&table.relation, self.attributes(relid, exprs))?;
        let scope = Scope::of_scan(relid, fetched.attributes.clone(), &self.names);
        let output = Output::compile(&scope, &plan.qual, &plan.target_list, fetched.types.len())?;
        let keys = self.index_keys(&entry.descriptor, &scan.index_quals)?;
        Ok(Box::new(IndexScanOperator::new(
            &table.relation,
            &entry.descriptor,
            keys,
            direction(scan.direction),
            Some(fetched),
            output,
        )))
    }

    pub(super) fn index_only_scan(&self, plan: &Plan, scan: &IndexOnlyScan) -> Result<Box<dyn Operator>> {
        let relid = scan.scan_relid;
        if self.recheck.contains(&relid) {
            let restored = restore_index_columns(plan, &scan.index_target_list);
            return self.seq_scan(&restored, relid, &scan.index_qual_original);
        }
        let (table, entry) = self.index_entry(relid, scan.index)?;
        let width = entry.descriptor.tuple_desc.len();
        let scope = Scope::of_scan(INDEX_VAR, (1..=width as i16).collect(), &self.names);
        let output = Output::compile(&scope, &plan.qual, &plan.target_list, width)?;
        let keys = self.index_keys(&entry.descriptor, &scan.index_quals)?;
        Ok(Box::new(IndexScanOperator::new(
            &table.relation,
            &entry.descriptor,
            keys,
            direction(scan.direction),
            None,
            output,
        )))
    }

    pub(super) fn function_scan(
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
            output: Output::compile(&scope, &plan.qual, &plan.target_list, types.len())?,
            types,
            with_ordinality,
            batch: Batch::default(),
            running: None,
            started: false,
            ended: false,
            ordinal: 0,
        }))
    }

    /// The columns of a function in FROM: those of its definition list, of its OUT parameters, of its row type,
    /// or its value.
    fn function_columns(&self, relid: u32, expr: &Expression) -> Result<Vec<PhysicalType>> {
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
}

fn direction(direction: ScanDirection) -> Direction {
    match direction {
        ScanDirection::Forward => Direction::Forward,
        ScanDirection::Backward => Direction::Backward,
    }
}

/// An index-only scan's plan with its columns named as the table's again.
fn restore_index_columns(plan: &Plan, columns: &[Expression]) -> Plan {
    let mut restored = plan.clone();
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
