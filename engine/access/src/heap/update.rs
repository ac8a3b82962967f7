//! Updating rows: `heap_update`.
//!
//! The new version goes to the page of the old one if there is room; if moreover no indexed column
//! changes, it is heap-only and needs no index entries (HOT). Otherwise the old version is locked first,
//! because the page lock must be given up while a page is found or wide values are moved out.

use kokkiri_primitives::{CommandId, ItemPointer, Result, TransactionId};
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer};
use kokkiri_storage::page::{ItemPlace, PD_PAGE_FULL};
use kokkiri_storage::{CriticalSection, Page, visibility_map};
use kokkiri_transaction::lock::WaitPolicy;
use kokkiri_types::ValueRef;
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::delete::{TupleLock, invisible, set_hints};
use super::insert::{clear_visibility, init_if_first};
use super::locking::{NewXmax, RowLockMode, compute_new_xmax, hint_bits_of, multi_conflicts};
use super::page::{self, StoredCommand};
use super::placement::{OtherPage, PlacementOptions};
use super::record::{
    Infobits, LOCK_ALL_FROZEN_CLEARED, Lock, TupleBits, Update, heap_info, shared_ends, update_flags,
};
use super::visibility::{Judge, TupleState, satisfies_update};
use super::vm::VmPin;
use super::{Heap, Unchanged};
use crate::toast;
use crate::tuple::deform::stored_attributes;
use crate::tuple::form::{FormValue, HeapTuple};
use crate::tuple::header::{HEADER_SIZE, Infomask, TupleHeader, infomask2, max_align};

/// What becomes of one column.
#[derive(Clone, Copy, Debug)]
pub enum NewValue<'a> {
    /// It keeps its stored value; a value out of line stays where it is.
    Unchanged,
    Set(ValueRef<'a>),
    /// The value of another column, which has it compressed.
    Copy {
        value: ValueRef<'a>,
        compressed: &'a [u8],
    },
}

impl<'a> NewValue<'a> {
    /// The value, if it is a new one.
    fn value(&self) -> Option<ValueRef<'a>> {
        match self {
            NewValue::Unchanged => None,
            NewValue::Set(value) | NewValue::Copy { value, .. } => Some(*value),
        }
    }
}

/// A row that was updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowUpdate {
    pub tid: ItemPointer,
    /// No index needs a new entry.
    pub is_hot: bool,
    /// The lock that the update took: the key changed or not.
    pub mode: RowLockMode,
}

/// The judged old version under its page's lock.
struct OldVersion {
    guard: PageWriteGuard,
    header: TupleHeader,
    /// Who else held the row was waited for, and whether somebody compatible is left.
    lockers: Option<bool>,
}

