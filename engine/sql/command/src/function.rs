//! CREATE FUNCTION in the languages internal and C.
//!
//! Realises: functioncmds.c and pg_proc.c. A function of these languages is a symbol that the server's own
//! library of functions holds; a C function's file names the extension that the symbol belongs to.

use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::{Array, OidVector};
use kokkiri_catalog::rows::{PgLanguage, PgProc};
use kokkiri_functions::extension;
use kokkiri_parse::tree::{CreateFunctionStmt, DefArg, DefElem, ParameterMode, RangeVar};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_types::ValueRef;

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::{name, options};

const INTERNAL: Oid = Oid(12);
const C: Oid = Oid(13);
const RECORD: Oid = Oid(2249);
/// Index of pg_proc on name, arguments and schema.
const FUNCTION_BY_NAME: Oid = Oid(2691);
/// Index of pg_language on the name.
const LANGUAGE_BY_NAME: Oid = Oid(2681);

/// What the options say.
struct Attributes {
    language: Oid,
    source: String,
    file: Option<String>,
    strict: bool,
    security_definer: bool,
    leakproof: bool,
    volatility: u8,
    parallel: u8,
    cost: f32,
    rows: Option<f32>,
}

/// The arguments, sorted out.
#[derive(Default)]
struct Arguments {
    inputs: Vec<Oid>,
    all: Vec<Oid>,
    modes: Vec<u8>,
    names: Vec<String>,
    outputs: Vec<Oid>,
    variadic: Oid,
}

pub fn create(context: &mut CommandContext<'_>, statement: &CreateFunctionStmt) -> Result<CommandOutcome> {
    const TAG: &str = "CREATE FUNCTION";
    if statement.procedure {
        return Err(Error::not_supported("CREATE PROCEDURE"));
    }
    let function: RangeVar = name::range_var(&statement.name)?;
    let permanent = kokkiri_access::relation::Persistence::Permanent;
    let (namespace, _) = name::creation_namespace(context, &function, permanent)?;
    let arguments = arguments(context, statement)?;
    let (returns, returns_set) = result(context, statement, &arguments)?;
    let attributes = attributes(context, statement, &function.name)?;
    let key = [ValueRef::Bytes(function.name.as_bytes())];
    for found in context.view.scan_rows::<PgProc>(FUNCTION_BY_NAME, &[2], &key)? {
        let known = found.row;
        if known.pronamespace == namespace && known.proargtypes.0 == arguments.inputs {
            if statement.replace {
                return Err(Error::not_supported("CREATE OR REPLACE FUNCTION of one that exists"));
            }
            return Err(error!(
                DUPLICATE_FUNCTION,
                "function \"{}\" already exists with same argument types", function.name
            ));
        }
    }
    let oid = context.view.new_oid(Lookup::FunctionByOid)?;
    let row = PgProc {
        oid,
        proname: function.name.as_str().into(),
        pronamespace: namespace,
        proowner: context.role(),
        prolang: attributes.language,
        procost: attributes.cost,
        prorows: attributes.rows.unwrap_or(if returns_set { 1000.0 } else { 0.0 }),
        provariadic: arguments.variadic,
        prosupport: Oid::INVALID,
        prokind: b'f',
        prosecdef: attributes.security_definer,
        proleakproof: attributes.leakproof,
        proisstrict: attributes.strict,
        proretset: returns_set,
        provolatile: attributes.volatility,
        proparallel: attributes.parallel,
        pronargs: arguments.inputs.len() as i16,
        pronargdefaults: 0,
        prorettype: returns,
        proargtypes: OidVector(arguments.inputs.clone()),
        proallargtypes: (!arguments.outputs.is_empty()).then(|| Array(arguments.all.clone())),
        proargmodes: (arguments.modes.iter().any(|mode| *mode != b'i'))
            .then(|| Array(arguments.modes.clone())),
        proargnames: (arguments.names.iter().any(|name| !name.is_empty()))
            .then(|| Array(arguments.names.clone())),
        proargdefaults: None,
        protrftypes: None,
        prosrc: attributes.source,
        probin: attributes.file,
        prosqlbody: None,
        proconfig: None,
        proacl: None,
    };
    context.view.insert_row(row)?;
    let myself = ObjectAddress::new(class::FUNCTION, oid);
    let types = arguments.all.iter().chain([&returns]).map(|oid| ObjectAddress::new(class::TYPE, *oid));
    let needed = [ObjectAddress::new(class::NAMESPACE, namespace)].into_iter().chain(types);
    dependency::record(&context.view, myself, needed, DependencyKind::Normal)?;
    dependency::record_owner(&context.view, myself, context.role())?;
    context.record_member(myself)?;
    context.advance()?;
    Ok(CommandOutcome::done(TAG))
}

