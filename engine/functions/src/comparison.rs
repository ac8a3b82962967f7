//! Comparison operators of the built-in types.
//!
//! Fixed-width types compare natively, so that the vector loops stay tight; others by the comparators of
//! the default operator classes.

use std::cmp::Ordering;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{ItemPointer, Oid};
use kokkiri_types::compare;
use kokkiri_types::datetime::Interval;
use kokkiri_types::text::without_padding;
use kokkiri_types::{ValueRef, array, numeric};

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[NATIVE, FLOATS, ORDERED, OTHERS, SUPPORT];

/// Six operators over values that `as` makes natively comparable.
macro_rules! native {
    ($($a:ident $b:ident as $t:ident: $eq:ident $eq_oid:tt, $ne:ident $ne_oid:tt, $lt:ident $lt_oid:tt, $le:ident $le_oid:tt,
       $gt:ident $gt_oid:tt, $ge:ident $ge_oid:tt;)*) => {
        const NATIVE: &[&[Builtin]] = list![$($eq, $ne, $lt, $le, $gt, $ge),*];

        $(
            #[builtin(oid = $eq_oid)]
            fn $eq(a: $a, b: $b) -> bool {
                a as $t == b as $t
            }

            #[builtin(oid = $ne_oid)]
            fn $ne(a: $a, b: $b) -> bool {
                a as $t != b as $t
            }

            #[builtin(oid = $lt_oid)]
            fn $lt(a: $a, b: $b) -> bool {
                (a as $t) < b as $t
            }

            #[builtin(oid = $le_oid)]
            fn $le(a: $a, b: $b) -> bool {
                a as $t <= b as $t
            }

            #[builtin(oid = $gt_oid)]
            fn $gt(a: $a, b: $b) -> bool {
                a as $t > b as $t
            }

            #[builtin(oid = $ge_oid)]
            fn $ge(a: $a, b: $b) -> bool {
                a as $t >= b as $t
            }
        )*
    };
}

native! {
    bool bool as bool: booleq 60, boolne 84, boollt 56, boolle 1691, boolgt 57, boolge 1692;
    u8 u8 as u8: chareq 61, charne 70, charlt 1246, charle 72, chargt 73, charge 74;
    i16 i16 as i16: int2eq 63, int2ne 145, int2lt 64, int2le 148, int2gt 146, int2ge 151;
    i32 i32 as i32: int4eq 65, int4ne 144, int4lt 66, int4le 149, int4gt 147, int4ge 150;
    i64 i64 as i64: int8eq 467, int8ne 468, int8lt 469, int8le 471, int8gt 470, int8ge 472;
    i16 i32 as i32: int24eq 158, int24ne 164, int24lt 160, int24le 166, int24gt 162, int24ge 168;
    i32 i16 as i32: int42eq 159, int42ne 165, int42lt 161, int42le 167, int42gt 163, int42ge 169;
    i16 i64 as i64: int28eq 1850, int28ne 1851, int28lt 1852, int28le 1854, int28gt 1853, int28ge 1855;
    i64 i16 as i64: int82eq 1856, int82ne 1857, int82lt 1858, int82le 1860, int82gt 1859, int82ge 1861;
    i32 i64 as i64: int48eq 852, int48ne 853, int48lt 854, int48le 856, int48gt 855, int48ge 857;
    i64 i32 as i64: int84eq 474, int84ne 475, int84lt 476, int84le 478, int84gt 477, int84ge 479;
    i32 i32 as u32: oideq 184, oidne 185, oidlt 716, oidle 717, oidgt 1638, oidge 1639;
    i32 i32 as i32: date_eq 1086, date_ne 1091, date_lt 1087, date_le 1088, date_gt 1089, date_ge 1090;
    i64 i64 as i64: time_eq 1145, time_ne 1106, time_lt 1102, time_le 1103, time_gt 1104, time_ge 1105;
    i64 i64 as i64: timestamp_eq [1152, 2052], timestamp_ne [1153, 2053], timestamp_lt [1154, 2054],
        timestamp_le [1155, 2055], timestamp_gt [1157, 2057], timestamp_ge [1156, 2056];
    i64 i64 as u64: pg_lsn_eq 3233, pg_lsn_ne 3236, pg_lsn_lt 3231, pg_lsn_le 3232, pg_lsn_gt 3235, pg_lsn_ge 3234;
    i64 i64 as u64: xid8eq 5084, xid8ne 5085, xid8lt 5034, xid8le 5036, xid8gt 5035, xid8ge 5037;
    i64 i64 as i64: cash_eq 888, cash_ne 889, cash_lt 890, cash_le 891, cash_gt 892, cash_ge 893;
}

