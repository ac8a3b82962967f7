//! Who and where: users, databases, schemas, settings, encodings.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::settings::{SetScope, find};
use kokkiri_primitives::{Error, Oid, Result, bail, error};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef, array};

use super::activity::may_read_setting;
use super::{encoding, need};
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
    for schema in path.iter().copied() {
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
    if let Some(value) = value {
        need::catalog(context)?.check_identity(name, value)?;
    }
    settings.set(name, value, scope)?;
    if name.eq_ignore_ascii_case("session_authorization") {
        settings.set("role", Some("none"), scope)?;
    }
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

#[builtin(oid = 1039)]
fn getdatabaseencoding(context: &mut CallContext<'_>) -> Result<&'static str> {
    let view = need::catalog(context)?;
    let database = view.database(view.database_oid())?;
    Ok(encoding::name(database.map_or(kokkiri_catalog::view::UTF8, |database| database.encoding)))
}

#[builtin(oid = 810)]
fn pg_client_encoding(context: &mut CallContext<'_>) -> Result<String> {
    need::settings(context)?.show("client_encoding")
}

#[builtin(oid = 1597)]
fn pg_encoding_to_char(number: i32) -> &'static str {
    encoding::name(number)
}

#[builtin(oid = 1264)]
fn pg_char_to_encoding(name: &str) -> i32 {
    encoding::number(name).unwrap_or(-1)
}

#[builtin(oid = 2319)]
fn pg_encoding_max_length(number: i32) -> Option<i32> {
    encoding::longest_character(number)
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
