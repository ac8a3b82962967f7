//! Replaying Btree records.
//!
//! Realises: nbtxlog.c. Pages are changed by the functions of [`super::change`] and [`super::dedup`], as
//! they were when the record was made.
//!
//! Pages of one record are locked together where a reader of a standby could otherwise see the tree
//! between two states: both halves of a split, the neighbours of an unlinked page. A child's incomplete
//! split mark is cleared before its parent is touched, as nobody but replay itself acts on it.

use kokkiri_primitives::{BlockNumber, OffsetNumber, Result, error};
use kokkiri_storage::{CriticalSection, Page, PageWriteGuard};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{RedoAction, RedoLock, ReplayContext, ResourceManager};

use super::change::{self, LeftHalf, Replacement};
use super::dedup;
use super::insert::replace_posting;
use super::page::{BtreePage, METAPAGE, Opaque, SPECIAL_SIZE, flags};
use super::record::{
    self, Dedup, Delete, Insert, MarkHalfDead, NewRoot, ReusePage, Split, UnlinkPage, Vacuum, damaged_record,
    info,
};
use super::split::set_prev;
use super::tuple::{TupleRef, align, split_posting};

/// Resource manager Btree.
pub struct BtreeResourceManager;

impl ResourceManager for BtreeResourceManager {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        let redo = Redo { context, record };
        match record.operation() {
            info::INSERT_LEAF | info::INSERT_UPPER | info::INSERT_META | info::INSERT_POST => redo.insert(),
            info::SPLIT_L => redo.split(true),
            info::SPLIT_R => redo.split(false),
            info::DEDUP => redo.deduplicate(),
            info::VACUUM => redo.vacuum(),
            info::DELETE => redo.delete(),
            info::MARK_PAGE_HALFDEAD => redo.mark_half_dead(),
            info::UNLINK_PAGE | info::UNLINK_PAGE_META => redo.unlink(),
            info::NEWROOT => redo.new_root(),
            info::META_CLEANUP => redo.meta(0),
            info::REUSE_PAGE => ReusePage::decode(record.main_data()).map(|_| ()),
            unknown => Err(error!(DATA_CORRUPTED, "btree_redo: unknown op code {unknown}")),
        }
    }
}

/// A record being replayed.
struct Redo<'a> {
    context: &'a ReplayContext,
    record: &'a DecodedRecord,
}

