//! Descriptors of relations and indexes: what the access methods need to know of a catalog entry.
//!
//! Realises: the part of PostgreSQL's `RelationData` (`rel.h`) that storage code reads. The catalog
//! builds a descriptor once per version of an entry and lends it down behind an `Arc`; nothing here looks
//! anything up. A descriptor is immutable: DDL makes a new one.

mod index;
mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kokkiri_primitives::{BlockNumber, Oid, RelFileLocator};
use kokkiri_types::TupleDesc;

pub use index::{Comparator, IndexColumn, IndexDescriptor, IndexKey};
pub use kokkiri_storage::RelationFile;
pub use options::{AutovacuumOptions, CheckOption, IndexCleanup, IndexOptions, RelationOptions, ViewOptions};

/// What sort of relation: `pg_class.relkind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    Table,
    Index,
    Sequence,
    Toast,
    View,
    MaterializedView,
    CompositeType,
    ForeignTable,
    PartitionedTable,
    PartitionedIndex,
}

impl RelationKind {
    /// The letter in `relkind`.
    pub fn code(self) -> u8 {
        match self {
            Self::Table => b'r',
            Self::Index => b'i',
            Self::Sequence => b'S',
            Self::Toast => b't',
            Self::View => b'v',
            Self::MaterializedView => b'm',
            Self::CompositeType => b'c',
            Self::ForeignTable => b'f',
            Self::PartitionedTable => b'p',
            Self::PartitionedIndex => b'I',
        }
    }

    /// True if the relation has files: `RELKIND_HAS_STORAGE`.
    pub fn has_storage(self) -> bool {
        matches!(self, Self::Table | Self::Index | Self::Sequence | Self::Toast | Self::MaterializedView)
    }

    /// True if a sequential scan finds rows: a sequence has one.
    pub fn has_rows(self) -> bool {
        self.has_heap() || self == Self::Sequence
    }

    /// True if rows are kept by a table access method: `RELKIND_HAS_TABLE_AM`.
    pub fn has_heap(self) -> bool {
        matches!(self, Self::Table | Self::Toast | Self::MaterializedView)
    }
}

impl TryFrom<u8> for RelationKind {
    type Error = ();

    fn try_from(code: u8) -> Result<Self, ()> {
        Ok(match code {
            b'r' => Self::Table,
            b'i' => Self::Index,
            b'S' => Self::Sequence,
            b't' => Self::Toast,
            b'v' => Self::View,
            b'm' => Self::MaterializedView,
            b'c' => Self::CompositeType,
            b'f' => Self::ForeignTable,
            b'p' => Self::PartitionedTable,
            b'I' => Self::PartitionedIndex,
            _ => return Err(()),
        })
    }
}

/// How long the contents live: `pg_class.relpersistence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    Permanent,
    Unlogged,
    Temporary,
}

impl Persistence {
    pub fn code(self) -> u8 {
        match self {
            Self::Permanent => b'p',
            Self::Unlogged => b'u',
            Self::Temporary => b't',
        }
    }
}

impl TryFrom<u8> for Persistence {
    type Error = ();

    fn try_from(code: u8) -> Result<Self, ()> {
        Ok(match code {
            b'p' => Self::Permanent,
            b'u' => Self::Unlogged,
            b't' => Self::Temporary,
            _ => return Err(()),
        })
    }
}

/// A relation with heap storage (or a sequence), as its access method sees it.
#[derive(Clone, Debug)]
pub struct Relation {
    pub oid: Oid,
    pub name: String,
    pub namespace: Oid,
    /// Name of the namespace, for the fields of error reports.
    pub namespace_name: String,
    pub kind: RelationKind,
    pub persistence: Persistence,
    /// Where it is stored. Meaningless if the kind has no storage.
    pub file: RelationFile,
    pub tuple_desc: TupleDesc,
    pub options: RelationOptions,
    /// The relation that takes values too wide for a page.
    pub toast: Option<Arc<Relation>>,
    /// Every index, ready or not: each says how far it may be used.
    pub indexes: Vec<Arc<IndexDescriptor>>,
    /// In the system schema: pruning uses the catalog's horizon, and no logical output.
    pub is_catalog: bool,
    pub insert_targets: InsertTargets,
}

