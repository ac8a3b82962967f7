//! Conversions between types: the functions behind pg_cast, and those that apply a type modifier.

use std::borrow::Cow;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::datetime::interval_text;
use kokkiri_types::datetime::{self, DAY_MICROS, Interval, is_infinite_timestamp, round_micros};
use kokkiri_types::numeric::Numeric;
use kokkiri_types::text;

use crate::arithmetic::{overflow, underflow};
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[INTEGERS, FLOATS, NUMERICS, TEXTS, TIMES];

const INTEGERS: &[&[Builtin]] = list![
    i2toi4, i4toi2, int48, int84, int28, int82, i8tooid, oidtoi8, chartoi4, i4tochar, xid8toxid, bytea_int2,
    bytea_int4, bytea_int8, int2_bytea, int4_bytea, int8_bytea,
];

#[cold]
fn out_of_range(type_name: &str) -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "{type_name} out of range")
}

#[builtin(oid = 313)]
fn i2toi4(value: i16) -> i32 {
    i32::from(value)
}

#[builtin(oid = 314)]
fn i4toi2(value: i32) -> Result<i16> {
    i16::try_from(value).map_err(|_| out_of_range("smallint"))
}

#[builtin(oid = 481)]
fn int48(value: i32) -> i64 {
    i64::from(value)
}

#[builtin(oid = 480)]
fn int84(value: i64) -> Result<i32> {
    i32::try_from(value).map_err(|_| out_of_range("integer"))
}

#[builtin(oid = 754)]
fn int28(value: i16) -> i64 {
    i64::from(value)
}

#[builtin(oid = 714)]
fn int82(value: i64) -> Result<i16> {
    i16::try_from(value).map_err(|_| out_of_range("smallint"))
}

#[builtin(oid = 1287)]
fn i8tooid(value: i64) -> Result<i32> {
    u32::try_from(value).map(|value| value as i32).map_err(|_| out_of_range("OID"))
}

#[builtin(oid = 1288)]
fn oidtoi8(value: i32) -> i64 {
    i64::from(value as u32)
}

#[builtin(oid = 77)]
fn chartoi4(value: u8) -> i32 {
    i32::from(value as i8)
}

#[builtin(oid = 78)]
fn i4tochar(value: i32) -> Result<u8> {
    i8::try_from(value).map(|value| value as u8).map_err(|_| out_of_range("\"char\""))
}

#[builtin(oid = 5071)]
fn xid8toxid(value: i64) -> i32 {
    value as i32
}

/// Big-endian bytes, sign extended; too many of them are an error.
fn integer_of_bytes(bytes: &[u8], size: usize, type_name: &str) -> Result<i64> {
    if bytes.len() > size {
        return Err(out_of_range(type_name));
    }
    let value = bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let unused = 64 - 8 * size as u32;
    Ok(((value << unused) as i64) >> unused)
}

#[builtin(oid = 6370)]
fn bytea_int2(bytes: &[u8]) -> Result<i16> {
    integer_of_bytes(bytes, 2, "smallint").map(|value| value as i16)
}

#[builtin(oid = 6371)]
fn bytea_int4(bytes: &[u8]) -> Result<i32> {
    integer_of_bytes(bytes, 4, "integer").map(|value| value as i32)
}

#[builtin(oid = 6372)]
fn bytea_int8(bytes: &[u8]) -> Result<i64> {
    integer_of_bytes(bytes, 8, "bigint")
}

#[builtin(oid = 6367)]
fn int2_bytea(value: i16) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

