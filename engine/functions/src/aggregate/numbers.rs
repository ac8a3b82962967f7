//! count, sum, avg, variance and deviation, bits and booleans.

use kokkiri_primitives::{Result, error};
use kokkiri_types::datetime::Interval;
use kokkiri_types::numeric::{Numeric, NumericSum};
use kokkiri_types::{Column, Element, Selection, Value};

use super::{Aggregate, State, entry, grouped};
use crate::arithmetic::overflow;
use crate::context::CallContext;

pub(super) const AGGREGATES: &[Aggregate] = &[
    entry(2803, "count", grouped::<CountRows>),
    entry(2147, "count", grouped::<Count>),
    entry(2109, "sum", grouped::<IntegerSum<i16, Narrow>>),
    entry(2108, "sum", grouped::<IntegerSum<i32, Narrow>>),
    entry(2107, "sum", grouped::<IntegerSum<i64, Wide>>),
    entry(2102, "avg", grouped::<IntegerSum<i16, Average>>),
    entry(2101, "avg", grouped::<IntegerSum<i32, Average>>),
    entry(2100, "avg", grouped::<IntegerSum<i64, Average>>),
    entry(2112, "sum", grouped::<MoneySum>),
    entry(2114, "sum", grouped::<Numerics<Total>>),
    entry(2103, "avg", grouped::<Numerics<Mean>>),
    entry(2110, "sum", grouped::<FloatSum<f32>>),
    entry(2111, "sum", grouped::<FloatSum<f64>>),
    entry(2104, "avg", grouped::<Floats<f32, FloatMean>>),
    entry(2105, "avg", grouped::<Floats<f64, FloatMean>>),
    entry(2113, "sum", grouped::<IntervalSum>),
    entry(2106, "avg", grouped::<IntervalMean>),
    entry(2724, "stddev_pop", grouped::<Squares<i64, false, true>>),
    entry(2725, "stddev_pop", grouped::<Squares<i32, false, true>>),
    entry(2726, "stddev_pop", grouped::<Squares<i16, false, true>>),
    entry(2729, "stddev_pop", grouped::<NumericSquares<false, true>>),
    entry(2712, "stddev_samp", grouped::<Squares<i64, true, true>>),
    entry(2713, "stddev_samp", grouped::<Squares<i32, true, true>>),
    entry(2714, "stddev_samp", grouped::<Squares<i16, true, true>>),
    entry(2717, "stddev_samp", grouped::<NumericSquares<true, true>>),
    entry(2154, "stddev", grouped::<Squares<i64, true, true>>),
    entry(2155, "stddev", grouped::<Squares<i32, true, true>>),
    entry(2156, "stddev", grouped::<Squares<i16, true, true>>),
    entry(2159, "stddev", grouped::<NumericSquares<true, true>>),
    entry(2718, "var_pop", grouped::<Squares<i64, false, false>>),
    entry(2719, "var_pop", grouped::<Squares<i32, false, false>>),
    entry(2720, "var_pop", grouped::<Squares<i16, false, false>>),
    entry(2723, "var_pop", grouped::<NumericSquares<false, false>>),
    entry(2641, "var_samp", grouped::<Squares<i64, true, false>>),
    entry(2642, "var_samp", grouped::<Squares<i32, true, false>>),
    entry(2643, "var_samp", grouped::<Squares<i16, true, false>>),
    entry(2646, "var_samp", grouped::<NumericSquares<true, false>>),
    entry(2148, "variance", grouped::<Squares<i64, true, false>>),
    entry(2149, "variance", grouped::<Squares<i32, true, false>>),
    entry(2150, "variance", grouped::<Squares<i16, true, false>>),
    entry(2153, "variance", grouped::<NumericSquares<true, false>>),
    entry(2727, "stddev_pop", grouped::<Floats<f32, FloatDeviation<false, true>>>),
    entry(2728, "stddev_pop", grouped::<Floats<f64, FloatDeviation<false, true>>>),
    entry(2715, "stddev_samp", grouped::<Floats<f32, FloatDeviation<true, true>>>),
    entry(2716, "stddev_samp", grouped::<Floats<f64, FloatDeviation<true, true>>>),
    entry(2157, "stddev", grouped::<Floats<f32, FloatDeviation<true, true>>>),
    entry(2158, "stddev", grouped::<Floats<f64, FloatDeviation<true, true>>>),
    entry(2721, "var_pop", grouped::<Floats<f32, FloatDeviation<false, false>>>),
    entry(2722, "var_pop", grouped::<Floats<f64, FloatDeviation<false, false>>>),
    entry(2644, "var_samp", grouped::<Floats<f32, FloatDeviation<true, false>>>),
    entry(2645, "var_samp", grouped::<Floats<f64, FloatDeviation<true, false>>>),
    entry(2151, "variance", grouped::<Floats<f32, FloatDeviation<true, false>>>),
    entry(2152, "variance", grouped::<Floats<f64, FloatDeviation<true, false>>>),
    entry(2517, "bool_and", grouped::<Fold<bool, And>>),
    entry(2519, "every", grouped::<Fold<bool, And>>),
    entry(2518, "bool_or", grouped::<Fold<bool, Or>>),
    entry(2236, "bit_and", grouped::<Fold<i16, And>>),
    entry(2238, "bit_and", grouped::<Fold<i32, And>>),
    entry(2240, "bit_and", grouped::<Fold<i64, And>>),
    entry(2237, "bit_or", grouped::<Fold<i16, Or>>),
    entry(2239, "bit_or", grouped::<Fold<i32, Or>>),
    entry(2241, "bit_or", grouped::<Fold<i64, Or>>),
    entry(6164, "bit_xor", grouped::<Fold<i16, Xor>>),
    entry(6165, "bit_xor", grouped::<Fold<i32, Xor>>),
    entry(6166, "bit_xor", grouped::<Fold<i64, Xor>>),
];

