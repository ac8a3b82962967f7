-- Views printed back: pg_get_viewdef, also pretty and with lines filled.
create table t (a int primary key, b text, c numeric(8,2), d date, "Odd" int, arr int[]);
create table u (a int, e text);
create table w (id int, t_a int references t);
create view v01 as select a, b from t where a > 1 and b <> 'x' or not (c > 2);
create view v02 as select t.a, u.e from t join u on t.a = u.a;
create view v03 as select t.a, u.e from t left join u using (a) where u.e is not null;
create view v04 as select * from t natural join u;
create view v05 as select t1.a as x, t2.a as y from t t1, t t2 where t1.a = t2.a;
create view v06 as select count(*), sum(c), max(b) filter (where a > 1) from t group by d having count(*) > 1 order by d desc nulls last;
create view v07 as select distinct b from t order by b limit 3 offset 1;
create view v08 as select distinct on (b) b, a from t order by b, a desc;
create view v09 as select a, case when a > 1 then 'big' else 'small' end, case a when 1 then 'one' when 2 then 'two' end as k from t;
create view v10 as select (select max(e) from u where u.a = t.a) as m, exists (select 1 from u where u.a = t.a) ex, a in (select a from u) i, a = any (array[1,2]) an, a in (1,2,3) il, a not in (4,5) nn from t;
create view v11 as select a::text, b::varchar(3), c::int, 'x'::text, 1::bigint, null as n, '2020-01-01'::date dd, 1.5 as num, -1 as neg, true as tr, 'it''s' as q, E'a\\b' as bs from t;
create view v13 as with q as (select a from t where a > 1), r(z) as (select a from u) select q.a, r.z from q, r;
create view v14 as select 1 as a union all select a from t union select a from u order by 1;
create view v15 as values (1,'a'),(2,'b');
create view v16 as select * from (values (1,'a'),(2,'b')) as x(i, s);
create view v17 as select * from (select a, b from t) s where s.a > 1;
create view v18 as select g, o from generate_series(1,3) with ordinality as gs(g, o);
create view v19 as select * from generate_series(1,3);
create view v20 as select generate_series(1,3) as g, upper(b), b || 'z' as cc, coalesce(b, 'n'), nullif(a, 1), greatest(a, 2), least(a,3), current_date, now(), length(b) from t;
create view v21 as select t.* from t, lateral (select e from u where u.a = t.a) l;
create view v22 as select b like 'x%' l, b ilike 'y' il, b not like 'z' nl, b similar to 'a' s, b ~ 'x' r, a between 1 and 2 bt, a is null isn, (a > 1) is true ist, a is distinct from 2 idf, extract(year from d) ex, substring(b from 1 for 2) ss, trim(b) tr, position('x' in b) po, b collate "C" co, overlay(b placing 'x' from 1) ov from t;
create view v23 as select t.a from t left join (u join w on u.a = w.id) on t.a = u.a right join w w2 on true full join u u2 on u2.a = t.a cross join w w3;
create view v26 as select t.a from t where (a, b) = (1, 'x') and (a, b) in (select a, e from u) and row(a, b) < row(2, 'y');
create view v29 as select interval '1 day' + d as id, d - 1 as dm, timestamp '2020-01-01 00:00' as ts, a::numeric(10,2) as an, b::char(3) as bc, 't'::regclass as rc from t;
create view v30 as select x.a from v01 x join v02 as y(p, q) on x.a = y.p;
create view v31 as select t from t;
create view v32 as select a from t for update;
create view v33 as select all 1;
create view v34 (c1, c2) as select a, b from t;
create view v35 as select t.a as "A b", u.a from t cross join u where t.a = 1 and u.a = 2;
create view v36 as select a from only t;
create view v38 as select (t.a + u.a)::text || 'x' from t, u group by t.a, u.a, 1;
create view v39 as select a from t where a = (select 1) and exists (select from u);
create view v40 as select a from t order by a desc, b nulls first, c using >;
\pset footer off
\pset format unaligned
\pset tuples_only on
select relname, pg_get_viewdef(oid) from pg_class where relkind='v' and oid > 16384 order by 1;
select relname, pg_get_viewdef(oid, true) from pg_class where relkind='v' and oid > 16384 order by 1;
select relname, pg_get_viewdef(oid, 30) from pg_class where relkind='v' and oid > 16384 order by 1 limit 10;
select pg_get_viewdef('v01'::regclass), pg_get_viewdef('v01'), pg_get_viewdef('v01', true), pg_get_viewdef('t'::regclass), pg_get_viewdef(1);
