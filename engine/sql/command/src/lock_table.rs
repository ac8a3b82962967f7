//! LOCK TABLE.
//!
//! Realises: lockcmds.c.

use kokkiri_access::relation::{RelationKind, ViewOptions};
use kokkiri_analyze::tree::Query;
use kokkiri_analyze::{for_each_relation, stored};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_parse::tree::{LockStmt, TableLockMode};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{LockMode, LockOutcome, WaitPolicy};

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
    let wanted = Wanted { mode, policy: policy(statement.nowait), sufficient };
    for relation in &statement.relations {
        let entry = name::lock(context, relation, mode, statement.nowait)?;
        let entry = entry.ok_or_else(|| name::undefined(relation))?;
        if !can_be_locked(entry.relation.kind) {
            let plural = name::plural_kind(entry.relation.kind);
            return Err(error!(WRONG_OBJECT_TYPE, "cannot lock relation \"{}\"", entry.name)
                .detail(format!("This operation is not supported for {plural}.")));
        }
        check_privileges(context, &wanted, &entry, context.role())?;
        if entry.relation.kind == RelationKind::View {
            lock_view(context, &wanted, &entry, context.role(), &mut Vec::new())?;
        }
    }
    Ok(CommandOutcome::done("LOCK TABLE"))
}

/// How relations are to be locked.
struct Wanted {
    mode: LockMode,
    policy: WaitPolicy,
    /// Each of these privileges suffices besides those that always do.
    sufficient: &'static [Privileges],
}

fn policy(nowait: bool) -> WaitPolicy {
    if nowait { WaitPolicy::NoWait } else { WaitPolicy::Block }
}

fn can_be_locked(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::View)
}

/// `LockTableAclCheck`.
fn check_privileges(
    context: &CommandContext<'_>,
    wanted: &Wanted,
    entry: &RelationEntry,
    role: Oid,
) -> Result<()> {
    // Whoever may change or maintain a table may lock it in any mode.
    let always = [Privileges::UPDATE, Privileges::DELETE, Privileges::TRUNCATE, Privileges::MAINTAIN];
    let any = wanted.sufficient.iter().chain(&always).fold(Privileges::NONE, |all, one| all.union(*one));
    let granted = context.view.privileges(role, ObjectKind::Table, entry.owner, entry.acl.as_ref(), any)?;
    if granted.intersects(any) {
        return Ok(());
    }
    let kind = name::kind_name(entry.relation.kind);
    Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for {kind} {}", entry.name))
}

/// Locks what a view reads, with the privileges of its owner: `LockViewRecurse`. `active` are the views
/// that are being gone through.
fn lock_view(
    context: &CommandContext<'_>,
    wanted: &Wanted,
    view: &RelationEntry,
    role: Oid,
    active: &mut Vec<Oid>,
) -> Result<()> {
    let Some(tree) = view.view.as_deref() else {
        return Err(Error::internal(format!("view \"{}\" has no rule", view.name)));
    };
    let query: Query = stored::read(tree)?;
    let pairs = view.options.iter().filter_map(|option| option.split_once('='));
    let role = if ViewOptions::parse(pairs)?.security_invoker { role } else { view.owner };
    active.push(view.oid);
    for_each_relation(&query, &mut |relation| {
        if active.contains(&relation) {
            return Ok(());
        }
        let Some(entry) = context.view.relation(relation)? else { return Ok(()) };
        if !can_be_locked(entry.relation.kind) {
            return Ok(());
        }
        check_privileges(context, wanted, &entry, role)?;
        if context.view.lock_relation_oid(relation, wanted.mode, wanted.policy)? == LockOutcome::NotAvailable
        {
            return Err(error!(LOCK_NOT_AVAILABLE, "could not obtain lock on relation \"{}\"", entry.name));
        }
        if entry.relation.kind == RelationKind::View {
            lock_view(context, wanted, &entry, role, active)?;
        }
        Ok(())
    })?;
    active.pop();
    Ok(())
}
