//! Choosing functions: parse_func.c's overload resolution, and the calls it builds.

use std::sync::Arc;

use kokkiri_catalog::entries::{ArgumentMode, FunctionEntry, FunctionKind};
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::catalog::category;
use crate::coerce::{Coercion, CoercionContext, is_polymorphic};
use crate::scope::Analyzer;
use crate::tree::*;

/// A function that a call may mean, seen with the call's number of arguments.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub function: Arc<FunctionEntry>,
    pub path: usize,
    /// Declared types, a variadic parameter expanded and defaults cut.
    pub args: Vec<Oid>,
    /// For each parameter, which actual argument it takes; empty without named arguments.
    pub order: Vec<Option<usize>>,
    pub expanded_variadic: bool,
    pub defaults_used: usize,
}

/// What a call was resolved to.
pub(crate) struct Resolved {
    pub function: Arc<FunctionEntry>,
    pub args: Vec<Expression>,
    pub result_type: Oid,
    pub variadic: bool,
}

/// Chooses among candidates by the types of the actual arguments: PostgreSQL's `func_select_candidate`.
/// `args_of` shows a candidate's declared types.
pub(crate) fn select_candidate<C: Clone>(
    analyzer: &Analyzer<'_>,
    inputs: &[Oid],
    mut candidates: Vec<C>,
    args_of: impl Fn(&C) -> &[Oid],
) -> Result<Option<C>> {
    let catalog = analyzer.catalog;
    let mut bases = Vec::with_capacity(inputs.len());
    for input in inputs {
        bases.push(if *input == oid::UNKNOWN { oid::UNKNOWN } else { catalog.base_type(*input)? });
    }
    let unknowns = bases.iter().filter(|base| **base == oid::UNKNOWN).count();
    // Most exact matches.
    let keep_best = |candidates: Vec<C>, score: &dyn Fn(&C) -> Result<usize>| -> Result<Vec<C>> {
        let mut best = 0;
        let mut kept: Vec<C> = Vec::new();
        for candidate in candidates {
            let matches = score(&candidate)?;
            if matches > best || kept.is_empty() {
                best = matches;
                kept.clear();
                kept.push(candidate);
            } else if matches == best {
                kept.push(candidate);
            }
        }
        Ok(kept)
    };
    candidates = keep_best(candidates, &|candidate| {
        let pairs = bases.iter().zip(args_of(candidate));
        Ok(pairs.filter(|(base, arg)| **base != oid::UNKNOWN && base == arg).count())
    })?;
    if candidates.len() == 1 {
        return Ok(candidates.pop());
    }
    // Most exact or preferred ones.
    let mut categories = Vec::with_capacity(bases.len());
    for base in &bases {
        categories.push(catalog.category(*base)?.0);
    }
    candidates = keep_best(candidates, &|candidate| {
        let mut matches = 0;
        for ((base, arg), slot) in bases.iter().zip(args_of(candidate)).zip(&categories) {
            if *base == oid::UNKNOWN {
                continue;
            }
            let (category, preferred) = catalog.category(*arg)?;
            if base == arg || (preferred && category == *slot) {
                matches += 1;
            }
        }
        Ok(matches)
    })?;
    if candidates.len() == 1 {
        return Ok(candidates.pop());
    }
    if unknowns == 0 {
        return Ok(None);
    }
    // A category for each unknown literal: string if any candidate takes one, else the one all agree on.
    let mut resolved = true;
    let mut slots = Vec::new();
    for (position, base) in bases.iter().enumerate() {
        if *base != oid::UNKNOWN {
            continue;
        }
        let mut slot: Option<(u8, bool)> = None;
        let mut conflict = false;
        for candidate in &candidates {
            let (category, preferred) = catalog.category(args_of(candidate)[position])?;
            match slot {
                None => slot = Some((category, preferred)),
                Some((known, any)) if known == category => slot = Some((known, any || preferred)),
                Some(_) if category == category::STRING => slot = Some((category, preferred)),
                Some(_) => conflict = true,
            }
        }
        let Some((known, preferred)) = slot else { continue };
        if conflict && known != category::STRING {
            resolved = false;
            break;
        }
        slots.push((position, known, preferred));
    }
    if resolved {
        let mut kept = Vec::new();
        for candidate in &candidates {
            let mut fits = true;
            for (position, slot, wants_preferred) in &slots {
                let (category, preferred) = catalog.category(args_of(candidate)[*position])?;
                fits &= category == *slot && (preferred || !wants_preferred);
            }
            if fits {
                kept.push(candidate.clone());
            }
        }
        if !kept.is_empty() {
            candidates = kept;
        }
        if candidates.len() == 1 {
            return Ok(candidates.pop());
        }
    }
    // If all known arguments have one type, suppose that the unknown ones have it too.
    let mut known = bases.iter().filter(|base| **base != oid::UNKNOWN);
    if let Some(first) = known.next()
        && known.all(|base| base == first)
    {
        let supposed = vec![*first; bases.len()];
        let mut fitting = Vec::new();
        for candidate in candidates {
            if accepts(analyzer, &supposed, args_of(&candidate))? {
                fitting.push(candidate);
            }
        }
        if fitting.len() == 1 {
            return Ok(fitting.pop());
        }
    }
    Ok(None)
}

