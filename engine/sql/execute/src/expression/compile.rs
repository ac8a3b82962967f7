//! From an expression to steps.

use std::sync::Arc;

use kokkiri_access::tuple::record;
use kokkiri_analyze::tree::{
    BoolOp, Expression, MinMaxOp, OpExpr, SqlValueFunctionOp, SubLinkType, SubPlan, Var,
};
use kokkiri_functions::{Builtin, lookup, not_built};
use kokkiri_plan::plan::{INNER_VAR, OUTER_VAR};
use kokkiri_primitives::{Error, Oid, Result, stack};
use kokkiri_types::builtin::type_info;
use kokkiri_types::{Column, PhysicalType, Selection, TupleDesc, ValueRef, array, compare};

use super::array_coercion::ArrayCoercion;
use super::evaluate::{CompiledSubPlan, Program};
use super::steps::{CallInfo, Operand, Step, StepKind};
use crate::cross_type::cross_type;

/// How values of a type travel.
pub fn physical_of(type_oid: Oid) -> PhysicalType {
    type_info(type_oid).map_or(PhysicalType::Varlena, |info| info.physical())
}

/// What the variables of an expression are in its input batch.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Columns of the outer input; those of the inner one follow.
    pub outer: usize,
    /// A scanned relation and the attributes fetched from it, in order of the batch.
    pub scan: Option<(u32, Vec<i16>)>,
    /// Where its columns begin.
    pub scan_at: usize,
    /// Aggregates whose results stand in the input batch behind `aggregates_at` columns.
    pub aggregates: Vec<Expression>,
    pub aggregates_at: usize,
    /// Names functions that are not built.
    pub function_names: Option<Arc<dyn FunctionNames>>,
}

/// Names of functions, for reports.
pub trait FunctionNames: Send + Sync + std::fmt::Debug {
    fn function_name(&self, oid: Oid) -> String;
    /// Volatile functions are called row by row.
    fn is_volatile(&self, oid: Oid) -> bool;
    /// The number in the library of what the function calls.
    fn implementation(&self, oid: Oid) -> Oid;
}

impl Scope {
    pub fn of_input(names: &Arc<dyn FunctionNames>) -> Self {
        Self { function_names: Some(Arc::clone(names)), ..Self::default() }
    }

    pub fn of_join(outer: usize, names: &Arc<dyn FunctionNames>) -> Self {
        Self { outer, ..Self::of_input(names) }
    }

    pub fn of_scan(relid: u32, attributes: Vec<i16>, names: &Arc<dyn FunctionNames>) -> Self {
        Self { scan: Some((relid, attributes)), ..Self::of_input(names) }
    }

    /// Column of the input batch that a variable is.
    pub fn column(&self, var: &Var) -> Option<usize> {
        match var.varno {
            OUTER_VAR => Some(var.varattno as usize - 1),
            INNER_VAR => Some(self.outer + var.varattno as usize - 1),
            relid => {
                let (scan, attributes) = self.scan.as_ref()?;
                if *scan != relid {
                    return None;
                }
                let at = attributes.iter().position(|attribute| *attribute == var.varattno)?;
                Some(self.scan_at + at)
            }
        }
    }
}

/// A function and what a call says of it beside its arguments.
#[derive(Clone, Copy)]
struct Called {
    function: Oid,
    collation: Oid,
    result_type: Oid,
    variadic: bool,
}

impl Called {
    fn plain(function: Oid, collation: Oid, result_type: Oid) -> Self {
        Self { function, collation, result_type, variadic: false }
    }
}

/// Compiles one expression.
pub struct Compiler<'s> {
    scope: &'s Scope,
    program: Program,
    /// What CaseTestExprs of enclosing CASEs stand for.
    case_values: Vec<Operand>,
}

impl<'s> Compiler<'s> {
    pub fn compile(scope: &'s Scope, expression: &Expression) -> Result<Program> {
        Self::compile_with(scope, expression, Vec::new())
    }

