//! All the matches of an expression: regexp_matches, regexp_split, regexp_count, regexp_instr,
//! regexp_substr, and regexp_replace from a start on.
//!
//! Realises: `setup_regexp_matches` and its callers (regexp.c).

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::text::char_count;
use kokkiri_types::{Value, ValueRef, array};

use super::{Flags, Group, expression, next_start, replace};
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{Listed, SetFunction, SetRows};

pub(super) const LIST: &[&[Builtin]] = list![
    regexp_split_to_array_no_flags,
    regexp_split_to_array,
    regexp_count_no_start,
    regexp_count_no_flags,
    regexp_count,
    regexp_instr_no_start,
    regexp_instr_no_n,
    regexp_instr_no_endoption,
    regexp_instr_no_flags,
    regexp_instr_no_subexpr,
    regexp_instr,
    regexp_substr_no_start,
    regexp_substr_no_n,
    regexp_substr_no_flags,
    regexp_substr_no_subexpr,
    regexp_substr,
    textregexreplace_extended,
    textregexreplace_extended_no_flags,
    textregexreplace_extended_no_n,
];

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(2763, "regexp_matches_no_flags", true, regexp_matches),
    SetFunction::new(2764, "regexp_matches", true, regexp_matches),
    SetFunction::new(2765, "regexp_split_to_table_no_flags", true, regexp_split_to_table),
    SetFunction::new(2766, "regexp_split_to_table", true, regexp_split_to_table),
];

/// What to look for.
#[derive(Clone, Copy)]
struct Search {
    flags: Flags,
    /// Byte offset to begin at.
    start: usize,
    /// Report groups where the expression has any, instead of the whole.
    groups: bool,
    /// Leave out empty matches at the ends and right behind a match, which split nothing.
    splits: bool,
}

/// The groups of each match.
fn matches(text: &str, pattern: &str, search: Search) -> Result<Vec<Vec<Group>>> {
    let expression = expression(pattern, Flags { global: false, ..search.flags })?;
    let with_groups = search.groups && expression.groups() > 0;
    let (mut found, mut from, mut previous_end) = (Vec::new(), search.start, 0);
    while let Some(mut groups) = expression.find(text, from, with_groups)? {
        let (start, end) = groups[0].expect("the match itself is a group");
        if !search.splits || start < text.len() && end > previous_end {
            if with_groups {
                groups.remove(0);
            }
            groups.truncate(if with_groups { groups.len() } else { 1 });
            found.push(groups);
        }
        previous_end = end;
        if !search.flags.global {
            break;
        }
        from = next_start(text, start, end);
    }
    Ok(found)
}

fn text_array(values: &[Value]) -> Result<Vec<u8>> {
    array::build_vector(type_info(oid::TEXT).expect("text is built in"), values)
}

