//! Functions that PostgreSQL defines in SQL by others, and that are as simple to write out.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::{Value, ValueRef, io};

use super::build::{quote_literal, quote_nullable};
use super::{lpad, rpad};
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(super) const LIST: &[&[Builtin]] = list![lpad_spaces, rpad_spaces, quote_literal_any, quote_nullable_any];

#[builtin(oid = 879)]
fn lpad_spaces(text: &str, length: i32) -> Result<String> {
    lpad(text, length, " ")
}

#[builtin(oid = 880)]
fn rpad_spaces(text: &str, length: i32) -> Result<String> {
    rpad(text, length, " ")
}

/// A value as its cast to text shows it.
fn as_text(context: &CallContext<'_>, value: ValueRef<'_>) -> Result<String> {
    let type_oid = context.argument_types.first().copied().unwrap_or(Oid::INVALID);
    if type_oid == kokkiri_types::builtin::oid::BOOL {
        return Ok(value.bool().to_string());
    }
    let mut out = Vec::new();
    io::output_text(type_oid, value, context.io, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[builtin(oid = 1285, raw, strict)]
fn quote_literal_any(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let text = as_text(context, arguments[0])?;
    Ok(Value::from(quote_literal(&text).as_str()))
}

#[builtin(oid = 1290, raw)]
fn quote_nullable_any(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let text = match arguments[0] {
        ValueRef::Null => None,
        value => Some(as_text(context, value)?),
    };
    Ok(Value::from(quote_nullable(text.as_deref()).as_str()))
}
