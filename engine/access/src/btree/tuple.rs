//! The bytes of one index tuple: plain, posting list and pivot.
//!
//! Realises: `IndexTupleData` and the `BTreeTuple*` accessors of nbtree.h.
//!
//! Every index tuple starts with eight bytes, followed by key values from an 8-byte boundary:
//!
//! ```text
//!  0          6        8            16 if any value is null, else 8
//!  +----------+--------+-------------+------------+-----------------------------+
//!  | t_tid    | t_info | null bitmap | key values | posting list or heap tid    |
//!  +----------+--------+-------------+------------+-----------------------------+
//!  t_info: bit 15 has nulls, bit 14 has variable-width values, bit 13 t_tid is redefined, bits 12-0 size
//! ```
//!
//! Where bit 13 is set, `t_tid` is no heap tid: its offset holds four status bits and a count.
//!  * posting list tuple (status bit `IS_POSTING`): block = byte offset of the tid array, count = tids.
//!  * pivot tuple (high keys, and everything above the leaves): block = downlink, count = key columns
//!    kept by suffix truncation; with `PIVOT_HEAP_TID` the tuple's last six bytes are a heap tid, the
//!    tiebreaker column.
//!
//! Invariants: a [`TupleRef`] is only made by [`TupleRef::parse`], which checks that header, posting list
//! and tiebreaker lie within the bytes, so the accessors can't run out of them. Sizes are multiples of 8.

use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, ItemPointer, OffsetNumber};

/// Size of the fixed header, bytes: `sizeof(IndexTupleData)`.
pub const HEADER_SIZE: usize = 8;
/// Size of the null bitmap with its padding: room for 32 columns, aligned.
const BITMAP_SIZE: usize = 8;
/// `INDEX_MAX_KEYS`.
pub const MAX_COLUMNS: usize = 32;

const SIZE_MASK: u16 = 0x1FFF;
const ALT_TID: u16 = 0x2000;
const HAS_VARIABLE: u16 = 0x4000;
const HAS_NULLS: u16 = 0x8000;

const COUNT_MASK: u16 = 0x0FFF;
const PIVOT_HEAP_TID: u16 = 0x1000;
const IS_POSTING: u16 = 0x2000;

/// Largest size `t_info` can hold: `INDEX_SIZE_MASK`.
pub const MAX_TUPLE_SIZE: usize = SIZE_MASK as usize;

/// Largest leaf tuple, bytes: three must fit a page, each with room for a tiebreaker tid once it is a
/// high key. `BTMaxItemSize`.
pub const MAX_ITEM_SIZE: usize = align_down((BLOCK_SIZE - align(24 + 3 * 4) - 16) / 3) - 8;

/// `MAXALIGN`.
pub const fn align(size: usize) -> usize {
    (size + 7) & !7
}

const fn align_down(size: usize) -> usize {
    size & !7
}

const _: () = assert!(MAX_ITEM_SIZE == 2704);

/// A checked view of one index tuple on a page, in a record or in memory.
#[derive(Clone, Copy)]
pub struct TupleRef<'a> {
    bytes: &'a [u8],
}

