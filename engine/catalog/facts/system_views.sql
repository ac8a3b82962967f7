-- The system views, in our own wording: names, types and order of the columns are PostgreSQL 18's.
-- Init runs this file in every new cluster, statement by statement, in the order of the file; a
-- statement ends with a semicolon at the end of a line.

-- Roles. Passwords are in pg_shadow alone.

CREATE VIEW pg_catalog.pg_roles AS
SELECT role.rolname, role.rolsuper, role.rolinherit, role.rolcreaterole, role.rolcreatedb,
       role.rolcanlogin, role.rolreplication, role.rolconnlimit,
       CAST('********' AS text) AS rolpassword, role.rolvaliduntil, role.rolbypassrls,
       own.setconfig AS rolconfig, role.oid
  FROM pg_authid AS role
  LEFT JOIN pg_db_role_setting AS own ON own.setrole = role.oid AND own.setdatabase = 0;

CREATE VIEW pg_catalog.pg_shadow AS
SELECT login.rolname AS usename, login.oid AS usesysid, login.rolcreatedb AS usecreatedb,
       login.rolsuper AS usesuper, login.rolreplication AS userepl, login.rolbypassrls AS usebypassrls,
       login.rolpassword AS passwd, login.rolvaliduntil AS valuntil, own.setconfig AS useconfig
  FROM pg_authid AS login
  LEFT JOIN pg_db_role_setting AS own ON own.setrole = login.oid AND own.setdatabase = 0
 WHERE login.rolcanlogin;

CREATE VIEW pg_catalog.pg_user AS
SELECT login.usename, login.usesysid, login.usecreatedb, login.usesuper, login.userepl,
       login.usebypassrls, CAST('********' AS text) AS passwd, login.valuntil, login.useconfig
  FROM pg_shadow AS login;

CREATE VIEW pg_catalog.pg_group AS
SELECT team.rolname AS groname, team.oid AS grosysid,
       ARRAY(SELECT belongs.member FROM pg_auth_members AS belongs WHERE belongs.roleid = team.oid)
           AS grolist
  FROM pg_authid AS team
 WHERE NOT team.rolcanlogin;

-- Relations by name.

CREATE VIEW pg_catalog.pg_tables AS
SELECT space.nspname AS schemaname, rel.relname AS tablename, pg_get_userbyid(rel.relowner) AS tableowner,
       place.spcname AS tablespace, rel.relhasindex AS hasindexes, rel.relhasrules AS hasrules,
       rel.relhastriggers AS hastriggers, rel.relrowsecurity AS rowsecurity
  FROM pg_class AS rel
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
  LEFT JOIN pg_tablespace AS place ON rel.reltablespace = place.oid
 WHERE rel.relkind IN ('r', 'p');

CREATE VIEW pg_catalog.pg_views AS
SELECT space.nspname AS schemaname, rel.relname AS viewname, pg_get_userbyid(rel.relowner) AS viewowner,
       pg_get_viewdef(rel.oid) AS definition
  FROM pg_class AS rel
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rel.relkind = 'v';

CREATE VIEW pg_catalog.pg_matviews AS
SELECT space.nspname AS schemaname, rel.relname AS matviewname,
       pg_get_userbyid(rel.relowner) AS matviewowner, place.spcname AS tablespace,
       rel.relhasindex AS hasindexes, rel.relispopulated AS ispopulated,
       pg_get_viewdef(rel.oid) AS definition
  FROM pg_class AS rel
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
  LEFT JOIN pg_tablespace AS place ON rel.reltablespace = place.oid
 WHERE rel.relkind = 'm';

CREATE VIEW pg_catalog.pg_indexes AS
SELECT space.nspname AS schemaname, owner.relname AS tablename, idx.relname AS indexname,
       place.spcname AS tablespace, pg_get_indexdef(idx.oid) AS indexdef
  FROM pg_class AS idx
  JOIN pg_index AS link ON link.indexrelid = idx.oid
  JOIN pg_class AS owner ON owner.oid = link.indrelid
  LEFT JOIN pg_namespace AS space ON owner.relnamespace = space.oid
  LEFT JOIN pg_tablespace AS place ON idx.reltablespace = place.oid
 WHERE idx.relkind IN ('i', 'I') AND owner.relkind IN ('r', 'm', 'p');

