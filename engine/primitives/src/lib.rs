//! What every layer of the engine names: identifiers, errors, clock, settings, memory budgets and the
//! activity of backends.
//!
//! This is the lowest crate. It knows nothing of files, pages or SQL. Two rules keep it small: a type
//! belongs here only if at least two layers that do not depend on each other need it, and nothing here
//! performs I/O.
//!
//! Start at [`ids`] for PostgreSQL's identifiers as newtypes, at [`error::Error`] for the one error type,
//! and at [`activity`] for what a backend is.
#![forbid(unsafe_code)]

pub mod activity;
pub mod clock;
pub mod error;
pub mod fault;
pub mod ids;
pub mod memory;
pub mod pglz;
pub mod settings;
pub mod sort;
pub mod sqlstate;
pub mod stack;

pub use error::{Error, Result, Severity};
pub use ids::*;
pub use sqlstate::SqlState;
