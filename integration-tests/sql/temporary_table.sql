-- Temporary tables: this session's alone, gone at its end.

create temp table t (a int primary key, b text);
insert into t select g, 'row ' || g from generate_series(1, 10) g;
select count(*), sum(a) from t;
update t set b = 'changed' where a = 5;
delete from t where a > 8;
select * from t where a in (5, 8, 9) order by a;
select relpersistence, relkind from pg_class where relname in ('t', 't_pkey') order by relkind;
select c.relnamespace = pg_my_temp_schema() as mine, n.nspname like 'pg_temp_%' as named from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 't';

-- It hides a permanent table of that name.
create table public.t (c text);
insert into public.t values ('permanent');
select count(*) from t;
select * from public.t;
select count(*) from pg_temp.t;
drop table t;
select * from t;
drop table t;

-- Not in another schema.
create temp table public.bad (a int);
create table pg_temp.fine (a int);
insert into fine values (1);
select * from fine;
drop table fine;

-- ON COMMIT.
create temp table keep (a int) on commit preserve rows;
create temp table empty (a int) on commit delete rows;
begin;
insert into keep values (1);
insert into empty values (1);
select (count(*)) from empty;
commit;
select count(*) from keep;
select count(*) from empty;
begin;
create temp table brief (a int) on commit drop;
insert into brief values (1);
select count(*) from brief;
commit;
select * from brief;
create table bad (a int) on commit drop;

-- References between permanent and temporary do not work.
create table permanent (a int primary key);
create temp table referring (a int references permanent);
create temp table referred (a int primary key);
create table referring (a int references referred);

-- Rolled back work leaves nothing.
begin;
insert into keep values (2);
savepoint one;
insert into keep values (3);
rollback to one;
insert into keep values (4);
commit;
select a from keep order by a;
begin;
create temp table never (a int);
rollback;
select * from never;
begin;
delete from keep;
rollback;
select count(*) from keep;

-- Larger than its buffers.
set temp_buffers = '800kB';
show temp_buffers;
create temp table big (id int, filler text);
insert into big select g, repeat('x', 200) from generate_series(1, 20000) g;
select count(*), sum(id), sum(length(filler)) from big;
create index big_id on big (id);
select filler = repeat('x', 200) as same from big where id = 12345;
update big set filler = 'short' where id % 2 = 0;
select count(*) from big where filler = 'short';
analyze big;
vacuum big;
select count(*), sum(id) from big;
truncate big;
select count(*) from big;
create temp sequence counting;
select nextval('counting');
discard temp;
select * from keep;
select nextval('counting');
drop table permanent;
