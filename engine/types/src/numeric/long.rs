//! Long multiplication and division of whole numbers in base 10,000, most significant digit first.
//!
//! The digits are taken in pairs, so that there are a quarter of the products. A product of two numbers of
//! the greatest length takes a noticeable time; both operations therefore heed interrupts.

use kokkiri_primitives::Result;
use kokkiri_primitives::activity::check_for_interrupts;

use super::BASE;

/// The base that is worked in: two digits at once.
const PAIR: u64 = 100_000_000;
/// Products that a column of 64 bits can sum up, each below the square of [`PAIR`], with room for a carry.
const ROWS_PER_CARRY: usize = 1800;
/// Products between two looks at the interrupts.
const STEPS_PER_CHECK: usize = 1 << 17;
/// Digits whose number fits in 64 bits with room to spare.
const SHORT: usize = 4;

/// Counts work, and looks at the interrupts now and then.
#[derive(Default)]
struct Steps(usize);

impl Steps {
    fn take(&mut self, steps: usize) -> Result<()> {
        self.0 += steps;
        if self.0 >= STEPS_PER_CHECK {
            self.0 = 0;
            check_for_interrupts()?;
        }
        Ok(())
    }
}

/// The digits in pairs; the first one stands alone if their number is odd.
fn pairs(digits: &[u16]) -> Vec<u32> {
    let (head, rest) = digits.split_at(digits.len() % 2);
    let head = head.iter().map(|&digit| u32::from(digit));
    head.chain(rest.chunks_exact(2).map(|pair| u32::from(pair[0]) * BASE + u32::from(pair[1]))).collect()
}

fn push_pair(pair: u32, digits: &mut Vec<u16>) {
    digits.extend([(pair / BASE) as u16, (pair % BASE) as u16]);
}

/// The product, of as many digits as both have together.
///
/// # Errors
/// An interrupt.
pub fn multiply(a: &[u16], b: &[u16]) -> Result<Vec<u16>> {
    if a.len() <= SHORT && b.len() <= SHORT {
        return Ok(multiply_short(a, b));
    }
    // Few long rows run faster than many short ones.
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let (few, many) = (pairs(few), pairs(many));
    let mut sums = vec![0u64; few.len() + many.len()];
    let mut steps = Steps::default();
    for (done, (at, &factor)) in few.iter().enumerate().rev().enumerate() {
        if done % ROWS_PER_CARRY == ROWS_PER_CARRY - 1 {
            carry(&mut sums);
        }
        steps.take(many.len())?;
        let row = &mut sums[at + 1..=at + many.len()];
        for (sum, &digit) in row.iter_mut().zip(&many) {
            *sum += u64::from(factor) * u64::from(digit);
        }
    }
    carry(&mut sums);
    let mut digits = Vec::with_capacity(2 * sums.len());
    sums.iter().for_each(|&pair| push_pair(pair as u32, &mut digits));
    digits.drain(..digits.len() - a.len() - b.len());
    Ok(digits)
}

/// Brings every column below [`PAIR`]. The first one never overflows: the product has no more digits.
fn carry(sums: &mut [u64]) {
    let mut carry = 0;
    for sum in sums.iter_mut().rev() {
        let total = *sum + carry;
        (*sum, carry) = (total % PAIR, total / PAIR);
    }
    debug_assert_eq!(carry, 0);
}

fn multiply_short(a: &[u16], b: &[u16]) -> Vec<u16> {
    let whole = |digits: &[u16]| digits.iter().fold(0, |n, &digit| n * u64::from(BASE) + u64::from(digit));
    let product = u128::from(whole(a)) * u128::from(whole(b));
    let half = u128::from(PAIR * PAIR);
    let mut digits = Vec::with_capacity(2 * SHORT);
    for half in [(product / half) as u64, (product % half) as u64] {
        push_pair((half / PAIR) as u32, &mut digits);
        push_pair((half % PAIR) as u32, &mut digits);
    }
    digits.drain(..2 * SHORT - a.len() - b.len());
    digits
}

/// The whole part of the quotient; it may have leading zeros. The divisor begins with a digit other
/// than zero.
///
/// # Errors
/// An interrupt.
pub fn divide(numerator: &[u16], divisor: &[u16]) -> Result<Vec<u16>> {
    if let [single] = *divisor {
        let mut rest = 0;
        let digit = |&digit: &u16| {
            let value = rest * BASE + u32::from(digit);
            rest = value % u32::from(single);
            (value / u32::from(single)) as u16
        };
        return Ok(numerator.iter().map(digit).collect());
    }
    let (mut rest, mut divisor) = (pairs(numerator), pairs(divisor));
    if rest.len() < divisor.len() {
        return Ok(Vec::new());
    }
    if let [single] = divisor[..] {
        let (mut rest_of, mut digits) = (0, Vec::with_capacity(2 * rest.len()));
        for pair in rest {
            let value = rest_of * PAIR + u64::from(pair);
            rest_of = value % u64::from(single);
            push_pair((value / u64::from(single)) as u32, &mut digits);
        }
        return Ok(digits);
    }
    // Knuth's algorithm D: scaled so that the divisor's first digit is at least half the base, a guess
    // from the first digits is at most two too high.
    let factor = PAIR / (u64::from(divisor[0]) + 1);
    rest.insert(0, 0);
    scale(&mut rest, factor);
    scale(&mut divisor, factor);
    let places = rest.len() - divisor.len();
    let mut digits = Vec::with_capacity(2 * places);
    let mut steps = Steps::default();
    for at in 0..places {
        steps.take(divisor.len())?;
        let row = &mut rest[at..=at + divisor.len()];
        let mut guess = guess(row, &divisor);
        if guess > 0 && take_off(row, &divisor, guess) {
            guess -= 1;
            put_back(row, &divisor);
        }
        push_pair(guess as u32, &mut digits);
    }
    Ok(digits)
}

