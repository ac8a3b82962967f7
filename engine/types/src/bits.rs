//! Bit strings: the types bit and bit varying.
//!
//! A payload is the number of bits (four bytes, as the machine has them) and the bits, the first the
//! highest of the first byte; the last byte is filled with zeros.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, Result, bail, error};

/// Most bits a string may have.
pub const MAX_BITS: usize = i32::MAX as usize - 7;

/// A borrowed bit string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitsRef<'a> {
    pub len: usize,
    pub bytes: &'a [u8],
}

/// An owned bit string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    pub len: usize,
    pub bytes: Vec<u8>,
}

impl<'a> BitsRef<'a> {
    /// Reads a payload; bytes too short to be one read as the empty string.
    pub fn new(payload: &'a [u8]) -> Self {
        let Some((head, bytes)) = payload.split_first_chunk::<4>() else {
            return Self { len: 0, bytes: &[] };
        };
        let len = usize::try_from(i32::from_le_bytes(*head)).unwrap_or(0).min(bytes.len() * 8);
        Self { len, bytes: &bytes[..len.div_ceil(8)] }
    }

    pub fn get(&self, at: usize) -> bool {
        self.bytes[at / 8] >> (7 - at % 8) & 1 == 1
    }

    /// The bits of a range, which must lie inside.
    pub fn slice(&self, from: usize, to: usize) -> Bits {
        let mut bits = Bits::zeros(to - from);
        (from..to).filter(|at| self.get(*at)).for_each(|at| bits.set(at - from, true));
        bits
    }

    pub fn to_owned(&self) -> Bits {
        Bits { len: self.len, bytes: self.bytes.to_vec() }
    }
}

impl Bits {
    pub fn zeros(len: usize) -> Self {
        Self { len, bytes: vec![0; len.div_ceil(8)] }
    }

    pub fn set(&mut self, at: usize, value: bool) {
        let mask = 1 << (7 - at % 8);
        if value {
            self.bytes[at / 8] |= mask;
        } else {
            self.bytes[at / 8] &= !mask;
        }
    }

    pub fn as_ref(&self) -> BitsRef<'_> {
        BitsRef { len: self.len, bytes: &self.bytes }
    }

    /// Cuts or fills with zeros on the right.
    pub fn resized(mut self, len: usize) -> Self {
        self.bytes.resize(len.div_ceil(8), 0);
        if len < self.len && !len.is_multiple_of(8) {
            let last = self.bytes.len() - 1;
            self.bytes[last] &= 0xFF << (8 - len % 8);
        }
        self.len = len;
        self
    }

    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(4 + self.bytes.len());
        payload.extend_from_slice(&(self.len as i32).to_le_bytes());
        payload.extend_from_slice(&self.bytes);
        payload
    }
}

/// Reads `101`, `b101` or `x5F`.
///
/// # Errors
/// 22P02 for other digits.
pub fn parse(text: &str) -> Result<Bits> {
    if let Some(digits) = text.strip_prefix(['x', 'X']) {
        let mut bits = Bits::zeros(digits.chars().count() * 4);
        for (at, c) in digits.chars().enumerate() {
            let Some(digit) = c.to_digit(16) else {
                bail!(INVALID_TEXT_REPRESENTATION, "\"{c}\" is not a valid hexadecimal digit");
            };
            (0..4).filter(|bit| digit >> (3 - bit) & 1 == 1).for_each(|bit| bits.set(at * 4 + bit, true));
        }
        return Ok(bits);
    }
    let digits = text.strip_prefix(['b', 'B']).unwrap_or(text);
    let mut bits = Bits::zeros(digits.chars().count());
    for (at, c) in digits.chars().enumerate() {
        match c {
            '0' => {}
            '1' => bits.set(at, true),
            other => bail!(INVALID_TEXT_REPRESENTATION, "\"{other}\" is not a valid binary digit"),
        }
    }
    Ok(bits)
}

