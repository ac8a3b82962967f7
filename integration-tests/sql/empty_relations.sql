-- Relations and joins that are known to be empty before anything is read.
create table plants (a int, b int, c bool, d numeric);
insert into plants select g, g % 7, g % 2 = 0, g / 4.0 from generate_series(1, 50) g;
create index plants_a_b on plants (a desc, b);
create table seeds (a int, b int, c date);
insert into seeds values (1, 2, '2020-01-01'), (3, null, null);
analyze plants, seeds;

explain (costs off) select * from plants where null::text > 'a';
explain (costs off) select 1 from plants x join plants y on x.b = y.b where null::text > 'a';
explain (costs off) select 1 from plants x join seeds y on x.b = y.b and false;
explain (verbose, costs off) select x.a, y.c from plants x left join seeds y on x.b = y.b where x.d > null;
explain (costs off) select x.a, y.c from plants x left join seeds y on false order by 1;
select x.a, y.c from plants x left join seeds y on false order by 1 limit 3;
explain (costs off) select x.a, y.c from plants x full join seeds y on x.a = y.a where false;
explain (costs off) select * from seeds where exists (select 1 from plants where false);
explain (costs off) select * from seeds where not exists (select 1 from plants where false);
select count(*) from seeds where not exists (select 1 from plants where false);
select max(distinct nullif(0, b)), a from plants where date '2020-01-06' < date '2020-01-01' group by a;
select sum(distinct y.e) from plants x join (select (-1) = c::int as c1, d * 1 as e from plants) y on x.d = y.e where ('' > null::text) = y.c1 group by nullif(3, x.b), y.c1;

-- A full join whose unmatched rows of one side are rejected above.
select y.c, z.m from (plants x cross join (select max(a) as m from seeds) z) full join seeds y on z.m = y.a where x.b = 3 and x.a < 12;
select x.a, y.a from plants x full join seeds y on x.a = y.a where y.a > 0 order by 1;

-- A sort column computed by an index-only scan.
vacuum plants;
set enable_seqscan = off;
set enable_bitmapscan = off;
explain (verbose, costs off) select max(distinct case when a = b then a else b end) from plants having count(a) > 2;
select max(distinct case when a = b then a else b end) from plants having count(a) > 2;
drop table plants, seeds;
