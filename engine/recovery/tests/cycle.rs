//! A cluster's life: made, started, changed, lost, recovered, checkpointed, shut
//! down. PostgreSQL's pg_controldata and pg_waldump read it, if KOKKIRI_PG_BIN names their directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{
    BlockNumber, Fork, FullTransactionId, Lsn, Oid, RelFileLocator, RelFileNumber, TransactionId,
};
use kokkiri_recovery::bootstrap::{bootstrap_wal, new_system_identifier};
use kokkiri_recovery::checkpoint::{CheckpointMaker, CheckpointRequest, CheckpointSettings};
use kokkiri_recovery::control_file::{ClusterState, ControlFile, ControlFileStore};
use kokkiri_recovery::startup::{ResourceManagers, Startup, StartupOutcome};
use kokkiri_storage::file::{FileSystem, RealFileSystem};
use kokkiri_storage::smgr::{Persistence, RelationFile};
use kokkiri_storage::{
    BufferPool, CriticalSection, PageWriteGuard, Poison, PoolConfig, ReadMode, StorageManager,
};
use kokkiri_transaction::slru::SlruContext;
use kokkiri_transaction::{TransactionOptions, TransactionSystem};
use kokkiri_wal::Wal;
use kokkiri_wal::log::WalOptions;
use kokkiri_wal::record::{DecodedRecord, RecordBuilder, RegisterFlags};
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

const LOCATOR: RelFileLocator =
    RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16384) };

/// Replays the test's only record: the byte to put on the page.
struct FillManager;

impl ResourceManager for FillManager {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        context.redo_block(record, 0, |page, data| {
            page.bytes_mut()[24..].fill(data[0]);
            Ok(())
        })?;
        Ok(())
    }
}

struct Cluster {
    wal: Arc<Wal>,
    buffers: Arc<BufferPool>,
    control: Arc<ControlFileStore>,
    layers: Arc<kokkiri_transaction::Cluster>,
    maker: CheckpointMaker,
    outcome: StartupOutcome,
}

fn options(control: &ControlFile) -> WalOptions {
    WalOptions {
        system_identifier: control.system_identifier,
        segment_size: u64::from(control.segment_size),
        buffer_pages: 32,
        hints_are_logged: control.has_checksums(),
        ..WalOptions::default()
    }
}

fn file_system(path: &Path) -> Arc<dyn FileSystem> {
    Arc::new(RealFileSystem::new(path).expect("the directory is there"))
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kokkiri-recovery-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let slrus = ["pg_xact", "pg_subtrans", "pg_multixact/offsets", "pg_multixact/members"];
    for inner in ["global", "pg_wal", "base/5"].into_iter().chain(slrus) {
        std::fs::create_dir_all(path.join(inner)).expect("the temporary directory is writable");
    }
    let mut control = ControlFile::new(new_system_identifier(1), true, [7; 32]);
    control.segment_size = 1 << 20;
    let options = options(&control);
    bootstrap_wal(&file_system(&path), Poison::leak(), control, &options).expect("the disk works");
    path
}

