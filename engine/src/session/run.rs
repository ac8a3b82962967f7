//! Running what was begun: query strings, portals, the end of transactions.
//!
//! Realises: `exec_simple_query`, `exec_execute_message`, `finish_xact_command` and `PortalRun`. What is
//! being done is a value ([`Work`]); each call of [`Session::run`] takes it on from where it stopped.

use std::collections::VecDeque;
use std::sync::Arc;

use kokkiri_analyze::Parameters;
use kokkiri_analyze::tree::CommandType;
use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::context::Environment;
use kokkiri_execute::execution::Execution;
use kokkiri_execute::tuple_store::TupleStore;
use kokkiri_functions::system::text_form;
use kokkiri_parse::ScanOptions;
use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Result, error};
use kokkiri_transaction::Snapshot;
use kokkiri_types::io::IoSettings;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value};

use super::pace::Pace;
use super::portal::{Held, HeldTag, Portal, Runs, Started};
use super::statement::{self, Prepared};
use super::transaction::{Outcome, ends_failed_block};
use super::{Session, failed_block, unknown_portal};
use crate::client::{Format, Progress, ResultColumn, RowSink};

/// What the session is at.
pub enum Work {
    Nothing,
    Query(Box<QueryWork>),
    Execute {
        portal: String,
        /// Rows still to be given out; `None` for all.
        limit: Option<u64>,
    },
    Sync,
}

/// A query string on its way.
pub struct QueryWork {
    text: Arc<str>,
    statements: VecDeque<RawStatement>,
    empty: bool,
    /// It had several statements, which share an implicit transaction.
    several: bool,
    /// What was pipelined before it goes on in its implicit transaction, up to Sync.
    pipelined: bool,
    running: Option<Portal>,
}

/// How far a portal has come.
pub enum Ran {
    Paused(Progress),
    /// The row limit is reached and there may be more.
    Suspended,
    Complete(String),
    /// The statement ends the transaction; the tag follows.
    Commits {
        tag: String,
        chain: bool,
    },
}

impl Session {
    /// What the settings say of reading string literals.
    pub(super) fn scan_options(&self) -> ScanOptions {
        /// Encodings in which a backslash may be part of a character.
        const CLIENT_ONLY: [&str; 7] = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"];
        let settings = &self.settings;
        ScanOptions {
            standard_conforming_strings: settings.get(parameters::STANDARD_CONFORMING_STRINGS),
            escape_string_warning: settings.get(parameters::ESCAPE_STRING_WARNING),
            backslash_quote: match settings.get(parameters::BACKSLASH_QUOTE) {
                "on" => true,
                "off" => false,
                _ => !CLIENT_ONLY.contains(&settings.get(parameters::CLIENT_ENCODING).as_ref()),
            },
        }
    }

    /// Begins a simple query: one or several statements.
    pub fn begin_query(&mut self, text: &Arc<str>) -> Result<()> {
        self.statement_begins(text);
        // A query string takes the unnamed statement and portal with it.
        self.statements.remove("");
        self.portals.remove("");
        let mut notices = Vec::new();
        let parsed = kokkiri_parse::parse_with_notices(text, self.scan_options(), &mut notices);
        self.notices.extend(notices);
        let statements = VecDeque::from(parsed?);
        let several = statements.len() > 1;
        self.work = Work::Query(Box::new(QueryWork {
            text: Arc::clone(text),
            empty: statements.is_empty(),
            several,
            pipelined: self.block.is_pipelined() && !several,
            statements,
            running: None,
        }));
        Ok(())
    }

    /// Begins to run a portal, for at most `limit` rows.
    pub fn begin_execute(&mut self, portal: &str, limit: Option<u64>) -> Result<()> {
        let Some(found) = self.portals.get_mut(portal) else { return Err(unknown_portal(portal)) };
        found.rows = 0;
        let text = Arc::clone(&found.text);
        self.statement_begins(&text);
        self.work = Work::Execute { portal: portal.to_owned(), limit };
        Ok(())
    }

    /// Begins what a Sync does: the end of an implicit transaction.
    pub fn begin_sync(&mut self) {
        self.work = Work::Sync;
    }

