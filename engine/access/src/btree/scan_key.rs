//! The conditions of an index scan: where it starts, what it returns, when it ends.
//!
//! Realises: nbtpreprocesskeys.c and `_bt_checkkeys`, and the choice of the start in `_bt_first`.
//!
//! A condition on a column is *required* if every column before it has an equality: then the first tuple
//! that fails it (in the direction of the scan) is behind the last that can pass. `a = 5 AND b > 3 AND
//! c = 1` starts at (5, >3), ends at the first tuple with another `a`, and merely filters by `c`.
//!
//! `= ANY` on a required column is a series of equalities: one descent for each element, in the order of
//! the index ([`ScanKeys::advance`]). Elsewhere it filters.

use std::cmp::Ordering;

use kokkiri_primitives::Result;
use kokkiri_types::{Value, ValueRef};

use super::key::{KeyPart, SearchKey};
use super::shape::IndexShape;
use super::tuple::TupleRef;
use crate::relation::Comparator;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// B-tree operator strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

impl Strategy {
    /// By strategy number, as `pg_amop` has it.
    pub fn from_number(number: i16) -> Option<Self> {
        Some(match number {
            1 => Self::Less,
            2 => Self::LessEqual,
            3 => Self::Equal,
            4 => Self::GreaterEqual,
            5 => Self::Greater,
            _ => return None,
        })
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }

    /// The same condition by the order of a descending column.
    fn commuted(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Equal => Self::Equal,
            Self::GreaterEqual => Self::LessEqual,
            Self::Greater => Self::Less,
        }
    }
}

/// Comparators for arguments of another type than the column's.
#[derive(Clone, Copy)]
pub struct CrossType {
    /// A column's value against an argument.
    pub column: Comparator,
    /// Arguments among each other.
    pub arguments: Comparator,
}

/// What is asked of a column.
#[derive(Clone)]
pub enum Condition {
    Compare {
        strategy: Strategy,
        value: Value,
        cross_type: Option<CrossType>,
    },
    /// `= ANY (values)`.
    Any {
        values: Vec<Value>,
        cross_type: Option<CrossType>,
    },
    IsNull,
    IsNotNull,
}

/// A condition on a key column (0-based) of the index. All of a scan's conditions must hold.
#[derive(Clone)]
pub struct ScanKey {
    pub column: usize,
    pub condition: Condition,
}

#[derive(Clone)]
enum Test {
    Compare {
        strategy: Strategy,
        value: Value,
    },
    /// Sorted in the order of the column, without duplicates; `current` drives the scan if it is required.
    Any {
        values: Vec<Value>,
        current: usize,
    },
    IsNull,
    IsNotNull,
}

#[derive(Clone)]
struct Key {
    column: usize,
    test: Test,
    cross_type: Option<CrossType>,
    /// By the order of the index.
    strategy: Strategy,
    required_forward: bool,
    required_backward: bool,
}

impl Key {
    fn is_required(&self) -> bool {
        self.required_forward || self.required_backward
    }

    fn drives(&self) -> bool {
        self.is_required() && matches!(self.test, Test::Any { .. })
    }

    /// The value to start at.
    fn argument(&self) -> Value {
        match &self.test {
            Test::Compare { value, .. } => value.clone(),
            Test::Any { values, current } => values[*current].clone(),
            Test::IsNull | Test::IsNotNull => Value::Null,
        }
    }
}

/// The conditions of a scan, prepared.
#[derive(Clone)]
pub struct ScanKeys {
    keys: Vec<Key>,
    satisfiable: bool,
}

/// Where a scan starts.
pub enum Start<'a> {
    /// Nothing can match.
    Nowhere,
    /// At the end of the index that the direction starts from.
    Endpoint,
    At(SearchKey<'a>),
}

/// A tuple judged by the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub matches: bool,
    /// False if no tuple further on can match.
    pub go_on: bool,
}