impl Relation {
    pub fn locator(&self) -> RelFileLocator {
        self.file.locator
    }

    /// True if changes are logged: `RelationNeedsWAL`. Files made in this transaction are logged as well,
    /// as under any `wal_level` above minimal.
    pub fn needs_wal(&self) -> bool {
        self.persistence == Persistence::Permanent
    }

    pub fn is_shared(&self) -> bool {
        self.file.locator.tablespace == RelFileLocator::GLOBAL_TABLESPACE
    }

    pub fn is_temporary(&self) -> bool {
        self.persistence == Persistence::Temporary
    }

    pub fn is_toast(&self) -> bool {
        self.kind == RelationKind::Toast
    }

    /// The valid index that a TOAST relation's chunks are found through.
    pub fn toast_index(&self) -> Option<&Arc<IndexDescriptor>> {
        self.indexes.iter().find(|index| index.is_valid && index.unique)
    }

    /// Attributes (0-based) that stand in any index: an update that leaves them alone can be HOT.
    pub fn indexed_attributes(&self) -> AttributeSet {
        let mut set = AttributeSet::default();
        for index in &self.indexes {
            set.union_with(&index.attributes_used);
        }
        set
    }

    /// Attributes (0-based) of unique indexes that a foreign key could refer to: an update that leaves
    /// them alone takes the weaker row lock. PostgreSQL's `INDEX_ATTR_BITMAP_KEY`.
    pub fn key_attributes(&self) -> AttributeSet {
        let mut set = AttributeSet::default();
        for index in self.indexes.iter().filter(|index| index.can_be_referenced()) {
            for column in &index.columns[..index.key_count] {
                if let IndexKey::Attribute(number) = column.key {
                    set.insert(usize::from(number));
                }
            }
        }
        set
    }
}

/// Blocks that got the last insertions: hints, one for each of a few groups of backends, so that
/// concurrent writers don't meet on one page. Starts out empty with every new descriptor.
#[derive(Debug, Default)]
pub struct InsertTargets([AtomicU32; InsertTargets::GROUPS]);

impl InsertTargets {
    const GROUPS: usize = 16;

    /// Stored as block number plus one; zero is none.
    pub fn get(&self, backend: usize) -> Option<BlockNumber> {
        self.0[backend % Self::GROUPS].load(Ordering::Relaxed).checked_sub(1).map(BlockNumber)
    }

    pub fn set(&self, backend: usize, block: Option<BlockNumber>) {
        self.0[backend % Self::GROUPS]
            .store(block.map_or(0, |block| block.0.wrapping_add(1)), Ordering::Relaxed);
    }
}

impl Clone for InsertTargets {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A set of 0-based attribute positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeSet(Vec<u64>);

impl AttributeSet {
    pub fn insert(&mut self, attribute: usize) {
        let word = attribute / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (attribute % 64);
    }

    pub fn contains(&self, attribute: usize) -> bool {
        self.0.get(attribute / 64).is_some_and(|word| word & 1 << (attribute % 64) != 0)
    }

    pub fn union_with(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(word, more)| word & more != 0)
    }

    /// The members in rising order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let members = |(index, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word & 1 << bit != 0).map(move |bit| index * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(members)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl FromIterator<usize> for AttributeSet {
    fn from_iter<I: IntoIterator<Item = usize>>(attributes: I) -> Self {
        let mut set = Self::default();
        for attribute in attributes {
            set.insert(attribute);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_sets_are_sets() {
        let mut set: AttributeSet = [1, 70].into_iter().collect();
        assert!(set.contains(70) && !set.contains(6) && !set.contains(1000));
        let other: AttributeSet = [130].into_iter().collect();
        assert!(!set.intersects(&other));
        set.union_with(&other);
        assert!(set.intersects(&other) && !set.is_empty());
    }

    #[test]
    fn kinds_round_trip_through_their_letters() {
        for code in *b"riStvmcfpI" {
            assert_eq!(RelationKind::try_from(code).unwrap().code(), code);
        }
        assert!(RelationKind::try_from(b'x').is_err());
    }
}
