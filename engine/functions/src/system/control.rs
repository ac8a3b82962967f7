//! Waiting, signalling other backends, the server's configuration, advisory locks.

use std::time::{Duration, Instant};

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::activity::{Backend, BackendType, Interrupt, WaitEvent, WaitOutcome, wait_until};
use kokkiri_primitives::{Error, Oid, Result, SqlState, bail};
use kokkiri_transaction::lock::AdvisoryKey;
use kokkiri_transaction::{LockMode, LockOutcome, LockOwner, LockTag, WaitPolicy};

use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_sleep,
    pg_cancel_backend,
    pg_terminate_backend,
    pg_reload_conf,
    pg_postmaster_start_time,
    pg_conf_load_time,
    pg_advisory_lock_int8,
    pg_advisory_lock_shared_int8,
    pg_advisory_xact_lock_int8,
    pg_advisory_xact_lock_shared_int8,
    pg_try_advisory_lock_int8,
    pg_try_advisory_lock_shared_int8,
    pg_try_advisory_xact_lock_int8,
    pg_try_advisory_xact_lock_shared_int8,
    pg_advisory_unlock_int8,
    pg_advisory_unlock_shared_int8,
    pg_advisory_lock_int4,
    pg_advisory_lock_shared_int4,
    pg_advisory_xact_lock_int4,
    pg_advisory_xact_lock_shared_int4,
    pg_try_advisory_lock_int4,
    pg_try_advisory_lock_shared_int4,
    pg_try_advisory_xact_lock_int4,
    pg_try_advisory_xact_lock_shared_int4,
    pg_advisory_unlock_int4,
    pg_advisory_unlock_shared_int4,
    pg_advisory_unlock_all,
];

/// The value of type void, which has none.
const VOID: i32 = 0;

static PG_SLEEP: WaitEvent = WaitEvent::new("Timeout", "PgSleep");
static BACKEND_TERMINATION: WaitEvent = WaitEvent::new("IPC", "BackendTermination");

#[builtin(oid = 2626, volatile)]
fn pg_sleep(seconds: f64) -> Result<i32> {
    // Beyond a century the wait may as well be endless; not a number waits for nothing.
    let seconds = if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, 3.2e9) };
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    wait_until(&PG_SLEEP, Some(deadline), || Ok(None::<()>))?;
    Ok(VOID)
}

/// The role that may signal backends of other roles.
const PG_SIGNAL_BACKEND: Oid = Oid(4200);
/// The role that may signal autovacuum workers.
const PG_SIGNAL_AUTOVACUUM_WORKER: Oid = Oid(6392);

/// The backend with that pid, if SQL may signal it; a warning to the client otherwise.
fn target(view: &CatalogView<'_>, pid: i32) -> Option<std::sync::Arc<Backend>> {
    let signalled = |kind| {
        matches!(
            kind,
            BackendType::Client
                | BackendType::AutovacuumLauncher
                | BackendType::AutovacuumWorker
                | BackendType::WalSender
                | BackendType::LogicalReplicationLauncher
                | BackendType::LogicalReplicationWorker
                | BackendType::ParallelWorker
        )
    };
    let found = view.cluster().processes.by_pid(pid).filter(|backend| signalled(backend.kind));
    if found.is_none() {
        view.transaction.add_notice(Error::warning(
            SqlState::WARNING,
            format!("PID {pid} is not a PostgreSQL backend process"),
        ));
    }
    found
}

/// Whether the caller may signal a backend, with what to say if not.
fn check_may_signal(view: &CatalogView<'_>, backend: &Backend, [what, verb, whose]: [&str; 3]) -> Result<()> {
    let denied = |detail: String| {
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {what}"))
            .detail(detail))
    };
    if view.is_superuser(view.role)? {
        return Ok(());
    }
    let mine = view.roles_of(view.role)?;
    if backend.kind == BackendType::AutovacuumWorker {
        if mine.contains(&PG_SIGNAL_AUTOVACUUM_WORKER) {
            return Ok(());
        }
        return denied(format!(
            "Only roles with privileges of the \"pg_signal_autovacuum_worker\" role may {verb} autovacuum \
             workers."
        ));
    }
    let superusers = match backend.role() {
        None => true,
        Some(role) => view.is_superuser(role)?,
    };
    if superusers {
        return denied(format!(
            "Only roles with the SUPERUSER attribute may {verb} {whose} of roles with the SUPERUSER attribute."
        ));
    }
    if backend.role().is_some_and(|role| mine.contains(&role)) || mine.contains(&PG_SIGNAL_BACKEND) {
        return Ok(());
    }
    let (being, this) = if verb == "cancel" {
        ("query is being canceled", "query")
    } else {
        ("process is being terminated", "process")
    };
    denied(format!(
        "Only roles with privileges of the role whose {being} or with privileges of the \
         \"pg_signal_backend\" role may {verb} this {this}."
    ))
}

