//! Names to oids, types, coercions: the Query tree; view expansion.
//!
//! Realises: parser/analyze.c and its kin, and the rewriter. [`analyze`] turns a raw statement into a [`Query`]: names
//! are resolved through the catalog (relations are locked on the way), overloads chosen, types coerced, defaults
//! filled in, views expanded. Statements that neither query nor change rows pass through as utilities.
//!
//! Start at [`tree::Query`] for what comes out, at `expression.rs` for how an expression is analysed, at
//! `function.rs` for how an overload is chosen.
#![forbid(unsafe_code)]

mod aggregate;
mod catalog;
mod clause;
mod coerce;
mod collation;
mod expression;
#[cfg(test)]
mod fixture;
mod from;
mod function;
mod modify;
mod operator;
mod references;
mod relation;
mod rewrite;
mod ruleutils;
mod scope;
mod select;
pub mod stored;
mod target;
pub mod tree;
mod type_name;

use kokkiri_catalog::dependency::ObjectAddress;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::view::CatalogView;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree as raw;
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::io::IoSettings;

use catalog::Catalog;
use coerce::Coercion;
use scope::{Analyzer, Clause, Scope};
use tree::*;

pub use scope::Parameters;

/// An analyzed statement, with the types of its parameters.
#[derive(Clone, Debug)]
pub struct Analyzed {
    pub query: Box<Query>,
    pub parameter_types: Vec<Oid>,
}

/// Analyzes and rewrites a statement: `parse_analyze` and `QueryRewrite`.
pub fn analyze(
    view: &CatalogView<'_>,
    io: &IoSettings,
    raw: &raw::RawStatement,
    parameters: Parameters,
) -> Result<Analyzed> {
    analyze_with(Catalog::View(view), io, raw, parameters, Views::Expand)
}

/// As [`analyze`], but views stay relations: what a view's own definition stores.
pub fn analyze_without_rewrite(
    view: &CatalogView<'_>,
    io: &IoSettings,
    raw: &raw::RawStatement,
    parameters: Parameters,
) -> Result<Analyzed> {
    analyze_with(Catalog::View(view), io, raw, parameters, Views::Keep)
}

/// The type a name means, with its typmod.
pub fn resolve_type(view: &CatalogView<'_>, io: &IoSettings, name: &raw::TypeName) -> Result<(Oid, i32)> {
    let mut analyzer = Analyzer::new(Catalog::View(view), io, Parameters::none());
    analyzer.scopes.push(Scope::default());
    analyzer.resolve_type(name)
}

/// A type's name with its modifier as SQL writes it: PostgreSQL's `format_type`.
pub fn format_type(view: &CatalogView<'_>, type_oid: Oid, typmod: Option<i32>) -> String {
    Catalog::View(view).type_name_with_typmod(type_oid, typmod)
}

/// An expression as SQL text, as EXPLAIN and pg_get_expr show it. `name` says what Vars, Params and SubPlans are
/// called where it is printed; `None` leaves a node to the printer.
pub fn deparse_expression(
    view: &CatalogView<'_>,
    io: &IoSettings,
    expr: &Expression,
    name: &dyn Fn(&Expression) -> Option<String>,
) -> Result<String> {
    ruleutils::named_expression_text(Catalog::View(view), io, expr, name)
}

/// Stored expressions, separated by commas, as the catalogs' functions show them; over the columns of
/// `relation`, if one is given.
pub fn deparse_stored_expression(
    view: &CatalogView<'_>,
    io: &IoSettings,
    tree: &str,
    relation: Option<Oid>,
    pretty: bool,
) -> Result<String> {
    // A list of expressions, or one.
    let exprs: Vec<Expression> = match tree.trim_start().starts_with('[') {
        true => stored::read(tree)?,
        false => vec![stored::read(tree)?],
    };
    ruleutils::expression_text(Catalog::View(view), io, &exprs, relation, pretty)
}

/// The statement that makes an index, or one of its columns: `pg_get_indexdef`.
pub fn index_definition(
    view: &CatalogView<'_>,
    io: &IoSettings,
    index: Oid,
    column: i32,
    pretty: bool,
) -> Result<Option<String>> {
    ruleutils::definition::Definitions { view, io, pretty }.index(index, column)
}

