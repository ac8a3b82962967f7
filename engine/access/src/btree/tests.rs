//! The tree as a whole, on a real data directory: against a model, under threads, replayed, and page for
//! page against PostgreSQL.

mod replay;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kokkiri_primitives::activity::{BackendType, Entered, ProcessArray, Registration, current};
use kokkiri_primitives::{
    BlockNumber, Fork, FullTransactionId, ItemPointer, Lsn, MultiXactId, OffsetNumber, Oid, RelFileLocator,
    RelFileNumber, Result, TimelineId, TransactionId,
};
use kokkiri_storage::{
    BufferPool, FileSystem, Page, PageReadGuard, Persistence as FilePersistence, Poison, PoolConfig,
    RealFileSystem, RelationFile, StorageManager,
};
use kokkiri_transaction::slru::SlruContext;
use kokkiri_transaction::{Cluster, TransactionOptions, TransactionSystem};
use kokkiri_types::{Attribute, TupleDesc, Value, ValueRef};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber};
use kokkiri_wal::reader::{ReadOutcome, WalReader};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::{self, CheckPoint, WalLevel};

use super::build::{BuildOutcome, build, build_empty};
use super::check::{check, check_visiting};
use super::page::{BtreePage, Opaque, flags};
use super::sort::{SortOptions, Spool};
use super::table::{IndexDeletion, IndexedTable, Probe};
use super::vacuum::{self, VacuumStatistics};
use super::*;
use crate::relation::{Comparator, IndexColumn, IndexDescriptor, IndexKey, IndexOptions, Persistence};

const SYSTEM_IDENTIFIER: u64 = 7_300_000_000_000_000_002;
const SEGMENT_SIZE: u64 = 1 << 20;
const LOCATOR: RelFileLocator =
    RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16390) };

