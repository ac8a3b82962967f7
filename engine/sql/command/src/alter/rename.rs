//! ALTER ... RENAME.
//!
//! Realises: `RenameRelation`, `renameatt`, `RenameConstraint` (tablecmds.c). A table's row type and its
//! array type bear the table's name; an index and its constraint bear one name.

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{PgConstraint, PgType};
use kokkiri_parse::tree::{ObjectName, ObjectType, RenameStmt};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::constraint::{change_attribute, check_name_is_free};
use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::index::define::find_column;
use crate::relation::{change_class, is_system_column};
use crate::{database, name, role};

pub fn execute(context: &mut CommandContext<'_>, statement: &RenameStmt) -> Result<CommandOutcome> {
    let unbuilt = || Error::not_supported("ALTER ... RENAME of this kind of object");
    match (statement.object, &statement.name) {
        (ObjectType::Database, Some(ObjectName::Name(names))) => {
            return database::alter::rename(context, &names.join("."), &statement.new_name);
        }
        (ObjectType::Role, Some(ObjectName::Name(names))) => {
            return role::alter::rename(context, &names.join("."), &statement.new_name);
        }
        _ => {}
    }
    let relation = statement.relation.as_ref().ok_or_else(unbuilt)?;
    let of_relation = match statement.object {
        ObjectType::Table | ObjectType::Index | ObjectType::Sequence | ObjectType::View => statement.object,
        ObjectType::Column | ObjectType::TableConstraint => statement.relation_type,
        _ => return Err(unbuilt()),
    };
    let tag = match of_relation {
        ObjectType::Index => "ALTER INDEX",
        ObjectType::Sequence => "ALTER SEQUENCE",
        ObjectType::View => "ALTER VIEW",
        _ => "ALTER TABLE",
    };
    let mode = match of_relation {
        ObjectType::Index => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    };
    let Some(entry) = name::lock(context, relation, mode, false)? else {
        if statement.missing_ok {
            let message = format!("relation \"{}\" does not exist, skipping", name::written(relation));
            context.notice(Error::notice(message));
            return Ok(CommandOutcome::done(tag));
        }
        return Err(name::undefined(relation));
    };
    name::check_owner(context, &entry)?;
    let kind = entry.relation.kind;
    if of_relation == ObjectType::View && kind != RelationKind::View {
        return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a view", entry.name));
    }
    if of_relation == ObjectType::Sequence && kind != RelationKind::Sequence {
        return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a sequence", entry.name));
    }
    let new = statement.new_name.as_str();
    match (statement.object, &statement.subname) {
        (ObjectType::Column, Some(column)) => rename_column(context, &entry, column, new)?,
        (ObjectType::TableConstraint, Some(constraint)) => {
            rename_constraint(context, &entry, constraint, new)?;
        }
        _ => {
            check_schema(context, &entry)?;
            rename_relation(context, &entry, new)?;
        }
    }
    Ok(CommandOutcome::done(tag))
}

fn check_schema(context: &CommandContext<'_>, entry: &RelationEntry) -> Result<()> {
    match context.view.namespace(entry.namespace)? {
        Some(namespace) => context.view.check_schema_create(&namespace),
        None => Err(Error::internal("the relation's schema has vanished")),
    }
}

fn rename_relation(context: &mut CommandContext<'_>, entry: &RelationEntry, new: &str) -> Result<()> {
    if context.view.relation_oid(entry.namespace, new)?.is_some() {
        return Err(error!(DUPLICATE_TABLE, "relation \"{new}\" already exists"));
    }
    change_class(context, entry.oid, |row| row.relname = new.into())?;
    if let Some(row_type) = entry.row_type {
        rename_type(context, entry, row_type, new)?;
    }
    if entry.relation.kind == RelationKind::Index
        && let Some(constraint) = constraint_of_index(context, entry.oid)?
    {
        change_constraint_name(context, constraint, new)?;
    }
    context.advance()
}

