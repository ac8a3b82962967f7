//! A checkpoint that comes while a file is being cut.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use kokkiri_primitives::activity::BackendType;
use kokkiri_primitives::ids::{BlockNumber, Fork, RelFileLocator, RelFileNumber};
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_storage::{RelationFile, SimulatedFileSystem};
use kokkiri_transaction::BeginOptions;

use crate::instance::{DATABASE, Instance, Shape, TABLESPACE, create};

/// Time enough for a checkpoint that waits for nobody.
const A_WHILE: Duration = Duration::from_millis(200);

/// The disk as it was between the record and the cut, and the checkpoint that began then.
type Interrupted = (SimulatedFileSystem, JoinHandle<()>);

fn blocks_after_crash(disk: &SimulatedFileSystem, shape: Shape, file: RelationFile) -> u32 {
    let instance = Instance::start(disk.crash(7), shape).expect("it recovers");
    instance.cluster.storage.blocks(file, Fork::Main).expect("there")
}

#[test]
fn a_tail_that_was_cut_stays_away_whatever_a_checkpoint_does_meanwhile() {
    let shape = Shape { checksums: true, frames: 64, wal_buffers: 64, first_xid: 750 };
    let disk = SimulatedFileSystem::new(1);
    create(&disk, shape);
    let instance = Instance::start(disk.copy(2), shape).expect("a new cluster starts");
    let client = instance.client();
    let _entered = client.registration.backend().enter();
    let file = RelationFile::permanent(RelFileLocator {
        tablespace: TABLESPACE,
        database: DATABASE,
        number: RelFileNumber(20001),
    });
    let transaction = client.begin(BeginOptions::default());
    transaction.create_storage(file, true).expect("created");
    instance.cluster.buffers.extend(file, Fork::Main, 10, None).expect("room");
    transaction.commit().expect("the disk works");
    instance.maker.make(CheckpointRequest::COMMAND, &mut |_| Ok(())).expect("the disk works");

    // Between the record and the cut a checkpoint is asked for; then power fails, or it doesn't.
    let between: Arc<Mutex<Option<Interrupted>>> = Arc::default();
    let (maker, cluster, live) =
        (Arc::clone(&instance.maker), Arc::clone(&instance.cluster), Arc::clone(&between));
    let running = instance.disk.clone();
    instance.disk.before_truncations(move || {
        let (maker, cluster) = (Arc::clone(&maker), Arc::clone(&cluster));
        let checkpoint = std::thread::spawn(move || {
            let registration = cluster.processes.register(BackendType::Checkpointer).expect("there is room");
            let _entered = registration.backend().enter();
            maker.make(CheckpointRequest::COMMAND, &mut |_| Ok(())).expect("the disk works");
        });
        std::thread::sleep(A_WHILE);
        let before = live.lock().expect("no panic").replace((running.copy(3), checkpoint));
        assert!(before.is_none(), "one file is cut, once");
    });
    let transaction = client.begin(BeginOptions::default());
    transaction.truncate_storage(file, BlockNumber(4), true).expect("cut");
    transaction.commit().expect("the disk works");
    let (in_between, checkpoint) = between.lock().expect("no panic").take().expect("a file was cut");
    checkpoint.join().expect("it goes on once the file is cut");

    assert_eq!(blocks_after_crash(&in_between, shape, file), 4);
    assert_eq!(blocks_after_crash(&instance.disk, shape, file), 4);
}
