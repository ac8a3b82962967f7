use std::sync::atomic::{AtomicU64, Ordering};

use kokkiri_primitives::activity::{BackendType, ProcessArray};
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork, Oid, RelFileLocator, RelFileNumber, SqlState};

use super::*;
use crate::critical::CriticalSection;
use crate::file::{FileSystem, SimulatedFileSystem};
use crate::page::ItemPlace;
use crate::{free_space_map, visibility_map};

/// A log that is always durable up to what it was last told.
#[derive(Default)]
struct Log {
    flushed: AtomicU64,
    images: AtomicU64,
}

impl WalBarrier for Log {
    fn flush_to(&self, lsn: Lsn) -> Result<()> {
        self.flushed.fetch_max(lsn.0, Ordering::SeqCst);
        Ok(())
    }

    fn needs_flush(&self, lsn: Lsn) -> bool {
        lsn.0 > self.flushed.load(Ordering::SeqCst)
    }

    fn hints_are_logged(&self) -> bool {
        true
    }

    fn in_recovery(&self) -> bool {
        false
    }

    fn log_hint_image(&self, _tag: &BufferTag, _page: &Page) -> Option<Lsn> {
        Some(Lsn(self.images.fetch_add(1, Ordering::SeqCst) + 1_000_000))
    }
}

struct Fixture {
    fs: SimulatedFileSystem,
    log: Arc<Log>,
    pool: Arc<BufferPool>,
}

const REL: RelationFile = RelationFile::permanent(RelFileLocator {
    tablespace: RelFileLocator::DEFAULT_TABLESPACE,
    database: Oid(5),
    number: RelFileNumber(16384),
});

fn open(fs: &SimulatedFileSystem, frames: usize) -> Fixture {
    let smgr = StorageManager::with_segment_blocks(Arc::new(fs.clone()), Poison::leak(), 16, 32);
    let log = Arc::new(Log::default());
    let config = PoolConfig { frames, pin_limit: frames / 4, ..PoolConfig::default() };
    let pool = Arc::new(BufferPool::new(Arc::new(smgr), Arc::clone(&log) as _, config));
    Fixture { fs: fs.clone(), log, pool }
}

fn fixture(frames: usize) -> Fixture {
    let fs = SimulatedFileSystem::new(1);
    fs.create_directories("base/5").expect("mkdir");
    let fixture = open(&fs, frames);
    fixture.pool.storage_manager().create(REL, Fork::Main, false).expect("create");
    fixture
}

impl Fixture {
    /// Adds blocks, each with its number as its one item.
    fn extend(&self, count: u32) {
        let mut left = count;
        while left > 0 {
            let extension = self.pool.extend(REL, Fork::Main, left as usize, None).expect("extend");
            let mut pins = vec![extension.first.unlock()];
            pins.extend(extension.rest);
            for pin in pins {
                let mut guard = pin.write();
                let number = u64::from(guard.block().0);
                let critical = CriticalSection::enter();
                let page = guard.page_mut(&critical);
                page.init(0);
                page.add_item(&number.to_le_bytes(), ItemPlace::Any).expect("room");
                page.set_lsn(Lsn(number + 1));
                left -= 1;
            }
        }
    }

    fn read(&self, block: u32) -> PinnedBuffer {
        self.pool.read(REL, Fork::Main, BlockNumber(block), ReadMode::Normal, None).expect("read")
    }
}

fn number_in(page: &Page) -> u64 {
    let item = page.item(kokkiri_primitives::OffsetNumber(1)).expect("one item");
    u64::from_le_bytes(item.try_into().expect("eight bytes"))
}

#[test]
fn pages_come_back_from_disk_over_many_segments() {
    let fixture = fixture(16);
    fixture.extend(100);
    assert_eq!(fixture.pool.blocks(REL, Fork::Main).expect("length"), 100);
    for block in (0..100).rev() {
        assert_eq!(number_in(&fixture.read(block).read()), u64::from(block));
    }
    assert!(fixture.log.flushed.load(Ordering::SeqCst) >= 84, "WAL before data");
    assert!(fixture.fs.exists("base/5/16384.3").expect("alive"));
    assert_eq!(fixture.pool.pins(), 0);
}

