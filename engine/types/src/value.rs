//! Single values: [`Value`] owns, [`ValueRef`] borrows.
//!
//! Realises: PostgreSQL's `Datum` with its null flag. Unlike a `Datum` a value knows its physical type,
//! so a mix-up is a panic with a name instead of a wild pointer. What is by reference in PostgreSQL and
//! at most 16 bytes long (interval, uuid, timetz, point, aclitem, macaddr) travels as `Fixed16`, in its
//! on-disk bytes, zero-padded; longer fixed ones (box, lseg) as bytes of exactly their length.

use std::fmt;
use std::sync::Arc;

use kokkiri_primitives::{ItemPointer, Oid};

/// How a value travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhysicalType {
    Bool,
    /// One byte: the type `"char"`.
    Char,
    Int16,
    /// int4, oid, xid, cid, date and the reg* types: 32 bits, signed or not by the type.
    Int32,
    /// int8, timestamp, timestamptz, time, money, pg_lsn, xid8.
    Int64,
    Float32,
    Float64,
    /// Fixed length by reference, up to 16 bytes, zero-padded.
    Fixed16,
    Tid,
    /// name: its bytes without padding; 64 bytes, zero-padded, on disk.
    Name,
    /// Bytes without a length word; zero-terminated on disk.
    CString,
    /// Fixed length by reference, more than 16 bytes.
    FixedBytes,
    /// The payload without varlena header.
    Varlena,
}

impl PhysicalType {
    /// True if values are held as byte views.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::Name | Self::CString | Self::FixedBytes | Self::Varlena)
    }
}

/// Bytes of a value, inline when short so that small values need no allocation.
#[derive(Clone)]
pub struct Bytes(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, data: [u8; Bytes::INLINE] },
    Shared(Arc<[u8]>),
}

impl Bytes {
    /// Longest value held inline.
    pub const INLINE: usize = 22;

    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::INLINE {
            let mut data = [0; Self::INLINE];
            data[..bytes.len()].copy_from_slice(bytes);
            Self(Repr::Inline { length: bytes.len() as u8, data })
        } else {
            Self(Repr::Shared(Arc::from(bytes)))
        }
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, data } => &data[..usize::from(*length)],
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= Self::INLINE { Self::new(&bytes) } else { Self(Repr::Shared(Arc::from(bytes))) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

/// One value, owned. Equality is that of the bits, not of the type: use [`crate::compare`] for SQL's.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Char(u8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Fixed16([u8; 16]),
    Tid(ItemPointer),
    Bytes(Bytes),
}

/// One value, borrowed. Equality is that of the bits.
#[derive(Clone, Copy, Debug, Default)]
pub enum ValueRef<'a> {
    #[default]
    Null,
    Bool(bool),
    Char(u8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Fixed16([u8; 16]),
    Tid(ItemPointer),
    Bytes(&'a [u8]),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

/// A constant is the same as itself even if it is NaN, and zero is not minus zero: `datumIsEqual`.
impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (ValueRef::Null, ValueRef::Null) => true,
            (ValueRef::Bool(one), ValueRef::Bool(other)) => one == other,
            (ValueRef::Char(one), ValueRef::Char(other)) => one == other,
            (ValueRef::Int16(one), ValueRef::Int16(other)) => one == other,
            (ValueRef::Int32(one), ValueRef::Int32(other)) => one == other,
            (ValueRef::Int64(one), ValueRef::Int64(other)) => one == other,
            (ValueRef::Float32(one), ValueRef::Float32(other)) => one.to_bits() == other.to_bits(),
            (ValueRef::Float64(one), ValueRef::Float64(other)) => one.to_bits() == other.to_bits(),
            (ValueRef::Fixed16(one), ValueRef::Fixed16(other)) => one == other,
            (ValueRef::Tid(one), ValueRef::Tid(other)) => one == other,
            (ValueRef::Bytes(one), ValueRef::Bytes(other)) => one == other,
            _ => false,
        }
    }
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::Char(value) => ValueRef::Char(*value),
            Value::Int16(value) => ValueRef::Int16(*value),
            Value::Int32(value) => ValueRef::Int32(*value),
            Value::Int64(value) => ValueRef::Int64(*value),
            Value::Float32(value) => ValueRef::Float32(*value),
            Value::Float64(value) => ValueRef::Float64(*value),
            Value::Fixed16(value) => ValueRef::Fixed16(*value),
            Value::Tid(value) => ValueRef::Tid(*value),
            Value::Bytes(value) => ValueRef::Bytes(value.as_slice()),
        }
    }

    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Value::Bytes(Bytes::new(bytes.as_ref()))
    }

    pub fn oid(oid: Oid) -> Self {
        Value::Int32(oid.0 as i32)
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Value::$variant(value.into())
            }
        }
    )*};
}

value_from!(bool => Bool, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32, f64 => Float64,
    [u8; 16] => Fixed16, ItemPointer => Tid, &[u8] => Bytes, Vec<u8> => Bytes);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::bytes(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Bytes(text.into_bytes().into())
    }
}

impl From<Oid> for Value {
    fn from(oid: Oid) -> Self {
        Value::oid(oid)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

macro_rules! accessors {
    ($($name:ident $variant:ident $type:ty),*) => {$(
        /// The value, of which the caller knows the physical type.
        ///
        /// # Panics
        /// If it is null or of another type: a broken invariant of the analyzed tree.
        #[track_caller]
        pub fn $name(self) -> $type {
            match self {
                ValueRef::$variant(value) => value,
                other => panic!(concat!("expected a value of physical type ", stringify!($variant), ", got {:?}"), other),
            }
        }
    )*};
}

impl<'a> ValueRef<'a> {
    accessors!(bool Bool bool, char Char u8, int16 Int16 i16, int32 Int32 i32, int64 Int64 i64, float32 Float32 f32,
        float64 Float64 f64, fixed16 Fixed16 [u8; 16], tid Tid ItemPointer, bytes Bytes &'a [u8]);

    pub fn is_null(self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// The bits of an oid.
    #[track_caller]
    pub fn oid(self) -> Oid {
        Oid(self.int32() as u32)
    }

    /// Bytes as text. Text in the engine has passed the encoding check on its way in; a stray invalid
    /// byte reads as the replacement character.
    #[track_caller]
    pub fn text(self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Char(value) => Value::Char(value),
            ValueRef::Int16(value) => Value::Int16(value),
            ValueRef::Int32(value) => Value::Int32(value),
            ValueRef::Int64(value) => Value::Int64(value),
            ValueRef::Float32(value) => Value::Float32(value),
            ValueRef::Float64(value) => Value::Float64(value),
            ValueRef::Fixed16(value) => Value::Fixed16(value),
            ValueRef::Tid(value) => Value::Tid(value),
            ValueRef::Bytes(value) => Value::Bytes(Bytes::new(value)),
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bytes_stay_inline() {
        assert_eq!(std::mem::size_of::<Value>(), 24);
        for length in [0, 1, 22, 23, 1000] {
            let bytes = vec![7; length];
            assert_eq!(Bytes::new(&bytes).as_slice(), bytes);
            assert_eq!(Value::from(bytes.clone()).as_ref(), ValueRef::Bytes(&bytes));
        }
    }
}
