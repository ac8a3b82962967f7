//! ALTER DATABASE.
//!
//! Realises: `AlterDatabase`, `AlterDatabaseSet`, `AlterDatabaseRefreshColl`, `RenameDatabase`,
//! `AlterDatabaseOwner`.

use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{AlterDatabaseSetStmt, AlterDatabaseStmt, DefElem, RoleSpec};
use kokkiri_primitives::{Error, Oid, RelFileLocator, Result, error};
use kokkiri_transaction::LockMode;

use super::create::connection_limit;
use super::{
    INVALID_DATABASE, check_owner, check_unused, duplicate, lock, may_create_databases, once, row_of,
    undefined, unrecognized,
};
use crate::context::{CommandContext, CommandOutcome};
use crate::{options, stored_setting};

const TAG: &str = "ALTER DATABASE";

pub fn execute(context: &mut CommandContext<'_>, statement: &AlterDatabaseStmt) -> Result<CommandOutcome> {
    if statement.refresh_collation_version {
        return refresh_collation_version(context, &statement.name);
    }
    let (mut template, mut allow, mut limit, mut tablespace) = (None, None, None, None);
    for option in &statement.options {
        let place = match option.name.as_str() {
            "is_template" => &mut template,
            "allow_connections" => &mut allow,
            "connection_limit" => &mut limit,
            "tablespace" => &mut tablespace,
            _ => return Err(unrecognized(option)),
        };
        once(place, option)?;
    }
    if let Some(option) = tablespace {
        if statement.options.len() != 1 {
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "option \"tablespace\" cannot be specified with other options"
            )
            .at_location(option.location));
        }
        context.prevent_in_transaction_block("ALTER DATABASE SET TABLESPACE")?;
        return set_tablespace(context, &statement.name, option);
    }
    let given = |option: Option<&DefElem>| {
        option.filter(|option| option.arg.is_some()).map(options::boolean).transpose()
    };
    let (is_template, allow_connections) = (given(template)?, given(allow)?);
    let limit = match limit.filter(|option| option.arg.is_some()) {
        Some(_) => Some(connection_limit(limit)?),
        None => None,
    };
    let name = &statement.name;
    let database = context.view.database_by_name(name)?.ok_or_else(|| undefined(name))?;
    if database.connection_limit == INVALID_DATABASE {
        return Err(error!(OBJECT_NOT_IN_PREREQUISITE_STATE, "cannot alter invalid database \"{name}\"")
            .hint("Use DROP DATABASE to drop invalid databases."));
    }
    check_owner(context, &database)?;
    if allow_connections == Some(false) && database.oid == context.view.database_oid() {
        return Err(error!(INVALID_PARAMETER_VALUE, "cannot disallow connections for current database"));
    }
    let mut found = row_of(context, database.oid)?;
    found.row.datistemplate = is_template.unwrap_or(found.row.datistemplate);
    found.row.datallowconn = allow_connections.unwrap_or(found.row.datallowconn);
    found.row.datconnlimit = limit.unwrap_or(found.row.datconnlimit);
    found.update(&context.view)?;
    Ok(CommandOutcome::done(TAG))
}

/// `movedb`.
fn set_tablespace(context: &CommandContext<'_>, name: &str, option: &DefElem) -> Result<CommandOutcome> {
    let database = lock(context, name, LockMode::AccessExclusive)?.ok_or_else(|| undefined(name))?;
    check_owner(context, &database)?;
    if database.oid == context.view.database_oid() {
        return Err(error!(OBJECT_IN_USE, "cannot change the tablespace of the currently open database"));
    }
    let wanted = options::text(option)?;
    let found = context.view.tablespace_by_name(&wanted)?;
    let found = found.ok_or_else(|| error!(UNDEFINED_OBJECT, "tablespace \"{wanted}\" does not exist"))?;
    if found.oid == RelFileLocator::GLOBAL_TABLESPACE {
        return Err(error!(INVALID_PARAMETER_VALUE, "pg_global cannot be used as default tablespace"));
    }
    if found.oid != database.tablespace {
        return Err(Error::not_supported("ALTER DATABASE SET TABLESPACE"));
    }
    Ok(CommandOutcome::done(TAG))
}

/// SET and RESET of parameters.
pub fn set(context: &mut CommandContext<'_>, statement: &AlterDatabaseSetStmt) -> Result<CommandOutcome> {
    let name = &statement.name;
    let database = context.view.database_by_name(name)?.ok_or_else(|| undefined(name))?;
    // So that it isn't dropped with the setting just being made.
    let address = ObjectAddress::new(class::DATABASE, database.oid);
    dependency::lock_object(&context.view, address, LockMode::AccessShare)?;
    let database = context.view.database(database.oid)?.ok_or_else(|| undefined(name))?;
    check_owner(context, &database)?;
    stored_setting::alter(context, database.oid, Oid::INVALID, &statement.set)?;
    Ok(CommandOutcome::done(TAG))
}

/// The C locale has no versions.
fn refresh_collation_version(context: &mut CommandContext<'_>, name: &str) -> Result<CommandOutcome> {
    let database = context.view.database_by_name(name)?.ok_or_else(|| undefined(name))?;
    check_owner(context, &database)?;
    if row_of(context, database.oid)?.row.datcollversion.is_some() {
        return Err(Error::internal("invalid collation version change"));
    }
    context.notice(Error::notice("version has not changed"));
    Ok(CommandOutcome::done(TAG))
}

pub fn rename(context: &mut CommandContext<'_>, name: &str, new: &str) -> Result<CommandOutcome> {
    let database = lock(context, name, LockMode::AccessExclusive)?.ok_or_else(|| undefined(name))?;
    check_owner(context, &database)?;
    if !may_create_databases(context)? {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to rename database"));
    }
    if context.view.database_by_name(new)?.is_some() {
        return Err(duplicate(new));
    }
    if database.oid == context.view.database_oid() {
        return Err(error!(FEATURE_NOT_SUPPORTED, "current database cannot be renamed"));
    }
    check_unused(context, database.oid, &format!("database \"{name}\" is being accessed by other users"))?;
    let mut found = row_of(context, database.oid)?;
    found.row.datname = new.into();
    found.update(&context.view)?;
    Ok(CommandOutcome::done(TAG))
}

pub fn set_owner(context: &mut CommandContext<'_>, name: &str, owner: &RoleSpec) -> Result<CommandOutcome> {
    let owner = context.role_meant(owner)?;
    let database = context.view.database_by_name(name)?.ok_or_else(|| undefined(name))?;
    if database.owner != owner {
        check_owner(context, &database)?;
        context.check_can_set_role(owner)?;
        if !may_create_databases(context)? {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to change owner of database"));
        }
        let mut found = row_of(context, database.oid)?;
        found.row.datdba = owner;
        if let Some(acl) = &mut found.row.datacl {
            acl.change_owner(database.owner, owner);
        }
        found.update(&context.view)?;
        dependency::change_owner(&context.view, ObjectAddress::new(class::DATABASE, database.oid), owner)?;
    }
    Ok(CommandOutcome::done(TAG))
}