impl ScanKeys {
    pub fn new(shape: &IndexShape, keys: Vec<ScanKey>) -> Self {
        let mut satisfiable = true;
        let mut prepared: Vec<Key> = Vec::with_capacity(keys.len());
        for ScanKey { column, condition } in keys {
            let order = &shape.keys()[column];
            let (test, strategy, cross_type) = match condition {
                Condition::Compare { strategy, value, cross_type } => {
                    satisfiable &= !value.is_null();
                    let by_index = if order.descending { strategy.commuted() } else { strategy };
                    (Test::Compare { strategy, value }, by_index, cross_type)
                }
                Condition::Any { values, cross_type } => {
                    let values = sorted(shape, column, values, cross_type);
                    satisfiable &= !values.is_empty();
                    (Test::Any { values, current: 0 }, Strategy::Equal, cross_type)
                }
                Condition::IsNull => (Test::IsNull, Strategy::Equal, None),
                Condition::IsNotNull => {
                    let strategy = if order.nulls_first { Strategy::Greater } else { Strategy::Less };
                    (Test::IsNotNull, strategy, None)
                }
            };
            prepared.push(Key {
                column,
                test,
                cross_type,
                strategy,
                required_forward: false,
                required_backward: false,
            });
        }
        prepared.sort_by_key(|key| key.column);
        mark_required(&mut prepared);
        Self { keys: prepared, satisfiable }
    }

    /// Sets the driving arrays to where a scan in `direction` starts.
    pub fn reset(&mut self, direction: Direction) {
        for key in self.keys.iter_mut().filter(|key| key.drives()) {
            if let Test::Any { values, current } = &mut key.test {
                *current = if direction == Direction::Forward { 0 } else { values.len() - 1 };
            }
        }
    }

    /// Goes on to the next combination of array elements in index order; false after the last.
    pub fn advance(&mut self, direction: Direction) -> bool {
        for key in self.keys.iter_mut().rev().filter(|key| key.drives()) {
            let Test::Any { values, current } = &mut key.test else { continue };
            match direction {
                Direction::Forward if *current + 1 < values.len() => {
                    *current += 1;
                    return true;
                }
                Direction::Forward => *current = 0,
                Direction::Backward if *current > 0 => {
                    *current -= 1;
                    return true;
                }
                Direction::Backward => *current = values.len() - 1,
            }
        }
        false
    }

    /// Where the scan starts: `_bt_first`.
    pub fn start<'a>(&self, shape: &'a IndexShape, direction: Direction) -> Start<'a> {
        if !self.satisfiable {
            return Start::Nowhere;
        }
        let forward = direction == Direction::Forward;
        let mut parts = Vec::new();
        let mut strategy = Strategy::Equal;
        for column in 0..shape.keys().len() {
            let Some((part, chosen)) = self.start_of_column(shape, column, forward) else { break };
            parts.push(part);
            strategy = chosen;
            if strategy != Strategy::Equal {
                break;
            }
        }
        if parts.is_empty() {
            return Start::Endpoint;
        }
        let mut key = SearchKey::new(shape, parts);
        (key.next_key, key.backward) = match strategy {
            Strategy::Less => (false, true),
            Strategy::LessEqual => (true, true),
            Strategy::Equal => (!forward, !forward),
            Strategy::GreaterEqual => (false, false),
            Strategy::Greater => (true, false),
        };
        Start::At(key)
    }

    /// The tightest condition of a column that bounds the start.
    fn start_of_column(
        &self,
        shape: &IndexShape,
        column: usize,
        forward: bool,
    ) -> Option<(KeyPart, Strategy)> {
        let mut chosen: Option<&Key> = None;
        let mut bounded_behind = false;
        for key in self.keys.iter().filter(|key| key.column == column && key.is_required()) {
            let bounds_start = match key.strategy {
                Strategy::Equal => true,
                Strategy::Less | Strategy::LessEqual => !forward,
                Strategy::Greater | Strategy::GreaterEqual => forward,
            };
            if !bounds_start {
                bounded_behind = true;
            } else if chosen.is_none_or(|best| is_tighter(shape, key, best, forward)) {
                chosen = Some(key);
            }
        }
        if let Some(key) = chosen {
            let comparator = key.cross_type.map(|cross| cross.column);
            return Some((KeyPart { value: key.argument(), comparator }, key.strategy));
        }
        // A bound behind excludes nulls: if they come first, start after them.
        let nulls_at_start = shape.keys()[column].nulls_first == forward;
        (bounded_behind && nulls_at_start).then(|| {
            let strategy = if forward { Strategy::Greater } else { Strategy::Less };
            (KeyPart { value: Value::Null, comparator: None }, strategy)
        })
    }

    /// Judges a tuple, or a high key, whose truncated columns may be anything: `_bt_checkkeys`.
    pub fn judge(&self, shape: &IndexShape, tuple: TupleRef<'_>, direction: Direction) -> Result<Judgement> {
        let columns = tuple.column_count(shape.columns().len());
        let forward = direction == Direction::Forward;
        for key in &self.keys {
            if key.column >= columns {
                continue;
            }
            let stored = shape.value(tuple, key.column)?;
            let stored = stored.as_ref();
            if self.passes(shape, key, stored) {
                continue;
            }
            let order = &shape.keys()[key.column];
            let required = if forward { key.required_forward } else { key.required_backward };
            // Nulls at the end of the direction: nothing but nulls follows.
            let only_nulls_follow = stored.is_null() && order.nulls_first != forward && key.is_required();
            return Ok(Judgement { matches: false, go_on: !(required || only_nulls_follow) });
        }
        Ok(Judgement { matches: true, go_on: true })
    }

    fn passes(&self, shape: &IndexShape, key: &Key, stored: ValueRef<'_>) -> bool {
        if stored.is_null() {
            return matches!(key.test, Test::IsNull);
        }
        let comparator = key.cross_type.map_or(shape.keys()[key.column].comparator, |cross| cross.column);
        match &key.test {
            Test::IsNull => false,
            Test::IsNotNull => true,
            Test::Compare { strategy, value } => strategy.accepts(comparator(stored, value.as_ref())),
            Test::Any { values, current } if key.is_required() => {
                comparator(stored, values[*current].as_ref()).is_eq()
            }
            Test::Any { values, .. } => {
                let descending = shape.keys()[key.column].descending;
                values
                    .binary_search_by(|value| {
                        let order = comparator(stored, value.as_ref()).reverse();
                        if descending { order.reverse() } else { order }
                    })
                    .is_ok()
            }
        }
    }
}

