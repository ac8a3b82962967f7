//! What ANALYZE knows about one column: a pg_statistic row in memory.
//!
//! Realises: `Form_pg_statistic` with its five slots, of which the kinds below are read by the
//! selectivity functions. A row of pg_statistic keeps its slots in any order; [`ColumnStatistics`] has a
//! field for each kind instead.

use kokkiri_primitives::Oid;
use kokkiri_types::Value;

/// Slot kinds of pg_statistic (`STATISTIC_KIND_*`).
pub mod slot_kind {
    pub const MCV: i16 = 1;
    pub const HISTOGRAM: i16 = 2;
    pub const CORRELATION: i16 = 3;
}

/// Statistics of a column, as the planner reads them and ANALYZE writes them.
#[derive(Clone, Debug, Default)]
pub struct ColumnStatistics {
    pub null_fraction: f64,
    /// Average stored width of a value that is not null, bytes.
    pub width: i32,
    /// Positive: that many distinct values. Negative: minus their ratio to the rows. Zero: unknown.
    pub distinct: f64,
    pub most_common: Option<MostCommon>,
    pub histogram: Option<Histogram>,
    /// Between physical order and the order of the values, -1 to 1.
    pub correlation: Option<Correlation>,
}

/// The most common values and how often each occurs, most frequent first.
#[derive(Clone, Debug)]
pub struct MostCommon {
    /// The equality operator the values were compared with.
    pub operator: Oid,
    pub collation: Oid,
    pub values: Vec<Value>,
    pub frequencies: Vec<f64>,
}

/// Bounds of equally filled buckets of the values that are not among the most common, rising.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The less-than operator of the order.
    pub operator: Oid,
    pub collation: Oid,
    pub bounds: Vec<Value>,
}

#[derive(Clone, Copy, Debug)]
pub struct Correlation {
    pub operator: Oid,
    pub collation: Oid,
    pub coefficient: f64,
}