#[builtin(oid = 6368)]
fn int4_bytea(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

#[builtin(oid = 6369)]
fn int8_bytea(value: i64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

const FLOATS: &[&[Builtin]] =
    list![i2tod, i2tof, i4tod, i4tof, i8tod, i8tof, dtoi2, dtoi4, dtoi8, ftoi2, ftoi4, ftoi8, ftod, dtof];

macro_rules! to_float {
    ($($name:ident $oid:literal $from:ident $to:ident;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(value: $from) -> $to {
            value as $to
        }
    )*};
}

to_float! {
    i2tod 235 i16 f64;
    i2tof 236 i16 f32;
    i4tod 316 i32 f64;
    i4tof 318 i32 f32;
    i8tod 482 i64 f64;
    i8tof 652 i64 f32;
    ftod 311 f32 f64;
}

/// Rounds half to even; what doesn't fit, NaN included, is an error.
macro_rules! float_to_integer {
    ($($name:ident $oid:literal $from:ident $to:ident $sql:literal;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(value: $from) -> Result<$to> {
            let rounded = value.round_ties_even();
            // The largest integer may round up to a float beyond it; the smallest is exact.
            if rounded >= $to::MIN as $from && rounded < -($to::MIN as $from) {
                Ok(rounded as $to)
            } else {
                Err(out_of_range($sql))
            }
        }
    )*};
}

float_to_integer! {
    dtoi2 237 f64 i16 "smallint";
    dtoi4 317 f64 i32 "integer";
    dtoi8 483 f64 i64 "bigint";
    ftoi2 238 f32 i16 "smallint";
    ftoi4 319 f32 i32 "integer";
    ftoi8 653 f32 i64 "bigint";
}

#[builtin(oid = 312)]
fn dtof(value: f64) -> Result<f32> {
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        return Err(overflow());
    }
    if narrow == 0.0 && value != 0.0 { Err(underflow()) } else { Ok(narrow) }
}

const NUMERICS: &[&[Builtin]] = list![
    int2_numeric,
    int4_numeric,
    int8_numeric,
    float4_numeric,
    float8_numeric,
    numeric_int2,
    numeric_int4,
    numeric_int8,
    numeric_float4,
    numeric_float8,
    numeric,
];

#[builtin(oid = 1782)]
fn int2_numeric(value: i16) -> Numeric {
    Numeric::from(i64::from(value))
}

#[builtin(oid = 1740)]
fn int4_numeric(value: i32) -> Numeric {
    Numeric::from(i64::from(value))
}

#[builtin(oid = 1781)]
fn int8_numeric(value: i64) -> Numeric {
    Numeric::from(value)
}

#[builtin(oid = 1742)]
fn float4_numeric(value: f32) -> Numeric {
    Numeric::from_float4(value)
}

#[builtin(oid = 1743)]
fn float8_numeric(value: f64) -> Numeric {
    Numeric::from_float8(value)
}

#[builtin(oid = 1783)]
fn numeric_int2(value: Numeric) -> Result<i16> {
    value.to_int("smallint")
}

#[builtin(oid = 1744)]
fn numeric_int4(value: Numeric) -> Result<i32> {
    value.to_int("integer")
}

#[builtin(oid = 1779)]
fn numeric_int8(value: Numeric) -> Result<i64> {
    value.to_int("bigint")
}

#[builtin(oid = 1745)]
fn numeric_float4(value: Numeric) -> Result<f32> {
    value.to_float4()
}

#[builtin(oid = 1746)]
fn numeric_float8(value: Numeric) -> Result<f64> {
    value.to_float8()
}

#[builtin(oid = 1703)]
fn numeric(value: Numeric, typmod: i32) -> Result<Numeric> {
    value.apply_typmod(typmod)
}

const TEXTS: &[&[Builtin]] = list![
    text_name,
    name_text,
    bpchar_name,
    name_bpchar,
    bpchar_text,
    char_text,
    text_char,
    char_bpchar,
    varchar,
    bpchar,
];

#[builtin(oid = [407, 1400])]
fn text_name(value: &[u8]) -> Vec<u8> {
    text::to_name(value).to_vec()
}

#[builtin(oid = [406, 1401])]
fn name_text(value: &[u8]) -> Vec<u8> {
    value.to_vec()
}

#[builtin(oid = 409)]
fn bpchar_name(value: &[u8]) -> Vec<u8> {
    text::without_padding(text::to_name(value)).to_vec()
}

#[builtin(oid = 408)]
fn name_bpchar(value: &[u8]) -> Vec<u8> {
    value.to_vec()
}

#[builtin(oid = 401)]
fn bpchar_text(value: &[u8]) -> Vec<u8> {
    text::without_padding(value).to_vec()
}

#[builtin(oid = 946)]
fn char_text(value: u8) -> Vec<u8> {
    let mut out = Vec::new();
    text::write_char(value, &mut out);
    out
}

#[builtin(oid = 944)]
fn text_char(value: &str) -> u8 {
    text::parse_char(value)
}

#[builtin(oid = 860)]
fn char_bpchar(value: u8) -> Vec<u8> {
    vec![value]
}

#[builtin(oid = 669)]
fn varchar(value: &[u8], typmod: i32, explicit: bool) -> Result<Vec<u8>> {
    text::to_varchar(value, typmod, explicit).map(<[u8]>::to_vec)
}

#[builtin(oid = 668)]
fn bpchar(value: &[u8], typmod: i32, explicit: bool) -> Result<Vec<u8>> {
    text::to_bpchar(value, typmod, explicit).map(Cow::into_owned)
}

const TIMES: &[&[Builtin]] = list![
    date_timestamp,
    date_timestamptz,
    timestamp_date,
    timestamptz_date,
    timestamp_timestamptz,
    timestamptz_timestamp,
    timestamp_time,
    timestamptz_time,
    timestamptz_timetz,
    time_interval,
    interval_time,
    time_timetz,
    timetz_time,
    timestamp_scale,
    timestamptz_scale,
    time_scale,
    timetz_scale,
    interval_scale,
];

/// The instant of a local time; infinities stay.
pub(crate) fn to_instant(context: &CallContext<'_>, local: i64) -> i64 {
    if is_infinite_timestamp(local) { local } else { context.io.time_zone.to_instant(local) }
}

/// The local time of an instant; infinities stay.
pub(crate) fn to_local(context: &CallContext<'_>, instant: i64) -> i64 {
    if is_infinite_timestamp(instant) { instant } else { context.io.time_zone.to_local(instant) }
}

#[builtin(oid = 2024)]
fn date_timestamp(date: i32) -> Result<i64> {
    datetime::date_to_timestamp(date)
}

#[builtin(oid = 1174)]
fn date_timestamptz(context: &mut CallContext<'_>, date: i32) -> Result<i64> {
    Ok(to_instant(context, datetime::date_to_timestamp(date)?))
}

#[builtin(oid = 2029)]
fn timestamp_date(timestamp: i64) -> i32 {
    datetime::timestamp_to_date(timestamp)
}

#[builtin(oid = 1178)]
fn timestamptz_date(context: &mut CallContext<'_>, instant: i64) -> i32 {
    datetime::timestamp_to_date(to_local(context, instant))
}

#[builtin(oid = 2028)]
fn timestamp_timestamptz(context: &mut CallContext<'_>, timestamp: i64) -> i64 {
    to_instant(context, timestamp)
}

#[builtin(oid = 2027)]
fn timestamptz_timestamp(context: &mut CallContext<'_>, instant: i64) -> i64 {
    to_local(context, instant)
}

#[builtin(oid = 1316)]
fn timestamp_time(timestamp: i64) -> Option<i64> {
    (!is_infinite_timestamp(timestamp)).then(|| timestamp.rem_euclid(DAY_MICROS))
}

#[builtin(oid = 2019)]
fn timestamptz_time(context: &mut CallContext<'_>, instant: i64) -> Option<i64> {
    (!is_infinite_timestamp(instant)).then(|| to_local(context, instant).rem_euclid(DAY_MICROS))
}

#[builtin(oid = 1388)]
fn timestamptz_timetz(context: &mut CallContext<'_>, instant: i64) -> Option<[u8; 16]> {
    let offset = context.io.time_zone.offset_at(instant);
    (!is_infinite_timestamp(instant))
        .then(|| datetime::timetz_to_fixed(to_local(context, instant).rem_euclid(DAY_MICROS), -offset))
}

#[builtin(oid = 1370)]
fn time_interval(time: i64) -> Interval {
    Interval { micros: time, ..Interval::default() }
}

#[builtin(oid = 1419)]
fn interval_time(span: Interval) -> Result<i64> {
    if span.is_infinite() {
        bail!(DATETIME_FIELD_OVERFLOW, "cannot convert infinite interval to time");
    }
    Ok(span.micros.rem_euclid(DAY_MICROS))
}

#[builtin(oid = 2047)]
fn time_timetz(context: &mut CallContext<'_>, time: i64) -> [u8; 16] {
    let today = to_local(context, context.io.now.0).div_euclid(DAY_MICROS) * DAY_MICROS;
    datetime::timetz_to_fixed(time, -context.io.time_zone.offset_of_local(today + time))
}

#[builtin(oid = 2046)]
fn timetz_time(time: [u8; 16]) -> i64 {
    datetime::timetz_from_fixed(&time).0
}

/// Digits of a second that a type modifier of a time asks for.
fn precision(typmod: i32) -> i32 {
    if (0..6).contains(&typmod) { typmod } else { 6 }
}

#[builtin(oid = 1961)]
fn timestamp_scale(timestamp: i64, typmod: i32) -> i64 {
    round_micros(timestamp, precision(typmod))
}

#[builtin(oid = 1967)]
fn timestamptz_scale(timestamp: i64, typmod: i32) -> i64 {
    round_micros(timestamp, precision(typmod))
}

#[builtin(oid = 1968)]
fn time_scale(time: i64, typmod: i32) -> i64 {
    round_micros(time, precision(typmod))
}

#[builtin(oid = 1969)]
fn timetz_scale(time: [u8; 16], typmod: i32) -> [u8; 16] {
    let (micros, zone) = datetime::timetz_from_fixed(&time);
    datetime::timetz_to_fixed(round_micros(micros, precision(typmod)), zone)
}

#[builtin(oid = 1200)]
fn interval_scale(span: Interval, typmod: i32) -> Interval {
    interval_text::apply_typmod(span, typmod)
}
