//! Lock files: postmaster.pid in the data directory and `.s.PGSQL.<port>.lock` beside a Unix socket.
//!
//! Realises: `CreateLockFile` (miscinit.c), with its lines: process id, data directory, start time,
//! port, socket directory, first listen address, shared memory key, status. PostgreSQL's tools read
//! postmaster.pid. A file whose process is gone is stale and is replaced.
//!
//! A postmaster that was killed is survived by its server process for a moment, in which that may still
//! write. So both processes hold the [`DirectoryClaim`], as PostgreSQL's backends hold the shared memory
//! segment that a new postmaster looks for, and a new postmaster waits for it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kokkiri_engine::{Error, Result, Severity, SqlState};
use rustix::fs::FlockOperation;

/// The data directory's lock file.
pub const POSTMASTER_PID: &str = "postmaster.pid";

/// How long a postmaster waits for the last processes of a killed one.
const LONGEST_DYING: Duration = Duration::from_secs(10);
/// How often it looks.
pub const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A lock file of this process; removed when dropped.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    lines: Vec<String>,
}

/// The data directory, locked as long as any process of this server lives: the postmaster and its server
/// process share one open file.
pub struct DirectoryClaim(OwnedFd);

impl DirectoryClaim {
    /// Locks the directory; waits for processes of an earlier server that are about to end.
    ///
    /// # Errors
    /// FATAL 55006 if they do not end.
    pub fn take(data_directory: &Path) -> Result<Self> {
        let failed = |action: &str, cause: &std::io::Error| {
            Error::file_access(action, data_directory.display(), cause).with_severity(Severity::Fatal)
        };
        let directory = File::open(data_directory).map_err(|cause| failed("open directory", &cause))?;
        let deadline = Instant::now() + LONGEST_DYING;
        loop {
            match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(directory.into())),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(cause) => return Err(failed("lock directory", &cause.into())),
            }
        }
        Err(Error::fatal(
            SqlState::LOCK_FILE_EXISTS,
            format!("data directory \"{}\" is still in use", data_directory.display()),
        )
        .hint("Terminate any old server processes associated with it."))
    }
}

impl From<OwnedFd> for DirectoryClaim {
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

impl AsFd for DirectoryClaim {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What postmaster.pid says once the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Starting,
    Stopping,
    Ready,
}

impl Status {
    /// PostgreSQL pads the word so that the file's length does not change.
    fn as_str(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Stopping => "stopping",
            Status::Ready => "ready   ",
        }
    }
}

/// What a lock file protects, for its error's hint.
pub enum Protects<'a> {
    DataDirectory(&'a Path),
    Socket(&'a Path),
}

impl LockFile {
    /// Creates the file with its first lines, or fails if a living process holds it.
    ///
    /// # Errors
    /// FATAL 55006 `lock file "..." already exists` with PostgreSQL's hint.
    pub fn create(
        path: PathBuf,
        data_directory: &Path,
        port: i64,
        socket_directory: &str,
        protects: Protects<'_>,
    ) -> Result<Self> {
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let lines = vec![
            std::process::id().to_string(),
            data_directory.display().to_string(),
            started.to_string(),
            port.to_string(),
            socket_directory.to_owned(),
        ];
        let failed = |action: &str, cause: &std::io::Error| {
            Error::file_access(action, path.display(), cause).with_severity(Severity::Fatal)
        };
        for _ in 0..100 {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => {
                    let file = Self { path: path.clone(), lines };
                    file.write()?;
                    return Ok(file);
                }
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(failed("create lock file", &cause)),
            }
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let pid: i32 = holder.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
            if holder.is_empty() && path.exists() {
                return Err(Error::fatal(
                    SqlState::LOCK_FILE_EXISTS,
                    format!("lock file \"{}\" is empty", path.display()),
                )
                .hint("Either another server is starting, or the lock file is the remnant of a previous server startup crash."));
            }
            if pid == 0 && !holder.is_empty() {
                return Err(Error::fatal(
                    SqlState::LOCK_FILE_EXISTS,
                    format!(
                        "bogus data in lock file \"{}\": \"{}\"",
                        path.display(),
                        holder.lines().next().unwrap_or("")
                    ),
                ));
            }
            if pid != std::process::id() as i32 && is_alive(pid) {
                return Err(already_exists(&path, pid, &protects));
            }
            if let Err(cause) = std::fs::remove_file(&path)
                && cause.kind() != ErrorKind::NotFound
            {
                return Err(failed("remove old lock file", &cause));
            }
        }
        Err(Error::fatal(
            SqlState::LOCK_FILE_EXISTS,
            format!("could not create lock file \"{}\"", path.display()),
        ))
    }

    /// Fills in the lines behind the socket directory.
    pub fn set_status(&mut self, listen_address: &str, status: Status) -> Result<()> {
        self.lines.truncate(5);
        let first = listen_address.split(',').next().map_or("", str::trim);
        self.lines.push(first.to_owned());
        // There is no System V segment; the key line is kept for tools that count lines.
        self.lines.push(format!("{:9} {:9}", 0, 0));
        self.lines.push(status.as_str().to_owned());
        self.write()
    }

    fn write(&self) -> Result<()> {
        let failed =
            |cause: std::io::Error| Error::file_access("write lock file", self.path.display(), &cause);
        // Overwritten in place, so that nobody ever reads it empty and takes the server for gone.
        let mut file = OpenOptions::new().write(true).open(&self.path).map_err(failed)?;
        let mut text = self.lines.join("\n");
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.set_len(text.len() as u64).map_err(failed)?;
        file.sync_all().map_err(failed)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if let Err(cause) = std::fs::remove_file(&self.path)
            && cause.kind() != ErrorKind::NotFound
        {
            tracing::warn!("could not remove lock file \"{}\": {cause}", self.path.display());
        }
    }
}

