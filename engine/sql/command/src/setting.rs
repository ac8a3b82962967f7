//! SET, RESET and SHOW.
//!
//! Realises: guc_funcs.c.

use kokkiri_parse::quote_identifier;
use kokkiri_parse::tree::{Literal, SetArgValue, SetValue, VariableSetStmt};
use kokkiri_primitives::settings::parameter::find;
use kokkiri_primitives::settings::{SetScope, Value, parameters};
use kokkiri_primitives::{Error, Result, SqlState, error};

use crate::context::{CommandContext, CommandOutcome, CommandRows};
use crate::transaction_mode;

pub fn set(context: &mut CommandContext<'_>, statement: &VariableSetStmt) -> Result<CommandOutcome> {
    let settings = context.view.settings;
    let scope = if statement.local { SetScope::Local } else { SetScope::Session };
    let tag = match statement.value {
        SetValue::Reset | SetValue::ResetAll => "RESET",
        _ => "SET",
    };
    if statement.local && !context.in_transaction_block {
        warn_outside(context, "SET LOCAL");
    }
    match &statement.value {
        SetValue::Values(arguments) => {
            let text = flatten(&statement.name, arguments.iter().map(|argument| &argument.value))?;
            check_temp_buffers(context, &statement.name, &text)?;
            context.view.check_identity(&statement.name, &text)?;
            match transaction_mode::of_setting(&statement.name, &text)? {
                Some(mode) => transaction_mode::set(context.transaction(), settings, mode)?,
                None => settings.set(&statement.name, Some(&text), scope)?,
            }
        }
        SetValue::Default | SetValue::Reset => settings.set(&statement.name, None, scope)?,
        SetValue::ResetAll => settings.reset_all(),
        SetValue::Current => {
            let current = settings.show(&statement.name)?;
            settings.set(&statement.name, Some(&current), scope)?;
        }
        SetValue::TransactionModes(modes) => {
            if statement.name.eq_ignore_ascii_case("SESSION CHARACTERISTICS") {
                for mode in modes {
                    let (name, value) = transaction_mode::default_of(*mode);
                    settings.set(name, Some(value), SetScope::Session)?;
                }
            } else {
                if !context.in_transaction_block {
                    warn_outside(context, "SET TRANSACTION");
                }
                for mode in modes {
                    transaction_mode::set(context.transaction(), settings, *mode)?;
                }
            }
        }
        SetValue::TransactionSnapshot(_) => return Err(Error::not_supported("SET TRANSACTION SNAPSHOT")),
    }
    // Whoever becomes another user is in no role of the old one's.
    if statement.name.eq_ignore_ascii_case("session_authorization") {
        settings.set("role", Some("none"), scope)?;
    }
    Ok(CommandOutcome::done(tag))
}

/// The value that SET or ALTER ... SET gives; `None` for the default. `ExtractSetVariableArgs`.
///
/// # Errors
/// 42704 for the modes of transactions, which are no parameter's value.
pub fn value_text(context: &CommandContext<'_>, statement: &VariableSetStmt) -> Result<Option<String>> {
    let name = &statement.name;
    match &statement.value {
        SetValue::Values(arguments) => {
            flatten(name, arguments.iter().map(|argument| &argument.value)).map(Some)
        }
        SetValue::Current => context.view.settings.show(name).map(Some),
        SetValue::Default | SetValue::Reset | SetValue::ResetAll => Ok(None),
        SetValue::TransactionModes(_) | SetValue::TransactionSnapshot(_) => {
            Err(error!(UNDEFINED_OBJECT, "unrecognized configuration parameter \"{name}\""))
        }
    }
}

/// # Errors
/// 22023 if temp_buffers would change though the session has used temporary tables.
fn check_temp_buffers(context: &CommandContext<'_>, name: &str, text: &str) -> Result<()> {
    let settings = context.view.settings;
    if !name.eq_ignore_ascii_case("temp_buffers")
        || !context.cluster().buffers.has_local(context.transaction().proc())
    {
        return Ok(());
    }
    let before = settings.get(parameters::TEMP_BUFFERS);
    let wanted = find(name).map(|(_, parameter)| parameter.parse(text)).transpose()?;
    match wanted {
        Some(Value::Int(wanted)) if wanted != before => Err(error!(
            INVALID_PARAMETER_VALUE,
            "invalid value for parameter \"temp_buffers\": {wanted}"
        )
        .detail(
            "\"temp_buffers\" cannot be changed after any temporary tables have been accessed in the session.",
        )),
        _ => Ok(()),
    }
}

fn warn_outside(context: &mut CommandContext<'_>, what: &str) {
    let message = format!("{what} can only be used in transaction blocks");
    context.notice(Error::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
}

/// Parameters whose words are identifiers, quoted where they must be.
const QUOTED_LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The arguments of SET as one text: `flatten_set_variable_args`.
fn flatten<'v>(name: &str, arguments: impl ExactSizeIterator<Item = &'v SetArgValue>) -> Result<String> {
    let is_list = find(name).is_some_and(|(_, parameter)| parameter.list);
    let quotes = QUOTED_LISTS.iter().any(|quoted| quoted.eq_ignore_ascii_case(name));
    if arguments.len() > 1 && !is_list {
        return Err(error!(INVALID_PARAMETER_VALUE, "SET {name} takes only one argument"));
    }
    let mut words = Vec::with_capacity(arguments.len());
    for argument in arguments {
        words.push(match argument {
            SetArgValue::Literal(Literal::String(word)) if quotes => quote_identifier(word).into_owned(),
            SetArgValue::Literal(literal) => literal_text(literal)?,
            SetArgValue::Interval { text, .. } => format!("INTERVAL '{text}'"),
        });
    }
    Ok(words.join(", "))
}

fn literal_text(literal: &Literal) -> Result<String> {
    Ok(match literal {
        Literal::String(text) | Literal::Float(text) => text.clone(),
        Literal::Integer(number) => number.to_string(),
        Literal::Boolean(value) => value.to_string(),
        _ => return Err(error!(INVALID_PARAMETER_VALUE, "invalid value in SET")),
    })
}

/// SHOW.
pub fn show(context: &CommandContext<'_>, name: &str) -> Result<CommandOutcome> {
    let settings = context.view.settings;
    let rows = if name.eq_ignore_ascii_case("all") {
        let columns = ["name", "setting", "description"].map(str::to_owned).to_vec();
        let rows = settings.all().into_iter().filter(|shown| shown.parameter.listed);
        let rows = rows.map(|shown| {
            [
                shown.parameter.name.to_owned(),
                shown.parameter.show(&shown.value),
                shown.parameter.description.to_owned(),
            ]
            .map(Some)
            .to_vec()
        });
        CommandRows { columns, rows: rows.collect() }
    } else {
        let value = settings.show(name)?;
        let column = find(name).map_or(name, |(_, parameter)| parameter.name);
        CommandRows { columns: vec![column.to_owned()], rows: vec![vec![Some(value)]] }
    };
    Ok(CommandOutcome { tag: "SHOW".to_owned(), rows: Some(rows) })
}
