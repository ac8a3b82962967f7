//! Inserting rows: one at a time, or a page at a time.
//!
//! Realises: `heap_insert`, `heap_multi_insert`, `heap_finish_speculative`, `heap_abort_speculative`.

use kokkiri_primitives::fault;
use kokkiri_primitives::{BlockNumber, CommandId, ItemPointer, OffsetNumber, Result, TransactionId};
use kokkiri_storage::buffer::{BufferPool, PageWriteGuard, PinnedBuffer, Ring};
use kokkiri_storage::page::{ItemPlace, PD_ALL_VISIBLE};
use kokkiri_storage::{CriticalSection, visibility_map};
use kokkiri_types::ValueRef;
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::placement::PlacementOptions;
use super::record::{
    Delete, Infobits, Insert, MultiInsert, TupleBits, delete_flags, heap_info, heap2_info, insert_flags,
};
use super::vm::VmPin;
use super::{Heap, page};
use crate::toast;
use crate::tuple::form::{FormValue, HeapTuple, form};
use crate::tuple::header::{HEADER_SIZE, Infomask, TupleHeader, infomask2, max_align};

/// How rows are inserted.
#[derive(Clone, Copy, Debug, Default)]
pub struct InsertOptions {
    /// Append without looking for free space.
    pub skip_fsm: bool,
    /// Visible to everybody at once: the table was made in this transaction.
    pub frozen: bool,
    /// The row counts only once the insertion is confirmed; others may wait for this token.
    pub speculative_token: Option<u32>,
}

/// What a long series of insertions keeps between them: `BulkInsertState`.
pub struct BulkInsert {
    pub(super) current: Option<PinnedBuffer>,
    pub(super) ring: Ring,
}

impl BulkInsert {
    pub fn new(buffers: &BufferPool) -> Self {
        Self { current: None, ring: Ring::bulk_write(buffers) }
    }

    /// Gives the pin on the current page back.
    pub fn release(&mut self) {
        self.current = None;
    }
}

