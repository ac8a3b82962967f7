//! The transaction block: which transaction a session is in, and what ends it.
//!
//! Realises: xact.c's `TBlockState`. A statement outside a block runs in an implicit transaction, which
//! ends with the query string or, in the extended protocol, at Sync. BEGIN makes it explicit. An error
//! ends an implicit transaction at once; in an explicit one everything but its end is refused until
//! ROLLBACK, COMMIT (which rolls back) or ROLLBACK TO a savepoint.
//!
//! A commit has two phases: its record is inserted, then the session awaits the flush as a task, and only
//! then the transaction becomes visible and its locks go ([`Ending`]).

use std::sync::Arc;

use kokkiri_command::transaction_mode;
use kokkiri_primitives::activity::Backend;
use kokkiri_primitives::settings::{Settings, parameters};
use kokkiri_primitives::{Error, Lsn, Oid, Result, SqlState};
use kokkiri_transaction::{
    BeginOptions, Cluster, CommitTicket, IsolationLevel, SynchronousCommit, Transaction,
};

use crate::client::TransactionState;

enum State {
    Idle,
    Implicit(Box<Transaction>),
    Explicit(Box<Transaction>),
    /// The block has failed. The transaction is kept only while it has savepoints to go back to.
    Failed(Option<Box<Transaction>>),
}

/// A session's transaction block.
pub struct Block {
    cluster: Arc<Cluster>,
    backend: Arc<Backend>,
    tablespace: Oid,
    state: State,
    /// The implicit transaction is that of several statements: PostgreSQL's implicit transaction block.
    implicit_is_shared: bool,
}

/// A commit whose record is in the WAL and whose flush is awaited.
pub struct Ending {
    ticket: CommitTicket,
    /// The command tag to send when it is done.
    pub tag: Option<String>,
    /// A new transaction with these options begins at once (AND CHAIN).
    pub chain: Option<BeginOptions>,
}

impl Ending {
    /// Where the WAL must be flushed to before [`Ending::finish`]; `None` if nothing has to be awaited.
    pub fn flush_to(&self) -> Option<Lsn> {
        self.ticket.lsn_to_flush()
    }

    /// Makes the commit visible and releases the transaction's locks.
    pub fn finish(self) -> (Option<String>, Option<BeginOptions>) {
        self.ticket.finish();
        (self.tag, self.chain)
    }
}

impl Block {
    pub fn new(cluster: Arc<Cluster>, backend: Arc<Backend>, tablespace: Oid) -> Self {
        Self { cluster, backend, tablespace, state: State::Idle, implicit_is_shared: false }
    }

    pub fn client_state(&self) -> TransactionState {
        match &self.state {
            State::Implicit(_) if self.implicit_is_shared => TransactionState::InBlock,
            State::Idle | State::Implicit(_) => TransactionState::Idle,
            State::Explicit(_) => TransactionState::InBlock,
            State::Failed(_) => TransactionState::Failed,
        }
    }

    pub fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    pub fn is_explicit(&self) -> bool {
        matches!(self.state, State::Explicit(_) | State::Failed(_))
    }

    pub fn is_implicit(&self) -> bool {
        matches!(self.state, State::Implicit(_))
    }

    /// True while an implicit transaction is that of messages up to Sync, of which some have been executed:
    /// `XACT_FLAGS_PIPELINING`.
    pub fn is_pipelined(&self) -> bool {
        self.is_implicit() && self.implicit_is_shared
    }

    /// Notes that the implicit transaction, if that is what runs, is not that of one statement alone.
    pub fn share_implicit(&mut self) {
        self.implicit_is_shared = self.is_implicit();
    }

    /// True for whatever a statement that needs a transaction of its own can't run in, and one that only
    /// makes sense within one can: `IsTransactionBlock`.
    pub fn is_block(&self) -> bool {
        self.is_explicit() || self.is_pipelined()
    }

    /// The running transaction.
    ///
    /// # Panics
    /// If there is none: a statement runs only after [`Block::ensure`].
    pub fn transaction(&self) -> &Transaction {
        self.transaction_if_running().expect("a transaction has been started")
    }

