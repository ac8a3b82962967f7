//! What SQL may see of the session and the server: the engine's side of the system functions' hooks.
//!
//! Realises: pg_prepared_statement() and the readers of PostgreSQL's shared counters, as far as what they
//! read lies in this crate or below it.

use std::sync::atomic::{AtomicU64, Ordering};

use kokkiri_functions::system::{
    BackgroundWriterCounters, CheckpointerCounters, CursorInfo, Deparser, PreparedStatementInfo, ServerState,
    SessionState,
};
use kokkiri_primitives::clock::TimestampTz;

use super::Session;
use crate::instance::Instance;

/// Stored trees become text by the analyzer.
pub(super) static DEPARSER: Deparser = Deparser {
    expression: kokkiri_analyze::deparse_stored_expression,
    query: kokkiri_analyze::deparse_view,
    index: kokkiri_analyze::index_definition,
    constraint: kokkiri_analyze::constraint_definition,
};

fn read(counter: &AtomicU64) -> i64 {
    counter.load(Ordering::Relaxed) as i64
}

impl ServerState for Instance {
    fn start_time(&self) -> TimestampTz {
        self.started
    }

    fn configuration_loaded(&self) -> TimestampTz {
        TimestampTz(self.configuration_loaded.load(Ordering::Relaxed))
    }

    /// The server process's configuration is read by its own main loop, which a session can't reach.
    fn reload_configuration(&self) -> bool {
        false
    }

    fn checkpointer(&self) -> CheckpointerCounters {
        let counters = &self.checkpoints.counters;
        CheckpointerCounters {
            timed: read(&counters.timed),
            requested: read(&counters.requested),
            performed: read(&counters.done),
            restartpoints_timed: 0,
            restartpoints_requested: 0,
            restartpoints_performed: 0,
            write_time_ms: read(&counters.write_ms) as f64,
            sync_time_ms: read(&counters.sync_ms) as f64,
            buffers_written: read(&counters.buffers_written),
            slru_written: read(&counters.slru_written),
            reset: self.started,
        }
    }

    fn background_writer(&self) -> BackgroundWriterCounters {
        BackgroundWriterCounters {
            buffers_cleaned: read(&self.background_writer.buffers_clean),
            stopped_at_limit: read(&self.background_writer.maxwritten_clean),
            reset: self.started,
        }
    }
}

impl SessionState for Session {
    fn query_text(&self) -> Option<String> {
        Some(self.backend().status().query.to_string())
    }

    /// DECLARE is not built, and a portal of the protocol is none of SQL's cursors until it has a name.
    fn cursors(&self) -> Vec<CursorInfo> {
        Vec::new()
    }

    fn prepared_statements(&self) -> Vec<PreparedStatementInfo> {
        let named = self.statements.named();
        named
            .map(|(name, source)| PreparedStatementInfo {
                name: name.to_owned(),
                statement: source.text.to_string(),
                prepared: source.prepared,
                parameter_types: source.parameter_types.clone(),
                result_types: source
                    .columns
                    .as_ref()
                    .map(|columns| columns.iter().map(|column| column.type_oid).collect()),
                from_sql: source.from_sql,
                generic_plans: i64::from(source.generic_plans),
                custom_plans: i64::from(source.custom_plans),
            })
            .collect()
    }
}
