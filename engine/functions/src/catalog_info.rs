//! Functions that look at the catalog, and the text forms that need it: the reg* types.
//!
//! [`output_text`] and [`input_text`] are what casts through text, the protocol and COPY use where a
//! catalog is at hand; they differ from [`kokkiri_types::io`] for the reg* types alone.

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result, bail, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::{Value, ValueRef, io};

use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![
    format_type,
    pg_table_is_visible,
    pg_type_is_visible,
    pg_get_userbyid,
    text_regclass,
    to_regclass,
    regclassout,
]];

/// Oid of the schema pg_catalog.
const PG_CATALOG: Oid = Oid(11);

/// A name that finds its object: with its schema unless the search path does.
fn qualified(view: &CatalogView<'_>, namespace: Oid, name: &str, visible: bool) -> Result<String> {
    if visible {
        return Ok(quote_ident(name));
    }
    match view.namespace(namespace)? {
        Some(entry) => Ok(format!("{}.{}", quote_ident(&entry.name), quote_ident(name))),
        None => Ok(quote_ident(name)),
    }
}

/// Name of a relation as regclass shows it; its number if there is none.
fn relation_name(view: &CatalogView<'_>, relation: Oid) -> Result<String> {
    match view.relation(relation)? {
        Some(entry) => {
            let visible = view.relation_is_visible(relation, &entry.name)?;
            qualified(view, entry.namespace, &entry.name, visible)
        }
        None => Ok(relation.to_string()),
    }
}

/// What a type modifier looks like behind a type's name, with its parentheses.
fn modifier(type_oid: Oid, typmod: i32) -> String {
    if typmod < 0 {
        return String::new();
    }
    match type_oid {
        oid::VARCHAR | oid::BPCHAR => format!("({})", typmod - 4),
        oid::NUMERIC => match kokkiri_types::numeric::precision_and_scale(typmod) {
            Some((precision, scale)) => format!("({precision},{scale})"),
            None => String::new(),
        },
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::BIT | oid::VARBIT => {
            format!("({typmod})")
        }
        oid::INTERVAL => interval_modifier(typmod),
        _ => format!("({typmod})"),
    }
}

/// ` day to second(3)` and the like.
fn interval_modifier(typmod: i32) -> String {
    use kokkiri_types::datetime::interval_text::{
        DAY_BIT, HOUR_BIT, MINUTE_BIT, MONTH_BIT, Modifier, SECOND_BIT, YEAR_BIT,
    };
    let Some(declared) = Modifier::of(typmod) else { return String::new() };
    let units = [
        (YEAR_BIT, "year"),
        (MONTH_BIT, "month"),
        (DAY_BIT, "day"),
        (HOUR_BIT, "hour"),
        (MINUTE_BIT, "minute"),
        (SECOND_BIT, "second"),
    ];
    let mut named = units.iter().filter(|(bit, _)| declared.range & bit != 0).map(|(_, name)| *name);
    let fields = match (declared.range, named.next(), named.next_back()) {
        (0x7FFF, ..) | (_, None, _) => String::new(),
        (_, Some(first), None) => format!(" {first}"),
        (_, Some(first), Some(last)) => format!(" {first} to {last}"),
    };
    if declared.precision <= 6 { format!("{fields}({})", declared.precision) } else { fields }
}

/// A type's SQL name. `typmod` is absent where none is meant, -1 where it is known to be none.
///
/// # Errors
/// Those of the catalog.
pub fn type_display(view: &CatalogView<'_>, type_oid: Oid, typmod: Option<i32>) -> Result<String> {
    let Some(entry) = view.type_entry(type_oid)? else { return Ok("???".to_owned()) };
    if let Some(element) = entry.element.filter(|_| entry.category == b'A' && entry.length == -1)
        && !matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR)
    {
        return Ok(type_display(view, element, typmod)? + "[]");
    }
    let written = modifier(type_oid, typmod.unwrap_or(-1));
    let standard = match type_oid {
        oid::BPCHAR if typmod == Some(-1) => None,
        oid::BIT if typmod == Some(-1) => None,
        oid::BOOL
        | oid::INT2
        | oid::INT4
        | oid::INT8
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::BPCHAR
        | oid::VARCHAR
        | oid::BIT
        | oid::VARBIT
        | oid::TIME
        | oid::TIMETZ
        | oid::TIMESTAMP
        | oid::TIMESTAMPTZ
        | oid::NUMERIC
        | oid::INTERVAL => Some(io::type_name(type_oid)),
        _ => None,
    };
    if let Some(name) = standard {
        // The precision of a time stands before its zone.
        return Ok(match name.split_once(' ') {
            Some((first, rest)) if first.starts_with("time") => format!("{first}{written} {rest}"),
            _ => name + &written,
        });
    }
    let visible = entry.namespace == PG_CATALOG
        || view.type_by_name(None, &entry.name)?.is_some_and(|found| found.oid == type_oid);
    Ok(qualified(view, entry.namespace, &entry.name, visible)? + &written)
}

