//! Stored expressions and queries as SQL, and comments.

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::{Value, ValueRef};

use super::need;
use super::visibility::key;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_get_expr,
    pg_get_expr_ext,
    pg_get_viewdef,
    pg_get_viewdef_ext,
    obj_description,
    col_description,
    shobj_description,
];

fn expression(context: &CallContext<'_>, tree: &str, relation: Oid, pretty: bool) -> Result<String> {
    let view = need::catalog(context)?;
    (need::deparser(context)?.expression)(&view, tree, relation.valid(), pretty)
}

#[builtin(oid = 1716)]
fn pg_get_expr(context: &mut CallContext<'_>, tree: &str, relation: Oid) -> Result<String> {
    expression(context, tree, relation, false)
}

#[builtin(oid = 2509)]
fn pg_get_expr_ext(context: &mut CallContext<'_>, tree: &str, relation: Oid, pretty: bool) -> Result<String> {
    expression(context, tree, relation, pretty)
}

/// A view's query; null for what is no view.
fn view_query(context: &CallContext<'_>, relation: Oid, pretty: bool) -> Result<Option<String>> {
    let view = need::catalog(context)?;
    let Some(entry) = view.relation(relation)? else { return Ok(None) };
    let Some(tree) = &entry.view else { return Ok(None) };
    (need::deparser(context)?.query)(&view, tree, pretty, 0).map(Some)
}

#[builtin(oid = 1641)]
fn pg_get_viewdef(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<String>> {
    view_query(context, relation, false)
}

#[builtin(oid = 2506)]
fn pg_get_viewdef_ext(context: &mut CallContext<'_>, relation: Oid, pretty: bool) -> Result<Option<String>> {
    view_query(context, relation, pretty)
}

const PG_CLASS: Oid = Oid(1259);
/// pg_description with its index on object, catalog and column.
const PG_DESCRIPTION: (Oid, Oid) = (Oid(2609), Oid(2675));
/// pg_shdescription with its index on object and catalog.
const PG_SHDESCRIPTION: (Oid, Oid) = (Oid(2396), Oid(2397));

/// The comment in the one row with this key; it is the last column.
fn comment(
    view: &CatalogView<'_>,
    (catalog, index): (Oid, Oid),
    columns: &[i16],
    values: &[ValueRef<'_>],
) -> Result<Option<Value>> {
    let rows = view.scan(catalog, index, columns, values)?;
    Ok(rows.into_iter().next().and_then(|(_, mut row)| row.pop()))
}

/// The catalog of that name in pg_catalog.
fn catalog_called(view: &CatalogView<'_>, name: &str) -> Result<Option<Oid>> {
    view.relation_oid(kokkiri_catalog::view::PG_CATALOG, name)
}

/// The comment on an object of the catalog with that name.
#[builtin(oid = 1215)]
fn obj_description(context: &mut CallContext<'_>, object: Oid, catalog: &str) -> Result<Option<Value>> {
    let view = need::catalog(context)?;
    let Some(class) = catalog_called(&view, catalog)? else { return Ok(None) };
    comment(&view, PG_DESCRIPTION, &[1, 2, 3], &[key(object), key(class), ValueRef::Int32(0)])
}

#[builtin(oid = 1216)]
fn col_description(context: &mut CallContext<'_>, relation: Oid, column: i32) -> Result<Option<Value>> {
    let view = need::catalog(context)?;
    comment(&view, PG_DESCRIPTION, &[1, 2, 3], &[key(relation), key(PG_CLASS), ValueRef::Int32(column)])
}

/// The comment on an object that all databases share.
#[builtin(oid = 1993)]
fn shobj_description(context: &mut CallContext<'_>, object: Oid, catalog: &str) -> Result<Option<Value>> {
    let view = need::catalog(context)?;
    let Some(class) = catalog_called(&view, catalog)? else { return Ok(None) };
    comment(&view, PG_SHDESCRIPTION, &[1, 2], &[key(object), key(class)])
}
