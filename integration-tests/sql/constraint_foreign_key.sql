-- FOREIGN KEY: what may refer to what, and what happens when it goes.

create table author (id int primary key, name text unique);
create table book (id int primary key, author int references author, title text);
insert into author values (1, 'Ada'), (2, 'Bo'), (3, 'Cy');
insert into book values (10, 1, 'first'), (11, 1, 'second'), (12, 2, 'third'), (13, null, 'nobody');
insert into book values (14, 9, 'lost');
update book set author = 9 where id = 10;
update book set author = 3 where id = 10;
delete from author where id = 1;
update author set id = 5 where id = 2;
update author set name = 'Bob' where id = 2;
delete from author where id = 2;
delete from book where author = 2;
delete from author where id = 2;
select * from author order by id;
select * from book order by id;
-- Within one statement the order does not matter: checks come at its end.
insert into book values (15, 4, 'early');
begin;
insert into author values (4, 'Di');
insert into book values (15, 4, 'early');
rollback;
drop table author;
truncate author;
drop table book;
truncate author;

-- Actions.
create table a (id int primary key);
create table cascading (id int primary key, a int references a on delete cascade on update cascade);
create table nulling (id int primary key, a int references a on delete set null on update set null);
create table defaulting (id int primary key, a int default 0 references a on delete set default on update set default);
create table restricting (id int primary key, a int references a on delete restrict on update restrict);
create table lazy (id int primary key, a int constraint lazy_a references a on delete no action deferrable initially deferred);
insert into a select generate_series(0, 9);
insert into cascading select g, g from generate_series(1, 3) g;
insert into nulling select g, g from generate_series(2, 4) g;
insert into defaulting select g, g from generate_series(3, 5) g;
insert into restricting values (1, 6);
insert into lazy values (1, 7);
delete from a where id = 1;
select * from cascading order by id;
update a set id = 20 where id = 2;
select * from cascading order by id;
select * from nulling order by id;
delete from a where id = 3;
select * from cascading order by id;
select * from nulling order by id;
select * from defaulting order by id;
delete from a where id = 6;
update a set id = 60 where id = 6;
delete from a where id = 0;
begin;
delete from a where id = 7;
select count(*) from a where id = 7;
commit;
begin;
delete from a where id = 7;
update lazy set a = 8;
commit;
select * from lazy;
begin;
insert into lazy values (2, 99);
set constraints lazy_a immediate;
rollback;
begin;
insert into lazy values (2, 99);
insert into a values (99);
commit;
select * from lazy order by id;

-- Several columns; MATCH FULL.
create table point (x int, y int, primary key (x, y));
create table simple_ref (x int, y int, foreign key (x, y) references point);
create table full_ref (x int, y int, foreign key (x, y) references point (x, y) match full);
insert into point values (1, 1), (1, 2);
insert into simple_ref values (1, 2), (1, null), (null, 5), (null, null);
insert into simple_ref values (2, 2);
insert into full_ref values (1, 1), (null, null);
insert into full_ref values (1, null);

-- A table may refer to itself.
create table tree (id int primary key, parent int references tree on delete cascade);
insert into tree values (1, null), (2, 1), (3, 2), (4, 2), (5, 1);
insert into tree values (7, 6), (6, 1);
insert into tree values (8, 88);
delete from tree where id = 2;
select * from tree order by id;
delete from tree where id = 1;
select count(*) from tree;

-- What cannot be a key.
create table bad (a int references nowhere);
create table bad (a int references a (nothing));
create table bad (a text references a);
create table bad (a int, foreign key (a, b) references point);
create table bad (a int, foreign key (a) references point);
create table bad (a int references simple_ref (x));
create table bad (n text references author (name));
drop table bad;

-- Added to tables that have rows.
create table orphan (id int, a int);
insert into orphan values (1, 77);
alter table orphan add foreign key (a) references a;
alter table orphan add constraint orphan_a foreign key (a) references a not valid;
insert into orphan values (2, 78);
alter table orphan validate constraint orphan_a;
update orphan set a = 4;
alter table orphan validate constraint orphan_a;
alter table orphan drop constraint orphan_a;
insert into orphan values (3, 79);
drop table a;
drop table a cascade;
select count(*) from pg_constraint where confrelid <> 0 and conrelid = 'cascading'::regclass;
drop table author, cascading, nulling, defaulting, restricting, lazy, point, simple_ref, full_ref, tree, orphan cascade;