CREATE VIEW pg_catalog.pg_sequences AS
SELECT space.nspname AS schemaname, rel.relname AS sequencename,
       pg_get_userbyid(rel.relowner) AS sequenceowner, CAST(seq.seqtypid AS regtype) AS data_type,
       seq.seqstart AS start_value, seq.seqmin AS min_value, seq.seqmax AS max_value,
       seq.seqincrement AS increment_by, seq.seqcycle AS cycle, seq.seqcache AS cache_size,
       pg_sequence_last_value(CAST(rel.oid AS regclass)) AS last_value
  FROM pg_sequence AS seq
  JOIN pg_class AS rel ON rel.oid = seq.seqrelid
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rel.relkind = 'S' AND NOT pg_is_other_temp_schema(space.oid);

CREATE VIEW pg_catalog.pg_rules AS
SELECT space.nspname AS schemaname, rel.relname AS tablename, rule.rulename,
       pg_get_ruledef(rule.oid) AS definition
  FROM pg_rewrite AS rule
  JOIN pg_class AS rel ON rel.oid = rule.ev_class
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rule.rulename <> '_RETURN';

-- The session and the server.

CREATE VIEW pg_catalog.pg_settings AS
SELECT param.name, param.setting, param.unit, param.category, param.short_desc, param.extra_desc,
       param.context, param.vartype, param.source, param.min_val, param.max_val, param.enumvals,
       param.boot_val, param.reset_val, param.sourcefile, param.sourceline, param.pending_restart
  FROM pg_show_all_settings() AS param;

CREATE VIEW pg_catalog.pg_cursors AS
SELECT open.name, open.statement, open.is_holdable, open.is_binary, open.is_scrollable,
       open.creation_time
  FROM pg_cursor() AS open;

CREATE VIEW pg_catalog.pg_prepared_statements AS
SELECT kept.name, kept.statement, kept.prepare_time, kept.parameter_types, kept.result_types,
       kept.from_sql, kept.generic_plans, kept.custom_plans
  FROM pg_prepared_statement() AS kept;

CREATE VIEW pg_catalog.pg_prepared_xacts AS
SELECT waiting.transaction, waiting.gid, waiting.prepared, who.rolname AS owner, base.datname AS database
  FROM pg_prepared_xact() AS waiting
  LEFT JOIN pg_authid AS who ON who.oid = waiting.ownerid
  LEFT JOIN pg_database AS base ON base.oid = waiting.dbid;

CREATE VIEW pg_catalog.pg_locks AS
SELECT held.locktype, held.database, held.relation, held.page, held.tuple, held.virtualxid,
       held.transactionid, held.classid, held.objid, held.objsubid, held.virtualtransaction, held.pid,
       held.mode, held.granted, held.fastpath, held.waitstart
  FROM pg_lock_status() AS held;

CREATE VIEW pg_catalog.pg_stat_activity AS
SELECT proc.datid, base.datname, proc.pid, proc.leader_pid, proc.usesysid, who.rolname AS usename,
       proc.application_name, proc.client_addr, proc.client_hostname, proc.client_port,
       proc.backend_start, proc.xact_start, proc.query_start, proc.state_change, proc.wait_event_type,
       proc.wait_event, proc.state, proc.backend_xid, proc.backend_xmin, proc.query_id, proc.query,
       proc.backend_type
  FROM pg_stat_get_activity(NULL) AS proc
  LEFT JOIN pg_database AS base ON base.oid = proc.datid
  LEFT JOIN pg_authid AS who ON who.oid = proc.usesysid;

CREATE VIEW pg_catalog.pg_stat_ssl AS
SELECT proc.pid, proc.ssl, proc.sslversion AS version, proc.sslcipher AS cipher, proc.sslbits AS bits,
       proc.ssl_client_dn AS client_dn, proc.ssl_client_serial AS client_serial,
       proc.ssl_issuer_dn AS issuer_dn
  FROM pg_stat_get_activity(NULL) AS proc
 WHERE proc.client_port IS NOT NULL;

CREATE VIEW pg_catalog.pg_stat_gssapi AS
SELECT proc.pid, proc.gss_auth AS gss_authenticated, proc.gss_princ AS principal,
       proc.gss_enc AS encrypted, proc.gss_delegation AS credentials_delegated
  FROM pg_stat_get_activity(NULL) AS proc
 WHERE proc.client_port IS NOT NULL;

-- Cumulative statistics of the server.

