-- VALUES lists, generate_series, and SELECT without a table.

values (1, 'one'), (2, 'two'), (3, null);
values (1), (2.5), (null);
values (3), (1), (2) order by 1;
values (3), (1), (2) order by column1 desc limit 2;
select * from (values (1, 'a'), (2, 'b')) as t(n, s) where n > 1;
select column1, column2 from (values (true, 1), (false, 2)) v order by 2;
select sum(x) from (values (1), (2), (3)) v(x);
values (1, 2), (3);
values (1), ('a');
values ();
select * from (values (1)) v(a, b);
select max(v.n), min(v.s) from (values (1, 'z'), (5, 'b')) v(n, s);

-- Selecting nothing in particular.
select;
select 1 where false;
select 1 as a, 1 as a;
select 1 "Quoted Name", 2 as "select";
select 1 where null;
select 'a', 'b' where true;
select *;

-- generate_series in FROM.
select * from generate_series(1, 5);
select * from generate_series(5, 1);
select * from generate_series(5, 1, -2);
select * from generate_series(1, 10, 3) as g;
select g.n * 2 from generate_series(1, 3) as g(n);
select * from generate_series(1::int8, 3);
select * from generate_series(2147483646, 2147483647);
select * from generate_series(9223372036854775806, 9223372036854775807);
select * from generate_series(1.0, 2.0, 0.25);
select * from generate_series(1, null);
select * from generate_series(1, 3, 0);
select * from generate_series(1);
select * from generate_series('a', 'b');
select count(*), sum(g), min(g), max(g) from generate_series(1, 100000) g;
select a, b from generate_series(1, 2) a, generate_series(1, 3) b order by a, b;
select a.n from generate_series(1, 10) a(n) join generate_series(5, 15, 5) b(n) on a.n = b.n order by 1;

-- And in the list of outputs.
select generate_series(1, 3);
select generate_series(1, 3), 'x';
select generate_series(1, 2), generate_series(10, 12);
select generate_series(1, 4) as g order by g desc limit 2;
select count(*) from (select generate_series(1, 7)) s;
select 1 where generate_series(1, 2) = 1;
select count(generate_series(1, 3));
insert into nowhere select generate_series(1, 3);
