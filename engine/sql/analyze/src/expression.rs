//! Expressions: parse_expr.c.

use kokkiri_catalog::entries::TypeKind;
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error, stack};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;
use kokkiri_types::io;

use crate::catalog::not_supported;
use crate::coerce::{CoercionContext, constant};
use crate::scope::{Analyzer, Clause};
use crate::tree::*;

impl Analyzer<'_> {
    /// PostgreSQL's `transformExpr`.
    pub fn expression(&mut self, expr: &raw::Expr) -> Result<Expression> {
        stack::check_depth()?;
        match expr {
            raw::Expr::ColumnRef(column) => self.column_reference(column),
            raw::Expr::ParamRef { number, location } => self.parameter(*number, *location),
            raw::Expr::Const(literal) => self.literal(literal),
            raw::Expr::AExpr(expr) => self.operator_expression(expr),
            raw::Expr::Bool { op, args, location } => {
                let construct = match op {
                    BoolOp::And => "AND",
                    BoolOp::Or => "OR",
                    BoolOp::Not => "NOT",
                };
                let args = args
                    .iter()
                    .map(|arg| {
                        let arg = self.expression(arg)?;
                        self.coerce_to_boolean(arg, construct)
                    })
                    .collect::<Result<_>>()?;
                Ok(Expression::BoolExpr(Box::new(BoolExpr { op: *op, args, location: *location })))
            }
            raw::Expr::FuncCall(call) => self.function_call(call),
            raw::Expr::TypeCast(cast) => self.type_cast(cast),
            raw::Expr::Collate(clause) => self.collate(clause),
            raw::Expr::SubLink(link) => self.sub_link(link),
            raw::Expr::Case(case) => self.case(case),
            raw::Expr::Coalesce { args, location } => {
                let sets_before = self.scope().last_set_call;
                let (args, result_type) = self.alternatives(args, "COALESCE")?;
                self.refuse_sets_since(sets_before, "COALESCE")?;
                let collation = Oid::INVALID;
                Ok(Expression::CoalesceExpr(Box::new(CoalesceExpr {
                    result_type,
                    collation,
                    args,
                    location: *location,
                })))
            }
            raw::Expr::MinMax { op, args, location } => {
                let construct = if *op == MinMaxOp::Greatest { "GREATEST" } else { "LEAST" };
                let (args, result_type) = self.alternatives(args, construct)?;
                Ok(Expression::MinMaxExpr(Box::new(MinMaxExpr {
                    op: *op,
                    result_type,
                    collation: Oid::INVALID,
                    inputcollid: Oid::INVALID,
                    args,
                    location: *location,
                })))
            }
            raw::Expr::Row { args, format, location } => {
                let args = self.expressions(args)?;
                let colnames = (1..=args.len()).map(|number| format!("f{number}")).collect();
                let form = match format {
                    raw::RowFormat::Explicit => CoercionForm::ExplicitCall,
                    raw::RowFormat::Implicit => CoercionForm::ImplicitCast,
                };
                let row = RowExpr { args, row_type: oid::RECORD, form, colnames, location: *location };
                Ok(Expression::RowExpr(Box::new(row)))
            }
            raw::Expr::NullTest { arg, is_null, location } => {
                let arg = self.expression(arg)?;
                let type_oid = arg.result_type();
                let arg_is_row = type_oid == oid::RECORD
                    || (type_oid != oid::UNKNOWN
                        && self.catalog.type_entry(type_oid)?.kind == TypeKind::Composite);
                let (is_null, location) = (*is_null, *location);
                Ok(Expression::NullTest(Box::new(NullTest { arg, is_null, arg_is_row, location })))
            }
            raw::Expr::BooleanTest { arg, test, location } => {
                let construct = match test {
                    BoolTest::IsTrue => "IS TRUE",
                    BoolTest::IsNotTrue => "IS NOT TRUE",
                    BoolTest::IsFalse => "IS FALSE",
                    BoolTest::IsNotFalse => "IS NOT FALSE",
                    BoolTest::IsUnknown => "IS UNKNOWN",
                    BoolTest::IsNotUnknown => "IS NOT UNKNOWN",
                };
                let arg = self.expression(arg)?;
                let arg = self.coerce_to_boolean(arg, construct)?;
                let (test, location) = (*test, *location);
                Ok(Expression::BooleanTest(Box::new(BooleanTest { arg, test, location })))
            }
            raw::Expr::Array { elements, location, .. } => self.array(elements, None, *location),
            raw::Expr::Indirection { arg, indirection } => self.indirection(arg, indirection),
            raw::Expr::SqlValueFunction { op, typmod, location } => {
                Ok(sql_value_function(*op, *typmod, *location))
            }
            raw::Expr::Grouping { args, location } => self.grouping_function(args, *location),
            raw::Expr::SetToDefault { location } => {
                Err(error!(SYNTAX_ERROR, "DEFAULT is not allowed in this context").at_location(*location))
            }
            raw::Expr::CurrentOf { location, .. } => Err(not_supported("WHERE CURRENT OF", *location)),
            raw::Expr::NamedArg { arg, .. } => self.expression(arg),
            raw::Expr::MergeAction { location } => Err(not_supported("MERGE_ACTION()", *location)),
        }
    }

    pub fn expressions(&mut self, exprs: &[raw::Expr]) -> Result<Vec<Expression>> {
        exprs.iter().map(|expr| self.expression(expr)).collect()
    }

    /// PostgreSQL's `make_const`.
    fn literal(&mut self, literal: &raw::AConst) -> Result<Expression> {
        let location = literal.location;
        Ok(match &literal.value {
            raw::Literal::Null => constant(oid::UNKNOWN, Value::Null, location),
            raw::Literal::Boolean(value) => constant(oid::BOOL, Value::Bool(*value), location),
            raw::Literal::Integer(value) => constant(oid::INT4, Value::Int32(*value), location),
            raw::Literal::String(text) => constant(oid::UNKNOWN, Value::from(text.as_str()), location),
            raw::Literal::Float(text) => match int8_literal(text) {
                // -2147483648 is an int4 once its minus has been applied.
                Some(value) => match i32::try_from(value) {
                    Ok(value) => constant(oid::INT4, Value::Int32(value), location),
                    Err(_) => constant(oid::INT8, Value::Int64(value), location),
                },
                None => {
                    let plain = radix_literal(text).unwrap_or_else(|| text.clone());
                    let value = io::input_text(oid::NUMERIC, -1, &plain, self.io)
                        .map_err(|error| error.at_location(location))?;
                    constant(oid::NUMERIC, value, location)
                }
            },
            raw::Literal::BitString(text) => {
                let value = io::input_text(oid::BIT, -1, text, self.io)
                    .map_err(|error| error.at_location(location))?;
                constant(oid::BIT, value, location)
            }
        })
    }

    /// PostgreSQL's `transformColumnRef`.
    fn column_reference(&mut self, column: &raw::ColumnRef) -> Result<Expression> {
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
        item: &crate::scope::NamespaceItem,
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

    fn indirection(&mut self, arg: &raw::Expr, steps: &[raw::Indirection]) -> Result<Expression> {
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
                        lower.push(Some(crate::coerce::int4_const(1)));
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
        let (context, form) = (CoercionContext::Assignment, CoercionForm::ImplicitCast);
        match self.coerce_to_target(value, oid::INT4, -1, context, form, Location::UNKNOWN)? {
            Some(value) => Ok(value),
            None => {
                Err(error!(DATATYPE_MISMATCH, "array subscript must have type integer").at_location(location))
            }
        }
    }

    fn operator_expression(&mut self, expr: &raw::AExpr) -> Result<Expression> {
        use raw::AExprKind::*;
        let location = expr.location;
        let right = match &expr.right {
            raw::AExprRight::Expr(right) => right,
            raw::AExprRight::List(list) => {
                let Some(left) = &expr.left else {
                    return Err(error!(INTERNAL_ERROR, "an operator over a list lacks its operand"));
                };
                return match expr.kind {
                    In => self.in_list(left, &expr.name, list, location),
                    _ => self.between(expr.kind, left, list, location),
                };
            }
        };
        match expr.kind {
            Distinct | NotDistinct | NullIf => {
                let Some(left) = &expr.left else {
                    return Err(error!(INTERNAL_ERROR, "a binary operator lacks its operand"));
                };
                self.equality_expression(expr.kind, left, right, &expr.name, location)
            }
            OpAny | OpAll => {
                let Some(left) = &expr.left else {
                    return Err(error!(INTERNAL_ERROR, "a binary operator lacks its operand"));
                };
                let scalar = self.expression(left)?;
                let array = self.expression(right)?;
                self.make_scalar_array_operator(&expr.name, expr.kind == OpAny, scalar, array, location)
            }
            _ => {
                if let (Some(raw::Expr::Row { .. }), raw::Expr::SubLink(link)) = (&expr.left, right)
                    && link.kind == SubLinkType::Expr
                {
                    let mut link = (**link).clone();
                    link.kind = SubLinkType::RowCompare;
                    link.test = expr.left.clone();
                    link.operator = expr.name.clone();
                    link.location = location;
                    return self.sub_link(&link);
                }
                if let (Some(raw::Expr::Row { args: left, .. }), raw::Expr::Row { args: right, .. }) =
                    (&expr.left, right)
                {
                    let (left, right) = (self.expressions(left)?, self.expressions(right)?);
                    return self.row_comparison(&expr.name, left, right, location);
                }
                let left = expr.left.as_ref().map(|left| self.expression(left)).transpose()?;
                let right = self.expression(right)?;
                self.make_operator(&expr.name, left, right, location)
            }
        }
    }

    fn equality_expression(
        &mut self,
        kind: raw::AExprKind,
        left: &raw::Expr,
        right: &raw::Expr,
        name: &[String],
        location: Location,
    ) -> Result<Expression> {
        let is_null = |expr: &raw::Expr| {
            matches!(expr, raw::Expr::Const(raw::AConst { value: raw::Literal::Null, .. }))
        };
        if kind == raw::AExprKind::NullIf {
            let left = self.expression(left)?;
            let right = self.expression(right)?;
            let mut op = self.make_equality(name, left, right, "NULLIF", location)?;
            op.result_type = op.args.first().map_or(oid::UNKNOWN, Expression::result_type);
            return Ok(Expression::NullIfExpr(Box::new(op)));
        }
        let distinct = kind == raw::AExprKind::Distinct;
        // Compared with NULL it is a null test.
        if is_null(left) || is_null(right) {
            let arg = if is_null(right) { left } else { right };
            let test = raw::Expr::NullTest { arg: Box::new(arg.clone()), is_null: !distinct, location };
            return self.expression(&test);
        }
        let result = match (left, right) {
            (raw::Expr::Row { args: left, .. }, raw::Expr::Row { args: right, .. }) => {
                self.distinct_rows(name, left, right, location)?
            }
            _ => {
                let left = self.expression(left)?;
                let right = self.expression(right)?;
                let op = self.make_equality(name, left, right, "IS DISTINCT FROM", location)?;
                Expression::DistinctExpr(Box::new(op))
            }
        };
        if distinct {
            return Ok(result);
        }
        let args = vec![result];
        Ok(Expression::BoolExpr(Box::new(BoolExpr { op: BoolOp::Not, args, location })))
    }

    /// PostgreSQL's `transformAExprIn`: an array comparison where the types allow it, else a chain.
    fn in_list(
        &mut self,
        left: &raw::Expr,
        name: &[String],
        list: &[raw::Expr],
        location: Location,
    ) -> Result<Expression> {
        let use_or = name.first().is_some_and(|name| name == "=");
        let left_expr = self.expression(left)?;
        let items = self.expressions(list)?;
        let has_vars = |expr: &Expression| {
            expr.contains(|node| matches!(node, Expression::Var(var) if var.varlevelsup == 0))
        };
        let (in_array, apart): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| !has_vars(item));
        let mut result: Vec<Expression> = Vec::new();
        let mut rest = apart;
        if in_array.len() > 1 && !matches!(left_expr, Expression::RowExpr(_)) {
            let mut all: Vec<&Expression> = vec![&left_expr];
            all.extend(in_array.iter());
            let common = self.common_type(&all, None)?;
            let array_type = match common.filter(|common| *common != oid::RECORD) {
                Some(common) => self.catalog.type_entry(common)?.array.map(|array| (common, array)),
                None => None,
            };
            match array_type {
                Some((element_type, array_type)) => {
                    let start = list.first().map_or(location, raw::Expr::location);
                    let elements = in_array
                        .into_iter()
                        .map(|item| self.coerce_to_common(item, element_type, "IN"))
                        .collect::<Result<_>>()?;
                    let array = Expression::ArrayExpr(Box::new(ArrayExpr {
                        array_type,
                        collation: Oid::INVALID,
                        element_type,
                        elements,
                        multidims: false,
                        location: start,
                    }));
                    let scalar = left_expr.clone();
                    result.push(self.make_scalar_array_operator(name, use_or, scalar, array, location)?);
                }
                None => {
                    let mut items = in_array;
                    items.append(&mut rest);
                    rest = items;
                }
            }
        } else {
            let mut items = in_array;
            items.append(&mut rest);
            rest = items;
        }
        for item in rest {
            let comparison = match (&left_expr, item) {
                (Expression::RowExpr(left), Expression::RowExpr(right)) => {
                    self.row_comparison(name, left.args.clone(), right.args, location)?
                }
                (left, item) => self.make_operator(name, Some(left.clone()), item, location)?,
            };
            result.push(self.coerce_to_boolean(comparison, "IN")?);
        }
        if result.len() == 1
            && let Some(only) = result.pop()
        {
            return Ok(only);
        }
        let op = if use_or { BoolOp::Or } else { BoolOp::And };
        Ok(Expression::BoolExpr(Box::new(BoolExpr { op, args: result, location })))
    }

    /// BETWEEN and its kin, as the comparisons they stand for.
    fn between(
        &mut self,
        kind: raw::AExprKind,
        left: &raw::Expr,
        bounds: &[raw::Expr],
        location: Location,
    ) -> Result<Expression> {
        use raw::AExprKind::*;
        let [low, high] = bounds else { return Err(error!(INTERNAL_ERROR, "BETWEEN lacks a bound")) };
        let compare = |name: &str, right: &raw::Expr| {
            raw::Expr::AExpr(Box::new(raw::AExpr {
                kind: Op,
                name: vec![name.to_owned()],
                left: Some(left.clone()),
                right: raw::AExprRight::Expr(right.clone()),
                location,
            }))
        };
        let both = |op, args| raw::Expr::Bool { op, args, location };
        let inside = |low, high| both(BoolOp::And, vec![compare(">=", low), compare("<=", high)]);
        let outside = |low, high| both(BoolOp::Or, vec![compare("<", low), compare(">", high)]);
        let expr = match kind {
            Between => inside(low, high),
            NotBetween => outside(low, high),
            BetweenSymmetric => both(BoolOp::Or, vec![inside(low, high), inside(high, low)]),
            _ => both(BoolOp::And, vec![outside(low, high), outside(high, low)]),
        };
        self.expression(&expr)
    }

    /// PostgreSQL's `make_row_comparison_op`.
    pub fn row_comparison(
        &mut self,
        name: &[String],
        left: Vec<Expression>,
        right: Vec<Expression>,
        location: Location,
    ) -> Result<Expression> {
        let fail = |message: &str| Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
        if left.len() != right.len() {
            return fail("unequal number of entries in row expressions");
        }
        if left.is_empty() {
            return Err(
                error!(FEATURE_NOT_SUPPORTED, "cannot compare rows of zero length").at_location(location)
            );
        }
        let mut comparisons = Vec::new();
        for (left, right) in left.into_iter().zip(right) {
            match self.make_operator(name, Some(left), right, location)? {
                Expression::OpExpr(op) if op.result_type == oid::BOOL => comparisons.push(*op),
                other => {
                    let found = self.catalog.type_name(other.result_type());
                    return Err(error!(
                        DATATYPE_MISMATCH,
                        "row comparison operator must yield type boolean, not type {found}"
                    )
                    .at_location(location));
                }
            }
        }
        if comparisons.len() == 1
            && let Some(only) = comparisons.pop()
        {
            return Ok(Expression::OpExpr(Box::new(only)));
        }
        let mut common: Option<Vec<(Oid, i16)>> = None;
        let mut members = Vec::new();
        for comparison in &comparisons {
            let found = self.catalog.btree_interpretations(comparison.opno)?;
            common = Some(match common {
                None => found.clone(),
                Some(common) => common
                    .into_iter()
                    .filter(|(_, strategy)| found.iter().any(|(_, other)| other == strategy))
                    .collect(),
            });
            members.push(found);
        }
        let strategy = common.as_ref().and_then(|common| common.first()).map(|(_, strategy)| *strategy);
        let bare = name.last().map_or("", String::as_str);
        let to_bool = |op: BoolOp, comparisons: Vec<OpExpr>| {
            let args = comparisons.into_iter().map(|op| Expression::OpExpr(Box::new(op))).collect();
            Ok(Expression::BoolExpr(Box::new(BoolExpr { op, args, location })))
        };
        let compare = match (strategy, bare) {
            (Some(3), _) => return to_bool(BoolOp::And, comparisons),
            (None, "<>") => return to_bool(BoolOp::Or, comparisons),
            (Some(1), _) => RowCompareType::Lt,
            (Some(2), _) => RowCompareType::Le,
            (Some(4), _) => RowCompareType::Ge,
            (Some(5), _) => RowCompareType::Gt,
            _ => {
                return Err(error!(
                    FEATURE_NOT_SUPPORTED,
                    "could not determine interpretation of row comparison operator {}",
                    name.join(".")
                )
                .hint("Row comparison operators must be associated with btree operator families.")
                .at_location(location));
            }
        };
        let mut row = RowCompareExpr {
            compare,
            opnos: Vec::new(),
            opfamilies: Vec::new(),
            inputcollids: vec![Oid::INVALID; comparisons.len()],
            left: Vec::new(),
            right: Vec::new(),
        };
        for (comparison, members) in comparisons.into_iter().zip(members) {
            let family =
                members.iter().find(|(_, found)| Some(*found) == strategy).map(|(family, _)| *family);
            row.opnos.push(comparison.opno);
            row.opfamilies.push(family.unwrap_or_default());
            let mut args = comparison.args.into_iter();
            row.left.extend(args.next());
            row.right.extend(args.next());
        }
        Ok(Expression::RowCompareExpr(Box::new(row)))
    }

    /// Expressions brought to their common type.
    fn alternatives(&mut self, args: &[raw::Expr], construct: &str) -> Result<(Vec<Expression>, Oid)> {
        let args = self.expressions(args)?;
        let refs: Vec<&Expression> = args.iter().collect();
        let common = self.common_type(&refs, Some(construct))?.unwrap_or(oid::TEXT);
        let args = args
            .into_iter()
            .map(|arg| self.coerce_to_common(arg, common, construct))
            .collect::<Result<_>>()?;
        Ok((args, common))
    }

    /// Rows are distinct if one of their fields is.
    fn distinct_rows(
        &mut self,
        name: &[String],
        left: &[raw::Expr],
        right: &[raw::Expr],
        location: Location,
    ) -> Result<Expression> {
        if left.len() != right.len() {
            return Err(
                error!(SYNTAX_ERROR, "unequal number of entries in row expressions").at_location(location)
            );
        }
        let mut args = Vec::with_capacity(left.len());
        for (left, right) in left.iter().zip(right) {
            let (left, right) = (self.expression(left)?, self.expression(right)?);
            let op = self.make_equality(name, left, right, "IS DISTINCT FROM", location)?;
            args.push(Expression::DistinctExpr(Box::new(op)));
        }
        Ok(match args.len() {
            0 => Expression::Const(Const {
                type_oid: oid::BOOL,
                typmod: -1,
                collation: Oid::INVALID,
                value: kokkiri_types::Value::Bool(false),
                location,
            }),
            1 => args.remove(0),
            _ => Expression::BoolExpr(Box::new(BoolExpr { op: BoolOp::Or, args, location })),
        })
    }

    /// Set-returning functions called since `before` stand where they may not.
    fn refuse_sets_since(&mut self, before: Option<Location>, construct: &str) -> Result<()> {
        let last = self.scope().last_set_call;
        match last {
            Some(location) if last != before => {
                Err(error!(FEATURE_NOT_SUPPORTED, "set-returning functions are not allowed in {construct}")
                    .hint("You might be able to move the set-returning function into a LATERAL FROM item.")
                    .at_location(location))
            }
            _ => Ok(()),
        }
    }

    fn case(&mut self, case: &raw::CaseExpr) -> Result<Expression> {
        let sets_before = self.scope().last_set_call;
        let arg = case.arg.as_ref().map(|arg| self.expression(arg)).transpose()?;
        let arg = match arg {
            Some(arg) if arg.result_type() == oid::UNKNOWN => {
                let target = oid::TEXT;
                let (context, form) = (CoercionContext::Implicit, CoercionForm::ImplicitCast);
                Some(self.coerce(arg, target, -1, context, form, Location::UNKNOWN)?)
            }
            arg => arg,
        };
        let mut whens = Vec::new();
        for when in &case.whens {
            let condition = match &arg {
                Some(arg) => {
                    let test = Expression::CaseTestExpr(CaseTestExpr {
                        type_oid: arg.result_type(),
                        typmod: arg.typmod(),
                        collation: arg.collation(),
                    });
                    let value = self.expression(&when.condition)?;
                    self.make_operator(&["=".to_owned()], Some(test), value, when.location)?
                }
                None => self.expression(&when.condition)?,
            };
            let condition = self.coerce_to_boolean(condition, "CASE/WHEN")?;
            let result = self.expression(&when.result)?;
            whens.push(CaseWhen { condition, result, location: when.location });
        }
        let default = match &case.default {
            Some(default) => self.expression(default)?,
            None => constant(oid::UNKNOWN, Value::Null, Location::UNKNOWN),
        };
        // The default comes first: it decides between types of equal standing.
        let mut refs = vec![&default];
        refs.extend(whens.iter().map(|when| &when.result));
        let result_type = self.common_type(&refs, Some("CASE"))?.unwrap_or(oid::TEXT);
        let default = self.coerce_to_common(default, result_type, "CASE/ELSE")?;
        for when in &mut whens {
            let result = std::mem::replace(&mut when.result, crate::coerce::null_const(oid::UNKNOWN));
            when.result = self.coerce_to_common(result, result_type, "CASE/WHEN")?;
        }
        self.refuse_sets_since(sets_before, "CASE")?;
        let (collation, location) = (Oid::INVALID, case.location);
        Ok(Expression::CaseExpr(Box::new(CaseExpr { result_type, collation, arg, whens, default, location })))
    }

    /// PostgreSQL's `transformArrayExpr`; `target` is the array type a cast asks for.
    fn array(
        &mut self,
        elements: &[raw::Expr],
        target: Option<(Oid, Oid, i32)>,
        location: Location,
    ) -> Result<Expression> {
        stack::check_depth()?;
        let mut multidims = false;
        let mut items = Vec::new();
        for element in elements {
            let item = match element {
                raw::Expr::Array { elements, location, .. } => {
                    multidims = true;
                    self.array(elements, target, *location)?
                }
                element => {
                    let item = self.expression(element)?;
                    let is_array = item.result_type() != oid::UNKNOWN
                        && self.catalog.type_entry(item.result_type())?.array_element().is_some();
                    multidims |= is_array;
                    item
                }
            };
            items.push(item);
        }
        let (array_type, element_type, hard) = match target {
            Some((array, element, _)) => (array, if multidims { array } else { element }, true),
            None if items.is_empty() => {
                return Err(error!(INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                    .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                    .at_location(location));
            }
            None => {
                let refs: Vec<&Expression> = items.iter().collect();
                let common = self.common_type(&refs, Some("ARRAY"))?.unwrap_or(oid::TEXT);
                if multidims {
                    (common, common, false)
                } else {
                    match self.catalog.type_entry(common)?.array {
                        Some(array) => (array, common, false),
                        None => {
                            let name = self.catalog.type_name(common);
                            let message = format!("could not find array type for data type {name}");
                            return Err(error!(UNDEFINED_OBJECT, "{message}").at_location(location));
                        }
                    }
                }
            }
        };
        let typmod = target.map_or(-1, |(.., typmod)| typmod);
        let mut coerced = Vec::new();
        for item in items {
            if !hard {
                coerced.push(self.coerce_to_common(item, element_type, "ARRAY")?);
                continue;
            }
            let from = item.result_type();
            let at = item.location();
            let (context, form) = (CoercionContext::Explicit, CoercionForm::ExplicitCast);
            match self.coerce_to_target(item, element_type, typmod, context, form, Location::UNKNOWN)? {
                Some(item) => coerced.push(item),
                None => return Err(self.cannot_cast(from, element_type, at)),
            }
        }
        let base = if multidims {
            self.catalog.type_entry(array_type)?.array_element().unwrap_or(element_type)
        } else {
            element_type
        };
        Ok(Expression::ArrayExpr(Box::new(ArrayExpr {
            array_type,
            collation: Oid::INVALID,
            element_type: base,
            elements: coerced,
            multidims,
            location,
        })))
    }

    fn cannot_cast(&self, from: Oid, to: Oid, location: Location) -> kokkiri_primitives::Error {
        let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(to));
        error!(CANNOT_COERCE, "cannot cast type {from} to {to}").at_location(location)
    }

    fn type_cast(&mut self, cast: &raw::TypeCast) -> Result<Expression> {
        let (target, typmod) = self.resolve_type(&cast.type_name)?;
        let arg = match &cast.arg {
            // The type asked for reaches into an array's elements.
            raw::Expr::Array { elements, location, .. } => {
                let (base, base_typmod) = self.catalog.base_type_and_typmod(target, typmod)?;
                match self.catalog.type_entry(base)?.array_element() {
                    Some(element) => self.array(elements, Some((base, element, base_typmod)), *location)?,
                    None => self.expression(&cast.arg)?,
                }
            }
            arg => self.expression(arg)?,
        };
        let from = arg.result_type();
        // Where the cast stands, or where the type does for `type 'literal'`.
        let location = match cast.location.offset() {
            Some(_) => cast.location,
            None => cast.type_name.location,
        };
        let (context, form) = (CoercionContext::Explicit, CoercionForm::ExplicitCast);
        match self.coerce_to_target(arg, target, typmod, context, form, location)? {
            Some(result) => Ok(result),
            None => Err(self.cannot_cast(from, target, location)),
        }
    }

    fn collate(&mut self, clause: &raw::CollateClause) -> Result<Expression> {
        let location = clause.location;
        let arg = self.expression(&clause.arg)?;
        let type_oid = arg.result_type();
        if type_oid != oid::UNKNOWN && !self.catalog.type_collation(type_oid)?.is_valid() {
            let name = self.catalog.type_name(type_oid);
            return Err(error!(DATATYPE_MISMATCH, "collations are not supported by type {name}")
                .at_location(location));
        }
        let collation = self.find_collation(&clause.collation, location)?;
        Ok(Expression::CollateExpr(Box::new(CollateExpr { arg, collation, location })))
    }

    pub fn find_collation(&mut self, name: &[String], location: Location) -> Result<Oid> {
        let (schema, bare) = crate::function::split_name(name)?;
        self.catalog.collation_by_name(schema, bare)?.ok_or_else(|| {
            error!(UNDEFINED_OBJECT, "collation \"{}\" for encoding \"UTF8\" does not exist", name.join("."))
                .at_location(location)
        })
    }

    /// PostgreSQL's `transformSubLink`.
    fn sub_link(&mut self, link: &raw::SubLink) -> Result<Expression> {
        let location = link.location;
        let refusal = match self.clause() {
            Clause::CheckConstraint => "cannot use subquery in check constraint",
            Clause::ColumnDefault => "cannot use subquery in DEFAULT expression",
            Clause::IndexExpression => "cannot use subquery in index expression",
            Clause::IndexPredicate => "cannot use subquery in index predicate",
            Clause::ExecuteParameter => "cannot use subquery in EXECUTE parameter",
            Clause::AlterColumnTransform => "cannot use subquery in transform expression",
            Clause::CopyWhere => "cannot use subquery in COPY FROM WHERE condition",
            Clause::CallArgument => "cannot use subquery in CALL argument",
            _ => "",
        };
        if !refusal.is_empty() {
            return Err(error!(FEATURE_NOT_SUPPORTED, "{refusal}").at_location(location));
        }
        self.scope_mut().has_sub_links = true;
        let subselect = self.subquery(&link.subselect)?;
        let columns: Vec<ColumnInfo> =
            subselect.target_list.iter().filter(|t| !t.resjunk).map(|t| ColumnInfo::of(&t.expr)).collect();
        let mut kind = link.kind;
        let mut testexpr = None;
        match kind {
            SubLinkType::Exists => {}
            SubLinkType::Expr | SubLinkType::Array => {
                if columns.len() != 1 {
                    return Err(
                        error!(SYNTAX_ERROR, "subquery must return only one column").at_location(location)
                    );
                }
            }
            _ => {
                let operator =
                    if link.operator.is_empty() { vec!["=".to_owned()] } else { link.operator.clone() };
                let Some(test) = &link.test else {
                    return Err(error!(INTERNAL_ERROR, "a comparison with a subquery lacks its operand"));
                };
                let left = match test {
                    raw::Expr::Row { args, .. } => self.expressions(args)?,
                    test => vec![self.expression(test)?],
                };
                if left.len() < columns.len() {
                    return Err(error!(SYNTAX_ERROR, "subquery has too many columns").at_location(location));
                }
                if left.len() > columns.len() {
                    return Err(error!(SYNTAX_ERROR, "subquery has too few columns").at_location(location));
                }
                let right = columns
                    .iter()
                    .enumerate()
                    .map(|(index, column)| {
                        Expression::Param(Param {
                            kind: ParamKind::Sublink,
                            id: index as u32 + 1,
                            type_oid: column.type_oid,
                            typmod: column.typmod,
                            collation: column.collation,
                            location: Location::UNKNOWN,
                        })
                    })
                    .collect();
                testexpr = Some(self.row_comparison(&operator, left, right, location)?);
                if kind == SubLinkType::Cte {
                    kind = SubLinkType::Any;
                }
            }
        }
        Ok(Expression::SubLink(Box::new(SubLink {
            kind,
            sub_link_id: 0,
            testexpr,
            oper_name: link.operator.clone(),
            subselect: *subselect,
            location,
        })))
    }
}

