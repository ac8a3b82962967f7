//! pg_available_extensions and pg_available_extension_versions.

use kokkiri_primitives::Result;
use kokkiri_types::{Value, ValueRef};

use super::AVAILABLE;
use crate::context::CallContext;
use crate::set_returning::{SetFunction, SetRows};
use crate::system::rows::listed;

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(3082, "pg_available_extensions", true, pg_available_extensions),
    SetFunction::new(3083, "pg_available_extension_versions", true, pg_available_extension_versions),
];

fn pg_available_extensions(
    _context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let row = |extension: &super::Extension| {
        vec![Value::from(extension.name), Value::from(extension.version), Value::from(extension.comment)]
    };
    Ok(listed(AVAILABLE.iter().map(row).collect()))
}

/// Each extension has one version; only superusers create it, and it requires no other.
fn pg_available_extension_versions(
    _context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let row = |extension: &super::Extension| {
        vec![
            Value::from(extension.name),
            Value::from(extension.version),
            Value::Bool(true),
            Value::Bool(false),
            Value::Bool(extension.relocatable),
            Value::Null,
            Value::Null,
            Value::from(extension.comment),
        ]
    };
    Ok(listed(AVAILABLE.iter().map(row).collect()))
}
