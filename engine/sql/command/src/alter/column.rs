//! Columns of ALTER TABLE: adding and dropping them, their defaults and how they are stored.
//!
//! Realises: `ATExecAddColumn`, `ATExecDropColumn`, `ATExecColumnDefault`, `ATExecSetStorage` and kin
//! (tablecmds.c). An added column whose default is the same for all rows leaves the rows alone: they get it
//! from `attmissingval`. Any other default means a rewrite.

use kokkiri_catalog::dependency::{Behavior, ObjectAddress};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::rows::PgAttribute;
use kokkiri_parse::tree::{AlterTableCmd, ColumnDef, Expr};
use kokkiri_primitives::{Error, Result, Severity, SqlState, error};

use super::{Altered, behavior_of, column_number, existing_column, undefined_column};
use crate::constraint::change_attribute;
use crate::context::CommandContext;
use crate::index::define::find_column;
use crate::relation::{attribute_row, change_class, is_system_column, record_column, toast};
use crate::table::{self, Definition, compression, storage};
use crate::{default, drop, expression};

/// ADD COLUMN.
pub fn add(
    context: &mut CommandContext<'_>,
    altered: &mut Altered,
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
    let number = number as i16;
    let mut definition = Definition::default();
    definition.add_column(context, &table.name, column)?;
    definition.settle(&table.name)?;
    crate::relation::check_columns(context, &definition.columns)?;
    let mut new = definition.columns[0].clone();
    // The constraint that is made for it marks the column.
    new.not_null = false;
    let row = attribute_row(context, table.oid, number, &new)?;
    record_column(context, &row)?;
    context.view.insert_row(row)?;
    change_class(context, table.oid, |row| row.relnatts = number)?;
    context.advance()?;
    let entry = context.view.expect_relation(table.oid)?;
    toast::create_if_needed(context, &entry, None)?;
    table::add_values(context, table.oid, &definition)?;
    fill(context, altered, number)?;
    altered.added.push(definition);
    Ok(())
}

/// Sees to it that the rows that are there have the default of an added column.
fn fill(context: &mut CommandContext<'_>, altered: &mut Altered, number: i16) -> Result<()> {
    let entry = context.view.expect_relation(altered.old.oid)?;
    let expr = kokkiri_analyze::column_default(&context.view, context.io, &entry, number)?;
    if expression::is_null(&expr) {
        return Ok(());
    }
    if context.is_volatile(&expr)? {
        altered.new_values.push((number, expr));
        altered.rewrites = true;
        return Ok(());
    }
    let value = default::evaluate(context, &expr)?;
    if !value.is_null() {
        let column = &entry.relation.tuple_desc[number as usize - 1];
        default::store_missing(context, entry.oid, column, &value)?;
    }
    Ok(())
}

/// DROP COLUMN.
pub fn drop_one(
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

/// SET DEFAULT and DROP DEFAULT.
pub fn set_default(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    default: Option<&Expr>,
) -> Result<()> {
    let number = column_number(table, existing_column(table, column)?)?;
    let attribute = &table.relation.tuple_desc[number as usize - 1];
    if attribute.identity != 0 {
        let error =
            error!(SYNTAX_ERROR, "column \"{column}\" of relation \"{}\" is an identity column", table.name);
        return Err(match default {
            Some(_) => error,
            None => error.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."),
        });
    }
    if attribute.generated != 0 {
        let instead = match default {
            Some(_) => "SET EXPRESSION",
            None => "DROP EXPRESSION",
        };
        return Err(error!(
            SYNTAX_ERROR,
            "column \"{column}\" of relation \"{}\" is a generated column", table.name
        )
        .hint(format!("Use ALTER TABLE ... ALTER COLUMN ... {instead} instead.")));
    }
    default::remove(context, table.oid, number, Behavior::Restrict)?;
    let Some(expr) = default else { return Ok(()) };
    let cooked = default::cook(context, attribute, expr)?;
    default::store(context, table.oid, number, &cooked)
}

pub fn set_statistics(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    target: Option<i32>,
) -> Result<()> {
    let number = column_number(table, column)?;
    let target = target.filter(|target| *target >= 0).map(|target| target.min(10_000) as i16);
    change_attribute(context, table.oid, number, |row| row.attstattarget = target)
}

pub fn set_storage(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    word: &str,
) -> Result<()> {
    let number = column_number(table, column)?;
    let type_oid = table.relation.tuple_desc[number as usize - 1].type_oid;
    let storage = storage(word, context, type_oid)?;
    change_attribute(context, table.oid, number, |row| row.attstorage = storage.code())?;
    change_index_columns(context, table, number, |row| row.attstorage = storage.code())?;
    context.advance()?;
    let entry = context.view.expect_relation(table.oid)?;
    toast::create_if_needed(context, &entry, None)
}

/// Changes how the table's indexes store a column, too: `SetIndexStorageProperties`.
fn change_index_columns(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    number: i16,
    change: impl Fn(&mut PgAttribute),
) -> Result<()> {
    for index in &table.indexes {
        let included = index.columns.iter().zip(1i16..).filter(|(column, _)| **column == number);
        for (_, at) in included {
            change_attribute(context, index.oid, at, &change)?;
        }
    }
    Ok(())
}

pub fn set_compression(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    method: &str,
) -> Result<()> {
    let number = column_number(table, column)?;
    let attribute = &table.relation.tuple_desc[number as usize - 1];
    let compression = compression(Some(method), context, attribute.type_oid)?;
    change_attribute(context, table.oid, number, |row| row.attcompression = compression)?;
    change_index_columns(context, table, number, |row| row.attcompression = compression)
}
