//! The heap: rows in no order, in versions.
//!
//! Realises: `heapam.c`, `hio.c`, `pruneheap.c`, `vacuumlazy.c` and `heapam_xlog.c`.

pub mod page;
pub mod prune_record;
pub mod record;
