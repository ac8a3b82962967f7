//! Who and where: users, databases, schemas, settings, encodings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::settings::{SetScope, find};
use kokkiri_primitives::{Error, Oid, Result, bail, error};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef, array};

use super::activity::may_read_setting;
use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_backend_pid,
    current_user,
    session_user,
    current_database,
    current_schema,
    current_schemas,
    current_query,
    pgsql_version,
    show_config_by_name,
    show_config_by_name_missing_ok,
    set_config_by_name,
    pg_my_temp_schema,
    pg_is_other_temp_schema,
    getdatabaseencoding,
    pg_client_encoding,
    pg_encoding_to_char,
    pg_char_to_encoding,
    pg_encoding_max_length,
    pg_get_userbyid,
    pg_typeof,
    pg_basetype,
    pg_collation_for,
    pg_num_nulls,
    pg_num_nonnulls,
    pg_column_size,
    pg_jit_available,
    pg_numa_available,
    pg_trigger_depth,
    inet_client_addr,
    inet_client_port,
    inet_server_addr,
    inet_server_port,
];

#[builtin(oid = 2026)]
fn pg_backend_pid(context: &mut CallContext<'_>) -> i32 {
    context.session.process_id
}

#[builtin(oid = [745, 710])]
fn current_user(context: &mut CallContext<'_>) -> String {
    context.session.user_name.clone()
}

#[builtin(oid = 746)]
fn session_user(context: &mut CallContext<'_>) -> String {
    context.session.session_user_name.clone()
}

#[builtin(oid = 861)]
fn current_database(context: &mut CallContext<'_>) -> String {
    context.session.database_name.clone()
}

#[builtin(oid = 1402)]
fn current_schema(context: &mut CallContext<'_>) -> Result<Option<String>> {
    let view = need::catalog(context)?;
    let Some(first) = view.explicit_search_path()?.first().copied() else { return Ok(None) };
    Ok(view.namespace(first)?.map(|namespace| namespace.name.to_string()))
}

/// The schemas of the search path; with `implicit` those that are searched without being named as well.
#[builtin(oid = 1403)]
fn current_schemas(context: &mut CallContext<'_>, implicit: bool) -> Result<Vec<u8>> {
    let view = need::catalog(context)?;
    let path = if implicit { view.search_path()? } else { view.explicit_search_path()? };
    let mut names = Vec::new();
    for schema in path {
        if let Some(namespace) = view.namespace(schema)? {
            names.push(Value::from(&*namespace.name));
        }
    }
    array::build_vector(type_info(oid::NAME).expect("name is built in"), &names)
}

#[builtin(oid = 817, volatile)]
fn current_query(context: &mut CallContext<'_>) -> Result<Option<String>> {
    Ok(need::session_state(context)?.query_text())
}

#[builtin(oid = 89)]
fn pgsql_version(context: &mut CallContext<'_>) -> String {
    context.session.version.clone()
}

/// `current_setting(name)`.
#[builtin(oid = 2077)]
fn show_config_by_name(context: &mut CallContext<'_>, name: &str) -> Result<String> {
    setting(context, name)
}

/// A setting as SHOW prints it.
fn setting(context: &CallContext<'_>, name: &str) -> Result<String> {
    let settings = need::settings(context)?;
    let shown = settings.show(name)?;
    if let (Some(view), Some((_, parameter))) = (context.catalog, find(name))
        && !may_read_setting(&view, parameter.name)?
    {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to examine \"{name}\"").detail(
            "Only roles with privileges of the \"pg_read_all_settings\" role may examine this parameter.",
        ));
    }
    Ok(shown)
}

#[builtin(oid = 3294)]
fn show_config_by_name_missing_ok(
    context: &mut CallContext<'_>,
    name: &str,
    missing_ok: bool,
) -> Result<Option<String>> {
    match setting(context, name) {
        Err(error) if missing_ok && error.sqlstate() == kokkiri_primitives::SqlState::UNDEFINED_OBJECT => {
            Ok(None)
        }
        shown => shown.map(Some),
    }
}

