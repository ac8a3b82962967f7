//! Constant folding and the canonical form of conditions.
//!
//! Realises: `eval_const_expressions`, `negate_clause` and `canonicalize_qual`. Immutable functions of
//! constants are called now; stable and volatile ones never. A function that raises an error here would
//! have raised it at run time only if its row were reached, but PostgreSQL folds it all the same.
//! Bound parameters of a custom plan count as constants.

use kokkiri_analyze::tree::{
    BoolExpr, BoolOp, BoolTest, Const, Expression, NullTest, OpExpr, ParamKind, ScalarArrayOpExpr,
};
use kokkiri_catalog::entries::Volatility;
use kokkiri_primitives::{Oid, Result, stack};
use kokkiri_types::Value;

use crate::expression::{boolean, constant, null_of};
use crate::lookup::Lookup;

/// Simplifies an expression.
pub fn simplify(lookup: &Lookup<'_>, expression: Expression) -> Result<Expression> {
    Folder { lookup, case_value: Vec::new() }.fold(expression)
}

/// Simplifies a condition: folded, and with NOT pushed down and common parts of ORs pulled out.
pub fn simplify_condition(lookup: &Lookup<'_>, expression: Expression) -> Result<Expression> {
    Ok(pull_common(simplify(lookup, expression)?))
}

struct Folder<'a, 'b> {
    lookup: &'a Lookup<'b>,
    /// Constants that CaseTestExprs of enclosing CASEs stand for.
    case_value: Vec<Option<Const>>,
}

fn as_constant(expression: &Expression) -> Option<&Const> {
    match expression {
        Expression::Const(constant) => Some(constant),
        _ => None,
    }
}

fn is_null(expression: &Expression) -> bool {
    as_constant(expression).is_some_and(|constant| constant.value.is_null())
}

impl Folder<'_, '_> {
    fn fold(&mut self, expression: Expression) -> Result<Expression> {
        stack::check_depth()?;
        match expression {
            Expression::Param(param) if param.kind == ParamKind::Extern => {
                match self.lookup.bound.get((param.id as usize).wrapping_sub(1)) {
                    Some(value) => Ok(constant(param.type_oid, param.typmod, param.collation, value.clone())),
                    None => Ok(Expression::Param(param)),
                }
            }
            Expression::BoolExpr(bool_expr) => self.fold_bool(*bool_expr),
            Expression::CaseExpr(_) => self.fold_case(expression),
            Expression::CoalesceExpr(mut coalesce) => {
                let mut args = Vec::new();
                for arg in std::mem::take(&mut coalesce.args) {
                    let arg = self.fold(arg)?;
                    if is_null(&arg) {
                        continue;
                    }
                    let certain = as_constant(&arg).is_some();
                    args.push(arg);
                    if certain {
                        break;
                    }
                }
                Ok(match args.len() {
                    0 => constant(coalesce.result_type, -1, coalesce.collation, Value::Null),
                    1 if as_constant(&args[0]).is_some() => args.remove(0),
                    _ => {
                        coalesce.args = args;
                        Expression::CoalesceExpr(coalesce)
                    }
                })
            }
            Expression::CaseTestExpr(ref test) => Ok(match self.case_value.last() {
                Some(Some(value)) if value.type_oid == test.type_oid => Expression::Const(value.clone()),
                _ => expression,
            }),
            // Elements are coerced one by one at run time; their CaseTestExpr is not that of a CASE.
            Expression::ArrayCoerceExpr(mut coerce) => {
                coerce.arg = self.fold(coerce.arg)?;
                Ok(Expression::ArrayCoerceExpr(coerce))
            }
            other => {
                let folded = self.fold_children(other)?;
                self.fold_node(folded)
            }
        }
    }

    fn fold_children(&mut self, expression: Expression) -> Result<Expression> {
        let mut failure = None;
        let folded = expression.map_children(&mut |child| {
            if failure.is_some() {
                return child;
            }
            let before = child.clone();
            self.fold(child).unwrap_or_else(|error| {
                failure = Some(error);
                before
            })
        });
        failure.map_or(Ok(folded), Err)
    }

