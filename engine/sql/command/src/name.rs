//! Names of relations: where a new one goes, which existing one is meant, and names made up.
//!
//! Realises: `RangeVarGetAndCheckCreationNamespace` and its kin (namespace.c), `makeObjectName`,
//! `ChooseRelationName`, `ChooseConstraintName` (indexcmds.c, pg_constraint.c).

use std::sync::Arc;

use kokkiri_access::relation::{Persistence, RelationKind};
use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::rows::PgConstraint;
use kokkiri_catalog::view::LockedRelation;
use kokkiri_parse::tree as raw;
use kokkiri_parse::tree::RangeVar;
use kokkiri_parse::{AtLocation, Location, quote_identifier};
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::ValueRef;

use crate::context::CommandContext;
use crate::temporary;

/// Longest name, bytes.
const NAME_MAX: usize = 63;

/// Index of pg_constraint on name and schema.
const CONSTRAINT_BY_NAME: Oid = Oid(2664);

/// A relation's name as it was written.
pub fn written(name: &RangeVar) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

/// A dotted list of names as a relation's name.
pub fn range_var(names: &[String]) -> Result<RangeVar> {
    let (catalog, schema, name) = match names {
        [name] => (None, None, name),
        [schema, name] => (None, Some(schema.clone()), name),
        [catalog, schema, name] => (Some(catalog.clone()), Some(schema.clone()), name),
        _ => {
            return Err(error!(
                SYNTAX_ERROR,
                "improper relation name (too many dotted names): {}",
                names.join(".")
            ));
        }
    };
    Ok(RangeVar {
        catalog,
        schema,
        name: name.clone(),
        inherit: true,
        persistence: raw::Persistence::Permanent,
        alias: None,
        location: kokkiri_parse::Location::UNKNOWN,
    })
}

/// The schema that a new relation goes into, and how long it lives there.
pub fn creation_namespace(
    context: &mut CommandContext<'_>,
    name: &RangeVar,
    persistence: Persistence,
) -> Result<(Oid, Persistence)> {
    let namespace = temporary_namespace(context, name, persistence)?;
    placed(context, name, namespace, persistence, Location::UNKNOWN)
}

/// [`creation_namespace`] for CREATE TABLE, which says where the schema that may not be written to is named.
pub fn table_namespace(
    context: &mut CommandContext<'_>,
    name: &RangeVar,
    persistence: Persistence,
) -> Result<(Oid, Persistence)> {
    let namespace = temporary_namespace(context, name, persistence)?;
    placed(context, name, namespace, persistence, name.location)
}

/// The session's own schema, if the relation goes there.
fn temporary_namespace(
    context: &mut CommandContext<'_>,
    name: &RangeVar,
    persistence: Persistence,
) -> Result<Oid> {
    match (&name.schema, persistence) {
        (Some(schema), _) if schema == "pg_temp" => temporary::namespace(context),
        (None, Persistence::Temporary) => temporary::namespace(context),
        _ => Ok(Oid::INVALID),
    }
}

fn placed(
    context: &CommandContext<'_>,
    name: &RangeVar,
    namespace: Oid,
    persistence: Persistence,
    denied_at: Location,
) -> Result<(Oid, Persistence)> {
    resolve_creation(context, name, namespace, persistence, denied_at).map_err(|error| {
        match error.sqlstate() {
            SqlState::INSUFFICIENT_PRIVILEGE => error,
            _ => error.at_location(name.location),
        }
    })
}

/// `temporary` is the session's own schema if the relation goes there.
fn resolve_creation(
    context: &CommandContext<'_>,
    name: &RangeVar,
    temporary: Oid,
    persistence: Persistence,
    denied_at: Location,
) -> Result<(Oid, Persistence)> {
    let view = context.view;
    check_database(context, name)?;
    let namespace = lock_namespace(context, || match (temporary.valid(), &name.schema) {
        (Some(temporary), _) => Ok(temporary),
        (None, Some(schema)) => Ok(view.namespace_for_lookup(schema)?.unwrap_or(Oid::INVALID)),
        (None, None) => view.creation_namespace(),
    })?;
    let entry = view
        .namespace(namespace)?
        .ok_or_else(|| Error::internal(format!("cache lookup failed for namespace {namespace}")))?;
    view.check_schema_create(&entry).map_err(|error| error.at_location(denied_at))?;
    let own = view.session.temp_namespace() == Some(namespace);
    let persistence = match persistence {
        Persistence::Temporary if !own => {
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "cannot create temporary relation in non-temporary schema"
            ));
        }
        Persistence::Permanent if own => Persistence::Temporary,
        _ if !own && entry.name.starts_with("pg_temp_") => {
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "cannot create relations in temporary schemas of other sessions"
            ));
        }
        Persistence::Unlogged if own => {
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "only temporary relations may be created in temporary schemas"
            ));
        }
        other => other,
    };
    let may_change_catalogs = view.settings.get(parameters::ALLOW_SYSTEM_TABLE_MODS);
    if !own && !may_change_catalogs && entry.name.starts_with("pg_") && namespace < Oid::FIRST_UNPINNED {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to create \"{}.{}\"", entry.name, name.name),
        )
        .detail("System catalog modifications are currently disallowed."));
    }
    Ok((namespace, persistence))
}

