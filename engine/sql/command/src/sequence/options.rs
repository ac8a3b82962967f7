//! The options of CREATE and ALTER SEQUENCE.
//!
//! Realises: `init_params` (sequence.c).

use kokkiri_catalog::rows::PgSequence;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DefElem};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::context::CommandContext;

/// What options make of a sequence.
pub struct Settings {
    pub row: PgSequence,
    pub last_value: i64,
    pub is_called: bool,
    /// The stored row is to be written anew.
    pub resets: bool,
    pub owned_by: Option<Vec<String>>,
}

/// A sequence before any option: that of CREATE.
pub fn initial() -> Settings {
    let row = PgSequence {
        seqrelid: Oid::INVALID,
        seqtypid: oid::INT8,
        seqstart: 0,
        seqincrement: 1,
        seqmax: i64::MAX,
        seqmin: 1,
        seqcache: 1,
        seqcycle: false,
    };
    Settings { row, last_value: 0, is_called: false, resets: true, owned_by: None }
}

/// The options by name; none may be given twice.
#[derive(Default)]
struct Given<'o> {
    data_type: Option<&'o DefElem>,
    start: Option<&'o DefElem>,
    restart: Option<&'o DefElem>,
    increment: Option<&'o DefElem>,
    maximum: Option<&'o DefElem>,
    minimum: Option<&'o DefElem>,
    cache: Option<&'o DefElem>,
    cycle: Option<&'o DefElem>,
    owned_by: Option<&'o DefElem>,
}

fn sort<'o>(options: &'o [DefElem], for_identity: bool) -> Result<Given<'o>> {
    let mut given = Given::default();
    for option in options {
        let slot = match option.name.as_str() {
            "as" => &mut given.data_type,
            "start" => &mut given.start,
            "restart" => &mut given.restart,
            "increment" => &mut given.increment,
            "maxvalue" => &mut given.maximum,
            "minvalue" => &mut given.minimum,
            "cache" => &mut given.cache,
            "cycle" => &mut given.cycle,
            "owned_by" => &mut given.owned_by,
            "sequence_name" if for_identity => continue,
            "sequence_name" | "logged" | "unlogged" => {
                return Err(error!(
                    SYNTAX_ERROR,
                    "invalid sequence option {}",
                    option.name.to_uppercase().replace('_', " ")
                )
                .at_location(option.location));
            }
            other => return Err(Error::internal(format!("option \"{other}\" not recognized"))),
        };
        if slot.is_some() {
            return Err(error!(SYNTAX_ERROR, "conflicting or redundant options").at_location(option.location));
        }
        *slot = Some(option);
    }
    Ok(given)
}

/// `defGetInt64`.
fn number(option: &DefElem) -> Result<i64> {
    match &option.arg {
        Some(DefArg::Integer(number)) => Ok(i64::from(*number)),
        Some(DefArg::Float(text)) => kokkiri_types::number::parse_int8(text),
        _ => Err(error!(SYNTAX_ERROR, "{} requires a numeric value", option.name)),
    }
}

/// The least and the greatest value of a type, and its name in messages.
fn range(type_oid: Oid) -> (i64, i64, &'static str) {
    match type_oid {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX), "smallint"),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX), "integer"),
        _ => (i64::MIN, i64::MAX, "bigint"),
    }
}

/// True for the types that a sequence can count in.
pub fn is_counting_type(type_oid: Oid) -> bool {
    matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8)
}

/// Applies options to a sequence as it is, or to [`initial`].
pub fn apply(
    context: &CommandContext<'_>,
    options: &[DefElem],
    settings: &mut Settings,
    is_new: bool,
    for_identity: bool,
) -> Result<()> {
    let given = sort(options, for_identity)?;
    settings.resets |= options.iter().any(|option| option.name != "owned_by");
    let row = &mut settings.row;
    let (mut reset_maximum, mut reset_minimum) = (false, false);
    if let Some(option) = given.data_type {
        let Some(DefArg::TypeName(name)) = &option.arg else {
            return Err(Error::internal("AS of a sequence is no type name"));
        };
        let (new, _) = context.resolve_type(name)?;
        if !is_counting_type(new) {
            let what = if for_identity { "identity column" } else { "sequence" };
            return Err(error!(INVALID_PARAMETER_VALUE, "{what} type must be smallint, integer, or bigint"));
        }
        if !is_new {
            // Bounds that were the old type's become the new one's.
            let (least, greatest, _) = range(row.seqtypid);
            reset_maximum = row.seqmax == greatest;
            reset_minimum = row.seqmin == least;
        }
        row.seqtypid = new;
    }
    if let Some(option) = given.increment {
        row.seqincrement = number(option)?;
        if row.seqincrement == 0 {
            return Err(error!(INVALID_PARAMETER_VALUE, "INCREMENT must not be zero"));
        }
    }
    if let Some(option) = given.cycle {
        row.seqcycle = matches!(option.arg, Some(DefArg::Boolean(true)));
    }
    let (least, greatest, type_name) = range(row.seqtypid);
    match given.maximum {
        Some(option) if option.arg.is_some() => row.seqmax = number(option)?,
        Some(_) => row.seqmax = if row.seqincrement > 0 { greatest } else { -1 },
        None if is_new || reset_maximum => {
            row.seqmax = if row.seqincrement > 0 || reset_maximum { greatest } else { -1 };
        }
        None => {}
    }
    if row.seqmax < least || row.seqmax > greatest {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "MAXVALUE ({}) is out of range for sequence data type {type_name}", row.seqmax
        ));
    }
    match given.minimum {
        Some(option) if option.arg.is_some() => row.seqmin = number(option)?,
        Some(_) => row.seqmin = if row.seqincrement > 0 { 1 } else { least },
        None if is_new || reset_minimum => {
            row.seqmin = if row.seqincrement < 0 || reset_minimum { least } else { 1 };
        }
        None => {}
    }
    if row.seqmin < least || row.seqmin > greatest {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "MINVALUE ({}) is out of range for sequence data type {type_name}", row.seqmin
        ));
    }
    if row.seqmin >= row.seqmax {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "MINVALUE ({}) must be less than MAXVALUE ({})", row.seqmin, row.seqmax
        ));
    }
    match given.start {
        Some(option) => row.seqstart = number(option)?,
        None if is_new => row.seqstart = if row.seqincrement > 0 { row.seqmin } else { row.seqmax },
        None => {}
    }
    check_bounds("START", row.seqstart, row)?;
    if let Some(option) = given.restart {
        settings.last_value = match &option.arg {
            Some(_) => number(option)?,
            None => row.seqstart,
        };
        settings.is_called = false;
    } else if is_new {
        settings.last_value = row.seqstart;
    }
    check_bounds("RESTART", settings.last_value, row)?;
    if let Some(option) = given.cache {
        row.seqcache = number(option)?;
        if row.seqcache <= 0 {
            return Err(error!(
                INVALID_PARAMETER_VALUE,
                "CACHE ({}) must be greater than zero", row.seqcache
            ));
        }
    }
    settings.owned_by = match given.owned_by.and_then(|option| option.arg.as_ref()) {
        Some(DefArg::Name(names)) => Some(names.clone()),
        _ => None,
    };
    Ok(())
}

fn check_bounds(what: &str, value: i64, row: &PgSequence) -> Result<()> {
    if value < row.seqmin {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "{what} value ({value}) cannot be less than MINVALUE ({})", row.seqmin
        ));
    }
    if value > row.seqmax {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "{what} value ({value}) cannot be greater than MAXVALUE ({})", row.seqmax
        ));
    }
    Ok(())
}
