//! Cumulative statistics: of the background processes, the WAL and the buffer pool.

use std::sync::atomic::Ordering;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::Result;
use kokkiri_types::numeric::Numeric;
use kokkiri_types::{Value, ValueRef};

use super::need;
use super::rows::one_row;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{SetFunction, SetRows};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_stat_get_bgwriter_buf_written_clean,
    pg_stat_get_bgwriter_maxwritten_clean,
    pg_stat_get_bgwriter_stat_reset_time,
    pg_stat_get_buf_alloc,
    pg_stat_get_checkpointer_num_timed,
    pg_stat_get_checkpointer_num_requested,
    pg_stat_get_checkpointer_num_performed,
    pg_stat_get_checkpointer_restartpoints_timed,
    pg_stat_get_checkpointer_restartpoints_requested,
    pg_stat_get_checkpointer_restartpoints_performed,
    pg_stat_get_checkpointer_write_time,
    pg_stat_get_checkpointer_sync_time,
    pg_stat_get_checkpointer_buffers_written,
    pg_stat_get_checkpointer_slru_written,
    pg_stat_get_checkpointer_stat_reset_time,
];

pub(crate) const SETS: &[SetFunction] = &[SetFunction::new(1136, "pg_stat_get_wal", true, pg_stat_get_wal)];

macro_rules! counters {
    ($source:ident: $($oid:literal $name:ident $field:ident $type:ty;)+) => {$(
        #[builtin(oid = $oid)]
        fn $name(context: &mut CallContext<'_>) -> Result<$type> {
            Ok(need::server(context)?.$source().$field)
        }
    )+};
}

counters! { background_writer:
    2772 pg_stat_get_bgwriter_buf_written_clean buffers_cleaned i64;
    2773 pg_stat_get_bgwriter_maxwritten_clean stopped_at_limit i64;
}

counters! { checkpointer:
    2769 pg_stat_get_checkpointer_num_timed timed i64;
    2770 pg_stat_get_checkpointer_num_requested requested i64;
    6377 pg_stat_get_checkpointer_num_performed performed i64;
    6327 pg_stat_get_checkpointer_restartpoints_timed restartpoints_timed i64;
    6328 pg_stat_get_checkpointer_restartpoints_requested restartpoints_requested i64;
    6329 pg_stat_get_checkpointer_restartpoints_performed restartpoints_performed i64;
    3160 pg_stat_get_checkpointer_write_time write_time_ms f64;
    3161 pg_stat_get_checkpointer_sync_time sync_time_ms f64;
    2771 pg_stat_get_checkpointer_buffers_written buffers_written i64;
    6366 pg_stat_get_checkpointer_slru_written slru_written i64;
}

#[builtin(oid = 3075)]
fn pg_stat_get_bgwriter_stat_reset_time(context: &mut CallContext<'_>) -> Result<i64> {
    Ok(need::server(context)?.background_writer().reset.0)
}

#[builtin(oid = 6314)]
fn pg_stat_get_checkpointer_stat_reset_time(context: &mut CallContext<'_>) -> Result<i64> {
    Ok(need::server(context)?.checkpointer().reset.0)
}

#[builtin(oid = 2859)]
fn pg_stat_get_buf_alloc(context: &mut CallContext<'_>) -> Result<i64> {
    let statistics = need::catalog(context)?.cluster().buffers.allocation_statistics();
    Ok(statistics.total as i64)
}

fn pg_stat_get_wal(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let counters = &need::catalog(context)?.cluster().wal.counters;
    let reset = need::server(context)?.start_time();
    let bytes = Numeric::from(i128::from(counters.bytes.load(Ordering::Relaxed)));
    Ok(one_row(vec![
        Value::Int64(counters.records.load(Ordering::Relaxed) as i64),
        Value::Int64(counters.full_page_images.load(Ordering::Relaxed) as i64),
        Value::from(bytes.to_payload()?),
        Value::Int64(counters.buffers_full.load(Ordering::Relaxed) as i64),
        Value::Int64(reset.0),
    ]))
}
