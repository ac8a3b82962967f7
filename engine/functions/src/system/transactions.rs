//! Transaction ids, snapshots and positions in the WAL.

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{FullTransactionId, Lsn, Result, TransactionId, bail};
use kokkiri_transaction::TransactionStatus;
use kokkiri_types::numeric::Numeric;
use kokkiri_types::{Value, ValueRef};

use super::need;
use super::rows::{Record, one_row};
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{SetFunction, SetRows};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_current_xact_id,
    pg_current_xact_id_if_assigned,
    pg_xact_status,
    pg_current_wal_lsn,
    pg_current_wal_insert_lsn,
    pg_current_wal_flush_lsn,
    pg_wal_lsn_diff,
    pg_walfile_name,
    pg_is_in_recovery,
    xid_age,
    mxid_age,
];

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(2850, "pg_walfile_name_offset", true, pg_walfile_name_offset),
    SetFunction::new(6213, "pg_split_walfile_name", true, pg_split_walfile_name),
];

/// An xid of the recent past or present with its epoch.
fn with_epoch(view: &CatalogView<'_>, xid: TransactionId) -> FullTransactionId {
    let next = view.cluster().transactions.xids.next();
    let epoch = if xid.0 > next.xid().0 { next.epoch().wrapping_sub(1) } else { next.epoch() };
    FullTransactionId::new(epoch, xid)
}

/// How many transactions ago an xid was given out: `age(xid)`. Those that are always visible are infinitely old.
#[builtin(oid = 1181)]
fn xid_age(context: &mut CallContext<'_>, xid: i32) -> Result<i32> {
    let view = need::catalog(context)?;
    let xid = TransactionId(xid as u32);
    if !xid.is_normal() {
        return Ok(i32::MAX);
    }
    let now = view.transaction.xid_if_assigned();
    let now = now.unwrap_or_else(|| view.cluster().transactions.xids.next().xid());
    Ok(now.0.wrapping_sub(xid.0) as i32)
}

#[builtin(oid = 3939)]
fn mxid_age(context: &mut CallContext<'_>, multi: i32) -> Result<i32> {
    let view = need::catalog(context)?;
    if multi == 0 {
        return Ok(i32::MAX);
    }
    let (next, _) = view.cluster().transactions.multixacts.next();
    Ok((next.0 as i32).wrapping_sub(multi))
}

/// `txid_current` as well.
#[builtin(oid = [5059, 2943])]
fn pg_current_xact_id(context: &mut CallContext<'_>) -> Result<u64> {
    let view = need::catalog(context)?;
    if view.cluster().transactions.in_recovery() {
        bail!(READ_ONLY_SQL_TRANSACTION, "cannot execute pg_current_xact_id() during recovery");
    }
    Ok(with_epoch(&view, view.transaction.assign_xid()?).0)
}

#[builtin(oid = [5060, 3348])]
fn pg_current_xact_id_if_assigned(context: &mut CallContext<'_>) -> Result<Option<u64>> {
    let view = need::catalog(context)?;
    Ok(view.transaction.xid_if_assigned().map(|xid| with_epoch(&view, xid).0))
}

/// `txid_status` as well. Null if the commit log no longer knows.
#[builtin(oid = [5066, 3360], volatile)]
fn pg_xact_status(context: &mut CallContext<'_>, xid: u64) -> Result<Option<&'static str>> {
    let view = need::catalog(context)?;
    let full = FullTransactionId(xid);
    let transactions = &view.cluster().transactions;
    if full.xid().valid().is_none() {
        return Ok(None);
    }
    if full >= transactions.xids.next() {
        bail!(INVALID_PARAMETER_VALUE, "transaction ID {xid} is in the future");
    }
    if !full.xid().is_normal() {
        return Ok(Some("committed"));
    }
    let oldest = with_epoch(&view, transactions.xids.limits().oldest);
    if full < oldest {
        return Ok(None);
    }
    Ok(Some(match view.transaction.status(full.xid())? {
        _ if view.transaction.is_current(full.xid()) => "in progress",
        TransactionStatus::InProgress => "in progress",
        TransactionStatus::Committed => "committed",
        TransactionStatus::Aborted => "aborted",
    }))
}

/// The cluster's WAL, which has positions only outside recovery.
fn check_not_recovering(view: &CatalogView<'_>) -> Result<()> {
    if view.cluster().transactions.in_recovery() {
        return Err(kokkiri_primitives::error!(OBJECT_NOT_IN_PREREQUISITE_STATE, "recovery is in progress")
            .hint("WAL control functions cannot be executed during recovery."));
    }
    Ok(())
}

#[builtin(oid = 2849, volatile)]
fn pg_current_wal_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    let view = need::catalog(context)?;
    check_not_recovering(&view)?;
    Ok(view.cluster().wal.written_lsn().0)
}

#[builtin(oid = 2852, volatile)]
fn pg_current_wal_insert_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    let view = need::catalog(context)?;
    check_not_recovering(&view)?;
    Ok(view.cluster().wal.insert_lsn().0)
}

#[builtin(oid = 3330, volatile)]
fn pg_current_wal_flush_lsn(context: &mut CallContext<'_>) -> Result<u64> {
    let view = need::catalog(context)?;
    check_not_recovering(&view)?;
    Ok(view.cluster().wal.flushed_lsn().0)
}

#[builtin(oid = [3165, 3237])]
fn pg_wal_lsn_diff(left: u64, right: u64) -> Numeric {
    Numeric::from(i128::from(left) - i128::from(right))
}

/// The segment that holds the byte before `lsn`: at a boundary, the earlier one.
#[builtin(oid = 2851)]
fn pg_walfile_name(context: &mut CallContext<'_>, lsn: u64) -> Result<String> {
    let view = need::catalog(context)?;
    check_not_recovering(&view)?;
    Ok(walfile(&view, lsn))
}

fn walfile(view: &CatalogView<'_>, lsn: u64) -> String {
    let wal = &view.cluster().wal;
    let geometry = wal.geometry();
    geometry.file_name(wal.timeline(), geometry.segment_of(Lsn(lsn.saturating_sub(1))))
}

fn pg_walfile_name_offset(
    context: &mut CallContext<'_>,
    arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    check_not_recovering(&view)?;
    let lsn = arguments[0].int64() as u64;
    let offset = lsn % view.cluster().wal.geometry().segment_size();
    let row: Record = vec![Value::from(walfile(&view, lsn)), Value::Int32(offset as i32)];
    Ok(one_row(row))
}

fn pg_split_walfile_name(
    context: &mut CallContext<'_>,
    arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    let name = arguments[0].text();
    let parsed = view.cluster().wal.geometry().parse_file_name(&name.to_ascii_uppercase());
    let Some((timeline, segment)) = parsed else {
        bail!(INVALID_PARAMETER_VALUE, "invalid WAL file name \"{name}\"");
    };
    let number = Numeric::from(i128::from(segment.0)).to_payload()?;
    Ok(one_row(vec![Value::from(number), Value::Int64(i64::from(timeline.0))]))
}

#[builtin(oid = 3810, volatile)]
fn pg_is_in_recovery(context: &mut CallContext<'_>) -> Result<bool> {
    Ok(need::catalog(context)?.cluster().transactions.in_recovery())
}