/// Visits the elements of the selected rows that aren't null; the dense case is a plain loop.
#[inline]
fn each_element<T: Element>(
    column: &Column,
    selection: &Selection,
    mut visit: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let values = column.values::<T>();
    if column.is_constant() {
        if !column.is_null(0) {
            (0..selection.len()).try_for_each(|_| visit(values[0]))?;
        }
        return Ok(());
    }
    if column.nulls().any() {
        let nulls = column.nulls();
        return selection.try_for_each(|row| if nulls.is_null(row) { Ok(()) } else { visit(values[row]) });
    }
    match selection.chosen() {
        None => values[..selection.rows()].iter().try_for_each(|&value| visit(value)),
        Some(chosen) => chosen.iter().try_for_each(|&row| visit(values[usize::from(row)])),
    }
}

/// Element of a row, unless it is null.
#[inline]
fn element<T: Element>(column: &Column, row: usize) -> Option<T> {
    let index = column.index(row);
    if column.nulls().is_null(index) { None } else { Some(column.values::<T>()[index]) }
}

/// Selected rows that aren't null.
fn count_valid(column: &Column, selection: &Selection) -> i64 {
    if column.is_constant() {
        return if column.is_null(0) { 0 } else { selection.len() as i64 };
    }
    if !column.nulls().any() {
        return selection.len() as i64;
    }
    match selection.chosen() {
        None => (selection.rows() - column.nulls().count(selection.rows())) as i64,
        Some(chosen) => {
            chosen.iter().filter(|&&row| !column.nulls().is_null(usize::from(row))).count() as i64
        }
    }
}

/// `count(*)`.
#[derive(Default)]
struct CountRows(i64);

impl State for CountRows {
    #[inline]
    fn update(&mut self, _: &mut CallContext<'_>, _: &[&Column], _: usize) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn update_batch(&mut self, _: &mut CallContext<'_>, _: &[&Column], selection: &Selection) -> Result<()> {
        self.0 += selection.len() as i64;
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::Int64(self.0))
    }
}

