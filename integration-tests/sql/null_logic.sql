-- NULL: unknown in comparisons, skipped by aggregates, equal to itself only where SQL says so.

select null = null, null <> null, 1 = null, null < 1, null is null, null is not null, 1 is null, 1 is not null;
select 1 is distinct from null, null is distinct from null, 1 is not distinct from 1, 1 is distinct from 2;
select null + 1, null || 'a', not null::boolean, null and false, null or true;
select coalesce(null, null, 3, 4), coalesce(null, null), coalesce(1), nullif(1, 1), nullif(1, 2), nullif(null, 1), nullif(1, null);
select coalesce();
select greatest(null, 1, 2), least(null, 1, 2), greatest(null, null);
select null in (1, 2), 1 in (1, null), 2 in (1, null), 2 not in (1, null), 1 not in (1, null), null in (null);
select null between 1 and 2, 3 between null and 2, 1 between null and 2;
select isnull from (values (1 isnull), (null isnull), (null notnull)) v(isnull);

create table t (a int, b int, c text);
insert into t values (1, 10, 'x'), (2, null, 'y'), (null, 30, null), (null, null, 'z'), (3, 30, '');

-- WHERE keeps only what is true.
select * from t where a = null;
select * from t where a <> 1 order by a;
select * from t where not (a = 1) order by a;
select * from t where a is null order by b nulls first;
select * from t where a = 1 or b is null order by a, c;
select * from t where a > 0 or a <= 0 order by a;
select * from t where (a > 1) is not true order by a, b;
select * from t where (a > 1) is unknown order by b;
select * from t where a is distinct from 1 order by a, b;
select c from t where c = '' or c is null order by c;

-- Aggregates skip NULL, count(*) does not.
select count(*), count(a), count(b), sum(a), avg(b), min(c), max(c) from t;
select count(distinct b), sum(distinct b) from t;
select sum(a), count(a), min(a), avg(a) from t where a is null;
select sum(a), count(*) from t where false;

-- Grouping and DISTINCT treat all NULLs as one; ordering puts them last.
select b, count(*) from t group by b order by b;
select distinct b from t order by b;
select a from t order by a;
select a from t order by a desc;
select a, b from t order by a nulls first, b desc nulls last;

-- A unique column takes many NULLs, unless told otherwise.
create table u (a int unique, b int unique nulls not distinct);
insert into u values (null, 1), (null, 2);
insert into u values (1, null);
insert into u values (2, null);
select * from u order by b;

-- Joins never match NULL keys.
select t1.a, t2.a from t t1 join t t2 on t1.a = t2.a order by 1;
select t1.c, t2.c from t t1 left join t t2 on t1.b = t2.a order by 1;

-- CASE: NULL matches nothing in the short form.
select a, case a when null then 'null' when 1 then 'one' else 'other' end, case when a is null then 'null' end from t order by a, b;

-- CHECK passes what is unknown, NOT NULL does not.
create table k (a int check (a > 0), b int not null);
insert into k values (null, 1);
insert into k values (0, 1);
insert into k values (1, null);
insert into k (a) values (1);
select * from k;
drop table t, u, k;
