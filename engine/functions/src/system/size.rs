//! How much space things take, and where they are stored.

use std::sync::Arc;

use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{BLOCK_SIZE, Error, Fork, Oid, RelFileLocator, Result, SqlState, bail, error};
use kokkiri_storage::RelationFile;
use kokkiri_storage::file::FileKind;
use kokkiri_storage::smgr::database_directory;
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::numeric::Numeric;

use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_relation_size,
    pg_relation_size_main,
    pg_table_size,
    pg_indexes_size,
    pg_total_relation_size,
    pg_database_size_oid,
    pg_database_size_name,
    pg_tablespace_size_oid,
    pg_tablespace_size_name,
    pg_size_pretty,
    pg_size_pretty_numeric,
    pg_size_bytes,
    pg_relation_filenode,
    pg_relation_filepath,
    pg_tablespace_location,
];

/// The relation, if there is one of that oid, locked against disappearing.
fn open(view: &CatalogView<'_>, relation: Oid) -> Result<Option<Arc<RelationEntry>>> {
    view.lock_relation_oid(relation, LockMode::AccessShare, WaitPolicy::Block)?;
    view.relation(relation)
}

fn fork_size(view: &CatalogView<'_>, file: RelationFile, fork: Fork) -> Result<i64> {
    let blocks = view.cluster().storage.blocks_if_exists(file, fork)?;
    Ok(i64::from(blocks) * BLOCK_SIZE as i64)
}

const FORKS: [Fork; 4] = [Fork::Main, Fork::FreeSpaceMap, Fork::VisibilityMap, Fork::Init];

fn all_forks(view: &CatalogView<'_>, file: RelationFile) -> Result<i64> {
    FORKS.iter().map(|fork| fork_size(view, file, *fork)).sum()
}

fn indexes_size(view: &CatalogView<'_>, entry: &RelationEntry) -> Result<i64> {
    entry.indexes.iter().map(|index| all_forks(view, index.descriptor.file)).sum()
}

/// The relation's own forks and, with its index, its TOAST relation.
fn table_size(view: &CatalogView<'_>, entry: &RelationEntry) -> Result<i64> {
    if !entry.relation.kind.has_storage() {
        return Ok(0);
    }
    let mut size = all_forks(view, entry.relation.file)?;
    if let Some(toast) = &entry.relation.toast {
        size += all_forks(view, toast.file)?;
        for index in &toast.indexes {
            size += all_forks(view, index.file)?;
        }
    }
    Ok(size)
}

/// `pg_relation_size(regclass)`: the main fork.
#[builtin(oid = 2325, volatile)]
fn pg_relation_size_main(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<i64>> {
    pg_relation_size(context, relation, "main")
}

#[builtin(oid = 2332, volatile)]
fn pg_relation_size(context: &mut CallContext<'_>, relation: Oid, fork: &str) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    let Some(entry) = open(&view, relation)? else { return Ok(None) };
    let fork = match fork {
        "main" => Fork::Main,
        "fsm" => Fork::FreeSpaceMap,
        "vm" => Fork::VisibilityMap,
        "init" => Fork::Init,
        _ => {
            return Err(error!(INVALID_PARAMETER_VALUE, "invalid fork name")
                .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\"."));
        }
    };
    if !entry.relation.kind.has_storage() {
        return Ok(Some(0));
    }
    fork_size(&view, entry.relation.file, fork).map(Some)
}

#[builtin(oid = 2997, volatile)]
fn pg_table_size(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    open(&view, relation)?.map(|entry| table_size(&view, &entry)).transpose()
}

#[builtin(oid = 2998, volatile)]
fn pg_indexes_size(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    open(&view, relation)?.map(|entry| indexes_size(&view, &entry)).transpose()
}

#[builtin(oid = 2286, volatile)]
fn pg_total_relation_size(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    let Some(entry) = open(&view, relation)? else { return Ok(None) };
    Ok(Some(table_size(&view, &entry)? + indexes_size(&view, &entry)?))
}

/// Bytes of the files in a directory; zero if it isn't there. Files may come and go meanwhile.
fn directory_size(view: &CatalogView<'_>, path: &str, deep: bool) -> Result<i64> {
    let fs = &view.cluster().fs;
    let failed = |cause: std::io::Error| Error::file_access("stat file", path, &cause);
    if fs.metadata(path).map_err(failed)?.is_none() {
        return Ok(0);
    }
    let mut size = 0;
    for entry in fs.list(path).map_err(failed)? {
        kokkiri_primitives::activity::check_for_interrupts()?;
        let inner = format!("{path}/{}", entry.name);
        if entry.kind == FileKind::Directory {
            if deep {
                size += directory_size(view, &inner, false)?;
            }
        } else if let Some(metadata) = fs.metadata(&inner).map_err(failed)? {
            size += metadata.len as i64;
        }
    }
    Ok(size)
}

