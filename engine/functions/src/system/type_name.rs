//! Names of types as SQL writes them.
//!
//! Realises: format_type.c, and of parse_type.c what reads a type's name back.

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result, SqlState, error};
use kokkiri_types::array::{element_type_if_array, is_fixed_vector};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::numeric::precision_and_scale;

use super::identifier::{self, quoted};
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const LIST: &[&[Builtin]] = list![sql_format_type];

/// `format_type(oid, typmod)`.
#[builtin(oid = 1081)]
fn sql_format_type(
    context: &mut CallContext<'_>,
    type_oid: Option<Oid>,
    typmod: Option<i32>,
) -> Result<Option<String>> {
    let Some(type_oid) = type_oid else { return Ok(None) };
    format_type(context.catalog.as_ref(), type_oid, typmod).map(Some)
}

/// The name of a type. `typmod` is `None` where no declaration is printed, only the type; -1 is a
/// declaration without modifier.
///
/// # Errors
/// What reading the catalogs answers.
pub fn format_type(view: Option<&CatalogView<'_>>, type_oid: Oid, typmod: Option<i32>) -> Result<String> {
    if !type_oid.is_valid() {
        return Ok("-".to_owned());
    }
    let element = match element_type_if_array(type_oid).filter(|_| !is_fixed_vector(type_oid)) {
        Some(element) => Some(element),
        None => match view {
            Some(view) => view.type_entry(type_oid)?.and_then(|entry| entry.array_element()),
            None => None,
        },
    };
    match element {
        Some(element) => Ok(format!("{}[]", one_type(view, element, typmod)?)),
        None => one_type(view, type_oid, typmod),
    }
}

fn one_type(view: Option<&CatalogView<'_>>, type_oid: Oid, typmod: Option<i32>) -> Result<String> {
    let modifier = typmod.filter(|typmod| *typmod >= 0);
    let suffix = modifier.map_or(String::new(), |typmod| modifier_text(type_oid, typmod));
    let spelled = match type_oid {
        oid::BIT if modifier.is_none() && typmod.is_some() => None,
        oid::BPCHAR if modifier.is_none() && typmod.is_some() => None,
        oid::BIT => Some("bit"),
        oid::BOOL => Some("boolean"),
        oid::BPCHAR => Some("character"),
        oid::FLOAT4 => Some("real"),
        oid::FLOAT8 => Some("double precision"),
        oid::INT2 => Some("smallint"),
        oid::INT4 => Some("integer"),
        oid::INT8 => Some("bigint"),
        oid::NUMERIC => Some("numeric"),
        // A word of the grammar, but this type is always meant.
        oid::JSON => Some("json"),
        oid::INTERVAL => Some("interval"),
        oid::VARBIT => Some("bit varying"),
        oid::VARCHAR => Some("character varying"),
        oid::TIME => return Ok(format!("time{suffix} without time zone")),
        oid::TIMETZ => return Ok(format!("time{suffix} with time zone")),
        oid::TIMESTAMP => return Ok(format!("timestamp{suffix} without time zone")),
        oid::TIMESTAMPTZ => return Ok(format!("timestamp{suffix} with time zone")),
        _ => None,
    };
    if let Some(spelled) = spelled {
        return Ok(format!("{spelled}{suffix}"));
    }
    Ok(match (view, type_info(type_oid)) {
        (Some(view), _) => match view.type_entry(type_oid)? {
            None => "???".to_owned(),
            Some(entry) => {
                let found = view.type_by_name(None, &entry.name)?;
                let visible = found.is_some_and(|found| found.oid == type_oid);
                format!("{}{suffix}", quoted(view, entry.namespace, &entry.name, visible)?)
            }
        },
        (None, Some(info)) => format!("{}{suffix}", quote_ident(info.name)),
        (None, None) => "???".to_owned(),
    })
}

/// A type modifier as its type prints it, in parentheses.
fn modifier_text(type_oid: Oid, typmod: i32) -> String {
    match type_oid {
        oid::BPCHAR | oid::VARCHAR => match typmod - 4 {
            length @ 1.. => format!("({length})"),
            _ => String::new(),
        },
        oid::NUMERIC => match precision_and_scale(typmod) {
            Some((precision, scale)) => format!("({precision},{scale})"),
            None => String::new(),
        },
        oid::INTERVAL => interval_modifier(typmod),
        _ => format!("({typmod})"),
    }
}

fn interval_modifier(typmod: i32) -> String {
    let (year, month, day) = (1 << 2, 1 << 1, 1 << 3);
    let (hour, minute, second) = (1 << 10, 1 << 11, 1 << 12);
    let (range, precision) = (typmod >> 16 & 0x7FFF, typmod & 0xFFFF);
    let fields = [
        (year, "year"),
        (month, "month"),
        (day, "day"),
        (hour, "hour"),
        (minute, "minute"),
        (second, "second"),
    ];
    let mut text = String::new();
    if range != 0x7FFF {
        let mut named = fields.iter().filter(|(bit, _)| range & bit != 0).map(|(_, name)| *name);
        if let Some(first) = named.next() {
            text = format!(" {first}");
        }
        if let Some(last) = named.next_back() {
            text.push_str(&format!(" to {last}"));
        }
    }
    if precision != 0xFFFF {
        text.push_str(&format!("({precision})"));
    }
    text
}

