//! Control file, checkpoint, replay: how a cluster starts, and what it can start from.
//!
//! Realises: the parts of PostgreSQL's `xlog.c` and `xlogrecovery.c` above the log itself. This crate
//! stands above access, because replay hands records to every access method.
#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod checkpoint;
pub mod control_file;
pub mod startup;
mod transactions;
mod unlogged;
