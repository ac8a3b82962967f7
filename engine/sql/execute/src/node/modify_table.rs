//! INSERT, UPDATE and DELETE.
//!
//! Realises: `nodeModifyTable.c`, `execIndexing.c` and the concurrency half of `execMain.c`. Rows come
//! from the plan below; each is checked, written to the heap and entered into the indexes. A row that
//! somebody else changed meanwhile is an error at repeatable read; at read committed the newest version
//! is locked and the plan evaluated again for it alone (EvalPlanQual), through a second tree of operators
//! in which the target table has just that row.

use std::sync::Arc;

use kokkiri_access::btree::{self, Conflict, InsertOutcome, Tree, UniqueCheck};
use kokkiri_access::heap::{Heap, InsertOptions, NewValue, RowLock, RowLockMode, TupleFetch, Unchanged};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_access::tuple::form::FormValue;
use kokkiri_analyze::tree::CommandType;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, ItemPointer, Result, SqlState};
use kokkiri_transaction::{Visibility, WaitPolicy};
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Value, ValueRef};

use super::target::{WrittenRow, enter_row};
use super::{Node, Operator, RECHECK_PARAMETER};
use crate::constraint::{Checks, describe_key};
use crate::context::Context;
use crate::expression::{Filter, Program, Projection};
use crate::foreign_key::ForeignKeys;
use crate::row_store::{RowStore, prepare};

/// An index to keep up to date, with what it computes of a row.
pub struct TargetIndex {
    pub index: Arc<IndexDescriptor>,
    /// Programs of expression columns, in order; over the table's columns.
    pub expressions: Vec<Program>,
    pub predicate: Filter,
}

pub struct ModifyTable {
    pub operation: CommandType,
    pub relation: Arc<Relation>,
    pub relid: u32,
    /// The other tables of the plan, with the columns of the input (from zero) that say which row of theirs
    /// goes with the target's.
    pub partners: Vec<(u32, usize)>,
    pub input: Node,
    /// Evaluates the plan for one row of the target table.
    pub recheck: Option<Node>,
    pub new_columns: Vec<Option<usize>>,
    /// Columns of the table that the input also has compressed, each with the input's column; both from
    /// zero and one as in the plan.
    pub compressed_columns: Vec<(usize, usize)>,
    pub ctid_column: Option<usize>,
    pub indexes: Vec<TargetIndex>,
    pub checks: Checks,
    pub foreign_keys: ForeignKeys,
    /// Over the input's columns, then the table's.
    pub returning: Option<Projection>,
    pub input_types: Vec<PhysicalType>,
    pub table_types: Vec<PhysicalType>,
    pub batch: Batch,
    pub position: usize,
    pub returned: RowStore,
    pub returned_position: usize,
    pub done: bool,
    /// The current row, all columns of the table.
    pub row: Vec<Value>,
    /// Its values that came compressed, by column; empty if none can.
    pub compressed: Vec<Value>,
    pub scratch: Batch,
}

/// What a row turned out to be after a wait.
enum Latest {
    /// Evaluate the plan for this version.
    Row(ItemPointer),
    Gone,
}

impl ModifyTable {
    /// The new values of the table's columns from a row of the input; nulls where nothing is said. Besides,
    /// those that the input has compressed.
    fn take_row(&mut self, batch: &Batch, row: usize) {
        self.row.clear();
        for source in &self.new_columns {
            self.row.push(match source {
                Some(column) => batch.columns[*column - 1].get(row).to_value(),
                None => Value::Null,
            });
        }
        self.compressed.clear();
        self.compressed
            .resize(if self.compressed_columns.is_empty() { 0 } else { self.row.len() }, Value::Null);
        for (at, column) in &self.compressed_columns {
            self.compressed[*at] = batch.columns[*column - 1].get(row).to_value();
        }
    }

    /// The current row's value of a column as another table has it compressed.
    fn compressed(&self, at: usize) -> Option<&[u8]> {
        self.compressed.get(at).filter(|value| !value.is_null()).map(|value| value.as_ref().bytes())
    }

    fn insert_row(&mut self, context: &mut Context<'_>) -> Result<ItemPointer> {
        self.checks.check(context, &self.relation, &self.row, None)?;
        let values = self.row.iter().enumerate().map(|(at, value)| match self.compressed(at) {
            Some(stored) => FormValue::Stored(stored.into()),
            None => FormValue::Value(value.as_ref()),
        });
        let values = values.collect();
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        let tid = heap.insert_formed(values, InsertOptions::default())?;
        self.insert_index_entries(context, &heap, tid, false)?;
        self.foreign_keys.row_added(&self.row, tid);
        Ok(tid)
    }

