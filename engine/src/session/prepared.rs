//! Prepared statements: Parse, Bind, Describe, Close; PREPARE, EXECUTE, DEALLOCATE.
//!
//! Realises: the extended-query half of postgres.c, prepare.c. A statement prepared by message and one
//! prepared by PREPARE are the same thing, in one name space.

use std::sync::Arc;

use kokkiri_analyze::Parameters;
use kokkiri_analyze::tree::{CommandType, Query, TargetEntry};
use kokkiri_catalog::view::CatalogView;
use kokkiri_functions::system::text_form;
use kokkiri_parse::tree::{RawStatement, Statement};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_types::Value;
use kokkiri_types::builtin::oid;
use kokkiri_types::io::{self, IoSettings};

use super::plan_cache::{Analyzed, Source};
use super::portal::{Portal, Runs};
use super::statement::{self, Prepared};
use super::{Session, failed_block, unknown_portal, unknown_statement};
use crate::client::{BindRequest, Format, ResultColumn, RowSink};

impl Session {
    /// Prepares a statement.
    ///
    /// # Errors
    /// 42601 for more than one statement in the text, 42P05 if the name is taken, and what parsing and
    /// analysis find wrong.
    pub fn parse(&mut self, name: &str, text: &Arc<str>, parameter_types: &[u32]) -> Result<()> {
        self.statement_begins(text);
        if name.is_empty() {
            self.statements.remove("");
        }
        let mut notices = Vec::new();
        let parsed = kokkiri_parse::parse_with_notices(text, self.scan_options(), &mut notices);
        self.notices.extend(notices);
        let mut statements = parsed?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let types = parameter_types.iter().map(|oid| Oid(*oid)).collect();
        let source = match statements.pop() {
            Some(raw) => self.prepare(Arc::new(raw), Arc::clone(text), types)?,
            None => Box::new(Source::new(Arc::clone(text), None, types)),
        };
        if self.statements.contains(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        self.statements.insert(name, source);
        self.statement_ends();
        Ok(())
    }

    /// Analyzes a statement to be kept.
    pub(super) fn prepare(
        &mut self,
        raw: Arc<RawStatement>,
        text: Arc<str>,
        types: Vec<Oid>,
    ) -> Result<Box<Source>> {
        self.check_not_failed(&raw.statement)?;
        if !statement::is_query(&raw.statement) {
            // Nothing in it can tell what type a parameter has.
            if let Some(index) = types.iter().position(|known| !known.is_valid() || *known == oid::UNKNOWN) {
                let number = index + 1;
                return Err(error!(
                    INDETERMINATE_DATATYPE,
                    "could not determine data type of parameter ${number}"
                ));
            }
        }
        if matches!(raw.statement, Statement::Transaction(_)) {
            return Ok(Box::new(Source::new(text, Some(raw), types)));
        }
        self.in_transaction()?;
        let view = self.view();
        let (prepared, parameter_types) =
            statement::prepare(&self.facts(&view), &raw, Parameters::inferred(types))?;
        let mut source = Box::new(Source::new(text, Some(raw), parameter_types));
        match prepared {
            Prepared::Query(query) => {
                source.columns = query_columns(&view, &query)?;
                source.keep(Analyzed::now(query, &view));
            }
            Prepared::Utility(raw) => source.columns = self.utility_columns(&raw)?,
        }
        Ok(source)
    }

    /// Makes a portal of a prepared statement and parameter values.
    ///
    /// # Errors
    /// 26000, 42P03, 08P01 for a mismatch of counts, 22P02 and its kin for values.
    pub fn bind(&mut self, request: &BindRequest<'_>) -> Result<()> {
        let Some(mut source) = self.statements.lend(request.statement) else {
            return Err(unknown_statement(request.statement));
        };
        let portal = self.bind_source(&mut source, request);
        self.statements.give_back(request.statement, source);
        self.portals.insert(request.portal, portal?);
        Ok(())
    }

    fn bind_source(&mut self, source: &mut Source, request: &BindRequest<'_>) -> Result<Box<Portal>> {
        self.statement_begins(&source.text);
        let expected = source.parameter_types.len();
        let given = request.parameters.len();
        if given != expected {
            return Err(error!(
                PROTOCOL_VIOLATION,
                "bind message supplies {given} parameters, but prepared statement \"{}\" requires {expected}",
                request.statement
            ));
        }
        if let Some(raw) = &source.raw {
            self.check_not_failed(&raw.statement)?;
        }
        if request.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains(request.portal) {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("portal \"{}\" already exists", request.portal),
            ));
        }
        let is_transaction =
            matches!(source.raw.as_deref().map(|raw| &raw.statement), Some(Statement::Transaction(_)));
        if source.raw.is_some() && !is_transaction {
            self.in_transaction()?;
        }
        let values = self.parameter_values(&source.parameter_types, request)?;
        let columns = source.columns.clone();
        let formats = match &columns {
            Some(columns) => Portal::formats_for(&request.result_formats, columns.len())?,
            None => Vec::new(),
        };
        let runs = match &source.raw {
            None => Runs::Empty,
            Some(raw) if !statement::is_query(&raw.statement) => Runs::Utility(Arc::clone(raw)),
            Some(_) => {
                let view = self.view();
                let (plan, spare) = source.plan(&self.facts(&view), &values)?;
                Runs::Query { plan, parameters: values.into(), started: None, spare }
            }
        };
        Ok(Box::new(Portal {
            statement: Some(request.statement.to_owned()),
            text: Arc::clone(&source.text),
            runs,
            columns,
            formats,
            rows: 0,
            finished: false,
        }))
    }

    fn parameter_values(&self, types: &[Oid], request: &BindRequest<'_>) -> Result<Vec<Value>> {
        let format = |index: usize| match request.parameter_formats.as_slice() {
            [] => Ok(Format::Text),
            [one] => Format::from_code(*one),
            codes => Format::from_code(codes[index]),
        };
        let read = |(index, (type_oid, value)): (usize, (&Oid, &Option<&[u8]>))| {
            let view = self.block.transaction_if_running().map(|_| self.view());
            let value = format(index).and_then(|format| match value {
                Some(bytes) => parameter_value(view.as_ref(), *type_oid, bytes, format, &self.io),
                None => Ok(Value::Null),
            });
            value.map_err(|error| {
                let portal = if request.portal.is_empty() {
                    "unnamed portal".to_owned()
                } else {
                    format!("portal \"{}\"", request.portal)
                };
                error.context(format!("{portal} parameter ${}", index + 1))
            })
        };
        types.iter().zip(&request.parameters).enumerate().map(read).collect()
    }

    /// Describes a prepared statement: its parameters, then its result.
    ///
    /// # Errors
    /// 26000; 25P02 for a result in a failed transaction, whose catalogs can't be looked at.
    pub fn describe_statement(&mut self, name: &str, sink: &mut dyn RowSink) -> Result<()> {
        let Some(mut source) = self.statements.lend(name) else { return Err(unknown_statement(name)) };
        let described = self.describe_source(&mut source, sink);
        self.statements.give_back(name, source);
        described
    }

    fn describe_source(&mut self, source: &mut Source, sink: &mut dyn RowSink) -> Result<()> {
        if self.block.is_failed() && source.columns.is_some() {
            return Err(failed_block());
        }
        let types: Vec<u32> = source.parameter_types.iter().map(|oid| oid.0).collect();
        sink.parameter_description(&types);
        let Some(columns) = source.columns.clone() else {
            sink.no_data();
            return Ok(());
        };
        self.in_transaction()?;
        let view = self.view();
        source.revalidate(&self.facts(&view))?;
        sink.row_description(&columns, &vec![Format::Text; columns.len()]);
        Ok(())
    }

    pub fn describe_portal(&mut self, name: &str, sink: &mut dyn RowSink) -> Result<()> {
        let Some(portal) = self.portals.get(name) else { return Err(unknown_portal(name)) };
        if self.block.is_failed() && portal.columns.is_some() {
            return Err(failed_block());
        }
        match &portal.columns {
            Some(columns) => sink.row_description(columns, &portal.formats),
            None => sink.no_data(),
        }
        Ok(())
    }

    /// Closes a prepared statement; one that isn't there is no error.
    pub fn close_statement(&mut self, name: &str) -> Result<()> {
        self.statements.remove(name);
        Ok(())
    }

    /// Closes a portal; one that isn't there is no error.
    pub fn close_portal(&mut self, name: &str) -> Result<()> {
        self.portals.remove(name);
        Ok(())
    }
}

