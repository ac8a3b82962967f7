//! numeric: decimal numbers of any precision, in PostgreSQL's on-disk form.
//!
//! A payload is a 16-bit header, for the long form a 16-bit weight, and digits in base 10,000:
//!
//! ```text
//! short   10 s dddddd wwwwwww      sign, display scale, signed weight
//! long    0s dddddddddddddd | weight i16
//! special 11 ss 0000...            NaN C000, Infinity D000, -Infinity F000
//! ```
//!
//! The value is the sum of `digit[i] * 10000^(weight - i)`. [`NumericRef`] reads a payload in place;
//! [`Numeric`] is the form for computing. Invariant: the digits of either have no leading or trailing
//! zero digit as written by us, and zero has none, weight 0 and no sign. Results have the display scale
//! PostgreSQL gives them.
//! [`arithmetic`] (over [`long`]), [`functions`] and [`text`] hold the operations, [`sum`] the accumulator of aggregates.

pub mod arithmetic;
pub mod functions;
mod long;
pub mod sum;
pub mod text;

use std::cmp::Ordering;

use kokkiri_primitives::{Result, bail, error};

pub use sum::NumericSum;

/// Decimal digits in a base-10,000 digit.
pub const DIGITS: i32 = 4;
pub const BASE: u32 = 10_000;
/// Largest scale that a declared type or a computed result has.
pub const MAX_SCALE: i32 = 1000;
/// Largest display scale that the format can hold.
pub const MAX_DISPLAY_SCALE: i32 = 0x3FFF;
/// Significant digits that computed results have at least.
pub const MIN_SIGNIFICANT: i32 = 16;
/// Most digits that `numeric(p)` allows.
pub const MAX_PRECISION: i32 = 1000;

const NEGATIVE: u16 = 0x4000;
const SHORT: u16 = 0x8000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Finite or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Finite,
    NaN,
    PositiveInfinity,
    NegativeInfinity,
}

/// A payload, read in place.
#[derive(Clone, Copy, Debug)]
pub struct NumericRef<'a> {
    pub kind: Kind,
    pub negative: bool,
    pub weight: i32,
    pub scale: i32,
    digits: &'a [u8],
}

impl<'a> NumericRef<'a> {
    /// Reads a payload; bytes too short to be one read as zero.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Self {
        let word = |at: usize| match payload.get(at..at + 2) {
            Some(bytes) => u16::from_le_bytes([bytes[0], bytes[1]]),
            None => 0,
        };
        let header = word(0);
        let mut numeric = Self { kind: Kind::Finite, negative: false, weight: 0, scale: 0, digits: &[] };
        match header & 0xC000 {
            SHORT => {
                numeric.negative = header & 0x2000 != 0;
                numeric.scale = i32::from((header & 0x1F80) >> 7);
                numeric.weight =
                    if header & 0x40 != 0 { i32::from(header & 0x3F) - 64 } else { i32::from(header & 0x3F) };
                numeric.digits = payload.get(2..).unwrap_or_default();
            }
            0xC000 => {
                numeric.kind = match header & 0xF000 {
                    POSITIVE_INFINITY => Kind::PositiveInfinity,
                    NEGATIVE_INFINITY => Kind::NegativeInfinity,
                    _ => Kind::NaN,
                };
            }
            sign => {
                numeric.negative = sign == NEGATIVE;
                numeric.scale = i32::from(header & 0x3FFF);
                numeric.weight = i32::from(word(2) as i16);
                numeric.digits = payload.get(4..).unwrap_or_default();
            }
        }
        numeric
    }

    pub fn len(&self) -> usize {
        self.digits.len() / 2
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn digits(&self) -> impl ExactSizeIterator<Item = u16> + Clone + 'a {
        self.digits.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
    }

    /// -1, 0 or 1; infinities have their sign, NaN counts as positive.
    fn class(&self) -> i32 {
        match self.kind {
            Kind::NegativeInfinity => -2,
            Kind::PositiveInfinity => 2,
            Kind::NaN => 3,
            Kind::Finite if self.is_empty() => 0,
            Kind::Finite => 1 - 2 * i32::from(self.negative),
        }
    }
}

/// `numeric_cmp`: NaN equals itself and is above all others.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (NumericRef::new(a), NumericRef::new(b));
    let (class_a, class_b) = (a.class(), b.class());
    if class_a != class_b || class_a.abs() != 1 {
        return class_a.cmp(&class_b);
    }
    let magnitude = a.weight.cmp(&b.weight).then_with(|| a.digits().cmp(b.digits()));
    if class_a < 0 { magnitude.reverse() } else { magnitude }
}

/// Hash that doesn't see the display scale.
pub fn hash(payload: &[u8]) -> u64 {
    let numeric = NumericRef::new(payload);
    let class = (numeric.class() as i64 as u64) << 32 | numeric.weight as u32 as u64;
    numeric.digits().fold(crate::hash::mix(class), |hash, digit| crate::hash::mix(hash ^ u64::from(digit)))
}

