//! Foreign keys: what changes of rows on either side mean for the other.
//!
//! Realises: `ri_triggers.c`. Looked at when a statement has done all its changes, as PostgreSQL's
//! constraint triggers are: a new key must be found (and its row locked) in the referenced table; a
//! vanished key must not be referred to any more, or its references go with it ([`action`]). A check of a
//! deferrable constraint may wait for the end of the transaction ([`deferred`]). What each of them sees of
//! the other table is told in [`lookup`].

mod action;
pub mod deferred;
mod lookup;

use std::sync::Arc;

use kokkiri_access::heap::{Heap, TupleFetch};
use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_catalog::entries::{ConstraintEntry, ForeignKeyAction, ForeignKeyMatch};
use kokkiri_primitives::{Error, ItemPointer, Oid, Result, SqlState};
use kokkiri_transaction::Visibility;
use kokkiri_types::{TupleDesc, Value};

use crate::constraint::value_text;
use crate::context::Context;

use deferred::{DeferredCheck, Side};

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
    /// Columns of the other table that ON DELETE SET NULL or DEFAULT sets.
    pub set_columns: Vec<usize>,
    pub other_owner: Oid,
    pub own_owner: Oid,
    pub other_side_types: Vec<Oid>,
}

/// A row that a statement has changed.
struct Change {
    old: Option<Vec<Value>>,
    /// With its place.
    new: Option<(Vec<Value>, ItemPointer)>,
}

/// What a statement's changes mean for foreign keys.
#[derive(Default)]
pub struct ForeignKeys {
    /// Keys in this table that refer to others.
    pub referencing: Vec<ForeignKeyCheck>,
    /// Keys in other tables that refer to this one.
    pub referenced: Vec<ForeignKeyCheck>,
    changes: Vec<Change>,
}

impl ForeignKeys {
    pub fn needs_old_row(&self) -> bool {
        !self.referenced.is_empty() || !self.referencing.is_empty()
    }

    pub fn reset(&mut self) {
        self.changes.clear();
    }

    pub fn row_added(&mut self, row: &[Value], tid: ItemPointer) {
        if !self.referencing.is_empty() {
            self.changes.push(Change { old: None, new: Some((row.to_vec(), tid)) });
        }
    }

    pub fn row_removed(&mut self, row: &[Value]) {
        if !self.referenced.is_empty() {
            self.changes.push(Change { old: Some(row.to_vec()), new: None });
        }
    }

    pub fn row_updated(&mut self, old: Option<&[Value]>, new: &[Value], tid: ItemPointer) {
        let changed =
            |check: &ForeignKeyCheck| old.is_none_or(|old| check.own.iter().any(|at| old[*at] != new[*at]));
        if self.referencing.iter().any(changed) || self.referenced.iter().any(changed) {
            self.changes.push(Change { old: old.map(<[_]>::to_vec), new: Some((new.to_vec(), tid)) });
        }
    }

    /// Does what follows from the statement's changes, and checks them; at its end. For each row first
    /// what happens to those that refer to it: that may replace the row itself.
    pub fn check(&mut self, context: &Context<'_>, relation: &Relation) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        // The rows of this very statement can be referred to, and locked, from the next command on.
        if context.transaction.advance_command()?
            && let Some(view) = &context.call.catalog
        {
            view.session.command_ended();
        }
        let mut acted = false;
        for change in std::mem::take(&mut self.changes) {
            let Change { old, new } = &change;
            let key_changed = |check: &ForeignKeyCheck| match (old, new) {
                (Some(old), Some((new, _))) => check.own.iter().any(|at| old[*at] != new[*at]),
                _ => true,
            };
            if let Some(old) = old {
                for check in self.referenced.iter().filter(|check| key_changed(check)) {
                    let new = new.as_ref().map(|(row, _)| row.as_slice());
                    acted |= check.key_vanished(context, relation, old, new)?;
                }
            }
            if let Some((row, tid)) = new {
                if acted && !is_live(context, relation, *tid)? {
                    continue;
                }
                for check in self.referencing.iter().filter(|check| key_changed(check)) {
                    check.key_appeared(context, relation, row)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a version of a row is still the current one.
fn is_live(context: &Context<'_>, relation: &Relation, tid: ItemPointer) -> Result<bool> {
    let heap = Heap::new(relation, context.transaction);
    TupleFetch::new(&heap, &[]).fetch_version(&heap, &Visibility::SelfCurrent, tid, 0, &mut [])
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

    /// A row refers to a key: now or later that must be there.
    fn key_appeared(&self, context: &Context<'_>, relation: &Relation, row: &[Value]) -> Result<()> {
        let is_null = self.own.iter().any(|at| row[*at].is_null());
        match context.host {
            Some(host) if !is_null && host.is_deferred(&self.constraint) => {
                host.defer(DeferredCheck::new(self, Side::Referencing, row));
                Ok(())
            }
            _ => self.find_referenced(context, relation, row),
        }
    }

    /// A key has gone, or become that of `new`. Does what the foreign key says must follow; tells whether
    /// that may have changed rows.
    fn key_vanished(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        old: &[Value],
        new: Option<&[Value]>,
    ) -> Result<bool> {
        if self.own.iter().any(|at| old[*at].is_null()) {
            return Ok(false);
        }
        let action = if new.is_some() { self.on_update } else { self.on_delete };
        match action {
            ForeignKeyAction::Restrict => {
                self.forbid_references(context, relation, old, action)?;
                Ok(false)
            }
            ForeignKeyAction::NoAction => {
                match context.host {
                    Some(host) if host.is_deferred(&self.constraint) => {
                        host.defer(DeferredCheck::new(self, Side::Referenced, old));
                    }
                    _ => self.forbid_references(context, relation, old, action)?,
                }
                Ok(false)
            }
            action => {
                // Most keys that go are not referred to.
                if !self.is_referred_to(context, old)? {
                    return Ok(false);
                }
                self.act(context, relation, action, old, new)?;
                if action == ForeignKeyAction::SetDefault {
                    self.forbid_references(context, relation, old, ForeignKeyAction::NoAction)?;
                }
                Ok(true)
            }
        }
    }

    /// A new key must be there on the other side; its row is locked against vanishing.
    pub(crate) fn find_referenced(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        row: &[Value],
    ) -> Result<()> {
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
        if self.lock_referenced(context, row)? {
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

    /// A vanished key must not be referred to, unless (RESTRICT aside) another row has it now.
    pub(crate) fn forbid_references(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        row: &[Value],
        action: ForeignKeyAction,
    ) -> Result<()> {
        if !self.lock_reference(context, row)? {
            return Ok(());
        }
        if action == ForeignKeyAction::NoAction && self.key_is_back(context, relation, row)? {
            return Ok(());
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
}