/// `interpret_function_parameter_list`.
fn arguments(context: &CommandContext<'_>, statement: &CreateFunctionStmt) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    for parameter in &statement.parameters {
        if parameter.default.is_some() {
            return Err(Error::not_supported("CREATE FUNCTION with defaults of arguments"));
        }
        let (type_oid, _) = context.resolve_type(&parameter.type_name)?;
        let (mode, is_input, is_output) = match parameter.mode {
            ParameterMode::Default | ParameterMode::In => (b'i', true, false),
            ParameterMode::Out => (b'o', false, true),
            ParameterMode::InOut => (b'b', true, true),
            ParameterMode::Variadic => (b'v', true, false),
            ParameterMode::Table => (b't', false, true),
        };
        if mode == b'v' {
            let element = context.view.expect_type(type_oid)?.array_element();
            arguments.variadic = element
                .ok_or_else(|| error!(INVALID_FUNCTION_DEFINITION, "VARIADIC parameter must be an array"))?;
        }
        if is_input {
            arguments.inputs.push(type_oid);
        }
        if is_output {
            arguments.outputs.push(type_oid);
        }
        let name = parameter.name.clone().unwrap_or_default();
        if !name.is_empty() && arguments.names.contains(&name) {
            return Err(error!(INVALID_FUNCTION_DEFINITION, "parameter name \"{name}\" used more than once"));
        }
        arguments.all.push(type_oid);
        arguments.modes.push(mode);
        arguments.names.push(name);
    }
    Ok(arguments)
}

/// The result's type, and whether it is a set of those.
fn result(
    context: &CommandContext<'_>,
    statement: &CreateFunctionStmt,
    arguments: &Arguments,
) -> Result<(Oid, bool)> {
    let implied = match arguments.outputs.as_slice() {
        [] => None,
        [only] => Some(*only),
        _ => Some(RECORD),
    };
    let is_table = arguments.modes.contains(&b't');
    match &statement.return_type {
        Some(written) if !is_table => {
            let mut element = written.clone();
            element.setof = false;
            let (type_oid, _) = context.resolve_type(&element)?;
            match implied {
                Some(implied) if implied != type_oid => Err(error!(
                    INVALID_FUNCTION_DEFINITION,
                    "function result type must be {} because of OUT parameters",
                    context.type_name(implied)
                )),
                _ => Ok((type_oid, written.setof)),
            }
        }
        _ => match implied {
            Some(implied) => Ok((implied, is_table)),
            None => Err(error!(INVALID_FUNCTION_DEFINITION, "function result type must be specified")),
        },
    }
}