/// True if the arguments can be coerced implicitly: `can_coerce_type` over lists.
pub(crate) fn accepts(analyzer: &Analyzer<'_>, inputs: &[Oid], declared: &[Oid]) -> Result<bool> {
    for (input, declared) in inputs.iter().zip(declared) {
        if !analyzer.can_coerce(*input, *declared, CoercionContext::Implicit)? {
            return Ok(false);
        }
    }
    Ok(!declared.iter().any(|arg| is_polymorphic(*arg)) || analyzer.polymorphics_agree(inputs, declared)?)
}

/// Splits a function's or operator's name into schema and name.
pub(crate) fn split_name(name: &[String]) -> Result<(Option<&str>, &str)> {
    match name {
        [name] => Ok((None, name)),
        [schema, name] | [_, schema, name] => Ok((Some(schema), name)),
        _ => Err(error!(SYNTAX_ERROR, "improper qualified name (too many dotted names): {}", name.join("."))),
    }
}

impl Analyzer<'_> {
    /// PostgreSQL's `FuncnameGetCandidates`.
    fn function_candidates(
        &self,
        schema: Option<&str>,
        name: &str,
        count: usize,
        names: &[String],
        expand_variadic: bool,
    ) -> Result<Vec<Candidate>> {
        let positional = count - names.len();
        let mut candidates: Vec<Candidate> = Vec::new();
        for (path, function) in self.catalog.functions(schema, name)? {
            let declared = &function.arguments;
            let variadic = expand_variadic && function.variadic.is_some() && names.is_empty();
            let order = if names.is_empty() {
                Vec::new()
            } else {
                match named_order(&function, positional, count, names) {
                    Some(order) => order,
                    None => continue,
                }
            };
            let mut candidate = Candidate {
                path,
                args: declared.to_vec(),
                order,
                expanded_variadic: false,
                defaults_used: 0,
                function: Arc::clone(&function),
            };
            if variadic && count >= declared.len() {
                let Some(element) = function.variadic else { continue };
                candidate.args.pop();
                candidate.args.resize(count, element);
                candidate.expanded_variadic = true;
                let plain = declared.len() == count;
                // The same function without expansion is preferred by an exact array argument only.
                if plain {
                    candidates.push(Candidate {
                        args: declared.to_vec(),
                        order: Vec::new(),
                        expanded_variadic: false,
                        ..candidate.clone()
                    });
                }
            } else if names.is_empty() {
                if declared.len() < count || declared.len() - count > function.default_count {
                    continue;
                }
                candidate.defaults_used = declared.len() - count;
                candidate.args.truncate(count);
            } else {
                candidate.defaults_used = declared.len() - count;
                candidate.args = named_args(&candidate.order, declared, count);
            }
            candidates.push(candidate);
        }
        // What stands earlier on the path hides the same arguments later; a plain function hides a
        // variadic or defaulted one.
        let mut visible: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            match visible.iter_mut().find(|other| other.args == candidate.args) {
                None => visible.push(candidate),
                Some(other) => {
                    let rank = |c: &Candidate| (c.path, c.expanded_variadic, c.defaults_used);
                    if rank(&candidate) < rank(other) {
                        *other = candidate;
                    }
                }
            }
        }
        Ok(visible)
    }

    /// Resolves a call: PostgreSQL's `func_get_detail`, with defaults and polymorphic types settled.
    /// `Ok(None)` if no function fits; ambiguity is an error.
    pub fn resolve_function(
        &mut self,
        name: &[String],
        args: Vec<Expression>,
        names: &[String],
        variadic: bool,
        location: Location,
    ) -> Result<Result<Resolved, Vec<Expression>>> {
        let (schema, bare) = split_name(name)?;
        let inputs: Vec<Oid> = args.iter().map(Expression::result_type).collect();
        let candidates = self
            .function_candidates(schema, bare, inputs.len(), names, !variadic)
            .map_err(|error| error.at_location(location))?;
        let exact = candidates.iter().find(|candidate| candidate.args == inputs).cloned();
        let chosen = match exact {
            Some(exact) => exact,
            None => {
                let mut fitting = Vec::new();
                for candidate in candidates {
                    if accepts(self, &inputs, &candidate.args)? {
                        fitting.push(candidate);
                    }
                }
                if fitting.is_empty() {
                    return Ok(Err(args));
                }
                if fitting.len() == 1 {
                    fitting.swap_remove(0)
                } else {
                    match select_candidate(self, &inputs, fitting, |candidate| &candidate.args)? {
                        Some(chosen) => chosen,
                        None => {
                            let signature = self.signature(name, names, &inputs);
                            return Err(error!(AMBIGUOUS_FUNCTION, "function {signature} is not unique")
                                .hint(
                                    "Could not choose a best candidate function. \
                                 You might need to add explicit type casts.",
                                )
                                .at_location(location));
                        }
                    }
                }
            }
        };
        self.finish_resolution(chosen, args, variadic, location).map(Ok)
    }

    fn finish_resolution(
        &mut self,
        chosen: Candidate,
        args: Vec<Expression>,
        variadic: bool,
        location: Location,
    ) -> Result<Resolved> {
        let function = chosen.function;
        let mut declared = chosen.args;
        let mut args = args;
        if !chosen.order.is_empty() {
            (args, declared) = reorder(args, &chosen.order, &function.arguments);
        }
        if chosen.defaults_used > 0 {
            (args, declared) = self.add_defaults(&function, args, declared, &chosen.order)?;
        }
        let actual: Vec<Oid> = args.iter().map(Expression::result_type).collect();
        let result_type = self.settle_polymorphics(&actual, &mut declared, function.returns, location)?;
        let mut coerced = Vec::with_capacity(args.len());
        for (arg, target) in args.into_iter().zip(&declared) {
            coerced.push(self.coerce(arg, *target, -1, Coercion::IMPLICIT)?);
        }
        let mut args = coerced;
        let mut is_variadic = variadic;
        if chosen.expanded_variadic {
            let fixed = function.arguments.len() - 1;
            // VARIADIC "any" takes its arguments as they are.
            if function.variadic != Some(oid::ANY) {
                let rest = args.split_off(fixed);
                args.push(self.variadic_array(rest, location)?);
                is_variadic = true;
            }
        }
        Ok(Resolved { function, args, result_type, variadic: is_variadic })
    }

    fn variadic_array(&mut self, elements: Vec<Expression>, location: Location) -> Result<Expression> {
        let element_type = elements.first().map_or(oid::TEXT, Expression::result_type);
        let Some(array_type) = self.catalog.type_entry(element_type)?.array else {
            let name = self.catalog.type_name(element_type);
            return Err(error!(UNDEFINED_OBJECT, "could not find array type for data type {name}")
                .at_location(location));
        };
        let location = elements.first().map_or(location, Expression::location);
        Ok(Expression::ArrayExpr(Box::new(ArrayExpr {
            array_type,
            collation: Oid::INVALID,
            element_type,
            elements,
            multidims: false,
            location,
        })))
    }

    /// Appends the stored defaults of the parameters a call leaves out.
    fn add_defaults(
        &mut self,
        function: &FunctionEntry,
        args: Vec<Expression>,
        declared: Vec<Oid>,
        order: &[Option<usize>],
    ) -> Result<(Vec<Expression>, Vec<Oid>)> {
        let broken = || error!(INTERNAL_ERROR, "function {} lacks its stored defaults", function.name);
        let unbuilt = || Error::not_supported(format!("default arguments of function {}", function.name));
        let stored = function.defaults.as_deref().ok_or_else(unbuilt)?;
        let defaults: Vec<Expression> = crate::stored::read(stored)?;
        let first = function.arguments.len() - defaults.len();
        let default_of = |parameter: usize| {
            parameter.checked_sub(first).and_then(|index| defaults.get(index)).cloned().ok_or_else(broken)
        };
        if order.is_empty() {
            let (mut args, mut declared) = (args, declared);
            for parameter in args.len()..function.arguments.len() {
                args.push(default_of(parameter)?);
                declared.push(function.arguments[parameter]);
            }
            return Ok((args, declared));
        }
        let mut given = args.into_iter();
        let mut all = Vec::new();
        for (parameter, source) in order.iter().enumerate() {
            all.push(match source {
                Some(_) => given.next().ok_or_else(broken)?,
                None => default_of(parameter)?,
            });
        }
        Ok((all, function.arguments.to_vec()))
    }

    /// PostgreSQL's `func_signature_string`.
    pub fn signature(&self, name: &[String], names: &[String], inputs: &[Oid]) -> String {
        let positional = inputs.len() - names.len();
        let args: Vec<String> = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let type_name = self.catalog.type_name(*input);
                match index.checked_sub(positional) {
                    Some(named) => format!("{} => {type_name}", names[named]),
                    None => type_name,
                }
            })
            .collect();
        format!("{}({})", name.join("."), args.join(", "))
    }

    /// True if the actual types of polymorphic parameters agree.
    pub fn polymorphics_agree(&self, inputs: &[Oid], declared: &[Oid]) -> Result<bool> {
        let mut element = Oid::INVALID;
        let mut compatible = Vec::new();
        for (input, declared) in inputs.iter().zip(declared) {
            if *input == oid::UNKNOWN {
                continue;
            }
            let candidate = match *declared {
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => *input,
                oid::ANYARRAY => {
                    let entry = self.catalog.type_entry(self.catalog.base_type(*input)?)?;
                    match entry.array_element() {
                        Some(element) => element,
                        None if *input == oid::ANYARRAY => continue,
                        None => return Ok(false),
                    }
                }
                oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
                    compatible.push(*input);
                    continue;
                }
                oid::ANYCOMPATIBLEARRAY => {
                    let entry = self.catalog.type_entry(self.catalog.base_type(*input)?)?;
                    compatible.extend(entry.array_element());
                    continue;
                }
                _ => continue,
            };
            if element.is_valid() && element != candidate {
                return Ok(false);
            }
            element = candidate;
        }
        let common = self.common_of_types(&compatible)?;
        for input in compatible {
            if !self.can_coerce(input, common, CoercionContext::Implicit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// PostgreSQL's `enforce_generic_type_consistency`: replaces polymorphic types by actual ones and
    /// answers the result type.
    pub fn settle_polymorphics(
        &mut self,
        actual: &[Oid],
        declared: &mut [Oid],
        returns: Oid,
        location: Location,
    ) -> Result<Oid> {
        if !is_polymorphic(returns) && !declared.iter().any(|arg| is_polymorphic(*arg)) {
            return Ok(returns);
        }
        let mut element = Oid::INVALID;
        let mut array = Oid::INVALID;
        let mut range = Oid::INVALID;
        let mut compatible: Vec<Oid> = Vec::new();
        for (input, declared) in actual.iter().zip(declared.iter()) {
            if *input == oid::UNKNOWN {
                continue;
            }
            match *declared {
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => element = *input,
                oid::ANYARRAY => array = self.catalog.base_type(*input)?,
                oid::ANYRANGE | oid::ANYCOMPATIBLERANGE => range = *input,
                oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => compatible.push(*input),
                oid::ANYCOMPATIBLEARRAY => {
                    let base = self.catalog.base_type(*input)?;
                    compatible.extend(self.catalog.type_entry(base)?.array_element());
                }
                _ => {}
            }
        }
        if array.is_valid() && !element.is_valid() && array != oid::ANYARRAY {
            element = self.catalog.type_entry(array)?.array_element().unwrap_or_default();
        }
        if !element.is_valid() && declared.iter().any(|arg| is_polymorphic(*arg)) && compatible.is_empty() {
            if array == oid::ANYARRAY {
                element = oid::ANYELEMENT;
            } else if range.is_valid() {
                element = Oid::INVALID;
            } else if declared
                .iter()
                .any(|arg| matches!(*arg, oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYARRAY))
            {
                let message = "could not determine polymorphic type because input has type unknown";
                return Err(error!(DATATYPE_MISMATCH, "{message}").at_location(location));
            }
        }
        let common = self.common_of_types(&compatible)?;
        let array_of = |type_oid: Oid| -> Result<Oid> {
            if type_oid == oid::ANYELEMENT {
                return Ok(oid::ANYARRAY);
            }
            self.catalog.type_entry(type_oid)?.array.ok_or_else(|| {
                let name = self.catalog.type_name(type_oid);
                error!(UNDEFINED_OBJECT, "could not find array type for data type {name}")
            })
        };
        let settle = |type_oid: Oid| -> Result<Oid> {
            Ok(match type_oid {
                oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => element,
                oid::ANYARRAY if array.is_valid() => array,
                oid::ANYARRAY => array_of(element)?,
                oid::ANYRANGE | oid::ANYCOMPATIBLERANGE => range,
                oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => common,
                oid::ANYCOMPATIBLEARRAY => array_of(common)?,
                other => other,
            })
        };
        for declared in declared.iter_mut() {
            *declared = settle(*declared)?;
        }
        settle(returns)
    }

    /// The common type of some types, text if none is known.
    fn common_of_types(&self, types: &[Oid]) -> Result<Oid> {
        let Some(first) = types.first() else { return Ok(oid::TEXT) };
        let mut chosen = *first;
        for candidate in &types[1..] {
            if *candidate != chosen
                && !self.catalog.category(chosen)?.1
                && self.can_coerce(chosen, *candidate, CoercionContext::Implicit)?
                && !self.can_coerce(*candidate, chosen, CoercionContext::Implicit)?
            {
                chosen = *candidate;
            }
        }
        Ok(chosen)
    }

    /// A function call: PostgreSQL's `ParseFuncOrColumn` as far as functions go.
    pub fn function_call(&mut self, call: &raw::FuncCall) -> Result<Expression> {
        let location = call.location;
        let filter = match &call.filter {
            Some(filter) => Some(self.within(Clause::Filter, |analyzer| {
                let filter = analyzer.expression(filter)?;
                analyzer.coerce_to_boolean(filter, "FILTER")
            })?),
            None => None,
        };
        let mut names: Vec<String> = Vec::new();
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            match arg {
                raw::Expr::NamedArg { name, arg, location } => {
                    if names.contains(name) {
                        return Err(error!(SYNTAX_ERROR, "argument name \"{name}\" used more than once")
                            .at_location(*location));
                    }
                    names.push(name.clone());
                    args.push(self.expression(arg)?);
                }
                arg if names.is_empty() => args.push(self.expression(arg)?),
                arg => {
                    return Err(error!(SYNTAX_ERROR, "positional argument cannot follow named argument")
                        .at_location(arg.location()));
                }
            }
        }
        if call.within_group {
            for sort in &call.order {
                args.push(self.expression(&sort.expr)?);
            }
        }
        // f(x) with one column argument may be a cast: `float8(x)`.
        let plain =
            !call.star && !call.distinct && call.order.is_empty() && filter.is_none() && call.over.is_none();
        let inputs: Vec<Oid> = args.iter().map(Expression::result_type).collect();
        if plain
            && names.is_empty()
            && !call.variadic
            && inputs == [oid::UNKNOWN]
            && let Some(cast) =
                self.call_as_cast(call, args[0].clone()).map_err(|error| error.at_location(location))?
        {
            return Ok(cast);
        }
        let resolved = match self.resolve_function(&call.name, args, &names, call.variadic, location)? {
            Ok(resolved) => resolved,
            Err(mut args) => {
                if plain
                    && names.is_empty()
                    && !call.variadic
                    && args.len() == 1
                    && let Some(arg) = args.pop()
                    && let Some(cast) = self.call_as_cast(call, arg)?
                {
                    return Ok(cast);
                }
                return Err(self.no_function(call, &names, &inputs));
            }
        };
        match resolved.function.kind {
            FunctionKind::Aggregate if call.over.is_none() => self.aggregate_call(call, resolved, filter),
            FunctionKind::Aggregate | FunctionKind::Window => self.window_call(call, resolved, filter),
            FunctionKind::Procedure if self.clause() != Clause::CallArgument => {
                let signature = self.signature(&call.name, &names, &inputs);
                Err(error!(WRONG_OBJECT_TYPE, "{signature} is a procedure")
                    .hint("To call a procedure, use CALL.")
                    .at_location(location))
            }
            _ => self.plain_call(call, resolved, filter.is_some()),
        }
    }

    fn plain_call(&mut self, call: &raw::FuncCall, resolved: Resolved, filter: bool) -> Result<Expression> {
        let location = call.location;
        let name = call.name.join(".");
        let wrong = |what: String| Err(error!(WRONG_OBJECT_TYPE, "{what}").at_location(location));
        if call.star {
            return wrong(format!("{name}(*) specified, but {name} is not an aggregate function"));
        }
        if call.distinct {
            return wrong(format!("DISTINCT specified, but {name} is not an aggregate function"));
        }
        if call.within_group {
            return wrong(format!("WITHIN GROUP specified, but {name} is not an aggregate function"));
        }
        if !call.order.is_empty() {
            return wrong(format!("ORDER BY specified, but {name} is not an aggregate function"));
        }
        if filter {
            return wrong(format!("FILTER specified, but {name} is not an aggregate function"));
        }
        if call.over.is_some() {
            let message =
                format!("OVER specified, but {name} is not a window function nor an aggregate function");
            return wrong(message);
        }
        let function = &resolved.function;
        if function.returns_set {
            self.check_set_returning(location)?;
        }
        Ok(Expression::FuncExpr(Box::new(FuncExpr {
            funcid: function.oid,
            result_type: resolved.result_type,
            returns_set: function.returns_set,
            variadic: resolved.variadic,
            form: call.form,
            collation: Oid::INVALID,
            inputcollid: Oid::INVALID,
            args: resolved.args,
            location,
        })))
    }

    /// PostgreSQL's `check_srf_call_placement`.
    pub fn check_set_returning(&mut self, location: Location) -> Result<()> {
        let clause = self.clause();
        let allowed = matches!(
            clause,
            Clause::FromFunction
                | Clause::SelectTarget
                | Clause::Group
                | Clause::Order
                | Clause::DistinctOn
                | Clause::WindowPartition
                | Clause::WindowOrder
                | Clause::Values
        );
        if !allowed {
            let clause = if clause.is_of_window() { "window definitions" } else { clause.expressions() };
            return Err(error!(FEATURE_NOT_SUPPORTED, "set-returning functions are not allowed in {clause}")
                .at_location(location));
        }
        if clause != Clause::FromFunction {
            self.scope_mut().has_target_srfs = true;
        }
        self.scope_mut().last_set_call = Some(location);
        Ok(())
    }

    /// A call of a type's name with one argument, if that is a harmless cast.
    fn call_as_cast(&mut self, call: &raw::FuncCall, arg: Expression) -> Result<Option<Expression>> {
        let (schema, name) = split_name(&call.name)?;
        let Some(target) = self.catalog.type_by_name(schema, name)? else { return Ok(None) };
        let from = arg.result_type();
        let is_cast = if from == oid::UNKNOWN {
            true
        } else {
            use crate::coerce::Pathway::*;
            match self.pathway(target.oid, from, CoercionContext::Explicit)? {
                Some(Relabel) => true,
                // Not through text, unless from one string type to another.
                Some(ViaIo) => {
                    self.catalog.category(from)?.0 == category::STRING || target.category == category::STRING
                }
                _ => false,
            }
        };
        if !is_cast {
            return Ok(None);
        }
        let coercion =
            Coercion { form: CoercionForm::ExplicitCall, location: call.location, ..Coercion::EXPLICIT };
        self.coerce(arg, target.oid, -1, coercion).map(Some)
    }

    fn no_function(
        &mut self,
        call: &raw::FuncCall,
        names: &[String],
        inputs: &[Oid],
    ) -> kokkiri_primitives::Error {
        let signature = self.signature(&call.name, names, inputs);
        let location = call.location;
        let aggregate_order = !call.order.is_empty() && !call.within_group && call.over.is_none();
        let hint = if aggregate_order && inputs.len() > 1 {
            "No aggregate function matches the given name and argument types. Perhaps you misplaced ORDER BY; \
             ORDER BY must appear after all regular arguments of the aggregate."
        } else {
            "No function matches the given name and argument types. You might need to add explicit type casts."
        };
        error!(UNDEFINED_FUNCTION, "function {signature} does not exist").hint(hint).at_location(location)
    }
}

