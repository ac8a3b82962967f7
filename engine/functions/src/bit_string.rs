//! Functions and operators of bit strings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::bits::{self, Bits, BitsRef};

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[COMPARISONS, OPERATORS, PARTS, CASTS];

macro_rules! comparisons {
    ($($name:ident [$($oid:literal),*] $test:ident;)*) => {
        const COMPARISONS: &[&[Builtin]] = list![bitcmp, $($name),*];

        $(
            #[builtin(oid = [$($oid),*])]
            fn $name(a: &[u8], b: &[u8]) -> bool {
                bits::compare(a, b).$test()
            }
        )*
    };
}

comparisons! {
    biteq [1581, 1666] is_eq;
    bitne [1582, 1667] is_ne;
    bitge [1592, 1668] is_ge;
    bitgt [1593, 1669] is_gt;
    bitle [1594, 1670] is_le;
    bitlt [1595, 1671] is_lt;
}

#[builtin(oid = [1596, 1672])]
fn bitcmp(a: &[u8], b: &[u8]) -> i32 {
    bits::compare(a, b) as i32
}

const OPERATORS: &[&[Builtin]] =
    list![bit_and, bit_or, bitxor, bitnot, bitshiftleft, bitshiftright, bitcat, bit_count];

fn both(a: &[u8], b: &[u8], verb: &str, combine: fn(u8, u8) -> u8) -> Result<Vec<u8>> {
    let (a, b) = (BitsRef::new(a), BitsRef::new(b));
    if a.len != b.len {
        bail!(STRING_DATA_LENGTH_MISMATCH, "cannot {verb} bit strings of different sizes");
    }
    let bytes = a.bytes.iter().zip(b.bytes).map(|(a, b)| combine(*a, *b)).collect();
    Ok(Bits { len: a.len, bytes }.to_payload())
}

#[builtin(oid = 1673)]
fn bit_and(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    both(a, b, "AND", |a, b| a & b)
}

#[builtin(oid = 1674)]
fn bit_or(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    both(a, b, "OR", |a, b| a | b)
}

#[builtin(oid = 1675)]
fn bitxor(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    both(a, b, "XOR", |a, b| a ^ b)
}

#[builtin(oid = 1676)]
fn bitnot(payload: &[u8]) -> Vec<u8> {
    let own = BitsRef::new(payload);
    let bytes = own.bytes.iter().map(|byte| !byte).collect();
    // What fills the last byte stays zero.
    Bits { len: own.bytes.len() * 8, bytes }.resized(own.len).to_payload()
}

/// Moves bits to the left, or to the right by a negative count.
fn shifted(payload: &[u8], left: i64) -> Vec<u8> {
    let own = BitsRef::new(payload);
    let mut moved = Bits::zeros(own.len);
    for at in (0..own.len).filter(|at| own.get(*at)) {
        let to = at as i64 - left;
        if (0..own.len as i64).contains(&to) {
            moved.set(to as usize, true);
        }
    }
    moved.to_payload()
}

#[builtin(oid = 1677)]
fn bitshiftleft(payload: &[u8], count: i32) -> Vec<u8> {
    shifted(payload, i64::from(count))
}

#[builtin(oid = 1678)]
fn bitshiftright(payload: &[u8], count: i32) -> Vec<u8> {
    shifted(payload, -i64::from(count))
}

fn concatenated(a: BitsRef<'_>, b: BitsRef<'_>) -> Result<Bits> {
    if a.len + b.len > bits::MAX_BITS {
        bail!(PROGRAM_LIMIT_EXCEEDED, "bit string length exceeds the maximum allowed ({})", bits::MAX_BITS);
    }
    let mut all = a.to_owned().resized(a.len + b.len);
    (0..b.len).filter(|at| b.get(*at)).for_each(|at| all.set(a.len + at, true));
    Ok(all)
}

#[builtin(oid = 1679)]
fn bitcat(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    Ok(concatenated(BitsRef::new(a), BitsRef::new(b))?.to_payload())
}

#[builtin(oid = 6162)]
fn bit_count(payload: &[u8]) -> i64 {
    BitsRef::new(payload).bytes.iter().map(|byte| i64::from(byte.count_ones())).sum()
}

const PARTS: &[&[Builtin]] = list![
    bitsubstr,
    bitsubstr_no_len,
    bitlength,
    bitoctetlength,
    bitposition,
    bitoverlay,
    bitoverlay_no_len,
    bitgetbit,
    bitsetbit,
];

/// The bits from a 1-based position on.
fn part(own: BitsRef<'_>, start: i32, length: Option<i32>) -> Result<Bits> {
    let start = i64::from(start);
    let end = match length {
        Some(length) if length < 0 => {
            bail!(SUBSTRING_ERROR, "negative substring length not allowed")
        }
        Some(length) => start + i64::from(length),
        None => i64::MAX,
    };
    let clamp = |at: i64| usize::try_from(at - 1).unwrap_or(0).min(own.len);
    let (from, to) = (clamp(start), clamp(end));
    Ok(own.slice(from, to.max(from)))
}

#[builtin(oid = 1680)]
fn bitsubstr(payload: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    Ok(part(BitsRef::new(payload), start, Some(length))?.to_payload())
}

#[builtin(oid = 1699)]
fn bitsubstr_no_len(payload: &[u8], start: i32) -> Result<Vec<u8>> {
    Ok(part(BitsRef::new(payload), start, None)?.to_payload())
}

