//! One worker: a named thread with an entry in the process array.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kokkiri_primitives::activity::{
    Backend, BackendState, BackendType, Interrupt, WaitEvent, current, wait_until,
};
use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_transaction::Cluster;

static RECOVERY_PAUSE: WaitEvent = WaitEvent::new("Timeout", "BackgroundErrorDelay");

/// How long a worker rests after an error.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

pub struct Worker {
    backend: Arc<Backend>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Registers a backend of that kind and lets `work` be its life.
    pub fn start(
        cluster: &Arc<Cluster>,
        kind: BackendType,
        work: impl FnOnce(&Arc<Backend>) + Send + 'static,
    ) -> Result<Self> {
        let registration = cluster.processes.register(kind).ok_or_else(|| {
            Error::fatal(SqlState::TOO_MANY_CONNECTIONS, format!("no process slot for the {}", kind.as_str()))
        })?;
        let backend = Arc::clone(registration.backend());
        backend.status().state = BackendState::Active;
        let poison = cluster.poison;
        let builder = std::thread::Builder::new().name(kind.as_str().replace(' ', "_"));
        let thread = builder
            .spawn(move || {
                let backend = registration.backend();
                let _entered = backend.enter();
                let lived = std::panic::catch_unwind(AssertUnwindSafe(|| work(backend)));
                if lived.is_err() {
                    poison.trip(&format!("the {} panicked", kind.as_str()));
                }
            })
            .map_err(|cause| Error::file_access("start thread of", kind.as_str(), &cause))?;
        Ok(Self { backend, thread })
    }

    pub fn ask_to_end(&self) {
        self.backend.interrupt(Interrupt::Terminate);
    }

    pub fn join(self) {
        // A panic of the thread's has been dealt with in the thread.
        let _ended = self.thread.join();
    }
}

/// True once the worker is to end, be it in good order or because the instance has crashed.
pub fn is_ending(backend: &Backend) -> bool {
    backend.interrupts.is_pending(Interrupt::Terminate) || has_crashed(backend)
}

pub fn has_crashed(backend: &Backend) -> bool {
    backend.interrupts.is_pending(Interrupt::CrashRestart)
}

/// Sleeps for `duration`, or until the latch is set for one of `reasons`. The requests to end stay
/// pending: the worker's loop looks at them.
pub fn sleep(event: &'static WaitEvent, duration: Duration, mut reason: impl FnMut() -> bool) {
    let Some(backend) = current() else { return };
    let _held = kokkiri_primitives::activity::hold_interrupts();
    let awake = || Ok((is_ending(&backend) || reason()).then_some(()));
    // With interrupts held off nothing can fail but the condition, which doesn't.
    let _woken_or_timed_out = wait_until(event, Some(Instant::now() + duration), awake);
}

/// Logs the error of a round. An error that has brought the instance down needs no rest.
pub fn report(error: &Error) {
    if error.severity() >= Severity::Panic {
        return;
    }
    tracing::error!("{}", error.message());
    sleep(&RECOVERY_PAUSE, REST_AFTER_ERROR, || false);
}
