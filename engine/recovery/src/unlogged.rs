//! Unlogged relations after a crash: emptied, by copying their init forks.
//!
//! Realises: `reinit.c`. What such relations held is in no WAL. Before replay all their files but the init
//! forks are removed; after it the init forks, which are logged, become their contents.

use std::collections::HashSet;

use kokkiri_primitives::error::{Error, Result};
use kokkiri_storage::file::{FileKind, FileSystem, OpenOptions};

/// Directory of this version's files in a tablespace.
const TABLESPACE_VERSION_DIRECTORY: &str = "PG_18_202506291";

/// Removes the contents of unlogged relations.
pub(crate) fn remove_contents(fs: &dyn FileSystem) -> Result<()> {
    for directory in database_directories(fs)? {
        let names = file_names(fs, &directory)?;
        let unlogged: HashSet<&str> = names.iter().filter_map(|name| init_fork_of(name)).collect();
        for name in &names {
            let removable =
                init_fork_of(name).is_none() && relation_of(name).is_some_and(|n| unlogged.contains(n));
            if removable {
                let path = format!("{directory}/{name}");
                fs.remove(&path).map_err(|cause| Error::file_access("remove file", &path, &cause))?;
            }
        }
    }
    Ok(())
}

/// Makes every init fork the main fork of its relation, durably.
pub(crate) fn copy_init_forks(fs: &dyn FileSystem) -> Result<()> {
    for directory in database_directories(fs)? {
        let mut copied = false;
        for name in file_names(fs, &directory)? {
            if let Some(relation) = init_fork_of(&name) {
                copy(fs, &format!("{directory}/{name}"), &format!("{directory}/{relation}"))?;
                copied = true;
            }
        }
        if copied {
            fs.sync_directory(&directory)
                .map_err(|cause| Error::file_access("fsync file", &directory, &cause))?;
        }
    }
    Ok(())
}

fn copy(fs: &dyn FileSystem, from: &str, to: &str) -> Result<()> {
    let bytes = fs.read(from).map_err(|cause| Error::file_access("open file", from, &cause))?;
    let failed = |action: &'static str| move |cause: std::io::Error| Error::file_access(action, to, &cause);
    let file = fs.open(to, OpenOptions::OVERWRITE).map_err(failed("create file"))?;
    file.write_all_at(&bytes, 0).map_err(failed("write to file"))?;
    file.sync_data().map_err(failed("fsync file"))
}

/// The directories with relations of databases, in all tablespaces. Shared relations are never unlogged.
fn database_directories(fs: &dyn FileSystem) -> Result<Vec<String>> {
    let mut directories = subdirectories(fs, "base")?;
    for tablespace in subdirectories(fs, "pg_tblspc")? {
        directories.extend(subdirectories(fs, &format!("{tablespace}/{TABLESPACE_VERSION_DIRECTORY}"))?);
    }
    Ok(directories)
}

/// Directories named by a number, in `path`; none if there is no such directory.
fn subdirectories(fs: &dyn FileSystem, path: &str) -> Result<Vec<String>> {
    match fs.list(path) {
        Ok(entries) => Ok(entries
            .into_iter()
            .filter(|entry| entry.kind != FileKind::File && is_number(&entry.name))
            .map(|entry| format!("{path}/{}", entry.name))
            .collect()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(Error::file_access("open directory", path, &cause)),
    }
}

fn file_names(fs: &dyn FileSystem, path: &str) -> Result<Vec<String>> {
    let entries = fs.list(path).map_err(|cause| Error::file_access("open directory", path, &cause))?;
    Ok(entries.into_iter().filter(|entry| entry.kind == FileKind::File).map(|entry| entry.name).collect())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Number of the relation whose init fork has this name.
fn init_fork_of(name: &str) -> Option<&str> {
    name.strip_suffix("_init").filter(|number| is_number(number))
}

/// Number of the relation that a file of any fork and segment belongs to.
fn relation_of(name: &str) -> Option<&str> {
    let number = name.split(['_', '.']).next()?;
    is_number(number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_their_relation() {
        assert_eq!(relation_of("16384"), Some("16384"));
        assert_eq!(relation_of("16384_vm.1"), Some("16384"));
        assert_eq!(relation_of("pg_filenode.map"), None);
        assert_eq!(relation_of("t3_16384"), None);
        assert_eq!((init_fork_of("16384_init"), init_fork_of("16384")), (Some("16384"), None));
    }
}
