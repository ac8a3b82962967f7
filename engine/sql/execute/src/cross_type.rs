//! Comparisons across types of one B-tree family.

use kokkiri_access::btree::scan_key::CrossType;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::compare::{comparator, support_comparator};

/// How an index column's values compare with arguments of another type; `None` if they are of one kind.
pub fn cross_type(column: Oid, argument: Oid) -> Result<Option<CrossType>> {
    let procedure = match (column, argument) {
        (oid::INT2, oid::INT4) => 2190,
        (oid::INT4, oid::INT2) => 2191,
        (oid::INT2, oid::INT8) => 2192,
        (oid::INT8, oid::INT2) => 2193,
        (oid::INT4, oid::INT8) => 2188,
        (oid::INT8, oid::INT4) => 2189,
        (oid::FLOAT4, oid::FLOAT8) => 2194,
        (oid::FLOAT8, oid::FLOAT4) => 2195,
        (oid::DATE, oid::TIMESTAMP) => 2344,
        (oid::TIMESTAMP, oid::DATE) => 2370,
        _ => {
            let physical = |oid| type_info(oid).map(|info| info.physical().is_bytes());
            if column != argument && physical(column) != physical(argument) {
                return Err(kokkiri_primitives::Error::not_supported(format!(
                    "an index comparison of types {column} and {argument}"
                )));
            }
            return Ok(None);
        }
    };
    let Some(compare) = support_comparator(Oid(procedure)) else { return Ok(None) };
    Ok(Some(CrossType { column: compare, arguments: comparator(argument, Oid::INVALID)? }))
}