/// Elements in the order of the column, nulls (which equal nothing) and duplicates left out.
fn sorted(
    shape: &IndexShape,
    column: usize,
    mut values: Vec<Value>,
    cross_type: Option<CrossType>,
) -> Vec<Value> {
    let order = &shape.keys()[column];
    let comparator = cross_type.map_or(order.comparator, |cross| cross.arguments);
    let compare = |a: &Value, b: &Value| {
        let ordering = comparator(a.as_ref(), b.as_ref());
        if order.descending { ordering.reverse() } else { ordering }
    };
    values.retain(|value| !value.is_null());
    values.sort_by(compare);
    values.dedup_by(|a, b| compare(a, b).is_eq());
    values
}

/// Sets the flags of keys sorted by column.
fn mark_required(keys: &mut [Key]) {
    let mut next = 0;
    let mut column = 0;
    // Columns must be constrained without a gap, each but the last by equality.
    while next < keys.len() && keys[next].column == column {
        let end = next + keys[next..].iter().take_while(|key| key.column == column).count();
        let group = &mut keys[next..end];
        let has_equality = group.iter().any(|key| key.strategy == Strategy::Equal);
        for key in group {
            key.required_forward = !matches!(key.strategy, Strategy::Greater | Strategy::GreaterEqual);
            key.required_backward = !matches!(key.strategy, Strategy::Less | Strategy::LessEqual);
        }
        if !has_equality {
            return;
        }
        next = end;
        column += 1;
    }
}

/// Whether `key` bounds the start of a scan more tightly than `other`.
fn is_tighter(shape: &IndexShape, key: &Key, other: &Key, forward: bool) -> bool {
    let equality = |key: &Key| key.strategy == Strategy::Equal;
    if equality(key) != equality(other) {
        return equality(key);
    }
    // Arguments of different types can't be compared here; any of the bounds will do.
    if equality(key) || key.cross_type.is_some() || other.cross_type.is_some() {
        return false;
    }
    let order = shape.compare_column(key.column, key.argument().as_ref(), other.argument().as_ref());
    let strict = matches!(key.strategy, Strategy::Less | Strategy::Greater);
    match order {
        Ordering::Equal => strict,
        Ordering::Greater => forward,
        Ordering::Less => !forward,
    }
}