impl<'a> TupleRef<'a> {
    /// The tuple at the start of `bytes`, or `None` if they can't be one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER_SIZE {
            return None;
        }
        let size = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]) & SIZE_MASK);
        if size < HEADER_SIZE || size > bytes.len() {
            return None;
        }
        let tuple = Self { bytes: &bytes[..size] };
        if tuple.data_offset() > size {
            return None;
        }
        if tuple.is_posting() {
            let start = tuple.raw_tid().block.0 as usize;
            let end = start.checked_add(tuple.posting_len() * ItemPointer::SIZE)?;
            if start < tuple.data_offset() || end > size || tuple.posting_len() < 2 {
                return None;
            }
        } else if tuple.is_pivot()
            && tuple.has_pivot_heap_tid()
            && size < tuple.data_offset() + ItemPointer::SIZE
        {
            return None;
        }
        Some(tuple)
    }

    /// All bytes of the tuple; as many as [`TupleRef::size`] says.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// `IndexTupleSize`.
    pub fn size(self) -> usize {
        self.bytes.len()
    }

    fn info(self) -> u16 {
        u16::from_le_bytes([self.bytes[6], self.bytes[7]])
    }

    /// `t_tid` as stored, whatever it means.
    pub fn raw_tid(self) -> ItemPointer {
        tid_at(self.bytes, 0)
    }

    fn status(self) -> u16 {
        self.raw_tid().offset.0
    }

    pub fn has_nulls(self) -> bool {
        self.info() & HAS_NULLS != 0
    }

    pub fn is_pivot(self) -> bool {
        self.info() & ALT_TID != 0 && self.status() & IS_POSTING == 0
    }

    pub fn is_posting(self) -> bool {
        self.info() & ALT_TID != 0 && self.status() & IS_POSTING != 0
    }

    fn has_pivot_heap_tid(self) -> bool {
        self.status() & PIVOT_HEAP_TID != 0
    }

    /// Where the key values start.
    pub fn data_offset(self) -> usize {
        if self.has_nulls() { HEADER_SIZE + BITMAP_SIZE } else { HEADER_SIZE }
    }

    /// Where the key values end at the latest: the start of the posting list, or of the tiebreaker.
    pub fn key_size(self) -> usize {
        if self.is_posting() {
            self.raw_tid().block.0 as usize
        } else if self.is_pivot() && self.has_pivot_heap_tid() {
            self.size() - ItemPointer::SIZE
        } else {
            self.size()
        }
    }

    /// Whether column `index` (0-based) is null.
    pub fn is_null(self, index: usize) -> bool {
        self.has_nulls() && self.bytes[HEADER_SIZE + index / 8] & (1 << (index % 8)) == 0
    }

    /// How many columns are there, of an index with `columns`: `BTreeTupleGetNAtts`.
    pub fn column_count(self, columns: usize) -> usize {
        if self.is_pivot() { usize::from(self.status() & COUNT_MASK) } else { columns }
    }

    /// The tiebreaker: the lowest heap tid of a leaf tuple; a pivot's, unless it was truncated away.
    pub fn heap_tid(self) -> Option<ItemPointer> {
        if self.is_pivot() {
            self.has_pivot_heap_tid().then(|| tid_at(self.bytes, self.size() - ItemPointer::SIZE))
        } else if self.is_posting() {
            Some(self.posting_tid(0))
        } else {
            Some(self.raw_tid())
        }
    }

    /// The highest heap tid of a leaf tuple.
    pub fn max_heap_tid(self) -> ItemPointer {
        if self.is_posting() { self.posting_tid(self.posting_len() - 1) } else { self.raw_tid() }
    }

    /// Number of tids of a posting list tuple.
    pub fn posting_len(self) -> usize {
        usize::from(self.status() & COUNT_MASK)
    }

    /// Tid number `n` of a posting list tuple.
    pub fn posting_tid(self, n: usize) -> ItemPointer {
        debug_assert!(self.is_posting() && n < self.posting_len());
        tid_at(self.bytes, self.raw_tid().block.0 as usize + n * ItemPointer::SIZE)
    }

    /// The heap tids of a leaf tuple, in order: one, or those of its posting list.
    pub fn heap_tids(self) -> impl ExactSizeIterator<Item = ItemPointer> + 'a {
        let (start, count) = if self.is_posting() { (self.key_size(), self.posting_len()) } else { (0, 1) };
        (0..count).map(move |n| tid_at(self.bytes, start + n * ItemPointer::SIZE))
    }

    /// The child page a pivot tuple above the leaves points to.
    pub fn downlink(self) -> BlockNumber {
        self.raw_tid().block
    }

    /// The top parent link in the dummy high key of a half-dead leaf.
    pub fn top_parent(self) -> Option<BlockNumber> {
        let block = self.raw_tid().block;
        (block != BlockNumber::INVALID).then_some(block)
    }

    pub fn to_tuple(self) -> IndexTuple {
        IndexTuple { bytes: self.bytes.to_vec() }
    }
}

