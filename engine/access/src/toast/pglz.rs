//! PostgreSQL's own LZ compression, byte for byte.
//!
//! Realises: `pg_lzcompress.c` with its default strategy. Output is groups of a control byte and eight
//! items; a set bit is a match, a clear one a literal byte:
//!
//! ```text
//!   oooollll oooooooo            distance 1..4095 and length 3..17
//!   oooo1111 oooooooo llllllll   length 18..273
//! ```
//!
//! Which matches are found decides the bytes, so the search is PostgreSQL's: chains of the last 4096
//! positions by a hash of four bytes, newest first, with a standard of "good enough" that falls with
//! every step.

use std::cell::RefCell;

const HISTORY: usize = 4096;
const LISTS_MAX: usize = 8192;
const MATCH_MAX: usize = 273;
const DISTANCE_LIMIT: usize = 0x0FFF;

/// Inputs shorter than this are not compressed.
const INPUT_MIN: usize = 32;
/// Percentage that must be saved.
const SAVING_MIN: usize = 25;
/// Output after which the attempt is given up if no match was found.
const FIRST_SUCCESS_BY: usize = 1024;
/// A match of this length ends the search; the standard falls by a tenth per entry visited.
const GOOD_MATCH: usize = 128;
const GOOD_DROP: usize = 10;

/// Number of no entry.
const NONE: u16 = 0;

#[derive(Clone, Copy, Default)]
struct Entry {
    next: u16,
    /// Meaningful unless `is_head`.
    previous: u16,
    is_head: bool,
    list: u16,
    position: u32,
}

/// The positions seen last, in a chain per hash.
struct History {
    heads: Box<[u16; LISTS_MAX]>,
    entries: Box<[Entry; HISTORY + 1]>,
    next: u16,
    recycle: bool,
    mask: usize,
}

impl History {
    fn new() -> Self {
        Self {
            heads: Box::new([NONE; LISTS_MAX]),
            entries: Box::new([Entry::default(); HISTORY + 1]),
            next: 1,
            recycle: false,
            mask: 0,
        }
    }

    fn reset(&mut self, input_length: usize) {
        let lists = match input_length {
            0..128 => 512,
            128..256 => 1024,
            256..512 => 2048,
            512..1024 => 4096,
            _ => LISTS_MAX,
        };
        self.heads[..lists].fill(NONE);
        self.mask = lists - 1;
        self.next = 1;
        self.recycle = false;
    }

    /// Bytes are hashed as signed ones.
    fn list(&self, input: &[u8], position: usize) -> usize {
        let byte = |at: usize| i32::from(input[position + at] as i8);
        let hash = if input.len() - position < 4 {
            byte(0)
        } else {
            (byte(0) << 6) ^ (byte(1) << 4) ^ (byte(2) << 2) ^ byte(3)
        };
        hash as usize & self.mask
    }

    fn add(&mut self, input: &[u8], position: usize) {
        let list = self.list(input, position);
        let number = self.next;
        if self.recycle {
            let old = self.entries[usize::from(number)];
            if old.is_head {
                self.heads[usize::from(old.list)] = old.next;
            } else {
                self.entries[usize::from(old.previous)].next = old.next;
            }
            if old.next != NONE {
                let next = &mut self.entries[usize::from(old.next)];
                next.previous = old.previous;
                next.is_head = old.is_head;
            }
        }
        let head = self.heads[list];
        self.entries[usize::from(number)] =
            Entry { next: head, previous: NONE, is_head: true, list: list as u16, position: position as u32 };
        if head != NONE {
            let next = &mut self.entries[usize::from(head)];
            next.previous = number;
            next.is_head = false;
        }
        self.heads[list] = number;
        self.next += 1;
        if usize::from(self.next) > HISTORY {
            self.next = 1;
            self.recycle = true;
        }
    }

