//! Columns, whole rows, fields of composite values and elements of arrays.
//!
//! Realises: `transformColumnRef`, `transformWholeRowRef`, `transformIndirection` (parse_expr.c).

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::coerce::{Coercion, int4_const};
use crate::scope::{Analyzer, Clause, NamespaceItem};
use crate::tree::*;

impl Analyzer<'_> {
    /// PostgreSQL's `transformColumnRef`.
    pub(super) fn column_reference(&mut self, column: &raw::ColumnRef) -> Result<Expression> {
        let location = column.location;
        self.check_column_allowed(location)?;
        let names: Vec<&str> = column
            .fields
            .iter()
            .map(|field| match field {
                raw::Field::Name(name) => name.as_str(),
                raw::Field::Star => "*",
            })
            .collect();
        let star = matches!(column.fields.last(), Some(raw::Field::Star));
        if star && names.len() == 1 {
            return Err(
                error!(SYNTAX_ERROR, "row expansion via \"*\" is not supported here").at_location(location)
            );
        }
        match names.as_slice() {
            [name] => {
                if let Some(var) = self.find_column(name, location)? {
                    return Ok(var);
                }
                if *name == "value"
                    && let Some(value) = &self.scope().domain_value
                {
                    return Ok(Expression::CoerceToDomainValue(value.clone()));
                }
                // A relation's name alone is its row.
                match self.find_item(None, name, location)? {
                    Some((item, levels_up)) => self.whole_row(&item, levels_up, location),
                    None => Err(self.missing_column(None, name, location)),
                }
            }
            [relation, name] => self.qualified_column(None, relation, name, location),
            [schema, relation, name] => self.qualified_column(Some(schema), relation, name, location),
            [_, schema, relation, name] => self.qualified_column(Some(schema), relation, name, location),
            _ => {
                let message = format!("improper qualified name (too many dotted names): {}", names.join("."));
                Err(error!(SYNTAX_ERROR, "{message}").at_location(location))
            }
        }
    }

    fn qualified_column(
        &mut self,
        schema: Option<&str>,
        relation: &str,
        name: &str,
        location: Location,
    ) -> Result<Expression> {
        let Some((item, levels_up)) = self.find_item(schema, relation, location)? else {
            // `a.b` may select a field of the column or parameter `a`.
            if schema.is_none()
                && let Some(arg) = self.find_column(relation, location)?
                && let Some(field) = self.field_of(arg, name)?
            {
                return Ok(field);
            }
            return Err(self.missing_entry(relation, schema, location));
        };
        if name == "*" {
            return self.whole_row(&item, levels_up, location);
        }
        match self.column_of(&item, name, levels_up, location)? {
            Some(var) => Ok(var),
            None => Err(self.missing_column(Some(relation), name, location)),
        }
    }

    fn check_column_allowed(&self, location: Location) -> Result<()> {
        let message = match self.clause() {
            Clause::ColumnDefault => "cannot use column reference in DEFAULT expression",
            _ => return Ok(()),
        };
        Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(location))
    }

    /// The row of a range table entry.
    pub fn whole_row(
        &mut self,
        item: &NamespaceItem,
        levels_up: u32,
        location: Location,
    ) -> Result<Expression> {
        let entry = self.rte_of(item.rtindex, levels_up).clone();
        match &entry.kind {
            RteKind::Relation { relid, .. } => {
                let relation = self.catalog.relation_by_oid(*relid)?;
                let row_type = relation.and_then(|relation| relation.row_type).unwrap_or(oid::RECORD);
                let depth = self.scopes.len() - 1 - levels_up as usize;
                let varnullingrels = self.scopes[depth].nulling[item.rtindex as usize - 1].clone();
                self.mark_selected(item.rtindex, 0, levels_up);
                Ok(Expression::Var(Var {
                    varno: item.rtindex,
                    varattno: 0,
                    vartype: row_type,
                    vartypmod: -1,
                    varcollid: Oid::INVALID,
                    varnullingrels,
                    varlevelsup: levels_up,
                    returning: item.returning,
                    location,
                }))
            }
            RteKind::Function { functions, ordinality: false }
                if functions.len() == 1 && item.columns.len() == 1 && functions[0].columns.is_empty() =>
            {
                // A function that returns a scalar: its name is its value.
                Ok(self.column_var(item, 0, levels_up, location))
            }
            _ => {
                let indexes: Vec<usize> = (0..item.columns.len()).collect();
                let args =
                    indexes.iter().map(|index| self.column_var(item, *index, levels_up, location)).collect();
                let colnames = item.names.columns.clone();
                let form = CoercionForm::ImplicitCast;
                let row = RowExpr { args, row_type: oid::RECORD, form, colnames, location };
                Ok(Expression::RowExpr(Box::new(row)))
            }
        }
    }

    /// A field of a composite value, if it has one of that name.
    fn field_of(&mut self, arg: Expression, name: &str) -> Result<Option<Expression>> {
        if let Expression::RowExpr(row) = &arg
            && let Some(index) = row.colnames.iter().position(|column| column == name)
        {
            return Ok(row.args.get(index).cloned());
        }
        let Some(columns) = self.composite_columns(arg.result_type())? else { return Ok(None) };
        let found = columns.into_iter().find(|(column, ..)| column == name);
        Ok(found.map(|(_, field, info)| {
            Expression::FieldSelect(Box::new(FieldSelect {
                arg,
                field,
                result_type: info.type_oid,
                typmod: info.typmod,
                collation: info.collation,
            }))
        }))
    }

    pub(super) fn indirection(&mut self, arg: &raw::Expr, steps: &[raw::Indirection]) -> Result<Expression> {
        let location = arg.location();
        let mut result = self.expression(arg)?;
        let mut subscripts = Vec::new();
        for step in steps {
            match step {
                raw::Indirection::Subscript(_) | raw::Indirection::Slice { .. } => subscripts.push(step),
                raw::Indirection::Star => {
                    let message = "row expansion via \"*\" is not supported here";
                    return Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(location));
                }
                raw::Indirection::Field(name) => {
                    if !subscripts.is_empty() {
                        result = self.subscript(result, &subscripts, location)?;
                        subscripts.clear();
                    }
                    let type_oid = result.result_type();
                    result = match self.field_of(result, name)? {
                        Some(field) => field,
                        None => {
                            let type_name = self.catalog.type_name(type_oid);
                            let error = if self.composite_columns(type_oid)?.is_some() {
                                error!(
                                    UNDEFINED_COLUMN,
                                    "column \"{name}\" not found in data type {type_name}"
                                )
                            } else if type_oid == oid::RECORD {
                                error!(
                                    UNDEFINED_COLUMN,
                                    "could not identify column \"{name}\" in record data type"
                                )
                            } else {
                                error!(
                                    WRONG_OBJECT_TYPE,
                                    "column notation .{name} applied to type {type_name}, which is not a composite type"
                                )
                            };
                            return Err(error.at_location(location));
                        }
                    };
                }
            }
        }
        if subscripts.is_empty() { Ok(result) } else { self.subscript(result, &subscripts, location) }
    }

    fn subscript(
        &mut self,
        container: Expression,
        subscripts: &[&raw::Indirection],
        location: Location,
    ) -> Result<Expression> {
        let (container_type, typmod) =
            self.catalog.base_type_and_typmod(container.result_type(), container.typmod())?;
        let entry = self.catalog.type_entry(container_type)?;
        let Some(element_type) = entry.element.filter(|_| entry.subscript.is_some()) else {
            let name = self.catalog.type_name(container.result_type());
            return Err(error!(
                DATATYPE_MISMATCH,
                "cannot subscript type {name} because it does not support subscripting"
            )
            .at_location(location));
        };
        let is_slice = subscripts.iter().any(|step| matches!(step, raw::Indirection::Slice { .. }));
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        for step in subscripts {
            match step {
                raw::Indirection::Subscript(index) => {
                    let index = self.subscript_value(index)?;
                    upper.push(Some(index));
                    if is_slice {
                        lower.push(Some(int4_const(1)));
                    }
                }
                raw::Indirection::Slice { lower: from, upper: to } => {
                    lower.push(from.as_ref().map(|from| self.subscript_value(from)).transpose()?);
                    upper.push(to.as_ref().map(|to| self.subscript_value(to)).transpose()?);
                }
                _ => {}
            }
        }
        let result_type = if is_slice { container_type } else { element_type };
        Ok(Expression::SubscriptingRef(Box::new(SubscriptingRef {
            container_type,
            element_type,
            result_type,
            typmod,
            collation: Oid::INVALID,
            upper,
            lower,
            container,
            assignment: None,
        })))
    }

    fn subscript_value(&mut self, index: &raw::Expr) -> Result<Expression> {
        let value = self.expression(index)?;
        let location = value.location();
        match self.coerce_to_target(value, oid::INT4, -1, Coercion::ASSIGNMENT)? {
            Some(value) => Ok(value),
            None => {
                Err(error!(DATATYPE_MISMATCH, "array subscript must have type integer").at_location(location))
            }
        }
    }
}
