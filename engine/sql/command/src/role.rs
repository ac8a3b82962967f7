//! Roles: CREATE, ALTER and DROP ROLE, memberships, and what a role owns.
//!
//! Realises: user.c. Roles are shared by all databases. What a role owns or is granted stands in
//! pg_shdepend, so that a role that is still needed somewhere can't go.
//!
//! Invariant: who changes the memberships of a role holds a lock on the role that conflicts with others
//! who do, and with its DROP.

pub mod alter;
pub mod create;
pub mod drop;
pub mod membership;
mod options;

use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgAuthid;
use kokkiri_catalog::write::RowToChange;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};

use crate::context::CommandContext;
use crate::describe::key;

/// How passwords become what is stored of them. The protocol's, which this layer does not know.
pub trait PasswordVerifiers: Send + Sync {
    /// The SCRAM verifier of a password, with a new salt.
    ///
    /// # Errors
    /// If there are no random bytes.
    fn make(&self, password: &str, iterations: u32) -> Result<String>;

    /// Whether the text is a SCRAM verifier; if so, whether it is that of `password`.
    fn matches(&self, verifier: &str, password: &str) -> Option<bool>;
}

/// For commands that set no passwords.
pub struct NoPasswords;

impl PasswordVerifiers for NoPasswords {
    fn make(&self, _password: &str, _iterations: u32) -> Result<String> {
        Err(Error::internal("no passwords are set here"))
    }

    fn matches(&self, _verifier: &str, _password: &str) -> Option<bool> {
        None
    }
}

/// The row of a role that is there.
fn row_of(context: &CommandContext<'_>, role: Oid) -> Result<RowToChange<PgAuthid>> {
    let found = context.view.rows_to_change::<PgAuthid>(Lookup::RoleByOid, &[key(role)])?;
    found.into_iter().next().ok_or_else(|| Error::internal(format!("cache lookup failed for role {role}")))
}

/// # Errors
/// 42939 for a name that only roles made by init have.
fn check_not_reserved(name: &str) -> Result<()> {
    if name.starts_with("pg_") {
        return Err(reserved(name).detail("Role names starting with \"pg_\" are reserved."));
    }
    Ok(())
}

/// # Errors
/// 42939 for a role made by init: `check_rolespec_name`.
fn check_may_be_altered(name: &str) -> Result<()> {
    if name.starts_with("pg_") {
        return Err(reserved(name).detail("Cannot alter reserved roles."));
    }
    Ok(())
}

fn reserved(name: &str) -> Error {
    error!(RESERVED_NAME, "role name \"{name}\" is reserved")
}

fn duplicate(name: &str) -> Error {
    error!(DUPLICATE_OBJECT, "role \"{name}\" already exists")
}

/// "permission denied to create role" and its kin.
fn denied(what: &str, detail: impl Into<String>) -> Error {
    error!(INSUFFICIENT_PRIVILEGE, "permission denied to {what}").detail(detail)
}

/// `have_createrole_privilege`.
fn may_create_roles(context: &CommandContext<'_>) -> Result<bool> {
    Ok(context.view.role(context.role())?.is_some_and(|role| role.superuser || role.create_role))
}

/// CREATEROLE and ADMIN on the role: what most changes to it take.
fn may_manage(context: &CommandContext<'_>, role: Oid) -> Result<bool> {
    Ok(may_create_roles(context)? && context.view.is_admin_of(context.role(), role)?)
}

/// `ERRCODE_WARNING`: a warning without a code of its own.
fn warning(message: String) -> Error {
    Error::warning(SqlState::WARNING, message)
}
