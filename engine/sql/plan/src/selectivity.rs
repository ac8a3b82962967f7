//! Selectivity of conditions: which statistics a clause calls for.
//!
//! Realises: `clausesel.c` and the part of `selfuncs.c` that looks at expressions; the arithmetic is in
//! `kokkiri_statistics::selectivity`.

use std::rc::Rc;
use std::sync::Arc;

use kokkiri_analyze::tree::{BoolOp, BoolTest, Expression, OpExpr, ScalarArrayOpExpr};
use kokkiri_primitives::{Oid, Result};
use kokkiri_statistics::column::ColumnStatistics;
use kokkiri_statistics::selectivity::{self as estimate, Inequality, RelationRows, Variable, VariableKind};
use kokkiri_types::Value;

use crate::clause::{Clause, MergeRanges};
use crate::expression::{BOOL, variables, without_relabel};
use crate::path::PathKey;
use crate::plan::JoinType;
use crate::relation::BaseKind;
use crate::root::Root;

/// A variable found in a clause, with its statistics held.
pub struct Examined {
    pub statistics: Option<Arc<ColumnStatistics>>,
    pub relation: Option<RelationRows>,
    pub unique: bool,
    pub kind: VariableKind,
}

impl Examined {
    pub fn variable(&self) -> Variable<'_> {
        Variable {
            statistics: self.statistics.as_deref(),
            relation: self.relation,
            unique: self.unique,
            kind: self.kind,
        }
    }
}

/// How a join looks to its conditions.
#[derive(Clone, Copy)]
pub struct JoinContext {
    pub join_type: JoinType,
    /// Rows of the side whose rows are only looked for, of a semi or anti join.
    pub inner_rows: f64,
}

const INNER: JoinContext = JoinContext { join_type: JoinType::Inner, inner_rows: 0.0 };

/// oprrest and oprjoin estimators.
mod estimator {
    pub const EQ: u32 = 101;
    pub const NEQ: u32 = 102;
    pub const LT: u32 = 103;
    pub const GT: u32 = 104;
    pub const LE: u32 = 336;
    pub const GE: u32 = 337;
    pub const LIKE: u32 = 1819;
    pub const NOT_LIKE: u32 = 1822;
    pub const MATCHING: u32 = 5040;
    pub const MATCHING_JOIN: u32 = 5041;
    pub const EQ_JOIN: u32 = 105;
    pub const NEQ_JOIN: u32 = 106;
}

impl Root<'_, '_> {
    /// What is known about an expression as a variable (`examine_variable`).
    pub fn examine(&self, expression: &Expression) -> Result<Examined> {
        let bare = without_relabel(expression);
        let mut examined = Examined {
            statistics: None,
            relation: None,
            unique: false,
            kind: if bare.result_type() == BOOL { VariableKind::Boolean } else { VariableKind::Other },
        };
        let Expression::Var(var) = bare else {
            // An expression of one relation's columns has that relation's rows.
            let vars = variables(bare);
            if let Some(first) = vars.first()
                && vars.iter().all(|other| other.varno == first.varno)
                && let Some(base) = self.base.get(&first.varno)
            {
                examined.relation = Some(RelationRows { tuples: base.tuples, rows: base.rows });
            }
            return Ok(examined);
        };
        let Some(base) = self.base.get(&var.varno) else { return Ok(examined) };
        examined.relation = Some(RelationRows { tuples: base.tuples, rows: base.rows });
        match &base.kind {
            BaseKind::Table(table) => {
                match var.varattno {
                    -1 => examined.kind = VariableKind::Distinct,
                    -6 => examined.kind = VariableKind::Single,
                    _ => {}
                }
                examined.statistics = self.global.lookup.column_statistics(table.oid, var.varattno)?;
                examined.unique = base.indexes.iter().any(|index| {
                    index.unique
                        && index.key_count == 1
                        && index.predicate_holds
                        && matches!(&index.columns[0], Expression::Var(column) if column.varattno == var.varattno)
                });
            }
            BaseKind::Values => examined.kind = VariableKind::Distinct,
            BaseKind::Subquery(subquery) => {
                examined.unique = subquery.distinct_columns == [var.varattno];
            }
            _ => {}
        }
        Ok(examined)
    }

