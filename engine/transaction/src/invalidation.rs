//! Invalidation messages: what a commit tells everybody's catalog caches.
//!
//! Realises: `SharedInvalidationMessage` (sinval.h), 16 bytes each in commit records. This layer carries
//! them; what they mean is the catalog's.
//!
//! ```text
//!  0         1        4          8          12
//!  +---------+--------+----------+----------+----------+
//!  | kind i8 | zero   | database | object   | hash     |   catcache: kind = cache number
//!  +---------+--------+----------+----------+----------+
//!  | -3      | proc   | tablespc | database | file     |   smgr: backend in bytes 1..4
//!  +---------+--------+----------+----------+----------+
//! ```

use kokkiri_primitives::{Oid, ProcNumber, RelFileLocator, RelFileNumber};

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidation {
    /// A row of a catalog that is looked up by key: cache number and hash of the key.
    CatalogCache { cache: i8, database: Oid, hash: u32 },
    /// A whole catalog.
    Catalog { database: Oid, catalog: Oid },
    /// A relation's descriptor; all of them for a zero relation.
    Relation { database: Oid, relation: Oid },
    /// A relation's files.
    Storage { backend: Option<ProcNumber>, locator: RelFileLocator },
    /// A database's relation map; the shared one for a zero database.
    RelationMap { database: Oid },
    /// A catalog without cache, read through a catalog snapshot.
    Snapshot { database: Oid, relation: Oid },
    /// A published relation's column and row filters.
    RelationSync { database: Oid, relation: Oid },
}

impl Invalidation {
    /// On-disk size, bytes.
    pub const SIZE: usize = 16;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let kind: i8 = match *self {
            Self::CatalogCache { cache, database, hash } => {
                put(4, database.0);
                put(8, hash);
                cache
            }
            Self::Catalog { database, catalog } => {
                put(4, database.0);
                put(8, catalog.0);
                -1
            }
            Self::Relation { database, relation } => {
                put(4, database.0);
                put(8, relation.0);
                -2
            }
            Self::Storage { backend, locator } => {
                let number = backend.map_or(-1, |proc| proc.0 as i32);
                put(0, (((number >> 16) as u8 as u32) << 8) | ((number as u16 as u32) << 16));
                put(4, locator.tablespace.0);
                put(8, locator.database.0);
                put(12, locator.number.0);
                -3
            }
            Self::RelationMap { database } => {
                put(4, database.0);
                -4
            }
            Self::Snapshot { database, relation } => {
                put(4, database.0);
                put(8, relation.0);
                -5
            }
            Self::RelationSync { database, relation } => {
                put(4, database.0);
                put(8, relation.0);
                -6
            }
        };
        bytes[0] = kind as u8;
        bytes
    }

    /// `None` for a kind that PostgreSQL 18 does not know.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (database, second) = (Oid(word(4)), Oid(word(8)));
        Some(match bytes[0] as i8 {
            cache @ 0.. => Self::CatalogCache { cache, database, hash: second.0 },
            -1 => Self::Catalog { database, catalog: second },
            -2 => Self::Relation { database, relation: second },
            -3 => {
                let number =
                    i32::from(bytes[1] as i8) << 16 | i32::from(u16::from_le_bytes([bytes[2], bytes[3]]));
                let locator = RelFileLocator {
                    tablespace: database,
                    database: second,
                    number: RelFileNumber(word(12)),
                };
                Self::Storage { backend: u32::try_from(number).ok().map(ProcNumber), locator }
            }
            -4 => Self::RelationMap { database },
            -5 => Self::Snapshot { database, relation: second },
            -6 => Self::RelationSync { database, relation: second },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_their_bytes() {
        let locator =
            RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16384) };
        let all = [
            Invalidation::CatalogCache { cache: 54, database: Oid(5), hash: 0xDEAD_BEEF },
            Invalidation::Catalog { database: Oid(5), catalog: Oid(1259) },
            Invalidation::Relation { database: Oid(5), relation: Oid(16384) },
            Invalidation::Storage { backend: None, locator },
            Invalidation::Storage { backend: Some(ProcNumber(0x1_2345)), locator },
            Invalidation::RelationMap { database: Oid(0) },
            Invalidation::Snapshot { database: Oid(5), relation: Oid(2608) },
            Invalidation::RelationSync { database: Oid(5), relation: Oid(16384) },
        ];
        for message in all {
            assert_eq!(Invalidation::decode(&message.encode()), Some(message));
        }
        assert_eq!(Invalidation::Storage { backend: None, locator }.encode()[..4], [0xFD, 0xFF, 0xFF, 0xFF]);
    }
}
