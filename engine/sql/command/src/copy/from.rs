//! COPY FROM: lines of text into a table's rows, many at a time.

use std::sync::Arc;

use kokkiri_access::btree::{self, Conflict, InsertOutcome, Tree, UniqueCheck};
use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions};
use kokkiri_access::relation::{IndexDescriptor, IndexKey};
use kokkiri_catalog::entries::{ConstraintKind, RelationEntry};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, ItemPointer, Result, SqlState, error};
use kokkiri_transaction::WaitPolicy;
use kokkiri_types::{Value, ValueRef, io};

use super::CopyOptions;
use super::text::{Lines, NextLine, fields};
use crate::context::{CommandContext, CommandOutcome};

/// Rows are inserted when so many have come, or so many bytes.
const BUFFERED_ROWS_MAX: usize = 1000;
const BUFFERED_BYTES_MAX: usize = 65_535;
/// Bytes of a value or line that a report shows.
const SHOWN_MAX: usize = 100;

/// A COPY FROM under way.
pub struct CopyIn {
    table: Arc<RelationEntry>,
    /// 0-based columns of the fields, in order.
    columns: Vec<usize>,
    options: CopyOptions,
    lines: Lines,
    header_left: bool,
    rows: Vec<(u64, Vec<Value>)>,
    buffered_bytes: usize,
    bulk: BulkInsert,
    count: u64,
}

