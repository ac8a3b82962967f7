//! Sums over many numbers without carrying: what sum, avg, variance and stddev keep.

use super::{Kind, Numeric, NumericRef};

/// A running sum. Digit columns are 64-bit and signed, so nothing carries until the end; 10^14 additions
/// fit. NaN and infinities are counted apart, so that they can be taken out again by a moving window.
#[derive(Clone, Debug, Default)]
pub struct NumericSum {
    /// Sums of the digits of weight `low + i`.
    columns: Vec<i64>,
    low: i32,
    scale: i32,
    pub nan: u64,
    pub positive_infinity: u64,
    pub negative_infinity: u64,
}

impl NumericSum {
    /// Makes room for digits of weights `low..=high`.
    fn cover(&mut self, low: i32, high: i32) {
        if self.columns.is_empty() {
            self.low = low;
        }
        if low < self.low {
            let more = (self.low - low) as usize;
            self.columns.splice(0..0, std::iter::repeat_n(0, more));
            self.low = low;
        }
        let needed = (high - self.low + 1) as usize;
        if needed > self.columns.len() {
            self.columns.resize(needed, 0);
        }
    }

    #[inline]
    pub fn add_payload(&mut self, payload: &[u8]) {
        let view = NumericRef::new(payload);
        match view.kind {
            Kind::Finite => {}
            Kind::NaN => return self.nan += 1,
            Kind::PositiveInfinity => return self.positive_infinity += 1,
            Kind::NegativeInfinity => return self.negative_infinity += 1,
        }
        self.scale = self.scale.max(view.scale);
        if view.is_empty() {
            return;
        }
        self.cover(view.weight - view.len() as i32 + 1, view.weight);
        let sign = if view.negative { -1 } else { 1 };
        let top = (view.weight - self.low) as usize + 1;
        let columns = &mut self.columns[top - view.len()..top];
        for (column, digit) in columns.iter_mut().rev().zip(view.digits()) {
            *column += sign * i64::from(digit);
        }
    }

    pub fn add(&mut self, value: &Numeric) {
        match value.kind {
            Kind::Finite => {}
            Kind::NaN => return self.nan += 1,
            Kind::PositiveInfinity => return self.positive_infinity += 1,
            Kind::NegativeInfinity => return self.negative_infinity += 1,
        }
        self.scale = self.scale.max(value.scale);
        if value.digits.is_empty() {
            return;
        }
        self.cover(value.low(), value.weight);
        let sign = if value.negative { -1 } else { 1 };
        let first = (value.low() - self.low) as usize;
        for (column, &digit) in self.columns[first..].iter_mut().zip(value.digits.iter().rev()) {
            *column += sign * i64::from(digit);
        }
    }

    /// Adds another sum, of a parallel worker.
    pub fn combine(&mut self, other: &NumericSum) {
        self.nan += other.nan;
        self.positive_infinity += other.positive_infinity;
        self.negative_infinity += other.negative_infinity;
        self.scale = self.scale.max(other.scale);
        if !other.columns.is_empty() {
            self.cover(other.low, other.low + other.columns.len() as i32 - 1);
            let first = (other.low - self.low) as usize;
            self.columns[first..].iter_mut().zip(&other.columns).for_each(|(a, b)| *a += b);
        }
    }

    /// The sum of the finite numbers.
    pub fn finite(&self) -> Numeric {
        let mut digits = Vec::with_capacity(self.columns.len() + 5);
        let mut carry = 0i64;
        let base = i64::from(super::BASE);
        for column in &self.columns {
            let total = column + carry;
            digits.push(total.rem_euclid(base));
            carry = total.div_euclid(base);
        }
        let negative = carry < 0;
        if negative {
            // Ten's complement: take the whole from the next power of the base.
            let mut borrow = 0;
            for digit in &mut digits {
                let value = -*digit - borrow;
                *digit = value.rem_euclid(base);
                borrow = i64::from(value < 0);
            }
            carry = -carry - borrow;
        }
        while carry > 0 {
            digits.push(carry % base);
            carry /= base;
        }
        let weight = self.low + digits.len() as i32 - 1;
        let digits = digits.iter().rev().map(|&digit| digit as u16).collect();
        Numeric { kind: Kind::Finite, negative, weight, scale: self.scale, digits }.normalized()
    }

    /// The sum of all.
    pub fn total(&self) -> Numeric {
        match (self.nan, self.positive_infinity, self.negative_infinity) {
            (0, 0, 0) => self.finite(),
            (0, _, 0) => Numeric::INFINITY,
            (0, 0, _) => Numeric::NEGATIVE_INFINITY,
            _ => Numeric::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_repeated_addition() {
        let mut state = 7u64;
        let mut sum = NumericSum::default();
        let mut expected = Numeric::ZERO;
        for round in 0..500 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let scale = state % 7;
            let text = format!("{}e-{scale}", (state >> 20) as i64 - (1 << 43));
            let value: Numeric = text.parse().expect("a number");
            sum.add_payload(&value.to_payload().expect("fits"));
            sum.add(&value);
            expected = expected.add(&value).add(&value);
            if round % 50 == 0 {
                assert_eq!(sum.total(), expected);
            }
        }
        let mut twice = sum.clone();
        twice.combine(&sum);
        assert_eq!(twice.finite(), expected.add(&expected));
        sum.add(&Numeric::INFINITY);
        assert_eq!(sum.total(), Numeric::INFINITY);
        sum.add(&Numeric::NAN);
        assert_eq!(sum.total(), Numeric::NAN);
    }
}
