//! Running a compiled expression over a batch.

use std::cmp::Ordering;
use std::collections::HashMap;

use kokkiri_access::tuple::record;
use kokkiri_analyze::tree::{BoolTest, ParamKind, RowCompareType, SubLinkType};
use kokkiri_functions::system::text_form;
use kokkiri_functions::{CallContext, not_built};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState};
use kokkiri_types::array::ArrayRef;
use kokkiri_types::{Batch, Column, PhysicalType, Selection, Value, ValueRef, array, hash};

use super::array_coercion::ArrayCoercion;
use super::steps::{CallInfo, Operand, Step, StepKind};
use crate::context::Context;

/// A compiled expression with its registers.
#[derive(Debug)]
pub struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) registers: Vec<Column>,
    /// Selection 0 is that of the batch.
    pub(super) selections: Vec<Selection>,
    pub(super) subplans: Vec<CompiledSubPlan>,
    pub(super) array_coercions: Vec<ArrayCoercion>,
    pub(super) result: Operand,
    pub(super) physical: PhysicalType,
    /// Calls functions that must be called row by row, in order.
    pub(super) volatile: bool,
}

/// A subplan within an expression.
#[derive(Debug)]
pub struct CompiledSubPlan {
    pub kind: SubLinkType,
    pub plan_id: usize,
    /// Parameters to be set from outer values before each run.
    pub arguments: Vec<(u32, Operand)>,
    /// Parameters that are the subplan's columns in the test.
    pub columns: Vec<u32>,
    pub test: Option<Box<Program>>,
    pub element: Oid,
    pub physical: PhysicalType,
    /// Outer sides of hashable equalities with the subplan's columns, and types of both sides. Empty if
    /// the test is not made of such.
    pub probes: Vec<(Program, Oid, Oid)>,
    /// Rows of an uncorrelated subplan, read once for each version of what it depends on.
    pub table: Option<Vec<Vec<Value>>>,
    pub version: u64,
    /// Those rows by hash, and those with a null, which any probe must look at.
    pub by_hash: HashMap<u64, Vec<usize>>,
    pub with_nulls: Vec<usize>,
}

fn column<'a>(operand: Operand, input: &'a [Column], registers: &'a [Column]) -> &'a Column {
    match operand {
        Operand::Input(at) => &input[at],
        Operand::Register(at) => &registers[at],
    }
}

impl Program {
    pub(super) fn new() -> Self {
        Self {
            steps: Vec::new(),
            registers: Vec::new(),
            selections: vec![Selection::default()],
            subplans: Vec::new(),
            array_coercions: Vec::new(),
            result: Operand::Register(0),
            physical: PhysicalType::Bool,
            volatile: false,
        }
    }

    pub fn physical(&self) -> PhysicalType {
        self.physical
    }

    /// The input column that the expression is, if it is nothing more.
    pub fn input_column(&self) -> Option<usize> {
        match self.result {
            Operand::Input(at) if self.steps.is_empty() => Some(at),
            _ => None,
        }
    }

