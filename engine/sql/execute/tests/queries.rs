//! Queries over true catalogs, planned and run: what EXPLAIN shows and what comes out.

use std::sync::Arc;

use kokkiri_analyze::tree::*;
use kokkiri_catalog::testing::TestCluster;
use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_execute::context::Environment;
use kokkiri_execute::execution::Execution;
use kokkiri_execute::explain::{ExplainOptions, StatementTimes, explain};
use kokkiri_functions::{CallContext, SessionInfo};
use kokkiri_plan::planner::{PlanOptions, plan};
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_types::io::IoSettings;
use kokkiri_types::{Batch, Value};

const OID: Oid = Oid(26);
const NAME: Oid = Oid(19);
const INT8: Oid = Oid(20);
const BOOL: Oid = Oid(16);

fn table(relid: u32, name: &str) -> RangeTblEntry {
    RangeTblEntry {
        kind: RteKind::Relation { relid: Oid(relid), relkind: b'r', inh: true, tablesample: None },
        alias: None,
        eref: Alias { name: name.into(), columns: Vec::new() },
        lateral: false,
        in_from_cl: true,
        perminfo_index: 0,
    }
}

fn column(varno: u32, varattno: i16, vartype: Oid) -> Expression {
    Expression::Var(Var {
        varno,
        varattno,
        vartype,
        vartypmod: -1,
        varcollid: if vartype == NAME { Oid(950) } else { Oid(0) },
        varnullingrels: Relids::new(),
        varlevelsup: 0,
        returning: VarReturning::Default,
        location: Default::default(),
    })
}

fn constant(type_oid: Oid, value: Value) -> Expression {
    let collation = if type_oid == NAME { Oid(950) } else { Oid(0) };
    Expression::Const(Const { type_oid, typmod: -1, collation, value, location: Default::default() })
}

fn operator(opno: u32, function: u32, result_type: Oid, left: Expression, right: Expression) -> Expression {
    let inputcollid = left.collation();
    Expression::OpExpr(Box::new(OpExpr {
        opno: Oid(opno),
        opfuncid: Oid(function),
        result_type,
        returns_set: false,
        collation: Oid(0),
        inputcollid,
        args: vec![left, right],
        location: Default::default(),
    }))
}

fn oid_equals(left: Expression, right: Expression) -> Expression {
    operator(607, 184, BOOL, left, right)
}

fn count_star() -> Expression {
    Expression::Aggref(Box::new(Aggref {
        aggfnoid: Oid(2803),
        aggtype: INT8,
        aggcollid: Oid(0),
        inputcollid: Oid(0),
        aggtranstype: Oid(0),
        aggargtypes: Vec::new(),
        aggdirectargs: Vec::new(),
        args: Vec::new(),
        aggorder: Vec::new(),
        aggdistinct: Vec::new(),
        aggfilter: None,
        aggstar: true,
        aggvariadic: false,
        aggkind: b'n',
        agglevelsup: 0,
        location: Default::default(),
    }))
}

/// SELECT targets FROM tables WHERE quals.
fn select(tables: Vec<RangeTblEntry>, targets: Vec<Expression>, quals: Option<Expression>) -> Query {
    let from_list = (1..=tables.len() as u32).map(JoinTreeNode::RangeTblRef).collect();
    let has_aggs = targets.iter().any(|expr| expr.contains(|node| matches!(node, Expression::Aggref(_))));
    Query {
        rtable: tables,
        jointree: FromExpr { from_list, quals },
        target_list: targets
            .into_iter()
            .enumerate()
            .map(|(at, expr)| TargetEntry::new(expr, at as i16 + 1, Some(format!("c{at}")), false))
            .collect(),
        has_aggs,
        ..Query::default()
    }
}

fn order_by(query: &mut Query, column: usize, sortop: u32, eqop: u32) -> SortGroupClause {
    query.target_list[column].ressortgroupref = column as u32 + 1;
    SortGroupClause {
        tle_sort_group_ref: column as u32 + 1,
        eqop: Oid(eqop),
        sortop: Oid(sortop),
        reverse_sort: false,
        nulls_first: false,
        hashable: true,
    }
}

struct Ran {
    rows: Vec<Vec<Value>>,
    plan: Vec<String>,
    processed: u64,
}

