//! Pages whose bytes are damaged: a heap page, a B-tree page, a free space map and a visibility map of a real
//! server. Readers answer `None`, writers refuse or leave a page that they would take again.

use std::sync::Arc;

use kokkiri_fuzzing::{BOUNDARIES, Dice, Limits, mutate_in_place, run};
use kokkiri_primitives::{
    BLOCK_SIZE, BlockNumber, Fork, Lsn, OffsetNumber, Oid, RelFileLocator, RelFileNumber, Result, SqlState,
    TransactionId,
};
use kokkiri_storage::buffer::{BufferTag, ReadMode};
use kokkiri_storage::page::{ItemPlace, PAGE_HEADER_SIZE, Verdict};
use kokkiri_storage::{
    BufferPool, CriticalSection, FileSystem, ItemId, Page, Poison, PoolConfig, RelationFile,
    SimulatedFileSystem, StorageManager, WalBarrier, free_space_map, visibility_map,
};

static HEAP: &[u8; BLOCK_SIZE] = include_bytes!("../testdata/heap_block_3");
static BTREE: &[u8; BLOCK_SIZE] = include_bytes!("../testdata/btree_block_1");
static FREE_SPACE_MAP: &[u8; 3 * BLOCK_SIZE] = include_bytes!("../testdata/free_space_map");
static VISIBILITY_MAP: &[u8; BLOCK_SIZE] = include_bytes!("../testdata/visibility_map");

const REL: RelationFile = RelationFile::permanent(RelFileLocator {
    tablespace: RelFileLocator::DEFAULT_TABLESPACE,
    database: Oid(5),
    number: RelFileNumber(16384),
});

/// A log that is always durable.
struct Log;

impl WalBarrier for Log {
    fn flush_to(&self, _: Lsn) -> Result<()> {
        Ok(())
    }

    fn needs_flush(&self, _: Lsn) -> bool {
        false
    }

    fn hints_are_logged(&self) -> bool {
        false
    }

    fn in_recovery(&self) -> bool {
        false
    }

    fn log_hint_image(&self, _: &BufferTag, _: &Page) -> Option<Lsn> {
        None
    }
}

fn page_of(bytes: &[u8]) -> Box<Page> {
    let mut page = Page::boxed();
    page.bytes_mut().copy_from_slice(bytes);
    page
}

/// Damages a page: most often its header or line pointers, where one bit changes the most.
fn damage(dice: &mut Dice, page: &mut Page) {
    let reach = match dice.below(4) {
        0 => BLOCK_SIZE,
        1 => PAGE_HEADER_SIZE,
        _ => page.lower().clamp(PAGE_HEADER_SIZE + 1, BLOCK_SIZE),
    };
    mutate_in_place(dice, &mut page.bytes_mut()[..reach]);
    if dice.once_in(4) {
        let special = page.special_offset().min(BLOCK_SIZE - 1);
        mutate_in_place(dice, &mut page.bytes_mut()[special..]);
    }
}

/// A line pointer's number, mostly one that exists.
fn offset(dice: &mut Dice, page: &Page) -> OffsetNumber {
    match dice.below(8) {
        0 => OffsetNumber(*dice.pick(&BOUNDARIES) as u16),
        _ => OffsetNumber(1 + dice.below(page.item_count() + 1) as u16),
    }
}

fn read_everything(page: &Page) {
    assert!(page.item_count() * ItemId::SIZE + PAGE_HEADER_SIZE <= BLOCK_SIZE);
    assert!(page.special().len() <= BLOCK_SIZE);
    for (offset, item_id) in page.item_ids() {
        assert_eq!(page.item_id(offset), Some(item_id));
        if let Some(item) = page.item(offset) {
            assert_eq!(item.len(), item_id.len());
        }
    }
    assert!(page.normal_items().count() <= page.item_count());
    assert!(page.heap_free_space() <= page.free_space());
    assert!(page.free_space() <= page.exact_free_space());
    assert_eq!(page.free_space_for(2), page.exact_free_space().saturating_sub(2 * ItemId::SIZE));
    assert_eq!(page.item_id(OffsetNumber(0)), None);
    assert_eq!(page.item_id(OffsetNumber(page.item_count() as u16 + 1)), None);
}

