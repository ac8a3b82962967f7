-- EXPLAIN ANALYZE: what was done. Times are left out, counts are exact.

create table t (id int primary key, n int, s text);
insert into t select g, g % 7, 'row ' || g from generate_series(1, 2000) g;
create table u (id int primary key, t_id int);
insert into u select g, g * 3 from generate_series(1, 500) g;
vacuum analyze t, u;
set enable_bitmapscan = off;

explain (analyze, costs off, timing off, summary off, buffers off) select * from t where n = 3;
explain (analyze, costs off, timing off, summary off, buffers off) select * from t where id = 5;
explain (analyze, costs off, timing off, summary off, buffers off) select id from t where id < 50;
explain (analyze, costs off, timing off, summary off, buffers off) select * from t where id > 1900 and n = 2;
explain (analyze, costs off, timing off, summary off, buffers off) select * from t limit 3;
explain (analyze, costs off, timing off, summary off, buffers off) select count(*) from t;
explain (analyze, costs off, timing off, summary off, buffers off) select n, count(*) from t group by n order by n;
explain (analyze, costs off, timing off, summary off, buffers off) select * from t order by s limit 5;
explain (analyze, costs off, timing off, summary off, buffers off) select * from u join t on t.id = u.t_id where u.id < 10;
explain (analyze, costs off, timing off, summary off, buffers off) select * from u where not exists (select 1 from t where t.id = u.t_id);
explain (analyze, costs off, timing off, summary off, buffers off) select 1 where false;
explain (analyze, costs off, timing off, summary off, buffers off) select * from t where false;
explain (analyze, costs off, timing off, summary off, buffers off) select * from generate_series(1, 5) g;
explain (analyze, timing off, summary off, buffers off) select * from t where n = 3;

-- Writing statements are carried out.
begin;
explain (analyze, costs off, timing off, summary off, buffers off) insert into u values (1000, 1), (1001, 2);
explain (analyze, costs off, timing off, summary off, buffers off) update u set t_id = 0 where id < 5;
explain (analyze, costs off, timing off, summary off, buffers off) delete from u where id > 490;
select count(*), sum(t_id) from u;
rollback;
select count(*), sum(t_id) from u;
explain (analyze, costs off, timing off, summary off, buffers off) select 1 / (id - 5) from t;

-- Buffers: everything is in the pool by now, and the catalogs are known.
\o /dev/null
explain (analyze, costs off, timing off, summary off) select count(*) from t;
explain (analyze, costs off, timing off, summary off) select * from t where id = 5;
explain (analyze, costs off, timing off, summary off) select * from u join t on t.id = u.t_id where u.id < 10;
create temp table local_one (a int);
insert into local_one select generate_series(1, 1000);
explain (analyze, costs off, timing off, summary off) select count(*) from local_one where a < 0;
\o
explain (analyze, costs off, timing off, summary off) select count(*) from t;
explain (analyze, costs off, timing off, summary off) select * from t where id = 5;
explain (analyze, costs off, timing off, summary off) select * from u join t on t.id = u.t_id where u.id < 10;
explain (analyze, costs off, timing off, summary off) select count(*) from local_one where a < 0;

-- Options that need ANALYZE.
explain (timing) select 1;
explain (wal) select 1;
drop table t, u;
