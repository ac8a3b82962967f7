//! One backend: a client connection or a background worker.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::TimestampTz;
use crate::ids::{Oid, ProcNumber, TransactionId};
use crate::memory::MemoryBudget;
use crate::stack;

use super::interrupt::{Interrupt, Interrupts};
use super::latch::Latch;
use super::temporary::TemporaryFiles;
use super::usage::Usage;
use super::wait::{WaitEvent, end_time_slice, start_time_slice};

/// What kind of work a backend does, with pg_stat_activity's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendType {
    Client,
    AutovacuumLauncher,
    AutovacuumWorker,
    BackgroundWriter,
    Checkpointer,
    WalWriter,
    Startup,
    Archiver,
    WalSender,
    WalReceiver,
    WalSummarizer,
    IoWorker,
    LogicalReplicationLauncher,
    LogicalReplicationWorker,
    ParallelWorker,
    Logger,
    Standalone,
}

impl BackendType {
    pub fn as_str(self) -> &'static str {
        match self {
            BackendType::Client => "client backend",
            BackendType::AutovacuumLauncher => "autovacuum launcher",
            BackendType::AutovacuumWorker => "autovacuum worker",
            BackendType::BackgroundWriter => "background writer",
            BackendType::Checkpointer => "checkpointer",
            BackendType::WalWriter => "walwriter",
            BackendType::Startup => "startup",
            BackendType::Archiver => "archiver",
            BackendType::WalSender => "walsender",
            BackendType::WalReceiver => "walreceiver",
            BackendType::WalSummarizer => "walsummarizer",
            BackendType::IoWorker => "io worker",
            BackendType::LogicalReplicationLauncher => "logical replication launcher",
            BackendType::LogicalReplicationWorker => "logical replication apply worker",
            BackendType::ParallelWorker => "parallel worker",
            BackendType::Logger => "logger",
            BackendType::Standalone => "standalone backend",
        }
    }
}

/// pg_stat_activity's `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendState {
    #[default]
    Starting,
    Active,
    Idle,
    IdleInTransaction,
    IdleInTransactionAborted,
    FastPath,
    Disabled,
}

impl BackendState {
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            BackendState::Starting => Some("starting"),
            BackendState::Active => Some("active"),
            BackendState::Idle => Some("idle"),
            BackendState::IdleInTransaction => Some("idle in transaction"),
            BackendState::IdleInTransactionAborted => Some("idle in transaction (aborted)"),
            BackendState::FastPath => Some("fastpath function call"),
            BackendState::Disabled => Some("disabled"),
        }
    }
}

/// What pg_stat_activity shows of a backend and only a view reads.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub state: BackendState,
    pub query: Arc<str>,
    pub query_id: Option<i64>,
    pub application_name: Arc<str>,
    pub client_address: Option<std::net::SocketAddr>,
    /// True for a client on a Unix socket, which has no address.
    pub client_is_local: bool,
    pub client_hostname: Option<Arc<str>>,
    pub backend_start: TimestampTz,
    pub transaction_start: Option<TimestampTz>,
    pub query_start: Option<TimestampTz>,
    pub state_change: Option<TimestampTz>,
    pub tls: Option<TlsStatus>,
}

/// pg_stat_ssl's columns for an encrypted connection.
#[derive(Clone, Debug, Default)]
pub struct TlsStatus {
    pub version: String,
    pub cipher: String,
    pub bits: i32,
}

/// A client connection or a background worker.
///
/// Who may write what: `status` under its lock; the atomics by the owner (readers tolerate a value that
/// is just changing), but `interrupts` and `latch` by anybody.
pub struct Backend {
    pub number: ProcNumber,
    pub pid: i32,
    pub kind: BackendType,
    pub latch: Latch,
    pub interrupts: Interrupts,
    pub usage: Usage,
    pub memory: MemoryBudget,
    pub temporary_files: TemporaryFiles,
    /// The session's max_stack_depth, kilobytes; zero for the server's.
    stack_kb: AtomicUsize,
    /// The session's default_toast_compression, as pg_attribute.attcompression names methods.
    toast_compression: AtomicU8,
    /// Zero until connected to a database.
    database: AtomicU32,
    role: AtomicU32,
    /// The running transaction's id, zero while it has none.
    xid: AtomicU32,
    /// Oldest xid the backend's snapshots may need to see as running, zero without snapshots.
    xmin: AtomicU32,
    wait_event: Mutex<Option<&'static WaitEvent>>,
    status: Mutex<Status>,
    given_away: AtomicBool,
}

impl Backend {
    pub fn new(number: ProcNumber, pid: i32, kind: BackendType) -> Self {
        Self {
            number,
            pid,
            kind,
            latch: Latch::default(),
            interrupts: Interrupts::default(),
            usage: Usage::default(),
            memory: MemoryBudget::default(),
            temporary_files: TemporaryFiles::default(),
            stack_kb: AtomicUsize::new(0),
            toast_compression: AtomicU8::new(b'p'),
            database: AtomicU32::new(0),
            role: AtomicU32::new(0),
            xid: AtomicU32::new(0),
            xmin: AtomicU32::new(0),
            wait_event: Mutex::new(None),
            status: Mutex::new(Status { backend_start: TimestampTz::now(), ..Status::default() }),
            given_away: AtomicBool::new(false),
        }
    }