/// Reads a parameter's value as the client sent it.
pub(super) fn parameter_value(
    view: Option<&CatalogView<'_>>,
    type_oid: Oid,
    bytes: &[u8],
    format: Format,
    settings: &IoSettings,
) -> Result<Value> {
    match format {
        Format::Binary => io::input_binary(type_oid, -1, bytes, settings),
        Format::Text => {
            let text = std::str::from_utf8(bytes)
                .map_err(|invalid| crate::client::invalid_encoding(bytes, invalid.valid_up_to()))?;
            // Zero is valid UTF-8, but in no encoding of a database a character.
            if let Some(zero) = text.find('\0') {
                return Err(crate::client::invalid_encoding(bytes, zero));
            }
            text_form::input_text(view, type_oid, -1, text, settings)
        }
    }
}

/// The columns of a query's result; `None` if it returns none.
pub(super) fn query_columns(view: &CatalogView<'_>, query: &Query) -> Result<Option<Arc<[ResultColumn]>>> {
    let list = match query.command_type {
        CommandType::Select => &query.target_list,
        _ if query.returning_list.is_empty() => return Ok(None),
        _ => &query.returning_list,
    };
    let column = |entry: &TargetEntry| {
        let type_oid = entry.expr.result_type();
        let info = view.expect_type(type_oid)?;
        Ok(ResultColumn {
            name: entry.resname.as_deref().unwrap_or("?column?").into(),
            table: entry.resorigtbl,
            attribute: entry.resorigcol,
            type_oid,
            type_length: info.length,
            typmod: entry.expr.typmod(),
            rendered: text_form::needs_catalog(type_oid),
        })
    };
    let shown = list.iter().filter(|entry| !entry.resjunk);
    Ok(Some(shown.map(column).collect::<Result<Vec<_>>>()?.into()))
}
