//! Functions about the system itself: catalogs, sessions, transactions, storage, statistics.
//!
//! Realises: PostgreSQL's functions for system information and administration. They look at what the
//! call's [`crate::CallContext`] lends them: the catalog view with its cluster and transaction,
//! the settings, and, for what layers above know, the hooks of [`hooks`]. Without what it needs a
//! function answers 0A000.

pub mod encoding;
pub mod hooks;
pub mod sequence;
pub mod text_form;
pub mod type_name;

mod activity;
mod control;
mod describe;
mod files;
mod identifier;
pub(crate) mod need;
pub(crate) mod rows;
mod session;
mod signature;
mod size;
mod statistics;
mod storage;
mod transactions;
mod visibility;

use crate::registry::Builtin;
use crate::set_returning::SetFunction;

pub use hooks::{
    BackgroundWriterCounters, CheckpointerCounters, CursorInfo, Deparser, PreparedStatementInfo, ServerState,
    SessionState,
};

pub(crate) const FILES: &[&[&[Builtin]]] = &[
    activity::LIST,
    control::LIST,
    describe::LIST,
    sequence::LIST,
    session::LIST,
    signature::LIST,
    size::LIST,
    statistics::LIST,
    storage::LIST,
    text_form::LIST,
    transactions::LIST,
    type_name::LIST,
    visibility::LIST,
];

/// Functions that return sets or several results.
pub(crate) const SETS: &[&[SetFunction]] =
    &[activity::SETS, describe::SETS, files::SETS, statistics::SETS, transactions::SETS];
