//! Scanning an index.
//!
//! Realises: `btgettuple`, `_bt_readpage`, `_bt_steppage`, `_bt_killitems`, mark and restore.
//!
//! A scan works a page at a time: under a shared lock it notes all matching entries of a leaf, unlocks,
//! and hands them out one by one. Entries that come in meanwhile are missed, which is right: they were
//! not there when the page was read. Going right, it follows the right link as it was when the page was
//! read; so a page that is split later is not met twice. Going left, the left link may be outdated, and
//! the page is accepted only if its right link leads back.
//!
//! The pin on the page being handed out keeps vacuum from reusing the rows' line pointers. With an MVCC
//! snapshot that is no danger, as a new row there would be invisible; then the pin is dropped, unless
//! entries themselves are handed out, whose rows may not be visited at all (index-only scans).

use std::sync::Arc;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, ItemPointer, Lsn, OffsetNumber, Result, error};
use kokkiri_storage::{Page, PageReadGuard, PinnedBuffer};
use kokkiri_transaction::Cluster;
use kokkiri_types::Value;

use super::page::{BtreePage, HIGH_KEY, flags};
use super::scan_key::{Direction, ScanKey, ScanKeys, Start};
use super::tree::Tree;
use super::tuple::{IndexTuple, TupleRef};
use crate::relation::IndexDescriptor;

/// How a scan is to be done.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// Rows are judged by an MVCC snapshot.
    pub mvcc: bool,
    /// Index tuples are wanted besides tids.
    pub with_tuples: bool,
    /// Leave out entries marked dead; not during recovery, where the standby's snapshots may be older
    /// than those that the marks were made for.
    pub skip_killed: bool,
}

/// An entry noted on a page.
#[derive(Clone, Copy)]
struct Item {
    tid: ItemPointer,
    offset: OffsetNumber,
    /// Where its tuple is in `Position::tuples`.
    tuple: u32,
}

/// The page that the scan is on, and what matched there, in index order.
#[derive(Clone)]
struct Position {
    pin: Option<PinnedBuffer>,
    lsn: Lsn,
    block: BlockNumber,
    prev: Option<BlockNumber>,
    next: Option<BlockNumber>,
    /// Whether there may be matches before and behind the page.
    more_left: bool,
    more_right: bool,
    items: Vec<Item>,
    current: usize,
    tuples: Vec<u8>,
}

#[derive(Clone)]
enum State {
    Unstarted,
    On(Position),
    /// At the end in this direction.
    Ended(Direction),
}

enum Mark {
    None,
    /// On the current page.
    Here(usize),
    Elsewhere(Box<(State, ScanKeys)>),
}

/// A scan of an index. It holds no lock between calls.
pub struct Scan {
    cluster: Arc<Cluster>,
    index: Arc<IndexDescriptor>,
    keys: ScanKeys,
    options: ScanOptions,
    state: State,
    mark: Mark,
    /// The memory of a position that the scan has left, for the next.
    spare: (Vec<Item>, Vec<u8>),
    /// Items of the current page whose rows nobody needs any more.
    killed: Vec<usize>,
    /// Descents made: `Index Searches` of EXPLAIN.
    searches: u64,
}

impl Scan {
    pub fn new(
        cluster: Arc<Cluster>,
        index: Arc<IndexDescriptor>,
        keys: Vec<ScanKey>,
        options: ScanOptions,
    ) -> Self {
        let keys = ScanKeys::new(index.btree.shape(&index), keys);
        Self {
            cluster,
            index,
            keys,
            options,
            state: State::Unstarted,
            mark: Mark::None,
            spare: Default::default(),
            killed: Vec::new(),
            searches: 0,
        }
    }

    /// Starts over with new conditions.
    pub fn rescan(&mut self, keys: Vec<ScanKey>) -> Result<()> {
        self.leave_page()?;
        self.keys = ScanKeys::new(self.index.btree.shape(&self.index), keys);
        self.forget_position();
        self.mark = Mark::None;
        Ok(())
    }

    /// The scan is nowhere; what its position took is kept for the next.
    fn forget_position(&mut self) {
        if let State::On(position) = std::mem::replace(&mut self.state, State::Unstarted) {
            self.spare = (position.items, position.tuples);
        }
    }

