-- B-tree indexes: creation, use, uniqueness, and what the planner does with them.

create table word (id int, w text, n numeric, d date, f float8);
insert into word select g, 'w' || (g * 37) % 1000, (g * 17) % 100 / 4.0, date '2024-01-01' + g % 50, g / 8.0 from generate_series(1, 3000) g;
create index word_w on word (w);
create index on word (n, id);
create unique index word_id on word (id);
create index word_d on word using btree (d desc nulls last);
create index word_f on word (f);
select relname from pg_class where relname like 'word%' and relkind = 'i' order by 1;
analyze word;

-- The same answers with and without them.
select count(*) from word where w = 'w500';
select id from word where w = 'w500' order by id;
select id, w from word where id between 100 and 105 order by id;
select count(*), min(id), max(id) from word where n = 5.25;
select id from word where n = 5.25 and id < 500 order by id desc;
select count(*) from word where d > '2024-02-10';
select min(id), max(id) from word;
select w from word where w >= 'w99' order by w limit 5;
select id from word order by id desc limit 3;
select count(*) from word where id in (1, 50, 99999, 3000);
select count(*) from word where id < 10 or id > 2995;
select f from word where f > 374.5 order by f;
set enable_seqscan = off;
select count(*) from word where w = 'w500';
select count(*) from word where d = '2024-01-05';
select count(*) from word where n >= 24 and n <= 24.5;
select id from word where id > 2998 order by id;
select count(*) from word where w > 'w9';
select count(*) from word where w is null;
select count(*) from word where id = 2.0;
select count(*) from word where id = 77::int8;
set enable_seqscan = on;
set enable_indexscan = off;
set enable_indexonlyscan = off;
set enable_bitmapscan = off;
select count(*) from word where n >= 24 and n <= 24.5;
select id from word where id > 2998 order by id;
reset all;

-- NULLs are in the index.
insert into word values (null, null, null, null, null), (null, 'nulls', null, null, null);
select count(*) from word where id is null;
select count(*) from word where id is not null;
select id from word order by id nulls first limit 3;
select d from word order by d desc nulls last, id limit 1;

-- Changes keep them true.
update word set w = 'changed' where id between 10 and 20;
select count(*) from word where w = 'changed';
select count(*) from word where w = 'w370';
delete from word where id > 2500;
select count(*), max(id) from word where id > 2000;
insert into word values (10, 'dup', 0, null, null);

-- Errors.
create index word_w on word (w);
create index if not exists word_w on word (w);
create index bad on word (nothing);
create index bad on no_table (a);
create index bad on word using no_method (w);
create unique index bad on word (w);
create index bad on word (w no_opclass);
create index bad on word ();
create index bad on word (id) with (fillfactor = 200);
create index bad on pg_class (relname);
drop index nowhere;
drop index if exists nowhere;
drop index word;

drop index word_w, word_f;
begin;
drop index word_d;
create index word_temp on word (w, d);
rollback;
select relname from pg_class where relname like 'word%' and relkind = 'i' order by 1;
create index deep on word (w, n, d, f, id);
select count(*) from word where w = 'changed' and n > 5;
reindex table word;
reindex index deep;
select count(*) from word where w = 'changed';
drop table word;

-- Long keys do not fit.
create table long_keys (k text);
create index long_keys_k on long_keys (k);
insert into long_keys values (repeat('x', 100000));
select length(k) from long_keys;
drop table long_keys;
