//! Rows kept by an operator: column chunks of up to a batch each.
//!
//! Realises: what `tuplestore.c` and hash tables keep in memory. A row is named by its number; number
//! `n` is row `n % 1024` of chunk `n / 1024`.

use kokkiri_types::{BATCH_ROWS, Batch, Column, PhysicalType, ValueRef};

#[derive(Debug, Default)]
pub struct RowStore {
    types: Vec<PhysicalType>,
    chunks: Vec<Vec<Column>>,
    rows: usize,
    bytes: usize,
}

/// What a row costs beyond its values, as a heap tuple's header would.
const ROW_OVERHEAD: usize = 24;

impl RowStore {
    pub fn new(types: impl IntoIterator<Item = PhysicalType>) -> Self {
        Self { types: types.into_iter().collect(), ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn types(&self) -> &[PhysicalType] {
        &self.types
    }

    pub fn clear(&mut self) {
        self.chunks.clear();
        self.rows = 0;
        self.bytes = 0;
    }

    /// Types are those of the first batch, if they were not given.
    pub fn adopt_types(&mut self, batch: &Batch) {
        if self.types.is_empty() {
            self.types = batch.columns.iter().map(|column| column.vector().physical()).collect();
        }
    }

    /// Appends the selected rows of a batch.
    pub fn append(&mut self, batch: &Batch) {
        self.adopt_types(batch);
        for row in batch.selection.iter() {
            self.push(&batch.columns, row);
        }
    }

    /// Appends one row; its number.
    pub fn push(&mut self, columns: &[Column], row: usize) -> usize {
        if self.rows.is_multiple_of(BATCH_ROWS) {
            self.chunks.push(self.types.iter().map(|physical| Column::new(*physical)).collect());
        }
        let chunk = self.chunks.last_mut().expect("a chunk was just made");
        self.bytes += ROW_OVERHEAD;
        for (column, from) in chunk.iter_mut().zip(columns) {
            self.bytes += match from.get(row) {
                ValueRef::Bytes(bytes) => 16 + if bytes.len() > 12 { bytes.len() } else { 0 },
                ValueRef::Null => 0,
                ValueRef::Fixed16(_) => 16,
                _ => 8,
            };
            column.push_from(from, row);
        }
        self.rows += 1;
        self.rows - 1
    }

    /// Columns that row `number` is in, and where.
    pub fn row(&self, number: usize) -> (&[Column], usize) {
        (&self.chunks[number / BATCH_ROWS], number % BATCH_ROWS)
    }

    pub fn value(&self, number: usize, column: usize) -> ValueRef<'_> {
        let (columns, row) = self.row(number);
        columns[column].get(row)
    }

    /// Appends row `number` to columns being filled, as their row `to`.
    pub fn copy_to(&self, number: usize, out: &mut [Column]) {
        let (columns, row) = self.row(number);
        for (column, from) in out.iter_mut().zip(columns) {
            column.push_from(from, row);
        }
    }
}

/// Prepares a batch for appending columns of these types.
pub fn prepare(out: &mut Batch, types: &[PhysicalType]) {
    if out.columns.len() != types.len() {
        *out = Batch::new(types.iter().copied());
    }
    for (column, physical) in out.columns.iter_mut().zip(types) {
        column.reset(*physical, 0);
    }
    out.selection.set_all(0);
}
