//! Functions about the running server: WAL positions and signals to backends.

use kokkiri_function_macros::builtin;
use kokkiri_primitives::activity::{Backend, BackendType, Interrupt};
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_types::numeric::Numeric;

use crate::context::CallContext;
use crate::registry::{Builtin, list};

pub(crate) const FILES: &[&[&[Builtin]]] = &[list![
    pg_current_wal_lsn,
    pg_current_wal_insert_lsn,
    pg_current_wal_flush_lsn,
    pg_wal_lsn_diff,
    pg_cancel_backend,
    pg_terminate_backend,
    pg_my_temp_schema,
]];

#[builtin(oid = 2849, volatile)]
fn pg_current_wal_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    Ok(context.catalog()?.cluster().wal.written_lsn().0)
}

#[builtin(oid = 2852, volatile)]
fn pg_current_wal_insert_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    Ok(context.catalog()?.cluster().wal.insert_lsn().0)
}

#[builtin(oid = 3330, volatile)]
fn pg_current_wal_flush_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    Ok(context.catalog()?.cluster().wal.flushed_lsn().0)
}

/// Bytes between two positions; also the operator `-`.
#[builtin(oid = [3165, 3237])]
fn pg_wal_lsn_diff(a: u64, b: u64) -> Numeric {
    Numeric::from(i128::from(a) - i128::from(b))
}

/// Sends an interrupt to a client's backend; false if there is none of that process id.
fn signal(context: &CallContext<'_>, pid: i32, interrupt: Interrupt) -> Result<bool> {
    let view = context.catalog()?;
    let target = view.cluster().processes.by_pid(pid);
    let Some(backend) =
        target.filter(|backend: &std::sync::Arc<Backend>| backend.kind == BackendType::Client)
    else {
        return Ok(false);
    };
    let superuser = view.role(context.session.user)?.is_some_and(|role| role.superuser);
    if !superuser && backend.pid != context.session.process_id {
        let (denied, what, verb) = match interrupt {
            Interrupt::Cancel => ("cancel query", "query is being canceled", "cancel this query"),
            _ => ("terminate process", "process is being terminated", "terminate this process"),
        };
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {denied}")).detail(
            format!(
                "Only roles with privileges of the role whose {what} or with privileges of the \"pg_signal_backend\" role may {verb}."
            ),
        ));
    }
    backend.interrupt(interrupt);
    Ok(true)
}

#[builtin(oid = 2171, volatile)]
fn pg_cancel_backend(context: &mut CallContext<'_>, pid: i32) -> Result<bool> {
    signal(context, pid, Interrupt::Cancel)
}

#[builtin(oid = 2096, volatile)]
fn pg_terminate_backend(context: &mut CallContext<'_>, pid: i32, timeout: i64) -> Result<bool> {
    if timeout != 0 {
        return Err(Error::not_supported("pg_terminate_backend with a timeout"));
    }
    signal(context, pid, Interrupt::Terminate)
}

#[builtin(oid = 2854)]
fn pg_my_temp_schema(context: &mut CallContext<'_>) -> Result<kokkiri_primitives::Oid> {
    Ok(context.catalog()?.session.temp_namespace().unwrap_or_default())
}
