//! Utility commands: everything that is neither a query nor the session's own business.
//!
//! Realises: utility.c and the commands directory. [`execute`] takes a raw statement and a
//! [`CommandContext`] that lends it the catalog, the transaction and what else of the session it may use.
//! A folder or file serves one kind of object or statement.
//!
//! Invariants:
//!  1. A relation is locked, in the mode PostgreSQL locks it, before anything is decided about it.
//!  2. Files come and go through the transaction ([`kokkiri_transaction::Transaction::create_storage`]),
//!     so that an abort leaves nothing behind.
//!  3. A step that must see the rows of the step before it calls [`CommandContext::advance`] first.
#![forbid(unsafe_code)]

mod alter;
mod check;
mod comment;
mod constraint;
mod context;
pub mod copy;
mod create_view;
mod database;
mod default;
mod describe;
mod drop;
mod expression;
mod extension;
mod foreign_key;
mod function;
mod grant;
mod index;
mod lock_table;
mod name;
mod on_commit;
mod options;
mod owner;
mod reindex;
mod relation;
mod role;
mod role_spec;
mod schema;
mod sequence;
mod setting;
mod stored_setting;
mod table;
pub mod table_of_query;
mod temporary;
pub mod transaction_mode;
mod truncate;
mod type_name;
mod vacuum;

use kokkiri_parse::tree::{ObjectType, Statement};
use kokkiri_primitives::{Error, Oid, Result, error};

pub use context::{CommandContext, CommandOutcome, CommandRows};
pub use on_commit::before_commit;
pub use role::{NoPasswords, PasswordVerifiers};
pub use temporary::remove_temporary_objects;

/// Executes a utility statement.
///
/// # Errors
/// 0A000 for what is not built, naming the statement.
pub fn execute(context: &mut CommandContext<'_>, statement: &Statement) -> Result<CommandOutcome> {
    match statement {
        Statement::Create(create) => table::create(context, create),
        Statement::Index(index) => index::define::create(context, index),
        Statement::CreateSeq(create) => sequence::create(context, create),
        Statement::AlterSeq(alter) => sequence::alter(context, alter),
        Statement::View(view) => create_view::create(context, view),
        Statement::CreateSchema(create) => schema::create(context, create),
        Statement::Drop(drop) if drop.object == ObjectType::Schema => schema::drop(context, drop),
        Statement::Drop(drop) if drop.object == ObjectType::Extension => extension::drop(context, drop),
        Statement::CreateExtension(create) => extension::create(context, create),
        Statement::CreateFunction(create) => function::create(context, create),
        Statement::Drop(drop) => drop::execute(context, drop),
        Statement::Truncate(truncate) => truncate::execute(context, truncate),
        Statement::AlterTable(alter) => alter::execute(context, alter),
        Statement::AlterObjectSchema(alter) => alter::set_schema(context, alter),
        Statement::Rename(rename) => alter::rename::execute(context, rename),
        Statement::Lock(lock) => lock_table::execute(context, lock),
        Statement::Comment(comment) => comment::execute(context, comment),
        Statement::Vacuum(vacuum) => vacuum::execute(context, vacuum),
        Statement::Reindex(reindex) => reindex::execute(context, reindex),
        Statement::CheckPoint(_) => checkpoint(context),
        Statement::CreateRole(create) => role::create::execute(context, create),
        Statement::AlterRole(alter) => role::alter::execute(context, alter),
        Statement::AlterRoleSet(alter) => role::alter::set(context, alter),
        Statement::DropRole(drop) => role::drop::execute(context, drop),
        Statement::GrantRole(grant) => role::membership::execute(context, grant),
        Statement::Grant(grant) => grant::execute(context, grant),
        Statement::Createdb(create) => database::create::execute(context, create),
        Statement::AlterDatabase(alter) => database::alter::execute(context, alter),
        Statement::AlterDatabaseSet(alter) => database::alter::set(context, alter),
        Statement::Dropdb(drop) => database::drop::execute(context, drop),
        Statement::AlterOwner(alter) => owner::execute(context, alter),
        Statement::VariableSet(set) => setting::set(context, set),
        Statement::VariableShow(show) => setting::show(context, &show.name),
        other => Err(Error::not_supported(statement_name(other))),
    }
}

/// CHECKPOINT: the session knows who makes it.
fn checkpoint(context: &mut CommandContext<'_>) -> Result<CommandOutcome> {
    /// The predefined role pg_checkpoint.
    const PG_CHECKPOINT: Oid = Oid(4544);
    let role = context.role();
    if !context.view.is_superuser(role)? && !context.view.roles_of(role)?.contains(&PG_CHECKPOINT) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to execute CHECKPOINT command")
            .detail("Only roles with privileges of the \"pg_checkpoint\" role may execute this command."));
    }
    (context.checkpoint)()?;
    Ok(CommandOutcome::done("CHECKPOINT"))
}

