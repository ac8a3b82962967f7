use super::*;

fn numbered(n: u8, len: usize) -> Vec<u8> {
    vec![n; len]
}

#[test]
fn a_new_page_has_postgresql_header() {
    let page = Page::boxed_init(16);
    assert_eq!(
        &page.bytes()[..24],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0xF0, 0x1F, 0xF0, 0x1F, 4, 0x20, 0, 0, 0, 0]
    );
    assert!(!page.is_new() && page.is_empty());
    assert_eq!((page.free_space(), page.special().len()), (8192 - 24 - 16 - 4, 16));
}

#[test]
fn items_are_added_from_the_end() {
    let mut page = Page::boxed_init(0);
    assert_eq!(page.add_item(&numbered(1, 10), ItemPlace::Any), Some(OffsetNumber(1)));
    assert_eq!(page.add_item(&numbered(2, 16), ItemPlace::Any), Some(OffsetNumber(2)));
    assert_eq!(page.add_item(&numbered(3, 1), ItemPlace::Insert(OffsetNumber(1))), Some(OffsetNumber(1)));
    let first: Vec<u8> = page.normal_items().map(|(_, item)| item[0]).collect();
    assert_eq!(first, [3, 1, 2]);
    assert_eq!(page.item_id(OffsetNumber(2)), Some(ItemId::normal(8192 - 16, 10)));
    assert_eq!((page.lower(), page.upper()), (36, 8192 - 40));
    assert_eq!(page.add_item(&[1], ItemPlace::Overwrite(OffsetNumber(2))), None);
    assert_eq!(page.add_item(&[1], ItemPlace::Insert(OffsetNumber(5))), None);
    assert_eq!(page.add_item(&numbered(0, 8192), ItemPlace::Any), None);
}

#[test]
fn compaction_keeps_line_pointers_and_frees_the_rest() {
    let mut page = Page::boxed_init(8);
    for n in 1..=6 {
        page.add_item(&numbered(n, 100), ItemPlace::Any).expect("room");
    }
    let before = page.exact_free_space();
    page.set_item_id(OffsetNumber(2), ItemId::UNUSED);
    page.set_item_id(OffsetNumber(3), ItemId::redirect(OffsetNumber(5)));
    page.set_item_id(OffsetNumber(4), ItemId::DEAD);
    page.set_item_id(OffsetNumber(6), ItemId::UNUSED);
    page.repair_fragmentation().expect("sane");
    assert!(page.has_flag(PD_HAS_FREE_LINES));
    assert_eq!(page.item_count(), 5);
    assert_eq!(page.exact_free_space(), before + 4 * 104 + 4);
    assert_eq!(page.item(OffsetNumber(5)), Some(&numbered(5, 100)[..]));
    assert_eq!(page.item_id(OffsetNumber(3)).and_then(ItemId::redirect_target), Some(OffsetNumber(5)));
    assert_eq!(page.add_heap_item(&[7], ItemPlace::Any), Some(OffsetNumber(2)));
    assert_eq!(page.add_heap_item(&[8], ItemPlace::Any), Some(OffsetNumber(6)));
    assert!(!page.has_flag(PD_HAS_FREE_LINES));
}

#[test]
fn unused_line_pointers_at_the_end_are_dropped_but_one() {
    let mut page = Page::boxed_init(0);
    for n in 1..=4 {
        page.add_item(&[n], ItemPlace::Any).expect("room");
    }
    for n in [1, 3, 4] {
        page.set_item_id(OffsetNumber(n), ItemId::UNUSED);
    }
    page.truncate_line_pointers();
    assert_eq!(page.item_count(), 2);
    assert!(page.has_flag(PD_HAS_FREE_LINES));
    page.set_item_id(OffsetNumber(2), ItemId::UNUSED);
    page.truncate_line_pointers();
    assert_eq!(page.item_count(), 1);
}

#[test]
fn index_deletions_agree_with_a_list() {
    let mut page = Page::boxed_init(16);
    let mut model: Vec<Vec<u8>> = Vec::new();
    let mut state = 7_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..4000 {
        let item = numbered(round as u8, 1 + random(60));
        match random(6) {
            0..=2 => {
                let at = random(model.len() + 1);
                let place = ItemPlace::Insert(OffsetNumber(at as u16 + 1));
                if page.add_item(&item, place).is_some() {
                    model.insert(at, item);
                }
            }
            3 if !model.is_empty() => {
                let at = random(model.len());
                page.index_tuple_delete(OffsetNumber(at as u16 + 1)).expect("sane");
                model.remove(at);
            }
            4 if !model.is_empty() => {
                let at = random(model.len());
                if page.index_tuple_overwrite(OffsetNumber(at as u16 + 1), &item).expect("sane") {
                    model[at] = item;
                }
            }
            5 => {
                let doomed: Vec<usize> = (0..model.len()).filter(|_| random(20) == 0).collect();
                let offsets: Vec<_> = doomed.iter().map(|at| OffsetNumber(*at as u16 + 1)).collect();
                page.index_multi_delete(&offsets).expect("sane");
                for at in doomed.into_iter().rev() {
                    model.remove(at);
                }
            }
            _ => {}
        }
        let items: Vec<&[u8]> = page.normal_items().map(|(_, item)| item).collect();
        assert_eq!(items, model, "round {round}");
        assert!(page.header_is_sane());
        let used: usize = model.iter().map(|item| max_align(item.len()) + 4).sum();
        assert_eq!(page.exact_free_space(), 8192 - 24 - 16 - used);
    }
    assert!(page.index_multi_delete(&[OffsetNumber(999)]).is_err());
}

