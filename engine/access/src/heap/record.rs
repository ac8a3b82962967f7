//! The payloads of WAL records of resource managers Heap and Heap2, byte for byte PostgreSQL's.
//!
//! Realises: `heapam_xlog.h`. Each record has an `encode` for the forward path and a `decode` for redo;
//! integers are little-endian, structs are cut after their last field.
//!
//! ```text
//!   Heap   INSERT       main: offset u16, flags u8                     block 0: tuple bits (5), body
//!   Heap   DELETE       main: xmax u32, offset u16, infobits u8, flags u8
//!   Heap   UPDATE       main: old xmax u32, old offset u16, old infobits u8, flags u8, new xmax u32,
//!   Heap   HOT_UPDATE         new offset u16       block 0 (new): [prefix u16] [suffix u16] bits (5), body
//!   Heap   CONFIRM      main: offset u16
//!   Heap   LOCK         main: xmax u32, offset u16, infobits u8, flags u8
//!   Heap   INPLACE      main: offset u16, pad 2, database u32, tablespace u32, init file u8, pad 3, count u32, messages
//!   Heap   TRUNCATE     main: database u32, count u32, flags u8, pad 3, oids
//!   Heap2  MULTI_INSERT main: flags u8, pad 1, count u16, offsets      block 0: (length u16, bits (5), body)*
//!   Heap2  LOCK_UPDATED main: as LOCK
//!   Heap2  VISIBLE      main: horizon u32, flags u8                    block 0: map page, block 1: heap page
//!   Heap2  PRUNE_*      main: reason u8, flags u8, [horizon u32]       block 0: see [`super::prune_record`]
//! ```
//!
//! A body is the tuple from behind its fixed header: null bitmap, padding, data. Map pages whose bits are
//! cleared are registered behind the heap pages, as PostgreSQL does since 18.5; redo of a record without
//! them clears the bits all the same.

use kokkiri_primitives::{Error, OffsetNumber, Oid, Result, TransactionId};

use crate::tuple::header::{HEADER_SIZE, Infomask, TupleHeader, infomask2};

/// Operation codes of resource manager Heap.
pub mod heap_info {
    pub const INSERT: u8 = 0x00;
    pub const DELETE: u8 = 0x10;
    pub const UPDATE: u8 = 0x20;
    pub const TRUNCATE: u8 = 0x30;
    pub const HOT_UPDATE: u8 = 0x40;
    pub const CONFIRM: u8 = 0x50;
    pub const LOCK: u8 = 0x60;
    pub const INPLACE: u8 = 0x70;
    pub const OPERATION_MASK: u8 = 0x70;
    /// The page is made anew: the first tuple of an empty page.
    pub const INIT_PAGE: u8 = 0x80;
}

/// Operation codes of resource manager Heap2.
pub mod heap2_info {
    pub const REWRITE: u8 = 0x00;
    pub const PRUNE_ON_ACCESS: u8 = 0x10;
    pub const PRUNE_VACUUM_SCAN: u8 = 0x20;
    pub const PRUNE_VACUUM_CLEANUP: u8 = 0x30;
    pub const VISIBLE: u8 = 0x40;
    pub const MULTI_INSERT: u8 = 0x50;
    pub const LOCK_UPDATED: u8 = 0x60;
    pub const NEW_CID: u8 = 0x70;
}

/// Flags of INSERT and MULTI_INSERT.
pub mod insert_flags {
    pub const ALL_VISIBLE_CLEARED: u8 = 1 << 0;
    pub const LAST_IN_MULTI: u8 = 1 << 1;
    pub const IS_SPECULATIVE: u8 = 1 << 2;
    pub const CONTAINS_NEW_TUPLE: u8 = 1 << 3;
    pub const ON_TOAST_RELATION: u8 = 1 << 4;
    pub const ALL_FROZEN_SET: u8 = 1 << 5;
}

/// Flags of UPDATE and HOT_UPDATE.
pub mod update_flags {
    pub const OLD_ALL_VISIBLE_CLEARED: u8 = 1 << 0;
    pub const NEW_ALL_VISIBLE_CLEARED: u8 = 1 << 1;
    pub const CONTAINS_OLD_TUPLE: u8 = 1 << 2;
    pub const CONTAINS_OLD_KEY: u8 = 1 << 3;
    pub const CONTAINS_NEW_TUPLE: u8 = 1 << 4;
    pub const PREFIX_FROM_OLD: u8 = 1 << 5;
    pub const SUFFIX_FROM_OLD: u8 = 1 << 6;
}

