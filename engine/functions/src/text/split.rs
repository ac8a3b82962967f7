//! Taking strings apart at a delimiter: split_part, string_to_array, string_to_table.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Result, bail};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef, array};

use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{Listed, SetRows};

pub(crate) const LIST: &[&[Builtin]] = list![split_part, text_to_array, text_to_array_null];

#[builtin(oid = 2088)]
fn split_part(text: &str, delimiter: &str, field: i32) -> Result<String> {
    if field == 0 {
        bail!(INVALID_PARAMETER_VALUE, "field position must not be zero");
    }
    if text.is_empty() {
        return Ok(String::new());
    }
    if delimiter.is_empty() {
        return Ok(if field == 1 || field == -1 { text.to_owned() } else { String::new() });
    }
    let number = field.unsigned_abs() as usize - 1;
    let part = if field > 0 { text.split(delimiter).nth(number) } else { text.rsplit(delimiter).nth(number) };
    Ok(part.unwrap_or_default().to_owned())
}

/// The fields: each character if there is no delimiter, the whole if it is empty.
fn fields(text: &str, delimiter: Option<&str>, null: Option<&str>) -> Vec<Value> {
    let value = |field: &str| if Some(field) == null { Value::Null } else { Value::from(field) };
    match delimiter {
        _ if text.is_empty() => Vec::new(),
        None => text.chars().map(|c| value(c.encode_utf8(&mut [0; 4]))).collect(),
        Some("") => vec![value(text)],
        Some(delimiter) => text.split(delimiter).map(value).collect(),
    }
}

fn to_array(text: Option<&str>, delimiter: Option<&str>, null: Option<&str>) -> Result<Option<Vec<u8>>> {
    let Some(text) = text else { return Ok(None) };
    let info = type_info(oid::TEXT).expect("text is built in");
    array::build_vector(info, &fields(text, delimiter, null)).map(Some)
}

#[builtin(oid = 394)]
fn text_to_array(text: Option<&str>, delimiter: Option<&str>) -> Result<Option<Vec<u8>>> {
    to_array(text, delimiter, None)
}

#[builtin(oid = 376)]
fn text_to_array_null(
    text: Option<&str>,
    delimiter: Option<&str>,
    null: Option<&str>,
) -> Result<Option<Vec<u8>>> {
    to_array(text, delimiter, null)
}

/// `string_to_table`.
pub(crate) fn text_to_table(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let read = |at: usize| {
        let value = arguments.get(at).filter(|value| !value.is_null())?;
        Some(std::str::from_utf8(value.bytes()).unwrap_or_default())
    };
    let values = read(0).map_or_else(Vec::new, |text| fields(text, read(1), read(2)));
    Ok(Box::new(Listed(values.into_iter())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_count_from_both_ends() {
        let part = |field| split_part("abc~@~def~@~ghi", "~@~", field).expect("not zero");
        assert_eq!((part(2).as_str(), part(-1).as_str(), part(4).as_str()), ("def", "ghi", ""));
        assert_eq!(fields("a,,c", Some(","), Some("")), [Value::from("a"), Value::Null, Value::from("c")]);
        assert_eq!(fields("añ", None, None).len(), 2);
    }
}
