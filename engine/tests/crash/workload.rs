//! A seeded workload of several sessions, interleaved on one thread, with a model beside it.
//!
//! A statement that would have to wait for another session's lock fails at once (lock_timeout), as nobody
//! could give it meanwhile. So whatever succeeds is what the model says: rows and relations that others
//! are changing are out of reach.

use std::collections::BTreeSet;
use std::sync::Arc;

use kokkiri_engine::{Error, SqlState};
use kokkiri_fuzzing::{Broken, Check, Dice, ensure};

use crate::check::{known_files, read_rows};
use crate::model::{Change, Commit, History, State};
use crate::server::{Client, Server};
use crate::statement::{Generator, Statement, Then};

const SESSIONS: usize = 3;

/// An open transaction block.
#[derive(Default)]
struct Open {
    changes: Vec<Change>,
    /// How many changes there were at each open savepoint.
    savepoints: Vec<usize>,
    failed: bool,
}

struct Session {
    client: Client,
    open: Option<Open>,
    /// Commits are acknowledged when they are durable.
    synchronous: bool,
}

pub struct Workload<'a> {
    server: &'a Server,
    sessions: Vec<Session>,
    observer: Client,
    pub history: History,
    /// What a new transaction sees.
    committed: State,
    dice: Dice,
    generator: Generator,
    /// Statements that failed because they would have had to wait, or for a reason like that.
    pub refused: u64,
}

