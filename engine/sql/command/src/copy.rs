//! COPY before any data moves: its options, its permissions, its columns.
//!
//! Realises: the first half of `DoCopy` (copy.c), `BeginCopyFrom` and `BeginCopyTo`. Moving the data is
//! the session's, which pauses for the client.

mod options;

use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_analyze::tree::Expression;
use kokkiri_analyze::{ExpressionUse, analyze_expression, column_default};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::view::{CatalogView, LockedRelation};
use kokkiri_parse::tree::{CopyStmt, RangeVar};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::TupleDesc;
use kokkiri_types::io::IoSettings;

pub use options::{ColumnList, CopyOptions, options};

/// Files and programs of the server are for the members of some roles only.
pub fn check_server_access(view: &CatalogView<'_>, role: Oid, copy: &CopyStmt) -> Result<()> {
    const READ_SERVER_FILES: Oid = Oid(4569);
    const WRITE_SERVER_FILES: Oid = Oid(4570);
    const EXECUTE_SERVER_PROGRAM: Oid = Oid(4571);
    if copy.filename.is_none() {
        return Ok(());
    }
    let (needed, name, what) = match (copy.is_program, copy.is_from) {
        (true, _) => (EXECUTE_SERVER_PROGRAM, "pg_execute_server_program", "to or from an external program"),
        (false, true) => (READ_SERVER_FILES, "pg_read_server_files", "from a file"),
        (false, false) => (WRITE_SERVER_FILES, "pg_write_server_files", "to a file"),
    };
    if view.is_superuser(role)? || view.roles_of(role)?.contains(&needed) {
        return Ok(());
    }
    Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to COPY {what}")
        .detail(format!("Only roles with privileges of the \"{name}\" role may COPY {what}."))
        .hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."))
}

