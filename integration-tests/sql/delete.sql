-- DELETE and TRUNCATE.

create table log (id int primary key, level text, body text);
insert into log select g, case g % 3 when 0 then 'info' when 1 then 'warn' else 'error' end, 'line ' || g from generate_series(1, 20) g;

delete from log where id = 1;
delete from log where id = 1;
delete from log where level = 'info' and id < 7 returning id, level;
delete from log where id > 15 returning *;
delete from log l where l.body = 'line 8' returning l.id;
select id from log order by id;
delete from log where null;
delete from log where id in (select id from log where level = 'warn');
select id, level from log order by id;
delete from log where not exists (select 1 from log other where other.id > log.id);
select id from log order by id;

-- What was deleted may be inserted again, in the same transaction too.
begin;
delete from log where id = 2;
insert into log values (2, 'new', 'again');
select * from log where id = 2;
rollback;
select * from log where id = 2;

-- Errors.
delete from no_table;
delete from log where nothing = 1;
delete from log where id = 'x';
delete from log where id;
delete from log where count(*) > 1;
delete from log returning nothing;
delete log where id = 1;
delete from log where 1 / (id - 2) > 0;
select count(*) from log;

delete from log;
select count(*) from log;
delete from log;

-- TRUNCATE empties at once, and can be rolled back.
insert into log select g, 'x', 'y' from generate_series(1, 1000) g;
begin;
truncate log;
select count(*) from log;
insert into log values (1, 'fresh', 'row');
select * from log;
rollback;
select count(*), max(id) from log;
begin;
truncate table log;
commit;
select count(*) from log;
insert into log values (5, 'after', 'truncate');
select * from log where id = 5;

create table parent (id int primary key);
create table child (id int primary key, parent int references parent);
insert into parent values (1), (2);
insert into child values (10, 1);
truncate parent;
truncate parent, child;
select count(*) from parent;
insert into parent values (1);
insert into child values (10, 1);
truncate parent cascade;
select count(*) from child;
truncate no_table;
truncate log, no_table;
truncate pg_class;
create sequence counted owned by log.id;
select nextval('counted'), nextval('counted');
truncate log restart identity;
select nextval('counted');
truncate log continue identity;
select nextval('counted');
drop table log, child, parent;

-- Deleting much of a large table, with its index.
create table big (id int primary key, filler text);
insert into big select g, repeat('z', 100) from generate_series(1, 5000) g;
delete from big where id % 10 <> 0;
select count(*), sum(id) from big;
vacuum big;
insert into big select g, 'new' from generate_series(5001, 9000) g;
select count(*), sum(id) from big;
select id from big where id between 95 and 125 order by id;
drop table big;
