//! Numbers out of text by pictures: the input half of `NUM_processor`.

use kokkiri_primitives::Result;
use kokkiri_types::numeric::Numeric;

use super::{Key, Node, Shape, SignPlace};

/// A number on its way in.
struct Reader<'a> {
    shape: &'a Shape,
    input: &'a [u8],
    at: usize,
    sign: Option<u8>,
    digits: String,
    before: usize,
    behind: usize,
    point: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn is_over(&self) -> bool {
        self.at >= self.input.len()
    }

    /// A sign before the first digit.
    fn leading_sign(&mut self) {
        let bracket = self.shape.bracket && !self.shape.has_sign;
        match self.peek() {
            Some(b'-') => self.sign = Some(b'-'),
            Some(b'<') if bracket => self.sign = Some(b'-'),
            Some(b'+') => self.sign = Some(b'+'),
            _ => return,
        }
        self.at += 1;
    }

    /// A keyword for a digit or the point. The character it stands for is consumed by the caller.
    fn digit(&mut self, key: Key) {
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        if self.is_over() {
            return;
        }
        let begun = self.before + self.behind > 0;
        let may_lead = !self.shape.has_sign || self.shape.sign == SignPlace::Before;
        if self.sign.is_none() && !begun && matches!(key, Key::Nine | Key::Zero) && may_lead {
            self.leading_sign();
        }
        let mut read = false;
        match self.peek() {
            None => return,
            Some(digit @ b'0'..=b'9') => {
                if self.point && self.behind == self.shape.behind {
                    return;
                }
                self.digits.push(char::from(digit));
                if self.point {
                    self.behind += 1;
                } else {
                    self.before += 1;
                }
                read = true;
            }
            Some(b'.') if self.shape.has_point && !self.point => {
                self.digits.push('.');
                self.point = true;
                read = true;
            }
            Some(_) => {}
        }
        if self.sign.is_some() || self.before + self.behind == 0 {
            return;
        }
        if self.shape.has_sign && read {
            // The sign of S stands directly behind the last digit.
            match self.input.get(self.at + 1) {
                Some(b'-') => self.sign = Some(b'-'),
                Some(b'+') => self.sign = Some(b'+'),
                _ => return,
            }
            self.at += 1;
        } else if !read && !self.shape.has_sign && !self.shape.plus && !self.shape.minus {
            match self.peek() {
                Some(b'-') => self.sign = Some(b'-'),
                Some(b'+') => self.sign = Some(b'+'),
                _ => {}
            }
        }
    }

    fn skip_others(&mut self, most: usize) {
        let mut skipped = 0;
        while skipped < most
            && let Some(byte) = self.peek()
            && !(byte.is_ascii_digit() || b".,+-<".contains(&byte))
        {
            self.at += 1;
            skipped += 1;
        }
    }
}

pub fn read(text: &str, nodes: &[Node], shape: Shape) -> Result<Numeric> {
    let mut reader = Reader {
        shape: &shape,
        input: text.as_bytes(),
        at: 0,
        sign: None,
        digits: String::new(),
        before: 0,
        behind: 0,
        point: false,
    };
    for node in nodes {
        if reader.is_over() {
            break;
        }
        match node {
            Node::Text(c) => reader.at += c.len_utf8(),
            Node::Key(key) => match key {
                Key::Nine | Key::Zero | Key::Point | Key::LocalePoint => {
                    reader.digit(*key);
                    reader.at += 1;
                }
                Key::Comma | Key::Group => {
                    if reader.peek() == Some(b',') {
                        reader.at += 1;
                    }
                }
                Key::Currency => reader.skip_others(1),
                Key::Minus => match reader.peek() {
                    Some(b'-') => {
                        reader.sign = Some(b'-');
                        reader.at += 1;
                    }
                    _ => reader.skip_others(1),
                },
                Key::Plus => match reader.peek() {
                    Some(b'+') => {
                        reader.sign = Some(b'+');
                        reader.at += 1;
                    }
                    _ => reader.skip_others(1),
                },
                Key::PlusMinus => match reader.peek() {
                    Some(sign @ (b'+' | b'-')) => {
                        reader.sign = Some(sign);
                        reader.at += 1;
                    }
                    _ => reader.skip_others(1),
                },
                Key::Ordinal { .. } => reader.skip_others(2),
                Key::Blank
                | Key::Exponent
                | Key::Fill
                | Key::Bracket
                | Key::Roman { .. }
                | Key::Sign
                | Key::Multiply => {}
            },
        }
    }
    let sign = reader.sign.map_or(' ', char::from);
    let number = format!("{sign}{}", reader.digits.trim_end_matches('.'));
    let value: Numeric = number.parse()?;
    let scale = shape.behind as i32;
    let value = value.round(scale);
    if !shape.has_multiply {
        return Ok(value);
    }
    let power: Numeric = format!("1{}", "0".repeat(shape.multiply)).parse()?;
    value.divide(&power)
}
