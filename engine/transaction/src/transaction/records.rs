//! Records of the Transaction resource manager: commit, abort, assignment.
//!
//! Realises: `xl_xact_commit`, `xl_xact_abort`, `xl_xact_assignment` and their parsing (xact.h,
//! xactdesc.c). A commit record is its time, followed by the parts that its flags announce:
//!
//! ```text
//!  time i64 | flags u32 | database, tablespace | n, subtransactions | n, locators | n, dropped statistics
//!           | n, invalidations | prepared xid | name, zero | origin lsn, time
//! ```

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Lsn, Oid, RelFileLocator, Result, TransactionId};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::xlog::malformed;

use crate::bytes::{Reader, put_locator};
use crate::invalidation::Invalidation;

pub const XACT_COMMIT: u8 = 0x00;
pub const XACT_PREPARE: u8 = 0x10;
pub const XACT_ABORT: u8 = 0x20;
pub const XACT_COMMIT_PREPARED: u8 = 0x30;
pub const XACT_ABORT_PREPARED: u8 = 0x40;
pub const XACT_ASSIGNMENT: u8 = 0x50;
pub const XACT_INVALIDATIONS: u8 = 0x60;
/// Mask of the operations above in a record's `info`.
pub const XACT_OPERATION_MASK: u8 = 0x70;
/// The record has flags.
pub const XACT_HAS_INFO: u8 = 0x80;

const HAS_DBINFO: u32 = 1 << 0;
const HAS_SUBXACTS: u32 = 1 << 1;
const HAS_RELFILELOCATORS: u32 = 1 << 2;
const HAS_INVALS: u32 = 1 << 3;
const HAS_TWOPHASE: u32 = 1 << 4;
const HAS_ORIGIN: u32 = 1 << 5;
const HAS_AE_LOCKS: u32 = 1 << 6;
const HAS_GID: u32 = 1 << 7;
const HAS_DROPPED_STATS: u32 = 1 << 8;
const APPLY_FEEDBACK: u32 = 1 << 29;
const UPDATE_RELCACHE_FILE: u32 = 1 << 30;
const FORCE_SYNC_COMMIT: u32 = 1 << 31;

const LOCATOR_SIZE: usize = 12;
const STATS_SIZE: usize = 16;

/// Statistics that go with a dropped object: `xl_xact_stats_item`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedStatistics {
    pub kind: i32,
    pub database: Oid,
    pub object: u64,
}

/// Where a replicated transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub id: u16,
    pub lsn: Lsn,
    pub time: TimestampTz,
}

/// The body of a commit or abort record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionRecord {
    pub time: TimestampTz,
    /// Database and its tablespace; present beside invalidations.
    pub database: Option<(Oid, Oid)>,
    pub sub_xids: Vec<TransactionId>,
    /// Relations whose files go with this end of the transaction.
    pub dropped_files: Vec<RelFileLocator>,
    pub dropped_statistics: Vec<DroppedStatistics>,
    /// Of commits only.
    pub invalidations: Vec<Invalidation>,
    /// The xid of a prepared transaction that another session ends, and its name.
    pub prepared: Option<TransactionId>,
    pub prepared_name: Option<Vec<u8>>,
    pub origin: Option<(Lsn, TimestampTz)>,
    pub access_exclusive_locks: bool,
    pub apply_feedback: bool,
    pub relation_cache_file: bool,
    pub force_sync: bool,
}

impl TransactionRecord {
    fn flags(&self) -> u32 {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        flag(self.database.is_some(), HAS_DBINFO)
            | flag(!self.sub_xids.is_empty(), HAS_SUBXACTS)
            | flag(!self.dropped_files.is_empty(), HAS_RELFILELOCATORS)
            | flag(!self.dropped_statistics.is_empty(), HAS_DROPPED_STATS)
            | flag(!self.invalidations.is_empty(), HAS_INVALS)
            | flag(self.prepared.is_some(), HAS_TWOPHASE)
            | flag(self.prepared_name.is_some(), HAS_GID)
            | flag(self.origin.is_some(), HAS_ORIGIN)
            | flag(self.access_exclusive_locks, HAS_AE_LOCKS)
            | flag(self.apply_feedback, APPLY_FEEDBACK)
            | flag(self.relation_cache_file, UPDATE_RELCACHE_FILE)
            | flag(self.force_sync, FORCE_SYNC_COMMIT)
    }

