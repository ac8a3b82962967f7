//! What `#[builtin]` generates its vector forms from: how arguments are read from columns, results
//! written, and the loops between.
//!
//! The hot loops ([`unary`], [`binary`]) are for fixed-width types: plain loops over slices, one for
//! dense batches and one for selections, apart for constant operands, so that the compiler vectorises
//! them. A function that can't fail is computed under nulls too; the null mask hides it.

use std::borrow::Cow;

use kokkiri_primitives::{ItemPointer, Oid, Result};
use kokkiri_types::datetime::Interval;
use kokkiri_types::numeric::Numeric;
use kokkiri_types::{ByteVector, Bytes, Column, Element, NullMask, PhysicalType, Selection, Value, ValueRef};

use crate::context::CallContext;
use crate::registry::ScalarFunction;

/// A Rust type that a parameter of a function may have.
pub trait Argument<'c>: Sized {
    /// Physical type of the column that is read; `None` for any.
    const PHYSICAL: Option<PhysicalType>;
    type Reader: Copy;

    fn reader(column: &'c Column) -> Self::Reader;
    fn read(reader: Self::Reader, index: usize) -> Self;
    fn from_value(value: ValueRef<'c>) -> Self;
}

macro_rules! element_arguments {
    ($($type:ty => $physical:ident),*) => {$(
        impl<'c> Argument<'c> for $type {
            const PHYSICAL: Option<PhysicalType> = Some(PhysicalType::$physical);
            type Reader = &'c [$type];

            #[inline]
            fn reader(column: &'c Column) -> Self::Reader {
                column.values()
            }

            #[inline]
            fn read(reader: Self::Reader, index: usize) -> Self {
                reader[index]
            }

            #[inline]
            fn from_value(value: ValueRef<'c>) -> Self {
                <$type as Element>::from_ref(value)
            }
        }
    )*};
}

element_arguments!(bool => Bool, u8 => Char, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32,
    f64 => Float64, [u8; 16] => Fixed16, ItemPointer => Tid);

/// Arguments that are read as another and converted.
macro_rules! derived_arguments {
    ($($type:ty, $from:ty, |$value:ident| $convert:expr;)*) => {$(
        impl<'c> Argument<'c> for $type {
            const PHYSICAL: Option<PhysicalType> = <$from as Argument<'c>>::PHYSICAL;
            type Reader = <$from as Argument<'c>>::Reader;

            #[inline]
            fn reader(column: &'c Column) -> Self::Reader {
                <$from as Argument<'c>>::reader(column)
            }

            #[inline]
            fn read(reader: Self::Reader, index: usize) -> Self {
                let $value = <$from as Argument<'c>>::read(reader, index);
                $convert
            }

            #[inline]
            fn from_value(value: ValueRef<'c>) -> Self {
                let $value = <$from as Argument<'c>>::from_value(value);
                $convert
            }
        }
    )*};
}

derived_arguments! {
    Oid, i32, |value| Oid(value as u32);
    u64, i64, |value| value as u64;
    Interval, [u8; 16], |value| Interval::from_fixed(value);
    &'c str, &'c [u8], |value| std::str::from_utf8(value).unwrap_or_default();
    Numeric, &'c [u8], |value| Numeric::decode(value);
}

impl<'c> Argument<'c> for &'c [u8] {
    const PHYSICAL: Option<PhysicalType> = Some(PhysicalType::Varlena);
    type Reader = &'c ByteVector;

    #[inline]
    fn reader(column: &'c Column) -> Self::Reader {
        column.bytes()
    }

    #[inline]
    fn read(reader: Self::Reader, index: usize) -> Self {
        reader.get(index)
    }

    #[inline]
    fn from_value(value: ValueRef<'c>) -> Self {
        value.bytes()
    }
}

impl<'c> Argument<'c> for ValueRef<'c> {
    const PHYSICAL: Option<PhysicalType> = None;
    type Reader = &'c Column;

    fn reader(column: &'c Column) -> Self::Reader {
        column
    }

    fn read(reader: Self::Reader, index: usize) -> Self {
        reader.get(index)
    }

    fn from_value(value: ValueRef<'c>) -> Self {
        value
    }
}

