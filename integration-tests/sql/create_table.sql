-- CREATE TABLE and DROP TABLE: shapes, names, options and their errors.

create table plain (a int, b text);
create table plain (c int);
create table if not exists plain (c int);
select attname, atttypid::regtype, atttypmod, attnum, attnotnull, atthasdef from pg_attribute where attrelid = 'plain'::regclass and attnum > 0 order by attnum;
create table nothing ();
select * from nothing;
insert into nothing default values;
select count(*) from nothing;
create table "Mixed Case" ("Column One" int, "select" text);
insert into "Mixed Case" values (1, 'x');
select "Column One", "select" from "Mixed Case";
select * from Mixed_Case;
select column_one from "Mixed Case";
create table typed (a smallint, b integer, c bigint, d double precision, e numeric(10,3), f decimal, g character varying(7), h character(3), i char, j timestamp, k timestamp(3) with time zone, l boolean, m bytea, n name, o date, p oid);
select attname, format_type(atttypid, atttypmod), attlen, attbyval, attalign, attstorage from pg_attribute where attrelid = 'typed'::regclass and attnum > 0 order by attnum;

-- Errors.
create table bad (a int, a text);
create table bad (a no_type);
create table bad (a int4(3));
create table bad (a varchar(-1));
create table bad (a numeric(0));
create table bad (ctid int);
create table bad (xmin int);
create table no_schema.bad (a int);
create table pg_catalog.bad (a int);
create table pg_bad.x (a int);
create table bad (a int) with (fillfactor = 5);
create table bad (a int) with (no_option = 1);
create table bad (a);
create table bad a int;
create table bad (a int, );
create tabel bad (a int);
create table bad (a int) tablespace nowhere;
create table select (a int);

-- LIKE copies columns, and on request the rest.
create table source (id int primary key, name varchar(10) not null default 'x', n int check (n > 0));
create table copy1 (like source);
create table copy2 (like source including all);
create table copy3 (extra text, like source including defaults);
select attrelid::regclass, attname, attnotnull, atthasdef from pg_attribute where attrelid in ('copy1'::regclass, 'copy2'::regclass, 'copy3'::regclass) and attnum > 0 order by 1, attnum;
insert into copy1 values (1, 'a', -1), (1, 'b', 0);
insert into copy2 values (1, 'a', -1);
insert into copy2 (id) values (1);
insert into copy2 (id) values (1);

-- Options.
create table tight (a int) with (fillfactor = 50, autovacuum_enabled = false);
select reloptions from pg_class where relname = 'tight';
create unlogged table unlogged (a int);
insert into unlogged values (1);
select relpersistence, relkind, relhasindex, relnatts, relchecks from pg_class where relname in ('unlogged', 'source') order by relname;

-- DROP.
drop table copy1;
drop table copy1;
drop table if exists copy1;
drop table copy2, missing;
drop table copy2, copy3, tight, unlogged;
select * from copy2;
drop view plain;
drop index plain;
drop sequence plain;
create index plain_a on plain (a);
drop table plain_a;
drop table pg_class;
create table parent (id int primary key);
create table child (id int references parent);
drop table parent;
drop table parent restrict;
drop table child, parent;

-- In transactions.
begin;
create table temporary_thing (a int);
insert into temporary_thing values (1);
rollback;
select * from temporary_thing;
begin;
drop table source;
select * from source;
rollback;
select count(*) from source;
begin;
create table source2 (a int);
drop table source;
insert into source2 values (3);
commit;
select * from source2;
drop table plain, nothing, "Mixed Case", typed, source2;


drop table public.nothing;
drop view if exists public.nothing;
drop index pg_catalog.nothing;
