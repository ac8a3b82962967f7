//! DROP ROLE.
//!
//! Realises: `DropRole`, `checkSharedDependencies` (pg_shdepend.c).

use std::collections::BTreeMap;

use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::rows::{PgAuthMembers, PgDbRoleSetting, PgShdepend};
use kokkiri_parse::tree::{DropRoleStmt, RoleName};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;

use super::{denied, may_create_roles, membership, row_of};
use crate::comment;
use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;

const WHAT: &str = "drop role";
const MEMBERS_BY_ROLE: Oid = Oid(2694);
const MEMBERS_BY_MEMBER: Oid = Oid(2695);
const SHDEPEND_BY_REFERENCE: Oid = Oid(1233);
/// At most so many dependent objects are named to the client.
const REPORTED_MAX: usize = 100;

pub fn execute(context: &mut CommandContext<'_>, statement: &DropRoleStmt) -> Result<CommandOutcome> {
    if !may_create_roles(context)? {
        return Err(denied(
            WHAT,
            "Only roles with the CREATEROLE attribute and the ADMIN option on the target roles may drop roles.",
        ));
    }
    let mut roles: Vec<Oid> = Vec::new();
    for spec in &statement.roles {
        let RoleName::Named(name) = &spec.role else {
            return Err(error!(INVALID_PARAMETER_VALUE, "cannot use special role specifier in DROP ROLE"));
        };
        let Some(entry) = context.view.role_by_name(name)? else {
            let message = format!("role \"{name}\" does not exist");
            if !statement.missing_ok {
                return Err(Error::new(kokkiri_primitives::SqlState::UNDEFINED_OBJECT, message));
            }
            context.notice(Error::notice(format!("{message}, skipping")));
            continue;
        };
        check_permitted(context, entry.oid, name)?;
        let address = ObjectAddress::new(class::ROLE, entry.oid);
        dependency::lock_object(&context.view, address, LockMode::AccessExclusive)?;
        for (index, column) in [(MEMBERS_BY_ROLE, 2), (MEMBERS_BY_MEMBER, 3)] {
            for found in context.view.scan_rows::<PgAuthMembers>(index, &[column], &[key(entry.oid)])? {
                membership::delete(context, found)?;
            }
            context.advance()?;
        }
        if !roles.contains(&entry.oid) {
            roles.push(entry.oid);
        }
    }
    for role in roles {
        let found = row_of(context, role)?;
        check_not_needed(context, role, &found.row.rolname)?;
        found.delete(&context.view)?;
        comment::forget_shared(context, class::ROLE, role)?;
        // No index leads from a role to its settings.
        for (tid, values) in context.view.scan_all(Oid(2964))? {
            use kokkiri_catalog::row::CatalogRow;
            if PgDbRoleSetting::from_values(&values)?.setrole == role {
                context.view.delete_row(PgDbRoleSetting::CATALOG, tid, &values)?;
            }
        }
        context.advance()?;
    }
    Ok(CommandOutcome::done("DROP ROLE"))
}

fn check_permitted(context: &CommandContext<'_>, role: Oid, name: &str) -> Result<()> {
    if role == context.role() {
        return Err(error!(OBJECT_IN_USE, "current user cannot be dropped"));
    }
    if role == context.session_role {
        return Err(error!(OBJECT_IN_USE, "session user cannot be dropped"));
    }
    if context.view.is_superuser(role)? && !context.view.is_superuser(context.role())? {
        return Err(denied(
            WHAT,
            "Only roles with the SUPERUSER attribute may drop roles with the SUPERUSER attribute.",
        ));
    }
    if !context.view.is_admin_of(context.role(), role)? {
        return Err(denied(
            WHAT,
            format!(
                "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{name}\" may drop this role."
            ),
        ));
    }
    Ok(())
}

/// # Errors
/// 2BP01 naming what the role owns or is granted here, and how much elsewhere.
fn check_not_needed(context: &CommandContext<'_>, role: Oid, name: &str) -> Result<()> {
    let address = ObjectAddress::new(class::ROLE, role);
    if address.is_pinned() {
        return Err(error!(
            DEPENDENT_OBJECTS_STILL_EXIST,
            "cannot drop role {name} because it is required by the database system"
        ));
    }
    let mut rows = dependents(context, role)?;
    if rows.is_empty() {
        return Ok(());
    }
    let own = context.view.database_oid();
    rows.sort_by_key(|row| (row.objid, row.classid, row.objsubid, row.deptype));
    let (mut lines, mut elsewhere) = (Vec::new(), BTreeMap::new());
    for row in rows {
        if row.dbid != own && row.dbid.is_valid() {
            *elsewhere.entry(row.dbid).or_insert(0) += 1;
            continue;
        }
        let object =
            context.describe(ObjectAddress { class: row.classid, object: row.objid, sub: row.objsubid })?;
        lines.push(match row.deptype {
            b'o' => format!("owner of {object}"),
            b'a' => format!("privileges for {object}"),
            b'r' => format!("target of {object}"),
            _ => object,
        });
    }
    let hidden = lines.len().saturating_sub(REPORTED_MAX);
    lines.truncate(REPORTED_MAX);
    for (database, count) in elsewhere {
        let objects = if count == 1 { "object" } else { "objects" };
        let name =
            context.view.database(database)?.map_or_else(|| database.to_string(), |e| e.name.to_string());
        lines.push(format!("{count} {objects} in database {name}"));
    }
    if hidden > 0 {
        let objects = if hidden == 1 { "object" } else { "objects" };
        lines.push(format!("and {hidden} other {objects} (see server log for list)"));
    }
    Err(error!(
        DEPENDENT_OBJECTS_STILL_EXIST,
        "role \"{name}\" cannot be dropped because some objects depend on it"
    )
    .detail(lines.join("\n")))
}

/// The rows of pg_shdepend that name the role.
pub fn dependents(context: &CommandContext<'_>, role: Oid) -> Result<Vec<PgShdepend>> {
    let keys = [key(class::ROLE), key(role)];
    let found = context.view.scan_rows::<PgShdepend>(SHDEPEND_BY_REFERENCE, &[5, 6], &keys)?;
    Ok(found.into_iter().map(|found| found.row).collect())
}
