//! Roots, exponentials, logarithms and powers.
//!
//! Each chooses the display scale of its result by PostgreSQL's rule (at least 16 significant digits, no
//! less than the argument's scale) and computes with enough guard digits that the rounding of the last
//! place is right.

use std::f64::consts::LOG10_E;

use kokkiri_primitives::{Error, Result, bail, error};

use super::{DIGITS, MAX_SCALE, MIN_SIGNIFICANT, Numeric};

/// Largest scale that intermediate results may have; three times it bounds exponents.
const MAX_RESULT_SCALE: f64 = 2000.0;
/// Largest weight of a result: beyond it the value overflows.
const MAX_WEIGHT: i32 = i16::MAX as i32;

fn overflow() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn integer(value: i64) -> Numeric {
    Numeric::from(value)
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
        Ok(self.square_root(scale.max(self.scale).clamp(0, MAX_SCALE)))
    }

    /// The square root of a number that is not negative, to `scale` places: Newton's iteration from the
    /// float's root.
    pub(crate) fn square_root(&self, scale: i32) -> Self {
        if self.is_zero() {
            return Self { scale, ..Self::ZERO };
        }
        // Take an even power of 10,000 out, so that the float neither overflows nor loses digits.
        let shift = self.weight.div_euclid(2);
        let mut reduced = self.clone();
        reduced.weight -= 2 * shift;
        reduced.scale = (reduced.scale + 8 * shift.max(0)).max(8);
        reduced.scale = reduced.scale.max((reduced.digits.len() as i32 - reduced.weight) * DIGITS);
        let work = (scale + shift * DIGITS).max(0) + 10;
        let mut root = Self::from_float8(reduced.to_f64_saturating().sqrt());
        let half: Self = Self { digits: vec![5000], weight: -1, scale: 1, ..Self::one() };
        // Each step doubles the correct digits, and computes no more than those: the last one is what counts.
        let mut correct = 14;
        while correct < work + 12 {
            let places = work.min(2 * correct + 8);
            root = root.add(&reduced.quotient(&root, places, true)).times(&half, places);
            correct *= 2;
        }
        root.weight += shift;
        root.round(scale)
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
        let work = scale + if value > 0.0 { weight } else { 0 } + 18;
        // Halve the argument until the series converges fast, then square as often.
        let mut halvings = 0;
        let mut magnitude = value.abs();
        while magnitude > 0.005 {
            magnitude /= 2.0;
            halvings += 1;
        }
        let divisor = integer(1i64 << halvings);
        let argument = self.clone().abs().quotient(&divisor, work, true);
        let mut sum = Self::one().add(&argument);
        let mut term = argument.clone();
        let mut n = 2;
        loop {
            term = term.times(&argument, work).quotient(&integer(n), work, true);
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
            n += 1;
        }
        for _ in 0..halvings {
            sum = sum.times(&sum, work);
        }
        if value < 0.0 { Ok(Self::one().quotient(&sum, scale, true)) } else { Ok(sum.round(scale)) }
    }

    /// Decimal weight of the natural logarithm's first digit, from the number's first digits.
    fn logarithm_weight(&self) -> i32 {
        let tenths = |n: i64| integer(n).quotient(&integer(10), 1, true);
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
        Ok(self.logarithm(scale))
    }

    /// The natural logarithm to `scale` places: roots until the number is near one, then the series of
    /// the inverse hyperbolic tangent.
    fn logarithm(&self, scale: i32) -> Self {
        let mut reduced = self.clone();
        let mut doublings = 0i64;
        let tenths = |n: i64| integer(n).quotient(&integer(10), 1, true);
        let (low, high) = (tenths(9), tenths(11));
        // Each root halves the logarithm, so the error grows by as many bits; 20 roots reach any number.
        let work = scale + 16;
        while reduced < low || reduced > high {
            let local = work - reduced.weight.min(0) * DIGITS / 2;
            reduced = reduced.square_root(local);
            doublings += 1;
        }
        let ratio = reduced.subtract(&Self::one()).quotient(&reduced.add(&Self::one()), work, true);
        let square = ratio.times(&ratio, work);
        let mut sum = ratio.clone();
        let mut power = ratio;
        let mut n = 3;
        loop {
            power = power.times(&square, work);
            let term = power.quotient(&integer(n), work, true);
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
            n += 2;
        }
        sum.times(&integer(2i64 << doublings), work).round(scale)
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
        let base = base.logarithm((scale + weight - base_weight + 8).max(0));
        let number = self.logarithm((scale + weight - number_weight + 8).max(0));
        if base.is_zero() {
            bail!(DIVISION_BY_ZERO, "division by zero");
        }
        Ok(number.quotient(&base, scale, true))
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
        let rough = base.logarithm(rough_scale).times(exponent, rough_scale).to_f64_saturating();
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
        let result = base.logarithm(work).times(exponent, work).exponential(scale)?;
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
            -1 => return Ok(Self::one().quotient(self, scale, true)),
            2 => return Ok(self.times(self, scale)),
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
                result = square.times(&result, local.min(square.scale + result.scale).max(0));
            }
            bits >>= 1;
            if bits == 0 {
                break;
            }
            let local = significant - 2 * square.weight * DIGITS;
            square = square.times(&square, local.min(2 * square.scale).max(0));
            if square.weight > MAX_WEIGHT || result.weight > MAX_WEIGHT {
                if exponent > 0 {
                    return Err(overflow());
                }
                return Ok(Self { scale, ..Self::ZERO });
            }
        }
        if exponent < 0 { Ok(Self::one().quotient(&result, scale, true)) } else { Ok(result.round(scale)) }
    }

    /// Variance or standard deviation from the count, the sum and the sum of squares.
    pub fn deviation(count: i64, sum: &Self, squares: &Self, sample: bool, root: bool) -> Self {
        let n = integer(count);
        let scale = sum.scale * 2;
        let numerator = n.times(squares, scale).subtract(&sum.times(sum, scale));
        if numerator.signum() <= 0 {
            return Self::ZERO;
        }
        let denominator = n.times(&integer(if sample { count - 1 } else { count }), 0);
        let scale = numerator.division_scale(&denominator);
        let variance = numerator.quotient(&denominator, scale, true);
        if root { variance.square_root(scale) } else { variance }
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
