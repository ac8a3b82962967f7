-- The catalogs are tables: read by SQL, with PostgreSQL 18's columns and numbers.

select oid, relname, relkind, relnatts from pg_class where relname in ('pg_class', 'pg_type', 'pg_proc', 'pg_attribute', 'pg_namespace', 'pg_index', 'pg_constraint', 'pg_database', 'pg_authid') order by oid;
select attname, atttypid::regtype, attnum, attnotnull from pg_attribute where attrelid = 'pg_class'::regclass and attnum > 0 order by attnum;
select attname, atttypid::regtype, attnum from pg_attribute where attrelid = 'pg_class'::regclass and attnum < 0 order by attnum;
select oid, typname, typlen, typbyval, typcategory, typispreferred, typdelim, typelem, typarray, typalign, typstorage from pg_type where typname in ('bool', 'int2', 'int4', 'int8', 'float8', 'numeric', 'text', 'varchar', 'bpchar', 'name', 'bytea', 'date', 'timestamp', 'timestamptz', 'oid') order by oid;
select oid, proname, prorettype::regtype, pronargs, proisstrict, provolatile from pg_proc where proname in ('int4pl', 'textcat', 'now', 'nextval') order by oid;
select oprname, oprleft::regtype, oprright::regtype, oprresult::regtype, oprcode from pg_operator where oprname = '+' and oprleft = 'int4'::regtype order by oprright;
select amname, amhandler, amtype from pg_am order by oid;
select oid, nspname from pg_namespace where oid < 100 order by oid;
select castsource::regtype, casttarget::regtype, castcontext, castmethod from pg_cast where castsource = 'int4'::regtype order by casttarget;
select relkind, count(*) from pg_class where oid < 16384 group by relkind order by relkind;
select count(*) from pg_proc where oid < 10000;
select count(*) from pg_operator;
select count(*) from pg_type where oid < 10000;
select aggfnoid, aggtranstype::regtype from pg_aggregate where aggfnoid::oid in (2147, 2803, 2108, 2101) order by aggfnoid::oid;
select opcname, opcintype::regtype from pg_opclass c join pg_am a on a.oid = c.opcmethod where amname = 'btree' and opcdefault and opcintype in (16, 20, 21, 23, 25, 1700) order by 2;
select collname, collprovider, collencoding from pg_collation where collname in ('default', 'C', 'POSIX', 'ucs_basic', 'unicode', 'pg_c_utf8') order by oid;
select relname from pg_class where relisshared and relkind = 'r' order by relname;

-- What a new table adds.
create table demo (id int primary key, name varchar(20) not null default 'x', price numeric(8,2) check (price > 0), other int references demo);
create index demo_name on demo (name desc);
select relname, relkind, relnatts, relhasindex, relchecks, relpersistence, relreplident, reltoastrelid <> 0 as has_toast from pg_class where relname like 'demo%' order by relname;
select attname, atttypid::regtype, attlen, atttypmod, attnum, attnotnull, atthasdef, attisdropped, attislocal, attcollation <> 0 as collatable from pg_attribute where attrelid = 'demo'::regclass order by attnum;
select indexrelid::regclass, indnatts, indisunique, indisprimary, indisvalid, indkey, indoption from pg_index where indrelid = 'demo'::regclass order by 1::text;
select conname, contype, conkey, confkey, confupdtype, confdeltype, confmatchtype, conindid::regclass from pg_constraint where conrelid = 'demo'::regclass order by conname;
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'demo'::regclass;
select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'demo'::regclass order by conname;
select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'demo'::regclass order by 1;
select typname, typtype, typrelid::regclass from pg_type where typname in ('demo', '_demo') order by 1;
select deptype, count(*) from pg_depend where refobjid = 'demo'::regclass group by deptype order by deptype;
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relname = 'demo' and a.attnum > 0 and not a.attisdropped order by a.attnum;
select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'demo'::regclass and attnum > 0 order by attnum;
select 'demo'::regclass::oid = oid, pg_table_is_visible(oid), pg_relation_filenode(oid) = relfilenode, pg_relation_filepath(oid) like 'base/%' from pg_class where relname = 'demo';
select obj_description('demo'::regclass), col_description('demo'::regclass, 1);
select schemaname, tablename, tableowner, hasindexes from pg_tables where tablename = 'demo';
select has_table_privilege('demo', 'select'), pg_get_userbyid(relowner) from pg_class where relname = 'demo';

-- Dropping takes all of it away.
drop table demo;
select count(*) from pg_class where relname like 'demo%';
select count(*) from pg_type where typname in ('demo', '_demo');
select version() like 'PostgreSQL 18%' as eighteen;
select count(*) from pg_attribute a where not exists (select 1 from pg_class c where c.oid = a.attrelid);
