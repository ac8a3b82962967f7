//! CREATE TABLE AS and SELECT INTO: a table of what a query returns.
//!
//! Realises: createas.c. The query is planned before the table exists, so that it can't see it. The table
//! has neither indexes nor constraints yet; values keep how they are compressed.

use std::sync::Arc;

use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions};
use kokkiri_access::tuple::form::FormValue;
use kokkiri_analyze::Parameters;
use kokkiri_command::table_of_query::{self, QueryColumn};
use kokkiri_execute::execution::Execution;
use kokkiri_parse::tree::{CreateTableAsStmt, RawStatement, Statement};
use kokkiri_plan::planner::{PlanOptions, compressed_name};
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::BATCH_ROWS;

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
        let options = PlanOptions { keeps_compression: true, ..PlanOptions::default() };
        let plan = statement::plan_with(&self.facts(&view), query, options)?;
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
        let compressed: Vec<Option<usize>> = (1..=columns)
            .map(|column| {
                let name = compressed_name(column as i16);
                let mut targets = plan.plan.target_list.iter();
                targets.position(|target| target.resjunk && target.resname.as_deref() == Some(&name))
            })
            .collect();
        let entry = view.expect_relation(table)?;
        let heap = Heap::new(&entry.relation, self.block.transaction());
        let mut bulk = BulkInsert::new(&self.instance.cluster.buffers);
        let mut execution = Execution::new(plan, &facts)?;
        let snapshot = self.block.transaction().snapshot();
        let environment = self.environment(&snapshot, &[]);
        let mut count = 0;
        while let Some(batch) = execution.next(&environment, BATCH_ROWS)? {
            let value = |row: usize, column: usize| {
                let stored = compressed[column].map(|at| batch.columns[at].get(row));
                match stored.filter(|stored| !stored.is_null()) {
                    Some(stored) => FormValue::Stored(stored.bytes().into()),
                    None => FormValue::Value(batch.columns[column].get(row)),
                }
            };
            let rows: Vec<usize> = batch.selection.iter().collect();
            let formed = rows.iter().map(|row| (0..columns).map(|column| value(*row, column)).collect());
            heap.multi_insert_formed(formed, InsertOptions::default(), Some(&mut bulk))?;
            count += rows.len() as u64;
        }
        bulk.release();
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
