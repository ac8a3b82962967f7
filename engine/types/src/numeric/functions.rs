//! Roots, exponentials, logarithms and powers.
//!
//! Each chooses the display scale of its result by PostgreSQL's rule (at least 16 significant digits, no
//! less than the argument's scale) and computes with enough guard digits that the rounding of the last
//! place is right. All of them heed interrupts.

use std::f64::consts::{LN_10, LOG2_10, LOG10_2, LOG10_E};

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, bail, error};

use super::{DIGITS, MAX_SCALE, MIN_SIGNIFICANT, Numeric};

/// Largest scale that intermediate results may have; three times it bounds exponents.
const MAX_RESULT_SCALE: f64 = 2000.0;
/// Digits in base 10,000 that a float holds.
const FLOAT_DIGITS: usize = 6;
/// Times that an argument is halved, or a root taken: 2 to that power must fit in 128 bits.
const HALVINGS_MAX: f64 = 120.0;
/// Largest weight of a result: beyond it the value overflows.
const MAX_WEIGHT: i32 = i16::MAX as i32;

fn overflow() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn integer(value: i64) -> Numeric {
    Numeric::from(value)
}

fn power_of_two(exponent: u32) -> Numeric {
    Numeric::from(1i128 << exponent)
}

/// Bits that as many decimal places are worth.
fn bits(places: i32) -> f64 {
    f64::from(places.max(0)) * LOG2_10
}

/// Decimal places that hold what as many bits do.
fn decimal_places(bits: u32) -> i32 {
    (f64::from(bits) * LOG10_2).ceil() as i32
}