    /// Enters the current row into the indexes.
    fn insert_index_entries(
        &mut self,
        context: &mut Context<'_>,
        heap: &Heap<'_>,
        tid: ItemPointer,
        is_update: bool,
    ) -> Result<()> {
        let written = WrittenRow { row: &self.row, types: &self.table_types, tid, is_update };
        enter_row(context, heap, &mut self.indexes, &mut self.scratch, &written)
    }

    fn update_row(
        &mut self,
        context: &mut Context<'_>,
        mut tid: ItemPointer,
        partners: &[(u32, Option<ItemPointer>)],
    ) -> Result<Option<ItemPointer>> {
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        loop {
            check_for_interrupts()?;
            let needs_old = self.checks.needs_whole_row() || self.foreign_keys.needs_old_row();
            let old = if needs_old { self.read_row(context, &heap, tid, &Visibility::Any)? } else { None };
            let set: Vec<usize> =
                (0..self.new_columns.len()).filter(|at| self.new_columns[*at].is_some()).collect();
            if let Some(old) = &old {
                for (at, value) in old.iter().enumerate() {
                    if self.new_columns[at].is_none() {
                        self.row[at] = value.clone();
                    }
                }
            }
            self.checks.check(context, &relation, &self.row, Some(&set))?;
            let values: Vec<NewValue<'_>> = self
                .row
                .iter()
                .zip(&self.new_columns)
                .enumerate()
                .map(|(at, (value, source))| match (source, self.compressed(at)) {
                    (None, _) => NewValue::Unchanged,
                    (Some(_), None) => NewValue::Set(value.as_ref()),
                    (Some(_), Some(compressed)) => NewValue::Copy { value: value.as_ref(), compressed },
                })
                .collect();
            let unchanged = match heap.update(tid, &values)? {
                Ok(updated) => {
                    if (!updated.is_hot && !self.indexes.is_empty() || self.returning.is_some())
                        && let Some(new) = self.read_row(context, &heap, updated.tid, &Visibility::Any)?
                    {
                        self.row = new;
                    }
                    if !updated.is_hot {
                        self.insert_index_entries(context, &heap, updated.tid, true)?;
                    }
                    self.foreign_keys.row_updated(old.as_deref(), &self.row, updated.tid);
                    return Ok(Some(updated.tid));
                }
                Err(unchanged) => unchanged,
            };
            match self.follow(context, &heap, unchanged, RowLockMode::NoKeyExclusive)? {
                Latest::Gone => return Ok(None),
                Latest::Row(latest) => {
                    if !self.recheck_row(context, latest, partners)? {
                        return Ok(None);
                    }
                    tid = latest;
                }
            }
        }
    }

    fn delete_row(
        &mut self,
        context: &mut Context<'_>,
        mut tid: ItemPointer,
        partners: &[(u32, Option<ItemPointer>)],
    ) -> Result<bool> {
        let relation = Arc::clone(&self.relation);
        let heap = Heap::new(&relation, context.transaction);
        loop {
            check_for_interrupts()?;
            let needs_old = self.returning.is_some() || self.foreign_keys.needs_old_row();
            let old = if needs_old { self.read_row(context, &heap, tid, &Visibility::Any)? } else { None };
            let unchanged = match heap.delete(tid, false)? {
                Ok(()) => {
                    if let Some(old) = old {
                        self.foreign_keys.row_removed(&old);
                        self.row = old;
                    }
                    return Ok(true);
                }
                Err(unchanged) => unchanged,
            };
            match self.follow(context, &heap, unchanged, RowLockMode::Exclusive)? {
                Latest::Gone => return Ok(false),
                Latest::Row(latest) => {
                    if !self.recheck_row(context, latest, partners)? {
                        return Ok(false);
                    }
                    tid = latest;
                }
            }
        }
    }

    /// Locks the newest version of a row that somebody else has changed.
    fn follow(
        &self,
        context: &Context<'_>,
        heap: &Heap<'_>,
        unchanged: Unchanged,
        mode: RowLockMode,
    ) -> Result<Latest> {
        lock_latest(context, heap, unchanged, mode, WaitPolicy::Block)
            .map(|latest| latest.map_or(Latest::Gone, Latest::Row))
    }

    /// Evaluates the plan for one version of a row; the new values are then in `self.row`.
    fn recheck_row(
        &mut self,
        context: &mut Context<'_>,
        tid: ItemPointer,
        partners: &[(u32, Option<ItemPointer>)],
    ) -> Result<bool> {
        let Some(recheck) = &mut self.recheck else {
            return Err(Error::internal("the plan of a modification can't be evaluated again"));
        };
        let mut versions: Vec<(u32, Option<ItemPointer>)> = partners.to_vec();
        versions.push((self.relid, Some(tid)));
        let mut batch = Batch::default();
        evaluate_again(recheck, context, versions, &mut batch)?;
        if batch.is_empty() {
            return Ok(false);
        }
        let row = batch.selection.nth(0);
        self.take_row(&batch, row);
        Ok(true)
    }

