//! A key to search the tree with, and its order against the tuples of a page.
//!
//! Realises: `BTScanInsertData`, `_bt_compare`, `_bt_binsrch`.
//!
//! A key has a value for some leading columns. With all key columns and a heap tid it names one place in
//! the tree; with fewer it names the range of equal keys, of which [`SearchKey::next_key`] and
//! [`SearchKey::backward`] choose the edge:
//!
//! ```text
//!                 first tuple >= key     first tuple > key
//!  next_key       false                  true
//!  backward       the tuple before it: last < key, or last <= key
//! ```

use std::cmp::Ordering;

use kokkiri_primitives::{ItemPointer, OffsetNumber, Result};
use kokkiri_storage::Page;
use kokkiri_types::{Value, ValueRef};

use super::page::{BtreePage, HIGH_KEY, Opaque};
use super::shape::{IndexShape, IntegerImage};
use super::tuple::{HEADER_SIZE, TupleRef};
use crate::relation::Comparator;

/// The value of one column of a key.
#[derive(Clone)]
pub struct KeyPart {
    pub value: Value,
    /// Order of the column's values against this one, if its type is another than the column's.
    pub comparator: Option<Comparator>,
}

/// See the module.
#[derive(Clone)]
pub struct SearchKey<'a> {
    shape: &'a IndexShape,
    parts: Vec<KeyPart>,
    leading: Option<LeadingInteger>,
    /// The tiebreaker.
    pub heap_tid: Option<ItemPointer>,
    pub next_key: bool,
    pub backward: bool,
}

/// The first value of a key on an integer column: most searches compare nothing else, so it is compared
/// with the stored bytes where they are.
#[derive(Clone, Copy)]
struct LeadingInteger {
    value: i64,
    image: IntegerImage,
    descending: bool,
}

impl LeadingInteger {
    fn new(shape: &IndexShape, parts: &[KeyPart]) -> Option<Self> {
        let column = shape.keys().first()?;
        let image = column.integer?;
        let value = image.widen(parts.first()?.value.as_ref())?;
        Some(Self { value, image, descending: column.descending })
    }

    /// Order of the value against the first column of `tuple`, which must have it; `None` if the bytes
    /// have to be looked at more closely.
    #[inline]
    fn compare(self, tuple: TupleRef<'_>) -> Option<Ordering> {
        if tuple.has_nulls() {
            return None;
        }
        let order = self.value.cmp(&self.image.read(tuple.bytes().get(HEADER_SIZE..)?)?);
        Some(if self.descending { order.reverse() } else { order })
    }
}

impl<'a> SearchKey<'a> {
    pub fn new(shape: &'a IndexShape, parts: Vec<KeyPart>) -> Self {
        debug_assert!(parts.len() <= shape.keys().len());
        let leading = LeadingInteger::new(shape, &parts);
        Self { shape, parts, leading, heap_tid: None, next_key: false, backward: false }
    }

    /// The key of `tuple`: all columns it has, and its heap tid. `_bt_mkscankey`.
    pub fn of_tuple(shape: &'a IndexShape, tuple: TupleRef<'_>) -> Result<Self> {
        let count = tuple.column_count(shape.columns().len()).min(shape.keys().len());
        let mut parts = Vec::with_capacity(count);
        for index in 0..count {
            let value = shape.value(tuple, index)?.as_ref().to_value();
            parts.push(KeyPart { value, comparator: None });
        }
        Ok(Self { heap_tid: tuple.heap_tid(), ..Self::new(shape, parts) })
    }

    pub fn shape(&self) -> &'a IndexShape {
        self.shape
    }

    pub fn has_null(&self) -> bool {
        self.parts.iter().any(|part| part.value.is_null())
    }

    /// Order of the key against `tuple`. A column that suffix truncation removed is minus infinity.
    pub fn compare(&self, tuple: TupleRef<'_>) -> Result<Ordering> {
        let columns = tuple.column_count(self.shape.columns().len());
        let leading = self.leading.filter(|_| columns > 0).and_then(|leading| leading.compare(tuple));
        match leading {
            Some(Ordering::Equal) | None => {}
            Some(order) => return Ok(order),
        }
        let compared = usize::from(leading.is_some());
        for (index, part) in self.parts.iter().enumerate().take(columns).skip(compared) {
            let order = match self.shape.fixed_value(tuple, index) {
                Some(stored) => self.compare_part(index, part, stored),
                None => self.compare_part(index, part, self.shape.value(tuple, index)?.as_ref()),
            };
            if order.is_ne() {
                return Ok(order);
            }
        }
        if self.parts.len() > columns {
            return Ok(Ordering::Greater);
        }
        let tuple_tid = tuple.heap_tid();
        let Some(tid) = self.heap_tid else {
            // A truncated tiebreaker is less than any tid, so equal columns can only be found to the right:
            // the left child need not be visited. A backward search starts from there, though.
            let right_only = !self.backward && self.parts.len() == columns && tuple_tid.is_none();
            return Ok(if right_only { Ordering::Greater } else { Ordering::Equal });
        };
        let Some(lowest) = tuple_tid else { return Ok(Ordering::Greater) };
        let order = tid.cmp(&lowest);
        if order.is_gt() && tuple.is_posting() && tid <= tuple.max_heap_tid() {
            return Ok(Ordering::Equal);
        }
        Ok(order)
    }

    fn compare_part(&self, index: usize, part: &KeyPart, stored: ValueRef<'_>) -> Ordering {
        let argument = part.value.as_ref();
        match &part.comparator {
            Some(comparator) if !stored.is_null() && !argument.is_null() => {
                let order = comparator(stored, argument);
                if self.shape.keys()[index].descending { order } else { order.reverse() }
            }
            _ => self.shape.compare_column(index, argument, stored),
        }
    }

    /// Order against the item at `offset` of a page. The first data item above the leaves is minus infinity.
    pub fn compare_item(&self, page: &Page, opaque: &Opaque, offset: OffsetNumber) -> Result<Ordering> {
        if !opaque.is_leaf() && offset == opaque.first_data() {
            return Ok(Ordering::Greater);
        }
        self.compare(page.tuple(offset)?)
    }

    /// Whether what is looked for lies beyond the page's high key, to the right.
    pub fn is_beyond(&self, page: &Page, opaque: &Opaque) -> Result<bool> {
        if opaque.is_rightmost() {
            return Ok(false);
        }
        let order = self.compare(page.tuple(HIGH_KEY)?)?;
        Ok(if self.next_key { order.is_ge() } else { order.is_gt() })
    }

    /// On a leaf the offset of the item named by the key, which may be one past the last or before the
    /// first; above the leaves that of the entry whose child to descend to. `_bt_binsrch`.
    pub fn find(&self, page: &Page) -> Result<OffsetNumber> {
        let opaque = page.opaque();
        let first = opaque.first_data();
        let (mut low, mut high) = (first.0, page.max_offset().0 + 1);
        if high <= low {
            return Ok(first);
        }
        while high > low {
            let middle = low + (high - low) / 2;
            let order = self.compare_item(page, &opaque, OffsetNumber(middle))?;
            let goes_right = if self.next_key { order.is_ge() } else { order.is_gt() };
            if goes_right {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if opaque.is_leaf() && !self.backward {
            return Ok(OffsetNumber(low));
        }
        Ok(OffsetNumber(low - 1))
    }
}
