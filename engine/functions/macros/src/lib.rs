//! The #[builtin] attribute: one declaration a function.
#![forbid(unsafe_code)]
