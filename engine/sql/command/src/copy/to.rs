//! COPY TO: a table's rows as lines of text.

use std::sync::Arc;

use kokkiri_access::heap::{Heap, Scan, ScanOptions};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, ValueRef, io};

use super::CopyOptions;
use super::text::escape;
use crate::context::{CommandContext, CommandOutcome};

/// A COPY TO that has not run yet.
pub struct CopyOut {
    table: Arc<RelationEntry>,
    /// 0-based.
    columns: Vec<usize>,
    options: CopyOptions,
}

impl CopyOut {
    pub(super) fn new(table: Arc<RelationEntry>, columns: Vec<usize>, options: CopyOptions) -> Self {
        Self { table, columns, options }
    }

    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Gives `sink` every row as a line, its newline included.
    pub fn run(
        &self,
        context: &CommandContext<'_>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<CommandOutcome> {
        let attributes = self.table.relation.tuple_desc.attributes();
        let delimiter = self.options.delimiter;
        let mut line = Vec::new();
        if self.options.header {
            for (at, column) in self.columns.iter().enumerate() {
                if at > 0 {
                    line.push(delimiter);
                }
                escape(attributes[*column].name.as_bytes(), delimiter, &mut line);
            }
            line.push(b'\n');
            sink(&line)?;
        }
        let heap = Heap::new(&self.table.relation, context.transaction());
        let snapshot = context.transaction().snapshot();
        let visibility = Visibility::Mvcc(&snapshot);
        let options = ScanOptions { columns: self.columns.clone(), ..ScanOptions::default() };
        let mut scan = Scan::new(&heap, &options)?;
        let mut batch = Batch::new(scan.physical_types());
        let outputs = self.columns.iter().map(|column| io::output_function(attributes[*column].type_oid));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let (mut count, mut text) = (0u64, Vec::new());
        loop {
            check_for_interrupts()?;
            let rows = scan.next(&heap, &visibility, &mut batch, BATCH_ROWS)?;
            if rows == 0 {
                return Ok(CommandOutcome::done(format!("COPY {count}")));
            }
            for row in 0..rows {
                line.clear();
                for (at, (column, output)) in batch.columns.iter().zip(&outputs).enumerate() {
                    if at > 0 {
                        line.push(delimiter);
                    }
                    match column.get(row) {
                        ValueRef::Null => line.extend_from_slice(self.options.null.as_bytes()),
                        value => {
                            text.clear();
                            output(value, context.io, &mut text)?;
                            escape(&text, delimiter, &mut line);
                        }
                    }
                }
                line.push(b'\n');
                sink(&line)?;
            }
            count += rows as u64;
        }
    }
}
