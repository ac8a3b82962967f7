//! Arithmetic of integers, floats and numeric: operators and the functions of the same names.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::numeric::Numeric;

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[INT2, INT4, INT8, CROSS, FLOAT, NUMERIC];

#[cold]
fn out_of_range(type_name: &str) -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "{type_name} out of range")
}

#[cold]
pub(crate) fn division_by_zero() -> Error {
    error!(DIVISION_BY_ZERO, "division by zero")
}

/// The operators of one integer type.
macro_rules! integer {
    ($list:ident $t:ident $sql:literal:
     $pl:ident $pl_oid:literal, $mi:ident $mi_oid:literal, $mul:ident $mul_oid:literal, $div:ident $div_oid:literal,
     $mod:ident [$($mod_oid:literal),*], $um:ident $um_oid:literal, $up:ident $up_oid:literal, $abs:ident [$($abs_oid:literal),*],
     $and:ident $and_oid:literal, $or:ident $or_oid:literal, $xor:ident $xor_oid:literal, $not:ident $not_oid:literal,
     $shl:ident $shl_oid:literal, $shr:ident $shr_oid:literal) => {
        const $list: &[&[Builtin]] = list![$pl, $mi, $mul, $div, $mod, $um, $up, $abs, $and, $or, $xor, $not, $shl, $shr];

        #[builtin(oid = $pl_oid)]
        fn $pl(a: $t, b: $t) -> Result<$t> {
            a.checked_add(b).ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = $mi_oid)]
        fn $mi(a: $t, b: $t) -> Result<$t> {
            a.checked_sub(b).ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = $mul_oid)]
        fn $mul(a: $t, b: $t) -> Result<$t> {
            a.checked_mul(b).ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = $div_oid)]
        fn $div(a: $t, b: $t) -> Result<$t> {
            if b == 0 {
                return Err(division_by_zero());
            }
            a.checked_div(b).ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = [$($mod_oid),*])]
        fn $mod(a: $t, b: $t) -> Result<$t> {
            if b == 0 {
                return Err(division_by_zero());
            }
            Ok(a.wrapping_rem(b))
        }

        #[builtin(oid = $um_oid)]
        fn $um(a: $t) -> Result<$t> {
            a.checked_neg().ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = $up_oid)]
        fn $up(a: $t) -> $t {
            a
        }

        #[builtin(oid = [$($abs_oid),*])]
        fn $abs(a: $t) -> Result<$t> {
            a.checked_abs().ok_or_else(|| out_of_range($sql))
        }

        #[builtin(oid = $and_oid)]
        fn $and(a: $t, b: $t) -> $t {
            a & b
        }

        #[builtin(oid = $or_oid)]
        fn $or(a: $t, b: $t) -> $t {
            a | b
        }

        #[builtin(oid = $xor_oid)]
        fn $xor(a: $t, b: $t) -> $t {
            a ^ b
        }

        #[builtin(oid = $not_oid)]
        fn $not(a: $t) -> $t {
            !a
        }

        #[builtin(oid = $shl_oid)]
        fn $shl(a: $t, b: i32) -> $t {
            a.wrapping_shl(b as u32)
        }

        #[builtin(oid = $shr_oid)]
        fn $shr(a: $t, b: i32) -> $t {
            a.wrapping_shr(b as u32)
        }
    };
}

integer!(INT2 i16 "smallint": int2pl 176, int2mi 180, int2mul 152, int2div 153, int2mod [155, 940], int2um 213,
    int2up 1911, int2abs [1253, 1398], int2and 1892, int2or 1893, int2xor 1894, int2not 1895, int2shl 1896, int2shr 1897);
integer!(INT4 i32 "integer": int4pl 177, int4mi 181, int4mul 141, int4div 154, int4mod [156, 941], int4um 212,
    int4up 1912, int4abs [1251, 1397], int4and 1898, int4or 1899, int4xor 1900, int4not 1901, int4shl 1902, int4shr 1903);
integer!(INT8 i64 "bigint": int8pl 463, int8mi 464, int8mul 465, int8div 466, int8mod [945, 947], int8um 462,
    int8up 1910, int8abs [1230, 1396], int8and 1904, int8or 1905, int8xor 1906, int8not 1907, int8shl 1908, int8shr 1909);

/// The four operations between integers of different width: done in the wider one.
macro_rules! mixed_integers {
    ($($a:ident $b:ident -> $t:ident $sql:literal: $pl:ident $pl_oid:literal, $mi:ident $mi_oid:literal,
       $mul:ident $mul_oid:literal, $div:ident $div_oid:literal;)*) => {
        const CROSS: &[&[Builtin]] = list![$($pl, $mi, $mul, $div),*];

        $(
            #[builtin(oid = $pl_oid)]
            fn $pl(a: $a, b: $b) -> Result<$t> {
                $t::from(a).checked_add($t::from(b)).ok_or_else(|| out_of_range($sql))
            }

            #[builtin(oid = $mi_oid)]
            fn $mi(a: $a, b: $b) -> Result<$t> {
                $t::from(a).checked_sub($t::from(b)).ok_or_else(|| out_of_range($sql))
            }

            #[builtin(oid = $mul_oid)]
            fn $mul(a: $a, b: $b) -> Result<$t> {
                $t::from(a).checked_mul($t::from(b)).ok_or_else(|| out_of_range($sql))
            }

            #[builtin(oid = $div_oid)]
            fn $div(a: $a, b: $b) -> Result<$t> {
                if b == 0 {
                    return Err(division_by_zero());
                }
                $t::from(a).checked_div($t::from(b)).ok_or_else(|| out_of_range($sql))
            }
        )*
    };
}

