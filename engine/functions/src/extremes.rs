//! The larger and the smaller of two values, in the order of their type and collation: what max and min
//! are made of.

use std::cmp::Ordering;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::builtin::oid;
use kokkiri_types::compare::comparator;
use kokkiri_types::{Value, ValueRef, array};

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[EXTREMES];

/// The second value, unless the first stands to it as wanted.
fn extreme(
    context: &CallContext<'_>,
    type_oid: Oid,
    arguments: &[ValueRef<'_>],
    wanted: Ordering,
) -> Result<Value> {
    let order = match type_oid {
        oid::ANYARRAY => array::compare(arguments[0].bytes(), arguments[1].bytes()),
        type_oid => comparator(type_oid, context.collation)?(arguments[0], arguments[1]),
    };
    Ok(if order == wanted { arguments[0] } else { arguments[1] }.to_value())
}

macro_rules! extremes {
    ($($larger:ident $larger_oid:tt, $smaller:ident $smaller_oid:tt: $type_oid:ident;)*) => {
        const EXTREMES: &[&[Builtin]] = list![$($larger, $smaller),*];

        $(
            #[builtin(oid = $larger_oid, raw, strict)]
            fn $larger(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
                extreme(context, oid::$type_oid, arguments, Ordering::Greater)
            }

            #[builtin(oid = $smaller_oid, raw, strict)]
            fn $smaller(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
                extreme(context, oid::$type_oid, arguments, Ordering::Less)
            }
        )*
    };
}

extremes! {
    int2larger 770, int2smaller 771: INT2;
    int4larger 768, int4smaller 769: INT4;
    int8larger 1236, int8smaller 1237: INT8;
    float4larger 209, float4smaller 211: FLOAT4;
    float8larger 223, float8smaller 224: FLOAT8;
    numeric_larger 1767, numeric_smaller 1766: NUMERIC;
    oidlarger 1965, oidsmaller 1966: OID;
    text_larger 458, text_smaller 459: TEXT;
    bpchar_larger 1063, bpchar_smaller 1064: BPCHAR;
    bytea_larger 6393, bytea_smaller 6394: BYTEA;
    date_larger 1138, date_smaller 1139: DATE;
    time_larger 1377, time_smaller 1378: TIME;
    timetz_larger 1379, timetz_smaller 1380: TIMETZ;
    timestamp_larger 2036, timestamp_smaller 2035: TIMESTAMP;
    timestamptz_larger 1196, timestamptz_smaller 1195: TIMESTAMPTZ;
    interval_larger 1198, interval_smaller 1197: INTERVAL;
    tidlarger 2795, tidsmaller 2796: TID;
    xid8_larger 5097, xid8_smaller 5098: XID8;
    array_larger 515, array_smaller 516: ANYARRAY;
}
