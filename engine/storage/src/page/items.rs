//! Adding, deleting and compacting items, and how much room there is.

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_primitives::{BLOCK_SIZE, OffsetNumber};

use super::{
    ItemFlags, ItemId, ItemPlace, MAX_HEAP_TUPLES_PER_PAGE, PAGE_HEADER_SIZE, PD_HAS_FREE_LINES, Page,
    max_align,
};

const fn slot(index: usize) -> usize {
    PAGE_HEADER_SIZE + index * ItemId::SIZE
}

impl Page {
    /// The line pointer with this number, if there is one.
    #[inline]
    pub fn item_id(&self, offset: OffsetNumber) -> Option<ItemId> {
        if offset.0 == 0 || usize::from(offset.0) > self.item_count() {
            return None;
        }
        Some(ItemId(self.u32_at(slot(offset.index()))))
    }

    /// Changes an existing line pointer.
    ///
    /// # Panics
    /// If there is no such line pointer: the caller has just looked at it.
    pub fn set_item_id(&mut self, offset: OffsetNumber, item_id: ItemId) {
        assert!(offset.0 > 0 && usize::from(offset.0) <= self.item_count(), "existing line pointer");
        self.set_u32(slot(offset.index()), item_id.0);
    }

    /// Marks an item dead, keeping its storage: `ItemIdMarkDead`. What is not there is left alone.
    pub fn mark_dead(&mut self, offset: OffsetNumber) {
        if let Some(item_id) = self.item_id(offset) {
            self.set_item_id(offset, item_id.with_flags(ItemFlags::Dead));
        }
    }

    /// The bytes a line pointer leads to, if it has storage within the page.
    #[inline]
    pub fn item_bytes(&self, item_id: ItemId) -> Option<&[u8]> {
        let start = item_id.offset();
        if !item_id.has_storage() || start < PAGE_HEADER_SIZE {
            return None;
        }
        self.bytes().get(start..start + item_id.len())
    }

    /// The item with this number, dead or alive, if it has storage.
    #[inline]
    pub fn item(&self, offset: OffsetNumber) -> Option<&[u8]> {
        self.item_bytes(self.item_id(offset)?)
    }

    #[inline]
    pub fn item_mut(&mut self, offset: OffsetNumber) -> Option<&mut [u8]> {
        let item_id = self.item_id(offset)?;
        let start = item_id.offset();
        if !item_id.has_storage() || start < PAGE_HEADER_SIZE {
            return None;
        }
        self.bytes_mut().get_mut(start..start + item_id.len())
    }

