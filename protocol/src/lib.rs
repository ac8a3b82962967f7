//! The frontend/backend protocol over pgwire message types.
#![forbid(unsafe_code)]
