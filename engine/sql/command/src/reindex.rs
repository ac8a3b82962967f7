//! REINDEX of an index, or of all indexes of a table and its TOAST table.
//!
//! Realises: `ReindexIndex`, `ReindexTable` (indexcmds.c), `reindex_index` and `reindex_relation` (index.c). An
//! index is built anew in a new file; the old one goes when the transaction commits. The table is locked
//! before its index, as by everybody else, and may be read meanwhile.

use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::{PgClass, PgIndex};
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{RangeVar, ReindexKind, ReindexStmt};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::alter::rewrite::rebuild_index;
use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::{name, options};

pub fn execute(context: &mut CommandContext<'_>, statement: &ReindexStmt) -> Result<CommandOutcome> {
    for option in &statement.options {
        match option.name.as_str() {
            "verbose" | "concurrently" if !options::boolean(option)? => {}
            "verbose" => return Err(Error::not_supported("REINDEX with VERBOSE")),
            "concurrently" => return Err(Error::not_supported("REINDEX CONCURRENTLY")),
            "tablespace" => return Err(Error::not_supported("REINDEX with TABLESPACE")),
            other => {
                return Err(error!(SYNTAX_ERROR, "unrecognized REINDEX option \"{other}\"")
                    .at_location(option.location));
            }
        }
    }
    match (&statement.relation, statement.kind) {
        (Some(relation), ReindexKind::Index) => reindex_index(context, relation)?,
        (Some(relation), ReindexKind::Table) => reindex_table(context, relation)?,
        _ => return Err(Error::not_supported("REINDEX of a schema or database")),
    }
    Ok(CommandOutcome::done("REINDEX"))
}

fn reindex_index(context: &mut CommandContext<'_>, name: &RangeVar) -> Result<()> {
    let (table, index) = lock_index(context, name)?;
    rebuild(context, &table, index)
}

/// Locks an index that a name means, its table first.
fn lock_index(context: &CommandContext<'_>, name: &RangeVar) -> Result<(Arc<RelationEntry>, Oid)> {
    let look = || context.view.find_relation(name.schema.as_deref(), &name.name);
    loop {
        let index = look()?.ok_or_else(|| name::undefined(name))?;
        let Some(entry) = context.view.relation(index)? else { continue };
        if entry.relation.kind != RelationKind::Index {
            return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not an index", entry.name));
        }
        let rows = context.view.rows::<PgIndex>(Lookup::IndexByOid, &[key(index)])?;
        let Some(row) = rows.first() else { continue };
        context.view.lock_relation_oid(row.indrelid, LockMode::Share, WaitPolicy::Block)?;
        context.view.lock_relation_oid(index, LockMode::AccessExclusive, WaitPolicy::Block)?;
        if look()? == Some(index) {
            let table = context.view.expect_relation(row.indrelid)?;
            check(context, &table, "index", &entry.name)?;
            return Ok((table, index));
        }
    }
}

fn reindex_table(context: &mut CommandContext<'_>, name: &RangeVar) -> Result<()> {
    let table = name::lock_existing(context, name, LockMode::Share)?;
    if !matches!(
        table.relation.kind,
        RelationKind::Table | RelationKind::MaterializedView | RelationKind::Toast
    ) {
        return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a table or materialized view", table.name));
    }
    check(context, &table, "table", &table.name)?;
    let toast = table.relation.toast.as_ref().map(|toast| toast.oid);
    let toast = toast.map(|toast| context.view.expect_relation(toast)).transpose()?;
    if table.indexes.is_empty() && toast.is_none() {
        let message = format!("table \"{}\" has no indexes to reindex", table.name);
        context.notice(Error::notice(message));
    }
    for table in [Some(table), toast].into_iter().flatten() {
        context.view.lock_relation_oid(table.oid, LockMode::Share, WaitPolicy::Block)?;
        for index in &table.indexes {
            context.view.lock_relation_oid(index.oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
            rebuild(context, &table, index.oid)?;
        }
    }
    Ok(())
}

fn check(context: &CommandContext<'_>, table: &RelationEntry, kind: &str, name: &str) -> Result<()> {
    let maintain = Privileges::MAINTAIN;
    let acl = table.acl.as_ref();
    let granted = context.view.privileges(context.role(), ObjectKind::Table, table.owner, acl, maintain)?;
    if !granted.contains(maintain) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for {kind} {name}"));
    }
    if table.relation.is_catalog || table.is_shared {
        return Err(Error::not_supported("REINDEX of a system catalog"));
    }
    Ok(())
}

/// Builds an index anew. It is good afterwards, whatever it was before.
fn rebuild(context: &mut CommandContext<'_>, table: &RelationEntry, index: Oid) -> Result<()> {
    for mut found in context.view.rows_to_change::<PgIndex>(Lookup::IndexByOid, &[key(index)])? {
        let row = &mut found.row;
        if !row.indisvalid || !row.indisready || row.indcheckxmin {
            (row.indisvalid, row.indisready, row.indcheckxmin) = (true, true, false);
            found.update(&context.view)?;
        }
    }
    rebuild_index(context, table.oid, index)?;
    if table.relation.is_toast() {
        // The entry of the table that it belongs to names its indexes' files as well.
        for (_, values) in context.view.scan_all(PgClass::CATALOG)? {
            let owner = PgClass::from_values(&values)?;
            if owner.reltoastrelid == table.oid {
                context.view.invalidate_relation(owner.oid);
            }
        }
        context.advance()?;
    }
    Ok(())
}
