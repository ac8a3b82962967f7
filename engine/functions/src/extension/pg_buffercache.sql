-- Looking into the shared buffer pool. PostgreSQL's extension has the same functions and columns.

CREATE FUNCTION pg_buffercache_pages() RETURNS SETOF record
  AS '$libdir/pg_buffercache', 'pg_buffercache_pages' LANGUAGE c PARALLEL SAFE;

CREATE VIEW pg_buffercache AS
SELECT frame.bufferid, frame.relfilenode, frame.reltablespace, frame.reldatabase, frame.relforknumber,
       frame.relblocknumber, frame.isdirty, frame.usagecount, frame.pinning_backends
  FROM pg_buffercache_pages() AS frame
       (bufferid integer, relfilenode oid, reltablespace oid, reldatabase oid, relforknumber smallint,
        relblocknumber bigint, isdirty boolean, usagecount smallint, pinning_backends integer);

CREATE FUNCTION pg_buffercache_summary(
    OUT buffers_used integer, OUT buffers_unused integer, OUT buffers_dirty integer,
    OUT buffers_pinned integer, OUT usagecount_avg double precision)
  AS '$libdir/pg_buffercache', 'pg_buffercache_summary' LANGUAGE c PARALLEL SAFE;

CREATE FUNCTION pg_buffercache_usage_counts(
    OUT usage_count integer, OUT buffers integer, OUT dirty integer, OUT pinned integer)
  RETURNS SETOF record
  AS '$libdir/pg_buffercache', 'pg_buffercache_usage_counts' LANGUAGE c PARALLEL SAFE;

CREATE FUNCTION pg_buffercache_evict(IN integer, OUT buffer_evicted boolean, OUT buffer_flushed boolean)
  AS '$libdir/pg_buffercache', 'pg_buffercache_evict' LANGUAGE c PARALLEL SAFE VOLATILE STRICT;

CREATE FUNCTION pg_buffercache_evict_relation(
    IN regclass, OUT buffers_evicted integer, OUT buffers_flushed integer, OUT buffers_skipped integer)
  AS '$libdir/pg_buffercache', 'pg_buffercache_evict_relation' LANGUAGE c PARALLEL SAFE VOLATILE STRICT;

CREATE FUNCTION pg_buffercache_evict_all(
    OUT buffers_evicted integer, OUT buffers_flushed integer, OUT buffers_skipped integer)
  AS '$libdir/pg_buffercache', 'pg_buffercache_evict_all' LANGUAGE c PARALLEL SAFE VOLATILE;