#[test]
fn threads_agree_with_a_model() {
    let fixture = fixture(24);
    fixture.extend(60);
    let totals: Vec<AtomicU64> = (0..60).map(AtomicU64::new).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (fixture, totals) = (&fixture, &totals);
            scope.spawn(move || {
                let mut state = thread + 1;
                for _ in 0..3000 {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let block = (state >> 33) as u32 % 60;
                    match (state >> 40) % 8 {
                        0..=2 => {
                            let mut guard = fixture.read(block).write();
                            let critical = CriticalSection::enter();
                            let page = guard.page_mut(&critical);
                            let item = page.item_mut(kokkiri_primitives::OffsetNumber(1)).expect("item");
                            let value = u64::from_le_bytes((&*item).try_into().expect("eight")) + 1;
                            item.copy_from_slice(&value.to_le_bytes());
                            totals[block as usize].fetch_add(1, Ordering::SeqCst);
                        }
                        3 => {
                            let count = 1 + block as usize % 6;
                            let first = BlockNumber(block.min(50));
                            let run =
                                fixture.pool.read_run(REL, Fork::Main, first, count, None).expect("run");
                            for (index, pin) in run.pins.into_iter().enumerate() {
                                let number = u64::from(first.0) + index as u64;
                                assert!(number_in(&pin.read()) >= number);
                            }
                        }
                        4 => {
                            let mut guard = fixture.read(block).read();
                            guard.set_hint(|page| page.set_flag(crate::page::PD_PAGE_FULL));
                        }
                        5 if block == 0 => {
                            fixture.pool.flush_for_checkpoint(true, |_| Ok(())).expect("flush");
                        }
                        5 if block == 1 => {
                            fixture.pool.evict_all().expect("evict");
                        }
                        _ => assert!(number_in(&fixture.read(block).read()) >= u64::from(block)),
                    }
                }
            });
        }
    });
    for (block, total) in totals.iter().enumerate() {
        assert_eq!(number_in(&fixture.read(block as u32).read()), total.load(Ordering::SeqCst));
    }
    assert_eq!(fixture.pool.pins(), 0);
}

#[test]
fn replay_makes_forks_and_blocks_as_it_needs_them() {
    let fixture = fixture(16);
    let other = RelationFile::permanent(RelFileLocator { number: RelFileNumber(777), ..REL.locator });
    assert!(fixture.pool.read_if_exists(other, Fork::Main, BlockNumber(0)).expect("absent").is_none());
    let mut guard = fixture.pool.read_for_redo(other, Fork::Main, BlockNumber(70)).expect("made");
    assert!(guard.is_new() && guard.block() == BlockNumber(70));
    guard.page_mut(&CriticalSection::enter()).init(0);
    drop(guard);
    assert_eq!(fixture.pool.blocks(other, Fork::Main).expect("length"), 71);
    assert!(!fixture.pool.read_for_redo_cleanup(other, Fork::Main, BlockNumber(70)).expect("there").is_new());
    assert!(fixture.pool.read_if_exists(other, Fork::Main, BlockNumber(3)).expect("read").is_some());
}

#[test]
fn concurrent_extensions_never_share_a_block() {
    let fixture = fixture(64);
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for count in 1..8 {
                    let extension = fixture.pool.extend(REL, Fork::Main, count, None).expect("extend");
                    let mut seen = seen.lock();
                    seen.push(extension.first.block());
                    seen.extend(extension.rest.iter().map(PinnedBuffer::block));
                }
            });
        }
    });
    let mut blocks = seen.into_inner();
    blocks.sort_unstable();
    let expected: Vec<_> = (0..blocks.len() as u32).map(BlockNumber).collect();
    assert_eq!(blocks, expected);
}