/// Flags of DELETE.
pub mod delete_flags {
    pub const ALL_VISIBLE_CLEARED: u8 = 1 << 0;
    pub const CONTAINS_OLD_TUPLE: u8 = 1 << 1;
    pub const CONTAINS_OLD_KEY: u8 = 1 << 2;
    /// A speculative insertion is taken back.
    pub const IS_SUPER: u8 = 1 << 3;
    pub const IS_PARTITION_MOVE: u8 = 1 << 4;
}

/// Flag of LOCK and LOCK_UPDATED: the map's all-frozen bit was cleared.
pub const LOCK_ALL_FROZEN_CLEARED: u8 = 1;

/// What a record says of xmax: `infobits_set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Infobits(pub u8);

impl Infobits {
    const IS_MULTI: u8 = 0x01;
    const LOCK_ONLY: u8 = 0x02;
    const EXCL_LOCK: u8 = 0x04;
    const KEYSHR_LOCK: u8 = 0x08;
    const KEYS_UPDATED: u8 = 0x10;

    const PAIRS: [(u8, u16); 4] = [
        (Self::IS_MULTI, Infomask::XMAX_IS_MULTI),
        (Self::LOCK_ONLY, Infomask::XMAX_LOCK_ONLY),
        (Self::EXCL_LOCK, Infomask::XMAX_EXCL_LOCK),
        (Self::KEYSHR_LOCK, Infomask::XMAX_KEYSHR_LOCK),
    ];

    /// From the bits of a tuple, or of a new xmax: `compute_infobits`.
    pub fn of(infomask: u16, second: u16) -> Self {
        let keys = if second & infomask2::KEYS_UPDATED != 0 { Self::KEYS_UPDATED } else { 0 };
        Self(
            Self::PAIRS
                .iter()
                .filter(|(_, bit)| infomask & bit != 0)
                .fold(keys, |bits, (flag, _)| bits | flag),
        )
    }

    /// Replaces what a header says of xmax.
    pub fn apply(self, header: &mut TupleHeader) {
        header.infomask.0 &= !(Infomask::XMAX_BITS | Infomask::MOVED);
        header.infomask2 &= !infomask2::KEYS_UPDATED;
        for (flag, bit) in Self::PAIRS {
            if self.0 & flag != 0 {
                header.infomask.0 |= bit;
            }
        }
        if self.0 & Self::KEYS_UPDATED != 0 {
            header.infomask2 |= infomask2::KEYS_UPDATED;
        }
    }
}

/// What a record keeps of a new tuple's header: `xl_heap_header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TupleBits {
    pub infomask2: u16,
    pub infomask: u16,
    pub hoff: u8,
}

impl TupleBits {
    pub const SIZE: usize = 5;

    pub fn of(header: &TupleHeader) -> Self {
        Self { infomask2: header.infomask2, infomask: header.infomask.0, hoff: header.hoff }
    }

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let (second, first) = (self.infomask2.to_le_bytes(), self.infomask.to_le_bytes());
        [second[0], second[1], first[0], first[1], self.hoff]
    }

    fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self {
            infomask2: u16::from_le_bytes([bytes[0], bytes[1]]),
            infomask: u16::from_le_bytes([bytes[2], bytes[3]]),
            hoff: bytes[4],
        }
    }
}

/// Reads a record's payload front to back; running out is an error.
#[derive(Clone, Debug)]
pub struct PayloadReader<'a> {
    bytes: &'a [u8],
    /// Bytes read so far.
    position: usize,
}

impl<'a> PayloadReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(length).ok_or_else(too_short)?;
        let taken = self.bytes.get(self.position..end).ok_or_else(too_short)?;
        self.position = end;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| too_short())
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn offset(&mut self) -> Result<OffsetNumber> {
        let number = self.u16()?;
        if number == 0 {
            return Err(Error::data_corrupted("WAL record names line pointer 0"));
        }
        Ok(OffsetNumber(number))
    }

    pub fn offsets(&mut self, count: usize) -> Result<Vec<OffsetNumber>> {
        (0..count).map(|_| self.offset()).collect()
    }

    pub fn xid(&mut self) -> Result<TransactionId> {
        self.u32().map(TransactionId)
    }

    pub fn tuple_bits(&mut self) -> Result<TupleBits> {
        let bits = TupleBits::from_bytes(self.array()?);
        if usize::from(bits.hoff) < HEADER_SIZE {
            return Err(Error::data_corrupted("WAL record has a tuple with an impossible header"));
        }
        Ok(bits)
    }

    /// Skips to an even position.
    pub fn align_short(&mut self) -> Result<()> {
        self.take(self.position % 2).map(drop)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }
}

