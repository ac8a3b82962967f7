//! COPY: rows between a table and the text that a client sends or receives.
//!
//! Realises: copyfrom.c, copyfromparse.c and copyto.c. Data comes in pieces of any size
//! ([`CopyFrom::data`]); whole lines are taken from them, read into rows, and inserted many at a time.
//! Nothing holds more than one batch of rows and the piece of a line that is not whole yet.

mod target;
pub mod text;

use std::sync::Arc;

use kokkiri_access::heap::InsertOptions;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::Value;

use crate::context::Environment;

pub use target::CopyTarget;
use text::{Field, TextFormat};

/// Rows collected before they are inserted.
const ROWS_PER_INSERT: usize = 1000;
/// Bytes of input collected before they are inserted.
const BYTES_PER_INSERT: usize = 64 * 1024;

/// Reads a field of a column's type: (type, typmod, text).
pub type ReadValue<'a> = &'a dyn Fn(kokkiri_primitives::Oid, i32, &str) -> Result<Value>;

/// A COPY FROM on its way.
pub struct CopyFrom {
    target: CopyTarget,
    format: TextFormat,
    /// Columns of the table (0-based) that the fields are for, in order.
    columns: Vec<usize>,
    options: InsertOptions,
    /// Input that is no whole line yet.
    rest: Vec<u8>,
    /// The end marker has come: what follows is ignored.
    ended: bool,
    line: u64,
    rows: Vec<Vec<Value>>,
    /// Line of the first collected row.
    first_line: u64,
    collected: usize,
    processed: u64,
    skip_header: bool,
}

impl CopyFrom {
    pub fn new(target: CopyTarget, format: TextFormat, columns: Vec<usize>, options: InsertOptions) -> Self {
        Self {
            target,
            skip_header: format.header,
            format,
            columns,
            options,
            rest: Vec::new(),
            ended: false,
            line: 0,
            rows: Vec::new(),
            first_line: 0,
            collected: 0,
            processed: 0,
        }
    }

    /// Number of fields of a line.
    pub fn field_count(&self) -> usize {
        self.columns.len()
    }

    /// Takes a piece of the input.
    ///
    /// # Errors
    /// What is wrong with a line or its row, with the line as context.
    pub fn data(&mut self, environment: &Environment<'_>, read: ReadValue<'_>, piece: &[u8]) -> Result<()> {
        check_for_interrupts()?;
        if self.ended {
            return Ok(());
        }
        let mut input = std::mem::take(&mut self.rest);
        input.extend_from_slice(piece);
        let mut start = 0;
        while let Some(end) = memchr(&input[start..]) {
            let line = &input[start..start + end];
            start += end + 1;
            self.take_line(environment, read, line)?;
            if self.ended {
                return Ok(());
            }
        }
        input.drain(..start);
        self.rest = input;
        Ok(())
    }

    /// The input is over: inserts what is left and checks what is checked at the end.
    pub fn finish(&mut self, environment: &Environment<'_>, read: ReadValue<'_>) -> Result<u64> {
        if !self.ended && !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.take_line(environment, read, &line)?;
        }
        self.insert(environment)?;
        self.target.finish(environment)?;
        Ok(self.processed)
    }

    fn take_line(&mut self, environment: &Environment<'_>, read: ReadValue<'_>, line: &[u8]) -> Result<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        self.line += 1;
        if std::mem::take(&mut self.skip_header) {
            return Ok(());
        }
        if self.rows.is_empty() {
            self.first_line = self.line;
        }
        let row = self.read_row(environment, read, line)?;
        self.rows.push(row);
        self.collected += line.len();
        if self.rows.len() >= ROWS_PER_INSERT || self.collected >= BYTES_PER_INSERT {
            self.insert(environment)?;
        }
        Ok(())
    }

    fn read_row(
        &mut self,
        environment: &Environment<'_>,
        read: ReadValue<'_>,
        line: &[u8],
    ) -> Result<Vec<Value>> {
        let relation = Arc::clone(self.target.relation());
        let here = |error: Error, column: Option<(&str, Option<&str>)>| {
            let mut context = format!("COPY {}, line {}", relation.name, self.line);
            match column {
                Some((column, Some(text))) => {
                    context.push_str(&format!(", column {column}: \"{}\"", limited(text)))
                }
                Some((column, None)) => context.push_str(&format!(", column {column}: null input")),
                None => context.push_str(&format!(": \"{}\"", limited(&String::from_utf8_lossy(line)))),
            }
            error.context(context)
        };
        let mut row = vec![Value::Null; relation.tuple_desc.len()];
        let mut fields = self.format.fields(line);
        for at in &self.columns {
            let attribute = &relation.tuple_desc[*at];
            let field = match fields.next() {
                Some(field) => field.map_err(|error| here(error, None))?,
                None => {
                    let missing =
                        error!(BAD_COPY_FILE_FORMAT, "missing data for column \"{}\"", attribute.name);
                    return Err(here(missing, None));
                }
            };
            if let Field::Text(text) = field {
                row[*at] = read(attribute.type_oid, attribute.typmod, &text)
                    .map_err(|error| here(error, Some((&attribute.name, Some(&text)))))?;
            }
        }
        if fields.next().is_some() {
            return Err(here(error!(BAD_COPY_FILE_FORMAT, "extra data after last expected column"), None));
        }
        self.target.fill_defaults(environment, &mut row)?;
        Ok(row)
    }

    fn insert(&mut self, environment: &Environment<'_>) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.collected = 0;
        let inserted = self.target.insert(environment, &rows, self.options);
        inserted.map_err(|(error, row)| match row {
            Some(row) => error.context(format!(
                "COPY {}, line {}",
                self.target.relation().name,
                self.first_line + row as u64
            )),
            None => error,
        })?;
        self.processed += rows.len() as u64;
        self.rows = rows;
        self.rows.clear();
        Ok(())
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
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