CREATE VIEW pg_catalog.pg_stat_bgwriter AS
SELECT pg_stat_get_bgwriter_buf_written_clean() AS buffers_clean,
       pg_stat_get_bgwriter_maxwritten_clean() AS maxwritten_clean,
       pg_stat_get_buf_alloc() AS buffers_alloc,
       pg_stat_get_bgwriter_stat_reset_time() AS stats_reset;

CREATE VIEW pg_catalog.pg_stat_checkpointer AS
SELECT pg_stat_get_checkpointer_num_timed() AS num_timed,
       pg_stat_get_checkpointer_num_requested() AS num_requested,
       pg_stat_get_checkpointer_num_performed() AS num_done,
       pg_stat_get_checkpointer_restartpoints_timed() AS restartpoints_timed,
       pg_stat_get_checkpointer_restartpoints_requested() AS restartpoints_req,
       pg_stat_get_checkpointer_restartpoints_performed() AS restartpoints_done,
       pg_stat_get_checkpointer_write_time() AS write_time,
       pg_stat_get_checkpointer_sync_time() AS sync_time,
       pg_stat_get_checkpointer_buffers_written() AS buffers_written,
       pg_stat_get_checkpointer_slru_written() AS slru_written,
       pg_stat_get_checkpointer_stat_reset_time() AS stats_reset;

CREATE VIEW pg_catalog.pg_stat_wal AS
SELECT log.wal_records, log.wal_fpi, log.wal_bytes, log.wal_buffers_full, log.stats_reset
  FROM pg_stat_get_wal() AS log;

-- Cumulative statistics of tables and indexes. The user and sys views take the rows apart by schema.