/// CURRENT_TIMESTAMP and its kin with their types.
fn sql_value_function(op: SqlValueFunctionOp, typmod: i32, location: Location) -> Expression {
    use SqlValueFunctionOp::*;
    let result_type = match op {
        CurrentDate => oid::DATE,
        CurrentTime | CurrentTimeN => oid::TIMETZ,
        CurrentTimestamp | CurrentTimestampN => oid::TIMESTAMPTZ,
        LocalTime | LocalTimeN => oid::TIME,
        LocalTimestamp | LocalTimestampN => oid::TIMESTAMP,
        CurrentRole | CurrentUser | User | SessionUser | CurrentCatalog | CurrentSchema => oid::NAME,
    };
    let typmod = if typmod < 0 { typmod } else { typmod.min(6) };
    Expression::SqlValueFunction(SqlValueFunction { op, result_type, typmod, location })
}

/// The value of a number without point or exponent, if it fits an int8.
fn int8_literal(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => radix_value(text).and_then(|value| i64::try_from(value).ok()),
    }
}

fn radix_value(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let radix = match digits.get(..2)?.to_ascii_lowercase().as_str() {
        "0x" => 16,
        "0o" => 8,
        "0b" => 2,
        _ => return None,
    };
    let value = i128::from_str_radix(&digits[2..], radix).ok()?;
    Some(if negative { -value } else { value })
}

fn radix_literal(text: &str) -> Option<String> {
    radix_value(text).map(|value| value.to_string())
}