    /// Appends the body to `out`; returns the bit that belongs into the record's `info`.
    pub fn encode(&self, out: &mut Vec<u8>) -> u8 {
        out.extend_from_slice(&self.time.0.to_le_bytes());
        let flags = self.flags();
        if flags == 0 {
            return 0;
        }
        let word = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
        word(out, flags);
        if let Some((database, tablespace)) = self.database {
            word(out, database.0);
            word(out, tablespace.0);
        }
        if !self.sub_xids.is_empty() {
            word(out, self.sub_xids.len() as u32);
            self.sub_xids.iter().for_each(|xid| word(out, xid.0));
        }
        if !self.dropped_files.is_empty() {
            word(out, self.dropped_files.len() as u32);
            self.dropped_files.iter().for_each(|locator| put_locator(out, *locator));
        }
        if !self.dropped_statistics.is_empty() {
            word(out, self.dropped_statistics.len() as u32);
            for item in &self.dropped_statistics {
                word(out, item.kind as u32);
                word(out, item.database.0);
                out.extend_from_slice(&item.object.to_le_bytes());
            }
        }
        if !self.invalidations.is_empty() {
            word(out, self.invalidations.len() as u32);
            self.invalidations.iter().for_each(|message| out.extend_from_slice(&message.encode()));
        }
        if let Some(xid) = self.prepared {
            word(out, xid.0);
        }
        if let Some(name) = &self.prepared_name {
            out.extend_from_slice(name);
            out.push(0);
        }
        if let Some((lsn, time)) = self.origin {
            out.extend_from_slice(&lsn.0.to_le_bytes());
            out.extend_from_slice(&time.0.to_le_bytes());
        }
        XACT_HAS_INFO
    }

    /// Decodes the body of a commit or abort record.
    ///
    /// # Errors
    /// XX001 if it is too short for what it announces.
    pub fn decode(record: &DecodedRecord) -> Result<Self> {
        const KIND: &str = "transaction";
        let mut data = Reader::new(record.main_data(), KIND, record.lsn);
        let mut body = Self { time: TimestampTz(data.i64()?), ..Self::default() };
        if record.operation() & XACT_HAS_INFO == 0 {
            return Ok(body);
        }
        let flags = data.u32()?;
        let has = |bit: u32| flags & bit != 0;
        body.access_exclusive_locks = has(HAS_AE_LOCKS);
        body.apply_feedback = has(APPLY_FEEDBACK);
        body.relation_cache_file = has(UPDATE_RELCACHE_FILE);
        body.force_sync = has(FORCE_SYNC_COMMIT);
        if has(HAS_DBINFO) {
            body.database = Some((Oid(data.u32()?), Oid(data.u32()?)));
        }
        if has(HAS_SUBXACTS) {
            let count = data.count(4)?;
            body.sub_xids = data.xids(count)?;
        }
        if has(HAS_RELFILELOCATORS) {
            let count = data.count(LOCATOR_SIZE)?;
            body.dropped_files = (0..count).map(|_| data.locator()).collect::<Result<_>>()?;
        }
        if has(HAS_DROPPED_STATS) {
            for _ in 0..data.count(STATS_SIZE)? {
                let (kind, database) = (data.u32()? as i32, Oid(data.u32()?));
                body.dropped_statistics.push(DroppedStatistics { kind, database, object: data.u64()? });
            }
        }
        if has(HAS_INVALS) {
            for _ in 0..data.count(Invalidation::SIZE)? {
                let message = Invalidation::decode(&data.array()?);
                body.invalidations.push(message.ok_or_else(|| malformed(KIND, record.lsn))?);
            }
        }
        if has(HAS_TWOPHASE) {
            body.prepared = Some(data.xid()?);
        }
        if has(HAS_GID) {
            let mut name = Vec::new();
            loop {
                match data.u8()? {
                    0 => break,
                    byte => name.push(byte),
                }
            }
            body.prepared_name = Some(name);
        }
        if has(HAS_ORIGIN) {
            body.origin = Some((Lsn(data.u64()?), TimestampTz(data.i64()?)));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use kokkiri_primitives::RelFileNumber;

    use super::*;

    #[test]
    fn a_plain_commit_is_its_time_alone() {
        let mut out = Vec::new();
        let record = TransactionRecord { time: TimestampTz(0x0102_0304), ..Default::default() };
        assert_eq!(record.encode(&mut out), 0);
        assert_eq!(out, [4, 3, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn parts_follow_in_postgresqls_order() {
        let locator =
            RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16384) };
        let record = TransactionRecord {
            time: TimestampTz(1),
            database: Some((Oid(5), Oid(1663))),
            sub_xids: vec![TransactionId(701), TransactionId(702)],
            dropped_files: vec![locator],
            dropped_statistics: vec![DroppedStatistics { kind: 2, database: Oid(5), object: 16384 }],
            invalidations: vec![Invalidation::Relation { database: Oid(5), relation: Oid(16384) }],
            relation_cache_file: true,
            ..Default::default()
        };
        let mut out = Vec::new();
        assert_eq!(record.encode(&mut out), XACT_HAS_INFO);
        let words: Vec<u32> =
            out.chunks(4).map(|w| u32::from_le_bytes(w.try_into().expect("whole words"))).collect();
        let expected = [
            1,
            0,
            0x4000_010F, // time, flags
            5,
            1663, // database
            2,
            701,
            702, // subtransactions
            1,
            1663,
            5,
            16384, // files
            1,
            2,
            5,
            16384,
            0, // statistics
            1,
            0xFE,
            5,
            16384,
            0, // invalidations
        ];
        assert_eq!(words, expected);
    }
}
