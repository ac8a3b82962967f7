//! Column defaults: rows of pg_attrdef and what they need.
//!
//! Realises: `cookDefault` (heap.c), `StoreAttrDefault`, `RemoveAttrDefault` (pg_attrdef.c),
//! `StoreAttrMissingVal` (heap.c).

use kokkiri_analyze::tree::Expression;
use kokkiri_analyze::{ExpressionUse, analyze_expression, stored};
use kokkiri_catalog::dependency::{self, Behavior, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::AnyArray;
use kokkiri_catalog::rows::PgAttrdef;
use kokkiri_execute::table_expressions::TableExpressions;
use kokkiri_parse::tree as raw;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::{Attribute, Value, array};

use crate::constraint::change_attribute;
use crate::context::CommandContext;
use crate::describe::key;
use crate::{drop, expression};

/// Index of pg_attrdef on its oid.
pub const ATTRDEF_BY_OID: Oid = Oid(2657);

/// Analyzes the DEFAULT of a column and brings it to the column's type.
pub fn cook(context: &CommandContext<'_>, column: &Attribute, expr: &raw::Expr) -> Result<Expression> {
    let usage = ExpressionUse::ColumnDefault {
        column: &column.name,
        type_oid: column.type_oid,
        typmod: column.typmod,
    };
    analyze_expression(&context.view, context.io, expr, None, usage)
}

/// Gives a column its default. A bare NULL is what a column without a default has anyway.
pub fn store(context: &CommandContext<'_>, relation: Oid, number: i16, expr: &Expression) -> Result<()> {
    if expression::is_null(expr) {
        return Ok(());
    }
    let oid = new_oid(context)?;
    context.view.insert_row(PgAttrdef {
        oid,
        adrelid: relation,
        adnum: number,
        adbin: stored::write(expr)?,
    })?;
    change_attribute(context, relation, number, |row| row.atthasdef = true)?;
    let (myself, column) = (ObjectAddress::new(class::DEFAULT, oid), ObjectAddress::column(relation, number));
    dependency::record(&context.view, myself, [column], DependencyKind::Auto)?;
    let needed = expression::references(expr, relation)?;
    dependency::record(&context.view, myself, needed, DependencyKind::Normal)
}

fn new_oid(context: &CommandContext<'_>) -> Result<Oid> {
    loop {
        let oid = context.cluster().transactions.new_oid();
        if context.row_by_oid::<PgAttrdef>(ATTRDEF_BY_OID, oid)?.is_none() {
            return Ok(oid);
        }
    }
}

/// Takes a column's default away, if it has one.
pub fn remove(
    context: &mut CommandContext<'_>,
    relation: Oid,
    number: i16,
    behavior: Behavior,
) -> Result<()> {
    let rows = context.view.rows::<PgAttrdef>(Lookup::AttrdefByRelation, &[key(relation)])?;
    match rows.iter().find(|row| row.adnum == number) {
        Some(row) => drop::delete(context, &[ObjectAddress::new(class::DEFAULT, row.oid)], behavior),
        None => Ok(()),
    }
}

/// The value of an expression without variables, now.
pub fn evaluate(context: &CommandContext<'_>, expr: &Expression) -> Result<Value> {
    let facts = context.facts();
    let mut program = TableExpressions::compile(&facts, Vec::new(), std::slice::from_ref(expr))?;
    let snapshot = context.transaction().latest_snapshot();
    program.evaluate_one(&context.environment(&snapshot), 0)
}

/// Notes what rows that are older than a column have in it: an array of one element.
pub fn store_missing(
    context: &CommandContext<'_>,
    relation: Oid,
    column: &Attribute,
    value: &Value,
) -> Result<()> {
    let Some(info) = kokkiri_types::builtin::type_info(column.type_oid) else {
        return Err(Error::not_supported("a default of a user-defined type for rows that are there"));
    };
    let payload = array::build_vector(info, std::slice::from_ref(value))?;
    change_attribute(context, relation, column.number, |row| {
        row.atthasmissing = true;
        row.attmissingval = Some(AnyArray(Value::from(payload)));
    })
}
