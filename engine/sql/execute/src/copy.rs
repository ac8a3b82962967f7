//! COPY: rows between a table and bytes outside, in text, CSV or binary format.
//!
//! Realises: copyfrom.c, copyfromparse.c and the formatting half of copyto.c. Data comes in pieces of any
//! size ([`CopyFrom::data`]); whole lines are taken from them, read into rows, and inserted many at a time.
//! Nothing holds more than one batch of rows and the piece of a line that is not whole yet.

pub mod binary;
pub mod csv;
pub mod format;
pub mod lines;
mod target;
pub mod text;
mod writer;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use kokkiri_access::heap::InsertOptions;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::Value;

use crate::context::Environment;
use binary::BinaryReader;
use format::{CopyFormat, Header, Kind, OnError, Verbosity, is_bad_value};
use lines::LineReader;

pub use target::CopyTarget;
pub use writer::CopyWriter;

/// Rows collected before they are inserted.
const ROWS_PER_INSERT: usize = 1000;
/// Bytes of input collected before they are inserted.
const BYTES_PER_INSERT: usize = 65535;

/// A field as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Null,
    /// The column's default.
    Default,
    Text(Cow<'a, str>),
}

/// Reads a value of a type and typmod from one of its forms.
pub type ReadForm<'a, F> = &'a dyn Fn(Oid, i32, &F) -> Result<Value>;

/// How fields are read.
#[derive(Clone, Copy)]
pub struct ReadValue<'a> {
    pub text: ReadForm<'a, str>,
    pub binary: ReadForm<'a, [u8]>,
}

/// What COPY FROM does besides reading.
#[derive(Clone, Debug, Default)]
pub struct FromOptions {
    pub insert: InsertOptions,
    pub on_error: OnError,
    /// For each copied column: its null marker is an empty string instead (CSV).
    pub force_not_null: Vec<bool>,
    /// For each copied column: its null marker is null even in quotes (CSV).
    pub force_null: Vec<bool>,
}

enum Source {
    Lines(LineReader),
    Binary(BinaryReader),
}

/// A COPY FROM on its way.
pub struct CopyFrom {
    target: CopyTarget,
    format: CopyFormat,
    /// Columns of the table (0-based) that the fields are for, in order.
    columns: Vec<usize>,
    options: FromOptions,
    source: Source,
    header_pending: bool,
    line: u64,
    /// Rows to be inserted, each with its line.
    rows: Vec<Vec<Value>>,
    lines: Vec<u64>,
    collected: usize,
    processed: u64,
    skipped: u64,
}

/// A column and its field's text, which an error is about.
type Culprit<'a> = Option<(&'a str, Option<&'a str>)>;

impl CopyFrom {
    pub fn new(target: CopyTarget, format: CopyFormat, columns: Vec<usize>, options: FromOptions) -> Self {
        let source = match format.kind {
            Kind::Binary => Source::Binary(BinaryReader::default()),
            Kind::Text | Kind::Csv => Source::Lines(LineReader::new(&format)),
        };
        Self {
            target,
            header_pending: format.header != Header::None,
            format,
            columns,
            options,
            source,
            line: 0,
            rows: Vec::new(),
            lines: Vec::new(),
            collected: 0,
            processed: 0,
            skipped: 0,
        }
    }

    /// Takes a piece of the input.
    ///
    /// # Errors
    /// What is wrong with a line or its row, with the line as context.
    pub fn data(&mut self, environment: &Environment<'_>, read: ReadValue<'_>, piece: &[u8]) -> Result<()> {
        check_for_interrupts()?;
        let piece = self.format.encoding.decode(piece);
        match &mut self.source {
            Source::Lines(lines) => lines.feed(&piece),
            Source::Binary(reader) => reader.feed(&piece),
        }
        self.take_rows(environment, read, false)
    }

    /// The input is over: inserts what is left and checks what is checked at the end.
    pub fn finish(&mut self, environment: &Environment<'_>, read: ReadValue<'_>) -> Result<u64> {
        self.take_rows(environment, read, true)?;
        self.insert(environment)?;
        if self.skipped > 0 && self.options.on_error.verbosity >= Verbosity::Default {
            let rows = if self.skipped == 1 { "row was" } else { "rows were" };
            environment.transaction.add_notice(Error::notice(format!(
                "{} {rows} skipped due to data type incompatibility",
                self.skipped
            )));
        }
        self.target.finish(environment)?;
        Ok(self.processed)
    }

