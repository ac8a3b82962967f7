//! Making strings: concat, format, quoting, digests and encodings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result, bail, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::text::{parse_hex, write_hex};
use kokkiri_types::{Value, ValueRef, array, io};

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    text_concat,
    text_concat_ws,
    text_format,
    quote_ident,
    quote_literal,
    quote_nullable,
    md5_text,
    md5_bytea,
    to_hex32,
    to_hex64,
    to_bin32,
    to_bin64,
    to_oct32,
    to_oct64,
    binary_encode,
    binary_decode,
    textanycat,
    anytextcat,
];

/// Appends a value as its type's output function shows it.
fn append(context: &CallContext<'_>, type_oid: Oid, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
    // concat shows booleans as their output function does: t and f.
    io::output_text(type_oid, value, context.io, out)
}

/// The arguments from `first` on with their types; those of a VARIADIC array one by one.
fn variadic(
    context: &CallContext<'_>,
    arguments: &[ValueRef<'_>],
    first: usize,
) -> Result<Option<Vec<(Oid, Value)>>> {
    if context.variadic {
        let Some(list) = arguments.get(first).filter(|value| !value.is_null()) else { return Ok(None) };
        let element = array::ArrayRef::new(list.bytes())?.element;
        return Ok(Some(array::values(list.bytes())?.into_iter().map(|value| (element, value)).collect()));
    }
    let types = |at: usize| context.argument_types.get(at).copied().unwrap_or(oid::TEXT);
    Ok(Some(
        arguments.iter().enumerate().skip(first).map(|(at, value)| (types(at), value.to_value())).collect(),
    ))
}

fn join(context: &CallContext<'_>, separator: &[u8], values: &[(Oid, Value)]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut first = true;
    for (type_oid, value) in values.iter().filter(|(_, value)| !value.is_null()) {
        if !first {
            out.extend_from_slice(separator);
        }
        first = false;
        append(context, *type_oid, value.as_ref(), &mut out)?;
    }
    Ok(out)
}

#[builtin(oid = 3058, raw)]
fn text_concat(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    match variadic(context, arguments, 0)? {
        Some(values) => join(context, b"", &values).map(Value::from),
        None => Ok(Value::Null),
    }
}

#[builtin(oid = 3059, raw)]
fn text_concat_ws(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let Some(separator) = arguments.first().filter(|separator| !separator.is_null()) else {
        return Ok(Value::Null);
    };
    match variadic(context, arguments, 1)? {
        Some(values) => join(context, separator.bytes(), &values).map(Value::from),
        None => Ok(Value::Null),
    }
}

/// `text || anynonarray`.
/// As [`append`], but as the cast to text shows the value, which for booleans is the whole word.
fn append_cast(
    context: &CallContext<'_>,
    type_oid: Oid,
    value: ValueRef<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if type_oid == oid::BOOL {
        out.extend_from_slice(value.bool().to_string().as_bytes());
        return Ok(());
    }
    append(context, type_oid, value, out)
}

#[builtin(oid = 2003, raw, strict)]
fn textanycat(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let mut out = arguments[0].bytes().to_vec();
    append_cast(
        context,
        context.argument_types.get(1).copied().unwrap_or(oid::TEXT),
        arguments[1],
        &mut out,
    )?;
    Ok(Value::from(out))
}

/// `anynonarray || text`.
#[builtin(oid = 2004, raw, strict)]
fn anytextcat(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let mut out = Vec::new();
    append_cast(
        context,
        context.argument_types.first().copied().unwrap_or(oid::TEXT),
        arguments[0],
        &mut out,
    )?;
    out.extend_from_slice(arguments[1].bytes());
    Ok(Value::from(out))
}

/// A `%` specifier of a format string.
#[derive(Default)]
struct Specifier {
    position: Option<usize>,
    left: bool,
    width: Width,
}

/// Least width of a specifier: none, a number, or an argument.
#[derive(Default)]
enum Width {
    #[default]
    None,
    Fixed(i32),
    Argument(Option<usize>),
}

/// `format(text, VARIADIC "any")`.
#[builtin(oid = [3539, 3540], raw)]
fn text_format(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let Some(format) = arguments.first().filter(|format| !format.is_null()) else { return Ok(Value::Null) };
    let format = std::str::from_utf8(format.bytes()).unwrap_or_default();
    let values = variadic(context, arguments, 1)?.unwrap_or_default();
    let mut out = Vec::new();
    let mut rest = format;
    let mut next = 0;
    let take = |position: Option<usize>, next: &mut usize| {
        let at = position.map_or(*next, |position| position - 1);
        *next = at + 1;
        values.get(at).ok_or_else(|| error!(INVALID_PARAMETER_VALUE, "too few arguments for format()"))
    };
    while let Some(at) = rest.find('%') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push(b'%');
            rest = after;
            continue;
        }
        let specifier = parse_specifier(&mut rest)?;
        let mut left = specifier.left;
        let width = match specifier.width {
            Width::None => 0,
            Width::Fixed(width) => width,
            Width::Argument(position) => {
                let (_, value) = take(position, &mut next)?;
                match value {
                    Value::Null => 0,
                    Value::Int16(width) => i32::from(*width),
                    Value::Int32(width) => *width,
                    other => {
                        let mut text = Vec::new();
                        append(context, oid::TEXT, other.as_ref(), &mut text)?;
                        kokkiri_types::number::parse_int4(&String::from_utf8_lossy(&text))?
                    }
                }
            }
        };
        left |= width < 0;
        let conversion = rest.chars().next().ok_or_else(unterminated)?;
        rest = &rest[conversion.len_utf8()..];
        if !matches!(conversion, 's' | 'I' | 'L') {
            return Err(error!(
                INVALID_PARAMETER_VALUE,
                "unrecognized format() type specifier \"{conversion}\""
            )
            .hint("For a single \"%\" use \"%%\"."));
        }
        let (type_oid, value) = take(specifier.position, &mut next)?;
        let text = convert(context, conversion, *type_oid, value)?;
        let missing = (width.unsigned_abs() as usize).saturating_sub(kokkiri_types::text::char_count(&text));
        let padding = vec![b' '; super::check_length(Some(missing))?];
        let (first, second) = if left { (text, padding) } else { (padding, text) };
        out.extend(first);
        out.extend(second);
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(Value::from(out))
}

