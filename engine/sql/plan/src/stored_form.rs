//! Values as tables have them stored, for the few that ask: `pg_column_size` and its kin, and what copies
//! rows from table to table.
//!
//! An executor's value is always its payload, while PostgreSQL hands on what a tuple has, compressed or a
//! toast pointer. Where that difference shows, the variable is replaced by one that names the column's
//! stored form ([`StoredForm`]), which the scan below fetches besides the value or instead of it.
//!
//! Differs: above grouping only the value is left, as it is in PostgreSQL where a sort or hash has copied it
//! decompressed.

use kokkiri_analyze::tree::{
    CommandType, Expression, Query, RangeTblEntry, RteKind, StoredForm, TargetEntry, Var, VarReturning,
};
use kokkiri_primitives::{Oid, Result, stack};
use kokkiri_types::builtin::oid;

use crate::expression::without_relabel;
use crate::lookup::Lookup;
use crate::root::Root;

/// pg_column_size, pg_column_compression, pg_column_toast_chunk_id.
const ABOUT_STORAGE: [Oid; 3] = [Oid(1269), Oid(2121), Oid(6316)];

/// The name of the junk column with the compressed form of column `resno` of the result.
pub fn compressed_name(resno: i16) -> String {
    format!("compressed{resno}")
}

impl Root<'_, '_> {
    /// Asks for stored forms wherever the query can tell the difference.
    pub fn use_stored_forms(&mut self) -> Result<()> {
        let grouped = is_grouped(&self.query);
        let mut targets = std::mem::take(&mut self.query.target_list);
        for target in &mut targets {
            self.replace_arguments(&mut target.expr, grouped)?;
        }
        if let Some(mut having) = self.query.having_qual.take() {
            self.replace_arguments(&mut having, grouped)?;
            self.query.having_qual = Some(having);
        }
        let mut tree = std::mem::replace(&mut self.tree, crate::tree::JoinTree::Relation(0));
        let replaced = tree.for_each_quals_mut(&mut |quals: &mut Vec<Expression>| {
            quals.iter_mut().try_for_each(|qual| self.replace_arguments(qual, false))
        });
        self.tree = tree;
        replaced?;
        let writes = matches!(self.query.command_type, CommandType::Insert | CommandType::Update);
        let writes = writes || self.keeps_compression;
        if writes && !grouped && self.query.set_operations.is_none() && self.query.distinct_clause.is_empty()
        {
            self.add_compressed_columns(&mut targets)?;
        }
        self.query.target_list = targets;
        Ok(())
    }

    /// Lets functions about storage look at stored bytes. Above grouping only arguments of aggregates can.
    fn replace_arguments(&mut self, expression: &mut Expression, grouped: bool) -> Result<()> {
        let mut result = Ok(());
        expression.walk_mut(&mut |node| {
            match node {
                Expression::Aggref(aggref) if grouped => {
                    for argument in &mut aggref.args {
                        result = self.replace_arguments(&mut argument.expr, false);
                        if result.is_err() {
                            break;
                        }
                    }
                    return false;
                }
                Expression::FuncExpr(function) if !grouped && ABOUT_STORAGE.contains(&function.funcid) => {
                    let [argument] = function.args.as_mut_slice() else { return true };
                    match self.stored_form(argument, StoredForm::Bytes) {
                        Ok(Some(stored)) => *argument = stored,
                        Ok(None) => {}
                        Err(error) => result = Err(error),
                    }
                }
                _ => {}
            }
            result.is_ok()
        });
        result
    }

    /// Rows that go from table to table keep how their values are compressed.
    fn add_compressed_columns(&mut self, targets: &mut Vec<TargetEntry>) -> Result<()> {
        let mut added = Vec::new();
        for target in targets.iter().filter(|target| !target.resjunk) {
            if let Some(expr) = self.stored_form(&target.expr, StoredForm::Compressed)? {
                added.push(TargetEntry {
                    expr,
                    resno: (targets.len() + added.len()) as i16 + 1,
                    resname: Some(compressed_name(target.resno)),
                    ressortgroupref: 0,
                    resorigtbl: Oid::INVALID,
                    resorigcol: 0,
                    resjunk: true,
                });
            }
        }
        targets.append(&mut added);
        Ok(())
    }

    fn stored_form(&mut self, expression: &Expression, form: StoredForm) -> Result<Option<Expression>> {
        let lookup = &self.global.lookup;
        stored_form_in(lookup, &mut self.global.range_table, expression, form)
    }
}

fn is_grouped(query: &Query) -> bool {
    !query.group_clause.is_empty() || query.has_aggs || query.having_qual.is_some()
}

/// The stored form of what a variable of this range table stands for, if it is a column of variable length
/// of a table, or of a subquery that hands one on.
fn stored_form_in(
    lookup: &Lookup<'_>,
    range_table: &mut [RangeTblEntry],
    expression: &Expression,
    form: StoredForm,
) -> Result<Option<Expression>> {
    stack::check_depth()?;
    let Expression::Var(var) = without_relabel(expression) else { return Ok(None) };
    if var.varlevelsup != 0 || var.varattno <= 0 || var.returning != VarReturning::Default {
        return Ok(None);
    }
    let named = |varattno: i16| {
        let (vartype, vartypmod, varcollid) = (oid::INTERNAL, -1, Oid::INVALID);
        Some(Expression::Var(Var { varattno, vartype, vartypmod, varcollid, ..var.clone() }))
    };
    let Some(entry) = range_table.get_mut((var.varno as usize).wrapping_sub(1)) else { return Ok(None) };
    match &mut entry.kind {
        RteKind::Relation { relid, .. } => {
            let table = lookup.relation(*relid)?;
            let attribute = table.relation.tuple_desc.get(var.varattno as usize - 1);
            let varies = attribute.is_some_and(|attribute| attribute.length == -1);
            Ok(if varies && table.relation.kind.has_heap() {
                named(form.attribute(var.varattno))
            } else {
                None
            })
        }
        RteKind::Subquery { query, .. } if hands_columns_on(query) => {
            let Some(column) = query.target_list.get(var.varattno as usize - 1) else { return Ok(None) };
            let expr = column.expr.clone();
            let Some(expr) = stored_form_in(lookup, &mut query.rtable, &expr, form)? else { return Ok(None) };
            let at = query.target_list.iter().take_while(|target| !target.resjunk).count();
            let name = compressed_name(var.varattno);
            let target = TargetEntry {
                expr,
                resno: 0,
                resname: Some(name.clone()),
                ressortgroupref: 0,
                resorigtbl: Oid::INVALID,
                resorigcol: 0,
                resjunk: false,
            };
            query.target_list.insert(at, target);
            for (target, resno) in query.target_list.iter_mut().zip(1..) {
                target.resno = resno;
            }
            entry.eref.columns.push(name);
            Ok(named(at as i16 + 1))
        }
        _ => Ok(None),
    }
}

/// True if the columns of a subquery may be columns of its tables as they are stored.
fn hands_columns_on(query: &Query) -> bool {
    query.command_type == CommandType::Select
        && query.set_operations.is_none()
        && query.distinct_clause.is_empty()
        && !query.has_window_funcs
        && !is_grouped(query)
}
