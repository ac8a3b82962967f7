//! LOCK TABLE.
//!
//! Realises: lockcmds.c.

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_parse::tree::{LockStmt, TableLockMode};
use kokkiri_primitives::{Error, Result, error};
use kokkiri_transaction::LockMode;

use crate::context::{CommandContext, CommandOutcome};
use crate::name;

pub fn execute(context: &mut CommandContext<'_>, statement: &LockStmt) -> Result<CommandOutcome> {
    if !context.in_transaction_block {
        return Err(error!(NO_ACTIVE_SQL_TRANSACTION, "LOCK TABLE can only be used in transaction blocks"));
    }
    let (mode, sufficient) = match statement.mode {
        TableLockMode::AccessShare => (LockMode::AccessShare, &[Privileges::SELECT][..]),
        TableLockMode::RowShare => (LockMode::RowShare, &[][..]),
        TableLockMode::RowExclusive => (LockMode::RowExclusive, &[Privileges::INSERT][..]),
        TableLockMode::ShareUpdateExclusive => (LockMode::ShareUpdateExclusive, &[][..]),
        TableLockMode::Share => (LockMode::Share, &[][..]),
        TableLockMode::ShareRowExclusive => (LockMode::ShareRowExclusive, &[][..]),
        TableLockMode::Exclusive => (LockMode::Exclusive, &[][..]),
        TableLockMode::AccessExclusive => (LockMode::AccessExclusive, &[][..]),
    };
    // Whoever may change or maintain a table may lock it in any mode.
    let always = [Privileges::UPDATE, Privileges::DELETE, Privileges::TRUNCATE, Privileges::MAINTAIN];
    for relation in &statement.relations {
        let entry = name::lock(context, relation, mode, statement.nowait)?;
        let entry = entry.ok_or_else(|| name::undefined(relation))?;
        match entry.relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {}
            RelationKind::View => return Err(Error::not_supported("LOCK TABLE of a view")),
            other => {
                return Err(error!(WRONG_OBJECT_TYPE, "cannot lock relation \"{}\"", entry.name)
                    .detail(format!("This operation is not supported for {}.", name::plural_kind(other))));
            }
        }
        let wanted = sufficient.iter().chain(&always).fold(Privileges::NONE, |all, one| all.union(*one));
        let (role, acl) = (context.role(), entry.acl.as_ref());
        let granted = context.view.privileges(role, ObjectKind::Table, entry.owner, acl, wanted)?;
        if !granted.intersects(wanted) {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for table {}", entry.name));
        }
    }
    Ok(CommandOutcome::done("LOCK TABLE"))
}
