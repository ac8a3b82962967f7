//! Write-ahead log: records, insertion, flushing, reading, segments.
//!
//! Realises: PostgreSQL's `xlog.c`, `xloginsert.c`, `xlogreader.c` and `xlogrecord.h`. To this crate pages
//! are bytes; what a record means is its resource manager's.
#![forbid(unsafe_code)]

pub mod record;
pub mod rmgr;
