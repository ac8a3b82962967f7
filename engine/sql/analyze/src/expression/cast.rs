//! Casts, ARRAY constructors, into which a cast reaches, and COLLATE.
//!
//! Realises: `transformTypeCast`, `transformArrayExpr`, `transformCollateClause` (parse_expr.c).

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, error, stack};
use kokkiri_types::builtin::oid;

use crate::coerce::Coercion;
use crate::scope::Analyzer;
use crate::tree::*;

impl Analyzer<'_> {
    pub(super) fn type_cast(&mut self, cast: &raw::TypeCast) -> Result<Expression> {
        let (target, typmod) = self.resolve_type(&cast.type_name)?;
        let arg = match &cast.arg {
            // The type asked for reaches into an array's elements.
            raw::Expr::Array { elements, location, .. } => {
                let (base, base_typmod) = self.catalog.base_type_and_typmod(target, typmod)?;
                match self.catalog.type_entry(base)?.array_element() {
                    Some(element) => self.array(elements, Some((base, element, base_typmod)), *location)?,
                    None => self.expression(&cast.arg)?,
                }
            }
            arg => self.expression(arg)?,
        };
        let from = arg.result_type();
        // Where the cast stands, or where the type does for `type 'literal'`.
        let location = match cast.location.offset() {
            Some(_) => cast.location,
            None => cast.type_name.location,
        };
        match self.coerce_to_target(arg, target, typmod, Coercion { location, ..Coercion::EXPLICIT })? {
            Some(result) => Ok(result),
            None => Err(self.cannot_cast(from, target, location)),
        }
    }

    fn cannot_cast(&self, from: Oid, to: Oid, location: Location) -> Error {
        let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(to));
        error!(CANNOT_COERCE, "cannot cast type {from} to {to}").at_location(location)
    }

    /// PostgreSQL's `transformArrayExpr`; `target` is the array type a cast asks for.
    pub(super) fn array(
        &mut self,
        elements: &[raw::Expr],
        target: Option<(Oid, Oid, i32)>,
        location: Location,
    ) -> Result<Expression> {
        stack::check_depth()?;
        let mut multidims = false;
        let mut items = Vec::new();
        for element in elements {
            let item = match element {
                raw::Expr::Array { elements, location, .. } => {
                    multidims = true;
                    self.array(elements, target, *location)?
                }
                element => {
                    let item = self.expression(element)?;
                    let is_array = item.result_type() != oid::UNKNOWN
                        && self.catalog.type_entry(item.result_type())?.array_element().is_some();
                    multidims |= is_array;
                    item
                }
            };
            items.push(item);
        }
        let (array_type, element_type, hard) = match target {
            Some((array, element, _)) => (array, if multidims { array } else { element }, true),
            None if items.is_empty() => {
                return Err(error!(INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                    .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                    .at_location(location));
            }
            None => {
                let refs: Vec<&Expression> = items.iter().collect();
                let common = self.common_type(&refs, Some("ARRAY"))?.unwrap_or(oid::TEXT);
                if multidims {
                    (common, common, false)
                } else {
                    match self.catalog.type_entry(common)?.array {
                        Some(array) => (array, common, false),
                        None => {
                            let name = self.catalog.type_name(common);
                            let message = format!("could not find array type for data type {name}");
                            return Err(error!(UNDEFINED_OBJECT, "{message}").at_location(location));
                        }
                    }
                }
            }
        };
        let typmod = target.map_or(-1, |(.., typmod)| typmod);
        let mut coerced = Vec::new();
        for item in items {
            if !hard {
                coerced.push(self.coerce_to_common(item, element_type, "ARRAY")?);
                continue;
            }
            let from = item.result_type();
            let at = item.location();
            match self.coerce_to_target(item, element_type, typmod, Coercion::EXPLICIT)? {
                Some(item) => coerced.push(item),
                None => return Err(self.cannot_cast(from, element_type, at)),
            }
        }
        let base = if multidims {
            self.catalog.type_entry(array_type)?.array_element().unwrap_or(element_type)
        } else {
            element_type
        };
        Ok(Expression::ArrayExpr(Box::new(ArrayExpr {
            array_type,
            collation: Oid::INVALID,
            element_type: base,
            elements: coerced,
            multidims,
            location,
        })))
    }

    pub(super) fn collate(&mut self, clause: &raw::CollateClause) -> Result<Expression> {
        let location = clause.location;
        let arg = self.expression(&clause.arg)?;
        let type_oid = arg.result_type();
        if type_oid != oid::UNKNOWN && !self.catalog.type_collation(type_oid)?.is_valid() {
            let name = self.catalog.type_name(type_oid);
            return Err(error!(DATATYPE_MISMATCH, "collations are not supported by type {name}")
                .at_location(location));
        }
        let collation = self.find_collation(&clause.collation, location)?;
        Ok(Expression::CollateExpr(Box::new(CollateExpr { arg, collation, location })))
    }

    pub fn find_collation(&mut self, name: &[String], location: Location) -> Result<Oid> {
        let (schema, bare) = crate::function::split_name(name)?;
        self.catalog.collation_by_name(schema, bare)?.ok_or_else(|| {
            error!(UNDEFINED_OBJECT, "collation \"{}\" for encoding \"UTF8\" does not exist", name.join("."))
                .at_location(location)
        })
    }
}
