//! The options of COPY, each read once and then judged together.
//!
//! Realises: `ProcessCopyOptions` (copy.c), with its order of judgements.

use kokkiri_execute::copy::format::{CopyFormat, Header, Kind, OnError, Verbosity};
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{CopyStmt, DefArg, DefElem};
use kokkiri_primitives::{Error, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::encoding::Encoding;
use kokkiri_types::io::{self, IoSettings};

use crate::options::{boolean, text};

/// What COPY is to do.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub freeze: bool,
    pub on_error: OnError,
    pub force_quote: ColumnList,
    pub force_not_null: ColumnList,
    pub force_null: ColumnList,
}

/// Columns that an option is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ColumnList {
    #[default]
    None,
    All,
    Names(Vec<String>),
}

/// The options as they were given.
#[derive(Default)]
struct Given {
    kind: Option<Kind>,
    freeze: Option<bool>,
    delimiter: Option<String>,
    null: Option<String>,
    default: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<ColumnList>,
    force_not_null: Option<ColumnList>,
    force_null: Option<ColumnList>,
    encoding: Option<Encoding>,
    ignore: Option<bool>,
    verbosity: Option<Verbosity>,
    reject_limit: Option<u64>,
}

/// Reads and judges a COPY's options.
///
/// # Errors
/// As PostgreSQL words them, the first in its order.
pub fn options(copy: &CopyStmt) -> Result<CopyOptions> {
    let mut given = Given::default();
    for option in &copy.options {
        let location = option.location;
        match option.name.as_str() {
            "format" => set(&mut given.kind, option, || match text(option)?.as_str() {
                "text" => Ok(Kind::Text),
                "csv" => Ok(Kind::Csv),
                "binary" => Ok(Kind::Binary),
                other => Err(error!(INVALID_PARAMETER_VALUE, "COPY format \"{other}\" not recognized")
                    .at_location(location)),
            }),
            "freeze" => set(&mut given.freeze, option, || boolean(option)),
            "delimiter" => set(&mut given.delimiter, option, || text(option)),
            "null" => set(&mut given.null, option, || text(option)),
            "default" => set(&mut given.default, option, || text(option)),
            "header" => set(&mut given.header, option, || header(option, copy.is_from)),
            "quote" => set(&mut given.quote, option, || text(option)),
            "escape" => set(&mut given.escape, option, || text(option)),
            "force_quote" => set(&mut given.force_quote, option, || columns(option)),
            "force_not_null" => set(&mut given.force_not_null, option, || columns(option)),
            "force_null" => set(&mut given.force_null, option, || columns(option)),
            "encoding" => set(&mut given.encoding, option, || encoding(option)),
            "on_error" => set(&mut given.ignore, option, || on_error(option, copy.is_from)),
            "log_verbosity" => set(&mut given.verbosity, option, || verbosity(option)),
            "reject_limit" => set(&mut given.reject_limit, option, || reject_limit(option)),
            other => Err(error!(SYNTAX_ERROR, "option \"{other}\" not recognized").at_location(location)),
        }?;
    }
    judge(given, copy.is_from)
}

fn set<T>(slot: &mut Option<T>, option: &DefElem, read: impl FnOnce() -> Result<T>) -> Result<()> {
    if slot.is_some() {
        return Err(error!(SYNTAX_ERROR, "conflicting or redundant options").at_location(option.location));
    }
    *slot = Some(read()?);
    Ok(())
}

fn header(option: &DefElem, is_from: bool) -> Result<Header> {
    let line = |on: bool| if on { Header::Line } else { Header::None };
    let requires = || error!(SYNTAX_ERROR, "{} requires a Boolean value or \"match\"", option.name);
    match &option.arg {
        Some(DefArg::Integer(number)) if !(0..=1).contains(number) => Err(requires()),
        Some(DefArg::String(_) | DefArg::TypeName(_)) if text(option)?.eq_ignore_ascii_case("match") => {
            match is_from {
                true => Ok(Header::Match),
                false => Err(error!(
                    FEATURE_NOT_SUPPORTED,
                    "cannot use \"{}\" with HEADER in COPY TO",
                    text(option)?
                )),
            }
        }
        _ => boolean(option).map(line).map_err(|_| requires()),
    }
}

