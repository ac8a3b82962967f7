//! Which catalog objects an unqualified name finds: `pg_table_is_visible` and its kin.

use kokkiri_catalog::entries::{FunctionEntry, OperatorEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{PgOpclass, PgOpfamily};
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::ValueRef;

use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_table_is_visible,
    pg_type_is_visible,
    pg_function_is_visible,
    pg_operator_is_visible,
    pg_opclass_is_visible,
    pg_opfamily_is_visible,
    pg_collation_is_visible,
    pg_conversion_is_visible,
    pg_ts_config_is_visible,
    pg_ts_dict_is_visible,
    pg_ts_parser_is_visible,
    pg_ts_template_is_visible,
    pg_statistics_obj_is_visible,
];

/// True if an unqualified name finds the object of a catalog whose rows begin with oid, name and schema. Only for
/// small catalogs: it reads all of them.
fn named_is_visible(context: &CallContext<'_>, catalog: Oid, object: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    let rows = view.scan_all(catalog)?;
    let rows = rows.iter().filter_map(|(_, values)| match values.as_slice() {
        [oid, name, schema, ..] => Some((oid.as_ref().oid(), name, schema.as_ref().oid())),
        _ => None,
    });
    let rows: Vec<_> = rows.collect();
    let Some((_, name, _)) = rows.iter().find(|(oid, ..)| *oid == object) else { return Ok(None) };
    let candidates: Vec<_> =
        rows.iter().filter(|(_, other, _)| other == name).map(|(oid, _, schema)| (*schema, *oid)).collect();
    is_first(&view, object, &candidates).map(Some)
}

macro_rules! visibility_of_named {
    ($($oid:literal $name:ident $catalog:literal;)+) => {$(
        #[builtin(oid = $oid)]
        fn $name(context: &mut CallContext<'_>, object: Oid) -> Result<Option<bool>> {
            named_is_visible(context, Oid($catalog), object)
        }
    )+};
}

visibility_of_named! {
    2093 pg_conversion_is_visible 2607;
    3758 pg_ts_config_is_visible 3602;
    3757 pg_ts_dict_is_visible 3600;
    3756 pg_ts_parser_is_visible 3601;
    3768 pg_ts_template_is_visible 3764;
}

/// Extended statistics: their rows begin with oid, table, name, schema.
#[builtin(oid = 3403)]
fn pg_statistics_obj_is_visible(context: &mut CallContext<'_>, object: Oid) -> Result<Option<bool>> {
    const PG_STATISTIC_EXT: Oid = Oid(3381);
    let view = need::catalog(context)?;
    let rows = view.scan_all(PG_STATISTIC_EXT)?;
    if rows.iter().any(|(_, values)| values.first().is_some_and(|oid| oid.as_ref().oid() == object)) {
        return Err(kokkiri_primitives::Error::not_supported("extended statistics"));
    }
    Ok(None)
}

pub(crate) fn key(oid: Oid) -> ValueRef<'static> {
    ValueRef::Int32(oid.0 as i32)
}

#[builtin(oid = 2079)]
fn pg_table_is_visible(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    match view.relation_name(relation)? {
        Some((_, name)) => view.relation_is_visible(relation, &name).map(Some),
        None => Ok(None),
    }
}

#[builtin(oid = 2080)]
fn pg_type_is_visible(context: &mut CallContext<'_>, type_oid: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    let Some(entry) = view.type_entry(type_oid)? else { return Ok(None) };
    Ok(Some(view.type_by_name(None, &entry.name)?.is_some_and(|found| found.oid == type_oid)))
}

/// True if a call by bare name may mean this function: no other with its arguments stands earlier.
pub(crate) fn function_is_visible(view: &CatalogView<'_>, function: &FunctionEntry) -> Result<bool> {
    let found = view.functions_by_name(None, &function.name)?;
    let first = found.iter().find(|(_, other)| other.arguments == function.arguments);
    Ok(first.is_some_and(|(_, other)| other.oid == function.oid))
}

#[builtin(oid = 2081)]
fn pg_function_is_visible(context: &mut CallContext<'_>, function: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    view.function(function)?.map(|entry| function_is_visible(&view, &entry)).transpose()
}

pub(crate) fn operator_is_visible(view: &CatalogView<'_>, operator: &OperatorEntry) -> Result<bool> {
    let found = view.operators_by_name(None, &operator.name)?;
    let same = |other: &OperatorEntry| (other.left, other.right) == (operator.left, operator.right);
    let first = found.iter().find(|(_, other)| same(other));
    Ok(first.is_some_and(|(_, other)| other.oid == operator.oid))
}

#[builtin(oid = 2082)]
fn pg_operator_is_visible(context: &mut CallContext<'_>, operator: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    view.operator(operator)?.map(|entry| operator_is_visible(&view, &entry)).transpose()
}

/// True if `oid` is the first of the candidates (namespace and oid) along the search path.
fn is_first(view: &CatalogView<'_>, oid: Oid, candidates: &[(Oid, Oid)]) -> Result<bool> {
    for namespace in view.search_path()?.iter().copied() {
        if let Some((_, found)) = candidates.iter().find(|(schema, _)| *schema == namespace) {
            return Ok(*found == oid);
        }
    }
    Ok(false)
}

pub(crate) fn opclass_is_visible(view: &CatalogView<'_>, opclass: Oid) -> Result<Option<bool>> {
    let Some(entry) = view.opclass(opclass)? else { return Ok(None) };
    let all = view.opclasses(entry.method)?;
    let same = |row: &&PgOpclass| *row.opcname == *entry.name;
    let candidates: Vec<_> = all.iter().filter(same).map(|row| (row.opcnamespace, row.oid)).collect();
    is_first(view, opclass, &candidates).map(Some)
}

#[builtin(oid = 2083)]
fn pg_opclass_is_visible(context: &mut CallContext<'_>, opclass: Oid) -> Result<Option<bool>> {
    opclass_is_visible(&need::catalog(context)?, opclass)
}

#[builtin(oid = 3829)]
fn pg_opfamily_is_visible(context: &mut CallContext<'_>, family: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    let rows = view.rows::<PgOpfamily>(Lookup::OpfamilyByOid, &[key(family)])?;
    let Some(row) = rows.first() else { return Ok(None) };
    // There are few families: those of that name are looked for among all.
    let mut candidates = Vec::new();
    for (_, values) in view.scan_all(<PgOpfamily as kokkiri_catalog::row::CatalogRow>::CATALOG)? {
        let other = <PgOpfamily as kokkiri_catalog::row::CatalogRow>::from_values(&values)?;
        if other.opfmethod == row.opfmethod && other.opfname == row.opfname {
            candidates.push((other.opfnamespace, other.oid));
        }
    }
    is_first(&view, family, &candidates).map(Some)
}

#[builtin(oid = 3815)]
fn pg_collation_is_visible(context: &mut CallContext<'_>, collation: Oid) -> Result<Option<bool>> {
    let view = need::catalog(context)?;
    let Some(entry) = view.collation(collation)? else { return Ok(None) };
    Ok(Some(view.collation_by_name(None, &entry.name)?.is_some_and(|found| found.oid == collation)))
}
