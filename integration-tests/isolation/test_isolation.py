"""What concurrent transactions see of each other, and who waits for whom.

Each case is a script for sessions s1, s2 ... and the outcome that PostgreSQL 18 shows (run with --witness to see).
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from runner import Runner  # noqa: E402

CASES = {}


def case(name, script, expected):
    CASES[name] = (script, [line.strip() for line in expected.strip().splitlines()])


case("no_dirty_read", """
    s1: begin
    s1: update t set v = 99 where id = 1
    s2: select v from t where id = 1
    s1: rollback
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 rows (10)
    s1 ROLLBACK
    s2 rows (10)
""")

case("read_committed_sees_commits_between_statements", """
    s1: begin
    s1: select v from t where id = 1
    s2: update t set v = 11 where id = 1
    s1: select v from t where id = 1
    s1: commit
""", """
    s1 BEGIN
    s1 rows (10)
    s2 UPDATE 1
    s1 rows (11)
    s1 COMMIT
""")

case("repeatable_read_does_not", """
    s1: begin isolation level repeatable read
    s1: select v from t where id = 1
    s2: update t set v = 11 where id = 1
    s2: insert into t values (5, 50)
    s2: delete from t where id = 2
    s1: select id, v from t order by id
    s1: commit
    s1: select id, v from t order by id
""", """
    s1 BEGIN
    s1 rows (10)
    s2 UPDATE 1
    s2 INSERT 0 1
    s2 DELETE 1
    s1 rows (1, 10) (2, 20) (3, 30)
    s1 COMMIT
    s1 rows (1, 11) (3, 30) (5, 50)
""")

case("snapshot_is_taken_by_the_first_query_not_by_begin", """
    s1: begin isolation level repeatable read
    s2: update t set v = 11 where id = 1
    s1: select v from t where id = 1
    s1: commit
""", """
    s1 BEGIN
    s2 UPDATE 1
    s1 rows (11)
    s1 COMMIT
""")

case("no_lost_update_in_read_committed", """
    s1: begin
    s1: update t set v = v + 1 where id = 1
    s2: update t set v = v + 10 where id = 1
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 1
    s2 rows (21)
""")

case("waiter_goes_on_with_the_old_row_after_rollback", """
    s1: begin
    s1: update t set v = 1000 where id = 1
    s2: update t set v = v + 10 where id = 1
    s1: rollback
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 ROLLBACK
    s2 UPDATE 1
    s2 rows (20)
""")

case("condition_is_looked_at_again_on_the_new_row", """
    s1: begin
    s1: update t set v = 0 where id = 1
    s2: update t set v = v + 1 where v >= 10
    s1: commit
    s2: select id, v from t order by id
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 2
    s2 rows (1, 0) (2, 21) (3, 31)
""")

case("row_that_begins_to_match_is_missed", """
    s1: begin
    s1: update t set v = 5 where id = 1
    s2: delete from t where v = 5
    s1: commit
    s2: select id, v from t order by id
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 DELETE 0
    s1 COMMIT
    s2 rows (1, 5) (2, 20) (3, 30)
""")

case("deleted_row_is_skipped", """
    s1: begin
    s1: delete from t where id = 1
    s2: update t set v = 7 where id = 1
    s1: commit
    s2: select id from t order by id
""", """
    s1 BEGIN
    s1 DELETE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 0
    s2 rows (2) (3)
""")

case("chain_of_versions_is_followed", """
    s1: begin
    s1: update t set v = v + 1 where id = 1
    s1: update t set v = v + 1 where id = 1
    s2: update t set v = v * 2 where id = 1
    s1: update t set v = v + 1 where id = 1
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s1 UPDATE 1
    s2 waits
    s1 UPDATE 1
    s1 COMMIT
    s2 UPDATE 1
    s2 rows (26)
