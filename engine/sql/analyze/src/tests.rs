//! Analysis against the initial catalog; messages and positions are those PostgreSQL 18 gives.

use kokkiri_primitives::Oid;
use kokkiri_types::Value;

use crate::Parameters;
use crate::fixture::{analyze, deparse};
use crate::tree::*;

fn query(text: &str) -> Box<Query> {
    analyze(text, Parameters::none()).unwrap_or_else(|error| panic!("{text}: {error}")).query
}

fn types(text: &str) -> Vec<u32> {
    query(text).result_columns().map(|target| target.expr.result_type().0).collect()
}

fn names(text: &str) -> Vec<String> {
    query(text).result_columns().filter_map(|target| target.resname.clone()).collect()
}

#[test]
fn statements_of_pgbench_infer_their_parameters() {
    let cases: [(&str, &[u32]); 5] = [
        ("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2", &[23, 23]),
        ("SELECT abalance FROM pgbench_accounts WHERE aid = $1", &[23]),
        (
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
            &[23, 23, 23, 23],
        ),
        ("SELECT $1::text || $2", &[25, 25]),
        ("SELECT a FROM t WHERE b = ANY($1) LIMIT $2", &[1009, 20]),
    ];
    for (text, expected) in cases {
        let analyzed =
            analyze(text, Parameters::inferred(Vec::new())).unwrap_or_else(|e| panic!("{text}: {e}"));
        let found: Vec<u32> = analyzed.parameter_types.iter().map(|oid| oid.0).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn an_update_names_operator_function_and_columns() {
    let query = query("UPDATE pgbench_accounts SET abalance = abalance + 5 WHERE aid = 7");
    assert_eq!((query.command_type, query.result_relation), (CommandType::Update, 1));
    let [target] = query.target_list.as_slice() else { panic!("one column is set") };
    assert_eq!(target.resno, 3);
    let Expression::OpExpr(plus) = &target.expr else { panic!("{:?}", target.expr) };
    assert_eq!((plus.opno, plus.opfuncid), (Oid(551), Oid(177)));
    let Some(Expression::OpExpr(equal)) = &query.jointree.quals else { panic!("a condition") };
    assert_eq!(equal.opno, Oid(96));
    assert!(matches!(&equal.args[1], Expression::Const(Const { value: Value::Int32(7), .. })));
    let info = &query.rte_perm_infos[0];
    assert_eq!(info.required, Privilege::Select as u32 | Privilege::Update as u32);
    assert_eq!(info.updated_columns.iter().copied().collect::<Vec<_>>(), [3]);
    assert_eq!(info.selected_columns.iter().copied().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_insert_fills_every_column() {
    let query = query("INSERT INTO t (c, a) VALUES (1.5, '7'), (2, 8)");
    assert_eq!(query.target_list.iter().map(|target| target.resno).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(query.target_list[1].expr.is_null_const());
    assert!(matches!(&query.rtable[1].kind, RteKind::Values { lists, .. } if lists.len() == 2));
}

#[test]
fn overloads_resolve_as_in_postgresql() {
    let cases: [(&str, &[u32]); 14] = [
        ("select 1 + 2, 1 + 2.5, 2 ^ 3, 1::int2 + 1::int8", &[23, 1700, 701, 20]),
        ("select 'a' || 'b', 'a' || 1, now() - now()", &[25, 25, 1186]),
        ("select count(*), sum(a), avg(a), min(b), max(x) from t join u using (a)", &[20, 20, 1700, 25, 701]),
        ("select length('abc'), upper('a'), abs(-1), round(1.5), coalesce(null, 1)", &[23, 25, 23, 1700, 23]),
        ("select array[1, 2], array['a'], (array[1, 2])[1], array[1] || 2", &[1007, 1009, 23, 1007]),
        ("select case when true then 1 else 2.5 end, nullif(1, 2), greatest(1, 2.0)", &[1700, 23, 1700]),
        ("select a in (1, 2), b like 'x%', a between 1 and 2, not true from t", &[16, 16, 16, 16]),
        ("select d, d || 'x', d = 'y' from t", &[1043, 25, 16]),
        ("select current_date, current_timestamp, date '2020-01-01' + 1", &[1082, 1184, 1082]),
        ("select (select a from t), exists (select 1), a = any (select a from u) from t", &[23, 16, 16]),
        ("select generate_series(1, 10), x from generate_series(1, 2.5) x", &[23, 1700]),
        ("select -2147483648, 2147483648, 9223372036854775808, '5' + 1", &[23, 20, 1700, 23]),
        ("select row_number() over (order by a), sum(a) over () from t", &[20, 20]),
        ("values (1, 'a'), (2.5, null)", &[1700, 25]),
    ];
    for (text, expected) in cases {
        assert_eq!(types(text), expected, "{text}");
    }
}

#[test]
fn columns_are_named_as_in_postgresql() {
    assert_eq!(
        names(
            "select a, 1, count(*), a::text, '1'::int, case when true then 1 end, coalesce(a) from t group by a"
        ),
        ["a", "?column?", "count", "a", "int4", "case", "coalesce"]
    );
    assert_eq!(names("select * from t join u using (a)"), ["a", "b", "c", "d", "x", "ts"]);
    assert_eq!(names("select t.*, v.* from t, (values (1, 2)) v (p)"), ["a", "b", "c", "d", "p", "column2"]);
    assert_eq!(names("with w as (select a as z from t) select * from w union select 1"), ["z"]);
}

#[test]
fn queries_nest() {
    let union = query("select a, b from t union all select 1, null order by a limit 5");
    assert!(union.set_operations.is_some() && union.limit_count.is_some());
    let recursive = query(
        "with recursive r (n) as (values (1) union all select n + 1 from r where n < 10) select sum(n) from r",
    );
    assert!(recursive.cte_list[0].recursive);
    let correlated = query("select a from t where exists (select 1 from u where u.a = t.a)");
    let Some(Expression::SubLink(link)) = &correlated.jointree.quals else { panic!("a sublink") };
    let mut levels = Vec::new();
    link.subselect.for_each_expression(&mut |expr| {
        expr.walk(&mut |node| {
            if let Expression::Var(var) = node {
                levels.push(var.varlevelsup);
            }
            true
        });
    });
    assert_eq!(levels, [0, 1]);
    let left = query("select u.x from t left join u on t.a = u.a");
    let Expression::Var(var) = &left.target_list[0].expr else { panic!("a column") };
    assert_eq!(var.varnullingrels, Relids::single(3));
}

/// Text, SQLSTATE, message, 1-based position.
const ERRORS: &[(&str, &str, &str, usize)] = &[
    ("select * from nope", "42P01", "relation \"nope\" does not exist", 15),
    ("select nope from t", "42703", "column \"nope\" does not exist", 8),
    ("select t.nope from t", "42703", "column t.nope does not exist", 8),
    ("select v.a from t", "42P01", "missing FROM-clause entry for table \"v\"", 8),
    ("select a from t, u", "42702", "column reference \"a\" is ambiguous", 8),
    ("select nofunc(1)", "42883", "function nofunc(integer) does not exist", 8),
    ("select a + true from t", "42883", "operator does not exist: integer + boolean", 10),
    ("select 'x'::int", "22P02", "invalid input syntax for type integer: \"x\"", 8),
    ("select a from t where b", "42804", "argument of WHERE must be type boolean, not type text", 23),
    (
        "select b, count(*) from t",
        "42803",
        "column \"t.b\" must appear in the GROUP BY clause or be used in an aggregate function",
        8,
    ),
    ("select a from t where count(*) > 1", "42803", "aggregate functions are not allowed in WHERE", 23),
    ("select sum(sum(a)) from t", "42803", "aggregate function calls cannot be nested", 12),
    (
        "insert into t (a) values (true)",
        "42804",
        "column \"a\" is of type integer but expression is of type boolean",
        27,
    ),
    ("insert into t (a, a) values (1, 2)", "42701", "column \"a\" specified more than once", 19),
    ("insert into t values (1, 2, 3, 4, 5)", "42601", "INSERT has more expressions than target columns", 35),
    ("insert into t (a, b) values (1)", "42601", "INSERT has more target columns than expressions", 19),
    ("update t set z = 1", "42703", "column \"z\" of relation \"t\" does not exist", 14),
    ("select 1 union select true", "42804", "UNION types integer and boolean cannot be matched", 23),
    ("select 1 union select 1, 2", "42601", "each UNION query must have the same number of columns", 23),
    ("select a from t order by 2", "42P10", "ORDER BY position 2 is not in select list", 26),
    ("select $1", "42P02", "there is no parameter $1", 8),
    ("select 1::nope", "42704", "type \"nope\" does not exist", 11),
    ("select * from t t, u t", "42712", "table name \"t\" specified more than once", 0),
    (
        "select case when 1 then 2 end",
        "42804",
        "argument of CASE/WHEN must be type boolean, not type integer",
        18,
    ),
    ("select *", "42601", "SELECT * with no tables specified is not valid", 8),
    ("select a from t limit a", "42P10", "argument of LIMIT must not contain variables", 23),
    (
        "select distinct a from t order by b",
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
        35,
    ),
    ("select true::date", "42846", "cannot cast type boolean to date", 12),
    ("select (select 1, 2)", "42601", "subquery must return only one column", 8),
    ("select array[]", "42P18", "cannot determine type of empty array", 8),
];

#[test]
fn errors_are_postgresqls() {
    for (text, state, message, position) in ERRORS {
        let error = match analyze(text, Parameters::none()) {
            Ok(_) => panic!("{text} is accepted"),
            Err(error) => error,
        };
        assert_eq!(error.message(), *message, "{text}");
        assert_eq!(error.sqlstate().as_str(), *state, "{text}");
        assert_eq!(error.fields().position.map_or(0, |offset| offset + 1), *position, "{text}");
    }
}

#[test]
fn hints_name_what_was_meant() {
    let hint = |text: &str| {
        let error = analyze(text, Parameters::none()).expect_err(text);
        error.fields().hint.clone().unwrap_or_default()
    };
    assert_eq!(
        hint("select abalanse from pgbench_accounts"),
        "Perhaps you meant to reference the column \"pgbench_accounts.abalance\"."
    );
    assert_eq!(
        hint("select nofunc(1)"),
        "No function matches the given name and argument types. You might need to add explicit type casts."
    );
}

#[test]
fn trees_are_stored_and_read_back() {
    let text =
        "select a, sum(c) filter (where b like 'x%') from t group by a having count(*) > 1 order by 2 desc";
    let query = query(text);
    let stored = crate::stored::write(&query).expect("a tree can be stored");
    let mut read: Query = crate::stored::read(&stored).expect("a stored tree can be read");
    (read.statement_location, read.statement_length) = (query.statement_location, query.statement_length);
    assert_eq!(read, *query);
}

#[test]
fn conditions_print_as_explain_shows_them() {
    let cases = [
        ("a = 1 and b like 'x%'", "((a = 1) AND (b ~~ 'x%'::text))"),
        ("a in (1, 2) or not a > -5", "((a = ANY (ARRAY[1, 2])) OR (NOT (a > '-5'::integer)))"),
        ("c > 1.5 and d is not null", "((c > 1.5) AND (d IS NOT NULL))"),
        ("d = 'y'", "((d)::text = 'y'::text)"),
        ("coalesce(a, 0)::text = upper(b)", "((COALESCE(a, 0))::text = upper(b))"),
    ];
    for (text, shown) in cases {
        let query = query(&format!("select 1 from t where {text}"));
        let quals = query.jointree.quals.as_ref().expect("a condition");
        assert_eq!(deparse(quals, &query).expect("it prints"), shown, "{text}");
    }
}
