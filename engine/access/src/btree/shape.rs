//! What the columns of an index are, and how its tuples are formed, read and ordered by them.
//!
//! Realises: `index_form_tuple`, `index_getattr`, `index_truncate_tuple`, `_bt_truncate`,
//! `_bt_keep_natts` and `_bt_keep_natts_fast`.
//!
//! An index orders its tuples by its key columns, each by its own comparator, direction and place of
//! nulls, and then by heap tid: so every leaf tuple has one place. INCLUDE columns follow the key columns
//! in leaf tuples and take no part in the order.
//!
//! Pivot tuples keep as few columns as separate the two sides ([`IndexShape::separator`]); a missing
//! column is minus infinity.

use std::borrow::Cow;
use std::cmp::Ordering;

use kokkiri_primitives::{Error, ItemPointer, Oid, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::{Attribute, AttributeStorage, PhysicalType, TupleDesc, Value, ValueRef};

use super::tuple::{HEADER_SIZE, IndexTuple, MAX_COLUMNS, MAX_TUPLE_SIZE, TupleRef, align};
use crate::relation::Comparator;
use crate::toast::compression;
use crate::tuple::deform::{fixed_value, locate};
use crate::tuple::form::{FormValue, append};
use crate::tuple::varlena::{CompressionMethod, LONG_HEADER_SIZE, Varlena};

/// How a key column is ordered.
#[derive(Clone)]
pub struct KeyColumn {
    pub comparator: Comparator,
    /// The column's type is an integer, and so ordered.
    pub integer: Option<IntegerImage>,
    pub descending: bool,
    pub nulls_first: bool,
}

/// How an integer type is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerImage {
    Int2,
    Int4,
    Int8,
    Oid,
}

impl IntegerImage {
    /// Of the input type of an operator class.
    pub fn of(input_type: Oid) -> Option<Self> {
        match input_type {
            oid::INT2 => Some(Self::Int2),
            oid::INT4 => Some(Self::Int4),
            oid::INT8 => Some(Self::Int8),
            oid::OID => Some(Self::Oid),
            _ => None,
        }
    }

    /// The number that `bytes` begin with; `None` if they are too few.
    #[inline]
    pub fn read(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Self::Int2 => i16::from_le_bytes(*bytes.first_chunk()?).into(),
            Self::Int4 => i32::from_le_bytes(*bytes.first_chunk()?).into(),
            Self::Int8 => i64::from_le_bytes(*bytes.first_chunk()?),
            Self::Oid => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        })
    }

    /// A value that a column of this type is compared with: of the type itself or, for the signed ones, of
    /// another of them. `None` if it is null.
    pub fn widen(self, value: ValueRef<'_>) -> Option<i64> {
        match (self, value) {
            (Self::Oid, ValueRef::Int32(value)) => Some((value as u32).into()),
            (Self::Oid, _) => None,
            (_, ValueRef::Int16(value)) => Some(value.into()),
            (_, ValueRef::Int32(value)) => Some(value.into()),
            (_, ValueRef::Int64(value)) => Some(value),
            _ => None,
        }
    }
}

/// The columns of an index.
#[derive(Clone)]
pub struct IndexShape {
    columns: TupleDesc,
    keys: Box<[KeyColumn]>,
    equal_image: bool,
}

/// A value read from a tuple: usually in place, of its own if it had to be decompressed.
pub enum Datum<'a> {
    Stored(ValueRef<'a>),
    Decompressed(Value),
}

impl Datum<'_> {
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Datum::Stored(value) => *value,
            Datum::Decompressed(value) => value.as_ref(),
        }
    }
}

impl IndexShape {
    /// Columns in order, of which the first `keys.len()` are the key. `equal_image` says that values of
    /// every key column that compare equal are equal byte for byte, so that tuples may be deduplicated.
    pub fn new(columns: TupleDesc, keys: impl Into<Box<[KeyColumn]>>, equal_image: bool) -> Self {
        let keys = keys.into();
        assert!(keys.len() <= columns.len() && columns.len() <= MAX_COLUMNS, "an index has 1 to 32 columns");
        let equal_image = equal_image && keys.len() == columns.len();
        Self { columns, keys, equal_image }
    }

    /// All columns, INCLUDE ones last.
    pub fn columns(&self) -> &TupleDesc {
        &self.columns
    }

    pub fn keys(&self) -> &[KeyColumn] {
        &self.keys
    }

    /// `btm_allequalimage` of a new index.
    pub fn is_equal_image(&self) -> bool {
        self.equal_image
    }

