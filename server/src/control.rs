//! Data directories from outside a running server: making one, checking one, and `ctl`.
//!
//! Realises: initdb's and pg_ctl's halves that need no engine.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use kokkiri_engine::{Engine, Error, InitialiseOptions, Result, Severity, SqlState};
use kokkiri_protocol::scram::{SALT_LENGTH, Verifier};
use rustix::process::{Pid, Signal, kill_process};

use crate::arguments::{ControlAction, ControlRequest, InitOptions, ShutdownMode};
use crate::lock_file::{POSTMASTER_PID, postmaster_status, running_postmaster};
use crate::sample_files;

/// What PG_VERSION says.
const MAJOR_VERSION: &str = "18";

/// How long `ctl` waits for what it has asked for: pg_ctl's default.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// True if there is nothing at that path, or a directory without anything in it.
pub fn is_empty_directory(path: &Path) -> Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(cause) => Err(Error::file_access("open directory", path.display(), &cause)),
    }
}

/// `kokkiri init`.
pub fn initialise(options: &InitOptions) -> Result<()> {
    if !is_empty_directory(&options.data_directory)? {
        return Err(Error::fatal(
            SqlState::DUPLICATE_FILE,
            format!("directory \"{}\" exists but is not empty", options.data_directory.display()),
        )
        .hint("Remove or empty the directory, or use another one."));
    }
    create_cluster(options)?;
    let program = std::env::current_exe().unwrap_or_else(|_| "kokkiri".into());
    println!("Success. You can now start the database server using:\n");
    println!("    {} ctl start -D {}\n", program.display(), options.data_directory.display());
    Ok(())
}

/// Makes a data directory. If it fails, what has been made is removed again.
pub fn create_cluster(options: &InitOptions) -> Result<()> {
    let existed = options.data_directory.exists();
    let made = fill_directory(options);
    if made.is_err() {
        let root = &options.data_directory;
        let removed = match existed {
            true => remove_contents(root),
            false => std::fs::remove_dir_all(root),
        };
        if let Err(cause) = removed {
            eprintln!("kokkiri: could not remove the contents of \"{}\": {cause}", root.display());
        }
    }
    made
}

fn remove_contents(root: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn fill_directory(options: &InitOptions) -> Result<()> {
    let root = &options.data_directory;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|cause| Error::file_access("create directory", root.display(), &cause))?;
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700))
        .map_err(|cause| Error::file_access("change permissions of directory", root.display(), &cause))?;
    write_file(&root.join("postgresql.conf"), &sample_files::postgresql_conf(&sample_files::time_zone()))?;
    write_file(&root.join("postgresql.auto.conf"), sample_files::AUTO_CONF)?;
    write_file(&root.join("pg_hba.conf"), &sample_files::hba_conf(&options.authentication))?;
    write_file(&root.join("pg_ident.conf"), sample_files::IDENT_CONF)?;
    let nonce: [u8; 32] = random()?;
    let password = options.password.as_deref();
    let stored = password.map(verifier).transpose()?;
    Engine::initialise(
        root,
        &InitialiseOptions {
            superuser: &options.superuser,
            superuser_password: stored.as_deref(),
            data_checksums: options.data_checksums,
            authentication_nonce: nonce,
        },
    )?;
    sync(root)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::fatal(SqlState::INTERNAL_ERROR, "could not generate random bytes"))?;
    Ok(bytes)
}

/// What is stored of a password.
fn verifier(password: &str) -> Result<String> {
    const ITERATIONS: u32 = 4096;
    Ok(Verifier::new(password, &random::<SALT_LENGTH>()?, ITERATIONS).to_string())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| Error::file_access("write file", path.display(), &cause))
}

/// Makes everything in the data directory durable: one call for the whole file system, as a call for each
/// of its hundreds of small files takes seconds.
fn sync(root: &Path) -> Result<()> {
    let failed = |cause: std::io::Error| Error::file_access("fsync file", root.display(), &cause);
    let directory = std::fs::File::open(root).map_err(failed)?;
    rustix::fs::syncfs(&directory).map_err(|cause| failed(cause.into()))
}

