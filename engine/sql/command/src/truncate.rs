//! TRUNCATE.
//!
//! Realises: `ExecuteTruncate` (tablecmds.c). A table gets new, empty files; the old ones go when the
//! transaction commits. A file made in the same subtransaction is cut instead: nobody else can need it.

use std::sync::Arc;

use kokkiri_access::btree::Tree;
use kokkiri_access::btree::build::build_empty;
use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_parse::tree::{DropBehavior, TruncateStmt};
use kokkiri_primitives::{BlockNumber, Error, Fork, Oid, RelFileNumber, Result, TransactionId, error};
use kokkiri_storage::RelationFile;
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::context::{CommandContext, CommandOutcome};
use crate::relation::{change_class, create_file, oldest_xid};
use crate::{index, name, sequence};

pub fn execute(context: &mut CommandContext<'_>, statement: &TruncateStmt) -> Result<CommandOutcome> {
    let mut tables: Vec<Arc<RelationEntry>> = Vec::new();
    for relation in &statement.relations {
        let entry = name::lock_existing(context, relation, LockMode::AccessExclusive)?;
        check(context, &entry)?;
        if !tables.iter().any(|known| known.oid == entry.oid) {
            tables.push(entry);
        }
    }
    match statement.behavior {
        DropBehavior::Restrict => check_references(context, &tables)?,
        DropBehavior::Cascade => add_referencing(context, &mut tables)?,
    }
    if statement.restart_seqs {
        for table in &tables {
            for sequence in sequence::owned(context, table.oid, None)? {
                sequence::reset(context, sequence)?;
            }
        }
    }
    for table in tables {
        truncate(context, &table)?;
    }
    Ok(CommandOutcome::done("TRUNCATE TABLE"))
}

fn check(context: &CommandContext<'_>, entry: &RelationEntry) -> Result<()> {
    match entry.relation.kind {
        RelationKind::Table => {}
        RelationKind::PartitionedTable => {
            return Err(Error::not_supported("TRUNCATE of a partitioned table"));
        }
        _ => return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a table", entry.name)),
    }
    let wanted = Privileges::TRUNCATE;
    let granted = context.view.privileges(
        context.role(),
        ObjectKind::Table,
        entry.owner,
        entry.acl.as_ref(),
        wanted,
    )?;
    if !granted.contains(wanted) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for table {}", entry.name));
    }
    if entry.relation.is_catalog {
        return Err(error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied: \"{}\" is a system catalog", entry.name
        ));
    }
    name::check_not_others_temporary(context, entry, "truncate temporary tables")
}

/// # Errors
/// 0A000 if a table that is not truncated refers to one that is.
fn check_references(context: &CommandContext<'_>, tables: &[Arc<RelationEntry>]) -> Result<()> {
    for table in tables {
        for constraint in &table.referenced_by {
            if tables.iter().any(|known| known.oid == constraint.relation) {
                continue;
            }
            let other = context.view.expect_relation(constraint.relation)?;
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "cannot truncate a table referenced in a foreign key constraint"
            )
            .detail(format!("Table \"{}\" references \"{}\".", other.name, table.name))
            .hint(format!(
                "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                other.name
            )));
        }
    }
    Ok(())
}

/// With CASCADE the tables that refer to the truncated ones are truncated as well.
fn add_referencing(context: &mut CommandContext<'_>, tables: &mut Vec<Arc<RelationEntry>>) -> Result<()> {
    let mut next = 0;
    while let Some(table) = tables.get(next).cloned() {
        next += 1;
        for constraint in &table.referenced_by {
            if tables.iter().any(|known| known.oid == constraint.relation) {
                continue;
            }
            context.view.lock_relation_oid(
                constraint.relation,
                LockMode::AccessExclusive,
                WaitPolicy::Block,
            )?;
            let other = context.view.expect_relation(constraint.relation)?;
            context.notice(Error::notice(format!("truncate cascades to table \"{}\"", other.name)));
            check(context, &other)?;
            tables.push(other);
        }
    }
    Ok(())
}

/// Empties a table with its TOAST table and its indexes.
pub fn truncate(context: &mut CommandContext<'_>, table: &RelationEntry) -> Result<()> {
    if context.transaction().made_in_current_sub(table.relation.file) {
        return cut_with_toast(context, table);
    }
    replace(context, table)?;
    if let Some(toast) = &table.relation.toast {
        let toast = context.view.expect_relation(toast.oid)?;
        replace(context, &toast)?;
    }
    Ok(())
}

/// Cuts the files of a table and its TOAST table where nobody else can need what is in them.
pub fn cut_with_toast(context: &CommandContext<'_>, table: &RelationEntry) -> Result<()> {
    cut(context, table)?;
    if let Some(toast) = &table.relation.toast {
        let toast = context.view.expect_relation(toast.oid)?;
        cut(context, &toast)?;
    }
    Ok(())
}

/// Cuts the files of a relation and its indexes, which the current subtransaction has made.
fn cut(context: &CommandContext<'_>, table: &RelationEntry) -> Result<()> {
    let transaction = context.transaction();
    let file = table.relation.file;
    transaction.truncate_storage(file, BlockNumber(0), file.is_logged(Fork::Main))?;
    for index in &table.indexes {
        let file = index.descriptor.file;
        transaction.truncate_storage(file, BlockNumber(0), file.is_logged(Fork::Main))?;
        index.descriptor.btree.forget_fast_root();
        build_empty(
            &Tree::new(context.cluster(), &index.descriptor, Some(transaction.current_xid()?)),
            Fork::Main,
        )?;
    }
    Ok(())
}

/// Gives a relation and its indexes new files: `RelationSetNewRelfilenumber`.
fn replace(context: &mut CommandContext<'_>, table: &RelationEntry) -> Result<()> {
    new_file(context, table.oid, table.relation.file, true)?;
    for index in &table.indexes {
        new_file(context, index.oid, index.descriptor.file, false)?;
    }
    context.advance()?;
    for index in &table.indexes {
        index::build(context, table.oid, index.oid)?;
    }
    Ok(())
}

pub fn new_file(
    context: &CommandContext<'_>,
    relation: Oid,
    old: RelationFile,
    is_table: bool,
) -> Result<()> {
    let number = context.view.new_oid(Lookup::RelationByOid)?;
    let mut file = old;
    file.locator.number = RelFileNumber(number.0);
    create_file(context, file)?;
    context.transaction().drop_storage(old);
    let (oldest, multi) = (oldest_xid(context), context.cluster().transactions.multixacts.oldest());
    change_class(context, relation, |row| {
        row.relfilenode = number;
        row.relpages = 0;
        row.reltuples = -1.0;
        row.relallvisible = 0;
        row.relallfrozen = 0;
        if is_table {
            row.relfrozenxid = oldest;
            row.relminmxid = TransactionId(multi.0);
        }
    })
}
