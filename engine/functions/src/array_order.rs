//! Functions that build arrays or change the order of their elements: array_fill, array_sort,
//! array_shuffle, array_sample, trim_array; searching from a position; width_bucket.

use std::cmp::Ordering;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Oid, Result, bail, error};
use kokkiri_types::array::{self, ArrayRef, MAX_DIMENSIONS, build, element_info};
use kokkiri_types::compare::comparator;
use kokkiri_types::{Value, ValueRef};

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![
    array_fill,
    array_fill_with_lower_bounds,
    array_sort,
    array_sort_order,
    array_sort_order_nulls_first,
    array_shuffle,
    array_sample,
    trim_array,
    array_position_start,
    width_bucket_array,
]];

fn integers(payload: &[u8], what: &str) -> Result<Vec<i32>> {
    let array = ArrayRef::new(payload)?;
    if array.dimensions() > 1 {
        return Err(error!(ARRAY_ELEMENT_ERROR, "wrong number of array subscripts")
            .detail(format!("{what} array must be one dimensional.")));
    }
    if array.has_nulls() {
        bail!(NULL_VALUE_NOT_ALLOWED, "{} values cannot be null", what.to_ascii_lowercase());
    }
    Ok(array.builtin_elements()?.map(|element| element.int32()).collect())
}

fn filled(
    context: &CallContext<'_>,
    value: ValueRef<'_>,
    dims: Option<&[u8]>,
    lower: Option<Option<&[u8]>>,
) -> Result<Vec<u8>> {
    let null =
        || -> Error { error!(NULL_VALUE_NOT_ALLOWED, "dimension array or low bound array cannot be null") };
    let dims = integers(dims.ok_or_else(null)?, "Dimension")?;
    let lower = match lower {
        None => vec![1; dims.len()],
        Some(bounds) => {
            let bounds = integers(bounds.ok_or_else(null)?, "Low bound")?;
            if bounds.len() != dims.len() {
                return Err(error!(ARRAY_ELEMENT_ERROR, "wrong number of array subscripts")
                    .detail("Low bound array has different size than dimensions array."));
            }
            bounds
        }
    };
    if dims.len() > MAX_DIMENSIONS {
        bail!(
            PROGRAM_LIMIT_EXCEEDED,
            "number of array dimensions ({}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
            dims.len()
        );
    }
    let too_large = || error!(PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed (134217727)");
    let mut count: usize = 1;
    for size in &dims {
        let size = usize::try_from(*size).map_err(|_| too_large())?;
        count = count.checked_mul(size).filter(|count| *count <= 134_217_727).ok_or_else(too_large)?;
    }
    let element = array::element_type_if_array(context.result_type)
        .ok_or_else(|| Error::internal("array_fill does not return an array"))?;
    let info = element_info(element)?;
    if dims.is_empty() || count == 0 {
        return build(info, &[], &[], std::iter::empty());
    }
    build(info, &dims, &lower, std::iter::repeat_n(value, count))
}

#[builtin(oid = 1193)]
fn array_fill(context: &mut CallContext<'_>, value: ValueRef<'_>, dims: Option<&[u8]>) -> Result<Vec<u8>> {
    filled(context, value, dims, None)
}

#[builtin(oid = 1286)]
fn array_fill_with_lower_bounds(
    context: &mut CallContext<'_>,
    value: ValueRef<'_>,
    dims: Option<&[u8]>,
    lower: Option<&[u8]>,
) -> Result<Vec<u8>> {
    filled(context, value, dims, Some(lower))
}

/// Slices along the first dimension, with the array's shape.
struct Slices {
    element: Oid,
    slices: Vec<Vec<Value>>,
    dims: Vec<i32>,
    lower: Vec<i32>,
}

impl Slices {
    fn of(payload: &[u8]) -> Result<Self> {
        let array = ArrayRef::new(payload)?;
        let dims: Vec<i32> = array.dims().collect();
        let values = array::values(payload)?;
        let size = dims.first().map_or(1, |first| values.len() / (*first).max(1) as usize).max(1);
        Ok(Self {
            element: array.element,
            slices: values.chunks(size).map(<[Value]>::to_vec).collect(),
            dims,
            lower: array.lower_bounds().collect(),
        })
    }

    fn into_payload(mut self) -> Result<Vec<u8>> {
        let info = element_info(self.element)?;
        if self.slices.is_empty() {
            return build(info, &[], &[], std::iter::empty());
        }
        self.dims[0] = self.slices.len() as i32;
        let values: Vec<Value> = self.slices.into_iter().flatten().collect();
        build(info, &self.dims, &self.lower, values.iter().map(Value::as_ref))
    }
}

fn sorted(context: &CallContext<'_>, payload: &[u8], descending: bool, nulls_first: bool) -> Result<Vec<u8>> {
    let mut slices = Slices::of(payload)?;
    if slices.slices.len() < 2 {
        return Ok(payload.to_vec());
    }
    let order = comparator(slices.element, context.collation)?;
    let nested = slices.dims.len() > 1;
    let compare = |a: &Value, b: &Value, nulls_first: bool| match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if nulls_first => Ordering::Less,
        (false, true) if nulls_first => Ordering::Greater,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => order(a.as_ref(), b.as_ref()),
    };
    slices.slices.sort_by(|a, b| {
        if nested {
            // Arrays compare as such: a null in them is above all values.
            let orders = a.iter().zip(b).map(|(a, b)| compare(a, b, false));
            let order = orders.fold(Ordering::Equal, Ordering::then);
            return if descending { order.reverse() } else { order };
        }
        let order = compare(&a[0], &b[0], nulls_first);
        if descending && !a[0].is_null() && !b[0].is_null() { order.reverse() } else { order }
    });
    slices.into_payload()
}

