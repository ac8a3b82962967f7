//! Data types and column vectors: on-disk bytes, text and binary forms, comparison, hashing.
#![forbid(unsafe_code)]