    pub fn index(&self) -> &Arc<IndexDescriptor> {
        &self.index
    }

    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// The next entry in `direction`.
    pub fn next(&mut self, direction: Direction) -> Result<Option<ItemPointer>> {
        let mut found = match &mut self.state {
            State::On(position) => {
                let moved = match direction {
                    Direction::Forward => {
                        Some(position.current + 1).filter(|next| *next < position.items.len())
                    }
                    Direction::Backward => position.current.checked_sub(1),
                };
                match moved {
                    Some(current) => {
                        position.current = current;
                        return Ok(Some(position.items[current].tid));
                    }
                    None => self.step_page(direction)?,
                }
            }
            State::Unstarted => {
                self.keys.reset(direction);
                self.first(direction)?
            }
            State::Ended(end) if *end == direction => return Ok(None),
            State::Ended(_) => {
                self.keys.reset(direction);
                self.first(direction)?
            }
        };
        while !found {
            if !self.keys.advance(direction) {
                self.state = State::Ended(direction);
                return Ok(None);
            }
            found = self.first(direction)?;
        }
        Ok(self.current_tid())
    }

    /// Appends up to `limit` tids to `tids` and says how many; fewer than asked for only at the end.
    pub fn next_batch(
        &mut self,
        direction: Direction,
        limit: usize,
        tids: &mut Vec<ItemPointer>,
    ) -> Result<usize> {
        for count in 0..limit {
            match self.next(direction)? {
                Some(tid) => tids.push(tid),
                None => return Ok(count),
            }
        }
        Ok(limit)
    }

    fn current_tid(&self) -> Option<ItemPointer> {
        match &self.state {
            State::On(position) => position.items.get(position.current).map(|item| item.tid),
            State::Unstarted | State::Ended(_) => None,
        }
    }

    /// The values of the entry last returned, if the scan was told to keep tuples.
    pub fn current_values(&self, values: &mut Vec<Value>) -> Result<()> {
        let State::On(position) = &self.state else { return Ok(()) };
        let Some(item) = position.items.get(position.current) else { return Ok(()) };
        let tuple = position
            .tuples
            .get(item.tuple as usize..)
            .and_then(TupleRef::parse)
            .ok_or_else(|| error!(INTERNAL_ERROR, "index scan keeps no tuples"))?;
        self.index.btree.shape(&self.index).deform(tuple, values)
    }

    /// Notes that the row of the entry last returned is dead to everybody: the entry will be marked.
    pub fn kill_current(&mut self) {
        if let State::On(position) = &self.state {
            self.killed.push(position.current);
        }
    }

    /// Remembers where the scan is.
    pub fn mark(&mut self) {
        self.mark = match &self.state {
            State::On(position) => Mark::Here(position.current),
            State::Unstarted | State::Ended(_) => {
                Mark::Elsewhere(Box::new((self.state.clone(), self.keys.clone())))
            }
        };
    }

    /// Goes back to where [`Scan::mark`] was called last: the entry there is the current one again.
    pub fn restore(&mut self) -> Result<()> {
        match &self.mark {
            Mark::None => {}
            Mark::Here(marked) => {
                if let State::On(position) = &mut self.state {
                    position.current = *marked;
                }
            }
            Mark::Elsewhere(marked) => {
                let (state, keys) = (**marked).clone();
                self.leave_page()?;
                self.state = state;
                self.keys = keys;
            }
        }
        Ok(())
    }

    /// Descends to the first match of the current array elements: `_bt_first`.
    fn first(&mut self, direction: Direction) -> Result<bool> {
        check_for_interrupts()?;
        self.leave_page()?;
        self.forget_position();
        let (cluster, index) = (Arc::clone(&self.cluster), Arc::clone(&self.index));
        let tree = Tree::new(&cluster, &index, None);
        let (leaf, offset) = match self.keys.start(tree.shape(), direction) {
            Start::Nowhere => return Ok(false),
            Start::Endpoint => {
                let backward = direction == Direction::Backward;
                let Some(leaf) = tree.endpoint(0, backward)? else { return Ok(false) };
                let offset = if backward { leaf.max_offset() } else { leaf.opaque().first_data() };
                (leaf, offset)
            }
            Start::At(key) => {
                let Some((_, leaf)) = tree.search(&key)? else { return Ok(false) };
                let offset = key.find(&leaf)?;
                (leaf, offset)
            }
        };
        self.searches += 1;
        let forward = direction == Direction::Forward;
        let (items, tuples) = std::mem::take(&mut self.spare);
        let mut position = Position {
            pin: None,
            lsn: Lsn::INVALID,
            block: leaf.block(),
            prev: None,
            next: None,
            more_left: !forward,
            more_right: forward,
            items,
            current: 0,
            tuples,
        };
        self.read_page(&tree, &mut position, leaf, direction, offset)?;
        let found = !position.items.is_empty();
        self.state = State::On(position);
        if found { Ok(true) } else { self.step_page(direction) }
    }

