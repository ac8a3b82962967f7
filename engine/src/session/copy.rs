//! COPY between a table and the client, or a file or program of the server.
//!
//! COPY FROM STDIN pauses the portal until the client's data has come: [`Session::run`] answers
//! [`Progress::CopyIn`] and the connection feeds pieces. COPY TO runs a query whose rows become lines.
//! What comes from or goes to the server's own files is moved in one go.

mod server_side;

use std::sync::Arc;

use kokkiri_access::heap::InsertOptions;
use kokkiri_command::copy::{self, CopyOptions};
use kokkiri_execute::context::Environment;
use kokkiri_execute::copy::{CopyFrom, CopyTarget, CopyWriter, FromOptions, ReadValue};
use kokkiri_execute::execution::Execution;
use kokkiri_functions::system::text_form;
use kokkiri_parse::quote_identifier;
use kokkiri_parse::tree::{CopySource, CopyStmt, RangeVar, RawStatement};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::SnapshotGuard;
use kokkiri_types::{Value, io};

use super::Session;
use super::command::no_copy;
use super::pace::Pace;
use super::portal::{Portal, Runs};
use super::run::Ran;
use super::statement::{self, Prepared};
use crate::client::{Progress, RowSink};
use server_side::{Input, Output};

/// A COPY FROM that is reading.
pub struct CopyIn {
    from: CopyFrom,
    snapshot: SnapshotGuard,
    finished: bool,
}

/// A COPY TO that is writing.
pub struct CopyOut {
    execution: Execution,
    snapshot: SnapshotGuard,
    writer: CopyWriter,
    types: Vec<Oid>,
    /// Where rows go; absent for the client.
    output: Option<Output>,
    rows: u64,
    pace: Pace,
}

impl Session {
    pub(super) fn copy(
        &mut self,
        copy: &CopyStmt,
        portal: &mut Portal,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        if let Some(running) = &self.copy_in {
            return if running.finished { self.finish_copy_in() } else { Ok(Ran::Paused(Progress::CopyIn)) };
        }
        if matches!(portal.runs, Runs::CopyOut(_)) {
            return self.go_on_copying_out(portal, sink);
        }
        copy::check_server_access(&self.view(), self.role, copy)?;
        match &copy.source {
            CopySource::Relation { relation, columns } if copy.is_from => {
                self.copy_in(copy, relation, columns, sink)
            }
            CopySource::Relation { relation, columns } => {
                let view = self.view();
                let entry = copy::lock_relation(&view, relation, false)?;
                let desc = &entry.relation.tuple_desc;
                let copied = copy::columns(&relation.name, desc, columns)?;
                copy::check_privileges(&view, self.role, &entry, false)?;
                copy::check_kind(&entry, false)?;
                let options = copy::options(copy)?;
                let force = copy::flags("FORCE_QUOTE", &options.force_quote, &relation.name, desc, &copied)?;
                let list: Vec<_> = copied.iter().map(|at| quote_identifier(&desc[*at].name)).collect();
                let text = format!(
                    "select {} from only {}.{}",
                    list.join(", "),
                    quote_identifier(&entry.relation.namespace_name),
                    quote_identifier(&relation.name)
                );
                let mut parsed = kokkiri_parse::parse(&text)?;
                let raw = parsed.pop().ok_or_else(|| Error::internal("a query was not parsed"))?;
                self.copy_out(copy, raw, options, Some(force), portal, sink)
            }
            CopySource::Query(query) => {
                let options = copy::options(copy)?;
                let raw = RawStatement { statement: query.clone(), location: 0, length: 0 };
                self.copy_out(copy, raw, options, None, portal, sink)
            }
        }
    }

