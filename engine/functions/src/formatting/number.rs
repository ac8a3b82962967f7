//! Numbers by pictures: to_char and to_number.
//!
//! Realises: `NUMDesc_prepare` and `NUM_processor`. The picture is walked with a position in the digits;
//! what a keyword writes depends on whether the number has begun, on its sign, and on what the picture as a
//! whole asks for ([`Shape`]). Signs, separators and currency are those of the C locale.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::numeric::Numeric;

use super::roman;
use super::write_date::ordinal_suffix;
use crate::registry::{Builtin, list};

mod read;

pub(super) const LIST: &[&[Builtin]] =
    list![numeric_to_char, int4_to_char, int8_to_char, float4_to_char, float8_to_char, numeric_to_number,];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Nine,
    Zero,
    Blank,
    Comma,
    Point,
    LocalePoint,
    Exponent,
    Fill,
    Group,
    Currency,
    Minus,
    Plus,
    Bracket,
    Roman { upper: bool },
    PlusMinus,
    Sign,
    Ordinal { upper: bool },
    Multiply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Key(Key),
    Text(char),
}

const KEYWORDS: &[(&str, Key)] = &[
    (",", Key::Comma),
    (".", Key::Point),
    ("0", Key::Zero),
    ("9", Key::Nine),
    ("B", Key::Blank),
    ("D", Key::LocalePoint),
    ("EEEE", Key::Exponent),
    ("FM", Key::Fill),
    ("G", Key::Group),
    ("L", Key::Currency),
    ("MI", Key::Minus),
    ("PL", Key::Plus),
    ("PR", Key::Bracket),
    ("RN", Key::Roman { upper: true }),
    ("SG", Key::PlusMinus),
    ("S", Key::Sign),
    ("TH", Key::Ordinal { upper: true }),
    ("V", Key::Multiply),
];

fn keyword(text: &str) -> Option<(usize, Key)> {
    KEYWORDS.iter().find_map(|&(name, key)| {
        let start = text.get(..name.len())?;
        if start == name {
            return Some((name.len(), key));
        }
        let key = match key {
            Key::Roman { .. } => Key::Roman { upper: false },
            Key::Ordinal { .. } => Key::Ordinal { upper: false },
            key => key,
        };
        (start == name.to_ascii_lowercase()).then_some((name.len(), key))
    })
}

/// Where the sign of `S` stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SignPlace {
    #[default]
    None,
    Before,
    Behind,
}

/// What a picture as a whole asks for.
#[derive(Clone, Debug, Default)]
struct Shape {
    /// Digits before and behind the point, and behind V.
    before: usize,
    behind: usize,
    multiply: usize,
    sign: SignPlace,
    /// Digits before the sign of `S`.
    digits_before_sign: usize,
    zero_start: usize,
    zero_end: usize,
    has_zero: bool,
    has_point: bool,
    has_sign: bool,
    blank: bool,
    fill: bool,
    bracket: bool,
    minus: bool,
    plus: bool,
    roman: bool,
    has_multiply: bool,
    exponent: bool,
}

fn wrong(message: &str) -> Error {
    error!(SYNTAX_ERROR, "{message}")
}

