//! Sequential scans and fetches by tid.

use std::sync::Arc;

use kokkiri_access::heap::{Heap, Scan, ScanOptions, TupleFetch};
use kokkiri_access::relation::Relation;
use kokkiri_access::tuple::deform::TupleField;
use kokkiri_analyze::tree::StoredForm;
use kokkiri_primitives::{Error, ItemPointer, Oid, Result};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value, ValueRef};

use super::output::Output;
use super::{Details, Operator};
use crate::context::Context;
use crate::expression::Program;
use crate::row_store::prepare;

/// Which attributes of a table a scan hands up, system columns among them.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Attribute numbers in order of the batch's columns.
    pub attributes: Vec<i16>,
    /// Positions (0-based) of the user columns among them, in order.
    pub columns: Vec<usize>,
    pub types: Vec<PhysicalType>,
    /// What else the tuples tell, with its columns.
    pub fields: Vec<(TupleField, usize)>,
}

const CTID: i16 = -1;
const XMIN: i16 = -2;
const CMIN: i16 = -3;
const XMAX: i16 = -4;
const CMAX: i16 = -5;
const TABLE_OID: i16 = -6;

impl Fetched {
    /// `attributes` lists user columns first, system columns behind them.
    pub fn new(relation: &Relation, attributes: Vec<i16>) -> Result<Self> {
        let mut columns = Vec::new();
        let mut types = Vec::new();
        let mut fields = Vec::new();
        for (column, &attribute) in attributes.iter().enumerate() {
            match attribute {
                CTID => types.push(PhysicalType::Tid),
                TABLE_OID => types.push(PhysicalType::Int32),
                number if number > 0 => {
                    let at = number as usize - 1;
                    let desc = relation
                        .tuple_desc
                        .get(at)
                        .ok_or_else(|| Error::internal(format!("attribute {number} does not exist")))?;
                    columns.push(at);
                    types.push(desc.physical);
                }
                _ => {
                    let field = match (attribute, StoredForm::of(attribute)) {
                        (XMIN, _) => TupleField::Xmin,
                        (XMAX, _) => TupleField::Xmax,
                        (CMIN | CMAX, _) => TupleField::Command,
                        (0, _) => return Err(Error::not_supported("a whole row of a table")),
                        (_, Some((StoredForm::Bytes, at))) => TupleField::Stored(at as usize - 1),
                        (_, Some((StoredForm::Compressed, at))) => TupleField::Compressed(at as usize - 1),
                        (other, None) => {
                            return Err(Error::internal(format!("attribute {other} does not exist")));
                        }
                    };
                    fields.push((field, column));
                    types.push(field.physical());
                }
            }
        }
        Ok(Self { attributes, columns, types, fields })
    }

    /// Fetches rows with these columns.
    pub fn fetch(&self, heap: &Heap<'_>) -> TupleFetch {
        TupleFetch::new(heap, &self.columns).with_fields(&self.fields)
    }

    /// Fills the system columns of a batch whose rows are at `tids`.
    pub fn fill_system(&self, relation: Oid, tids: &[ItemPointer], batch: &mut Batch) {
        for (at, attribute) in self.attributes.iter().enumerate().skip(self.columns.len()) {
            let column = &mut batch.columns[at];
            match *attribute {
                CTID => {
                    column.reset(PhysicalType::Tid, 0);
                    tids.iter().for_each(|tid| column.push_element(*tid));
                }
                TABLE_OID => column.set_constant(PhysicalType::Int32, Value::oid(relation).as_ref()),
                // The others came with the row.
                _ => {}
            }
        }
    }
}

/// Rows wanted at first when nobody limits a scan; each batch asks for eight times more.
const FIRST_BATCH: usize = 1;

/// A scan's own growth of its batches.
pub struct Growth(usize);

impl Default for Growth {
    fn default() -> Self {
        Self(FIRST_BATCH)
    }
}

impl Growth {
    pub fn next(&mut self, demand: usize) -> usize {
        let wanted = demand.min(self.0).max(1);
        self.0 = (self.0 * 8).min(BATCH_ROWS);
        wanted
    }
}

