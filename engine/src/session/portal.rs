//! Portals: statements with their parameters, ready to run or running.
//!
//! Realises: portalmem.c and pquery.c. A portal holds a live executor: pulling rows is all that running
//! means, so a row limit is a count to pull, and a full output buffer a pause. Portals belong to their
//! transaction and end with it.

use std::sync::Arc;

use kokkiri_execute::execution::Execution;
use kokkiri_execute::tuple_store::TupleStore;
use kokkiri_parse::tree::RawStatement;
use kokkiri_plan::plan::PlannedStatement;
use kokkiri_transaction::SnapshotGuard;
use kokkiri_types::Value;

use super::copy::CopyOut;
use super::pace::Pace;
use crate::client::{Format, ResultColumn};

/// What a portal runs.
pub enum Runs {
    Empty,
    Query {
        plan: Arc<PlannedStatement>,
        parameters: Arc<[Value]>,
        started: Option<Started>,
        /// An execution of the plan that has run before and can run again.
        spare: Option<Box<Execution>>,
    },
    Utility(Arc<RawStatement>),
    CopyOut(Box<CopyOut>),
    /// The statement is done; its rows wait to be fetched.
    Held(Box<Held>),
}

/// Rows of a statement that must run to its end before it returns any: PostgreSQL's portals of kind
/// ONE_RETURNING, ONE_MOD_WITH and UTIL_SELECT.
pub struct Held {
    pub rows: TupleStore,
    pub tag: HeldTag,
}

/// The command tag of rows that are held.
pub enum HeldTag {
    /// A query's, which counts rows.
    Query(Arc<PlannedStatement>),
    Fixed(String),
}

/// A query that has begun.
pub struct Started {
    pub execution: Box<Execution>,
    pub snapshot: SnapshotGuard,
    pub pace: Pace,
}

pub struct Portal {
    /// The prepared statement it was made of, to give the execution back to.
    pub statement: Option<String>,
    pub text: Arc<str>,
    pub runs: Runs,
    /// Columns of the result, if it has one.
    pub columns: Option<Arc<[ResultColumn]>>,
    pub formats: Vec<Format>,
    /// Rows given out by the Execute that is running.
    pub rows: u64,
    pub finished: bool,
}

impl Portal {
    /// The format of each column: none given means text, one given stands for all.
    ///
    /// # Errors
    /// 08P01 if their number fits neither.
    pub fn formats_for(codes: &[i16], columns: usize) -> kokkiri_primitives::Result<Vec<Format>> {
        use kokkiri_primitives::error;
        match codes {
            [] => Ok(vec![Format::Text; columns]),
            [one] => Ok(vec![Format::from_code(*one)?; columns]),
            codes if codes.len() == columns => codes.iter().map(|code| Format::from_code(*code)).collect(),
            codes => Err(error!(
                PROTOCOL_VIOLATION,
                "bind message has {} result formats but query has {columns} columns",
                codes.len()
            )),
        }
    }
}
