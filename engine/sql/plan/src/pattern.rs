//! What a LIKE pattern selects.
//!
//! Realises: the estimating part of `like_support.c`. A pattern without wildcards is a value; another one
//! has a fixed prefix, which bounds a range, and a rest whose characters each narrow it a little.

use kokkiri_analyze::tree::{Expression, OpExpr};
use kokkiri_primitives::{Oid, Result};
use kokkiri_statistics::selectivity as estimate;
use kokkiri_types::Value;

use crate::expression::{BOOL, constant};
use crate::root::Root;
use crate::selectivity::Examined;

const FIXED_CHARACTER: f64 = 0.20;
const ANY_CHARACTER: f64 = 0.9;
const FULL_WILDCARD: f64 = 5.0;

/// A pattern, taken apart.
struct Pattern {
    prefix: Vec<u8>,
    /// Nothing follows the prefix: only one value matches.
    is_exact: bool,
    /// Selectivity of what follows the prefix.
    rest: f64,
}

impl Pattern {
    /// `like_fixed_prefix`.
    fn of_like(pattern: &[u8]) -> Self {
        let mut prefix = Vec::new();
        let mut at = 0;
        while at < pattern.len() && !matches!(pattern[at], b'%' | b'_') {
            if pattern[at] == b'\\' {
                at += 1;
                if at == pattern.len() {
                    break;
                }
            }
            prefix.push(pattern[at]);
            at += 1;
        }
        let is_exact = at >= pattern.len();
        Self { prefix, is_exact, rest: Self::rest(&pattern[at.min(pattern.len())..]) }
    }

    /// `like_selectivity`.
    fn rest(mut rest: &[u8]) -> f64 {
        // The leading wildcards were counted by whoever cut the prefix off: they select all.
        while let [b'%' | b'_', tail @ ..] = rest {
            rest = tail;
        }
        let mut selectivity = 1.0;
        let mut bytes = rest.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => selectivity *= FULL_WILDCARD,
                b'_' => selectivity *= ANY_CHARACTER,
                b'\\' if bytes.next().is_none() => break,
                _ => selectivity *= FIXED_CHARACTER,
            }
        }
        f64::min(selectivity, 1.0)
    }
}

impl Root<'_, '_> {
    /// Selectivity of `variable LIKE pattern`; `function` is the operator's.
    pub fn like_selectivity(
        &self,
        examined: &Examined,
        variable: &Expression,
        pattern: &[u8],
        function: Oid,
        collation: Oid,
    ) -> Result<f64> {
        let parts = Pattern::of_like(pattern);
        if parts.is_exact {
            let condition = self.comparison(variable, &parts.prefix, EQUAL, collation)?;
            return match condition {
                Some(condition) => self.selectivity(&condition, 0, None),
                None => Ok(estimate::DEFAULT_MATCH_SEL),
            };
        }
        let value = Value::from(pattern.to_vec());
        let heuristic = self.prefix_selectivity(examined, variable, &parts, collation)? * parts.rest;
        Ok(estimate::pattern(
            &examined.variable(),
            |candidate| self.global.lookup.holds(function, collation, &[candidate, &value]),
            || heuristic,
        ))
    }

    /// The part of a column that begins with the prefix: `prefix_selectivity`.
    fn prefix_selectivity(
        &self,
        examined: &Examined,
        variable: &Expression,
        parts: &Pattern,
        collation: Oid,
    ) -> Result<f64> {
        if parts.prefix.is_empty() {
            return Ok(1.0);
        }
        if examined.statistics.as_ref().is_none_or(|statistics| statistics.histogram.is_none()) {
            return Ok(estimate::DEFAULT_MATCH_SEL);
        }
        let part = |bytes: &[u8], strategy: i16| -> Result<Option<f64>> {
            match self.comparison(variable, bytes, strategy, collation)? {
                Some(condition) => self.selectivity(&condition, 0, None).map(Some),
                None => Ok(None),
            }
        };
        let Some(mut selectivity) = part(&parts.prefix, GREATER_OR_EQUAL)? else {
            return Ok(estimate::DEFAULT_MATCH_SEL);
        };
        if let Some(next) = next_prefix(&parts.prefix)
            && let Some(below) = part(&next, LESS)?
        {
            selectivity += below - 1.0;
        }
        // No prefix is rarer than the value that it is itself.
        let equal = part(&parts.prefix, EQUAL)?.unwrap_or(0.0);
        Ok(estimate::clamp_probability(selectivity.max(equal)))
    }

    /// `variable <operator> value`, the operator that of the type's default order.
    fn comparison(
        &self,
        variable: &Expression,
        bytes: &[u8],
        strategy: i16,
        collation: Oid,
    ) -> Result<Option<Expression>> {
        const TEXT: Oid = Oid(25);
        const TEXT_OPS: Oid = Oid(1994);
        let lookup = &self.global.lookup;
        let type_oid = lookup.family_type(TEXT_OPS, variable.result_type())?;
        if type_oid != TEXT {
            return Ok(None);
        }
        let Some(opno) = lookup.family_operator(TEXT_OPS, TEXT, TEXT, strategy)? else { return Ok(None) };
        let right = constant(TEXT, -1, collation, Value::from(bytes.to_vec()));
        Ok(Some(Expression::OpExpr(Box::new(OpExpr {
            opno,
            opfuncid: lookup.operator(opno)?.function,
            result_type: BOOL,
            returns_set: false,
            collation: Oid::INVALID,
            inputcollid: collation,
            args: vec![variable.clone(), right],
            location: kokkiri_parse::Location::UNKNOWN,
        }))))
    }
}

const LESS: i16 = 1;
const EQUAL: i16 = 3;
const GREATER_OR_EQUAL: i16 = 4;

/// The least text that is greater than all that begin with `prefix` (`make_greater_string`).
fn next_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(prefix).ok()?;
    let mut characters: Vec<char> = text.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = (u32::from(last) + 1..)
            .map_while(|code| (code <= 0x10ffff).then_some(code))
            .find_map(char::from_u32)
        {
            characters.push(next);
            return Some(characters.into_iter().collect::<String>().into_bytes());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_prefix_and_a_rest() {
        let partial = Pattern::of_like(b"item 1%");
        assert_eq!((partial.prefix.as_slice(), partial.is_exact, partial.rest), (&b"item 1"[..], false, 1.0));
        let exact = Pattern::of_like(br"50\%");
        assert_eq!((exact.prefix.as_slice(), exact.is_exact), (&b"50%"[..], true));
        assert_eq!(Pattern::of_like(b"%ab").rest, FIXED_CHARACTER * FIXED_CHARACTER);
        assert_eq!(next_prefix(b"az").as_deref(), Some(&b"a{"[..]));
    }
}
