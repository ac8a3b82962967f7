//! Plans of scans by an index or a bitmap.
//!
//! Realises: `create_indexscan_plan`, `create_bitmap_scan_plan` and `fix_indexqual_references`.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids};
use kokkiri_primitives::{Error, Result};

use crate::cost::{Cost, clamp_rows};
use crate::create::{Made, ordered};
use crate::path::{BitmapPath, BitmapSource, IndexPath, Path};
use crate::plan::*;
use crate::root::Root;

impl Root<'_, '_> {
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
    pub fn bitmap_heap_plan(&mut self, path: &Path, relid: u32, bitmap: &BitmapPath) -> Result<Made> {
        let restrictions = self.base[&relid].restrictions.clone();
        let others = restrictions.into_iter().chain(bitmap.joined.iter().cloned());
        let filter = ordered(others.filter(|clause| !bitmap.checks(clause)).collect());
        let mut recheck = Vec::new();
        let input = Box::new(self.bitmap_plan(relid, bitmap, &mut recheck)?);
        let node = PlanNode::BitmapHeapScan(BitmapHeapScan { scan_relid: relid, input, recheck });
        let exprs = path.target.exprs.clone();
        Ok(self.make(path, node, exprs, filter))
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

    pub fn index_scan_plan(&mut self, path: &Path, scan: &IndexPath) -> Result<Made> {
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
            return Ok(self.make(path, node, exprs, filter));
        }
        let node = PlanNode::IndexOnlyScan(IndexOnlyScan {
            scan_relid: scan.relid,
            index: index.entry.oid,
            index_quals,
            index_qual_original: original,
            direction: scan.direction,
            index_target_list: index.columns.clone(),
        });
        let mut made = self.make(path, node, exprs, filter);
        let targets = made.plan.target_list.iter_mut().map(|target| &mut target.expr);
        for expr in targets.chain(&mut made.plan.qual) {
            read_from_index(expr, scan.relid, &index.columns);
        }
        Ok(made)
    }
}

/// Makes an index-only scan's columns columns of its index.
pub fn read_from_index(expr: &mut Expression, relid: u32, columns: &[Expression]) {
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
