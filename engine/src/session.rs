//! A client's session: prepared statements, portals, the transaction block.
//!
//! Realises: postgres.c's message handling. The connection begins something (a query string, an Execute,
//! a Sync) and then calls [`Session::run`] until it is done, doing in between what the returned
//! [`Progress`] asks for: write the output, await a commit's flush, bring COPY data. So nothing in here
//! waits for a client, and a commit holds no thread.
//!
//! Invariants:
//!  1. A statement runs only inside a transaction of the [`block`]; what it leaves (portals, snapshots)
//!     ends before its transaction does.
//!  2. A command tag is sent only after what it promises is durable.
//!  3. After an error [`Session::statement_failed`] puts everything right; until then nothing else is
//!     called.

mod block;
mod command;
mod constraint;
mod copy;
mod create_table_as;
mod explain;
mod function_call;
mod inspection;
mod io;
mod named;
mod pace;
mod permission;
mod plan_cache;
mod portal;
mod prepared;
mod run;
mod statement;
mod transaction;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use kokkiri_catalog::view::{CatalogSession, CatalogView};
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_functions::{CallContext, SessionInfo};
use kokkiri_primitives::activity::{Backend, BackendState, Interrupt};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{PARAMETERS, Settings, parameters};
use kokkiri_primitives::{Error, Oid, Result, SqlState, fault};
use kokkiri_transaction::BeginOptions;
use kokkiri_types::io::IoSettings;

use crate::client::{IdleTimeout, RowSink, TransactionState};
use crate::engine::SessionStart;
use crate::instance::Instance;

pub use io::install_checks;

use block::{Block, Ending};
use constraint::Deferred;
use copy::CopyIn;
use named::Named;
use plan_cache::Source;
use portal::Portal;
use run::Work;

/// One client's session.
pub struct Session {
    // Declared in the order in which they must go: what belongs to the transaction before the
    // transaction, and the place in the process array last.
    portals: Named<Portal>,
    work: Work,
    copy_in: Option<CopyIn>,
    ending: Option<Ending>,
    block: Block,
    statements: Named<Source>,
    notices: Vec<Error>,
    deferred: RefCell<Deferred>,
    catalog: CatalogSession,
    settings: Settings,
    info: SessionInfo,
    io: IoSettings,
    /// [`Settings::generation`] that `io` was made from.
    io_generation: u64,
    role: Oid,
    statement_start: TimestampTz,
    timeout: Option<StatementTimeout>,
    transaction_timeout: Option<TransactionTimeout>,
    fault: Option<fault::Armed>,
    instance: Arc<Instance>,
    registration: kokkiri_primitives::activity::Registration,
}

/// A running statement_timeout; ends with the statement.
struct StatementTimeout(tokio::task::JoinHandle<()>);

impl Drop for StatementTimeout {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A running transaction_timeout; ends with the transaction.
struct TransactionTimeout {
    timer: tokio::task::JoinHandle<()>,
    begun: TimestampTz,
    limit_ms: i64,
}

impl Drop for TransactionTimeout {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Drop for Session {
    /// Whatever the session has comes to its end: its transaction, its temporary objects, and the locks
    /// that outlive transactions.
    fn drop(&mut self) {
        let backend = Arc::clone(self.backend());
        let _entered = backend.enter();
        self.work = Work::Nothing;
        self.copy_in = None;
        self.ending = None;
        self.roll_back();
        if self.catalog.temp_namespace().is_some() && !std::thread::panicking() {
            // What has ended the session is not to end this as well.
            let pending = [
                Interrupt::Cancel,
                Interrupt::Terminate,
                Interrupt::ConnectionLost,
                Interrupt::StatementTimeout,
            ];
            pending.into_iter().for_each(|interrupt| backend.interrupts.clear(interrupt));
            if let Err(error) = self.remove_temporary_objects() {
                tracing::warn!("could not remove temporary objects: {}", error.message());
                self.roll_back();
            }
            self.instance.cluster.buffers.discard_local(backend.number);
        }
        self.instance.cluster.locks.release_all(backend.number);
    }
}

impl Session {
    /// Opens the session of a backend that has been let in.
    ///
    /// # Errors
    /// What keeps a session from starting; the connection ends with it.
    pub(crate) fn open(start: SessionStart) -> Result<Self> {
        let SessionStart { instance, registration, request, settings, role, database, tablespace } = start;
        let backend = Arc::clone(registration.backend());
        let state = instance.catalog.database(database, tablespace)?;
        let info = SessionInfo {
            database,
            database_name: request.database.clone(),
            user: role,
            user_name: request.user.clone(),
            session_user_name: request.user.clone(),
            process_id: backend.pid,
            proc_number: Some(backend.number),
            version: version(),
            ..SessionInfo::default()
        };
        settings.connection_started();
        let catalog = CatalogSession::new(Arc::clone(&instance.catalog), state);
        catalog.set_authenticated_role(role);
        let session = Self {
            portals: Named::default(),
            work: Work::Nothing,
            copy_in: None,
            ending: None,
            block: Block::new(Arc::clone(&instance.cluster), backend, tablespace),
            statements: Named::default(),
            notices: Vec::new(),
            deferred: RefCell::default(),
            catalog,
            io: IoSettings::from_settings(&settings, TimestampTz(0))?,
            io_generation: settings.generation(),
            settings,
            info,
            role,
            statement_start: TimestampTz(0),
            timeout: None,
            transaction_timeout: None,
            fault: None,
            instance,
            registration,
        };
        session.show_idle();
        Ok(session)
    }