    /// Selectivity of conditions that must all hold; pairs of opposite inequalities on one variable are
    /// one range (`clauselist_selectivity`).
    pub fn clauses_selectivity(
        &self,
        clauses: &[Rc<Clause>],
        varno: u32,
        join: Option<JoinContext>,
    ) -> Result<f64> {
        let mut product = 1.0;
        let mut ranges: Vec<Range> = Vec::new();
        for clause in clauses {
            let selectivity = self.clause_selectivity(clause, varno, join)?;
            if let Some((variable, is_low)) = self.range_bound(&clause.expr, clause.mentions.len())? {
                Range::add(&mut ranges, variable, is_low, selectivity);
            } else {
                product *= selectivity;
            }
        }
        for range in ranges {
            product *= match (range.low, range.high) {
                (Some(low), Some(high)) => {
                    let variable = self.examine(&range.variable)?;
                    let null = variable.variable().null_fraction();
                    if low == estimate::DEFAULT_INEQ_SEL || high == estimate::DEFAULT_INEQ_SEL {
                        estimate::DEFAULT_RANGE_INEQ_SEL
                    } else {
                        let both = low + high - 1.0 + null;
                        if both > 0.0 {
                            both
                        } else if both < -0.01 {
                            estimate::DEFAULT_RANGE_INEQ_SEL
                        } else {
                            1.0e-10
                        }
                    }
                }
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => 1.0,
            };
        }
        Ok(estimate::clamp_probability(product))
    }

    /// An inequality of one variable with something that does not vary: the variable, and whether it
    /// bounds it from below.
    fn range_bound(&self, expr: &Expression, relations: usize) -> Result<Option<(Expression, bool)>> {
        let Expression::OpExpr(operator) = expr else { return Ok(None) };
        let [left, right] = operator.args.as_slice() else { return Ok(None) };
        if relations != 1 {
            return Ok(None);
        }
        let (variable, on_left) = match (variables(left).is_empty(), variables(right).is_empty()) {
            (false, true) => (left, true),
            (true, false) => (right, false),
            _ => return Ok(None),
        };
        let entry = self.global.lookup.operator(operator.opno)?;
        let greater = match entry.restrict.map(|oid| oid.0) {
            Some(estimator::GT | estimator::GE) => true,
            Some(estimator::LT | estimator::LE) => false,
            _ => return Ok(None),
        };
        Ok(Some((variable.clone(), greater == on_left)))
    }

    /// Selectivity of one condition, cached where that is right (`clause_selectivity`).
    pub fn clause_selectivity(&self, clause: &Clause, varno: u32, join: Option<JoinContext>) -> Result<f64> {
        if clause.pseudoconstant {
            return Ok(match &clause.expr {
                Expression::Const(constant) if constant.value != Value::Bool(true) => 0.0,
                _ => 1.0,
            });
        }
        let cacheable = varno == 0 || clause.mentions.singleton() == Some(varno);
        let cache = match join.map(|join| join.join_type) {
            None | Some(JoinType::Inner) => &clause.inner_selectivity,
            Some(_) => &clause.outer_selectivity,
        };
        if let Some(known) = cache.get().filter(|_| cacheable) {
            return Ok(known);
        }
        let selectivity = self.selectivity(&clause.expr, varno, join)?;
        if cacheable {
            cache.set(Some(selectivity));
        }
        Ok(selectivity)
    }

