//! COPY.
//!
//! Realises: copy.c, copyfrom.c, copyfromparse.c, copyto.c. [`begin`] answers with what moves the rows:
//! [`CopyIn`], fed with the client's chunks of bytes as they come, or [`CopyOut`], which writes rows into a
//! sink. Neither borrows anything from one call to the next.

mod from;
mod options;
mod text;
mod to;

use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_parse::tree::{CopySource, CopyStmt};
use kokkiri_primitives::{Error, Result, error};
use kokkiri_transaction::LockMode;

use crate::context::CommandContext;
use crate::name;

pub use from::CopyIn;
pub use options::CopyOptions;
pub use to::CopyOut;

/// A COPY under way.
pub enum Copy {
    In(Box<CopyIn>),
    Out(Box<CopyOut>),
}

/// Starts a COPY between client and table.
pub fn begin(context: &mut CommandContext<'_>, statement: &CopyStmt) -> Result<Copy> {
    if statement.filename.is_some() {
        let what = if statement.is_program { "COPY with PROGRAM" } else { "COPY with a file on the server" };
        return Err(Error::not_supported(what));
    }
    let options = CopyOptions::read(&statement.options, statement.is_from)?;
    let CopySource::Relation { relation, columns } = &statement.source else {
        return Err(Error::not_supported("COPY of a query"));
    };
    if statement.where_clause.is_some() {
        return Err(Error::not_supported("COPY FROM with WHERE"));
    }
    let mode = if statement.is_from { LockMode::RowExclusive } else { LockMode::AccessShare };
    let table = name::lock_existing(context, relation, mode)?;
    let wanted = if statement.is_from { Privileges::INSERT } else { Privileges::SELECT };
    let acl = table.acl.as_ref();
    let granted = context.view.privileges(context.role(), ObjectKind::Table, table.owner, acl, wanted)?;
    if !granted.contains(wanted) {
        let kind = name::kind_name(table.relation.kind);
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for {kind} {}", table.name));
    }
    check_kind(&table, statement.is_from)?;
    let columns = chosen_columns(&table, columns)?;
    Ok(if statement.is_from {
        Copy::In(Box::new(CopyIn::new(context, table, columns, options)?))
    } else {
        Copy::Out(Box::new(CopyOut::new(table, columns, options)))
    })
}

fn check_kind(table: &RelationEntry, is_from: bool) -> Result<()> {
    let kind = name::kind_name(table.relation.kind);
    match table.relation.kind {
        RelationKind::Table => Ok(()),
        RelationKind::MaterializedView if !is_from => Ok(()),
        RelationKind::PartitionedTable => Err(Error::not_supported("COPY of a partitioned table")),
        other => {
            let (verb, thing) = match other {
                RelationKind::View | RelationKind::Sequence | RelationKind::ForeignTable => {
                    (kind, &*table.name)
                }
                RelationKind::MaterializedView => (kind, &*table.name),
                _ => ("non-table relation", &*table.name),
            };
            let direction = if is_from { "to" } else { "from" };
            let error = error!(WRONG_OBJECT_TYPE, "cannot copy {direction} {verb} \"{thing}\"");
            Err(match (other, is_from) {
                (RelationKind::View, true) => {
                    error.hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger.")
                }
                (RelationKind::View | RelationKind::ForeignTable, false) => {
                    error.hint("Try the COPY (SELECT ...) TO variant.")
                }
                _ => error,
            })
        }
    }
}

/// The columns to be copied (0-based): those named, or all that are not dropped or generated.
fn chosen_columns(table: &Arc<RelationEntry>, names: &[String]) -> Result<Vec<usize>> {
    let attributes = table.relation.tuple_desc.attributes();
    if names.is_empty() {
        let plain = |at: &usize| !attributes[*at].dropped && attributes[*at].generated == 0;
        return Ok((0..attributes.len()).filter(plain).collect());
    }
    let mut columns: Vec<usize> = Vec::with_capacity(names.len());
    for name in names {
        let found =
            attributes.iter().position(|attribute| !attribute.dropped && &*attribute.name == name.as_str());
        let at = found.ok_or_else(|| {
            error!(UNDEFINED_COLUMN, "column \"{name}\" of relation \"{}\" does not exist", table.name)
        })?;
        if attributes[at].generated != 0 {
            return Err(error!(INVALID_COLUMN_REFERENCE, "column \"{name}\" is a generated column")
                .detail("Generated columns cannot be used in COPY."));
        }
        if columns.contains(&at) {
            return Err(error!(DUPLICATE_COLUMN, "column \"{name}\" specified more than once"));
        }
        columns.push(at);
    }
    Ok(columns)
}