/// A data directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kokkiri-btree-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        for directory in
            ["pg_wal", "pg_xact", "pg_subtrans", "pg_multixact/offsets", "pg_multixact/members", "base/5"]
        {
            std::fs::create_dir_all(path.join(directory)).expect("the temporary directory is writable");
        }
        Self(path)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(RealFileSystem::new(&self.0).expect("the directory is there"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn geometry() -> Geometry {
    Geometry::new(SEGMENT_SIZE).expect("1 MB is valid")
}

fn wal_start() -> Lsn {
    geometry().segment_start(SegmentNumber(1))
}

/// A cluster with nothing in it.
struct Fixture {
    cluster: Arc<Cluster>,
    _entered: Option<Entered>,
    _registration: Registration,
    directory: Directory,
}

impl Fixture {
    fn new() -> Self {
        let directory = Directory::new();
        let (fs, poison) = (directory.file_system(), Poison::leak());
        let processes = ProcessArray::new(16, 1);
        let options = WalOptions {
            system_identifier: SYSTEM_IDENTIFIER,
            segment_size: SEGMENT_SIZE,
            fsync: false,
            full_page_writes: false,
            ..WalOptions::default()
        };
        let wal = Wal::new(Arc::clone(&fs), Arc::clone(&processes), poison, &options).expect("valid options");
        wal.start_insertion(&InsertStart {
            timeline: TimelineId(1),
            end_of_log: wal_start(),
            last_record: Lsn::INVALID,
            redo: wal_start(),
            last_page: None,
        });
        let storage = Arc::new(StorageManager::new(Arc::clone(&fs), poison, 64));
        let config = PoolConfig { frames: 1024, ..PoolConfig::default() };
        let buffers = Arc::new(BufferPool::new(Arc::clone(&storage), Arc::clone(&wal) as _, config));
        let context = SlruContext { fs, wal: Arc::clone(&wal), poison };
        let transactions = TransactionSystem::new(
            context,
            processes.capacity(),
            &checkpoint(),
            TransactionOptions::default(),
        );
        transactions.bootstrap().expect("the first pages of the logs");
        transactions.end_recovery().expect("nothing to recover");
        let cluster = Cluster::new(buffers, wal, Arc::clone(&processes), transactions);
        let registration = processes.register(BackendType::Client).expect("a free slot");
        // A second cluster of one test is used by the same backend.
        let entered = current().is_none().then(|| registration.backend().enter());
        Self { cluster, _entered: entered, _registration: registration, directory }
    }

    /// A new, empty index.
    fn index(&self, index: IndexDescriptor) -> Arc<IndexDescriptor> {
        self.cluster.storage.create(index.file, Fork::Main, false).expect("a new file");
        let index = Arc::new(index);
        build_empty(&self.tree(&index), Fork::Main).expect("an empty index");
        index
    }

    fn tree<'a>(&'a self, index: &'a IndexDescriptor) -> Tree<'a> {
        Tree::new(&self.cluster, index, None)
    }
}

fn checkpoint() -> CheckPoint {
    CheckPoint {
        redo: wal_start(),
        timeline: TimelineId(1),
        previous_timeline: TimelineId(1),
        full_page_writes: false,
        wal_level: WalLevel::Replica,
        next_xid: FullTransactionId(700),
        next_oid: Oid(16384),
        next_multixact: MultiXactId(1),
        next_multixact_offset: 0,
        oldest_xid: TransactionId(3),
        oldest_xid_database: Oid(1),
        oldest_multixact: MultiXactId(1),
        oldest_multixact_database: Oid(1),
        time: 0,
        oldest_commit_ts_xid: TransactionId::INVALID,
        newest_commit_ts_xid: TransactionId::INVALID,
        oldest_active_xid: TransactionId::INVALID,
    }
}

/// An index over columns of built-in types.
fn descriptor(types: &[u32], unique: bool) -> IndexDescriptor {
    let attributes: Vec<Attribute> = types
        .iter()
        .enumerate()
        .map(|(n, oid)| Attribute::builtin(format!("c{n}"), n as i16 + 1, Oid(*oid)))
        .collect();
    let columns = types
        .iter()
        .enumerate()
        .map(|(n, oid)| IndexColumn {
            key: IndexKey::Attribute(n as u16),
            opclass: Oid(0),
            opfamily: Oid(0),
            input_type: Oid(*oid),
            collation: Oid(0),
            comparator: Some(comparator(*oid)),
            descending: false,
            nulls_first: false,
            equal_is_image: true,
        })
        .collect();
    IndexDescriptor {
        oid: Oid(16390),
        name: "t_idx".into(),
        heap: Oid(16384),
        heap_name: "t".into(),
        namespace_name: "public".into(),
        persistence: Persistence::Permanent,
        file: RelationFile::new(LOCATOR, FilePersistence::Permanent),
        access_method: IndexDescriptor::BTREE,
        tuple_desc: TupleDesc::new(attributes),
        columns,
        key_count: types.len(),
        unique,
        primary: false,
        nulls_not_distinct: false,
        immediate: true,
        is_exclusion: false,
        has_predicate: false,
        is_valid: true,
        is_ready: true,
        check_xmin: false,
        options: IndexOptions::default(),
        attributes_used: Default::default(),
        is_catalog: false,
        btree: Arc::default(),
    }
}

fn comparator(type_oid: u32) -> Comparator {
    match type_oid {
        23 => |a, b| a.int32().cmp(&b.int32()),
        20 => |a, b| a.int64().cmp(&b.int64()),
        _ => |a, b| a.bytes().cmp(b.bytes()),
    }
}

/// A table in which every row is live, or dead to all if it says so.
#[derive(Default)]
struct Table {
    dead: BTreeSet<ItemPointer>,
}

impl IndexedTable for Table {
    fn probe(&self, tid: ItemPointer) -> Result<Probe> {
        Ok(if self.dead.contains(&tid) { Probe::Dead { to_all: true } } else { Probe::Live })
    }

    fn is_live_to_self(&self, _: ItemPointer) -> Result<bool> {
        Ok(true)
    }

    fn judge(&self, deletion: &mut IndexDeletion) -> Result<TransactionId> {
        for candidate in &mut deletion.candidates {
            candidate.known_deletable |= self.dead.contains(&candidate.tid);
        }
        Ok(TransactionId(600))
    }
}

const PLAIN: InsertOptions = InsertOptions { check: UniqueCheck::No, unchanged: false };

fn tid(n: u32) -> ItemPointer {
    ItemPointer::new(BlockNumber(n / 200), OffsetNumber(n as u16 % 200 + 1))
}

/// xorshift: the same numbers for the same seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % limit
    }
}

fn all_tids(cluster: &Arc<Cluster>, index: &Arc<IndexDescriptor>, direction: Direction) -> Vec<ItemPointer> {
    scan_tids(cluster, index, vec![], direction)
}