fn tid_at(bytes: &[u8], offset: usize) -> ItemPointer {
    let mut tid = [0; ItemPointer::SIZE];
    tid.copy_from_slice(&bytes[offset..offset + ItemPointer::SIZE]);
    ItemPointer::from_bytes(tid)
}

/// An index tuple of its own, being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexTuple {
    bytes: Vec<u8>,
}

impl IndexTuple {
    /// A plain tuple for heap tuple `tid` from its already laid out null bitmap and values.
    /// `None` if it is larger than an index tuple can be.
    pub fn plain(tid: ItemPointer, null_bits: Option<u32>, variable: bool, data: &[u8]) -> Option<Self> {
        let data_offset = HEADER_SIZE + if null_bits.is_some() { BITMAP_SIZE } else { 0 };
        let size = align(data_offset + data.len());
        if size > MAX_TUPLE_SIZE {
            return None;
        }
        let mut info = size as u16;
        let mut bytes = vec![0; size];
        if let Some(bits) = null_bits {
            info |= HAS_NULLS;
            bytes[HEADER_SIZE..HEADER_SIZE + 4].copy_from_slice(&bits.to_le_bytes());
        }
        if variable {
            info |= HAS_VARIABLE;
        }
        bytes[..6].copy_from_slice(&tid.to_bytes());
        bytes[6..8].copy_from_slice(&info.to_le_bytes());
        bytes[data_offset..data_offset + data.len()].copy_from_slice(data);
        Some(Self { bytes })
    }

    /// A pivot without any key column: minus infinity, the first item above the leaves.
    pub fn minus_infinity(downlink: BlockNumber) -> Self {
        let mut tuple = Self { bytes: vec![0; HEADER_SIZE] };
        tuple.set_size(HEADER_SIZE);
        tuple.set_pivot(0, false);
        tuple.set_downlink(downlink);
        tuple
    }

    /// The dummy high key of a half-dead leaf, which links to the topmost page of its subtree.
    pub fn half_dead_high_key(top_parent: Option<BlockNumber>) -> Self {
        Self::minus_infinity(top_parent.unwrap_or(BlockNumber::INVALID))
    }

    /// The key of `base` with the tids `tids` instead of its own: a posting list tuple, or a plain one
    /// if there is just one tid.
    pub fn with_tids(base: TupleRef<'_>, tids: &[ItemPointer]) -> Self {
        debug_assert!(!base.is_pivot() && !tids.is_empty());
        let key_size = base.key_size();
        let size = if tids.len() > 1 { align(key_size + tids.len() * ItemPointer::SIZE) } else { key_size };
        let mut bytes = vec![0; size];
        bytes[..key_size].copy_from_slice(&base.bytes()[..key_size]);
        let mut tuple = Self { bytes };
        tuple.set_size(size);
        if tids.len() == 1 {
            tuple.clear_info(ALT_TID);
            tuple.set_tid(tids[0]);
            return tuple;
        }
        tuple.set_info(ALT_TID);
        tuple.set_tid(ItemPointer::new(
            BlockNumber(key_size as u32),
            OffsetNumber(tids.len() as u16 | IS_POSTING),
        ));
        for (n, tid) in tids.iter().enumerate() {
            let at = key_size + n * ItemPointer::SIZE;
            tuple.bytes[at..at + ItemPointer::SIZE].copy_from_slice(&tid.to_bytes());
        }
        tuple
    }