    /// The leaf tuple of `values` (one a column) for the heap tuple at `tid`: `index_form_tuple`.
    pub fn form(&self, values: &[ValueRef<'_>], tid: ItemPointer) -> Result<IndexTuple> {
        let values = values.iter().zip(self.columns.iter()).map(|(value, attribute)| match *value {
            ValueRef::Bytes(payload) if payload.len() + LONG_HEADER_SIZE > COMPRESSION_TARGET => {
                match compress(attribute, payload) {
                    Some(stored) => FormValue::Stored(stored.into()),
                    None => FormValue::Value(*value),
                }
            }
            value => FormValue::Value(value),
        });
        self.form_from(values, tid)
    }

    /// A tuple of the leading columns, one for each of `values`.
    fn form_from<'v>(
        &self,
        values: impl Iterator<Item = FormValue<'v>>,
        tid: ItemPointer,
    ) -> Result<IndexTuple> {
        let mut data = Vec::with_capacity(32);
        let (mut present, mut nulls, mut variable) = (0_u32, false, false);
        for (index, (value, attribute)) in values.zip(self.columns.iter()).enumerate() {
            if value.is_null() {
                nulls = true;
                continue;
            }
            present |= 1 << index;
            variable |= attribute.length < 0;
            append(&mut data, 0, attribute, &value)?;
        }
        let header = if nulls { 16 } else { 8 };
        IndexTuple::plain(tid, nulls.then_some(present), variable, &data).ok_or_else(|| {
            error!(
                PROGRAM_LIMIT_EXCEEDED,
                "index row requires {} bytes, maximum size is {MAX_TUPLE_SIZE}",
                align(data.len() + header)
            )
        })
    }

