-- How SQL text is read: identifiers, quotes, comments, operators, parameters of psql.

SELECT 1 AS Upper, 2 AS "Upper", 3 AS "with ""quotes""", 4 AS _under, 5 AS dollar$1, 6 AS ünïcode;
select U&"d\0061t\+000061" from (select 1 as "data") t;
select 1/**/+/* in between */2 as three, 1--2
+ 3 as four;
select 1+-1, 1 - -1, - - 1, +1, 2*-3, -2 ^ 2, 2 ^ -1, 2 ^ 3 ^ 2, 7 - 3 - 2, 2 + 3 * 4 % 3;
select 1 = 1 = true, not true = false, true or false and false, 1 < 2 and 2 < 3, 3 between 1 and 2 + 2;
select 1 < 2 < 3;
select 1 is null = false, 'a' || 'b' like 'ab', -1::int2, (-1)::int2, 'x' || 1 + 1;
select 1 + 2 || 'x', 1 <> 2, 1 != 2, 5 >= 4, 10 / 4 * 2, 2 * 3 / 4.0;
select 'a' < 'b' collate "C", 'B' < 'a' collate "C";
select 'x' collate "nothing";
select 1 operator(pg_catalog.+) 2;
select true is not false and null is null;

-- Names longer than the limit, case, keywords as names.
select 1 as name, 2 as type, 3 as value, 4 as year, 5 as day, 6 as zone, 7 as text, 8 as abort;
select date from (select 1 as date) d;
create table "order" ("group" int, "Table" text);
insert into "order" values (1, 'x');
select "group", "Table", "order"."group" from "order";
select o.* , "group" + 1 as next from "order" o;
select "order" from "order";
drop table "order";

-- Whole rows, column aliases, stars.
create table pair (a int, b text);
insert into pair values (1, 'x'), (2, null);
select * from pair order by a;
select p.*, p.a from pair p order by a;
select pair.a, pair.* from pair order by 1;
select x, y from pair as q(x, y) order by x;
select x, b from pair as q(x) order by x;
select a from pair as q(x);
select q.a from pair as q(a, b, c);
select count(pair.*) from pair;
select public.pair.a from pair order by 1;
select a as "a b", b "c d" from pair order by a;
select row(1, 'a') = row(1, 'a'), (1, 2) < (1, 3), (1, null) is null, (null, null) is null, row(1, 2) <> row(1, 3);
select (1, 2) = (1, 2, 3);
select a, b from pair where (a, b) = (1, 'x');
select a from pair where (a, b) in ((1, 'x'), (2, 'y'));
select (a, b) from pair order by a;
drop table pair;

-- Literals.
select b'101', x'1F', pg_typeof(b'1'), B'0'::bit(3);
select 1., .1, 1.e1, 1e-1, 0.000001, 1e6, 100000000000000000000;
select 'a'::text 'b';
select 'multi
line', 'tab	in', '';
select '\', E'\\', E'\'', '''';
set standard_conforming_strings = off;
select 'a\\b';
set standard_conforming_strings = on;
select 'a\\b';
select current_date = current_date, current_timestamp = now(), localtimestamp is not null;
select current_schema(), current_user = session_user, current_role = user;
