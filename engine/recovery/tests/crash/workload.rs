//! A seeded workload of several sessions, interleaved on one thread, with a model beside it.
//!
//! Nobody may have to wait, as there is no other thread to wait for: the model knows which rows are taken
//! by whom ([`Workload::claim`]), relations are locked without waiting, and a checkpoint starts only when
//! no commit is between its record and its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use kokkiri_access::heap::vacuum::{CostLimits, FreezeAges, VacuumOptions, compute_cutoffs};
use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions, NewValue, RowLock, RowLockMode};
use kokkiri_access::relation::{IndexCleanup, Relation};
use kokkiri_access::sequence::{self, SequenceParameters};
use kokkiri_fuzzing::Dice;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{MultiXactId, Oid, TransactionId};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_storage::CriticalSection;
use kokkiri_storage::buffer::BackgroundSweep;
use kokkiri_transaction::lock::{LockMode, LockOutcome, LockTag, WaitPolicy};
use kokkiri_transaction::{BeginOptions, CommitTicket, IsolationLevel, SynchronousCommit, Transaction};
use kokkiri_types::ValueRef;

use crate::instance::{Client, DATABASE, Instance};
use crate::model::{Change, Commit, History, State};
use crate::rows;
use crate::schema::{COUNT, ID, KIND, NOTE, Object, Row, TAG};

const SESSIONS: usize = 4;
const OBJECTS_MAX: usize = 5;
const ROWS_MAX: usize = 160;
const SEQUENCE: SequenceParameters =
    SequenceParameters { increment: 1, minimum: 1, maximum: i64::MAX, cache: 1, cycle: false };

/// An open transaction.
struct Open {
    transaction: Box<Transaction>,
    changes: Vec<Change>,
    /// How many changes there were at each open savepoint.
    savepoints: Vec<usize>,
    repeatable: bool,
}

enum Phase {
    Idle,
    Open(Open),
    /// The commit record is in the log, and nobody else knows yet.
    Committing(CommitTicket, Vec<Change>),
}

struct Session {
    client: Client,
    phase: Phase,
}

pub struct Workload {
    sessions: Vec<Session>,
    maintenance: Client,
    pub instance: Instance,
    pub history: History,
    /// What a new transaction sees.
    pub current: State,
    /// Rows that open transactions have changed or locked.
    claims: BTreeMap<(Oid, i32), Vec<(usize, RowLockMode)>>,
    /// Largest value given out by each sequence.
    handed_out: BTreeMap<Oid, i64>,
    dice: Dice,
    sweep: BackgroundSweep,
    next_id: i32,
}

impl Workload {
    pub fn new(instance: Instance, state: State, seed: u64) -> Self {
        let sessions =
            (0..SESSIONS).map(|_| Session { client: instance.client(), phase: Phase::Idle }).collect();
        let rows = state.0.values().flat_map(|contents| contents.rows.keys().copied());
        let next_id = rows.max().unwrap_or(0) + 1;
        Self {
            sessions,
            maintenance: instance.client(),
            history: History::new(state.clone()),
            claims: BTreeMap::new(),
            handed_out: state.0.iter().map(|(oid, contents)| (*oid, contents.taken)).collect(),
            current: state,
            dice: Dice::new(seed),
            sweep: BackgroundSweep::default(),
            next_id,
            instance,
        }
    }

