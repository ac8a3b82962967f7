//! Target lists: parse_target.c.

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::coerce::Coercion;
use crate::scope::{Analyzer, Clause, NamespaceItem};
use crate::tree::*;

impl Analyzer<'_> {
    /// PostgreSQL's `transformTargetList`, stars expanded.
    pub fn target_list(&mut self, targets: &[raw::ResTarget], clause: Clause) -> Result<Vec<TargetEntry>> {
        let mut list: Vec<TargetEntry> = Vec::new();
        for target in targets {
            let Some(raw::TargetValue::Expr(expr)) = &target.value else { continue };
            let start = list.len();
            match expr {
                raw::Expr::ColumnRef(column) if matches!(column.fields.last(), Some(raw::Field::Star)) => {
                    self.expand_star(column, &mut list)?;
                }
                raw::Expr::Indirection { arg, indirection }
                    if matches!(indirection.last(), Some(raw::Indirection::Star)) =>
                {
                    let steps = &indirection[..indirection.len() - 1];
                    let inner = match steps {
                        [] => (**arg).clone(),
                        steps => raw::Expr::Indirection { arg: arg.clone(), indirection: steps.to_vec() },
                    };
                    self.within(clause, |analyzer| analyzer.expand_composite(&inner, &mut list))?;
                }
                expr => {
                    let value = self.within(clause, |analyzer| analyzer.expression(expr))?;
                    let name = target.name.clone().unwrap_or_else(|| figure_column_name(expr));
                    list.push(TargetEntry::new(value, 0, Some(name), false));
                }
            }
            for (index, entry) in list.iter_mut().enumerate().skip(start) {
                entry.resno = index as i16 + 1;
            }
        }
        Ok(list)
    }

    /// PostgreSQL's `resolveTargetListUnknowns`: literals nobody typed are text.
    pub fn resolve_unknowns(&mut self, list: &mut [TargetEntry]) -> Result<()> {
        for target in list {
            if target.expr.result_type() == oid::UNKNOWN {
                let expr = std::mem::replace(&mut target.expr, crate::coerce::null_const(oid::UNKNOWN));
                target.expr = self.coerce(expr, oid::TEXT, -1, Coercion::IMPLICIT)?;
            }
        }
        Ok(())
    }

    /// PostgreSQL's `markTargetListOrigins`.
    pub fn mark_origins(&self, list: &mut [TargetEntry]) {
        for target in list {
            if let Expression::Var(var) = &target.expr
                && let Some((table, column)) = self.origin(var, 0)
            {
                target.resorigtbl = table;
                target.resorigcol = column;
            }
        }
    }

    fn origin(&self, var: &Var, levels: u32) -> Option<(Oid, i16)> {
        let rte = self.rte_of(var.varno, var.varlevelsup + levels);
        let index = usize::try_from(var.varattno).ok().and_then(|number| number.checked_sub(1));
        match &rte.kind {
            RteKind::Relation { relid, .. } => Some((*relid, var.varattno)),
            RteKind::Subquery { query, .. } => {
                let target = query.target_list.get(index?)?;
                target.resorigtbl.valid().map(|table| (table, target.resorigcol))
            }
            RteKind::Join(join) => match join.alias_vars.get(index?)? {
                Expression::Var(inner) => self.origin(inner, var.varlevelsup + levels),
                _ => None,
            },
            _ => None,
        }
    }

    fn expand_star(&mut self, column: &raw::ColumnRef, list: &mut Vec<TargetEntry>) -> Result<()> {
        let location = column.location;
        let names: Vec<&str> = column
            .fields
            .iter()
            .filter_map(|field| match field {
                raw::Field::Name(name) => Some(name.as_str()),
                raw::Field::Star => None,
            })
            .collect();
        if names.is_empty() {
            let items: Vec<NamespaceItem> = self
                .scope()
                .namespace
                .iter()
                .filter(|item| item.columns_visible && !item.lateral_only)
                .cloned()
                .collect();
            if items.is_empty() && self.scope().rtable.is_empty() {
                return Err(error!(SYNTAX_ERROR, "SELECT * with no tables specified is not valid")
                    .at_location(location));
            }
            for item in items {
                self.expand_item(&item, 0, location, list);
            }
            return Ok(());
        }
        let (schema, relation) = match names.as_slice() {
            [relation] => (None, *relation),
            [schema, relation] => (Some(*schema), *relation),
            [_, schema, relation] => (Some(*schema), *relation),
            _ => {
                let message = format!("improper qualified name (too many dotted names): {}", names.join("."));
                return Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
            }
        };
        match self.find_item(schema, relation, location)? {
            Some((item, levels_up)) => {
                self.expand_item(&item, levels_up, location, list);
                Ok(())
            }
            None => {
                if schema.is_none() && self.find_column(relation, location)?.is_some() {
                    let fields = vec![raw::Field::Name(relation.to_owned())];
                    let inner = raw::Expr::ColumnRef(raw::ColumnRef { fields, location });
                    return self.expand_composite(&inner, list);
                }
                Err(self.missing_entry(relation, schema, location))
            }
        }
    }

    fn expand_item(
        &mut self,
        item: &NamespaceItem,
        levels_up: u32,
        location: Location,
        list: &mut Vec<TargetEntry>,
    ) {
        for index in 0..item.columns.len() {
            if item.columns[index].hidden {
                continue;
            }
            let var = self.column_var(item, index, levels_up, location);
            list.push(TargetEntry::new(var, 0, Some(item.names.columns[index].clone()), false));
        }
    }

    /// `(x).*`.
    fn expand_composite(&mut self, inner: &raw::Expr, list: &mut Vec<TargetEntry>) -> Result<()> {
        let arg = self.expression(inner)?;
        if let Expression::RowExpr(row) = &arg {
            for (value, name) in row.args.iter().zip(&row.colnames) {
                list.push(TargetEntry::new(value.clone(), 0, Some(name.clone()), false));
            }
            return Ok(());
        }
        let Some(columns) = self.composite_columns(arg.result_type())? else {
            let name = self.catalog.type_name(arg.result_type());
            return Err(
                error!(WRONG_OBJECT_TYPE, "type {name} is not composite").at_location(inner.location())
            );
        };
        for (name, field, info) in columns {
            let select = FieldSelect {
                arg: arg.clone(),
                field,
                result_type: info.type_oid,
                typmod: info.typmod,
                collation: info.collation,
            };
            list.push(TargetEntry::new(Expression::FieldSelect(Box::new(select)), 0, Some(name), false));
        }
        Ok(())
    }
}

