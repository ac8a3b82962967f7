//! One incarnation of the shared memory: everything that a crash throws away and recovery builds anew.
//!
//! An instance is put together from the control file and the settings ([`Instance::assemble`]), started
//! ([`Instance::start`]: replay, end-of-recovery checkpoint, workers) and at last stopped. Sessions hold
//! it; after a crash it lives until the last of them has gone, but writes nothing any more.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kokkiri_access::btree::redo::BtreeResourceManager;
use kokkiri_access::heap::{Heap2Resource, HeapResource};
use kokkiri_access::sequence::SequenceResource;
use kokkiri_catalog::database::Catalog;
use kokkiri_command::PasswordVerifiers;
use kokkiri_primitives::activity::{BackendType, Interrupt, ProcessArray};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{ServerSettings, SharedSettings, Source, Stored, Value, find, parameters};
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_recovery::checkpoint::{CheckpointMaker, CheckpointRequest};
use kokkiri_recovery::control_file::{ControlFile, ControlFileStore};
use kokkiri_recovery::startup::{ResourceManagers, Startup};
use kokkiri_storage::{BufferPool, FileSystem, Poison, PoolConfig, RealFileSystem, StorageManager};
use kokkiri_transaction::slru::SlruContext;
use kokkiri_transaction::{Cluster, TransactionOptions, TransactionSystem};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{WalOptions, WriterSettings};
use kokkiri_wal::record::ImageCompression;
use kokkiri_wal::replay::ReplayContext;
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::LoggedParameters;
use kokkiri_workers::{BackgroundWriterCounters, Checkpointer, Workers, checkpoint_settings};

/// Slots of the process array for what is neither a client nor a worker that settings count:
/// PostgreSQL's auxiliary processes and two special workers.
const AUXILIARY_SLOTS: i64 = 8 + 32;

/// What all sessions share from one start or crash to the next.
pub struct Instance {
    pub cluster: Arc<Cluster>,
    pub catalog: Arc<Catalog>,
    pub control: Arc<ControlFileStore>,
    pub checkpoints: Arc<CheckpointMaker>,
    pub checkpointer: Arc<Checkpointer>,
    pub background_writer: Arc<BackgroundWriterCounters>,
    pub(crate) started: TimestampTz,
    /// When the configuration files were last read, as a [`TimestampTz`].
    pub(crate) configuration_loaded: AtomicI64,
    pub(crate) passwords: Arc<dyn PasswordVerifiers>,
    settings: Arc<SharedSettings>,
    workers: Mutex<Option<Workers>>,
    /// Held while a backend's slot is being counted out.
    pub(crate) reserving: Mutex<()>,
}

/// An instance that is put together but has not replayed anything yet.
pub(crate) struct Assembly {
    pub cluster: Arc<Cluster>,
    pub control: Arc<ControlFileStore>,
    pub checkpoints: Arc<CheckpointMaker>,
    settings: Arc<SharedSettings>,
}

/// A data directory as files.
pub(crate) fn file_system(data_directory: &Path) -> Result<Arc<dyn FileSystem>> {
    let fs = RealFileSystem::new(data_directory)
        .map_err(|cause| Error::file_access("access directory", data_directory.display(), &cause))?;
    Ok(Arc::new(fs))
}

