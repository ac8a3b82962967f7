//! The order in which aggregates with ORDER BY or DISTINCT want their input.
//!
//! Realises: `adjust_group_pathkeys_for_groupagg`. Input that comes in that order need not be sorted by each
//! aggregate for itself. Where they want different orders, the one wins that suits most of them.

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_primitives::Result;

use crate::path::{PathKey, order_satisfies};
use crate::root::Root;

impl Root<'_, '_> {
    /// The order of the groups, followed by what the aggregates within each want.
    pub fn with_aggregate_order(
        &mut self,
        group: Option<Vec<PathKey>>,
        targets: &[TargetEntry],
    ) -> Result<Option<Vec<PathKey>>> {
        let Some(group) = group.filter(|_| self.global.cost.enable.presorted_aggregate) else {
            return Ok(None);
        };
        let mut wanted: Vec<Vec<PathKey>> = Vec::new();
        for aggregate in self.ordered_aggregates(targets)? {
            let Expression::Aggref(aggref) = &aggregate else { continue };
            let clauses = if aggref.aggdistinct.is_empty() { &aggref.aggorder } else { &aggref.aggdistinct };
            let Some(keys) = self.order_of(clauses, &aggref.args)? else { continue };
            let mut whole = group.clone();
            whole.extend(keys.into_iter().filter(|key| group.iter().all(|other| other.class != key.class)));
            wanted.push(whole);
        }
        let mut best: Option<(usize, Vec<PathKey>)> = None;
        for first in &wanted {
            let mut order = first.clone();
            let mut served = 0;
            for other in &wanted {
                if order_satisfies(&order, other) {
                    served += 1;
                } else if order_satisfies(other, &order) {
                    order.clone_from(other);
                    served += 1;
                }
            }
            if best.as_ref().is_none_or(|(most, _)| served > *most) {
                best = Some((served, order));
            }
        }
        Ok(Some(best.map_or(group, |(_, order)| order)))
    }

    fn ordered_aggregates(&self, targets: &[TargetEntry]) -> Result<Vec<Expression>> {
        let mut found: Vec<Expression> = Vec::new();
        for expr in targets.iter().map(|target| &target.expr).chain(&self.query.having_qual) {
            expr.walk(&mut |node| {
                if let Expression::Aggref(aggref) = node {
                    let is_ordered = !aggref.aggorder.is_empty() || !aggref.aggdistinct.is_empty();
                    // Arguments are computed before the filter is looked at, if they are sorted by.
                    let is_safe = aggref.aggfilter.is_none()
                        || aggref.args.iter().all(|arg| matches!(arg.expr, Expression::Var(_)));
                    if is_ordered && is_safe && aggref.aggkind == b'n' && !found.contains(node) {
                        found.push(node.clone());
                    }
                    return false;
                }
                true
            });
        }
        let mut stable = Vec::new();
        for aggregate in found {
            if !self.global.lookup.is_volatile(&aggregate)? {
                stable.push(aggregate);
            }
        }
        Ok(stable)
    }
}
