-- Foreign keys that are checked at the end of the transaction.

create table d1 (a int primary key);
create table d2 (a int references d1 deferrable initially deferred);
create table d3 (a int constraint d3_fk references d1 deferrable);
begin; insert into d2 values (1); insert into d1 values (1); commit;
begin; insert into d2 values (2); commit;
select * from d2;
begin; insert into d2 values (2); delete from d2 where a = 2; commit;
begin; delete from d1; insert into d1 values (1); commit;
begin; delete from d1; commit;
select * from d1;
begin; insert into d3 values (5); rollback;
begin; set constraints d3_fk deferred; insert into d3 values (5); insert into d1 values (5); set constraints d3_fk immediate; commit;
begin; set constraints all deferred; insert into d3 values (6); set constraints all immediate; commit;
begin; set constraints nope deferred; rollback;
begin; set constraints d2_a_fkey immediate; insert into d2 values (7); rollback;
set constraints all immediate;
begin; insert into d2 values (8); savepoint s; insert into d1 values (8); rollback to s; commit;
begin; savepoint s; insert into d2 values (8); rollback to s; commit;
insert into d2 values (9);
begin; update d1 set a = 77 where a = 1; update d1 set a = 1 where a = 77; commit;
create table nd (a int constraint nd_fk references d1);
begin; set constraints nd_fk deferred; rollback;
select * from d1 order by 1;
select * from d2 order by 1;
drop table d2, d3, nd;
drop table d1;
