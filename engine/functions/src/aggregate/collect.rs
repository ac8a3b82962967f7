//! min and max of every type, any_value, string_agg and array_agg.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, Oid, Result, bail};
use kokkiri_types::builtin::type_info;
use kokkiri_types::compare::{self, Comparator, support_comparator};
use kokkiri_types::{Column, Element, Selection, Value, array};

use super::{Aggregate, State, entry, grouped};
use crate::context::CallContext;

pub(super) const AGGREGATES: &[Aggregate] = &[
    entry(2115, "max", grouped::<Native<i64, Max>>),
    entry(2116, "max", grouped::<Native<i32, Max>>),
    entry(2117, "max", grouped::<Native<i16, Max>>),
    entry(2118, "max", grouped::<Ordered<356, Max>>),
    entry(2119, "max", grouped::<Ordered<354, Max>>),
    entry(2120, "max", grouped::<Ordered<355, Max>>),
    entry(2122, "max", grouped::<Native<i32, Max>>),
    entry(2123, "max", grouped::<Native<i64, Max>>),
    entry(2124, "max", grouped::<Ordered<1358, Max>>),
    entry(2125, "max", grouped::<Native<i64, Max>>),
    entry(2126, "max", grouped::<Native<i64, Max>>),
    entry(2127, "max", grouped::<Native<i64, Max>>),
    entry(2128, "max", grouped::<Ordered<1315, Max>>),
    entry(2129, "max", grouped::<Ordered<360, Max>>),
    entry(2130, "max", grouped::<Ordered<1769, Max>>),
    entry(2244, "max", grouped::<Ordered<1078, Max>>),
    entry(2797, "max", grouped::<Ordered<2794, Max>>),
    entry(2050, "max", grouped::<Ordered<382, Max>>),
    entry(4189, "max", grouped::<Ordered<3251, Max>>),
    entry(5099, "max", grouped::<Ordered<5096, Max>>),
    entry(6395, "max", grouped::<Ordered<1954, Max>>),
    entry(2131, "min", grouped::<Native<i64, Min>>),
    entry(2132, "min", grouped::<Native<i32, Min>>),
    entry(2133, "min", grouped::<Native<i16, Min>>),
    entry(2134, "min", grouped::<Ordered<356, Min>>),
    entry(2135, "min", grouped::<Ordered<354, Min>>),
    entry(2136, "min", grouped::<Ordered<355, Min>>),
    entry(2138, "min", grouped::<Native<i32, Min>>),
    entry(2139, "min", grouped::<Native<i64, Min>>),
    entry(2140, "min", grouped::<Ordered<1358, Min>>),
    entry(2141, "min", grouped::<Native<i64, Min>>),
    entry(2142, "min", grouped::<Native<i64, Min>>),
    entry(2143, "min", grouped::<Native<i64, Min>>),
    entry(2144, "min", grouped::<Ordered<1315, Min>>),
    entry(2145, "min", grouped::<Ordered<360, Min>>),
    entry(2146, "min", grouped::<Ordered<1769, Min>>),
    entry(2245, "min", grouped::<Ordered<1078, Min>>),
    entry(2798, "min", grouped::<Ordered<2794, Min>>),
    entry(2051, "min", grouped::<Ordered<382, Min>>),
    entry(4190, "min", grouped::<Ordered<3251, Min>>),
    entry(5100, "min", grouped::<Ordered<5096, Min>>),
    entry(6396, "min", grouped::<Ordered<1954, Min>>),
    entry(6291, "any_value", grouped::<AnyValue>),
    entry(3538, "string_agg", grouped::<StringAggregate>),
    entry(3545, "string_agg", grouped::<StringAggregate>),
    entry(2335, "array_agg", grouped::<ArrayAggregate>),
];

/// Which of two is kept.
trait Keep: Default + Send + 'static {
    const WINS: Ordering;
}

#[derive(Default)]
struct Max;

#[derive(Default)]
struct Min;

impl Keep for Max {
    const WINS: Ordering = Ordering::Greater;
}

impl Keep for Min {
    const WINS: Ordering = Ordering::Less;
}

/// Of integers: a plain loop.
#[derive(Default)]
struct Native<T, K> {
    best: Option<T>,
    _keep: std::marker::PhantomData<K>,
}