/// Checks that this is a data directory for this program and this user: `checkDataDir` and
/// `ValidatePgVersion`. Returns its absolute path.
pub fn check_data_directory(path: &Path) -> Result<PathBuf> {
    let fatal = |error: Error| error.with_severity(Severity::Fatal);
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::fatal(SqlState::UNDEFINED_FILE, format!("data directory \"{shown}\" does not exist"))
        }
        _ => fatal(Error::file_access("read permissions of directory", shown.to_string(), &cause)),
    })?;
    let wrong = |message: String| Error::fatal(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    if !metadata.is_dir() {
        return Err(wrong(format!("specified data directory \"{shown}\" is not a directory")));
    }
    let user = rustix::process::geteuid();
    if metadata.uid() != user.as_raw() {
        if !user.is_root() {
            return Err(wrong(format!("data directory \"{shown}\" has wrong ownership"))
                .hint("The server must be started by the user that owns the data directory."));
        }
        tracing::warn!("data directory \"{shown}\" belongs to another user than the server's");
    }
    if metadata.mode() & 0o027 != 0 {
        let error = wrong(format!("data directory \"{shown}\" has invalid permissions"))
            .detail("Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).");
        if !user.is_root() {
            return Err(error);
        }
        tracing::warn!("{}", error.message());
    }
    check_version(path)?;
    path.canonicalize().map_err(|cause| fatal(Error::file_access("resolve path", path.display(), &cause)))
}

fn check_version(path: &Path) -> Result<()> {
    let file = path.join("PG_VERSION");
    let invalid = || {
        let message = format!("\"{}\" is not a valid data directory", path.display());
        Error::fatal(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(invalid().detail(format!("File \"{}\" is missing.", file.display())));
        }
        Err(cause) => {
            return Err(
                Error::file_access("open file", file.display(), &cause).with_severity(Severity::Fatal)
            );
        }
    };
    let version = text.lines().next().unwrap_or("").trim();
    if version.parse::<u32>().is_err() {
        return Err(invalid()
            .detail(format!("File \"{}\" does not contain valid data.", file.display()))
            .hint("You might need to initdb."));
    }
    if version != MAJOR_VERSION {
        return Err(Error::fatal(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "database files are incompatible with server",
        )
        .detail(format!(
            "The data directory was initialized by PostgreSQL version {version}, which is not compatible with this version {MAJOR_VERSION}."
        )));
    }
    Ok(())
}

