//! Line pointers: where an item is, how long, and in what state.

use std::fmt;

use kokkiri_primitives::OffsetNumber;

/// State of a line pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemFlags {
    /// Free to be used again; has no storage.
    Unused = 0,
    /// Points to an item.
    Normal = 1,
    /// Points to another line pointer of the page: the root of a HOT chain whose first members are gone.
    Redirect = 2,
    /// Its item is dead; it may or may not have storage.
    Dead = 3,
}

/// One line pointer: PostgreSQL's `ItemIdData`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ItemId(pub u32);

impl ItemId {
    /// On-disk size, bytes.
    pub const SIZE: usize = 4;
    pub const UNUSED: Self = Self(0);
    /// Dead and without storage.
    pub const DEAD: Self = Self(pack(0, ItemFlags::Dead, 0));

    pub const fn normal(offset: usize, len: usize) -> Self {
        Self(pack(offset, ItemFlags::Normal, len))
    }

    pub const fn redirect(to: OffsetNumber) -> Self {
        Self(pack(to.0 as usize, ItemFlags::Redirect, 0))
    }

    /// Where the item starts in the page; for a redirect, the number of the line pointer it leads to.
    #[inline]
    pub fn offset(self) -> usize {
        (self.0 & 0x7FFF) as usize
    }

    #[inline]
    pub fn flags(self) -> ItemFlags {
        match (self.0 >> 15) & 3 {
            0 => ItemFlags::Unused,
            1 => ItemFlags::Normal,
            2 => ItemFlags::Redirect,
            _ => ItemFlags::Dead,
        }
    }

    #[inline]
    pub fn len(self) -> usize {
        (self.0 >> 17) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn is_used(self) -> bool {
        self.flags() != ItemFlags::Unused
    }

    #[inline]
    pub fn is_normal(self) -> bool {
        self.flags() == ItemFlags::Normal
    }

    pub fn is_dead(self) -> bool {
        self.flags() == ItemFlags::Dead
    }

    /// The line pointer this one leads to, if it is a redirect.
    pub fn redirect_target(self) -> Option<OffsetNumber> {
        (self.flags() == ItemFlags::Redirect).then(|| OffsetNumber(self.offset() as u16))
    }

    /// It occupies bytes of the item area.
    pub fn has_storage(self) -> bool {
        !self.is_empty()
    }

    /// The same place and length in another state: `ItemIdMarkDead`.
    #[must_use]
    pub fn with_flags(self, flags: ItemFlags) -> Self {
        Self(pack(self.offset(), flags, self.len()))
    }

    #[must_use]
    pub(super) fn moved_to(self, offset: usize) -> Self {
        Self(pack(offset, self.flags(), self.len()))
    }
}

const fn pack(offset: usize, flags: ItemFlags, len: usize) -> u32 {
    (offset as u32 & 0x7FFF) | (flags as u32) << 15 | (len as u32 & 0x7FFF) << 17
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}, {})", self.flags(), self.offset(), self.len())
    }
}

/// Where [`super::Page::add_item`] puts the line pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemPlace {
    /// The first unused line pointer, else a new one at the end.
    Any,
    /// At this number; those from there on move up by one.
    Insert(OffsetNumber),
    /// At this number, which must be unused or one past the end.
    Overwrite(OffsetNumber),
}
