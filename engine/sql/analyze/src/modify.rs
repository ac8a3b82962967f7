//! INSERT, UPDATE and DELETE: analyze.c, with the defaults that PostgreSQL's rewriter fills in.

use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::builtin::oid;
use kokkiri_types::{Attribute, Value};

use crate::catalog::not_supported;
use crate::relation::qualified_name;
use crate::scope::{Analyzer, Clause, NamespaceItem, Scope};
use crate::tree::*;

/// A target column of INSERT or UPDATE.
struct TargetColumn {
    number: i16,
    name: String,
    info: ColumnInfo,
    location: Location,
}

impl Analyzer<'_> {
    /// Opens the relation a statement changes and adds it as the first range table entry.
    fn target_relation(
        &mut self,
        relation: &raw::RangeVar,
        privilege: Privilege,
        query: &mut Query,
    ) -> Result<(Arc<RelationEntry>, NamespaceItem)> {
        let entry = self.open_relation(relation, LockMode::RowExclusive)?;
        let name = qualified_name(relation);
        match entry.relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {}
            RelationKind::Sequence => {
                return Err(error!(WRONG_OBJECT_TYPE, "cannot change sequence \"{name}\""));
            }
            RelationKind::View => {
                return Err(not_supported("changing rows through a view", relation.location));
            }
            RelationKind::MaterializedView => {
                return Err(error!(WRONG_OBJECT_TYPE, "cannot change materialized view \"{name}\""));
            }
            RelationKind::Toast => {
                return Err(error!(WRONG_OBJECT_TYPE, "cannot change TOAST relation \"{name}\""));
            }
            _ => {
                return Err(error!(WRONG_OBJECT_TYPE, "cannot open relation \"{name}\"")
                    .detail("This operation is not supported for indexes.")
                    .at_location(relation.location));
            }
        }
        let inherit = relation.inherit && privilege != Privilege::Insert;
        let item = self.add_relation(&entry, relation.alias.clone(), inherit, false, privilege as u32)?;
        query.result_relation = item.rtindex;
        Ok((entry, item))
    }

    fn target_column(&self, entry: &RelationEntry, target: &raw::ResTarget) -> Result<TargetColumn> {
        let name = target.name.clone().unwrap_or_default();
        let attributes = entry.relation.tuple_desc.attributes();
        let found = attributes.iter().find(|attribute| !attribute.dropped && *attribute.name == *name);
        let Some(attribute) = found else {
            if crate::relation::is_system_column(&name) {
                return Err(error!(FEATURE_NOT_SUPPORTED, "cannot assign to system column \"{name}\"")
                    .at_location(target.location));
            }
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", entry.name);
            let error = error!(UNDEFINED_COLUMN, "{message}");
            return Err(error.at_location(target.location));
        };
        if !target.indirection.is_empty() {
            return Err(not_supported("assignment to a part of a column", target.location));
        }
        Ok(column_of(attribute, target.location))
    }

    pub fn insert(&mut self, stmt: &raw::InsertStmt) -> Result<Box<Query>> {
        let mut query = Box::new(Query { command_type: CommandType::Insert, ..Query::default() });
        if let Some(with) = &stmt.with {
            self.with_clause(with, &mut query)?;
        }
        query.overriding = stmt.overriding;
        if let Some(clause) = &stmt.on_conflict {
            return Err(not_supported("INSERT ... ON CONFLICT", clause.location));
        }
        let (entry, item) = self.target_relation(&stmt.relation, Privilege::Insert, &mut query)?;
        let explicit = !stmt.columns.is_empty();
        let columns = self.insert_columns(&entry, &stmt.columns)?;
        let exprs = match &stmt.source {
            None => Vec::new(),
            Some(source) => self.insert_source(source, &columns, explicit, &mut query)?,
        };
        let mut targets = Vec::new();
        for (expr, column) in exprs.into_iter().zip(&columns) {
            let is_identity = entry.relation.tuple_desc[column.number as usize - 1].identity != 0;
            let expr = match expr {
                // What is given for an identity column is not looked at.
                _ if is_identity && stmt.overriding == Overriding::UserValue => {
                    default_marker(column.info, column.location)
                }
                expr => expr,
            };
            self.check_writable(&entry, column, &expr, stmt.overriding)?;
            self.scope_mut().perm_infos[0].inserted_columns.insert(column.number);
            let expr = self.assign(expr, column)?;
            targets.push(TargetEntry::new(expr, column.number, Some(column.name.clone()), false));
        }
        query.target_list = self.complete_insert(&entry, targets)?;
        self.returning(stmt.returning.as_ref(), &item, &mut query)?;
        self.finish_query(&mut query)?;
        Ok(query)
    }

    fn insert_columns(
        &mut self,
        entry: &RelationEntry,
        targets: &[raw::ResTarget],
    ) -> Result<Vec<TargetColumn>> {
        if targets.is_empty() {
            let attributes = entry.relation.tuple_desc.attributes().iter();
            let live = attributes.filter(|attribute| !attribute.dropped);
            return Ok(live.map(|attribute| column_of(attribute, Location::UNKNOWN)).collect());
        }
        let mut columns: Vec<TargetColumn> = Vec::new();
        for target in targets {
            let column = self.target_column(entry, target)?;
            if columns.iter().any(|known| known.number == column.number) {
                return Err(error!(DUPLICATE_COLUMN, "column \"{}\" specified more than once", column.name)
                    .at_location(target.location));
            }
            columns.push(column);
        }
        Ok(columns)
    }

    /// The expressions a row is made of, before coercion to their columns.
    fn insert_source(
        &mut self,
        source: &raw::SelectStmt,
        columns: &[TargetColumn],
        explicit: bool,
        query: &mut Query,
    ) -> Result<Vec<Expression>> {
        let plain_values = !source.values.is_empty()
            && source.sort.is_empty()
            && source.limit.is_none()
            && source.offset.is_none()
            && source.locking.is_empty()
            && source.with.is_none();
        if plain_values && source.values.len() == 1 {
            let row = &source.values[0];
            let exprs = self.insert_row(row, columns, explicit)?;
            return Ok(exprs);
        }
        if plain_values {
            let width = source.values[0].len();
            let mut lists = Vec::with_capacity(source.values.len());
            for row in &source.values {
                if row.len() != width {
                    let location = row.first().map_or(Location::UNKNOWN, raw::Expr::location);
                    return Err(error!(SYNTAX_ERROR, "VALUES lists must all be the same length")
                        .at_location(location));
                }
                let exprs = self.insert_row(row, columns, explicit)?;
                let mut assigned = Vec::with_capacity(exprs.len());
                for (expr, column) in exprs.into_iter().zip(columns) {
                    let expr = self.assign(expr, column)?;
                    assigned.push(self.with_collations(expr)?);
                }
                lists.push(assigned);
            }
            let defaulted = self.default_only_columns(&mut lists);
            self.default_in_values(&mut lists, columns)?;
            let infos: Vec<ColumnInfo> = columns.iter().take(width).map(|column| column.info).collect();
            let item = self.add_values(lists, infos, "*VALUES*")?;
            query.jointree.from_list = vec![JoinTreeNode::RangeTblRef(item.rtindex)];
            let targets = self.item_targets(&item).into_iter().zip(columns);
            return Ok(targets
                .enumerate()
                .map(|(at, (target, column))| match defaulted.contains(&at) {
                    true => default_marker(column.info, column.location),
                    false => target.expr,
                })
                .collect());
        }
        // Unknown literals of the select take the columns' types.
        let scope = Scope { keep_unknowns: true, ..Scope::default() };
        let (mut select, _) = self.nested(scope, |analyzer| analyzer.select(source))?;
        let exprs: Vec<Expression> = select.result_columns().map(|target| target.expr.clone()).collect();
        self.check_counts(&exprs, columns, explicit)?;
        let mut typed = Vec::new();
        let results = select.target_list.iter_mut().filter(|target| !target.resjunk);
        for (target, column) in results.zip(columns) {
            if target.expr.result_type() == oid::UNKNOWN {
                let literal = std::mem::replace(&mut target.expr, crate::coerce::null_const(oid::UNKNOWN));
                target.expr = self.assign(literal, column)?;
            }
            typed.push(target.expr.clone());
        }
        let named = crate::from::subquery_columns(&select);
        let kind = RteKind::Subquery { query: select, view: None, security_barrier: false };
        let item = self.add_derived(kind, None, "*SELECT*", named, false)?;
        query.jointree.from_list = vec![JoinTreeNode::RangeTblRef(item.rtindex)];
        let vars = self.item_targets(&item).into_iter().zip(typed);
        // Constants need no detour.
        Ok(vars
            .map(|(target, expr)| match expr {
                Expression::Const(_) | Expression::Param(_) => expr,
                _ => with_location(target.expr, expr.location()),
            })
            .collect())
    }

    fn insert_row(
        &mut self,
        row: &[raw::Expr],
        columns: &[TargetColumn],
        explicit: bool,
    ) -> Result<Vec<Expression>> {
        let mut exprs = Vec::with_capacity(row.len());
        for (index, expr) in row.iter().enumerate() {
            exprs.push(match (expr, columns.get(index)) {
                (raw::Expr::SetToDefault { location }, Some(column)) => {
                    default_marker(column.info, *location)
                }
                (expr, _) => self.within(Clause::Values, |analyzer| analyzer.expression(expr))?,
            });
        }
        self.check_counts(&exprs, columns, explicit)?;
        Ok(exprs)
    }

    fn check_counts(&self, exprs: &[Expression], columns: &[TargetColumn], explicit: bool) -> Result<()> {
        if exprs.len() > columns.len() {
            let location = exprs[columns.len()].location();
            return Err(
                error!(SYNTAX_ERROR, "INSERT has more expressions than target columns").at_location(location)
            );
        }
        if explicit && exprs.len() < columns.len() {
            let location = columns[exprs.len()].location;
            return Err(
                error!(SYNTAX_ERROR, "INSERT has more target columns than expressions").at_location(location)
            );
        }
        Ok(())
    }

    /// Brings a value to its column's type.
    fn assign(&mut self, expr: Expression, column: &TargetColumn) -> Result<Expression> {
        if matches!(expr, Expression::SetToDefault(_)) {
            return Ok(expr);
        }
        self.coerce_for_assignment(expr, &column.name, column.info, column.location)
    }

    /// The columns that are DEFAULT in every row: they get their default once for all.
    fn default_only_columns(&self, lists: &mut [Vec<Expression>]) -> Vec<usize> {
        let width = lists.first().map_or(0, Vec::len);
        let is_default = |expr: &Expression| matches!(expr, Expression::SetToDefault(_));
        let columns: Vec<usize> =
            (0..width).filter(|at| lists.iter().all(|row| is_default(&row[*at]))).collect();
        for row in lists {
            for at in &columns {
                let type_oid = row[*at].result_type();
                row[*at] = crate::coerce::null_const(type_oid);
            }
        }
        columns
    }

    /// Replaces DEFAULT within a list of several rows.
    fn default_in_values(&mut self, lists: &mut [Vec<Expression>], columns: &[TargetColumn]) -> Result<()> {
        let relation = self.scope().perm_infos[0].relid;
        let Some(entry) = self.catalog.relation_by_oid(relation)? else { return Ok(()) };
        for row in lists {
            for (expr, column) in row.iter_mut().zip(columns) {
                if matches!(expr, Expression::SetToDefault(_)) {
                    *expr = self.column_default(&entry, column.number)?;
                }
            }
        }
        Ok(())
    }

    fn check_writable(
        &self,
        entry: &RelationEntry,
        column: &TargetColumn,
        expr: &Expression,
        overriding: Overriding,
    ) -> Result<()> {
        let attributes = entry.relation.tuple_desc.attributes();
        let Some(attribute) = attributes.iter().find(|attribute| attribute.number == column.number) else {
            return Ok(());
        };
        if matches!(expr, Expression::SetToDefault(_)) {
            return Ok(());
        }
        let refused = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
        if attribute.generated != 0 {
            return Err(error!(GENERATED_ALWAYS, "{refused}")
                .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
        if attribute.identity == b'a' && overriding == Overriding::NotSet {
            return Err(error!(GENERATED_ALWAYS, "{refused}")
                .detail(format!(
                    "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                    column.name
                ))
                .hint("Use OVERRIDING SYSTEM VALUE to override."));
        }
        Ok(())
    }

    /// What a column gets that no value is given for: PostgreSQL's `build_column_default`, or NULL.
    pub fn column_default(&mut self, entry: &RelationEntry, number: i16) -> Result<Expression> {
        let index = number as usize - 1;
        let attribute = &entry.relation.tuple_desc.attributes()[index];
        if attribute.identity != 0 {
            let sequence = self.catalog.identity_sequence(entry.oid, number)?;
            let next = Expression::NextValue(NextValueExpr { sequence, type_oid: oid::INT8 });
            let column = column_of(attribute, Location::UNKNOWN);
            return self.coerce_for_assignment(next, &column.name, column.info, Location::UNKNOWN);
        }
        if attribute.generated != 0 {
            return Err(not_supported("generated column", Location::UNKNOWN));
        }
        if let Some(stored) = entry.defaults.get(index).and_then(Option::as_deref) {
            let default: Expression = crate::stored::read(stored)?;
            let column = column_of(attribute, Location::UNKNOWN);
            return self.coerce_for_assignment(default, &column.name, column.info, Location::UNKNOWN);
        }
        let null = Expression::Const(Const {
            type_oid: attribute.type_oid,
            typmod: attribute.typmod,
            collation: attribute.collation,
            value: Value::Null,
            location: Location::UNKNOWN,
        });
        if self.catalog.base_type(attribute.type_oid)? != attribute.type_oid {
            // A domain's own default, and its constraints on NULL.
            let entry = self.catalog.type_entry(attribute.type_oid)?;
            if let Some(stored) = entry.default_bin.as_deref() {
                return crate::stored::read(stored);
            }
            let unknown = crate::coerce::null_const(oid::UNKNOWN);
            let column = column_of(attribute, Location::UNKNOWN);
            return self.coerce_for_assignment(unknown, &column.name, column.info, Location::UNKNOWN);
        }
        Ok(null)
    }

    /// The target list of an INSERT with every column of the relation in its place.
    fn complete_insert(
        &mut self,
        entry: &RelationEntry,
        given: Vec<TargetEntry>,
    ) -> Result<Vec<TargetEntry>> {
        let mut given: Vec<Option<TargetEntry>> = given.into_iter().map(Some).collect();
        let mut complete = Vec::new();
        for attribute in entry.relation.tuple_desc.attributes() {
            let name = Some(attribute.name.to_string());
            if attribute.dropped {
                complete.push(TargetEntry::new(
                    crate::coerce::null_const(oid::INT4),
                    attribute.number,
                    name,
                    false,
                ));
                continue;
            }
            let found = given
                .iter_mut()
                .find(|slot| slot.as_ref().is_some_and(|target| target.resno == attribute.number))
                .and_then(Option::take)
                .filter(|target| !matches!(target.expr, Expression::SetToDefault(_)));
            complete.push(match found {
                Some(target) => target,
                None => TargetEntry::new(
                    self.column_default(entry, attribute.number)?,
                    attribute.number,
                    name,
                    false,
                ),
            });
        }
        Ok(complete)
    }

    fn returning(
        &mut self,
        returning: Option<&raw::ReturningClause>,
        item: &NamespaceItem,
        query: &mut Query,
    ) -> Result<()> {
        let Some(returning) = returning else { return Ok(()) };
        if let Some((_, _, location)) = returning.options.first() {
            return Err(not_supported("RETURNING WITH", *location));
        }
        // INSERT's target becomes visible only here.
        if query.command_type == CommandType::Insert {
            self.scope_mut().namespace.clear();
            self.add_to_namespace(item.clone());
        }
        let mut list = self.target_list(&returning.targets, Clause::Returning)?;
        self.mark_origins(&mut list);
        self.resolve_unknowns(&mut list)?;
        query.returning_list = list;
        Ok(())
    }

    pub fn update(&mut self, stmt: &raw::UpdateStmt) -> Result<Box<Query>> {
        let mut query = Box::new(Query { command_type: CommandType::Update, ..Query::default() });
        if let Some(with) = &stmt.with {
            self.with_clause(with, &mut query)?;
        }
        let (entry, item) = self.target_relation(&stmt.relation, Privilege::Update, &mut query)?;
        self.add_to_namespace(item.clone());
        let mut from_list = vec![JoinTreeNode::RangeTblRef(item.rtindex)];
        from_list.extend(self.transform_from(&stmt.from)?);
        query.jointree.from_list = from_list;
        query.jointree.quals = match &stmt.where_clause {
            Some(expr) => Some(self.where_clause(expr, Clause::Where, "WHERE")?),
            None => None,
        };
        self.returning(stmt.returning.as_ref(), &item, &mut query)?;
        query.target_list = self.update_targets(&entry, &stmt.targets)?;
        self.finish_query(&mut query)?;
        Ok(query)
    }

    fn update_targets(
        &mut self,
        entry: &RelationEntry,
        targets: &[raw::ResTarget],
    ) -> Result<Vec<TargetEntry>> {
        let mut list: Vec<TargetEntry> = Vec::new();
        for target in targets {
            let column = self.target_column(entry, target)?;
            let source = match &target.value {
                Some(raw::TargetValue::Expr(expr)) => expr.clone(),
                Some(raw::TargetValue::MultiAssign { source, column, columns }) => match &**source {
                    raw::Expr::Row { args, .. } => {
                        if args.len() != *columns {
                            let message = "number of columns does not match number of values";
                            return Err(error!(SYNTAX_ERROR, "{message}").at_location(source.location()));
                        }
                        args[*column].clone()
                    }
                    raw::Expr::SubLink(_) => {
                        return Err(not_supported("multiple assignment from a subquery", source.location()));
                    }
                    _ => {
                        let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                        return Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(source.location()));
                    }
                },
                None => continue,
            };
            let expr = match &source {
                raw::Expr::SetToDefault { .. } => self.column_default(entry, column.number)?,
                source => {
                    let attribute = &entry.relation.tuple_desc.attributes()[column.number as usize - 1];
                    if attribute.generated != 0 || attribute.identity == b'a' {
                        let kind = if attribute.generated != 0 {
                            format!("Column \"{}\" is a generated column.", column.name)
                        } else {
                            format!(
                                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                                column.name
                            )
                        };
                        return Err(error!(
                            GENERATED_ALWAYS,
                            "column \"{}\" can only be updated to DEFAULT", column.name
                        )
                        .detail(kind));
                    }
                    let expr = self.within(Clause::UpdateSource, |analyzer| analyzer.expression(source))?;
                    self.assign(expr, &column)?
                }
            };
            if list.iter().any(|known| known.resno == column.number) {
                return Err(error!(SYNTAX_ERROR, "multiple assignments to same column \"{}\"", column.name));
            }
            self.scope_mut().perm_infos[0].updated_columns.insert(column.number);
            list.push(TargetEntry::new(expr, column.number, Some(column.name), false));
        }
        // In the order of the columns, as the rewriter leaves them.
        list.sort_by_key(|target| target.resno);
        Ok(list)
    }

    pub fn delete(&mut self, stmt: &raw::DeleteStmt) -> Result<Box<Query>> {
        let mut query = Box::new(Query { command_type: CommandType::Delete, ..Query::default() });
        if let Some(with) = &stmt.with {
            self.with_clause(with, &mut query)?;
        }
        let (_, item) = self.target_relation(&stmt.relation, Privilege::Delete, &mut query)?;
        self.add_to_namespace(item.clone());
        let mut from_list = vec![JoinTreeNode::RangeTblRef(item.rtindex)];
        from_list.extend(self.transform_from(&stmt.using)?);
        query.jointree.from_list = from_list;
        query.jointree.quals = match &stmt.where_clause {
            Some(expr) => Some(self.where_clause(expr, Clause::Where, "WHERE")?),
            None => None,
        };
        self.returning(stmt.returning.as_ref(), &item, &mut query)?;
        self.finish_query(&mut query)?;
        Ok(query)
    }
}

fn column_of(attribute: &Attribute, location: Location) -> TargetColumn {
    TargetColumn {
        number: attribute.number,
        name: attribute.name.to_string(),
        info: ColumnInfo {
            type_oid: attribute.type_oid,
            typmod: attribute.typmod,
            collation: attribute.collation,
        },
        location,
    }
}

fn default_marker(info: ColumnInfo, location: Location) -> Expression {
    let ColumnInfo { type_oid, typmod, collation } = info;
    Expression::SetToDefault(SetToDefault { type_oid, typmod, collation, location })
}

fn with_location(expr: Expression, location: Location) -> Expression {
    match expr {
        Expression::Var(var) => Expression::Var(Var { location, ..var }),
        expr => expr,
    }
}