    /// Notes the matches of a leaf from `start` on, and lets the page go: `_bt_readpage`.
    fn read_page(
        &self,
        tree: &Tree<'_>,
        position: &mut Position,
        leaf: PageReadGuard,
        direction: Direction,
        start: OffsetNumber,
    ) -> Result<()> {
        let page: &Page = &leaf;
        let opaque = page.opaque();
        position.block = leaf.block();
        position.prev = opaque.prev;
        position.next = opaque.next;
        position.lsn = page.lsn();
        position.items.clear();
        position.tuples.clear();
        let (first, last) = (opaque.first_data().0, page.max_offset().0);
        let mut go_on = true;
        match direction {
            Direction::Forward => {
                for offset in start.0.max(first)..=last {
                    go_on = self.note(tree, position, page, OffsetNumber(offset), direction)?;
                    if !go_on {
                        break;
                    }
                }
                // The high key may tell that the page to the right has no match.
                if go_on && !opaque.is_rightmost() {
                    go_on = self.keys.judge(tree.shape(), page.tuple(HIGH_KEY)?, direction)?.go_on;
                }
                position.more_right &= go_on;
                position.current = 0;
            }
            Direction::Backward => {
                for offset in (first..=start.0.min(last)).rev() {
                    go_on = self.note(tree, position, page, OffsetNumber(offset), direction)?;
                    if !go_on {
                        break;
                    }
                }
                position.more_left &= go_on;
                position.items.reverse();
                position.current = position.items.len().saturating_sub(1);
            }
        }
        let drop_pin = self.options.mvcc && !self.options.with_tuples && tree.needs_wal();
        position.pin = (!drop_pin && !position.items.is_empty()).then(|| leaf.unlock());
        Ok(())
    }

    /// Notes the entries of one tuple if it matches; false if no tuple further on can.
    fn note(
        &self,
        tree: &Tree<'_>,
        position: &mut Position,
        page: &Page,
        offset: OffsetNumber,
        direction: Direction,
    ) -> Result<bool> {
        if self.options.skip_killed && page.item_id(offset).is_some_and(|item| item.is_dead()) {
            // The last tuple read decides whether to go on; for a dead one the next will.
            return Ok(true);
        }
        let tuple = page.tuple(offset)?;
        let judgement = self.keys.judge(tree.shape(), tuple, direction)?;
        if !judgement.matches {
            return Ok(judgement.go_on);
        }
        let place = position.tuples.len() as u32;
        if self.options.with_tuples {
            // One copy of the key for all tids of a posting list.
            let tids: Vec<_> = tuple.heap_tids().take(1).collect();
            position.tuples.extend_from_slice(IndexTuple::with_tids(tuple, &tids).bytes());
        }
        let start = position.items.len();
        position.items.extend(tuple.heap_tids().map(|tid| Item { tid, offset, tuple: place }));
        if direction == Direction::Backward {
            position.items[start..].reverse();
        }
        Ok(true)
    }

    /// Goes to the next page with a match; false if there is none. `_bt_steppage`.
    fn step_page(&mut self, direction: Direction) -> Result<bool> {
        self.leave_page()?;
        let State::On(mut position) = std::mem::replace(&mut self.state, State::Unstarted) else {
            return Ok(false);
        };
        if let Mark::Here(marked) = self.mark {
            let mut position = position.clone();
            position.current = marked;
            self.mark = Mark::Elsewhere(Box::new((State::On(position), self.keys.clone())));
        }
        position.pin = None;
        let (cluster, index) = (Arc::clone(&self.cluster), Arc::clone(&self.index));
        let tree = Tree::new(&cluster, &index, None);
        match direction {
            Direction::Forward => position.more_left = true,
            Direction::Backward => position.more_right = true,
        }
        loop {
            check_for_interrupts()?;
            let leaf = match direction {
                Direction::Forward => match position.next.filter(|_| position.more_right) {
                    Some(next) => Some(tree.read(next)?),
                    None => None,
                },
                Direction::Backward => match position.prev.filter(|_| position.more_left) {
                    Some(prev) => self.read_left(&tree, prev, position.block)?,
                    None => None,
                },
            };
            let Some(leaf) = leaf else {
                self.spare = (position.items, position.tuples);
                return Ok(false);
            };
            let opaque = leaf.opaque();
            if opaque.is_ignored() {
                position.block = leaf.block();
                position.prev = opaque.prev;
                position.next = opaque.next;
                continue;
            }
            let start = match direction {
                Direction::Forward => opaque.first_data(),
                Direction::Backward => leaf.max_offset(),
            };
            self.read_page(&tree, &mut position, leaf, direction, start)?;
            if !position.items.is_empty() {
                self.state = State::On(position);
                return Ok(true);
            }
        }
    }