#[builtin(oid = 1081)]
fn format_type(
    context: &mut CallContext<'_>,
    type_oid: Option<Oid>,
    typmod: Option<i32>,
) -> Result<Option<String>> {
    match type_oid {
        None => Ok(None),
        Some(Oid::INVALID) => Ok(Some("-".to_owned())),
        Some(type_oid) => type_display(&context.catalog()?, type_oid, typmod).map(Some),
    }
}

#[builtin(oid = 2079)]
fn pg_table_is_visible(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<bool>> {
    let view = context.catalog()?;
    match view.relation(relation)? {
        Some(entry) => view.relation_is_visible(relation, &entry.name).map(Some),
        None => Ok(None),
    }
}

#[builtin(oid = 2080)]
fn pg_type_is_visible(context: &mut CallContext<'_>, type_oid: Oid) -> Result<Option<bool>> {
    let view = context.catalog()?;
    let Some(entry) = view.type_entry(type_oid)? else { return Ok(None) };
    Ok(Some(view.type_by_name(None, &entry.name)?.is_some_and(|found| found.oid == type_oid)))
}

#[builtin(oid = 1642)]
fn pg_get_userbyid(context: &mut CallContext<'_>, role: Oid) -> Result<String> {
    match context.catalog()?.role(role)? {
        Some(entry) => Ok(entry.name.to_string()),
        None => Ok(format!("unknown (OID={role})")),
    }
}

/// Parts of a possibly qualified name: quoted ones as they are, others in lower case.
fn name_parts(text: &str) -> Result<Vec<String>> {
    let invalid = || error!(INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut characters = quoted.char_indices().peekable();
            let end = loop {
                let (at, c) = characters.next().ok_or_else(invalid)?;
                if c != '"' {
                    part.push(c);
                } else if characters.next_if(|(_, next)| *next == '"').is_some() {
                    part.push('"');
                } else {
                    break at + 1;
                }
            };
            (part, &quoted[end..])
        } else {
            let end = rest.find(|c: char| c == '.' || c.is_ascii_whitespace()).unwrap_or(rest.len());
            (rest[..end].to_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// The relation of a name, or that the name is not one's.
fn find_relation(context: &CallContext<'_>, text: &str) -> Result<Option<Oid>> {
    if text == "-" {
        return Ok(Some(Oid::INVALID));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return kokkiri_types::number::parse_uint32("oid", text).map(|number| Some(Oid(number)));
    }
    let view = context.catalog()?;
    match name_parts(text)?.as_slice() {
        [name] => view.find_relation(None, name),
        [schema, name] => view.find_relation(Some(schema), name),
        [database, schema, name] if *database == context.session.database_name => {
            view.find_relation(Some(schema), name)
        }
        [_, _, _] => bail!(FEATURE_NOT_SUPPORTED, "cross-database references are not implemented: {text}"),
        _ => bail!(SYNTAX_ERROR, "improper relation name (too many dotted names): {text}"),
    }
}

#[builtin(oid = 1079)]
fn text_regclass(context: &mut CallContext<'_>, name: &str) -> Result<Oid> {
    match find_relation(context, name)? {
        Some(relation) => Ok(relation),
        None => Err(error!(UNDEFINED_TABLE, "relation \"{}\" does not exist", name_parts(name)?.join("."))),
    }
}

#[builtin(oid = 3495)]
fn to_regclass(context: &mut CallContext<'_>, name: &str) -> Result<Option<Oid>> {
    find_relation(context, name)
}

#[builtin(oid = 2219)]
fn regclassout(context: &mut CallContext<'_>, relation: Oid) -> Result<String> {
    if !relation.is_valid() {
        return Ok("-".to_owned());
    }
    relation_name(&context.catalog()?, relation)
}

/// Appends the text of a value, names for the reg* types.
///
/// # Errors
/// 0A000 for types whose text form is not built; those of the catalog.
pub fn output_text(
    context: &CallContext<'_>,
    type_oid: Oid,
    value: ValueRef<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if value.is_null() || context.catalog.is_none() {
        return io::output_text(type_oid, value, context.io, out);
    }
    let named = |oid: Oid| oid.is_valid();
    let text = match type_oid {
        oid::REGCLASS if named(value.oid()) => relation_name(&context.catalog()?, value.oid())?,
        oid::REGTYPE if named(value.oid()) => {
            let view = context.catalog()?;
            match view.type_entry(value.oid())? {
                Some(_) => type_display(&view, value.oid(), None)?,
                None => value.oid().to_string(),
            }
        }
        oid::REGPROC if named(value.oid()) => {
            let view = context.catalog()?;
            match view.function(value.oid())? {
                Some(entry) => {
                    let alone = view.functions_by_name(None, &entry.name)?.len() == 1;
                    qualified(&view, entry.namespace, &entry.name, alone)?
                }
                None => value.oid().to_string(),
            }
        }
        oid::REGNAMESPACE if named(value.oid()) => match context.catalog()?.namespace(value.oid())? {
            Some(entry) => quote_ident(&entry.name),
            None => value.oid().to_string(),
        },
        oid::REGROLE if named(value.oid()) => match context.catalog()?.role(value.oid())? {
            Some(entry) => quote_ident(&entry.name),
            None => value.oid().to_string(),
        },
        oid::REGNAMESPACE | oid::REGROLE => "-".to_owned(),
        _ => return io::output_text(type_oid, value, context.io, out),
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Reads the text of a value, names for the reg* types.
///
/// # Errors
/// PostgreSQL's for text that is no value of the type.
pub fn input_text(context: &mut CallContext<'_>, type_oid: Oid, typmod: i32, text: &str) -> Result<Value> {
    let number = text == "-" || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if number || context.catalog.is_none() {
        return io::input_text(type_oid, typmod, text, context.io);
    }
    let single = |what: &str| match name_parts(text)?.as_slice() {
        [name] => Ok(name.clone()),
        _ => Err(error!(SYNTAX_ERROR, "invalid {what} name")),
    };
    match type_oid {
        oid::REGCLASS => text_regclass(context, text).map(Value::oid),
        oid::REGNAMESPACE => {
            let name = single("schema")?;
            match context.catalog()?.namespace_by_name(&name)? {
                Some(entry) => Ok(Value::oid(entry.oid)),
                None => bail!(INVALID_SCHEMA_NAME, "schema \"{name}\" does not exist"),
            }
        }
        oid::REGROLE => {
            let name = single("role")?;
            match context.catalog()?.role_by_name(&name)? {
                Some(entry) => Ok(Value::oid(entry.oid)),
                None => bail!(UNDEFINED_OBJECT, "role \"{name}\" does not exist"),
            }
        }
        oid::REGPROC => {
            let parts = name_parts(text)?;
            let (schema, name) = match parts.as_slice() {
                [name] => (None, name),
                [schema, name] => (Some(schema.as_str()), name),
                _ => bail!(INVALID_NAME, "invalid name syntax"),
            };
            match context.catalog()?.functions_by_name(schema, name)?.as_slice() {
                [] => bail!(UNDEFINED_FUNCTION, "function \"{text}\" does not exist"),
                [(_, one)] => Ok(Value::oid(one.oid)),
                _ => bail!(AMBIGUOUS_FUNCTION, "more than one function named \"{text}\""),
            }
        }
        _ => io::input_text(type_oid, typmod, text, context.io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_unless_quoted() {
        assert_eq!(
            name_parts("Public.\"My \"\"Table\"").ok(),
            Some(vec!["public".to_owned(), "My \"Table".to_owned()])
        );
        assert_eq!(name_parts("a..b").expect_err("empty part").message(), "invalid name syntax");
    }

    #[test]
    fn modifiers_print() {
        assert_eq!(modifier(oid::VARCHAR, 14), "(10)");
        assert_eq!(modifier(oid::NUMERIC, ((10 << 16) | 2) + 4), "(10,2)");
        assert_eq!(modifier(oid::NUMERIC, -1), "");
    }
}
