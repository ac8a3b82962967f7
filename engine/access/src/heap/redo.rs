//! Replay of resource managers Heap and Heap2: `heapam_xlog.c`.
//!
//! Pages change through [`super::page`], the functions of the forward path. The visibility map is put
//! right before the heap page is looked at, whether or not that one needs the change: the map must never
//! claim more than the page.

use kokkiri_primitives::{BlockNumber, Error, ItemPointer, RelFileLocator, Result, TransactionId};
use kokkiri_storage::buffer::PageWriteGuard;
use kokkiri_storage::page::{PD_ALL_VISIBLE, Page};
use kokkiri_storage::{CriticalSection, RelationFile, free_space_map, visibility_map};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{RedoAction, RedoLock, ReplayContext, ResourceManager};

use super::page::{self, StoredCommand, rebuild_tuple};
use super::prune_record::{PruneChanges, flags as prune_flags};
use super::record::{
    Delete, Inplace, Insert, LOCK_ALL_FROZEN_CLEARED, Lock, MultiInsert, PayloadReader, Update, UpdateData,
    Visible, delete_flags, heap_info, heap2_info, insert_flags, update_flags,
};

/// A page with less room than this is noted in the free space map.
const LOW_SPACE: usize = kokkiri_primitives::BLOCK_SIZE / 5;

/// Replays the records of Heap.
pub struct HeapResource;

/// Replays the records of Heap2.
pub struct Heap2Resource;

impl ResourceManager for HeapResource {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        match record.operation() & heap_info::OPERATION_MASK {
            heap_info::INSERT => redo_insert(context, record),
            heap_info::DELETE => redo_delete(context, record),
            heap_info::UPDATE => redo_update(context, record, false),
            heap_info::HOT_UPDATE => redo_update(context, record, true),
            // For logical decoding only: the files' changes have records of their own.
            heap_info::TRUNCATE => Ok(()),
            heap_info::CONFIRM => redo_confirm(context, record),
            heap_info::LOCK => redo_lock(context, record, false),
            heap_info::INPLACE => redo_inplace(context, record),
            other => Err(Error::internal(format!("heap_redo: unknown op code {other}"))),
        }
    }
}

impl ResourceManager for Heap2Resource {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        match record.operation() & heap_info::OPERATION_MASK {
            heap2_info::PRUNE_ON_ACCESS
            | heap2_info::PRUNE_VACUUM_SCAN
            | heap2_info::PRUNE_VACUUM_CLEANUP => redo_prune(context, record),
            heap2_info::VISIBLE => redo_visible(context, record),
            heap2_info::MULTI_INSERT => redo_multi_insert(context, record),
            heap2_info::LOCK_UPDATED => redo_lock(context, record, true),
            // For logical decoding only.
            heap2_info::NEW_CID => Ok(()),
            heap2_info::REWRITE => Err(Error::not_supported("replay of logical rewrite mappings")),
            other => Err(Error::internal(format!("heap2_redo: unknown op code {other}"))),
        }
    }
}

/// The relation and block that a reference names.
fn target(record: &DecodedRecord, id: u8) -> Result<(RelFileLocator, BlockNumber)> {
    let block = record.block(id).ok_or_else(|| {
        Error::data_corrupted(format!("failed to locate backup block with ID {id} in WAL record"))
    })?;
    Ok((block.locator, block.block))
}

/// Clears map bits of a heap block, in the registered map page if there is one.
fn clear_map(
    context: &ReplayContext,
    record: &DecodedRecord,
    id: u8,
    blocks: &[BlockNumber],
    bits: u8,
) -> Result<()> {
    if record.block(id).is_some() {
        if let RedoAction::NeedsRedo(mut guard) = context.read_buffer_for_redo(record, id)? {
            let critical = CriticalSection::enter();
            let map = guard.page_mut(&critical);
            for block in blocks {
                visibility_map::clear_bits(map, *block, bits);
            }
            map.set_lsn(record.end_lsn);
        }
        return Ok(());
    }
    // Records of before 18.5, and pages whose bits were clear already.
    let file = RelationFile::permanent(target(record, 0)?.0);
    for block in blocks {
        let mut pin = None;
        visibility_map::pin(&context.buffers, file, *block, &mut pin)?;
        if let Some(pin) = pin {
            visibility_map::clear(&mut pin.write(), &CriticalSection::enter(), *block, bits);
        }
    }
    Ok(())
}

