//! Reading and writing rows through the access methods, as an executor does.

use std::sync::Arc;

use kokkiri_access::btree::{
    self, Condition, Direction, InsertOutcome, Scan as IndexScan, ScanKey, ScanOptions as IndexScanOptions,
    Strategy, Tree, UniqueCheck,
};
use kokkiri_access::heap::{FetchedRow, Heap, Scan, ScanOptions, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, IndexKey};
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::ItemPointer;
use kokkiri_transaction::Visibility;
use kokkiri_types::{Batch, Column, Value};

use crate::schema::{COUNT, ID, KIND, NOTE, Row, TAG};

/// A visible row and where its visible version is.
pub type Found = (i32, Row, ItemPointer);

const COLUMNS: [usize; 5] = [ID, KIND, COUNT, TAG, NOTE];

fn row_at(columns: &[Column], at: usize) -> (i32, Row) {
    let bytes = |column: usize| Arc::from(columns[column].get(at).bytes());
    let row = Row {
        kind: columns[KIND].get(at).int32(),
        count: columns[COUNT].get(at).int64(),
        tag: bytes(TAG),
        note: (!columns[NOTE].is_null(at)).then(|| bytes(NOTE)),
    };
    (columns[ID].get(at).int32(), row)
}

/// All visible rows, in the order of their places.
pub fn scan(heap: &Heap<'_>) -> Result<Vec<Found>> {
    let snapshot = heap.transaction.snapshot();
    let options = ScanOptions { columns: COLUMNS.to_vec(), ..ScanOptions::default() };
    let mut scan = Scan::new(heap, &options)?;
    let mut batch = Batch::new(scan.physical_types());
    let mut found = Vec::new();
    loop {
        let count = scan.next(heap, &Visibility::Mvcc(&snapshot), &mut batch, 500)?;
        if count == 0 {
            return Ok(found);
        }
        for at in 0..count {
            let (id, row) = row_at(&batch.columns, at);
            found.push((id, row, scan.tids()[at]));
        }
    }
}

/// The rows that entries of an index lead to, in the order of the entries.
pub fn index_scan(
    heap: &Heap<'_>,
    index: &Arc<IndexDescriptor>,
    keys: Vec<ScanKey>,
    direction: Direction,
) -> Result<Vec<Found>> {
    let snapshot = heap.transaction.snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    let options = IndexScanOptions { mvcc: true, with_tuples: false, skip_killed: true };
    let mut scan = IndexScan::new(Arc::clone(heap.cluster()), Arc::clone(index), keys, options);
    let mut fetch = TupleFetch::new(heap, &COLUMNS);
    let mut batch = Batch::new(fetch.physical_types());
    let mut found = Vec::new();
    while let Some(tid) = scan.next(direction)? {
        batch.clear();
        match fetch.fetch_chain(heap, &visibility, tid, 0, &mut batch.columns)? {
            FetchedRow::Visible(tid) => {
                let (id, row) = row_at(&batch.columns, 0);
                found.push((id, row, tid));
            }
            FetchedRow::Nothing { all_dead: true } => scan.kill_current(),
            FetchedRow::Nothing { all_dead: false } => {}
        }
    }
    Ok(found)
}

/// The visible row with an id, through the unique index.
pub fn find(heap: &Heap<'_>, id: i32) -> Result<Option<Found>> {
    let value = Value::Int32(id);
    let condition = Condition::Compare { strategy: Strategy::Equal, value, cross_type: None };
    let keys = vec![ScanKey { column: 0, condition }];
    let found = index_scan(heap, &heap.relation.indexes[0], keys, Direction::Forward)?;
    assert!(found.len() <= 1, "row {id} is visible {} times", found.len());
    Ok(found.into_iter().next())
}

/// Makes the index entries of a new version. False if the id is taken.
pub fn insert_entries(
    heap: &Heap<'_>,
    id: i32,
    row: &Row,
    old: Option<&Row>,
    tid: ItemPointer,
) -> Result<bool> {
    let values = row.values(id);
    for index in &heap.relation.indexes {
        let IndexKey::Attribute(column) = index.columns[0].key else { continue };
        let column = usize::from(column);
        let unchanged = old.is_some_and(|old| match column {
            KIND => old.kind == row.kind,
            TAG => old.tag == row.tag,
            _ => true,
        });
        let check = if index.unique { UniqueCheck::Yes } else { UniqueCheck::No };
        let tree = Tree::new(heap.cluster(), index, heap.transaction.current_xid_if_assigned());
        let options = btree::InsertOptions { check, unchanged };
        match btree::insert(&tree, heap, &values[column..=column], tid, options)? {
            InsertOutcome::Inserted => {}
            InsertOutcome::Conflict(_) => return Ok(false),
            InsertOutcome::InsertedPerhapsDuplicate => unreachable!("uniqueness is checked at once"),
        }
    }
    Ok(true)
}