impl Numeric {
    /// # Errors
    /// 2201F for a negative number.
    pub fn sqrt(&self) -> Result<Self> {
        if self.signum() < 0 {
            bail!(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number");
        }
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let scale = MIN_SIGNIFICANT - (self.weight * DIGITS / 2 + 1);
        self.square_root(scale.max(self.scale).clamp(0, MAX_SCALE))
    }

    /// The square root of a number that is not negative, to `scale` places: Newton's iteration from the
    /// float's root.
    pub(crate) fn square_root(&self, scale: i32) -> Result<Self> {
        if self.is_zero() {
            return Ok(Self { scale: scale.max(0), ..Self::ZERO });
        }
        // Take an even power of 10,000 out, so that the float neither overflows nor loses digits.
        let shift = self.weight.div_euclid(2);
        let reduced = Self { weight: self.weight - 2 * shift, ..self.clone() };
        let first = self.digits[..self.digits.len().min(FLOAT_DIGITS)].to_vec();
        let first = Self { digits: first, scale: FLOAT_DIGITS as i32 * DIGITS, ..reduced };
        let work = (scale + shift * DIGITS).max(0) + 10;
        let mut root = Self::from_float8(first.to_f64_saturating().sqrt());
        let half: Self = Self { digits: vec![5000], weight: -1, scale: 1, ..Self::one() };
        // Each step doubles the correct digits, and computes no more than those: the last one is what counts.
        let mut correct = 14;
        while correct < work + 12 {
            let places = work.min(2 * correct + 8);
            root = root.add(&reduced.quotient(&root, places, true)?).times(&half, places)?;
            correct *= 2;
        }
        root.weight += shift;
        Ok(root.round(scale))
    }

    /// # Errors
    /// 22003 if the result is too large.
    pub fn exp(&self) -> Result<Self> {
        if !self.is_finite() {
            return Ok(if self.signum() < 0 { Self::ZERO } else { self.clone() });
        }
        let weight = (self.to_f64_saturating() * LOG10_E).clamp(-MAX_RESULT_SCALE, MAX_RESULT_SCALE);
        let scale = (MIN_SIGNIFICANT - weight as i32).max(self.scale).clamp(0, MAX_SCALE);
        self.exponential(scale)
    }

    fn exponential(&self, scale: i32) -> Result<Self> {
        let value = self.to_f64_saturating();
        if value.abs() >= MAX_RESULT_SCALE * 3.0 {
            if value > 0.0 {
                return Err(overflow());
            }
            return Ok(Self { scale, ..Self::ZERO });
        }
        let weight = (value.abs() * LOG10_E) as i32;
        let places = scale + if value > 0.0 { weight } else { 0 };
        // Halve the argument until the series converges fast, then square as often. A squaring costs as much
        // as a term of the series, and doubles the error.
        let halvings = (value.abs().log2() + bits(places).sqrt()).clamp(0.0, HALVINGS_MAX) as u32;
        let work = places + decimal_places(halvings) + 18;
        let argument = self.clone().abs().quotient(&power_of_two(halvings), work, true)?;
        let mut sum = Self::one().add(&argument);
        let mut term = argument.clone();
        let mut n = 2;
        loop {
            check_for_interrupts()?;
            term = term.times(&argument, work)?.quotient(&integer(n), work, true)?;
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
            n += 1;
        }
        for _ in 0..halvings {
            check_for_interrupts()?;
            sum = sum.times(&sum, work)?;
        }
        if value < 0.0 { Self::one().quotient(&sum, scale, true) } else { Ok(sum.round(scale)) }
    }

    /// Decimal weight of the natural logarithm's first digit, from the number's first digits.
    fn logarithm_weight(&self) -> i32 {
        let tenths =
            |n: u16| Self { digits: vec![n / 10, n % 10 * 1000], scale: 1, ..Self::one() }.normalized();
        if *self >= tenths(9) && *self <= tenths(11) {
            let distance = self.subtract(&Self::one());
            return match distance.digits.first() {
                Some(&digit) => distance.weight * DIGITS + f64::from(digit).log10() as i32,
                None => 0,
            };
        }
        let Some(&first) = self.digits.first() else { return 0 };
        let mut digits = f64::from(first);
        let mut weight = self.weight * DIGITS;
        if let Some(&second) = self.digits.get(1) {
            digits = digits * 10_000.0 + f64::from(second);
            weight -= DIGITS;
        }
        let logarithm = digits.ln() + f64::from(weight) * std::f64::consts::LN_10;
        logarithm.abs().log10() as i32
    }

    fn check_logarithm(&self) -> Result<()> {
        match self.signum() {
            -1 => bail!(INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of a negative number"),
            0 => bail!(INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of zero"),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// 2201E for zero and negative numbers.
    pub fn ln(&self) -> Result<Self> {
        self.check_logarithm()?;
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let scale = (MIN_SIGNIFICANT - self.logarithm_weight()).max(self.scale).clamp(0, MAX_SCALE);
        self.logarithm(scale)
    }

    /// About how far the natural logarithm is from zero.
    fn logarithm_size(&self) -> f64 {
        let near = self.subtract(&Self::one()).to_f64_saturating().abs();
        if near < 0.5 {
            return near;
        }
        let first = Self { weight: 0, ..self.clone() }.to_f64_saturating();
        (first.ln() + f64::from(self.weight * DIGITS) * LN_10).abs()
    }

    /// The natural logarithm to `scale` places: roots until the number is near one, then the series of
    /// the inverse hyperbolic tangent.
    fn logarithm(&self, scale: i32) -> Result<Self> {
        // A root costs as much as a few terms of the series, of which each gives twice the bits that the
        // number is near one.
        let nearness = (bits(scale) / 8.0).sqrt().max(4.0);
        let roots = (self.logarithm_size().log2() + nearness).ceil().clamp(0.0, HALVINGS_MAX) as u32;
        // Each root halves the logarithm, so the error grows by as many bits.
        let work = scale + decimal_places(roots) + 16;
        // Significant digits are what counts, however large the number.
        let mut reduced = self.clone().round(work - self.weight * DIGITS);
        for _ in 0..roots {
            check_for_interrupts()?;
            reduced = reduced.square_root(work - reduced.weight.div_euclid(2) * DIGITS)?;
        }
        let ratio = reduced.subtract(&Self::one()).quotient(&reduced.add(&Self::one()), work, true)?;
        let square = ratio.times(&ratio, work)?;
        let mut sum = ratio.clone();
        let mut power = ratio;
        let mut n = 3;
        loop {
            check_for_interrupts()?;
            power = power.times(&square, work)?;
            let term = power.quotient(&integer(n), work, true)?;
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
            n += 2;
        }
        Ok(sum.times(&power_of_two(roots + 1), work)?.round(scale))
    }

    /// The logarithm to any base.
    ///
    /// # Errors
    /// 2201E for zero and negative numbers, 22012 for base one.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::NAN);
        }
        base.check_logarithm()?;
        self.check_logarithm()?;
        match (base.is_finite(), self.is_finite()) {
            (false, false) => return Ok(Self::NAN),
            (false, true) => return Ok(Self::ZERO),
            (true, false) => return Ok(Self::INFINITY),
            (true, true) => {}
        }
        let (base_weight, number_weight) = (base.logarithm_weight(), self.logarithm_weight());
        let weight = number_weight - base_weight;
        let scale = (MIN_SIGNIFICANT - weight).max(base.scale).max(self.scale).clamp(0, MAX_SCALE);
        let base = base.logarithm((scale + weight - base_weight + 8).max(0))?;
        let number = self.logarithm((scale + weight - number_weight + 8).max(0))?;
        if base.is_zero() {
            bail!(DIVISION_BY_ZERO, "division by zero");
        }
        number.quotient(&base, scale, true)
    }

    /// # Errors
    /// 2201F where the power is undefined or complex, 22003 if it is too large.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        if !self.is_finite() || !exponent.is_finite() {
            return self.special_power(exponent);
        }
        if self.is_zero() && exponent.signum() < 0 {
            bail!(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "zero raised to a negative power is undefined");
        }
        if exponent.is_integral()
            && let Ok(whole) = exponent.to_int::<i32>("integer")
        {
            return self.integer_power(whole, exponent.scale);
        }
        if self.is_zero() {
            return Ok(Self { scale: MIN_SIGNIFICANT, ..Self::ZERO });
        }
        if self.negative && !exponent.is_integral() {
            return Err(complex_result());
        }
        let odd = self.negative && exponent.is_odd();
        let base = self.clone().abs();
        let ln_weight = base.logarithm_weight();
        let rough_scale = (8 - ln_weight).max(0);
        let rough = base.logarithm(rough_scale)?.times(exponent, rough_scale)?.to_f64_saturating();
        if rough.abs() > MAX_RESULT_SCALE * 3.01 {
            if rough > 0.0 {
                return Err(overflow());
            }
            return Ok(Self { scale: MAX_SCALE, ..Self::ZERO });
        }
        let weight = (rough * LOG10_E) as i32;
        let scale = (MIN_SIGNIFICANT - weight).max(base.scale).max(exponent.scale).clamp(0, MAX_SCALE);
        let significant = (scale + weight).max(0);
        let work = (significant - ln_weight + 8).max(0);
        let result = base.logarithm(work)?.times(exponent, work)?.exponential(scale)?;
        Ok(if odd { result.negated() } else { result })
    }

    fn is_odd(&self) -> bool {
        self.digits.len() as i32 == self.weight + 1 && self.digits.last().is_some_and(|digit| digit % 2 == 1)
    }

    /// Powers with NaN or an infinity in them, as POSIX `pow` has them.
    fn special_power(&self, exponent: &Self) -> Result<Self> {
        let one = Self::one();
        if self.is_nan() {
            return Ok(if exponent.is_zero() { one } else { Self::NAN });
        }
        if exponent.is_nan() {
            return Ok(if *self == one { one } else { Self::NAN });
        }
        let (base_sign, exponent_sign) = (self.signum(), exponent.signum());
        if base_sign == 0 && exponent_sign < 0 {
            bail!(INVALID_ARGUMENT_FOR_POWER_FUNCTION, "zero raised to a negative power is undefined");
        }
        if base_sign < 0 && !exponent.is_integral() {
            return Err(complex_result());
        }
        if self.cmp(&one).is_eq() || exponent_sign == 0 {
            return Ok(one);
        }
        if base_sign == 0 {
            return Ok(Self::ZERO);
        }
        if exponent.is_infinite() {
            let magnitude = self.clone().abs().cmp(&one);
            if self.is_finite() && magnitude.is_eq() {
                return Ok(one);
            }
            let grows = self.is_infinite() || magnitude.is_gt();
            return Ok(if grows == (exponent_sign > 0) { Self::INFINITY } else { Self::ZERO });
        }
        if exponent_sign < 0 {
            return Ok(Self::ZERO);
        }
        Ok(if base_sign < 0 && exponent.is_odd() { Self::NEGATIVE_INFINITY } else { Self::INFINITY })
    }

    fn integer_power(&self, exponent: i32, exponent_scale: i32) -> Result<Self> {
        let estimate = match self.digits.first() {
            None => 0.0,
            Some(&first) => {
                let mut lead = f64::from(first);
                let mut weight = self.weight * DIGITS;
                for &digit in self.digits.iter().take(4).skip(1) {
                    lead = lead * 10_000.0 + f64::from(digit);
                    weight -= DIGITS;
                }
                f64::from(exponent) * (lead.log10() + f64::from(weight))
            }
        };
        if estimate > f64::from((MAX_WEIGHT + 1) * DIGITS) {
            return Err(overflow());
        }
        if estimate + 1.0 < f64::from(-MAX_SCALE) {
            return Ok(Self { scale: MAX_SCALE, ..Self::ZERO });
        }
        let weight = estimate as i32;
        let scale = (MIN_SIGNIFICANT - weight).max(self.scale).max(exponent_scale).clamp(0, MAX_SCALE);
        match exponent {
            0 => return Ok(Self::one().with_scale(scale)),
            1 => return Ok(self.clone().round(scale)),
            -1 => return Self::one().quotient(self, scale, true),
            2 => return self.times(self, scale),
            _ => {}
        }
        if self.is_zero() {
            return Ok(Self { scale, ..Self::ZERO });
        }
        let significant = 1 + scale + weight + f64::from(exponent).abs().ln() as i32 + 8;
        let mut square = self.clone();
        let mut result = Self::one();
        let mut bits = exponent.unsigned_abs();
        loop {
            if bits & 1 != 0 {
                let local = significant - (square.weight + result.weight) * DIGITS;
                result = square.times(&result, local.min(square.scale + result.scale).max(0))?;
            }
            bits >>= 1;
            if bits == 0 {
                break;
            }
            let local = significant - 2 * square.weight * DIGITS;
            square = square.times(&square, local.min(2 * square.scale).max(0))?;
            if square.weight > MAX_WEIGHT || result.weight > MAX_WEIGHT {
                if exponent > 0 {
                    return Err(overflow());
                }
                return Ok(Self { scale, ..Self::ZERO });
            }
        }
        if exponent < 0 { Self::one().quotient(&result, scale, true) } else { Ok(result.round(scale)) }
    }

    /// Variance or standard deviation from the count, the sum and the sum of squares.
    ///
    /// # Errors
    /// An interrupt.
    pub fn deviation(count: i64, sum: &Self, squares: &Self, sample: bool, root: bool) -> Result<Self> {
        let n = integer(count);
        let scale = sum.scale * 2;
        let numerator = n.times(squares, scale)?.subtract(&sum.times(sum, scale)?);
        if numerator.signum() <= 0 {
            return Ok(Self::ZERO);
        }
        let denominator = n.times(&integer(if sample { count - 1 } else { count }), 0)?;
        let scale = numerator.division_scale(&denominator);
        let variance = numerator.quotient(&denominator, scale, true)?;
        if root { variance.square_root(scale) } else { Ok(variance) }
    }
}

fn complex_result() -> Error {
    error!(
        INVALID_ARGUMENT_FOR_POWER_FUNCTION,
        "a negative number raised to a non-integer power yields a complex result"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        text.parse().expect("a number")
    }

    include!("functions_tests.rs");
}