/// Appends bytes that `memcmp` orders as the numbers: class, weight, digits, terminator.
pub fn sort_key(payload: &[u8], out: &mut Vec<u8>) {
    let numeric = NumericRef::new(payload);
    let class = numeric.class();
    out.push((class + 2) as u8);
    if class.abs() == 1 {
        let flip = if class < 0 { u16::MAX } else { 0 };
        out.extend((((numeric.weight + 0x8000) as u16) ^ flip).to_be_bytes());
        for digit in numeric.digits() {
            out.extend(((digit + 1) ^ flip).to_be_bytes());
        }
        out.extend(flip.to_be_bytes());
    }
}

/// A number to compute with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric {
    pub kind: Kind,
    pub negative: bool,
    /// Power of 10,000 of the first digit.
    pub weight: i32,
    /// Decimal digits after the point to display.
    pub scale: i32,
    /// Most significant first.
    pub digits: Vec<u16>,
}

impl Numeric {
    pub const ZERO: Self = Self::special(Kind::Finite);
    pub const NAN: Self = Self::special(Kind::NaN);
    pub const INFINITY: Self = Self::special(Kind::PositiveInfinity);
    pub const NEGATIVE_INFINITY: Self = Self::special(Kind::NegativeInfinity);

    const fn special(kind: Kind) -> Self {
        Self { kind, negative: false, weight: 0, scale: 0, digits: Vec::new() }
    }

    pub fn one() -> Self {
        Self::from(1i64)
    }

    pub fn decode(payload: &[u8]) -> Self {
        let view = NumericRef::new(payload);
        Self {
            kind: view.kind,
            negative: view.negative,
            weight: view.weight,
            scale: view.scale,
            digits: view.digits().collect(),
        }
        .normalized()
    }

    /// Appends the payload.
    ///
    /// # Errors
    /// 22003 if the weight or the scale is more than the format can hold.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self.kind {
            Kind::Finite => {}
            Kind::NaN => return extend(out, NAN),
            Kind::PositiveInfinity => return extend(out, POSITIVE_INFINITY),
            Kind::NegativeInfinity => return extend(out, NEGATIVE_INFINITY),
        }
        let skip = self.digits.iter().take_while(|&&digit| digit == 0).count();
        let end = self.digits.len() - self.digits.iter().rev().take_while(|&&digit| digit == 0).count();
        let digits = self.digits.get(skip..end).unwrap_or_default();
        let (weight, negative) =
            if digits.is_empty() { (0, false) } else { (self.weight - skip as i32, self.negative) };
        if weight > i32::from(i16::MAX) || weight < i32::from(i16::MIN) || self.scale > MAX_DISPLAY_SCALE {
            bail!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
        }
        if self.scale <= 0x3F && (-64..=63).contains(&weight) {
            let sign = if negative { 0x2000 } else { 0 };
            extend(out, SHORT | sign | (self.scale as u16) << 7 | (weight as u16 & 0x7F))?;
        } else {
            extend(out, self.scale as u16 | if negative { NEGATIVE } else { 0 })?;
            extend(out, weight as u16)?;
        }
        for digit in digits {
            out.extend_from_slice(&digit.to_le_bytes());
        }
        Ok(())
    }

    /// The payload.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn to_payload(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(4 + 2 * self.digits.len());
        self.encode(&mut out)?;
        Ok(out)
    }

    /// Without leading and trailing zero digits.
    pub fn normalized(mut self) -> Self {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        let leading = self.digits.iter().take_while(|&&digit| digit == 0).count();
        if leading > 0 {
            self.digits.drain(..leading);
            self.weight -= leading as i32;
        }
        if self.digits.is_empty() && self.kind == Kind::Finite {
            self.weight = 0;
            self.negative = false;
        }
        self
    }

    pub fn is_finite(&self) -> bool {
        self.kind == Kind::Finite
    }

    pub fn is_nan(&self) -> bool {
        self.kind == Kind::NaN
    }

    pub fn is_infinite(&self) -> bool {
        matches!(self.kind, Kind::PositiveInfinity | Kind::NegativeInfinity)
    }

    pub fn is_zero(&self) -> bool {
        self.is_finite() && self.digits.is_empty()
    }

    /// -1, 0 or 1; 1 for NaN.
    pub fn signum(&self) -> i32 {
        match self.kind {
            Kind::NegativeInfinity => -1,
            Kind::PositiveInfinity | Kind::NaN => 1,
            Kind::Finite if self.digits.is_empty() => 0,
            Kind::Finite => 1 - 2 * i32::from(self.negative),
        }
    }

    /// True for a finite number without a fraction, and for the infinities.
    pub fn is_integral(&self) -> bool {
        !self.is_nan() && self.digits.len() as i32 <= self.weight.max(-1) + 1
    }

    /// Power of 10,000 of the last digit.
    pub(crate) fn low(&self) -> i32 {
        self.weight - self.digits.len() as i32 + 1
    }

    /// The digit that stands for `10000^weight`.
    pub(crate) fn digit(&self, weight: i32) -> u16 {
        usize::try_from(self.weight - weight).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(0)
    }

    pub fn with_scale(mut self, scale: i32) -> Self {
        self.scale = scale;
        self
    }

    pub fn negated(mut self) -> Self {
        match self.kind {
            Kind::Finite => self.negative = !self.negative && !self.digits.is_empty(),
            Kind::PositiveInfinity => self.kind = Kind::NegativeInfinity,
            Kind::NegativeInfinity => self.kind = Kind::PositiveInfinity,
            Kind::NaN => {}
        }
        self
    }

    pub fn abs(mut self) -> Self {
        self.negative = false;
        if self.kind == Kind::NegativeInfinity {
            self.kind = Kind::PositiveInfinity;
        }
        self
    }

    /// Applies `numeric(precision, scale)`.
    ///
    /// # Errors
    /// 22003 `numeric field overflow`.
    pub fn apply_typmod(self, typmod: i32) -> Result<Self> {
        let Some((precision, scale)) = precision_and_scale(typmod) else { return Ok(self) };
        if self.is_nan() {
            return Ok(self);
        }
        if self.is_infinite() {
            return Err(error!(NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            )));
        }
        let mut rounded = self.round(scale);
        rounded.scale = rounded.scale.max(0);
        let most = precision - scale;
        if rounded.decimal_weight().is_some_and(|digits| digits > most) {
            return Err(error!(NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {}.",
                if most == 0 { "1".to_owned() } else { format!("10^{most}") }
            )));
        }
        Ok(rounded)
    }

    /// Decimal digits before the point (negative: zeros after it); `None` for zero.
    fn decimal_weight(&self) -> Option<i32> {
        let first = *self.digits.first()?;
        Some((self.weight + 1) * DIGITS - (4 - decimal_digits(first)))
    }
}