""")

case("changed_key_no_longer_matches", """
    s1: begin
    s1: update t set id = 100 where id = 1
    s2: update t set v = 7 where id = 1
    s1: commit
    s2: select id, v from t order by id
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 0
    s2 rows (2, 20) (3, 30) (100, 10)
""")

case("row_of_a_joined_table_stays_the_same", """
    s1: create table p (k int)
    s1: insert into p values (10), (99)
    s1: begin
    s1: update t set v = 99 where id = 1
    s2: delete from t where v in (select k from p)
    s1: commit
    s2: select id, v from t order by id
""", """
    s1 CREATE TABLE
    s1 INSERT 0 2
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 DELETE 0
    s2 rows (1, 99) (2, 20) (3, 30)
""")

case("uncorrelated_subquery_keeps_its_value", """
    s1: begin
    s1: update t set v = v + 5 where id = 1
    s2: update t set v = v + (select max(v) from t) where id = 1
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 1
    s2 rows (45)
""")

case("correlated_subquery_sees_the_new_row", """
    s1: create table p (k int, w int)
    s1: insert into p values (10, 1), (11, 2)
    s1: begin
    s1: update t set v = 11 where id = 1
    s2: update t set v = (select w from p where p.k = t.v) where id = 1
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 CREATE TABLE
    s1 INSERT 0 2
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 1
    s2 rows (2)
""")

case("locking_join_looks_at_the_condition_again", """
    s1: create table p (k int)
    s1: insert into p values (10), (20), (99)
    s1: begin
    s1: update t set v = 99 where id = 1
    s2: select t.id, p.k from t join p on p.k = t.v order by t.id for update
    s1: commit
""", """
    s1 CREATE TABLE
    s1 INSERT 0 3
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 rows (2, 20)
""")

case("locking_join_reads_the_new_row", """
    s1: create table p (k int, w int)
    s1: insert into p values (10, 1), (20, 2)
    s1: begin
    s1: update p set w = 7 where k = 10
    s2: select t.id, p.k, p.w from t join p on p.k = t.v order by t.id for update of p
    s1: commit
""", """
    s1 CREATE TABLE
    s1 INSERT 0 2
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 rows (1, 10, 7) (2, 20, 2)
""")

case("locking_outer_join_extends_with_nulls", """
    s1: create table p (k int)
    s1: insert into p values (10), (99)
    s1: begin
    s1: update t set v = 99 where id = 1
    s2: select t.id, t.v, p.k from t left join p on p.k = t.v where t.id < 3 order by t.id for update of t
    s1: commit
""", """
    s1 CREATE TABLE
    s1 INSERT 0 2
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 rows (1, 99, None) (2, 20, None)
""")

case("all_tables_of_a_join_are_locked", """
    s1: create table p (k int, w int)
    s1: insert into p values (10, 1)
    s1: begin
    s1: update t set v = 10 where id = 1
    s2: begin
    s2: select t.id, p.w from t join p on p.k = t.v for update
    s1: commit
    s1: begin
    s1: update p set w = 2
    s2: commit
    s1: commit
""", """
    s1 CREATE TABLE
    s1 INSERT 0 1
    s1 BEGIN
    s1 UPDATE 1
    s2 BEGIN
    s2 waits
    s1 COMMIT
    s2 rows (1, 1)
    s1 BEGIN
    s1 waits
    s2 COMMIT
    s1 UPDATE 1
    s1 COMMIT
""")

case("skip_locked_takes_the_next_row", """
    s1: begin
    s1: select id from t where id = 1 for update
    s2: select id from t order by id limit 1 for update skip locked
    s2: select id from t where id = 1 for update skip locked
    s1: commit
""", """
    s1 BEGIN
    s1 rows (1)
    s2 rows (2)
    s2 rows
    s1 COMMIT
""")

case("limit_locks_no_more_than_it_returns", """
    s1: begin
    s1: select id from t order by id limit 1 for update
    s2: update t set v = 0 where id = 2
    s1: commit
