//! COPY between a table and the client.
//!
//! COPY FROM STDIN pauses the portal until the client's data has come: [`Session::run`] answers
//! [`Progress::CopyIn`] and the connection feeds pieces. COPY TO STDOUT runs a query whose rows become
//! lines.

use std::sync::Arc;

use kokkiri_access::heap::InsertOptions;
use kokkiri_execute::copy::text::TextFormat;
use kokkiri_execute::copy::{CopyFrom, CopyTarget};
use kokkiri_execute::execution::Execution;
use kokkiri_parse::quote_identifier;
use kokkiri_parse::tree::{CopySource, CopyStmt, DefArg, RangeVar, RawStatement};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::{LockMode, SnapshotGuard, WaitPolicy};
use kokkiri_types::{BATCH_ROWS, io};

use super::Session;
use super::command::no_copy;
use super::portal::{Portal, Runs};
use super::run::Ran;
use super::statement::{self, Prepared};
use crate::client::{Progress, RowSink};

/// A COPY FROM STDIN that waits for data.
pub struct CopyIn {
    from: CopyFrom,
    snapshot: SnapshotGuard,
    finished: bool,
}

/// A COPY TO STDOUT that is sending.
pub struct CopyOut {
    execution: Execution,
    snapshot: SnapshotGuard,
    format: TextFormat,
    types: Vec<Oid>,
    rows: u64,
}