    /// Selectivity of any condition.
    pub fn selectivity(&self, expr: &Expression, varno: u32, join: Option<JoinContext>) -> Result<f64> {
        Ok(match expr {
            Expression::Const(constant) => match constant.value {
                Value::Bool(true) => 1.0,
                _ => 0.0,
            },
            Expression::Var(_) => self.boolean_variable(expr)?,
            Expression::BoolExpr(bool_expr) => match bool_expr.op {
                BoolOp::Not => {
                    let mut selectivity = 1.0;
                    for arg in &bool_expr.args {
                        selectivity = 1.0 - self.selectivity(arg, varno, join)?;
                    }
                    selectivity
                }
                BoolOp::And => {
                    let mut parts = Vec::new();
                    for arg in &bool_expr.args {
                        parts.push(Rc::new(Clause::new(&self.global.lookup, arg.clone(), None, true)?));
                    }
                    self.clauses_selectivity(&parts, varno, join)?
                }
                BoolOp::Or => {
                    let mut selectivity = 0.0;
                    for arg in &bool_expr.args {
                        let one = self.selectivity(arg, varno, join)?;
                        selectivity += one - selectivity * one;
                    }
                    selectivity
                }
            },
            Expression::OpExpr(operator) => self.operator_selectivity(operator, varno, join)?,
            Expression::DistinctExpr(operator) => 1.0 - self.operator_selectivity(operator, varno, join)?,
            Expression::ScalarArrayOpExpr(test) => self.array_selectivity(test, varno, join)?,
            Expression::NullTest(test) => {
                estimate::null_test(&self.examine(&test.arg)?.variable(), !test.is_null)
            }
            Expression::BooleanTest(test) => {
                let examined = self.examine(&test.arg)?;
                let variable = examined.variable();
                let is_true = self.boolean_variable(&test.arg)?;
                let null = variable.null_fraction();
                let unknown = if variable.statistics.is_some() { null } else { estimate::DEFAULT_UNK_SEL };
                estimate::clamp_probability(match test.test {
                    BoolTest::IsTrue => is_true,
                    BoolTest::IsNotTrue => 1.0 - is_true,
                    BoolTest::IsFalse => 1.0 - is_true - null,
                    BoolTest::IsNotFalse => is_true + null,
                    BoolTest::IsUnknown => unknown,
                    BoolTest::IsNotUnknown => 1.0 - unknown,
                })
            }
            Expression::RelabelType(relabel) => self.selectivity(&relabel.arg, varno, join)?,
            Expression::CurrentOf(_) => match self.base.get(&varno) {
                Some(base) if base.tuples > 0.0 => 1.0 / base.tuples,
                _ => 0.5,
            },
            // A function whose selectivity nobody estimates: PostgreSQL's magic number.
            Expression::FuncExpr(_) => 0.333_333_3,
            _ => 0.5,
        })
    }

    fn boolean_variable(&self, expr: &Expression) -> Result<f64> {
        let examined = self.examine(expr)?;
        let variable = examined.variable();
        Ok(match variable.statistics {
            Some(_) => estimate::fraction_true(&variable, |value| *value == Value::Bool(true)),
            None => 0.5,
        })
    }

