//! How many rows a condition lets through: the estimators behind pg_operator's oprrest and oprjoin.
//!
//! Realises: PostgreSQL's `selfuncs.c`. The planner takes a clause apart and finds the statistics of the
//! variables in it; the functions here do the arithmetic. A comparison of a constant with a statistic's
//! value is a closure, for this crate stands below the function library.
//!
//! Start at [`Variable`], then [`equal_to_constant`].

use crate::column::{ColumnStatistics, Histogram};
use kokkiri_types::Value;

pub const DEFAULT_EQ_SEL: f64 = 0.005;
pub const DEFAULT_INEQ_SEL: f64 = 0.333_333_333_333_333_3;
pub const DEFAULT_RANGE_INEQ_SEL: f64 = 0.005;
pub const DEFAULT_MATCH_SEL: f64 = 0.005;
pub const DEFAULT_MATCHING_SEL: f64 = 0.010;
pub const DEFAULT_NUM_DISTINCT: f64 = 200.0;
pub const DEFAULT_UNK_SEL: f64 = 0.005;
pub const DEFAULT_NOT_UNK_SEL: f64 = 1.0 - DEFAULT_UNK_SEL;

/// What is known about an expression that stands for a column (`VariableStatData`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Variable<'a> {
    pub statistics: Option<&'a ColumnStatistics>,
    /// The relation it belongs to: its rows before and after the relation's own quals.
    pub relation: Option<RelationRows>,
    /// A unique index says that no value occurs twice.
    pub unique: bool,
    pub kind: VariableKind,
}

#[derive(Clone, Copy, Debug)]
pub struct RelationRows {
    pub tuples: f64,
    pub rows: f64,
}

/// What the number of distinct values of a variable without statistics is guessed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VariableKind {
    #[default]
    Other,
    Boolean,
    /// A column of a VALUES list, or ctid: every value its own.
    Distinct,
    /// tableoid.
    Single,
}

/// An estimate of distinct values, and whether it is nothing but the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistinctCount {
    pub values: f64,
    pub is_default: bool,
}

pub fn clamp_probability(p: f64) -> f64 {
    p.clamp(0.0, 1.0)
}

fn clamp_rows(rows: f64) -> f64 {
    if rows <= 1.0 { 1.0 } else { rows.round_ties_even() }
}

impl Variable<'_> {
    pub fn null_fraction(&self) -> f64 {
        self.statistics.map_or(0.0, |statistics| statistics.null_fraction)
    }

    /// How many distinct values the variable has (`get_variable_numdistinct`).
    pub fn distinct(&self) -> DistinctCount {
        let known = |values| DistinctCount { values, is_default: false };
        let default = DistinctCount { values: DEFAULT_NUM_DISTINCT, is_default: true };
        let mut distinct = match (self.statistics, self.kind) {
            (Some(statistics), _) => statistics.distinct,
            (None, VariableKind::Boolean) => 2.0,
            (None, VariableKind::Distinct) => -1.0,
            (None, VariableKind::Single) => 1.0,
            (None, VariableKind::Other) => 0.0,
        };
        if self.unique {
            distinct = -(1.0 - self.null_fraction());
        }
        if distinct > 0.0 {
            return known(clamp_rows(distinct));
        }
        let Some(RelationRows { tuples, .. }) = self.relation.filter(|relation| relation.tuples > 0.0) else {
            return default;
        };
        if distinct < 0.0 {
            return known(clamp_rows(-distinct * tuples));
        }
        if tuples < DEFAULT_NUM_DISTINCT { known(clamp_rows(tuples)) } else { default }
    }
}

