//! The heap against a model, and its replay against itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use kokkiri_access::heap::vacuum::{CostLimits, FreezeAges, VacuumOptions, compute_cutoffs};
use kokkiri_access::heap::{
    Heap, Heap2Resource, HeapResource, InsertOptions, NewValue, Scan, ScanOptions, page,
};
use kokkiri_access::relation::{
    IndexCleanup, InsertTargets, Persistence, Relation, RelationFile, RelationKind, RelationOptions,
};
use kokkiri_access::tuple::header::{Infomask, TupleHeader};
use kokkiri_primitives::{
    BlockNumber, Fork, ItemPointer, MultiXactId, Oid, RelFileLocator, RelFileNumber, TransactionId,
};
use kokkiri_storage::buffer::ReadMode;
use kokkiri_storage::page::{ItemId, PD_ALL_VISIBLE};
use kokkiri_storage::visibility_map;
use kokkiri_transaction::testing::{Client, Directory, FIRST_XID};
use kokkiri_transaction::{Cluster, Visibility};
use kokkiri_types::{Attribute, Batch, TupleDesc, ValueRef};
use kokkiri_wal::rmgr::RmgrId;

fn relation(fillfactor: u8) -> Relation {
    let attributes = vec![
        Attribute::builtin("id", 1, Oid(23)),
        Attribute::builtin("note", 2, Oid(25)),
        Attribute::builtin("n", 3, Oid(20)),
    ];
    let locator = RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16400) };
    Relation {
        oid: Oid(16400),
        name: "t".into(),
        namespace: Oid(2200),
        namespace_name: "public".into(),
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        file: RelationFile::permanent(locator),
        tuple_desc: TupleDesc::new(attributes),
        options: RelationOptions { fillfactor, ..RelationOptions::default() },
        toast: None,
        indexes: Vec::new(),
        is_catalog: false,
        insert_targets: InsertTargets::default(),
    }
}

/// A linear congruential generator: the seed repeats the run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

type Rows = BTreeMap<i32, (String, i64, ItemPointer)>;

fn read(heap: &Heap<'_>) -> Rows {
    let snapshot = heap.transaction.snapshot();
    let options = ScanOptions { columns: vec![2, 0, 1], ..ScanOptions::default() };
    let mut scan = Scan::new(heap, &options).unwrap();
    let mut batch = Batch::new(scan.physical_types());
    let mut rows = Rows::new();
    loop {
        let count = scan.next(heap, &Visibility::Mvcc(&snapshot), &mut batch, 100).unwrap();
        if count == 0 {
            return rows;
        }
        for row in 0..count {
            let text = batch.columns[2].get(row).text().into_owned();
            let id = batch.columns[1].get(row).int32();
            let old = rows.insert(id, (text, batch.columns[0].get(row).int64(), scan.tids()[row]));
            assert!(old.is_none(), "row {id} is visible twice");
        }
    }
}

/// One transaction of random changes; the model follows if it commits.
fn random_transaction(
    client: &Client,
    relation: &Relation,
    random: &mut Random,
    model: &mut Rows,
    next_id: &mut i32,
) {
    let transaction = client.begin();
    let heap = Heap::new(relation, &transaction);
    let mut mine = read(&heap);
    for _ in 0..1 + random.below(12) {
        let note = "x".repeat(random.below(600));
        let n = random.below(1000) as i64;
        match random.below(10) {
            0..4 => {
                let id = *next_id;
                *next_id += 1;
                let row = [ValueRef::Int32(id), ValueRef::Bytes(note.as_bytes()), ValueRef::Int64(n)];
                let tid = heap.insert(&row, InsertOptions::default()).unwrap();
                mine.insert(id, (note, n, tid));
            }
            4..8 => {
                let Some(id) = mine.keys().nth(random.below(mine.len().max(1))).copied() else { continue };
                let tid = mine[&id].2;
                let text = if random.below(2) == 0 { mine[&id].0.clone() } else { note };
                let new = [
                    NewValue::Unchanged,
                    if text == mine[&id].0 {
                        NewValue::Unchanged
                    } else {
                        NewValue::Set(ValueRef::Bytes(text.as_bytes()))
                    },
                    NewValue::Set(ValueRef::Int64(n)),
                ];
                let updated = heap.update(tid, &new).unwrap().expect("nobody else is there");
                mine.insert(id, (text.clone(), n, updated.tid));
            }
            _ => {
                let Some(id) = mine.keys().nth(random.below(mine.len().max(1))).copied() else { continue };
                heap.delete(mine[&id].2, false).unwrap().expect("nobody else is there");
                mine.remove(&id);
            }
        }
        transaction.advance_command().unwrap();
        if random.below(6) == 0 {
            assert_eq!(read(&heap), mine, "a transaction sees its own changes");
        }
    }
    if random.below(4) == 0 {
        transaction.abort();
    } else {
        transaction.commit().unwrap();
        *model = mine;
    }
}

