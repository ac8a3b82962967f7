//! One seed's runs and crashes.

use std::collections::BTreeSet;

use kokkiri_fuzzing::{Broken, Check, CrashPoints, CrashRun, Dice, ensure};
use kokkiri_storage::SimulatedFileSystem;

use crate::check::{check_whole, read_state};
use crate::model::{History, State};
use crate::server::{Server, new_directory};
use crate::workload::Workload;

/// Runs of one seed, each on what the last one left.
const ROUNDS: usize = 2;
/// Crashes tried of one run, besides its end.
const MOMENTS: usize = 3;

/// Crashes recovered from.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// In the middle of the workload.
    pub running: u64,
    /// At the end of a run.
    pub ended: u64,
    /// In the middle of recovery.
    pub recovering: u64,
    /// Transactions that the workload has committed, and statements that were refused.
    pub commits: u64,
    pub refused: u64,
}

impl CrashPoints for Points {
    fn all(&self) -> u64 {
        self.running + self.ended + self.recovering
    }

    fn add(&mut self, other: &Self) {
        self.running += other.running;
        self.ended += other.ended;
        self.recovering += other.recovering;
        self.commits += other.commits;
        self.refused += other.refused;
    }
}

/// Relation files and databases.
type Known = (BTreeSet<u32>, BTreeSet<u32>);

pub struct Sweep {
    dice: Dice,
    frames: u32,
    points: Points,
    /// Where it is, for the message of a failure.
    place: String,
}

impl CrashRun for Sweep {
    type Points = Points;

    fn points(&self) -> &Points {
        &self.points
    }

    fn place(&self) -> &str {
        &self.place
    }
}

impl Sweep {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let frames = [128, 512, 4096][dice.below(3)];
        Self { dice, frames, points: Points::default(), place: format!("seed {seed}") }
    }

    pub fn run(&mut self) -> Check {
        let seed = self.place.clone();
        let mut server = Server::start(new_directory(self.dice.number()), self.frames)?;
        let (mut state, mut known) = (State::default(), Known::default());
        for round in 1..=ROUNDS {
            let place = format!("{seed}, round {round}");
            self.place.clone_from(&place);
            self.keep_moments(&server.disk);
            let mut work = Workload::new(&server, state, known, self.dice.number())?;
            work.run(60 + self.dice.below(300))?;
            let history = self.lose(work);
            let mut moments = server.disk.take_moments();
            let image = server.disk.crash(self.dice.number());
            drop(server);
            self.dice.thin(&mut moments, MOMENTS);
            for (operation, disk) in moments {
                self.place = format!("{place}, operation {operation}");
                self.points.running += 1;
                let image = disk.crash(self.dice.number());
                self.recover(image, &history, operation)?;
            }
            self.place = format!("{place}, its end");
            self.points.ended += 1;
            (server, state, known) = self.recover(image, &history, u64::MAX)?;
        }
        self.place = format!("{seed}, afterwards");
        let mut work = Workload::new(&server, state, known.clone(), self.dice.number())?;
        work.run(40)?;
        let state = work.quiesce()?;
        drop(self.lose(work));
        let mut client = server.connect("postgres")?;
        let found = read_state(&mut client)?;
        if let Some(difference) = state.difference(&found) {
            return Err(Broken(difference));
        }
        check_whole(&server, &mut client, &state, &known)?;
        Ok(())
    }

    fn lose(&mut self, mut work: Workload<'_>) -> History {
        self.points.refused += work.refused;
        self.points.commits += work.history.commits.len() as u64;
        std::mem::take(&mut work.history)
    }

    /// Chooses operations at which the disk is kept.
    fn keep_moments(&mut self, disk: &SimulatedFileSystem) {
        let gap = 4 + self.dice.below(200);
        disk.keep_moments(self.dice.rising(disk.operations(), gap, 100));
    }

    /// Recovers what a crash in `operation` left and checks it; perhaps crashes in the middle of that.
    fn recover(
        &mut self,
        image: SimulatedFileSystem,
        history: &History,
        operation: u64,
    ) -> Check<(Server, State, Known)> {
        let place = self.place.clone();
        if self.dice.once_in(2) {
            let spread = [300, 3000][self.dice.below(2)];
            image.keep_moments([1 + self.dice.below(spread) as u64]);
        }
        let server = Server::start(image, self.frames)?;
        let moments = server.disk.take_moments();
        server.disk.keep_moments([]);
        let (least, most) = history.bounds(operation);
        let (commits, state, known) = check_recovered(&server, history, least, most)?;
        for (operation, disk) in moments {
            self.place = format!("{place}, operation {operation} of recovery");
            self.points.recovering += 1;
            let again = Server::start(disk.crash(self.dice.number()), self.frames)?;
            check_recovered(&again, history, commits, commits)?;
        }
        self.place = place;
        Ok((server, state, known))
    }
}

/// Checks that the contents are those after some number of commits between the two; tells which.
fn check_recovered(
    server: &Server,
    history: &History,
    least: usize,
    most: usize,
) -> Check<(usize, State, Known)> {
    let mut client = server.connect("postgres")?;
    let found = read_state(&mut client)?;
    let mut differences = Vec::new();
    for commits in (least..=most).rev() {
        let expected = history.states[commits].clone().after_crash();
        let Some(difference) = expected.difference(&found) else {
            let known = history.known_after(commits);
            check_whole(server, &mut client, &expected, &known)?;
            drop_invalid_databases(&mut client)?;
            return Ok((commits, State { sequences: found.sequences, ..expected }, known));
        };
        differences.push(format!("after {commits} commits, {difference}"));
    }
    Err(Broken(format!("what is there is no state of the model: {}", differences.join("; "))))
}

/// An interrupted DROP DATABASE leaves a row that says so, with which it can be finished.
fn drop_invalid_databases(client: &mut crate::server::Client) -> Check {
    let invalid = client.query("select datname from pg_database where datconnlimit = -2")?;
    for row in &invalid.rows {
        let name = row[0].as_deref().expect("a name");
        client.query(&format!("drop database {name}"))?;
    }
    let left = client.query("select count(*) from pg_database where datconnlimit = -2")?;
    ensure!(left.value() == "0", "{} invalid databases are left", left.value());
    Ok(())
}
