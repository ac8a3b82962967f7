//! Columns that plans sort by.
//!
//! Realises: `prepare_sort_from_pathkeys`.

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_primitives::{Error, Result};

use crate::create::{Made, fix};
use crate::create_scan::read_from_index;
use crate::equivalence::Member;
use crate::expression::same_value;
use crate::path::{Path, PathKey};
use crate::plan::*;
use crate::root::Root;

impl Root<'_, '_> {
    pub fn sort_key(&self, column: usize, expr: &Expression, key: &PathKey) -> Result<SortKey> {
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
    pub fn column_for(&self, made: &mut Made, expr: &Expression) -> Result<usize> {
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

    pub fn sort_keys(&self, made: Made, input: &Path, pathkeys: &[PathKey]) -> Result<(Made, Vec<SortKey>)> {
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
