-- Sorts that do not fit into work_mem: many runs, merged in several passes.
create table cards (a int, b int, t text, n numeric);
insert into cards select g, (g::bigint * 7919) % 50021, case when g % 10 = 0 then null else md5(g::text) end, g % 100 / 8.0
  from generate_series(1, 50020) g;
analyze cards;
set work_mem = '64kB';
select a, b from cards order by b offset 24999 limit 3;
select b, t from cards order by t desc nulls last, b offset 40000 limit 3;
select t, b from cards order by t nulls first, b desc offset 5000 limit 4;
select n, t collate "C", a from cards order by n desc, t collate "C", a offset 30000 limit 3;
select * from (select a from cards order by b desc offset 1) s order by a limit 2;
select count(*), count(distinct t), min(b), max(b) from cards;
set enable_hashjoin = off;
set enable_nestloop = off;
select count(*), sum(x.a::bigint * y.b) from cards x join cards y on x.b = y.a;
select count(*), sum(x.b) from cards x join cards y on x.t = y.t and x.n = y.n;
reset enable_hashjoin;
reset enable_nestloop;
-- Read again.
set enable_material = off;
select v.i, s.b, s.t from (values (1), (2), (3)) v (i), lateral (select b, t from cards where a > v.i order by t desc, b offset 5002 limit 1) s;
create unlogged table few as select b from cards order by b desc limit 45000;
select min(b), max(b), count(*) from few;
drop table cards, few;