    /// Computes the expression for the selected rows of a batch.
    pub fn evaluate<'p>(
        &'p mut self,
        context: &mut Context<'_>,
        input: &'p [Column],
        selection: &Selection,
    ) -> Result<&'p Column> {
        if self.steps.is_empty() {
            return Ok(column(self.result, input, &self.registers));
        }
        if (self.volatile || !self.subplans.is_empty()) && selection.len() > 1 {
            return self.evaluate_rows(context, input, selection);
        }
        self.selections[0].copy_from(selection);
        match self.run(context, input) {
            Ok(()) => Ok(column(self.result, input, &self.registers)),
            // Report the error that the first row in order raises; an interrupt is none of a row's.
            Err(error) if selection.len() > 1 && !is_interrupt(&error) => {
                match self.evaluate_rows(context, input, selection) {
                    Ok(_) => Err(error),
                    Err(first) => Err(first),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Evaluates row by row, in order.
    fn evaluate_rows<'p>(
        &'p mut self,
        context: &mut Context<'_>,
        input: &'p [Column],
        selection: &Selection,
    ) -> Result<&'p Column> {
        let mut result = Column::new(self.physical);
        result.reset(self.physical, selection.rows());
        for row in selection.iter() {
            self.selections[0].set_none(selection.rows());
            self.selections[0].push(row);
            self.run(context, input)?;
            result.set(row, column(self.result, input, &self.registers).get(row));
        }
        match self.result {
            Operand::Register(at) => {
                self.registers[at] = result;
                Ok(&self.registers[at])
            }
            Operand::Input(at) => Ok(&input[at]),
        }
    }

    /// The value for one row without an input, as of a LIMIT or a default.
    pub fn evaluate_one(&mut self, context: &mut Context<'_>) -> Result<Value> {
        let selection = Selection::all(1);
        Ok(self.evaluate(context, &[], &selection)?.get(0).to_value())
    }

    /// Takes the result column out, to be handed on. Only after [`Self::evaluate`] answered a column
    /// that is not constant.
    pub fn take_result(&mut self, out: &mut Column) {
        if let Operand::Register(at) = self.result {
            std::mem::swap(&mut self.registers[at], out);
        }
    }

    fn run(&mut self, context: &mut Context<'_>, input: &[Column]) -> Result<()> {
        let rows = self.selections[0].rows();
        for at in 0..self.steps.len() {
            let step = &self.steps[at];
            if let StepKind::SubPlan { subplan, out } = step.kind {
                self.run_subplan(context, input, subplan, out, step.selection)?;
                continue;
            }
            if let StepKind::CoerceArray { coercion, out } = step.kind {
                let coercion = &mut self.array_coercions[coercion];
                let (lower, upper) = self.registers.split_at_mut(out);
                let arrays = column(coercion.array, input, lower);
                coercion.run(context, arrays, &self.selections[step.selection], &mut upper[0])?;
                continue;
            }
            run_step(step, context, input, &mut self.registers, &mut self.selections, rows)?;
        }
        Ok(())
    }

    fn run_subplan(
        &mut self,
        context: &mut Context<'_>,
        input: &[Column],
        index: usize,
        out: usize,
        selection: usize,
    ) -> Result<()> {
        let rows: Vec<usize> = self.selections[selection].iter().collect();
        let physical = self.subplans[index].physical;
        let total = self.selections[selection].rows();
        let mut result = Column::new(physical);
        result.reset(physical, total);
        for row in rows {
            let subplan = &mut self.subplans[index];
            for (id, operand) in &subplan.arguments {
                let value = column(*operand, input, &self.registers).get(row).to_value();
                context.change_parameter(*id, value);
            }
            let value = subplan.value(context, input, row, total)?;
            result.set(row, value.as_ref());
        }
        self.registers[out] = result;
        Ok(())
    }
}

impl CompiledSubPlan {
    fn value(
        &mut self,
        context: &mut Context<'_>,
        input: &[Column],
        row: usize,
        total: usize,
    ) -> Result<Value> {
        match self.kind {
            SubLinkType::Exists => {
                let found = context.with_subplan(self.plan_id, |context, plan| {
                    let mut batch = Batch::default();
                    plan.next(context, 1, &mut batch)?;
                    Ok(!batch.is_empty())
                })?;
                Ok(Value::Bool(found))
            }
            SubLinkType::Expr => context.scalar_subplan(self.plan_id),
            SubLinkType::Array => {
                let rows = context.subplan_rows(self.plan_id)?;
                let values: Vec<Value> = rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
                Ok(Value::from(array::build_vector(array::element_info(self.element)?, &values)?))
            }
            SubLinkType::Any | SubLinkType::All => self.quantified(context, input, row, total),
            SubLinkType::RowCompare => {
                let Some(values) = context.only_row(self.plan_id)? else {
                    return Ok(Value::Null);
                };
                for (id, value) in self.columns.iter().zip(values) {
                    context.set_parameter(*id, value);
                }
                let Some(test) = &mut self.test else {
                    return Err(Error::internal("a compared subquery has a test"));
                };
                let mut selection = Selection::default();
                selection.set_none(total);
                selection.push(row);
                Ok(test.evaluate(context, input, &selection)?.get(row).to_value())
            }
            SubLinkType::Cte => Err(Error::internal("this kind of subquery was not compiled")),
        }
    }