impl<T: Element + Ord + Into<Value>, K: Keep> Native<T, K> {
    #[inline]
    fn offer(best: T, next: T) -> T {
        if K::WINS == Ordering::Greater { best.max(next) } else { best.min(next) }
    }
}

impl<T: Element + Ord + Into<Value>, K: Keep> State for Native<T, K> {
    #[inline]
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let column = arguments[0];
        let index = column.index(row);
        if !column.nulls().is_null(index) {
            let next = column.values::<T>()[index];
            self.best = Some(self.best.map_or(next, |best| Self::offer(best, next)));
        }
        Ok(())
    }

    fn update_batch(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
    ) -> Result<()> {
        let column = arguments[0];
        if selection.is_all() && !column.is_constant() && !column.nulls().any() {
            let values = &column.values::<T>()[..selection.rows()];
            if let Some(best) = values.iter().copied().reduce(Self::offer) {
                self.best = Some(self.best.map_or(best, |old| Self::offer(old, best)));
            }
            return Ok(());
        }
        selection.try_for_each(|row| self.update(context, arguments, row))
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(Value::from(self.best))
    }
}

/// Of any type, by its B-tree support function.
struct Ordered<const SUPPORT: u32, K> {
    best: Value,
    compare: Comparator,
    _keep: std::marker::PhantomData<K>,
}

impl<const SUPPORT: u32, K> Default for Ordered<SUPPORT, K> {
    fn default() -> Self {
        let compare = support_comparator(Oid(SUPPORT)).expect("a B-tree support function");
        Self { best: Value::Null, compare, _keep: std::marker::PhantomData }
    }
}

impl<const SUPPORT: u32, K: Keep> State for Ordered<SUPPORT, K> {
    fn update(&mut self, context: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let next = arguments[0].get(row);
        if next.is_null() {
            return Ok(());
        }
        if self.best.is_null() {
            if !compare::is_byte_order(context.collation) {
                return Err(Error::not_supported(format_args!("collation with oid {}", context.collation)));
            }
            self.best = next.to_value();
        } else if (self.compare)(next, self.best.as_ref()) == K::WINS {
            self.best = next.to_value();
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(self.best.clone())
    }
}

/// The first value that isn't null.
#[derive(Default)]
struct AnyValue(Value);

impl State for AnyValue {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        if self.0.is_null() {
            self.0 = arguments[0].get(row).to_value();
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(self.0.clone())
    }
}

/// `string_agg`: the delimiter of each further value goes before it.
#[derive(Default)]
struct StringAggregate(Option<Vec<u8>>);

/// Largest value of a varlena: 1 GB less its header.
const MAX_VARLENA: usize = 0x3FFF_FFFF - 4;

impl State for StringAggregate {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        let value = arguments[0].get(row);
        if value.is_null() {
            return Ok(());
        }
        match &mut self.0 {
            None => self.0 = Some(value.bytes().to_vec()),
            Some(text) => {
                let delimiter = arguments[1].get(row);
                if !delimiter.is_null() {
                    text.extend_from_slice(delimiter.bytes());
                }
                text.extend_from_slice(value.bytes());
                if text.len() > MAX_VARLENA {
                    bail!(
                        PROGRAM_LIMIT_EXCEEDED,
                        "string buffer exceeds maximum allowed length (1073741823 bytes)"
                    );
                }
            }
        }
        Ok(())
    }

    fn finish(&self, _: &mut CallContext<'_>) -> Result<Value> {
        Ok(self.0.as_deref().map_or(Value::Null, Value::bytes))
    }

    fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::capacity)
    }
}

/// `array_agg` of anything but arrays.
#[derive(Default)]
struct ArrayAggregate(Vec<Value>);

impl State for ArrayAggregate {
    fn update(&mut self, _: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()> {
        self.0.push(arguments[0].get(row).to_value());
        Ok(())
    }

    fn finish(&self, context: &mut CallContext<'_>) -> Result<Value> {
        if self.0.is_empty() {
            return Ok(Value::Null);
        }
        let element = context.argument_types.first().copied().unwrap_or_default();
        let info = type_info(element)
            .ok_or_else(|| Error::not_supported(format_args!("array_agg over type with oid {element}")))?;
        Ok(Value::from(array::build_vector(info, &self.0)?))
    }

    fn memory(&self) -> usize {
        self.0.capacity() * size_of::<Value>()
    }
}