fn scan_tids(
    cluster: &Arc<Cluster>,
    index: &Arc<IndexDescriptor>,
    keys: Vec<ScanKey>,
    direction: Direction,
) -> Vec<ItemPointer> {
    let options = ScanOptions { mvcc: true, with_tuples: false, skip_killed: true };
    let mut scan = Scan::new(Arc::clone(cluster), Arc::clone(index), keys, options);
    let mut tids = Vec::new();
    while let Some(tid) = scan.next(direction).unwrap() {
        tids.push(tid);
    }
    tids
}

fn compare_key(column: usize, strategy: Strategy, value: i32) -> ScanKey {
    ScanKey {
        column,
        condition: Condition::Compare { strategy, value: Value::Int32(value), cross_type: None },
    }
}

#[test]
fn ascending_insertion_grows_three_levels() {
    let fixture = Fixture::new();
    let index = fixture.index(descriptor(&[23], true));
    let tree = fixture.tree(&index);
    let unique = InsertOptions { check: UniqueCheck::Yes, unchanged: false };
    let rows = 160_000;
    for n in 0..rows {
        let outcome = insert(&tree, &Table::default(), &[ValueRef::Int32(n)], tid(n as u32), unique).unwrap();
        assert_eq!(outcome, InsertOutcome::Inserted);
    }
    let report = check(&tree).unwrap();
    assert_eq!((report.levels, report.tids), (3, rows as u64));
    // PostgreSQL leaves 366 entries on every leaf but the last.
    assert_eq!(report.leaf_pages, (rows as u32).div_ceil(366));
    let again = insert(&tree, &Table::default(), &[ValueRef::Int32(70)], tid(200_000), unique).unwrap();
    assert_eq!(again, InsertOutcome::Conflict(Conflict::Duplicate { tid: tid(70) }));
    let found = scan_tids(
        &fixture.cluster,
        &index,
        vec![compare_key(0, Strategy::Equal, 77_777)],
        Direction::Forward,
    );
    assert_eq!(found, [tid(77_777)]);
}

#[test]
fn scans_agree_with_a_model() {
    let fixture = Fixture::new();
    let mut shape = descriptor(&[23, 23], false);
    shape.columns[1].descending = true;
    shape.columns[1].nulls_first = true;
    let index = fixture.index(shape);
    let tree = fixture.tree(&index);
    let mut random = Random(88_172_645_463_325_252);
    let mut model: Vec<(i32, Option<i32>, ItemPointer)> = Vec::new();
    for n in 0..6000 {
        let a = random.below(40) as i32;
        let b = Some(random.below(30) as i32).filter(|b| *b != 7);
        let value = b.map_or(ValueRef::Null, ValueRef::Int32);
        insert(&tree, &Table::default(), &[ValueRef::Int32(a), value], tid(n), PLAIN).unwrap();
        model.push((a, b, tid(n)));
    }
    check(&tree).unwrap();
    // NULLS FIRST, then descending.
    model.sort_by_key(|(a, b, tid)| (*a, b.is_some(), std::cmp::Reverse(*b), *tid));
    let expect = |keys: Vec<ScanKey>, accept: &dyn Fn(i32, Option<i32>) -> bool| {
        let mut expected: Vec<_> =
            model.iter().filter(|(a, b, _)| accept(*a, *b)).map(|(_, _, tid)| *tid).collect();
        assert_eq!(scan_tids(&fixture.cluster, &index, keys.clone(), Direction::Forward), expected);
        expected.reverse();
        assert_eq!(scan_tids(&fixture.cluster, &index, keys, Direction::Backward), expected);
    };
    let any = |column, values: &[i32]| ScanKey {
        column,
        condition: Condition::Any {
            values: values.iter().map(|v| Value::Int32(*v)).collect(),
            cross_type: None,
        },
    };
    let is_null = ScanKey { column: 1, condition: Condition::IsNull };
    let not_null = ScanKey { column: 1, condition: Condition::IsNotNull };
    expect(vec![], &|_, _| true);
    expect(vec![compare_key(0, Strategy::Equal, 12)], &|a, _| a == 12);
    expect(vec![compare_key(0, Strategy::Equal, 12), is_null.clone()], &|a, b| a == 12 && b.is_none());
    expect(vec![compare_key(0, Strategy::Equal, 12), not_null], &|a, b| a == 12 && b.is_some());
    expect(vec![is_null], &|_, b| b.is_none());
    for strategy in
        [Strategy::Less, Strategy::LessEqual, Strategy::Equal, Strategy::GreaterEqual, Strategy::Greater]
    {
        let passes = |x: i32, y: i32| match strategy {
            Strategy::Less => x < y,
            Strategy::LessEqual => x <= y,
            Strategy::Equal => x == y,
            Strategy::GreaterEqual => x >= y,
            Strategy::Greater => x > y,
        };
        expect(vec![compare_key(0, strategy, 20)], &|a, _| passes(a, 20));
        expect(vec![compare_key(0, Strategy::Equal, 3), compare_key(1, strategy, 11)], &|a, b| {
            a == 3 && b.is_some_and(|b| passes(b, 11))
        });
        expect(vec![compare_key(1, strategy, 11)], &|_, b| b.is_some_and(|b| passes(b, 11)));
    }
    expect(vec![any(0, &[30, 4, 4, 99])], &|a, _| a == 30 || a == 4);
    expect(vec![any(0, &[5, 6]), any(1, &[1, 29, 3])], &|a, b| {
        (a == 5 || a == 6) && matches!(b, Some(1 | 29 | 3))
    });
    expect(vec![compare_key(0, Strategy::Greater, 35), any(1, &[2, 9])], &|a, b| {
        a > 35 && matches!(b, Some(2 | 9))
    });
    expect(vec![compare_key(0, Strategy::Equal, 3), compare_key(0, Strategy::Equal, 4)], &|_, _| false);
}

