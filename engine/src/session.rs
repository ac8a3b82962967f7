//! A client's session: prepared statements, portals, the transaction block.
//!
//! The connection begins something (a query string, an Execute, a Sync) and then calls
//! [`Session::run`] until it is done, doing in between what the returned [`Progress`] asks for.

use std::sync::Arc;

use kokkiri_primitives::activity::{Backend, BackendState, Interrupt};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{PARAMETERS, parameters};
use kokkiri_primitives::{Error, Result, SqlState};

use crate::client::{BindRequest, IdleTimeout, Progress, RowSink, TransactionState};
use crate::engine::SessionStart;

/// One client's session.
pub struct Session {
    start: SessionStart,
    /// The query string that [`Session::run`] works on.
    query: Option<Arc<str>>,
}

impl Session {
    /// Opens the session of a backend that has been let in.
    ///
    /// # Errors
    /// What keeps a session from starting; the connection ends with it.
    pub(crate) fn open(start: SessionStart) -> Result<Self> {
        let session = Self { start, query: None };
        session.set_state(BackendState::Idle);
        Ok(session)
    }

    pub fn backend(&self) -> &Arc<Backend> {
        self.start.registration.backend()
    }

    /// Parameters and values that a client is told when it connects.
    pub fn initial_reports(&self) -> Vec<(&'static str, String)> {
        let reported = PARAMETERS.iter().filter(|parameter| parameter.reported);
        reported
            .filter_map(|parameter| Some((parameter.name, self.start.settings.show(parameter.name).ok()?)))
            .collect()
    }

    /// Parameters that have changed since the client was last told.
    pub fn take_reports(&self) -> Vec<(&'static str, String)> {
        self.start.settings.take_reports()
    }

    pub fn state(&self) -> TransactionState {
        TransactionState::Idle
    }

    fn set_state(&self, state: BackendState) {
        let mut status = self.backend().status();
        status.state = state;
        status.state_change = Some(TimestampTz::now());
    }

    /// Begins a simple query: one or several statements.
    pub fn begin_query(&mut self, text: &Arc<str>) -> Result<()> {
        self.query = Some(Arc::clone(text));
        let now = TimestampTz::now();
        let mut status = self.backend().status();
        status.query = Arc::clone(text);
        status.query_start = Some(now);
        drop(status);
        self.set_state(BackendState::Active);
        Ok(())
    }

    pub fn parse(&mut self, _name: &str, _text: &Arc<str>, _parameter_types: &[u32]) -> Result<()> {
        Err(Error::not_supported("the Parse message"))
    }

    pub fn bind(&mut self, request: &BindRequest<'_>) -> Result<()> {
        Err(unknown_statement(request.statement))
    }

    pub fn describe_statement(&mut self, name: &str, _sink: &mut dyn RowSink) -> Result<()> {
        Err(unknown_statement(name))
    }

    pub fn describe_portal(&mut self, name: &str, _sink: &mut dyn RowSink) -> Result<()> {
        Err(unknown_portal(name))
    }

    /// Begins to run a portal, for at most `limit` rows.
    pub fn begin_execute(&mut self, portal: &str, _limit: Option<u64>) -> Result<()> {
        Err(unknown_portal(portal))
    }

    /// Closes a prepared statement; one that isn't there is no error.
    pub fn close_statement(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Closes a portal; one that isn't there is no error.
    pub fn close_portal(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Begins what a Sync does: the end of an implicit transaction.
    pub fn begin_sync(&mut self) {}

    /// Works on what was begun until it is done or the connection must do something first.
    pub fn run(&mut self, sink: &mut dyn RowSink) -> Result<Progress> {
        let Some(text) = self.query.take() else { return Ok(Progress::Done) };
        if text.trim_matches([' ', '\t', '\n', '\r', ';']).is_empty() {
            sink.empty_query();
            self.set_state(BackendState::Idle);
            return Ok(Progress::Done);
        }
        Err(Error::not_supported("running statements"))
    }

    /// Tells how the flush that [`Progress::Flush`] asked for ended.
    pub fn flushed(&mut self, flushed: Result<()>) -> Result<()> {
        flushed
    }

    pub fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }

    pub fn copy_done(&mut self) -> Result<()> {
        Ok(())
    }

    pub fn copy_fail(&mut self, reason: &str) -> Result<()> {
        Err(Error::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}")))
    }

    /// After an error has been reported: aborts the transaction, or leaves its block failed.
    pub fn statement_failed(&mut self) -> Result<()> {
        self.query = None;
        self.set_state(BackendState::Idle);
        Ok(())
    }

    /// Text of a prepared statement.
    pub fn statement_text(&self, _name: &str) -> Option<Arc<str>> {
        None
    }

    /// Text of a portal's statement.
    pub fn portal_text(&self, _name: &str) -> Option<Arc<str>> {
        None
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
        let _entered = self.backend().enter();
        kokkiri_primitives::activity::check_for_interrupts().err()
    }

    /// The timeout that runs while the session is idle.
    pub fn idle_timeout(&self) -> Option<IdleTimeout> {
        let timeout = self.start.settings.get(parameters::IDLE_SESSION_TIMEOUT);
        (timeout > 0)
            .then(|| (std::time::Duration::from_millis(timeout as u64), Interrupt::IdleSessionTimeout))
    }

    /// The latch was set while the session is idle: notifications, reloaded settings.
    pub fn idle_news(&mut self, _sink: &mut dyn RowSink) {
        if self.backend().interrupts.take(Interrupt::Reload) {
            self.start.settings.reload(self.start.instance.settings());
        }
    }
}

fn unknown_statement(name: &str) -> Error {
    if name.is_empty() {
        Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, "unnamed prepared statement does not exist")
    } else {
        Error::new(
            SqlState::INVALID_SQL_STATEMENT_NAME,
            format!("prepared statement \"{name}\" does not exist"),
        )
    }
}

fn unknown_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