/// Changes a heap page if it is older than the record. The page comes back if it changed here.
fn change_page(
    context: &ReplayContext,
    record: &DecodedRecord,
    id: u8,
    init: bool,
    change: impl FnOnce(&mut Page) -> Result<()>,
) -> Result<Option<PageWriteGuard>> {
    let mut guard = if init {
        context.init_buffer_for_redo(record, id)?
    } else {
        match context.read_buffer_for_redo(record, id)? {
            RedoAction::NeedsRedo(guard) => guard,
            RedoAction::Restored(_) | RedoAction::Done | RedoAction::NotFound => return Ok(None),
        }
    };
    let critical = CriticalSection::enter();
    let target = guard.page_mut(&critical);
    if init {
        target.init(0);
    }
    change(target)?;
    target.set_lsn(record.end_lsn);
    drop(critical);
    Ok(Some(guard))
}

fn is_init(record: &DecodedRecord) -> bool {
    record.operation() & heap_info::INIT_PAGE != 0
}

fn note_low_space(
    context: &ReplayContext,
    locator: RelFileLocator,
    guard: Option<PageWriteGuard>,
) -> Result<()> {
    let Some(guard) = guard else { return Ok(()) };
    let (block, space) = (guard.block(), guard.heap_free_space());
    drop(guard);
    if space < LOW_SPACE {
        free_space_map::record_free_space(&context.buffers, RelationFile::permanent(locator), block, space)?;
    }
    Ok(())
}

fn redo_insert(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    let insert = Insert::decode(record.main_data())?;
    let (locator, block) = target(record, 0)?;
    let cleared = insert.flags & insert_flags::ALL_VISIBLE_CLEARED != 0;
    if cleared {
        clear_map(context, record, 1, &[block], visibility_map::VALID_BITS)?;
    }
    let guard = change_page(context, record, 0, is_init(record), |target| {
        let mut reader = PayloadReader::new(record.block_data(0).unwrap_or_default());
        let bits = reader.tuple_bits()?;
        let tuple = rebuild_tuple(bits, record.xid, TransactionId::INVALID, reader.rest());
        page::redo_put_tuple(target, ItemPointer::new(block, insert.offset), &tuple)?;
        if cleared {
            target.clear_flag(PD_ALL_VISIBLE);
        }
        Ok(())
    })?;
    note_low_space(context, locator, guard)
}

fn redo_multi_insert(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    let init = is_init(record);
    let insert = MultiInsert::decode(record.main_data(), init)?;
    let (locator, block) = target(record, 0)?;
    let cleared = insert.flags & insert_flags::ALL_VISIBLE_CLEARED != 0;
    if cleared {
        clear_map(context, record, 1, &[block], visibility_map::VALID_BITS)?;
    }
    let guard = change_page(context, record, 0, init, |target| {
        let mut reader = PayloadReader::new(record.block_data(0).unwrap_or_default());
        for index in 0..insert.count {
            let offset = match &insert.offsets {
                Some(offsets) => offsets[index],
                None => kokkiri_primitives::OffsetNumber(index as u16 + 1),
            };
            let (bits, body) = MultiInsert::next_tuple(&mut reader)?;
            let tuple = rebuild_tuple(bits, record.xid, TransactionId::INVALID, body);
            page::redo_put_tuple(target, ItemPointer::new(block, offset), &tuple)?;
        }
        if reader.remaining() != 0 {
            return Err(Error::data_corrupted("total tuple length mismatch"));
        }
        if cleared {
            target.clear_flag(PD_ALL_VISIBLE);
        }
        if insert.flags & insert_flags::ALL_FROZEN_SET != 0 {
            target.set_flag(PD_ALL_VISIBLE);
        }
        Ok(())
    })?;
    note_low_space(context, locator, guard)
}

