//! Simple LRU: small fixed-width facts about transactions, in numbered pages cached in memory.
//!
//! Realises: slru.c, which pg_xact, pg_subtrans and pg_multixact share.
//!
//! A page belongs to one bank (by its number), and each bank has its own mutex, its own few slots and
//! its own replacement, so lookups of far-apart xids don't meet. Files are segments of 32 pages, named by
//! their number in hexadecimal.
//!
//! Invariants:
//!  1. No I/O happens under a bank's mutex: the slot is marked as being read or written instead.
//!  2. A pinned slot keeps its page, so what is done through a [`SlruPin`] can't fail: commits pin what
//!     they will set before they enter their critical section.
//!  3. A page is written only after WAL is flushed to the highest LSN noted for it.
//!  4. A segment that was written is synced at the next checkpoint; a failed sync is a PANIC.
//!
//! Lock order: a bank's mutex, then the set of segments to sync. A thread holds one bank at a time.

mod pin;
mod segment;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kokkiri_primitives::activity::{WaitEvent, blocking};
use kokkiri_primitives::{BLOCK_SIZE, Lsn, Result};
use kokkiri_storage::{FileSystem, Poison};
use kokkiri_wal::Wal;
use parking_lot::{Condvar, Mutex, MutexGuard};

pub use pin::SlruPin;
pub use segment::SEGMENT_PAGES;

static SLRU_READ: WaitEvent = WaitEvent::new("IO", "SlruRead");
static SLRU_WRITE: WaitEvent = WaitEvent::new("IO", "SlruWrite");
static SLRU_FLUSH_SYNC: WaitEvent = WaitEvent::new("IO", "SlruFlushSync");

/// Slots of a bank.
const BANK_SIZE: usize = 16;

pub(crate) type SlruPage = [u8; BLOCK_SIZE];

/// What distinguishes one SLRU from another.
#[derive(Clone, Copy, Debug)]
pub struct SlruKind {
    /// pg_stat_slru's name.
    pub name: &'static str,
    pub directory: &'static str,
    /// How many groups of entries on a page have an LSN of their own; zero if none is noted.
    pub lsn_groups: usize,
    /// Written segments are synced at checkpoints. Not so for what starts empty after a crash.
    pub durable: bool,
    /// True if the first page is logically before the second, in an id space that wraps.
    pub precedes: fn(u64, u64) -> bool,
}

/// pg_stat_slru's counters.
#[derive(Debug, Default)]
pub struct SlruCounters {
    pub blocks_zeroed: AtomicU64,
    pub blocks_hit: AtomicU64,
    pub blocks_read: AtomicU64,
    pub blocks_written: AtomicU64,
    pub blocks_exists: AtomicU64,
    pub flushes: AtomicU64,
    pub truncates: AtomicU64,
}

/// What a cluster's SLRUs have in common.
#[derive(Clone)]
pub struct SlruContext {
    pub fs: Arc<dyn FileSystem>,
    /// Asked to flush before a page with noted LSNs is written.
    pub wal: Arc<Wal>,
    pub poison: &'static Poison,
}

/// One set of numbered pages.
pub struct Slru {
    kind: SlruKind,
    context: SlruContext,
    banks: Box<[Bank]>,
    /// The page that new entries go to; never chosen for replacement.
    latest_page: AtomicU64,
    /// During replay a missing page reads as zeros: it will be truncated away later in the log.
    in_recovery: AtomicBool,
    /// Segments written since they were last synced.
    unsynced: Mutex<BTreeSet<u64>>,
    pub counters: SlruCounters,
}

#[derive(Default)]
struct Bank {
    state: Mutex<BankState>,
    /// A read or write of one of the bank's slots has ended.
    io_done: Condvar,
}

#[derive(Default)]
struct BankState {
    slots: Vec<Slot>,
    /// Counts accesses: a slot's recency.
    clock: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Empty,
    Reading,
    Valid,
    Writing,
}

struct Slot {
    page: u64,
    status: Status,
    dirty: bool,
    pins: u32,
    last_used: u64,
    bytes: Box<SlruPage>,
    lsns: Box<[Lsn]>,
}

impl Slru {
    /// An SLRU of `buffers` slots, rounded to whole banks.
    pub fn new(kind: SlruKind, context: SlruContext, buffers: usize) -> Arc<Self> {
        let banks = (buffers / BANK_SIZE).max(1);
        Arc::new(Self {
            kind,
            context,
            banks: (0..banks).map(|_| Bank::default()).collect(),
            latest_page: AtomicU64::new(0),
            in_recovery: AtomicBool::new(true),
            unsynced: Mutex::default(),
            counters: SlruCounters::default(),
        })
    }

    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Replay has ended: from now on a missing page is an error.
    pub fn end_recovery(&self) {
        self.in_recovery.store(false, Ordering::Release);
    }

