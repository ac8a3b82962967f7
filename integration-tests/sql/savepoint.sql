-- Savepoints: parts of a transaction that can be undone alone.

create table t (a int primary key, b text);
begin;
insert into t values (1, 'outer');
savepoint one;
insert into t values (2, 'in one');
savepoint two;
insert into t values (3, 'in two');
select a from t order by a;
rollback to two;
select a from t order by a;
insert into t values (4, 'after two');
release savepoint one;
select a from t order by a;
commit;
select * from t order by a;

-- An error inside needs only the way back to the savepoint.
begin;
savepoint s;
insert into t values (1, 'duplicate');
select 1;
rollback to s;
insert into t values (5, 'after error');
savepoint s;
select 1 / 0;
rollback to savepoint s;
savepoint s;
select no_such_column;
rollback to s;
insert into t values (6, 'again');
commit;
select a from t where a > 4 order by a;

-- Names may repeat: the newest hides the older one.
begin;
savepoint x;
insert into t values (10);
savepoint x;
insert into t values (11);
rollback to x;
select a from t where a >= 10 order by a;
release x;
rollback to x;
select a from t where a >= 10 order by a;
rollback;

-- Unknown ones.
begin;
rollback to nowhere;
rollback;
begin;
release nowhere;
rollback;
begin;
savepoint a;
savepoint b;
release a;
rollback to b;
rollback;
begin;
savepoint a;
savepoint b;
rollback to a;
rollback to b;
commit;

-- Updates and deletes of the same rows at several depths.
begin;
update t set b = 'v1' where a = 1;
savepoint s1;
update t set b = 'v2' where a = 1;
savepoint s2;
delete from t where a = 1;
select count(*) from t where a = 1;
rollback to s2;
select b from t where a = 1;
rollback to s1;
select b from t where a = 1;
update t set b = 'v3' where a = 1;
savepoint s3;
update t set b = 'v4' where a = 1;
release s3;
commit;
select b from t where a = 1;

-- DDL and settings are undone too.
begin;
savepoint s;
create table inner_table (a int);
insert into inner_table values (1);
set local work_mem = '1MB';
set timezone = 'Asia/Tokyo';
rollback to s;
select * from inner_table;
rollback;
show work_mem;
show timezone;

-- Many of them, with rows in each.
create table many (a int);
begin;
savepoint s; insert into many values (1); savepoint s; insert into many values (2); savepoint s; insert into many values (3);
savepoint s; insert into many values (4); savepoint s; insert into many values (5); savepoint s; insert into many values (6);
savepoint s; insert into many values (7); rollback to s; savepoint s; insert into many values (8); release s;
savepoint outer_one; insert into many values (9); savepoint s; insert into many values (10); rollback to outer_one;
commit;
select a from many order by a;
drop table t, many;
