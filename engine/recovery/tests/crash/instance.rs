//! A cluster below SQL on a simulated disk: made, started as the engine starts it, and lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kokkiri_access::btree::redo::BtreeResourceManager;
use kokkiri_access::heap::{Heap2Resource, HeapResource};
use kokkiri_access::sequence::SequenceResource;
use kokkiri_primitives::activity::{BackendType, ProcessArray, Registration};
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{FullTransactionId, Oid};
use kokkiri_recovery::bootstrap::bootstrap_wal;
use kokkiri_recovery::checkpoint::{CheckpointMaker, CheckpointRequest, CheckpointSettings};
use kokkiri_recovery::control_file::{ControlFile, ControlFileStore};
use kokkiri_recovery::startup::{ResourceManagers, Startup, StartupOutcome};
use kokkiri_storage::file::FileSystem;
use kokkiri_storage::{BufferPool, Poison, PoolConfig, SimulatedFileSystem, StorageManager};
use kokkiri_transaction::slru::SlruContext;
use kokkiri_transaction::{BeginOptions, Cluster, Transaction, TransactionOptions, TransactionSystem};
use kokkiri_wal::Wal;
use kokkiri_wal::log::WalOptions;
use kokkiri_wal::record::DecodedRecord;
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;

pub const DATABASE: Oid = Oid(5);
pub const TABLESPACE: Oid = Oid(1663);
const BACKENDS: usize = 12;
const SEGMENT_SIZE: u32 = 1 << 20;

/// What may differ between clusters.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub checksums: bool,
    /// Pages of the buffer pool: few, so that pages are written in passing.
    pub frames: usize,
    /// Pages of the WAL's buffers.
    pub wal_buffers: usize,
    /// Shortly before a page of the commit log is full, to see the next one begin.
    pub first_xid: u64,
}

/// Records replayed by all starts, by resource manager and the high half of their info: what the sweep
/// has covered.
static REPLAYED: [AtomicU64; 32 * 16] = [const { AtomicU64::new(0) }; 32 * 16];

/// How many records of a kind have been replayed.
pub fn replayed(rmgr: RmgrId, info: u8) -> u64 {
    REPLAYED[rmgr as usize * 16 + usize::from(info >> 4)].load(Ordering::Relaxed)
}

/// Counts what a resource manager replays.
struct Counted<R>(R);

impl<R: ResourceManager + 'static> Counted<R> {
    fn wrap(manager: R) -> Arc<dyn ResourceManager> {
        Arc::new(Self(manager))
    }
}

impl<R: ResourceManager> ResourceManager for Counted<R> {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        let kind = record.rmgr as usize * 16 + usize::from(record.operation() >> 4);
        REPLAYED[kind].fetch_add(1, Ordering::Relaxed);
        self.0.redo(context, record)
    }
}

/// One start of a cluster.
pub struct Instance {
    pub disk: SimulatedFileSystem,
    pub cluster: Arc<Cluster>,
    pub maker: Arc<CheckpointMaker>,
    pub poison: &'static Poison,
    pub outcome: StartupOutcome,
    pub shape: Shape,
}

fn wal_options(control: &ControlFile, shape: Shape) -> WalOptions {
    WalOptions {
        system_identifier: control.system_identifier,
        segment_size: u64::from(control.segment_size),
        buffer_pages: shape.wal_buffers,
        hints_are_logged: control.has_checksums(),
        // The WAL writer's rounds are steps of the workload, not of the clock.
        writer_delay: std::time::Duration::ZERO,
        ..WalOptions::default()
    }
}