/// True if there is a process with this number.
pub fn is_alive(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return false };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => !is_zombie(pid),
        Err(rustix::io::Errno::PERM) => true,
        Err(_) => false,
    }
}

/// A process that has ended but that its parent has not asked for holds nothing any more.
fn is_zombie(pid: rustix::process::Pid) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return false;
    };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

/// The process that the data directory's lock file names, if it lives.
pub fn running_postmaster(data_directory: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data_directory.join(POSTMASTER_PID)).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    is_alive(pid).then_some(pid)
}

/// The status line of the data directory's lock file.
pub fn postmaster_status(data_directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data_directory.join(POSTMASTER_PID)).ok()?;
    text.lines().nth(7).map(|line| line.trim().to_owned())
}

fn already_exists(path: &Path, pid: i32, protects: &Protects<'_>) -> Error {
    let hint = match protects {
        Protects::DataDirectory(directory) => {
            format!(
                "Is another postmaster (PID {pid}) running in data directory \"{}\"?",
                directory.display()
            )
        }
        Protects::Socket(socket) => {
            format!("Is another postmaster (PID {pid}) using socket file \"{}\"?", socket.display())
        }
    };
    let shown = match protects {
        Protects::DataDirectory(_) => POSTMASTER_PID.to_owned(),
        Protects::Socket(_) => path.display().to_string(),
    };
    Error::fatal(SqlState::LOCK_FILE_EXISTS, format!("lock file \"{shown}\" already exists")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_holder_keeps_the_file_and_a_dead_one_loses_it() {
        let directory = std::env::temp_dir().join(format!("kokkiri-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let path = directory.join(POSTMASTER_PID);
        let create =
            || LockFile::create(path.clone(), &directory, 5432, "/tmp", Protects::DataDirectory(&directory));
        // Process 1 always lives.
        std::fs::write(&path, "1\n").expect("writable");
        let error = create().expect_err("held");
        assert_eq!(error.message(), "lock file \"postmaster.pid\" already exists");
        assert_eq!(error.sqlstate(), SqlState::LOCK_FILE_EXISTS);
        std::fs::write(&path, "4194305\n").expect("writable");
        let mut held = create().expect("no process has that number");
        held.set_status("localhost", Status::Ready).expect("writable");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(text.lines().nth(3), Some("5432"));
        assert_eq!(text.lines().nth(7), Some("ready   "));
        drop(held);
        assert!(!path.exists());
        std::fs::remove_dir_all(&directory).expect("ours");
    }
}
