//! How a value is stored: its size in a tuple, how it was compressed, where it stands out of line.
//!
//! A value that comes from a column of a table arrives in its stored form, which the planner asks for and
//! marks with the type `internal`; any other arrives as it travels, decompressed.

use kokkiri_access::tuple::varlena::{LONG_HEADER_SIZE, SHORT_HEADER_SIZE, Varlena};
use kokkiri_function_macros::builtin;
use kokkiri_primitives::Result;
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef};

use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![pg_column_size, pg_column_compression, pg_column_toast_chunk_id];

/// The stored form of an argument that a table's column has given.
fn stored_form<'a>(
    context: &CallContext<'_>,
    arguments: &[ValueRef<'a>],
) -> Result<Option<(Varlena<'a>, usize)>> {
    match context.argument_types.first() {
        Some(&oid::INTERNAL) => Varlena::decode(arguments[0].bytes()).map(Some),
        _ => Ok(None),
    }
}

/// Bytes that a value takes in a tuple or out of line, without alignment: `toast_datum_size`.
#[builtin(oid = 1269, raw, strict)]
fn pg_column_size(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    match stored_form(context, arguments)? {
        Some((Varlena::External(pointer), _)) => return Ok(Value::Int32(pointer.external_size as i32)),
        Some((_, size)) => return Ok(Value::Int32(size as i32)),
        None => {}
    }
    let type_oid = context.argument_types.first().copied().unwrap_or(oid::TEXT);
    let length = match (need::catalog(context), type_info(type_oid)) {
        (_, Some(info)) => info.length,
        (Ok(view), None) => view.expect_type(type_oid)?.length,
        (Err(error), None) => return Err(error),
    };
    Ok(Value::Int32(match (length, arguments[0]) {
        (-2, ValueRef::Bytes(bytes)) => (bytes.len() + SHORT_HEADER_SIZE) as i32,
        (length, ValueRef::Bytes(bytes)) if length < 0 => (bytes.len() + LONG_HEADER_SIZE) as i32,
        (length, _) => i32::from(length),
    }))
}

/// The method by which a stored value is compressed; null if it is not.
#[builtin(oid = 2121, raw, strict)]
fn pg_column_compression(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let method = match stored_form(context, arguments)? {
        Some((Varlena::Compressed { method, .. }, _)) => Some(method),
        Some((Varlena::External(pointer), _)) => pointer.method,
        _ => None,
    };
    Ok(Value::from(method.map(|method| method.as_str().to_owned())))
}

/// The `chunk_id` of a value out of line; null for any other.
#[builtin(oid = 6316, raw, strict)]
fn pg_column_toast_chunk_id(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let pointer = match stored_form(context, arguments)? {
        Some((Varlena::External(pointer), _)) => Some(pointer.value_id),
        _ => None,
    };
    Ok(pointer.map_or(Value::Null, Value::oid))
}
