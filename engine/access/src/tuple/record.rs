//! Rows as values: composite types and `record`.
//!
//! Realises: `HeapTupleHeader` as a datum (`heap_copy_tuple_as_datum`). The value is a tuple whose first
//! twelve bytes tell its length and type in place of transactions:
//!
//! ```text
//!   0  length (the value's own header: not part of the payload)
//!   4  typmod, -1        8  oid of the row type       12  ctid, invalid
//!   18 infomask2, infomask, hoff, null bitmap, data: as in any tuple
//! ```
//!
//! A named type's columns stand in the catalogs. A row of no named type tells its columns' types itself,
//! behind the data, where PostgreSQL has a registry in each backend; no table stores such a row.

use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Attribute, Column, TupleDesc, Value, ValueRef};

use super::deform::Deformer;
use super::form::{FormValue, form};
use super::header::{HEADER_SIZE, TupleHeader};
use super::varlena::LONG_HEADER_SIZE;

const TYPE_OFFSET: usize = 8 - LONG_HEADER_SIZE;

/// The value of a row with these columns.
pub fn make(desc: &TupleDesc, row_type: Oid, values: &[ValueRef<'_>]) -> Result<Vec<u8>> {
    let values: Vec<_> = values.iter().map(|value| FormValue::Value(*value)).collect();
    let mut tuple = form(desc, &values)?.bytes;
    tuple[4..8].copy_from_slice(&(-1_i32).to_le_bytes());
    tuple[8..12].copy_from_slice(&row_type.0.to_le_bytes());
    tuple[12..18].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0]);
    tuple.drain(..LONG_HEADER_SIZE);
    if row_type == oid::RECORD {
        desc.iter().for_each(|attribute| tuple.extend_from_slice(&attribute.type_oid.0.to_le_bytes()));
    }
    Ok(tuple)
}

/// The row type that a value names.
pub fn row_type(payload: &[u8]) -> Result<Oid> {
    let bytes = payload.get(TYPE_OFFSET..).and_then(<[u8]>::first_chunk).ok_or_else(damaged)?;
    Ok(Oid(u32::from_le_bytes(*bytes)))
}

/// The columns of a row that has no named type.
pub fn anonymous_columns(payload: &[u8]) -> Result<TupleDesc> {
    let header = TupleHeader::read(&with_length(payload)?)?;
    let start = payload.len().checked_sub(header.attribute_count() * 4).ok_or_else(damaged)?;
    let types = payload[start..].chunks_exact(4);
    let columns = types.zip(1..).map(|(bytes, number)| {
        let type_oid = Oid(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        column(number, type_oid)
    });
    Ok(TupleDesc::new(columns.collect::<Result<Vec<_>>>()?))
}

/// A column of a row that has no named type.
pub fn column(number: i16, type_oid: Oid) -> Result<Attribute> {
    match type_info(type_oid) {
        Some(_) => Ok(Attribute::builtin(format!("f{number}"), number, type_oid)),
        None => Err(Error::not_supported("a row with a column of a type that is not built in")),
    }
}

/// The values of a row's columns.
pub fn values(desc: &TupleDesc, payload: &[u8]) -> Result<Vec<Value>> {
    let tuple = with_length(payload)?;
    let deformer = Deformer::all(desc.clone());
    let mut columns: Vec<_> = deformer.physical_types().into_iter().map(Column::new).collect();
    let mut deferred = Vec::new();
    deformer.append(&[&tuple], 0, &mut columns, &mut deferred)?;
    if !deferred.is_empty() {
        return Err(Error::data_corrupted("a row's value holds a pointer to a value out of line"));
    }
    Ok(columns.iter().map(|column| column.get(0).to_value()).collect())
}

fn with_length(payload: &[u8]) -> Result<Vec<u8>> {
    if payload.len() + LONG_HEADER_SIZE < HEADER_SIZE {
        return Err(damaged());
    }
    Ok([&[0; LONG_HEADER_SIZE][..], payload].concat())
}

#[cold]
fn damaged() -> Error {
    Error::data_corrupted("a row's value is shorter than its columns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_tell_their_types() {
        let types = [oid::INT4, oid::TEXT, oid::BOOL];
        let columns = types.iter().zip(1..).map(|(type_oid, number)| column(number, *type_oid).unwrap());
        let desc = TupleDesc::new(columns.collect::<Vec<_>>());
        let row = [ValueRef::Int32(7), ValueRef::Bytes(b"seven"), ValueRef::Null];
        let named = make(&desc, Oid(16_400), &row).unwrap();
        assert_eq!(row_type(&named).unwrap(), Oid(16_400));
        let anonymous = make(&desc, oid::RECORD, &row).unwrap();
        assert_eq!(anonymous.len(), named.len() + 12);
        let found = anonymous_columns(&anonymous).unwrap();
        assert_eq!(found.iter().map(|column| column.type_oid).collect::<Vec<_>>(), types);
        for value in [&named, &anonymous] {
            let values = values(&desc, value).unwrap();
            assert_eq!(values.iter().map(Value::as_ref).collect::<Vec<_>>(), row);
        }
        for length in 0..named.len() {
            assert!(values(&desc, &named[..length]).is_err(), "{length}");
        }
    }
}