    /// Makes this the thread's current backend until the returned guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Entered {
        CURRENT.with_borrow_mut(|current| match current {
            Some((backend, depth)) => {
                assert!(Arc::ptr_eq(backend, self), "a thread serves one backend at a time");
                *depth += 1;
            }
            None => {
                *current = Some((Arc::clone(self), 1));
                stack::set_session_limit(self.stack_kb.load(Ordering::Relaxed));
                start_time_slice();
            }
        });
        Entered(PhantomData)
    }

    /// Takes over the session's max_stack_depth, for when a thread serves it next.
    pub fn set_stack_depth(&self, kilobytes: usize) {
        self.stack_kb.store(kilobytes, Ordering::Relaxed);
    }

    /// The method that compresses values of columns that name none, as pg_attribute.attcompression has it.
    pub fn toast_compression(&self) -> u8 {
        self.toast_compression.load(Ordering::Relaxed)
    }

    /// Takes over the session's default_toast_compression.
    pub fn set_toast_compression(&self, method: u8) {
        self.toast_compression.store(method, Ordering::Relaxed);
    }

    /// Raises an interrupt and wakes the backend.
    pub fn interrupt(&self, interrupt: Interrupt) {
        self.interrupts.raise(interrupt);
        self.latch.set();
    }

    pub fn database(&self) -> Option<Oid> {
        Oid(self.database.load(Ordering::Relaxed)).valid()
    }

    pub fn set_database(&self, database: Oid) {
        self.database.store(database.0, Ordering::Relaxed);
    }

    pub fn role(&self) -> Option<Oid> {
        Oid(self.role.load(Ordering::Relaxed)).valid()
    }

    pub fn set_role(&self, role: Oid) {
        self.role.store(role.0, Ordering::Relaxed);
    }

    pub fn xid(&self) -> Option<TransactionId> {
        TransactionId(self.xid.load(Ordering::Acquire)).valid()
    }

    pub fn set_xid(&self, xid: Option<TransactionId>) {
        self.xid.store(xid.map_or(0, |xid| xid.0), Ordering::Release);
    }

    pub fn xmin(&self) -> Option<TransactionId> {
        TransactionId(self.xmin.load(Ordering::Acquire)).valid()
    }

    pub fn set_xmin(&self, xmin: Option<TransactionId>) {
        self.xmin.store(xmin.map_or(0, |xmin| xmin.0), Ordering::Release);
    }

    pub fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_event(&self) -> Option<&'static WaitEvent> {
        *self.wait_event.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn show_wait(&self, event: Option<&'static WaitEvent>) {
        *self.wait_event.lock().unwrap_or_else(PoisonError::into_inner) = event;
    }

    pub(super) fn worker_given_away(&self) {
        self.given_away.store(true, Ordering::Relaxed);
    }

    /// Tells, once, whether the backend has given its worker thread away since it was last asked. A
    /// session that has yields to the runtime before its next statement, to get back onto a worker.
    pub fn take_worker_given_away(&self) -> bool {
        self.given_away.swap(false, Ordering::Relaxed)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (pid {})", self.kind.as_str(), self.number, self.pid)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<(Arc<Backend>, u32)>> = const { RefCell::new(None) };
}

/// While it lives, its thread serves the backend that was entered. Not `Send`: an engine call never
/// changes threads.
pub struct Entered(PhantomData<*const ()>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| {
            let (_, depth) = current.as_mut().expect("dropped once per enter");
            *depth -= 1;
            if *depth == 0 {
                *current = None;
                stack::set_session_limit(0);
                end_time_slice();
            }
        });
    }
}

/// The backend this thread serves, if any.
pub fn current() -> Option<Arc<Backend>> {
    CURRENT.with_borrow(|current| current.as_ref().map(|(backend, _)| Arc::clone(backend)))
}

/// Lends the thread's current backend without touching its reference count.
#[inline]
pub fn with_current<T>(use_it: impl FnOnce(Option<&Backend>) -> T) -> T {
    CURRENT.with_borrow(|current| use_it(current.as_ref().map(|(backend, _)| &**backend)))
}

#[cfg(test)]
mod tests {
    use super::super::{Interrupt, ProcessArray, WaitEvent, check_for_interrupts, hold_interrupts, wait};
    use super::*;
    use crate::sqlstate::SqlState;

    static TEST_EVENT: WaitEvent = WaitEvent::new("IPC", "Test");

    #[test]
    fn an_interrupt_ends_a_wait_and_is_spent() {
        let array = ProcessArray::new(2, 1000);
        let registration = array.register(BackendType::Client).expect("there is room");
        let backend = Arc::clone(registration.backend());
        assert_eq!(backend.pid, 1001);
        let other = Arc::clone(&backend);
        let _entered = backend.enter();
        let canceller = std::thread::spawn(move || {
            while other.wait_event() != Some(&TEST_EVENT) {
                std::thread::yield_now();
            }
            other.interrupt(Interrupt::Cancel);
        });
        let error = wait(&TEST_EVENT, || Ok(None::<()>)).expect_err("cancelled");
        assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED);
        canceller.join().expect("no panic");
        assert!(check_for_interrupts().is_ok());
        assert_eq!(backend.wait_event(), None);
    }

    #[test]
    fn interrupts_wait_while_held_off() {
        let array = ProcessArray::new(1, 1);
        let registration = array.register(BackendType::Client).expect("there is room");
        let _entered = registration.backend().enter();
        registration.backend().interrupt(Interrupt::Terminate);
        let held = hold_interrupts();
        assert!(check_for_interrupts().is_ok());
        drop(held);
        assert_eq!(check_for_interrupts().expect_err("pending").sqlstate(), SqlState::ADMIN_SHUTDOWN);
        assert!(array.register(BackendType::Client).is_none(), "all slots are taken");
    }
}
