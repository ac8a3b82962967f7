//! One column of a batch: a typed vector with a null mask, or a constant.
//!
//! A column is its own builder, in two manners. Appending: [`Column::reset`] with zero rows, then
//! `push*`. By position: [`Column::reset`] with the batch's rows, then `set*` for the rows of the
//! selection; other rows hold defaults that nobody reads. Both reuse the memory of earlier batches.
//!
//! Invariants:
//!  1. A constant column has a vector of one element that stands for every row; [`Column::index`] maps.
//!  2. The element under a null is a default: kernels may compute on it and ignore the result.

use kokkiri_primitives::ItemPointer;

use crate::batch::BATCH_ROWS;
use crate::bytes::ByteVector;
use crate::value::{PhysicalType, Value, ValueRef};

const WORDS: usize = BATCH_ROWS / 64;

/// Which rows of a column are null.
#[derive(Clone, Debug)]
pub struct NullMask {
    words: [u64; WORDS],
    any: bool,
}

impl Default for NullMask {
    fn default() -> Self {
        Self { words: [0; WORDS], any: false }
    }
}

impl NullMask {
    /// True if some row may be null. False is certain.
    #[inline]
    pub fn any(&self) -> bool {
        self.any
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.any && self.words[row / 64] >> (row % 64) & 1 != 0
    }

    #[inline]
    pub fn set_null(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
        self.any = true;
    }

    #[inline]
    pub fn set_valid(&mut self, row: usize) {
        self.words[row / 64] &= !(1 << (row % 64));
    }

    #[inline]
    pub fn clear(&mut self) {
        if self.any {
            *self = Self::default();
        }
    }

    /// Adds the nulls of `other`.
    pub fn union(&mut self, other: &NullMask) {
        if other.any {
            self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
            self.any = true;
        }
    }

    /// Makes every row null.
    pub fn set_all(&mut self) {
        self.words = [u64::MAX; WORDS];
        self.any = true;
    }

    /// The mask as words, bit `row % 64` of word `row / 64` set for a null.
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// How many of the first `rows` rows are null.
    pub fn count(&self, rows: usize) -> usize {
        if !self.any {
            return 0;
        }
        let whole: u32 = self.words[..rows / 64].iter().map(|word| word.count_ones()).sum();
        let rest = match rows % 64 {
            0 => 0,
            bits => (self.words[rows / 64] & ((1 << bits) - 1)).count_ones(),
        };
        (whole + rest) as usize
    }
}

