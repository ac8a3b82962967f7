-- UPDATE: new versions of rows.

create table stock (id int primary key, name text not null, qty int default 5 check (qty >= 0), note text);
create index stock_name on stock (name);
insert into stock values (1, 'nail', 100, null), (2, 'screw', 50, 'steel'), (3, 'bolt', 0, 'brass'), (4, 'nut', 7, null);

update stock set qty = qty + 1 where id = 1;
update stock set qty = 20, note = 'low' where qty < 10;
select * from stock order by id;
-- Every right side sees the old row.
update stock set qty = id, id = qty + 1000 where name = 'bolt';
select * from stock order by id;
update stock set (qty, note) = (1, 'both') where id = 2;
update stock set (qty, note) = row (2, name) where id = 2;
update stock set qty = default where id = 4 returning *;
update stock set note = null;
select * from stock order by id;
update stock set qty = 1 where false;
update stock set qty = 1 where null;

-- RETURNING gives the new row.
update stock set qty = qty * 2 where qty > 1 returning id, qty, name || '!' as loud;
update stock as s set note = 'aliased' where s.id = 1 returning s.id, s.note;
update stock set note = 'x' returning count(*);

-- Indexed columns: the old key no longer finds the row.
update stock set name = 'washer' where name = 'nut';
select id from stock where name = 'nut';
select id from stock where name = 'washer';
update stock set id = id + 10;
update stock set id = id - 10;
select id, name from stock order by id;

-- The statement does not see its own work.
update stock set qty = qty + 1 where qty < 1000;
select id, qty from stock order by id;

-- By subquery.
update stock set note = 'popular' where id in (select id from stock where qty > 50);
update stock set note = 'only' where not exists (select 1 from stock s2 where s2.id < stock.id);
select id, note from stock order by id;

-- Errors leave all rows as they were.
update stock set qty = -1 where id = 1;
update stock set qty = qty - 50;
update stock set name = null;
update stock set id = 1;
update stock set id = 2 where id = 1;
update stock set qty = 'many';
update stock set qty = name;
update stock set nothing = 1;
update stock set qty = 1, qty = 2;
update stock set (qty, note) = (1);
update stock set qty = 1 where nothing = 1;
update stock set qty = 1 where id;
update no_table set a = 1;
update stock s set qty = 1 where stock.id = 1;
update stock set s.qty = 1;
update stock set qty = sum(qty);
update stock set ctid = '(0,1)';
update stock set qty = 10 / (id - 1);
select id, qty from stock order by id;

-- Hundreds of versions of one row, and of many rows.
create table counter (id int primary key, n int);
insert into counter select g, 0 from generate_series(1, 500) g;
update counter set n = n + 1;
update counter set n = n + 1 where id % 2 = 0;
update counter set n = n * 10 where id between 100 and 199;
select n, count(*), min(id), max(id) from counter group by n order by n;
select sum(n) from counter where id > 250;
drop table stock, counter;
