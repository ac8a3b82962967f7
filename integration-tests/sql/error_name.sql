-- Names that are not there, or there twice, with PostgreSQL's hints.

create table emp (id int, name text, dept_id int);
create table dept (id int, name text);
insert into emp values (1, 'a', 1);
insert into dept values (1, 'd');

select * from employees;
select * from public.employees;
select * from nowhere.emp;
select nam from emp;
select emp.nam from emp;
select e.nam from emp e;
select dept.name from emp;
select emp.name from emp e;
select x.name from emp e;
select names, dept_idd from emp;
select completely_different from emp;
select id from emp, dept;
select name from emp join dept on emp.dept_id = dept.id;
select emp.id from emp join dept on id = dept_id;
select * from emp, emp;
select * from emp e, dept e;
select emp.* from dept;
select x.*;
select * from emp join dept using (missing);
select * from emp join dept using (dept_id);
select "ID" from emp;
select * from "Emp";
select id from emp where Name = 'a' and NAMES = 'b';
select a.id from emp a where exists (select 1 from dept b where b.id = c.id);
select id as x from emp where x = 1;
select id from emp order by nothing;
select id from emp group by nothing;
update emp set nam = 'x';
insert into emp (nam) values ('x');
delete from emp where nam = 'x';

-- Functions.
select nofunction(1);
select nofunction();
select lenght('x');
select length();
select length('a', 'b', 'c');
select length(1);
select upper(1, 2);
select substr('abc');
select pg_catalog.nofunction(1);
select nowhere.length('x');
select abs('x');
select abs('x'::text);
select round(1.5, 'x');
select max(1, 2);
select now(1);
select sum('x');
select count;
select length(all 'x');
select length(*);
select coalesce(distinct 1);
select generate_series('a', 'b', 'c');

-- Operators.
select 1 + 'x'::text;
select 1 || 2;
select 'a'::text + 'b'::text;
select 'a' - 'b';
select true > 1;
select 1 = true;
select -'a'::text;
select not 'a'::text;
select 1 !! 2;
select 1 <=> 2;
select emp = 1 from emp;
select date '2024-01-01' + 'x';
select 1 like 2;
select name + 1 from emp;
select id || id from emp;
select id = name from emp;
select * from emp where id = 'abc';
select * from emp where id;
select * from emp where name;
select * from emp where 1;
select * from emp limit name;
select * from emp join dept on emp.id;
select case when id then 1 end from emp;
select id and true from emp;

-- Types, parameters, casts.
select 1::nothing;
select nothing '1';
select $1;
create table bad (a nothing);
create table bad (a pg_class.b);
select 'x'::emp.id;
select null::unknown_type[];

-- SQLSTATE and the parts of a message.
\set VERBOSITY sqlstate
select * from employees;
select nam from emp;
select id from emp, dept;
select nofunction(1);
select 1 + 'x'::text;
select 1 / 0;
select 'x'::int;
select 99999999999::int4;
selec 1;
insert into emp values (1, 2, 3, 4);
create table emp (a int);
drop table nothing;
select * from nowhere.emp;
set nothing = 1;
select 1::nothing;
rollback to nothing;
select id, count(*) from emp;
select * from emp, emp;
\set VERBOSITY terse
select nam from emp;
drop table emp;
drop table dept;
\set VERBOSITY default
select nam from emp;

-- Where functions of some kinds are refused, and how errors name the place.
create table placed (a int);
prepare taking(int) as select $1;
create table refused (a int check (row_number() over () > 1));
create table refused (a int check (generate_series(1, 2) > 1));
create table refused (a int check (count(*) > 1));
create table refused (a int default row_number() over ());
create table refused (a int default generate_series(1, 2));
create table refused (a int default count(*));
alter table placed alter a type bigint using row_number() over ();
alter table placed alter a type bigint using generate_series(1, a);
alter table placed alter a type bigint using count(*);
execute taking(row_number() over ());
execute taking(generate_series(1, 2));
execute taking(count(*));
copy placed from stdin where row_number() over () > 1;
copy placed from stdin where generate_series(1, a) > 1;
copy placed from stdin where count(*) > 1;
select * from placed join placed b on row_number() over () > 1;
select * from placed join placed b on generate_series(1, 2) > 1;
select * from placed join placed b on count(*) > 1;
select * from placed where row_number() over () > 1;
select * from placed where generate_series(1, 2) > 1;
select sum(a) over (partition by row_number() over ()) from placed;
select * from generate_series(1, row_number() over ()) g;
select * from generate_series(1, count(*)) g;
select a from placed group by a having row_number() over () > 1;
select a from placed limit row_number() over ();
select a from placed limit generate_series(1, 2);
select a from placed limit count(*);
update placed set a = row_number() over ();
update placed set a = generate_series(1, 2);
update placed set a = count(*);
insert into placed values (row_number() over ());
insert into placed values (count(*));
insert into placed values (1) returning row_number() over ();
insert into placed values (1) returning generate_series(1, 2);
insert into placed values (1) returning count(*);
deallocate taking;
drop table placed;
