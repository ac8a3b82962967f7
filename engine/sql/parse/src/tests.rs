//! What the grammar accepts and where it complains, as PostgreSQL 18 does.

use super::*;
use crate::tree::*;

/// Statements PostgreSQL's grammar takes.
const ACCEPTED: &[&str] = &[
    "",
    ";;",
    "select",
    "BEGIN; COMMIT; ROLLBACK TO SAVEPOINT a; RELEASE a; END AND CHAIN",
    "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, -4, CURRENT_TIMESTAMP)",
    "select a.b, c.*, (d).e[1:2], f(x => 1, variadic y), count(*) filter (where z) over w from a as b(c, d), lateral (select 1) s window w as (partition by q order by r desc nulls last rows between 1 preceding and current row)",
    "select 1 union all (select 2 order by 1 limit 1) intersect select 3 order by 1",
    "select ((select 1) + 2), ((select 1) union (select 2)), ((((select 3))))",
    "select * from ((select 1) union (select 2)) x, ((select 1) y join z on true)",
    "select * from a join b join c on d = e on f = g natural left join h cross join i",
    "with recursive t(n) as (values (1) union all select n + 1 from t where n < 10) select sum(n) from t",
    "select case when a then b else c end, case x when 1 then 2 end, coalesce(a, b), nullif(c, d), greatest(1, 2)",
    "select a between 1 and 2 and b not in (1, 2), c like 'x' escape '\\', d is not distinct from e, not f is null",
    "select extract(year from now()), substring('abc' from 1 for 2), trim(both 'x' from 'xax'), position('a' in 'b'), overlay('abc' placing 'x' from 1)",
    "select timestamp '2020-01-01', interval '1' day, interval(3) '1', numeric(10, 2) '1', date '2020-01-01', double precision '1', x '1F', int4(1) 'x'",
    "select a at time zone 'utc', b::int[], c::varchar(10) collate \"C\", array[1, 2], array[[1], [2]], array(select 1), row(1, 2), (1, 2) = (3, 4)",
    "select x operator(pg_catalog.+) y, a = any (array[1]), b <> all (select 1), c ~ 'x'",
    "select 'a' as select, b value, c from d for update of e skip locked",
    "select sum(a) from b group by grouping sets ((a), (), rollup(b, c)), cube(d) having count(*) > 1",
    "insert into a as b (c, d[1], e.f) overriding system value select 1 on conflict (c) where d do update set e = excluded.e, (f, g) = (select 1, 2) where h returning *, old.a",
    "insert into a default values",
    "delete from only a b using c where current of d",
    "update a set b = default, c = 1 from d where e",
    "merge into a using b on c = d when matched and e then update set f = g when not matched then insert (a) values (1) when not matched by source then delete",
    "create table a (b int primary key, c text not null default 'x' collate \"C\", d numeric(10,2) check (d > 0), constraint e foreign key (b) references f (g) on delete cascade deferrable initially deferred, unique (b, c) include (d)) with (fillfactor = 70) on commit drop tablespace x",
    "create temp table a as select 1 with no data",
    "create table a (b, c) as values (1, 2)",
    "create table p (a int) partition by range (a); create table q partition of p for values from (1) to (maxvalue)",
    "create unique index concurrently if not exists i on t using btree (a desc nulls last, (b + c), lower(d) text_pattern_ops) include (e) where f",
    "alter table if exists only a add column if not exists b int, drop constraint c cascade, alter d type text using d::text, alter column e set default 1, owner to current_user, add primary key (x)",
    "alter table a rename b to c; alter table a rename to b; alter table a set schema s",
    "create sequence s as int increment by 2 minvalue 1 no maxvalue start with 1 cache 1 cycle owned by t.c",
    "copy t (a, b) from stdin with (format csv, header, null '', force_null (a))",
    "copy t from stdin csv header delimiter as ','; copy (select 1) to stdout; copy binary t to '/x'",
    "set search_path to a, b; set local work_mem = '1MB'; set time zone 'UTC'; set transaction isolation level serializable, read only; reset all; show time zone; set x.y = on",
    "prepare p (int, text) as select $1, $2; execute p (1, 'a'); deallocate all",
    "declare c no scroll cursor with hold for select 1; fetch forward 10 from c; fetch c; move all in c; close c; fetch next from next",
    "explain (analyze, buffers off, format json) select 1; explain analyze verbose select 1; explain (select 1)",
    "vacuum (full, verbose) a (b), c; vacuum full analyze a; analyze; reindex table concurrently a; cluster a using b; checkpoint",
    "lock table a, b in share row exclusive mode nowait; truncate a, only b restart identity cascade",
    "grant select (a, b), update on t to public, u with grant option; revoke all on schema s from r cascade; grant a to b with admin option; grant execute on function f(int) to x; grant all on all tables in schema s to r",
    "create role r with login superuser password 'x' in role a; alter role r set work_mem to 1; drop role if exists a, b; create user u; alter user u nosuperuser",
    "comment on column a.b is 'x'; comment on function f(int, text) is null; comment on constraint c on t is 'y'",
    "create schema if not exists a authorization b; create database d owner = x template template0 encoding 'UTF8'; drop database if exists d with (force)",
    "create or replace view v (a) with (security_barrier) as select 1 with local check option; create recursive view r (n) as select 1",
    "create function f(a int, out b text, variadic c int[] default '{}') returns setof t language sql immutable strict as $$select 1$$; create procedure p() begin atomic select 1; end",
    "create function g() returns int return 1; create function h(x t.a%type) returns table (a int) language plpgsql as 'x'",
    "create trigger t before insert or update of a on b for each row when (new.a > 1) execute function f('x')",
    "create type t as enum ('a', 'b'); create type c as (a int, b text); create domain d as int not null check (value > 0); alter type t add value 'c' before 'a'",
    "drop table if exists a, b.c cascade; drop index concurrently i; drop function f(int), g; drop operator +(int, none); drop trigger t on a",
    "listen a; notify a, 'b'; unlisten *; discard all; do $$x$$; do language plpgsql 'x'; call p(1, 2); create extension if not exists e with schema s",
    "select $1::int, a.b.c, \"Q\".*, U&'\\0061', 1e10, .5, 0x1F, 1_000",
    "table t; values (1, 2), (3, 4) order by 1; (select 1) limit 1 offset 2; select 1 order by 1 fetch first 5 rows with ties",
    "select generate_series(1, 10) with_, f from rows from (f(1), g(2) as (a int)) with ordinality as x(a, b), j(1) as (k int)",
    "select * from t tablesample bernoulli (10) repeatable (1)",
    "select current_date, current_timestamp(3), current_user, localtime, collation for (a), current_schema()",
    "alter system set work_mem = 1; alter system reset all; alter database d set a = b; set session authorization x; alter default privileges in schema s grant select on tables to r",
];

