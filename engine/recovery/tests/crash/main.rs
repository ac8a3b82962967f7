//! The crash sweep: a seeded mixed workload of several sessions on a simulated disk, the disk stopped at
//! many of its operations, what was not synced torn or lost, the cluster recovered and compared with a
//! model and with the invariants of its pages. `kokkiri_fuzzing::sweep` tells of the environment.

mod check;
mod instance;
mod model;
mod rows;
mod schema;
mod sweep;
mod truncation;
mod workload;

use std::cell::Cell;

use instance::replayed;
use kokkiri_access::btree::record::info;
use kokkiri_access::heap::record::{heap_info, heap2_info};
use kokkiri_fuzzing::{Check, crash_points};
use kokkiri_wal::rmgr::RmgrId;
use sweep::Sweep;

const DEFAULT_POINTS: u64 = 300;

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

/// Tries seed after seed until there were `wanted` crashes.
fn sweep(name: &str, wanted: u64, run: fn(&mut Sweep) -> Check) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !QUIET.get() {
            report(panic);
        }
    }));
    let report = kokkiri_fuzzing::sweep(wanted, Sweep::new, run);
    println!("{name}: {report}");
    report.expect_whole();
}

fn points() -> u64 {
    crash_points(DEFAULT_POINTS)
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
