//! Starting a cluster: from the control file, over the replay of the WAL if it must be, to production.
//!
//! Realises: `StartupXLOG`, `InitWalRecovery`, `PerformWalRecovery`, `FinishWalRecovery`.
//!
//! Order of things:
//!  1. The control file tells where the last checkpoint's record is; the record tells where redo starts.
//!  2. If the cluster was not shut down, or the record says that there is something to redo: the control
//!     file says so (in case of another crash), and every record is handed to its resource manager.
//!  3. The log is opened for insertion where the last valid record ends. If a record was cut off there,
//!     another one says so.
//!  4. A checkpoint makes what was replayed durable, before anybody relies on it.

use std::sync::Arc;

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::ids::{BLOCK_SIZE, Lsn, TimelineId};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_storage::CriticalSection;
use kokkiri_storage::file::{FileKind, FileSystem, OpenOptions};
use kokkiri_transaction::{Cluster, redo};
use kokkiri_wal::log::InsertStart;
use kokkiri_wal::position::WAL_DIRECTORY;
use kokkiri_wal::reader::{EndOfWal, ReadOutcome, WalReader};
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::{self, CheckPoint, Fields, LoggedParameters};
use tracing::{info, warn};

use crate::control_file::{ClusterState, ControlFileStore};
use crate::unlogged;

/// What starting the cluster has found and done.
#[derive(Clone, Debug)]
pub struct StartupOutcome {
    /// The WAL was replayed; a checkpoint must follow before the cluster is in production.
    pub recovered: bool,
    /// The checkpoint it started from.
    pub checkpoint: CheckPoint,
    /// Where insertion goes on.
    pub end_of_log: Lsn,
}

/// Who replays which record, above the transaction layer.
#[derive(Default)]
pub struct ResourceManagers(Vec<Option<Arc<dyn ResourceManager>>>);

impl ResourceManagers {
    pub fn register(&mut self, id: RmgrId, manager: Arc<dyn ResourceManager>) {
        let slot = id as usize;
        if self.0.len() <= slot {
            self.0.resize(slot + 1, None);
        }
        self.0[slot] = Some(manager);
    }

    fn get(&self, id: RmgrId) -> Result<&Arc<dyn ResourceManager>> {
        self.0.get(id as usize).and_then(Option::as_ref).ok_or_else(|| {
            Error::not_supported(format!("replay of WAL records of resource manager {}", id.name()))
        })
    }
}

/// Everything that starting a cluster works on.
pub struct Startup {
    pub cluster: Arc<Cluster>,
    pub control: Arc<ControlFileStore>,
    pub managers: ResourceManagers,
    pub context: ReplayContext,
    /// The parameters that are in force now, to be logged where they differ from the control file's.
    pub parameters: LoggedParameters,
}

/// Where the WAL ended.
struct LogEnd {
    end_of_log: Lsn,
    last_record: Lsn,
    last_page: Option<Box<[u8; BLOCK_SIZE]>>,
    /// Start of a record that was cut off.
    aborted: Option<Lsn>,
}

fn panic_report(message: String) -> Error {
    Error::report(Severity::Panic, SqlState::DATA_CORRUPTED, message)
}