/// `set_config(name, value, is_local)`.
#[builtin(oid = 2078, volatile)]
fn set_config_by_name(
    context: &mut CallContext<'_>,
    name: Option<&str>,
    value: Option<&str>,
    is_local: Option<bool>,
) -> Result<String> {
    let Some(name) = name else {
        bail!(NULL_VALUE_NOT_ALLOWED, "SET requires parameter name");
    };
    let scope = if is_local == Some(true) { SetScope::Local } else { SetScope::Session };
    let settings = need::settings(context)?;
    settings.set(name, value, scope)?;
    settings.show(name)
}

#[builtin(oid = 2854)]
fn pg_my_temp_schema(context: &mut CallContext<'_>) -> Result<Oid> {
    Ok(need::catalog(context)?.session.temp_namespace().unwrap_or(Oid::INVALID))
}

#[builtin(oid = 2855)]
fn pg_is_other_temp_schema(context: &mut CallContext<'_>, schema: Oid) -> Result<bool> {
    let view = need::catalog(context)?;
    if view.session.temp_namespace() == Some(schema) {
        return Ok(false);
    }
    let namespace = view.namespace(schema)?;
    Ok(namespace
        .is_some_and(|entry| entry.name.starts_with("pg_temp_") || entry.name.starts_with("pg_toast_temp_")))
}

/// Names of the encodings by number, with the longest character's bytes.
const ENCODINGS: [(&str, i32); 42] = [
    ("SQL_ASCII", 1),
    ("EUC_JP", 3),
    ("EUC_CN", 3),
    ("EUC_KR", 3),
    ("EUC_TW", 4),
    ("EUC_JIS_2004", 3),
    ("UTF8", 4),
    ("MULE_INTERNAL", 4),
    ("LATIN1", 1),
    ("LATIN2", 1),
    ("LATIN3", 1),
    ("LATIN4", 1),
    ("LATIN5", 1),
    ("LATIN6", 1),
    ("LATIN7", 1),
    ("LATIN8", 1),
    ("LATIN9", 1),
    ("LATIN10", 1),
    ("WIN1256", 1),
    ("WIN1258", 1),
    ("WIN866", 1),
    ("WIN874", 1),
    ("KOI8R", 1),
    ("WIN1251", 1),
    ("WIN1252", 1),
    ("ISO_8859_5", 1),
    ("ISO_8859_6", 1),
    ("ISO_8859_7", 1),
    ("ISO_8859_8", 1),
    ("WIN1250", 1),
    ("WIN1253", 1),
    ("WIN1254", 1),
    ("WIN1255", 1),
    ("WIN1257", 1),
    ("KOI8U", 1),
    ("SJIS", 2),
    ("BIG5", 2),
    ("GBK", 2),
    ("UHC", 2),
    ("GB18030", 4),
    ("JOHAB", 3),
    ("SHIFT_JIS_2004", 2),
];

fn encoding(number: i32) -> Option<&'static (&'static str, i32)> {
    ENCODINGS.get(usize::try_from(number).ok()?)
}

fn encoding_name(number: i32) -> &'static str {
    encoding(number).map_or("", |(name, _)| name)
}

#[builtin(oid = 1039)]
fn getdatabaseencoding(context: &mut CallContext<'_>) -> Result<&'static str> {
    let view = need::catalog(context)?;
    let database = view.database(view.database_oid())?;
    Ok(encoding_name(database.map_or(kokkiri_catalog::view::UTF8, |database| database.encoding)))
}

#[builtin(oid = 810)]
fn pg_client_encoding(context: &mut CallContext<'_>) -> Result<String> {
    need::settings(context)?.show("client_encoding")
}

#[builtin(oid = 1597)]
fn pg_encoding_to_char(number: i32) -> &'static str {
    encoding_name(number)
}