impl Redo<'_> {
    /// Changes the page of block `id` if it doesn't have the change yet; returns it locked if it was changed or restored.
    fn change(&self, id: u8, change: impl FnOnce(&mut Page) -> Result<()>) -> Result<Option<PageWriteGuard>> {
        self.change_locked(id, RedoLock::Exclusive, change)
    }

    fn change_locked(
        &self,
        id: u8,
        lock: RedoLock,
        change: impl FnOnce(&mut Page) -> Result<()>,
    ) -> Result<Option<PageWriteGuard>> {
        match self.context.read_buffer_for_redo_locked(self.record, id, lock)? {
            RedoAction::NeedsRedo(mut guard) => {
                self.apply(&mut guard, change)?;
                Ok(Some(guard))
            }
            RedoAction::Restored(guard) => Ok(Some(guard)),
            RedoAction::Done | RedoAction::NotFound => Ok(None),
        }
    }

    /// Makes the page of block `id` anew.
    fn make(&self, id: u8, make: impl FnOnce(&mut Page) -> Result<()>) -> Result<PageWriteGuard> {
        let mut guard = self.context.init_buffer_for_redo(self.record, id)?;
        self.apply(&mut guard, make)?;
        Ok(guard)
    }

    fn apply(&self, guard: &mut PageWriteGuard, change: impl FnOnce(&mut Page) -> Result<()>) -> Result<()> {
        let critical = CriticalSection::enter();
        let page = guard.page_mut(&critical);
        change(page)?;
        page.set_lsn(self.record.end_lsn);
        Ok(())
    }

    fn block(&self, id: u8) -> Result<BlockNumber> {
        self.record.block(id).map(|block| block.block).ok_or_else(damaged_record)
    }

    fn data(&self, id: u8) -> Result<&[u8]> {
        self.record.block_data(id).ok_or_else(damaged_record)
    }

    /// `_bt_restore_meta`.
    fn meta(&self, id: u8) -> Result<()> {
        let meta = record::decode_meta(self.data(id)?)?;
        if self.block(id)? != METAPAGE {
            return Err(damaged_record());
        }
        self.make(id, |page| {
            meta.write(page);
            Ok(())
        })?;
        Ok(())
    }

    /// `_bt_clear_incomplete_split`.
    fn clear_incomplete_split(&self, id: u8) -> Result<()> {
        self.change(id, |page| {
            page.unmark(flags::INCOMPLETE_SPLIT);
            Ok(())
        })?;
        Ok(())
    }

    fn insert(&self) -> Result<()> {
        let operation = self.record.operation();
        let Insert { offset } = Insert::decode(self.record.main_data())?;
        if matches!(operation, info::INSERT_UPPER | info::INSERT_META) {
            self.clear_incomplete_split(1)?;
        }
        self.change(0, |page| {
            let data = self.data(0)?;
            let added = if operation == info::INSERT_POST {
                let (position, item) = data.split_first_chunk::<2>().ok_or_else(damaged_record)?;
                let at = OffsetNumber(offset.0.checked_sub(1).ok_or_else(damaged_record)?);
                let item = TupleRef::parse(item).ok_or_else(damaged_record)?;
                let position = usize::from(u16::from_le_bytes(*position));
                let split = split_posting(item, page.tuple(at)?, position)
                    .ok_or_else(|| does_not_fit("insertion"))?;
                replace_posting(page, at, split.posting.as_ref());
                change::insert_item(page, offset, split.new_item.bytes())
            } else {
                change::insert_item(page, offset, data)
            };
            if added { Ok(()) } else { Err(does_not_fit("insertion")) }
        })?;
        if operation == info::INSERT_META { self.meta(2) } else { Ok(()) }
    }

    fn split(&self, new_item_on_left: bool) -> Result<()> {
        let split = Split::decode(self.record.main_data())?;
        let (left_block, right_block) = (self.block(0)?, self.block(1)?);
        let sibling_block = self.record.block(2).map(|block| block.block);
        let leaf = if split.level == 0 { flags::LEAF } else { 0 };
        if split.level > 0 {
            self.clear_incomplete_split(3)?;
        }
        let _right = self.make(1, |page| {
            page.init(SPECIAL_SIZE);
            page.set_opaque(Opaque {
                prev: Some(left_block),
                next: sibling_block,
                level: split.level,
                flags: leaf,
                cycle_id: 0,
            });
            change::restore_items(page, self.data(1)?)
        })?;
        let _left = self.change(0, |page| {
            let image = self.left_half(&split, new_item_on_left, page)?;
            change::replace(page, &image);
            let opaque = page.opaque();
            page.set_opaque(Opaque {
                next: Some(right_block),
                flags: flags::INCOMPLETE_SPLIT | leaf,
                cycle_id: 0,
                ..opaque
            });
            Ok(())
        })?;
        if sibling_block.is_some() {
            self.change(2, |page| {
                set_prev(page, Some(right_block));
                Ok(())
            })?;
        }
        Ok(())
    }

    fn left_half(&self, split: &Split, new_item_on_left: bool, page: &Page) -> Result<Box<Page>> {
        let mut data = self.data(0)?;
        let mut logged_item = None;
        if new_item_on_left || split.posting_offset != 0 {
            let item = TupleRef::parse(data).ok_or_else(damaged_record)?;
            data = data.get(align(item.size())..).ok_or_else(damaged_record)?;
            logged_item = Some(item);
        }
        let high_key = TupleRef::parse(data).ok_or_else(damaged_record)?;
        let posting_at = OffsetNumber(split.new_item.0.saturating_sub(1));
        let posting = match logged_item {
            Some(item) if split.posting_offset != 0 => {
                let position = usize::from(split.posting_offset);
                Some(
                    split_posting(item, page.tuple(posting_at)?, position)
                        .ok_or_else(|| does_not_fit("split"))?,
                )
            }
            _ => None,
        };
        let new_item = match &posting {
            Some(posting) => Some(posting.new_item.as_ref()),
            None => logged_item,
        };
        LeftHalf {
            first_right: split.first_right,
            new_item: new_item.filter(|_| new_item_on_left).map(|item| (split.new_item, item)),
            posting: posting
                .as_ref()
                .map(|posting| Replacement { offset: posting_at, tuple: posting.posting.as_ref() }),
            high_key,
        }
        .build(page)
    }

    fn deduplicate(&self) -> Result<()> {
        self.change(0, |page| {
            let intervals = Dedup::decode(self.record.main_data(), self.data(0)?)?;
            let image = dedup::replay(page, &intervals)?;
            change::replace(page, &image);
            Ok(())
        })?;
        Ok(())
    }

    fn vacuum(&self) -> Result<()> {
        self.change_locked(0, RedoLock::Cleanup, |page| {
            let removal = Vacuum::decode(self.record.main_data(), self.data(0)?)?;
            removal.apply(page, &removal.prepare(page)?);
            let opaque = page.opaque();
            page.set_opaque(Opaque { cycle_id: 0, ..opaque });
            Ok(())
        })?;
        Ok(())
    }

    fn delete(&self) -> Result<()> {
        self.change(0, |page| {
            let (_, removal) = Delete::decode(self.record.main_data(), self.data(0)?)?;
            removal.apply(page, &removal.prepare(page)?);
            Ok(())
        })?;
        Ok(())
    }

    fn mark_half_dead(&self) -> Result<()> {
        let half_dead = MarkHalfDead::decode(self.record.main_data())?;
        let _parent = self.change(1, |page| change::remove_downlink(page, half_dead.parent_offset))?;
        self.make(0, |page| {
            change::write_half_dead(page, half_dead.left, half_dead.right, half_dead.top_parent);
            Ok(())
        })?;
        Ok(())
    }

    fn unlink(&self) -> Result<()> {
        let unlink = UnlinkPage::decode(self.record.main_data())?;
        let _left = match unlink.left {
            Some(_) => self.change(1, |page| {
                let opaque = page.opaque();
                page.set_opaque(Opaque { next: unlink.right, ..opaque });
                Ok(())
            })?,
            None => None,
        };
        let _target = self.make(0, |page| {
            change::write_deleted(page, unlink.left, unlink.right, unlink.level, unlink.safe_xid);
            Ok(())
        })?;
        let _right = self.change(2, |page| {
            set_prev(page, unlink.left);
            Ok(())
        })?;
        if self.record.block(3).is_some() {
            self.make(3, |page| {
                change::write_half_dead(page, unlink.leaf_left, unlink.leaf_right, unlink.leaf_top_parent);
                Ok(())
            })?;
        }
        if self.record.operation() == info::UNLINK_PAGE_META { self.meta(4) } else { Ok(()) }
    }

    fn new_root(&self) -> Result<()> {
        let new_root = NewRoot::decode(self.record.main_data())?;
        let _root = self.make(0, |page| {
            change::write_root(page, new_root.level);
            if new_root.level > 0 {
                change::restore_items(page, self.data(0)?)?;
            }
            Ok(())
        })?;
        if new_root.level > 0 {
            self.clear_incomplete_split(1)?;
        }
        self.meta(2)
    }
}

fn does_not_fit(what: &str) -> kokkiri_primitives::Error {
    error!(INDEX_CORRUPTED, "Btree {what} record does not fit the page")
}
