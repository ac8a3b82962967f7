//! Databases as directories: made, filled, removed, and the records by which replay does it again.
//!
//! Realises: the file work of dbcommands.c (`CreateDirAndVersionFile`, `copydir`, `remove_dbtablespaces`),
//! `dbase_redo`, and relmapper.c's `write_relmap_file` with `relmap_redo`.
//!
//! Invariants:
//!  1. A new directory and what was copied into it are durable before a record of later work in it is
//!     inserted: replay that starts behind the record finds them.
//!  2. A relation map file is replaced as a whole, by renaming a synced file over it, after its record is
//!     flushed.
//!  3. Whoever removes a database has made a checkpoint since its last change, so that replay never
//!     begins with records of a directory that is gone.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Oid, Result, TransactionId};
use kokkiri_storage::CriticalSection;
use kokkiri_storage::file::{FileKind, FileSystem, OpenOptions, parent};
use kokkiri_storage::smgr::database_directory;
use kokkiri_wal::record::{DecodedRecord, RecordBuilder, SPECIAL_REL_UPDATE};
use kokkiri_wal::replay::ReplayContext;
use kokkiri_wal::rmgr::RmgrId;

use crate::bytes::Reader;
use crate::cluster::Cluster;

pub const DBASE_CREATE_FILE_COPY: u8 = 0x00;
pub const DBASE_CREATE_WAL_LOG: u8 = 0x10;
pub const DBASE_DROP: u8 = 0x20;
pub const RELMAP_UPDATE: u8 = 0x00;

/// What a database's PG_VERSION says.
pub const MAJOR_VERSION: &[u8] = b"18\n";
/// Name of the relation map in `global` and in each database's directory.
pub const RELATION_MAP: &str = "pg_filenode.map";
/// How much of a file is copied at a time.
const COPY_CHUNK: usize = 64 * 1024;

/// A database's place in one tablespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabasePlace {
    pub tablespace: Oid,
    pub database: Oid,
}

impl DatabasePlace {
    pub fn directory(self) -> String {
        database_directory(self.tablespace, self.database)
    }
}

impl Cluster {
    /// Makes the directory of a new database whose relations will be copied one by one, and logs it.
    pub fn create_database_directory(&self, xid: TransactionId, place: DatabasePlace) -> Result<()> {
        make_directory(&*self.fs, place)?;
        let mut record = RecordBuilder::new(RmgrId::Database, DBASE_CREATE_WAL_LOG | SPECIAL_REL_UPDATE);
        record.xid(Some(xid));
        record.data(&words(&[place.database, place.tablespace]));
        let critical = CriticalSection::enter();
        self.wal.insert(&critical, record);
        Ok(())
    }

    /// Copies a database's files of one tablespace, which nobody changes meanwhile and whose pages are
    /// all on disk, and logs that.
    pub fn copy_database_files(
        &self,
        xid: TransactionId,
        from: DatabasePlace,
        to: DatabasePlace,
    ) -> Result<()> {
        copy_directory(&*self.fs, &from.directory(), &to.directory())?;
        let mut record = RecordBuilder::new(RmgrId::Database, DBASE_CREATE_FILE_COPY | SPECIAL_REL_UPDATE);
        record.xid(Some(xid));
        record.data(&words(&[to.database, to.tablespace, from.database, from.tablespace]));
        let critical = CriticalSection::enter();
        self.wal.insert(&critical, record);
        Ok(())
    }

    /// Replaces a relation map and logs it.
    pub fn write_relation_map(&self, xid: TransactionId, place: DatabasePlace, bytes: &[u8]) -> Result<()> {
        let (path, temporary) = write_temporary_map(&*self.fs, place, bytes)?;
        let lsn = {
            let mut record = RecordBuilder::new(RmgrId::RelMap, RELMAP_UPDATE);
            record.xid(Some(xid));
            record.data(&words(&[place.database, place.tablespace]));
            record.data(&(bytes.len() as u32).to_le_bytes());
            record.data(bytes);
            let critical = CriticalSection::enter();
            self.wal.insert(&critical, record)
        };
        self.wal.flush(lsn)?;
        replace(&*self.fs, &temporary, &path)
    }

    /// Removes a database's directories, of which nobody has a page any more, and logs that.
    pub fn drop_database_files(&self, xid: TransactionId, database: Oid, tablespaces: &[Oid]) -> Result<()> {
        self.remove_database(database, tablespaces)?;
        let mut record = RecordBuilder::new(RmgrId::Database, DBASE_DROP | SPECIAL_REL_UPDATE);
        record.xid(Some(xid));
        record.data(&words(&[database, Oid(tablespaces.len() as u32)]));
        record.data(&words(tablespaces));
        let critical = CriticalSection::enter();
        self.wal.insert(&critical, record);
        Ok(())
    }

    /// Removes what a failed creation has left. The pages it made go unwritten.
    pub fn discard_database_files(&self, place: DatabasePlace) -> Result<()> {
        self.remove_database(place.database, &[place.tablespace])
    }

    fn remove_database(&self, database: Oid, tablespaces: &[Oid]) -> Result<()> {
        self.buffers.drop_database(database)?;
        for tablespace in tablespaces {
            self.storage.drop_database(*tablespace, database)?;
            let above = database_directory(*tablespace, database);
            let above = parent(&above);
            self.fs.sync_directory(above).map_err(|cause| Error::file_access("fsync file", above, &cause))?;
        }
        Ok(())
    }
}