/// What a statement is called: its command tag.
pub fn statement_name(statement: &Statement) -> &'static str {
    match statement {
        Statement::Select(_) => "SELECT",
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::Transaction(_) => "transaction control",
        Statement::VariableSet(_) => "SET",
        Statement::VariableShow(_) => "SHOW",
        Statement::Discard(_) => "DISCARD",
        Statement::AlterSystem(_) => "ALTER SYSTEM",
        Statement::Prepare(_) => "PREPARE",
        Statement::Execute(_) => "EXECUTE",
        Statement::Deallocate(_) => "DEALLOCATE",
        Statement::DeclareCursor(_) => "DECLARE CURSOR",
        Statement::Fetch(_) => "FETCH",
        Statement::ClosePortal(_) => "CLOSE CURSOR",
        Statement::Explain(_) => "EXPLAIN",
        Statement::Vacuum(vacuum) if vacuum.is_vacuum => "VACUUM",
        Statement::Vacuum(_) => "ANALYZE",
        Statement::CheckPoint(_) => "CHECKPOINT",
        Statement::Reindex(_) => "REINDEX",
        Statement::Cluster(_) => "CLUSTER",
        Statement::Lock(_) => "LOCK TABLE",
        Statement::Truncate(_) => "TRUNCATE TABLE",
        Statement::Copy(_) => "COPY",
        Statement::Listen(_) => "LISTEN",
        Statement::Unlisten(_) => "UNLISTEN",
        Statement::Notify(_) => "NOTIFY",
        Statement::Load(_) => "LOAD",
        Statement::Do(_) => "DO",
        Statement::Call(_) => "CALL",
        Statement::ConstraintsSet(_) => "SET CONSTRAINTS",
        Statement::Create(_) => "CREATE TABLE",
        Statement::CreateTableAs(create) if create.materialized => "CREATE MATERIALIZED VIEW",
        Statement::CreateTableAs(_) => "CREATE TABLE AS",
        Statement::View(_) => "CREATE VIEW",
        Statement::Index(_) => "CREATE INDEX",
        Statement::CreateSeq(_) => "CREATE SEQUENCE",
        Statement::AlterSeq(_) => "ALTER SEQUENCE",
        Statement::CreateSchema(_) => "CREATE SCHEMA",
        Statement::AlterTable(_) => "ALTER TABLE",
        Statement::Rename(_) => "ALTER ... RENAME",
        Statement::AlterObjectSchema(_) => "ALTER ... SET SCHEMA",
        Statement::AlterOwner(_) => "ALTER ... OWNER TO",
        Statement::Drop(drop) => drop_tag(drop.object),
        Statement::Comment(_) => "COMMENT",
        Statement::CreateEnum(_) | Statement::CreateRange(_) | Statement::CompositeType(_) => "CREATE TYPE",
        Statement::AlterEnum(_) => "ALTER TYPE",
        Statement::Define(_) => "CREATE of this kind of object",
        Statement::CreateDomain(_) => "CREATE DOMAIN",
        Statement::AlterDomain(_) => "ALTER DOMAIN",
        Statement::CreateFunction(create) if create.procedure => "CREATE PROCEDURE",
        Statement::CreateFunction(_) => "CREATE FUNCTION",
        Statement::AlterFunction(_) => "ALTER FUNCTION",
        Statement::CreateTrigger(_) => "CREATE TRIGGER",
        Statement::CreateExtension(_) => "CREATE EXTENSION",
        Statement::AlterExtension(_) => "ALTER EXTENSION",
        Statement::CreateStats(_) => "CREATE STATISTICS",
        Statement::CreateCast(_) => "CREATE CAST",
        Statement::RefreshMatView(_) => "REFRESH MATERIALIZED VIEW",
        Statement::CreateRole(_) => "CREATE ROLE",
        Statement::AlterRole(_) | Statement::AlterRoleSet(_) => "ALTER ROLE",
        Statement::DropRole(_) => "DROP ROLE",
        Statement::GrantRole(grant) if grant.is_grant => "GRANT ROLE",
        Statement::GrantRole(_) => "REVOKE ROLE",
        Statement::Grant(grant) if grant.is_grant => "GRANT",
        Statement::Grant(_) => "REVOKE",
        Statement::AlterDefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        Statement::DropOwned { .. } => "DROP OWNED",
        Statement::ReassignOwned { .. } => "REASSIGN OWNED",
        Statement::Createdb(_) => "CREATE DATABASE",
        Statement::AlterDatabase(_) | Statement::AlterDatabaseSet(_) => "ALTER DATABASE",
        Statement::Dropdb(_) => "DROP DATABASE",
        Statement::CreateTablespace(_) => "CREATE TABLESPACE",
        Statement::DropTablespace { .. } => "DROP TABLESPACE",
    }
}

fn drop_tag(object: ObjectType) -> &'static str {
    match object {
        ObjectType::Table => "DROP TABLE",
        ObjectType::Index => "DROP INDEX",
        ObjectType::Sequence => "DROP SEQUENCE",
        ObjectType::View => "DROP VIEW",
        ObjectType::MaterializedView => "DROP MATERIALIZED VIEW",
        ObjectType::Schema => "DROP SCHEMA",
        ObjectType::Type => "DROP TYPE",
        ObjectType::Domain => "DROP DOMAIN",
        ObjectType::Function => "DROP FUNCTION",
        ObjectType::Extension => "DROP EXTENSION",
        _ => "DROP of this kind of object",
    }
}
