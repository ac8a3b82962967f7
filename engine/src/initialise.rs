//! Making a new data directory's contents: directories, control file, first WAL, catalogs, databases.
//!
//! Realises: what PostgreSQL's initdb lets its bootstrap and single-user backends do. `template1` is
//! filled in one ordinary transaction and frozen in another; `template0` and `postgres` are copies of its files. Nobody else has
//! the directory, and if it fails on the way the caller removes it: so nothing is synced before the end.

use std::path::Path;
use std::sync::Arc;

use kokkiri_catalog::bootstrap::{self, BOOTSTRAP_SUPERUSER, BootstrapOptions, TEMPLATE1};
use kokkiri_catalog::database::Catalog;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{PgAuthid, PgDatabase};
use kokkiri_catalog::view::{CatalogSession, CatalogView};
use kokkiri_primitives::activity::{Backend, BackendType};
use kokkiri_primitives::settings::{ServerSettings, Settings, SharedSettings, Source, Stored, Value, find};
use kokkiri_primitives::{Error, Oid, RelFileLocator, Result, SqlState};
use kokkiri_recovery::bootstrap::{bootstrap_wal, new_system_identifier};
use kokkiri_recovery::checkpoint::CheckpointRequest;
use kokkiri_recovery::control_file::ControlFile;
use kokkiri_storage::file::{FileKind, OpenOptions};
use kokkiri_storage::smgr::database_directory;
use kokkiri_storage::{FileSystem, Poison};
use kokkiri_transaction::database_files::MAJOR_VERSION;
use kokkiri_transaction::{BeginOptions, Transaction};
use kokkiri_types::ValueRef;

use crate::engine::Engine;
use crate::instance::{Assembly, file_system, wal_options};

const TEMPLATE0: Oid = Oid(4);
const POSTGRES: Oid = Oid(5);

/// The directories of a new cluster, each behind the one it is in.
const DIRECTORIES: [&str; 24] = [
    "base",
    "base/1",
    "global",
    "pg_commit_ts",
    "pg_dynshmem",
    "pg_logical",
    "pg_logical/mappings",
    "pg_logical/snapshots",
    "pg_multixact",
    "pg_multixact/members",
    "pg_multixact/offsets",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_wal",
    "pg_wal/archive_status",
    "pg_wal/summaries",
    "pg_xact",
];

/// What a new data directory is made with.
pub struct InitialiseOptions<'a> {
    pub superuser: &'a str,
    /// The verifier of its password, if it has one.
    pub superuser_password: Option<&'a str>,
    pub data_checksums: bool,
    /// Random bytes for the mock answers to roles that don't exist.
    pub authentication_nonce: [u8; 32],
}

impl Engine {
    /// Fills a data directory that has nothing of a cluster yet. When it returns the cluster is shut down;
    /// the caller makes its files durable.
    ///
    /// # Errors
    /// If files can't be written.
    pub fn initialise(data_directory: &Path, options: &InitialiseOptions<'_>) -> Result<()> {
        Self::initialise_on(&file_system(data_directory)?, options)
    }

    /// The same on a file system whose root is the data directory.
    ///
    /// # Errors
    /// If files can't be written.
    pub fn initialise_on(fs: &Arc<dyn FileSystem>, options: &InitialiseOptions<'_>) -> Result<()> {
        for directory in DIRECTORIES {
            create_directory(&**fs, directory)?;
        }
        bootstrap::write_file(&**fs, "PG_VERSION", MAJOR_VERSION)?;
        let mut settings = ServerSettings::new();
        // Nothing here needs to be durable before it is whole.
        set(&mut settings, "fsync", Value::Bool(false));
        set(&mut settings, "log_checkpoints", Value::Bool(false));
        set(&mut settings, "wal_buffers", Value::Int(512));
        let identifier = new_system_identifier(std::process::id());
        let control = ControlFile::new(identifier, options.data_checksums, options.authentication_nonce);
        let poison = Poison::leak();
        bootstrap_wal(fs, poison, control.clone(), &wal_options(&settings, &control))?;
        bootstrap::write_relation_maps(&**fs)?;
        write_version(&**fs, &database_directory(RelFileLocator::DEFAULT_TABLESPACE, TEMPLATE1))?;

        let settings = Arc::new(SharedSettings::new(Arc::new(settings)));
        let assembly = Assembly::new(fs, poison, &settings)?;
        assembly.cluster.transactions.bootstrap()?;
        assembly.recover()?;
        fill(&assembly, &settings, options)?;
        let registration =
            assembly.cluster.processes.register(BackendType::Standalone).ok_or_else(no_slot)?;
        let _entered = registration.backend().enter();
        assembly.checkpoints.make(CheckpointRequest::SHUTDOWN, &mut |_| Ok(()))?;
        for database in [TEMPLATE0, POSTGRES] {
            copy_database(&**fs, TEMPLATE1, database)?;
        }
        Ok(())
    }
}

