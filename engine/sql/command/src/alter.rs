//! ALTER TABLE.
//!
//! Realises: `ATController` and the `ATExec...` of tablecmds.c that are built. Subcommands run in
//! PostgreSQL's passes: what drops first, then new columns, then new constraints.

pub mod rename;

use kokkiri_access::heap::{Heap, Scan, ScanOptions};
use kokkiri_access::relation::{IndexOptions, RelationKind, RelationOptions};
use kokkiri_catalog::dependency::{Behavior, ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintKind as Kind, RelationEntry};
use kokkiri_parse::tree::{
    AlterTableAction, AlterTableCmd, AlterTableStmt, ColumnDef, Constraint, ConstraintKind, DefElem,
    DropBehavior, ObjectType,
};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_transaction::{LockMode, Visibility};
use kokkiri_types::{BATCH_ROWS, Batch};

use crate::constraint::{NewNotNull, change_attribute, create_not_null};
use crate::context::{CommandContext, CommandOutcome};
use crate::index::define::find_column;
use crate::relation::{attribute_row, change_class, is_system_column, record_column, toast};
use crate::table::{self, Definition};
use crate::{drop, foreign_key, name, options};

const TAG: &str = "ALTER TABLE";

pub fn execute(context: &mut CommandContext<'_>, statement: &AlterTableStmt) -> Result<CommandOutcome> {
    if !matches!(statement.object, ObjectType::Table | ObjectType::Index) {
        return Err(Error::not_supported("ALTER of this kind of relation"));
    }
    let tag = if statement.object == ObjectType::Index { "ALTER INDEX" } else { TAG };
    let mode = statement.commands.iter().map(|command| lock_mode(&command.action)).max_by_key(strength);
    let mode = mode.unwrap_or(LockMode::AccessExclusive);
    let Some(entry) = name::lock(context, &statement.relation, mode, false)? else {
        let missing = name::undefined(&statement.relation);
        if !statement.missing_ok {
            return Err(missing);
        }
        context.notice(Error::notice(format!("{}, skipping", missing.message())));
        return Ok(CommandOutcome::done(tag));
    };
    check_kind(&entry, statement.object)?;
    name::check_owner(context, &entry)?;
    let mut commands: Vec<&AlterTableCmd> = statement.commands.iter().collect();
    commands.sort_by_key(|command| pass(&command.action));
    for command in commands {
        let entry = context.view.expect_relation(entry.oid)?;
        run(context, &entry, command)?;
        context.advance()?;
    }
    Ok(CommandOutcome::done(tag))
}

fn check_kind(entry: &RelationEntry, object: ObjectType) -> Result<()> {
    match (entry.relation.kind, object) {
        (RelationKind::Table, ObjectType::Table) | (RelationKind::Index, ObjectType::Index) => Ok(()),
        (RelationKind::PartitionedTable, ObjectType::Table) => {
            Err(Error::not_supported("ALTER TABLE of a partitioned table"))
        }
        (other, ObjectType::Table) => {
            Err(error!(WRONG_OBJECT_TYPE, "ALTER action cannot be performed on relation \"{}\"", entry.name)
                .detail(format!("This operation is not supported for {}.", name::plural_kind(other))))
        }
        _ => Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not an index", entry.name)),
    }
}

/// `AlterTableGetLockLevel`.
fn lock_mode(action: &AlterTableAction) -> LockMode {
    match action {
        AlterTableAction::AddConstraint(Constraint { kind: ConstraintKind::Foreign(_), .. }) => {
            LockMode::ShareRowExclusive
        }
        AlterTableAction::SetRelOptions(_)
        | AlterTableAction::ResetRelOptions(_)
        | AlterTableAction::SetStatistics { .. }
        | AlterTableAction::ValidateConstraint(_) => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    }
}

/// Modes among those of [`lock_mode`] in rising order.
fn strength(mode: &LockMode) -> u8 {
    match mode {
        LockMode::AccessExclusive => 2,
        LockMode::ShareRowExclusive => 1,
        _ => 0,
    }
}

