//! Text and binary forms, and conversions from and to the machine's numbers.

use std::fmt;
use std::str::FromStr;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, bail, error};

use super::{BASE, DIGITS, Kind, MAX_DISPLAY_SCALE, Numeric, NumericRef};
use crate::number::{invalid_syntax, trim, write_u64};

/// Digits of a decimal literal with its point and exponent taken apart.
struct Literal {
    digits: Vec<u8>,
    /// Digits before the point, after the exponent was applied.
    point: i64,
    scale: i64,
}

fn parse_decimal(text: &[u8]) -> Option<Literal> {
    let mut digits = Vec::with_capacity(text.len());
    let mut point = None;
    let mut at = 0;
    let mut after_digit = false;
    while at < text.len() {
        match text[at] {
            digit @ b'0'..=b'9' => {
                digits.push(digit - b'0');
                after_digit = true;
            }
            b'.' if point.is_none() => {
                point = Some(digits.len());
                after_digit = false;
            }
            b'_' if after_digit && text.get(at + 1).is_some_and(u8::is_ascii_digit) => after_digit = false,
            _ => break,
        }
        at += 1;
    }
    if digits.is_empty() {
        return None;
    }
    let whole = point.unwrap_or(digits.len()) as i64;
    let mut scale = digits.len() as i64 - whole;
    let mut exponent = 0;
    if let [b'e' | b'E', rest @ ..] = &text[at..] {
        let text = std::str::from_utf8(rest).ok()?;
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digit_groups = unsigned
            .split('_')
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
        if !digit_groups {
            return None;
        }
        // Anything with so many digits overflows or vanishes alike.
        exponent = unsigned.replace('_', "").parse::<i64>().unwrap_or(i64::from(i32::MAX));
        exponent = exponent.min(i64::from(i32::MAX));
        if text.starts_with('-') {
            exponent = -exponent;
        }
        at = text.len();
        scale = (scale - exponent).max(0);
        let _ = at;
    } else if at < text.len() {
        return None;
    }
    Some(Literal { digits, point: whole + exponent, scale })
}

/// `0x`, `0o`, `0b` integers with underscores; `None` if it isn't one.
fn parse_radix(text: &[u8]) -> Result<Option<Numeric>> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        _ => return Ok(None),
    };
    let mut value = Numeric::ZERO;
    // As many digits as fit are collected before the long number is touched.
    let (mut collected, mut unit) = (0, 1);
    let mut after_digit = true;
    for &byte in digits {
        if byte == b'_' && after_digit {
            after_digit = false;
            continue;
        }
        let Some(digit) = (byte as char).to_digit(radix as u32) else { return Ok(None) };
        collected = collected * radix + i64::from(digit);
        unit *= radix;
        after_digit = true;
        if unit > i64::MAX / radix {
            value = value.multiply(&Numeric::from(unit))?.add(&Numeric::from(collected));
            if value.weight > i32::from(i16::MAX) {
                bail!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
            }
            (collected, unit) = (0, 1);
            check_for_interrupts()?;
        }
    }
    let value = value.multiply(&Numeric::from(unit))?.add(&Numeric::from(collected));
    Ok((after_digit && !digits.is_empty()).then_some(value))
}

impl Literal {
    fn into_numeric(self, negative: bool) -> Result<Numeric> {
        let limit = i64::from(i16::MAX) * i64::from(DIGITS);
        let significant = self.digits.iter().position(|&digit| digit != 0);
        let first = significant.map_or(0, |at| self.point - at as i64);
        if first > limit + 4
            || self.scale > i64::from(MAX_DISPLAY_SCALE) && significant.is_some_and(|_| first > 0)
        {
            bail!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
        }
        if self.scale > i64::from(MAX_DISPLAY_SCALE) {
            bail!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
        }
        let Some(significant) = significant else {
            return Ok(Numeric { scale: self.scale as i32, ..Numeric::ZERO });
        };
        let weight = (first - 1).div_euclid(i64::from(DIGITS));
        // Decimal positions before the first digit within its base-10,000 digit.
        let lead = (weight + 1) * i64::from(DIGITS) - first;
        let mut digits = Vec::with_capacity(self.digits.len() / 4 + 2);
        let mut group = 0u16;
        let mut filled = lead;
        for &digit in &self.digits[significant..] {
            group = group * 10 + u16::from(digit);
            filled += 1;
            if filled == i64::from(DIGITS) {
                digits.push(group);
                (group, filled) = (0, 0);
            }
        }
        if filled > 0 {
            digits.push(group * 10u16.pow((i64::from(DIGITS) - filled) as u32));
        }
        let numeric =
            Numeric { kind: Kind::Finite, negative, weight: weight as i32, scale: self.scale as i32, digits };
        Ok(numeric.normalized())
    }
}