/// Six operators over floats: NaN equals itself and is above all.
macro_rules! floats {
    ($($a:ident $b:ident as $t:ident $cmp:ident: $eq:ident $eq_oid:literal, $ne:ident $ne_oid:literal, $lt:ident $lt_oid:literal,
       $le:ident $le_oid:literal, $gt:ident $gt_oid:literal, $ge:ident $ge_oid:literal;)*) => {
        const FLOATS: &[&[Builtin]] = list![$($eq, $ne, $lt, $le, $gt, $ge),*];

        $(
            #[builtin(oid = $eq_oid)]
            fn $eq(a: $a, b: $b) -> bool {
                let (a, b) = ($t::from(a), $t::from(b));
                a == b || a.is_nan() && b.is_nan()
            }

            #[builtin(oid = $ne_oid)]
            fn $ne(a: $a, b: $b) -> bool {
                !$eq(a, b)
            }

            #[builtin(oid = $lt_oid)]
            fn $lt(a: $a, b: $b) -> bool {
                let (a, b) = ($t::from(a), $t::from(b));
                a < b || b.is_nan() && !a.is_nan()
            }

            #[builtin(oid = $le_oid)]
            fn $le(a: $a, b: $b) -> bool {
                let (a, b) = ($t::from(a), $t::from(b));
                a <= b || b.is_nan()
            }

            #[builtin(oid = $gt_oid)]
            fn $gt(a: $a, b: $b) -> bool {
                !$le(a, b)
            }

            #[builtin(oid = $ge_oid)]
            fn $ge(a: $a, b: $b) -> bool {
                !$lt(a, b)
            }
        )*
    };
}

floats! {
    f32 f32 as f32 float4: float4eq 287, float4ne 288, float4lt 289, float4le 290, float4gt 291, float4ge 292;
    f64 f64 as f64 float8: float8eq 293, float8ne 294, float8lt 295, float8le 296, float8gt 297, float8ge 298;
    f32 f64 as f64 float8: float48eq 299, float48ne 300, float48lt 301, float48le 302, float48gt 303, float48ge 304;
    f64 f32 as f64 float8: float84eq 305, float84ne 306, float84lt 307, float84le 308, float84gt 309, float84ge 310;
}

/// Six operators by an ordering.
macro_rules! ordered {
    ($(|$x:ident: $a:ty, $y:ident: $b:ty| $cmp:expr; $eq:ident $eq_oid:tt, $ne:ident $ne_oid:tt, $lt:ident $lt_oid:tt,
       $le:ident $le_oid:tt, $gt:ident $gt_oid:tt, $ge:ident $ge_oid:tt;)*) => {
        const ORDERED: &[&[Builtin]] = list![$($eq, $ne, $lt, $le, $gt, $ge),*];

        $(
            #[builtin(oid = $eq_oid)]
            fn $eq($x: $a, $y: $b) -> bool {
                $cmp.is_eq()
            }

            #[builtin(oid = $ne_oid)]
            fn $ne($x: $a, $y: $b) -> bool {
                $cmp.is_ne()
            }

            #[builtin(oid = $lt_oid)]
            fn $lt($x: $a, $y: $b) -> bool {
                $cmp.is_lt()
            }

            #[builtin(oid = $le_oid)]
            fn $le($x: $a, $y: $b) -> bool {
                $cmp.is_le()
            }

            #[builtin(oid = $gt_oid)]
            fn $gt($x: $a, $y: $b) -> bool {
                $cmp.is_gt()
            }

            #[builtin(oid = $ge_oid)]
            fn $ge($x: $a, $y: $b) -> bool {
                $cmp.is_ge()
            }
        )*
    };
}

