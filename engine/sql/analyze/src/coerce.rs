//! Type coercion: parse_coerce.c.
//!
//! Which conversions exist between two types in a context ([`Analyzer::pathway`]), applying one to an
//! expression ([`Analyzer::coerce`]), and finding the type that several alternatives share.

use kokkiri_catalog::entries::{CastContext, CastMethod, TypeKind};
use kokkiri_functions::system::text_form;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;

use crate::catalog::category;
use crate::scope::Analyzer;
use crate::tree::*;

/// How freely conversions may be chosen; rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CoercionContext {
    Implicit,
    Assignment,
    Explicit,
}

/// A conversion that is asked for: how freely, how it shows, and where it stands in the statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coercion {
    pub context: CoercionContext,
    pub form: CoercionForm,
    pub location: Location,
}

impl Coercion {
    pub const IMPLICIT: Self = Self {
        context: CoercionContext::Implicit,
        form: CoercionForm::ImplicitCast,
        location: Location::UNKNOWN,
    };
    pub const ASSIGNMENT: Self = Self { context: CoercionContext::Assignment, ..Self::IMPLICIT };
    pub const EXPLICIT: Self = Self {
        context: CoercionContext::Explicit,
        form: CoercionForm::ExplicitCast,
        location: Location::UNKNOWN,
    };

    /// The same without a form of its own.
    fn hidden(self) -> Self {
        Self { form: CoercionForm::ImplicitCast, ..self }
    }
}

/// How to get from one type to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pathway {
    Relabel,
    Function(Oid),
    ViaIo,
    Array,
}

/// Makes a cast one that does not show: `hide_coercion_node`.
fn hide_coercion(expr: &mut Expression) {
    let form = match expr {
        Expression::FuncExpr(cast) => &mut cast.form,
        Expression::RelabelType(cast) => &mut cast.form,
        Expression::CoerceViaIo(cast) => &mut cast.form,
        Expression::ArrayCoerceExpr(cast) => &mut cast.form,
        Expression::ConvertRowtypeExpr(cast) => &mut cast.form,
        Expression::CoerceToDomain(cast) => &mut cast.form,
        _ => return,
    };
    *form = CoercionForm::ImplicitCast;
}

pub(crate) fn is_polymorphic(type_oid: Oid) -> bool {
    matches!(
        type_oid,
        oid::ANYELEMENT
            | oid::ANYARRAY
            | oid::ANYNONARRAY
            | oid::ANYENUM
            | oid::ANYRANGE
            | oid::ANYCOMPATIBLE
            | oid::ANYCOMPATIBLEARRAY
            | oid::ANYCOMPATIBLENONARRAY
            | oid::ANYCOMPATIBLERANGE
    )
}