    pub fn backend(&self) -> &Arc<Backend> {
        self.registration.backend()
    }

    /// Parameters and values that a client is told when it connects.
    pub fn initial_reports(&self) -> Vec<(&'static str, String)> {
        self.settings.take_reports();
        let reported = PARAMETERS.iter().filter(|parameter| parameter.reported);
        reported
            .filter_map(|parameter| Some((parameter.name, self.settings.show(parameter.name).ok()?)))
            .collect()
    }

    /// Parameters that have changed since the client was last told.
    pub fn take_reports(&self) -> Vec<(&'static str, String)> {
        self.settings.take_reports()
    }

    pub fn state(&self) -> TransactionState {
        self.block.client_state()
    }

    /// Text of a prepared statement.
    pub fn statement_text(&self, name: &str) -> Option<Arc<str>> {
        self.statements.get(name).map(|source| Arc::clone(&source.text))
    }

    /// Text of a portal's statement.
    pub fn portal_text(&self, name: &str) -> Option<Arc<str>> {
        self.portals.get(name).map(|portal| Arc::clone(&portal.text))
    }

    /// The catalogs as the running statement sees them.
    fn view(&self) -> CatalogView<'_> {
        CatalogView {
            session: &self.catalog,
            transaction: self.block.transaction(),
            settings: &self.settings,
            role: self.role,
        }
    }