""", """
    s1 BEGIN
    s1 rows (1)
    s2 UPDATE 1
    s1 COMMIT
""")

case("row_changed_twice_by_one_transaction", """
    s1: begin
    s1: update t set v = 11 where id = 1
    s1: update t set v = 12, id = 5 where id = 1
    s2: update t set v = v + 100 where v between 10 and 12
    s1: commit
    s2: select id, v from t order by id
""", """
    s1 BEGIN
    s1 UPDATE 1
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 UPDATE 1
    s2 rows (2, 20) (3, 30) (5, 112)
""")

case("order_is_that_before_the_wait", """
    s1: begin
    s1: update t set v = 25 where id = 1
    s2: select id, v from t order by v for update
    s1: commit
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 waits
    s1 COMMIT
    s2 rows (1, 25) (2, 20) (3, 30)
""")

case("repeatable_read_refuses_concurrent_update", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: update t set v = 11 where id = 1
    s1: update t set v = 12 where id = 1
    s1: select 1
    s1: rollback
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 rows (3)
    s2 UPDATE 1
    s1 error 40001
    s1 error 25P02
    s1 ROLLBACK
    s2 rows (11)
""")

case("repeatable_read_waits_then_refuses", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: begin
    s2: update t set v = 11 where id = 1
    s1: delete from t where id = 1
    s2: commit
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (3)
    s2 BEGIN
    s2 UPDATE 1
    s1 waits
    s2 COMMIT
    s1 error 40001
    s1 ROLLBACK
""")

case("repeatable_read_goes_on_after_rollback_of_the_other", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: begin
    s2: update t set v = 11 where id = 1
    s1: update t set v = 12 where id = 1
    s2: rollback
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 rows (3)
    s2 BEGIN
    s2 UPDATE 1
    s1 waits
    s2 ROLLBACK
    s1 UPDATE 1
    s1 COMMIT
    s2 rows (12)
""")

case("write_skew_is_possible_in_repeatable_read", """
    s1: begin isolation level repeatable read
    s2: begin isolation level repeatable read
    s1: select sum(v) from t
    s2: select sum(v) from t
    s1: update t set v = -20 where id = 1
    s2: update t set v = -20 where id = 2
    s1: commit
    s2: commit
    s1: select sum(v) from t
""", """
    s1 BEGIN
    s2 BEGIN
    s1 rows (60)
    s2 rows (60)
    s1 UPDATE 1
    s2 UPDATE 1
    s1 COMMIT
    s2 COMMIT
    s1 rows (-10)
""")

case("second_insert_of_a_key_waits_and_fails", """
    s1: begin
    s1: insert into t values (7, 70)
    s2: insert into t values (7, 71)
    s1: commit
    s2: select v from t where id = 7
""", """
    s1 BEGIN
    s1 INSERT 0 1
    s2 waits
    s1 COMMIT
    s2 error 23505
    s2 rows (70)
""")

case("second_insert_of_a_key_succeeds_after_rollback", """
    s1: begin
    s1: insert into t values (7, 70)
    s2: insert into t values (7, 71)
    s1: rollback
    s2: select v from t where id = 7
""", """
    s1 BEGIN
    s1 INSERT 0 1
    s2 waits
    s1 ROLLBACK
    s2 INSERT 0 1
    s2 rows (71)
""")

case("key_of_a_deleted_row_waits", """
    s1: begin
    s1: delete from t where id = 1
    s2: insert into t values (1, 100)
    s1: commit
    s2: select v from t where id = 1
""", """
    s1 BEGIN
    s1 DELETE 1
    s2 waits
    s1 COMMIT
    s2 INSERT 0 1
    s2 rows (100)
""")