/// Locks the relation that is copied from or to.
pub fn lock_relation(
    view: &CatalogView<'_>,
    relation: &RangeVar,
    is_from: bool,
) -> Result<Arc<RelationEntry>> {
    let mode = if is_from { LockMode::RowExclusive } else { LockMode::AccessShare };
    let schema = relation.schema.as_deref();
    match view.lock_relation(schema, &relation.name, mode, WaitPolicy::Block)? {
        LockedRelation::Found(entry) => {
            let what = match entry.relation.kind {
                RelationKind::Index | RelationKind::PartitionedIndex => "indexes",
                RelationKind::CompositeType => "composite types",
                _ => return Ok(entry),
            };
            Err(error!(WRONG_OBJECT_TYPE, "cannot open relation \"{}\"", relation.name)
                .detail(format!("This operation is not supported for {what}.")))
        }
        _ => {
            if let Some(schema) = schema
                && view.namespace_by_name(schema)?.is_none()
            {
                return Err(error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist"));
            }
            let qualified = match schema {
                Some(schema) => format!("{schema}.{}", relation.name),
                None => relation.name.clone(),
            };
            Err(error!(UNDEFINED_TABLE, "relation \"{qualified}\" does not exist"))
        }
    }
}

/// The role may read or write these columns, if it may not all.
pub fn check_privileges(
    view: &CatalogView<'_>,
    role: Oid,
    entry: &RelationEntry,
    is_from: bool,
) -> Result<()> {
    let wanted = if is_from { Privileges::INSERT } else { Privileges::SELECT };
    let granted = view.privileges(role, ObjectKind::Table, entry.owner, entry.acl.as_ref(), wanted)?;
    if granted.contains(wanted) {
        return Ok(());
    }
    let what = match entry.relation.kind {
        RelationKind::View => "view",
        RelationKind::Sequence => "sequence",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Index => "index",
        _ => "table",
    };
    Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for {what} {}", entry.name))
}

/// The relation is of a kind whose rows can be copied.
pub fn check_kind(entry: &RelationEntry, is_from: bool) -> Result<()> {
    let name = &entry.name;
    let direction = if is_from { "to" } else { "from" };
    let refuse = |what: &str| error!(WRONG_OBJECT_TYPE, "cannot copy {direction} {what} \"{name}\"");
    match (entry.relation.kind, is_from) {
        (RelationKind::Table | RelationKind::Toast, _) => Ok(()),
        (RelationKind::PartitionedTable, true) => Ok(()),
        (RelationKind::MaterializedView, false) => Ok(()),
        (RelationKind::View, true) => {
            Err(refuse("view").hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger."))
        }
        (RelationKind::View, false) => Err(refuse("view").hint("Try the COPY (SELECT ...) TO variant.")),
        (RelationKind::PartitionedTable, false) => {
            Err(refuse("partitioned table").hint("Try the COPY (SELECT ...) TO variant."))
        }
        (RelationKind::MaterializedView, true) => Err(refuse("materialized view")),
        (RelationKind::Sequence, _) => Err(refuse("sequence")),
        _ => Err(refuse("non-table relation")),
    }
}

/// The columns (0-based) that a list names, or all that are not generated. `CopyGetAttnums`.
pub fn columns(name: &str, desc: &TupleDesc, list: &[String]) -> Result<Vec<usize>> {
    if list.is_empty() {
        return Ok((0..desc.len()).filter(|at| !desc[*at].dropped && desc[*at].generated == 0).collect());
    }
    let mut columns = Vec::with_capacity(list.len());
    for column in list {
        let found = desc.iter().position(|attribute| !attribute.dropped && *attribute.name == **column);
        let Some(at) = found else {
            return Err(error!(
                UNDEFINED_COLUMN,
                "column \"{column}\" of relation \"{name}\" does not exist"
            ));
        };
        if desc[at].generated != 0 {
            return Err(error!(INVALID_COLUMN_REFERENCE, "column \"{column}\" is a generated column")
                .detail("Generated columns cannot be used in COPY."));
        }
        if columns.contains(&at) {
            return Err(error!(DUPLICATE_COLUMN, "column \"{column}\" specified more than once"));
        }
        columns.push(at);
    }
    Ok(columns)
}

/// The defaults of the columns (0-based) that have one, the next values of identity columns among them.
pub fn defaults(
    view: &CatalogView<'_>,
    io: &IoSettings,
    entry: &RelationEntry,
) -> Result<Vec<(usize, Expression)>> {
    let attributes = entry.relation.tuple_desc.iter().enumerate();
    attributes
        .filter(|(at, attribute)| {
            let has = attribute.identity != 0 || entry.defaults.get(*at).is_some_and(Option::is_some);
            has && !attribute.dropped && attribute.generated == 0
        })
        .map(|(at, _)| Ok((at, column_default(view, io, entry, at as i16 + 1)?)))
        .collect()
}

/// For each copied column of a relation, whether an option's list has it.
pub fn flags(
    option: &str,
    list: &ColumnList,
    name: &str,
    desc: &TupleDesc,
    copied: &[usize],
) -> Result<Vec<bool>> {
    let listed = match list {
        ColumnList::None => Vec::new(),
        ColumnList::All => copied.to_vec(),
        ColumnList::Names(names) => columns(name, desc, names)?,
    };
    if let Some(at) = listed.iter().find(|at| !copied.contains(at)) {
        let column = &desc[*at].name;
        return Err(error!(INVALID_COLUMN_REFERENCE, "{option} column \"{column}\" not referenced by COPY"));
    }
    Ok(copied.iter().map(|at| listed.contains(at)).collect())
}

/// For each column of a query, whether FORCE_QUOTE's list has it.
pub fn query_flags(list: &ColumnList, names: &[&str]) -> Result<Vec<bool>> {
    match list {
        ColumnList::None => Ok(vec![false; names.len()]),
        ColumnList::All => Ok(vec![true; names.len()]),
        ColumnList::Names(listed) => {
            if let Some(missing) = listed.iter().find(|listed| !names.contains(&listed.as_str())) {
                return Err(error!(UNDEFINED_COLUMN, "column \"{missing}\" does not exist"));
            }
            Ok(names.iter().map(|name| listed.iter().any(|listed| listed == name)).collect())
        }
    }
}

/// WHERE of COPY FROM.
pub fn condition(
    view: &CatalogView<'_>,
    io: &IoSettings,
    copy: &CopyStmt,
    entry: &RelationEntry,
) -> Result<Option<Expression>> {
    let Some(clause) = &copy.where_clause else { return Ok(None) };
    analyze_expression(view, io, clause, Some(entry), ExpressionUse::CopyWhere).map(Some)
}