#[cold]
fn too_short() -> Error {
    Error::data_corrupted("WAL record is shorter than its contents")
}

/// INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insert {
    pub offset: OffsetNumber,
    pub flags: u8,
}

impl Insert {
    pub fn encode(self) -> [u8; 3] {
        let offset = self.offset.0.to_le_bytes();
        [offset[0], offset[1], self.flags]
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        Ok(Self { offset: reader.offset()?, flags: reader.u8()? })
    }
}

/// MULTI_INSERT. Offsets are left out if the page is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiInsert {
    pub flags: u8,
    pub count: usize,
    /// `None` for 1, 2, 3...
    pub offsets: Option<Vec<OffsetNumber>>,
}

impl MultiInsert {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.flags, 0];
        bytes.extend_from_slice(&(self.count as u16).to_le_bytes());
        for offset in self.offsets.iter().flatten() {
            bytes.extend_from_slice(&offset.0.to_le_bytes());
        }
        bytes
    }

    pub fn decode(main: &[u8], init_page: bool) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        let flags = reader.u8()?;
        reader.take(1)?;
        let count = usize::from(reader.u16()?);
        let offsets = if init_page { None } else { Some(reader.offsets(count)?) };
        Ok(Self { flags, count, offsets })
    }

    /// Appends one tuple to the data of block 0.
    pub fn append_tuple(data: &mut Vec<u8>, bits: TupleBits, body: &[u8]) {
        data.resize(data.len().next_multiple_of(2), 0);
        data.extend_from_slice(&(body.len() as u16).to_le_bytes());
        data.extend_from_slice(&bits.to_bytes());
        data.extend_from_slice(body);
    }

    /// Takes the next tuple from the data of block 0.
    pub fn next_tuple<'a>(reader: &mut PayloadReader<'a>) -> Result<(TupleBits, &'a [u8])> {
        reader.align_short()?;
        let length = usize::from(reader.u16()?);
        let bits = reader.tuple_bits()?;
        Ok((bits, reader.take(length)?))
    }
}

/// DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete {
    pub xmax: TransactionId,
    pub offset: OffsetNumber,
    pub infobits: Infobits,
    pub flags: u8,
}

impl Delete {
    pub fn encode(self) -> [u8; 8] {
        four_fields(self.xmax, self.offset, self.infobits, self.flags)
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        Ok(Self {
            xmax: reader.xid()?,
            offset: reader.offset()?,
            infobits: Infobits(reader.u8()?),
            flags: reader.u8()?,
        })
    }
}

/// LOCK and LOCK_UPDATED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub xmax: TransactionId,
    pub offset: OffsetNumber,
    pub infobits: Infobits,
    pub flags: u8,
}

impl Lock {
    pub fn encode(self) -> [u8; 8] {
        four_fields(self.xmax, self.offset, self.infobits, self.flags)
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let Delete { xmax, offset, infobits, flags } = Delete::decode(main)?;
        Ok(Self { xmax, offset, infobits, flags })
    }
}

fn four_fields(xmax: TransactionId, offset: OffsetNumber, infobits: Infobits, flags: u8) -> [u8; 8] {
    let (x, o) = (xmax.0.to_le_bytes(), offset.0.to_le_bytes());
    [x[0], x[1], x[2], x[3], o[0], o[1], infobits.0, flags]
}

/// UPDATE and HOT_UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    pub old_xmax: TransactionId,
    pub old_offset: OffsetNumber,
    pub old_infobits: Infobits,
    pub flags: u8,
    pub new_xmax: TransactionId,
    pub new_offset: OffsetNumber,
}

