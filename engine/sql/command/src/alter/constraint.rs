//! Constraints of ALTER TABLE: adding, validating and dropping them.
//!
//! Realises: `ATExecAddConstraint`, `ATExecSetNotNull`, `ATExecDropNotNull`, `ATExecValidateConstraint`,
//! `ATExecDropConstraint` (tablecmds.c).

use std::sync::Arc;

use kokkiri_access::heap::{Heap, Scan, ScanOptions};
use kokkiri_analyze::stored;
use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintEntry, ConstraintKind as Kind, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgConstraint;
use kokkiri_parse::tree::{AlterTableCmd, Constraint, ConstraintKind};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch};

use super::{behavior_of, column_number, existing_column};
use crate::check::{self, Rows};
use crate::constraint::{NewNotNull, change_attribute, create_not_null};
use crate::context::CommandContext;
use crate::describe::key;
use crate::index::define::find_column;
use crate::table::{self, Definition, NotNullDefinition};
use crate::{drop, foreign_key};

/// Makes the constraints of an added column.
pub fn add_all(context: &mut CommandContext<'_>, table: Oid, definition: &Definition) -> Result<()> {
    let entry = context.view.expect_relation(table)?;
    check_has_no_second_primary(&entry, definition)?;
    check::add(context, &entry, &definition.checks, Rows::Some)?;
    let entry = context.view.expect_relation(table)?;
    add_not_null(context, &entry, definition)?;
    table::add_indexes_and_keys(context, table, definition)
}

/// SET NOT NULL.
pub fn set_not_null(context: &mut CommandContext<'_>, table: &RelationEntry, column: &str) -> Result<()> {
    let column = existing_column(table, column)?;
    let number = column_number(table, column)?;
    let unvalidated = |known: &&Arc<ConstraintEntry>| {
        known.kind == Kind::NotNull && *known.key == [number] && !known.validated
    };
    if let Some(known) = table.constraints.iter().find(unvalidated) {
        return validate(context, table, &known.name);
    }
    let mut definition = Definition::default();
    definition.not_null.push(NotNullDefinition::plain(column));
    add_not_null(context, table, &definition)
}

fn check_has_no_second_primary(table: &RelationEntry, definition: &Definition) -> Result<()> {
    let has = table.indexes.iter().any(|index| index.is_primary);
    if has && definition.indexes.iter().any(|index| index.primary) {
        return Err(error!(
            INVALID_TABLE_DEFINITION,
            "multiple primary keys for table \"{}\" are not allowed", table.name
        ));
    }
    Ok(())
}

pub fn add(context: &mut CommandContext<'_>, table: &RelationEntry, constraint: &Constraint) -> Result<()> {
    if let ConstraintKind::Foreign(key) = &constraint.kind {
        return foreign_key::add(context, table, constraint, key, true);
    }
    let mut definition = Definition::default();
    definition.add_constraint(&table.name, None, constraint)?;
    check_has_no_second_primary(table, &definition)?;
    for index in definition.indexes.iter().filter(|index| index.primary) {
        for column in &index.columns {
            if find_column(table, column).is_none() {
                return Err(error!(
                    UNDEFINED_COLUMN,
                    "column \"{column}\" of relation \"{}\" does not exist", table.name
                ));
            }
            definition.not_null.push(NotNullDefinition::plain(column));
        }
    }
    check::add(context, table, &definition.checks, Rows::Some)?;
    add_not_null(context, table, &definition)?;
    table::add_indexes_and_keys(context, table.oid, &definition)
}

/// Makes NOT NULL constraints for columns that have none, once their rows have been looked at.
fn add_not_null(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    definition: &Definition,
) -> Result<()> {
    let mut new = Vec::new();
    for NotNullDefinition { column, name, no_inherit, not_valid } in &definition.not_null {
        let number = column_number(table, column)?;
        let is_its = |known: &&Arc<ConstraintEntry>| known.kind == Kind::NotNull && *known.key == [number];
        match table.constraints.iter().find(is_its) {
            None => new.push(NewNotNull {
                name: name.clone(),
                column: number,
                no_inherit: *no_inherit,
                validated: !not_valid,
            }),
            Some(known) => check_agrees(table, known, column, name.as_deref(), *no_inherit)?,
        }
    }
    let unchecked: Vec<i16> = new
        .iter()
        .filter(|new| new.validated)
        .map(|new| new.column)
        .filter(|number| !table.relation.tuple_desc.attributes()[*number as usize - 1].not_null)
        .collect();
    check_no_nulls(context, table, &unchecked)?;
    create_not_null(context, table, &new, &mut Vec::new())?;
    context.advance()
}

/// # Errors
/// 55000 if a column's NOT NULL constraint is another than the one asked for.
fn check_agrees(
    table: &RelationEntry,
    known: &ConstraintEntry,
    column: &str,
    name: Option<&str>,
    no_inherit: bool,
) -> Result<()> {
    if known.no_inherit != no_inherit && name.is_some() {
        return Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot change NO INHERIT status of NOT NULL constraint \"{}\" on relation \"{}\"",
            known.name,
            table.name
        )
        .hint("You might need to make the existing constraint inheritable using ALTER TABLE ... ALTER CONSTRAINT ... INHERIT."));
    }
    match name {
        Some(name) if *known.name != *name => Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot create not-null constraint \"{name}\" on column \"{column}\" of table \"{}\"", table.name
        )
        .detail(format!("A not-null constraint named \"{}\" already exists for this column.", known.name))),
        _ => Ok(()),
    }
}

