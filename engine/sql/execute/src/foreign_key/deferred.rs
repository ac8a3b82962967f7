//! Checks that wait for the end of the transaction, or for SET CONSTRAINTS.
//!
//! What waits is a key, not a row: at its time a key that nobody refers to any more, or that is there
//! again, has done no harm. So the same key waits only once, and a rolled back savepoint needs no undoing.

use kokkiri_access::relation::Relation;
use kokkiri_catalog::entries::ForeignKeyAction;
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;

use super::ForeignKeyCheck;
use crate::context::Context;
use crate::node::target;

/// Which side's change is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Rows refer to the key.
    Referencing,
    /// The key has gone.
    Referenced,
}

/// A key that is to be looked at again.
#[derive(Clone, Debug, PartialEq)]
pub struct DeferredCheck {
    pub constraint: Oid,
    /// The table that refers.
    relation: Oid,
    side: Side,
    key: Vec<Value>,
}

impl DeferredCheck {
    pub(super) fn new(check: &ForeignKeyCheck, side: Side, row: &[Value]) -> Self {
        Self {
            constraint: check.constraint.oid,
            relation: check.constraint.relation,
            side,
            key: check.own.iter().map(|at| row[*at].clone()).collect(),
        }
    }

    /// Checks the key now.
    ///
    /// # Errors
    /// 23503 in the words of an immediate check.
    pub fn run(&self, context: &Context<'_>, facts: &dyn CatalogFacts) -> Result<()> {
        let referencing = facts.relation(self.relation)?;
        let named = referencing.constraints.iter().find(|known| known.oid == self.constraint);
        // The constraint may have been dropped since.
        let Some((constraint, foreign)) = named.and_then(|known| Some((known, known.foreign.as_ref()?)))
        else {
            return Ok(());
        };
        match self.side {
            Side::Referencing => {
                let check = target::referencing_check(facts, &referencing, constraint, foreign)?;
                let row = self.row(&check, &referencing.relation);
                if check.is_still_referring(context, &referencing.relation, &row)? {
                    check.find_referenced(context, &referencing.relation, &row)?;
                }
                Ok(())
            }
            Side::Referenced => {
                let referenced = facts.relation(foreign.relation)?;
                let check = target::referenced_check(facts, &referenced, constraint, foreign)?;
                let row = self.row(&check, &referenced.relation);
                check.forbid_references(context, &referenced.relation, &row, ForeignKeyAction::NoAction)
            }
        }
    }

    /// A row of which only the key is known.
    fn row(&self, check: &ForeignKeyCheck, relation: &Relation) -> Vec<Value> {
        let mut row = vec![Value::Null; relation.tuple_desc.len()];
        for (at, value) in check.own.iter().zip(&self.key) {
            row[*at] = value.clone();
        }
        row
    }
}