impl Update {
    pub fn encode(self) -> [u8; 14] {
        let mut bytes = [0; 14];
        bytes[..8].copy_from_slice(&four_fields(
            self.old_xmax,
            self.old_offset,
            self.old_infobits,
            self.flags,
        ));
        bytes[8..12].copy_from_slice(&self.new_xmax.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.new_offset.0.to_le_bytes());
        bytes
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        Ok(Self {
            old_xmax: reader.xid()?,
            old_offset: reader.offset()?,
            old_infobits: Infobits(reader.u8()?),
            flags: reader.u8()?,
            new_xmax: reader.xid()?,
            new_offset: reader.offset()?,
        })
    }
}

/// Data of block 0 of an update: the new tuple, without what it shares with the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateData<'a> {
    /// Bytes of the data area taken over from the start of the old one.
    pub prefix: usize,
    /// Bytes taken over from the end of the old tuple.
    pub suffix: usize,
    pub bits: TupleBits,
    /// Null bitmap and padding, and the data between prefix and suffix.
    pub body: &'a [u8],
}

impl<'a> UpdateData<'a> {
    pub fn decode(data: &'a [u8], flags: u8) -> Result<Self> {
        let mut reader = PayloadReader::new(data);
        let prefix = if flags & update_flags::PREFIX_FROM_OLD != 0 { reader.u16()? } else { 0 };
        let suffix = if flags & update_flags::SUFFIX_FROM_OLD != 0 { reader.u16()? } else { 0 };
        let bits = reader.tuple_bits()?;
        Ok(Self { prefix: usize::from(prefix), suffix: usize::from(suffix), bits, body: reader.rest() })
    }

    /// The body of the new tuple, completed from the old tuple.
    pub fn rebuild(&self, old: &[u8]) -> Result<Vec<u8>> {
        let bitmap = usize::from(self.bits.hoff) - HEADER_SIZE;
        let old_header = TupleHeader::read(old)?;
        let old_data = &old[usize::from(old_header.hoff)..];
        let (Some(prefix), Some(suffix_at)) =
            (old_data.get(..self.prefix), old.len().checked_sub(self.suffix))
        else {
            return Err(too_short());
        };
        let (bitmap, middle) = self.body.split_at_checked(bitmap).ok_or_else(too_short)?;
        Ok([bitmap, prefix, middle, &old[suffix_at..]].concat())
    }
}

/// What an old and a new data area share: `(prefix, suffix)`, zero where it wouldn't pay. Both areas start
/// behind their null bitmaps.
pub fn shared_ends(old: &[u8], new: &[u8]) -> (usize, usize) {
    /// A length costs two bytes itself.
    const WORTH_IT: usize = 3;
    let shorter = old.len().min(new.len());
    let mut prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    if prefix < WORTH_IT {
        prefix = 0;
    }
    let mut suffix =
        old.iter().rev().zip(new.iter().rev()).take(shorter - prefix).take_while(|(a, b)| a == b).count();
    if suffix < WORTH_IT {
        suffix = 0;
    }
    (prefix, suffix)
}

/// VISIBLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible {
    pub conflict_horizon: TransactionId,
    /// Bits of the visibility map, and [`Visible::CATALOG`].
    pub flags: u8,
}

impl Visible {
    /// The relation's rows matter to logical decoding.
    pub const CATALOG: u8 = 0x04;

    pub fn encode(self) -> [u8; 5] {
        let x = self.conflict_horizon.0.to_le_bytes();
        [x[0], x[1], x[2], x[3], self.flags]
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        Ok(Self { conflict_horizon: reader.xid()?, flags: reader.u8()? })
    }
}

/// INPLACE. The new data is that of block 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inplace {
    pub offset: OffsetNumber,
    pub database: Oid,
    pub tablespace: Oid,
    pub init_file_invalid: bool,
    /// Invalidation messages, 16 bytes each.
    pub messages: Vec<[u8; 16]>,
}

impl Inplace {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + 16 * self.messages.len());
        bytes.extend_from_slice(&self.offset.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.database.0.to_le_bytes());
        bytes.extend_from_slice(&self.tablespace.0.to_le_bytes());
        bytes.extend_from_slice(&[u8::from(self.init_file_invalid), 0, 0, 0]);
        bytes.extend_from_slice(&(self.messages.len() as u32).to_le_bytes());
        bytes.extend(self.messages.iter().flatten());
        bytes
    }

    pub fn decode(main: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(main);
        let offset = reader.offset()?;
        reader.take(2)?;
        let (database, tablespace) = (Oid(reader.u32()?), Oid(reader.u32()?));
        let init_file_invalid = reader.u8()? != 0;
        reader.take(3)?;
        let count = reader.u32()?;
        let messages = (0..count).map(|_| reader.array()).collect::<Result<_>>()?;
        Ok(Self { offset, database, tablespace, init_file_invalid, messages })
    }
}

