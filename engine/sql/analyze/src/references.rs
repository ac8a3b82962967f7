//! What a stored tree needs: the objects that must not go while it is there.
//!
//! Realises: `find_expr_references_walker` (dependency.c). A tree needs the relations and columns it reads, the
//! functions, operators, types and collations it uses, and what constants of the reg* types name.

use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::entries::TypeKind;
use kokkiri_primitives::{Oid, Result, stack};
use kokkiri_types::builtin::oid;

use crate::catalog::{Catalog, DEFAULT_COLLATION};
use crate::tree::*;

/// Gathers the objects that a tree needs.
pub(crate) struct References<'a> {
    catalog: Catalog<'a>,
    found: Vec<ObjectAddress>,
}

impl<'a> References<'a> {
    pub fn new(catalog: Catalog<'a>) -> Self {
        Self { catalog, found: Vec::new() }
    }

    /// Each object once; of a relation whose columns are needed, the columns alone.
    pub fn finish(mut self) -> Vec<ObjectAddress> {
        self.found.sort_by_key(|address| (address.class.0, std::cmp::Reverse(address.object.0), address.sub));
        self.found.dedup();
        let columns: Vec<(Oid, Oid)> = self
            .found
            .iter()
            .filter(|address| address.sub != 0)
            .map(|address| (address.class, address.object))
            .collect();
        self.found.retain(|address| address.sub != 0 || !columns.contains(&(address.class, address.object)));
        self.found
    }

    fn add(&mut self, class: Oid, object: Oid) {
        if object.is_valid() {
            self.found.push(ObjectAddress::new(class, object));
        }
    }

    fn add_collation(&mut self, collation: Oid) {
        if collation != DEFAULT_COLLATION {
            self.add(class::COLLATION, collation);
        }
    }