    fn compile_with(scope: &'s Scope, expression: &Expression, case_values: Vec<Operand>) -> Result<Program> {
        let mut compiler = Self { scope, program: Program::new(), case_values };
        let result = compiler.expression(expression, 0)?;
        let mut program = compiler.program;
        program.result = result;
        program.physical = physical_of(expression.result_type());
        Ok(program)
    }

    fn register(&mut self, physical: PhysicalType) -> usize {
        self.program.registers.push(Column::new(physical));
        self.program.registers.len() - 1
    }

    fn selection(&mut self) -> usize {
        self.program.selections.push(Selection::default());
        self.program.selections.len() - 1
    }

    fn step(&mut self, kind: StepKind, selection: usize) {
        self.program.steps.push(Step { kind, selection });
    }

    fn constant(&mut self, physical: PhysicalType, value: ValueRef<'_>) -> Operand {
        let column = Column::constant(physical, value);
        self.program.registers.push(column);
        Operand::Register(self.program.registers.len() - 1)
    }

    fn builtin(&self, function: Oid) -> Option<&'static Builtin> {
        let names = self.scope.function_names.as_ref();
        lookup(names.map_or(function, |names| names.implementation(function)))
    }

    fn function_name(&self, function: Oid) -> String {
        let names = self.scope.function_names.as_ref();
        names.map_or_else(|| function.to_string(), |names| names.function_name(function))
    }

    fn call_info(&self, called: Called, args: &[&Expression]) -> Result<CallInfo> {
        let Called { function, collation, result_type, variadic } = called;
        let builtin = self.builtin(function).ok_or_else(|| not_built(&self.function_name(function)))?;
        let argument_types = args.iter().map(|arg| arg.result_type()).collect();
        Ok(CallInfo { builtin, collation, result_type, argument_types, variadic })
    }

    fn call(&mut self, called: Called, args: &[&Expression], selection: usize) -> Result<Operand> {
        let Called { function, result_type, .. } = called;
        if self.builtin(function).is_none() {
            let out = self.register(physical_of(result_type));
            self.step(StepKind::NotBuilt { name: self.function_name(function) }, selection);
            return Ok(Operand::Register(out));
        }
        let call = self.call_info(called, args)?;
        self.program.volatile |=
            self.scope.function_names.as_ref().is_some_and(|names| names.is_volatile(function));
        let args = args.iter().map(|arg| self.expression(arg, selection)).collect::<Result<_>>()?;
        let out = self.register(physical_of(result_type));
        self.step(StepKind::Call { call, args, out }, selection);
        Ok(Operand::Register(out))
    }

    fn operator(&mut self, operator: &OpExpr, result_type: Oid, selection: usize) -> Result<Operand> {
        let args: Vec<&Expression> = operator.args.iter().collect();
        self.call(Called::plain(operator.opfuncid, operator.inputcollid, result_type), &args, selection)
    }

    fn expression(&mut self, expression: &Expression, selection: usize) -> Result<Operand> {
        stack::check_depth()?;
        const BOOL: Oid = Oid(16);
        if !self.scope.aggregates.is_empty()
            && let Some(at) = self.scope.aggregates.iter().position(|known| known == expression)
        {
            return Ok(Operand::Input(self.scope.aggregates_at + at));
        }
        match expression {
            Expression::Var(var) => match self.scope.column(var) {
                Some(column) => Ok(Operand::Input(column)),
                None if var.varattno == 0 => Err(Error::not_supported("a whole-row variable")),
                None => Err(Error::internal(format!(
                    "variable {}.{} is not in the input of its plan node",
                    var.varno, var.varattno
                ))),
            },
            Expression::Const(constant) => {
                Ok(self.constant(physical_of(constant.type_oid), constant.value.as_ref()))
            }
            Expression::Param(param) => {
                let physical = physical_of(param.type_oid);
                let out = self.register(physical);
                self.step(StepKind::Parameter { kind: param.kind, id: param.id, out, physical }, selection);
                Ok(Operand::Register(out))
            }
            Expression::FuncExpr(function) => {
                let args: Vec<&Expression> = function.args.iter().collect();
                let called = Called::plain(function.funcid, function.inputcollid, function.result_type);
                self.call(Called { variadic: function.variadic, ..called }, &args, selection)
            }
            Expression::OpExpr(operator) => self.operator(operator, operator.result_type, selection),
            Expression::DistinctExpr(operator) | Expression::NullIfExpr(operator) => {
                let [left, right] = operator.args.as_slice() else {
                    return Err(Error::internal("a comparison has two arguments"));
                };
                let called = Called::plain(operator.opfuncid, operator.inputcollid, BOOL);
                let call = self.call_info(called, &[left, right])?;
                let left_operand = self.expression(left, selection)?;
                let right_operand = self.expression(right, selection)?;
                let equal_register = self.register(PhysicalType::Bool);
                let args = Box::new([left_operand, right_operand]);
                self.step(StepKind::Call { call, args, out: equal_register }, selection);
                let equal = Operand::Register(equal_register);
                let (out, kind) = if matches!(expression, Expression::NullIfExpr(_)) {
                    let physical = physical_of(left.result_type());
                    let out = self.register(physical);
                    (out, StepKind::NullIf { left: left_operand, equal, out, physical })
                } else {
                    let out = self.register(PhysicalType::Bool);
                    (out, StepKind::Distinct { left: left_operand, right: right_operand, equal, out })
                };
                self.step(kind, selection);
                Ok(Operand::Register(out))
            }
            Expression::ScalarArrayOpExpr(test) => {
                let called = Called::plain(test.opfuncid, test.inputcollid, BOOL);
                let call = self.call_info(called, &[&test.scalar, &test.scalar])?;
                let elements = match &test.array {
                    Expression::Const(constant) => match constant.value.as_ref() {
                        ValueRef::Bytes(bytes) => Some(array::values(bytes)?),
                        _ => None,
                    },
                    _ => None,
                };
                let scalar = self.expression(&test.scalar, selection)?;
                let array = self.expression(&test.array, selection)?;
                let out = self.register(PhysicalType::Bool);
                let use_or = test.use_or;
                self.step(StepKind::ArrayTest { call, scalar, array, elements, use_or, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::BoolExpr(bool_expr) => self.boolean(bool_expr.op, &bool_expr.args, selection),
            Expression::CaseExpr(case) => self.case(case, selection),
            Expression::CaseTestExpr(_) => self
                .case_values
                .last()
                .copied()
                .ok_or_else(|| Error::internal("a CASE's test value stands outside of a CASE")),
            Expression::CoalesceExpr(coalesce) => {
                let physical = physical_of(coalesce.result_type);
                let parts = coalesce.args.len();
                // The output register must be above those of the arguments: they are copied into it
                // by steps that may read lower or higher registers alike.
                let out = self.register(physical);
                self.step(StepKind::Begin { out, physical }, selection);
                let mut open = selection;
                for (at, arg) in coalesce.args.iter().enumerate() {
                    let from = self.expression(arg, open)?;
                    if at + 1 == parts {
                        self.step(StepKind::Copy { from, out }, open);
                    } else {
                        let rest = self.selection();
                        self.step(StepKind::CopyNotNull { from, out, rest }, open);
                        open = rest;
                    }
                }
                Ok(Operand::Register(out))
            }
            Expression::MinMaxExpr(minmax) => {
                let args = minmax
                    .args
                    .iter()
                    .map(|arg| self.expression(arg, selection))
                    .collect::<Result<Box<[_]>>>()?;
                let compare = compare::comparator(minmax.result_type, minmax.inputcollid)?;
                let physical = physical_of(minmax.result_type);
                let out = self.register(physical);
                let greatest = minmax.op == MinMaxOp::Greatest;
                self.step(StepKind::Extreme { args, greatest, compare, out, physical }, selection);
                Ok(Operand::Register(out))
            }
            Expression::NullTest(test) => {
                if test.arg_is_row {
                    return Err(Error::not_supported("a null test of a row"));
                }
                let arg = self.expression(&test.arg, selection)?;
                let out = self.register(PhysicalType::Bool);
                self.step(StepKind::NullTest { arg, is_null: test.is_null, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::RowCompareExpr(row) => {
                let mut pairs = Vec::with_capacity(row.left.len());
                for ((left, right), collation) in row.left.iter().zip(&row.right).zip(&row.inputcollids) {
                    let (left_type, right_type) = (left.result_type(), right.result_type());
                    let cross =
                        if left_type == right_type { None } else { cross_type(left_type, right_type)? };
                    let compare = match cross {
                        Some(cross) => cross.column,
                        None => compare::comparator(left_type, *collation)?,
                    };
                    pairs.push((
                        self.expression(left, selection)?,
                        self.expression(right, selection)?,
                        compare,
                    ));
                }
                let out = self.register(PhysicalType::Bool);
                let pairs = pairs.into_boxed_slice();
                self.step(StepKind::RowCompare { pairs, compare: row.compare, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::BooleanTest(test) => {
                let arg = self.expression(&test.arg, selection)?;
                let out = self.register(PhysicalType::Bool);
                self.step(StepKind::BooleanTest { arg, test: test.test, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::RelabelType(relabel) => self.expression(&relabel.arg, selection),
            Expression::CollateExpr(collate) => self.expression(&collate.arg, selection),
            Expression::PlaceHolderVar(placeholder) => self.expression(&placeholder.expr, selection),
            Expression::CoerceViaIo(coerce) => {
                let arg = self.expression(&coerce.arg, selection)?;
                let physical = physical_of(coerce.result_type);
                let out = self.register(physical);
                let (from, to) = (coerce.arg.result_type(), coerce.result_type);
                self.step(StepKind::CoerceViaIo { arg, from, to, out, physical }, selection);
                Ok(Operand::Register(out))
            }
            Expression::SubscriptingRef(subscript)
                if subscript.lower.is_empty() && subscript.assignment.is_none() =>
            {
                let container = subscript.container_type;
                if array::element_type_if_array(container).is_none() && !array::is_fixed_vector(container) {
                    return Err(Error::not_supported("subscripting of what is no array"));
                }
                let array = self.expression(&subscript.container, selection)?;
                let subscripts = subscript.upper.iter().flatten();
                let subscripts = subscripts
                    .map(|index| self.expression(index, selection))
                    .collect::<Result<Box<[_]>>>()?;
                let element = array::element_info(subscript.element_type)?;
                let physical = physical_of(subscript.result_type);
                let out = self.register(physical);
                self.step(StepKind::Subscript { array, subscripts, element, out, physical }, selection);
                Ok(Operand::Register(out))
            }
            Expression::SubscriptingRef(subscript) if subscript.assignment.is_none() => {
                Err(Error::not_supported("an array slice"))
            }
            Expression::ArrayCoerceExpr(coerce) => {
                let element_of = |array: Oid| {
                    array::element_type_if_array(array)
                        .ok_or_else(|| {
                            Error::not_supported("a cast of what is no array of built-in elements")
                        })
                        .and_then(array::element_info)
                };
                let from = element_of(coerce.arg.result_type())?;
                let to = element_of(coerce.result_type)?;
                let array = self.expression(&coerce.arg, selection)?;
                let element = Self::compile_with(self.scope, &coerce.element, vec![Operand::Input(0)])?;
                self.program.volatile |= element.volatile;
                self.program.array_coercions.push(ArrayCoercion { array, element, from, to });
                let coercion = self.program.array_coercions.len() - 1;
                let out = self.register(PhysicalType::Varlena);
                self.step(StepKind::CoerceArray { coercion, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::ArrayExpr(array) if !array.multidims => {
                let args = array
                    .elements
                    .iter()
                    .map(|element| self.expression(element, selection))
                    .collect::<Result<Box<[_]>>>()?;
                let out = self.register(PhysicalType::Varlena);
                self.step(StepKind::MakeArray { args, element: array.element_type, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::RowExpr(row) => {
                let types = row.args.iter().map(Expression::result_type).zip(1..);
                let columns = types.map(|(type_oid, number)| record::column(number, type_oid));
                let columns = TupleDesc::new(columns.collect::<Result<Vec<_>>>()?);
                let args = row
                    .args
                    .iter()
                    .map(|arg| self.expression(arg, selection))
                    .collect::<Result<Box<[_]>>>()?;
                let out = self.register(PhysicalType::Varlena);
                self.step(StepKind::MakeRow { args, columns, row_type: row.row_type, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::SqlValueFunction(function) => {
                self.sql_value(function.op, function.result_type, selection)
            }
            Expression::NextValue(next) => {
                self.program.volatile = true;
                let out = self.register(PhysicalType::Int64);
                self.step(StepKind::NextValue { sequence: next.sequence, out }, selection);
                Ok(Operand::Register(out))
            }
            Expression::SubPlan(subplan) => self.subplan(subplan, selection),
            Expression::Aggref(_) => Err(Error::internal("an aggregate stands outside of an Agg")),
            other => Err(Error::not_supported(format!("the expression {}", kind_name(other)))),
        }
    }

    fn boolean(&mut self, op: BoolOp, args: &[Expression], selection: usize) -> Result<Operand> {
        if op == BoolOp::Not {
            let [arg] = args else { return Err(Error::internal("NOT has one argument")) };
            let arg = self.expression(arg, selection)?;
            let out = self.register(PhysicalType::Bool);
            self.step(StepKind::Not { arg, out }, selection);
            return Ok(Operand::Register(out));
        }
        let out = self.register(PhysicalType::Bool);
        self.step(StepKind::Begin { out, physical: PhysicalType::Bool }, selection);
        let mut open = selection;
        for (at, arg) in args.iter().enumerate() {
            let arg = self.expression(arg, open)?;
            let rest = self.selection();
            let and = op == BoolOp::And;
            self.step(StepKind::Combine { and, first: at == 0, arg, out, rest }, open);
            open = rest;
        }
        Ok(Operand::Register(out))
    }

    fn case(&mut self, case: &kokkiri_analyze::tree::CaseExpr, selection: usize) -> Result<Operand> {
        let physical = physical_of(case.result_type);
        let value = match &case.arg {
            Some(arg) => Some(self.expression(arg, selection)?),
            None => None,
        };
        self.case_values.extend(value);
        let out = self.register(physical);
        self.step(StepKind::Begin { out, physical }, selection);
        let mut open = selection;
        for when in &case.whens {
            let condition = self.expression(&when.condition, open)?;
            let (yes, no) = (self.selection(), self.selection());
            self.step(StepKind::Split { condition, yes, no }, open);
            let from = self.expression(&when.result, yes)?;
            self.step(StepKind::Copy { from, out }, yes);
            open = no;
        }
        let from = self.expression(&case.default, open)?;
        self.step(StepKind::Copy { from, out }, open);
        if value.is_some() {
            self.case_values.pop();
        }
        Ok(Operand::Register(out))
    }

    /// CURRENT_DATE and its kin are functions of the same meaning.
    fn sql_value(&mut self, op: SqlValueFunctionOp, result_type: Oid, selection: usize) -> Result<Operand> {
        use SqlValueFunctionOp::*;
        const NOW: Oid = Oid(1299);
        const TIMESTAMPTZ: Oid = Oid(1184);
        let function = match op {
            CurrentTimestamp | CurrentTimestampN => NOW,
            CurrentDate | LocalTimestamp | LocalTimestampN | LocalTime | LocalTimeN | CurrentTime
            | CurrentTimeN => {
                let now = self.call(Called::plain(NOW, Oid::INVALID, TIMESTAMPTZ), &[], selection)?;
                let cast = match op {
                    CurrentDate => Oid(1178),
                    LocalTimestamp | LocalTimestampN => Oid(2027),
                    LocalTime | LocalTimeN => Oid(2019),
                    _ => Oid(1388),
                };
                let builtin = lookup(cast).ok_or_else(|| not_built("timestamptz cast"))?;
                let call = CallInfo {
                    builtin,
                    collation: Oid::INVALID,
                    result_type,
                    argument_types: Box::new([TIMESTAMPTZ]),
                    variadic: false,
                };
                let out = self.register(physical_of(result_type));
                self.step(StepKind::Call { call, args: Box::new([now]), out }, selection);
                return Ok(Operand::Register(out));
            }
            CurrentRole | CurrentUser | User => Oid(745),
            SessionUser => Oid(746),
            CurrentCatalog => Oid(861),
            CurrentSchema => Oid(1402),
        };
        self.call(Called::plain(function, Oid::INVALID, result_type), &[], selection)
    }

    fn subplan(&mut self, subplan: &SubPlan, selection: usize) -> Result<Operand> {
        let mut arguments = Vec::new();
        for (id, arg) in subplan.par_param.iter().zip(&subplan.args) {
            arguments.push((*id, self.expression(arg, selection)?));
        }
        // The test compares outer values, computed here, with columns of the subplan, which are
        // parameters while its rows are visited.
        let test = match &subplan.testexpr {
            Some(test) => Some(Box::new(Compiler::compile(self.scope, test)?)),
            None => None,
        };
        let physical = match subplan.kind {
            SubLinkType::Expr => physical_of(subplan.first_column.0),
            SubLinkType::Array => PhysicalType::Varlena,
            SubLinkType::Exists | SubLinkType::Any | SubLinkType::All | SubLinkType::RowCompare => {
                PhysicalType::Bool
            }
            SubLinkType::Cte => return Err(Error::not_supported("this kind of subquery")),
        };
        let probes = match (&subplan.testexpr, subplan.use_hash_table) {
            (Some(test), true) => self.probes(test, &subplan.param_ids)?,
            _ => Vec::new(),
        };
        let out = self.register(physical);
        self.program.subplans.push(CompiledSubPlan {
            kind: subplan.kind,
            plan_id: subplan.plan_id,
            arguments,
            columns: subplan.param_ids.clone(),
            test,
            element: subplan.first_column.0,
            physical,
            probes,
            table: None,
            version: 0,
            by_hash: Default::default(),
            with_nulls: Vec::new(),
        });
        let index = self.program.subplans.len() - 1;
        self.step(StepKind::SubPlan { subplan: index, out }, selection);
        Ok(Operand::Register(out))
    }
}

impl Compiler<'_> {
    /// Outer sides of a hashed subplan's equalities, in order of its columns.
    fn probes(&self, test: &Expression, columns: &[u32]) -> Result<Vec<(Program, Oid, Oid)>> {
        let parts: Vec<&Expression> = match test {
            Expression::BoolExpr(and) if and.op == BoolOp::And => and.args.iter().collect(),
            other => vec![other],
        };
        let mut probes = Vec::new();
        for id in columns {
            let found = parts.iter().find_map(|part| match part {
                Expression::OpExpr(operator) => match operator.args.as_slice() {
                    [left, Expression::Param(param)] if param.id == *id => Some((left, param.type_oid)),
                    _ => None,
                },
                _ => None,
            });
            // A column that is compared otherwise keeps the test from being answered by hash.
            let Some((left, inner)) = found else { return Ok(Vec::new()) };
            probes.push((Compiler::compile(self.scope, left)?, left.result_type(), inner));
        }
        Ok(probes)
    }
}

fn kind_name(expression: &Expression) -> String {
    let text = format!("{expression:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}
