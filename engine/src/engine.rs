//! One running data directory: its life from start to stop, and over crashes inside the process.
//!
//! The engine outlives its [`Instance`]. When an instance is poisoned (a panic between changing a page
//! and logging it, an fsync that failed), all its sessions are ended, its memory is dropped, and a new
//! instance starts by replaying the WAL: PostgreSQL's restart after the crash of a backend, without the
//! process exiting. If the sessions of a poisoned instance don't end in time, or the new instance can't
//! be started, the engine has failed and the process is to exit.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kokkiri_command::PasswordVerifiers;
use kokkiri_primitives::activity::{BackendType, Interrupt, Registration};
use kokkiri_primitives::settings::{ServerSettings, Settings, SharedSettings, parameters};
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_storage::{FileSystem, Poison};

use crate::client::ConnectRequest;
use crate::instance::{Instance, file_system};

/// How long the sessions of a poisoned instance have to end.
const CRASH_PATIENCE: Duration = Duration::from_secs(60);

/// What a session starts with: a backend that has been let in.
pub struct SessionStart {
    pub instance: Arc<Instance>,
    pub registration: Registration,
    pub request: ConnectRequest,
    /// With the values of database, role and startup packet.
    pub settings: Settings,
    pub role: Oid,
    pub database: Oid,
    /// The database's default tablespace.
    pub tablespace: Oid,
}

/// How to stop: PostgreSQL's shutdown modes but the immediate one, which is just exiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// When the last client has left.
    Smart,
    /// Clients are sent away.
    Fast,
}

/// Where an engine is in its life.
#[derive(Clone)]
enum State {
    Starting,
    Running(Arc<Instance>),
    /// After a crash: the old instance's sessions are going, or the WAL is being replayed.
    Recovering,
    Stopping(Arc<Instance>, StopMode),
    Stopped,
    Failed,
}

/// Where the data directory's files are.
enum Files {
    Directory(PathBuf),
    Given(Arc<dyn FileSystem>),
}

impl Files {
    fn open(&self) -> Result<Arc<dyn FileSystem>> {
        match self {
            Files::Directory(path) => file_system(path),
            Files::Given(files) => Ok(Arc::clone(files)),
        }
    }
}

/// One running data directory.
pub struct Engine {
    files: Files,
    settings: Arc<SharedSettings>,
    passwords: Arc<dyn PasswordVerifiers>,
    state: Mutex<State>,
    changed: Condvar,
    this: Weak<Engine>,
}

impl Engine {
    /// An engine that is yet to be started. `passwords` says what is stored of passwords that statements
    /// set.
    pub fn new(
        data_directory: PathBuf,
        settings: ServerSettings,
        passwords: Arc<dyn PasswordVerifiers>,
    ) -> Arc<Self> {
        Self::on(Files::Directory(data_directory), settings, passwords)
    }

    /// The same on a file system whose root is the data directory.
    pub fn on_file_system(
        files: Arc<dyn FileSystem>,
        settings: ServerSettings,
        passwords: Arc<dyn PasswordVerifiers>,
    ) -> Arc<Self> {
        Self::on(Files::Given(files), settings, passwords)
    }