fn attributes(
    context: &CommandContext<'_>,
    statement: &CreateFunctionStmt,
    function: &str,
) -> Result<Attributes> {
    let option =
        |name: &str| -> Option<&DefElem> { statement.options.iter().find(|option| option.name == name) };
    for unbuilt in ["window", "transform", "support", "set"] {
        if option(unbuilt).is_some() {
            return Err(Error::not_supported(format!("CREATE FUNCTION with {}", unbuilt.to_uppercase())));
        }
    }
    let text = |name: &str| option(name).map(options::text).transpose();
    let flag = |name: &str| option(name).map_or(Ok(false), options::boolean);
    let number = |name: &str| -> Result<Option<f32>> {
        let Some(written) = text(name)? else { return Ok(None) };
        match written.parse::<f32>() {
            Ok(number) if number > 0.0 => Ok(Some(number)),
            _ => Err(error!(INVALID_PARAMETER_VALUE, "{} must be positive", name.to_uppercase())),
        }
    };
    let language = match text("language")? {
        Some(name) => language(context, &name)?,
        None if statement.sql_body.is_some() => {
            return Err(Error::not_supported("CREATE FUNCTION ... LANGUAGE sql"));
        }
        None => return Err(error!(INVALID_FUNCTION_DEFINITION, "no language specified")),
    };
    let parts: Vec<String> = match option("as").map(|option| &option.arg) {
        Some(Some(DefArg::List(parts))) => parts
            .iter()
            .filter_map(|part| match part {
                DefArg::String(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => return Err(error!(INVALID_FUNCTION_DEFINITION, "no function body specified")),
    };
    let (file, source) = body(language, &parts, function)?;
    Ok(Attributes {
        language,
        source,
        file,
        strict: flag("strict")?,
        security_definer: flag("security")?,
        leakproof: flag("leakproof")?,
        volatility: match text("volatility")?.as_deref() {
            Some("immutable") => b'i',
            Some("stable") => b's',
            _ => b'v',
        },
        parallel: match text("parallel")?.as_deref() {
            None | Some("unsafe") => b'u',
            Some("safe") => b's',
            Some("restricted") => b'r',
            Some(_) => {
                return Err(error!(
                    SYNTAX_ERROR,
                    "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE"
                ));
            }
        },
        cost: number("cost")?.unwrap_or(1.0),
        rows: number("rows")?,
    })
}

/// The language, if functions in it can be made by this role.
fn language(context: &CommandContext<'_>, written: &str) -> Result<Oid> {
    let key = [ValueRef::Bytes(written.as_bytes())];
    let found = context.view.scan_rows::<PgLanguage>(LANGUAGE_BY_NAME, &[2], &key)?.pop();
    let Some(found) = found else {
        return Err(error!(UNDEFINED_OBJECT, "language \"{written}\" does not exist"));
    };
    let oid = found.row.oid;
    if oid != INTERNAL && oid != C {
        return Err(Error::not_supported(format!("CREATE FUNCTION ... LANGUAGE {written}")));
    }
    if !context.view.is_superuser(context.role())? {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for language {written}"));
    }
    Ok(oid)
}

/// File and symbol of the function, which must be there: the languages' validators.
fn body(language: Oid, parts: &[String], function: &str) -> Result<(Option<String>, String)> {
    if language == INTERNAL {
        let [symbol] = parts else {
            return Err(error!(
                INVALID_FUNCTION_DEFINITION,
                "only one AS item needed for language \"internal\""
            ));
        };
        if extension::internal(symbol).is_none() {
            return Err(error!(UNDEFINED_FUNCTION, "there is no built-in function named \"{symbol}\""));
        }
        return Ok((None, symbol.clone()));
    }
    let file = parts[0].clone();
    let symbol = parts.get(1).cloned().unwrap_or_else(|| function.to_owned());
    let Some(known) = extension::of_file(&file) else {
        return Err(Error::new(
            SqlState::UNDEFINED_FILE,
            format!("could not access file \"{file}\": No such file or directory"),
        ));
    };
    if known.symbol(&symbol).is_none() {
        return Err(error!(UNDEFINED_FUNCTION, "could not find function \"{symbol}\" in file \"{file}\""));
    }
    Ok((Some(file), symbol))
}

/// Removes a function that is being dropped.
pub fn remove(context: &CommandContext<'_>, oid: Oid) -> Result<()> {
    for found in context.view.rows_to_change::<PgProc>(Lookup::FunctionByOid, &[key(oid)])? {
        found.delete(&context.view)?;
    }
    Ok(())
}
