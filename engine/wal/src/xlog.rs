//! Records of the WAL itself: checkpoints, counters, page images, markers.
//!
//! Realises: the `XLOG` resource manager's records (`pg_control.h`, `xlog_internal.h`). Their redo is in
//! the recovery crate, except for what only restores images.

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::{FullTransactionId, Lsn, MultiXactId, Oid, TimelineId, TransactionId};

use crate::record::{RecordBuilder, RegisterFlags};
use crate::rmgr::RmgrId;

pub const CHECKPOINT_SHUTDOWN: u8 = 0x00;
pub const CHECKPOINT_ONLINE: u8 = 0x10;
pub const NOOP: u8 = 0x20;
pub const NEXTOID: u8 = 0x30;
pub const SWITCH: u8 = 0x40;
pub const BACKUP_END: u8 = 0x50;
pub const PARAMETER_CHANGE: u8 = 0x60;
pub const RESTORE_POINT: u8 = 0x70;
pub const FPW_CHANGE: u8 = 0x80;
pub const END_OF_RECOVERY: u8 = 0x90;
pub const FPI_FOR_HINT: u8 = 0xA0;
pub const FPI: u8 = 0xB0;
pub const OVERWRITE_CONTRECORD: u8 = 0xD0;
pub const CHECKPOINT_REDO: u8 = 0xE0;

/// Name of a kind of XLOG record as pg_waldump prints it.
pub fn operation_name(operation: u8) -> Option<&'static str> {
    Some(match operation {
        CHECKPOINT_SHUTDOWN => "CHECKPOINT_SHUTDOWN",
        CHECKPOINT_ONLINE => "CHECKPOINT_ONLINE",
        NOOP => "NOOP",
        NEXTOID => "NEXTOID",
        SWITCH => "SWITCH",
        BACKUP_END => "BACKUP_END",
        PARAMETER_CHANGE => "PARAMETER_CHANGE",
        RESTORE_POINT => "RESTORE_POINT",
        FPW_CHANGE => "FPW_CHANGE",
        END_OF_RECOVERY => "END_OF_RECOVERY",
        FPI_FOR_HINT => "FPI_FOR_HINT",
        FPI => "FPI",
        OVERWRITE_CONTRECORD => "OVERWRITE_CONTRECORD",
        CHECKPOINT_REDO => "CHECKPOINT_REDO",
        _ => return None,
    })
}

/// Setting `wal_level`, with the numbers that are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum WalLevel {
    Minimal = 0,
    #[default]
    Replica = 1,
    Logical = 2,
}

impl WalLevel {
    pub fn name(self) -> &'static str {
        match self {
            WalLevel::Minimal => "minimal",
            WalLevel::Replica => "replica",
            WalLevel::Logical => "logical",
        }
    }
}

impl TryFrom<u32> for WalLevel {
    type Error = ();

    fn try_from(level: u32) -> Result<Self, ()> {
        match level {
            0 => Ok(WalLevel::Minimal),
            1 => Ok(WalLevel::Replica),
            2 => Ok(WalLevel::Logical),
            _ => Err(()),
        }
    }
}

/// Reads fixed-place little-endian fields of a record or file; what lies past the end is zero, so the
/// length is checked once, by whoever has the bytes.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }

    pub fn u8(&self, at: usize) -> u8 {
        self.bytes::<1>(at)[0]
    }

    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

/// The error for a record whose data is too short for its kind. Its CRC was right, so it was written so.
pub fn malformed(kind: &str, lsn: Lsn) -> Error {
    Error::data_corrupted(format!("malformed {kind} record at {lsn}"))
}

/// Body of checkpoint records, and the copy of the latest one in the control file: `CheckPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckPoint {
    /// Where redo starts.
    pub redo: Lsn,
    pub timeline: TimelineId,
    /// The timeline before, if the record begins a new one; otherwise the same.
    pub previous_timeline: TimelineId,
    pub full_page_writes: bool,
    pub wal_level: WalLevel,
    pub next_xid: FullTransactionId,
    pub next_oid: Oid,
    pub next_multixact: MultiXactId,
    pub next_multixact_offset: u32,
    /// Minimum of `datfrozenxid` of all databases, and which database has it.
    pub oldest_xid: TransactionId,
    pub oldest_xid_database: Oid,
    /// Minimum of `datminmxid` of all databases, and which database has it.
    pub oldest_multixact: MultiXactId,
    pub oldest_multixact_database: Oid,
    /// Seconds since the Unix epoch.
    pub time: i64,
    pub oldest_commit_ts_xid: TransactionId,
    pub newest_commit_ts_xid: TransactionId,
    /// Oldest transaction running at an online checkpoint; invalid at a shutdown one.
    pub oldest_active_xid: TransactionId,
}

