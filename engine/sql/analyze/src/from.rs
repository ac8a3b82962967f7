//! FROM: parse_clause.c's transformFromClause.

use std::rc::Rc;

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Result, error, stack};
use kokkiri_transaction::LockMode;
use kokkiri_types::builtin::oid;

use crate::catalog::not_supported;
use crate::coerce::Coercion;
use crate::relation::build_eref;
use crate::scope::{Analyzer, Clause, NamespaceColumn, NamespaceItem};
use crate::target::figure_column_name;
use crate::tree::*;

/// What a FROM item adds: its node, the item its own columns are, and all names within it.
struct FromItem {
    node: JoinTreeNode,
    item: NamespaceItem,
    namespace: Vec<NamespaceItem>,
}

/// A column of a relation that has no catalog entry.
type NamedColumn = (String, ColumnInfo);

impl Analyzer<'_> {
    pub fn transform_from(&mut self, from: &[raw::TableExpr]) -> Result<Vec<JoinTreeNode>> {
        let mut nodes = Vec::new();
        for table in from {
            let item = self.table_item(table)?;
            let existing = self.scope().namespace.clone();
            self.check_conflict(&existing, &item.namespace)?;
            // Until FROM is complete, names are for lateral references only.
            let mut namespace = item.namespace;
            set_lateral(&mut namespace, true, true);
            self.scope_mut().namespace.extend(namespace);
            nodes.push(item.node);
        }
        set_lateral(&mut self.scope_mut().namespace, false, true);
        Ok(nodes)
    }

    fn table_item(&mut self, table: &raw::TableExpr) -> Result<FromItem> {
        stack::check_depth()?;
        let item = match table {
            raw::TableExpr::Relation(relation) => self.relation_item(relation)?,
            raw::TableExpr::Subselect { lateral, query, alias, location: _ } => {
                self.subselect_item(query, *lateral, alias.clone())?
            }
            raw::TableExpr::Function(function) => self.function_item(function)?,
            raw::TableExpr::TableSample(sample) => return Err(not_supported("TABLESAMPLE", sample.location)),
            raw::TableExpr::Join(join) => return self.join_item(join),
        };
        let node = JoinTreeNode::RangeTblRef(item.rtindex);
        Ok(FromItem { node, namespace: vec![item.clone()], item })
    }

    fn relation_item(&mut self, relation: &raw::RangeVar) -> Result<NamespaceItem> {
        if relation.schema.is_none()
            && let Some(item) = self.find_cte(relation)?
        {
            return Ok(item);
        }
        let entry = self.open_relation(relation, LockMode::AccessShare)?;
        use kokkiri_access::relation::RelationKind;
        if matches!(
            entry.relation.kind,
            RelationKind::Index | RelationKind::PartitionedIndex | RelationKind::CompositeType
        ) {
            return Err(error!(WRONG_OBJECT_TYPE, "cannot open relation \"{}\"", entry.name)
                .detail(match entry.relation.kind {
                    RelationKind::CompositeType => "This operation is not supported for composite types.",
                    _ => "This operation is not supported for indexes.",
                })
                .at_location(relation.location));
        }
        let privilege = Privilege::Select as u32;
        self.add_relation(&entry, relation.alias.clone(), relation.inherit, true, privilege)
    }

    fn subselect_item(
        &mut self,
        query: &raw::SelectStmt,
        lateral: bool,
        alias: Option<Alias>,
    ) -> Result<NamespaceItem> {
        let before = std::mem::replace(&mut self.scope_mut().lateral_active, lateral);
        let query = self.within(Clause::FromSubselect, |analyzer| analyzer.subquery(query));
        self.scope_mut().lateral_active = before;
        let query = query?;
        let columns = subquery_columns(&query);
        let kind = RteKind::Subquery { query, view: None, security_barrier: false };
        let anonymous = alias.is_none();
        let mut item = self.add_derived(kind, alias, "unnamed_subquery", columns, lateral)?;
        item.relation_visible = !anonymous;
        Ok(item)
    }

    fn function_item(&mut self, range: &raw::RangeFunction) -> Result<NamespaceItem> {
        let mut functions = Vec::new();
        let mut columns: Vec<(String, ColumnInfo)> = Vec::new();
        let mut default_name = String::new();
        let before = std::mem::replace(&mut self.scope_mut().lateral_active, true);
        for (function, definitions) in &range.functions {
            let expr = self.within(Clause::FromFunction, |analyzer| analyzer.expression(function));
            let expr = match expr {
                Ok(expr) => self.with_collations(expr)?,
                Err(error) => {
                    self.scope_mut().lateral_active = before;
                    return Err(error);
                }
            };
            let name = figure_column_name(function);
            let definitions = if definitions.is_empty() { &range.columns } else { definitions };
            let (own, defined) = self.function_columns(&expr, &name, definitions, range)?;
            functions.push(RangeTblFunction { expr, column_count: own.len(), columns: defined });
            columns.extend(own);
            if default_name.is_empty() {
                default_name = name;
            }
        }
        self.scope_mut().lateral_active = before;
        if range.ordinality {
            let info = ColumnInfo { type_oid: oid::INT8, typmod: -1, collation: Default::default() };
            columns.push(("ordinality".to_owned(), info));
        }
        let lateral = range.lateral || functions.iter().any(|function| has_own_level_vars(&function.expr));
        let kind = RteKind::Function { functions, ordinality: range.ordinality };
        self.add_derived(kind, range.alias.clone(), &default_name, columns, lateral)
            .map_err(|error| error.at_location(range.location))
    }

    /// The columns a function in FROM yields, and its column definitions if it has any.
    fn function_columns(
        &mut self,
        expr: &Expression,
        name: &str,
        definitions: &[raw::ColumnDef],
        range: &raw::RangeFunction,
    ) -> Result<(Vec<NamedColumn>, Vec<NamedColumn>)> {
        let type_oid = expr.result_type();
        let location = range.location;
        if !definitions.is_empty() {
            if type_oid != oid::RECORD {
                let message = "a column definition list is only allowed for functions returning \"record\"";
                return Err(error!(SYNTAX_ERROR, "{message}").at_location(definitions[0].location));
            }
            let mut columns = Vec::new();
            for definition in definitions {
                let Some(type_name) = &definition.type_name else { continue };
                let (type_oid, typmod) = self.resolve_type(type_name)?;
                let collation = self.catalog.type_collation(type_oid)?;
                columns.push((definition.name.clone(), ColumnInfo { type_oid, typmod, collation }));
            }
            return Ok((columns.clone(), columns));
        }
        if let Expression::FuncExpr(func) = expr {
            let function = self.catalog.function(func.funcid)?;
            use kokkiri_catalog::entries::ArgumentMode::*;
            let outs: Vec<_> = function
                .declared
                .iter()
                .filter(|argument| matches!(argument.mode, Out | InOut | Table))
                .collect();
            if type_oid == oid::RECORD && !outs.is_empty() {
                let mut columns = Vec::new();
                for (index, argument) in outs.iter().enumerate() {
                    let name = match &argument.name {
                        Some(name) if !name.is_empty() => name.to_string(),
                        _ => format!("column{}", index + 1),
                    };
                    let collation = self.catalog.type_collation(argument.type_oid)?;
                    columns.push((name, ColumnInfo { type_oid: argument.type_oid, typmod: -1, collation }));
                }
                return Ok((columns, Vec::new()));
            }
            if let [only] = outs.as_slice()
                && let Some(out_name) = only.name.as_deref().filter(|name| !name.is_empty())
                && self.composite_columns(type_oid)?.is_none()
            {
                return Ok((vec![(out_name.to_owned(), ColumnInfo::of(expr))], Vec::new()));
            }
        }
        if type_oid == oid::RECORD {
            let message = "a column definition list is required for functions returning \"record\"";
            return Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
        }
        if let Some(columns) = self.composite_columns(type_oid)? {
            return Ok((columns.into_iter().map(|(name, _, info)| (name, info)).collect(), Vec::new()));
        }
        // A scalar's column goes by the alias, if there is one for the table alone.
        let name = match &range.alias {
            Some(alias) if range.functions.len() == 1 => alias.name.clone(),
            _ => name.to_owned(),
        };
        Ok((vec![(name, ColumnInfo::of(expr))], Vec::new()))
    }

    fn join_item(&mut self, join: &raw::JoinExpr) -> Result<FromItem> {
        let left = self.table_item(&join.left)?;
        // The left side may be referred to laterally, unless it is the nullable side.
        let lateral_ok = matches!(join.join_type, JoinType::Inner | JoinType::Left);
        let mut visible = left.namespace.clone();
        set_lateral(&mut visible, true, lateral_ok);
        let before = self.scope().namespace.len();
        self.scope_mut().namespace.extend(visible);
        let right = self.table_item(&join.right);
        self.scope_mut().namespace.truncate(before);
        let right = right?;
        self.check_conflict(&left.namespace, &right.namespace)?;

        // ON sees both sides as they are below the join.
        let on = match &join.quals {
            Some(quals) => Some(self.join_quals(quals, &left, &right)?),
            None => None,
        };
        let rtindex = self.scope().rtable.len() as u32 + 1;
        // A join's nullable side is nulled by it: Vars made from here on say so.
        let mark = |analyzer: &mut Self, node: &JoinTreeNode| {
            for relid in node.relids(true).iter() {
                analyzer.scope_mut().nulling[relid as usize - 1].insert(rtindex);
            }
        };
        if matches!(join.join_type, JoinType::Left | JoinType::Full) {
            mark(self, &right.node);
        }
        if matches!(join.join_type, JoinType::Right | JoinType::Full) {
            mark(self, &left.node);
        }

        let using = match join.natural {
            true => {
                let shared = left.item.names.columns.iter().enumerate().filter(|(index, name)| {
                    !left.item.columns[*index].hidden && right.item.names.columns.contains(name)
                });
                shared.map(|(_, name)| name.clone()).collect()
            }
            false => join.using.clone(),
        };
        let merged = self.merge_columns(join, &using, &left.item, &right.item)?;
        let quals = on.or(merged.quals);
        let item = self.add_join(join, rtindex, &using, merged.columns, &left.item, &right.item)?;
        let node = JoinTreeNode::JoinExpr(Box::new(JoinExpr {
            join_type: join.join_type,
            natural: join.natural,
            left: left.node,
            right: right.node,
            using,
            quals,
            alias: join.alias.clone(),
            rtindex,
        }));
        let mut namespace = Vec::new();
        if join.alias.is_none() {
            // The tables within stay nameable; their columns are the join's.
            namespace.extend(left.namespace);
            namespace.extend(right.namespace);
            for inner in &mut namespace {
                inner.columns_visible = false;
            }
        }
        // JOIN USING (...) AS name: the merged columns alone go by that name.
        if let Some(alias) = &join.using_alias {
            let merged = using_count(&node);
            let mut columns = item.names.columns.clone();
            columns.truncate(merged);
            let named = NamespaceItem {
                names: Rc::new(Alias { name: alias.name.clone(), columns }),
                columns: Rc::new(item.columns[..merged].to_vec()),
                relation_visible: true,
                columns_visible: false,
                ..item.clone()
            };
            self.check_conflict(&namespace, std::slice::from_ref(&named))?;
            namespace.push(named);
        }
        namespace.push(item.clone());
        Ok(FromItem { node, item, namespace })
    }

    fn join_quals(&mut self, quals: &raw::Expr, left: &FromItem, right: &FromItem) -> Result<Expression> {
        // Only the two sides are visible in ON (and what lies outside the query).
        let mut namespace = left.namespace.clone();
        namespace.extend(right.namespace.iter().cloned());
        set_lateral(&mut namespace, false, true);
        let saved = std::mem::replace(&mut self.scope_mut().namespace, namespace);
        let result = self.where_clause(quals, Clause::JoinOn, "JOIN/ON");
        self.scope_mut().namespace = saved;
        result
    }

    fn merge_columns(
        &mut self,
        join: &raw::JoinExpr,
        using: &[String],
        left: &NamespaceItem,
        right: &NamespaceItem,
    ) -> Result<Merged> {
        let mut merged = Merged { columns: Vec::new(), quals: None };
        let mut quals = Vec::new();
        for (position, name) in using.iter().enumerate() {
            if using[..position].contains(name) {
                let message = format!("column name \"{name}\" appears more than once in USING clause");
                return Err(error!(DUPLICATE_COLUMN, "{message}"));
            }
            let find = |item: &NamespaceItem, side: &str| -> Result<usize> {
                let mut found = item.names.columns.iter().enumerate().filter(|(_, column)| *column == name);
                let Some((index, _)) = found.next() else {
                    return Err(error!(
                        UNDEFINED_COLUMN,
                        "column \"{name}\" specified in USING clause does not exist in {side} table"
                    ));
                };
                if found.next().is_some() {
                    return Err(error!(
                        AMBIGUOUS_COLUMN,
                        "common column name \"{name}\" appears more than once in {side} table"
                    ));
                }
                Ok(index)
            };
            let left_index = find(left, "left")?;
            let right_index = find(right, "right")?;
            // In the condition the sides are not yet nulled by this join.
            let rtindex = self.scope().rtable.len() as u32 + 1;
            let left_var = self.column_var(left, left_index, 0, Location::UNKNOWN);
            let right_var = self.column_var(right, right_index, 0, Location::UNKNOWN);
            let (left_plain, right_plain) =
                (without_nulling(&left_var, rtindex), without_nulling(&right_var, rtindex));
            let name = "=".to_owned();
            let qual = self.make_operator(&[name], Some(left_plain), right_plain, Location::UNKNOWN)?;
            quals.push(self.coerce_to_boolean(qual, "JOIN/USING")?);
            let value = self.merged_column(join.join_type, left_var, right_var)?;
            merged.columns.push((left_index, right_index, value));
        }
        if let Some(quals) = and_all(quals) {
            merged.quals = Some(self.with_collations(quals)?);
        }
        Ok(merged)
    }

    /// PostgreSQL's `buildMergedJoinVar`.
    fn merged_column(
        &mut self,
        join_type: JoinType,
        left: Expression,
        right: Expression,
    ) -> Result<Expression> {
        let common = self.common_type(&[&left, &right], Some("JOIN/USING"))?.unwrap_or(oid::TEXT);
        let typmod = Self::common_typmod(&[&left, &right], common);
        let (left, right) = {
            let mut coerce = |expr: Expression| {
                let expr = self.coerce(expr, common, typmod, Coercion::IMPLICIT)?;
                self.coerce_typmod(expr, common, typmod, Coercion::IMPLICIT)
            };
            (coerce(left)?, coerce(right)?)
        };
        Ok(match join_type {
            JoinType::Inner => match (&left, &right) {
                // A plain column is preferred to a coerced one.
                (Expression::Var(_), _) => left,
                (_, Expression::Var(_)) => right,
                _ => left,
            },
            JoinType::Left => left,
            JoinType::Right => right,
            JoinType::Full => Expression::CoalesceExpr(Box::new(CoalesceExpr {
                result_type: common,
                collation: left.collation(),
                args: vec![left, right],
                location: Location::UNKNOWN,
            })),
        })
    }

    fn add_join(
        &mut self,
        join: &raw::JoinExpr,
        rtindex: u32,
        using: &[String],
        merged: Vec<(usize, usize, Expression)>,
        left: &NamespaceItem,
        right: &NamespaceItem,
    ) -> Result<NamespaceItem> {
        let mut names = Vec::new();
        let mut alias_vars = Vec::new();
        let (mut left_columns, mut right_columns) = (Vec::new(), Vec::new());
        let mut columns = Vec::new();
        let merged_count = merged.len();
        let merged_left: Vec<usize> = merged.iter().map(|(index, ..)| *index).collect();
        let merged_right: Vec<usize> = merged.iter().map(|(_, index, _)| *index).collect();
        for (position, (left_index, right_index, value)) in merged.into_iter().enumerate() {
            names.push(using[position].clone());
            left_columns.push(left_index as i16 + 1);
            right_columns.push(right_index as i16 + 1);
            // Only a merged value that is no column by itself needs a Var of the join.
            let info = ColumnInfo::of(&value);
            columns.push(match &value {
                Expression::Var(var) => {
                    NamespaceColumn { varno: var.varno, varattno: var.varattno, info, hidden: false }
                }
                _ => NamespaceColumn { varno: rtindex, varattno: position as i16 + 1, info, hidden: false },
            });
            alias_vars.push(value);
        }
        for (item, merged, is_left) in [(left, &merged_left, true), (right, &merged_right, false)] {
            for (index, column) in item.columns.iter().enumerate() {
                if merged.contains(&index) || column.hidden {
                    continue;
                }
                names.push(item.names.columns[index].clone());
                left_columns.push(if is_left { index as i16 + 1 } else { 0 });
                right_columns.push(if is_left { 0 } else { index as i16 + 1 });
                let varnullingrels = self.scope().nulling[column.varno as usize - 1].clone();
                alias_vars.push(Expression::Var(Var {
                    varno: column.varno,
                    varattno: column.varattno,
                    vartype: column.info.type_oid,
                    vartypmod: column.info.typmod,
                    varcollid: column.info.collation,
                    varnullingrels,
                    varlevelsup: 0,
                    returning: VarReturning::Default,
                    location: Location::UNKNOWN,
                }));
                columns.push(column.clone());
            }
        }
        let eref = build_eref(join.alias.as_ref(), "unnamed_join", names, "join expression")?;
        let kind = RteKind::Join(Box::new(RteJoin {
            join_type: join.join_type,
            merged_columns: merged_count,
            alias_vars,
            left_columns,
            right_columns,
            using_alias: join.using_alias.clone(),
        }));
        let alias = join.alias.clone();
        let rte = RangeTblEntry {
            kind,
            alias,
            eref: eref.clone(),
            lateral: false,
            in_from_cl: true,
            perminfo_index: 0,
        };
        let scope = self.scope_mut();
        scope.rtable.push(rte);
        scope.nulling.push(Relids::new());
        debug_assert_eq!(scope.rtable.len() as u32, rtindex);
        Ok(NamespaceItem {
            rtindex,
            names: Rc::new(eref),
            columns: Rc::new(columns),
            relation_visible: join.alias.is_some(),
            columns_visible: true,
            lateral_only: false,
            lateral_ok: true,
            returning: VarReturning::Default,
        })
    }
}

