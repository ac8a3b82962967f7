//! Multixacts: ids for sets of transactions that lock, or lock and update, one tuple.
//!
//! Realises: multixact.c.
//!
//! A tuple header has room for one xid. When several transactions lock a tuple, or one updates what
//! others have locked, xmax is the id of a set: its members' xids, each with what it does. Sets never
//! change; another member means another id.
//!
//! pg_multixact/offsets holds for every id where its members begin in pg_multixact/members; they end
//! where the next id's begin. Offset zero means "not set", so no set begins there.
//!
//! Invariants:
//!  1. A set's pages are pinned before its record is inserted; after that nothing can fail.
//!  2. Creating a set also sets the offset of the next id, so that a reader always finds where it ends.
//!  3. Before a backend may become a member of any set it has announced the next id at that time
//!     ([`MultiXacts::set_oldest_member`]): sets before every announcement have no running member.
//!
//! Lock order: the counters, then an SLRU bank. The announcements and the cache are leaves.

mod layout;
mod redo;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kokkiri_primitives::{Error, Lsn, MultiXactId, Oid, ProcNumber, Result, TransactionId, error};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::Wal;
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::CheckPoint;
use parking_lot::Mutex;

use crate::slru::{Slru, SlruContext, SlruPin};
use crate::system::{TransactionOptions, TransactionSystem};

use layout::{MEMBERS_PER_PAGE, MEMBERS_PER_SEGMENT, OFFSETS_PER_PAGE};

pub const MULTIXACT_ZERO_OFF_PAGE: u8 = 0x00;
pub const MULTIXACT_ZERO_MEM_PAGE: u8 = 0x10;
pub const MULTIXACT_CREATE_ID: u8 = 0x20;
pub const MULTIXACT_TRUNCATE_ID: u8 = 0x30;

/// Sets remembered, both ways.
const CACHE_SETS_MAX: usize = 1024;

/// What a member does to the tuple, weakest first; the numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MultiXactStatus {
    ForKeyShare = 0,
    ForShare = 1,
    ForNoKeyUpdate = 2,
    ForUpdate = 3,
    /// An update that leaves the key columns alone.
    NoKeyUpdate = 4,
    /// Any other update, and delete.
    Update = 5,
}

impl MultiXactStatus {
    pub fn is_update(self) -> bool {
        self > Self::ForUpdate
    }
}

impl TryFrom<u8> for MultiXactStatus {
    type Error = ();

    fn try_from(number: u8) -> Result<Self, ()> {
        Ok(match number {
            0 => Self::ForKeyShare,
            1 => Self::ForShare,
            2 => Self::ForNoKeyUpdate,
            3 => Self::ForUpdate,
            4 => Self::NoKeyUpdate,
            5 => Self::Update,
            _ => return Err(()),
        })
    }
}

/// A member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MultiXactMember {
    pub xid: TransactionId,
    pub status: MultiXactStatus,
}

/// How far ids may go; as for xids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiXactLimits {
    pub oldest: MultiXactId,
    pub oldest_database: Oid,
    pub vacuum: MultiXactId,
    pub warn: MultiXactId,
    pub stop: MultiXactId,
    pub wrap: MultiXactId,
}

impl MultiXactLimits {
    fn new(oldest: MultiXactId, oldest_database: Oid, freeze_max_age: u32) -> Self {
        let skip_zero = |id: u32| MultiXactId(if id == 0 { 1 } else { id });
        let wrap = skip_zero(oldest.0.wrapping_add(u32::MAX >> 1));
        let before_wrap = |distance: u32| {
            let id = wrap.0.wrapping_sub(distance);
            MultiXactId(if id == 0 { u32::MAX } else { id })
        };
        Self {
            oldest,
            oldest_database,
            vacuum: skip_zero(oldest.0.wrapping_add(freeze_max_age)),
            warn: before_wrap(40_000_000),
            stop: before_wrap(3_000_000),
            wrap,
        }
    }
}

#[derive(Debug)]
struct Counters {
    next: MultiXactId,
    next_offset: u32,
    limits: MultiXactLimits,
    /// Where the oldest set's members begin, once known, and the offset that must not be reached.
    oldest_offset: Option<u32>,
    offset_stop: u32,
}

#[derive(Default)]
struct Cache {
    members: HashMap<MultiXactId, Arc<[MultiXactMember]>>,
    ids: HashMap<Arc<[MultiXactMember]>, MultiXactId>,
}