#[test]
fn a_checkpoint_survives_every_crash() {
    let fixture = fixture(32);
    fixture.fs.sync_directory(".").expect("sync");
    fixture.fs.sync_directory("base").expect("sync");
    fixture.extend(50);
    let smgr = fixture.pool.storage_manager();
    smgr.begin_checkpoint();
    let report = fixture.pool.flush_for_checkpoint(false, |_| Ok(())).expect("flush");
    assert!(report.written > 0 && report.written <= 32);
    assert!(smgr.process_sync_requests().expect("sync").files >= 2);
    assert!(smgr.after_checkpoint().is_empty());
    fixture.extend(10);
    for seed in 0..50 {
        let after = open(&fixture.fs.crash(seed), 32);
        assert!(after.pool.blocks(REL, Fork::Main).expect("length") >= 50);
        for block in 0..50 {
            assert_eq!(number_in(&after.read(block).read()), u64::from(block));
        }
    }
}

#[test]
fn a_damaged_page_is_an_error_unless_zeros_are_wanted() {
    let fixture = fixture(16);
    fixture.extend(3);
    fixture.pool.flush_relation(REL).expect("flush");
    assert_eq!(fixture.pool.evict_all().expect("evict").evicted, 3);
    let file = fixture.fs.open("base/5/16384", crate::OpenOptions::EXISTING).expect("open");
    file.write_all_at(&[0xAB; 3], BLOCK_SIZE as u64 + 5000).expect("damage");
    let read = |mode| fixture.pool.read(REL, Fork::Main, BlockNumber(1), mode, None);
    let error = read(ReadMode::Normal).expect_err("damaged");
    assert_eq!(error.message(), "invalid page in block 1 of relation \"base/5/16384\"");
    assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED);
    assert!(read(ReadMode::ZeroOnError).expect("zeros").read().is_new());
    let error =
        fixture.pool.read(REL, Fork::Main, BlockNumber(9), ReadMode::Normal, None).expect_err("beyond");
    assert_eq!(
        error.message(),
        "could not read blocks 9..9 in file \"base/5/16384\": read only 0 of 8192 bytes"
    );
    assert_eq!(fixture.pool.pins(), 0);
}

#[test]
fn usage_counts_rise_to_five_and_rings_leave_the_rest_alone() {
    let fixture = fixture(128);
    fixture.extend(100);
    fixture.pool.flush_relation(REL).expect("flush");
    fixture.pool.evict_all().expect("evict");
    let ring = Ring::vacuum(&fixture.pool, 64).expect("a ring of eight");
    assert_eq!(ring.capacity(), 8);
    let mut stream = ReadStream::new(REL, Fork::Main, Some(ring), (0..100).map(BlockNumber));
    let mut expected = 0;
    while let Some(pin) = stream.next(&fixture.pool).expect("read") {
        assert_eq!(number_in(&pin.read()), expected);
        expected += 1;
    }
    assert_eq!(expected, 100);
    assert!(fixture.pool.summary().used <= 8, "{:?}", fixture.pool.summary());
    for _ in 0..7 {
        drop(fixture.read(42));
    }
    let info = fixture.pool.inspect().find(|info| info.tag.is_some_and(|tag| tag.block.0 == 42));
    assert_eq!(info.expect("in memory").usage, 5);
}

#[test]
fn all_frames_pinned_is_an_error() {
    let fixture = fixture(16);
    fixture.extend(20);
    let held: Vec<_> = (0..16).map(|block| fixture.read(block)).collect();
    let error =
        fixture.pool.read(REL, Fork::Main, BlockNumber(17), ReadMode::Normal, None).expect_err("full");
    assert_eq!(error.message(), "no unpinned buffers available");
    drop(held);
    assert_eq!(number_in(&fixture.read(17).read()), 17);
}

#[test]
fn a_cleanup_lock_waits_for_other_pins() {
    let fixture = fixture(16);
    fixture.extend(1);
    let array = ProcessArray::new(1, 1);
    let registration = array.register(BackendType::Client).expect("room");
    let backend = Arc::clone(registration.backend());
    let other = fixture.read(0);
    let other = fixture.read(0).try_cleanup_lock().map(|_| ()).map_err(|pin| (drop(pin), other));
    let Err(((), other)) = other else { panic!("another pin is there") };
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _entered = backend.enter();
            fixture.read(0).cleanup_lock().expect("lock").block()
        });
        while backend.wait_event().is_none_or(|event| event.name != "BufferPin") {
            std::thread::yield_now();
        }
        drop(other);
        assert_eq!(waiter.join().expect("no panic"), BlockNumber(0));
    });
    assert_eq!(fixture.pool.pins(), 0);
}