use crate::scope::Clause;

/// Where each parameter of a function gets its argument from, if the named ones fit.
fn named_order(
    function: &FunctionEntry,
    positional: usize,
    count: usize,
    names: &[String],
) -> Option<Vec<Option<usize>>> {
    let parameters: Vec<Option<&str>> = if function.declared.is_empty() {
        vec![None; function.arguments.len()]
    } else {
        let inputs = function.declared.iter().filter(|parameter| {
            matches!(parameter.mode, ArgumentMode::In | ArgumentMode::InOut | ArgumentMode::Variadic)
        });
        inputs.map(|parameter| parameter.name.as_deref()).collect()
    };
    if parameters.len() < count {
        return None;
    }
    let mut order = vec![None; parameters.len()];
    for (slot, source) in order.iter_mut().enumerate().take(positional) {
        *source = Some(slot);
    }
    for (index, name) in names.iter().enumerate() {
        let parameter = parameters.iter().position(|parameter| *parameter == Some(name.as_str()))?;
        if order[parameter].is_some() {
            return None;
        }
        order[parameter] = Some(positional + index);
    }
    let first_default = parameters.len() - function.default_count.min(parameters.len());
    let missing = order.iter().enumerate().find(|(slot, source)| source.is_none() && *slot < first_default);
    missing.is_none().then_some(order)
}

/// Declared types in the order of the actual arguments.
fn named_args(order: &[Option<usize>], declared: &[Oid], count: usize) -> Vec<Oid> {
    let mut args = vec![Oid::INVALID; count];
    for (parameter, source) in order.iter().enumerate() {
        if let Some(actual) = source {
            args[*actual] = declared[parameter];
        }
    }
    args
}

/// Puts actual arguments into the order of the parameters.
fn reorder(args: Vec<Expression>, order: &[Option<usize>], declared: &[Oid]) -> (Vec<Expression>, Vec<Oid>) {
    let mut slots: Vec<Option<Expression>> = args.into_iter().map(Some).collect();
    let mut ordered = Vec::new();
    let mut types = Vec::new();
    for (parameter, source) in order.iter().enumerate() {
        if let Some(arg) = source.and_then(|actual| slots.get_mut(actual)).and_then(Option::take) {
            ordered.push(arg);
            types.push(declared[parameter]);
        }
    }
    (ordered, types)
}
