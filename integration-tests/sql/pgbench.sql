-- pgbench's tables and transactions, as pgbench itself sends them.

drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers;
create table pgbench_history(tid int,bid int,aid    int,delta int,mtime timestamp,filler char(22));
create table pgbench_tellers(tid int not null,bid int,tbalance int,filler char(84)) with (fillfactor=100);
create table pgbench_accounts(aid    int not null,bid int,abalance int,filler char(84)) with (fillfactor=100);
create table pgbench_branches(bid int not null,bbalance int,filler char(88)) with (fillfactor=100);
begin;
truncate table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers;
insert into pgbench_branches(bid,bbalance) select bid, 0 from generate_series(1, 1) as bid;
insert into pgbench_tellers(tid,bid,tbalance) select tid, (tid - 1) / 10 + 1, 0 from generate_series(1, 10) as tid;
insert into pgbench_accounts(aid,bid,abalance,filler) select aid, (aid - 1) / 100000 + 1, 0, '' from generate_series(1, 10000) as aid;
commit;
vacuum analyze pgbench_branches;
vacuum analyze pgbench_tellers;
vacuum analyze pgbench_accounts;
vacuum analyze pgbench_history;
alter table pgbench_branches add primary key (bid);
alter table pgbench_tellers add primary key (tid);
alter table pgbench_accounts add primary key (aid);
alter table pgbench_tellers add constraint pgbench_tellers_bid_fkey foreign key (bid) references pgbench_branches;
alter table pgbench_accounts add constraint pgbench_accounts_bid_fkey foreign key (bid) references pgbench_branches;
alter table pgbench_history add constraint pgbench_history_bid_fkey foreign key (bid) references pgbench_branches;
alter table pgbench_history add constraint pgbench_history_tid_fkey foreign key (tid) references pgbench_tellers;
alter table pgbench_history add constraint pgbench_history_aid_fkey foreign key (aid) references pgbench_accounts;

-- What pgbench asks before it starts.
select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1;
select count(*) from pgbench_branches;
vacuum pgbench_branches;
vacuum pgbench_tellers;
truncate pgbench_history;

-- TPC-B (sort of).
begin;
update pgbench_accounts set abalance = abalance + 117 where aid = 4711;
select abalance from pgbench_accounts where aid = 4711;
update pgbench_tellers set tbalance = tbalance + 117 where tid = 3;
update pgbench_branches set bbalance = bbalance + 117 where bid = 1;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (3, 1, 4711, 117, current_timestamp);
end;
begin;
update pgbench_accounts set abalance = abalance + -50 where aid = 1;
select abalance from pgbench_accounts where aid = 1;
update pgbench_tellers set tbalance = tbalance + -50 where tid = 10;
update pgbench_branches set bbalance = bbalance + -50 where bid = 1;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (10, 1, 1, -50, current_timestamp);
rollback;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (11, 1, 1, -50, current_timestamp);
insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 2, 1, -50, current_timestamp);
delete from pgbench_branches;
select sum(abalance) from pgbench_accounts;
select sum(tbalance) from pgbench_tellers;
select sum(bbalance) from pgbench_branches;
select tid, bid, aid, delta, filler from pgbench_history;
explain (costs off) select abalance from pgbench_accounts where aid = 4711;
explain (costs off) update pgbench_accounts set abalance = abalance + 1 where aid = 4711;
drop table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers;