    /// Folds a node whose children are folded.
    fn fold_node(&mut self, expression: Expression) -> Result<Expression> {
        match &expression {
            Expression::FuncExpr(function) if !function.returns_set => {
                let args: Option<Vec<&Const>> = function.args.iter().map(as_constant).collect();
                self.call(function.funcid, function.inputcollid, &function.args, args, &expression)
            }
            Expression::OpExpr(operator) if !operator.returns_set => {
                let args: Option<Vec<&Const>> = operator.args.iter().map(as_constant).collect();
                self.call(operator.opfuncid, operator.inputcollid, &operator.args, args, &expression)
            }
            Expression::DistinctExpr(operator) => self.fold_distinct(operator, &expression),
            Expression::RelabelType(relabel) => Ok(match as_constant(&relabel.arg) {
                Some(value) => {
                    constant(relabel.result_type, relabel.typmod, relabel.collation, value.value.clone())
                }
                None => expression,
            }),
            Expression::CoerceViaIo(coerce) => {
                let Some(value) = as_constant(&coerce.arg) else { return Ok(expression) };
                let folded =
                    self.lookup.fold_coerce_via_io(value.type_oid, &value.value, coerce.result_type)?;
                Ok(match folded {
                    Some(value) => constant(coerce.result_type, -1, coerce.collation, value),
                    None => expression,
                })
            }
            Expression::NullTest(test) if matches!(&test.arg, Expression::RowExpr(_)) => {
                let Expression::RowExpr(row) = &test.arg else { return Ok(expression) };
                // All of the row's fields are null, or none of them is.
                let mut tests = Vec::with_capacity(row.args.len());
                for arg in &row.args {
                    let field = NullTest { arg: arg.clone(), arg_is_row: false, ..(**test).clone() };
                    tests.push(self.fold(Expression::NullTest(Box::new(field)))?);
                }
                tests.retain(|test| *test != boolean(Some(true)));
                if tests.contains(&boolean(Some(false))) {
                    return Ok(boolean(Some(false)));
                }
                Ok(crate::expression::conjunction(tests).unwrap_or_else(|| boolean(Some(true))))
            }
            Expression::NullTest(test) if !test.arg_is_row => Ok(match as_constant(&test.arg) {
                Some(value) => boolean(Some(value.value.is_null() == test.is_null)),
                None => expression,
            }),
            Expression::BooleanTest(test) => Ok(match as_constant(&test.arg) {
                Some(value) => boolean(Some(boolean_test(test.test, &value.value))),
                None => expression,
            }),
            Expression::ScalarArrayOpExpr(test) => self.fold_array_test(test, &expression),
            Expression::ArrayExpr(array) if !array.multidims => {
                let elements: Option<Vec<&Const>> = array.elements.iter().map(as_constant).collect();
                let Some(elements) = elements else { return Ok(expression) };
                let values: Vec<&Value> = elements.iter().map(|element| &element.value).collect();
                Ok(constant(
                    array.array_type,
                    -1,
                    array.collation,
                    self.lookup.make_array(array.element_type, &values)?,
                ))
            }
            _ => Ok(expression),
        }
    }

    fn call(
        &self,
        function: Oid,
        collation: Oid,
        args: &[Expression],
        constants: Option<Vec<&Const>>,
        whole: &Expression,
    ) -> Result<Expression> {
        let entry = self.lookup.function(function)?;
        if entry.strict && entry.volatility != Volatility::Volatile && args.iter().any(is_null) {
            return Ok(null_of(whole));
        }
        let Some(constants) = constants.filter(|_| entry.volatility == Volatility::Immutable) else {
            return Ok(whole.clone());
        };
        let values: Vec<&Value> = constants.iter().map(|constant| &constant.value).collect();
        match self.lookup.call(function, collation, &values)? {
            Some(value) => Ok(constant(whole.result_type(), whole.typmod(), whole.collation(), value)),
            None => Ok(whole.clone()),
        }
    }

    fn fold_distinct(&self, operator: &OpExpr, whole: &Expression) -> Result<Expression> {
        let [left, right] = operator.args.as_slice() else { return Ok(whole.clone()) };
        match (is_null(left), is_null(right)) {
            (true, true) => Ok(boolean(Some(false))),
            (true, false) | (false, true) => {
                let other = if is_null(left) { right } else { left };
                Ok(match as_constant(other) {
                    Some(_) => boolean(Some(true)),
                    None => Expression::NullTest(Box::new(NullTest {
                        arg: other.clone(),
                        is_null: false,
                        arg_is_row: false,
                        location: operator.location,
                    })),
                })
            }
            (false, false) => {
                let (Some(left), Some(right)) = (as_constant(left), as_constant(right)) else {
                    return Ok(whole.clone());
                };
                let equal = self.lookup.call(
                    operator.opfuncid,
                    operator.inputcollid,
                    &[&left.value, &right.value],
                )?;
                Ok(match equal {
                    Some(Value::Bool(equal)) => boolean(Some(!equal)),
                    _ => whole.clone(),
                })
            }
        }
    }

