//! A cluster for tests: catalogs bootstrapped on a simulated disk, and sessions that work on them.
//!
//! What the facade does with a real data directory, in a few lines and without workers or recovery, so
//! that the crates between catalog and facade can test against true catalogs. Filling the catalogs once
//! and copying the disk makes further clusters cheap.

use std::sync::{Arc, OnceLock};

use kokkiri_primitives::activity::{BackendType, ProcessArray, Registration};
use kokkiri_primitives::settings::{ServerSettings, Settings};
use kokkiri_primitives::{FullTransactionId, Lsn, MultiXactId, Oid, RelFileLocator, Result, TimelineId};
use kokkiri_primitives::{TransactionId, error::Error};
use kokkiri_storage::{BufferPool, FileSystem, Poison, PoolConfig, SimulatedFileSystem, StorageManager};
use kokkiri_transaction::slru::SlruContext;
use kokkiri_transaction::{BeginOptions, Cluster, Transaction, TransactionOptions, TransactionSystem};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber};
use kokkiri_wal::xlog::CheckPoint;

use crate::bootstrap::{self, BOOTSTRAP_SUPERUSER, BootstrapOptions, TEMPLATE1};
use crate::database::Catalog;
use crate::view::{CatalogSession, CatalogView};

const DIRECTORIES: [&str; 9] = [
    "global",
    "base",
    "base/1",
    "base/pgsql_tmp",
    "pg_wal",
    "pg_xact",
    "pg_subtrans",
    "pg_multixact/offsets",
    "pg_multixact/members",
];
const SEGMENT_SIZE: u64 = 16 << 20;
const FRAMES: usize = 4096;

/// A running cluster with filled catalogs.
pub struct TestCluster {
    pub cluster: Arc<Cluster>,
    pub catalog: Arc<Catalog>,
    pub fs: SimulatedFileSystem,
}

impl TestCluster {
    /// A cluster whose template1 is as init leaves it before it runs any SQL.
    ///
    /// # Panics
    /// If the catalogs can't be filled: nothing can be tested then.
    pub fn new() -> Self {
        let fs = SimulatedFileSystem::new(1);
        for directory in DIRECTORIES {
            fs.create_directories(directory).expect("the simulated disk is empty");
        }
        let cluster = assemble(&fs);
        bootstrap::write_relation_maps(&fs).expect("the disk works");
        let catalog = Catalog::open(&cluster).expect("the relation map was just written");
        let new = Self { cluster, catalog, fs };
        let client = new.client();
        client
            .run(|view| bootstrap::fill(view, &BootstrapOptions { superuser: "postgres" }))
            .expect("the catalogs can be filled");
        drop(client);
        new
    }

    /// The cluster that all tests of a process share, each working on objects of its own.
    pub fn shared() -> &'static TestCluster {
        static SHARED: OnceLock<TestCluster> = OnceLock::new();
        SHARED.get_or_init(TestCluster::new)
    }

    /// A session of the superuser in template1.
    pub fn client(&self) -> TestClient {
        let registration = self.cluster.processes.register(BackendType::Client).expect("there is room");
        registration.backend().set_database(TEMPLATE1);
        self.cluster.transactions.proc_array.attach(registration.backend().number, Some(TEMPLATE1));
        let database = self
            .catalog
            .database(TEMPLATE1, RelFileLocator::DEFAULT_TABLESPACE)
            .expect("the relation map is there");
        TestClient {
            session: CatalogSession::new(Arc::clone(&self.catalog), database),
            settings: Settings::new(Arc::new(ServerSettings::new())),
            cluster: Arc::clone(&self.cluster),
            role: BOOTSTRAP_SUPERUSER,
            registration,
        }
    }
}

impl Default for TestCluster {
    fn default() -> Self {
        Self::new()
    }
}

/// A session of a [`TestCluster`].
pub struct TestClient {
    pub session: CatalogSession,
    pub settings: Settings,
    pub cluster: Arc<Cluster>,
    pub role: Oid,
    pub registration: Registration,
}

impl TestClient {
    pub fn begin(&self) -> Box<Transaction> {
        let options =
            BeginOptions { tablespace: Some(RelFileLocator::DEFAULT_TABLESPACE), ..BeginOptions::default() };
        Transaction::begin(&self.cluster, self.registration.backend(), options)
    }

    pub fn view<'a>(&'a self, transaction: &'a Transaction) -> CatalogView<'a> {
        CatalogView { session: &self.session, transaction, settings: &self.settings, role: self.role }
    }

    /// Makes what the last command did visible to the next.
    pub fn end_command(&self, transaction: &Transaction) -> Result<()> {
        if transaction.advance_command()? {
            self.session.command_ended();
        }
        Ok(())
    }

    pub fn commit(&self, transaction: Box<Transaction>) -> Result<()> {
        let committed = transaction.commit().map(drop);
        self.session.transaction_ended();
        committed
    }

    pub fn abort(&self, transaction: Box<Transaction>) -> Vec<Error> {
        let failures = transaction.abort();
        self.session.transaction_ended();
        failures
    }

    /// Does something in a transaction of its own: committed if it succeeds, else aborted.
    pub fn run<T>(&self, work: impl FnOnce(&CatalogView<'_>) -> Result<T>) -> Result<T> {
        let _entered = self.registration.backend().enter();
        let transaction = self.begin();
        match work(&self.view(&transaction)) {
            Ok(answer) => self.commit(transaction).map(|()| answer),
            Err(error) => {
                self.abort(transaction);
                Err(error)
            }
        }
    }
}

/// The layers below on an empty disk, started as `init` starts them.
fn assemble(fs: &SimulatedFileSystem) -> Arc<Cluster> {
    let fs: Arc<dyn FileSystem> = Arc::new(fs.clone());
    let (processes, poison) = (ProcessArray::new(64, 1000), Poison::leak());
    let options = WalOptions {
        system_identifier: 7_300_000_000_000_000_003,
        segment_size: SEGMENT_SIZE,
        ..WalOptions::default()
    };
    let wal = Wal::new(Arc::clone(&fs), Arc::clone(&processes), poison, &options).expect("valid options");
    let storage = Arc::new(StorageManager::new(Arc::clone(&fs), poison, 1000));
    let config = PoolConfig { frames: FRAMES, ..PoolConfig::default() };
    let buffers = Arc::new(BufferPool::new(storage, Arc::clone(&wal) as _, config));
    let context = SlruContext { fs, wal: Arc::clone(&wal), poison };
    let start = CheckPoint {
        next_xid: FullTransactionId(u64::from(TransactionId::FIRST_NORMAL.0)),
        next_oid: Oid(16384),
        next_multixact: MultiXactId::FIRST,
        next_multixact_offset: 0,
        oldest_xid: TransactionId::FIRST_NORMAL,
        oldest_xid_database: TEMPLATE1,
        oldest_multixact: MultiXactId::FIRST,
        oldest_multixact_database: TEMPLATE1,
        ..CheckPoint::default()
    };
    let options = TransactionOptions::default();
    let transactions = TransactionSystem::new(context, processes.capacity(), &start, options);
    let cluster = Cluster::new(buffers, wal, processes, transactions);
    cluster.transactions.bootstrap().expect("the disk is empty");
    let lsn = Geometry::new(SEGMENT_SIZE).expect("valid").segment_start(SegmentNumber(1));
    cluster.wal.start_insertion(&InsertStart {
        timeline: TimelineId(1),
        end_of_log: lsn,
        last_record: Lsn::INVALID,
        redo: lsn,
        last_page: None,
    });
    cluster.transactions.end_recovery().expect("there is nothing to replay");
    cluster
}
