//! CREATE DATABASE.
//!
//! Realises: `createdb`.
//!
//! Differs: the only encoding is UTF8 and the only locale C, as everywhere in this server.

use std::sync::Arc;

use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::entries::DatabaseEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::rows::PgDatabase;
use kokkiri_catalog::view::UTF8;
use kokkiri_functions::system::encoding;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{CreatedbStmt, DefArg, DefElem};
use kokkiri_primitives::{Error, Oid, RelFileLocator, Result, SqlState, error};
use kokkiri_transaction::LockMode;
use kokkiri_transaction::database_files::DatabasePlace;

use super::copy::Strategy;
use super::{
    INVALID_DATABASE, check_unused, copy, duplicate, lock, may_create_databases, once, row_of, unrecognized,
};
use crate::context::{CommandContext, CommandOutcome};
use crate::options;

const LIBC: u8 = b'c';

/// The options as they were given.
#[derive(Default)]
struct Given<'o> {
    tablespace: Option<&'o DefElem>,
    owner: Option<&'o DefElem>,
    template: Option<&'o DefElem>,
    encoding: Option<&'o DefElem>,
    locale: Option<&'o DefElem>,
    builtin_locale: Option<&'o DefElem>,
    collate: Option<&'o DefElem>,
    ctype: Option<&'o DefElem>,
    icu_locale: Option<&'o DefElem>,
    icu_rules: Option<&'o DefElem>,
    provider: Option<&'o DefElem>,
    is_template: Option<&'o DefElem>,
    allow_connections: Option<&'o DefElem>,
    connection_limit: Option<&'o DefElem>,
    collation_version: Option<&'o DefElem>,
    oid: Option<&'o DefElem>,
    strategy: Option<&'o DefElem>,
}

pub fn execute(context: &mut CommandContext<'_>, statement: &CreatedbStmt) -> Result<CommandOutcome> {
    context.prevent_in_transaction_block("CREATE DATABASE")?;
    let given = Given::read(context, &statement.options)?;
    let encoding = encoding_of(&given)?;
    let provider = provider_of(&given)?;
    let is_template = flag(given.is_template)?;
    let allow_connections = flag(given.allow_connections)?;
    let connection_limit = connection_limit(given.connection_limit)?;
    let collation_version = text(given.collation_version)?;
    let owner = match text(given.owner)? {
        Some(name) => context.role_called(&name)?,
        None => context.role(),
    };
    if !may_create_databases(context)? {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to create database"));
    }
    context.check_can_set_role(owner)?;

    let template_name = text(given.template)?.unwrap_or_else(|| "template1".to_owned());
    let template = lock(context, &template_name, LockMode::Share)?.ok_or_else(|| {
        error!(INVALID_CATALOG_NAME, "template database \"{template_name}\" does not exist")
    })?;
    check_template(context, &template)?;
    let strategy = strategy(given.strategy)?;
    check_locale(&given, provider)?;
    check_encoding(encoding, &template, &template_name)?;
    let tablespace = tablespace(context, &given, &template)?;
    if context.view.database_by_name(&statement.name)?.is_some() {
        return Err(duplicate(&statement.name));
    }
    let in_use = format!("source database \"{template_name}\" is being accessed by other users");
    check_unused(context, template.oid, &in_use)?;

    let oid = choose_oid(context, &given)?;
    let source = row_of(context, template.oid)?.row;
    context.view.insert_row(PgDatabase {
        oid,
        datname: statement.name.as_str().into(),
        datdba: owner,
        datistemplate: is_template.unwrap_or(false),
        datallowconn: allow_connections.unwrap_or(true),
        datconnlimit: connection_limit,
        dattablespace: tablespace,
        datcollversion: collation_version.or_else(|| source.datcollversion.clone()),
        datacl: None,
        ..source
    })?;
    dependency::record_owner(&context.view, ObjectAddress::new(class::DATABASE, oid), owner)?;
    dependency::copy_shared(&context.view, template.oid, oid)?;

    let from = DatabasePlace { tablespace: template.tablespace, database: template.oid };
    copy::copy(context, from, DatabasePlace { tablespace, database: oid }, strategy)?;
    context.transaction().force_synchronous_commit();
    Ok(CommandOutcome::done("CREATE DATABASE"))
}