    /// All columns of the version at a place.
    fn read_row(
        &self,
        _context: &Context<'_>,
        heap: &Heap<'_>,
        tid: ItemPointer,
        visibility: &Visibility<'_>,
    ) -> Result<Option<Vec<Value>>> {
        let all: Vec<usize> = (0..self.table_types.len()).collect();
        let mut fetch = TupleFetch::new(heap, &all);
        let mut batch = Batch::default();
        prepare(&mut batch, &self.table_types);
        if !fetch.fetch_version(heap, visibility, tid, 0, &mut batch.columns)? {
            return Ok(None);
        }
        Ok(Some(batch.columns.iter().map(|column| column.get(0).to_value()).collect()))
    }

    /// Computes RETURNING for the current row.
    fn return_row(
        &mut self,
        context: &mut Context<'_>,
        input: &Batch,
        row: usize,
        tid: Option<ItemPointer>,
    ) -> Result<()> {
        let Some(returning) = &mut self.returning else { return Ok(()) };
        let types: Vec<PhysicalType> = self
            .input_types
            .iter()
            .chain(&self.table_types)
            .copied()
            .chain([PhysicalType::Tid, PhysicalType::Int32])
            .collect();
        let mut combined = Batch::default();
        prepare(&mut combined, &types);
        let width = self.input_types.len();
        for (column, from) in combined.columns[..width].iter_mut().zip(&input.columns) {
            column.push_from(from, row);
        }
        for (column, value) in combined.columns[width..].iter_mut().zip(&self.row) {
            column.push(value.as_ref());
        }
        let at = width + self.table_types.len();
        combined.columns[at].push(tid.map_or(ValueRef::Null, ValueRef::Tid));
        combined.columns[at + 1].push(Value::oid(self.relation.oid).as_ref());
        combined.seal(1);
        let mut out = Batch::default();
        returning.apply(context, &mut combined, &mut out)?;
        self.returned.append(&out);
        Ok(())
    }

    /// Which rows of the other tables a row of the input was joined from.
    fn partners_of(&self, batch: &Batch, row: usize) -> Vec<(u32, Option<ItemPointer>)> {
        let version = |column: usize| match batch.columns[column].get(row) {
            ValueRef::Tid(tid) => Some(tid),
            _ => None,
        };
        self.partners.iter().map(|(relid, column)| (*relid, version(*column))).collect()
    }

    fn modify_row(&mut self, context: &mut Context<'_>, batch: &Batch, row: usize) -> Result<()> {
        let ctid = |this: &Self| -> Result<ItemPointer> {
            let column = this.ctid_column.ok_or_else(|| Error::internal("ctid is missing from the plan"))?;
            match batch.columns[column - 1].get(row) {
                ValueRef::Tid(tid) => Ok(tid),
                _ => Err(Error::internal("ctid is NULL")),
            }
        };
        let written = match self.operation {
            CommandType::Insert => {
                self.take_row(batch, row);
                Some(self.insert_row(context)?)
            }
            CommandType::Update => {
                let (tid, partners) = (ctid(self)?, self.partners_of(batch, row));
                self.take_row(batch, row);
                self.update_row(context, tid, &partners)?
            }
            CommandType::Delete => {
                let (tid, partners) = (ctid(self)?, self.partners_of(batch, row));
                self.row.clear();
                self.row.resize(self.table_types.len(), Value::Null);
                self.delete_row(context, tid, &partners)?.then_some(tid)
            }
            _ => return Err(Error::internal("unexpected operation of a ModifyTable")),
        };
        if written.is_some() {
            context.state.processed += 1;
            self.return_row(context, batch, row, written)?;
        }
        Ok(())
    }
}

/// Evaluates a plan for the given versions of its tables' rows alone (`EvalPlanQual`); the row that comes of
/// it, if one does, is in `out`.
pub fn evaluate_again(
    recheck: &mut Node,
    context: &mut Context<'_>,
    versions: Vec<(u32, Option<ItemPointer>)>,
    out: &mut Batch,
) -> Result<()> {
    context.state.recheck = versions;
    let result = recheck.rescan(context, &[RECHECK_PARAMETER]).and_then(|()| recheck.next(context, 1, out));
    context.state.recheck.clear();
    result
}

