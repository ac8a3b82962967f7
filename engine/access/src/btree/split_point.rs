//! Where to split a full page.
//!
//! Realises: nbtsplitloc.c.
//!
//! Every place between two items (the incoming one counted at its offset) is a candidate. Candidates are
//! ordered by how evenly they would leave free space, or by the fillfactor when the page is the rightmost
//! of its level (ascending insertion fills the left page and moves on). Among the candidates near the
//! front of that order the one with the least penalty wins: on leaves the number of columns the new high
//! key must keep, above them the size of the tuple that goes up. So the tree stays balanced, and its
//! pivots short.
//!
//! Two cases get a strategy of their own. *Many duplicates*: every candidate of the interval would need
//! the heap tid in the high key, but some farther one would not, so all are looked at. *Single value*:
//! the whole page is one value; the left page is packed to 96 percent, as duplicates arrive in tid order.

use kokkiri_primitives::{BLOCK_SIZE, ItemPointer, OffsetNumber, Result, error};
use kokkiri_storage::Page;

use super::page::{BtreePage, LINE_POINTER_SIZE, PAGE_HEADER_SIZE, SPECIAL_SIZE};
use super::shape::IndexShape;
use super::tuple::{HEADER_SIZE, TupleRef, align};

const NONLEAF_FILLFACTOR: f64 = 70.0;
const SINGLE_VALUE_FILLFACTOR: f64 = 96.0;
/// Part of the page's data by which a candidate of the default interval may differ from the best.
const LEAF_DISTANCE: f64 = 0.050;
const INTERNAL_DISTANCE: f64 = 0.075;

/// The decision: which original item (or the incoming one) is the first of the right page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitPoint {
    /// Offset, on the original page, of the first item of the right page.
    pub first_right: OffsetNumber,
    /// Where the incoming item goes; decides it too when the offsets are equal.
    pub new_item_on_left: bool,
}

#[derive(Clone, Copy)]
struct Candidate {
    delta: i16,
    left_free: i16,
    right_free: i16,
    point: SplitPoint,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Default,
    ManyDuplicates,
    SingleValue,
}

struct Search<'a> {
    shape: &'a IndexShape,
    page: &'a Page,
    new_item: TupleRef<'a>,
    /// With its line pointer.
    new_item_size: usize,
    new_item_offset: OffsetNumber,
    is_leaf: bool,
    is_rightmost: bool,
    left_space: i32,
    right_space: i32,
    /// Size of all items but the high key, with their line pointers.
    old_items_size: i32,
    smallest_first_right: usize,
    candidates: Vec<Candidate>,
    /// How many candidates at the front are good enough to choose among.
    interval: usize,
}

/// Chooses the split point of `page` for `new_item` coming in at `new_item_offset`: `_bt_findsplitloc`.
pub fn find_split_point(
    shape: &IndexShape,
    fillfactor: u8,
    page: &Page,
    new_item_offset: OffsetNumber,
    new_item: TupleRef<'_>,
) -> Result<SplitPoint> {
    let mut search = Search::new(shape, page, new_item_offset, new_item)?;
    search.collect_candidates()?;
    let (Some(&first), Some(&last)) = (search.candidates.first(), search.candidates.last()) else {
        return Err(error!(INTERNAL_ERROR, "could not find a feasible split point"));
    };
    let leaf_fillfactor = f64::from(fillfactor) / 100.0;
    // `Some` splits by a fillfactor, `None` evenly.
    let fill = if !search.is_leaf {
        search.is_rightmost.then_some(NONLEAF_FILLFACTOR / 100.0)
    } else if search.is_rightmost {
        Some(leaf_fillfactor)
    } else {
        match search.after_new_item(leaf_fillfactor)? {
            Some(true) => Some(leaf_fillfactor),
            Some(false) => {
                let here = SplitPoint { first_right: new_item_offset, new_item_on_left: true };
                if search.candidates.iter().any(|candidate| candidate.point == here) {
                    return Ok(here);
                }
                None
            }
            None => None,
        }
    };
    search.sort_by_delta(fill);
    search.interval = search.default_interval();
    let (strategy, perfect_penalty) = search.strategy(first.point, last.point)?;
    match strategy {
        Strategy::Default => {}
        Strategy::ManyDuplicates => search.interval = search.candidates.len(),
        Strategy::SingleValue => {
            search.sort_by_delta(Some(SINGLE_VALUE_FILLFACTOR / 100.0));
            search.interval = 1;
        }
    }
    search.best(perfect_penalty, strategy)
}

