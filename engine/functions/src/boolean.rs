//! Functions of boolean values that the analyzer doesn't make nodes of.

use kokkiri_function_macros::builtin;

use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![int4_bool, bool_int4, booltext]];

#[builtin(oid = 2557)]
fn int4_bool(value: i32) -> bool {
    value != 0
}

#[builtin(oid = 2558)]
fn bool_int4(value: bool) -> i32 {
    i32::from(value)
}

#[builtin(oid = 2971)]
fn booltext(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
