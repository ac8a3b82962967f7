//! Text and binary forms of the built-in types: PostgreSQL's input, output, receive and send functions.
//!
//! Each direction is one match over the type's oid. What writes many values of a type looks its function
//! up once ([`output_function`]). Forms that need a catalog (the names behind reg* types and aclitem,
//! enums, composites, domains) are the functions crate's; here reg* types show their numbers.

use kokkiri_primitives::{BlockNumber, Error, ItemPointer, Lsn, OffsetNumber, Oid, Result, bail, error};

use crate::array;
use crate::bits;
use crate::builtin::{TypeInfo, is_reg_type, oid, type_info};
use crate::datetime::{self, Interval, format, interval_text, parse};
use crate::number::{self, invalid_syntax, write_i64, write_u64};
use crate::numeric::{self, Numeric};
use crate::text;
use crate::value::{Value, ValueRef};

mod settings;

pub use settings::{ByteaOutput, IoSettings, date_style_name, parse_date_style};

/// Appends the text of a non-null value.
pub type OutputFunction = fn(ValueRef<'_>, &IoSettings, &mut Vec<u8>) -> Result<()>;

/// Name of a type for messages, as `format_type` shows it.
pub fn type_name(type_oid: Oid) -> String {
    let name = match type_oid {
        oid::BOOL => "boolean",
        oid::CHAR => "\"char\"",
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        oid::INT8 => "bigint",
        oid::FLOAT4 => "real",
        oid::FLOAT8 => "double precision",
        oid::BPCHAR => "character",
        oid::VARCHAR => "character varying",
        oid::TIME => "time without time zone",
        oid::TIMETZ => "time with time zone",
        oid::TIMESTAMP => "timestamp without time zone",
        oid::TIMESTAMPTZ => "timestamp with time zone",
        oid::BIT => "bit",
        oid::VARBIT => "bit varying",
        _ => {
            return match type_info(type_oid) {
                Some(info) if info.is_array && !array::is_fixed_vector(type_oid) => {
                    format!("{}[]", type_name(info.element))
                }
                Some(info) => info.name.to_owned(),
                None => "???".to_owned(),
            };
        }
    };
    name.to_owned()
}

fn no_form(what: &str, type_oid: Oid) -> Error {
    Error::not_supported(format_args!("{what} of type {}", type_name(type_oid)))
}

/// The output function of a type.
///
/// # Errors
/// 0A000 for types whose text form is not built.
pub fn output_function(type_oid: Oid) -> Result<OutputFunction> {
    Ok(match type_oid {
        oid::BOOL => |v, _, out| {
            out.push(if v.bool() { b't' } else { b'f' });
            Ok(())
        },
        oid::INT2 => |v, _, out| {
            write_i64(i64::from(v.int16()), out);
            Ok(())
        },
        oid::INT4 => |v, _, out| {
            write_i64(i64::from(v.int32()), out);
            Ok(())
        },
        oid::INT8 => |v, _, out| {
            write_i64(v.int64(), out);
            Ok(())
        },
        oid::TEXT
        | oid::VARCHAR
        | oid::BPCHAR
        | oid::NAME
        | oid::JSON
        | oid::XML
        | oid::UNKNOWN
        | oid::CSTRING
        | oid::PG_NODE_TREE
        | oid::REFCURSOR => |v, _, out| {
            out.extend_from_slice(v.bytes());
            Ok(())
        },
        oid::CHAR => |v, _, out| {
            text::write_char(v.char(), out);
            Ok(())
        },
        oid::FLOAT4 => |v, s, out| {
            number::write_float4(v.float32(), s.extra_float_digits, out);
            Ok(())
        },
        oid::FLOAT8 => |v, s, out| {
            number::write_float8(v.float64(), s.extra_float_digits, out);
            Ok(())
        },
        oid::NUMERIC => |v, _, out| {
            numeric::text::write(v.bytes(), out);
            Ok(())
        },
        oid::OID | oid::XID | oid::CID | oid::REGNAMESPACE | oid::REGROLE => |v, _, out| {
            write_u64(u64::from(v.oid().0), out);
            Ok(())
        },
        oid::REGPROC
        | oid::REGPROCEDURE
        | oid::REGOPER
        | oid::REGOPERATOR
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGCONFIG
        | oid::REGDICTIONARY
        | oid::REGCOLLATION => |v, _, out| {
            match v.oid() {
                Oid::INVALID => out.push(b'-'),
                oid => write_u64(u64::from(oid.0), out),
            }
            Ok(())
        },
        oid::BYTEA => |v, s, out| {
            match s.bytea_output {
                ByteaOutput::Hex => {
                    out.extend_from_slice(b"\\x");
                    text::write_hex(v.bytes(), out);
                }
                ByteaOutput::Escape => text::write_escaped(v.bytes(), out),
            }
            Ok(())
        },
        oid::DATE => |v, s, out| {
            format::write_date(v.int32(), s, out);
            Ok(())
        },
        oid::TIME => |v, _, out| {
            format::write_time(v.int64(), out);
            Ok(())
        },
        oid::TIMETZ => |v, _, out| {
            format::write_timetz(&v.fixed16(), out);
            Ok(())
        },
        oid::TIMESTAMP => |v, s, out| {
            format::write_timestamp(v.int64(), s, out);
            Ok(())
        },
        oid::TIMESTAMPTZ => |v, s, out| {
            format::write_timestamptz(v.int64(), s, out);
            Ok(())
        },
        oid::INTERVAL => |v, s, out| {
            interval_text::write(Interval::from_fixed(v.fixed16()), s.interval_style, out);
            Ok(())
        },
        oid::BIT | oid::VARBIT => |v, _, out| {
            bits::write(v.bytes(), out);
            Ok(())
        },
        oid::UUID => |v, _, out| {
            write_uuid(&v.fixed16(), out);
            Ok(())
        },
        oid::PG_LSN => |v, _, out| {
            out.extend(Lsn(v.int64() as u64).to_string().bytes());
            Ok(())
        },
        oid::XID8 => |v, _, out| {
            write_u64(v.int64() as u64, out);
            Ok(())
        },
        oid::TID => |v, _, out| {
            out.extend(v.tid().to_string().bytes());
            Ok(())
        },
        oid::ACLITEM => |v, _, out| {
            write_aclitem(&v.fixed16(), out);
            Ok(())
        },
        oid::VOID => |_, _, _| Ok(()),
        oid::INT2VECTOR | oid::OIDVECTOR => |v, _, out| array::write_vector(v.bytes(), out),
        oid::ANYARRAY => |v, s, out| array::write(v.bytes(), s, out),
        _ if array::element_type_if_array(type_oid).is_some() => |v, s, out| array::write(v.bytes(), s, out),
        _ => return Err(no_form("text output", type_oid)),
    })
}

/// Appends the text of a value; nothing for a null.
///
/// # Errors
/// 0A000 for types whose text form is not built.
pub fn output_text(
    type_oid: Oid,
    value: ValueRef<'_>,
    settings: &IoSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    output_function(type_oid)?(value, settings, out)
}

fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (at, part) in
        [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].iter().enumerate()
    {
        if at > 0 {
            out.push(b'-');
        }
        text::write_hex(part, out);
    }
}

