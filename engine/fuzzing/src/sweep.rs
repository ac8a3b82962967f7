//! Crash sweeps: what one seed says is run on a simulated disk, the disk stopped at many of its operations,
//! and what survived recovered and checked, until there were enough such crash points.
//!
//! A sweep is an ordinary test that calls [`sweep`] with its [`CrashRun`]. What a seed does depends on nothing else:
//! the message of a failure names it, and `KOKKIRI_CRASH_SEED=n` tries it alone. `KOKKIRI_CRASH_POINTS` is how
//! many crash points there are to be in all.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kokkiri_primitives::Error;

use crate::number;

/// A sweep that has found this many failures ends.
const FAILURES_MAX: usize = 10;
/// Seeds that are tried at once, if there are as many processors.
const WORKERS_MAX: usize = 16;

/// What is wrong with a cluster.
#[derive(Debug)]
pub struct Broken(pub String);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        let fields = error.fields();
        let context = fields.context.as_deref().unwrap_or_default();
        Self(format!("{} {}: {} {context}", error.severity().as_str(), error.sqlstate(), error.message()))
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a check answers.
pub type Check<T = ()> = Result<T, Broken>;

/// Returns early with a [`Broken`] worded like `format!` unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Broken(format!($($message)+)));
        }
    };
}

/// The crashes recovered from, by their kinds, and whatever else is worth counting.
pub trait CrashPoints: Clone + fmt::Debug + Default + Send {
    /// The crashes alone.
    fn all(&self) -> u64;

    /// Adds those of another seed.
    fn add(&mut self, other: &Self);
}

/// The runs and crashes of one seed.
pub trait CrashRun {
    /// What it counts.
    type Points: CrashPoints;

    /// Those that there were so far.
    fn points(&self) -> &Self::Points;

    /// Where it is, for the message of a failure.
    fn place(&self) -> &str;
}

/// What a sweep has come to. Shown, it is the line that a test prints.
pub struct Report<P> {
    /// The only seed, or how many there were.
    only: Option<u64>,
    seeds: u64,
    points: P,
    took: Duration,
    failures: Vec<String>,
}

impl<P: CrashPoints> fmt::Display for Report<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (points, took) = (&self.points, self.took.as_secs_f64());
        match self.only {
            Some(seed) => write!(f, "seed {seed}: {points:?} in {took:.1} s"),
            None => {
                write!(f, "{} crash points of {} seeds in {took:.1} s: {points:?}", points.all(), self.seeds)
            }
        }
    }
}

impl<P> Report<P> {
    /// Ends the test if something was broken.
    ///
    /// # Panics
    /// With what is wrong and how to see it again, for each failure.
    pub fn expect_whole(&self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }
}

/// How many crash points are asked for.
pub fn crash_points(default: u64) -> u64 {
    number("KOKKIRI_CRASH_POINTS").unwrap_or(default)
}

/// Tries seed after seed, several at once, until there were `wanted` crash points; or the one that is asked
/// for. `start` prepares a seed's run.
pub fn sweep<R: CrashRun>(
    wanted: u64,
    start: impl Fn(u64) -> R + Sync,
    run: impl Fn(&mut R) -> Check + Sync,
) -> Report<R::Points> {
    let started = Instant::now();
    let only = number("KOKKIRI_CRASH_SEED");
    let next_seed = AtomicU64::new(only.unwrap_or(1));
    let found = Mutex::new((R::Points::default(), Vec::new()));
    let found_now = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let enough = || {
        let (points, failures) = &*found_now();
        points.all() >= wanted || failures.len() >= FAILURES_MAX
    };
    let try_next = || {
        let outcome = try_seed(next_seed.fetch_add(1, Ordering::Relaxed), &start, &run);
        let (points, failures) = &mut *found_now();
        match outcome {
            Ok(more) => points.add(&more),
            Err(message) => {
                println!("{message}");
                failures.push(message);
            }
        }
    };
    if only.is_some() {
        try_next();
    } else {
        let workers = std::thread::available_parallelism().map_or(2, |count| count.get()).min(WORKERS_MAX);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while !enough() {
                        try_next();
                    }
                });
            }
        });
    }
    let (points, failures) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report { only, seeds: next_seed.into_inner() - 1, points, took: started.elapsed(), failures }
}

/// An error says what is wrong and how to see it again.
fn try_seed<R: CrashRun>(
    seed: u64,
    start: impl Fn(u64) -> R,
    run: impl Fn(&mut R) -> Check,
) -> Result<R::Points, String> {
    let mut of_seed = start(seed);
    let what = match catch_unwind(AssertUnwindSafe(|| run(&mut of_seed))) {
        Ok(Ok(())) => return Ok(of_seed.points().clone()),
        Ok(Err(broken)) => broken.0,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
        }
    };
    Err(format!("{}: {what}\n    again: KOKKIRI_CRASH_SEED={seed}", of_seed.place()))
}
