//! Hashes of values, for joins and grouping in memory.
//!
//! Values that the default hash operator classes call equal hash alike, across the types of one family:
//! all integers by their value, floats with the zeros and the NaNs folded, numerics without their
//! scale, bpchar without its padding. These are not PostgreSQL's hash values, which are stored on disk
//! by hash indexes and partition bounds.

use kokkiri_primitives::Oid;

use crate::batch::Selection;
use crate::builtin::oid;
use crate::column::{Column, Vector};
use crate::datetime::interval::Interval;
use crate::numeric;
use crate::text;
use crate::value::ValueRef;

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
/// What a null contributes.
const NULL: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// Mixes 64 bits so that every output bit depends on every input bit.
#[inline]
pub fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ SEED) * 0xA076_1D64_78BD_642F_u128;
    (product as u64) ^ (product >> 64) as u64
}

/// Hash of bytes.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = mix(bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        state = mix(state ^ u64::from_le_bytes(eight));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        state = mix(state.rotate_left(17) ^ u64::from_le_bytes(eight));
    }
    state
}

#[inline]
fn hash_float(value: f64) -> u64 {
    mix(if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() })
}

/// Joins the hash of a further column to that of those before it.
#[inline]
pub fn combine(hash: u64, next: u64) -> u64 {
    mix(hash.rotate_left(23) ^ next)
}

/// Hash of one value.
pub fn hash_value(type_oid: Oid, value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => NULL,
        ValueRef::Bool(value) => mix(u64::from(value)),
        ValueRef::Char(value) => mix(u64::from(value)),
        ValueRef::Int16(value) => mix(i64::from(value) as u64),
        ValueRef::Int32(value) => mix(i64::from(value) as u64),
        ValueRef::Int64(value) => mix(value as u64),
        ValueRef::Float32(value) => hash_float(f64::from(value)),
        ValueRef::Float64(value) => hash_float(value),
        ValueRef::Fixed16(value) if type_oid == oid::INTERVAL => {
            hash_bytes(&Interval::from_fixed(value).cmp_value().to_le_bytes())
        }
        ValueRef::Fixed16(value) => hash_bytes(&value),
        ValueRef::Tid(value) => mix(value.to_u64()),
        ValueRef::Bytes(bytes) => hash_string(type_oid, bytes),
    }
}

#[inline]
fn hash_string(type_oid: Oid, bytes: &[u8]) -> u64 {
    match type_oid {
        oid::BPCHAR => hash_bytes(text::without_padding(bytes)),
        oid::NUMERIC => numeric::hash(bytes),
        _ => match crate::array::element_type_if_array(type_oid) {
            Some(_) => crate::array::hash(bytes),
            None => hash_bytes(bytes),
        },
    }
}

/// Hashes the selected rows of a column. With `first` the hashes are set, else combined with what is there.
pub fn hash_column(type_oid: Oid, column: &Column, selection: &Selection, first: bool, hashes: &mut [u64]) {
    let mut put = |row: usize, hash: u64| {
        hashes[row] = if first { hash } else { combine(hashes[row], hash) };
    };
    if column.is_constant() {
        let hash = hash_value(type_oid, column.get(0));
        return selection.for_each(|row| put(row, hash));
    }
    if column.nulls().any() {
        return selection.for_each(|row| put(row, hash_value(type_oid, column.get(row))));
    }
    match column.vector() {
        Vector::Int16(values) => selection.for_each(|row| put(row, mix(i64::from(values[row]) as u64))),
        Vector::Int32(values) => selection.for_each(|row| put(row, mix(i64::from(values[row]) as u64))),
        Vector::Int64(values) => selection.for_each(|row| put(row, mix(values[row] as u64))),
        Vector::Bytes(bytes) => selection.for_each(|row| put(row, hash_string(type_oid, bytes.get(row)))),
        _ => selection.for_each(|row| put(row, hash_value(type_oid, column.get(row)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_hash_alike_across_a_family() {
        let int = |value| hash_value(oid::INT4, value);
        assert_eq!(int(ValueRef::Int16(-7)), int(ValueRef::Int64(-7)));
        assert_eq!(int(ValueRef::Float32(1.5)), int(ValueRef::Float64(1.5)));
        assert_eq!(int(ValueRef::Float64(0.0)), int(ValueRef::Float64(-0.0)));
        let padded = hash_value(oid::BPCHAR, ValueRef::Bytes(b"ab  "));
        assert_eq!(padded, hash_value(oid::BPCHAR, ValueRef::Bytes(b"ab")));
        assert_ne!(hash_bytes(b"abcdefgh"), hash_bytes(b"abcdefg"));
    }
}
