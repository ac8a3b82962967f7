//! Where in the statement's text a node stands: PostgreSQL's `ParseLoc`.
//!
//! Two trees that differ only in locations are the same expression (PostgreSQL's `equal()` skips them), so
//! locations compare equal and hash to nothing. That lets the trees derive `PartialEq` and still answer
//! "is this GROUP BY item the same expression".

use std::fmt;
use std::hash::{Hash, Hasher};

/// Byte offset into the query string, or unknown (a node that no text stands for, or one read from a catalog).
#[derive(Clone, Copy)]
pub struct Location(u32);

impl Location {
    pub const UNKNOWN: Self = Self(u32::MAX);

    pub fn new(offset: usize) -> Self {
        Self(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    pub fn offset(self) -> Option<usize> {
        (self.0 != u32::MAX).then_some(self.0 as usize)
    }

    /// The leftmost of the two that is known: PostgreSQL's `leftmostLoc`.
    pub fn leftmost(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl Default for Location {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl PartialEq for Location {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Location {}

impl Hash for Location {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset() {
            Some(offset) => write!(f, "@{offset}"),
            None => f.write_str("@?"),
        }
    }
}

/// Trees read back from a catalog have no text to point into, so a location is stored as nothing.
impl serde::Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self::UNKNOWN)
    }
}

/// Sets an error's position from a node's location, if that is known.
pub trait AtLocation {
    fn at_location(self, location: Location) -> Self;
}

impl AtLocation for kokkiri_primitives::Error {
    fn at_location(self, location: Location) -> Self {
        match location.offset() {
            Some(offset) => self.at(offset),
            None => self,
        }
    }
}
