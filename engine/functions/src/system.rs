//! Functions about the system itself: catalogs, sessions, transactions, storage, statistics.
//!
//! Realises: PostgreSQL's functions for system information and administration. They look at what the
//! call's [`crate::CallContext`] lends them: the catalog view with its cluster and transaction,
//! the settings, and, for what layers above know, the hooks of [`hooks`]. Without what it needs a
//! function answers 0A000.

pub mod hooks;

pub use hooks::{
    BackgroundWriterCounters, CheckpointerCounters, CursorInfo, Deparser, PreparedStatementInfo, ServerState,
    SessionState,
};