impl Heap<'_> {
    /// Replaces the version at `tid`; `new` has one entry per attribute. Waits for others who hold the row.
    pub fn update(
        &self,
        tid: ItemPointer,
        new: &[NewValue<'_>],
    ) -> Result<std::result::Result<RowUpdate, Unchanged>> {
        let xid = self.transaction.current_xid()?;
        let cid = self.transaction.use_command_id();
        let pin = self.pin(tid.block)?;
        let mut vm = VmPin::default();
        let mut lock = TupleLock::default();
        let outcome = self.update_locked(&pin, tid, new, xid, cid, &mut vm, &mut lock);
        lock.release(self);
        outcome
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one update")]
    fn update_locked(
        &self,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        new: &[NewValue<'_>],
        xid: TransactionId,
        cid: CommandId,
        vm: &mut VmPin,
        lock: &mut TupleLock,
    ) -> Result<std::result::Result<RowUpdate, Unchanged>> {
        self.announce_membership();
        let guard = self.lock_page(pin, vm)?;
        // The bytes of a tuple don't change while its page is pinned, only its header does.
        let Some(old) = page::tuple(&guard, tid.offset).map(<[u8]>::to_vec) else {
            return Ok(Err(Unchanged::Deleted { moved: false }));
        };
        let stored = stored_attributes(&self.relation.tuple_desc, &old)?;
        let changed = self.changed_attributes(&stored, new)?;
        let key_changed = self.relation.key_attributes().iter().any(|key| changed[key]);
        let mode = if key_changed { RowLockMode::Exclusive } else { RowLockMode::NoKeyExclusive };
        let hot_allowed = !self.relation.indexed_attributes().iter().any(|indexed| changed[indexed]);

        let old_version = match self.settle_update(guard, pin, tid, cid, mode, vm, lock)? {
            Ok(old_version) => old_version,
            Err(unchanged) => return Ok(Err(unchanged)),
        };
        let OldVersion { guard, header, lockers } = old_version;
        let observer = self.observer();
        let old_xmax = compute_new_xmax(&header, xid, mode, true, &observer)?;
        let new_xmax = self.xmax_of_new_version(&header, lockers)?;
        let command = self.adjust_cmax(&header, cid);

        let values: Vec<_> = self.merged_values(&stored, new);
        let plain = crate::tuple::form::form(&self.relation.tuple_desc, &values)?;
        let has_external = header.infomask.any(Infomask::HAS_EXTERNAL) || plain.has_external();
        let needs_toast = self.relation.kind.has_heap()
            && !self.relation.is_toast()
            && (has_external || plain.bytes.len() > toast::TUPLE_THRESHOLD);
        let room = guard.heap_free_space();
        let mut vm_new = VmPin::default();
        let (mut guard, mut new_page, tuple) = if needs_toast || max_align(plain.bytes.len()) > room {
            // The row must not be taken by others while the page is not locked.
            let row_lock = compute_new_xmax(&header, xid, mode, false, &observer)?;
            self.write_row_lock(guard, tid, row_lock, Some(command), vm)?;
            let tuple = if needs_toast { self.form_for_storage(values, Some(&stored))? } else { plain };
            let other = OtherPage { pin, vm };
            let placed = self.page_for_update(tuple.bytes.len(), other, &mut vm_new)?;
            match placed.other {
                Some(old_page) => (old_page, Some(placed.page), tuple),
                None => (placed.page, None, tuple),
            }
        } else {
            (guard, None, plain)
        };
        let is_hot = hot_allowed && new_page.is_none();
        let change = Change { tid, tuple, is_hot, xid, cid, old_xmax, new_xmax, command };
        let new_tid = self.write_update(&mut guard, new_page.as_mut(), change, vm, &vm_new)?;
        drop((guard, new_page));
        if has_external {
            toast::store::delete_replaced(self, &stored, new)?;
        }
        Ok(Ok(RowUpdate { tid: new_tid, is_hot, mode }))
    }

    /// Room on the old page if pruning by others has made some, else another page.
    fn page_for_update(
        &self,
        length: usize,
        other: OtherPage<'_>,
        vm_new: &mut VmPin,
    ) -> Result<super::placement::Placed> {
        let guard = self.lock_page(other.pin, other.vm)?;
        if max_align(length) <= guard.heap_free_space() {
            return Ok(super::placement::Placed { page: guard, other: None });
        }
        drop(guard);
        self.page_for_tuple(length, Some(other), vm_new, None, PlacementOptions::default())
    }

    /// Which attributes get other bytes.
    fn changed_attributes(&self, stored: &[Option<&[u8]>], new: &[NewValue<'_>]) -> Result<Vec<bool>> {
        let desc = &self.relation.tuple_desc;
        let mut changed = Vec::with_capacity(new.len());
        for (index, value) in new.iter().enumerate() {
            changed.push(match (value.value(), stored.get(index)) {
                (None, _) => false,
                (Some(value), Some(old)) => !same_value(&desc[index], *old, value)?,
                (Some(value), None) => {
                    let missing =
                        desc[index].missing.as_ref().map_or(ValueRef::Null, |missing| missing.as_ref());
                    value != missing
                }
            });
        }
        Ok(changed)
    }

    fn merged_values<'v>(&'v self, stored: &[Option<&'v [u8]>], new: &[NewValue<'v>]) -> Vec<FormValue<'v>> {
        let desc = &self.relation.tuple_desc;
        new.iter()
            .enumerate()
            .map(|(index, value)| match (value, stored.get(index)) {
                (NewValue::Set(value), _) => FormValue::Value(*value),
                (NewValue::Copy { compressed, .. }, _) => FormValue::Stored((*compressed).into()),
                (NewValue::Unchanged, Some(None)) => FormValue::NULL,
                (NewValue::Unchanged, Some(Some(bytes))) => stored_value(&desc[index], bytes),
                (NewValue::Unchanged, None) => FormValue::Value(
                    desc[index].missing.as_ref().map_or(ValueRef::Null, |value| value.as_ref()),
                ),
            })
            .collect()
    }

    /// Judges the old version and waits for those who hold it, until it may be replaced.
    #[expect(clippy::too_many_arguments, reason = "the state of one update")]
    fn settle_update(
        &self,
        mut guard: PageWriteGuard,
        pin: &PinnedBuffer,
        tid: ItemPointer,
        cid: CommandId,
        mode: RowLockMode,
        vm: &mut VmPin,
        lock: &mut TupleLock,
    ) -> Result<std::result::Result<OldVersion, Unchanged>> {
        let observer = self.observer();
        let mut lockers = None;
        loop {
            let header = page::header(&guard, tid.offset)?;
            let (state, hints) = satisfies_update(&header, tid, cid, &observer)?;
            set_hints(&mut guard, tid, hints.safe_bits(&observer));
            let header = page::header(&guard, tid.offset)?;
            match state {
                TupleState::Ok => {}
                TupleState::Invisible => return Err(invisible("update")),
                TupleState::SelfModified | TupleState::Updated | TupleState::Deleted => {
                    return Ok(Err(self.unchanged(&header, state, cid)?));
                }
                TupleState::BeingModified => {
                    if let Some(multi) = header.xmax_multi() {
                        let (conflict, ours) = multi_conflicts(multi, header.infomask, mode, &observer)?;
                        if conflict {
                            drop(guard);
                            if !ours {
                                lock.acquire(self, tid, mode, WaitPolicy::Block)?;
                            }
                            let (_, remains) = self.wait_for_members(
                                multi,
                                &header,
                                mode,
                                tid,
                                "updating",
                                WaitPolicy::Block,
                            )?;
                            guard = self.lock_page(pin, vm)?;
                            let now = page::header(&guard, tid.offset)?;
                            if xmax_changed(&header, &now) {
                                lockers = None;
                                continue;
                            }
                            lockers = Some(remains);
                        }
                        if !self.is_only_locked(&header)? {
                            let state =
                                if header.ctid == tid { TupleState::Deleted } else { TupleState::Updated };
                            return Ok(Err(self.unchanged(&header, state, cid)?));
                        }
                    } else if self.transaction.is_current(header.xmax)
                        || (mode == RowLockMode::NoKeyExclusive && is_key_share_locked(&header))
                    {
                        lockers = Some(true);
                    } else {
                        drop(guard);
                        lock.acquire(self, tid, mode, WaitPolicy::Block)?;
                        self.wait_out(header.xmax, tid, "updating")?;
                        guard = self.lock_page(pin, vm)?;
                        lockers = None;
                        continue;
                    }
                }
            }
            if guard.is_all_visible() && !vm.is_pinned_for(tid.block) {
                drop(guard);
                guard = self.lock_page(pin, vm)?;
                continue;
            }
            return Ok(Ok(OldVersion { guard, header, lockers }));
        }
    }

    /// Lockers of the old version that don't conflict go over to the new one.
    fn xmax_of_new_version(&self, header: &TupleHeader, lockers: Option<bool>) -> Result<NewXmax> {
        let infomask = header.infomask;
        let none = infomask.any(Infomask::XMAX_INVALID)
            || infomask.xmax_is_upgraded_lock()
            || lockers == Some(false)
            || !header.xmax.is_valid();
        if none {
            return Ok(NewXmax {
                xmax: TransactionId::INVALID,
                infomask: Infomask::XMAX_INVALID,
                infomask2: 0,
            });
        }
        let (bits, bits2) = match header.xmax_multi() {
            Some(multi) => hint_bits_of(&self.observer().members(multi, false)?),
            None => (Infomask::XMAX_KEYSHR_LOCK | Infomask::XMAX_LOCK_ONLY, 0),
        };
        Ok(NewXmax { xmax: header.xmax, infomask: bits, infomask2: bits2 })
    }

    /// Writes a row lock of ours to a tuple and lets go of its page.
    pub(super) fn write_row_lock(
        &self,
        guard: PageWriteGuard,
        tid: ItemPointer,
        row_lock: NewXmax,
        command: Option<StoredCommand>,
        vm: &VmPin,
    ) -> Result<()> {
        self.write_lock(guard, tid, row_lock, vm, (RmgrId::Heap, heap_info::LOCK), |page, payload| {
            page::mark_locked(page, tid.block, payload, command)
        })
    }

    /// Writes a lock by `mark`, with its record, and lets go of the page. A page with a lock on it is not all
    /// frozen.
    pub(super) fn write_lock(
        &self,
        mut guard: PageWriteGuard,
        tid: ItemPointer,
        lock: NewXmax,
        vm: &VmPin,
        (rmgr, info): (RmgrId, u8),
        mark: impl FnOnce(&mut Page, &Lock) -> Result<()>,
    ) -> Result<()> {
        let mut map = if guard.is_all_visible() { vm.lock(tid.block) } else { None };
        let infobits = Infobits::of(lock.infomask, lock.infomask2);
        let mut payload = Lock { xmax: lock.xmax, offset: tid.offset, infobits, flags: 0 };
        let xid = self.transaction.current_xid()?;
        let critical = CriticalSection::enter();
        mark(guard.page_mut(&critical), &payload).expect("the tuple was judged under the same lock");
        let unfrozen = map
            .as_mut()
            .is_some_and(|map| visibility_map::clear(map, &critical, tid.block, visibility_map::ALL_FROZEN));
        if unfrozen {
            payload.flags |= LOCK_ALL_FROZEN_CLEARED;
        }
        if self.relation.needs_wal() {
            let mut record = self.record(rmgr, info, Some(xid));
            record.data(&payload.encode());
            record.register(0, &mut guard, RegisterFlags::STANDARD);
            if let Some(map) = map.as_mut().filter(|_| unfrozen) {
                record.register(1, map, RegisterFlags::NONE);
            }
            self.cluster().wal.insert(&critical, record);
        }
        Ok(())
    }

    /// Puts the new version in its place and links the old one to it.
    fn write_update(
        &self,
        old_page: &mut PageWriteGuard,
        mut new_page: Option<&mut PageWriteGuard>,
        mut change: Change,
        vm: &VmPin,
        vm_new: &VmPin,
    ) -> Result<ItemPointer> {
        change.stamp()?;
        let tid = change.tid;
        let old_tuple = page::tuple(old_page, tid.offset).map(<[u8]>::to_vec).unwrap_or_default();
        let new_block = new_page.as_ref().map_or(tid.block, |page| page.block());
        let clear_old = old_page.is_all_visible();
        let clear_new = new_page.as_ref().is_some_and(|page| page.is_all_visible());
        let mut maps =
            MapPages::lock(clear_old.then_some(tid.block), clear_new.then_some(new_block), vm, vm_new);
        let needs_image = self.needs_image(old_page.lsn());

        let critical = CriticalSection::enter();
        let target = match new_page.as_deref_mut() {
            Some(page) => page.page_mut(&critical),
            None => old_page.page_mut(&critical),
        };
        let new_offset = page::put_tuple(target, new_block, ItemPlace::Any, &change.tuple.bytes, None)
            .expect("the page was chosen for its room");
        let new_tid = ItemPointer::new(new_block, new_offset);
        let mut payload = Update {
            old_xmax: change.old_xmax.xmax,
            old_offset: tid.offset,
            old_infobits: Infobits::of(change.old_xmax.infomask, change.old_xmax.infomask2),
            flags: 0,
            new_xmax: change.new_xmax.xmax,
            new_offset,
        };
        if clear_old {
            payload.flags |= update_flags::OLD_ALL_VISIBLE_CLEARED;
        }
        if clear_new {
            payload.flags |= update_flags::NEW_ALL_VISIBLE_CLEARED;
        }
        let mut cleared = [false; 2];
        if clear_old {
            let map = maps.for_old();
            cleared[maps.old_slot()] |= clear_visibility(old_page, map, &critical);
        }
        if let Some(page) = new_page.as_deref_mut().filter(|_| clear_new) {
            cleared[0] |= clear_visibility(page, maps.new.as_mut(), &critical);
        }
        page::mark_updated(
            old_page.page_mut(&critical),
            &payload,
            new_tid,
            change.is_hot,
            change.command,
            change.xid,
        )
        .expect("the tuple was judged under the same lock");
        if new_page.is_some() {
            // The next reader should prune: an update found no room.
            old_page.page_mut(&critical).set_flag(PD_PAGE_FULL);
        }
        if self.relation.needs_wal() {
            let info = if change.is_hot { heap_info::HOT_UPDATE } else { heap_info::UPDATE };
            let guard: &PageWriteGuard = new_page.as_deref().unwrap_or(old_page);
            let (info, registration) = init_if_first(guard, new_offset, info);
            let ends =
                if new_page.is_none() && !needs_image { change.shared_ends(&old_tuple) } else { (0, 0) };
            let data = change.encode_data(ends, &mut payload);
            let mut record = self.record(RmgrId::Heap, info, Some(change.xid));
            record.data(&payload.encode());
            match new_page {
                Some(page) => {
                    record.register(0, page, registration);
                    record.buffer_data(0, &data);
                    record.register(1, old_page, RegisterFlags::STANDARD);
                }
                None => {
                    record.register(0, old_page, registration);
                    record.buffer_data(0, &data);
                }
            }
            if let Some(map) = maps.new.as_mut().filter(|_| cleared[0]) {
                record.register(2, map, RegisterFlags::NONE);
            }
            if let Some(map) = maps.old.as_mut().filter(|_| cleared[1]) {
                record.register(3, map, RegisterFlags::NONE);
            }
            self.cluster().wal.insert(&critical, record);
        }
        Ok(new_tid)
    }
}

/// Everything about an update but the pages.
struct Change {
    tid: ItemPointer,
    tuple: HeapTuple,
    is_hot: bool,
    xid: TransactionId,
    cid: CommandId,
    old_xmax: NewXmax,
    new_xmax: NewXmax,
    command: StoredCommand,
}

impl Change {
    /// Writes the transaction's fields of the new version.
    fn stamp(&mut self) -> Result<()> {
        let mut header = self.tuple.header()?;
        header.xmin = self.xid;
        header.cid = self.cid;
        header.xmax = self.new_xmax.xmax;
        header.infomask.0 =
            header.infomask.0 & !Infomask::TRANSACTION_MASK | Infomask::UPDATED | self.new_xmax.infomask;
        header.infomask2 = header.infomask2 & !infomask2::TRANSACTION_MASK | self.new_xmax.infomask2;
        if self.is_hot {
            header.infomask2 |= infomask2::ONLY_TUPLE;
        }
        header.write(&mut self.tuple.bytes);
        Ok(())
    }

    fn header(&self) -> TupleHeader {
        TupleHeader::read(&self.tuple.bytes).expect("a formed tuple has a header")
    }

    fn shared_ends(&self, old_tuple: &[u8]) -> (usize, usize) {
        let old_hoff =
            TupleHeader::read(old_tuple).map_or(old_tuple.len(), |header| usize::from(header.hoff));
        shared_ends(&old_tuple[old_hoff..], &self.tuple.bytes[usize::from(self.header().hoff)..])
    }

    /// Data of the new page's block, and the flags that say what it leaves out.
    fn encode_data(&self, (prefix, suffix): (usize, usize), payload: &mut Update) -> Vec<u8> {
        let header = self.header();
        let (bytes, hoff) = (&self.tuple.bytes, usize::from(header.hoff));
        let mut data = Vec::with_capacity(bytes.len());
        if prefix > 0 {
            payload.flags |= update_flags::PREFIX_FROM_OLD;
            data.extend_from_slice(&(prefix as u16).to_le_bytes());
        }
        if suffix > 0 {
            payload.flags |= update_flags::SUFFIX_FROM_OLD;
            data.extend_from_slice(&(suffix as u16).to_le_bytes());
        }
        data.extend_from_slice(&TupleBits::of(&header).to_bytes());
        data.extend_from_slice(&bytes[HEADER_SIZE..hoff]);
        data.extend_from_slice(&bytes[hoff + prefix..bytes.len() - suffix]);
        data
    }
}

/// The map pages of an update, locked in order of their blocks. One page for both heap pages is `new`.
struct MapPages {
    new: Option<PageWriteGuard>,
    old: Option<PageWriteGuard>,
    shared: bool,
}

impl MapPages {
    fn lock(
        old: Option<kokkiri_primitives::BlockNumber>,
        new: Option<kokkiri_primitives::BlockNumber>,
        vm: &VmPin,
        vm_new: &VmPin,
    ) -> Self {
        match (old, new) {
            (Some(old), Some(new)) if vm.is_pinned_for(new) => {
                debug_assert!(vm.is_pinned_for(old));
                Self { new: vm.lock(new), old: None, shared: true }
            }
            (Some(old), Some(new)) if old < new => {
                let old = vm.lock(old);
                Self { new: vm_new.lock(new), old, shared: false }
            }
            (Some(old), Some(new)) => {
                let new = vm_new.lock(new);
                Self { new, old: vm.lock(old), shared: false }
            }
            (old, new) => Self {
                new: new.and_then(|block| vm_new.lock(block)),
                old: old.and_then(|block| vm.lock(block)),
                shared: false,
            },
        }
    }

    fn for_old(&mut self) -> Option<&mut PageWriteGuard> {
        if self.shared { self.new.as_mut() } else { self.old.as_mut() }
    }

    /// Which of the two registered pages the old page's bits are in.
    fn old_slot(&self) -> usize {
        usize::from(!self.shared)
    }
}

fn is_key_share_locked(header: &TupleHeader) -> bool {
    header.infomask.0 & Infomask::LOCK_MASK == Infomask::XMAX_KEYSHR_LOCK
}

/// Whether somebody else has changed who holds the tuple: `xmax_infomask_changed` and the xmax itself.
pub(super) fn xmax_changed(before: &TupleHeader, now: &TupleHeader) -> bool {
    const INTERESTING: u16 = Infomask::XMAX_IS_MULTI | Infomask::XMAX_LOCK_ONLY | Infomask::LOCK_MASK;
    before.xmax != now.xmax || before.infomask.0 & INTERESTING != now.infomask.0 & INTERESTING
}

/// A stored value as it goes into the next version.
fn stored_value<'a>(attribute: &kokkiri_types::Attribute, bytes: &'a [u8]) -> FormValue<'a> {
    match crate::tuple::deform::fixed_value(attribute, bytes) {
        Ok(value) => FormValue::Value(value),
        Err(_) => FormValue::Stored(bytes.into()),
    }
}

/// True if a value is stored in just these bytes: then nothing that depends on it changes.
fn same_value(
    attribute: &kokkiri_types::Attribute,
    stored: Option<&[u8]>,
    value: ValueRef<'_>,
) -> Result<bool> {
    let (Some(stored), false) = (stored, value.is_null()) else {
        return Ok(stored.is_none() && value.is_null());
    };
    if attribute.length == -1 {
        // Compressed and external values are taken for changed, as PostgreSQL does.
        let plain = crate::tuple::varlena::Varlena::decode(stored)?.0;
        return Ok(
            matches!(plain, crate::tuple::varlena::Varlena::Plain(payload) if payload == value.bytes()),
        );
    }
    let mut bytes = Vec::with_capacity(stored.len());
    crate::tuple::form::append(&mut bytes, 0, attribute, &FormValue::Value(value))?;
    Ok(bytes == stored)
}