/// `{`, hexadecimal digits with hyphens after any even number of bytes, `}`.
fn parse_uuid(input: &str) -> Result<[u8; 16]> {
    let fail = || invalid_syntax("uuid", input);
    let inner = match input.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(fail)?,
        None => input,
    };
    let mut rest = inner.as_bytes();
    let mut uuid = [0; 16];
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8).ok_or_else(fail);
    for (at, byte) in uuid.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return Err(fail()) };
        *byte = digit(*high)? << 4 | digit(*low)?;
        rest = tail;
        if at % 2 == 1 && at < 15 && rest.first() == Some(&b'-') {
            rest = &rest[1..];
        }
    }
    if rest.is_empty() { Ok(uuid) } else { Err(fail()) }
}

fn parse_tid(input: &str) -> Result<ItemPointer> {
    let parse = || {
        let inner = input.trim_start().strip_prefix('(')?;
        let (block, offset) = inner.trim_end().strip_suffix(')')?.split_once(',')?;
        let block = match block.trim().parse::<i64>().ok()? {
            negative @ -0x8000_0000..0 => negative as i32 as u32,
            block => u32::try_from(block).ok()?,
        };
        let offset = offset.trim().parse::<u16>().ok()?;
        Some(ItemPointer::new(BlockNumber(block), OffsetNumber(offset)))
    };
    parse().ok_or_else(|| invalid_syntax("tid", input))
}