impl<'o> Given<'o> {
    fn read(context: &mut CommandContext<'_>, options: &'o [DefElem]) -> Result<Self> {
        let mut given = Self::default();
        for option in options {
            let place = match option.name.as_str() {
                "tablespace" => &mut given.tablespace,
                "owner" => &mut given.owner,
                "template" => &mut given.template,
                "encoding" => &mut given.encoding,
                "locale" => &mut given.locale,
                "builtin_locale" => &mut given.builtin_locale,
                "lc_collate" => &mut given.collate,
                "lc_ctype" => &mut given.ctype,
                "icu_locale" => &mut given.icu_locale,
                "icu_rules" => &mut given.icu_rules,
                "locale_provider" => &mut given.provider,
                "is_template" => &mut given.is_template,
                "allow_connections" => &mut given.allow_connections,
                "connection_limit" => &mut given.connection_limit,
                "collation_version" => &mut given.collation_version,
                "strategy" => &mut given.strategy,
                "location" => {
                    let message = "LOCATION is not supported anymore";
                    context.notice(
                        Error::warning(SqlState::FEATURE_NOT_SUPPORTED, message)
                            .hint("Consider using tablespaces instead.")
                            .at_location(option.location),
                    );
                    continue;
                }
                "oid" => {
                    if object_id(option)? < Oid::FIRST_NORMAL {
                        return Err(error!(
                            INVALID_PARAMETER_VALUE,
                            "OIDs less than {} are reserved for system objects",
                            Oid::FIRST_NORMAL
                        ));
                    }
                    // A repeated OID counts as the last one given.
                    given.oid = Some(option);
                    continue;
                }
                _ => return Err(unrecognized(option)),
            };
            once(place, option)?;
        }
        Ok(given)
    }
}

/// What an option says; `None` if it was not given, or as DEFAULT.
fn text(option: Option<&DefElem>) -> Result<Option<String>> {
    option.filter(|option| option.arg.is_some()).map(options::text).transpose()
}

fn flag(option: Option<&DefElem>) -> Result<Option<bool>> {
    option.filter(|option| option.arg.is_some()).map(options::boolean).transpose()
}

/// `defGetObjectId`.
fn object_id(option: &DefElem) -> Result<Oid> {
    match &option.arg {
        None => Err(error!(SYNTAX_ERROR, "{} requires a numeric value", option.name)),
        Some(DefArg::Integer(number)) => Ok(Oid(*number as u32)),
        Some(_) => {
            let digits = options::text(option)?;
            let number = digits.parse::<i128>().map_err(|_| {
                error!(INVALID_TEXT_REPRESENTATION, "invalid input syntax for type oid: \"{digits}\"")
            })?;
            u32::try_from(number).map(Oid).map_err(|_| {
                error!(NUMERIC_VALUE_OUT_OF_RANGE, "value \"{digits}\" is out of range for type oid")
            })
        }
    }
}

/// `defGetInt32` with the bounds of a connection limit.
pub(super) fn connection_limit(option: Option<&DefElem>) -> Result<i32> {
    let Some(option) = option.filter(|option| option.arg.is_some()) else { return Ok(-1) };
    let Some(DefArg::Integer(limit)) = option.arg else {
        return Err(error!(SYNTAX_ERROR, "{} requires an integer value", option.name));
    };
    if limit < -1 {
        return Err(error!(INVALID_PARAMETER_VALUE, "invalid connection limit: {limit}"));
    }
    Ok(limit)
}

fn encoding_of(given: &Given<'_>) -> Result<Option<i32>> {
    let Some(option) = given.encoding.filter(|option| option.arg.is_some()) else { return Ok(None) };
    if let Some(DefArg::Integer(number)) = option.arg {
        if encoding::name(number).is_empty() || !encoding::is_for_server(number) {
            return Err(error!(UNDEFINED_OBJECT, "{number} is not a valid encoding code")
                .at_location(option.location));
        }
        return Ok(Some(number));
    }
    let name = options::text(option)?;
    match encoding::number(&name).filter(|number| encoding::is_for_server(*number)) {
        Some(number) => Ok(Some(number)),
        None => {
            Err(error!(UNDEFINED_OBJECT, "{name} is not a valid encoding name").at_location(option.location))
        }
    }
}

fn provider_of(given: &Given<'_>) -> Result<u8> {
    let Some(name) = text(given.provider)? else { return Ok(LIBC) };
    match name.to_ascii_lowercase().as_str() {
        "libc" => Ok(LIBC),
        "builtin" | "icu" => Err(Error::not_supported(format!("locale provider \"{name}\""))),
        _ => Err(error!(INVALID_OBJECT_DEFINITION, "unrecognized locale provider: {name}")),
    }
}