    /// ANY: true if the test is true for a row; ALL: false if it is false for one; null if in doubt.
    fn quantified(
        &mut self,
        context: &mut Context<'_>,
        input: &[Column],
        row: usize,
        total: usize,
    ) -> Result<Value> {
        let is_any = self.kind == SubLinkType::Any;
        if self.arguments.is_empty() {
            let version = context.subplan_version(self.plan_id);
            if self.table.is_none() || self.version != version {
                self.table = Some(context.subplan_rows(self.plan_id)?);
                self.version = version;
                self.hash_rows();
            }
        } else {
            self.table = Some(context.subplan_rows(self.plan_id)?);
        }
        let mut selection = Selection::default();
        selection.set_none(total);
        selection.push(row);
        let candidates = self.candidates(context, input, &selection, row)?;
        let Some(test) = &mut self.test else {
            return Err(Error::internal("a quantified subquery has a test"));
        };
        let Some(table) = &self.table else { return Ok(Value::Bool(!is_any)) };
        let mut unknown = false;
        let all = candidates.is_none().then_some(0..table.len());
        for at in candidates.into_iter().flatten().chain(all.into_iter().flatten()) {
            for (id, value) in self.columns.iter().zip(&table[at]) {
                context.set_parameter(*id, value.clone());
            }
            match test.evaluate(context, input, &selection)?.get(row) {
                ValueRef::Bool(answer) if answer == is_any => return Ok(Value::Bool(is_any)),
                ValueRef::Bool(_) => {}
                _ => unknown = true,
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(!is_any) })
    }

    /// Sorts the rows of a hashed subplan by their hashes.
    fn hash_rows(&mut self) {
        self.by_hash.clear();
        self.with_nulls.clear();
        if self.probes.is_empty() {
            return;
        }
        for (at, row) in self.table.iter().flatten().enumerate() {
            if row.iter().any(Value::is_null) {
                self.with_nulls.push(at);
                continue;
            }
            let types = self.probes.iter().map(|(_, _, inner)| *inner);
            self.by_hash.entry(hash_values(types.zip(row.iter().map(Value::as_ref)))).or_default().push(at);
        }
    }

    /// Rows that may equal the outer row's values; `None` for all of them.
    fn candidates(
        &mut self,
        context: &mut Context<'_>,
        input: &[Column],
        selection: &Selection,
        row: usize,
    ) -> Result<Option<Vec<usize>>> {
        if self.probes.is_empty() {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(self.probes.len());
        for (program, outer, _) in &mut self.probes {
            values.push((*outer, program.evaluate(context, input, selection)?.get(row).to_value()));
        }
        if values.iter().any(|(_, value)| value.is_null()) {
            return Ok(None);
        }
        let hash = hash_values(values.iter().map(|(type_oid, value)| (*type_oid, value.as_ref())));
        let mut found = self.by_hash.get(&hash).cloned().unwrap_or_default();
        found.extend(&self.with_nulls);
        Ok(Some(found))
    }
}

fn hash_values<'v>(values: impl Iterator<Item = (Oid, ValueRef<'v>)>) -> u64 {
    values.fold(0, |state, (type_oid, value)| hash::combine(state, hash::hash_value(type_oid, value)))
}

fn call_context<'c>(context: &Context<'c>, call: &'c CallInfo) -> CallContext<'c> {
    let mut made = context.call;
    made.collation = call.collation;
    made.argument_types = &call.argument_types;
    made.result_type = call.result_type;
    made.variadic = call.variadic;
    made
}

/// Most arguments handed over without an allocation.
const FEW: usize = 4;

fn run_call(
    call: &CallInfo,
    args: &[Operand],
    out: usize,
    context: &Context<'_>,
    input: &[Column],
    registers: &mut [Column],
    selection: &Selection,
) -> Result<()> {
    let (lower, upper) = registers.split_at_mut(out);
    let out = &mut upper[0];
    let mut made = CallContext {
        collation: call.collation,
        argument_types: &call.argument_types,
        result_type: call.result_type,
        variadic: call.variadic,
        ..context.call
    };
    let function = call.builtin.vector;
    match *args {
        [] => function(&mut made, &[], selection, out),
        [a] => function(&mut made, &[column(a, input, lower)], selection, out),
        [a, b] => function(&mut made, &[column(a, input, lower), column(b, input, lower)], selection, out),
        _ if args.len() <= FEW => {
            let mut few = [column(args[0], input, lower); FEW];
            for (slot, arg) in few.iter_mut().zip(args) {
                *slot = column(*arg, input, lower);
            }
            function(&mut made, &few[..args.len()], selection, out)
        }
        _ => {
            let all: Vec<&Column> = args.iter().map(|arg| column(*arg, input, lower)).collect();
            function(&mut made, &all, selection, out)
        }
    }
}

