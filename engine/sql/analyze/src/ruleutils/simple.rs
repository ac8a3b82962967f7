//! Which expressions need no parentheses where they stand.

use crate::catalog::Catalog;
use crate::tree::*;

/// True if `node`, printed as an operand of `parent`, is read back as one without parentheses around it:
/// `isSimpleNode`.
pub(super) fn is_simple(catalog: Catalog<'_>, node: &Expression, parent: &Expression) -> bool {
    use Expression::*;
    match node {
        Var(_) | Const(_) | Param(_) | CoerceToDomainValue(_) | SetToDefault(_) | CurrentOf(_) => true,
        SubscriptingRef(_) | ArrayExpr(_) | RowExpr(_) | CoalesceExpr(_) | MinMaxExpr(_)
        | SqlValueFunction(_) | NextValue(_) | NullIfExpr(_) | Aggref(_) | GroupingFunc(_)
        | WindowFunc(_) | FuncExpr(_) => true,
        // Its keywords act as parentheses.
        CaseExpr(_) => true,
        FieldSelect(_) => !matches!(parent, FieldSelect(_)),
        FieldStore(_) => !matches!(parent, FieldStore(_)),
        CoerceToDomain(cast) => is_simple(catalog, &cast.arg, node),
        RelabelType(cast) => is_simple(catalog, &cast.arg, node),
        CoerceViaIo(cast) => is_simple(catalog, &cast.arg, node),
        ArrayCoerceExpr(cast) => is_simple(catalog, &cast.arg, node),
        ConvertRowtypeExpr(cast) => is_simple(catalog, &cast.arg, node),
        OpExpr(operator) => match parent {
            OpExpr(above) => binds_tighter(catalog, operator, above),
            _ => has_own_separators(parent),
        },
        SubLink(_) | NullTest(_) | BooleanTest(_) | DistinctExpr(_) => match parent {
            BoolExpr(_) => true,
            _ => has_own_separators(parent),
        },
        BoolExpr(expr) => match parent {
            BoolExpr(above) => match expr.op {
                BoolOp::Not | BoolOp::And => matches!(above.op, BoolOp::And | BoolOp::Or),
                BoolOp::Or => above.op == BoolOp::Or,
            },
            _ => has_own_separators(parent),
        },
        _ => false,
    }
}

/// True for what puts its operands into parentheses, or commas between them.
fn has_own_separators(parent: &Expression) -> bool {
    use Expression::*;
    match parent {
        FuncExpr(call) => call.form == CoercionForm::ExplicitCall,
        // Binds looser than operators.
        BoolExpr(_) => true,
        SubscriptingRef(_) | ArrayExpr(_) | RowExpr(_) | CoalesceExpr(_) | MinMaxExpr(_) | NullIfExpr(_)
        | Aggref(_) | GroupingFunc(_) | WindowFunc(_) | CaseExpr(_) => true,
        _ => false,
    }
}

/// True if an operator below another needs no parentheses: of the arithmetic ones it is known which bind tighter.
fn binds_tighter(catalog: Catalog<'_>, operator: &OpExpr, above: &OpExpr) -> bool {
    let (Some(inner), Some(outer)) = (precedence(catalog, operator), precedence(catalog, above)) else {
        return false;
    };
    // Of two that bind alike the left one comes first: a - b - c is (a - b) - c.
    let is_left =
        matches!(above.args.first(), Some(Expression::OpExpr(left)) if std::ptr::eq(&**left, operator));
    inner > outer || inner == outer && is_left
}

/// 1 for `+` and `-`, 2 for `*`, `/` and `%`, as binary operators.
fn precedence(catalog: Catalog<'_>, operator: &OpExpr) -> Option<u8> {
    if operator.args.len() != 2 {
        return None;
    }
    match &*catalog.operator(operator.opno).ok()?.name {
        "+" | "-" => Some(1),
        "*" | "/" | "%" => Some(2),
        _ => None,
    }
}
