//! SELECT, VALUES, set operations and WITH: analyze.c and parse_cte.c.

use std::rc::Rc;

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error, stack};
use kokkiri_types::builtin::oid;

use crate::catalog::{DEFAULT_COLLATION, not_supported};
use crate::coerce::CoercionContext;
use crate::from::subquery_columns;
use crate::scope::{Analyzer, Clause, NamespaceColumn, NamespaceItem, RecursiveColumns, Scope};
use crate::tree::*;

impl Analyzer<'_> {
    /// A query within the current one: PostgreSQL's `parse_sub_analyze`.
    pub fn subquery(&mut self, stmt: &raw::SelectStmt) -> Result<Box<Query>> {
        let scope = Scope::default();
        let (query, _) = self.nested(scope, |analyzer| analyzer.select(stmt))?;
        Ok(query)
    }

    /// PostgreSQL's `transformSelectStmt` and its kin, in a scope of its own.
    pub fn select(&mut self, stmt: &raw::SelectStmt) -> Result<Box<Query>> {
        stack::check_depth()?;
        let mut query = Box::<Query>::default();
        if let Some(with) = &stmt.with {
            self.with_clause(with, &mut query)?;
        }
        if stmt.into.is_some() {
            return Err(not_supported("SELECT INTO here", stmt.location));
        }
        if !stmt.values.is_empty() {
            self.values_query(stmt, &mut query)?;
        } else if stmt.set_operation.is_some() {
            self.set_operation_query(stmt, &mut query)?;
        } else {
            self.plain_select(stmt, &mut query)?;
        }
        self.finish_query(&mut query)?;
        if query.has_aggs
            || !query.group_clause.is_empty()
            || !query.grouping_sets.is_empty()
            || query.having_qual.is_some()
        {
            self.check_grouping(&mut query)?;
        }
        for clause in &stmt.locking {
            self.locking_clause(clause, &mut query)?;
        }
        Ok(query)
    }

    fn plain_select(&mut self, stmt: &raw::SelectStmt, query: &mut Query) -> Result<()> {
        self.scope_mut().windows = stmt.windows.clone();
        query.jointree.from_list = self.transform_from(&stmt.from)?;
        let mut targets = self.target_list(&stmt.targets, Clause::SelectTarget)?;
        self.mark_origins(&mut targets);
        query.jointree.quals = match &stmt.where_clause {
            Some(expr) => Some(self.where_clause(expr, Clause::Where, "WHERE")?),
            None => None,
        };
        query.having_qual = match &stmt.having {
            Some(expr) => Some(self.where_clause(expr, Clause::Having, "HAVING")?),
            None => None,
        };
        let sql99 = false;
        query.sort_clause = self.sort_clause(&stmt.sort, &mut targets, Clause::Order, sql99)?;
        let sort = query.sort_clause.clone();
        self.group_clause(&stmt.group_by, &mut targets, &sort, query)?;
        query.group_distinct = stmt.group_distinct;
        match &stmt.distinct {
            None => {}
            Some(exprs) if exprs.is_empty() => {
                query.distinct_clause = self.distinct_clause(&mut targets, &sort)?;
            }
            Some(exprs) => {
                query.distinct_clause = self.distinct_on_clause(exprs, &mut targets, &sort)?;
                query.has_distinct_on = true;
            }
        }
        self.limits(stmt, query)?;
        query.window_clause = self.window_clauses(&mut targets)?;
        if !self.scope().keep_unknowns {
            self.resolve_unknowns(&mut targets)?;
        }
        query.target_list = targets;
        Ok(())
    }

    fn limits(&mut self, stmt: &raw::SelectStmt, query: &mut Query) -> Result<()> {
        let ties = stmt.limit_option == LimitOption::WithTies;
        query.limit_offset = self.limit_clause(stmt.offset.as_ref(), Clause::Offset, ties)?;
        query.limit_count = self.limit_clause(stmt.limit.as_ref(), Clause::Limit, ties)?;
        query.limit_option = stmt.limit_option;
        Ok(())
    }

    /// Takes what the scope gathered into the query and settles collations.
    pub fn finish_query(&mut self, query: &mut Query) -> Result<()> {
        let scope = self.scope_mut();
        query.rtable = std::mem::take(&mut scope.rtable);
        query.rte_perm_infos = std::mem::take(&mut scope.perm_infos);
        query.has_aggs = scope.has_aggs;
        query.has_window_funcs = scope.has_window_funcs;
        query.has_target_srfs = scope.has_target_srfs;
        query.has_sub_links = scope.has_sub_links;
        query.has_modifying_cte = scope.has_modifying_cte;
        self.assign_query_collations(query)
    }

    fn locking_clause(&mut self, clause: &raw::LockingClause, query: &mut Query) -> Result<()> {
        let name = match clause.strength {
            LockStrength::ForKeyShare => "FOR KEY SHARE",
            LockStrength::ForShare => "FOR SHARE",
            LockStrength::ForNoKeyUpdate => "FOR NO KEY UPDATE",
            LockStrength::ForUpdate => "FOR UPDATE",
        };
        let refusal = if query.set_operations.is_some() {
            Some("UNION/INTERSECT/EXCEPT")
        } else if !query.distinct_clause.is_empty() {
            Some("DISTINCT clause")
        } else if !query.group_clause.is_empty() || !query.grouping_sets.is_empty() {
            Some("GROUP BY clause")
        } else if query.having_qual.is_some() {
            Some("HAVING clause")
        } else if query.has_aggs {
            Some("aggregate functions")
        } else if query.has_window_funcs {
            Some("window functions")
        } else if query.has_target_srfs {
            Some("set-returning functions in the target list")
        } else {
            None
        };
        if let Some(what) = refusal {
            return Err(error!(FEATURE_NOT_SUPPORTED, "{name} is not allowed with {what}"));
        }
        query.has_for_update = true;
        let mark = |query: &mut Query, index: usize| {
            let rti = index as u32 + 1;
            match query.row_marks.iter_mut().find(|mark| mark.rti == rti) {
                Some(known) => {
                    known.strength = known.strength.max(clause.strength);
                    known.wait = known.wait.max(clause.wait);
                }
                None => query.row_marks.push(RowMarkClause {
                    rti,
                    strength: clause.strength,
                    wait: clause.wait,
                    pushed_down: false,
                }),
            }
            if let Some(info) = query.rtable[index].perminfo_index.checked_sub(1) {
                query.rte_perm_infos[info].required |= Privilege::Update as u32;
            }
        };
        let lockable = |rte: &RangeTblEntry| matches!(rte.kind, RteKind::Relation { .. });
        if clause.relations.is_empty() {
            for index in 0..query.rtable.len() {
                if lockable(&query.rtable[index]) && query.rtable[index].in_from_cl {
                    mark(query, index);
                }
            }
            return Ok(());
        }
        for relation in &clause.relations {
            if relation.schema.is_some() {
                return Err(error!(SYNTAX_ERROR, "{name} must specify unqualified relation names")
                    .at_location(relation.location));
            }
            let found = query.rtable.iter().position(|rte| rte.eref.name == relation.name && rte.in_from_cl);
            match found {
                Some(index) if lockable(&query.rtable[index]) => mark(query, index),
                Some(_) => {
                    return Err(not_supported("FOR UPDATE of what is no table", relation.location));
                }
                None => {
                    return Err(error!(
                        UNDEFINED_TABLE,
                        "relation \"{}\" in {name} clause not found in FROM clause", relation.name
                    )
                    .at_location(relation.location));
                }
            }
        }
        Ok(())
    }

    // VALUES.

    /// The rows of a VALUES list, each column brought to its common type.
    pub fn values_rows(
        &mut self,
        rows: &[Vec<raw::Expr>],
    ) -> Result<(Vec<Vec<Expression>>, Vec<ColumnInfo>)> {
        let width = rows.first().map_or(0, Vec::len);
        let mut lists = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                let location = row.first().map_or(Location::UNKNOWN, raw::Expr::location);
                return Err(
                    error!(SYNTAX_ERROR, "VALUES lists must all be the same length").at_location(location)
                );
            }
            lists.push(self.within(Clause::Values, |analyzer| analyzer.expressions(row))?);
        }
        let mut columns = Vec::new();
        for column in 0..width {
            let refs: Vec<&Expression> = lists.iter().map(|row| &row[column]).collect();
            let common = self.common_type(&refs, Some("VALUES"))?.unwrap_or(oid::TEXT);
            for row in &mut lists {
                let value = std::mem::replace(&mut row[column], crate::coerce::null_const(oid::UNKNOWN));
                row[column] = self.coerce_to_common(value, common, "VALUES")?;
            }
            let refs: Vec<&Expression> = lists.iter().map(|row| &row[column]).collect();
            let typmod = Self::common_typmod(&refs, common);
            columns.push(ColumnInfo {
                type_oid: common,
                typmod,
                collation: self.catalog.type_collation(common)?,
            });
        }
        Ok((lists, columns))
    }

    fn values_query(&mut self, stmt: &raw::SelectStmt, query: &mut Query) -> Result<()> {
        let (lists, columns) = self.values_rows(&stmt.values)?;
        let mut settled = Vec::with_capacity(lists.len());
        for row in lists {
            settled.push(row.into_iter().map(|expr| self.with_collations(expr)).collect::<Result<Vec<_>>>()?);
        }
        let item = self.add_values(settled, columns, "*VALUES*")?;
        query.jointree.from_list = vec![JoinTreeNode::RangeTblRef(item.rtindex)];
        let mut targets = self.item_targets(&item);
        self.add_to_namespace(item);
        query.sort_clause = self.sort_clause(&stmt.sort, &mut targets, Clause::Order, false)?;
        self.limits(stmt, query)?;
        query.target_list = targets;
        Ok(())
    }

    pub fn add_values(
        &mut self,
        lists: Vec<Vec<Expression>>,
        columns: Vec<ColumnInfo>,
        name: &str,
    ) -> Result<NamespaceItem> {
        let named = columns.iter().enumerate().map(|(i, info)| (format!("column{}", i + 1), *info)).collect();
        let lateral = lists
            .iter()
            .flatten()
            .any(|expr| expr.contains(|node| matches!(node, Expression::Var(var) if var.varlevelsup == 0)));
        self.add_derived(RteKind::Values { lists, columns }, None, name, named, lateral)
    }

    /// A target list of all of an item's columns.
    pub fn item_targets(&mut self, item: &NamespaceItem) -> Vec<TargetEntry> {
        (0..item.columns.len())
            .map(|index| {
                let var = self.column_var(item, index, 0, Location::UNKNOWN);
                TargetEntry::new(var, index as i16 + 1, Some(item.names.columns[index].clone()), false)
            })
            .collect()
    }

    // Set operations.

    fn set_operation_query(&mut self, stmt: &raw::SelectStmt, query: &mut Query) -> Result<()> {
        let Some(operation) = &stmt.set_operation else { return Ok(()) };
        let (tree, columns) = self.set_operation(operation)?;
        // Column names are those of the leftmost branch.
        let leftmost = leftmost(&tree);
        let RteKind::Subquery { query: first, .. } = &self.rte_of(leftmost, 0).kind else {
            return Err(error!(INTERNAL_ERROR, "the leftmost branch of a set operation is no subquery"));
        };
        let names: Vec<String> = subquery_columns(first).into_iter().map(|(name, _)| name).collect();
        let mut targets = Vec::new();
        for (index, (column, name)) in columns.iter().zip(&names).enumerate() {
            let number = index as i16 + 1;
            let var = branch_column(&tree, index, *column);
            targets.push(TargetEntry::new(var, number, Some(name.clone()), false));
        }
        query.set_operations = Some(Box::new(tree));
        let count = targets.len();
        // Only output columns may be sorted by: they are all that can be seen here.
        let visible = columns.iter().enumerate().map(|(index, info)| NamespaceColumn {
            varno: leftmost,
            varattno: index as i16 + 1,
            info: *info,
            hidden: false,
        });
        let item = NamespaceItem {
            rtindex: leftmost,
            names: Rc::new(Alias { name: "*SELECT*".into(), columns: names.clone() }),
            columns: Rc::new(visible.collect()),
            relation_visible: false,
            columns_visible: true,
            lateral_only: false,
            lateral_ok: true,
            returning: VarReturning::Default,
        };
        self.add_to_namespace(item);
        let sorted = self.sort_clause(&stmt.sort, &mut targets, Clause::Order, false);
        self.scope_mut().namespace.pop();
        query.sort_clause = sorted?;
        if targets.len() != count {
            let location = targets[count].expr.location();
            return Err(error!(FEATURE_NOT_SUPPORTED, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                .detail("Only result column names can be used, not expressions or functions.")
                .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                .at_location(location));
        }
        self.limits(stmt, query)?;
        query.target_list = targets;
        Ok(())
    }

    fn set_operation(
        &mut self,
        operation: &raw::SetOperation,
    ) -> Result<(SetOperationTree, Vec<ColumnInfo>)> {
        stack::check_depth()?;
        let construct = match operation.op {
            SetOp::Union => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        };
        let (left, mut left_exprs) = self.set_branch(&operation.left)?;
        // What a recursive union's first part yields is what its name means in the second.
        self.note_recursive_columns(&left, &left_exprs)?;
        let (right, mut right_exprs) = self.set_branch(&operation.right)?;
        if left_exprs.len() != right_exprs.len() {
            let location = right_exprs.first().map_or(operation.right.location, Expression::location);
            return Err(error!(SYNTAX_ERROR, "each {construct} query must have the same number of columns")
                .at_location(location));
        }
        let mut columns = Vec::new();
        let mut group_clauses = Vec::new();
        let (mut left_columns, mut right_columns) = (Vec::new(), Vec::new());
        for (index, (left_expr, right_expr)) in left_exprs.iter_mut().zip(&mut right_exprs).enumerate() {
            let common = self.common_type(&[left_expr, right_expr], Some(construct))?.unwrap_or(oid::TEXT);
            let typmod = Self::common_typmod(&[left_expr, right_expr], common);
            for (branch, expr) in [(&left, &mut *left_expr), (&right, &mut *right_expr)] {
                // An unknown literal becomes one of the common type where it stands.
                if expr.result_type() == oid::UNKNOWN {
                    let literal = std::mem::replace(expr, crate::coerce::null_const(oid::UNKNOWN));
                    *expr = self.coerce_to_common(literal, common, construct)?;
                    self.replace_branch_target(branch, index, expr.clone());
                } else if !self.can_coerce(expr.result_type(), common, CoercionContext::Implicit)? {
                    self.coerce_to_common(expr.clone(), common, construct)?;
                }
            }
            let collation = match (left_expr.collation(), right_expr.collation()) {
                (left, right) if left == right && left != Oid::INVALID => left,
                (DEFAULT_COLLATION, other) | (other, DEFAULT_COLLATION) if other != Oid::INVALID => other,
                _ => self.catalog.type_collation(common)?,
            };
            columns.push(ColumnInfo { type_oid: common, typmod, collation });
            for (branch, expr, brought) in
                [(&left, &*left_expr, &mut left_columns), (&right, &*right_expr, &mut right_columns)]
            {
                let var = branch_column(branch, index, ColumnInfo::of(expr));
                let var = self.coerce_to_common(var, common, construct)?;
                brought.push(self.with_collations(var)?);
            }
            let recursive = self.scope().recursive_cte.is_some();
            if operation.op != SetOp::Union || !operation.all {
                let operators = self.catalog.sort_operators(common)?;
                let Some(eqop) = operators.equal else {
                    let name = self.catalog.type_name(common);
                    return Err(error!(
                        UNDEFINED_FUNCTION,
                        "could not identify an equality operator for type {name}"
                    ));
                };
                let sortop = if recursive { None } else { operators.less };
                group_clauses.push(SortGroupClause {
                    tle_sort_group_ref: 0,
                    eqop,
                    sortop: sortop.unwrap_or(Oid::INVALID),
                    reverse_sort: false,
                    nulls_first: false,
                    hashable: operators.hashable,
                });
            }
        }
        let tree = SetOperationTree::Operation(Box::new(SetOperationStmt {
            op: operation.op,
            all: operation.all,
            left,
            right,
            columns: columns.clone(),
            left_columns,
            right_columns,
            group_clauses,
        }));
        Ok((tree, columns))
    }

    /// A branch and the expressions of its columns.
    fn set_branch(&mut self, stmt: &raw::SelectStmt) -> Result<(SetOperationTree, Vec<Expression>)> {
        let nested = stmt.sort.is_empty()
            && stmt.limit.is_none()
            && stmt.offset.is_none()
            && stmt.locking.is_empty()
            && stmt.with.is_none();
        if let Some(operation) = stmt.set_operation.as_ref().filter(|_| nested) {
            let (tree, columns) = self.set_operation(operation)?;
            let exprs = columns
                .iter()
                .map(|column| {
                    Expression::SetToDefault(SetToDefault {
                        type_oid: column.type_oid,
                        typmod: column.typmod,
                        collation: column.collation,
                        location: Location::UNKNOWN,
                    })
                })
                .collect();
            return Ok((tree, exprs));
        }
        let scope = Scope { keep_unknowns: true, ..Scope::default() };
        let (query, _) = self.nested(scope, |analyzer| analyzer.select(stmt))?;
        let exprs = query.result_columns().map(|target| target.expr.clone()).collect();
        let columns = subquery_columns(&query);
        let name = format!("*SELECT* {}", self.scope().rtable.len() + 1);
        let kind = RteKind::Subquery { query, view: None, security_barrier: false };
        let item = self.add_derived(kind, None, &name, columns, false)?;
        Ok((SetOperationTree::RangeTblRef(item.rtindex), exprs))
    }

    fn replace_branch_target(&mut self, branch: &SetOperationTree, index: usize, expr: Expression) {
        if let SetOperationTree::RangeTblRef(rtindex) = branch
            && let RteKind::Subquery { query, .. } = &mut self.scope_mut().rtable[*rtindex as usize - 1].kind
            && let Some(target) = query.target_list.iter_mut().filter(|target| !target.resjunk).nth(index)
        {
            target.expr = expr;
        }
    }

    // WITH.

    pub fn with_clause(&mut self, with: &raw::WithClause, query: &mut Query) -> Result<()> {
        query.has_recursive = with.recursive;
        for (index, cte) in with.ctes.iter().enumerate() {
            if with.ctes[..index].iter().any(|other| other.name == cte.name) {
                let message = format!("WITH query name \"{}\" specified more than once", cte.name);
                return Err(error!(DUPLICATE_ALIAS, "{message}").at_location(cte.location));
            }
        }
        for (index, cte) in with.ctes.iter().enumerate() {
            if !with.recursive {
                self.scope_mut().future_ctes =
                    with.ctes[index..].iter().map(|cte| cte.name.clone()).collect();
            }
            let analyzed = self.common_table_expr(cte, with.recursive)?;
            self.scope_mut().ctes.push(analyzed);
        }
        self.scope_mut().future_ctes.clear();
        query.cte_list = self.scope().ctes.clone();
        Ok(())
    }

    fn common_table_expr(&mut self, cte: &raw::CommonTableExpr, recursive: bool) -> Result<CommonTableExpr> {
        if cte.search.is_some() || cte.cycle.is_some() {
            return Err(not_supported("SEARCH and CYCLE", cte.location));
        }
        let raw::Statement::Select(stmt) = &cte.query else {
            return Err(not_supported("data-modifying statement in WITH", cte.location));
        };
        let recursive_cte = recursive.then(|| (cte.name.clone(), None));
        let is_union = stmt.set_operation.as_ref().is_some_and(|operation| operation.op == SetOp::Union);
        let scope = Scope { recursive_cte: recursive_cte.filter(|_| is_union), ..Scope::default() };
        let aliases = cte.columns.clone();
        let (query, _) = self.nested(scope, |analyzer| {
            analyzer.pending_column_aliases(aliases);
            analyzer.select(stmt)
        })?;
        let is_recursive = refers_to(&query, &cte.name);
        let mut names = Vec::new();
        let mut columns = Vec::new();
        for (index, (name, info)) in subquery_columns(&query).into_iter().enumerate() {
            names.push(cte.columns.get(index).cloned().unwrap_or(name));
            columns.push(info);
        }
        if cte.columns.len() > columns.len() {
            return Err(error!(
                INVALID_COLUMN_REFERENCE,
                "WITH query \"{}\" has {} columns available but {} columns specified",
                cte.name,
                columns.len(),
                cte.columns.len()
            )
            .at_location(cte.location));
        }
        Ok(CommonTableExpr {
            name: cte.name.clone(),
            materialized: cte.materialized,
            query: *query,
            recursive: is_recursive,
            refcount: 0,
            column_names: names,
            columns,
            location: cte.location,
        })
    }

    /// Column names a recursive CTE's own definition gives it.
    fn pending_column_aliases(&mut self, aliases: Vec<String>) {
        if let Some((_, columns @ None)) = &mut self.scope_mut().recursive_cte {
            *columns = Some(RecursiveColumns { names: aliases, columns: Vec::new() });
        }
    }

    fn note_recursive_columns(&mut self, left: &SetOperationTree, exprs: &[Expression]) -> Result<()> {
        let SetOperationTree::RangeTblRef(rtindex) = left else { return Ok(()) };
        if self.scope().recursive_cte.is_none() {
            return Ok(());
        }
        let RteKind::Subquery { query, .. } = &self.rte_of(*rtindex, 0).kind else { return Ok(()) };
        let own: Vec<String> = subquery_columns(query).into_iter().map(|(name, _)| name).collect();
        let mut columns = Vec::new();
        for expr in exprs {
            let mut info = ColumnInfo::of(expr);
            if info.type_oid == oid::UNKNOWN {
                info.type_oid = oid::TEXT;
            }
            info.collation = self.catalog.type_collation(info.type_oid)?;
            columns.push(info);
        }
        if let Some((_, Some(pending))) = &mut self.scope_mut().recursive_cte {
            let names = own
                .into_iter()
                .enumerate()
                .map(|(index, name)| pending.names.get(index).cloned().unwrap_or(name))
                .collect();
            *pending = RecursiveColumns { names, columns };
        }
        Ok(())
    }

    /// A FROM item that names a CTE.
    pub fn find_cte(&mut self, relation: &raw::RangeVar) -> Result<Option<NamespaceItem>> {
        let depth = self.scopes.len();
        for levels_up in 0..depth {
            let scope = &mut self.scopes[depth - 1 - levels_up];
            if let Some((name, Some(recursive))) = &scope.recursive_cte
                && *name == relation.name
            {
                let recursive = recursive.clone();
                if recursive.columns.is_empty() {
                    let message = format!(
                        "recursive reference to query \"{}\" must not appear within its non-recursive term",
                        relation.name
                    );
                    return Err(error!(INVALID_RECURSION, "{message}").at_location(relation.location));
                }
                // The CTE belongs to the query that has the WITH clause, one further out.
                let levels_up = levels_up as u32 + 1;
                return self.add_cte(relation, recursive.names, recursive.columns, levels_up, true).map(Some);
            }
            if let Some(cte) = scope.ctes.iter_mut().find(|cte| cte.name == relation.name) {
                cte.refcount += 1;
                let (names, columns) = (cte.column_names.clone(), cte.columns.clone());
                return self.add_cte(relation, names, columns, levels_up as u32, false).map(Some);
            }
        }
        Ok(None)
    }

    fn add_cte(
        &mut self,
        relation: &raw::RangeVar,
        names: Vec<String>,
        columns: Vec<ColumnInfo>,
        levels_up: u32,
        self_reference: bool,
    ) -> Result<NamespaceItem> {
        let named = names.into_iter().zip(columns.iter().copied()).collect();
        let kind = RteKind::Cte { name: relation.name.clone(), levels_up, self_reference, columns };
        self.add_derived(kind, relation.alias.clone(), &relation.name, named, false)
            .map_err(|error| error.at_location(relation.location))
    }
}