fn redo_delete(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    let delete = Delete::decode(record.main_data())?;
    let (_, block) = target(record, 0)?;
    if delete.flags & delete_flags::ALL_VISIBLE_CLEARED != 0 {
        clear_map(context, record, 1, &[block], visibility_map::VALID_BITS)?;
    }
    change_page(context, record, 0, false, |target| {
        page::mark_deleted(target, block, &delete, StoredCommand::default(), record.xid)
    })?;
    Ok(())
}

fn redo_update(context: &ReplayContext, record: &DecodedRecord, is_hot: bool) -> Result<()> {
    let update = Update::decode(record.main_data())?;
    let (locator, new_block) = target(record, 0)?;
    let old_block = record.block(1).map_or(new_block, |block| block.block);
    let new_tid = ItemPointer::new(new_block, update.new_offset);
    clear_maps_of_update(context, record, &update, old_block, new_block)?;
    let xid = record.xid;
    let data = record.block_data(0).unwrap_or_default();
    let put_new = |target: &mut Page, old: &[u8]| {
        let data = UpdateData::decode(data, update.flags)?;
        let body = if data.prefix == 0 && data.suffix == 0 { data.body.to_vec() } else { data.rebuild(old)? };
        let tuple = rebuild_tuple(data.bits, xid, update.new_xmax, &body);
        page::redo_put_tuple(target, new_tid, &tuple)?;
        if update.flags & update_flags::NEW_ALL_VISIBLE_CLEARED != 0 {
            target.clear_flag(PD_ALL_VISIBLE);
        }
        Ok(())
    };
    let mark_old = |target: &mut Page| {
        page::mark_updated(target, &update, new_tid, is_hot, StoredCommand::default(), xid)
    };
    if old_block == new_block {
        let guard = change_page(context, record, 0, is_init(record), |target| {
            let old = page::tuple(target, update.old_offset).map(<[u8]>::to_vec).unwrap_or_default();
            mark_old(target)?;
            put_new(target, &old)
        })?;
        return if is_hot { Ok(()) } else { note_low_space(context, locator, guard) };
    }
    // The old page stays locked until the new version is in place.
    let old_guard = change_page(context, record, 1, false, mark_old)?;
    let guard = change_page(context, record, 0, is_init(record), |target| put_new(target, &[]))?;
    drop(old_guard);
    note_low_space(context, locator, guard)
}

fn clear_maps_of_update(
    context: &ReplayContext,
    record: &DecodedRecord,
    update: &Update,
    old_block: BlockNumber,
    new_block: BlockNumber,
) -> Result<()> {
    const MAP_OF_NEW: u8 = 2;
    const MAP_OF_OLD: u8 = 3;
    let old_cleared = update.flags & update_flags::OLD_ALL_VISIBLE_CLEARED != 0;
    let new_cleared = update.flags & update_flags::NEW_ALL_VISIBLE_CLEARED != 0;
    let mut cleared = Vec::new();
    if old_cleared {
        cleared.push(old_block);
    }
    if new_cleared {
        cleared.push(new_block);
    }
    if cleared.is_empty() {
        return Ok(());
    }
    if let Some(map) = record.block(MAP_OF_NEW) {
        cleared.retain(|block| visibility_map::map_block(*block) == map.block);
        clear_map(context, record, MAP_OF_NEW, &cleared, visibility_map::VALID_BITS)?;
    }
    if record.block(MAP_OF_OLD).is_some() {
        return clear_map(context, record, MAP_OF_OLD, &[old_block], visibility_map::VALID_BITS);
    }
    if record.block(MAP_OF_NEW).is_none() {
        clear_map(context, record, MAP_OF_NEW, &cleared, visibility_map::VALID_BITS)?;
    }
    Ok(())
}