/// Type and modifier-less shape that a name stands for: `integer`, `character varying(10)[]`,
/// `"My Schema"."Type"`, `double precision`.
///
/// # Errors
/// 42704 for a type that doesn't exist, 42601 for what is no type's name.
pub fn parse_type(view: &CatalogView<'_>, text: &str) -> Result<Oid> {
    let mut rest = text.trim();
    let mut is_array = false;
    while let Some(before) = rest.strip_suffix(']') {
        let Some((before, bound)) = before.rsplit_once('[') else { return Err(invalid(text)) };
        if !bound.trim().bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid(text));
        }
        is_array = true;
        rest = before.trim_end();
    }
    let (name, tail) = split_modifier(rest).ok_or_else(|| invalid(text))?;
    let words = format!("{} {}", name.trim(), tail.trim()).to_ascii_lowercase();
    let words = words.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let spelled = match words.as_str() {
        "boolean" => Some(oid::BOOL),
        "smallint" => Some(oid::INT2),
        "int" | "integer" => Some(oid::INT4),
        "bigint" => Some(oid::INT8),
        "real" => Some(oid::FLOAT4),
        "float" | "double precision" => Some(oid::FLOAT8),
        "decimal" | "dec" | "numeric" => Some(oid::NUMERIC),
        "char" | "character" | "nchar" | "national character" | "national char" => Some(oid::BPCHAR),
        "varchar"
        | "character varying"
        | "char varying"
        | "national character varying"
        | "national char varying"
        | "nchar varying" => Some(oid::VARCHAR),
        "bit" => Some(oid::BIT),
        "bit varying" => Some(oid::VARBIT),
        "time" | "time without time zone" => Some(oid::TIME),
        "time with time zone" => Some(oid::TIMETZ),
        "timestamp" | "timestamp without time zone" => Some(oid::TIMESTAMP),
        "timestamp with time zone" => Some(oid::TIMESTAMPTZ),
        words if words == "interval" || words.starts_with("interval ") => Some(oid::INTERVAL),
        _ => None,
    };
    let found = match spelled {
        Some(found) => found,
        None => {
            let parts = identifier::split_qualified(name.trim()).map_err(|_| invalid(text))?;
            if !tail.trim().is_empty() {
                return Err(invalid(text));
            }
            let (schema, bare) = identifier::schema_and_name(view, &parts)?;
            let missing = || error!(UNDEFINED_OBJECT, "type \"{}\" does not exist", parts.join("."));
            view.type_by_name(schema, bare)?.ok_or_else(missing)?.oid
        }
    };
    if !is_array {
        return Ok(found);
    }
    let array = view.expect_type(found)?.array;
    array.ok_or_else(|| error!(UNDEFINED_OBJECT, "could not find array type for data type {found}"))
}

fn invalid(text: &str) -> kokkiri_primitives::Error {
    kokkiri_primitives::Error::new(SqlState::SYNTAX_ERROR, format!("invalid type name \"{text}\""))
}

/// `timestamp(3) with time zone` without the modifier: what stands before and after it.
fn split_modifier(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('"') {
        return Some((text, ""));
    }
    match text.split_once('(') {
        None => Some((text, "")),
        Some((before, rest)) => rest.split_once(')').map(|(_, after)| (before, after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_postgresql_names_them() {
        let name = |type_oid, typmod| format_type(None, type_oid, typmod).expect("built in");
        assert_eq!(name(oid::BPCHAR, Some(-1)), "bpchar");
        assert_eq!(name(oid::BPCHAR, None), "character");
        assert_eq!(name(oid::BPCHAR, Some(14)), "character(10)");
        assert_eq!(name(oid::NUMERIC, Some((10 << 16) | 6)), "numeric(10,2)");
        assert_eq!(name(oid::TIMESTAMPTZ, Some(3)), "timestamp(3) with time zone");
        assert_eq!(name(oid::CHAR, None), "\"char\"");
        assert_eq!(name(oid::INTERVAL, Some(0x7FFF << 16 | 3)), "interval(3)");
        assert_eq!(
            name(oid::INTERVAL, Some((1 << 12 | 1 << 11 | 1 << 10 | 1 << 3) << 16 | 0xFFFF)),
            "interval day to second"
        );
        assert_eq!(name(Oid(1015), Some(14)), "character varying(10)[]");
        assert_eq!(name(oid::OIDVECTOR, None), "oidvector");
    }
}
