//! Constraints on rows: NOT NULL, CHECK and foreign keys, with PostgreSQL's messages.
//!
//! Realises: `ExecConstraints` and `ri_triggers.c`. NOT NULL and CHECK look at each new row before it is
//! written. Foreign keys are checked when the statement has done all its changes, as PostgreSQL's
//! constraint triggers are: a new key must be found (and its row locked) in the referenced table, a
//! vanished key must not be referred to any more.

use std::sync::Arc;

use kokkiri_access::btree::{self, Condition, Direction, ScanKey, Strategy};
use kokkiri_access::heap::{FetchedRow, Heap, RowLock, RowLockMode, Scan, ScanOptions, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_catalog::entries::{ConstraintEntry, ForeignKeyAction, ForeignKeyMatch};
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_transaction::{Visibility, WaitPolicy};
use kokkiri_types::compare::{Comparator, comparator};
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType, Selection, TupleDesc, Value, io};

use crate::context::Context;
use crate::cross_type::cross_type;
use crate::expression::Program;
use crate::row_store::prepare;

/// CHECK constraints by name, and which columns must not be null.
#[derive(Default)]
pub struct Checks {
    pub not_null: Vec<usize>,
    pub checks: Vec<(String, Program)>,
    pub types: Vec<PhysicalType>,
}

impl Checks {
    /// CHECKs look at columns that an UPDATE does not set.
    pub fn needs_whole_row(&self) -> bool {
        !self.checks.is_empty()
    }

    /// Checks a new row. For an UPDATE `set` says which columns are new.
    pub fn check(
        &mut self,
        context: &mut Context<'_>,
        relation: &Relation,
        row: &[Value],
        set: Option<&[usize]>,
    ) -> Result<()> {
        for &at in &self.not_null {
            if row[at].is_null() && set.is_none_or(|set| set.contains(&at)) {
                let column = &relation.tuple_desc[at].name;
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                        relation.name
                    ),
                )
                .detail(format!("Failing row contains {}.", row_text(context, relation, row)?))
                .table(relation.namespace_name.clone(), relation.name.clone())
                .column(column.to_string()));
            }
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        prepare(&mut batch, &self.types);
        for (column, value) in batch.columns.iter_mut().zip(row) {
            column.push(value.as_ref());
        }
        let all = Selection::all(1);
        for (name, program) in &mut self.checks {
            let value = program.evaluate(context, &batch.columns, &all)?.get(0).to_value();
            if value == Value::Bool(false) {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        relation.name
                    ),
                )
                .detail(format!("Failing row contains {}.", row_text(context, relation, row)?))
                .table(relation.namespace_name.clone(), relation.name.clone())
                .constraint(name.clone()));
            }
        }
        Ok(())
    }
}

/// Longest value shown in a report, bytes.
const MAX_FIELD: usize = 64;

/// A row as reports show it: `(1, abc, null)`.
pub fn row_text(context: &Context<'_>, relation: &Relation, row: &[Value]) -> Result<String> {
    let mut text = String::from("(");
    let mut first = true;
    for (attribute, value) in relation.tuple_desc.iter().zip(row) {
        if attribute.dropped {
            continue;
        }
        if !std::mem::take(&mut first) {
            text.push_str(", ");
        }
        let shown = value_text(context, attribute.type_oid, value)?;
        if shown.len() > MAX_FIELD {
            let mut end = MAX_FIELD;
            while !shown.is_char_boundary(end) {
                end -= 1;
            }
            text.push_str(&shown[..end]);
            text.push_str("...");
        } else {
            text.push_str(&shown);
        }
    }
    text.push(')');
    Ok(text)
}

