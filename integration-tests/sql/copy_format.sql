-- COPY: lines and their ends, CSV, binary, defaults, skipping of bad rows, headers, files, programs, FREEZE.
select current_setting('data_directory') || '/copy_test.bin' as binary, current_setting('data_directory') || '/copy_test.csv' as csv \gset
create table t (a int, b text);
copy t from stdin;
1	a\
b
\.
copy t from stdin;
1	a\.
2	b
\.
copy t from stdin;
1	a
\.x
\.
copy t from stdin with csv;
1,"a
b"
2,"a""b"
3,""
4,
5,"
\.
copy t from stdin with csv;
x,"a
b"
y,2
\.
copy t from stdin with csv;
1,"a
b"
y,2
\.
copy t from stdin with (format csv, null 'N', default 'D', force_null(b));
1,N
2,"N"
3,D
4,"D"
\.
copy t from stdin with (format csv, force_not_null(b));
1,
2,""
\.
copy t from stdin (on_error ignore);
x	1
2	2
3
\.
copy t from stdin (on_error ignore, log_verbosity verbose);
x	1
y	1
\.
copy t from stdin (on_error ignore, log_verbosity silent);
x	1
y	1
\.
copy t from stdin (on_error ignore, reject_limit 1);
x	1
y	1
\.
copy t from stdin (on_error ignore, log_verbosity verbose);
x	1
\.
copy t from stdin (header match);
a
\.
copy t from stdin (header match);
a	c
\.
copy t from stdin (header match);
a	\N
\.
copy t from stdin (header match);
a	b
20	z
\.
copy t from stdin (default '\D');
20	\D
\.
create table g (a int default 3 + 4, b text not null default 'q', c int);
copy g from stdin (default '\D');
\D	\D	\D
\.
copy g (a, b) from stdin (default '\D');
\D	\D
\.
copy g (a, b) from stdin (format csv, default 'D');
D,"D"
D,\N
\.
copy g from stdin (format csv);
1,,3
\.
copy t from stdin;
1	\xff
\.
copy t from stdin;
1	\303\251\x41\u
\.
copy t from stdin;
1	aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa	3
\.
copy t from stdin;

\.
copy t (a) from stdin;

\.
copy t from stdin with csv;

\.
copy t from stdin (encoding 'latin1');
1	é
\.
select * from t order by a, b;
select * from g order by a, b;
create table e ();
copy e from stdin;


\.
copy e from stdin;
x
\.
select count(*) from e;
copy t to :'binary' (format binary);
begin;
create table t2 (a int, b text);
copy t2 from :'binary' with binary;
select count(*) from t2;
copy t2 from :'binary';
rollback;
create table t2 (a bigint, b text);
copy t2 from :'binary' with binary;
copy t2 (a) from :'binary' with binary;
copy t to :'csv' (format csv, header);
truncate t2;
copy t2 from :'csv' (format csv, header match);
select count(*) from t2;
copy t2 from :'csv' with binary;
copy t from :'binary' csv;
begin;
create table fz (a int);
copy fz from stdin (freeze);
1
2
\.
savepoint s;
copy fz from stdin (freeze);
1
\.
rollback;
begin;
truncate t2;
copy t2 from stdin (freeze);
1	2
\.
commit;
select * from t2;
copy t2 from program 'echo 5; exit 2';
copy t2 from program 'printf "5\tfive\n"';
select * from t2;
