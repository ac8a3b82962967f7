//! Expressions: parse_expr.c.
//!
//! [`Analyzer::expression`] turns a raw expression into an analyzed one; larger families have a file each.

mod cast;
mod column;
mod comparison;

use kokkiri_catalog::entries::TypeKind;
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error, stack};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;
use kokkiri_types::io;

use crate::catalog::not_supported;
use crate::coerce::{Coercion, constant};
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
                Some(self.coerce(arg, target, -1, Coercion::IMPLICIT)?)
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
