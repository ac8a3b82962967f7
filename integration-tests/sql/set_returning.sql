-- Set-returning functions in the target list.
create table t (a int, b int);
insert into t values (1, 3), (2, 2), (3, 1), (4, 0), (null, 1);
select generate_series(1, 3);
select generate_series(1, 3) + 10;
select generate_series(1, 2), generate_series(1, 4);
select generate_series(1, generate_series(1, 3));
select a, generate_series(1, b) from t order by a, 2;
select a, generate_series(1, b) * 10 as g from t order by g desc, a limit 4;
-- Sorted before they are called, as nothing sorts by them.
select a, generate_series(1, 2) from t order by a desc nulls last;
select a, generate_series(1, 2) from t order by a limit 3;
select generate_series(1, 4) as g order by g desc limit 2;
select distinct generate_series(1, b) from t order by 1;
select count(*), generate_series(1, 2) from t;
select b, count(*), generate_series(1, b) from t group by b order by b, 3;
select max(a) + generate_series(1, 2) from t;
select generate_series(1, b), count(*) from t group by 1 order by 1;
select generate_series(1, max(b)) from t;
select case when a > 1 then generate_series(1, 2) end from t;
select coalesce(generate_series(1, 2), 1);
select 1 where generate_series(1, 2) = 1;
select count(generate_series(1, 3));
select a from t order by generate_series(1, 2), a;
select a from t limit generate_series(1, 2);
explain (costs off) select a, generate_series(1, 2) from t order by a;
explain (costs off) select a, generate_series(1, 2) from t order by 2;
explain (costs off) select generate_series(1, 2) + 1, b from t;
drop table t;