/// The sets.
pub struct MultiXacts {
    offsets: Arc<Slru>,
    members: Arc<Slru>,
    wal: Arc<Wal>,
    counters: Mutex<Counters>,
    cache: Mutex<Cache>,
    /// By backend: no set before this has the running transaction as a member; zero if none has.
    oldest_member: Box<[AtomicU32]>,
    /// By backend: no set before this is looked at by the running transaction; zero if none is.
    oldest_visible: Box<[AtomicU32]>,
    freeze_max_age: u32,
    truncation: Mutex<()>,
    vacuum_wanted: AtomicBool,
}

impl MultiXacts {
    pub(crate) fn new(
        context: SlruContext,
        capacity: usize,
        start: &CheckPoint,
        options: &TransactionOptions,
    ) -> Self {
        let freeze_max_age = options.autovacuum_multixact_freeze_max_age;
        let limits =
            MultiXactLimits::new(start.oldest_multixact, start.oldest_multixact_database, freeze_max_age);
        let zeros = || (0..capacity).map(|_| AtomicU32::new(0)).collect();
        Self {
            wal: Arc::clone(&context.wal),
            offsets: Slru::new(layout::OFFSETS, context.clone(), options.multixact_offset_buffers),
            members: Slru::new(layout::MEMBERS, context, options.multixact_member_buffers),
            counters: Mutex::new(Counters {
                next: start.next_multixact,
                next_offset: start.next_multixact_offset,
                limits,
                oldest_offset: None,
                offset_stop: 0,
            }),
            cache: Mutex::default(),
            oldest_member: zeros(),
            oldest_visible: zeros(),
            freeze_max_age,
            truncation: Mutex::new(()),
            vacuum_wanted: AtomicBool::new(false),
        }
    }

    pub fn slrus(&self) -> [&Arc<Slru>; 2] {
        [&self.offsets, &self.members]
    }

    /// The next id and the next member's offset, as a checkpoint records them.
    pub fn next(&self) -> (MultiXactId, u32) {
        let counters = self.counters.lock();
        (if counters.next.is_valid() { counters.next } else { MultiXactId::FIRST }, counters.next_offset)
    }

    pub fn limits(&self) -> MultiXactLimits {
        self.counters.lock().limits
    }

    /// True, once, if ids are running out and autovacuum should start at once.
    pub fn take_vacuum_wanted(&self) -> bool {
        self.vacuum_wanted.swap(false, Ordering::Relaxed)
    }

    /// Announces that the backend's transaction may become a member of sets from now on. To be called
    /// before it first locks or updates a tuple that others may lock. `MultiXactIdSetOldestMember`.
    pub fn set_oldest_member(&self, proc: ProcNumber) {
        let slot = &self.oldest_member[proc.0 as usize];
        if slot.load(Ordering::Relaxed) == 0 {
            // Under the counters' lock: no set can come between reading the counter and announcing it.
            let counters = self.counters.lock();
            slot.store(counters.next.0.max(1), Ordering::Release);
        }
    }

    /// Announces that the backend's transaction looks at sets. `MultiXactIdSetOldestVisible`.
    fn set_oldest_visible(&self, proc: ProcNumber) -> MultiXactId {
        let slot = &self.oldest_visible[proc.0 as usize];
        match slot.load(Ordering::Relaxed) {
            0 => {
                let counters = self.counters.lock();
                let oldest = older_of(counters.next.0.max(1), self.oldest_member.iter());
                slot.store(oldest.0, Ordering::Release);
                oldest
            }
            oldest => MultiXactId(oldest),
        }
    }

    /// The transaction is over.
    pub(crate) fn end_transaction(&self, proc: ProcNumber) {
        self.oldest_member[proc.0 as usize].store(0, Ordering::Release);
        self.oldest_visible[proc.0 as usize].store(0, Ordering::Release);
    }

    /// The oldest id that may still have a running member or be looked at: vacuum replaces older ones.
    /// `GetOldestMultiXactId`.
    pub fn oldest(&self) -> MultiXactId {
        let counters = self.counters.lock();
        let announced = self.oldest_member.iter().chain(&*self.oldest_visible);
        older_of(counters.next.0.max(1), announced)
    }

