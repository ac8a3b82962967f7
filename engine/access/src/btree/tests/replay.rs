//! Replay makes the same pages, and every state it passes through is sound.

use super::super::record::info;
use super::super::redo::BtreeResourceManager;
use super::*;

/// Reads the Btree records and page images of a cluster's WAL one by one.
fn for_each_record(fixture: &Fixture, mut replay: impl FnMut(&DecodedRecord)) {
    let wal = &fixture.cluster.wal;
    wal.flush(wal.insert_lsn()).unwrap();
    let mut reader =
        WalReader::new(fixture.directory.file_system(), geometry(), TimelineId(1), SYSTEM_IDENTIFIER);
    reader.seek(wal_start());
    while let ReadOutcome::Record(record) = reader.read().unwrap() {
        replay(&record);
    }
}

fn replay(context: &ReplayContext, record: &DecodedRecord) {
    match record.rmgr {
        RmgrId::Btree => BtreeResourceManager.redo(context, record).unwrap(),
        RmgrId::Xlog if record.operation() == xlog::FPI => context.restore_images(record).unwrap(),
        _ => {}
    }
}

#[test]
fn replay_makes_the_same_pages() {
    let seed = 0xB7EE_0001;
    let fixture = Fixture::new();
    let index = fixture.index(descriptor(&[23], false));
    random_workload(&fixture, &index, seed, 16);
    let replayed = Fixture::new();
    let context = ReplayContext::new(Arc::clone(&replayed.cluster.buffers));
    let mut kinds = BTreeMap::new();
    for_each_record(&fixture, |record| {
        if record.rmgr == RmgrId::Btree {
            *kinds.entry(record.operation()).or_insert(0) += 1;
        }
        replay(&context, record);
    });
    // All but those of an index that shrinks to fewer levels, and of splits above the leaves.
    for kind in [
        info::INSERT_LEAF,
        info::INSERT_UPPER,
        info::SPLIT_L,
        info::SPLIT_R,
        info::INSERT_POST,
        info::DEDUP,
        info::DELETE,
        info::UNLINK_PAGE,
        info::NEWROOT,
        info::MARK_PAGE_HALFDEAD,
        info::VACUUM,
        info::REUSE_PAGE,
        info::META_CLEANUP,
    ] {
        assert!(kinds.contains_key(&kind), "seed {seed}: the workload makes no record {kind:#x}: {kinds:x?}");
    }
    let tree = replayed.tree(&index);
    check(&tree).unwrap();
    for block in 0..fixture.tree(&index).block_count().unwrap() {
        let block = BlockNumber(block);
        let original = fixture.tree(&index).pin(block).unwrap().read();
        let again = tree.pin(block).unwrap().read();
        assert_eq!(masked(&original)[..], masked(&again)[..], "seed {seed}, block {block}");
    }
    waldump_reads_it_too(&fixture, &kinds);
}

/// PostgreSQL's pg_waldump counts the same records, if KOKKIRI_PG_BIN names the directory it is in.
fn waldump_reads_it_too(fixture: &Fixture, kinds: &BTreeMap<u8, u32>) {
    let Ok(programs) = std::env::var("KOKKIRI_PG_BIN") else { return };
    let output = std::process::Command::new(std::path::Path::new(&programs).join("pg_waldump"))
        .args(["-r", "Btree", "-s", &wal_start().to_string(), "-p"])
        .arg(fixture.directory.0.join("pg_wal"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for (name, kind) in [
        ("INSERT_LEAF", info::INSERT_LEAF),
        ("INSERT_POST", info::INSERT_POST),
        ("SPLIT_L", info::SPLIT_L),
        ("SPLIT_R", info::SPLIT_R),
        ("DEDUP", info::DEDUP),
        ("VACUUM", info::VACUUM),
        ("UNLINK_PAGE", info::UNLINK_PAGE),
    ] {
        let lines = text.matches(&format!("desc: {name} ")).count();
        assert_eq!(
            lines as u32,
            kinds[&kind],
            "{name} records in\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A crash may come between the two records of a split, or of a page's deletion. The tree is sound then
/// too, and goes on from there.
#[test]
fn every_state_between_two_records_is_sound() {
    let seed = 0x00C0_FFEE;
    let fixture = Fixture::new();
    let index = fixture.index(descriptor(&[23], false));
    random_workload(&fixture, &index, seed, 6);
    let mut between = Vec::new();
    for_each_record(&fixture, |record| {
        let half_done = matches!(
            record.operation(),
            info::SPLIT_L | info::SPLIT_R | info::MARK_PAGE_HALFDEAD | info::UNLINK_PAGE
        );
        if record.rmgr == RmgrId::Btree && half_done {
            between.push(record.lsn);
        }
    });
    assert!(between.len() > 40, "{}", between.len());
    let replayed = Fixture::new();
    let context = ReplayContext::new(Arc::clone(&replayed.cluster.buffers));
    let mut unfinished = 0;
    for_each_record(&fixture, |record| {
        replay(&context, record);
        if between.binary_search(&record.lsn).is_ok() {
            let report =
                check(&replayed.tree(&index)).unwrap_or_else(|e| panic!("seed {seed}, {}: {e}", record.lsn));
            unfinished += report.incomplete_splits + report.half_dead_pages;
        }
    });
    assert!(unfinished > 20, "{unfinished}");
    for stop in between.iter().step_by(between.len() / 8) {
        let crashed = Fixture::new();
        let index = Arc::new(descriptor(&[23], false));
        let context = ReplayContext::new(Arc::clone(&crashed.cluster.buffers));
        for_each_record(&fixture, |record| {
            if record.lsn <= *stop {
                replay(&context, record);
            }
        });
        let tree = crashed.tree(&index);
        let mut random = Random(stop.0);
        for n in 0..3000 {
            let key = ValueRef::Int32(random.below(100_000) as i32);
            insert(&tree, &Table::default(), &[key], tid(10_000_000 + n), PLAIN).unwrap();
        }
        let mut statistics = VacuumStatistics::default();
        vacuum::bulk_delete(&tree, None, &mut statistics, &mut |tid| tid.block.0 < 50_000).unwrap();
        let report = check(&tree).unwrap_or_else(|e| panic!("seed {seed}, stopped at {stop}: {e}"));
        assert_eq!((report.tids, report.half_dead_pages), (3000, 0), "stopped at {stop}");
    }
}

/// The page without what a replayed one may differ in: `btree_mask`.
fn masked(guard: &PageReadGuard) -> Vec<u8> {
    let page: &Page = guard;
    if page.is_new() {
        return page.bytes().to_vec();
    }
    let mut page = page.clone();
    page.set_lsn(Lsn::INVALID);
    page.clear_checksum();
    let (lower, upper) = (page.lower(), page.upper());
    page.bytes_mut()[lower..upper].fill(0);
    let opaque = page.opaque();
    let kept = opaque.flags & !(flags::HAS_GARBAGE | flags::SPLIT_END);
    page.set_opaque(Opaque { flags: kept, cycle_id: 0, ..opaque });
    if opaque.is_leaf() && !opaque.is_deleted() {
        for offset in 1..=page.max_offset().0 {
            let offset = OffsetNumber(offset);
            if let Some(item) = page.item_id(offset) {
                page.set_item_id(offset, item.with_flags(kokkiri_storage::ItemFlags::Normal));
            }
        }
    }
    page.bytes().to_vec()
}
