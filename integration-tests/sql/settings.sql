-- SET, RESET, SHOW, current_setting and set_config.

show work_mem;
set work_mem = '8MB';
show work_mem;
set work_mem = 65536;
show work_mem;
set work_mem to default;
show work_mem;
set work_mem = '1.5MB';
show work_mem;
reset work_mem;
select current_setting('work_mem'), current_setting('work_mem', true), current_setting('no_such', true);
select current_setting('no_such');
select set_config('work_mem', '2MB', false);
show work_mem;
select set_config('work_mem', '3MB', true);
show work_mem;
select set_config('no_such', 'x', false);
reset all;

-- Units and bounds.
set work_mem = '10';
set work_mem = '63kB';
set work_mem = '5 parsecs';
set work_mem = 'lots';
set work_mem = -1;
set statement_timeout = '1h';
show statement_timeout;
set statement_timeout = '90s';
show statement_timeout;
set statement_timeout = '1.5s';
show statement_timeout;
set statement_timeout = 0;
set statement_timeout = '5 MB';
set random_page_cost = 1.5;
show random_page_cost;
set random_page_cost = 'x';
set random_page_cost = -1;
set seq_page_cost = '1e0';
show seq_page_cost;

-- Booleans and enums.
set enable_seqscan = off;
show enable_seqscan;
set enable_seqscan = 'yes';
show enable_seqscan;
set enable_seqscan = 1;
set enable_seqscan = 2;
set enable_seqscan = maybe;
set client_min_messages = 'warning';
show client_min_messages;
set client_min_messages = 'loud';
set bytea_output = hex;
set synchronous_commit = 'remote_apply';
show synchronous_commit;
reset all;

-- Lists, strings, names with dots.
set search_path = a, "B c", 'd';
show search_path;
set datestyle = iso, dmy;
show datestyle;
set application_name = 'my program';
show application_name;
set my.setting = 'own';
show my.setting;
select current_setting('my.setting');
set my.setting to default;
show my.setting;
show never.set;
set time zone 'Europe/Berlin';
show timezone;
set time zone local;
set time zone -5;
show time zone;
set names 'UTF8';
show client_encoding;
set client_encoding = 'nonsense';
reset all;

-- Not everything can be changed here.
set no_such_parameter = 1;
show no_such_parameter;
reset no_such_parameter;
set shared_buffers = '1GB';
set max_connections = 5;
set server_version = '99';
set block_size = 4096;
set fsync = off;
set port = 5;
set autovacuum = on;
set session_authorization = nobody;
set role nobody;

-- Case and quoting of names.
SET WORK_MEM = '4MB';
set "Work_Mem" = '4MB';
show TimeZone;
show "timezone";

-- Transactions: SET is undone by rollback, SET LOCAL ends with the transaction.
begin;
set work_mem = '7MB';
show work_mem;
rollback;
show work_mem;
begin;
set work_mem = '7MB';
commit;
show work_mem;
begin;
set local work_mem = '9MB';
show work_mem;
commit;
show work_mem;
set local work_mem = '11MB';
show work_mem;
begin;
set local work_mem = '12MB';
savepoint s;
set local work_mem = '13MB';
rollback to s;
show work_mem;
rollback;
reset work_mem;
show work_mem;
set session work_mem = '5MB';
discard all;
show work_mem;

show server_version_num;
show server_encoding;
show block_size;
show wal_segment_size;
show max_identifier_length;
show integer_datetimes;
show standard_conforming_strings;
show is_superuser;