impl Assembly {
    /// Builds the layers of a data directory, lowest first.
    pub fn new(
        fs: &Arc<dyn FileSystem>,
        poison: &'static Poison,
        settings: &Arc<SharedSettings>,
    ) -> Result<Self> {
        let control = Arc::new(ControlFileStore::open(Arc::clone(fs))?);
        let state = control.read();
        settings.store(Arc::new(with_presets((*settings.load()).clone(), &state)));
        let values = settings.load();
        let processes = ProcessArray::new(process_slots(&values), std::process::id() as i32);
        let wal = Wal::new(Arc::clone(fs), Arc::clone(&processes), poison, &wal_options(&values, &state))?;
        let open_files = values.get(parameters::MAX_FILES_PER_PROCESS) as usize;
        let storage = Arc::new(StorageManager::new(Arc::clone(fs), poison, open_files));
        let buffers = Arc::new(BufferPool::new(storage, Arc::clone(&wal) as _, pool_config(&values, &state)));
        let context = SlruContext { fs: Arc::clone(fs), wal: Arc::clone(&wal), poison };
        let transactions = TransactionSystem::new(
            context,
            processes.capacity(),
            &state.checkpoint_copy,
            transaction_options(&values),
        );
        let cluster = Cluster::new(buffers, wal, processes, transactions);
        let checkpoints = Arc::new(CheckpointMaker::new(
            Arc::clone(&cluster),
            Arc::clone(&control),
            checkpoint_settings(&values),
        ));
        Ok(Self { cluster, control, checkpoints, settings: Arc::clone(settings) })
    }

    /// Replays what is to be replayed and opens the cluster for writing. The thread serves the startup's
    /// backend while it does.
    pub fn recover(&self) -> Result<()> {
        let registration = self.cluster.processes.register(BackendType::Startup).ok_or_else(no_slot)?;
        let _entered = registration.backend().enter();
        let startup = Startup {
            cluster: Arc::clone(&self.cluster),
            control: Arc::clone(&self.control),
            managers: resource_managers(),
            context: ReplayContext::new(Arc::clone(&self.cluster.buffers)),
            parameters: logged_parameters(&self.settings.load()),
        };
        let outcome = startup.run()?;
        if outcome.recovered {
            self.checkpoints.make(CheckpointRequest::END_OF_RECOVERY, &mut |_| Ok(()))?;
        }
        startup.enter_production()
    }

    /// Opens the catalogs and starts the workers.
    pub fn into_instance(self, passwords: Arc<dyn PasswordVerifiers>) -> Result<Arc<Instance>> {
        let catalog = Catalog::open(&self.cluster)?;
        let workers = Workers::start(&kokkiri_workers::Context {
            cluster: Arc::clone(&self.cluster),
            settings: Arc::clone(&self.settings),
            maker: Arc::clone(&self.checkpoints),
        })?;
        Ok(Arc::new(Instance {
            cluster: self.cluster,
            catalog,
            control: self.control,
            checkpoints: self.checkpoints,
            checkpointer: Arc::clone(&workers.checkpointer),
            background_writer: Arc::clone(&workers.background_writer),
            started: TimestampTz::now(),
            configuration_loaded: AtomicI64::new(TimestampTz::now().0),
            passwords,
            settings: self.settings,
            workers: Mutex::new(Some(workers)),
            reserving: Mutex::new(()),
        }))
    }
}

impl Instance {
    /// Starts a data directory: replays if it must, then starts the workers.
    pub(crate) fn start(
        fs: &Arc<dyn FileSystem>,
        poison: &'static Poison,
        settings: &Arc<SharedSettings>,
        passwords: &Arc<dyn PasswordVerifiers>,
    ) -> Result<Arc<Self>> {
        let assembly = Assembly::new(fs, poison, settings)?;
        assembly.recover()?;
        assembly.into_instance(Arc::clone(passwords))
    }

    /// The server's settings as of the last reload.
    pub fn settings(&self) -> Arc<ServerSettings> {
        self.settings.load()
    }

    /// Takes over what running layers keep of the settings, and tells every backend.
    pub(crate) fn settings_changed(&self) {
        self.configuration_loaded.store(TimestampTz::now().0, Ordering::Relaxed);
        let values = self.settings.load();
        self.cluster.wal.set_writer_settings(writer_settings(&values));
        self.cluster.wal.set_compression(compression(&values));
        let full_page_writes = values.get(parameters::FULL_PAGE_WRITES);
        if full_page_writes != self.cluster.wal.full_page_writes() {
            self.cluster.wal.change_full_page_writes(full_page_writes);
        }
        self.checkpoints.set_settings(checkpoint_settings(&values));
        self.interrupt_all(Interrupt::Reload, |_| true);
    }

