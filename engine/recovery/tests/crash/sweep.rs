//! One seed's runs and crashes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use kokkiri_fuzzing::{Check, CrashPoints, CrashRun, Dice, ensure};
use kokkiri_primitives::ids::Lsn;
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_storage::SimulatedFileSystem;
use kokkiri_storage::file::Fault;

use crate::check::{check, check_files};
use crate::instance::{Instance, Shape, create};
use crate::model::{History, State};
use crate::quietly;
use crate::workload::Workload;

/// Runs of one seed, each on what the last one left.
const ROUNDS: usize = 3;
/// Crashes tried of one run.
const MOMENTS: usize = 9;

/// Crashes recovered from.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// In the middle of the workload.
    pub running: u64,
    /// In the middle of recovery.
    pub recovering: u64,
    /// Shortly after recovery.
    pub recovered: u64,
    /// Of a whole run's end.
    pub ended: u64,
    /// After a sync has failed.
    pub failed_sync: u64,
    /// With a full disk, and how many statements that failed.
    pub full_disk: u64,
    pub refused: u64,
}

impl CrashPoints for Points {
    fn all(&self) -> u64 {
        self.running + self.recovering + self.recovered + self.ended + self.failed_sync + self.full_disk
    }

    fn add(&mut self, other: &Self) {
        self.running += other.running;
        self.recovering += other.recovering;
        self.recovered += other.recovered;
        self.ended += other.ended;
        self.failed_sync += other.failed_sync;
        self.full_disk += other.full_disk;
        self.refused += other.refused;
    }
}