/// One change by each of the writers; a page that was sane before is sane behind it.
fn change_something(dice: &mut Dice, page: &mut Page) {
    let sane = page.check_pointers().is_ok();
    let at = offset(dice, page);
    let item = vec![7; dice.below(300)];
    match dice.below(10) {
        0 => {
            let place = *dice.pick(&[ItemPlace::Any, ItemPlace::Insert(at), ItemPlace::Overwrite(at)]);
            if let Some(at) = page.add_item(&item, place) {
                assert_eq!(page.item(at), (!item.is_empty()).then_some(&item[..]));
            }
        }
        1 => {
            page.add_heap_item(&item, ItemPlace::Any);
        }
        2 => check(page.repair_fragmentation()),
        3 => page.truncate_line_pointers(),
        4 => check(page.index_tuple_delete(at)),
        5 => check(page.index_tuple_delete_no_compact(at)),
        6 => {
            let count = page.item_count();
            let mut some: Vec<_> =
                (0..dice.below(20)).map(|_| OffsetNumber(1 + dice.below(count.max(1)) as u16)).collect();
            some.sort_unstable_by_key(|offset| offset.0);
            some.dedup();
            check(page.index_multi_delete(&some));
        }
        7 => check(page.index_tuple_overwrite(at, &item).map(drop)),
        8 => page.mark_dead(at),
        _ => page.set_prunable(TransactionId(700 + dice.below(50) as u32)),
    }
    assert!(!sane || page.check_pointers().is_ok(), "a writer broke {page:?}");
}

/// Damage is XX001; XX000 is for a line pointer that isn't there.
fn check(outcome: Result<()>) {
    if let Err(error) = outcome {
        let expected = [SqlState::DATA_CORRUPTED, SqlState::INTERNAL_ERROR];
        assert!(expected.contains(&error.sqlstate()), "{error}");
    }
}

#[test]
fn damaged_pages_are_read_and_written() {
    run("damaged_pages_are_read_and_written", Limits::default(), |dice| {
        let mut page = page_of(if dice.once_in(2) { HEAP } else { BTREE });
        damage(dice, &mut page);
        read_everything(&page);
        for _ in 0..8 {
            change_something(dice, &mut page);
            read_everything(&page);
        }
    });
}

#[test]
fn the_pool_refuses_damaged_pages() {
    let fs = SimulatedFileSystem::new(1);
    fs.create_directories("base/5").expect("the disk is empty");
    let smgr = Arc::new(StorageManager::new(Arc::new(fs), Poison::leak(), 16));
    let config = PoolConfig { frames: 16, checksums: true, ..PoolConfig::default() };
    let pool = BufferPool::new(Arc::clone(&smgr), Arc::new(Log), config);
    smgr.create(REL, Fork::Main, false).expect("a new file");
    smgr.append(REL, Fork::Main, &[&*Page::boxed()]).expect("the disk works");
    run("the_pool_refuses_damaged_pages", Limits::default(), |dice| {
        let block = BlockNumber(0);
        let mut page = page_of(if dice.once_in(2) { HEAP } else { BTREE });
        page.set_checksum(block);
        damage(dice, &mut page);
        if dice.once_in(2) {
            page.set_checksum(block);
        }
        // As if the system had been asked to write it so: the storage manager adds nothing.
        smgr.write(REL, Fork::Main, block, &page).expect("the disk works");
        let verdict = page.verify(block, true);
        let read = pool.read(REL, Fork::Main, block, ReadMode::Normal, None);
        match (verdict, read) {
            (Verdict::Valid, Ok(pin)) => {
                assert!(page.is_all_zeros() || page.header_is_sane());
                assert!(pin.read().bytes() == page.bytes());
            }
            (_, Err(error)) => {
                assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED);
                assert_eq!(error.message(), "invalid page in block 0 of relation \"base/5/16384\"");
                let zeroed = pool.read(REL, Fork::Main, block, ReadMode::ZeroOnError, None);
                assert!(zeroed.expect("a page of zeros").read().is_all_zeros());
            }
            (verdict, Ok(_)) => panic!("a page was let in that is {verdict:?}"),
        }
        pool.drop_fork(REL, Fork::Main, BlockNumber(0)).expect("nobody has a pin");
    });
}

