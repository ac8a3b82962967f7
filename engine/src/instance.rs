//! One incarnation of the shared memory: everything that a crash throws away and recovery builds anew.

use std::sync::{Arc, PoisonError, RwLock};

use kokkiri_primitives::settings::ServerSettings;
use kokkiri_transaction::Cluster;

/// What all sessions share from one start or crash to the next.
pub struct Instance {
    pub cluster: Arc<Cluster>,
    settings: RwLock<Arc<ServerSettings>>,
}

impl Instance {
    /// The server's settings as of the last reload.
    pub fn settings(&self) -> Arc<ServerSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }
}
