//! SQL's own regular expressions: SIMILAR TO and SUBSTRING ... SIMILAR.
//!
//! Realises: `similar_escape_internal` (regexp.c): an SQL expression becomes an advanced one that must
//! match the whole text.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Result, bail, error};

use super::{Flags, expression, part};
use crate::registry::{Builtin, list};

pub(super) const LIST: &[&[Builtin]] =
    list![similar_escape, similar_to_escape_2, similar_to_escape_1, substring_similar];

/// Where in brackets a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Outside,
    /// Right behind the opening one or its `^`, where a closing one is itself.
    Start,
    Inside,
}

/// The advanced expression, and how many separators (an escaped double quote) there were. With `lazy` the
/// part before the first separator matches as little as it can by its own quantifiers.
fn advanced(pattern: &str, escape: Option<&str>, lazy: bool) -> Result<(String, usize)> {
    let mut characters = escape.unwrap_or("\\").chars();
    let escape = match (characters.next(), characters.next()) {
        (first, None) => first,
        _ => {
            return Err(error!(INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut out = String::from("^(?:");
    let (mut separators, mut bracket, mut escaped) = (0, Bracket::Outside, false);
    for c in pattern.chars() {
        let lazily = if lazy && separators == 0 { "?" } else { "" };
        if escaped {
            escaped = false;
            if c == '"' && bracket == Bracket::Outside {
                match separators {
                    0 if lazy => out.push_str(")("),
                    0 => out.push_str("){1,1}?("),
                    1 if lazy => out.push_str(")(?:"),
                    1 => out.push_str("){1,1}(?:"),
                    _ => bail!(
                        INVALID_USE_OF_ESCAPE_CHARACTER,
                        "SQL regular expression may not contain more than two escape-double-quote separators"
                    ),
                }
                separators += 1;
            } else {
                out.push('\\');
                out.push(c);
                bracket = inner(bracket);
            }
        } else if Some(c) == escape {
            escaped = true;
        } else if bracket != Bracket::Outside {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            bracket = match c {
                ']' if bracket == Bracket::Inside => Bracket::Outside,
                '^' if bracket == Bracket::Start => Bracket::Start,
                _ => Bracket::Inside,
            };
        } else {
            match c {
                '[' => {
                    out.push('[');
                    bracket = Bracket::Start;
                }
                '%' => {
                    out.push_str(".*");
                    out.push_str(lazily);
                }
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '*' | '+' | '?' | '}' => {
                    out.push(c);
                    out.push_str(lazily);
                }
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok((out, separators))
}

fn inner(bracket: Bracket) -> Bracket {
    if bracket == Bracket::Outside { bracket } else { Bracket::Inside }
}

#[builtin(oid = 1623)]
fn similar_escape(pattern: Option<&str>, escape: Option<&str>) -> Result<Option<String>> {
    let Some(pattern) = pattern else { return Ok(None) };
    Ok(Some(advanced(pattern, escape, false)?.0))
}

#[builtin(oid = 1986)]
fn similar_to_escape_2(pattern: &str, escape: &str) -> Result<String> {
    Ok(advanced(pattern, Some(escape), false)?.0)
}

#[builtin(oid = 1987)]
fn similar_to_escape_1(pattern: &str) -> Result<String> {
    Ok(advanced(pattern, None, false)?.0)
}

/// What lies between the separators, or the whole, if all of it matches.
#[builtin(oid = 2074)]
fn substring_similar(text: &str, pattern: &str, escape: &str) -> Result<Option<String>> {
    let (pattern, separators) = advanced(pattern, Some(escape), true)?;
    let groups = expression(&pattern, Flags::default())?.find(text, 0, true)?;
    Ok(groups.and_then(|groups| part(text, &groups, usize::from(separators > 0)).map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results are PostgreSQL's.
    #[test]
    fn sql_expressions_become_advanced_ones() {
        let converted = |pattern: &str| similar_to_escape_2(pattern, "\\").expect("a pattern");
        assert_eq!(converted("a%_(b|c).d"), "^(?:a.*.(?:b|c)\\.d)$");
        assert_eq!(converted("[]%_^]x\\%"), "^(?:[]%_^]x\\%)$");
        assert_eq!(converted("%\\\"o_b\\\"%"), "^(?:.*){1,1}?(o.b){1,1}(?:.*)$");
        let part = |text: &str| substring_similar(text, "%#\"o_b#\"%", "#").expect("a pattern");
        assert_eq!(part("foobar").as_deref(), Some("oob"));
        assert_eq!(part("xyz"), None);
    }
}