    /// Length and distance of the best match for `position`, if it pays.
    fn find_match(&self, input: &[u8], position: usize) -> Option<(usize, usize)> {
        let ahead = &input[position..];
        let (mut length, mut distance) = (0, 0);
        let mut good_match = GOOD_MATCH;
        let mut number = self.heads[self.list(input, position)];
        while number != NONE {
            let entry = &self.entries[usize::from(number)];
            let candidate = entry.position as usize;
            let candidate_distance = position - candidate;
            if candidate_distance >= DISTANCE_LIMIT {
                break;
            }
            let candidate_length =
                ahead.iter().zip(&input[candidate..]).take(MATCH_MAX).take_while(|(a, b)| a == b).count();
            if candidate_length > length {
                (length, distance) = (candidate_length, candidate_distance);
            }
            number = entry.next;
            if number != NONE {
                if length >= good_match {
                    break;
                }
                good_match -= good_match * GOOD_DROP / 100;
            }
        }
        (length > 2).then_some((length, distance))
    }
}

thread_local! {
    static HISTORY_OF_THREAD: RefCell<History> = RefCell::new(History::new());
}

/// Compresses `input`; `None` if less than a quarter would be saved.
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    if input.len() < INPUT_MIN || input.len() > i32::MAX as usize {
        return None;
    }
    HISTORY_OF_THREAD.with_borrow_mut(|history| compress_with(history, input))
}

fn compress_with(history: &mut History, input: &[u8]) -> Option<Vec<u8>> {
    history.reset(input.len());
    let keep = 100 - SAVING_MIN;
    let limit = if input.len() > i32::MAX as usize / 100 {
        input.len() / 100 * keep
    } else {
        input.len() * keep / 100
    };
    let mut output = Vec::with_capacity(limit + 4);
    let (mut control_at, mut control_bit) = (0, 0u8);
    let mut position = 0;
    let mut found = false;
    while position < input.len() {
        if output.len() >= limit || (!found && output.len() >= FIRST_SUCCESS_BY) {
            return None;
        }
        let hit = history.find_match(input, position);
        if control_bit == 0 {
            control_at = output.len();
            output.push(0);
            control_bit = 1;
        }
        let advance = if let Some((length, distance)) = hit {
            output[control_at] |= control_bit;
            let high = (distance & 0xF00) >> 4;
            if length > 17 {
                output.extend_from_slice(&[(high | 0x0F) as u8, distance as u8, (length - 18) as u8]);
            } else {
                output.extend_from_slice(&[(high | (length - 3)) as u8, distance as u8]);
            }
            found = true;
            length
        } else {
            output.push(input[position]);
            1
        };
        control_bit <<= 1;
        for _ in 0..advance {
            history.add(input, position);
            position += 1;
        }
    }
    (output.len() < limit).then_some(output)
}

/// Decompresses up to `size` bytes. `None` if the data is damaged.
pub fn decompress(data: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut output: Vec<u8> = Vec::with_capacity(size.min(1 << 20));
    let mut source = data.iter().copied();
    'groups: while output.len() < size {
        let Some(control) = source.next() else { break };
        for bit in 0..8 {
            if output.len() >= size {
                break 'groups;
            }
            let Some(first) = source.next() else { break 'groups };
            if control & 1 << bit == 0 {
                output.push(first);
                continue;
            }
            let mut length = usize::from(first & 0x0F) + 3;
            let distance = usize::from(first & 0xF0) << 4 | usize::from(source.next()?);
            if length == 18 {
                length += usize::from(source.next()?);
            }
            let start = output.len().checked_sub(distance).filter(|_| distance > 0)?;
            for index in start..start + length.min(size - output.len()) {
                output.push(output[index]);
            }
        }
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_compresses_as_postgresql_does() {
        // The stored value of repeat('a', 200): one literal, then a match of 199 at distance 1.
        assert_eq!(compress(&[b'a'; 200]).unwrap(), [0x02, b'a', 0x0F, 0x01, 181]);
        assert_eq!(decompress(&[0x02, b'a', 0x0F, 0x01, 181], 200).unwrap(), [b'a'; 200]);
    }

    #[test]
    fn long_inputs_recycle_history() {
        let input: Vec<u8> = (0..60_000u32).map(|i| ((i / 3 * (i % 50)) >> 7) as u8 & 0x1F).collect();
        let packed = compress(&input).unwrap();
        assert_eq!(decompress(&packed, input.len()).unwrap(), input);
    }

    #[test]
    fn short_or_random_inputs_are_refused() {
        assert_eq!(compress(b"too short"), None);
        assert_eq!(decompress(&[0x01, 0x10, 0x00], 10), None);
        assert_eq!(decompress(&[0x01, 0x00, 0x05], 10), None);
    }
}