    fn fold_array_test(&self, test: &ScalarArrayOpExpr, whole: &Expression) -> Result<Expression> {
        let strict = self.lookup.function(test.opfuncid)?.strict;
        if strict && (is_null(&test.scalar) || is_null(&test.array)) {
            return Ok(boolean(None));
        }
        Ok(whole.clone())
    }

    fn fold_bool(&mut self, expression: BoolExpr) -> Result<Expression> {
        if expression.op == BoolOp::Not {
            let [arg] = <[Expression; 1]>::try_from(expression.args)
                .map_err(|_| kokkiri_primitives::Error::internal("NOT has one argument"))?;
            let arg = self.fold(arg)?;
            return self.negate(arg);
        }
        let is_and = expression.op == BoolOp::And;
        let mut args: Vec<Expression> = Vec::new();
        let mut found_null = false;
        for arg in expression.args {
            let folded = self.fold(arg)?;
            let parts = match folded {
                Expression::BoolExpr(inner) if inner.op == expression.op => inner.args,
                other => vec![other],
            };
            for part in parts {
                match as_constant(&part).map(|constant| &constant.value) {
                    Some(Value::Bool(value)) if *value == is_and => {}
                    Some(Value::Bool(_)) => return Ok(part),
                    Some(_) => found_null = true,
                    None => args.push(part),
                }
            }
        }
        if found_null {
            args.push(boolean(None));
        }
        Ok(match args.len() {
            0 => boolean(Some(is_and)),
            1 => args.remove(0),
            _ => Expression::BoolExpr(Box::new(BoolExpr { args, ..expression })),
        })
    }

    /// The negation of a folded condition, pushed as far down as it goes (`negate_clause`).
    fn negate(&self, expression: Expression) -> Result<Expression> {
        Ok(match expression {
            Expression::Const(constant) => match constant.value {
                Value::Bool(value) => boolean(Some(!value)),
                _ => boolean(None),
            },
            Expression::OpExpr(mut operator) => match self.lookup.operator(operator.opno)?.negator {
                Some(negator) => {
                    operator.opno = negator;
                    operator.opfuncid = self.lookup.operator(negator)?.function;
                    Expression::OpExpr(operator)
                }
                None => not(Expression::OpExpr(operator)),
            },
            Expression::ScalarArrayOpExpr(mut test) => match self.lookup.operator(test.opno)?.negator {
                Some(negator) => {
                    test.opno = negator;
                    test.opfuncid = self.lookup.operator(negator)?.function;
                    test.use_or = !test.use_or;
                    Expression::ScalarArrayOpExpr(test)
                }
                None => not(Expression::ScalarArrayOpExpr(test)),
            },
            Expression::BoolExpr(inner) if inner.op == BoolOp::Not => {
                inner.args.into_iter().next().unwrap_or_else(|| boolean(None))
            }
            Expression::BoolExpr(mut inner) => {
                inner.op = if inner.op == BoolOp::And { BoolOp::Or } else { BoolOp::And };
                let args = std::mem::take(&mut inner.args);
                inner.args = args.into_iter().map(|arg| self.negate(arg)).collect::<Result<_>>()?;
                Expression::BoolExpr(inner)
            }
            Expression::NullTest(mut test) if !test.arg_is_row => {
                test.is_null = !test.is_null;
                Expression::NullTest(test)
            }
            Expression::BooleanTest(mut test) => {
                test.test = match test.test {
                    BoolTest::IsTrue => BoolTest::IsNotTrue,
                    BoolTest::IsNotTrue => BoolTest::IsTrue,
                    BoolTest::IsFalse => BoolTest::IsNotFalse,
                    BoolTest::IsNotFalse => BoolTest::IsFalse,
                    BoolTest::IsUnknown => BoolTest::IsNotUnknown,
                    BoolTest::IsNotUnknown => BoolTest::IsUnknown,
                };
                Expression::BooleanTest(test)
            }
            other => not(other),
        })
    }

