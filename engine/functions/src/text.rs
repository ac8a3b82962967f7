//! String functions of text and bytea. Positions and lengths count characters from 1, as SQL has them.

pub mod build;
mod bytea;
mod derived;
pub mod like;
mod pattern;
pub mod split;

use std::borrow::Cow;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Result, bail};
use kokkiri_types::text::{char_count, char_offset, without_padding};

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[
    LENGTHS,
    PARTS,
    CASES,
    TRIMS,
    SEARCH,
    BYTES,
    build::LIST,
    bytea::LIST,
    derived::LIST,
    like::LIST,
    pattern::LIST,
    split::LIST,
];

/// Largest result of a function that makes text longer: PostgreSQL's `MaxAllocSize`.
pub(crate) const MAX_LENGTH: usize = 0x3FFF_FFFF;

pub(crate) fn check_length(length: Option<usize>) -> Result<usize> {
    match length.filter(|&length| length < MAX_LENGTH - 4) {
        Some(length) => Ok(length),
        None => bail!(PROGRAM_LIMIT_EXCEEDED, "requested length too large"),
    }
}

const LENGTHS: &[&[Builtin]] = list![textlen, bpcharlen, octet_length, bit_length_text, bit_length_bytea];

#[builtin(oid = [1257, 1317, 1369, 1381])]
fn textlen(text: &[u8]) -> i32 {
    char_count(text) as i32
}

#[builtin(oid = [1318, 1367, 1372])]
fn bpcharlen(text: &[u8]) -> i32 {
    char_count(without_padding(text)) as i32
}

#[builtin(oid = [1374, 1375, 720, 2010])]
fn octet_length(text: &[u8]) -> i32 {
    text.len() as i32
}

#[builtin(oid = 1811)]
fn bit_length_text(text: &[u8]) -> i32 {
    text.len() as i32 * 8
}

#[builtin(oid = 1810)]
fn bit_length_bytea(bytes: &[u8]) -> i32 {
    bytes.len() as i32 * 8
}

const PARTS: &[&[Builtin]] = list![
    textcat,
    text_substr,
    text_substr_no_len,
    text_left,
    text_right,
    text_reverse,
    textoverlay,
    textoverlay_no_len,
];

#[builtin(oid = 1258)]
fn textcat(a: &[u8], b: &[u8]) -> Vec<u8> {
    [a, b].concat()
}

/// Byte range of the characters from a 1-based position on.
fn char_range(text: &[u8], start: i32, length: Option<i32>) -> Result<std::ops::Range<usize>> {
    let start = i64::from(start);
    let end = match length {
        Some(length) if length < 0 => bail!(SUBSTRING_ERROR, "negative substring length not allowed"),
        Some(length) => start + i64::from(length),
        None => i64::MAX,
    };
    let from = usize::try_from(start - 1).unwrap_or(0);
    let to = usize::try_from(end - 1).unwrap_or(0);
    let first = char_offset(text, from);
    Ok(if to <= from { first..first } else { first..first + char_offset(&text[first..], to - from) })
}

#[builtin(oid = [877, 936])]
fn text_substr(text: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    Ok(text[char_range(text, start, Some(length))?].to_vec())
}

#[builtin(oid = [883, 937])]
fn text_substr_no_len(text: &[u8], start: i32) -> Result<Vec<u8>> {
    Ok(text[char_range(text, start, None)?].to_vec())
}

/// Byte offset after `count` characters, or before the last `-count` ones.
fn signed_offset(text: &[u8], count: i32) -> usize {
    match usize::try_from(count) {
        Ok(count) => char_offset(text, count),
        Err(_) => char_offset(text, char_count(text).saturating_sub(count.unsigned_abs() as usize)),
    }
}

#[builtin(oid = 3060)]
fn text_left(text: &[u8], count: i32) -> Vec<u8> {
    text[..signed_offset(text, count)].to_vec()
}

#[builtin(oid = 3061)]
fn text_right(text: &[u8], count: i32) -> Vec<u8> {
    // The last `count` characters, or all but the first `-count` ones.
    let skipped = if count >= 0 {
        char_count(text).saturating_sub(count as usize)
    } else {
        count.unsigned_abs() as usize
    };
    text[char_offset(text, skipped)..].to_vec()
}