impl CheckPoint {
    /// On-disk size with padding: `sizeof(CheckPoint)`.
    pub const SIZE: usize = 88;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.redo.0.to_le_bytes());
        put(8, &self.timeline.0.to_le_bytes());
        put(12, &self.previous_timeline.0.to_le_bytes());
        put(16, &[u8::from(self.full_page_writes)]);
        put(20, &(self.wal_level as u32).to_le_bytes());
        put(24, &self.next_xid.0.to_le_bytes());
        put(32, &self.next_oid.0.to_le_bytes());
        put(36, &self.next_multixact.0.to_le_bytes());
        put(40, &self.next_multixact_offset.to_le_bytes());
        put(44, &self.oldest_xid.0.to_le_bytes());
        put(48, &self.oldest_xid_database.0.to_le_bytes());
        put(52, &self.oldest_multixact.0.to_le_bytes());
        put(56, &self.oldest_multixact_database.0.to_le_bytes());
        put(64, &self.time.to_le_bytes());
        put(72, &self.oldest_commit_ts_xid.0.to_le_bytes());
        put(76, &self.newest_commit_ts_xid.0.to_le_bytes());
        put(80, &self.oldest_active_xid.0.to_le_bytes());
        bytes
    }

    /// `None` if the bytes are too few or the WAL level is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < Self::SIZE {
            return None;
        }
        let fields = Fields(bytes);
        Some(Self {
            redo: Lsn(fields.u64(0)),
            timeline: TimelineId(fields.u32(8)),
            previous_timeline: TimelineId(fields.u32(12)),
            full_page_writes: fields.u8(16) != 0,
            wal_level: WalLevel::try_from(fields.u32(20)).ok()?,
            next_xid: FullTransactionId(fields.u64(24)),
            next_oid: Oid(fields.u32(32)),
            next_multixact: MultiXactId(fields.u32(36)),
            next_multixact_offset: fields.u32(40),
            oldest_xid: TransactionId(fields.u32(44)),
            oldest_xid_database: Oid(fields.u32(48)),
            oldest_multixact: MultiXactId(fields.u32(52)),
            oldest_multixact_database: Oid(fields.u32(56)),
            time: fields.u64(64) as i64,
            oldest_commit_ts_xid: TransactionId(fields.u32(72)),
            newest_commit_ts_xid: TransactionId(fields.u32(76)),
            oldest_active_xid: TransactionId(fields.u32(80)),
        })
    }
}

/// Parameters that a standby must match: body of PARAMETER_CHANGE, and fields of the control file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoggedParameters {
    pub max_connections: i32,
    pub max_worker_processes: i32,
    pub max_wal_senders: i32,
    pub max_prepared_transactions: i32,
    pub max_locks_per_transaction: i32,
    pub wal_level: WalLevel,
    pub wal_log_hints: bool,
    pub track_commit_timestamp: bool,
}

impl LoggedParameters {
    const SIZE: usize = 28;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let counts = [
            self.max_connections,
            self.max_worker_processes,
            self.max_wal_senders,
            self.max_prepared_transactions,
            self.max_locks_per_transaction,
            self.wal_level as i32,
        ];
        for (place, count) in bytes.chunks_exact_mut(4).zip(counts) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        bytes[24] = u8::from(self.wal_log_hints);
        bytes[25] = u8::from(self.track_commit_timestamp);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < Self::SIZE {
            return None;
        }
        let fields = Fields(bytes);
        let count = |i: usize| fields.u32(i * 4) as i32;
        Some(Self {
            max_connections: count(0),
            max_worker_processes: count(1),
            max_wal_senders: count(2),
            max_prepared_transactions: count(3),
            max_locks_per_transaction: count(4),
            wal_level: WalLevel::try_from(fields.u32(20)).ok()?,
            wal_log_hints: fields.u8(24) != 0,
            track_commit_timestamp: fields.u8(25) != 0,
        })
    }
}

