//! Functions that return sets of rows.
//!
//! A function with several results and no set (`record` with OUT parameters) is one that returns one row.
//!
//! A call yields a [`SetRows`], which appends as many rows as are asked for: a consumer that stops
//! early, as LIMIT does, computes no more.

use std::collections::HashMap;
use std::sync::OnceLock;

use kokkiri_primitives::{Oid, Result, bail};
use kokkiri_types::datetime::{Interval, is_infinite_timestamp};
use kokkiri_types::numeric::Numeric;
use kokkiri_types::{Column, Value, ValueRef, array};

use crate::context::CallContext;
use crate::text::split::text_to_table;

/// The rows of one call.
pub trait SetRows: Send {
    /// Appends at most `demand` rows to the columns of the result; how many. Fewer means the end.
    ///
    /// # Errors
    /// Those of the function.
    fn next(&mut self, context: &mut CallContext<'_>, demand: usize, out: &mut [Column]) -> Result<usize>;
}

type Start = fn(&mut CallContext<'_>, &[ValueRef<'_>]) -> Result<Box<dyn SetRows>>;

/// A built set-returning function.
#[derive(Clone, Copy, Debug)]
pub struct SetFunction {
    pub oid: Oid,
    pub name: &'static str,
    /// True if a null argument makes the set empty.
    pub strict: bool,
    start: Start,
}

impl SetFunction {
    pub(crate) const fn new(oid: u32, name: &'static str, strict: bool, start: Start) -> Self {
        Self { oid: Oid(oid), name, strict, start }
    }

    /// Starts a call.
    ///
    /// # Errors
    /// Those of the function.
    pub fn start(
        &self,
        context: &mut CallContext<'_>,
        arguments: &[ValueRef<'_>],
    ) -> Result<Box<dyn SetRows>> {
        if self.strict && arguments.iter().any(|argument| argument.is_null()) {
            return Ok(Box::new(Listed(Vec::new().into_iter())));
        }
        (self.start)(context, arguments)
    }
}

const FUNCTIONS: &[SetFunction] = &[
    SetFunction { oid: Oid(1066), name: "generate_series_step_int4", strict: true, start: series_int4 },
    SetFunction { oid: Oid(1067), name: "generate_series_int4", strict: true, start: series_int4 },
    SetFunction { oid: Oid(1068), name: "generate_series_step_int8", strict: true, start: series_int8 },
    SetFunction { oid: Oid(1069), name: "generate_series_int8", strict: true, start: series_int8 },
    SetFunction { oid: Oid(3259), name: "generate_series_step_numeric", strict: true, start: series_numeric },
    SetFunction { oid: Oid(3260), name: "generate_series_numeric", strict: true, start: series_numeric },
    SetFunction { oid: Oid(938), name: "generate_series_timestamp", strict: true, start: series_timestamp },
    SetFunction {
        oid: Oid(939),
        name: "generate_series_timestamptz",
        strict: true,
        start: series_timestamptz,
    },
    SetFunction { oid: Oid(1191), name: "generate_subscripts", strict: true, start: subscripts },
    SetFunction { oid: Oid(1192), name: "generate_subscripts_nodir", strict: true, start: subscripts },
    SetFunction { oid: Oid(2331), name: "array_unnest", strict: true, start: unnest },
    SetFunction { oid: Oid(6160), name: "text_to_table", strict: false, start: text_to_table },
    SetFunction { oid: Oid(6161), name: "text_to_table_null", strict: false, start: text_to_table },
];

/// All that are built.
pub fn set_functions() -> impl Iterator<Item = &'static SetFunction> {
    let system = crate::system::SETS.iter().copied().flatten();
    let extensions = crate::extension::SETS.iter().chain(crate::extension::pg_buffercache::SETS);
    FUNCTIONS.iter().chain(crate::regular_expression::SETS).chain(system).chain(extensions)
}

/// The set-returning function with this oid, if it is built.
pub fn set_returning(oid: Oid) -> Option<&'static SetFunction> {
    static BY_OID: OnceLock<HashMap<Oid, &'static SetFunction>> = OnceLock::new();
    BY_OID
        .get_or_init(|| set_functions().map(|function| (function.oid, function)).collect())
        .get(&oid)
        .copied()
}

/// Values of one column that are known at the start.
pub(crate) struct Listed(pub std::vec::IntoIter<Value>);

impl SetRows for Listed {
    fn next(&mut self, _: &mut CallContext<'_>, demand: usize, out: &mut [Column]) -> Result<usize> {
        let mut rows = 0;
        for value in self.0.by_ref().take(demand) {
            out[0].push(value.as_ref());
            rows += 1;
        }
        Ok(rows)
    }
}

/// Integers from a start to an end.
struct Series {
    /// `None` past the last integer.
    next: Option<i64>,
    last: i64,
    step: i64,
    narrow: bool,
}

