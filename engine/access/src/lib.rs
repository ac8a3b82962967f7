//! Access methods: how rows and index entries live in pages.
//!
//! [`relation`] describes what catalog hands down; [`tuple`] is the byte form of a row.
//!
//! Invariants of the crate:
//!  1. A page is changed only by a function that redo calls too, so that replay can't differ from what
//!     was done.
//!  2. Between changing a page and logging the change nothing fallible happens (`CriticalSection`).
//!  3. Nothing here looks a catalog up: descriptors, snapshots and comparators arrive as arguments.
#![forbid(unsafe_code)]

pub mod btree;
pub mod heap;
pub mod relation;
pub mod sequence;
pub mod toast;
pub mod tuple;
