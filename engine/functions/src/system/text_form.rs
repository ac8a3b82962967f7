//! Forms that take the catalogs to make: names in them (the reg* types, aclitem and arrays of them), and
//! rows.
//!
//! Realises: regproc.c, acl.c's input and output, rowtypes.c's output. [`output_text`] and [`input_text`] take every
//! type: what needs no catalog, or has none at hand, they leave to the types crate.

use kokkiri_access::tuple::record;
use kokkiri_catalog::privilege::AclItem;
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Oid, Result, SqlState, bail, error, stack};
use kokkiri_types::array::{self, element_type_if_array};
use kokkiri_types::builtin::{is_reg_type, oid, type_info};
use kokkiri_types::io::{self, IoSettings};
use kokkiri_types::{TupleDesc, Value, ValueRef};

use super::identifier::{quoted, schema_and_name, split_qualified};
use super::need;
use super::type_name::{format_type, parse_type};
use super::visibility::{function_is_visible, operator_is_visible};
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const LIST: &[&[Builtin]] = list![
    regclassin,
    regclassout,
    regtypein,
    regtypeout,
    regprocin,
    regprocout,
    regprocedurein,
    regprocedureout,
    regoperin,
    regoperout,
    regoperatorin,
    regoperatorout,
    regnamespacein,
    regnamespaceout,
    regrolein,
    regroleout,
    regcollationin,
    regcollationout,
    aclitemin,
    aclitemout,
    text_regclass,
    to_regclass,
    to_regtype,
    to_regproc,
    to_regprocedure,
    to_regoper,
    to_regoperator,
    to_regnamespace,
    to_regrole,
    to_regcollation,
];

/// True for types whose text form depends on the catalogs: names in them, arrays of such, rows, and types
/// that are not built in.
pub fn needs_catalog(type_oid: Oid) -> bool {
    is_name(type_oid) || may_be_row(type_oid)
}

/// True for `record` and for types that only the catalogs can tell to be composite.
pub fn may_be_row(type_oid: Oid) -> bool {
    type_oid == oid::RECORD || type_info(type_oid).is_none()
}

fn is_name(type_oid: Oid) -> bool {
    let element = element_type_if_array(type_oid).unwrap_or(type_oid);
    element == oid::ACLITEM || is_reg_type(element)
}

/// Appends the text of a value of any type; nothing for a null.
///
/// # Errors
/// Those of the type's output function.
pub fn output_text(
    view: Option<&CatalogView<'_>>,
    type_oid: Oid,
    value: ValueRef<'_>,
    settings: &IoSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    let view = match view {
        Some(view) if needs_catalog(type_oid) && !value.is_null() => view,
        _ => return io::output_text(type_oid, value, settings, out),
    };
    if may_be_row(type_oid) {
        return match row_columns(view, type_oid, value)? {
            Some(columns) => row_text(view, &columns, value.bytes(), settings, out),
            None => io::output_text(type_oid, value, settings, out),
        };
    }
    match element_type_if_array(type_oid) {
        None => out.extend_from_slice(name_of(view, type_oid, value)?.as_bytes()),
        Some(element) => {
            let mut name = |value: ValueRef<'_>, out: &mut Vec<u8>| {
                out.extend_from_slice(name_of(view, element, value)?.as_bytes());
                Ok(())
            };
            array::write_with(value.bytes(), &mut name, out)?;
        }
    }
    Ok(())
}

