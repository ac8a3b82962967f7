//! Records of the Storage resource manager: a file is created, a relation is truncated.
//!
//! Realises: storage_xlog.h, `smgr_redo`, `RelationTruncate`.

use kokkiri_primitives::{BlockNumber, Error, Fork, RelFileLocator, Result};
use kokkiri_storage::{
    CriticalSection, PageWriteGuard, Persistence, RelationFile, WalBarrier, free_space_map, visibility_map,
};
use kokkiri_wal::record::{DecodedRecord, RecordBuilder, RegisterFlags, SPECIAL_REL_UPDATE};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

use crate::bytes::{Reader, put_locator};
use crate::cluster::Cluster;

pub const SMGR_CREATE: u8 = 0x10;
pub const SMGR_TRUNCATE: u8 = 0x20;

const TRUNCATE_HEAP: u32 = 0x0001;
const TRUNCATE_VM: u32 = 0x0002;
const TRUNCATE_FSM: u32 = 0x0004;

/// The record of a new file: locator, fork.
pub fn smgr_create_record(locator: RelFileLocator, fork: Fork) -> RecordBuilder<'static> {
    let mut body = Vec::with_capacity(16);
    put_locator(&mut body, locator);
    body.extend_from_slice(&(fork as u32).to_le_bytes());
    let mut record = RecordBuilder::new(RmgrId::Storage, SMGR_CREATE | SPECIAL_REL_UPDATE);
    record.data(&body);
    record
}

/// The record of a truncation of all forks to `blocks` of the main one: blocks, locator, which forks.
pub fn smgr_truncate_record(locator: RelFileLocator, blocks: BlockNumber) -> RecordBuilder<'static> {
    let mut body = Vec::with_capacity(20);
    body.extend_from_slice(&blocks.0.to_le_bytes());
    put_locator(&mut body, locator);
    body.extend_from_slice(&(TRUNCATE_HEAP | TRUNCATE_VM | TRUNCATE_FSM).to_le_bytes());
    let mut record = RecordBuilder::new(RmgrId::Storage, SMGR_TRUNCATE | SPECIAL_REL_UPDATE);
    record.data(&body);
    record
}

/// A decoded Storage record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageRecord {
    Create { locator: RelFileLocator, fork: Fork },
    Truncate { locator: RelFileLocator, blocks: BlockNumber, main: bool, vm: bool, fsm: bool },
}

impl StorageRecord {
    pub fn decode(record: &DecodedRecord) -> Result<Self> {
        let mut data = Reader::new(record.main_data(), "storage", record.lsn);
        match record.operation() {
            SMGR_CREATE => {
                let locator = data.locator()?;
                let number = data.u32()?;
                let fork = u8::try_from(number).ok().and_then(|number| Fork::try_from(number).ok());
                let fork = fork.ok_or_else(|| xlog::malformed("storage", record.lsn))?;
                Ok(Self::Create { locator, fork })
            }
            SMGR_TRUNCATE => {
                let (blocks, locator, flags) = (BlockNumber(data.u32()?), data.locator()?, data.u32()?);
                let has = |flag: u32| flags & flag != 0;
                let (main, vm, fsm) = (has(TRUNCATE_HEAP), has(TRUNCATE_VM), has(TRUNCATE_FSM));
                Ok(Self::Truncate { locator, blocks, main, vm, fsm })
            }
            other => Err(Error::internal(format!("smgr_redo: unknown op code {other}"))),
        }
    }
}

impl Cluster {
    /// Removes all files of a relation, and its pages from memory.
    pub(crate) fn delete_relation_files(&self, relation: RelationFile, in_replay: bool) -> Result<()> {
        self.buffers.drop_relations(&[relation])?;
        self.storage.unlink(relation, in_replay)
    }

    /// Cuts a relation's main fork to `blocks`, and its maps to what they say of the blocks that remain.
    pub(crate) fn truncate_forks(
        &self,
        relation: RelationFile,
        blocks: BlockNumber,
        (main, vm, fsm): (bool, bool, bool),
    ) -> Result<()> {
        let log = |guard: &mut PageWriteGuard, critical: &CriticalSection| {
            let wanted = relation.persistence == Persistence::Permanent && self.wal.insertion_allowed();
            if wanted && self.wal.hints_are_logged() {
                let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::FPI);
                record.register(0, guard, RegisterFlags::FORCE_IMAGE);
                self.wal.insert(critical, record);
            }
        };
        if vm && let Some(to) = visibility_map::prepare_truncate(&self.buffers, relation, blocks.0, log)? {
            self.cut_fork(relation, Fork::VisibilityMap, to)?;
        }
        if fsm && let Some(to) = free_space_map::prepare_truncate(&self.buffers, relation, blocks.0, log)? {
            self.cut_fork(relation, Fork::FreeSpaceMap, to)?;
        }
        if main && self.storage.blocks(relation, Fork::Main)? > blocks.0 {
            self.cut_fork(relation, Fork::Main, blocks.0)?;
        }
        Ok(())
    }

    fn cut_fork(&self, relation: RelationFile, fork: Fork, blocks: u32) -> Result<()> {
        self.buffers.drop_fork(relation, fork, BlockNumber(blocks))?;
        self.storage.truncate(relation, fork, blocks)
    }
}
