-- DISTINCT, ORDER BY, LIMIT and OFFSET.

create table p (a int, b text, c numeric);
insert into p values (1, 'x', 1.0), (1, 'x', 1.00), (2, 'y', null), (null, 'x', 3), (3, null, 2), (2, 'a', 5);

select distinct a from p order by a;
select distinct b from p order by b desc;
-- 1.0 and 1.00 are equal.
select distinct a, b, c from p order by a, b, c;
select distinct a % 2 as odd from p order by odd;
select count(*) from (select distinct a, b from p) d;
select all a from p order by a;

-- ORDER BY takes output names, positions, and expressions over the input.
select a, b from p order by a, b;
select a, b from p order by 2, 1 desc;
select a as z, b from p order by z desc nulls last, b;
select b from p order by a desc nulls first, b nulls first;
select a from p order by -a;
select a, c from p order by a + c, a;
select a, c from p order by c desc, a;
select b from p order by b using >;
select b from p order by b using ~~;
-- A bare name is the output column first; inside an expression it is the input column.
select -a as a from p where a is not null order by a;
select -a as a from p where a is not null order by a + 0;
select a from p order by 3;
select a from p order by 0;
select a from p order by 'text';
select a as x, b as x from p order by x;
select a from p order by nothing;
select distinct a from p order by b;
select a from p order by a using =;

-- LIMIT and OFFSET.
select a, b from p order by a, b limit 2;
select a, b from p order by a, b limit 2 offset 1;
select a, b from p order by a, b offset 4;
select a from p order by a limit 0;
select a from p order by a limit all;
select a from p order by a limit null offset null;
select a from p order by a offset 100;
select a from p order by a limit 1 + 1;
select a from p order by a fetch first 2 rows only;
select a from p order by a fetch first row only;
select a from p order by a nulls first offset 1 row fetch next 2 rows only;
select a from p where a is not null order by a fetch first 1 rows with ties;
select a from p limit -1;
select a from p offset -1;
select a from p limit 'x';
select a from p limit a;
select a from p order by a limit 1.5;
select a from p fetch first 2 rows with ties;
select a from p limit 1 limit 2;

-- A bounded sort gives what a full sort gives.
select g from generate_series(1, 5000) g order by (g * 7919) % 5000 limit 5;
select g from generate_series(1, 5000) g order by g desc limit 3 offset 2;
select count(*) from (select g from generate_series(1, 100) g limit 10) s;
drop table p;