/// `kokkiri ctl`: pg_ctl's messages and exit codes.
pub fn run(request: &ControlRequest) -> ExitCode {
    let directory = &request.data_directory;
    if !directory.is_dir() {
        eprintln!("kokkiri ctl: directory \"{}\" does not exist", directory.display());
        return ExitCode::from(if request.action == ControlAction::Status { 4 } else { 1 });
    }
    let done = match request.action {
        ControlAction::Start => start(request, &request.serve_options),
        ControlAction::Stop => stop(directory, request.mode),
        ControlAction::Restart => restart(request),
        ControlAction::Reload => {
            signal_postmaster(directory, Signal::HUP).map(|()| println!("server signaled"))
        }
        ControlAction::Status => return status(directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kokkiri ctl: {message}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = std::result::Result<(), String>;

fn status(directory: &Path) -> ExitCode {
    match running_postmaster(directory) {
        Some(pid) => {
            println!("kokkiri ctl: server is running (PID: {pid})");
            if let Ok(options) = std::fs::read_to_string(directory.join("postmaster.opts")) {
                print!("{options}");
            }
            ExitCode::SUCCESS
        }
        None => {
            println!("kokkiri ctl: no server running");
            ExitCode::from(3)
        }
    }
}

fn signal_postmaster(directory: &Path, signal: Signal) -> Outcome {
    let file = directory.join(POSTMASTER_PID);
    let missing = || format!("PID file \"{}\" does not exist\nIs server running?", file.display());
    let pid = running_postmaster(directory).and_then(Pid::from_raw).ok_or_else(missing)?;
    kill_process(pid, signal)
        .map_err(|cause| format!("could not send signal (PID: {}): {cause}", pid.as_raw_nonzero()))
}

fn start(request: &ControlRequest, serve_options: &[String]) -> Outcome {
    let directory = &request.data_directory;
    if running_postmaster(directory).is_some() {
        eprintln!("kokkiri ctl: another server might be running; trying to start server anyway");
    }
    let program = std::env::current_exe().map_err(|cause| format!("could not find own program: {cause}"))?;
    let mut command = Command::new(program);
    command.arg("serve").args(serve_options).arg("-D").arg(directory).stdin(Stdio::null());
    if let Some(path) = &request.log_file {
        let failed = |cause| format!("could not open log file \"{}\": {cause}", path.display());
        let log = File::options().append(true).create(true).open(path).map_err(failed)?;
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
    }
    // A group of its own, so that the terminal's signals do not end it.
    let mut child =
        command.process_group(0).spawn().map_err(|cause| format!("could not start server: {cause}"))?;
    let pid = child.id() as i32;
    let ours = || running_postmaster(directory) == Some(pid);
    let ready = wait("server to start", || match child.try_wait() {
        Ok(Some(_)) => Some(Err("could not start server\nExamine the log output.".to_owned())),
        _ if ours() && postmaster_status(directory).as_deref() == Some("ready") => Some(Ok(())),
        _ => None,
    });
    ready.ok_or("server did not start in time")??;
    println!("server started");
    Ok(())
}

fn stop(directory: &Path, mode: ShutdownMode) -> Outcome {
    let signal = match mode {
        ShutdownMode::Smart => Signal::TERM,
        ShutdownMode::Fast => Signal::INT,
        ShutdownMode::Immediate => Signal::QUIT,
    };
    signal_postmaster(directory, signal)?;
    let gone = wait("server to shut down", || running_postmaster(directory).is_none().then_some(()));
    gone.ok_or("server does not shut down")?;
    println!("server stopped");
    Ok(())
}

/// Stops and starts with the options of the last start, unless there are new ones.
fn restart(request: &ControlRequest) -> Outcome {
    let directory = &request.data_directory;
    let options = match request.serve_options.as_slice() {
        [] => last_options(directory),
        given => given.to_vec(),
    };
    if running_postmaster(directory).is_some() {
        stop(directory, request.mode)?;
    } else {
        eprintln!("kokkiri ctl: PID file \"{}\" does not exist", directory.join(POSTMASTER_PID).display());
        eprintln!("Is server running?\ntrying to start server anyway");
    }
    start(request, &options)
}

/// The quoted words of postmaster.opts, behind the program's name.
fn last_options(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("postmaster.opts")).unwrap_or_default();
    let line = text.lines().next().unwrap_or("");
    let words = line.split_once(" \"").map_or("", |(_, words)| words);
    let words = words.strip_suffix('"').unwrap_or(words);
    words.split("\" \"").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Looks until there is an answer, with pg_ctl's dots; `None` when patience is at its end.
fn wait<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    print!("waiting for {what}...");
    let begun = Instant::now();
    let mut dots = 1;
    loop {
        // The terminal may be gone; waiting goes on all the same.
        let _unseen = std::io::stdout().flush();
        if let Some(answer) = answer() {
            println!(" done");
            return Some(answer);
        }
        if begun.elapsed() > PATIENCE {
            println!(" stopped waiting");
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
        if begun.elapsed().as_secs() >= dots {
            print!(".");
            dots += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("kokkiri-control-{name}-{}", std::process::id()));
        let _leftover = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn only_an_empty_directory_is_filled() {
        let path = directory("empty");
        assert!(is_empty_directory(&path).expect("nothing there"));
        std::fs::create_dir_all(&path).expect("writable");
        assert!(is_empty_directory(&path).expect("readable"));
        std::fs::write(path.join("file"), "").expect("writable");
        assert!(!is_empty_directory(&path).expect("readable"));
        std::fs::remove_dir_all(&path).expect("ours");
    }

    #[test]
    fn a_directory_of_another_version_is_refused() {
        let path = directory("version");
        std::fs::create_dir_all(&path).expect("writable");
        let detail = || check_version(&path).expect_err("wrong").fields().detail.clone().unwrap_or_default();
        assert!(detail().ends_with("PG_VERSION\" is missing."));
        std::fs::write(path.join("PG_VERSION"), "17\n").expect("writable");
        let expected = "The data directory was initialized by PostgreSQL version 17, which is not compatible with this version 18.";
        assert_eq!(detail(), expected);
        std::fs::write(path.join("PG_VERSION"), "18\n").expect("writable");
        assert!(check_version(&path).is_ok());
        std::fs::remove_dir_all(&path).expect("ours");
    }

    #[test]
    fn options_are_read_back_as_they_were_written() {
        let path = directory("options");
        std::fs::create_dir_all(&path).expect("writable");
        std::fs::write(path.join("postmaster.opts"), "/bin/kokkiri \"-p\" \"6000\" \"-c\" \"a=b c\"\n")
            .expect("writable");
        assert_eq!(last_options(&path), ["-p", "6000", "-c", "a=b c"]);
        std::fs::write(path.join("postmaster.opts"), "/bin/kokkiri\n").expect("writable");
        assert!(last_options(&path).is_empty());
        std::fs::remove_dir_all(&path).expect("ours");
    }
}
