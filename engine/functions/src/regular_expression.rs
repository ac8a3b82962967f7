//! POSIX regular expressions: `~` and its kin, regexp_replace, regexp_match, substring.
//!
//! PostgreSQL's advanced expressions are rewritten to the syntax of the regex crate, whose automata are
//! linear in the length of their input; [`matcher`] lets them find POSIX's longest match. Look-around and
//! back-references, which no linear matcher has, are 0A000.

mod matcher;
mod preference;
mod search;
mod similar;

pub(crate) use search::SETS;

use std::cell::RefCell;
use std::rc::Rc;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, bail, error};
use kokkiri_types::Value;
use kokkiri_types::array;
use kokkiri_types::builtin::{oid, type_info};
use matcher::{Expression, Group};

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[MATCHES, search::LIST, similar::LIST];

const MATCHES: &[&[Builtin]] = list![
    textregexeq,
    textregexne,
    texticregexeq,
    texticregexne,
    nameregexeq,
    nameregexne,
    nameicregexeq,
    nameicregexne,
    textregexsubstr,
    textregexreplace_noopt,
    textregexreplace,
    regexp_match_no_flags,
    regexp_match,
    regexp_like_no_flags,
    regexp_like,
];

/// Options of an expression: letters of the functions' flags argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    ignore_case: bool,
    global: bool,
    /// `.` and bracket expressions don't match a newline.
    newline_excluded: bool,
    /// `^` and `$` match at newlines.
    newline_anchors: bool,
    expanded: bool,
    literal: bool,
}

impl Flags {
    fn parse(text: &str) -> Result<Self> {
        let mut flags = Flags::default();
        for letter in text.chars() {
            match letter {
                'g' => flags.global = true,
                'i' => flags.ignore_case = true,
                'c' => flags.ignore_case = false,
                'm' | 'n' => (flags.newline_excluded, flags.newline_anchors) = (true, true),
                'p' => (flags.newline_excluded, flags.newline_anchors) = (true, false),
                'w' => (flags.newline_excluded, flags.newline_anchors) = (false, true),
                's' => (flags.newline_excluded, flags.newline_anchors) = (false, false),
                'x' => flags.expanded = true,
                't' => flags.expanded = false,
                'q' => flags.literal = true,
                'e' | 'b' => {}
                _ => bail!(INVALID_PARAMETER_VALUE, "invalid regular expression option: \"{letter}\""),
            }
        }
        Ok(flags)
    }
}

fn invalid(reason: &str) -> Error {
    error!(INVALID_REGULAR_EXPRESSION, "invalid regular expression: {reason}")
}

