//! Vectorised executor: an operator per plan node, expressions compiled to steps, EXPLAIN.
//!
//! Operators exchange batches of typed columns with a selection, never more rows than their consumer asks
//! for, so that LIMIT, cursors, volatile functions and row locks touch just the rows that PostgreSQL would
//! touch. Start at [`execution::Execution`], then [`node`] and [`expression`].
//!
//! Invariant: nothing here borrows a transaction or a snapshot from one call to the next.
#![forbid(unsafe_code)]

pub mod catalog;
mod constraint;
pub mod context;
pub mod copy;
pub mod cross_type;
pub mod execution;
pub mod explain;
pub mod expression;
pub mod foreign_key;
pub mod node;
mod parameters;
mod row_store;
mod spill;
pub mod table_expressions;
pub mod tuple_store;
