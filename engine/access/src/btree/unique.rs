//! Is there a live row with this key already?
//!
//! Realises: `_bt_check_unique`.
//!
//! All entries with the key are looked at, dead ones and those of old row versions too, as only the table
//! knows which rows are live. The first page that may hold such an entry stays locked throughout: whoever
//! brings in an equal key must lock it first, so two insertions can't miss each other.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{ItemPointer, OffsetNumber, Result, error};
use kokkiri_storage::{PageReadGuard, PageWriteGuard};

use super::insert::{Conflict, Target};
use super::key::SearchKey;
use super::page::{BtreePage, HIGH_KEY, flags};
use super::table::{IndexedTable, Probe};
use super::tree::Tree;

/// What an insertion into a unique index checks: `IndexUniqueCheck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueCheck {
    /// The index is not unique.
    No,
    /// There must be no other row with the key.
    Yes,
    /// Insert in any case, and say if there may be another row: deferrable constraints, ON CONFLICT.
    Partial,
    /// The entry is there already: check that no other row has its key.
    Existing,
}

/// What [`check`] found.
pub(super) enum Verdict {
    Unique,
    PerhapsNot,
    Conflict(Conflict),
}

/// The page being looked at: the locked first one, or one to its right.
enum Current {
    First,
    Right(PageReadGuard),
}

/// Looks for live rows with `key`, which has no heap tid, from the locked leaf of `target` on.
pub(super) fn check(
    tree: &Tree<'_>,
    table: &dyn IndexedTable,
    key: &SearchKey<'_>,
    tid: ItemPointer,
    check: UniqueCheck,
    target: &mut Target,
) -> Result<Verdict> {
    let (low, above) = bounds(key, &target.leaf)?;
    target.bounds = Some((low, above));
    let mut current = Current::First;
    let mut offset = OffsetNumber(low);
    let mut found = false;
    loop {
        let page: &kokkiri_storage::Page = match &current {
            Current::First => &target.leaf,
            Current::Right(guard) => guard,
        };
        let past_equals = matches!(current, Current::First) && offset.0 >= above;
        if offset <= page.max_offset() {
            if past_equals {
                break;
            }
            let dead = page.item_id(offset).is_some_and(|item| item.is_dead());
            if !dead {
                let tuple = page.tuple(offset)?;
                if key.compare(tuple)?.is_ne() {
                    break;
                }
                let mut all_dead = true;
                for other in tuple.heap_tids() {
                    if check == UniqueCheck::Existing && other == tid {
                        found = true;
                        all_dead = false;
                        continue;
                    }
                    match table.probe(other)? {
                        Probe::Dead { to_all } => all_dead &= to_all,
                        _ if check == UniqueCheck::Partial => return Ok(Verdict::PerhapsNot),
                        Probe::InProgress { xid, speculative } => {
                            return Ok(Verdict::Conflict(Conflict::InProgress {
                                tid: other,
                                xid,
                                speculative,
                            }));
                        }
                        // A row that its own transaction has already deleted again conflicts with nothing.
                        Probe::Live if !table.is_live_to_self(tid)? => return Ok(Verdict::Unique),
                        Probe::Live => return Ok(Verdict::Conflict(Conflict::Duplicate { tid: other })),
                    }
                }
                if all_dead {
                    mark_dead(&mut current, &mut target.leaf, offset);
                }
            }
            offset = offset.next();
            continue;
        }
        // Equal keys may go on to the right only if the high key is equal too.
        let opaque = page.opaque();
        if opaque.is_rightmost() || key.compare(page.tuple(HIGH_KEY)?)?.is_ne() {
            break;
        }
        let right = live_right(tree, opaque.next)?;
        offset = right.opaque().first_data();
        current = Current::Right(right);
    }
    if check == UniqueCheck::Existing && !found {
        return Err(error!(INTERNAL_ERROR, "failed to re-find tuple within index \"{}\"", tree.name())
            .hint("This may be because of a non-immutable index expression."));
    }
    Ok(Verdict::Unique)
}

/// First offset whose item is not less than the key, and first whose item is greater.
fn bounds(key: &SearchKey<'_>, page: &PageWriteGuard) -> Result<(u16, u16)> {
    let (mut low, mut high) = (page.opaque().first_data().0, page.max_offset().0 + 1);
    let mut above = high.max(low);
    while high > low {
        let middle = low + (high - low) / 2;
        let order = key.compare(page.tuple(OffsetNumber(middle))?)?;
        if order.is_gt() {
            low = middle + 1;
        } else {
            high = middle;
            if order.is_ne() {
                above = middle;
            }
        }
    }
    Ok((low, above))
}

fn live_right(tree: &Tree<'_>, next: Option<kokkiri_primitives::BlockNumber>) -> Result<PageReadGuard> {
    let mut next = next.ok_or_else(|| tree.fell_off())?;
    loop {
        check_for_interrupts()?;
        let right = tree.read(next)?;
        let opaque = right.opaque();
        if !opaque.is_ignored() {
            return Ok(right);
        }
        next = opaque.next.ok_or_else(|| tree.fell_off())?;
    }
}

/// Notes that an entry leads to nothing any more: a hint, which later makes room.
fn mark_dead(current: &mut Current, first: &mut PageWriteGuard, offset: OffsetNumber) {
    let change = |page: &mut kokkiri_storage::Page| {
        page.mark_dead(offset);
        page.mark(flags::HAS_GARBAGE);
    };
    match current {
        Current::First => first.set_hint(change),
        // If others read the page at this moment the hint is left to the next who finds out.
        Current::Right(guard) => {
            guard.set_hint(change);
        }
    }
}