/// # Errors
/// 23502 if some row has a null in one of the columns.
fn check_no_nulls(context: &CommandContext<'_>, table: &RelationEntry, columns: &[i16]) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let heap = Heap::new(&table.relation, context.transaction());
    let snapshot = context.transaction().latest_snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    let options = ScanOptions {
        columns: columns.iter().map(|number| *number as usize - 1).collect(),
        ..ScanOptions::default()
    };
    let mut scan = Scan::new(&heap, &options)?;
    let mut batch = Batch::new(scan.physical_types());
    loop {
        let rows = scan.next(&heap, &visibility, &mut batch, BATCH_ROWS)?;
        if rows == 0 {
            return Ok(());
        }
        kokkiri_primitives::activity::check_for_interrupts()?;
        for (column, number) in batch.columns.iter().zip(columns) {
            if (0..rows).any(|row| column.get(row).is_null()) {
                let name = &table.relation.tuple_desc.attributes()[*number as usize - 1].name;
                return Err(error!(
                    NOT_NULL_VIOLATION,
                    "column \"{name}\" of relation \"{}\" contains null values", table.name
                )
                .table(table.relation.namespace_name.clone(), table.name.to_string())
                .column(name.to_string()));
            }
        }
    }
}

pub fn drop_not_null(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    command: &AlterTableCmd,
) -> Result<()> {
    let number = column_number(table, column)?;
    let found = table
        .constraints
        .iter()
        .find(|constraint| constraint.kind == Kind::NotNull && *constraint.key == [number]);
    match found {
        Some(constraint) => remove_constraint(context, table, constraint.oid, Some(number), command),
        None => Ok(()),
    }
}

pub fn drop_named(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    constraint: &str,
    command: &AlterTableCmd,
) -> Result<()> {
    let Some(found) = table.constraints.iter().find(|known| &*known.name == constraint) else {
        let message = format!("constraint \"{constraint}\" of relation \"{}\" does not exist", table.name);
        if command.missing_ok {
            context.notice(Error::notice(format!("{message}, skipping")));
            return Ok(());
        }
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    };
    let not_null = (found.kind == Kind::NotNull).then(|| found.key[0]);
    remove_constraint(context, table, found.oid, not_null, command)
}

/// Drops a constraint; that of NOT NULL unmarks its column.
fn remove_constraint(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    constraint: Oid,
    not_null: Option<i16>,
    command: &AlterTableCmd,
) -> Result<()> {
    if let Some(number) = not_null {
        let column = &table.relation.tuple_desc.attributes()[number as usize - 1].name;
        let in_key = |index: &Arc<kokkiri_catalog::entries::IndexEntry>| {
            index.is_primary && index.columns[..index.key_count].contains(&number)
        };
        if table.indexes.iter().any(in_key) {
            return Err(error!(INVALID_TABLE_DEFINITION, "column \"{column}\" is in a primary key"));
        }
        change_attribute(context, table.oid, number, |row| row.attnotnull = false)?;
        context.advance()?;
    }
    let address = ObjectAddress::new(class::CONSTRAINT, constraint);
    drop::delete(context, &[address], behavior_of(command))
}

/// VALIDATE CONSTRAINT: looks at the rows that were there before the constraint.
pub fn validate(context: &mut CommandContext<'_>, table: &RelationEntry, constraint: &str) -> Result<()> {
    let Some(found) = table.constraints.iter().find(|known| &*known.name == constraint) else {
        return Err(error!(
            UNDEFINED_OBJECT,
            "constraint \"{constraint}\" of relation \"{}\" does not exist", table.name
        ));
    };
    if !matches!(found.kind, Kind::Foreign | Kind::Check | Kind::NotNull) {
        return Err(error!(
            WRONG_OBJECT_TYPE,
            "cannot validate constraint \"{constraint}\" of relation \"{}\"", table.name
        )
        .detail("This operation is not supported for this type of constraint."));
    }
    if !found.enforced {
        return Err(error!(WRONG_OBJECT_TYPE, "cannot validate NOT ENFORCED constraint"));
    }
    if found.validated {
        return Ok(());
    }
    match (found.kind, &found.check) {
        (Kind::Check, Some(tree)) => check::check_rows(context, table, constraint, &stored::read(tree)?)?,
        (Kind::NotNull, _) => check_no_nulls(context, table, &found.key)?,
        _ => foreign_key::check_existing_rows(context, table, found)?,
    }
    let rows = context.view.rows_to_change::<PgConstraint>(Lookup::ConstraintByOid, &[key(found.oid)])?;
    for mut row in rows {
        row.row.convalidated = true;
        row.update(&context.view)?;
    }
    context.advance()
}
