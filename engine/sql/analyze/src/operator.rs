//! Choosing operators: parse_oper.c.

use std::sync::Arc;

use kokkiri_catalog::entries::OperatorEntry;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::coerce::Coercion;
use crate::function::{accepts, select_candidate, split_name};
use crate::scope::Analyzer;
use crate::tree::*;

#[derive(Clone)]
struct Candidate {
    operator: Arc<OperatorEntry>,
    args: Vec<Oid>,
}

impl Analyzer<'_> {
    /// The operator for operands of these types; `left` is absent for a prefix operator.
    pub fn find_operator(
        &self,
        name: &[String],
        left: Option<Oid>,
        right: Oid,
        location: Location,
    ) -> Result<Arc<OperatorEntry>> {
        let (schema, bare) = split_name(name)?;
        if let Some(exact) = self.exact_operator(schema, bare, left, right)? {
            return Ok(exact);
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (_, operator) in self.catalog.operators(schema, bare)? {
            if operator.left.is_some() != left.is_some() {
                continue;
            }
            let args: Vec<Oid> = operator.left.into_iter().chain([operator.right]).collect();
            // Earlier on the path hides the same operands later.
            if !candidates.iter().any(|candidate| candidate.args == args) {
                candidates.push(Candidate { operator, args });
            }
        }
        let inputs: Vec<Oid> = left.into_iter().chain([right]).collect();
        let mut fitting = Vec::new();
        for candidate in candidates {
            if accepts(self, &inputs, &candidate.args)? {
                fitting.push(candidate);
            }
        }
        let several = fitting.len() > 1;
        let chosen = match fitting.len() {
            0 => None,
            1 => fitting.pop(),
            _ => select_candidate(self, &inputs, fitting, |candidate| &candidate.args)?,
        };
        match chosen {
            Some(chosen) if chosen.operator.function.is_valid() => Ok(chosen.operator),
            Some(_) => {
                let signature = self.operator_signature(name, left, right);
                Err(error!(UNDEFINED_FUNCTION, "operator is only a shell: {signature}").at_location(location))
            }
            None => Err(self.no_operator(name, left, right, several, location)),
        }
    }

    /// A match without coercion; of two operands an unknown literal counts as the other's type.
    fn exact_operator(
        &self,
        schema: Option<&str>,
        name: &str,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Option<Arc<OperatorEntry>>> {
        let supposed = match (left, right) {
            (Some(oid::UNKNOWN), known) if known != oid::UNKNOWN => Some(known),
            (Some(known), oid::UNKNOWN) if known != oid::UNKNOWN => Some(known),
            _ => None,
        };
        let Some(supposed) = supposed else {
            return self.catalog.operator_for(schema, name, left, right);
        };
        if let Some(found) = self.catalog.operator_for(schema, name, Some(supposed), supposed)? {
            return Ok(Some(found));
        }
        let base = self.catalog.base_type(supposed)?;
        if base == supposed {
            return Ok(None);
        }
        self.catalog.operator_for(schema, name, Some(base), base)
    }

    fn operator_signature(&self, name: &[String], left: Option<Oid>, right: Oid) -> String {
        let right = self.catalog.type_name(right);
        match left {
            Some(left) => format!("{} {} {right}", self.catalog.type_name(left), name.join(".")),
            None => format!("{} {right}", name.join(".")),
        }
    }

    fn no_operator(
        &self,
        name: &[String],
        left: Option<Oid>,
        right: Oid,
        several: bool,
        location: Location,
    ) -> Error {
        let signature = self.operator_signature(name, left, right);
        let error = if several {
            error!(AMBIGUOUS_FUNCTION, "operator is not unique: {signature}").hint(
                "Could not choose a best candidate operator. You might need to add explicit type casts.",
            )
        } else if left.is_some() {
            error!(UNDEFINED_FUNCTION, "operator does not exist: {signature}").hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            )
        } else {
            error!(UNDEFINED_FUNCTION, "operator does not exist: {signature}").hint(
                "No operator matches the given name and argument type. You might need to add an explicit type cast.",
            )
        };
        error.at_location(location)
    }

    /// `left op right`: PostgreSQL's `make_op`.
    pub fn make_operator(
        &mut self,
        name: &[String],
        left: Option<Expression>,
        right: Expression,
        location: Location,
    ) -> Result<Expression> {
        let left_type = left.as_ref().map(Expression::result_type);
        let operator = self.find_operator(name, left_type, right.result_type(), location)?;
        let args: Vec<Expression> = left.into_iter().chain([right]).collect();
        let actual: Vec<Oid> = args.iter().map(Expression::result_type).collect();
        let mut declared: Vec<Oid> = operator.left.into_iter().chain([operator.right]).collect();
        let result_type = self.settle_polymorphics(&actual, &mut declared, operator.result, location)?;
        let args = self.coerce_operands(args, &declared)?;
        let function = self.catalog.function(operator.function)?;
        if function.returns_set {
            self.check_set_returning(location)?;
        }
        Ok(Expression::OpExpr(Box::new(OpExpr {
            opno: operator.oid,
            opfuncid: operator.function,
            result_type,
            returns_set: function.returns_set,
            collation: Oid::INVALID,
            inputcollid: Oid::INVALID,
            args,
            location,
        })))
    }

    fn coerce_operands(&mut self, args: Vec<Expression>, declared: &[Oid]) -> Result<Vec<Expression>> {
        args.into_iter()
            .zip(declared)
            .map(|(arg, target)| self.coerce(arg, *target, -1, Coercion::IMPLICIT))
            .collect()
    }

    /// `scalar op ANY/ALL (array)`: PostgreSQL's `make_scalar_array_op`.
    pub fn make_scalar_array_operator(
        &mut self,
        name: &[String],
        use_or: bool,
        scalar: Expression,
        array: Expression,
        location: Location,
    ) -> Result<Expression> {
        let array_type = array.result_type();
        let element = if array_type == oid::UNKNOWN {
            oid::UNKNOWN
        } else {
            let entry = self.catalog.type_entry(self.catalog.base_type(array_type)?)?;
            entry.array_element().ok_or_else(|| {
                error!(WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side")
                    .at_location(location)
            })?
        };
        let operator = self.find_operator(name, Some(scalar.result_type()), element, location)?;
        let actual = [scalar.result_type(), element];
        let mut declared = vec![operator.left.unwrap_or_default(), operator.right];
        let result = self.settle_polymorphics(&actual, &mut declared, operator.result, location)?;
        if result != oid::BOOL {
            return Err(error!(WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires operator to yield boolean")
                .at_location(location));
        }
        if self.catalog.function(operator.function)?.returns_set {
            let message = "op ANY/ALL (array) requires operator not to return a set";
            return Err(error!(WRONG_OBJECT_TYPE, "{message}").at_location(location));
        }
        let target = match self.catalog.type_entry(declared[1])?.array {
            Some(array) => array,
            None => {
                let name = self.catalog.type_name(declared[1]);
                return Err(error!(UNDEFINED_OBJECT, "could not find array type for data type {name}")
                    .at_location(location));
            }
        };
        let scalar = self.coerce(scalar, declared[0], -1, Coercion::IMPLICIT)?;
        let array = self.coerce(array, target, -1, Coercion::IMPLICIT)?;
        Ok(Expression::ScalarArrayOpExpr(Box::new(ScalarArrayOpExpr {
            opno: operator.oid,
            opfuncid: operator.function,
            use_or,
            inputcollid: Oid::INVALID,
            scalar,
            array,
            location,
        })))
    }

    /// The `=` of two types that can be told apart by IS DISTINCT FROM and NULLIF: must yield boolean.
    pub fn make_equality(
        &mut self,
        name: &[String],
        left: Expression,
        right: Expression,
        construct: &str,
        location: Location,
    ) -> Result<OpExpr> {
        match self.make_operator(name, Some(left), right, location)? {
            Expression::OpExpr(op) if op.returns_set => {
                Err(error!(DATATYPE_MISMATCH, "{construct} must not return a set").at_location(location))
            }
            Expression::OpExpr(op) if op.result_type == oid::BOOL => Ok(*op),
            _ => Err(error!(DATATYPE_MISMATCH, "{construct} requires = operator to yield boolean")
                .at_location(location)),
        }
    }
}
