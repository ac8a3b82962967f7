-- oid: four bytes without a sign, the numbers of the catalogs.

select 0::oid, 1::oid, 4294967295::oid, '42'::oid, ' 42 '::oid;
select 4294967296::oid;
select (-1)::oid, '-1'::oid, '-2147483648'::oid;
select '-2147483649'::oid;
select '99999999999'::oid;
select 'abc'::oid;
select ''::oid;
select '4.2'::oid;
select 1.5::oid;

select 1::oid < 2::oid, 4294967295::oid > 1::oid, 1::oid = 1, 1::oid = 1::int8, 5::oid in (1, 5);
select 4294967295::oid::int8, 4294967295::oid::int4, 7::oid::text, pg_typeof(1::oid);
select 1::oid + 1;
select greatest(3::oid, 4294967290::oid), least(3::oid, 2::oid);

-- The tables of the catalogs have fixed numbers.
select oid, relname from pg_class where oid in (1247, 1249, 1255, 1259) order by oid;
select 'pg_class'::regclass::oid, 'int4'::regtype::oid, 1259::regclass, 23::regtype, 'pg_catalog.pg_type'::regclass;
select 'no_such_table'::regclass;
select 'no_such_type'::regtype;
select to_regclass('no_such_table'), to_regclass('pg_type'), to_regtype('integer');
select 999999::regclass, 0::regclass;

create table refs (o oid primary key, note text);
insert into refs values (1, 'one'), (4294967295, 'last'), (3000000000, 'big');
insert into refs values (1, 'again');
insert into refs values (-5, 'wraps');
select o, note from refs order by o;
select note from refs where o = 3000000000;
select note from refs where o = 3000000000::oid;
select min(o), max(o), count(o) from refs;
select sum(o) from refs;
-- System columns.
select tableoid::regclass, ctid, note from refs where o = 1;
select oid from refs;
drop table refs;
