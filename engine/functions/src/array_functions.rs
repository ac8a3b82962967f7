//! Functions and operators of arrays.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Oid, Result, bail};
use kokkiri_types::array::{self, ArrayRef, MAX_DIMENSIONS, build, element_info};
use kokkiri_types::compare::{self, Comparator};
use kokkiri_types::{Value, ValueRef};

use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::system::text_form;

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![
    array_ndims,
    array_dims,
    array_lower,
    array_upper,
    array_length,
    array_cardinality,
    array_append,
    array_prepend,
    array_cat,
    array_to_text,
    array_to_text_null,
    arraycontains,
    arraycontained,
    arrayoverlap,
    array_position,
    array_positions,
    array_remove,
    array_replace,
    array_reverse,
]];

#[builtin(oid = 748)]
fn array_ndims(payload: &[u8]) -> Result<Option<i32>> {
    let dimensions = ArrayRef::new(payload)?.dimensions() as i32;
    Ok((dimensions > 0).then_some(dimensions))
}

#[builtin(oid = 747)]
fn array_dims(payload: &[u8]) -> Result<Option<String>> {
    let array = ArrayRef::new(payload)?;
    let upper = |size: i32, lower: i32| i64::from(lower) + i64::from(size) - 1;
    let dims = array.dims().zip(array.lower_bounds());
    let shown = dims.map(|(size, lower)| format!("[{lower}:{}]", upper(size, lower)));
    Ok((array.dimensions() > 0).then(|| shown.collect()))
}

/// Size and lower bound of a 1-based dimension.
fn dimension(payload: &[u8], number: i32) -> Result<Option<(i32, i32)>> {
    let array = ArrayRef::new(payload)?;
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    Ok(at.and_then(|at| array.dims().zip(array.lower_bounds()).nth(at)))
}

#[builtin(oid = 2091)]
fn array_lower(payload: &[u8], number: i32) -> Result<Option<i32>> {
    Ok(dimension(payload, number)?.map(|(_, lower)| lower))
}

#[builtin(oid = 2092)]
fn array_upper(payload: &[u8], number: i32) -> Result<Option<i32>> {
    Ok(dimension(payload, number)?.map(|(size, lower)| lower + size - 1))
}

#[builtin(oid = 2176)]
fn array_length(payload: &[u8], number: i32) -> Result<Option<i32>> {
    Ok(dimension(payload, number)?.map(|(size, _)| size))
}

#[builtin(oid = 3179)]
fn array_cardinality(payload: &[u8]) -> Result<i32> {
    Ok(ArrayRef::new(payload)?.len() as i32)
}

/// Values, sizes and lower bounds of an array.
type Parts = (Vec<Value>, Vec<i32>, Vec<i32>);

fn parts(payload: &[u8]) -> Result<Parts> {
    let array = ArrayRef::new(payload)?;
    Ok((array::values(payload)?, array.dims().collect(), array.lower_bounds().collect()))
}

fn assemble(element: Oid, (values, dims, lower): &Parts) -> Result<Vec<u8>> {
    build(element_info(element)?, dims, lower, values.iter().map(Value::as_ref))
}

/// Element type of the first argument that is an array, or the type of the other.
fn element_of(context: &CallContext<'_>, payload: Option<&[u8]>) -> Result<Oid> {
    if let Some(payload) = payload {
        return Ok(ArrayRef::new(payload)?.element);
    }
    let result = array::element_type_if_array(context.result_type);
    result.ok_or_else(|| Error::not_supported(format_args!("array of type with oid {}", context.result_type)))
}

/// Adds an element before the first or behind the last of at most one dimension.
fn extend(
    context: &CallContext<'_>,
    payload: Option<&[u8]>,
    value: ValueRef<'_>,
    front: bool,
) -> Result<Vec<u8>> {
    let element = element_of(context, payload)?;
    let (mut values, mut dims, mut lower) = payload.map_or_else(|| Ok(Parts::default()), parts)?;
    if dims.len() > 1 {
        bail!(DATA_EXCEPTION, "argument must be empty or one-dimensional array");
    }
    if dims.is_empty() {
        (dims, lower) = (vec![0], vec![1]);
    }
    let subscript = if front { lower[0].checked_sub(1) } else { lower[0].checked_add(dims[0]) };
    if subscript.is_none() {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    }
    values.insert(if front { 0 } else { values.len() }, value.to_value());
    dims[0] += 1;
    assemble(element, &(values, dims, lower))
}

#[builtin(oid = 378)]
fn array_append(
    context: &mut CallContext<'_>,
    payload: Option<&[u8]>,
    value: ValueRef<'_>,
) -> Result<Vec<u8>> {
    extend(context, payload, value, false)
}

#[builtin(oid = 379)]
fn array_prepend(
    context: &mut CallContext<'_>,
    value: ValueRef<'_>,
    payload: Option<&[u8]>,
) -> Result<Vec<u8>> {
    extend(context, payload, value, true)
}

