-- NOT NULL and CHECK constraints, and defaults.

create table product (
    id int not null,
    name text constraint name_given not null,
    price numeric check (price > 0),
    discount numeric default 0 constraint sane_discount check (discount >= 0),
    check (discount < price),
    constraint long_name check (length(name) > 1)
);
insert into product values (1, 'ab', 10, 1);
insert into product values (null, 'ab', 10, 1);
insert into product values (2, null, 10, 1);
insert into product values (2, 'ab', 0, 0);
insert into product values (2, 'ab', 10, -1);
insert into product values (2, 'ab', 10, 11);
insert into product values (2, 'x', 10, 1);
-- Several are broken: not null is found first, then the checks by name.
insert into product values (null, null, -1, -1);
insert into product values (2, 'x', -1, -1);
-- Unknown passes a check.
insert into product values (2, 'cd', null, null);
insert into product (id, name) values (3, 'ef');
select * from product order by id;
update product set price = -5 where id = 1;
update product set name = null where id = 1;
update product set discount = 20 where id = 1;
select conname, contype, convalidated from pg_constraint where conrelid = 'product'::regclass order by conname;

-- Added and dropped later.
alter table product add constraint cheap check (price < 100);
insert into product values (4, 'gh', 1000, 0);
alter table product add check (id > 1);
alter table product add constraint cheap check (true);
alter table product drop constraint cheap;
insert into product values (4, 'gh', 1000, 0);
alter table product drop constraint cheap;
alter table product drop constraint if exists cheap;
alter table product add constraint not_valid check (id > 3) not valid;
insert into product values (0, 'ij', 1, 0);
select id from product order by id;
alter table product validate constraint not_valid;
delete from product where id <= 3;
alter table product validate constraint not_valid;

-- Expressions that cannot stand in a check or default.
create table bad (a int check (a > (select 1)));
create table bad (a int check (sum(a) > 1));
create table bad (a int check (b > 1));
create table bad (a int check (a));
create table bad (a int default b);
create table bad (a int default (select 1));
create table bad (a int default 'x');
create table bad (a int default max(1));
create table bad (a int default generate_series(1, 2));
create table bad (a int default 1 default 2);
create table bad (a int null not null);
create table bad (a int check (true) check (a > 0), constraint c1 check (true), constraint c1 check (false));

-- Defaults are computed for each row.
create sequence numbers;
create table d (n int default nextval('numbers'), label text default 'n' || 1 + 1, made timestamptz default now(), flag boolean default not false, size int default length('abc'));
insert into d (label) values ('a'), ('b');
insert into d default values;
select n, label, made is not null as made, flag, size from d order by n;
insert into d values (default, default, null, default, default) returning n, label, made, flag;
select count(distinct made) from d;
drop table d;
drop sequence numbers;
drop table product;
