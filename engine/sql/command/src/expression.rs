//! Expressions that definitions store: what they need, and whether they may be computed beforehand.
//!
//! Realises: `recordDependencyOnExpr` (dependency.c), `contain_volatile_functions` (clauses.c).

use kokkiri_analyze::tree::{Const, Expression};
use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::entries::Volatility;
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::{Value, ValueRef};

use crate::context::CommandContext;

/// The default collation, which is pinned.
const DEFAULT_COLLATION: Oid = Oid(100);

/// The objects that an expression over the columns of `relation` mentions, each once.
///
/// # Errors
/// 0A000 for a constant that names a role: roles outlive no database.
pub fn references(expr: &Expression, relation: Oid) -> Result<Vec<ObjectAddress>> {
    let mut found = Vec::new();
    let mut refused = None;
    expr.walk(&mut |node| {
        match node {
            Expression::Var(var) if var.varattno != 0 => {
                found.push(ObjectAddress::column(relation, var.varattno));
            }
            Expression::Const(constant) if constant.type_oid == oid::REGROLE => refused = Some(()),
            Expression::Const(constant) => {
                found.push(ObjectAddress::new(class::TYPE, constant.type_oid));
                found.extend(named_by(constant));
            }
            Expression::FuncExpr(function) => {
                found.push(ObjectAddress::new(class::FUNCTION, function.funcid));
            }
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                found.push(ObjectAddress::new(class::OPERATOR, op.opno));
            }
            Expression::ScalarArrayOpExpr(op) => found.push(ObjectAddress::new(class::OPERATOR, op.opno)),
            Expression::RelabelType(cast) => found.push(ObjectAddress::new(class::TYPE, cast.result_type)),
            Expression::CoerceViaIo(cast) => found.push(ObjectAddress::new(class::TYPE, cast.result_type)),
            Expression::ArrayCoerceExpr(cast) => {
                found.push(ObjectAddress::new(class::TYPE, cast.result_type));
            }
            Expression::CoerceToDomain(cast) => {
                found.push(ObjectAddress::new(class::TYPE, cast.result_type));
            }
            Expression::NextValue(next) => found.push(ObjectAddress::relation(next.sequence)),
            _ => {}
        }
        let collation = node.collation();
        if collation.is_valid() && collation != DEFAULT_COLLATION {
            found.push(ObjectAddress::new(class::COLLATION, collation));
        }
        true
    });
    if refused.is_some() {
        return Err(error!(FEATURE_NOT_SUPPORTED, "constant of the type regrole cannot be used here"));
    }
    let mut once: Vec<ObjectAddress> = Vec::with_capacity(found.len());
    for address in found {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    Ok(once)
}

/// What a constant of a reg type names.
fn named_by(constant: &Const) -> Option<ObjectAddress> {
    let named = match constant.type_oid {
        oid::REGCLASS => class::RELATION,
        oid::REGTYPE => class::TYPE,
        oid::REGPROC | oid::REGPROCEDURE => class::FUNCTION,
        oid::REGOPER | oid::REGOPERATOR => class::OPERATOR,
        oid::REGNAMESPACE => class::NAMESPACE,
        oid::REGCOLLATION => class::COLLATION,
        _ => return None,
    };
    match constant.value {
        Value::Null => None,
        ref value => value.as_ref().oid().valid().map(|object| ObjectAddress::new(named, object)),
    }
}

/// The columns of its table that an expression reads, in the order in which it does.
pub fn columns(expr: &Expression) -> Vec<i16> {
    let mut columns = Vec::new();
    expr.walk(&mut |node| {
        if let Expression::Var(var) = node
            && !columns.contains(&var.varattno)
        {
            columns.push(var.varattno);
        }
        true
    });
    columns
}

impl CommandContext<'_> {
    /// True if two evaluations of the expression may differ.
    pub fn is_volatile(&self, expr: &Expression) -> Result<bool> {
        self.any_function(expr, |volatility| volatility == Volatility::Volatile)
    }

    /// True if the expression depends on nothing but its arguments.
    pub fn is_immutable(&self, expr: &Expression) -> Result<bool> {
        Ok(!self.any_function(expr, |volatility| volatility != Volatility::Immutable)?)
    }

    fn any_function(&self, expr: &Expression, is_wanted: impl Fn(Volatility) -> bool) -> Result<bool> {
        let (mut functions, mut found) = (Vec::new(), false);
        expr.walk(&mut |node| {
            match node {
                Expression::FuncExpr(function) => functions.push(function.funcid),
                Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                    functions.push(op.opfuncid);
                }
                Expression::ScalarArrayOpExpr(op) => functions.push(op.opfuncid),
                Expression::NextValue(_) => found |= is_wanted(Volatility::Volatile),
                Expression::SqlValueFunction(_) => found |= is_wanted(Volatility::Stable),
                Expression::CoerceViaIo(_) => found |= is_wanted(Volatility::Stable),
                _ => {}
            }
            true
        });
        for function in functions {
            if let Some(entry) = self.view.function(function)? {
                found |= is_wanted(entry.volatility);
            }
        }
        Ok(found)
    }
}

/// True for a constant null.
pub fn is_null(expr: &Expression) -> bool {
    matches!(expr, Expression::Const(constant) if constant.value.as_ref() == ValueRef::Null)
}
