-- Values larger than a page: compressed, or cut into pieces kept elsewhere (TOAST).

create table doc (id int primary key, body text, raw bytea);
-- Compressible, and not.
insert into doc values (1, repeat('a', 100000), null);
insert into doc values (2, repeat('0123456789', 5000), decode(repeat('00ff', 20000), 'hex'));
create table piece (n int, h text);
insert into piece select g, md5(g::text) from generate_series(1, 32) g;
insert into doc values (3, 'short', '\x01');
insert into doc select 4, md5('a') || md5('b') || md5('c') || md5('d'), null;
update doc set body = body || md5(body || '1') || md5(body || '2') || md5(body || '3') where id = 4;
update doc set body = body || md5(body || '1') || reverse(body) || md5(body || '3') where id = 4;
update doc set body = body || upper(body) || md5(body) || translate(body, '0123456789', 'ghijklmnop') where id = 4;
update doc set body = body || translate(body, 'abcdef', 'qrstuv') || md5(body) || translate(body, '0123456789', 'GHIJKLMNOP') where id = 4;
select id, length(body), length(raw), md5(body), md5(raw) from doc order by id;
select substr(body, 49990, 20), right(body, 5) from doc where id = 2;
select id from doc where body = repeat('a', 100000);
select id from doc where body like 'aaa%' order by id;

-- Changing another column keeps the value; changing the value replaces it.
update doc set raw = '\x02' where id = 1;
select length(body), raw from doc where id = 1;
update doc set body = body || 'b' where id = 1;
select length(body), right(body, 3) from doc where id = 1;
begin;
update doc set body = repeat('c', 200000) where id = 1;
select length(body), left(body, 2) from doc where id = 1;
rollback;
select length(body), left(body, 2) from doc where id = 1;
delete from doc where id = 2;
insert into doc select id + 10, body, raw from doc;
select id, length(body), md5(body) from doc order by id;
vacuum doc;
select id, length(body), md5(body) from doc order by id;

-- Strategies of storage.
select attname, attstorage from pg_attribute where attrelid = 'doc'::regclass and attnum > 0 order by attnum;
select reltoastrelid <> 0 as has_toast from pg_class where relname = 'doc';
select c.relname = 'pg_toast_' || d.oid as named, c.relkind, c.relnamespace::regnamespace from pg_class c join pg_class d on c.oid = d.reltoastrelid where d.relname = 'doc';
create table plain_storage (a text storage plain);
insert into plain_storage values (repeat('x', 9000));
insert into plain_storage values (repeat('x', 8000));
select length(a) from plain_storage;
create table external_storage (a text storage external);
insert into external_storage values (repeat('y', 50000));
select length(a), pg_column_size(a), substr(a, 25000, 5) from external_storage;
create table compressed (a text compression pglz, b text);
insert into compressed values (repeat('z', 5000), repeat('z', 5000));
select length(a), length(b), pg_column_compression(a), pg_column_compression(b) from compressed;
set default_toast_compression = 'pglz';
create table compressed2 (a text);
insert into compressed2 values (repeat('q', 10000));
select pg_column_compression(a), length(a) from compressed2;
reset default_toast_compression;
create table bad (a text compression zip);
create table bad (a int storage external);

-- Wide rows of many columns.
create table wide (a text, b text, c text, d text, e text, f text);
insert into wide values (repeat('1', 3000), repeat('2', 3000), repeat('3', 3000), repeat('4', 3000), repeat('5', 3000), repeat('6', 3000));
select length(a) + length(b) + length(c) + length(d) + length(e) + length(f), left(f, 1) from wide;
select length(a || b || c || d) from wide;
select count(*), sum(length(body)) from doc d join wide w on length(d.body) > length(w.a);
select id from doc order by body desc, id limit 2;
select count(distinct body) from doc;
select repeat('x', 1073741824);
select length(repeat('x', 10000000));
drop table doc, piece, plain_storage, external_storage, compressed, compressed2, wide;
