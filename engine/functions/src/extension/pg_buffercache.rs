//! The functions of pg_buffercache: what lies in the buffer pool, and taking it out of there.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_storage::buffer::RelationEviction;
use kokkiri_types::{Value, ValueRef};

use super::Extension;
use crate::context::CallContext;
use crate::set_returning::{SetFunction, SetRows};
use crate::system::need;
use crate::system::rows::{Record, listed, one_row};

pub(super) const EXTENSION: Extension = Extension {
    name: "pg_buffercache",
    version: "1.6",
    comment: "examine the shared buffer cache",
    relocatable: true,
    script: include_str!("pg_buffercache.sql"),
    symbols: &[
        ("pg_buffercache_pages", PAGES),
        ("pg_buffercache_summary", SUMMARY),
        ("pg_buffercache_usage_counts", USAGE_COUNTS),
        ("pg_buffercache_evict", EVICT),
        ("pg_buffercache_evict_relation", EVICT_RELATION),
        ("pg_buffercache_evict_all", EVICT_ALL),
    ],
};

const PAGES: Oid = Oid(8100);
const SUMMARY: Oid = Oid(8101);
const USAGE_COUNTS: Oid = Oid(8102);
const EVICT: Oid = Oid(8103);
const EVICT_RELATION: Oid = Oid(8104);
const EVICT_ALL: Oid = Oid(8105);

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(PAGES.0, "pg_buffercache_pages", true, pg_buffercache_pages),
    SetFunction::new(SUMMARY.0, "pg_buffercache_summary", true, pg_buffercache_summary),
    SetFunction::new(USAGE_COUNTS.0, "pg_buffercache_usage_counts", true, pg_buffercache_usage_counts),
    SetFunction::new(EVICT.0, "pg_buffercache_evict", true, pg_buffercache_evict),
    SetFunction::new(EVICT_RELATION.0, "pg_buffercache_evict_relation", true, pg_buffercache_evict_relation),
    SetFunction::new(EVICT_ALL.0, "pg_buffercache_evict_all", true, pg_buffercache_evict_all),
];

/// A row a frame; frames without a page show only their number.
fn pg_buffercache_pages(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let buffers = &need::catalog(context)?.cluster().buffers;
    let row = |info: kokkiri_storage::buffer::BufferInfo| -> Record {
        let mut row = vec![Value::Int32(info.buffer_id as i32)];
        match info.tag {
            None => row.resize(9, Value::Null),
            Some(tag) => row.extend([
                Value::Int32(tag.locator.number.0 as i32),
                Value::oid(tag.locator.tablespace),
                Value::oid(tag.locator.database),
                Value::Int16(tag.fork as i16),
                Value::Int64(i64::from(tag.block.0)),
                Value::Bool(info.dirty),
                Value::Int16(i16::from(info.usage)),
                Value::Int32(info.pins as i32),
            ]),
        }
        row
    };
    Ok(listed(buffers.inspect().map(row).collect()))
}

fn pg_buffercache_summary(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let summary = need::catalog(context)?.cluster().buffers.summary();
    let average = match summary.used {
        0 => Value::Null,
        used => Value::Float64(summary.usage_total as f64 / used as f64),
    };
    Ok(one_row(vec![
        Value::Int32(summary.used as i32),
        Value::Int32(summary.unused as i32),
        Value::Int32(summary.dirty as i32),
        Value::Int32(summary.pinned as i32),
        average,
    ]))
}

fn pg_buffercache_usage_counts(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let summary = need::catalog(context)?.cluster().buffers.summary();
    let row = |(usage, (buffers, dirty, pinned)): (usize, &(u64, u64, u64))| -> Record {
        [usage as i32, *buffers as i32, *dirty as i32, *pinned as i32].map(Value::Int32).into()
    };
    Ok(listed(summary.by_usage.iter().enumerate().map(row).collect()))
}

fn check_superuser(view: &CatalogView<'_>, function: &str) -> Result<()> {
    if view.is_superuser(view.role)? {
        return Ok(());
    }
    Err(error!(INSUFFICIENT_PRIVILEGE, "must be superuser to use {function}()"))
}

fn eviction_row(eviction: RelationEviction) -> Record {
    [eviction.evicted, eviction.flushed, eviction.skipped].map(|count| Value::Int32(count as i32)).into()
}

/// Takes one page out of its frame.
fn pg_buffercache_evict(
    context: &mut CallContext<'_>,
    arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    check_superuser(&view, "pg_buffercache_evict")?;
    let ValueRef::Int32(buffer) = arguments[0] else {
        return Err(Error::internal("pg_buffercache_evict takes an integer"));
    };
    let buffer =
        u32::try_from(buffer).map_err(|_| error!(INVALID_PARAMETER_VALUE, "bad buffer ID: {buffer}"))?;
    let outcome = view.cluster().buffers.evict(buffer)?;
    Ok(one_row(vec![Value::Bool(outcome.evicted), Value::Bool(outcome.flushed)]))
}

fn pg_buffercache_evict_relation(
    context: &mut CallContext<'_>,
    arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    check_superuser(&view, "pg_buffercache_evict_relation")?;
    let entry = view.expect_relation(arguments[0].oid())?;
    let file = entry.relation.file;
    if file.temp().is_some() {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "relation uses local buffers, pg_buffercache_evict_relation() is intended to be used for shared buffers only"
        ));
    }
    Ok(one_row(eviction_row(view.cluster().buffers.evict_relation(file)?)))
}

fn pg_buffercache_evict_all(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    check_superuser(&view, "pg_buffercache_evict_all")?;
    Ok(one_row(eviction_row(view.cluster().buffers.evict_all()?)))
}
