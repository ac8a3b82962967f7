//! Options in parentheses: `WITH (fillfactor = 70)` and the like.
//!
//! Realises: `transformRelOptions` (reloptions.c) and define.c's readers of a DefElem.

use kokkiri_catalog::row::Array;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DefElem};
use kokkiri_primitives::{Result, error};

/// A value as text: `defGetString`.
pub fn text(option: &DefElem) -> Result<String> {
    match &option.arg {
        None => Err(error!(SYNTAX_ERROR, "{} requires a parameter", option.name)),
        Some(arg) => argument_text(option, arg),
    }
}

fn argument_text(option: &DefElem, arg: &DefArg) -> Result<String> {
    Ok(match arg {
        DefArg::String(text) | DefArg::Float(text) => text.clone(),
        DefArg::Integer(number) => number.to_string(),
        DefArg::Boolean(value) => value.to_string(),
        DefArg::Star => "*".to_owned(),
        DefArg::TypeName(name) => name.names.join("."),
        DefArg::Name(names) => names.join("."),
        DefArg::List(_) | DefArg::Role(_) | DefArg::Expr(_) | DefArg::VariableSet(_) => {
            return Err(error!(SYNTAX_ERROR, "invalid value for option \"{}\"", option.name)
                .at_location(option.location));
        }
    })
}

/// A boolean; the bare word means true. `defGetBoolean`.
pub fn boolean(option: &DefElem) -> Result<bool> {
    let requires = || error!(SYNTAX_ERROR, "{} requires a Boolean value", option.name);
    match &option.arg {
        None => Ok(true),
        Some(DefArg::Boolean(value)) => Ok(*value),
        Some(DefArg::Integer(0)) => Ok(false),
        Some(DefArg::Integer(1)) => Ok(true),
        Some(arg) => match argument_text(option, arg)?.to_ascii_lowercase().as_str() {
            "true" | "on" => Ok(true),
            "false" | "off" => Ok(false),
            _ => Err(requires()),
        },
    }
}

/// Storage parameters, split into a table's own and its TOAST table's, as reloptions holds them.
/// `old` is what they replace or, with `reset`, are taken from.
pub fn reloptions(
    old: &[String],
    options: &[DefElem],
    namespace: Option<&str>,
    reset: bool,
) -> Result<Option<Array<String>>> {
    let mut pairs: Vec<String> = Vec::new();
    let concerns = |option: &DefElem| option.namespace.as_deref() == namespace;
    for option in options {
        if let Some(namespace) = &option.namespace
            && namespace != "toast"
        {
            return Err(error!(INVALID_PARAMETER_VALUE, "unrecognized parameter namespace \"{namespace}\""));
        }
    }
    for pair in old {
        let name = pair.split_once('=').map_or(pair.as_str(), |(name, _)| name);
        if !options.iter().any(|option| concerns(option) && option.name == name) {
            pairs.push(pair.clone());
        }
    }
    for option in options.iter().filter(|option| concerns(option)) {
        if reset {
            if option.arg.is_some() {
                return Err(error!(SYNTAX_ERROR, "RESET must not include values for parameters"));
            }
            continue;
        }
        if option.name.contains('=') {
            return Err(error!(
                INVALID_PARAMETER_VALUE,
                "invalid option name \"{}\": must not contain \"=\"", option.name
            ));
        }
        if namespace.is_none() && option.name == "oids" {
            if boolean(option)? {
                return Err(error!(FEATURE_NOT_SUPPORTED, "tables declared WITH OIDS are not supported"));
            }
            continue;
        }
        let value = if option.arg.is_some() { text(option)? } else { "true".to_owned() };
        pairs.push(format!("{}={value}", option.name));
    }
    Ok((!pairs.is_empty()).then_some(Array(pairs)))
}

/// The pairs of reloptions.
pub fn pairs(options: Option<&Array<String>>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = options.map_or(&[][..], |options| &options.0[..]);
    pairs.iter().filter_map(|pair| pair.split_once('='))
}