/// Letters of the privileges, in bit order.
const PRIVILEGES: &[u8] = b"arwdDxtXUCTcsAm";

/// `grantee=privileges/grantor` with role numbers.
fn write_aclitem(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (grantee, grantor, granted, options) = (word(0), word(4), word(8), word(12));
    if grantee != 0 {
        write_u64(u64::from(grantee), out);
    }
    out.push(b'=');
    for (bit, letter) in PRIVILEGES.iter().enumerate() {
        if granted >> bit & 1 != 0 {
            out.push(*letter);
        }
        if options >> bit & 1 != 0 {
            out.push(b'*');
        }
    }
    out.push(b'/');
    write_u64(u64::from(grantor), out);
}

fn parse_aclitem(input: &str) -> Result<[u8; 16]> {
    let fail = || invalid_syntax("aclitem", input);
    let (grantee, rest) = input.split_once('=').ok_or_else(fail)?;
    let (privileges, grantor) = rest.split_once('/').ok_or_else(fail)?;
    let role = |name: &str| {
        if name.is_empty() {
            Ok(0u32)
        } else {
            name.parse().map_err(|_| Error::not_supported("aclitem with role names"))
        }
    };
    let (mut granted, mut options) = (0u32, 0u32);
    let mut last = None;
    for letter in privileges.bytes() {
        match (letter, last) {
            (b'*', Some(bit)) => options |= 1u32 << bit,
            _ => {
                let bit = PRIVILEGES.iter().position(|&known| known == letter).ok_or_else(|| {
                    error!(
                        INVALID_TEXT_REPRESENTATION,
                        "invalid mode character: must be one of \"{}\"", "arwdDxtXUCTcsAm"
                    )
                })?;
                granted |= 1u32 << bit;
                last = Some(bit);
            }
        }
    }
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&role(grantee)?.to_le_bytes());
    bytes[4..8].copy_from_slice(&role(grantor)?.to_le_bytes());
    bytes[8..12].copy_from_slice(&granted.to_le_bytes());
    bytes[12..].copy_from_slice(&options.to_le_bytes());
    Ok(bytes)
}

/// Reads a number of one of the reg* types; names are the functions crate's.
fn parse_reg(type_oid: Oid, input: &str) -> Result<Value> {
    if input == "-" {
        return Ok(Value::oid(Oid::INVALID));
    }
    if !input.is_empty() && input.bytes().all(|byte| byte.is_ascii_digit()) {
        return number::parse_uint32("oid", input).map(|number| Value::Int32(number as i32));
    }
    Err(no_form("input by name", type_oid))
}

fn precision(typmod: i32) -> i32 {
    if typmod < 0 { 6 } else { typmod.min(6) }
}