/// The role whose members may read all statistics.
const PG_READ_ALL_STATS: Oid = Oid(3375);

fn database_size(view: &CatalogView<'_>, database: Oid) -> Result<Option<i64>> {
    let Some(entry) = view.database(database)? else { return Ok(None) };
    let (owner, acl) = (entry.owner, entry.acl.as_ref());
    let granted = view.privileges(view.role, ObjectKind::Database, owner, acl, Privileges::CONNECT)?;
    if !granted.contains(Privileges::CONNECT) && !view.roles_of(view.role)?.contains(&PG_READ_ALL_STATS) {
        bail!(INSUFFICIENT_PRIVILEGE, "permission denied for database {}", entry.name);
    }
    let mut size =
        directory_size(view, &database_directory(RelFileLocator::DEFAULT_TABLESPACE, database), false)?;
    let fs = &view.cluster().fs;
    let tablespaces =
        fs.list("pg_tblspc").map_err(|cause| Error::file_access("open directory", "pg_tblspc", &cause))?;
    for link in tablespaces {
        if let Ok(tablespace) = link.name.parse::<u32>() {
            size += directory_size(view, &database_directory(Oid(tablespace), database), false)?;
        }
    }
    Ok(Some(size))
}

#[builtin(oid = 2324, volatile)]
fn pg_database_size_oid(context: &mut CallContext<'_>, database: Oid) -> Result<Option<i64>> {
    database_size(&need::catalog(context)?, database)
}

#[builtin(oid = 2168, volatile)]
fn pg_database_size_name(context: &mut CallContext<'_>, name: &str) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    match view.database_by_name(name)? {
        Some(database) => database_size(&view, database.oid),
        None => bail!(INVALID_CATALOG_NAME, "database \"{name}\" does not exist"),
    }
}

fn tablespace_size(view: &CatalogView<'_>, tablespace: Oid) -> Result<Option<i64>> {
    let path = match tablespace {
        RelFileLocator::DEFAULT_TABLESPACE => "base".to_owned(),
        RelFileLocator::GLOBAL_TABLESPACE => "global".to_owned(),
        other => {
            let of_nothing = database_directory(other, Oid::INVALID);
            of_nothing.rsplit_once('/').map_or(of_nothing.clone(), |(directory, _)| directory.to_owned())
        }
    };
    let exists = view.cluster().fs.metadata(&path);
    if exists.map_err(|cause| Error::file_access("stat file", &path, &cause))?.is_none() {
        return Ok(None);
    }
    directory_size(view, &path, true).map(Some)
}

#[builtin(oid = 2322, volatile)]
fn pg_tablespace_size_oid(context: &mut CallContext<'_>, tablespace: Oid) -> Result<Option<i64>> {
    tablespace_size(&need::catalog(context)?, tablespace)
}

#[builtin(oid = 2323, volatile)]
fn pg_tablespace_size_name(context: &mut CallContext<'_>, name: &str) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    match view.tablespace_by_name(name)? {
        Some(tablespace) => tablespace_size(&view, tablespace.oid),
        None => bail!(UNDEFINED_OBJECT, "tablespace \"{name}\" does not exist"),
    }
}

/// A unit of sizes: its name, the size from which the next unit is taken, whether sizes in it are
/// rounded (they are then computed with one bit more), and the power of two it stands for.
struct Unit {
    name: &'static str,
    limit: i64,
    round: bool,
    bits: u32,
}

const UNITS: [Unit; 6] = [
    Unit { name: "bytes", limit: 10 * 1024, round: false, bits: 0 },
    Unit { name: "kB", limit: 20 * 1024 - 1, round: true, bits: 10 },
    Unit { name: "MB", limit: 20 * 1024 - 1, round: true, bits: 20 },
    Unit { name: "GB", limit: 20 * 1024 - 1, round: true, bits: 30 },
    Unit { name: "TB", limit: 20 * 1024 - 1, round: true, bits: 40 },
    Unit { name: "PB", limit: 20 * 1024 - 1, round: true, bits: 50 },
];

/// Bits to divide away on the step to the next unit.
fn step(unit: &Unit, next: &Unit) -> u32 {
    next.bits - unit.bits - u32::from(next.round) + u32::from(unit.round)
}

#[builtin(oid = 2288)]
fn pg_size_pretty(bytes: i64) -> String {
    let mut size = bytes;
    for (at, unit) in UNITS.iter().enumerate() {
        match UNITS.get(at + 1) {
            Some(next) if size.unsigned_abs() >= unit.limit as u64 => size /= 1 << step(unit, next),
            _ => {
                let shown = if unit.round { (size + if size < 0 { -1 } else { 1 }) / 2 } else { size };
                return format!("{shown} {}", unit.name);
            }
        }
    }
    unreachable!("the last unit takes every size")
}