fn run(view: &CatalogView<'_>, query: Query) -> Result<Ran> {
    let (io, session) = (IoSettings::default(), SessionInfo::default());
    let call = CallContext::new(&io, &session);
    let facts = ViewFacts { view, call };
    let planned = Arc::new(plan(&facts, view.settings, Box::new(query), PlanOptions::default())?);
    let mut execution = Execution::new(Arc::clone(&planned), &facts)?;
    let guard = view.transaction.snapshot();
    let environment = Environment {
        call,
        settings: view.settings,
        transaction: view.transaction,
        snapshot: &guard,
        parameters: &[],
        host: None,
    };
    let columns = execution.result_columns();
    let mut rows = Vec::new();
    // Twice, for a prepared statement runs the same operators again.
    let runs = if planned.command_type == CommandType::Select { 2 } else { 1 };
    for _ in 0..runs {
        rows.clear();
        execution.restart(&environment)?;
        while let Some(batch) = execution.next(&environment, 1024)? {
            let batch: &Batch = batch;
            batch.selection.for_each(|row| {
                rows.push(batch.columns[..columns].iter().map(|column| column.get(row).to_value()).collect());
            });
        }
    }
    let options = ExplainOptions { costs: false, ..ExplainOptions::default() };
    let text = explain(&planned, Some(&execution), &facts, options, StatementTimes::default(), &[])?;
    Ok(Ran { rows, plan: text, processed: execution.processed() })
}

