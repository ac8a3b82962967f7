//! Records of the Standby resource manager: what runs, and who holds strong locks.
//!
//! Realises: standbydefs.h, `LogStandbySnapshot`, `LogAccessExclusiveLocks`.
//!
//! ```text
//!  running xacts:  xids i32 | subxids i32 | overflowed u8, 3 zero | next | oldest running | latest completed | xids
//!  locks:          n i32 | n x (xid, database, relation)
//!  invalidations:  database | tablespace | relation cache file u8, 3 zero | n i32 | n x message
//! ```

use kokkiri_primitives::{Error, Lsn, Oid, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_wal::record::{DecodedRecord, RecordBuilder};
use kokkiri_wal::rmgr::RmgrId;

use crate::bytes::Reader;
use crate::cluster::Cluster;
use crate::invalidation::Invalidation;
use crate::lock::{LockMode, LockTag};
use crate::proc_array::RunningTransactions;

pub const STANDBY_LOCK: u8 = 0x00;
pub const RUNNING_XACTS: u8 = 0x10;
pub const STANDBY_INVALIDATIONS: u8 = 0x20;

/// A strong lock that a standby must take as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyLock {
    pub xid: TransactionId,
    pub database: Oid,
    pub relation: Oid,
}

/// Decodes a record of invalidations; messages of a kind that isn't known are left out.
pub fn decode_invalidations(record: &DecodedRecord) -> Result<Vec<Invalidation>> {
    let mut data = Reader::new(record.main_data(), "standby", record.lsn);
    let (_database, _tablespace, _cache_file) = (data.u32()?, data.u32()?, data.u32()?);
    let count = data.count(Invalidation::SIZE)?;
    let messages: Vec<_> = (0..count).map(|_| data.array()).collect::<Result<_>>()?;
    Ok(messages.iter().filter_map(Invalidation::decode).collect())
}

fn encode_running(running: &RunningTransactions) -> Vec<u8> {
    let mut body = Vec::with_capacity(24 + 4 * (running.xids.len() + running.sub_xids.len()));
    body.extend_from_slice(&(running.xids.len() as u32).to_le_bytes());
    body.extend_from_slice(&(running.sub_xids.len() as u32).to_le_bytes());
    body.extend_from_slice(&u32::from(running.overflowed).to_le_bytes());
    for xid in [running.next, running.oldest_running, running.latest_completed] {
        body.extend_from_slice(&xid.0.to_le_bytes());
    }
    for xid in running.xids.iter().chain(&running.sub_xids) {
        body.extend_from_slice(&xid.0.to_le_bytes());
    }
    body
}

/// Decodes a running-xacts record.
pub fn decode_running(record: &DecodedRecord) -> Result<RunningTransactions> {
    let mut data = Reader::new(record.main_data(), "standby", record.lsn);
    let (count, sub_count, overflowed) =
        (data.u32()? as usize, data.u32()? as usize, data.u32()? & 0xFF != 0);
    let (next, oldest_running, latest_completed) = (data.xid()?, data.xid()?, data.xid()?);
    let xids = data.xids(count)?;
    let sub_xids = data.xids(sub_count)?;
    Ok(RunningTransactions { xids, sub_xids, overflowed, oldest_running, latest_completed, next })
}

/// Decodes a record of strong locks.
pub fn decode_locks(record: &DecodedRecord) -> Result<Vec<StandbyLock>> {
    let mut data = Reader::new(record.main_data(), "standby", record.lsn);
    let count = data.count(12)?;
    let lock = |data: &mut Reader<'_>| {
        Ok(StandbyLock { xid: data.xid()?, database: Oid(data.u32()?), relation: Oid(data.u32()?) })
    };
    (0..count).map(|_| lock(&mut data)).collect()
}

impl Cluster {
    /// Logs who runs and who holds strong locks: at every checkpoint, and now and then by the background
    /// writer. Returns the end of the record.
    pub fn log_standby_snapshot(&self) -> Lsn {
        let locks: Vec<StandbyLock> = self
            .locks
            .list()
            .into_iter()
            .filter(|lock| lock.granted && lock.mode == LockMode::AccessExclusive)
            .filter_map(|lock| match lock.tag {
                LockTag::Relation { database, relation } => {
                    let xid = self.transactions.proc_array.xid(lock.holder)?;
                    Some(StandbyLock { xid, database, relation })
                }
                _ => None,
            })
            .collect();
        if !locks.is_empty() {
            self.log_locks(None, &locks);
        }
        // No xid is handed out between looking and logging, so that the record's next xid is right.
        self.transactions.xids.frozen(|next| {
            let running = self.transactions.proc_array.running_transactions(next.xid());
            let critical = CriticalSection::enter();
            let mut record = RecordBuilder::new(RmgrId::Standby, RUNNING_XACTS);
            record.data(&encode_running(&running)).unimportant();
            self.wal.insert(&critical, record)
        })
    }

    /// Logs strong locks that a transaction has just taken.
    pub(crate) fn log_access_exclusive_locks(&self, xid: TransactionId, relations: &[(Oid, Oid)]) {
        let lock =
            |(database, relation): &(Oid, Oid)| StandbyLock { xid, database: *database, relation: *relation };
        let locks: Vec<StandbyLock> = relations.iter().map(lock).collect();
        self.log_locks(Some(xid), &locks);
    }

    /// Logs the invalidations of a transaction without an xid, which has no commit record to carry them:
    /// `LogStandbyInvalidations`.
    pub(crate) fn log_invalidations(
        &self,
        database: (Oid, Oid),
        cache_file: bool,
        messages: &[Invalidation],
    ) {
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Standby, STANDBY_INVALIDATIONS);
        record.data(&database.0.0.to_le_bytes()).data(&database.1.0.to_le_bytes());
        record.data(&u32::from(cache_file).to_le_bytes()).data(&(messages.len() as u32).to_le_bytes());
        for message in messages {
            record.data(&message.encode());
        }
        self.wal.insert(&critical, record);
    }

    fn log_locks(&self, xid: Option<TransactionId>, locks: &[StandbyLock]) {
        let critical = CriticalSection::enter();
        let mut record = RecordBuilder::new(RmgrId::Standby, STANDBY_LOCK);
        record.xid(xid).data(&(locks.len() as u32).to_le_bytes()).unimportant();
        for lock in locks {
            record.data(&lock.xid.0.to_le_bytes());
            record.data(&lock.database.0.to_le_bytes()).data(&lock.relation.0.to_le_bytes());
        }
        self.wal.insert(&critical, record);
    }
}

/// Replays a Standby record. Crash recovery only has to know them; who serves readers meanwhile must do
/// more.
pub fn redo(record: &DecodedRecord) -> Result<()> {
    match record.operation() {
        STANDBY_LOCK => decode_locks(record).map(drop),
        RUNNING_XACTS => decode_running(record).map(drop),
        STANDBY_INVALIDATIONS => decode_invalidations(record).map(drop),
        other => Err(Error::internal(format!("standby_redo: unknown op code {other}"))),
    }
}