    /// Column `index` (0-based) of `tuple`, which must have it.
    #[inline]
    pub fn value<'a>(&self, tuple: TupleRef<'a>, index: usize) -> Result<Datum<'a>> {
        if let Some(value) = self.fixed_value(tuple, index) {
            return Ok(Datum::Stored(value));
        }
        let attribute = &self.columns[index];
        let Some(stored) = self.stored(tuple, index)? else { return Ok(Datum::Stored(ValueRef::Null)) };
        if attribute.physical != PhysicalType::Varlena {
            return Ok(Datum::Stored(fixed_value(attribute, stored)?));
        }
        match Varlena::decode(stored)?.0 {
            Varlena::Plain(payload) => Ok(Datum::Stored(ValueRef::Bytes(payload))),
            Varlena::Compressed { method, raw_size, data } => {
                Ok(Datum::Decompressed(Value::from(compression::decompress(method, data, raw_size)?)))
            }
            Varlena::External(_) => Err(damaged_tuple()),
        }
    }

    /// The same for a value of fixed size at a place that no null and no variable-length value shifts, which
    /// is what most comparisons of a search meet; `None` for any other.
    #[inline]
    pub fn fixed_value<'a>(&self, tuple: TupleRef<'a>, index: usize) -> Option<ValueRef<'a>> {
        let attribute = &self.columns[index];
        let start = HEADER_SIZE + *self.columns.fixed_offsets().get(index)? as usize;
        let length = usize::try_from(attribute.length).ok()?;
        if tuple.has_nulls() {
            return None;
        }
        fixed_value(attribute, tuple.bytes().get(start..start + length)?).ok()
    }

    /// All columns of a leaf tuple, owned: for index-only scans.
    pub fn deform(&self, tuple: TupleRef<'_>, into: &mut Vec<Value>) -> Result<()> {
        for index in 0..self.columns.len() {
            let value = match self.value(tuple, index)? {
                Datum::Stored(value) => value.to_value(),
                Datum::Decompressed(value) => value,
            };
            into.push(value);
        }
        Ok(())
    }

    /// The stored bytes of a column, with their header if they have one; `None` for null.
    #[inline]
    fn stored<'a>(&self, tuple: TupleRef<'a>, index: usize) -> Result<Option<&'a [u8]>> {
        if tuple.is_null(index) {
            return Ok(None);
        }
        let data = tuple.bytes().get(tuple.data_offset()..tuple.key_size()).ok_or_else(damaged_tuple)?;
        let fixed = self.columns.fixed_offsets();
        let (mut column, mut offset) = match fixed.len().checked_sub(1) {
            Some(last) if !tuple.has_nulls() => (last.min(index), fixed[last.min(index)] as usize),
            _ => (0, 0),
        };
        loop {
            if !tuple.is_null(column) {
                let (stored, end) = locate(&self.columns[column], data, offset)?;
                if column == index {
                    return Ok(Some(stored));
                }
                offset = end;
            }
            column += 1;
        }
    }

    /// Order of two values of key column `index`, either of which may be null.
    pub fn compare_column(&self, index: usize, left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
        let key = &self.keys[index];
        match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let order = (key.comparator)(left, right);
                if key.descending { order.reverse() } else { order }
            }
        }
    }

    /// Order of two leaf tuples by their key columns, heap tids left aside.
    pub fn compare_keys(&self, left: TupleRef<'_>, right: TupleRef<'_>) -> Result<Ordering> {
        for index in 0..self.keys.len() {
            let (a, b) = (self.value(left, index)?, self.value(right, index)?);
            let order = self.compare_column(index, a.as_ref(), b.as_ref());
            if order.is_ne() {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    /// How many key columns a pivot between the two must keep, judged by the operator classes; one more
    /// than there are if all are equal and only the tiebreaker separates them. `_bt_keep_natts`.
    fn columns_to_keep(&self, left: TupleRef<'_>, right: TupleRef<'_>) -> Result<usize> {
        for index in 0..self.keys.len() {
            let (a, b) = (self.value(left, index)?, self.value(right, index)?);
            if self.compare_column(index, a.as_ref(), b.as_ref()).is_ne() {
                return Ok(index + 1);
            }
        }
        Ok(self.keys.len() + 1)
    }

    /// The same judged by the stored bytes, which may keep a column more but never one less:
    /// `_bt_keep_natts_fast`. Both tuples must have all key columns that are looked at; a pivot's
    /// truncated ones count as different.
    pub fn columns_to_keep_fast(&self, left: TupleRef<'_>, right: TupleRef<'_>) -> Result<usize> {
        let total = self.columns.len();
        let stored = left.column_count(total).min(right.column_count(total)).min(self.keys.len());
        for index in 0..stored {
            if !self.same_image(index, left, right)? {
                return Ok(index + 1);
            }
        }
        Ok(stored + 1)
    }

    /// The pivot that separates `last_left` from `first_right`: at least the first, less than the second,
    /// with as few columns as will do. It becomes the left page's high key, and with a downlink the
    /// parent's entry for the right page. `_bt_truncate`.
    pub fn separator(&self, last_left: TupleRef<'_>, first_right: TupleRef<'_>) -> Result<IndexTuple> {
        let keep = self.columns_to_keep(last_left, first_right)?;
        let columns = keep.min(self.keys.len());
        let pivot = self.truncate(first_right, columns)?;
        let tiebreaker = (keep > self.keys.len()).then(|| last_left.max_heap_tid());
        Ok(pivot.into_pivot(columns, tiebreaker))
    }

    /// `index_truncate_tuple`: a copy with the first `count` columns.
    fn truncate(&self, tuple: TupleRef<'_>, count: usize) -> Result<IndexTuple> {
        if count == self.columns.len() {
            return Ok(tuple.to_tuple());
        }
        let mut values = Vec::with_capacity(count);
        for index in 0..count {
            values.push(match self.stored(tuple, index)? {
                None => FormValue::NULL,
                Some(stored) if self.columns[index].physical == PhysicalType::Varlena => {
                    FormValue::Stored(stored.into())
                }
                Some(stored) => FormValue::Value(fixed_value(&self.columns[index], stored)?),
            });
        }
        self.form_from(values.into_iter(), tuple.raw_tid())
    }

    /// `datum_image_eq`: a value compressed on one side only is still the same value.
    fn same_image(&self, index: usize, left: TupleRef<'_>, right: TupleRef<'_>) -> Result<bool> {
        let (Some(a), Some(b)) = (self.stored(left, index)?, self.stored(right, index)?) else {
            return Ok(left.is_null(index) == right.is_null(index));
        };
        if a == b || self.columns[index].physical != PhysicalType::Varlena {
            return Ok(a == b);
        }
        Ok(payload(a)? == payload(b)?)
    }
}

/// Values longer than this, bytes, are compressed if their column's storage allows: `TOAST_INDEX_TARGET`.
const COMPRESSION_TARGET: usize = 8160 / 16;

fn compress(attribute: &Attribute, payload: &[u8]) -> Option<Vec<u8>> {
    let compressible = matches!(attribute.storage, AttributeStorage::Extended | AttributeStorage::Main);
    if !compressible || attribute.physical != PhysicalType::Varlena {
        return None;
    }
    compression::compress(CompressionMethod::of_attribute(attribute.compression), payload)
}

fn payload(stored: &[u8]) -> Result<Cow<'_, [u8]>> {
    match Varlena::decode(stored)?.0 {
        Varlena::Plain(payload) => Ok(payload.into()),
        Varlena::Compressed { method, raw_size, data } => {
            Ok(compression::decompress(method, data, raw_size)?.into())
        }
        Varlena::External(_) => Err(damaged_tuple()),
    }
}

/// An index tuple whose bytes don't fit its columns.
fn damaged_tuple() -> Error {
    error!(INDEX_CORRUPTED, "index tuple has bytes that do not fit its columns")
}
