//! Questions about expressions that planning asks everywhere.

use kokkiri_analyze::tree::{
    BoolExpr, BoolOp, Expression, Param, ParamKind, Query, Relids, SortGroupClause, Var,
};
use kokkiri_analyze::tree::{Const, TargetEntry};
use kokkiri_parse::Location;
use kokkiri_primitives::Oid;
use kokkiri_types::Value;

pub const BOOL: Oid = Oid(16);

/// Range table indexes that an expression of this query level depends on, outer joins that may null its
/// variables included (`pull_varnos`).
pub fn relids(expression: &Expression) -> Relids {
    let mut set = Relids::new();
    expression.walk(&mut |node| {
        match node {
            Expression::Var(var) if var.varlevelsup == 0 => {
                set.insert(var.varno);
                set.add_all(&var.varnullingrels);
            }
            Expression::SubLink(link) => sublink_relids(&link.subselect, 1, &mut set),
            Expression::CurrentOf(current) => set.insert(current.varno),
            _ => {}
        }
        true
    });
    set
}

fn sublink_relids(query: &Query, depth: u32, set: &mut Relids) {
    query.for_each_expression(&mut |expression| {
        expression.walk(&mut |node| {
            match node {
                Expression::Var(var) if var.varlevelsup == depth => {
                    set.insert(var.varno);
                    set.add_all(&var.varnullingrels);
                }
                Expression::SubLink(link) => sublink_relids(&link.subselect, depth + 1, set),
                _ => {}
            }
            true
        });
    });
    query.for_each_subquery(&mut |query| sublink_relids(query, depth + 1, set));
}

/// The distinct variables of an expression, in order of appearance.
pub fn variables(expression: &Expression) -> Vec<&Var> {
    let mut found: Vec<&Var> = Vec::new();
    expression.walk(&mut |node| {
        if let Expression::Var(var) = node
            && var.varlevelsup == 0
            && !found.contains(&var)
        {
            found.push(var);
        }
        true
    });
    found
}

pub fn has_aggregates(expression: &Expression) -> bool {
    expression.contains(|node| matches!(node, Expression::Aggref(_)))
}

pub fn has_sublinks(expression: &Expression) -> bool {
    expression.contains(|node| matches!(node, Expression::SubLink(_)))
}

pub fn has_subplans(expression: &Expression) -> bool {
    expression.contains(|node| matches!(node, Expression::SubPlan(_) | Expression::SubLink(_)))
}

/// True if a set-returning function stands anywhere in the expression.
pub fn returns_set(expression: &Expression) -> bool {
    expression.contains(|node| match node {
        Expression::FuncExpr(function) => function.returns_set,
        Expression::OpExpr(operator) => operator.returns_set,
        _ => false,
    })
}

/// The expression without binary-compatible casts around it.
pub fn without_relabel(mut expression: &Expression) -> &Expression {
    while let Expression::RelabelType(relabel) = expression {
        expression = &relabel.arg;
    }
    expression
}

/// The conditions of an implicit AND.
pub fn conjuncts(expression: Expression) -> Vec<Expression> {
    match expression {
        Expression::BoolExpr(and) if and.op == BoolOp::And => {
            and.args.into_iter().flat_map(conjuncts).collect()
        }
        Expression::Const(constant) if constant.value == Value::Bool(true) => Vec::new(),
        other => vec![other],
    }
}

/// The AND of conditions.
pub fn conjunction(mut conditions: Vec<Expression>) -> Option<Expression> {
    match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(Expression::BoolExpr(Box::new(BoolExpr {
            op: BoolOp::And,
            args: conditions,
            location: Location::UNKNOWN,
        }))),
    }
}

pub fn boolean(value: Option<bool>) -> Expression {
    let value = value.map_or(Value::Null, Value::Bool);
    constant(BOOL, -1, Oid::INVALID, value)
}

pub fn constant(type_oid: Oid, typmod: i32, collation: Oid, value: Value) -> Expression {
    Expression::Const(Const { type_oid, typmod, collation, value, location: Location::UNKNOWN })
}

/// True of a constant condition that no row meets.
pub fn is_never_true(condition: &Expression) -> bool {
    matches!(condition, Expression::Const(constant) if constant.value != Value::Bool(true))
}

/// A null of an expression's type.
pub fn null_of(expression: &Expression) -> Expression {
    constant(expression.result_type(), expression.typmod(), expression.collation(), Value::Null)
}

pub fn exec_param(id: u32, of: &Expression) -> Expression {
    Expression::Param(Param {
        kind: ParamKind::Exec,
        id,
        type_oid: of.result_type(),
        typmod: of.typmod(),
        collation: of.collation(),
        location: Location::UNKNOWN,
    })
}

pub fn var(varno: u32, varattno: i16, of: &Expression) -> Expression {
    Expression::Var(Var {
        varno,
        varattno,
        vartype: of.result_type(),
        vartypmod: of.typmod(),
        varcollid: of.collation(),
        varnullingrels: Relids::new(),
        varlevelsup: 0,
        returning: Default::default(),
        location: Location::UNKNOWN,
    })
}

/// Replaces nodes bottom-up-free: where `replace` answers, its answer stands and is not descended into.
pub fn substitute(expression: &mut Expression, replace: &mut impl FnMut(&Expression) -> Option<Expression>) {
    expression.walk_mut(&mut |node| match replace(node) {
        Some(new) => {
            *node = new;
            false
        }
        None => true,
    });
}

/// The target entry that a sort or group clause names.
pub fn clause_target<'a>(clause: &SortGroupClause, targets: &'a [TargetEntry]) -> Option<&'a TargetEntry> {
    targets.iter().find(|target| target.ressortgroupref == clause.tle_sort_group_ref)
}

/// Variables equal but for what may null them.
pub fn same_column(a: &Var, b: &Var) -> bool {
    a.varno == b.varno && a.varattno == b.varattno && a.varlevelsup == b.varlevelsup
}

/// Equality of expressions, blind to which outer joins may null their variables.
pub fn same_value(a: &Expression, b: &Expression) -> bool {
    if a == b {
        return true;
    }
    let strip = |expression: &Expression| {
        let mut copy = expression.clone();
        copy.walk_mut(&mut |node| {
            if let Expression::Var(var) = node {
                var.varnullingrels = Relids::new();
            }
            true
        });
        copy
    };
    match (a, b) {
        (Expression::Var(a), Expression::Var(b)) => same_column(a, b),
        _ if std::mem::discriminant(a) != std::mem::discriminant(b) => false,
        _ => strip(a) == strip(b),
    }
}
