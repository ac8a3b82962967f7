-- Subqueries in FROM, and under IN, EXISTS, ANY and ALL.

create table customers (id int primary key, name text not null, city text);
create table orders (id int primary key, customer int, total numeric(8,2));
insert into customers values (1, 'Ada', 'London'), (2, 'Bob', 'Paris'), (3, 'Cyd', null), (4, 'Dee', 'London');
insert into orders values (10, 1, 99.5), (11, 1, 15), (12, 2, 7.25), (13, null, 1), (14, 9, 2);

-- A subquery in FROM is a table like any other.
select s.name, s.n from (select name, length(name) as n from customers where city = 'London') s order by s.name;
select avg(n) from (select customer, count(*) as n from orders group by customer) per_customer;
select a + 1 from (select 1) v(a);
select * from (select id, name from customers order by id desc limit 2) last_two order by id;
select * from (values (1, 'a'), (2, 'b')) v(n, s) order by n desc;
select name from (select name from (select * from customers) inner_one where id > 1) outer_one order by 1;
-- The alias may be left out.
select name from (select name from customers where id = 1);
select x.id from (select 1 as one) x;
select * from (select 1, 2) v(a, b, c);

-- IN.
select name from customers where id in (select customer from orders) order by name;
select name from customers where id in (select customer from orders where total > 50) order by name;
-- NOT IN with a NULL among the answers is never true.
select name from customers where id not in (select customer from orders) order by name;
select name from customers where id not in (select customer from orders where customer is not null) order by name;
select id in (select customer from orders) as has_orders, name from customers order by name;
select name from customers where (id, city) in (select customer, 'London' from orders) order by name;
select name from customers where id in (select id, total from orders);
select name from customers where (id, city) in (select customer from orders);
select 1 in (select customer from orders), 5 in (select customer from orders), 5 not in (select id from customers);

-- EXISTS looks at the row outside.
select name from customers c where exists (select 1 from orders o where o.customer = c.id) order by name;
select name from customers c where not exists (select 1 from orders o where o.customer = c.id) order by name;
select name from customers c where exists (select * from orders o where o.customer = c.id and o.total < 10) order by name;
select exists (select 1 from orders where total > 1000), exists (select 1 from orders), not exists (select 1 from customers where false);
select name from customers c where exists (select 1 from orders o where o.customer = c.id) and city = 'Paris';
select name from customers c where exists (select 1 from customers other where other.city = c.city and other.id <> c.id) order by name;
select name from customers c where exists (select 1 from orders o where o.customer = c.nothing);

-- ANY and ALL.
select name from customers where id = any (select customer from orders) order by name;
select id from orders where total >= all (select total from orders);
select id from orders where total > any (select total from orders) order by id;
select 1 < all (select id from customers where false), 1 < any (select id from customers where false);

-- Nested, and in UPDATE and DELETE.
select name from customers where id in (select customer from orders where id in (select max(id) from orders group by customer)) order by name;
update customers set city = 'Everywhere' where id in (select customer from orders where total < 10);
select name, city from customers order by id;
delete from orders where not exists (select 1 from customers c where c.id = orders.customer);
select id, customer from orders order by id;
delete from customers where id not in (select customer from orders);
select id from customers order by id;
insert into orders select id + 100, id, 5 from customers where id in (select customer from orders);
select * from orders order by id;
drop table customers, orders;
-- The first row of an index within a subquery, whose tables come behind those around it.
create table extremes (a int primary key, b int);
insert into extremes select g, g % 7 from generate_series(1, 1000) g;
analyze extremes;
select distinct (select min(x.a) from extremes x) from (values (1), (2)) v (a) where a not in (select 3 from extremes y);
select v.a, (select max(a) - min(a) from extremes where a > v.a) from (values (1), (500)) v (a) order by 1;
drop table extremes;

-- A subquery's plan that takes the place of its scan keeps its own initial plans.
create table prices (a int, b int, d numeric);
insert into prices values (1, 5, 1.5), (2, 5, 2.5), (3, 6, null), (4, null, 9);
create table kept (a int, b int, d numeric);
insert into kept (a, b, d) select distinct b, b, (select max(d) from prices) from prices order by 3 desc nulls last, 1 returning *;
select * from (select b, (select min(d) from prices) as low from prices order by b limit 2) s;
-- Aggregates over a relation that is known to be empty.
select max(distinct nullif(0, b)), a from prices where date '2020-01-06' < date '2020-01-01' group by a;
select sum(distinct a - 1) from prices where false having count(*) = 0;
drop table prices, kept;

-- What subqueries have computed is of no use once what they refer to has changed.
create table seen (i int);
insert into seen values (1), (2), (3);
create view outer_rows as select * from (values (1), (2), (3)) v(x);
select x, (select (select max(i) from seen where i <= x) + 0) from outer_rows;
select x, (select max(h) from generate_series(1, 3) h where h <= (select max(i) from seen where i <= x)) from outer_rows;
select x, (select count(*) from seen a, seen b where a.i in (select i from seen where i <= x) and b.i not in (select i from seen where i <= x)) from outer_rows;
select x, h, m from outer_rows, lateral (select h, (select max(i) from seen where i <= x) m from generate_series(1, 2) h offset 0) s;
select x, h, m from outer_rows, lateral (select h, exists (select from seen where i < x) m from generate_series(1, 2) h offset 0) s;
select x, h, m from outer_rows, lateral (select h, array(select i from seen where i < x) m from generate_series(1, 2) h offset 0) s;
select x, h from outer_rows, lateral (select h from generate_series(1, 3) h where h not in (select i from seen where i <> x) offset 0) s;
select x, h from outer_rows, lateral (select h from (values (1), (2), (3)) v(h) where h not in (select i from seen where i <> x) offset 0) s;
select x, i, j from outer_rows, lateral (select a.i, b.i j from seen a left join seen b on a.i not in (select i from seen where i <> x) and b.i <> a.i offset 0) s order by 1, 2, 3;
select x, i from outer_rows, lateral (select a.i from seen a where a.ctid = '(0,2)' and a.i not in (select i from seen where i <> x) offset 0) s;
select x, g from outer_rows, lateral (select generate_series(1, case when 2 in (select i from seen where i = x) then 2 else 1 end) g offset 0) s;
select x, g from outer_rows, lateral (select g from generate_series(1, case when 2 not in (select i from seen where i <> x) then 2 else 1 end) g offset 0) s;
select x, v from outer_rows, lateral (select v from (values (case when 2 not in (select i from seen where i <> x) then 2 else 1 end), (5)) w(v) offset 0) s;
select x, i, s from outer_rows, lateral (select a.i, (select sum(b.i) from seen b, (select distinct i from seen where i <= x order by i) c where c.i <> b.i + a.i) s from seen a offset 0) s order by 1, 2, 3;
set enable_hashjoin = off;
set enable_mergejoin = off;
select x, i, s from outer_rows, lateral (select a.i, (select sum(b.i) from seen b, seen c where c.i <> b.i + a.i and c.i < x) s from seen a offset 0) s order by 1, 2, 3;
reset all;
prepare pairs as select count(*) from seen a join seen b using (i);
prepare others(int) as select i from seen where i not in (select a.i from seen a join seen b using (i) where i > $1) order by i;
execute pairs;
execute others(1);
execute others(2);
insert into seen values (4), (0);
execute pairs;
execute others(2);
set plan_cache_mode = force_generic_plan;
execute pairs;
execute others(1);
execute others(2);
insert into seen values (5), (-1);
execute pairs;
execute others(2);
reset all;
drop view outer_rows;
drop table seen;