    /// Raises an interrupt in every backend of the kinds chosen.
    pub(crate) fn interrupt_all(&self, interrupt: Interrupt, chosen: impl Fn(BackendType) -> bool) {
        for backend in self.cluster.processes.all() {
            if chosen(backend.kind) {
                backend.interrupt(interrupt);
            }
        }
    }

    /// Waits until no backend of the kinds chosen is left, at most for `patience`; tells whether that is so.
    pub(crate) fn wait_until_gone(
        &self,
        patience: Option<Duration>,
        chosen: impl Fn(BackendType) -> bool,
    ) -> bool {
        const LOOK_AGAIN: Duration = Duration::from_millis(2);
        let begun = std::time::Instant::now();
        while self.cluster.processes.all().iter().any(|backend| chosen(backend.kind)) {
            if patience.is_some_and(|patience| begun.elapsed() > patience) {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }

    /// Ends the workers; the checkpointer makes the shutdown checkpoint unless the instance has crashed.
    pub(crate) fn stop_workers(&self) -> Result<()> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).take();
        workers.map_or(Ok(()), Workers::stop)
    }
}

/// Settings with what the control file says of this data directory.
fn with_presets(mut settings: ServerSettings, control: &ControlFile) -> ServerSettings {
    let presets = [
        ("data_checksums", Value::Bool(control.has_checksums())),
        ("wal_segment_size", Value::Int(i64::from(control.segment_size))),
        ("server_encoding", Value::Text("UTF8".into())),
    ];
    for (name, value) in presets {
        if let Some((index, _)) = find(name) {
            settings.store(index, Stored { value, source: Source::Override, file: None });
        }
    }
    settings
}

fn no_slot() -> Error {
    Error::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
}

/// Who replays the records of what lies above the transaction layer.
fn resource_managers() -> ResourceManagers {
    let mut managers = ResourceManagers::default();
    managers.register(RmgrId::Heap, Arc::new(HeapResource));
    managers.register(RmgrId::Heap2, Arc::new(Heap2Resource));
    managers.register(RmgrId::Btree, Arc::new(BtreeResourceManager));
    managers.register(RmgrId::Sequence, Arc::new(SequenceResource));
    managers
}

/// Slots for every backend there may be: PostgreSQL's `MaxBackends` and its auxiliary processes.
fn process_slots(settings: &ServerSettings) -> usize {
    let counted = [
        parameters::MAX_CONNECTIONS,
        parameters::AUTOVACUUM_WORKER_SLOTS,
        parameters::MAX_WORKER_PROCESSES,
        parameters::MAX_WAL_SENDERS,
    ];
    (counted.iter().map(|key| settings.get(*key)).sum::<i64>() + AUXILIARY_SLOTS) as usize
}

fn compression(settings: &ServerSettings) -> ImageCompression {
    match settings.get(parameters::WAL_COMPRESSION) {
        "pglz" | "on" => ImageCompression::Pglz,
        "lz4" => ImageCompression::Lz4,
        _ => ImageCompression::Off,
    }
}

fn writer_settings(settings: &ServerSettings) -> WriterSettings {
    WriterSettings {
        commit_delay: Duration::from_micros(settings.get(parameters::COMMIT_DELAY) as u64),
        commit_siblings: settings.get(parameters::COMMIT_SIBLINGS) as usize,
        writer_delay: Duration::from_millis(settings.get(parameters::WAL_WRITER_DELAY) as u64),
        writer_flush_after: settings.get(parameters::WAL_WRITER_FLUSH_AFTER) as u64,
        fsync: settings.get(parameters::FSYNC),
    }
}

