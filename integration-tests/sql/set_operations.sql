-- UNION, INTERSECT and EXCEPT.
create table a (x int, t text);
create table b (y bigint, u text);
insert into a values (1, 'one'), (2, 'two'), (2, 'two'), (3, null), (null, 'none'), (null, 'none');
insert into b values (2, 'two'), (3, null), (3, null), (4, 'four'), (null, 'none');

select 1 union select 2 order by 1;
select x from a union select y from b order by 1;
select x from a union all select y from b order by 1;
select x, t from a union select y, u from b order by 1, 2;
select x, t from a intersect select y, u from b order by 1, 2;
select x, t from a intersect all select y, u from b order by 1, 2;
select x, t from a except select y, u from b order by 1, 2;
select x, t from a except all select y, u from b order by 1, 2;
select y, u from b except all select x, t from a order by 1, 2;
-- Nulls are equal here.
select null except select null;
select null::int intersect select null order by 1;
-- Precedence and parentheses.
select 1 union select 2 intersect select 2 order by 1;
(select 1 union select 2) intersect select 2 order by 1;
select 1 union all select 1 union select 1;
select 1 union (select 1 union all select 1);
select 1 union select 1 union all select 1;
select 3 except select 1 except select 3;
select 3 except (select 1 except select 3);
-- ORDER BY and LIMIT of the whole and of a branch.
(select x from a order by x desc nulls last limit 2) union all (select y from b order by y limit 1) order by 1;
select x from a union select y from b order by x desc nulls last limit 2 offset 1;
select x as n from a union all select y from b order by n limit 3;
(select x from a limit 0) union all select 7;
select * from (select x from a union select y from b) s where x > 2 order by 1;
select count(*) from (select x from a union all select y from b union all select 9) s;
select x from a where x in (select y from b except select 3) order by 1;
select x from a where exists (select 1 union select y from b where y = a.x intersect select 2) order by 1;
select (select max(m) from (select a.x as m union all select 2) s) from a order by 1;
values (1, 'a'), (2, 'b') union values (2, 'b'), (3, 'c') order by 1;
insert into a select y, u from b except select x, t from a;
select * from a order by x, t;
with w as (select x from a intersect select y from b) select count(*) from w;
-- Types.
select 1 union select 2.5 order by 1;
select 1 union select '2' order by 1;
select 'a' union select 'b' order by 1;
select null union select 1 order by 1;
select null union select null union select 1 order by 1;
select pg_typeof(x) from (select 1::int2 as x union all select 2::int8) s;
select pg_typeof(x) from (select null as x union all select 'a') s;
select pg_typeof(x) from (select 'a'::varchar(3) as x union all select 'b'::varchar(3)) s limit 1;
select x from (select 1 as x union select 2 union all select 2.5) s order by 1;
select date '2020-01-01' union select timestamp '2020-01-02 03:04:05' order by 1;
-- Errors.
select 1 union select 1, 2;
select 1 union select true;
select 1 union select 'x';
select x from a union select y from b order by y;
select x from a union select y from b order by x + 1;
select x from a union select y from b for update;
select 1 union select 2 where 1 = sum(1);
select x, t from a union all select u, y from b;

explain (costs off) select x from a union all select y from b;
explain (costs off) select x from a union all select x from a where x > 1 limit 3;
explain (costs off) select t from a union select u from b;
explain (costs off) select t from a intersect select u from b;
explain (costs off) select t from a except all select u from b;
set enable_hashagg = off;
explain (costs off) select t from a except select u from b;
select t from a except select u from b;
select x from a intersect all select y from b order by 1;
select t from a union select u from b order by 1;
reset enable_hashagg;
drop table a, b;
