//! View expansion: PostgreSQL's rewriter as far as SELECT rules go.
//!
//! A view's range table entry becomes a subquery of the stored tree. What the view reads is checked with the
//! privileges of its owner; that the user may read the view itself is checked on the entry that stays.

use kokkiri_access::relation::ViewOptions;
use kokkiri_primitives::{Error, Oid, Result, error, stack};
use kokkiri_transaction::LockMode;

use crate::catalog::Catalog;
use crate::tree::*;

/// Expands the views of a query and of all within it. `active` are the views being expanded.
pub(crate) fn expand_views(catalog: Catalog<'_>, query: &mut Query, active: &mut Vec<Oid>) -> Result<()> {
    stack::check_depth()?;
    for (index, rte) in (1u32..).zip(&mut query.rtable) {
        if let RteKind::Relation { relid, relkind: b'v', .. } = rte.kind {
            if query.row_marks.iter().any(|mark| mark.rti == index) {
                return Err(Error::not_supported(format!(
                    "locking rows through a view (\"{}\")",
                    rte.eref.name
                )));
            }
            if active.contains(&relid) {
                let name = &rte.eref.name;
                return Err(error!(
                    INVALID_OBJECT_DEFINITION,
                    "infinite recursion detected in rules for relation \"{name}\""
                ));
            }
            let Some(entry) = catalog.relation_by_oid(relid)? else {
                return Err(error!(INTERNAL_ERROR, "could not open relation with OID {relid}"));
            };
            let Some(stored) = entry.view.as_deref() else {
                return Err(error!(INTERNAL_ERROR, "view \"{}\" has no rule", entry.name));
            };
            let mut view: Query = crate::stored::read(stored)?;
            lock_relations(catalog, &view)?;
            let pairs = entry.options.iter().filter_map(|option| option.split_once('='));
            let options = ViewOptions::parse(pairs)?;
            let user = match options.security_invoker {
                false => Some(entry.owner),
                // Who reads the view that reads this one, if that is checked with its owner's privileges.
                true => rte
                    .perminfo_index
                    .checked_sub(1)
                    .and_then(|at| query.rte_perm_infos.get(at))
                    .and_then(|info| info.check_as_user),
            };
            set_check_as_user(&mut view, user);
            active.push(relid);
            expand_views(catalog, &mut view, active)?;
            active.pop();
            rte.kind = RteKind::Subquery {
                query: Box::new(view),
                view: Some(relid),
                security_barrier: options.security_barrier,
            };
        }
    }
    let mut result = Ok(());
    query.for_each_subquery_mut(&mut |inner| {
        if result.is_ok() {
            result = expand_views(catalog, inner, active);
        }
    });
    result?;
    let mut result = Ok(());
    query.for_each_expression_mut(&mut |expr| {
        expr.walk_mut(&mut |node| {
            if let Expression::SubLink(link) = node
                && result.is_ok()
            {
                result = expand_views(catalog, &mut link.subselect, active);
            }
            result.is_ok()
        });
    });
    result
}

/// Locks what a stored query reads, as reading it from text would have done: `AcquireRewriteLocks`.
fn lock_relations(catalog: Catalog<'_>, query: &Query) -> Result<()> {
    for (index, rte) in (1u32..).zip(&query.rtable) {
        if let RteKind::Relation { relid, .. } = rte.kind {
            let marked = query.row_marks.iter().any(|mark| mark.rti == index);
            catalog.lock(relid, if marked { LockMode::RowShare } else { LockMode::AccessShare })?;
        }
    }
    for_each_inner(query, &mut |inner| lock_relations(catalog, inner))
}

/// Calls `visit` on each query directly within this one, those of its SubLinks included.
pub(crate) fn for_each_inner(query: &Query, visit: &mut dyn FnMut(&Query) -> Result<()>) -> Result<()> {
    let mut result = Ok(());
    query.for_each_subquery(&mut |inner| {
        if result.is_ok() {
            result = visit(inner);
        }
    });
    query.for_each_expression(&mut |expr| {
        expr.walk(&mut |node| {
            if let Expression::SubLink(link) = node
                && result.is_ok()
            {
                result = visit(&link.subselect);
            }
            result.is_ok()
        });
    });
    result
}

/// Says with whose privileges everything in a view's query is checked: `setRuleCheckAsUser`.
fn set_check_as_user(query: &mut Query, user: Option<Oid>) {
    for info in &mut query.rte_perm_infos {
        info.check_as_user = user;
    }
    query.for_each_subquery_mut(&mut |inner| set_check_as_user(inner, user));
    query.for_each_expression_mut(&mut |expr| {
        expr.walk_mut(&mut |node| {
            if let Expression::SubLink(link) = node {
                set_check_as_user(&mut link.subselect, user);
            }
            true
        });
    });
}
