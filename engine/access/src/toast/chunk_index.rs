//! The index of a TOAST relation: `(chunk_id, chunk_seq)`.

use std::sync::Arc;

use kokkiri_primitives::{Error, ItemPointer, Oid, Result};
use kokkiri_types::{Value, ValueRef};

use crate::btree::{
    Condition, Direction, InsertOptions, InsertOutcome, Scan, ScanKey, ScanOptions, Strategy, Tree,
    UniqueCheck,
};
use crate::heap::Heap;
use crate::relation::IndexDescriptor;

/// Enters a chunk.
pub fn insert(
    table: &Heap<'_>,
    index: &IndexDescriptor,
    value_id: Oid,
    sequence: usize,
    tid: ItemPointer,
) -> Result<()> {
    let tree = Tree::new(table.cluster(), index, table.transaction.current_xid_if_assigned());
    let key = [ValueRef::Int32(value_id.0 as i32), ValueRef::Int32(sequence as i32)];
    let check = if index.unique { UniqueCheck::Yes } else { UniqueCheck::No };
    match crate::btree::insert(&tree, table, &key, tid, InsertOptions { check, unchanged: false })? {
        InsertOutcome::Inserted | InsertOutcome::InsertedPerhapsDuplicate => Ok(()),
        InsertOutcome::Conflict(_) => {
            Err(Error::internal(format!("chunk {sequence} of toast value {value_id} is already there")))
        }
    }
}

/// Places of a value's chunks, in order of their sequence numbers. Dead ones may be among them.
pub fn chunks(table: &Heap<'_>, index: &Arc<IndexDescriptor>, value_id: Oid) -> Result<Vec<ItemPointer>> {
    let key = ScanKey {
        column: 0,
        condition: Condition::Compare {
            strategy: Strategy::Equal,
            value: Value::Int32(value_id.0 as i32),
            cross_type: None,
        },
    };
    let options = ScanOptions { mvcc: false, with_tuples: false, skip_killed: true };
    let mut scan = Scan::new(Arc::clone(table.cluster()), Arc::clone(index), vec![key], options);
    let mut tids = Vec::new();
    scan.next_batch(Direction::Forward, usize::MAX, &mut tids)?;
    Ok(tids)
}