/// Case and everything but letters and digits are ignored.
#[builtin(oid = 1264)]
fn pg_char_to_encoding(name: &str) -> i32 {
    let clean = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
    };
    let wanted = match clean(name).as_str() {
        "UNICODE" => "UTF8".to_owned(),
        "WIN" => "WIN1251".to_owned(),
        "ALT" => "WIN866".to_owned(),
        "KOI8" => "KOI8R".to_owned(),
        "TCVN" | "TCVN5712" | "ABC" | "VSCII" => "WIN1258".to_owned(),
        "MSKANJI" | "SHIFTJIS" | "WIN932" | "WINDOWS932" => "SJIS".to_owned(),
        "WIN936" | "WINDOWS936" => "GBK".to_owned(),
        "WIN949" | "WINDOWS949" => "UHC".to_owned(),
        "WIN950" | "WINDOWS950" => "BIG5".to_owned(),
        other => match (other.strip_prefix("WINDOWS"), other.strip_prefix("ISO8859")) {
            (Some(page), _) => format!("WIN{page}"),
            (_, Some("1")) => "LATIN1".to_owned(),
            (_, Some("2")) => "LATIN2".to_owned(),
            (_, Some("3")) => "LATIN3".to_owned(),
            (_, Some("4")) => "LATIN4".to_owned(),
            (_, Some("9")) => "LATIN5".to_owned(),
            (_, Some("10")) => "LATIN6".to_owned(),
            (_, Some("13")) => "LATIN7".to_owned(),
            (_, Some("14")) => "LATIN8".to_owned(),
            (_, Some("15")) => "LATIN9".to_owned(),
            (_, Some("16")) => "LATIN10".to_owned(),
            _ => other.to_owned(),
        },
    };
    ENCODINGS.iter().position(|(name, _)| clean(name) == wanted).map_or(-1, |number| number as i32)
}

#[builtin(oid = 2319)]
fn pg_encoding_max_length(number: i32) -> Option<i32> {
    encoding(number).map(|(_, length)| *length)
}

/// The role's name, or `unknown (OID=n)`.
#[builtin(oid = 1642)]
fn pg_get_userbyid(context: &mut CallContext<'_>, role: Oid) -> Result<String> {
    Ok(match need::catalog(context)?.role(role)? {
        Some(entry) => entry.name.to_string(),
        None => format!("unknown (OID={role})"),
    })
}

