//! Data types and column vectors: on-disk bytes, text and binary forms, comparison, hashing.
//!
//! How a value travels is its [`PhysicalType`]; what it means is its type's oid. A single value is a
//! [`Value`] (owned) or a [`ValueRef`] (borrowed); up to [`BATCH_ROWS`] of them are a [`Column`]; columns
//! with a [`Selection`] are a [`Batch`]. Varlena values are always the payload without its header,
//! detoasted and decompressed: text as its bytes, numeric, arrays and the like as PostgreSQL's on-disk
//! payload.
//!
//! Start at [`value`] and [`column`]; [`builtin`] knows PostgreSQL's own types, [`io`] their text and
//! binary forms, [`compare`] their order, [`mod@hash`] their equality.
#![forbid(unsafe_code)]

pub mod array;
pub mod attribute;
pub mod batch;
pub mod bits;
pub mod builtin;
pub mod bytes;
pub mod column;
pub mod compare;
pub mod datetime;
pub mod encoding;
pub mod hash;
pub mod io;
pub mod number;
pub mod numeric;
pub mod text;
pub mod value;

pub use attribute::{Align, Attribute, AttributeStorage, TupleDesc};
pub use batch::{BATCH_ROWS, Batch, Selection};
pub use bytes::ByteVector;
pub use column::{Column, Element, NullMask, Vector};
pub use value::{Bytes, PhysicalType, Value, ValueRef};

/// What operators fill: a column is its own builder, reused without allocation.
pub type ColumnBuilder = Column;