fn record(info: u8, data: &[u8]) -> RecordBuilder<'static> {
    let mut record = RecordBuilder::new(RmgrId::Xlog, info);
    record.data(data);
    record
}

/// The checkpoint is complete.
pub fn checkpoint_record(checkpoint: &CheckPoint, shutdown: bool) -> RecordBuilder<'static> {
    record(if shutdown { CHECKPOINT_SHUTDOWN } else { CHECKPOINT_ONLINE }, &checkpoint.encode())
}

/// Where redo of an online checkpoint starts.
pub fn checkpoint_redo_record(level: WalLevel) -> RecordBuilder<'static> {
    record(CHECKPOINT_REDO, &(level as u32).to_le_bytes())
}

/// Oids below `next_oid` may be in use.
pub fn next_oid_record(next_oid: Oid) -> RecordBuilder<'static> {
    record(NEXTOID, &next_oid.0.to_le_bytes())
}

pub fn parameter_change_record(parameters: &LoggedParameters) -> RecordBuilder<'static> {
    record(PARAMETER_CHANGE, &parameters.encode())
}

/// `full_page_writes` changes here.
pub fn full_page_writes_record(on: bool) -> RecordBuilder<'static> {
    record(FPW_CHANGE, &[u8::from(on)])
}

/// Recovery ended, without waiting for a checkpoint.
pub fn end_of_recovery_record(
    timeline: TimelineId,
    previous: TimelineId,
    level: WalLevel,
) -> RecordBuilder<'static> {
    let mut data = [0; 24];
    data[0..8].copy_from_slice(&TimestampTz::now().0.to_le_bytes());
    data[8..12].copy_from_slice(&timeline.0.to_le_bytes());
    data[12..16].copy_from_slice(&previous.0.to_le_bytes());
    data[16..20].copy_from_slice(&(level as u32).to_le_bytes());
    record(END_OF_RECOVERY, &data)
}

/// The record that began at `overwritten` was cut off by a crash.
pub fn overwrite_contrecord_record(overwritten: Lsn) -> RecordBuilder<'static> {
    let mut data = [0; 16];
    data[0..8].copy_from_slice(&overwritten.0.to_le_bytes());
    data[8..16].copy_from_slice(&TimestampTz::now().0.to_le_bytes());
    record(OVERWRITE_CONTRECORD, &data)
}

/// A base backup that started at `start` ends here.
pub fn backup_end_record(start: Lsn) -> RecordBuilder<'static> {
    record(BACKUP_END, &start.0.to_le_bytes())
}

/// A named place to recover to: pg_create_restore_point().
pub fn restore_point_record(name: &str) -> RecordBuilder<'static> {
    let mut data = [0; 72];
    data[0..8].copy_from_slice(&TimestampTz::now().0.to_le_bytes());
    let length = name.len().min(63);
    data[8..8 + length].copy_from_slice(&name.as_bytes()[..length]);
    record(RESTORE_POINT, &data)
}

/// How a page image is registered that carries all of the page there is.
pub fn image_flags(standard: bool) -> RegisterFlags {
    let forced = RegisterFlags::FORCE_IMAGE;
    if standard { forced | RegisterFlags::STANDARD } else { forced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_its_encoding() {
        let checkpoint = CheckPoint {
            redo: Lsn(0x0152_8A28),
            timeline: TimelineId(1),
            previous_timeline: TimelineId(1),
            full_page_writes: true,
            wal_level: WalLevel::Replica,
            next_xid: FullTransactionId(749),
            next_oid: Oid(16391),
            next_multixact: MultiXactId(1),
            next_multixact_offset: 0,
            oldest_xid: TransactionId(731),
            oldest_xid_database: Oid(1),
            oldest_multixact: MultiXactId(1),
            oldest_multixact_database: Oid(1),
            time: 1_763_600_000,
            oldest_active_xid: TransactionId(749),
            ..CheckPoint::default()
        };
        assert_eq!(CheckPoint::decode(&checkpoint.encode()), Some(checkpoint));
        assert_eq!(CheckPoint::decode(&[0; 80]), None);
    }
}