#[builtin(oid = 1619, raw)]
fn pg_typeof(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Value> {
    Ok(Value::oid(context.argument_types.first().copied().unwrap_or(Oid::INVALID)))
}

/// What a domain is over at the bottom; any other type is its own base type.
#[builtin(oid = 6315)]
fn pg_basetype(context: &mut CallContext<'_>, type_oid: Oid) -> Result<Option<Oid>> {
    let view = need::catalog(context)?;
    let mut found = type_oid;
    loop {
        let Some(entry) = view.type_entry(found)? else { return Ok(None) };
        match entry.base_type {
            Some(base) => found = base,
            None => return Ok(Some(found)),
        }
    }
}

/// The collation of the argument, named as SQL wants it.
#[builtin(oid = 3162, raw)]
fn pg_collation_for(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Value> {
    let view = need::catalog(context)?;
    let argument = context.argument_types.first().copied().unwrap_or(Oid::INVALID);
    let collatable = view.type_entry(argument)?.is_some_and(|entry| entry.collation.is_valid());
    if !collatable && argument != oid::UNKNOWN {
        bail!(
            DATATYPE_MISMATCH,
            "collations are not supported by type {}",
            super::type_name::format_type(Some(&view), argument, None)?
        );
    }
    let Some(collation) = view.collation(context.collation)? else { return Ok(Value::Null) };
    let visible =
        view.collation_by_name(None, &collation.name)?.is_some_and(|found| found.oid == collation.oid);
    let name = quote_ident(&collation.name);
    Ok(Value::from(match view.namespace(collation.namespace)? {
        Some(namespace) if !visible => format!("{}.{name}", quote_ident(&namespace.name)),
        _ => name,
    }))
}

/// Nulls and others among the arguments, or the elements of a VARIADIC array.
fn count_nulls(context: &CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Option<(i32, i32)>> {
    let count = |nulls: usize, all: usize| Some((nulls as i32, (all - nulls) as i32));
    if !context.variadic {
        return Ok(count(arguments.iter().filter(|value| value.is_null()).count(), arguments.len()));
    }
    let Some(list) = arguments.first().filter(|list| !list.is_null()) else { return Ok(None) };
    let values = array::values(list.bytes())?;
    Ok(count(values.iter().filter(|value| value.is_null()).count(), values.len()))
}

#[builtin(oid = 438, raw)]
fn pg_num_nulls(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    Ok(Value::from(count_nulls(context, arguments)?.map(|(nulls, _)| nulls)))
}

#[builtin(oid = 440, raw)]
fn pg_num_nonnulls(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    Ok(Value::from(count_nulls(context, arguments)?.map(|(_, others)| others)))
}

/// Bytes that a value takes in a tuple: with its varlena header, without alignment. Values arrive
/// decompressed, so this is their plain size.
#[builtin(oid = 1269, raw, strict)]
fn pg_column_size(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
    let type_oid = context.argument_types.first().copied().unwrap_or(oid::TEXT);
    let length = match (need::catalog(context), type_info(type_oid)) {
        (_, Some(info)) => info.length,
        (Ok(view), None) => view.expect_type(type_oid)?.length,
        (Err(error), None) => return Err(error),
    };
    Ok(Value::Int32(match (length, arguments[0]) {
        (-2, ValueRef::Bytes(bytes)) => bytes.len() as i32 + 1,
        (length, ValueRef::Bytes(bytes)) if length < 0 => bytes.len() as i32 + 4,
        (length, _) => i32::from(length),
    }))
}

#[builtin(oid = 315)]
fn pg_jit_available() -> bool {
    false
}

#[builtin(oid = 4099)]
fn pg_numa_available() -> bool {
    false
}

/// How many triggers the statement runs inside of: none that is written in SQL can be running here.
#[builtin(oid = 3163)]
fn pg_trigger_depth() -> i32 {
    0
}

/// An address as a value of type inet: family, prefix length, bytes.
pub(crate) fn inet(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(address) => [&[2, 32][..], &address.octets()].concat(),
        std::net::IpAddr::V6(address) => [&[3, 128][..], &address.octets()].concat(),
    }
}

fn client_address(context: &CallContext<'_>) -> Result<Option<std::net::SocketAddr>> {
    let view = need::catalog(context)?;
    let address = view.transaction.backend().status().client_address;
    Ok(address)
}

#[builtin(oid = 2196)]
fn inet_client_addr(context: &mut CallContext<'_>) -> Result<Option<Vec<u8>>> {
    Ok(client_address(context)?.map(|address| inet(address.ip())))
}

#[builtin(oid = 2197)]
fn inet_client_port(context: &mut CallContext<'_>) -> Result<Option<i32>> {
    Ok(client_address(context)?.map(|address| i32::from(address.port())))
}

#[builtin(oid = 2198)]
fn inet_server_addr(context: &mut CallContext<'_>) -> Result<Option<Vec<u8>>> {
    match client_address(context)? {
        None => Ok(None),
        Some(_) => Err(Error::not_supported("inet_server_addr() of a network connection")),
    }
}

#[builtin(oid = 2199)]
fn inet_server_port(context: &mut CallContext<'_>) -> Result<Option<i32>> {
    match client_address(context)? {
        None => Ok(None),
        Some(_) => {
            let port = need::settings(context)?.get(kokkiri_primitives::settings::parameters::PORT);
            Ok(Some(port as i32))
        }
    }
}
