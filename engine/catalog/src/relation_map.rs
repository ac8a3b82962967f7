//! The relation map: file numbers of the catalogs that must be found before any catalog can be read.
//!
//! Realises: relmapper.c. pg_class, its indexes and the other catalogs with a zero `relfilenode` are
//! listed in `pg_filenode.map`: one file in `global` for the shared ones, one in each database's
//! directory for the rest. The file has PostgreSQL's layout:
//!
//! ```text
//! 0    magic 0x00592717
//! 4    number of mappings
//! 8    64 x { oid, file number }
//! 520  CRC-32C of what stands before
//! ```
//!
//! Invariant: a map file is replaced as a whole, by renaming a synced temporary file over it, after its
//! WAL record is flushed.

use kokkiri_primitives::{Error, Oid, RelFileNumber, Result};

const MAGIC: u32 = 0x0059_2717;
const MAPPINGS_MAX: usize = 64;
/// Size of the file, bytes.
pub const FILE_SIZE: usize = 524;
const CRC_OFFSET: usize = 520;

/// Name of the file in `global` and in each database's directory.
pub const FILE_NAME: &str = "pg_filenode.map";

/// Which catalogs' files one map file knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelationMap {
    mappings: Vec<(Oid, RelFileNumber)>,
}

impl RelationMap {
    pub fn get(&self, relation: Oid) -> Option<RelFileNumber> {
        self.mappings.iter().find(|(oid, _)| *oid == relation).map(|(_, number)| *number)
    }

    /// Maps a relation to a file, newly or again.
    ///
    /// # Errors
    /// XX000 when the map is full.
    pub fn set(&mut self, relation: Oid, number: RelFileNumber) -> Result<()> {
        if let Some(mapping) = self.mappings.iter_mut().find(|(oid, _)| *oid == relation) {
            mapping.1 = number;
        } else if self.mappings.len() == MAPPINGS_MAX {
            return Err(Error::internal("ran out of space in relation map"));
        } else {
            self.mappings.push((relation, number));
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (Oid, RelFileNumber)> + '_ {
        self.mappings.iter().copied()
    }

    pub fn to_bytes(&self) -> [u8; FILE_SIZE] {
        let mut bytes = [0; FILE_SIZE];
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.mappings.len() as u32).to_le_bytes());
        for (slot, (oid, number)) in bytes[8..CRC_OFFSET].chunks_exact_mut(8).zip(&self.mappings) {
            slot[..4].copy_from_slice(&oid.0.to_le_bytes());
            slot[4..].copy_from_slice(&number.0.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..CRC_OFFSET]);
        bytes[CRC_OFFSET..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// # Errors
    /// XX001 if the bytes are no relation map: PostgreSQL's messages, which name `path`.
    pub fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        let invalid =
            || Error::data_corrupted(format!("relation mapping file \"{path}\" contains invalid data"));
        let bytes: &[u8; FILE_SIZE] = bytes.try_into().map_err(|_| invalid())?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let count = word(4) as usize;
        if word(0) != MAGIC || count > MAPPINGS_MAX {
            return Err(invalid());
        }
        if word(CRC_OFFSET) != crc32c::crc32c(&bytes[..CRC_OFFSET]) {
            return Err(Error::data_corrupted(format!(
                "relation mapping file \"{path}\" contains incorrect checksum"
            )));
        }
        let mapping = |at: usize| (Oid(word(at)), RelFileNumber(word(at + 4)));
        Ok(Self { mappings: (0..count).map(|index| mapping(8 + index * 8)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_survives_its_file_and_damage_is_noticed() {
        let mut map = RelationMap::default();
        map.set(Oid(1259), RelFileNumber(1259)).expect("room");
        map.set(Oid(1259), RelFileNumber(16400)).expect("room");
        map.set(Oid(2662), RelFileNumber(2662)).expect("room");
        let mut bytes = map.to_bytes();
        assert_eq!(RelationMap::from_bytes("m", &bytes).expect("valid"), map);
        assert_eq!(map.get(Oid(1259)), Some(RelFileNumber(16400)));
        bytes[9] ^= 1;
        let error = RelationMap::from_bytes("m", &bytes).expect_err("damaged");
        assert_eq!(error.message(), "relation mapping file \"m\" contains incorrect checksum");
        assert!(RelationMap::from_bytes("m", &bytes[..100]).is_err());
    }
}