    /// Turns a copy of a leaf tuple, already without the columns that truncation drops, into a pivot that
    /// keeps `columns` key columns and, if given, the tiebreaker.
    pub fn into_pivot(mut self, columns: usize, heap_tid: Option<ItemPointer>) -> Self {
        let posting = self.as_ref().is_posting();
        if posting {
            let key_size = self.as_ref().key_size();
            self.bytes.truncate(align(key_size));
        }
        if let Some(tid) = heap_tid {
            let size = align(self.bytes.len()) + align(ItemPointer::SIZE);
            self.bytes.resize(size, 0);
            self.bytes[size - ItemPointer::SIZE..].copy_from_slice(&tid.to_bytes());
        }
        let size = self.bytes.len();
        self.set_size(size);
        self.set_pivot(columns, heap_tid.is_some());
        self
    }

    pub fn as_ref(&self) -> TupleRef<'_> {
        TupleRef { bytes: &self.bytes }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn set_tid(&mut self, tid: ItemPointer) {
        self.bytes[..6].copy_from_slice(&tid.to_bytes());
    }

    pub fn set_downlink(&mut self, child: BlockNumber) {
        let offset = self.as_ref().raw_tid().offset;
        self.set_tid(ItemPointer::new(child, offset));
    }

    fn set_pivot(&mut self, columns: usize, heap_tid: bool) {
        self.set_info(ALT_TID);
        let status = columns as u16 | if heap_tid { PIVOT_HEAP_TID } else { 0 };
        let block = self.as_ref().raw_tid().block;
        self.set_tid(ItemPointer::new(block, OffsetNumber(status)));
    }

    fn set_size(&mut self, size: usize) {
        let info = self.as_ref().info() & !SIZE_MASK | size as u16;
        self.bytes[6..8].copy_from_slice(&info.to_le_bytes());
    }

    fn set_info(&mut self, bit: u16) {
        let info = self.as_ref().info() | bit;
        self.bytes[6..8].copy_from_slice(&info.to_le_bytes());
    }

    fn clear_info(&mut self, bit: u16) {
        let info = self.as_ref().info() & !bit;
        self.bytes[6..8].copy_from_slice(&info.to_le_bytes());
    }
}

/// Overwrites the downlink of the pivot tuple stored in `bytes`: `BTreeTupleSetDownLink` in place.
pub fn set_downlink_in_place(bytes: &mut [u8], child: BlockNumber) {
    bytes[..4].copy_from_slice(&ItemPointer::new(child, OffsetNumber(0)).to_bytes()[..4]);
}

/// What a posting list split leaves: `_bt_swap_posting`.
pub struct PostingSplit {
    /// The posting list tuple with the new tid in place of its highest.
    pub posting: IndexTuple,
    /// The new tuple, now with the tid that was highest; it goes right after the posting list.
    pub new_item: IndexTuple,
}

/// Splits `posting` before its tid number `offset`, so that `new_item`, whose tid lies inside the list's
/// range, can go in without the page holding more than one tuple more. `None` if `offset` does not lie
/// strictly inside the list.
pub fn split_posting(new_item: TupleRef<'_>, posting: TupleRef<'_>, offset: usize) -> Option<PostingSplit> {
    if !posting.is_posting() || offset == 0 || offset >= posting.posting_len() {
        return None;
    }
    let mut tids: Vec<ItemPointer> = posting.heap_tids().collect();
    let highest = tids.pop()?;
    tids.insert(offset, new_item.raw_tid());
    let mut moved = new_item.to_tuple();
    moved.set_tid(highest);
    Some(PostingSplit { posting: IndexTuple::with_tids(posting, &tids), new_item: moved })
}