    fn operator_selectivity(&self, operator: &OpExpr, varno: u32, join: Option<JoinContext>) -> Result<f64> {
        let entry = self.global.lookup.operator(operator.opno)?;
        let [left, right] = operator.args.as_slice() else { return Ok(0.5) };
        let is_join = varno == 0 && {
            let (l, r) = (crate::expression::relids(left), crate::expression::relids(right));
            join.is_some() && !l.is_empty() && !r.is_empty() && l != r
        };
        if is_join {
            let context = join.unwrap_or(INNER);
            return self.join_selectivity(entry.join.map_or(0, |oid| oid.0), operator, left, right, context);
        }
        let Some(restrict) = entry.restrict else { return Ok(0.5) };
        let constant_side = |expr: &Expression| {
            let vars = variables(expr);
            vars.is_empty() || (varno != 0 && vars.iter().all(|var| var.varno != varno))
        };
        let (variable, other, on_left) = match (constant_side(left), constant_side(right)) {
            (false, true) => (left, right, true),
            (true, false) => (right, left, false),
            _ => {
                return Ok(match restrict.0 {
                    estimator::EQ => estimate::DEFAULT_EQ_SEL,
                    estimator::NEQ => 1.0 - estimate::DEFAULT_EQ_SEL,
                    estimator::LT | estimator::GT | estimator::LE | estimator::GE => {
                        estimate::DEFAULT_INEQ_SEL
                    }
                    estimator::MATCHING => estimate::DEFAULT_MATCHING_SEL,
                    _ => estimate::DEFAULT_MATCH_SEL,
                });
            }
        };
        let examined = self.examine(variable)?;
        let value = match without_relabel(other) {
            Expression::Const(constant) => Some(&constant.value),
            _ => None,
        };
        Ok(match restrict.0 {
            estimator::EQ | estimator::NEQ => {
                let function = match restrict.0 {
                    estimator::EQ => Some(entry.function),
                    _ => match entry.negator {
                        Some(negator) => Some(self.global.lookup.operator(negator)?.function),
                        None => None,
                    },
                };
                if value.is_some_and(Value::is_null) {
                    return Ok(0.0);
                }
                let equal = self.equality(&examined, value, function, operator.inputcollid, on_left);
                if restrict.0 == estimator::EQ {
                    equal
                } else {
                    estimate::not_equal(&examined.variable(), equal)
                }
            }
            estimator::LT | estimator::LE | estimator::GT | estimator::GE => {
                let Some(value) = value else { return Ok(estimate::DEFAULT_INEQ_SEL) };
                if value.is_null() {
                    return Ok(0.0);
                }
                let direction = match restrict.0 {
                    estimator::LT => Inequality::Less,
                    estimator::LE => Inequality::LessOrEqual,
                    estimator::GT => Inequality::Greater,
                    _ => Inequality::GreaterOrEqual,
                };
                let direction = if on_left { direction } else { direction.commuted() };
                let mut comparison = ConstantComparison {
                    root: self,
                    function: entry.function,
                    collation: operator.inputcollid,
                    value,
                    on_left,
                    constant_type: other.result_type(),
                    variable,
                };
                estimate::inequality(&examined.variable(), direction, &mut comparison)
            }
            estimator::MATCHING => estimate::DEFAULT_MATCHING_SEL,
            estimator::LIKE | estimator::NOT_LIKE if on_left => {
                let negated = restrict.0 == estimator::NOT_LIKE;
                let matching = if negated { entry.negator } else { Some(operator.opno) };
                match (value, matching) {
                    (Some(Value::Null), _) => 0.0,
                    (Some(Value::Bytes(pattern)), Some(matching)) => {
                        let function = self.global.lookup.operator(matching)?.function;
                        let matched = self.like_selectivity(
                            &examined,
                            variable,
                            pattern,
                            function,
                            operator.inputcollid,
                        )?;
                        if negated { estimate::not_equal(&examined.variable(), matched) } else { matched }
                    }
                    _ if negated => 1.0 - estimate::DEFAULT_MATCH_SEL,
                    _ => estimate::DEFAULT_MATCH_SEL,
                }
            }
            _ => estimate::DEFAULT_MATCH_SEL,
        })
    }

