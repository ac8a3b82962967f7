-- VACUUM, ANALYZE and CHECKPOINT, and what they leave in the catalogs.

create table t (id int primary key, kind int, name text);
select relpages, reltuples, relallvisible from pg_class where relname = 't';
insert into t select g, g % 5, 'name ' || g % 50 from generate_series(1, 5000) g;
analyze t;
select relpages, reltuples from pg_class where relname = 't';
select reltuples from pg_class where relname = 't_pkey';
select attname, null_frac, n_distinct, avg_width from pg_stats where tablename = 't' order by attname;
select most_common_vals, most_common_freqs from pg_stats where tablename = 't' and attname = 'kind';
select correlation from pg_stats where tablename = 't' and attname = 'id';

delete from t where id > 4000;
vacuum t;
select relpages, reltuples, relallvisible from pg_class where relname = 't';
insert into t select g, g % 5, 'again' from generate_series(5001, 6000) g;
vacuum (analyze) t;
select relpages, reltuples, relallvisible from pg_class where relname = 't';
select count(*), sum(id) from t;

-- Rows at the end that are gone give their pages back.
delete from t where id > 100;
vacuum t;
select relpages, reltuples from pg_class where relname = 't';
select pg_relation_size('t') = relpages * 8192 as agrees from pg_class where relname = 't';

-- Freezing.
vacuum (freeze) t;
select age(relfrozenxid) < 10 as young, relallvisible = relpages as visible from pg_class where relname = 't';
vacuum freeze analyze t;
vacuum full t;
select count(*), sum(id) from t;
select relpages from pg_class where relname = 't';

-- Many updates of rows stay on their pages (HOT), so the table does not grow.
create table hot (id int primary key, n int) with (fillfactor = 50);
insert into hot select g, 0 from generate_series(1, 100) g;
update hot set n = n + 1;
update hot set n = n + 1;
update hot set n = n + 1;
update hot set n = n + 1;
update hot set n = n + 1;
select pg_relation_size('hot') / 8192 as pages;
select count(*), sum(n) from hot;
vacuum (verbose off) hot;
analyze hot (n);
select attname from pg_stats where tablename = 'hot';
analyze hot (nothing);
analyze hot (n, n);
vacuum nothing;
vacuum (nonsense) t;
vacuum (parallel -1) t;
vacuum (full, disable_page_skipping) t;
vacuum (full 1, parallel 2) t;
analyze (verbose off, skip_locked) t;
analyze nothing;
vacuum t (id);
vacuum (analyze) t (id);
begin;
analyze t;
vacuum t;
rollback;
vacuum (index_cleanup off, truncate off) t;
vacuum (index_cleanup maybe) t;
vacuum pg_class;
analyze pg_type;
checkpoint;
checkpoint now;

-- With nulls, and dead rows counted.
create table sparse (a int, b text);
insert into sparse select case when g % 4 = 0 then g end, null from generate_series(1, 1000) g;
analyze sparse;
select attname, null_frac, n_distinct, avg_width from pg_stats where tablename = 'sparse' order by attname;
create table empty (a int);
analyze empty;
vacuum empty;
select relpages, reltuples from pg_class where relname = 'empty';
select count(*) from pg_stats where tablename = 'empty';
drop table t, hot, sparse, empty;