#[builtin(oid = 3062)]
fn text_reverse(text: &str) -> String {
    text.chars().rev().collect()
}

fn overlay(text: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        bail!(SUBSTRING_ERROR, "negative substring length not allowed");
    }
    let Some(after) = start.checked_add(length) else {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    };
    let head = char_range(text, 1, Some(start - 1))?;
    let tail = char_range(text, after, None)?;
    Ok([&text[head], new, &text[tail]].concat())
}

#[builtin(oid = 1404)]
fn textoverlay(text: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    overlay(text, new, start, length)
}

#[builtin(oid = 1405)]
fn textoverlay_no_len(text: &[u8], new: &[u8], start: i32) -> Result<Vec<u8>> {
    overlay(text, new, start, char_count(new) as i32)
}

const CASES: &[&[Builtin]] = list![lower, upper, initcap];

/// True if a collation changes the case of ASCII letters alone: C and POSIX, and the default one, for every
/// database's locale is C.
fn ascii_case(collation: kokkiri_primitives::Oid) -> bool {
    matches!(collation.0, 0 | 100 | 950 | 951)
}

#[builtin(oid = 870)]
fn lower(context: &mut crate::CallContext<'_>, text: &str) -> String {
    // Characters map one to one, as in C.UTF-8.
    if text.is_ascii() || ascii_case(context.collation) {
        return text.to_ascii_lowercase();
    }
    text.chars().map(|c| single(c, c.to_lowercase())).collect()
}

#[builtin(oid = 871)]
fn upper(context: &mut crate::CallContext<'_>, text: &str) -> String {
    if text.is_ascii() || ascii_case(context.collation) {
        return text.to_ascii_uppercase();
    }
    text.chars().map(|c| single(c, c.to_uppercase())).collect()
}

/// The mapped character, if it is one.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[builtin(oid = 872)]
fn initcap(context: &mut crate::CallContext<'_>, text: &str) -> String {
    let ascii = ascii_case(context.collation);
    let mut inside = false;
    text.chars()
        .map(|c| {
            let mapped = match (ascii, inside) {
                (true, true) => c.to_ascii_lowercase(),
                (true, false) => c.to_ascii_uppercase(),
                (false, true) => single(c, c.to_lowercase()),
                (false, false) => single(c, c.to_uppercase()),
            };
            inside = if ascii { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() };
            mapped
        })
        .collect()
}

const TRIMS: &[&[Builtin]] =
    list![btrim, btrim1, ltrim, ltrim1, rtrim, rtrim1, byteatrim, bytealtrim, byteartrim, lpad, rpad];

fn trim<'t>(text: &'t str, set: &str, left: bool, right: bool) -> &'t str {
    let in_set = |c: char| set.contains(c);
    let text = if left { text.trim_start_matches(in_set) } else { text };
    if right { text.trim_end_matches(in_set) } else { text }
}

#[builtin(oid = 884)]
fn btrim(text: &str, set: &str) -> String {
    trim(text, set, true, true).to_owned()
}

#[builtin(oid = 885)]
fn btrim1(text: &str) -> String {
    trim(text, " ", true, true).to_owned()
}

#[builtin(oid = 875)]
fn ltrim(text: &str, set: &str) -> String {
    trim(text, set, true, false).to_owned()
}

#[builtin(oid = 881)]
fn ltrim1(text: &str) -> String {
    trim(text, " ", true, false).to_owned()
}

#[builtin(oid = 876)]
fn rtrim(text: &str, set: &str) -> String {
    trim(text, set, false, true).to_owned()
}

#[builtin(oid = 882)]
fn rtrim1(text: &str) -> String {
    trim(text, " ", false, true).to_owned()
}