#[builtin(oid = 2171, volatile)]
fn pg_cancel_backend(context: &mut CallContext<'_>, pid: i32) -> Result<bool> {
    let view = need::catalog(context)?;
    let Some(backend) = target(&view, pid) else { return Ok(false) };
    check_may_signal(&view, &backend, ["cancel query", "cancel", "queries"])?;
    backend.interrupt(Interrupt::Cancel);
    Ok(true)
}

#[builtin(oid = 2096, volatile)]
fn pg_terminate_backend(context: &mut CallContext<'_>, pid: i32, timeout_ms: i64) -> Result<bool> {
    let view = need::catalog(context)?;
    if timeout_ms < 0 {
        bail!(NUMERIC_VALUE_OUT_OF_RANGE, "\"timeout\" must not be negative");
    }
    let Some(backend) = target(&view, pid) else { return Ok(false) };
    check_may_signal(&view, &backend, ["terminate process", "terminate", "processes"])?;
    backend.interrupt(Interrupt::Terminate);
    if timeout_ms == 0 {
        return Ok(true);
    }
    let processes = &view.cluster().processes;
    let gone = || processes.by_pid(pid).is_none_or(|found| !std::sync::Arc::ptr_eq(&found, &backend));
    let deadline = Instant::now() + Duration::from_millis(timeout_ms as u64);
    // Nobody tells when a backend has gone: look again every now and then.
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    while !gone() {
        let now = Instant::now();
        if now >= deadline {
            view.transaction.add_notice(Error::warning(
                SqlState::WARNING,
                format!("backend with PID {pid} did not terminate within {timeout_ms} milliseconds"),
            ));
            return Ok(false);
        }
        let look = || Ok(if gone() { Some(()) } else { None });
        match wait_until(&BACKEND_TERMINATION, Some(deadline.min(now + LOOK_EVERY)), look)? {
            WaitOutcome::Ready(()) => break,
            WaitOutcome::TimedOut => {}
        }
    }
    Ok(true)
}

#[builtin(oid = 2621, volatile)]
fn pg_reload_conf(context: &mut CallContext<'_>) -> Result<bool> {
    Ok(need::server(context)?.reload_configuration())
}

#[builtin(oid = 2560)]
fn pg_postmaster_start_time(context: &mut CallContext<'_>) -> Result<i64> {
    Ok(need::server(context)?.start_time().0)
}

#[builtin(oid = 2034)]
fn pg_conf_load_time(context: &mut CallContext<'_>) -> Result<i64> {
    Ok(need::server(context)?.configuration_loaded().0)
}

/// Takes an advisory lock; false if that would wait and the caller won't.
fn advisory(
    context: &CallContext<'_>,
    key: AdvisoryKey,
    mode: LockMode,
    for_session: bool,
    policy: WaitPolicy,
) -> Result<bool> {
    let view = need::catalog(context)?;
    let tag = LockTag::Advisory { database: view.database_oid(), key };
    let outcome = if for_session {
        let proc = view.transaction.proc();
        view.cluster().locks.acquire(proc, LockOwner::Session, tag, mode, policy)?
    } else {
        view.transaction.lock(tag, mode, policy)?
    };
    Ok(outcome != LockOutcome::NotAvailable)
}

/// Gives an advisory lock of the session back; a warning if it isn't held.
fn advisory_unlock(context: &CallContext<'_>, key: AdvisoryKey, mode: LockMode) -> Result<bool> {
    let view = need::catalog(context)?;
    let tag = LockTag::Advisory { database: view.database_oid(), key };
    let released = view.cluster().locks.release(view.transaction.proc(), LockOwner::Session, tag, mode);
    if !released {
        view.transaction.add_notice(Error::warning(
            SqlState::WARNING,
            format!("you don't own a lock of type {}", mode.name()),
        ));
    }
    Ok(released)
}