/// Inserts, deletes and vacuums at random, comparing with a model; the seed is printed on failure.
fn random_workload(fixture: &Fixture, index: &Arc<IndexDescriptor>, seed: u64, phases: u32) {
    let tree = fixture.tree(index);
    let mut random = Random(seed);
    let mut model: BTreeMap<ItemPointer, i32> = BTreeMap::new();
    let mut table = Table::default();
    let mut next = 1_u32;
    for phase in 0..phases {
        let context = || format!("seed {seed}, phase {phase}");
        let spread = [10, 300, 100_000][random.below(3) as usize];
        for _ in 0..random.below(4000) + 500 {
            let key = random.below(spread) as i32;
            // Out of order, so that tids go into posting lists; all different, as the modulus is prime.
            let at = tid((u64::from(next) * 7919 % 1_000_003) as u32);
            next += 1;
            insert(&tree, &table, &[ValueRef::Int32(key)], at, PLAIN)
                .unwrap_or_else(|e| panic!("{}: {e}", context()));
            model.insert(at, key);
        }
        let report = check(&tree).unwrap_or_else(|e| panic!("{}: {e}", context()));
        assert!(report.tids >= model.len() as u64, "{}", context());
        // Rows die; scans may mark some, vacuum removes the rest.
        let share = [3, 20, 99][random.below(3) as usize];
        let low = random.below(spread) as i32;
        let dying: Vec<_> = model
            .iter()
            .filter(|(_, key)| **key >= low || random.below(100) < share)
            .map(|(tid, _)| *tid)
            .collect();
        for tid in dying {
            model.remove(&tid);
            table.dead.insert(tid);
        }
        if random.below(2) == 0 {
            kill_some(fixture, index, &table);
        }
        if random.below(3) > 0 {
            // Transactions come and go, so that deleted pages can be recycled.
            let transactions = &fixture.cluster.transactions;
            transactions.proc_array.advance_latest_completed(transactions.xids.next().xid());
            transactions.xids.advance_past(transactions.xids.next().xid());
            let mut statistics = VacuumStatistics::default();
            vacuum::bulk_delete(&tree, None, &mut statistics, &mut |tid| table.dead.contains(&tid)).unwrap();
            let statistics = vacuum::cleanup(&tree, None, Some(statistics), None).unwrap().unwrap();
            assert_eq!(statistics.tuples, model.len() as u64, "{}", context());
            let report = check(&tree).unwrap_or_else(|e| panic!("{}: {e}", context()));
            assert_eq!(report.tids, model.len() as u64, "{}", context());
            table.dead.clear();
        }
        let mut expected: Vec<_> = model.iter().map(|(tid, key)| (*key, *tid)).collect();
        expected.sort_unstable();
        let live = |tids: Vec<ItemPointer>| -> Vec<ItemPointer> {
            tids.into_iter().filter(|tid| !table.dead.contains(tid)).collect()
        };
        let mut expected: Vec<_> = expected.into_iter().map(|(_, tid)| tid).collect();
        assert_eq!(live(all_tids(&fixture.cluster, index, Direction::Forward)), expected, "{}", context());
        expected.reverse();
        assert_eq!(live(all_tids(&fixture.cluster, index, Direction::Backward)), expected, "{}", context());
    }
}

