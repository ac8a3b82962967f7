//! CHECK constraints: making them, and looking through the rows that are there.
//!
//! Realises: `cookConstraint`, `StoreRelCheck` and the CHECK half of `AddRelationNewConstraints` (heap.c),
//! and of `ATRewriteTable` what verifies constraints.

use kokkiri_access::heap::{Heap, Scan, ScanOptions};
use kokkiri_analyze::tree::Expression;
use kokkiri_analyze::{ExpressionUse, analyze_expression, stored};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintKind, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgConstraint;
use kokkiri_execute::table_expressions::TableExpressions;
use kokkiri_parse::tree as raw;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, error};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, ValueRef};

use crate::context::CommandContext;
use crate::relation::change_class;
use crate::{constraint, expression, name};

/// A CHECK constraint to be made.
#[derive(Clone, Debug)]
pub struct NewCheck {
    pub name: Option<String>,
    pub source: CheckSource,
    pub no_inherit: bool,
    pub enforced: bool,
    /// NOT VALID: rows that are there are not looked at.
    pub not_valid: bool,
}

#[derive(Clone, Debug)]
pub enum CheckSource {
    Raw(raw::Expr),
    /// Copied from another table.
    Cooked(Expression),
}

impl NewCheck {
    pub fn new(definition: &raw::Constraint, expr: &raw::Expr) -> Self {
        Self {
            name: definition.name.clone(),
            source: CheckSource::Raw(expr.clone()),
            no_inherit: definition.no_inherit,
            enforced: definition.enforced != Some(false),
            not_valid: definition.not_valid,
        }
    }
}

/// Which rows a new constraint finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The table is being made.
    None,
    Some,
}

/// Adds CHECK constraints to a table.
///
/// # Errors
/// 23514 if some row violates one of them.
pub fn add(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    new: &[NewCheck],
    rows: Rows,
) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for check in new {
        let expr = match &check.source {
            CheckSource::Raw(expr) => cook(context, table, expr)?,
            CheckSource::Cooked(expr) => expr.clone(),
        };
        let columns = expression::columns(&expr);
        let chosen = match &check.name {
            Some(given) => {
                if names.contains(given) {
                    return Err(error!(DUPLICATE_OBJECT, "check constraint \"{given}\" already exists"));
                }
                constraint::check_name_is_free(context, table, given)?;
                given.clone()
            }
            None => {
                let column = match columns[..] {
                    [number] if number > 0 => Some(&*table.relation.tuple_desc[number as usize - 1].name),
                    _ => None,
                };
                name::choose_constraint(context, &table.name, column, "check", table.namespace, &names)?
            }
        };
        names.push(chosen.clone());
        let validated = check.enforced && (rows == Rows::None || !check.not_valid);
        let oid = context.view.new_oid(Lookup::ConstraintByOid)?;
        let row = PgConstraint {
            connoinherit: check.no_inherit,
            conenforced: check.enforced,
            convalidated: validated,
            conbin: Some(stored::write(&expr)?),
            ..constraint::row(table, oid, &chosen, ConstraintKind::Check, &columns)
        };
        constraint::insert(context, row)?;
        let needed = expression::references(&expr, table.oid)?;
        let myself = ObjectAddress::new(class::CONSTRAINT, oid);
        dependency::record(&context.view, myself, needed, DependencyKind::Normal)?;
        change_class(context, table.oid, |row| row.relchecks += 1)?;
        context.advance()?;
        if validated && rows == Rows::Some {
            check_rows(context, table, &chosen, &expr)?;
        }
    }
    Ok(())
}

/// Analyzes a constraint's expression over its table's columns.
fn cook(context: &CommandContext<'_>, table: &RelationEntry, expr: &raw::Expr) -> Result<Expression> {
    analyze_expression(&context.view, context.io, expr, Some(table), ExpressionUse::CheckConstraint)
}

/// # Errors
/// 23514 if the expression is false for some row.
pub fn check_rows(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    constraint: &str,
    expr: &Expression,
) -> Result<()> {
    let columns = expression::columns(expr);
    if columns.iter().any(|number| *number <= 0) {
        return Err(Error::not_supported("a CHECK constraint on tableoid or the whole row"));
    }
    let facts = context.facts();
    let mut program = TableExpressions::compile(&facts, columns.clone(), std::slice::from_ref(expr))?;
    let heap = Heap::new(&table.relation, context.transaction());
    let snapshot = context.transaction().latest_snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    let wanted = columns.iter().map(|number| *number as usize - 1).collect();
    let mut scan = Scan::new(&heap, &ScanOptions { columns: wanted, ..ScanOptions::default() })?;
    let mut batch = Batch::new(scan.physical_types());
    loop {
        let rows = scan.next(&heap, &visibility, &mut batch, BATCH_ROWS)?;
        if rows == 0 {
            return Ok(());
        }
        check_for_interrupts()?;
        let environment = context.environment(&snapshot);
        let passed = program.evaluate(&environment, 0, &batch.columns, rows)?;
        if (0..rows).any(|row| passed.get(row) == ValueRef::Bool(false)) {
            return Err(error!(
                CHECK_VIOLATION,
                "check constraint \"{constraint}\" of relation \"{}\" is violated by some row", table.name
            )
            .table(table.relation.namespace_name.clone(), table.name.to_string())
            .constraint(constraint));
        }
    }
}