impl CopyIn {
    pub(super) fn new(
        context: &CommandContext<'_>,
        table: Arc<RelationEntry>,
        columns: Vec<usize>,
        options: CopyOptions,
    ) -> Result<Self> {
        let attributes = table.relation.tuple_desc.attributes();
        if table.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::Check) {
            return Err(Error::not_supported("COPY into a table with CHECK constraints"));
        }
        if table.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::Foreign) {
            return Err(Error::not_supported("COPY into a table with foreign keys"));
        }
        if !table.triggers.is_empty() {
            return Err(Error::not_supported("COPY into a table with triggers"));
        }
        let has_default = |at: usize| attributes[at].has_default || attributes[at].identity != 0;
        if (0..attributes.len()).any(|at| has_default(at) && !columns.contains(&at)) {
            return Err(Error::not_supported("COPY that leaves columns to their defaults"));
        }
        if table.indexes.iter().any(|index| index.expressions.is_some() || index.predicate.is_some()) {
            return Err(Error::not_supported("COPY into a table with indexes on expressions"));
        }
        if options.freeze && !context.transaction().made_in_current_sub(table.relation.file) {
            return Err(error!(
                OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the current \
                 subtransaction"
            ));
        }
        Ok(Self {
            header_left: options.header,
            bulk: BulkInsert::new(&context.cluster().buffers),
            table,
            columns,
            options,
            lines: Lines::default(),
            rows: Vec::new(),
            buffered_bytes: 0,
            count: 0,
        })
    }

    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Takes a chunk of the client's bytes, cut anywhere.
    pub fn data(&mut self, context: &CommandContext<'_>, chunk: &[u8]) -> Result<()> {
        self.lines.push(chunk);
        self.take_lines(context, false)
    }

    /// The client has sent everything.
    pub fn finish(&mut self, context: &CommandContext<'_>) -> Result<CommandOutcome> {
        self.take_lines(context, true)?;
        self.flush(context)?;
        self.bulk.release();
        Ok(CommandOutcome::done(format!("COPY {}", self.count)))
    }

    /// The client gave up: the error that ends the statement.
    pub fn fail(&self, message: &str) -> Error {
        error!(QUERY_CANCELED, "COPY from stdin failed: {message}").context(format!(
            "COPY {}, line {}",
            self.table.name,
            self.lines.number + 1
        ))
    }

    fn take_lines(&mut self, context: &CommandContext<'_>, at_end: bool) -> Result<()> {
        let mut found = Vec::new();
        loop {
            let next = self.lines.next(at_end);
            let range = match next {
                Ok(NextLine::Line(range)) => range,
                Ok(NextLine::Incomplete | NextLine::End) => return Ok(()),
                Err(error) => return Err(error.context(self.place())),
            };
            if std::mem::take(&mut self.header_left) {
                continue;
            }
            let line = self.lines.bytes(range.clone());
            if let Err(bad) = std::str::from_utf8(line) {
                let shown: Vec<String> =
                    line[bad.valid_up_to()..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
                let shown = &shown[..bad.error_len().unwrap_or(1).min(shown.len())];
                return Err(error!(
                    CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\": {}",
                    shown.join(" ")
                )
                .context(self.place()));
            }
            self.buffered_bytes += line.len();
            fields(line, self.options.delimiter, self.options.null.as_bytes(), &mut found);
            let row = self.read_row(context, &found).map_err(|(error, column)| {
                let shown = match column {
                    Some(at) => self.column_place(at, found.get(at)),
                    None => {
                        let line = String::from_utf8_lossy(self.lines.bytes(range.clone()));
                        format!("{}: \"{}\"", self.place(), cut(&line))
                    }
                };
                error.context(shown)
            })?;
            self.rows.push((self.lines.number, row));
            if self.rows.len() >= BUFFERED_ROWS_MAX || self.buffered_bytes >= BUFFERED_BYTES_MAX {
                self.flush(context)?;
            }
        }
    }

    /// Where we are, for a report's context.
    fn place(&self) -> String {
        format!("COPY {}, line {}", self.table.name, self.lines.number)
    }

    fn column_place(&self, at: usize, field: Option<&Option<Vec<u8>>>) -> String {
        let name = &self.table.relation.tuple_desc.attributes()[self.columns[at]].name;
        match field {
            Some(Some(text)) => {
                format!("{}, column {name}: \"{}\"", self.place(), cut(&String::from_utf8_lossy(text)))
            }
            _ => format!("{}, column {name}: null input", self.place()),
        }
    }

    /// A row of values of all columns; with an error, the field it is about.
    fn read_row(
        &self,
        context: &CommandContext<'_>,
        found: &[Option<Vec<u8>>],
    ) -> Result<Vec<Value>, (Error, Option<usize>)> {
        let attributes = self.table.relation.tuple_desc.attributes();
        let mut row = vec![Value::Null; attributes.len()];
        // An empty line is a row of a table without columns.
        let found = if self.columns.is_empty() && matches!(found, [Some(text)] if text.is_empty()) {
            &[]
        } else {
            found
        };
        if found.len() > self.columns.len() {
            return Err((error!(BAD_COPY_FILE_FORMAT, "extra data after last expected column"), None));
        }
        for (at, column) in self.columns.iter().enumerate() {
            let attribute = &attributes[*column];
            let Some(field) = found.get(at) else {
                let message = format!("missing data for column \"{}\"", attribute.name);
                return Err((Error::new(SqlState::BAD_COPY_FILE_FORMAT, message), None));
            };
            if let Some(text) = field {
                let text = std::str::from_utf8(text).map_err(|_| {
                    let message = "invalid byte sequence for encoding \"UTF8\"";
                    (Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message), Some(at))
                })?;
                row[*column] = io::input_text(attribute.type_oid, attribute.typmod, text, context.io)
                    .map_err(|error| (error, Some(at)))?;
            }
        }
        for (attribute, value) in attributes.iter().zip(&row) {
            if attribute.not_null && !attribute.dropped && value.is_null() {
                return Err((self.null_violation(context, &attribute.name, &row), None));
            }
        }
        Ok(row)
    }

    fn null_violation(&self, context: &CommandContext<'_>, column: &str, row: &[Value]) -> Error {
        let relation = &self.table.relation;
        let error = Error::new(
            SqlState::NOT_NULL_VIOLATION,
            format!(
                "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                relation.name
            ),
        )
        .table(relation.namespace_name.clone(), relation.name.clone())
        .column(column);
        match self.row_text(context, row) {
            Ok(shown) => error.detail(format!("Failing row contains {shown}.")),
            Err(_) => error,
        }
    }

    /// A row as reports show it.
    fn row_text(&self, context: &CommandContext<'_>, row: &[Value]) -> Result<String> {
        const VALUE_MAX: usize = 64;
        let mut shown = Vec::new();
        for (attribute, value) in self.table.relation.tuple_desc.iter().zip(row) {
            if attribute.dropped {
                continue;
            }
            let mut text = Vec::new();
            match value {
                Value::Null => text.extend_from_slice(b"null"),
                value => io::output_text(attribute.type_oid, value.as_ref(), context.io, &mut text)?,
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            shown.push(if text.len() > VALUE_MAX { format!("{}...", clip(&text, VALUE_MAX)) } else { text });
        }
        Ok(format!("({})", shown.join(", ")))
    }

    /// Inserts what has been gathered.
    fn flush(&mut self, context: &CommandContext<'_>) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        check_for_interrupts()?;
        let rows = std::mem::take(&mut self.rows);
        self.buffered_bytes = 0;
        let heap = Heap::new(&self.table.relation, context.transaction());
        let values: Vec<Vec<ValueRef<'_>>> =
            rows.iter().map(|(_, row)| row.iter().map(Value::as_ref).collect()).collect();
        let slices: Vec<&[ValueRef<'_>]> = values.iter().map(Vec::as_slice).collect();
        let options = InsertOptions {
            skip_fsm: self.options.freeze,
            frozen: self.options.freeze,
            ..Default::default()
        };
        let tids = heap.multi_insert(&slices, options, &mut self.bulk)?;
        for (((number, _), row), tid) in rows.iter().zip(&values).zip(&tids) {
            insert_entries(context, &self.table, &heap, row, *tid)
                .map_err(|error| error.context(format!("COPY {}, line {number}", self.table.name)))?;
        }
        self.count += rows.len() as u64;
        Ok(())
    }
}

/// Inserts a new row into its table's indexes.
fn insert_entries(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    heap: &Heap<'_>,
    row: &[ValueRef<'_>],
    tid: ItemPointer,
) -> Result<()> {
    let xid = Some(context.transaction().current_xid()?);
    let mut values = Vec::new();
    for index in table.indexes.iter().map(|index| &index.descriptor).filter(|index| index.is_ready) {
        values.clear();
        for column in &index.columns {
            match column.key {
                IndexKey::Attribute(number) => values.push(row[usize::from(number)]),
                IndexKey::Expression(_) => return Err(Error::internal("COPY into an index on expressions")),
            }
        }
        let check = match (index.unique, index.immediate) {
            (false, _) => UniqueCheck::No,
            (true, true) => UniqueCheck::Yes,
            (true, false) => return Err(Error::not_supported("a deferrable unique constraint")),
        };
        let tree = Tree::new(context.cluster(), index, xid);
        loop {
            match btree::insert(&tree, heap, &values, tid, btree::InsertOptions { check, unchanged: false })?
            {
                InsertOutcome::Inserted | InsertOutcome::InsertedPerhapsDuplicate => break,
                InsertOutcome::Conflict(Conflict::InProgress { xid, .. }) => {
                    context.transaction().wait_for_transaction(xid, WaitPolicy::Block)?;
                }
                InsertOutcome::Conflict(Conflict::Duplicate { .. }) => {
                    return Err(duplicate(context, index, &values)?);
                }
            }
        }
    }
    Ok(())
}

fn duplicate(
    context: &CommandContext<'_>,
    index: &IndexDescriptor,
    values: &[ValueRef<'_>],
) -> Result<Error> {
    let (mut names, mut shown) = (Vec::new(), Vec::new());
    for (attribute, value) in index.tuple_desc.iter().zip(values).take(index.key_count) {
        names.push(attribute.name.to_string());
        let mut text = Vec::new();
        match value {
            ValueRef::Null => text.extend_from_slice(b"null"),
            value => io::output_text(attribute.type_oid, *value, context.io, &mut text)?,
        }
        shown.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{}\"", index.name),
    )
    .detail(format!("Key ({})=({}) already exists.", names.join(", "), shown.join(", ")))
    .table(index.namespace_name.clone(), index.heap_name.clone())
    .constraint(index.name.clone()))
}

fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text as a report's context shows it: `CopyLimitPrintoutLength`.
fn cut(text: &str) -> String {
    if text.len() <= SHOWN_MAX { text.to_owned() } else { format!("{}...", clip(text, SHOWN_MAX)) }
}