impl FromStr for Numeric {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let syntax = || invalid_syntax("numeric", text);
        let trimmed = trim(text);
        let (signed, negative, rest) = match trimmed.as_bytes() {
            [b'-', rest @ ..] => (true, true, rest),
            [b'+', rest @ ..] => (true, false, rest),
            rest => (false, false, rest),
        };
        if !rest.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
            return match rest.to_ascii_lowercase().as_slice() {
                b"nan" if !signed => Ok(Self::NAN),
                b"inf" | b"infinity" if negative => Ok(Self::NEGATIVE_INFINITY),
                b"inf" | b"infinity" => Ok(Self::INFINITY),
                _ => Err(syntax()),
            };
        }
        if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] = rest {
            let value = parse_radix(rest)?.ok_or_else(syntax)?;
            return Ok(if negative { value.negated() } else { value });
        }
        parse_decimal(rest).ok_or_else(syntax)?.into_numeric(negative)
    }
}

/// Appends the text of a payload.
pub fn write(payload: &[u8], out: &mut Vec<u8>) {
    let view = NumericRef::new(payload);
    match view.kind {
        Kind::Finite => write_digits(view.negative, view.weight, view.scale, view.digits(), out),
        Kind::NaN => out.extend_from_slice(b"NaN"),
        Kind::PositiveInfinity => out.extend_from_slice(b"Infinity"),
        Kind::NegativeInfinity => out.extend_from_slice(b"-Infinity"),
    }
}

fn push_group(digit: u16, out: &mut Vec<u8>) {
    out.extend([digit / 1000, digit / 100 % 10, digit / 10 % 10, digit % 10].map(|d| b'0' + d as u8));
}

