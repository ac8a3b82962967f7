//! The function, operator and aggregate library, declared once each.
//!
//! A function of PostgreSQL's catalog is a typed Rust function under `#[builtin(oid = N)]`
//! ([`kokkiri_function_macros`]). From that one declaration come its single-value form, its form over
//! column vectors (nulls, constants and selection are the kernel's business, [`kernel`]) and what a test
//! compares with pg_proc: strictness, argument and result types.
//!
//! [`lookup`], [`aggregate`] and [`set_returning`] find them by oid; what is in pg_proc and not here
//! answers 0A000 ([`not_built`]). Everything a call may depend on besides its arguments is in the
//! [`CallContext`].
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod context;
pub mod extension;
pub mod kernel;
pub mod random;
pub mod registry;
pub mod set_returning;
pub mod system;

mod arithmetic;
mod array_functions;
mod array_order;
mod bit_string;
mod boolean;
mod cast;
mod comparison;
mod datetime;
mod degrees;
pub mod digest;
mod extremes;
mod formatting;
mod hash;
mod keywords;
mod math;
mod regular_expression;
mod text;

pub use aggregate::{Aggregate, AggregateStates, aggregate};
pub use context::{CallContext, SessionInfo};
pub use registry::{Builtin, builtins, lookup, not_built};
pub use set_returning::{SetFunction, SetRows, set_returning};
