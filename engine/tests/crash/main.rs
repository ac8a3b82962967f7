//! The crash sweep over SQL: a seeded workload of several sessions on a simulated disk, power failing at
//! many of the disk's operations, what was not synced torn or lost, the engine started again and compared
//! with a model, with its catalogs, indexes and files.
//!
//! `kokkiri_fuzzing::sweep` tells of the environment; with `KOKKIRI_CRASH_TRACE` every statement is shown too,
//! with the disk's operations before and after it.

mod check;
mod model;
mod server;
mod statement;
mod sweep;
mod workload;

use kokkiri_fuzzing::crash_points;
use sweep::Sweep;

const DEFAULT_POINTS: u64 = 40;

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let report = kokkiri_fuzzing::sweep(crash_points(DEFAULT_POINTS), Sweep::new, Sweep::run);
    println!("{report}");
    report.expect_whole();
}
