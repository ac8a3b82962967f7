//! Overwriting a row where it stands, without a new version.
//!
//! Realises: `heap_inplace_update_and_unlock`. Some facts about a table (its size, its oldest xid, that it
//! has an index) are written over the catalog row as it is: they are true whatever becomes of the
//! transaction that found them out, and a version each time would swell the catalog. The change is not
//! undone by an abort, so what it makes stale is made known at once.

use kokkiri_primitives::{Error, ItemPointer, Result, SqlState};
use kokkiri_storage::CriticalSection;
use kokkiri_transaction::{Invalidation, WaitPolicy};
use kokkiri_types::ValueRef;
use kokkiri_wal::record::RegisterFlags;
use kokkiri_wal::rmgr::RmgrId;

use super::record::{Inplace, heap_info};
use super::visibility::{Judge, VacuumState, satisfies_vacuum};
use super::{Heap, page};
use crate::tuple::form::{FormValue, form};
use crate::tuple::header::Infomask;

impl Heap<'_> {
    /// Overwrites the row at `tid`, the newest version, whose stored length must not change. False if a
    /// concurrent change of the row had to be waited for: the caller must read the row again.
    ///
    /// # Errors
    /// 55000 if the current command has changed the row itself.
    pub fn update_in_place(
        &self,
        tid: ItemPointer,
        row: &[ValueRef<'_>],
        messages: &[Invalidation],
    ) -> Result<bool> {
        let values: Vec<_> = row.iter().map(|value| FormValue::Value(*value)).collect();
        let formed = form(&self.relation.tuple_desc, &values)?;
        let data = &formed.bytes[usize::from(formed.header()?.hoff)..];
        let mut guard = self.pin(tid.block)?.write();
        let header = page::header(&guard, tid.offset)?;
        if self.transaction.is_current(header.effective_xmin())
            && self.observer().inserting_command(&header) >= self.transaction.command_id()
        {
            return Err(Error::internal("attempted to overwrite invisible tuple"));
        }
        let (state, _) = satisfies_vacuum(&header, &self.observer())?;
        let locked_by_other = !header.infomask.any(Infomask::XMAX_INVALID)
            && header.xmax_multi().is_none()
            && header.infomask.xmax_is_locked_only()
            && !self.transaction.is_current(header.xmax)
            && self.transaction.is_in_progress(header.xmax)?;
        match state {
            VacuumState::DeleteInProgress if !self.transaction.is_current(header.xmax) => {
                drop(guard);
                self.transaction.wait_for_transaction(header.xmax, WaitPolicy::Block)?;
                return Ok(false);
            }
            VacuumState::DeleteInProgress => {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "tuple to be updated was already modified by an operation triggered by the current command",
                ));
            }
            VacuumState::Dead | VacuumState::DeadAfter(_) => return Ok(false),
            VacuumState::Live | VacuumState::InsertInProgress if locked_by_other => {
                drop(guard);
                self.transaction.wait_for_transaction(header.xmax, WaitPolicy::Block)?;
                return Ok(false);
            }
            VacuumState::Live | VacuumState::InsertInProgress => {}
        }
        let stored =
            page::tuple(&guard, tid.offset).map_or(0, |tuple| tuple.len() - usize::from(header.hoff));
        if stored != data.len() {
            return Err(Error::internal("wrong tuple length"));
        }
        let locator = self.relation.file.locator;
        let main = Inplace {
            offset: tid.offset,
            database: locator.database,
            tablespace: locator.tablespace,
            init_file_invalid: false,
            messages: messages.iter().map(Invalidation::encode).collect(),
        }
        .encode();
        {
            let critical = CriticalSection::enter();
            page::overwrite_data(guard.page_mut(&critical), tid.offset, data)
                .expect("the length was compared under the same lock");
            if self.relation.needs_wal() {
                let xid = self.transaction.current_xid_if_assigned();
                let mut record = self.record(RmgrId::Heap, heap_info::INPLACE, xid);
                record.data(&main);
                record.register(0, &mut guard, RegisterFlags::STANDARD);
                record.buffer_data(0, data);
                self.cluster().wal.insert(&critical, record);
            }
        }
        drop(guard);
        self.cluster().deliver_invalidations(messages);
        Ok(true)
    }
}