impl<'c, T: Argument<'c>> Argument<'c> for Option<T> {
    const PHYSICAL: Option<PhysicalType> = T::PHYSICAL;
    type Reader = (T::Reader, &'c NullMask);

    #[inline]
    fn reader(column: &'c Column) -> Self::Reader {
        (T::reader(column), column.nulls())
    }

    #[inline]
    fn read((reader, nulls): Self::Reader, index: usize) -> Self {
        if nulls.is_null(index) { None } else { Some(T::read(reader, index)) }
    }

    fn from_value(value: ValueRef<'c>) -> Self {
        if value.is_null() { None } else { Some(T::from_value(value)) }
    }
}

/// A Rust type that a function may return.
pub trait Return: Sized {
    /// Physical type of the column that is written; `None` for that of the call's result type.
    const PHYSICAL: Option<PhysicalType>;
    type Writer<'w>;

    fn physical(context: &CallContext<'_>) -> PhysicalType {
        Self::PHYSICAL.unwrap_or_else(|| context.result_physical())
    }

    fn writer(out: &mut Column) -> Self::Writer<'_>;

    /// # Errors
    /// If the value can't be stored, as a numeric out of the format's range.
    fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()>;

    fn write_null(writer: &mut Self::Writer<'_>, row: usize);

    /// # Errors
    /// As [`Self::write`].
    fn into_value(self) -> Result<Value>;
}

macro_rules! element_returns {
    ($($type:ty => $physical:ident),*) => {$(
        impl Return for $type {
            const PHYSICAL: Option<PhysicalType> = Some(PhysicalType::$physical);
            type Writer<'w> = (&'w mut [$type], &'w mut NullMask);

            #[inline]
            fn writer(out: &mut Column) -> Self::Writer<'_> {
                out.parts_mut()
            }

            #[inline]
            fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()> {
                writer.0[row] = self;
                Ok(())
            }

            fn write_null(writer: &mut Self::Writer<'_>, row: usize) {
                writer.1.set_null(row);
            }

            fn into_value(self) -> Result<Value> {
                Ok(<$type as Element>::into_value(self))
            }
        }
    )*};
}

element_returns!(bool => Bool, u8 => Char, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32,
    f64 => Float64, [u8; 16] => Fixed16, ItemPointer => Tid);

/// Results that are written as another after conversion.
macro_rules! derived_returns {
    ($($type:ty, $to:ty, |$value:ident| $convert:expr;)*) => {$(
        impl Return for $type {
            const PHYSICAL: Option<PhysicalType> = <$to as Return>::PHYSICAL;
            type Writer<'w> = <$to as Return>::Writer<'w>;

            #[inline]
            fn writer(out: &mut Column) -> Self::Writer<'_> {
                <$to as Return>::writer(out)
            }

            #[inline]
            fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()> {
                let $value = self;
                <$to as Return>::write($convert, writer, row)
            }

            fn write_null(writer: &mut Self::Writer<'_>, row: usize) {
                <$to as Return>::write_null(writer, row);
            }

            fn into_value(self) -> Result<Value> {
                let $value = self;
                <$to as Return>::into_value($convert)
            }
        }
    )*};
}

derived_returns! {
    Oid, i32, |value| value.0 as i32;
    u64, i64, |value| value as i64;
    Interval, [u8; 16], |value| value.to_fixed();
}

/// Results that are bytes.
macro_rules! byte_returns {
    ($($type:ty, |$value:ident, $out:ident| $write:expr, $into:expr;)*) => {$(
        impl Return for $type {
            const PHYSICAL: Option<PhysicalType> = Some(PhysicalType::Varlena);
            type Writer<'w> = &'w mut Column;

            fn writer(out: &mut Column) -> Self::Writer<'_> {
                out
            }

            fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()> {
                let $value = self;
                writer.bytes_mut().set_with(row, |$out| $write)
            }

            fn write_null(writer: &mut Self::Writer<'_>, row: usize) {
                writer.set_null(row);
            }

            fn into_value(self) -> Result<Value> {
                let $value = self;
                $into
            }
        }
    )*};
}

