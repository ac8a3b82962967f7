-- CASE and its kin: evaluated in order, only as far as needed.

select case when 1 = 1 then 'yes' else 'no' end, case when 1 = 2 then 'yes' end, case 2 when 1 then 'one' when 2 then 'two' else 'many' end;
select case when null then 1 else 2 end, case null when null then 1 else 2 end;

create table n (i int, f float8, s text);
insert into n values (1, 1.5, 'one'), (2, null, 'two'), (0, 0, null), (-3, -1e10, 'minus three'), (null, 7, 'none');

select i, case when i > 0 then 'positive' when i < 0 then 'negative' when i = 0 then 'zero' else 'unknown' end as sign from n order by i;
-- Branches not taken are not evaluated: no division by zero.
select i, case when i <> 0 then 10 / i end from n order by i;
select i, case i when 0 then null else 10 / i end from n order by i;
select case when true then 1 else 1 / 0 end;
-- Constants are folded before, so this one fails.
select case when i > 100 then 1 / 0 else i end from n;

-- One type for all branches.
select pg_typeof(case when true then 1 else 2.5 end), pg_typeof(case when true then null else 'x'::varchar(3) end), pg_typeof(case when false then 1::int2 else 2::int8 end);
select case when true then 'a' else 1 end;
select case when 1 then 2 end;
select case i when 'x' then 1 end from n;

-- Nested, in WHERE, ORDER BY, GROUP BY, inside aggregates.
select i from n where case when s is null then true else i > 0 end order by i;
select s from n order by case s when 'two' then 1 when 'one' then 2 else 3 end, s;
select case when i >= 0 then 'up' else 'down' end as direction, count(*) from n group by 1 order by 1;
select case when i >= 0 then 'up' else 'down' end as direction, count(*) from n group by direction order by direction;
select sum(case when i > 0 then i else 0 end), count(case when i > 0 then 1 end), avg(case when i > 0 then f end) from n;
select case when count(*) > 3 then 'many' else 'few' end from n;
select i, case when i > 0 then case when i > 1 then 'big' else 'small' end else 'no' end from n order by i;

-- COALESCE, NULLIF, GREATEST, LEAST.
select i, coalesce(f, -1), coalesce(s, i::text, 'nothing') from n order by i;
select nullif(i, 0), nullif(s, 'one') from n order by i;
select i, 10 / nullif(i, 0) as safe from n order by i;
select greatest(i, 0), least(i, f), greatest(s, 'p') from n order by i;
select coalesce(1, 1 / 0);
select nullif(1, 'x');
select nullif(1);

-- UPDATE with CASE.
update n set s = case when i > 0 then upper(s) else coalesce(s, 'was null') end;
select i, s from n order by i;
drop table n;

-- Syntax.
select case end;
select case when true end;
select case when true then 1;
select case else 1 end;
