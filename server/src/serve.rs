//! The server process: everything but holding the sockets.
//!
//! Started by the postmaster, it receives the listening sockets, starts the engine on a thread of its own
//! and meanwhile already answers clients, with 57P03 until the engine lets them in. It ends when it is
//! asked to, when its postmaster has vanished, or when the engine has failed; then the postmaster starts
//! another one.

use std::path::PathBuf;
use std::process::exit;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kokkiri_engine::settings::{ServerSettings, parameters};
use kokkiri_engine::{Engine, Error, Result, Severity, StopMode};
use kokkiri_protocol::scram::Verifier;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::ServeOptions;
use crate::cancel::CancelKeys;
use crate::handover::{self, Listeners, READY};
use crate::passwords::ScramVerifiers;
use crate::postmaster::{FAILED_TO_START, STOPPED};
use crate::startup::Peer;
use crate::stream::Stream;
use crate::tls::Tls;
use crate::{configuration, connection, hba, log, tls};

/// Exit code when the engine has failed: the postmaster starts another server process.
const CRASHED: i32 = 2;
/// Stack of a thread that runs statements, beyond what max_stack_depth allows them: bytes.
const STACK_RESERVE: usize = 2 * 1024 * 1024;
/// How long to rest after an accept that failed for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What all connections share.
pub struct Server {
    engine: Arc<Engine>,
    data_directory: PathBuf,
    command_line: Vec<(String, String)>,
    hba: RwLock<Arc<Vec<hba::Record>>>,
    tls: RwLock<Option<Arc<Tls>>>,
    pub cancel_keys: Arc<CancelKeys>,
}

impl Server {
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The records of pg_hba.conf.
    pub fn hba(&self) -> Arc<Vec<hba::Record>> {
        Arc::clone(&self.hba.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What TLS needs, if it is on.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn authentication_timeout(&self) -> Duration {
        Duration::from_secs(self.engine.settings().get(parameters::AUTHENTICATION_TIMEOUT).max(1) as u64)
    }

    /// A verifier that no password meets, the same one each time for a name: whoever tries can't tell a
    /// role that does not exist from one with another password.
    pub fn mock_verifier(&self, user: &str) -> Verifier {
        let nonce = self.engine.instance().map(|instance| instance.control.read().authentication_nonce);
        let iterations = self.engine.settings().get(parameters::SCRAM_ITERATIONS) as u32;
        Verifier::mock(user, &nonce.unwrap_or_default(), iterations)
    }

    /// Serves a cancel request. Whoever sends one is told nothing; the log is.
    pub fn cancel(&self, pid: i32, key: &[u8]) {
        if self.cancel_keys.matches(pid, key) {
            tracing::debug!("processing cancel request: sending interrupt to process {pid}");
            self.engine.cancel(pid);
        } else if self.cancel_keys.knows(pid) {
            tracing::info!("wrong key in cancel request for process {pid}");
        } else {
            tracing::info!("PID {pid} in cancel request did not match any process");
        }
    }

    /// Reads the configuration again. What is wrong is logged, and then nothing changes.
    fn reload(&self) {
        tracing::info!("received SIGHUP, reloading configuration files");
        match configuration::load(&self.data_directory, &self.command_line, Engine::default_settings()) {
            Ok(fresh) => {
                let settings = configuration::reload(&self.engine.settings(), fresh);
                match tls::load(&settings, &self.data_directory) {
                    Ok(tls) => *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls.map(Arc::new),
                    Err(error) => log::report(&error.with_severity(Severity::Log), None),
                }
                self.engine.reload(settings);
            }
            Err(error) => {
                log::report(&error.with_severity(Severity::Log), None);
                let file = self.data_directory.join("postgresql.conf");
                tracing::info!(
                    "configuration file \"{}\" contains errors; no changes were applied",
                    file.display()
                );
            }
        }
        match hba::load(&self.data_directory.join("pg_hba.conf")) {
            Ok(records) => *self.hba.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(records),
            Err(error) => {
                log::report(&error.with_severity(Severity::Log), None);
                tracing::info!("{} was not reloaded", self.data_directory.join("pg_hba.conf").display());
            }
        }
    }
}

/// Runs the server process. Returns when it has stopped in good order.
pub fn run(options: &ServeOptions) -> Result<()> {
    log::install();
    let failed = |cause: std::io::Error| Error::file_access("receive sockets from", "postmaster", &cause);
    let channel = handover::from_stdin().map_err(failed)?;
    let (_claim, listeners) = handover::receive(&channel).map_err(failed)?;
    let directory = options.data_directory.clone();
    let settings = configuration::load(&directory, &options.settings, Engine::default_settings())?;
    let records = hba::load(&directory.join("pg_hba.conf"))?;
    let tls = tls::load(&settings, &directory)?;
    raise_file_limit();
    let runtime = runtime(&settings)?;
    let server = Arc::new(Server {
        engine: Engine::new(directory.clone(), settings, Arc::new(ScramVerifiers)),
        data_directory: directory,
        command_line: options.settings.clone(),
        hba: RwLock::new(Arc::new(records)),
        tls: RwLock::new(tls.map(Arc::new)),
        cancel_keys: Arc::default(),
    });
    spawn_thread("startup", {
        let (server, ready) = (Arc::clone(&server), channel.try_clone().map_err(failed)?);
        move || start_engine(&server, ready)
    })?;
    spawn_thread("postmaster_watch", move || {
        handover::wait_for_end(channel);
        tracing::warn!("terminating because the postmaster has vanished");
        exit(FAILED_TO_START);
    })?;
    let served = runtime.block_on(serve(&server, listeners));
    // Connections that are still being refused need not be waited for.
    runtime.shutdown_background();
    served
}

/// Takes all the file descriptors that the server may have: each connection is one, and tables are files.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(cause) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("could not raise the limit of open files: {cause}");
    }
}