    fn on(files: Files, settings: ServerSettings, passwords: Arc<dyn PasswordVerifiers>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            files,
            passwords,
            settings: Arc::new(SharedSettings::new(Arc::new(settings))),
            state: Mutex::new(State::Starting),
            changed: Condvar::new(),
            this: this.clone(),
        })
    }

    /// Every parameter at its built-in default, with the checks that only the engine can make.
    pub fn default_settings() -> ServerSettings {
        let mut settings = ServerSettings::new();
        crate::session::install_checks(&mut settings);
        settings
    }

    /// True until the first start is done.
    pub fn is_starting(&self) -> bool {
        matches!(*self.lock(), State::Starting)
    }

    /// Starts it: blocks until recovery is done and clients can be let in.
    ///
    /// # Errors
    /// FATAL or PANIC in PostgreSQL's words.
    pub fn start(&self) -> Result<()> {
        let instance = self.start_instance().inspect_err(|_| self.set_state(State::Failed))?;
        // A request to stop may have come while it was starting.
        let mut state = self.lock();
        if matches!(*state, State::Starting) {
            *state = State::Running(instance);
            drop(state);
            self.changed.notify_all();
            tracing::info!("database system is ready to accept connections");
            return Ok(());
        }
        *state = State::Stopping(instance, StopMode::Fast);
        Ok(())
    }

    fn start_instance(&self) -> Result<Arc<Instance>> {
        let poison = Poison::leak();
        let engine = self.this.clone();
        poison.set_handler(move |reason| {
            if let Some(engine) = engine.upgrade() {
                engine.crashed(reason);
            }
        });
        Instance::start(&self.files.open()?, poison, &self.settings, &self.passwords)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    /// The running instance.
    ///
    /// # Errors
    /// FATAL 57P03 saying why no client is let in now.
    pub fn instance(&self) -> Result<Arc<Instance>> {
        let refused = |why: &str| Err(Error::fatal(SqlState::CANNOT_CONNECT_NOW, why));
        match &*self.lock() {
            State::Running(instance) => Ok(Arc::clone(instance)),
            State::Starting => refused("the database system is starting up"),
            State::Recovering | State::Failed => refused("the database system is in recovery mode"),
            State::Stopping(..) | State::Stopped => refused("the database system is shutting down"),
        }
    }

    /// The server's settings.
    pub fn settings(&self) -> Arc<ServerSettings> {
        self.settings.load()
    }

    /// Takes over settings that were read again.
    pub fn reload(&self, settings: ServerSettings) {
        self.settings.store(Arc::new(settings));
        if let Some(instance) = self.living() {
            instance.settings_changed();
        }
    }

    /// The instance that has backends now, letting in clients or not.
    fn living(&self) -> Option<Arc<Instance>> {
        match &*self.lock() {
            State::Running(instance) | State::Stopping(instance, _) => Some(Arc::clone(instance)),
            State::Starting | State::Recovering | State::Stopped | State::Failed => None,
        }
    }

    /// Interrupts the statement that the backend `pid` runs.
    pub fn cancel(&self, pid: i32) {
        if let Some(backend) = self.living().and_then(|instance| instance.cluster.processes.by_pid(pid)) {
            backend.interrupt(Interrupt::Cancel);
        }
    }

    /// Blocks until the engine has failed or stopped; tells whether it has failed.
    pub fn wait_for_end(&self) -> bool {
        let state = self
            .changed
            .wait_while(self.lock(), |state| !matches!(state, State::Failed | State::Stopped))
            .unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Failed)
    }

    /// Stops the engine: blocks until the shutdown checkpoint is made. A faster mode may come while a
    /// slower one is under way; whoever asked first does the work.
    ///
    /// # Errors
    /// If the shutdown checkpoint failed.
    pub fn stop(&self, mode: StopMode) -> Result<()> {
        let Some(instance) = self.begin_stop(mode) else {
            self.wait_for_end();
            return Ok(());
        };
        self.wait_for_clients(&instance);
        let stopped = instance.stop_workers().and_then(|()| instance.cluster.poison.check());
        self.set_state(State::Stopped);
        stopped
    }

    /// Notes that no client is let in any more; the instance if it is for the caller to stop.
    fn begin_stop(&self, mode: StopMode) -> Option<Arc<Instance>> {
        let announced = match mode {
            StopMode::Smart => "received smart shutdown request",
            StopMode::Fast => "received fast shutdown request",
        };
        tracing::info!("{announced}");
        let mut state = self.lock();
        // What is starting or recovering is let come to its end first: it is soon able to stop in order.
        state = self
            .changed
            .wait_while(state, |state| matches!(state, State::Starting | State::Recovering))
            .unwrap_or_else(PoisonError::into_inner);
        let (instance, mine) = match &*state {
            State::Running(instance) => (Arc::clone(instance), true),
            State::Stopping(instance, earlier) if *earlier < mode => (Arc::clone(instance), false),
            _ => return None,
        };
        *state = State::Stopping(Arc::clone(&instance), mode);
        drop(state);
        self.changed.notify_all();
        if mode == StopMode::Fast {
            tracing::info!("aborting any active transactions");
            instance.interrupt_all(Interrupt::Terminate, is_session);
        }
        mine.then_some(instance)
    }

    fn wait_for_clients(&self, instance: &Instance) {
        const LOOK_AGAIN: Duration = Duration::from_millis(50);
        while !instance.wait_until_gone(Some(LOOK_AGAIN), is_session) {
            // A client may have been on its way in when the others were sent away.
            if matches!(&*self.lock(), State::Stopping(_, StopMode::Fast)) {
                instance.interrupt_all(Interrupt::Terminate, is_session);
            }
        }
    }

    /// The poison's handler: on whichever thread came across the damage, so it only sends word.
    fn crashed(&self, reason: &str) {
        tracing::error!(severity = "PANIC", "{reason}");
        let mut state = self.lock();
        let (instance, next) = match &*state {
            State::Running(instance) => (Arc::clone(instance), State::Recovering),
            // A stop doesn't wait for a checkpoint any more; the next start recovers.
            State::Stopping(instance, _) => {
                (Arc::clone(instance), State::Stopping(Arc::clone(instance), StopMode::Fast))
            }
            // What fails while it starts says so to whoever started it.
            State::Starting | State::Recovering | State::Stopped | State::Failed => return,
        };
        let restarts = matches!(next, State::Recovering);
        *state = next;
        drop(state);
        self.changed.notify_all();
        tracing::info!("terminating any other active server processes");
        instance.interrupt_all(Interrupt::CrashRestart, |_| true);
        instance.cluster.wal.wake_all_waiters();
        if !restarts {
            return;
        }
        let engine = self.this.clone();
        let restarter = std::thread::Builder::new().name("reinitialize".into());
        let spawned = restarter.spawn(move || {
            if let Some(engine) = engine.upgrade() {
                engine.reinitialize(instance);
            }
        });
        if let Err(cause) = spawned {
            tracing::error!("could not start the thread that restarts the engine: {cause}");
            self.set_state(State::Failed);
        }
    }

    /// Waits for the poisoned instance to be left and starts the next.
    fn reinitialize(&self, old: Arc<Instance>) {
        if !old.settings().get(parameters::RESTART_AFTER_CRASH) {
            tracing::info!("shutting down because \"restart_after_crash\" is off");
            return self.set_state(State::Failed);
        }
        // A poisoned instance's workers make no checkpoint, so there is no result to look at.
        let _no_checkpoint = old.stop_workers();
        if !old.wait_until_gone(Some(CRASH_PATIENCE), |_| true) {
            tracing::error!("sessions of the crashed instance do not end");
            return self.set_state(State::Failed);
        }
        drop(old);
        tracing::info!("all server processes terminated; reinitializing");
        match self.start_instance() {
            Ok(instance) => {
                self.set_state(State::Running(instance));
                tracing::info!("database system is ready to accept connections");
            }
            Err(error) => {
                tracing::error!(severity = error.severity().as_str(), "{}", error.message());
                self.set_state(State::Failed);
            }
        }
    }
}

/// True for what a shutdown sends away before the workers end.
fn is_session(kind: BackendType) -> bool {
    !matches!(kind, BackendType::Checkpointer | BackendType::BackgroundWriter | BackendType::WalWriter)
}