/// Rewrites an advanced expression.
fn translate(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                None => return Err(invalid("invalid escape \\ sequence")),
                Some('m') => out.push_str("\\b{start}"),
                Some('M') => out.push_str("\\b{end}"),
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('A') => out.push_str("\\A"),
                Some('Z') => out.push_str("\\z"),
                Some(digit @ '1'..='9') => {
                    return Err(Error::not_supported(format_args!(
                        "regular expression back-reference \\{digit}"
                    )));
                }
                Some('e') => out.push_str("\\x1B"),
                Some(
                    letter @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' | 'x'
                    | 'u' | 'U'),
                ) => {
                    out.push('\\');
                    out.push(letter);
                }
                Some(letter) if letter.is_ascii_alphanumeric() => {
                    return Err(invalid("invalid escape \\ sequence"));
                }
                Some(other) => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            },
            '[' => bracket(&mut characters, &mut out)?,
            '(' if characters.peek() == Some(&'?') => {
                characters.next();
                match characters.next() {
                    Some(':') => out.push_str("(?:"),
                    _ => return Err(Error::not_supported("regular expression look-around")),
                }
            }
            // A brace that opens no bound is itself.
            '{' if !characters.peek().is_some_and(char::is_ascii_digit) => out.push_str("\\{"),
            '}' if !out.rsplit('{').next().is_some_and(|bound| {
                out.contains('{') && bound.chars().all(|c| c.is_ascii_digit() || c == ',')
            }) =>
            {
                out.push_str("\\}");
            }
            '*' | '+' | '?'
                if out.is_empty()
                    || out.ends_with(['(', '|']) && !out.ends_with("\\(") && !out.ends_with("\\|") =>
            {
                return Err(invalid("quantifier operand invalid"));
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Copies a bracket expression: its first `]` and every `[`, `&`, `~` and `-` at the ends are themselves.
fn bracket(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<()> {
    let unbalanced = || invalid("brackets [] not balanced");
    out.push('[');
    if characters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = characters.next().ok_or_else(unbalanced)?;
        match c {
            ']' if !first => break,
            '[' if matches!(characters.peek(), Some(':' | '.' | '=')) => {
                let kind = characters.next().ok_or_else(unbalanced)?;
                let mut name = String::new();
                loop {
                    let c = characters.next().ok_or_else(unbalanced)?;
                    if c == kind && characters.next_if_eq(&']').is_some() {
                        break;
                    }
                    name.push(c);
                }
                if kind == ':' {
                    out.push_str(&format!("[:{name}:]"));
                } else {
                    out.push_str(&regex::escape(&name));
                }
            }
            '\\' => {
                let escaped = characters.next().ok_or_else(unbalanced)?;
                if escaped.is_ascii_alphanumeric() {
                    out.push('\\');
                    out.push(escaped);
                } else {
                    out.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
                }
            }
            '-' if first || characters.peek() == Some(&']') => out.push_str("\\-"),
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

/// Compiles an expression; prefixes `***=` (literal), `***:` and `(?flags)` are understood.
fn compile(pattern: &str, mut flags: Flags) -> Result<Expression> {
    let mut pattern = pattern;
    if let Some(literal) = pattern.strip_prefix("***=") {
        flags.literal = true;
        pattern = literal;
    } else if let Some(advanced) = pattern.strip_prefix("***:") {
        pattern = advanced;
    }
    if !flags.literal
        && let Some((letters, rest)) = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
        && !letters.is_empty()
        && letters.chars().all(|letter| letter.is_ascii_lowercase())
    {
        let embedded = Flags::parse(letters)?;
        flags = Flags {
            ignore_case: flags.ignore_case || embedded.ignore_case,
            global: flags.global,
            ..embedded
        };
        pattern = rest;
    }
    let text = if flags.literal { regex::escape(pattern) } else { translate(pattern)? };
    let shortest = !flags.literal && preference::is_shortest(pattern, flags.expanded);
    Expression::new(text, flags, shortest).map_err(|failure| {
        let text = failure.to_string();
        invalid(match text.lines().last().unwrap_or_default() {
            line if line.contains("unclosed group") || line.contains("unopened group") => {
                "parentheses () not balanced"
            }
            line if line.contains("character class") => "brackets [] not balanced",
            line if line.contains("repetition") => "invalid repetition count(s)",
            _ => "cannot be compiled",
        })
    })
}

/// Compiled expressions that a thread keeps: PostgreSQL's cache has 32 as well.
const CACHE: usize = 32;

type Cached = (String, Flags, Rc<Expression>);

thread_local! {
    static EXPRESSIONS: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

/// The compiled form, most recently used first in the cache.
fn expression(pattern: &str, flags: Flags) -> Result<Rc<Expression>> {
    let found = EXPRESSIONS.with_borrow_mut(|cache| {
        let at = cache.iter().position(|(text, of, _)| text == pattern && *of == flags)?;
        cache[..=at].rotate_right(1);
        Some(cache[0].2.clone())
    });
    if let Some(expression) = found {
        return Ok(expression);
    }
    let expression = Rc::new(compile(pattern, flags)?);
    EXPRESSIONS.with_borrow_mut(|cache| {
        cache.truncate(CACHE - 1);
        cache.insert(0, (pattern.to_owned(), flags, expression.clone()));
    });
    Ok(expression)
}

fn is_match(text: &str, pattern: &str, ignore_case: bool) -> Result<bool> {
    expression(pattern, Flags { ignore_case, ..Flags::default() })?.is_match(text)
}

macro_rules! operators {
    ($($name:ident [$($oid:literal),*] $ignore_case:literal $expected:literal;)*) => {$(
        #[builtin(oid = [$($oid),*])]
        fn $name(text: &str, pattern: &str) -> Result<bool> {
            Ok(is_match(text, pattern, $ignore_case)? == $expected)
        }
    )*};
}

operators! {
    textregexeq [1254, 1658] false true;
    textregexne [1256, 1659] false false;
    texticregexeq [1238, 1656] true true;
    texticregexne [1239, 1657] true false;
    nameregexeq [79] false true;
    nameregexne [1252] false false;
    nameicregexeq [1240] true true;
    nameicregexne [1241] true false;
}

/// `substring(text from pattern)`: the first group, or the whole match if there is none.
#[builtin(oid = 2073)]
fn textregexsubstr(text: &str, pattern: &str) -> Result<Option<String>> {
    let expression = expression(pattern, Flags::default())?;
    let Some(groups) = expression.find(text, 0, true)? else { return Ok(None) };
    let group = usize::from(expression.groups() > 0);
    Ok(part(text, &groups, group).map(str::to_owned))
}

/// The text of a group, zero being the whole match.
fn part<'t>(text: &'t str, groups: &[Group], number: usize) -> Option<&'t str> {
    let (start, end) = groups.get(number).copied().flatten()?;
    Some(&text[start..end])
}

/// Puts groups into a replacement: `\1` to `\9`, `\&` for the whole, `\\` for a backslash.
fn expand(replacement: &str, text: &str, groups: &[Group], out: &mut String) {
    let mut characters = replacement.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some(digit @ '1'..='9') => {
                let group = digit as usize - '0' as usize;
                out.push_str(part(text, groups, group).unwrap_or_default());
            }
            Some('&') => out.push_str(part(text, groups, 0).unwrap_or_default()),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

/// Replaces the `n`-th match from a byte offset on, or all if `n` is zero.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    flags: Flags,
    start: usize,
    n: usize,
) -> Result<String> {
    let expression = expression(pattern, Flags { global: false, ..flags })?;
    let (mut out, mut copied, mut matches) = (String::with_capacity(text.len()), 0, 0);
    let mut from = start;
    let with_groups = replacement.contains('\\');
    while let Some(groups) = expression.find(text, from, with_groups)? {
        let (start, end) = groups[0].expect("the match itself is a group");
        matches += 1;
        from = next_start(text, start, end);
        if n > 0 && matches != n {
            continue;
        }
        out.push_str(&text[copied..start]);
        expand(replacement, text, &groups, &mut out);
        copied = end;
        if n > 0 {
            break;
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

/// Where to look for the match after this one: an empty one is stepped over.
fn next_start(text: &str, start: usize, end: usize) -> usize {
    if start < end {
        return end;
    }
    end + text[end..].chars().next().map_or(1, char::len_utf8)
}

#[builtin(oid = 2284)]
fn textregexreplace_noopt(text: &str, pattern: &str, replacement: &str) -> Result<String> {
    replace(text, pattern, replacement, Flags::default(), 0, 1)
}

#[builtin(oid = 2285)]
fn textregexreplace(text: &str, pattern: &str, replacement: &str, flags: &str) -> Result<String> {
    if flags.starts_with(|letter: char| letter.is_ascii_digit()) {
        // Who meant the parameter after the replacement to be the start has to say so.
        return Err(error!(INVALID_PARAMETER_VALUE, "invalid regular expression option: \"{}\"", &flags[..1])
            .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
    }
    let flags = Flags::parse(flags)?;
    replace(text, pattern, replacement, flags, 0, usize::from(!flags.global))
}

/// The groups of the first match, or the match itself, as text[].
fn first_match(text: &str, pattern: &str, flags: Flags) -> Result<Option<Vec<u8>>> {
    let expression = expression(pattern, flags)?;
    let Some(groups) = expression.find(text, 0, true)? else { return Ok(None) };
    let first = usize::from(expression.groups() > 0);
    let values: Vec<Value> = (first..groups.len())
        .map(|group| part(text, &groups, group).map_or(Value::Null, Value::from))
        .collect();
    array::build_vector(type_info(oid::TEXT).expect("text is built in"), &values).map(Some)
}

#[builtin(oid = 3396)]
fn regexp_match_no_flags(text: &str, pattern: &str) -> Result<Option<Vec<u8>>> {
    first_match(text, pattern, Flags::default())
}

#[builtin(oid = 3397)]
fn regexp_match(text: &str, pattern: &str, flags: &str) -> Result<Option<Vec<u8>>> {
    let flags = Flags::parse(flags)?;
    if flags.global {
        return Err(error!(INVALID_PARAMETER_VALUE, "regexp_match() does not support the \"global\" option")
            .hint("Use the regexp_matches function instead."));
    }
    first_match(text, pattern, flags)
}

#[builtin(oid = 6263)]
fn regexp_like_no_flags(text: &str, pattern: &str) -> Result<bool> {
    is_match(text, pattern, false)
}

#[builtin(oid = 6264)]
fn regexp_like(text: &str, pattern: &str, flags: &str) -> Result<bool> {
    let flags = Flags::parse(flags)?;
    if flags.global {
        bail!(INVALID_PARAMETER_VALUE, "regexp_like() does not support the \"global\" option");
    }
    expression(pattern, flags)?.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results are PostgreSQL's.
    #[test]
    fn expressions_match() {
        for (text, pattern, expected) in [
            ("pgbench_accounts", "^(pgbench_accounts)$", true),
            ("pg_toast_1", "^pg_toast", true),
            ("abc", "^(b|c)", false),
            ("foobar", "o{2}b", true),
            ("a{b", "a{b", true),
            ("x-y", "[a-]y", true),
            ("x]y", "[]]y", true),
            ("a1", "[[:alpha:]][[:digit:]]", true),
            ("the cat", "\\mcat\\M", true),
            ("concat", "\\mcat", false),
            ("ABC", "(?i)abc", true),
            ("a.c", "***=a.c", true),
            ("abc", "***=a.c", false),
            ("a\nb", "a.b", true),
            ("aXb", "a\\Xb", false),
        ] {
            match is_match(text, pattern, false) {
                Ok(matched) => assert_eq!(matched, expected, "{text} ~ {pattern}"),
                Err(error) => assert!(error.message().starts_with("invalid regular expression"), "{error}"),
            }
        }
        assert_eq!(
            is_match("a", "(", false).expect_err("open").message(),
            "invalid regular expression: parentheses () not balanced"
        );
        assert_eq!(
            is_match("a", "*a", false).expect_err("nothing to repeat").message(),
            "invalid regular expression: quantifier operand invalid"
        );
        assert_eq!(textregexsubstr("foobar", "o(.)b").ok().flatten().as_deref(), Some("o"));
        assert_eq!(textregexsubstr("foobar", "o.b").ok().flatten().as_deref(), Some("oob"));
        assert_eq!(textregexreplace("foobarbaz", "b(..)", "X\\1Y", "g").ok().as_deref(), Some("fooXarYXazY"));
        assert_eq!(textregexreplace_noopt("foobarbaz", "b..", "X").ok().as_deref(), Some("fooXbaz"));
    }
}
