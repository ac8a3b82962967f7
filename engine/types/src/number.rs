//! Integers, floats, oids and booleans: text form.
//!
//! Realises: PostgreSQL's numutils.c, float.c, bool.c. Floats print as the shortest digits that read
//! back, except where those digits lie exactly on the border between two floats: PostgreSQL doesn't
//! trust readers to round such ties to even and prints one digit more.

use kokkiri_primitives::{Error, Result, error};

/// `invalid input syntax for type X: "text"`, 22P02.
pub fn invalid_syntax(type_name: &str, text: &str) -> Error {
    error!(INVALID_TEXT_REPRESENTATION, "invalid input syntax for type {type_name}: \"{text}\"")
}

fn out_of_range(type_name: &str, text: &str) -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "value \"{text}\" is out of range for type {type_name}")
}

/// C's `isspace` in the C locale.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Without leading and trailing white space as C's `isspace` has it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8))
}

enum Parse {
    Syntax,
    Range,
}

/// Sign, then decimal, `0x`, `0o` or `0b` digits with single underscores between them.
fn parse_integer(text: &str, min: i128, max: i128) -> Result<i128, Parse> {
    let trimmed = trim(text).as_bytes();
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (radix, digits, prefixed) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest, true),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest, true),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest, true),
        rest => (10, rest, false),
    };
    let mut value: i128 = 0;
    let mut overflow = false;
    let mut after_digit = prefixed;
    let mut any = false;
    for &byte in digits {
        if byte == b'_' {
            if !after_digit {
                return Err(Parse::Syntax);
            }
            after_digit = false;
            continue;
        }
        let digit = (byte as char).to_digit(radix).ok_or(Parse::Syntax)?;
        if value < i128::from(u64::MAX) {
            value = value * i128::from(radix) + i128::from(digit);
        } else {
            overflow = true;
        }
        after_digit = true;
        any = true;
    }
    if !any || !after_digit {
        return Err(Parse::Syntax);
    }
    let value = if negative { -value } else { value };
    if overflow || value < min || value > max { Err(Parse::Range) } else { Ok(value) }
}

macro_rules! parse_signed {
    ($name:ident, $type:ty, $sql:literal) => {
        /// # Errors
        /// 22P02 for what is not a number, 22003 for one that does not fit.
        pub fn $name(text: &str) -> Result<$type> {
            match parse_integer(text, i128::from(<$type>::MIN), i128::from(<$type>::MAX)) {
                Ok(value) => Ok(value as $type),
                Err(Parse::Syntax) => Err(invalid_syntax($sql, text)),
                Err(Parse::Range) => Err(out_of_range($sql, text)),
            }
        }
    };
}

parse_signed!(parse_int2, i16, "smallint");
parse_signed!(parse_int4, i32, "integer");
parse_signed!(parse_int8, i64, "bigint");

/// C's `strtoul` with base 0, as PostgreSQL reads oid, xid and cid: decimal, `0x`, or octal after a zero.
/// A negative number stands for its two's complement.
fn parse_unsigned(type_name: &str, text: &str, bits: u32) -> Result<u64> {
    let trimmed = trim(text);
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(invalid_syntax(type_name, text));
    }
    let value = u64::from_str_radix(digits, radix).map_err(|_| out_of_range(type_name, text))?;
    let limit = if bits == 32 { u64::from(u32::MAX) } else { u64::MAX };
    if !negative && value <= limit {
        return Ok(value);
    }
    // A 32-bit one may be negative down to the smallest int4.
    if negative && (bits == 64 || value <= 1 << 31) {
        return Ok(value.wrapping_neg() & limit);
    }
    Err(out_of_range(type_name, text))
}

/// # Errors
/// 22P02 or 22003.
pub fn parse_uint32(type_name: &str, text: &str) -> Result<u32> {
    parse_unsigned(type_name, text, 32).map(|value| value as u32)
}

/// # Errors
/// 22P02 or 22003.
pub fn parse_uint64(type_name: &str, text: &str) -> Result<u64> {
    parse_unsigned(type_name, text, 64)
}

/// Any unique prefix of true, false, yes, no, on, off; 1 and 0.
///
/// # Errors
/// 22P02.
pub fn parse_bool(text: &str) -> Result<bool> {
    bool_prefix(trim(text)).ok_or_else(|| invalid_syntax("boolean", text))
}

/// PostgreSQL's `parse_bool`: also what settings accept.
pub fn bool_prefix(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let prefix_of = |word: &str| !lower.is_empty() && word.starts_with(&lower);
    match lower.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        "o" | "" => None,
        _ if prefix_of("true") || prefix_of("yes") || lower == "on" => Some(true),
        _ if prefix_of("false") || prefix_of("no") || prefix_of("off") => Some(false),
        _ => None,
    }
}

const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
40414243444546474849505152535455565758596061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends the decimal digits of `value`.
#[inline]
pub fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

#[inline]
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

