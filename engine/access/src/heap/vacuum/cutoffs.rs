//! What VACUUM decides before it looks at a table: `vacuum_get_cutoffs`.

use kokkiri_primitives::{MultiXactId, TransactionId};

use crate::heap::Heap;
use crate::heap::freeze::Cutoffs;

/// Ages that settings or the table's options give.
#[derive(Clone, Copy, Debug)]
pub struct FreezeAges {
    /// `vacuum_freeze_min_age`.
    pub min_age: u32,
    /// `vacuum_freeze_table_age`.
    pub table_age: u32,
    /// `autovacuum_freeze_max_age`.
    pub max_age: u32,
    pub multixact_min_age: u32,
    pub multixact_table_age: u32,
    pub multixact_max_age: u32,
}

impl Default for FreezeAges {
    fn default() -> Self {
        Self {
            min_age: 50_000_000,
            table_age: 150_000_000,
            max_age: 200_000_000,
            multixact_min_age: 5_000_000,
            multixact_table_age: 150_000_000,
            multixact_max_age: 400_000_000,
        }
    }
}

/// The id `age` before `next`, or the first one.
fn xid_before(next: TransactionId, age: u32) -> TransactionId {
    let xid = TransactionId(next.0.wrapping_sub(age));
    if xid.is_normal() { xid } else { TransactionId::FIRST_NORMAL }
}

fn multi_before(next: MultiXactId, age: u32) -> MultiXactId {
    let multi = MultiXactId(next.0.wrapping_sub(age));
    if multi.is_valid() { multi } else { MultiXactId::FIRST }
}

/// The cutoffs for a table whose oldest ids are as given, and whether the vacuum must be aggressive.
pub fn compute_cutoffs(
    heap: &Heap<'_>,
    relfrozenxid: TransactionId,
    relminmxid: MultiXactId,
    ages: &FreezeAges,
) -> (Cutoffs, bool) {
    let transactions = &heap.cluster().transactions;
    let oldest_xmin = heap.transaction.oldest_nonremovable(heap.horizon_kind());
    let oldest_mxact = transactions.multixacts.oldest();
    let next_xid = transactions.xids.next().xid();
    let next_multi = transactions.multixacts.next().0;
    let mut freeze_limit = xid_before(next_xid, ages.min_age.min(ages.max_age / 2));
    if oldest_xmin.precedes(freeze_limit) {
        freeze_limit = oldest_xmin;
    }
    let mut multixact_cutoff =
        multi_before(next_multi, ages.multixact_min_age.min(ages.multixact_max_age / 2));
    if oldest_mxact.precedes(multixact_cutoff) {
        multixact_cutoff = oldest_mxact;
    }
    let share = |age: u32| (u64::from(age) * 95 / 100) as u32;
    let xid_limit = xid_before(next_xid, ages.table_age.min(share(ages.max_age)));
    let multi_limit = multi_before(next_multi, ages.multixact_table_age.min(share(ages.multixact_max_age)));
    let aggressive = relfrozenxid.precedes_or_equals(xid_limit)
        || relminmxid == multi_limit
        || relminmxid.precedes(multi_limit);
    let cutoffs =
        Cutoffs { relfrozenxid, relminmxid, oldest_xmin, oldest_mxact, freeze_limit, multixact_cutoff };
    (cutoffs, aggressive)
}