#[builtin(oid = 383)]
fn array_cat(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (one, other) => return Ok(one.or(other).map(<[u8]>::to_vec)),
    };
    let (first, second) = (ArrayRef::new(a)?, ArrayRef::new(b)?);
    if first.is_empty() {
        return Ok(Some(b.to_vec()));
    }
    if second.is_empty() {
        return Ok(Some(a.to_vec()));
    }
    let incompatible = |detail: &str| {
        Err(kokkiri_primitives::error!(ARRAY_ELEMENT_ERROR, "cannot concatenate incompatible arrays")
            .detail(detail))
    };
    let (mut values, mut dims, mut lower) = parts(a)?;
    let (more, more_dims, more_lower) = parts(b)?;
    let mismatch = "Arrays with differing element dimensions are not compatible for concatenation.";
    match dims.len() as i32 - more_dims.len() as i32 {
        0 if dims[1..] == more_dims[1..] && lower[1..] == more_lower[1..] => dims[0] += more_dims[0],
        1 if dims[1..] == more_dims[..] => dims[0] += 1,
        -1 if dims[..] == more_dims[1..] => {
            (dims, lower) = (more_dims, more_lower);
            dims[0] += 1;
        }
        -1..=1 => return incompatible(mismatch),
        _ => {
            return incompatible(&format!(
                "Arrays of {} and {} dimensions are not compatible for concatenation.",
                dims.len(),
                more_dims.len()
            ));
        }
    }
    if dims.len() > MAX_DIMENSIONS {
        bail!(
            PROGRAM_LIMIT_EXCEEDED,
            "number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"
        );
    }
    values.extend(more);
    assemble(first.element, &(values, dims, lower)).map(Some)
}

