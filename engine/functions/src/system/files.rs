//! Directories of the server: their files with size and time.
//!
//! Realises: the `pg_ls_*dir` functions of genfile.c that name their directory themselves.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Error, Oid, RelFileLocator, Result, bail};
use kokkiri_storage::file::FileKind;
use kokkiri_storage::smgr::TABLESPACE_VERSION_DIRECTORY;
use kokkiri_types::{Value, ValueRef};

use super::need;
use super::rows::{Record, listed};
use crate::context::CallContext;
use crate::set_returning::{SetFunction, SetRows};

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(3354, "pg_ls_waldir", true, pg_ls_waldir),
    SetFunction::new(5029, "pg_ls_tmpdir", true, pg_ls_tmpdir),
    SetFunction::new(5030, "pg_ls_tmpdir", true, pg_ls_tmpdir_of),
    SetFunction::new(5031, "pg_ls_archive_statusdir", true, pg_ls_archive_statusdir),
];

/// The plain files of a directory, hidden ones apart.
fn files(view: &CatalogView<'_>, directory: &str, missing_ok: bool) -> Result<Box<dyn SetRows>> {
    let fs = &view.cluster().fs;
    let entries = match fs.list(directory) {
        Ok(entries) => entries,
        Err(cause) if missing_ok && cause.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(Error::file_access("open directory", directory, &cause)),
    };
    let mut rows: Vec<Record> = Vec::new();
    for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
        let path = format!("{directory}/{}", entry.name);
        let found = fs.metadata(&path).map_err(|cause| Error::file_access("stat file", &path, &cause))?;
        // One that is gone meanwhile is none.
        let Some(found) = found.filter(|found| found.kind == FileKind::File) else { continue };
        let modified = TimestampTz::from_unix_seconds(found.modified_s);
        rows.push(vec![Value::from(entry.name), Value::Int64(found.len as i64), Value::Int64(modified.0)]);
    }
    Ok(listed(rows))
}

fn pg_ls_waldir(context: &mut CallContext<'_>, _: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    files(&need::catalog(context)?, "pg_wal", false)
}

fn pg_ls_archive_statusdir(context: &mut CallContext<'_>, _: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    files(&need::catalog(context)?, "pg_wal/archive_status", true)
}

fn pg_ls_tmpdir(context: &mut CallContext<'_>, _: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    temporary_files(&need::catalog(context)?, RelFileLocator::DEFAULT_TABLESPACE)
}

fn pg_ls_tmpdir_of(context: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    temporary_files(&need::catalog(context)?, Oid(arguments[0].int32() as u32))
}

fn temporary_files(view: &CatalogView<'_>, tablespace: Oid) -> Result<Box<dyn SetRows>> {
    if view.tablespace(tablespace)?.is_none() {
        bail!(UNDEFINED_OBJECT, "tablespace with OID {tablespace} does not exist");
    }
    let default =
        matches!(tablespace, RelFileLocator::DEFAULT_TABLESPACE | RelFileLocator::GLOBAL_TABLESPACE);
    let directory = match default {
        true => "base/pgsql_tmp".to_owned(),
        false => format!("pg_tblspc/{tablespace}/{TABLESPACE_VERSION_DIRECTORY}/pgsql_tmp"),
    };
    files(view, &directory, true)
}