struct Merged {
    /// Left and right index, and the value.
    columns: Vec<(usize, usize, Expression)>,
    quals: Option<Expression>,
}

/// A query's visible columns by name.
pub(crate) fn subquery_columns(query: &Query) -> Vec<(String, ColumnInfo)> {
    query
        .result_columns()
        .map(|target| {
            let name = target.resname.clone().unwrap_or_else(|| "?column?".to_owned());
            (name, ColumnInfo::of(&target.expr))
        })
        .collect()
}

fn set_lateral(items: &mut [NamespaceItem], only: bool, ok: bool) {
    for item in items {
        item.lateral_only = only;
        item.lateral_ok = ok;
    }
}

fn has_own_level_vars(expr: &Expression) -> bool {
    expr.contains(|node| matches!(node, Expression::Var(var) if var.varlevelsup == 0))
}

fn without_nulling(expr: &Expression, rtindex: u32) -> Expression {
    let mut expr = expr.clone();
    expr.walk_mut(&mut |node| {
        if let Expression::Var(var) = node {
            var.varnullingrels.remove(rtindex);
        }
        true
    });
    expr
}

pub(crate) fn and_all(mut quals: Vec<Expression>) -> Option<Expression> {
    match quals.len() {
        0 | 1 => quals.pop(),
        _ => {
            let location = Location::UNKNOWN;
            Some(Expression::BoolExpr(Box::new(BoolExpr { op: BoolOp::And, args: quals, location })))
        }
    }
}

/// How many columns a join merges.
fn using_count(node: &JoinTreeNode) -> usize {
    match node {
        JoinTreeNode::JoinExpr(join) => join.using.len(),
        _ => 0,
    }
}