fn texts(arguments: &[ValueRef<'_>]) -> Result<(String, String, Flags)> {
    let text = |at: usize| String::from_utf8_lossy(arguments[at].bytes()).into_owned();
    let flags = if arguments.len() > 2 { Flags::parse(&text(2))? } else { Flags::default() };
    Ok((text(0), text(1), flags))
}

fn regexp_matches(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let (text, pattern, flags) = texts(arguments)?;
    let search = Search { flags, start: 0, groups: true, splits: false };
    let mut rows = Vec::new();
    for groups in matches(&text, &pattern, search)? {
        let values: Vec<Value> = groups
            .iter()
            .map(|group| group.map_or(Value::Null, |(start, end)| Value::from(&text[start..end])))
            .collect();
        rows.push(Value::from(text_array(&values)?));
    }
    Ok(Box::new(Listed(rows.into_iter())))
}

fn no_global(name: &str) -> Error {
    error!(INVALID_PARAMETER_VALUE, "{name}() does not support the \"global\" option")
}

/// What lies between the matches.
fn split(text: &str, pattern: &str, flags: Flags, name: &str) -> Result<Vec<Value>> {
    if flags.global {
        return Err(no_global(name));
    }
    let flags = Flags { global: true, ..flags };
    let (mut parts, mut end) = (Vec::new(), 0);
    for groups in matches(text, pattern, Search { flags, start: 0, groups: false, splits: true })? {
        if let Some((from, to)) = groups[0] {
            parts.push(Value::from(&text[end..from]));
            end = to;
        }
    }
    parts.push(Value::from(&text[end..]));
    Ok(parts)
}

fn regexp_split_to_table(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let (text, pattern, flags) = texts(arguments)?;
    Ok(Box::new(Listed(split(&text, &pattern, flags, "regexp_split_to_table")?.into_iter())))
}

#[builtin(oid = 2767)]
fn regexp_split_to_array_no_flags(text: &str, pattern: &str) -> Result<Vec<u8>> {
    text_array(&split(text, pattern, Flags::default(), "regexp_split_to_array")?)
}

#[builtin(oid = 2768)]
fn regexp_split_to_array(text: &str, pattern: &str, flags: &str) -> Result<Vec<u8>> {
    text_array(&split(text, pattern, Flags::parse(flags)?, "regexp_split_to_array")?)
}

fn positive(name: &str, value: i32, least: i32) -> Result<usize> {
    if value < least {
        bail!(INVALID_PARAMETER_VALUE, "invalid value for parameter \"{name}\": {value}");
    }
    Ok(value as usize)
}

/// Byte offset of a 1-based character; past the text if it has fewer.
fn start_offset(text: &str, start: i32) -> Result<usize> {
    let start = positive("start", start, 1)? - 1;
    Ok(text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(start).unwrap_or(text.len() + 1))
}

fn count(text: &str, pattern: &str, start: i32, flags: &str) -> Result<i32> {
    let start = start_offset(text, start)?;
    let flags = Flags::parse(flags)?;
    if flags.global {
        return Err(no_global("regexp_count"));
    }
    let flags = Flags { global: true, ..flags };
    Ok(matches(text, pattern, Search { flags, start, groups: false, splits: false })?.len() as i32)
}

#[builtin(oid = 6254)]
fn regexp_count_no_start(text: &str, pattern: &str) -> Result<i32> {
    count(text, pattern, 1, "")
}

#[builtin(oid = 6255)]
fn regexp_count_no_flags(text: &str, pattern: &str, start: i32) -> Result<i32> {
    count(text, pattern, start, "")
}

#[builtin(oid = 6256)]
fn regexp_count(text: &str, pattern: &str, start: i32, flags: &str) -> Result<i32> {
    count(text, pattern, start, flags)
}

/// The `n`-th match from a start on, or a group of it.
fn nth(
    name: &str,
    text: &str,
    pattern: &str,
    (start, n): (i32, i32),
    flags: &str,
    group: i32,
) -> Result<Group> {
    let start = start_offset(text, start)?;
    let n = positive("n", n, 1)?;
    let group = positive("subexpr", group, 0)?;
    let flags = Flags::parse(flags)?;
    if flags.global {
        return Err(no_global(name));
    }
    let flags = Flags { global: true, ..flags };
    let found = matches(text, pattern, Search { flags, start, groups: group > 0, splits: false })?;
    Ok(found.get(n - 1).and_then(|groups| groups.get(group.saturating_sub(1)).copied().flatten()))
}

fn instr(text: &str, pattern: &str, place: (i32, i32), end: i32, flags: &str, group: i32) -> Result<i32> {
    if !(0..=1).contains(&end) {
        positive("start", place.0, 1)?;
        positive("n", place.1, 1)?;
        bail!(INVALID_PARAMETER_VALUE, "invalid value for parameter \"endoption\": {end}");
    }
    let found = nth("regexp_instr", text, pattern, place, flags, group)?;
    let Some((from, to)) = found else { return Ok(0) };
    let before = if end == 1 { to } else { from };
    Ok(char_count(&text.as_bytes()[..before]) as i32 + 1)
}

#[builtin(oid = 6257)]
fn regexp_instr_no_start(text: &str, pattern: &str) -> Result<i32> {
    instr(text, pattern, (1, 1), 0, "", 0)
}

#[builtin(oid = 6258)]
fn regexp_instr_no_n(text: &str, pattern: &str, start: i32) -> Result<i32> {
    instr(text, pattern, (start, 1), 0, "", 0)
}

#[builtin(oid = 6259)]
fn regexp_instr_no_endoption(text: &str, pattern: &str, start: i32, n: i32) -> Result<i32> {
    instr(text, pattern, (start, n), 0, "", 0)
}

#[builtin(oid = 6260)]
fn regexp_instr_no_flags(text: &str, pattern: &str, start: i32, n: i32, end: i32) -> Result<i32> {
    instr(text, pattern, (start, n), end, "", 0)
}

#[builtin(oid = 6261)]
fn regexp_instr_no_subexpr(
    text: &str,
    pattern: &str,
    start: i32,
    n: i32,
    end: i32,
    flags: &str,
) -> Result<i32> {
    instr(text, pattern, (start, n), end, flags, 0)
}

#[builtin(oid = 6262)]
fn regexp_instr(
    text: &str,
    pattern: &str,
    start: i32,
    n: i32,
    end: i32,
    flags: &str,
    group: i32,
) -> Result<i32> {
    instr(text, pattern, (start, n), end, flags, group)
}

fn substr(text: &str, pattern: &str, place: (i32, i32), flags: &str, group: i32) -> Result<Option<String>> {
    let found = nth("regexp_substr", text, pattern, place, flags, group)?;
    Ok(found.map(|(from, to)| text[from..to].to_owned()))
}

#[builtin(oid = 6265)]
fn regexp_substr_no_start(text: &str, pattern: &str) -> Result<Option<String>> {
    substr(text, pattern, (1, 1), "", 0)
}

#[builtin(oid = 6266)]
fn regexp_substr_no_n(text: &str, pattern: &str, start: i32) -> Result<Option<String>> {
    substr(text, pattern, (start, 1), "", 0)
}

#[builtin(oid = 6267)]
fn regexp_substr_no_flags(text: &str, pattern: &str, start: i32, n: i32) -> Result<Option<String>> {
    substr(text, pattern, (start, n), "", 0)
}

#[builtin(oid = 6268)]
fn regexp_substr_no_subexpr(
    text: &str,
    pattern: &str,
    start: i32,
    n: i32,
    flags: &str,
) -> Result<Option<String>> {
    substr(text, pattern, (start, n), flags, 0)
}

#[builtin(oid = 6269)]
fn regexp_substr(
    text: &str,
    pattern: &str,
    start: i32,
    n: i32,
    flags: &str,
    group: i32,
) -> Result<Option<String>> {
    substr(text, pattern, (start, n), flags, group)
}

#[builtin(oid = 6251)]
fn textregexreplace_extended(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: i32,
    n: i32,
    flags: &str,
) -> Result<String> {
    let start = start_offset(text, start)?;
    let n = positive("n", n, 0)?;
    replace(text, pattern, replacement, Flags::parse(flags)?, start, n)
}

#[builtin(oid = 6252)]
fn textregexreplace_extended_no_flags(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: i32,
    n: i32,
) -> Result<String> {
    let start = start_offset(text, start)?;
    replace(text, pattern, replacement, Flags::default(), start, positive("n", n, 0)?)
}

#[builtin(oid = 6253)]
fn textregexreplace_extended_no_n(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: i32,
) -> Result<String> {
    replace(text, pattern, replacement, Flags::default(), start_offset(text, start)?, 1)
}
