//! Utility commands: DDL, COPY, VACUUM, SET and their kin.
#![forbid(unsafe_code)]
