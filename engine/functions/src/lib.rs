//! The function, operator and aggregate library, declared once each.
#![forbid(unsafe_code)]
