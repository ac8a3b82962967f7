-- ALTER TABLE: adding, dropping and renaming columns and constraints.

create table t (a int primary key, b text);
insert into t values (1, 'one'), (2, 'two');

-- Added columns have their default in the rows that are there, without rewriting them.
alter table t add column c int;
alter table t add d int default 42;
alter table t add column e text not null default 'filled';
select * from t order by a;
select attname, atthasmissing, attmissingval from pg_attribute where attrelid = 't'::regclass and attnum > 0 order by attnum;
insert into t values (3, 'three', 30, 300, 'own'), (4, 'four');
update t set c = d where a = 1;
select * from t order by a;
select sum(d), count(e) from t where e = 'filled';
-- A default that differs per row does rewrite.
create sequence s;
alter table t add column f int default nextval('s');
select count(distinct f) from t;
alter table t add column g int not null;
alter table t add column a int;
alter table t add column if not exists a int;
alter table t add column g no_type;
alter table t add column g int check (g > 5) default 7;
insert into t (a, g) values (5, 1);
alter table t add column h int unique;
alter table t add column ctid int;
alter table no_table add column x int;
alter table if exists no_table add column x int;

-- Dropped columns are gone for good.
alter table t drop column b;
select * from t order by a;
select b from t;
alter table t drop column b;
alter table t drop column if exists b;
alter table t add column b date default '2024-01-01';
select a, b from t order by a;
select attnum, attname, attisdropped from pg_attribute where attrelid = 't'::regclass and attnum > 0 order by attnum;
alter table t drop column h, drop column g, add column i boolean default true;
select * from t where a = 1;
alter table t drop column ctid;
create index t_d_e on t (d, e);
alter table t drop column d;
select relname from pg_class where relname = 't_d_e';
alter table t drop column a;
select conname from pg_constraint where conrelid = 't'::regclass order by 1;
insert into t (c) values (99);

-- Renaming.
alter table t rename column c to count_of;
alter table t rename count_of to c2;
select c2 from t where c2 is not null order by c2;
select c from t;
alter table t rename column nothing to x;
alter table t rename column e to f;
alter table t rename column ctid to x;
insert into t (c2, e) values (1, 'z') returning c2, e;

-- Constraints with it.
create table p (id int primary key, v int);
create table q (id int, p int);
alter table q add constraint q_p foreign key (p) references p;
alter table q add constraint q_id check (id > 0), add unique (id);
insert into q values (0, null);
insert into q values (1, 1);
alter table p drop column id;
alter table p drop column id cascade;
insert into q values (1, 1);
select conname from pg_constraint where conrelid = 'q'::regclass order by 1;
alter table p rename column v to w;
alter table p add constraint w_positive check (w > 0);
alter table p rename column w to x;
insert into p values (-1);
alter table p drop column x;
select count(*) from pg_constraint where conrelid = 'p'::regclass;

-- All of it is transactional.
begin;
alter table t add column later int default 5;
select count(later) from t;
alter table t drop column e;
rollback;
select later from t;
select count(e) from t;
begin;
savepoint one;
alter table t drop column e;
rollback to one;
alter table t rename column e to ee;
commit;
select count(ee) from t;
alter table t add column;
alter table t;
alter table t frobnicate;
drop table t, p, q;
drop sequence s;
