//! The operator class an index column gets.
//!
//! Realises: `ResolveOpClass`, `GetDefaultOpClass` (indexcmds.c).

use kokkiri_catalog::entries::{CastContext, CastMethod, TypeKind};
use kokkiri_primitives::{Oid, Result, error};

use super::BTREE;
use crate::context::CommandContext;

const ANY_ARRAY: Oid = Oid(2277);
const ANY_ENUM: Oid = Oid(3500);
const ANY_RANGE: Oid = Oid(3831);
const ANY_MULTIRANGE: Oid = Oid(4537);
const RECORD: Oid = Oid(2249);

/// The default btree operator class of a type.
pub fn default_opclass(context: &CommandContext<'_>, type_oid: Oid) -> Result<Option<Oid>> {
    let mut base = type_oid;
    while let Some(inner) = context.view.expect_type(base)?.base_type {
        base = inner;
    }
    let classes = context.view.opclasses(BTREE)?;
    if let Some(exact) = classes.iter().find(|class| class.opcdefault && class.opcintype == base) {
        return Ok(Some(exact.oid));
    }
    let mut compatible = Vec::new();
    for class in classes.iter().filter(|class| class.opcdefault) {
        if is_binary_coercible(context, base, class.opcintype)? {
            let preferred = context.view.expect_type(class.opcintype)?.preferred;
            compatible.push((preferred, class.oid));
        }
    }
    let preferred: Vec<_> = compatible.iter().filter(|(preferred, _)| *preferred).collect();
    Ok(match (preferred.as_slice(), compatible.as_slice()) {
        ([(_, class)], _) | ([], [(_, class)]) => Some(*class),
        _ => None,
    })
}

/// True if values of one type are values of the other as they are.
pub fn is_binary_coercible(context: &CommandContext<'_>, from: Oid, to: Oid) -> Result<bool> {
    if from == to {
        return Ok(true);
    }
    let entry = context.view.expect_type(from)?;
    let generic = match to {
        ANY_ARRAY => entry.array_element().is_some(),
        ANY_ENUM => entry.kind == TypeKind::Enum,
        ANY_RANGE => entry.kind == TypeKind::Range,
        ANY_MULTIRANGE => entry.kind == TypeKind::Multirange,
        RECORD => entry.kind == TypeKind::Composite,
        _ => false,
    };
    if generic {
        return Ok(true);
    }
    let cast = context.view.cast(from, to)?;
    Ok(cast.is_some_and(|cast| cast.method == CastMethod::Binary && cast.context == CastContext::Implicit))
}

/// The operator class named in an index definition, or the default one.
///
/// # Errors
/// 42704 if there is none, 42804 if it is not for the type.
pub fn resolve(context: &CommandContext<'_>, name: &[String], type_oid: Oid) -> Result<Oid> {
    let shown_type = || context.type_name(type_oid);
    let Some((bare, schema)) = name.split_last() else {
        return default_opclass(context, type_oid)?.ok_or_else(|| {
            error!(
                UNDEFINED_OBJECT,
                "data type {} has no default operator class for access method \"btree\"",
                shown_type()
            )
            .hint(
                "You must specify an operator class for the index or define a default operator class for the \
                 data type.",
            )
        });
    };
    let path = match schema.last() {
        Some(schema) => context.view.namespace_for_lookup(schema)?.into_iter().collect(),
        None => context.view.search_path()?,
    };
    let classes = context.view.opclasses(BTREE)?;
    let found = path.iter().find_map(|namespace| {
        classes.iter().find(|class| class.opcnamespace == *namespace && *class.opcname == **bare)
    });
    let Some(class) = found else {
        return Err(error!(
            UNDEFINED_OBJECT,
            "operator class \"{}\" does not exist for access method \"btree\"",
            name.join(".")
        ));
    };
    if !is_binary_coercible(context, type_oid, class.opcintype)? {
        return Err(error!(
            DATATYPE_MISMATCH,
            "operator class \"{}\" does not accept data type {}",
            name.join("."),
            shown_type()
        ));
    }
    Ok(class.oid)
}