impl Startup {
    /// Brings the cluster to the point where the log is open for insertion. If it has recovered, the
    /// caller makes an end-of-recovery checkpoint; then [`Startup::enter_production`].
    ///
    /// # Errors
    /// FATAL or PANIC in PostgreSQL's words; the cluster can't be started then.
    pub fn run(&self) -> Result<StartupOutcome> {
        let control = self.control.read();
        self.log_last_state()?;
        self.check_directories()?;
        self.refuse_backup()?;
        let crashed = !matches!(control.state, ClusterState::ShutDown | ClusterState::ShutDownInRecovery);
        if crashed {
            self.remove_temporary_segments()?;
            sync_tree(&*self.cluster.fs, ".")?;
        }
        let mut reader = WalReader::new(
            Arc::clone(&self.cluster.fs),
            self.cluster.wal.geometry(),
            control.checkpoint_copy.timeline,
            control.system_identifier,
        );
        let (checkpoint, shutdown, found_end) = self.read_checkpoint(&mut reader, control.checkpoint)?;
        let needs_redo = check_redo(&checkpoint, control.checkpoint, shutdown)?;
        // The counters were made from the control file's copy; the record itself is what counts.
        self.cluster.transactions.start(&checkpoint);
        let mut full_page_writes = checkpoint.full_page_writes;
        let recovered = crashed || needs_redo;
        let end = if recovered {
            info!("database system was not properly shut down; automatic recovery in progress");
            self.control.update(|control| control.state = ClusterState::InCrashRecovery)?;
            unlogged::remove_contents(&*self.cluster.fs)?;
            let from = if needs_redo { checkpoint.redo } else { found_end };
            let end = self.replay(&mut reader, from, needs_redo, &checkpoint, &mut full_page_writes)?;
            unlogged::copy_init_forks(&*self.cluster.fs)?;
            self.cluster.storage.release_all();
            end
        } else {
            LogEnd {
                end_of_log: found_end,
                last_record: control.checkpoint,
                last_page: reader.last_page()?,
                aborted: None,
            }
        };
        self.open_log(&end, &checkpoint, full_page_writes)?;
        self.cluster.transactions.end_recovery()?;
        Ok(StartupOutcome { recovered, checkpoint, end_of_log: end.end_of_log })
    }

    /// Logs changed parameters and declares the cluster open.
    ///
    /// # Errors
    /// If the log or the control file can't be written.
    pub fn enter_production(&self) -> Result<()> {
        if self.control.read().parameters != self.parameters {
            let inserted = {
                let critical = CriticalSection::enter();
                self.cluster.wal.insert(&critical, xlog::parameter_change_record(&self.parameters))
            };
            self.cluster.wal.flush(inserted)?;
        }
        self.control.update(|control| {
            control.parameters = self.parameters;
            control.state = ClusterState::InProduction;
        })
    }

    fn log_last_state(&self) -> Result<()> {
        let control = self.control.read();
        if control.checkpoint.0 % 8192 < 24 {
            return Err(Error::fatal(
                SqlState::DATA_CORRUPTED,
                "control file contains invalid checkpoint location",
            ));
        }
        let at = utc_text(control.time);
        match control.state {
            ClusterState::ShutDown => info!("database system was shut down at {at}"),
            ClusterState::ShutDownInRecovery => info!("database system was shut down in recovery at {at}"),
            ClusterState::ShuttingDown => {
                info!("database system shutdown was interrupted; last known up at {at}");
            }
            ClusterState::InCrashRecovery => {
                info!("database system was interrupted while in recovery at {at}");
                info!(
                    "HINT: This probably means that some data is corrupted and you will have to use the last backup for recovery."
                );
            }
            ClusterState::InArchiveRecovery => {
                let at = utc_text(control.checkpoint_copy.time);
                info!("database system was interrupted while in recovery at log time {at}");
            }
            ClusterState::InProduction => {
                info!("database system was interrupted; last known up at {at}");
            }
            ClusterState::Startup => {
                return Err(Error::fatal(
                    SqlState::DATA_CORRUPTED,
                    "control file contains invalid database cluster state",
                ));
            }
        }
        Ok(())
    }