#[builtin(oid = 3166)]
fn pg_size_pretty_numeric(bytes: Numeric) -> Result<String> {
    let mut size = bytes;
    for (at, unit) in UNITS.iter().enumerate() {
        let beyond = size.clone().abs().subtract(&Numeric::from(unit.limit));
        match UNITS.get(at + 1) {
            Some(next) if size.is_nan() || size.is_infinite() || beyond.signum() >= 0 => {
                size = size.divide_truncated(&Numeric::from(1i64 << step(unit, next)))?;
            }
            _ => {
                if unit.round {
                    let away = if size.signum() < 0 {
                        size.subtract(&Numeric::one())
                    } else {
                        size.add(&Numeric::one())
                    };
                    size = away.divide_truncated(&Numeric::from(2i64))?;
                }
                return Ok(format!("{size} {}", unit.name));
            }
        }
    }
    unreachable!("the last unit takes every size")
}

/// Reads what `pg_size_pretty` prints, and more: a number, then perhaps a unit.
#[builtin(oid = 3334)]
fn pg_size_bytes(text: &str) -> Result<i64> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let invalid = || Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{text}\""));
    let (number, unit) = trimmed.split_at(number_length(trimmed).ok_or_else(invalid)?);
    let unit = unit.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1i64,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        "tb" => 1 << 40,
        "pb" => 1 << 50,
        _ => {
            return Err(invalid()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    let size = number.parse::<Numeric>()?.multiply(&Numeric::from(factor))?.round(0);
    match size.to_string().parse() {
        Ok(size) => Ok(size),
        Err(_) => bail!(NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"),
    }
}

/// Length of the number at the start of the text: sign, digits with a point, exponent.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut end = digits(start);
    let mut count = end - start;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        count += fraction - end - 1;
        end = fraction;
    }
    if count == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    Some(end)
}

#[builtin(oid = 2999)]
fn pg_relation_filenode(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<Oid>> {
    let entry = need::catalog(context)?.relation(relation)?;
    let stored = entry.filter(|entry| entry.relation.kind.has_storage());
    Ok(stored.map(|entry| Oid(entry.relation.file.locator.number.0)))
}

#[builtin(oid = 3034)]
fn pg_relation_filepath(context: &mut CallContext<'_>, relation: Oid) -> Result<Option<String>> {
    let entry = need::catalog(context)?.relation(relation)?;
    let stored = entry.filter(|entry| entry.relation.kind.has_storage());
    Ok(stored.map(|entry| entry.relation.file.path(Fork::Main)))
}

/// Where a tablespace's link leads; empty for those inside the data directory.
#[builtin(oid = 3778)]
fn pg_tablespace_location(context: &mut CallContext<'_>, tablespace: Oid) -> Result<String> {
    let view = need::catalog(context)?;
    let tablespace = tablespace.valid().unwrap_or_else(|| view.session.database.tablespace());
    if matches!(tablespace, RelFileLocator::DEFAULT_TABLESPACE | RelFileLocator::GLOBAL_TABLESPACE) {
        return Ok(String::new());
    }
    let path = format!("pg_tblspc/{tablespace}");
    view.cluster()
        .fs
        .read_symbolic_link(&path)
        .map_err(|cause| Error::file_access("read symbolic link", &path, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_postgresql_shows_them() {
        // select pg_size_pretty(x) of these, on PostgreSQL 18.
        let cases = [
            (0, "0 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (-10239, "-10239 bytes"),
            (-10240, "-10 kB"),
            (20971000, "20 MB"),
            (1 << 40, "1024 GB"),
            (i64::MAX, "8192 PB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(pg_size_pretty(bytes), shown);
            let numeric = pg_size_pretty_numeric(Numeric::from(bytes)).expect("a size");
            assert_eq!(numeric, shown);
        }
        let numeric = |text: &str| pg_size_pretty_numeric(text.parse().expect("a number")).expect("a size");
        assert_eq!(numeric("1.5"), "1.5 bytes");
        assert_eq!(numeric("-1234567.8"), "-1206 kB");
        assert_eq!(numeric("1e30"), "888178419700125 PB");
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(pg_size_bytes("1.5GB").expect("a size"), 1_610_612_736);
        assert_eq!(pg_size_bytes(" -1.5 kb ").expect("a size"), -1536);
        assert_eq!(pg_size_bytes("1e5 mb").expect("a size"), 104_857_600_000);
        assert_eq!(pg_size_bytes("1 e").expect_err("no unit").message(), "invalid size: \"1 e\"");
        assert_eq!(pg_size_bytes("").expect_err("no number").message(), "invalid size: \"\"");
        assert_eq!(pg_size_bytes("999999999999PB").expect_err("large").message(), "bigint out of range");
    }
}
