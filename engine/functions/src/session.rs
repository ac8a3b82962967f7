//! Functions about the session and its settings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::activity::{WaitEvent, wait_until};
use kokkiri_primitives::settings::SetScope;
use kokkiri_primitives::{Error, Result, bail};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef, array};

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![
    pgsql_version,
    current_database,
    current_user,
    session_user,
    current_schema,
    current_schemas,
    pg_backend_pid,
    show_config_by_name,
    show_config_by_name_missing_ok,
    set_config_by_name,
    pg_client_encoding,
    getdatabaseencoding,
    pg_encoding_to_char,
    pg_char_to_encoding,
    pg_typeof,
    pg_num_nulls,
    pg_num_nonnulls,
    pg_column_size,
    pg_sleep,
]];

#[builtin(oid = 89)]
fn pgsql_version(context: &mut CallContext<'_>) -> String {
    context.session.version.clone()
}

#[builtin(oid = 861)]
fn current_database(context: &mut CallContext<'_>) -> String {
    context.session.database_name.clone()
}

#[builtin(oid = 745)]
fn current_user(context: &mut CallContext<'_>) -> String {
    context.session.user_name.clone()
}

#[builtin(oid = 746)]
fn session_user(context: &mut CallContext<'_>) -> String {
    context.session.session_user_name.clone()
}

#[builtin(oid = 2026)]
fn pg_backend_pid(context: &mut CallContext<'_>) -> i32 {
    context.session.process_id
}

#[builtin(oid = 1402)]
fn current_schema(context: &mut CallContext<'_>) -> Result<Option<String>> {
    let view = context.catalog()?;
    let Some(&first) = view.search_path_without_temp()?.iter().find(|oid| oid.0 != PG_CATALOG) else {
        return Ok(None);
    };
    Ok(view.namespace(first)?.map(|namespace| namespace.name.to_string()))
}

/// Oid of the schema pg_catalog.
const PG_CATALOG: u32 = 11;

#[builtin(oid = 1403)]
fn current_schemas(context: &mut CallContext<'_>, implicit: bool) -> Result<Vec<u8>> {
    let view = context.catalog()?;
    let path = if implicit { view.search_path()? } else { view.search_path_without_temp()? };
    let mut names = Vec::new();
    for namespace in path {
        if !implicit && namespace.0 == PG_CATALOG {
            continue;
        }
        if let Some(entry) = view.namespace(namespace)? {
            names.push(Value::from(&*entry.name));
        }
    }
    array::build_vector(type_info(oid::NAME).expect("name is built in"), &names)
}

#[builtin(oid = 2077)]
fn show_config_by_name(context: &mut CallContext<'_>, name: &str) -> Result<String> {
    context.settings()?.show(name)
}

#[builtin(oid = 3294)]
fn show_config_by_name_missing_ok(
    context: &mut CallContext<'_>,
    name: &str,
    missing_ok: bool,
) -> Result<Option<String>> {
    match context.settings()?.show(name) {
        Ok(value) => Ok(Some(value)),
        Err(error) if missing_ok && error.sqlstate() == kokkiri_primitives::SqlState::UNDEFINED_OBJECT => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[builtin(oid = 2078, volatile)]
fn set_config_by_name(
    context: &mut CallContext<'_>,
    name: Option<&str>,
    value: Option<&str>,
    local: Option<bool>,
) -> Result<String> {
    let Some(name) = name else { bail!(NULL_VALUE_NOT_ALLOWED, "SET requires parameter name") };
    let settings = context.settings()?;
    let scope = if local == Some(true) { SetScope::Local } else { SetScope::Session };
    settings.set(name, value, scope)?;
    settings.show(name)
}

#[builtin(oid = 810)]
fn pg_client_encoding() -> &'static str {
    "UTF8"
}

#[builtin(oid = 1039)]
fn getdatabaseencoding() -> &'static str {
    "UTF8"
}

/// Encodings by PostgreSQL's numbers.
const ENCODINGS: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

#[builtin(oid = 1597)]
fn pg_encoding_to_char(encoding: i32) -> &'static str {
    usize::try_from(encoding).ok().and_then(|at| ENCODINGS.get(at)).copied().unwrap_or("")
}

#[builtin(oid = 1264)]
fn pg_char_to_encoding(name: &str) -> i32 {
    let plain = |name: &str| {
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(name);
    ENCODINGS.iter().position(|encoding| plain(encoding) == wanted).map_or(-1, |at| at as i32)
}

#[builtin(oid = 1619, raw)]
fn pg_typeof(context: &mut CallContext<'_>, _: &[ValueRef<'_>]) -> Result<Value> {
    match context.argument_types.first() {
        Some(&type_oid) => Ok(Value::oid(type_oid)),
        None => Err(Error::internal("the type of pg_typeof's argument is not known")),
    }
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

/// Bytes that a value takes uncompressed, its header included.
#[builtin(oid = 1269)]
fn pg_column_size(context: &mut CallContext<'_>, value: ValueRef<'_>) -> i32 {
    let length =
        context.argument_types.first().and_then(|&oid| type_info(oid)).map_or(-1, |info| info.length);
    match (length, value) {
        (1.., _) => i32::from(length),
        (-2, ValueRef::Bytes(bytes)) => bytes.len() as i32 + 1,
        (_, ValueRef::Bytes(bytes)) => bytes.len() as i32 + 4,
        _ => 0,
    }
}

static PG_SLEEP: WaitEvent = WaitEvent::new("Timeout", "PgSleep");

/// Sleeps, and wakes for a cancel.
#[builtin(oid = 2626, volatile)]
fn pg_sleep(seconds: f64) -> Result<i32> {
    let duration =
        std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(std::time::Duration::MAX);
    let deadline = std::time::Instant::now().checked_add(duration);
    wait_until(&PG_SLEEP, deadline, || Ok(None::<()>))?;
    Ok(0)
}
