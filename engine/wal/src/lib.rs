//! Write-ahead log: records, insertion, flushing, reading, segments.
#![forbid(unsafe_code)]
