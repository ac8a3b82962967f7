//! ALTER ROLE and ALTER GROUP.
//!
//! Realises: `AlterRole`, `AlterRoleSet`, `RenameRole`.

use kokkiri_catalog::bootstrap::BOOTSTRAP_SUPERUSER;
use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_parse::tree::{AlterRoleSetStmt, AlterRoleStmt, DropBehavior};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;

use super::membership::{self, GrantOptions};
use super::options::{RoleOptions, is_md5, stored_password};
use super::{
    check_may_be_altered, check_not_reserved, denied, duplicate, may_create_roles, may_manage, row_of,
};
use crate::context::{CommandContext, CommandOutcome};
use crate::stored_setting;

const TAG: &str = "ALTER ROLE";
const WHAT: &str = "alter role";

pub fn execute(context: &mut CommandContext<'_>, statement: &AlterRoleStmt) -> Result<CommandOutcome> {
    let options = RoleOptions::read(context, &statement.options)?;
    let role = context.role_meant(&statement.role)?;
    let mut found = row_of(context, role)?;
    let name = found.row.rolname.to_string();
    check_may_be_altered(&name)?;
    check_permitted(context, role, &options)?;
    if options.superuser == Some(false) && role == BOOTSTRAP_SUPERUSER {
        return Err(denied(WHAT, "The bootstrap superuser must have the SUPERUSER attribute."));
    }
    let row = &mut found.row;
    row.rolsuper = options.superuser.unwrap_or(row.rolsuper);
    row.rolinherit = options.inherit.unwrap_or(row.rolinherit);
    row.rolcreaterole = options.create_role.unwrap_or(row.rolcreaterole);
    row.rolcreatedb = options.create_database.unwrap_or(row.rolcreatedb);
    row.rolcanlogin = options.can_login.unwrap_or(row.rolcanlogin);
    row.rolreplication = options.replication.unwrap_or(row.rolreplication);
    row.rolbypassrls = options.bypass_row_security.unwrap_or(row.rolbypassrls);
    row.rolconnlimit = options.connection_limit.unwrap_or(row.rolconnlimit);
    row.rolvaliduntil = options.valid_until.or(row.rolvaliduntil);
    if let Some(password) = &options.password {
        row.rolpassword = match password {
            Some(password) => stored_password(context, &name, password)?,
            None => None,
        };
    }
    found.update(&context.view)?;
    if let Some(specs) = &options.members {
        context.advance()?;
        let members = specs.iter().map(|spec| context.role_meant(spec)).collect::<Result<Vec<_>>>()?;
        let plain = GrantOptions::default();
        if statement.add_members == Some(false) {
            membership::remove(context, role, &members, None, plain, DropBehavior::Restrict)?;
        } else {
            membership::add(context, role, &members, None, plain)?;
        }
    }
    Ok(CommandOutcome::done(TAG))
}

fn check_permitted(context: &CommandContext<'_>, role: Oid, options: &RoleOptions) -> Result<()> {
    let own = context.role();
    let Some(me) = context.view.role(own)?.filter(|me| !me.superuser) else { return Ok(()) };
    let only = |attribute: &str| {
        denied(
            WHAT,
            format!("Only roles with the {attribute} attribute may change the {attribute} attribute."),
        )
    };
    if context.view.is_superuser(role)? {
        return Err(superusers_only("alter"));
    }
    if options.superuser.is_some() {
        return Err(only("SUPERUSER"));
    }
    let name = context.role_name(role)?;
    if may_manage(context, role)? {
        let attributes = [
            (options.create_database, me.create_database, "CREATEDB"),
            (options.replication, me.replication, "REPLICATION"),
            (options.bypass_row_security, me.bypass_row_security, "BYPASSRLS"),
        ];
        if let Some((.., attribute)) = attributes.iter().find(|(wanted, has, _)| wanted.is_some() && !has) {
            return Err(only(attribute));
        }
    } else {
        let attributes = [
            options.inherit,
            options.create_role,
            options.create_database,
            options.can_login,
            options.replication,
            options.bypass_row_security,
        ];
        if attributes.iter().any(Option::is_some)
            || options.connection_limit.is_some()
            || options.valid_until.is_some()
        {
            return Err(managers_only(WHAT, &name, "alter"));
        }
        if options.password.is_some() && role != own {
            return Err(denied(
                WHAT,
                "To change another role's password, the current user must have the CREATEROLE attribute and the ADMIN option on the role.",
            ));
        }
    }
    if options.members.is_some() && !context.view.is_admin_of(own, role)? {
        return Err(denied(
            WHAT,
            format!("Only roles with the ADMIN option on role \"{name}\" may add or drop members."),
        ));
    }
    Ok(())
}

