//! Operators as the grammar knows them: plain ones, IN, BETWEEN, IS DISTINCT FROM, NULLIF, ANY and ALL over
//! arrays, and comparisons of rows.
//!
//! Realises: `transformAExprOp` and its kin, `make_row_comparison_op` (parse_expr.c). `crate::operator` finds
//! the operator that a name and two types mean.

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;

use crate::coerce::constant;
use crate::scope::Analyzer;
use crate::tree::*;

impl Analyzer<'_> {
    pub(super) fn operator_expression(&mut self, expr: &raw::AExpr) -> Result<Expression> {
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
            0 => constant(oid::BOOL, Value::Bool(false), location),
            1 => args.remove(0),
            _ => Expression::BoolExpr(Box::new(BoolExpr { op: BoolOp::Or, args, location })),
        })
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
        let mut array_type = None;
        if in_array.len() > 1 && !matches!(left_expr, Expression::RowExpr(_)) {
            let all: Vec<&Expression> = [&left_expr].into_iter().chain(&in_array).collect();
            let common = self.common_type(&all, None)?.filter(|common| *common != oid::RECORD);
            if let Some(common) = common {
                array_type = self.catalog.type_entry(common)?.array.map(|array| (common, array));
            }
        }
        let mut result: Vec<Expression> = Vec::new();
        let mut rest = in_array;
        if let Some((element_type, array_type)) = array_type {
            let elements = rest
                .drain(..)
                .map(|item| self.coerce_to_common(item, element_type, "IN"))
                .collect::<Result<_>>()?;
            let array = Expression::ArrayExpr(Box::new(ArrayExpr {
                array_type,
                collation: Oid::INVALID,
                element_type,
                elements,
                multidims: false,
                location: list.first().map_or(location, raw::Expr::location),
            }));
            let scalar = left_expr.clone();
            result.push(self.make_scalar_array_operator(name, use_or, scalar, array, location)?);
        }
        rest.extend(apart);
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
}