    /// Makes the set of two transactions. `MultiXactIdCreate`.
    pub fn create(
        &self,
        xid: Option<TransactionId>,
        first: MultiXactMember,
        second: MultiXactMember,
    ) -> Result<MultiXactId> {
        self.create_from_members(xid, vec![first, second])
    }

    /// Makes the set that has one member more, leaving out those that no longer matter.
    /// `MultiXactIdExpand`.
    pub fn expand(
        &self,
        system: &TransactionSystem,
        proc: ProcNumber,
        xid: Option<TransactionId>,
        multi: MultiXactId,
        member: MultiXactMember,
    ) -> Result<MultiXactId> {
        let members = self.members(proc, multi, false)?;
        if members.contains(&member) {
            return Ok(multi);
        }
        let mut kept = Vec::with_capacity(members.len() + 1);
        for old in members.iter() {
            let matters =
                system.is_in_progress(old.xid)? || old.status.is_update() && system.did_commit(old.xid)?;
            if matters {
                kept.push(*old);
            }
        }
        kept.push(member);
        self.create_from_members(xid, kept)
    }

    /// Makes a set, or finds one with the same members. `xid` is the one the record carries.
    ///
    /// # Errors
    /// 54000 when ids or members run out, XX000 for two updaters, and I/O.
    pub fn create_from_members(
        &self,
        xid: Option<TransactionId>,
        mut members: Vec<MultiXactMember>,
    ) -> Result<MultiXactId> {
        members.sort_by_key(|member| (member.xid.0, member.status));
        let members: Arc<[MultiXactMember]> = members.into();
        if let Some(multi) = self.cache.lock().ids.get(&members) {
            return Ok(*multi);
        }
        if members.iter().filter(|member| member.status.is_update()).count() > 1 {
            return Err(Error::internal(format!(
                "new multixact has more than one updating member: {}",
                describe(&members)
            )));
        }
        let (multi, offset, pins) = self.reserve(members.len() as u32)?;
        {
            let critical = CriticalSection::enter();
            let mut record = RecordBuilder::new(RmgrId::MultiXact, MULTIXACT_CREATE_ID);
            record.xid(xid).data(&multi.0.to_le_bytes()).data(&offset.to_le_bytes());
            record.data(&(members.len() as u32).to_le_bytes());
            for member in members.iter() {
                record.data(&member.xid.0.to_le_bytes()).data(&u32::from(member.status as u8).to_le_bytes());
            }
            self.wal.insert(&critical, record);
            record_members(&critical, &pins, multi, offset, &members);
        }
        self.remember(multi, members);
        Ok(multi)
    }

    /// Takes the next id and room for its members, with all pages pinned. `GetNewMultiXactId`.
    fn reserve(&self, count: u32) -> Result<(MultiXactId, u32, Vec<SlruPin>)> {
        let mut counters = self.counters.lock();
        let multi = if counters.next.is_valid() { counters.next } else { MultiXactId::FIRST };
        let limits = counters.limits;
        if !multi.precedes(limits.vacuum) && (multi.0.is_multiple_of(65536) || !multi.precedes(limits.stop)) {
            self.vacuum_wanted.store(true, Ordering::Relaxed);
        }
        if !multi.precedes(limits.stop) {
            return Err(error!(
                PROGRAM_LIMIT_EXCEEDED,
                "database is not accepting commands that assign new MultiXactIds to avoid wraparound data \
                 loss in database with OID {}",
                limits.oldest_database
            )
            .hint(
                "Execute a database-wide VACUUM in that database.\nYou might also need to commit or roll \
                 back old prepared transactions.",
            ));
        }
        let (offset, taken) = match counters.next_offset {
            // Slot zero stays unused, so that zero can mean "not set".
            0 => (1, count + 1),
            offset => (offset, count),
        };
        if counters.oldest_offset.is_some() && would_pass(counters.offset_stop, counters.next_offset, taken) {
            let remaining = counters.offset_stop.wrapping_sub(counters.next_offset).wrapping_sub(1);
            let noun = if remaining == 1 { "member" } else { "members" };
            return Err(error!(PROGRAM_LIMIT_EXCEEDED, "multixact \"members\" limit exceeded")
                .detail(format!(
                    "This command would create a multixact with {taken} members, but the remaining space is \
                     only enough for {remaining} {noun}."
                ))
                .hint(format!(
                    "Execute a database-wide VACUUM in database with OID {} with reduced \
                     \"vacuum_multixact_freeze_min_age\" and \"vacuum_multixact_freeze_table_age\" settings.",
                    limits.oldest_database
                )));
        }
        let next = multi.next();
        if layout::offset_entry(next) == 0 || next == MultiXactId::FIRST {
            self.zero_page(&self.offsets, layout::offset_page(next), MULTIXACT_ZERO_OFF_PAGE)?;
        }
        self.extend_members(counters.next_offset, taken)?;
        let pins = self.pin_for(multi, offset, count)?;
        counters.next = MultiXactId(multi.0.wrapping_add(1));
        counters.next_offset = counters.next_offset.wrapping_add(taken);
        Ok((multi, offset, pins))
    }

