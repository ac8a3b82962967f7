//! Batches: what operators exchange.

use crate::attribute::TupleDesc;
use crate::column::Column;
use crate::value::PhysicalType;

/// Most rows of a batch.
pub const BATCH_ROWS: usize = 1024;

/// Which rows of a batch count, in rising order.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    rows: usize,
    /// Meaningful unless `all`.
    chosen: Vec<u16>,
    all: bool,
}

impl Selection {
    /// All of `rows` rows.
    pub fn all(rows: usize) -> Self {
        Self { rows, chosen: Vec::new(), all: true }
    }

    /// Selects all of `rows` rows.
    pub fn set_all(&mut self, rows: usize) {
        debug_assert!(rows <= BATCH_ROWS);
        self.rows = rows;
        self.all = true;
    }

    /// Selects none of `rows` rows; to be filled with [`Self::push`].
    pub fn set_none(&mut self, rows: usize) {
        self.rows = rows;
        self.chosen.clear();
        self.all = false;
    }

    /// Adds a row behind those chosen so far.
    #[inline]
    pub fn push(&mut self, row: usize) {
        debug_assert!(!self.all && row < self.rows);
        self.chosen.push(row as u16);
    }

    pub fn copy_from(&mut self, other: &Selection) {
        self.rows = other.rows;
        self.all = other.all;
        self.chosen.clear();
        if !other.all {
            self.chosen.extend_from_slice(&other.chosen);
        }
    }

    /// Rows of the batch, chosen or not.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows chosen.
    pub fn len(&self) -> usize {
        if self.all { self.rows } else { self.chosen.len() }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The chosen rows; `None` if that is all of them.
    #[inline]
    pub fn chosen(&self) -> Option<&[u16]> {
        (!self.all).then_some(self.chosen.as_slice())
    }

    /// Row number of the `n`-th chosen row.
    pub fn nth(&self, n: usize) -> usize {
        if self.all { n } else { usize::from(self.chosen[n]) }
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).map(|n| self.nth(n))
    }

    /// Calls `visit` for each chosen row. The two loops compile apart, so that the dense one vectorises.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize)) {
        match self.chosen() {
            None => (0..self.rows).for_each(visit),
            Some(chosen) => chosen.iter().for_each(|&row| visit(usize::from(row))),
        }
    }

    /// [`Self::for_each`] with a way out.
    ///
    /// # Errors
    /// The first error of `visit`.
    #[inline]
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        match self.chosen() {
            None => (0..self.rows).try_for_each(visit),
            Some(chosen) => chosen.iter().try_for_each(|&row| visit(usize::from(row))),
        }
    }

    /// Keeps the chosen rows for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        if self.all {
            self.chosen.clear();
            self.chosen.extend((0..self.rows as u16).filter(|&row| keep(usize::from(row))));
            self.all = self.chosen.len() == self.rows;
        } else {
            self.chosen.retain(|&row| keep(usize::from(row)));
        }
    }

    /// Keeps the rows where a boolean column is true: what a WHERE does.
    pub fn retain_true(&mut self, condition: &Column) {
        let values = condition.values::<bool>();
        if condition.is_constant() {
            if !values[0] || condition.is_null(0) {
                self.set_none(self.rows);
            }
        } else if condition.nulls().any() {
            self.retain(|row| values[row] && !condition.nulls().is_null(row));
        } else {
            self.retain(|row| values[row]);
        }
    }

    /// Keeps only the first `rows` chosen ones.
    pub fn truncate(&mut self, rows: usize) {
        if rows >= self.len() {
            return;
        }
        if self.all {
            self.chosen.clear();
            self.chosen.extend(0..rows as u16);
            self.all = false;
        } else {
            self.chosen.truncate(rows);
        }
    }

    /// Drops the first `rows` chosen ones.
    pub fn skip(&mut self, rows: usize) {
        let rows = rows.min(self.len());
        if rows == 0 {
            return;
        }
        if self.all {
            self.chosen.clear();
            self.chosen.extend(rows as u16..self.rows as u16);
            self.all = false;
        } else {
            self.chosen.drain(..rows);
        }
    }
}

/// Columns and which of their rows count.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub columns: Vec<Column>,
    pub selection: Selection,
}

impl Batch {
    pub fn new(types: impl IntoIterator<Item = PhysicalType>) -> Self {
        Self { columns: types.into_iter().map(Column::new).collect(), selection: Selection::all(0) }
    }

    pub fn for_desc(desc: &TupleDesc) -> Self {
        Self::new(desc.iter().map(|attribute| attribute.physical))
    }

    /// Rows that count.
    pub fn len(&self) -> usize {
        self.selection.len()
    }

    pub fn is_empty(&self) -> bool {
        self.selection.is_empty()
    }

    /// Rows held, counting or not.
    pub fn rows(&self) -> usize {
        self.selection.rows()
    }

    /// Empties all columns for appending; call [`Self::seal`] when they are filled.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.selection.set_all(0);
    }

    /// Selects all of the `rows` rows that were appended.
    pub fn seal(&mut self, rows: usize) {
        debug_assert!(self.columns.iter().all(|column| column.is_constant() || column.len() >= rows));
        self.selection.set_all(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ValueRef;

    #[test]
    fn a_selection_narrows() {
        let mut selection = Selection::all(10);
        selection.retain(|row| row % 2 == 0);
        assert_eq!(selection.iter().collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
        selection.skip(1);
        selection.truncate(2);
        assert_eq!(selection.chosen(), Some(&[2, 4][..]));
        let mut condition = Column::new(PhysicalType::Bool);
        for row in 0..10 {
            condition.push(if row == 2 { ValueRef::Null } else { ValueRef::Bool(true) });
        }
        selection.retain_true(&condition);
        assert_eq!(selection.chosen(), Some(&[4][..]));
    }
}
