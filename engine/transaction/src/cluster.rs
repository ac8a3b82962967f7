//! One running data directory, as everything above storage and WAL sees it.

use std::sync::{Arc, OnceLock};

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_storage::{BufferPool, FileSystem, Poison, StorageManager};
use kokkiri_wal::Wal;

use crate::invalidation::Invalidation;
use crate::lock::LockManager;
use crate::system::TransactionSystem;

/// Delivers committed invalidations to the caches of all sessions.
type Delivery = Box<dyn Fn(&[Invalidation]) + Send + Sync>;

/// The layers below access, of one data directory. Handed around as `&Arc<Cluster>`.
pub struct Cluster {
    pub fs: Arc<dyn FileSystem>,
    pub storage: Arc<StorageManager>,
    pub buffers: Arc<BufferPool>,
    pub wal: Arc<Wal>,
    pub poison: &'static Poison,
    pub processes: Arc<ProcessArray>,
    pub transactions: TransactionSystem,
    pub locks: LockManager,
    delivery: OnceLock<Delivery>,
}

impl Cluster {
    /// Puts the layers together. The transaction system comes with the counters of the control file or,
    /// for a new data directory, of the first checkpoint.
    pub fn new(
        buffers: Arc<BufferPool>,
        wal: Arc<Wal>,
        processes: Arc<ProcessArray>,
        transactions: TransactionSystem,
    ) -> Arc<Self> {
        let storage = Arc::clone(buffers.storage_manager());
        Arc::new(Self {
            fs: Arc::clone(storage.file_system()),
            poison: storage.poison(),
            storage,
            buffers,
            wal,
            locks: LockManager::new(Arc::clone(&processes)),
            processes,
            transactions,
            delivery: OnceLock::new(),
        })
    }

    /// Installs what takes committed invalidations to the catalog's caches. Only the first call counts.
    pub fn install_invalidation_delivery(&self, deliver: impl Fn(&[Invalidation]) + Send + Sync + 'static) {
        let _ = self.delivery.set(Box::new(deliver));
    }

    /// Delivers messages that a commit, or its replay, has made true.
    pub fn deliver_invalidations(&self, messages: &[Invalidation]) {
        if let Some(deliver) = self.delivery.get()
            && !messages.is_empty()
        {
            deliver(messages);
        }
    }
}
