-- Schemas and search_path: where names are looked for, and where new objects go.

show search_path;
select current_schema, current_schemas(true), current_schemas(false);
create schema app;
create schema app;
create schema if not exists app;
create schema other;
create schema pg_mine;
create table app.t (a int);
create table other.t (b text);
insert into app.t values (1);
insert into other.t values ('x');
select * from t;
select * from app.t;
select app.t.a from app.t;
select t.b from other.t;
set search_path = app, other;
select * from t;
create table made (a int);
select relnamespace::regnamespace from pg_class where relname = 'made';
set search_path = other, app;
select * from t;
select current_schema;
set search_path = nowhere, app;
select current_schema, current_schemas(false);
select * from t;
set search_path = '';
select * from t;
create table floating (a int);
select 1 + 1, 'pg_class'::regclass;
set search_path = "$user", public;
set search_path = 5;
show search_path;
reset search_path;

-- pg_catalog comes first even when not named, and last when named last.
create table public.pg_am (mine int);
select count(*) > 0 as real_one from pg_am where amname = 'btree';
set search_path = public, pg_catalog;
select mine from pg_am;
reset search_path;
drop table public.pg_am;

-- Other kinds of objects live in schemas too.
create sequence app.s;
select nextval('app.s'), nextval('app.s');
select nextval('s');
create index t_a on app.t (a);
select relname, relnamespace::regnamespace from pg_class where relname = 't_a';
create index app.bad on app.t (a);
create table app.u (a int primary key, b int);
create table other.v (a int references app.u);
insert into other.v values (1);
select 'app.u'::regclass, 'other.v'::regclass;
set search_path = app;
select 'app.u'::regclass, 'other.v'::regclass;
reset search_path;

-- Missing ones.
select * from no_schema.t;
select app.t.a from other.t;
create table no_schema.t (a int);
select no_schema.f(1);
select * from app.missing;
select "weird schema".t.a from app.t;
select * from postgres.app.t;
drop table t;

-- Dropping.
drop schema app;
drop schema app cascade;
select * from app.t;
drop schema nowhere;
drop schema if exists nowhere;
drop schema other, nowhere;
begin;
drop schema other cascade;
rollback;
select b from other.t;
set client_min_messages = warning;
drop schema other cascade;
reset client_min_messages;
create schema combined create table inner_table (a int) create sequence inner_sequence;
select count(*) from combined.inner_table;
set client_min_messages = warning;
drop schema combined cascade;
drop schema pg_catalog;
create schema public;
select nspname from pg_namespace where nspname !~ '^pg_t' order by 1;