    /// Begins what ends a function call: as a Sync, unless the call is part of a pipeline.
    pub fn begin_call_end(&mut self) -> Result<()> {
        if self.block.is_pipelined() {
            return self.command_ends();
        }
        self.begin_sync();
        Ok(())
    }

    /// Works on what was begun until it is done or the connection must do something first.
    pub fn run(&mut self, sink: &mut dyn RowSink) -> Result<Progress> {
        loop {
            if let Some(ending) = &self.ending {
                match ending.flush_to().filter(|lsn| *lsn > self.instance.cluster.wal.flushed_lsn()) {
                    Some(lsn) => return Ok(Progress::Flush(lsn)),
                    None => self.finish_commit(sink),
                }
            }
            match std::mem::replace(&mut self.work, Work::Nothing) {
                Work::Nothing => {
                    self.show_idle();
                    return Ok(Progress::Done);
                }
                Work::Query(mut query) => {
                    let progress = self.advance_query(&mut query, sink)?;
                    if !query.statements.is_empty() || query.running.is_some() {
                        self.work = Work::Query(query);
                    }
                    if let Some(progress) = progress {
                        return Ok(progress);
                    }
                }
                Work::Execute { portal, limit } => {
                    if let Some(progress) = self.advance_execute(portal, limit, sink)? {
                        return Ok(progress);
                    }
                }
                Work::Sync => {
                    self.statement_ends();
                    if self.block.is_implicit() {
                        self.begin_commit(None, false)?;
                    } else if !self.block.is_block() {
                        // Of statements that need no transaction there may be portals all the same.
                        self.close_portals();
                    }
                }
            }
        }
    }

    /// Tells how the flush that [`Progress::Flush`] asked for ended.
    pub fn flushed(&mut self, flushed: Result<()>) -> Result<()> {
        flushed
    }

    /// Goes on with a query string; `None` when there is something else to do first, or it is done.
    fn advance_query(&mut self, query: &mut QueryWork, sink: &mut dyn RowSink) -> Result<Option<Progress>> {
        if query.empty {
            sink.empty_query();
            return Ok(None);
        }
        let mut portal = match query.running.take() {
            Some(portal) => portal,
            None => {
                let Some(raw) = query.statements.pop_front() else { return Ok(None) };
                // Each statement has the whole time.
                self.start_statement_timeout();
                let portal = self.open_simple(Arc::new(raw), query)?;
                if let Some(columns) = &portal.columns {
                    sink.row_description(columns, &portal.formats);
                }
                portal
            }
        };
        let ran = self.run_portal(&mut portal, None, sink)?;
        let text = Arc::clone(&query.text);
        match ran {
            Ran::Paused(progress) => {
                query.running = Some(portal);
                return Ok(Some(progress));
            }
            Ran::Suspended => unreachable!("a simple query has no row limit"),
            Ran::Complete(tag) => {
                drop(portal);
                let last = query.statements.is_empty();
                if last && self.block.is_implicit() && !query.pipelined {
                    self.begin_commit(Some(tag), false)?;
                } else {
                    self.command_ends()?;
                    self.send_notices(sink, Some(&text));
                    sink.command_complete(&tag);
                }
            }
            Ran::Commits { tag, chain } => {
                drop(portal);
                self.begin_commit(Some(tag), chain)?;
            }
        }
        self.send_notices(sink, Some(&text));
        self.statement_ends();
        Ok(None)
    }

