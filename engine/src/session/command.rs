//! Utility statements: those about the session's own prepared statements here, all others by the command
//! crate.

use std::sync::Arc;

use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_types::builtin::oid;

use super::portal::Portal;
use super::run::Ran;
use super::{Session, unknown_statement};
use crate::client::{ResultColumn, RowSink};

impl Session {
    /// The columns that a utility statement returns; `None` if it returns none.
    pub(super) fn utility_columns(&self, raw: &RawStatement) -> Result<Option<Arc<[ResultColumn]>>> {
        Ok(match &raw.statement {
            Statement::VariableShow(show) if show.name == "all" => {
                Some(Arc::from(["name", "setting", "description"].map(text_column)))
            }
            Statement::VariableShow(show) => {
                let name =
                    kokkiri_primitives::settings::find(&show.name).map(|(_, parameter)| parameter.name);
                Some(Arc::from([text_column(name.unwrap_or(&show.name))]))
            }
            Statement::Explain(_) => Some(Arc::from([text_column("QUERY PLAN")])),
            Statement::Execute(execute) => match self.statements.get(&execute.name) {
                Some(source) => source.columns.clone(),
                None => return Err(unknown_statement(&execute.name)),
            },
            _ => None,
        })
    }

    /// Takes a piece of the data that COPY FROM STDIN asked for.
    pub fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Err(no_copy())
    }

    /// The client has sent all COPY data.
    pub fn copy_done(&mut self) -> Result<()> {
        Err(no_copy())
    }

    /// The client gives COPY up.
    pub fn copy_fail(&mut self, _reason: &str) -> Result<()> {
        Err(no_copy())
    }

    /// Runs a utility statement other than those about transactions.
    pub(super) fn run_command(
        &mut self,
        _portal: &mut Portal,
        raw: &Arc<RawStatement>,
        _sink: &mut dyn RowSink,
    ) -> Result<Ran> {
        match &raw.statement {
            Statement::Deallocate(statement) => match &statement.name {
                Some(name) => {
                    self.statements.remove(name).ok_or_else(|| unknown_statement(name))?;
                    Ok(Ran::Complete("DEALLOCATE".to_owned()))
                }
                None => {
                    self.statements.clear();
                    Ok(Ran::Complete("DEALLOCATE ALL".to_owned()))
                }
            },
            _ => Err(Error::not_supported("this utility statement")),
        }
    }
}

fn no_copy() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "no COPY is in progress")
}

fn text_column(name: &str) -> ResultColumn {
    ResultColumn {
        name: name.into(),
        table: Oid::INVALID,
        attribute: 0,
        type_oid: oid::TEXT,
        type_length: -1,
        typmod: -1,
        rendered: false,
    }
}
