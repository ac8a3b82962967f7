//! Expressions back to SQL text: PostgreSQL's ruleutils.c without pretty-printing.
//!
//! EXPLAIN's condition lines, pg_get_expr and pg_get_constraintdef print through here. How a column, a parameter or
//! a subplan is called depends on where it is printed, so the caller names those.

use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::builtin::oid;
use kokkiri_types::io::{IoSettings, output_text};

use crate::catalog::Catalog;
use crate::tree::*;

/// Prints one expression; see [`crate::deparse_expression`].
pub(crate) struct Deparser<'a> {
    pub catalog: Catalog<'a>,
    pub io: &'a IoSettings,
    /// Names what only the caller can: Vars, Params, SubPlans. `None` leaves a node to the printer.
    pub name: &'a dyn Fn(&Expression) -> Option<String>,
}

impl Deparser<'_> {
    pub fn expression(&self, expr: &Expression) -> Result<String> {
        kokkiri_primitives::stack::check_depth()?;
        if let Some(name) = (self.name)(expr) {
            return Ok(name);
        }
        Ok(match expr {
            Expression::Const(constant) => self.constant(constant)?,
            Expression::Param(param) => format!("${}", param.id),
            Expression::FuncExpr(func) => self.function(func)?,
            Expression::OpExpr(op) => self.operator(op.opno, &op.args)?,
            Expression::DistinctExpr(op) => {
                format!("({} IS DISTINCT FROM {})", self.argument(&op.args, 0)?, self.argument(&op.args, 1)?)
            }
            Expression::NullIfExpr(op) => format!("NULLIF({})", self.list(&op.args)?),
            Expression::ScalarArrayOpExpr(op) => {
                let quantifier = if op.use_or { "ANY" } else { "ALL" };
                let name = self.operator_name(op.opno)?;
                let (scalar, array) = (self.shown(&op.scalar)?, self.shown(&op.array)?);
                format!("({scalar} {name} {quantifier} ({array}))")
            }
            Expression::BoolExpr(expr) => {
                let word = match expr.op {
                    BoolOp::And => " AND ",
                    BoolOp::Or => " OR ",
                    BoolOp::Not => "",
                };
                let args = expr.args.iter().map(|arg| self.expression(arg)).collect::<Result<Vec<_>>>()?;
                if expr.op == BoolOp::Not {
                    format!("(NOT {})", args.concat())
                } else {
                    format!("({})", args.join(word))
                }
            }
            Expression::RelabelType(cast) => {
                self.cast(&cast.arg, cast.result_type, cast.typmod, cast.form)?
            }
            Expression::CoerceViaIo(cast) => self.cast(&cast.arg, cast.result_type, -1, cast.form)?,
            Expression::ArrayCoerceExpr(cast) => {
                self.cast(&cast.arg, cast.result_type, cast.typmod, cast.form)?
            }
            Expression::CoerceToDomain(cast) => {
                self.cast(&cast.arg, cast.result_type, cast.typmod, cast.form)?
            }
            Expression::NullTest(test) => {
                let words = if test.is_null { "IS NULL" } else { "IS NOT NULL" };
                format!("({} {words})", self.expression(&test.arg)?)
            }
            Expression::BooleanTest(test) => {
                let words = match test.test {
                    BoolTest::IsTrue => "IS TRUE",
                    BoolTest::IsNotTrue => "IS NOT TRUE",
                    BoolTest::IsFalse => "IS FALSE",
                    BoolTest::IsNotFalse => "IS NOT FALSE",
                    BoolTest::IsUnknown => "IS UNKNOWN",
                    BoolTest::IsNotUnknown => "IS NOT UNKNOWN",
                };
                format!("({} {words})", self.expression(&test.arg)?)
            }
            Expression::CaseExpr(case) => self.case(case)?,
            Expression::CoalesceExpr(coalesce) => format!("COALESCE({})", self.list(&coalesce.args)?),
            Expression::MinMaxExpr(minmax) => {
                let name = if minmax.op == MinMaxOp::Greatest { "GREATEST" } else { "LEAST" };
                format!("{name}({})", self.list(&minmax.args)?)
            }
            Expression::ArrayExpr(array) => {
                let items = self.list(&array.elements)?;
                if array.elements.is_empty() {
                    format!("ARRAY[]::{}", self.catalog.type_name(array.array_type))
                } else {
                    format!("ARRAY[{items}]")
                }
            }
            Expression::RowExpr(row) => format!("ROW({})", self.list(&row.args)?),
            Expression::Aggref(agg) => self.aggregate(agg)?,
            Expression::CollateExpr(collate) => {
                let name = self.catalog.collation_name(collate.collation)?.unwrap_or_default();
                format!("({} COLLATE {})", self.expression(&collate.arg)?, quote_identifier(&name))
            }
            Expression::SqlValueFunction(function) => value_function(function),
            Expression::CoerceToDomainValue(_) => "VALUE".to_owned(),
            Expression::SetToDefault(_) => "DEFAULT".to_owned(),
            _ => return Err(kokkiri_primitives::Error::not_supported("printing this expression")),
        })
    }

    /// An operand: its implicit casts show, because they decided which operator it is.
    fn shown(&self, expr: &Expression) -> Result<String> {
        let (arg, target, typmod, form) = match expr {
            Expression::RelabelType(cast) => (&cast.arg, cast.result_type, cast.typmod, cast.form),
            Expression::CoerceViaIo(cast) => (&cast.arg, cast.result_type, -1, cast.form),
            Expression::ArrayCoerceExpr(cast) => (&cast.arg, cast.result_type, cast.typmod, cast.form),
            Expression::FuncExpr(func) if !func.args.is_empty() => {
                (&func.args[0], func.result_type, func.length_coercion_typmod().unwrap_or(-1), func.form)
            }
            _ => return self.expression(expr),
        };
        if form != CoercionForm::ImplicitCast {
            return self.expression(expr);
        }
        self.cast(arg, target, typmod, CoercionForm::ExplicitCast)
    }

    fn all(&self, args: &[Expression]) -> Result<Vec<String>> {
        args.iter().map(|arg| self.shown(arg)).collect()
    }

    fn list(&self, args: &[Expression]) -> Result<String> {
        Ok(self.all(args)?.join(", "))
    }

    fn argument(&self, args: &[Expression], index: usize) -> Result<String> {
        args.get(index).map_or_else(|| Ok(String::new()), |arg| self.shown(arg))
    }

    fn operator_name(&self, opno: Oid) -> Result<String> {
        Ok(self.catalog.operator(opno)?.name.to_string())
    }

    fn operator(&self, opno: Oid, args: &[Expression]) -> Result<String> {
        let name = self.operator_name(opno)?;
        Ok(match args {
            [arg] => format!("({name} {})", self.shown(arg)?),
            _ => format!("({} {name} {})", self.argument(args, 0)?, self.argument(args, 1)?),
        })
    }

    /// PostgreSQL's `get_const_expr` with labels where they are needed.
    fn constant(&self, constant: &Const) -> Result<String> {
        let type_name = || self.catalog.type_name_with_typmod(constant.type_oid, Some(constant.typmod));
        if constant.value.is_null() {
            return Ok(format!("NULL::{}", type_name()));
        }
        let mut bytes = Vec::new();
        output_text(constant.type_oid, constant.value.as_ref(), self.io, &mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let quoted = || format!("'{}'", text.replace('\'', "''"));
        Ok(match constant.type_oid {
            oid::BOOL => if text == "t" { "true" } else { "false" }.to_owned(),
            oid::UNKNOWN => quoted(),
            oid::INT4 if !text.starts_with('-') => text,
            oid::NUMERIC
                if text.starts_with(|c: char| c.is_ascii_digit())
                    && constant.typmod < 0
                    && text.contains(['.', 'e']) =>
            {
                text
            }
            _ => format!("{}::{}", quoted(), type_name()),
        })
    }

    /// Implicit casts don't show.
    fn cast(&self, arg: &Expression, target: Oid, typmod: i32, form: CoercionForm) -> Result<String> {
        if form == CoercionForm::ImplicitCast {
            return self.expression(arg);
        }
        let type_name = self.catalog.type_name_with_typmod(target, Some(typmod));
        Ok(format!("({})::{type_name}", self.expression(arg)?))
    }

    fn function(&self, func: &FuncExpr) -> Result<String> {
        let is_cast = matches!(func.form, CoercionForm::ExplicitCast | CoercionForm::ImplicitCast);
        if let (true, Some(arg)) = (is_cast, func.args.first()) {
            let typmod = func.length_coercion_typmod().unwrap_or(-1);
            return self.cast(arg, func.result_type, typmod, func.form);
        }
        let function = self.catalog.function(func.funcid)?;
        Ok(format!("{}({})", quote_identifier(&function.name), self.list(&func.args)?))
    }

    fn aggregate(&self, agg: &Aggref) -> Result<String> {
        let name = self.catalog.function(agg.aggfnoid)?.name.to_string();
        let mut args = Vec::new();
        for target in agg.args.iter().filter(|target| !target.resjunk) {
            args.push(self.expression(&target.expr)?);
        }
        let distinct = if agg.aggdistinct.is_empty() { "" } else { "DISTINCT " };
        let args = if agg.aggstar { "*".to_owned() } else { args.join(", ") };
        let mut order = Vec::new();
        for clause in &agg.aggorder {
            if let Some(target) = sort_group_target(clause.tle_sort_group_ref, &agg.args) {
                let direction = if clause.reverse_sort { " DESC" } else { "" };
                order.push(format!("{}{direction}", self.expression(&target.expr)?));
            }
        }
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let filter = match &agg.aggfilter {
            Some(filter) => format!(" FILTER (WHERE {})", self.expression(filter)?),
            None => String::new(),
        };
        Ok(format!("{}({distinct}{args}{order}){filter}", quote_identifier(&name)))
    }

    fn case(&self, case: &CaseExpr) -> Result<String> {
        let mut text = "CASE".to_owned();
        if let Some(arg) = &case.arg {
            text += &format!(" {}", self.expression(arg)?);
        }
        for when in &case.whens {
            // With an argument only the compared value was written.
            let condition = match (&case.arg, &when.condition) {
                (Some(_), Expression::OpExpr(op)) => self.argument(&op.args, 1)?,
                (_, condition) => self.expression(condition)?,
            };
            text += &format!(" WHEN {condition} THEN {}", self.expression(&when.result)?);
        }
        Ok(format!("{text} ELSE {} END", self.expression(&case.default)?))
    }
}

fn value_function(function: &SqlValueFunction) -> String {
    use SqlValueFunctionOp::*;
    let name = match function.op {
        CurrentDate => "CURRENT_DATE",
        CurrentTime | CurrentTimeN => "CURRENT_TIME",
        CurrentTimestamp | CurrentTimestampN => "CURRENT_TIMESTAMP",
        LocalTime | LocalTimeN => "LOCALTIME",
        LocalTimestamp | LocalTimestampN => "LOCALTIMESTAMP",
        CurrentRole => "CURRENT_ROLE",
        CurrentUser => "CURRENT_USER",
        User => "USER",
        SessionUser => "SESSION_USER",
        CurrentCatalog => "CURRENT_CATALOG",
        CurrentSchema => "CURRENT_SCHEMA",
    };
    if function.typmod < 0 { name.to_owned() } else { format!("{name}({})", function.typmod) }
}