fn strategy(option: Option<&DefElem>) -> Result<Strategy> {
    match text(option)? {
        None => Ok(Strategy::WalLog),
        Some(name) if name.eq_ignore_ascii_case("wal_log") => Ok(Strategy::WalLog),
        Some(name) if name.eq_ignore_ascii_case("file_copy") => Ok(Strategy::FileCopy),
        Some(name) => Err(error!(INVALID_PARAMETER_VALUE, "invalid create database strategy \"{name}\"")
            .hint("Valid strategies are \"wal_log\" and \"file_copy\".")),
    }
}

fn check_template(context: &CommandContext<'_>, template: &DatabaseEntry) -> Result<()> {
    let name = &template.name;
    if template.connection_limit == INVALID_DATABASE {
        return Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot use invalid database \"{name}\" as template"
        )
        .hint("Use DROP DATABASE to drop invalid databases."));
    }
    if !template.is_template && !context.view.owns(context.role(), template.owner)? {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to copy database \"{name}\""));
    }
    Ok(())
}

/// The locales this system has are C and its other names.
fn is_c_locale(name: &str) -> bool {
    matches!(name, "" | "C" | "POSIX")
}

fn check_locale(given: &Given<'_>, provider: u8) -> Result<()> {
    let both = text(given.locale)?;
    for (option, category) in [(given.collate, "LC_COLLATE"), (given.ctype, "LC_CTYPE")] {
        let name = text(option)?.or_else(|| both.clone());
        if let Some(name) = name.filter(|name| !is_c_locale(name)) {
            return Err(error!(WRONG_OBJECT_TYPE, "invalid {category} locale name: \"{name}\""));
        }
    }
    debug_assert_eq!(provider, LIBC, "no other provider is built");
    let refused = |message: &str| Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    if given.builtin_locale.is_some() {
        return refused("BUILTIN_LOCALE cannot be specified unless locale provider is builtin");
    }
    if given.icu_locale.is_some() {
        return refused("ICU locale cannot be specified unless locale provider is ICU");
    }
    if given.icu_rules.is_some() {
        return refused("ICU rules cannot be specified unless locale provider is ICU");
    }
    Ok(())
}

fn check_encoding(wanted: Option<i32>, template: &DatabaseEntry, template_name: &str) -> Result<()> {
    let Some(wanted) = wanted.filter(|wanted| *wanted != template.encoding) else { return Ok(()) };
    let name = encoding::name(wanted);
    // template0 holds nothing that an encoding could spoil.
    if template_name != "template0" {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "new encoding ({name}) is incompatible with the encoding of the template database ({})",
            encoding::name(template.encoding)
        )
        .hint("Use the same encoding as in the template database, or use template0 as template."));
    }
    if wanted != UTF8 {
        return Err(Error::not_supported(format!("encoding \"{name}\"")));
    }
    Ok(())
}

fn tablespace(context: &CommandContext<'_>, given: &Given<'_>, template: &DatabaseEntry) -> Result<Oid> {
    let Some(name) = text(given.tablespace)? else { return Ok(template.tablespace) };
    let found = context.view.tablespace_by_name(&name)?;
    let found = found.ok_or_else(|| error!(UNDEFINED_OBJECT, "tablespace \"{name}\" does not exist"))?;
    let (kind, wanted) = (ObjectKind::Tablespace, Privileges::CREATE);
    let granted =
        context.view.privileges(context.role(), kind, found.spcowner, found.spcacl.as_ref(), wanted)?;
    if !granted.contains(wanted) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for tablespace {name}"));
    }
    if found.oid == RelFileLocator::GLOBAL_TABLESPACE {
        return Err(error!(INVALID_PARAMETER_VALUE, "pg_global cannot be used as default tablespace"));
    }
    Ok(found.oid)
}

fn choose_oid(context: &CommandContext<'_>, given: &Given<'_>) -> Result<Oid> {
    let Some(option) = given.oid else { return context.view.new_oid(Lookup::DatabaseByOid) };
    let oid = object_id(option)?;
    match context.view.database(oid)? {
        Some(other) => {
            let name = Arc::clone(&other.name);
            Err(error!(
                INVALID_PARAMETER_VALUE,
                "database OID {oid} is already in use by database \"{name}\""
            ))
        }
        None => Ok(oid),
    }
}