impl<'a> Search<'a> {
    fn new(
        shape: &'a IndexShape,
        page: &'a Page,
        new_item_offset: OffsetNumber,
        new_item: TupleRef<'a>,
    ) -> Result<Self> {
        let opaque = page.opaque();
        let left_space = (BLOCK_SIZE - PAGE_HEADER_SIZE - SPECIAL_SIZE) as i32;
        let mut right_space = left_space;
        if let Some(high_key) = page.high_key()? {
            right_space -= (align(high_key.size()) + LINE_POINTER_SIZE) as i32;
        }
        Ok(Self {
            shape,
            page,
            new_item,
            new_item_size: align(new_item.size()) + LINE_POINTER_SIZE,
            new_item_offset,
            is_leaf: opaque.is_leaf(),
            is_rightmost: opaque.is_rightmost(),
            left_space,
            right_space,
            old_items_size: right_space - page.exact_free_space() as i32,
            smallest_first_right: usize::MAX,
            candidates: Vec::with_capacity(usize::from(page.max_offset().0)),
            interval: 0,
        })
    }

    fn collect_candidates(&mut self) -> Result<()> {
        let mut to_left = 0;
        for offset in self.page.data_offsets() {
            let item = self.page.tuple(offset)?;
            let size = align(item.size()) + LINE_POINTER_SIZE;
            if offset <= self.new_item_offset {
                self.record(offset, false, to_left, Some(item));
            }
            if offset >= self.new_item_offset {
                self.record(offset, true, to_left, Some(item));
            }
            to_left += size as i32;
        }
        if self.new_item_offset > self.page.max_offset() {
            self.record(self.new_item_offset, false, self.old_items_size, None);
        }
        Ok(())
    }

    /// Notes a candidate if both pages can hold their items: `_bt_recsplitloc`.
    fn record(
        &mut self,
        first_right: OffsetNumber,
        new_item_on_left: bool,
        to_left: i32,
        item: Option<TupleRef<'_>>,
    ) {
        let new_item_is_first_right = first_right == self.new_item_offset && !new_item_on_left;
        let mut posting_size = 0;
        let first_right_size = match item {
            Some(item) if !new_item_is_first_right => {
                let size = align(item.size()) + LINE_POINTER_SIZE;
                if self.is_leaf && size > 64 && item.is_posting() {
                    posting_size = (item.size() - item.key_size()) as i32;
                }
                size
            }
            _ => self.new_item_size,
        };
        let mut left_free = self.left_space - to_left;
        let mut right_free = self.right_space - (self.old_items_size - to_left);
        // A leaf's high key is at worst the first right tuple without posting list, with a tiebreaker.
        left_free -= first_right_size as i32;
        if self.is_leaf {
            left_free -= align(ItemPointer::SIZE) as i32 - posting_size;
        }
        if new_item_on_left {
            left_free -= self.new_item_size as i32;
        } else {
            right_free -= self.new_item_size as i32;
        }
        if !self.is_leaf {
            // The right page's first item loses its key.
            right_free += first_right_size as i32 - (HEADER_SIZE + LINE_POINTER_SIZE) as i32;
        }
        if left_free >= 0 && right_free >= 0 {
            self.smallest_first_right = self.smallest_first_right.min(first_right_size);
            self.candidates.push(Candidate {
                delta: 0,
                left_free: left_free as i16,
                right_free: right_free as i16,
                point: SplitPoint { first_right, new_item_on_left },
            });
        }
    }