/// `variable = constant` (`var_eq_const`). `matches` says whether a common value equals the constant.
pub fn equal_to_constant(variable: &Variable<'_>, mut matches: impl FnMut(&Value) -> bool) -> f64 {
    if let (true, Some(relation)) = (variable.unique, variable.relation)
        && relation.tuples >= 1.0
    {
        return clamp_probability(1.0 / relation.tuples);
    }
    let Some(statistics) = variable.statistics else {
        return clamp_probability(1.0 / variable.distinct().values);
    };
    let (values, frequencies): (&[Value], &[f64]) = match &statistics.most_common {
        Some(common) => (&common.values, &common.frequencies),
        None => (&[], &[]),
    };
    if let Some(found) = values.iter().position(&mut matches) {
        return clamp_probability(frequencies[found]);
    }
    let common: f64 = frequencies.iter().sum();
    let mut selectivity = clamp_probability(1.0 - common - statistics.null_fraction);
    let others = variable.distinct().values - frequencies.len() as f64;
    if others > 1.0 {
        selectivity /= others;
    }
    if let Some(least) = frequencies.last() {
        selectivity = selectivity.min(*least);
    }
    clamp_probability(selectivity)
}

/// `variable = something not known now` (`var_eq_non_const`).
pub fn equal_to_unknown(variable: &Variable<'_>) -> f64 {
    if let (true, Some(relation)) = (variable.unique, variable.relation)
        && relation.tuples >= 1.0
    {
        return clamp_probability(1.0 / relation.tuples);
    }
    let Some(statistics) = variable.statistics else {
        return clamp_probability(1.0 / variable.distinct().values);
    };
    let mut selectivity = 1.0 - statistics.null_fraction;
    let distinct = variable.distinct().values;
    if distinct > 1.0 {
        selectivity /= distinct;
    }
    if let Some(common) = &statistics.most_common
        && let Some(most) = common.frequencies.first()
    {
        selectivity = selectivity.min(*most);
    }
    clamp_probability(selectivity)
}

/// The complement of an equality, nulls apart (`neqsel`).
pub fn not_equal(variable: &Variable<'_>, equal: f64) -> f64 {
    clamp_probability(1.0 - equal - variable.null_fraction())
}

/// Which way an inequality points, with the variable on its left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inequality {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Inequality {
    fn is_greater(self) -> bool {
        matches!(self, Inequality::Greater | Inequality::GreaterOrEqual)
    }

    fn is_inclusive(self) -> bool {
        matches!(self, Inequality::LessOrEqual | Inequality::GreaterOrEqual)
    }

    /// The same inequality with its sides exchanged.
    pub fn commuted(self) -> Self {
        match self {
            Inequality::Less => Inequality::Greater,
            Inequality::LessOrEqual => Inequality::GreaterOrEqual,
            Inequality::Greater => Inequality::Less,
            Inequality::GreaterOrEqual => Inequality::LessOrEqual,
        }
    }
}

/// How an inequality's constant relates to a statistic's value.
pub trait CompareConstant {
    /// Whether `value <operator> constant` holds.
    fn holds(&mut self, value: &Value) -> bool;
    /// Where the constant lies between two values, 0 to 1, if the type can say.
    fn position(&mut self, low: &Value, high: &Value) -> Option<f64>;
    /// The true ends of the column, from an index, if they can be had: lowest or highest value.
    fn actual_end(&mut self, _highest: bool) -> Option<Value> {
        None
    }
}

/// `variable < constant` and its kin (`scalarineqsel`).
pub fn inequality(
    variable: &Variable<'_>,
    inequality: Inequality,
    comparison: &mut impl CompareConstant,
) -> f64 {
    let Some(statistics) = variable.statistics else { return DEFAULT_INEQ_SEL };
    let (mut common, mut common_matching) = (0.0, 0.0);
    if let Some(most_common) = &statistics.most_common {
        for (value, frequency) in most_common.values.iter().zip(&most_common.frequencies) {
            common += frequency;
            if comparison.holds(value) {
                common_matching += frequency;
            }
        }
    }
    let mut selectivity = 1.0 - statistics.null_fraction - common;
    selectivity *= match &statistics.histogram {
        Some(histogram) if histogram.bounds.len() > 1 => {
            histogram_fraction(variable, histogram, inequality, comparison)
        }
        _ => 0.5,
    };
    clamp_probability(selectivity + common_matching)
}

