//! LIKE and ILIKE.
//!
//! A pattern is matched in place: `%` remembers where it stood and is retried one character later, so
//! that no input takes more than the product of the two lengths.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Result, bail};

use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    textlike,
    textnlike,
    namelike,
    namenlike,
    bytealike,
    byteanlike,
    texticlike,
    texticnlike,
    nameiclike,
    nameicnlike,
    like_escape
];

/// Length of the UTF-8 character at the start of the bytes.
fn char_length(bytes: &[u8]) -> usize {
    1 + bytes[1..].iter().take_while(|&&byte| byte & 0xC0 == 0x80).count()
}

/// True if `text` matches `pattern`, whose escape character is the backslash.
///
/// # Errors
/// 22025 for a pattern that ends with the escape character.
pub fn matches(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches_by(text, pattern, char_length)
}

fn matches_by(text: &[u8], pattern: &[u8], step: impl Fn(&[u8]) -> usize) -> Result<bool> {
    let (mut t, mut p) = (0, 0);
    // Where the last % was and which text it has been tried for.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'_') => {
                p += 1;
                (t < text.len()).then(|| step(&text[t..]))
            }
            Some(b'\\') => {
                let Some(literal) = pattern.get(p + 1) else {
                    // PostgreSQL notices it only if there is text left to match.
                    if t < text.len() {
                        bail!(INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character");
                    }
                    return Ok(false);
                };
                p += 2;
                (text.get(t) == Some(literal)).then_some(1)
            }
            Some(literal) => {
                p += 1;
                (text.get(t) == Some(literal)).then_some(1)
            }
            None if t == text.len() => return Ok(true),
            None => None,
        };
        match (matched, retry) {
            (Some(length), _) => t += length,
            (None, Some((after, start))) if start < text.len() => {
                let next = start + step(&text[start..]);
                retry = Some((after, next));
                (p, t) = (after, next);
            }
            (None, _) => return Ok(false),
        }
    }
}

fn folded_matches(text: &str, pattern: &str) -> Result<bool> {
    matches(text.to_lowercase().as_bytes(), pattern.to_lowercase().as_bytes())
}

#[builtin(oid = [850, 1569, 1631])]
fn textlike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches(text, pattern)
}

#[builtin(oid = [851, 1570, 1632])]
fn textnlike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches(text, pattern).map(|matched| !matched)
}

#[builtin(oid = [858, 1571])]
fn namelike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches(text, pattern)
}

#[builtin(oid = [859, 1572])]
fn namenlike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches(text, pattern).map(|matched| !matched)
}

#[builtin(oid = [2005, 2007])]
fn bytealike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches_by(text, pattern, |_| 1)
}

#[builtin(oid = [2006, 2008])]
fn byteanlike(text: &[u8], pattern: &[u8]) -> Result<bool> {
    matches_by(text, pattern, |_| 1).map(|matched| !matched)
}

#[builtin(oid = [1633, 1660])]
fn texticlike(text: &str, pattern: &str) -> Result<bool> {
    folded_matches(text, pattern)
}

#[builtin(oid = [1634, 1661])]
fn texticnlike(text: &str, pattern: &str) -> Result<bool> {
    folded_matches(text, pattern).map(|matched| !matched)
}

#[builtin(oid = 1635)]
fn nameiclike(text: &str, pattern: &str) -> Result<bool> {
    folded_matches(text, pattern)
}

#[builtin(oid = 1636)]
fn nameicnlike(text: &str, pattern: &str) -> Result<bool> {
    folded_matches(text, pattern).map(|matched| !matched)
}

/// Rewrites a pattern with another escape character for the backslash.
#[builtin(oid = 1637)]
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut characters = escape.chars();
    let escape = match (characters.next(), characters.next()) {
        (None, _) => return Ok(pattern.replace('\\', "\\\\")),
        (Some('\\'), None) => return Ok(pattern.to_owned()),
        (Some(escape), None) => escape,
        _ => {
            return Err(kokkiri_primitives::error!(INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut after_escape = false;
    for c in pattern.chars() {
        if c == escape && !after_escape {
            out.push('\\');
            after_escape = true;
            continue;
        }
        if c == '\\' && !after_escape {
            out.push('\\');
        }
        out.push(c);
        after_escape = false;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_postgresql() {
        for (text, pattern, expected) in [
            ("hawkeye", "h%", true),
            ("hawkeye", "H%", false),
            ("hawkeye", "_a%e", true),
            ("é", "_", true),
            ("", "%", true),
            ("", "_", false),
            ("a%b", "a\\%b", true),
            ("axb", "a\\%b", false),
            ("abcabc", "%abc", true),
            ("aaab", "%a%b", true),
            ("mississippi", "%iss%ip%", true),
            ("abc", "abc%%", true),
            ("abc", "ab", false),
        ] {
            assert_eq!(matches(text.as_bytes(), pattern.as_bytes()).ok(), Some(expected), "{text} {pattern}");
        }
        assert_eq!(
            matches(b"abc", b"ab\\").expect_err("dangling").message(),
            "LIKE pattern must not end with escape character"
        );
        assert_eq!(like_escape("a#%b\\", "#").ok().as_deref(), Some("a\\%b\\\\"));
    }

    #[test]
    fn many_wildcards_stay_polynomial() {
        let text = "a".repeat(2000);
        let pattern = "%a".repeat(200) + "b";
        assert_eq!(matches(text.as_bytes(), pattern.as_bytes()).ok(), Some(false));
    }
}
