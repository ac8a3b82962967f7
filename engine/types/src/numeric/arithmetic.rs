//! The four operations, remainder, rounding and comparison.

use std::cmp::Ordering;

use kokkiri_primitives::{Result, bail};

use super::{BASE, DIGITS, Kind, MAX_DISPLAY_SCALE, MAX_SCALE, MIN_SIGNIFICANT, Numeric, long};

const POWERS: [u16; 5] = [1, 10, 100, 1000, 10_000];

impl Numeric {
    /// Rounds half away from zero to `scale` decimal places, which may be negative.
    pub fn round(mut self, scale: i32) -> Self {
        if !self.is_finite() {
            return self;
        }
        self.scale = scale.max(0);
        let kept = (self.weight + 1) * DIGITS + scale;
        if kept < 0 || self.digits.is_empty() {
            return Self { scale: self.scale, ..Self::ZERO };
        }
        let whole = (kept / DIGITS) as usize;
        let part = kept % DIGITS;
        if whole >= self.digits.len() {
            return self;
        }
        let carry = if part == 0 {
            let up = self.digits[whole] >= (BASE / 2) as u16;
            self.digits.truncate(whole);
            up.then_some(1)
        } else {
            let unit = POWERS[(DIGITS - part) as usize];
            let digit = self.digits[whole];
            let rest = digit % unit;
            self.digits.truncate(whole + 1);
            self.digits[whole] = digit - rest;
            (rest >= unit / 2).then_some(unit)
        };
        if let Some(mut carry) = carry {
            let mut at = self.digits.len();
            while carry > 0 {
                if at == 0 {
                    self.digits.insert(0, carry);
                    self.weight += 1;
                    break;
                }
                at -= 1;
                let sum = self.digits[at] + carry;
                (self.digits[at], carry) = if sum >= BASE as u16 { (sum - BASE as u16, 1) } else { (sum, 0) };
            }
        }
        self.normalized()
    }

    /// Cuts off what is beyond `scale` decimal places, which may be negative.
    pub fn truncate(mut self, scale: i32) -> Self {
        if !self.is_finite() {
            return self;
        }
        self.scale = scale.max(0);
        let kept = (self.weight + 1) * DIGITS + scale;
        if kept <= 0 {
            return Self { scale: self.scale, ..Self::ZERO };
        }
        let whole = (kept / DIGITS) as usize;
        let part = kept % DIGITS;
        if whole < self.digits.len() {
            self.digits.truncate(whole + usize::from(part > 0));
            if part > 0 {
                let unit = POWERS[(DIGITS - part) as usize];
                self.digits[whole] -= self.digits[whole] % unit;
            }
        }
        self.normalized()
    }

    /// The largest integer not above.
    pub fn floor(self) -> Self {
        let whole = self.clone().truncate(0);
        if self.negative && !self.is_integral() { whole.subtract(&Self::one()).with_scale(0) } else { whole }
    }

    /// The smallest integer not below.
    pub fn ceil(self) -> Self {
        let whole = self.clone().truncate(0);
        if self.is_finite() && !self.negative && !self.is_integral() {
            whole.plus(&Self::one()).with_scale(0)
        } else {
            whole
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.weight.cmp(&other.weight).then_with(|| self.digits.cmp(&other.digits)),
        }
    }

    /// `a + b` of finite numbers.
    fn plus(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        if self.negative == other.negative {
            return add_magnitude(self, other, self.negative, scale);
        }
        match self.compare_magnitude(other) {
            Ordering::Equal => Self { scale, ..Self::ZERO },
            Ordering::Greater => subtract_magnitude(self, other, self.negative, scale),
            Ordering::Less => subtract_magnitude(other, self, other.negative, scale),
        }
    }

    /// `numeric_add`.
    pub fn add(&self, other: &Self) -> Self {
        if self.is_finite() && other.is_finite() {
            return self.plus(other);
        }
        match (self.kind, other.kind) {
            (Kind::NaN, _) | (_, Kind::NaN) => Self::NAN,
            (Kind::PositiveInfinity, Kind::NegativeInfinity)
            | (Kind::NegativeInfinity, Kind::PositiveInfinity) => Self::NAN,
            (Kind::Finite, _) => other.clone(),
            _ => self.clone(),
        }
    }

    /// `numeric_sub`.
    pub fn subtract(&self, other: &Self) -> Self {
        self.add(&other.clone().negated())
    }

