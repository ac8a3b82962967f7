//! Names of relation files.
//!
//! ```text
//!   global/1262                 a shared relation
//!   base/5/16384                a relation of database 5 in the default tablespace
//!   base/5/16384_fsm  _vm  _init    its other forks
//!   base/5/16384.1              second segment of 1 GB
//!   base/5/t3_16390             a temporary relation of backend 3
//!   pg_tblspc/16400/PG_18_202506291/5/16384   in a tablespace of its own
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};

use kokkiri_primitives::{Fork, Oid, ProcNumber, RelFileLocator};

/// PostgreSQL 18's `CATALOG_VERSION_NO`.
pub const CATALOG_VERSION: u32 = 202_506_291;
/// Directory within a tablespace that belongs to this version.
pub const TABLESPACE_VERSION_DIRECTORY: &str = "PG_18_202506291";

/// How long a relation's contents last, and who sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    Permanent,
    /// Not in the WAL: empty after a crash.
    Unlogged,
    /// Private to the session of this backend.
    Temporary(ProcNumber),
}

/// Names a relation's storage: PostgreSQL's `RelFileLocatorBackend` and `relpersistence`.
///
/// Two values are equal if they name the same files: replay doesn't know whether a relation is unlogged.
#[derive(Clone, Copy, Debug)]
pub struct RelationFile {
    pub locator: RelFileLocator,
    pub persistence: Persistence,
}

impl RelationFile {
    pub const fn new(locator: RelFileLocator, persistence: Persistence) -> Self {
        Self { locator, persistence }
    }

    pub const fn permanent(locator: RelFileLocator) -> Self {
        Self::new(locator, Persistence::Permanent)
    }

    pub const fn unlogged(locator: RelFileLocator) -> Self {
        Self::new(locator, Persistence::Unlogged)
    }

    pub const fn temporary(locator: RelFileLocator, owner: ProcNumber) -> Self {
        Self::new(locator, Persistence::Temporary(owner))
    }

    /// The backend that a temporary relation belongs to.
    #[inline]
    pub fn temp(&self) -> Option<ProcNumber> {
        match self.persistence {
            Persistence::Temporary(owner) => Some(owner),
            Persistence::Permanent | Persistence::Unlogged => None,
        }
    }

    /// Changes of the fork are in the WAL. The init fork of an unlogged relation is.
    #[inline]
    pub fn is_logged(&self, fork: Fork) -> bool {
        match self.persistence {
            Persistence::Permanent => true,
            Persistence::Unlogged => fork == Fork::Init,
            Persistence::Temporary(_) => false,
        }
    }

    /// The fork's first file, relative to the data directory: `relpath`.
    pub fn path(&self, fork: Fork) -> String {
        let directory = database_directory(self.locator.tablespace, self.locator.database);
        let number = self.locator.number;
        let suffix = match fork {
            Fork::Main => String::new(),
            other => format!("_{}", other.name()),
        };
        match self.temp() {
            Some(owner) => format!("{directory}/t{owner}_{number}{suffix}"),
            None => format!("{directory}/{number}{suffix}"),
        }
    }

    /// The file of one segment.
    pub fn segment_path(&self, fork: Fork, segment: u32) -> String {
        let mut path = self.path(fork);
        if segment > 0 {
            path.push_str(&format!(".{segment}"));
        }
        path
    }
}

impl PartialEq for RelationFile {
    fn eq(&self, other: &Self) -> bool {
        self.locator == other.locator && self.temp() == other.temp()
    }
}

impl Eq for RelationFile {}

impl Hash for RelationFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.locator.hash(state);
        self.temp().hash(state);
    }
}

impl fmt::Display for RelationFile {
    /// The path of the main fork, as messages name a relation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path(Fork::Main))
    }
}

/// Directory of a database's files in a tablespace: `GetDatabasePath`.
pub fn database_directory(tablespace: Oid, database: Oid) -> String {
    match tablespace {
        RelFileLocator::GLOBAL_TABLESPACE => "global".to_owned(),
        RelFileLocator::DEFAULT_TABLESPACE => format!("base/{database}"),
        other => format!("pg_tblspc/{other}/{TABLESPACE_VERSION_DIRECTORY}/{database}"),
    }
}
