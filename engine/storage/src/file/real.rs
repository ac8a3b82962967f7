//! The file system of the operating system, below one root directory.
//!
//! A relative path is resolved against a descriptor of the root, so the process may change its working
//! directory. Descriptors are close-on-exec; files are created with mode 0600 (or as `init -g` says) and
//! directories with 0700, as PostgreSQL does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Create, DirectoryEntry, File, FileKind, FileSystem, Metadata, OpenOptions};

/// Most slices one vectored call takes: the system's `IOV_MAX` is 1024, ours far below.
const MAX_SLICES: usize = 128;

#[derive(Debug)]
pub struct RealFileSystem {
    root: OwnedFd,
    root_path: PathBuf,
}

impl RealFileSystem {
    /// # Errors
    /// If `root` can't be opened as a directory.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let root_path = root.as_ref().to_path_buf();
        let root = fs::open(&root_path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, root_path })
    }

    /// The directory that relative paths start from.
    pub fn root(&self) -> &Path {
        &self.root_path
    }
}

fn kind_of(mode: fs::FileType) -> FileKind {
    match mode {
        fs::FileType::Directory => FileKind::Directory,
        fs::FileType::Symlink => FileKind::SymbolicLink,
        _ => FileKind::File,
    }
}

impl FileSystem for RealFileSystem {
    fn open(&self, path: &str, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let mut flags = OFlags::CLOEXEC;
        flags |= if options.read_only { OFlags::RDONLY } else { OFlags::RDWR };
        match options.create {
            Create::Never => {}
            Create::IfMissing => flags |= OFlags::CREATE,
            Create::New => flags |= OFlags::CREATE | OFlags::EXCL,
        }
        if options.truncate {
            flags |= OFlags::TRUNC;
        }
        let fd = fs::openat(&self.root, path, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Arc::new(RealFile(fd)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.root, from, &self.root, to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        Ok(fs::mkdirat(&self.root, path, Mode::RWXU)?)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = fs::openat(&self.root, path, flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                fs::FileType::Unknown => {
                    let status = fs::statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    kind_of(fs::FileType::from_raw_mode(status.st_mode))
                }
                known => kind_of(known),
            };
            entries.push(DirectoryEntry { name, kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = fs::openat(&self.root, path, flags, Mode::empty())?;
        match fs::fsync(&directory) {
            // Some file systems can't sync a directory and say so in one of these two ways.
            Err(Errno::BADF | Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    fn metadata(&self, path: &str) -> io::Result<Option<Metadata>> {
        match fs::statat(&self.root, path, AtFlags::empty()) {
            Ok(status) => Ok(Some(Metadata {
                kind: kind_of(fs::FileType::from_raw_mode(status.st_mode)),
                len: status.st_size.try_into().unwrap_or(0),
                modified_s: status.st_mtime,
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_symbolic_link(&self, target: &str, path: &str) -> io::Result<()> {
        Ok(fs::symlinkat(target, &self.root, path)?)
    }

    fn read_symbolic_link(&self, path: &str) -> io::Result<String> {
        let target = fs::readlinkat(&self.root, path, Vec::new())?;
        target.into_string().map_err(io::Error::other)
    }
}

#[derive(Debug)]
struct RealFile(OwnedFd);

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.0, buffer, offset)?)
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.try_read_vectored_at(&mut [io::IoSliceMut::new(buffer)], offset)
    }

    fn read_vectored_at(&self, buffers: &mut [io::IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let count = buffers.len().min(MAX_SLICES);
        Ok(rustix::io::preadv(&self.0, &mut buffers[..count], offset)?)
    }

    fn try_read_vectored_at(
        &self,
        buffers: &mut [io::IoSliceMut<'_>],
        offset: u64,
    ) -> io::Result<Option<usize>> {
        let count = buffers.len().min(MAX_SLICES);
        match rustix::io::preadv2(&self.0, &mut buffers[..count], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            // The kernel or the file system may not know the flag; then every read takes the slow door.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&self.0, bytes, offset)?)
    }

    fn write_vectored_at(&self, buffers: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let count = buffers.len().min(MAX_SLICES);
        Ok(rustix::io::pwritev(&self.0, &buffers[..count], offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.0)?)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.0, len)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(fs::fstat(&self.0)?.st_size.try_into().unwrap_or(0))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match fs::fallocate(&self.0, fs::FallocateFlags::empty(), offset, len) {
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                let end = offset + len;
                if self.len()? < end { self.truncate(end) } else { Ok(()) }
            }
            result => Ok(result?),
        }
    }

    fn prefetch(&self, offset: u64, len: u64) -> io::Result<()> {
        Ok(fs::fadvise(&self.0, offset, std::num::NonZeroU64::new(len), fs::Advice::WillNeed)?)
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        // The advice starts writing dirty pages of the range; it would also drop clean ones, so it is
        // given only for what was just written.
        Ok(fs::fadvise(&self.0, offset, std::num::NonZeroU64::new(len), fs::Advice::DontNeed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_behave_as_the_seam_says() {
        let root = std::env::temp_dir().join(format!("kokkiri-file-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("a place to work in");
        let fs = RealFileSystem::new(&root).expect("open root");
        fs.create_directories("base/5").expect("mkdir");
        let file = fs.open("base/5/1", OpenOptions::CREATE_NEW).expect("create");
        let again = fs.open("base/5/1", OpenOptions::CREATE_NEW).expect_err("exists");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        file.write_all_at(&[1; 10_000], 0).expect("write");
        file.sync_data().expect("sync");
        let mut buffer = [0; 20_000];
        assert_eq!(file.read_full_at(&mut buffer, 0).expect("read"), 10_000);
        // Just written, so in memory wherever the system can tell.
        if let Some(read) = file.try_read_at(&mut buffer[..100], 9_950).expect("try") {
            assert_eq!(read, 50);
        }
        file.allocate(0, 16_384).expect("allocate");
        assert_eq!(file.len().expect("len"), 16_384);
        file.truncate(5).expect("truncate");
        fs.rename_durably("base/5/1", "base/5/2").expect("rename");
        assert_eq!(fs.read("base/5/2").expect("read"), [1; 5]);
        fs.create_symbolic_link("5", "base/link").expect("link");
        assert_eq!(fs.read_symbolic_link("base/link").expect("link"), "5");
        let names: Vec<_> = fs.list("base").expect("list").into_iter().map(|e| (e.name, e.kind)).collect();
        assert_eq!(names, [("5".into(), FileKind::Directory), ("link".into(), FileKind::SymbolicLink)]);
        assert_eq!(fs.metadata("base/none").expect("no error"), None);
        fs.remove_tree("base").expect("remove");
        std::fs::remove_dir_all(&root).expect("clean up");
    }
}