    /// Pins the pages of the id's offset, the next one's, and of its members.
    fn pin_for(&self, multi: MultiXactId, offset: u32, count: u32) -> Result<Vec<SlruPin>> {
        let mut pins = vec![
            self.offsets.pin(layout::offset_page(multi), multi.0)?,
            self.offsets.pin(layout::offset_page(multi.next()), multi.next().0)?,
        ];
        for n in 0..count {
            let page = layout::member_page(offset.wrapping_add(n));
            if n == 0 || pins.last().is_none_or(|pin| pin.page() != page) {
                pins.push(self.members.pin(page, multi.0)?);
            }
        }
        Ok(pins)
    }

    /// Makes new pages where `count` members from `offset` on reach one. `ExtendMultiXactMember`.
    fn extend_members(&self, offset: u32, count: u32) -> Result<()> {
        for n in 0..count {
            let offset = offset.wrapping_add(n);
            if offset.is_multiple_of(MEMBERS_PER_PAGE) {
                self.zero_page(&self.members, layout::member_page(offset), MULTIXACT_ZERO_MEM_PAGE)?;
            }
        }
        Ok(())
    }

    fn zero_page(&self, slru: &Arc<Slru>, page: u64, info: u8) -> Result<Lsn> {
        let pin = slru.zero_page(page)?;
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::MultiXact, info);
        record.data(&pin.page().to_le_bytes());
        Ok(self.wal.insert(&critical, record))
    }

    /// The members of a set. Empty for a set that only locked and is too old to have a running member.
    /// `GetMultiXactIdMembers`.
    ///
    /// # Errors
    /// XX000 for an id that no longer or does not yet exist, XX001 for bad bytes, and I/O.
    pub fn members(
        &self,
        proc: ProcNumber,
        multi: MultiXactId,
        locks_only: bool,
    ) -> Result<Arc<[MultiXactMember]>> {
        if !multi.is_valid() {
            return Ok(Arc::default());
        }
        if let Some(members) = self.cache.lock().members.get(&multi) {
            return Ok(Arc::clone(members));
        }
        let oldest_visible = self.set_oldest_visible(proc);
        if locks_only && multi.precedes(oldest_visible) {
            return Ok(Arc::default());
        }
        let (next, next_offset) = {
            let counters = self.counters.lock();
            if multi.precedes(counters.limits.oldest) {
                return Err(Error::internal(format!(
                    "MultiXactId {multi} does no longer exist -- apparent wraparound"
                )));
            }
            (counters.next, counters.next_offset)
        };
        if !multi.precedes(next) {
            return Err(Error::internal(format!(
                "MultiXactId {multi} has not been created yet -- apparent wraparound"
            )));
        }
        let offset = self.offset_of(multi)?;
        let end = if next.0 == multi.0.wrapping_add(1) { next_offset } else { self.offset_of(multi.next())? };
        if end == 0 && next.0 != multi.0.wrapping_add(1) || offset == 0 {
            return Err(Error::data_corrupted(format!("MultiXact {multi} has invalid next offset")));
        }
        let members = self.read_members(multi, offset, end.wrapping_sub(offset))?;
        self.remember(multi, Arc::clone(&members));
        Ok(members)
    }

    /// True if a member runs. `MultiXactIdIsRunning`.
    pub fn is_running(
        &self,
        system: &TransactionSystem,
        proc: ProcNumber,
        multi: MultiXactId,
        locks_only: bool,
    ) -> Result<bool> {
        for member in self.members(proc, multi, locks_only)?.iter() {
            if system.is_in_progress(member.xid)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn offset_of(&self, multi: MultiXactId) -> Result<u32> {
        self.offsets.read(layout::offset_page(multi), multi.0, |bytes, _| layout::get_offset(bytes, multi))
    }

    fn read_members(&self, multi: MultiXactId, offset: u32, count: u32) -> Result<Arc<[MultiXactMember]>> {
        let mut members = Vec::new();
        let mut at = 0;
        while at < count {
            let first = offset.wrapping_add(at);
            let page = layout::member_page(first);
            let on_page = (MEMBERS_PER_PAGE - first % MEMBERS_PER_PAGE).min(count - at);
            let read = self.members.read(page, multi.0, |bytes, _| {
                (0..on_page).map(|n| layout::get_member(bytes, first.wrapping_add(n))).collect::<Vec<_>>()
            })?;
            // More than any set can have: the offsets are wrong, and reading on would take all memory.
            if members.len() > MEMBERS_PER_SEGMENT as usize {
                return Err(Error::data_corrupted(format!("MultiXact {multi} has invalid next offset")));
            }
            for (xid, status) in read {
                // The unused slot zero, where offsets have wrapped.
                let Some(xid) = xid.valid() else { continue };
                let status = MultiXactStatus::try_from(status).map_err(|()| {
                    Error::data_corrupted(format!(
                        "MultiXact {multi} has a member of unknown status {status}"
                    ))
                })?;
                members.push(MultiXactMember { xid, status });
            }
            at += on_page;
        }
        Ok(members.into())
    }

    fn remember(&self, multi: MultiXactId, members: Arc<[MultiXactMember]>) {
        let mut cache = self.cache.lock();
        if cache.members.len() >= CACHE_SETS_MAX {
            cache.members.clear();
            cache.ids.clear();
        }
        cache.members.insert(multi, Arc::clone(&members));
        cache.ids.insert(members, multi);
    }
}

/// Writes a set's offsets and members into pinned pages. `RecordNewMultiXact`.
fn record_members(
    critical: &CriticalSection,
    pins: &[SlruPin],
    multi: MultiXactId,
    offset: u32,
    members: &[MultiXactMember],
) {
    let end = match offset.wrapping_add(members.len() as u32) {
        0 => 1,
        end => end,
    };
    pins[0].write_logged(critical, |bytes, _| layout::put_offset(bytes, multi, offset));
    pins[1].write_logged(critical, |bytes, _| layout::put_offset(bytes, multi.next(), end));
    for pin in &pins[2..] {
        pin.write_logged(critical, |bytes, _| {
            for (n, member) in members.iter().enumerate() {
                let at = offset.wrapping_add(n as u32);
                if layout::member_page(at) == pin.page() {
                    layout::put_member(bytes, at, member.xid, member.status as u8);
                }
            }
        });
    }
}

/// The oldest of `next` and what backends have announced.
fn older_of<'a>(next: u32, announced: impl Iterator<Item = &'a AtomicU32>) -> MultiXactId {
    let announced = announced.map(|slot| slot.load(Ordering::Acquire)).filter(|id| *id != 0);
    let older = |a: MultiXactId, b: MultiXactId| if b.precedes(a) { b } else { a };
    announced.map(MultiXactId).fold(MultiXactId(next), older)
}

/// True if `distance` members from `start` on would reach `boundary`. `MultiXactOffsetWouldWrap`.
fn would_pass(boundary: u32, start: u32, distance: u32) -> bool {
    // The distance is far smaller than the space, so one that seems to wrap has reached the unused zero.
    let mut finish = start.wrapping_add(distance);
    if finish < start {
        finish = finish.wrapping_add(1);
    }
    if start < boundary { finish >= boundary || finish < start } else { finish >= boundary && finish < start }
}

fn describe(members: &[MultiXactMember]) -> String {
    let name = |status: MultiXactStatus| match status {
        MultiXactStatus::ForKeyShare => "keysh",
        MultiXactStatus::ForShare => "sh",
        MultiXactStatus::ForNoKeyUpdate => "fornokeyupd",
        MultiXactStatus::ForUpdate => "forupd",
        MultiXactStatus::NoKeyUpdate => "nokeyupd",
        MultiXactStatus::Update => "upd",
    };
    let each: Vec<String> = members.iter().map(|m| format!("{} ({})", m.xid, name(m.status))).collect();
    format!("{} [{}]", members.len(), each.join(", "))
}

const _: () = assert!(OFFSETS_PER_PAGE == 2048 && MEMBERS_PER_PAGE == 1636);