impl SetRows for Series {
    fn next(&mut self, _: &mut CallContext<'_>, demand: usize, out: &mut [Column]) -> Result<usize> {
        let mut rows = 0;
        while rows < demand {
            let Some(value) = self.next else { break };
            if if self.step > 0 { value > self.last } else { value < self.last } {
                break;
            }
            if self.narrow {
                out[0].push_element(value as i32)
            } else {
                out[0].push_element(value)
            }
            self.next = value.checked_add(self.step);
            rows += 1;
        }
        Ok(rows)
    }
}

fn series(first: i64, last: i64, step: i64, narrow: bool) -> Result<Box<dyn SetRows>> {
    if step == 0 {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot equal zero");
    }
    Ok(Box::new(Series { next: Some(first), last, step, narrow }))
}

fn series_int4(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let step = arguments.get(2).map_or(1, |step| i64::from(step.int32()));
    series(i64::from(arguments[0].int32()), i64::from(arguments[1].int32()), step, true)
}

fn series_int8(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let step = arguments.get(2).map_or(1, |step| step.int64());
    series(arguments[0].int64(), arguments[1].int64(), step, false)
}

/// Numbers or times, each the one before plus a step.
struct Steps<T, F> {
    next: T,
    past_end: F,
}

impl<T, F> SetRows for Steps<T, F>
where
    T: Send,
    F: FnMut(&mut T, &CallContext<'_>) -> Result<Option<Value>> + Send,
{
    fn next(&mut self, context: &mut CallContext<'_>, demand: usize, out: &mut [Column]) -> Result<usize> {
        for rows in 0..demand {
            match (self.past_end)(&mut self.next, context)? {
                Some(value) => out[0].push(value.as_ref()),
                None => return Ok(rows),
            }
        }
        Ok(demand)
    }
}

fn series_numeric(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let read = |at: usize| arguments.get(at).map(|value| Numeric::decode(value.bytes()));
    let (Some(first), Some(last)) = (read(0), read(1)) else {
        return Ok(Box::new(Listed(Vec::new().into_iter())));
    };
    let step = read(2).unwrap_or_else(Numeric::one);
    for (value, what) in [(&first, "start"), (&last, "stop")] {
        if value.is_nan() {
            bail!(INVALID_PARAMETER_VALUE, "{what} value cannot be NaN");
        }
        if value.is_infinite() {
            bail!(INVALID_PARAMETER_VALUE, "{what} value cannot be infinity");
        }
    }
    if step.is_nan() {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot be NaN");
    }
    if step.is_infinite() {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot be infinity");
    }
    if step.is_zero() {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot equal zero");
    }
    Ok(Box::new(Steps {
        next: first,
        past_end: move |next: &mut Numeric, _: &CallContext<'_>| {
            let ended = if step.negative { *next < last } else { *next > last };
            if ended {
                return Ok(None);
            }
            let value = next.to_payload()?;
            *next = next.add(&step);
            Ok(Some(Value::from(value)))
        },
    }))
}

fn time_series(arguments: &[ValueRef<'_>], zoned: bool) -> Result<Box<dyn SetRows>> {
    let (first, last) = (arguments[0].int64(), arguments[1].int64());
    let step = Interval::from_fixed(arguments[2].fixed16());
    if step.is_infinite() {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot be infinite");
    }
    if step.sign().is_eq() {
        bail!(INVALID_PARAMETER_VALUE, "step size cannot equal zero");
    }
    let rising = step.sign().is_gt();
    Ok(Box::new(Steps {
        next: first,
        past_end: move |next: &mut i64, context: &CallContext<'_>| {
            let value = *next;
            let ended = if rising { value > last } else { value < last };
            if ended {
                return Ok(None);
            }
            if is_infinite_timestamp(value) {
                bail!(DATETIME_FIELD_OVERFLOW, "timestamp out of range");
            }
            *next = if zoned {
                step.add_to_instant(value, &context.io.time_zone)?
            } else {
                step.add_to_timestamp(value)?
            };
            Ok(Some(Value::Int64(value)))
        },
    }))
}

fn series_timestamp(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    time_series(arguments, false)
}

fn series_timestamptz(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    time_series(arguments, true)
}

fn subscripts(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let array = array::ArrayRef::new(arguments[0].bytes())?;
    let reverse = arguments.get(2).is_some_and(|reverse| reverse.bool());
    let dimension = usize::try_from(i64::from(arguments[1].int32()) - 1).unwrap_or(usize::MAX);
    let shape = array.dims().zip(array.lower_bounds()).nth(dimension);
    let Some((size, lower)) = shape else { return Ok(Box::new(Listed(Vec::new().into_iter()))) };
    let (lower, upper) = (i64::from(lower), i64::from(lower) + i64::from(size) - 1);
    if reverse { series(upper, lower, -1, true) } else { series(lower, upper, 1, true) }
}

fn unnest(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    Ok(Box::new(Listed(array::values(arguments[0].bytes())?.into_iter())))
}
