//! How many rows are pulled at a time for a client.
//!
//! A batch is made and encoded whole before the output is looked at, so its size is what a slow reader's
//! session holds at least. It follows the rows' size as they were encoded: many narrow ones, few wide ones.

use kokkiri_types::BATCH_ROWS;

/// What the rows of a batch should come to when encoded, bytes.
const BATCH_BYTES: usize = 256 * 1024;
/// Rows of the first batch, whose size nobody knows yet.
const FIRST_ROWS: usize = 16;
/// By how much a batch may have more rows than the one before.
const GROWTH: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST_ROWS)
    }
}

impl Pace {
    /// Rows to ask for next.
    pub fn rows(self) -> usize {
        self.0
    }

    /// Notes that a batch of so many rows took so many bytes.
    pub fn note(&mut self, rows: usize, bytes: usize) {
        if let Some(width) = bytes.checked_div(rows) {
            let fitting = BATCH_BYTES / width.max(1);
            self.0 = fitting.clamp(1, (self.0 * GROWTH).min(BATCH_ROWS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_rows_come_in_full_batches_and_wide_ones_alone() {
        let mut pace = Pace::default();
        pace.note(16, 16 * 20);
        pace.note(128, 128 * 20);
        assert_eq!(pace.rows(), BATCH_ROWS);
        pace.note(1024, 1024 * 10_000);
        assert_eq!(pace.rows(), 26);
        pace.note(26, 26 << 20);
        assert_eq!(pace.rows(), 1);
        pace.note(0, 0);
        assert_eq!(pace.rows(), 1);
        pace.note(1, 20);
        assert_eq!(pace.rows(), GROWTH);
    }
}
