//! Conditions, taken apart once: PostgreSQL's `RestrictInfo`.

use std::cell::{Cell, RefCell};

use kokkiri_analyze::tree::{Expression, OpExpr, Relids};
use kokkiri_primitives::{Oid, Result};

use crate::cost::EvaluationCost;
use crate::expression::{is_never_true, relids};
use crate::lookup::Lookup;
use crate::path::PathKey;

#[derive(Clone, Debug)]
pub struct Clause {
    pub expr: Expression,
    /// What must be joined before it can be evaluated: more than it mentions, for an outer join's own.
    pub required: Relids,
    /// What it mentions.
    pub mentions: Relids,
    /// Both sides of a binary operator.
    pub left: Relids,
    pub right: Relids,
    /// A binary operator whose sides mention disjoint, non-empty sets of relations.
    pub can_join: bool,
    /// B-tree families in which the operator is equality: it can be merged.
    pub merge_families: Vec<Oid>,
    /// The operator can be hashed.
    pub can_hash: bool,
    /// Applied above the outer join it could have been part of: WHERE rather than ON.
    pub pushed_down: bool,
    /// The same for all rows, and not an outer join's own condition: checked once.
    pub pseudoconstant: bool,
    /// Equivalence classes of the sides, if mergeable.
    pub left_class: Cell<Option<usize>>,
    pub right_class: Cell<Option<usize>>,
    /// The class it was derived from or absorbed by.
    pub parent_class: Option<usize>,
    pub cost: EvaluationCost,
    /// Selectivity once computed: as a restriction or inner join, and as an outer or semi join.
    pub inner_selectivity: Cell<Option<f64>>,
    pub outer_selectivity: Cell<Option<f64>>,
    /// What a merge by this order reads of the left and the right side, once found out.
    pub merge_ranges: RefCell<Vec<(PathKey, Option<MergeRanges>)>>,
}

/// First and last fraction of the rows that are read, of the left and of the right side.
pub type MergeRanges = ((f64, f64), (f64, f64));

impl Clause {
    pub fn new(
        lookup: &Lookup<'_>,
        expr: Expression,
        required: Option<Relids>,
        pushed_down: bool,
    ) -> Result<Self> {
        let mentions = relids(&expr);
        let mut clause = Self {
            required: required.unwrap_or_else(|| mentions.clone()),
            pseudoconstant: pushed_down && mentions.is_empty() && !lookup.is_volatile(&expr)?,
            cost: lookup.evaluation_cost(&expr)?,
            left: Relids::new(),
            right: Relids::new(),
            can_join: false,
            merge_families: Vec::new(),
            can_hash: false,
            pushed_down,
            left_class: Cell::new(None),
            right_class: Cell::new(None),
            parent_class: None,
            inner_selectivity: Cell::new(None),
            outer_selectivity: Cell::new(None),
            merge_ranges: RefCell::default(),
            mentions,
            expr,
        };
        if clause.pseudoconstant {
            clause.cost.startup += std::mem::take(&mut clause.cost.per_tuple);
        }
        if let Expression::OpExpr(operator) = &clause.expr
            && let [left, right] = operator.args.as_slice()
        {
            clause.left = relids(left);
            clause.right = relids(right);
            clause.can_join =
                !clause.left.is_empty() && !clause.right.is_empty() && !clause.left.overlaps(&clause.right);
            if !lookup.is_volatile(&clause.expr)? {
                let entry = lookup.operator(operator.opno)?;
                if entry.can_merge {
                    clause.merge_families = lookup.equality_families(operator.opno)?;
                }
                clause.can_hash = entry.can_hash;
            }
        }
        Ok(clause)
    }

    pub fn operator(&self) -> Option<&OpExpr> {
        match &self.expr {
            Expression::OpExpr(operator) => Some(operator),
            _ => None,
        }
    }

    /// Both sides, that of `outer` first; `None` if the clause does not join the two.
    pub fn sides(&self, outer: &Relids, inner: &Relids) -> Option<(&Expression, &Expression)> {
        let operator = self.operator().filter(|_| self.can_join)?;
        let [left, right] = operator.args.as_slice() else { return None };
        if self.left.is_subset_of(outer) && self.right.is_subset_of(inner) {
            Some((left, right))
        } else if self.left.is_subset_of(inner) && self.right.is_subset_of(outer) {
            Some((right, left))
        } else {
            None
        }
    }

    /// True of a constant that no row makes true.
    pub fn is_never_true(&self) -> bool {
        is_never_true(&self.expr)
    }

    /// True if the condition belongs to WHERE as far as a join of these relations goes.
    pub fn is_pushed_down(&self, joined: &Relids) -> bool {
        self.pushed_down || !self.required.is_subset_of(joined)
    }
}