/// Locks the newest version of a row; `None` if it is gone. An error at repeatable read.
pub fn lock_latest(
    context: &Context<'_>,
    heap: &Heap<'_>,
    mut unchanged: Unchanged,
    mode: RowLockMode,
    policy: WaitPolicy,
) -> Result<Option<ItemPointer>> {
    let serialize = |what: &str| {
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            format!("could not serialize access due to concurrent {what}"),
        ))
    };
    let strict = context.transaction.isolation().uses_transaction_snapshot();
    loop {
        let next = match unchanged {
            Unchanged::SelfModified { is_current: true } => return Ok(None),
            Unchanged::SelfModified { is_current: false } => {
                return Err(Error::new(
                    SqlState::TRIGGERED_DATA_CHANGE_VIOLATION,
                    "tuple to be updated was already modified by an operation triggered by the current command",
                ));
            }
            Unchanged::Updated { .. } if strict => return serialize("update"),
            Unchanged::Deleted { .. } if strict => return serialize("delete"),
            Unchanged::Updated { next, .. } => next,
            Unchanged::Deleted { .. } | Unchanged::WouldBlock => return Ok(None),
            Unchanged::Invisible => return Err(Error::internal("attempted to change an invisible tuple")),
        };
        match heap.lock_row(next, RowLock { mode, policy, follow_updates: false })? {
            Ok(()) => return Ok(Some(next)),
            Err(Unchanged::Invisible) => return Ok(None),
            Err(other) => unchanged = other,
        }
    }
}

pub(crate) fn fill_scratch(scratch: &mut Batch, types: &[PhysicalType], row: &[Value]) {
    prepare(scratch, types);
    for (column, value) in scratch.columns.iter_mut().zip(row) {
        column.push(value.as_ref());
    }
    scratch.seal(1);
}

pub(super) fn insert_index_entry(
    context: &Context<'_>,
    heap: &Heap<'_>,
    target: &TargetIndex,
    values: &[ValueRef<'_>],
    tid: ItemPointer,
    is_update: bool,
) -> Result<()> {
    let index = &target.index;
    if !index.is_ready {
        return Ok(());
    }
    let xid = context.transaction.current_xid_if_assigned();
    let tree = Tree::new(context.transaction.cluster(), index, xid);
    let check = match (index.unique, index.immediate) {
        (false, _) => UniqueCheck::No,
        (true, true) => UniqueCheck::Yes,
        (true, false) => return Err(Error::not_supported("a deferrable unique constraint")),
    };
    // An update that left the key alone only moved the row: most entries of such are soon dead.
    let options = btree::InsertOptions { check, unchanged: is_update && !index.unique };
    loop {
        match btree::insert(&tree, heap, values, tid, options)? {
            InsertOutcome::Inserted | InsertOutcome::InsertedPerhapsDuplicate => return Ok(()),
            InsertOutcome::Conflict(Conflict::InProgress { xid, .. }) => {
                context.transaction.wait_for_transaction(xid, WaitPolicy::Block)?;
            }
            InsertOutcome::Conflict(Conflict::Duplicate { .. }) => {
                let (names, texts) = describe_key(context, index, values)?;
                return Err(Error::new(
                    SqlState::UNIQUE_VIOLATION,
                    format!("duplicate key value violates unique constraint \"{}\"", index.name),
                )
                .detail(format!("Key ({names})=({texts}) already exists."))
                .table(index.namespace_name.clone(), index.heap_name.clone())
                .constraint(index.name.clone()));
            }
        }
    }
}

impl Operator for ModifyTable {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        loop {
            if self.returned_position < self.returned.len() {
                prepare(out, self.returned.types());
                let mut rows = 0;
                while rows < demand.min(BATCH_ROWS) && self.returned_position < self.returned.len() {
                    self.returned.copy_to(self.returned_position, &mut out.columns);
                    self.returned_position += 1;
                    rows += 1;
                }
                out.seal(rows);
                return Ok(());
            }
            if self.done {
                return Ok(());
            }
            self.returned.clear();
            self.returned_position = 0;
            let mut batch = std::mem::take(&mut self.batch);
            let wanted = if self.returning.is_some() { demand } else { BATCH_ROWS };
            self.input.next(context, wanted, &mut batch)?;
            if batch.is_empty() {
                self.done = true;
                self.foreign_keys.check(context, &self.relation)?;
            }
            for at in 0..batch.len() {
                let row = batch.selection.nth(at);
                self.modify_row(context, &batch, row)?;
            }
            self.batch = batch;
        }
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.done = false;
        self.returned.clear();
        self.returned_position = 0;
        self.foreign_keys.reset();
        self.input.rescan(context, changed)
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }
}