    /// What the planner and the executor ask the catalogs, through `view`.
    fn facts<'a>(&'a self, view: &'a CatalogView<'a>) -> ViewFacts<'a> {
        ViewFacts { view, call: self.call_context() }
    }

    fn call_context(&self) -> CallContext<'_> {
        CallContext {
            settings: Some(&self.settings),
            catalog: self.block.transaction_if_running().map(|_| self.view()),
            statement_start: self.statement_start,
            deparser: Some(&inspection::DEPARSER),
            server: Some(&*self.instance),
            session_state: Some(self),
            ..CallContext::new(&self.io, &self.info)
        }
    }

    /// A statement begins: its time, its text for pg_stat_activity, its timeout, a transaction.
    fn statement_begins(&mut self, text: &Arc<str>) {
        self.statement_start = TimestampTz::now();
        {
            let mut status = self.backend().status();
            status.query = Arc::clone(text);
            status.application_name = self.settings.get(parameters::APPLICATION_NAME);
            status.query_start = Some(self.statement_start);
            if status.state != BackendState::Active {
                status.state = BackendState::Active;
                status.state_change = Some(self.statement_start);
            }
        }
        self.start_statement_timeout();
    }

    /// Lets statement_timeout run from now on, unless it does already.
    fn start_statement_timeout(&mut self) {
        let limit = self.settings.get(parameters::STATEMENT_TIMEOUT);
        if limit > 0 && self.timeout.is_none() {
            let backend = Arc::clone(self.backend());
            self.timeout = Some(StatementTimeout(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(limit as u64)).await;
                backend.interrupt(Interrupt::StatementTimeout);
            })));
        }
    }

    /// Makes sure that a transaction runs, and that what depends on its start and on settings is right.
    fn in_transaction(&mut self) -> Result<()> {
        self.block.ensure(&self.settings);
        let now = self.block.transaction().start_time();
        if self.io_generation != self.settings.generation() {
            self.follow_roles()?;
            self.io = IoSettings::from_settings(&self.settings, now)?;
            self.io_generation = self.settings.generation();
            self.block.publish_settings(&self.settings);
            self.fault = None;
            self.fault = self.settings.debug_panic_at().map(|point| fault::arm(self.backend().pid, &point));
        }
        self.io.now = now;
        self.watch_transaction(now);
        Ok(())
    }

    /// Takes the roles from the settings that SET ROLE and SET SESSION AUTHORIZATION have changed, or a
    /// rollback has put back. A role that is gone meanwhile stays what it was.
    fn follow_roles(&mut self) -> Result<()> {
        let session_name = self.settings.get(parameters::SESSION_AUTHORIZATION);
        let role_name = self.settings.get(parameters::ROLE);
        if let Some(entry) = self.view().role_by_name(&session_name)? {
            self.catalog.set_session_role(entry.oid);
        }
        let role = match &*role_name {
            "none" => Some(self.catalog.session_role()),
            name => self.view().role_by_name(name)?.map(|entry| entry.oid),
        };
        let role = role.unwrap_or(self.role);
        if role != self.role || &*session_name != self.info.session_user_name.as_str() {
            let Some(entry) = self.view().role(role)? else { return Ok(()) };
            self.role = role;
            self.info.user = role;
            self.info.user_name = entry.name.to_string();
            self.info.session_user_name = session_name.to_string();
            self.settings.set_superuser(entry.superuser);
            let superuser = if entry.superuser { "on" } else { "off" };
            let source = kokkiri_primitives::settings::Source::Override;
            self.settings.set_base("is_superuser", superuser, source)?;
        }
        Ok(())
    }

    /// Sees to it that transaction_timeout runs from the transaction's beginning.
    fn watch_transaction(&mut self, begun: TimestampTz) {
        let limit_ms = self.settings.get(parameters::TRANSACTION_TIMEOUT);
        if limit_ms == 0 {
            self.transaction_timeout = None;
            return;
        }
        let runs = |timeout: &TransactionTimeout| timeout.begun == begun && timeout.limit_ms == limit_ms;
        if self.transaction_timeout.as_ref().is_some_and(runs) {
            return;
        }
        let passed_ms = (TimestampTz::now().0 - begun.0) / 1000;
        let rest = Duration::from_millis((limit_ms - passed_ms).max(0) as u64);
        let backend = Arc::clone(self.backend());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            backend.interrupt(Interrupt::TransactionTimeout);
        });
        self.transaction_timeout = Some(TransactionTimeout { timer, begun, limit_ms });
    }

    fn transaction_ended(&mut self) {
        if self.transaction_timeout.take().is_some() {
            self.backend().interrupts.clear(Interrupt::TransactionTimeout);
        }
    }

    /// The statement's time is over, one way or another.
    fn statement_ends(&mut self) {
        self.timeout = None;
        self.backend().interrupts.clear(Interrupt::StatementTimeout);
        self.backend().interrupts.clear(Interrupt::LockTimeout);
    }

    fn show_idle(&self) {
        let state = match self.block.client_state() {
            TransactionState::Idle => BackendState::Idle,
            TransactionState::InBlock => BackendState::IdleInTransaction,
            TransactionState::Failed => BackendState::IdleInTransactionAborted,
        };
        let mut status = self.backend().status();
        status.application_name = self.settings.get(parameters::APPLICATION_NAME);
        self.backend().set_stack_depth(self.settings.get(parameters::MAX_STACK_DEPTH) as usize);
        if state == BackendState::Idle {
            status.transaction_start = None;
        }
        if status.state != state {
            status.state = state;
            status.state_change = Some(TimestampTz::now());
        }
    }

    /// Drops the session's temporary objects in a transaction of its own.
    fn remove_temporary_objects(&mut self) -> Result<()> {
        self.in_transaction()?;
        self.with_command(kokkiri_command::remove_temporary_objects)?;
        self.begin_commit(None, false)?;
        if let Some(ending) = self.ending.take() {
            if let Some(lsn) = ending.flush_to() {
                self.instance.cluster.wal.flush(lsn)?;
            }
            ending.finish();
            self.catalog.transaction_ended();
        }
        Ok(())
    }

    fn close_portals(&mut self) {
        self.portals.clear();
    }

    /// Aborts the transaction and puts everything that followed it back.
    fn roll_back(&mut self) -> Option<BeginOptions> {
        self.close_portals();
        let (options, warnings) = self.block.rollback();
        self.notices.extend(warnings);
        self.transaction_aborted();
        options
    }

    fn transaction_aborted(&mut self) {
        self.transaction_ended();
        self.forget_deferred();
        self.settings.abort(1);
        self.settings.begin(0);
        self.catalog.transaction_ended();
    }

    /// After an error has been reported: aborts the transaction, or leaves its block failed.
    ///
    /// # Errors
    /// Something worse, with which the session ends.
    pub fn statement_failed(&mut self) -> Result<()> {
        self.work = Work::Nothing;
        self.copy_in = None;
        self.ending = None;
        self.statement_ends();
        self.close_portals();
        let had_transaction = self.block.nesting_level();
        let warnings = self.block.fail();
        self.notices.extend(warnings);
        if had_transaction > 0 && self.block.nesting_level() == 0 {
            self.transaction_aborted();
        }
        self.show_idle();
        Ok(())
    }

    /// Hands out the notices of a statement that has failed: they come before its error.
    pub fn send_failed_notices(&mut self, sink: &mut dyn RowSink, text: Option<&str>) {
        self.send_notices(sink, text);
    }

    /// Hands out warnings and notices that have come up.
    fn send_notices(&mut self, sink: &mut dyn RowSink, text: Option<&str>) {
        if let Some(transaction) = self.block.transaction_if_running() {
            self.notices.extend(transaction.take_notices());
        }
        if self.notices.is_empty() {
            return;
        }
        let least = client_min_messages(self.settings.get(parameters::CLIENT_MIN_MESSAGES));
        for notice in self.notices.drain(..) {
            if notice.severity() >= least || notice.severity() == kokkiri_primitives::Severity::Info {
                sink.notice(&notice, text);
            }
        }
    }

    /// While the connection waits for its client in the middle of a statement: the error that ends the
    /// statement, if somebody has asked for it.
    pub fn check_for_interrupts(&self) -> Result<()> {
        kokkiri_primitives::activity::check_for_interrupts()
    }

    /// How often to look whether the client is still there while a statement runs; `None` for never.
    pub fn client_check_interval(&self) -> Option<Duration> {
        let interval = self.settings.get(parameters::CLIENT_CONNECTION_CHECK_INTERVAL);
        (interval > 0).then(|| Duration::from_millis(interval as u64))
    }

    /// Between statements: the error that ends the session, if somebody has asked for it.
    pub fn idle_interrupt(&mut self) -> Option<Error> {
        let interrupts = &self.backend().interrupts;
        // A cancel request that finds nothing running is forgotten.
        interrupts.take(Interrupt::Cancel);
        if interrupts.take(Interrupt::IdleSessionTimeout) {
            return Some(Error::fatal(
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ));
        }
        if interrupts.take(Interrupt::IdleInTransactionTimeout) {
            return Some(Error::fatal(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ));
        }
        let _entered = self.backend().enter();
        kokkiri_primitives::activity::check_for_interrupts().err()
    }

    /// The timeout that runs while the session is idle.
    pub fn idle_timeout(&self) -> Option<IdleTimeout> {
        let (limit, interrupt) = match self.block.client_state() {
            TransactionState::Idle => {
                (self.settings.get(parameters::IDLE_SESSION_TIMEOUT), Interrupt::IdleSessionTimeout)
            }
            TransactionState::InBlock | TransactionState::Failed => (
                self.settings.get(parameters::IDLE_IN_TRANSACTION_SESSION_TIMEOUT),
                Interrupt::IdleInTransactionTimeout,
            ),
        };
        (limit > 0).then(|| (Duration::from_millis(limit as u64), interrupt))
    }

    /// The latch was set while the session is idle: notifications, reloaded settings.
    pub fn idle_news(&mut self, _sink: &mut dyn RowSink) {
        if self.backend().interrupts.take(Interrupt::Reload) {
            self.settings.reload(self.instance.settings());
        }
    }
}

/// What `version()` answers.
fn version() -> String {
    format!(
        "PostgreSQL 18.4 (Kokkiri {}) on {}-{}, compiled by rustc, 64-bit",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

fn client_min_messages(word: &str) -> kokkiri_primitives::Severity {
    use kokkiri_primitives::Severity::*;
    match word {
        "error" => Error,
        "warning" => Warning,
        "log" => Log,
        word if word.starts_with("debug") => Debug,
        _ => Notice,
    }
}

fn unknown_statement(name: &str) -> Error {
    let message = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
}

fn unknown_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn failed_block() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}
