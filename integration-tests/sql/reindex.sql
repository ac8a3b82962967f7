-- REINDEX: indexes built anew, in new files.

create table word (id int primary key, w text, n int);
insert into word select g, 'w' || g % 500, g from generate_series(1, 3000) g;
create index word_w on word (w);
create table wide (id int, body text storage external);
insert into wide select g, repeat(md5(g::text), 200) from generate_series(1, 20) g;
create temp table before as select oid, relname, relfilenode from pg_class where relname like 'word%' or oid = (select reltoastrelid from pg_class where relname = 'wide') or relname like 'wide%';
delete from word where id % 3 = 0;
update word set w = 'changed' where id % 10 = 1;

reindex index word_w;
select c.relname, c.relfilenode <> b.relfilenode as new_file from before b join pg_class c using (oid) where c.relname like 'word%' order by 1;
reindex table word;
select c.relname, c.relfilenode <> b.relfilenode as new_file, c.reltuples from before b join pg_class c using (oid) where c.relname like 'word\_%' order by 1;
set enable_seqscan = off;
select count(*), min(id) from word where w = 'changed';
select count(*) from word where w = 'w437';
select id from word where id between 10 and 16 order by id;
reset enable_seqscan;
insert into word values (3, 'again', 3);
insert into word values (3, 'again', 3);

-- Within a transaction, and undone.
begin;
update word set w = 'in transaction' where id = 4;
reindex table word;
select id from word where w = 'in transaction';
rollback;
select id, w from word where id = 4;
begin;
truncate word;
reindex table word;
insert into word values (1, 'one', 1);
select * from word where id = 1;
commit;
select count(*) from word;

-- A table's values out of line have an index, too.
reindex table wide;
select id, length(body) from wide where id in (1, 20) order by id;
select 'reindex index pg_toast.pg_toast_' || 'wide'::regclass::oid || '_index' as stmt \gset
:stmt;
select id, length(body) from wide where id in (1, 20) order by id;
insert into wide values (21, repeat(md5('21'), 200));
select id, length(body) from wide where id > 19 order by id;
reindex table before;

-- Refusals.
reindex index word;
reindex table word_w;
reindex index nothing;
reindex table nothing;
reindex (nonsense) table word;
reindex word;
create view seen as select * from word;
reindex table seen;
create role reindexer;
set role reindexer;
reindex table word;
reindex index word_w;
reset role;
grant maintain on word to reindexer;
set role reindexer;
reindex index word_w;
reset role;
drop view seen;
drop table word, wide;
drop role reindexer;