/// The values of a column.
#[derive(Clone, Debug)]
pub enum Vector {
    Bool(Vec<bool>),
    Char(Vec<u8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Fixed16(Vec<[u8; 16]>),
    Tid(Vec<ItemPointer>),
    Bytes(ByteVector),
}

/// A fixed-width Rust type that is the element of a [`Vector`].
pub trait Element: Copy + Default + PartialEq + Send + Sync + 'static {
    fn of(vector: &Vector) -> &[Self];
    fn of_mut(vector: &mut Vector) -> &mut Vec<Self>;
    fn from_ref(value: ValueRef<'_>) -> Self;
    fn into_value(self) -> Value;
}

macro_rules! elements {
    ($($type:ty, $variant:ident, $accessor:ident;)*) => {
        $(impl Element for $type {
            #[inline]
            #[track_caller]
            fn of(vector: &Vector) -> &[Self] {
                match vector {
                    Vector::$variant(values) => values,
                    other => panic!(concat!("expected a column of ", stringify!($variant), ", got {:?}"), other.physical()),
                }
            }

            #[inline]
            #[track_caller]
            fn of_mut(vector: &mut Vector) -> &mut Vec<Self> {
                match vector {
                    Vector::$variant(values) => values,
                    other => panic!(concat!("expected a column of ", stringify!($variant), ", got {:?}"), other.physical()),
                }
            }

            #[inline]
            fn from_ref(value: ValueRef<'_>) -> Self {
                value.$accessor()
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        })*

        impl Vector {
            fn new(physical: PhysicalType) -> Self {
                match physical {
                    $(PhysicalType::$variant => Vector::$variant(Vec::new()),)*
                    PhysicalType::Name | PhysicalType::CString | PhysicalType::FixedBytes | PhysicalType::Varlena => {
                        Vector::Bytes(ByteVector::default())
                    }
                }
            }

            /// The physical type; byte vectors of any kind answer `Varlena`.
            pub fn physical(&self) -> PhysicalType {
                match self {
                    $(Vector::$variant(_) => PhysicalType::$variant,)*
                    Vector::Bytes(_) => PhysicalType::Varlena,
                }
            }

            fn clear(&mut self) {
                match self {
                    $(Vector::$variant(values) => values.clear(),)*
                    Vector::Bytes(bytes) => bytes.clear(),
                }
            }

            fn resize(&mut self, rows: usize) {
                match self {
                    $(Vector::$variant(values) => values.resize(rows, Default::default()),)*
                    Vector::Bytes(bytes) => bytes.resize(rows),
                }
            }

            fn len(&self) -> usize {
                match self {
                    $(Vector::$variant(values) => values.len(),)*
                    Vector::Bytes(bytes) => bytes.len(),
                }
            }

            #[inline]
            fn get(&self, index: usize) -> ValueRef<'_> {
                match self {
                    $(Vector::$variant(values) => ValueRef::$variant(values[index]),)*
                    Vector::Bytes(bytes) => ValueRef::Bytes(bytes.get(index)),
                }
            }

            #[track_caller]
            fn set(&mut self, index: usize, value: ValueRef<'_>) {
                match (self, value) {
                    $((Vector::$variant(values), ValueRef::$variant(value)) => values[index] = value,)*
                    (Vector::Bytes(bytes), ValueRef::Bytes(value)) => bytes.set(index, value),
                    (vector, value) => panic!("a column of {:?} can't hold {value:?}", vector.physical()),
                }
            }

            #[track_caller]
            fn push(&mut self, value: ValueRef<'_>) {
                match (self, value) {
                    $((Vector::$variant(values), ValueRef::$variant(value)) => values.push(value),)*
                    (Vector::Bytes(bytes), ValueRef::Bytes(value)) => bytes.push(value),
                    (vector, value) => panic!("a column of {:?} can't hold {value:?}", vector.physical()),
                }
            }

            fn compact(&mut self, rows: &[u16]) {
                match self {
                    $(Vector::$variant(values) => compact(values, rows),)*
                    Vector::Bytes(bytes) => bytes.compact(rows),
                }
            }

            fn copy(&mut self, index: usize, other: &Vector, other_index: usize) {
                match (self, other) {
                    $((Vector::$variant(values), Vector::$variant(from)) => values[index] = from[other_index],)*
                    (Vector::Bytes(bytes), Vector::Bytes(from)) => bytes.set_from(index, from, other_index),
                    (vector, from) => panic!("can't copy {:?} to {:?}", from.physical(), vector.physical()),
                }
            }
        }
    };
}

elements! {
    bool, Bool, bool;
    u8, Char, char;
    i16, Int16, int16;
    i32, Int32, int32;
    i64, Int64, int64;
    f32, Float32, float32;
    f64, Float64, float64;
    [u8; 16], Fixed16, fixed16;
    ItemPointer, Tid, tid;
}

/// Keeps the elements at these places, which rise.
pub(crate) fn compact<T: Copy>(values: &mut Vec<T>, rows: &[u16]) {
    for (to, from) in rows.iter().enumerate() {
        values[to] = values[usize::from(*from)];
    }
    values.truncate(rows.len());
}

/// A typed vector with a null mask, or a constant.
#[derive(Clone, Debug)]
pub struct Column {
    vector: Vector,
    nulls: NullMask,
    constant: bool,
}

impl Column {
    /// An empty column, to be filled.
    pub fn new(physical: PhysicalType) -> Self {
        Self { vector: Vector::new(physical), nulls: NullMask::default(), constant: false }
    }

    /// A column whose every row is `value`.
    pub fn constant(physical: PhysicalType, value: ValueRef<'_>) -> Self {
        let mut column = Self::new(physical);
        column.set_constant(physical, value);
        column
    }

    /// Turns this into a constant.
    pub fn set_constant(&mut self, physical: PhysicalType, value: ValueRef<'_>) {
        self.reset(physical, 1);
        self.set(0, value);
        self.constant = true;
    }

    /// Makes this an ordinary column of `rows` default, non-null elements. Keeps the memory.
    pub fn reset(&mut self, physical: PhysicalType, rows: usize) {
        debug_assert!(rows <= BATCH_ROWS);
        let same = match (&self.vector, physical.is_bytes()) {
            (Vector::Bytes(_), bytes) => bytes,
            (vector, false) => vector.physical() == physical,
            _ => false,
        };
        if same {
            self.vector.clear();
        } else {
            self.vector = Vector::new(physical);
        }
        self.vector.resize(rows);
        self.nulls.clear();
        self.constant = false;
    }