    /// Runs until `steps` are done, the disk stops or an error comes up.
    pub fn run(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            self.step()?;
            self.note_durable();
        }
        Ok(())
    }

    fn note_durable(&mut self) {
        let flushed = self.instance.cluster.wal.flushed_lsn();
        self.history.note_durable(self.instance.disk.operations(), flushed);
    }

    fn step(&mut self) -> Result<()> {
        match self.dice.below(200) {
            0..4 => self.checkpoint(),
            4..14 => self.vacuum(),
            14..20 => self.instance.cluster.wal.background_flush().map(drop),
            20..24 => self.sweep.round(&self.instance.cluster.buffers, 20, 2.0, 200).map(drop),
            24 if self.dice.once_in(4) => {
                let critical = CriticalSection::enter();
                self.instance.cluster.wal.switch_segment(&critical, true);
                Ok(())
            }
            _ => self.session_step(),
        }
    }

    /// Power has failed: what is in memory is given up, and says what the log should contain.
    pub fn lose(mut self) -> History {
        self.instance.poison.trip("power has failed");
        std::mem::take(&mut self.history)
    }

    /// Runs like [`Workload::run`], but what fails because the disk is full is given up, as a statement's
    /// error ends its transaction. Returns how often that happened.
    pub fn run_on_full_disk(&mut self, steps: usize) -> Result<usize> {
        let mut failed = 0;
        for _ in 0..steps {
            match self.step() {
                Ok(()) => {}
                Err(error)
                    if error.sqlstate() == SqlState::DISK_FULL && !self.instance.poison.is_poisoned() =>
                {
                    failed += 1;
                    for session in 0..SESSIONS {
                        if matches!(self.sessions[session].phase, Phase::Idle) {
                            self.release(session);
                        }
                    }
                }
                Err(error) => return Err(error),
            }
            self.note_durable();
        }
        Ok(failed)
    }

    /// Ends everything that is open, so that the current contents are all there is.
    pub fn quiesce(&mut self) -> Result<()> {
        for session in 0..SESSIONS {
            let _entered = self.sessions[session].client.registration.backend().enter();
            match std::mem::replace(&mut self.sessions[session].phase, Phase::Idle) {
                Phase::Idle => {}
                Phase::Open(open) => self.abort(session, open),
                Phase::Committing(ticket, changes) => self.finish(session, ticket, changes)?,
            }
        }
        Ok(())
    }

    /// A checkpoint, with sessions at work between the pages that it writes.
    fn checkpoint(&mut self) -> Result<()> {
        for session in 0..SESSIONS {
            if matches!(self.sessions[session].phase, Phase::Committing(..)) {
                self.step_of(session)?;
            }
        }
        let maker = Arc::clone(&self.instance.maker);
        let request = CheckpointRequest::COMMAND;
        maker.make(request, &mut |_| {
            if self.dice.once_in(5) {
                self.session_step()?;
                self.note_durable();
            }
            Ok(())
        })?;
        Ok(())
    }

    fn vacuum(&mut self) -> Result<()> {
        let tables: Vec<Object> =
            self.current.0.values().map(|c| c.object.clone()).filter(Object::is_table).collect();
        if tables.is_empty() {
            return Ok(());
        }
        let object = &tables[self.dice.below(tables.len())];
        self.vacuum_relation(&object.relation)?;
        match object.toast() {
            Some(toast) => self.vacuum_relation(toast),
            None => Ok(()),
        }
    }

    fn vacuum_relation(&mut self, relation: &Relation) -> Result<()> {
        let _entered = self.maintenance.registration.backend().enter();
        let transaction = self.maintenance.begin(BeginOptions::default());
        let tag = LockTag::relation(DATABASE, relation.oid);
        if transaction.lock(tag, LockMode::ShareUpdateExclusive, WaitPolicy::Skip)?
            == LockOutcome::NotAvailable
        {
            return Ok(());
        }
        let heap = Heap::new(relation, &transaction);
        let mut ages = FreezeAges::default();
        if self.dice.once_in(3) {
            (ages.min_age, ages.multixact_min_age) = (0, 0);
        }
        let (cutoffs, aggressive) =
            compute_cutoffs(&heap, TransactionId::FIRST_NORMAL, MultiXactId::FIRST, &ages);
        let index_cleanup = if self.dice.once_in(2) { IndexCleanup::On } else { IndexCleanup::Auto };
        heap.vacuum(&VacuumOptions {
            cutoffs,
            aggressive,
            read_all: self.dice.once_in(6),
            index_cleanup,
            truncate: true,
            ring_kilobytes: 128,
            memory_bytes: 1 << 20,
            costs: CostLimits::default(),
        })?;
        transaction.commit().map(drop)
    }

    fn session_step(&mut self) -> Result<()> {
        let session = self.dice.below(SESSIONS);
        self.step_of(session)
    }

    fn step_of(&mut self, session: usize) -> Result<()> {
        let _entered = self.sessions[session].client.registration.backend().enter();
        match std::mem::replace(&mut self.sessions[session].phase, Phase::Idle) {
            Phase::Idle => {
                self.sessions[session].phase = Phase::Open(self.begin(session));
                Ok(())
            }
            Phase::Committing(ticket, changes) => self.finish(session, ticket, changes),
            Phase::Open(mut open) => {
                let over = match self.dice.below(40) {
                    0..5 => Some(true),
                    5 => Some(false),
                    _ => match self.statement(session, &mut open)? {
                        Done::Yes => None,
                        Done::MustAbort => Some(false),
                    },
                };
                match over {
                    None => self.sessions[session].phase = Phase::Open(open),
                    Some(false) => self.abort(session, open),
                    Some(true) => self.commit(session, open)?,
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, session: usize) -> Open {
        let repeatable = self.dice.once_in(6);
        let options = BeginOptions {
            isolation: if repeatable {
                IsolationLevel::RepeatableRead
            } else {
                IsolationLevel::ReadCommitted
            },
            synchronous_commit: if self.dice.once_in(3) {
                SynchronousCommit::Off
            } else {
                SynchronousCommit::On
            },
            ..BeginOptions::default()
        };
        let transaction = self.sessions[session].client.begin(options);
        Open { transaction, changes: Vec::new(), savepoints: Vec::new(), repeatable }
    }

    fn commit(&mut self, session: usize, open: Open) -> Result<()> {
        let xid = open.transaction.xid_if_assigned();
        let ticket = open.transaction.prepare_commit()?;
        if let Some((xid, lsn)) = xid.zip(ticket.lsn()) {
            self.history.commits.push(Commit { xid, lsn, changes: open.changes.clone() });
        }
        if self.dice.once_in(3) {
            self.sessions[session].phase = Phase::Committing(ticket, open.changes);
            return Ok(());
        }
        self.finish(session, ticket, open.changes)
    }

    fn finish(&mut self, session: usize, ticket: CommitTicket, changes: Vec<Change>) -> Result<()> {
        if let Some(lsn) = ticket.lsn_to_flush() {
            self.instance.cluster.wal.flush(lsn)?;
            self.note_durable();
        }
        ticket.finish();
        self.release(session);
        changes.iter().for_each(|change| self.current.apply(change));
        Ok(())
    }

    fn abort(&mut self, session: usize, open: Open) {
        self.history.aborted.extend(open.transaction.xid_if_assigned());
        open.transaction.abort();
        self.release(session);
    }

    fn release(&mut self, session: usize) {
        self.claims.retain(|_, holders| {
            holders.retain(|holder| holder.0 != session);
            !holders.is_empty()
        });
    }
}

enum Done {
    Yes,
    /// A serialization failure.
    MustAbort,
}

/// What the transaction sees of a row, if it sees what is current.
fn look_up(current: &State, changes: &[Change], oid: Oid, id: i32) -> Option<Row> {
    for change in changes.iter().rev() {
        match change {
            Change::Put(table, changed, row) if (*table, *changed) == (oid, id) => return Some(row.clone()),
            Change::Remove(table, changed) if (*table, *changed) == (oid, id) => return None,
            _ => {}
        }
    }
    current.0.get(&oid).and_then(|contents| contents.rows.get(&id)).cloned()
}

impl Workload {
    /// Takes a row for a session, unless another one holds it so that waiting would be due.
    fn claim(&mut self, session: usize, oid: Oid, id: i32, mode: RowLockMode) -> bool {
        let holders = self.claims.entry((oid, id)).or_default();
        if holders.iter().any(|(other, held)| *other != session && held.conflicts_with(mode)) {
            return false;
        }
        holders.push((session, mode));
        true
    }

    fn objects(&self, open: &Open, tables: bool) -> Vec<Object> {
        let mut seen: BTreeMap<Oid, Object> =
            self.current.0.iter().map(|(oid, contents)| (*oid, contents.object.clone())).collect();
        for change in &open.changes {
            match change {
                Change::Create(object) => drop(seen.insert(object.oid, object.clone())),
                Change::Drop(oid) => drop(seen.remove(oid)),
                _ => {}
            }
        }
        seen.into_values().filter(|object| object.is_table() == tables).collect()
    }

    fn statement(&mut self, session: usize, open: &mut Open) -> Result<Done> {
        let tables = self.objects(open, true);
        if tables.is_empty() || (tables.len() < OBJECTS_MAX && self.dice.once_in(30)) {
            let fillfactor = [100, 100, 70][self.dice.below(3)];
            let object = Object::create_table(&open.transaction, fillfactor)?;
            open.changes.push(Change::Create(object));
            open.transaction.advance_command()?;
            return Ok(Done::Yes);
        }
        let object = tables[self.dice.below(tables.len())].clone();
        let tag = LockTag::relation(DATABASE, object.oid);
        if open.transaction.lock(tag, LockMode::RowExclusive, WaitPolicy::Skip)? == LockOutcome::NotAvailable
        {
            return Ok(Done::Yes);
        }
        let done = match self.dice.below(100) {
            0..22 => self.insert(session, open, &object)?,
            22..30 => self.multi_insert(session, open, &object)?,
            30..58 => self.update(session, open, &object)?,
            58..74 => self.delete(session, open, &object)?,
            74..82 => self.lock_row(session, open, &object)?,
            82..90 => self.savepoint(open)?,
            90..94 => self.sequence(open)?,
            94 => self.drop_object(open)?,
            95 => self.duplicate(session, open, &object)?,
            _ => self.compare(open, &object)?,
        };
        open.transaction.advance_command()?;
        Ok(done)
    }

    fn bytes(&mut self, length: usize) -> Arc<[u8]> {
        (0..length).map(|_| b'a' + self.dice.below(26) as u8).collect()
    }

    fn row(&mut self, id: i32) -> Row {
        let note = match self.dice.below(12) {
            0 => None,
            1 => {
                let length = 2100 + self.dice.below(9000);
                Some(self.bytes(length))
            }
            2 => Some(b"over and over ".repeat(200 + self.dice.below(300)).into()),
            _ => {
                let length = self.dice.below(120);
                Some(self.bytes(length))
            }
        };
        // In the order of ids, so that deleting a range of rows empties index pages.
        let length = 10 + self.dice.below(330);
        let mut tag: Arc<[u8]> = [format!("{id:06}").as_bytes(), &self.bytes(length)].concat().into();
        if self.dice.once_in(6) {
            tag = Arc::from(&b"a common tag"[..]);
        }
        Row { kind: self.dice.below(6) as i32, count: self.dice.number() as i64, tag, note }
    }

    /// An id nobody uses: a new one, or that of a row that was deleted.
    fn unused_id(&mut self, session: usize, open: &Open, oid: Oid) -> Option<i32> {
        let id = if self.dice.once_in(4) {
            1 + self.dice.below(self.next_id as usize) as i32
        } else {
            self.next_id
        };
        self.next_id = self.next_id.max(id + 1);
        let free = look_up(&self.current, &open.changes, oid, id).is_none();
        (free && self.claim(session, oid, id, RowLockMode::Exclusive)).then_some(id)
    }

    /// A row that the session may change.
    fn some_id(&mut self, session: usize, open: &Open, oid: Oid, mode: RowLockMode) -> Option<(i32, Row)> {
        let own: Vec<i32> = open
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Put(table, id, _) if *table == oid => Some(*id),
                _ => None,
            })
            .collect();
        let id = if !own.is_empty() && self.dice.once_in(4) {
            own[self.dice.below(own.len())]
        } else {
            let rows = &self.current.0.get(&oid)?.rows;
            let from = self.dice.below(self.next_id as usize) as i32;
            *rows.range(from..).next().or_else(|| rows.iter().next())?.0
        };
        let row = look_up(&self.current, &open.changes, oid, id)?;
        self.claim(session, oid, id, mode).then_some((id, row))
    }

    fn insert(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        if self.current.0.get(&object.oid).is_some_and(|contents| contents.rows.len() > ROWS_MAX) {
            return self.delete(session, open, object);
        }
        let Some(id) = self.unused_id(session, open, object.oid) else { return Ok(Done::Yes) };
        let row = self.row(id);
        let heap = Heap::new(&object.relation, &open.transaction);
        let tid = heap.insert(&row.values(id), InsertOptions::default())?;
        assert!(rows::insert_entries(&heap, id, &row, None, tid)?, "id {id} is not in use");
        open.changes.push(Change::Put(object.oid, id, row));
        Ok(Done::Yes)
    }

    fn multi_insert(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        let mut new: BTreeMap<i32, Row> = BTreeMap::new();
        for _ in 0..2 + self.dice.below(12) {
            if let Some(id) = self.unused_id(session, open, object.oid) {
                new.insert(id, self.row(id));
            }
        }
        let heap = Heap::new(&object.relation, &open.transaction);
        let values: Vec<_> = new.iter().map(|(id, row)| row.values(*id)).collect();
        let values: Vec<&[ValueRef<'_>]> = values.iter().map(|row| &row[..]).collect();
        let mut bulk = BulkInsert::new(&self.instance.cluster.buffers);
        let tids = heap.multi_insert(&values, InsertOptions::default(), Some(&mut bulk))?;
        drop(bulk);
        for ((id, row), tid) in new.iter().zip(tids) {
            assert!(rows::insert_entries(&heap, *id, row, None, tid)?, "id {id} is not in use");
        }
        open.changes.extend(new.into_iter().map(|(id, row)| Change::Put(object.oid, id, row)));
        Ok(Done::Yes)
    }

    fn update(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        let picked = self.some_id(session, open, object.oid, RowLockMode::NoKeyExclusive);
        let Some((id, old)) = picked else { return Ok(Done::Yes) };
        let heap = Heap::new(&object.relation, &open.transaction);
        let Some((_, seen, tid)) = rows::find(&heap, id)? else {
            assert!(open.repeatable, "row {id} of {} is not found", object.oid);
            return Ok(Done::MustAbort);
        };
        assert!(open.repeatable || seen == old, "row {id} of {} is {seen:?} and not {old:?}", object.oid);
        let mut row = self.row(id);
        let mut new = [NewValue::Unchanged; 5];
        if self.dice.once_in(2) {
            row = Row { count: row.count, ..seen.clone() };
        } else {
            if self.dice.once_in(2) {
                row.kind = seen.kind;
            }
            if self.dice.once_in(2) {
                row.tag = seen.tag.clone();
            }
            if self.dice.once_in(2) {
                row.note = seen.note.clone();
            }
        }
        for (column, same) in [
            (ID, true),
            (KIND, row.kind == seen.kind),
            (COUNT, false),
            (TAG, row.tag == seen.tag),
            (NOTE, row.note == seen.note),
        ] {
            if !same {
                new[column] = NewValue::Set(row.values(id)[column]);
            }
        }
        let Ok(updated) = heap.update(tid, &new)? else {
            assert!(open.repeatable, "row {id} of {} can't be updated", object.oid);
            return Ok(Done::MustAbort);
        };
        if !updated.is_hot {
            assert!(rows::insert_entries(&heap, id, &row, Some(&seen), updated.tid)?, "id {id} is ours");
        }
        open.changes.push(Change::Put(object.oid, id, row));
        Ok(Done::Yes)
    }

    fn delete(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        // Now and then a range of rows, so that index pages become empty.
        let count = if self.dice.once_in(5) { 20 + self.dice.below(80) as i32 } else { 1 };
        let picked = self.some_id(session, open, object.oid, RowLockMode::Exclusive);
        let Some((first, _)) = picked else { return Ok(Done::Yes) };
        for id in first..first + count {
            if id != first {
                let there = look_up(&self.current, &open.changes, object.oid, id).is_some();
                if !there || !self.claim(session, object.oid, id, RowLockMode::Exclusive) {
                    continue;
                }
            }
            let heap = Heap::new(&object.relation, &open.transaction);
            let found = rows::find(&heap, id)?;
            assert!(open.repeatable || found.is_some(), "row {id} of {} is not found", object.oid);
            let Some((_, _, tid)) = found else { return Ok(Done::MustAbort) };
            if let Err(unchanged) = heap.delete(tid, false)? {
                assert!(open.repeatable, "row {id} of {} can't be deleted: {unchanged:?}", object.oid);
                return Ok(Done::MustAbort);
            }
            open.changes.push(Change::Remove(object.oid, id));
        }
        Ok(Done::Yes)
    }

    fn lock_row(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        let modes = [
            RowLockMode::KeyShare,
            RowLockMode::KeyShare,
            RowLockMode::Share,
            RowLockMode::NoKeyExclusive,
            RowLockMode::Exclusive,
        ];
        let mode = modes[self.dice.below(modes.len())];
        let picked = self.some_id(session, open, object.oid, mode);
        let Some((id, _)) = picked else { return Ok(Done::Yes) };
        let heap = Heap::new(&object.relation, &open.transaction);
        let found = rows::find(&heap, id)?;
        assert!(open.repeatable || found.is_some(), "row {id} of {} is not found", object.oid);
        let Some((_, _, tid)) = found else { return Ok(Done::MustAbort) };
        let outcome = heap.lock_row(tid, RowLock { mode, policy: WaitPolicy::Skip, follow_updates: true })?;
        if let Err(unchanged) = outcome {
            assert!(open.repeatable, "row {id} of {} can't be locked: {unchanged:?}", object.oid);
            return Ok(Done::MustAbort);
        }
        Ok(Done::Yes)
    }

    fn savepoint(&mut self, open: &mut Open) -> Result<Done> {
        match (self.dice.below(4), open.savepoints.pop()) {
            (0, Some(_)) => open.transaction.commit_sub(),
            (1, Some(count)) => {
                open.transaction.abort_sub();
                open.changes.truncate(count);
            }
            (_, popped) => {
                open.savepoints.extend(popped);
                open.transaction.begin_sub(None)?;
                open.savepoints.push(open.changes.len());
            }
        }
        Ok(Done::Yes)
    }

    fn sequence(&mut self, open: &mut Open) -> Result<Done> {
        let sequences = self.objects(open, false);
        if sequences.is_empty() || (sequences.len() < 2 && self.dice.once_in(4)) {
            let object = Object::create_sequence(&open.transaction)?;
            open.changes.push(Change::Create(object));
            return Ok(Done::Yes);
        }
        let object = &sequences[self.dice.below(sequences.len())];
        let tag = LockTag::relation(DATABASE, object.oid);
        if open.transaction.lock(tag, LockMode::RowExclusive, WaitPolicy::Skip)? == LockOutcome::NotAvailable
        {
            return Ok(Done::Yes);
        }
        for _ in 0..1 + self.dice.below(12) {
            let taken = sequence::next_values(&open.transaction, &object.relation, &SEQUENCE)?;
            let last = self.handed_out.insert(object.oid, taken.next).unwrap_or(0);
            assert!(taken.next > last, "sequence {} gave {} after {last}", object.oid, taken.next);
            open.changes.push(Change::Taken(object.oid, taken.next));
        }
        Ok(Done::Yes)
    }

    fn drop_object(&mut self, open: &mut Open) -> Result<Done> {
        let mut objects = self.objects(open, true);
        objects.extend(self.objects(open, false));
        let object = &objects[self.dice.below(objects.len())];
        let tag = LockTag::relation(DATABASE, object.oid);
        if open.transaction.lock(tag, LockMode::AccessExclusive, WaitPolicy::Skip)?
            == LockOutcome::NotAvailable
        {
            return Ok(Done::Yes);
        }
        object.files().into_iter().for_each(|file| open.transaction.drop_storage(file));
        open.changes.push(Change::Drop(object.oid));
        Ok(Done::Yes)
    }

    /// A row with an id that is in use: refused, and taken back with its subtransaction.
    fn duplicate(&mut self, session: usize, open: &mut Open, object: &Object) -> Result<Done> {
        let picked = self.some_id(session, open, object.oid, RowLockMode::Exclusive);
        let Some((id, _)) = picked else { return Ok(Done::Yes) };
        let row = self.row(id);
        open.transaction.begin_sub(None)?;
        let heap = Heap::new(&object.relation, &open.transaction);
        let tid = heap.insert(&row.values(id), InsertOptions::default())?;
        assert!(!rows::insert_entries(&heap, id, &row, None, tid)?, "id {id} of {} is in use", object.oid);
        open.transaction.abort_sub();
        Ok(Done::Yes)
    }

    /// What the transaction sees is what the model says it sees.
    fn compare(&mut self, open: &mut Open, object: &Object) -> Result<Done> {
        if open.repeatable {
            return Ok(Done::Yes);
        }
        let heap = Heap::new(&object.relation, &open.transaction);
        let mut state = self.current.clone();
        open.changes.iter().for_each(|change| state.apply(change));
        let found = rows::scan(&heap)?;
        let count = found.len();
        let found: BTreeMap<i32, Row> = found.into_iter().map(|(id, row, _)| (id, row)).collect();
        assert_eq!(found.len(), count, "a row of {} is visible twice", object.oid);
        assert!(found == state.0[&object.oid].rows, "a transaction sees the wrong rows of {}", object.oid);
        Ok(Done::Yes)
    }
}
