//! Changes of bytes that tend to break readers: single bits, numbers at the edge of their range, cuts, and
//! pieces from elsewhere.

use crate::Dice;

/// Numbers that lengths, counts and offsets are seldom tested with.
pub const BOUNDARIES: [u64; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    23,
    24,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x1FFF,
    0x2000,
    0x2001,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Changes one to four things in `bytes`, keeping their number. Returns the first place that changed.
pub fn mutate_in_place(dice: &mut Dice, bytes: &mut [u8]) -> usize {
    let mut first = bytes.len();
    for _ in 0..1 + dice.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 | 1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes[at] = dice.number() as u8,
            3 => put_number(dice, &mut bytes[at..]),
            4 => {
                let end = (at + 1 + dice.below(64)).min(bytes.len());
                bytes[at..end].fill(*dice.pick(&[0, 0, 0xFF]));
            }
            _ => {
                let len = (1 + dice.below(64)).min(bytes.len() - at);
                let from = dice.below(bytes.len() - len + 1);
                bytes.copy_within(from..from + len, at);
            }
        }
        first = first.min(at);
    }
    first
}

/// Overwrites the front of `bytes` with a number of one of the usual widths, in either byte order: one
/// at the edge of its range, or what was there and a little more or less.
fn put_number(dice: &mut Dice, bytes: &mut [u8]) {
    let width = (*dice.pick(&[1, 2, 2, 4, 4, 8])).min(bytes.len());
    let mut old = [0; 8];
    old[..width].copy_from_slice(&bytes[..width]);
    let new = match dice.below(3) {
        0 => u64::from_le_bytes(old).wrapping_add(dice.below(9) as u64).wrapping_sub(4),
        _ => *dice.pick(&BOUNDARIES),
    };
    let mut new = new.to_le_bytes();
    if dice.once_in(3) {
        new[..width].reverse();
    }
    bytes[..width].copy_from_slice(&new[..width]);
}

/// Changes `bytes` in any way, their length too. `others` lend pieces.
pub fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, others: &[impl AsRef<[u8]>]) {
    match dice.below(8) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            let from = dice.below(bytes.len());
            let to = (from + 1 + dice.below(32)).min(bytes.len());
            bytes.drain(from..to);
        }
        2 => {
            let more = (0..1 + dice.below(32)).map(|_| dice.number() as u8).collect::<Vec<_>>();
            let at = dice.below(bytes.len() + 1);
            bytes.splice(at..at, more);
        }
        3 if !others.is_empty() => {
            let other = dice.pick(others).as_ref();
            let from = dice.below(other.len());
            let piece = other[from..(from + 1 + dice.below(other.len())).min(other.len())].to_vec();
            let at = dice.below(bytes.len() + 1);
            let to = (at + dice.below(piece.len() + 1)).min(bytes.len());
            bytes.splice(at..to, piece);
        }
        _ => {
            mutate_in_place(dice, bytes);
        }
    }
}