    /// Which part of each side of a merge join lies between the other's ends: `mergejoinscansel`. `None` if
    /// the statistics don't tell.
    pub fn merge_ranges(
        &self,
        left: &Expression,
        right: &Expression,
        key: &PathKey,
        collation: Oid,
    ) -> Result<Option<MergeRanges>> {
        let lookup = &self.global.lookup;
        let (examined_left, examined_right) = (self.examine(left)?, self.examine(right)?);
        let function = |a: &Expression, b: &Expression, strategy: i16| -> Result<Option<Oid>> {
            let operator = lookup.family_operator(key.family, a.result_type(), b.result_type(), strategy)?;
            Ok(match operator {
                Some(operator) => Some(lookup.operator(operator)?.function),
                None => None,
            })
        };
        const LESS: i16 = 1;
        const LESS_OR_EQUAL: i16 = 2;
        const GREATER_OR_EQUAL: i16 = 4;
        const GREATER: i16 = 5;
        let (Some(less_left), Some(less_right)) =
            (function(left, left, LESS)?, function(right, right, LESS)?)
        else {
            return Ok(None);
        };
        let range = |examined: &Examined, less: Oid| {
            let less = |a: &Value, b: &Value| lookup.holds(less, collation, &[a, b]);
            examined.statistics.as_deref().and_then(|statistics| estimate::range(statistics, less))
        };
        let (Some(of_left), Some(of_right)) =
            (range(&examined_left, less_left), range(&examined_right, less_right))
        else {
            return Ok(None);
        };
        // The first and the last value in the order of the merge.
        let ends = |(low, high): (Value, Value)| if key.descending { (high, low) } else { (low, high) };
        let (left_ends, right_ends) = (ends(of_left), ends(of_right));
        let (inclusive, exclusive, to, before) = if key.descending {
            (Inequality::GreaterOrEqual, Inequality::Greater, GREATER_OR_EQUAL, GREATER)
        } else {
            (Inequality::LessOrEqual, Inequality::Less, LESS_OR_EQUAL, LESS)
        };
        let part = |examined: &Examined,
                    variable: &Expression,
                    other: &Expression,
                    value: &Value,
                    strategy: i16,
                    inequality: Inequality| {
            let Some(function) = function(variable, other, strategy)? else { return Ok(None) };
            let mut comparison = ConstantComparison {
                root: self,
                function,
                collation,
                value,
                on_left: true,
                constant_type: other.result_type(),
                variable,
            };
            let part = estimate::inequality(&examined.variable(), inequality, &mut comparison);
            Result::Ok(Some(part).filter(|part| *part != estimate::DEFAULT_INEQ_SEL))
        };
        let left_end = part(&examined_left, left, right, &right_ends.1, to, inclusive)?.unwrap_or(1.0);
        let right_end = part(&examined_right, right, left, &left_ends.1, to, inclusive)?.unwrap_or(1.0);
        // Only one side can end before its own end, and only one begin after its own beginning.
        let (left_end, right_end) = (
            if left_end < right_end { left_end } else { 1.0 },
            if right_end < left_end { right_end } else { 1.0 },
        );
        let left_start = part(&examined_left, left, right, &right_ends.0, before, exclusive)?.unwrap_or(0.0);
        let right_start = part(&examined_right, right, left, &left_ends.0, before, exclusive)?.unwrap_or(0.0);
        let (left_start, right_start) = (
            if left_start > right_start { left_start } else { 0.0 },
            if right_start > left_start { right_start } else { 0.0 },
        );
        let settled = |examined: &Examined, start: f64, end: f64| {
            // Nulls that come first are read, too.
            let nulls = if key.nulls_first { examined.variable().null_fraction() } else { 0.0 };
            let start = estimate::clamp_probability(start + nulls);
            let end = estimate::clamp_probability(end + nulls);
            if start >= end { (0.0, 1.0) } else { (start, end) }
        };
        Ok(Some((
            settled(&examined_left, left_start, left_end),
            settled(&examined_right, right_start, right_end),
        )))
    }

    fn equality(
        &self,
        examined: &Examined,
        value: Option<&Value>,
        function: Option<Oid>,
        collation: Oid,
        on_left: bool,
    ) -> f64 {
        let variable = examined.variable();
        match (value, function) {
            (Some(value), Some(function)) => estimate::equal_to_constant(&variable, |common| {
                let args = if on_left { [common, value] } else { [value, common] };
                self.global.lookup.holds(function, collation, &args)
            }),
            _ => estimate::equal_to_unknown(&variable),
        }
    }

    fn join_selectivity(
        &self,
        estimator: u32,
        operator: &OpExpr,
        left: &Expression,
        right: &Expression,
        join: JoinContext,
    ) -> Result<f64> {
        if estimator != estimator::EQ_JOIN && estimator != estimator::NEQ_JOIN {
            return Ok(match estimator {
                estimator::MATCHING_JOIN => estimate::DEFAULT_MATCHING_SEL,
                107 | 108 | 386 | 398 => estimate::DEFAULT_INEQ_SEL,
                0 => 0.5,
                _ => estimate::DEFAULT_MATCH_SEL,
            });
        }
        let (examined_left, examined_right) = (self.examine(left)?, self.examine(right)?);
        let function = if estimator == estimator::EQ_JOIN {
            operator.opfuncid
        } else {
            match self.global.lookup.operator(operator.opno)?.negator {
                Some(negator) => self.global.lookup.operator(negator)?.function,
                None => return Ok(1.0 - estimate::DEFAULT_EQ_SEL),
            }
        };
        let equal = |a: &Value, b: &Value| self.global.lookup.holds(function, operator.inputcollid, &[a, b]);
        let (l, r) = (examined_left.variable(), examined_right.variable());
        let selectivity = match join.join_type {
            JoinType::Semi | JoinType::Anti => {
                if self.semi_reversed(left, right) {
                    estimate::equal_semi_join(&r, &l, join.inner_rows, |a, b| equal(b, a))
                } else {
                    estimate::equal_semi_join(&l, &r, join.inner_rows, equal)
                }
            }
            _ => estimate::equal_join(&l, &r, equal),
        };
        if estimator == estimator::EQ_JOIN {
            return Ok(selectivity);
        }
        Ok(match join.join_type {
            JoinType::Semi | JoinType::Anti => 1.0 - l.null_fraction(),
            _ => 1.0 - selectivity,
        })
    }