    /// The transaction that statements can work in.
    pub fn transaction_if_running(&self) -> Option<&Transaction> {
        match &self.state {
            State::Implicit(transaction) | State::Explicit(transaction) => Some(transaction),
            State::Idle | State::Failed(_) => None,
        }
    }

    /// Depth of savepoints: 1 for the transaction itself, zero without one.
    pub fn nesting_level(&self) -> u32 {
        match &self.state {
            State::Implicit(transaction)
            | State::Explicit(transaction)
            | State::Failed(Some(transaction)) => transaction.nesting_level(),
            State::Idle | State::Failed(None) => 0,
        }
    }

    /// What a new transaction begins with, by the settings.
    pub fn options(&self, settings: &Settings) -> BeginOptions {
        BeginOptions {
            isolation: isolation_level(settings.get(parameters::DEFAULT_TRANSACTION_ISOLATION)),
            read_only: settings.get(parameters::DEFAULT_TRANSACTION_READ_ONLY),
            deferrable: settings.get(parameters::DEFAULT_TRANSACTION_DEFERRABLE),
            synchronous_commit: synchronous_commit(settings.get(parameters::SYNCHRONOUS_COMMIT)),
            tablespace: Some(self.tablespace),
        }
    }

    /// Starts an implicit transaction unless one is running; tells whether it did.
    pub fn ensure(&mut self, settings: &Settings) -> bool {
        if !matches!(self.state, State::Idle) {
            return false;
        }
        let options = self.options(settings);
        self.state = State::Implicit(self.begin_transaction(settings, options));
        self.implicit_is_shared = false;
        true
    }

    fn begin_transaction(&self, settings: &Settings, options: BeginOptions) -> Box<Transaction> {
        let plain =
            options.isolation == IsolationLevel::ReadCommitted && !options.read_only && !options.deferrable;
        let transaction = Transaction::begin(&self.cluster, &self.backend, options);
        settings.begin(1);
        if !plain {
            transaction_mode::show(&transaction, settings).expect("the settings that show modes take them");
        }
        self.publish_settings(settings);
        self.backend.status().transaction_start = Some(transaction.start_time());
        transaction
    }

    /// Hands down the settings that lower layers go by.
    pub fn publish_settings(&self, settings: &Settings) {
        let compression = settings.get(parameters::DEFAULT_TOAST_COMPRESSION);
        let limit = settings.get(parameters::TEMP_FILE_LIMIT);
        self.backend.temporary_files.set_limit(u64::try_from(limit).ok());
        self.backend.set_toast_compression(if compression == "lz4" { b'l' } else { b'p' });
        self.cluster.locks.set_timeouts(
            self.backend.number,
            settings.get(parameters::DEADLOCK_TIMEOUT) as u64,
            settings.get(parameters::LOCK_TIMEOUT) as u64,
        );
    }

    /// BEGIN: makes the transaction explicit; false if it was already.
    pub fn begin(&mut self, settings: &Settings) -> bool {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {
                let options = self.options(settings);
                self.state = State::Explicit(self.begin_transaction(settings, options));
                true
            }
            State::Implicit(transaction) => {
                self.state = State::Explicit(transaction);
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    /// Begins the next transaction of a chain.
    pub fn begin_chained(&mut self, settings: &Settings, options: BeginOptions) {
        self.state = State::Explicit(self.begin_transaction(settings, options));
    }

    /// The first phase of a commit. The block is idle afterwards, whatever comes of it.
    ///
    /// # Errors
    /// What kept the transaction from committing; it is aborted then.
    pub fn prepare_commit(
        &mut self,
        settings: &Settings,
        tag: Option<String>,
        chain: bool,
    ) -> Result<Option<Ending>> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Implicit(transaction) | State::Explicit(transaction) => {
                transaction
                    .set_synchronous_commit(synchronous_commit(settings.get(parameters::SYNCHRONOUS_COMMIT)));
                let chain = chain.then(|| Self::options_of(&transaction, self.tablespace));
                let ticket = transaction.prepare_commit()?;
                Ok(Some(Ending { ticket, tag, chain }))
            }
            State::Idle => Ok(None),
            State::Failed(transaction) => {
                drop(transaction);
                Err(Error::internal("a failed transaction block can't commit"))
            }
        }
    }

