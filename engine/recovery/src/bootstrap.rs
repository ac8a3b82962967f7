//! The very first WAL segment and control file of a cluster.
//!
//! Realises: `BootStrapXLOG`. `init` calls this once the directories exist, and then works on the cluster
//! like anybody else.

use std::sync::Arc;

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{FullTransactionId, Lsn, MultiXactId, Oid, TimelineId, TransactionId};
use kokkiri_storage::file::FileSystem;
use kokkiri_storage::{CriticalSection, Poison};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{LONG_HEADER_SIZE, SegmentNumber};
use kokkiri_wal::xlog::{self, CheckPoint};

use crate::control_file::{ControlFile, ControlFileStore};

const FIRST_TIMELINE: TimelineId = TimelineId(1);
/// Oid of the database template1, which is there first.
const TEMPLATE1: Oid = Oid(1);
/// First oid that the catalogs' generator gives out: `FirstGenbkiObjectId`.
const FIRST_GENBKI_OID: Oid = Oid(10_000);

/// A system identifier as `initdb` makes it: the time and a few bits of the process id.
pub fn new_system_identifier(process_id: u32) -> u64 {
    let now = TimestampTz::now();
    let seconds = now.unix_seconds() as u64;
    let micros = now.0.rem_euclid(1_000_000) as u64;
    seconds << 32 | micros << 12 | u64::from(process_id & 0xFFF)
}

/// The first checkpoint of a cluster: nothing has happened yet.
fn first_checkpoint(control: &ControlFile, full_page_writes: bool) -> CheckPoint {
    CheckPoint {
        redo: Lsn(u64::from(control.segment_size) + LONG_HEADER_SIZE),
        timeline: FIRST_TIMELINE,
        previous_timeline: FIRST_TIMELINE,
        full_page_writes,
        wal_level: control.parameters.wal_level,
        next_xid: FullTransactionId::new(0, TransactionId::FIRST_NORMAL),
        next_oid: FIRST_GENBKI_OID,
        next_multixact: MultiXactId::FIRST,
        next_multixact_offset: 0,
        oldest_xid: TransactionId::FIRST_NORMAL,
        oldest_xid_database: TEMPLATE1,
        oldest_multixact: MultiXactId::FIRST,
        oldest_multixact_database: TEMPLATE1,
        time: TimestampTz::now().unix_seconds(),
        ..CheckPoint::default()
    }
}

/// Writes the first segment, with a shutdown checkpoint as its only record, and the control file that
/// points to it. The directories `pg_wal` and `global` exist. Afterwards the cluster starts like one that
/// was shut down.
///
/// # Errors
/// If the files can't be written.
pub fn bootstrap_wal(
    fs: &Arc<dyn FileSystem>,
    poison: &'static Poison,
    mut control: ControlFile,
    options: &WalOptions,
) -> Result<ControlFileStore> {
    let options = WalOptions {
        system_identifier: control.system_identifier,
        segment_size: u64::from(control.segment_size),
        buffer_pages: 4,
        ..options.clone()
    };
    let wal = Wal::new(Arc::clone(fs), ProcessArray::new(1, 0), poison, &options)?;
    let checkpoint = first_checkpoint(&control, options.full_page_writes);
    wal.start_insertion(&InsertStart {
        timeline: FIRST_TIMELINE,
        end_of_log: wal.geometry().segment_start(SegmentNumber(1)),
        last_record: Lsn::INVALID,
        redo: checkpoint.redo,
        last_page: None,
    });
    let inserted = {
        let critical = CriticalSection::enter();
        wal.insert_record(&critical, xlog::checkpoint_record(&checkpoint, true))
    };
    assert_eq!(inserted.start, checkpoint.redo, "the first record follows the first page's header");
    wal.flush(inserted.end)?;
    control.state = crate::control_file::ClusterState::ShutDown;
    control.checkpoint = inserted.start;
    control.checkpoint_copy = checkpoint;
    ControlFileStore::create(Arc::clone(fs), control)
}