pub struct Sweep {
    dice: Dice,
    shape: Shape,
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
        let shape = Shape {
            checksums: !dice.once_in(4),
            frames: [32, 64, 400][dice.below(3)],
            wal_buffers: [8, 64][dice.below(2)],
            first_xid: if dice.once_in(2) { 32_768 - dice.below(150) as u64 } else { 750 },
        };
        Self { dice, shape, points: Points::default(), place: format!("seed {seed}") }
    }

    pub fn run(&mut self) -> Check {
        let seed = self.place.clone();
        let mut instance = self.first_instance()?;
        let mut state = State::default();
        for round in 1..=ROUNDS {
            self.place = format!("{seed}, round {round}");
            let place = self.place.clone();
            let mut work = Workload::new(instance, state, self.dice.number());
            self.keep_moments(&work.instance.disk);
            let steps = 200 + self.dice.below(400);
            work.run(steps)?;
            let mut moments = work.instance.disk.take_moments();
            self.dice.thin(&mut moments, MOMENTS);
            for (operation, disk) in moments {
                self.place = format!("{place}, operation {operation}");
                let durable = work.history.durable_before(operation);
                let image = disk.crash(self.dice.number());
                self.points.running += 1;
                let (instance, state) = self.recover(image, &work.history, durable)?;
                self.go_on(instance, state)?;
            }
            self.place = format!("{place}, its end");
            (instance, state) = self.end(work)?;
        }
        Ok(())
    }

    fn first_instance(&mut self) -> Check<Instance> {
        let disk = SimulatedFileSystem::new(self.dice.number());
        create(&disk, self.shape);
        Ok(Instance::start(disk.copy(self.dice.number()), self.shape)?)
    }

    /// Syncs that fail: nobody may rely on what they should have made durable, nor try again.
    pub fn run_with_failing_syncs(&mut self) -> Check {
        let seed = self.place.clone();
        let mut instance = self.first_instance()?;
        let mut state = State::default();
        for _ in 0..20 {
            let operation = instance.disk.operations() + 1 + self.dice.below(200) as u64;
            self.place = format!("{seed}, failing operation {operation}");
            instance.disk.set_fault(Fault { sync_error_at: Some(operation), ..Fault::default() });
            let mut work = Workload::new(instance, state, self.dice.number());
            let outcome = quietly(|| catch_unwind(AssertUnwindSafe(|| work.run(120))));
            if work.instance.poison.is_poisoned() {
                self.points.failed_sync += 1;
            } else {
                match outcome {
                    // Of a file that nobody relies on yet: a new segment before it has its name.
                    Ok(Err(error)) if error.sqlstate() == SqlState::IO_ERROR => self.points.failed_sync += 1,
                    Ok(outcome) => outcome?,
                    Err(panic) => resume_unwind(panic),
                }
            }
            let image = work.instance.disk.crash(self.dice.number());
            let history = work.lose();
            let durable = history.durable_before(u64::MAX);
            (instance, state) = self.recover(image, &history, durable)?;
        }
        Ok(())
    }

    /// A disk that fills up: statements are refused, nothing is lost, and it works again with space.
    pub fn run_with_full_disks(&mut self) -> Check {
        let seed = self.place.clone();
        let mut instance = self.first_instance()?;
        let mut state = State::default();
        for round in 1..=6 {
            self.place = format!("{seed}, full disk {round}");
            let mut work = Workload::new(instance, state, self.dice.number());
            work.run(60)?;
            let disk = work.instance.disk.clone();
            let capacity = disk.used_bytes() + self.dice.below(300_000) as u64;
            disk.set_fault(Fault { capacity_bytes: Some(capacity), ..Fault::default() });
            let outcome = quietly(|| catch_unwind(AssertUnwindSafe(|| work.run_on_full_disk(200))));
            self.points.full_disk += 1;
            disk.set_fault(Fault::default());
            if work.instance.poison.is_poisoned() {
                let image = disk.crash(self.dice.number());
                let history = work.lose();
                let durable = history.durable_before(u64::MAX);
                (instance, state) = self.recover(image, &history, durable)?;
                continue;
            }
            match outcome {
                Ok(refused) => self.points.refused += refused? as u64,
                Err(panic) => resume_unwind(panic),
            }
            work.run(60)?;
            work.quiesce()?;
            check(&work.instance, &work.current)?;
            (instance, state) = self.end(work)?;
        }
        Ok(())
    }

    /// Chooses operations at which the disk is kept.
    fn keep_moments(&mut self, disk: &SimulatedFileSystem) {
        let gap = 4 + self.dice.below(100);
        disk.keep_moments(self.dice.rising(disk.operations(), gap, 200));
    }

    /// Recovers what a crash left and checks it; perhaps crashes in the middle of that.
    fn recover(
        &mut self,
        image: SimulatedFileSystem,
        history: &History,
        durable: Lsn,
    ) -> Check<(Instance, State)> {
        let place = self.place.clone();
        if self.dice.once_in(2) {
            let spread = [30, 300][self.dice.below(2)];
            image.keep_moments([1 + self.dice.below(spread) as u64]);
        }
        let instance = Instance::start(image, self.shape)?;
        let end = instance.outcome.end_of_log;
        ensure!(end >= durable, "the log ends at {end}, but was durable up to {durable}");
        let (state, kept, lost) = history.state_at(end);
        let transactions = &instance.cluster.transactions;
        for commit in kept {
            ensure!(transactions.did_commit(commit.xid)?, "{} is in the log but not committed", commit.xid);
        }
        let next = transactions.xids.next().xid();
        let lost = lost.iter().map(|commit| commit.xid);
        for xid in lost.chain(history.aborted.iter().copied()).filter(|xid| xid.precedes(next)) {
            ensure!(!transactions.did_commit(xid)?, "{xid} is committed");
        }
        let state = state.renewed();
        check_files(&instance, &state)?;
        check(&instance, &state)?;
        for (operation, disk) in instance.disk.take_moments() {
            self.place = format!("{place}, operation {operation} of recovery");
            self.points.recovering += 1;
            let again = Instance::start(disk.crash(self.dice.number()), self.shape)?;
            check_files(&again, &state)?;
            check(&again, &state.clone().renewed())?;
        }
        self.place = place;
        Ok((instance, state))
    }

    /// The workload goes on after recovery, and perhaps crashes soon.
    fn go_on(&mut self, instance: Instance, state: State) -> Check {
        if !self.dice.once_in(2) {
            return Ok(());
        }
        let place = self.place.clone();
        let crashes = self.dice.once_in(2);
        let operation = instance.disk.operations() + 1 + self.dice.below(120) as u64;
        let mut work = Workload::new(instance, state, self.dice.number());
        let steps = 20 + self.dice.below(80);
        if !crashes {
            self.place = format!("{place}, afterwards");
            work.run(steps)?;
            work.quiesce()?;
            return check(&work.instance, &work.current);
        }
        self.place = format!("{place}, operation {operation} afterwards");
        work.instance.disk.crash_at(operation);
        self.run_until_stopped(&mut work, 10 * steps)?;
        let disk = work.instance.disk.clone();
        let history = work.lose();
        self.points.recovered += 1;
        let durable = history.durable_before(operation);
        let image = disk.crash(self.dice.number());
        self.recover(image, &history, durable).map(drop)
    }

    /// Runs until the disk stops. Nothing else may go wrong; a log that can't be written ends in a panic,
    /// because who inserts can't fail, and that poisons the instance.
    fn run_until_stopped(&self, work: &mut Workload, steps: usize) -> Check {
        let outcome = quietly(|| catch_unwind(AssertUnwindSafe(|| work.run(steps))));
        if work.instance.disk.has_stopped() {
            ensure!(outcome.is_ok() || work.instance.poison.is_poisoned(), "a panic that poisons nothing");
            return Ok(());
        }
        match outcome {
            Ok(outcome) => Ok(outcome?),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Ends a run, by a shutdown or a crash, and starts again.
    fn end(&mut self, mut work: Workload) -> Check<(Instance, State)> {
        if self.dice.once_in(3) {
            work.quiesce()?;
            check(&work.instance, &work.current)?;
            work.instance.maker.make(CheckpointRequest::SHUTDOWN, &mut |_| Ok(()))?;
            let disk = work.instance.disk.clone();
            let state = std::mem::take(&mut work.current).renewed();
            drop(work);
            let disk = if self.dice.once_in(2) { disk.crash(self.dice.number()) } else { disk.copy(1) };
            let instance = Instance::start(disk, self.shape)?;
            ensure!(!instance.outcome.recovered, "a cluster that was shut down is recovered");
            check_files(&instance, &state)?;
            check(&instance, &state)?;
            return Ok((instance, state));
        }
        let disk = work.instance.disk.clone();
        let image = disk.crash(self.dice.number());
        let history = work.lose();
        self.points.ended += 1;
        let durable = history.durable_before(u64::MAX);
        self.recover(image, &history, durable)
    }
}
