//! Where the engine's answers go: encoded straight into the connection's output buffer.

use kokkiri_engine::output::{self, OutputSettings};
use kokkiri_engine::{Batch, Error, Format, ResultColumn, RowSink, Severity};
use kokkiri_protocol::backend::{Field, Output as _, ReportFields, ReportKind};
use kokkiri_protocol::row::RowWriter;

/// Output beyond this is written before more rows are pulled, bytes.
const OUTPUT_FULL: usize = 64 * 1024;

/// The connection's output buffer as the engine sees it.
pub struct Sink<'a> {
    output: &'a mut Vec<u8>,
}

impl<'a> Sink<'a> {
    pub fn new(output: &'a mut Vec<u8>) -> Self {
        Self { output }
    }

    /// An ErrorResponse. `statement` is the text that the error's position counts in.
    pub fn error(&mut self, error: &Error, statement: Option<&str>) {
        self.report(ReportKind::Error, error, statement);
    }

    fn report(&mut self, kind: ReportKind, error: &Error, statement: Option<&str>) {
        let report = error.fields();
        let internal = report.internal.as_ref();
        let fields = ReportFields {
            severity: report.severity.as_str(),
            code: report.sqlstate.as_str(),
            message: &report.message,
            detail: report.detail.as_deref(),
            hint: report.hint.as_deref(),
            position: report.position.map(|at| character(statement.unwrap_or(""), at)),
            internal_position: internal.map(|(query, at)| character(query, *at)),
            internal_query: internal.map(|(query, _)| query.as_str()),
            context: report.context.as_deref(),
            schema: report.schema.as_deref(),
            table: report.table.as_deref(),
            column: report.column.as_deref(),
            data_type: report.data_type.as_deref(),
            constraint: report.constraint.as_deref(),
            file: report.origin.file(),
            line: report.origin.line(),
            routine: &error.routine(),
        };
        self.output.report(kind, &fields);
    }
}

/// The 1-based character that a byte offset falls on. What EXECUTE finds wrong counts in the text that was
/// prepared, which may be longer than the statement.
fn character(text: &str, offset: usize) -> usize {
    let beyond = offset.saturating_sub(text.len());
    text.char_indices().take_while(|(at, _)| *at < offset).count() + beyond + 1
}

fn field<'a>((column, format): (&'a ResultColumn, &Format)) -> Field<'a> {
    Field {
        name: &column.name,
        table: column.table.0,
        column: column.attribute,
        type_oid: column.type_oid.0,
        type_length: column.type_length,
        typmod: column.typmod,
        format: *format as i16,
    }
}

impl RowSink for Sink<'_> {
    fn parameter_description(&mut self, types: &[u32]) {
        self.output.parameter_description(types);
    }

    fn row_description(&mut self, columns: &[ResultColumn], formats: &[Format]) {
        self.output.row_description(columns.iter().zip(formats).map(field));
    }

    fn no_data(&mut self) {
        self.output.no_data();
    }

    fn rows(
        &mut self,
        batch: &Batch,
        columns: &[ResultColumn],
        formats: &[Format],
        settings: &OutputSettings,
    ) -> Result<(), Error> {
        batch.selection.try_for_each(|row| {
            let mut writer = RowWriter::begin(self.output, columns.len());
            for ((column, format), vector) in columns.iter().zip(formats).zip(&batch.columns) {
                let value = vector.get(row);
                if value.is_null() {
                    writer.null();
                    continue;
                }
                let written = writer.value(|buffer| match format {
                    Format::Text => output::text(column, value, settings, buffer),
                    Format::Binary => output::binary(column, value, settings, buffer),
                });
                if let Err(error) = written {
                    writer.abandon();
                    return Err(error);
                }
            }
            writer.finish();
            Ok(())
        })
    }

    fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_FULL
    }

    fn pending(&self) -> usize {
        self.output.len()
    }

    fn command_complete(&mut self, tag: &str) {
        self.output.command_complete(tag);
    }

    fn empty_query(&mut self) {
        self.output.empty_query_response();
    }

    fn portal_suspended(&mut self) {
        self.output.portal_suspended();
    }

    fn notice(&mut self, notice: &Error, statement: Option<&str>) {
        if notice.severity() >= Severity::Info {
            self.report(ReportKind::Notice, notice, statement);
        }
    }

    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.output.notification(pid, channel, payload);
    }

    fn copy_in(&mut self, binary: bool, columns: usize) {
        self.output.copy_in_response(binary, columns);
    }

    fn copy_out(&mut self, binary: bool, columns: usize) {
        self.output.copy_out_response(binary, columns);
    }

    fn copy_data(&mut self, data: &[u8]) {
        self.output.copy_data(data);
    }

    fn copy_done(&mut self) {
        self.output.copy_done();
    }
}

#[cfg(test)]
mod tests {
    use super::character;

    #[test]
    fn positions_count_characters() {
        assert_eq!(character("select é, x", 0), 1);
        assert_eq!(character("select é, x", 11), 11);
        // A place in a longer text.
        assert_eq!(character("abc", 99), 100);
    }
}
