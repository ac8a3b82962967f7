//! Whole rows: a variable for all columns of a table becomes the row of its columns.
//!
//! Realises: the cases of a whole-row `Var`. PostgreSQL has the executor make the row of a tuple at hand;
//! here scans fetch columns, so the row is an expression over them. That of an outer join's missing side is
//! null, and not a row of nulls: the row's place tells.

use kokkiri_analyze::tree::{
    CaseExpr, CaseWhen, CoercionForm, Expression, NullTest, Query, RowExpr, RteKind, Var,
};
use kokkiri_parse::Location;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;

use crate::expression::{constant, null_of};
use crate::root::Root;
use crate::tree::JoinTree;

const CTID: i16 = -1;

impl Root<'_, '_> {
    /// Spells whole rows of this level out, wherever they stand.
    pub fn expand_whole_rows(&mut self) -> Result<()> {
        let mut query = std::mem::take(&mut self.query);
        let mut result = self.expand_in_query(&mut query, 0);
        self.query = query;
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        tree.for_each_qual_mut(&mut |qual| {
            if result.is_ok() {
                result = self.expand_in(qual, 0);
            }
        });
        self.tree = tree;
        for index in self.tree.relids(false).iter() {
            let mut entry = self.global.rte(index).clone();
            match &mut entry.kind {
                RteKind::Function { functions, .. } => {
                    functions.iter_mut().try_for_each(|function| self.expand_in(&mut function.expr, 0))?;
                }
                RteKind::Values { lists, .. } => {
                    lists.iter_mut().flatten().try_for_each(|value| self.expand_in(value, 0))?;
                }
                RteKind::Subquery { query, .. } => self.expand_in_query(query, 1)?,
                _ => continue,
            }
            self.global.range_table[index as usize - 1] = entry;
        }
        result
    }

    fn expand_in_query(&self, query: &mut Query, depth: u32) -> Result<()> {
        let mut result = Ok(());
        query.for_each_expression_mut(&mut |expression| {
            if result.is_ok() {
                result = self.expand_in(expression, depth);
            }
        });
        query.for_each_subquery_mut(&mut |inner| {
            if result.is_ok() {
                result = self.expand_in_query(inner, depth + 1);
            }
        });
        result
    }

    fn expand_in(&self, expression: &mut Expression, depth: u32) -> Result<()> {
        let mut result = Ok(());
        expression.walk_mut(&mut |node| {
            let expanded = match node {
                Expression::FieldSelect(select) => match &select.arg {
                    // A field of a row is the column.
                    Expression::Var(var) if var.varattno == 0 && var.varlevelsup == depth => {
                        let mut column = var.clone();
                        (column.varattno, column.vartype) = (select.field, select.result_type);
                        (column.vartypmod, column.varcollid) = (select.typmod, select.collation);
                        *node = Expression::Var(column);
                        return false;
                    }
                    _ => return true,
                },
                Expression::NullTest(test) if test.arg_is_row => match &test.arg {
                    // The test looks at the fields alone, and at those that are there.
                    Expression::Var(var) if var.varattno == 0 && var.varlevelsup == depth => {
                        match self.columns_of(var, false) {
                            Ok(Some(columns)) => test.arg = row(var, columns),
                            Ok(None) => {}
                            Err(error) => result = Err(error),
                        }
                        return false;
                    }
                    _ => return true,
                },
                Expression::Var(var) if var.varattno == 0 && var.varlevelsup == depth => self.row_of(var),
                Expression::SubLink(link) => {
                    result = self.expand_in_query(&mut link.subselect, depth + 1);
                    return result.is_ok();
                }
                _ => return result.is_ok(),
            };
            match expanded {
                Ok(Some(row)) => *node = row,
                Ok(None) => {}
                Err(error) => result = Err(error),
            }
            false
        });
        result
    }

    /// The columns of a whole row, nulls for dropped ones if these are wanted.
    fn columns_of(&self, whole: &Var, with_dropped: bool) -> Result<Option<Vec<Expression>>> {
        let Some(entry) = self.global.range_table.get((whole.varno as usize).wrapping_sub(1)) else {
            return Ok(None);
        };
        let column = |number: i16, vartype: Oid, vartypmod: i32, varcollid: Oid| {
            Expression::Var(Var { varattno: number, vartype, vartypmod, varcollid, ..whole.clone() })
        };
        Ok(match &entry.kind {
            RteKind::Relation { relid, .. } => {
                let table = self.global.lookup.relation(*relid)?;
                let attributes = table.relation.tuple_desc.iter();
                let attributes = attributes.filter(|attribute| with_dropped || !attribute.dropped);
                let columns = attributes.map(|attribute| match attribute.dropped {
                    true => constant(oid::INT4, -1, Oid::INVALID, Value::Null),
                    false => {
                        column(attribute.number, attribute.type_oid, attribute.typmod, attribute.collation)
                    }
                });
                Some(columns.collect())
            }
            RteKind::Subquery { query, .. } => {
                let targets = query.target_list.iter().filter(|target| !target.resjunk);
                let columns = targets.map(|target| {
                    let expr = &target.expr;
                    column(target.resno, expr.result_type(), expr.typmod(), expr.collation())
                });
                Some(columns.collect())
            }
            _ => None,
        })
    }

    fn row_of(&self, whole: &Var) -> Result<Option<Expression>> {
        let Some(columns) = self.columns_of(whole, true)? else { return Ok(None) };
        let is_table = matches!(self.global.rte(whole.varno).kind, RteKind::Relation { .. });
        if whole.varnullingrels.is_empty() || !is_table {
            return Ok(Some(row(whole, columns)));
        }
        let missing = Expression::NullTest(Box::new(NullTest {
            arg: Expression::Var(Var { varattno: CTID, vartype: oid::TID, ..whole.clone() }),
            is_null: true,
            arg_is_row: false,
            location: Location::UNKNOWN,
        }));
        Ok(Some(Expression::CaseExpr(Box::new(CaseExpr {
            result_type: whole.vartype,
            collation: Oid::INVALID,
            arg: None,
            whens: vec![CaseWhen {
                condition: missing,
                result: null_of(&Expression::Var(whole.clone())),
                location: Location::UNKNOWN,
            }],
            default: row(whole, columns),
            location: whole.location,
        }))))
    }
}

fn row(whole: &Var, args: Vec<Expression>) -> Expression {
    Expression::RowExpr(Box::new(RowExpr {
        args,
        row_type: whole.vartype,
        form: CoercionForm::ImplicitCast,
        colnames: Vec::new(),
        location: whole.location,
    }))
}
