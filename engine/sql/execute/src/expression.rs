//! Expressions: compiled once a plan, evaluated a batch at a time.
//!
//! Realises: `execExpr.c` and `execExprInterp.c`. A [`Program`] is a flat list of steps over registers,
//! each of which is a column vector; a step computes the rows of one selection. AND, OR, CASE and COALESCE
//! narrow the selection for what follows, so that a function is only called for rows for which PostgreSQL
//! would have called it.
//!
//! Invariants:
//!  1. A step's output register is higher than every register it reads: the register file splits there.
//!  2. Rows outside a step's selection hold anything in its output register; nobody reads them.
//!  3. When a batch of several rows fails, its rows are evaluated again one by one: the error reported is
//!     that of the first row in order, as a row-at-a-time executor reports it.
//!
//! Start at [`compile::Compiler`], then [`Program::evaluate`].

mod array_coercion;
pub mod compile;
mod evaluate;
mod filter;
mod steps;

pub use compile::{Compiler, Scope};
pub use evaluate::Program;
pub use filter::{Filter, Projection};