    /// Empties the column for appending.
    pub fn clear(&mut self) {
        self.vector.clear();
        self.nulls.clear();
        self.constant = false;
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// Elements held: the rows, or one for a constant.
    pub fn len(&self) -> usize {
        self.vector.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the element of `row` is.
    #[inline]
    pub fn index(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_null(self.index(row))
    }

    #[inline]
    pub fn get(&self, row: usize) -> ValueRef<'_> {
        let index = self.index(row);
        if self.nulls.is_null(index) { ValueRef::Null } else { self.vector.get(index) }
    }

    /// The elements; a single one for a constant.
    ///
    /// # Panics
    /// If the column is of another physical type.
    #[inline]
    #[track_caller]
    pub fn values<T: Element>(&self) -> &[T] {
        T::of(&self.vector)
    }

    #[inline]
    #[track_caller]
    pub fn values_mut<T: Element>(&mut self) -> &mut [T] {
        T::of_mut(&mut self.vector)
    }

    /// Elements and nulls, both to be written.
    #[track_caller]
    pub fn parts_mut<T: Element>(&mut self) -> (&mut [T], &mut NullMask) {
        (T::of_mut(&mut self.vector), &mut self.nulls)
    }

    /// The byte strings.
    ///
    /// # Panics
    /// If the column is not one of bytes.
    #[track_caller]
    pub fn bytes(&self) -> &ByteVector {
        match &self.vector {
            Vector::Bytes(bytes) => bytes,
            other => panic!("expected a column of bytes, got {:?}", other.physical()),
        }
    }

    #[track_caller]
    pub fn bytes_mut(&mut self) -> &mut ByteVector {
        match &mut self.vector {
            Vector::Bytes(bytes) => bytes,
            other => panic!("expected a column of bytes, got {:?}", other.physical()),
        }
    }

    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    pub fn nulls(&self) -> &NullMask {
        &self.nulls
    }

    pub fn nulls_mut(&mut self) -> &mut NullMask {
        &mut self.nulls
    }

    /// Sets the value of a row.
    #[track_caller]
    pub fn set(&mut self, row: usize, value: ValueRef<'_>) {
        if value.is_null() {
            self.nulls.set_null(row);
        } else {
            if self.nulls.any() {
                self.nulls.set_valid(row);
            }
            self.vector.set(row, value);
        }
    }

    #[inline]
    pub fn set_null(&mut self, row: usize) {
        self.nulls.set_null(row);
    }

    /// Appends a value.
    #[track_caller]
    pub fn push(&mut self, value: ValueRef<'_>) {
        if value.is_null() {
            self.push_null();
        } else {
            self.vector.push(value);
        }
    }

    pub fn push_null(&mut self) {
        let row = self.vector.len();
        self.vector.resize(row + 1);
        self.nulls.set_null(row);
    }

    #[inline]
    #[track_caller]
    pub fn push_element<T: Element>(&mut self, value: T) {
        T::of_mut(&mut self.vector).push(value);
    }

    #[track_caller]
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.bytes_mut().push(bytes);
    }

    /// Copies the value of `other_row` of `other`, a column of the same physical type, to `row`.
    pub fn copy(&mut self, row: usize, other: &Column, other_row: usize) {
        let index = other.index(other_row);
        if other.nulls.is_null(index) {
            self.nulls.set_null(row);
        } else {
            if self.nulls.any() {
                self.nulls.set_valid(row);
            }
            self.vector.copy(row, &other.vector, index);
        }
    }

    /// Appends the value of `other_row` of `other`.
    pub fn push_from(&mut self, other: &Column, other_row: usize) {
        let row = self.vector.len();
        self.vector.resize(row + 1);
        self.copy(row, other, other_row);
    }

    /// Keeps only these rows, moved together; they rise.
    pub fn compact(&mut self, rows: &[u16]) {
        if self.constant {
            return;
        }
        self.vector.compact(rows);
        if self.nulls.any() {
            let before = std::mem::take(&mut self.nulls);
            for (to, from) in rows.iter().enumerate() {
                if before.is_null(usize::from(*from)) {
                    self.nulls.set_null(to);
                }
            }
        }
    }

    /// Drops the rows after the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        if !self.constant && rows < self.len() {
            (rows..self.len()).for_each(|row| self.nulls.set_valid(row));
            self.vector.resize(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacting_keeps_values_and_nulls() {
        let mut numbers = Column::new(PhysicalType::Int32);
        let mut texts = Column::new(PhysicalType::Varlena);
        let text = |row: usize| vec![b'a'; row];
        for row in 0..100 {
            numbers.push(if row % 3 == 0 { ValueRef::Null } else { ValueRef::Int32(row as i32) });
            texts.push_bytes(&text(row));
        }
        let kept: Vec<u16> = (0..100).filter(|row| row % 7 == 6).collect();
        numbers.compact(&kept);
        texts.compact(&kept);
        assert_eq!((numbers.len(), texts.len()), (kept.len(), kept.len()));
        for (to, row) in kept.iter().enumerate() {
            let number = if row % 3 == 0 { ValueRef::Null } else { ValueRef::Int32(i32::from(*row)) };
            assert_eq!(numbers.get(to), number);
            assert_eq!(texts.get(to), ValueRef::Bytes(&text(usize::from(*row))));
        }
    }

    #[test]
    fn appending_and_setting_agree() {
        let mut pushed = Column::new(PhysicalType::Int32);
        let mut set = Column::new(PhysicalType::Varlena);
        set.reset(PhysicalType::Int32, 100);
        for row in 0..100 {
            let value = if row % 7 == 0 { ValueRef::Null } else { ValueRef::Int32(row as i32) };
            pushed.push(value);
            set.set(row, value);
        }
        for row in 0..100 {
            assert_eq!(pushed.get(row), set.get(row));
        }
        assert_eq!(pushed.nulls().count(100), 15);
        pushed.truncate(8);
        assert_eq!((pushed.len(), pushed.nulls().count(100)), (8, 2));
    }

    #[test]
    fn a_constant_stands_for_every_row() {
        let mut column = Column::constant(PhysicalType::Varlena, ValueRef::Bytes(b"a constant string"));
        assert_eq!(column.get(1000), ValueRef::Bytes(b"a constant string"));
        column.set_constant(PhysicalType::Int64, ValueRef::Null);
        assert!(column.is_null(77));
    }
}