case("deadlock_of_rows", """
    s1: begin
    s2: begin
    s1: update t set v = 1 where id = 1
    s2: update t set v = 2 where id = 2
    s1: set deadlock_timeout = '10s'
    s1: update t set v = 1 where id = 2
    s2: update t set v = 2 where id = 1
    s: (deadlock)
    s2: rollback
    s1: commit
    s1: select id, v from t order by id
""", """
    s1 BEGIN
    s2 BEGIN
    s1 UPDATE 1
    s2 UPDATE 1
    s1 SET
    s1 waits
    s2 waits
    s1 UPDATE 1
    s2 error 40P01
    s2 ROLLBACK
    s1 COMMIT
    s1 rows (1, 1) (2, 1) (3, 30)
""")

case("deadlock_of_tables", """
    s1: begin
    s2: begin
    s1: lock table t
    s2: lock table u
    s1: set deadlock_timeout = '10s'
    s1: lock table u
    s2: lock table t
    s: (deadlock)
    s2: rollback
    s1: commit
""", """
    s1 BEGIN
    s2 BEGIN
    s1 LOCK TABLE
    s2 LOCK TABLE
    s1 SET
    s1 waits
    s2 waits
    s1 LOCK TABLE
    s2 error 40P01
    s2 ROLLBACK
    s1 COMMIT
""")

case("lock_modes_that_agree", """
    s1: begin
    s2: begin
    s1: lock table t in share mode
    s2: lock table t in share mode
    s2: select count(*) from t
    s1: lock table t in row share mode
    s2: lock table t in row exclusive mode nowait
    s2: rollback
    s1: commit
""", """
    s1 BEGIN
    s2 BEGIN
    s1 LOCK TABLE
    s2 LOCK TABLE
    s2 rows (3)
    s1 LOCK TABLE
    s2 error 55P03
    s2 ROLLBACK
    s1 COMMIT
""")

case("lock_queue_is_fair", """
    s1: begin
    s1: lock table t in access share mode
    s2: lock table t in access exclusive mode
    s2: begin
    s2: lock table t in access exclusive mode
    s3: select count(*) from t
    s1: commit
    s2: commit
""", """
    s1 BEGIN
    s1 LOCK TABLE
    s2 error 25P01
    s2 BEGIN
    s2 waits
    s3 waits
    s1 COMMIT
    s2 LOCK TABLE
    s2 COMMIT
    s3 rows (3)
""")

case("nowait_fails_at_once", """
    s1: begin
    s1: lock table t in access exclusive mode
    s2: begin
    s2: lock table t in access share mode nowait
    s2: rollback
    s1: commit
    s2: begin
    s2: lock table t nowait
    s2: commit
""", """
    s1 BEGIN
    s1 LOCK TABLE
    s2 BEGIN
    s2 error 55P03
    s2 ROLLBACK
    s1 COMMIT
    s2 BEGIN
    s2 LOCK TABLE
    s2 COMMIT
""")

case("truncate_waits_for_readers", """
    s1: begin
    s1: select count(*) from u
    s2: truncate u
    s1: select count(*) from u
    s1: commit
    s1: select count(*) from u
""", """
    s1 BEGIN
    s1 rows (0)
    s2 waits
    s1 rows (0)
    s1 COMMIT
    s2 TRUNCATE TABLE
    s1 rows (0)
""")

case("drop_waits_for_writers", """
    s1: begin
    s1: insert into u values (1)
    s2: drop table u
    s3: select count(*) from u
    s1: commit
    s1: select count(*) from u
""", """
    s1 BEGIN
    s1 INSERT 0 1
    s2 waits
    s3 waits
    s1 COMMIT
    s2 DROP TABLE
    s3 error 42P01
    s1 error 42P01
""")

case("alter_is_seen_after_commit", """
    s1: begin
    s1: alter table t add column w int default 5
    s2: select * from t where id = 1
    s1: commit
    s2: select * from t where id = 1
""", """
    s1 BEGIN
    s1 ALTER TABLE
    s2 waits
    s1 COMMIT
    s2 rows (1, 10, 5)
    s2 rows (1, 10, 5)
""")

