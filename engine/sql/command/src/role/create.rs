//! CREATE ROLE, USER and GROUP.
//!
//! Realises: `CreateRole`.

use kokkiri_catalog::bootstrap::BOOTSTRAP_SUPERUSER;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgAuthid;
use kokkiri_parse::tree::{CreateRoleStmt, RoleStmtType};
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Oid, Result};

use super::membership::{self, GrantOptions};
use super::options::{RoleOptions, stored_password};
use super::{check_not_reserved, denied, duplicate, may_create_roles};
use crate::context::{CommandContext, CommandOutcome};

pub fn execute(context: &mut CommandContext<'_>, statement: &CreateRoleStmt) -> Result<CommandOutcome> {
    let options = RoleOptions::read(context, &statement.options)?;
    check_permitted(context, &options)?;
    let name = statement.name.as_str();
    check_not_reserved(name)?;
    if context.view.role_by_name(name)?.is_some() {
        return Err(duplicate(name));
    }
    let password = match &options.password {
        Some(Some(password)) => stored_password(context, name, password)?,
        _ => None,
    };
    let oid = context.view.new_oid(Lookup::RoleByOid)?;
    context.view.insert_row(PgAuthid {
        oid,
        rolname: name.into(),
        rolsuper: options.superuser.unwrap_or(false),
        rolinherit: options.inherit.unwrap_or(true),
        rolcreaterole: options.create_role.unwrap_or(false),
        rolcreatedb: options.create_database.unwrap_or(false),
        rolcanlogin: options.can_login.unwrap_or(statement.kind == RoleStmtType::User),
        rolreplication: options.replication.unwrap_or(false),
        rolbypassrls: options.bypass_row_security.unwrap_or(false),
        rolconnlimit: options.connection_limit.unwrap_or(-1),
        rolpassword: password,
        rolvaliduntil: options.valid_until,
    })?;
    context.advance()?;
    let plain = GrantOptions::default();
    for spec in options.add_to.iter().flatten() {
        let group = context.role_meant(spec)?;
        membership::check_may_grant(context, group, true)?;
        membership::add(context, group, &[oid], None, plain)?;
    }
    grant_to_creator(context, oid)?;
    for (specs, admin) in [(&options.administrators, Some(true)), (&options.members, None)] {
        if let Some(specs) = specs {
            let members = specs.iter().map(|spec| context.role_meant(spec)).collect::<Result<Vec<_>>>()?;
            membership::add(context, oid, &members, None, GrantOptions { admin, ..plain })?;
        }
    }
    Ok(CommandOutcome::done("CREATE ROLE"))
}

fn check_permitted(context: &CommandContext<'_>, options: &RoleOptions) -> Result<()> {
    let Some(role) = context.view.role(context.role())?.filter(|role| !role.superuser) else {
        return Ok(());
    };
    const WHAT: &str = "create role";
    if !may_create_roles(context)? {
        return Err(denied(WHAT, "Only roles with the CREATEROLE attribute may create roles."));
    }
    let attributes = [
        (options.superuser, false, "SUPERUSER"),
        (options.create_database, role.create_database, "CREATEDB"),
        (options.replication, role.replication, "REPLICATION"),
        (options.bypass_row_security, role.bypass_row_security, "BYPASSRLS"),
    ];
    for (wanted, has, attribute) in attributes {
        if wanted == Some(true) && !has {
            return Err(denied(
                WHAT,
                format!(
                    "Only roles with the {attribute} attribute may create roles with the {attribute} attribute."
                ),
            ));
        }
    }
    Ok(())
}

/// Who has made a role without being a superuser may manage it, and with createrole_self_grant more.
fn grant_to_creator(context: &mut CommandContext<'_>, role: Oid) -> Result<()> {
    let creator = context.role();
    if context.view.is_superuser(creator)? {
        return Ok(());
    }
    let managing = GrantOptions { admin: Some(true), inherit: Some(false), set: Some(false) };
    membership::add(context, role, &[creator], Some(BOOTSTRAP_SUPERUSER), managing)?;
    let wanted = context.view.settings.get(parameters::CREATEROLE_SELF_GRANT);
    let words: Vec<String> = wanted.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    if has("set") || has("inherit") {
        let own = GrantOptions { admin: Some(false), inherit: Some(has("inherit")), set: Some(has("set")) };
        membership::add(context, role, &[creator], Some(creator), own)?;
    }
    Ok(())
}