    /// `outer` are the range tables of the queries around, the nearest last.
    pub fn query<'q>(&mut self, query: &'q Query, outer: &mut Vec<&'q [RangeTblEntry]>) -> Result<()> {
        stack::check_depth()?;
        outer.push(&query.rtable);
        for entry in &query.rtable {
            match &entry.kind {
                RteKind::Relation { relid, .. } => self.add(class::RELATION, *relid),
                RteKind::Function { functions, .. } => {
                    for (_, column) in functions.iter().flat_map(|function| &function.columns) {
                        self.add(class::TYPE, column.type_oid);
                        self.add_collation(column.collation);
                    }
                }
                _ => {}
            }
        }
        let mut result = Ok(());
        query.for_each_expression(&mut |expr| {
            if result.is_ok() {
                result = self.expression(expr, outer);
            }
        });
        result?;
        for clause in [&query.group_clause, &query.distinct_clause, &query.sort_clause].into_iter().flatten()
        {
            self.sort_group(clause);
        }
        for window in &query.window_clause {
            window.partition_clause.iter().chain(&window.order_clause).for_each(|it| self.sort_group(it));
        }
        if let Some(SetOperationTree::Operation(operation)) = query.set_operations.as_deref() {
            self.set_operation(operation);
        }
        let mut result = Ok(());
        query.for_each_subquery(&mut |inner| {
            if result.is_ok() {
                result = self.query(inner, outer);
            }
        });
        outer.pop();
        result
    }

    fn sort_group(&mut self, clause: &SortGroupClause) {
        self.add(class::OPERATOR, clause.eqop);
        self.add(class::OPERATOR, clause.sortop);
    }

    fn set_operation(&mut self, operation: &SetOperationStmt) {
        operation.group_clauses.iter().for_each(|clause| self.sort_group(clause));
        for side in [&operation.left, &operation.right] {
            if let SetOperationTree::Operation(inner) = side {
                self.set_operation(inner);
            }
        }
    }

    pub fn expression<'q>(
        &mut self,
        expr: &'q Expression,
        outer: &mut Vec<&'q [RangeTblEntry]>,
    ) -> Result<()> {
        let mut result = Ok(());
        expr.walk(&mut |node| {
            if result.is_ok() {
                result = self.node(node, outer);
            }
            result.is_ok()
        });
        result
    }

    fn node<'q>(&mut self, node: &'q Expression, outer: &mut Vec<&'q [RangeTblEntry]>) -> Result<()> {
        match node {
            Expression::Var(var) => {
                let level = outer.len().checked_sub(var.varlevelsup as usize + 1);
                let entry = level.and_then(|level| outer[level].get(var.varno as usize - 1));
                if let Some(RteKind::Relation { relid, .. }) = entry.map(|entry| &entry.kind) {
                    self.found.push(ObjectAddress::column(*relid, var.varattno));
                }
            }
            Expression::Const(constant) => self.constant(constant),
            Expression::Param(param) => {
                self.add(class::TYPE, param.type_oid);
                self.add_collation(param.collation);
            }
            Expression::Aggref(agg) => {
                self.add(class::FUNCTION, agg.aggfnoid);
                agg.aggorder.iter().chain(&agg.aggdistinct).for_each(|clause| self.sort_group(clause));
            }
            Expression::WindowFunc(func) => self.add(class::FUNCTION, func.winfnoid),
            Expression::FuncExpr(func) => self.add(class::FUNCTION, func.funcid),
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                self.add(class::OPERATOR, op.opno)
            }
            Expression::ScalarArrayOpExpr(op) => self.add(class::OPERATOR, op.opno),
            Expression::SubscriptingRef(subscript) => self.add(class::TYPE, subscript.container_type),
            Expression::SubLink(link) => self.query(&link.subselect, outer)?,
            Expression::FieldSelect(select) => {
                self.field(select.arg.result_type(), select.field)?;
                self.add(class::TYPE, select.result_type);
                self.add_collation(select.collation);
            }
            Expression::FieldStore(store) => self.add(class::TYPE, store.result_type),
            Expression::RelabelType(cast) => {
                self.add(class::TYPE, cast.result_type);
                self.add_collation(cast.collation);
            }
            Expression::CoerceViaIo(cast) => {
                self.add(class::TYPE, cast.result_type);
                self.add_collation(cast.collation);
            }
            Expression::ArrayCoerceExpr(cast) => {
                self.add(class::TYPE, cast.result_type);
                self.add_collation(cast.collation);
            }
            Expression::ConvertRowtypeExpr(cast) => self.add(class::TYPE, cast.result_type),
            Expression::CollateExpr(collate) => self.add_collation(collate.collation),
            Expression::RowExpr(row) => self.add(class::TYPE, row.row_type),
            Expression::RowCompareExpr(row) => {
                row.opnos.iter().for_each(|operator| self.add(class::OPERATOR, *operator));
            }
            Expression::CoerceToDomain(cast) => self.add(class::TYPE, cast.result_type),
            Expression::NextValue(next) => self.add(class::RELATION, next.sequence),
            _ => {}
        }
        Ok(())
    }

    /// A field of a composite type is a column of the type's relation.
    fn field(&mut self, composite: Oid, field: i16) -> Result<()> {
        if !composite.is_valid() || composite == oid::RECORD {
            return Ok(());
        }
        let entry = self.catalog.type_entry(composite)?;
        match (entry.kind, entry.relation) {
            (TypeKind::Composite, Some(relation)) => self.found.push(ObjectAddress::column(relation, field)),
            _ => self.add(class::TYPE, composite),
        }
        Ok(())
    }

    fn constant(&mut self, constant: &Const) {
        self.add(class::TYPE, constant.type_oid);
        self.add_collation(constant.collation);
        if constant.value.is_null() {
            return;
        }
        let named = match constant.type_oid {
            oid::REGPROC | oid::REGPROCEDURE => class::FUNCTION,
            oid::REGOPER | oid::REGOPERATOR => class::OPERATOR,
            oid::REGCLASS => class::RELATION,
            oid::REGTYPE => class::TYPE,
            oid::REGNAMESPACE => class::NAMESPACE,
            oid::REGCOLLATION => class::COLLATION,
            _ => return,
        };
        self.add(named, constant.value.as_ref().oid());
    }
}
