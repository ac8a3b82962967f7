//! Copying a relation's pages into new files, through the pool and the log.
//!
//! Realises: `CreateAndCopyRelationData`, `RelationCopyStorageUsingBuffer` (bufmgr.c).

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, Fork, Result, TransactionId};
use kokkiri_storage::buffer::{ReadMode, Ring};
use kokkiri_storage::{CriticalSection, PageWriteGuard, Persistence, RelationFile};
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

use crate::cluster::Cluster;
use crate::storage_records::smgr_create_record;

/// How many blocks are added to the copy at a time.
const EXTEND_BY: u32 = 16;

impl Cluster {
    /// Creates the files of `to`, all forks that `from` has, with the same pages. Nobody changes `from`
    /// meanwhile. Whoever calls removes the files if the transaction fails.
    pub fn copy_relation(&self, xid: TransactionId, from: RelationFile, to: RelationFile) -> Result<()> {
        for fork in Fork::ALL {
            if fork != Fork::Main && !self.storage.exists(from, fork)? {
                continue;
            }
            self.storage.create(to, fork, false)?;
            let logged = from.persistence == Persistence::Permanent || fork == Fork::Init;
            if logged {
                let critical = CriticalSection::enter();
                let mut record = smgr_create_record(to.locator, fork);
                record.xid(Some(xid));
                self.wal.insert(&critical, record);
            }
            self.copy_fork(xid, from, to, fork, logged)?;
        }
        Ok(())
    }

    fn copy_fork(
        &self,
        xid: TransactionId,
        from: RelationFile,
        to: RelationFile,
        fork: Fork,
        logged: bool,
    ) -> Result<()> {
        let blocks = self.buffers.blocks(from, fork)?;
        let (reading, writing) = (Ring::bulk_read(&self.buffers), Ring::bulk_write(&self.buffers));
        let mut next = 0;
        while next < blocks {
            check_for_interrupts()?;
            let count = (blocks - next).min(EXTEND_BY) as usize;
            let extension = self.buffers.extend(to, fork, count, Some(&writing))?;
            let mut copy = |target: PageWriteGuard| -> Result<()> {
                let source = self
                    .buffers
                    .read(from, fork, BlockNumber(next), ReadMode::Normal, Some(&reading))?
                    .read();
                next += 1;
                self.copy_page(xid, source.bytes(), target, fork, logged);
                Ok(())
            };
            copy(extension.first)?;
            for pin in extension.rest {
                copy(pin.write())?;
            }
        }
        Ok(())
    }

    fn copy_page(
        &self,
        xid: TransactionId,
        source: &[u8],
        mut target: PageWriteGuard,
        fork: Fork,
        logged: bool,
    ) {
        let critical = CriticalSection::enter();
        target.page_mut(&critical).bytes_mut().copy_from_slice(source);
        if !logged {
            return;
        }
        // The maps keep what they say where other pages have their hole.
        let standard = matches!(fork, Fork::Main | Fork::Init);
        let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::FPI);
        record.xid(Some(xid));
        record.register(0, &mut target, xlog::image_flags(standard));
        let lsn = self.wal.insert(&critical, record);
        // An LSN would make a page of zeros a damaged one.
        if !target.is_new() {
            target.page_mut(&critical).set_lsn(lsn);
        }
    }
}
