//! Settings: every parameter of PostgreSQL 18, its value, and where the value came from.
//!
//! Realises: GUC. The facts (name, type, unit, bounds, default, who may set it) are the static table
//! [`parameters::PARAMETERS`]; code asks for a value by typed constant:
//! `settings.get(parameters::WORK_MEM)`.
//!
//! Values come in two layers. [`ServerSettings`] holds what the server as a whole runs with (defaults,
//! configuration files, command line); it is immutable and replaced as a whole when the configuration is
//! read again. [`Settings`] is one session's view: a reference to the server's values and the few
//! parameters the session has changed, so an idle session costs little.
//!
//! Invariants:
//!  1. A session's change inside a transaction is undone when the (sub)transaction that made it aborts.
//!  2. `SET LOCAL` ends with its transaction.
//!  3. A value in either layer has passed its parameter's bounds and its check hook.

mod overrides;
pub mod parameter;
pub mod parameters;
mod server;
mod session;
mod value;

pub use parameter::{Context, Kind, Parameter, Unit, find, parse_bool};
pub use parameters::PARAMETERS;
pub use server::{Check, ServerSettings, SharedSettings, Source, Stored};
pub use session::{Key, SetScope, Settings, Shown};
pub use value::Value;