/// A tuple's header and data.
type Version = (TupleHeader, Vec<u8>);

/// What two copies of a page must agree in: everything but LSN, hints and unused space.
fn essence(
    cluster: &Arc<Cluster>,
    relation: &Relation,
    block: BlockNumber,
) -> Vec<(ItemId, Option<Version>)> {
    let pin = cluster.buffers.read(relation.file, Fork::Main, block, ReadMode::Normal, None).unwrap();
    let guard = pin.read();
    guard
        .item_ids()
        .map(|(offset, item_id)| {
            let tuple = page::tuple(&guard, offset).map(|bytes| {
                let mut header = TupleHeader::read(bytes).unwrap();
                header.cid = Default::default();
                let hints = Infomask::XMIN_COMMITTED | Infomask::XMIN_INVALID | Infomask::XMAX_COMMITTED;
                header.infomask.0 &= !(hints | Infomask::XMAX_INVALID | Infomask::COMBO_CID);
                (header, bytes[usize::from(header.hoff)..].to_vec())
            });
            (item_id, tuple)
        })
        .collect()
}

/// Vacuums and looks whether anything but garbage is gone. `freeze` is VACUUM FREEZE.
fn vacuum(client: &Client, relation: &Relation, model: &Rows, freeze: bool) {
    let transaction = client.begin();
    let heap = Heap::new(relation, &transaction);
    let ages = if freeze {
        FreezeAges {
            min_age: 0,
            table_age: 0,
            multixact_min_age: 0,
            multixact_table_age: 0,
            ..FreezeAges::default()
        }
    } else {
        FreezeAges::default()
    };
    let (cutoffs, aggressive) = compute_cutoffs(&heap, TransactionId(FIRST_XID), MultiXactId(1), &ages);
    let options = VacuumOptions {
        cutoffs,
        aggressive,
        read_all: false,
        index_cleanup: IndexCleanup::Auto,
        truncate: true,
        ring_kilobytes: 2048,
        memory_bytes: 1 << 20,
        costs: CostLimits::default(),
    };
    assert_eq!(aggressive, freeze);
    let report = heap.vacuum(&options).unwrap();
    assert_eq!(report.live_tuples, model.len() as u64);
    assert_eq!(report.recently_dead_tuples, 0, "nobody needs old versions");
    assert_eq!(report.visible_pages, u64::from(report.pages), "every page is visible to everybody");
    if freeze {
        assert_eq!(report.frozen_pages, u64::from(report.pages));
        assert_eq!(report.oldest_ids, Some((cutoffs.oldest_xmin, cutoffs.oldest_mxact)));
    }
    assert_eq!(&read(&heap), model);
    transaction.commit().unwrap();
}

/// A page's own flag and its bits in the visibility map.
fn map_bits(cluster: &Arc<Cluster>, relation: &Relation, block: BlockNumber) -> (bool, u8) {
    let pin = cluster.buffers.read(relation.file, Fork::Main, block, ReadMode::Normal, None).unwrap();
    let flag = pin.read().has_flag(PD_ALL_VISIBLE);
    (flag, visibility_map::status(&cluster.buffers, relation.file, block, &mut None).unwrap())
}

fn run(seed: u64, fillfactor: u8) {
    let directory = Directory::new(&format!("heap-{seed}-{fillfactor}"));
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let _entered = client.registration.backend().enter();
    let relation = relation(fillfactor);
    let transaction = client.begin();
    transaction.create_storage(relation.file, true).unwrap();
    transaction.commit().unwrap();
    let mut random = Random(seed);
    let mut model = Rows::new();
    let mut next_id = 1;
    for round in 1..=120 {
        random_transaction(&client, &relation, &mut random, &mut model, &mut next_id);
        if round % 40 == 0 {
            vacuum(&client, &relation, &model, round == 80);
        }
    }
    let transaction = client.begin();
    assert_eq!(read(&Heap::new(&relation, &transaction)), model, "seed {seed}");
    transaction.commit().unwrap();
    cluster.wal.flush(cluster.wal.insert_lsn()).unwrap();

    let replayed = directory.replay(&[(RmgrId::Heap, &HeapResource), (RmgrId::Heap2, &Heap2Resource)]);
    let blocks = cluster.buffers.blocks(relation.file, Fork::Main).unwrap();
    assert!(blocks > 3, "the test fills some pages");
    assert_eq!(replayed.buffers.blocks(relation.file, Fork::Main).unwrap(), blocks);
    for block in (0..blocks).map(BlockNumber) {
        assert_eq!(
            essence(&replayed, &relation, block),
            essence(&cluster, &relation, block),
            "seed {seed} block {block}"
        );
        let (old, new) = (map_bits(&cluster, &relation, block), map_bits(&replayed, &relation, block));
        assert_eq!(old, new, "seed {seed} block {block}");
    }
}

#[test]
fn random_changes_match_a_model_and_their_replay() {
    for seed in 1..=4 {
        run(seed, 100);
    }
    run(5, 60);
}
