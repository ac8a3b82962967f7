//! Collations: parse_collate.c.
//!
//! After an expression's types are settled, each node learns the collation of its result and the one its
//! function is to use. An explicit COLLATE wins; columns of different collations conflict, which is an error
//! only where a function needs one.

use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};

use crate::catalog::DEFAULT_COLLATION;
use crate::scope::Analyzer;
use crate::tree::*;

/// What is known of an expression's collation; rising strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    None,
    Implicit,
    Conflict,
    Explicit,
}

#[derive(Clone, Copy)]
struct State {
    collation: Oid,
    strength: Strength,
    location: Location,
}

impl State {
    const NONE: Self =
        Self { collation: Oid::INVALID, strength: Strength::None, location: Location::UNKNOWN };

    /// Merges another argument's: `merge_collation_state`.
    fn merge(&mut self, other: State) -> Result<()> {
        if other.strength > self.strength {
            if !(self.strength == Strength::Conflict && other.strength < Strength::Explicit) {
                *self = other;
            }
            return Ok(());
        }
        if other.strength < self.strength {
            return Ok(());
        }
        match other.strength {
            Strength::Implicit if other.collation != self.collation => {
                // Any collation is better than the default one.
                if self.collation == DEFAULT_COLLATION {
                    *self = other;
                } else if other.collation != DEFAULT_COLLATION {
                    self.strength = Strength::Conflict;
                }
            }
            Strength::Explicit if other.collation != self.collation => {
                return Err(error!(COLLATION_MISMATCH, "collation mismatch between explicit collations")
                    .at_location(other.location));
            }
            _ => {}
        }
        Ok(())
    }

    /// The collation a node uses.
    fn settled(self) -> Oid {
        if self.strength == Strength::Conflict { Oid::INVALID } else { self.collation }
    }
}

impl Analyzer<'_> {
    /// Settles the collations of one expression.
    pub fn with_collations(&mut self, mut expr: Expression) -> Result<Expression> {
        self.collate_expression(&mut expr)?;
        Ok(expr)
    }

    /// Settles those of all expressions of a query; its subqueries have been through this.
    pub fn assign_query_collations(&mut self, query: &mut Query) -> Result<()> {
        let mut result = Ok(());
        query.for_each_expression_mut(&mut |expr| {
            if result.is_ok() {
                result = self.collate_expression(expr).map(|_| ());
            }
        });
        result
    }

    fn collate_expression(&mut self, expr: &mut Expression) -> Result<State> {
        kokkiri_primitives::stack::check_depth()?;
        let leaf = |collation: Oid, location: Location| State {
            collation,
            strength: if collation.is_valid() { Strength::Implicit } else { Strength::None },
            location,
        };
        match expr {
            Expression::Var(_)
            | Expression::Const(_)
            | Expression::Param(_)
            | Expression::CaseTestExpr(_)
            | Expression::CoerceToDomainValue(_)
            | Expression::SetToDefault(_)
            | Expression::SqlValueFunction(_)
            | Expression::CurrentOf(_)
            | Expression::NextValue(_) => return Ok(leaf(expr.collation(), expr.location())),
            Expression::CollateExpr(collate) => {
                self.collate_expression(&mut collate.arg)?;
                let (collation, location) = (collate.collation, collate.location);
                return Ok(State { collation, strength: Strength::Explicit, location });
            }
            Expression::SubLink(link) => {
                if let Some(test) = &mut link.testexpr {
                    self.collate_expression(test)?;
                }
                return Ok(leaf(expr.collation(), expr.location()));
            }
            Expression::Aggref(agg) => {
                // ORDER BY expressions of an aggregate are by themselves.
                let mut state = State::NONE;
                for target in &mut agg.args {
                    let found = self.collate_expression(&mut target.expr)?;
                    if !target.resjunk {
                        state.merge(found)?;
                    }
                }
                if let Some(filter) = &mut agg.aggfilter {
                    self.collate_expression(filter)?;
                }
                agg.inputcollid = state.settled();
                let collatable = self.catalog.type_collation(agg.aggtype)?.is_valid();
                agg.aggcollid = if collatable { agg.inputcollid } else { Oid::INVALID };
                return Ok(self.result_state(state, collatable, agg.location));
            }
            Expression::CaseExpr(case) => {
                let mut state = State::NONE;
                if let Some(arg) = &mut case.arg {
                    self.collate_expression(arg)?;
                }
                for when in &mut case.whens {
                    self.collate_expression(&mut when.condition)?;
                    let found = self.collate_expression(&mut when.result)?;
                    state.merge(found)?;
                }
                let found = self.collate_expression(&mut case.default)?;
                state.merge(found)?;
                let collatable = self.catalog.type_collation(case.result_type)?.is_valid();
                case.collation = if collatable { state.settled() } else { Oid::INVALID };
                return Ok(self.result_state(state, collatable, case.location));
            }
            Expression::RowExpr(row) => {
                for arg in &mut row.args {
                    self.collate_expression(arg)?;
                }
                return Ok(State::NONE);
            }
            Expression::RowCompareExpr(row) => {
                for (index, (left, right)) in row.left.iter_mut().zip(&mut row.right).enumerate() {
                    let mut state = self.collate_expression(left)?;
                    let found = self.collate_expression(right)?;
                    state.merge(found)?;
                    row.inputcollids[index] = state.settled();
                }
                return Ok(State::NONE);
            }
            _ => {}
        }
        let mut state = State::NONE;
        let mut failure = Ok(());
        expr.for_each_child_mut(&mut |child| {
            if failure.is_ok() {
                failure = self.collate_expression(child).and_then(|found| state.merge(found));
            }
        });
        failure?;
        let result_type = expr.result_type();
        let collatable = self.catalog.type_collation(result_type)?;
        // A coercion from a type without collation takes the default of its own.
        if collatable.is_valid() && state.strength == Strength::None {
            state = State { collation: collatable, strength: Strength::Implicit, location: expr.location() };
            set_collations(expr, Oid::INVALID, collatable);
        } else {
            let result = if collatable.is_valid() { state.settled() } else { Oid::INVALID };
            set_collations(expr, state.settled(), result);
        }
        Ok(self.result_state(state, collatable.is_valid(), expr.location()))
    }

    fn result_state(&self, state: State, collatable: bool, location: Location) -> State {
        if !collatable {
            return State::NONE;
        }
        match state.strength {
            Strength::None => State { collation: DEFAULT_COLLATION, strength: Strength::Implicit, location },
            _ => state,
        }
    }
}

/// Stores the input and the result collation in nodes that have them.
fn set_collations(expr: &mut Expression, input: Oid, result: Oid) {
    match expr {
        Expression::FuncExpr(func) => (func.inputcollid, func.collation) = (input, result),
        Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
            (op.inputcollid, op.collation) = (input, result)
        }
        Expression::ScalarArrayOpExpr(op) => op.inputcollid = input,
        Expression::WindowFunc(func) => (func.inputcollid, func.wincollid) = (input, result),
        Expression::MinMaxExpr(minmax) => (minmax.inputcollid, minmax.collation) = (input, result),
        Expression::CoalesceExpr(coalesce) => coalesce.collation = result,
        Expression::RelabelType(relabel) => relabel.collation = result,
        Expression::CoerceViaIo(coerce) => coerce.collation = result,
        Expression::ArrayCoerceExpr(coerce) => coerce.collation = result,
        Expression::CoerceToDomain(coerce) => coerce.collation = result,
        Expression::ArrayExpr(array) => array.collation = result,
        Expression::SubscriptingRef(subscript) => subscript.collation = result,
        _ => {}
    }
}