fn on_catalogs<T>(work: impl FnOnce(&CatalogView<'_>) -> Result<T>) -> T {
    let client = TestCluster::shared().client();
    client.run(work).expect("the statement runs")
}

#[test]
fn a_lookup_by_unique_key_uses_the_index() {
    let ran = on_catalogs(|view| {
        let condition = oid_equals(column(1, 1, OID), constant(OID, Value::Int32(1259)));
        run(view, select(vec![table(1259, "pg_class")], vec![column(1, 2, NAME)], Some(condition)))
    });
    assert_eq!(ran.rows, [[Value::from("pg_class")]]);
    assert_eq!(
        ran.plan,
        ["Index Scan using pg_class_oid_index on pg_class", "  Index Cond: (oid = '1259'::oid)"]
    );
}

#[test]
fn counting_reads_every_row_once() {
    let ran = on_catalogs(|view| run(view, select(vec![table(1255, "pg_proc")], vec![count_star()], None)));
    let expected =
        kokkiri_catalog::facts::tables().iter().find(|table| table.name == "pg_proc").expect("a catalog");
    assert_eq!(ran.rows, [[Value::Int64(expected.rows.len() as i64)]]);
}

#[test]
fn joins_of_every_method_agree() {
    let query = || {
        let condition = oid_equals(column(1, 3, OID), column(2, 1, OID));
        let mut query = select(
            vec![table(1247, "pg_type"), table(2615, "pg_namespace")],
            vec![column(1, 1, OID), column(2, 2, NAME)],
            Some(condition),
        );
        let clause = order_by(&mut query, 0, 609, 607);
        query.sort_clause.push(clause);
        query
    };
    let mut results = Vec::new();
    for off in [
        vec![],
        vec!["enable_hashjoin"],
        vec!["enable_hashjoin", "enable_mergejoin"],
        vec!["enable_hashjoin", "enable_nestloop"],
    ] {
        let client = TestCluster::shared().client();
        for setting in &off {
            let scope = kokkiri_primitives::settings::SetScope::Session;
            client.settings.set(setting, Some("off"), scope).expect("a setting");
        }
        let ran = client.run(|view| run(view, query())).expect("the join runs");
        let kind = ran.plan.iter().find(|line| line.contains("Join") || line.contains("Nested")).cloned();
        results.push((ran.rows, kind.unwrap_or_default(), off));
    }
    let types =
        kokkiri_catalog::facts::tables().iter().find(|table| table.name == "pg_type").expect("a catalog");
    assert_eq!(results[0].0.len(), types.rows.len());
    for (rows, kind, off) in &results {
        assert!(*rows == results[0].0, "{kind} {off:?}");
    }
    let kinds: Vec<&str> =
        results.iter().map(|(_, kind, _)| kind.trim_start_matches([' ', '-', '>'])).collect();
    assert!(kinds[0].starts_with("Hash Join") && kinds[2].starts_with("Nested Loop"), "{kinds:?}");
    assert!(kinds[3].starts_with("Merge Join"), "{kinds:?}");
}

#[test]
fn grouping_sorts_or_hashes_with_the_same_result() {
    let query = || {
        let mut query = select(vec![table(1247, "pg_type")], vec![column(1, 3, OID), count_star()], None);
        let clause = order_by(&mut query, 0, 609, 607);
        query.group_clause.push(clause.clone());
        query.sort_clause.push(clause);
        query
    };
    let hashed = on_catalogs(|view| run(view, query()));
    let client = TestCluster::shared().client();
    let scope = kokkiri_primitives::settings::SetScope::Session;
    client.settings.set("enable_hashagg", Some("off"), scope).expect("a setting");
    let sorted = client.run(|view| run(view, query())).expect("the query runs");
    assert_eq!(hashed.rows, sorted.rows);
    assert!(hashed.plan.iter().any(|line| line.contains("HashAggregate")), "{:?}", hashed.plan);
    assert!(sorted.plan.iter().any(|line| line.contains("GroupAggregate")), "{:?}", sorted.plan);
    let total: i64 = hashed.rows.iter().map(|row| row[1].as_ref().int64()).sum();
    let types =
        kokkiri_catalog::facts::tables().iter().find(|table| table.name == "pg_type").expect("a catalog");
    assert_eq!(total, types.rows.len() as i64);
}

#[test]
fn a_limit_stops_the_scan() {
    let ran = on_catalogs(|view| {
        let mut query = select(vec![table(1255, "pg_proc")], vec![column(1, 2, NAME)], None);
        query.limit_count = Some(constant(INT8, Value::Int64(3)));
        run(view, query)
    });
    assert_eq!(ran.rows.len(), 3);
    assert_eq!(ran.plan, ["Limit", "  ->  Seq Scan on pg_proc"]);
}

#[test]
fn rows_are_inserted_updated_deleted_and_kept_unique() {
    const LARGE_OBJECTS: u32 = 2995;
    let client = TestCluster::shared().client();
    let transaction = client.begin();
    let view = client.view(&transaction);
    let insert = |oid: i32| {
        let mut query =
            select(Vec::new(), vec![constant(OID, Value::Int32(oid)), constant(OID, Value::Int32(10))], None);
        query.rtable.push(table(LARGE_OBJECTS, "pg_largeobject_metadata"));
        query.command_type = CommandType::Insert;
        query.result_relation = 1;
        query
    };
    let matching = |oid: i32| oid_equals(column(1, 1, OID), constant(OID, Value::Int32(oid)));
    let owner = |view: &CatalogView<'_>| {
        let targets = vec![column(1, 2, OID)];
        run(
            view,
            select(vec![table(LARGE_OBJECTS, "pg_largeobject_metadata")], targets, Some(matching(70_001))),
        )
    };
    let work = || -> Result<()> {
        assert_eq!(run(&view, insert(70_001))?.processed, 1);
        client.end_command(&transaction)?;
        assert_eq!(owner(&view)?.rows, [[Value::Int32(10)]]);

        let mut update = select(
            vec![table(LARGE_OBJECTS, "pg_largeobject_metadata")],
            vec![constant(OID, Value::Int32(11))],
            Some(matching(70_001)),
        );
        update.target_list[0].resno = 2;
        update.command_type = CommandType::Update;
        update.result_relation = 1;
        update.returning_list = vec![TargetEntry::new(column(1, 2, OID), 1, Some("owner".into()), false)];
        let updated = run(&view, update)?;
        assert_eq!((updated.processed, updated.rows), (1, vec![vec![Value::Int32(11)]]));
        client.end_command(&transaction)?;
        assert_eq!(owner(&view)?.rows, [[Value::Int32(11)]]);

        let mut delete =
            select(vec![table(LARGE_OBJECTS, "pg_largeobject_metadata")], Vec::new(), Some(matching(70_001)));
        delete.command_type = CommandType::Delete;
        delete.result_relation = 1;
        assert_eq!(run(&view, delete)?.processed, 1);
        client.end_command(&transaction)?;
        assert!(owner(&view)?.rows.is_empty());

        run(&view, insert(70_002))?;
        client.end_command(&transaction)?;
        let error: Error = run(&view, insert(70_002)).err().expect("a duplicate");
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(
            error.message(),
            "duplicate key value violates unique constraint \"pg_largeobject_metadata_oid_index\""
        );
        assert_eq!(error.fields().detail.as_deref(), Some("Key (oid)=(70002) already exists."));
        Ok(())
    };
    let outcome = work();
    client.abort(transaction);
    outcome.expect("all but the duplicate succeed");
}
