//! Vectorised executor: an operator per plan node, expressions, EXPLAIN.
#![forbid(unsafe_code)]