fn value_text(context: &Context<'_>, type_oid: Oid, value: &Value) -> Result<String> {
    if value.is_null() {
        return Ok("null".into());
    }
    let mut out = Vec::new();
    io::output_text(type_oid, value.as_ref(), context.call.io, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Names and values of an index key, for "Key (a, b)=(1, 2)".
pub fn describe_key(
    context: &Context<'_>,
    index: &IndexDescriptor,
    values: &[kokkiri_types::ValueRef<'_>],
) -> Result<(String, String)> {
    let mut names = Vec::new();
    let mut texts = Vec::new();
    for (attribute, value) in index.tuple_desc.iter().zip(values).take(index.key_count) {
        names.push(attribute.name.to_string());
        texts.push(value_text(context, attribute.type_oid, &value.to_value())?);
    }
    Ok((names.join(", "), texts.join(", ")))
}

/// A foreign key with the table on the other side.
pub struct ForeignKeyCheck {
    pub constraint: Arc<ConstraintEntry>,
    pub other: Arc<Relation>,
    /// The referenced table's unique index; for checks of the referenced side any index that helps.
    pub index: Option<Arc<IndexDescriptor>>,
    /// Columns of this table (0-based), and of the other, pairwise.
    pub own: Vec<usize>,
    pub others: Vec<usize>,
    pub match_kind: ForeignKeyMatch,
    pub on_update: ForeignKeyAction,
    pub on_delete: ForeignKeyAction,
    pub other_side_types: Vec<Oid>,
}

/// What a statement's changes mean for foreign keys.
#[derive(Default)]
pub struct ForeignKeys {
    /// Keys in this table that refer to others.
    pub referencing: Vec<ForeignKeyCheck>,
    /// Keys in other tables that refer to this one.
    pub referenced: Vec<ForeignKeyCheck>,
    added: Vec<Vec<Value>>,
    removed: Vec<(Vec<Value>, bool)>,
}

impl ForeignKeys {
    pub fn needs_old_row(&self) -> bool {
        !self.referenced.is_empty() || !self.referencing.is_empty()
    }

    pub fn reset(&mut self) {
        self.added.clear();
        self.removed.clear();
    }

    pub fn row_added(&mut self, row: &[Value]) {
        if !self.referencing.is_empty() {
            self.added.push(row.to_vec());
        }
    }

    pub fn row_removed(&mut self, row: &[Value]) {
        if !self.referenced.is_empty() {
            self.removed.push((row.to_vec(), false));
        }
    }

    pub fn row_updated(&mut self, old: Option<&[Value]>, new: &[Value]) {
        let changed =
            |check: &ForeignKeyCheck| old.is_none_or(|old| check.own.iter().any(|at| old[*at] != new[*at]));
        if self.referencing.iter().any(changed) {
            self.added.push(new.to_vec());
        }
        if let Some(old) = old
            && self.referenced.iter().any(changed)
        {
            self.removed.push((old.to_vec(), true));
        }
    }

    /// Checks what the statement did; at its end.
    pub fn check(&mut self, context: &Context<'_>, relation: &Relation) -> Result<()> {
        for row in std::mem::take(&mut self.added) {
            for check in &self.referencing {
                check.find_referenced(context, relation, &row)?;
            }
        }
        for (row, is_update) in std::mem::take(&mut self.removed) {
            for check in &self.referenced {
                check.forbid_references(context, relation, &row, is_update)?;
            }
        }
        Ok(())
    }
}

impl ForeignKeyCheck {
    fn names(&self, desc: &TupleDesc, columns: &[usize]) -> String {
        let names: Vec<&str> = columns.iter().map(|at| &*desc[*at].name).collect();
        names.join(", ")
    }

    fn texts(
        &self,
        context: &Context<'_>,
        desc: &TupleDesc,
        columns: &[usize],
        row: &[Value],
    ) -> Result<String> {
        let texts = columns
            .iter()
            .map(|at| value_text(context, desc[*at].type_oid, &row[*at]))
            .collect::<Result<Vec<_>>>()?;
        Ok(texts.join(", "))
    }

    /// A new key must be there on the other side; its row is locked against vanishing.
    fn find_referenced(&self, context: &Context<'_>, relation: &Relation, row: &[Value]) -> Result<()> {
        let nulls = self.own.iter().filter(|at| row[**at].is_null()).count();
        let name = &self.constraint.name;
        if nulls > 0 {
            if self.match_kind == ForeignKeyMatch::Full && nulls < self.own.len() {
                return Err(Error::new(
                    SqlState::FOREIGN_KEY_VIOLATION,
                    format!(
                        "insert or update on table \"{}\" violates foreign key constraint \"{name}\"",
                        relation.name
                    ),
                )
                .detail("MATCH FULL does not allow mixing of null and nonnull key values.")
                .table(relation.namespace_name.clone(), relation.name.clone())
                .constraint(name.to_string()));
            }
            return Ok(());
        }
        if self.exists(context, row, RowLockMode::KeyShare, true)? {
            return Ok(());
        }
        Err(Error::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{name}\"",
                relation.name
            ),
        )
        .detail(format!(
            "Key ({})=({}) is not present in table \"{}\".",
            self.names(&relation.tuple_desc, &self.own),
            self.texts(context, &relation.tuple_desc, &self.own, row)?,
            self.other.name
        ))
        .table(relation.namespace_name.clone(), relation.name.clone())
        .constraint(name.to_string()))
    }

    /// A vanished key must not be referred to.
    fn forbid_references(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        row: &[Value],
        is_update: bool,
    ) -> Result<()> {
        if self.own.iter().any(|at| row[*at].is_null()) {
            return Ok(());
        }
        let action = if is_update { self.on_update } else { self.on_delete };
        if !self.exists(context, row, RowLockMode::KeyShare, false)? {
            return Ok(());
        }
        match action {
            ForeignKeyAction::NoAction | ForeignKeyAction::Restrict => {}
            ForeignKeyAction::Cascade => return Err(Error::not_supported("a cascading foreign key action")),
            ForeignKeyAction::SetNull | ForeignKeyAction::SetDefault => {
                return Err(Error::not_supported("a foreign key action that sets columns"));
            }
        }
        let (state, verb) = if action == ForeignKeyAction::Restrict {
            (SqlState::RESTRICT_VIOLATION, "violates RESTRICT setting of foreign key constraint")
        } else {
            (SqlState::FOREIGN_KEY_VIOLATION, "violates foreign key constraint")
        };
        let ending =
            if action == ForeignKeyAction::Restrict { "is referenced" } else { "is still referenced" };
        let name = &self.constraint.name;
        Err(Error::new(
            state,
            format!(
                "update or delete on table \"{}\" {verb} \"{name}\" on table \"{}\"",
                relation.name, self.other.name
            ),
        )
        .detail(format!(
            "Key ({})=({}) {ending} from table \"{}\".",
            self.names(&relation.tuple_desc, &self.own),
            self.texts(context, &relation.tuple_desc, &self.own, row)?,
            self.other.name
        ))
        .table(self.other.namespace_name.clone(), self.other.name.clone())
        .constraint(name.to_string()))
    }

    /// Whether the other table has a live row with the key of `row`.
    fn exists(&self, context: &Context<'_>, row: &[Value], mode: RowLockMode, lock: bool) -> Result<bool> {
        match &self.index {
            Some(index) => self.exists_by_index(context, index, row, mode, lock),
            None => self.exists_by_scan(context, row),
        }
    }

    fn exists_by_index(
        &self,
        context: &Context<'_>,
        index: &Arc<IndexDescriptor>,
        row: &[Value],
        mode: RowLockMode,
        lock: bool,
    ) -> Result<bool> {
        let heap = Heap::new(&self.other, context.transaction);
        let mut keys = Vec::new();
        for (own, other) in self.own.iter().zip(&self.others) {
            let attribute = &self.other.tuple_desc[*other];
            let column = index.key_columns().iter().position(|column| {
                column.key == kokkiri_access::relation::IndexKey::Attribute(*other as u16)
            });
            let Some(column) = column else { continue };
            let own_type = self.other_side_types[self.own.iter().position(|at| at == own).unwrap_or(0)];
            let condition = Condition::Compare {
                strategy: Strategy::Equal,
                value: row[*own].clone(),
                cross_type: cross_type(attribute.type_oid, own_type)?,
            };
            keys.push(ScanKey { column, condition });
        }
        let cluster = context.transaction.cluster();
        let options = btree::ScanOptions { mvcc: false, with_tuples: false, skip_killed: true };
        let mut scan = btree::Scan::new(Arc::clone(cluster), Arc::clone(index), keys, options);
        let mut fetch = TupleFetch::new(&heap, &[]);
        while let Some(tid) = scan.next(Direction::Forward)? {
            check_for_interrupts()?;
            let found = fetch.fetch_chain(&heap, &Visibility::SelfCurrent, tid, 0, &mut [])?;
            let FetchedRow::Visible(at) = found else { continue };
            if !lock {
                return Ok(true);
            }
            fetch.release();
            let wanted = RowLock { mode, policy: WaitPolicy::Block, follow_updates: true };
            if heap.lock_row(at, wanted)?.is_ok() {
                return Ok(true);
            }
            // Changed while we waited: the key may live on in a newer version, which the index also
            // leads to.
            let again = fetch.fetch_chain(&heap, &Visibility::SelfCurrent, tid, 0, &mut [])?;
            if let FetchedRow::Visible(at) = again {
                fetch.release();
                if heap.lock_row(at, wanted)?.is_ok() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn exists_by_scan(&self, context: &Context<'_>, row: &[Value]) -> Result<bool> {
        let heap = Heap::new(&self.other, context.transaction);
        let types: Vec<PhysicalType> =
            self.others.iter().map(|at| self.other.tuple_desc[*at].physical).collect();
        let mut compare: Vec<Comparator> = Vec::new();
        for (at, own_type) in self.others.iter().zip(&self.other_side_types) {
            let attribute = &self.other.tuple_desc[*at];
            compare.push(match cross_type(attribute.type_oid, *own_type)? {
                Some(cross) => cross.column,
                None => comparator(attribute.type_oid, attribute.collation)?,
            });
        }
        let options = ScanOptions { columns: self.others.clone(), ..ScanOptions::default() };
        let mut scan = Scan::new(&heap, &options)?;
        let mut batch = Batch::new(types.iter().copied());
        while scan.next(&heap, &Visibility::SelfCurrent, &mut batch, BATCH_ROWS)? > 0 {
            check_for_interrupts()?;
            let found = batch.selection.iter().any(|at| {
                batch.columns.iter().zip(&compare).zip(&self.own).all(|((column, compare), own)| {
                    let value = column.get(at);
                    !value.is_null() && compare(value, row[*own].as_ref()).is_eq()
                })
            });
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