fn run_step(
    step: &Step,
    context: &mut Context<'_>,
    input: &[Column],
    registers: &mut [Column],
    selections: &mut [Selection],
    rows: usize,
) -> Result<()> {
    let chosen = step.selection;
    if selections[chosen].is_empty() {
        // What follows under selections made here must find them empty too.
        match step.kind {
            StepKind::Combine { rest, .. } | StepKind::CopyNotNull { rest, .. } => {
                selections[rest].set_none(rows)
            }
            StepKind::Split { yes, no, .. } => {
                selections[yes].set_none(rows);
                selections[no].set_none(rows);
            }
            _ => {}
        }
        return Ok(());
    }
    match &step.kind {
        StepKind::Call { call, args, out } => {
            run_call(call, args, *out, context, input, registers, &selections[chosen])
        }
        StepKind::NotBuilt { name } => Err(not_built(name)),
        StepKind::Parameter { kind, id, out, physical } => {
            match kind {
                ParamKind::Extern => {
                    let value = context.external(*id)?;
                    registers[*out].set_constant(*physical, value);
                }
                _ => {
                    context.evaluate_parameter(*id)?;
                    registers[*out].set_constant(*physical, context.parameter(*id));
                }
            }
            Ok(())
        }
        StepKind::Begin { out, physical } => {
            registers[*out].reset(*physical, rows);
            Ok(())
        }
        StepKind::Combine { and, first, arg, out, rest } => {
            combine(*and, *first, *arg, *out, *rest, chosen, input, registers, selections, rows)
        }
        StepKind::Not { arg, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (arg, out) = (column(*arg, input, lower), &mut upper[0]);
            out.reset(PhysicalType::Bool, rows);
            selections[chosen].for_each(|row| match arg.get(row) {
                ValueRef::Bool(value) => out.set(row, ValueRef::Bool(!value)),
                _ => out.set_null(row),
            });
            Ok(())
        }
        StepKind::Split { condition, yes, no } => {
            let condition = column(*condition, input, registers);
            let (mut taken, mut others) =
                (std::mem::take(&mut selections[*yes]), std::mem::take(&mut selections[*no]));
            taken.set_none(rows);
            others.set_none(rows);
            selections[chosen].for_each(|row| {
                if condition.get(row) == ValueRef::Bool(true) { taken.push(row) } else { others.push(row) }
            });
            selections[*yes] = taken;
            selections[*no] = others;
            Ok(())
        }
        StepKind::Copy { from, out } => {
            copy_rows(*from, *out, input, registers, |from, out| {
                selections[chosen].for_each(|row| out.copy(row, from, row));
            });
            Ok(())
        }
        StepKind::CopyNotNull { from, out, rest } => {
            let mut open = std::mem::take(&mut selections[*rest]);
            open.set_none(rows);
            copy_rows(*from, *out, input, registers, |from, out| {
                selections[chosen].for_each(|row| {
                    if from.is_null(row) { open.push(row) } else { out.copy(row, from, row) }
                });
            });
            selections[*rest] = open;
            Ok(())
        }
        StepKind::NullTest { arg, is_null, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (arg, out) = (column(*arg, input, lower), &mut upper[0]);
            out.reset(PhysicalType::Bool, rows);
            let values = out.values_mut::<bool>();
            selections[chosen].for_each(|row| values[row] = arg.is_null(row) == *is_null);
            Ok(())
        }
        StepKind::RowCompare { pairs, compare, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let out = &mut upper[0];
            out.reset(PhysicalType::Bool, rows);
            selections[chosen].for_each(|row| {
                let mut order = Some(Ordering::Equal);
                for (left, right, compare) in pairs {
                    let (left, right) =
                        (column(*left, input, lower).get(row), column(*right, input, lower).get(row));
                    order = (!left.is_null() && !right.is_null()).then(|| compare(left, right));
                    if order != Some(Ordering::Equal) {
                        break;
                    }
                }
                match order {
                    None => out.set_null(row),
                    Some(order) => {
                        let holds = match compare {
                            RowCompareType::Lt => order.is_lt(),
                            RowCompareType::Le => order.is_le(),
                            RowCompareType::Ge => order.is_ge(),
                            RowCompareType::Gt => order.is_gt(),
                        };
                        out.set(row, ValueRef::Bool(holds));
                    }
                }
            });
            Ok(())
        }
        StepKind::BooleanTest { arg, test, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (arg, out) = (column(*arg, input, lower), &mut upper[0]);
            out.reset(PhysicalType::Bool, rows);
            let values = out.values_mut::<bool>();
            selections[chosen].for_each(|row| {
                let (is_true, is_false) =
                    (arg.get(row) == ValueRef::Bool(true), arg.get(row) == ValueRef::Bool(false));
                values[row] = match test {
                    BoolTest::IsTrue => is_true,
                    BoolTest::IsNotTrue => !is_true,
                    BoolTest::IsFalse => is_false,
                    BoolTest::IsNotFalse => !is_false,
                    BoolTest::IsUnknown => !is_true && !is_false,
                    BoolTest::IsNotUnknown => is_true || is_false,
                };
            });
            Ok(())
        }
        StepKind::Distinct { left, right, equal, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (left, right) = (column(*left, input, lower), column(*right, input, lower));
            let (equal, out) = (column(*equal, input, lower), &mut upper[0]);
            out.reset(PhysicalType::Bool, rows);
            let values = out.values_mut::<bool>();
            selections[chosen].for_each(|row| {
                values[row] = match (left.is_null(row), right.is_null(row)) {
                    (false, false) => equal.get(row) != ValueRef::Bool(true),
                    (one, other) => one != other,
                };
            });
            Ok(())
        }
        StepKind::NullIf { left, equal, out, physical } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (left, equal) = (column(*left, input, lower), column(*equal, input, lower));
            let out = &mut upper[0];
            out.reset(*physical, rows);
            selections[chosen].for_each(|row| {
                if equal.get(row) == ValueRef::Bool(true) {
                    out.set_null(row)
                } else {
                    out.copy(row, left, row)
                }
            });
            Ok(())
        }
        StepKind::Extreme { args, greatest, compare, out, physical } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let out = &mut upper[0];
            out.reset(*physical, rows);
            let wanted = if *greatest { Ordering::Greater } else { Ordering::Less };
            selections[chosen].for_each(|row| {
                let mut best = ValueRef::Null;
                for arg in args {
                    let value = column(*arg, input, lower).get(row);
                    if !value.is_null() && (best.is_null() || compare(value, best) == wanted) {
                        best = value;
                    }
                }
                out.set(row, best);
            });
            Ok(())
        }
        StepKind::ArrayTest { call, scalar, array, elements, use_or, out } => {
            let mut made = call_context(context, call);
            let (lower, upper) = registers.split_at_mut(*out);
            let (scalar, array) = (column(*scalar, input, lower), column(*array, input, lower));
            let out = &mut upper[0];
            out.reset(PhysicalType::Bool, rows);
            selections[chosen].try_for_each(|row| {
                let value = array_test(&mut made, call, scalar.get(row), array.get(row), elements, *use_or)?;
                out.set(row, value);
                Ok(())
            })
        }
        StepKind::CoerceViaIo { arg, from, to, out, physical } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (arg, out) = (column(*arg, input, lower), &mut upper[0]);
            out.reset(*physical, rows);
            let mut text = Vec::new();
            selections[chosen].try_for_each(|row| {
                let value = arg.get(row);
                if value.is_null() {
                    out.set_null(row);
                    return Ok(());
                }
                text.clear();
                let (view, settings) = (context.call.catalog.as_ref(), context.call.io);
                text_form::output_text(view, *from, value, settings, &mut text)?;
                let read = String::from_utf8_lossy(&text);
                out.set(row, text_form::input_text(view, *to, -1, &read, settings)?.as_ref());
                Ok(())
            })
        }
        StepKind::NextValue { sequence, out } => {
            let out = &mut registers[*out];
            out.reset(PhysicalType::Int64, rows);
            selections[chosen].try_for_each(|row| {
                let value = kokkiri_functions::system::sequence::next_value(&context.call, *sequence, false)?;
                out.set(row, ValueRef::Int64(value));
                Ok(())
            })
        }
        StepKind::Subscript { array, subscripts, element, out, physical } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let (array, out) = (column(*array, input, lower), &mut upper[0]);
            out.reset(*physical, rows);
            let mut place = Vec::with_capacity(subscripts.len());
            selections[chosen].try_for_each(|row| {
                place.clear();
                place.extend(subscripts.iter().filter_map(|subscript| {
                    match column(*subscript, input, lower).get(row) {
                        ValueRef::Int32(index) => Some(index),
                        _ => None,
                    }
                }));
                let found = match array.get(row) {
                    ValueRef::Bytes(payload) if place.len() == subscripts.len() => {
                        let array = ArrayRef::new(payload)?;
                        array::offset_of(&array, &place).and_then(|at| array.elements(element).nth(at))
                    }
                    _ => None,
                };
                out.set(row, found.unwrap_or(ValueRef::Null));
                Ok(())
            })
        }
        StepKind::MakeArray { args, element, out } => {
            let info = array::element_info(*element)?;
            let (lower, upper) = registers.split_at_mut(*out);
            let out = &mut upper[0];
            out.reset(PhysicalType::Varlena, rows);
            selections[chosen].try_for_each(|row| {
                let values: Vec<Value> =
                    args.iter().map(|arg| column(*arg, input, lower).get(row).to_value()).collect();
                out.set(row, ValueRef::Bytes(&array::build_vector(info, &values)?));
                Ok(())
            })
        }
        StepKind::MakeRow { args, columns, row_type, out } => {
            let (lower, upper) = registers.split_at_mut(*out);
            let out = &mut upper[0];
            out.reset(PhysicalType::Varlena, rows);
            selections[chosen].try_for_each(|row| {
                let values: Vec<_> = args.iter().map(|arg| column(*arg, input, lower).get(row)).collect();
                out.set(row, ValueRef::Bytes(&record::make(columns, *row_type, &values)?));
                Ok(())
            })
        }
        StepKind::SubPlan { .. } | StepKind::CoerceArray { .. } => {
            unreachable!("programs within a program are run by it")
        }
    }
}