/// Makes a string fit `bit(typmod)`. `explicit` cuts or fills it.
///
/// # Errors
/// 22026 if it has another length.
pub fn to_bit(bits: Bits, typmod: i32, explicit: bool) -> Result<Bits> {
    let Some(wanted) = length_of(typmod).filter(|wanted| *wanted != bits.len) else { return Ok(bits) };
    if explicit {
        return Ok(bits.resized(wanted));
    }
    Err(error!(
        STRING_DATA_LENGTH_MISMATCH,
        "bit string length {} does not match type bit({wanted})", bits.len
    ))
}

/// Makes a string fit `bit varying(typmod)`. `explicit` cuts it.
///
/// # Errors
/// 22001 if it is too long.
pub fn to_varbit(bits: Bits, typmod: i32, explicit: bool) -> Result<Bits> {
    let Some(most) = length_of(typmod).filter(|most| *most < bits.len) else { return Ok(bits) };
    if explicit {
        return Ok(bits.resized(most));
    }
    Err(error!(STRING_DATA_RIGHT_TRUNCATION, "bit string too long for type bit varying({most})"))
}

fn length_of(typmod: i32) -> Option<usize> {
    usize::try_from(typmod).ok().filter(|length| *length > 0)
}

pub fn write(payload: &[u8], out: &mut Vec<u8>) {
    let bits = BitsRef::new(payload);
    out.extend((0..bits.len).map(|at| b'0' + u8::from(bits.get(at))));
}

pub fn write_binary(payload: &[u8], out: &mut Vec<u8>) {
    let bits = BitsRef::new(payload);
    out.extend((bits.len as i32).to_be_bytes());
    out.extend_from_slice(bits.bytes);
}

pub fn read_binary(bytes: &[u8]) -> Result<Bits> {
    let short = || -> Error { error!(PROTOCOL_VIOLATION, "insufficient data left in message") };
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let Ok(len) = usize::try_from(i32::from_be_bytes(*head)) else {
        bail!(INVALID_BINARY_REPRESENTATION, "invalid length in external bit string");
    };
    if len > MAX_BITS {
        bail!(INVALID_BINARY_REPRESENTATION, "invalid length in external bit string");
    }
    let size = len.div_ceil(8);
    if rest.len() < size {
        return Err(short());
    }
    if rest.len() > size {
        bail!(INVALID_BINARY_REPRESENTATION, "incorrect binary data format");
    }
    Ok(Bits { len: size * 8, bytes: rest.to_vec() }.resized(len))
}

/// Byte by byte, and then the shorter first.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (BitsRef::new(a), BitsRef::new(b));
    let common = a.bytes.len().min(b.bytes.len());
    a.bytes[..common].cmp(&b.bytes[..common]).then(a.len.cmp(&b.len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bits: &Bits) -> String {
        let mut out = Vec::new();
        write(&bits.to_payload(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn texts_read_and_print() {
        assert_eq!(shown(&parse("b101").expect("bits")), "101");
        assert_eq!(shown(&parse("x1F").expect("bits")), "00011111");
        assert_eq!(shown(&parse("").expect("bits")), "");
        assert_eq!(parse("102").expect_err("no digit").message(), "\"2\" is not a valid binary digit");
        let bits = parse("1111").expect("bits");
        assert_eq!(shown(&to_bit(bits.clone(), 2, true).expect("cut")), "11");
        assert_eq!(shown(&to_bit(bits.clone(), 6, true).expect("filled")), "111100");
        assert!(to_bit(bits.clone(), 5, false).is_err());
        assert!(to_varbit(bits, 3, false).is_err());
    }

    #[test]
    fn binary_forms_come_back() {
        let bits = parse("1011001110").expect("bits");
        let mut out = Vec::new();
        write_binary(&bits.to_payload(), &mut out);
        assert_eq!(read_binary(&out).expect("bits"), bits);
        assert!(read_binary(&out[..5]).is_err());
    }

    #[test]
    fn shorter_strings_come_first() {
        let order = |a: &str, b: &str| {
            compare(&parse(a).expect("bits").to_payload(), &parse(b).expect("bits").to_payload())
        };
        assert_eq!(order("1", "10"), Ordering::Less);
        assert_eq!(order("11", "10"), Ordering::Greater);
        assert_eq!(order("101", "101"), Ordering::Equal);
    }
}