fn unterminated() -> kokkiri_primitives::Error {
    error!(INVALID_PARAMETER_VALUE, "unterminated format() type specifier")
        .hint("For a single \"%\" use \"%%\".")
}

fn convert(context: &CallContext<'_>, conversion: char, type_oid: Oid, value: &Value) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    append(context, type_oid, value.as_ref(), &mut text)?;
    Ok(match conversion {
        's' => text,
        'I' if value.is_null() => {
            bail!(NULL_VALUE_NOT_ALLOWED, "null values cannot be formatted as an SQL identifier")
        }
        'I' => quote_ident(&String::from_utf8_lossy(&text)).into_bytes(),
        _ if value.is_null() => b"NULL".to_vec(),
        _ => quote_literal(&String::from_utf8_lossy(&text)).into_bytes(),
    })
}

/// Reads `[position$][-][width]` up to the conversion.
fn parse_specifier(rest: &mut &str) -> Result<Specifier> {
    let mut specifier = Specifier::default();
    let number = |rest: &mut &str| -> Result<Option<i32>> {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Ok(None);
        }
        let value = rest[..digits]
            .parse()
            .map_err(|_| error!(NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))?;
        *rest = &rest[digits..];
        Ok(Some(value))
    };
    let position = |number: i32| {
        usize::try_from(number).ok().filter(|&number| number > 0).ok_or_else(|| {
            error!(INVALID_PARAMETER_VALUE, "format specifies argument 0, but arguments are numbered from 1")
        })
    };
    if let Some(first) = number(rest)? {
        match rest.strip_prefix('$') {
            Some(after) => {
                *rest = after;
                specifier.position = Some(position(first)?);
            }
            None => {
                specifier.width = Width::Fixed(first);
                return Ok(specifier);
            }
        }
    }
    while let Some(after) = rest.strip_prefix('-') {
        *rest = after;
        specifier.left = true;
    }
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let argument = number(rest)?;
        if let Some(argument) = argument {
            let Some(after) = rest.strip_prefix('$') else {
                bail!(INVALID_PARAMETER_VALUE, "width argument position must be ended by \"$\"");
            };
            *rest = after;
            specifier.width = Width::Argument(Some(position(argument)?));
        } else {
            specifier.width = Width::Argument(None);
        }
    } else if let Some(width) = number(rest)? {
        specifier.width = Width::Fixed(width);
    }
    Ok(specifier)
}

/// True if an identifier needs no quotes: lower-case letters, digits and underscores, and no reserved word.
fn is_plain_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && crate::keywords::KEYWORDS.binary_search(&text).is_err()
}

/// Quotes an identifier if it needs it.
#[builtin(oid = 1282)]
pub fn quote_ident(text: &str) -> String {
    if is_plain_identifier(text) { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// Quotes a literal; one with backslashes becomes an escape string.
#[builtin(oid = 1283)]
pub fn quote_literal(text: &str) -> String {
    let prefix = if text.contains('\\') { "E" } else { "" };
    format!("{prefix}'{}'", text.replace('\'', "''").replace('\\', "\\\\"))
}

#[builtin(oid = 1289)]
pub(super) fn quote_nullable(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote_literal)
}

fn md5_hex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    write_hex(&crate::digest::md5(bytes), &mut out);
    out
}

#[builtin(oid = 2311)]
fn md5_text(text: &[u8]) -> Vec<u8> {
    md5_hex(text)
}

#[builtin(oid = 2321)]
fn md5_bytea(bytes: &[u8]) -> Vec<u8> {
    md5_hex(bytes)
}

