//! Stored expressions and queries as SQL, and comments.

use kokkiri_access::relation::{Persistence, RelationKind};
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::{Value, ValueRef};

use super::need;
use super::rows::listed;
use super::text_form;
use super::visibility::key;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{SetFunction, SetRows};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_get_expr,
    pg_get_expr_ext,
    pg_get_viewdef,
    pg_get_viewdef_ext,
    pg_get_viewdef_wrap,
    pg_get_viewdef_name,
    pg_get_viewdef_name_ext,
    pg_get_indexdef,
    pg_get_indexdef_ext,
    pg_get_constraintdef,
    pg_get_constraintdef_ext,
    pg_get_partkeydef,
    pg_relation_is_publishable,
    obj_description,
    col_description,
    shobj_description,
];

pub(crate) const SETS: &[SetFunction] =
    &[SetFunction::new(3425, "pg_partition_ancestors", true, pg_partition_ancestors)];

fn expression(context: &CallContext<'_>, tree: &str, relation: Oid, pretty: bool) -> Result<String> {
    let view = need::catalog(context)?;
    (need::deparser(context)?.expression)(&view, context.io, tree, relation.valid(), pretty)
}

#[builtin(oid = 1716)]
fn pg_get_expr(context: &mut CallContext<'_>, tree: &str, relation: Oid) -> Result<String> {
    expression(context, tree, relation, false)
}

#[builtin(oid = 2509)]
fn pg_get_expr_ext(context: &mut CallContext<'_>, tree: &str, relation: Oid, pretty: bool) -> Result<String> {
    expression(context, tree, relation, pretty)
}

/// Partitions are not built, so no relation is one: the set is empty.
fn pg_partition_ancestors(
    _context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    Ok(listed(Vec::new()))
}

/// True for a relation that a publication may publish.
#[builtin(oid = 6121)]
fn pg_relation_is_publishable(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<bool>> {
    let Some(entry) = need::catalog(context)?.relation(relation)? else { return Ok(None) };
    let is_table = matches!(entry.relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
    let is_logged = entry.relation.persistence == Persistence::Permanent;
    Ok(Some(is_table && is_logged && !entry.relation.is_catalog && relation >= Oid::FIRST_NORMAL))
}

/// How a view's query is laid out.
#[derive(Clone, Copy)]
struct Layout {
    pretty: bool,
    /// Lists go on in their line up to this column.
    wrap: i32,
}

/// A view's query; null for what is no view.
fn view_query(context: &CallContext<'_>, relation: Oid, layout: Layout) -> Result<Option<String>> {
    let view = need::catalog(context)?;
    let Some(entry) = view.relation(relation)? else { return Ok(None) };
    let Some(tree) = &entry.view else { return Ok(None) };
    let columns = entry.relation.tuple_desc.attributes().iter().map(|column| column.name.to_string());
    let print = need::deparser(context)?.query;
    print(&view, context.io, tree, columns.collect(), layout.pretty, layout.wrap).map(Some)
}

/// The relation that a text names.
fn relation_called(context: &CallContext<'_>, name: &str) -> Result<Oid> {
    text_form::regclass(&need::catalog(context)?, name)
}

#[builtin(oid = 1641)]
fn pg_get_viewdef(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<String>> {
    view_query(context, relation, Layout { pretty: false, wrap: 0 })
}

#[builtin(oid = 2506)]
fn pg_get_viewdef_ext(context: &mut CallContext<'_>, relation: Oid, pretty: bool) -> Result<Option<String>> {
    view_query(context, relation, Layout { pretty, wrap: 0 })
}

#[builtin(oid = 3159)]
fn pg_get_viewdef_wrap(context: &mut CallContext<'_>, relation: Oid, wrap: i32) -> Result<Option<String>> {
    view_query(context, relation, Layout { pretty: true, wrap })
}

#[builtin(oid = 1640)]
fn pg_get_viewdef_name(context: &mut CallContext<'_>, name: &str) -> Result<Option<String>> {
    let relation = relation_called(context, name)?;
    view_query(context, relation, Layout { pretty: false, wrap: 0 })
}

#[builtin(oid = 2505)]
fn pg_get_viewdef_name_ext(
    context: &mut CallContext<'_>,
    name: &str,
    pretty: bool,
) -> Result<Option<String>> {
    let relation = relation_called(context, name)?;
    view_query(context, relation, Layout { pretty, wrap: 0 })
}

fn index_definition(
    context: &CallContext<'_>,
    index: Oid,
    column: i32,
    pretty: bool,
) -> Result<Option<String>> {
    (need::deparser(context)?.index)(&need::catalog(context)?, context.io, index, column, pretty)
}

#[builtin(oid = 1643)]
fn pg_get_indexdef(context: &mut CallContext<'_>, index: Oid) -> Result<Option<String>> {
    index_definition(context, index, 0, false)
}

#[builtin(oid = 2507)]
fn pg_get_indexdef_ext(
    context: &mut CallContext<'_>,
    index: Oid,
    column: i32,
    pretty: bool,
) -> Result<Option<String>> {
    index_definition(context, index, column, pretty)
}

#[builtin(oid = 1387)]
fn pg_get_constraintdef(context: &mut CallContext<'_>, constraint: Oid) -> Result<Option<String>> {
    (need::deparser(context)?.constraint)(&need::catalog(context)?, context.io, constraint, false)
}

#[builtin(oid = 2508)]
fn pg_get_constraintdef_ext(
    context: &mut CallContext<'_>,
    constraint: Oid,
    pretty: bool,
) -> Result<Option<String>> {
    (need::deparser(context)?.constraint)(&need::catalog(context)?, context.io, constraint, pretty)
}

/// The key of a partitioned table; there are none.
#[builtin(oid = 3352)]
fn pg_get_partkeydef(_relation: Oid) -> Result<Option<String>> {
    Ok(None)
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
