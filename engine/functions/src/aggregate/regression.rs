//! Aggregates of pairs of numbers: covariance, correlation, the least-squares line.
//!
//! Realises: `float8_regr_accum` and the final functions over its state. Sums of squares are of distances
//! from the mean, kept up as Youngs and Cramer do, which loses least to rounding.

use kokkiri_primitives::Result;
use kokkiri_types::{Column, Value};

use super::{Aggregate, State, entry, grouped};
use crate::arithmetic::overflow;
use crate::context::CallContext;

pub(super) const AGGREGATES: &[Aggregate] = &[
    entry(2818, "regr_count", grouped::<Pairs<Count>>),
    entry(2819, "regr_sxx", grouped::<Pairs<SquaresX>>),
    entry(2820, "regr_syy", grouped::<Pairs<SquaresY>>),
    entry(2821, "regr_sxy", grouped::<Pairs<Products>>),
    entry(2822, "regr_avgx", grouped::<Pairs<MeanX>>),
    entry(2823, "regr_avgy", grouped::<Pairs<MeanY>>),
    entry(2824, "regr_r2", grouped::<Pairs<Determination>>),
    entry(2825, "regr_slope", grouped::<Pairs<Slope>>),
    entry(2826, "regr_intercept", grouped::<Pairs<Intercept>>),
    entry(2827, "covar_pop", grouped::<Pairs<CovariancePopulation>>),
    entry(2828, "covar_samp", grouped::<Pairs<CovarianceSample>>),
    entry(2829, "corr", grouped::<Pairs<Correlation>>),
];

/// Sums over the pairs so far.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, y: f64, x: f64) -> Result<()> {
        let before = *self;
        self.count += 1.0;
        self.x += x;
        self.y += y;
        if before.count == 0.0 {
            let (bad_x, bad_y) = (!x.is_finite(), !y.is_finite());
            if bad_x {
                self.xx = f64::NAN;
            }
            if bad_y {
                self.yy = f64::NAN;
            }
            if bad_x || bad_y {
                self.xy = f64::NAN;
            }
            return Ok(());
        }
        let (from_x, from_y) = (x * self.count - self.x, y * self.count - self.y);
        let scale = 1.0 / (self.count * before.count);
        self.xx += from_x * from_x * scale;
        self.yy += from_y * from_y * scale;
        self.xy += from_x * from_y * scale;
        let infinite = |value: f64| value.is_infinite();
        if [self.x, self.xx, self.y, self.yy, self.xy].into_iter().any(infinite) {
            let new_x = (infinite(self.x) || infinite(self.xx)) && !infinite(before.x) && !infinite(x);
            let new_y = (infinite(self.y) || infinite(self.yy)) && !infinite(before.y) && !infinite(y);
            let inputs = [before.x, x, before.y, y];
            let new_products = infinite(self.xy) && !inputs.into_iter().any(infinite);
            if new_x || new_y || new_products {
                return Err(overflow());
            }
            for sum in [&mut self.xx, &mut self.yy, &mut self.xy] {
                if infinite(*sum) {
                    *sum = f64::NAN;
                }
            }
        }
        Ok(())
    }
}

/// What the sums are turned into.
trait Final: Default + Send + 'static {
    fn of(sums: &Sums) -> Value;
}

#[derive(Default)]
struct Count;

impl Final for Count {
    fn of(sums: &Sums) -> Value {
        Value::Int64(sums.count as i64)
    }
}

#[derive(Default)]
struct Pairs<F: Final> {
    sums: Sums,
    of: std::marker::PhantomData<F>,
}

impl<F: Final> State for Pairs<F> {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let (y, x) = (arguments[0].get(row), arguments[1].get(row));
        if y.is_null() || x.is_null() {
            return Ok(());
        }
        self.sums.add(y.float64(), x.float64())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(F::of(&self.sums))
    }
}

macro_rules! finals {
    ($($name:ident |$sums:ident| $body:expr;)*) => {$(
        #[derive(Default)]
        struct $name;

        impl Final for $name {
            fn of($sums: &Sums) -> Value {
                // Of no pairs nothing can be said.
                let value: Option<f64> = if $sums.count < 1.0 { None } else { $body };
                value.map_or(Value::Null, Value::Float64)
            }
        }
    )*};
}

finals! {
    SquaresX |sums| Some(sums.xx);
    SquaresY |sums| Some(sums.yy);
    Products |sums| Some(sums.xy);
    MeanX |sums| Some(sums.x / sums.count);
    MeanY |sums| Some(sums.y / sums.count);
    CovariancePopulation |sums| Some(sums.xy / sums.count);
    CovarianceSample |sums| (sums.count >= 2.0).then(|| sums.xy / (sums.count - 1.0));
    Correlation |sums| {
        // A horizontal or vertical line has none.
        (sums.xx != 0.0 && sums.yy != 0.0).then(|| sums.xy / (sums.xx * sums.yy).sqrt())
    };
    Determination |sums| match (sums.xx == 0.0, sums.yy == 0.0) {
        (true, _) => None,
        (false, true) => Some(1.0),
        (false, false) => Some((sums.xy * sums.xy) / (sums.xx * sums.yy)),
    };
    Slope |sums| (sums.xx != 0.0).then(|| sums.xy / sums.xx);
    Intercept |sums| (sums.xx != 0.0).then(|| (sums.y - sums.x * sums.xy / sums.xx) / sums.count);
}