/// Appends the binary form of a value of any type; nothing for a null.
///
/// # Errors
/// Those of the type's send function.
pub fn output_binary(
    view: &CatalogView<'_>,
    type_oid: Oid,
    value: ValueRef<'_>,
    settings: &IoSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    let columns = match may_be_row(type_oid) && !value.is_null() {
        true => row_columns(view, type_oid, value)?,
        false => None,
    };
    let Some(columns) = columns else { return io::output_binary(type_oid, value, settings, out) };
    let values = record::values(&columns, value.bytes())?;
    let live = || columns.iter().zip(&values).filter(|(column, _)| !column.dropped);
    out.extend_from_slice(&(live().count() as i32).to_be_bytes());
    for (column, value) in live() {
        out.extend_from_slice(&column.type_oid.0.to_be_bytes());
        let at = out.len();
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        if !value.is_null() {
            output_binary(view, column.type_oid, value.as_ref(), settings, out)?;
            let length = (out.len() - at - 4) as i32;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

/// The columns of a row's value; `None` if the type is not composite.
fn row_columns(view: &CatalogView<'_>, type_oid: Oid, value: ValueRef<'_>) -> Result<Option<TupleDesc>> {
    let relation = match type_oid {
        oid::RECORD => {
            let named = record::row_type(value.bytes())?;
            if named == oid::RECORD {
                return record::anonymous_columns(value.bytes()).map(Some);
            }
            view.expect_type(named)?.relation
        }
        _ => view.expect_type(type_oid)?.relation,
    };
    let Some(relation) = relation else { return Ok(None) };
    Ok(Some(view.expect_relation(relation)?.relation.tuple_desc.clone()))
}

/// `(1,"two words",)`: `record_out`.
fn row_text(
    view: &CatalogView<'_>,
    columns: &TupleDesc,
    payload: &[u8],
    settings: &IoSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    stack::check_depth()?;
    let values = record::values(columns, payload)?;
    out.push(b'(');
    let mut text = Vec::new();
    let live = columns.iter().zip(&values).filter(|(column, _)| !column.dropped);
    for (at, (column, value)) in live.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if value.is_null() {
            continue;
        }
        text.clear();
        output_text(Some(view), column.type_oid, value.as_ref(), settings, &mut text)?;
        let needs_quotes = |byte: &u8| matches!(byte, b'"' | b'\\' | b'(' | b')' | b',') || is_space(*byte);
        if !text.is_empty() && !text.iter().any(needs_quotes) {
            out.extend_from_slice(&text);
            continue;
        }
        out.push(b'"');
        for byte in &text {
            if matches!(byte, b'"' | b'\\') {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b')');
    Ok(())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Reads the text form of any type.
///
/// # Errors
/// Those of the type's input function.
pub fn input_text(
    view: Option<&CatalogView<'_>>,
    type_oid: Oid,
    typmod: i32,
    text: &str,
    settings: &IoSettings,
) -> Result<Value> {
    let view = match view {
        Some(view) if is_name(type_oid) => view,
        _ => return io::input_text(type_oid, typmod, text, settings),
    };
    let one = |type_oid: Oid, text: &str| match type_oid {
        oid::ACLITEM => acl_item(view, text),
        reg => named(view, reg, text).map(Value::oid),
    };
    match element_type_if_array(type_oid) {
        None => one(type_oid, text),
        Some(element) => {
            let mut element_of = |text: &str| one(element, text);
            array::parse_with(array::element_info(element)?, text, &mut element_of).map(Value::from)
        }
    }
}

/// The name that a value of a reg* type or an aclitem shows.
fn name_of(view: &CatalogView<'_>, type_oid: Oid, value: ValueRef<'_>) -> Result<String> {
    if type_oid == oid::ACLITEM {
        return match value {
            ValueRef::Fixed16(bytes) => print_acl_item(view, AclItem::from_bytes(bytes)),
            _ => Err(Error::internal("an aclitem has another physical type")),
        };
    }
    let value = value.oid();
    let operator = matches!(type_oid, oid::REGOPER | oid::REGOPERATOR);
    if !value.is_valid() {
        return Ok(if operator { "0" } else { "-" }.to_owned());
    }
    let found = match type_oid {
        oid::REGCLASS => match view.relation_name(value)? {
            Some((schema, name)) => {
                let visible = view.relation_is_visible(value, &name)?;
                Some(quoted(view, schema, &name, visible)?)
            }
            None => None,
        },
        oid::REGTYPE => match view.type_entry(value)? {
            Some(_) => Some(format_type(Some(view), value, None)?),
            None => None,
        },
        oid::REGPROC => regproc_name(view, value)?,
        oid::REGPROCEDURE => function_signature(view, value)?,
        oid::REGOPER => regoper_name(view, value)?,
        oid::REGOPERATOR => operator_signature(view, value)?,
        oid::REGNAMESPACE => view.namespace(value)?.map(|entry| quote_ident(&entry.name)),
        oid::REGROLE => view.role(value)?.map(|entry| quote_ident(&entry.name)),
        oid::REGCOLLATION => match view.collation(value)? {
            Some(entry) => {
                let found = view.collation_by_name(None, &entry.name)?;
                let visible = found.is_some_and(|found| found.oid == value);
                Some(quoted(view, entry.namespace, &entry.name, visible)?)
            }
            None => None,
        },
        oid::REGCONFIG => text_search_name(view, PG_TS_CONFIG, value)?,
        oid::REGDICTIONARY => text_search_name(view, PG_TS_DICT, value)?,
        other => return Err(Error::internal(format!("type {other} is not a reg type"))),
    };
    Ok(found.unwrap_or_else(|| value.to_string()))
}

const PG_TS_CONFIG: Oid = Oid(3602);
const PG_TS_DICT: Oid = Oid(3600);

/// The name of a text search object: the second column of its catalog. There are a handful of them, all
/// in pg_catalog.
fn text_search_name(view: &CatalogView<'_>, catalog: Oid, wanted: Oid) -> Result<Option<String>> {
    for (_, values) in view.scan_all(catalog)? {
        if let [oid, name, ..] = values.as_slice()
            && oid.as_ref().oid() == wanted
        {
            return Ok(Some(quote_ident(&name.as_ref().text())));
        }
    }
    Ok(None)
}

/// The text search object that a name means, along the search path.
fn text_search_object(view: &CatalogView<'_>, catalog: Oid, kind: &str, text: &str) -> Result<Oid> {
    let parts = split_qualified(text)?;
    let (schema, name) = schema_and_name(view, &parts)?;
    let path = match schema {
        Some(schema) => known_schema(view.namespace_for_lookup(schema))?.into_iter().collect(),
        None => view.namespaces_without_temp(None)?,
    };
    let rows = view.scan_all(catalog)?;
    for namespace in path.iter().copied() {
        for (_, values) in &rows {
            if let [oid, other, schema, ..] = values.as_slice()
                && other.as_ref().text() == name
                && schema.as_ref().oid() == namespace
            {
                return Ok(oid.as_ref().oid());
            }
        }
    }
    Err(error!(UNDEFINED_OBJECT, "{kind} \"{}\" does not exist", parts.join(".")))
}

/// Schema and name of a relation, in the words of `makeRangeVarFromNameList`.
fn relation_name<'p>(view: &CatalogView<'_>, parts: &'p [String]) -> Result<(Option<&'p str>, &'p str)> {
    schema_and_name(view, parts).map_err(|error| match error.sqlstate() {
        SqlState::FEATURE_NOT_SUPPORTED => error!(
            FEATURE_NOT_SUPPORTED,
            "cross-database references are not implemented: \"{}\"",
            parts.join(".")
        ),
        _ => error!(SYNTAX_ERROR, "improper relation name (too many dotted names): {}", parts.join(".")),
    })
}

/// A function's name, qualified unless it alone has that name.
fn regproc_name(view: &CatalogView<'_>, function: Oid) -> Result<Option<String>> {
    let Some(entry) = view.function(function)? else { return Ok(None) };
    let candidates = view.functions_by_name(None, &entry.name)?;
    let only = matches!(candidates.as_slice(), [(_, found)] if found.oid == function);
    quoted(view, entry.namespace, &entry.name, only).map(Some)
}

/// `name(type,type)` of a function: PostgreSQL's `format_procedure`.
pub(crate) fn function_signature(view: &CatalogView<'_>, function: Oid) -> Result<Option<String>> {
    let Some(entry) = view.function(function)? else { return Ok(None) };
    let name = quoted(view, entry.namespace, &entry.name, function_is_visible(view, &entry)?)?;
    let types: Vec<String> = entry
        .arguments
        .iter()
        .map(|argument| format_type(Some(view), *argument, None))
        .collect::<Result<_>>()?;
    Ok(Some(format!("{name}({})", types.join(","))))
}

fn regoper_name(view: &CatalogView<'_>, operator: Oid) -> Result<Option<String>> {
    let Some(entry) = view.operator(operator)? else { return Ok(None) };
    let candidates = view.operators_by_name(None, &entry.name)?;
    if matches!(candidates.as_slice(), [(_, found)] if found.oid == operator) {
        return Ok(Some(entry.name.to_string()));
    }
    with_schema(view, entry.namespace, &entry.name).map(Some)
}

fn with_schema(view: &CatalogView<'_>, namespace: Oid, operator: &str) -> Result<String> {
    Ok(match view.namespace(namespace)? {
        Some(namespace) => format!("{}.{operator}", quote_ident(&namespace.name)),
        None => operator.to_owned(),
    })
}

/// `name(left,right)` of an operator: PostgreSQL's `format_operator`.
pub(crate) fn operator_signature(view: &CatalogView<'_>, operator: Oid) -> Result<Option<String>> {
    let Some(entry) = view.operator(operator)? else { return Ok(None) };
    let name = if operator_is_visible(view, &entry)? {
        entry.name.to_string()
    } else {
        with_schema(view, entry.namespace, &entry.name)?
    };
    let left = entry.left.map_or(Ok("NONE".to_owned()), |left| format_type(Some(view), left, None))?;
    Ok(Some(format!("{name}({left},{})", format_type(Some(view), entry.right, None)?)))
}

/// The oid that the text of a reg* type names.
fn named(view: &CatalogView<'_>, type_oid: Oid, text: &str) -> Result<Oid> {
    if text == "-" {
        return Ok(Oid::INVALID);
    }
    if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return kokkiri_types::number::parse_uint32("oid", text).map(Oid);
    }
    let undefined = |state, message: String| Err(Error::new(state, message));
    match type_oid {
        oid::REGCLASS => {
            let parts = split_qualified(text)?;
            let (schema, name) = relation_name(view, &parts)?;
            match known_schema(view.find_relation(schema, name))? {
                Some(found) => Ok(found),
                None => undefined(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", parts.join(".")),
                ),
            }
        }
        oid::REGTYPE => parse_type(view, text),
        oid::REGPROC => {
            let parts = split_qualified(text)?;
            let (schema, name) = schema_and_name(view, &parts)?;
            match known_schema(view.functions_by_name(schema, name).map(Some))?.as_deref() {
                None | Some([]) => {
                    undefined(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))
                }
                Some([(_, only)]) => Ok(only.oid),
                Some(_) => undefined(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one function named \"{text}\""),
                ),
            }
        }
        oid::REGPROCEDURE => {
            let (name, arguments) = signature(view, text)?;
            let parts = split_qualified(name)?;
            let (schema, name) = schema_and_name(view, &parts)?;
            let found = known_schema(view.functions_by_name(schema, name).map(Some))?.unwrap_or_default();
            let wanted: Vec<Oid> =
                arguments.iter().map(|argument| argument.unwrap_or(Oid::INVALID)).collect();
            match found.iter().find(|(_, function)| *function.arguments == *wanted) {
                Some((_, function)) => Ok(function.oid),
                None => {
                    undefined(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))
                }
            }
        }
        oid::REGOPER => {
            let (schema, name) = operator_name(text)?;
            let found = view.operators_by_name(schema.as_deref(), name)?;
            match found.as_slice() {
                [] => undefined(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {text}")),
                [(_, only)] => Ok(only.oid),
                _ => undefined(SqlState::AMBIGUOUS_FUNCTION, format!("more than one operator named {text}")),
            }
        }
        oid::REGOPERATOR => {
            let (name, arguments) = signature(view, text)?;
            let (schema, name) = operator_name(name)?;
            let [left, right] = *arguments else {
                let error = if arguments.len() == 1 {
                    error!(UNDEFINED_PARAMETER, "missing argument")
                        .hint("Use NONE to denote the missing argument of a unary operator.")
                } else {
                    error!(TOO_MANY_ARGUMENTS, "too many arguments")
                        .hint("Provide two argument types for operator.")
                };
                return Err(error);
            };
            let found = view.operators_by_name(schema.as_deref(), name)?;
            match found.iter().find(|(_, operator)| operator.left == left && Some(operator.right) == right) {
                Some((_, operator)) => Ok(operator.oid),
                None => undefined(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {text}")),
            }
        }
        oid::REGNAMESPACE => {
            let name = single(text)?;
            match view.namespace_by_name(&name)? {
                Some(namespace) => Ok(namespace.oid),
                None => undefined(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist")),
            }
        }
        oid::REGROLE => role(view, &single(text)?),
        oid::REGCOLLATION => {
            let parts = split_qualified(text)?;
            let (schema, name) = schema_and_name(view, &parts)?;
            match known_schema(view.collation_by_name(schema, name))? {
                Some(collation) => Ok(collation.oid),
                None => undefined(
                    SqlState::UNDEFINED_OBJECT,
                    format!("collation \"{}\" for encoding \"UTF8\" does not exist", parts.join(".")),
                ),
            }
        }
        oid::REGCONFIG => text_search_object(view, PG_TS_CONFIG, "text search configuration", text),
        oid::REGDICTIONARY => text_search_object(view, PG_TS_DICT, "text search dictionary", text),
        other => Err(Error::internal(format!("type {other} is not a reg type"))),
    }
}

/// What a lookup found; nothing if the schema itself doesn't exist.
fn known_schema<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if error.sqlstate() == SqlState::INVALID_SCHEMA_NAME => Ok(None),
        other => other,
    }
}

/// A name that no schema qualifies.
fn single(text: &str) -> Result<String> {
    match <[String; 1]>::try_from(split_qualified(text)?) {
        Ok([name]) => Ok(name),
        Err(_) => bail!(INVALID_NAME, "invalid name syntax"),
    }
}

/// An operator's name with or without schema.
fn operator_name(text: &str) -> Result<(Option<String>, &str)> {
    const CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";
    let start = text.find(|c| CHARACTERS.contains(c)).unwrap_or(text.len());
    let (schema, name) = text.split_at(start);
    match schema.trim_end().strip_suffix('.') {
        Some(schema) => Ok((Some(single(schema)?), name.trim())),
        None => Ok((None, text.trim())),
    }
}

/// `name(type, type)` taken apart; `NONE` is no type.
fn signature<'t>(view: &CatalogView<'_>, text: &'t str) -> Result<(&'t str, Vec<Option<Oid>>)> {
    let mut in_quotes = false;
    let open = text.char_indices().find(|(_, c)| {
        in_quotes ^= *c == '"';
        *c == '(' && !in_quotes
    });
    let Some((open, _)) = open else {
        bail!(INVALID_TEXT_REPRESENTATION, "expected a left parenthesis");
    };
    let Some(inner) = text[open + 1..].trim_end().strip_suffix(')') else {
        bail!(INVALID_TEXT_REPRESENTATION, "expected a right parenthesis");
    };
    let mut arguments = Vec::new();
    if !inner.trim().is_empty() {
        let (mut in_quotes, mut depth) = (false, 0);
        let separator = |c: char| {
            in_quotes ^= c == '"';
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && !in_quotes && depth == 0
        };
        for argument in inner.split(separator) {
            let argument = argument.trim();
            if argument.is_empty() {
                bail!(INVALID_TEXT_REPRESENTATION, "expected a type name");
            }
            let none = argument.eq_ignore_ascii_case("none");
            arguments.push(if none { None } else { Some(parse_type(view, argument)?) });
        }
    }
    Ok((&text[..open], arguments))
}

