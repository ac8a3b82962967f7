-- COPY in text format, out and in.

create table t (a int, b text, c numeric(6,2), d boolean, e bytea, f date);
insert into t values (1, 'plain', 1.5, true, '\x00ff', '2024-02-29'), (2, E'tab\there', null, false, '\x', null), (3, E'line\nbreak\\slash\r', -1, null, null, 'infinity'), (4, '', 0, true, 'abc', '0001-01-01 BC'), (5, '\N', 99, false, null, null);
copy t to stdout;
copy t (b, a) to stdout;
copy t to stdout (delimiter '|', null 'NULL');
copy t to stdout with delimiter ',' null as '';
copy (select a, upper(b) from t where a < 3 order by a desc) to stdout;
copy (values (1, 'x'), (2, null)) to stdout;
copy t (a, b) to stdout (format text, header);
copy (select 1 where false) to stdout;
copy (insert into t (a) values (6) returning a, b) to stdout;

create table u (a int, b text, c numeric(6,2) default 7, d text default 'dflt');
copy u (a, b) from stdin;
1	one
2	\N
3	tab\there\nnewline\\back
4	
5	\x41\101\q
\.
select * from u order by a;
copy u from stdin (delimiter '|', null '-');
6|six|6.66|-
7|-|-|last
\.
select * from u where a > 5 order by a;
copy u from stdin (header);
a	b	c	d
8	h	1	x
\.
copy u (b, a) from stdin (header match);
b	a
match	9
\.
copy u (a, b) from stdin (header match);
b	a
match	9
\.
copy u (a) from stdin where a > 10;
10
11
12
\.
select a, c, d from u where a > 7 order by a;

-- A bad line stops it, and nothing of it stays. The context tells where.
copy u (a, b) from stdin;
20	fine
x21	not fine
\.
copy u (a, b) from stdin;
20
\.
copy u (a, b) from stdin;
20	b	more
\.
copy u from stdin;
20	b	123456.5	d
\.
copy u (a) from stdin;
99999999999
\.
select count(*) from u where a >= 20;
create table k (id int primary key, v int not null check (v > 0));
copy k from stdin;
1	1
2	2
1	3
\.
copy k from stdin;
1	\N
\.
copy k from stdin;
1	0
\.
copy k from stdin;
1	10
2	20
\.
select * from k order by id;
copy k from stdin;
\.
select count(*) from k;

-- Mistakes.
copy nothing to stdout;
copy t (nothing) to stdout;
copy t (a, a) to stdout;
copy t to stdout (delimiter 'ab');
copy t to stdout (delimiter E'\n');
copy t to stdout (null E'\n');
copy t to stdout (delimiter 'a');
copy t to stdout (format nonsense);
copy t to stdout (no_option);
copy t to stdout (delimiter ',', delimiter ',');
copy t to stdout (quote '"');
copy (select nothing) to stdout;
copy (create table x (a int)) to stdout;
copy pg_class from stdin;
copy t from '/nonexistent/file';
copy t to 'relative';

-- In a transaction, with constraints checked at its end.
begin;
copy k from stdin;
3	30
4	40
\.
select sum(v) from k;
rollback;
select sum(v) from k;
drop table t, u, k;
