-- INSERT: VALUES, DEFAULT, SELECT and RETURNING.

create table item (id int primary key, name text not null default 'unnamed', price numeric(8,2) default 9.99, tags text, made date default '2024-01-01');

insert into item (id) values (1);
insert into item values (2, 'two', 2.5, 'x', '2024-02-02');
insert into item (name, id) values ('three', 3);
insert into item values (4, default, default);
insert into item (id, price) values (5, null), (6, default), (7, 7);
select * from item order by id;
create table all_defaults (a int default 1, b text default 'b');
insert into all_defaults default values;
insert into all_defaults default values returning *;
insert into all_defaults (b) values (default);
select * from all_defaults;

-- RETURNING sees the row as stored.
insert into item (id, name) values (8, 'eight') returning id, price, upper(name) as shout;
insert into item (id, price) values (9, 1.239), (10, 5.555) returning *;
insert into item values (11) returning item.id, item.*;
insert into item (id) select 20 + g from generate_series(1, 3) g returning id;
insert into item (id) select 1 where false returning id;
insert into item values (30) returning nothing;
insert into item values (30) returning count(*);

-- From a query, also over the same table.
insert into item (id, name) select id + 100, 'copy of ' || name from item where id <= 3;
select id, name from item where id > 100 order by id;
insert into item (id, name) select id + 1000, name from item order by id desc limit 2;
select id, name from item where id > 1000 order by id;
insert into item (id, price) select 200, max(price) from item;
select id, price from item where id = 200;

-- A statement that fails leaves nothing behind.
insert into item (id) values (300), (301), (1);
select count(*) from item where id >= 300 and id < 400;
insert into item (id, name) values (300, 'fine'), (301, null);
select count(*) from item where id >= 300 and id < 400;

-- Errors.
insert into item values (1, 'x');
insert into item (id, name) values (400, null);
insert into item (id) values ('x');
insert into item (id) values (400, 401);
insert into item (id, name) values (400);
insert into item values (1, 'a', 1, 't', '2024-01-01', 'more');
insert into item (id, id) values (400, 401);
insert into item (nothing) values (1);
insert into item (item.id) values (1);
insert into no_table values (1);
insert into item (id, price) values (400, 1234567);
insert into item (id, made) values (400, 'soon');
insert into item (id) values (400 + 'x');
insert into item (id, price) values (400, true);
insert into item (id) select name from item;
insert into item (id) values (1), (2, 3);
insert into item (id) values (sum(1));
insert into item select from item;
insert into pg_class default values;
select count(*) from item;

-- Many rows at once.
insert into item (id, name) select g, 'row ' || g from generate_series(10001, 12000) g;
select count(*), min(id), max(id) from item where id > 10000;
insert into item values (50000, 'a'), (50001, 'b'), (50002, 'c') returning id, ctid is not null as placed, tableoid::regclass;
drop table item, all_defaults;