    /// The left argument belongs to the inner side of some semi or anti join.
    fn semi_reversed(&self, left: &Expression, right: &Expression) -> bool {
        let (left, right) = (crate::expression::relids(left), crate::expression::relids(right));
        self.special_joins.iter().any(|special| {
            matches!(special.join_type, JoinType::Semi | JoinType::Anti)
                && left.is_subset_of(&special.syntactic_right)
                && right.is_subset_of(&special.syntactic_left)
        })
    }

    /// `x = ANY (array)` and its kin (`scalararraysel`).
    fn array_selectivity(
        &self,
        test: &ScalarArrayOpExpr,
        varno: u32,
        join: Option<JoinContext>,
    ) -> Result<f64> {
        let entry = self.global.lookup.operator(test.opno)?;
        let is_equality = entry.restrict.map(|oid| oid.0) == Some(estimator::EQ);
        let is_inequality = entry.restrict.map(|oid| oid.0) == Some(estimator::NEQ);
        let elements = self.global.lookup.array_elements(&test.array)?;
        let mut one = |element: Expression| {
            let operator = OpExpr {
                opno: test.opno,
                opfuncid: test.opfuncid,
                result_type: BOOL,
                returns_set: false,
                collation: Oid::INVALID,
                inputcollid: test.inputcollid,
                args: vec![test.scalar.clone(), element],
                location: test.location,
            };
            self.operator_selectivity(&operator, varno, join)
        };
        let selectivities: Vec<f64> = match elements {
            Some(elements) => elements.into_iter().map(&mut one).collect::<Result<_>>()?,
            // Ten elements of unknown value.
            None => {
                let unknown = crate::expression::exec_param(u32::MAX, &test.scalar);
                vec![one(unknown)?; 10]
            }
        };
        let mut selectivity = if test.use_or { 0.0 } else { 1.0 };
        let mut disjoint = selectivity;
        for one in selectivities {
            if test.use_or {
                selectivity += one - selectivity * one;
                disjoint += one;
            } else {
                selectivity *= one;
                disjoint += one - 1.0;
            }
        }
        // Equalities with different constants exclude one another.
        if ((test.use_or && is_equality) || (!test.use_or && is_inequality))
            && (0.0..=1.0).contains(&disjoint)
        {
            selectivity = disjoint;
        }
        Ok(estimate::clamp_probability(selectivity))
    }

    /// Distinct combinations of expressions among `rows` rows (`estimate_num_groups`).
    pub fn group_count(&self, expressions: &[Expression], rows: f64) -> Result<f64> {
        let rows = crate::cost::clamp_rows(rows);
        if expressions.is_empty() {
            return Ok(1.0);
        }
        let mut product = 1.0;
        let mut variables_found: Vec<(Expression, f64, Option<u32>)> = Vec::new();
        for expression in expressions {
            if expression.result_type() == BOOL {
                product *= 2.0;
                continue;
            }
            let parts: Vec<Expression> = match without_relabel(expression) {
                Expression::Var(_) => vec![without_relabel(expression).clone()],
                other => {
                    if variables(other).is_empty() && self.global.lookup.is_volatile(other)? {
                        return Ok(rows);
                    }
                    variables(other).into_iter().map(|var| Expression::Var(var.clone())).collect()
                }
            };
            for part in parts {
                if variables_found.iter().any(|(other, ..)| *other == part) {
                    continue;
                }
                let distinct = self.examine(&part)?.variable().distinct().values;
                let varno = match &part {
                    Expression::Var(var) => Some(var.varno),
                    _ => None,
                };
                variables_found.push((part, distinct, varno));
            }
        }
        self.drop_equal_variables(&mut variables_found);
        while let Some(varno) = variables_found.first().map(|(_, _, varno)| *varno) {
            let (mine, rest): (Vec<_>, Vec<_>) =
                variables_found.into_iter().partition(|(_, _, other)| *other == varno);
            variables_found = rest;
            let distinct: Vec<f64> = mine.iter().map(|(_, distinct, _)| *distinct).collect();
            product *= match varno.and_then(|varno| self.base.get(&varno)) {
                Some(base) => estimate::relation_groups(
                    RelationRows { tuples: base.tuples, rows: base.rows },
                    &distinct,
                ),
                None => distinct.iter().product(),
            };
        }
        Ok(product.ceil().min(rows).max(1.0))
    }