#[test]
fn damaged_maps_mislead_nobody() {
    let fs = SimulatedFileSystem::new(1);
    fs.create_directories("base/5").expect("the disk is empty");
    let smgr = Arc::new(StorageManager::new(Arc::new(fs), Poison::leak(), 16));
    let config = PoolConfig { frames: 64, checksums: true, ..PoolConfig::default() };
    let pool = BufferPool::new(Arc::clone(&smgr), Arc::new(Log), config);
    let heap_blocks = 20;
    smgr.create(REL, Fork::Main, false).expect("a new file");
    for _ in 0..heap_blocks {
        smgr.append(REL, Fork::Main, &[&*Page::boxed()]).expect("the disk works");
    }
    for (fork, pages) in [(Fork::FreeSpaceMap, 3), (Fork::VisibilityMap, 1)] {
        smgr.create(REL, fork, false).expect("a new file");
        for _ in 0..pages {
            smgr.append(REL, fork, &[&*Page::boxed()]).expect("the disk works");
        }
    }
    run("damaged_maps_mislead_nobody", Limits::default(), |dice| {
        let pages = FREE_SPACE_MAP.chunks(BLOCK_SIZE).map(|bytes| (Fork::FreeSpaceMap, bytes));
        let maps = pages.chain([(Fork::VisibilityMap, &VISIBILITY_MAP[..])]);
        for (number, (fork, bytes)) in (0..).zip(maps) {
            let block = BlockNumber(if fork == Fork::FreeSpaceMap { number } else { 0 });
            let mut page = page_of(bytes);
            // The tree of a free space map lies behind the header.
            let from = if dice.once_in(4) { 0 } else { PAGE_HEADER_SIZE };
            let to = if dice.once_in(2) { from + 40 } else { BLOCK_SIZE };
            mutate_in_place(dice, &mut page.bytes_mut()[from..to]);
            if !dice.once_in(4) {
                page.set_checksum(block);
            }
            smgr.write(REL, fork, block, &page).expect("the disk works");
        }
        for _ in 0..6 {
            let block = BlockNumber(dice.below(heap_blocks + 2) as u32);
            let needed = dice.below(8161);
            let found = match dice.below(6) {
                0 => free_space_map::find_page(&pool, REL, needed),
                1 => free_space_map::record_and_find_page(&pool, REL, block, dice.below(BLOCK_SIZE), needed),
                2 => free_space_map::record_free_space(&pool, REL, block, needed).map(|()| None),
                3 => free_space_map::vacuum(&pool, REL).map(|()| None),
                4 => free_space_map::prepare_truncate(&pool, REL, block.0, |_, _| {}).map(|_| None),
                _ => free_space_map::take_free_index_page(&pool, REL),
            };
            let found = found.expect("a damaged map is repaired, not reported");
            assert!(found.is_none_or(|found| found.0 < heap_blocks as u32), "{found:?} is not there");
            let status = visibility_map::status(&pool, REL, block, &mut None).expect("as above");
            assert!(status <= 3);
            let mut pin = None;
            visibility_map::pin(&pool, REL, block, &mut pin).expect("as above");
            let mut guard = pin.expect("the map was made longer").write();
            visibility_map::clear(&mut guard, &CriticalSection::enter(), block, 3);
            assert_eq!(visibility_map::bits(&guard, block), 0);
        }
        visibility_map::count(&pool, REL).expect("as above");
        for fork in [Fork::Main, Fork::FreeSpaceMap, Fork::VisibilityMap] {
            pool.drop_fork(REL, fork, BlockNumber(0)).expect("nobody has a pin");
        }
    });
}