fn pass(action: &AlterTableAction) -> u8 {
    match action {
        AlterTableAction::DropColumn(_)
        | AlterTableAction::DropConstraint(_)
        | AlterTableAction::DropNotNull(_) => 0,
        AlterTableAction::AddColumn(_) => 1,
        AlterTableAction::SetNotNull(_) => 2,
        AlterTableAction::AddConstraint(Constraint { kind: ConstraintKind::Foreign(_), .. }) => 5,
        AlterTableAction::AddConstraint(Constraint {
            kind: ConstraintKind::Primary(_) | ConstraintKind::Unique { .. },
            ..
        }) => 4,
        AlterTableAction::AddConstraint(_) => 3,
        _ => 6,
    }
}

fn behavior_of(command: &AlterTableCmd) -> Behavior {
    match command.behavior {
        DropBehavior::Restrict => Behavior::Restrict,
        DropBehavior::Cascade => Behavior::Cascade,
    }
}

fn run(context: &mut CommandContext<'_>, table: &RelationEntry, command: &AlterTableCmd) -> Result<()> {
    match &command.action {
        AlterTableAction::AddColumn(column) => add_column(context, table, column, command.missing_ok),
        AlterTableAction::DropColumn(column) => drop_column(context, table, column, command),
        AlterTableAction::SetNotNull(column) => {
            let mut definition = Definition::default();
            definition.not_null.push((existing_column(table, column)?.to_owned(), None, false));
            add_not_null(context, table, &definition)
        }
        AlterTableAction::DropNotNull(column) => drop_not_null(context, table, column, command),
        AlterTableAction::AddConstraint(constraint) => add_constraint(context, table, constraint),
        AlterTableAction::DropConstraint(constraint) => drop_constraint(context, table, constraint, command),
        AlterTableAction::SetRelOptions(changes) => set_options(context, table, changes, false),
        AlterTableAction::ResetRelOptions(changes) => set_options(context, table, changes, true),
        AlterTableAction::SetStatistics { column, target, .. } => {
            let number = column_number(table, column)?;
            let target = target.filter(|target| *target >= 0).map(|target| target.min(10_000) as i16);
            change_attribute(context, table.oid, number, |row| row.attstattarget = target)
        }
        AlterTableAction::ChangeOwner(_) => Err(Error::not_supported("ALTER TABLE ... OWNER TO")),
        AlterTableAction::AlterColumnType(..) => {
            Err(Error::not_supported("ALTER TABLE ... ALTER COLUMN ... TYPE"))
        }
        AlterTableAction::ColumnDefault { .. } => {
            Err(Error::not_supported("ALTER TABLE ... ALTER COLUMN ... DEFAULT"))
        }
        _ => Err(Error::not_supported("this ALTER TABLE action")),
    }
}

fn existing_column<'t>(table: &'t RelationEntry, column: &str) -> Result<&'t str> {
    match find_column(table, column) {
        Some(attribute) => Ok(&attribute.name),
        None if is_system_column(column) => {
            Err(error!(FEATURE_NOT_SUPPORTED, "cannot alter system column \"{column}\""))
        }
        None => Err(undefined_column(table, column)),
    }
}

fn column_number(table: &RelationEntry, column: &str) -> Result<i16> {
    existing_column(table, column)?;
    find_column(table, column)
        .map(|attribute| attribute.number)
        .ok_or_else(|| undefined_column(table, column))
}

fn undefined_column(table: &RelationEntry, column: &str) -> Error {
    error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", table.name)
}

