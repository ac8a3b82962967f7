//! Aggregates.
//!
//! An aggregate's states for all groups of a node lie in one [`AggregateStates`]; the executor numbers
//! the groups. A batch updates either one group ([`AggregateStates::update_one`], plain loops over the
//! columns) or many ([`AggregateStates::update`]). FILTER narrows the selection before; DISTINCT and
//! ORDER BY are the executor's too. States are PostgreSQL's in effect (result types, precision, order of
//! float additions), not in layout.

mod collect;
mod numbers;
mod regression;

use std::collections::HashMap;
use std::sync::OnceLock;

use kokkiri_primitives::{Oid, Result};
use kokkiri_types::{Column, Selection, Value};

use crate::context::CallContext;

/// The states of one aggregate for all groups.
pub trait AggregateStates: Send {
    /// Makes states for groups up to `groups`; existing ones stay.
    fn resize(&mut self, groups: usize);

    /// Takes in the selected rows, each for the group that `groups` says at its row number.
    ///
    /// # Errors
    /// Those of the transition, as overflow.
    fn update(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
        groups: &[u32],
    ) -> Result<()>;

    /// Takes in the selected rows, all for one group.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn update_one(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
        group: usize,
    ) -> Result<()>;

    /// The result for a group. The state stays.
    ///
    /// # Errors
    /// Those of the final function.
    fn finish(&self, context: &mut CallContext<'_>, group: usize) -> Result<Value>;

    /// Back to no groups; keeps the memory.
    fn clear(&mut self);

    /// Bytes held, roughly.
    fn memory(&self) -> usize;
}

/// A built aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate {
    pub oid: Oid,
    pub name: &'static str,
    create: fn() -> Box<dyn AggregateStates>,
}

impl Aggregate {
    /// States of no groups yet.
    pub fn states(&self) -> Box<dyn AggregateStates> {
        (self.create)()
    }
}