    /// The options of a transaction, for the next of its chain.
    pub fn options_of(transaction: &Transaction, tablespace: Oid) -> BeginOptions {
        BeginOptions {
            isolation: transaction.isolation(),
            read_only: transaction.is_read_only(),
            deferrable: transaction.is_deferrable(),
            synchronous_commit: SynchronousCommit::default(),
            tablespace: Some(tablespace),
        }
    }

    /// Aborts whatever is running. The block is idle afterwards. Gives back the options for a chain and
    /// warnings that arose on the way.
    pub fn rollback(&mut self) -> (Option<BeginOptions>, Vec<Error>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Implicit(transaction)
            | State::Explicit(transaction)
            | State::Failed(Some(transaction)) => {
                let options = Self::options_of(&transaction, self.tablespace);
                (Some(options), transaction.abort())
            }
            State::Failed(None) => (None, Vec::new()),
            State::Idle => (None, Vec::new()),
        }
    }

    /// An error has ended a statement. An implicit transaction is over; an explicit one waits for its end.
    pub fn fail(&mut self) -> Vec<Error> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Vec::new(),
            State::Implicit(transaction) => transaction.abort(),
            State::Explicit(transaction) | State::Failed(Some(transaction))
                if transaction.nesting_level() > 1 =>
            {
                self.state = State::Failed(Some(transaction));
                Vec::new()
            }
            State::Explicit(transaction) | State::Failed(Some(transaction)) => {
                let warnings = transaction.abort();
                self.state = State::Failed(None);
                warnings
            }
            State::Failed(None) => {
                self.state = State::Failed(None);
                Vec::new()
            }
        }
    }

    /// ROLLBACK TO: the failed block works again from the savepoint on.
    ///
    /// # Errors
    /// 3B001 if there is no such savepoint; the block is as it was.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        let transaction = match &self.state {
            State::Explicit(transaction) | State::Failed(Some(transaction)) => transaction,
            State::Failed(None) => return Err(no_such_savepoint(name)),
            State::Idle | State::Implicit(_) => {
                return Err(outside_block("ROLLBACK TO SAVEPOINT"));
            }
        };
        transaction.rollback_to_savepoint(name)?;
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Failed(Some(transaction)) => State::Explicit(transaction),
            unchanged => unchanged,
        };
        Ok(())
    }

    /// The transaction of an explicit block, for what is only allowed there.
    ///
    /// # Errors
    /// 25P01 "... can only be used in transaction blocks".
    pub fn require_block(&self, what: &str) -> Result<&Transaction> {
        match &self.state {
            State::Explicit(transaction) => Ok(transaction),
            _ => Err(outside_block(what)),
        }
    }
}

fn outside_block(what: &str) -> Error {
    Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, format!("{what} can only be used in transaction blocks"))
}

fn no_such_savepoint(name: &str) -> Error {
    Error::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, format!("savepoint \"{name}\" does not exist"))
}

/// The level that a word of `transaction_isolation` names.
pub fn isolation_level(word: &str) -> IsolationLevel {
    match word {
        "serializable" => IsolationLevel::Serializable,
        "repeatable read" => IsolationLevel::RepeatableRead,
        "read uncommitted" => IsolationLevel::ReadUncommitted,
        _ => IsolationLevel::ReadCommitted,
    }
}

fn synchronous_commit(word: &str) -> SynchronousCommit {
    match word {
        "off" => SynchronousCommit::Off,
        "local" => SynchronousCommit::Local,
        "remote_write" => SynchronousCommit::RemoteWrite,
        "remote_apply" => SynchronousCommit::RemoteApply,
        _ => SynchronousCommit::On,
    }
}
