//! Rows of the other table that have a key, as a foreign key looks for them.
//!
//! Realises: `ri_PerformCheck` with its choice of snapshots. A transaction that keeps its snapshot may refer
//! only to rows that the snapshot shows. But it must not leave references behind that came later: those are
//! looked for among the rows there are now, and where they would have to change with the key although the
//! snapshot doesn't show them, the transaction can't be serialized.

use std::sync::Arc;

use kokkiri_access::btree::{self, Condition, Direction, ScanKey, Strategy};
use kokkiri_access::heap::{FetchedRow, Heap, RowLock, RowLockMode, Scan, ScanOptions, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, IndexKey};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, ItemPointer, Result, SqlState};
use kokkiri_transaction::{Visibility, WaitPolicy};
use kokkiri_types::compare::{Comparator, comparator};
use kokkiri_types::{BATCH_ROWS, Batch, Value};

use super::ForeignKeyCheck;
use crate::context::Context;
use crate::cross_type::cross_type;
use crate::node::modify_table::lock_latest;

const KEY_SHARE: RowLock =
    RowLock { mode: RowLockMode::KeyShare, policy: WaitPolicy::Block, follow_updates: true };

/// Judges a row that has the key; true ends the search.
type Judge<'j> = &'j mut dyn FnMut(&Heap<'_>, ItemPointer) -> Result<bool>;

impl ForeignKeyCheck {
    /// Whether the other table, the referenced one, has the key of `row`. The row there is locked against
    /// vanishing.
    pub(super) fn lock_referenced(&self, context: &Context<'_>, row: &[Value]) -> Result<bool> {
        if !keeps_snapshot(context) {
            return self.lock_reference(context, row);
        }
        let snapshot = context.transaction.snapshot();
        self.search(context, &Visibility::Mvcc(&snapshot), row, &mut |heap, at| {
            self.lock(context, heap, at, row)
        })
    }

    /// Whether the other table, the one that refers, has a reference to the key of `row`, which stays there:
    /// the row is locked.
    pub(super) fn lock_reference(&self, context: &Context<'_>, row: &[Value]) -> Result<bool> {
        self.search(context, &Visibility::SelfCurrent, row, &mut |heap, at| self.lock(context, heap, at, row))
    }

    /// Whether the other table has references to the key of `row`, which are about to change with it.
    ///
    /// # Errors
    /// 40001 if the transaction keeps its snapshot and that doesn't show one of them.
    pub(super) fn is_referred_to(&self, context: &Context<'_>, row: &[Value]) -> Result<bool> {
        if !keeps_snapshot(context) {
            return self.search(context, &Visibility::SelfCurrent, row, &mut |_, _| Ok(true));
        }
        let snapshot = context.transaction.snapshot();
        let mut found = false;
        self.search(context, &Visibility::SelfCurrent, row, &mut |heap, at| {
            found = true;
            let mut fetch = TupleFetch::new(heap, &[]);
            match fetch.fetch_version(heap, &Visibility::Mvcc(&snapshot), at, 0, &mut [])? {
                true => Ok(false),
                false => Err(concurrent_update()),
            }
        })?;
        Ok(found)
    }

    /// Looks through the rows that have the key of `row` until `judge` says that it is enough.
    fn search(
        &self,
        context: &Context<'_>,
        visibility: &Visibility<'_>,
        row: &[Value],
        judge: Judge<'_>,
    ) -> Result<bool> {
        match &self.index {
            Some(index) => self.search_index(context, index, visibility, row, judge),
            None => self.search_table(context, visibility, row, judge),
        }
    }

    fn search_index(
        &self,
        context: &Context<'_>,
        index: &Arc<IndexDescriptor>,
        visibility: &Visibility<'_>,
        row: &[Value],
        judge: Judge<'_>,
    ) -> Result<bool> {
        let heap = Heap::new(&self.other, context.transaction);
        let mut keys = Vec::new();
        for ((own, other), own_type) in self.own.iter().zip(&self.others).zip(&self.other_side_types) {
            let attribute = &self.other.tuple_desc[*other];
            let key = IndexKey::Attribute(*other as u16);
            let Some(column) = index.key_columns().iter().position(|column| column.key == key) else {
                continue;
            };
            let condition = Condition::Compare {
                strategy: Strategy::Equal,
                value: row[*own].clone(),
                cross_type: cross_type(attribute.type_oid, *own_type)?,
            };
            keys.push(ScanKey { column, condition });
        }
        let cluster = context.transaction.cluster();
        let options = btree::ScanOptions { mvcc: false, with_tuples: false, skip_killed: true };
        let mut scan = btree::Scan::new(Arc::clone(cluster), Arc::clone(index), keys, options);
        let mut fetch = TupleFetch::new(&heap, &[]);
        while let Some(tid) = scan.next(Direction::Forward)? {
            check_for_interrupts()?;
            let found = fetch.fetch_chain(&heap, visibility, tid, 0, &mut [])?;
            let FetchedRow::Visible(at) = found else { continue };
            fetch.release();
            if judge(&heap, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn search_table(
        &self,
        context: &Context<'_>,
        visibility: &Visibility<'_>,
        row: &[Value],
        judge: Judge<'_>,
    ) -> Result<bool> {
        let heap = Heap::new(&self.other, context.transaction);
        let compare = self.comparators()?;
        let options = ScanOptions { columns: self.others.clone(), ..ScanOptions::default() };
        let mut scan = Scan::new(&heap, &options)?;
        let mut batch = self.batch();
        while scan.next(&heap, visibility, &mut batch, BATCH_ROWS)? > 0 {
            check_for_interrupts()?;
            for at in batch.selection.iter() {
                if self.has_key(&batch, at, &compare, row) && judge(&heap, scan.tids()[at])? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Locks a row that has the key; false if it hasn't any more.
    ///
    /// # Errors
    /// 40001 if the row has changed and the transaction keeps its snapshot.
    fn lock(&self, context: &Context<'_>, heap: &Heap<'_>, at: ItemPointer, row: &[Value]) -> Result<bool> {
        let unchanged = match heap.lock_row(at, KEY_SHARE)? {
            Ok(()) => return Ok(true),
            Err(_) if keeps_snapshot(context) => return Err(concurrent_update()),
            Err(unchanged) => unchanged,
        };
        // It changed while we waited: its newest version counts.
        let RowLock { mode, policy, .. } = KEY_SHARE;
        let Some(newest) = lock_latest(context, heap, unchanged, mode, policy)? else { return Ok(false) };
        let mut fetch = TupleFetch::new(heap, &self.others);
        let mut batch = self.batch();
        let visible = fetch.fetch_version(heap, &Visibility::SelfCurrent, newest, 0, &mut batch.columns)?;
        Ok(visible && self.has_key(&batch, 0, &self.comparators()?, row))
    }

    /// For the key's columns in the other table.
    fn batch(&self) -> Batch {
        Batch::new(self.others.iter().map(|at| self.other.tuple_desc[*at].physical))
    }

    fn comparators(&self) -> Result<Vec<Comparator>> {
        let types = self.others.iter().zip(&self.other_side_types);
        types
            .map(|(at, own_type)| {
                let attribute = &self.other.tuple_desc[*at];
                match cross_type(attribute.type_oid, *own_type)? {
                    Some(cross) => Ok(cross.column),
                    None => comparator(attribute.type_oid, attribute.collation),
                }
            })
            .collect()
    }

    /// Whether a row of a batch of the key's columns has the key of `row`.
    fn has_key(&self, batch: &Batch, at: usize, compare: &[Comparator], row: &[Value]) -> bool {
        batch.columns.iter().zip(compare).zip(&self.own).all(|((column, compare), own)| {
            let value = column.get(at);
            !value.is_null() && compare(value, row[*own].as_ref()).is_eq()
        })
    }
}

fn keeps_snapshot(context: &Context<'_>) -> bool {
    context.transaction.isolation().uses_transaction_snapshot()
}

fn concurrent_update() -> Error {
    Error::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
}
