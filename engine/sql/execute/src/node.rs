//! Plan nodes at work.
//!
//! Realises: `execProcnode.c`. An [`Operator`] fills the batch its consumer hands it with at most as many
//! rows as are demanded; an empty batch is the end. A [`Node`] is an operator with what EXPLAIN ANALYZE
//! wants to know about it.
//!
//! Invariants:
//!  1. An operator never returns more rows than demanded, and reads no more of its input than it must.
//!  2. The consumer may take columns out of a batch it was given; the operator fills them anew.
//!  3. After [`Operator::rescan`] the operator returns its rows again, with the parameters' new values.

pub mod aggregate;
pub mod append;
pub mod bitmap;
pub mod build;
pub mod function_scan;
pub mod hash_join;
pub mod index_scan;
pub mod join_output;
pub mod limit;
pub mod lock_rows;
pub mod material;
pub mod merge_join;
pub mod modify_table;
pub mod nest_loop;
pub mod output;
pub mod recheck_scan;
pub mod result;
pub mod scan;
pub mod set_op;
pub mod sort;
mod sorted_runs;
pub mod target;
pub mod unique;

use std::time::{Duration, Instant};

use kokkiri_primitives::activity::{UsageSnapshot, check_for_interrupts, with_current};
use kokkiri_primitives::{Error, Result, stack};
use kokkiri_types::{BATCH_ROWS, Batch};

use crate::context::Context;
use bitmap::TidBitmap;

pub trait Operator: Send {
    /// Fills `out` with up to `demand` rows; none at the end.
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()>;

    /// Makes a bitmap instead of rows; tells how many places it was given. For the nodes that do nothing else.
    fn bitmap(&mut self, _context: &mut Context<'_>) -> Result<(TidBitmap, u64)> {
        Err(Error::internal("the node makes no bitmap"))
    }

    /// Starts over. `changed` are the parameters that have new values; what does not depend on them may
    /// be kept.
    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()>;

    /// Inputs, outer first.
    fn children(&self) -> Vec<&Node> {
        Vec::new()
    }

    /// Inputs, to be changed.
    fn children_mut(&mut self) -> Vec<&mut Node> {
        Vec::new()
    }

    /// What EXPLAIN ANALYZE tells beyond rows and time.
    fn details(&self) -> Details {
        Details::default()
    }
}

/// What a node answers that makes a bitmap and is asked for rows.
#[cold]
fn no_rows(node: &str) -> Error {
    Error::internal(format!("{node} node does not support ExecProcNode call convention"))
}

/// Particulars of a run.
#[derive(Clone, Debug, Default)]
pub struct Details {
    pub removed_by_filter: u64,
    pub removed_by_join_filter: u64,
    pub removed_by_index_recheck: u64,
    pub heap_fetches: u64,
    /// Pages read by a bitmap: of known rows, and as a whole.
    pub heap_blocks: Option<(u64, u64)>,
    pub index_searches: u64,
    pub sort: Option<SortDetails>,
    pub hash: Option<HashDetails>,
    pub batches: Option<BatchDetails>,
    pub storage: Option<(&'static str, u64)>,
}

#[derive(Clone, Debug)]
pub struct SortDetails {
    pub method: &'static str,
    pub on_disk: bool,
    pub kilobytes: u64,
}

#[derive(Clone, Debug)]
pub struct HashDetails {
    pub buckets: u64,
    pub original_buckets: u64,
    pub batches: u64,
    pub original_batches: u64,
    pub kilobytes: u64,
}

#[derive(Clone, Debug)]
pub struct BatchDetails {
    pub batches: u64,
    pub kilobytes: u64,
    pub disk_kilobytes: u64,
}

/// How often, how many, how long, and with which buffers.
#[derive(Clone, Debug, Default)]
pub struct Instrumentation {
    pub loops: f64,
    pub rows: f64,
    pub startup: Duration,
    pub total: Duration,
    pub usage: UsageSnapshot,
    running: bool,
    cycle_rows: f64,
    cycle_time: Duration,
    cycle_first: Option<Duration>,
    pub timing: bool,
}

impl Instrumentation {
    pub fn new(timing: bool) -> Self {
        Self { timing, ..Self::default() }
    }

    fn note(&mut self, elapsed: Duration, rows: usize, usage: UsageSnapshot) {
        self.running = true;
        self.usage += usage;
        self.cycle_time += elapsed;
        if self.cycle_first.is_none() {
            self.cycle_first = Some(self.cycle_time);
        }
        self.cycle_rows += rows as f64;
    }

