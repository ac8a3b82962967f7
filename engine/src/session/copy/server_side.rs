//! The server's own ends of COPY: files and programs.
//!
//! Realises: `BeginCopyFrom`'s and `BeginCopyTo`'s opening of files and pipes, `ClosePipeFromProgram`,
//! `ClosePipeToProgram`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use kokkiri_primitives::activity::{WaitEvent, blocking};
use kokkiri_primitives::{Error, Result, error};

static COPY_FILE_READ: WaitEvent = WaitEvent::new("IO", "CopyFileRead");
static COPY_FILE_WRITE: WaitEvent = WaitEvent::new("IO", "CopyFileWrite");
static COPY_FROM_READ: WaitEvent = WaitEvent::new("IO", "CopyFromRead");
static COPY_TO_WRITE: WaitEvent = WaitEvent::new("IO", "CopyToWrite");

const PIECE_BYTES: usize = 64 * 1024;

/// What rows are read from.
pub enum Input {
    File { path: String, file: File },
    Program { command: String, child: Child },
}

/// What rows are written to.
pub enum Output {
    File { path: String, file: BufWriter<File> },
    Program { command: String, child: Child },
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

fn cannot_run(command: &str, cause: &std::io::Error) -> Error {
    Error::file_access("execute command", command, cause)
}

/// `could not open file`, with the hint for those who meant a file of the client's.
fn cannot_open(path: &str, purpose: &str, what: &str, cause: &std::io::Error) -> Error {
    let error = Error::file_access("open file", path, cause);
    let (head, tail) = error.message().rsplit_once(": ").unwrap_or((error.message(), ""));
    let worded = Error::new(error.sqlstate(), format!("{head} for {purpose}: {tail}"));
    match cause.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            worded.hint(format!("{what} You may want a client-side facility such as psql's \\copy."))
        }
        _ => worded,
    }
}

/// How a program ended, if not well.
fn judge(command: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let detail = match (status.code(), status.signal()) {
        (Some(126), _) => "command not executable".to_owned(),
        (Some(127), _) => "command not found".to_owned(),
        (Some(code), _) => format!("child process exited with exit code {code}"),
        (None, Some(signal)) => format!("child process was terminated by signal {signal}"),
        (None, None) => "child process exited with unrecognized status".to_owned(),
    };
    Err(error!(EXTERNAL_ROUTINE_EXCEPTION, "program \"{command}\" failed").detail(detail))
}

impl Input {
    pub fn open(name: &str, is_program: bool) -> Result<Self> {
        if is_program {
            let child = shell(name).stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
            let child = child.map_err(|cause| cannot_run(name, &cause))?;
            return Ok(Input::Program { command: name.to_owned(), child });
        }
        let what = "COPY FROM instructs the PostgreSQL server process to read a file.";
        let file = File::open(name).map_err(|cause| cannot_open(name, "reading", what, &cause))?;
        let metadata = file.metadata().map_err(|cause| Error::file_access("stat file", name, &cause))?;
        if metadata.is_dir() {
            return Err(error!(WRONG_OBJECT_TYPE, "\"{name}\" is a directory"));
        }
        Ok(Input::File { path: name.to_owned(), file })
    }

    /// The next piece; empty at the end.
    pub fn read(&mut self) -> Result<Vec<u8>> {
        let mut piece = vec![0; PIECE_BYTES];
        let (read, name) = match self {
            Input::File { path, file } => (blocking(&COPY_FILE_READ, || file.read(&mut piece)), path),
            Input::Program { command, child } => {
                let pipe = child.stdout.as_mut().expect("the program's output is a pipe");
                (blocking(&COPY_FROM_READ, || pipe.read(&mut piece)), command)
            }
        };
        let read = read.map_err(|cause| Error::file_access("read from COPY file", name, &cause))?;
        piece.truncate(read);
        Ok(piece)
    }

    pub fn close(self) -> Result<()> {
        match self {
            Input::File { .. } => Ok(()),
            Input::Program { command, mut child } => {
                let status = blocking(&COPY_FROM_READ, || child.wait());
                judge(&command, status.map_err(|cause| cannot_run(&command, &cause))?)
            }
        }
    }
}

impl Output {
    pub fn open(name: &str, is_program: bool) -> Result<Self> {
        if is_program {
            let child = shell(name).stdin(Stdio::piped()).spawn();
            let child = child.map_err(|cause| cannot_run(name, &cause))?;
            return Ok(Output::Program { command: name.to_owned(), child });
        }
        if !name.starts_with('/') {
            return Err(error!(INVALID_NAME, "relative path not allowed for COPY to file"));
        }
        let what = "COPY TO instructs the PostgreSQL server process to write a file.";
        if std::path::Path::new(name).is_dir() {
            return Err(error!(WRONG_OBJECT_TYPE, "\"{name}\" is a directory"));
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(name);
        let file = file.map_err(|cause| cannot_open(name, "writing", what, &cause))?;
        Ok(Output::File { path: name.to_owned(), file: BufWriter::with_capacity(PIECE_BYTES, file) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Output::File { path, file } => blocking(&COPY_FILE_WRITE, || file.write_all(bytes))
                .map_err(|cause| Error::file_access("write to COPY file", path, &cause)),
            Output::Program { command, child } => {
                let pipe = child.stdin.as_mut().expect("the program's input is a pipe");
                let Err(cause) = blocking(&COPY_TO_WRITE, || pipe.write_all(bytes)) else { return Ok(()) };
                // A program that ended says why better than its closed pipe does.
                drop(child.stdin.take());
                if let Ok(status) = child.wait() {
                    judge(command, status)?;
                }
                Err(Error::file_access("write to COPY program", command, &cause))
            }
        }
    }

    pub fn close(self) -> Result<()> {
        match self {
            Output::File { path, mut file } => blocking(&COPY_FILE_WRITE, || file.flush())
                .map_err(|cause| Error::file_access("write to COPY file", &path, &cause)),
            Output::Program { command, mut child } => {
                drop(child.stdin.take());
                let status = blocking(&COPY_TO_WRITE, || child.wait());
                judge(&command, status.map_err(|cause| cannot_run(&command, &cause))?)
            }
        }
    }
}
