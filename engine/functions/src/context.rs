//! What a call may depend on besides its arguments.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::Settings;
use kokkiri_primitives::{Error, Oid, ProcNumber, Result};
use kokkiri_types::PhysicalType;
use kokkiri_types::builtin::type_info;
use kokkiri_types::io::IoSettings;
use parking_lot::Mutex;

use crate::random::Generator;
use crate::system::sequence::SessionSequences;
use crate::system::{Deparser, ServerState, SessionState};

/// Who and where the session is.
#[derive(Debug, Default)]
pub struct SessionInfo {
    pub database: Oid,
    pub database_name: String,
    /// Role whose privileges count: `current_user`.
    pub user: Oid,
    pub user_name: String,
    /// Role that logged in: `session_user`.
    pub session_user_name: String,
    pub process_id: i32,
    pub proc_number: Option<ProcNumber>,
    /// What `version()` answers.
    pub version: String,
    /// What `currval` and its kin know.
    pub sequences: Mutex<SessionSequences>,
    /// State of `random()`.
    pub random: Mutex<Generator>,
}

/// The context of a call; made once a statement, adjusted for each expression node.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    pub io: &'a IoSettings,
    pub session: &'a SessionInfo,
    pub settings: Option<&'a Settings>,
    /// The catalogs as the statement sees them, and through them the cluster and the transaction.
    pub catalog: Option<CatalogView<'a>>,
    /// How stored expressions become SQL again.
    pub deparser: Option<&'a Deparser>,
    /// What the server as a whole tells of itself.
    pub server: Option<&'a dyn ServerState>,
    /// What the session keeps between statements.
    pub session_state: Option<&'a dyn SessionState>,
    /// Start of the statement; that of the transaction is `io.now`.
    pub statement_start: TimestampTz,
    /// Collation of the call.
    pub collation: Oid,
    /// Types of the arguments, which polymorphic functions ask for.
    pub argument_types: &'a [Oid],
    pub result_type: Oid,
    /// True if the last argument is an array for a VARIADIC parameter.
    pub variadic: bool,
}

impl<'a> CallContext<'a> {
    pub fn new(io: &'a IoSettings, session: &'a SessionInfo) -> Self {
        Self {
            io,
            session,
            settings: None,
            catalog: None,
            deparser: None,
            server: None,
            session_state: None,
            statement_start: io.now,
            collation: Oid::INVALID,
            argument_types: &[],
            result_type: Oid::INVALID,
            variadic: false,
        }
    }

    /// How values of the result's type travel.
    pub fn result_physical(&self) -> PhysicalType {
        type_info(self.result_type).map_or(PhysicalType::Varlena, |info| info.physical())
    }

    /// # Errors
    /// 0A000 where the call has no settings to look at.
    pub fn settings(&self) -> Result<&'a Settings> {
        self.settings.ok_or_else(|| Error::not_supported("looking at settings in this context"))
    }

    /// # Errors
    /// 0A000 where the call has no catalog to look at.
    pub fn catalog(&self) -> Result<CatalogView<'a>> {
        self.catalog.ok_or_else(|| Error::not_supported("looking at the catalog in this context"))
    }
}