fn columns(option: &DefElem) -> Result<ColumnList> {
    let requires = || {
        error!(
            INVALID_PARAMETER_VALUE,
            "argument to option \"{}\" must be a list of column names", option.name
        )
        .at_location(option.location)
    };
    match &option.arg {
        Some(DefArg::Star) => Ok(ColumnList::All),
        Some(DefArg::List(items)) => items
            .iter()
            .map(|item| match item {
                DefArg::String(name) => Ok(name.clone()),
                _ => Err(requires()),
            })
            .collect::<Result<_>>()
            .map(ColumnList::Names),
        _ => Err(requires()),
    }
}

fn encoding(option: &DefElem) -> Result<Encoding> {
    Encoding::by_name(&text(option)?)?.ok_or_else(|| {
        error!(
            INVALID_PARAMETER_VALUE,
            "argument to option \"{}\" must be a valid encoding name", option.name
        )
        .at_location(option.location)
    })
}

fn on_error(option: &DefElem, is_from: bool) -> Result<bool> {
    if !is_from {
        return Err(error!(INVALID_PARAMETER_VALUE, "COPY ON_ERROR cannot be used with COPY TO")
            .at_location(option.location));
    }
    match text(option)?.to_ascii_lowercase().as_str() {
        "stop" => Ok(false),
        "ignore" => Ok(true),
        _ => Err(unknown_word("ON_ERROR", option)?),
    }
}

fn verbosity(option: &DefElem) -> Result<Verbosity> {
    match text(option)?.to_ascii_lowercase().as_str() {
        "silent" => Ok(Verbosity::Silent),
        "default" => Ok(Verbosity::Default),
        "verbose" => Ok(Verbosity::Verbose),
        _ => Err(unknown_word("LOG_VERBOSITY", option)?),
    }
}

fn unknown_word(name: &str, option: &DefElem) -> Result<Error> {
    Ok(error!(INVALID_PARAMETER_VALUE, "COPY {name} \"{}\" not recognized", text(option)?)
        .at_location(option.location))
}

fn reject_limit(option: &DefElem) -> Result<u64> {
    if option.arg.is_none() {
        return Err(error!(SYNTAX_ERROR, "{} requires a numeric value", option.name));
    }
    let limit = io::input_text(oid::INT8, -1, &text(option)?, &IoSettings::default())?.as_ref().int64();
    match u64::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err(error!(INVALID_PARAMETER_VALUE, "REJECT_LIMIT ({limit}) must be greater than zero")),
    }
}

fn one_byte(what: &str, text: Option<&String>, default: u8) -> Result<u8> {
    match text.map(String::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(error!(FEATURE_NOT_SUPPORTED, "COPY {what} must be a single one-byte character")),
    }
}