fn write_digits(
    negative: bool,
    weight: i32,
    scale: i32,
    mut digits: impl Iterator<Item = u16>,
    out: &mut Vec<u8>,
) {
    if negative {
        out.push(b'-');
    }
    if weight < 0 {
        out.push(b'0');
    } else {
        write_u64(u64::from(digits.next().unwrap_or(0)), out);
        for _ in 0..weight {
            push_group(digits.next().unwrap_or(0), out);
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale as usize;
        let mut position = -1;
        while out.len() < end {
            push_group(if weight < position { 0 } else { digits.next().unwrap_or(0) }, out);
            position -= 1;
        }
        out.truncate(end);
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        match self.kind {
            Kind::Finite => {
                write_digits(self.negative, self.weight, self.scale, self.digits.iter().copied(), &mut out);
            }
            Kind::NaN => out.extend_from_slice(b"NaN"),
            Kind::PositiveInfinity => out.extend_from_slice(b"Infinity"),
            Kind::NegativeInfinity => out.extend_from_slice(b"-Infinity"),
        }
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// The wire's binary form: digit count, weight, sign, scale, digits; 16 bits each.
pub fn write_binary(payload: &[u8], out: &mut Vec<u8>) {
    let view = NumericRef::new(payload);
    let sign: u16 = match view.kind {
        Kind::Finite if view.negative => 0x4000,
        Kind::Finite => 0,
        Kind::NaN => 0xC000,
        Kind::PositiveInfinity => 0xD000,
        Kind::NegativeInfinity => 0xF000,
    };
    for word in [view.len() as u16, view.weight as u16, sign, view.scale as u16] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for digit in view.digits() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// # Errors
/// 22P03 for a sign, scale or digit that can't be.
pub fn read_binary(bytes: &[u8]) -> Result<Numeric> {
    let word = |at: usize| bytes.get(2 * at..2 * at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let short = || error!(PROTOCOL_VIOLATION, "insufficient data left in message");
    let count = word(0).ok_or_else(short)?;
    let weight = word(1).ok_or_else(short)? as i16;
    let sign = word(2).ok_or_else(short)?;
    let scale = word(3).ok_or_else(short)?;
    let kind = match sign {
        0 | 0x4000 => Kind::Finite,
        0xC000 => return Ok(Numeric::NAN),
        0xD000 => return Ok(Numeric::INFINITY),
        0xF000 => return Ok(Numeric::NEGATIVE_INFINITY),
        _ => bail!(INVALID_BINARY_REPRESENTATION, "invalid sign in external \"numeric\" value"),
    };
    if i32::from(scale) > MAX_DISPLAY_SCALE {
        bail!(INVALID_BINARY_REPRESENTATION, "invalid scale in external \"numeric\" value");
    }
    let mut digits = Vec::with_capacity(usize::from(count).min(bytes.len()));
    for at in 0..usize::from(count) {
        let digit = word(4 + at).ok_or_else(short)?;
        if u32::from(digit) >= BASE {
            bail!(INVALID_BINARY_REPRESENTATION, "invalid digit in external \"numeric\" value");
        }
        digits.push(digit);
    }
    let numeric = Numeric {
        kind,
        negative: sign == 0x4000,
        weight: i32::from(weight),
        scale: i32::from(scale),
        digits,
    };
    // Digits beyond the stated scale are cut off, as PostgreSQL does.
    Ok(numeric.normalized().truncate(i32::from(scale)))
}

impl Numeric {
    /// The nearest integer, if it fits in 128 bits.
    fn to_integer(&self) -> Option<i128> {
        let rounded = self.clone().round(0);
        if rounded.weight > 8 {
            return None;
        }
        let mut value: i128 = 0;
        for weight in (0..=rounded.weight).rev() {
            value = value * i128::from(BASE) + i128::from(rounded.digit(weight));
        }
        Some(if rounded.negative { -value } else { value })
    }

    /// Rounds to an integer type, named as PostgreSQL's error names it.
    ///
    /// # Errors
    /// 22003 out of range, 0A000 for NaN and the infinities.
    pub fn to_int<T: TryFrom<i128>>(&self, type_name: &str) -> Result<T> {
        match self.kind {
            Kind::NaN => bail!(FEATURE_NOT_SUPPORTED, "cannot convert NaN to {type_name}"),
            Kind::PositiveInfinity | Kind::NegativeInfinity => {
                bail!(FEATURE_NOT_SUPPORTED, "cannot convert infinity to {type_name}")
            }
            Kind::Finite => {}
        }
        self.to_integer()
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| error!(NUMERIC_VALUE_OUT_OF_RANGE, "{type_name} out of range"))
    }

    /// The nearest float; beyond its range an infinity.
    pub fn to_f64_saturating(&self) -> f64 {
        match self.kind {
            Kind::NaN => f64::NAN,
            Kind::PositiveInfinity => f64::INFINITY,
            Kind::NegativeInfinity => f64::NEG_INFINITY,
            Kind::Finite => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// `numeric_float8`.
    ///
    /// # Errors
    /// 22003 beyond the range of float8.
    pub fn to_float8(&self) -> Result<f64> {
        if self.is_finite() {
            crate::number::parse_float8(&self.to_string())
        } else {
            Ok(self.to_f64_saturating())
        }
    }

    /// `numeric_float4`.
    ///
    /// # Errors
    /// 22003 beyond the range of float4.
    pub fn to_float4(&self) -> Result<f32> {
        if self.is_finite() {
            crate::number::parse_float4(&self.to_string())
        } else {
            Ok(self.to_f64_saturating() as f32)
        }
    }

    /// `float8_numeric`: the 15 digits that every float8 holds.
    pub fn from_float8(value: f64) -> Self {
        Self::from_digits(value, 15)
    }

    /// `float4_numeric`: the 6 digits that every float4 holds.
    pub fn from_float4(value: f32) -> Self {
        Self::from_digits(f64::from(value), 6)
    }

    fn from_digits(value: f64, digits: i32) -> Self {
        if value.is_nan() {
            return Self::NAN;
        }
        if value.is_infinite() {
            return if value > 0.0 { Self::INFINITY } else { Self::NEGATIVE_INFINITY };
        }
        let mut text = Vec::new();
        crate::number::write_float8(value, digits - 15, &mut text);
        String::from_utf8_lossy(&text).parse().unwrap_or(Self::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_and_print() {
        for (text, printed) in [
            ("0", "0"),
            ("-0.00", "0.00"),
            (" 12.50 ", "12.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e-5", "0.000015"),
            ("123e-2", "1.23"),
            ("12_345.6_7", "12345.67"),
            ("0xFF", "255"),
            ("-0b101", "-5"),
            ("0o17", "15"),
            ("100000000000000000000.000000000000000000001", "100000000000000000000.000000000000000000001"),
            ("inf", "Infinity"),
            ("-infinity", "-Infinity"),
            ("nan", "NaN"),
        ] {
            let numeric: Numeric = text.parse().expect(text);
            assert_eq!(numeric.to_string(), printed, "{text}");
            let mut written = Vec::new();
            write(&numeric.to_payload().expect("fits"), &mut written);
            assert_eq!(String::from_utf8_lossy(&written), printed);
            let mut binary = Vec::new();
            write_binary(&numeric.to_payload().expect("fits"), &mut binary);
            assert_eq!(read_binary(&binary).expect("valid"), numeric);
        }
        for text in ["", "x", "1x", "1__0", "1e", "--1", ".", "0x", "1 2", "1_"] {
            let error = text.parse::<Numeric>().expect_err(text);
            assert_eq!(error.message(), format!("invalid input syntax for type numeric: \"{text}\""));
        }
        let error = "1e1000000".parse::<Numeric>().expect_err("too large");
        assert_eq!(error.message(), "value overflows numeric format");
    }

    #[test]
    fn conversions() {
        let n = |text: &str| text.parse::<Numeric>().expect("a number");
        assert_eq!(n("2.5").to_int::<i32>("integer").ok(), Some(3));
        assert_eq!(n("-9223372036854775808").to_int::<i64>("bigint").ok(), Some(i64::MIN));
        assert_eq!(
            n("9223372036854775808").to_int::<i64>("bigint").expect_err("large").message(),
            "bigint out of range"
        );
        assert_eq!(
            n("NaN").to_int::<i32>("integer").expect_err("NaN").message(),
            "cannot convert NaN to integer"
        );
        assert_eq!(Numeric::from_float8(0.1).to_string(), "0.1");
        assert_eq!(Numeric::from_float8(1.0 / 3.0).to_string(), "0.333333333333333");
        assert_eq!(Numeric::from_float4(1.1).to_string(), "1.1");
        assert_eq!(n("1.25").to_float8().ok(), Some(1.25));
    }
}
