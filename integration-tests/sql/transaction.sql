-- Transaction blocks: BEGIN, COMMIT, ROLLBACK and what an error does to them.

create table account (id int primary key, balance int check (balance >= 0));
insert into account values (1, 100), (2, 50);

begin;
update account set balance = balance - 30 where id = 1;
update account set balance = balance + 30 where id = 2;
commit;
select * from account order by id;
start transaction;
delete from account;
select count(*) from account;
rollback;
select count(*) from account;
begin work;
end;
begin transaction;
abort;

-- An error dooms the block: nothing but its end is accepted.
begin;
update account set balance = 0 where id = 2;
update account set balance = -1 where id = 1;
select * from account;
select 1;
savepoint s;
show search_path;
-- COMMIT of a doomed block rolls back, and says so.
commit;
select * from account order by id;
begin;
select 1 / 0;
rollback;
begin;
selct 1;
select 1;
end;

-- Warnings.
commit;
rollback;
begin;
begin;
commit;
begin;
select 1;
commit and chain;
select 2;
rollback and chain;
rollback;
commit and chain;
savepoint outside;
release savepoint outside;
rollback to savepoint outside;

-- Names of the moment.
begin;
select now() = transaction_timestamp(), now() = current_timestamp;
select pg_current_xact_id_if_assigned() is null as none_yet;
insert into account values (3, 1);
select pg_current_xact_id_if_assigned() is not null as assigned;
select xmin::text = pg_current_xact_id()::text as by_me from account where id = 3;
rollback;

-- DDL is part of the transaction.
begin;
create table made (a int);
insert into made values (1);
alter table account add column note text;
update account set note = 'x';
create index account_balance on account (balance);
rollback;
select * from made;
select * from account order by id;
begin;
drop table account;
create table account (id text);
insert into account values ('new');
select * from account;
rollback;
select * from account order by id;

-- What cannot run inside a block.
begin;
vacuum account;
rollback;
begin;
create database inside;
rollback;
begin;
drop database if exists inside;
rollback;

-- Read only.
begin read only;
select count(*) from account;
insert into account values (9, 9);
rollback;
begin transaction read only;
create table bad (a int);
rollback;
begin read only;
set transaction read write;
insert into account values (9, 9);
rollback;
begin read only;
select 1;
set transaction read write;
rollback;
set default_transaction_read_only = on;
delete from account;
begin read write;
delete from account where id = 2;
rollback;
show transaction_read_only;
reset default_transaction_read_only;
create temp table scratch (a int);
begin read only;
insert into scratch values (1);
select count(*) from scratch;
commit;

-- One message, several statements: one implicit transaction.
insert into account values (10, 1)\; insert into account values (11, 2)\; select 1 / 0\; insert into account values (12, 3);
select id from account where id >= 10;
insert into account values (10, 1)\; select id from account where id >= 10;
delete from account where id = 10\; rollback;
select id from account where id = 10;
begin\; insert into account values (11, 1)\; commit\; select 1 / 0;
select id from account where id >= 10 order by id;
drop table account;

-- What would write is refused wherever it stands; what is only explained is not run.
create table written (a int);
prepare writing as insert into written values (1);
begin read only;
explain (costs off) insert into written values (1);
savepoint s;
explain (analyze) insert into written values (1);
rollback to s;
explain (analyze) select * from written for update;
rollback to s;
explain (analyze) execute writing;
rollback to s;
execute writing;
rollback to s;
copy (delete from written returning a) to stdout;
rollback to s;
explain (analyze, costs off, timing off, summary off, buffers off) select * from written;
rollback;
deallocate writing;
drop table written;