case("create_index_blocks_writers_only", """
    s1: begin
    s1: create index t_v on t (v)
    s2: select count(*) from t
    s2: insert into t values (9, 90)
    s1: commit
    s2: select id from t where v = 90
""", """
    s1 BEGIN
    s1 CREATE INDEX
    s2 rows (3)
    s2 waits
    s1 COMMIT
    s2 INSERT 0 1
    s2 rows (9)
""")

case("foreign_key_holds_the_parent", """
    s1: begin
    s1: insert into child values (1, 1)
    s2: delete from t where id = 1
    s1: commit
    s2: select count(*) from t
""", """
    s1 BEGIN
    s1 INSERT 0 1
    s2 waits
    s1 COMMIT
    s2 error 23503
    s2 rows (3)
""")

case("foreign_key_lets_other_columns_change", """
    s1: begin
    s1: insert into child values (1, 1)
    s2: update t set v = 77 where id = 1
    s3: begin
    s3: insert into child values (2, 1)
    s2: update t set v = 78 where id = 1
    s3: commit
    s1: commit
    s1: select v from t where id = 1
""", """
    s1 BEGIN
    s1 INSERT 0 1
    s2 UPDATE 1
    s3 BEGIN
    s3 INSERT 0 1
    s2 UPDATE 1
    s3 COMMIT
    s1 COMMIT
    s1 rows (78)
""")

case("foreign_key_waits_for_the_parent_to_come_or_go", """
    s1: begin
    s1: delete from t where id = 3
    s2: insert into child values (1, 3)
    s1: commit
    s1: begin
    s1: insert into t values (8, 80)
    s2: insert into child values (2, 8)
    s1: commit
    s2: insert into child values (2, 8)
""", """
    s1 BEGIN
    s1 DELETE 1
    s2 waits
    s1 COMMIT
    s2 error 23503
    s1 BEGIN
    s1 INSERT 0 1
    s2 error 23503
    s1 COMMIT
    s2 INSERT 0 1
""")

case("savepoint_releases_row_locks_on_rollback", """
    s1: begin
    s1: savepoint a
    s1: update t set v = 1 where id = 1
    s2: update t set v = 2 where id = 1
    s1: rollback to a
    s1: commit
    s1: select v from t where id = 1
""", """
    s1 BEGIN
    s1 SAVEPOINT
    s1 UPDATE 1
    s2 waits
    s1 ROLLBACK
    s2 UPDATE 1
    s1 COMMIT
    s1 rows (2)
""")

case("three_in_a_row", """
    s1: begin
    s1: update t set v = v + 1 where id = 1
    s2: begin
    s2: update t set v = v * 10 where id = 1
    s1: commit
    s3: update t set v = v + 5 where id = 1
    s2: commit
    s1: select v from t where id = 1
""", """
    s1 BEGIN
    s1 UPDATE 1
    s2 BEGIN
    s2 waits
    s1 COMMIT
    s2 UPDATE 1
    s3 waits
    s2 COMMIT
    s3 UPDATE 1
    s1 rows (115)
""")

