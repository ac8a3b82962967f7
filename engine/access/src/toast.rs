//! Values too wide for a page: compression and storage out of line.
//!
//! Realises: `heaptoast.c`, `toast_internals.c`, `detoast.c`. A row longer than the threshold has its
//! widest values compressed, then moved to chunks in the table's TOAST relation, until it is short enough.

pub mod chunk_index;
pub mod compression;
pub mod store;

use kokkiri_primitives::BLOCK_SIZE;

use crate::tuple::header::max_align;

/// Most bytes a tuple may have for `count` of them to fit on a page: `MaximumBytesPerTuple`.
const fn bytes_per_tuple_max(count: usize) -> usize {
    let page_header_with_pointers = max_align(24 + count * 4);
    ((BLOCK_SIZE - page_header_with_pointers) / count) & !7
}

/// Rows longer than this are worked on, bytes: `TOAST_TUPLE_THRESHOLD`.
pub const TUPLE_THRESHOLD: usize = bytes_per_tuple_max(4);
/// ... until they are no longer than this, by default: `TOAST_TUPLE_TARGET`.
pub const TUPLE_TARGET: usize = TUPLE_THRESHOLD;
/// Values of columns that prefer to stay are moved out only above this: `TOAST_TUPLE_TARGET_MAIN`.
pub const TUPLE_TARGET_MAIN: usize = bytes_per_tuple_max(1);
/// Bytes of a value in one chunk: `TOAST_MAX_CHUNK_SIZE`.
pub const CHUNK_SIZE: usize = bytes_per_tuple_max(4) - 24 - 4 - 4 - 4;

const _: () = assert!(TUPLE_THRESHOLD == 2032 && CHUNK_SIZE == 1996 && TUPLE_TARGET_MAIN == 8160);