/// `count(x)`.
#[derive(Default)]
struct Count(i64);

impl State for Count {
    #[inline]
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        self.0 += i64::from(!arguments[0].is_null(row));
        Ok(())
    }

    fn update_batch(
        &mut self,
        _: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
    ) -> Result<()> {
        self.0 += count_valid(arguments[0], selection);
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::Int64(self.0))
    }
}

/// What becomes of a sum of integers.
trait Finish: Default + Send + 'static {
    fn finish(sum: i128, count: i64) -> Result<Value>;
}

/// int8, which wraps as PostgreSQL's does.
#[derive(Default)]
struct Narrow;

/// numeric.
#[derive(Default)]
struct Wide;

/// The mean, as numeric.
#[derive(Default)]
struct Average;

impl Finish for Narrow {
    fn finish(sum: i128, _: i64) -> Result<Value> {
        Ok(Value::Int64(sum as i64))
    }
}

impl Finish for Wide {
    fn finish(sum: i128, _: i64) -> Result<Value> {
        Ok(Value::from(Numeric::from(sum).to_payload()?))
    }
}

impl Finish for Average {
    fn finish(sum: i128, count: i64) -> Result<Value> {
        Ok(Value::from(Numeric::from(sum).divide(&Numeric::from(count))?.to_payload()?))
    }
}

#[derive(Default)]
struct IntegerSum<T, F> {
    sum: i128,
    count: i64,
    _types: std::marker::PhantomData<(T, F)>,
}

impl<T: Element + Into<i64>, F: Finish> State for IntegerSum<T, F>
where
    Self: Default,
{
    #[inline]
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        if let Some(value) = element::<T>(arguments[0], row) {
            self.sum += i128::from(value.into());
            self.count += 1;
        }
        Ok(())
    }

    fn update_batch(
        &mut self,
        _: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
    ) -> Result<()> {
        let column = arguments[0];
        let dense = selection.is_all() && !column.nulls().any() && !column.is_constant();
        if dense {
            let values = &column.values::<T>()[..selection.rows()];
            if size_of::<T>() < 8 {
                // A batch of 32-bit numbers can't overflow 64 bits: the loop vectorises.
                self.sum += i128::from(values.iter().map(|&value| value.into()).sum::<i64>());
            } else {
                self.sum += values.iter().map(|&value| i128::from(value.into())).sum::<i128>();
            }
            self.count += values.len() as i64;
            return Ok(());
        }
        let (mut sum, mut count) = (0i128, 0);
        each_element::<T>(column, selection, |value| {
            sum += i128::from(value.into());
            count += 1;
            Ok(())
        })?;
        self.sum += sum;
        self.count += count;
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        if self.count == 0 { Ok(Value::Null) } else { F::finish(self.sum, self.count) }
    }
}

/// `sum(money)`.
#[derive(Default)]
struct MoneySum(Option<i64>);

impl State for MoneySum {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        if let Some(value) = element::<i64>(arguments[0], row) {
            let sum = self.0.unwrap_or(0).checked_add(value);
            self.0 = Some(sum.ok_or_else(|| error!(NUMERIC_VALUE_OUT_OF_RANGE, "money out of range"))?);
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::from(self.0))
    }
}

/// What becomes of a sum of numerics.
trait FinishNumeric: Default + Send + 'static {
    fn finish(sum: &NumericSum, count: i64) -> Result<Numeric>;
}

#[derive(Default)]
struct Total;

#[derive(Default)]
struct Mean;

impl FinishNumeric for Total {
    fn finish(sum: &NumericSum, _: i64) -> Result<Numeric> {
        Ok(sum.total())
    }
}

impl FinishNumeric for Mean {
    fn finish(sum: &NumericSum, count: i64) -> Result<Numeric> {
        sum.total().divide(&Numeric::from(count))
    }
}