impl Analyzer<'_> {
    /// PostgreSQL's `can_coerce_type` for one type.
    pub fn can_coerce(&self, from: Oid, to: Oid, context: CoercionContext) -> Result<bool> {
        if from == to || to == oid::ANY || from == oid::UNKNOWN {
            return Ok(true);
        }
        if is_polymorphic(to) {
            return self.fits_polymorphic(from, to);
        }
        if self.pathway(to, from, context)?.is_some() {
            return Ok(true);
        }
        let is_row =
            |type_oid| -> Result<bool> { Ok(self.catalog.type_entry(type_oid)?.kind == TypeKind::Composite) };
        if from == oid::RECORD {
            return is_row(to);
        }
        if to == oid::RECORD {
            return is_row(from);
        }
        Ok(false)
    }

    fn fits_polymorphic(&self, from: Oid, to: Oid) -> Result<bool> {
        let entry = self.catalog.type_entry(self.catalog.base_type(from)?)?;
        Ok(match to {
            oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => {
                entry.array_element().is_some() || from == oid::ANYARRAY
            }
            oid::ANYNONARRAY | oid::ANYCOMPATIBLENONARRAY => entry.array_element().is_none(),
            oid::ANYENUM => entry.kind == TypeKind::Enum,
            oid::ANYRANGE | oid::ANYCOMPATIBLERANGE => entry.kind == TypeKind::Range,
            _ => true,
        })
    }

    /// PostgreSQL's `find_coercion_pathway`.
    pub fn pathway(&self, to: Oid, from: Oid, context: CoercionContext) -> Result<Option<Pathway>> {
        let from = self.catalog.base_type(from)?;
        let to = self.catalog.base_type(to)?;
        if from == to {
            return Ok(Some(Pathway::Relabel));
        }
        if let Some(cast) = self.catalog.cast(from, to)? {
            let needed = match cast.context {
                CastContext::Implicit => CoercionContext::Implicit,
                CastContext::Assignment => CoercionContext::Assignment,
                CastContext::Explicit => CoercionContext::Explicit,
            };
            if context < needed {
                return Ok(None);
            }
            return Ok(match (cast.method, cast.function) {
                (CastMethod::Function, Some(function)) => Some(Pathway::Function(function)),
                (CastMethod::Function, None) => None,
                (CastMethod::InOut, _) => Some(Pathway::ViaIo),
                (CastMethod::Binary, _) => Some(Pathway::Relabel),
            });
        }
        if !matches!(to, oid::OIDVECTOR | oid::INT2VECTOR) {
            let target = self.catalog.type_entry(to)?.array_element();
            let source = self.catalog.type_entry(from)?.array_element();
            if let (Some(target), Some(source)) = (target, source) {
                return Ok(self.pathway(target, source, context)?.map(|_| Pathway::Array));
            }
        }
        // As a last resort, through text: to any string type on assignment, from one explicitly.
        let to_string = self.catalog.category(to)?.0 == category::STRING;
        if context >= CoercionContext::Assignment && to_string {
            return Ok(Some(Pathway::ViaIo));
        }
        let from_string = self.catalog.category(from)?.0 == category::STRING;
        Ok((context >= CoercionContext::Explicit && from_string).then_some(Pathway::ViaIo))
    }

    /// PostgreSQL's `coerce_to_target_type`: `None` if there is no way.
    pub fn coerce_to_target(
        &mut self,
        expr: Expression,
        target: Oid,
        typmod: i32,
        coercion: Coercion,
    ) -> Result<Option<Expression>> {
        let from = expr.result_type();
        if !self.can_coerce(from, target, coercion.context)? {
            return Ok(None);
        }
        // A COLLATE stays on top of the coercion.
        let (expr, collate) = match expr {
            Expression::CollateExpr(collate) => (collate.arg.clone(), Some(collate)),
            expr => (expr, None),
        };
        let original_is_const = matches!(expr, Expression::Const(_));
        let mut result = self.coerce(expr, target, typmod, coercion)?;
        if from != target
            && typmod >= 0
            && result.typmod() != typmod
            && !matches!(result, Expression::Const(_))
        {
            // The cast and its length are shown as one.
            hide_coercion(&mut result);
        }
        let hide = !original_is_const || !matches!(result, Expression::Const(_));
        let of_length = if hide { coercion } else { coercion.hidden() };
        let result = self.coerce_typmod(result, target, typmod, of_length)?;
        Ok(Some(match collate {
            Some(collate) if self.catalog.type_collation(target)?.is_valid() => {
                Expression::CollateExpr(Box::new(CollateExpr { arg: result, ..*collate }))
            }
            _ => result,
        }))
    }

    /// PostgreSQL's `coerce_type`. The caller knows that there is a way.
    pub fn coerce(
        &mut self,
        expr: Expression,
        target: Oid,
        typmod: i32,
        coercion: Coercion,
    ) -> Result<Expression> {
        let from = expr.result_type();
        if from == target || target == oid::ANY {
            return Ok(expr);
        }
        if is_polymorphic(target) {
            // The array types take unknown literals and domains over arrays; the rest takes anything.
            if from != oid::UNKNOWN {
                return Ok(expr);
            }
            if matches!(
                target,
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY
            ) {
                return Ok(expr);
            }
        }
        if from == oid::UNKNOWN {
            if let Expression::Const(constant) = &expr {
                return self.coerce_literal(constant.clone(), target, typmod, coercion.form);
            }
            if let Expression::Param(param) = &expr
                && let Some(result) = self.coerce_parameter(param, target, coercion.location)?
            {
                return Ok(result);
            }
        }
        if let Expression::CollateExpr(collate) = expr {
            let arg = self.coerce(collate.arg, target, typmod, coercion)?;
            if !self.catalog.type_collation(target)?.is_valid() {
                return Ok(arg);
            }
            return Ok(Expression::CollateExpr(Box::new(CollateExpr { arg, ..*collate })));
        }
        if let Some(pathway) = self.pathway(target, from, coercion.context)? {
            return self.apply_pathway(expr, pathway, target, typmod, coercion);
        }
        if target == oid::RECORD {
            return Ok(expr);
        }
        if from == oid::RECORD {
            return self.coerce_record(expr, target, coercion);
        }
        let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(target));
        Err(error!(INTERNAL_ERROR, "failed to find conversion function from {from} to {to}"))
    }

    /// Goes a way that there is; a domain comes last, with its constraints.
    fn apply_pathway(
        &mut self,
        expr: Expression,
        pathway: Pathway,
        target: Oid,
        typmod: i32,
        coercion: Coercion,
    ) -> Result<Expression> {
        let (base, base_typmod) = self.catalog.base_type_and_typmod(target, typmod)?;
        let inner = if base != target { coercion.hidden() } else { coercion };
        let result = match pathway {
            Pathway::Relabel if expr.result_type() == base => expr,
            Pathway::Relabel => {
                let collation = self.catalog.type_collation(base)?;
                let Coercion { form, location, .. } = inner;
                let relabel =
                    RelabelType { arg: expr, result_type: base, typmod: -1, collation, form, location };
                Expression::RelabelType(Box::new(relabel))
            }
            _ => self.build_coercion(expr, pathway, base, base_typmod, inner)?,
        };
        if base == target {
            return Ok(result);
        }
        self.coerce_to_domain(result, (base, base_typmod), target, coercion)
    }

    /// `base` is the type below the domain, with its typmod.
    fn coerce_to_domain(
        &mut self,
        expr: Expression,
        base: (Oid, i32),
        target: Oid,
        coercion: Coercion,
    ) -> Result<Expression> {
        Ok(Expression::CoerceToDomain(Box::new(CoerceToDomain {
            arg: self.coerce_typmod(expr, base.0, base.1, coercion.hidden())?,
            result_type: target,
            typmod: -1,
            collation: self.catalog.type_collation(target)?,
            form: coercion.form,
            location: coercion.location,
        })))
    }

    /// PostgreSQL's `build_coercion_expression`.
    fn build_coercion(
        &mut self,
        expr: Expression,
        pathway: Pathway,
        target: Oid,
        typmod: i32,
        coercion: Coercion,
    ) -> Result<Expression> {
        let Coercion { context, form, location } = coercion;
        let collation = self.catalog.type_collation(target)?;
        match pathway {
            Pathway::Function(funcid) => {
                let function = self.catalog.function(funcid)?;
                let mut args = vec![expr];
                if function.arguments.len() >= 2 {
                    args.push(int4_const(typmod));
                }
                if function.arguments.len() == 3 {
                    args.push(bool_const(context == CoercionContext::Explicit));
                }
                Ok(Expression::FuncExpr(Box::new(FuncExpr {
                    funcid,
                    result_type: target,
                    returns_set: false,
                    variadic: false,
                    form,
                    collation,
                    inputcollid: Oid::INVALID,
                    args,
                    location,
                })))
            }
            Pathway::Array => {
                let source = self.catalog.type_entry(self.catalog.base_type(expr.result_type())?)?;
                let target_entry = self.catalog.type_entry(target)?;
                let (Some(from), Some(to)) = (source.array_element(), target_entry.array_element()) else {
                    return Err(error!(INTERNAL_ERROR, "array coercion between types that are no arrays"));
                };
                let element = CaseTestExpr {
                    type_oid: from,
                    typmod: expr.typmod(),
                    collation: self.catalog.type_collation(from)?,
                };
                let element = self
                    .coerce_to_target(Expression::CaseTestExpr(element), to, typmod, coercion)?
                    .ok_or_else(|| {
                        error!(INTERNAL_ERROR, "failed to coerce array element type as expected")
                    })?;
                let typmod = element.typmod();
                let result_type = target;
                Ok(Expression::ArrayCoerceExpr(Box::new(ArrayCoerceExpr {
                    arg: expr,
                    element,
                    result_type,
                    typmod,
                    collation,
                    form,
                    location,
                })))
            }
            Pathway::ViaIo | Pathway::Relabel => {
                let result_type = target;
                let coerce = CoerceViaIo { arg: expr, result_type, collation, form, location };
                Ok(Expression::CoerceViaIo(Box::new(coerce)))
            }
        }
    }

    fn coerce_record(&mut self, expr: Expression, target: Oid, coercion: Coercion) -> Result<Expression> {
        let Coercion { form, location, .. } = coercion;
        let cannot = |analyzer: &Self, detail: String| {
            let to = analyzer.catalog.type_name(target);
            error!(CANNOT_COERCE, "cannot cast type record to {to}").detail(detail).at_location(location)
        };
        let Expression::RowExpr(row) = expr else {
            return Err(cannot(self, "Input is not a row constructor.".to_owned()));
        };
        let relation = self.catalog.type_entry(target)?.relation;
        let relation = match relation {
            Some(relation) => self.catalog.relation_by_oid(relation)?,
            None => None,
        };
        let Some(relation) = relation else { return Err(cannot(self, "Not a row type.".to_owned())) };
        let mut values = row.args.into_iter();
        let mut args = Vec::new();
        for attribute in relation.relation.tuple_desc.attributes() {
            if attribute.dropped {
                args.push(null_const(oid::INT4));
                continue;
            }
            let Some(value) = values.next() else {
                return Err(cannot(self, "Input has too few columns.".to_owned()));
            };
            let from = value.result_type();
            let coerced = self.coerce_to_target(
                value,
                attribute.type_oid,
                attribute.typmod,
                Coercion { location: Location::UNKNOWN, ..coercion.hidden() },
            )?;
            let Some(coerced) = coerced else {
                let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(attribute.type_oid));
                let column = args.len() + 1;
                return Err(cannot(self, format!("Cannot cast type {from} to {to} in column {column}.")));
            };
            args.push(coerced);
        }
        if values.next().is_some() {
            return Err(cannot(self, "Input has too many columns.".to_owned()));
        }
        let row = RowExpr { args, row_type: target, form, colnames: Vec::new(), location };
        Ok(Expression::RowExpr(Box::new(row)))
    }

    /// PostgreSQL's `coerce_type_typmod`.
    pub fn coerce_typmod(
        &mut self,
        expr: Expression,
        target: Oid,
        typmod: i32,
        coercion: Coercion,
    ) -> Result<Expression> {
        if expr.typmod() == typmod {
            return Ok(expr);
        }
        if typmod < 0 {
            // Nothing is to be done, but the expression must show that its typmod is not known.
            let (collation, result_type) = (expr.collation(), target);
            let Coercion { form, location, .. } = coercion;
            let relabel = RelabelType { arg: expr, result_type, typmod: -1, collation, form, location };
            return Ok(Expression::RelabelType(Box::new(relabel)));
        }
        let entry = self.catalog.type_entry(target)?;
        let (element, is_array) = match entry.array_element() {
            Some(element) => (element, true),
            None => (target, false),
        };
        let Some(function) = self.catalog.cast(element, element)?.and_then(|cast| cast.function) else {
            return Ok(expr);
        };
        let pathway = if is_array { Pathway::Array } else { Pathway::Function(function) };
        self.build_coercion(expr, pathway, target, typmod, coercion)
    }

    /// An unknown literal as a value of a type.
    fn coerce_literal(
        &mut self,
        constant: Const,
        target: Oid,
        typmod: i32,
        form: CoercionForm,
    ) -> Result<Expression> {
        let (base, base_typmod) = self.catalog.base_type_and_typmod(target, typmod)?;
        let entry = self.catalog.type_entry(base)?;
        // Intervals take their typmod on input; for other types the length is applied by a
        // coercion of its own, which may raise errors an input function would not.
        let input_typmod = if base == oid::INTERVAL { base_typmod } else { -1 };
        let location = constant.location;
        let collation = entry.collation;
        let made = |value: Value| {
            Expression::Const(Const { type_oid: base, typmod: input_typmod, collation, value, location })
        };
        let result = match &constant.value {
            Value::Null => made(Value::Null),
            Value::Bytes(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                match text_form::input_text(self.catalog.view(), base, input_typmod, &text, self.io) {
                    Ok(value) => made(value),
                    Err(error) if error.sqlstate() != kokkiri_primitives::SqlState::FEATURE_NOT_SUPPORTED => {
                        return Err(error.at_location(location));
                    }
                    // The type's input is not built: leave it to run time, which may not come to it.
                    _ => Expression::CoerceViaIo(Box::new(CoerceViaIo {
                        arg: Expression::Const(Const { type_oid: oid::CSTRING, ..constant.clone() }),
                        result_type: base,
                        collation,
                        form: CoercionForm::ImplicitCast,
                        location,
                    })),
                }
            }
            _ => Expression::Const(constant.clone()),
        };
        if base == target {
            return Ok(result);
        }
        let coercion = Coercion { context: CoercionContext::Implicit, form, location };
        self.coerce_to_domain(result, (base, base_typmod), target, coercion)
    }

    /// PostgreSQL's `coerce_to_boolean`.
    pub fn coerce_to_boolean(&mut self, expr: Expression, construct: &str) -> Result<Expression> {
        self.coerce_to_specific(expr, oid::BOOL, construct)
    }

    /// PostgreSQL's `coerce_to_specific_type`.
    pub fn coerce_to_specific(
        &mut self,
        expr: Expression,
        target: Oid,
        construct: &str,
    ) -> Result<Expression> {
        let from = expr.result_type();
        let location = expr.location();
        let mut result = expr;
        if from != target {
            let coerced = self.coerce_to_target(result, target, -1, Coercion::ASSIGNMENT)?;
            let Some(coerced) = coerced else {
                let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(target));
                return Err(error!(
                    DATATYPE_MISMATCH,
                    "argument of {construct} must be type {to}, not type {from}"
                )
                .at_location(location));
            };
            result = coerced;
        }
        if self.returns_set(&result)? {
            return Err(error!(DATATYPE_MISMATCH, "argument of {construct} must not return a set")
                .at_location(location));
        }
        Ok(result)
    }

    pub fn returns_set(&self, expr: &Expression) -> Result<bool> {
        Ok(expr.contains(|node| match node {
            Expression::FuncExpr(func) => func.returns_set,
            Expression::OpExpr(op) => op.returns_set,
            _ => false,
        }))
    }

    /// PostgreSQL's `select_common_type`. With no `construct`, `None` stands for failure.
    pub fn common_type(&self, exprs: &[&Expression], construct: Option<&str>) -> Result<Option<Oid>> {
        let Some(first) = exprs.first() else { return Ok(None) };
        let first_type = first.result_type();
        if first_type != oid::UNKNOWN && exprs.iter().all(|expr| expr.result_type() == first_type) {
            return Ok(Some(first_type));
        }
        let mut chosen = self.catalog.base_type(first_type)?;
        let (mut chosen_category, mut chosen_preferred) = self.catalog.category(chosen)?;
        for expr in &exprs[1..] {
            let candidate = self.catalog.base_type(expr.result_type())?;
            if candidate == oid::UNKNOWN || candidate == chosen {
                continue;
            }
            let (category, preferred) = self.catalog.category(candidate)?;
            if chosen == oid::UNKNOWN {
                (chosen, chosen_category, chosen_preferred) = (candidate, category, preferred);
            } else if category != chosen_category {
                let Some(construct) = construct else { return Ok(None) };
                let left = self.catalog.type_name(chosen);
                let right = self.catalog.type_name(candidate);
                return Err(error!(
                    DATATYPE_MISMATCH,
                    "{construct} types {left} and {right} cannot be matched"
                )
                .at_location(expr.location()));
            } else if !chosen_preferred
                && self.can_coerce(chosen, candidate, CoercionContext::Implicit)?
                && !self.can_coerce(candidate, chosen, CoercionContext::Implicit)?
            {
                (chosen, chosen_category, chosen_preferred) = (candidate, category, preferred);
            }
        }
        if chosen == oid::UNKNOWN {
            chosen = oid::TEXT;
        }
        Ok(Some(chosen))
    }

    /// PostgreSQL's `coerce_to_common_type`.
    pub fn coerce_to_common(&mut self, expr: Expression, target: Oid, construct: &str) -> Result<Expression> {
        let from = expr.result_type();
        if from == target {
            return Ok(expr);
        }
        let location = expr.location();
        if self.can_coerce(from, target, CoercionContext::Implicit)? {
            return self.coerce(expr, target, -1, Coercion::IMPLICIT);
        }
        let (from, to) = (self.catalog.type_name(from), self.catalog.type_name(target));
        Err(error!(CANNOT_COERCE, "{construct} could not convert type {from} to {to}").at_location(location))
    }

    /// The typmod the alternatives share: PostgreSQL's `select_common_typmod`.
    pub fn common_typmod(exprs: &[&Expression], common: Oid) -> i32 {
        let mut typmods = exprs.iter().map(|expr| (expr.result_type() == common).then(|| expr.typmod()));
        match typmods.next() {
            Some(Some(first)) if typmods.all(|typmod| typmod == Some(first)) => first,
            _ => -1,
        }
    }
}

pub(crate) fn constant(type_oid: Oid, value: Value, location: Location) -> Expression {
    Expression::Const(Const { type_oid, typmod: -1, collation: Oid::INVALID, value, location })
}

pub(crate) fn int4_const(value: i32) -> Expression {
    constant(oid::INT4, Value::Int32(value), Location::UNKNOWN)
}

pub(crate) fn bool_const(value: bool) -> Expression {
    constant(oid::BOOL, Value::Bool(value), Location::UNKNOWN)
}

pub(crate) fn null_const(type_oid: Oid) -> Expression {
    constant(type_oid, Value::Null, Location::UNKNOWN)
}