/// Column `index` of a branch: of the leftmost one below it stands for those of a nested operation.
fn branch_column(branch: &SetOperationTree, index: usize, info: ColumnInfo) -> Expression {
    Expression::Var(Var {
        varno: leftmost(branch),
        varattno: index as i16 + 1,
        vartype: info.type_oid,
        vartypmod: info.typmod,
        varcollid: info.collation,
        varnullingrels: Relids::new(),
        varlevelsup: 0,
        returning: VarReturning::Default,
        location: Location::UNKNOWN,
    })
}

fn leftmost(tree: &SetOperationTree) -> u32 {
    match tree {
        SetOperationTree::RangeTblRef(rtindex) => *rtindex,
        SetOperationTree::Operation(operation) => leftmost(&operation.left),
    }
}

/// True if a query refers to the CTE it defines.
fn refers_to(query: &Query, name: &str) -> bool {
    fn search(query: &Query, name: &str) -> bool {
        let mut found = query.rtable.iter().any(
            |rte| matches!(&rte.kind, RteKind::Cte { name: cte, self_reference: true, .. } if cte == name),
        );
        query.for_each_subquery(&mut |inner| found = found || search(inner, name));
        query.for_each_expression(&mut |expr| {
            expr.walk(&mut |node| {
                if let Expression::SubLink(link) = node {
                    found = found || search(&link.subselect, name);
                }
                !found
            });
        });
        found
    }
    search(query, name)
}
