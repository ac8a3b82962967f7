//! LockRows: SELECT ... FOR UPDATE and its kin.

use std::sync::Arc;

use kokkiri_access::heap::{Heap, RowLock, RowLockMode, Unchanged};
use kokkiri_access::relation::Relation;
use kokkiri_plan::plan::LockWaitPolicy;
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_transaction::WaitPolicy;
use kokkiri_types::{Batch, ValueRef};

use super::modify_table::lock_latest;
use super::{Node, Operator};
use crate::context::Context;

/// A table whose rows are locked.
pub struct Mark {
    pub relation: Arc<Relation>,
    pub mode: RowLockMode,
    pub policy: LockWaitPolicy,
    /// Column of the input holding the ctid, from zero.
    pub ctid_column: usize,
    /// Evaluates the plan for a newer version of the row.
    pub recheck: Option<Node>,
}

pub struct LockRows {
    pub input: Node,
    pub marks: Vec<Mark>,
}

impl LockRows {
    /// Locks the only row of `batch`; false if it is to be passed over.
    fn lock(&mut self, context: &mut Context<'_>, batch: &mut Batch) -> Result<bool> {
        let row = batch.selection.nth(0);
        for mark in &mut self.marks {
            let ValueRef::Tid(tid) = batch.columns[mark.ctid_column].get(row) else {
                // The null-extended side of an outer join has nothing to lock.
                continue;
            };
            let relation = Arc::clone(&mark.relation);
            let heap = Heap::new(&relation, context.transaction);
            let policy = match mark.policy {
                LockWaitPolicy::Block => WaitPolicy::Block,
                LockWaitPolicy::Skip => WaitPolicy::Skip,
                LockWaitPolicy::Error => WaitPolicy::NoWait,
            };
            let wanted = RowLock { mode: mark.mode, policy, follow_updates: true };
            match heap.lock_row(tid, wanted)? {
                Ok(()) => {}
                Err(Unchanged::WouldBlock) if mark.policy == LockWaitPolicy::Skip => return Ok(false),
                Err(Unchanged::WouldBlock) => {
                    return Err(Error::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        format!("could not obtain lock on row in relation \"{}\"", relation.name),
                    ));
                }
                Err(Unchanged::SelfModified { .. }) => return Ok(false),
                Err(unchanged) => {
                    let Some(latest) = lock_latest(context, &heap, unchanged, mark.mode, policy)? else {
                        return Ok(false);
                    };
                    let Some(recheck) = &mut mark.recheck else {
                        return Err(Error::not_supported("locking a concurrently updated row of this plan"));
                    };
                    context.state.recheck_tid = Some(latest);
                    let result = recheck.rescan(context, &[]).and_then(|()| recheck.next(context, 1, batch));
                    context.state.recheck_tid = None;
                    result?;
                    if batch.is_empty() {
                        return Ok(false);
                    }
                    return Ok(true);
                }
            }
        }
        Ok(true)
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
