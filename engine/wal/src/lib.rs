//! Write-ahead log: records, insertion, flushing, reading, segments.
//!
//! Realises: PostgreSQL's `xlog.c`, `xloginsert.c`, `xlogreader.c` and `xlogrecord.h`. To this crate pages
//! are bytes; what a record means is its resource manager's.
//!
//! The way of a record: [`record`] builds it, [`insert`] gives it its place and copies it into the
//! buffers, [`writer`] makes it durable in segments' files ([`segment`]), [`reader`] finds it again.
//! Start at [`Wal`].
#![forbid(unsafe_code)]

mod barrier;
mod buffers;
pub mod insert;
mod locks;
pub mod log;
pub mod page;
pub mod position;
pub mod reader;
pub mod record;
pub mod replay;
pub mod rmgr;
pub mod segment;
mod waiters;
pub mod writer;
pub mod xlog;

pub use log::Wal;