#[builtin(oid = [1681, 1812])]
fn bitlength(payload: &[u8]) -> i32 {
    BitsRef::new(payload).len as i32
}

#[builtin(oid = 1682)]
fn bitoctetlength(payload: &[u8]) -> i32 {
    BitsRef::new(payload).bytes.len() as i32
}

#[builtin(oid = 1698)]
fn bitposition(payload: &[u8], wanted: &[u8]) -> i32 {
    let (own, wanted) = (BitsRef::new(payload), BitsRef::new(wanted));
    if own.len == 0 || wanted.len > own.len {
        return 0;
    }
    let found =
        (0..=own.len - wanted.len).find(|at| (0..wanted.len).all(|i| own.get(at + i) == wanted.get(i)));
    found.map_or(0, |at| at as i32 + 1)
}

fn overlay(payload: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        bail!(SUBSTRING_ERROR, "negative substring length not allowed");
    }
    let Some(after) = start.checked_add(length) else {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    };
    let own = BitsRef::new(payload);
    let (head, tail) = (part(own, 1, Some(start - 1))?, part(own, after, None)?);
    let front = concatenated(head.as_ref(), BitsRef::new(new))?;
    Ok(concatenated(front.as_ref(), tail.as_ref())?.to_payload())
}

#[builtin(oid = 3030)]
fn bitoverlay(payload: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    overlay(payload, new, start, length)
}

#[builtin(oid = 3031)]
fn bitoverlay_no_len(payload: &[u8], new: &[u8], start: i32) -> Result<Vec<u8>> {
    overlay(payload, new, start, BitsRef::new(new).len as i32)
}

fn index(own: BitsRef<'_>, at: i32) -> Result<usize> {
    let inside = usize::try_from(at).ok().filter(|at| *at < own.len);
    inside.ok_or_else(|| -> Error {
        error!(ARRAY_ELEMENT_ERROR, "bit index {at} out of valid range (0..{})", own.len as i64 - 1)
    })
}

#[builtin(oid = 3032)]
fn bitgetbit(payload: &[u8], at: i32) -> Result<i32> {
    let own = BitsRef::new(payload);
    Ok(i32::from(own.get(index(own, at)?)))
}

#[builtin(oid = 3033)]
fn bitsetbit(payload: &[u8], at: i32, value: i32) -> Result<Vec<u8>> {
    let own = BitsRef::new(payload);
    let at = index(own, at)?;
    if !(0..=1).contains(&value) {
        bail!(INVALID_PARAMETER_VALUE, "new bit must be 0 or 1");
    }
    let mut changed = own.to_owned();
    changed.set(at, value == 1);
    Ok(changed.to_payload())
}

const CASTS: &[&[Builtin]] =
    list![bitfromint4, bitfromint8, bittoint4, bittoint8, bit_length_cast, varbit_length_cast];

/// The lowest bits of a number whose sign goes on to the left.
fn from_integer(value: i64, typmod: i32) -> Vec<u8> {
    let len = usize::try_from(typmod).ok().filter(|len| *len > 0).unwrap_or(1);
    let mut made = Bits::zeros(len);
    for at in 0..len {
        let bit = len - 1 - at;
        if value >> bit.min(63) & 1 == 1 {
            made.set(at, true);
        }
    }
    made.to_payload()
}

#[builtin(oid = 1683)]
fn bitfromint4(value: i32, typmod: i32) -> Vec<u8> {
    from_integer(i64::from(value), typmod)
}

#[builtin(oid = 2075)]
fn bitfromint8(value: i64, typmod: i32) -> Vec<u8> {
    from_integer(value, typmod)
}

fn to_integer(payload: &[u8]) -> u64 {
    let own = BitsRef::new(payload);
    (0..own.len).fold(0, |value, at| value << 1 | u64::from(own.get(at)))
}

#[builtin(oid = 1684)]
fn bittoint4(payload: &[u8]) -> Result<i32> {
    if BitsRef::new(payload).len > 32 {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    }
    Ok(to_integer(payload) as u32 as i32)
}

#[builtin(oid = 2076)]
fn bittoint8(payload: &[u8]) -> Result<i64> {
    if BitsRef::new(payload).len > 64 {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range");
    }
    Ok(to_integer(payload) as i64)
}

#[builtin(oid = 1685)]
fn bit_length_cast(payload: &[u8], typmod: i32, explicit: bool) -> Result<Vec<u8>> {
    Ok(bits::to_bit(BitsRef::new(payload).to_owned(), typmod, explicit)?.to_payload())
}

#[builtin(oid = 1687)]
fn varbit_length_cast(payload: &[u8], typmod: i32, explicit: bool) -> Result<Vec<u8>> {
    Ok(bits::to_varbit(BitsRef::new(payload).to_owned(), typmod, explicit)?.to_payload())
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn bits_move_and_count() {
        let read = |text: &str| bits::parse(text).expect("bits").to_payload();
        assert_eq!(bitshiftleft(&read("10011"), 2), read("01100"));
        assert_eq!(bitshiftright(&read("10011"), 2), read("00100"));
        assert_eq!(bitnot(&read("10011")), read("01100"));
        assert_eq!(bitcat(&read("101"), &read("0110011")).expect("short"), read("1010110011"));
        assert_eq!(bitposition(&read("1101011"), &read("010")), 3);
        assert_eq!(bitfromint4(-5, 40).len(), 4 + 5);
        assert_eq!(bittoint4(&read("101")).expect("short"), 5);
        assert_eq!(bits::compare(&read("1"), &read("0")), Ordering::Greater);
    }
}
