//! A cluster on disk for the tests of this crate and of those above it: a fresh data directory, or the replay
//! of one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kokkiri_primitives::activity::{BackendType, ProcessArray, Registration};
use kokkiri_primitives::{FullTransactionId, Lsn, MultiXactId, Oid, TimelineId, TransactionId};
use kokkiri_storage::{BufferPool, FileSystem, Poison, PoolConfig, RealFileSystem, StorageManager};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber};
use kokkiri_wal::reader::{ReadOutcome, WalReader};
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog::CheckPoint;

use crate::slru::SlruContext;
use crate::{BeginOptions, Cluster, Transaction, TransactionOptions, TransactionSystem};

pub const SYSTEM_IDENTIFIER: u64 = 7_300_000_000_000_000_002;
pub const FIRST_XID: u32 = 731;

/// A data directory that goes away with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kokkiri-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        for directory in
            ["pg_wal", "pg_xact", "pg_subtrans", "pg_multixact/offsets", "pg_multixact/members", "base/5"]
        {
            std::fs::create_dir_all(path.join(directory)).expect("the temporary directory is writable");
        }
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(RealFileSystem::new(&self.0).expect("the directory is there"))
    }

    /// A cluster whose WAL starts at the first segment, with PostgreSQL's first counters.
    fn assemble(&self, options: TransactionOptions) -> Arc<Cluster> {
        let (fs, processes, poison) = (self.file_system(), ProcessArray::new(64, 1000), Poison::leak());
        let wal_options = WalOptions {
            system_identifier: SYSTEM_IDENTIFIER,
            segment_size: geometry().segment_size(),
            ..WalOptions::default()
        };
        let wal = Wal::new(Arc::clone(&fs), Arc::clone(&processes), poison, &wal_options).expect("valid");
        let storage = Arc::new(StorageManager::new(Arc::clone(&fs), poison, 100));
        let config = PoolConfig { frames: 64, ..PoolConfig::default() };
        let buffers = Arc::new(BufferPool::new(storage, Arc::clone(&wal) as _, config));
        let context = SlruContext { fs, wal: Arc::clone(&wal), poison };
        let start = CheckPoint {
            next_xid: FullTransactionId(u64::from(FIRST_XID)),
            next_oid: Oid(16384),
            next_multixact: MultiXactId(1),
            next_multixact_offset: 0,
            oldest_xid: TransactionId(FIRST_XID),
            oldest_xid_database: Oid(1),
            oldest_multixact: MultiXactId(1),
            oldest_multixact_database: Oid(1),
            ..CheckPoint::default()
        };
        let transactions = TransactionSystem::new(context, processes.capacity(), &start, options);
        Cluster::new(buffers, wal, processes, transactions)
    }

    /// A new data directory, ready for transactions.
    pub fn create(&self) -> Arc<Cluster> {
        let cluster = self.assemble(TransactionOptions::default());
        cluster.transactions.bootstrap().expect("the directory is writable");
        cluster.wal.start_insertion(&first_segment());
        cluster.transactions.end_recovery().expect("there is nothing to replay");
        cluster
    }

    /// What the WAL makes of the data directory's files as they are. `managers` replay what is not this
    /// crate's.
    pub fn replay(&self, managers: &[(RmgrId, &dyn ResourceManager)]) -> Arc<Cluster> {
        let cluster = self.assemble(TransactionOptions::default());
        let mut reader = WalReader::new(self.file_system(), geometry(), TimelineId(1), SYSTEM_IDENTIFIER);
        reader.seek(first_segment().end_of_log);
        let context = ReplayContext::new(Arc::clone(&cluster.buffers));
        while let ReadOutcome::Record(record) = reader.read().expect("the WAL is readable") {
            let rmgr = record.rmgr;
            cluster.transactions.note_xid(record.xid);
            let above = managers.iter().find(|(id, _)| *id == rmgr);
            match above {
                Some((_, manager)) => manager.redo(&context, &record).expect("a record of the manager's"),
                None if rmgr == RmgrId::Xlog => {}
                None => crate::redo::redo(&cluster, &context, rmgr, &record).expect("a record of ours"),
            }
        }
        let start = InsertStart {
            timeline: TimelineId(1),
            end_of_log: reader.position(),
            last_record: reader.last_record().unwrap_or(Lsn::INVALID),
            redo: first_segment().end_of_log,
            last_page: reader.last_page().expect("just read"),
        };
        cluster.wal.start_insertion(&start);
        cluster.transactions.end_recovery().expect("replay went well");
        cluster
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn geometry() -> Geometry {
    Geometry::new(1 << 20).expect("1 MB is valid")
}

fn first_segment() -> InsertStart {
    let lsn = geometry().segment_start(SegmentNumber(1));
    InsertStart {
        timeline: TimelineId(1),
        end_of_log: lsn,
        last_record: Lsn::INVALID,
        redo: lsn,
        last_page: None,
    }
}

/// A client backend of the cluster.
pub struct Client {
    pub cluster: Arc<Cluster>,
    pub registration: Registration,
}

impl Client {
    pub fn new(cluster: &Arc<Cluster>) -> Self {
        let registration = cluster.processes.register(BackendType::Client).expect("there is room");
        registration.backend().set_database(Oid(5));
        cluster.transactions.proc_array.attach(registration.backend().number, Some(Oid(5)));
        Self { cluster: Arc::clone(cluster), registration }
    }

    pub fn begin(&self) -> Box<Transaction> {
        self.begin_with(BeginOptions { tablespace: Some(Oid(1663)), ..BeginOptions::default() })
    }

    pub fn begin_with(&self, options: BeginOptions) -> Box<Transaction> {
        Transaction::begin(&self.cluster, self.registration.backend(), options)
    }

    pub fn pid(&self) -> i32 {
        self.registration.backend().pid
    }
}