/// Fraction of a histogram's population that satisfies an inequality (`ineq_histogram_selectivity`).
fn histogram_fraction(
    variable: &Variable<'_>,
    histogram: &Histogram,
    inequality: Inequality,
    comparison: &mut impl CompareConstant,
) -> f64 {
    let mut bounds = std::borrow::Cow::Borrowed(histogram.bounds.as_slice());
    let count = bounds.len();
    let mut exact_end = false;
    let (mut low, mut high) = (0, count);
    if count == 2 {
        for (at, highest) in [(0, false), (1, true)] {
            if let Some(end) = comparison.actual_end(highest) {
                bounds.to_mut()[at] = end;
                exact_end = true;
            }
        }
    }
    while low < high {
        let probe = (low + high) / 2;
        if count > 2
            && (probe == 0 || probe == count - 1)
            && let Some(end) = comparison.actual_end(probe != 0)
        {
            bounds.to_mut()[probe] = end;
            exact_end = true;
        }
        if comparison.holds(&bounds[probe]) != inequality.is_greater() {
            low = probe + 1;
        } else {
            high = probe;
        }
    }
    let below = if low == 0 {
        0.0
    } else if low >= count {
        1.0
    } else {
        let adjusts = inequality.is_greater() == inequality.is_inclusive();
        let mut equal = 0.0;
        if low == 1 || adjusts {
            let common = variable.statistics.and_then(|s| s.most_common.as_ref());
            let others = variable.distinct().values - common.map_or(0.0, |common| common.values.len() as f64);
            if others > 1.0 {
                equal = 1.0 / others;
            }
        }
        let position = comparison.position(&bounds[low - 1], &bounds[low]).unwrap_or(0.5);
        let mut fraction = ((low - 1) as f64 + position) / (count - 1) as f64;
        if low == 1 {
            fraction += equal * (1.0 - position);
        }
        if adjusts {
            fraction -= equal;
        }
        fraction
    };
    let selectivity = if inequality.is_greater() { 1.0 - below } else { below };
    if exact_end {
        return clamp_probability(selectivity);
    }
    // The table may have changed since ANALYZE: never believe in none or all.
    let cutoff = 0.01 / (count - 1) as f64;
    selectivity.clamp(cutoff, 1.0 - cutoff)
}

/// Lowest and highest value of a column (`get_variable_range`): of its histogram and its common values, or of
/// these alone where they are all there is.
pub fn range(
    statistics: &ColumnStatistics,
    mut less: impl FnMut(&Value, &Value) -> bool,
) -> Option<(Value, Value)> {
    let bounds = statistics.histogram.as_ref().map_or(&[][..], |histogram| &histogram.bounds);
    let mut range = bounds.first().cloned().zip(bounds.last().cloned());
    let Some(common) = &statistics.most_common else { return range };
    let covered: f64 = common.frequencies.iter().sum();
    if range.is_none() && covered + statistics.null_fraction <= 0.99999 {
        return None;
    }
    for value in &common.values {
        let (low, high) = range.get_or_insert_with(|| (value.clone(), value.clone()));
        if less(value, low) {
            *low = value.clone();
        }
        if less(high, value) {
            *high = value.clone();
        }
    }
    range
}

