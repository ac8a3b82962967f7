//! The catalogs of a cluster and of each database: their caches and relation maps.

use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use kokkiri_primitives::{Error, Oid, RelFileLocator, RelFileNumber, Result};
use kokkiri_storage::smgr::database_directory;
use kokkiri_transaction::{Cluster, Invalidation};

use crate::cache::{Cache, Stale};
use crate::relation_map::{self, RelationMap};
use crate::shapes;

/// The catalogs of one cluster, shared by all sessions.
pub struct Catalog {
    cluster: Arc<Cluster>,
    shared: Cache,
    shared_map: RwLock<RelationMap>,
    databases: DashMap<Oid, Arc<DatabaseState>>,
}

/// What is kept of one database.
pub struct DatabaseState {
    oid: Oid,
    tablespace: Oid,
    cache: Cache,
    map: RwLock<RelationMap>,
}

impl DatabaseState {
    pub fn oid(&self) -> Oid {
        self.oid
    }

    /// The database's default tablespace.
    pub fn tablespace(&self) -> Oid {
        self.tablespace
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}

impl Catalog {
    /// Opens the catalogs: reads the shared relation map and takes delivery of invalidations.
    pub fn open(cluster: &Arc<Cluster>) -> Result<Arc<Self>> {
        let shared_map = read_map(cluster, "global")?;
        let catalog = Arc::new(Self {
            cluster: Arc::clone(cluster),
            shared: Cache::default(),
            shared_map: RwLock::new(shared_map),
            databases: DashMap::new(),
        });
        let receiver = Arc::downgrade(&catalog);
        cluster.install_invalidation_delivery(move |messages| {
            if let Some(catalog) = receiver.upgrade() {
                catalog.apply(messages);
            }
        });
        Ok(catalog)
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub fn shared_cache(&self) -> &Cache {
        &self.shared
    }

    /// The state of a database, made when it is first connected to.
    pub fn database(&self, oid: Oid, tablespace: Oid) -> Result<Arc<DatabaseState>> {
        if let Some(state) = self.databases.get(&oid) {
            return Ok(Arc::clone(&state));
        }
        let map = read_map(&self.cluster, &database_directory(tablespace, oid))?;
        let state =
            Arc::new(DatabaseState { oid, tablespace, cache: Cache::default(), map: RwLock::new(map) });
        Ok(Arc::clone(&self.databases.entry(oid).or_insert(state)))
    }

    /// For who is connected to no database and reads shared catalogs only.
    pub fn no_database(&self) -> Arc<DatabaseState> {
        Arc::new(DatabaseState {
            oid: Oid::INVALID,
            tablespace: RelFileLocator::DEFAULT_TABLESPACE,
            cache: Cache::default(),
            map: RwLock::default(),
        })
    }

    /// A database's relation map as its file has it.
    pub fn map_file(&self, database: &DatabaseState) -> [u8; relation_map::FILE_SIZE] {
        database.map.read().unwrap_or_else(PoisonError::into_inner).to_bytes()
    }

    /// Forgets a database that was dropped.
    pub fn forget_database(&self, oid: Oid) {
        self.databases.remove(&oid);
    }

    /// The file of a mapped catalog.
    pub(crate) fn mapped_file(&self, database: &DatabaseState, relation: Oid) -> Result<RelFileNumber> {
        let map = if shapes::is_shared(relation) { &self.shared_map } else { &database.map };
        let map = map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(relation).ok_or_else(|| {
            Error::internal(format!("could not find relation mapping for relation {relation}"))
        })
    }

    /// Applies what a commit has made stale, here or on the primary whose WAL is replayed.
    fn apply(&self, messages: &[Invalidation]) {
        let mut by_database: Vec<(Oid, Vec<Stale>)> = Vec::new();
        for (database, stale) in messages.iter().filter_map(Stale::from_message) {
            match by_database.iter_mut().find(|(oid, _)| *oid == database) {
                Some((_, list)) => list.push(stale),
                None => by_database.push((database, vec![stale])),
            }
        }
        for (database, stale) in by_database {
            if !database.is_valid() {
                self.shared.apply(&stale);
            } else if let Some(state) = self.databases.get(&database) {
                state.cache.apply(&stale);
            }
        }
    }
}

fn read_map(cluster: &Cluster, directory: &str) -> Result<RelationMap> {
    let path = format!("{directory}/{}", relation_map::FILE_NAME);
    let bytes = cluster.fs.read(&path).map_err(|cause| Error::file_access("open file", &path, &cause))?;
    RelationMap::from_bytes(&path, &bytes)
}
