//! Mathematical functions of floats, integers and numeric.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::numeric::Numeric;

use crate::arithmetic::{overflow, underflow};
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[ROUNDING, POWERS, ANGLES, NUMERICS, INTEGERS, RANDOM];

const ROUNDING: &[&[Builtin]] = list![dceil, dfloor, dround, dtrunc, dsign];

#[builtin(oid = [2308, 2320])]
fn dceil(value: f64) -> f64 {
    value.ceil()
}

#[builtin(oid = [2309])]
fn dfloor(value: f64) -> f64 {
    value.floor()
}

#[builtin(oid = [228, 1342])]
fn dround(value: f64) -> f64 {
    value.round_ties_even()
}

#[builtin(oid = [229, 1343])]
fn dtrunc(value: f64) -> f64 {
    value.trunc()
}

#[builtin(oid = 2310)]
fn dsign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}

const POWERS: &[&[Builtin]] = list![dsqrt, dcbrt, dexp, dlog1, dlog10, dpow];

#[builtin(oid = [230, 1344])]
fn dsqrt(value: f64) -> Result<f64> {
    if value < 0.0 {
        bail!(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number");
    }
    Ok(value.sqrt())
}

#[builtin(oid = [231, 1345])]
fn dcbrt(value: f64) -> f64 {
    value.cbrt()
}

#[builtin(oid = [233, 1347])]
fn dexp(value: f64) -> Result<f64> {
    let result = value.exp();
    if result.is_infinite() && value.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && value.is_finite() { Err(underflow()) } else { Ok(result) }
}

fn check_logarithm(value: f64) -> Result<()> {
    if value == 0.0 {
        bail!(INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of zero");
    }
    if value < 0.0 {
        bail!(INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of a negative number");
    }
    Ok(())
}

#[builtin(oid = [234, 1341])]
fn dlog1(value: f64) -> Result<f64> {
    check_logarithm(value)?;
    Ok(value.ln())
}

#[builtin(oid = [1194, 1339, 1340])]
fn dlog10(value: f64) -> Result<f64> {
    check_logarithm(value)?;
    Ok(value.log10())
}

#[builtin(oid = [232, 1346, 1368])]
fn dpow(base: f64, exponent: f64) -> Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        bail!(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.is_finite() && exponent.floor() != exponent && base.is_finite() {
        bail!(
            INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "a negative number raised to a non-integer power yields a complex result"
        );
    }
    let result = base.powf(exponent);
    if base.is_finite() && exponent.is_finite() {
        if result.is_infinite() {
            return Err(overflow());
        }
        if result == 0.0 && base != 0.0 {
            return Err(underflow());
        }
    }
    Ok(result)
}

fn input_out_of_range() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// Functions that are undefined at infinity.
macro_rules! finite_only {
    ($($name:ident $oid:literal $method:ident;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(value: f64) -> Result<f64> {
            if value.is_infinite() { Err(input_out_of_range()) } else { Ok(value.$method()) }
        }
    )*};
}

finite_only! {
    dsin 1604 sin;
    dcos 1605 cos;
    dtan 1606 tan;
}

/// Functions that are defined everywhere.
macro_rules! total {
    ($($name:ident $oid:literal $method:ident;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(value: f64) -> f64 {
            value.$method()
        }
    )*};
}

total! {
    datan 1602 atan;
    dsinh 2462 sinh;
    dcosh 2463 cosh;
    dtanh 2464 tanh;
    dasinh 2465 asinh;
    degrees 1608 to_degrees;
    radians 1609 to_radians;
}

/// Functions that are defined on an interval.
macro_rules! bounded {
    ($($name:ident $oid:literal $method:ident |$value:ident| $inside:expr;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name($value: f64) -> Result<f64> {
            if $value.is_nan() || $inside { Ok($value.$method()) } else { Err(input_out_of_range()) }
        }
    )*};
}

bounded! {
    dasin 1600 asin |value| (-1.0..=1.0).contains(&value);
    dacos 1601 acos |value| (-1.0..=1.0).contains(&value);
    dacosh 2466 acosh |value| value >= 1.0;
    datanh 2467 atanh |value| (-1.0..=1.0).contains(&value);
}

const ANGLES: &[&[Builtin]] = list![
    dsin, dcos, dtan, dcot, datan, datan2, dsinh, dcosh, dtanh, dasinh, dacosh, datanh, dasin, dacos,
    degrees, radians, dpi,
];

#[builtin(oid = 1607)]
fn dcot(value: f64) -> Result<f64> {
    if value.is_infinite() { Err(input_out_of_range()) } else { Ok(1.0 / value.tan()) }
}

#[builtin(oid = 1603)]
fn datan2(y: f64, x: f64) -> f64 {
    y.atan2(x)
}

#[builtin(oid = 1610)]
fn dpi() -> f64 {
    std::f64::consts::PI
}

const NUMERICS: &[&[Builtin]] = list![
    numeric_ceil,
    numeric_floor,
    numeric_round,
    numeric_trunc,
    numeric_round_whole,
    numeric_trunc_whole,
    numeric_sign,
    numeric_sqrt,
    numeric_exp,
    numeric_ln,
    numeric_log,
    numeric_log10,
    numeric_power,
    numeric_scale,
    numeric_min_scale,
    numeric_trim_scale,
    numeric_fac,
    numeric_gcd,
    numeric_lcm,
    width_bucket_numeric,
];

#[builtin(oid = [1711, 2167])]
fn numeric_ceil(value: Numeric) -> Numeric {
    value.ceil()
}

#[builtin(oid = 1712)]
fn numeric_floor(value: Numeric) -> Numeric {
    value.floor()
}

/// Scales that a caller may ask for.
fn clamp_scale(scale: i32) -> i32 {
    scale.clamp(-(i16::MAX as i32 + 1) * 4, kokkiri_types::numeric::MAX_DISPLAY_SCALE)
}

#[builtin(oid = 1707)]
fn numeric_round(value: Numeric, scale: i32) -> Numeric {
    value.round(clamp_scale(scale))
}

#[builtin(oid = 1708)]
fn numeric_round_whole(value: Numeric) -> Numeric {
    value.round(0)
}

#[builtin(oid = 1709)]
fn numeric_trunc(value: Numeric, scale: i32) -> Numeric {
    value.truncate(clamp_scale(scale))
}

#[builtin(oid = 1710)]
fn numeric_trunc_whole(value: Numeric) -> Numeric {
    value.truncate(0)
}

#[builtin(oid = 1706)]
fn numeric_sign(value: Numeric) -> Numeric {
    if value.is_nan() { value } else { Numeric::from(i64::from(value.signum())) }
}

#[builtin(oid = [1730, 1731])]
fn numeric_sqrt(value: Numeric) -> Result<Numeric> {
    value.sqrt()
}

#[builtin(oid = [1732, 1733])]
fn numeric_exp(value: Numeric) -> Result<Numeric> {
    value.exp()
}

#[builtin(oid = [1734, 1735])]
fn numeric_ln(value: Numeric) -> Result<Numeric> {
    value.ln()
}

#[builtin(oid = [1736, 1737])]
fn numeric_log(base: Numeric, value: Numeric) -> Result<Numeric> {
    value.log(&base)
}

#[builtin(oid = [1741, 1481])]
fn numeric_log10(value: Numeric) -> Result<Numeric> {
    value.log(&Numeric::from(10i64))
}

#[builtin(oid = [1738, 1739, 2169])]
fn numeric_power(base: Numeric, exponent: Numeric) -> Result<Numeric> {
    base.power(&exponent)
}

#[builtin(oid = 3281)]
fn numeric_scale(value: Numeric) -> Option<i32> {
    value.is_finite().then_some(value.scale)
}

/// The fewest decimal places that hold the value.
fn min_scale(value: &Numeric) -> i32 {
    let Some(&last) = value.digits.last() else { return 0 };
    let places = (value.digits.len() as i32 - 1 - value.weight) * 4;
    let zeros = (1..4).take_while(|&n| last % 10u16.pow(n) == 0).count() as i32;
    (places - zeros).max(0)
}

#[builtin(oid = 5042)]
fn numeric_min_scale(value: Numeric) -> Option<i32> {
    value.is_finite().then(|| min_scale(&value))
}

#[builtin(oid = 5043)]
fn numeric_trim_scale(value: Numeric) -> Numeric {
    let scale = min_scale(&value);
    if value.is_finite() { value.with_scale(scale) } else { value }
}

#[builtin(oid = 1376)]
fn numeric_fac(n: i64) -> Result<Numeric> {
    if n < 0 {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "factorial of a negative number is undefined");
    }
    if n > 32177 {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
    }
    let mut product = Numeric::one();
    for factor in 2..=n {
        kokkiri_primitives::activity::check_for_interrupts()?;
        product = product.multiply(&Numeric::from(factor))?;
    }
    Ok(product)
}

#[builtin(oid = 5048)]
fn numeric_gcd(a: Numeric, b: Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NAN);
    }
    let scale = a.scale.max(b.scale);
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        kokkiri_primitives::activity::check_for_interrupts()?;
        (a, b) = (b.clone(), a.modulo(&b)?);
    }
    Ok(a.with_scale(scale))
}