#[derive(Default)]
struct Numerics<F> {
    sum: NumericSum,
    count: i64,
    _finish: std::marker::PhantomData<F>,
}

impl<F: FinishNumeric> State for Numerics<F> {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let column = arguments[0];
        let index = column.index(row);
        if !column.nulls().is_null(index) {
            self.sum.add_payload(column.bytes().get(index));
            self.count += 1;
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        if self.count == 0 {
            Ok(Value::Null)
        } else {
            Ok(Value::from(F::finish(&self.sum, self.count)?.to_payload()?))
        }
    }
}

/// `sum` of floats, in their own precision.
#[derive(Default)]
struct FloatSum<T>(Option<T>);

macro_rules! float_sum {
    ($type:ty) => {
        impl State for FloatSum<$type> {
            fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
                match element::<$type>(arguments[0], row) {
                    Some(value) => self.add(value),
                    None => Ok(()),
                }
            }

            fn update_batch(
                &mut self,
                _: &mut CallContext<'_>,
                arguments: &[&Column],
                selection: &Selection,
            ) -> Result<()> {
                each_element::<$type>(arguments[0], selection, |value| self.add(value))
            }

            fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
                Ok(Value::from(self.0))
            }
        }

        impl FloatSum<$type> {
            #[inline]
            fn add(&mut self, value: $type) -> Result<()> {
                // The first value starts the sum, so that a lone -0 stays one.
                let Some(sum) = self.0 else {
                    self.0 = Some(value);
                    return Ok(());
                };
                let next = sum + value;
                if next.is_infinite() && sum.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                self.0 = Some(next);
                Ok(())
            }
        }
    };
}

float_sum!(f32);
float_sum!(f64);

/// Count, sum and sum of squared differences (Youngs and Cramer), as PostgreSQL's `float8_accum`.
#[derive(Default)]
struct Floats<T, F> {
    count: f64,
    sum: f64,
    squares: f64,
    _types: std::marker::PhantomData<(T, F)>,
}

trait FinishFloats: Default + Send + 'static {
    fn finish(count: f64, sum: f64, squares: f64) -> Option<f64>;
}

#[derive(Default)]
struct FloatMean;

impl FinishFloats for FloatMean {
    fn finish(count: f64, sum: f64, _: f64) -> Option<f64> {
        (count > 0.0).then(|| sum / count)
    }
}

/// Variance or, with a root, standard deviation; of a sample or the population.
#[derive(Default)]
struct FloatDeviation<const SAMPLE: bool, const ROOT: bool>;

impl<const SAMPLE: bool, const ROOT: bool> FinishFloats for FloatDeviation<SAMPLE, ROOT> {
    fn finish(count: f64, _: f64, squares: f64) -> Option<f64> {
        let divisor = if SAMPLE { count - 1.0 } else { count };
        let variance = (divisor > 0.0).then(|| squares / divisor)?;
        Some(if ROOT { variance.sqrt() } else { variance })
    }
}

impl<T: Element + Into<f64>, F: FinishFloats> State for Floats<T, F>
where
    Self: Default,
{
    #[inline]
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let Some(value) = element::<T>(arguments[0], row) else { return Ok(()) };
        let value: f64 = value.into();
        let old_count = self.count;
        let old_sum = self.sum;
        self.count += 1.0;
        self.sum += value;
        if old_count > 0.0 {
            let distance = value * self.count - self.sum;
            self.squares += distance * distance / (self.count * old_count);
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if old_sum.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::from(F::finish(self.count, self.sum, self.squares)))
    }
}

/// Sum and sum of squares of integers, for variances: 128 bits hold those of int4, int8 goes by numeric.
#[derive(Default)]
struct Squares<T, const SAMPLE: bool, const ROOT: bool> {
    count: i64,
    sum: i128,
    squares: i128,
    wide: NumericSum,
    _type: std::marker::PhantomData<T>,
}

