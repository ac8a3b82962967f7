//! What the session lends a command, and what the command gives back.

use std::sync::Arc;

use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_execute::context::Environment;
use kokkiri_functions::CallContext;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{Cluster, Snapshot, Transaction};
use kokkiri_types::io::IoSettings;

use crate::role::PasswordVerifiers;

/// A command's surroundings.
pub struct CommandContext<'a> {
    pub view: CatalogView<'a>,
    /// What expressions that are evaluated on the way may ask.
    pub call: CallContext<'a>,
    /// How values are read and printed in this session.
    pub io: &'a IoSettings,
    /// The role that the session was started as or SET SESSION AUTHORIZATION made it.
    pub session_role: Oid,
    /// Within BEGIN and COMMIT, or an implicit transaction of several statements.
    pub in_transaction_block: bool,
    /// Set by [`CommandContext::prevent_in_transaction_block`]: the session commits as soon as the command
    /// is done, and does not wait for the end of a pipeline.
    pub commits_at_once: bool,
    /// How passwords become what is stored of them.
    pub passwords: &'a dyn PasswordVerifiers,
    /// Makes a checkpoint and waits for it.
    pub checkpoint: &'a dyn Fn() -> Result<()>,
    /// The extension whose script is running: what is made belongs to it.
    pub extension: Option<Oid>,
    /// What the client is to be told besides the outcome.
    pub notices: Vec<Error>,
}

impl<'a> CommandContext<'a> {
    pub fn transaction(&self) -> &'a Transaction {
        self.view.transaction
    }

    pub fn cluster(&self) -> &'a Arc<Cluster> {
        self.view.cluster()
    }

    /// The role whose privileges count.
    pub fn role(&self) -> Oid {
        self.view.role
    }

    /// Makes what was done so far visible to what follows: `CommandCounterIncrement`.
    pub fn advance(&self) -> Result<()> {
        if self.transaction().advance_command()? {
            self.view.session.command_ended();
        }
        Ok(())
    }

    /// For a command that can't be undone, or that needs a transaction of its own.
    ///
    /// # Errors
    /// 25001 "... cannot run inside a transaction block".
    pub fn prevent_in_transaction_block(&mut self, command: &str) -> Result<()> {
        if self.in_transaction_block {
            return Err(error!(ACTIVE_SQL_TRANSACTION, "{command} cannot run inside a transaction block"));
        }
        self.commits_at_once = true;
        Ok(())
    }

    /// What planner and executor ask the catalogs.
    pub fn facts(&self) -> ViewFacts<'_> {
        ViewFacts { view: &self.view, call: self.call }
    }

    /// What expressions are evaluated in.
    pub fn environment<'s>(&'s self, snapshot: &'s Snapshot) -> Environment<'s> {
        Environment {
            call: self.call,
            settings: self.view.settings,
            transaction: self.view.transaction,
            snapshot,
            parameters: &[],
            host: None,
        }
    }

    pub fn notice(&mut self, notice: Error) {
        self.notices.push(notice);
    }
}

/// What a command answers.
#[derive(Debug)]
pub struct CommandOutcome {
    /// The command tag.
    pub tag: String,
    /// Of SHOW and EXPLAIN.
    pub rows: Option<CommandRows>,
}

impl CommandOutcome {
    pub fn done(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), rows: None }
    }
}

/// Rows of text.
#[derive(Debug)]
pub struct CommandRows {
    /// Names of the columns, all of type text.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}