fn trim_bytes<'t>(mut bytes: &'t [u8], set: &[u8], left: bool, right: bool) -> &'t [u8] {
    while let ([first, rest @ ..], true) = (bytes, left) {
        if !set.contains(first) {
            break;
        }
        bytes = rest;
    }
    while let ([rest @ .., last], true) = (bytes, right) {
        if !set.contains(last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

#[builtin(oid = 2015)]
fn byteatrim(bytes: &[u8], set: &[u8]) -> Vec<u8> {
    trim_bytes(bytes, set, true, true).to_vec()
}

#[builtin(oid = 6195)]
fn bytealtrim(bytes: &[u8], set: &[u8]) -> Vec<u8> {
    trim_bytes(bytes, set, true, false).to_vec()
}

#[builtin(oid = 6196)]
fn byteartrim(bytes: &[u8], set: &[u8]) -> Vec<u8> {
    trim_bytes(bytes, set, false, true).to_vec()
}

/// The text cut to `length` characters, and the filling that it lacks.
fn pad<'t>(text: &'t str, length: i32, fill: &str) -> Result<(&'t str, String)> {
    let length = check_length(Some(length.max(0) as usize))?;
    let kept = &text[..char_offset(text.as_bytes(), length)];
    let missing = length - char_count(kept.as_bytes());
    check_length(missing.checked_mul(4))?;
    Ok((kept, if fill.is_empty() { String::new() } else { fill.chars().cycle().take(missing).collect() }))
}

#[builtin(oid = 873)]
fn lpad(text: &str, length: i32, fill: &str) -> Result<String> {
    let (kept, filling) = pad(text, length, fill)?;
    Ok(filling + kept)
}

#[builtin(oid = 874)]
fn rpad(text: &str, length: i32, fill: &str) -> Result<String> {
    let (kept, filling) = pad(text, length, fill)?;
    Ok(kept.to_owned() + &filling)
}

const SEARCH: &[&[Builtin]] =
    list![textpos, byteapos, text_starts_with, replace_text, translate, repeat, ascii, chr];

/// Byte offset of the first occurrence.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    let first = part[0];
    let last = text.len().checked_sub(part.len())?;
    let mut at = 0;
    while at <= last {
        at += text[at..=last].iter().position(|&byte| byte == first)?;
        if text[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[builtin(oid = [849, 868])]
fn textpos(text: &[u8], part: &[u8]) -> i32 {
    find(text, part).map_or(0, |at| char_count(&text[..at]) as i32 + 1)
}

#[builtin(oid = 2014)]
fn byteapos(text: &[u8], part: &[u8]) -> i32 {
    find(text, part).map_or(0, |at| at as i32 + 1)
}

#[builtin(oid = 3696)]
fn text_starts_with(text: &[u8], start: &[u8]) -> bool {
    text.starts_with(start)
}

#[builtin(oid = 2087)]
fn replace_text(text: &str, from: &str, to: &str) -> Result<String> {
    if from.is_empty() {
        return Ok(text.to_owned());
    }
    let replaced = text.replace(from, to);
    check_length(Some(replaced.len()))?;
    Ok(replaced)
}

#[builtin(oid = 878)]
fn translate(text: &str, from: &str, to: &str) -> String {
    text.chars()
        .filter_map(|c| match from.chars().position(|f| f == c) {
            Some(at) => to.chars().nth(at),
            None => Some(c),
        })
        .collect()
}

#[builtin(oid = 1622)]
fn repeat(text: &[u8], count: i32) -> Result<Vec<u8>> {
    let count = usize::try_from(count).unwrap_or(0);
    check_length(text.len().checked_mul(count))?;
    Ok(text.repeat(count))
}

#[builtin(oid = 1620)]
fn ascii(text: &str) -> i32 {
    text.chars().next().map_or(0, |c| c as i32)
}

#[builtin(oid = 1621)]
fn chr(code: i32) -> Result<String> {
    if code == 0 {
        bail!(PROGRAM_LIMIT_EXCEEDED, "null character not permitted");
    }
    if code < 0 {
        bail!(INVALID_PARAMETER_VALUE, "character number must be positive");
    }
    match char::from_u32(code as u32) {
        Some(c) => Ok(c.to_string()),
        None if code > 0x10_FFFF => {
            bail!(PROGRAM_LIMIT_EXCEEDED, "requested character too large for encoding: {code}")
        }
        None => bail!(PROGRAM_LIMIT_EXCEEDED, "requested character not valid for encoding: {code}"),
    }
}

const BYTES: &[&[Builtin]] = list![
    byteacat,
    bytea_substr,
    bytea_substr_no_len,
    byteaoverlay,
    byteaoverlay_no_len,
    bytea_reverse,
    get_byte,
    set_byte,
];

#[builtin(oid = 2011)]
fn byteacat(a: &[u8], b: &[u8]) -> Vec<u8> {
    [a, b].concat()
}

fn byte_range(bytes: &[u8], start: i32, length: Option<i32>) -> Result<&[u8]> {
    let start = i64::from(start);
    let end = match length {
        Some(length) if length < 0 => bail!(SUBSTRING_ERROR, "negative substring length not allowed"),
        Some(length) => start + i64::from(length),
        None => i64::MAX,
    };
    let clamp = |at: i64| usize::try_from(at - 1).unwrap_or(0).min(bytes.len());
    Ok(bytes.get(clamp(start)..clamp(end)).unwrap_or_default())
}

#[builtin(oid = [2012, 2085])]
fn bytea_substr(bytes: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    byte_range(bytes, start, Some(length)).map(<[u8]>::to_vec)
}

#[builtin(oid = [2013, 2086])]
fn bytea_substr_no_len(bytes: &[u8], start: i32) -> Result<Vec<u8>> {
    byte_range(bytes, start, None).map(<[u8]>::to_vec)
}

#[builtin(oid = 749)]
fn byteaoverlay(bytes: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        bail!(SUBSTRING_ERROR, "negative substring length not allowed");
    }
    let Some(after) = start.checked_add(length) else {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    };
    Ok([byte_range(bytes, 1, Some(start - 1))?, new, byte_range(bytes, after, None)?].concat())
}

#[builtin(oid = 752)]
fn byteaoverlay_no_len(bytes: &[u8], new: &[u8], start: i32) -> Result<Vec<u8>> {
    byteaoverlay(bytes, new, start, new.len() as i32)
}

#[builtin(oid = 6382)]
fn bytea_reverse(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

fn byte_index(bytes: &[u8], index: i32) -> Result<usize> {
    match usize::try_from(index).ok().filter(|&at| at < bytes.len()) {
        Some(at) => Ok(at),
        None => bail!(ARRAY_ELEMENT_ERROR, "index {index} out of valid range, 0..{}", bytes.len() as i64 - 1),
    }
}

#[builtin(oid = 721)]
fn get_byte(bytes: &[u8], index: i32) -> Result<i32> {
    Ok(i32::from(bytes[byte_index(bytes, index)?]))
}

#[builtin(oid = 722)]
fn set_byte(bytes: &[u8], index: i32, value: i32) -> Result<Vec<u8>> {
    let at = byte_index(bytes, index)?;
    let mut changed = Cow::Borrowed(bytes).into_owned();
    changed[at] = value as u8;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results are PostgreSQL's.
    #[test]
    fn parts_count_characters() {
        let s = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let substr = |text: &str, start, length| text_substr(text.as_bytes(), start, length).map(s);
        assert_eq!(substr("héllo", 2, 3).ok().as_deref(), Some("éll"));
        assert_eq!(substr("hello", -1, 3).ok().as_deref(), Some("h"));
        assert_eq!(substr("hello", 2, 0).ok().as_deref(), Some(""));
        assert_eq!(
            substr("hello", 2, -1).expect_err("negative").message(),
            "negative substring length not allowed"
        );
        assert_eq!(s(text_left("héllo".as_bytes(), 2)), "hé");
        assert_eq!(s(text_left("héllo".as_bytes(), -2)), "hél");
        assert_eq!(s(text_right("héllo".as_bytes(), 2)), "lo");
        assert_eq!(s(text_right("héllo".as_bytes(), -2)), "llo");
        assert_eq!(s(text_right("héllo".as_bytes(), 0)), "");
        assert_eq!(s(overlay("Txxxxas".as_bytes(), "hom".as_bytes(), 2, 4).expect("in range")), "Thomas");
        assert_eq!(lpad("hi", 5, "xy").ok().as_deref(), Some("xyxhi"));
        assert_eq!(rpad("hi", 1, "xy").ok().as_deref(), Some("h"));
        assert_eq!(textpos("high".as_bytes(), "ig".as_bytes()), 2);
        assert_eq!(translate("12345", "143", "ax"), "a2x5");
        let (io, info) = (kokkiri_types::io::IoSettings::default(), crate::SessionInfo::default());
        let mut context = crate::CallContext::new(&io, &info);
        assert_eq!(initcap(&mut context, "hi THOMAS x1y"), "Hi Thomas X1y");
        assert_eq!(btrim("xyxtrimyyx", "xyz"), "trim");
        assert_eq!(chr(0xE9).ok().as_deref(), Some("é"));
    }
}