/// Locks the schema that a name leads to, so that nobody drops it before the transaction has ended; looks
/// again afterwards, as it may have gone meanwhile. An invalid oid is for none.
/// `RangeVarGetAndLockCreationNamespace`.
pub fn lock_namespace(context: &CommandContext<'_>, look: impl Fn() -> Result<Oid>) -> Result<Oid> {
    let mut namespace = look()?;
    while namespace.is_valid() {
        let address = ObjectAddress::new(class::NAMESPACE, namespace);
        dependency::lock_object(&context.view, address, LockMode::AccessShare)?;
        let again = look()?;
        if again == namespace {
            return Ok(namespace);
        }
        dependency::unlock_object(&context.view, address, LockMode::AccessShare);
        namespace = again;
    }
    Ok(namespace)
}

fn check_database(context: &CommandContext<'_>, name: &RangeVar) -> Result<()> {
    let Some(catalog) = &name.catalog else { return Ok(()) };
    let database = context.view.database(context.view.database_oid())?;
    if database.is_some_and(|database| &*database.name == catalog.as_str()) {
        return Ok(());
    }
    let written = format!("{catalog}.{}", written(name));
    Err(error!(FEATURE_NOT_SUPPORTED, "cross-database references are not implemented: \"{written}\""))
}

/// Finds and locks a relation; `None` if there is none of that name.
pub fn lock(
    context: &CommandContext<'_>,
    name: &RangeVar,
    mode: LockMode,
    nowait: bool,
) -> Result<Option<Arc<RelationEntry>>> {
    check_database(context, name)?;
    let policy = if nowait { WaitPolicy::NoWait } else { WaitPolicy::Block };
    match context.view.lock_relation(name.schema.as_deref(), &name.name, mode, policy)? {
        LockedRelation::Found(entry) => Ok(Some(entry)),
        LockedRelation::Missing => Ok(None),
        LockedRelation::NotAvailable => {
            Err(error!(LOCK_NOT_AVAILABLE, "could not obtain lock on relation \"{}\"", written(name)))
        }
    }
}

/// Finds and locks a relation that must exist.
pub fn lock_existing(
    context: &CommandContext<'_>,
    name: &RangeVar,
    mode: LockMode,
) -> Result<Arc<RelationEntry>> {
    lock(context, name, mode, false)?.ok_or_else(|| undefined(name))
}

/// "relation ... does not exist".
pub fn undefined(name: &RangeVar) -> Error {
    error!(UNDEFINED_TABLE, "relation \"{}\" does not exist", written(name))
}

/// What a kind of relation is called.
pub fn kind_name(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => "table",
        RelationKind::Index | RelationKind::PartitionedIndex => "index",
        RelationKind::Sequence => "sequence",
        RelationKind::Toast => "toast table",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::CompositeType => "composite type",
        RelationKind::ForeignTable => "foreign table",
    }
}

/// What relations of a kind are called together.
pub fn plural_kind(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "tables",
        RelationKind::Index => "indexes",
        RelationKind::Sequence => "sequences",
        RelationKind::Toast => "TOAST tables",
        RelationKind::View => "views",
        RelationKind::MaterializedView => "materialized views",
        RelationKind::CompositeType => "composite types",
        RelationKind::ForeignTable => "foreign tables",
        RelationKind::PartitionedTable => "partitioned tables",
        RelationKind::PartitionedIndex => "partitioned indexes",
    }
}

/// # Errors
/// 42501 "must be owner of table t", or that it is a system catalog.
pub fn check_owner(context: &CommandContext<'_>, entry: &RelationEntry) -> Result<()> {
    if !context.view.owns(context.role(), entry.owner)? {
        let kind = kind_name(entry.relation.kind);
        return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of {kind} {}", entry.name));
    }
    if entry.relation.is_catalog && !context.view.settings.get(parameters::ALLOW_SYSTEM_TABLE_MODS) {
        return Err(error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied: \"{}\" is a system catalog", entry.name
        ));
    }
    Ok(())
}