impl Heap<'_> {
    /// Inserts a row of one value per attribute, nulls for dropped ones.
    pub fn insert(&self, row: &[ValueRef<'_>], options: InsertOptions) -> Result<ItemPointer> {
        self.insert_formed(row.iter().map(|value| FormValue::Value(*value)).collect(), options)
    }

    /// As [`Heap::insert`], of values some of which are as another table has them compressed.
    pub fn insert_formed(&self, row: Vec<FormValue<'_>>, options: InsertOptions) -> Result<ItemPointer> {
        let tuple = self.form_for_storage(row, None)?;
        self.insert_tuple(tuple, options, None)
    }

    /// Inserts rows, as many as fit on a page with one record. Their places come in the same order.
    pub fn multi_insert(
        &self,
        rows: &[&[ValueRef<'_>]],
        options: InsertOptions,
        bulk: Option<&mut BulkInsert>,
    ) -> Result<Vec<ItemPointer>> {
        let rows = rows.iter().map(|row| row.iter().map(|value| FormValue::Value(*value)).collect());
        self.multi_insert_formed(rows, options, bulk)
    }

    /// As [`Heap::multi_insert`], of values some of which are as another table has them compressed.
    pub fn multi_insert_formed<'v>(
        &self,
        rows: impl ExactSizeIterator<Item = Vec<FormValue<'v>>>,
        options: InsertOptions,
        mut bulk: Option<&mut BulkInsert>,
    ) -> Result<Vec<ItemPointer>> {
        let mut tuples = Vec::with_capacity(rows.len());
        let (xid, cid) = (self.transaction.current_xid()?, self.transaction.use_command_id());
        for row in rows {
            let mut tuple = self.form_for_storage(row, None)?;
            stamp(&mut tuple, xid, cid, options)?;
            tuples.push(tuple);
        }
        let mut tids = Vec::with_capacity(tuples.len());
        while tids.len() < tuples.len() {
            self.fill_page(&tuples[tids.len()..], xid, options, bulk.as_deref_mut(), &mut tids)?;
        }
        Ok(tids)
    }

    /// Forms a row, with values moved out of line or compressed if it is too long.
    pub(super) fn form_for_storage(
        &self,
        values: Vec<FormValue<'_>>,
        old: Option<&[Option<&[u8]>]>,
    ) -> Result<HeapTuple> {
        let desc = &self.relation.tuple_desc;
        let tuple = form(desc, &values)?;
        let toasts = self.relation.kind.has_heap() && !self.relation.is_toast();
        let old_external = old.is_some_and(|old| {
            let mut columns = desc.iter().zip(old);
            columns.any(|(attribute, old)| old.is_some_and(|old| toast::store::is_pointer(attribute, old)))
        });
        if toasts && (old_external || tuple.has_external() || tuple.bytes.len() > toast::TUPLE_THRESHOLD) {
            let values = toast::store::shrink_row(self, values, old)?;
            return form(desc, &values);
        }
        Ok(tuple)
    }

    pub(crate) fn insert_tuple(
        &self,
        mut tuple: HeapTuple,
        options: InsertOptions,
        bulk: Option<&mut BulkInsert>,
    ) -> Result<ItemPointer> {
        let xid = self.transaction.current_xid()?;
        stamp(&mut tuple, xid, self.transaction.use_command_id(), options)?;
        let mut vm = VmPin::default();
        let placement = PlacementOptions { skip_fsm: options.skip_fsm };
        let mut guard = self.page_for_tuple(tuple.bytes.len(), None, &mut vm, bulk, placement)?.page;
        let block = guard.block();
        let clear = guard.is_all_visible();
        let mut map = if clear { vm.lock(block) } else { None };
        let critical = CriticalSection::enter();
        let target = guard.page_mut(&critical);
        let offset = page::put_tuple(target, block, ItemPlace::Any, &tuple.bytes, options.speculative_token)
            .expect("the page was chosen for its room");
        fault::point("heap_insert");
        let map_cleared = clear_visibility(&mut guard, map.as_mut(), &critical);
        if self.relation.needs_wal() {
            let mut flags = 0;
            if clear {
                flags |= insert_flags::ALL_VISIBLE_CLEARED;
            }
            if options.speculative_token.is_some() {
                flags |= insert_flags::IS_SPECULATIVE;
            }
            let (info, registration) = init_if_first(&guard, offset, heap_info::INSERT);
            let header = TupleHeader::read(&tuple.bytes).expect("a formed tuple has a header");
            let mut record = self.record(RmgrId::Heap, info, Some(xid));
            record.data(&Insert { offset, flags }.encode());
            record.register(0, &mut guard, registration);
            record.buffer_data(0, &TupleBits::of(&header).to_bytes());
            record.buffer_data(0, &tuple.bytes[HEADER_SIZE..]);
            if let Some(map) = map.as_mut().filter(|_| map_cleared) {
                record.register(1, map, RegisterFlags::NONE);
            }
            self.cluster().wal.insert(&critical, record);
        }
        Ok(ItemPointer::new(block, offset))
    }

    /// Puts as many tuples as fit on one page, at least one.
    fn fill_page(
        &self,
        tuples: &[HeapTuple],
        xid: TransactionId,
        options: InsertOptions,
        bulk: Option<&mut BulkInsert>,
        tids: &mut Vec<ItemPointer>,
    ) -> Result<()> {
        let mut vm = VmPin::default();
        let placement = PlacementOptions { skip_fsm: options.skip_fsm };
        let mut guard = self.page_for_tuple(tuples[0].bytes.len(), None, &mut vm, bulk, placement)?.page;
        let block = guard.block();
        let reserved = self.relation.options.reserved_space();
        let init = guard.max_offset().0 == 0;
        let clear = guard.is_all_visible();
        let mut map = if clear { vm.lock(block) } else { None };
        let critical = CriticalSection::enter();
        let mut offsets = Vec::new();
        for tuple in tuples {
            let needed = max_align(tuple.bytes.len()) + if offsets.is_empty() { 0 } else { reserved };
            let target = guard.page_mut(&critical);
            if !offsets.is_empty() && target.heap_free_space() < needed {
                break;
            }
            let offset = page::put_tuple(target, block, ItemPlace::Any, &tuple.bytes, None)
                .expect("the page was chosen for its room");
            offsets.push(offset);
        }
        let map_cleared = clear_visibility(&mut guard, map.as_mut(), &critical);
        if self.relation.needs_wal() {
            let mut data = Vec::new();
            for tuple in &tuples[..offsets.len()] {
                let header = TupleHeader::read(&tuple.bytes).expect("a formed tuple has a header");
                MultiInsert::append_tuple(&mut data, TupleBits::of(&header), &tuple.bytes[HEADER_SIZE..]);
            }
            let mut flags = if clear { insert_flags::ALL_VISIBLE_CLEARED } else { 0 };
            if offsets.len() == tuples.len() {
                flags |= insert_flags::LAST_IN_MULTI;
            }
            let info = heap2_info::MULTI_INSERT | if init { heap_info::INIT_PAGE } else { 0 };
            let payload =
                MultiInsert { flags, count: offsets.len(), offsets: (!init).then(|| offsets.clone()) };
            let mut record = self.record(RmgrId::Heap2, info, Some(xid));
            record.data(&payload.encode());
            let registration = if init { RegisterFlags::WILL_INIT } else { RegisterFlags::NONE };
            record.register(0, &mut guard, RegisterFlags::STANDARD | registration);
            record.buffer_data(0, &data);
            if let Some(map) = map.as_mut().filter(|_| map_cleared) {
                record.register(1, map, RegisterFlags::NONE);
            }
            self.cluster().wal.insert(&critical, record);
        }
        tids.extend(offsets.iter().map(|offset| ItemPointer::new(block, *offset)));
        Ok(())
    }

    /// Makes a speculative insertion an ordinary one.
    pub fn confirm_speculative(&self, tid: ItemPointer) -> Result<()> {
        let mut guard = self.pin(tid.block)?.write();
        page::header(&guard, tid.offset)?;
        let critical = CriticalSection::enter();
        page::confirm(guard.page_mut(&critical), tid).expect("the tuple was there a moment ago");
        if self.relation.needs_wal() {
            let mut record =
                self.record(RmgrId::Heap, heap_info::CONFIRM, self.transaction.current_xid_if_assigned());
            record.data(&tid.offset.0.to_le_bytes());
            record.register(0, &mut guard, RegisterFlags::STANDARD);
            self.cluster().wal.insert(&critical, record);
        }
        Ok(())
    }

    /// Takes a speculative insertion back: `heap_abort_speculative`. Its chunks of wide values go too.
    pub fn abort_speculative(&self, tid: ItemPointer) -> Result<()> {
        let xid = self.transaction.current_xid()?;
        let mut guard = self.pin(tid.block)?.write();
        let stored = page::tuple(&guard, tid.offset).map(<[u8]>::to_vec);
        page::header(&guard, tid.offset)?;
        let payload = Delete {
            xmax: xid,
            offset: tid.offset,
            infobits: Infobits::default(),
            flags: delete_flags::IS_SUPER,
        };
        let critical = CriticalSection::enter();
        page::mark_deleted(
            guard.page_mut(&critical),
            tid.block,
            &payload,
            page::StoredCommand::default(),
            xid,
        )
        .expect("the tuple was there a moment ago");
        if self.relation.needs_wal() {
            let mut record = self.record(RmgrId::Heap, heap_info::DELETE, Some(xid));
            record.data(&payload.encode());
            record.register(0, &mut guard, RegisterFlags::STANDARD);
            self.cluster().wal.insert(&critical, record);
        }
        drop(critical);
        drop(guard);
        if let Some(stored) = stored {
            toast::store::delete_values(self, &stored)?;
        }
        Ok(())
    }
}

/// Writes the transaction's fields of a tuple that is about to be inserted.
fn stamp(tuple: &mut HeapTuple, xid: TransactionId, cid: CommandId, options: InsertOptions) -> Result<()> {
    let mut header = tuple.header()?;
    header.xmin = xid;
    header.xmax = TransactionId::INVALID;
    header.cid = cid;
    header.infomask.0 = header.infomask.0 & !Infomask::TRANSACTION_MASK | Infomask::XMAX_INVALID;
    header.infomask2 &= !infomask2::TRANSACTION_MASK;
    if options.frozen {
        header.infomask.0 |= Infomask::XMIN_FROZEN;
    }
    header.write(&mut tuple.bytes);
    Ok(())
}

/// Clears the page's all-visible state, if it is set, and the bits in its map page. True if the map page
/// was changed.
pub(super) fn clear_visibility(
    guard: &mut PageWriteGuard,
    map: Option<&mut PageWriteGuard>,
    critical: &CriticalSection,
) -> bool {
    if !guard.is_all_visible() {
        return false;
    }
    let block: BlockNumber = guard.block();
    guard.page_mut(critical).clear_flag(PD_ALL_VISIBLE);
    map.is_some_and(|map| visibility_map::clear(map, critical, block, visibility_map::VALID_BITS))
}

/// Kind and registration of a record that puts a tuple on a page: the first tuple makes the page anew.
pub(super) fn init_if_first(guard: &PageWriteGuard, offset: OffsetNumber, info: u8) -> (u8, RegisterFlags) {
    if offset == OffsetNumber::FIRST && guard.max_offset() == OffsetNumber::FIRST {
        (info | heap_info::INIT_PAGE, RegisterFlags::STANDARD | RegisterFlags::WILL_INIT)
    } else {
        (info, RegisterFlags::STANDARD)
    }
}
