//! DROP, and carrying a deletion out.
//!
//! Realises: `RemoveRelations` (tablecmds.c), `doDeletion` (dependency.c) with `heap_drop_with_catalog`,
//! `index_drop` and the other removers.

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::dependency::{self, Behavior, Deletion, ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{
    PgAttrdef, PgAttribute, PgClass, PgConstraint, PgIndex, PgNamespace, PgRewrite, PgSequence, PgStatistic,
    PgTrigger, PgType,
};
use kokkiri_parse::tree::{DropBehavior, DropStmt, ObjectName, ObjectType, RangeVar};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::constraint::change_attribute;
use crate::context::{CommandContext, CommandOutcome};
use crate::default::ATTRDEF_BY_OID;
use crate::describe::key;
use crate::name;
use crate::relation::change_class;

const TRIGGER_BY_OID: Oid = Oid(2702);
const REWRITE_BY_OID: Oid = Oid(2692);
const STATISTIC_BY_RELATION: Oid = Oid(2696);
/// contype of a CHECK constraint.
const CHECK: u8 = b'c';

pub fn execute(context: &mut CommandContext<'_>, statement: &DropStmt) -> Result<CommandOutcome> {
    let wanted = match statement.object {
        ObjectType::Table => RelationKind::Table,
        ObjectType::Index if statement.concurrent => {
            return Err(Error::not_supported("DROP INDEX CONCURRENTLY"));
        }
        ObjectType::Index => RelationKind::Index,
        ObjectType::Sequence => RelationKind::Sequence,
        ObjectType::View => RelationKind::View,
        ObjectType::MaterializedView => RelationKind::MaterializedView,
        _ => {
            let statement = kokkiri_parse::tree::Statement::Drop(statement.clone());
            return Err(Error::not_supported(crate::statement_name(&statement)));
        }
    };
    let mut objects = Vec::with_capacity(statement.names.len());
    for written in &statement.names {
        let ObjectName::Name(names) = written else {
            return Err(error!(INTERNAL_ERROR, "a relation to be dropped is not given by name"));
        };
        let relation = name::range_var(names)?;
        if let Some(oid) = find(context, &relation, wanted, statement.missing_ok)? {
            let object = ObjectAddress::relation(oid);
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
    }
    let behavior = match statement.behavior {
        DropBehavior::Restrict => Behavior::Restrict,
        DropBehavior::Cascade => Behavior::Cascade,
    };
    delete(context, &objects, behavior)?;
    let tag = format!("DROP {}", name::kind_name(wanted).to_ascii_uppercase());
    Ok(CommandOutcome::done(tag))
}

/// Drops objects with all that must go with them.
pub fn delete(context: &mut CommandContext<'_>, objects: &[ObjectAddress], behavior: Behavior) -> Result<()> {
    let deletion = {
        let view = context.view;
        let describe = |object| context.describe(object);
        Deletion::plan(&view, objects, behavior, &describe)?
    };
    if let Some(notice) = deletion.notice {
        context.notice(notice);
    }
    carry_out(context, &deletion.objects)
}

/// The relation to be dropped, locked; `None` if it may be missing and is.
fn find(
    context: &mut CommandContext<'_>,
    relation: &RangeVar,
    wanted: RelationKind,
    missing_ok: bool,
) -> Result<Option<Oid>> {
    let kind = name::kind_name(wanted);
    if let Some(schema) = &relation.schema
        && schema != "pg_temp"
        && context.view.namespace_by_name(schema)?.is_none()
    {
        if !missing_ok {
            return Err(error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist"));
        }
        context.notice(Error::notice(format!("schema \"{schema}\" does not exist, skipping")));
        return Ok(None);
    }
    if wanted == RelationKind::Index
        && let Some(oid) = context.view.find_relation(relation.schema.as_deref(), &relation.name)?
    {
        // The table is locked before its index, as everybody else does.
        let rows = context.view.rows::<PgIndex>(Lookup::IndexByOid, &[key(oid)])?;
        if let Some(row) = rows.first() {
            let policy = kokkiri_transaction::WaitPolicy::Block;
            context.view.lock_relation_oid(row.indrelid, LockMode::AccessExclusive, policy)?;
        }
    }
    let Some(entry) = name::lock(context, relation, LockMode::AccessExclusive, false)? else {
        let message = format!("{kind} \"{}\" does not exist", relation.name);
        if missing_ok {
            context.notice(Error::notice(format!("{message}, skipping")));
            return Ok(None);
        }
        let state = match wanted {
            RelationKind::Index => SqlState::UNDEFINED_OBJECT,
            _ => SqlState::UNDEFINED_TABLE,
        };
        return Err(Error::new(state, message));
    };
    let found = match entry.relation.kind {
        RelationKind::PartitionedTable => RelationKind::Table,
        RelationKind::PartitionedIndex => RelationKind::Index,
        other => other,
    };
    if found != wanted {
        let article = |kind: &str| if kind.starts_with('i') { "an" } else { "a" };
        let actual = name::kind_name(found);
        let error = error!(WRONG_OBJECT_TYPE, "\"{}\" is not {} {kind}", relation.name, article(kind));
        return Err(match found {
            RelationKind::Toast => error,
            RelationKind::CompositeType => error.hint("Use DROP TYPE to remove a type."),
            _ => error.hint(format!(
                "Use DROP {} to remove {} {actual}.",
                actual.to_ascii_uppercase(),
                article(actual)
            )),
        });
    }
    let schema = context.view.namespace(entry.namespace)?;
    let owns_schema = match &schema {
        Some(schema) => context.view.owns(context.role(), schema.owner)?,
        None => false,
    };
    if !owns_schema || entry.relation.is_catalog {
        name::check_owner(context, &entry)?;
    }
    Ok(Some(entry.oid))
}

/// Drops the objects of a planned deletion in its order.
pub fn carry_out(context: &mut CommandContext<'_>, objects: &[ObjectAddress]) -> Result<()> {
    for object in objects {
        drop_object(context, *object)?;
        dependency::forget(&context.view, *object)?;
        context.advance()?;
    }
    Ok(())
}

fn drop_object(context: &mut CommandContext<'_>, object: ObjectAddress) -> Result<()> {
    let oid = object.object;
    let view = context.view;
    match object.class {
        class::RELATION if object.sub == 0 => drop_relation(context, oid),
        class::RELATION => drop_column(context, oid, object.sub as i16),
        class::TYPE => {
            for found in view.rows_to_change::<PgType>(Lookup::TypeByOid, &[key(oid)])? {
                found.delete(&view)?;
            }
            Ok(())
        }
        class::CONSTRAINT => drop_constraint(context, oid),
        class::DEFAULT => {
            for found in view.scan_rows::<PgAttrdef>(ATTRDEF_BY_OID, &[1], &[key(oid)])? {
                let (relation, number) = (found.row.adrelid, found.row.adnum);
                found.delete(&view)?;
                change_attribute(context, relation, number, |row| row.atthasdef = false)?;
            }
            Ok(())
        }
        class::TRIGGER => {
            for found in view.scan_rows::<PgTrigger>(TRIGGER_BY_OID, &[1], &[key(oid)])? {
                found.delete(&view)?;
            }
            Ok(())
        }
        class::REWRITE => {
            for found in view.scan_rows::<PgRewrite>(REWRITE_BY_OID, &[1], &[key(oid)])? {
                found.delete(&view)?;
            }
            Ok(())
        }
        class::FUNCTION => crate::function::remove(context, oid),
        class::EXTENSION => crate::extension::remove(context, oid),
        class::NAMESPACE => {
            for found in view.rows_to_change::<PgNamespace>(Lookup::NamespaceByOid, &[key(oid)])? {
                found.delete(&view)?;
            }
            Ok(())
        }
        _ => Err(Error::not_supported(format!("dropping {}", context.describe(object)?))),
    }
}

fn drop_relation(context: &mut CommandContext<'_>, oid: Oid) -> Result<()> {
    let view = context.view;
    let entry = view.expect_relation(oid)?;
    if entry.relation.kind.has_storage() {
        context.transaction().drop_storage(entry.relation.file);
    }
    match entry.relation.kind {
        RelationKind::Index => {
            for found in view.rows_to_change::<PgIndex>(Lookup::IndexByOid, &[key(oid)])? {
                found.delete(&view)?;
            }
        }
        RelationKind::Sequence => {
            for found in view.rows_to_change::<PgSequence>(Lookup::SequenceByRelation, &[key(oid)])? {
                found.delete(&view)?;
            }
        }
        _ => {}
    }
    drop_statistics(context, oid, None)?;
    for found in view.rows_to_change::<PgAttribute>(Lookup::AttributeByRelation, &[key(oid)])? {
        found.delete(&view)?;
    }
    for found in view.rows_to_change::<PgClass>(Lookup::RelationByOid, &[key(oid)])? {
        found.delete(&view)?;
    }
    Ok(())
}

/// Removes what ANALYZE found out about a relation or one of its columns.
pub fn drop_statistics(context: &CommandContext<'_>, relation: Oid, column: Option<i16>) -> Result<()> {
    let keys = [key(relation), ValueRef::Int16(column.unwrap_or(0))];
    let used = if column.is_some() { 2 } else { 1 };
    for found in
        context.view.scan_rows::<PgStatistic>(STATISTIC_BY_RELATION, &[1, 2][..used], &keys[..used])?
    {
        found.delete(&context.view)?;
    }
    Ok(())
}

/// A dropped column stays as a hole: its name and type are gone, its place in rows is not.
fn drop_column(context: &mut CommandContext<'_>, relation: Oid, number: i16) -> Result<()> {
    change_attribute(context, relation, number, |row| {
        row.attname = format!("........pg.dropped.{number}........").into();
        row.atttypid = Oid::INVALID;
        row.attnotnull = false;
        row.attgenerated = 0;
        row.attisdropped = true;
        row.atthasmissing = false;
        row.attmissingval = None;
        row.attstattarget = None;
        row.attacl = None;
        row.attoptions = None;
        row.attfdwoptions = None;
    })?;
    drop_statistics(context, relation, Some(number))
}

fn drop_constraint(context: &mut CommandContext<'_>, oid: Oid) -> Result<()> {
    let view = context.view;
    for found in view.rows_to_change::<PgConstraint>(Lookup::ConstraintByOid, &[key(oid)])? {
        let (kind, relation) = (found.row.contype, found.row.conrelid);
        if kind == CHECK && relation.is_valid() {
            change_class(context, relation, |row| row.relchecks -= 1)?;
        }
        found.delete(&view)?;
    }
    Ok(())
}