/// `RenameTypeInternal`: an array type follows its element type.
fn rename_type(context: &CommandContext<'_>, entry: &RelationEntry, type_oid: Oid, new: &str) -> Result<()> {
    let exists = |name: &str| -> Result<bool> {
        let key = [ValueRef::Bytes(name.as_bytes()), key(entry.namespace)];
        Ok(!context.view.rows::<PgType>(Lookup::TypeByName, &key)?.is_empty())
    };
    if exists(new)? {
        return Err(error!(DUPLICATE_OBJECT, "type \"{new}\" already exists"));
    }
    let mut array = Oid::INVALID;
    for mut found in context.view.rows_to_change::<PgType>(Lookup::TypeByOid, &[key(type_oid)])? {
        found.row.typname = new.into();
        array = found.row.typarray;
        found.update(&context.view)?;
    }
    context.advance()?;
    for mut found in context.view.rows_to_change::<PgType>(Lookup::TypeByOid, &[key(array)])? {
        let mut attempt = 0;
        found.row.typname = loop {
            let label = if attempt == 0 { String::new() } else { attempt.to_string() };
            let name = name::object_name("", Some(new), &label);
            if !exists(&name)? {
                break name.into();
            }
            attempt += 1;
        };
        found.update(&context.view)?;
    }
    Ok(())
}

fn rename_column(
    context: &mut CommandContext<'_>,
    entry: &RelationEntry,
    column: &str,
    new: &str,
) -> Result<()> {
    if is_system_column(column) {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot rename system column \"{column}\""));
    }
    let Some(attribute) = find_column(entry, column) else {
        return Err(error!(UNDEFINED_COLUMN, "column \"{column}\" does not exist"));
    };
    if is_system_column(new) {
        return Err(error!(DUPLICATE_COLUMN, "column name \"{new}\" conflicts with a system column name"));
    }
    if find_column(entry, new).is_some() {
        return Err(error!(
            DUPLICATE_COLUMN,
            "column \"{new}\" of relation \"{}\" already exists", entry.name
        ));
    }
    change_attribute(context, entry.oid, attribute.number, |row| row.attname = new.into())?;
    context.advance()
}

fn rename_constraint(
    context: &mut CommandContext<'_>,
    entry: &RelationEntry,
    constraint: &str,
    new: &str,
) -> Result<()> {
    let Some(found) = entry.constraints.iter().find(|known| &*known.name == constraint) else {
        return Err(error!(
            UNDEFINED_OBJECT,
            "constraint \"{constraint}\" for table \"{}\" does not exist", entry.name
        ));
    };
    check_name_is_free(context, entry, new)?;
    use kokkiri_catalog::entries::ConstraintKind;
    let has_index = matches!(found.kind, ConstraintKind::Primary | ConstraintKind::Unique);
    match found.index.filter(|_| has_index) {
        Some(index) => {
            let index = context.view.expect_relation(index)?;
            rename_relation(context, &index, new)
        }
        None => {
            change_constraint_name(context, found.oid, new)?;
            context.advance()
        }
    }
}

fn change_constraint_name(context: &CommandContext<'_>, constraint: Oid, new: &str) -> Result<()> {
    for mut found in
        context.view.rows_to_change::<PgConstraint>(Lookup::ConstraintByOid, &[key(constraint)])?
    {
        found.row.conname = new.into();
        found.update(&context.view)?;
    }
    Ok(())
}

/// The constraint that an index is part of.
fn constraint_of_index(context: &CommandContext<'_>, index: Oid) -> Result<Option<Oid>> {
    use kokkiri_catalog::dependency::{DependencyKind, ObjectAddress, class, references_of};
    let rows = references_of(&context.view, ObjectAddress::relation(index))?;
    let internal = |row: &&kokkiri_catalog::rows::PgDepend| {
        row.refclassid == class::CONSTRAINT && row.deptype == DependencyKind::Internal as u8
    };
    Ok(rows.iter().find(internal).map(|row| row.refobjid))
}
