-- Syntax errors, with the place where they were noticed.

selec 1;
select * form pg_class;
select from where;
select 1 +;
select (1;
select 1);
select 1 2;
select 'a' 'b';
select * from;
select * from pg_class where;
select * from pg_class group;
select * from pg_class order name;
select * from (select 1;
insert pg_class values (1);
insert into pg_class value (1);
insert into t (a b) values (1);
update t a = 1;
update t set a 1;
update t set = 1;
delete t;
delete from;
create;
create table;
create table t;
create table t (;
create table t (a);
create table t (a int b int);
create table t (a int,);
create table 1t (a int);
create table "" (a int);
create index on;
drop;
drop table;
drop table 1;
alter table t add;
begin transaction isolation;
commit work now;
set;
set work_mem;
set work_mem = ;
show;
explain;
prepare as select 1;
execute;
copy;
copy t from;
copy t of stdin;
truncate;
vacuum t,;
values;
values 1;
table;
;;;
-- Words that are reserved need quotes.
select user as from;
create table table (a int);
select 1 as select;
select 1 as "select";
select 1 select;
select 1 value;
-- Characters and literals.
select @;
select 1 @ 2 ~ ;
select $1a;
select $0;
select "unterminated;
";
select 'unterminated;
';
select $$unterminated;
$$;
select E'\u12';
select 1.5.5;
select 1e;
select 1ee5;
select 0x1g;
select x'1g';
select b'12';
select /* unterminated;
*/ 1;
select /* nested /* comment */ still */ 1;
select 1 -- comment to the end
;
select a.b.c.d.e;
select * from a.b.c.d;
select count(distinct);
select count(*, 1);
select case;
select case when 1;
select cast(1);
select cast(1 as);
select 1::;
select x in;
select 1 in ();
select 1 between 2;
select not;
select 1 is;
select exists 1;
select (select);
select * from t join;
select * from a join b;
select * from a natural join b on true;
select 1 limit;
select 1 limit 1 offset;
select 1 order by;
select 1 group by;
-- Positions count characters, not bytes.
select 'héllo', wörld;
select 'héllo' wörld fröm;
select 1,
       2,
       from 3;
select
    1 +
    nothing
from pg_class;