/// ADD COLUMN. Rows that are there have null in it.
fn add_column(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &ColumnDef,
    missing_ok: bool,
) -> Result<()> {
    if is_system_column(&column.name) {
        return Err(error!(
            DUPLICATE_COLUMN,
            "column name \"{}\" conflicts with a system column name", column.name
        ));
    }
    if find_column(table, &column.name).is_some() {
        let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, table.name);
        if missing_ok {
            let notice = format!("{message}, skipping");
            context.notice(Error::report(Severity::Notice, SqlState::DUPLICATE_COLUMN, notice));
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
    }
    let number = table.relation.tuple_desc.len() + 1;
    if number > crate::relation::COLUMNS_MAX {
        return Err(error!(TOO_MANY_COLUMNS, "tables can have at most 1600 columns"));
    }
    let mut definition = Definition::default();
    definition.add_column(context, &table.name, column)?;
    definition.settle(&table.name)?;
    crate::relation::check_columns(context, &definition.columns)?;
    let mut new = definition.columns[0].clone();
    // The constraint that is made for it marks the column.
    new.not_null = false;
    let row = attribute_row(context, table.oid, number as i16, &new)?;
    record_column(context, &row)?;
    context.view.insert_row(row)?;
    change_class(context, table.oid, |row| row.relnatts = number as i16)?;
    context.advance()?;
    let entry = context.view.expect_relation(table.oid)?;
    toast::create_if_needed(context, &entry, None)?;
    let entry = context.view.expect_relation(table.oid)?;
    check_has_no_second_primary(&entry, &definition)?;
    add_not_null(context, &entry, &definition)?;
    table::add_indexes_and_keys(context, table.oid, &definition)
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

fn drop_column(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    command: &AlterTableCmd,
) -> Result<()> {
    if is_system_column(column) {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot drop system column \"{column}\""));
    }
    let Some(attribute) = find_column(table, column) else {
        let missing = undefined_column(table, column);
        if command.missing_ok {
            context.notice(Error::notice(format!("{}, skipping", missing.message())));
            return Ok(());
        }
        return Err(missing);
    };
    let address = ObjectAddress::column(table.oid, attribute.number);
    drop::delete(context, &[address], behavior_of(command))
}

fn add_constraint(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    constraint: &Constraint,
) -> Result<()> {
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
            definition.not_null.push((column.clone(), None, false));
        }
    }
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
    for (column, name, no_inherit) in &definition.not_null {
        let number = column_number(table, column)?;
        let has = |constraint: &std::sync::Arc<kokkiri_catalog::entries::ConstraintEntry>| {
            constraint.kind == Kind::NotNull && *constraint.key == [number]
        };
        if !table.constraints.iter().any(has) {
            new.push(NewNotNull { name: name.clone(), column: number, no_inherit: *no_inherit });
        }
    }
    let unchecked: Vec<i16> = new
        .iter()
        .map(|new| new.column)
        .filter(|number| !table.relation.tuple_desc.attributes()[*number as usize - 1].not_null)
        .collect();
    check_no_nulls(context, table, &unchecked)?;
    create_not_null(context, table, &new, &mut Vec::new())?;
    context.advance()
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

fn drop_not_null(
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

fn drop_constraint(
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
        let in_key = |index: &std::sync::Arc<kokkiri_catalog::entries::IndexEntry>| {
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

/// SET (...) and RESET (...).
fn set_options(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    changes: &[DefElem],
    reset: bool,
) -> Result<()> {
    let old: Vec<String> = table.options.iter().map(ToString::to_string).collect();
    let new = options::reloptions(&old, changes, None, reset)?;
    match table.relation.kind {
        RelationKind::Index => IndexOptions::for_btree(options::pairs(new.as_ref())).map(std::mem::drop)?,
        _ => RelationOptions::for_table(options::pairs(new.as_ref())).map(std::mem::drop)?,
    }
    change_class(context, table.oid, |row| row.reloptions = new)?;
    let Some(toast) = &table.relation.toast else { return Ok(()) };
    if !changes.iter().any(|change| change.namespace.as_deref() == Some("toast")) {
        return Ok(());
    }
    let toast = context.view.expect_relation(toast.oid)?;
    let old: Vec<String> = toast.options.iter().map(ToString::to_string).collect();
    let new = options::reloptions(&old, changes, Some("toast"), reset)?;
    RelationOptions::for_toast(options::pairs(new.as_ref())).map(std::mem::drop)?;
    change_class(context, toast.oid, |row| row.reloptions = new)
}
