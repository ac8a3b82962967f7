//! What system functions ask of the layers above this crate.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::io::IoSettings;

/// Prints a stored query: its tree, its columns, pretty or not, and where to wrap.
pub type DeparseQuery = fn(&CatalogView<'_>, &IoSettings, &str, Vec<String>, bool, i32) -> Result<String>;

/// Turns what the catalogs store serialised into SQL again; the analyzer's, as functions.
#[derive(Clone, Copy)]
pub struct Deparser {
    /// An expression, or a list of expressions separated by `, `, over the columns of a relation
    /// (unqualified). The last argument leaves out parentheses that aren't needed.
    pub expression:
        fn(&CatalogView<'_>, &IoSettings, tree: &str, relation: Option<Oid>, bool) -> Result<String>,
    /// A view's query, given the view's columns. `pretty` leaves out parentheses that aren't needed; lists go on
    /// in their line up to `wrap` columns (0: each item its own line).
    pub query: DeparseQuery,
    /// The statement that makes an index or, given its number, one column of it.
    pub index:
        fn(&CatalogView<'_>, &IoSettings, index: Oid, column: i32, pretty: bool) -> Result<Option<String>>,
    /// A constraint as a table's definition has it.
    pub constraint:
        fn(&CatalogView<'_>, &IoSettings, constraint: Oid, pretty: bool) -> Result<Option<String>>,
}

/// Numbers behind pg_stat_checkpointer. Times are milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CheckpointerCounters {
    pub timed: i64,
    pub requested: i64,
    /// Completed.
    pub performed: i64,
    pub restartpoints_timed: i64,
    pub restartpoints_requested: i64,
    pub restartpoints_performed: i64,
    pub write_time_ms: f64,
    pub sync_time_ms: f64,
    pub buffers_written: i64,
    pub slru_written: i64,
    pub reset: TimestampTz,
}

/// Numbers behind pg_stat_bgwriter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BackgroundWriterCounters {
    pub buffers_cleaned: i64,
    /// Rounds that stopped at bgwriter_lru_maxpages.
    pub stopped_at_limit: i64,
    pub reset: TimestampTz,
}

/// What the server as a whole tells of itself.
pub trait ServerState: Sync {
    fn start_time(&self) -> TimestampTz;

    /// When configuration files were last read.
    fn configuration_loaded(&self) -> TimestampTz;

    /// Asks for the configuration files to be read again; false if nobody could be asked.
    fn reload_configuration(&self) -> bool;

    fn checkpointer(&self) -> CheckpointerCounters;

    fn background_writer(&self) -> BackgroundWriterCounters;
}

/// A row of pg_cursors.
#[derive(Clone, Debug)]
pub struct CursorInfo {
    pub name: String,
    pub statement: String,
    pub is_holdable: bool,
    pub is_binary: bool,
    pub is_scrollable: bool,
    pub created: TimestampTz,
}

/// A row of pg_prepared_statements.
#[derive(Clone, Debug)]
pub struct PreparedStatementInfo {
    pub name: String,
    pub statement: String,
    pub prepared: TimestampTz,
    pub parameter_types: Vec<Oid>,
    /// `None` for a statement that returns no rows.
    pub result_types: Option<Vec<Oid>>,
    /// By PREPARE, not by the protocol.
    pub from_sql: bool,
    pub generic_plans: i64,
    pub custom_plans: i64,
}

/// What the session keeps between statements.
pub trait SessionState {
    /// The client's query string: `current_query()`.
    fn query_text(&self) -> Option<String>;

    fn cursors(&self) -> Vec<CursorInfo>;

    fn prepared_statements(&self) -> Vec<PreparedStatementInfo>;
}
