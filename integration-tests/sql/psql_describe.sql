-- What psql's backslash commands ask of the catalogs.

create schema app;
create table app.customer (id int primary key, name varchar(40) not null, email text unique, balance numeric(10,2), since date);
comment on table app.customer is 'who buys';
comment on column app.customer.email is 'where to write';
create table orders (id bigint primary key, customer int references app.customer(id) on delete cascade, placed timestamptz not null, note text);
create index orders_placed on orders (placed desc, customer);
create unique index orders_note on orders (note text_pattern_ops, customer nulls first) include (placed) with (fillfactor = 70);
create view recent as select id, customer from orders where placed > now() - interval '1 day';
set search_path = public, app;
\d
\d app.customer
\d orders
\d+ orders
\d recent
\d+ recent
\d orders_placed
\d orders_note
\dt
\dt app.*
\di
\dv
\dn
\du postgres
\df lower
\df+ abs
\dT money
\dp app.*
\db
\det
\drds
\ddp
select pg_get_indexdef(indexrelid), pg_get_indexdef(indexrelid, 1, false), pg_get_indexdef(indexrelid, 0, true) from pg_index where indrelid = 'orders'::regclass order by 1;
select conname, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true) from pg_constraint where conrelid in ('orders'::regclass, 'app.customer'::regclass) order by 1;
select schemaname, tablename, indexname, indexdef from pg_indexes where schemaname in ('app', 'public') order by 3;
select schemaname, viewname, viewowner, definition from pg_views where schemaname = 'public';
select pg_get_function_arguments('pg_catalog.pg_split_walfile_name'::regproc), pg_get_function_result('pg_catalog.pg_split_walfile_name'::regproc);
