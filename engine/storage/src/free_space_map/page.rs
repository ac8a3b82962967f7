//! One page of the free space map: a binary tree of bytes, each the larger of its two children.
//!
//! ```text
//!  24  fp_next_slot  i32    where the next search begins
//!  28  fp_nodes      4095 inner nodes, then 4069 leaves ("slots")
//! ```
//!
//! The tree is cut off on the right: the last inner nodes have one child or none. The root says the best
//! there is on the page. Contents are hints; contradictions are repaired when met.

use kokkiri_primitives::BLOCK_SIZE;

use crate::page::Page;

const NEXT_SLOT: usize = 24;
const NODES_AT: usize = NEXT_SLOT + 4;
const NODES: usize = BLOCK_SIZE - NODES_AT;
const INNER_NODES: usize = BLOCK_SIZE / 2 - 1;
/// Leaves of one page: `SlotsPerFSMPage`.
pub const SLOTS: usize = NODES - INNER_NODES;

fn nodes(page: &Page) -> &[u8] {
    &page.bytes()[NODES_AT..]
}

fn nodes_mut(page: &mut Page) -> &mut [u8] {
    &mut page.bytes_mut()[NODES_AT..]
}

fn parent(node: usize) -> usize {
    (node - 1) / 2
}

/// The node to the right on the same level; from the last one, the first of the level, which is reached
/// as the parent of the next level's first.
fn right_neighbour(node: usize) -> usize {
    let next = node + 1;
    if (next + 1) & next == 0 { parent(next) } else { next }
}

fn best_child(nodes: &[u8], node: usize) -> u8 {
    let left = 2 * node + 1;
    let at = |child: usize| nodes.get(child).copied().unwrap_or(0);
    at(left).max(at(left + 1))
}

/// The value of one slot.
pub fn slot_value(page: &Page, slot: usize) -> u8 {
    nodes(page)[INNER_NODES + slot]
}

/// The best value on the page.
pub fn best(page: &Page) -> u8 {
    nodes(page)[0]
}

/// Sets a slot and what depends on it; tells whether that changed anything: `fsm_set_avail`.
pub fn set_slot(page: &mut Page, slot: usize, value: u8) -> bool {
    let tree = nodes_mut(page);
    let mut node = INNER_NODES + slot;
    if tree[node] == value && value <= tree[0] {
        return false;
    }
    tree[node] = value;
    while node > 0 {
        node = parent(node);
        let new = best_child(tree, node);
        if tree[node] == new {
            break;
        }
        tree[node] = new;
    }
    if value > tree[0] {
        rebuild(page);
    }
    true
}

/// What a search of a page found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Slot(usize),
    Nothing,
    /// An inner node promised what its children don't have: the page is to be rebuilt.
    Corrupt,
}

/// A slot of at least `minimum`, from the page's last position on to the right, wrapping:
/// `fsm_search_avail`. Several searchers are so spread over the pages that have room.
pub fn search(page: &Page, minimum: u8) -> Found {
    let tree = nodes(page);
    if tree[0] < minimum {
        return Found::Nothing;
    }
    let mut node = INNER_NODES + start_slot(page);
    while node > 0 && tree[node] < minimum {
        node = parent(right_neighbour(node));
    }
    while node < INNER_NODES {
        let left = 2 * node + 1;
        let fits = |child: usize| tree.get(child).is_some_and(|value| *value >= minimum);
        node = if fits(left) {
            left
        } else if fits(left + 1) {
            left + 1
        } else {
            return Found::Corrupt;
        };
    }
    Found::Slot(node - INNER_NODES)
}

fn start_slot(page: &Page) -> usize {
    let slot = page.u32_at(NEXT_SLOT) as usize;
    if slot < SLOTS { slot } else { 0 }
}

/// Where the next search of the page begins.
pub fn set_next_slot(page: &mut Page, slot: usize) {
    page.set_u32(NEXT_SLOT, slot as u32);
}

/// Zeroes all slots from `slots` on; tells whether that changed anything: `fsm_truncate_avail`.
pub fn truncate(page: &mut Page, slots: usize) -> bool {
    let tail = &mut nodes_mut(page)[INNER_NODES + slots.min(SLOTS)..];
    let changed = tail.iter().any(|value| *value != 0);
    tail.fill(0);
    if changed {
        rebuild(page);
    }
    changed
}

/// Computes all inner nodes anew; tells whether that changed anything: `fsm_rebuild_page`.
pub fn rebuild(page: &mut Page) -> bool {
    let tree = nodes_mut(page);
    let mut changed = false;
    for node in (0..INNER_NODES).rev() {
        let new = best_child(tree, node);
        changed |= tree[node] != new;
        tree[node] = new;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_agrees_with_a_list() {
        assert_eq!(SLOTS, 4069);
        let mut page = Page::boxed_init(0);
        let mut model = vec![0_u8; SLOTS];
        let mut state = 3_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for round in 0..20_000 {
            let (slot, value) = (random(SLOTS), random(256) as u8);
            if round % 3 == 0 {
                assert_eq!(set_slot(&mut page, slot, value), model[slot] != value);
                model[slot] = value;
            } else if round % 500 == 1 {
                truncate(&mut page, slot);
                model[slot..].fill(0);
            } else {
                set_next_slot(&mut page, slot);
                let minimum = value.max(1);
                match search(&page, minimum) {
                    Found::Slot(found) => assert!(model[found] >= minimum),
                    Found::Nothing => assert!(model.iter().all(|value| *value < minimum)),
                    Found::Corrupt => panic!("never corrupt"),
                }
            }
            assert_eq!(best(&page), *model.iter().max().expect("slots"));
        }
    }

    #[test]
    fn a_lying_inner_node_is_noticed_and_repaired() {
        let mut page = Page::boxed_init(0);
        set_slot(&mut page, 7, 20);
        nodes_mut(&mut page)[0] = 200;
        assert_eq!(search(&page, 100), Found::Corrupt);
        assert!(rebuild(&mut page));
        assert_eq!(search(&page, 100), Found::Nothing);
        assert_eq!(search(&page, 20), Found::Slot(7));
    }
}
