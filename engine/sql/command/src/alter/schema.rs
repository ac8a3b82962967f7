//! ALTER ... SET SCHEMA of relations.
//!
//! Realises: `AlterTableNamespace` and its parts (tablecmds.c). Row type, indexes, constraints and the
//! sequences of its columns go with a table; its TOAST table stays where all are.

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{PgConstraint, PgType};
use kokkiri_catalog::view::PG_TOAST;
use kokkiri_parse::tree::{AlterObjectSchemaStmt, ObjectType};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::relation::change_class;
use crate::{name, sequence};

pub fn execute(
    context: &mut CommandContext<'_>,
    statement: &AlterObjectSchemaStmt,
) -> Result<CommandOutcome> {
    let (tag, wanted) = match statement.object {
        ObjectType::Table => ("ALTER TABLE", RelationKind::Table),
        ObjectType::Sequence => ("ALTER SEQUENCE", RelationKind::Sequence),
        ObjectType::View => ("ALTER VIEW", RelationKind::View),
        _ => return Err(Error::not_supported("ALTER ... SET SCHEMA of this kind of object")),
    };
    let relation = statement
        .relation
        .as_ref()
        .ok_or_else(|| Error::not_supported("ALTER ... SET SCHEMA of this kind of object"))?;
    let Some(entry) = name::lock(context, relation, LockMode::AccessExclusive, false)? else {
        let missing = name::undefined(relation);
        if !statement.missing_ok {
            return Err(missing);
        }
        context.notice(Error::notice(format!("{}, skipping", missing.message())));
        return Ok(CommandOutcome::done(tag));
    };
    name::check_owner(context, &entry)?;
    if wanted != RelationKind::Table && entry.relation.kind != wanted {
        let kind = name::kind_name(wanted);
        return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a {kind}", entry.name));
    }
    if entry.relation.kind == RelationKind::Sequence
        && let Some(owner) = sequence::owner_of(context, entry.oid)?
    {
        let table = context.view.expect_relation(owner.table)?;
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot move an owned sequence into another schema")
            .detail(format!("Sequence \"{}\" is linked to table \"{}\".", entry.name, table.name)));
    }
    let new = target(context, &statement.new_schema)?;
    check_move(context, entry.namespace, new)?;
    if entry.namespace != new {
        move_relation(context, &entry, new)?;
    }
    Ok(CommandOutcome::done(tag))
}

/// The schema to move to, in which the role may create.
fn target(context: &CommandContext<'_>, schema: &str) -> Result<Oid> {
    let look = || Ok(context.view.namespace_for_lookup(schema)?.unwrap_or(Oid::INVALID));
    let oid = name::lock_namespace(context, look)?;
    let found = context.view.namespace(oid)?;
    let found = found.ok_or_else(|| error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist"))?;
    context.view.check_schema_create(&found)?;
    Ok(found.oid)
}

/// `CheckSetNamespace`.
fn check_move(context: &CommandContext<'_>, old: Oid, new: Oid) -> Result<()> {
    let is_temporary = |oid: Oid| -> Result<bool> {
        let found = context.view.namespace(oid)?;
        Ok(found.is_some_and(|found| found.name.starts_with("pg_temp_")))
    };
    if is_temporary(old)? || is_temporary(new)? {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot move objects into or out of temporary schemas"));
    }
    if old == PG_TOAST || new == PG_TOAST {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot move objects into or out of TOAST schema"));
    }
    Ok(())
}

fn move_relation(context: &mut CommandContext<'_>, entry: &RelationEntry, new: Oid) -> Result<()> {
    move_class(context, entry.oid, &entry.name, new)?;
    let myself = ObjectAddress::relation(entry.oid);
    dependency::forget_references(&context.view, myself, class::NAMESPACE, DependencyKind::Normal)?;
    let schema = ObjectAddress::new(class::NAMESPACE, new);
    dependency::record(&context.view, myself, [schema], DependencyKind::Normal)?;
    if let Some(row_type) = entry.row_type {
        move_type(context, row_type, new)?;
    }
    for index in &entry.indexes {
        move_class(context, index.oid, &index.name, new)?;
    }
    let constraints =
        context.view.rows_to_change::<PgConstraint>(Lookup::ConstraintByRelation, &[key(entry.oid)])?;
    for mut found in constraints {
        found.row.connamespace = new;
        found.update(&context.view)?;
    }
    context.advance()?;
    for sequence in sequence::owned(context, entry.oid, None)? {
        let sequence = context.view.expect_relation(sequence)?;
        move_relation(context, &sequence, new)?;
    }
    Ok(())
}

fn move_class(context: &CommandContext<'_>, oid: Oid, relation: &str, new: Oid) -> Result<()> {
    if context.view.relation_oid(new, relation)?.is_some() {
        let schema = context.view.namespace(new)?;
        let schema = schema.map_or_else(String::new, |schema| schema.name.to_string());
        return Err(error!(DUPLICATE_TABLE, "relation \"{relation}\" already exists in schema \"{schema}\""));
    }
    change_class(context, oid, |row| row.relnamespace = new)
}

/// A row type goes with its table, its array type with it.
fn move_type(context: &CommandContext<'_>, type_oid: Oid, new: Oid) -> Result<()> {
    for mut found in context.view.rows_to_change::<PgType>(Lookup::TypeByOid, &[key(type_oid)])? {
        let wanted = [ValueRef::Bytes(found.row.typname.as_bytes()), key(new)];
        if !context.view.rows::<PgType>(Lookup::TypeByName, &wanted)?.is_empty() {
            let schema = context.view.namespace(new)?;
            let schema = schema.map_or_else(String::new, |schema| schema.name.to_string());
            return Err(error!(
                DUPLICATE_OBJECT,
                "type \"{}\" already exists in schema \"{schema}\"", found.row.typname
            ));
        }
        let array = found.row.typarray;
        found.row.typnamespace = new;
        found.update(&context.view)?;
        if let Some(array) = array.valid() {
            move_type(context, array, new)?;
        }
    }
    Ok(())
}
