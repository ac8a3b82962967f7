//! The postmaster: the small parent that holds sockets, lock files and signals.
//!
//! Realises: postmaster.c, but for the backends, which are tasks of one server process. The postmaster
//! creates the data directory if it is empty, takes its lock file, binds the sockets and starts the
//! server process; then it only waits. Signals mean what they mean to PostgreSQL and are passed on:
//! SIGTERM smart, SIGINT fast, SIGQUIT immediate shutdown, SIGHUP reload. A server process that dies by
//! itself is started again: clients wait in the sockets' queues until recovery is done.

use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kokkiri_engine::settings::{ServerSettings, parameters};
use kokkiri_engine::{Engine, Error, Result, SqlState};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{InitOptions, ServeOptions};
use crate::handover::{self, Listeners, READY};
use crate::lock_file::{DirectoryClaim, LOOK_AGAIN, LockFile, POSTMASTER_PID, Protects, Status};
use crate::{configuration, control, log};

/// Exit code of a server process that stopped because it was asked to.
pub const STOPPED: i32 = 0;
/// Exit code of a server process that could not start; it is not started again.
pub const FAILED_TO_START: i32 = 1;

/// How long after a killed server its port may take to be free.
const LONGEST_CLOSING: Duration = Duration::from_secs(1);

/// Where the server listens.
struct Sockets {
    listeners: Listeners,
    /// Socket files with their lock files.
    files: Vec<(PathBuf, LockFile)>,
    /// The first TCP address, for the line that tells how to connect.
    first_address: Option<std::net::SocketAddr>,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for (path, _) in &self.files {
            if let Err(cause) = std::fs::remove_file(path) {
                tracing::warn!("could not remove socket file \"{}\": {cause}", path.display());
            }
        }
    }
}

/// Runs until the server is stopped.
pub fn run(options: &ServeOptions) -> Result<()> {
    log::install();
    if rustix::process::geteuid().is_root() {
        tracing::warn!("the server runs as root; an unprivileged user is safer");
    }
    if control::is_empty_directory(&options.data_directory)? {
        control::create_cluster(&InitOptions {
            data_directory: options.data_directory.clone(),
            superuser: "postgres".to_owned(),
            data_checksums: true,
            authentication: "trust".to_owned(),
            password: None,
        })?;
    }
    let directory = control::check_data_directory(&options.data_directory)?;
    let settings = configuration::load(&directory, &options.settings, Engine::default_settings())?;
    let value = |key: parameters_key::Text| text_setting(&settings, key);
    let port = int_setting(&settings, parameters::PORT);
    let socket_directories = value(parameters::UNIX_SOCKET_DIRECTORIES);
    let first_directory = socket_directories.split(',').next().unwrap_or("").trim().to_owned();
    let lock_path = directory.join(POSTMASTER_PID);
    let patience = if lock_path.exists() { LONGEST_CLOSING } else { Duration::ZERO };
    let mut lock =
        LockFile::create(lock_path, &directory, port, &first_directory, Protects::DataDirectory(&directory))?;
    let claim = DirectoryClaim::take(&directory)?;
    write_options_file(&directory, options)?;
    let listen_addresses = value(parameters::LISTEN_ADDRESSES);
    let sockets = bind(&directory, &listen_addresses, port as u16, &socket_directories, patience)?;
    lock.set_status(&listen_addresses, Status::Starting)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::file_access("start runtime of", "postmaster", &cause))?;
    runtime.block_on(supervise(options, &directory, &claim, &sockets, &mut lock, &listen_addresses))
}

/// Typed keys, by the names this module uses.
mod parameters_key {
    pub use kokkiri_engine::settings::parameter::Text;
}

fn text_setting(settings: &ServerSettings, key: parameters_key::Text) -> String {
    settings.stored(key.0).value.plain()
}

fn int_setting(settings: &ServerSettings, key: kokkiri_engine::settings::parameter::Int) -> i64 {
    settings.stored(key.0).value.plain().parse().expect("an integer parameter")
}