byte_returns! {
    String, |value, out| { out.extend_from_slice(value.as_bytes()); Ok(()) }, Ok(Value::from(value));
    Vec<u8>, |value, out| { out.extend_from_slice(&value); Ok(()) }, Ok(Value::from(value));
    &str, |value, out| { out.extend_from_slice(value.as_bytes()); Ok(()) }, Ok(Value::from(value));
    &[u8], |value, out| { out.extend_from_slice(value); Ok(()) }, Ok(Value::bytes(value));
    Cow<'_, [u8]>, |value, out| { out.extend_from_slice(&value); Ok(()) }, Ok(Value::bytes(&value));
    Bytes, |value, out| { out.extend_from_slice(&value); Ok(()) }, Ok(Value::Bytes(value));
    Numeric, |value, out| value.encode(out), value.to_payload().map(Value::from);
}

impl Return for Value {
    const PHYSICAL: Option<PhysicalType> = None;
    type Writer<'w> = &'w mut Column;

    fn writer(out: &mut Column) -> Self::Writer<'_> {
        out
    }

    fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()> {
        writer.set(row, self.as_ref());
        Ok(())
    }

    fn write_null(writer: &mut Self::Writer<'_>, row: usize) {
        writer.set_null(row);
    }

    fn into_value(self) -> Result<Value> {
        Ok(self)
    }
}

impl<T: Return> Return for Option<T> {
    const PHYSICAL: Option<PhysicalType> = T::PHYSICAL;
    type Writer<'w> = T::Writer<'w>;

    fn writer(out: &mut Column) -> Self::Writer<'_> {
        T::writer(out)
    }

    fn write(self, writer: &mut Self::Writer<'_>, row: usize) -> Result<()> {
        match self {
            Some(value) => value.write(writer, row),
            None => {
                T::write_null(writer, row);
                Ok(())
            }
        }
    }

    fn write_null(writer: &mut Self::Writer<'_>, row: usize) {
        T::write_null(writer, row);
    }

    fn into_value(self) -> Result<Value> {
        self.map_or(Ok(Value::Null), T::into_value)
    }
}

/// What a row number is masked with to find an argument's element: zero for constants.
#[inline]
pub fn mask(column: &Column) -> usize {
    if column.is_constant() { 0 } else { usize::MAX }
}

/// Resets `out` for a batch and, for a strict function, gives it the arguments' nulls. False if a
/// constant null makes everything null: `out` is then that constant.
pub fn prepare(
    arguments: &[&Column],
    rows: usize,
    physical: PhysicalType,
    strict: bool,
    out: &mut Column,
) -> bool {
    if strict && arguments.iter().any(|column| column.is_constant() && column.is_null(0)) {
        out.set_constant(physical, ValueRef::Null);
        return false;
    }
    out.reset(physical, rows);
    if strict {
        for column in arguments.iter().filter(|column| !column.is_constant()) {
            out.nulls_mut().union(column.nulls());
        }
    }
    true
}

/// Computes a call whose arguments are all constant, once.
///
/// # Errors
/// Those of the function.
pub fn fold(
    scalar: ScalarFunction,
    physical: PhysicalType,
    context: &mut CallContext<'_>,
    arguments: &[&Column],
    out: &mut Column,
) -> Result<()> {
    let values: Vec<ValueRef<'_>> = arguments.iter().map(|column| column.get(0)).collect();
    let value = scalar(context, &values)?;
    out.set_constant(physical, value.as_ref());
    Ok(())
}

/// The vector form of functions that have no better one.
///
/// # Errors
/// Those of the function.
pub fn row_by_row(
    scalar: ScalarFunction,
    volatile: bool,
    context: &mut CallContext<'_>,
    arguments: &[&Column],
    selection: &Selection,
    out: &mut Column,
) -> Result<()> {
    let physical = context.result_physical();
    if !volatile && arguments.iter().all(|column| column.is_constant()) {
        return fold(scalar, physical, context, arguments, out);
    }
    out.reset(physical, selection.rows());
    let mut values = Vec::with_capacity(arguments.len());
    selection.try_for_each(|row| {
        values.clear();
        values.extend(arguments.iter().map(|column| column.get(row)));
        let value = scalar(context, &values)?;
        out.set(row, value.as_ref());
        Ok(())
    })
}