fn start(path: &Path) -> Cluster {
    let new = !path.join("pg_xact/0000").exists();
    let fs = file_system(path);
    let poison = Poison::leak();
    let control = Arc::new(ControlFileStore::open(Arc::clone(&fs)).expect("it was written"));
    let processes = ProcessArray::new(8, 1);
    let wal = Wal::new(Arc::clone(&fs), Arc::clone(&processes), poison, &options(&control.read()))
        .expect("the options are valid");
    let storage = Arc::new(StorageManager::new(Arc::clone(&fs), poison, 64));
    let config = PoolConfig { frames: 64, ..PoolConfig::default() };
    let buffers = Arc::new(BufferPool::new(storage, Arc::clone(&wal) as _, config));
    let context = SlruContext { fs: Arc::clone(&fs), wal: Arc::clone(&wal), poison };
    let start = control.read().checkpoint_copy;
    let transactions = TransactionSystem::new(context, 8, &start, TransactionOptions::default());
    if new {
        transactions.bootstrap().expect("the disk works");
    }
    let layers =
        kokkiri_transaction::Cluster::new(Arc::clone(&buffers), Arc::clone(&wal), processes, transactions);
    let mut managers = ResourceManagers::default();
    managers.register(RmgrId::Generic, Arc::new(FillManager));
    let maker = CheckpointMaker::new(
        Arc::clone(&layers),
        Arc::clone(&control),
        CheckpointSettings { max_wal_size_mb: 4, min_wal_size_mb: 2, ..CheckpointSettings::default() },
    );
    let startup = Startup {
        cluster: Arc::clone(&layers),
        control: Arc::clone(&control),
        managers,
        context: ReplayContext::new(Arc::clone(&buffers)),
        parameters: control.read().parameters,
    };
    let outcome = startup.run().expect("the cluster can be started");
    if outcome.recovered {
        maker.make(CheckpointRequest::END_OF_RECOVERY, &mut |_| Ok(())).expect("the disk works");
    }
    startup.enter_production().expect("the disk works");
    Cluster { wal, buffers, control, layers, maker, outcome }
}

impl Cluster {
    fn file() -> RelationFile {
        RelationFile::new(LOCATOR, Persistence::Permanent)
    }

    fn add_pages(&self, count: u32) {
        let storage = self.buffers.storage_manager();
        storage.create(Self::file(), Fork::Main, true).expect("the disk works");
        for _ in 0..count {
            let mut guard =
                self.buffers.extend(Self::file(), Fork::Main, 1, None).expect("there is room").first;
            let critical = CriticalSection::enter();
            guard.page_mut(&critical).init(0);
            let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::FPI);
            record.register(0, &mut guard, RegisterFlags::FORCE_IMAGE | RegisterFlags::STANDARD);
            self.wal.insert(&critical, record);
        }
    }

    fn page(&self, block: u32) -> PageWriteGuard {
        let read = self.buffers.read(Self::file(), Fork::Main, BlockNumber(block), ReadMode::Normal, None);
        read.expect("the page is there").write()
    }

    /// Fills a page's body with a byte, as its record says; returns the record's end.
    fn fill(&self, block: u32, byte: u8, xid: u32) -> Lsn {
        let mut guard = self.page(block);
        let critical = CriticalSection::enter();
        guard.page_mut(&critical).bytes_mut()[24..].fill(byte);
        let mut record = RecordBuilder::new(RmgrId::Generic, 0);
        record
            .xid(Some(TransactionId(xid)))
            .register(0, &mut guard, RegisterFlags::NONE)
            .buffer_data(0, &[byte]);
        let end = self.wal.insert(&critical, record);
        assert_eq!(guard.lsn(), end);
        end
    }
}

#[test]
fn what_was_flushed_survives_and_the_rest_does_not() {
    let path = directory("crash");
    let first = start(&path);
    assert!(!first.outcome.recovered);
    assert_eq!(first.control.read().state, ClusterState::InProduction);
    first.add_pages(3);
    first.fill(0, 1, 750);
    first.maker.make(CheckpointRequest::COMMAND, &mut |_| Ok(())).expect("the disk works");
    first.fill(1, 2, 751);
    let durable = first.fill(0, 3, 752);
    first.wal.flush(durable).expect("the disk works");
    let lost = first.fill(2, 4, 753);
    drop(first);

    let second = start(&path);
    assert!(second.outcome.recovered);
    assert_eq!(second.outcome.end_of_log, durable);
    assert_eq!([0, 1, 2].map(|block| second.page(block).bytes()[100]), [3, 2, 0]);
    assert!(second.page(2).lsn() < lost);
    assert_eq!(second.layers.transactions.xids.next(), FullTransactionId(753));
    let control = second.control.read();
    assert_eq!(control.state, ClusterState::InProduction);
    assert_eq!(control.checkpoint_copy.redo, control.checkpoint);
    witnesses(&path, "in production");

    second.fill(2, 5, 754);
    second.maker.make(CheckpointRequest::SHUTDOWN, &mut |_| Ok(())).expect("the disk works");
    drop(second);
    witnesses(&path, "shut down");
    let third = start(&path);
    assert!(!third.outcome.recovered);
    assert_eq!(third.page(2).bytes()[100], 5);
    drop(third);
    std::fs::remove_dir_all(&path).expect("it is there");
}