#[builtin(oid = 5049)]
fn numeric_lcm(a: Numeric, b: Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NAN);
    }
    let scale = a.scale.max(b.scale);
    if a.is_zero() || b.is_zero() {
        return Ok(Numeric { scale, ..Numeric::ZERO });
    }
    let divisor = numeric_gcd(a.clone(), b.clone())?;
    Ok(a.divide_truncated(&divisor)?.multiply(&b)?.abs().with_scale(scale))
}

/// Checks the bounds; the number of the bucket before the first or behind the last, if the operand is there.
fn outer_bucket<T: PartialOrd>(
    [operand, low, high]: [&T; 3],
    is_nan: impl Fn(&T) -> bool,
    is_infinite: impl Fn(&T) -> bool,
    count: i32,
) -> Result<Option<i32>> {
    let refuse = |message: &str| Err(error!(INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, "{message}"));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if [operand, low, high].into_iter().any(is_nan) {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    if [low, high].into_iter().any(is_infinite) {
        return refuse("lower and upper bounds must be finite");
    }
    if low == high {
        return refuse("lower bound cannot equal upper bound");
    }
    let (before, after) =
        if low < high { (operand < low, operand >= high) } else { (operand > low, operand <= high) };
    if after {
        let last = count.checked_add(1);
        return last.map(Some).ok_or_else(|| error!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"));
    }
    Ok(before.then_some(0))
}

#[builtin(oid = 2170)]
fn width_bucket_numeric(operand: Numeric, low: Numeric, high: Numeric, count: i32) -> Result<i32> {
    let places = [&operand, &low, &high];
    if let Some(bucket) = outer_bucket(places, Numeric::is_nan, Numeric::is_infinite, count)? {
        return Ok(bucket);
    }
    let place = operand.subtract(&low).abs().multiply(&Numeric::from(i64::from(count)))?;
    let bucket: i32 = place.divide_truncated(&high.subtract(&low).abs())?.to_int("integer")?;
    Ok(bucket + 1)
}

const INTEGERS: &[&[Builtin]] = list![int4gcd, int8gcd, int4lcm, int8lcm, width_bucket_float8];

macro_rules! divisors {
    ($($t:ident $sql:literal: $gcd:ident $gcd_oid:literal, $lcm:ident $lcm_oid:literal;)*) => {$(
        #[builtin(oid = $gcd_oid)]
        fn $gcd(a: $t, b: $t) -> Result<$t> {
            let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
            while b != 0 {
                (a, b) = (b, a % b);
            }
            $t::try_from(a).map_err(|_| error!(NUMERIC_VALUE_OUT_OF_RANGE, "{} out of range", $sql))
        }

        #[builtin(oid = $lcm_oid)]
        fn $lcm(a: $t, b: $t) -> Result<$t> {
            if a == 0 || b == 0 {
                return Ok(0);
            }
            let multiple = a.checked_div($gcd(a, b)?).and_then(|part| part.checked_mul(b)).and_then($t::checked_abs);
            multiple.ok_or_else(|| error!(NUMERIC_VALUE_OUT_OF_RANGE, "{} out of range", $sql))
        }
    )*};
}

divisors! {
    i32 "integer": int4gcd 5044, int4lcm 5046;
    i64 "bigint": int8gcd 5045, int8lcm 5047;
}

#[builtin(oid = 320)]
fn width_bucket_float8(operand: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    let places = [&operand, &low, &high];
    if let Some(bucket) = outer_bucket(places, |place| place.is_nan(), |bound| bound.is_infinite(), count)? {
        return Ok(bucket);
    }
    let bucket = ((operand - low) / (high - low) * f64::from(count)) as i32;
    Ok(bucket.min(count - 1) + 1)
}

const RANDOM: &[&[Builtin]] = list![drandom, int4random, int8random, setseed, gen_random_uuid];

#[builtin(oid = 1598, volatile)]
fn drandom(context: &mut CallContext<'_>) -> f64 {
    context.session.random.lock().next_f64()
}

fn check_bounds<T: PartialOrd>(low: T, high: T) -> Result<()> {
    if low > high {
        bail!(INVALID_PARAMETER_VALUE, "lower bound must be less than or equal to upper bound");
    }
    Ok(())
}

#[builtin(oid = 6339, volatile)]
fn int4random(context: &mut CallContext<'_>, low: i32, high: i32) -> Result<i32> {
    check_bounds(low, high)?;
    Ok(context.session.random.lock().next_in(i64::from(low), i64::from(high)) as i32)
}

#[builtin(oid = 6340, volatile)]
fn int8random(context: &mut CallContext<'_>, low: i64, high: i64) -> Result<i64> {
    check_bounds(low, high)?;
    Ok(context.session.random.lock().next_in(low, high))
}

#[builtin(oid = 1599, volatile)]
fn setseed(context: &mut CallContext<'_>, seed: f64) -> Result<i32> {
    if !(-1.0..=1.0).contains(&seed) {
        let mut text = Vec::new();
        kokkiri_types::number::write_float8(seed, 0, &mut text);
        bail!(
            INVALID_PARAMETER_VALUE,
            "setseed parameter {} is out of allowed range [-1,1]",
            String::from_utf8_lossy(&text)
        );
    }
    *context.session.random.lock() = crate::random::Generator::from_fraction(seed);
    Ok(0)
}

/// A random UUID of version 4.
#[builtin(oid = 3432, volatile)]
fn gen_random_uuid() -> [u8; 16] {
    let mut generator = crate::random::Generator::default();
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&generator.next_u64().to_be_bytes());
    uuid[8..].copy_from_slice(&generator.next_u64().to_be_bytes());
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_errors_are_postgresqls() {
        assert_eq!(int4gcd(12, -18).ok(), Some(6));
        assert_eq!(int4gcd(i32::MIN, 0).expect_err("large").message(), "integer out of range");
        assert_eq!(int4lcm(4, 6).ok(), Some(12));
        assert_eq!(width_bucket_float8(5.35, 0.024, 10.06, 5).ok(), Some(3));
        assert_eq!(
            dsqrt(-1.0).expect_err("negative").message(),
            "cannot take square root of a negative number"
        );
        let n = |text: &str| text.parse::<Numeric>().expect("a number");
        assert_eq!(numeric_trim_scale(n("8.4100")).to_string(), "8.41");
        assert_eq!(numeric_min_scale(n("8.4100")), Some(2));
        assert_eq!(numeric_fac(20).map(|n| n.to_string()).ok().as_deref(), Some("2432902008176640000"));
        assert_eq!(numeric_gcd(n("0.5"), n("2")).map(|n| n.to_string()).ok().as_deref(), Some("0.5"));
    }
}