    /// The page left of `from`, whose left link said `prev`: `_bt_lock_and_validate_left`.
    fn read_left(
        &self,
        tree: &Tree<'_>,
        mut prev: BlockNumber,
        mut from: BlockNumber,
    ) -> Result<Option<PageReadGuard>> {
        loop {
            check_for_interrupts()?;
            let original = prev;
            let mut page = tree.read(prev)?;
            // If the left page was split, its right half, a few pages on, is the one; more tries than
            // that would mean the page we come from has gone.
            for attempt in 0..=4 {
                let opaque = page.opaque();
                if !opaque.is_deleted() && opaque.next == Some(from) {
                    return Ok(Some(page));
                }
                let Some(next) = opaque.next.filter(|_| attempt < 4) else { break };
                drop(page);
                page = tree.read(next)?;
            }
            drop(page);
            let mut page = tree.read(from)?;
            if page.opaque().is_deleted() {
                // Its key space went to the right; so start over from there.
                while page.opaque().is_deleted() {
                    check_for_interrupts()?;
                    from = page.opaque().next.ok_or_else(|| tree.fell_off())?;
                    drop(page);
                    page = tree.read(from)?;
                }
            } else if page.opaque().prev == Some(original) {
                return Err(error!(
                    INTERNAL_ERROR,
                    "could not find left sibling of block {from} in index \"{}\"",
                    tree.name()
                ));
            }
            match page.opaque().prev {
                Some(left) => prev = left,
                None => return Ok(None),
            }
        }
    }

    /// Marks the killed entries of the current page: `_bt_killitems`. A hint; nothing happens if the page
    /// can't be recognised or somebody else reads it.
    fn leave_page(&mut self) -> Result<()> {
        let killed = std::mem::take(&mut self.killed);
        let State::On(position) = &self.state else { return Ok(()) };
        if killed.is_empty() {
            return Ok(());
        }
        let tree = Tree::new(&self.cluster, &self.index, None);
        let mut page = match &position.pin {
            Some(pin) => pin.clone().read(),
            None => {
                let page = tree.read(position.block)?;
                // Without a pin vacuum may have removed an entry, and another row may have its tid now.
                if page.lsn() != position.lsn {
                    return Ok(());
                }
                page
            }
        };
        let dead = dead_offsets(&page, position, &killed)?;
        if !dead.is_empty() {
            page.set_hint(|page| {
                for offset in dead {
                    page.mark_dead(offset);
                }
                page.mark(flags::HAS_GARBAGE);
            });
        }
        Ok(())
    }
}

/// The tuples of which every tid was killed. Tuples may have moved right since the page was read.
fn dead_offsets(page: &Page, position: &Position, killed: &[usize]) -> Result<Vec<OffsetNumber>> {
    let killed: Vec<&Item> = killed.iter().filter_map(|&item| position.items.get(item)).collect();
    let Some(first) = killed.iter().map(|item| item.offset).min() else { return Ok(Vec::new()) };
    let mut dead = Vec::new();
    for offset in page.data_offsets().filter(|offset| *offset >= first) {
        let already = page.item_id(offset).is_some_and(|item| item.is_dead());
        let mut tids = page.tuple(offset)?.heap_tids();
        if !already && tids.all(|tid| killed.iter().any(|item| item.tid == tid)) {
            dead.push(offset);
        }
    }
    Ok(dead)
}

impl Drop for Scan {
    fn drop(&mut self) {
        // Marking entries is a hint; if it fails there is nobody to tell, and nothing is lost.
        if !std::thread::panicking() {
            self.leave_page().ok();
        }
    }
}
