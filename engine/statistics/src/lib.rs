//! ANALYZE, histograms, selectivity.
#![forbid(unsafe_code)]
