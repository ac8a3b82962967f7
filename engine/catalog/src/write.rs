//! Changing catalogs: the only way in which their rows come, change and go.
//!
//! Realises: indexing.c (`CatalogTupleInsert`, `CatalogTupleUpdate`, `CatalogTupleDelete`) with inval.c's
//! `CacheInvalidateHeapTuple`. A changed row enters the catalog's indexes and makes cached answers stale:
//! those of every lookup of its catalog under the row's old and new keys, and everything known of the
//! relation it belongs to.

use kokkiri_access::btree::{self, Conflict, InsertOutcome, Tree, UniqueCheck};
use kokkiri_access::heap::{Heap, InsertOptions, NewValue, Unchanged};
use kokkiri_access::relation::{IndexKey, Relation};
use kokkiri_primitives::{Error, ItemPointer, Oid, Result, SqlState};
use kokkiri_transaction::{Invalidation, WaitPolicy};
use kokkiri_types::{Value, ValueRef};

use crate::cache::Stale;
use crate::lookup::Lookup;
use crate::row::CatalogRow;
use crate::shapes;
use crate::view::{CatalogView, refs};

/// Catalogs whose rows are parts of relations, with the columns that name these.
const PARTS_OF_RELATIONS: &[(Oid, &[i16])] = &[
    (Oid(1259), &[1]),
    (Oid(1249), &[1]),
    (Oid(2604), &[2]),
    (Oid(2606), &[9, 13]),
    (Oid(2610), &[1, 2]),
    (Oid(2618), &[3]),
    (Oid(2620), &[2]),
    (Oid(2611), &[1, 2]),
];

