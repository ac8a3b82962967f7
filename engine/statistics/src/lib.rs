//! What the planner knows of the data: statistics of columns, how ANALYZE finds them, and what they say
//! about the selectivity of a condition.
//!
//! Realises: pg_statistic, `analyze.c`, `sampling.c`, `selfuncs.c`.
//!
//! [`sample`] chooses rows, [`analyze`] makes [`column::ColumnStatistics`] of them, [`selectivity`] reads
//! those. Nothing here touches a table: the caller scans and writes.
#![forbid(unsafe_code)]

pub mod analyze;
pub mod column;
pub mod sample;
pub mod selectivity;
