//! Sorting in memory so that interrupts are noticed, which the standard library's sort can't.
//!
//! Realises: the `CHECK_FOR_INTERRUPTS` in tuplesort's quicksort. Pieces are sorted by the standard
//! library, which takes some milliseconds each, and then merged; so others get their turn as well while
//! millions of rows are sorted.

use std::cmp::Ordering;

use crate::Result;
use crate::activity::check_for_interrupts;

/// Sorted without a look at interrupts, items.
const PIECE: usize = 16 * 1024;
/// Merged between two looks at interrupts, items.
const MERGED: usize = 1024;

/// Sorts `items`, equal ones staying in their order.
///
/// # Errors
/// An interrupt; the items are then in any order, and some may be there twice.
pub fn sort_by<T: Copy>(items: &mut Vec<T>, mut compare: impl FnMut(&T, &T) -> Ordering) -> Result<()> {
    for piece in items.chunks_mut(PIECE) {
        check_for_interrupts()?;
        piece.sort_by(&mut compare);
    }
    if items.len() <= PIECE {
        return Ok(());
    }
    let mut merged = Vec::with_capacity(items.len());
    let mut width = PIECE;
    while width < items.len() {
        merged.clear();
        for pair in items.chunks(2 * width) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, &mut merged, &mut compare)?;
        }
        std::mem::swap(items, &mut merged);
        width *= 2;
    }
    Ok(())
}

/// Appends two sorted pieces in order.
fn merge<T: Copy>(
    mut left: &[T],
    mut right: &[T],
    merged: &mut Vec<T>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) -> Result<()> {
    if let (Some(last), Some(first)) = (left.last(), right.first())
        && compare(last, first) != Ordering::Greater
    {
        merged.extend_from_slice(left);
        left = &[];
    }
    let mut until_check = MERGED;
    while let ([smallest, left_rest @ ..], [other, right_rest @ ..]) = (left, right) {
        if compare(smallest, other) == Ordering::Greater {
            merged.push(*other);
            right = right_rest;
        } else {
            merged.push(*smallest);
            left = left_rest;
        }
        until_check -= 1;
        if until_check == 0 {
            check_for_interrupts()?;
            until_check = MERGED;
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{BackendType, Interrupt, ProcessArray};

    /// Numbers without an order, the same each time.
    fn scattered(count: usize) -> Vec<(u32, usize)> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 20
        };
        (0..count).map(|at| (next(), at)).collect()
    }

    #[test]
    fn sorts_as_the_standard_library_does() {
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 7] {
            let mut items = scattered(count);
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by(&mut items, |a, b| a.0.cmp(&b.0)).expect("nobody interrupts");
            assert_eq!(items, expected, "{count} items");
            sort_by(&mut items, |a, b| a.0.cmp(&b.0)).expect("nobody interrupts");
            assert_eq!(items, expected, "{count} items in order");
        }
    }

    #[test]
    fn an_interrupt_ends_it() {
        let array = ProcessArray::new(1, 1);
        let registration = array.register(BackendType::Client).expect("there is room");
        let _entered = registration.backend().enter();
        let mut comparisons = 0;
        let sorted = sort_by(&mut scattered(8 * PIECE), |a, b| {
            comparisons += 1;
            if comparisons == 1 {
                registration.backend().interrupt(Interrupt::Cancel);
            }
            a.0.cmp(&b.0)
        });
        assert!(sorted.is_err());
        assert!(comparisons < PIECE * 20, "it went on for {comparisons} comparisons");
    }
}