/// `posting` without the tids at the (ascending) positions `deleted`: `_bt_update_posting`.
/// `None` if nothing would remain or the positions are none of this list.
pub fn remove_from_posting(posting: TupleRef<'_>, deleted: &[u16]) -> Option<IndexTuple> {
    if !posting.is_posting() || deleted.len() >= posting.posting_len() {
        return None;
    }
    let mut rest = deleted.iter().copied().peekable();
    let mut kept = Vec::with_capacity(posting.posting_len() - deleted.len());
    for (n, tid) in posting.heap_tids().enumerate() {
        if rest.peek().is_some_and(|&next| usize::from(next) == n) {
            rest.next();
        } else {
            kept.push(tid);
        }
    }
    (rest.peek().is_none()).then(|| IndexTuple::with_tids(posting, &kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(block: u32, offset: u16) -> ItemPointer {
        ItemPointer::new(BlockNumber(block), OffsetNumber(offset))
    }

    fn plain(key: i32, at: ItemPointer) -> IndexTuple {
        IndexTuple::plain(at, None, false, &key.to_le_bytes()).expect("small tuple")
    }

    #[test]
    fn a_plain_tuple_has_postgresql_bytes() {
        // bt_page_items of an int4 index: itemlen 16, data 07 00 00 00 00 00 00 00, ctid (3,4).
        let tuple = plain(7, tid(3, 4));
        assert_eq!(tuple.bytes(), [0, 0, 3, 0, 4, 0, 16, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let view = TupleRef::parse(tuple.bytes()).expect("valid");
        assert!(!view.is_pivot() && !view.is_posting());
        assert_eq!(view.heap_tid(), Some(tid(3, 4)));
    }

    #[test]
    fn posting_lists_split_and_shrink() {
        let base = plain(1, tid(0, 1));
        let tids: Vec<_> = [1, 2, 5, 9].iter().map(|&n| tid(0, n)).collect();
        let posting = IndexTuple::with_tids(base.as_ref(), &tids);
        // ctid (16,8196) is how bt_page_items shows four tids at byte 16.
        assert_eq!(posting.as_ref().raw_tid(), tid(16, 0x2000 | 4));
        assert_eq!(posting.size(), 40);
        let split = split_posting(plain(1, tid(0, 4)).as_ref(), posting.as_ref(), 2).expect("inside");
        assert_eq!(split.posting.as_ref().heap_tids().collect::<Vec<_>>(), [1, 2, 4, 5].map(|n| tid(0, n)));
        assert_eq!(split.new_item.as_ref().raw_tid(), tid(0, 9));
        assert!(split_posting(plain(1, tid(0, 0)).as_ref(), posting.as_ref(), 0).is_none());

        let one = remove_from_posting(posting.as_ref(), &[0, 1, 3]).expect("one stays");
        assert_eq!(one, plain(1, tid(0, 5)));
        assert!(remove_from_posting(posting.as_ref(), &[0, 1, 2, 3]).is_none());
        assert!(remove_from_posting(posting.as_ref(), &[7]).is_none());
    }

    #[test]
    fn pivots_keep_columns_and_tiebreaker() {
        let mut pivot = plain(5, tid(0, 1)).into_pivot(1, Some(tid(8, 3)));
        pivot.set_downlink(BlockNumber(77));
        let view = TupleRef::parse(pivot.bytes()).expect("valid");
        assert_eq!((view.size(), view.downlink()), (24, BlockNumber(77)));
        assert_eq!(view.heap_tid(), Some(tid(8, 3)));
        assert_eq!(view.column_count(3), 1);
        assert_eq!(view.key_size(), 18);
        let infinity = IndexTuple::minus_infinity(BlockNumber(1));
        assert_eq!(infinity.bytes(), [0, 0, 1, 0, 0, 0, 8, 0x20]);
    }

    #[test]
    fn broken_bytes_are_no_tuple() {
        assert!(TupleRef::parse(&[0; 7]).is_none());
        assert!(TupleRef::parse(&[0; 16]).is_none(), "size zero");
        let mut posting =
            IndexTuple::with_tids(plain(1, tid(0, 1)).as_ref(), &[tid(0, 1), tid(0, 2)]).bytes().to_vec();
        posting[4] = 200;
        assert!(TupleRef::parse(&posting).is_none(), "tids past the end");
    }
}
