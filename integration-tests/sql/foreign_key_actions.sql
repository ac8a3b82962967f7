-- What happens to rows that refer to a key that goes or changes.

create table p (a int primary key, b text unique);
create table cascaded (x int references p on delete cascade on update cascade, y int);
create table nulled (x int references p (a) on delete set null on update set null, k int);
create table restricted (x int references p on delete restrict on update restrict);
create table kept (x int references p on delete no action);
insert into p select g, 'n' || g from generate_series(1, 10) g;
insert into cascaded values (1, 1), (2, 2), (2, 3), (null, 4);
insert into nulled values (1, 1), (4, 4);
insert into restricted values (5);
insert into kept values (6);
delete from p where a = 1;
select * from cascaded order by 1, 2;
select * from nulled order by 1, 2;
update p set a = 20 where a = 2;
select * from cascaded order by 1, 2;
update p set a = 40 where a = 4;
select * from nulled order by 1, 2;
delete from p where a = 5;
update p set a = 50 where a = 5;
delete from p where a = 6;
update p set a = 60 where a = 6;
update p set b = 'zz' where a = 20;
insert into cascaded values (77, 1);
truncate p;
truncate p, cascaded, nulled, restricted, kept;

-- A table that refers to itself.
create table s (id int primary key, parent int references s on delete cascade on update cascade);
insert into s values (1, null), (2, 1), (3, 2), (4, 3), (5, null);
delete from s where id = 2;
select * from s order by 1;
insert into s values (6, 6), (7, 6);
update s set id = id + 100;
select * from s order by 1;
delete from s;
select count(*) from s;

-- Two types, and an action that fails.
create table big (a bigint primary key);
create table small (a int not null references big on delete set null on update cascade);
insert into big values (1), (2);
insert into small values (1), (2);
update big set a = 3 where a = 2;
select * from small order by 1;
update big set a = 30000000000 where a = 3;
delete from big where a = 1;
select * from big order by 1;

-- The same key again, in one statement and in one transaction.
create table again (a int primary key);
create table refers (a int references again);
insert into again values (1), (2);
insert into refers values (2);
update again set a = a + 1;
begin;
delete from refers;
delete from again where a = 2;
insert into again values (2);
insert into refers values (2);
commit;
select * from again order by 1;
drop table cascaded, nulled, restricted, kept, small, refers;
drop table p, s, big, again;