/// `variable LIKE pattern` and its kin, for a pattern that is no plain value (`patternsel_common`). `heuristic`
/// is what the pattern's prefix and rest say, asked for where the histogram is too small to try it on.
pub fn pattern(
    variable: &Variable<'_>,
    mut matches: impl FnMut(&Value) -> bool,
    heuristic: impl FnOnce() -> f64,
) -> f64 {
    /// Bounds at each end that are not tried: they are likely outliers.
    const SKIPPED: usize = 1;
    const FEWEST: usize = 10;
    const TRUSTED: usize = 100;
    let bounds = variable.statistics.and_then(|statistics| statistics.histogram.as_ref());
    let bounds = bounds.map_or(&[][..], |histogram| &histogram.bounds);
    let tried = (bounds.len() >= FEWEST).then(|| {
        let inner = &bounds[SKIPPED..bounds.len() - SKIPPED];
        inner.iter().filter(|value| matches(value)).count() as f64 / inner.len() as f64
    });
    let selectivity = match tried {
        Some(tried) if bounds.len() >= TRUSTED => tried,
        Some(tried) => {
            let weight = bounds.len() as f64 / TRUSTED as f64;
            tried * weight + heuristic() * (1.0 - weight)
        }
        None => heuristic(),
    };
    let selectivity = selectivity.clamp(0.0001, 0.9999);
    let (mut common, mut common_matching) = (0.0, 0.0);
    if let Some(most_common) = variable.statistics.and_then(|statistics| statistics.most_common.as_ref()) {
        for (value, frequency) in most_common.values.iter().zip(&most_common.frequencies) {
            common += frequency;
            if matches(value) {
                common_matching += frequency;
            }
        }
    }
    clamp_probability(selectivity * (1.0 - variable.null_fraction() - common) + common_matching)
}

/// `variable IS NULL`, or the opposite when `negated` (`nulltestsel`).
pub fn null_test(variable: &Variable<'_>, negated: bool) -> f64 {
    match variable.statistics {
        Some(statistics) if negated => clamp_probability(1.0 - statistics.null_fraction),
        Some(statistics) => clamp_probability(statistics.null_fraction),
        None if negated => DEFAULT_NOT_UNK_SEL,
        None => DEFAULT_UNK_SEL,
    }
}

/// A bare boolean column as a condition, and IS TRUE/FALSE (`booltestsel`): fraction of rows true.
pub fn fraction_true(variable: &Variable<'_>, is_true: impl Fn(&Value) -> bool) -> f64 {
    let Some(statistics) = variable.statistics else { return 0.5 };
    match &statistics.most_common {
        Some(common) if !common.values.is_empty() => {
            let first = common.frequencies[0];
            if is_true(&common.values[0]) { first } else { 1.0 - first - statistics.null_fraction }
        }
        _ => (1.0 - statistics.null_fraction) / 2.0,
    }
}

/// Common values of two join variables with their matches, found once for both estimates.
fn matching_common(
    left: &ColumnStatistics,
    right: &ColumnStatistics,
    right_limit: usize,
    equal: &mut impl FnMut(&Value, &Value) -> bool,
) -> Option<(Vec<bool>, Vec<bool>, f64, usize)> {
    let (left, right) = (left.most_common.as_ref()?, right.most_common.as_ref()?);
    let limit = right.values.len().min(right_limit);
    let mut left_matched = vec![false; left.values.len()];
    let mut right_matched = vec![false; right.values.len()];
    let (mut product, mut matches) = (0.0, 0);
    for (i, value) in left.values.iter().enumerate() {
        let found = (0..limit).find(|&j| !right_matched[j] && equal(value, &right.values[j]));
        if let Some(j) = found {
            left_matched[i] = true;
            right_matched[j] = true;
            product += left.frequencies[i] * right.frequencies[j];
            matches += 1;
        }
    }
    Some((left_matched, right_matched, clamp_probability(product), matches))
}

fn split_frequencies(frequencies: &[f64], matched: &[bool]) -> (f64, f64) {
    let (mut yes, mut no) = (0.0, 0.0);
    for (frequency, matched) in frequencies.iter().zip(matched) {
        *(if *matched { &mut yes } else { &mut no }) += frequency;
    }
    (clamp_probability(yes), clamp_probability(no))
}

