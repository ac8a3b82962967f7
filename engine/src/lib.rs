//! The engine facade: Engine and Session.
#![forbid(unsafe_code)]