/// TRUNCATE: for logical decoding only.
pub fn encode_truncate(database: Oid, flags: u8, relations: &[Oid]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + 4 * relations.len());
    bytes.extend_from_slice(&database.0.to_le_bytes());
    bytes.extend_from_slice(&(relations.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[flags, 0, 0, 0]);
    bytes.extend(relations.iter().flat_map(|oid| oid.0.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_round_trip() {
        let update = Update {
            old_xmax: TransactionId(700),
            old_offset: OffsetNumber(3),
            old_infobits: Infobits(0x10),
            flags: update_flags::SUFFIX_FROM_OLD,
            new_xmax: TransactionId(0),
            new_offset: OffsetNumber(9),
        };
        assert_eq!(update.encode(), [188, 2, 0, 0, 3, 0, 0x10, 0x40, 0, 0, 0, 0, 9, 0]);
        assert_eq!(Update::decode(&update.encode()).unwrap(), update);
        assert!(Update::decode(&update.encode()[..13]).is_err());

        let multi = MultiInsert { flags: 2, count: 2, offsets: Some(vec![OffsetNumber(4), OffsetNumber(6)]) };
        assert_eq!(multi.encode(), [2, 0, 2, 0, 4, 0, 6, 0]);
        assert_eq!(MultiInsert::decode(&multi.encode(), false).unwrap(), multi);
    }

    #[test]
    fn tuples_of_a_multi_insert_are_aligned() {
        let bits = TupleBits { infomask2: 1, infomask: 0x0800, hoff: 24 };
        let mut data = Vec::new();
        MultiInsert::append_tuple(&mut data, bits, &[0, 1]);
        MultiInsert::append_tuple(&mut data, bits, &[0, 2, 3]);
        assert_eq!(data.len(), 9 + 1 + 10);
        let mut reader = PayloadReader::new(&data);
        assert_eq!(MultiInsert::next_tuple(&mut reader).unwrap(), (bits, &[0, 1][..]));
        assert_eq!(MultiInsert::next_tuple(&mut reader).unwrap(), (bits, &[0, 2, 3][..]));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn updates_leave_out_what_is_shared() {
        assert_eq!(shared_ends(b"aaaaXbbbb", b"aaaaYYbbbb"), (4, 4));
        assert_eq!(shared_ends(b"aaXbb", b"aaYbb"), (0, 0));
        // The prefix goes first: a suffix never overlaps it.
        assert_eq!(shared_ends(b"aaaa", b"aaaaaa"), (4, 0));
        let old_header = TupleHeader {
            xmin: TransactionId(1),
            xmax: TransactionId(0),
            cid: kokkiri_primitives::CommandId(0),
            ctid: Default::default(),
            infomask2: 1,
            infomask: Infomask(0),
            hoff: 24,
        };
        let mut old = old_header.to_bytes().to_vec();
        old.push(0);
        old.extend_from_slice(b"aaaaXbbbb");
        let bits = TupleBits { infomask2: 1, infomask: 0, hoff: 24 };
        let data = UpdateData { prefix: 4, suffix: 4, bits, body: b"\0YY" };
        assert_eq!(data.rebuild(&old).unwrap(), b"\0aaaaYYbbbb");
        assert!(UpdateData { prefix: 10, ..data }.rebuild(&old).is_err());
    }

    #[test]
    fn infobits_round_trip_through_a_header() {
        let infomask = Infomask::XMAX_IS_MULTI | Infomask::XMAX_LOCK_ONLY | Infomask::XMAX_SHR_LOCK;
        let bits = Infobits::of(infomask, infomask2::KEYS_UPDATED);
        assert_eq!(bits.0, 0x1F);
        let mut header = TupleHeader::read(&[&[0u8; 22][..], &[23]].concat()).unwrap();
        header.infomask.0 = Infomask::XMAX_COMMITTED | Infomask::HAS_NULL;
        bits.apply(&mut header);
        assert_eq!(header.infomask.0, infomask | Infomask::HAS_NULL);
        assert!(header.keys_updated());
    }
}