/// # Errors
/// 0A000 "cannot ... of other sessions" for a temporary relation of another session.
pub fn check_not_others_temporary(
    context: &CommandContext<'_>,
    entry: &RelationEntry,
    what: &str,
) -> Result<()> {
    if context.view.is_others_temporary(entry) {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot {what} of other sessions"));
    }
    Ok(())
}

/// A relation's name, qualified if it can't be found without.
pub fn visible_name(context: &CommandContext<'_>, oid: Oid, name: &str, namespace: Oid) -> Result<String> {
    let quoted = quote_identifier(name);
    if context.view.relation_is_visible(oid, name)? {
        return Ok(quoted.into_owned());
    }
    Ok(match context.view.namespace(namespace)? {
        Some(namespace) => format!("{}.{quoted}", quote_identifier(&namespace.name)),
        None => quoted.into_owned(),
    })
}

/// Cuts to at most `bytes` bytes at a character's boundary.
fn clip(name: &str, bytes: usize) -> &str {
    let mut end = bytes.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// `name1_name2_label`, the names cut so that the whole is a name: `makeObjectName`.
pub fn object_name(name1: &str, name2: Option<&str>, label: &str) -> String {
    let overhead = (if label.is_empty() { 0 } else { label.len() + 1 }) + usize::from(name2.is_some());
    let available = NAME_MAX - overhead;
    let (mut first, mut second) = (name1.len(), name2.map_or(0, str::len));
    while first + second > available {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    let mut name = clip(name1, first).to_owned();
    for part in name2.map(|name| clip(name, second)).into_iter().chain((!label.is_empty()).then_some(label)) {
        name.push('_');
        name.push_str(part);
    }
    name
}

/// A name that no relation of the schema has, nor a constraint if one is to bear it:
/// `ChooseRelationName`.
pub fn choose_relation(
    context: &CommandContext<'_>,
    name1: &str,
    name2: Option<&str>,
    label: &str,
    namespace: Oid,
    for_constraint: bool,
) -> Result<String> {
    choose(name1, name2, label, |name| {
        Ok(context.view.relation_oid(namespace, name)?.is_none()
            && !(for_constraint && constraint_exists(context, namespace, name)?))
    })
}

/// A name that no constraint of the schema has, nor any of `others`: `ChooseConstraintName`.
pub fn choose_constraint(
    context: &CommandContext<'_>,
    name1: &str,
    name2: Option<&str>,
    label: &str,
    namespace: Oid,
    others: &[String],
) -> Result<String> {
    choose(name1, name2, label, |name| {
        Ok(!others.iter().any(|other| other == name) && !constraint_exists(context, namespace, name)?)
    })
}

fn choose(
    name1: &str,
    name2: Option<&str>,
    label: &str,
    mut is_free: impl FnMut(&str) -> Result<bool>,
) -> Result<String> {
    let mut name = object_name(name1, name2, label);
    let mut attempt = 0;
    while !is_free(&name)? {
        attempt += 1;
        name = object_name(name1, name2, &format!("{label}{attempt}"));
    }
    Ok(name)
}

fn constraint_exists(context: &CommandContext<'_>, namespace: Oid, name: &str) -> Result<bool> {
    let key = [ValueRef::Bytes(name.as_bytes()), ValueRef::Int32(namespace.0 as i32)];
    Ok(!context.view.scan_rows::<PgConstraint>(CONSTRAINT_BY_NAME, &[2, 3], &key)?.is_empty())
}

/// Column names joined for a generated name: `ChooseIndexNameAddition`.
pub fn joined_columns<'n>(columns: impl IntoIterator<Item = &'n str>) -> String {
    let mut joined = String::new();
    for column in columns {
        if !joined.is_empty() {
            joined.push('_');
        }
        joined.push_str(column);
        if joined.len() > NAME_MAX {
            break;
        }
    }
    clip(&joined, NAME_MAX + 64).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{joined_columns, object_name};

    #[test]
    fn long_names_are_cut_where_they_are_longest() {
        assert_eq!(object_name("t", Some("a_b"), "key"), "t_a_b_key");
        assert_eq!(object_name("t", None, "pkey"), "t_pkey");
        let (long, name) = ("x".repeat(60), object_name(&"x".repeat(60), Some("column"), "fkey"));
        assert_eq!(name, format!("{}_column_fkey", &long[..51]));
        assert_eq!(name.len(), 63);
        assert_eq!(object_name(&"ä".repeat(40), None, "pkey").len(), 63);
        assert_eq!(joined_columns(["a", "b"]), "a_b");
    }
}