    fn sort_by_delta(&mut self, fill: Option<f64>) {
        for candidate in &mut self.candidates {
            let delta = match fill {
                Some(fill) => {
                    (fill * f64::from(candidate.left_free) - (1.0 - fill) * f64::from(candidate.right_free))
                        as i16
                }
                None => candidate.left_free - candidate.right_free,
            };
            candidate.delta = delta.abs();
        }
        sort_like_postgresql(&mut self.candidates);
    }

    /// True or false (by fillfactor or exactly there) if tuples seem to come in right after the last one
    /// that came in, in the middle of the index, as for a column that ascends within groups:
    /// `_bt_afternewitemoff`. Then a split right after the new item keeps the pages of each group full.
    fn after_new_item(&self, leaf_fillfactor: f64) -> Result<Option<bool>> {
        let keys = self.shape.keys().len();
        let max_offset = self.page.max_offset();
        let uniform = self.new_item_size == self.smallest_first_right
            && (self.new_item_size * (usize::from(max_offset.0) - 1)) as i32 == self.old_items_size;
        let small = self.new_item_size <= align(HEADER_SIZE + 16) + LINE_POINTER_SIZE;
        if keys == 1 || self.new_item_offset == OffsetNumber(2) || !uniform || !small {
            return Ok(None);
        }
        if self.new_item_offset > max_offset {
            let keep = self.shape.columns_to_keep_fast(self.page.tuple(max_offset)?, self.new_item)?;
            return Ok((keep > 1 && keep <= keys).then_some(true));
        }
        let previous = self.page.tuple(OffsetNumber(self.new_item_offset.0 - 1))?;
        if previous.is_posting() || !adjacent(previous.raw_tid(), self.new_item.raw_tid()) {
            return Ok(None);
        }
        let keep = self.shape.columns_to_keep_fast(previous, self.new_item)?;
        let position = f64::from(self.new_item_offset.0) / (f64::from(max_offset.0) + 1.0);
        Ok((keep > 1 && keep <= keys).then_some(position > leaf_fillfactor))
    }

    fn default_interval(&self) -> usize {
        let distance = if self.is_leaf { LEAF_DISTANCE } else { INTERNAL_DISTANCE };
        let tolerance = (f64::from(self.old_items_size) * distance) as i16;
        let best = self.candidates[0];
        let near = |free: i16, best: i16| free >= best - tolerance && free <= best + tolerance;
        self.candidates
            .iter()
            .skip(1)
            .position(|c| !near(c.left_free, best.left_free) || !near(c.right_free, best.right_free))
            .map_or(self.candidates.len(), |position| position + 1)
    }

    /// The strategy and the penalty that can't be beaten: `_bt_strategy`.
    fn strategy(&self, leftmost: SplitPoint, rightmost: SplitPoint) -> Result<(Strategy, usize)> {
        if !self.is_leaf {
            return Ok((Strategy::Default, self.smallest_first_right));
        }
        let keys = self.shape.keys().len();
        let (left, right) = self.interval_edges();
        let penalty = self.shape.columns_to_keep_fast(self.last_left(left)?, self.first_right(right)?)?;
        if penalty <= keys {
            return Ok((Strategy::Default, penalty));
        }
        let penalty =
            self.shape.columns_to_keep_fast(self.last_left(leftmost)?, self.first_right(rightmost)?)?;
        if penalty <= keys {
            return Ok((Strategy::ManyDuplicates, keys));
        }
        if self.is_rightmost {
            return Ok((Strategy::SingleValue, penalty));
        }
        let high_key = self.page.tuple(OffsetNumber::FIRST)?;
        let penalty = self.shape.columns_to_keep_fast(high_key, self.new_item)?;
        let strategy = if penalty <= keys { Strategy::SingleValue } else { Strategy::Default };
        Ok((strategy, penalty))
    }

