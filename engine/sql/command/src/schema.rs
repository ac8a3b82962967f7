//! CREATE SCHEMA and DROP SCHEMA.
//!
//! Realises: schemacmds.c.

use kokkiri_catalog::dependency::{self, Behavior, ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::rows::PgNamespace;
use kokkiri_parse::tree::{CreateSchemaStmt, DropBehavior, DropStmt, ObjectName, Statement};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_transaction::LockMode;

use crate::context::{CommandContext, CommandOutcome};
use crate::drop;

pub fn create(context: &mut CommandContext<'_>, statement: &CreateSchemaStmt) -> Result<CommandOutcome> {
    const TAG: &str = "CREATE SCHEMA";
    let owner = match &statement.authorization {
        Some(spec) => context.role_meant(spec)?,
        None => context.role(),
    };
    let name = match &statement.name {
        Some(name) => name.clone(),
        None => match context.view.role(owner)? {
            Some(role) => role.name.to_string(),
            None => return Err(Error::internal("the schema's owner has vanished")),
        },
    };
    check_may_create(context, owner)?;
    if name.starts_with("pg_") {
        return Err(error!(RESERVED_NAME, "unacceptable schema name \"{name}\"")
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    if context.view.namespace_by_name(&name)?.is_some() {
        let message = format!("schema \"{name}\" already exists");
        if statement.if_not_exists {
            let notice = format!("{message}, skipping");
            context.notice(Error::report(Severity::Notice, SqlState::DUPLICATE_SCHEMA, notice));
            return Ok(CommandOutcome::done(TAG));
        }
        return Err(Error::new(SqlState::DUPLICATE_SCHEMA, message));
    }
    let oid = context.view.new_oid(Lookup::NamespaceByOid)?;
    let row = PgNamespace { oid, nspname: name.clone().into(), nspowner: owner, nspacl: None };
    context.view.insert_row(row)?;
    dependency::record_owner(&context.view, ObjectAddress::new(class::NAMESPACE, oid), owner)?;
    context.advance()?;
    create_elements(context, &statement.elements, &name)?;
    Ok(CommandOutcome::done(TAG))
}

/// Runs the statements within a CREATE SCHEMA, in the new schema: `transformCreateSchemaStmtElements`.
fn create_elements(context: &mut CommandContext<'_>, elements: &[Statement], schema: &str) -> Result<()> {
    let mut elements = elements.to_vec();
    for element in &mut elements {
        let relation = match element {
            Statement::CreateSeq(create) => &mut create.sequence,
            Statement::Create(create) => &mut create.relation,
            Statement::View(create) => &mut create.view,
            Statement::Index(create) => &mut create.relation,
            other => {
                return Err(Error::not_supported(format!(
                    "CREATE SCHEMA with {}",
                    crate::statement_name(other)
                )));
            }
        };
        match &relation.schema {
            Some(given) if given != schema => {
                return Err(error!(
                    INVALID_SCHEMA_DEFINITION,
                    "CREATE specifies a schema ({given}) different from the one being created ({schema})"
                ));
            }
            _ => relation.schema = Some(schema.to_owned()),
        }
    }
    let order = |element: &Statement| match element {
        Statement::CreateSeq(_) => 0,
        Statement::Create(_) => 1,
        Statement::View(_) => 2,
        _ => 3,
    };
    elements.sort_by_key(order);
    for element in &elements {
        crate::execute(context, element)?;
        context.advance()?;
    }
    Ok(())
}

fn check_may_create(context: &CommandContext<'_>, owner: Oid) -> Result<()> {
    let database = context
        .view
        .database(context.view.database_oid())?
        .ok_or_else(|| Error::internal("the session's database is not in pg_database"))?;
    let (role, wanted) = (context.role(), Privileges::CREATE);
    let acl = database.acl.as_ref();
    let granted = context.view.privileges(role, ObjectKind::Database, database.owner, acl, wanted)?;
    if !granted.contains(wanted) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for database {}", database.name));
    }
    context.check_can_set_role(owner)
}

pub fn drop(context: &mut CommandContext<'_>, statement: &DropStmt) -> Result<CommandOutcome> {
    let mut objects = Vec::with_capacity(statement.names.len());
    for written in &statement.names {
        let ObjectName::Name(names) = written else {
            return Err(error!(INTERNAL_ERROR, "a schema to be dropped is not given by name"));
        };
        let name = names.join(".");
        let Some(entry) = context.view.namespace_by_name(&name)? else {
            let message = format!("schema \"{name}\" does not exist");
            if !statement.missing_ok {
                return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
            }
            context.notice(Error::notice(format!("{message}, skipping")));
            continue;
        };
        if !context.view.owns(context.role(), entry.owner)? {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of schema {name}"));
        }
        let object = ObjectAddress::new(class::NAMESPACE, entry.oid);
        dependency::lock_object(&context.view, object, LockMode::AccessExclusive)?;
        objects.push(object);
    }
    let behavior = match statement.behavior {
        DropBehavior::Restrict => Behavior::Restrict,
        DropBehavior::Cascade => Behavior::Cascade,
    };
    drop::delete(context, &objects, behavior)?;
    Ok(CommandOutcome::done("DROP SCHEMA"))
}
