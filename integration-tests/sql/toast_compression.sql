-- How wide values are compressed. The witness has no lz4: test_toast.py of the drivers is about that.

create table by_pglz (id int, body text compression pglz);
create table by_default (id int, body text compression default, other text);
create table apart (id int, body text storage external);
\d+ by_pglz
\d+ by_default
\d+ apart
select attrelid::regclass, attname, attcompression from pg_attribute where attrelid::regclass::text like 'by\_%' and attnum > 0 order by 1, attnum;

-- Short values are not compressed, compressible ones stay in the row, others leave it.
insert into by_pglz values (1, 'short'), (2, repeat('1234567890', 1000)), (3, repeat('abc', 1000000)), (4, null);
insert into apart select * from by_pglz where id <> 3;
insert into apart values (3, repeat('abc', 1000000));
insert into by_default select id, body, body from by_pglz;
select id, pg_column_compression(body), pg_column_size(body), length(body), md5(body) from by_pglz order by id;
select id, pg_column_compression(body), pg_column_size(body), length(body), md5(body) from apart order by id;
select id, pg_column_compression(body), pg_column_compression(other), length(body) from by_default order by id;
select id, pg_column_toast_chunk_id(body) is not null as outside from by_pglz order by id;
select id, pg_column_toast_chunk_id(body) is not null as outside from apart order by id;
select substr(body, 2999990, 20) from apart where id = 3;
select substr(body, 2999990, 20) from by_pglz where id = 3;

-- A value keeps its compression where it is only copied, and gets the column's where it is made anew.
truncate by_default;
insert into by_default select id, body, body || '' from apart;
select id, pg_column_compression(body), pg_column_compression(other), pg_column_size(body) = pg_column_size(other) from by_default order by id;
insert into apart select id + 10, body from by_pglz where id < 4 order by id limit 3;
insert into apart select p.id + 20, p.body from by_pglz p left join by_default d on d.id = p.id where p.id = 2;
insert into apart select 30, body from (select body, id from by_pglz offset 0) s where id = 2;
insert into apart select 40, body || '' from by_pglz where id = 2;
select id, pg_column_compression(body), pg_column_size(body), length(body) from apart where id >= 10 order by id;
create table like_it (like by_pglz including compression);
create table unlike_it (like by_pglz);
select attrelid::regclass, attname, attcompression from pg_attribute where attrelid in ('like_it'::regclass, 'unlike_it'::regclass) and attname = 'body' order by 1;

-- Changing the method is for the values to come.
show default_toast_compression;
set default_toast_compression = 'pglz';
alter table by_default alter body set compression pglz, alter other set compression pglz;
alter table by_default alter body set compression default;
select attname, attcompression from pg_attribute where attrelid = 'by_default'::regclass and attnum > 0 order by attnum;
alter table by_default alter other type varchar;
select attname, attcompression from pg_attribute where attrelid = 'by_default'::regclass and attnum > 0 order by attnum;
alter table by_default add column added text compression pglz default repeat('d', 5000);
select attname, attcompression from pg_attribute where attrelid = 'by_default'::regclass and attname = 'added';
select id, pg_column_compression(added), pg_column_size(added), length(added) from by_default order by id;

-- Indexes compress as the column does.
create table indexed (body text compression pglz);
create index indexed_body on indexed (body);
insert into indexed values (repeat('1234567890', 1000));
select attname, attcompression from pg_attribute where attrelid = 'indexed_body'::regclass;
alter table indexed alter column body set compression default;
select attname, attcompression from pg_attribute where attrelid = 'indexed_body'::regclass;

-- What is asked of values that no table holds.
select pg_column_compression(repeat('a', 10000)), pg_column_compression(1), pg_column_compression(null::text);
select pg_column_size(repeat('a', 10000)), pg_column_size(1), pg_column_size(1::int8), pg_column_size(null::text), pg_column_size('a'::name), pg_column_size(1.5);
select pg_column_size(id), pg_column_size(body), pg_column_compression(id) from by_pglz;
select sum(pg_column_size(body)), max(pg_column_compression(body)) from by_pglz;
select id from by_pglz where pg_column_compression(body) = 'pglz' order by id;
select a.id, b.id from apart a join by_pglz b on pg_column_compression(a.body) = pg_column_compression(b.body) order by 1, 2;
select id, (select pg_column_compression(b.body) from by_pglz b where b.id = a.id) from apart a order by id;
explain (verbose, costs off) select pg_column_compression(body), body from by_pglz;
explain (verbose, costs off) insert into by_pglz select * from apart;

-- Storage.
create table kept (a text, b text storage main, c text storage external, d text storage plain, n numeric storage main);
\d+ kept
insert into kept values (repeat('a', 5000), repeat('b', 5000), repeat('c', 5000), repeat('d', 1000), 1);
select pg_column_compression(a), pg_column_compression(b), pg_column_compression(c), pg_column_compression(d) from kept;
select pg_column_size(a), pg_column_size(b), pg_column_size(c), pg_column_size(d), pg_column_size(n) from kept;
select pg_column_toast_chunk_id(a) is null as a, pg_column_toast_chunk_id(b) is null as b, pg_column_toast_chunk_id(c) is null as c from kept;
alter table kept alter a set storage external, alter b set storage extended, alter c set storage plain, alter d set storage default;
select attname, attstorage from pg_attribute where attrelid = 'kept'::regclass and attnum > 0 order by attnum;
insert into kept values (repeat('a', 5000), repeat('b', 5000), 'c', repeat('d', 5000), 1);
select pg_column_compression(a), pg_column_compression(b), pg_column_compression(c), pg_column_compression(d) from kept;
create table no_toast (a int);
select reltoastrelid = 0 as none from pg_class where relname = 'no_toast';
alter table no_toast add b text storage plain;
select reltoastrelid = 0 as none from pg_class where relname = 'no_toast';
alter table no_toast alter b set storage extended;
select reltoastrelid = 0 as none from pg_class where relname = 'no_toast';

-- Refusals.
create table refused (a text compression zip);
create table refused (a int compression pglz);
create table refused (a int compression zip);
create table refused (a int compression default);
create table refused2 (a text compression);
create table refused2 (a text compression pglz compression pglz);
create table refused2 (a text compression pglz storage external);
create table refused2 (a text storage external compression pglz);
alter table refused2 alter a set compression zip;
alter table refused2 alter b set compression pglz;
alter table refused2 alter a set storage nonsense;
alter table refused2 alter b set storage plain;
alter table refused alter a set compression lz4;
alter table refused alter a set compression default;
alter table refused alter a set storage extended;
alter table refused alter a set storage plain;
alter table refused2 alter ctid set compression pglz;
alter table refused2 alter a set compression;
\set VERBOSITY sqlstate
create table bad (a text compression zip);
create table bad (a int compression pglz);
alter table refused2 alter a set storage nonsense;
alter table refused alter a set storage external;
alter table refused2 alter ctid set storage plain;
\set VERBOSITY default
drop table by_pglz, by_default, apart, like_it, unlike_it, indexed, kept, no_toast, refused, refused2;
