//! The crash sweep over SQL: a seeded workload of several sessions on a simulated disk, power failing at
//! many of the disk's operations, what was not synced torn or lost, the engine started again and compared
//! with a model, with its catalogs, indexes and files.
//!
//! Environment:
//!  * `KOKKIRI_CRASH_POINTS`: how many crash points in all.
//!  * `KOKKIRI_CRASH_SEED`: try only this seed, as a failure's message says.
//!  * `KOKKIRI_CRASH_TRACE`: show every statement, with the disk's operations before and after it.

mod check;
mod model;
mod server;
mod statement;
mod sweep;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sweep::{Points, Sweep};

const DEFAULT_POINTS: u64 = 40;
/// A sweep that has found this many failures ends.
const FAILURES_MAX: usize = 5;

fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Tries one seed; an error says what is wrong and how to see it again.
fn try_seed(seed: u64) -> Result<Points, String> {
    let mut sweep = Sweep::new(seed);
    let what = match catch_unwind(AssertUnwindSafe(|| sweep.run())) {
        Ok(Ok(())) => return Ok(sweep.points),
        Ok(Err(broken)) => broken.0,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
        }
    };
    Err(format!("{}: {what}\n    again: KOKKIRI_CRASH_SEED={seed}", sweep.place))
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let started = Instant::now();
    if let Some(seed) = number_from("KOKKIRI_CRASH_SEED") {
        let points = try_seed(seed).unwrap_or_else(|message| panic!("{message}"));
        println!("seed {seed}: {points:?} in {:.1} s", started.elapsed().as_secs_f64());
        return;
    }
    let wanted = number_from("KOKKIRI_CRASH_POINTS").unwrap_or(DEFAULT_POINTS);
    let next_seed = AtomicU64::new(1);
    let total = Mutex::new(Points::default());
    let failures = Mutex::new(Vec::new());
    let enough = || {
        total.lock().expect("no panic").all() >= wanted
            || failures.lock().expect("no panic").len() >= FAILURES_MAX
    };
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get()).min(8);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !enough() {
                    match try_seed(next_seed.fetch_add(1, Ordering::Relaxed)) {
                        Ok(points) => total.lock().expect("no panic").add(&points),
                        Err(message) => {
                            println!("{message}");
                            failures.lock().expect("no panic").push(message);
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    let failures = failures.into_inner().expect("no panic");
    println!(
        "{} crash points of {} seeds in {:.1} s: {total:?}",
        total.all(),
        next_seed.into_inner() - 1,
        started.elapsed().as_secs_f64()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