fn redo_confirm(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    let offset = PayloadReader::new(record.main_data()).offset()?;
    let (_, block) = target(record, 0)?;
    change_page(context, record, 0, false, |target| page::confirm(target, ItemPointer::new(block, offset)))?;
    Ok(())
}

fn redo_lock(context: &ReplayContext, record: &DecodedRecord, later_version: bool) -> Result<()> {
    let lock = Lock::decode(record.main_data())?;
    let (_, block) = target(record, 0)?;
    if lock.flags & LOCK_ALL_FROZEN_CLEARED != 0 {
        clear_map(context, record, 1, &[block], visibility_map::ALL_FROZEN)?;
    }
    change_page(context, record, 0, false, |target| {
        if later_version {
            page::mark_updated_version_locked(target, &lock)
        } else {
            page::mark_locked(target, block, &lock, Some(StoredCommand::default()))
        }
    })?;
    Ok(())
}

fn redo_inplace(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    let inplace = Inplace::decode(record.main_data())?;
    change_page(context, record, 0, false, |target| {
        page::overwrite_data(target, inplace.offset, record.block_data(0).unwrap_or_default())
    })?;
    Ok(())
}

fn redo_prune(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    const SPACE_CHANGED: u8 =
        prune_flags::HAS_REDIRECTIONS | prune_flags::HAS_DEAD_ITEMS | prune_flags::HAS_NOW_UNUSED_ITEMS;
    let (bits, _) = PruneChanges::decode_main(record.main_data())?;
    let (locator, block) = target(record, 0)?;
    let lock = if bits & prune_flags::CLEANUP_LOCK != 0 { RedoLock::Cleanup } else { RedoLock::Exclusive };
    let guard = match context.read_buffer_for_redo_locked(record, 0, lock)? {
        RedoAction::NeedsRedo(mut guard) => {
            let changes = PruneChanges::decode_data(bits, record.block_data(0).unwrap_or_default())?;
            let critical = CriticalSection::enter();
            let target = guard.page_mut(&critical);
            page::prune(target, &changes)?;
            target.set_lsn(record.end_lsn);
            guard
        }
        RedoAction::Restored(guard) => guard,
        RedoAction::Done | RedoAction::NotFound => return Ok(()),
    };
    if bits & SPACE_CHANGED != 0 {
        let space = guard.heap_free_space();
        drop(guard);
        free_space_map::record_free_space(&context.buffers, RelationFile::permanent(locator), block, space)?;
    }
    Ok(())
}

fn redo_visible(context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
    const MAP: u8 = 0;
    const HEAP: u8 = 1;
    let visible = Visible::decode(record.main_data())?;
    let (locator, block) = target(record, HEAP)?;
    let space = match context.read_buffer_for_redo(record, HEAP)? {
        RedoAction::NeedsRedo(mut guard) => {
            let critical = CriticalSection::enter();
            let target = guard.page_mut(&critical);
            target.set_flag(PD_ALL_VISIBLE);
            if context.buffers.config().checksums {
                target.set_lsn(record.end_lsn);
            }
            Some(guard.free_space())
        }
        RedoAction::Restored(guard) => Some(guard.free_space()),
        RedoAction::Done | RedoAction::NotFound => None,
    };
    if let Some(space) = space {
        free_space_map::record_free_space(&context.buffers, RelationFile::permanent(locator), block, space)?;
    }
    if let RedoAction::NeedsRedo(mut guard) = context.read_buffer_for_redo(record, MAP)? {
        let critical = CriticalSection::enter();
        let map = guard.page_mut(&critical);
        if map.is_new() {
            map.init(0);
        }
        visibility_map::set_bits(map, block, visible.flags);
        map.set_lsn(record.end_lsn);
    }
    Ok(())
}
