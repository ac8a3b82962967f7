//! Deciding what to prune and freeze on a page, without changing it.
//!
//! Realises: the first half of `heap_page_prune_and_freeze`, and `heap_prune_chain`.
//!
//! ```text
//!   line pointers   1 -> tuple (dead) -> 2 -> tuple (dead) -> 3 -> tuple (live)     a HOT chain from root 1
//!   afterwards      1 redirects to 3, 2 is unused
//!   all dead        1 is dead (index entries still lead here), the others are unused
//! ```
//!
//! A chain loses its dead members at the front, and recently dead ones before a dead one: a version
//! older than a dead one is dead too, the horizon is just too coarse to tell. No dead tuple that has
//! storage is ever left behind. Every tuple is judged once; what the answer was is kept, because it may
//! be another a moment later.

use kokkiri_primitives::{Error, OffsetNumber, Result, TransactionId};
use kokkiri_storage::page::Page;

use super::freeze::{self, Cutoffs, FreezePlan, PageFreeze};
use super::page::{Item, item, tuple};
use super::prune_record::PruneChanges;
use super::visibility::{Hints, Judge, VacuumState, satisfies_vacuum};
use crate::tuple::header::TupleHeader;

/// What the caller wants.
#[derive(Clone, Copy, Debug)]
pub struct PruneOptions<'a> {
    /// Dead line pointers may become unused at once: the table has no indexes.
    pub mark_unused_now: bool,
    /// VACUUM's cutoffs: freeze as well.
    pub cutoffs: Option<&'a Cutoffs>,
}

/// What was found on a page, and what is to be done.
#[derive(Clone, Debug)]
pub struct PrunePlan {
    pub changes: PruneChanges,
    pub freeze_plans: Vec<(OffsetNumber, FreezePlan)>,
    pub page_freeze: Option<PageFreeze>,
    /// New value of `pd_prune_xid`.
    pub prune_xid: Option<TransactionId>,
    /// Newest xmax among what is removed.
    pub latest_removed: Option<TransactionId>,
    /// Newest xmin among the live tuples.
    pub visibility_cutoff: Option<TransactionId>,
    /// Disregarding dead line pointers, which the caller may yet reap.
    pub all_visible: bool,
    pub all_frozen: bool,
    /// Tuples removed.
    pub deleted: usize,
    pub live_tuples: usize,
    pub recently_dead_tuples: usize,
    /// Something is left that keeps the page from being cut off.
    pub has_tuples: bool,
    /// Dead line pointers, new and old.
    pub dead_items: Vec<OffsetNumber>,
    pub hints: Vec<(OffsetNumber, Hints)>,
}

/// A judged tuple.
#[derive(Clone, Copy)]
struct Judged {
    header: TupleHeader,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Dead,
    RecentlyDead,
    Live,
    InsertInProgress,
    DeleteInProgress,
}

impl State {
    /// Dead, or dead but for those who may yet look at it.
    fn is_dead(self) -> bool {
        matches!(self, State::Dead | State::RecentlyDead)
    }
}

struct Planner<'a, J> {
    page: &'a Page,
    judge: &'a J,
    options: PruneOptions<'a>,
    judged: Vec<Option<Judged>>,
    processed: Vec<bool>,
    plan: PrunePlan,
}

/// Judges a page. `is_removable` tells whether a deletion by that transaction is invisible to everybody.
pub fn plan<J: Judge>(
    page: &Page,
    judge: &J,
    options: PruneOptions<'_>,
    page_freeze: Option<PageFreeze>,
    mut is_removable: impl FnMut(TransactionId) -> Result<bool>,
) -> Result<PrunePlan> {
    let count = page.item_count();
    let freezes = options.cutoffs.is_some();
    let mut planner = Planner {
        page,
        judge,
        options,
        judged: vec![None; count],
        processed: vec![false; count],
        plan: PrunePlan {
            changes: PruneChanges { cleanup_lock: true, ..PruneChanges::default() },
            freeze_plans: Vec::new(),
            page_freeze,
            prune_xid: None,
            latest_removed: None,
            visibility_cutoff: None,
            all_visible: freezes,
            all_frozen: freezes,
            deleted: 0,
            live_tuples: 0,
            recently_dead_tuples: 0,
            has_tuples: false,
            dead_items: Vec::new(),
            hints: Vec::new(),
        },
    };
    let (mut roots, mut heap_only) = (Vec::new(), Vec::new());
    for number in (1..=count as u16).rev().map(OffsetNumber) {
        match item(page, number) {
            Item::Unused => planner.processed[number.index()] = true,
            Item::Dead if options.mark_unused_now => planner.record_unused(number, false),
            Item::Dead => {
                planner.processed[number.index()] = true;
                planner.plan.dead_items.push(number);
            }
            Item::Redirect(_) => roots.push(number),
            Item::Tuple(bytes) => {
                let header = TupleHeader::read(bytes)?;
                let judged = planner.judge(number, header, &mut is_removable)?;
                planner.judged[number.index()] = Some(judged);
                if header.is_heap_only() { heap_only.push(number) } else { roots.push(number) }
            }
        }
    }
    for root in roots.into_iter().rev() {
        if !planner.processed[root.index()] {
            planner.chain(root)?;
        }
    }
    for number in heap_only.into_iter().rev() {
        if !planner.processed[number.index()] {
            planner.orphan(number)?;
        }
    }
    planner.plan.dead_items.sort_unstable();
    Ok(planner.plan)
}

