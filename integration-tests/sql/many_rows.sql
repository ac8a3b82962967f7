-- Many rows: sorts, hashes and joins that do not fit in work_mem go through temporary files.

set work_mem = '64kB';
create table big (id int, k int, s text);
insert into big select g, (g * 7919) % 100003, 'string number ' || (g * 9973) % 99991 from generate_series(1, 100000) g;
select count(*), sum(id), sum(k), min(s), max(s) from big;

-- External sort, both directions, several keys; the order is checked by its neighbours.
select id, k from big order by k, id limit 5 offset 49998;
select id, k from big order by k desc, id limit 3;
select s from big order by s limit 3;
select s, id from big order by s desc, id limit 3 offset 99990;
select count(*) from (select distinct s from big) d;
select count(*) from (select s, k from big order by s, k offset 10) d;

-- Hash aggregation and sorted grouping of nearly as many groups as rows.
select count(*), sum(n) from (select k, count(*) as n from big group by k) g;
set enable_hashagg = off;
select count(*), sum(n) from (select k, count(*) as n from big group by k) g;
set enable_hashagg = on;
select k % 10 as digit, count(*), sum(id), avg(k)::numeric(12,4) from big group by digit order by digit;
select count(distinct k), count(distinct s) from big;

-- Joins: hash in batches, merge over sorted runs.
create table other (k int, v text);
insert into other select g, 'v' || g from generate_series(1, 100003, 2) g;
select count(*), sum(b.id), min(o.v) from big b join other o on o.k = b.k;
select count(*), count(o.k) from big b left join other o on o.k = b.k;
select count(*), count(o.k), count(b.k) from big b full join other o on o.k = b.k;
select count(*) from big b where exists (select 1 from other o where o.k = b.k);
select count(*) from big b where not exists (select 1 from other o where o.k = b.k);
set enable_hashjoin = off;
select count(*), sum(b.id), min(o.v) from big b join other o on o.k = b.k;
select count(*), count(o.k), count(b.k) from big b full join other o on o.k = b.k;
reset enable_hashjoin;

-- Index builds sort as well.
set maintenance_work_mem = '1MB';
create index big_s on big (s, id);
create unique index big_id on big (id);
set enable_seqscan = off;
select s, id from big where s >= 'string number 5' order by s, id limit 3;
select count(*) from big where id between 50000 and 60000;
reset enable_seqscan;
select count(*) from big where s between 'string number 3' and 'string number 4';

-- Changes of all rows.
update big set k = k + 1 where id % 2 = 0;
select sum(k) from big;
delete from big where id % 3 = 0;
select count(*), sum(id) from big;
insert into big select id + 1000000, k, s from big;
select count(*), max(id) from big;
vacuum analyze big;
select count(*), sum(id) from big;
select reltuples from pg_class where relname = 'big';

-- The files are gone afterwards.
set temp_file_limit = '1MB';
select count(*) from (select s, k, id from big order by k, s, id offset 1) d;
reset temp_file_limit;
select count(*) from pg_ls_tmpdir();
drop table big, other;
