//! Paths, costs and joins: Query to Plan.
#![forbid(unsafe_code)]

pub mod cost;
pub mod plan;
