//! The background workers: checkpointer, background writer, WAL writer.
//!
//! Each is a named thread and an entry of the process array, sleeping on its latch. What they do lies
//! below (checkpoints in `recovery`, sweeping in the buffer pool, flushing in the WAL); here stands when.
//!
//! Life: [`Workers::start`] once the cluster is in production. At a stop first the writers end, then the
//! checkpointer, which makes the shutdown checkpoint when nobody writes any more. After a crash all of
//! them end as they are.
//!
//! An error in a worker's round is logged, and the worker goes on after a second, as PostgreSQL's do. A
//! worker that panics takes the instance down: nobody could say what it left half done.
#![forbid(unsafe_code)]

mod background_writer;
mod checkpointer;
mod wal_writer;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kokkiri_primitives::activity::BackendType;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::settings::SharedSettings;
use kokkiri_recovery::checkpoint::CheckpointMaker;
use kokkiri_transaction::Cluster;

pub use checkpointer::{Checkpointer, checkpoint_settings};

use worker::Worker;

/// Numbers behind pg_stat_bgwriter, since the start.
#[derive(Debug, Default)]
pub struct BackgroundWriterCounters {
    pub buffers_clean: AtomicU64,
    pub maxwritten_clean: AtomicU64,
}

/// What every worker works on.
#[derive(Clone)]
pub struct Context {
    pub cluster: Arc<Cluster>,
    pub settings: Arc<SharedSettings>,
    pub maker: Arc<CheckpointMaker>,
}

/// The running workers of one instance.
pub struct Workers {
    pub checkpointer: Arc<Checkpointer>,
    pub background_writer: Arc<BackgroundWriterCounters>,
    writers: Vec<Worker>,
    checkpointing: Worker,
}

impl Workers {
    /// Starts all workers.
    ///
    /// # Errors
    /// If the process array has no room or a thread can't be started.
    pub fn start(context: &Context) -> Result<Self> {
        let counters = Arc::new(BackgroundWriterCounters::default());
        let wal_writer = {
            let context = context.clone();
            Worker::start(&context.cluster.clone(), BackendType::WalWriter, move |backend| {
                wal_writer::run(&context, backend);
            })?
        };
        let background_writer = {
            let (context, counters) = (context.clone(), Arc::clone(&counters));
            Worker::start(&context.cluster.clone(), BackendType::BackgroundWriter, move |_| {
                background_writer::run(&context, &counters);
            })?
        };
        let checkpointer = Arc::new(Checkpointer::default());
        let checkpointing = {
            let (context, checkpointer) = (context.clone(), Arc::clone(&checkpointer));
            Worker::start(&context.cluster.clone(), BackendType::Checkpointer, move |backend| {
                checkpointer.run(&context, backend);
            })?
        };
        Ok(Self {
            checkpointer,
            background_writer: counters,
            writers: vec![wal_writer, background_writer],
            checkpointing,
        })
    }

    /// Stops all workers. Unless the instance has crashed, the checkpointer's last deed is the shutdown
    /// checkpoint; its result is returned.
    ///
    /// # Errors
    /// If that checkpoint failed: the next start will recover.
    pub fn stop(self) -> Result<()> {
        self.writers.iter().for_each(Worker::ask_to_end);
        self.writers.into_iter().for_each(Worker::join);
        self.checkpointing.ask_to_end();
        self.checkpointing.join();
        self.checkpointer.outcome()
    }
}
