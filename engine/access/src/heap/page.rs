//! What heap operations do to the bytes of a page: the one place where heap pages change.
//!
//! The forward path calls these inside its critical section, redo calls them with the decoded record. They
//! check what they find, because redo reads bytes from disk; the forward path has looked at the same bytes
//! under the same lock and may expect success.
//!
//! Two things only the forward path knows, because no record carries them: the command that made the
//! change (redo writes command 0, which nobody compares any more), and hint bits.

use kokkiri_primitives::{BlockNumber, CommandId, Error, ItemPointer, OffsetNumber, Result, TransactionId};
use kokkiri_storage::page::{ItemFlags, ItemId, ItemPlace, PD_ALL_VISIBLE, Page};

use super::prune_record::{FreezeTuple, PruneChanges};
use super::record::{Delete, Lock, TupleBits, Update, delete_flags, update_flags};
use crate::tuple::header::{CTID_OFFSET, HEADER_SIZE, Infomask, MOVED_PARTITIONS, TupleHeader, infomask2};

/// The deleting command as the header stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredCommand {
    pub cid: CommandId,
    /// The number stands for a pair of commands.
    pub is_combo: bool,
}

impl StoredCommand {
    fn store(self, header: &mut TupleHeader) {
        header.cid = self.cid;
        header.infomask.0 &= !Infomask::COMBO_CID;
        if self.is_combo {
            header.infomask.0 |= Infomask::COMBO_CID;
        }
    }
}

/// What a line pointer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Unused,
    Dead,
    /// The root of a HOT chain whose first members are gone.
    Redirect(OffsetNumber),
    Tuple(&'a [u8]),
}

/// Looks at a line pointer. Numbers beyond the end are unused.
#[inline]
pub fn item(page: &Page, offset: OffsetNumber) -> Item<'_> {
    let Some(item_id) = page.item_id(offset) else { return Item::Unused };
    match item_id.flags() {
        ItemFlags::Unused => Item::Unused,
        ItemFlags::Dead => Item::Dead,
        ItemFlags::Redirect => Item::Redirect(OffsetNumber(item_id.offset() as u16)),
        ItemFlags::Normal => page.item_bytes(item_id).map_or(Item::Unused, Item::Tuple),
    }
}

/// The tuple at a line pointer in state normal.
pub fn tuple(page: &Page, offset: OffsetNumber) -> Option<&[u8]> {
    match item(page, offset) {
        Item::Tuple(tuple) => Some(tuple),
        _ => None,
    }
}

#[cold]
fn invalid_line_pointer(offset: OffsetNumber) -> Error {
    Error::data_corrupted(format!("invalid line pointer {offset}"))
}

/// The header of the tuple at a line pointer.
pub fn header(page: &Page, offset: OffsetNumber) -> Result<TupleHeader> {
    TupleHeader::read(tuple(page, offset).ok_or_else(|| invalid_line_pointer(offset))?)
}

/// Changes the header of the tuple at a line pointer.
pub fn change_header(
    page: &mut Page,
    offset: OffsetNumber,
    change: impl FnOnce(&mut TupleHeader),
) -> Result<()> {
    let mut header = header(page, offset)?;
    change(&mut header);
    let tuple = page.item_mut(offset).ok_or_else(|| invalid_line_pointer(offset))?;
    header.write(tuple);
    Ok(())
}

/// Sets hint bits of a tuple. What is not there any more is left alone.
pub fn set_hint_bits(page: &mut Page, offset: OffsetNumber, bits: u16) {
    let is_normal = page.item_id(offset).is_some_and(ItemId::is_normal);
    if let Some(tuple) = page.item_mut(offset).filter(|tuple| is_normal && tuple.len() >= HEADER_SIZE) {
        let infomask = u16::from_le_bytes([tuple[20], tuple[21]]) | bits;
        tuple[20..22].copy_from_slice(&infomask.to_le_bytes());
    }
}

/// Puts a tuple on the page. Its `t_ctid` becomes its own place, or names the token of a speculative
/// insertion. `None` if there is no room.
pub fn put_tuple(
    page: &mut Page,
    block: BlockNumber,
    place: ItemPlace,
    tuple: &[u8],
    speculative_token: Option<u32>,
) -> Option<OffsetNumber> {
    let offset = page.add_heap_item(tuple, place)?;
    let ctid = match speculative_token {
        Some(token) => ItemPointer::new(BlockNumber(token), crate::tuple::header::SPECULATIVE_TOKEN_OFFSET),
        None => ItemPointer::new(block, offset),
    };
    let stored = page.item_mut(offset)?;
    stored[CTID_OFFSET..CTID_OFFSET + ItemPointer::SIZE].copy_from_slice(&ctid.to_bytes());
    Some(offset)
}

/// The tuple that a record describes: `body` is everything behind the fixed header.
pub fn rebuild_tuple(bits: TupleBits, xmin: TransactionId, xmax: TransactionId, body: &[u8]) -> Vec<u8> {
    let header = TupleHeader {
        xmin,
        xmax,
        cid: CommandId::FIRST,
        ctid: ItemPointer::default(),
        infomask2: bits.infomask2,
        infomask: Infomask(bits.infomask),
        hoff: bits.hoff,
    };
    let mut tuple = Vec::with_capacity(HEADER_SIZE + body.len());
    tuple.extend_from_slice(&header.to_bytes());
    tuple.extend_from_slice(body);
    tuple
}