macro_rules! radix {
    ($($name:ident $oid:literal $type:ident $format:literal;)*) => {$(
        #[builtin(oid = $oid)]
        fn $name(value: $type) -> String {
            format!($format, value)
        }
    )*};
}

radix! {
    to_hex32 2089 i32 "{:x}";
    to_hex64 2090 i64 "{:x}";
    to_bin32 6330 i32 "{:b}";
    to_bin64 6331 i64 "{:b}";
    to_oct32 6332 i32 "{:o}";
    to_oct64 6333 i64 "{:o}";
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 in lines of 76 characters, as RFC 2045 has it.
fn base64_encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
    for (group, chunk) in bytes.chunks(3).enumerate() {
        if group > 0 && group % 19 == 0 {
            out.push(b'\n');
        }
        let word =
            chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let symbol = BASE64[(word >> (18 - 6 * digit) & 63) as usize];
            out.push(if digit <= chunk.len() { symbol } else { b'=' });
        }
    }
    out
}

fn base64_decode(text: &str) -> Result<Vec<u8>> {
    let end = || {
        error!(INVALID_PARAMETER_VALUE, "invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
    };
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut digits, mut padding) = (0u32, 0, 0);
    for c in text.chars() {
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        let value = match BASE64.iter().position(|&symbol| symbol as char == c) {
            Some(value) if padding == 0 => value as u32,
            Some(_) => return Err(end()),
            None if c == '=' => {
                if digits < 2 {
                    bail!(INVALID_PARAMETER_VALUE, "unexpected \"=\" while decoding base64 sequence");
                }
                padding += 1;
                0
            }
            None => {
                bail!(INVALID_PARAMETER_VALUE, "invalid symbol \"{c}\" found while decoding base64 sequence")
            }
        };
        word = word << 6 | value;
        digits += 1;
        if digits == 4 {
            out.extend_from_slice(&word.to_be_bytes()[1..4 - padding.min(2)]);
            (word, digits) = (0, 0);
        }
    }
    if digits != 0 { Err(end()) } else { Ok(out) }
}

fn unknown_encoding(name: &str) -> kokkiri_primitives::Error {
    error!(INVALID_PARAMETER_VALUE, "unrecognized encoding: \"{name}\"")
}

#[builtin(oid = 1946)]
fn binary_encode(bytes: &[u8], encoding: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => write_hex(bytes, &mut out),
        "base64" => return Ok(base64_encode(bytes)),
        "escape" => {
            for &byte in bytes {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    0 | 0x80.. => {
                        out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
                    }
                    _ => out.push(byte),
                }
            }
        }
        _ => return Err(unknown_encoding(encoding)),
    }
    Ok(out)
}

#[builtin(oid = 1947)]
fn binary_decode(text: &str, encoding: &str) -> Result<Vec<u8>> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => parse_hex(text),
        "base64" => base64_decode(text),
        "escape" => match text.strip_prefix("\\x") {
            Some(_) => bail!(INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea"),
            None => kokkiri_types::text::parse_bytea(text),
        },
        _ => Err(unknown_encoding(encoding)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SessionInfo;

    fn formatted(format: &str, values: &[Value]) -> Result<String> {
        let (settings, session) = (io::IoSettings::default(), SessionInfo::default());
        let mut context = CallContext::new(&settings, &session);
        let types = vec![oid::TEXT; values.len() + 1];
        context.argument_types = &types;
        let mut arguments = vec![ValueRef::Bytes(format.as_bytes())];
        arguments.extend(values.iter().map(Value::as_ref));
        let value = text_format(&mut context, &arguments)?;
        Ok(value.as_ref().text().into_owned())
    }

    /// Results are PostgreSQL's.
    #[test]
    fn formats_and_quotes() {
        let values = [Value::from("Foo bar"), Value::from("O'Reilly"), Value::from("10")];
        for (format, expected) in [
            ("Hello %s, %1$s", "Hello Foo bar, Foo bar"),
            ("%I = %L", "\"Foo bar\" = 'O''Reilly'"),
            ("|%10s|", "|   Foo bar|"),
            ("|%-10s|", "|Foo bar   |"),
            ("|%3$*3$s|", "|        10|"),
            ("100%%", "100%"),
        ] {
            assert_eq!(formatted(format, &values).expect("valid"), expected);
        }
        assert_eq!(formatted("%s", &[]).expect_err("missing").message(), "too few arguments for format()");
        assert_eq!(
            formatted("%y", &values).expect_err("unknown").message(),
            "unrecognized format() type specifier \"y\""
        );
        assert_eq!(quote_ident("select"), "\"select\"");
        assert_eq!(quote_ident("abc_1"), "abc_1");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
        assert_eq!(md5_hex(b"abc"), b"900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(base64_encode(b"123\x00\x01"), b"MTIzAAE=");
        assert_eq!(base64_decode("MTIzAAE=").ok(), Some(b"123\x00\x01".to_vec()));
    }
}
