//! CREATE, ALTER and DROP DATABASE.
//!
//! Realises: dbcommands.c. A database is a row of pg_database and a directory with catalogs of its own,
//! copied from a template's.
//!
//! Invariant: whoever changes, drops or copies a database holds a lock on it as an object, and whoever
//! connects takes one as well. So who has looked for other sessions under a lock that conflicts with a
//! connection's knows that none can come.

pub mod alter;
mod copy;
pub mod create;
pub mod drop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::entries::DatabaseEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgDatabase;
use kokkiri_catalog::write::RowToChange;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::DefElem;
use kokkiri_primitives::activity::{Backend, WaitEvent, wait_until};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::LockMode;

use crate::context::CommandContext;
use crate::describe::key;

/// pg_database.datconnlimit of a database that an interrupted DROP left behind.
const INVALID_DATABASE: i32 = -2;
/// How long other sessions are waited for before they count.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

static BACKEND_EXIT: WaitEvent = WaitEvent::new("IPC", "BackendTermination");

fn undefined(name: &str) -> Error {
    error!(INVALID_CATALOG_NAME, "database \"{name}\" does not exist")
}

fn duplicate(name: &str) -> Error {
    error!(DUPLICATE_DATABASE, "database \"{name}\" already exists")
}

/// The database of that name, locked; again if the name came to mean another while waiting:
/// `get_db_info`.
fn lock(context: &CommandContext<'_>, name: &str, mode: LockMode) -> Result<Option<Arc<DatabaseEntry>>> {
    loop {
        let Some(found) = context.view.database_by_name(name)? else { return Ok(None) };
        let address = ObjectAddress::new(class::DATABASE, found.oid);
        dependency::lock_object(&context.view, address, mode)?;
        match context.view.database_by_name(name)? {
            Some(again) if again.oid == found.oid => return Ok(Some(again)),
            _ => dependency::unlock_object(&context.view, address, mode),
        }
    }
}

/// The row of a database that is there.
fn row_of(context: &CommandContext<'_>, database: Oid) -> Result<RowToChange<PgDatabase>> {
    let found = context.view.rows_to_change::<PgDatabase>(Lookup::DatabaseByOid, &[key(database)])?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| Error::internal(format!("cache lookup failed for database {database}")))
}

fn check_owner(context: &CommandContext<'_>, database: &DatabaseEntry) -> Result<()> {
    if context.view.owns(context.role(), database.owner)? {
        return Ok(());
    }
    Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of database {}", database.name))
}

/// `have_createdb_privilege`.
fn may_create_databases(context: &CommandContext<'_>) -> Result<bool> {
    Ok(context.view.role(context.role())?.is_some_and(|role| role.superuser || role.create_database))
}

/// The other sessions that are connected to a database.
fn other_sessions(context: &CommandContext<'_>, database: Oid) -> Vec<Arc<Backend>> {
    let own = context.transaction().proc();
    let mut backends = context.cluster().processes.all();
    backends.retain(|backend| backend.database() == Some(database) && backend.number != own);
    backends
}

/// # Errors
/// 55006 with `message` if others are still connected after some seconds: `CountOtherDBBackends`.
fn check_unused(context: &CommandContext<'_>, database: Oid, message: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let others = other_sessions(context, database).len();
        if others == 0 {
            return Ok(());
        }
        if Instant::now() >= end {
            let detail = match others {
                1 => "There is 1 other session using the database.".to_owned(),
                others => format!("There are {others} other sessions using the database."),
            };
            return Err(error!(OBJECT_IN_USE, "{message}").detail(detail));
        }
        // Nobody tells when a session has gone.
        wait_until(&BACKEND_EXIT, Some(Instant::now() + LOOK_AGAIN), || Ok(None::<()>))?;
    }
}

/// An option that may be given once.
///
/// # Errors
/// 42601 "conflicting or redundant options".
fn once<'o>(place: &mut Option<&'o DefElem>, option: &'o DefElem) -> Result<()> {
    if place.replace(option).is_some() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options")
            .at_location(option.location));
    }
    Ok(())
}

fn unrecognized(option: &DefElem) -> Error {
    error!(SYNTAX_ERROR, "option \"{}\" not recognized", option.name).at_location(option.location)
}
