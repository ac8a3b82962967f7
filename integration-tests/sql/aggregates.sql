-- GROUP BY, HAVING and the aggregates count, sum, avg, min and max.

create table sales (region text, product text, units int, price numeric(6,2), rate float8, sold date);
insert into sales values
  ('north', 'tea', 3, 2.50, 0.5, '2024-01-01'), ('north', 'tea', 5, 2.40, 0.25, '2024-01-02'), ('north', 'milk', null, 1.10, null, '2024-01-02'),
  ('south', 'tea', 1, 2.75, 1.5, '2024-02-01'), ('south', 'milk', 9, 1.00, 2, null), (null, 'tea', 2, null, 0.125, '2024-03-01');

-- Without GROUP BY there is one group, even of nothing.
select count(*), count(units), sum(units), avg(units), min(units), max(units) from sales;
select count(*), sum(units), avg(price), min(sold), max(product) from sales where region = 'west';
select sum(price), avg(price), sum(rate), avg(rate), min(price), max(rate), min(sold), max(sold), min(product) from sales;
select count(distinct product), count(distinct region), sum(distinct units), avg(distinct units) from sales;

-- Types of results.
select pg_typeof(count(*)), pg_typeof(sum(units)), pg_typeof(sum(units::int8)), pg_typeof(sum(units::int2)), pg_typeof(avg(units)), pg_typeof(sum(rate)), pg_typeof(avg(rate)), pg_typeof(max(product)), pg_typeof(sum(price)) from sales;
select sum(9223372036854775807) from sales;
select sum(2147483647) from sales;

-- Groups.
select region, count(*), sum(units) from sales group by region order by region;
select region, product, count(*), max(price) from sales group by region, product order by region, product;
select product, avg(price)::numeric(6,3) from sales group by product order by 2 desc;
select region from sales group by region order by region nulls first;
select units > 2 as many, count(*) from sales group by units > 2 order by 1;
select upper(product) as p, sum(units * price) from sales group by p order by p;
select extract(month from sold) as month, count(*) from sales group by month order by month;
select length(region), count(*) from sales group by 1 order by 1;
select count(*) from sales group by region order by count(*), region;
select region, sum(units) * 2 + count(*) as score from sales group by region order by score;
select 'all' as label, count(*) from sales group by ();
select region, count(*) from sales where units is not null group by region order by region;

-- HAVING filters groups.
select region, count(*) from sales group by region having count(*) > 1 order by region;
select product, sum(units) from sales group by product having sum(units) > 10 and min(price) < 2 order by product;
select region from sales group by region having region is not null order by region;
select count(*) from sales having count(*) > 100;
select count(*) from sales having count(*) = 6;
select 1 as one from sales having true;
select product from sales group by product having max(units) >= all (select units from sales where units is not null);

-- A primary key stands for its whole row.
create table goods (id int primary key, name text, kind text);
insert into goods values (1, 'tea', 'drink'), (2, 'milk', 'drink'), (3, 'bread', 'food');
select g.id, g.name, count(s.product) from goods g left join sales s on s.product = g.name group by g.id order by g.id;
select kind, name from goods group by kind;

-- Errors.
select region, units from sales group by region;
select region, count(*) from sales;
select count(*) from sales where count(*) > 1;
select sum(count(*)) from sales group by region;
select * from sales group by region;
select region from sales group by 2;
select region, count(*) from sales group by 2;
select sum(product) from sales;
select avg(true);
select sum(sold) from sales;
select max() from sales;
select count() from sales;
select count(units, price) from sales;
select sum(*) from sales;
select region from sales group by nothing;
select units from sales having units > 1;
select region, count(*) as n from sales group by region having n > 1;
select upper(distinct product) from sales;
insert into goods values (max(1), 'x', 'y');

-- Aggregates are the same if their arguments are, bit by bit.
select sum('NaN'::float8), max('NaN'::float8), sum('NaN'::float8) from generate_series(1, 2);
select sum('0'::float8) as zero, sum('-0'::float8) as minus_zero;
select g * 'NaN'::float8 as never, count(*) from generate_series(1, 2) g group by g * 'NaN'::float8;

-- The same by sorting and by hashing.
set enable_hashagg = off;
select product, count(*), sum(units) from sales group by product order by product;
select distinct region from sales order by region;
set enable_hashagg = on;
set enable_sort = off;
select product, count(*), sum(units) from sales group by product order by product;
reset all;
drop table sales, goods;