impl<'a> Workload<'a> {
    pub fn new(
        server: &'a Server,
        state: State,
        (files, databases): (BTreeSet<u32>, BTreeSet<u32>),
        seed: u64,
    ) -> Check<Self> {
        let mut dice = Dice::new(seed);
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let mut client = server.connect("postgres")?;
            let synchronous = number > 0 || dice.once_in(2);
            if !synchronous {
                client.query("set synchronous_commit = off")?;
            }
            sessions.push(Session { client, open: None, synchronous });
        }
        Ok(Self {
            server,
            sessions,
            observer: server.connect("postgres")?,
            history: History::new(state.clone(), files, databases),
            generator: Generator::after(&state),
            committed: state,
            dice,
            refused: 0,
        })
    }

    pub fn run(&mut self, steps: usize) -> Check {
        for _ in 0..steps {
            self.step()?;
        }
        Ok(())
    }

    /// Ends what is open, so that what is committed is all there is.
    pub fn quiesce(&mut self) -> Check<State> {
        for session in &mut self.sessions {
            if session.open.take().is_some() {
                session.client.query("rollback")?;
            }
        }
        Ok(self.committed.clone())
    }

    fn step(&mut self) -> Check {
        let at = self.dice.below(SESSIONS);
        match &self.sessions[at].open {
            None if self.dice.once_in(2) => {
                self.sessions[at].client.query("begin")?;
                self.sessions[at].open = Some(Open::default());
                Ok(())
            }
            None => self.alone(at),
            Some(open) if open.failed => {
                let back = !open.savepoints.is_empty() && self.dice.once_in(2);
                if back { self.roll_back_to(at) } else { self.end(at, false) }
            }
            Some(open) => {
                let (changed, nested) = (!open.changes.is_empty(), !open.savepoints.is_empty());
                match self.dice.below(40) {
                    0..6 if changed => self.end(at, true),
                    6..8 => self.end(at, false),
                    8..12 => self.savepoint(at),
                    12..14 if nested => self.roll_back_to(at),
                    14..16 if nested => self.release(at),
                    _ => self.in_block(at),
                }
            }
        }
    }

    /// What the session's next statement sees.
    fn seen_by(&self, at: usize) -> State {
        let mut state = self.committed.clone();
        self.sessions[at].open.iter().flat_map(|open| &open.changes).for_each(|change| state.apply(change));
        state
    }

    /// A statement that is a transaction of its own.
    fn alone(&mut self, at: usize) -> Check {
        let seen = self.seen_by(at);
        let statement = match self.dice.below(8) {
            0 => self.generator.maintenance(&mut self.dice, &seen),
            1 if self.dice.once_in(6) => self.generator.database(&mut self.dice, &seen),
            _ => self.generator.statement(&mut self.dice, &seen),
        };
        let before = self.server.disk.operations();
        if let Some(changes) = self.perform(at, &seen, statement)? {
            self.committed_by(at, before, &changes)?;
        }
        Ok(())
    }

    fn in_block(&mut self, at: usize) -> Check {
        let seen = self.seen_by(at);
        let statement = self.generator.statement(&mut self.dice, &seen);
        let done = self.perform(at, &seen, statement)?;
        let open = self.sessions[at].open.as_mut().expect("in a block");
        match done {
            Some(changes) => open.changes.extend(changes),
            None => open.failed = true,
        }
        Ok(())
    }

    /// Runs a statement; the changes it made, or `None` if it was refused.
    fn perform(&mut self, at: usize, seen: &State, statement: Statement) -> Check<Option<Vec<Change>>> {
        let Statement { text, data, mut changes, then } = statement;
        let failed = |error: &Error| {
            Broken(format!(
                "{} {}: {} in {:.300}",
                error.severity().as_str(),
                error.sqlstate(),
                error.message(),
                text
            ))
        };
        let answer = match self.sessions[at].client.copy(&text, &data) {
            Ok(answer) => answer,
            Err(error) if is_refusal(&error) => {
                self.refused += 1;
                return Ok(None);
            }
            Err(error) => return Err(failed(&error)),
        };
        match then {
            Then::Nothing => {}
            Then::Count(count) => {
                let told = answer.tag.rsplit(' ').next().unwrap_or_default();
                ensure!(told == count.to_string(), "{:.200} answers {} for {count} rows", text, answer.tag);
            }
            Then::NextValue(sequence) => {
                let value = answer.value().parse().expect("a number");
                self.generator.taken(&sequence, value)?;
                changes.push(Change::Taken(sequence, value));
            }
            Then::Compare(table) => {
                let expected = &seen.tables[&table].rows;
                let found = read_rows(answer)?;
                ensure!(*expected == found, "{table} shows {} rows for {}", found.len(), expected.len());
            }
        }
        Ok(Some(changes))
    }

    /// COMMIT, or ROLLBACK.
    fn end(&mut self, at: usize, commit: bool) -> Check {
        let open = self.sessions[at].open.take().expect("in a block");
        let before = self.server.disk.operations();
        let answer = self.sessions[at].client.query(if commit { "commit" } else { "rollback" })?;
        if !commit {
            return Ok(());
        }
        ensure!(answer.tag == "COMMIT", "commit answers {}", answer.tag);
        self.committed_by(at, before, &open.changes)
    }

    fn committed_by(&mut self, at: usize, before: u64, changes: &[Change]) -> Check {
        if changes.is_empty() {
            return Ok(());
        }
        changes.iter().for_each(|change| self.committed.apply(change));
        let after = self.server.disk.operations();
        let last = self.history.commits.last();
        let only_rows =
            |change: &Change| matches!(change, Change::Put(..) | Change::Remove(..) | Change::Taken(..));
        let (files, databases) = match last {
            Some(last) if changes.iter().all(only_rows) => {
                (Arc::clone(&last.files), Arc::clone(&last.databases))
            }
            _ => known_files(&mut self.observer)
                .map(|(files, databases)| (Arc::new(files), Arc::new(databases)))?,
        };
        // A transaction that has only taken values from sequences may have written nothing.
        let writes = changes.iter().any(|change| !matches!(change, Change::Taken(..)));
        let synchronous = self.sessions[at].synchronous && writes;
        self.history.commits.push(Commit { before, after, synchronous, files, databases });
        self.history.states.push(self.committed.clone());
        Ok(())
    }

    fn savepoint(&mut self, at: usize) -> Check {
        let Session { client, open, .. } = &mut self.sessions[at];
        let open = open.as_mut().expect("in a block");
        client.query(&format!("savepoint s{}", open.savepoints.len()))?;
        open.savepoints.push(open.changes.len());
        Ok(())
    }

    fn roll_back_to(&mut self, at: usize) -> Check {
        let Session { client, open, .. } = &mut self.sessions[at];
        let open = open.as_mut().expect("in a block");
        let to = self.dice.below(open.savepoints.len());
        client.query(&format!("rollback to s{to}"))?;
        open.changes.truncate(open.savepoints[to]);
        open.savepoints.truncate(to + 1);
        open.failed = false;
        Ok(())
    }

    fn release(&mut self, at: usize) -> Check {
        let Session { client, open, .. } = &mut self.sessions[at];
        let open = open.as_mut().expect("in a block");
        let to = self.dice.below(open.savepoints.len());
        client.query(&format!("release s{to}"))?;
        open.savepoints.truncate(to);
        Ok(())
    }
}

/// True for what one session may meet because of the others.
fn is_refusal(error: &Error) -> bool {
    let states = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        SqlState::OBJECT_IN_USE,
        SqlState::DEADLOCK_DETECTED,
    ];
    states.contains(&error.sqlstate()) || error.message() == "tuple concurrently updated"
}
