//! May the current user run this query?
//!
//! Realises: `ExecCheckPermissions` and the EXECUTE checks of functions. Looked at whenever a query is
//! planned: a kept plan is made anew when role, memberships or an ACL have changed.

use kokkiri_access::relation::RelationKind;
use kokkiri_analyze::tree::{Expression, Query, RtePermissionInfo};
use kokkiri_catalog::access_check::RelationUse;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::{Error, Oid, Result, SqlState, stack};

/// # Errors
/// 42501 for the first relation or function that the query may not use.
pub fn check(view: &CatalogView<'_>, query: &Query) -> Result<()> {
    if view.is_superuser(view.role)? && !has_other_users(query) {
        return Ok(());
    }
    check_query(view, query)
}

/// Whether a view's owner stands in for the user anywhere.
fn has_other_users(query: &Query) -> bool {
    let mut found = query.rte_perm_infos.iter().any(|info| info.check_as_user.is_some());
    query.for_each_subquery(&mut |inner| found |= has_other_users(inner));
    for_each_sub_select(query, &mut |inner| found |= has_other_users(inner));
    found
}

fn for_each_sub_select(query: &Query, visit: &mut dyn FnMut(&Query)) {
    query.for_each_expression(&mut |expr| {
        expr.walk(&mut |node| {
            if let Expression::SubLink(link) = node {
                visit(&link.subselect);
            }
            true
        });
    });
}

fn check_query(view: &CatalogView<'_>, query: &Query) -> Result<()> {
    stack::check_depth()?;
    for info in query.rte_perm_infos.iter().filter(|info| info.required != 0) {
        check_relation(view, info)?;
    }
    let mut result = Ok(());
    query.for_each_subquery(&mut |inner| {
        if result.is_ok() {
            result = check_query(view, inner);
        }
    });
    result?;
    let mut result = Ok(());
    query.for_each_expression(&mut |expr| {
        expr.walk(&mut |node| {
            if result.is_ok() {
                result = match node {
                    Expression::SubLink(link) => check_query(view, &link.subselect),
                    Expression::FuncExpr(call) => check_function(view, call.funcid),
                    Expression::Aggref(call) => check_function(view, call.aggfnoid),
                    Expression::WindowFunc(call) => check_function(view, call.winfnoid),
                    _ => Ok(()),
                };
            }
            result.is_ok()
        });
    });
    result
}

fn check_relation(view: &CatalogView<'_>, info: &RtePermissionInfo) -> Result<()> {
    let usage = RelationUse {
        relation: info.relid,
        role: info.check_as_user.unwrap_or(view.role),
        required: Privileges(info.required),
        selected: &info.selected_columns,
        inserted: &info.inserted_columns,
        updated: &info.updated_columns,
    };
    if view.may_use_relation(&usage)? {
        return Ok(());
    }
    let entry = view.expect_relation(info.relid)?;
    let kind = match entry.relation.kind {
        RelationKind::Sequence => "sequence",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        _ => "table",
    };
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for {kind} {}", entry.name)))
}

fn check_function(view: &CatalogView<'_>, oid: Oid) -> Result<()> {
    let Some(function) = view.function(oid)? else { return Ok(()) };
    let wanted = Privileges::EXECUTE;
    let granted =
        view.privileges(view.role, ObjectKind::Function, function.owner, function.acl.as_ref(), wanted)?;
    if granted.contains(wanted) {
        return Ok(());
    }
    let message = format!("permission denied for function {}", function.name);
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}
