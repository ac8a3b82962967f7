//! The engine facade: all that a server sees of what lies below SQL's wire.
//!
//! [`Engine`] is one running data directory; [`Session`] is one client in it. [`client`] is how they talk.
//! Nothing here knows of sockets, signals or authentication methods.
#![forbid(unsafe_code)]

mod admission;
pub mod client;
pub mod engine;
mod function_defaults;
mod initialise;
mod instance;
mod session;
mod system_views;

pub use admission::BackendSlot;
pub use client::{
    BindRequest, ConnectRequest, Credentials, Format, FunctionCallRequest, IdleTimeout, Progress,
    ResultColumn, RowSink, TransactionState, format_log_time, invalid_encoding, output,
};
pub use engine::{Engine, StopMode};
pub use initialise::InitialiseOptions;
pub use instance::Instance;
pub use session::{Session, install_checks};

/// Takes over max_stack_depth, in kilobytes. Threads that run statements have larger stacks.
pub fn limit_stack_depth(setting_kb: usize) {
    kokkiri_primitives::stack::set_limit(setting_kb * 1024, setting_kb);
}

/// The most that a session may set max_stack_depth to, kilobytes.
pub const STACK_DEPTH_MAX_KB: usize = kokkiri_primitives::stack::SETTING_MAX_KB;

pub use kokkiri_command::{NoPasswords, PasswordVerifiers};
pub use kokkiri_primitives::{Error, Lsn, Oid, Result, Severity, SqlState, clock, settings};
pub use kokkiri_types::Batch;

/// Backends, their interrupts and what they are doing.
pub mod activity {
    pub use kokkiri_primitives::activity::*;
}
