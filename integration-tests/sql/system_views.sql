-- The system views that tell of the running server.

-- pg_stat_activity: this session, and the background processes.
select state, usename, datname, backend_type, wait_event, query from pg_stat_activity where pid = pg_backend_pid();
set application_name = 'looking';
select application_name, xact_start is not null as in_transaction, backend_xid, backend_xmin is not null as has_snapshot from pg_stat_activity where pid = pg_backend_pid();
select backend_type, count(*) from pg_stat_activity where backend_type in ('checkpointer', 'background writer', 'walwriter') group by 1 order by 1;

-- pg_locks: what this transaction holds.
create table t (a int primary key);
begin;
select locktype, mode, granted from pg_locks where pid = pg_backend_pid() and relation = 't'::regclass;
select count(*) from t;
select locktype, mode, granted, fastpath from pg_locks where pid = pg_backend_pid() and relation = 't'::regclass;
insert into t values (1);
select mode, granted from pg_locks where pid = pg_backend_pid() and relation = 't'::regclass order by mode;
lock table t in access exclusive mode;
select mode, granted, fastpath from pg_locks where pid = pg_backend_pid() and relation = 't'::regclass order by mode;
select locktype, mode, granted from pg_locks where pid = pg_backend_pid() and locktype in ('virtualxid', 'transactionid') order by 1;
rollback;
select count(*) from pg_locks where relation = 't'::regclass;
lock table t;
begin;
lock table nothing;
rollback;
begin;
lock t in share row exclusive mode nowait;
rollback;
begin;
lock t in some mode;
rollback;

-- pg_settings.
select name, setting, unit, context, vartype, boot_val, reset_val from pg_settings where name in ('work_mem', 'shared_buffers', 'fsync', 'max_connections', 'wal_level', 'deadlock_timeout', 'random_page_cost', 'checkpoint_timeout', 'bgwriter_delay') order by name;
select name, min_val, max_val, enumvals from pg_settings where name in ('work_mem', 'wal_level', 'random_page_cost', 'synchronous_commit', 'port') order by name;
select category, short_desc, extra_desc from pg_settings where name in ('work_mem', 'autovacuum', 'enable_seqscan') order by name;
set work_mem = '8MB';
select setting, source from pg_settings where name = 'work_mem';
reset work_mem;
select context, count(*) from pg_settings group by context order by context;
select count(*) from pg_settings;
select name from pg_settings where name like 'wal\_%' order by name;
select name from pg_settings where name like 'enable\_%' order by name;
select vartype, count(*) from pg_settings group by vartype order by vartype;

-- Counters of background work.
select count(*), min(buffers_clean) >= 0 as counted from pg_stat_bgwriter;
select num_timed >= 0 and num_requested >= 0 and buffers_written >= 0 as counted from pg_stat_checkpointer;
select wal_records >= 0 and wal_bytes >= 0 as counted from pg_stat_wal;
select attname, atttypid::regtype from pg_attribute where attrelid = 'pg_stat_checkpointer'::regclass order by attnum;
select attname, atttypid::regtype from pg_attribute where attrelid = 'pg_stat_wal'::regclass order by attnum;
select attname, atttypid::regtype from pg_attribute where attrelid = 'pg_stat_bgwriter'::regclass order by attnum;
select attname, atttypid::regtype from pg_attribute where attrelid = 'pg_stat_activity'::regclass order by attnum;
select attname, atttypid::regtype from pg_attribute where attrelid = 'pg_locks'::regclass order by attnum;

-- Positions in the log move forward.
select pg_current_wal_lsn() > '0/0'::pg_lsn as somewhere, pg_current_wal_insert_lsn() >= pg_current_wal_lsn() as ahead;
select pg_typeof(pg_current_wal_lsn());
select pg_is_in_recovery();
select count(*) from pg_tables where schemaname = 'public';
select schemaname, tablename, indexname, indexdef from pg_indexes where schemaname = 'public';
drop table t;