/// A constraint as a table's definition has it: `pg_get_constraintdef`.
pub fn constraint_definition(
    view: &CatalogView<'_>,
    io: &IoSettings,
    constraint: Oid,
    pretty: bool,
) -> Result<Option<String>> {
    ruleutils::definition::Definitions { view, io, pretty }.constraint(constraint)
}

/// A view's query as SQL: `pg_get_viewdef`. `columns` are the view's; lists go on in their line up to `wrap`
/// columns.
pub fn deparse_view(
    view: &CatalogView<'_>,
    io: &IoSettings,
    tree: &str,
    columns: Vec<String>,
    pretty: bool,
    wrap: i32,
) -> Result<String> {
    let query: Query = stored::read(tree)?;
    let layout = ruleutils::Layout { pretty, indented: true, wrap };
    ruleutils::query_text(Catalog::View(view), io, &query, columns, layout)
}

/// The objects that a stored query needs: PostgreSQL's `recordDependencyOnExpr` without the recording.
pub fn references_of_query(view: &CatalogView<'_>, query: &Query) -> Result<Vec<ObjectAddress>> {
    let mut references = references::References::new(Catalog::View(view));
    references.query(query, &mut Vec::new())?;
    Ok(references.finish())
}

/// The objects that a stored expression over the columns of `relation` needs:
/// `recordDependencyOnSingleRelExpr`.
pub fn references_of_expression(
    view: &CatalogView<'_>,
    expr: &Expression,
    relation: Option<Oid>,
) -> Result<Vec<ObjectAddress>> {
    let entry = |relid| RangeTblEntry {
        kind: RteKind::Relation { relid, relkind: b'r', inh: false, tablesample: None },
        alias: None,
        eref: Alias { name: String::new(), columns: Vec::new() },
        lateral: false,
        in_from_cl: false,
        perminfo_index: 0,
    };
    let range_table: Vec<RangeTblEntry> = relation.into_iter().map(entry).collect();
    let mut references = references::References::new(Catalog::View(view));
    references.expression(expr, &mut vec![&range_table])?;
    Ok(references.finish())
}

/// Calls `visit` on each relation that a query, or a query within it, names.
///
/// # Errors
/// What `visit` answers.
pub fn for_each_relation(query: &Query, visit: &mut dyn FnMut(Oid) -> Result<()>) -> Result<()> {
    for entry in &query.rtable {
        if let RteKind::Relation { relid, .. } = entry.kind {
            visit(relid)?;
        }
    }
    rewrite::for_each_inner(query, &mut |inner| for_each_relation(inner, visit))
}

/// What a stored expression belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionUse<'a> {
    /// DEFAULT of a column of this name, type and typmod.
    ColumnDefault {
        column: &'a str,
        type_oid: Oid,
        typmod: i32,
    },
    CheckConstraint,
    IndexExpression,
    IndexPredicate,
    /// USING of ALTER COLUMN TYPE.
    AlterColumnTransform {
        column: &'a str,
        type_oid: Oid,
        typmod: i32,
        /// USING was written.
        explicit: bool,
    },
    /// A parameter of EXECUTE.
    ExecuteParameter {
        /// Counted from 1.
        number: usize,
        type_oid: Oid,
    },
    CopyWhere,
}