/// WAL options that settings and control file give.
pub(crate) fn wal_options(settings: &ServerSettings, control: &ControlFile) -> WalOptions {
    let writer = writer_settings(settings);
    // -1 means a 32nd of shared_buffers, within bounds: `XLOGChooseNumBuffers`.
    let buffer_pages = match settings.get(parameters::WAL_BUFFERS) {
        -1 => (settings.get(parameters::SHARED_BUFFERS) / 32).clamp(8, 2048),
        pages => pages.max(4),
    };
    WalOptions {
        system_identifier: control.system_identifier,
        segment_size: u64::from(control.segment_size),
        buffer_pages: buffer_pages as usize,
        full_page_writes: settings.get(parameters::FULL_PAGE_WRITES),
        compression: compression(settings),
        fsync: writer.fsync,
        init_zero: settings.get(parameters::WAL_INIT_ZERO),
        recycle: settings.get(parameters::WAL_RECYCLE),
        hints_are_logged: control.has_checksums() || settings.get(parameters::WAL_LOG_HINTS),
        commit_delay: writer.commit_delay,
        commit_siblings: writer.commit_siblings,
        writer_delay: writer.writer_delay,
        writer_flush_after: writer.writer_flush_after,
    }
}

fn pool_config(settings: &ServerSettings, control: &ControlFile) -> PoolConfig {
    let frames = settings.get(parameters::SHARED_BUFFERS) as usize;
    PoolConfig {
        frames,
        checksums: control.has_checksums(),
        zero_damaged_pages: settings.get(parameters::ZERO_DAMAGED_PAGES),
        ignore_checksum_failure: settings.get(parameters::IGNORE_CHECKSUM_FAILURE),
        track_io_timing: settings.get(parameters::TRACK_IO_TIMING),
        pin_limit: (frames / process_slots(settings).max(1)).max(8),
        io_combine_limit: settings.get(parameters::IO_COMBINE_LIMIT) as usize,
        effective_io_concurrency: settings.get(parameters::EFFECTIVE_IO_CONCURRENCY) as usize,
        local_frames: settings.get(parameters::TEMP_BUFFERS) as usize,
    }
}

fn transaction_options(settings: &ServerSettings) -> TransactionOptions {
    let pages = |key| settings.get(key) as usize;
    TransactionOptions {
        transaction_buffers: pages(parameters::TRANSACTION_BUFFERS),
        subtransaction_buffers: pages(parameters::SUBTRANSACTION_BUFFERS),
        multixact_offset_buffers: pages(parameters::MULTIXACT_OFFSET_BUFFERS),
        multixact_member_buffers: pages(parameters::MULTIXACT_MEMBER_BUFFERS),
        shared_buffers_pages: pages(parameters::SHARED_BUFFERS),
        autovacuum_freeze_max_age: settings.get(parameters::AUTOVACUUM_FREEZE_MAX_AGE) as u32,
        autovacuum_multixact_freeze_max_age: settings.get(parameters::AUTOVACUUM_MULTIXACT_FREEZE_MAX_AGE)
            as u32,
        standby_info: settings.get(parameters::WAL_LEVEL) != "minimal",
    }
}

/// The parameters that the control file and the WAL carry, for standbys.
fn logged_parameters(settings: &ServerSettings) -> LoggedParameters {
    let number = |key| settings.get(key) as i32;
    LoggedParameters {
        max_connections: number(parameters::MAX_CONNECTIONS),
        max_worker_processes: number(parameters::MAX_WORKER_PROCESSES),
        max_wal_senders: number(parameters::MAX_WAL_SENDERS),
        max_prepared_transactions: number(parameters::MAX_PREPARED_TRANSACTIONS),
        max_locks_per_transaction: number(parameters::MAX_LOCKS_PER_TRANSACTION),
        wal_level: checkpoint_settings(settings).wal_level,
        wal_log_hints: settings.get(parameters::WAL_LOG_HINTS),
        track_commit_timestamp: settings.get(parameters::TRACK_COMMIT_TIMESTAMP),
    }
}
