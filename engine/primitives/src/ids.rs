//! PostgreSQL's identifiers as newtypes.
//!
//! Each carries its own arithmetic and prints as PostgreSQL prints it. Sentinel values (zero, all ones)
//! exist for the codecs of disk and wire; in memory "none" is `Option`. [`TransactionId`] has no `Ord`,
//! because xid order wraps: use [`TransactionId::precedes`].

use std::fmt;
use std::str::FromStr;

/// Size of a relation page, bytes: PostgreSQL's `BLCKSZ`.
pub const BLOCK_SIZE: usize = 8192;

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty) $(, $extra:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash $(, $extra)*)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

newtype!(
    /// Object identifier of a catalog row.
    Oid(u32), PartialOrd, Ord
);
newtype!(
    /// Number of a page within a fork of a relation.
    BlockNumber(u32), PartialOrd, Ord
);
newtype!(
    /// 1-based number of a line pointer within a page.
    OffsetNumber(u16), PartialOrd, Ord
);
newtype!(
    /// 32-bit transaction id. Comparison wraps.
    TransactionId(u32)
);
newtype!(
    /// Id of a set of lockers of one tuple. Comparison wraps.
    MultiXactId(u32)
);
newtype!(
    /// Number of a command within its transaction.
    CommandId(u32), PartialOrd, Ord
);
newtype!(
    /// Number of the file that stores a relation: PostgreSQL's `RelFileNumber`.
    RelFileNumber(u32), PartialOrd, Ord
);
newtype!(
    /// Index of a backend in the process array: PostgreSQL's `ProcNumber`.
    ProcNumber(u32), PartialOrd, Ord
);
newtype!(
    /// Number of a timeline of WAL.
    TimelineId(u32), PartialOrd, Ord
);

impl Oid {
    pub const INVALID: Self = Self(0);
    /// First oid given to objects that users create: PostgreSQL's `FirstNormalObjectId`.
    pub const FIRST_NORMAL: Self = Self(16384);
    /// First oid `init` gives to objects without an assigned one: `FirstUnpinnedObjectId`.
    pub const FIRST_UNPINNED: Self = Self(12000);

    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }

    /// `None` for the on-disk zero.
    pub fn valid(self) -> Option<Self> {
        self.is_valid().then_some(self)
    }
}

impl serde::Serialize for Oid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Oid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self)
    }
}

impl BlockNumber {
    /// On-disk "no block".
    pub const INVALID: Self = Self(u32::MAX);
    /// Largest block number of a fork.
    pub const MAX: Self = Self(u32::MAX - 1);

    /// Where the block starts in its fork, bytes.
    pub fn byte_offset(self) -> u64 {
        u64::from(self.0) * BLOCK_SIZE as u64
    }

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl OffsetNumber {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// 0-based place in the line pointer array.
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

impl TransactionId {
    pub const INVALID: Self = Self(0);
    pub const BOOTSTRAP: Self = Self(1);
    /// xmin of a tuple frozen by old servers; always visible.
    pub const FROZEN: Self = Self(2);
    /// First ordinary transaction id.
    pub const FIRST_NORMAL: Self = Self(3);

    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }

    pub fn is_normal(self) -> bool {
        self.0 >= Self::FIRST_NORMAL.0
    }

    pub fn valid(self) -> Option<Self> {
        self.is_valid().then_some(self)
    }

    /// True if this is logically before `other`; permanent ids precede all normal ones.
    pub fn precedes(self, other: Self) -> bool {
        if !self.is_normal() || !other.is_normal() {
            return self.0 < other.0;
        }
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    pub fn precedes_or_equals(self, other: Self) -> bool {
        self == other || self.precedes(other)
    }

    pub fn follows(self, other: Self) -> bool {
        other.precedes(self)
    }

    pub fn follows_or_equals(self, other: Self) -> bool {
        other.precedes_or_equals(self)
    }

    /// The next normal id, wrapping past the permanent ones.
    pub fn next(self) -> Self {
        let next = Self(self.0.wrapping_add(1));
        if next.is_normal() { next } else { Self::FIRST_NORMAL }
    }

    /// The previous normal id, wrapping past the permanent ones.
    pub fn previous(self) -> Self {
        let previous = Self(self.0.wrapping_sub(1));
        if previous.is_normal() { previous } else { Self(u32::MAX) }
    }

    /// The earlier of the two.
    pub fn older(self, other: Self) -> Self {
        if other.precedes(self) { other } else { self }
    }

    /// The later of the two.
    pub fn newer(self, other: Self) -> Self {
        if self.precedes(other) { other } else { self }
    }
}

impl MultiXactId {
    pub const INVALID: Self = Self(0);
    pub const FIRST: Self = Self(1);

    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }

    pub fn precedes(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    pub fn next(self) -> Self {
        let next = Self(self.0.wrapping_add(1));
        if next.is_valid() { next } else { Self::FIRST }
    }
}

impl CommandId {
    pub const FIRST: Self = Self(0);
    /// On-disk "no command".
    pub const INVALID: Self = Self(u32::MAX);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Transaction id with its epoch: never wraps. PostgreSQL's `FullTransactionId`, SQL's `xid8`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FullTransactionId(pub u64);

impl FullTransactionId {
    pub fn new(epoch: u32, xid: TransactionId) -> Self {
        Self(u64::from(epoch) << 32 | u64::from(xid.0))
    }

    pub fn xid(self) -> TransactionId {
        TransactionId(self.0 as u32)
    }

    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The next id whose 32-bit part is normal.
    pub fn next(self) -> Self {
        let mut next = Self(self.0 + 1);
        while !next.xid().is_normal() {
            next.0 += 1;
        }
        next
    }
}

impl fmt::Display for FullTransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Byte position in the WAL: PostgreSQL's `XLogRecPtr`, SQL's `pg_lsn`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// On-disk "no position".
    pub const INVALID: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }

    pub fn valid(self) -> Option<Self> {
        self.is_valid().then_some(self)
    }

    /// Bytes from `earlier` to here; negative if it is later.
    pub fn distance_from(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }
}

impl std::ops::Add<u64> for Lsn {
    type Output = Self;
    fn add(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Lsn {
    type Err = ();

    /// Accepts what `pg_lsn` accepts: one to eight hexadecimal digits on each side of a slash.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let half = |digits: &str| {
            let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain { u64::from_str_radix(digits, 16).map_err(|_| ()) } else { Err(()) }
        };
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

/// Where a tuple is: block and line pointer. PostgreSQL's `ItemPointerData`, SQL's `tid`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemPointer {
    pub block: BlockNumber,
    pub offset: OffsetNumber,
}

impl ItemPointer {
    /// On-disk size, bytes.
    pub const SIZE: usize = 6;