fn kill_some(fixture: &Fixture, index: &Arc<IndexDescriptor>, table: &Table) {
    let options = ScanOptions { mvcc: true, with_tuples: false, skip_killed: true };
    let mut scan = Scan::new(Arc::clone(&fixture.cluster), Arc::clone(index), vec![], options);
    while let Some(tid) = scan.next(Direction::Forward).unwrap() {
        if table.dead.contains(&tid) {
            scan.kill_current();
        }
    }
}

#[test]
fn random_operations_agree_with_a_model() {
    for seed in [1_u64, 0x5DEE_CE66, 20_251_120] {
        let fixture = Fixture::new();
        let index = fixture.index(descriptor(&[23], false));
        random_workload(&fixture, &index, seed, 6);
    }
}

#[test]
fn uniqueness_says_what_stands_in_the_way() {
    struct Rows(BTreeMap<ItemPointer, Probe>);
    impl IndexedTable for Rows {
        fn probe(&self, tid: ItemPointer) -> Result<Probe> {
            Ok(self.0[&tid])
        }
        fn is_live_to_self(&self, _: ItemPointer) -> Result<bool> {
            Ok(true)
        }
        fn judge(&self, _: &mut IndexDeletion) -> Result<TransactionId> {
            Ok(TransactionId::INVALID)
        }
    }
    let fixture = Fixture::new();
    let index = fixture.index(descriptor(&[23], true));
    let tree = fixture.tree(&index);
    let running = Probe::InProgress { xid: TransactionId(711), speculative: false };
    let mut rows = Rows(BTreeMap::new());
    let mut add = |n: u32, probe: Probe, value: ValueRef<'_>, check: UniqueCheck| {
        let outcome =
            insert(&tree, &rows, &[value], tid(n), InsertOptions { check, unchanged: false }).unwrap();
        rows.0.insert(tid(n), probe);
        outcome
    };
    let one = ValueRef::Int32(1);
    let dead = Probe::Dead { to_all: false };
    assert_eq!(add(1, dead, one, UniqueCheck::Yes), InsertOutcome::Inserted);
    assert_eq!(add(2, running, one, UniqueCheck::Yes), InsertOutcome::Inserted, "a dead row is no conflict");
    let waiting = Conflict::InProgress { tid: tid(2), xid: TransactionId(711), speculative: false };
    assert_eq!(add(3, Probe::Live, one, UniqueCheck::Yes), InsertOutcome::Conflict(waiting));
    assert_eq!(add(4, Probe::Live, one, UniqueCheck::Partial), InsertOutcome::InsertedPerhapsDuplicate);
    // Nulls are distinct.
    assert_eq!(add(5, Probe::Live, ValueRef::Null, UniqueCheck::Yes), InsertOutcome::Inserted);
    assert_eq!(add(6, Probe::Live, ValueRef::Null, UniqueCheck::Yes), InsertOutcome::Inserted);
    let two = ValueRef::Int32(2);
    assert_eq!(add(7, Probe::Live, two, UniqueCheck::Yes), InsertOutcome::Inserted);
    assert_eq!(add(7, Probe::Live, two, UniqueCheck::Existing), InsertOutcome::Inserted);
    let duplicate = InsertOutcome::Conflict(Conflict::Duplicate { tid: tid(7) });
    assert_eq!(add(8, Probe::Live, two, UniqueCheck::Yes), duplicate);
    assert_eq!(check(&tree).unwrap().tids, 6);
}