/// Appends `value` with at least `width` digits.
pub fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    write_u64(value, out);
    let written = out.len() - start;
    if written < width {
        out.splice(start..start, std::iter::repeat_n(b'0', width - written));
    }
}

/// The forms of NaN and the infinities that C's `strtod` and PostgreSQL accept, case-insensitively.
fn special_float(text: &str) -> Option<f64> {
    let (negative, word) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = match word.to_ascii_lowercase().as_str() {
        "nan" => f64::NAN,
        "inf" | "infinity" => f64::INFINITY,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// `0x1.8p3`: returns the value as f64; exact for the digits a float can hold.
fn hex_float(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, exponent) = match rest.find(['p', 'P']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    value *= 2f64.powi(exponent - 4 * fraction.len() as i32);
    Some(if negative { -value } else { value })
}

fn decimal_form(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let points = mantissa.bytes().filter(|&b| b == b'.').count();
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    digits > 0 && points <= 1 && digits + points == mantissa.len() && exponent_ok
}

macro_rules! parse_float {
    ($name:ident, $type:ty, $sql:literal) => {
        /// # Errors
        /// 22P02 for what is not a number, 22003 for what overflows or underflows.
        pub fn $name(text: &str) -> Result<$type> {
            let trimmed = trim(text);
            if !decimal_form(trimmed) {
                return match special_float(trimmed).or_else(|| hex_float(trimmed)) {
                    Some(value) => Ok(value as $type),
                    None => Err(invalid_syntax($sql, text)),
                };
            }
            let value: $type = trimmed.parse().map_err(|_| invalid_syntax($sql, text))?;
            let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
            let zero = !mantissa.bytes().any(|b| matches!(b, b'1'..=b'9'));
            if value.is_infinite() || (value == 0.0 && !zero) {
                return Err(error!(
                    NUMERIC_VALUE_OUT_OF_RANGE,
                    "\"{trimmed}\" is out of range for type {}", $sql
                ));
            }
            Ok(value)
        }
    };
}

parse_float!(parse_float4, f32, "real");
parse_float!(parse_float8, f64, "double precision");

/// True if the decimal `d.ddd * 10^exponent` lies exactly halfway between the float
/// `mantissa * 2^binary_exponent` and a neighbour.
fn on_the_border(digits: &[u8], exponent: i32, mantissa: u64, binary_exponent: i32) -> bool {
    let exponent = exponent + 1 - digits.len() as i32;
    let digits = digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    // Halfway points are odd multiples of 2^(binary_exponent - 1); below a power of two the lower
    // neighbour is at half the distance, but such a point is never the shortest form.
    for half in [2 * mantissa + 1, (2 * mantissa).wrapping_sub(1)] {
        let shift = binary_exponent - 1;
        // digits * 5^exponent * 2^exponent == half * 2^shift
        let (mut left, mut right) = (u128::from(digits), u128::from(half));
        let Some(fives) = 5u128.checked_pow(exponent.unsigned_abs()) else { return false };
        let scaled = if exponent >= 0 { left.checked_mul(fives) } else { right.checked_mul(fives) };
        let Some(scaled) = scaled else { return false };
        *(if exponent >= 0 { &mut left } else { &mut right }) = scaled;
        let twos = exponent - shift;
        let (odd_left, odd_right) = (left.trailing_zeros() as i32, right.trailing_zeros() as i32);
        if left >> odd_left == right >> odd_right && odd_left + twos == odd_right {
            return true;
        }
    }
    false
}

/// Writes digits and exponent as PostgreSQL lays them out: fixed notation for exponents from -4 to below
/// `limit`, else `d.ddde+XX`.
fn write_decimal(digits: &[u8], exponent: i32, limit: i32, out: &mut Vec<u8>) {
    if exponent < -4 || exponent >= limit {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_padded(u64::from(exponent.unsigned_abs()), 2, out);
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        } else {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

/// Digits and decimal exponent of what `format!("{:e}")` made.
fn split_scientific(text: &str) -> (Vec<u8>, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    (digits, exponent.parse().unwrap_or(0))
}

fn write_special(value: f64, out: &mut Vec<u8>) -> bool {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else {
        return false;
    }
    true
}

/// `%.*g` as C prints it.
fn write_general(value: f64, precision: usize, out: &mut Vec<u8>) {
    let precision = precision.max(1);
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    let (mut digits, exponent) = split_scientific(&format!("{:.*e}", precision - 1, value));
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    write_decimal(&digits, exponent, precision as i32, out);
}

/// `float8out`.
pub fn write_float8(value: f64, extra_float_digits: i32, out: &mut Vec<u8>) {
    if write_special(value, out) {
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if extra_float_digits <= 0 {
        return write_general(value, (15 + extra_float_digits).max(1) as usize, out);
    }
    if value == 0.0 {
        return out.push(b'0');
    }
    if value < 1e15 && value.trunc() == value {
        return write_u64(value as u64, out);
    }
    let (mut digits, mut exponent) = split_scientific(&format!("{value:e}"));
    let bits = value.to_bits();
    let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
    let (mantissa, binary) =
        if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
    if digits.len() < 17 && on_the_border(&digits, exponent, mantissa, binary) {
        (digits, exponent) = shortest_inside(
            digits.len()..17,
            |digits| format!("{value:.digits$e}"),
            |digits, exponent| {
                !on_the_border(digits, exponent, mantissa, binary)
                    && scientific(digits, exponent).parse() == Ok(value)
            },
        );
    }
    write_decimal(&digits, exponent, 15, out);
}

/// `float4out`.
pub fn write_float4(value: f32, extra_float_digits: i32, out: &mut Vec<u8>) {
    if write_special(f64::from(value), out) {
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if extra_float_digits <= 0 {
        return write_general(f64::from(value), (6 + extra_float_digits).max(1) as usize, out);
    }
    if value == 0.0 {
        return out.push(b'0');
    }
    let (mut digits, mut exponent) = split_scientific(&format!("{value:e}"));
    let bits = value.to_bits();
    let (fraction, biased) = (u64::from(bits & ((1 << 23) - 1)), (bits >> 23) as i32);
    let (mantissa, binary) = if biased == 0 { (fraction, -149) } else { (fraction | 1 << 23, biased - 150) };
    if digits.len() < 9 && on_the_border(&digits, exponent, mantissa, binary) {
        (digits, exponent) = shortest_inside(
            digits.len()..9,
            |digits| format!("{value:.digits$e}"),
            |digits, exponent| {
                !on_the_border(digits, exponent, mantissa, binary)
                    && scientific(digits, exponent).parse() == Ok(value)
            },
        );
    }
    write_decimal(&digits, exponent, 6, out);
}

/// `d.ddde<exponent>`.
fn scientific(digits: &[u8], exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    format!("{}.{}e{exponent}", String::from_utf8_lossy(first), String::from_utf8_lossy(rest))
}

/// The fewest digits that lie strictly inside the interval of what reads back as the value: the rounded
/// decimal or, if that is on the border, its neighbour below.
fn shortest_inside(
    counts: std::ops::Range<usize>,
    format: impl Fn(usize) -> String,
    inside: impl Fn(&[u8], i32) -> bool,
) -> (Vec<u8>, i32) {
    for count in counts.clone() {
        let (digits, exponent) = split_scientific(&format(count - 1));
        if inside(&digits, exponent) {
            return (digits, exponent);
        }
        let number = digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        for neighbour in [number - 1, number + 1].into_iter().filter(|&number| number > 0) {
            let mut near = neighbour.to_string().into_bytes();
            let exponent = exponent + near.len() as i32 - digits.len() as i32;
            near.resize(digits.len().max(near.len()), b'9');
            if inside(&near, exponent) {
                return (near, exponent);
            }
        }
    }
    split_scientific(&format(counts.end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float8(value: f64) -> String {
        let mut out = Vec::new();
        write_float8(value, 1, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn integers_read_and_print() {
        assert_eq!(parse_int4("1_000").ok(), Some(1000));
        assert_eq!(parse_int4("-0x80000000").ok(), Some(i32::MIN));
        assert_eq!(parse_int8("0b11").ok(), Some(3));
        assert_eq!(parse_int2(" 12 ").ok(), Some(12));
        for (text, message) in [
            ("1__0", "invalid input syntax for type integer: \"1__0\""),
            ("", "invalid input syntax for type integer: \"\""),
            ("99999999999", "value \"99999999999\" is out of range for type integer"),
        ] {
            assert_eq!(parse_int4(text).expect_err("bad").message(), message);
        }
        assert_eq!(parse_uint32("oid", "010").ok(), Some(8));
        assert_eq!(parse_uint32("oid", "-1").ok(), Some(u32::MAX));
        for value in [0, 5, 10, 99, 100, 12345, -1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            write_i64(value, &mut out);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn floats_print_as_postgresql_prints_them() {
        for (value, text) in [
            (1e23, "9.999999999999999e+22"),
            (5e-324, "5e-324"),
            (1e22, "1e+22"),
            (9007199254740993.0, "9.007199254740992e+15"),
            (1e15, "1e+15"),
            (123456789012345.0, "123456789012345"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0"),
            (8.41e21, "8.409999999999999e+21"),
            (2.0e21, "2e+21"),
            (9.5367431640625e-07, "9.5367431640625e-07"),
            (0.1, "0.1"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float8(value), text);
        }
        for (value, text) in
            [(2e-44, "2e-44"), (1.5e-9, "1.5e-09"), (16777216.0, "1.6777216e+07"), (1e5, "100000")]
        {
            let mut out = Vec::new();
            write_float4(value, 1, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
        assert_eq!(
            parse_float8("1e400").expect_err("too large").message(),
            "\"1e400\" is out of range for type double precision"
        );
        assert_eq!(parse_float8("0x1p3").ok(), Some(8.0));
    }

    #[test]
    fn floats_read_back() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(parse_float8(&float8(value)).map(f64::to_bits).ok(), Some(value.to_bits()));
            }
        }
    }
}