    fn fold_case(&mut self, expression: Expression) -> Result<Expression> {
        let Expression::CaseExpr(mut case) = expression else { return Ok(expression) };
        if let Some(arg) = case.arg.take() {
            case.arg = Some(self.fold(arg)?);
        }
        self.case_value.push(case.arg.as_ref().and_then(as_constant).cloned());
        let folded = self.fold_whens(&mut case);
        self.case_value.pop();
        Ok(match folded? {
            Some(certain) => certain,
            None => Expression::CaseExpr(case),
        })
    }

    /// Drops arms that can't be taken; answers the result if it is certain.
    fn fold_whens(&mut self, case: &mut kokkiri_analyze::tree::CaseExpr) -> Result<Option<Expression>> {
        let mut whens = Vec::new();
        let mut default = None;
        for mut when in std::mem::take(&mut case.whens) {
            let condition = self.fold(when.condition)?;
            match as_constant(&condition).map(|constant| &constant.value) {
                Some(Value::Bool(true)) => {
                    default = Some(self.fold(when.result)?);
                    break;
                }
                Some(_) => continue,
                None => {
                    when.condition = condition;
                    when.result = self.fold(when.result)?;
                    whens.push(when);
                }
            }
        }
        let default = match default {
            Some(default) => default,
            None => self.fold(case.default.clone())?,
        };
        if whens.is_empty() {
            return Ok(Some(default));
        }
        case.whens = whens;
        case.default = default;
        if as_constant_argument(case) {
            case.arg = None;
        }
        Ok(None)
    }
}

/// A constant argument has been put in place of its CaseTestExprs.
fn as_constant_argument(case: &kokkiri_analyze::tree::CaseExpr) -> bool {
    case.arg.as_ref().is_some_and(|arg| as_constant(arg).is_some())
}

fn boolean_test(test: BoolTest, value: &Value) -> bool {
    let (is_true, is_false) = (*value == Value::Bool(true), *value == Value::Bool(false));
    match test {
        BoolTest::IsTrue => is_true,
        BoolTest::IsNotTrue => !is_true,
        BoolTest::IsFalse => is_false,
        BoolTest::IsNotFalse => !is_false,
        BoolTest::IsUnknown => !is_true && !is_false,
        BoolTest::IsNotUnknown => is_true || is_false,
    }
}

fn not(expression: Expression) -> Expression {
    let location = expression.location();
    Expression::BoolExpr(Box::new(BoolExpr { op: BoolOp::Not, args: vec![expression], location }))
}

/// `(a AND b) OR (a AND c)` becomes `a AND (b OR c)` (`find_duplicate_ors`).
fn pull_common(expression: Expression) -> Expression {
    match expression {
        Expression::BoolExpr(and) if and.op == BoolOp::And => {
            let args = and.args.into_iter().map(pull_common).collect();
            Expression::BoolExpr(Box::new(BoolExpr { args, ..*and }))
        }
        Expression::BoolExpr(or) if or.op == BoolOp::Or => factor_or(*or),
        other => other,
    }
}

fn and_parts(expression: &Expression) -> Vec<&Expression> {
    match expression {
        Expression::BoolExpr(and) if and.op == BoolOp::And => and.args.iter().collect(),
        other => vec![other],
    }
}

fn factor_or(or: BoolExpr) -> Expression {
    let arms: Vec<Vec<&Expression>> = or.args.iter().map(and_parts).collect();
    let Some(shortest) = arms.iter().min_by_key(|arm| arm.len()) else {
        return Expression::BoolExpr(Box::new(or));
    };
    let common: Vec<Expression> = shortest
        .iter()
        .filter(|part| arms.iter().all(|arm| arm.contains(part)))
        .map(|part| (*part).clone())
        .collect();
    if common.is_empty() {
        return Expression::BoolExpr(Box::new(or));
    }
    let mut rest = Vec::new();
    for arm in &arms {
        let left: Vec<Expression> =
            arm.iter().filter(|part| !common.contains(part)).map(|part| (*part).clone()).collect();
        match crate::expression::conjunction(left) {
            // An arm that is all common makes the OR true wherever the common part is.
            None => {
                rest.clear();
                break;
            }
            Some(condition) => rest.push(condition),
        }
    }
    let mut args = common;
    match rest.len() {
        0 => {}
        1 => args.append(&mut rest),
        _ => args.push(Expression::BoolExpr(Box::new(BoolExpr { args: rest, ..or }))),
    }
    crate::expression::conjunction(args).unwrap_or_else(|| boolean(Some(true)))
}