/// Judges the options together: the order is PostgreSQL's.
fn judge(given: Given, is_from: bool) -> Result<CopyOptions> {
    let kind = given.kind.unwrap_or_default();
    let own = CopyFormat::new(kind);
    let refuse_if = |wrong: bool, error: Error| if wrong { Err(error) } else { Ok(()) };
    let breaks_lines = |text: &str| text.contains(['\r', '\n']);
    if kind == Kind::Binary {
        let not_in_binary = |name: &str| error!(SYNTAX_ERROR, "cannot specify {name} in BINARY mode");
        refuse_if(given.delimiter.is_some(), not_in_binary("DELIMITER"))?;
        refuse_if(given.null.is_some(), not_in_binary("NULL"))?;
        refuse_if(given.default.is_some(), not_in_binary("DEFAULT"))?;
    }
    let delimiter = one_byte("delimiter", given.delimiter.as_ref(), own.delimiter)?;
    refuse_if(
        b"\r\n".contains(&delimiter),
        error!(INVALID_PARAMETER_VALUE, "COPY delimiter cannot be newline or carriage return"),
    )?;
    let null = given.null.unwrap_or(own.null);
    let no_lines = |what: &str| {
        error!(INVALID_PARAMETER_VALUE, "COPY {what} representation cannot use newline or carriage return")
    };
    refuse_if(breaks_lines(&null), no_lines("null"))?;
    refuse_if(given.default.as_deref().is_some_and(breaks_lines), no_lines("default"))?;
    // Such a delimiter could not be told from an escape's second byte.
    let in_escapes = |byte: u8| matches!(byte, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9');
    refuse_if(
        kind != Kind::Csv && in_escapes(delimiter),
        error!(INVALID_PARAMETER_VALUE, "COPY delimiter cannot be \"{}\"", char::from(delimiter)),
    )?;
    let header = given.header.unwrap_or_default();
    refuse_if(
        kind == Kind::Binary && header != Header::None,
        error!(FEATURE_NOT_SUPPORTED, "cannot specify HEADER in BINARY mode"),
    )?;
    let (quote, escape) = quoting(kind, delimiter, given.quote.as_ref(), given.escape.as_ref())?;
    let lists = [
        ("FORCE_QUOTE", &given.force_quote, !is_from),
        ("FORCE_NOT_NULL", &given.force_not_null, is_from),
        ("FORCE_NULL", &given.force_null, is_from),
    ];
    for (name, list, direction_fits) in lists {
        if list.is_some() {
            refuse_if(kind != Kind::Csv, needs_csv(name))?;
            refuse_if(!direction_fits, wrong_direction(name, is_from))?;
        }
    }
    let not_in = |byte: u8, text: &str| text.as_bytes().contains(&byte);
    let delimiter_in = |name: &str| {
        error!(
            INVALID_PARAMETER_VALUE,
            "COPY delimiter character must not appear in the {name} specification"
        )
    };
    let quote_in = |name: &str| {
        error!(INVALID_PARAMETER_VALUE, "CSV quote character must not appear in the {name} specification")
    };
    refuse_if(not_in(delimiter, &null), delimiter_in("NULL"))?;
    refuse_if(kind == Kind::Csv && not_in(quote, &null), quote_in("NULL"))?;
    let freeze = given.freeze.unwrap_or(false);
    refuse_if(freeze && !is_from, wrong_direction("FREEZE", is_from))?;
    if let Some(default) = &given.default {
        refuse_if(!is_from, wrong_direction("DEFAULT", is_from))?;
        refuse_if(not_in(delimiter, default), delimiter_in("DEFAULT"))?;
        refuse_if(kind == Kind::Csv && not_in(quote, default), quote_in("DEFAULT"))?;
        refuse_if(
            *default == null,
            error!(
                INVALID_PARAMETER_VALUE,
                "NULL specification and DEFAULT specification cannot be the same"
            ),
        )?;
    }
    let ignore = given.ignore.unwrap_or(false);
    refuse_if(
        kind == Kind::Binary && ignore,
        error!(INVALID_PARAMETER_VALUE, "only ON_ERROR STOP is allowed in BINARY mode"),
    )?;
    refuse_if(
        given.reject_limit.is_some() && !ignore,
        error!(INVALID_PARAMETER_VALUE, "COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE"),
    )?;
    let encoding = given.encoding.unwrap_or_default();
    Ok(CopyOptions {
        format: CopyFormat { kind, delimiter, null, default: given.default, header, quote, escape, encoding },
        freeze,
        on_error: OnError {
            ignore,
            reject_limit: given.reject_limit,
            verbosity: given.verbosity.unwrap_or_default(),
        },
        force_quote: given.force_quote.unwrap_or_default(),
        force_not_null: given.force_not_null.unwrap_or_default(),
        force_null: given.force_null.unwrap_or_default(),
    })
}

/// QUOTE and ESCAPE, which is the quote by itself.
fn quoting(kind: Kind, delimiter: u8, quote: Option<&String>, escape: Option<&String>) -> Result<(u8, u8)> {
    if kind != Kind::Csv {
        return match (quote, escape) {
            (Some(_), _) => Err(needs_csv("QUOTE")),
            (None, Some(_)) => Err(needs_csv("ESCAPE")),
            (None, None) => Ok((b'"', b'"')),
        };
    }
    let quote = one_byte("quote", quote, b'"')?;
    if quote == delimiter {
        return Err(error!(INVALID_PARAMETER_VALUE, "COPY delimiter and quote must be different"));
    }
    Ok((quote, one_byte("escape", escape, quote)?))
}

fn needs_csv(name: &str) -> Error {
    error!(FEATURE_NOT_SUPPORTED, "COPY {name} requires CSV mode")
}

fn wrong_direction(name: &str, is_from: bool) -> Error {
    let direction = if is_from { "COPY FROM" } else { "COPY TO" };
    error!(INVALID_PARAMETER_VALUE, "COPY {name} cannot be used with {direction}")
}