/// Calls `copy` with the column read and the register written, whichever is the higher.
fn copy_rows(
    from: Operand,
    out: usize,
    input: &[Column],
    registers: &mut [Column],
    copy: impl FnOnce(&Column, &mut Column),
) {
    match from {
        Operand::Input(at) => copy(&input[at], &mut registers[out]),
        Operand::Register(at) if at < out => {
            let (lower, upper) = registers.split_at_mut(out);
            copy(&lower[at], &mut upper[0]);
        }
        Operand::Register(at) => {
            let (lower, upper) = registers.split_at_mut(at);
            copy(&upper[0], &mut lower[out]);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the step's fields and the registers it works on")]
fn combine(
    and: bool,
    first: bool,
    arg: Operand,
    out: usize,
    rest: usize,
    chosen: usize,
    input: &[Column],
    registers: &mut [Column],
    selections: &mut [Selection],
    rows: usize,
) -> Result<()> {
    let mut open = std::mem::take(&mut selections[rest]);
    open.set_none(rows);
    copy_rows(arg, out, input, registers, |arg, out| {
        selections[chosen].for_each(|row| match arg.get(row) {
            ValueRef::Bool(value) if value != and => out.set(row, ValueRef::Bool(value)),
            ValueRef::Bool(value) => {
                if first {
                    out.set(row, ValueRef::Bool(value));
                }
                open.push(row);
            }
            _ => {
                out.set_null(row);
                open.push(row);
            }
        });
    });
    selections[rest] = open;
    Ok(())
}

fn array_test(
    context: &mut CallContext<'_>,
    call: &CallInfo,
    scalar: ValueRef<'_>,
    array: ValueRef<'_>,
    known: &Option<Vec<Value>>,
    use_or: bool,
) -> Result<ValueRef<'static>> {
    let ValueRef::Bytes(bytes) = array else { return Ok(ValueRef::Null) };
    let read;
    let elements: &[Value] = match known {
        Some(known) => known,
        None => {
            read = array::values(bytes)?;
            &read
        }
    };
    if elements.is_empty() {
        return Ok(ValueRef::Bool(!use_or));
    }
    if scalar.is_null() && call.builtin.strict {
        return Ok(ValueRef::Null);
    }
    let mut unknown = false;
    for element in elements {
        if element.is_null() && call.builtin.strict {
            unknown = true;
            continue;
        }
        match (call.builtin.scalar)(context, &[scalar, element.as_ref()])? {
            Value::Bool(answer) if answer == use_or => return Ok(ValueRef::Bool(use_or)),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { ValueRef::Null } else { ValueRef::Bool(!use_or) })
}

/// True for what [`kokkiri_primitives::activity::check_for_interrupts`] raises: it is spent then, and would
/// not be raised again.
fn is_interrupt(error: &Error) -> bool {
    let codes = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE, SqlState::SERIALIZATION_FAILURE];
    error.severity() >= Severity::Fatal || codes.contains(&error.sqlstate())
}
