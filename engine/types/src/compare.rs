//! Order of values: the default B-tree operator classes.
//!
//! Realises: the `*cmp` support functions of nbtcompare.c and of each type. A comparator is found by the
//! oid of its support function ([`support_comparator`]), which is what an index knows, or by the type
//! ([`comparator`]). The collations C, POSIX, C.UTF-8 and the database's default order text by its
//! bytes; others are 0A000 until they are built.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, Oid, Result};

use crate::array;
use crate::bits;
use crate::builtin::{is_reg_type, oid, type_info};
use crate::datetime::interval::Interval;
use crate::numeric;
use crate::text;
use crate::value::ValueRef;

/// Compares two non-null values of the types it was made for.
pub type Comparator = fn(ValueRef<'_>, ValueRef<'_>) -> Ordering;

/// Order of floats in PostgreSQL: NaN equals itself and is above all others; the zeros are equal.
#[inline]
pub fn float8(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[inline]
pub fn float4(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Order of timetz, from its on-disk bytes: by the instant, then by zone.
pub fn timetz(a: &[u8; 16], b: &[u8; 16]) -> Ordering {
    let split = |bytes: &[u8; 16]| {
        let (time, zone) = crate::datetime::timetz_from_fixed(bytes);
        (time + i64::from(zone) * 1_000_000, zone)
    };
    split(a).cmp(&split(b))
}

fn date_as_timestamp(date: i32) -> i64 {
    match date {
        i32::MIN => i64::MIN,
        i32::MAX => i64::MAX,
        // A date past the range of timestamps compares above all of them but infinity.
        days => i64::from(days).checked_mul(crate::datetime::DAY_MICROS).unwrap_or(i64::MAX - 1),
    }
}

macro_rules! comparators {
    ($($procedure:literal => |$a:ident, $b:ident| $body:expr;)*) => {
        /// The comparator that a B-tree support function (number 1) of this oid stands for.
        pub fn support_comparator(procedure: Oid) -> Option<Comparator> {
            Some(match procedure.0 {
                $($procedure => |$a, $b| $body,)*
                _ => return None,
            })
        }
    };
}

comparators! {
    1693 => |a, b| a.bool().cmp(&b.bool());
    358 => |a, b| a.char().cmp(&b.char());
    350 => |a, b| a.int16().cmp(&b.int16());
    351 => |a, b| a.int32().cmp(&b.int32());
    842 => |a, b| a.int64().cmp(&b.int64());
    2190 => |a, b| i32::from(a.int16()).cmp(&b.int32());
    2191 => |a, b| a.int32().cmp(&i32::from(b.int16()));
    2192 => |a, b| i64::from(a.int16()).cmp(&b.int64());
    2193 => |a, b| a.int64().cmp(&i64::from(b.int16()));
    2188 => |a, b| i64::from(a.int32()).cmp(&b.int64());
    2189 => |a, b| a.int64().cmp(&i64::from(b.int32()));
    354 => |a, b| float4(a.float32(), b.float32());
    355 => |a, b| float8(a.float64(), b.float64());
    2194 => |a, b| float8(f64::from(a.float32()), b.float64());
    2195 => |a, b| float8(a.float64(), f64::from(b.float32()));
    356 => |a, b| a.oid().cmp(&b.oid());
    404 => |a, b| array::compare_oidvectors(a.bytes(), b.bytes());
    359 => |a, b| a.bytes().cmp(b.bytes());
    246 => |a, b| a.bytes().cmp(b.bytes());
    253 => |a, b| a.bytes().cmp(b.bytes());
    360 => |a, b| a.bytes().cmp(b.bytes());
    2166 => |a, b| a.bytes().cmp(b.bytes());
    1078 => |a, b| text::without_padding(a.bytes()).cmp(text::without_padding(b.bytes()));
    2180 => |a, b| text::without_padding(a.bytes()).cmp(text::without_padding(b.bytes()));
    1954 => |a, b| a.bytes().cmp(b.bytes());
    1596 => |a, b| bits::compare(a.bytes(), b.bytes());
    1672 => |a, b| bits::compare(a.bytes(), b.bytes());
    1769 => |a, b| numeric::compare(a.bytes(), b.bytes());
    1092 => |a, b| a.int32().cmp(&b.int32());
    1107 => |a, b| a.int64().cmp(&b.int64());
    1358 => |a, b| timetz(&a.fixed16(), &b.fixed16());
    2045 => |a, b| a.int64().cmp(&b.int64());
    1314 => |a, b| a.int64().cmp(&b.int64());
    2344 => |a, b| date_as_timestamp(a.int32()).cmp(&b.int64());
    2370 => |a, b| a.int64().cmp(&date_as_timestamp(b.int32()));
    1315 => |a, b| Interval::from_fixed(a.fixed16()).cmp_value().cmp(&Interval::from_fixed(b.fixed16()).cmp_value());
    377 => |a, b| a.int64().cmp(&b.int64());
    2960 => |a, b| a.fixed16().cmp(&b.fixed16());
    836 => |a, b| a.fixed16().cmp(&b.fixed16());
    4119 => |a, b| a.fixed16().cmp(&b.fixed16());
    3251 => |a, b| (a.int64() as u64).cmp(&(b.int64() as u64));
    5096 => |a, b| (a.int64() as u64).cmp(&(b.int64() as u64));
    2794 => |a, b| a.tid().cmp(&b.tid());
    382 => |a, b| array::compare(a.bytes(), b.bytes());
    // xid has no order in SQL, only equality; distinctness wants some order.
    68 => |a, b| (a.int32() as u32).cmp(&(b.int32() as u32));
}

/// Oid of the B-tree support function that orders a type by its default operator class.
pub fn default_support(type_oid: Oid) -> Option<Oid> {
    Some(Oid(match type_oid {
        oid::BOOL => 1693,
        oid::CHAR => 358,
        oid::INT2 => 350,
        oid::INT4 => 351,
        oid::INT8 => 842,
        oid::FLOAT4 => 354,
        oid::FLOAT8 => 355,
        oid::OID => 356,
        reg if is_reg_type(reg) => 356,
        oid::OIDVECTOR => 404,
        oid::NAME => 359,
        oid::TEXT | oid::VARCHAR | oid::UNKNOWN | oid::CSTRING => 360,
        oid::BPCHAR => 1078,
        oid::BYTEA => 1954,
        oid::BIT => 1596,
        oid::VARBIT => 1672,
        oid::NUMERIC => 1769,
        oid::DATE => 1092,
        oid::TIME => 1107,
        oid::TIMETZ => 1358,
        oid::TIMESTAMP => 2045,
        oid::TIMESTAMPTZ => 1314,
        oid::INTERVAL => 1315,
        oid::MONEY => 377,
        oid::UUID => 2960,
        oid::MACADDR => 836,
        oid::MACADDR8 => 4119,
        oid::PG_LSN => 3251,
        oid::XID8 => 5096,
        oid::TID => 2794,
        oid::XID | oid::CID => 68,
        _ if type_info(type_oid).is_some_and(|info| info.is_array) => 382,
        _ => return None,
    }))
}

/// Collations that order text by its bytes: none, default, C, POSIX, ucs_basic and pg_c_utf8.
pub fn is_byte_order(collation: Oid) -> bool {
    matches!(collation.0, 0 | 100 | 950 | 951 | 962 | 811)
}

/// The comparator of a type's default operator class.
///
/// # Errors
/// 42883 if the type has no order, 0A000 for rows and for a collation that is not built.
pub fn comparator(type_oid: Oid, collation: Oid) -> Result<Comparator> {
    if !is_byte_order(collation) {
        return Err(Error::not_supported(format_args!("collation with oid {collation}")));
    }
    default_support(type_oid).and_then(support_comparator).ok_or_else(|| {
        if type_oid == oid::RECORD || type_info(type_oid).is_none() {
            return Error::not_supported("comparing rows");
        }
        let name = type_info(type_oid).map_or_else(|| type_oid.to_string(), |info| info.name.to_owned());
        kokkiri_primitives::error!(
            UNDEFINED_FUNCTION,
            "could not identify an ordering operator for type {name}"
        )
    })
}

/// Appends bytes whose order under `memcmp` is the type's order, and none of which is a prefix of
/// another's. Returns false, appending nothing, if the type has no such form: compare values then.
pub fn sort_key(type_oid: Oid, value: ValueRef<'_>, out: &mut Vec<u8>) -> bool {
    match (type_oid, value) {
        (_, ValueRef::Bool(value)) => out.push(u8::from(value)),
        (_, ValueRef::Char(value)) => out.push(value),
        (_, ValueRef::Int16(value)) => out.extend(((value as u16) ^ 1 << 15).to_be_bytes()),
        (oid::INT4 | oid::DATE, ValueRef::Int32(value)) => {
            out.extend(((value as u32) ^ 1 << 31).to_be_bytes());
        }
        (_, ValueRef::Int32(value)) => out.extend((value as u32).to_be_bytes()),
        (oid::PG_LSN | oid::XID8, ValueRef::Int64(value)) => out.extend((value as u64).to_be_bytes()),
        (_, ValueRef::Int64(value)) => out.extend(((value as u64) ^ 1 << 63).to_be_bytes()),
        (_, ValueRef::Float32(value)) => out.extend(float_key(f64::from(value)).to_be_bytes()),
        (_, ValueRef::Float64(value)) => out.extend(float_key(value).to_be_bytes()),
        (oid::UUID, ValueRef::Fixed16(value)) => out.extend(value),
        (oid::INTERVAL, ValueRef::Fixed16(value)) => {
            let value = Interval::from_fixed(value).cmp_value();
            out.extend(((value as u128) ^ 1 << 127).to_be_bytes());
        }
        (_, ValueRef::Tid(value)) => out.extend(value.to_u64().to_be_bytes()),
        (oid::BPCHAR, ValueRef::Bytes(bytes)) => string_key(text::without_padding(bytes), out),
        (
            oid::TEXT | oid::VARCHAR | oid::NAME | oid::BYTEA | oid::UNKNOWN | oid::CSTRING,
            ValueRef::Bytes(bytes),
        ) => string_key(bytes, out),
        (oid::NUMERIC, ValueRef::Bytes(bytes)) => numeric::sort_key(bytes, out),
        _ => return false,
    }
    true
}

/// The first bytes of a value's sort key as a number: what differs in it differs in that order, nulls included.
/// Equal ones decide nothing. `bytes` is only memory to work in.
pub fn sort_prefix(
    type_oid: Oid,
    value: ValueRef<'_>,
    descending: bool,
    nulls_first: bool,
    bytes: &mut Vec<u8>,
) -> u64 {
    if value.is_null() {
        return if nulls_first { 0 } else { u64::MAX };
    }
    bytes.clear();
    if !sort_key(type_oid, value, bytes) {
        return 1;
    }
    let mut eight = [0; 8];
    let length = bytes.len().min(8);
    eight[..length].copy_from_slice(&bytes[..length]);
    let prefix = u64::from_be_bytes(eight);
    // Zero and all ones are the nulls'.
    (if descending { !prefix } else { prefix }).clamp(1, u64::MAX - 1)
}

fn float_key(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 != 0 { !bits } else { bits | 1 << 63 }
}

/// A zero byte becomes 00 FF and 00 00 ends the key, so shorter strings come first.
fn string_key(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.contains(&0) {
        for &byte in bytes {
            out.push(byte);
            if byte == 0 {
                out.push(0xFF);
            }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.extend([0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{IoSettings, input_text};

    /// Rising values of a type, as text: neighbours must compare so, and by sort key too.
    fn check(type_oid: Oid, rising: &[&str]) {
        let settings = IoSettings::default();
        let compare = comparator(type_oid, Oid(0)).expect("ordered");
        let values: Vec<_> =
            rising.iter().map(|text| input_text(type_oid, -1, text, &settings).expect("valid")).collect();
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(compare(a.as_ref(), b.as_ref()), i.cmp(&j), "{} {}", rising[i], rising[j]);
                let (mut key_a, mut key_b) = (Vec::new(), Vec::new());
                if sort_key(type_oid, a.as_ref(), &mut key_a) && sort_key(type_oid, b.as_ref(), &mut key_b) {
                    assert_eq!(key_a.cmp(&key_b), i.cmp(&j), "{} {}", rising[i], rising[j]);
                }
            }
        }
    }

    #[test]
    fn values_come_in_postgresqls_order() {
        check(oid::INT4, &["-2147483648", "-1", "0", "1", "2147483647"]);
        check(oid::OID, &["0", "1", "4294967295"]);
        check(oid::FLOAT8, &["-Infinity", "-1.5", "-1e-300", "0", "1e-300", "2", "Infinity", "NaN"]);
        check(oid::TEXT, &["", "A", "Aa", "a", "aa", "ab", "é"]);
        check(oid::BPCHAR, &["", "a", "ab"]);
        check(oid::BOOL, &["f", "t"]);
        check(oid::UUID, &["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]);
        check(
            oid::NUMERIC,
            &[
                "-Infinity",
                "-123456",
                "-10000",
                "-9999.5",
                "-1",
                "-0.1",
                "-0.00001",
                "0",
                "0.00001",
                "0.1",
                "1",
                "1.0001",
                "9999.5",
                "10000",
                "123456",
                "1e100",
                "Infinity",
                "NaN",
            ],
        );
        check(oid::INT4_ARRAY, &["{}", "{1}", "{1,2}", "{2}", "{NULL}"]);
    }
}
