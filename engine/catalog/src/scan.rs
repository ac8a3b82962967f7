//! Reading catalog rows: an index scan with a fresh snapshot, decoded into values.
//!
//! Realises: genam.c's `systable_beginscan` and its kin. A catalog is always read with a snapshot of its
//! own, newer than the statement's: a name means what it means now.

use std::sync::Arc;

use kokkiri_access::btree::{self, Condition, Direction, ScanKey, Strategy};
use kokkiri_access::heap::{FetchedRow, Heap, Scan, ScanOptions, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_primitives::{Error, ItemPointer, Oid, Result};
use kokkiri_transaction::Visibility;
use kokkiri_types::{Batch, Column, Value, ValueRef};

use crate::view::CatalogView;

/// A row of a catalog with its place.
pub type FoundRow = (ItemPointer, Vec<Value>);

impl CatalogView<'_> {
    /// The rows of `catalog` in which the leading columns of `index` equal `key`, in index order.
    /// `columns` are the attribute numbers of these columns.
    pub fn scan(
        &self,
        catalog: Oid,
        index: Oid,
        columns: &[i16],
        key: &[ValueRef<'_>],
    ) -> Result<Vec<FoundRow>> {
        debug_assert_eq!(columns.len(), key.len());
        let relation = self.catalog_relation(catalog)?;
        match relation.indexes.iter().find(|descriptor| descriptor.oid == index) {
            Some(descriptor) => self.index_scan(&relation, descriptor, key),
            None => Err(Error::internal(format!("catalog {catalog} has no index {index}"))),
        }
    }

    fn index_scan(
        &self,
        relation: &Relation,
        index: &Arc<IndexDescriptor>,
        key: &[ValueRef<'_>],
    ) -> Result<Vec<FoundRow>> {
        let heap = Heap::new(relation, self.transaction);
        let snapshot = self.transaction.latest_snapshot();
        let visibility = Visibility::Mvcc(&snapshot);
        let equal = |(column, value): (usize, &ValueRef<'_>)| ScanKey {
            column,
            condition: Condition::Compare {
                strategy: Strategy::Equal,
                value: value.to_value(),
                cross_type: None,
            },
        };
        let keys = key.iter().enumerate().map(equal).collect();
        let options = btree::ScanOptions { mvcc: true, with_tuples: false, skip_killed: true };
        let mut scan = btree::Scan::new(Arc::clone(self.cluster()), Arc::clone(index), keys, options);
        let all: Vec<usize> = (0..relation.tuple_desc.len()).collect();
        let mut fetch = TupleFetch::new(&heap, &all);
        let mut columns: Vec<Column> = fetch.physical_types().into_iter().map(Column::new).collect();
        let mut found = Vec::new();
        while let Some(tid) = scan.next(Direction::Forward)? {
            columns.iter_mut().for_each(Column::clear);
            match fetch.fetch_chain(&heap, &visibility, tid, 0, &mut columns)? {
                FetchedRow::Visible(place) => found.push((place, row_of(&columns, 0))),
                FetchedRow::Nothing { all_dead: true } => scan.kill_current(),
                FetchedRow::Nothing { all_dead: false } => {}
            }
        }
        Ok(found)
    }

    /// All rows of a catalog, in physical order.
    pub fn scan_all(&self, catalog: Oid) -> Result<Vec<FoundRow>> {
        let relation = self.catalog_relation(catalog)?;
        let heap = Heap::new(&relation, self.transaction);
        let snapshot = self.transaction.latest_snapshot();
        let visibility = Visibility::Mvcc(&snapshot);
        let options =
            ScanOptions { columns: (0..relation.tuple_desc.len()).collect(), ..ScanOptions::default() };
        let mut scan = Scan::new(&heap, &options)?;
        let mut batch = Batch::new(scan.physical_types());
        let mut found = Vec::new();
        loop {
            let rows = scan.next(&heap, &visibility, &mut batch, kokkiri_types::BATCH_ROWS)?;
            if rows == 0 {
                return Ok(found);
            }
            found.extend((0..rows).map(|row| (scan.tids()[row], row_of(&batch.columns, row))));
        }
    }
}

fn row_of(columns: &[Column], row: usize) -> Vec<Value> {
    columns.iter().map(|column| column.get(row).to_value()).collect()
}