case("vacuum_keeps_what_a_snapshot_needs", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: delete from t where id <> 1
    s2: vacuum t
    s1: select id, v from t order by id
    s1: commit
    s2: vacuum t
    s1: select id, v from t order by id
""", """
    s1 BEGIN
    s1 rows (3)
    s2 DELETE 2
    s2 VACUUM
    s1 rows (1, 10) (2, 20) (3, 30)
    s1 COMMIT
    s2 VACUUM
    s1 rows (1, 10)
""")

case("a_schema_is_dropped_after_what_is_being_made_in_it", """
    s1: create schema made
    s1: begin
    s1: create table made.a (a int)
    s2: drop schema made
    s1: commit
    s2: drop schema made cascade
""", """
    s1 CREATE SCHEMA
    s1 BEGIN
    s1 CREATE TABLE
    s2 waits
    s1 COMMIT
    s2 error 2BP01
    s2 DROP SCHEMA
""")

case("nothing_is_made_in_a_schema_that_is_being_dropped", """
    s1: create schema made
    s1: begin
    s1: drop schema made
    s2: create table made.a (a int)
    s3: alter table t set schema made
    s1: commit
""", """
    s1 CREATE SCHEMA
    s1 BEGIN
    s1 DROP SCHEMA
    s2 waits
    s3 waits
    s1 COMMIT
    s2 error 3F000
    s3 error 3F000
""")

case("a_role_is_dropped_after_what_is_being_granted_to_it", """
    s1: create role granted
    s1: begin
    s1: grant select on t to granted
    s2: drop role granted
    s1: commit
    s1: revoke all on t from granted
    s2: drop role granted
""", """
    s1 CREATE ROLE
    s1 BEGIN
    s1 GRANT
    s2 waits
    s1 COMMIT
    s2 error 2BP01
    s1 REVOKE
    s2 DROP ROLE
""")

case("nothing_is_granted_to_a_role_that_is_being_dropped", """
    s1: create role granted
    s1: begin
    s1: drop role granted
    s2: grant select on t to granted
    s1: commit
""", """
    s1 CREATE ROLE
    s1 BEGIN
    s1 DROP ROLE
    s2 waits
    s1 COMMIT
    s2 error 42704
""")

case("temporary_tables_are_for_their_session_alone", """
    s1: create temp table mine (a int primary key, b text)
    s1: insert into mine select g, 'row' from generate_series(1, 10) g
    s1: create temp sequence counter
    s1: create view pg_temp.seen as select count(*) from mine
    s2: select set_config('search_path', nspname, false) ~ 'pg_temp' from pg_class c join pg_namespace n on n.oid = relnamespace where relname = 'mine'
    s2: select * from mine
    s2: select * from seen
    s2: select b from mine where a = 1 for update
    s2: insert into mine values (11)
    s2: update mine set b = 'other'
    s2: delete from mine
    s2: explain analyze select * from mine
    s2: copy mine to '/dev/null'
    s2: truncate mine
    s2: select nextval('counter')
    s2: create index on mine (b)
    s2: alter table mine add column c int
    s2: alter table mine alter b set not null
    s2: analyze mine
    s2: vacuum mine
    s2: comment on table mine is 'not mine'
    s2: alter table mine rename b to c
    s1: select count(c) from mine
    s1: select nextval('counter')
    s2: drop view seen
    s2: drop table mine
    s1: select * from mine
""", """
    s1 CREATE TABLE
    s1 INSERT 0 10
    s1 CREATE SEQUENCE
    s1 CREATE VIEW
    s2 rows (True)
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 error 0A000
    s2 ANALYZE
    s2 VACUUM
    s2 COMMENT
    s2 ALTER TABLE
    s1 rows (10)
    s1 rows (1)
    s2 DROP VIEW
    s2 DROP TABLE
    s1 error 42P01
""")

case("a_kept_snapshot_refers_only_to_what_it_sees", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: insert into t values (4, 40)
    s1: insert into child values (1, 4)
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (3)
    s2 INSERT 0 1
    s1 error 23503
    s1 ROLLBACK
""")

case("a_kept_snapshot_does_not_refer_to_what_is_gone", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: delete from t where id = 3
    s1: insert into child values (1, 3)
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (3)
    s2 DELETE 1
    s1 error 40001
    s1 ROLLBACK
""")

case("a_kept_snapshot_refers_to_a_row_that_keeps_its_key", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: update t set v = 31 where id = 3
    s1: insert into child values (1, 3)
    s1: commit
""", """
    s1 BEGIN
    s1 rows (3)
    s2 UPDATE 1
    s1 INSERT 0 1
    s1 COMMIT
""")