/// Reads the text form of a type.
///
/// # Errors
/// PostgreSQL's for text that is no value of the type; 0A000 for types whose text form is not built.
pub fn input_text(type_oid: Oid, typmod: i32, input: &str, settings: &IoSettings) -> Result<Value> {
    Ok(match type_oid {
        oid::BOOL => Value::Bool(number::parse_bool(input)?),
        oid::INT2 => Value::Int16(number::parse_int2(input)?),
        oid::INT4 => Value::Int32(number::parse_int4(input)?),
        oid::INT8 => Value::Int64(number::parse_int8(input)?),
        oid::TEXT | oid::UNKNOWN | oid::CSTRING | oid::REFCURSOR => Value::from(input),
        oid::VARCHAR => Value::bytes(text::to_varchar(input.as_bytes(), typmod, false)?),
        oid::BPCHAR => Value::bytes(text::to_bpchar(input.as_bytes(), typmod, false)?),
        oid::NAME => Value::bytes(text::to_name(input.as_bytes())),
        oid::CHAR => Value::Char(text::parse_char(input)),
        oid::FLOAT4 => Value::Float32(number::parse_float4(input)?),
        oid::FLOAT8 => Value::Float64(number::parse_float8(input)?),
        oid::NUMERIC => {
            let numeric = input.parse::<Numeric>()?;
            let numeric = if typmod < 4 { numeric } else { numeric.apply_typmod(typmod)? };
            Value::from(numeric.to_payload()?)
        }
        oid::OID => Value::Int32(number::parse_uint32("oid", input)? as i32),
        oid::XID => Value::Int32(number::parse_uint32("xid", input)? as i32),
        oid::CID => Value::Int32(number::parse_uint32("cid", input)? as i32),
        oid::XID8 => Value::Int64(number::parse_uint64("xid8", input)? as i64),
        reg if is_reg_type(reg) => parse_reg(reg, input)?,
        oid::BYTEA => Value::from(text::parse_bytea(input)?),
        oid::DATE => Value::Int32(parse::date(input, settings)?),
        oid::TIME => Value::Int64(parse::time(input, precision(typmod), settings)?),
        oid::TIMETZ => Value::Fixed16(parse::timetz(input, precision(typmod), settings)?),
        oid::TIMESTAMP => Value::Int64(parse::timestamp(input, precision(typmod), settings)?),
        oid::TIMESTAMPTZ => Value::Int64(parse::timestamptz(input, precision(typmod), settings)?),
        oid::INTERVAL => {
            Value::Fixed16(interval_text::parse(input, typmod, settings.interval_style)?.to_fixed())
        }
        oid::BIT => Value::from(bits::to_bit(bits::parse(input)?, typmod, false)?.to_payload()),
        oid::VARBIT => Value::from(bits::to_varbit(bits::parse(input)?, typmod, false)?.to_payload()),
        oid::UUID => Value::Fixed16(parse_uuid(input)?),
        oid::PG_LSN => match input.parse::<Lsn>() {
            Ok(lsn) => Value::Int64(lsn.0 as i64),
            Err(()) => return Err(invalid_syntax("pg_lsn", input)),
        },
        oid::TID => Value::Tid(parse_tid(input)?),
        oid::ACLITEM => Value::Fixed16(parse_aclitem(input)?),
        oid::VOID => Value::Int32(0),
        oid::INT2VECTOR => Value::from(array::parse_vector(oid::INT2, input, settings)?),
        oid::OIDVECTOR => Value::from(array::parse_vector(oid::OID, input, settings)?),
        oid::PG_NODE_TREE | oid::RECORD | oid::ANYARRAY => {
            bail!(FEATURE_NOT_SUPPORTED, "cannot accept a value of type {}", type_name(type_oid))
        }
        _ => match element_info(type_oid) {
            Some(info) => Value::from(array::parse(info, typmod, input, settings)?),
            None => return Err(no_form("text input", type_oid)),
        },
    })
}

fn element_info(type_oid: Oid) -> Option<&'static TypeInfo> {
    type_info(array::element_type_if_array(type_oid)?)
}

/// Appends the binary form of a value; nothing for a null.
///
/// # Errors
/// 0A000 for types whose binary form is not built.
pub fn output_binary(
    type_oid: Oid,
    value: ValueRef<'_>,
    settings: &IoSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Char(value) => out.push(value),
        ValueRef::Int16(value) => out.extend(value.to_be_bytes()),
        ValueRef::Int32(_) if type_oid == oid::VOID => {}
        ValueRef::Int32(value) => out.extend(value.to_be_bytes()),
        ValueRef::Int64(value) => out.extend(value.to_be_bytes()),
        ValueRef::Float32(value) => out.extend(value.to_be_bytes()),
        ValueRef::Float64(value) => out.extend(value.to_be_bytes()),
        ValueRef::Tid(value) => {
            let bytes = value.to_bytes();
            let half = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            out.extend((half(0) << 16 | half(2)).to_be_bytes());
            out.extend((half(4) as u16).to_be_bytes());
        }
        ValueRef::Fixed16(value) => match type_oid {
            oid::UUID => out.extend(value),
            oid::INTERVAL => {
                let interval = Interval::from_fixed(value);
                out.extend(interval.micros.to_be_bytes());
                out.extend(interval.days.to_be_bytes());
                out.extend(interval.months.to_be_bytes());
            }
            oid::TIMETZ => {
                let (time, zone) = datetime::timetz_from_fixed(&value);
                out.extend(time.to_be_bytes());
                out.extend(zone.to_be_bytes());
            }
            _ => return Err(no_form("binary output", type_oid)),
        },
        ValueRef::Bytes(bytes) => match type_oid {
            oid::NUMERIC => numeric::text::write_binary(bytes, out),
            oid::BIT | oid::VARBIT => bits::write_binary(bytes, out),
            _ if element_info(type_oid).is_some() || type_oid == oid::ANYARRAY => {
                return array::write_binary(bytes, settings, out);
            }
            oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::NAME
            | oid::BYTEA
            | oid::JSON
            | oid::XML
            | oid::UNKNOWN
            | oid::CSTRING
            | oid::PG_NODE_TREE
            | oid::REFCURSOR => out.extend_from_slice(bytes),
            _ => return Err(no_form("binary output", type_oid)),
        },
    }
    Ok(())
}