/// A new data directory, durable as a whole.
pub fn create(disk: &SimulatedFileSystem, shape: Shape) {
    for path in [
        "global",
        "pg_wal",
        "base",
        "base/5",
        "pg_xact",
        "pg_subtrans",
        "pg_multixact",
        "pg_multixact/offsets",
        "pg_multixact/members",
        "pg_tblspc",
    ] {
        disk.create_directory(path).expect("the disk is empty");
    }
    let mut control = ControlFile::new(7_300_000_000_000_000_003, shape.checksums, [7; 32]);
    control.segment_size = SEGMENT_SIZE;
    let options = wal_options(&control, shape);
    let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
    bootstrap_wal(&fs, Poison::leak(), control, &options).expect("the disk works");
    let instance = Instance::start_with(disk.clone(), shape, true).expect("a new cluster starts");
    instance.cluster.transactions.xids.set_next(FullTransactionId(shape.first_xid));
    instance.maker.make(CheckpointRequest::SHUTDOWN, &mut |_| Ok(())).expect("the disk works");
    disk.sync_everything();
}

impl Instance {
    /// Starts the cluster as the engine does: replays what is to be replayed, opens it for transactions.
    pub fn start(disk: SimulatedFileSystem, shape: Shape) -> Result<Self> {
        Self::start_with(disk, shape, false)
    }

    fn start_with(disk: SimulatedFileSystem, shape: Shape, is_new: bool) -> Result<Self> {
        let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
        let poison = Poison::leak();
        let control = Arc::new(ControlFileStore::open(Arc::clone(&fs))?);
        let processes = ProcessArray::new(BACKENDS, 1);
        let options = wal_options(&control.read(), shape);
        let wal = Wal::new(Arc::clone(&fs), Arc::clone(&processes), poison, &options)?;
        let storage = Arc::new(StorageManager::new(Arc::clone(&fs), poison, 64));
        let config = PoolConfig { frames: shape.frames, checksums: shape.checksums, ..PoolConfig::default() };
        let buffers = Arc::new(BufferPool::new(storage, Arc::clone(&wal) as _, config));
        let context = SlruContext { fs: Arc::clone(&fs), wal: Arc::clone(&wal), poison };
        let start = control.read().checkpoint_copy;
        let options =
            TransactionOptions { shared_buffers_pages: shape.frames, ..TransactionOptions::default() };
        let transactions = TransactionSystem::new(context, BACKENDS, &start, options);
        if is_new {
            transactions.bootstrap()?;
        }
        let cluster = Cluster::new(Arc::clone(&buffers), Arc::clone(&wal), processes, transactions);
        let mut managers = ResourceManagers::default();
        managers.register(RmgrId::Heap, Counted::wrap(HeapResource));
        managers.register(RmgrId::Heap2, Counted::wrap(Heap2Resource));
        managers.register(RmgrId::Btree, Counted::wrap(BtreeResourceManager));
        managers.register(RmgrId::Sequence, Counted::wrap(SequenceResource));
        let settings = CheckpointSettings {
            max_wal_size_mb: 6,
            min_wal_size_mb: 2,
            log_checkpoints: false,
            ..CheckpointSettings::default()
        };
        let maker = Arc::new(CheckpointMaker::new(Arc::clone(&cluster), Arc::clone(&control), settings));
        let startup = Startup {
            cluster: Arc::clone(&cluster),
            control: Arc::clone(&control),
            managers,
            context: ReplayContext::new(Arc::clone(&buffers)),
            parameters: control.read().parameters,
        };
        let outcome = startup.run()?;
        if outcome.recovered {
            maker.make(CheckpointRequest::END_OF_RECOVERY, &mut |_| Ok(()))?;
        }
        startup.enter_production()?;
        Ok(Self { disk, cluster, maker, poison, outcome, shape })
    }

    pub fn client(&self) -> Client {
        let registration = self.cluster.processes.register(BackendType::Client).expect("there is room");
        registration.backend().set_database(DATABASE);
        Client { cluster: Arc::clone(&self.cluster), registration }
    }
}

/// A client backend.
pub struct Client {
    cluster: Arc<Cluster>,
    pub registration: Registration,
}

impl Client {
    pub fn begin(&self, options: BeginOptions) -> Box<Transaction> {
        let options = BeginOptions { tablespace: Some(TABLESPACE), ..options };
        Transaction::begin(&self.cluster, self.registration.backend(), options)
    }
}