/// Starts the server process and restarts it until it stops in good order.
async fn supervise(
    options: &ServeOptions,
    directory: &Path,
    claim: &DirectoryClaim,
    sockets: &Sockets,
    lock: &mut LockFile,
    listen_addresses: &str,
) -> Result<()> {
    let listen =
        |kind| signal(kind).map_err(|cause| Error::file_access("install handler for", "signals", &cause));
    let mut smart = listen(SignalKind::terminate())?;
    let mut fast = listen(SignalKind::interrupt())?;
    let mut immediate = listen(SignalKind::quit())?;
    let mut reload = listen(SignalKind::hangup())?;
    let mut announced = false;
    let mut stopping = false;
    loop {
        let (mut child, ready) = start_server_process(options, directory, claim, &sockets.listeners)?;
        let mut ready = Some(tokio::task::spawn_blocking(move || wait_until_ready(ready)));
        let status = loop {
            tokio::select! {
                status = child.wait() => {
                    break status.map_err(|cause| Error::file_access("wait for", "server process", &cause))?;
                }
                came_up = async { ready.as_mut().expect("guarded").await }, if ready.is_some() => {
                    ready = None;
                    if matches!(came_up, Ok(true)) {
                        lock.set_status(listen_addresses, Status::Ready)?;
                        if !std::mem::replace(&mut announced, true) {
                            announce(sockets);
                        }
                    }
                }
                _ = smart.recv() => {
                    // Until the last client leaves, the server goes on being ready for those it has.
                    stopping = true;
                    pass_on(&child, Signal::TERM);
                }
                _ = fast.recv() => {
                    stopping = true;
                    lock.set_status(listen_addresses, Status::Stopping)?;
                    pass_on(&child, Signal::INT);
                }
                _ = immediate.recv() => {
                    stopping = true;
                    lock.set_status(listen_addresses, Status::Stopping)?;
                    pass_on(&child, Signal::QUIT);
                }
                _ = reload.recv() => pass_on(&child, Signal::HUP),
            }
        };
        if stopping || status.code() == Some(STOPPED) {
            tracing::info!("database system is shut down");
            return Ok(());
        }
        if status.code() == Some(FAILED_TO_START) {
            return Err(Error::fatal(
                SqlState::CANNOT_CONNECT_NOW,
                "startup failed; the reason stands above",
            ));
        }
        tracing::info!("server process (PID {}) {}", child.id().unwrap_or(0), describe(status));
        tracing::info!("all server processes terminated; reinitializing");
        lock.set_status(listen_addresses, Status::Starting)?;
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was terminated by signal {signal}"),
        (None, code) => format!("exited with exit code {}", code.unwrap_or(-1)),
    }
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid as i32))
        && let Err(cause) = kill_process(pid, signal)
    {
        tracing::warn!("could not send a signal to the server process: {cause}");
    }
}

fn start_server_process(
    options: &ServeOptions,
    directory: &Path,
    claim: &DirectoryClaim,
    listeners: &Listeners,
) -> Result<(Child, UnixStream)> {
    let failed = |cause: std::io::Error| Error::file_access("start", "server process", &cause);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("server-process").args(&options.raw).arg("-D").arg(directory);
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    let child = command.spawn().map_err(failed)?;
    handover::send(&ours, claim, listeners).map_err(failed)?;
    Ok((child, ours))
}

/// Waits for the server process's word that it accepts connections; keeps the channel open until the
/// process is gone, since its end would tell the process that the postmaster has died.
fn wait_until_ready(mut channel: UnixStream) -> bool {
    let mut word = [0];
    let ready = matches!(channel.read(&mut word), Ok(1)) && word[0] == READY;
    std::thread::spawn(move || handover::wait_for_end(channel));
    ready
}

fn announce(sockets: &Sockets) {
    if let Some(address) = sockets.first_address {
        let host =
            if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        println!(
            "Kokkiri is ready. Connect with:  psql -h {host} -p {} -U postgres postgres",
            address.port()
        );
    } else if let Some((path, _)) = sockets.files.first() {
        let directory = path.parent().unwrap_or(Path::new("/tmp"));
        println!("Kokkiri is ready. Connect with:  psql -h {} -U postgres postgres", directory.display());
    }
}

