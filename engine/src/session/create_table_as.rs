//! CREATE TABLE AS and SELECT INTO: a table of what a query returns.
//!
//! Realises: createas.c. The query is planned before the table exists, so that it can't see it; its rows
//! reach the table as those of a COPY do.

use std::sync::Arc;

use kokkiri_access::heap::InsertOptions;
use kokkiri_analyze::Parameters;
use kokkiri_command::table_of_query::{self, QueryColumn};
use kokkiri_execute::copy::CopyTarget;
use kokkiri_execute::execution::Execution;
use kokkiri_parse::tree::{CreateTableAsStmt, RawStatement, Statement};
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::{BATCH_ROWS, Value};

use super::Session;
use super::run::Ran;
use super::statement::{self, Prepared};

impl Session {
    pub(super) fn create_table_as(&mut self, create: &CreateTableAsStmt, raw: &RawStatement) -> Result<Ran> {
        const TAG: &str = "CREATE TABLE AS";
        if create.materialized {
            return Err(Error::not_supported("CREATE MATERIALIZED VIEW"));
        }
        if !statement::is_query(&create.query) {
            return Err(Error::not_supported("CREATE TABLE AS EXECUTE"));
        }
        let query = Arc::new(RawStatement {
            statement: create.query.clone(),
            location: raw.location,
            length: raw.length,
        });
        let prepared = {
            let view = self.view();
            statement::prepare(&self.facts(&view), &query, Parameters::none())?.0
        };
        let Prepared::Query(query) = prepared else {
            return Err(Error::internal("CREATE TABLE AS of what is no query"));
        };
        if self.with_command(|context| table_of_query::exists(context, create))? {
            return Ok(Ran::Complete(TAG.to_owned()));
        }
        let columns = query
            .result_columns()
            .map(|target| QueryColumn {
                name: target.resname.clone().unwrap_or_else(|| "?column?".to_owned()),
                type_oid: target.expr.result_type(),
                typmod: target.expr.typmod(),
                collation: target.expr.collation(),
            })
            .collect::<Vec<_>>();
        let view = self.view();
        let plan = statement::plan(&self.facts(&view), query, &[])?;
        let table = self.with_command(|context| table_of_query::create(context, &create.into, &columns))?;
        if create.into.skip_data {
            return Ok(Ran::Complete(TAG.to_owned()));
        }
        let rows = self.fill_table(plan, table, columns.len())?;
        Ok(Ran::Complete(format!("SELECT {rows}")))
    }

    /// Runs a query and puts its rows into a table of as many columns.
    fn fill_table(
        &self,
        plan: Arc<kokkiri_plan::plan::PlannedStatement>,
        table: Oid,
        columns: usize,
    ) -> Result<u64> {
        let view = self.view();
        let facts = self.facts(&view);
        let all: Vec<usize> = (0..columns).collect();
        let mut target = CopyTarget::new(&facts, &self.instance.cluster.buffers, table, &all, &[], None)?;
        let mut execution = Execution::new(plan, &facts)?;
        let snapshot = self.block.transaction().snapshot();
        let environment = self.environment(&snapshot, &[]);
        let mut count = 0;
        while let Some(batch) = execution.next(&environment, BATCH_ROWS)? {
            let rows: Vec<Vec<Value>> = batch
                .selection
                .iter()
                .map(|row| batch.columns[..columns].iter().map(|column| column.get(row).to_value()).collect())
                .collect();
            count += rows.len() as u64;
            target.insert(&environment, &rows, InsertOptions::default()).map_err(|(error, _)| error)?;
        }
        target.finish(&environment)?;
        Ok(count)
    }
}

/// SELECT INTO as the CREATE TABLE AS that it is.
pub fn of_select_into(statement: &Statement) -> Option<CreateTableAsStmt> {
    let Statement::Select(select) = statement else { return None };
    let into = select.into.clone()?;
    let mut select = (**select).clone();
    select.into = None;
    let query = Statement::Select(Box::new(select));
    Some(CreateTableAsStmt { query, into, materialized: false, if_not_exists: false })
}