fn no_slot() -> Error {
    Error::fatal(SqlState::TOO_MANY_CONNECTIONS, "no slot in the process array")
}

fn set(settings: &mut ServerSettings, name: &str, value: Value) {
    if let Some((index, _)) = find(name) {
        settings.store(index, Stored { value, source: Source::Override, file: None });
    }
}

/// Fills the catalogs and names the databases.
fn fill(assembly: &Assembly, settings: &SharedSettings, options: &InitialiseOptions<'_>) -> Result<()> {
    let cluster = &assembly.cluster;
    let registration = cluster.processes.register(BackendType::Standalone).ok_or_else(no_slot)?;
    let backend: &Arc<Backend> = registration.backend();
    let _entered = backend.enter();
    let catalog = Catalog::open(cluster)?;
    let database = catalog.database(TEMPLATE1, RelFileLocator::DEFAULT_TABLESPACE)?;
    let session = CatalogSession::new(Arc::clone(&catalog), database);
    let session_settings = Settings::new(settings.load());
    session_settings.set_superuser(true);
    let work = |work: &dyn Fn(&CatalogView<'_>) -> Result<()>| {
        let transaction = Transaction::begin(cluster, backend, BeginOptions::default());
        let view = CatalogView {
            session: &session,
            transaction: &transaction,
            settings: &session_settings,
            role: BOOTSTRAP_SUPERUSER,
        };
        work(&view)?;
        transaction.commit()?;
        session.transaction_ended();
        Ok::<_, Error>(())
    };
    work(&|view| bootstrap::fill(view, &BootstrapOptions { superuser: options.superuser }))?;
    session_settings.set_base("allow_system_table_mods", "on", Source::Override)?;
    cluster.transactions.making_initial_catalogs(true);
    work(&crate::function_defaults::store)?;
    work(&crate::system_views::create)?;
    cluster.transactions.making_initial_catalogs(false);
    work(&name_databases)?;
    if let Some(verifier) = options.superuser_password {
        work(&|view| set_password(view, verifier))?;
    }
    work(&bootstrap::freeze)
}

/// Gives the superuser its password.
fn set_password(view: &CatalogView<'_>, verifier: &str) -> Result<()> {
    let key = [ValueRef::Int32(BOOTSTRAP_SUPERUSER.0 as i32)];
    for found in view.rows_to_change::<PgAuthid>(Lookup::RoleByOid, &key)? {
        let changed = PgAuthid { rolpassword: Some(verifier.into()), ..found.row };
        view.update_row(found.tid, &found.values, changed)?;
    }
    Ok(())
}

/// Enters the copies of template1 into pg_database.
fn name_databases(view: &CatalogView<'_>) -> Result<()> {
    let key = [ValueRef::Int32(TEMPLATE1.0 as i32)];
    let rows = view.rows::<PgDatabase>(Lookup::DatabaseByOid, &key)?;
    let template = rows.first().ok_or_else(|| Error::internal("pg_database has no template1"))?;
    view.insert_row(PgDatabase {
        oid: TEMPLATE0,
        datname: "template0".into(),
        datallowconn: false,
        ..template.clone()
    })?;
    view.insert_row(PgDatabase {
        oid: POSTGRES,
        datname: "postgres".into(),
        datistemplate: false,
        datacl: None,
        ..template.clone()
    })?;
    Ok(())
}

fn create_directory(fs: &dyn FileSystem, directory: &str) -> Result<()> {
    fs.create_directory(directory).map_err(|cause| Error::file_access("create directory", directory, &cause))
}

fn write_version(fs: &dyn FileSystem, directory: &str) -> Result<()> {
    bootstrap::write_file(fs, &format!("{directory}/PG_VERSION"), MAJOR_VERSION)
}

/// Copies a database's files, which nobody changes meanwhile.
fn copy_database(fs: &dyn FileSystem, from: Oid, to: Oid) -> Result<()> {
    let [from, to] = [from, to].map(|oid| database_directory(RelFileLocator::DEFAULT_TABLESPACE, oid));
    if !fs.exists(&to).map_err(|cause| Error::file_access("stat directory", &to, &cause))? {
        create_directory(fs, &to)?;
    }
    let entries = fs.list(&from).map_err(|cause| Error::file_access("open directory", &from, &cause))?;
    for entry in entries.iter().filter(|entry| entry.kind == FileKind::File) {
        let (source, target) = (format!("{from}/{}", entry.name), format!("{to}/{}", entry.name));
        let bytes = fs.read(&source).map_err(|cause| Error::file_access("read file", &source, &cause))?;
        fs.open(&target, OpenOptions::OVERWRITE)
            .and_then(|file| file.write_all_at(&bytes, 0))
            .map_err(|cause| Error::file_access("write file", &target, &cause))?;
    }
    Ok(())
}
