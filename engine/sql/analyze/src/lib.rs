//! Names to oids, types, coercions: the Query tree; view expansion.
#![forbid(unsafe_code)]

pub mod tree;