impl CatalogView<'_> {
    /// Inserts a row; its oid, if the catalog has one, was chosen by the caller.
    pub fn insert_row<R: CatalogRow>(&self, row: R) -> Result<ItemPointer> {
        self.insert_values(R::CATALOG, &row.into_values())
    }

    /// Inserts a row given as values.
    pub fn insert_values(&self, catalog: Oid, values: &[Value]) -> Result<ItemPointer> {
        let relation = self.catalog_relation(catalog)?;
        let heap = Heap::new(&relation, self.transaction);
        let row = refs(values);
        let tid = heap.insert(&row, InsertOptions::default())?;
        self.insert_index_entries(&heap, &row, tid, false)?;
        self.note_change(catalog, values);
        Ok(tid)
    }

    /// Inserts several rows of one catalog, logged a page at a time: `CatalogTuplesMultiInsertWithInfo`.
    pub fn insert_rows<R: CatalogRow>(&self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        let rows: Vec<Vec<Value>> = rows.into_iter().map(CatalogRow::into_values).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let relation = self.catalog_relation(R::CATALOG)?;
        let heap = Heap::new(&relation, self.transaction);
        let borrowed: Vec<Vec<ValueRef<'_>>> = rows.iter().map(|row| refs(row)).collect();
        let slices: Vec<&[ValueRef<'_>]> = borrowed.iter().map(Vec::as_slice).collect();
        let tids = heap.multi_insert(&slices, InsertOptions::default(), None)?;
        for (row, tid) in borrowed.iter().zip(tids) {
            self.insert_index_entries(&heap, row, tid, false)?;
        }
        for row in &rows {
            self.note_change(R::CATALOG, row);
        }
        Ok(())
    }

    /// Replaces the row at `tid`, whose values are `old`.
    pub fn update_row<R: CatalogRow>(&self, tid: ItemPointer, old: &[Value], new: R) -> Result<()> {
        self.update_values(R::CATALOG, tid, old, &new.into_values())
    }

    pub fn update_values(&self, catalog: Oid, tid: ItemPointer, old: &[Value], new: &[Value]) -> Result<()> {
        let relation = self.catalog_relation(catalog)?;
        let heap = Heap::new(&relation, self.transaction);
        let changes: Vec<NewValue<'_>> = old
            .iter()
            .zip(new)
            .map(|(old, new)| if old == new { NewValue::Unchanged } else { NewValue::Set(new.as_ref()) })
            .collect();
        match heap.update(tid, &changes)? {
            Ok(update) if update.is_hot => {}
            Ok(update) => self.insert_index_entries(&heap, &refs(new), update.tid, true)?,
            Err(unchanged) => return Err(concurrently(unchanged)),
        }
        self.note_change(catalog, old);
        self.note_change(catalog, new);
        Ok(())
    }

    /// Overwrites the row at `tid` where it stands: the change holds whatever becomes of the transaction,
    /// and everybody sees it at once. The commit tells of it once more, as PostgreSQL's does. False if somebody was changing the row, who has been waited for: read
    /// it again. Only values that keep the row's length may differ.
    pub fn overwrite_row<R: CatalogRow>(&self, tid: ItemPointer, new: R) -> Result<bool> {
        let relation = self.catalog_relation(R::CATALOG)?;
        let values = new.into_values();
        let messages: Vec<Invalidation> = changes(R::CATALOG, &values)
            .map(|(shared, stale)| stale.to_message(if shared { Oid::INVALID } else { self.database_oid() }))
            .collect();
        let done = Heap::new(&relation, self.transaction).update_in_place(tid, &refs(&values), &messages)?;
        if done {
            self.note_change(R::CATALOG, &values);
        }
        self.session.command_ended();
        Ok(done)
    }

    /// Deletes the row at `tid`, whose values are `old`.
    pub fn delete_row(&self, catalog: Oid, tid: ItemPointer, old: &[Value]) -> Result<()> {
        let relation = self.catalog_relation(catalog)?;
        match Heap::new(&relation, self.transaction).delete(tid, false)? {
            Ok(()) => {
                self.note_change(catalog, old);
                Ok(())
            }
            Err(unchanged) => Err(concurrently(unchanged)),
        }
    }

    /// Finds the rows of a lookup as structs with their places and values, to change them.
    pub fn rows_to_change<R: CatalogRow>(
        &self,
        lookup: Lookup,
        key: &[ValueRef<'_>],
    ) -> Result<Vec<RowToChange<R>>> {
        let found = self.scan(lookup.catalog(), lookup.index(), lookup.columns(), key)?;
        found
            .into_iter()
            .map(|(tid, values)| Ok(RowToChange { tid, row: R::from_values(&values)?, values }))
            .collect()
    }

    /// Everything cached of a relation is stale, though none of its rows has changed.
    pub fn invalidate_relation(&self, relation: Oid) {
        self.mark_stale(shapes::is_shared(relation), Stale::Relation(relation));
    }

    /// A new oid that no row of the catalog has.
    pub fn new_oid(&self, lookup: Lookup) -> Result<Oid> {
        loop {
            let oid = self.cluster().transactions.new_oid();
            let key = [crate::view::oid_ref(oid)];
            if self.scan(lookup.catalog(), lookup.index(), lookup.columns(), &key)?.is_empty() {
                return Ok(oid);
            }
        }
    }

    fn insert_index_entries(
        &self,
        heap: &Heap<'_>,
        row: &[ValueRef<'_>],
        tid: ItemPointer,
        is_update: bool,
    ) -> Result<()> {
        let xid = Some(self.transaction.current_xid()?);
        for index in &heap.relation.indexes {
            let values: Vec<ValueRef<'_>> = index
                .columns
                .iter()
                .map(|column| match column.key {
                    IndexKey::Attribute(number) => Ok(row[usize::from(number)]),
                    IndexKey::Expression(_) => {
                        Err(Error::internal("catalogs have no indexes on expressions"))
                    }
                })
                .collect::<Result<_>>()?;
            let options = btree::InsertOptions {
                check: if index.unique { UniqueCheck::Yes } else { UniqueCheck::No },
                unchanged: is_update && !index.unique,
            };
            let tree = Tree::new(self.cluster(), index, xid);
            loop {
                match btree::insert(&tree, heap, &values, tid, options)? {
                    InsertOutcome::Inserted | InsertOutcome::InsertedPerhapsDuplicate => break,
                    InsertOutcome::Conflict(Conflict::InProgress { xid, .. }) => {
                        self.transaction.wait_for_transaction(xid, WaitPolicy::Block)?;
                    }
                    InsertOutcome::Conflict(Conflict::Duplicate { .. }) => {
                        return Err(duplicate(heap.relation, &index.name));
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks what a row's coming or going makes stale.
    fn note_change(&self, catalog: Oid, values: &[Value]) {
        for (shared, stale) in changes(catalog, values) {
            self.mark_stale(shared, stale);
        }
    }
}

/// What a row's coming or going makes stale, and whether that is shared by all databases.
fn changes(catalog: Oid, values: &[Value]) -> impl Iterator<Item = (bool, Stale)> + '_ {
    let shared = shapes::is_shared(catalog);
    let lookups = Lookup::ALL.iter().filter(move |lookup| lookup.catalog() == catalog);
    let rows = lookups.map(move |lookup| (shared, Stale::Rows(*lookup, lookup.key_of(values).hash())));
    let columns = PARTS_OF_RELATIONS.iter().filter(move |(part, _)| *part == catalog);
    let relations = columns.flat_map(|(_, columns)| columns.iter()).filter_map(move |column| {
        match values[*column as usize - 1] {
            Value::Int32(oid) if oid != 0 => {
                let relation = Oid(oid as u32);
                Some((shared || shapes::is_shared(relation), Stale::Relation(relation)))
            }
            _ => None,
        }
    });
    rows.chain(relations)
}

/// A row that is to be changed, with its place and its values as they are.
pub struct RowToChange<R> {
    pub tid: ItemPointer,
    pub row: R,
    pub values: Vec<Value>,
}

impl<R: CatalogRow> RowToChange<R> {
    /// Writes the struct back.
    pub fn update(self, view: &CatalogView<'_>) -> Result<()> {
        view.update_row(self.tid, &self.values, self.row)
    }

    pub fn delete(self, view: &CatalogView<'_>) -> Result<()> {
        view.delete_row(R::CATALOG, self.tid, &self.values)
    }
}

fn concurrently(unchanged: Unchanged) -> Error {
    match unchanged {
        Unchanged::Deleted { .. } => Error::internal("tuple concurrently deleted"),
        Unchanged::SelfModified { .. } => Error::internal("tuple already updated by self"),
        Unchanged::Updated { .. } | Unchanged::WouldBlock | Unchanged::Invisible => {
            Error::internal("tuple concurrently updated")
        }
    }
}

fn duplicate(relation: &Relation, index: &str) -> Error {
    Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{index}\""),
    )
    .table(relation.namespace_name.clone(), relation.name.clone())
    .constraint(index)
}