#[test]
fn idle_checkpoints_are_skipped_and_old_segments_go() {
    let path = directory("segments");
    let cluster = start(&path);
    cluster.add_pages(2);
    for round in 0..8_u8 {
        for _ in 0..40 {
            cluster.fill(0, round, 800 + u32::from(round));
        }
        cluster.wal.switch_segment(&CriticalSection::enter(), true);
        let done = cluster.maker.make(CheckpointRequest::COMMAND, &mut |_| Ok(()));
        assert!(done.expect("the disk works").is_some());
    }
    let timed = CheckpointRequest { cause_time: true, ..CheckpointRequest::default() };
    assert!(cluster.maker.make(timed, &mut |_| Ok(())).expect("the disk works").is_none());
    let left = cluster.wal.files().list().expect("readable");
    assert!(left.len() <= 5, "{left:?}");
    let redo = cluster.control.read().checkpoint_copy.redo;
    assert!(left.iter().any(|(_, segment)| *segment == cluster.wal.geometry().segment_of(redo)));
    drop(cluster);
    let again = start(&path);
    assert_eq!(again.page(0).bytes()[100], 7);
    drop(again);
    std::fs::remove_dir_all(&path).expect("it is there");
}

#[test]
fn a_missing_page_that_is_never_dropped_is_corruption() {
    let path = directory("missing");
    let first = start(&path);
    first.add_pages(1);
    first.maker.make(CheckpointRequest::COMMAND, &mut |_| Ok(())).expect("the disk works");
    first.fill(0, 1, 750);
    let mut record = RecordBuilder::new(RmgrId::Generic, 0);
    let page = [1; 8192];
    record
        .register_block(0, (LOCATOR, Fork::Main, BlockNumber(9)), &page, RegisterFlags::NO_IMAGE)
        .buffer_data(0, &[1]);
    let end = first.wal.insert(&CriticalSection::enter(), record);
    first.wal.flush(end).expect("the disk works");
    drop(first);
    let failed = std::panic::catch_unwind(|| start(&path)).err().expect("recovery must fail");
    let message = failed.downcast_ref::<String>().expect("a message");
    assert!(message.contains("WAL contains references to invalid pages"), "{message}");
    assert!(message.contains("page 9 of relation base/5/16384 does not exist"), "{message}");
    std::fs::remove_dir_all(&path).expect("it is there");
}

fn witnesses(path: &Path, state: &str) {
    let Some(programs) = std::env::var_os("KOKKIRI_PG_BIN") else { return };
    let run = |name: &str, arguments: &[&str]| {
        let output = Command::new(Path::new(&programs).join(name))
            .args(arguments)
            .output()
            .expect("the program can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("{text}\n{errors}");
        (text, errors)
    };
    let data = path.to_str().expect("a plain path");
    let (control, errors) = run("pg_controldata", &[data]);
    assert!(control.contains(&format!("state:               {state}")), "{control}");
    assert!(errors.is_empty(), "{errors}");
    let (records, errors) = run("pg_waldump", &["-p", &format!("{data}/pg_wal"), "-s", "0/100028"]);
    for expected in [
        "CHECKPOINT_SHUTDOWN",
        "RUNNING_XACTS",
        "CHECKPOINT_REDO",
        "CHECKPOINT_ONLINE",
        "FPI",
        "rmgr: Generic",
    ] {
        assert!(records.contains(expected), "{expected} is missing in\n{records}");
    }
    assert!(errors.contains("invalid record length"), "{errors}");
}