    fn take_rows(&mut self, environment: &Environment<'_>, read: ReadValue<'_>, last: bool) -> Result<()> {
        loop {
            let before = self.collected;
            match &mut self.source {
                Source::Lines(lines) => match lines.next(last) {
                    Ok(lines::Found::Line(range)) => self.take_line(environment, read, &range)?,
                    Ok(_) => return Ok(()),
                    Err(error) => {
                        self.line += 1;
                        return Err(error.context(self.place(None, None)));
                    }
                },
                Source::Binary(reader) => {
                    let found = reader.next(self.columns.len(), last);
                    let in_rows = reader.header_read();
                    match found {
                        Ok(binary::Found::Row(fields)) => {
                            self.line += 1;
                            self.take_binary_row(environment, read, fields)?;
                        }
                        Ok(_) => return Ok(()),
                        Err(error) if in_rows => {
                            self.line += 1;
                            return Err(error.context(self.place(None, None)));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            let full = self.rows.len() >= ROWS_PER_INSERT || self.collected >= BYTES_PER_INSERT;
            if full || self.target.one_by_one() && self.collected != before {
                self.insert(environment)?;
            }
        }
    }

    /// Where the copying is: the context of errors.
    fn place(&self, culprit: Culprit<'_>, line: Option<&[u8]>) -> String {
        let mut context = format!("COPY {}, line {}", self.target.relation().name, self.line);
        match (culprit, line) {
            (Some((column, Some(text))), _) => {
                context.push_str(&format!(", column {column}: \"{}\"", limited(text)))
            }
            (Some((column, None)), Some(_)) => context.push_str(&format!(", column {column}: null input")),
            (Some((column, None)), None) => context.push_str(&format!(", column {column}")),
            (None, Some(line)) => {
                context.push_str(&format!(": \"{}\"", limited(&String::from_utf8_lossy(line))))
            }
            (None, None) => {}
        }
        context
    }

    fn take_line(
        &mut self,
        environment: &Environment<'_>,
        read: ReadValue<'_>,
        range: &Range<usize>,
    ) -> Result<()> {
        let Source::Lines(lines) = &mut self.source else { unreachable!("lines come from a line reader") };
        self.line += 1 + lines.take_inner_lines();
        let line = lines.line(range).to_vec();
        let format = std::mem::take(&mut self.format);
        let fields = match self.columns.is_empty() && line.is_empty() {
            true => Ok(Vec::new()),
            false if format.kind == Kind::Csv => csv::fields(&format, &line),
            false => text::fields(&format, &line),
        };
        let done = fields
            .map_err(|error| error.context(self.place(None, Some(&line))))
            .and_then(|fields| self.take_fields(environment, read, &format, &line, fields));
        self.format = format;
        done
    }

    fn take_fields(
        &mut self,
        environment: &Environment<'_>,
        read: ReadValue<'_>,
        format: &CopyFormat,
        line: &[u8],
        fields: Vec<Field<'_>>,
    ) -> Result<()> {
        let here = |copy: &Self, error: Error| error.context(copy.place(None, Some(line)));
        if std::mem::take(&mut self.header_pending) {
            return match format.header {
                Header::Match => self.match_header(format, &fields).map_err(|error| here(self, error)),
                Header::None | Header::Line => Ok(()),
            };
        }
        if let Some(mut row) = self.read_row(environment, read, format, line, fields)? {
            self.add_row(environment, &mut row, line.len()).map_err(|error| here(self, error))?;
        }
        Ok(())
    }

    fn match_header(&self, format: &CopyFormat, fields: &[Field<'_>]) -> Result<()> {
        if fields.len() != self.columns.len() {
            return Err(error!(
                BAD_COPY_FILE_FORMAT,
                "wrong number of fields in header line: got {}, expected {}",
                fields.len(),
                self.columns.len()
            ));
        }
        let relation = self.target.relation();
        for (number, (field, at)) in fields.iter().zip(&self.columns).enumerate() {
            let expected = &relation.tuple_desc[*at].name;
            let got = match field {
                Field::Text(text) if text[..] == expected[..] => continue,
                Field::Text(text) => format!("got \"{text}\""),
                Field::Null | Field::Default => format!("got null value (\"{}\")", format.null),
            };
            return Err(error!(
                BAD_COPY_FILE_FORMAT,
                "column name mismatch in header line field {}: {got}, expected \"{expected}\"",
                number + 1
            ));
        }
        Ok(())
    }

    /// The row of a line's fields; nothing if it is skipped.
    fn read_row(
        &mut self,
        environment: &Environment<'_>,
        read: ReadValue<'_>,
        format: &CopyFormat,
        line: &[u8],
        fields: Vec<Field<'_>>,
    ) -> Result<Option<Vec<Value>>> {
        let relation = Arc::clone(self.target.relation());
        if fields.len() > self.columns.len() {
            let extra = error!(BAD_COPY_FILE_FORMAT, "extra data after last expected column");
            return Err(extra.context(self.place(None, Some(line))));
        }
        let mut row = vec![Value::Null; relation.tuple_desc.len()];
        let mut fields = fields.into_iter();
        for (number, &at) in self.columns.clone().iter().enumerate() {
            let attribute = &relation.tuple_desc[at];
            let Some(mut field) = fields.next() else {
                let missing = error!(BAD_COPY_FILE_FORMAT, "missing data for column \"{}\"", attribute.name);
                return Err(missing.context(self.place(None, Some(line))));
            };
            if field == Field::Null && self.options.force_not_null.get(number) == Some(&true) {
                field = Field::Text(Cow::Owned(format.null.clone()));
            } else if self.options.force_null.get(number) == Some(&true)
                && matches!(&field, Field::Text(text) if **text == format.null)
            {
                field = Field::Null;
            }
            row[at] = match &field {
                Field::Default => self
                    .target
                    .default_of(environment, at)
                    .map_err(|error| error.context(self.place(None, Some(line))))?,
                Field::Null => continue,
                Field::Text(text) => match (read.text)(attribute.type_oid, attribute.typmod, text) {
                    Ok(value) => value,
                    Err(error) => {
                        let culprit = Some((&*attribute.name, Some(&**text)));
                        if !self.options.on_error.ignore || !is_bad_value(error.sqlstate()) {
                            return Err(error.context(self.place(culprit, Some(line))));
                        }
                        self.skip_row(environment, culprit)?;
                        return Ok(None);
                    }
                },
            };
        }
        self.target
            .fill_defaults(environment, &mut row)
            .map_err(|error| error.context(self.place(None, Some(line))))?;
        Ok(Some(row))
    }

    /// Counts a row that is skipped under ON_ERROR ignore.
    fn skip_row(&mut self, environment: &Environment<'_>, culprit: Culprit<'_>) -> Result<()> {
        self.skipped += 1;
        let OnError { reject_limit, verbosity, .. } = self.options.on_error;
        if verbosity == Verbosity::Verbose
            && let Some((column, Some(text))) = culprit
        {
            let notice = Error::notice(format!(
                "skipping row due to data type incompatibility at line {} for column \"{column}\": \"{}\"",
                self.line,
                limited(text)
            ));
            let place = format!("COPY {}", self.target.relation().name);
            environment.transaction.add_notice(notice.context(place));
        }
        match reject_limit {
            Some(limit) if self.skipped > limit => Err(error!(
                INVALID_TEXT_REPRESENTATION,
                "skipped more than REJECT_LIMIT ({limit}) rows due to data type incompatibility"
            )
            .context(self.place(culprit, None))),
            _ => Ok(()),
        }
    }

    fn take_binary_row(
        &mut self,
        environment: &Environment<'_>,
        read: ReadValue<'_>,
        fields: binary::Fields,
    ) -> Result<()> {
        let relation = Arc::clone(self.target.relation());
        let mut row = vec![Value::Null; relation.tuple_desc.len()];
        let mut length = 0;
        for (at, field) in self.columns.iter().zip(fields) {
            let attribute = &relation.tuple_desc[*at];
            if let Some(bytes) = field {
                length += bytes.len();
                row[*at] = (read.binary)(attribute.type_oid, attribute.typmod, &bytes)
                    .map_err(|error| error.context(self.place(Some((&attribute.name, None)), None)))?;
            }
        }
        let filled = self.target.fill_defaults(environment, &mut row);
        filled
            .and_then(|()| self.add_row(environment, &mut row, length))
            .map_err(|error| error.context(self.place(None, None)))
    }

    /// Keeps a row that passes WHERE and the checks for insertion.
    fn add_row(&mut self, environment: &Environment<'_>, row: &mut Vec<Value>, length: usize) -> Result<()> {
        if self.target.wants(environment, row)? {
            self.target.check(environment, row)?;
            self.rows.push(std::mem::take(row));
            self.lines.push(self.line);
            // A row of no bytes counts, too.
            self.collected += length.max(1);
        }
        Ok(())
    }

    fn insert(&mut self, environment: &Environment<'_>) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let lines = std::mem::take(&mut self.lines);
        self.collected = 0;
        let inserted = self.target.insert(environment, &rows, self.options.insert);
        inserted.map_err(|(error, row)| match lines.get(row.unwrap_or(0)) {
            Some(line) => error.context(format!("COPY {}, line {line}", self.target.relation().name)),
            None => error,
        })?;
        self.processed += rows.len() as u64;
        Ok(())
    }
}

/// At most a hundred bytes of text, as messages show it.
fn limited(text: &str) -> String {
    const SHOWN_MAX: usize = 100;
    if text.len() <= SHOWN_MAX {
        return text.to_owned();
    }
    let end = (0..=SHOWN_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}