ordered! {
    |a: &[u8], b: &[u8]| a.cmp(b); texteq 67, textne 157, text_lt 740, text_le 741, text_gt 742, text_ge 743;
    |a: &[u8], b: &[u8]| a.cmp(b); nameeq 62, namene 659, namelt 655, namele 656, namegt 657, namege 658;
    |a: &[u8], b: &[u8]| a.cmp(b); nameeqtext 240, namenetext 245, namelttext 241, nameletext 242, namegttext 244, namegetext 243;
    |a: &[u8], b: &[u8]| a.cmp(b); texteqname 247, textnename 252, textltname 248, textlename 249, textgtname 251, textgename 250;
    |a: &[u8], b: &[u8]| without_padding(a).cmp(without_padding(b)); bpchareq 1048, bpcharne 1053, bpcharlt 1049, bpcharle 1050,
        bpchargt 1051, bpcharge 1052;
    |a: &[u8], b: &[u8]| a.cmp(b); byteaeq 1948, byteane 1953, bytealt 1949, byteale 1950, byteagt 1951, byteage 1952;
    |a: &[u8], b: &[u8]| numeric::compare(a, b); numeric_eq 1718, numeric_ne 1719, numeric_lt 1722, numeric_le 1723,
        numeric_gt 1720, numeric_ge 1721;
    |a: [u8; 16], b: [u8; 16]| compare::timetz(&a, &b); timetz_eq 1352, timetz_ne 1353, timetz_lt 1354, timetz_le 1355,
        timetz_gt 1357, timetz_ge 1356;
    |a: Interval, b: Interval| a.cmp_value().cmp(&b.cmp_value()); interval_eq 1162, interval_ne 1163, interval_lt 1164,
        interval_le 1165, interval_gt 1167, interval_ge 1166;
    |a: [u8; 16], b: [u8; 16]| a.cmp(&b); uuid_eq 2956, uuid_ne 2959, uuid_lt 2954, uuid_le 2955, uuid_gt 2958, uuid_ge 2957;
    |a: ItemPointer, b: ItemPointer| a.cmp(&b); tideq 1292, tidne 1265, tidlt 2791, tidle 2793, tidgt 2790, tidge 2792;
    |a: &[u8], b: &[u8]| array::compare_oidvectors(a, b); oidvectoreq 679, oidvectorne 619, oidvectorlt 677, oidvectorle 678,
        oidvectorgt 681, oidvectorge 680;
    |a: &[u8], b: &[u8]| array::compare(a, b); array_eq 744, array_ne 390, array_lt 391, array_le 393, array_gt 392, array_ge 396;
    |a: i32, b: i64| date_timestamp(a, b); date_eq_timestamp 2340, date_ne_timestamp 2343, date_lt_timestamp 2338,
        date_le_timestamp 2339, date_gt_timestamp 2341, date_ge_timestamp 2342;
    |a: i64, b: i32| date_timestamp(b, a).reverse(); timestamp_eq_date 2366, timestamp_ne_date 2369, timestamp_lt_date 2364,
        timestamp_le_date 2365, timestamp_gt_date 2367, timestamp_ge_date 2368;
}

fn date_timestamp(date: i32, timestamp: i64) -> Ordering {
    let order = compare::support_comparator(Oid(2344)).expect("a support function of datetime_ops");
    order(ValueRef::Int32(date), ValueRef::Int64(timestamp))
}

/// Six operators between a local and an absolute time: the local one by the session's zone.
macro_rules! zoned {
    ($(|$context:ident, $x:ident: $a:ty, $y:ident: $b:ty| $cmp:expr; $eq:ident $eq_oid:tt, $ne:ident $ne_oid:tt, $lt:ident $lt_oid:tt,
       $le:ident $le_oid:tt, $gt:ident $gt_oid:tt, $ge:ident $ge_oid:tt;)*) => {
        const OTHERS: &[&[Builtin]] = list![xideq, xidneq, $($eq, $ne, $lt, $le, $gt, $ge),*];

        $(
            #[builtin(oid = $eq_oid)]
            fn $eq($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_eq()
            }

            #[builtin(oid = $ne_oid)]
            fn $ne($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_ne()
            }

            #[builtin(oid = $lt_oid)]
            fn $lt($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_lt()
            }

            #[builtin(oid = $le_oid)]
            fn $le($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_le()
            }

            #[builtin(oid = $gt_oid)]
            fn $gt($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_gt()
            }

            #[builtin(oid = $ge_oid)]
            fn $ge($context: &mut CallContext<'_>, $x: $a, $y: $b) -> bool {
                $cmp.is_ge()
            }
        )*
    };
}

