-- PREPARE, EXECUTE and DEALLOCATE.

create table t (id int primary key, name text, d date);
insert into t values (1, 'one', '2024-01-01'), (2, 'two', '2024-01-02'), (3, null, null);

prepare by_id (int) as select * from t where id = $1;
execute by_id (1);
execute by_id (2);
execute by_id (99);
execute by_id ('3');
execute by_id (1 + 1);
execute by_id (null);
execute by_id (2.4);
execute by_id ('x');
execute by_id;
execute by_id (1, 2);
execute by_id (true);
execute nothing (1);
execute by_id (nothing);
execute by_id ((select 1));
prepare by_id as select 1;

-- Types come from the context when not given.
prepare guess as select id, $2::text || name from t where id > $1 and d = $3 order by id;
execute guess (0, 'is ', '2024-01-02');
select name, parameter_types, from_sql from pg_prepared_statements order by name;
prepare unknown_one as select $1;
execute unknown_one ('text');
prepare unclear as select $1 + $2;
prepare missing as select $2::int;
prepare typed (numeric, text) as select $1 * 2, upper($2);
execute typed (1.5, 'x');
execute typed ('nan', 1);
prepare bad as select nothing;
prepare bad as frobnicate;
prepare bad (no_type) as select 1;
prepare bad as create table x (a int);
prepare one_more (int) as select $1 + $1 limit $1;
execute one_more (3);

-- Writing ones.
prepare add (int, text) as insert into t values ($1, $2) returning *;
execute add (10, 'ten');
execute add (11, null);
execute add (10, 'again');
prepare change as update t set name = $2 where id = $1;
execute change (10, 'TEN');
prepare remove (int) as delete from t where id >= $1 returning id;
execute remove (10);
prepare list as values ($1::int), (2);
execute list (7);

-- The plan follows the table.
prepare everything as select * from t order by id;
execute everything;
alter table t add column extra int;
execute everything;
prepare named as select name from t where id = 1;
execute named;
create index t_name on t (name);
execute named;
alter table t rename column name to label;
execute named;
drop table t;
execute named;

-- Hundreds of executions: the generic plan gives what custom plans gave.
create table u (id int, kind int);
insert into u select g, g % 10 from generate_series(1, 100) g;
prepare kinds (int) as select count(*), min(id) from u where kind = $1;
execute kinds (1); execute kinds (2); execute kinds (3); execute kinds (4); execute kinds (5); execute kinds (6); execute kinds (77);
set plan_cache_mode = force_generic_plan;
execute kinds (1);
set plan_cache_mode = force_custom_plan;
execute kinds (1);
reset plan_cache_mode;

-- They outlive the transaction, and end by DEALLOCATE.
begin;
prepare inside as select 'still here' as answer;
rollback;
execute inside;
deallocate inside;
execute inside;
deallocate inside;
deallocate prepare kinds;
deallocate all;
select count(*) from pg_prepared_statements;
drop table u;