    pub fn new(block: BlockNumber, offset: OffsetNumber) -> Self {
        Self { block, offset }
    }

    /// PostgreSQL's on-disk form: high half of the block, low half, offset, each little-endian u16.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let high = ((self.block.0 >> 16) as u16).to_le_bytes();
        let low = (self.block.0 as u16).to_le_bytes();
        let offset = self.offset.0.to_le_bytes();
        [high[0], high[1], low[0], low[1], offset[0], offset[1]]
    }

    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let half = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        Self {
            block: BlockNumber(u32::from(half(0)) << 16 | u32::from(half(2))),
            offset: OffsetNumber(half(4)),
        }
    }

    /// Packed into 48 bits, in tid order: how a tid travels in a column of 8-byte integers.
    pub fn to_u64(self) -> u64 {
        u64::from(self.block.0) << 16 | u64::from(self.offset.0)
    }

    pub fn from_u64(packed: u64) -> Self {
        Self { block: BlockNumber((packed >> 16) as u32), offset: OffsetNumber(packed as u16) }
    }
}

impl fmt::Display for ItemPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, self.offset)
    }
}

impl fmt::Debug for ItemPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which of a relation's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fork {
    Main = 0,
    FreeSpaceMap = 1,
    VisibilityMap = 2,
    /// Initial contents of an unlogged relation.
    Init = 3,
}

impl Fork {
    pub const ALL: [Fork; 4] = [Fork::Main, Fork::FreeSpaceMap, Fork::VisibilityMap, Fork::Init];

    /// Name as `pg_relation_size` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Fork::Main => "main",
            Fork::FreeSpaceMap => "fsm",
            Fork::VisibilityMap => "vm",
            Fork::Init => "init",
        }
    }
}

impl TryFrom<u8> for Fork {
    type Error = ();

    fn try_from(number: u8) -> Result<Self, ()> {
        Fork::ALL.get(usize::from(number)).copied().ok_or(())
    }
}

/// Physical identity of a relation: tablespace, database (zero for shared), file number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelFileLocator {
    pub tablespace: Oid,
    pub database: Oid,
    pub number: RelFileNumber,
}

impl RelFileLocator {
    /// Oid of the tablespace `pg_default` (directory `base`).
    pub const DEFAULT_TABLESPACE: Oid = Oid(1663);
    /// Oid of the tablespace `pg_global` (directory `global`).
    pub const GLOBAL_TABLESPACE: Oid = Oid(1664);
}

impl fmt::Display for RelFileLocator {
    /// As pg_waldump prints it: `1663/5/16384`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tablespace, self.database, self.number)
    }
}

impl fmt::Debug for RelFileLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xid_comparison_wraps() {
        let near_end = TransactionId(u32::MAX - 5);
        let wrapped = TransactionId(10);
        assert!(near_end.precedes(wrapped));
        assert!(!wrapped.precedes(near_end));
        assert!(TransactionId::FROZEN.precedes(near_end));
        assert_eq!(TransactionId(u32::MAX).next(), TransactionId::FIRST_NORMAL);
    }

    #[test]
    fn ids_print_as_postgresql_prints_them() {
        assert_eq!(Lsn(0x016B_3748).to_string(), "0/16B3748");
        assert_eq!("0/16B3748".parse(), Ok(Lsn(0x016B_3748)));
        assert_eq!("123456789/0".parse::<Lsn>(), Err(()));
        let tid = ItemPointer::new(BlockNumber(0x1_0002), OffsetNumber(7));
        assert_eq!(tid.to_string(), "(65538,7)");
        assert_eq!(tid.to_bytes(), [1, 0, 2, 0, 7, 0]);
        assert_eq!(ItemPointer::from_bytes(tid.to_bytes()), tid);
        assert_eq!(ItemPointer::from_u64(tid.to_u64()), tid);
    }
}
