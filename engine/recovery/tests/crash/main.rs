//! The crash sweep: a seeded mixed workload of several sessions on a simulated disk, the disk stopped at
//! many of its operations, what was not synced torn or lost, the cluster recovered and compared with a
//! model and with the invariants of its pages.
//!
//! Environment:
//!  * `KOKKIRI_CRASH_POINTS`: how many crash points in all.
//!  * `KOKKIRI_CRASH_SEED`: try only this seed, as a failure's message says.

mod check;
mod instance;
mod model;
mod rows;
mod schema;
mod sweep;
mod truncation;
mod workload;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use check::Check;
use instance::replayed;
use kokkiri_access::btree::record::info;
use kokkiri_access::heap::record::{heap_info, heap2_info};
use kokkiri_wal::rmgr::RmgrId;
use sweep::{Points, Sweep};

const DEFAULT_POINTS: u64 = 300;
/// A sweep that has found this many failures ends.
const FAILURES_MAX: usize = 10;

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics need no message.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    QUIET.set(true);
    let result = run();
    QUIET.set(false);
    result
}

/// Tries one seed; an error says what is wrong and how to see it again.
fn try_seed(seed: u64, run: fn(&mut Sweep) -> Check) -> Result<Points, String> {
    let mut sweep = Sweep::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut sweep)));
    let what = match outcome {
        Ok(Ok(())) => return Ok(sweep.points),
        Ok(Err(broken)) => broken.0,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
        }
    };
    Err(format!("{}: {what}\n    again: KOKKIRI_CRASH_SEED={seed}", sweep.place))
}

/// Tries seed after seed until there were `wanted` crashes.
fn sweep(name: &str, wanted: u64, run: fn(&mut Sweep) -> Check) {
    let started = Instant::now();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !QUIET.get() {
            report(panic);
        }
    }));
    if let Some(seed) = number_from("KOKKIRI_CRASH_SEED") {
        let points = try_seed(seed, run).unwrap_or_else(|message| panic!("{message}"));
        println!("{name}, seed {seed}: {points:?} in {:.1} s", started.elapsed().as_secs_f64());
        return;
    }
    let next_seed = AtomicU64::new(1);
    let total = Mutex::new(Points::default());
    let failures = Mutex::new(Vec::new());
    let enough = || {
        total.lock().expect("no panic").all() >= wanted
            || failures.lock().expect("no panic").len() >= FAILURES_MAX
    };
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get()).min(16);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !enough() {
                    match try_seed(next_seed.fetch_add(1, Ordering::Relaxed), run) {
                        Ok(points) => total.lock().expect("no panic").add(&points),
                        Err(message) => failures.lock().expect("no panic").push(message),
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    let failures = failures.into_inner().expect("no panic");
    println!(
        "{name}: {} crash points of {} seeds in {:.1} s: {total:?}",
        total.all(),
        next_seed.into_inner() - 1,
        started.elapsed().as_secs_f64()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn points() -> u64 {
    number_from("KOKKIRI_CRASH_POINTS").unwrap_or(DEFAULT_POINTS)
}

/// Kinds of records that a sweep of some length must have replayed, or it proves little.
const KINDS: [(RmgrId, u8, &str); 27] = [
    (RmgrId::Heap, heap_info::INSERT, "INSERT"),
    (RmgrId::Heap, heap_info::INSERT | heap_info::INIT_PAGE, "INSERT+INIT"),
    (RmgrId::Heap, heap_info::DELETE, "DELETE"),
    (RmgrId::Heap, heap_info::UPDATE, "UPDATE"),
    (RmgrId::Heap, heap_info::UPDATE | heap_info::INIT_PAGE, "UPDATE+INIT"),
    (RmgrId::Heap, heap_info::HOT_UPDATE, "HOT_UPDATE"),
    (RmgrId::Heap, heap_info::LOCK, "LOCK"),
    (RmgrId::Heap2, heap2_info::PRUNE_ON_ACCESS, "PRUNE_ON_ACCESS"),
    (RmgrId::Heap2, heap2_info::PRUNE_VACUUM_SCAN, "PRUNE_VACUUM_SCAN"),
    (RmgrId::Heap2, heap2_info::PRUNE_VACUUM_CLEANUP, "PRUNE_VACUUM_CLEANUP"),
    (RmgrId::Heap2, heap2_info::VISIBLE, "VISIBLE"),
    (RmgrId::Heap2, heap2_info::MULTI_INSERT, "MULTI_INSERT"),
    (RmgrId::Heap2, heap2_info::LOCK_UPDATED, "LOCK_UPDATED"),
    (RmgrId::Btree, info::INSERT_LEAF, "INSERT_LEAF"),
    (RmgrId::Btree, info::INSERT_UPPER, "INSERT_UPPER"),
    (RmgrId::Btree, info::SPLIT_L, "SPLIT_L"),
    (RmgrId::Btree, info::SPLIT_R, "SPLIT_R"),
    (RmgrId::Btree, info::INSERT_POST, "INSERT_POST"),
    (RmgrId::Btree, info::DEDUP, "DEDUP"),
    (RmgrId::Btree, info::DELETE, "DELETE"),
    (RmgrId::Btree, info::UNLINK_PAGE, "UNLINK_PAGE"),
    (RmgrId::Btree, info::NEWROOT, "NEWROOT"),
    (RmgrId::Btree, info::MARK_PAGE_HALFDEAD, "MARK_PAGE_HALFDEAD"),
    (RmgrId::Btree, info::VACUUM, "VACUUM"),
    (RmgrId::Btree, info::REUSE_PAGE, "REUSE_PAGE"),
    (RmgrId::Btree, info::META_CLEANUP, "META_CLEANUP"),
    (RmgrId::Sequence, 0, "LOG"),
];

#[test]
fn every_crash_is_recovered_from() {
    sweep("power failures", points(), Sweep::run);
    let counts = KINDS.map(|(rmgr, info, name)| (rmgr.name(), name, replayed(rmgr, info)));
    let text: Vec<String> =
        counts.iter().map(|(rmgr, name, count)| format!("{rmgr}/{name} {count}")).collect();
    println!("replayed: {}", text.join(", "));
    let missing: Vec<_> = counts.iter().filter(|(.., count)| *count == 0).collect();
    assert!(missing.is_empty() || points() < 1000, "the workload never led to {missing:?}");
}

#[test]
fn a_sync_that_fails_is_a_crash() {
    sweep("failing syncs", points() / 10, Sweep::run_with_failing_syncs);
}

#[test]
fn a_full_disk_loses_nothing() {
    sweep("full disks", points() / 10, Sweep::run_with_full_disks);
}
