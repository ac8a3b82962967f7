//! Transaction ids, commit log, multixacts, snapshots, lock table, commit.
#![forbid(unsafe_code)]

pub mod lock;