fn superusers_only(verb: &str) -> Error {
    denied(
        &format!("{verb} role"),
        format!("Only roles with the SUPERUSER attribute may {verb} roles with the SUPERUSER attribute."),
    )
}

fn managers_only(what: &str, role: &str, verb: &str) -> Error {
    denied(
        what,
        format!(
            "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{role}\" may {verb} this role."
        ),
    )
}

/// SET and RESET of parameters.
pub fn set(context: &mut CommandContext<'_>, statement: &AlterRoleSetStmt) -> Result<CommandOutcome> {
    let mut role = Oid::INVALID;
    if let Some(spec) = &statement.role {
        role = context.role_meant(spec)?;
        let name = context.role_name(role)?;
        check_may_be_altered(&name)?;
        let address = ObjectAddress::new(class::ROLE, role);
        dependency::lock_object(&context.view, address, LockMode::AccessShare)?;
        let superuser = context.view.is_superuser(context.role())?;
        if context.view.is_superuser(role)? {
            if !superuser {
                return Err(superusers_only("alter"));
            }
        } else if role != context.role() && !may_manage(context, role)? {
            return Err(managers_only(WHAT, &name, "alter"));
        }
    }
    let mut database = Oid::INVALID;
    if let Some(name) = &statement.database {
        let undefined = || error!(INVALID_CATALOG_NAME, "database \"{name}\" does not exist");
        let found = context.view.database_by_name(name)?.ok_or_else(undefined)?;
        database = found.oid;
        let address = ObjectAddress::new(class::DATABASE, database);
        dependency::lock_object(&context.view, address, LockMode::AccessShare)?;
        if statement.role.is_none() && !context.view.owns(context.role(), found.owner)? {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of database {name}"));
        }
    }
    if statement.role.is_none()
        && statement.database.is_none()
        && !context.view.is_superuser(context.role())?
    {
        return Err(denied(
            "alter setting",
            "Only roles with the SUPERUSER attribute may alter settings globally.",
        ));
    }
    stored_setting::alter(context, database, role, &statement.set)?;
    Ok(CommandOutcome::done(TAG))
}

pub fn rename(context: &mut CommandContext<'_>, name: &str, new: &str) -> Result<CommandOutcome> {
    let role = context.role_called(name)?;
    if role == context.session_role {
        return Err(error!(FEATURE_NOT_SUPPORTED, "session user cannot be renamed"));
    }
    if role == context.role() {
        return Err(error!(FEATURE_NOT_SUPPORTED, "current user cannot be renamed"));
    }
    check_not_reserved(name)?;
    check_not_reserved(new)?;
    if context.view.role_by_name(new)?.is_some() {
        return Err(duplicate(new));
    }
    if context.view.is_superuser(role)? {
        if !context.view.is_superuser(context.role())? {
            return Err(superusers_only("rename"));
        }
    } else if !may_create_roles(context)? || !may_manage(context, role)? {
        return Err(managers_only("rename role", name, "rename"));
    }
    let mut found = row_of(context, role)?;
    found.row.rolname = new.into();
    // The name is part of what was hashed.
    if found.row.rolpassword.as_deref().is_some_and(is_md5) {
        found.row.rolpassword = None;
        context.notice(Error::notice("MD5 password cleared because of role rename"));
    }
    found.update(&context.view)?;
    Ok(CommandOutcome::done(TAG))
}