CREATE VIEW pg_catalog.pg_stat_all_tables AS
SELECT rel.oid AS relid, space.nspname AS schemaname, rel.relname,
       pg_stat_get_numscans(rel.oid) AS seq_scan,
       pg_stat_get_lastscan(rel.oid) AS last_seq_scan,
       pg_stat_get_tuples_returned(rel.oid) AS seq_tup_read,
       (SELECT CAST(sum(pg_stat_get_numscans(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = rel.oid) AS idx_scan,
       (SELECT max(pg_stat_get_lastscan(link.indexrelid))
          FROM pg_index AS link WHERE link.indrelid = rel.oid) AS last_idx_scan,
       (SELECT CAST(sum(pg_stat_get_tuples_fetched(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = rel.oid)
           + pg_stat_get_tuples_fetched(rel.oid) AS idx_tup_fetch,
       pg_stat_get_tuples_inserted(rel.oid) AS n_tup_ins,
       pg_stat_get_tuples_updated(rel.oid) AS n_tup_upd,
       pg_stat_get_tuples_deleted(rel.oid) AS n_tup_del,
       pg_stat_get_tuples_hot_updated(rel.oid) AS n_tup_hot_upd,
       pg_stat_get_tuples_newpage_updated(rel.oid) AS n_tup_newpage_upd,
       pg_stat_get_live_tuples(rel.oid) AS n_live_tup,
       pg_stat_get_dead_tuples(rel.oid) AS n_dead_tup,
       pg_stat_get_mod_since_analyze(rel.oid) AS n_mod_since_analyze,
       pg_stat_get_ins_since_vacuum(rel.oid) AS n_ins_since_vacuum,
       pg_stat_get_last_vacuum_time(rel.oid) AS last_vacuum,
       pg_stat_get_last_autovacuum_time(rel.oid) AS last_autovacuum,
       pg_stat_get_last_analyze_time(rel.oid) AS last_analyze,
       pg_stat_get_last_autoanalyze_time(rel.oid) AS last_autoanalyze,
       pg_stat_get_vacuum_count(rel.oid) AS vacuum_count,
       pg_stat_get_autovacuum_count(rel.oid) AS autovacuum_count,
       pg_stat_get_analyze_count(rel.oid) AS analyze_count,
       pg_stat_get_autoanalyze_count(rel.oid) AS autoanalyze_count,
       pg_stat_get_total_vacuum_time(rel.oid) AS total_vacuum_time,
       pg_stat_get_total_autovacuum_time(rel.oid) AS total_autovacuum_time,
       pg_stat_get_total_analyze_time(rel.oid) AS total_analyze_time,
       pg_stat_get_total_autoanalyze_time(rel.oid) AS total_autoanalyze_time
  FROM pg_class AS rel
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rel.relkind IN ('r', 't', 'm', 'p');

CREATE VIEW pg_catalog.pg_stat_sys_tables AS
SELECT every.* FROM pg_stat_all_tables AS every
 WHERE every.schemaname IN ('pg_catalog', 'information_schema') OR every.schemaname LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_stat_user_tables AS
SELECT every.* FROM pg_stat_all_tables AS every
 WHERE every.schemaname NOT IN ('pg_catalog', 'information_schema')
   AND every.schemaname NOT LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_stat_all_indexes AS
SELECT owner.oid AS relid, idx.oid AS indexrelid, space.nspname AS schemaname, owner.relname,
       idx.relname AS indexrelname, pg_stat_get_numscans(idx.oid) AS idx_scan,
       pg_stat_get_lastscan(idx.oid) AS last_idx_scan,
       pg_stat_get_tuples_returned(idx.oid) AS idx_tup_read,
       pg_stat_get_tuples_fetched(idx.oid) AS idx_tup_fetch
  FROM pg_index AS link
  JOIN pg_class AS owner ON owner.oid = link.indrelid
  JOIN pg_class AS idx ON idx.oid = link.indexrelid
  LEFT JOIN pg_namespace AS space ON owner.relnamespace = space.oid
 WHERE owner.relkind IN ('r', 't', 'm');

CREATE VIEW pg_catalog.pg_stat_sys_indexes AS
SELECT every.* FROM pg_stat_all_indexes AS every
 WHERE every.schemaname IN ('pg_catalog', 'information_schema') OR every.schemaname LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_stat_user_indexes AS
SELECT every.* FROM pg_stat_all_indexes AS every
 WHERE every.schemaname NOT IN ('pg_catalog', 'information_schema')
   AND every.schemaname NOT LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_all_tables AS
SELECT rel.oid AS relid, space.nspname AS schemaname, rel.relname,
       pg_stat_get_blocks_fetched(rel.oid) - pg_stat_get_blocks_hit(rel.oid) AS heap_blks_read,
       pg_stat_get_blocks_hit(rel.oid) AS heap_blks_hit,
       (SELECT CAST(sum(pg_stat_get_blocks_fetched(link.indexrelid)
                        - pg_stat_get_blocks_hit(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = rel.oid) AS idx_blks_read,
       (SELECT CAST(sum(pg_stat_get_blocks_hit(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = rel.oid) AS idx_blks_hit,
       pg_stat_get_blocks_fetched(toast.oid) - pg_stat_get_blocks_hit(toast.oid) AS toast_blks_read,
       pg_stat_get_blocks_hit(toast.oid) AS toast_blks_hit,
       (SELECT CAST(sum(pg_stat_get_blocks_fetched(link.indexrelid)
                        - pg_stat_get_blocks_hit(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = toast.oid) AS tidx_blks_read,
       (SELECT CAST(sum(pg_stat_get_blocks_hit(link.indexrelid)) AS bigint)
          FROM pg_index AS link WHERE link.indrelid = toast.oid) AS tidx_blks_hit
  FROM pg_class AS rel
  LEFT JOIN pg_class AS toast ON toast.oid = rel.reltoastrelid
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rel.relkind IN ('r', 't', 'm');

CREATE VIEW pg_catalog.pg_statio_sys_tables AS
SELECT every.* FROM pg_statio_all_tables AS every
 WHERE every.schemaname IN ('pg_catalog', 'information_schema') OR every.schemaname LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_user_tables AS
SELECT every.* FROM pg_statio_all_tables AS every
 WHERE every.schemaname NOT IN ('pg_catalog', 'information_schema')
   AND every.schemaname NOT LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_all_indexes AS
SELECT owner.oid AS relid, idx.oid AS indexrelid, space.nspname AS schemaname, owner.relname,
       idx.relname AS indexrelname,
       pg_stat_get_blocks_fetched(idx.oid) - pg_stat_get_blocks_hit(idx.oid) AS idx_blks_read,
       pg_stat_get_blocks_hit(idx.oid) AS idx_blks_hit
  FROM pg_index AS link
  JOIN pg_class AS owner ON owner.oid = link.indrelid
  JOIN pg_class AS idx ON idx.oid = link.indexrelid
  LEFT JOIN pg_namespace AS space ON owner.relnamespace = space.oid
 WHERE owner.relkind IN ('r', 't', 'm');

CREATE VIEW pg_catalog.pg_statio_sys_indexes AS
SELECT every.* FROM pg_statio_all_indexes AS every
 WHERE every.schemaname IN ('pg_catalog', 'information_schema') OR every.schemaname LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_user_indexes AS
SELECT every.* FROM pg_statio_all_indexes AS every
 WHERE every.schemaname NOT IN ('pg_catalog', 'information_schema')
   AND every.schemaname NOT LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_all_sequences AS
SELECT rel.oid AS relid, space.nspname AS schemaname, rel.relname,
       pg_stat_get_blocks_fetched(rel.oid) - pg_stat_get_blocks_hit(rel.oid) AS blks_read,
       pg_stat_get_blocks_hit(rel.oid) AS blks_hit
  FROM pg_class AS rel
  LEFT JOIN pg_namespace AS space ON rel.relnamespace = space.oid
 WHERE rel.relkind = 'S';

CREATE VIEW pg_catalog.pg_statio_sys_sequences AS
SELECT every.* FROM pg_statio_all_sequences AS every
 WHERE every.schemaname IN ('pg_catalog', 'information_schema') OR every.schemaname LIKE 'pg\_toast%';

CREATE VIEW pg_catalog.pg_statio_user_sequences AS
SELECT every.* FROM pg_statio_all_sequences AS every
 WHERE every.schemaname NOT IN ('pg_catalog', 'information_schema')
   AND every.schemaname NOT LIKE 'pg\_toast%';

-- A row a database, and one with number 0 for what the databases share.

CREATE VIEW pg_catalog.pg_stat_database AS
SELECT base.datid, base.datname,
       CASE WHEN base.datid = 0 THEN 0 ELSE pg_stat_get_db_numbackends(base.datid) END AS numbackends,
       pg_stat_get_db_xact_commit(base.datid) AS xact_commit,
       pg_stat_get_db_xact_rollback(base.datid) AS xact_rollback,
       pg_stat_get_db_blocks_fetched(base.datid) - pg_stat_get_db_blocks_hit(base.datid) AS blks_read,
       pg_stat_get_db_blocks_hit(base.datid) AS blks_hit,
       pg_stat_get_db_tuples_returned(base.datid) AS tup_returned,
       pg_stat_get_db_tuples_fetched(base.datid) AS tup_fetched,
       pg_stat_get_db_tuples_inserted(base.datid) AS tup_inserted,
       pg_stat_get_db_tuples_updated(base.datid) AS tup_updated,
       pg_stat_get_db_tuples_deleted(base.datid) AS tup_deleted,
       pg_stat_get_db_conflict_all(base.datid) AS conflicts,
       pg_stat_get_db_temp_files(base.datid) AS temp_files,
       pg_stat_get_db_temp_bytes(base.datid) AS temp_bytes,
       pg_stat_get_db_deadlocks(base.datid) AS deadlocks,
       pg_stat_get_db_checksum_failures(base.datid) AS checksum_failures,
       pg_stat_get_db_checksum_last_failure(base.datid) AS checksum_last_failure,
       pg_stat_get_db_blk_read_time(base.datid) AS blk_read_time,
       pg_stat_get_db_blk_write_time(base.datid) AS blk_write_time,
       pg_stat_get_db_session_time(base.datid) AS session_time,
       pg_stat_get_db_active_time(base.datid) AS active_time,
       pg_stat_get_db_idle_in_transaction_time(base.datid) AS idle_in_transaction_time,
       pg_stat_get_db_sessions(base.datid) AS sessions,
       pg_stat_get_db_sessions_abandoned(base.datid) AS sessions_abandoned,
       pg_stat_get_db_sessions_fatal(base.datid) AS sessions_fatal,
       pg_stat_get_db_sessions_killed(base.datid) AS sessions_killed,
       pg_stat_get_db_parallel_workers_to_launch(base.datid) AS parallel_workers_to_launch,
       pg_stat_get_db_parallel_workers_launched(base.datid) AS parallel_workers_launched,
       pg_stat_get_db_stat_reset_time(base.datid) AS stats_reset
  FROM (SELECT CAST(0 AS oid) AS datid, CAST(NULL AS name) AS datname
        UNION ALL
        SELECT known.oid, known.datname FROM pg_database AS known) AS base;