#[test]
fn hints_are_set_by_lone_readers_and_logged_once_dirty() {
    let fixture = fixture(16);
    fixture.extend(1);
    fixture.pool.flush_relation(REL).expect("flush");
    let mut first = fixture.read(0).read();
    let second = fixture.read(0).read();
    assert!(!first.set_hint(|page| page.set_prune_xid(None)));
    drop(second);
    assert!(first.set_hint(|page| page.set_prune_xid(Some(kokkiri_primitives::TransactionId(9)))));
    assert!(first.set_hint(|page| page.set_prune_xid(Some(kokkiri_primitives::TransactionId(8)))));
    assert_eq!(fixture.log.images.load(Ordering::SeqCst), 1);
    assert_eq!(first.lsn(), Lsn(1_000_000));
    drop(first);
    assert_eq!(fixture.pool.summary().dirty, 1);
}

#[test]
fn a_poisoned_pool_writes_nothing() {
    let fixture = fixture(16);
    fixture.extend(2);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let critical = CriticalSection::enter();
        let mut guard = fixture.read(0).write();
        guard.page_mut(&critical).zero();
        panic!("injected");
    }));
    assert!(outcome.is_err() && fixture.pool.poison().is_poisoned());
    let error = fixture.pool.flush_for_checkpoint(true, |_| Ok(())).expect_err("poisoned");
    assert_eq!(error.sqlstate(), SqlState::CRASH_SHUTDOWN);
    assert_eq!(fixture.pool.pins(), 0);
}

#[test]
fn temporary_relations_live_in_their_session() {
    let fixture = fixture(16);
    let rel = RelationFile::temporary(REL.locator, ProcNumber(3));
    fixture.pool.set_local_frames(ProcNumber(3), 20).expect("unused");
    fixture.pool.storage_manager().create(rel, Fork::Main, false).expect("create");
    for number in 0..40_u8 {
        let mut guard = fixture.pool.extend(rel, Fork::Main, 1, None).expect("extend").first;
        let critical = CriticalSection::enter();
        guard.page_mut(&critical).init(0);
        guard.page_mut(&critical).add_item(&[number], ItemPlace::Any).expect("room");
    }
    assert!(fixture.fs.exists("base/5/t3_16384").expect("alive"));
    for number in 0..40 {
        let pin = fixture.pool.read(rel, Fork::Main, BlockNumber(number), ReadMode::Normal, None);
        assert_eq!(pin.expect("read").read().normal_items().next().expect("item").1, [number as u8]);
    }
    assert_eq!(fixture.pool.summary().used, 0, "not in the shared pool");
    assert!(fixture.pool.set_local_frames(ProcNumber(3), 30).is_err());
    fixture.pool.drop_relations(&[rel]).expect("drop");
    fixture.pool.storage_manager().unlink(rel, false).expect("unlink");
    assert!(!fixture.fs.exists("base/5/t3_16384").expect("alive"));
}

#[test]
fn dropped_relations_leave_an_empty_file_until_the_next_checkpoint() {
    let fixture = fixture(16);
    fixture.extend(40);
    fixture.pool.drop_relations(&[REL]).expect("drop");
    assert_eq!(fixture.pool.summary().used, 0);
    let smgr = fixture.pool.storage_manager();
    smgr.unlink(REL, false).expect("unlink");
    assert_eq!(fixture.fs.read("base/5/16384").expect("still there"), []);
    assert!(!fixture.fs.exists("base/5/16384.1").expect("alive"));
    smgr.begin_checkpoint();
    smgr.process_sync_requests().expect("sync");
    assert!(smgr.after_checkpoint().is_empty());
    assert!(!fixture.fs.exists("base/5/16384").expect("alive"));
}

#[test]
fn truncation_cuts_segments() {
    let fixture = fixture(16);
    fixture.extend(100);
    fixture.pool.drop_fork(REL, Fork::Main, BlockNumber(40)).expect("drop");
    let smgr = fixture.pool.storage_manager();
    smgr.truncate(REL, Fork::Main, 40).expect("truncate");
    assert_eq!(smgr.blocks(REL, Fork::Main).expect("length"), 40);
    smgr.release_all();
    assert_eq!(smgr.blocks(REL, Fork::Main).expect("length"), 40);
    fixture.extend(30);
    assert_eq!(number_in(&fixture.read(69).read()), 69);
}

