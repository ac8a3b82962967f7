-- LATERAL: items of FROM that look at the items before them.
create table t (a int, b int, c int);
insert into t values (1, 2, 3), (4, 5, 6), (7, null, 9);
create table u (k int, v text);
insert into u values (1, 'one'), (4, 'four'), (4, 'vier'), (null, 'none');
-- Without a FROM of its own.
select x.p, t.a from t, lateral (select t.c as q, t.a as p) as x order by t.a;
select x.q from t, lateral (select t.c as q where t.b is not null) as x order by 1;
-- Columns that only the lateral item looks at.
select x.v from t, lateral (select v from u where u.k = t.a) as x order by 1;
select t.a, x.n from t, lateral (select count(*) as n from u where u.k = t.a) as x order by 1;
select t.a, x.n from t left join lateral (select v as n from u where u.k = t.a order by v limit 1) as x on true order by 1;
select x.s from t, lateral generate_series(1, t.a) as x (s) where t.a < 5 order by 1;
select t.a, x.column1 from t, lateral (values (t.b), (t.c)) as x order by 1, 2;
-- One after the other, and through a subquery.
select y.r from t, lateral (select t.a + 1 as q) as x, lateral (select x.q + t.b as r) as y order by 1;
select s.a, x.m from (select a, b from t where a < 5) as s, lateral (select max(k) + s.b as m from u where k <= s.a) as x order by 1;
select count(*) from t, lateral (select 1 from u, lateral (select 1 where u.k = t.a) as y) as x;
select (select x.p from (select t.a as p) as x) from t order by 1;
-- What it may not look at.
select * from lateral (select t.a) as x, t;
select * from t right join lateral (select t.a) as x on true;
drop table t, u;
-- An outer join within a LATERAL subquery whose condition looks outside: it stays a join of the subquery.
create table outside (a int, c bool);
insert into outside values (1, true), (2, false), (3, null), (4, true);
create table inside (d int, e text);
insert into inside values (1, 'one'), (4, 'four');
select o.a, v.x, i.e from outside o, lateral (select * from (values (true, 4), (null, 1), (true, 1)) v (x, y) left join inside i on i.d = v.y and v.x >= o.c) w (x, y, d, e), inside i where i.d = 1 order by 1, 2, 3;
select o.a, count(*), count(w.e) from outside o, lateral (select * from inside i right join (values (true, 4), (null, 1), (true, 1)) v (x, y) on i.d = v.y and not exists (select 1 from inside where v.x >= o.c)) w group by o.a order by o.a;
select o.a, w.d from outside o left join lateral (select i.d, o.c from inside i where i.d = o.a) w on true order by 1;
select o.a, w.d from outside o left join (inside j cross join lateral (select i.d from inside i where i.d < o.a and j.d = 1) w) on true order by 1, 2;
drop table outside, inside;
-- A condition that ties a LATERAL subquery to one side, while it also looks at what an outer join brings.
create table sides (a int, b int, d bool, e numeric);
insert into sides values (1, 1, true, 1.5), (2, 5, false, 2.5), (3, null, null, 3.5);
select x.a, y.a, z.m from sides x left join sides y on y.a = x.b, lateral (select max(e) as m from sides w where w.a = y.a or x.d) z where x.b <= z.m order by 1, 2;
select count(*) from sides x left join sides y on true, lateral (select max(e) as m from sides w where w.a = y.a or x.d) z where x.b <= z.m;
drop table sides;