/// Runs `compute` for the selected rows that aren't null, or for all selected ones if it can't fail.
#[inline]
fn each<const FALLIBLE: bool, R: Element>(
    selection: &Selection,
    out: &mut Column,
    mut compute: impl FnMut(usize) -> Result<R>,
) -> Result<()> {
    let (values, nulls) = out.parts_mut::<R>();
    if FALLIBLE && nulls.any() {
        return selection.try_for_each(|row| {
            if !nulls.is_null(row) {
                values[row] = compute(row)?;
            }
            Ok(())
        });
    }
    match selection.chosen() {
        None => {
            for (row, value) in values.iter_mut().enumerate() {
                *value = compute(row)?;
            }
        }
        Some(chosen) => {
            for &row in chosen {
                values[usize::from(row)] = compute(usize::from(row))?;
            }
        }
    }
    Ok(())
}

/// Vector form of a function of one fixed-width argument.
///
/// # Errors
/// Those of the function.
#[inline]
pub fn unary<A, R, const FALLIBLE: bool>(
    function: impl Fn(A) -> Result<R>,
    arguments: &[&Column],
    selection: &Selection,
    out: &mut Column,
) -> Result<()>
where
    A: Element,
    R: Element + Return,
{
    let physical = R::PHYSICAL.unwrap_or(PhysicalType::Varlena);
    let column = arguments[0];
    if !prepare(arguments, selection.rows(), physical, true, out) {
        return Ok(());
    }
    let values = column.values::<A>();
    if column.is_constant() {
        let value = function(values[0])?;
        out.set_constant(physical, value.into_value_ref());
        return Ok(());
    }
    let values = &values[..selection.rows()];
    each::<FALLIBLE, R>(selection, out, |row| function(values[row]))
}

/// Vector form of a function of two fixed-width arguments.
///
/// # Errors
/// Those of the function.
#[inline]
pub fn binary<A, B, R, const FALLIBLE: bool>(
    function: impl Fn(A, B) -> Result<R>,
    arguments: &[&Column],
    selection: &Selection,
    out: &mut Column,
) -> Result<()>
where
    A: Element,
    B: Element,
    R: Element + Return,
{
    let physical = R::PHYSICAL.unwrap_or(PhysicalType::Varlena);
    if !prepare(arguments, selection.rows(), physical, true, out) {
        return Ok(());
    }
    let rows = selection.rows();
    let (a, b) = (arguments[0].values::<A>(), arguments[1].values::<B>());
    match (arguments[0].is_constant(), arguments[1].is_constant()) {
        (true, true) => {
            let value = function(a[0], b[0])?;
            out.set_constant(physical, value.into_value_ref());
            Ok(())
        }
        (false, true) => {
            let (a, b) = (&a[..rows], b[0]);
            each::<FALLIBLE, R>(selection, out, |row| function(a[row], b))
        }
        (true, false) => {
            let (a, b) = (a[0], &b[..rows]);
            each::<FALLIBLE, R>(selection, out, |row| function(a, b[row]))
        }
        (false, false) => {
            let (a, b) = (&a[..rows], &b[..rows]);
            each::<FALLIBLE, R>(selection, out, |row| function(a[row], b[row]))
        }
    }
}

/// An element as a borrowed value.
trait IntoValueRef {
    fn into_value_ref(self) -> ValueRef<'static>;
}

impl<T: Element> IntoValueRef for T {
    fn into_value_ref(self) -> ValueRef<'static> {
        match Element::into_value(self) {
            Value::Bool(value) => ValueRef::Bool(value),
            Value::Char(value) => ValueRef::Char(value),
            Value::Int16(value) => ValueRef::Int16(value),
            Value::Int32(value) => ValueRef::Int32(value),
            Value::Int64(value) => ValueRef::Int64(value),
            Value::Float32(value) => ValueRef::Float32(value),
            Value::Float64(value) => ValueRef::Float64(value),
            Value::Fixed16(value) => ValueRef::Fixed16(value),
            Value::Tid(value) => ValueRef::Tid(value),
            Value::Null | Value::Bytes(_) => ValueRef::Null,
        }
    }
}
