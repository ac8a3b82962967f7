-- EXPLAIN (COSTS OFF): the shapes of plans.

create table small (id int primary key, v text);
create table large (id int primary key, small_id int, n int, label text);
insert into small select g, 'v' || g from generate_series(1, 10) g;
insert into large select g, g % 10 + 1, g % 100, 'label ' || g from generate_series(1, 10000) g;
create index large_n on large (n);
vacuum analyze small, large;
set enable_bitmapscan = off;

-- Scans.
explain (costs off) select * from small;
explain (costs off) select * from large where id = 77;
explain (costs off) select * from large where id between 10 and 20 and label <> 'x';
explain (costs off) select id from large where id < 100;
explain (costs off) select * from large where label = 'label 5';
explain (costs off) select * from large where n = 5 and id > 9000;
explain (costs off) select * from large where id in (1, 2, 3);
explain (costs off) select * from large order by id desc limit 3;
explain (costs off) select * from large where false;
explain (costs off) select 1;
explain (costs off) select * from generate_series(1, 3) g where g > 1;
explain (costs off) values (1), (2);
explain (costs off) select * from (values (1), (2)) v(a) where a > 1;
explain (costs off) select * from large where ctid = '(0,1)';

-- Joins.
explain (costs off) select * from small s join large l on l.small_id = s.id;
explain (costs off) select * from small s left join large l on l.small_id = s.id and l.n > 5;
explain (costs off) select * from small s join large l on l.id = s.id where s.v = 'v3';
explain (costs off) select * from small a, small b where a.id < b.id;
explain (costs off) select * from large where small_id in (select id from small where v like 'v1%');
explain (costs off) select * from small s where exists (select 1 from large l where l.id = s.id);
explain (costs off) select * from small s where not exists (select 1 from large l where l.id = s.id);
set enable_hashjoin = off;
explain (costs off) select * from large a join large b on a.id = b.id;
set enable_mergejoin = off;
explain (costs off) select * from small a join small b on a.id = b.id;
reset enable_hashjoin;
reset enable_mergejoin;

-- Grouping, sorting, limiting.
explain (costs off) select count(*) from large;
explain (costs off) select n, count(*) from large group by n;
explain (costs off) select n, count(*) from large group by n having count(*) > 5 order by n;
explain (costs off) select distinct n from large;
explain (costs off) select min(id), max(id) from large;
explain (costs off) select * from large order by label;
explain (costs off) select * from large order by label desc, n nulls first limit 10 offset 5;
explain (costs off) select count(distinct label) from large;

-- Changes.
explain (costs off) insert into small values (11, 'x');
explain (costs off) insert into small select id, label from large where id > 10;
explain (costs off) update large set n = n + 1 where id = 5;
explain (costs off) delete from large where id < 3;
explain (costs off) delete from large where small_id in (select id from small);

-- Spellings, VERBOSE, prepared statements, errors.
explain (verbose, costs off) select id + 1, v from small where v <> 'x' order by v;
explain (verbose, costs off) select count(*) from small s join large l on l.id = s.id;
prepare p (int) as select * from large where id = $1;
explain (costs off) execute p (5);
set plan_cache_mode = force_generic_plan;
explain (costs off) execute p (5);
reset plan_cache_mode;
explain (costs off, settings on) select 1;
explain (costs) select nothing from small;
explain (wrong) select 1;
explain (costs maybe) select 1;
explain (timing) select 1;
explain (format nonsense) select 1;
explain create table x (a int);
explain;
select count(*) from small;
drop table small, large;
