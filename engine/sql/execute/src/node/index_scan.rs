//! Index scans and index-only scans.
//!
//! The index gives tids in its order, the heap the visible version that each leads to. An index-only scan
//! asks the visibility map first and visits the heap only for pages not all visible.

use std::sync::Arc;

use kokkiri_access::btree::scan::{Scan, ScanOptions};
use kokkiri_access::btree::scan_key::{Condition, CrossType, Direction, ScanKey, Strategy};
use kokkiri_access::heap::{FetchedRow, Heap, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{ItemPointer, Result};
use kokkiri_storage::buffer::PinnedBuffer;
use kokkiri_storage::visibility_map;
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value, ValueRef, array};

use super::output::Output;
use super::scan::{Fetched, Growth};
use super::{Details, Operator};
use crate::context::Context;
use crate::expression::Program;
use crate::row_store::prepare;

/// A condition with its argument compiled.
pub struct Key {
    pub column: usize,
    pub test: KeyTest,
}

pub enum KeyTest {
    Compare { strategy: Strategy, argument: Program, cross_type: Option<CrossType> },
    Any { array: Program, cross_type: Option<CrossType> },
    IsNull,
    IsNotNull,
}

/// Computes the scan keys; `None` if a comparison with null makes the scan empty.
pub fn scan_keys(keys: &mut [Key], context: &mut Context<'_>) -> Result<Option<Vec<ScanKey>>> {
    let mut made = Vec::with_capacity(keys.len());
    for key in keys {
        let condition = match &mut key.test {
            KeyTest::Compare { strategy, argument, cross_type } => match argument.evaluate_one(context)? {
                Value::Null => return Ok(None),
                value => Condition::Compare { strategy: *strategy, value, cross_type: *cross_type },
            },
            KeyTest::Any { array: program, cross_type } => {
                let value = program.evaluate_one(context)?;
                let ValueRef::Bytes(bytes) = value.as_ref() else { return Ok(None) };
                let mut values = array::values(bytes)?;
                values.retain(|value| !value.is_null());
                if values.is_empty() {
                    return Ok(None);
                }
                Condition::Any { values, cross_type: *cross_type }
            }
            KeyTest::IsNull => Condition::IsNull,
            KeyTest::IsNotNull => Condition::IsNotNull,
        };
        made.push(ScanKey { column: key.column, condition });
    }
    Ok(Some(made))
}

pub struct IndexScan {
    relation: Arc<Relation>,
    index: Arc<IndexDescriptor>,
    keys: Vec<Key>,
    direction: Direction,
    fetched: Fetched,
    /// Columns come from the index; the heap is visited only to judge visibility.
    index_only: bool,
    output: Output,
    scan: Option<Scan>,
    fetch: Option<TupleFetch>,
    map_pin: Option<PinnedBuffer>,
    /// Types of the index's columns, for an index-only scan.
    index_types: Vec<PhysicalType>,
    values: Vec<Value>,
    tids: Vec<ItemPointer>,
    growth: Growth,
    started: bool,
    ended: bool,
    batch: Batch,
    heap_fetches: u64,
}

impl IndexScan {
    /// A scan of a table by one of its indexes; index-only if nothing is `fetched` from the table.
    pub fn new(
        relation: &Arc<Relation>,
        index: &Arc<IndexDescriptor>,
        keys: Vec<Key>,
        direction: Direction,
        fetched: Option<Fetched>,
        output: Output,
    ) -> Self {
        Self {
            index_only: fetched.is_none(),
            fetched: fetched.unwrap_or_default(),
            index_types: index.tuple_desc.iter().map(|attribute| attribute.physical).collect(),
            relation: Arc::clone(relation),
            index: Arc::clone(index),
            keys,
            direction,
            output,
            scan: None,
            fetch: None,
            map_pin: None,
            values: Vec::new(),
            tids: Vec::new(),
            growth: Growth::default(),
            started: false,
            ended: false,
            batch: Batch::default(),
            heap_fetches: 0,
        }
    }

    fn start(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.started = true;
        let Some(keys) = scan_keys(&mut self.keys, context)? else {
            self.ended = true;
            return Ok(());
        };
        self.ended = false;
        match &mut self.scan {
            Some(scan) => scan.rescan(keys),
            none => {
                let cluster = context.transaction.cluster();
                let options = ScanOptions {
                    mvcc: true,
                    with_tuples: self.index_only,
                    skip_killed: !cluster.transactions.in_recovery(),
                };
                *none = Some(Scan::new(Arc::clone(cluster), Arc::clone(&self.index), keys, options));
                Ok(())
            }
        }
    }

    /// Fills the batch with up to `wanted` rows; how many.
    fn fill(&mut self, context: &Context<'_>, wanted: usize) -> Result<usize> {
        let types = if self.index_only { &self.index_types } else { &self.fetched.types };
        prepare(&mut self.batch, types);
        self.tids.clear();
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        let snapshot = Visibility::Mvcc(context.snapshot);
        let Some(scan) = &mut self.scan else { return Ok(0) };
        let fetch = self.fetch.get_or_insert_with(|| {
            if self.index_only { TupleFetch::new(&heap, &[]) } else { self.fetched.fetch(&heap) }
        });
        let mut rows = 0;
        while rows < wanted {
            let Some(tid) = scan.next(self.direction)? else {
                self.ended = true;
                fetch.release();
                break;
            };
            if self.index_only {
                let buffers = &context.transaction.cluster().buffers;
                let status = visibility_map::status(buffers, relation.file, tid.block, &mut self.map_pin)?;
                if status & visibility_map::ALL_VISIBLE == 0 {
                    self.heap_fetches += 1;
                    match fetch.fetch_chain(&heap, &snapshot, tid, rows, &mut [])? {
                        FetchedRow::Visible(_) => {}
                        FetchedRow::Nothing { all_dead } => {
                            if all_dead {
                                scan.kill_current();
                            }
                            continue;
                        }
                    }
                }
                self.values.clear();
                scan.current_values(&mut self.values)?;
                for (column, value) in self.batch.columns.iter_mut().zip(&self.values) {
                    column.push(value.as_ref());
                }
                self.tids.push(tid);
            } else {
                match fetch.fetch_chain(&heap, &snapshot, tid, rows, &mut self.batch.columns)? {
                    FetchedRow::Visible(at) => self.tids.push(at),
                    FetchedRow::Nothing { all_dead } => {
                        if all_dead {
                            scan.kill_current();
                        }
                        continue;
                    }
                }
            }
            rows += 1;
        }
        if !self.index_only {
            self.fetched.fill_system(relation.oid, &self.tids, &mut self.batch);
        }
        self.batch.seal(rows);
        Ok(rows)
    }
}

impl Operator for IndexScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if !self.started {
            self.start(context)?;
        }
        while !self.ended {
            check_for_interrupts()?;
            let wanted = if demand < BATCH_ROWS { demand } else { self.growth.next(demand) };
            if self.fill(context, wanted)? == 0 {
                return Ok(());
            }
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.started = false;
        self.ended = false;
        self.growth = Growth::default();
        Ok(())
    }

    fn details(&self) -> Details {
        Details {
            heap_fetches: self.heap_fetches,
            index_searches: self.scan.as_ref().map_or(0, Scan::searches),
            ..self.output.details()
        }
    }
}