/// Multiplies in place; the product has no more digits.
fn scale(digits: &mut [u32], factor: u64) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let value = u64::from(*digit) * factor + carry;
        *digit = (value % PAIR) as u32;
        carry = value / PAIR;
    }
    debug_assert_eq!(carry, 0);
}

/// The next digit of the quotient, or one more.
fn guess(row: &[u32], divisor: &[u32]) -> u64 {
    let (first, second) = (u64::from(divisor[0]), u64::from(divisor[1]));
    let top = u64::from(row[0]) * PAIR + u64::from(row[1]);
    let (mut guess, mut rest) = (top / first, top % first);
    while guess >= PAIR || guess * second > rest * PAIR + u64::from(row[2]) {
        guess -= 1;
        rest += first;
        if rest >= PAIR {
            break;
        }
    }
    guess
}

/// Takes `guess * divisor` off `row`; true if the result went below zero.
fn take_off(row: &mut [u32], divisor: &[u32], guess: u64) -> bool {
    let mut owed = 0;
    for (digit, &by) in row[1..].iter_mut().zip(divisor).rev() {
        let take = guess * u64::from(by) + owed;
        let (whole, part) = (take / PAIR, take % PAIR);
        let (left, borrow) = match u64::from(*digit).checked_sub(part) {
            Some(left) => (left, 0),
            None => (u64::from(*digit) + PAIR - part, 1),
        };
        *digit = left as u32;
        owed = whole + borrow;
    }
    let left = i64::from(row[0]) - owed as i64;
    row[0] = left.rem_euclid(PAIR as i64) as u32;
    left < 0
}

fn put_back(row: &mut [u32], divisor: &[u32]) {
    let mut carry = 0;
    for (digit, &by) in row[1..].iter_mut().zip(divisor).rev() {
        let value = *digit + by + carry;
        (*digit, carry) = (value % PAIR as u32, value / PAIR as u32);
    }
    row[0] = (row[0] + carry) % PAIR as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digit by digit, as at school.
    fn plainly(a: &[u16], b: &[u16]) -> Vec<u16> {
        let mut sums = vec![0u64; a.len() + b.len()];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                sums[i + j + 1] += u64::from(x) * u64::from(y);
            }
        }
        let mut carry = 0;
        let digit = |sum: &u64| {
            let total = sum + carry;
            carry = total / u64::from(BASE);
            (total % u64::from(BASE)) as u16
        };
        let mut digits: Vec<_> = sums.iter().rev().map(digit).collect();
        digits.reverse();
        digits
    }

    fn significant(digits: &[u16]) -> &[u16] {
        &digits[digits.iter().take_while(|digit| **digit == 0).count()..]
    }

    #[test]
    fn products_and_quotients_of_any_length_agree() {
        let mut state = 5u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for round in 0..3000 {
            let most = if round % 100 == 0 { 300 } else { 9 };
            let mut number = || {
                // Digits at the edges are what carries and guesses go wrong with.
                let digit = |next: &mut dyn FnMut(u64) -> u64| match next(4) {
                    0 => 0,
                    1 => 9999,
                    _ => next(10_000) as u16,
                };
                let length = 1 + next(most);
                let mut digits: Vec<_> = (0..length).map(|_| digit(&mut next)).collect();
                digits[0] = digits[0].max(1);
                digits
            };
            let (a, b) = (number(), number());
            let product = multiply(&a, &b).expect("no interrupts");
            assert_eq!(significant(&product), significant(&plainly(&a, &b)), "{a:?} * {b:?}");
            let quotient = divide(&product, &b).expect("no interrupts");
            assert_eq!(significant(&quotient), a, "{a:?} * {b:?} / {b:?}");
            // One less leaves a quotient of one less.
            let mut less = product;
            for digit in less.iter_mut().rev() {
                match digit.checked_sub(1) {
                    Some(left) => {
                        *digit = left;
                        break;
                    }
                    None => *digit = 9999,
                }
            }
            let mut smaller = divide(&less, &b).expect("no interrupts");
            *smaller.last_mut().expect("some digits") += 1;
            if smaller.last() != Some(&10_000) {
                assert_eq!(significant(&smaller), a);
            }
        }
    }

    #[test]
    fn columns_carry_before_they_overflow() {
        let digits = vec![9999; 2 * ROWS_PER_CARRY * 2 + 3];
        let square = multiply(&digits, &digits).expect("no interrupts");
        // (10^n - 1)^2 = 10^2n - 2 * 10^n + 1
        let (high, low) = square.split_at(digits.len());
        assert!(high[..high.len() - 1].iter().all(|digit| *digit == 9999));
        assert_eq!((high.last(), low.last()), (Some(&9998), Some(&1)));
        assert!(low[..low.len() - 1].iter().all(|digit| *digit == 0));
    }
}