impl<T: Element + Into<i64>, const SAMPLE: bool, const ROOT: bool> State for Squares<T, SAMPLE, ROOT>
where
    Self: Default,
{
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let Some(value) = element::<T>(arguments[0], row) else { return Ok(()) };
        let value = i128::from(value.into());
        self.count += 1;
        self.sum += value;
        match self.squares.checked_add(value * value) {
            Some(squares) => self.squares = squares,
            None => {
                self.wide.add(&Numeric::from(self.squares));
                self.squares = value * value;
            }
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        if self.count <= i64::from(SAMPLE) {
            return Ok(Value::Null);
        }
        let squares = self.wide.total().add(&Numeric::from(self.squares));
        let result = Numeric::deviation(self.count, &Numeric::from(self.sum), &squares, SAMPLE, ROOT)?;
        Ok(Value::from(result.to_payload()?))
    }
}

/// Sum and sum of squares of numerics.
#[derive(Default)]
struct NumericSquares<const SAMPLE: bool, const ROOT: bool> {
    count: i64,
    sum: NumericSum,
    squares: NumericSum,
    special: bool,
}

impl<const SAMPLE: bool, const ROOT: bool> State for NumericSquares<SAMPLE, ROOT> {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let column = arguments[0];
        let index = column.index(row);
        if column.nulls().is_null(index) {
            return Ok(());
        }
        self.count += 1;
        let value = Numeric::decode(column.bytes().get(index));
        if value.is_finite() {
            self.sum.add(&value);
            self.squares.add(&value.multiply(&value)?);
        } else {
            self.special = true;
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        if self.count <= i64::from(SAMPLE) {
            return Ok(Value::Null);
        }
        let result = if self.special {
            Numeric::NAN
        } else {
            Numeric::deviation(self.count, &self.sum.finite(), &self.squares.finite(), SAMPLE, ROOT)?
        };
        Ok(Value::from(result.to_payload()?))
    }
}

/// `sum(interval)`.
#[derive(Default)]
struct IntervalSum {
    sum: Interval,
    count: i64,
}

impl State for IntervalSum {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        if let Some(value) = element::<[u8; 16]>(arguments[0], row) {
            self.sum = self.sum.plus(Interval::from_fixed(value))?;
            self.count += 1;
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::from((self.count > 0).then(|| self.sum.to_fixed())))
    }
}

/// `avg(interval)`.
#[derive(Default)]
struct IntervalMean(IntervalSum);

impl State for IntervalMean {
    fn update(&mut self, context: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        self.0.update(context, arguments, row)
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        match self.0.count {
            0 => Ok(Value::Null),
            count => Ok(Value::from(self.0.sum.divide(count as f64)?.to_fixed())),
        }
    }
}

/// An operation of bits or booleans.
trait Operation<T>: Default + Send + 'static {
    fn apply(a: T, b: T) -> T;
}

macro_rules! operation {
    ($($name:ident $trait:ident $method:ident;)*) => {$(
        #[derive(Default)]
        struct $name;

        impl<T: std::ops::$trait<Output = T>> Operation<T> for $name {
            fn apply(a: T, b: T) -> T {
                a.$method(b)
            }
        }
    )*};
}

operation! {
    And BitAnd bitand;
    Or BitOr bitor;
    Xor BitXor bitxor;
}

/// A value that every further one is folded into.
#[derive(Default)]
struct Fold<T, O> {
    value: Option<T>,
    _operation: std::marker::PhantomData<O>,
}

impl<T: Element + Into<Value>, O: Operation<T>> State for Fold<T, O> {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        if let Some(next) = element::<T>(arguments[0], row) {
            self.value = Some(self.value.map_or(next, |value| O::apply(value, next)));
        }
        Ok(())
    }

    fn update_batch(
        &mut self,
        _: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
    ) -> Result<()> {
        each_element::<T>(arguments[0], selection, |next| {
            self.value = Some(self.value.map_or(next, |value| O::apply(value, next)));
            Ok(())
        })
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::from(self.value))
    }
}