#[builtin(oid = 6388)]
fn array_sort(context: &mut CallContext<'_>, payload: &[u8]) -> Result<Vec<u8>> {
    sorted(context, payload, false, false)
}

#[builtin(oid = 6389)]
fn array_sort_order(context: &mut CallContext<'_>, payload: &[u8], descending: bool) -> Result<Vec<u8>> {
    sorted(context, payload, descending, descending)
}

#[builtin(oid = 6390)]
fn array_sort_order_nulls_first(
    context: &mut CallContext<'_>,
    payload: &[u8],
    descending: bool,
    nulls_first: bool,
) -> Result<Vec<u8>> {
    sorted(context, payload, descending, nulls_first)
}

/// The first `wanted` slices of a shuffled array.
fn drawn(context: &CallContext<'_>, mut slices: Slices, wanted: usize) -> Result<Vec<u8>> {
    let mut random = context.session.random.lock();
    let last = slices.slices.len() as i64 - 1;
    for at in 0..wanted {
        let other = random.next_in(at as i64, last) as usize;
        slices.slices.swap(at, other);
    }
    drop(random);
    slices.slices.truncate(wanted);
    slices.into_payload()
}

#[builtin(oid = 6215, volatile)]
fn array_shuffle(context: &mut CallContext<'_>, payload: &[u8]) -> Result<Vec<u8>> {
    let slices = Slices::of(payload)?;
    if slices.slices.len() < 2 {
        return Ok(payload.to_vec());
    }
    let wanted = slices.slices.len();
    drawn(context, slices, wanted)
}

#[builtin(oid = 6216, volatile)]
fn array_sample(context: &mut CallContext<'_>, payload: &[u8], wanted: i32) -> Result<Vec<u8>> {
    let mut slices = Slices::of(payload)?;
    let most = slices.slices.len();
    let Some(wanted) = usize::try_from(wanted).ok().filter(|wanted| *wanted <= most) else {
        bail!(INVALID_PARAMETER_VALUE, "sample size must be between 0 and {most}");
    };
    if let Some(first) = slices.lower.first_mut() {
        *first = 1;
    }
    drawn(context, slices, wanted)
}

#[builtin(oid = 6172)]
fn trim_array(payload: &[u8], count: i32) -> Result<Vec<u8>> {
    let mut slices = Slices::of(payload)?;
    let most = slices.slices.len();
    let Some(count) = usize::try_from(count).ok().filter(|count| *count <= most) else {
        bail!(ARRAY_ELEMENT_ERROR, "number of elements to trim must be between 0 and {most}");
    };
    slices.slices.truncate(most - count);
    // What is left is numbered from one, as a slice is.
    slices.lower.fill(1);
    slices.into_payload()
}

#[builtin(oid = 3278)]
fn array_position_start(
    context: &mut CallContext<'_>,
    payload: Option<&[u8]>,
    value: ValueRef<'_>,
    start: Option<i32>,
) -> Result<Option<i32>> {
    let Some(payload) = payload else { return Ok(None) };
    let array = ArrayRef::new(payload)?;
    if array.dimensions() > 1 {
        bail!(FEATURE_NOT_SUPPORTED, "searching for elements in multidimensional arrays is not supported");
    }
    let Some(start) = start else {
        bail!(NULL_VALUE_NOT_ALLOWED, "initial position must not be null");
    };
    let order = comparator(array.element, context.collation)?;
    let lower = array.lower_bounds().next().unwrap_or(1);
    let mut numbered = (lower..).zip(array.builtin_elements()?).filter(|(at, _)| *at >= start);
    let found = numbered.find(|(_, element)| match (element.is_null(), value.is_null()) {
        (false, false) => order(*element, value).is_eq(),
        (a, b) => a && b,
    });
    Ok(found.map(|(at, _)| at))
}

/// The number of thresholds, in rising order, that are not above the operand.
#[builtin(oid = 3218)]
fn width_bucket_array(context: &mut CallContext<'_>, value: ValueRef<'_>, thresholds: &[u8]) -> Result<i32> {
    let array = ArrayRef::new(thresholds)?;
    if array.dimensions() > 1 {
        bail!(ARRAY_ELEMENT_ERROR, "thresholds must be one-dimensional array");
    }
    if array.has_nulls() {
        bail!(NULL_VALUE_NOT_ALLOWED, "thresholds array must not contain NULLs");
    }
    let order = comparator(array.element, context.collation)?;
    let values = array::values(thresholds)?;
    Ok(values.partition_point(|threshold| order(threshold.as_ref(), value).is_le()) as i32)
}