/// Enough threads for every backend to wait in one of its own, with stacks that hold what
/// max_stack_depth allows, in a session that raises it, too.
fn runtime(settings: &ServerSettings) -> Result<tokio::runtime::Runtime> {
    let depth_kb = settings.get(parameters::MAX_STACK_DEPTH) as usize;
    kokkiri_engine::limit_stack_depth(depth_kb);
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("backend")
        .thread_stack_size(depth_kb.max(kokkiri_engine::STACK_DEPTH_MAX_KB) * 1024 + STACK_RESERVE)
        .max_blocking_threads(settings.get(parameters::MAX_CONNECTIONS) as usize + 64)
        .enable_all()
        .build()
        .map_err(|cause| Error::file_access("start runtime of", "server process", &cause))
}

fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(drop).map_err(|cause| Error::file_access("start thread", name, &cause))
}

/// Starts the engine, says so to the postmaster, and then watches over the engine's end.
fn start_engine(server: &Server, mut ready: std::os::unix::net::UnixStream) {
    if let Err(error) = server.engine.start() {
        log::fatal(&error);
        exit(FAILED_TO_START);
    }
    if let Err(cause) = std::io::Write::write_all(&mut ready, &[READY]) {
        tracing::warn!("could not tell the postmaster that the server is ready: {cause}");
    }
    if server.engine.wait_for_end() {
        tracing::error!("the engine could not be restarted");
        exit(CRASHED);
    }
}

/// Accepts connections and obeys signals until the engine has been stopped.
async fn serve(server: &Arc<Server>, listeners: Listeners) -> Result<()> {
    let failed = |cause: std::io::Error| Error::file_access("listen on", "socket", &cause);
    for listener in listeners.tcp {
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        tokio::spawn(accept_tcp(Arc::clone(server), listener));
    }
    for listener in listeners.unix {
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        tokio::spawn(accept_unix(Arc::clone(server), listener));
    }
    let listen =
        |kind| signal(kind).map_err(|cause| Error::file_access("install handler for", "signals", &cause));
    let mut smart = listen(SignalKind::terminate())?;
    let mut fast = listen(SignalKind::interrupt())?;
    let mut immediate = listen(SignalKind::quit())?;
    let mut reload = listen(SignalKind::hangup())?;
    let (stopped, mut has_stopped) = tokio::sync::mpsc::channel(1);
    let stop = |mode| {
        let (server, stopped) = (Arc::clone(server), stopped.clone());
        tokio::task::spawn_blocking(move || {
            // The receiver lives until the process ends.
            let _received = stopped.blocking_send(server.engine.stop(mode));
        });
    };
    loop {
        tokio::select! {
            result = has_stopped.recv() => return result.unwrap_or(Ok(())),
            _ = smart.recv() => stop(StopMode::Smart),
            _ = fast.recv() => {
                if server.engine.is_starting() {
                    tracing::info!("received fast shutdown request");
                    exit(STOPPED);
                }
                stop(StopMode::Fast);
            }
            _ = immediate.recv() => {
                tracing::info!("received immediate shutdown request");
                exit(STOPPED);
            }
            _ = reload.recv() => {
                let server = Arc::clone(server);
                tokio::task::spawn_blocking(move || server.reload());
            }
        }
    }
}

async fn accept_tcp(server: Arc<Server>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Without these two the connection still works.
                let _slower = stream.set_nodelay(true);
                let _unnoticed = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                tokio::spawn(connection::run(Arc::clone(&server), Stream::Tcp(stream), Peer::Tcp(address)));
            }
            Err(cause) => accept_failed(&cause).await,
        }
    }
}

async fn accept_unix(server: Arc<Server>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::run(Arc::clone(&server), Stream::Unix(stream), Peer::Unix));
            }
            Err(cause) => accept_failed(&cause).await,
        }
    }
}

async fn accept_failed(cause: &std::io::Error) {
    tracing::info!("could not accept new connection: {cause}");
    tokio::time::sleep(ACCEPT_REST).await;
}