    /// Analyzes and plans a statement of a query string into a portal without parameters.
    fn open_simple(&mut self, raw: Arc<RawStatement>, query: &QueryWork) -> Result<Portal> {
        self.check_not_failed(&raw.statement)?;
        let mut portal = Portal {
            statement: None,
            text: Arc::clone(&query.text),
            runs: Runs::Empty,
            columns: None,
            formats: Vec::new(),
            rows: 0,
            finished: false,
        };
        if let Statement::Transaction(_) = raw.statement {
            portal.runs = Runs::Utility(raw);
            return Ok(portal);
        }
        self.in_transaction()?;
        if query.several {
            self.block.share_implicit();
        }
        let view = self.view();
        let facts = self.facts(&view);
        match statement::prepare(&facts, &raw, Parameters::none())?.0 {
            Prepared::Query(query) => {
                portal.columns = super::prepared::query_columns(&view, &query)?;
                let plan = statement::plan(&facts, query, &[])?;
                portal.runs = Runs::Query { plan, parameters: Arc::from([]), started: None, spare: None };
            }
            Prepared::Utility(raw) => {
                portal.columns = self.utility_columns(&raw)?;
                portal.runs = Runs::Utility(raw);
            }
        }
        portal.formats = vec![Format::Text; portal.columns.as_ref().map_or(0, |columns| columns.len())];
        Ok(portal)
    }

    pub(super) fn check_not_failed(&self, statement: &Statement) -> Result<()> {
        let allowed = matches!(statement, Statement::Transaction(statement) if ends_failed_block(statement));
        if self.block.is_failed() && !allowed { Err(failed_block()) } else { Ok(()) }
    }