fn join(context: &CallContext<'_>, payload: &[u8], delimiter: &str, null: Option<&str>) -> Result<String> {
    let element = ArrayRef::new(payload)?.element;
    let mut out = Vec::new();
    let mut first = true;
    for value in array::values(payload)? {
        if value.is_null() && null.is_none() {
            continue;
        }
        if !first {
            out.extend_from_slice(delimiter.as_bytes());
        }
        first = false;
        match (&value, null) {
            (Value::Null, Some(null)) => out.extend_from_slice(null.as_bytes()),
            _ => {
                let view = context.catalog.as_ref();
                text_form::output_text(view, element, value.as_ref(), context.io, &mut out)?;
            }
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[builtin(oid = 395)]
fn array_to_text(context: &mut CallContext<'_>, payload: &[u8], delimiter: &str) -> Result<String> {
    join(context, payload, delimiter, None)
}

#[builtin(oid = 384)]
fn array_to_text_null(
    context: &mut CallContext<'_>,
    payload: Option<&[u8]>,
    delimiter: Option<&str>,
    null: Option<&str>,
) -> Result<Option<String>> {
    match (payload, delimiter) {
        (Some(payload), Some(delimiter)) => join(context, payload, delimiter, null).map(Some),
        _ => Ok(None),
    }
}

fn equality(element: Oid) -> Result<Comparator> {
    compare::comparator(element, Oid::INVALID)
}

/// True if every element of `b`, or some with `all` unset, is equal to one of `a`. Nulls equal nothing.
fn contains(a: &[u8], b: &[u8], all: bool) -> Result<bool> {
    let element = ArrayRef::new(a)?.element;
    if element != ArrayRef::new(b)?.element {
        bail!(DATATYPE_MISMATCH, "cannot compare arrays of different element types");
    }
    let order = equality(element)?;
    let have = array::values(a)?;
    let found = |wanted: &Value| {
        !wanted.is_null()
            && have.iter().any(|value| !value.is_null() && order(value.as_ref(), wanted.as_ref()).is_eq())
    };
    let wanted = array::values(b)?;
    Ok(if all { wanted.iter().all(found) } else { wanted.iter().any(found) })
}

#[builtin(oid = 2748)]
fn arraycontains(a: &[u8], b: &[u8]) -> Result<bool> {
    contains(a, b, true)
}

#[builtin(oid = 2749)]
fn arraycontained(a: &[u8], b: &[u8]) -> Result<bool> {
    contains(b, a, true)
}

#[builtin(oid = 2747)]
fn arrayoverlap(a: &[u8], b: &[u8]) -> Result<bool> {
    contains(a, b, false)
}

/// True if two elements are not distinct.
fn same(order: Comparator, a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => order(a, b).is_eq(),
        (a, b) => a && b,
    }
}

/// Subscripts of the elements that are not distinct from a value.
fn positions(payload: &[u8], value: ValueRef<'_>) -> Result<Vec<i32>> {
    let array = ArrayRef::new(payload)?;
    if array.dimensions() > 1 {
        bail!(FEATURE_NOT_SUPPORTED, "searching for elements in multidimensional arrays is not supported");
    }
    let order = equality(array.element)?;
    let lower = array.lower_bounds().next().unwrap_or(1);
    let numbered = array.builtin_elements()?.zip(lower..);
    Ok(numbered.filter(|(element, _)| same(order, *element, value)).map(|(_, at)| at).collect())
}

#[builtin(oid = 3277)]
fn array_position(payload: Option<&[u8]>, value: ValueRef<'_>) -> Result<Option<i32>> {
    match payload {
        Some(payload) => Ok(positions(payload, value)?.first().copied()),
        None => Ok(None),
    }
}

#[builtin(oid = 3279)]
fn array_positions(payload: Option<&[u8]>, value: ValueRef<'_>) -> Result<Option<Vec<u8>>> {
    let Some(payload) = payload else { return Ok(None) };
    let found: Vec<Value> = positions(payload, value)?.into_iter().map(Value::Int32).collect();
    array::build_vector(element_info(kokkiri_types::builtin::oid::INT4)?, &found).map(Some)
}

#[builtin(oid = 3167)]
fn array_remove(payload: Option<&[u8]>, value: ValueRef<'_>) -> Result<Option<Vec<u8>>> {
    let Some(payload) = payload else { return Ok(None) };
    let array = ArrayRef::new(payload)?;
    if array.dimensions() > 1 {
        bail!(FEATURE_NOT_SUPPORTED, "removing elements from multidimensional arrays is not supported");
    }
    let order = equality(array.element)?;
    let (mut values, mut dims, lower) = parts(payload)?;
    values.retain(|element| !same(order, element.as_ref(), value));
    if let Some(size) = dims.first_mut() {
        *size = values.len() as i32;
    }
    assemble(array.element, &(values, dims, lower)).map(Some)
}

#[builtin(oid = 3168)]
fn array_replace(payload: Option<&[u8]>, from: ValueRef<'_>, to: ValueRef<'_>) -> Result<Option<Vec<u8>>> {
    let Some(payload) = payload else { return Ok(None) };
    let element = ArrayRef::new(payload)?.element;
    let order = equality(element)?;
    let (mut values, dims, lower) = parts(payload)?;
    for value in values.iter_mut().filter(|value| same(order, value.as_ref(), from)) {
        *value = to.to_value();
    }
    assemble(element, &(values, dims, lower)).map(Some)
}

#[builtin(oid = 6381)]
fn array_reverse(payload: &[u8]) -> Result<Vec<u8>> {
    let element = ArrayRef::new(payload)?.element;
    let (values, dims, lower) = parts(payload)?;
    let Some(&first) = dims.first().filter(|&&size| size > 0) else { return Ok(payload.to_vec()) };
    let span = values.len() / first as usize;
    let reversed = values.chunks(span).rev().flatten().cloned().collect();
    assemble(element, &(reversed, dims, lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_types::builtin::oid;
    use kokkiri_types::io::{self, IoSettings};

    fn read(text: &str) -> Vec<u8> {
        let value = io::input_text(oid::INT4_ARRAY, -1, text, &IoSettings::default()).expect("an array");
        value.as_ref().bytes().to_vec()
    }

    fn shown(payload: &[u8]) -> String {
        let mut out = Vec::new();
        array::write(payload, &IoSettings::default(), &mut out).expect("an array");
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Results are PostgreSQL's.
    #[test]
    fn arrays_combine() {
        let cat = |a: &str, b: &str| array_cat(Some(&read(a)), Some(&read(b))).map(|a| a.map(|a| shown(&a)));
        assert_eq!(cat("{1,2}", "{3}").ok().flatten().as_deref(), Some("{1,2,3}"));
        assert_eq!(cat("{{1,2},{3,4}}", "{5,6}").ok().flatten().as_deref(), Some("{{1,2},{3,4},{5,6}}"));
        assert_eq!(
            cat("{{1,2}}", "{5}").expect_err("shape").message(),
            "cannot concatenate incompatible arrays"
        );
        assert!(arraycontains(&read("{1,2,3}"), &read("{3,1}")).expect("same type"));
        assert!(!arrayoverlap(&read("{1,NULL}"), &read("{NULL}")).expect("same type"));
        assert_eq!(array_position(Some(&read("[0:2]={7,8,NULL}")), ValueRef::Null).ok().flatten(), Some(2));
        assert_eq!(shown(&array_reverse(&read("{1,2,3}")).expect("reversed")), "{3,2,1}");
        assert_eq!(
            array_dims(&read("[0:1][1:2]={{1,2},{3,4}}")).ok().flatten().as_deref(),
            Some("[0:1][1:2]")
        );
        let removed = array_remove(Some(&read("{1,2,1}")), ValueRef::Int32(1));
        assert_eq!(removed.ok().flatten().map(|a| shown(&a)).as_deref(), Some("{2}"));
    }
}
