//! DROP DATABASE.
//!
//! Realises: `dropdb`, `TerminateOtherDBBackends`.

use kokkiri_catalog::dependency;
use kokkiri_catalog::rows::PgDbRoleSetting;
use kokkiri_parse::tree::DropdbStmt;
use kokkiri_primitives::activity::Interrupt;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;

use super::{INVALID_DATABASE, check_owner, check_unused, lock, other_sessions, row_of, undefined};
use crate::comment;
use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;

const TAG: &str = "DROP DATABASE";
/// Oid of the role pg_signal_backend.
const SIGNAL_BACKEND: Oid = Oid(4200);
const SETTING_INDEX: Oid = Oid(2965);

pub fn execute(context: &mut CommandContext<'_>, statement: &DropdbStmt) -> Result<CommandOutcome> {
    context.prevent_in_transaction_block(TAG)?;
    let name = &statement.name;
    let Some(database) = lock(context, name, LockMode::AccessExclusive)? else {
        if !statement.missing_ok {
            return Err(undefined(name));
        }
        context.notice(Error::notice(format!("database \"{name}\" does not exist, skipping")));
        return Ok(CommandOutcome::done(TAG));
    };
    check_owner(context, &database)?;
    if database.oid == context.view.database_oid() {
        return Err(error!(OBJECT_IN_USE, "cannot drop the currently open database"));
    }
    if database.is_template {
        return Err(error!(WRONG_OBJECT_TYPE, "cannot drop a template database"));
    }
    if statement.options.iter().any(|option| option.name == "force") {
        terminate_others(context, database.oid)?;
    }
    check_unused(context, database.oid, &format!("database \"{name}\" is being accessed by other users"))?;

    comment::forget_shared(context, dependency::class::DATABASE, database.oid)?;
    let settings = context.view.scan_rows::<PgDbRoleSetting>(SETTING_INDEX, &[1], &[key(database.oid)])?;
    settings.into_iter().try_for_each(|found| found.delete(&context.view))?;
    dependency::forget_database(&context.view, database.oid)?;
    remove(context, database.oid, database.tablespace)?;
    Ok(CommandOutcome::done(TAG))
}

/// Removes row and files. From the first step on the database can't be used any more, whatever becomes
/// of the transaction: half of its files may be gone.
fn remove(context: &CommandContext<'_>, database: Oid, tablespace: Oid) -> Result<()> {
    let cluster = context.cluster();
    let found = loop {
        let mut found = row_of(context, database)?;
        found.row.datconnlimit = INVALID_DATABASE;
        if context.view.overwrite_row(found.tid, found.row)? {
            break row_of(context, database)?;
        }
    };
    cluster.wal.flush(cluster.wal.insert_lsn())?;
    found.delete(&context.view)?;
    cluster.buffers.drop_database(database)?;
    // Replay must not begin with records of files that are gone.
    (context.checkpoint)()?;
    cluster.drop_database_files(context.transaction().current_xid()?, database, &[tablespace])?;
    let catalog = std::sync::Arc::clone(&context.view.session.catalog);
    context.transaction().on_commit(move || catalog.forget_database(database));
    context.transaction().force_synchronous_commit();
    Ok(())
}

fn terminate_others(context: &CommandContext<'_>, database: Oid) -> Result<()> {
    let others = other_sessions(context, database);
    let superuser = context.view.is_superuser(context.role())?;
    let roles = context.view.roles_of(context.role())?;
    for backend in &others {
        let Some(role) = backend.role() else { continue };
        let refused = |detail: &str| {
            Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to terminate process").detail(detail))
        };
        if context.view.is_superuser(role)? && !superuser {
            return refused(
                "Only roles with the SUPERUSER attribute may terminate processes of roles with the SUPERUSER attribute.",
            );
        }
        if !superuser && !roles.contains(&role) && !roles.contains(&SIGNAL_BACKEND) {
            return refused(
                "Only roles with privileges of the role whose process is being terminated or with privileges of the \"pg_signal_backend\" role may terminate this process.",
            );
        }
    }
    others.iter().for_each(|backend| backend.interrupt(Interrupt::Terminate));
    Ok(())
}