    pub fn set_latest_page(&self, page: u64) {
        self.latest_page.store(page, Ordering::Relaxed);
    }

    pub fn latest_page(&self) -> u64 {
        self.latest_page.load(Ordering::Relaxed)
    }

    /// Pins a page, reading it if it is not in memory. `about` is the id to name if that fails.
    ///
    /// # Errors
    /// I/O, worded as an inaccessible transaction status.
    pub fn pin(self: &Arc<Self>, page: u64, about: u32) -> Result<SlruPin> {
        let (state, slot) = self.find(page, about)?;
        Ok(SlruPin::new(self, page, state, slot))
    }

    /// Looks at a page.
    pub fn read<T>(&self, page: u64, about: u32, look: impl FnOnce(&SlruPage, &[Lsn]) -> T) -> Result<T> {
        let (state, slot) = self.find(page, about)?;
        let slot = &state.slots[slot];
        Ok(look(&slot.bytes, &slot.lsns))
    }

    /// Changes a page.
    pub fn write<T>(&self, page: u64, about: u32, change: impl FnOnce(&mut SlruPage) -> T) -> Result<T> {
        let (mut state, slot) = self.find(page, about)?;
        let slot = &mut state.slots[slot];
        slot.dirty = true;
        Ok(change(&mut slot.bytes))
    }

    /// Makes a new page of zeros, in memory, and pins it. `SimpleLruZeroPage`.
    pub fn zero_page(self: &Arc<Self>, page: u64) -> Result<SlruPin> {
        self.counters.blocks_zeroed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.bank(page).state.lock();
        let slot = loop {
            match state.slots.iter().position(|slot| slot.status != Status::Empty && slot.page == page) {
                Some(slot) if matches!(state.slots[slot].status, Status::Valid) => break slot,
                Some(_) => self.bank(page).io_done.wait(&mut state),
                None => match self.free_slot(page, state)? {
                    (locked, Some(slot)) => {
                        state = locked;
                        break slot;
                    }
                    (locked, None) => state = locked,
                },
            }
        };
        let fresh = &mut state.slots[slot];
        fresh.page = page;
        fresh.status = Status::Valid;
        fresh.dirty = true;
        fresh.bytes.fill(0);
        fresh.lsns.fill(Lsn::INVALID);
        self.set_latest_page(page);
        Ok(SlruPin::new(self, page, state, slot))
    }

    /// Writes a page if it is dirty.
    pub fn write_page(&self, page: u64) -> Result<()> {
        let state = self.bank(page).state.lock();
        match state.slots.iter().position(|slot| slot.status != Status::Empty && slot.page == page) {
            Some(slot) => self.write_slot(page, state, slot).map(drop),
            None => Ok(()),
        }
    }

    /// Writes every dirty page. `SimpleLruWriteAll`.
    pub fn write_all(&self) -> Result<()> {
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        for bank in &self.banks {
            let mut state = bank.state.lock();
            let mut slot = 0;
            while slot < state.slots.len() {
                if state.slots[slot].status != Status::Empty && state.slots[slot].dirty {
                    let page = state.slots[slot].page;
                    state = self.write_slot(page, state, slot)?;
                }
                slot += 1;
            }
        }
        Ok(())
    }

    /// Writes every dirty page and makes it durable: the SLRU's part of a checkpoint.
    ///
    /// # Errors
    /// I/O; a failed sync is a PANIC.
    pub fn checkpoint(&self) -> Result<()> {
        self.write_all()?;
        if self.kind.durable { self.sync_segments() } else { Ok(()) }
    }

    fn bank(&self, page: u64) -> &Bank {
        &self.banks[(page % self.banks.len() as u64) as usize]
    }

    /// Finds a page's slot, reading the page if need be. The bank is locked when this returns.
    fn find(&self, page: u64, about: u32) -> Result<(MutexGuard<'_, BankState>, usize)> {
        let bank = self.bank(page);
        let mut state = bank.state.lock();
        loop {
            match state.slots.iter().position(|slot| slot.status != Status::Empty && slot.page == page) {
                Some(slot) if state.slots[slot].status == Status::Reading => bank.io_done.wait(&mut state),
                Some(slot) => {
                    self.counters.blocks_hit.fetch_add(1, Ordering::Relaxed);
                    state.touch(slot);
                    return Ok((state, slot));
                }
                None => {
                    let (locked, slot) = self.free_slot(page, state)?;
                    state = match slot {
                        Some(slot) => self.read_into(page, about, locked, slot)?,
                        None => locked,
                    };
                }
            }
        }
    }

