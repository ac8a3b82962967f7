//! The one version of a row that a plan is evaluated for again.
//!
//! Realises: the scans of EvalPlanQual.

use std::sync::Arc;

use kokkiri_access::heap::Heap;
use kokkiri_access::relation::Relation;
use kokkiri_primitives::Result;
use kokkiri_transaction::Visibility;
use kokkiri_types::Batch;

use super::Operator;
use super::output::Output;
use super::scan::Fetched;
use crate::context::Context;
use crate::row_store::prepare;

/// Any scan of a table, while a newer version of its row is judged.
pub struct RecheckScan {
    pub relid: u32,
    pub relation: Arc<Relation>,
    pub fetched: Fetched,
    pub output: Output,
    pub done: bool,
}

impl Operator for RecheckScan {
    fn next(&mut self, context: &mut Context<'_>, _demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if std::mem::replace(&mut self.done, true) {
            return Ok(());
        }
        let versions = &context.state.recheck;
        let found = versions.iter().find(|(relid, _)| *relid == self.relid).and_then(|(_, tid)| *tid);
        let Some(tid) = found else { return Ok(()) };
        let heap = Heap::new(&self.relation, context.transaction);
        let mut batch = Batch::default();
        prepare(&mut batch, &self.fetched.types);
        let mut fetch = self.fetched.fetch(&heap);
        if !fetch.fetch_version(&heap, &Visibility::Any, tid, 0, &mut batch.columns)? {
            return Ok(());
        }
        self.fetched.fill_system(self.relation.oid, &[tid], &mut batch);
        batch.seal(1);
        self.output.emit(context, &mut batch, out)?;
        Ok(())
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.done = false;
        Ok(())
    }
}