    /// The product of finite numbers, rounded to `scale`.
    ///
    /// # Errors
    /// An interrupt, as of all that follows: long numbers take time.
    pub(crate) fn times(&self, other: &Self, scale: i32) -> Result<Self> {
        if self.digits.is_empty() || other.digits.is_empty() {
            return Ok(Self { scale: scale.max(0), ..Self::ZERO });
        }
        let product = Self {
            kind: Kind::Finite,
            negative: self.negative != other.negative,
            weight: self.weight + other.weight + 1,
            scale,
            digits: long::multiply(&self.digits, &other.digits)?,
        };
        Ok(product.normalized().round(scale))
    }

    /// `numeric_mul`.
    ///
    /// # Errors
    /// An interrupt.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        if self.is_finite() && other.is_finite() {
            return self.times(other, (self.scale + other.scale).min(MAX_DISPLAY_SCALE));
        }
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NAN);
        }
        Ok(match self.signum() * other.signum() {
            0 => Self::NAN,
            1 => Self::INFINITY,
            _ => Self::NEGATIVE_INFINITY,
        })
    }

    /// The scale of a quotient: at least 16 significant digits, and no less than the operands'.
    pub(crate) fn division_scale(&self, other: &Self) -> i32 {
        let first = |n: &Self| n.digits.first().copied().unwrap_or(0);
        let mut weight = self.weight - other.weight;
        if first(self) <= first(other) {
            weight -= 1;
        }
        (MIN_SIGNIFICANT - weight * DIGITS).max(self.scale).max(other.scale).clamp(0, MAX_SCALE)
    }

    /// The quotient of finite numbers, the divisor not zero, rounded to `scale` or truncated there.
    pub(crate) fn quotient(&self, other: &Self, scale: i32, rounding: bool) -> Result<Self> {
        // Quotient digits down to one decimal place beyond the scale decide the rounding.
        let low = -((scale.max(-1) + 1).div_euclid(DIGITS) + 1);
        let unit = low + other.low();
        let length = self.weight - unit + 1;
        if self.digits.is_empty() || length <= 0 {
            return Ok(Self { scale: scale.max(0), ..Self::ZERO });
        }
        let numerator: Vec<u16> = (0..length).map(|at| self.digit(self.weight - at)).collect();
        let digits = long::divide(&numerator, &other.digits)?;
        let quotient = Self {
            kind: Kind::Finite,
            negative: self.negative != other.negative,
            weight: low + digits.len() as i32 - 1,
            scale,
            digits,
        }
        .normalized();
        Ok(if rounding { quotient.round(scale) } else { quotient.truncate(scale) })
    }

    /// `numeric_div`.
    ///
    /// # Errors
    /// 22012 division by zero.
    pub fn divide(&self, other: &Self) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NAN);
        }
        if other.is_zero() {
            bail!(DIVISION_BY_ZERO, "division by zero");
        }
        match (self.is_infinite(), other.is_infinite()) {
            (true, true) => return Ok(Self::NAN),
            (true, false) if self.signum() * other.signum() > 0 => return Ok(Self::INFINITY),
            (true, false) => return Ok(Self::NEGATIVE_INFINITY),
            (false, true) => return Ok(Self::ZERO),
            (false, false) => {}
        }
        self.quotient(other, self.division_scale(other), true)
    }

    /// `numeric_div_trunc`: the quotient cut to an integer.
    ///
    /// # Errors
    /// 22012 division by zero.
    pub fn divide_truncated(&self, other: &Self) -> Result<Self> {
        if self.is_finite() && other.is_finite() && !other.is_zero() {
            return self.quotient(other, 0, false);
        }
        self.divide(other)
    }

    /// `numeric_mod`: the remainder, with the sign of the dividend.
    ///
    /// # Errors
    /// 22012 division by zero.
    pub fn modulo(&self, other: &Self) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NAN);
        }
        if other.is_zero() {
            bail!(DIVISION_BY_ZERO, "division by zero");
        }
        if self.is_infinite() {
            return Ok(Self::NAN);
        }
        if other.is_infinite() {
            return Ok(self.clone());
        }
        let whole = self.quotient(other, 0, false)?;
        let product = whole.times(other, other.scale)?;
        Ok(self.subtract(&product).with_scale(self.scale.max(other.scale)))
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    /// PostgreSQL's order: NaN last; the display scale doesn't count.
    fn cmp(&self, other: &Self) -> Ordering {
        let class = |n: &Self| match n.kind {
            Kind::NaN => 3,
            Kind::PositiveInfinity => 2,
            Kind::NegativeInfinity => -2,
            Kind::Finite => n.signum(),
        };
        class(self).cmp(&class(other)).then_with(|| match class(self) {
            1 => self.compare_magnitude(other),
            -1 => other.compare_magnitude(self),
            _ => Ordering::Equal,
        })
    }
}