#[test]
fn statements_are_accepted() {
    for text in ACCEPTED {
        if let Err(error) = parse(text) {
            panic!("{text}\n{error} at {:?}", error.fields().position);
        }
    }
}

/// Statements PostgreSQL rejects, with its message and the 1-based position it reports.
const REJECTED: &[(&str, &str, usize)] = &[
    ("SELEC 1", "syntax error at or near \"SELEC\"", 1),
    ("SELECT SELECT * FROM t", "syntax error at or near \"SELECT\"", 8),
    ("select 1 < 2 < 3", "syntax error at or near \"<\"", 14),
    ("select * from", "syntax error at end of input", 14),
    ("select 123abc", "trailing junk after numeric literal at or near \"123abc\"", 8),
    ("select TOP 5 *", "syntax error at or near \"5\"", 12),
    ("select 'abc", "unterminated quoted string at or near \"'abc\"", 8),
    ("selec 'abc", "syntax error at or near \"selec\"", 1),
    ("select 1 where", "syntax error at end of input", 15),
    ("select a from b c d", "syntax error at or near \"d\"", 19),
    ("insert into a values 1", "syntax error at or near \"1\"", 22),
    ("create table t (a int,)", "syntax error at or near \")\"", 23),
    ("select (1, 2", "syntax error at end of input", 13),
    ("select 1 limit 1, 2", "LIMIT #,# syntax is not supported", 10),
    ("select a between 1 and 2 between 3 and 4", "syntax error at or near \"between\"", 26),
    ("update t set where a", "syntax error at or near \"where\"", 14),
    ("delete a from b", "syntax error at or near \"a\"", 8),
    ("drop table", "syntax error at end of input", 11),
    ("select case end", "syntax error at or near \"end\"", 13),
    ("select b from, c", "syntax error at or near \",\"", 14),
    ("alter table a foo", "syntax error at or near \"foo\"", 15),
    ("drop foo a", "syntax error at or near \"foo\"", 6),
    ("create foo a", "syntax error at or near \"foo\"", 8),
];

