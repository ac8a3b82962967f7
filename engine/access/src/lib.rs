//! Heap, TOAST, B-tree and sequences, each with its WAL redo.
#![forbid(unsafe_code)]