    /// Of variables known to be equal only the one with fewest values counts.
    fn drop_equal_variables(&self, found: &mut Vec<(Expression, f64, Option<u32>)>) {
        let same_class = |a: &Expression, b: &Expression| {
            self.classes.iter().any(|class| {
                class.merged_into.is_none()
                    && class.members.iter().any(|member| member.expr == *a)
                    && class.members.iter().any(|member| member.expr == *b)
            })
        };
        let mut index = 0;
        while index < found.len() {
            let beaten = found.iter().enumerate().any(|(other, (expr, distinct, varno))| {
                other != index
                    && *varno != found[index].2
                    && same_class(expr, &found[index].0)
                    && (*distinct < found[index].1 || (*distinct == found[index].1 && other < index))
            });
            if beaten {
                found.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

/// Bounds seen for one variable.
struct Range {
    variable: Expression,
    low: Option<f64>,
    high: Option<f64>,
}

impl Range {
    fn add(ranges: &mut Vec<Range>, variable: Expression, is_low: bool, selectivity: f64) {
        let index = ranges.iter().position(|range| range.variable == variable).unwrap_or_else(|| {
            ranges.push(Range { variable, low: None, high: None });
            ranges.len() - 1
        });
        let range = &mut ranges[index];
        let slot = if is_low { &mut range.low } else { &mut range.high };
        // Of two bounds of one sort the narrower is used.
        *slot = Some(slot.map_or(selectivity, |other: f64| other.min(selectivity)));
    }
}

struct ConstantComparison<'r, 'g, 'a> {
    root: &'r Root<'g, 'a>,
    function: Oid,
    collation: Oid,
    value: &'r Value,
    on_left: bool,
    constant_type: Oid,
    variable: &'r Expression,
}

impl estimate::CompareConstant for ConstantComparison<'_, '_, '_> {
    fn holds(&mut self, value: &Value) -> bool {
        let args = if self.on_left { [value, self.value] } else { [self.value, value] };
        self.root.global.lookup.holds(self.function, self.collation, &args)
    }

    fn position(&mut self, low: &Value, high: &Value) -> Option<f64> {
        let lookup = &self.root.global.lookup;
        let value = lookup.scalar(self.constant_type, self.value)?;
        let variable_type = self.variable.result_type();
        let (low, high) = (lookup.scalar(variable_type, low)?, lookup.scalar(variable_type, high)?);
        Some(if high <= low {
            0.5
        } else if value <= low {
            0.0
        } else if value >= high {
            1.0
        } else {
            (value - low) / (high - low)
        })
    }

    /// `get_actual_variable_range`: an index that begins with the column is asked.
    fn actual_end(&mut self, highest: bool) -> Option<Value> {
        let Expression::Var(var) = without_relabel(self.variable) else { return None };
        let base = self.root.base.get(&var.varno)?;
        let index = base.indexes.iter().find(|index| {
            index.predicate.is_empty()
                && index.collations[0] == self.collation
                && matches!(&index.columns[0], Expression::Var(column) if column.varattno == var.varattno)
        })?;
        let facts = self.root.global.lookup.facts;
        // Planning goes on with what the statistics say if the index can't be read now.
        facts.index_end(&index.entry, highest != index.descending[0]).ok().flatten()
    }
}