    fn copy_in(
        &mut self,
        copy: &CopyStmt,
        relation: &RangeVar,
        names: &[String],
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let view = self.view();
        let entry = copy::lock_relation(&view, relation, true)?;
        let condition = copy::condition(&view, &self.io, copy, &entry)?;
        let (name, desc) = (&relation.name, &entry.relation.tuple_desc);
        let columns = copy::columns(name, desc, names)?;
        copy::check_privileges(&view, self.role, &entry, true)?;
        let transaction = self.block.transaction();
        if transaction.is_read_only() && !entry.relation.is_temporary() {
            return Err(error!(
                READ_ONLY_SQL_TRANSACTION,
                "cannot execute COPY FROM in a read-only transaction"
            ));
        }
        let options = copy::options(copy)?;
        let from = FromOptions {
            insert: InsertOptions { frozen: options.freeze, ..InsertOptions::default() },
            on_error: options.on_error,
            force_not_null: copy::flags("FORCE_NOT_NULL", &options.force_not_null, name, desc, &columns)?,
            force_null: copy::flags("FORCE_NULL", &options.force_null, name, desc, &columns)?,
        };
        let buffers = &self.instance.cluster.buffers;
        let defaults = copy::defaults(&view, &self.io, &entry)?;
        let facts = self.facts(&view);
        let target = CopyTarget::new(&facts, buffers, entry.oid, &columns, &defaults, condition.as_ref())?;
        let input = match &copy.filename {
            Some(name) => Some(Input::open(name, copy.is_program)?),
            None => {
                let binary = options.format.kind == kokkiri_execute::copy::format::Kind::Binary;
                sink.copy_in(binary, columns.len());
                None
            }
        };
        // Both are judged when the client has been told to send: it sees the errors so.
        copy::check_kind(&entry, true)?;
        if options.freeze {
            self.check_freeze(&entry.relation)?;
        }
        let copying = CopyIn {
            from: CopyFrom::new(target, options.format, columns, from),
            snapshot: transaction.snapshot(),
            finished: false,
        };
        match input {
            None => {
                self.copy_in = Some(copying);
                Ok(Ran::Paused(Progress::CopyIn))
            }
            Some(input) => self.copy_from_server(copying, input),
        }
    }

    /// Frozen rows are visible to all: nobody may have a reason not to see them.
    fn check_freeze(&self, relation: &kokkiri_access::relation::Relation) -> Result<()> {
        if !self.portals.is_empty() {
            return Err(error!(
                INVALID_TRANSACTION_STATE,
                "cannot perform COPY FREEZE because of prior transaction activity"
            ));
        }
        if !self.block.transaction().made_in_current_sub(relation.file) {
            return Err(error!(
                OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction"
            ));
        }
        Ok(())
    }

    fn copy_from_server(&self, mut copying: CopyIn, mut input: Input) -> Result<Ran> {
        loop {
            let piece = input.read()?;
            if piece.is_empty() {
                break;
            }
            self.with_reader(&copying.snapshot, |environment, read| {
                copying.from.data(environment, read, &piece)
            })?;
        }
        let rows =
            self.with_reader(&copying.snapshot, |environment, read| copying.from.finish(environment, read))?;
        input.close()?;
        Ok(Ran::Complete(format!("COPY {rows}")))
    }

    /// Lends what reading rows takes.
    fn with_reader<T>(
        &self,
        snapshot: &SnapshotGuard,
        body: impl FnOnce(&Environment<'_>, ReadValue<'_>) -> Result<T>,
    ) -> Result<T> {
        let environment = self.environment(snapshot, &[]);
        let view = self.view();
        let text = |type_oid, typmod, text: &str| -> Result<Value> {
            text_form::input_text(Some(&view), type_oid, typmod, text, &self.io)
        };
        let binary = |type_oid, typmod, bytes: &[u8]| -> Result<Value> {
            io::input_binary(type_oid, typmod, bytes, &self.io)
        };
        body(&environment, ReadValue { text: &text, binary: &binary })
    }