/// Replays a Database record.
pub(crate) fn redo_database(
    cluster: &Cluster,
    context: &ReplayContext,
    record: &DecodedRecord,
) -> Result<()> {
    let mut data = Reader::new(record.main_data(), "database", record.lsn);
    let mut oid = || Ok::<_, Error>(Oid(data.u32()?));
    match record.operation() {
        DBASE_CREATE_FILE_COPY => {
            let to = DatabasePlace { database: oid()?, tablespace: oid()? };
            let from = DatabasePlace { database: oid()?, tablespace: oid()? };
            cluster.buffers.flush_database(from.database)?;
            // What is there may be half a copy.
            cluster.storage.drop_database(to.tablespace, to.database)?;
            copy_directory(&*cluster.fs, &from.directory(), &to.directory())
        }
        DBASE_CREATE_WAL_LOG => {
            let place = DatabasePlace { database: oid()?, tablespace: oid()? };
            make_directory(&*cluster.fs, place)
        }
        DBASE_DROP => {
            let (database, count) = (oid()?, oid()?.0);
            let tablespaces = (0..count).map(|_| oid()).collect::<Result<Vec<_>>>()?;
            context.forget_invalid_pages_of_database(database);
            cluster.buffers.drop_database(database)?;
            tablespaces.iter().try_for_each(|tablespace| cluster.storage.drop_database(*tablespace, database))
        }
        other => Err(Error::internal(format!("dbase_redo: unknown op code {other}"))),
    }
}

/// Replays a RelMap record.
pub(crate) fn redo_relation_map(cluster: &Cluster, record: &DecodedRecord) -> Result<()> {
    if record.operation() != RELMAP_UPDATE {
        return Err(Error::internal(format!("relmap_redo: unknown op code {}", record.operation())));
    }
    let mut data = Reader::new(record.main_data(), "relation map", record.lsn);
    let place = DatabasePlace { database: Oid(data.u32()?), tablespace: Oid(data.u32()?) };
    let length = data.count(1)?;
    let (path, temporary) = write_temporary_map(&*cluster.fs, place, data.bytes(length)?)?;
    replace(&*cluster.fs, &temporary, &path)
}

fn words(oids: &[Oid]) -> Vec<u8> {
    oids.iter().flat_map(|oid| oid.0.to_le_bytes()).collect()
}

/// Makes a database's directory with its version file, durably. Replay may find them there.
fn make_directory(fs: &dyn FileSystem, place: DatabasePlace) -> Result<()> {
    let directory = place.directory();
    fs.create_directories(&directory)
        .map_err(|cause| Error::file_access("create directory", &directory, &cause))?;
    write_synced(fs, &format!("{directory}/PG_VERSION"), MAJOR_VERSION)?;
    sync_directory(fs, &directory)
}

/// Makes a directory's names, and its own, durable.
fn sync_directory(fs: &dyn FileSystem, directory: &str) -> Result<()> {
    [directory, parent(directory)].into_iter().try_for_each(|path| {
        fs.sync_directory(path).map_err(|cause| Error::file_access("fsync file", path, &cause))
    })
}

fn write_synced(fs: &dyn FileSystem, path: &str, bytes: &[u8]) -> Result<()> {
    let failed = |action: &'static str| move |cause: std::io::Error| Error::file_access(action, path, &cause);
    let file = fs.open(path, OpenOptions::OVERWRITE).map_err(failed("create file"))?;
    file.write_all_at(bytes, 0).map_err(failed("write to file"))?;
    file.sync_data().map_err(failed("fsync file"))
}

/// Writes a relation map beside its place; gives back both paths.
fn write_temporary_map(fs: &dyn FileSystem, place: DatabasePlace, bytes: &[u8]) -> Result<(String, String)> {
    let path = format!("{}/{RELATION_MAP}", place.directory());
    let temporary = format!("{path}.tmp");
    write_synced(fs, &temporary, bytes)?;
    Ok((path, temporary))
}

fn replace(fs: &dyn FileSystem, from: &str, to: &str) -> Result<()> {
    fs.rename_durably(from, to).map_err(|cause| Error::file_access("rename file", from, &cause))
}

/// Copies the files of a directory into a new one, durably: `copydir`.
fn copy_directory(fs: &dyn FileSystem, from: &str, to: &str) -> Result<()> {
    fs.create_directories(to).map_err(|cause| Error::file_access("create directory", to, &cause))?;
    let entries = fs.list(from).map_err(|cause| Error::file_access("open directory", from, &cause))?;
    for entry in entries.iter().filter(|entry| entry.kind == FileKind::File) {
        check_for_interrupts()?;
        copy_file(fs, &format!("{from}/{}", entry.name), &format!("{to}/{}", entry.name))?;
    }
    sync_directory(fs, to)
}

fn copy_file(fs: &dyn FileSystem, from: &str, to: &str) -> Result<()> {
    let source = fs
        .open(from, OpenOptions::READ_ONLY)
        .map_err(|cause| Error::file_access("open file", from, &cause))?;
    let failed = |action: &'static str| move |cause: std::io::Error| Error::file_access(action, to, &cause);
    let target = fs.open(to, OpenOptions::OVERWRITE).map_err(failed("create file"))?;
    let mut chunk = vec![0; COPY_CHUNK];
    let mut at = 0;
    loop {
        check_for_interrupts()?;
        let read = source
            .read_full_at(&mut chunk, at)
            .map_err(|cause| Error::file_access("read file", from, &cause))?;
        if read == 0 {
            break;
        }
        target.write_all_at(&chunk[..read], at).map_err(failed("write to file"))?;
        at += read as u64;
    }
    target.sync_data().map_err(failed("fsync file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_stand_little_endian_one_after_the_other() {
        assert_eq!(words(&[Oid(1), Oid(0x0102_0304)]), [1, 0, 0, 0, 4, 3, 2, 1]);
        let place = DatabasePlace { tablespace: Oid(1663), database: Oid(5) };
        assert_eq!(place.directory(), "base/5");
    }
}
