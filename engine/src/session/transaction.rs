//! Statements about transactions: BEGIN, COMMIT, ROLLBACK, savepoints.
//!
//! Realises: the transaction half of utility.c with xact.c's `BeginTransactionBlock` and its kin.

use kokkiri_command::transaction_mode;
use kokkiri_parse::tree::{TransactionMode, TransactionStmt};
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Result, SqlState};

use super::Session;

/// What a transaction statement has led to.
pub enum Outcome {
    /// It is done: send the tag.
    Done(&'static str),
    /// The transaction is to be committed; the tag follows the commit.
    Commit { tag: &'static str, chain: bool },
}

/// True for the statements that a failed block accepts.
pub fn ends_failed_block(statement: &TransactionStmt) -> bool {
    use TransactionStmt::*;
    matches!(statement, Commit { .. } | Rollback { .. } | RollbackTo { .. } | Prepare { .. })
}

impl Session {
    pub(super) fn transaction_statement(&mut self, statement: &TransactionStmt) -> Result<Outcome> {
        use TransactionStmt::*;
        match statement {
            Begin(modes) => self.begin_block(modes).map(|()| Outcome::Done("BEGIN")),
            Start(modes) => self.begin_block(modes).map(|()| Outcome::Done("START TRANSACTION")),
            Commit { chain } => self.commit_block(*chain),
            Rollback { chain } => self.rollback_block(*chain),
            Savepoint { name, .. } => {
                let transaction = self.block.require_block("SAVEPOINT")?;
                transaction.define_savepoint(name)?;
                self.settings.begin(transaction.nesting_level());
                Ok(Outcome::Done("SAVEPOINT"))
            }
            Release { name, .. } => {
                let transaction = self.block.require_block("RELEASE SAVEPOINT")?;
                let before = transaction.nesting_level();
                let ended = transaction.release_savepoint(name)? as u32;
                (0..ended).for_each(|level| self.settings.commit(before - level));
                Ok(Outcome::Done("RELEASE"))
            }
            RollbackTo { name, .. } => {
                self.rollback_to_savepoint(name)?;
                Ok(Outcome::Done("ROLLBACK"))
            }
            Prepare { .. } => self.prepare_transaction(),
            CommitPrepared { .. } => Err(Error::not_supported("COMMIT PREPARED")),
            RollbackPrepared { .. } => Err(Error::not_supported("ROLLBACK PREPARED")),
        }
    }

    fn begin_block(&mut self, modes: &[TransactionMode]) -> Result<()> {
        if !self.block.begin(&self.settings) {
            self.notices.push(Error::warning(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            ));
        }
        if let Some(transaction) = self.block.transaction_if_running() {
            for mode in modes {
                transaction_mode::set(transaction, &self.settings, *mode)?;
            }
            let begun = transaction.start_time();
            self.watch_transaction(begun);
        }
        Ok(())
    }

    fn commit_block(&mut self, chain: bool) -> Result<Outcome> {
        if self.block.is_failed() {
            let outcome = self.rollback_block(chain)?;
            debug_assert!(matches!(outcome, Outcome::Done("ROLLBACK")));
            return Ok(outcome);
        }
        if !self.block.is_explicit() {
            if chain {
                return Err(outside_block("COMMIT AND CHAIN"));
            }
            self.notices.push(no_transaction());
            if !self.block.is_implicit() {
                return Ok(Outcome::Done("COMMIT"));
            }
        }
        Ok(Outcome::Commit { tag: "COMMIT", chain })
    }

    fn rollback_block(&mut self, chain: bool) -> Result<Outcome> {
        if !self.block.is_explicit() {
            if chain {
                return Err(outside_block("ROLLBACK AND CHAIN"));
            }
            self.notices.push(no_transaction());
        }
        let options = self.roll_back();
        if chain && let Some(options) = options {
            self.block.begin_chained(&self.settings, options);
        }
        Ok(Outcome::Done("ROLLBACK"))
    }

    /// PREPARE TRANSACTION. Outside a block or in a failed one it ends what there is, as COMMIT does.
    fn prepare_transaction(&mut self) -> Result<Outcome> {
        if self.block.is_failed() {
            return self.rollback_block(false);
        }
        if !self.block.is_explicit() {
            self.notices.push(no_transaction());
            return Ok(Outcome::Done("ROLLBACK"));
        }
        // The statement ends the block, even in vain.
        let disabled = self.settings.get(parameters::MAX_PREPARED_TRANSACTIONS) == 0;
        self.roll_back();
        if disabled {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "prepared transactions are disabled",
            )
            .hint("Set \"max_prepared_transactions\" to a nonzero value."));
        }
        Err(Error::not_supported("PREPARE TRANSACTION"))
    }

    fn rollback_to_savepoint(&mut self, name: &str) -> Result<()> {
        let before = self.block.nesting_level();
        self.close_portals();
        self.block.rollback_to(name)?;
        let after = self.block.nesting_level();
        for level in (after..=before).rev() {
            self.settings.abort(level);
        }
        self.settings.begin(after);
        let transaction = self.block.transaction();
        transaction.set_read_only(self.settings.get(parameters::TRANSACTION_READ_ONLY));
        self.catalog.sub_transaction_aborted(self.block.transaction());
        Ok(())
    }
}

fn no_transaction() -> Error {
    Error::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress")
}

fn outside_block(what: &str) -> Error {
    Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, format!("{what} can only be used in transaction blocks"))
}