impl Shape {
    fn add(&mut self, key: Key) -> Result<()> {
        if self.exponent && key != Key::Exponent {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        match key {
            Key::Nine => {
                if self.bracket {
                    return Err(wrong("\"9\" must be ahead of \"PR\""));
                }
                if self.has_multiply {
                    self.multiply += 1;
                } else if self.has_point {
                    self.behind += 1;
                } else {
                    self.before += 1;
                }
            }
            Key::Zero => {
                if self.bracket {
                    return Err(wrong("\"0\" must be ahead of \"PR\""));
                }
                if !self.has_zero && !self.has_point {
                    self.has_zero = true;
                    self.zero_start = self.before + 1;
                }
                if self.has_point {
                    self.behind += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.behind;
            }
            Key::Blank => self.blank |= self.before == 0 && self.behind == 0 && !self.has_zero,
            Key::Point | Key::LocalePoint => {
                if self.has_point {
                    return Err(wrong("multiple decimal points"));
                }
                if self.has_multiply {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
            }
            Key::Fill => self.fill = true,
            Key::Sign => {
                if self.has_sign {
                    return Err(wrong("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.bracket {
                    return Err(wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                self.has_sign = true;
                self.sign = if self.has_point { SignPlace::Behind } else { SignPlace::Before };
                self.digits_before_sign = self.before;
            }
            Key::Minus | Key::Plus | Key::PlusMinus if self.has_sign => {
                let name = match key {
                    Key::Minus => "MI",
                    Key::Plus => "PL",
                    _ => "SG",
                };
                return Err(wrong(&format!("cannot use \"S\" and \"{name}\" together")));
            }
            Key::Minus => self.minus = true,
            Key::Plus => self.plus = true,
            Key::PlusMinus => (self.minus, self.plus) = (true, true),
            Key::Bracket => {
                if self.has_sign || self.plus || self.minus {
                    return Err(wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.bracket = true;
            }
            Key::Roman { .. } => self.roman = true,
            Key::Multiply => {
                if self.has_point {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.has_multiply = true;
            }
            Key::Exponent => {
                if self.exponent {
                    return Err(wrong("cannot use \"EEEE\" twice"));
                }
                let others = self.blank
                    || self.fill
                    || self.has_sign
                    || self.bracket
                    || self.minus
                    || self.plus
                    || self.roman
                    || self.has_multiply;
                if others {
                    return Err(wrong("\"EEEE\" is incompatible with other formats").detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.exponent = true;
            }
            Key::Comma | Key::Group | Key::Currency | Key::Ordinal { .. } => {}
        }
        Ok(())
    }
}

fn parse(picture: &str) -> Result<(Vec<Node>, Shape)> {
    let (mut nodes, mut shape) = (Vec::new(), Shape::default());
    let mut rest = picture;
    while let Some(c) = rest.chars().next() {
        if let Some((length, key)) = keyword(rest) {
            rest = &rest[length..];
            shape.add(key)?;
            nodes.push(Node::Key(key));
            continue;
        }
        let mut characters = rest.chars();
        characters.next();
        match c {
            '"' => {
                while let Some(quoted) = characters.next() {
                    match quoted {
                        '"' => break,
                        '\\' => nodes.extend(characters.next().map(Node::Text)),
                        other => nodes.push(Node::Text(other)),
                    }
                }
            }
            '\\' if characters.as_str().starts_with('"') => {
                characters.next();
                nodes.push(Node::Text('"'));
            }
            other => nodes.push(Node::Text(other)),
        }
        rest = characters.as_str();
    }
    Ok((nodes, shape))
}

/// A number on its way out: digits with a point, without sign.
struct Writer<'a> {
    shape: Shape,
    negative: bool,
    digits: &'a [u8],
    /// Position in `digits`.
    at: usize,
    /// Keywords for digits so far, and how many of them stand before the number's first digit.
    current: usize,
    leading: usize,
    sign_written: bool,
    /// The last keyword has written a digit.
    begun: bool,
    /// Under FM the last digit behind the point that is not a zero nobody asked for.
    last_relevant: Option<usize>,
    count: usize,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(mut shape: Shape, negative: bool, digits: &'a [u8], leading: usize) -> Self {
        let sign_written = if shape.plus || shape.minus {
            // MI, PL and SG write signs themselves; PL alone leaves the minus to the number.
            !shape.plus || shape.minus
        } else {
            if !negative && shape.fill {
                shape.bracket = false;
            }
            if shape.sign == SignPlace::Before && shape.before == shape.digits_before_sign {
                shape.sign = SignPlace::Behind;
            }
            !negative && shape.fill && !shape.has_sign
        };
        let mut count = (shape.before + shape.behind).saturating_sub(1);
        if !sign_written && leading == 0 {
            count += 1;
        }
        let mut last_relevant = None;
        if shape.fill && shape.has_point {
            last_relevant = last_relevant_digit(digits);
            if let Some(last) = last_relevant.as_mut()
                && shape.zero_end > leading
            {
                *last = (*last).max((digits.len().saturating_sub(1)).min(shape.zero_end - leading));
            }
        }
        Self {
            shape,
            negative,
            digits,
            at: 0,
            current: 0,
            leading,
            sign_written,
            begun: false,
            last_relevant,
            count,
            out: String::new(),
        }
    }

    /// A lone zero before the point is a blank.
    fn is_blank_zero(&self) -> bool {
        !self.shape.has_zero && self.at == 0 && self.digits.first() == Some(&b'0') && self.shape.behind != 0
    }

    fn last_is_point(&self) -> bool {
        self.last_relevant.is_some_and(|last| self.digits.get(last) == Some(&b'.'))
    }

    fn blank(&mut self) {
        if !self.shape.fill {
            self.out.push(' ');
        }
    }

    fn write_sign(&mut self) {
        let zero_begins = self.shape.has_zero && self.shape.zero_start == self.current + 1;
        let begins = self.current >= self.leading || zero_begins;
        if self.sign_written || !begins || self.is_blank_zero() && !self.last_is_point() {
            return;
        }
        if self.shape.has_sign {
            if self.shape.sign == SignPlace::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.sign_written = true;
            }
        } else if self.shape.bracket {
            self.out.push(if self.negative { '<' } else { ' ' });
            self.sign_written = true;
        } else {
            if self.negative {
                self.out.push('-');
            } else {
                self.blank();
            }
            self.sign_written = true;
        }
    }

    /// A keyword for a digit or the point.
    fn digit(&mut self, key: Key) {
        self.begun = false;
        self.write_sign();
        let zero_reached = self.shape.has_zero && self.shape.zero_start <= self.current + 1;
        if self.current < self.leading && !zero_reached {
            self.blank();
        } else if self.current < self.leading {
            self.out.push('0');
            self.begun = true;
        } else {
            match self.digits.get(self.at) {
                Some(b'.') if self.last_relevant.is_some() && self.last_is_point() && !self.shape.fill => {}
                Some(b'.') => self.out.push('.'),
                Some(_) if self.last_relevant.is_some_and(|last| self.at > last) && key != Key::Zero => {}
                Some(_) if self.is_blank_zero() => {
                    if self.shape.fill && self.last_is_point() {
                        self.out.push('0');
                    } else {
                        self.blank();
                    }
                }
                Some(digit) => {
                    self.out.push(char::from(*digit));
                    self.begun = true;
                }
                None => {}
            }
            self.at = (self.at + 1).min(self.digits.len());
        }
        let mut end = self.count + usize::from(self.leading > 0) + usize::from(self.shape.has_point);
        if self.last_relevant == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && self.shape.bracket {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.shape.has_sign && self.shape.sign == SignPlace::Behind {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.current += 1;
    }

    fn write(mut self, nodes: &[Node]) -> String {
        for node in nodes {
            let key = match node {
                Node::Text(c) => {
                    self.out.push(*c);
                    continue;
                }
                Node::Key(key) => *key,
            };
            match key {
                Key::Nine | Key::Zero | Key::Point | Key::LocalePoint => self.digit(key),
                Key::Comma | Key::Group if self.begun => self.out.push(','),
                Key::Comma | Key::Group => self.blank(),
                Key::Currency => self.out.push(' '),
                Key::Minus if self.negative => self.out.push('-'),
                Key::Plus if !self.negative => self.out.push('+'),
                Key::Minus | Key::Plus => self.blank(),
                Key::PlusMinus => self.out.push(if self.negative { '-' } else { '+' }),
                Key::Ordinal { upper } => {
                    let plain = self.digits.first() != Some(&b'#') && !self.negative && !self.shape.has_point;
                    if plain {
                        let digits = String::from_utf8_lossy(self.digits).into_owned();
                        self.out.push_str(ordinal_suffix(&digits, upper));
                    }
                }
                Key::Blank
                | Key::Exponent
                | Key::Fill
                | Key::Bracket
                | Key::Roman { .. }
                | Key::Sign
                | Key::Multiply => {}
            }
        }
        self.out
    }
}

/// The last digit behind the point that is no trailing zero, or the point; `None` without a point.
fn last_relevant_digit(digits: &[u8]) -> Option<usize> {
    let point = digits.iter().position(|digit| *digit == b'.')?;
    let last = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(point);
    Some(last.max(point))
}

/// Writes a number given as text with the picture's digits behind the point.
fn write(nodes: &[Node], shape: Shape, number: &str) -> String {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let before = digits.find('.').unwrap_or(digits.len());
    if before > shape.before {
        let mut hashes = vec![b'#'; shape.before + shape.behind + 1];
        hashes[shape.before] = b'.';
        return Writer::new(shape, negative, &hashes, 0).write(nodes);
    }
    let leading = shape.before - before;
    Writer::new(shape, negative, digits.as_bytes(), leading).write(nodes)
}

/// What does not fit an exponent's picture.
fn hashes(shape: &Shape) -> String {
    let mut text = vec![b'#'; shape.before + shape.behind + 6];
    text[0] = b' ';
    text[shape.before + 1] = b'.';
    String::from_utf8_lossy(&text).into_owned()
}

/// `-1.5e5` as C writes it, `-1.5e+05`, with a blank for a plus.
fn scientific(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let blank = if mantissa.starts_with('-') { "" } else { " " };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{blank}{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// A numeric with one digit before the point and an exponent.
fn numeric_scientific(value: &Numeric, places: usize) -> String {
    let text = value.clone().abs().to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let point = text.find('.').unwrap_or(text.len()) as i32;
    let Some(first) = digits.find(|digit| digit != '0') else {
        let zeros = if places > 0 { format!("0.{}", "0".repeat(places)) } else { "0".to_owned() };
        return scientific(&format!("{zeros}e0"));
    };
    let mut exponent = point - first as i32 - 1;
    let significant = &digits.as_bytes()[first..];
    let mut kept: Vec<u8> =
        significant.iter().copied().chain(std::iter::repeat(b'0')).take(places + 1).collect();
    if significant.get(places + 1).is_some_and(|next| *next >= b'5') {
        // Round up, from the last digit on.
        let mut at = kept.len();
        loop {
            if at == 0 {
                kept.insert(0, b'1');
                kept.pop();
                exponent += 1;
                break;
            }
            at -= 1;
            if kept[at] < b'9' {
                kept[at] += 1;
                break;
            }
            kept[at] = b'0';
        }
    }
    let (head, tail) = kept.split_at(1);
    let sign = if value.negative { "-" } else { "" };
    let point = if places > 0 { "." } else { "" };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    scientific(&format!("{sign}{}{point}{}e{exponent}", text(head), text(tail)))
}

fn roman_text(nodes: &[Node], shape: &Shape, number: Option<i64>) -> String {
    let upper = nodes.contains(&Node::Key(Key::Roman { upper: true }));
    let numeral = match number.filter(|number| (1..4000).contains(number)) {
        Some(number) => roman::write(number as i32),
        None => "#".repeat(15),
    };
    let numeral = if upper { numeral } else { numeral.to_ascii_lowercase() };
    if shape.fill { numeral } else { format!("{numeral:>15}") }
}

fn numeric_text(value: &Numeric, picture: &str) -> Result<String> {
    let (nodes, mut shape) = parse(picture)?;
    if shape.roman {
        let rounded = value.clone().round(0);
        let number = if rounded.is_finite() { rounded.to_int::<i64>("bigint").ok() } else { None };
        return Ok(roman_text(&nodes, &shape, number));
    }
    if shape.exponent {
        return Ok(match value.is_finite() {
            true => numeric_scientific(value, shape.behind),
            false => hashes(&shape),
        });
    }
    let mut value = value.clone();
    if shape.has_multiply {
        let power: Numeric = format!("1{}", "0".repeat(shape.multiply)).parse()?;
        value = value.multiply(&power)?;
        shape.before += shape.multiply;
    }
    let text = match value.is_finite() {
        true => value.round(shape.behind as i32).to_string(),
        false => value.to_string(),
    };
    Ok(write(&nodes, shape, &text))
}

fn nothing_for(picture: &str) -> Option<Result<String>> {
    picture.is_empty().then(|| Ok(String::new()))
}

#[builtin(oid = 1772)]
fn numeric_to_char(value: Numeric, picture: &str) -> Result<String> {
    nothing_for(picture).unwrap_or_else(|| numeric_text(&value, picture))
}

fn integer_text(value: i64, picture: &str) -> Result<String> {
    if let Some(nothing) = nothing_for(picture) {
        return nothing;
    }
    let (nodes, shape) = parse(picture)?;
    if shape.roman {
        return Ok(roman_text(&nodes, &shape, Some(value)));
    }
    numeric_text(&value.to_string().parse()?, picture)
}

#[builtin(oid = 1773)]
fn int4_to_char(value: i32, picture: &str) -> Result<String> {
    integer_text(i64::from(value), picture)
}

#[builtin(oid = 1774)]
fn int8_to_char(value: i64, picture: &str) -> Result<String> {
    integer_text(value, picture)
}

/// `digits` is what the type holds for sure: more are not shown.
fn float_text(value: f64, digits: usize, picture: &str) -> Result<String> {
    if let Some(nothing) = nothing_for(picture) {
        return nothing;
    }
    let (nodes, mut shape) = parse(picture)?;
    if shape.roman {
        let rounded = value.round_ties_even();
        let number = (rounded.abs() < 1e9).then_some(rounded as i64);
        return Ok(roman_text(&nodes, &shape, number));
    }
    if shape.exponent {
        return Ok(match value.is_finite() {
            true => scientific(&format!("{value:.*e}", shape.behind)),
            false => hashes(&shape),
        });
    }
    let mut value = value;
    if shape.has_multiply {
        value *= 10f64.powi(shape.multiply as i32);
        shape.before += shape.multiply;
    }
    if !value.is_finite() {
        let text = match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN",
            (false, true) => "Infinity",
            (false, false) => "-Infinity",
        };
        return Ok(write(&nodes, shape, text));
    }
    let whole = format!("{:.0}", value.abs()).len();
    if whole >= digits {
        shape.behind = 0;
    } else if whole + shape.behind > digits {
        shape.behind = digits - whole;
    }
    let text = format!("{value:.*}", shape.behind);
    Ok(write(&nodes, shape, &text))
}

#[builtin(oid = 1775)]
fn float4_to_char(value: f32, picture: &str) -> Result<String> {
    float_text(f64::from(value), f32::DIGITS as usize, picture)
}

#[builtin(oid = 1776)]
fn float8_to_char(value: f64, picture: &str) -> Result<String> {
    float_text(value, f64::DIGITS as usize, picture)
}

#[builtin(oid = 1777)]
fn numeric_to_number(text: &str, picture: &str) -> Result<Option<Numeric>> {
    if picture.is_empty() {
        return Ok(None);
    }
    let (nodes, shape) = parse(picture)?;
    if shape.roman {
        let trimmed = text.trim();
        return match roman::read(trimmed).filter(|(_, length)| *length == trimmed.len()) {
            Some((number, _)) => number.to_string().parse().map(Some),
            None => Err(error!(INVALID_TEXT_REPRESENTATION, "invalid Roman numeral")),
        };
    }
    if shape.exponent {
        bail!(FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input");
    }
    read::read(text, &nodes, shape).map(Some)
}