#[test]
fn errors_are_postgresqls() {
    for (text, message, position) in REJECTED {
        let error = parse(text).expect_err(text);
        assert_eq!(error.message(), *message, "{text}");
        assert_eq!(error.fields().position, Some(position - 1), "{text}");
    }
}

fn expression(text: &str) -> String {
    show(&parse_expression(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// An expression with all its parentheses.
fn show(expr: &Expr) -> String {
    match expr {
        Expr::ColumnRef(column) => format!("{:?}", column.fields).replace("Name(\"", "").replace("\")", ""),
        Expr::Const(AConst { value: Literal::Integer(value), .. }) => value.to_string(),
        Expr::Const(constant) => format!("{:?}", constant.value),
        Expr::AExpr(expr) => {
            let right = match &expr.right {
                AExprRight::Expr(right) => show(right),
                AExprRight::List(list) => list.iter().map(show).collect::<Vec<_>>().join(","),
            };
            let left = expr.left.as_ref().map(show).unwrap_or_default();
            format!("({left}{}{right})", expr.name.join("."))
        }
        Expr::Bool { op, args, .. } => {
            format!("{op:?}({})", args.iter().map(show).collect::<Vec<_>>().join(","))
        }
        Expr::NullTest { arg, is_null, .. } => format!("null{is_null}({})", show(arg)),
        Expr::TypeCast(cast) => format!("cast({})", show(&cast.arg)),
        Expr::Collate(clause) => format!("collate({})", show(&clause.arg)),
        Expr::FuncCall(call) => {
            format!("{}({})", call.name.join("."), call.args.iter().map(show).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn precedence_is_that_of_the_grammar() {
    let cases = [
        ("1 + 2 * 3 ^ 4", "(1+(2*(3^4)))"),
        ("-2 ^ 2", "(-2^2)"),
        ("- a ^ 2", "((-[a])^2)"),
        ("a = b ~ c", "([a]=([b]~[c]))"),
        ("a || b + c", "([a]||([b]+[c]))"),
        ("not a = b and c or d", "Or(And(Not(([a]=[b])),[c]),[d])"),
        ("a and b and c", "And([a],[b],[c])"),
        ("a = not b", "([a]=Not([b]))"),
        ("-a::int", "(-cast([a]))"),
        ("- a collate \"C\"", "collate((-[a]))"),
        ("a - b - c", "(([a]-[b])-[c])"),
        ("a is null = b", "(nulltrue([a])=[b])"),
        ("a = b is null", "nulltrue(([a]=[b]))"),
        ("a between b and c and d", "And(([a]BETWEEN[b],[c]),[d])"),
        ("a between 1 + 2 and 3", "([a]BETWEEN(1+2),3)"),
        ("a + b at time zone c", "([a]+pg_catalog.timezone([c],[b]))"),
        ("a like b || c", "([a]~~([b]||[c]))"),
        ("@ a + b", "(@([a]+[b]))"),
        ("a in (1, 2) is null", "nulltrue(([a]=1,2))"),
    ];
    for (text, shown) in cases {
        assert_eq!(expression(text), shown, "{text}");
    }
}

#[test]
fn deep_statements_are_refused_not_overflown() {
    for text in [
        format!("select {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("select {}1", "- ".repeat(100_000)),
        format!("select {}", vec!["1"; 100_000].join("+")),
        format!("select {}", vec!["array["; 50_000].concat()),
        format!("select * from {}", "(".repeat(100_000)),
        format!("select {}", "case when ".repeat(50_000)),
    ] {
        let error = parse(&text).expect_err("too deep");
        assert_eq!(error.sqlstate().as_str(), "54001", "{}", error.message());
    }
    assert!(parse(&format!("select {}", vec!["a"; 20_000].join(" and "))).is_ok());
    assert!(parse(&format!("select {}", vec!["1"; 2_000].join("+"))).is_ok());
}

#[test]
fn statements_know_their_extent() {
    let statements = parse(" select 1 ;  select 2 -- x\n").expect("parses");
    let extents: Vec<_> = statements.iter().map(|raw| (raw.location, raw.length)).collect();
    assert_eq!(extents, [(1, 8), (13, 8)]);
}