    fn check_directories(&self) -> Result<()> {
        let kind_of = |path: &str| {
            let found = self
                .cluster
                .fs
                .metadata(path)
                .map_err(|cause| Error::file_access("stat file", path, &cause))?;
            Ok::<_, Error>(found.map(|found| found.kind))
        };
        let required = |path: &str| {
            let message = format!("required WAL directory \"{path}\" does not exist");
            Error::fatal(SqlState::UNDEFINED_FILE, message)
        };
        if kind_of(WAL_DIRECTORY)? != Some(FileKind::Directory) {
            return Err(required(WAL_DIRECTORY));
        }
        for path in ["pg_wal/archive_status", "pg_wal/summaries"] {
            match kind_of(path)? {
                Some(FileKind::Directory) => {}
                Some(_) => return Err(required(path)),
                None => {
                    info!("creating missing WAL directory \"{path}\"");
                    self.cluster.fs.create_directory(path).map_err(|cause| {
                        Error::file_access("create missing directory", path, &cause)
                            .with_severity(Severity::Fatal)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Restoring a base backup and archive recovery start from files that say so.
    fn refuse_backup(&self) -> Result<()> {
        for path in ["backup_label", "recovery.signal", "standby.signal"] {
            let there = self
                .cluster
                .fs
                .exists(path)
                .map_err(|cause| Error::file_access("stat file", path, &cause))?;
            if there {
                let what = format!("recovery that is asked for by the file \"{path}\"");
                return Err(Error::not_supported(what).with_severity(Severity::Fatal));
            }
        }
        Ok(())
    }

    fn remove_temporary_segments(&self) -> Result<()> {
        let failed = |path: &str, cause: std::io::Error| {
            Error::file_access("remove temporary WAL segment", path, &cause)
        };
        let entries = self.cluster.fs.list(WAL_DIRECTORY).map_err(|cause| failed(WAL_DIRECTORY, cause))?;
        for entry in entries.iter().filter(|entry| entry.name.starts_with("xlogtemp.")) {
            let path = format!("{WAL_DIRECTORY}/{}", entry.name);
            self.cluster.fs.remove(&path).map_err(|cause| failed(&path, cause))?;
        }
        Ok(())
    }

    /// Reads the checkpoint's record; returns it, whether the cluster was shut down by it, and its end.
    fn read_checkpoint(&self, reader: &mut WalReader, at: Lsn) -> Result<(CheckPoint, bool, Lsn)> {
        let missing = || panic_report(format!("could not locate a valid checkpoint record at {at}"));
        reader.seek(at);
        let record = match reader.read()? {
            ReadOutcome::Record(record) => record,
            ReadOutcome::End(end) => {
                log_end(&end);
                return Err(missing());
            }
        };
        let shutdown = match (record.rmgr, record.operation()) {
            (RmgrId::Xlog, xlog::CHECKPOINT_SHUTDOWN) => true,
            (RmgrId::Xlog, xlog::CHECKPOINT_ONLINE) => false,
            _ => return Err(missing()),
        };
        let checkpoint = CheckPoint::decode(record.main_data()).ok_or_else(missing)?;
        if !checkpoint.next_xid.xid().is_normal() {
            return Err(panic_report("invalid next transaction ID".into()));
        }
        Ok((checkpoint, shutdown, record.end_lsn))
    }

    /// Replays everything from `from` to the end of the WAL.
    fn replay(
        &self,
        reader: &mut WalReader,
        from: Lsn,
        from_redo_record: bool,
        checkpoint: &CheckPoint,
        full_page_writes: &mut bool,
    ) -> Result<LogEnd> {
        if from_redo_record {
            reader.seek(from);
        }
        let mut started = false;
        let mut last_record = if from_redo_record { Lsn::INVALID } else { self.control.read().checkpoint };
        let end = loop {
            check_for_interrupts()?;
            let record = match reader.read()? {
                ReadOutcome::Record(record) => record,
                ReadOutcome::End(end) => break end,
            };
            if !started {
                started = true;
                info!("redo starts at {}", record.lsn);
                if from_redo_record
                    && (record.rmgr, record.operation()) != (RmgrId::Xlog, xlog::CHECKPOINT_REDO)
                {
                    let message = format!("unexpected record type found at redo point {}", record.lsn);
                    return Err(Error::fatal(SqlState::DATA_CORRUPTED, message));
                }
            }
            if let Some(overwritten) = reader.take_overwritten() {
                check_overwritten(&record, overwritten)?;
            }
            self.apply(&record, checkpoint.timeline, full_page_writes)
                .map_err(|error| error.context(describe(&record)))?;
            last_record = record.lsn;
        };
        if from_redo_record && !started {
            log_end(&end);
            return Err(panic_report(format!(
                "could not find redo location {from} referenced by checkpoint record at {}",
                self.control.read().checkpoint
            )));
        }
        log_end(&end);
        if started {
            info!("redo done at {last_record}");
        } else {
            info!("redo is not required");
        }
        self.context.check_invalid_pages()?;
        Ok(match end.missing_continuation {
            Some(page) => LogEnd { end_of_log: page, last_record, last_page: None, aborted: Some(end.at) },
            None => {
                let last_page = reader.last_page()?;
                LogEnd { end_of_log: reader.position(), last_record, last_page, aborted: None }
            }
        })
    }

    fn apply(&self, record: &DecodedRecord, timeline: TimelineId, full_page_writes: &mut bool) -> Result<()> {
        if let Some(xid) = record.xid.valid() {
            self.cluster.transactions.note_xid(xid);
        }
        match record.rmgr {
            RmgrId::Xlog => self.apply_xlog(record, timeline, full_page_writes),
            rmgr if redo::RESOURCE_MANAGERS.contains(&rmgr) => {
                redo::redo(&self.cluster, &self.context, rmgr, record)
            }
            rmgr => self.managers.get(rmgr)?.redo(&self.context, record),
        }
    }

    /// `xlog_redo`.
    fn apply_xlog(
        &self,
        record: &DecodedRecord,
        timeline: TimelineId,
        full_page_writes: &mut bool,
    ) -> Result<()> {
        let data = record.main_data();
        let fields = Fields(data);
        let malformed = |kind: &str| xlog::malformed(kind, record.lsn);
        match record.operation() {
            xlog::NEXTOID => {
                if data.len() < 4 {
                    return Err(malformed("NEXTOID"));
                }
                self.cluster.transactions.oids.set_next(kokkiri_primitives::ids::Oid(fields.u32(0)));
            }
            operation @ (xlog::CHECKPOINT_SHUTDOWN | xlog::CHECKPOINT_ONLINE) => {
                let checkpoint = CheckPoint::decode(data).ok_or_else(|| malformed("checkpoint"))?;
                let shutdown = operation == xlog::CHECKPOINT_SHUTDOWN;
                if checkpoint.timeline != timeline {
                    let kind = if shutdown { "shutdown" } else { "online" };
                    return Err(panic_report(format!(
                        "unexpected timeline ID {} (should be {timeline}) in {kind} checkpoint record",
                        checkpoint.timeline
                    )));
                }
                self.cluster.transactions.replay_checkpoint(&checkpoint, shutdown);
            }
            xlog::END_OF_RECOVERY => {
                let found = TimelineId(fields.u32(8));
                if found != timeline {
                    return Err(panic_report(format!(
                        "unexpected timeline ID {found} (should be {timeline}) in end-of-recovery record"
                    )));
                }
            }
            xlog::FPI | xlog::FPI_FOR_HINT => self.context.restore_images(record)?,
            xlog::PARAMETER_CHANGE => {
                let parameters =
                    LoggedParameters::decode(data).ok_or_else(|| malformed("PARAMETER_CHANGE"))?;
                self.control.update(|control| control.parameters = parameters)?;
            }
            xlog::FPW_CHANGE => *full_page_writes = fields.u8(0) != 0,
            xlog::NOOP
            | xlog::SWITCH
            | xlog::BACKUP_END
            | xlog::RESTORE_POINT
            | xlog::OVERWRITE_CONTRECORD
            | xlog::CHECKPOINT_REDO => {}
            other => return Err(panic_report(format!("xlog_redo: unknown op code {other}"))),
        }
        Ok(())
    }

    /// Opens the log where it ended.
    fn open_log(&self, end: &LogEnd, checkpoint: &CheckPoint, full_page_writes: bool) -> Result<()> {
        self.cluster.wal.start_insertion(&InsertStart {
            timeline: checkpoint.timeline,
            end_of_log: end.end_of_log,
            last_record: end.last_record,
            redo: checkpoint.redo,
            last_page: end.last_page.clone(),
        });
        self.cluster.wal.files().preallocate(checkpoint.timeline, end.end_of_log)?;
        let critical = CriticalSection::enter();
        if let Some(aborted) = end.aborted {
            let inserted = self
                .cluster
                .wal
                .insert_overwrite_contrecord(&critical, xlog::overwrite_contrecord_record(aborted));
            drop(critical);
            self.cluster.wal.flush(inserted.end)?;
            info!("successfully skipped missing contrecord at {aborted}");
        }
        let wanted = self.cluster.wal.full_page_writes();
        if wanted != full_page_writes {
            self.cluster.wal.change_full_page_writes(wanted);
        }
        Ok(())
    }
}

/// Whether there is something to redo after the checkpoint's redo pointer.
fn check_redo(checkpoint: &CheckPoint, at: Lsn, shutdown: bool) -> Result<bool> {
    if checkpoint.redo > at {
        return Err(panic_report("invalid redo in checkpoint record".into()));
    }
    if checkpoint.redo < at && shutdown {
        return Err(panic_report("invalid redo record in shutdown checkpoint".into()));
    }
    Ok(checkpoint.redo < at)
}

fn check_overwritten(record: &DecodedRecord, overwritten: Lsn) -> Result<()> {
    let named = Lsn(Fields(record.main_data()).u64(0));
    let expected = (RmgrId::Xlog, xlog::OVERWRITE_CONTRECORD);
    if (record.rmgr, record.operation()) != expected || named != overwritten {
        return Err(Error::fatal(
            SqlState::DATA_CORRUPTED,
            format!("mismatching overwritten LSN {named} -> {overwritten}"),
        ));
    }
    info!("successfully skipped missing contrecord at {overwritten}");
    Ok(())
}

/// What was being replayed, as PostgreSQL's context line says it.
fn describe(record: &DecodedRecord) -> String {
    let kind = match record.rmgr {
        RmgrId::Xlog => xlog::operation_name(record.operation()).map(str::to_owned),
        _ => None,
    };
    let kind = kind.unwrap_or_else(|| format!("UNKNOWN ({:X})", record.operation()));
    format!("WAL redo at {} for {}/{kind}", record.lsn, record.rmgr.name())
}

/// The end of the WAL is worth a line in the log: it is where the data ends.
fn log_end(end: &EndOfWal) {
    if let Some(reason) = &end.reason {
        info!("{reason}");
    }
}

fn utc_text(unix_seconds: i64) -> String {
    let (days, second) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil_date(days: i64) -> (i64, i64, i64) {
    // Count from a 1 March, so that leap days end years and a 400-year cycle has a fixed length.
    let since = days + 719_468;
    let cycle = since.div_euclid(146_097);
    let day_of_cycle = since.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_cycle + cycle * 400 + i64::from(month <= 2), month, day)
}

/// Syncs every file below `path`: after a crash nobody knows which writes have reached the disk, and what
/// is read now will be taken for durable. `SyncDataDirectory`.
fn sync_tree(fs: &dyn FileSystem, path: &str) -> Result<()> {
    let entries = fs.list(path).map_err(|cause| Error::file_access("open directory", path, &cause))?;
    for entry in entries {
        let inner = if path == "." { entry.name.clone() } else { format!("{path}/{}", entry.name) };
        let follow = path == "pg_tblspc" || inner == WAL_DIRECTORY;
        match entry.kind {
            FileKind::Directory => sync_tree(fs, &inner)?,
            FileKind::SymbolicLink if follow => sync_tree(fs, &inner)?,
            FileKind::SymbolicLink => {}
            FileKind::File => sync_file(fs, &inner),
        }
    }
    fs.sync_directory(path).map_err(|cause| Error::file_access("fsync file", path, &cause))
}

/// PostgreSQL only complains here: files that can't be opened are not the cluster's.
fn sync_file(fs: &dyn FileSystem, path: &str) {
    let synced = fs.open(path, OpenOptions::EXISTING).and_then(|file| file.sync_data());
    if let Err(cause) = synced {
        let error = Error::file_access("fsync file", path, &cause);
        warn!("{}", error.message());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_messages() {
        assert_eq!(utc_text(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc_text(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc_text(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc_text(1_795_174_555), "2026-11-20 11:35:55 UTC");
    }
}