/// `left = right` of an inner join: the fraction of pairs that match (`eqjoinsel_inner`).
pub fn equal_join(
    left: &Variable<'_>,
    right: &Variable<'_>,
    mut equal: impl FnMut(&Value, &Value) -> bool,
) -> f64 {
    let (distinct1, distinct2) = (left.distinct().values, right.distinct().values);
    let both = left.statistics.zip(right.statistics);
    let common = both.and_then(|(l, r)| Some((l, r, matching_common(l, r, usize::MAX, &mut equal)?)));
    let Some((l, r, (left_matched, right_matched, product, matches))) = common else {
        let selectivity = (1.0 - left.null_fraction()) * (1.0 - right.null_fraction());
        return clamp_probability(selectivity / distinct1.max(distinct2));
    };
    let (frequencies1, frequencies2) = match (&l.most_common, &r.most_common) {
        (Some(l), Some(r)) => (&l.frequencies, &r.frequencies),
        _ => unreachable!("values were matched, so both have them"),
    };
    let (match1, unmatched1) = split_frequencies(frequencies1, &left_matched);
    let (match2, unmatched2) = split_frequencies(frequencies2, &right_matched);
    let other1 = clamp_probability(1.0 - l.null_fraction - match1 - unmatched1);
    let other2 = clamp_probability(1.0 - r.null_fraction - match2 - unmatched2);
    let side = |unmatched: f64, other: f64, other_side: f64, unmatched_side: f64, distinct: f64, n: usize| {
        let mut total = product;
        if distinct > n as f64 {
            total += unmatched * other_side / (distinct - n as f64);
        }
        if distinct > matches as f64 {
            total += other * (other_side + unmatched_side) / (distinct - matches as f64);
        }
        total
    };
    let total1 = side(unmatched1, other1, other2, unmatched2, distinct2, frequencies2.len());
    let total2 = side(unmatched2, other2, other1, unmatched1, distinct1, frequencies1.len());
    clamp_probability(total1.min(total2))
}

/// `left = right` of a semi or anti join: the fraction of left rows with a match (`eqjoinsel_semi`).
/// `inner_rows` is the size of the whole inner side.
pub fn equal_semi_join(
    left: &Variable<'_>,
    right: &Variable<'_>,
    inner_rows: f64,
    mut equal: impl FnMut(&Value, &Value) -> bool,
) -> f64 {
    let inner = equal_join(left, right, &mut equal);
    let d1 = left.distinct();
    let mut d2 = right.distinct();
    for rows in right.relation.map(|relation| relation.rows).into_iter().chain([inner_rows]) {
        if d2.values >= rows {
            d2 = DistinctCount { values: rows, is_default: false };
        }
    }
    let known = !d1.is_default && !d2.is_default;
    let both = left.statistics.zip(right.statistics);
    let common = both.and_then(|(l, r)| {
        let found = matching_common(l, r, d2.values as usize, &mut equal)?;
        Some((l, l.most_common.as_ref()?, found))
    });
    let selectivity = match common {
        Some((l, most_common, (left_matched, _, _, matches))) => {
            let (matched, _) = split_frequencies(&most_common.frequencies, &left_matched);
            let uncertain = clamp_probability(1.0 - matched - l.null_fraction);
            let (n1, n2) = (d1.values - matches as f64, d2.values - matches as f64);
            let fraction = if !known {
                0.5
            } else if n1 <= n2 || n2 < 0.0 {
                1.0
            } else {
                n2 / n1
            };
            matched + fraction * uncertain
        }
        None => {
            let not_null = 1.0 - left.null_fraction();
            let fraction = if !known {
                0.5
            } else if d1.values <= d2.values || d2.values < 0.0 {
                1.0
            } else {
                d2.values / d1.values
            };
            fraction * not_null
        }
    };
    clamp_probability(selectivity.min(inner_rows * inner))
}

/// Largest bucket of a hash table on a variable, as a fraction of its rows, and the most common value's
/// frequency (`estimate_hash_bucket_stats`).
pub fn hash_bucket(variable: &Variable<'_>, buckets: f64) -> (f64, f64) {
    let common = variable.statistics.and_then(|statistics| statistics.most_common.as_ref());
    let most = common.and_then(|common| common.frequencies.first()).copied().unwrap_or(0.0);
    let count = variable.distinct();
    if count.is_default {
        return (most.max(0.1), most);
    }
    let mut distinct = count.values;
    let average = (1.0 - variable.null_fraction()) / distinct;
    if let Some(relation) = variable.relation
        && relation.tuples > 0.0
    {
        distinct = clamp_rows(distinct * relation.rows / relation.tuples);
    }
    let mut fraction = if distinct > buckets { 1.0 / buckets } else { 1.0 / distinct };
    if average > 0.0 && most > average {
        fraction *= most / average;
    }
    (fraction.clamp(1.0e-6, 1.0), most)
}

