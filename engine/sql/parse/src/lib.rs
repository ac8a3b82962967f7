//! SQL text to raw tree: PostgreSQL-exact lexer and grammar; no catalog.
//!
//! Realises PostgreSQL's raw parser (scan.l, gram.y). The tree holds what was written, nothing that a catalog
//! would have to say; `analyze` gives it meaning. See [`tree`] for the nodes.
#![forbid(unsafe_code)]

pub mod location;
pub mod tree;

pub use location::{AtLocation, Location};
