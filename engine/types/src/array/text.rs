//! Text and binary forms of arrays.

use kokkiri_primitives::{Error, Oid, Result, bail, error};

use super::{ArrayRef, MAX_DIMENSIONS, MAX_ELEMENTS, build, build_fixed_vector, element_info, malformed};
use crate::builtin::{TypeInfo, oid};
use crate::io::{self, IoSettings};
use crate::number::{is_space, write_i64};
use crate::value::{Value, ValueRef};

/// Appends the text of an array.
///
/// # Errors
/// 0A000 if the element type has no text form here.
pub fn write(payload: &[u8], settings: &IoSettings, out: &mut Vec<u8>) -> Result<()> {
    let array = ArrayRef::new(payload)?;
    if array.is_empty() {
        out.extend_from_slice(b"{}");
        return Ok(());
    }
    let output = io::output_function(array.element)?;
    write_with(payload, &mut |value, text| output(value, settings, text), out)
}

/// [`write`] with another way to print the elements that are not null.
///
/// # Errors
/// Those of `output`.
pub fn write_with(
    payload: &[u8],
    output: &mut dyn FnMut(ValueRef<'_>, &mut Vec<u8>) -> Result<()>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let array = ArrayRef::new(payload)?;
    if array.is_empty() {
        out.extend_from_slice(b"{}");
        return Ok(());
    }
    let info = element_info(array.element)?;
    let dims: Vec<i32> = array.dims().collect();
    if array.lower_bounds().any(|lower| lower != 1) {
        for (size, lower) in array.dims().zip(array.lower_bounds()) {
            out.push(b'[');
            write_i64(i64::from(lower), out);
            out.push(b':');
            write_i64(i64::from(lower) + i64::from(size) - 1, out);
            out.push(b']');
        }
        out.push(b'=');
    }
    // How many elements each dimension's braces span.
    let mut spans = vec![1usize; dims.len()];
    for at in (0..dims.len()).rev() {
        spans[at] = dims[at] as usize * spans.get(at + 1).copied().unwrap_or(1);
    }
    let mut text = Vec::new();
    for (index, value) in array.elements(info).enumerate() {
        if index > 0 {
            out.push(info.delimiter);
        }
        spans.iter().filter(|&&span| index % span == 0).for_each(|_| out.push(b'{'));
        if value.is_null() {
            out.extend_from_slice(b"NULL");
        } else {
            text.clear();
            output(value, &mut text)?;
            write_element(&text, info.delimiter, out);
        }
        spans.iter().filter(|&&span| (index + 1) % span == 0).for_each(|_| out.push(b'}'));
    }
    Ok(())
}

fn write_element(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special =
        |&byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}') || byte == delimiter || is_space(byte);
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A token of an array literal.
enum Token {
    Open,
    Close,
    Delimiter,
    Element(String),
    Null,
}

/// Reader of array literals.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    delimiter: u8,
}