/// The options of a COPY.
#[derive(Default)]
struct Options {
    format: TextFormat,
    freeze: bool,
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
        let options = copy_options(copy)?;
        if copy.filename.is_some() || copy.is_program {
            return Err(Error::not_supported("COPY of server-side files and programs"));
        }
        if copy.where_clause.is_some() {
            return Err(Error::not_supported("COPY FROM ... WHERE"));
        }
        match &copy.source {
            CopySource::Relation { relation, columns } if copy.is_from => {
                self.begin_copy_in(relation, columns, options, sink)?;
                Ok(Ran::Paused(Progress::CopyIn))
            }
            CopySource::Relation { relation, columns } => {
                let list = match columns.is_empty() {
                    true => "*".to_owned(),
                    false => columns.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", "),
                };
                let schema = relation.schema.as_deref().map(|name| format!("{}.", quote_identifier(name)));
                let only = format!("{}{}", schema.unwrap_or_default(), quote_identifier(&relation.name));
                let mut parsed = kokkiri_parse::parse(&format!("select {list} from {only}"))?;
                let raw = parsed.pop().ok_or_else(|| Error::internal("a query was not parsed"))?;
                self.begin_copy_out(raw, options, portal, sink)
            }
            CopySource::Query(query) => {
                let raw = RawStatement { statement: query.clone(), location: 0, length: 0 };
                self.begin_copy_out(raw, options, portal, sink)
            }
        }
    }

    fn begin_copy_in(
        &mut self,
        relation: &RangeVar,
        names: &[String],
        options: Options,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        use kokkiri_catalog::view::LockedRelation;
        let view = self.view();
        let schema = relation.schema.as_deref();
        let found = view.lock_relation(schema, &relation.name, LockMode::RowExclusive, WaitPolicy::Block)?;
        let LockedRelation::Found(entry) = found else {
            return Err(error!(UNDEFINED_TABLE, "relation \"{}\" does not exist", relation.name));
        };
        if !entry.relation.kind.has_heap() {
            return Err(error!(WRONG_OBJECT_TYPE, "cannot copy to relation \"{}\"", relation.name));
        }
        let desc = &entry.relation.tuple_desc;
        let columns = match names.is_empty() {
            true => (0..desc.len()).filter(|at| !desc[*at].dropped && desc[*at].generated == 0).collect(),
            false => names
                .iter()
                .map(|name| {
                    desc.iter()
                        .position(|attribute| !attribute.dropped && *attribute.name == **name)
                        .ok_or_else(|| {
                            error!(
                                UNDEFINED_COLUMN,
                                "column \"{name}\" of relation \"{}\" does not exist", relation.name
                            )
                        })
                })
                .collect::<Result<Vec<_>>>()?,
        };
        let buffers = &self.instance.cluster.buffers;
        let target = CopyTarget::new(&self.facts(&view), buffers, entry.oid, &columns)?;
        let insert = InsertOptions { frozen: false, ..InsertOptions::default() };
        if options.freeze && !self.block.is_explicit() {
            return Err(error!(
                INVALID_TRANSACTION_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction"
            ));
        }
        sink.copy_in(false, columns.len());
        self.copy_in = Some(CopyIn {
            from: CopyFrom::new(target, options.format, columns, insert),
            snapshot: self.block.transaction().snapshot(),
            finished: false,
        });
        Ok(())
    }

    /// Takes a piece of the data that COPY FROM STDIN asked for.
    pub fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        let mut copy = self.copy_in.take().ok_or_else(no_copy)?;
        let environment = self.environment(&copy.snapshot, &[]);
        let read = |type_oid, typmod, text: &str| io::input_text(type_oid, typmod, text, &self.io);
        copy.from.data(&environment, &read, data)?;
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
        let environment = self.environment(&copy.snapshot, &[]);
        let read = |type_oid, typmod, text: &str| io::input_text(type_oid, typmod, text, &self.io);
        let rows = copy.from.finish(&environment, &read)?;
        Ok(Ran::Complete(format!("COPY {rows}")))
    }

    fn begin_copy_out(
        &mut self,
        raw: RawStatement,
        options: Options,
        portal: &mut Portal,
        sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        let raw = Arc::new(raw);
        let view = self.view();
        let facts = self.facts(&view);
        let prepared = statement::prepare(&facts, &raw, kokkiri_analyze::Parameters::none())?.0;
        let Prepared::Query(query) = prepared else {
            return Err(error!(FEATURE_NOT_SUPPORTED, "COPY query must be a query that returns rows"));
        };
        let Some(columns) = super::prepared::query_columns(&view, &query)? else {
            return Err(error!(FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause"));
        };
        let plan = statement::plan(&facts, *query, &[])?;
        let execution = Execution::new(plan, &facts)?;
        sink.copy_out(false, columns.len());
        if options.format.header {
            let mut line = Vec::new();
            for (number, column) in columns.iter().enumerate() {
                if number > 0 {
                    line.push(options.format.delimiter);
                }
                options.format.write(Some(column.name.as_bytes()), &mut line);
            }
            line.push(b'\n');
            sink.copy_data(&line);
        }
        portal.runs = Runs::CopyOut(Box::new(CopyOut {
            execution,
            snapshot: self.block.transaction().snapshot(),
            format: options.format,
            types: columns.iter().map(|column| column.type_oid).collect(),
            rows: 0,
        }));
        self.go_on_copying_out(portal, sink)
    }

    pub(super) fn go_on_copying_out(&mut self, portal: &mut Portal, sink: &mut dyn RowSink) -> Result<Ran> {
        let Runs::CopyOut(copy) = &mut portal.runs else { return Err(no_copy()) };
        let CopyOut { execution, snapshot, format, types, rows } = &mut **copy;
        let environment = self.environment(snapshot, &[]);
        let (mut line, mut text) = (Vec::new(), Vec::new());
        while !sink.is_full() {
            let Some(batch) = execution.next(&environment, BATCH_ROWS)? else {
                sink.copy_done();
                return Ok(Ran::Complete(format!("COPY {rows}")));
            };
            for row in batch.selection.iter() {
                line.clear();
                for (number, (column, type_oid)) in batch.columns.iter().zip(types.iter()).enumerate() {
                    if number > 0 {
                        line.push(format.delimiter);
                    }
                    let value = column.get(row);
                    text.clear();
                    if !value.is_null() {
                        io::output_text(*type_oid, value, &self.io, &mut text)?;
                    }
                    format.write((!value.is_null()).then_some(&text), &mut line);
                }
                line.push(b'\n');
                sink.copy_data(&line);
                *rows += 1;
            }
        }
        Ok(Ran::Paused(Progress::OutputFull))
    }
}

fn copy_options(copy: &CopyStmt) -> Result<Options> {
    let mut options = Options::default();
    let text = |arg: &Option<DefArg>| match arg {
        Some(DefArg::String(text)) => Some(text.clone()),
        Some(DefArg::TypeName(name)) => name.names.last().cloned(),
        _ => None,
    };
    for option in &copy.options {
        let on = match &option.arg {
            None => true,
            Some(DefArg::Boolean(on)) => *on,
            Some(DefArg::Integer(number)) => *number != 0,
            arg => {
                text(arg).and_then(|word| kokkiri_primitives::settings::parse_bool(&word)).unwrap_or(false)
            }
        };
        match option.name.as_str() {
            "format" => match text(&option.arg).as_deref() {
                Some("text") => {}
                Some(other @ ("csv" | "binary")) => {
                    return Err(Error::not_supported(format!("COPY format {other}")));
                }
                other => {
                    return Err(error!(
                        INVALID_PARAMETER_VALUE,
                        "COPY format \"{}\" not recognized",
                        other.unwrap_or_default()
                    ));
                }
            },
            "freeze" => options.freeze = on,
            "header" => options.format.header = on,
            "delimiter" => match text(&option.arg).as_deref().map(str::as_bytes) {
                Some([delimiter]) => options.format.delimiter = *delimiter,
                _ => {
                    return Err(error!(
                        FEATURE_NOT_SUPPORTED,
                        "COPY delimiter must be a single one-byte character"
                    ));
                }
            },
            "null" => options.format.null = text(&option.arg).unwrap_or_default(),
            other => return Err(Error::not_supported(format!("COPY option \"{other}\""))),
        }
    }
    Ok(options)
}