macro_rules! advisory_locks {
    ($($oid:literal $pair_oid:literal $name:ident $pair:ident $mode:ident $for_session:literal;)+) => {$(
        #[builtin(oid = $oid, volatile)]
        fn $name(context: &mut CallContext<'_>, key: i64) -> Result<i32> {
            advisory(context, AdvisoryKey::Single(key), LockMode::$mode, $for_session, WaitPolicy::Block)?;
            Ok(VOID)
        }

        #[builtin(oid = $pair_oid, volatile)]
        fn $pair(context: &mut CallContext<'_>, first: i32, second: i32) -> Result<i32> {
            let key = AdvisoryKey::Pair(first, second);
            advisory(context, key, LockMode::$mode, $for_session, WaitPolicy::Block)?;
            Ok(VOID)
        }
    )+};
}

advisory_locks! {
    2880 2886 pg_advisory_lock_int8 pg_advisory_lock_int4 Exclusive true;
    2881 2887 pg_advisory_lock_shared_int8 pg_advisory_lock_shared_int4 Share true;
    3089 3093 pg_advisory_xact_lock_int8 pg_advisory_xact_lock_int4 Exclusive false;
    3090 3094 pg_advisory_xact_lock_shared_int8 pg_advisory_xact_lock_shared_int4 Share false;
}

macro_rules! try_advisory_locks {
    ($($oid:literal $pair_oid:literal $name:ident $pair:ident $mode:ident $for_session:literal;)+) => {$(
        #[builtin(oid = $oid, volatile)]
        fn $name(context: &mut CallContext<'_>, key: i64) -> Result<bool> {
            advisory(context, AdvisoryKey::Single(key), LockMode::$mode, $for_session, WaitPolicy::Skip)
        }

        #[builtin(oid = $pair_oid, volatile)]
        fn $pair(context: &mut CallContext<'_>, first: i32, second: i32) -> Result<bool> {
            let key = AdvisoryKey::Pair(first, second);
            advisory(context, key, LockMode::$mode, $for_session, WaitPolicy::Skip)
        }
    )+};
}

try_advisory_locks! {
    2882 2888 pg_try_advisory_lock_int8 pg_try_advisory_lock_int4 Exclusive true;
    2883 2889 pg_try_advisory_lock_shared_int8 pg_try_advisory_lock_shared_int4 Share true;
    3091 3095 pg_try_advisory_xact_lock_int8 pg_try_advisory_xact_lock_int4 Exclusive false;
    3092 3096 pg_try_advisory_xact_lock_shared_int8 pg_try_advisory_xact_lock_shared_int4 Share false;
}

#[builtin(oid = 2884, volatile)]
fn pg_advisory_unlock_int8(context: &mut CallContext<'_>, key: i64) -> Result<bool> {
    advisory_unlock(context, AdvisoryKey::Single(key), LockMode::Exclusive)
}

#[builtin(oid = 2885, volatile)]
fn pg_advisory_unlock_shared_int8(context: &mut CallContext<'_>, key: i64) -> Result<bool> {
    advisory_unlock(context, AdvisoryKey::Single(key), LockMode::Share)
}

#[builtin(oid = 2890, volatile)]
fn pg_advisory_unlock_int4(context: &mut CallContext<'_>, first: i32, second: i32) -> Result<bool> {
    advisory_unlock(context, AdvisoryKey::Pair(first, second), LockMode::Exclusive)
}

#[builtin(oid = 2891, volatile)]
fn pg_advisory_unlock_shared_int4(context: &mut CallContext<'_>, first: i32, second: i32) -> Result<bool> {
    advisory_unlock(context, AdvisoryKey::Pair(first, second), LockMode::Share)
}

#[builtin(oid = 2892, volatile)]
fn pg_advisory_unlock_all(context: &mut CallContext<'_>) -> Result<i32> {
    let view = need::catalog(context)?;
    view.cluster().locks.release_session_advisory(view.transaction.proc());
    Ok(VOID)
}
