//! LockRows: SELECT ... FOR UPDATE and its kin.

use std::sync::Arc;

use kokkiri_access::heap::{Heap, RowLock, RowLockMode, Unchanged};
use kokkiri_access::relation::Relation;
use kokkiri_plan::plan::LockWaitPolicy;
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_transaction::WaitPolicy;
use kokkiri_types::{Batch, ValueRef};

use super::modify_table::{evaluate_again, lock_latest};
use super::{Node, Operator};
use crate::context::Context;

/// A table whose rows are locked, or only remembered.
pub struct Mark {
    pub relid: u32,
    pub relation: Arc<Relation>,
    /// `None`: the row is not locked, but stays the same when the plan is evaluated again.
    pub mode: Option<RowLockMode>,
    pub policy: LockWaitPolicy,
    /// Column of the input holding the ctid, from zero.
    pub ctid_column: usize,
}

pub struct LockRows {
    pub input: Node,
    pub marks: Vec<Mark>,
    /// Evaluates the plan for newer versions of the rows.
    pub recheck: Node,
}

impl LockRows {
    /// Locks the only row of `batch`; false if it is to be passed over.
    fn lock(&mut self, context: &mut Context<'_>, batch: &mut Batch) -> Result<bool> {
        let row = batch.selection.nth(0);
        let mut versions = Vec::with_capacity(self.marks.len());
        let mut changed = false;
        for mark in &self.marks {
            let ValueRef::Tid(tid) = batch.columns[mark.ctid_column].get(row) else {
                // The null-extended side of an outer join has nothing to lock.
                versions.push((mark.relid, None));
                continue;
            };
            let Some(mode) = mark.mode else {
                versions.push((mark.relid, Some(tid)));
                continue;
            };
            let relation = Arc::clone(&mark.relation);
            let heap = Heap::new(&relation, context.transaction);
            let policy = match mark.policy {
                LockWaitPolicy::Block => WaitPolicy::Block,
                LockWaitPolicy::Skip => WaitPolicy::Skip,
                LockWaitPolicy::Error => WaitPolicy::NoWait,
            };
            let wanted = RowLock { mode, policy, follow_updates: true };
            match heap.lock_row(tid, wanted)? {
                Ok(()) => versions.push((mark.relid, Some(tid))),
                Err(Unchanged::WouldBlock) if mark.policy == LockWaitPolicy::Skip => return Ok(false),
                Err(Unchanged::WouldBlock) => {
                    return Err(Error::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        format!("could not obtain lock on row in relation \"{}\"", relation.name),
                    ));
                }
                Err(Unchanged::SelfModified { .. }) => return Ok(false),
                Err(unchanged) => {
                    let Some(latest) = lock_latest(context, &heap, unchanged, mode, policy)? else {
                        return Ok(false);
                    };
                    versions.push((mark.relid, Some(latest)));
                    changed = true;
                }
            }
        }
        if changed {
            evaluate_again(&mut self.recheck, context, versions, batch)?;
        }
        Ok(!batch.is_empty())
    }
}

impl Operator for LockRows {
    fn next(&mut self, context: &mut Context<'_>, _demand: usize, out: &mut Batch) -> Result<()> {
        loop {
            // One row at a time: no more rows are locked than are returned.
            self.input.next(context, 1, out)?;
            if out.is_empty() || self.lock(context, out)? {
                return Ok(());
            }
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}