/// The state of one group.
trait State: Default + Send + 'static {
    /// Takes in one row.
    fn update(&mut self, context: &mut CallContext<'_>, arguments: &[&Column], row: usize) -> Result<()>;

    /// Takes in the selected rows.
    fn update_batch(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
    ) -> Result<()> {
        selection.try_for_each(|row| self.update(context, arguments, row))
    }

    fn finish(&self, context: &mut CallContext<'_>) -> Result<Value>;

    /// Bytes held beside the state itself.
    fn memory(&self) -> usize {
        0
    }
}

/// States in a vector, by group.
#[derive(Default)]
struct Grouped<S>(Vec<S>);

impl<S: State> AggregateStates for Grouped<S> {
    fn resize(&mut self, groups: usize) {
        if groups > self.0.len() {
            self.0.resize_with(groups, S::default);
        }
    }

    fn update(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
        groups: &[u32],
    ) -> Result<()> {
        selection.try_for_each(|row| self.0[groups[row] as usize].update(context, arguments, row))
    }

    fn update_one(
        &mut self,
        context: &mut CallContext<'_>,
        arguments: &[&Column],
        selection: &Selection,
        group: usize,
    ) -> Result<()> {
        self.0[group].update_batch(context, arguments, selection)
    }

    fn finish(&self, context: &mut CallContext<'_>, group: usize) -> Result<Value> {
        self.0[group].finish(context)
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn memory(&self) -> usize {
        self.0.capacity() * size_of::<S>() + self.0.iter().map(State::memory).sum::<usize>()
    }
}

fn grouped<S: State>() -> Box<dyn AggregateStates> {
    Box::new(Grouped::<S>(Vec::new()))
}

const fn entry(oid: u32, name: &'static str, create: fn() -> Box<dyn AggregateStates>) -> Aggregate {
    Aggregate { oid: Oid(oid), name, create }
}

/// All that are built.
pub fn aggregates() -> impl Iterator<Item = &'static Aggregate> {
    numbers::AGGREGATES.iter().chain(collect::AGGREGATES).chain(regression::AGGREGATES)
}

/// The aggregate with this oid, if it is built.
pub fn aggregate(oid: Oid) -> Option<&'static Aggregate> {
    static BY_OID: OnceLock<HashMap<Oid, &'static Aggregate>> = OnceLock::new();
    BY_OID
        .get_or_init(|| aggregates().map(|aggregate| (aggregate.oid, aggregate)).collect())
        .get(&oid)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SessionInfo;
    use kokkiri_types::builtin::{oid, type_info};
    use kokkiri_types::io::{self, IoSettings};

    /// Runs an aggregate over texts of a type, in one group and in two batches; its result as text.
    fn run(aggregate_oid: u32, argument: Oid, result: Oid, texts: &[Option<&str>]) -> String {
        let (settings, session) = (IoSettings::default(), SessionInfo::default());
        let mut context = CallContext::new(&settings, &session);
        let types = [argument];
        context.argument_types = &types;
        context.result_type = result;
        let mut column = Column::new(type_info(argument).expect("built in").physical());
        for text in texts {
            match text {
                None => column.push_null(),
                Some(text) => {
                    column.push(io::input_text(argument, -1, text, &settings).expect("valid").as_ref());
                }
            }
        }
        let entry = aggregate(Oid(aggregate_oid)).expect("built");
        let mut results = Vec::new();
        for by_row in [false, true] {
            let mut states = entry.states();
            states.resize(2);
            let selection = Selection::all(texts.len());
            let delimiter =
                Column::constant(kokkiri_types::PhysicalType::Varlena, kokkiri_types::ValueRef::Bytes(b","));
            let arguments = [&column, &delimiter];
            let done = if by_row {
                states.update(&mut context, &arguments, &selection, &vec![1; texts.len()])
            } else {
                states.update_one(&mut context, &arguments, &selection, 1)
            };
            let value = done.and_then(|()| states.finish(&mut context, 1));
            results.push(match value {
                Ok(Value::Null) => "NULL".to_owned(),
                Ok(value) => {
                    let mut out = Vec::new();
                    io::output_text(result, value.as_ref(), &settings, &mut out).expect("has text");
                    String::from_utf8_lossy(&out).into_owned()
                }
                Err(error) => error.message().to_owned(),
            });
        }
        assert_eq!(results[0], results[1]);
        results.swap_remove(0)
    }

    /// Results are PostgreSQL's.
    #[test]
    fn results_are_postgresqls() {
        let three = [Some("1"), None, Some("2"), Some("4")];
        for (aggregate, argument, result, expected) in [
            (2147, oid::INT4, oid::INT8, "3"),
            (2803, oid::INT4, oid::INT8, "4"),
            (2108, oid::INT4, oid::INT8, "7"),
            (2107, oid::INT8, oid::NUMERIC, "7"),
            (2101, oid::INT4, oid::NUMERIC, "2.3333333333333333"),
            (2100, oid::INT8, oid::NUMERIC, "2.3333333333333333"),
            (2103, oid::NUMERIC, oid::NUMERIC, "2.3333333333333333"),
            (2114, oid::NUMERIC, oid::NUMERIC, "7"),
            (2111, oid::FLOAT8, oid::FLOAT8, "7"),
            (2105, oid::FLOAT8, oid::FLOAT8, "2.3333333333333335"),
            (2104, oid::FLOAT4, oid::FLOAT8, "2.3333333333333335"),
            (2110, oid::FLOAT4, oid::FLOAT4, "7"),
            (2116, oid::INT4, oid::INT4, "4"),
            (2132, oid::INT4, oid::INT4, "1"),
            (2130, oid::NUMERIC, oid::NUMERIC, "4"),
            (2145, oid::TEXT, oid::TEXT, "1"),
            (2713, oid::INT4, oid::NUMERIC, "1.5275252316519467"),
            (2718, oid::INT8, oid::NUMERIC, "1.5555555555555556"),
            (2641, oid::INT8, oid::NUMERIC, "2.3333333333333333"),
            (2645, oid::FLOAT8, oid::FLOAT8, "2.3333333333333335"),
            (2717, oid::NUMERIC, oid::NUMERIC, "1.5275252316519467"),
            (3538, oid::TEXT, oid::TEXT, "1,2,4"),
            (2335, oid::INT4, oid::INT4_ARRAY, "{1,NULL,2,4}"),
            (2238, oid::INT4, oid::INT4, "0"),
            (2239, oid::INT4, oid::INT4, "7"),
        ] {
            assert_eq!(run(aggregate, argument, result, &three), expected, "{aggregate}");
        }
        for (aggregate, argument, result, expected) in [
            (2147, oid::INT4, oid::INT8, "0"),
            (2108, oid::INT4, oid::INT8, "NULL"),
            (2101, oid::INT4, oid::NUMERIC, "NULL"),
            (2111, oid::FLOAT8, oid::FLOAT8, "NULL"),
            (2116, oid::INT4, oid::INT4, "NULL"),
            (3538, oid::TEXT, oid::TEXT, "NULL"),
        ] {
            assert_eq!(run(aggregate, argument, result, &[None]), expected, "{aggregate}");
        }
        let spans = [Some("1 day"), Some("2 days 03:00")];
        assert_eq!(run(2113, oid::INTERVAL, oid::INTERVAL, &spans), "3 days 03:00:00");
        assert_eq!(run(2106, oid::INTERVAL, oid::INTERVAL, &spans), "1 day 13:30:00");
        assert_eq!(run(2517, oid::BOOL, oid::BOOL, &[Some("t"), Some("f"), None]), "f");
    }
}