    /// Reads `page` into a free slot.
    fn read_into<'a>(
        &'a self,
        page: u64,
        about: u32,
        mut state: MutexGuard<'a, BankState>,
        slot: usize,
    ) -> Result<MutexGuard<'a, BankState>> {
        self.counters.blocks_read.fetch_add(1, Ordering::Relaxed);
        state.slots[slot].page = page;
        state.slots[slot].status = Status::Reading;
        state.slots[slot].dirty = false;
        drop(state);
        let mut bytes = Box::new([0; BLOCK_SIZE]);
        let outcome = blocking(&SLRU_READ, || self.read_from_disk(page, about, &mut bytes));
        let bank = self.bank(page);
        let mut state = bank.state.lock();
        let filled = &mut state.slots[slot];
        match &outcome {
            Ok(()) => {
                filled.bytes = bytes;
                filled.lsns.fill(Lsn::INVALID);
                filled.status = Status::Valid;
            }
            Err(_) => filled.status = Status::Empty,
        }
        bank.io_done.notify_all();
        outcome.map(|()| state)
    }

    /// Finds a slot for `page`. `None`: the bank had to be unlocked, so the caller looks again whether
    /// the page has come in meanwhile.
    fn free_slot<'a>(
        &'a self,
        page: u64,
        mut state: MutexGuard<'a, BankState>,
    ) -> Result<(MutexGuard<'a, BankState>, Option<usize>)> {
        if let Some(slot) = state.slots.iter().position(|slot| slot.status == Status::Empty) {
            return Ok((state, Some(slot)));
        }
        if state.slots.len() < BANK_SIZE {
            let slot = state.add_slot(self.kind.lsn_groups);
            return Ok((state, Some(slot)));
        }
        let latest = self.latest_page();
        let victim = state
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.status == Status::Valid && slot.pins == 0 && slot.page != latest)
            .min_by_key(|(_, slot)| slot.last_used)
            .map(|(slot, _)| slot);
        match victim {
            Some(slot) if !state.slots[slot].dirty => {
                state.slots[slot].status = Status::Empty;
                Ok((state, Some(slot)))
            }
            Some(slot) => {
                let victim_page = state.slots[slot].page;
                Ok((self.write_slot(victim_page, state, slot)?, None))
            }
            None if state
                .slots
                .iter()
                .any(|slot| matches!(slot.status, Status::Reading | Status::Writing)) =>
            {
                self.bank(page).io_done.wait(&mut state);
                Ok((state, None))
            }
            // Everything is pinned: rather one slot more than a deadlock among committers.
            None => {
                let slot = state.add_slot(self.kind.lsn_groups);
                Ok((state, Some(slot)))
            }
        }
    }

    /// Writes the slot's page, which may be changed again meanwhile.
    fn write_slot<'a>(
        &'a self,
        page: u64,
        mut state: MutexGuard<'a, BankState>,
        slot: usize,
    ) -> Result<MutexGuard<'a, BankState>> {
        let bank = self.bank(page);
        while matches!(state.slots[slot].status, Status::Reading | Status::Writing)
            && state.slots[slot].page == page
        {
            bank.io_done.wait(&mut state);
        }
        let written = &mut state.slots[slot];
        if written.page != page || written.status != Status::Valid || !written.dirty {
            return Ok(state);
        }
        written.status = Status::Writing;
        written.dirty = false;
        let bytes = written.bytes.clone();
        let lsn = written.lsns.iter().copied().max().unwrap_or(Lsn::INVALID);
        drop(state);
        self.counters.blocks_written.fetch_add(1, Ordering::Relaxed);
        let outcome = blocking(&SLRU_WRITE, || {
            if lsn.is_valid() {
                self.context.wal.flush(lsn)?;
            }
            self.write_to_disk(page, &bytes)
        });
        let mut state = bank.state.lock();
        let written = &mut state.slots[slot];
        written.status = Status::Valid;
        if outcome.is_err() {
            written.dirty = true;
        }
        bank.io_done.notify_all();
        outcome.map(|()| state)
    }
}

impl BankState {
    fn touch(&mut self, slot: usize) {
        self.clock += 1;
        self.slots[slot].last_used = self.clock;
    }

    fn add_slot(&mut self, lsn_groups: usize) -> usize {
        self.slots.push(Slot {
            page: 0,
            status: Status::Empty,
            dirty: false,
            pins: 0,
            last_used: 0,
            bytes: Box::new([0; BLOCK_SIZE]),
            lsns: vec![Lsn::INVALID; lsn_groups].into(),
        });
        self.slots.len() - 1
    }
}