mixed_integers! {
    i16 i32 -> i32 "integer": int24pl 178, int24mi 182, int24mul 170, int24div 172;
    i32 i16 -> i32 "integer": int42pl 179, int42mi 183, int42mul 171, int42div 173;
    i16 i64 -> i64 "bigint": int28pl 841, int28mi 942, int28mul 943, int28div 948;
    i64 i16 -> i64 "bigint": int82pl 837, int82mi 838, int82mul 839, int82div 840;
    i32 i64 -> i64 "bigint": int48pl 1278, int48mi 1279, int48mul 1280, int48div 1281;
    i64 i32 -> i64 "bigint": int84pl 1274, int84mi 1275, int84mul 1276, int84div 1277;
}

#[cold]
pub(crate) fn overflow() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

#[cold]
pub(crate) fn underflow() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// Operations on floats: infinite or zero results of finite, non-zero operands are errors.
macro_rules! floats {
    ($($a:ident $b:ident -> $t:ident: $pl:ident $pl_oid:literal, $mi:ident $mi_oid:literal,
       $mul:ident $mul_oid:literal, $div:ident $div_oid:literal;)*) => {
        const FLOAT: &[&[Builtin]] = list![$($pl, $mi, $mul, $div,)* float4um, float8um, float4up, float8up, float4abs, float8abs];

        $(
            #[builtin(oid = $pl_oid)]
            fn $pl(a: $a, b: $b) -> Result<$t> {
                let (a, b) = ($t::from(a), $t::from(b));
                let sum = a + b;
                if sum.is_infinite() && a.is_finite() && b.is_finite() { Err(overflow()) } else { Ok(sum) }
            }

            #[builtin(oid = $mi_oid)]
            fn $mi(a: $a, b: $b) -> Result<$t> {
                let (a, b) = ($t::from(a), $t::from(b));
                let difference = a - b;
                if difference.is_infinite() && a.is_finite() && b.is_finite() { Err(overflow()) } else { Ok(difference) }
            }

            #[builtin(oid = $mul_oid)]
            fn $mul(a: $a, b: $b) -> Result<$t> {
                let (a, b) = ($t::from(a), $t::from(b));
                let product = a * b;
                if product.is_infinite() && a.is_finite() && b.is_finite() {
                    return Err(overflow());
                }
                if product == 0.0 && a != 0.0 && b != 0.0 { Err(underflow()) } else { Ok(product) }
            }

            #[builtin(oid = $div_oid)]
            fn $div(a: $a, b: $b) -> Result<$t> {
                let (a, b) = ($t::from(a), $t::from(b));
                if b == 0.0 && !a.is_nan() {
                    return Err(division_by_zero());
                }
                let quotient = a / b;
                if quotient.is_infinite() && a.is_finite() {
                    return Err(overflow());
                }
                if quotient == 0.0 && a != 0.0 && b.is_finite() { Err(underflow()) } else { Ok(quotient) }
            }
        )*
    };
}

floats! {
    f32 f32 -> f32: float4pl 204, float4mi 205, float4mul 202, float4div 203;
    f64 f64 -> f64: float8pl 218, float8mi 219, float8mul 216, float8div 217;
    f32 f64 -> f64: float48pl 281, float48mi 282, float48mul 279, float48div 280;
    f64 f32 -> f64: float84pl 285, float84mi 286, float84mul 283, float84div 284;
}

#[builtin(oid = 206)]
fn float4um(a: f32) -> f32 {
    -a
}

#[builtin(oid = 220)]
fn float8um(a: f64) -> f64 {
    -a
}

#[builtin(oid = 1913)]
fn float4up(a: f32) -> f32 {
    a
}

#[builtin(oid = 1914)]
fn float8up(a: f64) -> f64 {
    a
}

#[builtin(oid = [207, 1394])]
fn float4abs(a: f32) -> f32 {
    a.abs()
}

#[builtin(oid = [221, 1395])]
fn float8abs(a: f64) -> f64 {
    a.abs()
}

const NUMERIC: &[&[Builtin]] = list![
    numeric_add,
    numeric_sub,
    numeric_mul,
    numeric_div,
    numeric_mod,
    numeric_uminus,
    numeric_uplus,
    numeric_abs,
    numeric_div_trunc,
    numeric_inc,
];

#[builtin(oid = 1724)]
fn numeric_add(a: Numeric, b: Numeric) -> Numeric {
    a.add(&b)
}

#[builtin(oid = 1725)]
fn numeric_sub(a: Numeric, b: Numeric) -> Numeric {
    a.subtract(&b)
}

#[builtin(oid = 1726)]
fn numeric_mul(a: Numeric, b: Numeric) -> Result<Numeric> {
    a.multiply(&b)
}

#[builtin(oid = 1727)]
fn numeric_div(a: Numeric, b: Numeric) -> Result<Numeric> {
    a.divide(&b)
}

#[builtin(oid = [1728, 1729])]
fn numeric_mod(a: Numeric, b: Numeric) -> Result<Numeric> {
    a.modulo(&b)
}

#[builtin(oid = 1771)]
fn numeric_uminus(a: Numeric) -> Numeric {
    a.negated()
}

#[builtin(oid = 1915)]
fn numeric_uplus(a: Numeric) -> Numeric {
    a
}

#[builtin(oid = [1704, 1705])]
fn numeric_abs(a: Numeric) -> Numeric {
    a.abs()
}

#[builtin(oid = [1973, 1980])]
fn numeric_div_trunc(a: Numeric, b: Numeric) -> Result<Numeric> {
    if b.is_zero() && !a.is_nan() {
        bail!(DIVISION_BY_ZERO, "division by zero");
    }
    a.divide_truncated(&b)
}

#[builtin(oid = 1764)]
fn numeric_inc(a: Numeric) -> Numeric {
    a.add(&Numeric::one())
}
