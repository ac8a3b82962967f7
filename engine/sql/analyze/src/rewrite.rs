//! View expansion: PostgreSQL's rewriter as far as SELECT rules go.
//!
//! A view's range table entry becomes a subquery of the stored tree. What the view reads is checked with the
//! privileges of its owner; that the user may read the view itself is checked on the entry that stays.

use kokkiri_primitives::{Oid, Result, error, stack};

use crate::catalog::Catalog;
use crate::tree::*;

/// Expands the views of a query and of all within it. `active` are the views being expanded.
pub(crate) fn expand_views(catalog: Catalog<'_>, query: &mut Query, active: &mut Vec<Oid>) -> Result<()> {
    stack::check_depth()?;
    for rte in &mut query.rtable {
        if let RteKind::Relation { relid, relkind: b'v', .. } = rte.kind {
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
            for info in &mut view.rte_perm_infos {
                info.check_as_user = info.check_as_user.or(Some(entry.owner));
            }
            active.push(relid);
            expand_views(catalog, &mut view, active)?;
            active.pop();
            let security_barrier = entry.options.iter().any(|option| &**option == "security_barrier=true");
            rte.kind = RteKind::Subquery { query: Box::new(view), view: Some(relid), security_barrier };
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