pub struct SeqScan {
    pub relation: Arc<Relation>,
    pub fetched: Fetched,
    /// Columns of the batch that the filter does not look at: taken from the rows that pass it.
    pub late: Vec<usize>,
    pub output: Output,
    pub scan: Option<Scan>,
    pub growth: Growth,
    pub batch: Batch,
}

impl Operator for SeqScan {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        let heap = Heap::new(&self.relation, context.transaction);
        if self.scan.is_none() {
            let options = ScanOptions {
                columns: self.fetched.columns.clone(),
                fields: self.fetched.fields.clone(),
                late: self.late.clone(),
                ..ScanOptions::default()
            };
            self.scan = Some(Scan::new(&heap, &options)?);
            self.batch = Batch::new(self.fetched.types.iter().copied());
        }
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let visibility = Visibility::Mvcc(context.snapshot);
        loop {
            // A filter may reject most rows: looking at many is no more than what was asked for.
            let wanted = self.growth.next(if self.output.has_conditions() { BATCH_ROWS } else { demand });
            let limit = if demand < BATCH_ROWS { wanted.min(demand) } else { wanted };
            if self.batch.columns.len() != self.fetched.types.len() {
                self.batch = Batch::new(self.fetched.types.iter().copied());
            }
            for (column, physical) in self.batch.columns.iter_mut().zip(&self.fetched.types) {
                column.reset(*physical, 0);
            }
            if scan.next(&heap, &visibility, &mut self.batch, limit)? == 0 {
                return Ok(());
            }
            self.fetched.fill_system(self.relation.oid, scan.tids(), &mut self.batch);
            if self.output.filter(context, &mut self.batch)? {
                scan.complete(&heap, &mut self.batch)?;
                return self.output.project(context, &mut self.batch, out);
            }
        }
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.scan = None;
        self.growth = Growth::default();
        Ok(())
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}

/// `ctid = value` and `ctid = ANY (values)`.
pub struct TidScan {
    pub relation: Arc<Relation>,
    pub fetched: Fetched,
    pub tids: Vec<Program>,
    pub output: Output,
    pub fetch: Option<TupleFetch>,
    pub wanted: Option<Vec<ItemPointer>>,
    pub next: usize,
    pub batch: Batch,
}

impl TidScan {
    fn wanted(&mut self, context: &mut Context<'_>) -> Result<()> {
        let mut wanted = Vec::new();
        for program in &mut self.tids {
            match program.evaluate_one(context)?.as_ref() {
                ValueRef::Tid(tid) => wanted.push(tid),
                ValueRef::Bytes(array) => {
                    let values = kokkiri_types::array::values(array)?;
                    wanted.extend(values.iter().filter_map(|value| match value {
                        Value::Tid(tid) => Some(*tid),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        wanted.sort_by_key(|tid| tid.to_u64());
        wanted.dedup();
        self.wanted = Some(wanted);
        self.next = 0;
        Ok(())
    }
}

impl Operator for TidScan {
    fn next(&mut self, context: &mut Context<'_>, _demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        if self.wanted.is_none() {
            self.wanted(context)?;
        }
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        let visibility = Visibility::Mvcc(context.snapshot);
        while let Some(tid) = self.wanted.as_ref().and_then(|wanted| wanted.get(self.next)).copied() {
            self.next += 1;
            prepare(&mut self.batch, &self.fetched.types);
            let fetch = self.fetch.get_or_insert_with(|| self.fetched.fetch(&heap));
            if !fetch.fetch_version(&heap, &visibility, tid, 0, &mut self.batch.columns)? {
                continue;
            }
            self.fetched.fill_system(relation.oid, &[tid], &mut self.batch);
            self.batch.seal(1);
            if self.output.emit(context, &mut self.batch, out)? {
                return Ok(());
            }
        }
        if let Some(fetch) = &mut self.fetch {
            fetch.release();
        }
        Ok(())
    }

    fn rescan(&mut self, _context: &mut Context<'_>, _changed: &[u32]) -> Result<()> {
        self.wanted = None;
        self.next = 0;
        Ok(())
    }

    fn details(&self) -> Details {
        self.output.details()
    }
}