impl<J: Judge> Planner<'_, J> {
    fn judge(
        &mut self,
        number: OffsetNumber,
        mut header: TupleHeader,
        is_removable: &mut impl FnMut(TransactionId) -> Result<bool>,
    ) -> Result<Judged> {
        let (state, hints) = satisfies_vacuum(&header, self.judge)?;
        if hints.bits != 0 {
            header.infomask.0 |= hints.bits;
            self.plan.hints.push((number, hints));
        }
        let state = match state {
            VacuumState::Dead => State::Dead,
            VacuumState::Live => State::Live,
            VacuumState::InsertInProgress => State::InsertInProgress,
            VacuumState::DeleteInProgress => State::DeleteInProgress,
            VacuumState::DeadAfter(xid) => {
                let before_cutoff =
                    self.options.cutoffs.is_some_and(|cutoffs| xid.precedes(cutoffs.oldest_xmin));
                if before_cutoff || is_removable(xid)? { State::Dead } else { State::RecentlyDead }
            }
        };
        Ok(Judged { header, state })
    }

    /// Works on the chain that starts at a root line pointer.
    fn chain(&mut self, root: OffsetNumber) -> Result<()> {
        // Most chains are one tuple that stays.
        if self.judged[root.index()].is_some_and(|judged| !judged.state.is_dead()) {
            return self.record_unchanged(root);
        }
        let mut members = Vec::new();
        // How many members go, from the front.
        let mut dead_members = 0;
        let mut prior_xmax = None;
        let mut number = root;
        let redirect = match item(self.page, root) {
            Item::Redirect(to) => {
                members.push(root);
                number = to;
                true
            }
            _ => false,
        };
        loop {
            let index = usize::from(number.0).wrapping_sub(1);
            if index >= self.judged.len() || self.processed[index] {
                break;
            }
            // A redirect in the middle is no member of this chain.
            let Some(Judged { header, state }) = self.judged[index] else { break };
            if prior_xmax.is_some_and(|xid| header.effective_xmin() != xid) {
                break;
            }
            members.push(number);
            match state {
                State::Dead => {
                    dead_members = members.len();
                    self.note_removed(&header)?;
                }
                State::RecentlyDead => {}
                State::Live | State::InsertInProgress | State::DeleteInProgress => break,
            }
            if !header.is_hot_updated() {
                break;
            }
            number = header.ctid.offset;
            prior_xmax = self.update_xid(&header)?;
        }
        if redirect && members.len() < 2 {
            // The redirect leads nowhere.
            self.record_dead(root, false);
            return Ok(());
        }
        if dead_members == 0 {
            let first = usize::from(redirect);
            if redirect {
                self.processed[root.index()] = true;
            }
            return members[first..].iter().try_for_each(|number| self.record_unchanged(*number));
        }
        if dead_members == members.len() {
            self.record_dead(root, !redirect);
        } else {
            self.processed[root.index()] = true;
            self.plan.changes.redirected.push((root, members[dead_members]));
            self.plan.deleted += usize::from(!redirect);
            self.plan.has_tuples = true;
        }
        for number in &members[1..dead_members] {
            self.record_unused(*number, true);
        }
        members[dead_members..].iter().try_for_each(|number| self.record_unchanged(*number))
    }

    /// A heap-only tuple that no chain leads to: left by an aborted update, or still needed.
    fn orphan(&mut self, number: OffsetNumber) -> Result<()> {
        let Some(Judged { header, state }) = self.judged[number.index()] else { return Ok(()) };
        if state != State::Dead {
            return self.record_unchanged(number);
        }
        if header.is_hot_updated() {
            return Err(Error::internal(format!(
                "dead heap-only tuple (offset {number}) is not linked to from any HOT chain"
            )));
        }
        self.note_removed(&header)?;
        self.record_unused(number, true);
        Ok(())
    }

    fn update_xid(&self, header: &TupleHeader) -> Result<Option<TransactionId>> {
        match header.xmax_multi() {
            Some(_) if header.infomask.xmax_is_locked_only() => Ok(None),
            Some(multi) => self.judge.updater(multi),
            None => Ok(header.xmax.valid()),
        }
    }

    /// Advances the horizon that standbys must respect: `HeapTupleHeaderAdvanceConflictHorizon`.
    fn note_removed(&mut self, header: &TupleHeader) -> Result<()> {
        // An aborted insertion was never visible to anybody.
        if !header.xmin_committed() && (header.xmin_invalid() || !self.judge.did_commit(header.xmin)?) {
            return Ok(());
        }
        let Some(xmax) = self.update_xid(header)? else { return Ok(()) };
        let newer = self.plan.latest_removed.is_none_or(|latest| xmax.follows(latest));
        if xmax != header.xmin && newer {
            self.plan.latest_removed = Some(xmax);
        }
        Ok(())
    }

    fn record_dead(&mut self, number: OffsetNumber, was_tuple: bool) {
        if self.options.mark_unused_now {
            return self.record_unused(number, was_tuple);
        }
        self.processed[number.index()] = true;
        self.plan.changes.dead.push(number);
        self.plan.dead_items.push(number);
        self.plan.deleted += usize::from(was_tuple);
    }

    fn record_unused(&mut self, number: OffsetNumber, was_tuple: bool) {
        self.processed[number.index()] = true;
        self.plan.changes.unused.push(number);
        self.plan.deleted += usize::from(was_tuple);
    }

    /// A tuple that stays: count it, see whether everybody sees it, consider freezing it.
    fn record_unchanged(&mut self, number: OffsetNumber) -> Result<()> {
        self.processed[number.index()] = true;
        self.plan.has_tuples = true;
        let Some(Judged { header, state }) = self.judged[number.index()] else { return Ok(()) };
        match state {
            State::Live => {
                self.plan.live_tuples += 1;
                self.note_visibility(number, &header);
            }
            State::RecentlyDead | State::DeleteInProgress => {
                if state == State::RecentlyDead {
                    self.plan.recently_dead_tuples += 1;
                } else {
                    self.plan.live_tuples += 1;
                }
                self.plan.all_visible = false;
                if let Some(xid) = self.update_xid(&header)?
                    && self.plan.prune_xid.is_none_or(|known| xid.precedes(known))
                {
                    self.plan.prune_xid = Some(xid);
                }
            }
            State::InsertInProgress => self.plan.all_visible = false,
            State::Dead => return Err(Error::internal("a dead tuple can't be left on its page")),
        }
        if let (Some(cutoffs), Some(page_freeze)) = (self.options.cutoffs, &mut self.plan.page_freeze) {
            let (plan, totally_frozen) = freeze::prepare(&header, cutoffs, page_freeze, self.judge)?;
            self.plan.freeze_plans.extend(plan.map(|plan| (number, plan)));
            self.plan.all_frozen &= totally_frozen;
        }
        Ok(())
    }

    fn note_visibility(&mut self, number: OffsetNumber, header: &TupleHeader) {
        let Some(cutoffs) = self.options.cutoffs.filter(|_| self.plan.all_visible) else { return };
        // A page must not be marked all-visible before the commits it relies on are durable.
        let hinted = tuple(self.page, number)
            .and_then(|bytes| TupleHeader::read(bytes).ok())
            .is_some_and(|stored| stored.xmin_committed());
        let xmin = header.effective_xmin();
        if !(hinted || self.judge.is_durable(header.xmin)) || !xmin.precedes(cutoffs.oldest_xmin) {
            self.plan.all_visible = false;
        } else if xmin.is_normal() && self.plan.visibility_cutoff.is_none_or(|newest| xmin.follows(newest)) {
            self.plan.visibility_cutoff = Some(xmin);
        }
    }
}