    /// The leftmost and the rightmost candidate of the interval: `_bt_interval_edges`.
    fn interval_edges(&self) -> (SplitPoint, SplitPoint) {
        let best = self.candidates[0].point;
        // In page order: at equal offsets a new item on the right splits before it, one on the left after.
        let position = |point: SplitPoint| (point.first_right, point.new_item_on_left);
        let end = self.interval.min(self.candidates.len());
        let farthest = |wanted: fn((OffsetNumber, bool), (OffsetNumber, bool)) -> bool| {
            self.candidates[..end]
                .iter()
                .rev()
                .map(|candidate| candidate.point)
                .find(|&point| wanted(position(point), position(best)))
                .unwrap_or(best)
        };
        (farthest(|point, best| point < best), farthest(|point, best| point > best))
    }

    fn last_left(&self, point: SplitPoint) -> Result<TupleRef<'_>> {
        if point.new_item_on_left && point.first_right == self.new_item_offset {
            return Ok(self.new_item);
        }
        self.page.tuple(OffsetNumber(point.first_right.0 - 1))
    }

    fn first_right(&self, point: SplitPoint) -> Result<TupleRef<'_>> {
        if !point.new_item_on_left && point.first_right == self.new_item_offset {
            return Ok(self.new_item);
        }
        self.page.tuple(point.first_right)
    }

    fn penalty(&self, point: SplitPoint) -> Result<usize> {
        if self.is_leaf {
            return self.shape.columns_to_keep_fast(self.last_left(point)?, self.first_right(point)?);
        }
        Ok(align(self.first_right(point)?.size()) + LINE_POINTER_SIZE)
    }

    /// The candidate of the interval with the least penalty: `_bt_bestsplitloc`.
    fn best(&self, perfect_penalty: usize, strategy: Strategy) -> Result<SplitPoint> {
        let mut best = (usize::MAX, self.candidates[0].point);
        for candidate in &self.candidates[..self.interval.min(self.candidates.len())] {
            let penalty = self.penalty(candidate.point)?;
            if penalty < best.0 {
                best = (penalty, candidate.point);
            }
            if penalty <= perfect_penalty {
                break;
            }
        }
        let point = best.1;
        // Duplicates that will be followed by more just right of the new item: an even split is better
        // than one that leaves the new item on a page that fills at once.
        let near_new_item =
            point.first_right >= self.new_item_offset && point.first_right.0 < self.new_item_offset.0 + 9;
        if strategy == Strategy::ManyDuplicates
            && !self.is_rightmost
            && !point.new_item_on_left
            && near_new_item
        {
            return Ok(self.candidates[0].point);
        }
        Ok(point)
    }
}

/// Whether `high` is likely the tid given out right after `low`: `_bt_adjacenthtid`.
fn adjacent(low: ItemPointer, high: ItemPointer) -> bool {
    low.block == high.block
        || (low.block.0.wrapping_add(1) == high.block.0 && high.offset == OffsetNumber::FIRST)
}

/// Sorts by delta, leaving candidates of equal delta in the order PostgreSQL's `qsort` would: its
/// quicksort is not stable, and the choice among equals decides the bytes of both pages.
fn sort_like_postgresql(candidates: &mut [Candidate]) {
    let len = candidates.len();
    if candidates.windows(2).all(|pair| pair[0].delta <= pair[1].delta) {
        return;
    }
    if len < 7 {
        for end in 1..len {
            let mut at = end;
            while at > 0 && candidates[at - 1].delta > candidates[at].delta {
                candidates.swap(at, at - 1);
                at -= 1;
            }
        }
        return;
    }
    let pivot = choose_pivot(candidates);
    candidates.swap(0, pivot);
    let (less, greater) = partition(candidates);
    // The smaller part first there; the order of the two does not matter to the result.
    sort_like_postgresql(&mut candidates[..less]);
    sort_like_postgresql(&mut candidates[len - greater..]);
}

fn choose_pivot(candidates: &[Candidate]) -> usize {
    let len = candidates.len();
    let median = |a: usize, b: usize, c: usize| {
        let (x, y, z) = (candidates[a].delta, candidates[b].delta, candidates[c].delta);
        if x < y {
            if y < z {
                b
            } else if x < z {
                c
            } else {
                a
            }
        } else if y > z {
            b
        } else if x < z {
            a
        } else {
            c
        }
    };
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len == 7 {
        return middle;
    }
    if len > 40 {
        let step = len / 8;
        low = median(low, low + step, low + 2 * step);
        middle = median(middle - step, middle, middle + step);
        high = median(high - 2 * step, high - step, high);
    }
    median(low, middle, high)
}