/// The one number a binary value must be.
fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    if bytes.len() > N {
        bail!(INVALID_BINARY_REPRESENTATION, "incorrect binary data format");
    }
    bytes.try_into().map_err(|_| error!(PROTOCOL_VIOLATION, "insufficient data left in message"))
}

/// Reads the binary form of a type.
///
/// # Errors
/// PostgreSQL's for bytes that are no value of the type; 0A000 for types whose binary form is not built.
pub fn input_binary(type_oid: Oid, typmod: i32, bytes: &[u8], settings: &IoSettings) -> Result<Value> {
    Ok(match type_oid {
        oid::BOOL => Value::Bool(exactly::<1>(bytes)?[0] != 0),
        oid::CHAR => Value::Char(exactly::<1>(bytes)?[0]),
        oid::INT2 => Value::Int16(i16::from_be_bytes(exactly(bytes)?)),
        oid::INT4 | oid::OID | oid::XID | oid::CID => Value::Int32(i32::from_be_bytes(exactly(bytes)?)),
        reg if is_reg_type(reg) => Value::Int32(i32::from_be_bytes(exactly(bytes)?)),
        oid::INT8 | oid::XID8 | oid::PG_LSN | oid::MONEY => Value::Int64(i64::from_be_bytes(exactly(bytes)?)),
        oid::FLOAT4 => Value::Float32(f32::from_be_bytes(exactly(bytes)?)),
        oid::FLOAT8 => Value::Float64(f64::from_be_bytes(exactly(bytes)?)),
        oid::DATE => {
            let date = i32::from_be_bytes(exactly(bytes)?);
            if !datetime::is_valid_date(date) && !datetime::is_infinite_date(date) {
                bail!(DATETIME_FIELD_OVERFLOW, "date out of range");
            }
            Value::Int32(date)
        }
        oid::TIME => {
            let time = i64::from_be_bytes(exactly(bytes)?);
            if !(0..=datetime::DAY_MICROS).contains(&time) {
                bail!(DATETIME_FIELD_OVERFLOW, "time out of range");
            }
            Value::Int64(datetime::round_micros(time, precision(typmod)))
        }
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let timestamp = i64::from_be_bytes(exactly(bytes)?);
            if !datetime::is_valid_timestamp(timestamp) && !datetime::is_infinite_timestamp(timestamp) {
                bail!(DATETIME_FIELD_OVERFLOW, "timestamp out of range");
            }
            Value::Int64(datetime::round_micros(timestamp, precision(typmod)))
        }
        oid::TIMETZ => {
            let all: [u8; 12] = exactly(bytes)?;
            let (time, zone) = all.split_at(8);
            Value::Fixed16(datetime::timetz_to_fixed(
                i64::from_be_bytes(exactly(time)?),
                i32::from_be_bytes(exactly(zone)?),
            ))
        }
        oid::INTERVAL => {
            let all: [u8; 16] = exactly(bytes)?;
            let interval = Interval {
                micros: i64::from_be_bytes(exactly(&all[..8])?),
                days: i32::from_be_bytes(exactly(&all[8..12])?),
                months: i32::from_be_bytes(exactly(&all[12..])?),
            };
            Value::Fixed16(interval_text::apply_typmod(interval, typmod).to_fixed())
        }
        oid::UUID => Value::Fixed16(exactly(bytes)?),
        oid::TID => {
            let all: [u8; 6] = exactly(bytes)?;
            let block = u32::from_be_bytes([all[0], all[1], all[2], all[3]]);
            Value::Tid(ItemPointer::new(
                BlockNumber(block),
                OffsetNumber(u16::from_be_bytes([all[4], all[5]])),
            ))
        }
        oid::NUMERIC => Value::from(numeric::text::read_binary(bytes)?.apply_typmod(typmod)?.to_payload()?),
        oid::BYTEA => Value::bytes(bytes),
        oid::BIT => Value::from(bits::to_bit(bits::read_binary(bytes)?, typmod, false)?.to_payload()),
        oid::VARBIT => Value::from(bits::to_varbit(bits::read_binary(bytes)?, typmod, false)?.to_payload()),
        oid::TEXT
        | oid::VARCHAR
        | oid::BPCHAR
        | oid::NAME
        | oid::JSON
        | oid::UNKNOWN
        | oid::CSTRING
        | oid::REFCURSOR => input_text(type_oid, typmod, text::check_encoding(bytes)?, settings)?,
        _ => match element_info(type_oid) {
            Some(info) => Value::from(array::read_binary(info, typmod, bytes, settings)?),
            None => return Err(no_form("binary input", type_oid)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(type_oid: Oid, input: &str) -> String {
        let settings = IoSettings::default();
        match input_text(type_oid, -1, input, &settings) {
            Ok(value) => {
                let mut binary = Vec::new();
                if output_binary(type_oid, value.as_ref(), &settings, &mut binary).is_ok() {
                    let back = input_binary(type_oid, -1, &binary, &settings).expect("reads back");
                    assert_eq!(back, value, "{input}");
                }
                let mut out = Vec::new();
                output_text(type_oid, value.as_ref(), &settings, &mut out).expect("has text");
                String::from_utf8_lossy(&out).into_owned()
            }
            Err(error) => format!("{}: {}", error.sqlstate(), error.message()),
        }
    }

    /// Outputs and errors are PostgreSQL's.
    #[test]
    fn texts_read_and_print() {
        for (type_oid, input, output) in [
            (oid::BOOL, "tru", "t"),
            (oid::BOOL, "of", "f"),
            (oid::BOOL, "o", "22P02: invalid input syntax for type boolean: \"o\""),
            (oid::INT2, "99999", "22003: value \"99999\" is out of range for type smallint"),
            (oid::OID, " 0x10 ", "16"),
            (oid::OID, "4294967296", "22003: value \"4294967296\" is out of range for type oid"),
            (oid::CHAR, "\\303", "\\303"),
            (oid::CHAR, "é", "\\303"),
            (oid::BYTEA, "\\xabc", "22023: invalid hexadecimal data: odd number of digits"),
            (oid::BYTEA, "\\xzz", "22023: invalid hexadecimal digit: \"z\""),
            (oid::BYTEA, "a\\", "22P02: invalid input syntax for type bytea"),
            (oid::BYTEA, "a\\000\\\\b", "\\x61005c62"),
            (oid::TID, "(1,2)", "(1,2)"),
            (oid::TID, "(1,99999)", "22P02: invalid input syntax for type tid: \"(1,99999)\""),
            (oid::UUID, "a0eebc99-9c0b4ef8-bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (oid::UUID, "x", "22P02: invalid input syntax for type uuid: \"x\""),
            (oid::PG_LSN, "0/16B3748", "0/16B3748"),
            (oid::PG_LSN, "zz", "22P02: invalid input syntax for type pg_lsn: \"zz\""),
            (oid::XID8, "18446744073709551615", "18446744073709551615"),
            (oid::XID, "-1", "4294967295"),
            (oid::OIDVECTOR, "1 2 x", "22P02: invalid input syntax for type oid: \"x\""),
            (oid::TIMETZ, "10:20:30.5+02", "10:20:30.5+02"),
            (oid::INTERVAL, "1 day", "1 day"),
            (oid::ACLITEM, "10=ar*w/10", "10=ar*w/10"),
            (oid::NUMERIC, "12.340", "12.340"),
            (oid::POINT, "(1,2)", "0A000: text input of type point is not supported yet"),
        ] {
            assert_eq!(shown(type_oid, input), output, "{input}");
        }
        let long = "x".repeat(70);
        assert_eq!(shown(oid::NAME, &long).len(), 63);
    }
}
