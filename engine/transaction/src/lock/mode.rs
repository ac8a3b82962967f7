//! The eight lock modes and their conflict table.
//!
//! Realises: `LOCKMODE`, `LOCKMASK`, `LockConflicts` of the default lock method.

use std::fmt;

/// A mode of a heavyweight lock, weakest first. The number is PostgreSQL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LockMode {
    /// SELECT.
    AccessShare = 1,
    /// SELECT FOR UPDATE and its kin.
    RowShare = 2,
    /// INSERT, UPDATE, DELETE.
    RowExclusive = 3,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY.
    ShareUpdateExclusive = 4,
    /// CREATE INDEX.
    Share = 5,
    /// CREATE TRIGGER and some ALTER TABLE.
    ShareRowExclusive = 6,
    /// Blocks SELECT FOR UPDATE and stronger.
    Exclusive = 7,
    /// DROP TABLE, most ALTER TABLE, VACUUM FULL, unqualified LOCK TABLE.
    AccessExclusive = 8,
}

use LockMode::*;

/// How many modes there are.
pub const LOCK_MODE_COUNT: usize = 8;

impl LockMode {
    pub const ALL: [LockMode; LOCK_MODE_COUNT] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    /// pg_locks' name of the mode.
    pub fn name(self) -> &'static str {
        match self {
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Share => "ShareLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// Place in an array of [`LOCK_MODE_COUNT`].
    pub fn index(self) -> usize {
        self as usize - 1
    }

    pub fn bit(self) -> LockMask {
        LockMask(1 << self as u8)
    }

    /// The modes that this one can't be held beside.
    pub const fn conflicts(self) -> LockMask {
        const fn mask(modes: &[LockMode]) -> LockMask {
            let mut bits = 0;
            let mut i = 0;
            while i < modes.len() {
                bits |= 1 << modes[i] as u8;
                i += 1;
            }
            LockMask(bits)
        }
        match self {
            AccessShare => mask(&[AccessExclusive]),
            RowShare => mask(&[Exclusive, AccessExclusive]),
            RowExclusive => mask(&[Share, ShareRowExclusive, Exclusive, AccessExclusive]),
            ShareUpdateExclusive => {
                mask(&[ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive])
            }
            Share => {
                mask(&[RowExclusive, ShareUpdateExclusive, ShareRowExclusive, Exclusive, AccessExclusive])
            }
            ShareRowExclusive => mask(&[
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ]),
            Exclusive => mask(&[
                RowShare,
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ]),
            AccessExclusive => mask(&Self::ALL),
        }
    }

    pub fn conflicts_with(self, other: LockMode) -> bool {
        self.conflicts().contains(other)
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of modes; bit n stands for the mode with number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockMask(pub u16);

impl LockMask {
    pub const EMPTY: Self = Self(0);

    pub fn contains(self, mode: LockMode) -> bool {
        self.0 & mode.bit().0 != 0
    }

    pub fn intersects(self, other: LockMask) -> bool {
        self.0 & other.0 != 0
    }

    pub fn insert(&mut self, mode: LockMode) {
        self.0 |= mode.bit().0;
    }

    pub fn remove(&mut self, mode: LockMode) {
        self.0 &= !mode.bit().0;
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The modes in the set, weakest first.
    pub fn modes(self) -> impl Iterator<Item = LockMode> {
        LockMode::ALL.into_iter().filter(move |mode| self.contains(*mode))
    }
}

impl std::ops::BitOr for LockMask {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for LockMask {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_symmetric_and_as_documented() {
        for a in LockMode::ALL {
            for b in LockMode::ALL {
                assert_eq!(a.conflicts_with(b), b.conflicts_with(a), "{a} and {b}");
            }
        }
        assert_eq!(LockMode::AccessShare.conflicts().0, 0x100);
        assert_eq!(LockMode::RowShare.conflicts().0, 0x180);
        assert_eq!(LockMode::RowExclusive.conflicts().0, 0x1e0);
        assert_eq!(LockMode::ShareUpdateExclusive.conflicts().0, 0x1f0);
        assert_eq!(LockMode::Share.conflicts().0, 0x1d8);
        assert_eq!(LockMode::ShareRowExclusive.conflicts().0, 0x1f8);
        assert_eq!(LockMode::Exclusive.conflicts().0, 0x1fc);
        assert_eq!(LockMode::AccessExclusive.conflicts().0, 0x1fe);
    }
}