fn extend(out: &mut Vec<u8>, word: u16) -> Result<()> {
    out.extend_from_slice(&word.to_le_bytes());
    Ok(())
}

/// Digits of a number below 10,000; at least 1.
pub(crate) fn decimal_digits(digit: u16) -> i32 {
    match digit {
        0..=9 => 1,
        10..=99 => 2,
        100..=999 => 3,
        _ => 4,
    }
}

/// What a type modifier declares, if it does.
pub fn precision_and_scale(typmod: i32) -> Option<(i32, i32)> {
    let packed = typmod.checked_sub(4).filter(|&packed| packed >= 0)?;
    Some(((packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024))
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::from(i128::from(value))
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Self {
        let mut rest = value.unsigned_abs();
        let mut digits = Vec::with_capacity(5);
        while rest > 0 {
            digits.push((rest % u128::from(BASE)) as u16);
            rest /= u128::from(BASE);
        }
        digits.reverse();
        let weight = (digits.len() as i32 - 1).max(0);
        Self { kind: Kind::Finite, negative: value < 0, weight, scale: 0, digits }.normalized()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_those_of_postgresql() {
        // From `select t::numeric` looked at with pageinspect.
        for (text, payload) in [
            ("0", &[0x00, 0x80][..]),
            ("1", &[0x00, 0x80, 0x01, 0x00]),
            ("-1.5", &[0x80, 0xA0, 0x01, 0x00, 0x88, 0x13]),
            ("0.0001", &[0x7F, 0x82, 0x01, 0x00]),
            ("123456789", &[0x02, 0x80, 0x01, 0x00, 0x29, 0x09, 0x85, 0x1A]),
            ("NaN", &[0x00, 0xC0]),
            ("-Infinity", &[0x00, 0xF0]),
        ] {
            let numeric: Numeric = text.parse().expect("a number");
            assert_eq!(numeric.to_payload().expect("fits"), payload, "{text}");
            assert_eq!(Numeric::decode(payload), numeric);
        }
        let long: Numeric = "1e300".parse().expect("a number");
        assert_eq!(long.to_payload().expect("fits"), [0x00, 0x00, 75, 0x00, 0x01, 0x00]);
    }

    #[test]
    fn a_declared_precision_is_kept() {
        let typmod = ((5 << 16) | 2) + 4;
        let apply = |text: &str| text.parse::<Numeric>().and_then(|n| n.apply_typmod(typmod));
        assert_eq!(apply("123.456").map(|n| n.to_string()).ok(), Some("123.46".to_owned()));
        let error = apply("999.999").expect_err("too large");
        assert_eq!(error.message(), "numeric field overflow");
        assert_eq!(
            error.fields().detail.as_deref(),
            Some("A field with precision 5, scale 2 must round to an absolute value less than 10^3.")
        );
    }
}