/// Bentley and McIlroy's three-way partition around the first element; returns how many are less and how
/// many greater.
fn partition(candidates: &mut [Candidate]) -> (usize, usize) {
    let len = candidates.len();
    let pivot = candidates[0].delta;
    let (mut a, mut b) = (1, 1);
    let (mut c, mut d) = (len as isize - 1, len as isize - 1);
    loop {
        while b as isize <= c && candidates[b].delta <= pivot {
            if candidates[b].delta == pivot {
                candidates.swap(a, b);
                a += 1;
            }
            b += 1;
        }
        while b as isize <= c && candidates[c as usize].delta >= pivot {
            if candidates[c as usize].delta == pivot {
                candidates.swap(c as usize, d as usize);
                d -= 1;
            }
            c -= 1;
        }
        if b as isize > c {
            break;
        }
        candidates.swap(b, c as usize);
        b += 1;
        c -= 1;
    }
    let (c, d) = ((c + 1) as usize, (d + 1) as usize);
    debug_assert_eq!(b, c);
    let move_left = a.min(b - a);
    for n in 0..move_left {
        candidates.swap(n, b - move_left + n);
    }
    let move_right = (d - c).min(len - d);
    for n in 0..move_right {
        candidates.swap(b + n, len - move_right + n);
    }
    (b - a, d - c)
}

#[cfg(test)]
mod tests {
    use kokkiri_primitives::{BlockNumber, Oid};
    use kokkiri_types::{Attribute, TupleDesc, ValueRef};

    use super::super::change::append;
    use super::super::page::{Opaque, flags};
    use super::super::shape::{IntegerImage, KeyColumn};
    use super::*;

    fn int4_shape() -> IndexShape {
        let keys = vec![KeyColumn {
            comparator: |a, b| a.int32().cmp(&b.int32()),
            integer: Some(IntegerImage::Int4),
            descending: false,
            nulls_first: false,
        }];
        IndexShape::new(TupleDesc::new(vec![Attribute::builtin("a", 1, Oid(23))]), keys, true)
    }

    /// A leaf of 407 int4 entries, full, rightmost or not; the new item comes in at `at`.
    fn point_of_full_leaf(rightmost: bool, at: u16) -> SplitPoint {
        let shape = int4_shape();
        let tuple = |key: i32| {
            let tid = ItemPointer::new(BlockNumber(key as u32 / 200), OffsetNumber(key as u16 % 200 + 1));
            shape.form(&[ValueRef::Int32(key)], tid).unwrap()
        };
        let mut page = Page::boxed_init(SPECIAL_SIZE);
        let next = (!rightmost).then_some(BlockNumber(9));
        page.set_opaque(Opaque { next, flags: flags::LEAF, ..Opaque::default() });
        let mut key = 0;
        if !rightmost {
            append(&mut page, tuple(10_000).into_pivot(1, None).bytes()).unwrap();
        }
        while page.free_space() >= 16 {
            append(&mut page, tuple(key).bytes()).unwrap();
            key += 2;
        }
        assert_eq!(page.max_offset(), OffsetNumber(407));
        let new_item = tuple(i32::from(at) * 2 - 3);
        find_split_point(&shape, 90, &page, OffsetNumber(at), new_item.as_ref()).unwrap()
    }

    #[test]
    fn ascending_insertion_leaves_full_pages_behind() {
        // PostgreSQL's leaves of an int4 column filled in order hold 366 entries and the high key.
        let point = point_of_full_leaf(true, 408);
        assert_eq!(point, SplitPoint { first_right: OffsetNumber(367), new_item_on_left: false });
    }

    #[test]
    fn a_page_in_the_middle_splits_evenly() {
        let point = point_of_full_leaf(false, 50);
        assert!((200..=206).contains(&point.first_right.0), "{point:?}");
        assert!(point.new_item_on_left);
    }
}
