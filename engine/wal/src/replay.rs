//! Replaying records: what resource managers get, and how they reach the pages.
//!
//! Realises: `rmgr.c`'s table and `xlogutils.c` (`XLogReadBufferForRedo`, the invalid-page table).
//!
//! A record is replayed on a page only if the page's LSN is older than the record's end; so replay can
//! start anywhere before, and run any number of times. A page may be missing because the relation was
//! dropped or truncated later in the WAL; such pages are remembered, and what isn't explained by the end
//! of the WAL is corruption.

use std::collections::BTreeMap;
use std::sync::Arc;

use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::ids::{BlockNumber, Fork, Oid, RelFileLocator};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_storage::buffer::{BufferPool, PageWriteGuard, ReadMode};
use kokkiri_storage::smgr::{Persistence, RelationFile};
use kokkiri_storage::{CriticalSection, Page};
use parking_lot::Mutex;

use crate::record::{DecodedBlock, DecodedRecord};

/// Replays the records of one owner.
pub trait ResourceManager: Send + Sync {
    /// Repeats what the record says. On the startup's thread; every record before has been replayed.
    ///
    /// # Errors
    /// Any error ends recovery: the cluster can't be started.
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()>;
}

/// What has to be done with a page that a record refers to.
pub enum RedoAction {
    /// The page is older than the record: repeat the change, and set the page's LSN to the record's end.
    NeedsRedo(PageWriteGuard),
    /// The record had an image, which is in place: nothing left to do.
    Restored(PageWriteGuard),
    /// The page has the change already.
    Done,
    /// The page doesn't exist: it was dropped later.
    NotFound,
}

/// Which lock a page is given out with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedoLock {
    Exclusive,
    /// Nobody else has a pin: items may be moved.
    Cleanup,
}

type PageKey = (RelFileLocator, Fork, BlockNumber);

/// What replay works on.
pub struct ReplayContext {
    pub buffers: Arc<BufferPool>,
    /// Pages that records needed and that weren't there; true if the page existed but was empty.
    invalid_pages: Mutex<BTreeMap<PageKey, bool>>,
}

impl ReplayContext {
    pub fn new(buffers: Arc<BufferPool>) -> Self {
        Self { buffers, invalid_pages: Mutex::default() }
    }

    /// The page of block reference `id`, locked, restored from the record's image if that has one.
    /// `XLogReadBufferForRedo`.
    ///
    /// # Errors
    /// If the record has no such reference, the image is damaged or the page can't be read.
    pub fn read_buffer_for_redo(&self, record: &DecodedRecord, id: u8) -> Result<RedoAction> {
        self.read_buffer_for_redo_locked(record, id, RedoLock::Exclusive)
    }

    /// As [`ReplayContext::read_buffer_for_redo`], with a choice of lock: `XLogReadBufferForRedoExtended`.
    pub fn read_buffer_for_redo_locked(
        &self,
        record: &DecodedRecord,
        id: u8,
        lock: RedoLock,
    ) -> Result<RedoAction> {
        let block = reference(record, id)?;
        if block.apply_image {
            return self.restore(record, block, lock).map(RedoAction::Restored);
        }
        if block.will_init {
            return Err(panic_report(
                "block with WILL_INIT flag in WAL record must be zeroed by redo routine",
            ));
        }
        let Some(guard) = self.read_existing(block, lock)? else {
            return Ok(RedoAction::NotFound);
        };
        if record.end_lsn <= guard.lsn() { Ok(RedoAction::Done) } else { Ok(RedoAction::NeedsRedo(guard)) }
    }

    /// The page of block reference `id`, which redo makes from nothing: `XLogInitBufferForRedo`. The
    /// relation is extended as needed.
    ///
    /// # Errors
    /// As [`ReplayContext::read_buffer_for_redo`].
    pub fn init_buffer_for_redo(&self, record: &DecodedRecord, id: u8) -> Result<PageWriteGuard> {
        let block = reference(record, id)?;
        if block.apply_image {
            return self.restore(record, block, RedoLock::Exclusive);
        }
        if !block.will_init {
            return Err(panic_report(
                "block to be initialized in redo routine must be marked with WILL_INIT flag in the WAL record",
            ));
        }
        self.zeroed(block, RedoLock::Exclusive)
    }

    /// Repeats a change of one page if it is needed, and gives the page its LSN. `change` gets the page
    /// and the data registered with the block. Returns the page, still locked, if it exists and was
    /// changed or restored.
    ///
    /// # Errors
    /// As [`ReplayContext::read_buffer_for_redo`], and what `change` finds wrong.
    pub fn redo_block(
        &self,
        record: &DecodedRecord,
        id: u8,
        change: impl FnOnce(&mut Page, &[u8]) -> Result<()>,
    ) -> Result<Option<PageWriteGuard>> {
        match self.read_buffer_for_redo(record, id)? {
            RedoAction::NeedsRedo(mut guard) => {
                let critical = CriticalSection::enter();
                let page = guard.page_mut(&critical);
                change(page, record.block_data(id).unwrap_or_default())?;
                page.set_lsn(record.end_lsn);
                Ok(Some(guard))
            }
            RedoAction::Restored(guard) => Ok(Some(guard)),
            RedoAction::Done | RedoAction::NotFound => Ok(None),
        }
    }