/// Puts a tuple where a record says.
pub fn redo_put_tuple(page: &mut Page, tid: ItemPointer, tuple: &[u8]) -> Result<()> {
    if tid.offset > page.max_offset().next() {
        return Err(Error::data_corrupted("invalid max offset number"));
    }
    put_tuple(page, tid.block, ItemPlace::Overwrite(tid.offset), tuple, None)
        .map(drop)
        .ok_or_else(|| Error::data_corrupted("failed to add tuple"))
}

/// Marks a tuple deleted by `xid` (DELETE).
pub fn mark_deleted(
    page: &mut Page,
    block: BlockNumber,
    record: &Delete,
    command: StoredCommand,
    xid: TransactionId,
) -> Result<()> {
    change_header(page, record.offset, |header| {
        record.infobits.apply(header);
        header.infomask2 &= !infomask2::HOT_UPDATED;
        if record.flags & delete_flags::IS_SUPER != 0 {
            header.xmin = TransactionId::INVALID;
        } else {
            header.xmax = record.xmax;
        }
        command.store(header);
        header.ctid = if record.flags & delete_flags::IS_PARTITION_MOVE != 0 {
            MOVED_PARTITIONS
        } else {
            ItemPointer::new(block, record.offset)
        };
    })?;
    page.set_prunable(xid);
    if record.flags & delete_flags::ALL_VISIBLE_CLEARED != 0 {
        page.clear_flag(PD_ALL_VISIBLE);
    }
    Ok(())
}

/// Marks the old version of an updated tuple (UPDATE, HOT_UPDATE): its successor stands at `new_tid`.
pub fn mark_updated(
    page: &mut Page,
    record: &Update,
    new_tid: ItemPointer,
    is_hot: bool,
    command: StoredCommand,
    xid: TransactionId,
) -> Result<()> {
    change_header(page, record.old_offset, |header| {
        record.old_infobits.apply(header);
        if is_hot {
            header.infomask2 |= infomask2::HOT_UPDATED;
        } else {
            header.infomask2 &= !infomask2::HOT_UPDATED;
        }
        header.xmax = record.old_xmax;
        command.store(header);
        header.ctid = new_tid;
    })?;
    page.set_prunable(xid);
    if record.flags & update_flags::OLD_ALL_VISIBLE_CLEARED != 0 {
        page.clear_flag(PD_ALL_VISIBLE);
    }
    Ok(())
}

/// Writes a row lock (LOCK). The stored command stays unless one is given.
pub fn mark_locked(
    page: &mut Page,
    block: BlockNumber,
    record: &Lock,
    command: Option<StoredCommand>,
) -> Result<()> {
    change_header(page, record.offset, |header| {
        record.infobits.apply(header);
        if header.infomask.xmax_is_locked_only() {
            header.infomask2 &= !infomask2::HOT_UPDATED;
            header.ctid = ItemPointer::new(block, record.offset);
        }
        header.xmax = record.xmax;
        if let Some(command) = command {
            command.store(header);
        }
    })
}

/// Writes the lock of a row onto a later version of it (LOCK_UPDATED).
pub fn mark_updated_version_locked(page: &mut Page, record: &Lock) -> Result<()> {
    change_header(page, record.offset, |header| {
        record.infobits.apply(header);
        header.xmax = record.xmax;
    })
}

/// Turns a speculative insertion into an ordinary one (CONFIRM).
pub fn confirm(page: &mut Page, tid: ItemPointer) -> Result<()> {
    change_header(page, tid.offset, |header| header.ctid = tid)
}

/// Overwrites the data of a tuple (INPLACE).
pub fn overwrite_data(page: &mut Page, offset: OffsetNumber, data: &[u8]) -> Result<()> {
    let hoff = usize::from(header(page, offset)?.hoff);
    let tuple = page.item_mut(offset).ok_or_else(|| invalid_line_pointer(offset))?;
    if tuple.len() - hoff != data.len() {
        return Err(Error::data_corrupted("wrong tuple length"));
    }
    tuple[hoff..].copy_from_slice(data);
    Ok(())
}

/// Changes line pointers and freezes tuples (PRUNE records).
pub fn prune(page: &mut Page, changes: &PruneChanges) -> Result<()> {
    let existing = |page: &Page, offset: OffsetNumber| match page.item_id(offset) {
        Some(_) => Ok(()),
        None => Err(invalid_line_pointer(offset)),
    };
    for (from, to) in &changes.redirected {
        existing(page, *from)?;
        page.set_item_id(*from, ItemId::redirect(*to));
    }
    for offset in &changes.dead {
        existing(page, *offset)?;
        page.set_item_id(*offset, ItemId::DEAD);
    }
    for offset in &changes.unused {
        existing(page, *offset)?;
        page.set_item_id(*offset, ItemId::UNUSED);
    }
    if changes.prunes() {
        if changes.cleanup_lock {
            page.repair_fragmentation()?;
        } else {
            page.truncate_line_pointers();
        }
    }
    for frozen in &changes.frozen {
        freeze(page, frozen)?;
    }
    Ok(())
}

fn freeze(page: &mut Page, frozen: &FreezeTuple) -> Result<()> {
    change_header(page, frozen.offset, |header| {
        header.xmax = TransactionId(frozen.xmax);
        header.infomask = Infomask(frozen.infomask);
        header.infomask2 = frozen.infomask2;
    })
}