    /// Closes a cycle: the node is rescanned or the statement ends.
    pub fn end_loop(&mut self) {
        if !self.running {
            return;
        }
        self.running = false;
        self.loops += 1.0;
        self.rows += std::mem::take(&mut self.cycle_rows);
        self.total += std::mem::take(&mut self.cycle_time);
        self.startup += self.cycle_first.take().unwrap_or_default();
    }
}

/// The parameter that stands for the row versions of a plan being evaluated again: what depends on them is
/// computed anew for each.
pub const RECHECK_PARAMETER: u32 = u32::MAX;

/// The parameter that stands for what an execution runs with, its snapshot and the values of `$1`: all nodes
/// depend on it.
pub const EVERYTHING: u32 = u32::MAX - 1;

pub struct Node {
    pub plan_id: usize,
    operator: Box<dyn Operator>,
    /// Exec parameters that the subtree reads.
    parameters: Vec<u32>,
    pub instrumentation: Option<Box<Instrumentation>>,
}

impl Node {
    pub fn new(plan_id: usize, parameters: Vec<u32>, operator: Box<dyn Operator>) -> Self {
        Self { plan_id, operator, parameters, instrumentation: None }
    }

    /// [`Operator::next`]. Every loop over an input comes through here, and looks for interrupts here.
    pub fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        check_for_interrupts()?;
        let demand = demand.min(BATCH_ROWS);
        self.measured(|operator| {
            operator.next(context, demand, out)?;
            Ok(((), out.len()))
        })
    }

    /// The bitmap that the node makes.
    pub fn bitmap(&mut self, context: &mut Context<'_>) -> Result<TidBitmap> {
        self.measured(|operator| {
            let (bitmap, rows) = operator.bitmap(context)?;
            Ok((bitmap, rows as usize))
        })
    }

    /// Lets the operator work, noting what it takes. It answers how many rows it gave.
    fn measured<T>(&mut self, work: impl FnOnce(&mut dyn Operator) -> Result<(T, usize)>) -> Result<T> {
        let Some(instrumentation) = &mut self.instrumentation else {
            return work(&mut *self.operator).map(|(answer, _)| answer);
        };
        let usage =
            || with_current(|backend| backend.map(|backend| backend.usage.snapshot()).unwrap_or_default());
        let before = usage();
        let started = instrumentation.timing.then(Instant::now);
        let result = work(&mut *self.operator);
        let elapsed = started.map(|started| started.elapsed()).unwrap_or_default();
        let rows = result.as_ref().map_or(0, |(_, rows)| *rows);
        instrumentation.note(elapsed, rows, usage() - before);
        result.map(|(answer, _)| answer)
    }

    /// Starts over with new values of the parameters in `changed`.
    pub fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        stack::check_depth()?;
        if let Some(instrumentation) = &mut self.instrumentation {
            instrumentation.end_loop();
        }
        self.operator.rescan(context, changed)
    }

    /// True if one of the parameters is read in this subtree, by subplans of its expressions too.
    pub fn depends_on(&self, changed: &[u32]) -> bool {
        changed.iter().any(|id| *id == EVERYTHING || self.parameters.binary_search(id).is_ok())
    }

    pub fn children(&self) -> Vec<&Node> {
        self.operator.children()
    }

    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Node)) {
        self.operator.children_mut().into_iter().for_each(visit);
    }

    pub fn details(&self) -> Details {
        self.operator.details()
    }
}

/// Batches of an input, handed out row by row or in part.
#[derive(Default)]
pub struct Input {
    pub batch: Batch,
    /// Next selected row to be looked at.
    pub position: usize,
    pub ended: bool,
}

impl Input {
    /// Makes sure that there is a row at `position`; false at the end.
    pub fn fill(&mut self, node: &mut Node, context: &mut Context<'_>, demand: usize) -> Result<bool> {
        while !self.ended && self.position >= self.batch.len() {
            node.next(context, demand, &mut self.batch)?;
            self.position = 0;
            self.ended = self.batch.is_empty();
        }
        Ok(!self.ended)
    }

    /// Row number in the batch of the current row.
    pub fn row(&self) -> usize {
        self.batch.selection.nth(self.position)
    }

    pub fn reset(&mut self) {
        self.position = 0;
        self.ended = false;
        self.batch.selection.set_all(0);
    }
}