/// Analyzes an expression of a definition. `relation`, if given, is the one whose columns it may use, as varno 1.
pub fn analyze_expression(
    view: &CatalogView<'_>,
    io: &IoSettings,
    expr: &raw::Expr,
    relation: Option<&RelationEntry>,
    usage: ExpressionUse<'_>,
) -> Result<Expression> {
    expression_with(Catalog::View(view), io, expr, relation, usage)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Views {
    Expand,
    Keep,
}

fn analyze_with(
    catalog: Catalog<'_>,
    io: &IoSettings,
    raw: &raw::RawStatement,
    parameters: Parameters,
    views: Views,
) -> Result<Analyzed> {
    let mut analyzer = Analyzer::new(catalog, io, parameters);
    let (mut query, _) = analyzer.nested(Scope::default(), |analyzer| match &raw.statement {
        raw::Statement::Select(stmt) => match &stmt.into {
            // SELECT INTO is CREATE TABLE AS.
            Some(into) => {
                let mut select = (**stmt).clone();
                select.into = None;
                let create = raw::CreateTableAsStmt {
                    query: raw::Statement::Select(Box::new(select)),
                    into: into.clone(),
                    materialized: false,
                    if_not_exists: false,
                };
                Ok(utility(raw::Statement::CreateTableAs(Box::new(create))))
            }
            None => analyzer.select(stmt),
        },
        raw::Statement::Insert(stmt) => analyzer.insert(stmt),
        raw::Statement::Update(stmt) => analyzer.update(stmt),
        raw::Statement::Delete(stmt) => analyzer.delete(stmt),
        raw::Statement::Merge(stmt) => Err(catalog::not_supported("MERGE", stmt.relation.location)),
        other => Ok(utility(other.clone())),
    })?;
    analyzer.settle_parameters(&mut query)?;
    if views == Views::Expand && query.command_type != CommandType::Utility {
        rewrite::expand_views(catalog, &mut query, &mut Vec::new())?;
    }
    query.statement_location = raw.location;
    query.statement_length = raw.length;
    Ok(Analyzed { query, parameter_types: analyzer.parameters.types })
}

fn utility(statement: raw::Statement) -> Box<Query> {
    Box::new(Query {
        command_type: CommandType::Utility,
        utility: Some(Box::new(statement)),
        ..Query::default()
    })
}

fn expression_with(
    catalog: Catalog<'_>,
    io: &IoSettings,
    expr: &raw::Expr,
    relation: Option<&RelationEntry>,
    usage: ExpressionUse<'_>,
) -> Result<Expression> {
    let mut analyzer = Analyzer::new(catalog, io, Parameters::none());
    let (expr, _) = analyzer.nested(Scope::default(), |analyzer| {
        if let Some(relation) = relation {
            let item = analyzer.add_relation(relation, None, false, true, 0)?;
            analyzer.add_to_namespace(item);
        }
        let clause = match usage {
            ExpressionUse::ColumnDefault { .. } => Clause::ColumnDefault,
            ExpressionUse::CheckConstraint => Clause::CheckConstraint,
            ExpressionUse::IndexExpression => Clause::IndexExpression,
            ExpressionUse::IndexPredicate => Clause::IndexPredicate,
            ExpressionUse::AlterColumnTransform { .. } => Clause::AlterColumnTransform,
            ExpressionUse::ExecuteParameter { .. } => Clause::ExecuteParameter,
            ExpressionUse::CopyWhere => Clause::CopyWhere,
        };
        let value = analyzer.within(clause, |analyzer| analyzer.expression(expr))?;
        let value = match usage {
            ExpressionUse::ColumnDefault { column, type_oid, typmod } => {
                let info = ColumnInfo { type_oid, typmod, collation: Oid::INVALID };
                default_of_column(analyzer, value, column, info)?
            }
            ExpressionUse::AlterColumnTransform { column, type_oid, typmod, explicit } => {
                let info = ColumnInfo { type_oid, typmod, collation: Oid::INVALID };
                transform_of_column(analyzer, value, column, info, explicit)?
            }
            ExpressionUse::CheckConstraint => analyzer.coerce_to_boolean(value, "CHECK")?,
            ExpressionUse::IndexPredicate => analyzer.coerce_to_boolean(value, "WHERE")?,
            ExpressionUse::CopyWhere => analyzer.coerce_to_boolean(value, "WHERE")?,
            ExpressionUse::IndexExpression => value,
            ExpressionUse::ExecuteParameter { number, type_oid } => {
                execute_parameter(analyzer, value, number, type_oid)?
            }
        };
        analyzer.with_collations(value)
    })?;
    Ok(expr)
}

fn default_of_column(
    analyzer: &mut Analyzer<'_>,
    value: Expression,
    column: &str,
    info: ColumnInfo,
) -> Result<Expression> {
    let from = value.result_type();
    let location = value.location();
    match analyzer.coerce_to_target(value, info.type_oid, info.typmod, Coercion::ASSIGNMENT)? {
        Some(value) => Ok(value),
        None => {
            let (to, from) = (analyzer.catalog.type_name(info.type_oid), analyzer.catalog.type_name(from));
            Err(error!(
                DATATYPE_MISMATCH,
                "column \"{column}\" is of type {to} but default expression is of type {from}"
            )
            .hint("You will need to rewrite or cast the expression.")
            .at_location(location))
        }
    }
}

/// The expression of ALTER COLUMN TYPE, brought to the new type.
fn transform_of_column(
    analyzer: &mut Analyzer<'_>,
    value: Expression,
    column: &str,
    info: ColumnInfo,
    explicit: bool,
) -> Result<Expression> {
    let result = analyzer.coerce_to_target(value, info.type_oid, info.typmod, Coercion::ASSIGNMENT)?;
    result.ok_or_else(|| {
        let shown = analyzer.catalog.type_name(info.type_oid);
        if explicit {
            return error!(
                DATATYPE_MISMATCH,
                "result of USING clause for column \"{column}\" cannot be cast automatically to type {shown}"
            )
            .hint("You might need to add an explicit cast.");
        }
        let typed = analyzer.catalog.type_name_with_typmod(info.type_oid, Some(info.typmod));
        error!(DATATYPE_MISMATCH, "column \"{column}\" cannot be cast automatically to type {shown}").hint(
            format!(
                "You might need to specify \"USING {}::{typed}\".",
                kokkiri_parse::quote_identifier(column)
            ),
        )
    })
}

/// What a column of a table gets that no value is given for; a constant null if nothing.
pub fn column_default(
    view: &CatalogView<'_>,
    io: &IoSettings,
    relation: &RelationEntry,
    number: i16,
) -> Result<Expression> {
    let mut analyzer = Analyzer::new(Catalog::View(view), io, Parameters::none());
    let (expr, _) =
        analyzer.nested(Scope::default(), |analyzer| analyzer.column_default(relation, number))?;
    Ok(expr)
}

/// An analyzed expression brought to another type as an assignment does; `None` if there is no way.
pub fn coerce_for_assignment(
    view: &CatalogView<'_>,
    io: &IoSettings,
    expr: Expression,
    type_oid: Oid,
    typmod: i32,
) -> Result<Option<Expression>> {
    let mut analyzer = Analyzer::new(Catalog::View(view), io, Parameters::none());
    let (expr, _) = analyzer.nested(Scope::default(), |analyzer| {
        let coerced = analyzer.coerce_to_target(expr, type_oid, typmod, Coercion::ASSIGNMENT)?;
        coerced.map(|expr| analyzer.with_collations(expr)).transpose()
    })?;
    Ok(expr)
}

fn execute_parameter(
    analyzer: &mut Analyzer<'_>,
    value: Expression,
    number: usize,
    type_oid: Oid,
) -> Result<Expression> {
    let from = value.result_type();
    let location = value.location();
    match analyzer.coerce_to_target(value, type_oid, -1, Coercion::ASSIGNMENT)? {
        Some(value) => Ok(value),
        None => {
            let (to, from) = (analyzer.catalog.type_name(type_oid), analyzer.catalog.type_name(from));
            Err(error!(
                DATATYPE_MISMATCH,
                "parameter ${number} of type {from} cannot be coerced to the expected type {to}"
            )
            .hint("You will need to rewrite or cast the expression.")
            .at_location(location))
        }
    }
}

impl Analyzer<'_> {
    /// Checks that every parameter got a type: PostgreSQL's `check_variable_parameters`.
    fn settle_parameters(&mut self, query: &mut Query) -> Result<()> {
        if !self.parameters.infer {
            return Ok(());
        }
        check_parameters(query, &self.parameters.types)?;
        match self.parameters.types.iter().position(|known| !known.is_valid() || *known == oid::UNKNOWN) {
            Some(index) => Err(error!(
                INDETERMINATE_DATATYPE,
                "could not determine data type of parameter ${}",
                index + 1
            )),
            None => Ok(()),
        }
    }
}

fn check_parameters(query: &Query, types: &[Oid]) -> Result<()> {
    let mut result = Ok(());
    query.for_each_expression(&mut |expr| {
        expr.walk(&mut |node| {
            match node {
                Expression::Param(param) if param.kind == ParamKind::Extern && result.is_ok() => {
                    let known = types.get(param.id as usize - 1).copied().unwrap_or_default();
                    if param.type_oid != known || known == oid::UNKNOWN {
                        result = Err(error!(
                            INDETERMINATE_DATATYPE,
                            "could not determine data type of parameter ${}", param.id
                        )
                        .at_location(param.location));
                    }
                }
                Expression::SubLink(link) if result.is_ok() => {
                    result = check_parameters(&link.subselect, types)
                }
                _ => {}
            }
            result.is_ok()
        });
    });
    query.for_each_subquery(&mut |inner| {
        if result.is_ok() {
            result = check_parameters(inner, types);
        }
    });
    result
}

#[cfg(test)]
mod tests;
