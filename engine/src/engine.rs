//! One running data directory.

use std::sync::Arc;

use kokkiri_primitives::Oid;
use kokkiri_primitives::activity::Registration;
use kokkiri_primitives::settings::Settings;

use crate::client::ConnectRequest;
use crate::instance::Instance;

/// What a session starts with: a backend that has been let in.
pub struct SessionStart {
    pub instance: Arc<Instance>,
    pub registration: Registration,
    pub request: ConnectRequest,
    /// With the values of database, role and startup packet.
    pub settings: Settings,
    pub role: Oid,
    pub database: Oid,
    /// The database's default tablespace.
    pub tablespace: Oid,
}
