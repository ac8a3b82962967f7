-- Joins: inner, outer, cross, by ON, USING and NATURAL.

create table dept (id int primary key, name text);
create table emp (id int primary key, name text, dept int, boss int);
insert into dept values (1, 'tools'), (2, 'docs'), (3, 'empty');
insert into emp values (1, 'ann', 1, null), (2, 'bob', 1, 1), (3, 'cat', 2, 1), (4, 'dan', null, 2), (5, 'eve', 9, 2);

select e.name, d.name from emp e, dept d where e.dept = d.id order by e.id;
select e.name, d.name from emp e join dept d on e.dept = d.id order by e.id;
select e.name, d.name from emp e inner join dept d on d.id = e.dept and e.name <> 'bob' order by e.id;
select e.name, d.name from emp e left join dept d on e.dept = d.id order by e.id;
select e.name, d.name from emp e right join dept d on e.dept = d.id order by d.id, e.id;
select e.name, d.name from emp e full join dept d on e.dept = d.id order by e.id, d.id;
select e.name, d.name from emp e left outer join dept d on e.dept = d.id and d.name = 'docs' order by e.id;
select count(*) from emp cross join dept;
select count(*) from emp, dept;
-- A condition in WHERE takes back the rows that the outer join had kept.
select e.name, d.name from emp e left join dept d on e.dept = d.id where d.name = 'docs' order by e.id;
select e.name from emp e left join dept d on e.dept = d.id where d.id is null order by e.id;
select d.name from emp e right join dept d on e.dept = d.id where e.id is null;

-- A table with itself; conditions that are not equality.
select e.name, b.name as boss from emp e left join emp b on b.id = e.boss order by e.id;
select a.name, b.name from emp a join emp b on a.id < b.id and a.dept = b.dept order by 1, 2;
select a.id, b.id from dept a join dept b on a.id <> b.id order by 1, 2;
select d.id, e.id from dept d left join emp e on e.id > d.id + 2 order by 1, 2;

-- Three tables, nesting, parentheses.
select e.name, b.name, d.name from emp e join emp b on e.boss = b.id join dept d on b.dept = d.id order by e.id;
select e.name, b.name, d.name from emp e left join (emp b join dept d on b.dept = d.id) on e.boss = b.id order by e.id;
select e.name, x.name from emp e join (select id, name from dept where id < 3) x on x.id = e.dept order by e.id;
select d.name, count(e.id) from dept d left join emp e on e.dept = d.id group by d.name order by d.name;

-- USING and NATURAL merge the columns that they compare.
create table l (k int, a text);
create table r (k int, b text);
insert into l values (1, 'l1'), (2, 'l2'), (2, 'l2b'), (null, 'ln');
insert into r values (2, 'r2'), (3, 'r3'), (null, 'rn');
select * from l join r using (k) order by a;
select * from l left join r using (k) order by a;
select * from l right join r using (k) order by b;
select * from l full join r using (k) order by k, a, b;
select k, l.k, r.k from l full join r using (k) order by 1, 2, 3;
select * from l natural join r order by a;
select * from l natural full join r order by k, a, b;
select j.k, j.b from (l join r using (k)) as j order by 2, 1;
select x.* from l join r using (k) as x order by 1;
create table r2 (c int);
insert into r2 values (7);
select * from l natural join r2 order by k, a;
select * from l join r using (nothing);
select * from l join r using (k, a);
select k from l join r on l.k = r.k;
select l.k from l join r on l.k = r.k order by 1;
select * from l join r on l.a;
select * from l join r;
select * from l join l on true;
select e.name from emp join dept d on true;
select x.k from l x join r y on x.k = y.k join l z on z.k = q.k;
select * from l full join r on l.k < r.k;

-- The same answers by each method.
set enable_hashjoin = off;
set enable_nestloop = off;
select e.name, d.name from emp e full join dept d on e.dept = d.id order by e.id, d.id;
select * from l join r using (k) order by a;
set enable_hashjoin = on;
set enable_mergejoin = off;
select e.name, d.name from emp e full join dept d on e.dept = d.id order by e.id, d.id;
select * from l left join r using (k) order by a;
reset all;
drop table dept, emp, l, r, r2;
-- A full join is joined for itself, whatever conditions stand around it.
create table fruits (a int, b int);
insert into fruits values (1, 10), (2, null), (null, 30);
select x.a, y.a from fruits x full join generate_series(1, 2) y (a) on true, fruits z, fruits w where x.a is null order by 1, 2;
select count(*) from fruits x full join generate_series(2, 4) y (a) on x.a = y.a, fruits z, fruits w where 3 is not distinct from y.a;
set join_collapse_limit = 1;
select x.a, z.b from fruits x join fruits y on x.a = y.a left join fruits z on z.a = y.a join fruits w on w.b = x.b order by 1, 2;
select count(*) from fruits x, (fruits y join fruits z on y.a = z.a), fruits w where w.a = z.a and x.b = w.b;
set from_collapse_limit = 1;
select count(*) from fruits x, (select y.a, z.b from fruits y, fruits z where y.a = z.a) v, fruits w where w.a = v.a and x.b = w.b;
reset join_collapse_limit;
reset from_collapse_limit;
set geqo_threshold = 2;
select x.a, z.b from fruits x join fruits y on x.a = y.a left join fruits z on z.a = y.a join fruits w on w.b = x.b order by 1, 2;
reset geqo_threshold;
drop table fruits;