/// A role by name.
pub(crate) fn role(view: &CatalogView<'_>, name: &str) -> Result<Oid> {
    match view.role_by_name(name)? {
        Some(role) => Ok(role.oid),
        None => bail!(UNDEFINED_OBJECT, "role \"{name}\" does not exist"),
    }
}

fn acl_item(view: &CatalogView<'_>, text: &str) -> Result<Value> {
    let plain = |name: &str| {
        let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        role(view, &name.replace("\"\"", "\""))
    };
    AclItem::parse(text, plain).map(|item| Value::Fixed16(item.to_bytes()))
}

fn print_acl_item(view: &CatalogView<'_>, item: AclItem) -> Result<String> {
    let mut failed = None;
    let name = |role: Oid| match view.role(role) {
        Ok(Some(entry)) => acl_name(&entry.name),
        Ok(None) => role.to_string(),
        Err(error) => {
            failed = Some(error);
            String::new()
        }
    };
    let text = item.print(name);
    failed.map_or(Ok(text), Err)
}

/// In an aclitem a name of letters, digits and underscores needs no quotes, whatever its case.
fn acl_name(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    if name.chars().all(safe) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

macro_rules! input_and_output {
    ($($type:ident: $in_oid:literal $in:ident $out_oid:literal $out:ident;)+) => {$(
        #[builtin(oid = $in_oid)]
        fn $in(context: &mut CallContext<'_>, text: &str) -> Result<Oid> {
            named(&need::catalog(context)?, oid::$type, text)
        }

        #[builtin(oid = $out_oid)]
        fn $out(context: &mut CallContext<'_>, value: Oid) -> Result<String> {
            name_of(&need::catalog(context)?, oid::$type, ValueRef::Int32(value.0 as i32))
        }
    )+};
}

input_and_output! {
    REGPROC: 44 regprocin 45 regprocout;
    REGPROCEDURE: 2212 regprocedurein 2213 regprocedureout;
    REGOPER: 2214 regoperin 2215 regoperout;
    REGOPERATOR: 2216 regoperatorin 2217 regoperatorout;
    REGCLASS: 2218 regclassin 2219 regclassout;
    REGTYPE: 2220 regtypein 2221 regtypeout;
    REGNAMESPACE: 4084 regnamespacein 4085 regnamespaceout;
    REGROLE: 4098 regrolein 4092 regroleout;
    REGCOLLATION: 4193 regcollationin 4194 regcollationout;
}

#[builtin(oid = 1031)]
fn aclitemin(context: &mut CallContext<'_>, text: &str) -> Result<Value> {
    acl_item(&need::catalog(context)?, text)
}

#[builtin(oid = 1032)]
fn aclitemout(context: &mut CallContext<'_>, item: [u8; 16]) -> Result<String> {
    print_acl_item(&need::catalog(context)?, AclItem::from_bytes(item))
}

/// The relation that a text names.
pub(crate) fn regclass(view: &CatalogView<'_>, text: &str) -> Result<Oid> {
    named(view, oid::REGCLASS, text)
}

/// The cast from text.
#[builtin(oid = 1079)]
fn text_regclass(context: &mut CallContext<'_>, text: &str) -> Result<Oid> {
    named(&need::catalog(context)?, oid::REGCLASS, text)
}

/// The oid, or null where the name names nothing.
fn soft(context: &CallContext<'_>, type_oid: Oid, text: &str) -> Result<Option<Oid>> {
    const SOFT: [SqlState; 11] = [
        SqlState::UNDEFINED_PARAMETER,
        SqlState::TOO_MANY_ARGUMENTS,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::AMBIGUOUS_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::INVALID_NAME,
        SqlState::INVALID_TEXT_REPRESENTATION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    ];
    match named(&need::catalog(context)?, type_oid, text) {
        Ok(found) => Ok(Some(found)),
        Err(error) if SOFT.contains(&error.sqlstate()) => Ok(None),
        Err(error) => Err(error),
    }
}

macro_rules! soft_lookups {
    ($($oid:literal $name:ident $type:ident;)+) => {$(
        #[builtin(oid = $oid)]
        fn $name(context: &mut CallContext<'_>, text: &str) -> Result<Option<Oid>> {
            soft(context, oid::$type, text)
        }
    )+};
}

soft_lookups! {
    3495 to_regclass REGCLASS;
    3493 to_regtype REGTYPE;
    3494 to_regproc REGPROC;
    3479 to_regprocedure REGPROCEDURE;
    3492 to_regoper REGOPER;
    3476 to_regoperator REGOPERATOR;
    4086 to_regnamespace REGNAMESPACE;
    4093 to_regrole REGROLE;
    4195 to_regcollation REGCOLLATION;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_names_may_have_a_schema() {
        assert_eq!(operator_name("pg_catalog.=").expect("a name"), (Some("pg_catalog".to_owned()), "="));
        assert_eq!(operator_name("<=").expect("a name"), (None, "<="));
    }
}