    /// All line pointers in order.
    pub fn item_ids(
        &self,
    ) -> impl DoubleEndedIterator<Item = (OffsetNumber, ItemId)> + ExactSizeIterator + '_ {
        (0..self.item_count()).map(|index| (OffsetNumber(index as u16 + 1), ItemId(self.u32_at(slot(index)))))
    }

    /// All items in state normal, in order of their line pointers.
    pub fn normal_items(&self) -> impl DoubleEndedIterator<Item = (OffsetNumber, &[u8])> + '_ {
        self.item_ids()
            .filter(|(_, item_id)| item_id.is_normal())
            .filter_map(|(offset, item_id)| Some((offset, self.item_bytes(item_id)?)))
    }

    /// Adds an item; `None` if there is no room or the place is not allowed: `PageAddItem`.
    pub fn add_item(&mut self, item: &[u8], place: ItemPlace) -> Option<OffsetNumber> {
        self.add_item_limited(item, place, usize::MAX)
    }

    /// [`Page::add_item`] to a heap page, whose line pointers are limited in number.
    pub fn add_heap_item(&mut self, item: &[u8], place: ItemPlace) -> Option<OffsetNumber> {
        self.add_item_limited(item, place, MAX_HEAP_TUPLES_PER_PAGE)
    }

    fn add_item_limited(&mut self, item: &[u8], place: ItemPlace, max_items: usize) -> Option<OffsetNumber> {
        self.check_pointers().ok()?;
        let end = self.item_count() + 1;
        let (number, shift) = match place {
            ItemPlace::Any => (self.free_line_pointer().unwrap_or(end), false),
            ItemPlace::Insert(offset) => (usize::from(offset.0), usize::from(offset.0) < end),
            ItemPlace::Overwrite(offset) => {
                if self.item_id(offset).is_some_and(|old| old.is_used() || old.has_storage()) {
                    return None;
                }
                (usize::from(offset.0), false)
            }
        };
        if number == 0 || number > end || number > max_items {
            return None;
        }
        let lower = if number == end || shift { self.lower() + ItemId::SIZE } else { self.lower() };
        let upper = self.upper().checked_sub(max_align(item.len()))?;
        if lower > upper {
            return None;
        }
        let at = slot(number - 1);
        if shift {
            let old_lower = self.lower();
            self.bytes_mut().copy_within(at..old_lower, at + ItemId::SIZE);
        }
        self.set_u32(at, ItemId::normal(upper, item.len()).0);
        self.bytes_mut()[upper..upper + item.len()].copy_from_slice(item);
        self.set_lower(lower);
        self.set_upper(upper);
        Some(OffsetNumber(number as u16))
    }

    /// Number of the first line pointer that may be used again. Corrects the hint if there is none.
    fn free_line_pointer(&mut self) -> Option<usize> {
        if !self.has_flag(PD_HAS_FREE_LINES) {
            return None;
        }
        let found = self.item_ids().find(|(_, id)| !id.is_used() && !id.has_storage());
        if found.is_none() {
            self.clear_flag(PD_HAS_FREE_LINES);
        }
        found.map(|(offset, _)| usize::from(offset.0))
    }

    /// Room between line pointers and items.
    pub fn exact_free_space(&self) -> usize {
        self.upper().saturating_sub(self.lower())
    }

    /// Room for one more item besides its line pointer: `PageGetFreeSpace`.
    pub fn free_space(&self) -> usize {
        self.exact_free_space().saturating_sub(ItemId::SIZE)
    }

    /// Room for the items of `count` more line pointers: `PageGetFreeSpaceForMultipleTuples`.
    pub fn free_space_for(&self, count: usize) -> usize {
        self.exact_free_space().saturating_sub(count * ItemId::SIZE)
    }

    /// [`Page::free_space`] of a heap page: zero if no line pointer may be added and none is unused.
    pub fn heap_free_space(&self) -> usize {
        let space = self.free_space();
        if space > 0 && self.item_count() >= MAX_HEAP_TUPLES_PER_PAGE {
            let reusable =
                self.has_flag(PD_HAS_FREE_LINES) && self.item_ids().any(|(_, item_id)| !item_id.is_used());
            return if reusable { space } else { 0 };
        }
        space
    }

    /// The items that have storage, by the 0-based places of their line pointers.
    ///
    /// # Errors
    /// XX001 if line pointers contradict each other or the header.
    fn stored_items(&self) -> Result<Vec<(usize, ItemId)>> {
        let (upper, special) = self.item_area()?;
        let mut stored = Vec::with_capacity(self.item_count());
        for (offset, item_id) in self.item_ids() {
            if !item_id.is_used() || !item_id.has_storage() {
                continue;
            }
            check_in_area(item_id, upper, special, "line pointer")?;
            stored.push((offset.index(), item_id));
        }
        check_total(&stored, special - self.lower())?;
        Ok(stored)
    }

    /// Makes sure that [`Page::repair_fragmentation`] can't fail, however many items go before it.
    ///
    /// # Errors
    /// XX001 if line pointers contradict each other or the header.
    pub fn check_items(&self) -> Result<()> {
        self.stored_items().map(drop)
    }

    /// Closes the gaps between items and drops unused line pointers at the end: `PageRepairFragmentation`.
    ///
    /// # Errors
    /// XX001 if line pointers contradict each other or the header; the page is then unchanged.
    pub fn repair_fragmentation(&mut self) -> Result<()> {
        let kept = self.stored_items()?;
        let (_, special) = self.item_area()?;
        let mut unused = 0;
        let mut last_used = 0;
        for (offset, item_id) in self.item_ids() {
            if item_id.is_used() {
                last_used = usize::from(offset.0);
            } else {
                unused += 1;
            }
        }
        let count = self.item_count();
        for index in 0..count {
            if !ItemId(self.u32_at(slot(index))).is_used() {
                self.set_u32(slot(index), ItemId::UNUSED.0);
            }
        }
        self.lay_out(&kept, special);
        unused -= count - last_used;
        self.set_lower(slot(last_used));
        if unused > 0 {
            self.set_flag(PD_HAS_FREE_LINES)
        } else {
            self.clear_flag(PD_HAS_FREE_LINES)
        }
        Ok(())
    }

    /// Drops unused line pointers at the end, leaving at least one: `PageTruncateLinePointerArray`.
    pub fn truncate_line_pointers(&mut self) {
        let count = self.item_count();
        let trailing = self.item_ids().skip(1).rev().take_while(|(_, item_id)| !item_id.is_used()).count();
        let left = count - trailing;
        let reusable = self.item_ids().take(left).any(|(_, item_id)| !item_id.is_used());
        if trailing > 0 {
            self.set_lower(slot(left));
        }
        if reusable { self.set_flag(PD_HAS_FREE_LINES) } else { self.clear_flag(PD_HAS_FREE_LINES) }
    }

    /// Removes one item and its line pointer; those behind move down: `PageIndexTupleDelete`.
    ///
    /// # Errors
    /// XX001 on contradictory bytes, XX000 for a number that doesn't exist.
    pub fn index_tuple_delete(&mut self, offset: OffsetNumber) -> Result<()> {
        let item_id = self.indexed_item(offset)?;
        let old_lower = self.lower();
        let at = slot(offset.index());
        self.bytes_mut().copy_within(at + ItemId::SIZE..old_lower, at);
        self.set_lower(old_lower - ItemId::SIZE);
        self.remove_storage(item_id);
        Ok(())
    }

    /// Removes one item but keeps its line pointer, unused (or dropped if it is the last):
    /// `PageIndexTupleDeleteNoCompact`.
    ///
    /// # Errors
    /// As [`Page::index_tuple_delete`].
    pub fn index_tuple_delete_no_compact(&mut self, offset: OffsetNumber) -> Result<()> {
        let item_id = self.indexed_item(offset)?;
        if usize::from(offset.0) < self.item_count() {
            self.set_item_id(offset, ItemId::UNUSED);
        } else {
            self.set_lower(self.lower() - ItemId::SIZE);
        }
        self.remove_storage(item_id);
        Ok(())
    }

    /// Removes several items, given in rising order: `PageIndexMultiDelete`.
    ///
    /// # Errors
    /// As [`Page::index_tuple_delete`]; the page is then unchanged.
    pub fn index_multi_delete(&mut self, offsets: &[OffsetNumber]) -> Result<()> {
        // One or two are removed singly, last first, which leaves the others in their physical order; so
        // does PostgreSQL, and a page it replays must come out the same.
        if offsets.len() <= 2 {
            for offset in offsets {
                self.indexed_item(*offset)?;
            }
            return offsets.iter().rev().try_for_each(|offset| self.index_tuple_delete(*offset));
        }
        let (upper, special) = self.item_area()?;
        let mut doomed = offsets.iter().peekable();
        let mut kept = Vec::with_capacity(self.item_count());
        for (offset, item_id) in self.item_ids() {
            check_in_area(item_id, upper, special, "line pointer")?;
            if doomed.next_if(|next| **next == offset).is_none() {
                kept.push((kept.len(), item_id));
            }
        }
        if doomed.next().is_some() {
            return Err(Error::internal("incorrect index offsets supplied"));
        }
        check_total(&kept, special - self.lower())?;
        self.lay_out(&kept, special);
        self.set_lower(slot(kept.len()));
        Ok(())
    }

    /// Replaces an item by one of another length in place: `PageIndexTupleOverwrite`. False if it
    /// doesn't fit.
    ///
    /// # Errors
    /// As [`Page::index_tuple_delete`].
    pub fn index_tuple_overwrite(&mut self, offset: OffsetNumber, item: &[u8]) -> Result<bool> {
        let old = self.indexed_item(offset)?;
        let (old_len, new_len) = (max_align(old.len()), max_align(item.len()));
        if new_len > old_len + self.exact_free_space() {
            return Ok(false);
        }
        let mut start = old.offset();
        if new_len != old_len {
            let upper = self.upper();
            let new_upper = upper + old_len - new_len;
            self.bytes_mut().copy_within(upper..start, new_upper);
            self.set_upper(new_upper);
            for index in 0..self.item_count() {
                let item_id = ItemId(self.u32_at(slot(index)));
                // A damaged line pointer may lead elsewhere: nothing of it moves.
                if item_id.has_storage() && (upper..=start).contains(&item_id.offset()) {
                    let moved = item_id.moved_to(item_id.offset() + old_len - new_len);
                    self.set_u32(slot(index), moved.0);
                }
            }
            start = start + old_len - new_len;
        }
        self.set_u32(slot(offset.index()), ItemId::normal(start, item.len()).with_flags(old.flags()).0);
        self.bytes_mut()[start..start + item.len()].copy_from_slice(item);
        Ok(true)
    }

    /// The item area, if the header can be trusted.
    fn item_area(&self) -> Result<(usize, usize)> {
        self.check_pointers()?;
        Ok((self.upper(), self.special_offset()))
    }

    /// The line pointer of an item that is to be removed or replaced, checked.
    fn indexed_item(&self, offset: OffsetNumber) -> Result<ItemId> {
        let (upper, special) = self.item_area()?;
        let item_id =
            self.item_id(offset).ok_or_else(|| Error::internal(format!("invalid index offnum: {offset}")))?;
        check_in_area(item_id, upper, special, "line pointer")?;
        if item_id.offset() != max_align(item_id.offset()) {
            return Err(corrupted("line pointer", item_id));
        }
        Ok(item_id)
    }

    /// Moves the items below a removed one up over it.
    fn remove_storage(&mut self, removed: ItemId) {
        let len = max_align(removed.len());
        let (upper, start) = (self.upper(), removed.offset());
        if start > upper {
            self.bytes_mut().copy_within(upper..start, upper + len);
        }
        self.set_upper(upper + len);
        for index in 0..self.item_count() {
            let item_id = ItemId(self.u32_at(slot(index)));
            if item_id.has_storage() && (upper..=start).contains(&item_id.offset()) {
                self.set_u32(slot(index), item_id.moved_to(item_id.offset() + len).0);
            }
        }
    }

    /// Writes the kept items, checked before, without gaps from the special space downward in the order
    /// given, with line pointers at the indexes given.
    fn lay_out(&mut self, kept: &[(usize, ItemId)], special: usize) {
        let source = self.bytes().to_owned();
        let mut upper = special;
        for (index, item_id) in kept {
            let len = max_align(item_id.len());
            upper -= len;
            let from = item_id.offset();
            self.bytes_mut()[upper..upper + len].copy_from_slice(&source[from..from + len]);
            self.set_u32(slot(*index), item_id.moved_to(upper).0);
        }
        self.set_upper(upper);
    }
}

fn corrupted(what: &str, item_id: ItemId) -> Error {
    Error::new(
        SqlState::DATA_CORRUPTED,
        format!("corrupted {what}: offset = {}, size = {}", item_id.offset(), item_id.len()),
    )
}

fn check_in_area(item_id: ItemId, upper: usize, special: usize, what: &str) -> Result<()> {
    let end = item_id.offset() + max_align(item_id.len());
    if item_id.offset() < upper || end > special || end > BLOCK_SIZE {
        return Err(corrupted(what, item_id));
    }
    Ok(())
}

fn check_total(kept: &[(usize, ItemId)], available: usize) -> Result<()> {
    let total: usize = kept.iter().map(|(_, item_id)| max_align(item_id.len())).sum();
    if total > available {
        return Err(Error::new(
            SqlState::DATA_CORRUPTED,
            format!("corrupted item lengths: total {total}, available space {available}"),
        ));
    }
    Ok(())
}
