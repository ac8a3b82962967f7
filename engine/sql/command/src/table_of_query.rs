//! The table that CREATE TABLE AS and SELECT INTO make.
//!
//! Realises: `create_ctas_internal`, `CreateTableAsRelExists` (createas.c). Who runs the query fills it.

use kokkiri_access::relation::{Persistence, RelationKind, RelationOptions};
use kokkiri_catalog::view::OnCommitAction;
use kokkiri_parse::tree::{CreateTableAsStmt, IntoClause, OnCommit, Persistence as RawPersistence};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::context::CommandContext;
use crate::relation::{self, NewColumn, NewRelation, toast};
use crate::{name, options};

/// A column of the query's result.
#[derive(Clone, Debug)]
pub struct QueryColumn {
    pub name: String,
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
}

fn persistence(into: &IntoClause) -> Persistence {
    match into.relation.persistence {
        RawPersistence::Permanent => Persistence::Permanent,
        RawPersistence::Unlogged => Persistence::Unlogged,
        RawPersistence::Temporary => Persistence::Temporary,
    }
}

/// True if the table is there and IF NOT EXISTS was said.
///
/// # Errors
/// 42P07 if it is there and may not be.
pub fn exists(context: &mut CommandContext<'_>, create: &CreateTableAsStmt) -> Result<bool> {
    let into = &create.into;
    let (namespace, _) = name::creation_namespace(context, &into.relation, persistence(into))?;
    let table = &into.relation.name;
    if context.view.relation_oid(namespace, table)?.is_none() {
        return Ok(false);
    }
    let message = format!("relation \"{table}\" already exists");
    if !create.if_not_exists {
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
    }
    let notice = format!("{message}, skipping");
    context.notice(Error::report(Severity::Notice, SqlState::DUPLICATE_TABLE, notice));
    Ok(true)
}

/// Makes the table.
pub fn create(context: &mut CommandContext<'_>, into: &IntoClause, columns: &[QueryColumn]) -> Result<Oid> {
    if into.columns.len() > columns.len() {
        return Err(error!(SYNTAX_ERROR, "too many column names were specified"));
    }
    if into.tablespace.is_some() {
        return Err(Error::not_supported("CREATE TABLE AS with TABLESPACE"));
    }
    let (namespace, persistence) = name::creation_namespace(context, &into.relation, persistence(into))?;
    if into.on_commit != OnCommit::None && persistence != Persistence::Temporary {
        return Err(error!(INVALID_TABLE_DEFINITION, "ON COMMIT can only be used on temporary tables"));
    }
    let columns: Vec<NewColumn> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| NewColumn {
            typmod: column.typmod,
            collation: column.collation,
            ..NewColumn::plain(into.columns.get(at).unwrap_or(&column.name), column.type_oid)
        })
        .collect();
    let own_options = options::reloptions(&[], &into.options, None, false)?;
    RelationOptions::for_table(options::pairs(own_options.as_ref()))?;
    let toast_options = options::reloptions(&[], &into.options, Some("toast"), false)?;
    let oid = relation::create(
        context,
        &NewRelation {
            name: &into.relation.name,
            namespace,
            owner: context.role(),
            kind: RelationKind::Table,
            persistence,
            columns: &columns,
            options: own_options,
        },
    )?;
    context.advance()?;
    context.view.lock_relation_oid(oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
    let entry = context.view.expect_relation(oid)?;
    toast::create_if_needed(context, &entry, toast_options)?;
    register_on_commit(context, oid, into.on_commit);
    Ok(oid)
}

/// Notes what becomes of a temporary table when its transaction commits.
pub fn register_on_commit(context: &CommandContext<'_>, table: Oid, on_commit: OnCommit) {
    let action = match on_commit {
        OnCommit::None | OnCommit::PreserveRows => return,
        OnCommit::DeleteRows => OnCommitAction::DeleteRows,
        OnCommit::Drop => OnCommitAction::Drop,
    };
    context.view.session.on_commit().borrow_mut().push((table, action));
}