    fn advance_execute(
        &mut self,
        name: String,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Option<Progress>> {
        let Some(mut portal) = self.portals.lend(&name) else { return Err(unknown_portal(&name)) };
        if portal.finished && portal.columns.is_none() && !matches!(portal.runs, Runs::Empty) {
            return Err(error!(OBJECT_NOT_IN_PREREQUISITE_STATE, "portal \"{name}\" cannot be run"));
        }
        let before = portal.rows;
        let ran = self.run_portal(&mut portal, limit, sink);
        let given = portal.rows - before;
        let text = Arc::clone(&portal.text);
        match ran? {
            Ran::Paused(progress) => {
                self.portals.give_back(&name, portal);
                self.work = Work::Execute { portal: name, limit: limit.map(|limit| limit - given) };
                return Ok(Some(progress));
            }
            Ran::Suspended => {
                self.portals.give_back(&name, portal);
                self.block.share_implicit();
                sink.portal_suspended();
            }
            Ran::Complete(tag) => {
                let empty = matches!(portal.runs, Runs::Empty);
                portal.finished = true;
                if ends_transaction(&portal) {
                    // Its portals end with it, the one that has ended it among them.
                    drop(portal);
                    self.close_portals();
                } else {
                    self.portals.give_back(&name, portal);
                }
                self.command_ends()?;
                // What is pipelined behind it shares its transaction.
                self.block.share_implicit();
                self.send_notices(sink, Some(&text));
                if empty {
                    sink.empty_query();
                } else {
                    sink.command_complete(&tag);
                }
            }
            Ran::Commits { tag, chain } => {
                drop(portal);
                self.portals.remove(&name);
                self.begin_commit(Some(tag), chain)?;
            }
        }
        self.send_notices(sink, Some(&text));
        Ok(None)
    }

    /// Lets a portal run until it is complete, its limit is reached, or the sink is full.
    pub(super) fn run_portal(
        &mut self,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        match &mut portal.runs {
            Runs::Empty => Ok(Ran::Complete(String::new())),
            Runs::Query { .. } => self.run_query(portal, limit, sink),
            Runs::Utility(raw) => {
                let raw = Arc::clone(raw);
                self.run_utility(portal, &raw, limit, sink)
            }
            Runs::Held(_) => self.run_held(portal, limit, sink),
            Runs::CopyOut(_) => self.go_on_copying_out(portal, sink),
        }
    }

    fn run_query(&mut self, portal: &mut Portal, limit: Option<u64>, sink: &mut dyn RowSink) -> Result<Ran> {
        let Runs::Query { plan, parameters, started, spare } = &mut portal.runs else {
            unreachable!("the caller has looked");
        };
        let plan = Arc::clone(plan);
        if portal.finished {
            return Ok(Ran::Complete(statement::query_tag(&plan, 0)));
        }
        let transaction = self.block.transaction();
        if started.is_none() {
            if transaction.is_read_only() {
                statement::check_read_only(&self.view(), &plan)?;
            }
            let snapshot = transaction.snapshot();
            let execution = match spare.take() {
                Some(mut execution) => {
                    execution.restart(&self.environment(&snapshot, parameters))?;
                    execution
                }
                None => {
                    let view = self.view();
                    Box::new(Execution::new(Arc::clone(&plan), &self.facts(&view))?)
                }
            };
            *started = Some(Started { execution, snapshot, pace: Pace::default() });
        }
        let running = started.as_mut().expect("just started");
        let environment = self.environment(&running.snapshot, parameters);
        // What changes data does all of it, however few of its rows are asked for.
        if limit.is_some() && portal.columns.is_some() && plan.command_type != CommandType::Select {
            let mut rows = TupleStore::default();
            while let Some(batch) = running.execution.next(&environment, BATCH_ROWS)? {
                rows.append(&self.instance.cluster, self.work_mem(), batch)?;
            }
            rows.finish()?;
            portal.runs = Runs::Held(Box::new(Held { rows, tag: HeldTag::Query(plan) }));
            return self.run_held(portal, limit, sink);
        }
        let mut left = limit;
        loop {
            if left == Some(0) {
                return Ok(Ran::Suspended);
            }
            kokkiri_primitives::activity::check_for_interrupts()?;
            let most = if portal.columns.is_some() { running.pace.rows() } else { BATCH_ROWS };
            let demand = left.map_or(most, |left| left.min(most as u64) as usize);
            let Some(batch) = running.execution.next(&environment, demand)? else { break };
            if let Some(columns) = &portal.columns {
                let before = sink.pending();
                self.send_rows(batch, columns, &portal.formats, sink)?;
                running.pace.note(batch.len(), sink.pending() - before);
                let rows = batch.len() as u64;
                portal.rows += rows;
                left = left.map(|left| left - rows);
            }
            if sink.is_full() {
                return Ok(Ran::Paused(Progress::OutputFull));
            }
        }
        portal.finished = true;
        let processed = match portal.columns {
            Some(_) => portal.rows,
            None => running.execution.processed(),
        };
        if let Some(ended) = started.take()
            && let Some(source) = portal.statement.as_ref().and_then(|name| self.statements.get_mut(name))
        {
            source.give_back(ended.execution);
        }
        Ok(Ran::Complete(statement::query_tag(&plan, processed)))
    }

    /// Gives out rows that are held.
    pub(super) fn run_held(
        &self,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let (Runs::Held(held), Some(columns)) = (&mut portal.runs, &portal.columns) else {
            unreachable!("the caller has looked");
        };
        let mut batch = Batch::default();
        let mut left = limit;
        loop {
            if left == Some(0) {
                return Ok(Ran::Suspended);
            }
            let demand = left.map_or(BATCH_ROWS, |left| left.min(BATCH_ROWS as u64) as usize);
            held.rows.read(demand, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            self.send_rows(&batch, columns, &portal.formats, sink)?;
            let rows = batch.len() as u64;
            portal.rows += rows;
            left = left.map(|left| left - rows);
            if sink.is_full() {
                return Ok(Ran::Paused(Progress::OutputFull));
            }
        }
        Ok(Ran::Complete(match &held.tag {
            HeldTag::Query(plan) => statement::query_tag(plan, portal.rows),
            HeldTag::Fixed(tag) => tag.clone(),
        }))
    }

    fn send_rows(
        &self,
        batch: &Batch,
        columns: &[ResultColumn],
        formats: &[Format],
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        match render(&self.view(), &self.io, batch, columns, formats)? {
            Some(rendered) => sink.rows(&rendered, columns, formats, &self.io),
            None => sink.rows(batch, columns, formats, &self.io),
        }
    }

    /// work_mem in bytes.
    pub(super) fn work_mem(&self) -> usize {
        self.settings.get(parameters::WORK_MEM) as usize * 1024
    }

    pub(super) fn environment<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        parameters: &'a [Value],
    ) -> Environment<'a> {
        Environment {
            call: self.call_context(),
            settings: &self.settings,
            transaction: self.block.transaction(),
            snapshot,
            parameters,
            host: Some(self),
        }
    }

