//! Analyzed trees back to SQL text.
//!
//! Realises: ruleutils.c. [`Printer`] carries what a piece of text depends on: the names of the range tables
//! around ([`names`]), how the text is laid out (`pretty` leaves out parentheses that aren't needed, `indented`
//! breaks lines), and what the query in hand knows. [`query`] prints queries, [`expression`] expressions,
//! [`call`] what looks like a call, [`definition`] indexes and constraints; [`simple`] knows which parentheses
//! aren't needed.
//!
//! Printed text is analyzed to the same tree again, as long as the same search path holds.

mod call;
pub(crate) mod definition;
mod expression;
mod names;
mod query;
mod simple;

use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;
use kokkiri_types::io::IoSettings;

use crate::catalog::Catalog;
use crate::tree::*;
use names::Namespace;

/// Columns that a level of a query is indented by.
const INDENT: i32 = 8;
/// Further columns for what follows the first item of a list.
const INDENT_ITEM: i32 = 4;
/// Deeper levels are indented by less.
const INDENT_MAX: i32 = 40;

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Without parentheses that aren't needed.
    pub pretty: bool,
    /// Broken into lines.
    pub indented: bool,
    /// Lists go on in their line up to this column; 0 for each item on its own line.
    pub wrap: i32,
}

/// Names what only the caller can: Vars, Params, SubPlans. `None` leaves a node to the printer.
type Name<'a> = &'a dyn Fn(&Expression) -> Option<String>;

/// Prints trees.
pub(crate) struct Printer<'a> {
    catalog: Catalog<'a>,
    io: &'a IoSettings,
    layout: Layout,
    name: Option<Name<'a>>,
    out: String,
    indent: i32,
    /// The queries around what is being printed, the nearest last.
    namespaces: Vec<Namespace<'a>>,
    scope: Scope<'a>,
}

/// What holds within the query being printed.
#[derive(Clone, Default)]
struct Scope<'a> {
    /// Columns show their table's name.
    prefixed: bool,
    /// Names of the result's columns, where they differ from the target list's.
    result_names: Option<Vec<String>>,
    /// Somebody refers to the result's columns by name.
    names_visible: bool,
    in_group_by: bool,
    in_order_by: bool,
    target_list: &'a [TargetEntry],
    windows: &'a [WindowClause],
}

impl<'a> Printer<'a> {
    pub fn new(catalog: Catalog<'a>, io: &'a IoSettings, layout: Layout, name: Option<Name<'a>>) -> Self {
        Self {
            catalog,
            io,
            layout,
            name,
            out: String::new(),
            indent: 0,
            namespaces: Vec::new(),
            scope: Scope::default(),
        }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn open(&mut self, needed: bool) {
        if needed {
            self.out.push('(');
        }
    }

    fn close(&mut self, needed: bool) {
        if needed {
            self.out.push(')');
        }
    }

    fn remove_trailing_spaces(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }

    /// A keyword on a line of its own if lines are broken: `appendContextKeyword`. The indentation changes by
    /// `before` before it and by `after` after it; the keyword itself stands `plus` columns further right.
    fn keyword(&mut self, word: &str, before: i32, after: i32, plus: i32) {
        if !self.layout.indented {
            return self.push(word);
        }
        self.indent += before;
        self.remove_trailing_spaces();
        self.out.push('\n');
        let amount = if self.indent < INDENT_MAX {
            self.indent.max(0) + plus
        } else {
            (INDENT_MAX + (self.indent - INDENT_MAX) / (INDENT / 2)) % INDENT_MAX + plus
        };
        for _ in 0..amount {
            self.out.push(' ');
        }
        self.push(word);
        self.indent = (self.indent + after).max(0);
    }

    fn line_length(&self) -> usize {
        self.out.len() - self.out.rfind('\n').map_or(0, |at| at + 1)
    }

    /// Text printed apart from the rest.
    fn apart(&mut self, print: impl FnOnce(&mut Self) -> Result<()>) -> Result<String> {
        let saved = std::mem::take(&mut self.out);
        let result = print(self);
        let text = std::mem::replace(&mut self.out, saved);
        result.map(|()| text)
    }

    fn type_name(&self, type_oid: Oid, typmod: i32) -> String {
        self.catalog.type_name_with_typmod(type_oid, Some(typmod))
    }

    pub fn finish(self) -> String {
        self.out
    }
}

/// An expression over the columns of `relation` as the catalogs' functions show it: `pg_get_expr`.
pub(crate) fn expression_text(
    catalog: Catalog<'_>,
    io: &IoSettings,
    exprs: &[Expression],
    relation: Option<Oid>,
    pretty: bool,
) -> Result<String> {
    let layout = Layout { pretty, indented: true, wrap: 0 };
    let table = match relation {
        Some(relation) => names::single_table(catalog, relation)?,
        None => Query::default(),
    };
    let mut printer = Printer::new(catalog, io, layout, None);
    printer.enter_table(&table)?;
    printer.list(exprs, false)?;
    Ok(printer.finish())
}

/// A view's query: `pg_get_viewdef`. `result` names the view's columns.
pub(crate) fn query_text(
    catalog: Catalog<'_>,
    io: &IoSettings,
    query: &Query,
    result: Vec<String>,
    layout: Layout,
) -> Result<String> {
    let mut printer = Printer::new(catalog, io, layout, None);
    printer.query(query, Some(result), true, 0)?;
    printer.push(";");
    Ok(printer.finish())
}

/// An expression on one line, whose Vars, Params and SubPlans the caller names.
pub(crate) fn named_expression_text(
    catalog: Catalog<'_>,
    io: &IoSettings,
    expr: &Expression,
    name: Name<'_>,
) -> Result<String> {
    let layout = Layout { pretty: false, indented: false, wrap: -1 };
    let mut printer = Printer::new(catalog, io, layout, Some(name));
    printer.expression(expr, false)?;
    Ok(printer.finish())
}

/// True for what is printed as a call, and so needs no parentheses in FROM or in an index: `looks_like_function`.
fn looks_like_call(expr: &Expression) -> bool {
    match expr {
        Expression::FuncExpr(func) => {
            matches!(func.form, CoercionForm::ExplicitCall | CoercionForm::SqlSyntax)
        }
        Expression::CoalesceExpr(_)
        | Expression::MinMaxExpr(_)
        | Expression::NullIfExpr(_)
        | Expression::SqlValueFunction(_)
        | Expression::Aggref(_)
        | Expression::WindowFunc(_) => true,
        _ => false,
    }
}

/// A literal in quotes.
fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The text form of a constant.
fn constant_text(catalog: Catalog<'_>, io: &IoSettings, type_oid: Oid, value: &Value) -> Result<String> {
    use kokkiri_functions::system::text_form;
    let view = match catalog {
        Catalog::View(view) => Some(view),
        #[cfg(test)]
        Catalog::Facts(_) => None,
    };
    let mut bytes = Vec::new();
    text_form::output_text(view, type_oid, value.as_ref(), io, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