#[test]
fn the_free_space_map_is_postgresql_own() {
    let fixture = fixture(32);
    fixture.extend(16);
    let pool = &*fixture.pool;
    assert_eq!(free_space_map::find_page(pool, REL, 100).expect("no map"), None);
    // What a real server's VACUUM left for the table of testdata: its 16th page is partly empty.
    let real: &[u8] = include_bytes!("../../testdata/free_space_map");
    let leaf = &real[2 * BLOCK_SIZE + 28 + 4095..];
    let recorded: Vec<usize> = (0..leaf.len()).filter(|slot| leaf[*slot] > 0).collect();
    assert_eq!(recorded.last(), Some(&15));
    for slot in recorded {
        let available = usize::from(leaf[slot]) * 32;
        free_space_map::record_free_space(pool, REL, BlockNumber(slot as u32), available).expect("record");
    }
    free_space_map::vacuum(pool, REL).expect("vacuum");
    for block in 0..3 {
        let pin =
            pool.read(REL, Fork::FreeSpaceMap, BlockNumber(block), ReadMode::Normal, None).expect("read");
        let from = block as usize * BLOCK_SIZE;
        assert_eq!(pin.read().bytes()[28..], real[from + 28..from + BLOCK_SIZE], "map page {block}");
    }
    let found = free_space_map::find_page(pool, REL, 4000).expect("search").expect("room");
    let available = free_space_map::recorded_free_space(pool, REL, found).expect("recorded");
    assert!(available >= 4000);
    let next = free_space_map::record_and_find_page(pool, REL, BlockNumber(15), 0, 8000).expect("search");
    assert_eq!(next, None);
    let cut = free_space_map::prepare_truncate(pool, REL, 3, |_, _| {}).expect("prepare");
    assert_eq!(cut, None, "the map's one leaf stays");
    assert_eq!(free_space_map::recorded_free_space(pool, REL, BlockNumber(15)).expect("recorded"), 0);
}

#[test]
fn the_visibility_map_is_postgresql_own() {
    let fixture = fixture(16);
    let pool = &*fixture.pool;
    let mut pin = None;
    assert_eq!(visibility_map::status(pool, REL, BlockNumber(3), &mut pin).expect("no map"), 0);
    for block in (0..16).map(BlockNumber) {
        visibility_map::pin(pool, REL, block, &mut pin).expect("pin");
        let mut guard = pin.take().expect("pinned").write();
        let critical = CriticalSection::enter();
        visibility_map::set_bits(guard.page_mut(&critical), block, visibility_map::VALID_BITS);
        pin = Some(guard.unlock());
    }
    let real: &[u8] = include_bytes!("../../testdata/visibility_map");
    let page = pin.take().expect("pinned").read();
    assert_eq!(page.bytes()[24..], real[24..], "every page of the real table was frozen");
    drop(page);
    assert_eq!(visibility_map::count(pool, REL).expect("count"), (16, 16));
    assert_eq!(visibility_map::prepare_truncate(pool, REL, 5, |_, _| {}).expect("prepare"), None);
    assert_eq!(visibility_map::count(pool, REL).expect("count"), (5, 5));
    assert_eq!(visibility_map::status(pool, REL, BlockNumber(5), &mut pin).expect("status"), 0);
}

#[test]
fn the_background_sweep_cleans_ahead_of_the_hand() {
    let fixture = fixture(64);
    fixture.extend(64);
    let mut sweep = BackgroundSweep::default();
    sweep.round(&fixture.pool, 100, 2.0, 200).expect("first round");
    // New pages need two rounds of the hand before they may be reused.
    fixture.extend(32);
    let mut written = 0;
    for _ in 0..4 {
        written += sweep.round(&fixture.pool, 100, 2.0, 200).expect("round").written;
    }
    assert!(written > 0);
    assert!(sweep.round(&fixture.pool, 0, 2.0, 200).expect("switched off").idle);
}