    /// Puts every image of the record in place: redo of FPI and FPI_FOR_HINT.
    ///
    /// # Errors
    /// As [`ReplayContext::read_buffer_for_redo`].
    pub fn restore_images(&self, record: &DecodedRecord) -> Result<()> {
        for block in &record.blocks {
            // A hint's record has no image if full_page_writes was off.
            if block.apply_image {
                self.restore(record, block, RedoLock::Exclusive)?;
            } else if record.operation() == crate::xlog::FPI {
                return Err(Error::internal("XLOG_FPI record did not contain a full-page image"));
            }
        }
        Ok(())
    }

    fn restore(
        &self,
        record: &DecodedRecord,
        block: &DecodedBlock,
        lock: RedoLock,
    ) -> Result<PageWriteGuard> {
        let mut guard = self.zeroed(block, lock)?;
        let critical = CriticalSection::enter();
        let page = guard.page_mut(&critical);
        record.restore_image(block, page.bytes_mut()).map_err(Error::internal)?;
        // An all-zeros page stays so: an LSN would corrupt it.
        if !page.is_new() {
            page.set_lsn(record.end_lsn);
        }
        drop(critical);
        if block.fork == Fork::Init {
            // Init forks are copied at the end of recovery without going through the pool.
            let pin = guard.unlock();
            self.buffers.flush(&pin)?;
            return Ok(pin.write());
        }
        Ok(guard)
    }

    /// The page, zeroed or about to be overwritten, in a relation extended as needed.
    fn zeroed(&self, block: &DecodedBlock, lock: RedoLock) -> Result<PageWriteGuard> {
        let (file, blocks) = self.file_of(block)?;
        let guard = if block.block.0 < blocks {
            self.buffers.read_zeroed(file, block.fork, block.block)?
        } else {
            self.buffers.extend_to(file, block.fork, block.block.0 + 1)?.write()
        };
        match lock {
            RedoLock::Exclusive => Ok(guard),
            RedoLock::Cleanup => guard.unlock().cleanup_lock(),
        }
    }

    fn read_existing(&self, block: &DecodedBlock, lock: RedoLock) -> Result<Option<PageWriteGuard>> {
        let (file, blocks) = self.file_of(block)?;
        if block.block.0 >= blocks {
            self.note_invalid(block, false);
            return Ok(None);
        }
        let pin = self.buffers.read(file, block.fork, block.block, ReadMode::Normal, None)?;
        let guard = match lock {
            RedoLock::Exclusive => pin.write(),
            RedoLock::Cleanup => pin.cleanup_lock()?,
        };
        if guard.is_new() {
            self.note_invalid(block, true);
            return Ok(None);
        }
        Ok(Some(guard))
    }

    /// The relation's files and their length. They are created if missing: the relation may be dropped
    /// later in the WAL, and until then its data are worth keeping.
    fn file_of(&self, block: &DecodedBlock) -> Result<(RelationFile, u32)> {
        let file = RelationFile::new(block.locator, Persistence::Permanent);
        let storage = self.buffers.storage_manager();
        match storage.blocks(file, block.fork) {
            Ok(blocks) => Ok((file, blocks)),
            Err(error) if error.sqlstate() == SqlState::UNDEFINED_FILE => {
                storage.create(file, block.fork, true)?;
                Ok((file, storage.blocks(file, block.fork)?))
            }
            Err(error) => Err(error),
        }
    }

    fn note_invalid(&self, block: &DecodedBlock, present: bool) {
        let key = (block.locator, block.fork, block.block);
        self.invalid_pages.lock().entry(key).or_insert(present);
    }

    /// The relation's fork was dropped or cut to `from` blocks: what was missing behind is explained.
    /// `XLogTruncateRelation`, `XLogDropRelation`.
    pub fn forget_invalid_pages(&self, locator: RelFileLocator, fork: Fork, from: BlockNumber) {
        self.invalid_pages.lock().retain(|(other, other_fork, block), _| {
            *other != locator || *other_fork != fork || *block < from
        });
    }

    /// The database was dropped: `XLogDropDatabase`.
    pub fn forget_invalid_pages_of_database(&self, database: Oid) {
        self.invalid_pages.lock().retain(|(locator, _, _), _| locator.database != database);
    }

    /// Every page that records needed must have turned out to be dropped.
    ///
    /// # Errors
    /// A PANIC that names the pages that have not.
    pub fn check_invalid_pages(&self) -> Result<()> {
        let pages = self.invalid_pages.lock();
        if pages.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = pages
            .iter()
            .map(|((locator, fork, block), present)| {
                let path = RelationFile::new(*locator, Persistence::Permanent).path(*fork);
                let what = if *present { "is uninitialized" } else { "does not exist" };
                format!("page {block} of relation {path} {what}")
            })
            .collect();
        Err(panic_report("WAL contains references to invalid pages").detail(list.join("\n")))
    }
}

fn panic_report(message: &str) -> Error {
    Error::report(Severity::Panic, SqlState::DATA_CORRUPTED, message)
}

fn reference(record: &DecodedRecord, id: u8) -> Result<&DecodedBlock> {
    record
        .block(id)
        .ok_or_else(|| panic_report(&format!("failed to locate backup block with ID {id} in WAL record")))
}