case("a_kept_snapshot_does_not_refer_to_a_key_that_has_changed", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: update t set id = 33 where id = 3
    s1: insert into child values (1, 3)
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (3)
    s2 UPDATE 1
    s1 error 40001
    s1 ROLLBACK
""")

case("a_kept_snapshot_waits_for_what_is_being_deleted", """
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: begin
    s2: delete from t where id = 3
    s1: insert into child values (1, 3)
    s2: commit
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (3)
    s2 BEGIN
    s2 DELETE 1
    s1 waits
    s2 COMMIT
    s1 error 40001
    s1 ROLLBACK
""")

case("references_that_came_later_forbid_a_deletion", """
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: insert into child values (1, 3)
    s1: delete from t where id = 3
    s1: rollback
""", """
    s1 BEGIN
    s1 rows (0)
    s2 INSERT 0 1
    s1 error 23503
    s1 ROLLBACK
""")

case("references_that_came_later_can_not_be_cascaded_to", """
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete cascade on update cascade
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: insert into child values (1, 3)
    s1: delete from t where id = 3
    s1: rollback
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: insert into child values (2, 3)
    s1: update t set id = 33 where id = 3
    s1: rollback
    s1: delete from t where id = 3
    s1: select * from child
""", """
    s1 ALTER TABLE
    s1 BEGIN
    s1 rows (0)
    s2 INSERT 0 1
    s1 error 40001
    s1 ROLLBACK
    s1 BEGIN
    s1 rows (1)
    s2 INSERT 0 1
    s1 error 40001
    s1 ROLLBACK
    s1 DELETE 1
    s1 rows
""")

case("references_that_came_later_can_not_be_set_to_null", """
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete set null on update set default
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: insert into child values (1, 3)
    s1: delete from t where id = 3
    s1: rollback
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: insert into child values (2, 3)
    s1: update t set id = 33 where id = 3
    s1: rollback
""", """
    s1 ALTER TABLE
    s1 BEGIN
    s1 rows (0)
    s2 INSERT 0 1
    s1 error 40001
    s1 ROLLBACK
    s1 BEGIN
    s1 rows (1)
    s2 INSERT 0 1
    s1 error 40001
    s1 ROLLBACK
""")

case("references_of_the_transaction_itself_are_cascaded_to", """
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete cascade on update cascade
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s1: insert into t values (4, 40)
    s1: insert into child values (1, 4)
    s1: insert into child values (2, 3)
    s1: update t set id = 44 where id = 4
    s1: delete from t where id in (3, 44)
    s1: select * from child
    s1: commit
""", """
    s1 ALTER TABLE
    s1 BEGIN
    s1 rows (0)
    s1 INSERT 0 1
    s1 INSERT 0 1
    s1 INSERT 0 1
    s1 UPDATE 1
    s1 DELETE 2
    s1 rows
    s1 COMMIT
""")

case("references_that_have_changed_can_not_be_cascaded_to", """
    s1: insert into child values (1, 3)
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete cascade on update cascade
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: update child set id = 2
    s1: delete from t where id = 3
    s1: rollback
    s1: begin isolation level repeatable read
    s1: select count(*) from child
    s2: delete from child
    s1: delete from t where id = 3
    s1: rollback
""", """
    s1 INSERT 0 1
    s1 ALTER TABLE
    s1 BEGIN
    s1 rows (1)
    s2 UPDATE 1
    s1 error 40001
    s1 ROLLBACK
    s1 BEGIN
    s1 rows (1)
    s2 DELETE 1
    s1 DELETE 1
    s1 ROLLBACK
""")

case("a_reference_that_is_being_deleted_is_waited_for", """
    s1: insert into child values (1, 3)
    s2: begin
    s2: delete from child
    s1: delete from t where id = 3
    s2: commit
    s1: select count(*) from t
""", """
    s1 INSERT 0 1
    s2 BEGIN
    s2 DELETE 1
    s1 waits
    s2 COMMIT
    s1 DELETE 1
    s1 rows (2)
""")

case("a_reference_that_was_to_be_deleted_stays", """
    s1: insert into child values (1, 3)
    s2: begin
    s2: delete from child
    s1: delete from t where id = 3
    s2: rollback
    s1: select count(*) from t
""", """
    s1 INSERT 0 1
    s2 BEGIN
    s2 DELETE 1
    s1 waits
    s2 ROLLBACK
    s1 error 23503
    s1 rows (3)
""")

case("a_kept_snapshot_waits_for_a_reference_that_is_being_deleted", """
    s1: insert into child values (1, 3)
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: begin
    s2: delete from child
    s1: delete from t where id = 3
    s2: commit
    s1: rollback
""", """
    s1 INSERT 0 1
    s1 BEGIN
    s1 rows (3)
    s2 BEGIN
    s2 DELETE 1
    s1 waits
    s2 COMMIT
    s1 error 40001
    s1 ROLLBACK
""")

case("a_reference_that_is_gone_forbids_nothing", """
    s1: insert into child values (1, 3)
    s1: begin isolation level repeatable read
    s1: select count(*) from t
    s2: delete from child
    s1: delete from t where id = 3
    s1: commit
""", """
    s1 INSERT 0 1
    s1 BEGIN
    s1 rows (3)
    s2 DELETE 1
    s1 DELETE 1
    s1 COMMIT
""")

case("a_cascade_waits_for_a_reference_that_is_being_deleted", """
    s1: insert into child values (1, 3)
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete cascade
    s2: begin
    s2: delete from child
    s1: delete from t where id = 3
    s2: commit
    s1: select count(*) from t
""", """
    s1 INSERT 0 1
    s1 ALTER TABLE
    s2 BEGIN
    s2 DELETE 1
    s1 waits
    s2 COMMIT
    s1 DELETE 1
    s1 rows (2)
""")

case("a_reference_that_is_being_moved_is_not_waited_for", """
    s1: insert into child values (1, 3)
    s2: begin
    s2: update child set t = 2
    s1: delete from t where id = 3
    s2: commit
    s1: select count(*) from t
""", """
    s1 INSERT 0 1
    s2 BEGIN
    s2 UPDATE 1
    s1 error 23503
    s2 COMMIT
    s1 rows (3)
""")

case("the_newest_version_of_a_reference_counts", """
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t on delete restrict
    s1: insert into child values (1, 3)
    s2: begin
    s2: update child set id = 2
    s1: delete from t where id = 3
    s2: commit
    s1: select count(*) from t
""", """
    s1 ALTER TABLE
    s1 INSERT 0 1
    s2 BEGIN
    s2 UPDATE 1
    s1 waits
    s2 COMMIT
    s1 error 23001
    s1 rows (3)
""")

case("a_kept_snapshot_is_kept_for_deferred_checks", """
    s1: alter table child drop constraint child_t_fkey, add foreign key (t) references t deferrable initially deferred
    s1: begin isolation level repeatable read
    s1: insert into child values (1, 4)
    s2: insert into t values (4, 40)
    s1: commit
    s1: begin isolation level repeatable read
    s1: delete from t where id = 3
    s2: begin
    s2: insert into child values (5, 2)
    s2: commit
    s1: commit
""", """
    s1 ALTER TABLE
    s1 BEGIN
    s1 INSERT 0 1
    s2 INSERT 0 1
    s1 error 23503
    s1 BEGIN
    s1 DELETE 1
    s2 BEGIN
    s2 INSERT 0 1
    s2 COMMIT
    s1 COMMIT
""")


@pytest.mark.parametrize("name", CASES)
def test_isolation(name, connect):
    setup = connect()
    setup.execute("create table t (id int primary key, v int)")
    setup.execute("insert into t values (1, 10), (2, 20), (3, 30)")
    setup.execute("create table u (a int)")
    setup.execute("create table child (id int primary key, t int references t)")
    script, expected = CASES[name]
    assert Runner(connect).run(script) == expected
