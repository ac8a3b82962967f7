//! Functions' arguments and results as SQL writes them.
//!
//! Realises: `print_function_arguments` and `print_function_rettype` (ruleutils.c).

use kokkiri_catalog::entries::{ArgumentMode, FunctionEntry, FunctionKind};
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Oid, Result};

use super::need;
use super::type_name::format_type;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const LIST: &[&[Builtin]] =
    list![pg_get_function_arguments, pg_get_function_identity_arguments, pg_get_function_result,];

/// Which arguments are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What is passed in and out.
    Arguments,
    /// The columns of RETURNS TABLE.
    Table,
}

/// Where ORDER BY stands among an aggregate's arguments, if it is an ordered-set aggregate.
fn direct_arguments(view: &CatalogView<'_>, function: &FunctionEntry) -> Result<Option<usize>> {
    use kokkiri_catalog::entries::AggregateKind;
    if function.kind != FunctionKind::Aggregate {
        return Ok(None);
    }
    let aggregate = view.aggregate(function.oid)?;
    Ok(aggregate
        .filter(|aggregate| aggregate.kind != AggregateKind::Normal)
        .map(|aggregate| aggregate.direct_arguments as usize))
}

fn arguments(
    context: &CallContext<'_>,
    function: &FunctionEntry,
    part: Part,
    with_defaults: bool,
) -> Result<String> {
    let view = need::catalog(context)?;
    let order_at = direct_arguments(&view, function)?;
    let without_default = function.arguments.len() - function.default_count;
    let (mut text, mut printed, mut inputs) = (String::new(), 0, 0);
    let mut arguments: Vec<_> = function.declared.iter().collect();
    // The arguments of a hypothetical-set aggregate stand on both sides of its ORDER BY.
    if order_at == Some(arguments.len())
        && let Some(last) = arguments.last()
    {
        arguments.push(last);
    }
    for argument in arguments {
        let (word, is_input) = match argument.mode {
            ArgumentMode::In if function.kind == FunctionKind::Procedure => ("IN ", true),
            ArgumentMode::In => ("", true),
            ArgumentMode::InOut => ("INOUT ", true),
            ArgumentMode::Out => ("OUT ", false),
            ArgumentMode::Variadic => ("VARIADIC ", true),
            ArgumentMode::Table => ("", false),
        };
        inputs += usize::from(is_input);
        if (part == Part::Table) != (argument.mode == ArgumentMode::Table) {
            continue;
        }
        if order_at == Some(printed) {
            text += if printed > 0 { " ORDER BY " } else { "ORDER BY " };
        } else if printed > 0 {
            text += ", ";
        }
        text += word;
        if let Some(name) = argument.name.as_deref().filter(|name| !name.is_empty()) {
            text += &format!("{} ", quote_ident(name));
        }
        text += &format_type(Some(&view), argument.type_oid, None)?;
        if with_defaults && is_input && inputs > without_default {
            text += &format!(" DEFAULT {}", default_text(context, function)?);
        }
        printed += 1;
    }
    Ok(text)
}

/// The one default that a function has.
fn default_text(context: &CallContext<'_>, function: &FunctionEntry) -> Result<String> {
    match (&function.defaults, function.default_count) {
        (Some(tree), 1) => {
            let print = need::deparser(context)?.expression;
            print(&need::catalog(context)?, context.io, tree, None, false)
        }
        _ => Err(Error::not_supported("printing several defaults of a function")),
    }
}

fn function(context: &CallContext<'_>, oid: Oid) -> Result<Option<std::sync::Arc<FunctionEntry>>> {
    need::catalog(context)?.function(oid)
}

#[builtin(oid = 2162)]
fn pg_get_function_arguments(context: &mut CallContext<'_>, oid: Oid) -> Result<Option<String>> {
    let Some(function) = function(context, oid)? else { return Ok(None) };
    let with_defaults = function.defaults.is_some();
    arguments(context, &function, Part::Arguments, with_defaults).map(Some)
}

#[builtin(oid = 2232)]
fn pg_get_function_identity_arguments(context: &mut CallContext<'_>, oid: Oid) -> Result<Option<String>> {
    let Some(function) = function(context, oid)? else { return Ok(None) };
    arguments(context, &function, Part::Arguments, false).map(Some)
}

#[builtin(oid = 2165)]
fn pg_get_function_result(context: &mut CallContext<'_>, oid: Oid) -> Result<Option<String>> {
    let Some(function) = function(context, oid)? else { return Ok(None) };
    if function.kind == FunctionKind::Procedure {
        return Ok(None);
    }
    if function.declared.iter().any(|argument| argument.mode == ArgumentMode::Table) {
        return Ok(Some(format!("TABLE({})", arguments(context, &function, Part::Table, false)?)));
    }
    let set = if function.returns_set { "SETOF " } else { "" };
    let name = format_type(Some(&need::catalog(context)?), function.returns, None)?;
    Ok(Some(format!("{set}{name}")))
}