fn write_options_file(directory: &Path, options: &ServeOptions) -> Result<()> {
    let path = directory.join("postmaster.opts");
    let program = std::env::current_exe().unwrap_or_else(|_| "kokkiri".into());
    let mut line = program.display().to_string();
    for argument in &options.raw {
        line.push_str(&format!(" \"{argument}\""));
    }
    line.push('\n');
    std::fs::write(&path, line).map_err(|cause| Error::file_access("create file", path.display(), &cause))
}

/// Lets more clients wait to be accepted than the standard library does: many may come at once, or while
/// the server process is being started again.
fn widen_backlog(listener: &impl std::os::fd::AsFd) -> Result<()> {
    const BACKLOG: i32 = 10_000;
    rustix::net::listen(listener, BACKLOG)
        .map_err(|cause| Error::file_access("listen on", "socket", &cause.into()))
}

/// Listens at an address. A killed server's claim may be gone an instant before its sockets are.
fn listen(host: &str, port: u16, patience: Duration) -> std::io::Result<TcpListener> {
    let mut bound = TcpListener::bind((host, port));
    let deadline = Instant::now() + patience;
    while matches!(&bound, Err(cause) if cause.kind() == ErrorKind::AddrInUse) && Instant::now() < deadline {
        std::thread::sleep(LOOK_AGAIN);
        bound = TcpListener::bind((host, port));
    }
    bound
}

fn bind(
    directory: &Path,
    listen_addresses: &str,
    port: u16,
    socket_directories: &str,
    patience: Duration,
) -> Result<Sockets> {
    let mut sockets = Sockets { listeners: Listeners::default(), files: Vec::new(), first_address: None };
    for host in listen_addresses.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let hosts: &[&str] = match host {
            "*" => &["0.0.0.0", "::"],
            "localhost" => &["127.0.0.1", "::1"],
            other => &[other],
        };
        let mut bound = false;
        for host in hosts {
            match listen(host, port, patience) {
                Ok(listener) => {
                    let address = listener.local_addr().ok();
                    sockets.first_address = sockets.first_address.or(address);
                    tracing::info!("listening on IP address \"{host}\", port {port}");
                    widen_backlog(&listener)?;
                    sockets.listeners.tcp.push(listener);
                    bound = true;
                }
                // A machine without IPv6 listens on IPv4 alone.
                Err(cause) if bound && host.contains(':') => {
                    tracing::debug!("could not bind IPv6 address \"{host}\": {cause}");
                }
                Err(cause) => {
                    tracing::info!("{}", Error::file_access("bind IP address", host, &cause).message())
                }
            }
        }
        if !bound {
            return Err(Error::fatal(
                SqlState::CONFIG_FILE_ERROR,
                format!("could not create listen socket for \"{host}\""),
            )
            .hint(format!(
                "Is another postmaster already running on port {port}? If not, wait a few seconds and retry."
            )));
        }
    }
    for socket_directory in socket_directories.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let path = Path::new(socket_directory).join(format!(".s.PGSQL.{port}"));
        let lock_path = Path::new(socket_directory).join(format!(".s.PGSQL.{port}.lock"));
        let lock = LockFile::create(
            lock_path,
            directory,
            i64::from(port),
            socket_directory,
            Protects::Socket(&path),
        )?;
        // The lock is ours, so a socket file still there is a dead server's.
        if path.exists() {
            std::fs::remove_file(&path)
                .map_err(|cause| Error::file_access("remove file", path.display(), &cause))?;
        }
        let listener = UnixListener::bind(&path)
            .map_err(|cause| Error::file_access("create Unix socket", path.display(), &cause))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
            .map_err(|cause| Error::file_access("set permissions of file", path.display(), &cause))?;
        tracing::info!("listening on Unix socket \"{}\"", path.display());
        widen_backlog(&listener)?;
        sockets.listeners.unix.push(listener);
        sockets.files.push((path, lock));
    }
    if sockets.listeners.tcp.is_empty() && sockets.listeners.unix.is_empty() {
        return Err(Error::fatal(SqlState::CONFIG_FILE_ERROR, "no socket created for listening"));
    }
    Ok(sockets)
}