    /// Takes a piece of the data that COPY FROM STDIN asked for.
    pub fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        let mut copy = self.copy_in.take().ok_or_else(no_copy)?;
        let CopyIn { from, snapshot, .. } = &mut copy;
        self.with_reader(snapshot, |environment, read| from.data(environment, read, data))?;
        self.copy_in = Some(copy);
        Ok(())
    }

    /// The client has sent all COPY data.
    pub fn copy_done(&mut self) -> Result<()> {
        self.copy_in.as_mut().ok_or_else(no_copy)?.finished = true;
        Ok(())
    }

    /// The client gives COPY up.
    pub fn copy_fail(&mut self, reason: &str) -> Result<()> {
        self.copy_in.take().ok_or_else(no_copy)?;
        Err(Error::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}")))
    }

    fn finish_copy_in(&mut self) -> Result<Ran> {
        let mut copy = self.copy_in.take().ok_or_else(no_copy)?;
        let CopyIn { from, snapshot, .. } = &mut copy;
        let rows = self.with_reader(snapshot, |environment, read| from.finish(environment, read))?;
        Ok(Ran::Complete(format!("COPY {rows}")))
    }

    fn copy_out(
        &mut self,
        copy: &CopyStmt,
        raw: RawStatement,
        options: CopyOptions,
        force_quote: Option<Vec<bool>>,
        portal: &mut Portal,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        if let kokkiri_parse::tree::Statement::Select(select) = &raw.statement
            && select.into.is_some()
        {
            return Err(error!(FEATURE_NOT_SUPPORTED, "COPY (SELECT INTO) is not supported"));
        }
        let raw = Arc::new(raw);
        let view = self.view();
        let facts = self.facts(&view);
        let prepared = statement::prepare(&facts, &raw, kokkiri_analyze::Parameters::none())?.0;
        let Prepared::Query(query) = prepared else {
            return Err(error!(FEATURE_NOT_SUPPORTED, "COPY query must not be a utility command"));
        };
        let Some(columns) = super::prepared::query_columns(&view, &query)? else {
            return Err(error!(FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause"));
        };
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        let force_quote = match force_quote {
            Some(flags) => flags,
            None => copy::query_flags(&options.force_quote, &names)?,
        };
        let plan = statement::plan(&facts, query, &[])?;
        if self.block.transaction().is_read_only() {
            statement::check_read_only(&view, &plan)?;
        }
        let execution = Execution::new(plan, &facts)?;
        let output = copy.filename.as_ref().map(|name| Output::open(name, copy.is_program)).transpose()?;
        let writer = CopyWriter::new(options.format, force_quote);
        let mut begin = Vec::new();
        writer.begin(names.into_iter(), &mut begin)?;
        let mut copying = CopyOut {
            execution,
            snapshot: self.block.transaction().snapshot(),
            types: columns.iter().map(|column| column.type_oid).collect(),
            output,
            rows: 0,
            pace: Pace::default(),
            writer,
        };
        if copying.output.is_none() {
            sink.copy_out(copying.writer.is_binary(), columns.len());
        }
        if !begin.is_empty() {
            copying.send(&begin, sink)?;
        }
        portal.runs = Runs::CopyOut(Box::new(copying));
        self.go_on_copying_out(portal, sink)
    }

    pub(super) fn go_on_copying_out(&mut self, portal: &mut Portal, sink: &mut dyn RowSink) -> Result<Ran> {
        let Runs::CopyOut(copy) = &mut portal.runs else { return Err(no_copy()) };
        let CopyOut { execution, snapshot, writer, types, output, rows, pace } = &mut **copy;
        let environment = self.environment(snapshot, &[]);
        let view = self.view();
        let (mut line, mut form) = (Vec::new(), Vec::new());
        while output.is_some() || !sink.is_full() {
            check_for_interrupts()?;
            let Some(batch) = execution.next(&environment, pace.rows())? else {
                line.clear();
                writer.end(&mut line);
                let rows = *rows;
                if !line.is_empty() {
                    send(output, &line, sink)?;
                }
                match output.take() {
                    Some(output) => output.close()?,
                    None => sink.copy_done(),
                }
                return Ok(Ran::Complete(format!("COPY {rows}")));
            };
            let mut bytes = 0;
            for row in batch.selection.iter() {
                writer.begin_row(&mut line);
                for (at, (column, type_oid)) in batch.columns.iter().zip(types.iter()).enumerate() {
                    let value = column.get(row);
                    form.clear();
                    match (value.is_null(), writer.is_binary()) {
                        (true, _) => {}
                        (false, true) => io::output_binary(*type_oid, value, &self.io, &mut form)?,
                        (false, false) => {
                            text_form::output_text(Some(&view), *type_oid, value, &self.io, &mut form)?
                        }
                    }
                    writer.field(at, (!value.is_null()).then_some(&form), &mut line);
                }
                writer.end_row(&mut line)?;
                send(output, &line, sink)?;
                bytes += line.len();
                *rows += 1;
            }
            pace.note(batch.len(), bytes);
        }
        Ok(Ran::Paused(Progress::OutputFull))
    }
}

impl CopyOut {
    fn send(&mut self, bytes: &[u8], sink: &mut dyn RowSink) -> Result<()> {
        send(&mut self.output, bytes, sink)
    }
}

fn send(output: &mut Option<Output>, bytes: &[u8], sink: &mut dyn RowSink) -> Result<()> {
    match output {
        Some(output) => output.write(bytes),
        None => {
            sink.copy_data(bytes);
            Ok(())
        }
    }
}
