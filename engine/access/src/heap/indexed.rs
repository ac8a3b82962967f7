//! What indexes ask of the heap: is the row behind an entry alive, and which entries may go.
//!
//! Realises: `table_index_fetch_tuple_check`, `heap_index_delete_tuples`.

use std::collections::BTreeMap;

use kokkiri_primitives::{BlockNumber, ItemPointer, Result, TransactionId};
use kokkiri_storage::buffer::PageReadGuard;
use kokkiri_transaction::Visibility;

use super::Heap;
use super::scan::FetchedRow;
use super::visibility::{DirtyVerdict, Judge, satisfies_dirty};
use crate::btree::table::{IndexDeletion, IndexedTable, Probe};
use crate::tuple::header::TupleHeader;

/// Most heap pages that a bottom-up deletion looks at.
const BOTTOM_UP_BLOCKS_MAX: usize = 6;

impl IndexedTable for Heap<'_> {
    fn probe(&self, tid: ItemPointer) -> Result<Probe> {
        let observer = self.observer();
        let guard = self.pin(tid.block)?.read();
        let mut verdict = DirtyVerdict::default();
        let found = self.walk_chain(&guard, tid, |_, header, all_dead| {
            let (judged, hints) = satisfies_dirty(header, &observer)?;
            header.infomask.0 |= hints.bits;
            *all_dead = *all_dead && !judged.visible && self.is_surely_dead(header);
            verdict = judged;
            Ok(judged.visible)
        })?;
        Ok(match found {
            FetchedRow::Nothing { all_dead } => Probe::Dead { to_all: all_dead },
            FetchedRow::Visible(_) => match verdict.inserter.or(verdict.deleter) {
                Some(xid) => Probe::InProgress { xid, speculative: verdict.speculative_token.is_some() },
                None => Probe::Live,
            },
        })
    }

    fn is_live_to_self(&self, tid: ItemPointer) -> Result<bool> {
        let mut guard = self.pin(tid.block)?.read();
        let found = self.search_chain(&mut guard, &Visibility::SelfCurrent, tid)?;
        Ok(matches!(found, FetchedRow::Visible(_)))
    }

    fn judge(&self, deletion: &mut IndexDeletion) -> Result<TransactionId> {
        let mut by_block: BTreeMap<BlockNumber, Vec<usize>> = BTreeMap::new();
        for (index, candidate) in deletion.candidates.iter().enumerate() {
            by_block.entry(candidate.tid.block).or_default().push(index);
        }
        let mut blocks: Vec<_> = by_block.into_iter().collect();
        if deletion.wanted_space.is_some() {
            // Most promising blocks first, by powers of two so that near ties stay in order of the table.
            let promise = |members: &[usize]| {
                let promising = members.iter().filter(|index| deletion.candidates[**index].promising).count();
                (promising.max(4).next_power_of_two(), members.len().next_power_of_two())
            };
            blocks.sort_by_key(|(_, members)| std::cmp::Reverse(promise(members)));
            blocks.truncate(BOTTOM_UP_BLOCKS_MAX);
        }
        let mut horizon = TransactionId::INVALID;
        let mut gained = 0;
        for (block, members) in blocks {
            let guard = self.pin(block)?.read();
            let gained_before = gained;
            for index in members {
                let tid = deletion.candidates[index].tid;
                if !deletion.candidates[index].known_deletable && !self.is_chain_dead(&guard, tid)? {
                    continue;
                }
                deletion.candidates[index].known_deletable = true;
                gained += usize::from(deletion.candidates[index].free_space);
                self.advance_horizon(&guard, tid, &mut horizon)?;
                if deletion.wanted_space.is_some_and(|wanted| gained >= wanted) {
                    return Ok(horizon);
                }
            }
            // A page without a single deletable row is no reason to look at others.
            if deletion.wanted_space.is_some() && gained == gained_before {
                break;
            }
        }
        Ok(horizon)
    }
}

impl Heap<'_> {
    /// True if no snapshot needs any version of the chain.
    fn is_chain_dead(&self, guard: &PageReadGuard, tid: ItemPointer) -> Result<bool> {
        let needed = Visibility::NonVacuumable(self.horizon_kind());
        let found = self.walk_chain(guard, tid, |_, header, _| Ok(self.is_visible(header, &needed)?.0))?;
        Ok(matches!(found, FetchedRow::Nothing { .. }))
    }

    /// Snapshots of standbys must be newer than the xids that made the chain's versions dead.
    fn advance_horizon(
        &self,
        guard: &PageReadGuard,
        tid: ItemPointer,
        horizon: &mut TransactionId,
    ) -> Result<()> {
        let observer = self.observer();
        let mut note = |header: &TupleHeader| -> Result<()> {
            if !header.xmin_committed() && (header.xmin_invalid() || !observer.did_commit(header.xmin)?) {
                return Ok(());
            }
            let xmax = match header.xmax_multi() {
                Some(_) if header.infomask.xmax_is_locked_only() => None,
                Some(multi) => observer.updater(multi)?,
                None => header.xmax.valid(),
            };
            if let Some(xid) = xmax.filter(|xid| *xid != header.xmin && xid.follows(*horizon)) {
                *horizon = xid;
            }
            Ok(())
        };
        self.walk_chain(guard, tid, |_, header, _| {
            note(header)?;
            Ok(false)
        })?;
        Ok(())
    }
}
