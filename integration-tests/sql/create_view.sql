-- Views: what they are in the catalogs, how they are replaced, renamed, dropped and read.

create table t (a int primary key, b text, c numeric(8,2));
insert into t values (1, 'x', 1.5), (2, 'y', null), (3, 'x', 2);
create view v as select a, b from t where a > 1;
select * from v order by a;
create view v as select 1;
create view v2 (x, y) as select * from v;
select x, y from v2 order by 1;
select x from v2 where y = 'x';
create view v3 (x, y, z) as select * from v;
create view v3 (x, x) as select * from v;
create view v3 as select 1, 2;
create view v4 as select 1 as one, 'lit' as lit, null as n;
select one, pg_typeof(lit), pg_typeof(n) from v4;

-- In the catalogs.
select relname, relkind, relpersistence, relnatts, relhasrules, relhasindex, reltuples, relpages, relfilenode, relam, relreplident, relispopulated, relfrozenxid from pg_class where relname in ('v', 'v2') order by 1;
select attname, format_type(atttypid, atttypmod), attnum, attnotnull, atthasdef, attcollation from pg_attribute where attrelid = (select oid from pg_class where relname = 'v') order by attnum;
select rulename, ev_type, ev_enabled, is_instead, ev_qual from pg_rewrite where ev_class = (select oid from pg_class where relname = 'v');
select typname, typtype, typcategory, typelem <> 0 as is_array from pg_type where typname in ('v', '_v') order by 1;
select d.deptype, c.relname, d.refobjsubid from pg_depend d join pg_rewrite r on d.classid = 2618 and d.objid = r.oid join pg_class c on c.oid = d.refobjid join pg_class e on e.oid = r.ev_class where e.relname = 'v' order by 1, 2, 3;

-- Replacing keeps the columns and may add some.
create or replace view v as select a, b, c from t;
select * from v order by a;
create or replace view v as select a from t;
create or replace view v as select a, b as bb, c from t;
create or replace view v as select b, b, c from t;
create or replace view v as select a, b, c::numeric from t;
create or replace view v as select a, b collate "C" as b, c from t;
create or replace view t as select 1 as a;
prepare p as select * from v2 order by 1;
execute p;
create or replace view v as select a, b, c from t where b = 'x';
execute p;
deallocate p;

-- What a view can't be.
create unlogged view u as select 1 as a;
create view u as select 1 as a into foo;
create view u as select * from nothere;
create view u as select nocol from t;
create view u as select $1::int;
create view pg_catalog.u as select 1 as a;
create view nothere.u as select 1 as a;

-- Options.
create view o with (security_barrier) as select a from t;
select reloptions from pg_class where relname = 'o';
create or replace view o with (security_barrier = maybe) as select a from t;
create or replace view o with (nonsense = 1) as select a from t;
create or replace view o with (check_option = 'wrong') as select a from t;
create or replace view o with (security_invoker = true, security_barrier = false) as select a from t;
select reloptions from pg_class where relname = 'o';
alter view o set (security_barrier, security_invoker = off);
select reloptions from pg_class where relname = 'o';
alter view o reset (security_barrier);
select reloptions from pg_class where relname = 'o';
alter view o set (fillfactor = 10);
alter view t set (security_barrier);
alter view if exists gone set (security_barrier);

-- Renaming. A view goes on when what it reads is renamed.
alter view o rename to oo;
select count(*) from oo;
alter view oo rename column a to aa;
select aa from oo order by 1;
alter view oo rename column nothere to bb;
alter view nothere rename to x;
alter view if exists nothere rename to x;
alter view t rename to x;
alter table t rename column a to k;
alter table t rename to tt;
select aa from oo order by 1;
alter table tt rename to t;
alter table t rename column k to a;

-- Views of all kinds of queries.
create view vj as select t1.a, t2.b from t t1 left join t t2 on t1.a = t2.a + 1;
select * from vj order by 1;
create view va as select b, count(*) as n, sum(c) from t group by b having count(*) > 0;
select * from va order by 1;
select * from va where n > 1;
create view vs as select a, (select max(b) from t t2 where t2.a < t.a) as mx from t where exists (select 1 from t t3 where t3.a = t.a) order by a desc limit 2;
select * from vs;
select count(*) from vs where a in (select a from vj);
create view vg as select generate_series(1, 3) as g;
select * from vg where g > 1;
create view vd as select distinct b from t order by 1;
select * from vd;
create view vv as values (1, 'one'), (2, 'two');
select * from vv where column1 = 2;
create view vc as with q as (select a from t) select * from q;
select * from vc order by 1;
create view nocolumns as select;
select * from nocolumns;
select vs.a from vs join va on true where va.b = 'y' order by 1;
select ctid from vs;

-- Other statements meet a view.
create index on v (a);
truncate v;
vacuum v;
begin;
lock table vj in share mode;
select c.relname, l.mode from pg_locks l join pg_class c on c.oid = l.relation where c.relname in ('vj', 't') order by 1, 2;
rollback;
comment on view v is 'a view';
comment on column v.a is 'a column';
select obj_description(oid, 'pg_class'), col_description(oid, 1) from pg_class where relname = 'v';

-- Dropping.
drop table v;
drop view t;
drop view nothere;
drop view if exists nothere;
drop view nothere.v;
drop view if exists nothere.v;
alter table t drop column b;
drop view v;
drop view v restrict;
drop table t;
drop view v cascade;
select relname from pg_class where relname in ('v', 'v2') order by 1;
drop view vd, vv;
drop table t cascade;
select relname from pg_class where relkind = 'v' and oid >= 16384 order by 1;
select count(*) from pg_rewrite where rulename = '_RETURN' and ev_class >= 16384;
select count(*) from pg_type where typname in ('v', '_v', 'oo', '_oo');

-- Temporary ones.
create temp table tmp (a int);
create view vt as select * from tmp;
create temp view vt2 as select 1 as a;
select relname, relpersistence from pg_class where relname in ('vt', 'vt2') order by 1;
drop table tmp cascade;

-- Within transactions and schemas.
begin;
create view rb as select 1 as a;
select * from rb;
rollback;
select * from rb;
create schema s;
create view s.v as select 1 as one;
create view dep as select * from s.v;
select * from dep;
drop schema s;
drop schema s cascade;