    fn run_utility(
        &mut self,
        portal: &mut Portal,
        raw: &Arc<RawStatement>,
        limit: Option<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        if let Statement::Transaction(statement) = &raw.statement {
            return Ok(match self.transaction_statement(statement)? {
                Outcome::Done(tag) => Ran::Complete(tag.to_owned()),
                Outcome::Commit { tag, chain } => Ran::Commits { tag: tag.to_owned(), chain },
            });
        }
        self.in_transaction()?;
        self.run_command(portal, raw, limit, sink)
    }

    /// A command has ended inside a transaction: what it did is visible to the next.
    fn command_ends(&mut self) -> Result<()> {
        if let Some(transaction) = self.block.transaction_if_running()
            && transaction.advance_command()?
        {
            self.catalog.command_ended();
        }
        Ok(())
    }

    /// The first phase of a commit; [`Session::run`] sees to the rest.
    pub(super) fn begin_commit(&mut self, tag: Option<String>, chain: bool) -> Result<()> {
        self.close_portals();
        if self.block.transaction_if_running().is_some()
            && let Err(error) = self.run_deferred(true)
        {
            self.roll_back();
            return Err(error);
        }
        if self.block.transaction_if_running().is_some()
            && !self.catalog.on_commit().borrow().is_empty()
            && let Err(error) = self.with_command(kokkiri_command::before_commit)
        {
            self.roll_back();
            return Err(error);
        }
        self.forget_deferred();
        if let Some(transaction) = self.block.transaction_if_running() {
            self.notices.extend(transaction.take_notices());
        }
        match self.block.prepare_commit(&self.settings, tag.clone(), chain) {
            Ok(Some(ending)) => self.ending = Some(ending),
            // COMMIT outside a block commits nothing, but is answered.
            Ok(None) => self.ending = None,
            Err(error) => {
                self.transaction_aborted();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The second phase: the WAL is flushed.
    fn finish_commit(&mut self, sink: &mut dyn RowSink) {
        let Some(ending) = self.ending.take() else { return };
        let (tag, chain) = ending.finish();
        self.transaction_ended();
        self.settings.commit(1);
        self.catalog.transaction_ended();
        if let Some(options) = chain {
            self.block.begin_chained(&self.settings, options);
        }
        self.send_notices(sink, None);
        if let Some(tag) = tag {
            sink.command_complete(&tag);
        }
    }
}

/// The batch with the columns in their outer form that take the catalog to make; `None` if there are none.
fn render(
    view: &CatalogView<'_>,
    io: &IoSettings,
    batch: &Batch,
    columns: &[ResultColumn],
    formats: &[Format],
) -> Result<Option<Batch>> {
    let renders = |at: usize| {
        let column = &columns[at];
        column.rendered && (formats[at] == Format::Text || text_form::may_be_row(column.type_oid))
    };
    if !(0..columns.len()).any(renders) {
        return Ok(None);
    }
    let mut rendered = Batch::new((0..columns.len()).map(|at| match renders(at) {
        true => PhysicalType::Varlena,
        false => batch.columns[at].vector().physical(),
    }));
    let mut text = Vec::new();
    for row in batch.selection.iter() {
        for (at, column) in rendered.columns.iter_mut().enumerate() {
            let value = batch.columns[at].get(row);
            if renders(at) && !value.is_null() {
                text.clear();
                match formats[at] {
                    Format::Text => {
                        text_form::output_text(Some(view), columns[at].type_oid, value, io, &mut text)?;
                    }
                    Format::Binary => {
                        text_form::output_binary(view, columns[at].type_oid, value, io, &mut text)?;
                    }
                }
                column.push_bytes(&text);
            } else {
                column.push(value);
            }
        }
    }
    rendered.seal(batch.len());
    Ok(Some(rendered))
}

/// True if the portal's statement ends a transaction or a part of one, even if there was none.
fn ends_transaction(portal: &Portal) -> bool {
    let Runs::Utility(raw) = &portal.runs else { return false };
    matches!(&raw.statement, Statement::Transaction(statement) if ends_failed_block(statement))
}