#[test]
fn builds_are_sorted_spilled_and_unique() {
    let fixture = Fixture::new();
    for (unique, memory, rows) in [(false, 1 << 20, 60_000_u32), (true, 64 << 20, 30_000)] {
        let mut shape = descriptor(&[23, 25], unique);
        shape.file = RelationFile::new(
            RelFileLocator { number: RelFileNumber(17_000 + u32::from(unique)), ..LOCATOR },
            FilePersistence::Permanent,
        );
        let index = Arc::new(shape);
        fixture.cluster.storage.create(index.file, Fork::Main, false).unwrap();
        let tree = fixture.tree(&index);
        let options = SortOptions { unique, nulls_not_distinct: false, memory };
        let fs = fixture.directory.file_system();
        let mut spool = Spool::new(tree.shape(), Arc::clone(&fs), options.clone());
        let mut random = Random(99);
        let mut keys: Vec<u32> = (0..rows).collect();
        for n in (1..rows).rev() {
            keys.swap(n as usize, random.below(n + 1) as usize);
        }
        for (n, key) in keys.iter().enumerate() {
            let key = if unique { *key } else { *key / 50 };
            let text = format!("row {key:08}");
            let values = [ValueRef::Int32(key as i32 - 5000), ValueRef::Bytes(text.as_bytes())];
            spool.add(&values, tid(n as u32), true).unwrap();
        }
        assert_eq!(build(&tree, spool).unwrap(), BuildOutcome::Built { tuples: u64::from(rows) });
        let mut last: Option<(Vec<Value>, ItemPointer)> = None;
        let report = check_visiting(&tree, &mut |tuple| {
            let mut values = Vec::new();
            tree.shape().deform(tuple, &mut values).unwrap();
            last = Some((values, tuple.max_heap_tid()));
        })
        .unwrap();
        assert_eq!(report.tids, u64::from(rows));
        assert_eq!(report.posting_lists > 0, !unique);
        let highest = if unique { rows - 1 } else { (rows - 1) / 50 };
        assert_eq!(last.unwrap().0[0], Value::Int32(highest as i32 - 5000));
        // The built tree takes insertions.
        insert(&tree, &Table::default(), &[ValueRef::Int32(17), ValueRef::Null], tid(900_000), PLAIN)
            .unwrap();
        check(&tree).unwrap();

        let mut spool = Spool::new(tree.shape(), fs, options);
        for n in 0..2 {
            spool.add(&[ValueRef::Int32(1), ValueRef::Bytes(b"x")], tid(n), true).unwrap();
        }
        spool.add(&[ValueRef::Int32(1), ValueRef::Bytes(b"x")], tid(5), false).unwrap();
        let outcome = build(&tree, spool).unwrap();
        let key = vec![Value::Int32(1), Value::from("x")];
        assert_eq!(outcome == BuildOutcome::Duplicate { key }, unique);
    }
}

#[test]
fn threads_insert_scan_and_vacuum_together() {
    let fixture = Fixture::new();
    let index = fixture.index(descriptor(&[23], false));
    let (threads, each) = (4_u32, 6000_u32);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (cluster, index) = (&fixture.cluster, &index);
            scope.spawn(move || {
                let registration = cluster.processes.register(BackendType::Client).unwrap();
                let _entered = registration.backend().enter();
                let tree = Tree::new(cluster, index, None);
                let mut random = Random(u64::from(thread) + 7);
                for n in 0..each {
                    let key = random.below(5000) as i32;
                    let at = tid(n * threads + thread);
                    insert(&tree, &Table::default(), &[ValueRef::Int32(key)], at, PLAIN).unwrap();
                    if n % 1000 == 999 {
                        all_tids(cluster, index, Direction::Forward);
                        all_tids(cluster, index, Direction::Backward);
                    }
                }
            });
        }
        let (cluster, index) = (&fixture.cluster, &index);
        scope.spawn(move || {
            let registration = cluster.processes.register(BackendType::AutovacuumWorker).unwrap();
            let _entered = registration.backend().enter();
            let tree = Tree::new(cluster, index, None);
            for _ in 0..5 {
                let mut statistics = VacuumStatistics::default();
                vacuum::bulk_delete(&tree, None, &mut statistics, &mut |tid| tid.offset.0 % 10 == 3).unwrap();
            }
        });
    });
    let tree = fixture.tree(&index);
    let mut statistics = VacuumStatistics::default();
    vacuum::bulk_delete(&tree, None, &mut statistics, &mut |tid| tid.offset.0 % 10 == 3).unwrap();
    let expected: u64 = (0..threads * each).filter(|n| tid(*n).offset.0 % 10 != 3).count() as u64;
    assert_eq!(check(&tree).unwrap().tids, expected);
}
