-- Joins of a table with itself on a unique key, of which the planner may leave one side away.

create table twins (id int primary key, v int, unique (v));
insert into twins select g, g * 2 from generate_series(1, 5) g;
create table others (x int);
insert into others values (1), (2), (2), (9);
analyze twins; analyze others;
select count(*) from twins a cross join twins b left join lateral (select * from others u where u.x = a.id and u.x = b.id) s on true;
select count(*), count(s.k) from others o left join (select b.id, 1 as k, coalesce(c.v, 0) as w from twins b join twins c on b.id = c.id) s on s.id = o.x;
select o.x, s.k, s.w from others o left join (select b.id, 1 as k, coalesce(c.v, 0) as w from twins b join twins c on b.id = c.id) s on s.id = o.x order by 1, 2;
select a.id, b.v, (select count(*) from others where x = a.id and x = b.id) from twins a join twins b using (id) order by 1;
select count(*) from twins a, twins b where a.id = b.id and a.v > 4;
select count(*) from twins a, twins b where a.id = b.v;
select count(*) from twins a, twins b, others o where a.id = o.x and b.id = o.x;
select count(*) from twins a join twins b on a.v = b.v left join others o on o.x = a.id and o.x = b.id;
select count(*) from others o where exists (select from twins a, twins b where a.id = b.id and a.v = o.x);
select * from (select a.id, b.v as bv from twins a join twins b on a.id = b.id) q full join others o on o.x = q.id order by 1, 3;
drop table twins, others;
