//! Trigonometric functions in degrees, exact where the result is: sind(30) is 0.5.
//!
//! Realises: the `dsind` family of float.c. Every function is scaled by its own value at the angle whose
//! result is known, so that the scaling's rounding cancels there.

use std::sync::LazyLock;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Result, error};

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] =
    &[list![dasind, dacosd, datand, datan2d, dsind, dcosd, dtand, dcotd]];

/// Values at the angles with known results.
struct Anchors {
    sin_30: f64,
    one_minus_cos_60: f64,
    asin_half: f64,
    acos_half: f64,
    atan_one: f64,
    tan_45: f64,
    cot_45: f64,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    // Values must be computed when the server runs, as those they are divided into are.
    let opaque = std::hint::black_box::<f64>;
    let sin_30 = opaque(30.0).to_radians_exactly().sin();
    let one_minus_cos_60 = 1.0 - opaque(60.0).to_radians_exactly().cos();
    let mut anchors = Anchors {
        sin_30,
        one_minus_cos_60,
        asin_half: opaque(0.5).asin(),
        acos_half: opaque(0.5).acos(),
        atan_one: opaque(1.0).atan(),
        tan_45: 1.0,
        cot_45: 1.0,
    };
    anchors.tan_45 = anchors.sin_first_quadrant(45.0) / anchors.cos_first_quadrant(45.0);
    anchors.cot_45 = anchors.cos_first_quadrant(45.0) / anchors.sin_first_quadrant(45.0);
    anchors
});

trait Degrees {
    /// Multiplies by the constant that PostgreSQL multiplies by.
    fn to_radians_exactly(self) -> f64;
}

impl Degrees for f64 {
    fn to_radians_exactly(self) -> f64 {
        const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;
        self * RADIANS_PER_DEGREE
    }
}

impl Anchors {
    fn sin_to_30(&self, angle: f64) -> f64 {
        (angle.to_radians_exactly().sin() / self.sin_30) / 2.0
    }

    fn cos_to_60(&self, angle: f64) -> f64 {
        1.0 - ((1.0 - angle.to_radians_exactly().cos()) / self.one_minus_cos_60) / 2.0
    }

    fn sin_first_quadrant(&self, angle: f64) -> f64 {
        if angle <= 30.0 { self.sin_to_30(angle) } else { self.cos_to_60(90.0 - angle) }
    }

    fn cos_first_quadrant(&self, angle: f64) -> f64 {
        if angle <= 60.0 { self.cos_to_60(angle) } else { self.sin_to_30(90.0 - angle) }
    }

    fn asin_first_quadrant(&self, value: f64) -> f64 {
        match value <= 0.5 {
            true => (value.asin() / self.asin_half) * 30.0,
            false => 90.0 - (value.acos() / self.acos_half) * 60.0,
        }
    }

    fn acos_first_quadrant(&self, value: f64) -> f64 {
        match value <= 0.5 {
            true => 90.0 - (value.asin() / self.asin_half) * 30.0,
            false => (value.acos() / self.acos_half) * 60.0,
        }
    }
}

#[cold]
fn out_of_range() -> Error {
    error!(NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn in_unit(value: f64) -> Result<()> {
    // NaN is in no range and comes back as itself.
    if value.is_nan() || (-1.0..=1.0).contains(&value) { Ok(()) } else { Err(out_of_range()) }
}

#[builtin(oid = 2731)]
fn dasind(value: f64) -> Result<f64> {
    in_unit(value)?;
    if value.is_nan() {
        return Ok(value);
    }
    Ok(if value >= 0.0 { ANCHORS.asin_first_quadrant(value) } else { -ANCHORS.asin_first_quadrant(-value) })
}

#[builtin(oid = 2732)]
fn dacosd(value: f64) -> Result<f64> {
    in_unit(value)?;
    if value.is_nan() {
        return Ok(value);
    }
    Ok(match value >= 0.0 {
        true => ANCHORS.acos_first_quadrant(value),
        false => 90.0 + ANCHORS.asin_first_quadrant(-value),
    })
}

#[builtin(oid = 2733)]
fn datand(value: f64) -> f64 {
    (value.atan() / ANCHORS.atan_one) * 45.0
}

#[builtin(oid = 2734)]
fn datan2d(y: f64, x: f64) -> f64 {
    (y.atan2(x) / ANCHORS.atan_one) * 45.0
}

/// An angle in the first quadrant with the signs that the others bring: of sine and of cosine.
fn reduce(angle: f64) -> Result<(f64, f64, f64)> {
    if angle.is_infinite() {
        return Err(out_of_range());
    }
    let mut angle = angle % 360.0;
    let (mut sine, mut cosine) = (1.0, 1.0);
    if angle < 0.0 {
        angle = -angle;
        sine = -sine;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sine = -sine;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        cosine = -cosine;
    }
    Ok((angle, sine, cosine))
}

#[builtin(oid = 2735)]
fn dsind(angle: f64) -> Result<f64> {
    if angle.is_nan() {
        return Ok(angle);
    }
    let (angle, sign, _) = reduce(angle)?;
    Ok(sign * ANCHORS.sin_first_quadrant(angle))
}

#[builtin(oid = 2736)]
fn dcosd(angle: f64) -> Result<f64> {
    if angle.is_nan() {
        return Ok(angle);
    }
    let (angle, _, sign) = reduce(angle)?;
    Ok(sign * ANCHORS.cos_first_quadrant(angle))
}

/// Zero without a sign.
fn plain_zero(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value }
}

#[builtin(oid = 2737)]
fn dtand(angle: f64) -> Result<f64> {
    if angle.is_nan() {
        return Ok(angle);
    }
    let (angle, sine, cosine) = reduce(angle)?;
    let tangent = ANCHORS.sin_first_quadrant(angle) / ANCHORS.cos_first_quadrant(angle);
    Ok(plain_zero(sine * cosine * (tangent / ANCHORS.tan_45)))
}

#[builtin(oid = 2738)]
fn dcotd(angle: f64) -> Result<f64> {
    if angle.is_nan() {
        return Ok(angle);
    }
    let (angle, sine, cosine) = reduce(angle)?;
    let cotangent = ANCHORS.cos_first_quadrant(angle) / ANCHORS.sin_first_quadrant(angle);
    Ok(plain_zero(sine * cosine * (cotangent / ANCHORS.cot_45)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_angles_are_exact() {
        let exact = |value: Result<f64>, expected: f64| assert_eq!(value.expect("in range"), expected);
        exact(dsind(30.0), 0.5);
        exact(dsind(150.0), 0.5);
        exact(dsind(-90.0), -1.0);
        exact(dcosd(60.0), 0.5);
        exact(dcosd(240.0), -0.5);
        exact(dtand(45.0), 1.0);
        exact(dtand(180.0), 0.0);
        exact(dcotd(135.0), -1.0);
        exact(dasind(0.5), 30.0);
        exact(dacosd(-0.5), 120.0);
        assert_eq!(datand(1.0), 45.0);
        assert!(dsind(f64::INFINITY).is_err());
    }
}