/// The instant of a local time; infinities stay.
fn instant(context: &CallContext<'_>, local: i64) -> i64 {
    if kokkiri_types::datetime::is_infinite_timestamp(local) {
        local
    } else {
        context.io.time_zone.to_instant(local)
    }
}

/// The instant of a date's midnight, beyond the timestamps' range the nearest infinity's neighbour.
fn date_instant(context: &CallContext<'_>, date: i32) -> i64 {
    match kokkiri_types::datetime::date_to_timestamp(date) {
        Ok(local) => instant(context, local),
        Err(_) => i64::MAX - 1,
    }
}

zoned! {
    |context, a: i64, b: i64| instant(context, a).cmp(&b); timestamp_eq_timestamptz 2522, timestamp_ne_timestamptz 2525,
        timestamp_lt_timestamptz 2520, timestamp_le_timestamptz 2521, timestamp_gt_timestamptz 2523, timestamp_ge_timestamptz 2524;
    |context, a: i64, b: i64| a.cmp(&instant(context, b)); timestamptz_eq_timestamp 2529, timestamptz_ne_timestamp 2532,
        timestamptz_lt_timestamp 2527, timestamptz_le_timestamp 2528, timestamptz_gt_timestamp 2530, timestamptz_ge_timestamp 2531;
    |context, a: i32, b: i64| date_instant(context, a).cmp(&b); date_eq_timestamptz 2353, date_ne_timestamptz 2356,
        date_lt_timestamptz 2351, date_le_timestamptz 2352, date_gt_timestamptz 2354, date_ge_timestamptz 2355;
    |context, a: i64, b: i32| a.cmp(&date_instant(context, b)); timestamptz_eq_date 2379, timestamptz_ne_date 2382,
        timestamptz_lt_date 2377, timestamptz_le_date 2378, timestamptz_gt_date 2380, timestamptz_ge_date 2381;
}

#[builtin(oid = [68, 1319])]
fn xideq(a: i32, b: i32) -> bool {
    a == b
}

#[builtin(oid = [3308, 3309])]
fn xidneq(a: i32, b: i32) -> bool {
    a != b
}

/// B-tree support functions, as SQL may call them.
macro_rules! support {
    ($($name:ident $oid:literal;)*) => {
        const SUPPORT: &[&[Builtin]] = list![$($name),*];

        $(
            #[builtin(oid = $oid)]
            fn $name(a: ValueRef<'_>, b: ValueRef<'_>) -> i32 {
                let order = compare::support_comparator(Oid($oid)).expect("a B-tree support function");
                order(a, b) as i32
            }
        )*
    };
}

support! {
    btboolcmp 1693; btcharcmp 358; btint2cmp 350; btint4cmp 351; btint8cmp 842; btint24cmp 2190; btint42cmp 2191;
    btint28cmp 2192; btint82cmp 2193; btint48cmp 2188; btint84cmp 2189; btfloat4cmp 354; btfloat8cmp 355;
    btfloat48cmp 2194; btfloat84cmp 2195; btoidcmp 356; btoidvectorcmp 404; btnamecmp 359; bttextcmp 360; bpcharcmp 1078;
    byteacmp 1954; numeric_cmp 1769; date_cmp 1092; time_cmp 1107; timetz_cmp 1358; timestamp_cmp 2045;
    timestamptz_cmp 1314; date_cmp_timestamp 2344; timestamp_cmp_date 2370; interval_cmp 1315; uuid_cmp 2960;
    pg_lsn_cmp 3251; xid8cmp 5096; bttidcmp 2794; btarraycmp 382;
}
