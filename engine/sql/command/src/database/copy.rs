//! Copying a template's files into a new database.
//!
//! Realises: `CreateDatabaseUsingWalLog`, `CreateDatabaseUsingFileCopy`, `createdb_failure_callback`.

use std::sync::Arc;

use kokkiri_catalog::view::{CatalogSession, CatalogView};
use kokkiri_primitives::{Result, TransactionId};
use kokkiri_storage::RelationFile;
use kokkiri_transaction::database_files::DatabasePlace;

use crate::context::CommandContext;

/// CREATE DATABASE's STRATEGY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Page by page through the pool and the log.
    WalLog,
    /// File by file, between two checkpoints.
    FileCopy,
}

/// Fills the directory of a new database, which nobody else can know yet. If that fails, nothing of it is
/// left.
pub fn copy(
    context: &CommandContext<'_>,
    from: DatabasePlace,
    to: DatabasePlace,
    strategy: Strategy,
) -> Result<()> {
    let copied = match strategy {
        Strategy::WalLog => through_log(context, from, to),
        Strategy::FileCopy => as_files(context, from, to),
    };
    copied.inspect_err(|_| {
        if let Err(left_behind) = context.cluster().discard_database_files(to) {
            context
                .transaction()
                .add_notice(left_behind.with_severity(kokkiri_primitives::Severity::Warning));
        }
    })
}

fn through_log(context: &CommandContext<'_>, from: DatabasePlace, to: DatabasePlace) -> Result<()> {
    let cluster = context.cluster();
    let xid: TransactionId = context.transaction().current_xid()?;
    let catalog = &context.view.session.catalog;
    let template = catalog.database(from.database, from.tablespace)?;
    let session = CatalogSession::new(Arc::clone(catalog), template);
    let files = CatalogView { session: &session, ..context.view }.database_files()?;
    cluster.create_database_directory(xid, to)?;
    cluster.write_relation_map(xid, to, &catalog.map_file(&session.database))?;
    for file in files {
        let mut copy = file;
        copy.locator.database = to.database;
        if file.locator.tablespace == from.tablespace {
            copy.locator.tablespace = to.tablespace;
        }
        cluster.copy_relation(xid, file, RelationFile::new(copy.locator, file.persistence))?;
    }
    Ok(())
}

fn as_files(context: &CommandContext<'_>, from: DatabasePlace, to: DatabasePlace) -> Result<()> {
    let cluster = context.cluster();
    // A checkpoint leaves unlogged pages in memory.
    cluster.buffers.flush_database(from.database)?;
    (context.checkpoint)()?;
    cluster.copy_database_files(context.transaction().current_xid()?, from, to)?;
    // Replay must not copy again: by then the template may be another.
    (context.checkpoint)()
}