#[test]
fn broken_bytes_are_refused_not_followed() {
    let mut page = Page::boxed();
    let mut state = 99_u32;
    for _ in 0..2000 {
        for byte in page.bytes_mut().iter_mut().take(400) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let mut copy = page.clone();
        let _ = copy.normal_items().count();
        let _ = copy.special().len();
        let _ = copy.heap_free_space();
        let _ = copy.add_item(&[1, 2, 3], ItemPlace::Any);
        let _ = copy.repair_fragmentation();
        let _ = copy.index_tuple_delete(OffsetNumber(1));
        copy.truncate_line_pointers();
    }
}

#[test]
fn a_line_pointer_out_of_the_item_area_stays_where_it_is() {
    let mut page = Page::boxed_init(16);
    for number in 0..3 {
        page.add_item(&numbered(number, 40), ItemPlace::Any).expect("room");
    }
    let stray = ItemId::normal(30, 8);
    page.set_item_id(OffsetNumber(3), stray);
    assert!(page.index_tuple_overwrite(OffsetNumber(1), &numbered(7, 400)).expect("it is sane itself"));
    assert_eq!(page.item(OffsetNumber(1)), Some(&numbered(7, 400)[..]));
    assert_eq!(page.item(OffsetNumber(2)), Some(&numbered(1, 40)[..]));
    page.index_tuple_delete(OffsetNumber(2)).expect("it is sane itself");
    assert_eq!(page.item_id(OffsetNumber(2)), Some(stray));
}

#[test]
fn a_damaged_page_fails_verification() {
    let mut page = Page::boxed_init(0);
    page.add_item(&numbered(9, 50), ItemPlace::Any).expect("room");
    page.set_checksum(BlockNumber(3));
    assert_eq!(page.verify(BlockNumber(3), true), Verdict::Valid);
    assert!(matches!(page.verify(BlockNumber(4), true), Verdict::WrongChecksum { .. }));
    page.bytes_mut()[8100] ^= 1;
    assert!(matches!(page.verify(BlockNumber(3), true), Verdict::WrongChecksum { header_is_sane: true, .. }));
    assert_eq!(Page::boxed().verify(BlockNumber(0), true), Verdict::Valid);
}

/// Pages of a real PostgreSQL 18.4 cluster: table of 1000 rows, a seventh deleted, vacuumed.
static HEAP_BLOCK_3: &[u8; BLOCK_SIZE] = include_bytes!("../../testdata/heap_block_3");
static BTREE_BLOCK_1: &[u8; BLOCK_SIZE] = include_bytes!("../../testdata/btree_block_1");

fn page_of(bytes: &[u8; BLOCK_SIZE]) -> Box<Page> {
    let mut page = Page::boxed();
    page.bytes_mut().copy_from_slice(bytes);
    page
}

#[test]
fn checksums_are_postgresql_own() {
    for (bytes, block) in [(HEAP_BLOCK_3, 3), (BTREE_BLOCK_1, 1)] {
        let page = page_of(bytes);
        assert_ne!(page.stored_checksum(), 0);
        assert_eq!(page.checksum(BlockNumber(block)), page.stored_checksum());
        assert_eq!(page.verify(BlockNumber(block), true), Verdict::Valid);
    }
}

#[test]
fn a_postgresql_page_is_laid_out_as_ours() {
    let page = page_of(HEAP_BLOCK_3);
    let mut ours = Page::boxed_init(0);
    // Items of a page that was compacted last: added again in the same order they land in the same place.
    for (offset, item_id) in page.item_ids() {
        let number = ours.add_heap_item(&[0; 1], ItemPlace::Insert(offset)).expect("room");
        ours.set_item_id(number, item_id);
    }
    let header = 12..page.lower();
    assert_eq!(ours.bytes()[header.start], page.bytes()[header.start]);
    assert_eq!(&ours.bytes()[24..page.lower()], &page.bytes()[24..page.lower()]);
    let mut compacted = page.clone();
    compacted.repair_fragmentation().expect("a real page");
    assert_eq!(
        compacted.bytes()[page.upper()..],
        page.bytes()[page.upper()..],
        "vacuum compacted it already"
    );
    assert!(page.is_all_visible());
    assert_eq!(page_of(BTREE_BLOCK_1).special().len(), 16);
}
