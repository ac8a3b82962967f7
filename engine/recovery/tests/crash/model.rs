//! What the cluster must contain: the model that runs beside it.

use std::collections::BTreeMap;

use kokkiri_primitives::ids::{Lsn, Oid, TransactionId};

use crate::schema::{Object, Row};

pub type Rows = BTreeMap<i32, Row>;

/// A change of the contents, by the transaction that made it.
#[derive(Clone, Debug)]
pub enum Change {
    Create(Object),
    Drop(Oid),
    Put(Oid, i32, Row),
    Remove(Oid, i32),
    /// A value taken from a sequence.
    Taken(Oid, i64),
}

#[derive(Clone, Debug)]
pub struct Contents {
    pub object: Object,
    pub rows: Rows,
    /// Largest value taken from the sequence.
    pub taken: i64,
}

/// The contents of a cluster by oid.
#[derive(Clone, Debug, Default)]
pub struct State(pub BTreeMap<Oid, Contents>);

impl State {
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(object) => {
                let contents = Contents { object: object.clone(), rows: Rows::new(), taken: 0 };
                self.0.insert(object.oid, contents);
            }
            Change::Drop(oid) => {
                self.0.remove(oid);
            }
            Change::Put(oid, id, row) => {
                if let Some(contents) = self.0.get_mut(oid) {
                    contents.rows.insert(*id, row.clone());
                }
            }
            Change::Remove(oid, id) => {
                if let Some(contents) = self.0.get_mut(oid) {
                    contents.rows.remove(id);
                }
            }
            Change::Taken(oid, value) => {
                if let Some(contents) = self.0.get_mut(oid) {
                    contents.taken = contents.taken.max(*value);
                }
            }
        }
    }

    /// The same with descriptors as after a restart.
    pub fn renewed(mut self) -> Self {
        for contents in self.0.values_mut() {
            contents.object = contents.object.renewed();
        }
        self
    }
}

/// A commit record and what it makes visible.
#[derive(Clone, Debug)]
pub struct Commit {
    pub xid: TransactionId,
    /// End of the commit record.
    pub lsn: Lsn,
    pub changes: Vec<Change>,
}

/// What a run did from a known state on.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub base: State,
    /// In the order of their records.
    pub commits: Vec<Commit>,
    pub aborted: Vec<TransactionId>,
    /// Up to where the log was known to be durable, after how many operations of the disk.
    durable: Vec<(u64, Lsn)>,
}

impl History {
    pub fn new(base: State) -> Self {
        Self { base, ..Self::default() }
    }

    pub fn note_durable(&mut self, operations: u64, lsn: Lsn) {
        if self.durable.last().is_none_or(|last| last.1 < lsn) {
            self.durable.push((operations, lsn));
        }
    }

    /// What was durable, and perhaps acknowledged, before this operation began.
    pub fn durable_before(&self, operation: u64) -> Lsn {
        let before = self.durable.partition_point(|(operations, _)| *operations < operation);
        before.checked_sub(1).map_or(Lsn::INVALID, |last| self.durable[last].1)
    }

    /// The contents if the log ended there, with the commits that are in it and those that are lost.
    pub fn state_at(&self, end: Lsn) -> (State, &[Commit], &[Commit]) {
        let survivors = self.commits.partition_point(|commit| commit.lsn <= end);
        let (kept, lost) = self.commits.split_at(survivors);
        let mut state = self.base.clone();
        for change in kept.iter().flat_map(|commit| &commit.changes) {
            state.apply(change);
        }
        (state, kept, lost)
    }
}
