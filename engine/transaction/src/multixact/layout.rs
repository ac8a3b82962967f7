//! Where offsets and members lie on their pages.
//!
//! ```text
//!  offsets: 2048 x u32
//!  members: 409 groups of 20 bytes:  status of 4 members, u8 each | 4 x xid u32;  12 bytes unused
//! ```

use kokkiri_primitives::{BLOCK_SIZE, MultiXactId, TransactionId};

use crate::slru::{SEGMENT_PAGES, SlruKind, SlruPage};

pub(super) const OFFSETS_PER_PAGE: u32 = BLOCK_SIZE as u32 / 4;
const GROUP_MEMBERS: u32 = 4;
const GROUP_SIZE: usize = 20;
pub(super) const MEMBERS_PER_PAGE: u32 = (BLOCK_SIZE / GROUP_SIZE) as u32 * GROUP_MEMBERS;
pub(super) const MEMBERS_PER_SEGMENT: u32 = MEMBERS_PER_PAGE * SEGMENT_PAGES as u32;

pub(super) const OFFSETS: SlruKind = SlruKind {
    name: "multixact_offset",
    directory: "pg_multixact/offsets",
    lsn_groups: 0,
    durable: true,
    precedes: |page1, page2| {
        let first = |page: u64| MultiXactId((page as u32).wrapping_mul(OFFSETS_PER_PAGE).wrapping_add(2));
        let last = MultiXactId(first(page2).0.wrapping_add(OFFSETS_PER_PAGE - 1));
        first(page1).precedes(first(page2)) && first(page1).precedes(last)
    },
};

pub(super) const MEMBERS: SlruKind = SlruKind {
    name: "multixact_member",
    directory: "pg_multixact/members",
    lsn_groups: 0,
    durable: true,
    precedes: |page1, page2| {
        let first = |page: u64| (page as u32).wrapping_mul(MEMBERS_PER_PAGE);
        let precedes = |a: u32, b: u32| (a.wrapping_sub(b) as i32) < 0;
        let last = first(page2).wrapping_add(MEMBERS_PER_PAGE - 1);
        precedes(first(page1), first(page2)) && precedes(first(page1), last)
    },
};

pub(super) fn offset_page(multi: MultiXactId) -> u64 {
    u64::from(multi.0 / OFFSETS_PER_PAGE)
}

pub(super) fn offset_entry(multi: MultiXactId) -> usize {
    (multi.0 % OFFSETS_PER_PAGE) as usize
}

pub(super) fn get_offset(bytes: &SlruPage, multi: MultiXactId) -> u32 {
    get(bytes, offset_entry(multi) * 4)
}

pub(super) fn put_offset(bytes: &mut SlruPage, multi: MultiXactId, offset: u32) {
    let at = offset_entry(multi) * 4;
    bytes[at..at + 4].copy_from_slice(&offset.to_le_bytes());
}

pub(super) fn member_page(offset: u32) -> u64 {
    u64::from(offset / MEMBERS_PER_PAGE)
}

/// Where the member's status and its xid lie.
pub(super) fn member_places(offset: u32) -> (usize, usize) {
    let (group, member) = (offset % MEMBERS_PER_PAGE / GROUP_MEMBERS, (offset % GROUP_MEMBERS) as usize);
    let start = group as usize * GROUP_SIZE;
    (start + member, start + GROUP_MEMBERS as usize + member * 4)
}

pub(super) fn get_member(bytes: &SlruPage, offset: u32) -> (TransactionId, u8) {
    let (status, xid) = member_places(offset);
    (TransactionId(get(bytes, xid)), bytes[status])
}

pub(super) fn put_member(bytes: &mut SlruPage, offset: u32, xid: TransactionId, status: u8) {
    let (status_at, xid_at) = member_places(offset);
    bytes[status_at] = status;
    bytes[xid_at..xid_at + 4].copy_from_slice(&xid.0.to_le_bytes());
}

fn get(bytes: &SlruPage, at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_lie_in_groups_of_four() {
        let mut bytes = [0; BLOCK_SIZE];
        for (n, status) in (1..=5u32).zip([0u8, 1, 2, 3, 5]) {
            put_member(&mut bytes, n, TransactionId(700 + n), status);
        }
        assert_eq!(bytes[..8], [0, 0, 1, 2, 0, 0, 0, 0], "slot zero stays empty");
        assert_eq!(bytes[8..12], 701u32.to_le_bytes());
        assert_eq!(bytes[20..24], [3, 5, 0, 0]);
        assert_eq!(get_member(&bytes, 5), (TransactionId(705), 5));
        assert_eq!(member_places(MEMBERS_PER_PAGE - 1), (8163, 8176));
        assert_eq!((member_page(MEMBERS_PER_PAGE - 1), member_page(MEMBERS_PER_PAGE)), (0, 1));
    }

    /// The files of PostgreSQL 18.4 after 777 locked a row FOR SHARE, 778 FOR KEY SHARE, 779 FOR SHARE.
    #[test]
    fn bytes_are_those_of_postgresql() {
        let sets: [(u32, &[(u32, u8)]); 2] =
            [(1, &[(777, 1), (778, 0)]), (3, &[(777, 1), (778, 0), (779, 1)])];
        let (mut offsets, mut members) = ([0; BLOCK_SIZE], [0; BLOCK_SIZE]);
        for (multi, (start, set)) in (1..).map(MultiXactId).zip(sets) {
            put_offset(&mut offsets, multi, start);
            put_offset(&mut offsets, multi.next(), start + set.len() as u32);
            for (at, (xid, status)) in (start..).zip(set) {
                put_member(&mut members, at, TransactionId(*xid), *status);
            }
        }
        let words: Vec<u32> = (0..6).map(|n| get(&offsets, n * 4)).collect();
        assert_eq!(words, [0, 1, 3, 6, 0, 0]);
        let observed = [
            0, 1, 0, 1, 0, 0, 0, 0, 9, 3, 0, 0, 10, 3, 0, 0, 9, 3, 0, 0, 0, 1, 0, 0, 10, 3, 0, 0, 11, 3, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(members[..40], observed);
    }
}
