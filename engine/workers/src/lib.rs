//! Checkpointer, background writer, WAL writer.
#![forbid(unsafe_code)]