fn add_magnitude(a: &Numeric, b: &Numeric, negative: bool, scale: i32) -> Numeric {
    if a.digits.is_empty() || b.digits.is_empty() {
        let mut other = if a.digits.is_empty() { b.clone() } else { a.clone() };
        other.negative = negative && !other.digits.is_empty();
        return other.with_scale(scale);
    }
    let top = a.weight.max(b.weight) + 1;
    let low = a.low().min(b.low());
    let mut digits = vec![0u16; (top - low + 1) as usize];
    let mut carry = 0;
    for (at, weight) in (0..digits.len()).rev().zip(low..) {
        let sum = a.digit(weight) + b.digit(weight) + carry;
        (digits[at], carry) = if sum >= BASE as u16 { (sum - BASE as u16, 1) } else { (sum, 0) };
    }
    Numeric { kind: Kind::Finite, negative, weight: top, scale, digits }.normalized()
}

/// `a - b` where `a` is the larger.
fn subtract_magnitude(a: &Numeric, b: &Numeric, negative: bool, scale: i32) -> Numeric {
    let low = if b.digits.is_empty() { a.low() } else { a.low().min(b.low()) };
    let mut digits = vec![0u16; (a.weight - low + 1) as usize];
    let mut borrow = 0;
    for (at, weight) in (0..digits.len()).rev().zip(low..) {
        let (from, take) = (a.digit(weight), b.digit(weight) + borrow);
        (digits[at], borrow) = if from < take { (from + BASE as u16 - take, 1) } else { (from - take, 0) };
    }
    Numeric { kind: Kind::Finite, negative, weight: a.weight, scale, digits }.normalized()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        text.parse().expect("a number")
    }

    /// Expected results are PostgreSQL's.
    #[test]
    fn results_have_postgresqls_digits() {
        for (a, operator, b, result) in [
            ("1.5", '+', "2.25", "3.75"),
            ("9999", '+', "1", "10000"),
            ("1", '-', "1.00", "0.00"),
            ("0.0001", '-', "10000", "-9999.9999"),
            ("1.5", '*', "-2.25", "-3.375"),
            ("123456789.123", '*', "987654321.456", "121932631290413046.323088"),
            ("1", '/', "3", "0.33333333333333333333"),
            ("10", '/', "3", "3.3333333333333333"),
            ("2", '/', "3", "0.66666666666666666667"),
            ("1", '/', "1000000", "0.000001000000000000000000"),
            ("100000000", '/', "7", "14285714.285714285714"),
            ("123456789012345678901234567890", '/', "987654321098765", "124999998860937.5547"),
            ("1e50", '/', "3", "33333333333333333333333333333333333333333333333333"),
            ("10.5", '%', "3", "1.5"),
            ("-7", '%', "3", "-1"),
            ("Infinity", '-', "Infinity", "NaN"),
            ("Infinity", '*', "-2", "-Infinity"),
        ] {
            let (a, b) = (n(a), n(b));
            let computed = match operator {
                '+' => a.add(&b),
                '-' => a.subtract(&b),
                '*' => a.multiply(&b).expect("no interrupts"),
                '/' => a.divide(&b).expect("not zero"),
                _ => a.modulo(&b).expect("not zero"),
            };
            assert_eq!(computed.to_string(), result, "{a} {operator} {b}");
        }
        assert_eq!(n("1").divide(&n("0")).expect_err("zero").message(), "division by zero");
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (value, scale, rounded, truncated) in [
            ("2.5", 0, "3", "2"),
            ("-2.5", 0, "-3", "-2"),
            ("9999.99995", 4, "10000.0000", "9999.9999"),
            ("12345.678", -2, "12300", "12300"),
            ("55", -2, "100", "0"),
            ("0.00004", 4, "0.0000", "0.0000"),
        ] {
            assert_eq!(n(value).round(scale).to_string(), rounded);
            assert_eq!(n(value).truncate(scale).to_string(), truncated);
        }
        assert_eq!(n("-1.5").floor().to_string(), "-2");
        assert_eq!(n("1.0001").ceil().to_string(), "2");
    }

    #[test]
    fn quotient_times_divisor_plus_remainder_is_the_dividend() {
        let mut state = 42u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 8
        };
        for _ in 0..2000 {
            let digits = |count: u64, next: &mut dyn FnMut() -> u64| {
                (0..count).map(|_| char::from(b'0' + (next() % 10) as u8)).collect::<String>()
            };
            let (la, lb) = (1 + next() % 40, 1 + next() % 20);
            let a = n(&digits(la, &mut next));
            let b = n(&digits(lb, &mut next));
            if !b.is_zero() {
                let q = a.divide_truncated(&b).expect("not zero");
                let r = a.modulo(&b).expect("not zero");
                assert!(r < b);
                assert_eq!(q.multiply(&b).expect("no interrupts").add(&r), a);
            }
        }
    }
}
