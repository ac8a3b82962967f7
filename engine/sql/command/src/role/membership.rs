//! GRANT and REVOKE of roles.
//!
//! Realises: `GrantRole`, `AddRoleMems`, `DelRoleMems` and the planning of revocations. Who has ADMIN on
//! a role may pass it on, and what it has passed on hangs on its own grant: that goes only with CASCADE.

use kokkiri_catalog::bootstrap::BOOTSTRAP_SUPERUSER;
use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::rows::PgAuthMembers;
use kokkiri_catalog::write::RowToChange;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DropBehavior, GrantRoleStmt};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;

use super::{denied, warning};
use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;

/// pg_database_owner, whose only member follows from pg_database.
const DATABASE_OWNER: Oid = Oid(6171);
const MEMBER_OID_INDEX: Oid = Oid(6303);
const BY_ROLE: Oid = Oid(2694);

/// WITH ADMIN, INHERIT and SET; `None` where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantOptions {
    pub admin: Option<bool>,
    pub inherit: Option<bool>,
    pub set: Option<bool>,
}

impl GrantOptions {
    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What is to become of a row of pg_auth_members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    AdminRevoked,
    InheritRevoked,
    SetRevoked,
    Deleted,
}

pub fn execute(context: &mut CommandContext<'_>, statement: &GrantRoleStmt) -> Result<CommandOutcome> {
    let mut options = GrantOptions::default();
    for option in &statement.options {
        let value = match &option.arg {
            Some(DefArg::Boolean(value)) => *value,
            _ => crate::options::boolean(option)?,
        };
        match option.name.as_str() {
            "admin" => options.admin = Some(value),
            "inherit" => options.inherit = Some(value),
            "set" => options.set = Some(value),
            other => {
                return Err(
                    error!(SYNTAX_ERROR, "unrecognized role option \"{other}\"").at_location(option.location)
                );
            }
        }
    }
    let grantor = statement.grantor.as_ref().map(|spec| context.role_meant(spec)).transpose()?;
    let members =
        statement.grantees.iter().map(|spec| context.role_meant(spec)).collect::<Result<Vec<_>>>()?;
    for granted in &statement.granted {
        let Some(name) = granted.name.as_ref().filter(|_| granted.columns.is_empty()) else {
            return Err(error!(
                INVALID_GRANT_OPERATION,
                "column names cannot be included in GRANT/REVOKE ROLE"
            ));
        };
        let role = context.role_called(name)?;
        check_may_grant(context, role, statement.is_grant)?;
        if statement.is_grant {
            add(context, role, &members, grantor, options)?;
        } else {
            remove(context, role, &members, grantor, options, statement.behavior)?;
        }
    }
    Ok(CommandOutcome::done(if statement.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" }))
}

/// `check_role_membership_authorization`.
pub fn check_may_grant(context: &CommandContext<'_>, role: Oid, is_grant: bool) -> Result<()> {
    let name = context.role_name(role)?;
    if role == DATABASE_OWNER {
        return Err(error!(INTERNAL_ERROR, "role \"{name}\" cannot have explicit members"));
    }
    let verb = if is_grant { "grant" } else { "revoke" };
    let what = format!("{verb} role \"{name}\"");
    if context.view.is_superuser(role)? {
        if !context.view.is_superuser(context.role())? {
            return Err(denied(
                &what,
                format!(
                    "Only roles with the SUPERUSER attribute may {verb} roles with the SUPERUSER attribute."
                ),
            ));
        }
    } else if !context.view.is_admin_of(context.role(), role)? {
        return Err(denied(
            &what,
            format!("Only roles with the ADMIN option on role \"{name}\" may {verb} this role."),
        ));
    }
    Ok(())
}

/// Who the grant is recorded as made by: `check_role_grantor`.
fn choose_grantor(
    context: &CommandContext<'_>,
    role: Oid,
    grantor: Option<Oid>,
    is_grant: bool,
) -> Result<Oid> {
    let own = context.role();
    let Some(grantor) = grantor else {
        if context.view.is_superuser(own)? {
            return Ok(BOOTSTRAP_SUPERUSER);
        }
        return context.view.best_admin(own, role)?.ok_or_else(|| Error::internal("no possible grantors"));
    };
    let name = context.role_name(grantor)?;
    let has_privileges = context.view.owns(own, grantor)?;
    if is_grant {
        let what = format!("grant privileges as role \"{name}\"");
        if !has_privileges {
            let detail =
                format!("Only roles with privileges of role \"{name}\" may grant privileges as this role.");
            return Err(denied(&what, detail));
        }
        if grantor != BOOTSTRAP_SUPERUSER && context.view.best_admin(grantor, role)? != Some(grantor) {
            let detail =
                format!("The grantor must have the ADMIN option on role \"{}\".", context.role_name(role)?);
            return Err(denied(&what, detail));
        }
    } else if !has_privileges {
        return Err(denied(
            &format!("revoke privileges granted by role \"{name}\""),
            format!(
                "Only roles with privileges of role \"{name}\" may revoke privileges granted by this role."
            ),
        ));
    }
    Ok(grantor)
}

/// Locks the role and finds its memberships.
fn memberships(context: &CommandContext<'_>, role: Oid) -> Result<Vec<RowToChange<PgAuthMembers>>> {
    let address = ObjectAddress::new(class::ROLE, role);
    dependency::lock_object(&context.view, address, LockMode::ShareUpdateExclusive)?;
    context.view.scan_rows(BY_ROLE, &[2], &[key(role)])
}

/// Makes roles members of a role: `AddRoleMems`.
pub fn add(
    context: &mut CommandContext<'_>,
    role: Oid,
    members: &[Oid],
    grantor: Option<Oid>,
    options: GrantOptions,
) -> Result<()> {
    let role_name = context.role_name(role)?;
    let grantor = choose_grantor(context, role, grantor, true)?;
    let existing = memberships(context, role)?;
    for member in members {
        let member_name = context.role_name(*member)?;
        if *member == DATABASE_OWNER {
            return Err(error!(INTERNAL_ERROR, "role \"{member_name}\" cannot be a member of any role"));
        }
        if context.view.is_member_of(role)?.contains(member) {
            return Err(error!(
                INVALID_GRANT_OPERATION,
                "role \"{role_name}\" is a member of role \"{member_name}\""
            ));
        }
    }
    if options.admin == Some(true) && grantor != BOOTSTRAP_SUPERUSER {
        check_no_admin_circle(&existing, members, grantor)?;
    }
    for member in members {
        let found = context
            .view
            .scan_rows::<PgAuthMembers>(BY_ROLE, &[2, 3, 4], &[key(role), key(*member), key(grantor)])?
            .pop();
        match found {
            Some(mut found) => {
                let row = &mut found.row;
                let wanted = (
                    options.admin.unwrap_or(row.admin_option),
                    options.inherit.unwrap_or(row.inherit_option),
                    options.set.unwrap_or(row.set_option),
                );
                if wanted == (row.admin_option, row.inherit_option, row.set_option) {
                    context.notice(Error::notice(format!(
                        "role \"{}\" has already been granted membership in role \"{role_name}\" by role \"{}\"",
                        context.role_name(*member)?,
                        context.role_name(grantor)?
                    )));
                    continue;
                }
                (row.admin_option, row.inherit_option, row.set_option) = wanted;
                found.update(&context.view)?;
            }
            None => insert(context, role, *member, grantor, options)?,
        }
        context.advance()?;
    }
    Ok(())
}

fn insert(
    context: &CommandContext<'_>,
    role: Oid,
    member: Oid,
    grantor: Oid,
    options: GrantOptions,
) -> Result<()> {
    let oid = loop {
        let oid = context.cluster().transactions.new_oid();
        if context.row_by_oid::<PgAuthMembers>(MEMBER_OID_INDEX, oid)?.is_none() {
            break oid;
        }
    };
    let inherits = context.view.role(member)?.is_some_and(|entry| entry.inherit);
    context.view.insert_row(PgAuthMembers {
        oid,
        roleid: role,
        member,
        grantor,
        admin_option: options.admin.unwrap_or(false),
        inherit_option: options.inherit.unwrap_or(inherits),
        set_option: options.set.unwrap_or(true),
    })?;
    let myself = ObjectAddress::new(class::MEMBERSHIP, oid);
    let mut needed = vec![grantor, role, member];
    needed.sort_unstable();
    needed.dedup();
    needed.into_iter().try_for_each(|role| dependency::record_role(&context.view, myself, role, b'a'))
}

/// Whoever passes ADMIN on must not come to owe it to whom it is passed.
fn check_no_admin_circle(
    existing: &[RowToChange<PgAuthMembers>],
    members: &[Oid],
    grantor: Oid,
) -> Result<()> {
    for member in members {
        let mut fates = vec![Fate::Kept; existing.len()];
        for at in 0..existing.len() {
            if existing[at].row.member == *member {
                plan(existing, &mut fates, at, GrantOptions::default(), DropBehavior::Cascade)?;
            }
        }
        let still_admin = existing.iter().zip(&fates).any(|(found, fate)| {
            *fate == Fate::Kept && found.row.member == grantor && found.row.admin_option
        });
        if *member == BOOTSTRAP_SUPERUSER || !still_admin {
            return Err(error!(
                INVALID_GRANT_OPERATION,
                "ADMIN option cannot be granted back to your own grantor"
            ));
        }
    }
    Ok(())
}

/// Takes memberships, or options of them, back: `DelRoleMems`.
pub fn remove(
    context: &mut CommandContext<'_>,
    role: Oid,
    members: &[Oid],
    grantor: Option<Oid>,
    options: GrantOptions,
    behavior: DropBehavior,
) -> Result<()> {
    let role_name = context.role_name(role)?;
    let grantor = choose_grantor(context, role, grantor, false)?;
    let existing = memberships(context, role)?;
    let mut fates = vec![Fate::Kept; existing.len()];
    for member in members {
        let place =
            existing.iter().position(|found| found.row.member == *member && found.row.grantor == grantor);
        match place {
            Some(at) => plan(&existing, &mut fates, at, options, behavior)?,
            None => {
                let message = format!(
                    "role \"{}\" has not been granted membership in role \"{role_name}\" by role \"{}\"",
                    context.role_name(*member)?,
                    context.role_name(grantor)?
                );
                context.notice(warning(message));
            }
        }
    }
    for (mut found, fate) in existing.into_iter().zip(fates) {
        match fate {
            Fate::Kept => continue,
            Fate::Deleted => {
                delete(context, found)?;
                continue;
            }
            Fate::AdminRevoked => found.row.admin_option = false,
            Fate::InheritRevoked => found.row.inherit_option = false,
            Fate::SetRevoked => found.row.set_option = false,
        }
        found.update(&context.view)?;
    }
    context.advance()
}

/// Removes a row of pg_auth_members with what is recorded of it.
pub fn delete(context: &CommandContext<'_>, found: RowToChange<PgAuthMembers>) -> Result<()> {
    let myself = ObjectAddress::new(class::MEMBERSHIP, found.row.oid);
    dependency::forget_roles(&context.view, myself, b'a')?;
    found.delete(&context.view)
}

/// Plans the revocation of one grant, and of what hangs on its ADMIN option: `plan_single_revoke`,
/// `plan_recursive_revoke`.
fn plan(
    existing: &[RowToChange<PgAuthMembers>],
    fates: &mut [Fate],
    at: usize,
    options: GrantOptions,
    behavior: DropBehavior,
) -> Result<()> {
    if !options.is_empty() && options.admin.is_none() {
        // These options are nobody else's foundation. REVOKE takes one option at a time.
        if fates[at] == Fate::Kept {
            fates[at] = if options.inherit.is_some() { Fate::InheritRevoked } else { Fate::SetRevoked };
        }
        return Ok(());
    }
    let fate = if options.admin.is_some() { Fate::AdminRevoked } else { Fate::Deleted };
    revoke_with_dependents(existing, fates, at, fate, behavior)
}

fn revoke_with_dependents(
    existing: &[RowToChange<PgAuthMembers>],
    fates: &mut [Fate],
    at: usize,
    fate: Fate,
    behavior: DropBehavior,
) -> Result<()> {
    if fates[at] == Fate::Deleted || fates[at] == fate {
        return Ok(());
    }
    let had_admin = existing[at].row.admin_option && fates[at] != Fate::AdminRevoked;
    fates[at] = fate;
    if !had_admin {
        return Ok(());
    }
    // Another grant may still give the member ADMIN.
    let member = existing[at].row.member;
    let is_admin_still = existing.iter().zip(fates.iter()).any(|(found, fate)| {
        found.row.member == member
            && found.row.admin_option
            && !matches!(fate, Fate::Deleted | Fate::AdminRevoked)
    });
    if is_admin_still {
        return Ok(());
    }
    for other in 0..existing.len() {
        if existing[other].row.grantor != member || fates[other] == Fate::Deleted {
            continue;
        }
        if behavior == DropBehavior::Restrict {
            return Err(error!(DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                .hint("Use CASCADE to revoke them too."));
        }
        revoke_with_dependents(existing, fates, other, Fate::Deleted, behavior)?;
    }
    Ok(())
}