/// The label of a column without AS: PostgreSQL's `FigureColname`.
pub(crate) fn figure_column_name(expr: &raw::Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name and whether it is a strong one.
fn figure(expr: &raw::Expr) -> Option<(String, bool)> {
    use raw::SqlValueFunctionOp::*;
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        raw::Expr::ColumnRef(column) => column.fields.iter().rev().find_map(|field| match field {
            raw::Field::Name(name) => Some((name.clone(), true)),
            raw::Field::Star => None,
        }),
        raw::Expr::Indirection { arg, indirection } => {
            let field = indirection.iter().rev().find_map(|step| match step {
                raw::Indirection::Field(name) => Some((name.clone(), true)),
                _ => None,
            });
            field.or_else(|| figure(arg))
        }
        raw::Expr::FuncCall(call) => call.name.last().map(|name| (name.clone(), true)),
        raw::Expr::AExpr(expr) if expr.kind == raw::AExprKind::NullIf => strong("nullif"),
        raw::Expr::TypeCast(cast) => match figure(&cast.arg) {
            Some((name, true)) => Some((name, true)),
            _ => cast.type_name.names.last().map(|name| (name.clone(), false)),
        },
        raw::Expr::Collate(clause) => figure(&clause.arg),
        raw::Expr::Grouping { .. } => strong("grouping"),
        raw::Expr::SubLink(link) => match link.kind {
            SubLinkType::Exists => strong("exists"),
            SubLinkType::Array => strong("array"),
            SubLinkType::Expr => {
                let target = link.subselect.targets.first()?;
                match (&target.name, &target.value) {
                    (Some(name), _) => Some((name.clone(), true)),
                    (None, Some(raw::TargetValue::Expr(expr))) => figure(expr),
                    _ => None,
                }
            }
            _ => None,
        },
        raw::Expr::Case(case) => match case.default.as_ref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        raw::Expr::Array { .. } => strong("array"),
        raw::Expr::Row { .. } => strong("row"),
        raw::Expr::Coalesce { .. } => strong("coalesce"),
        raw::Expr::MinMax { op: MinMaxOp::Greatest, .. } => strong("greatest"),
        raw::Expr::MinMax { op: MinMaxOp::Least, .. } => strong("least"),
        raw::Expr::MergeAction { .. } => strong("merge_action"),
        raw::Expr::SqlValueFunction { op, .. } => strong(match op {
            CurrentDate => "current_date",
            CurrentTime | CurrentTimeN => "current_time",
            CurrentTimestamp | CurrentTimestampN => "current_timestamp",
            LocalTime | LocalTimeN => "localtime",
            LocalTimestamp | LocalTimestampN => "localtimestamp",
            CurrentRole => "current_role",
            CurrentUser => "current_user",
            User => "user",
            SessionUser => "session_user",
            CurrentCatalog => "current_catalog",
            CurrentSchema => "current_schema",
        }),
        _ => None,
    }
}