/// Distinct combinations of variables of one relation (`estimate_num_groups`, inner loop).
pub fn relation_groups(relation: RelationRows, distinct: &[f64]) -> f64 {
    if relation.tuples <= 0.0 {
        return 1.0;
    }
    let mut product: f64 = distinct.iter().product();
    let largest = distinct.iter().copied().fold(1.0, f64::max);
    let mut limit = relation.tuples;
    if distinct.len() > 1 {
        limit = (limit * 0.1).max(largest).min(relation.tuples);
    }
    product = product.min(limit);
    if product > 0.0 && relation.rows < relation.tuples {
        let left_out = (relation.tuples - relation.rows) / relation.tuples;
        product *= 1.0 - left_out.powf(relation.tuples / product);
    }
    clamp_rows(product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::MostCommon;
    use kokkiri_primitives::Oid;

    fn int(n: i32) -> Value {
        Value::Int32(n)
    }

    /// A column of 0..=99 in equal parts, 0 and 1 among the most common.
    fn statistics() -> ColumnStatistics {
        ColumnStatistics {
            null_fraction: 0.1,
            width: 4,
            distinct: 100.0,
            most_common: Some(MostCommon {
                operator: Oid(96),
                collation: Oid(0),
                values: vec![int(0), int(1)],
                frequencies: vec![0.2, 0.1],
            }),
            histogram: Some(Histogram {
                operator: Oid(97),
                collation: Oid(0),
                bounds: (0..=10).map(|n| int(2 + n * 10)).collect(),
            }),
            correlation: None,
        }
    }

    struct Below(i32);

    impl CompareConstant for Below {
        fn holds(&mut self, value: &Value) -> bool {
            matches!(value, Value::Int32(n) if *n < self.0)
        }
        fn position(&mut self, low: &Value, high: &Value) -> Option<f64> {
            match (low, high) {
                (Value::Int32(low), Value::Int32(high)) => {
                    Some(f64::from(self.0 - low) / f64::from(high - low))
                }
                _ => None,
            }
        }
    }

    fn variable(statistics: &ColumnStatistics) -> Variable<'_> {
        let relation = Some(RelationRows { tuples: 1000.0, rows: 1000.0 });
        Variable { statistics: Some(statistics), relation, unique: false, kind: VariableKind::Other }
    }

    #[test]
    fn common_values_are_known_and_others_share_the_rest() {
        let statistics = statistics();
        let variable = variable(&statistics);
        assert_eq!(equal_to_constant(&variable, |value| *value == int(1)), 0.1);
        let other = equal_to_constant(&variable, |value| *value == int(50));
        assert!((other - (1.0 - 0.3 - 0.1) / 98.0).abs() < 1e-12);
    }

    #[test]
    fn inequalities_interpolate_in_the_histogram() {
        let statistics = statistics();
        let variable = variable(&statistics);
        let half = inequality(&variable, Inequality::Less, &mut Below(52));
        // Half of the histogram, less the rows equal to the constant.
        assert!((half - (0.3 + 0.6 * (0.5 - 1.0 / 98.0))).abs() < 1e-9, "{half}");
        let none = inequality(&variable, Inequality::Less, &mut Below(-5));
        assert!((none - 0.6 * 0.001).abs() < 1e-9, "{none}");
    }

    #[test]
    fn without_statistics_the_defaults_are_postgresql_s() {
        let relation = Some(RelationRows { tuples: 2550.0, rows: 2550.0 });
        let variable = Variable { relation, ..Variable::default() };
        assert_eq!(equal_to_unknown(&variable), 0.005);
        assert_eq!(inequality(&variable, Inequality::Less, &mut Below(1)), DEFAULT_INEQ_SEL);
        assert_eq!(equal_join(&variable, &variable, |_, _| false), 0.005);
    }
}
