-- UNIQUE and PRIMARY KEY.

create table account (
    id int primary key,
    email varchar(40) unique,
    bank int,
    number text,
    constraint account_number unique (bank, number)
);
insert into account values (1, 'a@x', 1, 'n1'), (2, 'b@x', 1, 'n2'), (3, null, null, 'n3'), (4, null, null, 'n3');
insert into account values (1, 'c@x', 2, 'n1');
insert into account values (5, 'a@x', 2, 'n1');
insert into account values (5, 'c@x', 1, 'n2');
insert into account values (null, 'c@x', 2, 'n1');
insert into account (email) values ('z@x');
-- Parts may repeat, the whole may not.
insert into account values (5, 'c@x', 2, 'n1');
select * from account order by id;
update account set id = 2 where id = 1;
update account set email = 'b@x' where id = 1;
update account set id = 1 where id = 1;
update account set email = upper(email);
select email from account order by id;
insert into account values (6, 'd@x', 3, 'n1'), (7, 'd@x', 4, 'n1');
insert into account values (6, 'd@x', 3, 'n1'), (6, 'e@x', 4, 'n1');
select count(*) from account;

-- The indexes behind them.
select c.relname, i.indisunique, i.indisprimary, i.indnatts from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = 'account'::regclass order by 1;
select conname, contype from pg_constraint where conrelid = 'account'::regclass order by 1;
select attname, attnotnull from pg_attribute where attrelid = 'account'::regclass and attnum > 0 order by attnum;
drop index account_pkey;

-- Added later: existing rows are checked.
create table later (a int, b int, c int);
insert into later values (1, 1, 1), (2, 1, null);
alter table later add primary key (c);
alter table later add constraint later_b unique (b);
alter table later add constraint later_a unique (a);
alter table later add primary key (a);
alter table later add primary key (a, b);
insert into later values (1, 2, 3);
insert into later values (null, 2, 3);
alter table later drop constraint later_a;
insert into later values (2, 2, 3);
alter table later drop constraint later_pkey;
insert into later values (2, 2, 3);
select a from later order by a;
create unique index later_unique on later (a);
delete from later where b = 2;
create unique index later_unique on later (a);
insert into later values (1, 5, 5);
alter table later add unique (a, a);
alter table later add unique (nothing);
create table twice (a int primary key, b int primary key);
create table twice (a int primary key, primary key (a));
create table noneed (a int, primary key (b));

-- Deferrable constraints are checked at the end.
create table seats (seat int, constraint one_each unique (seat) deferrable initially deferred);
insert into seats values (1), (2), (3);
update seats set seat = seat + 1;
select seat from seats order by seat;
begin;
insert into seats values (2);
insert into seats values (9);
commit;
begin;
insert into seats values (2);
delete from seats where seat = 2;
insert into seats values (2);
commit;
begin;
set constraints one_each immediate;
insert into seats values (3);
rollback;
select seat from seats order by seat;

-- Within one transaction and across savepoints.
begin;
insert into later values (10, 0, 0);
savepoint s;
insert into later values (10, 0, 0);
rollback to s;
delete from later where a = 10;
insert into later values (10, 1, 1);
commit;
select * from later where a = 10;
drop table account, later, seats;