impl Reader<'_> {
    fn bytes(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip_space(&mut self) {
        while self.bytes().first().is_some_and(|&byte| is_space(byte)) {
            self.at += 1;
        }
    }

    fn error(&self, detail: impl Into<String>) -> Error {
        malformed(self.text, detail)
    }

    /// `[lower:upper]...=` before the braces; sizes and lower bounds.
    fn dimensions(&mut self) -> Result<Option<(Vec<i32>, Vec<i32>)>> {
        let (mut dims, mut lower_bounds) = (Vec::new(), Vec::new());
        loop {
            self.skip_space();
            if self.bytes().first() != Some(&b'[') {
                break;
            }
            self.at += 1;
            if dims.len() >= MAX_DIMENSIONS {
                bail!(
                    PROGRAM_LIMIT_EXCEEDED,
                    "number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"
                );
            }
            let first = self.bound()?;
            let (lower, upper) = match self.bytes().first() {
                Some(b':') => {
                    self.at += 1;
                    (first, self.bound()?)
                }
                _ => (1, first),
            };
            if self.bytes().first() != Some(&b']') {
                return Err(self.error("Missing \"]\" after array dimensions."));
            }
            self.at += 1;
            if upper < lower {
                bail!(ARRAY_ELEMENT_ERROR, "upper bound cannot be less than lower bound");
            }
            if upper == i32::MAX {
                bail!(PROGRAM_LIMIT_EXCEEDED, "array upper bound is too large: {upper}");
            }
            let size = i64::from(upper) - i64::from(lower) + 1;
            if size > MAX_ELEMENTS as i64 {
                bail!(PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed ({MAX_ELEMENTS})");
            }
            dims.push(size as i32);
            lower_bounds.push(lower);
        }
        if dims.is_empty() {
            return Ok(None);
        }
        if self.bytes().first() != Some(&b'=') {
            return Err(self.error("Missing \"=\" after array dimensions."));
        }
        self.at += 1;
        self.skip_space();
        Ok(Some((dims, lower_bounds)))
    }

    fn bound(&mut self) -> Result<i32> {
        let digits =
            self.bytes().iter().take_while(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+')).count();
        let text = &self.text[self.at..self.at + digits];
        if digits == 0 {
            return Err(self.error("\"[\" must introduce explicitly-specified array dimensions."));
        }
        self.at += digits;
        text.parse().map_err(|_| error!(NUMERIC_VALUE_OUT_OF_RANGE, "array bound is out of integer range"))
    }

    fn token(&mut self) -> Result<Token> {
        self.skip_space();
        let Some(&byte) = self.bytes().first() else { return Err(self.error("Unexpected end of input.")) };
        if matches!(byte, b'{' | b'}') || byte == self.delimiter {
            self.at += 1;
            return Ok(match byte {
                b'{' => Token::Open,
                b'}' => Token::Close,
                _ => Token::Delimiter,
            });
        }
        if byte == b'"' { self.quoted() } else { self.unquoted() }
    }

    fn quoted(&mut self) -> Result<Token> {
        let mut element = Vec::new();
        self.at += 1;
        loop {
            match *self.bytes() {
                [] => return Err(self.error("Unexpected end of input.")),
                [b'\\', next, ..] => {
                    element.push(next);
                    self.at += 2;
                }
                [b'"', ..] => break,
                [byte, ..] => {
                    element.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.skip_space();
        match self.bytes().first() {
            Some(&byte) if byte == self.delimiter || byte == b'}' || byte == b'{' => {}
            None => {}
            Some(_) => return Err(self.error("Incorrectly quoted array element.")),
        }
        Ok(Token::Element(String::from_utf8_lossy(&element).into_owned()))
    }

    fn unquoted(&mut self) -> Result<Token> {
        let mut element = Vec::new();
        let mut escaped = false;
        // Trailing white space is dropped unless it was escaped.
        let mut kept = 0;
        loop {
            match *self.bytes() {
                [] => return Err(self.error("Unexpected end of input.")),
                [b'\\', next, ..] => {
                    element.push(next);
                    escaped = true;
                    kept = element.len();
                    self.at += 2;
                }
                [b'\\'] => return Err(self.error("Unexpected end of input.")),
                [b'"', ..] => return Err(self.error("Incorrectly quoted array element.")),
                [byte, ..] if byte == self.delimiter || byte == b'}' => break,
                [b'{', ..] => return Err(self.error("Unexpected \"{\" character.")),
                [byte, ..] => {
                    element.push(byte);
                    if !is_space(byte) {
                        kept = element.len();
                    }
                    self.at += 1;
                }
            }
        }
        element.truncate(kept);
        if !escaped && element.eq_ignore_ascii_case(b"null") {
            return Ok(Token::Null);
        }
        Ok(Token::Element(String::from_utf8_lossy(&element).into_owned()))
    }
}

/// Reads an array literal.
///
/// # Errors
/// 22P02 `malformed array literal` with PostgreSQL's details, or what the element type's input raises.
pub fn parse(info: &TypeInfo, typmod: i32, text: &str, settings: &IoSettings) -> Result<Vec<u8>> {
    parse_with(info, text, &mut |element| io::input_text(info.oid, typmod, element, settings))
}

/// [`parse`] with another way to read the elements that are not null.
///
/// # Errors
/// 22P02 `malformed array literal` with PostgreSQL's details, or those of `input`.
pub fn parse_with(
    info: &TypeInfo,
    text: &str,
    input: &mut dyn FnMut(&str) -> Result<Value>,
) -> Result<Vec<u8>> {
    let mut reader = Reader { text, at: 0, delimiter: info.delimiter };
    let declared = reader.dimensions()?;
    if reader.bytes().first() != Some(&b'{') {
        return Err(reader.error(if declared.is_some() {
            "Array contents must start with \"{\"."
        } else {
            "Array value must start with \"{\" or dimension information."
        }));
    }
    let mut values = Vec::new();
    let dims = contents(&mut reader, info, input, &mut values)?;
    reader.skip_space();
    if !reader.bytes().is_empty() {
        return Err(reader.error("Junk after closing right brace."));
    }
    let (dims, lower_bounds) = match declared {
        Some((declared, lower_bounds)) => {
            if declared != dims {
                return Err(reader.error("Specified array dimensions do not match array contents."));
            }
            (dims, lower_bounds)
        }
        None => {
            let lower_bounds = vec![1; dims.len()];
            (dims, lower_bounds)
        }
    };
    build(info, &dims, &lower_bounds, values.iter().map(Value::as_ref))
}

/// Reads the braces and what is in them; the sizes of the dimensions.
fn contents(
    reader: &mut Reader<'_>,
    info: &TypeInfo,
    input: &mut dyn FnMut(&str) -> Result<Value>,
    values: &mut Vec<Value>,
) -> Result<Vec<i32>> {
    let mismatch = "Multidimensional arrays must have sub-arrays with matching dimensions.";
    let mut dims: Vec<i32> = Vec::new();
    // Items so far at each open level; the level at which elements stand, once one was seen.
    let mut counts: Vec<i32> = Vec::new();
    let mut element_level = None;
    let mut closed_empty = false;
    let mut expect_item = true;
    loop {
        let token = reader.token()?;
        let level = counts.len();
        match token {
            Token::Open => {
                if level > 0 && !expect_item {
                    return Err(reader.error("Unexpected \"{\" character."));
                }
                if level >= MAX_DIMENSIONS {
                    bail!(
                        PROGRAM_LIMIT_EXCEEDED,
                        "number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"
                    );
                }
                if element_level.is_some_and(|elements| level >= elements)
                    || closed_empty && level == dims.len()
                {
                    return Err(reader.error(mismatch));
                }
                if let Some(count) = counts.last_mut() {
                    *count += 1;
                }
                counts.push(0);
                if dims.len() < counts.len() {
                    dims.push(-1);
                }
                expect_item = true;
            }
            Token::Close => {
                let count = counts.last().copied().unwrap_or(0);
                if expect_item && count > 0 {
                    return Err(reader.error("Unexpected \"}\" character."));
                }
                if count == 0 {
                    closed_empty = true;
                    if element_level.is_some() {
                        return Err(reader.error(mismatch));
                    }
                }
                let size = &mut dims[level - 1];
                if *size < 0 {
                    *size = count;
                } else if *size != count {
                    return Err(reader.error(mismatch));
                }
                counts.pop();
                if counts.is_empty() {
                    break;
                }
                expect_item = false;
            }
            Token::Delimiter => {
                if expect_item {
                    return Err(reader.error(format!("Unexpected \"{}\" character.", info.delimiter as char)));
                }
                expect_item = true;
            }
            Token::Element(_) | Token::Null => {
                if !expect_item {
                    return Err(reader.error("Unexpected array element."));
                }
                if level < dims.len() || element_level.is_some_and(|elements| elements != level) {
                    return Err(reader.error(mismatch));
                }
                element_level = Some(level);
                if let Some(count) = counts.last_mut() {
                    *count += 1;
                }
                values.push(match &token {
                    Token::Element(text) => input(text)?,
                    _ => Value::Null,
                });
                expect_item = false;
            }
        }
    }
    Ok(if values.is_empty() { Vec::new() } else { dims })
}

/// The wire's binary form of an array.
///
/// # Errors
/// 0A000 if the element type has no binary form here.
pub fn write_binary(payload: &[u8], settings: &IoSettings, out: &mut Vec<u8>) -> Result<()> {
    let array = ArrayRef::new(payload)?;
    let info = element_info(array.element)?;
    out.extend((array.dimensions() as i32).to_be_bytes());
    out.extend(i32::from(array.has_nulls()).to_be_bytes());
    out.extend(array.element.0.to_be_bytes());
    for (size, lower) in array.dims().zip(array.lower_bounds()) {
        out.extend(size.to_be_bytes());
        out.extend(lower.to_be_bytes());
    }
    for value in array.elements(info) {
        if value.is_null() {
            out.extend((-1i32).to_be_bytes());
            continue;
        }
        let start = out.len();
        out.extend([0; 4]);
        io::output_binary(array.element, value, settings, out)?;
        let length = (out.len() - start - 4) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// # Errors
/// 22P03 and 42804 as PostgreSQL's `array_recv`.
pub fn read_binary(info: &TypeInfo, typmod: i32, bytes: &[u8], settings: &IoSettings) -> Result<Vec<u8>> {
    let mut at = 0;
    let mut next = || {
        let word = bytes.get(at..at + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        at += 4;
        word.ok_or_else(|| error!(PROTOCOL_VIOLATION, "insufficient data left in message"))
    };
    let dimensions = next()?;
    let flags = next()?;
    let element = Oid(next()? as u32);
    if dimensions < 0 {
        bail!(INVALID_BINARY_REPRESENTATION, "invalid number of dimensions: {dimensions}");
    }
    if dimensions as usize > MAX_DIMENSIONS {
        bail!(
            PROGRAM_LIMIT_EXCEEDED,
            "number of array dimensions ({dimensions}) exceeds the maximum allowed ({MAX_DIMENSIONS})"
        );
    }
    if flags != 0 && flags != 1 {
        bail!(INVALID_BINARY_REPRESENTATION, "invalid array flags");
    }
    if element != info.oid {
        bail!(
            DATATYPE_MISMATCH,
            "binary data has array element type {element} ({}) instead of expected {} ({})",
            io::type_name(element),
            info.oid,
            io::type_name(info.oid)
        );
    }
    let (mut dims, mut lower_bounds) = (Vec::new(), Vec::new());
    for _ in 0..dimensions {
        dims.push(next()?);
        lower_bounds.push(next()?);
    }
    let count =
        dims.iter().try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?));
    let count = count.filter(|&count| count <= MAX_ELEMENTS).ok_or_else(|| {
        error!(PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed ({MAX_ELEMENTS})")
    })?;
    let mut values = Vec::new();
    for _ in 0..if dimensions == 0 { 0 } else { count } {
        let length = bytes.get(at..at + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        at += 4;
        let length = length.ok_or_else(|| error!(PROTOCOL_VIOLATION, "insufficient data left in message"))?;
        values.push(match usize::try_from(length) {
            Err(_) => Value::Null,
            Ok(length) => {
                let data = bytes.get(at..at + length).ok_or_else(|| {
                    error!(INVALID_BINARY_REPRESENTATION, "insufficient data left in message")
                })?;
                at += length;
                io::input_binary(info.oid, typmod, data, settings)?
            }
        });
    }
    build(info, &dims, &lower_bounds, values.iter().map(Value::as_ref))
}

/// Numbers separated by blanks: int2vector and oidvector.
pub fn write_vector(payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    for (index, value) in ArrayRef::new(payload)?.builtin_elements()?.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        match value {
            ValueRef::Int16(value) => write_i64(i64::from(value), out),
            ValueRef::Int32(value) => write_i64(i64::from(value as u32), out),
            other => return Err(Error::internal(format!("unexpected element {other:?} of a vector"))),
        }
    }
    Ok(())
}

/// # Errors
/// 22P02 or 22003 of the number that doesn't read.
pub fn parse_vector(element: Oid, text: &str, settings: &IoSettings) -> Result<Vec<u8>> {
    let element = if element == oid::INT2 { oid::INT2 } else { oid::OID };
    let numbers = text.split(|c: char| c.is_ascii() && is_space(c as u8)).filter(|word| !word.is_empty());
    let values: Result<Vec<Value>> =
        numbers.map(|number| io::input_text(element, -1, number, settings)).collect();
    Ok(build_fixed_vector(element, &values?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::type_info;

    fn round_trip(type_oid: Oid, text: &str) -> Result<String> {
        let settings = IoSettings::default();
        let value = io::input_text(type_oid, -1, text, &settings)?;
        let mut binary = Vec::new();
        io::output_binary(type_oid, value.as_ref(), &settings, &mut binary)?;
        assert_eq!(io::input_binary(type_oid, -1, &binary, &settings)?, value);
        let mut out = Vec::new();
        io::output_text(type_oid, value.as_ref(), &settings, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn arrays_read_and_print() {
        for (type_oid, text, printed) in [
            (oid::INT4_ARRAY, "{1, 2,NULL}", "{1,2,NULL}"),
            (oid::INT4_ARRAY, "{}", "{}"),
            (oid::INT4_ARRAY, " [0:1]={5,6} ", "[0:1]={5,6}"),
            (oid::INT8_ARRAY, "{{1,2},{3,4}}", "{{1,2},{3,4}}"),
            (
                oid::TEXT_ARRAY,
                r#"{a,"b c","",null,"NULL",d\,e," x "}"#,
                r#"{a,"b c","",NULL,"NULL","d,e"," x "}"#,
            ),
            (oid::TEXT_ARRAY, r#"{"q\"uote","back\\slash",{}"#, ""),
            (oid::NAME_ARRAY, "{abc,d}", "{abc,d}"),
            (oid::BOOL_ARRAY, "{t,f,NULL,true}", "{t,f,NULL,t}"),
            (oid::NUMERIC_ARRAY, "{1.50,NaN}", "{1.50,NaN}"),
            (oid::OIDVECTOR, " 1  2 3", "1 2 3"),
        ] {
            match round_trip(type_oid, text) {
                Ok(result) => assert_eq!(result, printed),
                Err(error) => assert!(printed.is_empty(), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn errors_have_postgresqls_details() {
        for (text, detail) in [
            ("1", "Array value must start with \"{\" or dimension information."),
            ("{1", "Unexpected end of input."),
            ("{1,}", "Unexpected \"}\" character."),
            ("{,1}", "Unexpected \",\" character."),
            ("{1}x", "Junk after closing right brace."),
            ("{{1},{2,3}}", "Multidimensional arrays must have sub-arrays with matching dimensions."),
            ("[1:2]={1}", "Specified array dimensions do not match array contents."),
        ] {
            let error = round_trip(oid::INT4_ARRAY, text).expect_err(text);
            assert_eq!(error.message(), format!("malformed array literal: \"{text}\""));
            assert_eq!(error.fields().detail.as_deref(), Some(detail), "{text}");
        }
    }

    #[test]
    fn the_payload_is_postgresqls() {
        let info = type_info(oid::TEXT).expect("built in");
        let values = [Value::from("a"), Value::Null, Value::from("bc")];
        let payload = super::super::build_vector(info, &values).expect("small");
        let mut expected = Vec::new();
        for word in [1i32, 32, 25, 3, 1] {
            expected.extend(word.to_le_bytes());
        }
        expected.extend([0b101, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([5 << 2, 0, 0, 0, b'a', 0, 0, 0, 6 << 2, 0, 0, 0, b'b', b'c']);
        assert_eq!(payload, expected);
    }
}
